/* Proofs that a state with a given root has a key with a value, or has it not.
 *
 *     version u8 = 1 ‖ end u8 ‖ depth u16 LE ‖ which siblings there are, a bit each ‖ those [32
 * each] ‖ what is at the end
 *
 *     end 0   the leaf of the key: its value, the rest of the bytes
 *     end 1   an empty subtree: nothing
 *     end 2   another key's leaf, where the key's would be: its key[32] ‖ its value[32], both
 * hashes
 *
 * Siblings go from the root down; bit i is bit i % 8 of byte i / 8. A sibling that is not there is
 * an empty subtree. A statement has one proof under one root, since everything that could be said
 * in two ways is refused in one of them. No length is taken from the bytes but `depth`, which is at
 * most 256. */
#include "runtime/state/commitment.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"
#include "runtime/state/keys.h"

#include <assert.h>
#include <string.h>

#define WHERE "proof"

enum { VERSION = 1 };

enum end { END_VALUE = 0, END_EMPTY = 1, END_OTHER_LEAF = 2 };

enum {
    HEADER_BYTES = 4,
    BITMAP_BYTES_MAX = SM_TREE_DEPTH_MAX / 8,
};

static_assert(HEADER_BYTES + BITMAP_BYTES_MAX + (SM_TREE_DEPTH_MAX + 2) * SMELT_HASH_BYTES ==
                  SMELT_PROOF_PATH_MAX,
              "the longest proof: all siblings, and another leaf");

static const struct smelt_hash empty_hash;

static enum smelt_status encode_key(const struct smelt_state_key *key, struct sm_state_key *out,
                                    struct smelt_error *err)
{
    if (!key->is_storage && key->key.size != 0) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "the key of an account has no key of a storage");
    }
    if (key->key.size > SM_STATE_KEY_MAX) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "a key of %zu bytes is longer than any in a state (%d)", key->key.size,
                            SM_STATE_KEY_MAX);
    }
    if (key->is_storage) {
        sm_state_storage_key(&key->address, key->key, out);
    } else {
        sm_state_account_key(&key->address, out);
    }
    return SMELT_STATUS_OK;
}

/* ---- proving --------------------------------------------------------------------------------- */

static bool append_hash(struct smelt_buf *proof, const struct smelt_hash *hash)
{
    return sm_buf_append(proof, hash->bytes, sizeof(hash->bytes));
}

/* Appends; on failure some of it. */
static bool encode_proof(const struct sm_tree_path *path, bool is_found, struct smelt_slice value,
                         struct smelt_buf *proof)
{
    enum end end = END_VALUE;
    if (!is_found) {
        end = path->end == SM_TREE_LEAF ? END_OTHER_LEAF : END_EMPTY;
    }
    const uint8_t header[HEADER_BYTES] = {VERSION, (uint8_t)end, (uint8_t)(path->depth & 0xff),
                                          (uint8_t)(path->depth >> 8)};
    uint8_t bitmap[BITMAP_BYTES_MAX] = {0};
    for (size_t i = 0; i < path->depth; i++) {
        if (!sm_hash_equal(&path->siblings[i], &empty_hash)) {
            bitmap[i / 8] |= (uint8_t)(1u << i % 8);
        }
    }
    if (!sm_buf_append(proof, header, sizeof(header)) ||
        !sm_buf_append(proof, bitmap, (path->depth + 7) / 8)) {
        return false;
    }
    for (size_t i = 0; i < path->depth; i++) {
        if ((bitmap[i / 8] >> i % 8 & 1) != 0 && !append_hash(proof, &path->siblings[i])) {
            return false;
        }
    }
    switch (end) {
    case END_VALUE:
        return sm_buf_append(proof, value.data, value.size);
    case END_OTHER_LEAF:
        return append_hash(proof, &path->leaf.key) && append_hash(proof, &path->leaf.value);
    case END_EMPTY:
    default:
        return true;
    }
}

/* What the state has against what the tree has. */
static bool is_same(const struct sm_tree_path *path, const struct smelt_hash *key, bool is_found,
                    struct smelt_slice value)
{
    struct smelt_hash hash;
    bool is_in_tree = path->end == SM_TREE_LEAF && sm_tree_compare_keys(&path->leaf.key, key) == 0;
    if (!is_in_tree || !is_found) {
        return is_in_tree == is_found;
    }
    sm_commitment_hash_value(value, &hash);
    return sm_hash_equal(&hash, &path->leaf.value);
}

