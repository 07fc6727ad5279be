/* Opening a cache: layout, default directory, and above all the seal key. */
#include "base/alloc.h"
#include "cache/objects.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char scratch[PATH_MAX];
static size_t blocks_before;

static int set_up(void **state)
{
    (void)state;
    blocks_before = sm_alloc_blocks();
    test_directory_create(scratch);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_directory_remove(scratch);
    assert_int_equal(sm_alloc_blocks(), blocks_before);
    return 0;
}

static void open_and_close(const char *path)
{
    struct smelt_cache *cache;
    struct smelt_error err = {0};
    enum smelt_status status = smelt_cache_open(path, &cache, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, SMELT_STATUS_OK);
    smelt_cache_close(cache);
}

static mode_t mode_of(const char *path)
{
    struct stat info;
    assert_int_equal(lstat(path, &info), 0);
    return info.st_mode & 07777;
}

static void test_open_creates_the_layout(void **state)
{
    (void)state;
    const char *path = test_path(scratch, "a/b/cache");
    open_and_close(path);
    assert_int_equal(mode_of(path), 0700);
    static const char *const areas[] = {"objects", "records", "locks", "quarantine"};
    for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
        assert_int_equal(mode_of(test_path(path, areas[i])), 0700);
    }
    assert_int_equal(mode_of(test_path(path, "seal.key")), 0600);
    /* nothing else, no temporary file in particular */
    assert_int_equal(test_directory_count(path, NULL), 5);

    struct smelt_buf key = test_file_read(test_path(path, "seal.key"));
    assert_int_equal(key.size, 32);
    open_and_close(path);
    struct smelt_buf again = test_file_read(test_path(path, "seal.key"));
    assert_true(sm_slice_equal(sm_buf_slice(&key), sm_buf_slice(&again)));
    smelt_buf_deinit(&key);
    smelt_buf_deinit(&again);
}

static void test_open_resolves_links_and_dots(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path(scratch, "real"), 0700), 0);
    assert_int_equal(symlink("real", test_path(scratch, "link")), 0);
    struct smelt_cache *cache;
    assert_int_equal(smelt_cache_open(test_path(scratch, "./link/"), &cache, NULL),
                     SMELT_STATUS_OK);
    struct smelt_hash key = {{0xab}};
    char path[PATH_MAX];
    assert_int_equal(sm_cache_object_path(cache, &key, path, sizeof(path), NULL), SMELT_STATUS_OK);
    assert_int_equal(path[0], '/');
    assert_non_null(strstr(path, "/real/objects/ab/ab000000"));
    assert_string_equal(path + strlen(path) - 5, "00.so");
    char small[16];
    assert_int_equal(sm_cache_object_path(cache, &key, small, sizeof(small), NULL),
                     SMELT_STATUS_IO);
    smelt_cache_close(cache);
    smelt_cache_close(NULL);
}

static void test_open_refuses_bad_arguments(void **state)
{
    (void)state;
    struct smelt_cache *cache = (struct smelt_cache *)scratch;
    assert_int_equal(smelt_cache_open(NULL, &cache, NULL), SMELT_STATUS_INVALID_ARGUMENT);
    assert_null(cache);
    assert_int_equal(smelt_cache_open("", &cache, NULL), SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_cache_open(scratch, NULL, NULL), SMELT_STATUS_INVALID_ARGUMENT);

    test_file_write(test_path(scratch, "file"), sm_slice("x", 1));
    assert_int_equal(smelt_cache_open(test_path(scratch, "file"), &cache, NULL), SMELT_STATUS_IO);
    assert_int_equal(smelt_cache_open(test_path(scratch, "file/below"), &cache, NULL),
                     SMELT_STATUS_IO);
    struct smelt_error err;
    assert_int_equal(mkdir(test_path(scratch, "odd"), 0700), 0);
    test_file_write(test_path(scratch, "odd/objects"), sm_slice("x", 1));
    assert_int_equal(smelt_cache_open(test_path(scratch, "odd"), &cache, &err), SMELT_STATUS_IO);
    assert_non_null(strstr(err.message, "odd/objects is not a directory"));
    char *longer = (char *)calloc(1, 2 * PATH_MAX);
    memset(longer, 'a', 2 * PATH_MAX - 1);
    assert_int_equal(smelt_cache_open(longer, &cache, NULL), SMELT_STATUS_IO);
    free(longer);
}

