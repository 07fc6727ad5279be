/* Journals and ledgers: what is written does not depend on how the transactions were cut into
 * journals, and is what reading expects. */
#include "runtime/wave/bloom.h"
#include "runtime/wave/event_code.h"
#include "runtime/wave/ledger_keys.h"
#include "runtime/wave/merkle.h"
#include "runtime/wave/receipt_code.h"
#include "runtime/wave/record.h"
#include "tests/unit/wave/wave_support.h"

static const struct sm_ledger_head no_head;

static void assert_same_writes(const struct sm_write_list *a, const struct sm_write_list *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->writes[i].family, b->writes[i].family);
        assert_true(sm_slice_equal(a->writes[i].key, b->writes[i].key));
        assert_true(sm_slice_equal(a->writes[i].value, b->writes[i].value));
    }
}

static void get_writes(struct sm_ledger *ledger, uint64_t number, struct smelt_wave_record *record,
                       struct sm_write_list *list)
{
    struct smelt_hash digest;
    close_ledger(ledger, number, &no_head, record);
    smelt_wave_record_digest(record, &digest);
    assert_int_equal(sm_ledger_writes(ledger, record, &digest, true, list, NULL), SMELT_STATUS_OK);
}

static void test_how_journals_are_cut_does_not_matter(void **state)
{
    (void)state;
    static const uint32_t counts[] = {0, 1, 2, 63, 64, 65, 127, 128, 129, 200};
    static const uint32_t runs[] = {1, 3, 50, 63, 64, 65, 1000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct wave_shape shape = {.number = 9, .count = counts[i], .seed = i + 1, .has_ids = true};
        struct sm_ledger *whole = make_ledger(&shape, 10000);
        struct smelt_wave_record expected;
        struct sm_write_list list = {0};
        get_writes(whole, 9, &expected, &list);
        for (size_t j = 0; j < sizeof(runs) / sizeof(runs[0]); j++) {
            struct sm_ledger *cut = make_ledger(&shape, runs[j]);
            struct smelt_wave_record record;
            struct sm_write_list other = {0};
            get_writes(cut, 9, &record, &other);
            assert_same_writes(&list, &other);
            sm_write_list_deinit(&other);
            sm_ledger_release(cut);
        }
        sm_write_list_deinit(&list);
        sm_ledger_release(whole);
    }
}

/* Everything of the record that the ledger gives, from the transactions themselves. */
static void test_a_record_sums_up_its_transactions(void **state)
{
    (void)state;
    struct wave_shape shape = {.number = 4, .count = 300, .seed = 77, .has_ids = true};
    struct sm_ledger *ledger = make_ledger(&shape, 20);
    struct smelt_wave_record record;
    struct smelt_wave_record expected = {0};
    struct sm_merkle merkle = {0};
    struct sm_digest digest;
    close_ledger(ledger, 4, &no_head, &record);
    sm_receipts_digest_init(&digest, shape.count);
    for (uint32_t i = 0; i < shape.count; i++) {
        struct made made;
        struct smelt_buf code = {0};
        make_transaction(&shape, i, &made);
        const struct smelt_wave_receipt *receipt = &made.receipt;
        assert_true(sm_receipt_encode(receipt, &code));
        sm_digest_slice(&digest, sm_buf_slice(&code));
        expected.rejected_count += receipt->is_rejected;
        expected.failed_count +=
            !receipt->is_rejected &&
            (receipt->status != SMELT_STATUS_OK || receipt->outcome.kind != SMELT_OUTCOME_RETURNED);
        expected.fuel_used += receipt->fuel_used;
        assert_true(sm_u128_add(expected.fees, receipt->fee, &expected.fees));
        for (uint32_t j = 0; j < receipt->event_count; j++) {
            struct smelt_hash leaf;
            code.size = 0;
            assert_true(sm_event_encode(i, &made.events[j], &code));
            sm_event_leaf(4, sm_buf_slice(&code), &leaf);
            sm_merkle_add(&merkle, &leaf);
            sm_bloom_add(expected.bloom, sm_slice(made.events[j].address.bytes, 32));
            sm_bloom_add(expected.bloom, made.events[j].topic);
            expected.event_count++;
        }
        smelt_buf_deinit(&code);
    }
    sm_digest_final(&digest, &expected.receipts_digest);
    sm_merkle_root(&merkle, &expected.events_root);
    assert_int_equal(record.transaction_count, 300);
    assert_int_equal(record.rejected_count, expected.rejected_count);
    assert_int_equal(record.failed_count, expected.failed_count);
    assert_int_equal(record.event_count, expected.event_count);
    assert_int_equal(record.fuel_used, expected.fuel_used);
    assert_memory_equal(&record.fees, &expected.fees, sizeof(record.fees));
    assert_memory_equal(record.bloom, expected.bloom, sizeof(record.bloom));
    assert_memory_equal(&record.receipts_digest, &expected.receipts_digest, 32);
    assert_memory_equal(&record.events_root, &expected.events_root, 32);
    assert_true(expected.rejected_count != 0 && expected.failed_count != 0 &&
                expected.event_count > 64);
    sm_ledger_release(ledger);
}

