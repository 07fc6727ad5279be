/* What the files of this folder share: the open cache, its paths, its checks.
 *
 * A `struct smelt_cache` never changes between open and close, so threads share it without a lock;
 * everything that changes is on disk and guarded there (see object.c and lock.c). */
#ifndef SM_CACHE_LAYOUT_H
#define SM_CACHE_LAYOUT_H

#include <smelt/cache.h>

#include <limits.h>

#define SM_CACHE_WHERE     "cache"
#define SM_CACHE_KEY_BYTES 32

struct smelt_cache {
    bool is_writable; /* as found by open */
    uint8_t seal_key[SM_CACHE_KEY_BYTES];
    char directory[PATH_MAX]; /* absolute, without symbolic links */
};

/* 64 hex digits and the longest suffix. */
struct sm_cache_name {
    char text[2 * SMELT_HASH_BYTES + sizeof(".meta")];
};

struct sm_cache_name sm_cache_name(const struct smelt_hash *hash, const char *suffix);

/* "<dir>/<area>/ab" and "<dir>/<area>/ab/<hash><suffix>". */
enum smelt_status sm_cache_shard_path(const struct smelt_cache *cache, const char *area,
                                      const struct smelt_hash *hash, char *out, size_t out_size,
                                      struct smelt_error *err);
enum smelt_status sm_cache_entry_path(const struct smelt_cache *cache, const char *area,
                                      const struct smelt_hash *hash, const char *suffix, char *out,
                                      size_t out_size, struct smelt_error *err);

/* READ_ONLY with a message, or OK. */
enum smelt_status sm_cache_check_writable(const struct smelt_cache *cache, struct smelt_error *err);

/* Loads `seal.key` into the cache, creating it first when it is missing and the cache is writable.
 */
enum smelt_status sm_cache_load_seal_key(struct smelt_cache *cache, struct smelt_error *err);

/* Moves both files of an object out of its shard directory into a directory of their own under
 * `quarantine/`. Never fails: `report` says where the files are now, or why they stayed. */
void sm_cache_quarantine(const struct smelt_cache *cache, int shard_fd,
                         const struct smelt_hash *key, char *report, size_t report_size);

/* flock(LOCK_EX) that is not disturbed by signals; false with errno. */
bool sm_cache_flock(int fd);

#endif
