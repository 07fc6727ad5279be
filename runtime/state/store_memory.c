/* The memory store: per family a persistent treap, so a snapshot is five pointers.
 *
 *     newest   ──▶ root ──▶ …            nodes are counted; a node that more than one tree (or
 *     snapshot ──▶ root' ──▶ …           more than one parent) holds is never changed, a writer
 *                                        copies it first (`own`)
 *
 * A write of b pairs into n costs O(b log n) expected time and memory; a snapshot costs O(1), and
 * keeps alive what it sees. Node priorities are a SipHash of the key under a random key: the shape
 * of a tree cannot be steered by whoever chooses the keys.
 *
 * Threads: `newest` is read and replaced under a lock; writers take turns. What a view holds is
 * never changed, so reading one takes no lock: a writer changes nodes that its own tree alone
 * holds, which nobody else can reach. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/random.h"
#include "base/status.h"

#include <smelt/store.h>

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define WHERE "store"

/* A key and its value, shared by all copies of a node. */
struct pair {
    atomic_size_t holders;
    struct smelt_slice key; /* slices into `bytes` */
    struct smelt_slice value;
    uint8_t bytes[];
};

enum side { LEFT, RIGHT };

struct node {
    atomic_size_t holders;
    uint64_t priority; /* a parent's is not less than its children's */
    struct pair *pair;
    struct node *child[2];
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
    struct sm_hash_key hash_key;
};

static enum smelt_status no_memory(struct smelt_error *err)
{
    return sm_error_no_memory(err, WHERE);
}

/* Pairs and nodes. */

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
    if (key.size != 0) {
        memcpy(pair->bytes, key.data, key.size);
    }
    if (value.size != 0) {
        memcpy(pair->bytes + key.size, value.data, value.size);
    }
    return pair;
}

static void hold(atomic_size_t *holders)
{
    atomic_fetch_add_explicit(holders, 1, memory_order_relaxed);
}

/* True for the last holder, which sees all uses by the others as over. */
static bool drop(atomic_size_t *holders)
{
    return atomic_fetch_sub_explicit(holders, 1, memory_order_acq_rel) == 1;
}

static void release_pair(struct pair *pair)
{
    if (drop(&pair->holders)) {
        sm_free(pair);
    }
}

static struct node *acquire(struct node *node)
{
    if (node != NULL) {
        hold(&node->holders);
    }
    return node;
}

/* Recursion is as deep as the tree: logarithmic, expected. */
static void release(struct node *node)
{
    if (node == NULL || !drop(&node->holders)) {
        return;
    }
    release(node->child[LEFT]);
    release(node->child[RIGHT]);
    release_pair(node->pair);
    sm_free(node);
}

static void fill(struct node *node, uint64_t priority, struct pair *pair)
{
    atomic_init(&node->holders, 1);
    node->priority = priority;
    node->pair = pair;
    hold(&pair->holders);
}

/* Makes `*slot` a node that this slot alone holds. */
static bool own(struct node **slot)
{
    struct node *shared = *slot;
    assert(shared != NULL);
    if (atomic_load_explicit(&shared->holders, memory_order_acquire) == 1) {
        return true;
    }
    struct node *copy = (struct node *)sm_alloc(sizeof(*copy));
    if (copy == NULL) {
        return false;
    }
    fill(copy, shared->priority, shared->pair);
    copy->child[LEFT] = acquire(shared->child[LEFT]);
    copy->child[RIGHT] = acquire(shared->child[RIGHT]);
    release(shared);
    *slot = copy;
    return true;
}

/* Trees. When a change returns false the tree is incomplete, but fit to be released: the batch
 * that was building it is given up. */

static uint64_t priority_of(const struct memory_store *store, struct smelt_slice key)
{
    return sm_hash_keyed(&store->hash_key, key);
}

/* Turns the owned child on `side` into the parent. */
static void rotate(struct node **slot, enum side side)
{
    struct node *parent = *slot;
    struct node *child = parent->child[side];
    parent->child[side] = child->child[!side];
    child->child[!side] = parent;
    *slot = child;
}

