/* The tip against a reference that cannot be wrong, an array of all keys with what the store holds,
 * what was collected and what was published; by itself; and with threads. */
#include "runtime/state/tip.h"

#include "base/status.h"
#include "runtime/state/overlay.h"
#include "tests/unit/state/state_support.h"

#include <pthread.h>
#include <stdatomic.h>

#define MIB (UINT64_C(1) << 20)

/* Helpers. */

static struct smelt_store *open_store(void)
{
    struct smelt_store *store = NULL;
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    return store;
}

static struct sm_tip *open_tip(struct smelt_store *store, uint64_t bytes_max)
{
    struct sm_tip *tip = NULL;
    assert_int_equal(sm_tip_create(store, bytes_max, &tip, NULL), SMELT_STATUS_OK);
    return tip;
}

/* With one layer. */
static struct sm_overlay *open_overlay(struct sm_tip *tip)
{
    struct sm_overlay *overlay = NULL;
    assert_int_equal(sm_overlay_create_at(tip, &overlay, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    return overlay;
}

static void restart(struct sm_overlay *overlay)
{
    sm_overlay_reset(overlay);
    assert_int_equal(sm_overlay_depth(overlay), 0);
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
}

static void put(struct sm_overlay *overlay, const char *key, const char *value)
{
    assert_int_equal(sm_overlay_put(overlay, text(key), text(value), NULL), SMELT_STATUS_OK);
}

static void erase(struct sm_overlay *overlay, const char *key)
{
    assert_int_equal(sm_overlay_delete(overlay, text(key), NULL), SMELT_STATUS_OK);
}

static void publish(struct sm_overlay *overlay)
{
    assert_int_equal(sm_overlay_publish(overlay, NULL), SMELT_STATUS_OK);
    restart(overlay);
}

/* `expected` NULL: not found. */
static void assert_get(struct sm_overlay *overlay, const char *key, const char *expected)
{
    struct smelt_slice value = text("stale");
    bool is_found = expected == NULL;
    assert_int_equal(sm_overlay_get(overlay, text(key), &value, &is_found, NULL), SMELT_STATUS_OK);
    assert_int_equal(is_found, expected != NULL);
    assert_true(sm_slice_equal_text(value, expected));
}

static struct sm_tip_batch collect(struct sm_tip *tip)
{
    struct sm_tip_batch batch;
    assert_int_equal(sm_tip_collect(tip, &batch, NULL), SMELT_STATUS_OK);
    return batch;
}

static void write_batch(struct smelt_store *store, struct sm_tip_batch *batch)
{
    assert_int_equal(store->ops->write(store->impl, batch->writes, batch->count, NULL),
                     SMELT_STATUS_OK);
    sm_tip_batch_deinit(batch);
}

/* What a batch says, as "key=value -key". */
static void assert_batch(const struct sm_tip_batch *batch, const char *expected)
{
    struct smelt_buf line = {0};
    assert_true(sm_buf_reserve(&line, 1));
    for (size_t i = 0; i < batch->count; i++) {
        const struct smelt_store_write *write = &batch->writes[i];
        assert_int_equal(write->family, SMELT_STORE_STATE);
        assert_true(sm_buf_printf(&line, "%s%s%.*s%s%.*s", i == 0 ? "" : " ",
                                  write->is_delete ? "-" : "", (int)write->key.size,
                                  (const char *)write->key.data, write->is_delete ? "" : "=",
                                  (int)write->value.size, (const char *)write->value.data));
    }
    if (!sm_slice_equal_text(sm_buf_slice(&line), expected)) {
        fail_msg("%.*s instead of %s", (int)line.size, (const char *)line.data, expected);
    }
    smelt_buf_deinit(&line);
}

/* Single steps. */

static void test_what_is_published_is_read_and_collected(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "a", "stored"), SMELT_STATUS_OK);
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "b", "stored"), SMELT_STATUS_OK);
    struct sm_tip *tip = open_tip(store, MIB);
    struct sm_overlay *overlay = open_overlay(tip);
    assert_get(overlay, "a", "stored");
    assert_get(overlay, "missing", NULL);
    assert_int_equal(sm_overlay_reads(overlay).count, 2);
    put(overlay, "a", "one");
    put(overlay, "c", "three");
    erase(overlay, "b");
    publish(overlay);
    assert_get(overlay, "a", "one");
    assert_get(overlay, "b", NULL);
    assert_get(overlay, "c", "three");
    assert_get(overlay, "missing", NULL);
    assert_int_equal(sm_overlay_reads(overlay).count, 0);
    put(overlay, "c", "a longer value than there was, which needs a block of its own");
    put(overlay, "", "");
    publish(overlay);
    struct sm_tip_batch batch = collect(tip);
    assert_batch(&batch,
                 "= a=one -b c=a longer value than there was, which needs a block of its own");
    write_batch(store, &batch);
    sm_tip_written(tip);
    batch = collect(tip);
    assert_int_equal(batch.count, 0);
    assert_int_equal(batch.bytes.size, 0);
    sm_tip_batch_deinit(&batch);
    assert_value(store, NULL, SMELT_STORE_STATE, "a", "one");
    assert_value(store, NULL, SMELT_STORE_STATE, "b", NULL);
    struct sm_tip_figures figures = sm_tip_figures(tip);
    assert_int_equal(figures.entries, 5);
    assert_int_equal(figures.hits, 4);
    assert_int_equal(figures.misses, 2);
    assert_true(figures.bytes > 0);
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

