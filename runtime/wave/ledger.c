/* The ledger of a wave: journals in order become pages, digests, and writes.
 *
 *     receipts   header ‖ receipt ‖ … ‖ receipt ‖ header ‖ receipt …    a page per 64 transactions
 *     events     header ‖ event ‖ …                                     the same, but for pages
 *                                                                       without any event
 *
 * Room for the headers is left while appending, so that a page is a value for the store as it
 * stands; they are filled in when the writes are asked for. */
#include "runtime/wave/ledger.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/digest.h"
#include "base/status.h"
#include "runtime/wave/bloom.h"
#include "runtime/wave/ledger_keys.h"
#include "runtime/wave/ledger_view.h"
#include "runtime/wave/merkle.h"
#include "runtime/wave/page.h"
#include "runtime/wave/receipt_code.h"
#include "runtime/wave/record.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#define WHERE "wave"

/* Of each transaction: where its receipt is, and what its first event's position would be. */
struct mark {
    size_t start; /* in `receipts` */
    size_t size;
    uint32_t first_event;
};

struct event_page {
    size_t start; /* of the header, in `events` */
    uint32_t number;
    uint32_t first_event;
    uint32_t count;
};

enum { ID_BYTES = 4 + SMELT_HASH_BYTES }; /* of an entry of sm_journal.ids */

struct sm_ledger {
    atomic_size_t references;
    uint64_t wave;
    struct smelt_buf receipts;
    struct smelt_buf events;
    struct smelt_buf leaves; /* struct smelt_hash */
    struct smelt_buf ids;
    struct smelt_buf marks;       /* struct mark */
    struct smelt_buf event_pages; /* struct event_page */
    uint32_t count;               /* transactions */
    uint32_t rejected_count;
    uint32_t failed_count;
    uint32_t event_count;
    uint64_t fuel_used;
    struct smelt_u128 fees;
    uint8_t bloom[SMELT_BLOOM_BYTES];
    /* What the writes point to. */
    struct smelt_buf keys;
    uint8_t record[SM_RECORD_BYTES];
    uint8_t last[SM_LAST_BYTES];
    uint8_t chain_id[SM_CHAIN_ID_BYTES];
};

static const struct mark *marks_of(const struct sm_ledger *ledger)
{
    return (const struct mark *)(const void *)ledger->marks.data;
}

