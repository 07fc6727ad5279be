/* Both directions of LEB128. The readers look at no more than ceil(width / 7) bytes, and report
 * what is wrong in the order in which the bytes show it. */
#include "compiler/wasm/leb128.h"

#include "base/bytes.h"

#define LEB_BYTES_MAX 10 /* of a 64-bit number */

enum sm_leb_result sm_leb_read_unsigned(const uint8_t **at, const uint8_t *end, unsigned width,
                                        uint64_t *out)
{
    const uint8_t *next = *at;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < width; shift += 7) {
        if (next == end) {
            return SM_LEB_TRUNCATED;
        }
        uint8_t byte = *next++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            unsigned bits = width - shift; /* that this byte may use */
            if (bits < 7 && byte >> bits != 0) {
                return SM_LEB_TOO_LARGE;
            }
            *at = next;
            *out = value;
            return SM_LEB_OK;
        }
    }
    return SM_LEB_TOO_LONG;
}

enum sm_leb_result sm_leb_read_signed(const uint8_t **at, const uint8_t *end, unsigned width,
                                      int64_t *out)
{
    const uint8_t *next = *at;
    uint64_t value = 0;
    for (unsigned shift = 0; shift < width; shift += 7) {
        if (next == end) {
            return SM_LEB_TRUNCATED;
        }
        uint8_t byte = *next++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            unsigned bits = width - shift;
            if (bits < 7) {
                /* the sign bit and the unused bits above it must agree */
                unsigned high = (unsigned)byte >> (bits - 1);
                if (high != 0 && high != 0x7fu >> (bits - 1)) {
                    return SM_LEB_TOO_LARGE;
                }
            }
            if ((byte & 0x40) != 0 && shift + 7 < 64) {
                value |= UINT64_MAX << (shift + 7);
            }
            *at = next;
            *out = (int64_t)value;
            return SM_LEB_OK;
        }
    }
    return SM_LEB_TOO_LONG;
}

bool sm_leb_append_unsigned(struct smelt_buf *buf, uint64_t value)
{
    uint8_t bytes[LEB_BYTES_MAX];
    size_t count = 0;
    while (value >= 0x80) {
        bytes[count++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[count++] = (uint8_t)value;
    return sm_buf_append(buf, bytes, count);
}

bool sm_leb_append_signed(struct smelt_buf *buf, int64_t value)
{
    uint8_t bytes[LEB_BYTES_MAX];
    size_t count = 0;
    while (value < -64 || value > 63) {
        bytes[count++] = (uint8_t)(((uint64_t)value & 0x7f) | 0x80);
        value >>= 7; /* arithmetic in every compiler we build with */
    }
    bytes[count++] = (uint8_t)((uint64_t)value & 0x7f);
    return sm_buf_append(buf, bytes, count);
}