/* Holds `pair` in the tree, instead of one with the same key if there is one. */
static bool put(struct node **slot, struct pair *pair, uint64_t priority)
{
    if (*slot == NULL) {
        struct node *leaf = (struct node *)sm_calloc(1, sizeof(*leaf));
        if (leaf == NULL) {
            return false;
        }
        fill(leaf, priority, pair);
        *slot = leaf;
        return true;
    }
    if (!own(slot)) {
        return false;
    }
    struct node *node = *slot;
    int order = sm_slice_compare(pair->key, node->pair->key);
    if (order == 0) {
        release_pair(node->pair);
        node->pair = pair;
        hold(&pair->holders);
        return true;
    }
    enum side side = order < 0 ? LEFT : RIGHT;
    if (!put(&node->child[side], pair, priority)) {
        return false;
    }
    if (node->child[side]->priority > node->priority) {
        rotate(slot, side);
    }
    return true;
}

/* Fills the empty `*slot` with two trees, all of `left` before all of `right`; takes both. */
static bool join(struct node **slot, struct node *left, struct node *right)
{
    while (left != NULL && right != NULL) {
        bool is_left = left->priority > right->priority;
        struct node **top = is_left ? &left : &right;
        if (!own(top)) {
            release(left);
            release(right);
            return false;
        }
        *slot = *top;
        slot = &(*slot)->child[is_left ? RIGHT : LEFT];
        *top = *slot;
        *slot = NULL;
    }
    *slot = left != NULL ? left : right;
    return true;
}

static const struct pair *find(const struct node *node, struct smelt_slice key)
{
    while (node != NULL) {
        int order = sm_slice_compare(key, node->pair->key);
        if (order == 0) {
            return node->pair;
        }
        node = node->child[order < 0 ? LEFT : RIGHT];
    }
    return NULL;
}

/* The key must be in the tree: a deletion of nothing copies nothing. */
static bool take_out(struct node **slot, struct smelt_slice key)
{
    for (;;) {
        if (!own(slot)) {
            return false;
        }
        struct node *node = *slot;
        int order = sm_slice_compare(key, node->pair->key);
        if (order == 0) {
            struct node *left = node->child[LEFT];
            struct node *right = node->child[RIGHT];
            node->child[LEFT] = NULL;
            node->child[RIGHT] = NULL;
            release(node);
            *slot = NULL;
            return join(slot, left, right);
        }
        slot = &node->child[order < 0 ? LEFT : RIGHT];
    }
}

/* Visits the keys that start with `prefix` in order; false when the visitor stopped. */
static bool walk(const struct node *node, struct smelt_slice prefix, smelt_store_visit_fn visit,
                 void *context)
{
    if (node == NULL) {
        return true;
    }
    const struct pair *pair = node->pair;
    bool has_prefix = sm_slice_has_prefix(pair->key, prefix);
    bool is_before = !has_prefix && sm_slice_compare(pair->key, prefix) < 0;
    bool is_after = !has_prefix && !is_before;
    return (is_before || walk(node->child[LEFT], prefix, visit, context)) &&
           (!has_prefix || visit(context, pair->key, pair->value)) &&
           (is_after || walk(node->child[RIGHT], prefix, visit, context));
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
    const struct pair *pair = find(root, key);
    value->size = 0;
    *found = pair != NULL && sm_buf_append(value, pair->value.data, pair->value.size);
    enum smelt_status status = pair != NULL && !*found ? no_memory(err) : SMELT_STATUS_OK;
    release(root);
    return status;
}

static enum smelt_status memory_iterate(void *impl, void *snapshot, enum smelt_store_family family,
                                        struct smelt_slice prefix, smelt_store_visit_fn visit,
                                        void *context, struct smelt_error *err)
{
    (void)err;
    struct node *root = acquire_root(impl, snapshot, family);
    (void)walk(root, prefix, visit, context);
    release(root);
    return SMELT_STATUS_OK;
}

static enum smelt_status write_batch(struct memory_store *store,
                                     const struct smelt_store_write *writes, size_t count,
                                     struct smelt_error *err)
{
    struct view next;
    copy_newest(store, &next);
    for (size_t i = 0; i < count; i++) {
        struct node **root = &next.roots[writes[i].family];
        bool is_done;
        if (writes[i].is_delete) {
            is_done = find(*root, writes[i].key) == NULL || take_out(root, writes[i].key);
        } else {
            struct pair *pair = make_pair(writes[i].key, writes[i].value);
            is_done = pair != NULL && put(root, pair, priority_of(store, pair->key));
            if (pair != NULL) {
                release_pair(pair);
            }
        }
        if (!is_done) {
            release_view(&next);
            return no_memory(err);
        }
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
    enum smelt_status status = sm_hash_key_init(&store->hash_key, err);
    if (status != SMELT_STATUS_OK) {
        memory_close(store);
        return status;
    }
    *out = &store->handle;
    return SMELT_STATUS_OK;
}
