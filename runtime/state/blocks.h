/* Memory of one overlay: many small blocks with one end, and a few large ones.
 *
 *     small   cut from chunks, and reused by their size once they are freed
 *     large   from the allocator, and given back to it at once
 *
 * A key that is rewritten with ever longer values leaves one small block of each size behind at
 * most, so what is in use bounds what is taken. */
#ifndef SM_STATE_BLOCKS_H
#define SM_STATE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

#define SM_BLOCKS_STEP    ((size_t)32)  /* sizes of small blocks are multiples of it */
#define SM_BLOCKS_SMALL   ((size_t)256) /* the largest small block */
#define SM_BLOCKS_CLASSES (SM_BLOCKS_SMALL / SM_BLOCKS_STEP)

struct sm_blocks_chunk;
struct sm_blocks_large;
struct sm_blocks_free {
    struct sm_blocks_free *next;
};

/* Zero-initialise. */
struct sm_blocks {
    uint8_t *next; /* what is left of the chunk that is cut from */
    size_t left;
    struct sm_blocks_free *free[SM_BLOCKS_CLASSES];
    struct sm_blocks_chunk *first; /* in order of use */
    struct sm_blocks_chunk *current;
    struct sm_blocks_large *large;
};

/* What a block of `size` bytes, which is not 0, has room for. */
static inline size_t sm_blocks_room(size_t size)
{
    return size <= SM_BLOCKS_SMALL ? (size + SM_BLOCKS_STEP - 1) & ~(SM_BLOCKS_STEP - 1) : size;
}

/* Not zeroed, aligned for any object; NULL when memory is short. */
void *sm_blocks_alloc(struct sm_blocks *blocks, size_t size);
/* `size` as it was asked for, or the room that it had. */
void sm_blocks_free(struct sm_blocks *blocks, void *block, size_t size);
/* Ends all blocks, and keeps a bounded amount of memory for the next ones. */
void sm_blocks_reset(struct sm_blocks *blocks);
void sm_blocks_deinit(struct sm_blocks *blocks);

#endif
