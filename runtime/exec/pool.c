/* The pool. States of an activation, and who moves it:
 *
 *     (none) --sm_pool_take: make--> in use --sm_pool_give: reset--> idle
 *                                      ^                              |  |
 *                                      +-----------sm_pool_take-------+  |
 *     (none) <----------------------------------dissolve-----------------+
 *
 * What is idle lies in shards, and a thread has one of them: what it gives is what it takes next,
 * still in its cache, and threads do not wait for each other. A call of a module that has an idle
 * activation in the thread's shard takes that shard's lock twice and writes to nothing that threads
 * share. When the thread's shard has none, those of the others are looked through with all locks
 * held, which makes the limits exact: they are the same as if there were one lock.
 *
 * Idle activations are in two rings at once: their module's in the shard, from which it takes the
 * one used last (whose pages are warm), and the shard's, at whose far end are the victims when idle
 * ones keep more of the machine's memory than allowed, or when a slot is needed and no address
 * space left. Whoever takes one out of the rings owns it; the work on it needs no lock.
 *
 * An idle activation does not refer to its module. The last release of the module destroys its
 * home, which dissolves what is in the rings; a victim on its way out needs neither. */
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

/* A power of two. Threads beyond it share. */
#define SHARDS 16u

/* Idle stacks, by size: class k has 2^(k + 16) bytes, and each shard at most so many of them. */
#define STACK_SHIFT     16u
#define STACK_CLASSES   18u
#define STACKS_IDLE_MAX 64u
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

/* What keeps neighbours in an array off each other's cache lines. */
#define APART_BYTES 64

struct shard {
    pthread_mutex_t mutex; /* guards what follows, and the shard's ring in all homes */
    struct sm_ring idle;   /* used last first */
    uint64_t idle_count;
    uint64_t idle_bytes;
    uint64_t asked;
    struct idle_stack *stacks[STACK_CLASSES];
    uint32_t stack_counts[STACK_CLASSES];
    uint8_t apart[APART_BYTES];
};

struct sm_exec_pool {
    uint32_t instances_max;
    uint64_t idle_bytes_max;
    size_t files_max;
    struct sm_pagemap pagemap;
    bool counts;         /* page faults, before it asks for pages */
    atomic_size_t files; /* images that hold a descriptor */
    atomic_size_t homes;

    pthread_mutex_t mutex; /* guards what follows; taken before those of shards */
    uint32_t count;        /* activations, in use and idle; not those that are being dissolved */
    uint64_t made;
    struct sm_slots slots;

    /* What activations kept of the machine's memory when they were last idle: changes with the
     * first call of an activation, and when it keeps more or less than the last time. */
    atomic_uint_least64_t kept_bytes;
    uint8_t apart[APART_BYTES];
    struct shard shards[SHARDS];
};

struct home_shard {
    struct sm_ring idle; /* used last first */
    uint64_t in_use; /* taken less given by threads of this shard: only the sum means anything */
    uint8_t apart[APART_BYTES - sizeof(struct sm_ring) - sizeof(uint64_t)];
};

