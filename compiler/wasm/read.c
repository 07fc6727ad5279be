/* The primitives of read.h, and what is known of types outside the subset, so that a refusal can
 * name the proposal instead of calling a newer module malformed. */
#include "compiler/wasm/read.h"

#include "base/bytes.h"
#include "base/status.h"
#include "compiler/wasm/leb128.h"

#include <stdarg.h>
#include <stdio.h>

enum smelt_status sm_wasm_fail(const struct sm_wasm_cursor *cursor, const uint8_t *at,
                               enum smelt_status status, struct smelt_error *err,
                               const char *format, ...)
{
    if (err != NULL) {
        char message[sizeof(err->message)];
        va_list args;
        va_start(args, format);
        (void)vsnprintf(message, sizeof(message), format, args);
        va_end(args);
        (void)sm_error_set_at(err, status, cursor->section, cursor->func_index,
                              at - cursor->module_start, "%s", message);
    }
    return status;
}

enum smelt_status sm_wasm_fail_feature(const struct sm_wasm_cursor *cursor, const uint8_t *at,
                                       struct smelt_error *err, const char *proposal,
                                       const char *what)
{
    return sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_FEATURE, err,
                        "%s needs the %s proposal, which is outside the contract subset; build "
                        "without it",
                        what, proposal);
}

static enum smelt_status fail_leb(const struct sm_wasm_cursor *cursor, enum sm_leb_result result,
                                  const char *what, struct smelt_error *err)
{
    const char *reason = "";
    switch (result) {
    case SM_LEB_OK:
        break;
    case SM_LEB_TRUNCATED:
        reason = "unexpected end of section or function inside an integer";
        break;
    case SM_LEB_TOO_LONG:
        reason = "integer representation too long";
        break;
    case SM_LEB_TOO_LARGE:
        reason = "integer too large";
        break;
    }
    return sm_wasm_fail(cursor, cursor->at, SMELT_STATUS_MODULE_MALFORMED, err, "%s: %s", what,
                        reason);
}

enum smelt_status sm_wasm_read_u32_slow(struct sm_wasm_cursor *cursor, const char *what,
                                        uint32_t *out, struct smelt_error *err)
{
    uint64_t value = 0;
    enum sm_leb_result result = sm_leb_read_unsigned(&cursor->at, cursor->end, 32, &value);
    *out = (uint32_t)value;
    return result == SM_LEB_OK ? SMELT_STATUS_OK : fail_leb(cursor, result, what, err);
}

enum smelt_status sm_wasm_read_signed(struct sm_wasm_cursor *cursor, unsigned width,
                                      const char *what, int64_t *out, struct smelt_error *err)
{
    enum sm_leb_result result = sm_leb_read_signed(&cursor->at, cursor->end, width, out);
    return result == SM_LEB_OK ? SMELT_STATUS_OK : fail_leb(cursor, result, what, err);
}

