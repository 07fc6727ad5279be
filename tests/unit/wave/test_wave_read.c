/* Reading waves back from a store, whole ones and damaged ones. */
#include "runtime/wave/ledger_keys.h"
#include "runtime/wave/page.h"
#include "runtime/wave/receipt_code.h"
#include "tests/unit/wave/wave_support.h"

#define FIRST 3u
#define LAST  12u

static struct smelt_store *open_chain(void)
{
    struct smelt_store *store;
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    write_chain(store, FIRST, LAST);
    return store;
}

static void test_a_store_without_waves(void **state)
{
    (void)state;
    struct smelt_store *store;
    struct smelt_wave_record record;
    struct smelt_wave_receipt *receipt;
    struct smelt_hash hash = {{1}};
    struct smelt_error err;
    bool found = true;
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_wave_last(store, &record, &hash, &found, NULL), SMELT_STATUS_OK);
    assert_false(found);
    assert_int_equal(hash.bytes[0], 0);
    assert_int_equal(smelt_wave_get(store, 1, &record, &err), SMELT_STATUS_NOT_FOUND);
    assert_string_equal(err.message, "there is no wave 1: the state has none");
    assert_int_equal(smelt_wave_receipt_get(store, 1, 0, &receipt, NULL), SMELT_STATUS_NOT_FOUND);
    assert_int_equal(smelt_wave_receipt_find(store, &hash, &receipt, NULL), SMELT_STATUS_NOT_FOUND);
    smelt_store_close(store);
}

static void test_records_are_read_back(void **state)
{
    (void)state;
    struct smelt_store *store = open_chain();
    struct smelt_wave_record record;
    struct smelt_hash digest;
    struct smelt_hash parent = {{0}};
    struct smelt_error err;
    bool found;
    for (uint64_t n = FIRST; n <= LAST; n++) {
        assert_int_equal(smelt_wave_get(store, n, &record, NULL), SMELT_STATUS_OK);
        assert_int_equal(record.number, n);
        assert_int_equal(record.transaction_count, chain_shape(n).count);
        assert_memory_equal(&record.parent, &parent, sizeof(parent));
        smelt_wave_record_digest(&record, &parent);
    }
    assert_int_equal(smelt_wave_last(store, &record, &digest, &found, NULL), SMELT_STATUS_OK);
    assert_true(found);
    assert_int_equal(record.number, LAST);
    assert_memory_equal(&digest, &parent, sizeof(digest));
    assert_int_equal(smelt_wave_last(store, &record, NULL, &found, NULL), SMELT_STATUS_OK);
    static const uint64_t missing[] = {0, FIRST - 1, LAST + 1, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(smelt_wave_get(store, missing[i], &record, &err), SMELT_STATUS_NOT_FOUND);
        assert_non_null(strstr(err.message, "the state has 3 to 12"));
    }
    smelt_store_close(store);
}

static void test_receipts_are_read_back(void **state)
{
    (void)state;
    struct smelt_store *store = open_chain();
    struct smelt_wave_receipt *receipt;
    struct smelt_error err;
    for (uint64_t n = FIRST; n <= LAST; n++) {
        struct wave_shape shape = chain_shape(n);
        uint32_t first_event = 0;
        for (uint32_t i = 0; i < shape.count; i++) {
            struct made made;
            struct smelt_hash id = id_of(n, i);
            make_transaction(&shape, i, &made);
            assert_int_equal(smelt_wave_receipt_get(store, n, i, &receipt, NULL), SMELT_STATUS_OK);
            assert_true(same_receipt(receipt, &made.receipt));
            assert_int_equal(receipt->first_event, first_event);
            smelt_wave_receipt_destroy(receipt);
            assert_int_equal(smelt_wave_receipt_find(store, &id, &receipt, NULL), SMELT_STATUS_OK);
            assert_true(same_receipt(receipt, &made.receipt));
            smelt_wave_receipt_destroy(receipt);
            first_event += made.receipt.event_count;
        }
        assert_int_equal(smelt_wave_receipt_get(store, n, shape.count, &receipt, &err),
                         SMELT_STATUS_NOT_FOUND);
        assert_null(receipt);
    }
    struct smelt_hash unknown = id_of(LAST + 1, 0);
    assert_int_equal(smelt_wave_receipt_find(store, &unknown, &receipt, &err),
                     SMELT_STATUS_NOT_FOUND);
    assert_int_equal(smelt_wave_receipt_get(store, LAST + 1, 0, &receipt, NULL),
                     SMELT_STATUS_NOT_FOUND);
    smelt_store_close(store);
}

