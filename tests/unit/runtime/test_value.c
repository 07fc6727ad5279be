/* Typed values as text. */
#include "tests/support/cmocka_all.h"

#include <smelt/runtime.h>

#include <string.h>

static const struct {
    const char *text;
    struct smelt_value value;
    const char *printed; /* NULL: as `text` */
} good_rows[] = {
    {"i32:0", {SMELT_VALTYPE_I32, 0}, NULL},
    {"i32:5", {SMELT_VALTYPE_I32, 5}, NULL},
    {"i32:-1", {SMELT_VALTYPE_I32, UINT32_MAX}, NULL},
    {"i32:2147483647", {SMELT_VALTYPE_I32, 0x7fffffff}, NULL},
    {"i32:2147483648", {SMELT_VALTYPE_I32, 0x80000000}, "i32:-2147483648"},
    {"i32:-2147483648", {SMELT_VALTYPE_I32, 0x80000000}, NULL},
    {"i32:4294967295", {SMELT_VALTYPE_I32, UINT32_MAX}, "i32:-1"},
    {"i32:0xff", {SMELT_VALTYPE_I32, 0xff}, "i32:255"},
    {"i32:0x00000000000000FF", {SMELT_VALTYPE_I32, 0xff}, "i32:255"},
    {"i32:0xffffffff", {SMELT_VALTYPE_I32, UINT32_MAX}, "i32:-1"},
    {"i64:-7", {SMELT_VALTYPE_I64, (uint64_t)-7}, NULL},
    {"i64:9223372036854775807", {SMELT_VALTYPE_I64, INT64_MAX}, NULL},
    {"i64:-9223372036854775808", {SMELT_VALTYPE_I64, UINT64_C(1) << 63}, NULL},
    {"i64:18446744073709551615", {SMELT_VALTYPE_I64, UINT64_MAX}, "i64:-1"},
    {"i64:0xFFFFFFFFFFFFFFFF", {SMELT_VALTYPE_I64, UINT64_MAX}, "i64:-1"},
    {"f32:0x7fc00000", {SMELT_VALTYPE_F32, 0x7fc00000}, NULL},
    {"f32:0x1", {SMELT_VALTYPE_F32, 1}, "f32:0x00000001"},
    {"f64:0x7ff8000000000000", {SMELT_VALTYPE_F64, UINT64_C(0x7ff8000000000000)}, NULL},
};

static const char *const bad_rows[] = {
    "",
    "5",
    "i32",
    "i32:",
    "i32:-",
    "i32:+5",
    "i32: 5",
    "i32:5 ",
    "i32:05",
    "i32:-0",
    "i32:-05",
    "i32:--5",
    "i32:5a",
    "i32:0x",
    "i32:0xg",
    "i32:0x0x1",
    "i32:-0x1",
    "i32:0X1",
    "i32:4294967296",
    "i32:-2147483649",
    "i32:0x100000000",
    "i32:340282366920938463463374607431768211456",
    "i64:18446744073709551616",
    "i64:-9223372036854775809",
    "i64:0x10000000000000000",
    "i64:0x00000000000000001",
    "I32:5",
    " i32:5",
    "i16:5",
    "f32:1",
    "f32:1.5",
    "f32:-0x1",
    "f32:0x100000000",
    "f64:",
    "f64:nan",
};

static void good_values_parse_and_print(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good_rows) / sizeof(good_rows[0]); i++) {
        struct smelt_value value = {0};
        char text[SMELT_VALUE_TEXT_BYTES];
        assert_true(smelt_value_parse(good_rows[i].text, &value));
        assert_int_equal(value.type, good_rows[i].value.type);
        assert_int_equal(value.bits, good_rows[i].value.bits);
        smelt_value_format(value, text);
        assert_string_equal(text, good_rows[i].printed != NULL ? good_rows[i].printed
                                                               : good_rows[i].text);
    }
}

static void bad_values_are_refused_and_leave_out_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
        struct smelt_value value = {.type = SMELT_VALTYPE_F64, .bits = 77};
        if (smelt_value_parse(bad_rows[i], &value)) {
            fail_msg("accepted \"%s\"", bad_rows[i]);
        }
        assert_int_equal(value.type, SMELT_VALTYPE_F64);
        assert_int_equal(value.bits, 77);
    }
}

/* Narrow values ignore what is above their 32 bits. */
static void formatting_ignores_the_high_half_of_narrow_values(void **state)
{
    char text[SMELT_VALUE_TEXT_BYTES];
    (void)state;
    smelt_value_format((struct smelt_value){SMELT_VALTYPE_I32, UINT64_C(0xabc00000001)}, text);
    assert_string_equal(text, "i32:1");
    smelt_value_format((struct smelt_value){SMELT_VALTYPE_F32, UINT64_C(0xabc00000001)}, text);
    assert_string_equal(text, "f32:0x00000001");
    smelt_value_format((struct smelt_value){SMELT_VALTYPE_NONE, 0}, text);
    assert_string_equal(text, "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_values_parse_and_print),
        cmocka_unit_test(bad_values_are_refused_and_leave_out_alone),
        cmocka_unit_test(formatting_ignores_the_high_half_of_narrow_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
