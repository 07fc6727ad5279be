/* The authenticated tree of tree.h: nodes of sixteen children, read and written one at a time.
 *
 *     key    depth u8, in nibbles ‖ that many nibbles of a key, two to a byte, the last one padded
 *     value  which children there are u16 LE ‖ which of them are leaves u16 LE ‖ in their order:
 *              key[32] ‖ value[32]   of a leaf
 *              hash[32]              of a node
 *
 * A node holds two leaves or more, so what is left with one gives it to its parent. The node of
 * depth 0 is the exception: it has all there is, and is missing when that is nothing. With that
 * there is one set of nodes for a set of leaves. */
#include "runtime/state/tree.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define WHERE "commitment"

/* Under the root of every commitment: fixed. */
#define LEAF_DOMAIN "smelt.tree-leaf.v1"
#define NODE_DOMAIN "smelt.tree-node.v1"

enum {
    CHILDREN = 16,
    NIBBLES = 2 * SMELT_HASH_BYTES,
    NODE_KEY_BYTES_MAX = 1 + SMELT_HASH_BYTES,
    NODE_HEADER_BYTES = 4,
    NODE_BYTES_MAX = NODE_HEADER_BYTES + CHILDREN * 2 * SMELT_HASH_BYTES
};

/* ---- hashes ---------------------------------------------------------------------------------- */

static void hash_two(const char *domain, const struct smelt_hash *first,
                     const struct smelt_hash *second, struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_digest_init(&digest, domain);
    sm_digest_hash(&digest, first);
    sm_digest_hash(&digest, second);
    sm_digest_final(&digest, out);
}

void sm_tree_leaf(const struct sm_tree_leaf *leaf, struct sm_subtree *out)
{
    out->kind = SM_TREE_LEAF;
    hash_two(LEAF_DOMAIN, &leaf->key, &leaf->value, &out->hash);
}

void sm_tree_join(const struct sm_subtree *left, const struct sm_subtree *right,
                  struct sm_subtree *out)
{
    if (left->kind == SM_TREE_EMPTY && right->kind != SM_TREE_NODE) {
        *out = *right;
    } else if (right->kind == SM_TREE_EMPTY && left->kind != SM_TREE_NODE) {
        *out = *left;
    } else {
        hash_two(NODE_DOMAIN, &left->hash, &right->hash, &out->hash);
        out->kind = SM_TREE_NODE;
    }
}

bool sm_tree_bit(const struct smelt_hash *key, size_t depth)
{
    return (key->bytes[depth / 8] >> (7 - depth % 8) & 1) != 0;
}