/* Events, against the transactions that they are from. */

struct expected {
    const struct smelt_event_filter *filter;
    uint64_t wave;
    uint32_t transaction;
    uint32_t in_transaction;
    uint32_t index;
    uint64_t seen;
    uint64_t stop_after;
};

static bool is_wanted(const struct smelt_event_filter *filter, uint64_t wave,
                      const struct smelt_event *event)
{
    return wave >= filter->first_wave && wave <= filter->last_wave &&
           (filter->address == NULL || memcmp(filter->address, &event->address, 32) == 0) &&
           (filter->topic == NULL || sm_slice_equal(*filter->topic, event->topic));
}

/* Moves to the next event that the filter wants. */
static bool next_expected(struct expected *at, struct made *made)
{
    for (; at->wave <= LAST; at->wave++, at->transaction = 0, at->index = 0) {
        struct wave_shape shape = chain_shape(at->wave);
        for (; at->transaction < shape.count; at->transaction++, at->in_transaction = 0) {
            make_transaction(&shape, at->transaction, made);
            for (; at->in_transaction < made->receipt.event_count;
                 at->in_transaction++, at->index++) {
                if (is_wanted(at->filter, at->wave, &made->events[at->in_transaction])) {
                    return true;
                }
            }
        }
    }
    return false;
}

static bool check_event(void *context, const struct smelt_wave_event *event)
{
    struct expected *at = (struct expected *)context;
    struct made made;
    assert_true(next_expected(at, &made));
    const struct smelt_event *expected = &made.events[at->in_transaction];
    assert_int_equal(event->wave, at->wave);
    assert_int_equal(event->transaction, at->transaction);
    assert_int_equal(event->index, at->index);
    assert_memory_equal(&event->event.address, &expected->address, 32);
    assert_true(sm_slice_equal(event->event.topic, expected->topic));
    assert_true(sm_slice_equal(event->event.data, expected->data));
    at->in_transaction++;
    at->index++;
    return ++at->seen != at->stop_after;
}

