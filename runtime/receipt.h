/* Making a receipt: everything that outlives the transaction is copied into it. */
#ifndef SM_RUNTIME_RECEIPT_H
#define SM_RUNTIME_RECEIPT_H

#include "runtime/host/frame.h"

#include <smelt/runtime.h>

/* From the outermost frame, which has ended other than FAILED. `export_` (may be NULL) gives the
 * types of what is in `slots`. `effects` is NULL when they were dropped. Times are left at 0. */
enum smelt_status sm_receipt_create(const struct smelt_frame *frame,
                                    const struct sm_export *export_, const uint64_t *slots,
                                    const struct sm_overlay_result *effects, uint64_t fuel_limit,
                                    struct smelt_receipt **out, struct smelt_error *err);

#endif
