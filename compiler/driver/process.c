/* fork, limits, exec, and one poll loop over its two outputs. Between fork and exec only
 * async-signal-safe calls are made, since the caller may have threads. */
#include "compiler/driver/process.h"

#include "base/bytes.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((rlim_t)1 << 30)

struct pipes {
    int in; /* /dev/null */
    int out[2];
    int errors[2];
    int start[2]; /* close-on-exec: carries errno when exec fails */
};

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

static void close_all(struct pipes *pipes)
{
    int *ends[] = {pipes->out, pipes->errors, pipes->start};
    close_fd(&pipes->in);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        close_fd(&ends[i][0]);
        close_fd(&ends[i][1]);
    }
}

/* The child's standard descriptors are made with dup2, which must find none of our ends among them:
 * the host may have closed its own. */
static bool move_up(int *fd)
{
    if (*fd < 0 || *fd > STDERR_FILENO) {
        return true;
    }
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (moved < 0) {
        return false;
    }
    (void)close(*fd);
    *fd = moved;
    return true;
}

static bool move_all_up(struct pipes *pipes)
{
    int *ends[] = {pipes->out, pipes->errors, pipes->start};
    bool is_moved = move_up(&pipes->in);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        is_moved = is_moved && move_up(&ends[i][0]) && move_up(&ends[i][1]);
    }
    return is_moved;
}

static void limit(unsigned resource, rlim_t value)
{
    struct rlimit both = {value, value};
    (void)setrlimit(resource, &both);
}

static _Noreturn void child(const struct sm_process *process, const struct pipes *pipes,
                            char *const *environment)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* files of the host are none of a tool's business; without the system call they stay open */
    (void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, FILE_BYTES_MAX);
    if (process->cpu_seconds != 0) {
        limit(RLIMIT_CPU, process->cpu_seconds);
    }
    if (process->memory_bytes != 0) {
        limit(RLIMIT_AS, process->memory_bytes);
    }
    if (dup2(pipes->in, 0) >= 0 && dup2(pipes->out[1], 1) >= 0 && dup2(pipes->errors[1], 2) >= 0 &&
        (process->directory == NULL || chdir(process->directory) == 0)) {
        /* execve does not change the strings; its type predates const */
        union {
            const char *const *given;
            char *const *wanted;
        } argv = {.given = process->argv};
        (void)execve(process->path, argv.wanted, environment);
    }
    int failure = errno;
    ssize_t ignored = write(pipes->start[1], &failure, sizeof(failure));
    (void)ignored;
    _exit(127);
}

/* Keeps at most `max` bytes; reads on so that the child never blocks. False at the end of the
 * stream. */
static bool drain(int fd, struct smelt_buf *out, size_t max, bool *is_short_of_memory)
{
    uint8_t chunk[16384];
    ssize_t got = read(fd, chunk, sizeof(chunk));
    if (got < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    size_t kept = (size_t)got < max - out->size ? (size_t)got : max - out->size;
    if (!sm_buf_append(out, chunk, kept)) {
        *is_short_of_memory = true;
    }
    return got != 0;
}

/* False when memory is short, which is also the only way poll fails here. */
static bool converse(struct pipes *pipes, struct sm_process_result *out)
{
    bool is_short_of_memory = false;
    while (pipes->out[0] >= 0 || pipes->errors[0] >= 0) {
        struct pollfd fds[] = {{.fd = pipes->out[0], .events = POLLIN},
                               {.fd = pipes->errors[0], .events = POLLIN}};
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            /* without readers the child cannot wait for us while we wait for it */
            close_fd(&pipes->out[0]);
            close_fd(&pipes->errors[0]);
            return false;
        }
        if (fds[0].revents != 0 &&
            !drain(pipes->out[0], &out->output, SM_PROCESS_OUTPUT_MAX, &is_short_of_memory)) {
            close_fd(&pipes->out[0]);
        }
        if (fds[1].revents != 0 &&
            !drain(pipes->errors[0], &out->errors, SM_PROCESS_ERRORS_MAX, &is_short_of_memory)) {
            close_fd(&pipes->errors[0]);
        }
    }
    return !is_short_of_memory;
}

