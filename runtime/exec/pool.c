/* The pool. States of an activation, and who moves it:
 *
 *     (none) --sm_pool_take: bind--> in use --sm_pool_give: reset--> idle
 *                                      ^                              |  |
 *                                      +-----------sm_pool_take-------+  |
 *     (none) <----------------------------------dissolve-----------------+
 *
 * Idle activations are in two rings at once: their module's, from which it takes the one used last
 * (whose pages are warm), and the pool's, at whose far end are the victims when idle ones keep more
 * of the machine's memory than allowed, or when a slot is needed and no address space left. Whoever
 * takes one out of the rings owns it; the work on it needs no lock.
 *
 * An idle activation does not refer to its module. The last release of the module destroys its
 * home, which dissolves what is in the ring; a victim on its way out needs neither. */
#include "runtime/exec/pool.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"

#include <smelt/host.h>

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

#define WHERE "pool"

/* Page tables of a linear memory: the kernel's cost of a slot that has been written to. */
#define PAGE_TABLE_BYTES UINT64_C(8192)

/* Idle stacks, by size: class k has 2^(k + 16) bytes, and at most so many of them. */
#define STACK_SHIFT     16u
#define STACK_CLASSES   18u
#define STACKS_IDLE_MAX 256u
static_assert(2 * SM_STACK_BYTES_MAX == UINT64_C(1) << (STACK_SHIFT + STACK_CLASSES - 1),
              "the largest stack is of the last class");

/* At most this share of the descriptors that the process may open holds images. */
#define FILES_SHARE 8u

/* Each open invocation may have a host function above it. The sanitizer's redzones make frames of
 * host functions several times as large. */
static const uint64_t host_stack_bytes =
    (uint64_t)SMELT_HOST_STACK_BYTES * SM_NESTING_MAX * (SM_HAS_ASAN ? 4 : 1);

/* At the top of an idle stack, in the stack itself. */
struct idle_stack {
    struct idle_stack *next;
    struct sm_stack stack;
};

struct sm_exec_pool {
    uint32_t instances_max;
    uint64_t idle_bytes_max;
    size_t files_max;
    struct sm_pagemap pagemap;
    bool counts;         /* page faults, before it asks for pages */
    atomic_size_t files; /* images that hold a descriptor */
    atomic_size_t homes;

    pthread_mutex_t mutex; /* guards what follows, and the rings of all homes */
    uint32_t in_use;
    uint64_t made;
    uint64_t asked;
    struct sm_ring idle; /* used last first */
    uint64_t idle_bytes;
    struct sm_slots slots;
    struct idle_stack *stacks[STACK_CLASSES];
    uint32_t stack_counts[STACK_CLASSES];
};

struct sm_home {
    struct sm_exec_pool *pool;
    struct sm_ring idle; /* used last first */
    uint32_t stack_class;
    struct sm_image image;
};

/* ---- rings -------------------------------------------------------------------------------- */

#define ACTIVATION_OF(ring, member)                                                                \
    ((struct sm_activation *)(void *)((uint8_t *)(ring) - offsetof(struct sm_activation, member)))

static void ring_init(struct sm_ring *ring)
{
    ring->next = ring;
    ring->previous = ring;
}

static bool ring_is_empty(const struct sm_ring *ring)
{
    return ring->next == ring;
}

static void ring_push(struct sm_ring *ring, struct sm_ring *entry)
{
    entry->next = ring->next;
    entry->previous = ring;
    entry->next->previous = entry;
    ring->next = entry;
}

static void ring_remove(const struct sm_ring *entry)
{
    entry->previous->next = entry->next;
    entry->next->previous = entry->previous;
}

/* ---- idle activations, under the lock ----------------------------------------------------- */

static void push_idle(struct sm_exec_pool *pool, struct sm_activation *activation)
{
    ring_push(&activation->home->idle, &activation->in_home);
    ring_push(&pool->idle, &activation->in_pool);
    pool->idle_bytes += activation->idle_bytes;
}

static struct sm_activation *remove_idle(struct sm_exec_pool *pool,
                                         struct sm_activation *activation)
{
    ring_remove(&activation->in_home);
    ring_remove(&activation->in_pool);
    pool->idle_bytes -= activation->idle_bytes;
    return activation;
}

