/* Reading the ledger's part of a store: stored.h. */
#include "runtime/wave/stored.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"
#include "runtime/wave/ledger_keys.h"
#include "runtime/wave/record.h"

#include <inttypes.h>
#include <string.h>

#define WHERE "wave"

static enum smelt_status get(struct smelt_store *store, void *snapshot,
                             enum smelt_store_family family, struct smelt_slice key,
                             struct smelt_buf *value, bool *found, struct smelt_error *err)
{
    *found = false;
    return store->ops->get(store->impl, snapshot, family, key, value, found, err);
}

enum smelt_status sm_stored_record(struct smelt_store *store, void *snapshot, uint64_t number,
                                   struct smelt_wave_record *out, bool *found,
                                   struct smelt_error *err)
{
    struct smelt_buf value = {0};
    struct sm_ledger_key key;
    enum smelt_status status = SMELT_STATUS_OK;
    memset(out, 0, sizeof(*out));
    sm_record_key(number, &key);
    SMELT_TRY(
        get(store, snapshot, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), &value, found, err));
    if (*found && (!sm_record_decode(sm_buf_slice(&value), out) || out->number != number)) {
        memset(out, 0, sizeof(*out));
        *found = false;
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "wave %" PRIu64 ": its record is damaged; restore the state from a "
                              "copy",
                              number);
    }
cleanup:
    smelt_buf_deinit(&value);
    return status;
}

enum smelt_status sm_stored_page(struct smelt_store *store, void *snapshot, enum sm_page_kind kind,
                                 uint64_t number, uint32_t page, struct smelt_buf *value,
                                 struct sm_page *out, bool *found, struct smelt_error *err)
{
    bool is_receipts = kind == SM_PAGE_RECEIPTS;
    struct sm_ledger_key key;
    memset(out, 0, sizeof(*out));
    (is_receipts ? sm_receipt_page_key : sm_event_page_key)(number, page, &key);
    enum smelt_status status =
        get(store, snapshot, is_receipts ? SMELT_STORE_RECEIPTS : SMELT_STORE_EVENTS,
            sm_ledger_key_slice(&key), value, found, err);
    if (status == SMELT_STATUS_OK && *found) {
        status = sm_page_open(kind, number, page, sm_buf_slice(value), out, err);
    }
    return status;
}

/* META "chain-id" and "wave", which are both there or both missing. */
static enum smelt_status read_meta(struct smelt_store *store, void *snapshot,
                                   struct sm_ledger_head *out, uint64_t *number,
                                   struct smelt_error *err)
{
    struct smelt_buf last = {0};
    struct smelt_buf chain_id = {0};
    bool has_last;
    bool has_chain_id;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(get(store, snapshot, SMELT_STORE_META, smelt_slice_from_string(SM_LAST_KEY), &last,
                  &has_last, err));
    SMELT_TRY(get(store, snapshot, SMELT_STORE_META, smelt_slice_from_string(SM_CHAIN_ID_KEY),
                  &chain_id, &has_chain_id, err));
    if (has_last != has_chain_id || (has_last && last.size != SM_LAST_BYTES) ||
        (has_chain_id && chain_id.size != SM_CHAIN_ID_BYTES)) {
        status =
            sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                         "the state's records \"wave\" and \"chain-id\" are damaged, or one is "
                         "missing; restore the state from a copy");
        goto cleanup;
    }
    if (has_last) {
        out->has_wave = true;
        out->chain_id = sm_load_le64(chain_id.data);
        *number = sm_load_le64(last.data);
        memcpy(out->digest.bytes, last.data + 8, sizeof(out->digest.bytes));
    }
cleanup:
    smelt_buf_deinit(&chain_id);
    smelt_buf_deinit(&last);
    return status;
}

enum smelt_status sm_stored_head(struct smelt_store *store, void *snapshot,
                                 struct sm_ledger_head *out, struct smelt_error *err)
{
    struct sm_ledger_head head = {0};
    struct smelt_hash digest;
    uint64_t number = 0;
    bool found = false;
    enum smelt_status status = SMELT_STATUS_OK;
    memset(out, 0, sizeof(*out));
    SMELT_TRY(read_meta(store, snapshot, &head, &number, err));
    if (!head.has_wave) {
        goto cleanup;
    }
    SMELT_TRY(sm_stored_record(store, snapshot, number, &head.record, &found, err));
    smelt_wave_record_digest(&head.record, &digest);
    if (!found || !sm_hash_equal(&digest, &head.digest) || head.record.chain_id != head.chain_id) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "wave %" PRIu64 " is the newest, but its record is %s; restore the "
                              "state from a copy",
                              number, !found ? "missing" : "another one");
        goto cleanup;
    }
    *out = head;
cleanup:
    return status;
}

enum smelt_status sm_ledger_head(struct smelt_store *store, struct sm_ledger_head *out,
                                 struct smelt_error *err)
{
    void *snapshot = NULL;
    memset(out, 0, sizeof(*out));
    enum smelt_status status = store->ops->snapshot(store->impl, &snapshot, err);
    if (status == SMELT_STATUS_OK) {
        status = sm_stored_head(store, snapshot, out, err);
        store->ops->release(store->impl, snapshot);
    }
    return status;
}
