/* Linear memory: a slot of address space, made accessible from the front as it grows.
 *
 *     base                base + size          base + SM_SLOT_BYTES
 *      |                       |                        |
 *      |    read and write     |        PROT_NONE       |   PROT_NONE, guard     |
 *      | zero | data | zero    |                        |                        |
 *      +---- size -------------+                        +- SM_SLOT_GUARD_BYTES --+
 *
 * `data` is the file of the image, mapped copy-on-write, when it has one; everything else is
 * anonymous memory. Growth is one mprotect, so the base never moves and generated code may keep it
 * in a register. Baseline code checks every access explicitly; the rest of the slot turns an
 * access that escaped a check, or a host function that ran past the end, into a fault instead of
 * a write to a neighbour.
 *
 * Reset. What an activation wrote are the private pages of the mapping:
 *
 *     not more than SM_PRIVATE_PAGES_MAX    each is restored in place and stays resident, so that
 *                                           the next activation finds it without a page fault
 *     most of them not written this time    dropped: a contract that once wrote a lot does not pay
 *                                           for it for ever
 *     more, or nobody knows                 dropped: madvise(MADV_DONTNEED) brings back the file's
 *                                           pages and zeroes; copied data is written again
 *     grown                                 what grew is dropped and made inaccessible first */
#include "runtime/exec/memory.h"

#include "base/status.h"
#include "runtime/exec/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define WHERE "memory"

/* Pages that an activation may find resident without having written them, whatever their share. */
#define IDLE_PAGES_MAX 16u

/* ---- binding ------------------------------------------------------------------------------ */

static enum smelt_status refused(struct smelt_error *err, int sys_errno, const char *what)
{
    return sm_error_set_errno(err, SMELT_STATUS_NO_MEMORY, sys_errno, WHERE, "cannot %s", what);
}

void sm_memory_advise(uint8_t *start, size_t size)
{
    (void)madvise(start, size, MADV_NOHUGEPAGE);
    (void)madvise(start, size, MADV_UNMERGEABLE);
}

enum smelt_status sm_memory_bind(struct sm_memory *memory, uint8_t *base,
                                 const struct sm_image *image, uint32_t pages_max,
                                 struct smelt_error *err)
{
    *memory = (struct sm_memory){.base = base, .size = image->size, .pages_max = pages_max};
    if (image->fd >= 0) {
        /* inaccessible at first: a mapping that is not writable is never refused for its size,
         * which would leave a hole in the slot */
        if (mmap(base + image->data_start, image->data_end - image->data_start, PROT_NONE,
                 MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, image->fd, 0) == MAP_FAILED) {
            return refused(err, errno, "map the initial data of linear memory");
        }
        memory->file_start = image->data_start;
        memory->file_end = image->data_end;
        sm_memory_advise(base + image->data_start, image->data_end - image->data_start);
    }
    if (memory->size != 0 && mprotect(base, memory->size, PROT_READ | PROT_WRITE) != 0) {
        return refused(err, errno, "give linear memory its initial pages");
    }
    sm_image_copy_data(image, base);
    return SMELT_STATUS_OK;
}

/* Pages that the process has locked (mlockall) ask for more than MADV_DONTNEED: Linux 5.18. */
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

static bool drop(uint8_t *base, size_t size)
{
    return madvise(base, size, MADV_DONTNEED) == 0 ||
           madvise(base, size, MADV_DONTNEED_LOCKED) == 0;
}

/* Drops the pages of [base, base + size) and makes them inaccessible. */
static bool clear(uint8_t *base, size_t size)
{
    return drop(base, size) && mprotect(base, size, PROT_NONE) == 0;
}

/* Anonymous memory in place of the file: exactly its range, so that no mapping has to be split. */
static bool unmap_file(const struct sm_memory *memory)
{
    uint8_t *start = memory->base + memory->file_start;
    size_t size = memory->file_end - memory->file_start;
    if (mmap(start, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1,
             0) == MAP_FAILED) {
        return false;
    }
    sm_memory_advise(start, size); /* as the rest of the slot: the kernel joins the two */
    return true;
}

bool sm_memory_unbind(struct sm_memory *memory)
{
    bool is_done = (memory->size == 0 || clear(memory->base, memory->size)) &&
                   (memory->file_end == 0 || unmap_file(memory));
    memset(memory, 0, sizeof(*memory));
    return is_done;
}

/* ---- reset -------------------------------------------------------------------------------- */

static bool is_zero(const uint8_t *page, size_t size)
{
    return page[0] == 0 && memcmp(page, page + 1, size - 1) == 0;
}

/* The initial content of the page at `offset`; NULL: zeroes. */
static const uint8_t *initial_page(uint64_t offset, const struct sm_image *image)
{
    bool is_data = offset >= image->data_start && offset < image->data_end;
    return is_data ? image->data + (offset - image->data_start) : NULL;
}

static void write_initial(uint8_t *page, uint64_t offset, size_t page_bytes,
                          const struct sm_image *image)
{
    const uint8_t *initial = initial_page(offset, image);
    if (initial != NULL) {
        memcpy(page, initial, page_bytes);
    } else {
        memset(page, 0, page_bytes);
    }
}

