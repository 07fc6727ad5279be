/* The instrumenter: golden modules (tests/golden; scripts/update-golden writes the expected ones),
 * and properties that no golden file shows.
 *
 * A golden input opens with a line of settings: schedule, floats, and imports=any where wanted. */
#include "tests/unit/compiler/modules.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "tests/support/files.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    char schedule[32];
    char floats[32];
    char imports[32];
};

static struct settings read_settings(const char *name, const char *text)
{
    struct settings settings = {0};
    if (sscanf(text, ";; schedule=%31s floats=%31s imports=%31s", settings.schedule,
               settings.floats, settings.imports) < 2) {
        fail_msg("%s does not open with its settings", name);
    }
    return settings;
}

/* The instrumented module as text, after both validators have accepted it. */
static struct smelt_buf instrument_golden(const char *name)
{
    static const char *const wasm2wat[] = {"wasm2wat", "@", NULL};
    struct smelt_buf text = test_golden(name);
    struct settings settings = read_settings(name, (const char *)text.data);
    struct smelt_schedule *schedule = test_schedule(settings.schedule);
    struct test_module module;
    struct sm_policy policy;
    struct sm_instrumented out;
    struct smelt_error err = {0};
    struct smelt_buf result = {0};
    char why[512];
    sm_policy_init(&policy,
                   strcmp(settings.floats, "canonical-nan") == 0 ? SMELT_FLOAT_CANONICAL_NAN
                                                                 : SMELT_FLOAT_FORBID,
                   strcmp(settings.imports, "any") == 0);
    test_module_from_text(&module, (const char *)text.data);
    if (sm_gate_check(&module.module, &policy, &smelt_profile_engine, &err) != SMELT_STATUS_OK ||
        sm_instrument(&module.module, &policy, &smelt_profile_engine, schedule, &module.arena, &out,
                      &err) != SMELT_STATUS_OK) {
        fail_msg("%s: %s", name, err.message);
    }
    if (!test_is_valid(sm_buf_slice(&out.wasm), why, sizeof(why))) {
        fail_msg("%s: %s", name, why);
    }
    assert_true(test_tool(wasm2wat, sm_buf_slice(&out.wasm), &result));
    smelt_buf_deinit(&out.wasm);
    test_module_deinit(&module);
    smelt_schedule_destroy(schedule);
    smelt_buf_deinit(&text);
    return result;
}

static int is_golden_input(const struct dirent *entry)
{
    const char *dot = strchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".wat") == 0;
}

static void test_golden_modules(void **state)
{
    (void)state;
    struct dirent **entries = NULL;
    int count = scandir(SMELT_TEST_GOLDEN_DIR, &entries, is_golden_input, alphasort);
    int wrong = 0;
    assert_true(count > 5);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char expected_name[300];
        (void)snprintf(expected_name, sizeof(expected_name), "%.*s.expected.wat",
                       (int)(strlen(name) - strlen(".wat")), name);
        struct smelt_buf found = instrument_golden(name);
        if (getenv("SMELT_UPDATE_GOLDEN") != NULL) {
            test_file_write(test_path(SMELT_TEST_GOLDEN_DIR, expected_name), sm_buf_slice(&found));
        }
        struct smelt_buf expected = test_golden(expected_name);
        if (!sm_slice_equal(sm_buf_slice(&found), sm_buf_slice(&expected))) {
            print_error("%s: other than %s:\n%.*s", name, expected_name, (int)found.size,
                        (const char *)found.data);
            wrong++;
        }
        smelt_buf_deinit(&found);
        smelt_buf_deinit(&expected);
        free(entries[i]);
    }
    free(entries);
    assert_int_equal(wrong, 0);
}

/* ---- properties ------------------------------------------------------------------------------ */

struct instrumented {
    struct test_module module;
    struct sm_instrumented out;
};

static void instrument(struct instrumented *result, const char *text, const char *schedule_name)
{
    struct smelt_schedule *schedule = test_schedule(schedule_name);
    struct sm_policy policy;
    struct smelt_error err = {0};
    char why[512];
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, false);
    test_module_from_text(&result->module, text);
    if (sm_gate_check(&result->module.module, &policy, &smelt_profile_engine, &err) !=
            SMELT_STATUS_OK ||
        sm_instrument(&result->module.module, &policy, &smelt_profile_engine, schedule,
                      &result->module.arena, &result->out, &err) != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
    if (!test_is_valid(sm_buf_slice(&result->out.wasm), why, sizeof(why))) {
        fail_msg("%s", why);
    }
    smelt_schedule_destroy(schedule);
}

static void instrumented_deinit(struct instrumented *result)
{
    smelt_buf_deinit(&result->out.wasm);
    test_module_deinit(&result->module);
}

