/* The state commitment: an authenticated tree over family STATE, in family TREE of the same store.
 * docs/commitment.md has the structure, the encodings and their source.
 *
 *     sm_commitment_root       is there one, and what is its root?
 *     sm_commitment_update     the writes of a batch --> the writes to the tree that go with it
 *
 * The public functions over it (enable, prove, verify) are in the same file. */
#ifndef SM_STATE_COMMITMENT_H
#define SM_STATE_COMMITMENT_H

#include <smelt/store.h>
#include <smelt/wave.h>

/* Reads the newest state. `*is_enabled` false: no tree, `*root` zeroes. */
enum smelt_status sm_commitment_root(struct smelt_store *store, struct smelt_hash *root,
                                     bool *is_enabled, struct smelt_error *err);

/* What a batch of state writes does to the tree of the newest state. Work is proportional to the
 * writes times the depth of the tree. */
struct sm_commitment_update {
    struct smelt_hash root;           /* after the batch */
    struct smelt_store_write *writes; /* families TREE and META; owned with what they point to */
    size_t count;
};
/* `writes` are of family STATE, in ascending key order, a key once. */
enum smelt_status sm_commitment_update(struct smelt_store *store,
                                       const struct smelt_store_write *writes, size_t count,
                                       struct sm_commitment_update **out, struct smelt_error *err);
void sm_commitment_update_destroy(struct sm_commitment_update *update);

/* The root of a tree over everything in family STATE of a snapshot, computed from scratch without
 * the tree. */
enum smelt_status sm_commitment_compute(struct smelt_store *store, void *snapshot,
                                        struct smelt_hash *root, struct smelt_error *err);

#endif
