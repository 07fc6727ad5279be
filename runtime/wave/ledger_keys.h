/* Keys and small values of the ledger in the store: ledger.h has the list. On disk. */
#ifndef SM_WAVE_LEDGER_KEYS_H
#define SM_WAVE_LEDGER_KEYS_H

#include <smelt/wave.h>

#define SM_RECORD_KEY_BYTES       9u  /* 'w' ‖ number u64 */
#define SM_RECEIPT_PAGE_KEY_BYTES 13u /* 'p' ‖ number u64 ‖ page u32 */
#define SM_EVENT_PAGE_KEY_BYTES   12u /* number u64 ‖ page u32 */
#define SM_ID_KEY_BYTES           33u /* 'i' ‖ id */
#define SM_PLACE_BYTES            12u /* number u64 LE ‖ index u32 LE: the value of an id */
#define SM_LAST_BYTES             40u /* number u64 LE ‖ digest: the value of META "wave" */
#define SM_CHAIN_ID_BYTES         8u  /* u64 LE: the value of META "chain-id" */

#define SM_KEPT_BYTES 8u /* number u64 LE: the value of META "receipts-from" */

#define SM_LAST_KEY      "wave"
#define SM_CHAIN_ID_KEY  "chain-id"
#define SM_KEPT_KEY      "receipts-from"
#define SM_RECORD_PREFIX "w" /* of the keys of records */
#define SM_PAGE_PREFIX   "p" /* of the keys of pages of receipts */

/* A key of families RECEIPTS and EVENTS. */
struct sm_ledger_key {
    size_t size;
    uint8_t bytes[SM_ID_KEY_BYTES];
};

void sm_record_key(uint64_t number, struct sm_ledger_key *out);
void sm_receipt_page_key(uint64_t number, uint32_t page, struct sm_ledger_key *out);
void sm_event_page_key(uint64_t number, uint32_t page, struct sm_ledger_key *out);
void sm_id_key(const struct smelt_hash *id, struct sm_ledger_key *out);
/* Borrowed from `key`. */
struct smelt_slice sm_ledger_key_slice(const struct sm_ledger_key *key);

/* What a key of family RECEIPTS, or EVENTS, is about. */
enum sm_ledger_key_kind { SM_KEY_RECORD, SM_KEY_RECEIPT_PAGE, SM_KEY_ID, SM_KEY_EVENT_PAGE };
struct sm_ledger_key_parts {
    enum sm_ledger_key_kind kind;
    uint64_t number;
    uint32_t page;
    struct smelt_hash id;
};
/* False for a key that is none. */
bool sm_receipts_key_parse(struct smelt_slice key, struct sm_ledger_key_parts *out);
bool sm_events_key_parse(struct smelt_slice key, struct sm_ledger_key_parts *out);

void sm_place_encode(uint64_t number, uint32_t index, uint8_t out[SM_PLACE_BYTES]);
bool sm_place_decode(struct smelt_slice value, uint64_t *number, uint32_t *index);

#endif
