/* Reading inputs, and outputs that appear whole or not at all. */
#include "cli/files.h"

#include "cli/error.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void cli_bytes_deinit(struct cli_bytes *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof(*bytes));
}

struct smelt_slice cli_bytes_view(const struct cli_bytes *bytes)
{
    return (struct smelt_slice){.data = bytes->data, .size = bytes->size};
}

enum smelt_status cli_fd_read(int fd, const char *name, size_t size_max, struct cli_bytes *out,
                              struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    struct cli_bytes content = {0};
    size_t capacity = 0;
    memset(out, 0, sizeof(*out));
    for (;;) {
        if (content.size == capacity) {
            capacity = capacity == 0 ? 65536 : 2 * capacity;
            uint8_t *grown = realloc(content.data, capacity);
            if (grown == NULL) {
                status = cli_error_no_memory(err);
                goto cleanup;
            }
            content.data = grown;
        }
        ssize_t got = read(fd, content.data + content.size, capacity - content.size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = cli_error_errno(err, errno, "cannot read %s", name);
            goto cleanup;
        }
        if (got == 0) {
            break;
        }
        content.size += (size_t)got;
        if (content.size > size_max) {
            status = cli_error_usage(err, "%s is larger than %zu bytes", name, size_max);
            goto cleanup;
        }
    }
    *out = content;
    content = (struct cli_bytes){0};
cleanup:
    cli_bytes_deinit(&content);
    return status;
}

enum smelt_status cli_file_read(const char *path, size_t size_max, struct cli_bytes *out,
                                struct smelt_error *err)
{
    if (strcmp(path, "-") == 0) {
        return cli_fd_read(STDIN_FILENO, "standard input", size_max, out, err);
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cli_error_errno(err, errno, "cannot open %s", path);
    }
    enum smelt_status status = cli_fd_read(fd, path, size_max, out, err);
    (void)close(fd);
    return status;
}

/* The directory part of a path, with a final "/." so that a file there is not taken for one; the
 * caller frees it. */
static char *directory_of(const char *path)
{
    char *copy = strdup(path);
    char *directory = NULL;
    if (copy != NULL && asprintf(&directory, "%s/.", dirname(copy)) < 0) {
        directory = NULL;
    }
    free(copy);
    return directory;
}

/* The part behind the last slash. */
static const char *name_in(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

bool cli_is_same_file(const char *a, const char *b)
{
    struct stat info[2];
    bool exists = stat(a, &info[0]) == 0;
    if (exists != (stat(b, &info[1]) == 0)) {
        return false;
    }
    if (!exists) { /* a name yet: compare where it is */
        char *directories[2] = {directory_of(a), directory_of(b)};
        bool is_known = directories[0] != NULL && directories[1] != NULL &&
                        stat(directories[0], &info[0]) == 0 && stat(directories[1], &info[1]) == 0;
        free(directories[0]);
        free(directories[1]);
        if (!is_known || strcmp(name_in(a), name_in(b)) != 0) {
            return false;
        }
    }
    return info[0].st_dev == info[1].st_dev && info[0].st_ino == info[1].st_ino;
}

enum smelt_status cli_outfile_check(struct cli_outfile *file, const char *path, const char *input,
                                    struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    struct stat info;
    char *directory = NULL;
    if (path == NULL) {
        return SMELT_STATUS_OK;
    }
    /* rename would replace a device or a pipe by a file: never what was meant */
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) {
        return cli_error_set(err, SMELT_STATUS_IO, "cannot write %s: it is %s", path,
                             S_ISDIR(info.st_mode) ? "a directory" : "not a regular file");
    }
    if (input != NULL && strcmp(input, "-") != 0 && cli_is_same_file(path, input)) {
        return cli_error_usage(err, "%.200s would replace what is read", path);
    }
    directory = directory_of(path);
    if (directory == NULL) {
        return cli_error_no_memory(err);
    }
    if (path[strlen(path) - 1] == '/') {
        status = cli_error_set(err, SMELT_STATUS_IO, "cannot write %s: it is a directory", path);
    } else if (access(directory, W_OK | X_OK) != 0) {
        status = cli_error_errno(err, errno, "cannot write %s", path);
    } else {
        file->path = path;
    }
    free(directory);
    return status;
}

static bool write_all(int fd, struct smelt_slice content)
{
    while (content.size != 0) {
        ssize_t put = write(fd, content.data, content.size);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put < 0) {
            return false;
        }
        content.data += put;
        content.size -= (size_t)put;
    }
    return true;
}

enum smelt_status cli_outfile_stage(struct cli_outfile *file, struct smelt_slice content,
                                    struct smelt_error *err)
{
    if (file->path == NULL) {
        return SMELT_STATUS_OK;
    }
    char *temp = NULL;
    if (asprintf(&temp, "%s.tmp-XXXXXX", file->path) < 0) {
        return cli_error_no_memory(err);
    }
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        int saved = errno;
        free(temp);
        return cli_error_errno(err, saved, "cannot write %s", file->path);
    }
    file->temp = temp;
    mode_t mask = umask(0);
    (void)umask(mask);
    enum smelt_status status = SMELT_STATUS_OK;
    if (!write_all(fd, content) || fchmod(fd, 0666 & ~mask) != 0 || fsync(fd) != 0) {
        status = cli_error_errno(err, errno, "cannot write %s", file->path);
    }
    if (close(fd) != 0 && status == SMELT_STATUS_OK) {
        status = cli_error_errno(err, errno, "cannot write %s", file->path);
    }
    return status;
}

enum smelt_status cli_outfile_commit(struct cli_outfile *file, struct smelt_error *err)
{
    if (file->temp == NULL) {
        return SMELT_STATUS_OK;
    }
    if (rename(file->temp, file->path) != 0) {
        return cli_error_errno(err, errno, "cannot write %s", file->path);
    }
    free(file->temp);
    file->temp = NULL;
    return SMELT_STATUS_OK;
}

void cli_outfile_discard(struct cli_outfile *file)
{
    if (file->temp != NULL) {
        (void)unlink(file->temp);
    }
    free(file->temp);
    memset(file, 0, sizeof(*file));
}