static void test_a_read_is_right_until_the_key_is_published(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "a", "1"), SMELT_STATUS_OK);
    /* with a budget, without one, and read by somebody else before */
    for (int round = 0; round < 3; round++) {
        struct sm_tip *tip = open_tip(store, round == 1 ? 0 : MIB);
        struct sm_overlay *reader = open_overlay(tip);
        struct sm_overlay *writer = open_overlay(tip);
        if (round == 2) {
            assert_get(writer, "a", "1");
            assert_get(writer, "missing", NULL);
            restart(writer);
        }
        assert_true(sm_overlay_is_current(reader));
        assert_get(reader, "a", "1");
        assert_get(reader, "missing", NULL);
        put(reader, "b", "blind");
        assert_true(sm_overlay_is_current(reader));
        /* reading, writing and publishing elsewhere changes nothing */
        assert_get(writer, "a", "1");
        put(writer, "b", "2");
        put(writer, "a", "not published");
        assert_true(sm_overlay_is_current(reader));
        sm_overlay_drop(writer);
        assert_int_equal(sm_overlay_push(writer, NULL), SMELT_STATUS_OK);
        put(writer, "b", "2");
        publish(writer);
        assert_true(sm_overlay_is_current(reader));
        /* the same value again is a publication, too */
        put(writer, round == 0 ? "a" : "missing", round == 0 ? "1" : "here");
        publish(writer);
        assert_false(sm_overlay_is_current(reader));
        /* what has been read stays what it was */
        assert_get(reader, "a", "1");
        assert_get(reader, "missing", NULL);
        restart(reader);
        assert_true(sm_overlay_is_current(reader));
        assert_get(reader, "a", "1");
        assert_get(reader, "missing", round == 0 ? NULL : "here");
        assert_get(reader, "b", "2");
        assert_true(sm_overlay_is_current(reader));
        /* one's own publication is one like any other */
        put(reader, "a", "3");
        publish(reader);
        assert_get(reader, "a", "3");
        assert_true(sm_overlay_is_current(reader));
        sm_overlay_destroy(reader);
        sm_overlay_destroy(writer);
        sm_tip_destroy(tip);
    }
    smelt_store_close(store);
}

static void test_the_last_layer_is_what_is_published(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct sm_tip *tip = open_tip(store, MIB);
    struct sm_overlay *overlay = open_overlay(tip);
    put(overlay, "a", "1");
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    put(overlay, "b", "dropped");
    sm_overlay_drop(overlay);
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    put(overlay, "a", "2");
    put(overlay, "c", "3");
    sm_overlay_merge(overlay);
    publish(overlay);
    put(overlay, "d", "not published");
    sm_overlay_destroy(overlay);
    struct sm_tip_batch batch = collect(tip);
    assert_batch(&batch, "a=2 c=3");
    sm_tip_batch_deinit(&batch);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

/* Reverting, also over a batch that is on its way. */

static void test_revert_goes_back_to_the_last_collect(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "a", "stored"), SMELT_STATUS_OK);
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "b", "stored"), SMELT_STATUS_OK);
    struct sm_tip *tip = open_tip(store, MIB);
    struct sm_overlay *overlay = open_overlay(tip);
    put(overlay, "a", "first");
    erase(overlay, "gone");
    publish(overlay);
    struct sm_tip_batch first = collect(tip);
    put(overlay, "a", "second, which is much longer than the first one was");
    put(overlay, "a", "second");
    put(overlay, "b", "second");
    put(overlay, "gone", "second");
    publish(overlay);
    put(overlay, "a", "third, which is so long that it needs memory of its own, too");
    publish(overlay);
    sm_tip_revert(tip);
    assert_get(overlay, "a", "first");
    assert_get(overlay, "b", "stored");
    assert_get(overlay, "gone", NULL);
    restart(overlay);
    struct sm_tip_batch none = collect(tip);
    assert_int_equal(none.count, 0);
    sm_tip_batch_deinit(&none);

    /* published over the batch, and the batch gets to the store before the revert */
    put(overlay, "a", "fourth");
    publish(overlay);
    assert_batch(&first, "a=first -gone");
    write_batch(store, &first);
    sm_tip_written(tip);
    assert_get(overlay, "a", "fourth");
    restart(overlay);
    sm_tip_revert(tip);
    assert_get(overlay, "a", "first");
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

