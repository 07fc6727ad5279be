/* The bytes of keys and accounts on disk; keys.h has the layouts. */
#include "runtime/state/keys.h"

#include "base/bytes.h"
#include "base/status.h"

#include <assert.h>
#include <string.h>

#define WHERE "state"

enum { TAG_ACCOUNT = 0x00, TAG_STORAGE = 0x01 };

enum { BALANCE_AT = 0, NONCE_AT = 16, CODE_HASH_AT = 24 };

static_assert(CODE_HASH_AT + SMELT_HASH_BYTES == SM_STATE_ACCOUNT_BYTES,
              "the three fields fill the record");

static void start_key(const struct smelt_address *address, uint8_t tag, struct sm_state_key *out)
{
    memcpy(out->bytes, address->bytes, SMELT_ADDRESS_BYTES);
    out->bytes[SMELT_ADDRESS_BYTES] = tag;
    out->size = SMELT_ADDRESS_BYTES + 1;
}

void sm_state_account_key(const struct smelt_address *address, struct sm_state_key *out)
{
    start_key(address, TAG_ACCOUNT, out);
}

void sm_state_storage_key(const struct smelt_address *address, struct smelt_slice key,
                          struct sm_state_key *out)
{
    assert(key.size <= SM_STATE_KEY_MAX);
    start_key(address, TAG_STORAGE, out);
    if (key.size != 0) {
        memcpy(out->bytes + out->size, key.data, key.size);
        out->size += key.size;
    }
}

struct smelt_slice sm_state_key_slice(const struct sm_state_key *key)
{
    return sm_slice(key->bytes, key->size);
}

bool sm_state_is_account_key(struct smelt_slice key)
{
    return key.size == SMELT_ADDRESS_BYTES + 1 && key.data[SMELT_ADDRESS_BYTES] == TAG_ACCOUNT;
}

bool sm_state_is_storage_key(struct smelt_slice key)
{
    return key.size > SMELT_ADDRESS_BYTES && key.data[SMELT_ADDRESS_BYTES] == TAG_STORAGE;
}

void sm_state_encode_account(const struct smelt_account *account,
                             uint8_t out[SM_STATE_ACCOUNT_BYTES])
{
    sm_store_u128(out + BALANCE_AT, account->balance);
    sm_store_le64(out + NONCE_AT, account->nonce);
    memset(out + CODE_HASH_AT, 0, SMELT_HASH_BYTES);
    if (account->is_contract) {
        memcpy(out + CODE_HASH_AT, account->code_hash.bytes, SMELT_HASH_BYTES);
    }
}

enum smelt_status sm_state_decode_account(struct smelt_slice value, struct smelt_account *out,
                                          struct smelt_error *err)
{
    static const uint8_t no_code[SMELT_HASH_BYTES];
    memset(out, 0, sizeof(*out));
    if (value.size != SM_STATE_ACCOUNT_BYTES) {
        return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                            "an account record has %zu bytes instead of %d: the state is damaged, "
                            "restore it from a copy",
                            value.size, SM_STATE_ACCOUNT_BYTES);
    }
    out->balance = sm_load_u128(value.data + BALANCE_AT);
    out->nonce = sm_load_le64(value.data + NONCE_AT);
    memcpy(out->code_hash.bytes, value.data + CODE_HASH_AT, SMELT_HASH_BYTES);
    out->is_contract = memcmp(out->code_hash.bytes, no_code, sizeof(no_code)) != 0;
    return SMELT_STATUS_OK;
}
