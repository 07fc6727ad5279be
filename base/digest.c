/* BLAKE2b-256 (RFC 7693) through libsodium's crypto_generichash. */
#include "base/digest.h"

#include "base/bytes.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

static_assert(sizeof(struct sm_digest) >= sizeof(crypto_generichash_state),
              "opaque storage holds libsodium's state");
static_assert(SMELT_HASH_BYTES == crypto_generichash_BYTES, "BLAKE2b-256");

static crypto_generichash_state *state_of(struct sm_digest *digest)
{
    return (crypto_generichash_state *)digest->state;
}

void sm_digest_bytes(struct smelt_slice data, struct smelt_hash *out)
{
    (void)crypto_generichash(out->bytes, sizeof(out->bytes), data.data, data.size, NULL, 0);
}

void sm_digest_init_keyed(struct sm_digest *digest, const char *domain, const uint8_t *key)
{
    (void)crypto_generichash_init(state_of(digest), key, key != NULL ? 32 : 0, SMELT_HASH_BYTES);
    sm_digest_text(digest, domain);
}

void sm_digest_init(struct sm_digest *digest, const char *domain)
{
    sm_digest_init_keyed(digest, domain, NULL);
}

static void update(struct sm_digest *digest, const uint8_t *data, size_t size)
{
    (void)crypto_generichash_update(state_of(digest), data, size);
}

void sm_digest_u32(struct sm_digest *digest, uint32_t value)
{
    uint8_t bytes[4];
    sm_store_le32(bytes, value);
    update(digest, bytes, sizeof(bytes));
}

void sm_digest_u64(struct sm_digest *digest, uint64_t value)
{
    uint8_t bytes[8];
    sm_store_le64(bytes, value);
    update(digest, bytes, sizeof(bytes));
}

void sm_digest_slice(struct sm_digest *digest, struct smelt_slice data)
{
    sm_digest_u64(digest, data.size);
    update(digest, data.data, data.size);
}

void sm_digest_text(struct sm_digest *digest, const char *text)
{
    sm_digest_slice(digest, smelt_slice_from_string(text));
}

void sm_digest_hash(struct sm_digest *digest, const struct smelt_hash *hash)
{
    update(digest, hash->bytes, sizeof(hash->bytes));
}

void sm_digest_final(struct sm_digest *digest, struct smelt_hash *out)
{
    (void)crypto_generichash_final(state_of(digest), out->bytes, sizeof(out->bytes));
}

bool sm_hash_equal(const struct smelt_hash *a, const struct smelt_hash *b)
{
    return sodium_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
