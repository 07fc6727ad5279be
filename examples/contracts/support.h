/* What the example contracts share: the few libc functions that clang calls on its own, values in
 * storage, call input, and amounts.
 *
 * Included once per contract, which is one translation unit. Addresses are 32 raw bytes and amounts
 * are u128, little-endian in storage, input, events and return data alike, so both are copied
 * between memory and wire as they are. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "smelt_engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_BYTES 32
#define AMOUNT_BYTES  16

struct address {
    uint8_t bytes[ADDRESS_BYTES];
};

typedef unsigned __int128 amount;

_Static_assert(sizeof(amount) == AMOUNT_BYTES, "an amount is its own encoding");

/* ---- libc --------------------------------------------------------------------------------------
 */

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    uint8_t *out = to;
    const uint8_t *in = from;
    for (size_t i = 0; i < size; i++) {
        out[i] = in[i];
    }
    return to;
}

void *memset(void *to, int value, size_t size)
{
    uint8_t *out = to;
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)value;
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const uint8_t *left = a;
    const uint8_t *right = b;
    for (size_t i = 0; i < size; i++) {
        if (left[i] != right[i]) {
            return left[i] < right[i] ? -1 : 1;
        }
    }
    return 0;
}

/* ---- ends --------------------------------------------------------------------------------------
 */

/* Ends the call as reverted, with a short text as its data. */
#define FAIL(text) fail((text), sizeof(text) - 1)

_Noreturn static inline void fail(const char *text, uint32_t size)
{
    revert(text, size);
}

/* ---- input -------------------------------------------------------------------------------------
 */

/* Reads the whole input into `out`. Anything but exactly `size` bytes is the caller's mistake. */
static inline void read_input(void *out, uint32_t size)
{
    if ((uint32_t)input_len() != size) {
        FAIL("input has the wrong size");
    }
    input_read(0, size, out);
}

static inline struct address caller(void)
{
    struct address result;
    get_caller(&result);
    return result;
}

static inline amount value_received(void)
{
    amount result;
    get_value(&result);
    return result;
}

static inline void refuse_value(void)
{
    if (value_received() != 0) {
        FAIL("takes no value");
    }
}

static inline bool same_address(const struct address *a, const struct address *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- storage -----------------------------------------------------------------------------------
 */

/* Copies the value of a key into `out`; false when the key is missing. The host places what it
 * reads in a page that the next read overwrites, hence the copy. A value of another size cannot
 * have been written by this contract. */
static inline bool load(const void *key, uint32_t key_size, void *out, uint32_t size)
{
    uint64_t found = (uint64_t)storage_read(key, key_size);
    if (found == 0) {
        return false;
    }
    if ((uint32_t)found != size) {
        __builtin_trap();
    }
    memcpy(out, (const void *)(uintptr_t)(found >> 32), size);
    return true;
}

static inline void save(const void *key, uint32_t key_size, const void *value, uint32_t size)
{
    storage_write(key, key_size, value, size);
}

/* Amounts: a missing key is zero, and zero is kept as a missing key. */
static inline amount load_amount(const void *key, uint32_t key_size)
{
    amount result = 0;
    return load(key, key_size, &result, sizeof(result)) ? result : 0;
}

static inline void save_amount(const void *key, uint32_t key_size, amount value)
{
    if (value == 0) {
        storage_delete(key, key_size);
    } else {
        save(key, key_size, &value, sizeof(value));
    }
}

#define TOPIC(text) (text), (sizeof(text) - 1)
#define KEY(text)   (text), (sizeof(text) - 1)

#endif