static void test_events_are_visited(void **state)
{
    (void)state;
    struct smelt_store *store = open_chain();
    struct smelt_address second = contract_of(1);
    struct smelt_address stranger = contract_of(9);
    struct smelt_slice transfer = text("transfer");
    struct smelt_slice empty = text("");
    const struct {
        struct smelt_event_filter filter;
        bool is_empty;
    } rows[] = {
        {{0, UINT64_MAX, NULL, NULL}, false},
        {{FIRST, LAST, NULL, NULL}, false},
        {{5, 9, NULL, NULL}, false},
        {{LAST, UINT64_MAX, NULL, NULL}, true},
        {{0, UINT64_MAX, &second, NULL}, false},
        {{0, UINT64_MAX, NULL, &transfer}, false},
        {{0, UINT64_MAX, NULL, &empty}, false},
        {{4, 11, &second, &transfer}, false},
        {{0, UINT64_MAX, &stranger, NULL}, true},
        {{0, FIRST - 1, NULL, NULL}, true},
        {{LAST + 1, UINT64_MAX, NULL, NULL}, true},
        {{9, 5, NULL, NULL}, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct expected at = {.filter = &rows[i].filter, .wave = FIRST};
        struct made made;
        assert_int_equal(smelt_events_visit(store, &rows[i].filter, check_event, &at, NULL),
                         SMELT_STATUS_OK);
        assert_false(next_expected(&at, &made)); /* none was left out */
        assert_int_equal(at.seen == 0, rows[i].is_empty);
        if (at.seen > 2) {
            struct expected again = {.filter = &rows[i].filter, .wave = FIRST, .stop_after = 2};
            assert_int_equal(smelt_events_visit(store, &rows[i].filter, check_event, &again, NULL),
                             SMELT_STATUS_OK);
            assert_int_equal(again.seen, 2);
        }
    }
    smelt_store_close(store);
}

/* Damage. */

static bool ignore_event(void *context, const struct smelt_wave_event *event)
{
    (void)context;
    (void)event;
    return true;
}

/* All that reads wave 10 (of 65 transactions), each of its pages, or the head. */
static enum smelt_status read_wave_10(struct smelt_store *store, struct smelt_error *err)
{
    const struct smelt_event_filter filter = {10, 10, NULL, NULL};
    const struct smelt_hash id = id_of(10, 63);
    struct smelt_wave_record record;
    struct smelt_wave_receipt *receipt = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(smelt_wave_get(store, 10, &record, err));
    SMELT_TRY(smelt_wave_receipt_find(store, &id, &receipt, err));
    smelt_wave_receipt_destroy(receipt);
    SMELT_TRY(smelt_wave_receipt_get(store, 10, 64, &receipt, err));
    smelt_wave_receipt_destroy(receipt);
    status = smelt_events_visit(store, &filter, ignore_event, NULL, err);
cleanup:
    return status;
}

enum damage { FLIP, CUT, GROW, REMOVE, REPLACE };

static void test_damage_is_told_by_name(void **state)
{
    (void)state;
    struct sm_ledger_key record;
    struct sm_ledger_key older_record;
    struct sm_ledger_key newest_record;
    struct sm_ledger_key receipts;
    struct sm_ledger_key other_receipts;
    struct sm_ledger_key events;
    struct sm_ledger_key other_events;
    struct sm_ledger_key id;
    struct sm_ledger_key other_id;
    struct smelt_hash hash = id_of(10, 63);
    struct smelt_hash other_hash = id_of(10, 62);
    sm_record_key(10, &record);
    sm_record_key(9, &older_record);
    sm_record_key(LAST, &newest_record);
    sm_receipt_page_key(10, 1, &receipts);
    sm_receipt_page_key(10, 0, &other_receipts);
    sm_event_page_key(10, 0, &events);
    sm_event_page_key(9, 0, &other_events);
    sm_id_key(&hash, &id);
    sm_id_key(&other_hash, &other_id);
    const struct {
        enum damage damage;
        enum smelt_store_family family;
        struct smelt_slice key;
        struct smelt_slice from; /* REPLACE: by the value of this key */
        const char *message;
    } rows[] = {
        {FLIP, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&record), {0}, "wave 10"},
        {CUT, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&record), {0}, "wave 10"},
        {GROW, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&record), {0}, "wave 10"},
        {REMOVE, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&record), {0}, "wave 10"},
        {REPLACE, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&record),
         sm_ledger_key_slice(&older_record), "wave 10"},
        {FLIP, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&newest_record), {0}, "wave 12"},
        {REMOVE, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&newest_record), {0}, "wave 12"},
        {FLIP,
         SMELT_STORE_RECEIPTS,
         sm_ledger_key_slice(&receipts),
         {0},
         "wave 10, page 1 of receipts"},
        {CUT,
         SMELT_STORE_RECEIPTS,
         sm_ledger_key_slice(&receipts),
         {0},
         "wave 10, page 1 of receipts"},
        {GROW,
         SMELT_STORE_RECEIPTS,
         sm_ledger_key_slice(&receipts),
         {0},
         "wave 10, page 1 of receipts"},
        {REMOVE,
         SMELT_STORE_RECEIPTS,
         sm_ledger_key_slice(&receipts),
         {0},
         "wave 10, page 1 of receipts"},
        {REPLACE, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&receipts),
         sm_ledger_key_slice(&other_receipts), "wave 10, page 1 of receipts"},
        {FLIP, SMELT_STORE_EVENTS, sm_ledger_key_slice(&events), {0}, "wave 10, page 0 of events"},
        {REPLACE, SMELT_STORE_EVENTS, sm_ledger_key_slice(&events),
         sm_ledger_key_slice(&other_events), "wave 10, page 0 of events"},
        {REMOVE, SMELT_STORE_EVENTS, sm_ledger_key_slice(&events), {0}, "wave 10"},
        {CUT, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&id), {0}, "has 11 bytes instead of 12"},
        {FLIP, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&id), {0}, "is not where the state says"},
        {REPLACE, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&id), sm_ledger_key_slice(&other_id),
         "is not where the state says"},
        {FLIP, SMELT_STORE_META, text("wave"), {0}, "wave 12"},
        {CUT, SMELT_STORE_META, text("wave"), {0}, "\"wave\" has 39 bytes instead of 40"},
        {REMOVE, SMELT_STORE_META, text("wave"), {0}, "one is missing"},
        {FLIP, SMELT_STORE_META, text("chain-id"), {0}, "another chain"},
        {GROW, SMELT_STORE_META, text("chain-id"), {0}, "\"chain-id\" has 9 bytes"},
        {REMOVE, SMELT_STORE_META, text("chain-id"), {0}, "one is missing"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_store *store = open_chain();
        struct smelt_buf value = {0};
        struct smelt_error err = {0};
        assert_int_equal(read_wave_10(store, &err), SMELT_STATUS_OK);
        get_value(store, rows[i].family, rows[i].key, &value);
        switch (rows[i].damage) {
        case FLIP:
            value.data[value.size - 1] ^= 0x10;
            break;
        case CUT:
            value.size--;
            break;
        case GROW:
            assert_true(sm_buf_append_u8(&value, 0));
            break;
        case REPLACE:
            get_value(store, rows[i].family, rows[i].from, &value);
            break;
        case REMOVE:
            delete_value(store, rows[i].family, rows[i].key);
            break;
        }
        if (rows[i].damage != REMOVE) {
            put_value(store, rows[i].family, rows[i].key, sm_buf_slice(&value));
        }
        enum smelt_status status = read_wave_10(store, &err);
        if (status != SMELT_STATUS_STORE_CORRUPT || strstr(err.message, rows[i].message) == NULL) {
            fail_msg("row %zu: %s: %s", i, smelt_status_name(status), err.message);
        }
        smelt_buf_deinit(&value);
        smelt_store_close(store);
    }
}

