/* Names of statuses, and messages built from names that an attacker chose. */
#include "base/status.h"
#include "tests/support/cmocka_all.h"

#include <errno.h>
#include <string.h>

static void test_every_status_has_its_own_name_and_number(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum smelt_status status;
        const char *name;
    } rows[] = {
#define ROW(number, name, text) {number, SMELT_STATUS_##name, text},
        SMELT_STATUS_MAP(ROW)
#undef ROW
    };
    const size_t count = sizeof(rows) / sizeof(rows[0]);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal((int)rows[i].status, rows[i].number);
        assert_string_equal(smelt_status_name(rows[i].status), rows[i].name);
        assert_int_equal(strspn(rows[i].name, "abcdefghijklmnopqrstuvwxyz_"), strlen(rows[i].name));
        for (size_t k = i + 1; k < count; k++) {
            assert_int_not_equal(rows[i].number, rows[k].number);
            assert_string_not_equal(rows[i].name, rows[k].name);
        }
    }
}

static void test_numbers_never_change(void **state)
{
    (void)state;
    /* one of each hundred; they are in other people's logs and scripts */
    assert_int_equal(SMELT_STATUS_OK, 0);
    assert_int_equal(SMELT_STATUS_INVALID_ARGUMENT, 101);
    assert_int_equal(SMELT_STATUS_MODULE_MALFORMED, 201);
    assert_int_equal(SMELT_STATUS_ARTEFACT_SEAL, 304);
    assert_int_equal(SMELT_STATUS_NOT_FOUND, 411);
    assert_int_equal(SMELT_STATUS_INTERNAL, 901);
}

static void test_unknown_numbers_have_a_name_too(void **state)
{
    (void)state;
    static const int numbers[] = {1, -1, 100, 199, 305, 999, 1 << 20};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        assert_string_equal(smelt_status_name((enum smelt_status)numbers[i]), "unknown");
    }
}

static void test_setters_fill_everything(void **state)
{
    (void)state;
    struct smelt_error err;
    memset(&err, 0xee, sizeof(err));
    assert_int_equal(sm_error_set(&err, SMELT_STATUS_IO, "stage", "%s %d", "text", 5),
                     SMELT_STATUS_IO);
    assert_int_equal(err.status, SMELT_STATUS_IO);
    assert_int_equal(err.offset, -1);
    assert_int_equal(err.func_index, -1);
    assert_int_equal(err.sys_errno, 0);
    assert_string_equal(err.where, "stage");
    assert_string_equal(err.message, "text 5");

    memset(&err, 0xee, sizeof(err));
    assert_int_equal(sm_error_set_at(&err, SMELT_STATUS_MODULE_INVALID, "code", 3, 77, "bad"),
                     SMELT_STATUS_MODULE_INVALID);
    assert_int_equal(err.func_index, 3);
    assert_int_equal(err.offset, 77);
    assert_int_equal(err.sys_errno, 0);

    assert_int_equal(sm_error_no_memory(&err, "x"), SMELT_STATUS_NO_MEMORY);
    assert_int_equal(err.offset, -1);
    assert_string_equal(err.message, "out of memory");
}

static void test_error_may_be_null(void **state)
{
    (void)state;
    assert_int_equal(sm_error_set(NULL, SMELT_STATUS_IO, "w", "%s", "m"), SMELT_STATUS_IO);
    assert_int_equal(sm_error_set_at(NULL, SMELT_STATUS_IO, "w", 1, 2, "m"), SMELT_STATUS_IO);
    assert_int_equal(sm_error_set_errno(NULL, SMELT_STATUS_IO, ENOSPC, "w", "m"),
                     SMELT_STATUS_NO_SPACE);
    assert_int_equal(sm_error_no_memory(NULL, "w"), SMELT_STATUS_NO_MEMORY);
}

