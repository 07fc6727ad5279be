/* The hand-written artefacts, whole or with fields changed, as descriptors to load from. */
#ifndef TESTS_RUNTIME_GUEST_H
#define TESTS_RUNTIME_GUEST_H

#include "runtime/exec/exec.h"

extern const struct smelt_hash guest_all_key;
extern const struct smelt_hash guest_all_hash;
extern const struct smelt_hash guest_bare_key;
extern const struct smelt_hash guest_bare_hash;

/* One field of an exported object of the file: `size` bytes at `offset` become the low bytes of
 * `value`. PATCH_POINTER changes what the dynamic linker will store in an 8-byte field: the address
 * `value` relative to where the object is loaded. */
#define PATCH_POINTER 0u
struct guest_patch {
    const char *symbol;
    size_t offset;
    uint32_t size;
    uint64_t value;
};

#define PATCH(symbol_, type, field, value_)                                                        \
    {.symbol = (symbol_),                                                                          \
     .offset = offsetof(type, field),                                                              \
     .size = sizeof(((type *)0)->field),                                                           \
     .value = (value_)}
#define PATCH_AT(symbol_, type, index, field, value_)                                              \
    {.symbol = (symbol_),                                                                          \
     .offset = (index) * sizeof(type) + offsetof(type, field),                                     \
     .size = sizeof(((type *)0)->field),                                                           \
     .value = (value_)}
#define PATCH_PTR(symbol_, type, index, field, value_)                                             \
    {.symbol = (symbol_),                                                                          \
     .offset = (index) * sizeof(type) + offsetof(type, field),                                     \
     .size = PATCH_POINTER,                                                                        \
     .value = (value_)}

/* A memfd with a copy of `name` ("guest_all.so"); the caller closes it. Ends the process when the
 * file is not as the patch expects it. */
int guest_open(const char *name, const struct guest_patch *patches, size_t patch_count);

/* The pool of this program, made when it is first asked for. Close it before leaks are counted. */
struct sm_exec_pool *guest_pool(void);
void guest_pool_close(void);

/* guest_all.so, loaded into that pool, or into another. */
struct sm_exec_module *guest_load_all(void);
struct sm_exec_module *guest_load_all_into(struct sm_exec_pool *pool);

#endif