struct sm_home {
    struct sm_exec_pool *pool;
    uint32_t stack_class;
    bool is_closing; /* changes with all locks held */
    struct sm_image image;
    uint8_t apart[APART_BYTES];
    struct home_shard shards[SHARDS];
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

/* ---- shards ------------------------------------------------------------------------------- */

static uint32_t own_shard(void)
{
    return (uint32_t)sm_residence_thread() % SHARDS;
}

static void lock_all(struct sm_exec_pool *pool)
{
    (void)pthread_mutex_lock(&pool->mutex);
    for (uint32_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_lock(&pool->shards[i].mutex);
    }
}

static void unlock_all(struct sm_exec_pool *pool)
{
    for (uint32_t i = SHARDS; i-- != 0;) {
        (void)pthread_mutex_unlock(&pool->shards[i].mutex);
    }
    (void)pthread_mutex_unlock(&pool->mutex);
}

/* ---- idle activations, under the shard's lock --------------------------------------------- */

static void push_idle(struct sm_exec_pool *pool, uint32_t at, struct sm_activation *activation)
{
    struct shard *shard = &pool->shards[at];
    ring_push(&activation->home->shards[at].idle, &activation->in_home);
    ring_push(&shard->idle, &activation->in_pool);
    shard->idle_count++;
    shard->idle_bytes += activation->idle_bytes;
}

static struct sm_activation *remove_idle(struct shard *shard, struct sm_activation *activation)
{
    ring_remove(&activation->in_home);
    ring_remove(&activation->in_pool);
    shard->idle_count--;
    shard->idle_bytes -= activation->idle_bytes;
    return activation;
}

static struct sm_activation *pop_warmest(struct sm_home *home, uint32_t at)
{
    struct sm_ring *idle = &home->shards[at].idle;
    return ring_is_empty(idle)
               ? NULL
               : remove_idle(&home->pool->shards[at], ACTIVATION_OF(idle->next, in_home));
}

/* With all locks: the one not used for longest in the shard that keeps most. */
static struct sm_activation *pop_victim(struct sm_exec_pool *pool)
{
    struct shard *most = &pool->shards[0];
    for (uint32_t i = 1; i < SHARDS; i++) {
        if (pool->shards[i].idle_bytes > most->idle_bytes) {
            most = &pool->shards[i];
        }
    }
    return ring_is_empty(&most->idle)
               ? NULL
               : remove_idle(most, ACTIVATION_OF(most->idle.previous, in_pool));
}

/* ---- making and dissolving, outside of it ------------------------------------------------- */

/* It is not in pool->count any more. */
static void dissolve(struct sm_exec_pool *pool, struct sm_activation *activation)
{
    (void)atomic_fetch_sub(&pool->kept_bytes, activation->idle_bytes);
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

static void forget_one(struct sm_exec_pool *pool)
{
    (void)pthread_mutex_lock(&pool->mutex);
    pool->count--;
    (void)pthread_mutex_unlock(&pool->mutex);
}

/* Dissolves a victim; false when there is none. */
static bool give_way(struct sm_exec_pool *pool)
{
    lock_all(pool);
    struct sm_activation *victim = pop_victim(pool);
    pool->count -= victim != NULL;
    unlock_all(pool);
    if (victim != NULL) {
        dissolve(pool, victim);
    }
    return victim != NULL;
}

/* An unused slot, or new address space; where that is not to be had, the slots of idle activations.
 */
static enum smelt_status take_slot(struct sm_exec_pool *pool, struct sm_slot **out,
                                   struct smelt_error *err)
{
    enum smelt_status status;
    do {
        (void)pthread_mutex_lock(&pool->mutex);
        status = sm_slots_take(&pool->slots, out, err);
        (void)pthread_mutex_unlock(&pool->mutex);
    } while (status != SMELT_STATUS_OK && give_way(pool));
    return status;
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

/* Under the shard's lock. Leaves the activation without one when there is none. */
static void pop_stack(struct shard *shard, struct sm_activation *activation)
{
    uint32_t class = activation->home->stack_class;
    struct idle_stack *idle = shard->stacks[class];
    if (idle != NULL) {
        shard->stacks[class] = idle->next;
        shard->stack_counts[class]--;
        activation->stack = idle->stack;
    }
}

enum smelt_status sm_pool_stack_take(struct sm_activation *activation)
{
    struct sm_exec_pool *pool = activation->home->pool;
    for (uint32_t i = 0; i < SHARDS && activation->stack.bottom == NULL; i++) {
        struct shard *shard = &pool->shards[(own_shard() + i) % SHARDS];
        (void)pthread_mutex_lock(&shard->mutex);
        pop_stack(shard, activation);
        (void)pthread_mutex_unlock(&shard->mutex);
    }
    return activation->stack.bottom != NULL
               ? SMELT_STATUS_OK
               : sm_stack_init(&activation->stack,
                               UINT64_C(1) << (activation->home->stack_class + STACK_SHIFT), NULL);
}

/* Takes the stack away from the activation, under the shard's lock. What it returns is one too
 * many.
 */
static struct sm_stack push_stack(struct shard *shard, struct sm_activation *activation)
{
    struct sm_stack stack = activation->stack;
    uint32_t class = activation->home->stack_class;
    activation->stack = (struct sm_stack){0};
    if (stack.bottom == NULL || shard->stack_counts[class] == STACKS_IDLE_MAX) {
        return stack;
    }
    struct idle_stack *idle =
        (struct idle_stack *)(void *)(stack.bottom + stack.size - sizeof(struct idle_stack));
    *idle = (struct idle_stack){.next = shard->stacks[class], .stack = stack};
    shard->stacks[class] = idle;
    shard->stack_counts[class]++;
    return (struct sm_stack){0};
}

/* ---- activations -------------------------------------------------------------------------- */

/* From any shard, or room for one more: the caller makes it, unless `*out` is set. Dissolves a
 * victim when there are as many as there may be. False when all of them are in use. */
static bool find_or_make_room(struct sm_home *home, uint32_t at, struct sm_activation **out)
{
    struct sm_exec_pool *pool = home->pool;
    struct sm_activation *victim = NULL;
    lock_all(pool);
    for (uint32_t i = 0; i < SHARDS && *out == NULL; i++) {
        *out = pop_warmest(home, i);
    }
    if (*out == NULL && pool->count == pool->instances_max) {
        victim = pop_victim(pool);
        pool->count -= victim != NULL;
    }
    bool is_room = pool->count < pool->instances_max;
    if (*out == NULL && is_room) {
        pool->count++;
        pool->made++;
    }
    home->shards[at].in_use += *out != NULL || is_room;
    unlock_all(pool);
    if (victim != NULL) {
        dissolve(pool, victim);
    }
    return *out != NULL || is_room;
}

enum smelt_status sm_pool_take(struct sm_home *home, struct sm_activation **out,
                               struct smelt_error *err)
{
    struct sm_exec_pool *pool = home->pool;
    uint32_t at = own_shard();
    struct shard *shard = &pool->shards[at];
    (void)pthread_mutex_lock(&shard->mutex);
    *out = pop_warmest(home, at);
    if (*out != NULL) {
        pop_stack(shard, *out);
        home->shards[at].in_use++;
    }
    (void)pthread_mutex_unlock(&shard->mutex);
    if (*out == NULL && !find_or_make_room(home, at, out)) {
        return sm_error_set(err, SMELT_STATUS_INSTANCE_LIMIT, WHERE,
                            "all %u instances are in use: make fewer calls at a time",
                            pool->instances_max);
    }
    if (*out == NULL) {
        enum smelt_status status = make(home, out, err);
        if (status != SMELT_STATUS_OK) {
            lock_all(pool);
            pool->count--;
            home->shards[at].in_use--;
            unlock_all(pool);
            return status;
        }
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

/* What the activation keeps from now on while it is idle. */
static void set_idle_bytes(struct sm_exec_pool *pool, struct sm_activation *activation,
                           uint64_t bytes)
{
    if (bytes != activation->idle_bytes) {
        (void)atomic_fetch_add(&pool->kept_bytes, bytes - activation->idle_bytes);
        activation->idle_bytes = bytes;
    }
}

/* With all locks. */
static bool is_in_use(const struct sm_home *home)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < SHARDS; i++) {
        sum += home->shards[i].in_use;
    }
    return sum != 0;
}

/* One less in use, of a home that is closing: whether it was the last. */
static bool leave_closing(struct sm_home *home, uint32_t at)
{
    struct sm_exec_pool *pool = home->pool;
    lock_all(pool);
    home->shards[at].in_use--;
    bool is_last = !is_in_use(home);
    unlock_all(pool);
    return is_last;
}

bool sm_pool_give(struct sm_activation *activation)
{
    struct sm_home *home = activation->home;
    struct sm_exec_pool *pool = home->pool;
    uint32_t at = own_shard();
    struct shard *shard = &pool->shards[at];
    uint64_t resident = 0;
    bool has_asked = false;
    /* a large block is zero only when it is new */
    bool is_kept = home->image.block != NULL;
    if (is_kept && activation->slot != NULL) {
        is_kept = reset(activation, &resident, &has_asked);
    }
    set_idle_bytes(pool, activation,
                   header_size() + home->image.block_size +
                       (activation->slot != NULL ? PAGE_TABLE_BYTES : 0) + resident);
    /* pages of the stack come by page faults too: without any, it is no deeper than before */
    bool is_quiet = is_kept && activation->slot != NULL && !has_asked;
    if (!is_quiet) {
        sm_stack_trim(&activation->stack);
    }
    (void)pthread_mutex_lock(&shard->mutex);
    shard->asked += has_asked;
    struct sm_stack surplus = push_stack(shard, activation);
    if (is_kept) {
        push_idle(pool, at, activation);
    }
    bool is_closing = home->is_closing;
    home->shards[at].in_use -= !is_closing;
    (void)pthread_mutex_unlock(&shard->mutex);
    bool is_last =
        is_closing && leave_closing(home, at); /* else the home may be gone from here on */
    sm_stack_deinit(&surplus);
    if (!is_kept) {
        forget_one(pool);
        dissolve(pool, activation);
    }
    while (atomic_load_explicit(&pool->kept_bytes, memory_order_relaxed) > pool->idle_bytes_max &&
           give_way(pool)) {
    }
    return is_last;
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
    for (uint32_t i = 0; i < SHARDS; i++) {
        ring_init(&home->shards[i].idle);
    }
    atomic_fetch_add(&pool->homes, 1);
    *out = home;
    return SMELT_STATUS_OK;
}

bool sm_home_close(struct sm_home *home)
{
    lock_all(home->pool);
    home->is_closing = true;
    bool is_unused = !is_in_use(home);
    unlock_all(home->pool);
    return is_unused;
}

void sm_home_destroy(struct sm_home *home)
{
    if (home == NULL) {
        return;
    }
    struct sm_exec_pool *pool = home->pool;
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct sm_activation *activation;
        do {
            (void)pthread_mutex_lock(&pool->shards[i].mutex);
            activation = pop_warmest(home, i);
            (void)pthread_mutex_unlock(&pool->shards[i].mutex);
            if (activation != NULL) {
                forget_one(pool);
                dissolve(pool, activation);
            }
        } while (activation != NULL);
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
    /* neither fails with default attributes (POSIX leaves no reason that applies) */
    (void)pthread_mutex_init(&pool->mutex, NULL);
    for (uint32_t i = 0; i < SHARDS; i++) {
        (void)pthread_mutex_init(&pool->shards[i].mutex, NULL);
        ring_init(&pool->shards[i].idle);
    }
    pool->instances_max =
        options->instances_max != 0 ? options->instances_max : SM_EXEC_INSTANCES_MAX;
    pool->idle_bytes_max = options->idle_bytes != 0 ? options->idle_bytes : SM_EXEC_IDLE_BYTES;
    pool->files_max = options->copies_images ? 0 : files_max();
    sm_pagemap_init(&pool->pagemap, options->reset);
    pool->counts = options->reset == SM_EXEC_RESET_AUTO &&
                   pool->pagemap.way != SM_EXEC_RESET_DISCARD && sm_residence_is_counted();
    *out = pool;
    return SMELT_STATUS_OK;
}

static void destroy_stacks(struct shard *shard)
{
    for (uint32_t i = 0; i < STACK_CLASSES; i++) {
        while (shard->stacks[i] != NULL) {
            struct sm_stack stack = shard->stacks[i]->stack;
            shard->stacks[i] = shard->stacks[i]->next;
            sm_stack_deinit(&stack);
        }
    }
}

void sm_exec_pool_destroy(struct sm_exec_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    assert(pool->homes == 0 && pool->count == 0);
    for (uint32_t i = 0; i < SHARDS; i++) {
        destroy_stacks(&pool->shards[i]);
        (void)pthread_mutex_destroy(&pool->shards[i].mutex);
    }
    sm_slots_deinit(&pool->slots);
    sm_pagemap_deinit(&pool->pagemap);
    (void)pthread_mutex_destroy(&pool->mutex);
    sm_free(pool);
}

struct sm_exec_pool_figures sm_exec_pool_figures(struct sm_exec_pool *pool)
{
    struct sm_exec_pool_figures figures = {0};
    uint64_t idle = 0;
    lock_all(pool);
    for (uint32_t i = 0; i < SHARDS; i++) {
        idle += pool->shards[i].idle_count;
        figures.idle_bytes += pool->shards[i].idle_bytes;
        figures.asked += pool->shards[i].asked;
    }
    figures.in_use = (uint32_t)(pool->count - idle);
    figures.made = pool->made;
    unlock_all(pool);
    return figures;
}

enum sm_exec_reset sm_exec_pool_reset(const struct sm_exec_pool *pool)
{
    return pool->pagemap.way;
}
