/* The memory store: per family a B+tree of nodes that never change, so a snapshot is six pointers.
 *
 *     newest   ──▶ root  ──▶ inner ──▶ leaf, leaf, leaf …      level 0: keys and values
 *     snapshot ──▶ root' ──────▲────────▲                      above: nodes of the level below
 *
 * A write builds new nodes along the paths that it touches and takes over the others, which are
 * counted; then the new root takes the place of the old one. A batch is sorted first, unless it is,
 * and applied in one pass from left to right. What it costs is copying the leaves it touches, a few
 * kilobytes each: cheap for batches that touch a leaf several times, and never worse than that.
 *
 * A search compares what all keys of a node have in common once, and then numbers: of each key a
 * node has the eight bytes that follow (`heads`). Only where those are equal are keys looked at.
 *
 * Shape: on each level all nodes but the last have a weight of WEIGHT_MIN at least (`ready`), so
 * LEVELS_MAX is out of reach, whoever chooses the keys; recursion is as deep as the tree.
 *
 * Threads: `newest` is read and replaced under a lock; writers take turns. Nodes do not change, so
 * reading a view takes no lock. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/status.h"

#include <smelt/store.h>

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WHERE "store"

/* Pairs up to this size are copied along with their leaf; larger ones are shared by leaves. */
#define INLINE_MAX 512

/* Weight stands for bytes of a node. It is cut off at WEIGHT when there is twice as much. */
#define WEIGHT       4096u
#define WEIGHT_MIN   (WEIGHT / 2)
#define WEIGHT_ENTRY 32u /* of an entry without its key and value, and of a child */
#define ITEMS_MAX    (2 * WEIGHT / WEIGHT_ENTRY + 1)

/* 63^11 leaves do not fit into an address space. */
#define LEVELS_MAX 12

struct pair {
    atomic_size_t holders;
    struct smelt_slice key; /* slices into `bytes` */
    struct smelt_slice value;
    uint8_t bytes[];
};

/* In memory: this, `count` heads, `count` slots (leaf) or pointers to nodes, the bytes of slots. */
struct node {
    atomic_size_t holders;
    struct smelt_slice first; /* its smallest key; of an inner node, that of the first leaf below */
    size_t common;            /* bytes that all its keys begin with */
    uint32_t count;           /* not 0 */
    uint16_t level;           /* 0: leaf */
    bool has_large;           /* some slots have a pair */
    uint64_t heads[];
};

#define KEY_SIZE_LARGE UINT16_MAX
static_assert(INLINE_MAX < KEY_SIZE_LARGE, "sizes of a slot");

struct slot {
    uint32_t at; /* offset of key and value, or of a pointer to a pair */
    uint16_t key_size;
    uint16_t value_size;
};

/* An entry on its way into a node. The slices point into nodes of the tree that is being replaced,
 * into the batch, or into what `held` holds. */
struct item {
    struct smelt_slice key;
    struct smelt_slice value;
    struct pair *pair;  /* level 0: a share, or NULL */
    struct node *child; /* above: a share */
};

/* Nodes under construction, one per level, from left to right. */
struct level {
    size_t count;
    size_t weight;
    struct item items[ITEMS_MAX];
};

struct build {
    struct level levels[LEVELS_MAX];
};

/* What a snapshot sees; the store's newest state is one too. */
struct view {
    struct node *roots[SMELT_STORE_FAMILY_COUNT];
};

struct memory_store {
    struct smelt_store handle;
    pthread_mutex_t writing; /* one batch at a time; taken before `lock` */
    pthread_mutex_t lock;    /* over `newest`, for as long as copying it takes */
    struct view newest;
    atomic_uint_fast64_t version; /* batches written */
    struct build build;           /* the writer's; empty between writes */
};

static enum smelt_status no_memory(struct smelt_error *err)
{
    return sm_error_no_memory(err, WHERE);
}

/* Pairs and nodes. */

static void hold(atomic_size_t *holders)
{
    atomic_fetch_add_explicit(holders, 1, memory_order_relaxed);
}

/* True for the last holder, which sees all uses by the others as over. */
static bool drop(atomic_size_t *holders)
{
    return atomic_fetch_sub_explicit(holders, 1, memory_order_acq_rel) == 1;
}

static bool is_large(const struct smelt_store_write *write)
{
    return write->key.size > INLINE_MAX || write->value.size > INLINE_MAX - write->key.size;
}

