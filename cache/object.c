/* Opening and publishing sealed objects.
 *
 * Opening trusts nothing in the directory. The bytes are first copied into a memfd and the memfd is
 * sealed; size and digest are then checked on that memfd, which is what the caller gets, so nothing
 * can change between the check and the use.
 *
 * An entry is two files, so a reader may meet the new .so beside the old .meta. Publishers hold a
 * lock on the shard directory while they replace the pair. Readers do not take it: they read, and
 * only when a check fails they take the lock and read once more, now with no publisher halfway.
 * What fails then is really bad, and is moved to quarantine before the lock is given up. So good
 * entries are read without waiting, and no good entry is ever quarantined. The lock is flock on the
 * directory itself: no file to create, so it works on a read-only cache, and a crash releases it.
 * Nothing else is locked while it is held; it is not the lock of sm_cache_lock, whose holder
 * compiles for seconds and then publishes. */
#include "cache/layout.h"
#include "cache/manifest.h"
#include "cache/objects.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define AREA "objects"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static bool is_bad(enum smelt_status status)
{
    return status == SMELT_STATUS_ARTEFACT_CORRUPT || status == SMELT_STATUS_ARTEFACT_SEAL;
}

static enum smelt_status corrupt(struct smelt_error *err, const char *name, const char *reason)
{
    return sm_error_set(err, SMELT_STATUS_ARTEFACT_CORRUPT, SM_CACHE_WHERE, "%s %s", name, reason);
}

enum smelt_status sm_cache_object_path(const struct smelt_cache *cache,
                                       const struct smelt_hash *key, char *out, size_t out_size,
                                       struct smelt_error *err)
{
    return sm_cache_entry_path(cache, AREA, key, ".so", out, out_size, err);
}

/* The shard directory itself must not be a link: publishing goes through its path. NOT_FOUND when
 * it is missing. */
static enum smelt_status open_shard(const struct smelt_cache *cache, const struct smelt_hash *key,
                                    int *out, struct smelt_error *err)
{
    *out = -1;
    char path[PATH_MAX];
    enum smelt_status status = sm_cache_shard_path(cache, AREA, key, path, sizeof(path), err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        *out = fd;
        return SMELT_STATUS_OK;
    }
    switch (errno) {
    case ENOENT:
        return sm_error_set(err, SMELT_STATUS_NOT_FOUND, SM_CACHE_WHERE, "%s does not exist", path);
    case ENOTDIR:
    case ELOOP:
        return sm_error_set(err, SMELT_STATUS_IO, SM_CACHE_WHERE,
                            "%s is not a directory: remove it", path);
    default:
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE, "cannot open %s",
                                  path);
    }
}

/* Opens one file of an entry without following links or waiting on a FIFO. What is there but cannot
 * be an entry is corruption. */
static enum smelt_status open_entry_file(int shard_fd, const char *name, int *out,
                                         struct smelt_error *err)
{
    *out = -1;
    int fd = openat(shard_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        switch (errno) {
        case ENOENT:
            return sm_error_set(err, SMELT_STATUS_NOT_FOUND, SM_CACHE_WHERE,
                                "%s is not in the cache", name);
        case ELOOP:
            return corrupt(err, name, "is a symbolic link");
        case EACCES:
        case EPERM:
            return corrupt(err, name, "cannot be read by this user");
        case ENXIO:
        case ENODEV:
            return corrupt(err, name, "is not a regular file");
        default:
            return sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE, "cannot open %s",
                                      name);
        }
    }
    struct stat info;
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void)close(fd);
        return corrupt(err, name, "is not a regular file");
    }
    *out = fd;
    return SMELT_STATUS_OK;
}

