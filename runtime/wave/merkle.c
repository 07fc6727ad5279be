/* Merkle tree hash: merkle.h has the definition.
 *
 * The trees of the bits of `count`, from the highest bit down, are the left sides at each split
 * that the RFC makes: k is the highest bit. So adding a leaf is a binary increment that hashes for
 * each carry, and the root is what hashing together from the lowest bit up gives. */
#include "runtime/wave/merkle.h"

#include "base/digest.h"

#define EMPTY_DOMAIN "smelt.merkle.empty.v1"
#define NODE_DOMAIN  "smelt.merkle.node.v1"

/* `out` may be one of the others. */
static void hash_node(const struct smelt_hash *left, const struct smelt_hash *right,
                      struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_digest_init(&digest, NODE_DOMAIN);
    sm_digest_hash(&digest, left);
    sm_digest_hash(&digest, right);
    sm_digest_final(&digest, out);
}

void sm_merkle_add(struct sm_merkle *merkle, const struct smelt_hash *leaf)
{
    struct smelt_hash carry = *leaf;
    size_t bit = 0;
    for (; (merkle->count >> bit & 1) != 0; bit++) {
        hash_node(&merkle->roots[bit], &carry, &carry);
    }
    merkle->roots[bit] = carry;
    merkle->count++;
}

void sm_merkle_root(const struct sm_merkle *merkle, struct smelt_hash *out)
{
    bool is_empty = true;
    for (size_t bit = 0; bit < 64; bit++) {
        if ((merkle->count >> bit & 1) == 0) {
            continue;
        }
        if (is_empty) {
            *out = merkle->roots[bit];
        } else {
            hash_node(&merkle->roots[bit], out, out);
        }
        is_empty = false;
    }
    if (is_empty) {
        struct sm_digest digest;
        sm_digest_init(&digest, EMPTY_DOMAIN);
        sm_digest_final(&digest, out);
    }
}
