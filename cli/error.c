/* Errors and exit codes of the command line. */
#include "cli/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void SMELT_PRINTF(3, 0)
    fill(struct smelt_error *err, enum smelt_status status, const char *format, va_list args)
{
    memset(err, 0, sizeof(*err));
    err->status = status;
    err->offset = -1;
    err->func_index = -1;
    (void)vsnprintf(err->message, sizeof(err->message), format, args);
}

enum smelt_status cli_error_set(struct smelt_error *err, enum smelt_status status,
                                const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, status, format, args);
    va_end(args);
    return status;
}

enum smelt_status cli_error_usage(struct smelt_error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, SMELT_STATUS_INVALID_ARGUMENT, format, args);
    va_end(args);
    return SMELT_STATUS_INVALID_ARGUMENT;
}

static enum smelt_status status_of_errno(int sys_errno)
{
    switch (sys_errno) {
    case ENOENT:
        return SMELT_STATUS_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return SMELT_STATUS_NO_SPACE;
    case EROFS:
    case EACCES:
    case EPERM:
        return SMELT_STATUS_READ_ONLY;
    case ENOMEM:
        return SMELT_STATUS_NO_MEMORY;
    default:
        return SMELT_STATUS_IO;
    }
}

enum smelt_status cli_error_errno(struct smelt_error *err, int sys_errno, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(err, status_of_errno(sys_errno), format, args);
    va_end(args);
    err->sys_errno = sys_errno;
    const char *text = strerrordesc_np(sys_errno);
    size_t used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s",
                   text != NULL ? text : "unknown error");
    return err->status;
}

enum smelt_status cli_error_prefix(struct smelt_error *err, const char *format, ...)
{
    char message[sizeof(err->message)];
    size_t used;
    va_list args;
    memcpy(message, err->message, sizeof(message));
    va_start(args, format);
    (void)vsnprintf(err->message, sizeof(err->message), format, args);
    va_end(args);
    used = strlen(err->message);
    (void)snprintf(err->message + used, sizeof(err->message) - used, "%s", message);
    return err->status;
}

enum smelt_status cli_error_no_memory(struct smelt_error *err)
{
    return cli_error_set(err, SMELT_STATUS_NO_MEMORY, "out of memory");
}

enum cli_exit cli_exit_of_status(enum smelt_status status)
{
    if (status == SMELT_STATUS_OK) {
        return CLI_EXIT_OK;
    }
    if (status == SMELT_STATUS_INVALID_ARGUMENT || status == SMELT_STATUS_UNKNOWN_FUNCTION ||
        status == SMELT_STATUS_ARGUMENT_MISMATCH || status == SMELT_STATUS_SCHEDULE_INVALID ||
        status == SMELT_STATUS_POLICY_INVALID) {
        return CLI_EXIT_USAGE;
    }
    return status >= 200 && status < 300 ? CLI_EXIT_REFUSED : CLI_EXIT_NODE;
}

enum cli_exit cli_exit_of_outcome(enum smelt_outcome_kind kind)
{
    switch (kind) {
    case SMELT_OUTCOME_RETURNED:
        return CLI_EXIT_OK;
    case SMELT_OUTCOME_REVERTED:
        return CLI_EXIT_REVERTED;
    case SMELT_OUTCOME_TRAPPED:
        return CLI_EXIT_TRAPPED;
    case SMELT_OUTCOME_OUT_OF_FUEL:
        return CLI_EXIT_OUT_OF_FUEL;
    }
    return CLI_EXIT_NODE;
}

const char *cli_error_hint(const struct smelt_error *err)
{
    static const struct {
        enum smelt_status status;
        const char *where; /* NULL: wherever it comes from */
        const char *text;
    } hints[] = {
        {SMELT_STATUS_NO_CONTRACT, NULL, "smelt state dump --state DIR lists the contracts"},
        {SMELT_STATUS_INSUFFICIENT_BALANCE, NULL,
         "smelt account fund ADDRESS AMOUNT --state DIR adds to "
         "a balance"},
        {SMELT_STATUS_STATE_MISMATCH, "state",
         "leave out --schedule and --policy to use the state's own"},
        {SMELT_STATUS_MODULE_IMPORT, NULL, "smelt abi lists what a contract may import"},
        {SMELT_STATUS_MODULE_LIMIT, NULL, "smelt policy --toml prints the limits"},
        {SMELT_STATUS_MODULE_FLOAT, NULL, "--policy standard-floats accepts floating point"},
        {SMELT_STATUS_TOOL_MISSING, NULL, "smelt doctor says which tools are found"},
        {SMELT_STATUS_TOOL_VERSION, NULL, "smelt doctor says which tools are found"},
    };
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (hints[i].status == err->status &&
            (hints[i].where == NULL || strcmp(hints[i].where, err->where) == 0)) {
            return hints[i].text;
        }
    }
    return NULL;
}
