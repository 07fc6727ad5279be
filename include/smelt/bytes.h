/* Plain values that cross the public interface: slices, buffers, hashes, addresses, amounts.
 *
 * A `smelt_slice` is a view: pointer and length, passed by value, owns nothing. When `size` is zero
 * `data` may be NULL and is never read. A `smelt_buf` owns its memory. */
#ifndef SMELT_BYTES_H
#define SMELT_BYTES_H

#include <smelt/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMELT_HASH_BYTES    32
#define SMELT_ADDRESS_BYTES 32

struct smelt_slice {
    const uint8_t *data;
    size_t size; /* bytes */
};

/* Owned, growing byte buffer. Zero-initialise; `smelt_buf_deinit` frees and leaves zeroes. */
struct smelt_buf {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
};

/* BLAKE2b-256 digest: of a module, an artefact key, a policy … */
struct smelt_hash {
    uint8_t bytes[SMELT_HASH_BYTES];
};

/* Account address: 32 raw bytes. */
struct smelt_address {
    uint8_t bytes[SMELT_ADDRESS_BYTES];
};

/* Unsigned 128-bit amount. On disk and in contract memory: 16 bytes, little-endian. */
struct smelt_u128 {
    uint64_t low;
    uint64_t high;
};

SMELT_API void smelt_buf_deinit(struct smelt_buf *buf);

/* A view of a NUL-terminated string, without the NUL. NULL gives the empty slice. */
SMELT_API struct smelt_slice smelt_slice_from_string(const char *text);

/* Lower-case hex of `size` bytes; writes 2 × size characters and a NUL. */
SMELT_API void smelt_hex_encode(const uint8_t *data, size_t size, char *out);

/* Parses exactly 2 × size hex digits, upper or lower case, optional leading "0x".
 * False (and `out` undefined) on any other text. */
SMELT_API bool smelt_hex_decode(const char *text, uint8_t *out, size_t size);

/* Decimal text of an amount; `out` has at least SMELT_U128_TEXT_BYTES bytes. */
#define SMELT_U128_TEXT_BYTES 40
SMELT_API void smelt_u128_format(struct smelt_u128 amount, char *out);

/* Parses decimal digits only (no sign, no space, no leading zeroes except "0").
 * False on anything else, overflow included. */
SMELT_API bool smelt_u128_parse(const char *text, struct smelt_u128 *out);

#ifdef __cplusplus
}
#endif

#endif
