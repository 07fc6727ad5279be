/* Which keys of its storage a call will read, guessed from calls before it:
 *
 *     call of 0xc0…  "transfer"   from A, input: B ‖ amount
 *       has read     'b' ‖ A                        form: 'b' ‖ (sender)
 *                    'b' ‖ B                              'b' ‖ (32 bytes of the input at 0)
 *
 * Contracts keep what belongs to somebody under a key that contains who it is, and who it is comes
 * with the transaction; so a form that fits one call fits the next. A guess is a hint for what to
 * fetch from memory ahead: nothing depends on it but time, and what it costs is bounded by the
 * number of forms. */
#ifndef SM_RUNTIME_FORECAST_H
#define SM_RUNTIME_FORECAST_H

#include "runtime/state/keys.h"

#include <smelt/wave.h>

#define SM_FORECAST_ROWS  16u
#define SM_FORECAST_FORMS 4u
#define SM_FORECAST_KEY   96u /* longer keys are not guessed */
#define SM_FORECAST_PARTS 2u

/* A key with parts of the transaction in it. */
struct sm_forecast_form {
    struct {
        uint32_t at;     /* in the key: SMELT_ADDRESS_BYTES from */
        uint32_t source; /* 0: the sender; else the input, at `source` - 1 */
    } parts[SM_FORECAST_PARTS];
    uint32_t part_count;
    uint32_t size;
    uint8_t key[SM_FORECAST_KEY];
};

/* Zero-initialise. A row is about a function of a contract; which of two that collide is the one
 * whose call came last. Borrows names of functions from the transactions it learns from. */
struct sm_forecast {
    struct sm_forecast_row {
        struct smelt_address contract;
        struct smelt_slice function;
        uint32_t calls;
        uint32_t form_count;
        struct sm_forecast_form forms[SM_FORECAST_FORMS];
    } rows[SM_FORECAST_ROWS];
};

/* Counts the call; whether to learn from it: from every one would cost more than it gives. */
bool sm_forecast_begin(struct sm_forecast *forecast,
                       const struct smelt_wave_transaction *transaction);
/* The call has read `key`, a key of the family STATE. */
void sm_forecast_learn(struct sm_forecast *forecast,
                       const struct smelt_wave_transaction *transaction, struct smelt_slice key);

/* How many guesses there are about a call, and each of them. */
uint32_t sm_forecast_count(const struct sm_forecast *forecast,
                           const struct smelt_wave_transaction *transaction);
void sm_forecast_key(const struct sm_forecast *forecast,
                     const struct smelt_wave_transaction *transaction, uint32_t guess,
                     struct sm_state_key *out);

#endif