int sm_tree_compare_keys(const struct smelt_hash *a, const struct smelt_hash *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

/* The first of the sorted leaves whose bit at `depth` is set. */
static size_t find_split(const struct sm_tree_leaf *leaves, size_t count, size_t depth)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (sm_tree_bit(&leaves[middle].key, depth)) {
            count = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* Recursion is as deep as two keys have bits in common. */
void sm_tree_fold(const struct sm_tree_leaf *leaves, size_t count, size_t depth,
                  struct sm_subtree *out)
{
    if (count == 0) {
        *out = (struct sm_subtree){.kind = SM_TREE_EMPTY};
        return;
    }
    if (count == 1) {
        sm_tree_leaf(leaves, out);
        return;
    }
    assert(depth < SM_TREE_DEPTH_MAX);
    struct sm_subtree right;
    size_t split = find_split(leaves, count, depth);
    sm_tree_fold(leaves, split, depth + 1, out);
    sm_tree_fold(leaves + split, count - split, depth + 1, &right);
    sm_tree_join(out, &right, out);
}

/* ---- writes ---------------------------------------------------------------------------------- */

static bool copy_slice(struct sm_arena *memory, struct smelt_slice from, struct smelt_slice *out)
{
    *out = sm_slice(NULL, 0);
    if (from.size == 0) {
        return true;
    }
    void *copy = sm_arena_calloc(memory, from.size, 1);
    if (copy == NULL) {
        return false;
    }
    memcpy(copy, from.data, from.size);
    *out = sm_slice(copy, from.size);
    return true;
}

bool sm_tree_writes_add(struct sm_tree_writes *list, enum smelt_store_family family,
                        struct smelt_slice key, const struct smelt_slice *value)
{
    struct smelt_store_write write = {.family = family, .is_delete = value == NULL};
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 16 : 2 * list->capacity;
        void *grown = sm_realloc_array(list->writes, capacity, sizeof(*list->writes));
        if (grown == NULL) {
            return false;
        }
        list->writes = (struct smelt_store_write *)grown;
        list->capacity = capacity;
    }
    if (!copy_slice(&list->memory, key, &write.key) ||
        (value != NULL && !copy_slice(&list->memory, *value, &write.value))) {
        return false;
    }
    list->writes[list->count] = write;
    list->count++;
    return true;
}

void sm_tree_writes_deinit(struct sm_tree_writes *list)
{
    sm_free(list->writes);
    sm_arena_deinit(&list->memory);
    *list = (struct sm_tree_writes){0};
}

/* ---- nodes ----------------------------------------------------------------------------------- */

/* The binary tree inside a node is a heap: [1] is the node as a whole, [2i] and [2i + 1] are the
 * halves of [i], and child c is [CHILDREN + c]. */
struct node {
    struct sm_subtree at[2 * CHILDREN];
    struct sm_tree_leaf leaves[CHILDREN]; /* where the child is one */
    uint32_t dirty;                       /* bit i: [i] is not what its parent was made of */
};

static unsigned nibble(const struct smelt_hash *key, size_t depth)
{
    uint8_t byte = key->bytes[depth / 2];
    return depth % 2 == 0 ? byte >> 4 : byte & 0xf;
}

static bool has_child(uint32_t set, unsigned child)
{
    return (set >> child & 1) != 0;
}

/* Where a node is: the first `depth` nibbles of `key`. */
struct place {
    const struct smelt_hash *key;
    size_t depth;
};

static struct smelt_slice node_key(struct place place, uint8_t out[NODE_KEY_BYTES_MAX])
{
    size_t size = (place.depth + 1) / 2;
    out[0] = (uint8_t)place.depth;
    memcpy(out + 1, place.key->bytes, size);
    if (place.depth % 2 != 0) {
        out[size] &= 0xf0;
    }
    return sm_slice(out, 1 + size);
}

static bool is_below(struct place place, const struct smelt_hash *key)
{
    return memcmp(key->bytes, place.key->bytes, place.depth / 2) == 0 &&
           (place.depth % 2 == 0 ||
            nibble(key, place.depth - 1) == nibble(place.key, place.depth - 1));
}

static enum smelt_status corrupt(struct place place, const char *what, struct smelt_error *err)
{
    char path[NIBBLES + 1];
    smelt_hex_encode(place.key->bytes, SMELT_HASH_BYTES, path);
    path[place.depth] = '\0';
    return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                        "the node at path \"%s\" of the state commitment %s: the state is damaged, "
                        "restore it from a copy",
                        path, what);
}

static void rehash(struct node *node)
{
    for (size_t i = CHILDREN - 1; i > 0; i--) {
        if ((node->dirty >> (2 * i) & 3) != 0) {
            sm_tree_join(&node->at[2 * i], &node->at[2 * i + 1], &node->at[i]);
            node->dirty |= UINT32_C(1) << i;
        }
    }
    node->dirty = 0;
}

static void set_child(struct node *node, unsigned child, const struct sm_subtree *subtree,
                      const struct sm_tree_leaf *leaf)
{
    node->at[CHILDREN + child] = *subtree;
    if (subtree->kind == SM_TREE_LEAF) {
        node->leaves[child] = *leaf;
    }
    node->dirty |= UINT32_C(1) << (CHILDREN + child);
}

/* The leaf that [i] is. */
static const struct sm_tree_leaf *leaf_at(const struct node *node, size_t i)
{
    assert(node->at[i].kind == SM_TREE_LEAF);
    while (i < CHILDREN) {
        i = node->at[2 * i].kind == SM_TREE_LEAF ? 2 * i : 2 * i + 1;
    }
    return &node->leaves[i - CHILDREN];
}

