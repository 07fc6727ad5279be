/* The ledger: what a wave leaves behind besides the state. Receipts and events are encoded as they
 * arise, collected in order, and closed into a record; docs/waves.md has the encodings.
 *
 *     a transaction       --sm_journal_event, _receipt-->  journal   (any thread, any time)
 *     journals, in order  --sm_ledger_append-->            ledger
 *     ledger              --sm_ledger_totals, _receipts_digest, _events_root-->  record
 *                         --sm_ledger_writes-->  families RECEIPTS, EVENTS and META of the batch
 *
 * On disk (numbers in keys big-endian, so that they sort):
 *
 *   RECEIPTS  'w' ‖ number u64                  -> record
 *   RECEIPTS  'p' ‖ number u64 ‖ page u32       -> receipts of transactions 64·page …
 *   RECEIPTS  'i' ‖ id[32]                      -> number u64 LE ‖ index u32 LE, of the newest
 *   EVENTS    number u64 ‖ page u32             -> events of transactions 64·page …, if any
 *   META      "chain-id"                        -> u64 LE
 *   META      "wave"                            -> number u64 LE ‖ digest of its record
 *   META      "receipts-from"                   -> number u64 LE: waves before were pruned
 *
 * Encoded receipts and events do not contain what depends on the transactions before
 * (`first_event`, an event's index): pages carry it in their header. So a journal can be made
 * before it is known. */
#ifndef SM_WAVE_LEDGER_H
#define SM_WAVE_LEDGER_H

#include <smelt/wave.h>

#define SM_LEDGER_PAGE 64u /* transactions; on disk */

/* How much of a journal is one transaction's. */
struct sm_journal_mark {
    size_t receipt_bytes;
    size_t event_bytes;
    uint32_t event_count;
};

/* An item that is in a journal's bloom already, as it is in `events`. */
struct sm_journal_item {
    size_t offset;
    size_t size;
    bool is_set;
};
#define SM_JOURNAL_ITEMS 16u

/* Receipts and events of successive transactions. Zero-initialise. */
struct sm_journal {
    struct smelt_buf receipts; /* encoded, one after the other */
    struct smelt_buf events;   /* encoded, one after the other */
    struct smelt_buf leaves;   /* a struct smelt_hash per event: its leaf in the Merkle tree */
    struct smelt_buf ids;      /* index u32 LE ‖ id[32], of the transactions that have one */
    struct smelt_buf marks;    /* a struct sm_journal_mark per receipt */
    struct sm_journal_item items[SM_JOURNAL_ITEMS];
    uint32_t marked_events; /* those that a receipt has taken */
    size_t marked_event_bytes;
    uint32_t receipt_count;
    uint32_t event_count;
    uint32_t rejected_count;
    uint32_t failed_count;
    uint64_t fuel_used;
    struct smelt_u128 fees;
    uint8_t bloom[SMELT_BLOOM_BYTES];
};

/* The next transaction's events come before its receipt. False when memory is short: the journal is
 * good for sm_journal_reset only. */
bool sm_journal_event(struct sm_journal *journal, uint64_t wave, uint32_t transaction,
                      const struct smelt_event *event);
/* `receipt->first_event` and `event_count` are ignored: the events since the last receipt are its
 * own. */
bool sm_journal_receipt(struct sm_journal *journal, const struct smelt_wave_receipt *receipt);
void sm_journal_reset(struct sm_journal *journal); /* empty; keeps its memory */
void sm_journal_deinit(struct sm_journal *journal);

struct sm_ledger;

/* With one reference. */
enum smelt_status sm_ledger_create(uint64_t wave, struct sm_ledger **out, struct smelt_error *err);
/* Once it is closed, threads may share it. */
struct sm_ledger *sm_ledger_acquire(struct sm_ledger *ledger);
void sm_ledger_release(struct sm_ledger *ledger); /* NULL is fine; the last one frees */

/* The journal of the next transactions: none before it is missing. Copies. */
enum smelt_status sm_ledger_append(struct sm_ledger *ledger, const struct sm_journal *journal,
                                   struct smelt_error *err);

/* The three parts of closing depend on each other in nothing and may run on three threads. */
void sm_ledger_receipts_digest(const struct sm_ledger *ledger, struct smelt_hash *out);
enum smelt_status sm_ledger_events_root(const struct sm_ledger *ledger, struct smelt_hash *out,
                                        struct smelt_error *err);
/* Counts, sums and bloom. */
void sm_ledger_totals(const struct sm_ledger *ledger, struct smelt_wave_record *record);

/* Appends the writes of the record, the pages and the ids, and META "wave" (and "chain-id" when
 * `is_first`). They point into the ledger. */
struct sm_write_list {
    struct smelt_store_write *writes;
    size_t count;
    size_t capacity;
};
bool sm_write_list_add(struct sm_write_list *list, const struct smelt_store_write *write);
void sm_write_list_deinit(struct sm_write_list *list);
enum smelt_status sm_ledger_writes(struct sm_ledger *ledger, const struct smelt_wave_record *record,
                                   const struct smelt_hash *digest, bool is_first,
                                   struct sm_write_list *list, struct smelt_error *err);

enum smelt_status sm_ledger_receipt(const struct sm_ledger *ledger, uint32_t index,
                                    struct smelt_wave_receipt **out, struct smelt_error *err);

/* What a store says of its chain; all zeroes before the first wave. */
struct sm_ledger_head {
    bool has_wave;
    uint64_t chain_id;
    struct smelt_hash digest;
    struct smelt_wave_record record;
};
enum smelt_status sm_ledger_head(struct smelt_store *store, struct sm_ledger_head *out,
                                 struct smelt_error *err);

/* The first wave that has receipts: those before were pruned, or have not been. 0 before there is
 * a wave. */
enum smelt_status sm_ledger_kept(struct smelt_store *store, uint64_t *out, struct smelt_error *err);

/* Appends deletions of receipts, events and ids of `number`, and a write that says so. Waves are
 * pruned in ascending order. Reads the newest state, to tell whether an id is that of a later
 * transaction by now: all earlier batches must be in it, and in a batch of its own wave the
 * deletions come before what the ledger writes. `keys` is empty before, and what the list points
 * to after. Nothing is appended for a wave that was pruned before, or has not been. */
enum smelt_status sm_ledger_prune(struct smelt_store *store, uint64_t number,
                                  struct smelt_buf *keys, struct sm_write_list *list,
                                  struct smelt_error *err);

#endif