static struct sm_activation *pop_warmest(struct sm_home *home)
{
    return ring_is_empty(&home->idle)
               ? NULL
               : remove_idle(home->pool, ACTIVATION_OF(home->idle.next, in_home));
}

static struct sm_activation *pop_victim(struct sm_exec_pool *pool)
{
    return ring_is_empty(&pool->idle)
               ? NULL
               : remove_idle(pool, ACTIVATION_OF(pool->idle.previous, in_pool));
}

/* A victim while idle activations keep too much. */
static struct sm_activation *pop_excess(struct sm_exec_pool *pool)
{
    return pool->idle_bytes > pool->idle_bytes_max ? pop_victim(pool) : NULL;
}

/* ---- making and dissolving, outside of it ------------------------------------------------- */

static void dissolve(struct sm_exec_pool *pool, struct sm_activation *activation)
{
    if (activation->slot != NULL) {
        bool is_clear = sm_memory_unbind(&activation->memory);
        (void)pthread_mutex_lock(&pool->mutex);
        if (is_clear) {
            sm_slots_give(&pool->slots, activation->slot);
        } else {
            sm_slots_abandon(activation->slot);
        }
        (void)pthread_mutex_unlock(&pool->mutex);
    }
    sm_free(activation);
}

/* An unused slot, or the slot of the idle activation not used for longest when there are as many as
 * activations may be in use, or new address space. There may be neither of the first two: another
 * thread is about to give one back, or it had to abandon one. */
static enum smelt_status take_slot(struct sm_exec_pool *pool, struct sm_slot **out,
                                   struct smelt_error *err)
{
    for (;;) {
        struct sm_activation *victim = NULL;
        enum smelt_status status = SMELT_STATUS_OK;
        *out = NULL;
        (void)pthread_mutex_lock(&pool->mutex);
        if (pool->slots.unused == NULL && pool->slots.count >= pool->instances_max) {
            victim = pop_victim(pool);
        }
        if (victim == NULL) {
            status = sm_slots_take(&pool->slots, out, err);
        }
        if (status != SMELT_STATUS_OK) {
            victim = pop_victim(pool);
        }
        (void)pthread_mutex_unlock(&pool->mutex);
        if (victim == NULL) {
            return status;
        }
        dissolve(pool, victim);
    }
}

static size_t header_size(void)
{
    size_t align = _Alignof(max_align_t);
    return (sizeof(struct sm_activation) + align - 1) / align * align;
}

