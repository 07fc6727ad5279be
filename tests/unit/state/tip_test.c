/* The tip against a reference that cannot be wrong: a list of all keys with what the store holds,
 * what was published, and what was collected. */
#include "runtime/state/tip.h"

#include "base/status.h"
#include "runtime/state/overlay.h"
#include "tests/unit/state/state_support.h"

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
    sm_tip_begin(tip);
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

static int check_leaks(void **state)
{
    (void)state;
    return sm_alloc_blocks() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_what_is_published_is_read_and_collected, check_leaks),
    };
    sm_tip_destroy(NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