static void test_a_lost_batch_is_forgotten(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "a", "stored"), SMELT_STATUS_OK);
    struct sm_tip *tip = open_tip(store, MIB);
    struct sm_overlay *overlay = open_overlay(tip);
    put(overlay, "a", "lost");
    publish(overlay);
    struct sm_tip_batch batch = collect(tip);
    sm_tip_batch_deinit(&batch);
    put(overlay, "b", "lost with it");
    publish(overlay);
    sm_tip_clear(tip);
    assert_int_equal(sm_tip_figures(tip).entries, 0);
    assert_int_equal(sm_tip_figures(tip).bytes, 0);
    assert_get(overlay, "a", "stored");
    assert_get(overlay, "b", NULL);
    batch = collect(tip);
    assert_int_equal(batch.count, 0);
    sm_tip_batch_deinit(&batch);
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

/* The budget. */

static void read_many(struct sm_overlay *overlay, unsigned from, unsigned to)
{
    char key[32];
    for (unsigned i = from; i < to; i++) {
        (void)snprintf(key, sizeof(key), "key %u", i);
        assert_get(overlay, key, NULL);
    }
    restart(overlay);
}

static void test_the_budget_is_kept(void **state)
{
    (void)state;
    enum { BUDGET = 64 * 1024 };
    struct smelt_store *store = open_store();
    struct sm_tip *tip = open_tip(store, BUDGET);
    struct sm_overlay *overlay = open_overlay(tip);
    read_many(overlay, 0, 5000);
    struct sm_tip_figures full = sm_tip_figures(tip);
    assert_true(full.bytes <= BUDGET && full.bytes > BUDGET - 1024);
    assert_true(full.entries < 5000);
    /* what is published is kept in any case */
    char key[32];
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(key, sizeof(key), "own %u", i);
        put(overlay, key, key);
    }
    publish(overlay);
    assert_int_equal(sm_tip_figures(tip).entries, full.entries + 2000);
    struct sm_tip_batch batch = collect(tip);
    assert_int_equal(batch.count, 2000);
    for (unsigned i = 0; i < 2000; i++) {
        (void)snprintf(key, sizeof(key), "own %u", i);
        assert_get(overlay, key, key);
    }
    restart(overlay);
    write_batch(store, &batch);
    sm_tip_written(tip);
    assert_true(sm_tip_figures(tip).bytes <= BUDGET - BUDGET / 4);
    assert_true(sm_tip_figures(tip).bytes >= BUDGET / 2);
    /* what is used again and again stays; the rest passes through */
    read_many(overlay, 0, 20);
    for (unsigned round = 1; round < 40; round++) {
        read_many(overlay, 0, 20);
        read_many(overlay, 1000 * round, 1000 * round + 200);
        sm_tip_written(tip);
        assert_true(sm_tip_figures(tip).bytes <= BUDGET);
    }
    uint64_t misses = sm_tip_figures(tip).misses;
    read_many(overlay, 0, 20);
    assert_int_equal(sm_tip_figures(tip).misses, misses);
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

/* The order of a batch. */

struct pairs {
    struct smelt_slice keys[4096];
    size_t count;
    struct smelt_buf bytes;
};

static int compare_keys(const void *a, const void *b)
{
    return sm_slice_compare(*(const struct smelt_slice *)a, *(const struct smelt_slice *)b);
}

static void add_key(struct pairs *pairs, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < pairs->count; i++) {
        if (sm_slice_equal(pairs->keys[i], sm_slice(data, size))) {
            return;
        }
    }
    uint8_t *copy = (uint8_t *)sm_alloc(size);
    assert_non_null(copy);
    memcpy(copy, data, size);
    pairs->keys[pairs->count++] = sm_slice(copy, size);
}

/* Publishes the keys, odd ones as deletions, and compares the batch with the library's sort, byte
 * for byte. */
