/* Child processes: what comes back of them, what they get, the limits they run into, and hosts that
 * differ from the usual: closed standard descriptors, ignored SIGCHLD, files left open. */
#include "compiler/driver/process.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static enum smelt_status run_shell(const char *script, struct sm_process_result *result,
                                   struct smelt_error *err)
{
    const char *const argv[] = {"sh", "-c", script, NULL};
    const struct sm_process process = {.path = "/bin/sh", .argv = argv};
    return sm_process_run(&process, result, err);
}

static void test_outputs_and_exit_code_arrive(void **state)
{
    (void)state;
    struct sm_process_result result;
    struct smelt_error err = {0};
    assert_int_equal(run_shell("read x; echo \"out$x\"; echo bad >&2; exit 3", &result, &err), 0);
    assert_int_equal(result.exit_code, 3);
    assert_int_equal(result.signal, 0);
    assert_true(sm_slice_equal_text(sm_buf_slice(&result.output), "out\n"));
    assert_true(sm_slice_equal_text(sm_buf_slice(&result.errors), "bad\n"));
    assert_int_equal(sm_process_expect_success(&result, "sh", &err), SMELT_STATUS_TOOL_FAILED);
    assert_string_equal(err.message, "sh failed with exit code 3: bad");
    sm_process_result_deinit(&result);
    assert_int_equal(run_shell("kill -9 $$", &result, &err), 0);
    assert_int_equal(result.exit_code, -1);
    assert_int_equal(result.signal, SIGKILL);
    sm_process_result_deinit(&result);
}

static void test_what_cannot_be_executed_is_missing(void **state)
{
    (void)state;
    const char *const argv[] = {"none", NULL};
    const struct sm_process process = {.path = "/none", .argv = argv};
    struct sm_process_result result;
    struct smelt_error err = {0};
    assert_int_equal(sm_process_run(&process, &result, &err), SMELT_STATUS_TOOL_MISSING);
    assert_int_equal(err.sys_errno, ENOENT);
}

static void test_how_children_end(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        int exit_code, signal;
        const char *message; /* NULL: a success */
    } rows[] = {
        {"exit 0", 0, 0, NULL},
        {"exit 1", 1, 0, "tool failed with exit code 1"},
        {"exit 127", 127, 0, "tool failed with exit code 127"},
        {"exit 255", 255, 0, "tool failed with exit code 255"},
        {"printf 'a\\nb' >&2; exit 1", 1, 0, "tool failed with exit code 1: a"},
        {"printf '\\033[31mred' >&2; exit 1", 1, 0, "tool failed with exit code 1: ?[31mred"},
        {"kill -SEGV $$", -1, SIGSEGV, "tool was ended by signal 11 (SEGV)"},
        {"kill -ABRT $$", -1, SIGABRT, "tool was ended by signal 6 (ABRT)"},
        {"echo why >&2; kill -TERM $$", -1, SIGTERM, "tool was ended by signal 15 (TERM): why"},
        {"kill -PIPE $$", -1, SIGPIPE, "tool was ended by signal 13 (PIPE)"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sm_process_result result;
        struct smelt_error err = {0};
        assert_int_equal(run_shell(rows[i].script, &result, NULL), 0);
        assert_int_equal(result.exit_code, rows[i].exit_code);
        assert_int_equal(result.signal, rows[i].signal);
        enum smelt_status status = sm_process_expect_success(&result, "tool", &err);
        assert_int_equal(status,
                         rows[i].message == NULL ? SMELT_STATUS_OK : SMELT_STATUS_TOOL_FAILED);
        assert_string_equal(err.message, rows[i].message == NULL ? "" : rows[i].message);
        sm_process_result_deinit(&result);
    }
}

