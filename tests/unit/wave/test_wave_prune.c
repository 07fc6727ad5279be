/* Pruning: what goes, what stays, in how large batches, and what a crash in between leaves. */
#include "base/bytes.h"
#include "runtime/wave/ledger_keys.h"
#include "runtime/wave/page.h"
#include "tests/unit/wave/wave_support.h"

#define FIRST 3u
#define LAST  12u

/* A store over another that counts batches and dies at one of them. */
struct counting {
    struct smelt_store handle;
    struct smelt_store_ops ops;
    struct smelt_store *inner;
    size_t batches;
    size_t largest;
    size_t fail_at; /* 0: never */
};

static enum smelt_status counting_write(void *impl, const struct smelt_store_write *writes,
                                        size_t count, struct smelt_error *err)
{
    struct counting *counting = (struct counting *)impl;
    struct smelt_store *inner = counting->inner;
    counting->batches++;
    counting->largest = count > counting->largest ? count : counting->largest;
    if (counting->batches == counting->fail_at) {
        return SMELT_STATUS_IO;
    }
    return inner->ops->write(inner->impl, writes, count, err);
}

static enum smelt_status counting_snapshot(void *impl, void **snapshot, struct smelt_error *err)
{
    struct smelt_store *inner = ((struct counting *)impl)->inner;
    return inner->ops->snapshot(inner->impl, snapshot, err);
}

static void counting_release(void *impl, void *snapshot)
{
    struct smelt_store *inner = ((struct counting *)impl)->inner;
    inner->ops->release(inner->impl, snapshot);
}

static enum smelt_status counting_get(void *impl, void *snapshot, enum smelt_store_family family,
                                      struct smelt_slice key, struct smelt_buf *value, bool *found,
                                      struct smelt_error *err)
{
    struct smelt_store *inner = ((struct counting *)impl)->inner;
    return inner->ops->get(inner->impl, snapshot, family, key, value, found, err);
}

static enum smelt_status counting_iterate(void *impl, void *snapshot,
                                          enum smelt_store_family family, struct smelt_slice prefix,
                                          smelt_store_visit_fn visit, void *context,
                                          struct smelt_error *err)
{
    struct smelt_store *inner = ((struct counting *)impl)->inner;
    return inner->ops->iterate(inner->impl, snapshot, family, prefix, visit, context, err);
}

static void counting_init(struct counting *counting, struct smelt_store *inner)
{
    *counting = (struct counting){.ops = {.snapshot = counting_snapshot,
                                          .release = counting_release,
                                          .get = counting_get,
                                          .iterate = counting_iterate,
                                          .write = counting_write},
                                  .inner = inner};
    counting->handle = (struct smelt_store){.ops = &counting->ops, .impl = counting};
}

static struct smelt_store *open_chain(void)
{
    struct smelt_store *store;
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    write_chain(store, FIRST, LAST);
    return store;
}

static bool count_event(void *context, const struct smelt_wave_event *event)
{
    assert_true(event->wave >= *(uint64_t *)context);
    return true;
}