static void check_order(struct pairs *pairs)
{
    struct smelt_store *store = open_store();
    struct sm_tip *tip = open_tip(store, MIB);
    struct sm_overlay *overlay = open_overlay(tip);
    struct smelt_buf expected = {0};
    uint8_t number[4];
    for (size_t i = 0; i < pairs->count; i++) {
        struct smelt_slice key = pairs->keys[i];
        assert_int_equal(key.size % 2 == 1
                             ? sm_overlay_delete(overlay, key, NULL)
                             : sm_overlay_put(overlay, key, sm_slice(key.data, key.size / 2), NULL),
                         SMELT_STATUS_OK);
    }
    /* the overlay sorts in the same way */
    struct sm_overlay_result result;
    assert_int_equal(sm_overlay_collect(overlay, &result, NULL), SMELT_STATUS_OK);
    assert_int_equal(result.write_count, pairs->count);
    qsort(pairs->keys, pairs->count, sizeof(pairs->keys[0]), compare_keys);
    for (size_t i = 0; i < pairs->count; i++) {
        assert_true(sm_slice_equal(result.writes[i].key, pairs->keys[i]));
    }
    publish(overlay);
    struct sm_tip_batch batch = collect(tip);
    assert_int_equal(batch.count, pairs->count);
    for (size_t i = 0; i < pairs->count; i++) {
        struct smelt_slice key = pairs->keys[i];
        sm_store_le32(number, (uint32_t)key.size);
        assert_true(sm_buf_append(&expected, number, sizeof(number)));
        assert_true(sm_buf_append(&expected, key.data, key.size));
        assert_true(sm_buf_append_u8(&expected, key.size % 2 == 0));
        if (key.size % 2 == 0) {
            sm_store_le32(number, (uint32_t)key.size / 2);
            assert_true(sm_buf_append(&expected, number, sizeof(number)));
            assert_true(sm_buf_append(&expected, key.data, key.size / 2));
        }
        const struct smelt_store_write *write = &batch.writes[i];
        assert_true(sm_slice_equal(write->key, key));
        assert_int_equal(write->is_delete, key.size % 2 == 1);
        assert_int_equal(write->value.size, write->is_delete ? 0 : key.size / 2);
        assert_true(write->key.data >= batch.bytes.data &&
                    write->key.data + write->key.size <= batch.bytes.data + batch.bytes.size);
        assert_true(write->is_delete || write->value.size == 0 ||
                    (write->value.data >= batch.bytes.data &&
                     write->value.data + write->value.size <= batch.bytes.data + batch.bytes.size));
    }
    assert_true(sm_slice_equal(sm_buf_slice(&batch.bytes), sm_buf_slice(&expected)));
    for (size_t i = 0; i < pairs->count; i++) {
        sm_free((void *)(uintptr_t)pairs->keys[i].data);
    }
    pairs->count = 0;
    smelt_buf_deinit(&expected);
    sm_tip_batch_deinit(&batch);
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

static void test_batches_are_in_the_order_of_the_store(void **state)
{
    (void)state;
    static struct pairs pairs;
    uint64_t seed = 7;
    uint8_t key[64];
    /* prefixes of each other, of zeroes and of the highest byte, across several chunks */
    for (size_t size = 0; size <= 40; size++) {
        for (int fill = 0; fill < 3; fill++) {
            memset(key, fill == 2 ? 0xff : fill, sizeof(key));
            add_key(&pairs, key, size);
            if (size != 0) {
                key[size - 1] ^= 1;
                add_key(&pairs, key, size);
            }
        }
    }
    check_order(&pairs);
    /* few different bytes, so that chunks are equal and zeroes are ends as well as bytes */
    for (int round = 0; round < 40; round++) {
        size_t count = 2 + random_below(&seed, round % 2 == 0 ? 40 : 1500);
        size_t prefix = random_below(&seed, 34);
        for (size_t i = 0; i < count; i++) {
            size_t size = random_below(&seed, 28);
            memset(key, 0x55, prefix);
            for (size_t at = prefix; at < prefix + size; at++) {
                static const uint8_t bytes[] = {0, 0, 0, 1, 0x7f, 0x80, 0xfe, 0xff};
                key[at] = bytes[random_below(&seed, sizeof(bytes) - (size_t)(round % 5))];
            }
            add_key(&pairs, key, prefix + size);
        }
        check_order(&pairs);
    }
    /* keys that differ late, in descending order: more than the insertion after three bytes does */
    for (unsigned i = 2000; i != 0; i--) {
        memset(key, 0, sizeof(key));
        for (unsigned at = 0; at < 4; at++) {
            key[8 + at] = (uint8_t)(i % 2 == 0 ? 1 : 2); /* these differ first */
        }
        key[13] = (uint8_t)(i & 1);
        key[14] = (uint8_t)(i >> 8);
        key[15] = (uint8_t)i;
        add_key(&pairs, key, 16 + i % 2);
    }
    check_order(&pairs);
    /* random ones, as accounts are */
    for (size_t i = 0; i < 3000; i++) {
        for (size_t at = 0; at < 33; at++) {
            key[at] = (uint8_t)next_random(&seed);
        }
        add_key(&pairs, key, 33);
    }
    check_order(&pairs);
}

/* The reference. */

enum { KEYS = 24, VALUE_MAX = 96, PENDING_MAX = 2 };

struct value {
    bool is_present;
    size_t size;
    uint8_t bytes[VALUE_MAX];
};

struct reference {
    struct value stored[KEYS];    /* what the store holds */
    struct value collected[KEYS]; /* and what it will hold after the batches on their way */
    struct value current[KEYS];   /* and what a read sees */
    bool is_dirty[KEYS];
    /* an overlay that has read and does not publish: which keys, and whether they have changed */
    bool has_read[KEYS];
    bool is_outdated;
    struct sm_tip_batch pending[PENDING_MAX];
    size_t pending_count;
};

/* Keys of many lengths, some a prefix of another, in ascending order. */
static struct smelt_slice key_at(size_t index)
{
    static char keys[KEYS][32];
    (void)snprintf(keys[index], sizeof(keys[index]), "%.*s%c", (int)(5 - index / 4) * 4,
                   "kkkkkkkkkkkkkkkkkkkkkkkk", (int)('l' + index));
    return text(keys[index]);
}

static struct smelt_slice random_value(uint64_t *seed, struct value *out)
{
    uint8_t fill = (uint8_t)next_random(seed);
    out->is_present = true;
    out->size = random_below(seed, VALUE_MAX + 1);
    memset(out->bytes, fill, out->size);
    return sm_slice(out->bytes, out->size);
}

static void compare_value(struct smelt_slice value, bool is_found, const struct value *expected)
{
    assert_int_equal(is_found, expected->is_present);
    assert_true(!is_found || sm_slice_equal(value, sm_slice(expected->bytes, expected->size)));
}

static void read_and_compare(struct sm_overlay *overlay, size_t index, const struct value *expected)
{
    struct smelt_slice value;
    bool is_found;
    assert_int_equal(sm_overlay_get(overlay, key_at(index), &value, &is_found, NULL),
                     SMELT_STATUS_OK);
    compare_value(value, is_found, expected);
}

static void run_transaction(struct sm_overlay *overlay, struct reference *reference, uint64_t *seed)
{
    struct value own[KEYS];
    bool is_written[KEYS] = {false};
    memcpy(own, reference->current, sizeof(own));
    for (size_t i = random_below(seed, 8); i != 0; i--) {
        size_t index = random_below(seed, KEYS);
        switch (random_below(seed, 4)) {
        case 0:
            own[index].is_present = false;
            is_written[index] = true;
            assert_int_equal(sm_overlay_delete(overlay, key_at(index), NULL), SMELT_STATUS_OK);
            break;
        case 1:
            is_written[index] = true;
            assert_int_equal(
                sm_overlay_put(overlay, key_at(index), random_value(seed, &own[index]), NULL),
                SMELT_STATUS_OK);
            break;
        default:
            read_and_compare(overlay, index, &own[index]);
            break;
        }
    }
    assert_true(sm_overlay_is_current(overlay));
    if (random_below(seed, 4) == 0) {
        restart(overlay);
        return;
    }
    publish(overlay);
    for (size_t i = 0; i < KEYS; i++) {
        if (is_written[i]) {
            reference->current[i] = own[i];
            reference->is_dirty[i] = true;
            reference->is_outdated |= reference->has_read[i];
        }
    }
}

static void collect_and_compare(struct sm_tip *tip, struct reference *reference)
{
    struct sm_tip_batch batch = collect(tip);
    size_t at = 0;
    for (size_t i = 0; i < KEYS; i++) {
        for (size_t j = 0; j < batch.count; j++) {
            if (sm_slice_equal(batch.writes[j].key, key_at(i))) {
                assert_true(reference->is_dirty[i]);
                compare_value(batch.writes[j].value, !batch.writes[j].is_delete,
                              &reference->current[i]);
            }
        }
        at += reference->is_dirty[i];
        reference->is_dirty[i] = false;
    }
    for (size_t i = 1; i < batch.count; i++) {
        assert_true(sm_slice_compare(batch.writes[i - 1].key, batch.writes[i].key) < 0);
    }
    assert_int_equal(batch.count, at);
    memcpy(reference->collected, reference->current, sizeof(reference->collected));
    reference->pending[reference->pending_count++] = batch;
}

static void forget_reader(struct sm_overlay *reader, struct reference *reference)
{
    restart(reader);
    memset(reference->has_read, 0, sizeof(reference->has_read));
    reference->is_outdated = false;
}

static void write_pending(struct smelt_store *store, struct sm_tip *tip,
                          struct reference *reference)
{
    for (size_t i = 0; i < reference->pending_count; i++) {
        write_batch(store, &reference->pending[i]);
    }
    reference->pending_count = 0;
    memcpy(reference->stored, reference->collected, sizeof(reference->stored));
    sm_tip_written(tip);
}

static void lose_pending(struct sm_tip *tip, struct reference *reference)
{
    for (size_t i = 0; i < reference->pending_count; i++) {
        sm_tip_batch_deinit(&reference->pending[i]);
    }
    reference->pending_count = 0;
    memcpy(reference->current, reference->stored, sizeof(reference->current));
    memcpy(reference->collected, reference->stored, sizeof(reference->collected));
    memset(reference->is_dirty, 0, sizeof(reference->is_dirty));
    sm_tip_clear(tip);
}

/* Somebody else's, between two turns. */
static void write_behind(struct smelt_store *store, struct sm_tip *tip, struct reference *reference,
                         uint64_t *seed)
{
    size_t index = random_below(seed, KEYS);
    struct smelt_store_write write = {.family = SMELT_STORE_STATE,
                                      .key = key_at(index),
                                      .value = random_value(seed, &reference->stored[index])};
    assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
    reference->collected[index] = reference->stored[index];
    reference->current[index] = reference->stored[index];
    sm_tip_clear(tip);
}

static void run_sequence(uint64_t seed, uint64_t bytes_max)
{
    static struct reference reference;
    memset(&reference, 0, sizeof(reference));
    struct smelt_store *store = open_store();
    struct sm_tip *tip = open_tip(store, bytes_max);
    struct sm_overlay *writer = open_overlay(tip);
    struct sm_overlay *reader = open_overlay(tip);
    for (size_t steps = 100 + random_below(&seed, 100); steps != 0; steps--) {
        size_t index = random_below(&seed, KEYS);
        size_t what = random_below(&seed, 16);
        bool is_clean = reference.pending_count == 0;
        for (size_t i = 0; i < KEYS; i++) {
            is_clean = is_clean && !reference.is_dirty[i];
        }
        if (what < 6) {
            run_transaction(writer, &reference, &seed);
        } else if (what < 11) {
            if (!reference.has_read[index] && !reference.is_outdated) {
                read_and_compare(reader, index, &reference.current[index]);
                reference.has_read[index] = true;
            }
        } else if (what == 11 && reference.pending_count < PENDING_MAX) {
            collect_and_compare(tip, &reference);
        } else if (what == 12) {
            forget_reader(reader, &reference);
            write_pending(store, tip, &reference);
        } else if (what == 13) {
            forget_reader(reader, &reference);
            sm_tip_revert(tip);
            memcpy(reference.current, reference.collected, sizeof(reference.current));
            memset(reference.is_dirty, 0, sizeof(reference.is_dirty));
        } else if (what == 14 && is_clean) {
            forget_reader(reader, &reference);
            write_behind(store, tip, &reference, &seed);
        } else if (what == 15 && random_below(&seed, 4) == 0) {
            forget_reader(reader, &reference);
            lose_pending(tip, &reference);
        }
        assert_int_equal(sm_overlay_is_current(reader), !reference.is_outdated);
    }
    restart(writer);
    for (size_t i = 0; i < KEYS; i++) {
        read_and_compare(writer, i, &reference.current[i]);
    }
    sm_overlay_destroy(writer);
    sm_overlay_destroy(reader);
    lose_pending(tip, &reference);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

static void test_random_sequences_agree_with_the_reference(void **state)
{
    (void)state;
    static const uint64_t budgets[] = {0, 700, 3000, MIB};
    for (uint64_t seed = 1; seed <= 1200; seed++) {
        run_sequence(seed, budgets[seed % 4]);
    }
}

/* Failures. */

/* Publishes and collects the same with each allocation failing once; `fill` keys come before, so
 * that it is another one that fails. */
static void publish_with_short_memory(struct smelt_store *store, unsigned fill)
{
    struct sm_tip *tip = open_tip(store, MIB);
    struct sm_overlay *overlay = open_overlay(tip);
    struct sm_overlay *other = open_overlay(tip);
    char key[32];
    for (unsigned i = 0; i < fill; i++) {
        (void)snprintf(key, sizeof(key), "fill %u", i);
        put(overlay, key, "x");
    }
    publish(overlay);
    struct sm_tip_batch batch = collect(tip); /* on its way: publishing over it keeps it */
    size_t failures = 0;
    for (size_t nth = 1;; nth++, failures++) {
        assert_get(other, "stored", "s");
        assert_get(other, "fill 0", "x");
        assert_get(other, "new", NULL);
        put(overlay, "stored", "a value that is longer than what any entry has room for in itself");
        put(overlay, "fill 0", "y");
        put(overlay, "new", "n");
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_overlay_publish(overlay, NULL);
        sm_alloc_fail_at(0);
        restart(overlay);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_true(sm_overlay_is_current(other));
        struct sm_tip_batch none = collect(tip);
        assert_int_equal(none.count, 0);
        sm_tip_batch_deinit(&none);
        restart(other);
    }
    assert_true(failures >= 2);
    assert_false(sm_overlay_is_current(other));
    sm_tip_batch_deinit(&batch);
    for (size_t nth = 1;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_tip_collect(tip, &batch, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            assert_true(nth > 4);
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_int_equal(batch.count, 0);
    }
    assert_batch(&batch,
                 "fill 0=y new=n stored=a value that is longer than what any entry has room "
                 "for in itself");
    sm_tip_batch_deinit(&batch);
    sm_overlay_destroy(overlay);
    sm_overlay_destroy(other);
    sm_tip_destroy(tip);
}

static void test_short_memory_publishes_nothing(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "stored", "s"), SMELT_STATUS_OK);
    size_t blocks = sm_alloc_blocks();
    for (unsigned fill = 1; fill < 1000; fill += 13) {
        publish_with_short_memory(store, fill);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    smelt_store_close(store);
}

static void test_short_memory_reads_all_the_same(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "stored", "value"), SMELT_STATUS_OK);
    size_t blocks = sm_alloc_blocks();
    struct sm_tip *tip = NULL;
    struct sm_overlay *overlay = NULL;
    for (size_t nth = 1; tip == NULL; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_tip_create(store, MIB, &tip, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(status, tip != NULL ? SMELT_STATUS_OK : SMELT_STATUS_NO_MEMORY);
    }
    for (size_t nth = 1; overlay == NULL; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_overlay_create_at(tip, &overlay, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(status, overlay != NULL ? SMELT_STATUS_OK : SMELT_STATUS_NO_MEMORY);
    }
    for (size_t nth = 1;; nth++) {
        struct smelt_slice value;
        bool is_found = true;
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_overlay_get(overlay, text("stored"), &value, &is_found, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            assert_true(is_found && sm_slice_equal_text(value, "value"));
            assert_true(nth > 2);
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_false(is_found);
    }
    assert_get(overlay, "stored", "value");
    assert_true(sm_overlay_is_current(overlay));
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    assert_int_equal(sm_alloc_blocks(), blocks);
    smelt_store_close(store);
}

static uint64_t no_version(void *impl)
{
    (void)impl;
    return 0;
}

static enum smelt_status broken_get(void *impl, void *snapshot, enum smelt_store_family family,
                                    struct smelt_slice key, struct smelt_buf *value, bool *found,
                                    struct smelt_error *err)
{
    (void)impl;
    (void)snapshot;
    (void)family;
    (void)key;
    (void)value;
    *found = false;
    return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, "test", "no value");
}

static void test_errors_of_the_store_are_passed_on(void **state)
{
    (void)state;
    static const struct smelt_store_ops ops = {.get = broken_get, .version = no_version};
    struct smelt_store store = {.ops = &ops};
    struct sm_tip *tip = open_tip(&store, MIB);
    struct sm_overlay *overlay = open_overlay(tip);
    struct smelt_slice value;
    bool is_found = true;
    struct smelt_error err;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sm_overlay_get(overlay, text("k"), &value, &is_found, &err),
                         SMELT_STATUS_STORE_CORRUPT);
        assert_string_equal(err.message, "no value");
        assert_false(is_found);
    }
    assert_int_equal(sm_tip_figures(tip).entries, 0);
    assert_true(sm_overlay_is_current(overlay));
    put(overlay, "k", "v");
    publish(overlay);
    assert_get(overlay, "k", "v");
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
}

