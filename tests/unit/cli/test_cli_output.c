/* Text on its way to a terminal: nothing a contract says may act on it. */
#include "cli/output.h"
#include "tests/support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#define SLICE(text) ((struct smelt_slice){(const uint8_t *)(text), sizeof(text) - 1})

static void test_hostile_text_is_escaped(void **state)
{
    static const struct {
        struct smelt_slice text;
        const char *shown;
    } cases[] = {
        {{(const uint8_t *)"", 0}, ""},
        {{(const uint8_t *)"plain", 5}, "plain"},
        {{(const uint8_t *)"gr\xc3\xbc\xc3\x9f", 6}, "gr\xc3\xbc\xc3\x9f"},
        {{(const uint8_t *)"\xf0\x9f\x94\xa5", 4}, "\xf0\x9f\x94\xa5"},
        {{(const uint8_t *)"a\0b", 3}, "a\\x00b"},
        {{(const uint8_t *)"\x1b[2J\r\n", 6}, "\\x1b[2J\\x0d\\x0a"},
        {{(const uint8_t *)"\x7f", 1}, "\\x7f"},
        {{(const uint8_t *)"\xc2\x9b", 2}, "\\u{9b}"}, /* C1: CSI in one character */
        // NOLINTNEXTLINE(misc-misleading-bidirectional): what the function has to defuse
        {{(const uint8_t *)"\xe2\x80\xae", 3}, "\\u{202e}"}, /* right-to-left override */
        // NOLINTNEXTLINE(misc-misleading-bidirectional): what the function has to defuse
        {{(const uint8_t *)"\xe2\x81\xa6", 3}, "\\u{2066}"}, /* left-to-right isolate */
        {{(const uint8_t *)"\xef\xbb\xbf", 3}, "\\u{feff}"}, /* byte order mark */
        {{(const uint8_t *)"\xff\xfe", 2}, "\\xff\\xfe"},    /* never valid */
        {{(const uint8_t *)"\xc0\x80", 2}, "\\xc0\\x80"},    /* overlong */
        {{(const uint8_t *)"\xe0\x80\xaf", 3}, "\\xe0\\x80\\xaf"},
        {{(const uint8_t *)"\xed\xa0\x80", 3}, "\\xed\\xa0\\x80"}, /* surrogate */
        {{(const uint8_t *)"\xf4\x90\x80\x80", 4}, "\\xf4\\x90\\x80\\x80"},
        {{(const uint8_t *)"\xe2\x82", 2}, "\\xe2\\x82"}, /* cut short */
        {{(const uint8_t *)"\x80z", 2}, "\\x80z"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *shown = cli_text_escape(cases[i].text, false);
        assert_string_equal(shown, cases[i].shown);
        free(shown);
    }
    char *quoted = cli_text_escape(SLICE("say \"\\\""), true);
    assert_string_equal(quoted, "\"say \\\"\\\\\\\"\"");
    free(quoted);
}

static void test_bytes_are_text_or_hex(void **state)
{
    uint8_t zeroes[200] = {0};
    (void)state;
    char *text = cli_bytes_show(SLICE("transfer"));
    assert_string_equal(text, "\"transfer\"");
    free(text);
    text = cli_bytes_show(SLICE("a\n"));
    assert_string_equal(text, "610a");
    free(text);
    text = cli_bytes_show((struct smelt_slice){0});
    assert_string_equal(text, "(empty)");
    free(text);
    text = cli_bytes_show((struct smelt_slice){zeroes, sizeof(zeroes)});
    assert_non_null(strstr(text, "(200 bytes)"));
    assert_true(strlen(text) < 2 * sizeof(zeroes));
    free(text);
}

static void test_json_values(void **state)
{
    (void)state;
    json_t *value = cli_json_hex((const uint8_t *)"\x00\xff", 2);
    assert_string_equal(json_string_value(value), "00ff");
    json_decref(value);
    value = cli_json_hex(NULL, 0);
    assert_string_equal(json_string_value(value), "");
    json_decref(value);
    value = cli_json_amount((struct smelt_u128){.high = UINT64_MAX, .low = UINT64_MAX});
    assert_string_equal(json_string_value(value), "340282366920938463463374607431768211455");
    json_decref(value);
    value = cli_json_text(SLICE("a\0\xc3\xbc"));
    assert_int_equal(json_string_length(value), 4);
    json_decref(value);
    value = cli_json_text(SLICE("a\xff"));
    assert_string_equal(json_string_value(value), "a\\xff");
    json_decref(value);
}

static void test_failures_are_json_objects(void **state)
{
    struct cli_output out = {.is_json = true};
    struct smelt_error err = {.status = SMELT_STATUS_MODULE_IMPORT,
                              .offset = 26,
                              .func_index = -1,
                              .where = "import",
                              .message = "no such import"};
    (void)state;
    assert_int_equal(cli_fail(&out, &err), CLI_EXIT_REFUSED);
    json_t *error = json_object_get(out.object, "error");
    assert_int_equal(json_object_size(out.object), 1);
    assert_int_equal(json_object_size(error), 5);
    assert_string_equal(json_string_value(json_object_get(error, "code")), "import_refused");
    assert_string_equal(json_string_value(json_object_get(error, "message")), "no such import");
    assert_string_equal(json_string_value(json_object_get(error, "section")), "import");
    assert_int_equal(json_integer_value(json_object_get(error, "offset")), 26);
    assert_true(json_is_null(json_object_get(error, "function")));
    json_decref(out.object);
}

static void test_human_failures_leave_no_object(void **state)
{
    struct cli_output out = {0};
    struct smelt_error err = {.status = SMELT_STATUS_IO, .offset = -1, .func_index = -1};
    (void)state;
    assert_int_equal(cli_fail(&out, &err), CLI_EXIT_NODE);
    assert_null(out.object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_text_is_escaped),
        cmocka_unit_test(test_bytes_are_text_or_hex),
        cmocka_unit_test(test_json_values),
        cmocka_unit_test(test_failures_are_json_objects),
        cmocka_unit_test(test_human_failures_leave_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
