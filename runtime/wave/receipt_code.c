/* Receipts as bytes: receipt_code.h has the layout. */
#include "runtime/wave/receipt_code.h"

#include "base/alloc.h"
#include "base/status.h"
#include "runtime/wave/cursor.h"

#include <assert.h>

#define WHERE           "wave"
#define RECEIPTS_DOMAIN "smelt.receipts.v1"

enum { VERSION = 1 };

enum {
    FIELD_REJECTED = 1 << 0,
    FIELD_ID = 1 << 1,
    FIELD_FUEL_USED = 1 << 2,
    FIELD_FEE = 1 << 3,
    FIELD_ADDRESS = 1 << 4,
    FIELD_MODULE_HASH = 1 << 5,
    FIELD_OUTCOME = 1 << 6,
    FIELD_EVENTS = 1 << 7,
    FIELD_WRITES = 1 << 8,
    FIELD_RESULTS = 1 << 9,
    FIELD_RETURN_DATA = 1 << 10,
    FIELD_LOCATION = 1 << 11,
    FIELDS = (1 << 12) - 1
};

enum { RESULT_BYTES = 9 };

/* All fields before results, return data and function name. */
enum {
    FIXED_BYTES = 1 + 1 + 2 + 2 + SMELT_ADDRESS_BYTES + 8 + SMELT_HASH_BYTES + 8 + 16 +
                  SMELT_ADDRESS_BYTES + SMELT_HASH_BYTES + 3 + 4 + 4 + 4 + 4 + 12
};

static bool is_zero(const uint8_t bytes[32])
{
    static const uint8_t zeroes[32];
    return memcmp(bytes, zeroes, sizeof(zeroes)) == 0;
}

/* Whether a transaction of a wave can end so: what is the caller's or the module's fault, and not
 * the machine's. */
static bool is_fate(uint32_t status)
{
    switch (status) {
#define STATUS_CASE(number, name, text) case number:
        SMELT_STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
        return status < 300;
    default:
        return false;
    }
}

static bool is_trap(uint32_t trap)
{
    switch (trap) {
#define TRAP_CASE(number, name, text) case number:
        SMELT_TRAP_MAP(TRAP_CASE)
#undef TRAP_CASE
        return true;
    default:
        return false;
    }
}

static bool is_host_error(uint32_t error)
{
    switch (error) {
#define HOST_ERROR_CASE(number, name, text) case number:
        SMELT_HOST_ERROR_MAP(HOST_ERROR_CASE)
#undef HOST_ERROR_CASE
        return true;
    default:
        return false;
    }
}

static bool is_outcome(const struct smelt_outcome *outcome)
{
    bool is_trapped = outcome->kind == SMELT_OUTCOME_TRAPPED;
    bool is_host = outcome->trap == SMELT_TRAP_HOST_ERROR;
    return (uint32_t)outcome->kind <= SMELT_OUTCOME_OUT_OF_FUEL && is_trap(outcome->trap) &&
           is_host_error(outcome->host_error) && is_trapped == (outcome->trap != SMELT_TRAP_NONE) &&
           is_host == (outcome->host_error != SMELT_HOST_ERROR_NONE);
}

static bool is_value(struct smelt_value value)
{
    switch (value.type) {
    case SMELT_VALTYPE_I32:
    case SMELT_VALTYPE_F32:
        return value.bits <= UINT32_MAX;
    case SMELT_VALTYPE_I64:
    case SMELT_VALTYPE_F64:
        return true;
    case SMELT_VALTYPE_NONE:
        break;
    }
    return false;
}

/* All but the results, which a view has elsewhere. */
static bool is_consistent(const struct smelt_wave_receipt *receipt)
{
    const struct smelt_location *location = &receipt->location;
    bool is_ok = receipt->status == SMELT_STATUS_OK;
    bool is_returned = receipt->outcome.kind == SMELT_OUTCOME_RETURNED;
    bool is_done = is_ok && is_returned;
    bool is_trapped = receipt->outcome.kind == SMELT_OUTCOME_TRAPPED;
    return (uint32_t)receipt->kind <= SMELT_TRANSACTION_UPGRADE && is_fate(receipt->status) &&
           is_outcome(&receipt->outcome) &&
           /* nothing at all happened, or no code ran, or what it did is gone */
           (!receipt->is_rejected ||
            (!is_ok && receipt->fuel_used == 0 && sm_u128_is_zero(receipt->fee))) &&
           (is_ok || (is_returned && receipt->return_data.size == 0)) &&
           (is_done || (receipt->result_count == 0 && receipt->event_count == 0 &&
                        receipt->write_count == 0)) &&
           (receipt->has_id || is_zero(receipt->id.bytes)) &&
           (location->is_known ? is_trapped && location->function.size <= SM_RECEIPT_FUNCTION_MAX &&
                                     sm_slice_is_utf8(location->function)
                               : location->function.size == 0 && location->func_index == 0 &&
                                     location->offset == 0);
}

