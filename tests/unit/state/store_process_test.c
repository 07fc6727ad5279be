/* The store on disk and other processes: the lock, and being killed. RocksDB's threads do not
 * survive a fork, so this process never opens a store itself: children do. */
#include "tests/unit/state/state_support.h"

#include <smelt/store.h>

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 50, KILLS = 12 };

typedef int (*child_fn)(const char *directory, int out);

/* The child's standing: what it writes to `out` arrives at `*in`. */
static pid_t start_child(child_fn child, const char *directory, int *in)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        _exit(child(directory, ends[1]));
    }
    (void)close(ends[1]);
    *in = ends[0];
    return pid;
}

static int finish_child(pid_t pid, int in)
{
    int status = 0;
    (void)close(in);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool say(int out, uint32_t number)
{
    return write(out, &number, sizeof(number)) == sizeof(number);
}

static uint32_t hear(int in)
{
    uint32_t number = 0;
    assert_int_equal(read(in, &number, sizeof(number)), sizeof(number));
    return number;
}

static enum smelt_status write_batch(struct smelt_store *store, uint32_t number)
{
    struct smelt_store_write writes[BATCH];
    uint8_t keys[BATCH];
    uint8_t value[600];
    memset(value, 0, sizeof(value));
    sm_store_le32(value, number);
    for (size_t i = 0; i < BATCH; i++) {
        keys[i] = (uint8_t)i;
        writes[i] = (struct smelt_store_write){.family = i % 2 == 0 ? SMELT_STORE_STATE
                                                                    : SMELT_STORE_RECEIPTS,
                                               .key = sm_slice(&keys[i], 1),
                                               .value = sm_slice(value, sizeof(value))};
    }
    return store->ops->write(store->impl, writes, BATCH, NULL);
}

/* Opens, then overwrites the same keys with the next number, batch after batch. */
static int write_for_ever(const char *directory, int out)
{
    struct smelt_store *store = NULL;
    struct smelt_buf value = {0};
    bool is_found = false;
    uint8_t key = 0;
    uint32_t number = 0;
    if (smelt_store_open_rocksdb(directory, NULL, &store, NULL) != SMELT_STATUS_OK ||
        store->ops->get(store->impl, NULL, SMELT_STORE_STATE, sm_slice(&key, 1), &value, &is_found,
                        NULL) != SMELT_STATUS_OK) {
        return 1;
    }
    number = is_found ? sm_load_le32(value.data) : 0;
    do {
        number++;
    } while (write_batch(store, number) == SMELT_STATUS_OK && say(out, number));
    return 2;
}

/* Says the number that all keys agree on. */
static int check_whole(const char *directory, int out)
{
    struct smelt_store *store = NULL;
    struct smelt_buf value = {0};
    uint32_t number = 0;
    bool is_whole = smelt_store_open_rocksdb(directory, NULL, &store, NULL) == SMELT_STATUS_OK;
    for (uint8_t i = 0; is_whole && i < BATCH; i++) {
        bool is_found = false;
        is_whole = store->ops->get(store->impl, NULL,
                                   i % 2 == 0 ? SMELT_STORE_STATE : SMELT_STORE_RECEIPTS,
                                   sm_slice(&i, 1), &value, &is_found, NULL) == SMELT_STATUS_OK;
        uint32_t found = is_found ? sm_load_le32(value.data) : 0;
        is_whole = is_whole && (i == 0 || found == number);
        number = found;
    }
    smelt_buf_deinit(&value);
    smelt_store_close(store);
    return is_whole && say(out, number) ? 0 : 1;
}

static void pause_us(unsigned us)
{
    struct timespec time = {.tv_nsec = (long)us * 1000};
    (void)nanosleep(&time, NULL);
}

static uint32_t whole_batches_of(const char *directory)
{
    int in;
    pid_t checker = start_child(check_whole, directory, &in);
    uint32_t number = hear(in);
    assert_int_equal(finish_child(checker, in), 0);
    return number;
}

static void test_a_kill_leaves_whole_batches(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_create(&scratch);
    uint64_t seed = 7;
    uint32_t done = 0;
    for (int i = 0; i < KILLS; i++) {
        int in;
        uint32_t last = 0;
        pid_t writer = start_child(write_for_ever, scratch.path, &in);
        for (size_t wanted = 1 + random_below(&seed, 10); wanted != 0; wanted--) {
            last = hear(in);
        }
        pause_us((unsigned)random_below(&seed, 1500));
        assert_int_equal(kill(writer, SIGKILL), 0);
        while (read(in, &done, sizeof(done)) == sizeof(done)) {
            last = done;
        }
        assert_int_equal(finish_child(writer, in), -1);
        /* what was acknowledged is there; one more batch may be */
        uint32_t found = whole_batches_of(scratch.path);
        assert_true(found == last || found == last + 1);
    }
    scratch_remove(&scratch);
}

static void test_a_kill_during_creation_can_be_repeated(void **state)
{
    (void)state;
    for (unsigned i = 0; i < KILLS; i++) {
        struct scratch scratch;
        scratch_create(&scratch);
        for (unsigned attempt = 0; attempt < 2; attempt++) {
            int in;
            pid_t writer = start_child(write_for_ever, scratch.path, &in);
            pause_us(i * 2500);
            assert_int_equal(kill(writer, SIGKILL), 0);
            assert_int_equal(finish_child(writer, in), -1);
        }
        (void)whole_batches_of(scratch.path);
        scratch_remove(&scratch);
    }
}

static int hold(const char *directory, int out)
{
    struct smelt_store *store = NULL;
    if (smelt_store_open_rocksdb(directory, NULL, &store, NULL) != SMELT_STATUS_OK ||
        !say(out, 1)) {
        return 1;
    }
    (void)pause();
    return 2;
}

static int say_status_of_opening(const char *directory, int out)
{
    struct smelt_store *store = NULL;
    struct smelt_error err;
    const struct smelt_rocksdb_options existing = {.must_exist = true};
    enum smelt_status status = smelt_store_open_rocksdb(directory, &existing, &store, &err);
    smelt_store_close(store);
    return say(out, (uint32_t)status) ? 0 : 1;
}

static enum smelt_status status_of_opening(const char *directory)
{
    int in;
    pid_t child = start_child(say_status_of_opening, directory, &in);
    enum smelt_status status = (enum smelt_status)hear(in);
    assert_int_equal(finish_child(child, in), 0);
    return status;
}

static void test_one_process_at_a_time(void **state)
{
    (void)state;
    struct scratch scratch;
    int in;
    scratch_create(&scratch);
    pid_t holder = start_child(hold, scratch.path, &in);
    assert_int_equal(hear(in), 1);
    assert_int_equal(status_of_opening(scratch.path), SMELT_STATUS_STORE_LOCKED);
    assert_int_equal(status_of_opening(scratch.path), SMELT_STATUS_STORE_LOCKED);
    assert_int_equal(kill(holder, SIGKILL), 0);
    assert_int_equal(finish_child(holder, in), -1);
    assert_int_equal(status_of_opening(scratch.path), SMELT_STATUS_OK);
    scratch_remove(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_kill_leaves_whole_batches),
        cmocka_unit_test(test_a_kill_during_creation_can_be_repeated),
        cmocka_unit_test(test_one_process_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