static void test_memory_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t min, max, page;
    } rows[] = {
        {"(module)", 0, 0, UINT32_MAX},
        {"(module (memory 1))", 1, 256, UINT32_MAX},
        {"(module (memory 1 2))", 1, 2, UINT32_MAX},
        {"(module (memory 1 256))", 1, 256, UINT32_MAX},
        {"(module (memory 1 257))", 1, 256, UINT32_MAX},
        {"(module (import \"env\" \"storage_read\" (func (param i32 i32) (result i64)))"
         " (memory 3 9))",
         4, 9, 3},
        {"(module (import \"env\" \"storage_read\" (func (param i32 i32) (result i64)))"
         " (memory 0))",
         1, 256, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct instrumented made;
        instrument(&made, rows[i].text, "unit");
        assert_int_equal(made.out.memory_min, rows[i].min);
        assert_int_equal(made.out.memory_max, rows[i].max);
        assert_int_equal(made.out.return_page, rows[i].page);
        instrumented_deinit(&made);
    }
}

/* Sites are what traps, calls or changes the instance and is left, with its place in the deployed
 * module; dead ones are gone, and closing a dead end adds one. */
static void test_sites(void **state)
{
    (void)state;
    static const struct {
        enum sm_wasm_op op;
        uint32_t index;
    } expected[] = {{SM_OP_CALL, 0},       {SM_OP_I32_LOAD, 0},      {SM_OP_CALL, 1},
                    {SM_OP_I32_DIV_U, 0},  {SM_OP_GLOBAL_SET, 1},    {SM_OP_MEMORY_GROW, 0},
                    {SM_OP_DATA_DROP, 1},  {SM_OP_CALL_INDIRECT, 0}, {SM_OP_UNREACHABLE, 0},
                    {SM_OP_UNREACHABLE, 0}};
    struct instrumented made;
    instrument(&made,
               "(module (type $t (func (param i32) (result i32)))"
               " (import \"env\" \"input_len\" (func $len (result i32))) (memory 1)"
               " (global i32 (i32.const 0)) (global (mut i32) (i32.const 0))"
               " (table 1 funcref) (data \"a\") (data \"b\")"
               " (func $own (result i32) (call $len) (i32.load) (drop (call $own))"
               "   (i32.div_u (i32.const 1)) (drop) (global.set 1 (global.get 0))"
               "   (drop (memory.grow (i32.const 0))) (data.drop 1)"
               "   (call_indirect (type $t) (i32.const 7) (i32.const 0)) (drop)"
               "   (if (i32.const 0) (then (unreachable) (drop (i32.load (i32.const 0)))))"
               "   (block (result i32) (return (i32.const 1))) (i32.load)))",
               "unit");
    const struct sm_instrumented_func *func = &made.out.funcs[1];
    assert_int_equal(func->site_count, sizeof(expected) / sizeof(expected[0]));
    for (uint32_t i = 0; i < func->site_count; i++) {
        assert_int_equal(func->sites[i].op, expected[i].op);
        assert_int_equal(func->sites[i].index, expected[i].index);
        uint32_t code = sm_wasm_ops[expected[i].op].code;
        const uint8_t *at = made.module.wasm.data + func->sites[i].offset;
        /* the last is the end behind which nothing comes */
        assert_int_equal(*at, i + 1 == func->site_count ? 0x0b : code > 0xff ? 0xfc : code);
    }
    assert_int_equal(made.out.funcs[0].site_count, 0);
    instrumented_deinit(&made);
}

static void test_markers(void **state)
{
    (void)state;
    struct instrumented made;
    instrument(&made,
               "(module (memory 1) (func $self (param i32)"
               " (loop (drop (memory.grow (local.get 0))) (nop) (br_if 0 (local.get 0)) (nop))"
               " (call $self (i32.const 0))))",
               "ones");
    const struct sm_instrumented_func *func = &made.out.funcs[0];
    /* loop block: get, grow; behind the grow: drop, nop, get, br_if; behind br_if: nop, end, const,
     * call; behind the call: end */
    assert_int_equal(func->marker_count, 8);
    const struct sm_marker *found = func->markers;
    assert_int_equal(found[0].kind, SM_MARKER_ENTER);
    assert_int_equal(found[0].amount, 1 + 1 + 1 + 8); /* parameter, operand, code, frame */
    static const uint64_t amounts[] = {1, 2, 0, 4, 4, 1};
    static const bool are_checked[] = {true, true, true, false, false, false};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(found[i + 1].kind, SM_MARKER_FUEL);
        assert_int_equal(found[i + 1].amount, amounts[i]);
        assert_int_equal(found[i + 1].is_checked, are_checked[i]);
        assert_int_equal(found[i + 1].is_dynamic, i == 2);
    }
    assert_int_equal(found[7].kind, SM_MARKER_LEAVE);
    assert_int_equal(found[7].amount, found[0].amount);
    instrumented_deinit(&made);
}