enum smelt_status smelt_state_prove(struct smelt_store *store, const struct smelt_state_key *key,
                                    struct smelt_buf *proof, struct smelt_buf *value, bool *found,
                                    struct smelt_error *err)
{
    struct sm_state_key state_key;
    struct smelt_hash root;
    struct smelt_hash key_hash;
    struct smelt_buf read = {0};
    struct sm_tree_path *path = NULL;
    void *snapshot = NULL;
    bool is_enabled = false;
    bool is_found = false;
    enum smelt_status status = SMELT_STATUS_OK;
    if (store == NULL || key == NULL || proof == NULL || found == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "store, key, proof and found are required");
    }
    size_t size_before = proof->size;
    *found = false;
    SMELT_TRY(encode_key(key, &state_key, err));
    SMELT_TRY(store->ops->snapshot(store->impl, &snapshot, err));
    SMELT_TRY(sm_commitment_root_at(store, snapshot, &root, &is_enabled, err));
    if (!is_enabled) {
        status = sm_error_set(err, SMELT_STATUS_STATE_MISMATCH, WHERE,
                              "the state has no commitment to prove anything with: enable one");
        goto cleanup;
    }
    path = (struct sm_tree_path *)sm_alloc(sizeof(*path));
    if (path == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    sm_commitment_hash_key(sm_state_key_slice(&state_key), &key_hash);
    SMELT_TRY(sm_tree_find(store, snapshot, &root, &key_hash, path, err));
    SMELT_TRY(store->ops->get(store->impl, snapshot, SMELT_STORE_STATE,
                              sm_state_key_slice(&state_key), &read, &is_found, err));
    if (!is_same(path, &key_hash, is_found, sm_buf_slice(&read))) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "the state has another value than its commitment: the state is "
                              "damaged, restore it from a copy");
        goto cleanup;
    }
    if (!encode_proof(path, is_found, sm_buf_slice(&read), proof) ||
        (value != NULL && !sm_buf_assign(value, sm_buf_slice(&read)))) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    *found = is_found;
cleanup:
    if (status != SMELT_STATUS_OK) {
        proof->size = size_before;
    }
    if (snapshot != NULL) {
        store->ops->release(store->impl, snapshot);
    }
    sm_free(path);
    smelt_buf_deinit(&read);
    return status;
}

/* ---- verifying ------------------------------------------------------------------------------- */

/* Slices of the proof. */
struct proof {
    enum end end;
    size_t depth;
    const uint8_t *bitmap;
    struct smelt_slice siblings;
    struct smelt_slice rest;
};

static bool has_sibling(const struct proof *proof, size_t i)
{
    return (proof->bitmap[i / 8] >> i % 8 & 1) != 0;
}

/* Returns what is wrong with the form, NULL for nothing. */
static const char *decode_proof(struct smelt_slice bytes, struct proof *out)
{
    if (bytes.size < HEADER_BYTES || bytes.data[0] != VERSION || bytes.data[1] > END_OTHER_LEAF) {
        return "it is none, or of another version";
    }
    out->end = (enum end)bytes.data[1];
    out->depth = (size_t)bytes.data[2] | (size_t)bytes.data[3] << 8;
    out->bitmap = bytes.data + HEADER_BYTES;
    size_t bitmap_size = (out->depth + 7) / 8;
    size_t left = bytes.size - HEADER_BYTES;
    if (out->depth > SM_TREE_DEPTH_MAX || bitmap_size > left) {
        return "its depth is impossible";
    }
    left -= bitmap_size;
    size_t count = 0;
    for (size_t i = 0; i < bitmap_size * 8; i++) {
        count += has_sibling(out, i) ? 1 : 0;
        if (i >= out->depth && has_sibling(out, i)) {
            return "it has siblings below its end";
        }
    }
    if (out->depth != 0 && !has_sibling(out, out->depth - 1)) {
        return "its end has no sibling";
    }
    if (count * SMELT_HASH_BYTES > left) {
        return "it is cut short";
    }
    out->siblings = sm_slice(out->bitmap + bitmap_size, count * SMELT_HASH_BYTES);
    out->rest = sm_slice(out->siblings.data + out->siblings.size, left - out->siblings.size);
    if ((out->end == END_EMPTY && out->rest.size != 0) ||
        (out->end == END_OTHER_LEAF && out->rest.size != 2 * (size_t)SMELT_HASH_BYTES)) {
        return "it has another size than its parts";
    }
    return NULL;
}