static struct smelt_slice encode_node(const struct node *node, uint8_t out[NODE_BYTES_MAX])
{
    uint32_t present = 0;
    uint32_t leaves = 0;
    size_t size = NODE_HEADER_BYTES;
    for (unsigned child = 0; child < CHILDREN; child++) {
        const struct sm_subtree *at = &node->at[CHILDREN + child];
        if (at->kind == SM_TREE_EMPTY) {
            continue;
        }
        present |= UINT32_C(1) << child;
        if (at->kind == SM_TREE_LEAF) {
            leaves |= UINT32_C(1) << child;
            memcpy(out + size, node->leaves[child].key.bytes, SMELT_HASH_BYTES);
            size += SMELT_HASH_BYTES;
            memcpy(out + size, node->leaves[child].value.bytes, SMELT_HASH_BYTES);
        } else {
            memcpy(out + size, at->hash.bytes, SMELT_HASH_BYTES);
        }
        size += SMELT_HASH_BYTES;
    }
    sm_store_le32(out, present | leaves << CHILDREN);
    return sm_slice(out, size);
}

/* Returns what is wrong with the bytes, NULL for nothing. Hashes only what has the right form. */
static const char *decode_node(struct smelt_slice bytes, struct place place, struct node *out)
{
    memset(out, 0, sizeof(*out));
    if (bytes.size < NODE_HEADER_BYTES) {
        return "is cut short";
    }
    uint32_t present = sm_load_le32(bytes.data) & 0xffff;
    uint32_t leaves = sm_load_le32(bytes.data) >> CHILDREN;
    size_t hashes = (size_t)__builtin_popcount(present) + (size_t)__builtin_popcount(leaves);
    if (present == 0 || (leaves & ~present) != 0) {
        return "has no children, or leaves that are none";
    }
    if (bytes.size != NODE_HEADER_BYTES + hashes * SMELT_HASH_BYTES) {
        return "has another size than its children";
    }
    if (place.depth == NIBBLES - 1 && leaves != present) {
        return "goes on below the last level";
    }
    const uint8_t *at = bytes.data + NODE_HEADER_BYTES;
    for (unsigned child = 0; child < CHILDREN; child++) {
        struct sm_tree_leaf leaf;
        struct sm_subtree subtree = {.kind = SM_TREE_NODE};
        if (!has_child(present, child)) {
            continue;
        }
        if (has_child(leaves, child)) {
            memcpy(leaf.key.bytes, at, SMELT_HASH_BYTES);
            at += SMELT_HASH_BYTES;
            memcpy(leaf.value.bytes, at, SMELT_HASH_BYTES);
            if (!is_below(place, &leaf.key) || nibble(&leaf.key, place.depth) != child) {
                return "has a leaf that belongs elsewhere";
            }
            sm_tree_leaf(&leaf, &subtree);
        } else {
            memcpy(subtree.hash.bytes, at, SMELT_HASH_BYTES);
        }
        at += SMELT_HASH_BYTES;
        set_child(out, child, &subtree, &leaf);
    }
    rehash(out);
    return out->at[1].kind == SM_TREE_LEAF && place.depth != 0 ? "has one leaf only" : NULL;
}

/* `bytes` is scratch. */
static enum smelt_status read_node(struct smelt_store *store, void *snapshot, struct place place,
                                   const struct smelt_hash *expected, struct smelt_buf *bytes,
                                   struct node *out, struct smelt_error *err)
{
    uint8_t key[NODE_KEY_BYTES_MAX];
    bool is_found = false;
    enum smelt_status status = store->ops->get(store->impl, snapshot, SMELT_STORE_TREE,
                                               node_key(place, key), bytes, &is_found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!is_found) {
        return corrupt(place, "is missing", err);
    }
    const char *what = decode_node(sm_buf_slice(bytes), place, out);
    if (what == NULL && !sm_hash_equal(&out->at[1].hash, expected)) {
        what = "does not have the hash that its parent has for it";
    }
    return what != NULL ? corrupt(place, what, err) : SMELT_STATUS_OK;
}

/* ---- update ---------------------------------------------------------------------------------- */

