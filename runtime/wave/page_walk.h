/* What is in a page, one after the other.
 *
 *     struct sm_page_walk walk = {.page = &page};
 *     while (… sm_page_next_receipt(&walk, &view, &has_next, err) … && has_next) …
 *
 * The page's digest was right, so content that does not decode was damaged before it was sealed:
 * STORE_CORRUPT. So is content that goes on after `count` of them. */
#ifndef SM_WAVE_PAGE_WALK_H
#define SM_WAVE_PAGE_WALK_H

#include "runtime/wave/page.h"
#include "runtime/wave/receipt_code.h"

/* Zero-initialise but for `page`. */
struct sm_page_walk {
    const struct sm_page *page; /* borrowed */
    uint32_t position;          /* how many were taken */
    uint32_t event_count;       /* of the receipts before the one last taken */
    uint32_t last_event_count;  /* of the receipt last taken */
    uint32_t transaction;       /* of the event last taken */
    size_t offset;
};

/* A receipt, with its code. */
enum smelt_status sm_page_next_receipt(struct sm_page_walk *walk, struct sm_receipt_view *out,
                                       struct smelt_slice *code, bool *has_next,
                                       struct smelt_error *err);
/* Its transaction is one of the page's, and not before the last event's. */
enum smelt_status sm_page_next_event(struct sm_page_walk *walk, struct smelt_event *out,
                                     struct smelt_slice *code, bool *has_next,
                                     struct smelt_error *err);

#endif
