/* What every store promises: one table of tests, run against memory and RocksDB. Then the memory
 * store against sorted arrays, and with allocations failing. */
#include <smelt/store.h>

#include "tests/unit/state/state_support.h"

/* A fixture opens an empty store; `scratch` is used by RocksDB only. */
struct fixture {
    struct smelt_store *store;
    struct scratch scratch;
    bool is_rocksdb;
    size_t blocks;
};

static struct smelt_store *store_of(void **state)
{
    return ((struct fixture *)*state)->store;
}

static int open_fixture(void **state, bool is_rocksdb)
{
    struct fixture *fixture = (struct fixture *)sm_calloc(1, sizeof(*fixture));
    if (fixture == NULL) {
        return -1;
    }
    *state = fixture;
    fixture->is_rocksdb = is_rocksdb;
    fixture->blocks = sm_alloc_blocks();
    enum smelt_status status;
    if (is_rocksdb) {
        scratch_create(&fixture->scratch);
        status = smelt_store_open_rocksdb(fixture->scratch.path, NULL, &fixture->store, NULL);
    } else {
        status = smelt_store_create_memory(&fixture->store, NULL);
    }
    return status == SMELT_STATUS_OK ? 0 : -1;
}

static int open_memory(void **state)
{
    return open_fixture(state, false);
}

static int open_rocksdb(void **state)
{
    return open_fixture(state, true);
}

static int close_fixture(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    smelt_store_close(fixture->store);
    if (fixture->is_rocksdb) {
        scratch_remove(&fixture->scratch);
    }
    int result = sm_alloc_blocks() == fixture->blocks ? 0 : -1;
    sm_free(fixture);
    return result;
}

static void write_all(struct smelt_store *store, const struct smelt_store_write *writes,
                      size_t count)
{
    assert_int_equal(store->ops->write(store->impl, writes, count, NULL), SMELT_STATUS_OK);
}

static void *take_snapshot(struct smelt_store *store)
{
    void *snapshot = NULL;
    assert_int_equal(store->ops->snapshot(store->impl, &snapshot, NULL), SMELT_STATUS_OK);
    assert_non_null(snapshot);
    return snapshot;
}

struct listing {
    struct smelt_buf text;
    size_t left;
};

static bool list_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct listing *listing = (struct listing *)context;
    assert_true(sm_buf_append(&listing->text, key.data, key.size) &&
                sm_buf_printf(&listing->text, "=%.*s;", (int)value.size, (const char *)value.data));
    return --listing->left != 0;
}

static void assert_listing(struct smelt_store *store, void *snapshot, const char *prefix,
                           size_t limit, const char *expected)
{
    struct listing listing = {.left = limit};
    assert_int_equal(store->ops->iterate(store->impl, snapshot, SMELT_STORE_STATE, text(prefix),
                                         list_pair, &listing, NULL),
                     SMELT_STATUS_OK);
    if (!sm_slice_equal_text(sm_buf_slice(&listing.text), expected)) {
        fail_msg("prefix %s: %.*s instead of %s", prefix, (int)listing.text.size,
                 (const char *)listing.text.data, expected);
    }
    smelt_buf_deinit(&listing.text);
}

/* The promises. */

static void test_get_put_delete(void **state)
{
    struct smelt_store *store = store_of(state);
    assert_value(store, NULL, SMELT_STORE_STATE, "k", NULL);
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "k", "v"), SMELT_STATUS_OK);
    assert_value(store, NULL, SMELT_STORE_STATE, "k", "v");
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "k", ""), SMELT_STATUS_OK);
    assert_value(store, NULL, SMELT_STORE_STATE, "k", "");
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "", "empty key"), SMELT_STATUS_OK);
    assert_value(store, NULL, SMELT_STORE_STATE, "", "empty key");
    struct smelt_store_write gone[] = {delete_of(SMELT_STORE_STATE, "k"),
                                       delete_of(SMELT_STORE_STATE, "never there")};
    write_all(store, gone, 2);
    assert_value(store, NULL, SMELT_STORE_STATE, "k", NULL);
    assert_value(store, NULL, SMELT_STORE_STATE, "never there", NULL);
}

static void test_a_read_replaces_the_buffer(void **state)
{
    struct smelt_store *store = store_of(state);
    struct smelt_buf value = {0};
    bool is_found = true;
    assert_true(sm_buf_append(&value, "something longer", 16));
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "k", "v"), SMELT_STATUS_OK);
    assert_int_equal(
        store->ops->get(store->impl, NULL, SMELT_STORE_STATE, text("k"), &value, &is_found, NULL),
        SMELT_STATUS_OK);
    assert_true(is_found);
    assert_true(sm_slice_equal_text(sm_buf_slice(&value), "v"));
    assert_int_equal(
        store->ops->get(store->impl, NULL, SMELT_STORE_STATE, text("no"), &value, &is_found, NULL),
        SMELT_STATUS_OK);
    assert_false(is_found);
    smelt_buf_deinit(&value);
}