static void key_short(const char *path)
{
    test_file_write(path, sm_slice("0123456789012345678901234567890", 31));
}

static void key_long(const char *path)
{
    test_file_write(path, sm_slice("012345678901234567890123456789012", 33));
}

static void key_empty(const char *path)
{
    test_file_write(path, sm_slice("", 0));
}

static void key_link(const char *path)
{
    assert_int_equal(rename(path, test_path(scratch, "elsewhere")), 0);
    assert_int_equal(symlink(test_path(scratch, "elsewhere"), path), 0);
}

static void key_dangling_link(const char *path)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nowhere", path), 0);
}

static void key_fifo(const char *path)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void key_directory(const char *path)
{
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void key_group_readable(const char *path)
{
    assert_int_equal(chmod(path, 0640), 0);
}

static void key_world_readable(const char *path)
{
    assert_int_equal(chmod(path, 0604), 0);
}

static void key_group_writable(const char *path)
{
    assert_int_equal(chmod(path, 0620), 0);
}

static void test_spoiled_keys_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        void (*spoil)(const char *path);
        const char *message;
    } cases[] = {
        {"short", key_short, "not 32 bytes"},
        {"long", key_long, "not 32 bytes"},
        {"empty", key_empty, "not 32 bytes"},
        {"link", key_link, "not a regular file"},
        {"dangling", key_dangling_link, "not a regular file"},
        {"fifo", key_fifo, "not a regular file"},
        {"directory", key_directory, "not a regular file"},
        {"group-r", key_group_readable, "open to other users"},
        {"world-r", key_world_readable, "open to other users"},
        {"group-w", key_group_writable, "open to other users"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = test_path(scratch, cases[i].name);
        open_and_close(path);
        const char *key = test_path(path, "seal.key");
        cases[i].spoil(key);
        struct smelt_cache *cache;
        struct smelt_error err;
        assert_int_equal(smelt_cache_open(path, &cache, &err), SMELT_STATUS_ARTEFACT_SEAL);
        assert_null(cache);
        assert_non_null(strstr(err.message, cases[i].message));
        assert_non_null(strstr(err.message, "remove it"));
        /* refused, not repaired */
        assert_true(test_file_exists(key));
    }
}

static void test_key_of_another_user_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip();
    }
    open_and_close(test_path(scratch, "c"));
    assert_int_equal(chown(test_path(scratch, "c/seal.key"), TEST_NOBODY, TEST_NOBODY), 0);
    struct smelt_cache *cache;
    struct smelt_error err;
    assert_int_equal(smelt_cache_open(test_path(scratch, "c"), &cache, &err),
                     SMELT_STATUS_ARTEFACT_SEAL);
    assert_non_null(strstr(err.message, "another user"));
}

static int put_record(void *context)
{
    struct smelt_cache *cache;
    const struct smelt_hash *id = (const struct smelt_hash *)context;
    if (smelt_cache_open(test_path(scratch, "raced"), &cache, NULL) != SMELT_STATUS_OK) {
        return 1;
    }
    enum smelt_status status =
        sm_cache_record_put(cache, "test", id, sm_slice(id->bytes, sizeof(id->bytes)), NULL);
    smelt_cache_close(cache);
    return status == SMELT_STATUS_OK ? 0 : 2;
}

