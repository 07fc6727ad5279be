/* Errors of the command line's own, in the library's error object, and what they mean for the
 * exit code. */
#ifndef SMELT_CLI_ERROR_H
#define SMELT_CLI_ERROR_H

#include <smelt/export.h>
#include <smelt/runtime.h>
#include <smelt/status.h>

/* Exit codes: part of the interface, listed in --help and the manual page. */
enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_NODE = 1,    /* this machine's trouble, or the state does not allow it */
    CLI_EXIT_USAGE = 2,   /* the command line, an argument or the schedule */
    CLI_EXIT_REFUSED = 3, /* the module */
    CLI_EXIT_REVERTED = 10,
    CLI_EXIT_TRAPPED = 11,
    CLI_EXIT_OUT_OF_FUEL = 12
};

/* Stores and goes to the function's cleanup label; `status` is a local of the caller. */
#define CLI_TRY(expression)                                                                        \
    do {                                                                                           \
        status = (expression);                                                                     \
        if (status != SMELT_STATUS_OK) {                                                           \
            goto cleanup;                                                                          \
        }                                                                                          \
    } while (0)

/* Each returns the status it stores. */
enum smelt_status cli_error_set(struct smelt_error *err, enum smelt_status status,
                                const char *format, ...) SMELT_PRINTF(3, 4);
enum smelt_status cli_error_usage(struct smelt_error *err, const char *format, ...)
    SMELT_PRINTF(2, 3);
/* Status from the errno value; the message gets its text. */
enum smelt_status cli_error_errno(struct smelt_error *err, int sys_errno, const char *format, ...)
    SMELT_PRINTF(3, 4);
enum smelt_status cli_error_no_memory(struct smelt_error *err);

/* Puts text before the message: where the trouble was. */
enum smelt_status cli_error_prefix(struct smelt_error *err, const char *format, ...)
    SMELT_PRINTF(2, 3);

enum cli_exit cli_exit_of_status(enum smelt_status status);
enum cli_exit cli_exit_of_outcome(enum smelt_outcome_kind kind);

/* What to do about a failure, NULL when the message says it all. */
const char *cli_error_hint(const struct smelt_error *err);

#endif
