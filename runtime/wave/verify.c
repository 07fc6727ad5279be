/* Checking a whole state: everything is read, and every digest computed again.
 *
 *     waves      first … newest: the record, its place in the chain, and, from the first one whose
 *                receipts are kept on, its pages against all that the record says of them
 *     keys       what is in families RECEIPTS and EVENTS is what the waves account for
 *     modules    their hash is their name
 *     state      keys and accounts are well-formed, and what the commitment's root says they are
 *
 * Memory is bounded by a page, whatever is stored. Visitors ask the store for nothing, which not
 * every store allows: that no key is one too many, or is about nothing, shows by counting. */
#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"
#include "runtime/state/commitment.h"
#include "runtime/state/keys.h"
#include "runtime/wave/bloom.h"
#include "runtime/wave/event_code.h"
#include "runtime/wave/ledger_keys.h"
#include "runtime/wave/ledger_view.h"
#include "runtime/wave/merkle.h"
#include "runtime/wave/page_walk.h"

#include <inttypes.h>
#include <string.h>

#define WHERE "verify"

struct check {
    struct sm_ledger_view view;
    struct smelt_state_check found;
    uint64_t receipt_pages;
    uint64_t event_pages;
    uint64_t ids; /* that lead to their receipt */
    struct smelt_buf receipts_value;
    struct smelt_buf events_value;
    /* of what a visitor found */
    struct smelt_error *err;
    enum smelt_status status;
};

/* One wave. */

struct wave_check {
    const struct smelt_wave_record *record;
    struct sm_digest receipts;
    struct sm_merkle events;
    struct smelt_wave_record sums;         /* counts, fuel, fees, bloom */
    uint32_t event_counts[SM_LEDGER_PAGE]; /* by the receipts of the page */
};

/* The id of a receipt leads to it, or to a later one with the same id. */
static enum smelt_status check_id(struct check *check, const struct smelt_hash *id, uint64_t wave,
                                  uint32_t index, struct smelt_error *err)
{
    uint64_t number;
    uint32_t place;
    bool found;
    enum smelt_status status = sm_view_place(&check->view, id, &number, &place, &found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!found || number < wave || (number == wave && place < index)) {
        return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                            "wave %" PRIu64 ", receipt %" PRIu32 ": its id leads %s; restore the "
                            "state from a copy",
                            wave, index, found ? "to another receipt" : "nowhere");
    }
    check->ids += number == wave && place == index;
    return SMELT_STATUS_OK;
}

static bool add_receipt(struct wave_check *wave, const struct smelt_wave_receipt *receipt)
{
    struct smelt_wave_record *sums = &wave->sums;
    bool is_failed =
        receipt->status != SMELT_STATUS_OK || receipt->outcome.kind != SMELT_OUTCOME_RETURNED;
    sums->rejected_count += receipt->is_rejected;
    sums->failed_count += !receipt->is_rejected && is_failed;
    bool is_sum = !__builtin_add_overflow(sums->fuel_used, receipt->fuel_used, &sums->fuel_used);
    return sm_u128_add(sums->fees, receipt->fee, &sums->fees) && is_sum;
}

