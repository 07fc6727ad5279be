/* Accounts over the overlay (inside a transaction) and over a store (outside one), contract
 * addresses, and the walk over a whole state. */
#include "runtime/state/accounts.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"
#include "runtime/state/commitment.h"
#include "runtime/state/keys.h"

#include <string.h>

#define WHERE "state"

/* In consensus: contract addresses are derived with it. */
#define ADDRESS_DOMAIN "smelt.address.v1"

static bool is_empty(const struct smelt_account *account)
{
    return sm_u128_is_zero(account->balance) && account->nonce == 0 && !account->is_contract;
}

static enum smelt_status overflow(struct smelt_error *err)
{
    return sm_error_set(err, SMELT_STATUS_BALANCE_OVERFLOW, WHERE,
                        "the receiver's balance would pass 2^128 - 1: send a smaller amount");
}

enum smelt_status sm_state_account_read(struct sm_overlay *overlay,
                                        const struct smelt_address *address,
                                        struct smelt_account *out, struct smelt_error *err)
{
    struct sm_state_key key;
    struct smelt_slice value;
    bool is_found;
    memset(out, 0, sizeof(*out));
    sm_state_account_key(address, &key);
    enum smelt_status status =
        sm_overlay_get(overlay, sm_state_key_slice(&key), &value, &is_found, err);
    if (status != SMELT_STATUS_OK || !is_found) {
        return status;
    }
    return sm_state_decode_account(value, out, err);
}

enum smelt_status sm_state_account_write(struct sm_overlay *overlay,
                                         const struct smelt_address *address,
                                         const struct smelt_account *account,
                                         struct smelt_error *err)
{
    struct sm_state_key key;
    sm_state_account_key(address, &key);
    if (is_empty(account)) {
        return sm_overlay_delete(overlay, sm_state_key_slice(&key), err);
    }
    uint8_t record[SM_STATE_CONTRACT_BYTES];
    size_t size = sm_state_encode_account(account, record);
    return sm_overlay_put(overlay, sm_state_key_slice(&key), sm_slice(record, size), err);
}

enum smelt_status sm_state_contract_create(struct sm_overlay *overlay,
                                           const struct smelt_address *address,
                                           const struct smelt_hash *code_hash,
                                           const struct smelt_address *owner,
                                           struct smelt_error *err)
{
    struct smelt_account account;
    enum smelt_status status = sm_state_account_read(overlay, address, &account, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (account.is_contract) {
        return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                            "the signer's next contract address is taken already");
    }
    account.is_contract = true;
    account.code_hash = *code_hash;
    account.owner = *owner;
    return sm_state_account_write(overlay, address, &account, err);
}

