/* Records and receipts read back from a store, by number or by id. */
#include "base/bytes.h"
#include "base/status.h"
#include "runtime/wave/ledger_view.h"
#include "runtime/wave/page_walk.h"

#include <inttypes.h>
#include <string.h>

#define WHERE "wave"

enum smelt_status smelt_wave_last(struct smelt_store *store, struct smelt_wave_record *out,
                                  struct smelt_hash *digest, bool *found, struct smelt_error *err)
{
    struct sm_ledger_head head;
    enum smelt_status status = sm_ledger_head(store, &head, err);
    *out = head.record;
    *found = head.has_wave;
    if (digest != NULL) {
        *digest = head.digest;
    }
    return status;
}

enum smelt_status smelt_wave_get(struct smelt_store *store, uint64_t number,
                                 struct smelt_wave_record *out, struct smelt_error *err)
{
    struct sm_ledger_view view;
    memset(out, 0, sizeof(*out));
    enum smelt_status status = sm_view_open(store, &view, err);
    if (status == SMELT_STATUS_OK) {
        status = sm_view_wave(&view, number, out, err);
        sm_view_close(&view);
    }
    return status;
}

static enum smelt_status pruned(uint64_t number, struct smelt_error *err)
{
    return sm_error_set(err, SMELT_STATUS_NOT_FOUND, WHERE,
                        "the receipts of wave %" PRIu64 " have been pruned", number);
}

/* The receipt at `index`, which the record says is there. */
static enum smelt_status copy_from_page(const struct sm_page *page, uint32_t index,
                                        struct smelt_wave_receipt **out, struct smelt_error *err)
{
    struct sm_page_walk walk = {.page = page};
    struct sm_receipt_view view;
    struct smelt_slice code;
    bool has_next = true;
    for (uint32_t i = 0; i <= index % SM_LEDGER_PAGE; i++) {
        enum smelt_status status = sm_page_next_receipt(&walk, &view, &code, &has_next, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        if (!has_next) {
            return sm_page_corrupt(page->kind, page->wave, page->number,
                                   "it has fewer receipts than the wave", err);
        }
    }
    return sm_receipt_copy(&view, page->wave, index, page->first_event + walk.event_count, out,
                           err);
}

static enum smelt_status get_receipt(const struct sm_ledger_view *view, uint64_t number,
                                     uint32_t index, struct smelt_wave_receipt **out,
                                     struct smelt_error *err)
{
    struct smelt_wave_record record;
    struct smelt_buf value = {0};
    struct sm_page page;
    bool found = false;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_view_wave(view, number, &record, err));
    if (number < view->kept) {
        status = pruned(number, err);
        goto cleanup;
    }
    if (index >= record.transaction_count) {
        status = sm_error_set(err, SMELT_STATUS_NOT_FOUND, WHERE,
                              "wave %" PRIu64 " has %" PRIu32 " transactions: there is no receipt "
                              "%" PRIu32,
                              number, record.transaction_count, index);
        goto cleanup;
    }
    SMELT_TRY(sm_view_page(view, SM_PAGE_RECEIPTS, number, index / SM_LEDGER_PAGE, &value, &page,
                           &found, err));
    status = found ? copy_from_page(&page, index, out, err)
                   : sm_page_corrupt(SM_PAGE_RECEIPTS, number, index / SM_LEDGER_PAGE,
                                     "it is missing", err);
cleanup:
    smelt_buf_deinit(&value);
    return status;
}

enum smelt_status smelt_wave_receipt_get(struct smelt_store *store, uint64_t number, uint32_t index,
                                         struct smelt_wave_receipt **out, struct smelt_error *err)
{
    struct sm_ledger_view view;
    *out = NULL;
    enum smelt_status status = sm_view_open(store, &view, err);
    if (status == SMELT_STATUS_OK) {
        status = get_receipt(&view, number, index, out, err);
        sm_view_close(&view);
    }
    return status;
}

/* The place of an id is believed only as far as the receipt there has the id. */
static enum smelt_status find_receipt(const struct sm_ledger_view *view,
                                      const struct smelt_hash *id, struct smelt_wave_receipt **out,
                                      struct smelt_error *err)
{
    char hex[2 * SMELT_HASH_BYTES + 1];
    uint64_t number;
    uint32_t index;
    bool found;
    smelt_hex_encode(id->bytes, sizeof(id->bytes), hex);
    enum smelt_status status = sm_view_place(view, id, &number, &index, &found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!found) {
        return sm_error_set(err, SMELT_STATUS_NOT_FOUND, WHERE,
                            "no transaction %s is in a wave whose receipts are kept", hex);
    }
    if (number < view->kept) {
        return pruned(number, err);
    }
    struct smelt_wave_receipt *receipt = NULL;
    status = get_receipt(view, number, index, &receipt, err);
    bool is_there = receipt != NULL && receipt->has_id &&
                    memcmp(receipt->id.bytes, id->bytes, sizeof(id->bytes)) == 0;
    if (is_there) {
        *out = receipt;
        return SMELT_STATUS_OK;
    }
    smelt_wave_receipt_destroy(receipt);
    if (status == SMELT_STATUS_OK || status == SMELT_STATUS_NOT_FOUND) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "transaction %s is not where the state says, wave %" PRIu64
                              ", receipt %" PRIu32 "; restore the state from a copy",
                              hex, number, index);
    }
    return status;
}

enum smelt_status smelt_wave_receipt_find(struct smelt_store *store, const struct smelt_hash *id,
                                          struct smelt_wave_receipt **out, struct smelt_error *err)
{
    struct sm_ledger_view view;
    *out = NULL;
    enum smelt_status status = sm_view_open(store, &view, err);
    if (status == SMELT_STATUS_OK) {
        status = find_receipt(&view, id, out, err);
        sm_view_close(&view);
    }
    return status;
}
