/* The assertions that are known to fail: lines `<file>.wast:<line> gap|intended <reason>`, with
 * comments behind a leading `#`. */
#ifndef SM_TESTS_EXPECTED_H
#define SM_TESTS_EXPECTED_H

#include <stdbool.h>
#include <stddef.h>

struct expected_failure {
    char file[64];
    int line;
    bool is_intended; /* else a gap */
};

struct expected_failures {
    struct expected_failure *rows;
    size_t count;
};

/* Zero-initialise before. False, after a message, when the file cannot be read or has a bad line.
 */
bool expected_failures_read(const char *path, struct expected_failures *out);
void expected_failures_deinit(struct expected_failures *expected);

/* The row's position, or `count` when there is none. */
size_t expected_failures_find(const struct expected_failures *expected, const char *file, int line);

#endif
