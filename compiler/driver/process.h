/* Child processes: the compiler's tools. A child gets an argument vector, a scratch directory, an
 * environment of its own (LC_ALL=C, PATH, no configuration files for clang), no standard input,
 * none of our files, and limits; it is killed when we die. */
#ifndef SM_DRIVER_PROCESS_H
#define SM_DRIVER_PROCESS_H

#include <smelt/bytes.h>
#include <smelt/status.h>

struct sm_process {
    const char *path;        /* executable, absolute */
    const char *const *argv; /* NULL-terminated, argv[0] included */
    const char *directory;   /* working directory; NULL: ours */
    unsigned cpu_seconds;    /* 0: no limit */
    uint64_t memory_bytes;   /* address space; 0: no limit */
};

struct sm_process_result {
    int exit_code;           /* -1 when a signal ended it */
    int signal;              /* 0 when it exited */
    struct smelt_buf output; /* standard output, at most SM_PROCESS_OUTPUT_MAX */
    struct smelt_buf
        errors; /* standard error, at most SM_PROCESS_ERRORS_MAX; the rest is dropped */
};

#define SM_PROCESS_OUTPUT_MAX ((size_t)64 << 20)
#define SM_PROCESS_ERRORS_MAX ((size_t)64 << 10)

/* Runs to the end. A child that fails is not an error here: look at the result. Statuses:
 * TOOL_MISSING when it cannot be executed, NO_MEMORY, IO. */
enum smelt_status sm_process_run(const struct sm_process *process, struct sm_process_result *out,
                                 struct smelt_error *err);
void sm_process_result_deinit(struct sm_process_result *result);

/* TOOL_FAILED with the tool's first line of complaint, unless it exited with 0. `tool` is for the
 * message. */
enum smelt_status sm_process_expect_success(const struct sm_process_result *result,
                                            const char *tool, struct smelt_error *err);

#endif
