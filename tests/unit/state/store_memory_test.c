/* The memory store as a tree of several levels: against an array, over keys of shapes that a tree
 * of numbers might take badly, with allocations failing in the middle, and beside readers. */
#include <smelt/store.h>

#include "tests/unit/state/state_support.h"

#include <pthread.h>
#include <stdatomic.h>

enum { KEYS = 12000, KEY_BYTES_MAX = 1200, VALUE_BYTES_MAX = 700 };

/* Writes the key of a number; keys are in the order of their numbers. */
typedef size_t (*key_fn)(uint32_t number, uint8_t *out);

static size_t put_be32(uint32_t number, uint8_t *out)
{
    for (unsigned i = 0; i < 4; i++) {
        out[i] = (uint8_t)(number >> (24 - 8 * i));
    }
    return 4;
}

static size_t short_key(uint32_t number, uint8_t *out)
{
    return put_be32(number, out);
}

/* One contract's storage. */
static size_t storage_key(uint32_t number, uint8_t *out)
{
    uint64_t seed = number + 1;
    memset(out, 0xab, 33);
    (void)put_be32(number * 300000, out + 33);
    for (size_t i = 37; i < 65; i++) {
        out[i] = (uint8_t)next_random(&seed);
    }
    return 65;
}

/* The bytes after what a node has in common are the same for many. */
static size_t late_key(uint32_t number, uint8_t *out)
{
    memset(out, 0, 64);
    out[3] = (uint8_t)(number / 4000);
    return 60 + put_be32(number, out + 60);
}

/* Each key begins with the one before; zeroes are what short keys are filled up with. */
static size_t zeroes_key(uint32_t number, uint8_t *out)
{
    (void)put_be32(number / 1000, out);
    memset(out + 4, 0, number % 1000);
    return 4 + number % 1000;
}

/* Some too large for a leaf of their own. */
static size_t long_key(uint32_t number, uint8_t *out)
{
    size_t size = put_be32(number, out);
    memset(out + size, 'x', number % 5 == 0 ? 1000 : 20);
    return size + (number % 5 == 0 ? 1000 : 20);
}

static const struct {
    const char *label;
    key_fn key;
} shapes[] = {{"short", short_key},
              {"storage", storage_key},
              {"late", late_key},
              {"zeroes", zeroes_key},
              {"long", long_key}};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

/* What is to be there: for each number the seed of its value, 0 for none. */
struct model {
    key_fn key;
    uint32_t seeds[KEYS];
};

static struct smelt_slice value_of(uint32_t seed, uint8_t *out)
{
    /* one in 16 is shared by leaves instead of copied */
    size_t size = seed % 16 == 0 ? 600 + seed % 100 : seed % 40;
    memset(out, (int)(seed >> 4 & 0xff), size);
    return sm_slice(out, size);
}

struct batch {
    size_t count;
    uint8_t (*keys)[KEY_BYTES_MAX];
    uint8_t (*values)[VALUE_BYTES_MAX];
    struct smelt_store_write *writes;
};

static void batch_create(struct batch *batch, size_t count_max)
{
    batch->count = 0;
    batch->keys = calloc(count_max, sizeof(*batch->keys));
    batch->values = calloc(count_max, sizeof(*batch->values));
    batch->writes = calloc(count_max, sizeof(*batch->writes));
    assert_true(batch->keys != NULL && batch->values != NULL && batch->writes != NULL);
}

static void batch_destroy(struct batch *batch)
{
    free(batch->keys);
    free(batch->values);
    free(batch->writes);
}

/* `seed` 0 deletes. */
static void batch_add(struct batch *batch, struct model *model, uint32_t number, uint32_t seed)
{
    size_t i = batch->count++;
    batch->writes[i] = (struct smelt_store_write){
        .family = SMELT_STORE_TREE,
        .key = sm_slice(batch->keys[i], model->key(number, batch->keys[i])),
        .value = value_of(seed, batch->values[i]),
        .is_delete = seed == 0};
    model->seeds[number] = seed;
}

static void batch_write(struct batch *batch, struct smelt_store *store)
{
    assert_int_equal(store->ops->write(store->impl, batch->writes, batch->count, NULL),
                     SMELT_STATUS_OK);
    batch->count = 0;
}

struct check {
    const struct model *model;
    uint32_t next;
    size_t left;
};

static bool check_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct check *check = (struct check *)context;
    uint8_t bytes[KEY_BYTES_MAX];
    while (check->next < KEYS && check->model->seeds[check->next] == 0) {
        check->next++;
    }
    assert_true(check->next < KEYS);
    assert_true(sm_slice_equal(key, sm_slice(bytes, check->model->key(check->next, bytes))));
    assert_true(sm_slice_equal(value, value_of(check->model->seeds[check->next], bytes)));
    check->next++;
    return --check->left != 0;
}