static void test_families_are_apart(void **state)
{
    struct smelt_store *store = store_of(state);
    static const char *const values[SMELT_STORE_FAMILY_COUNT] = {"state",  "code", "receipts",
                                                                 "events", "meta", "tree"};
    struct smelt_store_write writes[SMELT_STORE_FAMILY_COUNT];
    for (unsigned i = 0; i < SMELT_STORE_FAMILY_COUNT; i++) {
        writes[i] = put_of((enum smelt_store_family)i, "k", values[i]);
    }
    write_all(store, writes, SMELT_STORE_FAMILY_COUNT);
    struct smelt_store_write gone = delete_of(SMELT_STORE_EVENTS, "k");
    write_all(store, &gone, 1);
    for (unsigned i = 0; i < SMELT_STORE_FAMILY_COUNT; i++) {
        assert_value(store, NULL, (enum smelt_store_family)i, "k",
                     i == SMELT_STORE_EVENTS ? NULL : values[i]);
    }
}

static void test_later_entries_win(void **state)
{
    struct smelt_store *store = store_of(state);
    struct smelt_store_write writes[] = {
        put_of(SMELT_STORE_STATE, "a", "1"), delete_of(SMELT_STORE_STATE, "a"),
        put_of(SMELT_STORE_STATE, "a", "2"), put_of(SMELT_STORE_STATE, "b", "1"),
        put_of(SMELT_STORE_STATE, "b", "2"), put_of(SMELT_STORE_STATE, "c", "1"),
        delete_of(SMELT_STORE_STATE, "c"),
    };
    write_all(store, writes, sizeof(writes) / sizeof(writes[0]));
    write_all(store, NULL, 0);
    assert_listing(store, NULL, "", 100, "a=2;b=2;");
}

static void test_iteration(void **state)
{
    static const struct {
        const char *prefix;
        size_t limit;
        const char *expected;
    } rows[] = {
        {"", 100, "a=1;ab=2;aba=3;abb=;b=5;\xff=6;\xff\xff=7;"},
        {"", 1, "a=1;"},
        {"", 3, "a=1;ab=2;aba=3;"},
        {"a", 100, "a=1;ab=2;aba=3;abb=;"},
        {"ab", 100, "ab=2;aba=3;abb=;"},
        {"ab", 2, "ab=2;aba=3;"},
        {"abb", 100, "abb=;"},
        {"abbb", 100, ""},
        {"aa", 100, ""},
        {"\x01", 100, ""},
        {"c", 100, ""},
        {"\xff", 100, "\xff=6;\xff\xff=7;"},
        {"\xff\xff\xff", 100, ""},
    };
    struct smelt_store *store = store_of(state);
    assert_listing(store, NULL, "", 100, "");
    struct smelt_store_write writes[] = {
        put_of(SMELT_STORE_STATE, "b", "5"),        put_of(SMELT_STORE_STATE, "abb", ""),
        put_of(SMELT_STORE_STATE, "\xff\xff", "7"), put_of(SMELT_STORE_STATE, "a", "1"),
        put_of(SMELT_STORE_STATE, "aba", "3"),      put_of(SMELT_STORE_STATE, "ab", "2"),
        put_of(SMELT_STORE_STATE, "\xff", "6"),     put_of(SMELT_STORE_CODE, "ac", "elsewhere"),
    };
    write_all(store, writes, sizeof(writes) / sizeof(writes[0]));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_listing(store, NULL, rows[i].prefix, rows[i].limit, rows[i].expected);
    }
}

static void test_a_snapshot_does_not_move(void **state)
{
    struct smelt_store *store = store_of(state);
    void *empty = take_snapshot(store);
    struct smelt_store_write first[] = {put_of(SMELT_STORE_STATE, "a", "1"),
                                        put_of(SMELT_STORE_STATE, "b", "1"),
                                        put_of(SMELT_STORE_META, "m", "1")};
    write_all(store, first, 3);
    void *middle = take_snapshot(store);
    struct smelt_store_write second[] = {
        put_of(SMELT_STORE_STATE, "a", "2"), delete_of(SMELT_STORE_STATE, "b"),
        put_of(SMELT_STORE_STATE, "c", "2"), delete_of(SMELT_STORE_META, "m")};
    write_all(store, second, 4);
    assert_listing(store, empty, "", 100, "");
    assert_listing(store, middle, "", 100, "a=1;b=1;");
    assert_listing(store, NULL, "", 100, "a=2;c=2;");
    assert_value(store, empty, SMELT_STORE_STATE, "a", NULL);
    assert_value(store, middle, SMELT_STORE_STATE, "a", "1");
    assert_value(store, middle, SMELT_STORE_STATE, "c", NULL);
    assert_value(store, middle, SMELT_STORE_META, "m", "1");
    assert_value(store, NULL, SMELT_STORE_META, "m", NULL);
    store->ops->release(store->impl, empty);
    assert_value(store, middle, SMELT_STORE_STATE, "b", "1");
    store->ops->release(store->impl, middle);
    store->ops->release(store->impl, NULL);
    assert_listing(store, NULL, "", 100, "a=2;c=2;");
}

