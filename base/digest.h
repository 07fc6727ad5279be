/* BLAKE2b-256 through libsodium, domain-separated: every use names its purpose first, so that bytes
 * hashed for one purpose never collide with another's. Variable-length fields carry their length.
 */
#ifndef SM_BASE_DIGEST_H
#define SM_BASE_DIGEST_H

#include <smelt/bytes.h>

/* Plain BLAKE2b-256 without a domain: module hashes and file digests, so that `b2sum -l 256`
 * agrees. */
void sm_digest_bytes(struct smelt_slice data, struct smelt_hash *out);

/* Incremental. Opaque storage of the size libsodium asks for. */
struct sm_digest {
    _Alignas(64) unsigned char state[384];
};

/* `domain` is a constant such as "smelt.artefact.v1"; its length is hashed before it. */
void sm_digest_init(struct sm_digest *digest, const char *domain);
/* Keyed variant (a MAC); `key` has 32 bytes. */
void sm_digest_init_keyed(struct sm_digest *digest, const char *domain, const uint8_t *key);
void sm_digest_u32(struct sm_digest *digest, uint32_t value); /* 4 bytes little-endian */
void sm_digest_u64(struct sm_digest *digest, uint64_t value); /* 8 bytes little-endian */
void sm_digest_slice(struct sm_digest *digest,
                     struct smelt_slice data);                   /* length u64, then bytes */
void sm_digest_text(struct sm_digest *digest, const char *text); /* NULL as "" */
void sm_digest_hash(struct sm_digest *digest, const struct smelt_hash *hash);
void sm_digest_final(struct sm_digest *digest, struct smelt_hash *out);

bool sm_hash_equal(const struct smelt_hash *a, const struct smelt_hash *b); /* constant time */

#endif
