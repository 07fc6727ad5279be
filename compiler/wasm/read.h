/* Small reads over a cursor, shared by the section decoder and the instruction reader. Each checks
 * its own bounds and names `what` it wanted in its error; none moves the cursor past `end`. */
#ifndef SM_WASM_READ_H
#define SM_WASM_READ_H

#include "compiler/wasm/module.h"

#define SM_WASM_FUNCREF 0x70 /* the only reference type of the subset */

/* An error at `at`, with the section and function of the cursor. Returns `status`. */
enum smelt_status sm_wasm_fail(const struct sm_wasm_cursor *cursor, const uint8_t *at,
                               enum smelt_status status, struct smelt_error *err,
                               const char *format, ...) SMELT_PRINTF(5, 6);

/* MODULE_FEATURE: `what` belongs to a proposal outside the subset. */
enum smelt_status sm_wasm_fail_feature(const struct sm_wasm_cursor *cursor, const uint8_t *at,
                                       struct smelt_error *err, const char *proposal,
                                       const char *what);

/* The part of sm_wasm_read_u32 that is not worth inlining: long forms and errors. */
enum smelt_status sm_wasm_read_u32_slow(struct sm_wasm_cursor *cursor, const char *what,
                                        uint32_t *out, struct smelt_error *err);

static inline enum smelt_status sm_wasm_read_u32(struct sm_wasm_cursor *cursor, const char *what,
                                                 uint32_t *out, struct smelt_error *err)
{
    if (cursor->at < cursor->end && *cursor->at < 0x80) {
        *out = *cursor->at++;
        return SMELT_STATUS_OK;
    }
    return sm_wasm_read_u32_slow(cursor, what, out, err);
}

enum smelt_status sm_wasm_read_signed(struct sm_wasm_cursor *cursor, unsigned width,
                                      const char *what, int64_t *out, struct smelt_error *err);
enum smelt_status sm_wasm_read_byte(struct sm_wasm_cursor *cursor, const char *what, uint8_t *out,
                                    struct smelt_error *err);
enum smelt_status sm_wasm_read_bytes(struct sm_wasm_cursor *cursor, size_t size, const char *what,
                                     struct smelt_slice *out, struct smelt_error *err);

/* Length and bytes, which must be UTF-8. */
enum smelt_status sm_wasm_read_name(struct sm_wasm_cursor *cursor, const char *what,
                                    struct smelt_slice *out, struct smelt_error *err);

/* The length of a vector whose elements take at least `item_bytes` each: MALFORMED when the bytes
 * that remain cannot hold them, LIMIT when there are more than `max`. */
enum smelt_status sm_wasm_read_count(struct sm_wasm_cursor *cursor, size_t item_bytes, uint32_t max,
                                     const char *what, uint32_t *out, struct smelt_error *err);

enum smelt_status sm_wasm_read_valtype(struct sm_wasm_cursor *cursor, enum smelt_valtype *out,
                                       struct smelt_error *err);
/* The reference type of a table or element segment; the subset has only funcref. */
enum smelt_status sm_wasm_read_funcref(struct sm_wasm_cursor *cursor, struct smelt_error *err);

static inline bool sm_wasm_is_valtype(uint8_t byte)
{
    return byte >= SMELT_VALTYPE_F64 && byte <= SMELT_VALTYPE_I32;
}

static inline bool sm_wasm_is_float(uint8_t type)
{
    return type == SMELT_VALTYPE_F32 || type == SMELT_VALTYPE_F64;
}

/* MALFORMED or FEATURE for a byte at `at` that is no value type of the subset. */
enum smelt_status sm_wasm_fail_type(const struct sm_wasm_cursor *cursor, const uint8_t *at,
                                    struct smelt_error *err);

#endif