struct update {
    struct smelt_store *store;
    struct sm_tree_writes *out;
    struct smelt_error *err;
    struct smelt_buf bytes; /* scratch */
    struct node *nodes;     /* one per depth: those on the path that is being changed */
};

/* Whether no more than one leaf comes out of changes to an empty subtree or a leaf; then `*at` and
 * `*leaf` are what comes out. */
static bool settle(const struct sm_tree_change *changes, size_t count, struct sm_subtree *at,
                   struct sm_tree_leaf *leaf)
{
    bool is_leaf = at->kind == SM_TREE_LEAF;
    const struct sm_tree_leaf *only = is_leaf ? leaf : NULL;
    size_t others = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sm_tree_leaf *changed = changes[i].is_delete ? NULL : &changes[i].leaf;
        if (is_leaf && sm_tree_compare_keys(&changes[i].leaf.key, &leaf->key) == 0) {
            only = changed;
        } else if (changed != NULL) {
            others++;
        }
    }
    if (others + (only != NULL ? 1 : 0) > 1) {
        return false;
    }
    for (size_t i = 0; only == NULL && i < count; i++) {
        only = changes[i].is_delete ? NULL : &changes[i].leaf;
    }
    if (only != NULL) {
        *leaf = *only;
        sm_tree_leaf(leaf, at);
    } else {
        *at = (struct sm_subtree){.kind = SM_TREE_EMPTY};
    }
    return true;
}

static enum smelt_status change_node(struct update *update, size_t depth,
                                     const struct sm_tree_change *changes, size_t count,
                                     struct sm_subtree *at, struct sm_tree_leaf *leaf);

/* Applies changes below one child of a node. */
static enum smelt_status change_child(struct update *update, size_t depth, struct node *node,
                                      const struct sm_tree_change *changes, size_t count)
{
    unsigned child = nibble(&changes->leaf.key, depth);
    struct sm_subtree at = node->at[CHILDREN + child];
    struct sm_tree_leaf leaf = node->leaves[child];
    if (at.kind == SM_TREE_NODE || !settle(changes, count, &at, &leaf)) {
        enum smelt_status status = change_node(update, depth + 1, changes, count, &at, &leaf);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
    }
    const struct sm_subtree *old = &node->at[CHILDREN + child];
    if (at.kind != old->kind || !sm_hash_equal(&at.hash, &old->hash)) {
        set_child(node, child, &at, &leaf);
    }
    return SMELT_STATUS_OK;
}

/* Applies changes to the subtree `*at`, which starts at a node's place; it and `*leaf`, when it is
 * a leaf, are replaced by what becomes of them. What is no node yet is made one, for the time
 * being. Recursion is as deep as the tree. */
static enum smelt_status change_node(struct update *update, size_t depth,
                                     const struct sm_tree_change *changes, size_t count,
                                     struct sm_subtree *at, struct sm_tree_leaf *leaf)
{
    assert(depth < NIBBLES && count != 0);
    struct node *node = &update->nodes[depth];
    struct place place = {.key = &changes->leaf.key, .depth = depth};
    bool is_stored = at->kind == SM_TREE_NODE;
    enum smelt_status status = SMELT_STATUS_OK;
    if (is_stored) {
        status =
            read_node(update->store, NULL, place, &at->hash, &update->bytes, node, update->err);
    } else {
        memset(node, 0, sizeof(*node));
        if (at->kind == SM_TREE_LEAF) {
            set_child(node, nibble(&leaf->key, depth), at, leaf);
        }
    }
    for (size_t first = 0, last; status == SMELT_STATUS_OK && first < count; first = last) {
        unsigned child = nibble(&changes[first].leaf.key, depth);
        last = first + 1;
        while (last < count && nibble(&changes[last].leaf.key, depth) == child) {
            last++;
        }
        status = change_child(update, depth, node, changes + first, last - first);
    }
    if (status != SMELT_STATUS_OK || node->dirty == 0) {
        return status;
    }
    rehash(node);
    *at = node->at[1];
    uint8_t key[NODE_KEY_BYTES_MAX];
    uint8_t bytes[NODE_BYTES_MAX];
    bool is_added = true;
    if (at->kind == SM_TREE_NODE || (at->kind == SM_TREE_LEAF && depth == 0)) {
        struct smelt_slice value = encode_node(node, bytes);
        is_added = sm_tree_writes_add(update->out, SMELT_STORE_TREE, node_key(place, key), &value);
    } else {
        if (is_stored) {
            is_added =
                sm_tree_writes_add(update->out, SMELT_STORE_TREE, node_key(place, key), NULL);
        }
        if (at->kind == SM_TREE_LEAF) {
            *leaf = *leaf_at(node, 1);
        }
    }
    return is_added ? SMELT_STATUS_OK : sm_error_no_memory(update->err, WHERE);
}