static bool write_while_visiting(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct smelt_store *store = (struct smelt_store *)context;
    (void)value;
    struct smelt_store_write writes[] = {
        {.family = SMELT_STORE_STATE, .key = key, .is_delete = true},
        put_of(SMELT_STORE_STATE, "zz", "new")};
    write_all(store, writes, 2);
    assert_true(key.data[0] != 'z');
    return true;
}

static void test_an_iteration_sees_one_state(void **state)
{
    struct smelt_store *store = store_of(state);
    struct smelt_store_write writes[] = {put_of(SMELT_STORE_STATE, "a", "1"),
                                         put_of(SMELT_STORE_STATE, "b", "2"),
                                         put_of(SMELT_STORE_STATE, "c", "3")};
    write_all(store, writes, 3);
    assert_int_equal(store->ops->iterate(store->impl, NULL, SMELT_STORE_STATE, text(""),
                                         write_while_visiting, store, NULL),
                     SMELT_STATUS_OK);
    assert_listing(store, NULL, "", 100, "zz=new;");
}

static void test_large_values(void **state)
{
    struct smelt_store *store = store_of(state);
    size_t size = (size_t)1024 * 1024 + 7;
    struct smelt_buf large = {0};
    struct smelt_buf back = {0};
    bool is_found = false;
    assert_true(sm_buf_reserve(&large, size));
    large.size = size;
    for (size_t i = 0; i < size; i++) {
        large.data[i] = (uint8_t)(i * 31 >> 3);
    }
    for (unsigned i = 0; i < 12; i++) {
        uint8_t key = (uint8_t)i;
        struct smelt_store_write write = {
            .family = SMELT_STORE_CODE, .key = sm_slice(&key, 1), .value = sm_buf_slice(&large)};
        write_all(store, &write, 1);
        assert_int_equal(store->ops->get(store->impl, NULL, SMELT_STORE_CODE, sm_slice(&key, 1),
                                         &back, &is_found, NULL),
                         SMELT_STATUS_OK);
        assert_true(is_found && sm_slice_equal(sm_buf_slice(&back), sm_buf_slice(&large)));
    }
    smelt_buf_deinit(&large);
    smelt_buf_deinit(&back);
}

/* A sorted array of what should be there, for as many keys as one byte has values. */
struct model {
    bool is_present[256];
    uint8_t value[256];
};

static bool compare_with_model(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct model *model = (struct model *)context;
    uint8_t index = key.data[0];
    assert_int_equal(key.size, 1);
    assert_int_equal(value.size, 1);
    assert_true(model->is_present[index]);
    assert_int_equal(value.data[0], model->value[index]);
    model->is_present[index] = false;
    return true;
}

static void assert_model(struct smelt_store *store, void *snapshot, struct model model)
{
    assert_int_equal(store->ops->iterate(store->impl, snapshot, SMELT_STORE_STATE, text(""),
                                         compare_with_model, &model, NULL),
                     SMELT_STATUS_OK);
    for (size_t i = 0; i < 256; i++) {
        assert_false(model.is_present[i]);
    }
}

static void test_random_batches_under_snapshots(void **state)
{
    enum { SNAPSHOTS = 6, BATCH_MAX = 40 };
    struct smelt_store *store = store_of(state);
    size_t rounds = ((struct fixture *)*state)->is_rocksdb ? 150 : 3000;
    uint64_t seed = 42;
    struct model newest = {0};
    void *snapshots[SNAPSHOTS] = {0};
    struct model seen[SNAPSHOTS];
    for (size_t round = 0; round < rounds; round++) {
        struct smelt_store_write writes[BATCH_MAX];
        uint8_t bytes[BATCH_MAX][2];
        size_t count = 1 + random_below(&seed, BATCH_MAX);
        for (size_t i = 0; i < count; i++) {
            bytes[i][0] = (uint8_t)random_below(&seed, 256);
            bytes[i][1] = (uint8_t)random_below(&seed, 256);
            bool is_delete = random_below(&seed, 3) == 0;
            writes[i] = (struct smelt_store_write){.family = SMELT_STORE_STATE,
                                                   .key = sm_slice(&bytes[i][0], 1),
                                                   .value = sm_slice(&bytes[i][1], 1),
                                                   .is_delete = is_delete};
            newest.is_present[bytes[i][0]] = !is_delete;
            newest.value[bytes[i][0]] = bytes[i][1];
        }
        write_all(store, writes, count);
        size_t slot = random_below(&seed, SNAPSHOTS);
        if (snapshots[slot] != NULL) {
            assert_model(store, snapshots[slot], seen[slot]);
            store->ops->release(store->impl, snapshots[slot]);
            snapshots[slot] = NULL;
        } else {
            snapshots[slot] = take_snapshot(store);
            seen[slot] = newest;
        }
        assert_model(store, NULL, newest);
    }
    for (size_t i = 0; i < SNAPSHOTS; i++) {
        if (snapshots[i] != NULL) {
            assert_model(store, snapshots[i], seen[i]);
            store->ops->release(store->impl, snapshots[i]);
        }
    }
}