static void test_what_cannot_be_run(void **state)
{
    (void)state;
    char directory[PATH_MAX];
    const char *const argv[] = {"tool", NULL};
    test_directory_create(directory);
    test_file_write(test_path(directory, "plain"), smelt_slice_from_string("text"));
    test_file_write(test_path(directory, "garbage"), smelt_slice_from_string("\177ELFgarbage"));
    assert_int_equal(chmod(test_path(directory, "garbage"), 0700), 0);
    const struct {
        const char *path, *directory;
        int sys_errno;
    } rows[] = {
        {test_path(directory, "none"), NULL, ENOENT},
        {test_path(directory, "plain"), NULL, EACCES},
        {test_path(directory, "garbage"), NULL, ENOEXEC},
        {directory, NULL, EACCES},
        {"/bin/sh", test_path(directory, "none"), ENOENT},
        {"/bin/sh", test_path(directory, "plain"), ENOTDIR},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct sm_process process = {
            .path = rows[i].path, .argv = argv, .directory = rows[i].directory};
        struct sm_process_result result;
        struct smelt_error err = {0};
        enum smelt_status status = sm_process_run(&process, &result, &err);
        assert_true(status >= 400 && status < 500);
        assert_int_equal(err.sys_errno, rows[i].sys_errno);
        assert_null(result.output.data);
    }
    test_directory_remove(directory);
}

/* Neither pipe may fill up and hold the child; what is too much is dropped, not the child. */
static void test_large_outputs(void **state)
{
    (void)state;
    struct sm_process_result result;
    assert_int_equal(run_shell("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2;"
                               "head -c 1000 /dev/zero; echo end >&2",
                               &result, NULL),
                     0);
    assert_int_equal(result.exit_code, 0);
    assert_int_equal(result.output.size, 3001000);
    assert_int_equal(result.errors.size, SM_PROCESS_ERRORS_MAX);
    sm_process_result_deinit(&result);
    assert_int_equal(run_shell("head -c 70000000 /dev/zero", &result, NULL), 0);
    assert_int_equal(result.exit_code, 0);
    assert_int_equal(result.output.size, SM_PROCESS_OUTPUT_MAX);
    sm_process_result_deinit(&result);
}

static void test_limits(void **state)
{
    (void)state;
    const char *const spin[] = {"sh", "-c", "while :; do :; done", NULL};
    const struct sm_process busy = {.path = "/bin/sh", .argv = spin, .cpu_seconds = 1};
    struct sm_process_result result;
    assert_int_equal(sm_process_run(&busy, &result, NULL), 0);
    assert_true(result.signal == SIGKILL || result.signal == SIGXCPU);
    sm_process_result_deinit(&result);
    const char *const grow[] = {"sh", "-c", "x=0123456789; while :; do x=$x$x; done", NULL};
    const struct sm_process large = {
        .path = "/bin/sh", .argv = grow, .cpu_seconds = 20, .memory_bytes = UINT64_C(256) << 20};
    assert_int_equal(sm_process_run(&large, &result, NULL), 0);
    assert_true(result.exit_code != 0 && result.signal != SIGKILL);
    sm_process_result_deinit(&result);
    assert_int_equal(run_shell("ulimit -c", &result, NULL), 0);
    assert_true(sm_slice_equal_text(sm_buf_slice(&result.output), "0\n")); /* no core files */
    sm_process_result_deinit(&result);
}

/* The environment is part of what decides the bytes of an artefact: nothing of ours gets through.
 */
static void test_environment(void **state)
{
    (void)state;
    const char *const argv[] = {"env", NULL};
    const struct sm_process process = {.path = "/usr/bin/env", .argv = argv, .directory = "/"};
    struct sm_process_result result;
    assert_int_equal(setenv("SMELT_TEST_LEAK", "1", 1), 0);
    assert_int_equal(sm_process_run(&process, &result, NULL), 0);
    assert_true(sm_slice_equal_text(sm_buf_slice(&result.output),
                                    "LC_ALL=C\nPATH=/usr/local/bin:/usr/bin:/bin\n"
                                    "CLANG_NO_DEFAULT_CONFIG=1\n"));
    sm_process_result_deinit(&result);
    assert_int_equal(unsetenv("SMELT_TEST_LEAK"), 0);
}

/* Signals that the host blocks or ignores are its own affair. */
static int run_with_blocked_signals(void *context)
{
    (void)context;
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    struct sm_process_result result;
    bool is_right =
        run_shell("kill -TERM $$; exit 0", &result, NULL) == 0 && result.signal == SIGTERM;
    sm_process_result_deinit(&result);
    return is_right ? 0 : 1;
}

static void test_signals_are_delivered(void **state)
{
    (void)state;
    assert_int_equal(test_in_child(run_with_blocked_signals, NULL), 0);
}

