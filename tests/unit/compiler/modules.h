/* Modules and tools for the tests of the compiler. Everything stops the test when something other
 * than the tested code goes wrong. */
#ifndef TESTS_COMPILER_MODULES_H
#define TESTS_COMPILER_MODULES_H

#include "base/bytes.h"
#include "compiler/instrument/instrument.h"
#include "hostabi/policy.h"
#include "tests/support/cmocka_all.h"

#include <smelt/compiler.h>

/* A module decoded and validated by our own code. */
struct test_module {
    struct smelt_buf wasm;
    struct sm_arena arena;
    struct sm_wasm_module module;
};
void test_module_from_text(struct test_module *out, const char *text);
void test_module_from_bytes(struct test_module *out, struct smelt_slice wasm);
void test_module_deinit(struct test_module *module);

struct smelt_buf test_wat(const char *text);

/* A file of tests/golden as text; the caller releases it. The NUL at its end is not counted. */
struct smelt_buf test_golden(const char *name);

/* "engine-v1", "unit", or "ones": unit, with every instruction at 1 and every dynamic charge at 1
 * per unit. */
struct smelt_schedule *test_schedule(const char *name);

/* Runs a tool of wabt or binutils found in /usr/bin or /usr/local/bin on `input`, a file that
 * stands for "@" in the arguments. True when it exits with 0. `output` (may be NULL) gets standard
 * output, or on failure standard error. */
bool test_tool(const char *const *argv, struct smelt_slice input, struct smelt_buf *output);

/* The instrumented module as our decoder and validator see it, and wasm-validate. Message of the
 * first that objects in `why`, false then. */
bool test_is_valid(struct smelt_slice wasm, char *why, size_t why_size);

/* "a.b" of a printf-made text: a buffer with a NUL behind it. */
void test_print(struct smelt_buf *out, const char *format, ...) SMELT_PRINTF(2, 3);

#endif
