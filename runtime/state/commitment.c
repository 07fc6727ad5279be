/* The commitment to the state: pairs of family STATE as leaves of the tree, the record of the root,
 * and building it over a state that has none. */
#include "runtime/state/commitment.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"

#include <stdlib.h>
#include <string.h>

#define WHERE "commitment"

/* Under the root of every commitment: fixed. */
#define KEY_DOMAIN   "smelt.state-key.v1"
#define VALUE_DOMAIN "smelt.state-value.v1"

#define RECORD_KEY "commitment"

enum { RECORD_BYTES = 4 + SMELT_HASH_BYTES };

/* Pairs, or leftovers, that one write of smelt_commitment_enable takes: with what they do to the
 * tree, some 70 MB. More would be faster, since the same nodes change in every write. */
#define ENABLE_BATCH ((size_t)65536)

/* Leaves in memory at a time: half a gigabyte, and 10^7 pairs are read twice. */
#define COMPUTE_LEAVES_MAX ((size_t)1 << 23)

static void hash_slice(const char *domain, struct smelt_slice data, struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_digest_init(&digest, domain);
    sm_digest_slice(&digest, data);
    sm_digest_final(&digest, out);
}

void sm_commitment_hash_key(struct smelt_slice key, struct smelt_hash *out)
{
    hash_slice(KEY_DOMAIN, key, out);
}

void sm_commitment_hash_value(struct smelt_slice value, struct smelt_hash *out)
{
    hash_slice(VALUE_DOMAIN, value, out);
}

/* ---- the record ------------------------------------------------------------------------------ */

enum smelt_status sm_commitment_root_at(struct smelt_store *store, void *snapshot,
                                        struct smelt_hash *root, bool *is_enabled,
                                        struct smelt_error *err)
{
    struct smelt_buf record = {0};
    bool is_found = false;
    enum smelt_status status = SMELT_STATUS_OK;
    memset(root, 0, sizeof(*root));
    *is_enabled = false;
    SMELT_TRY(store->ops->get(store->impl, snapshot, SMELT_STORE_META,
                              smelt_slice_from_string(RECORD_KEY), &record, &is_found, err));
    if (!is_found) {
        goto cleanup;
    }
    if (record.size != RECORD_BYTES) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "the state's record " RECORD_KEY " has %zu bytes instead of %d: the "
                              "state is damaged, restore it from a copy",
                              record.size, RECORD_BYTES);
        goto cleanup;
    }
    if (sm_load_le32(record.data) != SM_COMMITMENT_FORMAT) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "the state commitment has format %u, and this version of smelt knows "
                              "%u: use the version that wrote it, or restore the state from a copy",
                              sm_load_le32(record.data), SM_COMMITMENT_FORMAT);
        goto cleanup;
    }
    memcpy(root->bytes, record.data + 4, SMELT_HASH_BYTES);
    *is_enabled = true;
cleanup:
    smelt_buf_deinit(&record);
    return status;
}

enum smelt_status sm_commitment_root(struct smelt_store *store, struct smelt_hash *root,
                                     bool *is_enabled, struct smelt_error *err)
{
    return sm_commitment_root_at(store, NULL, root, is_enabled, err);
}

enum smelt_status smelt_commitment_root(struct smelt_store *store, struct smelt_hash *out,
                                        bool *is_enabled, struct smelt_error *err)
{
    if (store == NULL || out == NULL || is_enabled == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "store, root and is_enabled are required");
    }
    return sm_commitment_root(store, out, is_enabled, err);
}

static enum smelt_status add_record(struct sm_tree_writes *list, const struct smelt_hash *root,
                                    struct smelt_error *err)
{
    uint8_t record[RECORD_BYTES];
    sm_store_le32(record, SM_COMMITMENT_FORMAT);
    memcpy(record + 4, root->bytes, SMELT_HASH_BYTES);
    struct smelt_slice value = sm_slice(record, sizeof(record));
    return sm_tree_writes_add(list, SMELT_STORE_META, smelt_slice_from_string(RECORD_KEY), &value)
               ? SMELT_STATUS_OK
               : sm_error_no_memory(err, WHERE);
}

