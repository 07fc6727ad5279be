/* Where the library's heap memory comes from. RocksDB, jansson, libelf and the dynamic linker have
 * allocators of their own; linear memories and guest stacks are mappings. */
#ifndef SMELT_ALLOC_H
#define SMELT_ALLOC_H

#include <smelt/export.h>
#include <smelt/status.h>

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct smelt_allocator {
    /* Like realloc(3), with a size of at least 1; a NULL block is a new one. Returns memory aligned
     * for any object, or NULL, and then the old block is still valid. */
    void *(*reallocate)(void *context, void *block, size_t size);
    void (*deallocate)(void *context, void *block); /* never NULL */
    void *context;
};

/* Replaces the C library's allocator (NULL: brings it back) for the whole process. The functions
 * may be called from several threads at once. INVALID_ARGUMENT while the library holds memory: call
 * it before anything else. */
SMELT_API enum smelt_status smelt_set_allocator(const struct smelt_allocator *allocator,
                                                struct smelt_error *err) SMELT_WARN_UNUSED;

#ifdef __cplusplus
}
#endif

#endif
