/* Heap memory with a counter and a fault switch, both atomic: tests use them, nothing else does. */
#include "base/alloc.h"

#include "base/checked.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

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
    void *block = calloc(1, total != 0 ? total : 1);
    if (block != NULL) {
        atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
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
    void *block = realloc(old, total != 0 ? total : 1);
    if (block != NULL && old == NULL) {
        atomic_fetch_add_explicit(&blocks, 1, memory_order_relaxed);
    }
    return block;
}

void sm_free(void *block)
{
    if (block != NULL) {
        atomic_fetch_sub_explicit(&blocks, 1, memory_order_relaxed);
    }
    free(block);
}
