/* Reading an encoding from the front: what is taken is there, or nothing is taken. */
#ifndef SM_WAVE_CURSOR_H
#define SM_WAVE_CURSOR_H

#include "base/bytes.h"

#include <string.h>

struct sm_cursor {
    const uint8_t *data;
    size_t left; /* bytes */
};

/* False when fewer bytes are left; the cursor stays where it is then. */
static inline bool sm_take(struct sm_cursor *cursor, size_t size, const uint8_t **out)
{
    if (cursor->left < size) {
        return false;
    }
    *out = cursor->data;
    cursor->data = size != 0 ? cursor->data + size : cursor->data;
    cursor->left -= size;
    return true;
}

static inline bool sm_take_bytes(struct sm_cursor *cursor, uint8_t *out, size_t size)
{
    const uint8_t *data;
    if (!sm_take(cursor, size, &data)) {
        return false;
    }
    memcpy(out, data, size);
    return true;
}

static inline bool sm_take_u8(struct sm_cursor *cursor, uint8_t *out)
{
    return sm_take_bytes(cursor, out, 1);
}

static inline bool sm_take_u16(struct sm_cursor *cursor, uint16_t *out)
{
    const uint8_t *data;
    if (!sm_take(cursor, 2, &data)) {
        return false;
    }
    *out = (uint16_t)(data[0] | data[1] << 8);
    return true;
}

static inline bool sm_take_u32(struct sm_cursor *cursor, uint32_t *out)
{
    const uint8_t *data;
    if (!sm_take(cursor, 4, &data)) {
        return false;
    }
    *out = sm_load_le32(data);
    return true;
}

static inline bool sm_take_u64(struct sm_cursor *cursor, uint64_t *out)
{
    const uint8_t *data;
    if (!sm_take(cursor, 8, &data)) {
        return false;
    }
    *out = sm_load_le64(data);
    return true;
}

static inline bool sm_take_u128(struct sm_cursor *cursor, struct smelt_u128 *out)
{
    const uint8_t *data;
    if (!sm_take(cursor, 16, &data)) {
        return false;
    }
    *out = sm_load_u128(data);
    return true;
}

static inline bool sm_take_slice(struct sm_cursor *cursor, size_t size, struct smelt_slice *out)
{
    const uint8_t *data;
    if (!sm_take(cursor, size, &data)) {
        return false;
    }
    *out = size != 0 ? sm_slice(data, size) : (struct smelt_slice){0};
    return true;
}

#endif
