/* fork, limits, exec, and one poll loop over the three pipes. Between fork and exec only
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
    int in[2];
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
    int *ends[] = {pipes->in, pipes->out, pipes->errors, pipes->start};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        close_fd(&ends[i][0]);
        close_fd(&ends[i][1]);
    }
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
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, FILE_BYTES_MAX);
    if (process->cpu_seconds != 0) {
        limit(RLIMIT_CPU, process->cpu_seconds);
    }
    if (process->memory_bytes != 0) {
        limit(RLIMIT_AS, process->memory_bytes);
    }
    if (dup2(pipes->in[0], 0) >= 0 && dup2(pipes->out[1], 1) >= 0 &&
        dup2(pipes->errors[1], 2) >= 0 &&
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

static bool converse(struct pipes *pipes, struct smelt_slice input, struct sm_process_result *out)
{
    bool is_short_of_memory = false;
    while (pipes->out[0] >= 0 || pipes->errors[0] >= 0) {
        struct pollfd fds[] = {{.fd = pipes->out[0], .events = POLLIN},
                               {.fd = pipes->errors[0], .events = POLLIN},
                               {.fd = pipes->in[1], .events = POLLOUT}};
        if (poll(fds, 3, -1) < 0 && errno != EINTR) {
            break;
        }
        if (fds[0].revents != 0 &&
            !drain(pipes->out[0], &out->output, SM_PROCESS_OUTPUT_MAX, &is_short_of_memory)) {
            close_fd(&pipes->out[0]);
        }
        if (fds[1].revents != 0 &&
            !drain(pipes->errors[0], &out->errors, SM_PROCESS_ERRORS_MAX, &is_short_of_memory)) {
            close_fd(&pipes->errors[0]);
        }
        if (fds[2].revents != 0) {
            ssize_t put = input.size != 0 && (fds[2].revents & POLLERR) == 0
                              ? write(pipes->in[1], input.data, input.size)
                              : -1;
            if (put > 0) {
                input = sm_slice(input.data + put, input.size - (size_t)put);
            }
            if (input.size == 0 || (put < 0 && errno != EINTR && errno != EAGAIN)) {
                close_fd(&pipes->in[1]);
            }
        }
    }
    return !is_short_of_memory;
}

static bool open_pipes(struct pipes *pipes, bool has_input)
{
    if (pipe2(pipes->out, O_CLOEXEC) != 0 || pipe2(pipes->errors, O_CLOEXEC) != 0 ||
        pipe2(pipes->start, O_CLOEXEC) != 0) {
        return false;
    }
    if (has_input) {
        return pipe2(pipes->in, O_CLOEXEC) == 0 && fcntl(pipes->in[1], F_SETFL, O_NONBLOCK) == 0;
    }
    pipes->in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    return pipes->in[0] >= 0;
}

/* SIGPIPE on our side of the input pipe would kill the host: block it in this thread while we
 * write. */
static enum smelt_status run_child(const struct sm_process *process, struct pipes *pipes,
                                   struct sm_process_result *out, struct smelt_error *err)
{
    char path[4096] = "PATH=/usr/local/bin:/usr/bin:/bin";
    char locale[] = "LC_ALL=C";
    char *const environment[] = {locale, path, NULL};
    pid_t pid = fork();
    if (pid < 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, "process", "cannot fork");
    }
    if (pid == 0) {
        child(process, pipes, environment);
    }
    close_fd(&pipes->in[0]);
    close_fd(&pipes->out[1]);
    close_fd(&pipes->errors[1]);
    close_fd(&pipes->start[1]);
    bool is_complete = converse(pipes, process->input, out);
    int failure = 0;
    bool is_started = read(pipes->start[0], &failure, sizeof(failure)) != sizeof(failure);
    int state = 0;
    while (waitpid(pid, &state, 0) < 0 && errno == EINTR) {
    }
    if (!is_started) {
        return sm_error_set_errno(err, SMELT_STATUS_TOOL_MISSING, failure, "process",
                                  "cannot run %s", process->path);
    }
    if (!is_complete) {
        return sm_error_no_memory(err, "process");
    }
    out->exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : -1;
    out->signal = WIFSIGNALED(state) ? WTERMSIG(state) : 0;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_process_run(const struct sm_process *process, struct sm_process_result *out,
                                 struct smelt_error *err)
{
    struct pipes pipes = {{-1, -1}, {-1, -1}, {-1, -1}, {-1, -1}};
    enum smelt_status status;
    *out = (struct sm_process_result){.exit_code = -1};
    sigset_t pipe_signal;
    sigset_t before;
    (void)sigemptyset(&pipe_signal);
    (void)sigaddset(&pipe_signal, SIGPIPE);
    (void)pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    if (open_pipes(&pipes, process->input.size != 0)) {
        status = run_child(process, &pipes, out, err);
    } else {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, "process", "cannot open pipes");
    }
    close_all(&pipes);
    const struct timespec now = {0};
    if (sigismember(&before, SIGPIPE) == 0) {
        /* take back a SIGPIPE that we caused, then restore the mask */
        (void)sigtimedwait(&pipe_signal, NULL, &now);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
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