static void copy_bytes(uint8_t *to, struct smelt_slice from)
{
    if (from.size != 0) {
        memcpy(to, from.data, from.size);
    }
}

static struct pair *make_pair(struct smelt_slice key, struct smelt_slice value)
{
    size_t size;
    if (!sm_add_size(sizeof(struct pair), key.size, &size) ||
        !sm_add_size(size, value.size, &size)) {
        return NULL;
    }
    struct pair *pair = (struct pair *)sm_alloc(size);
    if (pair == NULL) {
        return NULL;
    }
    atomic_init(&pair->holders, 1);
    pair->key = sm_slice(pair->bytes, key.size);
    pair->value = sm_slice(pair->bytes + key.size, value.size);
    copy_bytes(pair->bytes, key);
    copy_bytes(pair->bytes + key.size, value);
    return pair;
}

static void release_pair(struct pair *pair)
{
    if (pair != NULL && drop(&pair->holders)) {
        sm_free(pair);
    }
}

static const struct slot *slots_of(const struct node *leaf)
{
    return (const struct slot *)(const void *)(leaf->heads + leaf->count);
}

static struct node *const *children_of(const struct node *inner)
{
    return (struct node *const *)(const void *)(inner->heads + inner->count);
}

static struct pair *pair_of(const struct node *leaf, const struct slot *slot)
{
    struct pair *pair;
    memcpy(&pair, (const uint8_t *)leaf + slot->at, sizeof(struct pair *));
    return pair;
}

/* Borrowed from the leaf. */
static struct item item_of(const struct node *leaf, size_t i)
{
    const struct slot *slot = slots_of(leaf) + i;
    if (slot->key_size == KEY_SIZE_LARGE) {
        struct pair *pair = pair_of(leaf, slot);
        return (struct item){.key = pair->key, .value = pair->value, .pair = pair};
    }
    const uint8_t *bytes = (const uint8_t *)leaf + slot->at;
    return (struct item){.key = sm_slice(bytes, slot->key_size),
                         .value = sm_slice(bytes + slot->key_size, slot->value_size)};
}

static struct smelt_slice key_of(const struct node *node, size_t i)
{
    return node->level == 0 ? item_of(node, i).key : children_of(node)[i]->first;
}

static struct node *acquire(struct node *node)
{
    if (node != NULL) {
        hold(&node->holders);
    }
    return node;
}

static void release(struct node *node)
{
    if (node == NULL || !drop(&node->holders)) {
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        if (node->level != 0) {
            release(children_of(node)[i]);
        } else if (node->has_large) {
            release_pair(item_of(node, i).pair);
        }
    }
    sm_free(node);
}

/* Searching. */

/* Eight bytes of `key` from `at` as a number that compares as they do; what is missing is zero. */
static uint64_t head_of(struct smelt_slice key, size_t at)
{
    uint64_t head = 0;
    size_t left = key.size - at;
    if (left >= sizeof(head)) {
        memcpy(&head, key.data + at, sizeof(head));
    } else if (left != 0) {
        memcpy(&head, key.data + at, left);
    }
    return __builtin_bswap64(head);
}

/* How many of the sorted `heads` are below `head`. The loop has no branch to predict. */
static size_t count_below(const uint64_t *heads, size_t count, uint64_t head)
{
    const uint64_t *base = heads;
    while (count > 1) {
        size_t half = count / 2;
        base += base[half - 1] < head ? half : 0;
        count -= half;
    }
    return (size_t)(base - heads) + (count != 0 && *base < head ? 1 : 0);
}

