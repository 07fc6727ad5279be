/* The encoding of an event, and its leaf in the Merkle tree. On disk and in consensus.
 *
 *     version u8 (1) ‖ transaction u32 ‖ address[32] ‖ topic size u32 ‖ data size u32 ‖ topic ‖
 * data
 *
 *     leaf = H("smelt.event.v1", wave u64, the encoding)
 *
 * Integers are little-endian. */
#ifndef SM_WAVE_EVENT_CODE_H
#define SM_WAVE_EVENT_CODE_H

#include <smelt/wave.h>

#define SM_EVENT_ADDRESS_AT   5u
#define SM_EVENT_HEADER_BYTES 45u /* then the topic */

/* Appends. False when memory is short, or a size passes 32 bits. */
bool sm_event_encode(uint32_t transaction, const struct smelt_event *event, struct smelt_buf *out);

/* The encoding at the start of `bytes`: slices of `event` point into it, `*size` is its length.
 * False when there is none. */
bool sm_event_decode(struct smelt_slice bytes, uint32_t *transaction, struct smelt_event *event,
                     size_t *size);

/* `code` is one encoding. */
void sm_event_leaf(uint64_t wave, struct smelt_slice code, struct smelt_hash *out);

#endif
