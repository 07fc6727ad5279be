/* mkdtemp and its contents. */
#include "compiler/driver/workdir.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1 << 30)
#define SPACE_BYTES    65536u

enum smelt_status sm_workdir_create(struct sm_workdir *workdir, struct smelt_error *err)
{
    const char *parent = getenv("TMPDIR");
    parent = parent != NULL && parent[0] == '/' ? parent : "/tmp";
    enum smelt_status status =
        sm_fs_path(workdir->path, sizeof(workdir->path), err, "%s/smelt-XXXXXX", parent);
    if (status == SMELT_STATUS_OK && mkdtemp(workdir->path) == NULL) {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, "workdir",
                                    "cannot create a scratch directory in %s", parent);
    }
    if (status != SMELT_STATUS_OK) {
        workdir->path[0] = '\0';
    }
    return status;
}

void sm_workdir_remove(struct sm_workdir *workdir)
{
    if (workdir->path[0] != '\0') {
        (void)sm_fs_remove_tree(workdir->path, NULL);
        workdir->path[0] = '\0';
    }
}

enum smelt_status sm_workdir_write(const struct sm_workdir *workdir, const char *name,
                                   struct smelt_slice data, struct smelt_error *err)
{
    char path[4096];
    enum smelt_status status = sm_fs_path(path, sizeof(path), err, "%s/%s", workdir->path, name);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, "workdir", "cannot create %s", path);
    }
    status = sm_fs_write_fd(fd, path, data, err);
    if (close(fd) != 0 && status == SMELT_STATUS_OK) {
        status =
            sm_error_set_errno(err, SMELT_STATUS_IO, errno, "workdir", "cannot write %s", path);
    }
    return status;
}

enum smelt_status sm_workdir_check_space(const struct sm_workdir *workdir, struct smelt_error *err)
{
    static const uint8_t content[SPACE_BYTES];
    char path[4096];
    enum smelt_status status =
        sm_workdir_write(workdir, "space", sm_slice(content, SPACE_BYTES), err);
    if (status == SMELT_STATUS_OK) {
        status = sm_fs_path(path, sizeof(path), err, "%s/space", workdir->path);
    }
    if (status == SMELT_STATUS_OK && unlink(path) != 0) {
        status =
            sm_error_set_errno(err, SMELT_STATUS_IO, errno, "workdir", "cannot remove %s", path);
    }
    return status;
}

enum smelt_status sm_workdir_read(const struct sm_workdir *workdir, const char *name,
                                  struct smelt_buf *out, struct smelt_error *err)
{
    char path[4096];
    enum smelt_status status = sm_fs_path(path, sizeof(path), err, "%s/%s", workdir->path, name);
    if (status == SMELT_STATUS_OK) {
        status = sm_fs_read_file(path, FILE_BYTES_MAX, out, err);
    }
    if (status == SMELT_STATUS_NOT_FOUND) {
        status = sm_error_set(err, SMELT_STATUS_TOOL_OUTPUT, "workdir",
                              "a tool reported success and did not write %s", name);
    }
    return status;
}
