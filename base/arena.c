/* A list of chunks; each request is bumped from the newest one that has room. */
#include "base/arena.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <stdalign.h>
#include <string.h>

/* Of a chunk's data: the first is small, for an arena that holds little, the others double. */
#define CHUNK_BYTES_FIRST ((size_t)960)
#define CHUNK_BYTES_MAX   ((size_t)64 * 1024)

struct sm_arena_chunk {
    struct sm_arena_chunk *next;
    size_t used; /* bytes of `data` */
    size_t size;
    alignas(max_align_t) unsigned char data[];
};

static size_t next_size(const struct sm_arena *arena)
{
    if (arena->head == NULL) {
        return CHUNK_BYTES_FIRST;
    }
    return arena->head->size < CHUNK_BYTES_MAX / 2 ? 2 * arena->head->size : CHUNK_BYTES_MAX;
}

void *sm_arena_calloc(struct sm_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (!sm_mul_size(count, size, &total) ||
        !sm_add_size(total, alignof(max_align_t) - 1, &total)) {
        return NULL;
    }
    total &= ~(alignof(max_align_t) - 1);
    struct sm_arena_chunk *chunk = arena->head;
    if (chunk == NULL || chunk->size - chunk->used < total) {
        size_t data_size = next_size(arena);
        data_size = total > data_size ? total : data_size;
        size_t chunk_size;
        if (!sm_add_size(sizeof(*chunk), data_size, &chunk_size)) {
            return NULL;
        }
        chunk = (struct sm_arena_chunk *)sm_alloc(chunk_size);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->next = arena->head;
        chunk->used = 0;
        chunk->size = data_size;
        arena->head = chunk;
    }
    void *block = chunk->data + chunk->used;
    chunk->used += total;
    memset(block, 0, total);
    return block;
}

void *sm_arena_grow(struct sm_arena *arena, const void *old, size_t old_count, size_t count,
                    size_t size)
{
    void *block = sm_arena_calloc(arena, count, size);
    if (block != NULL && old_count != 0) {
        memcpy(block, old, old_count * size);
    }
    return block;
}

void sm_arena_deinit(struct sm_arena *arena)
{
    struct sm_arena_chunk *chunk = arena->head;
    while (chunk != NULL) {
        struct sm_arena_chunk *next = chunk->next;
        sm_free(chunk);
        chunk = next;
    }
    arena->head = NULL;
}