/* Records of all, receipts, events and ids of those from `kept` on. */
static void assert_kept(struct smelt_store *store, uint64_t kept)
{
    const struct smelt_event_filter all = {0, UINT64_MAX, NULL, NULL};
    struct smelt_state_check check;
    struct smelt_error err = {0};
    uint64_t pages = 0;
    uint64_t ids = 0;
    for (uint64_t n = FIRST; n <= LAST; n++) {
        struct wave_shape shape = chain_shape(n);
        struct smelt_wave_record record;
        assert_int_equal(smelt_wave_get(store, n, &record, NULL), SMELT_STATUS_OK);
        pages += n >= kept ? (shape.count + 63) / 64 : 0;
        ids += n >= kept ? shape.count : 0;
        if (shape.count == 0) {
            continue;
        }
        enum smelt_status expected = n >= kept ? SMELT_STATUS_OK : SMELT_STATUS_NOT_FOUND;
        struct smelt_hash id = id_of(n, 0);
        struct smelt_wave_receipt *receipt;
        assert_int_equal(smelt_wave_receipt_get(store, n, 0, &receipt, NULL), expected);
        smelt_wave_receipt_destroy(receipt);
        assert_int_equal(smelt_wave_receipt_find(store, &id, &receipt, NULL), expected);
        smelt_wave_receipt_destroy(receipt);
    }
    assert_int_equal(count_keys(store, SMELT_STORE_RECEIPTS, "p"), pages);
    assert_int_equal(count_keys(store, SMELT_STORE_RECEIPTS, "i"), ids);
    assert_int_equal(count_keys(store, SMELT_STORE_RECEIPTS, "w"), LAST - FIRST + 1);
    assert_int_equal(smelt_events_visit(store, &all, count_event, &kept, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_state_verify(store, &check, &err), SMELT_STATUS_OK);
    assert_int_equal(check.receipts, ids);
    assert_int_equal(check.pruned, kept > FIRST ? kept - FIRST : 0);
}

static void test_old_waves_go(void **state)
{
    (void)state;
    static const struct {
        uint64_t first_kept;
        uint64_t kept;
    } rows[] = {{0, 0}, {FIRST, FIRST}, {5, 5},       {4, 5},
                {9, 9}, {9, 9},         {LAST, LAST}, {UINT64_MAX, LAST + 1}};
    struct smelt_store *store = open_chain();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(smelt_receipts_prune(store, rows[i].first_kept, NULL), SMELT_STATUS_OK);
        assert_kept(store, rows[i].kept);
    }
    /* and the chain goes on */
    struct wave_shape next = chain_shape(LAST + 1);
    struct smelt_state_check check;
    write_wave(store, &next);
    assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    assert_int_equal(check.receipts, next.count);
    smelt_store_close(store);
}

static void test_there_may_be_nothing_to_prune(void **state)
{
    (void)state;
    struct smelt_store *store;
    struct smelt_buf keys = {0};
    struct sm_write_list list = {0};
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_receipts_prune(store, 100, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_ledger_prune(store, 1, &keys, &list, NULL), SMELT_STATUS_OK);
    assert_int_equal(list.count, 0);
    assert_int_equal(count_keys(store, SMELT_STORE_META, ""), 0);
    smelt_store_close(store);
}

/* Its digest is right, so only the record tells that it is not the wave's. */
static void test_a_page_of_too_many_receipts_is_not_believed(void **state)
{
    (void)state;
    const struct wave_shape shape = {.number = 1, .count = 1, .seed = 7, .has_ids = true};
    struct sm_page page = {.kind = SM_PAGE_RECEIPTS, .wave = 1, .count = 2};
    struct smelt_store *store;
    struct smelt_buf value = {0};
    struct smelt_buf keys = {0};
    struct sm_write_list list = {0};
    struct sm_ledger_key key;
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    write_wave(store, &shape);
    sm_receipt_page_key(1, 0, &key);
    get_value(store, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), &value);
    size_t size = value.size - SM_PAGE_HEADER_BYTES;
    assert_true(sm_buf_reserve(&value, size));
    assert_true(sm_buf_append(&value, value.data + SM_PAGE_HEADER_BYTES, size));
    page.content = sm_slice(value.data + SM_PAGE_HEADER_BYTES, 2 * size);
    sm_page_seal(&page, value.data);
    put_value(store, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), sm_buf_slice(&value));
    assert_int_equal(sm_ledger_prune(store, 1, &keys, &list, NULL), SMELT_STATUS_STORE_CORRUPT);
    assert_int_equal(list.count, 0);
    assert_int_equal(smelt_receipts_prune(store, 2, NULL), SMELT_STATUS_STORE_CORRUPT);
    smelt_buf_deinit(&value);
    smelt_buf_deinit(&keys);
    sm_write_list_deinit(&list);
    smelt_store_close(store);
}