/* What a journal remembers of earlier items spares digests, and nothing else. */
static void test_blooms_have_every_item(void **state)
{
    (void)state;
    struct sm_journal journal = {0};
    uint8_t expected[SMELT_BLOOM_BYTES] = {0};
    uint64_t seed = 6;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 40; i++) {
            uint8_t topic[3] = {(uint8_t)random_below(&seed, 5), (uint8_t)random_below(&seed, 5),
                                (uint8_t)random_below(&seed, 5)};
            struct smelt_event event = {contract_of((uint32_t)random_below(&seed, 20)),
                                        sm_slice(topic, random_below(&seed, 4)), text("d")};
            assert_true(sm_journal_event(&journal, 1, 0, &event));
            sm_bloom_add(expected, sm_slice(event.address.bytes, SMELT_ADDRESS_BYTES));
            sm_bloom_add(expected, event.topic);
            assert_memory_equal(journal.bloom, expected, sizeof(expected));
        }
        sm_journal_reset(&journal);
        memset(expected, 0, sizeof(expected));
    }
    sm_journal_deinit(&journal);
}

static void test_receipts_can_be_had_before_they_are_written(void **state)
{
    (void)state;
    struct wave_shape shape = {.number = 4, .count = 130, .seed = 5, .has_ids = false};
    struct sm_ledger *ledger = make_ledger(&shape, 7);
    struct smelt_wave_receipt *receipt;
    struct smelt_error err;
    uint32_t first_event = 0;
    for (uint32_t i = 0; i < shape.count; i++) {
        struct made made;
        make_transaction(&shape, i, &made);
        assert_int_equal(sm_ledger_receipt(ledger, i, &receipt, NULL), SMELT_STATUS_OK);
        assert_true(same_receipt(receipt, &made.receipt));
        assert_int_equal(receipt->first_event, first_event);
        first_event += made.receipt.event_count;
        smelt_wave_receipt_destroy(receipt);
    }
    assert_int_equal(sm_ledger_receipt(ledger, shape.count, &receipt, &err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_null(receipt);
    assert_string_equal(err.message, "wave 4 has 130 transactions: there is no receipt 130");
    /* a share of it is as good */
    assert_ptr_equal(sm_ledger_acquire(ledger), ledger);
    sm_ledger_release(ledger);
    assert_int_equal(sm_ledger_receipt(ledger, 0, &receipt, NULL), SMELT_STATUS_OK);
    smelt_wave_receipt_destroy(receipt);
    sm_ledger_release(ledger);
    sm_ledger_release(NULL);
}

static void test_writes_have_their_keys(void **state)
{
    (void)state;
    struct wave_shape shape = {.number = 0x0102, .count = 65, .seed = 12, .has_ids = true};
    struct sm_ledger *ledger = make_ledger(&shape, 65);
    struct smelt_wave_record record;
    struct sm_write_list list = {0};
    get_writes(ledger, shape.number, &record, &list);
    static const uint8_t record_key[] = {'w', 0, 0, 0, 0, 0, 0, 1, 2};
    static const uint8_t page_key[] = {'p', 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1};
    static const uint8_t events_key[] = {0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0};
    uint8_t id_key[33] = {'i'};
    struct smelt_hash id = id_of(shape.number, 64);
    memcpy(id_key + 1, id.bytes, sizeof(id.bytes));
    const struct {
        enum smelt_store_family family;
        struct smelt_slice key;
    } rows[] = {{SMELT_STORE_RECEIPTS, sm_slice(record_key, sizeof(record_key))},
                {SMELT_STORE_RECEIPTS, sm_slice(page_key, sizeof(page_key))},
                {SMELT_STORE_RECEIPTS, sm_slice(id_key, sizeof(id_key))},
                {SMELT_STORE_EVENTS, sm_slice(events_key, sizeof(events_key))},
                {SMELT_STORE_META, text("wave")},
                {SMELT_STORE_META, text("chain-id")}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t found = 0;
        for (size_t j = 0; j < list.count; j++) {
            found += list.writes[j].family == rows[i].family &&
                     sm_slice_equal(list.writes[j].key, rows[i].key);
        }
        assert_int_equal(found, 1);
    }
    size_t count = list.count;
    /* a wave that is not the first does not say which chain it is */
    struct smelt_hash digest = {{0}};
    list.count = 0;
    assert_int_equal(sm_ledger_writes(ledger, &record, &digest, false, &list, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(list.count, count - 1);
    sm_write_list_deinit(&list);
    sm_ledger_release(ledger);
}

static void test_pages_without_events_are_not_written(void **state)
{
    (void)state;
    struct sm_ledger *ledger;
    struct sm_journal journal = {0};
    struct sm_write_list list = {0};
    struct smelt_wave_record record;
    const struct smelt_event event = {contract_of(1), text("t"), text("d")};
    assert_int_equal(sm_ledger_create(1, &ledger, NULL), SMELT_STATUS_OK);
    for (uint32_t i = 0; i < 200; i++) {
        struct smelt_wave_receipt receipt = {.index = i};
        if (i == 70 || i == 199) {
            assert_true(sm_journal_event(&journal, 1, i, &event));
        }
        assert_true(sm_journal_receipt(&journal, &receipt));
    }
    assert_int_equal(sm_ledger_append(ledger, &journal, NULL), SMELT_STATUS_OK);
    get_writes(ledger, 1, &record, &list);
    uint8_t pages[2];
    size_t count = 0;
    for (size_t i = 0; i < list.count; i++) {
        if (list.writes[i].family == SMELT_STORE_EVENTS) {
            assert_true(count < 2);
            pages[count++] = list.writes[i].key.data[11];
        }
    }
    assert_int_equal(count, 2);
    assert_int_equal(pages[0], 1);
    assert_int_equal(pages[1], 3);
    sm_write_list_deinit(&list);
    sm_journal_deinit(&journal);
    sm_ledger_release(ledger);
}

static void test_a_journal_out_of_order_is_refused(void **state)
{
    (void)state;
    struct wave_shape shape = {.number = 1, .count = 10, .seed = 1, .has_ids = true};
    struct sm_ledger *ledger;
    struct sm_journal journal = {0};
    struct smelt_wave_record before;
    struct smelt_wave_record after;
    assert_int_equal(sm_ledger_create(1, &ledger, NULL), SMELT_STATUS_OK);
    add_transactions(&shape, 0, 4, &journal);
    assert_int_equal(sm_ledger_append(ledger, &journal, NULL), SMELT_STATUS_OK);
    close_ledger(ledger, 1, &no_head, &before);
    assert_int_equal(sm_ledger_append(ledger, &journal, NULL), SMELT_STATUS_INTERNAL); /* again */
    sm_journal_reset(&journal);
    add_transactions(&shape, 5, 6, &journal);
    assert_int_equal(sm_ledger_append(ledger, &journal, NULL), SMELT_STATUS_INTERNAL); /* a gap */
    close_ledger(ledger, 1, &no_head, &after);
    assert_memory_equal(&before.receipts_digest, &after.receipts_digest, 32);
    assert_int_equal(after.transaction_count, 4);
    sm_journal_deinit(&journal);
    sm_ledger_release(ledger);
}

/* Everything at the edge of memory: a failure is told, nothing leaks, and where the comments say
 * so the object is as before. */
static void test_short_memory(void **state)
{
    (void)state;
    struct wave_shape shape = {.number = 3, .count = 70, .seed = 8, .has_ids = true};
    struct sm_journal good = {0};
    struct smelt_wave_record record;
    struct smelt_hash digest = {{1}};
    size_t before = sm_alloc_blocks();
    struct sm_ledger *ledger = NULL;
    struct sm_write_list list = {0};
    add_transactions(&shape, 0, shape.count, &good);
    size_t nth;
    for (nth = 1;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_ledger_create(3, &ledger, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    }
    assert_int_equal(nth, 2);
    for (nth = 1;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_ledger_append(ledger, &good, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        close_ledger(ledger, 3, &no_head, &record);
        assert_int_equal(record.transaction_count, 0);
    }
    assert_int_equal(nth, 4); /* of six buffers, each attempt keeps those it has got */
    close_ledger(ledger, 3, &no_head, &record);
    for (nth = 1;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_ledger_writes(ledger, &record, &digest, true, &list, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_int_equal(list.count, 0);
    }
    assert_true(nth > 3);
    assert_int_equal(list.count, 3 + 2 + 2 + 70);
    sm_write_list_deinit(&list);
    sm_ledger_release(ledger);
    sm_journal_deinit(&good);
    assert_int_equal(sm_alloc_blocks(), before);
}

static void test_a_journal_without_memory_can_be_reset(void **state)
{
    (void)state;
    const struct smelt_event event = {contract_of(1), text("topic"), text("data")};
    const struct smelt_wave_receipt receipt = {.has_id = true, .id = {{1}}, .index = 0};
    size_t before = sm_alloc_blocks();
    struct sm_journal journal = {0};
    bool is_done = false;
    size_t failures = 0;
    for (size_t nth = 1; !is_done; nth++) {
        sm_alloc_fail_at(nth);
        is_done =
            sm_journal_event(&journal, 1, 0, &event) && sm_journal_receipt(&journal, &receipt);
        sm_alloc_fail_at(0);
        if (!is_done) {
            failures++;
            sm_journal_deinit(&journal);
        }
    }
    assert_int_equal(failures, 5); /* events, leaves, receipts, marks, ids */
    struct sm_journal other = {0};
    sm_journal_reset(&journal);
    assert_true(sm_journal_event(&journal, 1, 0, &event) && sm_journal_receipt(&journal, &receipt));
    assert_true(sm_journal_event(&other, 1, 0, &event) && sm_journal_receipt(&other, &receipt));
    assert_true(sm_slice_equal(sm_buf_slice(&journal.receipts), sm_buf_slice(&other.receipts)));
    assert_true(sm_slice_equal(sm_buf_slice(&journal.leaves), sm_buf_slice(&other.leaves)));
    assert_memory_equal(journal.bloom, other.bloom, sizeof(other.bloom));
    assert_int_equal(journal.event_count, 1);
    sm_journal_deinit(&other);
    sm_journal_deinit(&journal);
    assert_int_equal(sm_alloc_blocks(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_journals_are_cut_does_not_matter),
        cmocka_unit_test(test_a_record_sums_up_its_transactions),
        cmocka_unit_test(test_blooms_have_every_item),
        cmocka_unit_test(test_receipts_can_be_had_before_they_are_written),
        cmocka_unit_test(test_writes_have_their_keys),
        cmocka_unit_test(test_pages_without_events_are_not_written),
        cmocka_unit_test(test_a_journal_out_of_order_is_refused),
        cmocka_unit_test(test_short_memory),
        cmocka_unit_test(test_a_journal_without_memory_can_be_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
