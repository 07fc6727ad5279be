/* The archive of the WebAssembly specification suite: one folder per .wast file, with its commands
 * as <name>/<name>.json and its modules beside them. */
#ifndef SM_TESTS_SUITE_H
#define SM_TESTS_SUITE_H

#include "base/bytes.h"

#include <smelt/status.h>

#include <jansson.h>

#define SUITE_EXIT_SKIPPED 77 /* as SKIP_RETURN_CODE of the tests */

enum suite_state { SUITE_READY, SUITE_MISSING, SUITE_BROKEN };

/* Zero-initialise. */
struct suite {
    const char *root; /* the scratch directory, borrowed */
    char **names;     /* of the folders, ascending */
    size_t count;
};

/* Extracts the archive of directory $SMELT_TEST_DATA, else `data`, into `scratch`, which is emptied
 * first. Says why on stdout when there is nothing to run. */
enum suite_state suite_open(const char *data, const char *scratch, struct suite *out);
void suite_close(struct suite *suite); /* removes the scratch directory */

/* Keeps the files that one of the patterns (fnmatch, separated by spaces or commas) names. */
void suite_select(struct suite *suite, const char *patterns);

/* The commands of a file, to be released with json_decref; NULL, after a message, when it cannot be
 * read. */
json_t *suite_load(const struct suite *suite, const char *name);
enum smelt_status suite_read_module(const struct suite *suite, const char *name,
                                    const char *filename, struct smelt_buf *out,
                                    struct smelt_error *err);

/* A member of an object as text; NULL when it is missing or none. */
const char *suite_text(const json_t *object, const char *member);

#endif