static size_t common_bits(const struct smelt_hash *a, const struct smelt_hash *b)
{
    size_t depth = 0;
    while (depth < SM_TREE_DEPTH_MAX && sm_tree_bit(a, depth) == sm_tree_bit(b, depth)) {
        depth++;
    }
    return depth;
}

/* The subtree at the end of the path. Returns what is wrong, NULL for nothing. */
static const char *make_end(const struct proof *proof, const struct smelt_hash *key,
                            struct sm_subtree *out)
{
    struct sm_tree_leaf leaf = {.key = *key};
    *out = (struct sm_subtree){.kind = SM_TREE_EMPTY};
    if (proof->end == END_EMPTY) {
        return NULL;
    }
    if (proof->end == END_VALUE) {
        sm_commitment_hash_value(proof->rest, &leaf.value);
    } else {
        memcpy(leaf.key.bytes, proof->rest.data, SMELT_HASH_BYTES);
        memcpy(leaf.value.bytes, proof->rest.data + SMELT_HASH_BYTES, SMELT_HASH_BYTES);
        size_t common = common_bits(&leaf.key, key);
        if (common < proof->depth || common == SM_TREE_DEPTH_MAX) {
            return "its leaf does not stand in the key's way";
        }
    }
    sm_tree_leaf(&leaf, out);
    return NULL;
}

/* The root that the proof leads to. Returns what is wrong, NULL for nothing. */
static const char *compute_root(const struct proof *proof, const struct smelt_hash *key,
                                struct smelt_hash *out)
{
    struct sm_subtree at;
    const char *what = make_end(proof, key, &at);
    const uint8_t *next = proof->siblings.data + proof->siblings.size;
    for (size_t i = proof->depth; what == NULL && i-- > 0;) {
        struct sm_subtree sibling = {.kind = SM_TREE_EMPTY};
        if (has_sibling(proof, i)) {
            next -= SMELT_HASH_BYTES;
            /* whether it is a leaf is not known, and makes no difference: above the end there are
             * two keys at least, so its parent is a node */
            sibling.kind = SM_TREE_NODE;
            memcpy(sibling.hash.bytes, next, SMELT_HASH_BYTES);
            if (sm_hash_equal(&sibling.hash, &empty_hash)) {
                what = "it has an empty sibling";
            }
        }
        if (sm_tree_bit(key, i)) {
            sm_tree_join(&sibling, &at, &at);
        } else {
            sm_tree_join(&at, &sibling, &at);
        }
    }
    *out = at.hash;
    return what;
}

enum smelt_status smelt_proof_verify(const struct smelt_hash *root,
                                     const struct smelt_state_key *key, struct smelt_slice proof,
                                     struct smelt_buf *value, bool *found, struct smelt_error *err)
{
    struct sm_state_key state_key;
    struct smelt_hash key_hash;
    struct smelt_hash shown;
    struct proof decoded;
    if (root == NULL || key == NULL || found == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "root, key and found are required");
    }
    *found = false;
    enum smelt_status status = encode_key(key, &state_key, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    const char *what = decode_proof(proof, &decoded);
    if (what == NULL) {
        sm_commitment_hash_key(sm_state_key_slice(&state_key), &key_hash);
        what = compute_root(&decoded, &key_hash, &shown);
    }
    if (what == NULL && !sm_hash_equal(&shown, root)) {
        what = "it is one of another key, or under another root";
    }
    if (what != NULL) {
        return sm_error_set(err, SMELT_STATUS_PROOF_INVALID, WHERE,
                            "the proof of %zu bytes shows nothing: %s", proof.size, what);
    }
    bool is_found = decoded.end == END_VALUE;
    if (value != NULL && !sm_buf_assign(value, is_found ? decoded.rest : sm_slice(NULL, 0))) {
        return sm_error_no_memory(err, WHERE);
    }
    *found = is_found;
    return SMELT_STATUS_OK;
}
