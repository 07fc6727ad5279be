/* Journals: encoding what happened as it happens, on the thread where it does. */
#include "base/bytes.h"
#include "runtime/wave/bloom.h"
#include "runtime/wave/event_code.h"
#include "runtime/wave/ledger.h"
#include "runtime/wave/receipt_code.h"

#include <assert.h>
#include <string.h>

/* Which of the remembered items this one would replace. */
static size_t slot_of(struct smelt_slice item)
{
    size_t mix = item.size;
    if (item.size != 0) {
        mix += 31u * item.data[0] + 7u * item.data[item.size / 2] + item.data[item.size - 1];
    }
    return mix % SM_JOURNAL_ITEMS;
}

/* Contracts emit event after event with few addresses and topics. Setting bits costs a digest, so
 * what was seen lately is looked up by its bytes. */
static void note_item(struct sm_journal *journal, size_t offset, size_t size)
{
    struct smelt_slice item = sm_slice(journal->events.data + offset, size);
    struct sm_journal_item *last = &journal->items[slot_of(item)];
    if (!last->is_set ||
        !sm_slice_equal(item, sm_slice(journal->events.data + last->offset, last->size))) {
        sm_bloom_add(journal->bloom, item);
        *last = (struct sm_journal_item){.offset = offset, .size = size, .is_set = true};
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
    note_item(journal, start + SM_EVENT_ADDRESS_AT, SMELT_ADDRESS_BYTES);
    note_item(journal, start + SM_EVENT_HEADER_BYTES, event->topic.size);
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