bool sm_receipt_is_consistent(const struct smelt_wave_receipt *receipt)
{
    bool is_good = is_consistent(receipt);
    for (size_t i = 0; is_good && i < receipt->result_count; i++) {
        is_good = is_value(receipt->results[i]);
    }
    return is_good;
}

static uint32_t fields_of(const struct smelt_wave_receipt *receipt)
{
    uint32_t fields = 0;
    fields |= receipt->is_rejected ? FIELD_REJECTED : 0;
    fields |= receipt->has_id ? FIELD_ID : 0;
    fields |= receipt->fuel_used != 0 ? FIELD_FUEL_USED : 0;
    fields |= !sm_u128_is_zero(receipt->fee) ? FIELD_FEE : 0;
    fields |= !is_zero(receipt->address.bytes) ? FIELD_ADDRESS : 0;
    fields |= !is_zero(receipt->module_hash.bytes) ? FIELD_MODULE_HASH : 0;
    fields |= receipt->outcome.kind != SMELT_OUTCOME_RETURNED ? FIELD_OUTCOME : 0;
    fields |= receipt->event_count != 0 ? FIELD_EVENTS : 0;
    fields |= receipt->write_count != 0 ? FIELD_WRITES : 0;
    fields |= receipt->result_count != 0 ? FIELD_RESULTS : 0;
    fields |= receipt->return_data.size != 0 ? FIELD_RETURN_DATA : 0;
    fields |= receipt->location.is_known ? FIELD_LOCATION : 0;
    return fields;
}

/* Writing: each returns where the next field goes. */

static uint8_t *put_u8(uint8_t *at, uint32_t value)
{
    *at = (uint8_t)value;
    return at + 1;
}

