/* Slices, buffers, hex, little-endian and 128-bit amounts behind <smelt/bytes.h> and base/bytes.h.
 */
#include "base/bytes.h"

#include "base/alloc.h"
#include "base/checked.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void smelt_buf_deinit(struct smelt_buf *buf)
{
    sm_free(buf->data);
    memset(buf, 0, sizeof(*buf));
}

bool sm_buf_reserve(struct smelt_buf *buf, size_t more)
{
    size_t wanted;
    if (!sm_add_size(buf->size, more, &wanted)) {
        return false;
    }
    if (wanted <= buf->capacity) {
        return true;
    }
    size_t capacity = buf->capacity < 64 ? 64 : buf->capacity;
    while (capacity < wanted) {
        if (!sm_mul_size(capacity, 2, &capacity)) {
            return false;
        }
    }
    uint8_t *data = (uint8_t *)sm_realloc_array(buf->data, capacity, 1);
    if (data == NULL) {
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

bool sm_buf_append(struct smelt_buf *buf, const void *data, size_t size)
{
    if (!sm_buf_reserve(buf, size)) {
        return false;
    }
    if (size != 0) {
        assert(buf->data != NULL);
        memcpy(buf->data + buf->size, data, size);
    }
    buf->size += size;
    return true;
}

bool sm_buf_append_u8(struct smelt_buf *buf, uint8_t byte)
{
    return sm_buf_append(buf, &byte, 1);
}

bool sm_buf_printf(struct smelt_buf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list measured;
    va_copy(measured, args);
    int length = vsnprintf(NULL, 0, format, measured);
    va_end(measured);
    bool is_done = length >= 0 && sm_buf_reserve(buf, (size_t)length + 1);
    if (is_done) {
        (void)vsnprintf((char *)buf->data + buf->size, (size_t)length + 1, format, args);
        buf->size += (size_t)length;
    }
    va_end(args);
    return is_done;
}

bool sm_buf_assign(struct smelt_buf *buf, struct smelt_slice value)
{
    struct smelt_buf copy = {0};
    if (!sm_buf_append(&copy, value.data, value.size)) {
        return false;
    }
    smelt_buf_deinit(buf);
    *buf = copy;
    return true;
}

struct smelt_slice smelt_slice_from_string(const char *text)
{
    return sm_slice(text, text != NULL ? strlen(text) : 0);
}

int sm_slice_compare(struct smelt_slice a, struct smelt_slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common != 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0) {
        return order;
    }
    return a.size < b.size ? -1 : a.size > b.size;
}

bool sm_slice_equal(struct smelt_slice a, struct smelt_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool sm_slice_equal_text(struct smelt_slice a, const char *text)
{
    return sm_slice_equal(a, smelt_slice_from_string(text));
}

bool sm_slice_has_prefix(struct smelt_slice a, struct smelt_slice prefix)
{
    return a.size >= prefix.size && sm_slice_equal(sm_slice(a.data, prefix.size), prefix);
}

bool sm_slice_is_utf8(struct smelt_slice text)
{
    /* a copy of the tail with terminators keeps sm_utf8_length inside the slice */
    for (size_t i = 0; i < text.size;) {
        if (text.data[i] < 0x80) {
            i++;
            continue;
        }
        unsigned char window[5] = {0};
        size_t left = text.size - i;
        memcpy(window, text.data + i, left < 4 ? left : 4);
        size_t length = sm_utf8_length(window);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

void smelt_hex_encode(const uint8_t *data, size_t size, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * size] = '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool smelt_hex_decode(const char *text, uint8_t *out, size_t size)
{
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        text += 2;
    }
    for (size_t i = 0; i < size; i++) {
        int high = hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (low < 0) {
            return false;
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return text[2 * size] == '\0';
}

void smelt_u128_format(struct smelt_u128 amount, char *out)
{
    __extension__ unsigned __int128 value =
        (__extension__(unsigned __int128) amount.high) << 64 | amount.low;
    char digits[SMELT_U128_TEXT_BYTES];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value != 0);
    for (size_t i = 0; i < count; i++) {
        out[i] = digits[count - 1 - i];
    }
    out[count] = '\0';
}

bool smelt_u128_parse(const char *text, struct smelt_u128 *out)
{
    if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0')) {
        return false;
    }
    __extension__ unsigned __int128 value = 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (unsigned)(*text - '0'), &value)) {
            return false;
        }
    }
    out->low = (uint64_t)value;
    out->high = (uint64_t)(value >> 64);
    return true;
}

void sm_store_u128(uint8_t *out, struct smelt_u128 value)
{
    sm_store_le64(out, value.low);
    sm_store_le64(out + 8, value.high);
}

struct smelt_u128 sm_load_u128(const uint8_t *data)
{
    return (struct smelt_u128){.low = sm_load_le64(data), .high = sm_load_le64(data + 8)};
}

bool sm_u128_add(struct smelt_u128 a, struct smelt_u128 b, struct smelt_u128 *out)
{
    struct smelt_u128 sum;
    bool carry = __builtin_add_overflow(a.low, b.low, &sum.low);
    bool overflow = __builtin_add_overflow(a.high, b.high, &sum.high);
    overflow |= __builtin_add_overflow(sum.high, (uint64_t)carry, &sum.high);
    if (!overflow) {
        *out = sum;
    }
    return !overflow;
}

bool sm_u128_sub(struct smelt_u128 a, struct smelt_u128 b, struct smelt_u128 *out)
{
    struct smelt_u128 rest;
    bool borrow = __builtin_sub_overflow(a.low, b.low, &rest.low);
    bool underflow = __builtin_sub_overflow(a.high, b.high, &rest.high);
    underflow |= __builtin_sub_overflow(rest.high, (uint64_t)borrow, &rest.high);
    if (!underflow) {
        *out = rest;
    }
    return !underflow;
}

struct smelt_u128 sm_u128_product(uint64_t a, uint64_t b)
{
    uint64_t low = (a & UINT32_MAX) * (b & UINT32_MAX);
    uint64_t left = (a >> 32) * (b & UINT32_MAX) + (low >> 32);
    uint64_t right = (a & UINT32_MAX) * (b >> 32) + (left & UINT32_MAX);
    return (struct smelt_u128){.low = right << 32 | (low & UINT32_MAX),
                               .high = (a >> 32) * (b >> 32) + (left >> 32) + (right >> 32)};
}

bool sm_u128_is_zero(struct smelt_u128 a)
{
    return a.low == 0 && a.high == 0;
}