static void test_racing_processes_agree_on_one_key(void **state)
{
    (void)state;
    enum { PROCESSES = 8 };
    struct smelt_hash ids[PROCESSES] = {0};
    int children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        ids[i].bytes[0] = (uint8_t)i;
        children[i] = test_child_start(put_record, &ids[i]);
    }
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(test_child_wait(children[i]), 0);
    }
    struct smelt_cache *cache;
    assert_int_equal(smelt_cache_open(test_path(scratch, "raced"), &cache, NULL), SMELT_STATUS_OK);
    for (int i = 0; i < PROCESSES; i++) {
        struct smelt_buf value = {0};
        assert_int_equal(sm_cache_record_get(cache, "test", &ids[i], &value, NULL),
                         SMELT_STATUS_OK);
        smelt_buf_deinit(&value);
    }
    smelt_cache_close(cache);
    assert_int_equal(test_directory_count(test_path(scratch, "raced"), ".tmp-"), 0);
}

/* What a process without write permission meets in a complete cache: everything but writing. */
static int read_only_child(void *context)
{
    (void)context;
    struct smelt_cache *cache;
    struct smelt_hash key = {{1}};
    struct sm_cache_object object;
    struct smelt_buf value = {0};
    int lock = 7;
    if (!test_become_nobody() || smelt_cache_open(scratch, &cache, NULL) != SMELT_STATUS_OK) {
        return 1;
    }
    if (sm_cache_open_object(cache, &key, &object, NULL) != SMELT_STATUS_OK) {
        return 2;
    }
    if (sm_cache_publish(cache, &key, sm_slice("x", 1), NULL, 0, NULL) != SMELT_STATUS_READ_ONLY) {
        return 3;
    }
    if (sm_cache_record_put(cache, "test", &key, sm_slice("x", 1), NULL) !=
        SMELT_STATUS_READ_ONLY) {
        return 4;
    }
    if (sm_cache_record_get(cache, "test", &key, &value, NULL) != SMELT_STATUS_OK) {
        return 5;
    }
    if (sm_cache_lock(cache, &key, &lock, NULL) != SMELT_STATUS_OK || lock != -1) {
        return 6;
    }
    /* a bad entry is reported, and stays */
    struct smelt_error err;
    key.bytes[0] = 2;
    if (sm_cache_open_object(cache, &key, &object, &err) != SMELT_STATUS_ARTEFACT_CORRUPT ||
        strstr(err.message, "left in ") == NULL) {
        return 7;
    }
    smelt_cache_close(cache);
    return 0;
}

static int unopenable_child(void *context)
{
    (void)context;
    struct smelt_cache *cache;
    if (!test_become_nobody()) {
        return 1;
    }
    return smelt_cache_open(scratch, &cache, NULL) == SMELT_STATUS_READ_ONLY ? 0 : 2;
}

static void give_to_nobody(const char *path, mode_t mode)
{
    if (geteuid() == 0) {
        assert_int_equal(chown(path, TEST_NOBODY, TEST_NOBODY), 0);
    }
    assert_int_equal(chmod(path, mode), 0);
}

