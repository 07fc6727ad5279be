/* The strict reader over a small list of keys of every kind: what it takes, and every way a text
 * can be wrong, with line and offset. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "hostabi/toml.h"
#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

static struct values {
    char name[SM_TOML_NAME_BYTES];
    uint32_t word;
    uint32_t small;
    uint64_t large;
    uint64_t power;
    bool flag;
} values;

static const char *const words[] = {"red", "green-2", NULL};

/* Into `values`. */
static enum smelt_status read_text(struct smelt_slice text, struct smelt_error *err)
{
    struct sm_toml_key keys[] = {
        {.path = "name", .kind = SM_TOML_NAME, .target = values.name},
        {.path = "a.word", .kind = SM_TOML_WORD, .target = &values.word, .words = words},
        {.path = "a.small", .kind = SM_TOML_U32, .target = &values.small, .least = 2, .most = 99},
        {.path = "a.b.large",
         .kind = SM_TOML_U64,
         .target = &values.large,
         .most = UINT64_MAX,
         .rule = "as it must be"},
        {.path = "a.b.power", .kind = SM_TOML_POWER, .target = &values.power, .most = 64},
        {.path = "a.flag", .kind = SM_TOML_BOOL, .target = &values.flag},
    };
    const struct sm_toml toml = {"test", SMELT_STATUS_POLICY_INVALID, keys,
                                 sizeof(keys) / sizeof(keys[0])};
    memset(&values, 0, sizeof(values));
    return sm_toml_read(text, &toml, err);
}

#define NAME  "name = \"x.Y_z-0\"\n"
#define A     "[a]\nword = \"green-2\"\nsmall = 99\nflag = true\n"
#define B     "[a.b]\nlarge = 18446744073709551615\npower = 64\n"
#define WHOLE NAME A B

static void expect_whole(const char *text)
{
    struct smelt_error err = {0};
    if (read_text(smelt_slice_from_string(text), &err) != SMELT_STATUS_OK) {
        fail_msg("%s: %s", text, err.message);
    }
    assert_string_equal(values.name, "x.Y_z-0");
    assert_int_equal(values.word, 1);
    assert_int_equal(values.small, 99);
    assert_true(values.large == UINT64_MAX);
    assert_int_equal(values.power, 64);
    assert_true(values.flag);
}

static void one_meaning_in_many_layouts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        WHOLE,
        NAME B A,
        "# comment \xe2\x82\xac\n\n" NAME "\t\n" A "# [a]\n" B "#",
        "name=\"x.Y_z-0\"\n[ a ]\nword\t=\"green-2\"#\n small=99\nflag=true # x\n[a.b]\r\n"
        "large=18446744073709551615\r\npower=64",
        NAME "a.word = \"green-2\"\na.small = 99\na.flag = true\n" B,
        NAME "a = {word = \"green-2\", small = 99, flag = true}\n" B,
        NAME "a = { word = \"green-2\",small=99 , flag = true , b.power = 64,"
             " b.large=18446744073709551615 } # all\n",
        NAME A "b = {large = 18446744073709551615, power = 64}",
        NAME A "b.large = 18446744073709551615\nb.power = 64\n",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        expect_whole(texts[i]);
    }
}

static void bounds_are_inclusive(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(smelt_slice_from_string(NAME "a = {word = \"red\", small = 2, flag = false}\n"
                                               "[a.b]\nlarge = 0\npower = 1\n"),
                  NULL),
        SMELT_STATUS_OK);
    assert_int_equal(values.word, 0);
    assert_int_equal(values.small, 2);
    assert_true(values.large == 0);
    assert_int_equal(values.power, 1);
    assert_false(values.flag);
}

