/* One compilation per key: a lock file for each key, held with flock.
 *
 * flock belongs to the open file, so it excludes threads as well as processes and ends with the
 * process that held it, however that ended. Lock files are empty and are never removed here:
 * whoever waits on a removed file would share the key with whoever creates the next one. */
#include "cache/layout.h"
#include "cache/objects.h"

#include "base/fs.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

bool sm_cache_flock(int fd)
{
    int result;
    do {
        result = flock(fd, LOCK_EX);
    } while (result != 0 && errno == EINTR);
    return result == 0;
}

enum smelt_status sm_cache_lock(struct smelt_cache *cache, const struct smelt_hash *key, int *lock,
                                struct smelt_error *err)
{
    *lock = -1;
    if (!cache->is_writable) {
        return SMELT_STATUS_OK;
    }
    char path[PATH_MAX];
    struct sm_cache_name name = sm_cache_name(key, "");
    enum smelt_status status =
        sm_fs_path(path, sizeof(path), err, "%s/locks/%s", cache->directory, name.text);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0 && (errno == EROFS || errno == EACCES)) {
        return SMELT_STATUS_OK;
    }
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE,
                                    "cannot open lock file %s", path);
        goto cleanup;
    }
    if (!S_ISREG(info.st_mode)) {
        status = sm_error_set(err, SMELT_STATUS_IO, SM_CACHE_WHERE,
                              "lock file %s is not a regular file: remove it", path);
        goto cleanup;
    }
    if (!sm_cache_flock(fd)) {
        status =
            sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE, "cannot lock %s", path);
        goto cleanup;
    }
    *lock = fd;
    fd = -1;
cleanup:
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

void sm_cache_unlock(int lock)
{
    if (lock >= 0) {
        /* explicitly, in case a forked child still holds the open file */
        (void)flock(lock, LOCK_UN);
        (void)close(lock);
    }
}