static void test_read_only_cache_can_be_read(void **state)
{
    (void)state;
    struct smelt_cache *cache;
    assert_int_equal(smelt_cache_open(scratch, &cache, NULL), SMELT_STATUS_OK);
    struct smelt_hash key = {{1}};
    struct smelt_hash bad = {{2}};
    assert_int_equal(sm_cache_publish(cache, &key, sm_slice("one", 3), NULL, 0, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(sm_cache_publish(cache, &bad, sm_slice("two", 3), NULL, 0, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(sm_cache_record_put(cache, "test", &key, sm_slice("v", 1), NULL),
                     SMELT_STATUS_OK);
    char path[PATH_MAX];
    char name[128];
    static const struct smelt_hash *keys[2];
    keys[0] = &key;
    keys[1] = &bad;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(sm_cache_object_path(cache, keys[i], path, sizeof(path), NULL),
                         SMELT_STATUS_OK);
        give_to_nobody(path, 0400);
        memcpy(strrchr(path, '.'), ".meta", sizeof(".meta"));
        give_to_nobody(path, 0400);
        *strrchr(path, '/') = '\0';
        give_to_nobody(path, 0500);
    }
    smelt_cache_close(cache);
    (void)snprintf(name, sizeof(name), "records/01/01%062d", 0);
    give_to_nobody(test_path(scratch, name), 0400);
    give_to_nobody(test_path(scratch, "records/01"), 0500);
    (void)snprintf(name, sizeof(name), "objects/02/02%062d.so", 0);
    assert_int_equal(chmod(test_path(scratch, name), 0600), 0);
    test_file_write(test_path(scratch, name), sm_slice("twO", 3));
    static const char *const names[] = {"objects", "records", "locks", "quarantine"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        give_to_nobody(test_path(scratch, names[i]), 0500);
    }
    give_to_nobody(test_path(scratch, "seal.key"), 0600);
    give_to_nobody(scratch, 0500);
    assert_int_equal(test_in_child(read_only_child, NULL), 0);

    /* without a key there is nothing to check seals with */
    assert_int_equal(chmod(scratch, 0700), 0);
    assert_int_equal(unlink(test_path(scratch, "seal.key")), 0);
    assert_int_equal(chmod(scratch, 0500), 0);
    assert_int_equal(test_in_child(unopenable_child, NULL), 0);

    static const char *const all[] = {"objects/01", "objects/02", "records/01", "objects",
                                      "records",    "locks",      "quarantine", "."};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_int_equal(chmod(test_path(scratch, all[i]), 0700), 0);
    }
}

static void set_variable(const char *name, const char *value)
{
    assert_int_equal(value != NULL ? setenv(name, value, 1) : unsetenv(name), 0);
}

static void test_default_directory(void **state)
{
    (void)state;
    static const struct {
        const char *smelt, *xdg, *home;
        const char *expected; /* NULL: INVALID_ARGUMENT */
    } cases[] = {
        {"/s", "/x", "/h", "/s"},
        {"relative", "/x", "/h", "relative"},
        {NULL, "/x", "/h", "/x/smelt"},
        {"", "/x", "/h", "/x/smelt"},
        {NULL, NULL, "/h", "/h/.cache/smelt"},
        {NULL, "", "/h", "/h/.cache/smelt"},
        {NULL, "relative", "/h", "/h/.cache/smelt"},
        {NULL, "relative", NULL, NULL},
        {NULL, NULL, NULL, NULL},
        {"", "", "", NULL},
        {"/sixteen-bytes-is-too-much", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set_variable("SMELT_CACHE", cases[i].smelt);
        set_variable("XDG_CACHE_HOME", cases[i].xdg);
        set_variable("HOME", cases[i].home);
        char path[16];
        memset(path, 'z', sizeof(path));
        enum smelt_status status = smelt_cache_default_directory(path, sizeof(path), NULL);
        assert_int_equal(status, cases[i].expected != NULL ? SMELT_STATUS_OK
                                                           : SMELT_STATUS_INVALID_ARGUMENT);
        assert_string_equal(path, cases[i].expected != NULL ? cases[i].expected : "");
    }
    assert_int_equal(smelt_cache_default_directory(NULL, 0, NULL), SMELT_STATUS_INVALID_ARGUMENT);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct smelt_cache *cache = NULL;
    size_t nth = 1;
    for (;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = smelt_cache_open(scratch, &cache, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_null(cache);
        assert_int_equal(sm_alloc_blocks(), blocks_before);
    }
    assert_true(nth > 1);
    smelt_cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_open_creates_the_layout, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_resolves_links_and_dots, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_open_refuses_bad_arguments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spoiled_keys_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_key_of_another_user_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_racing_processes_agree_on_one_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_only_cache_can_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_default_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_allocation_failures, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