static enum smelt_status make(struct sm_home *home, struct sm_activation **out,
                              struct smelt_error *err)
{
    const struct sm_image *image = &home->image;
    size_t size;
    *out = NULL;
    struct sm_activation *activation = sm_add_size(header_size(), image->block_size, &size)
                                           ? (struct sm_activation *)sm_calloc(1, size)
                                           : (struct sm_activation *)NULL;
    if (activation == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    activation->home = home;
    activation->instance = (struct sm_instance *)(void *)((uint8_t *)activation + header_size());
    if (image->descriptor->has_memory != 0) {
        enum smelt_status status = take_slot(home->pool, &activation->slot, err);
        if (status == SMELT_STATUS_OK) {
            status = sm_memory_bind(&activation->memory, activation->slot->base, image,
                                    image->descriptor->memory_max, err);
        }
        if (status != SMELT_STATUS_OK) {
            dissolve(home->pool, activation);
            return status;
        }
    }
    *out = activation;
    return SMELT_STATUS_OK;
}

/* ---- guest stacks ------------------------------------------------------------------------- */

/* STACK_CLASSES: larger than all. */
static uint32_t stack_class(uint64_t bytes)
{
    uint32_t class = 0;
    while (class < STACK_CLASSES && (UINT64_C(1) << (class + STACK_SHIFT)) < bytes) {
        class ++;
    }
    return class;
}

enum smelt_status sm_pool_stack_take(struct sm_activation *activation)
{
    struct sm_exec_pool *pool = activation->home->pool;
    uint32_t class = activation->home->stack_class;
    struct idle_stack *idle;
    (void)pthread_mutex_lock(&pool->mutex);
    idle = pool->stacks[class];
    if (idle != NULL) {
        pool->stacks[class] = idle->next;
        pool->stack_counts[class]--;
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    if (idle != NULL) {
        activation->stack = idle->stack;
        return SMELT_STATUS_OK;
    }
    return sm_stack_init(&activation->stack, UINT64_C(1) << (class + STACK_SHIFT), NULL);
}

/* Takes the stack away from the activation, with the lock held. What it returns is one too many. */
static struct sm_stack push_stack(struct sm_exec_pool *pool, struct sm_activation *activation)
{
    struct sm_stack stack = activation->stack;
    uint32_t class = activation->home->stack_class;
    activation->stack = (struct sm_stack){0};
    if (stack.bottom == NULL || pool->stack_counts[class] == STACKS_IDLE_MAX) {
        return stack;
    }
    struct idle_stack *idle =
        (struct idle_stack *)(void *)(stack.bottom + stack.size - sizeof(struct idle_stack));
    *idle = (struct idle_stack){.next = pool->stacks[class], .stack = stack};
    pool->stacks[class] = idle;
    pool->stack_counts[class]++;
    return (struct sm_stack){0};
}

/* ---- activations -------------------------------------------------------------------------- */

enum smelt_status sm_pool_take(struct sm_home *home, struct sm_activation **out,
                               struct smelt_error *err)
{
    struct sm_exec_pool *pool = home->pool;
    enum smelt_status status = SMELT_STATUS_OK;
    *out = NULL;
    (void)pthread_mutex_lock(&pool->mutex);
    bool is_full = pool->in_use == pool->instances_max;
    if (!is_full) {
        pool->in_use++;
        *out = pop_warmest(home);
        pool->made += *out == NULL;
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    if (is_full) {
        return sm_error_set(err, SMELT_STATUS_INSTANCE_LIMIT, WHERE,
                            "all %u instances are in use: make fewer calls at a time",
                            pool->instances_max);
    }
    if (*out == NULL) {
        status = make(home, out, err);
    }
    if (status != SMELT_STATUS_OK) {
        (void)pthread_mutex_lock(&pool->mutex);
        pool->in_use--;
        (void)pthread_mutex_unlock(&pool->mutex);
        return status;
    }
    sm_image_fill(&home->image, (uint8_t *)(*out)->instance);
    return SMELT_STATUS_OK;
}

/* Whether it could be reset: false when the machine refuses. */
static bool reset(struct sm_activation *activation, uint64_t *resident, bool *has_asked)
{
    const struct sm_exec_pool *pool = activation->home->pool;
    const struct sm_image *image = &activation->home->image;
    struct sm_memory *memory = &activation->memory;
    if (pool->counts && sm_memory_may_be_known(memory, image) &&
        sm_pagemap_is_ours(&pool->pagemap) && sm_residence_holds(&activation->residence)) {
        sm_memory_reset_known(memory, image, pool->pagemap.page_bytes, resident);
        return true;
    }
    *has_asked = true;
    return sm_memory_reset(memory, image, &pool->pagemap, resident);
}

void sm_pool_give(struct sm_activation *activation)
{
    struct sm_home *home = activation->home;
    struct sm_exec_pool *pool = home->pool;
    uint64_t resident = 0;
    bool has_asked = false;
    /* a large block is zero only when it is new */
    bool is_kept = home->image.block != NULL;
    if (is_kept && activation->slot != NULL) {
        is_kept = reset(activation, &resident, &has_asked);
    }
    activation->idle_bytes = header_size() + home->image.block_size +
                             (activation->slot != NULL ? PAGE_TABLE_BYTES : 0) + resident;
    struct sm_activation *victim = activation;
    sm_stack_trim(&activation->stack);
    (void)pthread_mutex_lock(&pool->mutex);
    pool->in_use--;
    pool->asked += has_asked;
    struct sm_stack surplus = push_stack(pool, activation);
    if (is_kept) {
        push_idle(pool, activation);
        victim = pop_excess(pool);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    sm_stack_deinit(&surplus);
    while (victim != NULL) {
        dissolve(pool, victim);
        (void)pthread_mutex_lock(&pool->mutex);
        victim = pop_excess(pool);
        (void)pthread_mutex_unlock(&pool->mutex);
    }
}

/* ---- homes -------------------------------------------------------------------------------- */

/* Counts one descriptor more; false when images hold enough of them. */
static bool reserve_file(struct sm_exec_pool *pool)
{
    bool is_free = atomic_fetch_add(&pool->files, 1) < pool->files_max;
    if (!is_free) {
        atomic_fetch_sub(&pool->files, 1);
    }
    return is_free;
}

enum smelt_status sm_home_create(struct sm_exec_pool *pool, const struct sm_descriptor *descriptor,
                                 struct sm_home **out, struct smelt_error *err)
{
    *out = NULL;
    struct sm_home *home = (struct sm_home *)sm_calloc(1, sizeof(*home));
    if (home == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    bool may_open = reserve_file(pool);
    enum smelt_status status =
        sm_image_init(&home->image, descriptor, pool->pagemap.page_bytes, may_open, err);
    if (may_open && home->image.fd < 0) {
        atomic_fetch_sub(&pool->files, 1);
    }
    if (status != SMELT_STATUS_OK) {
        sm_free(home);
        return status;
    }
    home->pool = pool;
    home->stack_class = stack_class(descriptor->stack_bytes + host_stack_bytes);
    ring_init(&home->idle);
    atomic_fetch_add(&pool->homes, 1);
    *out = home;
    return SMELT_STATUS_OK;
}

void sm_home_destroy(struct sm_home *home)
{
    if (home == NULL) {
        return;
    }
    struct sm_exec_pool *pool = home->pool;
    for (;;) {
        (void)pthread_mutex_lock(&pool->mutex);
        struct sm_activation *activation = pop_warmest(home);
        (void)pthread_mutex_unlock(&pool->mutex);
        if (activation == NULL) {
            break;
        }
        dissolve(pool, activation);
    }
    if (home->image.fd >= 0) {
        atomic_fetch_sub(&pool->files, 1);
    }
    sm_image_deinit(&home->image);
    atomic_fetch_sub(&pool->homes, 1);
    sm_free(home);
}

const struct sm_image *sm_home_image(const struct sm_home *home)
{
    return &home->image;
}

/* ---- pools -------------------------------------------------------------------------------- */

static size_t files_max(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (size_t)limit.rlim_cur / FILES_SHARE : 0;
}

enum smelt_status sm_exec_pool_create(const struct sm_exec_pool_options *options,
                                      struct sm_exec_pool **out, struct smelt_error *err)
{
    static const struct sm_exec_pool_options defaults;
    *out = NULL;
    struct sm_exec_pool *pool = (struct sm_exec_pool *)sm_calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    if (options == NULL) {
        options = &defaults;
    }
    if (pthread_mutex_init(&pool->mutex, NULL) != 0) {
        sm_free(pool);
        return sm_error_no_memory(err, WHERE);
    }
    pool->instances_max =
        options->instances_max != 0 ? options->instances_max : SM_EXEC_INSTANCES_MAX;
    pool->idle_bytes_max = options->idle_bytes != 0 ? options->idle_bytes : SM_EXEC_IDLE_BYTES;
    pool->files_max = options->copies_images ? 0 : files_max();
    ring_init(&pool->idle);
    sm_pagemap_init(&pool->pagemap, options->reset);
    pool->counts = options->reset == SM_EXEC_RESET_AUTO &&
                   pool->pagemap.way != SM_EXEC_RESET_DISCARD && sm_residence_is_counted();
    *out = pool;
    return SMELT_STATUS_OK;
}

void sm_exec_pool_destroy(struct sm_exec_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    assert(pool->homes == 0 && pool->in_use == 0);
    for (uint32_t i = 0; i < STACK_CLASSES; i++) {
        while (pool->stacks[i] != NULL) {
            struct sm_stack stack = pool->stacks[i]->stack;
            pool->stacks[i] = pool->stacks[i]->next;
            sm_stack_deinit(&stack);
        }
    }
    sm_slots_deinit(&pool->slots);
    sm_pagemap_deinit(&pool->pagemap);
    (void)pthread_mutex_destroy(&pool->mutex);
    sm_free(pool);
}

struct sm_exec_pool_figures sm_exec_pool_figures(struct sm_exec_pool *pool)
{
    (void)pthread_mutex_lock(&pool->mutex);
    const struct sm_exec_pool_figures figures = {.in_use = pool->in_use,
                                                 .idle_bytes = pool->idle_bytes,
                                                 .made = pool->made,
                                                 .asked = pool->asked};
    (void)pthread_mutex_unlock(&pool->mutex);
    return figures;
}

enum sm_exec_reset sm_exec_pool_reset(const struct sm_exec_pool *pool)
{
    return pool->pagemap.way;
}
