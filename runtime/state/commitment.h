/* The state commitment: an authenticated tree (tree.h) over family STATE, in family TREE of the
 * same store. docs/commitment.md has the structure, the encodings and their source.
 *
 *     sm_commitment_root       is there one, and what is its root?
 *     sm_commitment_update     the writes of a batch --> the writes to the tree that go with it
 *
 * There is one when META "commitment" is there (keys.h): format u32 LE ‖ root[32]. Without it,
 * whatever is in family TREE is what an interrupted smelt_commitment_enable has left.
 *
 * smelt_commitment_enable and _root are in commitment.c, smelt_state_prove and smelt_proof_verify
 * in proof.c. */
#ifndef SM_STATE_COMMITMENT_H
#define SM_STATE_COMMITMENT_H

#include "runtime/state/tree.h"

#include <smelt/store.h>
#include <smelt/wave.h>

#define SM_COMMITMENT_FORMAT 1u

/* What the tree has for a pair of family STATE. */
void sm_commitment_hash_key(struct smelt_slice key, struct smelt_hash *out);
void sm_commitment_hash_value(struct smelt_slice value, struct smelt_hash *out);

/* Of a snapshot, or the newest state when it is NULL. `*is_enabled` false: no tree, `*root`
 * zeroes. */
enum smelt_status sm_commitment_root_at(struct smelt_store *store, void *snapshot,
                                        struct smelt_hash *root, bool *is_enabled,
                                        struct smelt_error *err);
/* Reads the newest state. */
enum smelt_status sm_commitment_root(struct smelt_store *store, struct smelt_hash *root,
                                     bool *is_enabled, struct smelt_error *err);

/* What a batch of state writes does to the tree of the newest state. Work is proportional to the
 * writes times the depth of the tree. */
struct sm_commitment_update {
    struct smelt_hash root;           /* after the batch */
    struct smelt_store_write *writes; /* families TREE and META; owned with what they point to */
    size_t count;
};
/* `writes` are of family STATE, a key once. `*out` is NULL when no commitment is enabled. */
enum smelt_status sm_commitment_update(struct smelt_store *store,
                                       const struct smelt_store_write *writes, size_t count,
                                       struct sm_commitment_update **out, struct smelt_error *err);
void sm_commitment_update_destroy(struct sm_commitment_update *update);

/* smelt_commitment_enable with `batch` pairs (at least 1) to a batch. */
enum smelt_status sm_commitment_enable_within(struct smelt_store *store, size_t batch,
                                              struct smelt_error *err);

/* The root of a tree over everything in family STATE of a snapshot (NULL: of the newest state),
 * computed from scratch without the tree. */
enum smelt_status sm_commitment_compute(struct smelt_store *store, void *snapshot,
                                        struct smelt_hash *root, struct smelt_error *err);
/* The same with about `leaves_max` leaves of 64 bytes in memory at a time. */
enum smelt_status sm_commitment_compute_within(struct smelt_store *store, void *snapshot,
                                               size_t leaves_max, struct smelt_hash *root,
                                               struct smelt_error *err);

#endif
