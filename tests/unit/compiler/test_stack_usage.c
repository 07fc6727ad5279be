/* gcc's account of stack frames: one form of line, and everything else refused. */
#include "base/bytes.h"
#include "compiler/driver/stack_usage.h"
#include "tests/support/cmocka_all.h"

#include <string.h>

struct seen {
    unsigned count;
    char name[SM_STACK_USAGE_NAME_BYTES];
    uint64_t bytes;
};

static void visit(void *context, const char *name, uint64_t bytes)
{
    struct seen *seen = (struct seen *)context;
    seen->count++;
    assert_true(strlen(name) < sizeof(seen->name));
    memcpy(seen->name, name, strlen(name) + 1);
    seen->bytes = bytes;
}

#define NAME_63 "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static void test_good(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned count;
        const char *name; /* the last */
        uint64_t bytes;
    } rows[] = {
        {"", 0, "", 0},
        {"module.c:3:12:func_0\t16\tstatic\n", 1, "func_0", 16},
        {"module.c:3:12:func_0\t16\tstatic\nmodule.c:9:1:entry_7\t0\tstatic\n", 2, "entry_7", 0},
        /* what a clone would be called: the name is the caller's to judge */
        {"m:1:1:func_0.part.0\t8\tstatic\n", 1, "func_0.part.0", 8},
        {"m:1:1:func_1\t1099511627776\tstatic\n", 1, "func_1", UINT64_C(1) << 40},
        {"m:1:1:" NAME_63 "\t1\tstatic\n", 1, NAME_63, 1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct seen seen = {0};
        assert_int_equal(
            sm_stack_usage_read(smelt_slice_from_string(rows[i].text), visit, &seen, NULL),
            SMELT_STATUS_OK);
        assert_int_equal(seen.count, rows[i].count);
        assert_string_equal(seen.name, rows[i].name);
        assert_int_equal(seen.bytes, rows[i].bytes);
    }
}

static void test_bad(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\n",
        "module.c:3:12:func_0\t16\tstatic", /* cut short */
        "module.c:3:12:func_0\t16\tdynamic\n",
        "module.c:3:12:func_0\t16\tdynamic,bounded\n",
        "module.c:3:12:func_0\t16\tstatic,bounded\n",
        "module.c:3:12:func_0\t16\tstatic \n",
        "module.c:3:12:func_0\t16\t\n",
        "module.c:3:12:func_0\t16\n",
        "module.c:3:12:func_0 16 static\n",
        "module.c:3:12:func_0\t\tstatic\n",
        "module.c:3:12:func_0\t-16\tstatic\n",
        "module.c:3:12:func_0\t0x10\tstatic\n",
        "module.c:3:12:func_0\t 16\tstatic\n",
        "module.c:3:12:func_0\t10995116277760\tstatic\n",
        "module.c:3:12:func_0\t18446744073709551632\tstatic\n", /* 2^64 + 16 */
        "module.c:3:12:\t16\tstatic\n",
        "module.c:3:func_0\t16\tstatic\n",
        "module.c::12:func_0\t16\tstatic\n",
        "module.c:3:x:func_0\t16\tstatic\n",
        ":3:12:func_0\t16\tstatic\n",
        "m:1:1:" NAME_63 "l\t1\tstatic\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char second[300] = "m:1:1:f\t8\tstatic\n";
        struct seen seen = {0};
        struct smelt_error err = {0};
        assert_int_equal(sm_stack_usage_read(smelt_slice_from_string(rows[i]), visit, &seen, &err),
                         SMELT_STATUS_TOOL_OUTPUT);
        assert_memory_equal(err.message, "line 1 of ", 10);
        assert_int_equal(seen.count, 0);
        strncat(second, rows[i], sizeof(second) - strlen(second) - 1);
        assert_int_equal(sm_stack_usage_read(smelt_slice_from_string(second), visit, &seen, &err),
                         SMELT_STATUS_TOOL_OUTPUT);
        assert_memory_equal(err.message, "line 2 of ", 10);
        assert_int_equal(seen.count, 1);
    }
    struct seen seen = {0};
    static const char nul[] = "m:1:1:f\0g\t8\tstatic\n";
    assert_int_equal(sm_stack_usage_read(sm_slice(nul, sizeof(nul) - 1), visit, &seen, NULL),
                     SMELT_STATUS_TOOL_OUTPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
