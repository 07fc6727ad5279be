/* Child processes under hosts that differ from the usual: closed standard descriptors, ignored
 * SIGCHLD, files left open. */
#include "compiler/driver/process.h"

#include "base/bytes.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
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
        cmocka_unit_test(test_host_without_standard_descriptors),
        cmocka_unit_test(test_host_that_ignores_sigchld),
        cmocka_unit_test(test_files_of_the_host_are_not_inherited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
