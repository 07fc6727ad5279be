/* Status names and the error object behind <smelt/status.h>. */
#include "base/status.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifdef __clang_analyzer__
#undef sm_error_set
#undef sm_error_set_errno
#undef sm_error_set_at
#undef sm_error_no_memory
#endif

const char *smelt_status_name(enum smelt_status status)
{
    switch (status) {
#define NAME_CASE(number, name, text)                                                              \
    case SMELT_STATUS_##name:                                                                      \
        return text;
        SMELT_STATUS_MAP(NAME_CASE)
#undef NAME_CASE
    }
    return "unknown";
}

/* C1 controls, U+0080 to U+009F, drive terminals as the C0 ones do: U+009B starts a sequence. */
static bool is_c1(const unsigned char *text)
{
    return text[0] == 0xc2 && text[1] < 0xa0;
}

static void make_printable(char *text)
{
    unsigned char *at = (unsigned char *)text;
    while (*at != '\0') {
        size_t length = *at >= 0x80 ? sm_utf8_length(at) : 1;
        if (length == 0 || *at < 0x20 || *at == 0x7f || is_c1(at)) {
            /* of a C1 control the second byte alone is invalid, so the next round replaces it */
            *at = '?';
            length = 1;
        }
        at += length;
    }
}

static void fill(struct smelt_error *err, enum smelt_status status, const char *where,
                 const char *format, va_list args) SMELT_PRINTF(4, 0);

static void fill(struct smelt_error *err, enum smelt_status status, const char *where,
                 const char *format, va_list args)
{
    memset(err, 0, sizeof(*err));
    err->status = status;
    err->offset = -1;
    err->func_index = -1;
    (void)snprintf(err->where, sizeof(err->where), "%s", where);
    (void)vsnprintf(err->message, sizeof(err->message), format, args);
    make_printable(err->message);
}

enum smelt_status sm_error_set(struct smelt_error *err, enum smelt_status status, const char *where,
                               const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        fill(err, status, where, format, args);
        va_end(args);
    }
    return status;
}

enum smelt_status sm_error_set_at(struct smelt_error *err, enum smelt_status status,
                                  const char *where, int64_t func_index, int64_t offset,
                                  const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        fill(err, status, where, format, args);
        va_end(args);
        err->func_index = func_index;
        err->offset = offset;
    }
    return status;
}

static enum smelt_status status_of_errno(int sys_errno, enum smelt_status otherwise)
{
    switch (sys_errno) {
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
        return otherwise;
    }
}

enum smelt_status sm_error_set_errno(struct smelt_error *err, enum smelt_status status,
                                     int sys_errno, const char *where, const char *format, ...)
{
    status = status_of_errno(sys_errno, status);
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        fill(err, status, where, format, args);
        va_end(args);
        err->sys_errno = sys_errno;
        /* thread-safe and the same words in every locale, unlike strerror */
        const char *text = strerrordesc_np(sys_errno);
        size_t used = strlen(err->message);
        (void)snprintf(err->message + used, sizeof(err->message) - used, ": %s",
                       text != NULL ? text : "unknown error");
    }
    return status;
}

enum smelt_status sm_error_no_memory(struct smelt_error *err, const char *where)
{
    return sm_error_set(err, SMELT_STATUS_NO_MEMORY, where, "out of memory");
}