/* Whatever happens, no descriptor and no child stays. */
static void test_nothing_leaks(void **state)
{
    (void)state;
    int before = test_directory_count("/proc/self/fd", NULL);
    size_t blocks = sm_alloc_blocks();
    for (int i = 0; i < 50; i++) {
        struct sm_process_result result;
        const char *const argv[] = {"none", NULL};
        const struct sm_process missing = {.path = "/none", .argv = argv};
        assert_int_equal(run_shell("echo out; echo bad >&2; exit 1", &result, NULL), 0);
        sm_process_result_deinit(&result);
        assert_int_equal(run_shell("kill -KILL $$", &result, NULL), 0);
        sm_process_result_deinit(&result);
        assert_int_equal(sm_process_run(&missing, &result, NULL), SMELT_STATUS_TOOL_MISSING);
        sm_alloc_fail_at(1);
        enum smelt_status status = run_shell("echo out", &result, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    }
    assert_int_equal(test_directory_count("/proc/self/fd", NULL), before);
    assert_int_equal(sm_alloc_blocks(), blocks);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static int run_without_descriptors(void *context)
{
    (void)context;
    const struct rlimit few = {6, 6};
    struct smelt_error err = {0};
    struct sm_process_result result;
    (void)setrlimit(RLIMIT_NOFILE, &few);
    return run_shell("exit 0", &result, &err) == SMELT_STATUS_IO && err.sys_errno == EMFILE ? 0 : 1;
}

static void test_host_without_free_descriptors(void **state)
{
    (void)state;
    assert_int_equal(test_in_child(run_without_descriptors, NULL), 0);
}

/* A daemon may have closed any of its standard descriptors. */
static int run_with_closed(void *context)
{
    const unsigned closed = *(const unsigned *)context;
    for (int fd = 0; fd < 3; fd++) {
        if ((closed >> fd & 1) != 0) {
            (void)close(fd);
        }
    }
    struct sm_process_result result;
    bool is_right = run_shell("read x; echo \"out$x\"; echo bad >&2", &result, NULL) == 0 &&
                    result.exit_code == 0 &&
                    sm_slice_equal_text(sm_buf_slice(&result.output), "out\n") &&
                    sm_slice_equal_text(sm_buf_slice(&result.errors), "bad\n");
    sm_process_result_deinit(&result);
    return is_right ? 0 : 1;
}

static void test_host_without_standard_descriptors(void **state)
{
    (void)state;
    for (unsigned closed = 0; closed < 8; closed++) {
        assert_int_equal(test_in_child(run_with_closed, &closed), 0);
    }
}

/* The kernel then forgets how children ended: no failure may look like success. */
static int run_with_ignored_sigchld(void *context)
{
    (void)context;
    (void)signal(SIGCHLD, SIG_IGN);
    struct sm_process_result result;
    struct smelt_error err = {0};
    return run_shell("exit 3", &result, &err) == SMELT_STATUS_IO &&
                   strstr(err.message, "SIGCHLD") != NULL
               ? 0
               : 1;
}

static void test_host_that_ignores_sigchld(void **state)
{
    (void)state;
    assert_int_equal(test_in_child(run_with_ignored_sigchld, NULL), 0);
}

static void test_files_of_the_host_are_not_inherited(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY); /* as a library that has not heard of O_CLOEXEC opens */
    assert_true(fd > STDERR_FILENO);
    char script[64];
    (void)snprintf(script, sizeof(script), "test ! -e /proc/self/fd/%d", fd);
    struct sm_process_result result;
    assert_int_equal(run_shell(script, &result, NULL), 0);
    assert_int_equal(result.exit_code, 0);
    sm_process_result_deinit(&result);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs_and_exit_code_arrive),
        cmocka_unit_test(test_what_cannot_be_executed_is_missing),
        cmocka_unit_test(test_how_children_end),
        cmocka_unit_test(test_what_cannot_be_run),
        cmocka_unit_test(test_large_outputs),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_signals_are_delivered),
        cmocka_unit_test(test_nothing_leaks),
        cmocka_unit_test(test_host_without_free_descriptors),
        cmocka_unit_test(test_host_without_standard_descriptors),
        cmocka_unit_test(test_host_that_ignores_sigchld),
        cmocka_unit_test(test_files_of_the_host_are_not_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
