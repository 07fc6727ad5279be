/* A library to preload: file system calls below a directory that fail on demand.
 *
 *     LD_PRELOAD=libfault_fs.so SM_FAULT_PATH=/tmp/x SM_FAULT_CALLS=write,fsync SM_FAULT_AT=7 \
 *     SM_FAULT_ERRNO=ENOSPC program …
 *
 *   SM_FAULT_PATH    paths that begin with this text count; without it nothing fails
 *   SM_FAULT_CALLS   which calls count: a list of write (pwrite and writev too), sync (fsync and
 *                    fdatasync), open (to write or to create), rename, link, mkdir, truncate;
 *                    without it all of these
 *   SM_FAULT_AT      the n-th of these calls fails, the first is 1; 0 or none: nothing does
 *   SM_FAULT_ERRNO   ENOSPC, EIO (also when there is none), EDQUOT, EROFS, or "short": the call is
 * a write, and writes only half of what it should SM_FAULT_STAYS   if set, all calls from the n-th
 * on fail, as on a full disk SM_FAULT_REPORT  a file to which a line "call path" is appended for
 * each call that fails
 *
 * Calls that libc makes itself, such as those of stdio, are not seen. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHIM __attribute__((visibility("default")))

/* The next definition of a function: what this one stands in front of. */
#define NEXT(name, ...)                                                                            \
    static __typeof__(&name) next;                                                                 \
    if (next == NULL) {                                                                            \
        void *symbol = dlsym(RTLD_NEXT, #name);                                                    \
        memcpy(&next, &symbol, sizeof(next));                                                      \
    }

enum fault { NO_FAULT, FAULT, SHORT_WRITE };

static atomic_ulong calls;

static bool is_listed(const char *list, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, name, size) == 0 && (at[size] == ',' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

static int errno_of(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } rows[] = {{"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EROFS", EROFS}, {"EIO", EIO}};
    for (size_t i = 0; name != NULL && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return rows[i].number;
        }
    }
    return EIO;
}

/* By system calls: none of the functions below may be entered again. */
static void report(const char *call, const char *path)
{
    const char *file = getenv("SM_FAULT_REPORT");
    char line[PATH_MAX + 64];
    int size = snprintf(line, sizeof(line), "%s %s\n", call, path);
    if (file != NULL && size > 0) {
        long fd =
            syscall(SYS_openat, AT_FDCWD, file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        (void)syscall(SYS_write, fd, line, (size_t)size);
        (void)syscall(SYS_close, fd);
    }
}

static enum fault fault_at(const char *call, const char *path)
{
    const char *prefix = getenv("SM_FAULT_PATH");
    const char *list = getenv("SM_FAULT_CALLS");
    const char *at = getenv("SM_FAULT_AT");
    const char *name = getenv("SM_FAULT_ERRNO");
    if (prefix == NULL || at == NULL || path == NULL ||
        strncmp(path, prefix, strlen(prefix)) != 0 || (list != NULL && !is_listed(list, call))) {
        return NO_FAULT;
    }
    unsigned long nth = strtoul(at, NULL, 10);
    unsigned long now = atomic_fetch_add(&calls, 1) + 1;
    if (nth == 0 || now < nth || (now > nth && getenv("SM_FAULT_STAYS") == NULL)) {
        return NO_FAULT;
    }
    report(call, path);
    if (name != NULL && strcmp(name, "short") == 0) {
        return strcmp(call, "write") == 0 ? SHORT_WRITE : NO_FAULT;
    }
    errno = errno_of(name);
    return FAULT;
}

static enum fault fault_of(const char *call, int fd)
{
    char name[64];
    char path[PATH_MAX];
    int saved = errno;
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t size = readlink(name, path, sizeof(path) - 1);
    errno = saved;
    if (size < 0) {
        return NO_FAULT;
    }
    path[size] = '\0';
    return fault_at(call, path);
}

SHIM ssize_t write(int fd, const void *data, size_t size)
{
    NEXT(write)
    enum fault fault = fault_of("write", fd);
    return fault == FAULT ? -1 : next(fd, data, fault == SHORT_WRITE ? (size + 1) / 2 : size);
}

SHIM ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    NEXT(pwrite)
    enum fault fault = fault_of("write", fd);
    return fault == FAULT ? -1
                          : next(fd, data, fault == SHORT_WRITE ? (size + 1) / 2 : size, offset);
}

SHIM ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    NEXT(pwrite64)
    enum fault fault = fault_of("write", fd);
    return fault == FAULT ? -1
                          : next(fd, data, fault == SHORT_WRITE ? (size + 1) / 2 : size, offset);
}

SHIM ssize_t writev(int fd, const struct iovec *parts, int count)
{
    NEXT(writev)
    enum fault fault = fault_of("write", fd);
    return fault == FAULT ? -1 : next(fd, parts, fault == SHORT_WRITE ? (count + 1) / 2 : count);
}

SHIM int fsync(int fd)
{
    NEXT(fsync)
    return fault_of("sync", fd) != NO_FAULT ? -1 : next(fd);
}

SHIM int fdatasync(int fd)
{
    NEXT(fdatasync)
    return fault_of("sync", fd) != NO_FAULT ? -1 : next(fd);
}

SHIM int ftruncate(int fd, off_t size)
{
    NEXT(ftruncate)
    return fault_of("truncate", fd) != NO_FAULT ? -1 : next(fd, size);
}

SHIM int ftruncate64(int fd, off64_t size)
{
    NEXT(ftruncate64)
    return fault_of("truncate", fd) != NO_FAULT ? -1 : next(fd, size);
}

static bool opens_to_write(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
}

#define MODE_OF(flags, mode)                                                                       \
    mode_t mode = 0;                                                                               \
    if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                                                  \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        (mode) = va_arg(arguments, mode_t);                                                        \
        va_end(arguments);                                                                         \
    }

SHIM int open(const char *path, int flags, ...)
{
    NEXT(open)
    MODE_OF(flags, mode)
    return opens_to_write(flags) && fault_at("open", path) != NO_FAULT ? -1
                                                                       : next(path, flags, mode);
}

SHIM int open64(const char *path, int flags, ...)
{
    NEXT(open64)
    MODE_OF(flags, mode)
    return opens_to_write(flags) && fault_at("open", path) != NO_FAULT ? -1
                                                                       : next(path, flags, mode);
}

SHIM int openat(int directory, const char *path, int flags, ...)
{
    NEXT(openat)
    MODE_OF(flags, mode)
    return opens_to_write(flags) && fault_at("open", path) != NO_FAULT
               ? -1
               : next(directory, path, flags, mode);
}

SHIM int rename(const char *from, const char *to)
{
    NEXT(rename)
    return fault_at("rename", to) != NO_FAULT ? -1 : next(from, to);
}

SHIM int renameat2(int from_directory, const char *from, int to_directory, const char *to,
                   unsigned flags)
{
    NEXT(renameat2)
    return fault_at("rename", to) != NO_FAULT ? -1
                                              : next(from_directory, from, to_directory, to, flags);
}

SHIM int link(const char *from, const char *to)
{
    NEXT(link)
    return fault_at("link", to) != NO_FAULT ? -1 : next(from, to);
}

SHIM int mkdir(const char *path, mode_t mode)
{
    NEXT(mkdir)
    return fault_at("mkdir", path) != NO_FAULT ? -1 : next(path, mode);
}
