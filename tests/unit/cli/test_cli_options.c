/* The option parser: every kind of value, and every way a command line can be wrong. */
#include "cli/error.h"
#include "cli/options.h"
#include "tests/support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_MAX    8
#define ADDRESS      "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define LONG_ADDRESS "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0"
#define FROM_ADDRESS "--from=0X00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct cli_syntax call = {
    .name = "call",
    .arguments = "ADDRESS FUNCTION",
    .arguments_min = 1,
    .arguments_max = 2,
    .accepted = CLI_ACCEPTS(FROM) | CLI_ACCEPTS(VALUE) | CLI_ACCEPTS(INPUT) | CLI_ACCEPTS(FUEL) |
                CLI_ACCEPTS(BLOCK) | CLI_ACCEPTS(STATIC) | CLI_ACCEPTS(FORMAT) |
                CLI_ACCEPTS(OUTPUT),
    .required = CLI_ACCEPTS(STATE),
};

static int count_words(const char *const *words)
{
    int count = 0;
    while (count < WORDS_MAX && words[count] != NULL) {
        count++;
    }
    return count;
}

/* The parser takes argv as main gets it: without const. */
static enum smelt_status parse(const char *const *words, struct cli_options *options,
                               struct smelt_error *err)
{
    char *argv[WORDS_MAX + 1] = {0};
    int argc = count_words(words);
    for (int i = 0; i < argc; i++) {
        memcpy(&argv[i], &words[i], sizeof(argv[i]));
    }
    return cli_options_parse(&call, argc, argv, options, err);
}