/* How many keys of the node are below `key`, and whether the next one is it. */
static size_t find_in(const struct node *node, struct smelt_slice key, bool *is_there)
{
    size_t common = key.size < node->common ? key.size : node->common;
    int order = common != 0 ? memcmp(key.data, node->first.data, common) : 0;
    *is_there = false;
    if (order != 0 || key.size < node->common) {
        return order > 0 ? node->count : 0;
    }
    uint64_t head = head_of(key, node->common);
    size_t low = count_below(node->heads, node->count, head);
    size_t high = low;
    while (high < node->count && node->heads[high] == head) {
        high++;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        order = sm_slice_compare(key_of(node, middle), key);
        if (order == 0) {
            *is_there = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The child that has `key` if any has. */
static size_t child_for(const struct node *inner, struct smelt_slice key)
{
    bool is_there;
    size_t below = find_in(inner, key, &is_there);
    return is_there || below == 0 ? below : below - 1;
}

static bool find(const struct node *node, struct smelt_slice key, struct smelt_slice *value)
{
    bool is_there = false;
    if (node == NULL) {
        return false;
    }
    while (node->level != 0) {
        node = children_of(node)[child_for(node, key)];
    }
    size_t at = find_in(node, key, &is_there);
    if (is_there) {
        *value = item_of(node, at).value;
    }
    return is_there;
}

/* Visits the keys that start with `prefix` in order; false when there are no more, or the visitor
 * stopped. `is_inside`: the smallest keys below the node are not before them. */
static bool walk(const struct node *node, struct smelt_slice prefix, bool is_inside,
                 smelt_store_visit_fn visit, void *context)
{
    bool is_there;
    bool is_leaf = node->level == 0;
    size_t start = 0;
    if (!is_inside) {
        start = is_leaf ? find_in(node, prefix, &is_there) : child_for(node, prefix);
    }
    for (size_t i = start; i < node->count; i++) {
        if (is_leaf) {
            struct item item = item_of(node, i);
            if (!sm_slice_has_prefix(item.key, prefix) || !visit(context, item.key, item.value)) {
                return false;
            }
        } else if (!walk(children_of(node)[i], prefix, is_inside || i > start, visit, context)) {
            return false;
        }
    }
    return true;
}

/* Building. When a step returns false memory was short; `abandon` then clears up. */

static size_t weight_of(const struct item *item)
{
    bool is_inline = item->pair == NULL && item->child == NULL;
    return WEIGHT_ENTRY + (is_inline ? item->key.size + item->value.size : 0);
}

static size_t common_of(struct smelt_slice a, struct smelt_slice b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    size_t common = 0;
    while (common < size && a.data[common] == b.data[common]) {
        common++;
    }
    return common;
}

static void fill_leaf(struct node *leaf, const struct item *items)
{
    struct slot *slots = (struct slot *)(void *)(leaf->heads + leaf->count);
    uint8_t *at = (uint8_t *)(slots + leaf->count);
    for (size_t i = 0; i < leaf->count; i++) {
        const struct item *item = &items[i];
        slots[i].at = (uint32_t)(at - (uint8_t *)leaf);
        if (item->pair != NULL) {
            slots[i].key_size = KEY_SIZE_LARGE;
            slots[i].value_size = 0;
            leaf->has_large = true;
            memcpy(at, &item->pair, sizeof(struct pair *));
            at += sizeof(struct pair *);
        } else {
            slots[i].key_size = (uint16_t)item->key.size;
            slots[i].value_size = (uint16_t)item->value.size;
            copy_bytes(at, item->key);
            copy_bytes(at + item->key.size, item->value);
            at += item->key.size + item->value.size;
        }
    }
    leaf->first = key_of(leaf, 0);
}

/* Takes the shares that the items have. */
static struct node *make_node(size_t level, const struct item *items, size_t count)
{
    static_assert(sizeof(struct slot) == sizeof(struct node *), "as much per entry on each level");
    size_t size = sizeof(struct node) + count * (sizeof(uint64_t) + sizeof(struct slot));
    for (size_t i = 0; level == 0 && i < count; i++) {
        size +=
            items[i].pair != NULL ? sizeof(struct pair *) : items[i].key.size + items[i].value.size;
    }
    struct node *node = (struct node *)sm_alloc(size);
    if (node == NULL) {
        return NULL;
    }
    atomic_init(&node->holders, 1);
    node->common = common_of(items[0].key, items[count - 1].key);
    node->count = (uint32_t)count;
    node->level = (uint16_t)level;
    node->has_large = false;
    for (size_t i = 0; i < count; i++) {
        node->heads[i] = head_of(items[i].key, node->common);
    }
    if (level == 0) {
        fill_leaf(node, items);
    } else {
        struct node **children = (struct node **)(void *)(node->heads + count);
        for (size_t i = 0; i < count; i++) {
            children[i] = items[i].child;
        }
        node->first = children[0]->first;
    }
    return node;
}

static bool push(struct build *build, size_t at, struct item item);

/* Makes a node of the first items, `weight` of them or a little more, and one of the level above
 * of it. */
static bool cut_off(struct build *build, size_t at, size_t weight)
{
    struct level *level = &build->levels[at];
    size_t count = 0;
    size_t taken = 0;
    while (count < level->count && taken < weight) {
        taken += weight_of(&level->items[count++]);
    }
    struct node *node = make_node(at, level->items, count);
    if (node == NULL) {
        return false;
    }
    level->count -= count;
    level->weight -= taken;
    memmove(level->items, level->items + count, level->count * sizeof(level->items[0]));
    return push(build, at + 1, (struct item){.key = node->first, .child = node});
}

/* Takes the item's shares, whatever it returns. */
static bool push(struct build *build, size_t at, struct item item)
{
    assert(at < LEVELS_MAX);
    struct level *level = &build->levels[at];
    level->items[level->count++] = item;
    level->weight += weight_of(&item);
    return level->weight < (size_t)2 * WEIGHT || cut_off(build, at, WEIGHT);
}

static bool flush(struct build *build, size_t at)
{
    const struct level *level = &build->levels[at];
    if (level->weight > WEIGHT + WEIGHT_MIN && !cut_off(build, at, level->weight / 2)) {
        return false;
    }
    return level->count == 0 || cut_off(build, at, level->weight);
}

static void abandon(struct build *build)
{
    for (size_t at = 0; at < LEVELS_MAX; at++) {
        struct level *level = &build->levels[at];
        for (size_t i = 0; i < level->count; i++) {
            release_pair(level->items[i].pair);
            release(level->items[i].child);
        }
        level->count = 0;
        level->weight = 0;
    }
}

/* A list of writes to one family, in ascending order, a key once. */
struct writes {
    const struct smelt_store_write *const *at;
    size_t count;
};

static bool push_write(struct build *build, const struct smelt_store_write *write)
{
    struct item item = {.key = write->key, .value = write->value};
    if (write->is_delete) {
        return true;
    }
    if (is_large(write)) {
        item.pair = make_pair(write->key, write->value);
        if (item.pair == NULL) {
            return false;
        }
        item.key = item.pair->key;
    }
    return push(build, 0, item);
}

static bool push_entry(struct build *build, const struct node *leaf, size_t i)
{
    struct item item = item_of(leaf, i);
    if (item.pair != NULL) {
        hold(&item.pair->holders);
    }
    return push(build, 0, item);
}

static bool merge(struct build *build, const struct node *leaf, struct writes writes)
{
    size_t next = 0;
    for (size_t i = 0; i < writes.count; i++) {
        bool is_there;
        size_t below = find_in(leaf, writes.at[i]->key, &is_there);
        for (; next < below; next++) {
            if (!push_entry(build, leaf, next)) {
                return false;
            }
        }
        next += is_there ? 1 : 0;
        if (!push_write(build, writes.at[i])) {
            return false;
        }
    }
    for (; next < leaf->count; next++) {
        if (!push_entry(build, leaf, next)) {
            return false;
        }
    }
    return true;
}

enum readiness { READY, TOO_SMALL, SHORT_OF_MEMORY };

/* Ends the nodes under construction up to a level, so that a node of that level can follow as it
 * is. One that is too small goes on with the content of what follows. */
static enum readiness ready(struct build *build, size_t level)
{
    for (size_t at = 0; at <= level; at++) {
        if (build->levels[at].count != 0 && build->levels[at].weight < WEIGHT_MIN) {
            return TOO_SMALL;
        }
        if (!flush(build, at)) {
            return SHORT_OF_MEMORY;
        }
    }
    return READY;
}

/* How many of the writes come before `key`: searched in doubling steps, since they are few. */
static size_t writes_before(struct writes writes, struct smelt_slice key)
{
    size_t low = 0;
    size_t high = 1;
    while (high <= writes.count && sm_slice_compare(writes.at[high - 1]->key, key) < 0) {
        low = high;
        high *= 2;
    }
    high = high <= writes.count ? high - 1 : writes.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sm_slice_compare(writes.at[middle]->key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool pass(struct build *build, struct node *node);

/* Appends what is below `node` with the writes applied. */
static bool apply(struct build *build, const struct node *node, struct writes writes)
{
    if (node->level == 0) {
        return merge(build, node, writes);
    }
    struct node *const *children = children_of(node);
    for (size_t i = 0; i < node->count; i++) {
        size_t target = writes.count != 0 ? child_for(node, writes.at[0]->key) : node->count;
        for (; i < target; i++) {
            if (!pass(build, children[i])) {
                return false;
            }
        }
        if (i < node->count) {
            struct writes own = writes;
            if (i + 1 < node->count) {
                own.count = writes_before(writes, children[i + 1]->first);
            }
            writes.at += own.count;
            writes.count -= own.count;
            if (!apply(build, children[i], own)) {
                return false;
            }
        }
    }
    return true;
}

/* Appends the node itself, or its content. */
static bool pass(struct build *build, struct node *node)
{
    switch (ready(build, node->level)) {
    case READY:
        return push(build, (size_t)node->level + 1,
                    (struct item){.key = node->first, .child = acquire(node)});
    case TOO_SMALL:
        return apply(build, node, (struct writes){0});
    case SHORT_OF_MEMORY:
        break;
    }
    return false;
}

/* The tree of all that was appended. */
static bool finish(struct build *build, struct node **root)
{
    size_t top = 0;
    *root = NULL;
    for (size_t at = 0; at < LEVELS_MAX; at++) {
        top = build->levels[at].count != 0 ? at : top;
    }
    for (size_t at = 0; at < top || at == 0 || build->levels[at].count > 1; at++) {
        if (!flush(build, at)) {
            return false;
        }
        top = at + 1 > top ? at + 1 : top;
    }
    struct level *last = &build->levels[top];
    if (last->count != 0) {
        *root = last->items[0].child;
        last->count = 0;
        last->weight = 0;
    }
    while (*root != NULL && (*root)->level != 0 && (*root)->count == 1) {
        struct node *only = acquire(children_of(*root)[0]);
        release(*root);
        *root = only;
    }
    return true;
}

/* The tree that `root` becomes; the old one stays as it is. */
static bool rebuild(struct build *build, const struct node *root, struct writes writes,
                    struct node **out)
{
    bool is_done = true;
    if (root != NULL) {
        is_done = apply(build, root, writes);
    }
    for (size_t i = 0; root == NULL && i < writes.count && is_done; i++) {
        is_done = push_write(build, writes.at[i]);
    }
    is_done = is_done && finish(build, out);
    if (!is_done) {
        abandon(build);
    }
    return is_done;
}

/* Views. */

static void copy_view(struct view *to, const struct view *from)
{
    for (size_t i = 0; i < SMELT_STORE_FAMILY_COUNT; i++) {
        to->roots[i] = acquire(from->roots[i]);
    }
}

static void release_view(struct view *view)
{
    for (size_t i = 0; i < SMELT_STORE_FAMILY_COUNT; i++) {
        release(view->roots[i]);
    }
}

static void copy_newest(struct memory_store *store, struct view *to)
{
    (void)pthread_mutex_lock(&store->lock);
    copy_view(to, &store->newest);
    (void)pthread_mutex_unlock(&store->lock);
}

/* The operations. */

static enum smelt_status memory_snapshot(void *impl, void **snapshot, struct smelt_error *err)
{
    *snapshot = NULL;
    struct view *view = (struct view *)sm_alloc(sizeof(*view));
    if (view == NULL) {
        return no_memory(err);
    }
    copy_newest((struct memory_store *)impl, view);
    *snapshot = view;
    return SMELT_STATUS_OK;
}

static void memory_release(void *impl, void *snapshot)
{
    (void)impl;
    if (snapshot != NULL) {
        release_view((struct view *)snapshot);
        sm_free(snapshot);
    }
}

/* Held, for its reader to release: the newest state may be replaced meanwhile. */
static struct node *acquire_root(void *impl, const void *snapshot, enum smelt_store_family family)
{
    struct memory_store *store = (struct memory_store *)impl;
    if (snapshot != NULL) {
        return acquire(((const struct view *)snapshot)->roots[family]);
    }
    (void)pthread_mutex_lock(&store->lock);
    struct node *root = acquire(store->newest.roots[family]);
    (void)pthread_mutex_unlock(&store->lock);
    return root;
}

static enum smelt_status memory_get(void *impl, void *snapshot, enum smelt_store_family family,
                                    struct smelt_slice key, struct smelt_buf *value, bool *found,
                                    struct smelt_error *err)
{
    struct node *root = acquire_root(impl, snapshot, family);
    struct smelt_slice there;
    bool is_there = find(root, key, &there);
    value->size = 0;
    *found = is_there && sm_buf_append(value, there.data, there.size);
    enum smelt_status status = is_there && !*found ? no_memory(err) : SMELT_STATUS_OK;
    release(root);
    return status;
}

static enum smelt_status memory_iterate(void *impl, void *snapshot, enum smelt_store_family family,
                                        struct smelt_slice prefix, smelt_store_visit_fn visit,
                                        void *context, struct smelt_error *err)
{
    (void)err;
    struct node *root = acquire_root(impl, snapshot, family);
    if (root != NULL) {
        (void)walk(root, prefix, false, visit, context);
    }
    release(root);
    return SMELT_STATUS_OK;
}

/* By key; of equal keys, in the order of the batch that both point into. */
static int compare_writes(const void *a, const void *b)
{
    const struct smelt_store_write *left = *(const struct smelt_store_write *const *)a;
    const struct smelt_store_write *right = *(const struct smelt_store_write *const *)b;
    int order = sm_slice_compare(left->key, right->key);
    return order != 0 ? order : (left > right) - (left < right);
}

/* Puts the list in ascending order, the last write to each key only. */
static size_t sort_writes(const struct smelt_store_write **list, size_t count)
{
    size_t ascending = 1;
    while (ascending < count &&
           sm_slice_compare(list[ascending - 1]->key, list[ascending]->key) < 0) {
        ascending++;
    }
    if (ascending >= count) {
        return count;
    }
    qsort(list, count, sizeof(*list), compare_writes);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + 1 == count || !sm_slice_equal(list[i]->key, list[i + 1]->key)) {
            list[kept++] = list[i];
        }
    }
    return kept;
}

/* Makes a list of the writes to a family out of a batch. */
static size_t list_writes(const struct smelt_store_write *writes, size_t count,
                          enum smelt_store_family family, const struct smelt_store_write **list)
{
    size_t listed = 0;
    for (size_t i = 0; i < count; i++) {
        if (writes[i].family == family) {
            list[listed++] = &writes[i];
        }
    }
    return sort_writes(list, listed);
}

static enum smelt_status write_batch(struct memory_store *store,
                                     const struct smelt_store_write *writes, size_t count,
                                     struct smelt_error *err)
{
    struct view next = {0};
    const struct smelt_store_write **list =
        (const struct smelt_store_write **)sm_calloc(count, sizeof(*list));
    bool is_done = list != NULL;
    for (unsigned i = 0; i < SMELT_STORE_FAMILY_COUNT && is_done; i++) {
        /* only writers replace roots, and this is the one whose turn it is */
        struct node *root = store->newest.roots[i];
        struct writes own = {list, list_writes(writes, count, (enum smelt_store_family)i, list)};
        if (own.count == 0) {
            next.roots[i] = acquire(root);
        } else {
            is_done = rebuild(&store->build, root, own, &next.roots[i]);
        }
    }
    sm_free(list);
    if (!is_done) {
        release_view(&next);
        return no_memory(err);
    }
    (void)pthread_mutex_lock(&store->lock);
    struct view last = store->newest;
    store->newest = next;
    (void)pthread_mutex_unlock(&store->lock);
    release_view(&last);
    return SMELT_STATUS_OK;
}

static enum smelt_status memory_write(void *impl, const struct smelt_store_write *writes,
                                      size_t count, struct smelt_error *err)
{
    struct memory_store *store = (struct memory_store *)impl;
    (void)pthread_mutex_lock(&store->writing);
    enum smelt_status status = write_batch(store, writes, count, err);
    if (status == SMELT_STATUS_OK) {
        atomic_fetch_add(&store->version, 1);
    }
    (void)pthread_mutex_unlock(&store->writing);
    return status;
}

static uint64_t memory_version(void *impl)
{
    return atomic_load(&((struct memory_store *)impl)->version);
}

static void memory_close(void *impl)
{
    struct memory_store *store = (struct memory_store *)impl;
    release_view(&store->newest);
    (void)pthread_mutex_destroy(&store->lock);
    (void)pthread_mutex_destroy(&store->writing);
    sm_free(store);
}

static const struct smelt_store_ops memory_ops = {.snapshot = memory_snapshot,
                                                  .release = memory_release,
                                                  .get = memory_get,
                                                  .iterate = memory_iterate,
                                                  .write = memory_write,
                                                  .version = memory_version,
                                                  .close = memory_close};

enum smelt_status smelt_store_create_memory(struct smelt_store **out, struct smelt_error *err)
{
    *out = NULL;
    struct memory_store *store = (struct memory_store *)sm_calloc(1, sizeof(*store));
    if (store == NULL) {
        return no_memory(err);
    }
    store->handle = (struct smelt_store){.ops = &memory_ops, .impl = store};
    /* neither fails with default attributes (POSIX leaves no reason that applies) */
    (void)pthread_mutex_init(&store->writing, NULL);
    (void)pthread_mutex_init(&store->lock, NULL);
    *out = &store->handle;
    return SMELT_STATUS_OK;
}
