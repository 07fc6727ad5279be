/* Address space for linear memories, reserved in chunks and cut into slots. Nothing here locks.
 *
 *     chunk
 *     |  guard  |  slot 0  |  guard  |  slot 1  |  guard  | …
 *               base                 base
 *
 * A slot that is not in use is inaccessible and has no pages. */
#ifndef SM_EXEC_SLOTS_H
#define SM_EXEC_SLOTS_H

#include <smelt/status.h>

#include <stddef.h>
#include <stdint.h>

struct sm_slot_chunk;

struct sm_slot {
    uint8_t *base; /* SM_SLOT_BYTES, and guards around them */
    struct sm_slot *next;
    struct sm_slot_chunk *chunk;
};

/* Zero-initialise. */
struct sm_slots {
    struct sm_slot_chunk *chunks;
    struct sm_slot *unused;
    size_t count; /* used and unused */
};

/* An unused slot, reserving more address space when there is none. NO_MEMORY. */
enum smelt_status sm_slots_take(struct sm_slots *slots, struct sm_slot **out,
                                struct smelt_error *err);
void sm_slots_give(struct sm_slots *slots, struct sm_slot *slot);
/* For a slot of unknown content: it is never used again, and its chunk never unmapped, because the
 * kernel may have given some of it to others. */
void sm_slots_abandon(struct sm_slot *slot);
void sm_slots_deinit(struct sm_slots *slots);

#endif
