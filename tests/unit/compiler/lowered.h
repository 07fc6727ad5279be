/* A module on its way through the lowering pass, and what may be said of the unit that comes out,
 * whatever the pass was given in place of wasm2c's text. Everything stops the test when something
 * other than the pass goes wrong. */
#ifndef TESTS_COMPILER_LOWERED_H
#define TESTS_COMPILER_LOWERED_H

#include "compiler/lower/lower.h"
#include "tests/unit/compiler/modules.h"

struct lowered {
    struct test_module module;
    struct sm_instrumented instrumented;
    struct smelt_hash hash;
    struct smelt_buf wasm2c;
    struct smelt_buf c; /* what the untouched text becomes */
};

/* Instruments a module in text format, has wasm2c translate it, and lowers what it wrote. */
void lowered_prepare(struct lowered *out, const char *wat);
void lowered_prepare_everything(struct lowered *out); /* the golden module of that name */
void lowered_deinit(struct lowered *lowered);

/* Lowers `text` as if wasm2c had written it. */
enum smelt_status lowered_run(const struct lowered *lowered, struct smelt_slice text,
                              struct smelt_buf *out, struct smelt_error *err);

/* Next token of C text: a name or number, or a single other character. Empty at the end. */
struct smelt_slice lowered_next_token(const char **at, const char *end);

/* False, with the culprit, when a body has a word or character that is not of ours. */
bool lowered_has_only_known_words(const struct smelt_buf *c, struct smelt_slice *culprit);

/* What the unit does apart from computing: every charge with its amount, everything that traps with
 * its place, every call and every change of the instance, in order. Read from the output, not from
 * the sites and markers that the pass itself goes by. */
struct smelt_buf lowered_effects(const struct smelt_buf *c);

#endif
