/* What the ledger has left in a store, read back from one snapshot. Whatever is there may be
 * damaged: what does not fit is STORE_CORRUPT, and the message names the wave. */
#ifndef SM_WAVE_STORED_H
#define SM_WAVE_STORED_H

#include "runtime/wave/ledger.h"
#include "runtime/wave/page.h"

#include <smelt/store.h>

/* The newest wave and the chain: all zeroes before the first wave. The record's digest is right. */
enum smelt_status sm_stored_head(struct smelt_store *store, void *snapshot,
                                 struct sm_ledger_head *out, struct smelt_error *err);

/* The record of a wave, whose number is right. `*found` false: there is none. */
enum smelt_status sm_stored_record(struct smelt_store *store, void *snapshot, uint64_t number,
                                   struct smelt_wave_record *out, bool *found,
                                   struct smelt_error *err);

/* A page, whose digest is right; its content points into `value`. `*found` false: there is none. */
enum smelt_status sm_stored_page(struct smelt_store *store, void *snapshot, enum sm_page_kind kind,
                                 uint64_t number, uint32_t page, struct smelt_buf *value,
                                 struct sm_page *out, bool *found, struct smelt_error *err);

#endif
