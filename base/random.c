/* Random keys and SipHash-2-4 through libsodium. */
#include "base/random.h"

#include "base/bytes.h"
#include "base/status.h"

#include <assert.h>
#include <sodium.h>

static_assert(sizeof(struct sm_hash_key) == crypto_shorthash_KEYBYTES, "a key fits");

enum smelt_status sm_hash_key_init(struct sm_hash_key *key, struct smelt_error *err)
{
    /* Otherwise threads may race for the first random bytes; later calls do nothing. */
    if (sodium_init() < 0) {
        return sm_error_set(err, SMELT_STATUS_INTERNAL, "random",
                            "libsodium cannot be initialised");
    }
    crypto_shorthash_keygen(key->bytes);
    return SMELT_STATUS_OK;
}

uint64_t sm_hash_keyed(const struct sm_hash_key *key, struct smelt_slice data)
{
    uint8_t hash[crypto_shorthash_BYTES];
    (void)crypto_shorthash(hash, data.data, data.size, key->bytes);
    return sm_load_le64(hash);
}
