/* Linear memory of one instance, in a slot of address space that it borrows. Zero-initialise. */
#ifndef SM_EXEC_MEMORY_H
#define SM_EXEC_MEMORY_H

#include "runtime/exec/image.h"
#include "runtime/exec/pagemap.h"

#define SM_PAGE_BYTES UINT64_C(65536) /* WebAssembly core 2.0, section 4.2.8 */
#define SM_PAGES_MAX  65536u          /* 32-bit addresses */

/* A 32-bit address plus a 32-bit offset stays below the first, an access that begins there within
 * the second. Both are multiples of the huge page, so that slots do not share page tables. */
#define SM_SLOT_BYTES       (UINT64_C(1) << 33)
#define SM_SLOT_GUARD_BYTES (UINT64_C(1) << 21)

/* Private pages that are remembered from one reset to the next: few enough that restoring all of
 * them, written or not, costs less than asking. */
#define SM_KNOWN_RUNS_MAX  16u
#define SM_KNOWN_BYTES_MAX UINT64_C(65536)

struct sm_memory {
    uint8_t *base; /* never moves */
    uint64_t size; /* bytes, a multiple of SM_PAGE_BYTES */
    uint32_t pages_max;
    uint64_t file_start; /* where the file of its image is mapped; both 0: nowhere */
    uint64_t file_end;

    /* After a reset: all private pages, when they are few */
    bool is_known;
    size_t known_count;
    uint64_t known_bytes;
    struct sm_page_run known[SM_KNOWN_RUNS_MAX];
};

/* How the kernel is to treat the pages of a slot. No huge ones: pages are restored one by one, and
 * those would be written as a whole for one byte. No merging of equal ones (KSM), also in a process
 * that asked for it everywhere: a page of zeroes merged with the kernel's own looks as if it had
 * never been written, and the time a write takes would tell contracts of each other's pages. */
void sm_memory_advise(uint8_t *start, size_t size);

/* Gives the slot at `base`, inaccessible all over, the content of `image`; it may grow to
 * `pages_max`. NO_MEMORY: the slot needs sm_memory_unbind. */
enum smelt_status sm_memory_bind(struct sm_memory *memory, uint8_t *base,
                                 const struct sm_image *image, uint32_t pages_max,
                                 struct smelt_error *err);

/* Back to the content and the size of `image`, which it was bound to. `*resident` is what it keeps
 * of the machine's memory, in bytes. False when the machine refuses. */
bool sm_memory_reset(struct sm_memory *memory, const struct sm_image *image,
                     const struct sm_pagemap *pagemap, uint64_t *resident);

/* Whether sm_memory_reset_known may take its place, provided that no page has become private since
 * the last reset. */
bool sm_memory_may_be_known(const struct sm_memory *memory, const struct sm_image *image);
void sm_memory_reset_known(const struct sm_memory *memory, const struct sm_image *image,
                           size_t page_bytes, uint64_t *resident);
/* Whether the pages of [offset, offset + size) are private since the last reset, or will be dropped
 * by the next one because memory has grown by them. */
bool sm_memory_expects(const struct sm_memory *memory, const struct sm_image *image,
                       uint64_t offset, uint64_t size);

/* Back to an inaccessible slot without pages. False when the machine refuses: what is mapped there
 * is then unknown, and the slot must not be touched again. */
bool sm_memory_unbind(struct sm_memory *memory);

/* Whether `address` lies in the reservation behind the accessible part. For signal handlers too. */
bool sm_memory_guards(const struct sm_memory *memory, uintptr_t address);

enum sm_memory_growth {
    SM_MEMORY_GREW,
    SM_MEMORY_LIMIT,  /* past pages_max: deterministic, the contract sees -1 */
    SM_MEMORY_REFUSED /* by the machine, within the limit: never visible to the contract */
};
enum sm_memory_growth sm_memory_grow(struct sm_memory *memory, uint32_t pages);

#endif
