/* Linear memory: one reservation of address space, made accessible from the front as it grows.
 *
 *     base            base + size          base + pages_max        end of the mapping
 *      |                   |                       |                        |
 *      |  read and write   |   PROT_NONE, may grow |  PROT_NONE, guard      |
 *      |                   |                       |                        |
 *      +---- size ---------+
 *      +---- pages_max × 64 KiB -------------------+---- GUARD_BYTES -------+
 *
 * Pages come zeroed from the kernel and are zeroed until the guest writes them. Growth is one
 * mprotect, so the base never moves and generated code may keep it in a register. Generated code
 * checks every access explicitly; the guard turns an access that escaped a check, or a host
 * function that ran past the end, into a fault instead of a write to a neighbour. */
#include "runtime/exec/memory.h"

#include "base/status.h"
#include "runtime/exec/signals.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define WHERE       "memory"
#define GUARD_BYTES SM_PAGE_BYTES

SM_UNINSTRUMENTED static size_t mapping_bytes(uint32_t pages_max)
{
    return (size_t)(pages_max * SM_PAGE_BYTES + GUARD_BYTES);
}

enum smelt_status sm_memory_init(struct sm_memory *memory, uint32_t pages, uint32_t pages_max,
                                 struct smelt_error *err)
{
    memset(memory, 0, sizeof(*memory));
    if (pages > pages_max || pages_max > SM_PAGES_MAX) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "%u pages that may grow to %u are no memory", pages, pages_max);
    }
    void *base = mmap(NULL, mapping_bytes(pages_max), PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return sm_error_set_errno(err, SMELT_STATUS_NO_MEMORY, errno, WHERE,
                                  "cannot reserve linear memory of %u pages", pages_max);
    }
    memory->base = (uint8_t *)base;
    memory->pages_max = pages_max;
    if (sm_memory_grow(memory, pages) != SM_MEMORY_GREW) {
        int saved = errno;
        sm_memory_deinit(memory);
        return sm_error_set_errno(err, SMELT_STATUS_NO_MEMORY, saved, WHERE,
                                  "cannot give linear memory its %u initial pages", pages);
    }
    return SMELT_STATUS_OK;
}

void sm_memory_deinit(struct sm_memory *memory)
{
    if (memory->base != NULL) {
        (void)munmap(memory->base, mapping_bytes(memory->pages_max));
    }
    memset(memory, 0, sizeof(*memory));
}

SM_UNINSTRUMENTED bool sm_memory_guards(const struct sm_memory *memory, uintptr_t address)
{
    uintptr_t offset = address - (uintptr_t)memory->base;
    return memory->base != NULL && offset >= memory->size &&
           offset < mapping_bytes(memory->pages_max);
}

enum sm_memory_growth sm_memory_grow(struct sm_memory *memory, uint32_t pages)
{
    uint64_t more = pages * SM_PAGE_BYTES; /* below 2^48 */
    if (more > memory->pages_max * SM_PAGE_BYTES - memory->size) {
        return SM_MEMORY_LIMIT;
    }
    if (more != 0 &&
        mprotect(memory->base + memory->size, (size_t)more, PROT_READ | PROT_WRITE) != 0) {
        return SM_MEMORY_REFUSED;
    }
    memory->size += more;
    return SM_MEMORY_GREW;
}
