/* The bytes of the ledger's keys: ledger_keys.h. */
#include "runtime/wave/ledger_keys.h"

#include "base/bytes.h"

#include <string.h>

enum { TAG_RECORD = 'w', TAG_PAGE = 'p', TAG_ID = 'i' };

/* Numbers are big-endian: keys are in the order of the waves. */
static void put_be(uint8_t *out, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(value >> 8 * (size - 1 - i));
    }
}

static uint64_t load_be(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

void sm_record_key(uint64_t number, struct sm_ledger_key *out)
{
    out->size = SM_RECORD_KEY_BYTES;
    out->bytes[0] = TAG_RECORD;
    put_be(out->bytes + 1, number, 8);
}

void sm_receipt_page_key(uint64_t number, uint32_t page, struct sm_ledger_key *out)
{
    out->size = SM_RECEIPT_PAGE_KEY_BYTES;
    out->bytes[0] = TAG_PAGE;
    put_be(out->bytes + 1, number, 8);
    put_be(out->bytes + 9, page, 4);
}

void sm_event_page_key(uint64_t number, uint32_t page, struct sm_ledger_key *out)
{
    out->size = SM_EVENT_PAGE_KEY_BYTES;
    put_be(out->bytes, number, 8);
    put_be(out->bytes + 8, page, 4);
}

void sm_id_key(const struct smelt_hash *id, struct sm_ledger_key *out)
{
    out->size = SM_ID_KEY_BYTES;
    out->bytes[0] = TAG_ID;
    memcpy(out->bytes + 1, id->bytes, SMELT_HASH_BYTES);
}

struct smelt_slice sm_ledger_key_slice(const struct sm_ledger_key *key)
{
    return sm_slice(key->bytes, key->size);
}

bool sm_receipts_key_parse(struct smelt_slice key, struct sm_ledger_key_parts *out)
{
    memset(out, 0, sizeof(*out));
    if (key.size == SM_RECORD_KEY_BYTES && key.data[0] == TAG_RECORD) {
        out->kind = SM_KEY_RECORD;
        out->number = load_be(key.data + 1, 8);
        return true;
    }
    if (key.size == SM_RECEIPT_PAGE_KEY_BYTES && key.data[0] == TAG_PAGE) {
        out->kind = SM_KEY_RECEIPT_PAGE;
        out->number = load_be(key.data + 1, 8);
        out->page = (uint32_t)load_be(key.data + 9, 4);
        return true;
    }
    if (key.size == SM_ID_KEY_BYTES && key.data[0] == TAG_ID) {
        out->kind = SM_KEY_ID;
        memcpy(out->id.bytes, key.data + 1, SMELT_HASH_BYTES);
        return true;
    }
    return false;
}

bool sm_events_key_parse(struct smelt_slice key, struct sm_ledger_key_parts *out)
{
    memset(out, 0, sizeof(*out));
    if (key.size != SM_EVENT_PAGE_KEY_BYTES) {
        return false;
    }
    out->kind = SM_KEY_EVENT_PAGE;
    out->number = load_be(key.data, 8);
    out->page = (uint32_t)load_be(key.data + 8, 4);
    return true;
}

void sm_place_encode(uint64_t number, uint32_t index, uint8_t out[SM_PLACE_BYTES])
{
    sm_store_le64(out, number);
    sm_store_le32(out + 8, index);
}

bool sm_place_decode(struct smelt_slice value, uint64_t *number, uint32_t *index)
{
    if (value.size != SM_PLACE_BYTES) {
        return false;
    }
    *number = sm_load_le64(value.data);
    *index = sm_load_le32(value.data + 8);
    return true;
}