enum smelt_status sm_wasm_read_byte(struct sm_wasm_cursor *cursor, const char *what, uint8_t *out,
                                    struct smelt_error *err)
{
    if (cursor->at == cursor->end) {
        return sm_wasm_fail(cursor, cursor->at, SMELT_STATUS_MODULE_MALFORMED, err,
                            "unexpected end of section or function: %s is missing", what);
    }
    *out = *cursor->at++;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_wasm_read_bytes(struct sm_wasm_cursor *cursor, size_t size, const char *what,
                                     struct smelt_slice *out, struct smelt_error *err)
{
    size_t left = (size_t)(cursor->end - cursor->at);
    if (size > left) {
        return sm_wasm_fail(cursor, cursor->at, SMELT_STATUS_MODULE_MALFORMED, err,
                            "length out of bounds: %s takes %zu bytes but %zu remain", what, size,
                            left);
    }
    *out = sm_slice(cursor->at, size);
    cursor->at += size;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_wasm_read_name(struct sm_wasm_cursor *cursor, const char *what,
                                    struct smelt_slice *out, struct smelt_error *err)
{
    uint32_t size;
    enum smelt_status status = sm_wasm_read_u32(cursor, what, &size, err);
    if (status == SMELT_STATUS_OK) {
        status = sm_wasm_read_bytes(cursor, size, what, out, err);
    }
    if (status == SMELT_STATUS_OK && !sm_slice_is_utf8(*out)) {
        status = sm_wasm_fail(cursor, out->data, SMELT_STATUS_MODULE_MALFORMED, err,
                              "malformed UTF-8 encoding of %s", what);
    }
    return status;
}

enum smelt_status sm_wasm_read_count(struct sm_wasm_cursor *cursor, size_t item_bytes, uint32_t max,
                                     const char *what, uint32_t *out, struct smelt_error *err)
{
    const uint8_t *at = cursor->at;
    enum smelt_status status = sm_wasm_read_u32(cursor, what, out, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    size_t left = (size_t)(cursor->end - cursor->at);
    if (*out > left / item_bytes) {
        return sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_MALFORMED, err,
                            "unexpected end of section or function: %u %s do not fit in the %zu "
                            "bytes that remain",
                            *out, what, left);
    }
    if (*out > max) {
        return sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_LIMIT, err,
                            "%u %s exceed the limit of %u", *out, what, max);
    }
    return SMELT_STATUS_OK;
}

/* Type bytes of later versions and proposals; NULL for a byte that no version knows. */
static const char *proposal_of_type(uint8_t byte)
{
    switch (byte) {
    case 0x7b:
        return "SIMD";
    case 0x70:
    case 0x6f:
        return "reference types";
    case 0x64:
    case 0x63:
        return "typed function references";
    case 0x73: /* nofunc */
    case 0x72: /* noextern */
    case 0x71: /* none */
    case 0x6e: /* any */
    case 0x6d: /* eq */
    case 0x6c: /* i31 */
    case 0x6b: /* struct */
    case 0x6a: /* array */
        return "GC";
    case 0x74: /* noexn */
    case 0x69: /* exn */
        return "exception handling";
    case 0x75: /* nocont */
    case 0x68: /* cont */
        return "stack switching";
    default:
        return NULL;
    }
}

enum smelt_status sm_wasm_fail_type(const struct sm_wasm_cursor *cursor, const uint8_t *at,
                                    struct smelt_error *err)
{
    const char *proposal = proposal_of_type(*at);
    if (proposal == NULL) {
        return sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_MALFORMED, err, "malformed type 0x%02x",
                            *at);
    }
    char what[16];
    (void)snprintf(what, sizeof(what), "type 0x%02x", *at);
    return sm_wasm_fail_feature(cursor, at, err, proposal, what);
}

enum smelt_status sm_wasm_read_valtype(struct sm_wasm_cursor *cursor, enum smelt_valtype *out,
                                       struct smelt_error *err)
{
    const uint8_t *at = cursor->at;
    uint8_t byte = 0;
    enum smelt_status status = sm_wasm_read_byte(cursor, "value type", &byte, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!sm_wasm_is_valtype(byte)) {
        return sm_wasm_fail_type(cursor, at, err);
    }
    *out = (enum smelt_valtype)byte;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_wasm_read_funcref(struct sm_wasm_cursor *cursor, struct smelt_error *err)
{
    const uint8_t *at = cursor->at;
    uint8_t byte = 0;
    enum smelt_status status = sm_wasm_read_byte(cursor, "reference type", &byte, err);
    if (status != SMELT_STATUS_OK || byte == SM_WASM_FUNCREF) {
        return status;
    }
    if (sm_wasm_is_valtype(byte) || byte == 0x7b) {
        return sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_MALFORMED, err,
                            "malformed reference type 0x%02x", byte);
    }
    return sm_wasm_fail_type(cursor, at, err);
}
