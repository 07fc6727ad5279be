/* LEB128 (core 2.0, section 5.2.2): strict widths. A number of N bits takes at most ceil(N/7) bytes
 * and its unused bits are zero (unsigned) or a sign extension (signed). */
#ifndef SM_WASM_LEB128_H
#define SM_WASM_LEB128_H

#include <smelt/bytes.h>

enum sm_leb_result { SM_LEB_OK, SM_LEB_TRUNCATED, SM_LEB_TOO_LONG, SM_LEB_TOO_LARGE };

/* Reads a number of `width` bits at `*at`, advancing it past the number on success only. Signed
 * results are sign-extended to 64 bits. */
enum sm_leb_result sm_leb_read_unsigned(const uint8_t **at, const uint8_t *end, unsigned width,
                                        uint64_t *out);
enum sm_leb_result sm_leb_read_signed(const uint8_t **at, const uint8_t *end, unsigned width,
                                      int64_t *out);

/* Shortest encoding appended; false when memory is short. */
bool sm_leb_append_unsigned(struct smelt_buf *buf, uint64_t value);
bool sm_leb_append_signed(struct smelt_buf *buf, int64_t value);

#endif
