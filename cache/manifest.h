/* The manifest of an object: what it is made of, and the MAC that vouches for it.
 *
 *     {
 *       "format": 1,
 *       "key": "<64 hex digits>",
 *       "size": 524288,
 *       "digest": "<64 hex digits>",
 *       "fields": {
 *         "<name>": "<value>", …
 *       },
 *       "mac": "<64 hex digits>"
 *     }
 *
 * The MAC is keyed BLAKE2b-256 over every byte before it, from the opening brace to the comma. It
 * is checked first, on the text as it stands: JSON is only parsed when it is known to be ours, and
 * no spelling but the written one is accepted. The layout is permanent; `format` counts changes. */
#ifndef SM_CACHE_MANIFEST_H
#define SM_CACHE_MANIFEST_H

#include "cache/objects.h"

#define SM_CACHE_OBJECT_SIZE_MAX   ((uint64_t)1 << 30)
#define SM_CACHE_MANIFEST_SIZE_MAX ((size_t)64 * 1024)

struct sm_cache_manifest {
    uint64_t size; /* bytes of the object, at most SM_CACHE_OBJECT_SIZE_MAX */
    struct smelt_hash digest;
};

/* Replaces the content of `text`. INVALID_ARGUMENT when a field is empty, repeated, not printable
 * UTF-8, or the manifest becomes too large. */
enum smelt_status sm_cache_manifest_write(const struct sm_cache_manifest *manifest,
                                          const struct smelt_hash *key,
                                          const struct sm_cache_field *fields, size_t field_count,
                                          const uint8_t *seal_key, struct smelt_buf *text,
                                          struct smelt_error *err);

/* ARTEFACT_SEAL when the MAC does not match; ARTEFACT_CORRUPT when the text has not the form above
 * or belongs to another key. */
enum smelt_status sm_cache_manifest_read(struct smelt_slice text, const struct smelt_hash *key,
                                         const uint8_t *seal_key, struct sm_cache_manifest *out,
                                         struct smelt_error *err);

/* Turns "{ … " without its closing brace into a sealed manifest: appends the MAC and the end. */
bool sm_cache_manifest_seal(struct smelt_buf *text, const uint8_t *seal_key);

#endif
