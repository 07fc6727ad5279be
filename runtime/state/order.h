/* Sorting keys the way the store does: unsigned bytes, shorter first on a common prefix. */
#ifndef SM_STATE_ORDER_H
#define SM_STATE_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sm_order_item {
    const uint8_t *key; /* borrowed */
    uint32_t key_size;
    uint32_t index; /* for the caller: what the key belongs to */
    uint64_t chunk; /* for the sorter */
};

/* In time that grows with the bytes of the keys alone: contracts choose keys, and there is no worst
 * case to choose. At most UINT32_MAX items. False, with the items in some order, when memory is
 * short. */
bool sm_order_keys(struct sm_order_item *items, size_t count);

#endif
