/* Records: what was put comes back, and everything else is NOT_FOUND. */
#include "base/alloc.h"
#include "cache/objects.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[PATH_MAX];
static struct smelt_cache *cache;
static size_t blocks_before;
static const struct smelt_hash id = {{0x11, 0x22}};
static const struct smelt_hash other_id = {{0x11, 0x23}};

static int set_up(void **state)
{
    (void)state;
    blocks_before = sm_alloc_blocks();
    test_directory_create(scratch);
    return smelt_cache_open(scratch, &cache, NULL) == SMELT_STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    smelt_cache_close(cache);
    test_directory_remove(scratch);
    assert_int_equal(sm_alloc_blocks(), blocks_before);
    return 0;
}

static const char *record_path(const struct smelt_hash *of)
{
    char name[PATH_MAX];
    char hex[2 * SMELT_HASH_BYTES + 1];
    smelt_hex_encode(of->bytes, sizeof(of->bytes), hex);
    (void)snprintf(name, sizeof(name), "records/%.2s/%s", hex, hex);
    return test_path(scratch, name);
}

static void put(const char *kind, const struct smelt_hash *of, const char *text)
{
    assert_int_equal(sm_cache_record_put(cache, kind, of, smelt_slice_from_string(text), NULL),
                     SMELT_STATUS_OK);
}

static void expect(const char *kind, const struct smelt_hash *of, const char *text)
{
    struct smelt_buf value = {0};
    /* old content must not survive */
    assert_true(sm_buf_append(&value, "old", 3));
    enum smelt_status status = sm_cache_record_get(cache, kind, of, &value, NULL);
    assert_int_equal(status, text != NULL ? SMELT_STATUS_OK : SMELT_STATUS_NOT_FOUND);
    if (text != NULL) {
        assert_true(sm_slice_equal_text(sm_buf_slice(&value), text));
    } else {
        assert_null(value.data);
    }
    smelt_buf_deinit(&value);
}

static void test_put_and_get(void **state)
{
    (void)state;
    expect("tool", &id, NULL);
    put("tool", &id, "clang 19");
    expect("tool", &id, "clang 19");
    expect("tool", &other_id, NULL);
    put("tool", &id, "");
    expect("tool", &id, "");
    put("tool", &other_id, "b");
    expect("tool", &other_id, "b");
    expect("tool", &id, "");
}

static void test_kind_is_part_of_the_seal(void **state)
{
    (void)state;
    put("tool", &id, "value");
    expect("too", &id, NULL);
    expect("tools", &id, NULL);
    expect("toolv", &id, NULL);
    expect("", &id, NULL);
}

static void test_record_of_another_id_is_foreign(void **state)
{
    (void)state;
    put("tool", &id, "value");
    assert_int_equal(rename(record_path(&id), record_path(&other_id)), 0);
    expect("tool", &other_id, NULL);
    expect("tool", &id, NULL);
}

static void test_record_of_another_cache_is_foreign(void **state)
{
    (void)state;
    put("tool", &id, "value");
    smelt_cache_close(cache);
    assert_int_equal(unlink(test_path(scratch, "seal.key")), 0);
    assert_int_equal(smelt_cache_open(scratch, &cache, NULL), SMELT_STATUS_OK);
    expect("tool", &id, NULL);
}

static void test_damage_reads_as_not_found(void **state)
{
    (void)state;
    put("tool", &id, "some value");
    const char *path = record_path(&id);
    struct smelt_buf file = test_file_read(path);
    assert_int_equal(file.size, 10 + 32);
    for (size_t i = 0; i < file.size; i++) {
        for (unsigned int bit = 0; bit < 8; bit++) {
            file.data[i] ^= (uint8_t)(1u << bit);
            test_file_write(path, sm_buf_slice(&file));
            expect("tool", &id, NULL);
            file.data[i] ^= (uint8_t)(1u << bit);
        }
        test_file_write(path, sm_slice(file.data, i));
        expect("tool", &id, NULL);
    }
    test_file_write(path, sm_buf_slice(&file));
    expect("tool", &id, "some value");
    assert_true(sm_buf_append_u8(&file, 0));
    test_file_write(path, sm_buf_slice(&file));
    expect("tool", &id, NULL);
    smelt_buf_deinit(&file);
}

static void test_odd_files_read_as_not_found(void **state)
{
    (void)state;
    put("tool", &other_id, "value");
    const char *path = record_path(&id);

    assert_int_equal(symlink(record_path(&other_id), path), 0);
    expect("tool", &id, NULL);
    put("tool", &id, "healed"); /* and the link's target is untouched */
    expect("tool", &other_id, "value");
    expect("tool", &id, "healed");

    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect("tool", &id, NULL);
    put("tool", &id, "healed");
    expect("tool", &id, "healed");

    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    expect("tool", &id, NULL);

    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect("tool", &id, NULL);
    assert_int_equal(sm_cache_record_put(cache, "tool", &id, sm_slice("x", 1), NULL),
                     SMELT_STATUS_IO);
}

static void test_size_limit(void **state)
{
    (void)state;
    struct smelt_buf value = {0};
    assert_true(sm_buf_reserve(&value, (1u << 20) + 1));
    memset(value.data, 'x', (1u << 20) + 1);
    assert_int_equal(
        sm_cache_record_put(cache, "tool", &id, sm_slice(value.data, (1u << 20) + 1), NULL),
        SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(sm_cache_record_put(cache, "tool", &id, sm_slice(value.data, 1u << 20), NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(sm_cache_record_get(cache, "tool", &id, &value, NULL), SMELT_STATUS_OK);
    assert_int_equal(value.size, 1u << 20);
    smelt_buf_deinit(&value);
}

static int put_with_small_files(void *context)
{
    (void)context;
    const struct rlimit limit = {.rlim_cur = 16, .rlim_max = 16};
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 1;
    }
    return sm_cache_record_put(cache, "tool", &id, sm_slice("new", 3), NULL) == SMELT_STATUS_IO ? 0
                                                                                                : 2;
}

static void test_failed_put_keeps_the_old_record(void **state)
{
    (void)state;
    put("tool", &id, "old");
    assert_int_equal(test_in_child(put_with_small_files, NULL), 0);
    expect("tool", &id, "old");
    assert_int_equal(test_directory_count(test_path(scratch, "records/11"), NULL), 1);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    const size_t blocks = sm_alloc_blocks();
    size_t nth = 1;
    for (;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status =
            sm_cache_record_put(cache, "tool", &id, sm_slice("value", 5), NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(sm_alloc_blocks(), blocks);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        expect("tool", &id, NULL);
    }
    assert_true(nth > 1);
    for (nth = 1;; nth++) {
        struct smelt_buf value = {0};
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_cache_record_get(cache, "tool", &id, &value, NULL);
        sm_alloc_fail_at(0);
        smelt_buf_deinit(&value);
        assert_int_equal(sm_alloc_blocks(), blocks);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    }
    assert_true(nth > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_and_get, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kind_is_part_of_the_seal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record_of_another_id_is_foreign, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_record_of_another_cache_is_foreign, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damage_reads_as_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_odd_files_read_as_not_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_size_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_put_keeps_the_old_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_allocation_failures, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