/* A transaction that was rejected in one wave is part of a later one. */
static void test_an_id_that_came_again_stays(void **state)
{
    (void)state;
    struct smelt_store *store;
    struct smelt_wave_receipt *receipt;
    struct smelt_state_check check;
    const struct smelt_hash id = {{0x77}};
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    for (uint64_t n = 1; n <= 3; n++) {
        struct sm_ledger *ledger;
        struct sm_journal journal = {0};
        struct sm_ledger_head head;
        struct smelt_wave_record record;
        struct smelt_hash digest;
        struct sm_write_list list = {0};
        assert_int_equal(sm_ledger_create(n, &ledger, NULL), SMELT_STATUS_OK);
        /* in wave 2, twice */
        for (uint32_t i = 0; i < (n == 2 ? 2u : 1u); i++) {
            struct smelt_wave_receipt own = {.index = i,
                                             .has_id = n != 3,
                                             .nonce = n,
                                             .id = n != 3 ? id : (struct smelt_hash){{0}}};
            assert_true(sm_journal_receipt(&journal, &own));
        }
        assert_int_equal(sm_ledger_append(ledger, &journal, NULL), SMELT_STATUS_OK);
        assert_int_equal(sm_ledger_head(store, &head, NULL), SMELT_STATUS_OK);
        close_ledger(ledger, n, &head, &record);
        smelt_wave_record_digest(&record, &digest);
        assert_int_equal(sm_ledger_writes(ledger, &record, &digest, n == 1, &list, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(store->ops->write(store->impl, list.writes, list.count, NULL),
                         SMELT_STATUS_OK);
        sm_write_list_deinit(&list);
        sm_journal_deinit(&journal);
        sm_ledger_release(ledger);
    }
    assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_receipts_prune(store, 2, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_wave_receipt_find(store, &id, &receipt, NULL), SMELT_STATUS_OK);
    assert_int_equal(receipt->wave, 2);
    assert_int_equal(receipt->index, 1);
    smelt_wave_receipt_destroy(receipt);
    assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_receipts_prune(store, 3, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_wave_receipt_find(store, &id, &receipt, NULL), SMELT_STATUS_NOT_FOUND);
    assert_int_equal(count_keys(store, SMELT_STORE_RECEIPTS, "i"), 0);
    smelt_store_close(store);
}

static void test_batches_are_bounded(void **state)
{
    (void)state;
    struct smelt_store *store;
    struct counting counting;
    struct wave_shape large = {.number = 1, .count = 9000, .seed = 1, .has_ids = true};
    struct wave_shape small = {.number = 2, .count = 1, .seed = 1, .has_ids = true};
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    write_wave(store, &large);
    write_wave(store, &small);
    counting_init(&counting, store);
    assert_int_equal(smelt_receipts_prune(&counting.handle, 2, NULL), SMELT_STATUS_OK);
    assert_int_equal(counting.largest, 4096);
    assert_int_equal(counting.batches, 4); /* the mark, and 9000 ids with 141 pages of two kinds */
    assert_int_equal(count_keys(store, SMELT_STORE_RECEIPTS, ""), 2 + 1 + 1);
    smelt_store_close(store);
}

static void test_a_crash_leaves_a_whole_state(void **state)
{
    (void)state;
    struct wave_shape large = {.number = 1, .count = 5000, .seed = 1, .has_ids = true};
    struct wave_shape small = {.number = 2, .count = 70, .seed = 1, .has_ids = true};
    size_t batches = 3;
    for (size_t fail_at = 1; fail_at <= batches; fail_at++) {
        struct smelt_store *store;
        struct counting counting;
        struct smelt_state_check check;
        struct smelt_error err = {0};
        struct smelt_wave_receipt *receipt;
        assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
        write_wave(store, &large);
        write_wave(store, &small);
        counting_init(&counting, store);
        counting.fail_at = fail_at;
        assert_int_equal(smelt_receipts_prune(&counting.handle, 2, NULL), SMELT_STATUS_IO);
        assert_int_equal(smelt_state_verify(store, &check, &err), SMELT_STATUS_OK);
        assert_int_equal(check.pruned, fail_at == 1 ? 0 : 1);
        assert_int_equal(smelt_wave_receipt_get(store, 1, 0, &receipt, NULL),
                         fail_at == 1 ? SMELT_STATUS_OK : SMELT_STATUS_NOT_FOUND);
        smelt_wave_receipt_destroy(receipt);
        /* whatever is asked for next time, the rest goes, too */
        counting.fail_at = 0;
        assert_int_equal(smelt_receipts_prune(&counting.handle, fail_at == 1 ? 2 : 1, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(count_keys(store, SMELT_STORE_RECEIPTS, "i"), 70);
        assert_int_equal(count_keys(store, SMELT_STORE_RECEIPTS, "p"), 2);
        assert_int_equal(smelt_state_verify(store, &check, &err), SMELT_STATUS_OK);
        smelt_store_close(store);
    }
}

static void test_one_wave_as_part_of_a_batch(void **state)
{
    (void)state;
    struct smelt_store *store = open_chain();
    /* before the first, out of the future, and one after the other */
    static const uint64_t numbers[] = {FIRST - 1, LAST + 1, 3, 4, 5, 6, 7, 8, 4};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct smelt_buf keys = {0};
        struct sm_write_list list = {0};
        bool is_next = i >= 2 && i < 8;
        assert_int_equal(sm_ledger_prune(store, numbers[i], &keys, &list, NULL), SMELT_STATUS_OK);
        assert_int_equal(list.count != 0, is_next);
        assert_int_equal(store->ops->write(store->impl, list.writes, list.count, NULL),
                         SMELT_STATUS_OK);
        sm_write_list_deinit(&list);
        smelt_buf_deinit(&keys);
        assert_kept(store, i < 2 ? 0 : is_next ? numbers[i] + 1 : 9);
    }
    smelt_store_close(store);
}

/* On disk, and across opening it again. */
static void test_in_rocksdb(void **state)
{
    (void)state;
    struct scratch scratch;
    struct smelt_store *store;
    char path[PATH_MAX];
    scratch_create(&scratch);
    scratch_path(&scratch, "db", path);
    assert_int_equal(smelt_store_open_rocksdb(path, NULL, &store, NULL), SMELT_STATUS_OK);
    write_chain(store, FIRST, LAST);
    assert_kept(store, 0);
    assert_int_equal(smelt_receipts_prune(store, 7, NULL), SMELT_STATUS_OK);
    smelt_store_close(store);
    assert_int_equal(smelt_store_open_rocksdb(path, NULL, &store, NULL), SMELT_STATUS_OK);
    assert_kept(store, 7);
    assert_int_equal(smelt_receipts_prune(store, 8, NULL), SMELT_STATUS_OK);
    assert_kept(store, 8);
    smelt_store_close(store);
    scratch_remove(&scratch);
}

static void test_damaged_waves_are_not_pruned(void **state)
{
    (void)state;
    struct smelt_store *store = open_chain();
    struct sm_ledger_key key;
    struct smelt_buf value = {0};
    struct smelt_error err;
    sm_receipt_page_key(5, 0, &key);
    get_value(store, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), &value);
    value.data[60] ^= 1;
    put_value(store, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), sm_buf_slice(&value));
    assert_int_equal(smelt_receipts_prune(store, 9, &err), SMELT_STATUS_STORE_CORRUPT);
    assert_non_null(strstr(err.message, "wave 5, page 0 of receipts"));
    sm_receipt_page_key(FIRST - 1, 0, &key);
    put_value(store, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), sm_buf_slice(&value));
    assert_int_equal(smelt_receipts_prune(store, 9, &err), SMELT_STATUS_STORE_CORRUPT);
    assert_non_null(strstr(err.message, "wave 2: it has receipts"));
    put_value(store, SMELT_STORE_RECEIPTS, text("p"), text(""));
    assert_int_equal(smelt_receipts_prune(store, 9, &err), SMELT_STATUS_STORE_CORRUPT);
    smelt_buf_deinit(&value);
    smelt_store_close(store);
}

