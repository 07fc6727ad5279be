/* Random keys through libsodium, and SipHash, which libsodium has with twice the rounds only. */
#include "base/random.h"

#include "base/bytes.h"
#include "base/status.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

static_assert(sizeof(struct sm_hash_key) == crypto_shorthash_siphashx24_BYTES, "a key is a hash");

/* One secret of the process, and how many keys were made from it: the kernel's generator costs a
 * system call, and maps are made for each transaction. */
static pthread_once_t secret_once = PTHREAD_ONCE_INIT;
static bool has_secret;
static uint8_t secret[crypto_shorthash_siphashx24_KEYBYTES];
static atomic_uint_fast64_t key_count;

static void make_secret(void)
{
    /* otherwise threads may race for the first random bytes; later calls do nothing */
    has_secret = sodium_init() >= 0;
    if (has_secret) {
        randombytes_buf(secret, sizeof(secret));
    }
}

enum smelt_status sm_hash_key_init(struct sm_hash_key *key, struct smelt_error *err)
{
    (void)pthread_once(&secret_once, make_secret);
    if (!has_secret) {
        return sm_error_set(err, SMELT_STATUS_INTERNAL, "random",
                            "libsodium cannot be initialised");
    }
    uint8_t number[8];
    sm_store_le64(number, atomic_fetch_add_explicit(&key_count, 1, memory_order_relaxed));
    (void)crypto_shorthash_siphashx24(key->bytes, number, sizeof(number), secret);
    return SMELT_STATUS_OK;
}

/* The state of SipHash, and its round (Aumasson and Bernstein, 2012). */
struct sip {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
};

static inline uint64_t rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static inline void sip_round(struct sip *sip)
{
    sip->v0 += sip->v1;
    sip->v2 += sip->v3;
    sip->v1 = rotate(sip->v1, 13) ^ sip->v0;
    sip->v3 = rotate(sip->v3, 16) ^ sip->v2;
    sip->v0 = rotate(sip->v0, 32);
    sip->v2 += sip->v1;
    sip->v0 += sip->v3;
    sip->v1 = rotate(sip->v1, 17) ^ sip->v2;
    sip->v3 = rotate(sip->v3, 21) ^ sip->v0;
    sip->v2 = rotate(sip->v2, 32);
}

static inline void sip_absorb(struct sip *sip, uint64_t word)
{
    sip->v3 ^= word;
    sip_round(sip);
    sip->v0 ^= word;
}

uint64_t sm_hash_keyed(const struct sm_hash_key *key, struct smelt_slice data)
{
    uint64_t k0 = sm_load_le64(key->bytes);
    uint64_t k1 = sm_load_le64(key->bytes + 8);
    struct sip sip = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
                      k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
    size_t words = data.size / 8;
    for (size_t i = 0; i < words; i++) {
        sip_absorb(&sip, sm_load_le64(data.data + 8 * i));
    }
    uint64_t last = (uint64_t)data.size << 56;
    for (size_t i = 8 * words; i < data.size; i++) {
        last |= (uint64_t)data.data[i] << (8 * (i % 8));
    }
    sip_absorb(&sip, last);
    sip.v2 ^= 0xff;
    sip_round(&sip);
    sip_round(&sip);
    sip_round(&sip);
    return sip.v0 ^ sip.v1 ^ sip.v2 ^ sip.v3;
}
