/* Reading the ledger's part of a store: ledger_view.h. */
#include "runtime/wave/ledger_view.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"
#include "runtime/wave/ledger_keys.h"
#include "runtime/wave/record.h"

#include <inttypes.h>
#include <string.h>

#define WHERE "wave"

enum smelt_status sm_view_corrupt(uint64_t number, const char *what, struct smelt_error *err)
{
    return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                        "wave %" PRIu64 ": %s; restore the state from a copy", number, what);
}

uint32_t sm_ledger_page_count(uint32_t transactions)
{
    return (transactions + SM_LEDGER_PAGE - 1) / SM_LEDGER_PAGE;
}

static enum smelt_status get(const struct sm_ledger_view *view, enum smelt_store_family family,
                             struct smelt_slice key, struct smelt_buf *value, bool *found,
                             struct smelt_error *err)
{
    *found = false;
    return view->store->ops->get(view->store->impl, view->snapshot, family, key, value, found, err);
}

static enum smelt_status get_meta(const struct sm_ledger_view *view, const char *key,
                                  size_t expected_size, struct smelt_buf *value, bool *found,
                                  struct smelt_error *err)
{
    enum smelt_status status =
        get(view, SMELT_STORE_META, smelt_slice_from_string(key), value, found, err);
    if (status == SMELT_STATUS_OK && *found && value->size != expected_size) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "the state's record \"%s\" has %zu bytes instead of %zu; restore the "
                              "state from a copy",
                              key, value->size, expected_size);
    }
    return status;
}

/* The record that META "wave" names. */
static enum smelt_status check_newest(struct sm_ledger_view *view, uint64_t number,
                                      struct smelt_error *err)
{
    struct smelt_hash digest;
    bool found;
    enum smelt_status status = sm_view_record(view, number, &view->head.record, &found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!found) {
        return sm_view_corrupt(number, "it is the newest, but has no record", err);
    }
    smelt_wave_record_digest(&view->head.record, &digest);
    if (!sm_hash_equal(&digest, &view->head.digest)) {
        return sm_view_corrupt(number, "its record does not have the digest of the newest wave",
                               err);
    }
    if (view->head.record.chain_id != view->head.chain_id) {
        return sm_view_corrupt(number, "its record is of another chain than the state", err);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status read_head(struct sm_ledger_view *view, struct smelt_error *err)
{
    struct smelt_buf value = {0};
    bool has_chain_id;
    bool has_kept;
    uint64_t number = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(get_meta(view, SM_LAST_KEY, SM_LAST_BYTES, &value, &view->head.has_wave, err));
    if (view->head.has_wave) {
        number = sm_load_le64(value.data);
        memcpy(view->head.digest.bytes, value.data + 8, sizeof(view->head.digest.bytes));
    }
    SMELT_TRY(get_meta(view, SM_CHAIN_ID_KEY, SM_CHAIN_ID_BYTES, &value, &has_chain_id, err));
    if (has_chain_id) {
        view->head.chain_id = sm_load_le64(value.data);
    }
    SMELT_TRY(get_meta(view, SM_KEPT_KEY, SM_KEPT_BYTES, &value, &has_kept, err));
    if (has_kept) {
        view->kept = sm_load_le64(value.data);
    }
    if (view->head.has_wave != has_chain_id || (has_kept && !has_chain_id)) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "of the state's records \"%s\", \"%s\" and \"%s\" one is missing; "
                              "restore the state from a copy",
                              SM_LAST_KEY, SM_CHAIN_ID_KEY, SM_KEPT_KEY);
        goto cleanup;
    }
    if (view->head.has_wave) {
        SMELT_TRY(check_newest(view, number, err));
        if (view->kept > number && view->kept - number > 1) {
            status = sm_view_corrupt(number, "it is the newest, but later ones were pruned", err);
        }
    }
cleanup:
    smelt_buf_deinit(&value);
    return status;
}

enum smelt_status sm_view_open(struct smelt_store *store, struct sm_ledger_view *out,
                               struct smelt_error *err)
{
    memset(out, 0, sizeof(*out));
    out->store = store;
    enum smelt_status status = store->ops->snapshot(store->impl, &out->snapshot, err);
    if (status == SMELT_STATUS_OK) {
        status = read_head(out, err);
    }
    if (status != SMELT_STATUS_OK) {
        sm_view_close(out);
    }
    return status;
}

void sm_view_close(struct sm_ledger_view *view)
{
    if (view->snapshot != NULL) {
        view->store->ops->release(view->store->impl, view->snapshot);
    }
    memset(view, 0, sizeof(*view));
}

struct first {
    struct sm_ledger_key_parts parts;
    bool is_found;
    bool is_key;
};

static bool take_first(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct first *first = (struct first *)context;
    (void)value;
    first->is_found = true;
    first->is_key = sm_receipts_key_parse(key, &first->parts);
    return false;
}

