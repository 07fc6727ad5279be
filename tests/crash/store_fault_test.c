/* The store on disk when the disk fails: the n-th call of a kind returns an error, for every n up
 * to where there are no more of them, then the state is opened again without faults.
 *
 * usage: test_store_faults <libfault_fs.so>     (and, by itself, with more arguments as a child)
 *
 * A child opens the state and writes batches until one fails. What has to hold, whatever failed:
 *
 *   - the status is the one of the error, in opening, writing and copying;
 *   - after a write has failed the next one is refused with the same status, and reads go on with
 *     what is there;
 *   - opened again, the state has whole batches only, all whose write returned, in order, and at
 *     most the one that failed besides; and it takes the next one;
 *   - a copy is there whole, or not at all.
 *
 * Debian's RocksDB is built with assertions, which end a process that goes on writing to a file
 * after a write to it has failed. The store does not let it come to that: no child may die.
 *
 * RocksDB waits a second before it repeats a flush that failed, so the larger rows take every third
 * call only, which meets every kind of file. */
#include <smelt/store.h>

#include "tests/support/files.h"
#include "tests/unit/state/state_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCHES = 24, KEYS = 40, VALUE_BYTES = 900 };

static const char program[] = "/proc/self/exe";
static const char *library;

/* What a child tells of itself, in a file. */
struct tale {
    uint32_t opening;  /* status */
    uint32_t copying;  /* status, after half of the batches */
    uint32_t failing;  /* status of the first write that failed; OK: none */
    uint32_t refusing; /* status of the one after it */
    uint32_t written;  /* batches whose write returned OK */
    bool reads_differ; /* something else than those was read at the end */
    char message[400]; /* of the first failure of any kind */
};

/* Batch n overwrites the same keys in two families and adds one key of its own. */
static enum smelt_status write_batch(struct smelt_store *store, uint32_t number,
                                     struct smelt_error *err)
{
    struct smelt_store_write writes[KEYS + 1];
    uint8_t keys[KEYS + 1][4];
    uint8_t value[VALUE_BYTES] = {0};
    sm_store_le32(value, number);
    for (uint32_t i = 0; i <= KEYS; i++) {
        sm_store_le32(keys[i], i < KEYS ? i : 1000 + number);
        writes[i] =
            (struct smelt_store_write){.family = i % 2 == 0 ? SMELT_STORE_STATE : SMELT_STORE_TREE,
                                       .key = sm_slice(keys[i], 4),
                                       .value = sm_slice(value, sizeof(value))};
    }
    return store->ops->write(store->impl, writes, KEYS + 1, err);
}

static bool read_number(struct smelt_store *store, uint32_t key, uint32_t *out)
{
    struct smelt_buf value = {0};
    uint8_t bytes[4];
    bool is_found = false;
    sm_store_le32(bytes, key);
    bool is_read =
        store->ops->get(store->impl, NULL,
                        key >= 1000 || key % 2 == 0 ? SMELT_STORE_STATE : SMELT_STORE_TREE,
                        sm_slice(bytes, 4), &value, &is_found, NULL) == SMELT_STATUS_OK;
    *out = is_found ? sm_load_le32(value.data) : 0;
    smelt_buf_deinit(&value);
    return is_read;
}

/* The batch that all of the state is of, which has all before it; false when there is no such. */
static bool is_whole(struct smelt_store *store, uint32_t *number)
{
    uint32_t found;
    if (!read_number(store, 0, number)) {
        return false;
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        if (!read_number(store, i, &found) || found != *number) {
            return false;
        }
    }
    for (uint32_t i = 1; i <= BATCHES + 2; i++) {
        if (!read_number(store, 1000 + i, &found) || found != (i <= *number ? i : 0)) {
            return false;
        }
    }
    return true;
}

static void note(struct tale *tale, const struct smelt_error *err)
{
    if (tale->message[0] == '\0') {
        (void)snprintf(tale->message, sizeof(tale->message), "%s", err->message);
    }
}

static struct smelt_rocksdb_options options_of(const char *sync)
{
    /* lists of 256 KiB: some of the calls are those of flushes and compactions */
    return (struct smelt_rocksdb_options){.sync = strcmp(sync, "never") == 0 ? SMELT_SYNC_NEVER
                                                                             : SMELT_SYNC_ALWAYS,
                                          .write_buffer_bytes = 1 << 20};
}