static enum smelt_status read_manifest(const struct smelt_cache *cache, int shard_fd,
                                       const struct smelt_hash *key, struct sm_cache_manifest *out,
                                       struct smelt_error *err)
{
    int fd;
    struct sm_cache_name name = sm_cache_name(key, ".meta");
    enum smelt_status status = open_entry_file(shard_fd, name.text, &fd, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    struct smelt_buf text = {0};
    struct smelt_error why = {0};
    status = sm_fs_read_fd(fd, name.text, SM_CACHE_MANIFEST_SIZE_MAX, &text, &why);
    (void)close(fd);
    if (status == SMELT_STATUS_IO && why.sys_errno == 0) {
        /* too large, or it changed under the read: the file is at fault, not the machine */
        why.status = status = SMELT_STATUS_ARTEFACT_CORRUPT;
    }
    if (status != SMELT_STATUS_OK) {
        if (err != NULL) {
            *err = why;
        }
        return status;
    }
    status = sm_cache_manifest_read(sm_buf_slice(&text), key, cache->seal_key, out, err);
    smelt_buf_deinit(&text);
    return status;
}

static int make_memfd(void)
{
    /* code is mapped from it, never executed as a program; kernels before 6.3 lack the flag */
    int fd = memfd_create("smelt-object", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) {
        fd = memfd_create("smelt-object", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    }
    return fd;
}

/* Copies exactly `size` bytes and seals the copy. */
static enum smelt_status copy_sealed(int from, const char *name, uint64_t size, int *out,
                                     struct smelt_error *err)
{
    *out = -1;
    enum smelt_status status = SMELT_STATUS_OK;
    int fd = make_memfd();
    if (fd < 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE,
                                  "cannot create a memfd for %s", name);
    }
    off_t offset = 0;
    while ((uint64_t)offset < size) {
        ssize_t got = sendfile(fd, from, &offset, (size_t)(size - (uint64_t)offset));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE,
                                        "cannot copy %s", name);
            goto cleanup;
        }
        if (got == 0) {
            status = corrupt(err, name, "ended while it was read");
            goto cleanup;
        }
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE,
                                    "cannot seal the copy of %s", name);
        goto cleanup;
    }
    *out = fd;
    fd = -1;
cleanup:
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

static enum smelt_status digest_fd(int fd, uint64_t size, struct smelt_hash *out,
                                   struct smelt_error *err)
{
    if (size == 0) {
        sm_digest_bytes(sm_slice(NULL, 0), out);
        return SMELT_STATUS_OK;
    }
    /* private, because a shared mapping of a write-sealed memfd is refused before Linux 6.7 */
    void *bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE,
                                  "cannot map an object");
    }
    sm_digest_bytes(sm_slice(bytes, (size_t)size), out);
    (void)munmap(bytes, (size_t)size);
    return SMELT_STATUS_OK;
}

/* Reads and checks the entry as it stands. `out` is written on success only. */
static enum smelt_status load(const struct smelt_cache *cache, int shard_fd,
                              const struct smelt_hash *key, struct sm_cache_object *out,
                              struct smelt_error *err)
{
    int fd = -1;
    int copy = -1;
    struct sm_cache_name name = sm_cache_name(key, ".so");
    struct sm_cache_manifest manifest;
    struct smelt_hash digest;
    struct stat info;
    enum smelt_status status;
    SMELT_TRY(read_manifest(cache, shard_fd, key, &manifest, err));
    status = open_entry_file(shard_fd, name.text, &fd, err);
    if (status == SMELT_STATUS_NOT_FOUND) {
        status = corrupt(err, name.text, "is missing beside its manifest");
    }
    if (status != SMELT_STATUS_OK) {
        goto cleanup;
    }
    if (fstat(fd, &info) != 0 || (uintmax_t)info.st_size != manifest.size) {
        status = corrupt(err, name.text, "has not the size that its manifest states");
        goto cleanup;
    }
    SMELT_TRY(copy_sealed(fd, name.text, manifest.size, &copy, err));
    SMELT_TRY(digest_fd(copy, manifest.size, &digest, err));
    if (!sm_hash_equal(&digest, &manifest.digest)) {
        status = corrupt(err, name.text, "has not the digest that its manifest states");
        goto cleanup;
    }
    *out = (struct sm_cache_object){.fd = copy, .size = manifest.size, .digest = digest};
    copy = -1;
cleanup:
    if (fd >= 0) {
        (void)close(fd);
    }
    if (copy >= 0) {
        (void)close(copy);
    }
    return status;
}

static enum smelt_status lock_shard(int shard_fd, struct smelt_error *err)
{
    if (!sm_cache_flock(shard_fd)) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE,
                                  "cannot lock a directory of the cache");
    }
    return SMELT_STATUS_OK;
}

/* The second look, with publishers of this shard held off. Closing the directory unlocks it. */
static enum smelt_status load_or_quarantine(const struct smelt_cache *cache, int shard_fd,
                                            const struct smelt_hash *key,
                                            struct sm_cache_object *out, struct smelt_error *why)
{
    enum smelt_status status = lock_shard(shard_fd, why);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    status = load(cache, shard_fd, key, out, why);
    if (is_bad(status)) {
        char reason[sizeof(why->message)];
        char report[PATH_MAX + 128];
        memcpy(reason, why->message, sizeof(reason));
        sm_cache_quarantine(cache, shard_fd, key, report, sizeof(report));
        (void)sm_error_set(why, status, SM_CACHE_WHERE, "%s; %s", reason, report);
    }
    return status;
}

