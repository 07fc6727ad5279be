/* Exclusion by key, between threads and between processes, and what ends it. */
#include "cache/objects.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 4
#define ROUNDS  200

static char scratch[PATH_MAX];
static struct smelt_cache *cache;
static const struct smelt_hash key = {{1}};
static const struct smelt_hash other_key = {{2}};

static int set_up(void **state)
{
    (void)state;
    test_directory_create(scratch);
    return smelt_cache_open(scratch, &cache, NULL) == SMELT_STATUS_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    smelt_cache_close(cache);
    test_directory_remove(scratch);
    return 0;
}

/* Reads a number, lets others run, writes the number plus one: loses counts without the lock. */
static int count_up(void *context)
{
    const char *path = (const char *)context;
    for (int i = 0; i < ROUNDS; i++) {
        int lock;
        if (sm_cache_lock(cache, &key, &lock, NULL) != SMELT_STATUS_OK || lock < 0) {
            return 1;
        }
        int value = 0;
        FILE *file = fopen(path, "r");
        if (file == NULL || fread(&value, sizeof(value), 1, file) != 1 || fclose(file) != 0) {
            return 2;
        }
        (void)sched_yield();
        value++;
        file = fopen(path, "w");
        if (file == NULL || fwrite(&value, sizeof(value), 1, file) != 1 || fclose(file) != 0) {
            return 3;
        }
        sm_cache_unlock(lock);
    }
    return 0;
}

static void *count_up_thread(void *context)
{
    return count_up(context) == 0 ? NULL : context;
}

static char counter[PATH_MAX];

static void start_counter(void)
{
    const int zero = 0;
    (void)snprintf(counter, sizeof(counter), "%s", test_path(scratch, "counter"));
    test_file_write(counter, sm_slice(&zero, sizeof(zero)));
}

static int counted(void)
{
    int value;
    struct smelt_buf data = test_file_read(counter);
    assert_int_equal(data.size, sizeof(value));
    memcpy(&value, data.data, sizeof(value));
    smelt_buf_deinit(&data);
    return value;
}

static void test_processes_exclude_each_other(void **state)
{
    (void)state;
    start_counter();
    int children[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        children[i] = test_child_start(count_up, counter);
    }
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(test_child_wait(children[i]), 0);
    }
    assert_int_equal(counted(), WORKERS * ROUNDS);
}

static void test_threads_exclude_each_other(void **state)
{
    (void)state;
    start_counter();
    pthread_t threads[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_up_thread, counter), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        void *failure;
        assert_int_equal(pthread_join(threads[i], &failure), 0);
        assert_null(failure);
    }
    assert_int_equal(counted(), WORKERS * ROUNDS);
}

static int hold_until_killed(void *context)
{
    int lock;
    const int *ready = (const int *)context;
    if (sm_cache_lock(cache, &key, &lock, NULL) != SMELT_STATUS_OK) {
        return 1;
    }
    if (write(*ready, "r", 1) != 1) {
        return 2;
    }
    for (;;) {
        (void)pause();
    }
}

static void test_lock_ends_with_its_holder(void **state)
{
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    int child = test_child_start(hold_until_killed, &ready[1]);
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    /* other keys are free meanwhile */
    int lock;
    assert_int_equal(sm_cache_lock(cache, &other_key, &lock, NULL), SMELT_STATUS_OK);
    assert_true(lock >= 0);
    sm_cache_unlock(lock);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(test_child_wait(child), -1);
    assert_int_equal(sm_cache_lock(cache, &key, &lock, NULL), SMELT_STATUS_OK);
    sm_cache_unlock(lock);
    sm_cache_unlock(-1);
    (void)close(ready[0]);
    (void)close(ready[1]);
}

static int sleep_a_second(void *context)
{
    (void)context;
    (void)sleep(1);
    return 0;
}

static void test_forked_child_does_not_keep_the_lock(void **state)
{
    (void)state;
    int lock;
    assert_int_equal(sm_cache_lock(cache, &key, &lock, NULL), SMELT_STATUS_OK);
    int child = test_child_start(sleep_a_second, NULL);
    sm_cache_unlock(lock);
    /* would wait for the child if unlocking relied on closing alone; killing it below would fail */
    assert_int_equal(sm_cache_lock(cache, &key, &lock, NULL), SMELT_STATUS_OK);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(test_child_wait(child), -1);
    sm_cache_unlock(lock);
}

static void test_odd_lock_files_are_refused(void **state)
{
    (void)state;
    char hex[2 * SMELT_HASH_BYTES + 1];
    char name[128];
    smelt_hex_encode(key.bytes, sizeof(key.bytes), hex);
    (void)snprintf(name, sizeof(name), "locks/%s", hex);
    const char *path = test_path(scratch, name);
    struct smelt_error err;
    int lock = 5;

    assert_int_equal(symlink(test_path(scratch, "target"), path), 0);
    assert_int_equal(sm_cache_lock(cache, &key, &lock, &err), SMELT_STATUS_IO);
    assert_int_equal(lock, -1);
    assert_false(test_file_exists(test_path(scratch, "target")));
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(sm_cache_lock(cache, &key, &lock, &err), SMELT_STATUS_IO);
    assert_non_null(strstr(err.message, "remove it"));
    assert_int_equal(unlink(path), 0);

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(sm_cache_lock(cache, &key, &lock, &err), SMELT_STATUS_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_processes_exclude_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads_exclude_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lock_ends_with_its_holder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forked_child_does_not_keep_the_lock, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_odd_lock_files_are_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