/* ---- batches --------------------------------------------------------------------------------- */

static int compare_changes(const void *a, const void *b)
{
    return sm_tree_compare_keys(&((const struct sm_tree_change *)a)->leaf.key,
                                &((const struct sm_tree_change *)b)->leaf.key);
}

static enum smelt_status key_twice(struct smelt_error *err)
{
    return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                        "a key of the state occurs twice: the state is damaged, restore it from a "
                        "copy");
}

/* Into the order of the tree. */
static enum smelt_status sort_changes(struct sm_tree_change *changes, size_t count,
                                      struct smelt_error *err)
{
    if (count != 0) {
        qsort(changes, count, sizeof(*changes), compare_changes);
    }
    for (size_t i = 1; i < count; i++) {
        if (compare_changes(&changes[i - 1], &changes[i]) == 0) {
            return key_twice(err);
        }
    }
    return SMELT_STATUS_OK;
}

/* What sm_commitment_update gives away, and what holds it. */
struct owned_update {
    struct sm_commitment_update update;
    struct sm_tree_writes list;
};

void sm_commitment_update_destroy(struct sm_commitment_update *update)
{
    if (update != NULL) {
        struct owned_update *owned = (struct owned_update *)update;
        sm_tree_writes_deinit(&owned->list);
        sm_free(owned);
    }
}

enum smelt_status sm_commitment_update(struct smelt_store *store,
                                       const struct smelt_store_write *writes, size_t count,
                                       struct sm_commitment_update **out, struct smelt_error *err)
{
    struct owned_update *owned = NULL;
    struct sm_tree_change *changes = NULL;
    struct smelt_hash root;
    bool is_enabled = false;
    enum smelt_status status = SMELT_STATUS_OK;
    *out = NULL;
    SMELT_TRY(sm_commitment_root(store, &root, &is_enabled, err));
    if (!is_enabled) {
        goto cleanup;
    }
    owned = (struct owned_update *)sm_calloc(1, sizeof(*owned));
    changes = (struct sm_tree_change *)sm_calloc(count + 1, sizeof(*changes));
    if (owned == NULL || changes == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    for (size_t i = 0; i < count; i++) {
        changes[i].is_delete = writes[i].is_delete;
        sm_commitment_hash_key(writes[i].key, &changes[i].leaf.key);
        if (!writes[i].is_delete) {
            sm_commitment_hash_value(writes[i].value, &changes[i].leaf.value);
        }
    }
    SMELT_TRY(sort_changes(changes, count, err));
    SMELT_TRY(sm_tree_update(store, &root, changes, count, &owned->list, err));
    if (owned->list.count != 0) {
        SMELT_TRY(add_record(&owned->list, &root, err));
    }
    owned->update = (struct sm_commitment_update){
        .root = root, .writes = owned->list.writes, .count = owned->list.count};
    *out = &owned->update;
    owned = NULL;
cleanup:
    sm_commitment_update_destroy(owned != NULL ? &owned->update : NULL);
    sm_free(changes);
    return status;
}

/* ---- enabling -------------------------------------------------------------------------------- */

/* Leftovers are removed, and the tree is built, while the family is being visited: neither is ever
 * in memory as a whole. Until the last batch there is no record, so no tree. */
struct enabling {
    struct smelt_store *store;
    struct smelt_hash root;         /* of what has been written */
    size_t batch;                   /* pairs, or leftovers, that one write takes */
    struct sm_tree_change *changes; /* that have not been written */
    size_t count;
    struct sm_tree_writes list; /* of the current batch */
    struct smelt_error *err;
    enum smelt_status status;
};

static enum smelt_status write_batch(struct enabling *enabling)
{
    struct smelt_store *store = enabling->store;
    enum smelt_status status =
        store->ops->write(store->impl, enabling->list.writes, enabling->list.count, enabling->err);
    sm_tree_writes_deinit(&enabling->list);
    return status;
}

static bool remove_node(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct enabling *enabling = (struct enabling *)context;
    (void)value;
    if (!sm_tree_writes_add(&enabling->list, SMELT_STORE_TREE, key, NULL)) {
        enabling->status = sm_error_no_memory(enabling->err, WHERE);
    } else if (enabling->list.count == enabling->batch) {
        enabling->status = write_batch(enabling);
    }
    return enabling->status == SMELT_STATUS_OK;
}

static enum smelt_status add_pairs(struct enabling *enabling)
{
    enum smelt_status status = sort_changes(enabling->changes, enabling->count, enabling->err);
    if (status == SMELT_STATUS_OK) {
        status = sm_tree_update(enabling->store, &enabling->root, enabling->changes,
                                enabling->count, &enabling->list, enabling->err);
    }
    enabling->count = 0;
    return status;
}

static bool add_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct enabling *enabling = (struct enabling *)context;
    struct sm_tree_change *change = &enabling->changes[enabling->count];
    sm_commitment_hash_key(key, &change->leaf.key);
    sm_commitment_hash_value(value, &change->leaf.value);
    change->is_delete = false;
    enabling->count++;
    if (enabling->count == enabling->batch) {
        enabling->status = add_pairs(enabling);
        if (enabling->status == SMELT_STATUS_OK) {
            enabling->status = write_batch(enabling);
        }
    }
    return enabling->status == SMELT_STATUS_OK;
}

