/* What the compiler and the runtime ask of the cache: sealed objects by key, small sealed records
 * by id.
 *
 *     <dir>/seal.key                32 random bytes, mode 0600; the MAC key of this cache
 *     <dir>/objects/ab/<key>.so     the artefact; ab are the first two hex digits of the key
 *     <dir>/objects/ab/<key>.meta   its manifest: JSON with the ingredients of the key, sizes,
 *                                   digest, MAC (manifest.h)
 *     <dir>/records/ab/<id>         value bytes, then a 32-byte MAC over (kind, id, value)
 *     <dir>/locks/<key>             per-key lock files (flock): processes compile a key once
 *     <dir>/quarantine/             entries that failed a check, kept for a look
 *
 * An entry is published as .so first, .meta second, each by write-temp, fsync, rename, fsync-dir:
 * an object exists when its manifest does. The MAC covers key, size, digest and every manifest
 * field. */
#ifndef SM_CACHE_OBJECTS_H
#define SM_CACHE_OBJECTS_H

#include <smelt/cache.h>

/* One ingredient or fact of the manifest, shown by tools and covered by the MAC. Printable UTF-8;
 * names are not empty and not repeated. */
struct sm_cache_field {
    const char *name;
    const char *value;
};

struct sm_cache_object {
    int fd; /* read-only sealed memfd with the verified bytes, -1 when none; the caller closes it */
    uint64_t size;
    struct smelt_hash digest; /* BLAKE2b-256 of the bytes */
};

/* Copies the object into a memfd, checks size, digest and MAC on that copy, and seals it against
 * change. NOT_FOUND when there is no entry; ARTEFACT_CORRUPT or ARTEFACT_SEAL, with the entry moved
 * to quarantine (when the directory is writable), when a check fails. */
enum smelt_status sm_cache_open_object(struct smelt_cache *cache, const struct smelt_hash *key,
                                       struct sm_cache_object *out, struct smelt_error *err);

/* Publishes atomically, replacing what was there. At most 1 GiB. On failure the cache is as before;
 * only when the file system refuses the second of the two renames is the entry gone. */
enum smelt_status sm_cache_publish(struct smelt_cache *cache, const struct smelt_hash *key,
                                   struct smelt_slice bytes, const struct sm_cache_field *fields,
                                   size_t field_count, struct smelt_error *err);

/* Absolute path of the object's .so, whether it exists or not. `out` has SMELT_PATH_BYTES bytes. */
enum smelt_status sm_cache_object_path(const struct smelt_cache *cache,
                                       const struct smelt_hash *key, char *out, size_t out_size,
                                       struct smelt_error *err);

/* Small facts that are worth remembering (tool versions, which artefact serves a request). `kind`
 * is a constant. A missing, damaged or foreign record reads as NOT_FOUND: a record is only ever a
 * hint whose loss costs time. */
enum smelt_status sm_cache_record_get(struct smelt_cache *cache, const char *kind,
                                      const struct smelt_hash *id, struct smelt_buf *value,
                                      struct smelt_error *err);
enum smelt_status sm_cache_record_put(struct smelt_cache *cache, const char *kind,
                                      const struct smelt_hash *id, struct smelt_slice value,
                                      struct smelt_error *err);

/* Excludes other threads and processes that compile the same key; waits. `*lock` is -1 and the
 * status OK on a cache that cannot be written. */
enum smelt_status sm_cache_lock(struct smelt_cache *cache, const struct smelt_hash *key, int *lock,
                                struct smelt_error *err);
void sm_cache_unlock(int lock);

#endif