static enum smelt_status check_receipts(struct check *check, struct wave_check *wave,
                                        const struct sm_page *page, struct smelt_error *err)
{
    struct sm_page_walk walk = {.page = page};
    bool has_next = true;
    memset(wave->event_counts, 0, sizeof(wave->event_counts));
    while (has_next) {
        struct sm_receipt_view view;
        struct smelt_slice code;
        enum smelt_status status = sm_page_next_receipt(&walk, &view, &code, &has_next, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        if (!has_next) {
            break;
        }
        uint32_t position = walk.position - 1;
        wave->event_counts[position] = view.receipt.event_count;
        sm_digest_slice(&wave->receipts, code);
        if (!add_receipt(wave, &view.receipt)) {
            return sm_page_corrupt(page->kind, page->wave, page->number,
                                   "fuel or fees add up to more than there can be", err);
        }
        if (view.receipt.has_id) {
            status = check_id(check, &view.receipt.id, page->wave,
                              page->number * SM_LEDGER_PAGE + position, err);
            if (status != SMELT_STATUS_OK) {
                return status;
            }
        }
    }
    wave->sums.transaction_count += page->count;
    return SMELT_STATUS_OK;
}

/* As many events of each transaction as its receipt says. */
static enum smelt_status check_events(struct wave_check *wave, const struct sm_page *page,
                                      struct smelt_error *err)
{
    struct sm_page_walk walk = {.page = page};
    bool is_as_counted = true;
    for (;;) {
        struct smelt_event event;
        struct smelt_slice code;
        struct smelt_hash leaf;
        bool has_next;
        enum smelt_status status = sm_page_next_event(&walk, &event, &code, &has_next, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        if (!has_next) {
            break;
        }
        uint32_t *count = &wave->event_counts[walk.transaction % SM_LEDGER_PAGE];
        is_as_counted = is_as_counted && *count != 0;
        *count -= *count != 0;
        sm_event_leaf(page->wave, code, &leaf);
        sm_merkle_add(&wave->events, &leaf);
        sm_bloom_add(wave->sums.bloom, sm_slice(event.address.bytes, SMELT_ADDRESS_BYTES));
        sm_bloom_add(wave->sums.bloom, event.topic);
    }
    for (size_t i = 0; i < SM_LEDGER_PAGE; i++) {
        is_as_counted = is_as_counted && wave->event_counts[i] == 0;
    }
    wave->sums.event_count += page->count;
    return is_as_counted ? SMELT_STATUS_OK
                         : sm_page_corrupt(page->kind, page->wave, page->number,
                                           "its events are not those that the receipts count", err);
}

/* A page of receipts, and the page of events that goes with it. */
static enum smelt_status check_pages(struct check *check, struct wave_check *wave, uint32_t number,
                                     struct smelt_error *err)
{
    const struct smelt_wave_record *record = wave->record;
    uint32_t left = record->transaction_count - number * SM_LEDGER_PAGE;
    uint32_t expected = left < SM_LEDGER_PAGE ? left : SM_LEDGER_PAGE;
    struct sm_page receipts;
    struct sm_page events;
    bool has_receipts;
    bool has_events;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_view_page(&check->view, SM_PAGE_RECEIPTS, record->number, number,
                           &check->receipts_value, &receipts, &has_receipts, err));
    SMELT_TRY(sm_view_page(&check->view, SM_PAGE_EVENTS, record->number, number,
                           &check->events_value, &events, &has_events, err));
    if (!has_receipts || receipts.count != expected ||
        receipts.first_event != wave->sums.event_count) {
        return sm_page_corrupt(SM_PAGE_RECEIPTS, record->number, number,
                               has_receipts ? "it does not go on where the pages before it end"
                                            : "it is missing",
                               err);
    }
    SMELT_TRY(check_receipts(check, wave, &receipts, err));
    if (!has_events) {
        events = (struct sm_page){.kind = SM_PAGE_EVENTS, .wave = record->number, .number = number};
    } else if (events.first_event != wave->sums.event_count || events.count == 0) {
        return sm_page_corrupt(SM_PAGE_EVENTS, record->number, number,
                               "it does not go on where the pages before it end", err);
    }
    SMELT_TRY(check_events(wave, &events, err));
    check->receipt_pages++;
    check->event_pages += has_events;
cleanup:
    return status;
}

static enum smelt_status compare(const struct wave_check *wave, struct smelt_error *err)
{
    const struct smelt_wave_record *record = wave->record;
    const struct smelt_wave_record *sums = &wave->sums;
    struct sm_digest digest = wave->receipts;
    struct smelt_hash receipts;
    struct smelt_hash events;
    sm_digest_final(&digest, &receipts);
    sm_merkle_root(&wave->events, &events);
    const char *what = NULL;
    if (!sm_hash_equal(&receipts, &record->receipts_digest)) {
        what = "its receipts do not have the digest in its record";
    } else if (!sm_hash_equal(&events, &record->events_root)) {
        what = "its events do not have the root in its record";
    } else if (memcmp(sums->bloom, record->bloom, sizeof(sums->bloom)) != 0) {
        what = "its events do not have the bloom in its record";
    } else if (sums->transaction_count != record->transaction_count ||
               sums->rejected_count != record->rejected_count ||
               sums->failed_count != record->failed_count ||
               sums->event_count != record->event_count || sums->fuel_used != record->fuel_used ||
               sums->fees.low != record->fees.low || sums->fees.high != record->fees.high) {
        what = "its receipts do not add up to the counts and sums in its record";
    }
    return what == NULL ? SMELT_STATUS_OK : sm_view_corrupt(record->number, what, err);
}

static enum smelt_status check_content(struct check *check, const struct smelt_wave_record *record,
                                       struct smelt_error *err)
{
    struct wave_check wave = {.record = record};
    uint32_t page_count = sm_ledger_page_count(record->transaction_count);
    sm_receipts_digest_init(&wave.receipts, record->transaction_count);
    for (uint32_t i = 0; i < page_count; i++) {
        enum smelt_status status = check_pages(check, &wave, i, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
    }
    check->found.receipts += wave.sums.transaction_count;
    check->found.events += wave.sums.event_count;
    return compare(&wave, err);
}

/* All waves. */

/* `parent` is the digest of the record before, and `last` that record; of the first wave they are
 * zeroes. */
static enum smelt_status check_record(const struct check *check,
                                      const struct smelt_wave_record *record,
                                      const struct smelt_hash *parent,
                                      const struct smelt_wave_record *last, struct smelt_error *err)
{
    const char *what = NULL;
    if (record->chain_id != check->view.head.chain_id) {
        what = "its record is of another chain";
    } else if (!sm_hash_equal(&record->parent, parent)) {
        what = last->number != 0 ? "its record does not name the last wave's as its parent"
                                 : "it is the first, but its record names a parent";
    } else if (record->timestamp < last->timestamp) {
        what = "its timestamp is before the last wave's";
    }
    return what == NULL ? SMELT_STATUS_OK : sm_view_corrupt(record->number, what, err);
}

static enum smelt_status check_waves(struct check *check, struct smelt_error *err)
{
    const struct sm_ledger_head *head = &check->view.head;
    struct smelt_wave_record last = {0};
    struct smelt_hash parent = {0};
    uint64_t first = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_view_first(&check->view, &first, err));
    while (last.number != head->record.number) {
        struct smelt_wave_record record;
        uint64_t number = last.number != 0 ? last.number + 1 : first;
        bool found;
        SMELT_TRY(sm_view_record(&check->view, number, &record, &found, err));
        if (!found) {
            return sm_view_corrupt(number, "its record is missing", err);
        }
        SMELT_TRY(check_record(check, &record, &parent, &last, err));
        if (number < check->view.kept) {
            check->found.pruned++;
        } else {
            SMELT_TRY(check_content(check, &record, err));
        }
        check->found.waves++;
        smelt_wave_record_digest(&record, &parent);
        last = record;
    }
    /* the newest one's digest was checked when the view was opened */
cleanup:
    return status;
}

/* Keys: as many as there should be. A wave that is being pruned may have some left. */

struct key_counts {
    struct check *check;
    uint64_t records;
    uint64_t receipt_pages;
    uint64_t event_pages;
    uint64_t ids;
};

static bool bad_key(struct check *check, const char *family, struct smelt_slice key)
{
    char hex[2 * SMELT_HASH_BYTES + 1];
    smelt_hex_encode(key.data, key.size < SMELT_HASH_BYTES ? key.size : SMELT_HASH_BYTES, hex);
    check->status =
        sm_error_set(check->err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                     "the key %s (%zu bytes) is not one of %s; restore the state from a "
                     "copy",
                     hex, key.size, family);
    return false;
}

static bool count_receipts_key(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct key_counts *counts = (struct key_counts *)context;
    uint64_t kept = counts->check->view.kept;
    struct sm_ledger_key_parts parts;
    uint64_t number;
    uint32_t index;
    if (!sm_receipts_key_parse(key, &parts)) {
        return bad_key(counts->check, "records and receipts", key);
    }
    switch (parts.kind) {
    case SM_KEY_RECORD:
        counts->records++;
        break;
    case SM_KEY_RECEIPT_PAGE:
        counts->receipt_pages += parts.number >= kept;
        break;
    case SM_KEY_ID:
        counts->ids += !sm_place_decode(value, &number, &index) || number >= kept;
        break;
    case SM_KEY_EVENT_PAGE:
        break;
    }
    return true;
}

static bool count_events_key(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct key_counts *counts = (struct key_counts *)context;
    struct sm_ledger_key_parts parts;
    (void)value;
    if (!sm_events_key_parse(key, &parts)) {
        return bad_key(counts->check, "events", key);
    }
    counts->event_pages += parts.number >= counts->check->view.kept;
    return true;
}

static enum smelt_status iterate(struct check *check, enum smelt_store_family family,
                                 smelt_store_visit_fn visit, void *context)
{
    struct smelt_store *store = check->view.store;
    enum smelt_status status = store->ops->iterate(store->impl, check->view.snapshot, family,
                                                   sm_slice(NULL, 0), visit, context, check->err);
    return status != SMELT_STATUS_OK ? status : check->status;
}

static enum smelt_status compare_count(const char *what, uint64_t stored, uint64_t expected,
                                       struct smelt_error *err)
{
    return stored == expected
               ? SMELT_STATUS_OK
               : sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "the state has %" PRIu64 " %s, but its waves account for %" PRIu64
                              "; restore the state from a copy",
                              stored, what, expected);
}

