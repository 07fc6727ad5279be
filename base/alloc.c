/* Heap memory with a counter and a fault switch for tests, both atomic, and an allocator that an
 * embedder may replace. */
#include "base/alloc.h"

#include "base/checked.h"
#include "base/status.h"

#include <smelt/alloc.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Written while no block is in use, so by nobody else's leave. */
static struct smelt_allocator own; /* no functions: the C library's */

static atomic_size_t blocks;
static atomic_size_t fail_countdown;

static bool should_fail(void)
{
    size_t left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);
    if (left == 0) {
        return false;
    }
    if (left > 1) {
        atomic_store_explicit(&fail_countdown, left - 1, memory_order_relaxed);
        return false;
    }
    return true;
}

void sm_alloc_fail_at(size_t nth)
{
    atomic_store(&fail_countdown, nth);
}

size_t sm_alloc_blocks(void)
{
    return atomic_load(&blocks);
}

void *sm_calloc(size_t count, size_t size)
{
    size_t total;
    if (!sm_mul_size(count, size, &total) || should_fail()) {
        return NULL;
    }
    total = total != 0 ? total : 1;
    /* the C library knows which pages are zeroed already */
    void *block =
        own.reallocate != NULL ? own.reallocate(own.context, NULL, total) : calloc(1, total);
    if (block != NULL) {
        atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
        if (own.reallocate != NULL) {
            memset(block, 0, total);
        }
    }
    return block;
}

void *sm_alloc(size_t size)
{
    return sm_realloc_array(NULL, size, 1);
}

void *sm_realloc_array(void *old, size_t count, size_t size)
{
    size_t total;
    if (!sm_mul_size(count, size, &total) || should_fail()) {
        return NULL;
    }
    total = total != 0 ? total : 1;
    void *block =
        own.reallocate != NULL ? own.reallocate(own.context, old, total) : realloc(old, total);
    if (block != NULL && old == NULL) {
        atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
    }
    return block;
}

void sm_free(void *block)
{
    if (block == NULL) {
        return;
    }
    atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
    if (own.deallocate != NULL) {
        own.deallocate(own.context, block);
    } else {
        free(block);
    }
}

enum smelt_status smelt_set_allocator(const struct smelt_allocator *allocator,
                                      struct smelt_error *err)
{
    if (allocator != NULL && (allocator->reallocate == NULL || allocator->deallocate == NULL)) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, "alloc",
                            "an allocator needs both functions");
    }
    if (sm_alloc_blocks() != 0) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, "alloc",
                            "%zu blocks are in use: set the allocator before anything else",
                            sm_alloc_blocks());
    }
    own = allocator != NULL ? *allocator : (struct smelt_allocator){0};
    return SMELT_STATUS_OK;
}
