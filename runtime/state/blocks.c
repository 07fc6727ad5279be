/* Chunks that double in size, a list of free blocks per size, and a list of the large blocks. */
#include "runtime/state/blocks.h"

#include "base/alloc.h"
#include "base/checked.h"

#include <stdalign.h>
#include <stdbool.h>
#include <string.h>

/* Of a chunk's data. */
#define CHUNK_BYTES_FIRST ((size_t)8 * 1024)
#define CHUNK_BYTES_MAX   ((size_t)64 * 1024)
/* What a reset keeps: a few hundred keys. */
#define KEPT_BYTES ((size_t)128 * 1024)

struct sm_blocks_chunk {
    struct sm_blocks_chunk *next;
    size_t size;
    alignas(max_align_t) uint8_t data[];
};

struct sm_blocks_large {
    struct sm_blocks_large *next;
    struct sm_blocks_large *previous;
    alignas(max_align_t) uint8_t data[];
};

static void cut_from(struct sm_blocks *blocks, struct sm_blocks_chunk *chunk)
{
    blocks->current = chunk;
    blocks->next = chunk != NULL ? chunk->data : NULL;
    blocks->left = chunk != NULL ? chunk->size : 0;
}

static bool next_chunk(struct sm_blocks *blocks)
{
    struct sm_blocks_chunk *last = blocks->current;
    if (last != NULL && last->next != NULL) {
        cut_from(blocks, last->next);
        return true;
    }
    size_t size = CHUNK_BYTES_FIRST;
    if (last != NULL) {
        size = last->size < CHUNK_BYTES_MAX ? 2 * last->size : CHUNK_BYTES_MAX;
    }
    struct sm_blocks_chunk *chunk = (struct sm_blocks_chunk *)sm_alloc(sizeof(*chunk) + size);
    if (chunk == NULL) {
        return false;
    }
    chunk->next = NULL;
    chunk->size = size;
    if (last != NULL) {
        last->next = chunk;
    } else {
        blocks->first = chunk;
    }
    cut_from(blocks, chunk);
    return true;
}

static void *alloc_large(struct sm_blocks *blocks, size_t size)
{
    size_t total;
    if (!sm_add_size(sizeof(struct sm_blocks_large), size, &total)) {
        return NULL;
    }
    struct sm_blocks_large *large = (struct sm_blocks_large *)sm_alloc(total);
    if (large == NULL) {
        return NULL;
    }
    large->previous = NULL;
    large->next = blocks->large;
    if (blocks->large != NULL) {
        blocks->large->previous = large;
    }
    blocks->large = large;
    return large->data;
}

static void free_large(struct sm_blocks *blocks, uint8_t *data)
{
    struct sm_blocks_large *large =
        (struct sm_blocks_large *)(void *)(data - offsetof(struct sm_blocks_large, data));
    if (large->previous != NULL) {
        large->previous->next = large->next;
    } else {
        blocks->large = large->next;
    }
    if (large->next != NULL) {
        large->next->previous = large->previous;
    }
    sm_free(large);
}

static size_t class_of(size_t size)
{
    return (size - 1) / SM_BLOCKS_STEP;
}

void *sm_blocks_alloc(struct sm_blocks *blocks, size_t size)
{
    if (size > SM_BLOCKS_SMALL) {
        return alloc_large(blocks, size);
    }
    struct sm_blocks_free **list = &blocks->free[class_of(size)];
    if (*list != NULL) {
        struct sm_blocks_free *block = *list;
        *list = block->next;
        return block;
    }
    size_t room = sm_blocks_room(size);
    if (blocks->left < room && !next_chunk(blocks)) {
        return NULL;
    }
    void *block = blocks->next;
    blocks->next += room;
    blocks->left -= room;
    return block;
}

void sm_blocks_free(struct sm_blocks *blocks, void *block, size_t size)
{
    if (size > SM_BLOCKS_SMALL) {
        free_large(blocks, (uint8_t *)block);
        return;
    }
    struct sm_blocks_free **list = &blocks->free[class_of(size)];
    struct sm_blocks_free *free_block = (struct sm_blocks_free *)block;
    free_block->next = *list;
    *list = free_block;
}

static void free_chunks(struct sm_blocks_chunk *chunk)
{
    while (chunk != NULL) {
        struct sm_blocks_chunk *next = chunk->next;
        sm_free(chunk);
        chunk = next;
    }
}

void sm_blocks_reset(struct sm_blocks *blocks)
{
    while (blocks->large != NULL) {
        struct sm_blocks_large *next = blocks->large->next;
        sm_free(blocks->large);
        blocks->large = next;
    }
    size_t kept = 0;
    for (struct sm_blocks_chunk *chunk = blocks->first; chunk != NULL; chunk = chunk->next) {
        kept += chunk->size;
        if (chunk->next != NULL && kept + chunk->next->size > KEPT_BYTES) {
            free_chunks(chunk->next);
            chunk->next = NULL;
        }
    }
    memset(blocks->free, 0, sizeof(blocks->free));
    cut_from(blocks, blocks->first);
}

void sm_blocks_deinit(struct sm_blocks *blocks)
{
    sm_blocks_reset(blocks);
    free_chunks(blocks->first);
    *blocks = (struct sm_blocks){0};
}
