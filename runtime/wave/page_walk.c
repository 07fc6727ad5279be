/* Walking the content of a page: page_walk.h. */
#include "runtime/wave/page_walk.h"

#include "base/bytes.h"
#include "runtime/wave/event_code.h"
#include "runtime/wave/ledger.h"

static enum smelt_status corrupt(const struct sm_page_walk *walk, const char *what,
                                 struct smelt_error *err)
{
    return sm_page_corrupt(walk->page->kind, walk->page->wave, walk->page->number, what, err);
}

static struct smelt_slice rest_of(const struct sm_page_walk *walk)
{
    return sm_slice(walk->page->content.data + walk->offset,
                    walk->page->content.size - walk->offset);
}

/* Whether there is one more by the page's count, and content for as many only. */
static enum smelt_status look_ahead(const struct sm_page_walk *walk, bool *has_next,
                                    struct smelt_error *err)
{
    *has_next = walk->position != walk->page->count;
    if (!*has_next && walk->offset != walk->page->content.size) {
        return corrupt(walk, "it has more content than its count says", err);
    }
    return SMELT_STATUS_OK;
}

static void step(struct sm_page_walk *walk, size_t size, struct smelt_slice *code)
{
    *code = sm_slice(walk->page->content.data + walk->offset, size);
    walk->offset += size;
    walk->position++;
}

enum smelt_status sm_page_next_receipt(struct sm_page_walk *walk, struct sm_receipt_view *out,
                                       struct smelt_slice *code, bool *has_next,
                                       struct smelt_error *err)
{
    enum smelt_status status = look_ahead(walk, has_next, err);
    if (status != SMELT_STATUS_OK || !*has_next) {
        return status;
    }
    if (!sm_receipt_decode(rest_of(walk), out) ||
        out->receipt.event_count >
            UINT32_MAX - walk->page->first_event - walk->event_count - walk->last_event_count) {
        *has_next = false;
        return corrupt(walk, "it has a damaged receipt", err);
    }
    walk->event_count += walk->last_event_count;
    walk->last_event_count = out->receipt.event_count;
    step(walk, out->size, code);
    return SMELT_STATUS_OK;
}

enum smelt_status sm_page_next_event(struct sm_page_walk *walk, struct smelt_event *out,
                                     struct smelt_slice *code, bool *has_next,
                                     struct smelt_error *err)
{
    uint32_t transaction;
    size_t size;
    enum smelt_status status = look_ahead(walk, has_next, err);
    if (status != SMELT_STATUS_OK || !*has_next) {
        return status;
    }
    if (!sm_event_decode(rest_of(walk), &transaction, out, &size) ||
        transaction / SM_LEDGER_PAGE != walk->page->number ||
        (walk->position != 0 && transaction < walk->transaction)) {
        *has_next = false;
        return corrupt(walk, "it has a damaged event", err);
    }
    walk->transaction = transaction;
    step(walk, size, code);
    return SMELT_STATUS_OK;
}
