/* Pruning: receipts, events and ids of old waves go, records stay.
 *
 * First META "receipts-from" says which waves have none any more; from then on nobody misses what
 * is deleted after it. Of a wave, ids go before its pages: they are found through the pages, so
 * whatever a crash leaves is found again by the next pruning, which begins at the lowest page. */
#include "base/bytes.h"
#include "base/status.h"
#include "runtime/wave/ledger_keys.h"
#include "runtime/wave/ledger_view.h"
#include "runtime/wave/page_walk.h"

#include <assert.h>
#include <string.h>

#define WHERE "wave"

/* Deletions that are written at a time by smelt_receipts_prune. */
#define BATCH_MAX 4096u

struct pruning {
    const struct sm_ledger_view *view;
    struct smelt_buf *keys;
    struct sm_write_list *list;
    /* writes the list, which starts over; NULL: it grows */
    enum smelt_status (*flush)(struct pruning *pruning, struct smelt_error *err);
};

static enum smelt_status add_delete(struct pruning *pruning, enum smelt_store_family family,
                                    const struct sm_ledger_key *key, struct smelt_error *err)
{
    struct smelt_buf *keys = pruning->keys;
    assert(keys->capacity - keys->size >= key->size); /* or slices would move */
    struct smelt_store_write write = {
        .family = family, .key = sm_slice(keys->data + keys->size, key->size), .is_delete = true};
    if (!sm_write_list_add(pruning->list, &write)) {
        return sm_error_no_memory(err, WHERE);
    }
    (void)sm_buf_append(keys, key->bytes, key->size);
    return pruning->flush != NULL && pruning->list->count >= BATCH_MAX
               ? pruning->flush(pruning, err)
               : SMELT_STATUS_OK;
}

static enum smelt_status flush(struct pruning *pruning, struct smelt_error *err)
{
    struct smelt_store *store = pruning->view->store;
    enum smelt_status status = SMELT_STATUS_OK;
    if (pruning->list->count != 0) {
        status = store->ops->write(store->impl, pruning->list->writes, pruning->list->count, err);
    }
    pruning->list->count = 0;
    pruning->keys->size = 0;
    return status;
}

/* An id may be that of a later transaction by now: one that was rejected comes again. */
static enum smelt_status prune_id(struct pruning *pruning, const struct smelt_hash *id,
                                  uint64_t number, uint32_t index, struct smelt_error *err)
{
    struct sm_ledger_key key;
    uint64_t found_number;
    uint32_t found_index;
    bool found;
    enum smelt_status status =
        sm_view_place(pruning->view, id, &found_number, &found_index, &found, err);
    if (status != SMELT_STATUS_OK || !found || found_number != number || found_index != index) {
        return status;
    }
    sm_id_key(id, &key);
    return add_delete(pruning, SMELT_STORE_RECEIPTS, &key, err);
}

/* Pages that are not there went before. */
static enum smelt_status prune_ids(struct pruning *pruning, uint64_t number, uint32_t transactions,
                                   struct smelt_error *err)
{
    struct smelt_buf value = {0};
    uint32_t page_count = sm_ledger_page_count(transactions);
    enum smelt_status status = SMELT_STATUS_OK;
    for (uint32_t i = 0; i < page_count; i++) {
        uint32_t left = transactions - i * SM_LEDGER_PAGE;
        struct sm_page page;
        struct sm_page_walk walk = {.page = &page};
        struct sm_receipt_view receipt;
        struct smelt_slice code;
        bool has_next;
        SMELT_TRY(sm_view_page(pruning->view, SM_PAGE_RECEIPTS, number, i, &value, &page, &has_next,
                               err));
        if (has_next && page.count != (left < SM_LEDGER_PAGE ? left : SM_LEDGER_PAGE)) {
            status = sm_page_corrupt(SM_PAGE_RECEIPTS, number, i,
                                     "it does not have as many receipts as it should", err);
            goto cleanup;
        }
        while (has_next) {
            SMELT_TRY(sm_page_next_receipt(&walk, &receipt, &code, &has_next, err));
            if (has_next && receipt.receipt.has_id) {
                SMELT_TRY(prune_id(pruning, &receipt.receipt.id, number,
                                   i * SM_LEDGER_PAGE + walk.position - 1, err));
            }
        }
    }
cleanup:
    smelt_buf_deinit(&value);
    return status;
}

/* From the last page to the first: the first one is what finds a wave again. */
static enum smelt_status prune_pages(struct pruning *pruning, uint64_t number, uint32_t page_count,
                                     struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    for (uint32_t i = page_count; i > 0; i--) {
        struct sm_ledger_key key;
        sm_event_page_key(number, i - 1, &key);
        SMELT_TRY(add_delete(pruning, SMELT_STORE_EVENTS, &key, err));
        sm_receipt_page_key(number, i - 1, &key);
        SMELT_TRY(add_delete(pruning, SMELT_STORE_RECEIPTS, &key, err));
    }
cleanup:
    return status;
}

static enum smelt_status prune_wave(struct pruning *pruning, uint64_t number, uint32_t transactions,
                                    struct smelt_error *err)
{
    enum smelt_status status = prune_ids(pruning, number, transactions, err);
    return status == SMELT_STATUS_OK
               ? prune_pages(pruning, number, sm_ledger_page_count(transactions), err)
               : status;
}

/* One wave at a time, as part of somebody else's batch. */

