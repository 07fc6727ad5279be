/* A disk that fails while waves are executed: calls that write, sync, open or rename fail, once or
 * from some call on. The process sees the state as before the wave that failed; the next process
 * finds that, or the wave whose write failed, and goes on. SMELT_CRASH_FAULTS says how often, in
 * all, SMELT_CRASH_SEED when.
 *
 * usage: crash_faults <libfault_fs.so>
 *
 * The library is in front of the C library in this program and all its children; tests/support/
 * fault_fs.c has its variables, which are set in the child that is to meet a fault. */
#include "tests/crash/crash_support.h"

#include "base/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FAULTS = 64 };

/* Where calls fail. The path matches no file until the child is ready for faults; one byte changes
 * then, so that no thread meets a half-set environment. */
static char fault_path[64];
static char report[64];
static const char variable[] = "SM_FAULT_PATH=";

/* For a child that has no threads yet: a fault in a state below `directory`, drawn from `seed`. */
static void draw_fault(const char *directory, uint64_t seed)
{
    static const char *const calls[] = {"write", "sync", "write,sync,open,rename", "open,rename"};
    static const char *const errors[] = {"EIO", "ENOSPC", "short", "EDQUOT"};
    char nth[32];
    /* soon, or where tables are written as well */
    uint64_t range = random_below(&seed, 2) == 0 ? 20 : 200;
    (void)snprintf(nth, sizeof(nth), "%d", (int)(1 + random_below(&seed, range)));
    (void)snprintf(fault_path, sizeof(fault_path), "%s?%s", variable, directory + 1);
    (void)putenv(fault_path);
    (void)setenv("SM_FAULT_CALLS", calls[random_below(&seed, 4)], 1);
    (void)setenv("SM_FAULT_ERRNO", errors[random_below(&seed, 4)], 1);
    (void)setenv("SM_FAULT_AT", nth, 1);
    (void)setenv("SM_FAULT_REPORT", report, 1);
    if (random_below(&seed, 2) == 0) {
        (void)setenv("SM_FAULT_STAYS", "1", 1);
    }
}

static void begin_faults(void)
{
    fault_path[sizeof(variable) - 1] = '/';
}

static void end_faults(void)
{
    fault_path[sizeof(variable) - 1] = '?';
}

static bool has_failed(void)
{
    struct stat status;
    return stat(report, &status) == 0;
}

static const struct crash_faults faults = {begin_faults, end_faults, has_failed};

static const struct crash_options stories[] = {
    {11, SMELT_SYNC_ALWAYS, false, false, 0},
    {12, SMELT_SYNC_NEVER, false, true, 4},
    {13, SMELT_SYNC_ALWAYS, true, true, 0},
    {14, SMELT_SYNC_ALWAYS, false, false, 2},
};

enum { STORIES = sizeof(stories) / sizeof(stories[0]) };

/* Seed 0: without faults. */
static int run_child(const char *directory, const struct crash_options *options,
                     struct crash_shared *shared, uint64_t seed)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (seed != 0) {
            draw_fault(directory, seed);
        }
        _exit((int)crash_run(directory, options, shared, seed != 0 ? &faults : NULL));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    int end = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (end != CRASH_DONE && end != CRASH_FAILED) {
        fail_msg("status %d: %s", status, shared->failure);
    }
    return end;
}

static void a_disk_that_fails_loses_no_wave(void **state)
{
    (void)state;
    const char *wanted = getenv("SMELT_CRASH_FAULTS");
    size_t count = (wanted != NULL ? (size_t)strtoull(wanted, NULL, 10) : FAULTS) / STORIES;
    struct crash_shared *shared = crash_share();
    uint64_t seed = crash_seed();
    size_t failures = 0;
    for (size_t i = 0; i < STORIES; i++) {
        char directory[] = "/tmp/smelt-crash-XXXXXX";
        char store[64];
        size_t done = 0;
        size_t runs = 0;
        assert_non_null(mkdtemp(directory));
        (void)snprintf(report, sizeof(report), "%s/report", directory);
        crash_expect(shared, &stories[i]);
        while (done < count) {
            (void)snprintf(store, sizeof(store), "%s/%zu", directory, runs++);
            shared->begun = 0;
            shared->promised = 0;
            int end = CRASH_FAILED;
            while (done < count && end == CRASH_FAILED) {
                (void)unlink(report);
                end = run_child(store, &stories[i], shared, random_next(&seed) | 1);
                done++;
            }
        }
        assert_int_equal(run_child(store, &stories[i], shared, 0), CRASH_DONE);
        print_message("story %zu: %zu faults in %zu runs, %u waves failed\n", i, done, runs,
                      (unsigned)shared->failures);
        failures += shared->failures;
        shared->failures = 0;
        assert_int_equal(sm_fs_remove_tree(directory, NULL), SMELT_STATUS_OK);
    }
    assert_true(failures > count / 2); /* of all stories: others come after the last write */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_disk_that_fails_loses_no_wave),
    };
    if (argc != 2) {
        return 2;
    }
    const char *loaded = getenv("LD_PRELOAD");
    if (loaded == NULL || strcmp(loaded, argv[1]) != 0) {
        (void)setenv("LD_PRELOAD", argv[1], 1);
        (void)execv("/proc/self/exe", argv);
        return 2;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