/* Nothing that an author wrote as a name or put into a custom section gets through. */
static void test_no_name_survives(void **state)
{
    (void)state;
    struct instrumented made;
    instrument(&made,
               "(module $module_MARK (import \"env\" \"input_len\" (func $import_MARK (result "
               "i32)))"
               " (memory $memory_MARK (export \"export_MARK\") 1)"
               " (global $global_MARK i32 (i32.const 0))"
               " (func $func_MARK (export \"*/MARK/*\") (param $param_MARK i32) (local $l_MARK i32)"
               "   (block $label_MARK (nop))))",
               "unit");
    struct smelt_slice wasm = sm_buf_slice(&made.out.wasm);
    assert_null(memmem(wasm.data, wasm.size, "MARK", 4));
    assert_null(memmem(wasm.data, wasm.size, "input_len", 9));
    instrumented_deinit(&made);
}

/* The same module, policy and schedule give the same bytes. */
static void test_is_a_function_of_its_input(void **state)
{
    (void)state;
    struct instrumented first;
    struct instrumented second;
    struct smelt_buf text = test_golden("everything.wat");
    instrument(&first, (const char *)text.data, "engine-v1");
    instrument(&second, (const char *)text.data, "engine-v1");
    assert_true(sm_slice_equal(sm_buf_slice(&first.out.wasm), sm_buf_slice(&second.out.wasm)));
    instrumented_deinit(&second);
    instrument(&second, (const char *)text.data, "unit");
    assert_false(sm_slice_equal(sm_buf_slice(&first.out.wasm), sm_buf_slice(&second.out.wasm)));
    instrumented_deinit(&first);
    instrumented_deinit(&second);
    smelt_buf_deinit(&text);
}

/* Charges may be as large as a schedule and a body allow, and no larger charge wraps. */
static void test_large_charges(void **state)
{
    (void)state;
    static const char *const wasm2wat[] = {"wasm2wat", "@", NULL};
    struct smelt_buf text = {0};
    struct smelt_buf toml = {0};
    struct smelt_buf wat = {0};
    struct smelt_schedule *unit = test_schedule("unit");
    struct smelt_schedule *dear = NULL;
    struct test_module module;
    struct sm_policy policy;
    struct sm_instrumented out;
    assert_true(sm_buf_assign(&toml, smelt_schedule_text(unit)));
    const char *line =
        (const char *)memmem(toml.data, toml.size, "\nnop = 0\n", strlen("\nnop = 0\n"));
    assert_non_null(line);
    size_t before = (size_t)(line - (const char *)toml.data);
    test_print(&text, "%.*s\nnop = 1000000\n", 0, "");
    struct smelt_buf changed = {0};
    assert_true(sm_buf_append(&changed, toml.data, before));
    assert_true(sm_buf_append(&changed, text.data, text.size));
    assert_true(sm_buf_append(&changed, toml.data + before + strlen("\nnop = 0\n"),
                              toml.size - before - strlen("\nnop = 0\n")));
    assert_int_equal(
        smelt_schedule_parse(sm_buf_slice(&changed), &smelt_profile_engine, &dear, NULL),
        SMELT_STATUS_OK);
    text.size = 0;
    test_print(&text, "(module (func");
    for (int i = 0; i < 10000; i++) {
        test_print(&text, " nop");
    }
    test_print(&text, "))");
    test_module_from_text(&module, (const char *)text.data);
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
    assert_int_equal(sm_instrument(&module.module, &policy, &smelt_profile_engine, dear,
                                   &module.arena, &out, NULL),
                     SMELT_STATUS_OK);
    assert_true(test_tool(wasm2wat, sm_buf_slice(&out.wasm), &wat));
    assert_non_null(memmem(wat.data, wat.size, "i64.const 10000000000\n", 22));
    smelt_buf_deinit(&out.wasm);
    test_module_deinit(&module);
    smelt_schedule_destroy(unit);
    smelt_schedule_destroy(dear);
    smelt_buf_deinit(&text);
    smelt_buf_deinit(&toml);
    smelt_buf_deinit(&changed);
    smelt_buf_deinit(&wat);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct smelt_buf text = test_golden("everything.wat");
    struct smelt_schedule *schedule = test_schedule("engine-v1");
    struct test_module module;
    struct sm_policy policy;
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, false);
    test_module_from_text(&module, (const char *)text.data);
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    size_t nth = 0;
    while (status == SMELT_STATUS_NO_MEMORY) {
        struct sm_arena arena = {0};
        struct sm_instrumented out;
        size_t blocks = sm_alloc_blocks();
        sm_alloc_fail_at(++nth);
        status = sm_instrument(&module.module, &policy, &smelt_profile_engine, schedule, &arena,
                               &out, NULL);
        sm_alloc_fail_at(0);
        if (status != SMELT_STATUS_OK) {
            assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
            assert_null(out.wasm.data);
        }
        smelt_buf_deinit(&out.wasm);
        sm_arena_deinit(&arena);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_int_equal(status, SMELT_STATUS_OK);
    assert_true(nth > 5);
    test_module_deinit(&module);
    smelt_schedule_destroy(schedule);
    smelt_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_modules),
        cmocka_unit_test(test_memory_limits),
        cmocka_unit_test(test_sites),
        cmocka_unit_test(test_markers),
        cmocka_unit_test(test_no_name_survives),
        cmocka_unit_test(test_is_a_function_of_its_input),
        cmocka_unit_test(test_large_charges),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
