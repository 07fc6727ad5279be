/* The authenticated tree: a map from hashes to hashes, and a root that depends on nothing but what
 * is in the map. It is in family TREE of a store, in its newest version only; docs/commitment.md
 * has the encodings and their source.
 *
 * The root is that of a binary tree over all 2^256 keys (bit 0 is the highest of the first byte):
 *
 *     no key below    empty, 32 zeroes
 *     one key below   its leaf, at whatever depth
 *     more            the hash of the two halves
 *
 * Four levels of it are one node of the store, under the path that leads to it:
 *
 *     sm_tree_update      changes --> root and writes; touches the paths to the changed keys only
 *     sm_tree_find        the way from the root to a key, for a proof
 *     sm_tree_fold        the root of leaves in memory, without a store
 *
 * What is read from the store is trusted no further than its hash, which is the one that its parent
 * has: anything else is STORE_CORRUPT and names the path. */
#ifndef SM_STATE_TREE_H
#define SM_STATE_TREE_H

#include "base/arena.h"

#include <smelt/bytes.h>
#include <smelt/status.h>
#include <smelt/store.h>

#define SM_TREE_DEPTH_MAX 256u /* bits of a key */

struct sm_tree_leaf {
    struct smelt_hash key;
    struct smelt_hash value;
};

enum sm_tree_kind { SM_TREE_EMPTY = 0, SM_TREE_LEAF, SM_TREE_NODE };

struct sm_subtree {
    enum sm_tree_kind kind;
    struct smelt_hash hash; /* zeroes when it is empty */
};

void sm_tree_leaf(const struct sm_tree_leaf *leaf, struct sm_subtree *out);
/* The parent of two subtrees; `out` may be one of them. */
void sm_tree_join(const struct sm_subtree *left, const struct sm_subtree *right,
                  struct sm_subtree *out);
bool sm_tree_bit(const struct smelt_hash *key, size_t depth);
int sm_tree_compare_keys(const struct smelt_hash *a, const struct smelt_hash *b);

/* `leaves` are in ascending order of keys, a key once, and equal in the first `depth` bits. */
void sm_tree_fold(const struct sm_tree_leaf *leaves, size_t count, size_t depth,
                  struct sm_subtree *out);

/* A batch that owns what it points to. Zero-initialise. */
struct sm_tree_writes {
    struct smelt_store_write *writes;
    size_t count;
    size_t capacity;
    struct sm_arena memory;
};
/* Copies key and value; a NULL value is a deletion. False when memory is short. */
bool sm_tree_writes_add(struct sm_tree_writes *list, enum smelt_store_family family,
                        struct smelt_slice key, const struct smelt_slice *value);
void sm_tree_writes_deinit(struct sm_tree_writes *list);

struct sm_tree_change {
    struct sm_tree_leaf leaf; /* of a deletion only the key counts */
    bool is_delete;
};

/* Applies `changes`, in ascending order of keys, a key once, to the newest tree, whose root is
 * `*root`; adds the writes that do it, and sets `*root` to the new one. Deleting what is not there
 * and writing what is there already change no node. */
enum smelt_status sm_tree_update(struct smelt_store *store, struct smelt_hash *root,
                                 const struct sm_tree_change *changes, size_t count,
                                 struct sm_tree_writes *out, struct smelt_error *err);

/* The way to a key: it ends at an empty subtree or at a leaf, which may be another key's. */
struct sm_tree_path {
    size_t depth;                                  /* of the end */
    struct smelt_hash siblings[SM_TREE_DEPTH_MAX]; /* [i] is the other half of what is at depth i */
    enum sm_tree_kind end;                         /* EMPTY or LEAF */
    struct sm_tree_leaf leaf;
};
enum smelt_status sm_tree_find(struct smelt_store *store, void *snapshot,
                               const struct smelt_hash *root, const struct smelt_hash *key,
                               struct sm_tree_path *out, struct smelt_error *err);

#endif
