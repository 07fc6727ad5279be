/* Kills a process that executes waves, at any moment, and has another one look at what is on disk
 * and go on: the head is a wave that was begun, nothing that was promised is missing, and all that
 * is there is what a run in memory came to. SMELT_CRASH_KILLS says how often, in all,
 * SMELT_CRASH_SEED when. */
#include "tests/crash/crash_support.h"

#include "base/fs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KILLS = 208, PATIENCE_NS = 60000000 };

static const struct crash_options stories[] = {
    {1, SMELT_SYNC_ALWAYS, false, false, 0}, {2, SMELT_SYNC_NEVER, false, true, 0},
    {3, SMELT_SYNC_ALWAYS, true, true, 0},   {4, SMELT_SYNC_NEVER, true, false, 0},
    {5, SMELT_SYNC_ALWAYS, false, true, 3},  {6, SMELT_SYNC_NEVER, false, false, 3},
    {7, SMELT_SYNC_ALWAYS, true, false, 5},  {8, SMELT_SYNC_NEVER, true, true, 1},
};

enum { STORIES = sizeof(stories) / sizeof(stories[0]) };

static void sleep_ns(uint64_t ns)
{
    const struct timespec time = {.tv_sec = (time_t)(ns / 1000000000),
                                  .tv_nsec = (long)(ns % 1000000000)};
    (void)nanosleep(&time, NULL);
}

static pid_t start(const char *directory, const struct crash_options *options,
                   struct crash_shared *shared)
{
    shared->is_ready = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit((int)crash_run(directory, options, shared, NULL));
    }
    return pid;
}

/* True: the process was killed. False: it had come to the end, and all was right. */
static bool kill_some_time(pid_t pid, uint64_t *seed, struct crash_shared *shared)
{
    int status = 0;
    if (random_below(seed, 4) != 0) { /* else maybe while it opens and looks */
        while (!shared->is_ready && waitpid(pid, &status, WNOHANG) == 0) {
            sleep_ns(200000);
        }
    }
    sleep_ns(random_below(seed, PATIENCE_NS));
    if (status == 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &status, 0);
    }
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
        return true;
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != CRASH_DONE) {
        fail_msg("status %d: %s", status, shared->failure);
    }
    return false;
}

static void finish(const char *directory, const struct crash_options *options,
                   struct crash_shared *shared)
{
    int status = 0;
    (void)waitpid(start(directory, options, shared), &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != CRASH_DONE) {
        fail_msg("status %d: %s", status, shared->failure);
    }
}

static void nothing_is_lost_and_nothing_is_half_there(void **state)
{
    (void)state;
    const char *wanted = getenv("SMELT_CRASH_KILLS");
    size_t kills = (wanted != NULL ? (size_t)strtoull(wanted, NULL, 10) : KILLS) / STORIES;
    struct crash_shared *shared = crash_share();
    uint64_t seed = crash_seed();
    size_t runs = 0;
    for (size_t i = 0; i < STORIES; i++) {
        char directory[] = "/tmp/smelt-crash-XXXXXX";
        char store[64];
        size_t done = 0;
        assert_non_null(mkdtemp(directory));
        crash_expect(shared, &stories[i]);
        while (done < kills) {
            (void)snprintf(store, sizeof(store), "%s/%zu", directory, runs++);
            shared->begun = 0;
            shared->promised = 0;
            while (done < kills &&
                   kill_some_time(start(store, &stories[i], shared), &seed, shared)) {
                done++;
            }
        }
        finish(store, &stories[i], shared);
        print_message("story %zu: %zu kills\n", i, done);
        assert_int_equal(sm_fs_remove_tree(directory, NULL), SMELT_STATUS_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_nothing_is_half_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
