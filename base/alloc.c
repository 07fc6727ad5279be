/* Heap memory with a counter and a fault switch for tests, both atomic, and an allocator that an
 * embedder may replace.
 *
 * The counter is the sum of several, each on a cache line of its own: a line that all threads write
 * to would cost them more than the allocation. The first threads have one each, and need no atomic
 * addition; later ones share. A block may be freed by another thread than the one that allocated
 * it, so only the sum, modulo 2^64, means anything. */
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

#define CACHE_LINE_BYTES 64
#define COUNTERS_OWN     64u
#define COUNTERS         128u /* those behind the first are shared */

static struct counter {
    _Alignas(CACHE_LINE_BYTES) atomic_size_t blocks;
} counters[COUNTERS];
static atomic_size_t fail_countdown;

static atomic_uint_least64_t threads;
static _Thread_local struct counter *own_counter __attribute__((tls_model("initial-exec")));

static struct counter *pick_counter(void)
{
    uint64_t number = atomic_fetch_add(&threads, 1);
    return &counters[number < COUNTERS_OWN ? number
                                           : COUNTERS_OWN + number % (COUNTERS - COUNTERS_OWN)];
}

/* `change` is added modulo 2^64. */
static void count_blocks(size_t change)
{
    if (own_counter == NULL) {
        own_counter = pick_counter();
    }
    if (own_counter >= &counters[COUNTERS_OWN]) {
        atomic_fetch_add_explicit(&own_counter->blocks, change, memory_order_relaxed);
    } else {
        size_t count = atomic_load_explicit(&own_counter->blocks, memory_order_relaxed);
        atomic_store_explicit(&own_counter->blocks, count + change, memory_order_relaxed);
    }
}

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
    size_t sum = 0;
    for (size_t i = 0; i < COUNTERS; i++) {
        sum += atomic_load(&counters[i].blocks);
    }
    return sum;
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
        count_blocks(1);
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
        count_blocks(1);
    }
    return block;
}

void sm_free(void *block)
{
    if (block == NULL) {
        return;
    }
    count_blocks(SIZE_MAX);
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
