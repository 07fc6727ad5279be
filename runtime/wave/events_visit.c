/* Visiting events: the bloom of a record tells which waves need not be read. Records are checked
 * against the chain as they go by, so that a damaged bloom does not hide anything. */
#include "base/bytes.h"
#include "runtime/wave/ledger_view.h"
#include "runtime/wave/page_walk.h"

#include <smelt/wave.h>

#include <string.h>

struct visit {
    const struct sm_ledger_view *view;
    const struct smelt_event_filter *filter;
    smelt_event_visit_fn call;
    void *context;
    struct smelt_buf page; /* the one that is being read */
    bool is_stopped;
};

static bool may_match(const struct smelt_event_filter *filter,
                      const struct smelt_wave_record *record)
{
    return record->event_count != 0 &&
           (filter->address == NULL ||
            smelt_bloom_may_contain(record->bloom,
                                    sm_slice(filter->address->bytes, SMELT_ADDRESS_BYTES))) &&
           (filter->topic == NULL || smelt_bloom_may_contain(record->bloom, *filter->topic));
}

static bool matches(const struct smelt_event_filter *filter, const struct smelt_event *event)
{
    return (filter->address == NULL ||
            memcmp(filter->address->bytes, event->address.bytes, SMELT_ADDRESS_BYTES) == 0) &&
           (filter->topic == NULL || sm_slice_equal(*filter->topic, event->topic));
}

static enum smelt_status visit_page(struct visit *visit, const struct sm_page *page,
                                    struct smelt_error *err)
{
    struct sm_page_walk walk = {.page = page};
    struct smelt_wave_event event = {.wave = page->wave};
    struct smelt_slice code;
    bool has_next = true;
    while (!visit->is_stopped) {
        enum smelt_status status = sm_page_next_event(&walk, &event.event, &code, &has_next, err);
        if (status != SMELT_STATUS_OK || !has_next) {
            return status;
        }
        event.transaction = walk.transaction;
        event.index = page->first_event + walk.position - 1;
        if (matches(visit->filter, &event.event)) {
            visit->is_stopped = !visit->call(visit->context, &event);
        }
    }
    return SMELT_STATUS_OK;
}

/* Pages without events are not stored: that all are there shows at the end, by their sum. */
static enum smelt_status visit_wave(struct visit *visit, const struct smelt_wave_record *record,
                                    struct smelt_error *err)
{
    uint32_t pages = sm_ledger_page_count(record->transaction_count);
    uint32_t seen = 0;
    for (uint32_t i = 0; i < pages && !visit->is_stopped; i++) {
        struct sm_page page;
        bool found;
        enum smelt_status status = sm_view_page(visit->view, SM_PAGE_EVENTS, record->number, i,
                                                &visit->page, &page, &found, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        if (!found) {
            continue;
        }
        if (page.first_event != seen || page.count > record->event_count - seen) {
            return sm_page_corrupt(page.kind, page.wave, page.number,
                                   "it does not go on where the pages before it end", err);
        }
        status = visit_page(visit, &page, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        seen += page.count;
    }
    return visit->is_stopped || seen == record->event_count
               ? SMELT_STATUS_OK
               : sm_view_corrupt(record->number, "events are missing", err);
}

static enum smelt_status visit_waves(struct visit *visit, uint64_t first, uint64_t last,
                                     struct smelt_error *err)
{
    for (uint64_t n = first; n <= last && !visit->is_stopped; n++) {
        struct smelt_wave_record record;
        enum smelt_status status = sm_view_wave(visit->view, n, &record, err);
        if (status == SMELT_STATUS_OK && may_match(visit->filter, &record)) {
            status = visit_wave(visit, &record, err);
        }
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        if (n == UINT64_MAX) {
            break;
        }
    }
    return SMELT_STATUS_OK;
}

enum smelt_status smelt_events_visit(struct smelt_store *store,
                                     const struct smelt_event_filter *filter,
                                     smelt_event_visit_fn visit, void *context,
                                     struct smelt_error *err)
{
    struct sm_ledger_view view;
    struct visit state = {.view = &view, .filter = filter, .call = visit, .context = context};
    uint64_t first = 0;
    enum smelt_status status = sm_view_open(store, &view, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    status = sm_view_first(&view, &first, err);
    if (status == SMELT_STATUS_OK && view.head.has_wave) {
        uint64_t newest = view.head.record.number;
        uint64_t last = filter->last_wave < newest ? filter->last_wave : newest;
        first = first < view.kept ? view.kept : first;
        first = first < filter->first_wave ? filter->first_wave : first;
        if (first <= last) {
            status = visit_waves(&state, first, last, err);
        }
    }
    smelt_buf_deinit(&state.page);
    sm_view_close(&view);
    return status;
}