/* All of it in order, then from a few keys on, then single reads. */
static void assert_model(struct smelt_store *store, void *snapshot, const struct model *model)
{
    uint64_t seed = 5;
    struct smelt_buf value = {0};
    struct check all = {.model = model, .left = SIZE_MAX};
    assert_int_equal(store->ops->iterate(store->impl, snapshot, SMELT_STORE_TREE, text(""),
                                         check_pair, &all, NULL),
                     SMELT_STATUS_OK);
    for (; all.next < KEYS; all.next++) {
        assert_int_equal(model->seeds[all.next], 0);
    }
    for (unsigned i = 0; i < 400; i++) {
        uint32_t number = (uint32_t)random_below(&seed, KEYS);
        uint8_t key[KEY_BYTES_MAX];
        uint8_t expected[VALUE_BYTES_MAX];
        bool is_found = false;
        size_t size = model->key(number, key);
        assert_int_equal(store->ops->get(store->impl, snapshot, SMELT_STORE_TREE,
                                         sm_slice(key, size), &value, &is_found, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(is_found, model->seeds[number] != 0);
        if (is_found) {
            assert_true(
                sm_slice_equal(sm_buf_slice(&value), value_of(model->seeds[number], expected)));
            struct check one = {.model = model, .next = number, .left = 1};
            assert_int_equal(store->ops->iterate(store->impl, snapshot, SMELT_STORE_TREE,
                                                 sm_slice(key, size), check_pair, &one, NULL),
                             SMELT_STATUS_OK);
            assert_int_equal(one.next, number + 1);
        }
    }
    smelt_buf_deinit(&value);
}

static struct smelt_store *create_store(void)
{
    struct smelt_store *store = NULL;
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    return store;
}

static void *take_snapshot(struct smelt_store *store)
{
    void *snapshot = NULL;
    assert_int_equal(store->ops->snapshot(store->impl, &snapshot, NULL), SMELT_STATUS_OK);
    return snapshot;
}

/* Growing and shrinking by batches of every size, sorted and not, under an old snapshot. */
static void test_random_batches(void **state)
{
    (void)state;
    static struct model model;
    static struct model old;
    for (size_t shape = 0; shape < SHAPES; shape++) {
        struct batch batch;
        struct smelt_store *store = create_store();
        void *snapshot = take_snapshot(store);
        uint64_t seed = 11 + shape;
        print_message("%s\n", shapes[shape].label);
        batch_create(&batch, KEYS);
        model = (struct model){.key = shapes[shape].key};
        old = model;
        for (unsigned round = 0; round < 60; round++) {
            size_t span = random_below(&seed, 4) == 0 ? KEYS : 1 + random_below(&seed, 300);
            uint32_t first = (uint32_t)random_below(&seed, KEYS - span + 1);
            unsigned deletes = round < 40 ? 3 : 9; /* in 10 */
            bool is_sorted = random_below(&seed, 2) == 0;
            for (uint32_t i = 0; i < span; i++) {
                uint32_t number = first + (is_sorted ? i : (uint32_t)random_below(&seed, span));
                if (span < KEYS || random_below(&seed, 3) == 0) {
                    bool is_delete = random_below(&seed, 10) < deletes;
                    batch_add(&batch, &model, number,
                              is_delete ? 0 : 1 + (uint32_t)random_below(&seed, 1000000));
                }
            }
            batch_write(&batch, store);
            assert_model(store, NULL, &model);
            if (round % 9 == 0) {
                assert_model(store, snapshot, &old);
                store->ops->release(store->impl, snapshot);
                snapshot = take_snapshot(store);
                old = model;
            }
        }
        for (uint32_t number = 0; number < KEYS; number++) {
            batch_add(&batch, &model, number, 0);
        }
        batch_write(&batch, store);
        assert_model(store, NULL, &model);
        assert_model(store, snapshot, &old);
        store->ops->release(store->impl, snapshot);
        batch_destroy(&batch);
        smelt_store_close(store);
        assert_int_equal(sm_alloc_blocks(), 0);
    }
}

/* One key at a time, from both ends: what a tree that is never in balance would not survive. */
static void test_single_writes(void **state)
{
    (void)state;
    static struct model model;
    struct batch batch;
    struct smelt_store *store = create_store();
    batch_create(&batch, 1);
    model = (struct model){.key = storage_key};
    for (uint32_t i = 0; i < KEYS; i++) {
        batch_add(&batch, &model, i % 2 == 0 ? i / 2 : KEYS - 1 - i / 2, i + 1);
        batch_write(&batch, store);
    }
    assert_model(store, NULL, &model);
    size_t full = sm_alloc_blocks();
    for (uint32_t i = 0; i < KEYS - 10; i++) {
        batch_add(&batch, &model, i, 0);
        batch_write(&batch, store);
    }
    assert_model(store, NULL, &model);
    assert_true(sm_alloc_blocks() < 20 && full < KEYS / 4);
    batch_destroy(&batch);
    smelt_store_close(store);
    assert_int_equal(sm_alloc_blocks(), 0);
}

static void test_short_memory(void **state)
{
    (void)state;
    static struct model before;
    static struct model after;
    struct batch batch;
    struct smelt_store *store = create_store();
    size_t failures = 0;
    batch_create(&batch, KEYS);
    before = (struct model){.key = long_key};
    for (uint32_t number = 0; number < KEYS; number += 2) {
        batch_add(&batch, &before, number, number + 1);
    }
    batch_write(&batch, store);
    after = before;
    for (uint32_t number = 0; number < KEYS; number += 31) {
        batch_add(&batch, &after, number, number % 3 == 0 ? 0 : number * 16);
    }
    for (size_t nth = 1;; nth += 1 + nth / 40) {
        size_t blocks = sm_alloc_blocks();
        uint64_t version = store->ops->version(store->impl);
        sm_alloc_fail_at(nth);
        enum smelt_status status = store->ops->write(store->impl, batch.writes, batch.count, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            assert_true(store->ops->version(store->impl) != version);
            break;
        }
        failures++;
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_int_equal(sm_alloc_blocks(), blocks);
        assert_int_equal(store->ops->version(store->impl), version);
        assert_model(store, NULL, &before);
    }
    assert_true(failures > 50);
    assert_model(store, NULL, &after);
    batch_destroy(&batch);
    smelt_store_close(store);
    assert_int_equal(sm_alloc_blocks(), 0);
}

/* Readers beside a writer: every key of a batch has the same value, at any time. */

enum { SHARED_KEYS = 500, READERS = 3, ROUNDS = 300 };

struct shared {
    struct smelt_store *store;
    atomic_bool is_over;
    atomic_uint mixed; /* views with values of different batches */
};

struct agreement {
    uint32_t value;
    size_t count;
    bool is_mixed;
};

static bool agree(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct agreement *agreement = (struct agreement *)context;
    (void)key;
    uint32_t number = sm_load_le32(value.data);
    agreement->is_mixed =
        agreement->is_mixed || (agreement->count != 0 && number != agreement->value);
    agreement->value = number;
    agreement->count++;
    return true;
}

static void *read_until_over(void *context)
{
    struct shared *shared = (struct shared *)context;
    struct smelt_store *store = shared->store;
    struct smelt_buf value = {0};
    for (unsigned i = 0; !atomic_load(&shared->is_over); i++) {
        struct agreement agreement = {0};
        void *snapshot = NULL;
        uint8_t key[4];
        bool is_found = false;
        (void)put_be32(i % SHARED_KEYS, key);
        if (i % 2 == 0) {
            (void)store->ops->snapshot(store->impl, &snapshot, NULL);
        }
        (void)store->ops->iterate(store->impl, snapshot, SMELT_STORE_STATE, text(""), agree,
                                  &agreement, NULL);
        (void)store->ops->get(store->impl, snapshot, SMELT_STORE_STATE, sm_slice(key, 4), &value,
                              &is_found, NULL);
        bool is_same = snapshot == NULL || !is_found || agreement.value == sm_load_le32(value.data);
        if (agreement.is_mixed || !is_same ||
            (agreement.count != 0 && agreement.count != SHARED_KEYS)) {
            atomic_fetch_add(&shared->mixed, 1);
        }
        store->ops->release(store->impl, snapshot);
    }
    smelt_buf_deinit(&value);
    return NULL;
}

static void test_readers_see_whole_batches(void **state)
{
    (void)state;
    struct shared shared = {.store = create_store()};
    pthread_t readers[READERS];
    uint8_t keys[SHARED_KEYS][4];
    struct smelt_store_write writes[SHARED_KEYS];
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&readers[i], NULL, read_until_over, &shared), 0);
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint8_t value[64] = {0};
        sm_store_le32(value, round);
        for (uint32_t i = 0; i < SHARED_KEYS; i++) {
            (void)put_be32(i, keys[i]);
            writes[i] = (struct smelt_store_write){.family = SMELT_STORE_STATE,
                                                   .key = sm_slice(keys[i], 4),
                                                   .value = sm_slice(value, sizeof(value))};
        }
        assert_int_equal(shared.store->ops->write(shared.store->impl, writes, SHARED_KEYS, NULL),
                         SMELT_STATUS_OK);
    }
    atomic_store(&shared.is_over, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&shared.mixed), 0);
    smelt_store_close(shared.store);
    assert_int_equal(sm_alloc_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_batches),
        cmocka_unit_test(test_single_writes),
        cmocka_unit_test(test_short_memory),
        cmocka_unit_test(test_readers_see_whole_batches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
