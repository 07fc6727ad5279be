/* Hash chain: the compute-heavy example, and what the fuel benchmark runs.
 *
 *   run  (i32 rounds) -> i64   h = SHA-256(h), rounds times, from 32 zero bytes; every 1024th round
 *                              is followed by h = h xor Keccak-256(h), through the host.
 *                              The result is the first 8 bytes of h, little-endian.
 *
 * SHA-256 is FIPS 180-4 in plain C, for the one shape needed here: 32 bytes are one padded block.
 */
#include "support.h"

#define HASH_BYTES 32
#define MIX_ROUNDS 1024

static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t x, unsigned count)
{
    return x >> count | x << (32 - count);
}

/* The state words of SHA-256 are the hash in big-endian order; the chain stays in words. */
static void sha256_of_hash(uint32_t hash[8])
{
    uint32_t w[64] = {[8] = 0x80000000, [15] = HASH_BYTES * 8};
    for (unsigned i = 0; i < 8; i++) {
        w[i] = hash[i];
    }
    for (unsigned i = 16; i < 64; i++) {
        uint32_t s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint32_t a = start[0], b = start[1], c = start[2], d = start[3];
    uint32_t e = start[4], f = start[5], g = start[6], h = start[7];
    for (unsigned i = 0; i < 64; i++) {
        uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
        uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + round_constants[i] + w[i];
        uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
        uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = d + t1;
        d = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    uint32_t sum[8] = {a, b, c, d, e, f, g, h};
    for (unsigned i = 0; i < 8; i++) {
        hash[i] = start[i] + sum[i];
    }
}

static void to_bytes(const uint32_t words[8], uint8_t bytes[HASH_BYTES])
{
    for (unsigned i = 0; i < HASH_BYTES; i++) {
        bytes[i] = (uint8_t)(words[i / 4] >> (24 - 8 * (i % 4)));
    }
}

static void mix_keccak(uint32_t words[8])
{
    uint8_t bytes[HASH_BYTES];
    uint8_t mixed[HASH_BYTES];
    to_bytes(words, bytes);
    crypto_hash(bytes, sizeof(bytes), mixed);
    for (unsigned i = 0; i < HASH_BYTES; i++) {
        words[i / 4] ^= (uint32_t)mixed[i] << (24 - 8 * (i % 4));
    }
}

SMELT_EXPORT("run") int64_t run(int32_t rounds)
{
    uint32_t hash[8] = {0};
    for (uint32_t i = 1; i <= (uint32_t)rounds; i++) {
        sha256_of_hash(hash);
        if (i % MIX_ROUNDS == 0) {
            mix_keccak(hash);
        }
    }
    uint8_t bytes[HASH_BYTES];
    uint64_t result;
    to_bytes(hash, bytes);
    memcpy(&result, bytes, sizeof(result));
    return (int64_t)result;
}
