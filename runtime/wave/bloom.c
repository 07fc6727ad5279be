/* Bloom filters: bloom.h has the bits. */
#include "runtime/wave/bloom.h"

#include "base/digest.h"

#define BLOOM_DOMAIN "smelt.bloom.v1"

enum { BITS_PER_ITEM = 3, BLOOM_BITS = 8 * SMELT_BLOOM_BYTES };

static void find_bits(struct smelt_slice item, uint32_t out[BITS_PER_ITEM])
{
    struct sm_digest digest;
    struct smelt_hash hash;
    sm_digest_init(&digest, BLOOM_DOMAIN);
    sm_digest_slice(&digest, item);
    sm_digest_final(&digest, &hash);
    for (size_t i = 0; i < BITS_PER_ITEM; i++) {
        out[i] = ((uint32_t)hash.bytes[2 * i] | (uint32_t)hash.bytes[2 * i + 1] << 8) % BLOOM_BITS;
    }
}

void sm_bloom_add(uint8_t bloom[SMELT_BLOOM_BYTES], struct smelt_slice item)
{
    uint32_t bits[BITS_PER_ITEM];
    find_bits(item, bits);
    for (size_t i = 0; i < BITS_PER_ITEM; i++) {
        bloom[bits[i] / 8] |= (uint8_t)(1u << bits[i] % 8);
    }
}

void sm_bloom_join(uint8_t bloom[SMELT_BLOOM_BYTES], const uint8_t from[SMELT_BLOOM_BYTES])
{
    for (size_t i = 0; i < SMELT_BLOOM_BYTES; i++) {
        bloom[i] |= from[i];
    }
}

bool smelt_bloom_may_contain(const uint8_t bloom[SMELT_BLOOM_BYTES], struct smelt_slice item)
{
    uint32_t bits[BITS_PER_ITEM];
    bool may_contain = true;
    find_bits(item, bits);
    for (size_t i = 0; i < BITS_PER_ITEM; i++) {
        may_contain = may_contain && (bloom[bits[i] / 8] >> bits[i] % 8 & 1) != 0;
    }
    return may_contain;
}
