/* See suite_value.h. */
#include "tests/conformance/suite_value.h"

#include "tests/conformance/suite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define F32_SIGN          UINT64_C(0x80000000)
#define F32_CANONICAL_NAN UINT64_C(0x7fc00000)
#define F64_SIGN          UINT64_C(0x8000000000000000)
#define F64_CANONICAL_NAN UINT64_C(0x7ff8000000000000)

static bool parse_type(const json_t *value, enum smelt_valtype *type)
{
    static const struct {
        const char *name;
        enum smelt_valtype type;
    } rows[] = {{"i32", SMELT_VALTYPE_I32},
                {"i64", SMELT_VALTYPE_I64},
                {"f32", SMELT_VALTYPE_F32},
                {"f64", SMELT_VALTYPE_F64}};
    const char *name = suite_text(value, "type");
    for (size_t i = 0; name != NULL && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(name, rows[i].name) == 0) {
            *type = rows[i].type;
            return true;
        }
    }
    return false;
}

static bool parse_bits(const json_t *value, uint64_t *bits)
{
    const char *text = suite_text(value, "value");
    char *end = NULL;
    errno = 0;
    *bits = text != NULL ? strtoull(text, &end, 10) : 0;
    return text != NULL && *text != '\0' && *end == '\0' && errno == 0;
}

bool suite_value_parse(const json_t *value, enum smelt_valtype *type, uint64_t *bits)
{
    return parse_type(value, type) && parse_bits(value, bits);
}

bool suite_value_matches(const json_t *expected, enum smelt_valtype type, uint64_t bits)
{
    enum smelt_valtype wanted_type;
    uint64_t wanted;
    const char *text = suite_text(expected, "value");
    if (text == NULL || !parse_type(expected, &wanted_type) || wanted_type != type) {
        return false;
    }
    bool is_f32 = type == SMELT_VALTYPE_F32;
    uint64_t magnitude = bits & ~(is_f32 ? F32_SIGN : F64_SIGN);
    uint64_t canonical = is_f32 ? F32_CANONICAL_NAN : F64_CANONICAL_NAN;
    if (strcmp(text, "nan:canonical") == 0) {
        return magnitude == canonical;
    }
    if (strcmp(text, "nan:arithmetic") == 0) {
        return (magnitude & canonical) == canonical;
    }
    return parse_bits(expected, &wanted) && wanted == bits;
}

enum smelt_trap suite_trap_of(const char *text)
{
    static const struct {
        const char *text;
        enum smelt_trap trap;
    } rows[] = {{"unreachable", SMELT_TRAP_UNREACHABLE},
                {"out of bounds memory access", SMELT_TRAP_MEMORY_OUT_OF_BOUNDS},
                {"integer divide by zero", SMELT_TRAP_INTEGER_DIVIDE_BY_ZERO},
                {"integer overflow", SMELT_TRAP_INTEGER_OVERFLOW},
                {"invalid conversion to integer", SMELT_TRAP_INVALID_CONVERSION},
                {"out of bounds table access", SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
                {"undefined element", SMELT_TRAP_UNDEFINED_ELEMENT},
                {"uninitialized element", SMELT_TRAP_UNINITIALIZED_ELEMENT},
                /* names the element, which we do not */
                {"uninitialized element 2", SMELT_TRAP_UNINITIALIZED_ELEMENT},
                {"indirect call type mismatch", SMELT_TRAP_INDIRECT_CALL_TYPE_MISMATCH},
                {"call stack exhausted", SMELT_TRAP_STACK_OVERFLOW}};
    for (size_t i = 0; text != NULL && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(text, rows[i].text) == 0) {
            return rows[i].trap;
        }
    }
    return SMELT_TRAP_NONE;
}

/* Opcodes from `first` to `last` that trap so; those behind the prefix 0xfc count from 0xfc00. */
#define PREFIXED 0xfc00u

bool suite_trap_is_of(enum smelt_trap trap, struct smelt_slice code)
{
    static const struct {
        enum smelt_trap trap;
        unsigned first, last;
    } rows[] = {{SMELT_TRAP_UNREACHABLE, 0x00, 0x00},
                {SMELT_TRAP_MEMORY_OUT_OF_BOUNDS, 0x28, 0x3e}, /* loads and stores */
                {SMELT_TRAP_MEMORY_OUT_OF_BOUNDS, PREFIXED + 8, PREFIXED + 11},
                {SMELT_TRAP_INTEGER_DIVIDE_BY_ZERO, 0x6d, 0x70}, /* i32.div_s to i32.rem_u */
                {SMELT_TRAP_INTEGER_DIVIDE_BY_ZERO, 0x7f, 0x82}, /* i64.div_s to i64.rem_u */
                {SMELT_TRAP_INTEGER_OVERFLOW, 0x6d, 0x6d},
                {SMELT_TRAP_INTEGER_OVERFLOW, 0x7f, 0x7f},
                {SMELT_TRAP_INTEGER_OVERFLOW, 0xa8, 0xab}, /* i32.trunc */
                {SMELT_TRAP_INTEGER_OVERFLOW, 0xae, 0xb1}, /* i64.trunc */
                {SMELT_TRAP_INVALID_CONVERSION, 0xa8, 0xab},
                {SMELT_TRAP_INVALID_CONVERSION, 0xae, 0xb1},
                {SMELT_TRAP_TABLE_OUT_OF_BOUNDS, PREFIXED + 12, PREFIXED + 14},
                {SMELT_TRAP_UNDEFINED_ELEMENT, 0x11, 0x11}, /* call_indirect */
                {SMELT_TRAP_UNINITIALIZED_ELEMENT, 0x11, 0x11},
                {SMELT_TRAP_INDIRECT_CALL_TYPE_MISMATCH, 0x11, 0x11}};
    if (code.size < 2) {
        return false;
    }
    unsigned opcode = code.data[0] == 0xfc ? PREFIXED + code.data[1] : code.data[0];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].trap == trap && opcode >= rows[i].first && opcode <= rows[i].last) {
            return true;
        }
    }
    return false;
}
