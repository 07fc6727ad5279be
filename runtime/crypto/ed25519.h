/* Ed25519 signatures (RFC 8032, the pure variant). */
#ifndef SM_CRYPTO_ED25519_H
#define SM_CRYPTO_ED25519_H

#include <smelt/bytes.h>

#define SM_ED25519_SIGNATURE_BYTES 64
#define SM_ED25519_KEY_BYTES       32

/* False for an invalid signature and for a signature or key of another length. Non-canonical
 * encodings and points of small order are invalid. */
bool sm_crypto_ed25519_verify(struct smelt_slice message, struct smelt_slice signature,
                              struct smelt_slice public_key);

#endif
