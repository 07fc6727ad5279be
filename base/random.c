/* Random keys and SipHash-2-4 through libsodium. */
#include "base/random.h"

#include "base/bytes.h"
#include "base/status.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>

static_assert(sizeof(struct sm_hash_key) == crypto_shorthash_KEYBYTES &&
                  sizeof(struct sm_hash_key) == crypto_shorthash_siphashx24_BYTES,
              "a key fits");

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

uint64_t sm_hash_keyed(const struct sm_hash_key *key, struct smelt_slice data)
{
    uint8_t hash[crypto_shorthash_BYTES];
    (void)crypto_shorthash(hash, data.data, data.size, key->bytes);
    return sm_load_le64(hash);
}
