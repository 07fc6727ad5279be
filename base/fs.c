/* POSIX files: see fs.h for what each function promises. */
#include "base/fs.h"

#include "base/bytes.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHERE "file"

enum smelt_status sm_fs_path(char *out, size_t out_size, struct smelt_error *err,
                             const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(out, out_size, format, args);
    va_end(args);
    if (length < 0 || (size_t)length >= out_size) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, ENAMETOOLONG, WHERE, "path is too long");
    }
    return SMELT_STATUS_OK;
}

enum smelt_status sm_fs_read_fd(int fd, const char *name, size_t size_max, struct smelt_buf *out,
                                struct smelt_error *err)
{
    struct smelt_buf data = {0};
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot stat %s", name);
    }
    if (!S_ISREG(info.st_mode)) {
        return sm_error_set(err, SMELT_STATUS_IO, WHERE, "%s is not a regular file", name);
    }
    if ((uintmax_t)info.st_size > size_max) {
        return sm_error_set(err, SMELT_STATUS_IO, WHERE,
                            "%s has %jd bytes, more than the limit of %zu", name,
                            (intmax_t)info.st_size, size_max);
    }
    if (!sm_buf_reserve(&data, (size_t)info.st_size + 1)) {
        return sm_error_no_memory(err, WHERE);
    }
    while (data.size <= (size_t)info.st_size) {
        ssize_t got = pread(fd, data.data + data.size, (size_t)info.st_size + 1 - data.size,
                            (off_t)data.size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            int saved = errno;
            smelt_buf_deinit(&data);
            return sm_error_set_errno(err, SMELT_STATUS_IO, saved, WHERE, "cannot read %s", name);
        }
        if (got == 0) {
            break;
        }
        data.size += (size_t)got;
    }
    if (data.size != (size_t)info.st_size) {
        smelt_buf_deinit(&data);
        return sm_error_set(err, SMELT_STATUS_IO, WHERE, "%s changed while it was read", name);
    }
    smelt_buf_deinit(out);
    *out = data;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_fs_read_file(const char *path, size_t size_max, struct smelt_buf *out,
                                  struct smelt_error *err)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return sm_error_set_errno(err, errno == ENOENT ? SMELT_STATUS_NOT_FOUND : SMELT_STATUS_IO,
                                  errno, WHERE, "cannot open %s", path);
    }
    enum smelt_status status = sm_fs_read_fd(fd, path, size_max, out, err);
    (void)close(fd);
    return status;
}

enum smelt_status sm_fs_write_fd(int fd, const char *name, struct smelt_slice data,
                                 struct smelt_error *err)
{
    while (data.size != 0) {
        ssize_t put = write(fd, data.data, data.size);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot write %s", name);
        }
        data.data += put;
        data.size -= (size_t)put;
    }
    return SMELT_STATUS_OK;
}

enum smelt_status sm_fs_sync_directory_of(const char *path, struct smelt_error *err)
{
    char copy[PATH_MAX];
    enum smelt_status status = sm_fs_path(copy, sizeof(copy), err, "%s", path);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    const char *parent = dirname(copy);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot sync directory %s",
                                    parent);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

enum smelt_status sm_fs_stage(struct sm_fs_staged *staged, const char *path,
                              struct smelt_slice data, mode_t mode, struct smelt_error *err)
{
    staged->temp[0] = '\0';
    char temp[sizeof(staged->temp)];
    enum smelt_status status = sm_fs_path(temp, sizeof(temp), err, "%s.tmp-XXXXXX", path);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot create %s", temp);
    }
    memcpy(staged->temp, temp, sizeof(temp));
    SMELT_TRY(sm_fs_write_fd(fd, temp, data, err));
    if (fchmod(fd, mode) != 0 || fsync(fd) != 0) {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot finish %s", temp);
    }
cleanup:
    (void)close(fd);
    if (status != SMELT_STATUS_OK) {
        sm_fs_discard(staged);
    }
    return status;
}

enum smelt_status sm_fs_commit(struct sm_fs_staged *staged, const char *path,
                               struct smelt_error *err)
{
    if (rename(staged->temp, path) != 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot publish %s", path);
    }
    staged->temp[0] = '\0';
    return sm_fs_sync_directory_of(path, err);
}

void sm_fs_discard(struct sm_fs_staged *staged)
{
    if (staged->temp[0] != '\0') {
        (void)unlink(staged->temp);
        staged->temp[0] = '\0';
    }
}

enum smelt_status sm_fs_publish(const char *path, struct smelt_slice data, mode_t mode,
                                struct smelt_error *err)
{
    struct sm_fs_staged staged = {0};
    enum smelt_status status = sm_fs_stage(&staged, path, data, mode, err);
    if (status == SMELT_STATUS_OK) {
        status = sm_fs_commit(&staged, path, err);
    }
    sm_fs_discard(&staged);
    return status;
}

enum smelt_status sm_fs_make_directories(const char *path, mode_t mode, struct smelt_error *err)
{
    char partial[PATH_MAX];
    enum smelt_status status = sm_fs_path(partial, sizeof(partial), err, "%s", path);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (path[0] == '\0') {
        return sm_error_set_errno(err, SMELT_STATUS_IO, ENOENT, WHERE,
                                  "cannot create directory \"\"");
    }
    for (char *at = partial + 1;; at++) {
        if (*at != '/' && *at != '\0') {
            continue;
        }
        char kept = *at;
        *at = '\0';
        if (mkdir(partial, mode) != 0 && errno != EEXIST) {
            return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE,
                                      "cannot create directory %s", partial);
        }
        *at = kept;
        if (kept == '\0') {
            break;
        }
    }
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        return sm_error_set(err, SMELT_STATUS_IO, WHERE, "%s is not a directory", path);
    }
    return SMELT_STATUS_OK;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    /* someone else may be removing the same tree */
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

enum smelt_status sm_fs_remove_tree(const char *path, struct smelt_error *err)
{
    if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot remove %s", path);
    }
    return SMELT_STATUS_OK;
}