enum smelt_status sm_view_first(const struct sm_ledger_view *view, uint64_t *out,
                                struct smelt_error *err)
{
    struct first first = {0};
    *out = 0;
    if (!view->head.has_wave) {
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = view->store->ops->iterate(
        view->store->impl, view->snapshot, SMELT_STORE_RECEIPTS,
        smelt_slice_from_string(SM_RECORD_PREFIX), take_first, &first, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!first.is_key || first.parts.number > view->head.record.number) {
        return sm_view_corrupt(view->head.record.number,
                               "it is the newest, but the first record is not of a wave before it",
                               err);
    }
    *out = first.parts.number;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_view_record(const struct sm_ledger_view *view, uint64_t number,
                                 struct smelt_wave_record *out, bool *found,
                                 struct smelt_error *err)
{
    struct smelt_buf value = {0};
    struct sm_ledger_key key;
    enum smelt_status status = SMELT_STATUS_OK;
    memset(out, 0, sizeof(*out));
    sm_record_key(number, &key);
    SMELT_TRY(get(view, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), &value, found, err));
    if (*found && (!sm_record_decode(sm_buf_slice(&value), out) || out->number != number)) {
        memset(out, 0, sizeof(*out));
        *found = false;
        status = sm_view_corrupt(number, "its record is damaged", err);
    }
cleanup:
    smelt_buf_deinit(&value);
    return status;
}

/* A record that is not there: was there never one? */
static enum smelt_status record_missing(const struct sm_ledger_view *view, uint64_t number,
                                        struct smelt_error *err)
{
    uint64_t first;
    enum smelt_status status = sm_view_first(view, &first, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (view->head.has_wave && number >= first && number <= view->head.record.number) {
        return sm_view_corrupt(number, "its record is missing", err);
    }
    if (!view->head.has_wave) {
        return sm_error_set(err, SMELT_STATUS_NOT_FOUND, WHERE,
                            "there is no wave %" PRIu64 ": the state has none", number);
    }
    return sm_error_set(err, SMELT_STATUS_NOT_FOUND, WHERE,
                        "there is no wave %" PRIu64 ": the state has %" PRIu64 " to %" PRIu64,
                        number, first, view->head.record.number);
}

enum smelt_status sm_view_wave(const struct sm_ledger_view *view, uint64_t number,
                               struct smelt_wave_record *out, struct smelt_error *err)
{
    struct smelt_wave_record record;
    struct smelt_wave_record next;
    struct smelt_hash digest;
    bool found;
    memset(out, 0, sizeof(*out));
    if (!view->head.has_wave || number > view->head.record.number) {
        return record_missing(view, number, err);
    }
    if (number == view->head.record.number) {
        *out = view->head.record;
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = sm_view_record(view, number, &record, &found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!found) {
        return record_missing(view, number, err);
    }
    status = sm_view_record(view, number + 1, &next, &found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    smelt_wave_record_digest(&record, &digest);
    if (!found || !sm_hash_equal(&digest, &next.parent)) {
        return sm_view_corrupt(number,
                               "its record is not the one that the next wave's names as its "
                               "parent",
                               err);
    }
    *out = record;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_view_page(const struct sm_ledger_view *view, enum sm_page_kind kind,
                               uint64_t number, uint32_t page, struct smelt_buf *value,
                               struct sm_page *out, bool *found, struct smelt_error *err)
{
    bool is_receipts = kind == SM_PAGE_RECEIPTS;
    struct sm_ledger_key key;
    memset(out, 0, sizeof(*out));
    (is_receipts ? sm_receipt_page_key : sm_event_page_key)(number, page, &key);
    enum smelt_status status = get(view, is_receipts ? SMELT_STORE_RECEIPTS : SMELT_STORE_EVENTS,
                                   sm_ledger_key_slice(&key), value, found, err);
    if (status == SMELT_STATUS_OK && *found) {
        status = sm_page_open(kind, number, page, sm_buf_slice(value), out, err);
    }
    return status;
}

enum smelt_status sm_view_place(const struct sm_ledger_view *view, const struct smelt_hash *id,
                                uint64_t *number, uint32_t *index, bool *found,
                                struct smelt_error *err)
{
    struct smelt_buf value = {0};
    struct sm_ledger_key key;
    char hex[2 * SMELT_HASH_BYTES + 1];
    *number = 0;
    *index = 0;
    sm_id_key(id, &key);
    enum smelt_status status =
        get(view, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), &value, found, err);
    if (status == SMELT_STATUS_OK && *found &&
        !sm_place_decode(sm_buf_slice(&value), number, index)) {
        smelt_hex_encode(id->bytes, sizeof(id->bytes), hex);
        status =
            sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                         "the place of transaction %s has %zu bytes instead of %u; restore the "
                         "state from a copy",
                         hex, value.size, SM_PLACE_BYTES);
    }
    smelt_buf_deinit(&value);
    return status;
}

enum smelt_status sm_ledger_head(struct smelt_store *store, struct sm_ledger_head *out,
                                 struct smelt_error *err)
{
    struct sm_ledger_view view;
    memset(out, 0, sizeof(*out));
    enum smelt_status status = sm_view_open(store, &view, err);
    if (status == SMELT_STATUS_OK) {
        *out = view.head;
        sm_view_close(&view);
    }
    return status;
}
