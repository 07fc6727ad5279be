/* The bytes of keys and accounts on disk; keys.h has the layouts. */
#include "runtime/state/keys.h"

#include "base/bytes.h"
#include "base/status.h"

#include <assert.h>
#include <string.h>

#define WHERE "state"

enum { TAG_ACCOUNT = 0x00, TAG_STORAGE = 0x01 };

enum { BALANCE_AT = 0, NONCE_AT = 16, CODE_HASH_AT = 24, OWNER_AT = 56 };

static_assert(CODE_HASH_AT == SM_STATE_ACCOUNT_BYTES, "what only contracts have follows");
static_assert(OWNER_AT + SMELT_ADDRESS_BYTES == SM_STATE_CONTRACT_BYTES,
              "the four fields fill the record");

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

size_t sm_state_encode_account(const struct smelt_account *account,
                               uint8_t out[SM_STATE_CONTRACT_BYTES])
{
    sm_store_u128(out + BALANCE_AT, account->balance);
    sm_store_le64(out + NONCE_AT, account->nonce);
    if (!account->is_contract) {
        return SM_STATE_ACCOUNT_BYTES;
    }
    memcpy(out + CODE_HASH_AT, account->code_hash.bytes, SMELT_HASH_BYTES);
    memcpy(out + OWNER_AT, account->owner.bytes, SMELT_ADDRESS_BYTES);
    return SM_STATE_CONTRACT_BYTES;
}

enum smelt_status sm_state_decode_account(struct smelt_slice value, struct smelt_account *out,
                                          struct smelt_error *err)
{
    static const uint8_t no_code[SMELT_HASH_BYTES];
    memset(out, 0, sizeof(*out));
    if (value.size != SM_STATE_ACCOUNT_BYTES && value.size != SM_STATE_CONTRACT_BYTES) {
        return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                            "an account record has %zu bytes instead of %d or %d: the state is "
                            "damaged, restore it from a copy",
                            value.size, SM_STATE_ACCOUNT_BYTES, SM_STATE_CONTRACT_BYTES);
    }
    bool is_contract = value.size == SM_STATE_CONTRACT_BYTES;
    if (is_contract && memcmp(value.data + CODE_HASH_AT, no_code, sizeof(no_code)) == 0) {
        return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                            "the record of a contract has no code hash: the state is damaged, "
                            "restore it from a copy");
    }
    out->balance = sm_load_u128(value.data + BALANCE_AT);
    out->nonce = sm_load_le64(value.data + NONCE_AT);
    out->is_contract = is_contract;
    if (is_contract) {
        memcpy(out->code_hash.bytes, value.data + CODE_HASH_AT, SMELT_HASH_BYTES);
        memcpy(out->owner.bytes, value.data + OWNER_AT, SMELT_ADDRESS_BYTES);
    }
    return SMELT_STATUS_OK;
}
