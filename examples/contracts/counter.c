/* Counter: the smallest contract with state. counter.wat is the same by hand.
 *
 *   increment () -> i32   adds one and returns the new count: 1, 2, 3 … over transactions
 *   get       () -> i32   the count, without writing
 *
 * Storage: "counter" -> i32. */
#include "support.h"

static int32_t read_count(void)
{
    int32_t count = 0;
    return load(KEY("counter"), &count, sizeof(count)) ? count : 0;
}

SMELT_EXPORT("increment") int32_t increment(void)
{
    int32_t count = (int32_t)((uint32_t)read_count() + 1);
    save(KEY("counter"), &count, sizeof(count));
    return count;
}

SMELT_EXPORT("get") int32_t get(void)
{
    return read_count();
}