/* Short memory. RocksDB's own allocations are not counted; ours are. */

static void test_short_memory_changes_nothing(void **state)
{
    struct smelt_store *store = store_of(state);
    char key[16];
    for (unsigned i = 0; i < 64; i++) {
        (void)snprintf(key, sizeof(key), "%02u", i);
        assert_int_equal(write_one(store, SMELT_STORE_STATE, key, "old"), SMELT_STATUS_OK);
    }
    void *snapshot = NULL;
    for (size_t nth = 1; snapshot == NULL; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = store->ops->snapshot(store->impl, &snapshot, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(status, snapshot != NULL ? SMELT_STATUS_OK : SMELT_STATUS_NO_MEMORY);
    }
    struct smelt_store_write writes[32];
    char keys[32][16];
    for (unsigned i = 0; i < 32; i++) {
        (void)snprintf(keys[i], sizeof(keys[i]), "%02u", i * 3);
        writes[i] = i % 2 == 0 ? put_of(SMELT_STORE_STATE, keys[i], "new")
                               : delete_of(SMELT_STORE_STATE, keys[i]);
    }
    for (size_t nth = 1;; nth++) {
        struct smelt_error err = {0};
        size_t blocks = sm_alloc_blocks();
        sm_alloc_fail_at(nth);
        enum smelt_status status = store->ops->write(store->impl, writes, 32, &err);
        sm_alloc_fail_at(0);
        assert_int_equal(err.status, status);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_int_equal(sm_alloc_blocks(), blocks);
        assert_value(store, NULL, SMELT_STORE_STATE, "00", "old");
        assert_value(store, NULL, SMELT_STORE_STATE, "03", "old");
        assert_value(store, NULL, SMELT_STORE_STATE, "90", NULL);
    }
    assert_value(store, NULL, SMELT_STORE_STATE, "00", "new");
    assert_value(store, NULL, SMELT_STORE_STATE, "03", NULL);
    assert_value(store, NULL, SMELT_STORE_STATE, "90", "new");
    assert_value(store, snapshot, SMELT_STORE_STATE, "00", "old");
    assert_value(store, snapshot, SMELT_STORE_STATE, "90", NULL);
    store->ops->release(store->impl, snapshot);
    for (size_t nth = 1;; nth++) {
        struct smelt_buf value = {0};
        bool is_found = true;
        sm_alloc_fail_at(nth);
        enum smelt_status status = store->ops->get(store->impl, NULL, SMELT_STORE_STATE, text("00"),
                                                   &value, &is_found, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(is_found, status == SMELT_STATUS_OK);
        smelt_buf_deinit(&value);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    }
}

static void test_memory_store_creation_may_fail(void **state)
{
    (void)state;
    struct smelt_store *store = NULL;
    struct smelt_error err;
    sm_alloc_fail_at(1);
    assert_int_equal(smelt_store_create_memory(&store, &err), SMELT_STATUS_NO_MEMORY);
    sm_alloc_fail_at(0);
    assert_null(store);
    assert_int_equal(err.status, SMELT_STATUS_NO_MEMORY);
    smelt_store_close(NULL);
}

#define FOR_BOTH(test)                                                                             \
    {"memory: " #test, test, open_memory, close_fixture, NULL},                                    \
    {                                                                                              \
        "rocksdb: " #test, test, open_rocksdb, close_fixture, NULL                                 \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        FOR_BOTH(test_get_put_delete),
        FOR_BOTH(test_a_read_replaces_the_buffer),
        FOR_BOTH(test_families_are_apart),
        FOR_BOTH(test_later_entries_win),
        FOR_BOTH(test_iteration),
        FOR_BOTH(test_a_snapshot_does_not_move),
        FOR_BOTH(test_an_iteration_sees_one_state),
        FOR_BOTH(test_large_values),
        FOR_BOTH(test_random_batches_under_snapshots),
        FOR_BOTH(test_short_memory_changes_nothing),
        cmocka_unit_test(test_memory_store_creation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