static bool open_pipes(struct pipes *pipes)
{
    pipes->in = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return pipes->in >= 0 && pipe2(pipes->out, O_CLOEXEC) == 0 &&
           pipe2(pipes->errors, O_CLOEXEC) == 0 && pipe2(pipes->start, O_CLOEXEC) == 0;
}

static enum smelt_status run_child(const struct sm_process *process, struct pipes *pipes,
                                   struct sm_process_result *out, struct smelt_error *err)
{
    char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
    char locale[] = "LC_ALL=C";
    /* flags that a machine gives to every clang; there are such files since version 16 */
    char no_config[] = "CLANG_NO_DEFAULT_CONFIG=1";
    char *const environment[] = {locale, path, no_config, NULL};
    pid_t pid = fork();
    if (pid < 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, "process", "cannot fork");
    }
    if (pid == 0) {
        child(process, pipes, environment);
    }
    close_fd(&pipes->out[1]);
    close_fd(&pipes->errors[1]);
    close_fd(&pipes->start[1]);
    bool is_complete = converse(pipes, out);
    int failure = 0;
    bool is_started = read(pipes->start[0], &failure, sizeof(failure)) != sizeof(failure);
    int state = 0;
    pid_t ended;
    do {
        ended = waitpid(pid, &state, 0);
    } while (ended < 0 && errno == EINTR);
    int lost = ended < 0 ? errno : 0;
    if (!is_started) {
        return sm_error_set_errno(err, SMELT_STATUS_TOOL_MISSING, failure, "process",
                                  "cannot run %s", process->path);
    }
    if (!is_complete) {
        return sm_error_no_memory(err, "process");
    }
    if (lost != 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, lost, "process",
                                  "cannot learn how %s ended; this process must not ignore SIGCHLD "
                                  "or wait for children it did not start",
                                  process->path);
    }
    out->exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    out->signal = WIFSIGNALED(state) ? WTERMSIG(state) : 0;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_process_run(const struct sm_process *process, struct sm_process_result *out,
                                 struct smelt_error *err)
{
    struct pipes pipes = {-1, {-1, -1}, {-1, -1}, {-1, -1}};
    *out = (struct sm_process_result){.exit_code = -1};
    enum smelt_status status =
        open_pipes(&pipes) && move_all_up(&pipes)
            ? run_child(process, &pipes, out, err)
            : sm_error_set_errno(err, SMELT_STATUS_IO, errno, "process", "cannot open pipes");
    close_all(&pipes);
    if (status != SMELT_STATUS_OK) {
        sm_process_result_deinit(out);
    }
    return status;
}

void sm_process_result_deinit(struct sm_process_result *result)
{
    smelt_buf_deinit(&result->output);
    smelt_buf_deinit(&result->errors);
}

enum smelt_status sm_process_expect_success(const struct sm_process_result *result,
                                            const char *tool, struct smelt_error *err)
{
    if (result->exit_code == 0) {
        return SMELT_STATUS_OK;
    }
    size_t line = 0;
    while (line < result->errors.size && result->errors.data[line] != '\n') {
        line++;
    }
    if (result->signal != 0) {
        return sm_error_set(err, SMELT_STATUS_TOOL_FAILED, tool,
                            "%s was ended by signal %d (%s)%s%.*s", tool, result->signal,
                            sigabbrev_np(result->signal), line != 0 ? ": " : "", (int)line,
                            (const char *)result->errors.data);
    }
    return sm_error_set(err, SMELT_STATUS_TOOL_FAILED, tool, "%s failed with exit code %d%s%.*s",
                        tool, result->exit_code, line != 0 ? ": " : "", (int)line,
                        (const char *)result->errors.data);
}