/* Pages whose digest is right, but which the record contradicts. */
static void test_a_sealed_page_is_not_believed_either(void **state)
{
    (void)state;
    struct smelt_store *store = open_chain();
    struct sm_ledger_key key;
    struct smelt_wave_receipt *receipt;
    struct smelt_error err;
    const struct smelt_event_filter filter = {10, 10, NULL, NULL};
    uint8_t header[SM_PAGE_HEADER_BYTES];
    struct sm_page page = {.kind = SM_PAGE_RECEIPTS, .wave = 10, .number = 1};
    sm_page_seal(&page, header);
    sm_receipt_page_key(10, 1, &key);
    put_value(store, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key),
              sm_slice(header, sizeof(header)));
    assert_int_equal(smelt_wave_receipt_get(store, 10, 64, &receipt, &err),
                     SMELT_STATUS_STORE_CORRUPT);
    assert_non_null(strstr(err.message, "wave 10, page 1 of receipts"));
    page = (struct sm_page){.kind = SM_PAGE_EVENTS, .wave = 10, .first_event = 1};
    sm_page_seal(&page, header);
    sm_event_page_key(10, 0, &key);
    put_value(store, SMELT_STORE_EVENTS, sm_ledger_key_slice(&key),
              sm_slice(header, sizeof(header)));
    assert_int_equal(smelt_events_visit(store, &filter, ignore_event, NULL, &err),
                     SMELT_STATUS_STORE_CORRUPT);
    assert_non_null(strstr(err.message, "wave 10, page 0 of events"));
    smelt_store_close(store);
}

static void test_short_memory(void **state)
{
    (void)state;
    struct smelt_store *store = open_chain();
    struct smelt_error err;
    size_t before = sm_alloc_blocks();
    size_t nth = 1;
    for (;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = read_wave_10(store, &err);
        sm_alloc_fail_at(0);
        assert_int_equal(sm_alloc_blocks(), before);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_int_equal(read_wave_10(store, &err), SMELT_STATUS_OK);
    }
    assert_true(nth > 20);
    smelt_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_store_without_waves),
        cmocka_unit_test(test_records_are_read_back),
        cmocka_unit_test(test_receipts_are_read_back),
        cmocka_unit_test(test_events_are_visited),
        cmocka_unit_test(test_damage_is_told_by_name),
        cmocka_unit_test(test_a_sealed_page_is_not_believed_either),
        cmocka_unit_test(test_short_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
