/* The overlay against a reference that cannot be wrong: a stack of full copies of the state. */
#include "runtime/state/overlay.h"

#include "base/status.h"
#include "runtime/state/keys.h"
#include "tests/unit/state/state_support.h"

/* Helpers. */

static struct smelt_store *open_store(void)
{
    struct smelt_store *store = NULL;
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    return store;
}

static struct sm_overlay *open_overlay(struct smelt_store *store, size_t depth)
{
    struct sm_overlay *overlay = NULL;
    assert_int_equal(sm_overlay_create(store, &overlay, NULL), SMELT_STATUS_OK);
    for (size_t i = 0; i < depth; i++) {
        assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    }
    return overlay;
}

static void put(struct sm_overlay *overlay, const char *key, const char *value)
{
    assert_int_equal(sm_overlay_put(overlay, text(key), text(value), NULL), SMELT_STATUS_OK);
}

static void erase(struct sm_overlay *overlay, const char *key)
{
    assert_int_equal(sm_overlay_delete(overlay, text(key), NULL), SMELT_STATUS_OK);
}

static void emit(struct sm_overlay *overlay, const char *topic, const char *data)
{
    struct smelt_event event = {.address = {{1}}, .topic = text(topic), .data = text(data)};
    assert_int_equal(sm_overlay_emit(overlay, &event, NULL), SMELT_STATUS_OK);
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

static struct sm_overlay_result collect(struct sm_overlay *overlay)
{
    struct sm_overlay_result result;
    assert_int_equal(sm_overlay_collect(overlay, &result, NULL), SMELT_STATUS_OK);
    return result;
}

/* Single steps. */

static void test_reads_fall_through_to_the_snapshot(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "k", "old"), SMELT_STATUS_OK);
    assert_int_equal(write_one(store, SMELT_STORE_CODE, "c", "another family"), SMELT_STATUS_OK);
    struct sm_overlay *overlay = open_overlay(store, 0);
    assert_int_equal(sm_overlay_depth(overlay), 0);
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "k", "new"), SMELT_STATUS_OK);
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "late", "x"), SMELT_STATUS_OK);
    assert_get(overlay, "k", "old");
    assert_get(overlay, "k", "old");
    assert_get(overlay, "late", NULL);
    assert_get(overlay, "c", NULL);
    assert_get(overlay, "", NULL);
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

static void test_layers_hide_reveal_and_merge(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "k", "store"), SMELT_STATUS_OK);
    struct sm_overlay *overlay = open_overlay(store, 1);
    put(overlay, "k", "one");
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    assert_get(overlay, "k", "one");
    erase(overlay, "k");
    assert_get(overlay, "k", NULL);
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    put(overlay, "k", "");
    assert_get(overlay, "k", "");
    sm_overlay_drop(overlay);
    assert_get(overlay, "k", NULL);
    sm_overlay_merge(overlay);
    assert_get(overlay, "k", NULL);
    assert_int_equal(sm_overlay_depth(overlay), 1);
    struct sm_overlay_result result = collect(overlay);
    assert_int_equal(result.write_count, 1);
    assert_true(result.writes[0].is_delete);
    sm_overlay_drop(overlay);
    assert_int_equal(sm_overlay_depth(overlay), 0);
    assert_get(overlay, "k", "store");
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

