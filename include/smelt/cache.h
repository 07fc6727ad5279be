/* The artefact cache: a content-addressed directory of sealed shared objects.
 *
 * Its content is never trusted: digest and seal of an entry are checked on the bytes that are then
 * mapped; a bad entry is moved to `quarantine/`, reported, and compiled again. Safe for use by
 * several threads and processes at once. Layout and operations: docs/architecture.md. */
#ifndef SMELT_CACHE_H
#define SMELT_CACHE_H

#include <smelt/bytes.h>
#include <smelt/export.h>
#include <smelt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct smelt_cache;

/* Opens `directory`, creating it (mode 0700), its layout and its seal key (`seal.key`, mode 0600)
 * when missing. A directory that exists but cannot be written is opened for reading: publishing
 * then fails with READ_ONLY. */
SMELT_API enum smelt_status smelt_cache_open(const char *directory, struct smelt_cache **out,
                                             struct smelt_error *err) SMELT_WARN_UNUSED;
SMELT_API void smelt_cache_close(struct smelt_cache *cache);

/* $SMELT_CACHE, else $XDG_CACHE_HOME/smelt, else $HOME/.cache/smelt. INVALID_ARGUMENT when none is
 * set or the path does not fit. */
SMELT_API enum smelt_status
smelt_cache_default_directory(char *out, size_t out_size,
                              struct smelt_error *err) SMELT_WARN_UNUSED;

#ifdef __cplusplus
}
#endif

#endif
