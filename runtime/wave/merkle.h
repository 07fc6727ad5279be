/* Merkle tree hash of a list, as in RFC 9162, section 2.1.1, over BLAKE2b-256. In consensus.
 *
 *     MTH({})      = H("smelt.merkle.empty.v1")
 *     MTH({leaf})  = leaf, a digest with a domain of its own
 *     MTH(D[n])    = H("smelt.merkle.node.v1", MTH(D[0:k]), MTH(D[k:n]))
 *                    k the largest power of two below n
 *
 * The RFC tells leaves from nodes by a first byte; here they differ by their domains. Memory is
 * constant: of the leaves so far only the roots of whole trees are kept, one per bit of their
 * count. */
#ifndef SM_WAVE_MERKLE_H
#define SM_WAVE_MERKLE_H

#include <smelt/bytes.h>

/* Zero-initialise. */
struct sm_merkle {
    uint64_t count;
    struct smelt_hash roots[64]; /* of bit n of `count`: a tree of 2^n leaves */
};

void sm_merkle_add(struct sm_merkle *merkle, const struct smelt_hash *leaf);
/* Of the leaves so far. */
void sm_merkle_root(const struct sm_merkle *merkle, struct smelt_hash *out);

#endif
