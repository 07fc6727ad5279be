/* Building byte strings: the growing side of `struct smelt_buf`, and comparing slices. */
#ifndef SM_BASE_BYTES_H
#define SM_BASE_BYTES_H

#include <smelt/bytes.h>

#include <stdarg.h>

/* Each returns false, with the buffer unchanged, when memory is short. */
bool sm_buf_reserve(struct smelt_buf *buf, size_t more);
bool sm_buf_append(struct smelt_buf *buf, const void *data, size_t size);
bool sm_buf_append_u8(struct smelt_buf *buf, uint8_t byte);
bool sm_buf_printf(struct smelt_buf *buf, const char *format, ...) SMELT_PRINTF(2, 3);
/* Replaces the content. `value` may point into `buf`. */
bool sm_buf_assign(struct smelt_buf *buf, struct smelt_slice value);

static inline struct smelt_slice sm_slice(const void *data, size_t size)
{
    return (struct smelt_slice){.data = (const uint8_t *)data, .size = size};
}

static inline struct smelt_slice sm_buf_slice(const struct smelt_buf *buf)
{
    return sm_slice(buf->data, buf->size);
}

/* Unsigned byte order, shorter first on a common prefix: RocksDB's default comparator. */
int sm_slice_compare(struct smelt_slice a, struct smelt_slice b);
bool sm_slice_equal(struct smelt_slice a, struct smelt_slice b);
bool sm_slice_equal_text(struct smelt_slice a, const char *text);
bool sm_slice_has_prefix(struct smelt_slice a, struct smelt_slice prefix);
bool sm_slice_is_utf8(struct smelt_slice text);

/* Little-endian integers at any alignment; without loops, since compilers make one instruction of
 * each then. */
static inline void sm_store_le32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
    out[2] = (uint8_t)(value >> 16);
    out[3] = (uint8_t)(value >> 24);
}

static inline void sm_store_le64(uint8_t *out, uint64_t value)
{
    out[0] = (uint8_t)value;
    out[1] = (uint8_t)(value >> 8);
    out[2] = (uint8_t)(value >> 16);
    out[3] = (uint8_t)(value >> 24);
    out[4] = (uint8_t)(value >> 32);
    out[5] = (uint8_t)(value >> 40);
    out[6] = (uint8_t)(value >> 48);
    out[7] = (uint8_t)(value >> 56);
}

static inline uint32_t sm_load_le32(const uint8_t *data)
{
    return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
           (uint32_t)data[3] << 24;
}

static inline uint64_t sm_load_le64(const uint8_t *data)
{
    return (uint64_t)data[0] | (uint64_t)data[1] << 8 | (uint64_t)data[2] << 16 |
           (uint64_t)data[3] << 24 | (uint64_t)data[4] << 32 | (uint64_t)data[5] << 40 |
           (uint64_t)data[6] << 48 | (uint64_t)data[7] << 56;
}

void sm_store_u128(uint8_t *out, struct smelt_u128 value); /* 16 bytes, little-endian */
struct smelt_u128 sm_load_u128(const uint8_t *data);

/* False, with `*out` unchanged, on overflow or underflow. */
bool sm_u128_add(struct smelt_u128 a, struct smelt_u128 b, struct smelt_u128 *out);
bool sm_u128_sub(struct smelt_u128 a, struct smelt_u128 b, struct smelt_u128 *out);
struct smelt_u128 sm_u128_product(uint64_t a, uint64_t b);
bool sm_u128_is_zero(struct smelt_u128 a);

#endif
