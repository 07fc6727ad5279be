/* What the suite says about values and traps. */
#ifndef SM_TESTS_SUITE_VALUE_H
#define SM_TESTS_SUITE_VALUE_H

#include <smelt/bytes.h>
#include <smelt/host.h>
#include <smelt/trap.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* An argument, {"type": "f32", "value": "2147483648"}: floats are given as their bits in decimal.
 * False for anything but the four numeric types. */
bool suite_value_parse(const json_t *value, enum smelt_valtype *type, uint64_t *bits);

/* Is a result what `expected` says? "nan:canonical" takes the canonical NaN of either sign,
 * "nan:arithmetic" every quiet NaN (core 2.0, section 4.3.3). */
bool suite_value_matches(const json_t *expected, enum smelt_valtype type, uint64_t bits);

/* "out of bounds memory access" and so on; NONE for a text that no trap of ours stands for. */
enum smelt_trap suite_trap_of(const char *text);

/* Can the instruction at the start of `code` trap so? */
bool suite_trap_is_of(enum smelt_trap trap, struct smelt_slice code);

#endif