enum smelt_status sm_ledger_create(uint64_t wave, struct sm_ledger **out, struct smelt_error *err)
{
    *out = (struct sm_ledger *)sm_calloc(1, sizeof(**out));
    if (*out == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    atomic_init(&(*out)->references, 1);
    (*out)->wave = wave;
    return SMELT_STATUS_OK;
}

struct sm_ledger *sm_ledger_acquire(struct sm_ledger *ledger)
{
    atomic_fetch_add_explicit(&ledger->references, 1, memory_order_relaxed);
    return ledger;
}

void sm_ledger_release(struct sm_ledger *ledger)
{
    /* the last one sees every use by other threads as over */
    if (ledger == NULL ||
        atomic_fetch_sub_explicit(&ledger->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    smelt_buf_deinit(&ledger->receipts);
    smelt_buf_deinit(&ledger->events);
    smelt_buf_deinit(&ledger->leaves);
    smelt_buf_deinit(&ledger->ids);
    smelt_buf_deinit(&ledger->marks);
    smelt_buf_deinit(&ledger->event_pages);
    smelt_buf_deinit(&ledger->keys);
    sm_free(ledger);
}

/* Appending. */

/* Into room that was reserved. */
static void append(struct smelt_buf *buf, const void *data, size_t size)
{
    bool is_done = sm_buf_append(buf, data, size);
    assert(is_done);
    (void)is_done;
}

/* For all that the journal can add, so that nothing fails once something was added. */
static bool reserve(struct sm_ledger *ledger, const struct sm_journal *journal)
{
    size_t pages = (size_t)sm_ledger_page_count(journal->receipt_count) + 1;
    size_t headers = pages * SM_PAGE_HEADER_BYTES;
    size_t receipt_bytes;
    size_t event_bytes;
    return sm_add_size(journal->receipts.size, headers, &receipt_bytes) &&
           sm_add_size(journal->events.size, headers, &event_bytes) &&
           sm_buf_reserve(&ledger->receipts, receipt_bytes) &&
           sm_buf_reserve(&ledger->events, event_bytes) &&
           sm_buf_reserve(&ledger->leaves, journal->leaves.size) &&
           sm_buf_reserve(&ledger->ids, journal->ids.size) &&
           sm_buf_reserve(&ledger->marks, journal->receipt_count * sizeof(struct mark)) &&
           sm_buf_reserve(&ledger->event_pages, pages * sizeof(struct event_page));
}

static struct event_page *last_event_page(struct sm_ledger *ledger)
{
    size_t count = ledger->event_pages.size / sizeof(struct event_page);
    return count != 0 ? (struct event_page *)(void *)ledger->event_pages.data + count - 1 : NULL;
}

static void append_events(struct sm_ledger *ledger, const uint8_t *events,
                          const struct sm_journal_mark *mark)
{
    static const uint8_t header[SM_PAGE_HEADER_BYTES];
    uint32_t number = ledger->count / SM_LEDGER_PAGE;
    struct event_page *page = last_event_page(ledger);
    if (page == NULL || page->number != number) {
        struct event_page next = {
            .start = ledger->events.size, .number = number, .first_event = ledger->event_count};
        append(&ledger->event_pages, &next, sizeof(next));
        append(&ledger->events, header, sizeof(header));
        page = last_event_page(ledger);
    }
    page->count += mark->event_count;
    append(&ledger->events, events, mark->event_bytes);
}

static void append_transaction(struct sm_ledger *ledger, const uint8_t *receipt,
                               const uint8_t *events, const struct sm_journal_mark *from)
{
    static const uint8_t header[SM_PAGE_HEADER_BYTES];
    if (ledger->count % SM_LEDGER_PAGE == 0) {
        append(&ledger->receipts, header, sizeof(header));
    }
    struct mark mark = {.start = ledger->receipts.size,
                        .size = from->receipt_bytes,
                        .first_event = ledger->event_count};
    append(&ledger->marks, &mark, sizeof(mark));
    append(&ledger->receipts, receipt, from->receipt_bytes);
    if (from->event_count != 0) {
        append_events(ledger, events, from);
    }
    ledger->event_count += from->event_count;
    ledger->count++;
}

/* Ids are the only part of a journal that says which transactions it is about. */
static bool has_ids_in_place(const struct sm_ledger *ledger, const struct sm_journal *journal)
{
    bool is_in_place = true;
    for (size_t at = 0; is_in_place && at < journal->ids.size; at += ID_BYTES) {
        uint32_t index = sm_load_le32(journal->ids.data + at);
        is_in_place = index >= ledger->count && index - ledger->count < journal->receipt_count;
    }
    return is_in_place;
}

enum smelt_status sm_ledger_append(struct sm_ledger *ledger, const struct sm_journal *journal,
                                   struct smelt_error *err)
{
    assert(journal->marked_events == journal->event_count);
    if (journal->receipt_count > SMELT_WAVE_TRANSACTIONS_MAX - ledger->count ||
        journal->event_count > UINT32_MAX - ledger->event_count ||
        !has_ids_in_place(ledger, journal)) {
        return sm_error_set(err, SMELT_STATUS_INTERNAL, WHERE,
                            "a journal of %" PRIu32 " transactions does not follow the first "
                            "%" PRIu32 " of wave %" PRIu64,
                            journal->receipt_count, ledger->count, ledger->wave);
    }
    if (!reserve(ledger, journal)) {
        return sm_error_no_memory(err, WHERE);
    }
    const struct sm_journal_mark *marks =
        (const struct sm_journal_mark *)(const void *)journal->marks.data;
    const uint8_t *receipt = journal->receipts.data;
    const uint8_t *events = journal->events.data;
    for (uint32_t i = 0; i < journal->receipt_count; i++) {
        append_transaction(ledger, receipt, events, &marks[i]);
        receipt += marks[i].receipt_bytes;
        events = marks[i].event_bytes != 0 ? events + marks[i].event_bytes : events;
    }
    append(&ledger->leaves, journal->leaves.data, journal->leaves.size);
    append(&ledger->ids, journal->ids.data, journal->ids.size);
    ledger->rejected_count += journal->rejected_count;
    ledger->failed_count += journal->failed_count;
    ledger->fuel_used += journal->fuel_used;
    bool is_sum = sm_u128_add(ledger->fees, journal->fees, &ledger->fees);
    assert(is_sum); /* see sm_journal_receipt */
    (void)is_sum;
    sm_bloom_join(ledger->bloom, journal->bloom);
    return SMELT_STATUS_OK;
}

/* Closing. */

static struct smelt_slice receipt_code(const struct sm_ledger *ledger, uint32_t index)
{
    const struct mark *mark = &marks_of(ledger)[index];
    return sm_slice(ledger->receipts.data + mark->start, mark->size);
}

void sm_ledger_receipts_digest(const struct sm_ledger *ledger, struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_receipts_digest_init(&digest, ledger->count);
    for (uint32_t i = 0; i < ledger->count; i++) {
        sm_digest_slice(&digest, receipt_code(ledger, i));
    }
    sm_digest_final(&digest, out);
}

enum smelt_status sm_ledger_events_root(const struct sm_ledger *ledger, struct smelt_hash *out,
                                        struct smelt_error *err)
{
    (void)err; /* needs no memory */
    struct sm_merkle merkle = {0};
    const struct smelt_hash *leaves = (const struct smelt_hash *)ledger->leaves.data;
    for (uint32_t i = 0; i < ledger->event_count; i++) {
        sm_merkle_add(&merkle, &leaves[i]);
    }
    sm_merkle_root(&merkle, out);
    return SMELT_STATUS_OK;
}

void sm_ledger_totals(const struct sm_ledger *ledger, struct smelt_wave_record *record)
{
    record->transaction_count = ledger->count;
    record->rejected_count = ledger->rejected_count;
    record->failed_count = ledger->failed_count;
    record->event_count = ledger->event_count;
    record->fuel_used = ledger->fuel_used;
    record->fees = ledger->fees;
    memcpy(record->bloom, ledger->bloom, sizeof(record->bloom));
}

enum smelt_status sm_ledger_receipt(const struct sm_ledger *ledger, uint32_t index,
                                    struct smelt_wave_receipt **out, struct smelt_error *err)
{
    struct sm_receipt_view view;
    *out = NULL;
    if (index >= ledger->count) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "wave %" PRIu64 " has %" PRIu32 " transactions: there is no receipt "
                            "%" PRIu32,
                            ledger->wave, ledger->count, index);
    }
    if (!sm_receipt_decode(receipt_code(ledger, index), &view)) {
        return sm_error_set(err, SMELT_STATUS_INTERNAL, WHERE,
                            "wave %" PRIu64 ": receipt %" PRIu32 " was not encoded as it is read",
                            ledger->wave, index);
    }
    return sm_receipt_copy(&view, ledger->wave, index, marks_of(ledger)[index].first_event, out,
                           err);
}

/* Writes. */

bool sm_write_list_add(struct sm_write_list *list, const struct smelt_store_write *write)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity < 16 ? 16 : 2 * list->capacity;
        struct smelt_store_write *writes =
            (struct smelt_store_write *)sm_realloc_array(list->writes, capacity, sizeof(*writes));
        if (writes == NULL) {
            return false;
        }
        list->writes = writes;
        list->capacity = capacity;
    }
    list->writes[list->count++] = *write;
    return true;
}