/* Zeroes are the root of nothing, and then there is no node; any other root is that of the node of
 * depth 0. */
static enum smelt_status open_root(struct smelt_store *store, void *snapshot,
                                   const struct smelt_hash *root, struct smelt_buf *bytes,
                                   struct sm_subtree *out, struct smelt_error *err)
{
    static const struct smelt_hash empty;
    const struct place place = {.key = &empty, .depth = 0};
    uint8_t key[NODE_KEY_BYTES_MAX];
    bool is_found = false;
    *out = (struct sm_subtree){.kind = SM_TREE_NODE, .hash = *root};
    if (!sm_hash_equal(root, &empty)) {
        return SMELT_STATUS_OK;
    }
    out->kind = SM_TREE_EMPTY;
    enum smelt_status status = store->ops->get(store->impl, snapshot, SMELT_STORE_TREE,
                                               node_key(place, key), bytes, &is_found, err);
    return status == SMELT_STATUS_OK && is_found
               ? corrupt(place, "is there, and the root is that of an empty tree", err)
               : status;
}

enum smelt_status sm_tree_update(struct smelt_store *store, struct smelt_hash *root,
                                 const struct sm_tree_change *changes, size_t count,
                                 struct sm_tree_writes *out, struct smelt_error *err)
{
    struct update update = {.store = store, .out = out, .err = err};
    struct sm_subtree at;
    struct sm_tree_leaf unused;
    enum smelt_status status = SMELT_STATUS_OK;
    if (count == 0) {
        return SMELT_STATUS_OK;
    }
    for (size_t i = 1; i < count; i++) {
        assert(sm_tree_compare_keys(&changes[i - 1].leaf.key, &changes[i].leaf.key) < 0);
    }
    SMELT_TRY(open_root(store, NULL, root, &update.bytes, &at, err));
    update.nodes = (struct node *)sm_alloc(NIBBLES * sizeof(*update.nodes));
    if (update.nodes == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    SMELT_TRY(change_node(&update, 0, changes, count, &at, &unused));
    *root = at.hash;
cleanup:
    sm_free(update.nodes);
    smelt_buf_deinit(&update.bytes);
    return status;
}

/* ---- look-up --------------------------------------------------------------------------------- */

enum smelt_status sm_tree_find(struct smelt_store *store, void *snapshot,
                               const struct smelt_hash *root, const struct smelt_hash *key,
                               struct sm_tree_path *out, struct smelt_error *err)
{
    struct node node;
    struct smelt_buf bytes = {0};
    struct sm_subtree at;
    enum smelt_status status = SMELT_STATUS_OK;
    memset(out, 0, sizeof(*out));
    SMELT_TRY(open_root(store, snapshot, root, &bytes, &at, err));
    for (size_t depth = 0; at.kind == SM_TREE_NODE; depth++) {
        size_t i = 1;
        SMELT_TRY(read_node(store, snapshot, (struct place){.key = key, .depth = depth}, &at.hash,
                            &bytes, &node, err));
        while (i < CHILDREN && node.at[i].kind == SM_TREE_NODE) {
            i = 2 * i + (sm_tree_bit(key, out->depth) ? 1 : 0);
            out->siblings[out->depth] = node.at[i ^ 1].hash;
            out->depth++;
        }
        at = node.at[i];
        if (at.kind == SM_TREE_LEAF) {
            out->leaf = *leaf_at(&node, i);
        }
    }
    out->end = at.kind;
cleanup:
    smelt_buf_deinit(&bytes);
    return status;
}
