/* One mmap for many slots: the kernel's tables and this process's count of mappings see a few
 * large reservations. Where so much address space is not to be had (RLIMIT_AS, sanitizers), chunks
 * of one slot are tried. */
#include "runtime/exec/slots.h"

#include "base/alloc.h"
#include "base/status.h"
#include "runtime/exec/memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define WHERE       "memory"
#define CHUNK_SLOTS 16u
#define STRIDE      (SM_SLOT_BYTES + SM_SLOT_GUARD_BYTES)

struct sm_slot_chunk {
    struct sm_slot_chunk *next;
    uint8_t *mapping;
    size_t size;
    bool is_abandoned;
    struct sm_slot slots[];
};

static enum smelt_status reserve(struct sm_slots *slots, size_t count, struct smelt_error *err)
{
    /* a huge page more than is needed, to align the first slot */
    size_t size = count * STRIDE + 2 * SM_SLOT_GUARD_BYTES;
    struct sm_slot_chunk *chunk =
        (struct sm_slot_chunk *)sm_calloc(1, sizeof(*chunk) + count * sizeof(chunk->slots[0]));
    if (chunk == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    void *mapping = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        int saved = errno;
        sm_free(chunk);
        return sm_error_set_errno(err, SMELT_STATUS_NO_MEMORY, saved, WHERE,
                                  "cannot reserve %zu GiB of address space for linear memory; "
                                  "is RLIMIT_AS set?",
                                  size >> 30);
    }
    sm_memory_advise((uint8_t *)mapping, size);
    chunk->mapping = (uint8_t *)mapping;
    chunk->size = size;
    uint8_t *first =
        chunk->mapping + 2 * SM_SLOT_GUARD_BYTES - (uintptr_t)chunk->mapping % SM_SLOT_GUARD_BYTES;
    for (size_t i = count; i > 0; i--) {
        struct sm_slot *slot = &chunk->slots[i - 1];
        slot->base = first + (i - 1) * STRIDE;
        slot->chunk = chunk;
        slot->next = slots->unused;
        slots->unused = slot;
    }
    chunk->next = slots->chunks;
    slots->chunks = chunk;
    slots->count += count;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_slots_take(struct sm_slots *slots, struct sm_slot **out,
                                struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    *out = NULL;
    if (slots->unused == NULL) {
        status = reserve(slots, CHUNK_SLOTS, err);
    }
    if (status != SMELT_STATUS_OK) {
        status = reserve(slots, 1, err);
    }
    if (status == SMELT_STATUS_OK) {
        *out = slots->unused;
        slots->unused = slots->unused->next;
    }
    return status;
}

void sm_slots_give(struct sm_slots *slots, struct sm_slot *slot)
{
    slot->next = slots->unused;
    slots->unused = slot;
}

void sm_slots_abandon(struct sm_slot *slot)
{
    slot->chunk->is_abandoned = true;
}

void sm_slots_deinit(struct sm_slots *slots)
{
    while (slots->chunks != NULL) {
        struct sm_slot_chunk *chunk = slots->chunks;
        slots->chunks = chunk->next;
        if (!chunk->is_abandoned) {
            (void)munmap(chunk->mapping, chunk->size);
        }
        sm_free(chunk);
    }
    memset(slots, 0, sizeof(*slots));
}