/* The text is WHOLE with the first `from` replaced. */
static void wrong_texts_are_refused_where_they_are_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        size_t line;
        const char *message;
    } rows[] = {
        /* keys */
        {NAME, "", 8, "missing key: name"},
        {"flag = true\n", "", 8, "missing key: a.flag"},
        {"flag = true\n", "flag = true\nflag = true\n", 6, "key is given twice: a.flag"},
        {"flag = true\n", "flag = true\nflags = true\n", 6, "unknown key: a.flags"},
        {"flag = true\n", "flag = true\nfla = true\n", 6, "unknown key: a.fla"},
        {NAME, NAME "flag = true\n", 2, "unknown key: flag"},
        {NAME, NAME "a = true\n", 2, "unknown key: a"},
        {NAME, NAME NAME, 2, "key is given twice: name"},
        {NAME, "\"name\" = \"x\"\n", 1, "unexpected text"},
        {NAME, "name. = \"x\"\n", 1, "expected a key"},
        {NAME, ".name = \"x\"\n", 1, "expected a key"},
        {NAME, "a..b = \"x\"\n", 1, "expected a key"},
        {NAME, "na me = \"x\"\n", 1, "expected '=' after: na"},
        {NAME, "name\n= \"x\"\n", 1, "expected '=' after: name"},
        {NAME, "= \"x\"\n", 1, "unexpected text"},
        /* tables */
        {"[a]", "[a", 2, "expected ']': a"},
        {"[a]", "[]", 2, "expected a key"},
        {"[a]", "[[a]]", 2, "expected a key"},
        {"[a]", "[a] [a.b]", 2, "unexpected text"},
        {"[a]", "[c]", 2, "unknown table: c"},
        {"[a]", "[name]", 2, "unknown table: name"},
        {"[a]", "[a.b.power]", 2, "unknown table: a.b.power"},
        {"[a]", "[A]", 2, "unknown table: A"},
        {B, B "[a]\n", 9, "table is given twice: a"},
        {B, B "[a.b]\n", 9, "table is given twice: a.b"},
        {B, "[a.b]\n[a.b]\n", 7, "table is given twice: a.b"},
        {B, B "[c]\n", 9, "unknown table: c"},
        /* inline tables */
        {B, "b = {large = 1, power = 1\n", 6, "expected ',' or '}'"},
        {B, "b = {large = 1, power = 1}}\n", 6, "unexpected text"},
        {B, "b = {large = 1, power = 1,}\n", 6, "expected a key"},
        {B, "b = {large = 1,\npower = 1}\n", 6, "expected a key"},
        {B, "b = {}\n", 6, "expected a key"},
        {B, "b = {large = {power = 1}}\n", 6, "expected an unsigned integer: a.b.large"},
        {B, "b = {large = 1}\nb = {power = 1}\n", 7, "table is given twice: a.b"},
        {B, "b = {large = 1}\n[a.b]\npower = 1\n", 7, "table is given twice: a.b"},
        {B, "c = {large = 1}\n", 6, "unknown table: a.c"},
        /* integers */
        {"= 99", "= 1", 4, "value is smaller than 2: a.small"},
        {"= 99", "= 100", 4, "value is larger than 99: a.small"},
        {"= 99", "= 99999999999999999999999999999999999", 4, "value is larger than 99"},
        {"= 99", "= 099", 4, "integer has leading zeroes: a.small"},
        {"= 99", "= +9", 4, "expected an unsigned integer: a.small"},
        {"= 99", "= -9", 4, "expected an unsigned integer"},
        {"= 99", "=", 4, "expected an unsigned integer"},
        {"= 99", "= \"99\"", 4, "expected an unsigned integer"},
        {"= 99", "= true", 4, "expected an unsigned integer"},
        {"= 99", "= 9_9", 4, "unexpected text"},
        {"= 99", "= 0x9", 4, "value is smaller"},
        {"= 99", "= 9.0", 4, "unexpected text"},
        {"= 99", "= 9e0", 4, "unexpected text"},
        {"= 99", "= 9 9", 4, "unexpected text"},
        {"= 99", "= 9\r9", 4, "unexpected text"},
        {"551615", "551616", 7, "than 18446744073709551615 (as it must be): a.b.large"},
        {"= 64", "= 63", 8, "value is not a power of two up to 64: a.b.power"},
        {"= 64", "= 0", 8, "value is not a power of two"},
        {"= 64", "= 128", 8, "value is larger than 64"},
        /* booleans */
        {"= true", "= 1", 5, "expected true or false: a.flag"},
        {"= true", "= True", 5, "expected true or false"},
        {"= true", "= \"true\"", 5, "expected true or false"},
        {"= true", "= tru", 5, "expected true or false"},
        {"= true", "= truefalse", 5, "unexpected text"},
        {"= true", "=", 5, "expected true or false"},
        /* strings */
        {"\"green-2\"", "\"green\"", 3, "\"green\" is none of \"red\", \"green-2\": a.word"},
        {"\"green-2\"", "\"RED\"", 3, "\"RED\" is none of"},
        {"\"green-2\"", "green-2", 3, "expected a string: a.word"},
        {"\"green-2\"", "'green-2'", 3, "expected a string"},
        {"\"green-2\"", "\"\"\"red\"\"\"", 3, "strings are 1 to 63"},
        {"\"x.Y_z-0\"", "\"\"", 1, "strings are 1 to 63"},
        {"\"x.Y_z-0\"", "\"x", 1, "strings are 1 to 63"},
        {"\"x.Y_z-0\"", "\"x y\"", 1, "strings are 1 to 63"},
        {"\"x.Y_z-0\"", "\"x\\n\"", 1, "strings are 1 to 63"},
        {"\"x.Y_z-0\"", "\"\xc3\xa4\"", 1, "strings are 1 to 63"},
        {"\"x.Y_z-0\"", "\"0123456789012345678901234567890123456789012345678901234567890123\"", 1,
         "strings are 1 to 63"},
        /* characters */
        {NAME, "\x01" NAME, 1, "unexpected text"},
        {NAME, "# \x1b[31m\n" NAME, 1, "unexpected text"},
        {NAME, "# \x7f\n" NAME, 1, "unexpected text"},
        {NAME, "# \r \n" NAME, 1, "unexpected text"},
        {NAME, "\r" NAME, 1, "unexpected text"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at = strstr(WHOLE, rows[i].from);
        assert_non_null(at);
        struct smelt_buf text = {0};
        struct smelt_error err = {0};
        char line[32];
        size_t head = strlen(WHOLE) - strlen(at);
        assert_true(sm_buf_printf(&text, "%.*s%s%s", (int)head, WHOLE, rows[i].to,
                                  at + strlen(rows[i].from)));
        enum smelt_status status = read_text(sm_buf_slice(&text), &err);
        (void)snprintf(line, sizeof(line), "line %zu: ", rows[i].line);
        if (status != SMELT_STATUS_POLICY_INVALID || strstr(err.message, rows[i].message) == NULL ||
            strstr(err.message, line) == NULL) {
            fail_msg("row %zu: %s", i, err.message);
        }
        assert_string_equal(err.where, "test");
        assert_true(err.offset >= 0 && (size_t)err.offset <= text.size);
        assert_int_not_equal(err.message[strlen(err.message) - 1], '.'); /* no table is "a." */
        /* the offset is on the line that the message names */
        size_t lines = 1;
        for (size_t k = 0; k < (size_t)err.offset; k++) {
            lines += text.data[k] == '\n';
        }
        assert_int_equal(lines, rows[i].line);
        smelt_buf_deinit(&text);
    }
}

