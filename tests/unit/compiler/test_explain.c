/* Basic blocks as --explain-fuel tells them: each rule of docs/fuel.md, F1 to F8, by example. */
#include "compiler/instrument/explain.h"

#include "base/alloc.h"
#include "tests/unit/compiler/modules.h"

#include <string.h>

struct visit {
    struct smelt_buf text;
    unsigned functions;
    enum smelt_status answer; /* of the visitor */
};

/* "instructions/charge" per block, "!" when checked, "+" per extra; functions end with ";". */
static enum smelt_status visit(void *context, const struct smelt_fuel_func *func)
{
    struct visit *visit = (struct visit *)context;
    uint32_t behind = 0;
    uint64_t instructions = 0;
    uint64_t charge = 0;
    for (uint32_t i = 0; i < func->block_count; i++) {
        const struct smelt_fuel_block *block = &func->blocks[i];
        assert_true(block->offset >= behind && block->end > block->offset);
        behind = block->end;
        instructions += block->instruction_count;
        charge += block->charge;
        test_print(&visit->text, "%s%u/%u%s", i == 0 ? "" : " ", block->instruction_count,
                   (unsigned)block->charge, block->is_checked ? "!" : "");
        for (uint32_t k = 0; k < block->extra_count; k++) {
            assert_true(block->extras[k].offset >= block->offset &&
                        block->extras[k].offset < block->end);
            test_print(&visit->text, "+");
        }
    }
    assert_int_equal(func->instruction_count, instructions);
    assert_int_equal(func->charge, charge);
    test_print(&visit->text, ";");
    visit->functions++;
    return visit->answer;
}

static void test_blocks(void **state)
{
    (void)state;
    static const struct {
        const char *body, *blocks;
    } rows[] = {
        {"", "1/0!;"},
        {"(nop)", "2/0!;"},
        {"(unreachable)", "1/1!;"},
        {"(return) (drop (i32.const 1))", "1/1!;"},
        /* a block is a start only behind its end, and only for a live branch */
        {"(block (nop)) (nop)", "5/0!;"},
        {"(block (br 0)) (nop)", "2/1! 2/0;"},
        {"(block (br 0) (br 0) (br 1)) (nop)", "2/1! 2/0;"},
        {"(block (return) (br 0)) (nop)", "2/1!;"},
        {"(block (block (br 1)) (br 0)) (nop)", "3/1! 2/0;"},
        {"(block (br_if 0 (i32.const 1))) (nop)", "3/2! 1/0 2/0;"},
        {"(block (block (block (br_table 0 2 (i32.const 1))) (nop)) (nop)) (nop)", "5/2! 4/0 2/0;"},
        {"(block (br 1)) (nop)", "2/1!;"},
        /* loops */
        {"(loop)", "1/0! 2/0!;"},
        {"(loop (br 0))", "1/0! 1/1!;"},
        {"(loop (br_if 0 (i32.const 1)) (nop))", "1/0! 2/2! 3/0;"},
        {"(return) (loop (br 0))", "1/1!;"},
        /* ifs */
        {"(if (i32.const 1) (then))", "2/2! 1/0 1/0;"},
        {"(if (i32.const 1) (then (nop)) (else (nop) (nop)))", "2/2! 2/0 3/0 1/0;"},
        {"(if (i32.const 1) (then (return)) (else (nop)))", "2/2! 1/1 2/0 1/0;"},
        {"(if (i32.const 1) (then (nop)) (else (return)))", "2/2! 2/0 1/1 1/0;"},
        {"(if (i32.const 1) (then (return)) (else (return)))", "2/2! 1/1 1/1;"},
        {"(if (i32.const 1) (then (return)))", "2/2! 1/1 1/0;"},
        {"(if (i32.const 1) (then (br 0)) (else (return)))", "2/2! 1/1 1/1 1/0;"},
        /* calls and growth */
        {"(call $f) (nop)", "1/1! 2/0;"},
        {"(call $host) (nop)", "1/1!+ 2/0;"},
        {"(call_indirect (i32.const 0)) (nop)", "2/2! 2/0;"},
        {"(drop (memory.grow (i32.const 1)))", "2/2!+ 2/1;"},
        {"(memory.copy (i32.const 1) (i32.const 1) (i32.const 1)) (nop)", "6/4!+;"},
        {"(memory.fill (i32.const 1) (i32.const 1) (i32.const 1))"
         "(memory.fill (i32.const 1) (i32.const 1) (i32.const 1))",
         "9/8!++;"},
        {"(return) (call $host)", "1/1!;"},
    };
    struct smelt_schedule *schedule = test_schedule("engine-v1"); /* structure and nop are free */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct test_module module;
        struct smelt_buf text = {0};
        struct visit seen = {.answer = SMELT_STATUS_OK};
        test_print(&text,
                   "(module (import \"env\" \"log\" (func $host)) (memory 1) (table 1 funcref)"
                   " (func $f) (func %s))",
                   rows[i].body);
        test_module_from_text(&module, (const char *)text.data);
        assert_int_equal(
            sm_explain_fuel(&module.module, &smelt_profile_engine, schedule, visit, &seen, NULL),
            SMELT_STATUS_OK);
        assert_int_equal(seen.functions, 2);
        assert_string_equal(strchr((const char *)seen.text.data, ';') + 1, rows[i].blocks);
        smelt_buf_deinit(&seen.text);
        smelt_buf_deinit(&text);
        test_module_deinit(&module);
    }
    smelt_schedule_destroy(schedule);
}

