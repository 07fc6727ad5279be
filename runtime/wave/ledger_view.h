/* What the ledger has left in a store, read back from one snapshot.
 *
 *     sm_view_open(store, &view, err)      head, and which waves have receipts
 *     sm_view_wave(&view, n, …)            a record, against the one that names it as its parent
 *     sm_view_page(&view, kind, n, p, …)   a page
 *     sm_view_close(&view)
 *
 * Waves are numbered without a gap from the state's first one to the newest; those from `kept` on
 * have receipts and events. So what is missing can be told from what was pruned. Whatever is there
 * may be damaged: what does not fit is STORE_CORRUPT, and the message names the wave. */
#ifndef SM_WAVE_LEDGER_VIEW_H
#define SM_WAVE_LEDGER_VIEW_H

#include "runtime/wave/ledger.h"
#include "runtime/wave/page.h"

#include <smelt/store.h>

struct sm_ledger_view {
    struct smelt_store *store; /* borrowed */
    void *snapshot;
    struct sm_ledger_head head;
    uint64_t kept; /* waves before this one were pruned, or are being; 0: none */
};

/* The head's record is there and has its digest. */
enum smelt_status sm_view_open(struct smelt_store *store, struct sm_ledger_view *out,
                               struct smelt_error *err);
void sm_view_close(struct sm_ledger_view *view); /* a zeroed one, too */

/* The number of the state's first wave; 0 before there is one. */
enum smelt_status sm_view_first(const struct sm_ledger_view *view, uint64_t *out,
                                struct smelt_error *err);

/* The record stored for a wave; its digest is not checked. `*found` false: there is none. */
enum smelt_status sm_view_record(const struct sm_ledger_view *view, uint64_t number,
                                 struct smelt_wave_record *out, bool *found,
                                 struct smelt_error *err);

/* The same, and its digest is what the next wave's record, or the head, says. NOT_FOUND for a wave
 * that the state has not seen. */
enum smelt_status sm_view_wave(const struct sm_ledger_view *view, uint64_t number,
                               struct smelt_wave_record *out, struct smelt_error *err);

/* A page, whose digest is right; its content points into `value`. `*found` false: there is none. */
enum smelt_status sm_view_page(const struct sm_ledger_view *view, enum sm_page_kind kind,
                               uint64_t number, uint32_t page, struct smelt_buf *value,
                               struct sm_page *out, bool *found, struct smelt_error *err);

/* Where the transaction with this id is. */
enum smelt_status sm_view_place(const struct sm_ledger_view *view, const struct smelt_hash *id,
                                uint64_t *number, uint32_t *index, bool *found,
                                struct smelt_error *err);

/* STORE_CORRUPT: `what` is wrong with this wave. */
enum smelt_status sm_view_corrupt(uint64_t number, const char *what, struct smelt_error *err);

/* Pages of a wave with so many transactions. */
uint32_t sm_ledger_page_count(uint32_t transactions);

#endif