static enum smelt_status check_keys(struct check *check, struct smelt_error *err)
{
    struct key_counts counts = {.check = check};
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(iterate(check, SMELT_STORE_RECEIPTS, count_receipts_key, &counts));
    SMELT_TRY(iterate(check, SMELT_STORE_EVENTS, count_events_key, &counts));
    SMELT_TRY(compare_count("records of waves", counts.records, check->found.waves, err));
    SMELT_TRY(compare_count("pages of receipts", counts.receipt_pages, check->receipt_pages, err));
    SMELT_TRY(compare_count("pages of events", counts.event_pages, check->event_pages, err));
    SMELT_TRY(compare_count("ids of transactions", counts.ids, check->ids, err));
cleanup:
    return status;
}

/* Modules, accounts and storage. */

static bool check_module(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct check *check = (struct check *)context;
    struct smelt_hash hash;
    char hex[2 * SMELT_HASH_BYTES + 1];
    if (key.size != SMELT_HASH_BYTES) {
        return bad_key(check, "modules", key);
    }
    sm_digest_bytes(value, &hash);
    if (memcmp(hash.bytes, key.data, sizeof(hash.bytes)) != 0) {
        smelt_hex_encode(key.data, key.size, hex);
        check->status = sm_error_set(check->err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                                     "module %s does not have the hash that it is stored under; "
                                     "restore the state from a copy",
                                     hex);
        return false;
    }
    check->found.modules++;
    return true;
}

