/* Keccak-256 on nettle's permutation and absorption. Nettle offers only the FIPS 202 ending, so the
 * last block is padded and absorbed here; its context is a documented, public struct. */
#include "runtime/crypto/keccak.h"

#include "base/bytes.h"

#include <nettle/sha3.h>
#include <string.h>

void sm_crypto_keccak256(struct smelt_slice data, uint8_t out[SM_KECCAK256_BYTES])
{
    struct sha3_256_ctx context;
    sha3_256_init(&context);
    if (data.size != 0) {
        sha3_256_update(&context, data.size, data.data);
    }
    /* pad10*1 behind the domain bits: none in the original submission. `index` is below the block
     * size, because a full block is absorbed at once. */
    memset(context.block + context.index, 0, sizeof(context.block) - context.index);
    context.block[context.index] = 0x01;
    context.block[sizeof(context.block) - 1] |= 0x80;
    for (size_t i = 0; i < sizeof(context.block) / 8; i++) {
        context.state.a[i] ^= sm_load_le64(context.block + 8 * i);
    }
    sha3_permute(&context.state);
    for (size_t i = 0; i < SM_KECCAK256_BYTES / 8; i++) {
        sm_store_le64(out + 8 * i, context.state.a[i]);
    }
}
