/* Bloom filters over the addresses and topics of a wave's events. In consensus.
 *
 * An item sets three of 2048 bits. BLAKE2b-256("smelt.bloom.v1", item) begins with three numbers
 * u16 LE; each, modulo 2048, is the position of a bit. Bit n is bit n mod 8 (of value 2^(n mod 8))
 * of byte n / 8. */
#ifndef SM_WAVE_BLOOM_H
#define SM_WAVE_BLOOM_H

#include <smelt/wave.h>

void sm_bloom_add(uint8_t bloom[SMELT_BLOOM_BYTES], struct smelt_slice item);
/* All that `from` holds. */
void sm_bloom_join(uint8_t bloom[SMELT_BLOOM_BYTES], const uint8_t from[SMELT_BLOOM_BYTES]);

#endif