static enum smelt_status visit_family(struct enabling *enabling, void *snapshot,
                                      enum smelt_store_family family, smelt_store_visit_fn visit)
{
    struct smelt_store *store = enabling->store;
    enum smelt_status status = store->ops->iterate(store->impl, snapshot, family, sm_slice(NULL, 0),
                                                   visit, enabling, enabling->err);
    return status != SMELT_STATUS_OK ? status : enabling->status;
}

enum smelt_status sm_commitment_enable_within(struct smelt_store *store, size_t batch,
                                              struct smelt_error *err)
{
    struct enabling enabling = {.store = store, .batch = batch, .err = err};
    void *snapshot = NULL;
    bool is_enabled = false;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_commitment_root(store, &enabling.root, &is_enabled, err));
    if (is_enabled) {
        goto cleanup;
    }
    enabling.changes = (struct sm_tree_change *)sm_calloc(batch, sizeof(*enabling.changes));
    if (enabling.changes == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    SMELT_TRY(store->ops->snapshot(store->impl, &snapshot, err));
    SMELT_TRY(visit_family(&enabling, snapshot, SMELT_STORE_TREE, remove_node));
    SMELT_TRY(write_batch(&enabling));
    SMELT_TRY(visit_family(&enabling, snapshot, SMELT_STORE_STATE, add_pair));
    SMELT_TRY(add_pairs(&enabling));
    SMELT_TRY(add_record(&enabling.list, &enabling.root, err));
    SMELT_TRY(write_batch(&enabling));
cleanup:
    if (snapshot != NULL) {
        store->ops->release(store->impl, snapshot);
    }
    sm_tree_writes_deinit(&enabling.list);
    sm_free(enabling.changes);
    return status;
}

enum smelt_status smelt_commitment_enable(struct smelt_store *store, struct smelt_error *err)
{
    return store != NULL
               ? sm_commitment_enable_within(store, ENABLE_BATCH, err)
               : sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE, "a store is required");
}

/* ---- from scratch ---------------------------------------------------------------------------- */

/* One pass over the state takes the pairs whose key hashes start with the `prefix_bits` bits of
 * `prefix`. */
struct pass {
    size_t prefix_bits;
    uint32_t prefix;
    struct sm_tree_leaf *leaves;
    size_t count;
    size_t capacity;
    size_t pair_count; /* all there are */
    bool is_short;     /* of memory */
};

static bool count_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct pass *pass = (struct pass *)context;
    (void)key;
    (void)value;
    pass->pair_count++;
    return true;
}

static bool has_prefix(const struct pass *pass, const struct smelt_hash *key)
{
    uint32_t prefix = 0;
    for (size_t i = 0; i < pass->prefix_bits; i++) {
        prefix = prefix << 1 | (sm_tree_bit(key, i) ? 1 : 0);
    }
    return prefix == pass->prefix;
}