enum smelt_status sm_ledger_kept(struct smelt_store *store, uint64_t *out, struct smelt_error *err)
{
    struct sm_ledger_view view;
    *out = 0;
    enum smelt_status status = sm_view_open(store, &view, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    status = sm_view_first(&view, out, err);
    if (status == SMELT_STATUS_OK && view.kept > *out) {
        *out = view.kept;
    }
    sm_view_close(&view);
    return status;
}

enum smelt_status sm_ledger_prune(struct smelt_store *store, uint64_t number,
                                  struct smelt_buf *keys, struct sm_write_list *list,
                                  struct smelt_error *err)
{
    assert(keys->size == 0);
    struct sm_ledger_view view;
    struct pruning pruning = {.view = &view, .keys = keys, .list = list};
    struct smelt_wave_record record;
    struct smelt_store_write kept = {.family = SMELT_STORE_META,
                                     .key = smelt_slice_from_string(SM_KEPT_KEY)};
    size_t before = list->count;
    uint64_t first = 0;
    uint32_t page_count;
    enum smelt_status status = sm_view_open(store, &view, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    SMELT_TRY(sm_view_first(&view, &first, err));
    if (!view.head.has_wave || number < first || number < view.kept ||
        number > view.head.record.number) {
        goto cleanup;
    }
    SMELT_TRY(sm_view_wave(&view, number, &record, err));
    page_count = sm_ledger_page_count(record.transaction_count);
    if (!sm_buf_reserve(keys, SM_KEPT_BYTES + (size_t)record.transaction_count * SM_ID_KEY_BYTES +
                                  (size_t)page_count *
                                      (SM_RECEIPT_PAGE_KEY_BYTES + SM_EVENT_PAGE_KEY_BYTES))) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    sm_store_le64(keys->data, number + 1);
    keys->size = SM_KEPT_BYTES;
    kept.value = sm_slice(keys->data, SM_KEPT_BYTES);
    if (!sm_write_list_add(list, &kept)) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    status = prune_wave(&pruning, number, record.transaction_count, err);
cleanup:
    if (status != SMELT_STATUS_OK) {
        list->count = before;
        keys->size = 0;
    }
    sm_view_close(&view);
    return status;
}

/* All before a wave, in batches of our own. */

struct lowest {
    struct sm_ledger_key_parts parts;
    bool is_found;
    bool is_key;
};

static bool take_lowest(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct lowest *lowest = (struct lowest *)context;
    (void)value;
    lowest->is_found = true;
    lowest->is_key = sm_receipts_key_parse(key, &lowest->parts);
    return false;
}

/* Where to begin: the lowest wave that has a page of receipts; UINT64_MAX when none has. */
static enum smelt_status lowest_wave(const struct sm_ledger_view *view, uint64_t *out,
                                     struct smelt_error *err)
{
    struct lowest lowest = {0};
    *out = UINT64_MAX;
    enum smelt_status status = view->store->ops->iterate(
        view->store->impl, view->snapshot, SMELT_STORE_RECEIPTS,
        smelt_slice_from_string(SM_PAGE_PREFIX), take_lowest, &lowest, err);
    if (status != SMELT_STATUS_OK || !lowest.is_found) {
        return status;
    }
    if (!lowest.is_key) {
        return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                            "a key among the pages of receipts is not one; restore the state from "
                            "a copy");
    }
    *out = lowest.parts.number;
    return SMELT_STATUS_OK;
}

static enum smelt_status write_kept(const struct sm_ledger_view *view, uint64_t first_kept,
                                    struct smelt_error *err)
{
    uint8_t value[SM_KEPT_BYTES];
    sm_store_le64(value, first_kept);
    struct smelt_store_write write = {.family = SMELT_STORE_META,
                                      .key = smelt_slice_from_string(SM_KEPT_KEY),
                                      .value = sm_slice(value, sizeof(value))};
    return view->store->ops->write(view->store->impl, &write, 1, err);
}

static enum smelt_status prune_before(const struct sm_ledger_view *view, uint64_t end,
                                      struct smelt_error *err)
{
    struct smelt_buf keys = {0};
    struct sm_write_list list = {0};
    struct pruning pruning = {.view = view, .keys = &keys, .list = &list, .flush = flush};
    uint64_t number;
    uint64_t first;
    enum smelt_status status = SMELT_STATUS_OK;
    if (!sm_buf_reserve(&keys, (size_t)BATCH_MAX * SM_ID_KEY_BYTES)) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    SMELT_TRY(lowest_wave(view, &number, err));
    SMELT_TRY(sm_view_first(view, &first, err));
    if (number < first) {
        status = sm_view_corrupt(number, "it has receipts, but there is no such wave", err);
        goto cleanup;
    }
    for (; number < end; number++) {
        struct smelt_wave_record record;
        SMELT_TRY(sm_view_wave(view, number, &record, err));
        SMELT_TRY(prune_wave(&pruning, number, record.transaction_count, err));
    }
    status = flush(&pruning, err);
cleanup:
    sm_write_list_deinit(&list);
    smelt_buf_deinit(&keys);
    return status;
}

enum smelt_status smelt_receipts_prune(struct smelt_store *store, uint64_t first_kept,
                                       struct smelt_error *err)
{
    struct sm_ledger_view view;
    enum smelt_status status = sm_view_open(store, &view, err);
    if (status != SMELT_STATUS_OK || !view.head.has_wave) {
        sm_view_close(&view);
        return status;
    }
    uint64_t newest = view.head.record.number;
    uint64_t end = first_kept > newest && newest != UINT64_MAX ? newest + 1 : first_kept;
    /* what was promised before is finished, too */
    if (end > view.kept) {
        SMELT_TRY(write_kept(&view, end, err));
    } else {
        end = view.kept;
    }
    status = prune_before(&view, end, err);
cleanup:
    sm_view_close(&view);
    return status;
}
