/* Fuzz targets. Each is one file with LLVMFuzzerTestOneInput, linked with libFuzzer in the preset
 * `fuzz` (scripts/fuzz runs it), and in all others with replay.c, which feeds it the corpus that is
 * kept in the tree: the tests fuzz.*.
 *
 * A target judges with FUZZ_CHECK; sanitizers judge the rest. It must come to the same end for the
 * same bytes, whatever it saw before. */
#ifndef SM_TESTS_FUZZ_H
#define SM_TESTS_FUZZ_H

#include "base/bytes.h"

#include <smelt/status.h>

#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's names. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max); /* the engine's own */

/* A finding: the message, then abort, which libFuzzer and ctest both notice. */
#define FUZZ_CHECK(condition, ...)                                                                 \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                  \
            (void)fprintf(stderr, __VA_ARGS__);                                                    \
            (void)fputc('\n', stderr);                                                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* For readers of long texts: the input is a list of edits of a good one, so that a few bytes of it
 * go a long way. Positions count tokens: words, runs of blanks, or single other characters. `out`
 * is replaced. The edits, of at least four bytes each:
 *
 *   kind | position (2 bytes) | count | further bytes
 *
 *   kind mod 4: 0 delete `count` tokens; 1 insert the next `count` bytes; 2 put the next `count`
 *   bytes in the place of one token; 3 repeat here the token that the next 2 bytes give. */
void fuzz_edit(struct smelt_slice text, struct smelt_slice edits, struct smelt_buf *out);

#endif