static void a_string_has_at_most_63_characters(void **state)
{
    (void)state;
    struct smelt_buf text = {0};
    assert_true(sm_buf_printf(&text, "name = \"%063d\"\n" A B, 0));
    assert_int_equal(read_text(sm_buf_slice(&text), NULL), SMELT_STATUS_OK);
    assert_int_equal(strlen(values.name), 63);
    smelt_buf_deinit(&text);
}

static void long_keys_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *before, *behind;
    } rows[] = {{"", " = 1\n"}, {"[", "]\n"}, {"a.", " = {b = 1}\n"}, {"[a]\nb.", " = {c = 1}\n"}};
    for (int size = SM_TOML_KEY_BYTES - 4; size < SM_TOML_KEY_BYTES + 4; size++) {
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            struct smelt_buf text = {0};
            assert_true(sm_buf_printf(&text, "%s%0*d%s", rows[i].before, size, 0, rows[i].behind));
            assert_int_equal(read_text(sm_buf_slice(&text), NULL), SMELT_STATUS_POLICY_INVALID);
            smelt_buf_deinit(&text);
        }
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct smelt_slice whole = smelt_slice_from_string(WHOLE);
    /* without its last newline it is still whole */
    for (size_t size = 0; size + 1 < whole.size; size++) {
        uint8_t *copy = (uint8_t *)sm_alloc(size + 1); /* exactly as long: a read past it is seen */
        memcpy(copy, whole.data, size);
        enum smelt_status status = read_text(sm_slice(copy, size), NULL);
        assert_int_equal(status, SMELT_STATUS_POLICY_INVALID);
        sm_free(copy);
    }
}

static void texts_have_a_size(void **state)
{
    (void)state;
    struct smelt_buf text = {0};
    struct smelt_error err = {0};
    assert_true(sm_buf_append(&text, WHOLE "#", strlen(WHOLE "#")));
    while (text.size < SM_TOML_TEXT_BYTES_MAX) {
        assert_true(sm_buf_append_u8(&text, '#'));
    }
    assert_int_equal(read_text(sm_buf_slice(&text), &err), SMELT_STATUS_OK);
    assert_true(sm_buf_append_u8(&text, '#'));
    assert_int_equal(read_text(sm_buf_slice(&text), &err), SMELT_STATUS_POLICY_INVALID);
    assert_non_null(strstr(err.message, "1048577 bytes"));
    smelt_buf_deinit(&text);
    assert_int_equal(read_text(sm_slice("# \xff", 3), &err), SMELT_STATUS_POLICY_INVALID);
    assert_string_equal(err.message, "the text is not UTF-8");
    assert_int_equal(read_text(sm_slice("# \0", 3), &err), SMELT_STATUS_POLICY_INVALID);
    assert_int_equal(read_text(sm_slice(NULL, 0), &err), SMELT_STATUS_POLICY_INVALID);
    assert_string_equal(err.message, "line 1: missing key: name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_meaning_in_many_layouts),
        cmocka_unit_test(bounds_are_inclusive),
        cmocka_unit_test(wrong_texts_are_refused_where_they_are_wrong),
        cmocka_unit_test(a_string_has_at_most_63_characters),
        cmocka_unit_test(long_keys_are_refused),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(texts_have_a_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
