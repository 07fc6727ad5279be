/* The MAC key of a cache: made once, kept secret, never replaced silently.
 *
 * Whoever can choose the key can have any machine code accepted, so a key that others could have
 * read or written is refused rather than repaired. */
#include "cache/layout.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Makes the key under a temporary name and links it into place: link never replaces, so when
 * processes race, one key wins and all of them read that one. */
static enum smelt_status create_key(const struct smelt_cache *cache, const char *path,
                                    struct smelt_error *err)
{
    uint8_t key[SM_CACHE_KEY_BYTES];
    struct sm_fs_staged staged = {0};
    enum smelt_status status = sm_cache_check_writable(cache, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    randombytes_buf(key, sizeof(key));
    SMELT_TRY(sm_fs_stage(&staged, path, sm_slice(key, sizeof(key)), 0600, err));
    if (link(staged.temp, path) != 0 && errno != EEXIST) {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE, "cannot create %s",
                                    path);
        goto cleanup;
    }
    SMELT_TRY(sm_fs_sync_directory_of(path, err));
cleanup:
    sm_fs_discard(&staged);
    sodium_memzero(key, sizeof(key));
    return status;
}

static enum smelt_status refuse(struct smelt_error *err, const char *path, const char *reason,
                                const char *advice)
{
    return sm_error_set(err, SMELT_STATUS_ARTEFACT_SEAL, SM_CACHE_WHERE, "%s %s: %s", path, reason,
                        advice);
}

static enum smelt_status check_key_file(const struct stat *info, const char *path,
                                        struct smelt_error *err)
{
    static const char replace[] =
        "restore it, or remove it to get a new key (all objects are then compiled again)";
    if (!S_ISREG(info->st_mode)) {
        return refuse(err, path, "is not a regular file", replace);
    }
    if (info->st_size != SM_CACHE_KEY_BYTES) {
        return refuse(err, path, "is not 32 bytes long", replace);
    }
    if (info->st_uid != geteuid() && info->st_uid != 0) {
        return refuse(err, path, "belongs to another user",
                      "run as its owner, or remove the cache if it is not yours");
    }
    if ((info->st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return refuse(err, path, "is open to other users",
                      "remove it to get a new key, or chmod 600 it if nobody can have read it");
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status read_key(struct smelt_cache *cache, const char *path, int fd,
                                  struct smelt_error *err)
{
    struct stat info;
    if (fstat(fd, &info) != 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE, "cannot stat %s",
                                  path);
    }
    enum smelt_status status = check_key_file(&info, path, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    ssize_t got;
    do {
        got = pread(fd, cache->seal_key, sizeof(cache->seal_key), 0);
    } while (got < 0 && errno == EINTR);
    if (got != SM_CACHE_KEY_BYTES) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, got < 0 ? errno : EIO, SM_CACHE_WHERE,
                                  "cannot read %s", path);
    }
    return SMELT_STATUS_OK;
}

enum smelt_status sm_cache_load_seal_key(struct smelt_cache *cache, struct smelt_error *err)
{
    char path[PATH_MAX];
    enum smelt_status status = sm_fs_path(path, sizeof(path), err, "%s/seal.key", cache->directory);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    const int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
    int fd = open(path, flags);
    if (fd < 0 && errno == ENOENT) {
        status = create_key(cache, path, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        fd = open(path, flags);
    }
    if (fd < 0 && (errno == ELOOP || errno == ENXIO)) {
        return refuse(err, path, "is not a regular file", "remove it to get a new key");
    }
    if (fd < 0 && errno == EACCES) {
        return refuse(err, path, "cannot be read by this user", "run as the owner of the cache");
    }
    if (fd < 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE, "cannot open %s",
                                  path);
    }
    status = read_key(cache, path, fd, err);
    (void)close(fd);
    return status;
}
