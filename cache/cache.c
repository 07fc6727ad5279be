/* Opening and closing a cache, its directory layout and its paths. */
#include "cache/layout.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const areas[] = {"objects", "records", "locks", "quarantine"};

struct sm_cache_name sm_cache_name(const struct smelt_hash *hash, const char *suffix)
{
    struct sm_cache_name name;
    char hex[2 * SMELT_HASH_BYTES + 1];
    smelt_hex_encode(hash->bytes, sizeof(hash->bytes), hex);
    (void)snprintf(name.text, sizeof(name.text), "%s%s", hex, suffix);
    return name;
}

enum smelt_status sm_cache_shard_path(const struct smelt_cache *cache, const char *area,
                                      const struct smelt_hash *hash, char *out, size_t out_size,
                                      struct smelt_error *err)
{
    return sm_fs_path(out, out_size, err, "%s/%s/%02x", cache->directory, area, hash->bytes[0]);
}

enum smelt_status sm_cache_entry_path(const struct smelt_cache *cache, const char *area,
                                      const struct smelt_hash *hash, const char *suffix, char *out,
                                      size_t out_size, struct smelt_error *err)
{
    struct sm_cache_name name = sm_cache_name(hash, suffix);
    return sm_fs_path(out, out_size, err, "%s/%s/%02x/%s", cache->directory, area, hash->bytes[0],
                      name.text);
}

enum smelt_status sm_cache_check_writable(const struct smelt_cache *cache, struct smelt_error *err)
{
    if (cache->is_writable) {
        return SMELT_STATUS_OK;
    }
    return sm_error_set(err, SMELT_STATUS_READ_ONLY, SM_CACHE_WHERE,
                        "%s was opened for reading: this process may not write there",
                        cache->directory);
}

static bool is_refusal(int sys_errno)
{
    return sys_errno == EROFS || sys_errno == EACCES || sys_errno == EPERM;
}

/* Symbolic links are accepted here: an operator may keep `objects` on another disk. */
static enum smelt_status make_layout(struct smelt_cache *cache, struct smelt_error *err)
{
    for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
        char path[PATH_MAX];
        enum smelt_status status =
            sm_fs_path(path, sizeof(path), err, "%s/%s", cache->directory, areas[i]);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        if (cache->is_writable && mkdir(path, 0700) != 0 && errno != EEXIST) {
            if (!is_refusal(errno)) {
                return sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE,
                                          "cannot create directory %s", path);
            }
            cache->is_writable = false;
        }
        struct stat info;
        if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode)) {
            return sm_error_set(err, SMELT_STATUS_IO, SM_CACHE_WHERE,
                                "%s is not a directory: move it away", path);
        }
    }
    return SMELT_STATUS_OK;
}

enum smelt_status smelt_cache_open(const char *directory, struct smelt_cache **out,
                                   struct smelt_error *err)
{
    if (out != NULL) {
        *out = NULL;
    }
    if (out == NULL || directory == NULL || directory[0] == '\0') {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, SM_CACHE_WHERE,
                            "a cache needs a directory name and a place for the result");
    }
    struct smelt_cache *cache = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    /* also picks the fast BLAKE2b for this processor */
    if (sodium_init() < 0) {
        return sm_error_set(err, SMELT_STATUS_INTERNAL, SM_CACHE_WHERE,
                            "libsodium cannot be initialised");
    }
    SMELT_TRY(sm_fs_make_directories(directory, 0700, err));
    cache = (struct smelt_cache *)sm_calloc(1, sizeof(*cache));
    if (cache == NULL) {
        status = sm_error_no_memory(err, SM_CACHE_WHERE);
        goto cleanup;
    }
    if (realpath(directory, cache->directory) == NULL) {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, SM_CACHE_WHERE,
                                    "cannot resolve %s", directory);
        goto cleanup;
    }
    cache->is_writable = faccessat(AT_FDCWD, cache->directory, W_OK | X_OK, AT_EACCESS) == 0;
    SMELT_TRY(make_layout(cache, err));
    SMELT_TRY(sm_cache_load_seal_key(cache, err));
    *out = cache;
    cache = NULL;
cleanup:
    smelt_cache_close(cache);
    return status;
}

void smelt_cache_close(struct smelt_cache *cache)
{
    if (cache != NULL) {
        sodium_memzero(cache->seal_key, sizeof(cache->seal_key));
    }
    sm_free(cache);
}

/* An empty variable counts as unset. */
static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

enum smelt_status smelt_cache_default_directory(char *out, size_t out_size, struct smelt_error *err)
{
    if (out == NULL || out_size == 0) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, SM_CACHE_WHERE,
                            "no room for the name of the cache directory");
    }
    out[0] = '\0';
    const char *base = environment("SMELT_CACHE");
    const char *rest = "";
    if (base == NULL) {
        base = environment("XDG_CACHE_HOME");
        rest = "/smelt";
        /* the XDG specification has relative paths ignored */
        if (base != NULL && base[0] != '/') {
            base = NULL;
        }
    }
    if (base == NULL) {
        base = environment("HOME");
        rest = "/.cache/smelt";
    }
    if (base == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, SM_CACHE_WHERE,
                            "no cache directory: set SMELT_CACHE, XDG_CACHE_HOME or HOME");
    }
    int length = snprintf(out, out_size, "%s%s", base, rest);
    if (length < 0 || (size_t)length >= out_size) {
        out[0] = '\0';
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, SM_CACHE_WHERE,
                            "the name of the cache directory does not fit into %zu bytes",
                            out_size);
    }
    return SMELT_STATUS_OK;
}
