/* Making a receipt: everything that outlives the transaction is copied into it. */
#ifndef SM_RUNTIME_RECEIPT_H
#define SM_RUNTIME_RECEIPT_H

#include "runtime/host/frame.h"

#include <smelt/runtime.h>

/* From the outermost frame, which has ended other than FAILED. `export_` (may be NULL) gives the
 * types of what is in `slots`. The events are taken out of `effects`, which is NULL when they were
 * dropped. Times are left at 0. */
enum smelt_status sm_receipt_create(const struct smelt_frame *frame,
                                    const struct sm_export *export_, const uint64_t *slots,
                                    struct sm_overlay *effects, uint64_t fuel_limit,
                                    struct smelt_receipt **out, struct smelt_error *err);

/* The parts that a wave's receipt has as well. */
struct smelt_outcome sm_receipt_outcome(const struct smelt_frame *frame);
/* Result `index` of the export. */
struct smelt_value sm_receipt_result(const struct sm_export *export_, const uint64_t *slots,
                                     uint32_t index);
/* Function and instruction of a trap; `name` is scratch for functions without one. A trap while
 * segments are applied is in no function: its place stays unknown. */
#define SM_RECEIPT_NAME_BYTES 24
void sm_receipt_locate(const struct smelt_frame *frame, struct smelt_location *location,
                       char name[SM_RECEIPT_NAME_BYTES]);

#endif