/* Threads. */

enum { READERS = 3, ROUNDS = 20000, SHARED_KEYS = 40 };

struct shared {
    struct sm_tip *tip;
    atomic_bool is_over;
    atomic_uint current_reads; /* overlays that were right at the end */
    atomic_uint torn;          /* values that nobody has written */
};

static struct smelt_slice shared_key(unsigned index, char *out, size_t size)
{
    (void)snprintf(out, size, "shared %u", index);
    return text(out);
}

/* All bytes of a value are one number's; the size follows from it too. */
static struct smelt_slice whole_value(uint8_t number, uint8_t out[256])
{
    memset(out, number, 256);
    return sm_slice(out, number);
}

static void *read_on(void *context)
{
    struct shared *shared = (struct shared *)context;
    struct sm_overlay *overlay = open_overlay(shared->tip);
    uint64_t seed = (uint64_t)(uintptr_t)overlay | 1;
    while (!atomic_load(&shared->is_over)) {
        for (size_t i = 0; i < 8; i++) {
            char key[32];
            struct smelt_slice value;
            bool is_found;
            assert_int_equal(
                sm_overlay_get(
                    overlay,
                    shared_key((unsigned)random_below(&seed, 2 * SHARED_KEYS), key, sizeof(key)),
                    &value, &is_found, NULL),
                SMELT_STATUS_OK);
            for (size_t at = 0; at < value.size; at++) {
                atomic_fetch_add(&shared->torn, value.data[at] != (uint8_t)value.size);
            }
        }
        if (sm_overlay_is_current(overlay)) {
            atomic_fetch_add(&shared->current_reads, 1);
        }
        (void)sm_tip_figures(shared->tip);
        restart(overlay);
    }
    sm_overlay_destroy(overlay);
    return NULL;
}

