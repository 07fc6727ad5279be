/* Pages: how the receipts, and the events, of up to SM_LEDGER_PAGE transactions are stored.
 *
 *     version u8 (1) ‖ first event u32 ‖ count u32 ‖ digest[32] ‖ content
 *
 * `first event` is the position in the wave of the page's first event (of a page of receipts: of
 * the first one that its transactions emitted, or would have), `count` how many receipts or events
 * are in the content, one after the other. The digest is H(domain, wave u64, page u32, first event,
 * count, content), the domain "smelt.page.receipts.v1" or "smelt.page.events.v1": a page that was
 * damaged, or is of another place, is told before anything in it is believed. On disk. */
#ifndef SM_WAVE_PAGE_H
#define SM_WAVE_PAGE_H

#include <smelt/wave.h>

#define SM_PAGE_HEADER_BYTES 41u

enum sm_page_kind { SM_PAGE_RECEIPTS, SM_PAGE_EVENTS };

struct sm_page {
    enum sm_page_kind kind;
    uint64_t wave;
    uint32_t number; /* of the page in the wave */
    uint32_t first_event;
    uint32_t count;
    struct smelt_slice content;
};

/* The header that goes before the content. */
void sm_page_seal(const struct sm_page *page, uint8_t out[SM_PAGE_HEADER_BYTES]);

/* `content` points into `value`. STORE_CORRUPT, naming wave and page, when it is not that page. */
enum smelt_status sm_page_open(enum sm_page_kind kind, uint64_t wave, uint32_t number,
                               struct smelt_slice value, struct sm_page *out,
                               struct smelt_error *err);

/* STORE_CORRUPT: `what` is wrong in this page. */
enum smelt_status sm_page_corrupt(enum sm_page_kind kind, uint64_t wave, uint32_t number,
                                  const char *what, struct smelt_error *err);

#endif
