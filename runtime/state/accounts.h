/* Accounts as a running transaction sees them: through the overlay, nothing written yet. The public
 * functions over a store (smelt_account_get and its kin) share accounts.c. */
#ifndef SM_STATE_ACCOUNTS_H
#define SM_STATE_ACCOUNTS_H

#include "runtime/state/overlay.h"

/* A missing account reads as all zeroes. */
enum smelt_status sm_state_account_read(struct sm_overlay *overlay,
                                        const struct smelt_address *address,
                                        struct smelt_account *out, struct smelt_error *err);

/* Into the top layer. An account of zeroes is deleted: "missing" has one representation. */
enum smelt_status sm_state_account_write(struct sm_overlay *overlay,
                                         const struct smelt_address *address,
                                         const struct smelt_account *account,
                                         struct smelt_error *err);

/* Makes the account a contract in the top layer; a balance that was sent ahead stays. STORE_CORRUPT
 * when it is one already: addresses are derived from nonces, which are used once. */
enum smelt_status sm_state_contract_create(struct sm_overlay *overlay,
                                           const struct smelt_address *address,
                                           const struct smelt_hash *code_hash,
                                           const struct smelt_address *owner,
                                           struct smelt_error *err);

/* Moves `amount` between balances in the top layer. `*is_done` is false, and nothing changed, when
 * the balance of `from` does not suffice. A transfer to oneself needs the balance and changes
 * nothing; an amount of zero is always done and creates no record. BALANCE_OVERFLOW when the
 * receiver's balance would pass 2^128 - 1; nothing has changed after any error. */
enum smelt_status sm_state_transfer(struct sm_overlay *overlay, const struct smelt_address *from,
                                    const struct smelt_address *to, struct smelt_u128 amount,
                                    bool *is_done, struct smelt_error *err);

#endif
