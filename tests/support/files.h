/* Files, directories and child processes for tests. Everything here stops the test when the machine
 * does not do as it is told; none of it may be called in a child except where said. */
#ifndef SM_TESTS_FILES_H
#define SM_TESTS_FILES_H

#include "base/bytes.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* A fresh directory under $TMPDIR or /tmp. `remove` takes the tree away. */
void test_directory_create(char path[PATH_MAX]);
void test_directory_remove(const char *path);

/* "<directory>/<name>"; the result lives until the eighth call after it. */
const char *test_path(const char *directory, const char *name);

void test_file_write(const char *path, struct smelt_slice data);
struct smelt_buf test_file_read(const char *path);
bool test_file_exists(const char *path); /* links are not followed */

/* Directory entries without "." and "..", optionally only those whose name contains `part`. May be
 * called in a child: -1 when the directory cannot be read. */
int test_directory_count(const char *path, const char *part);

/* Runs `body` in a forked child and returns its result (0 to 255), or -1 when the child died of a
 * signal. The body must not use cmocka's assertions: they would jump into the parent's test. */
typedef int test_child_fn(void *context);
int test_in_child(test_child_fn *body, void *context);
/* The same in two halves. */
int test_child_start(test_child_fn *body, void *context);
int test_child_wait(int pid);

/* For a child: gives up root, so that file modes mean something. */
bool test_become_nobody(void);
#define TEST_NOBODY 65534

#endif