void sm_write_list_deinit(struct sm_write_list *list)
{
    sm_free(list->writes);
    memset(list, 0, sizeof(*list));
}

static bool add(struct sm_write_list *list, enum smelt_store_family family, struct smelt_slice key,
                struct smelt_slice value)
{
    return sm_write_list_add(
        list, &(struct smelt_store_write){.family = family, .key = key, .value = value});
}

/* With a key that is copied to where there is room for it. */
static bool add_keyed(struct sm_ledger *ledger, struct sm_write_list *list,
                      enum smelt_store_family family, const struct sm_ledger_key *key,
                      struct smelt_slice value)
{
    size_t start = ledger->keys.size;
    append(&ledger->keys, key->bytes, key->size);
    return add(list, family, sm_slice(ledger->keys.data + start, key->size), value);
}

/* Fills in the header of what lies from `start` to `end`, and adds it as one value. */
static bool add_page(struct sm_ledger *ledger, struct sm_write_list *list,
                     const struct sm_page *page, struct smelt_buf *buf, size_t start, size_t end)
{
    struct sm_page sealed = *page;
    struct sm_ledger_key key;
    bool is_receipts = page->kind == SM_PAGE_RECEIPTS;
    sealed.content =
        sm_slice(buf->data + start + SM_PAGE_HEADER_BYTES, end - start - SM_PAGE_HEADER_BYTES);
    sm_page_seal(&sealed, buf->data + start);
    (is_receipts ? sm_receipt_page_key : sm_event_page_key)(page->wave, page->number, &key);
    return add_keyed(ledger, list, is_receipts ? SMELT_STORE_RECEIPTS : SMELT_STORE_EVENTS, &key,
                     sm_slice(buf->data + start, end - start));
}