/* Returns whether the page differed from its initial content. */
static bool restore_page(uint8_t *page, uint64_t offset, size_t page_bytes,
                         const struct sm_image *image)
{
    const uint8_t *initial = initial_page(offset, image);
    bool is_same =
        initial != NULL ? memcmp(page, initial, page_bytes) == 0 : is_zero(page, page_bytes);
    if (!is_same) {
        write_initial(page, offset, page_bytes, image);
    }
    return !is_same;
}

/* Remembers the private pages, when they are few. */
static void know(struct sm_memory *memory, const struct sm_page_run *runs, size_t count,
                 uint64_t bytes)
{
    memory->is_known = count <= SM_KNOWN_RUNS_MAX && bytes <= SM_KNOWN_BYTES_MAX;
    if (memory->is_known) {
        memcpy(memory->known, runs, count * sizeof(runs[0]));
        memory->known_count = count;
        memory->known_bytes = bytes;
    }
}

/* Restores the private pages in place; false when they should be dropped instead. */
static bool restore(struct sm_memory *memory, const struct sm_image *image,
                    const struct sm_pagemap *pagemap, uint64_t *resident)
{
    struct sm_page_run runs[SM_PRIVATE_PAGES_MAX];
    size_t count = 0;
    size_t written = 0;
    size_t page_bytes = pagemap->page_bytes;
    if (!sm_pagemap_find(pagemap, memory->base, image->size, runs, &count)) {
        return false;
    }
    *resident = 0;
    for (size_t i = 0; i < count; i++) {
        for (uintptr_t page = runs[i].start; page < runs[i].end; page += page_bytes) {
            uint64_t offset = page - (uintptr_t)memory->base;
            written += restore_page(memory->base + offset, offset, page_bytes, image) ? 1 : 0;
        }
        *resident += runs[i].end - runs[i].start;
    }
    size_t idle = *resident / page_bytes - written;
    if (idle > IDLE_PAGES_MAX && idle > written) {
        return false;
    }
    know(memory, runs, count, *resident);
    return true;
}

bool sm_memory_reset(struct sm_memory *memory, const struct sm_image *image,
                     const struct sm_pagemap *pagemap, uint64_t *resident)
{
    *resident = 0;
    memory->is_known = false;
    if (memory->size > image->size) {
        if (!clear(memory->base + image->size, memory->size - image->size)) {
            return false;
        }
        memory->size = image->size;
    }
    if (memory->size == 0 || restore(memory, image, pagemap, resident)) {
        return true;
    }
    if (!drop(memory->base, memory->size)) {
        return false;
    }
    sm_image_copy_data(image, memory->base);
    *resident = image->fd < 0 ? image->data_end - image->data_start : 0;
    return true;
}

bool sm_memory_may_be_known(const struct sm_memory *memory, const struct sm_image *image)
{
    return memory->is_known && memory->size == image->size;
}

void sm_memory_reset_known(const struct sm_memory *memory, const struct sm_image *image,
                           size_t page_bytes, uint64_t *resident)
{
    for (size_t i = 0; i < memory->known_count; i++) {
        for (uintptr_t page = memory->known[i].start; page < memory->known[i].end;
             page += page_bytes) {
            uint64_t offset = page - (uintptr_t)memory->base;
            write_initial(memory->base + offset, offset, page_bytes, image);
        }
    }
    *resident = memory->known_bytes;
}

bool sm_memory_expects(const struct sm_memory *memory, const struct sm_image *image,
                       uint64_t offset, uint64_t size)
{
    uintptr_t start = (uintptr_t)memory->base + offset;
    for (size_t i = 0; i < memory->known_count; i++) {
        if (start >= memory->known[i].start && start + size <= memory->known[i].end) {
            return true;
        }
    }
    return size == 0 || offset >= image->size;
}

/* ---- growth ------------------------------------------------------------------------------- */

SM_UNINSTRUMENTED bool sm_memory_guards(const struct sm_memory *memory, uintptr_t address)
{
    uintptr_t offset = address - (uintptr_t)memory->base;
    return memory->base != NULL && offset >= memory->size &&
           offset < SM_SLOT_BYTES + SM_SLOT_GUARD_BYTES;
}

enum sm_memory_growth sm_memory_grow(struct sm_memory *memory, uint32_t pages)
{
    uint64_t more = pages * SM_PAGE_BYTES; /* below 2^48 */
    if (more > memory->pages_max * SM_PAGE_BYTES - memory->size) {
        return SM_MEMORY_LIMIT;
    }
    if (more == 0) { /* as it must be where there is no memory */
        return SM_MEMORY_GREW;
    }
    uint8_t *end = memory->base + memory->size;
    if (mprotect(end, (size_t)more, PROT_READ | PROT_WRITE) != 0) {
        (void)mprotect(end, (size_t)more, PROT_NONE); /* the kernel may have done a part of it */
        return SM_MEMORY_REFUSED;
    }
    memory->size += more;
    return SM_MEMORY_GREW;
}