static enum smelt_status check_extras(void *context, const struct smelt_fuel_func *func)
{
    *(unsigned *)context += func->block_count;
    assert_true(sm_slice_equal_text(func->name, "f"));
    assert_int_equal(func->block_count, 2);
    assert_int_equal(func->blocks[0].extra_count, 2);
    const struct smelt_fuel_extra *copy = &func->blocks[0].extras[0];
    const struct smelt_fuel_extra *host = &func->blocks[0].extras[1];
    assert_int_equal(copy->kind, SMELT_FUEL_EXTRA_DYNAMIC);
    assert_string_equal(copy->instruction, "memory.copy");
    assert_int_equal(copy->per_unit, 1);
    assert_int_equal(copy->unit, 8);
    assert_int_equal(host->kind, SMELT_FUEL_EXTRA_HOST);
    assert_string_equal(host->instruction, "call");
    assert_true(sm_slice_equal_text(host->module, "env"));
    assert_true(sm_slice_equal_text(host->name, "storage_read"));
    assert_int_equal(host->base, 200);
    assert_int_equal(host->per_unit, 1);
    assert_int_equal(host->unit, 1);
    return SMELT_STATUS_OK;
}

static void test_extras(void **state)
{
    (void)state;
    struct smelt_schedule *schedule = test_schedule("engine-v1");
    struct test_module module;
    unsigned blocks = 0;
    test_module_from_text(
        &module,
        "(module (import \"env\" \"storage_read\" (func (param i32 i32) (result i64))) (memory 1)"
        " (func (export \"f\") (memory.copy (i32.const 0) (i32.const 0) (i32.const 0))"
        "  (drop (call 0 (i32.const 0) (i32.const 0)))))");
    assert_int_equal(sm_explain_fuel(&module.module, &smelt_profile_engine, schedule, check_extras,
                                     &blocks, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(blocks, 2);
    test_module_deinit(&module);
    smelt_schedule_destroy(schedule);
}

static void test_visitor_stops(void **state)
{
    (void)state;
    struct smelt_schedule *schedule = test_schedule("unit");
    struct test_module module;
    struct visit seen = {.answer = SMELT_STATUS_READ_ONLY};
    test_module_from_text(&module, "(module (func) (func))");
    assert_int_equal(
        sm_explain_fuel(&module.module, &smelt_profile_engine, schedule, visit, &seen, NULL),
        SMELT_STATUS_READ_ONLY);
    assert_int_equal(seen.functions, 1);
    smelt_buf_deinit(&seen.text);
    test_module_deinit(&module);
    smelt_schedule_destroy(schedule);
}

static enum smelt_status count_functions(void *context, const struct smelt_fuel_func *func)
{
    (void)func;
    ++*(unsigned *)context;
    return SMELT_STATUS_OK;
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct smelt_buf text = test_golden("everything.wat");
    struct smelt_schedule *schedule = test_schedule("engine-v1");
    struct test_module module;
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    size_t nth = 0;
    unsigned functions = 0;
    test_module_from_text(&module, (const char *)text.data);
    while (status == SMELT_STATUS_NO_MEMORY) {
        size_t blocks = sm_alloc_blocks();
        functions = 0;
        sm_alloc_fail_at(++nth);
        status = sm_explain_fuel(&module.module, &smelt_profile_engine, schedule, count_functions,
                                 &functions, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_int_equal(status, SMELT_STATUS_OK);
    assert_int_equal(functions, module.module.func_count - module.module.imported_func_count);
    assert_true(nth > 1);
    test_module_deinit(&module);
    smelt_schedule_destroy(schedule);
    smelt_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_extras),
        cmocka_unit_test(test_visitor_stops),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
