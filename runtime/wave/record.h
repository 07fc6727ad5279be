/* The encoding of a wave's record. On disk and in consensus: the digest of a wave is over it.
 *
 *     version u8 (1) ‖ flags u8 ‖ chain id u64 ‖ number u64 ‖ timestamp u64 ‖ parent[32]
 *     ‖ fee recipient[32] ‖ transactions u32 ‖ rejected u32 ‖ failed u32 ‖ events u32 ‖ writes u32
 *     ‖ fuel used u64 ‖ fees u128 ‖ receipts digest[32] ‖ events root[32] ‖ state digest[32]
 *     ‖ state root[32] ‖ bloom[256]
 *
 * Integers are little-endian. Flags: 1 there is a fee recipient, 2 there is a state root; the field
 * of a flag that is not set is zeroes. */
#ifndef SM_WAVE_RECORD_H
#define SM_WAVE_RECORD_H

#include <smelt/wave.h>

#define SM_RECORD_BYTES 518u

void sm_record_encode(const struct smelt_wave_record *record, uint8_t out[SM_RECORD_BYTES]);
/* False when `code` is not what sm_record_encode writes for some record. */
bool sm_record_decode(struct smelt_slice code, struct smelt_wave_record *out);

#endif