static void test_wrong_command_lines_name_what_is_wrong(void **state)
{
    static const struct {
        const char *words[WORDS_MAX];
        const char *message; /* occurs in it */
    } cases[] = {
        {{"a"}, "needs --state DIR"},
        {{"--state", "s"}, "arguments are missing"},
        {{"--state", "s", "a", "b", "c"}, "unexpected argument \"c\""},
        {{"a", "--state"}, "--state needs a value"},
        {{"a", "--state", "--json"}, "--state needs a value"},
        {{"a", "--state="}, "--state: the value is empty"},
        {{"a", "--state", ""}, "--state: the value is empty"},
        {{"a", "--state", "s", "--state", "t"}, "--state is given twice"},
        {{"a", "--state", "s", "--json", "--json"}, "--json is given twice"},
        {{"a", "--state", "s", "--json=1"}, "--json takes no value"},
        {{"a", "--state", "s", "--static=no"}, "--static takes no value"},
        {{"a", "--state", "s", "--nope"}, "unknown option --nope"},
        {{"a", "--state", "s", "--stat"}, "unknown option --stat"},
        {{"a", "--state", "s", "--statement"}, "unknown option --statement"},
        {{"a", "--state", "s", "-x"}, "unknown option -x"},
        {{"a", "--state", "s", "-ofile"}, "unknown option -ofile"},
        {{"a", "--state", "s", "--=x"}, "unknown option --=x"},
        {{"a", "--state", "s", "--cache", "c"}, "--cache is not an option of smelt call"},
        {{"a", "--state", "s", "--format", "maybe"}, "--format: \"maybe\""},
        {{"a", "--state", "s", "--format", "c-header|markdown|json"}, "--format:"},
        {{"a", "--state", "s", "--format", "mark"}, "--format:"},
        {{"a", "--state", "s", "--fuel", "0"}, "--fuel: \"0\""},
        {{"a", "--state", "s", "--fuel", "-1"}, "--fuel: \"-1\""},
        {{"a", "--state", "s", "--fuel", "1k"}, "--fuel: \"1k\""},
        {{"a", "--state", "s", "--fuel", "0x10"}, "--fuel: \"0x10\""},
        {{"a", "--state", "s", "--fuel", " 1"}, "--fuel: \" 1\""},
        {{"a", "--state", "s", "--fuel", "9223372036854775808"}, "--fuel:"},
        {{"a", "--state", "s", "--fuel", "18446744073709551617"}, "--fuel:"},
        {{"a", "--state", "s", "--block", "18446744073709551616"}, "--block:"},
        {{"a", "--state", "s", "--value", "+1"}, "--value:"},
        {{"a", "--state", "s", "--value", "1.5"}, "--value:"},
        {{"a", "--state", "s", "--value", "340282366920938463463374607431768211456"}, "--value:"},
        {{"a", "--state", "s", "--from", "00"}, "--from: an address has 64 hex digits"},
        {{"a", "--state", "s", "--from", LONG_ADDRESS}, "--from:"},
        {{"a", "--state", "s", "--input", "abc"}, "--input: not an even number of hex digits"},
        {{"a", "--state", "s", "--input", "0xzz"}, "--input:"},
        {{"a", "--state", "s", "--input", "0x0x00"}, "--input:"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cli_options options;
        struct smelt_error err = {0};
        enum smelt_status status = parse(cases[i].words, &options, &err);
        cli_options_deinit(&options);
        assert_int_equal(status, SMELT_STATUS_INVALID_ARGUMENT);
        assert_int_equal(err.status, status);
        if (strstr(err.message, cases[i].message) == NULL) {
            fail_msg("case %zu: \"%s\" does not say \"%s\"", i, err.message, cases[i].message);
        }
    }
}

static void test_values_are_parsed(void **state)
{
    const char *const words[] = {"a",
                                 "--state=dir",
                                 FROM_ADDRESS,
                                 "--value=340282366920938463463374607431768211455",
                                 "--input=0xABcd01",
                                 "--fuel=9223372036854775807",
                                 "--format=markdown",
                                 "--block=18446744073709551615"};
    struct cli_options options;
    struct smelt_error err = {0};
    uint8_t address[SMELT_ADDRESS_BYTES];
    (void)state;
    assert_true(smelt_hex_decode(ADDRESS, address, sizeof(address)));
    assert_int_equal(parse(words, &options, &err), SMELT_STATUS_OK);
    assert_string_equal(options.values[CLI_OPTION_STATE].text, "dir");
    assert_memory_equal(options.values[CLI_OPTION_FROM].address.bytes, address, sizeof(address));
    assert_true(options.values[CLI_OPTION_VALUE].amount.low == UINT64_MAX);
    assert_true(options.values[CLI_OPTION_VALUE].amount.high == UINT64_MAX);
    assert_int_equal(options.values[CLI_OPTION_INPUT].bytes.size, 3);
    assert_memory_equal(options.values[CLI_OPTION_INPUT].bytes.data, "\xab\xcd\x01", 3);
    assert_true(options.values[CLI_OPTION_FUEL].number == INT64_MAX);
    assert_true(options.values[CLI_OPTION_BLOCK].number == UINT64_MAX);
    assert_int_equal(options.values[CLI_OPTION_FORMAT].number, 1);
    assert_false(options.values[CLI_OPTION_STATIC].is_given);
    assert_int_equal(options.argument_count, 1);
    cli_options_deinit(&options);
}

static void test_order_and_spelling_do_not_matter(void **state)
{
    static const char *const lines[][WORDS_MAX] = {
        {"a", "-", "--state", "s", "-o", "f"},
        {"--output", "f", "a", "--state", "s", "-"},
        {"-o", "f", "--state=s", "--", "a", "-"},
        {"--output=f", "a", "--state=s", "-", "--"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct cli_options options;
        struct smelt_error err = {0};
        assert_int_equal(parse(lines[i], &options, &err), SMELT_STATUS_OK);
        assert_int_equal(options.argument_count, 2);
        assert_string_equal(options.arguments[0], "a");
        assert_string_equal(options.arguments[1], "-");
        assert_string_equal(options.values[CLI_OPTION_OUTPUT].text, "f");
        assert_string_equal(options.values[CLI_OPTION_STATE].text, "s");
        cli_options_deinit(&options);
    }
}

static void test_everything_after_two_dashes_is_an_argument(void **state)
{
    const char *const words[WORDS_MAX] = {"--state=s", "--", "--json", "--"};
    struct cli_options options;
    struct smelt_error err = {0};
    (void)state;
    assert_int_equal(parse(words, &options, &err), SMELT_STATUS_OK);
    assert_false(options.values[CLI_OPTION_JSON].is_given);
    assert_string_equal(options.arguments[0], "--json");
    assert_string_equal(options.arguments[1], "--");
    cli_options_deinit(&options);
}

static void test_empty_input_is_no_bytes(void **state)
{
    static const char *const lines[][WORDS_MAX] = {{"a", "--state=s", "--input="},
                                                   {"a", "--state=s", "--input", "0x"}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct cli_options options;
        struct smelt_error err = {0};
        assert_int_equal(parse(lines[i], &options, &err), SMELT_STATUS_OK);
        assert_int_equal(options.values[CLI_OPTION_INPUT].bytes.size, 0);
        cli_options_deinit(&options);
    }
}

static void test_help_needs_nothing_else(void **state)
{
    const char *const words[WORDS_MAX] = {"-h"};
    struct cli_options options;
    struct smelt_error err = {0};
    (void)state;
    assert_int_equal(parse(words, &options, &err), SMELT_STATUS_OK);
    assert_true(options.values[CLI_OPTION_HELP].is_given);
    cli_options_deinit(&options);
}

static void test_json_is_seen_before_parsing(void **state)
{
    char name[] = "smelt";
    char json[] = "--json";
    char dashes[] = "--";
    char *with[] = {name, json, dashes};
    char *without[] = {name, dashes, json};
    (void)state;
    assert_true(cli_options_want_json(3, with));
    assert_false(cli_options_want_json(3, without));
    assert_false(cli_options_want_json(1, with));
}

static void test_help_lists_accepted_options_only(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    (void)state;
    assert_non_null(stream);
    cli_options_print_usage(stream, &call);
    cli_options_print_help(stream, &call);
    assert_int_equal(fclose(stream), 0);
    assert_non_null(strstr(text, "usage: smelt call ADDRESS FUNCTION --state DIR [options]\n"));
    assert_non_null(strstr(text, "-o, --output OUT"));
    assert_non_null(strstr(text, "--format c-header|markdown|json"));
    assert_non_null(strstr(text, "--json"));
    assert_null(strstr(text, "--cache"));
    free(text);
}

static void test_status_gives_the_exit_code(void **state)
{
    static const struct {
        enum smelt_status status;
        int exit_code;
    } cases[] = {
        {SMELT_STATUS_OK, 0},
        {SMELT_STATUS_INVALID_ARGUMENT, 2},
        {SMELT_STATUS_UNKNOWN_FUNCTION, 2},
        {SMELT_STATUS_ARGUMENT_MISMATCH, 2},
        {SMELT_STATUS_SCHEDULE_INVALID, 2},
        {SMELT_STATUS_POLICY_INVALID, 2},
        {SMELT_STATUS_NO_CONTRACT, 1},
        {SMELT_STATUS_INSUFFICIENT_BALANCE, 1},
        {SMELT_STATUS_BALANCE_OVERFLOW, 1},
        {SMELT_STATUS_STATE_MISMATCH, 1},
        {SMELT_STATUS_MODULE_MALFORMED, 3},
        {SMELT_STATUS_MODULE_TEXT, 3},
        {SMELT_STATUS_ARTEFACT_CORRUPT, 1},
        {SMELT_STATUS_TOOL_MISSING, 1},
        {SMELT_STATUS_INTERNAL, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(cli_exit_of_status(cases[i].status), cases[i].exit_code);
    }
    assert_int_equal(cli_exit_of_outcome(SMELT_OUTCOME_RETURNED), 0);
    assert_int_equal(cli_exit_of_outcome(SMELT_OUTCOME_REVERTED), 10);
    assert_int_equal(cli_exit_of_outcome(SMELT_OUTCOME_TRAPPED), 11);
    assert_int_equal(cli_exit_of_outcome(SMELT_OUTCOME_OUT_OF_FUEL), 12);
}

static const struct cli_syntax prove = {
    .name = "state prove",
    .arguments = "",
    .accepted = CLI_ACCEPTS(KEY) | CLI_ACCEPTS(ROOT),
};

static enum smelt_status parse_proof(const char *option, const char *value,
                                     struct cli_options *options, struct smelt_error *err)
{
    char *argv[3] = {0};
    memcpy(&argv[0], &option, sizeof(argv[0]));
    memcpy(&argv[1], &value, sizeof(argv[1]));
    return cli_options_parse(&prove, 2, argv, options, err);
}

static void test_bytes_are_text_or_hex(void **state)
{
    static const struct {
        const char *value;
        const char *bytes; /* NULL: refused */
        size_t size;
    } cases[] = {
        {"supply", "supply", 6}, {"", "", 0},
        {"0x", "", 0},           {"0xff00", "\xff", 2},
        {"0X41", "A", 1},        {"0", "0", 1},
        {"x41", "x41", 3},       {"\xc3\xa9", "\xc3\xa9", 2},
        {"0x4", NULL, 0},        {"0xfg", NULL, 0},
        {"0x0x41", NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cli_options options = {0};
        struct smelt_error err = {0};
        enum smelt_status status = parse_proof("--key", cases[i].value, &options, &err);
        if (cases[i].bytes == NULL) {
            assert_int_equal(status, SMELT_STATUS_INVALID_ARGUMENT);
            assert_non_null(strstr(err.message, "--key: not an even number of hex digits"));
        } else {
            const struct cli_value *key = &options.values[CLI_OPTION_KEY];
            assert_int_equal(status, SMELT_STATUS_OK);
            assert_true(key->is_given);
            assert_int_equal(key->bytes.size, cases[i].size);
            assert_memory_equal(key->bytes.data, cases[i].bytes, cases[i].size);
        }
        cli_options_deinit(&options);
    }
}

static void test_hashes_have_64_digits(void **state)
{
    static const char *const wrong[] = {"", "0x", "00", LONG_ADDRESS, "root"};
    struct cli_options options = {0};
    struct smelt_error err = {0};
    (void)state;
    assert_int_equal(parse_proof("--root", "0x" ADDRESS, &options, &err), SMELT_STATUS_OK);
    assert_int_equal(options.values[CLI_OPTION_ROOT].hash.bytes[31], 0xff);
    cli_options_deinit(&options);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(parse_proof("--root", wrong[i], &options, &err),
                         SMELT_STATUS_INVALID_ARGUMENT);
        assert_non_null(strstr(err.message, "--root: a hash has 64 hex digits"));
        cli_options_deinit(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wrong_command_lines_name_what_is_wrong),
        cmocka_unit_test(test_values_are_parsed),
        cmocka_unit_test(test_order_and_spelling_do_not_matter),
        cmocka_unit_test(test_everything_after_two_dashes_is_an_argument),
        cmocka_unit_test(test_empty_input_is_no_bytes),
        cmocka_unit_test(test_help_needs_nothing_else),
        cmocka_unit_test(test_json_is_seen_before_parsing),
        cmocka_unit_test(test_help_lists_accepted_options_only),
        cmocka_unit_test(test_status_gives_the_exit_code),
        cmocka_unit_test(test_bytes_are_text_or_hex),
        cmocka_unit_test(test_hashes_have_64_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