static void test_short_memory(void **state)
{
    (void)state;
    struct smelt_store *store = open_chain();
    size_t before = sm_alloc_blocks();
    struct smelt_buf keys = {0};
    struct sm_write_list list = {0};
    size_t nth = 1;
    for (;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_ledger_prune(store, 4, &keys, &list, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_int_equal(list.count, 0);
        assert_int_equal(keys.size, 0);
    }
    assert_true(nth > 10);
    sm_write_list_deinit(&list);
    smelt_buf_deinit(&keys);
    assert_int_equal(sm_alloc_blocks(), before);
    for (nth = 1;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = smelt_receipts_prune(store, 6, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    }
    assert_true(nth > 10);
    assert_kept(store, 6);
    smelt_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_old_waves_go),
        cmocka_unit_test(test_there_may_be_nothing_to_prune),
        cmocka_unit_test(test_a_page_of_too_many_receipts_is_not_believed),
        cmocka_unit_test(test_an_id_that_came_again_stays),
        cmocka_unit_test(test_batches_are_bounded),
        cmocka_unit_test(test_a_crash_leaves_a_whole_state),
        cmocka_unit_test(test_one_wave_as_part_of_a_batch),
        cmocka_unit_test(test_in_rocksdb),
        cmocka_unit_test(test_damaged_waves_are_not_pruned),
        cmocka_unit_test(test_short_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