enum smelt_status sm_state_transfer(struct sm_overlay *overlay, const struct smelt_address *from,
                                    const struct smelt_address *to, struct smelt_u128 amount,
                                    bool *is_done, struct smelt_error *err)
{
    struct smelt_account sender;
    struct smelt_account receiver;
    *is_done = false;
    if (sm_u128_is_zero(amount)) {
        *is_done = true;
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = sm_state_account_read(overlay, from, &sender, err);
    if (status != SMELT_STATUS_OK || !sm_u128_sub(sender.balance, amount, &sender.balance)) {
        return status;
    }
    if (memcmp(from->bytes, to->bytes, SMELT_ADDRESS_BYTES) == 0) {
        *is_done = true;
        return SMELT_STATUS_OK;
    }
    status = sm_state_account_read(overlay, to, &receiver, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!sm_u128_add(receiver.balance, amount, &receiver.balance)) {
        return overflow(err);
    }
    /* a layer of its own: both balances change or, when memory is short, neither */
    status = sm_overlay_push(overlay, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    SMELT_TRY(sm_state_account_write(overlay, from, &sender, err));
    SMELT_TRY(sm_state_account_write(overlay, to, &receiver, err));
    sm_overlay_merge(overlay);
    *is_done = true;
    return SMELT_STATUS_OK;
cleanup:
    sm_overlay_drop(overlay);
    return status;
}

void smelt_contract_address(const struct smelt_address *deployer, uint64_t nonce,
                            struct smelt_address *out)
{
    enum { DOMAIN_BYTES = sizeof(ADDRESS_DOMAIN) - 1 };
    uint8_t input[DOMAIN_BYTES + SMELT_ADDRESS_BYTES + 8];
    struct smelt_hash hash;
    memcpy(input, ADDRESS_DOMAIN, DOMAIN_BYTES);
    memcpy(input + DOMAIN_BYTES, deployer->bytes, SMELT_ADDRESS_BYTES);
    sm_store_le64(input + DOMAIN_BYTES + SMELT_ADDRESS_BYTES, nonce);
    sm_digest_bytes(sm_slice(input, sizeof(input)), &hash);
    memcpy(out->bytes, hash.bytes, SMELT_ADDRESS_BYTES);
}

enum smelt_status smelt_account_get(struct smelt_store *store, const struct smelt_address *address,
                                    struct smelt_account *out, struct smelt_error *err)
{
    struct sm_state_key key;
    struct smelt_buf value = {0};
    bool is_found = false;
    enum smelt_status status = SMELT_STATUS_OK;
    memset(out, 0, sizeof(*out));
    sm_state_account_key(address, &key);
    SMELT_TRY(store->ops->get(store->impl, NULL, SMELT_STORE_STATE, sm_state_key_slice(&key),
                              &value, &is_found, err));
    if (is_found) {
        status = sm_state_decode_account(sm_buf_slice(&value), out, err);
    }
cleanup:
    smelt_buf_deinit(&value);
    return status;
}

/* One write of the state, and in the same batch what it does to the commitment, if there is one. */
static enum smelt_status write_pair(struct smelt_store *store, struct smelt_slice key,
                                    struct smelt_slice value, struct smelt_error *err)
{
    const struct smelt_store_write write = {
        .family = SMELT_STORE_STATE, .key = key, .value = value};
    struct sm_commitment_update *update = NULL;
    enum smelt_status status = sm_commitment_update(store, &write, 1, &update, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    size_t count = update != NULL ? update->count : 0;
    struct smelt_store_write *writes =
        (struct smelt_store_write *)sm_calloc(1 + count, sizeof(*writes));
    if (writes == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    writes[0] = write;
    for (size_t i = 0; i < count; i++) {
        writes[1 + i] = update->writes[i];
    }
    status = store->ops->write(store->impl, writes, 1 + count, err);
cleanup:
    sm_free(writes);
    sm_commitment_update_destroy(update);
    return status;
}

enum smelt_status smelt_account_fund(struct smelt_store *store, const struct smelt_address *address,
                                     struct smelt_u128 amount, struct smelt_error *err)
{
    struct smelt_account account;
    if (sm_u128_is_zero(amount)) {
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = smelt_account_get(store, address, &account, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!sm_u128_add(account.balance, amount, &account.balance)) {
        return overflow(err);
    }
    struct sm_state_key key;
    uint8_t record[SM_STATE_CONTRACT_BYTES];
    sm_state_account_key(address, &key);
    size_t size = sm_state_encode_account(&account, record);
    return write_pair(store, sm_state_key_slice(&key), sm_slice(record, size), err);
}

struct walk {
    const struct smelt_state_visitor *visitor;
    struct smelt_error *err;
    enum smelt_status status;
};

static bool visit_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct walk *walk = (struct walk *)context;
    const struct smelt_state_visitor *visitor = walk->visitor;
    struct smelt_address address;
    if (sm_state_is_account_key(key)) {
        struct smelt_account account;
        walk->status = sm_state_decode_account(value, &account, walk->err);
        if (walk->status != SMELT_STATUS_OK) {
            return false;
        }
        memcpy(address.bytes, key.data, SMELT_ADDRESS_BYTES);
        return visitor->account == NULL || visitor->account(visitor->context, &address, &account);
    }
    if (sm_state_is_storage_key(key)) {
        struct smelt_slice own =
            sm_slice(key.data + SMELT_ADDRESS_BYTES + 1, key.size - SMELT_ADDRESS_BYTES - 1);
        memcpy(address.bytes, key.data, SMELT_ADDRESS_BYTES);
        return visitor->storage == NULL || visitor->storage(visitor->context, &address, own, value);
    }
    walk->status = sm_error_set(walk->err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                                "a key of %zu bytes is neither an account nor storage: the state "
                                "is damaged, restore it from a copy",
                                key.size);
    return false;
}

enum smelt_status smelt_state_visit(struct smelt_store *store,
                                    const struct smelt_state_visitor *visitor,
                                    struct smelt_error *err)
{
    struct walk walk = {.visitor = visitor, .err = err, .status = SMELT_STATUS_OK};
    void *snapshot = NULL;
    enum smelt_status status = store->ops->snapshot(store->impl, &snapshot, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    status = store->ops->iterate(store->impl, snapshot, SMELT_STORE_STATE, sm_slice(NULL, 0),
                                 visit_pair, &walk, err);
    store->ops->release(store->impl, snapshot);
    return status != SMELT_STATUS_OK ? status : walk.status;
}

struct storage_walk {
    smelt_storage_visit_fn visit;
    void *context;
};

static bool visit_own_key(void *context, struct smelt_slice key, struct smelt_slice value)
{
    const struct storage_walk *walk = (const struct storage_walk *)context;
    const size_t before = SMELT_ADDRESS_BYTES + 1;
    return walk->visit(walk->context, sm_slice(key.data + before, key.size - before), value);
}

enum smelt_status smelt_storage_visit(struct smelt_store *store,
                                      const struct smelt_address *address,
                                      struct smelt_slice prefix, smelt_storage_visit_fn visit,
                                      void *context, struct smelt_error *err)
{
    struct storage_walk walk = {.visit = visit, .context = context};
    struct sm_state_key key;
    void *snapshot = NULL;
    if (store == NULL || address == NULL || visit == NULL ||
        (prefix.data == NULL && prefix.size != 0)) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "store, address and visitor are required");
    }
    if (prefix.size > SM_STATE_KEY_MAX) {
        return SMELT_STATUS_OK;
    }
    sm_state_storage_key(address, prefix, &key);
    enum smelt_status status = store->ops->snapshot(store->impl, &snapshot, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    status = store->ops->iterate(store->impl, snapshot, SMELT_STORE_STATE, sm_state_key_slice(&key),
                                 visit_own_key, &walk, err);
    store->ops->release(store->impl, snapshot);
    return status;
}
