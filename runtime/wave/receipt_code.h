/* The encoding of a receipt. On disk and in consensus, by way of the receipts digest
 * H("smelt.receipts.v1", count u32, (size u64 ‖ encoding) of each receipt in order).
 *
 *     version u8 (1) ‖ kind u8 ‖ status u16 ‖ fields u16 ‖ from[32] ‖ nonce u64
 *
 *     and for each bit of `fields`, from the lowest:
 *       0  the transaction was rejected  (nothing)
 *       1  id                            [32]
 *       2  fuel used                     u64
 *       3  fee                           u128
 *       4  address                       [32]
 *       5  module hash                   [32]
 *       6  outcome, unless returned      kind u8 ‖ trap u8 ‖ host error u8
 *       7  events                        count u32
 *       8  writes                        count u32
 *       9  results                       count u32
 *       10 return data                   size u32
 *       11 location                      function index u32 ‖ offset u32 ‖ function name size u32
 *
 *     results: type u8 ‖ bits u64 each ‖ return data ‖ function name
 *
 * Integers are little-endian. A field that is zero, or empty, is absent, so a receipt has one
 * encoding. The wave, the index and the first event are not in it: where it is stored tells. */
#ifndef SM_WAVE_RECEIPT_CODE_H
#define SM_WAVE_RECEIPT_CODE_H

#include "base/digest.h"

#include <smelt/wave.h>

/* Of the name of the function that trapped. Whoever calls a contract does not pay for the names in
 * it, so that a long one would be copied for little. In consensus. */
#define SM_RECEIPT_FUNCTION_MAX 256u

/* Whether the fields agree with each other, and are what wave.h says of them: for instance, that a
 * rejected transaction used no fuel. Only such receipts are encoded, and come out of decoding. */
bool sm_receipt_is_consistent(const struct smelt_wave_receipt *receipt);

/* Appends. The receipt is consistent. False when memory is short, or a size passes 32 bits. */
bool sm_receipt_encode(const struct smelt_wave_receipt *receipt, struct smelt_buf *out);

/* A receipt in place: all it points to is in its encoding. Results are left as they are stored. */
struct sm_receipt_view {
    struct smelt_wave_receipt receipt; /* `wave`, `index`, `first_event`, `results` are zero */
    struct smelt_slice results;        /* receipt.result_count of them, encoded */
    size_t size;                       /* of the encoding */
};

/* The encoding at the start of `bytes`. False when there is none. */
bool sm_receipt_decode(struct smelt_slice bytes, struct sm_receipt_view *out);

/* The receipts digest of a wave: after this, sm_digest_slice of each encoding in order. */
void sm_receipts_digest_init(struct sm_digest *digest, uint32_t count);

/* A copy that owns all it points to, for smelt_wave_receipt_destroy. */
enum smelt_status sm_receipt_copy(const struct sm_receipt_view *view, uint64_t wave, uint32_t index,
                                  uint32_t first_event, struct smelt_wave_receipt **out,
                                  struct smelt_error *err);

#endif
