/* Journals: encoding what happened as it happens, on the thread where it does. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "runtime/wave/bloom.h"
#include "runtime/wave/event_code.h"
#include "runtime/wave/ledger.h"
#include "runtime/wave/receipt_code.h"

#include <assert.h>
#include <string.h>

/* A contract tends to emit event after event, and often with one topic: what the event before had
 * is in the filter. */
static void note_items(struct sm_journal *journal, const struct smelt_event *event)
{
    struct smelt_event last = {0};
    uint32_t transaction;
    size_t size;
    struct smelt_slice rest = sm_slice(journal->events.data + journal->last_event,
                                       journal->events.size - journal->last_event);
    bool has_last = journal->event_count != 0 && sm_event_decode(rest, &transaction, &last, &size);
    if (!has_last || memcmp(last.address.bytes, event->address.bytes, SMELT_ADDRESS_BYTES) != 0) {
        sm_bloom_add(journal->bloom, sm_slice(event->address.bytes, SMELT_ADDRESS_BYTES));
    }
    if (!has_last || !sm_slice_equal(last.topic, event->topic)) {
        sm_bloom_add(journal->bloom, event->topic);
    }
}

bool sm_journal_event(struct sm_journal *journal, uint64_t wave, uint32_t transaction,
                      const struct smelt_event *event)
{
    struct smelt_hash leaf;
    size_t start = journal->events.size;
    if (!sm_event_encode(transaction, event, &journal->events)) {
        return false;
    }
    sm_event_leaf(wave, sm_slice(journal->events.data + start, journal->events.size - start),
                  &leaf);
    if (!sm_buf_append(&journal->leaves, leaf.bytes, sizeof(leaf.bytes))) {
        return false;
    }
    note_items(journal, event);
    journal->last_event = start;
    journal->event_count++;
    return true;
}

static bool note_id(struct sm_journal *journal, uint32_t index, const struct smelt_hash *id)
{
    uint8_t index_bytes[4];
    sm_store_le32(index_bytes, index);
    return sm_buf_append(&journal->ids, index_bytes, sizeof(index_bytes)) &&
           sm_buf_append(&journal->ids, id->bytes, sizeof(id->bytes));
}

bool sm_journal_receipt(struct sm_journal *journal, const struct smelt_wave_receipt *receipt)
{
    struct smelt_wave_receipt own = *receipt;
    struct sm_journal_mark mark = {.event_count = journal->event_count - journal->marked_events,
                                   .event_bytes =
                                       journal->events.size - journal->marked_event_bytes};
    size_t start = journal->receipts.size;
    own.event_count = mark.event_count;
    if (!sm_receipt_encode(&own, &journal->receipts)) {
        return false;
    }
    mark.receipt_bytes = journal->receipts.size - start;
    if (!sm_buf_append(&journal->marks, &mark, sizeof(mark)) ||
        (own.has_id && !note_id(journal, own.index, &own.id))) {
        return false;
    }
    journal->marked_events = journal->event_count;
    journal->marked_event_bytes = journal->events.size;
    journal->receipt_count++;
    if (own.is_rejected) {
        journal->rejected_count++;
    } else if (own.status != SMELT_STATUS_OK || own.outcome.kind != SMELT_OUTCOME_RETURNED) {
        journal->failed_count++;
    }
    /* neither sum overflows: fuel limits add up to less than 2^64, prices are less than that */
    journal->fuel_used += own.fuel_used;
    bool is_sum = sm_u128_add(journal->fees, own.fee, &journal->fees);
    assert(is_sum);
    (void)is_sum;
    return true;
}

void sm_journal_reset(struct sm_journal *journal)
{
    struct sm_journal empty = {.receipts = journal->receipts,
                               .events = journal->events,
                               .leaves = journal->leaves,
                               .ids = journal->ids,
                               .marks = journal->marks};
    empty.receipts.size = 0;
    empty.events.size = 0;
    empty.leaves.size = 0;
    empty.ids.size = 0;
    empty.marks.size = 0;
    *journal = empty;
}

void sm_journal_deinit(struct sm_journal *journal)
{
    smelt_buf_deinit(&journal->receipts);
    smelt_buf_deinit(&journal->events);
    smelt_buf_deinit(&journal->leaves);
    smelt_buf_deinit(&journal->ids);
    smelt_buf_deinit(&journal->marks);
    memset(journal, 0, sizeof(*journal));
}