enum smelt_status sm_cache_open_object(struct smelt_cache *cache, const struct smelt_hash *key,
                                       struct sm_cache_object *out, struct smelt_error *err)
{
    *out = (struct sm_cache_object){.fd = -1};
    int shard_fd;
    struct smelt_error why = {0};
    enum smelt_status status = open_shard(cache, key, &shard_fd, &why);
    if (status == SMELT_STATUS_OK) {
        status = load(cache, shard_fd, key, out, &why);
        if (is_bad(status)) {
            status = load_or_quarantine(cache, shard_fd, key, out, &why);
        }
        (void)close(shard_fd);
    }
    if (status != SMELT_STATUS_OK && err != NULL) {
        *err = why;
    }
    return status;
}

/* rename replaces anything but a directory, and a directory under the name of an entry is nobody's
 * work: it goes to quarantine, so that publishing heals the cache. */
static void clear_directories(const struct smelt_cache *cache, int shard_fd,
                              const struct smelt_hash *key)
{
    static const char *const suffixes[] = {".so", ".meta"};
    for (size_t i = 0; i < 2; i++) {
        struct stat info;
        struct sm_cache_name name = sm_cache_name(key, suffixes[i]);
        if (fstatat(shard_fd, name.text, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(info.st_mode)) {
            char report[PATH_MAX + 128];
            sm_cache_quarantine(cache, shard_fd, key, report, sizeof(report));
        }
    }
}

/* Replaces the pair. When the second half fails the first is already visible; the entry is then
 * removed, since half of it is worth nothing. */
static enum smelt_status commit_pair(int shard_fd, const struct smelt_hash *key,
                                     struct sm_fs_staged *object, const char *object_path,
                                     struct sm_fs_staged *manifest, const char *manifest_path,
                                     struct smelt_error *err)
{
    enum smelt_status status = sm_fs_commit(object, object_path, err);
    bool is_visible = object->temp[0] == '\0';
    if (status == SMELT_STATUS_OK) {
        status = sm_fs_commit(manifest, manifest_path, err);
    }
    if (status != SMELT_STATUS_OK && is_visible) {
        (void)unlinkat(shard_fd, sm_cache_name(key, ".meta").text, 0);
        (void)unlinkat(shard_fd, sm_cache_name(key, ".so").text, 0);
    }
    return status;
}

enum smelt_status sm_cache_publish(struct smelt_cache *cache, const struct smelt_hash *key,
                                   struct smelt_slice bytes, const struct sm_cache_field *fields,
                                   size_t field_count, struct smelt_error *err)
{
    if (bytes.size > SM_CACHE_OBJECT_SIZE_MAX) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, SM_CACHE_WHERE,
                            "an object has at most %" PRIu64 " bytes, not %zu",
                            SM_CACHE_OBJECT_SIZE_MAX, bytes.size);
    }
    int shard_fd = -1;
    char shard_path[PATH_MAX];
    char object_path[PATH_MAX];
    char manifest_path[PATH_MAX];
    struct sm_fs_staged object = {0};
    struct sm_fs_staged staged_manifest = {0};
    struct smelt_buf text = {0};
    struct sm_cache_manifest manifest = {.size = bytes.size};
    enum smelt_status status;
    SMELT_TRY(sm_cache_check_writable(cache, err));
    SMELT_TRY(sm_cache_shard_path(cache, AREA, key, shard_path, sizeof(shard_path), err));
    SMELT_TRY(sm_cache_entry_path(cache, AREA, key, ".so", object_path, sizeof(object_path), err));
    SMELT_TRY(
        sm_cache_entry_path(cache, AREA, key, ".meta", manifest_path, sizeof(manifest_path), err));
    sm_digest_bytes(bytes, &manifest.digest);
    SMELT_TRY(
        sm_cache_manifest_write(&manifest, key, fields, field_count, cache->seal_key, &text, err));
    SMELT_TRY(sm_fs_make_directories(shard_path, 0700, err));
    SMELT_TRY(open_shard(cache, key, &shard_fd, err));
    SMELT_TRY(sm_fs_stage(&object, object_path, bytes, 0600, err));
    SMELT_TRY(sm_fs_stage(&staged_manifest, manifest_path, sm_buf_slice(&text), 0600, err));
    SMELT_TRY(lock_shard(shard_fd, err));
    clear_directories(cache, shard_fd, key);
    SMELT_TRY(
        commit_pair(shard_fd, key, &object, object_path, &staged_manifest, manifest_path, err));
cleanup:
    sm_fs_discard(&object);
    sm_fs_discard(&staged_manifest);
    smelt_buf_deinit(&text);
    if (shard_fd >= 0) {
        (void)close(shard_fd);
    }
    return status;
}
