/* Records as bytes, and their digest: record.h has the layout. */
#include "runtime/wave/record.h"

#include "base/digest.h"
#include "runtime/wave/cursor.h"

#include <assert.h>

#define RECORD_DOMAIN "smelt.wave.v1"

enum { VERSION = 1 };
enum { FLAG_FEE_RECIPIENT = 1, FLAG_STATE_ROOT = 2, FLAGS = 3 };

static uint8_t *put_bytes(uint8_t *at, const uint8_t *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    sm_store_le32(at, value);
    return at + 4;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    sm_store_le64(at, value);
    return at + 8;
}

void sm_record_encode(const struct smelt_wave_record *record, uint8_t out[SM_RECORD_BYTES])
{
    static const uint8_t zeroes[32];
    uint8_t *at = out;
    *at++ = VERSION;
    *at++ = (uint8_t)((record->has_fee_recipient ? FLAG_FEE_RECIPIENT : 0) |
                      (record->has_state_root ? FLAG_STATE_ROOT : 0));
    at = put_u64(at, record->chain_id);
    at = put_u64(at, record->number);
    at = put_u64(at, record->timestamp);
    at = put_bytes(at, record->parent.bytes, SMELT_HASH_BYTES);
    at = put_bytes(at, record->has_fee_recipient ? record->fee_recipient.bytes : zeroes,
                   SMELT_ADDRESS_BYTES);
    at = put_u32(at, record->transaction_count);
    at = put_u32(at, record->rejected_count);
    at = put_u32(at, record->failed_count);
    at = put_u32(at, record->event_count);
    at = put_u32(at, record->write_count);
    at = put_u64(at, record->fuel_used);
    sm_store_u128(at, record->fees);
    at += 16;
    at = put_bytes(at, record->receipts_digest.bytes, SMELT_HASH_BYTES);
    at = put_bytes(at, record->events_root.bytes, SMELT_HASH_BYTES);
    at = put_bytes(at, record->state_digest.bytes, SMELT_HASH_BYTES);
    at =
        put_bytes(at, record->has_state_root ? record->state_root.bytes : zeroes, SMELT_HASH_BYTES);
    at = put_bytes(at, record->bloom, SMELT_BLOOM_BYTES);
    assert(at == out + SM_RECORD_BYTES);
    (void)at;
}

static bool take_hash(struct sm_cursor *cursor, struct smelt_hash *out)
{
    return sm_take_bytes(cursor, out->bytes, SMELT_HASH_BYTES);
}

static bool is_zero(const uint8_t bytes[32])
{
    static const uint8_t zeroes[32];
    return memcmp(bytes, zeroes, sizeof(zeroes)) == 0;
}

bool sm_record_decode(struct smelt_slice code, struct smelt_wave_record *out)
{
    struct sm_cursor cursor = {.data = code.data, .left = code.size};
    struct smelt_wave_record record = {0};
    uint8_t version = 0;
    uint8_t flags = 0;
    memset(out, 0, sizeof(*out));
    bool is_whole =
        code.size == SM_RECORD_BYTES && sm_take_u8(&cursor, &version) && version == VERSION &&
        sm_take_u8(&cursor, &flags) && (flags & ~FLAGS) == 0 &&
        sm_take_u64(&cursor, &record.chain_id) && sm_take_u64(&cursor, &record.number) &&
        sm_take_u64(&cursor, &record.timestamp) && take_hash(&cursor, &record.parent) &&
        sm_take_bytes(&cursor, record.fee_recipient.bytes, SMELT_ADDRESS_BYTES) &&
        sm_take_u32(&cursor, &record.transaction_count) &&
        sm_take_u32(&cursor, &record.rejected_count) &&
        sm_take_u32(&cursor, &record.failed_count) && sm_take_u32(&cursor, &record.event_count) &&
        sm_take_u32(&cursor, &record.write_count) && sm_take_u64(&cursor, &record.fuel_used) &&
        sm_take_u128(&cursor, &record.fees) && take_hash(&cursor, &record.receipts_digest) &&
        take_hash(&cursor, &record.events_root) && take_hash(&cursor, &record.state_digest) &&
        take_hash(&cursor, &record.state_root) &&
        sm_take_bytes(&cursor, record.bloom, SMELT_BLOOM_BYTES);
    if (!is_whole) {
        return false;
    }
    record.has_fee_recipient = (flags & FLAG_FEE_RECIPIENT) != 0;
    record.has_state_root = (flags & FLAG_STATE_ROOT) != 0;
    bool is_consistent =
        record.number != 0 && record.transaction_count <= SMELT_WAVE_TRANSACTIONS_MAX &&
        (uint64_t)record.rejected_count + record.failed_count <= record.transaction_count &&
        (record.has_fee_recipient || is_zero(record.fee_recipient.bytes)) &&
        (record.has_state_root || is_zero(record.state_root.bytes));
    if (is_consistent) {
        *out = record;
    }
    return is_consistent;
}

void smelt_wave_record_digest(const struct smelt_wave_record *record, struct smelt_hash *out)
{
    uint8_t code[SM_RECORD_BYTES];
    struct sm_digest digest;
    sm_record_encode(record, code);
    sm_digest_init(&digest, RECORD_DOMAIN);
    sm_digest_slice(&digest, sm_slice(code, sizeof(code)));
    sm_digest_final(&digest, out);
}
