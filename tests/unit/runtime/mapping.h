/* Asking the kernel whether an address can be read or written, without touching it. */
#ifndef TESTS_RUNTIME_MAPPING_H
#define TESTS_RUNTIME_MAPPING_H

#include "tests/support/cmocka_all.h"

#include <stdbool.h>
#include <unistd.h>

/* The system call fails with EFAULT where a load would fault. */
static inline bool is_readable(const void *address)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    bool is_done = write(ends[1], address, 1) == 1;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return is_done;
}

/* Writes the byte 1 where it can. */
static inline bool is_writable(void *address)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "\1", 1), 1);
    bool is_done = read(ends[0], address, 1) == 1;
    (void)close(ends[0]);
    (void)close(ends[1]);
    return is_done;
}

#endif