static bool is_nothing(const struct smelt_account *account)
{
    return sm_u128_is_zero(account->balance) && account->nonce == 0 && !account->is_contract;
}

static bool check_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct check *check = (struct check *)context;
    struct smelt_account account;
    char hex[2 * SMELT_ADDRESS_BYTES + 1];
    if (sm_state_is_storage_key(key) && key.size <= SMELT_ADDRESS_BYTES + 1 + SM_STATE_KEY_MAX) {
        check->found.storage++;
        return true;
    }
    if (!sm_state_is_account_key(key)) {
        return bad_key(check, "accounts and storage", key);
    }
    smelt_hex_encode(key.data, SMELT_ADDRESS_BYTES, hex);
    if (sm_state_decode_account(value, &account, NULL) != SMELT_STATUS_OK || is_nothing(&account)) {
        check->status = sm_error_set(check->err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                                     "the record of account %s is damaged; restore the state from "
                                     "a copy",
                                     hex);
        return false;
    }
    check->found.accounts++;
    return true;
}

/* The root again, from accounts and storage instead of from the tree. */
static enum smelt_status check_commitment(struct check *check, struct smelt_error *err)
{
    struct smelt_store *store = check->view.store;
    struct smelt_state_check *found = &check->found;
    struct smelt_hash stored;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(
        sm_commitment_root_at(store, check->view.snapshot, &stored, &found->has_commitment, err));
    if (!found->has_commitment) {
        goto cleanup;
    }
    SMELT_TRY(sm_commitment_compute(store, check->view.snapshot, &found->state_root, err));
    if (!sm_hash_equal(&stored, &found->state_root)) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "accounts and storage do not have the root of the state commitment; "
                              "restore the state from a copy");
    }
cleanup:
    return status;
}

enum smelt_status smelt_state_verify(struct smelt_store *store, struct smelt_state_check *out,
                                     struct smelt_error *err)
{
    struct check check = {.err = err};
    enum smelt_status status = SMELT_STATUS_OK;
    memset(out, 0, sizeof(*out));
    SMELT_TRY(sm_view_open(store, &check.view, err));
    if (check.view.head.has_wave) {
        SMELT_TRY(check_waves(&check, err));
    }
    SMELT_TRY(check_keys(&check, err));
    SMELT_TRY(iterate(&check, SMELT_STORE_CODE, check_module, &check));
    SMELT_TRY(iterate(&check, SMELT_STORE_STATE, check_pair, &check));
    SMELT_TRY(check_commitment(&check, err));
    *out = check.found;
cleanup:
    smelt_buf_deinit(&check.events_value);
    smelt_buf_deinit(&check.receipts_value);
    sm_view_close(&check.view);
    return status;
}