static void test_errno_is_mapped_and_named(void **state)
{
    (void)state;
    static const struct {
        int sys_errno;
        enum smelt_status status;
        const char *message;
    } cases[] = {
        {ENOSPC, SMELT_STATUS_NO_SPACE, "m: No space left on device"},
        {EDQUOT, SMELT_STATUS_NO_SPACE, "m: Disk quota exceeded"},
        {EROFS, SMELT_STATUS_READ_ONLY, "m: Read-only file system"},
        {EACCES, SMELT_STATUS_READ_ONLY, "m: Permission denied"},
        {EPERM, SMELT_STATUS_READ_ONLY, "m: Operation not permitted"},
        {ENOMEM, SMELT_STATUS_NO_MEMORY, "m: Cannot allocate memory"},
        {EIO, SMELT_STATUS_TOOL_FAILED, "m: Input/output error"},
        {ENOENT, SMELT_STATUS_TOOL_FAILED, "m: No such file or directory"},
        {99999, SMELT_STATUS_TOOL_FAILED, "m: unknown error"},
        {-1, SMELT_STATUS_TOOL_FAILED, "m: unknown error"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smelt_error err;
        assert_int_equal(
            sm_error_set_errno(&err, SMELT_STATUS_TOOL_FAILED, cases[i].sys_errno, "w", "m"),
            cases[i].status);
        assert_int_equal(err.status, cases[i].status);
        assert_int_equal(err.sys_errno, cases[i].sys_errno);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void test_hostile_bytes_do_not_reach_a_terminal(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } cases[] = {
        {"plain", "plain"},
        {"two\nlines\r\t", "two?lines??"},
        {"\x1b[31mred\x1b[0m", "?[31mred?[0m"},
        {"\x7f", "?"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b"
         "31m",
         "??31m"}, /* CSI as one C1 control */
        {"\xc2\x80\xc2\x9f\xc2\xa0", "????\xc2\xa0"},
        {"\x9b"
         "31m",
         "?31m"},
        {"\xff\xfe", "??"},
        {"\xc0\x8a", "??"},      /* overlong newline */
        {"\xed\xa0\x80", "???"}, /* surrogate */
        {"cut \xe2\x82", "cut ??"},
        {"cut \xc3", "cut ?"},
        {"%s%n", "%s%n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smelt_error err;
        (void)sm_error_set(&err, SMELT_STATUS_IO, "w", "%s", cases[i].text);
        assert_string_equal(err.message, cases[i].shown);
    }
}

static void test_long_messages_are_cut_to_valid_text(void **state)
{
    (void)state;
    struct smelt_error err;
    char text[2 * sizeof(err.message)];
    /* three-byte characters at each alignment, so that the cut falls inside one */
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', sizeof(text));
        for (size_t i = shift; i + 3 < sizeof(text); i += 3) {
            memcpy(text + i, "\xe2\x82\xac", 3);
        }
        text[sizeof(text) - 1] = '\0';
        (void)sm_error_set_errno(&err, SMELT_STATUS_IO, EIO, "w", "%s", text);
        assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
        for (size_t i = sizeof(err.message) - 4; i < sizeof(err.message) - 1; i++) {
            size_t cut = (sizeof(err.message) - 1 - shift) % 3;
            if (i >= sizeof(err.message) - 1 - cut) {
                assert_int_equal(err.message[i], '?');
            }
        }
    }
    memset(text, 'w', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    (void)sm_error_set(&err, SMELT_STATUS_IO, text, "m");
    assert_int_equal(strlen(err.where), sizeof(err.where) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_has_its_own_name_and_number),
        cmocka_unit_test(test_numbers_never_change),
        cmocka_unit_test(test_unknown_numbers_have_a_name_too),
        cmocka_unit_test(test_setters_fill_everything),
        cmocka_unit_test(test_error_may_be_null),
        cmocka_unit_test(test_errno_is_mapped_and_named),
        cmocka_unit_test(test_hostile_bytes_do_not_reach_a_terminal),
        cmocka_unit_test(test_long_messages_are_cut_to_valid_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