static uint8_t *put_u16(uint8_t *at, uint32_t value)
{
    return put_u8(put_u8(at, value & 0xff), value >> 8);
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

static uint8_t *put_32_bytes(uint8_t *at, const uint8_t bytes[32])
{
    memcpy(at, bytes, 32);
    return at + 32;
}

static size_t put_fixed(const struct smelt_wave_receipt *receipt, uint32_t fields,
                        uint8_t out[FIXED_BYTES])
{
    const struct smelt_location *location = &receipt->location;
    uint8_t *at = put_u8(out, VERSION);
    at = put_u8(at, receipt->kind);
    at = put_u16(at, receipt->status);
    at = put_u16(at, fields);
    at = put_32_bytes(at, receipt->from.bytes);
    at = put_u64(at, receipt->nonce);
    if ((fields & FIELD_ID) != 0) {
        at = put_32_bytes(at, receipt->id.bytes);
    }
    if ((fields & FIELD_FUEL_USED) != 0) {
        at = put_u64(at, receipt->fuel_used);
    }
    if ((fields & FIELD_FEE) != 0) {
        at = put_u64(put_u64(at, receipt->fee.low), receipt->fee.high);
    }
    if ((fields & FIELD_ADDRESS) != 0) {
        at = put_32_bytes(at, receipt->address.bytes);
    }
    if ((fields & FIELD_MODULE_HASH) != 0) {
        at = put_32_bytes(at, receipt->module_hash.bytes);
    }
    if ((fields & FIELD_OUTCOME) != 0) {
        at = put_u8(at, receipt->outcome.kind);
        at = put_u8(at, receipt->outcome.trap);
        at = put_u8(at, receipt->outcome.host_error);
    }
    if ((fields & FIELD_EVENTS) != 0) {
        at = put_u32(at, receipt->event_count);
    }
    if ((fields & FIELD_WRITES) != 0) {
        at = put_u32(at, receipt->write_count);
    }
    if ((fields & FIELD_RESULTS) != 0) {
        at = put_u32(at, (uint32_t)receipt->result_count);
    }
    if ((fields & FIELD_RETURN_DATA) != 0) {
        at = put_u32(at, (uint32_t)receipt->return_data.size);
    }
    if ((fields & FIELD_LOCATION) != 0) {
        at = put_u32(put_u32(at, location->func_index), location->offset);
        at = put_u32(at, (uint32_t)location->function.size);
    }
    return (size_t)(at - out);
}

bool sm_receipt_encode(const struct smelt_wave_receipt *receipt, struct smelt_buf *out)
{
    assert(sm_receipt_is_consistent(receipt));
    const struct smelt_slice name = receipt->location.function;
    uint8_t fixed[FIXED_BYTES];
    if (receipt->result_count > UINT32_MAX / RESULT_BYTES ||
        receipt->return_data.size > UINT32_MAX || name.size > UINT32_MAX) {
        return false;
    }
    size_t fixed_size = put_fixed(receipt, fields_of(receipt), fixed);
    if (!sm_buf_reserve(out, fixed_size + receipt->result_count * RESULT_BYTES +
                                 receipt->return_data.size + name.size)) {
        return false;
    }
    bool is_done = sm_buf_append(out, fixed, fixed_size);
    for (size_t i = 0; is_done && i < receipt->result_count; i++) {
        uint8_t result[RESULT_BYTES];
        (void)put_u64(put_u8(result, receipt->results[i].type), receipt->results[i].bits);
        is_done = sm_buf_append(out, result, sizeof(result));
    }
    return is_done && sm_buf_append(out, receipt->return_data.data, receipt->return_data.size) &&
           sm_buf_append(out, name.data, name.size);
}

static struct smelt_value load_result(const uint8_t *at)
{
    return (struct smelt_value){.type = (enum smelt_valtype)at[0], .bits = sm_load_le64(at + 1)};
}

static bool take_outcome(struct sm_cursor *cursor, struct smelt_outcome *out)
{
    uint8_t bytes[3];
    if (!sm_take_bytes(cursor, bytes, sizeof(bytes))) {
        return false;
    }
    out->kind = (enum smelt_outcome_kind)bytes[0];
    out->trap = (enum smelt_trap)bytes[1];
    out->host_error = (enum smelt_host_error)bytes[2];
    return true;
}

bool sm_receipt_decode(struct smelt_slice bytes, struct sm_receipt_view *out)
{
    struct sm_cursor cursor = {.data = bytes.data, .left = bytes.size};
    struct sm_receipt_view view = {0};
    struct smelt_wave_receipt *receipt = &view.receipt;
    struct smelt_location *location = &receipt->location;
    uint8_t version = 0;
    uint8_t kind = 0;
    uint16_t status = 0;
    uint16_t fields = 0;
    uint32_t result_count = 0;
    uint32_t return_data_size = 0;
    uint32_t name_size = 0;
    memset(out, 0, sizeof(*out));
    if (!sm_take_u8(&cursor, &version) || version != VERSION || !sm_take_u8(&cursor, &kind) ||
        !sm_take_u16(&cursor, &status) || !sm_take_u16(&cursor, &fields) ||
        (fields & ~FIELDS) != 0 || !is_fate(status) ||
        !sm_take_bytes(&cursor, receipt->from.bytes, SMELT_ADDRESS_BYTES) ||
        !sm_take_u64(&cursor, &receipt->nonce)) {
        return false;
    }
    receipt->kind = (enum smelt_transaction_kind)kind;
    receipt->status = (enum smelt_status)status;
    receipt->is_rejected = (fields & FIELD_REJECTED) != 0;
    receipt->has_id = (fields & FIELD_ID) != 0;
    location->is_known = (fields & FIELD_LOCATION) != 0;
#define TAKE(field, expr) ((fields & (field)) == 0 || (expr))
    bool is_whole =
        TAKE(FIELD_ID, sm_take_bytes(&cursor, receipt->id.bytes, SMELT_HASH_BYTES)) &&
        TAKE(FIELD_FUEL_USED, sm_take_u64(&cursor, &receipt->fuel_used)) &&
        TAKE(FIELD_FEE, sm_take_u128(&cursor, &receipt->fee)) &&
        TAKE(FIELD_ADDRESS, sm_take_bytes(&cursor, receipt->address.bytes, SMELT_ADDRESS_BYTES)) &&
        TAKE(FIELD_MODULE_HASH,
             sm_take_bytes(&cursor, receipt->module_hash.bytes, SMELT_HASH_BYTES)) &&
        TAKE(FIELD_OUTCOME, take_outcome(&cursor, &receipt->outcome)) &&
        TAKE(FIELD_EVENTS, sm_take_u32(&cursor, &receipt->event_count)) &&
        TAKE(FIELD_WRITES, sm_take_u32(&cursor, &receipt->write_count)) &&
        TAKE(FIELD_RESULTS, sm_take_u32(&cursor, &result_count)) &&
        TAKE(FIELD_RETURN_DATA, sm_take_u32(&cursor, &return_data_size)) &&
        TAKE(FIELD_LOCATION, sm_take_u32(&cursor, &location->func_index) &&
                                 sm_take_u32(&cursor, &location->offset) &&
                                 sm_take_u32(&cursor, &name_size)) &&
        result_count <= UINT32_MAX / RESULT_BYTES &&
        sm_take_slice(&cursor, (size_t)result_count * RESULT_BYTES, &view.results) &&
        sm_take_slice(&cursor, return_data_size, &receipt->return_data) &&
        sm_take_slice(&cursor, name_size, &location->function);
#undef TAKE
    receipt->result_count = result_count;
    for (size_t at = 0; is_whole && at < view.results.size; at += RESULT_BYTES) {
        is_whole = is_value(load_result(view.results.data + at));
    }
    /* a field that is there is not zero: the last comparison */
    if (!is_whole || !is_consistent(receipt) || fields_of(receipt) != fields) {
        return false;
    }
    view.size = bytes.size - cursor.left;
    *out = view;
    return true;
}

void sm_receipts_digest_init(struct sm_digest *digest, uint32_t count)
{
    sm_digest_init(digest, RECEIPTS_DOMAIN);
    sm_digest_u32(digest, count);
}

/* In one block: the receipt, its results, return data and function name. */
enum smelt_status sm_receipt_copy(const struct sm_receipt_view *view, uint64_t wave, uint32_t index,
                                  uint32_t first_event, struct smelt_wave_receipt **out,
                                  struct smelt_error *err)
{
    struct block {
        struct smelt_wave_receipt receipt;
        struct smelt_value results[];
    };
    const struct smelt_wave_receipt *from = &view->receipt;
    const struct smelt_slice data = from->return_data;
    const struct smelt_slice name = from->location.function;
    *out = NULL;
    /* the parts are in memory, so that neither the product nor the sum overflows */
    struct block *block = (struct block *)sm_alloc(
        sizeof(*block) + from->result_count * sizeof(block->results[0]) + data.size + name.size);
    if (block == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    struct smelt_wave_receipt *receipt = &block->receipt;
    uint8_t *bytes = (uint8_t *)&block->results[from->result_count];
    *receipt = *from;
    receipt->wave = wave;
    receipt->index = index;
    receipt->first_event = first_event;
    for (size_t i = 0; i < from->result_count; i++) {
        block->results[i] = load_result(view->results.data + i * RESULT_BYTES);
    }
    receipt->results = from->result_count != 0 ? block->results : NULL;
    if (data.size != 0) {
        memcpy(bytes, data.data, data.size);
        receipt->return_data.data = bytes;
    }
    if (name.size != 0) {
        memcpy(bytes + data.size, name.data, name.size);
        receipt->location.function.data = bytes + data.size;
    }
    *out = receipt;
    return SMELT_STATUS_OK;
}

void smelt_wave_receipt_destroy(struct smelt_wave_receipt *receipt)
{
    sm_free(receipt);
}

const char *smelt_transaction_kind_name(enum smelt_transaction_kind kind)
{
    switch (kind) {
    case SMELT_TRANSACTION_TRANSFER:
        return "transfer";
    case SMELT_TRANSACTION_DEPLOY:
        return "deploy";
    case SMELT_TRANSACTION_CALL:
        return "call";
    case SMELT_TRANSACTION_UPGRADE:
        return "upgrade";
    }
    return "unknown";
}