static bool take_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct pass *pass = (struct pass *)context;
    struct smelt_hash hash;
    sm_commitment_hash_key(key, &hash);
    if (!has_prefix(pass, &hash)) {
        return true;
    }
    if (pass->count == pass->capacity) {
        size_t capacity = pass->capacity + pass->capacity / 2 + 64;
        void *grown = sm_realloc_array(pass->leaves, capacity, sizeof(*pass->leaves));
        if (grown == NULL) {
            pass->is_short = true;
            return false;
        }
        pass->leaves = (struct sm_tree_leaf *)grown;
        pass->capacity = capacity;
    }
    pass->leaves[pass->count].key = hash;
    sm_commitment_hash_value(value, &pass->leaves[pass->count].value);
    pass->count++;
    return true;
}

static int compare_leaves(const void *a, const void *b)
{
    return sm_tree_compare_keys(&((const struct sm_tree_leaf *)a)->key,
                                &((const struct sm_tree_leaf *)b)->key);
}

static enum smelt_status run_pass(struct smelt_store *store, void *snapshot, struct pass *pass,
                                  struct sm_subtree *out, struct smelt_error *err)
{
    pass->count = 0;
    enum smelt_status status = store->ops->iterate(store->impl, snapshot, SMELT_STORE_STATE,
                                                   sm_slice(NULL, 0), take_pair, pass, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (pass->is_short) {
        return sm_error_no_memory(err, WHERE);
    }
    if (pass->count != 0) {
        qsort(pass->leaves, pass->count, sizeof(*pass->leaves), compare_leaves);
    }
    for (size_t i = 1; i < pass->count; i++) {
        if (compare_leaves(&pass->leaves[i - 1], &pass->leaves[i]) == 0) {
            return key_twice(err);
        }
    }
    sm_tree_fold(pass->leaves, pass->count, pass->prefix_bits, out);
    return SMELT_STATUS_OK;
}

/* The subtree of the keys that start with the `depth` bits of `prefix`. */
static enum smelt_status compute_subtree(struct smelt_store *store, void *snapshot,
                                         struct pass *pass, size_t depth, uint32_t prefix,
                                         struct sm_subtree *out, struct smelt_error *err)
{
    struct sm_subtree right;
    if (depth == pass->prefix_bits) {
        pass->prefix = prefix;
        return run_pass(store, snapshot, pass, out, err);
    }
    enum smelt_status status =
        compute_subtree(store, snapshot, pass, depth + 1, prefix << 1, out, err);
    if (status == SMELT_STATUS_OK) {
        status = compute_subtree(store, snapshot, pass, depth + 1, prefix << 1 | 1, &right, err);
    }
    if (status == SMELT_STATUS_OK) {
        sm_tree_join(out, &right, out);
    }
    return status;
}

enum smelt_status sm_commitment_compute_within(struct smelt_store *store, void *snapshot,
                                               size_t leaves_max, struct smelt_hash *root,
                                               struct smelt_error *err)
{
    struct pass pass = {0};
    struct sm_subtree subtree;
    void *own_snapshot = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    memset(root, 0, sizeof(*root));
    if (snapshot == NULL) {
        SMELT_TRY(store->ops->snapshot(store->impl, &own_snapshot, err));
        snapshot = own_snapshot;
    }
    SMELT_TRY(store->ops->iterate(store->impl, snapshot, SMELT_STORE_STATE, sm_slice(NULL, 0),
                                  count_pair, &pass, err));
    while (pass.prefix_bits < 32 && pass.pair_count >> pass.prefix_bits > leaves_max) {
        pass.prefix_bits++;
    }
    SMELT_TRY(compute_subtree(store, snapshot, &pass, 0, 0, &subtree, err));
    *root = subtree.hash;
cleanup:
    if (own_snapshot != NULL) {
        store->ops->release(store->impl, own_snapshot);
    }
    sm_free(pass.leaves);
    return status;
}

enum smelt_status sm_commitment_compute(struct smelt_store *store, void *snapshot,
                                        struct smelt_hash *root, struct smelt_error *err)
{
    return sm_commitment_compute_within(store, snapshot, COMPUTE_LEAVES_MAX, root, err);
}
