/* Ed25519 through libsodium, whose verification rules (canonical S and R, no small-order points)
 * are thereby consensus: a replacement must reject exactly the same signatures. */
#include "runtime/crypto/ed25519.h"

#include <assert.h>
#include <sodium.h>

static_assert(SM_ED25519_SIGNATURE_BYTES == crypto_sign_BYTES, "Ed25519 signature size");
static_assert(SM_ED25519_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519 key size");

bool sm_crypto_ed25519_verify(struct smelt_slice message, struct smelt_slice signature,
                              struct smelt_slice public_key)
{
    return signature.size == SM_ED25519_SIGNATURE_BYTES &&
           public_key.size == SM_ED25519_KEY_BYTES &&
           crypto_sign_verify_detached(signature.data, message.data, message.size,
                                       public_key.data) == 0;
}
