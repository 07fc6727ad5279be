/* Keccak-256 with the padding of the original submission (one byte 0x01), as Ethereum uses it:
 * not SHA3-256 of FIPS 202, whose padding byte is 0x06. */
#ifndef SM_CRYPTO_KECCAK_H
#define SM_CRYPTO_KECCAK_H

#include <smelt/bytes.h>

#define SM_KECCAK256_BYTES 32

void sm_crypto_keccak256(struct smelt_slice data, uint8_t out[SM_KECCAK256_BYTES]);

#endif
