/* Filling the public error object. The function that knows what went wrong writes the message;
 * outer layers pass it on. Every setter returns the status it stores, so that `return
 * sm_error_set(…)` reads as one act. `err` may be NULL in all of them. */
#ifndef SM_BASE_STATUS_H
#define SM_BASE_STATUS_H

#include <smelt/status.h>

#include <stdarg.h>
#include <stdint.h>

/* Status and message; offset and function unknown, errno 0. Control characters of the formatted
 * message and invalid UTF-8 bytes are replaced by '?', so hostile names may be printed. */
enum smelt_status sm_error_set(struct smelt_error *err, enum smelt_status status, const char *where,
                               const char *format, ...) SMELT_PRINTF(4, 5);

/* The same with `errno` appended as text ("…: No space left on device") and mapped: ENOSPC and
 * EDQUOT give NO_SPACE, EROFS, EACCES and EPERM give READ_ONLY, ENOMEM gives NO_MEMORY, the rest
 * `status`. */
enum smelt_status sm_error_set_errno(struct smelt_error *err, enum smelt_status status,
                                     int sys_errno, const char *where, const char *format, ...)
    SMELT_PRINTF(5, 6);

enum smelt_status sm_error_set_at(struct smelt_error *err, enum smelt_status status,
                                  const char *where, int64_t func_index, int64_t offset,
                                  const char *format, ...) SMELT_PRINTF(6, 7);

enum smelt_status sm_error_no_memory(struct smelt_error *err, const char *where);

#ifdef __clang_analyzer__
/* The analyzer sees one source file at a time: without this it follows setters that return OK. */
/* NOLINTBEGIN(readability-identifier-naming): they stand in for the functions of these names */
#define sm_error_set(err, status, ...) ((void)sm_error_set(err, status, __VA_ARGS__), (status))
#define sm_error_set_errno(err, status, ...)                                                       \
    ((void)sm_error_set_errno(err, status, __VA_ARGS__), (status))
#define sm_error_set_at(err, status, ...)                                                          \
    ((void)sm_error_set_at(err, status, __VA_ARGS__), (status))
#define sm_error_no_memory(err, where)                                                             \
    ((void)sm_error_no_memory(err, where), SMELT_STATUS_NO_MEMORY)
/* NOLINTEND(readability-identifier-naming) */
#endif

/* The only control-flow macro of the tree: needs a local `status` and a label `cleanup`. */
#define SMELT_TRY(expr)                                                                            \
    do {                                                                                           \
        status = (expr);                                                                           \
        if (status != SMELT_STATUS_OK) {                                                           \
            goto cleanup;                                                                          \
        }                                                                                          \
    } while (0)

#endif