static void test_a_value_may_be_copied_from_the_overlay(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct sm_overlay *overlay = open_overlay(store, 1);
    struct smelt_slice value;
    bool is_found;
    put(overlay, "k", "abcdef");
    assert_int_equal(sm_overlay_get(overlay, text("k"), &value, &is_found, NULL), SMELT_STATUS_OK);
    assert_int_equal(
        sm_overlay_put(overlay, text("k"), sm_slice(value.data + 1, value.size - 2), NULL),
        SMELT_STATUS_OK);
    assert_get(overlay, "k", "bcde");
    assert_int_equal(sm_overlay_get(overlay, text("k"), &value, &is_found, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_put(overlay, text("other"), value, NULL), SMELT_STATUS_OK);
    assert_get(overlay, "other", "bcde");
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

static void test_events_keep_their_order(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct sm_overlay *overlay = open_overlay(store, 1);
    emit(overlay, "1", "");
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    emit(overlay, "", "2");
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    emit(overlay, "dropped", "");
    sm_overlay_drop(overlay);
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    emit(overlay, "3", "three");
    sm_overlay_merge(overlay);
    emit(overlay, "4", "");
    sm_overlay_merge(overlay);
    emit(overlay, "5", "");
    struct sm_overlay_result result = collect(overlay);
    static const char *const expected[][2] = {
        {"1", ""}, {"", "2"}, {"3", "three"}, {"4", ""}, {"5", ""}};
    assert_int_equal(result.event_count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(sm_slice_equal_text(result.events[i].topic, expected[i][0]));
        assert_true(sm_slice_equal_text(result.events[i].data, expected[i][1]));
        assert_int_equal(result.events[i].address.bytes[0], 1);
    }
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

static void test_many_keys_and_many_layers(void **state)
{
    (void)state;
    enum { KEYS = 5000, LAYERS = 1000 };
    struct smelt_store *store = open_store();
    struct sm_overlay *overlay = open_overlay(store, LAYERS);
    char key[32];
    for (unsigned i = 0; i < KEYS; i++) {
        (void)snprintf(key, sizeof(key), "%u", i);
        put(overlay, key, key);
    }
    while (sm_overlay_depth(overlay) != 1) {
        sm_overlay_merge(overlay);
    }
    struct sm_overlay_result result = collect(overlay);
    assert_int_equal(result.write_count, KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        assert_true(sm_slice_equal(result.writes[i].key, result.writes[i].value));
        assert_true(i == 0 || sm_slice_compare(result.writes[i - 1].key, result.writes[i].key) < 0);
        assert_int_equal(result.writes[i].family, SMELT_STORE_STATE);
    }
    /* collected again, the same */
    assert_int_equal(collect(overlay).write_count, KEYS);
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

struct taken {
    struct smelt_buf topics;
    size_t left; /* calls until one returns false */
};

static bool take_event(void *context, const struct smelt_event *event)
{
    struct taken *taken = (struct taken *)context;
    if (taken->left == 0) {
        return false;
    }
    taken->left--;
    return sm_buf_append(&taken->topics, event->topic.data, event->topic.size);
}

static void assert_taken(struct sm_overlay *overlay, size_t calls, bool is_done, const char *topics)
{
    struct taken taken = {.left = calls};
    assert_true(sm_buf_reserve(&taken.topics, 1));
    assert_int_equal(sm_overlay_take_events(overlay, take_event, &taken), is_done);
    assert_true(sm_slice_equal_text(sm_buf_slice(&taken.topics), topics));
    smelt_buf_deinit(&taken.topics);
}

static void test_events_are_taken_from_the_top_layer(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct sm_overlay *overlay = open_overlay(store, 1);
    assert_taken(overlay, 0, true, "");
    emit(overlay, "a", "below");
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    emit(overlay, "b", "");
    emit(overlay, "c", "");
    assert_taken(overlay, 1, false, "b");
    assert_taken(overlay, 5, true, "bc");
    assert_taken(overlay, 5, true, "");
    emit(overlay, "d", "");
    sm_overlay_merge(overlay);
    struct sm_overlay_result result = collect(overlay);
    assert_int_equal(result.event_count, 2);
    assert_true(sm_slice_equal_text(result.events[0].topic, "a"));
    assert_true(sm_slice_equal_text(result.events[1].topic, "d"));
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

static void test_storage_writes_are_counted_in_the_top_layer(void **state)
{
    (void)state;
    static const struct smelt_address address = {{1}};
    struct smelt_store *store = open_store();
    struct sm_overlay *overlay = open_overlay(store, 1);
    struct sm_state_key account;
    struct sm_state_key first;
    struct sm_state_key second;
    sm_state_account_key(&address, &account);
    sm_state_storage_key(&address, text("a"), &first);
    sm_state_storage_key(&address, text(""), &second);
    assert_int_equal(sm_overlay_storage_writes(overlay), 0);
    assert_int_equal(sm_overlay_put(overlay, sm_state_key_slice(&account), text("x"), NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_storage_writes(overlay), 0);
    assert_int_equal(sm_overlay_put(overlay, sm_state_key_slice(&first), text("x"), NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_put(overlay, sm_state_key_slice(&first), text("y"), NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_storage_writes(overlay), 1);
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_storage_writes(overlay), 0);
    assert_int_equal(sm_overlay_delete(overlay, sm_state_key_slice(&first), NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_put(overlay, sm_state_key_slice(&second), text("x"), NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_storage_writes(overlay), 2);
    sm_overlay_merge(overlay);
    assert_int_equal(sm_overlay_storage_writes(overlay), 2);
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

/* Memory. */

static void test_growing_values_reuse_their_memory(void **state)
{
    (void)state;
    enum { GROWN = 20000 };
    static uint8_t bytes[GROWN];
    struct smelt_store *store = open_store();
    struct sm_overlay *overlay = open_overlay(store, 1);
    size_t blocks = sm_alloc_blocks();
    for (int round = 0; round < 3; round++) {
        for (size_t size = 0; size < GROWN; size += 7) {
            assert_int_equal(sm_overlay_put(overlay, text("k"), sm_slice(bytes, size), NULL),
                             SMELT_STATUS_OK);
            /* one value, and the chunk that the small ones were in */
            assert_true(sm_alloc_blocks() <= blocks + 2);
        }
        assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
        for (size_t size = 0; size < GROWN; size += 7) {
            assert_int_equal(sm_overlay_put(overlay, text("k"), sm_slice(bytes, size), NULL),
                             SMELT_STATUS_OK);
        }
        assert_true(sm_alloc_blocks() <= blocks + 3);
        if (round == 1) {
            sm_overlay_merge(overlay);
        } else {
            sm_overlay_drop(overlay);
        }
    }
    /* layers that come and go leave nothing behind */
    size_t before = 0;
    for (unsigned round = 0; round < 100; round++) {
        assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
        for (unsigned i = 0; i < 200; i++) {
            char key[16];
            (void)snprintf(key, sizeof(key), "%u", i);
            assert_int_equal(
                sm_overlay_put(overlay, text(key), sm_slice(bytes, i + round % 3), NULL),
                SMELT_STATUS_OK);
            emit(overlay, key, key);
        }
        sm_overlay_drop(overlay);
        if (round < 3) { /* each size was there once */
            before = sm_alloc_blocks();
        }
        assert_int_equal(sm_alloc_blocks(), before);
    }
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

static void test_a_reset_gives_back_what_a_huge_transaction_took(void **state)
{
    (void)state;
    static uint8_t bytes[70000];
    struct smelt_store *store = open_store();
    struct sm_tip *tip = NULL;
    struct sm_overlay *overlay = NULL;
    assert_int_equal(sm_tip_create(store, 0, &tip, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_create_at(tip, &overlay, NULL), SMELT_STATUS_OK);
    size_t blocks = sm_alloc_blocks();
    for (int round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 400; i++) {
            assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
        }
        for (unsigned i = 0; i < 20000; i++) {
            char key[16];
            (void)snprintf(key, sizeof(key), "%u", i);
            put(overlay, key, key);
        }
        assert_int_equal(
            sm_overlay_put(overlay, text("large"), sm_slice(bytes, sizeof(bytes)), NULL),
            SMELT_STATUS_OK);
        emit(overlay, "topic", "data");
        assert_true(sm_alloc_blocks() > blocks + 30);
        sm_overlay_reset(overlay);
        assert_true(sm_alloc_blocks() <= blocks + 4); /* chunks of 8 to 64 KiB */
        assert_int_equal(sm_overlay_depth(overlay), 0);
        assert_get(overlay, "1", NULL);
        assert_get(overlay, "large", NULL);
    }
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

/* In an empty tip, for a key that is not in it, and for one that is. */
static void test_expecting_keys_changes_nothing(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct sm_tip *tip = NULL;
    struct sm_overlay *overlay = NULL;
    assert_int_equal(sm_tip_create(store, 1 << 20, &tip, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_create_at(tip, &overlay, NULL), SMELT_STATUS_OK);
    for (uint64_t entries = 0; entries < 2; entries++) {
        struct sm_tip_figures before = sm_tip_figures(tip);
        assert_int_equal(before.entries, entries);
        sm_overlay_fetch(overlay, sm_overlay_expect(overlay, text("a")));
        sm_overlay_fetch(overlay, sm_overlay_expect(overlay, text("c")));
        struct sm_tip_figures after = sm_tip_figures(tip);
        assert_memory_equal(&before, &after, sizeof(before));
        assert_get(overlay, entries == 0 ? "a" : "b", NULL);
    }
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

/* The reference. */

enum { KEYS = 24, VALUE_MAX = 96, DEPTH_MAX = 12, EVENTS_MAX = 512 };

struct reference_value {
    bool is_present;
    bool is_written; /* in any live layer */
    size_t size;
    uint8_t bytes[VALUE_MAX];
};

struct reference_layer {
    struct reference_value values[KEYS];
    size_t event_count;
    uint32_t events[EVENTS_MAX];
};

struct reference {
    size_t depth;
    struct reference_layer layers[DEPTH_MAX + 1]; /* 0: the store */
};

/* Keys of many lengths, some a prefix of another; in ascending order. */
static struct smelt_slice key_at(size_t index)
{
    static char keys[KEYS][64];
    char *key = keys[index];
    (void)snprintf(key, sizeof(keys[index]), "%.*s%c", (int)(index / 4 * 8),
                   "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk", (int)('a' + index % 4));
    return index == 0 ? text("") : text(key);
}

static struct smelt_slice random_value(uint64_t *seed, uint8_t *bytes)
{
    size_t size = random_below(seed, VALUE_MAX + 1);
    uint8_t fill = (uint8_t)next_random(seed);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(fill + i);
    }
    return sm_slice(bytes, size);
}

static void reference_set(struct reference_value *at, struct smelt_slice value, bool is_present)
{
    at->is_present = is_present;
    at->is_written = true;
    at->size = value.size;
    if (value.size != 0) {
        memcpy(at->bytes, value.data, value.size);
    }
}

static void compare_key(struct sm_overlay *overlay, const struct reference *reference, size_t index)
{
    const struct reference_value *expected = &reference->layers[reference->depth].values[index];
    struct smelt_slice value;
    bool is_found;
    assert_int_equal(sm_overlay_get(overlay, key_at(index), &value, &is_found, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(is_found, expected->is_present);
    if (is_found) {
        assert_true(sm_slice_equal(value, sm_slice(expected->bytes, expected->size)));
    }
}

static int compare_indices(const void *a, const void *b)
{
    return sm_slice_compare(key_at(*(const size_t *)a), key_at(*(const size_t *)b));
}

static void compare_result(struct sm_overlay *overlay, const struct reference *reference)
{
    const struct reference_layer *layer = &reference->layers[1];
    struct sm_overlay_result result = collect(overlay);
    size_t order[KEYS];
    for (size_t i = 0; i < KEYS; i++) {
        order[i] = i;
    }
    qsort(order, KEYS, sizeof(order[0]), compare_indices);
    size_t at = 0;
    for (size_t i = 0; i < KEYS; i++) {
        const struct reference_value *expected = &layer->values[order[i]];
        if (!expected->is_written) {
            continue;
        }
        assert_true(at < result.write_count);
        const struct smelt_store_write *write = &result.writes[at++];
        assert_true(sm_slice_equal(write->key, key_at(order[i])));
        assert_int_equal(write->is_delete, !expected->is_present);
        assert_true(write->is_delete ||
                    sm_slice_equal(write->value, sm_slice(expected->bytes, expected->size)));
    }
    assert_int_equal(at, result.write_count);
    assert_int_equal(result.event_count, layer->event_count);
    for (size_t i = 0; i < layer->event_count; i++) {
        assert_int_equal(sm_load_le32(result.events[i].data.data), layer->events[i]);
    }
}

static void step(struct sm_overlay *overlay, struct reference *reference, uint64_t *seed)
{
    struct reference_layer *layer = &reference->layers[reference->depth];
    size_t index = random_below(seed, KEYS);
    uint8_t bytes[VALUE_MAX];
    switch (random_below(seed, 10)) {
    case 0:
    case 1:
        if (reference->depth < DEPTH_MAX) {
            assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
            reference->layers[++reference->depth] = *layer;
        }
        break;
    case 2:
        if (reference->depth > 1) {
            sm_overlay_merge(overlay);
            reference->layers[--reference->depth] = *layer;
        }
        break;
    case 3:
        if (reference->depth > 1) {
            sm_overlay_drop(overlay);
            reference->depth--;
        }
        break;
    case 4: {
        uint32_t mark = (uint32_t)next_random(seed);
        uint8_t data[4];
        sm_store_le32(data, mark);
        struct smelt_event event = {.topic = key_at(index), .data = sm_slice(data, sizeof(data))};
        assert_int_equal(sm_overlay_emit(overlay, &event, NULL), SMELT_STATUS_OK);
        layer->events[layer->event_count++] = mark;
        break;
    }
    case 5:
        assert_int_equal(sm_overlay_delete(overlay, key_at(index), NULL), SMELT_STATUS_OK);
        reference_set(&layer->values[index], sm_slice(NULL, 0), false);
        break;
    case 6:
        compare_key(overlay, reference, index);
        break;
    default: {
        struct smelt_slice value = random_value(seed, bytes);
        assert_int_equal(sm_overlay_put(overlay, key_at(index), value, NULL), SMELT_STATUS_OK);
        reference_set(&layer->values[index], value, true);
        break;
    }
    }
    compare_key(overlay, reference, random_below(seed, KEYS));
    assert_int_equal(sm_overlay_depth(overlay), reference->depth);
}

/* Over a snapshot, or over a tip with or without room. */
static void run_sequence(struct reference *reference, uint64_t seed)
{
    struct smelt_store *store = open_store();
    struct sm_tip *tip = NULL;
    struct sm_overlay *overlay = NULL;
    uint64_t kind = seed % 3;
    memset(reference, 0, sizeof(*reference));
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t bytes[VALUE_MAX];
        if (random_below(&seed, 2) == 0) {
            continue;
        }
        struct smelt_store_write write = {
            .family = SMELT_STORE_STATE, .key = key_at(i), .value = random_value(&seed, bytes)};
        assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
        reference_set(&reference->layers[0].values[i], write.value, true);
        reference->layers[0].values[i].is_written = false;
    }
    if (kind == 0) {
        overlay = open_overlay(store, 0);
    } else {
        assert_int_equal(sm_tip_create(store, kind << 11, &tip, NULL), SMELT_STATUS_OK);
        assert_int_equal(sm_overlay_create_at(tip, &overlay, NULL), SMELT_STATUS_OK);
    }
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    reference->depth = 1;
    reference->layers[1] = reference->layers[0];
    size_t steps = 20 + random_below(&seed, 180);
    for (size_t i = 0; i < steps; i++) {
        step(overlay, reference, &seed);
    }
    for (size_t i = 0; i < KEYS; i++) {
        compare_key(overlay, reference, i);
    }
    while (reference->depth > 1) {
        if (random_below(&seed, 3) == 0) {
            sm_overlay_drop(overlay);
        } else {
            sm_overlay_merge(overlay);
            reference->layers[reference->depth - 1] = reference->layers[reference->depth];
        }
        reference->depth--;
    }
    compare_result(overlay, reference);
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    smelt_store_close(store);
}

static void test_random_sequences_agree_with_full_copies(void **state)
{
    (void)state;
    struct reference *reference = (struct reference *)sm_calloc(1, sizeof(*reference));
    assert_non_null(reference);
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        run_sequence(reference, seed);
    }
    sm_free(reference);
}

/* Failures. */

static void test_short_memory_loses_nothing(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "stored", "s"), SMELT_STATUS_OK);
    size_t blocks = sm_alloc_blocks();
    struct sm_overlay *overlay = NULL;
    for (size_t nth = 1; overlay == NULL; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_overlay_create(store, &overlay, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(status, overlay != NULL ? SMELT_STATUS_OK : SMELT_STATUS_NO_MEMORY);
        assert_true(overlay != NULL || sm_alloc_blocks() == blocks);
    }
    /* a script in which every line is tried with its 1st, 2nd, … allocation failing */
    static const char *const script[] = {
        "push", "put a 1",        "get a",  "get stored", "get missing", "delete stored", "emit x",
        "push", "put a 22222222", "emit y", "put b",      "merge",       "delete c",      "collect",
    };
    char line[64];
    for (size_t i = 0; i < sizeof(script) / sizeof(script[0]); i++) {
        for (size_t nth = 1;; nth++) {
            (void)snprintf(line, sizeof(line), "%s", script[i]);
            char *verb = line;
            char *key = strchr(verb, ' ');
            char *value = NULL;
            if (key != NULL) {
                *key++ = '\0';
                value = strchr(key, ' ');
            }
            if (value != NULL) {
                *value++ = '\0';
            }
            struct smelt_event event = {.topic = text(key), .data = text("data")};
            struct smelt_slice read;
            bool is_found;
            struct sm_overlay_result result;
            enum smelt_status status = SMELT_STATUS_OK;
            struct smelt_error err = {0};
            sm_alloc_fail_at(nth);
            if (strcmp(verb, "push") == 0) {
                status = sm_overlay_push(overlay, &err);
            } else if (strcmp(verb, "put") == 0) {
                status = sm_overlay_put(overlay, text(key), text(value), &err);
            } else if (strcmp(verb, "get") == 0) {
                status = sm_overlay_get(overlay, text(key), &read, &is_found, &err);
            } else if (strcmp(verb, "delete") == 0) {
                status = sm_overlay_delete(overlay, text(key), &err);
            } else if (strcmp(verb, "emit") == 0) {
                status = sm_overlay_emit(overlay, &event, &err);
            } else if (strcmp(verb, "merge") == 0) {
                sm_overlay_merge(overlay);
            } else {
                status = sm_overlay_collect(overlay, &result, &err);
            }
            sm_alloc_fail_at(0);
            assert_int_equal(err.status, status);
            if (status == SMELT_STATUS_OK) {
                break;
            }
            assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        }
    }
    struct sm_overlay_result result = collect(overlay);
    static const char *const keys[] = {"a", "b", "c", "stored"};
    assert_int_equal(result.write_count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(sm_slice_equal_text(result.writes[i].key, keys[i]));
        assert_int_equal(result.writes[i].is_delete, i >= 2);
    }
    assert_int_equal(result.event_count, 2);
    assert_get(overlay, "a", "22222222");
    sm_overlay_destroy(overlay);
    assert_int_equal(sm_alloc_blocks(), blocks);
    smelt_store_close(store);
}

static void test_growing_the_key_map_may_fail(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct sm_overlay *overlay = open_overlay(store, 1);
    size_t failures = 0;
    for (unsigned i = 0; i < 300; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key %u", i);
        for (size_t nth = 1;; nth++) {
            sm_alloc_fail_at(nth);
            enum smelt_status status = sm_overlay_put(overlay, text(key), text(key), NULL);
            sm_alloc_fail_at(0);
            if (status == SMELT_STATUS_OK) {
                break;
            }
            assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
            failures++;
        }
    }
    assert_true(failures >= 7); /* the map grows four times, and takes three chunks of memory */
    assert_int_equal(collect(overlay).write_count, 300);
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

static enum smelt_status broken_snapshot(void *impl, void **snapshot, struct smelt_error *err)
{
    if (*(const bool *)impl) {
        return sm_error_set(err, SMELT_STATUS_IO, "test", "no snapshot");
    }
    *snapshot = impl;
    return SMELT_STATUS_OK;
}

static void broken_release(void *impl, void *snapshot)
{
    assert_ptr_equal(impl, snapshot);
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
    (void)found;
    return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, "test", "no value");
}

static void test_errors_of_the_store_are_passed_on(void **state)
{
    (void)state;
    static const struct smelt_store_ops ops = {
        .snapshot = broken_snapshot, .release = broken_release, .get = broken_get};
    bool is_broken = true;
    struct smelt_store store = {.ops = &ops, .impl = &is_broken};
    struct sm_overlay *overlay = NULL;
    struct smelt_error err;
    assert_int_equal(sm_overlay_create(&store, &overlay, &err), SMELT_STATUS_IO);
    assert_null(overlay);
    assert_string_equal(err.message, "no snapshot");
    is_broken = false;
    overlay = open_overlay(&store, 1);
    struct smelt_slice value;
    bool is_found = true;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sm_overlay_get(overlay, text("k"), &value, &is_found, &err),
                         SMELT_STATUS_STORE_CORRUPT);
        assert_string_equal(err.message, "no value");
        assert_false(is_found);
    }
    /* what was written does not need the store */
    put(overlay, "k", "v");
    assert_get(overlay, "k", "v");
    sm_overlay_destroy(overlay);
}

static int check_leaks(void **state)
{
    (void)state;
    return sm_alloc_blocks() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_reads_fall_through_to_the_snapshot, check_leaks),
        cmocka_unit_test_teardown(test_layers_hide_reveal_and_merge, check_leaks),
        cmocka_unit_test_teardown(test_a_value_may_be_copied_from_the_overlay, check_leaks),
        cmocka_unit_test_teardown(test_events_keep_their_order, check_leaks),
        cmocka_unit_test_teardown(test_many_keys_and_many_layers, check_leaks),
        cmocka_unit_test_teardown(test_events_are_taken_from_the_top_layer, check_leaks),
        cmocka_unit_test_teardown(test_storage_writes_are_counted_in_the_top_layer, check_leaks),
        cmocka_unit_test_teardown(test_growing_values_reuse_their_memory, check_leaks),
        cmocka_unit_test(test_expecting_keys_changes_nothing),
        cmocka_unit_test_teardown(test_a_reset_gives_back_what_a_huge_transaction_took,
                                  check_leaks),
        cmocka_unit_test_teardown(test_random_sequences_agree_with_full_copies, check_leaks),
        cmocka_unit_test_teardown(test_short_memory_loses_nothing, check_leaks),
        cmocka_unit_test_teardown(test_growing_the_key_map_may_fail, check_leaks),
        cmocka_unit_test_teardown(test_errors_of_the_store_are_passed_on, check_leaks),
    };
    sm_overlay_destroy(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
