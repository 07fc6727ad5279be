/* The root of the tree as its definition says it: no nodes, no store, nothing shared with
 * runtime/state/tree.c. And what tests of the tree look at in a store. */
#ifndef SM_TESTS_TREE_REFERENCE_H
#define SM_TESTS_TREE_REFERENCE_H

#include "base/digest.h"
#include "tests/unit/state/state_support.h"

struct reference_leaf {
    uint8_t key[32];
    uint8_t value[32];
};

static inline void reference_hash(const char *domain, const uint8_t *first, const uint8_t *second,
                                  uint8_t *out)
{
    uint8_t bytes[128] = {(uint8_t)strlen(domain)}; /* its length, 8 bytes little-endian */
    struct smelt_hash hash;
    size_t size = 8 + strlen(domain);
    memcpy(bytes + 8, domain, strlen(domain));
    memcpy(bytes + size, first, 32);
    memcpy(bytes + size + 32, second, 32);
    sm_digest_bytes(sm_slice(bytes, size + 64), &hash);
    memcpy(out, hash.bytes, 32);
}

/* In any order; reorders them. */
static inline void reference_root(struct reference_leaf *leaves, size_t count, size_t bit,
                                  uint8_t *out)
{
    memset(out, 0, 32);
    if (count == 1) {
        reference_hash("smelt.tree-leaf.v1", leaves->key, leaves->value, out);
    }
    if (count < 2) {
        return;
    }
    size_t lefts = 0;
    for (size_t i = 0; i < count; i++) {
        if ((leaves[i].key[bit / 8] & 0x80 >> bit % 8) == 0) {
            struct reference_leaf leaf = leaves[i];
            leaves[i] = leaves[lefts];
            leaves[lefts] = leaf;
            lefts++;
        }
    }
    uint8_t left[32];
    uint8_t right[32];
    reference_root(leaves, lefts, bit + 1, left);
    reference_root(leaves + lefts, count - lefts, bit + 1, right);
    reference_hash("smelt.tree-node.v1", left, right, out);
}

static inline bool dump_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    uint8_t sizes[16];
    sm_store_le64(sizes, key.size);
    sm_store_le64(sizes + 8, value.size);
    assert_true(sm_buf_append(context, sizes, sizeof(sizes)));
    assert_true(sm_buf_append(context, key.data, key.size));
    assert_true(sm_buf_append(context, value.data, value.size));
    return true;
}

/* Everything in a family, in `out`, which is replaced. */
static inline void dump_family(struct smelt_store *store, enum smelt_store_family family,
                               struct smelt_buf *out)
{
    out->size = 0;
    assert_int_equal(
        store->ops->iterate(store->impl, NULL, family, sm_slice(NULL, 0), dump_pair, out, NULL),
        SMELT_STATUS_OK);
}

static inline void assert_same_family(struct smelt_store *a, struct smelt_store *b,
                                      enum smelt_store_family family)
{
    struct smelt_buf one = {0};
    struct smelt_buf other = {0};
    dump_family(a, family, &one);
    dump_family(b, family, &other);
    assert_int_equal(one.size, other.size);
    assert_true(sm_slice_equal(sm_buf_slice(&one), sm_buf_slice(&other)));
    smelt_buf_deinit(&one);
    smelt_buf_deinit(&other);
}

static inline void assert_hex(const struct smelt_hash *hash, const char *expected)
{
    char hex[2 * SMELT_HASH_BYTES + 1];
    smelt_hex_encode(hash->bytes, sizeof(hash->bytes), hex);
    assert_string_equal(hex, expected);
}

#endif
