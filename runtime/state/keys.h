/* Keys and values of the families STATE, CODE and META. The layouts are on disk: fixed, never
 * reused.
 *
 *   STATE  address[32] ‖ 0x00          -> account: balance u128 LE ‖ nonce u64 LE
 *                                         contract: … ‖ code hash[32] ‖ owner[32]
 *   STATE  address[32] ‖ 0x01 ‖ key    -> contract storage value
 *   CODE   module hash[32]             -> wasm bytes
 *   META   "format"                    -> u32 LE, SM_STATE_FORMAT
 *   META   "profile"                   -> profile name
 *   META   "profile-digest"            -> 32 bytes
 *   META   "schedule"                  -> TOML text
 *   META   "schedule-digest"           -> 32 bytes
 *   META   "policy"                    -> TOML text
 *   META   "policy-digest"             -> 32 bytes
 *   META   "commitment"                -> format u32 LE ‖ root[32]; there when one is enabled
 *   TREE   see tree.c
 *
 * An account sorts right before its storage, so one scan walks both. The size of a record tells
 * whether there is a contract; no code hash is zeroes. An account of zeroes has no record: equal
 * states have equal bytes. */
#ifndef SM_STATE_KEYS_H
#define SM_STATE_KEYS_H

#include <smelt/runtime.h>

/* 1 had no policy, in 2 contracts had no owner and all records one size. */
#define SM_STATE_FORMAT         3u
#define SM_STATE_KEY_MAX        1024 /* bytes of a contract's own key that sm_state_storage_key takes */
#define SM_STATE_ACCOUNT_BYTES  24
#define SM_STATE_CONTRACT_BYTES 88

struct sm_state_key {
    size_t size;
    uint8_t bytes[SMELT_ADDRESS_BYTES + 1 + SM_STATE_KEY_MAX];
};

void sm_state_account_key(const struct smelt_address *address, struct sm_state_key *out);
/* `key.size` is at most SM_STATE_KEY_MAX. */
void sm_state_storage_key(const struct smelt_address *address, struct smelt_slice key,
                          struct sm_state_key *out);
/* Borrowed from `key`. */
struct smelt_slice sm_state_key_slice(const struct sm_state_key *key);
bool sm_state_is_account_key(struct smelt_slice key);
bool sm_state_is_storage_key(struct smelt_slice key);

/* The size of the record, which is one of the two. */
size_t sm_state_encode_account(const struct smelt_account *account,
                               uint8_t out[SM_STATE_CONTRACT_BYTES]);
/* STORE_CORRUPT for any other size, and for a contract without code. */
enum smelt_status sm_state_decode_account(struct smelt_slice value, struct smelt_account *out,
                                          struct smelt_error *err);

#endif