/* Without cmocka: <state> <copy> <tale> <sync>. */
static int run_child(char **arguments)
{
    struct tale tale = {0};
    struct smelt_store *store = NULL;
    struct smelt_error err = {0};
    struct smelt_rocksdb_options options = options_of(arguments[3]);
    uint32_t number = 0;
    int fd = open(arguments[2], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    tale.opening = (uint32_t)smelt_store_open_rocksdb(arguments[0], &options, &store, &err);
    if (tale.opening != SMELT_STATUS_OK) {
        note(&tale, &err);
    }
    for (uint32_t i = 1; store != NULL && i <= BATCHES && tale.failing == SMELT_STATUS_OK; i++) {
        tale.failing = (uint32_t)write_batch(store, i, &err);
        if (tale.failing != SMELT_STATUS_OK) {
            note(&tale, &err);
            tale.refusing = (uint32_t)write_batch(store, i + 1, NULL);
        } else {
            tale.written = i;
        }
        /* told again after each step: an assertion may end it before the next */
        (void)pwrite(fd, &tale, sizeof(tale), 0);
        if (i == BATCHES / 2 && tale.failing == SMELT_STATUS_OK) {
            tale.copying = (uint32_t)smelt_store_checkpoint(store, arguments[1], &err);
            if (tale.copying != SMELT_STATUS_OK) {
                note(&tale, &err);
            }
        }
    }
    tale.reads_differ = store != NULL && (!is_whole(store, &number) || number != tale.written);
    (void)pwrite(fd, &tale, sizeof(tale), 0);
    smelt_store_close(store);
    return 0;
}

struct fault {
    const char *calls;
    const char *name;
    bool stays;
    const char *sync;
    enum smelt_status status; /* what all that fails has to report */
    unsigned stride;          /* between the calls that are tried */
};

/* Runs the child; false when a signal ended it. */
static bool tell(const struct fault *fault, unsigned nth, const char *base, struct tale *tale)
{
    char number[16];
    int status = 0;
    (void)snprintf(number, sizeof(number), "%u", nth);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setenv("LD_PRELOAD", library, 1);
        (void)setenv("SM_FAULT_PATH", test_path(base, "disk"), 1);
        (void)setenv("SM_FAULT_REPORT", test_path(base, "report"), 1);
        (void)setenv("SM_FAULT_CALLS", fault->calls, 1);
        (void)setenv("SM_FAULT_ERRNO", fault->name, 1);
        (void)setenv("SM_FAULT_AT", number, 1);
        if (fault->stays) {
            (void)setenv("SM_FAULT_STAYS", "1", 1);
        }
        int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(quiet, STDERR_FILENO);
        (void)execl(program, program, library, test_path(base, "disk/state"),
                    test_path(base, "disk/copy"), test_path(base, "tale"), fault->sync, NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    struct smelt_buf bytes = test_file_read(test_path(base, "tale"));
    *tale = (struct tale){0};
    if (bytes.size == sizeof(*tale)) {
        memcpy(tale, bytes.data, sizeof(*tale));
    }
    smelt_buf_deinit(&bytes);
    return WIFEXITED(status);
}

static bool is_expected(uint32_t status, const struct fault *fault)
{
    return status == SMELT_STATUS_OK || status == (uint32_t)fault->status;
}

/* False when the n-th call does not exist any more. */
static bool fail_at(const struct fault *fault, unsigned nth, unsigned *failures)
{
    char base[PATH_MAX];
    struct tale tale;
    struct smelt_store *store = NULL;
    struct smelt_error err = {0};
    uint32_t number = 0;
    test_directory_create(base);
    assert_int_equal(mkdir(test_path(base, "disk"), 0700), 0);
    bool is_alive = tell(fault, nth, base, &tale);
    bool is_met = test_file_exists(test_path(base, "report"));
    struct smelt_buf report = {0};
    if (is_met) {
        report = test_file_read(test_path(base, "report"));
    }
    if (!is_alive) {
        fail_msg("%s of %s, call %u: RocksDB ended the process (%.*s)", fault->name, fault->calls,
                 nth, (int)report.size, (const char *)report.data);
    }
    if (!is_met) {
        assert_int_equal(tale.written, BATCHES);
    }
    *failures += tale.opening != 0 || tale.copying != 0 || tale.failing != 0 ? 1 : 0;
    if (!is_expected(tale.opening, fault) || !is_expected(tale.copying, fault) ||
        !is_expected(tale.failing, fault) || tale.refusing != tale.failing || tale.reads_differ) {
        fail_msg("%s of %s, call %u: opening %s, copying %s, writing %s, then %s%s: %s (%.*s)",
                 fault->name, fault->calls, nth, smelt_status_name((enum smelt_status)tale.opening),
                 smelt_status_name((enum smelt_status)tale.copying),
                 smelt_status_name((enum smelt_status)tale.failing),
                 smelt_status_name((enum smelt_status)tale.refusing),
                 tale.reads_differ ? ", reads differ" : "", tale.message, (int)report.size,
                 (const char *)report.data);
    }
    if (smelt_store_open_rocksdb(test_path(base, "disk/state"), NULL, &store, &err) !=
        SMELT_STATUS_OK) {
        fail_msg("%s of %s, call %u: %s", fault->name, fault->calls, nth, err.message);
    }
    assert_true(is_whole(store, &number));
    assert_true(number == tale.written ||
                (number == tale.written + 1 && tale.failing != SMELT_STATUS_OK));
    assert_int_equal(write_batch(store, number + 1, NULL), SMELT_STATUS_OK);
    assert_true(is_whole(store, &number));
    smelt_store_close(store);
    store = NULL;
    /* a failed sync of its parent leaves a copy that is whole and that nobody promised */
    if (test_file_exists(test_path(base, "disk/copy"))) {
        assert_int_equal(smelt_store_open_rocksdb(test_path(base, "disk/copy"), NULL, &store, &err),
                         SMELT_STATUS_OK);
        assert_true(is_whole(store, &number));
        assert_int_equal(number, BATCHES / 2);
        smelt_store_close(store);
    } else {
        assert_true(tale.copying != SMELT_STATUS_OK || tale.written < BATCHES / 2);
    }
    smelt_buf_deinit(&report);
    test_directory_remove(base);
    return is_met;
}

static void test_failing_calls(void **state)
{
    (void)state;
    static const struct fault rows[] = {
        {"write", "ENOSPC", true, "always", SMELT_STATUS_NO_SPACE, 3},
        {"write", "ENOSPC", false, "always", SMELT_STATUS_NO_SPACE, 3},
        {"write", "EIO", false, "never", SMELT_STATUS_IO, 3},
        {"write", "short", true, "always", SMELT_STATUS_OK, 30},
        {"sync", "EIO", false, "always", SMELT_STATUS_IO, 3},
        {"sync", "EIO", false, "never", SMELT_STATUS_IO, 3},
        {"sync", "ENOSPC", true, "always", SMELT_STATUS_NO_SPACE, 3},
        {"open", "ENOSPC", false, "always", SMELT_STATUS_NO_SPACE, 1},
        {"open", "EIO", true, "never", SMELT_STATUS_IO, 1},
        {"rename,link,mkdir,truncate", "EIO", false, "always", SMELT_STATUS_IO, 1},
        {"rename,link,mkdir,truncate", "ENOSPC", true, "never", SMELT_STATUS_NO_SPACE, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned failures = 0;
        unsigned runs = 0;
        unsigned nth = 1;
        while (fail_at(&rows[i], nth, &failures)) {
            runs++;
            nth += rows[i].stride;
        }
        print_message("%s of %s%s, sync %s: %u calls tried, %u of them fail something\n",
                      rows[i].name, rows[i].calls, rows[i].stays ? " from then on" : "",
                      rows[i].sync, runs, failures);
        assert_true(runs != 0);
        assert_true((failures != 0) == (rows[i].status != SMELT_STATUS_OK));
    }
}

/* A file system that is full, and gets larger. */

static int run_full_disk(char **arguments)
{
    struct smelt_store *store = NULL;
    struct smelt_error err = {0};
    uint32_t written = 0;
    uint32_t number = 0;
    struct smelt_rocksdb_options options = options_of("always");
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", arguments[0], "tmpfs", 0, "size=3m") != 0) {
        return 77;
    }
    const char *path = test_path(arguments[0], "state");
    if (smelt_store_open_rocksdb(path, &options, &store, NULL) != SMELT_STATUS_OK) {
        return 1;
    }
    enum smelt_status status = SMELT_STATUS_OK;
    for (; status == SMELT_STATUS_OK && written < 10000; written++) {
        status = write_batch(store, written + 1, &err);
    }
    written--;
    if (status != SMELT_STATUS_NO_SPACE || write_batch(store, written + 2, NULL) != status ||
        !read_number(store, 0, &number) || number != written) {
        return 2;
    }
    smelt_store_close(store);
    if (mount("none", arguments[0], NULL, MS_REMOUNT, "size=64m") != 0 ||
        smelt_store_open_rocksdb(path, &options, &store, NULL) != SMELT_STATUS_OK) {
        return 3;
    }
    bool is_right = read_number(store, 0, &number) && (number == written || number == written + 1);
    for (uint32_t i = 0; i < KEYS && is_right; i++) {
        uint32_t found;
        is_right = read_number(store, i, &found) && found == number;
    }
    is_right = is_right && write_batch(store, number + 1, NULL) == SMELT_STATUS_OK;
    smelt_store_close(store);
    return is_right ? 0 : 4;
}

static void test_a_full_disk(void **state)
{
    (void)state;
    char base[PATH_MAX];
    int status = 0;
    test_directory_create(base);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl(program, program, library, base, NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    test_directory_remove(base);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("a tmpfs cannot be mounted here: skipped\n");
        skip();
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
    if (argc == 6) {
        return run_child(argv + 2);
    }
    if (argc == 3) {
        return run_full_disk(argv + 2);
    }
    if (argc != 2) {
        (void)fprintf(stderr, "usage: test_store_faults <libfault_fs.so>\n");
        return 2;
    }
    library = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