static void test_readers_beside_a_publisher_see_whole_values(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    /* room for some of the keys only: readers use both ways */
    struct shared shared = {.tip = open_tip(store, 6000)};
    pthread_t threads[READERS];
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &shared), 0);
    }
    struct sm_overlay *overlay = open_overlay(shared.tip);
    uint64_t seed = 3;
    size_t conflicts = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < 4; i++) {
            char key[32];
            uint8_t bytes[256];
            struct smelt_slice value;
            bool is_found;
            struct smelt_slice name =
                shared_key((unsigned)random_below(&seed, SHARED_KEYS), key, sizeof(key));
            assert_int_equal(sm_overlay_get(overlay, name, &value, &is_found, NULL),
                             SMELT_STATUS_OK);
            /* ever longer, so that entries are enlarged all the time */
            value = whole_value((uint8_t)random_below(&seed, 1 + 255 * round / ROUNDS), bytes);
            assert_int_equal(value.size % 7 == 0 ? sm_overlay_delete(overlay, name, NULL)
                                                 : sm_overlay_put(overlay, name, value, NULL),
                             SMELT_STATUS_OK);
        }
        /* nobody else publishes */
        conflicts += !sm_overlay_is_current(overlay);
        publish(overlay);
    }
    atomic_store(&shared.is_over, true);
    for (size_t i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(conflicts, 0);
    assert_int_equal(atomic_load(&shared.torn), 0);
    assert_true(atomic_load(&shared.current_reads) > 0);
    struct sm_tip_batch batch = collect(shared.tip);
    assert_int_equal(batch.count, SHARED_KEYS);
    sm_tip_batch_deinit(&batch);
    sm_overlay_destroy(overlay);
    sm_tip_destroy(shared.tip);
    smelt_store_close(store);
}

static int check_leaks(void **state)
{
    (void)state;
    return sm_alloc_blocks() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_what_is_published_is_read_and_collected, check_leaks),
        cmocka_unit_test_teardown(test_a_read_is_right_until_the_key_is_published, check_leaks),
        cmocka_unit_test_teardown(test_the_last_layer_is_what_is_published, check_leaks),
        cmocka_unit_test_teardown(test_revert_goes_back_to_the_last_collect, check_leaks),
        cmocka_unit_test_teardown(test_a_lost_batch_is_forgotten, check_leaks),
        cmocka_unit_test_teardown(test_the_budget_is_kept, check_leaks),
        cmocka_unit_test_teardown(test_batches_are_in_the_order_of_the_store, check_leaks),
        cmocka_unit_test_teardown(test_random_sequences_agree_with_the_reference, check_leaks),
        cmocka_unit_test_teardown(test_short_memory_publishes_nothing, check_leaks),
        cmocka_unit_test_teardown(test_short_memory_reads_all_the_same, check_leaks),
        cmocka_unit_test_teardown(test_errors_of_the_store_are_passed_on, check_leaks),
        cmocka_unit_test_teardown(test_readers_beside_a_publisher_see_whole_values, check_leaks),
    };
    sm_tip_destroy(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
