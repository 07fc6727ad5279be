/* Memory with one lifetime: a compilation allocates freely and one line frees. */
#ifndef SM_BASE_ARENA_H
#define SM_BASE_ARENA_H

#include <stddef.h>

struct sm_arena_chunk;

/* Zero-initialise. */
struct sm_arena {
    struct sm_arena_chunk *head;
};

/* Zeroed memory, aligned for any object; NULL when memory is short or count × size overflows. */
void *sm_arena_calloc(struct sm_arena *arena, size_t count, size_t size);
/* Grows an array of the arena: a bigger copy, the old one stays until deinit. */
void *sm_arena_grow(struct sm_arena *arena, const void *old, size_t old_count, size_t count,
                    size_t size);
void sm_arena_deinit(struct sm_arena *arena);

#endif