static bool add_receipt_pages(struct sm_ledger *ledger, struct sm_write_list *list)
{
    const struct mark *marks = marks_of(ledger);
    bool is_done = true;
    for (uint32_t first = 0; is_done && first < ledger->count; first += SM_LEDGER_PAGE) {
        uint32_t left = ledger->count - first;
        bool is_last = left <= SM_LEDGER_PAGE;
        struct sm_page page = {.kind = SM_PAGE_RECEIPTS,
                               .wave = ledger->wave,
                               .number = first / SM_LEDGER_PAGE,
                               .first_event = marks[first].first_event,
                               .count = is_last ? left : SM_LEDGER_PAGE};
        size_t end = is_last ? ledger->receipts.size
                             : marks[first + SM_LEDGER_PAGE].start - SM_PAGE_HEADER_BYTES;
        is_done = add_page(ledger, list, &page, &ledger->receipts,
                           marks[first].start - SM_PAGE_HEADER_BYTES, end);
    }
    return is_done;
}

static bool add_event_pages(struct sm_ledger *ledger, struct sm_write_list *list)
{
    const struct event_page *pages =
        (const struct event_page *)(const void *)ledger->event_pages.data;
    size_t count = ledger->event_pages.size / sizeof(*pages);
    bool is_done = true;
    for (size_t i = 0; is_done && i < count; i++) {
        struct sm_page page = {.kind = SM_PAGE_EVENTS,
                               .wave = ledger->wave,
                               .number = pages[i].number,
                               .first_event = pages[i].first_event,
                               .count = pages[i].count};
        is_done = add_page(ledger, list, &page, &ledger->events, pages[i].start,
                           i + 1 < count ? pages[i + 1].start : ledger->events.size);
    }
    return is_done;
}

static bool add_ids(struct sm_ledger *ledger, struct sm_write_list *list)
{
    bool is_done = true;
    for (size_t at = 0; is_done && at < ledger->ids.size; at += ID_BYTES) {
        struct sm_ledger_key key;
        struct smelt_hash id;
        uint8_t place[SM_PLACE_BYTES];
        size_t start = ledger->keys.size;
        sm_place_encode(ledger->wave, sm_load_le32(ledger->ids.data + at), place);
        append(&ledger->keys, place, sizeof(place));
        memcpy(id.bytes, ledger->ids.data + at + 4, sizeof(id.bytes));
        sm_id_key(&id, &key);
        is_done = add_keyed(ledger, list, SMELT_STORE_RECEIPTS, &key,
                            sm_slice(ledger->keys.data + start, sizeof(place)));
    }
    return is_done;
}

static bool add_record(struct sm_ledger *ledger, const struct smelt_wave_record *record,
                       const struct smelt_hash *digest, bool is_first, struct sm_write_list *list)
{
    struct sm_ledger_key key;
    sm_record_encode(record, ledger->record);
    sm_store_le64(ledger->last, record->number);
    memcpy(ledger->last + 8, digest->bytes, sizeof(digest->bytes));
    sm_store_le64(ledger->chain_id, record->chain_id);
    sm_record_key(ledger->wave, &key);
    return add_keyed(ledger, list, SMELT_STORE_RECEIPTS, &key,
                     sm_slice(ledger->record, sizeof(ledger->record))) &&
           add(list, SMELT_STORE_META, smelt_slice_from_string(SM_LAST_KEY),
               sm_slice(ledger->last, sizeof(ledger->last))) &&
           (!is_first || add(list, SMELT_STORE_META, smelt_slice_from_string(SM_CHAIN_ID_KEY),
                             sm_slice(ledger->chain_id, sizeof(ledger->chain_id))));
}

enum smelt_status sm_ledger_writes(struct sm_ledger *ledger, const struct smelt_wave_record *record,
                                   const struct smelt_hash *digest, bool is_first,
                                   struct sm_write_list *list, struct smelt_error *err)
{
    assert(record->number == ledger->wave && record->transaction_count == ledger->count);
    size_t before = list->count;
    size_t ids = ledger->ids.size / ID_BYTES;
    size_t pages = sm_ledger_page_count(ledger->count);
    /* slices point into `keys`: it may not move while it is filled */
    ledger->keys.size = 0;
    if (!sm_buf_reserve(&ledger->keys,
                        SM_RECORD_KEY_BYTES +
                            pages * (SM_RECEIPT_PAGE_KEY_BYTES + SM_EVENT_PAGE_KEY_BYTES) +
                            ids * (SM_ID_KEY_BYTES + SM_PLACE_BYTES)) ||
        !add_record(ledger, record, digest, is_first, list) || !add_receipt_pages(ledger, list) ||
        !add_event_pages(ledger, list) || !add_ids(ledger, list)) {
        list->count = before;
        return sm_error_no_memory(err, WHERE);
    }
    return SMELT_STATUS_OK;
}
