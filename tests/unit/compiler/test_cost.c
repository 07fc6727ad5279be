/* What compiling costs: sums by hand, what a few bytes make many of, and the tables of
 * docs/limits.md. */
#include "tests/unit/compiler/modules.h"

#include "compiler/instrument/cost.h"
#include "compiler/lower/lower.h"
#include "compiler/wasm/opcode.h"
#include "hostabi/policy.h"
#include "tests/support/files.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define EMPTY 114u /* a function and its end */

/* Costs decide what is let in. After a release, whoever changes a row below makes nodes disagree
 * unless the rules get another number, which sets states apart. */
static_assert(SM_RULES_VERSION == 1, "costs of rules 1");

static const struct cost_row {
    const char *name;
    const char *text; /* its last function counts */
    uint64_t cost;
} rows[] = {
    {"empty", "(module (func))", EMPTY},
    {"parameters and results", "(module (func (param i32 i64) (result i32) i32.const 0))",
     EMPTY + 3 * 6 + 3 * 6 + 4},
    {"locals", "(module (func (local i32 i32 i64)))", EMPTY + 3 * 6},
    {"many locals in a run", "(module (func (local i32 i32 i32 i32 i32 i32 i32 i32)))",
     EMPTY + 8 * 6},
    {"value stack, at most a slot for each byte", "(module (func i32.const 0 drop))",
     EMPTY + 4 * 6 + 4 + 1},
    {"import", "(module (import \"a\" \"b\" (func (param i32) (result i32))))", 400 + 2 * 40},
    {"call", "(module (func (param i32)) (func i32.const 0 call 0))", EMPTY + 4 * 6 + 4 + 36 + 4},
    {"call with several results",
     "(module (func $g (result i32 i32) call $g) (func call $g drop drop))",
     EMPTY + 5 * 6 + 36 + 2 * 6 + 2},
    {"indirect call", "(module (table 1 funcref) (func i32.const 0 call_indirect))",
     EMPTY + 4 * 6 + 4 + 150},
    {"signed division", "(module (func i32.const 0 i32.const 0 i32.div_s drop))",
     EMPTY + 7 * 6 + 8 + 68 + 1},
    {"load", "(module (memory 1) (func i32.const 0 i32.load drop))", EMPTY + 4 * 6 + 4 + 40 + 1},
    {"canonical NaN", "(module (func f32.const 0 f32.sqrt drop))", EMPTY + 4 * 6 + 16 + 50 + 1},
    {"branch without values", "(module (func (block br 0)))", EMPTY + 4 + 4 + 9},
    {"branch with values",
     "(module (func (block (result i32 i32) i32.const 0 i32.const 0 br 0) drop drop))",
     EMPTY + 8 * 6 + 4 + 4 + 9 + 2 * 4 + 2 * 4 + 2},
    {"branch to a loop carries its parameters",
     "(module (func i32.const 0 i32.const 0 (loop (param i32 i32) br 0)))",
     EMPTY + 8 * 6 + 30 + 4 + 9 + 2 * 4 + 2 * 4},
    {"labels", "(module (func (block i32.const 0 br_table 0 0 0)))",
     EMPTY + 4 * 6 + 4 + 4 + 4 + 20 + 3 * 4},
    {"labels with values",
     "(module (func (block (result i32) i32.const 0 i32.const 0 br_table 0 0 0) drop))",
     EMPTY + 8 * 6 + 4 + 4 + 8 + 20 + 3 * (4 + 4) + 1},
};

static void test_functions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct test_module module;
        test_module_from_text(&module, rows[i].text);
        uint64_t cost = sm_cost_of_function(&module.module, module.module.func_count - 1);
        if (cost != rows[i].cost) {
            fail_msg("%s: %ju, not %ju", rows[i].name, (uintmax_t)cost, (uintmax_t)rows[i].cost);
        }
        test_module_deinit(&module);
    }
}

static const struct cost_row surroundings[] = {
    {"nothing", "(module)", 100000},
    {"type", "(module (type (func (param i32 i32) (result i64))))", 100000 + 10 + 3},
    {"global", "(module (global i32 (i32.const 0)))", 100000 + 25},
    {"export", "(module (func (export \"12345678\") (param i32)))", 100000 + 11 + 300 + 2 + 40},
    {"export of a memory", "(module (memory (export \"m\") 1))", 100000 + 300},
    {"data", "(module (memory 1) (data (i32.const 0) \"12345678\"))", 100000 + 40 + 2},
    {"elements", "(module (table 1 funcref) (func) (elem func 0 0 0))", 100000 + 10 + 40 + 33},
    {"names of imports", "(module (import \"1234\" \"5678\" (func)))", 100000 + 10 + 2},
};

static void test_surroundings(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(surroundings) / sizeof(surroundings[0]); i++) {
        struct test_module module;
        test_module_from_text(&module, surroundings[i].text);
        uint64_t cost = sm_cost_of_surroundings(&module.module);
        uint64_t functions = 0;
        if (cost != surroundings[i].cost) {
            fail_msg("%s: %ju, not %ju", surroundings[i].name, (uintmax_t)cost,
                     (uintmax_t)surroundings[i].cost);
        }
        for (uint32_t k = 0; k < module.module.func_count; k++) {
            functions += sm_cost_of_function(&module.module, k);
        }
        assert_int_equal(sm_cost_of_module(&module.module), cost + functions);
        test_module_deinit(&module);
    }
}

/* Functions of 4000 locals cost 24114 each: 41 of them are a unit. */
static void test_units(void **state)
{
    (void)state;
    enum { FUNCTIONS = 120, LOCALS = 4000 };
    static char text[FUNCTIONS * (LOCALS * 4 + 32) + 16];
    size_t used = (size_t)snprintf(text, sizeof(text), "(module");
    for (int i = 0; i < FUNCTIONS; i++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "(func (local");
        for (int k = 0; k < LOCALS; k++) {
            used += (size_t)snprintf(text + used, sizeof(text) - used, " i32");
        }
        used += (size_t)snprintf(text + used, sizeof(text) - used, "))");
    }
    (void)snprintf(text + used, sizeof(text) - used, ")");
    struct test_module module;
    test_module_from_text(&module, text);
    assert_int_equal(sm_cost_of_function(&module.module, 0), EMPTY + 6 * LOCALS);
    assert_int_equal(sm_lower_unit_count(&module.module), 1 + 3);
    test_module_deinit(&module);
    test_module_from_text(&module, "(module (func))");
    assert_int_equal(sm_lower_unit_count(&module.module), 1);
    test_module_deinit(&module);
}

/* ---- docs/limits.md -------------------------------------------------------------------------- */

#define WEIGHT_MAX 1000u

/* The tables of the document are these, to the letter: on a failure, copy them from its message. */
static void the_document_has_the_weights(void **state)
{
    (void)state;
    struct smelt_buf tables = {0};
    struct smelt_buf document = test_file_read(test_path(SMELT_TEST_SOURCE_DIR, "docs/limits.md"));
    uint32_t listed = 0;
    assert_true(sm_buf_printf(&tables, "| weight | instructions |\n|---|---|\n"));
    for (uint32_t weight = 0; weight <= WEIGHT_MAX; weight++) {
        const char *before = NULL;
        for (int op = 0; op < SM_OP_COUNT; op++) {
            if (sm_cost_of_operator((enum sm_wasm_op)op) == weight) {
                assert_true(before != NULL ? sm_buf_printf(&tables, ", `%s`", sm_wasm_ops[op].text)
                                           : sm_buf_printf(&tables, "| %u | `%s`", weight,
                                                           sm_wasm_ops[op].text));
                before = sm_wasm_ops[op].text;
                listed++;
            }
        }
        assert_true(before == NULL || sm_buf_printf(&tables, " |\n"));
    }
    assert_int_equal(listed, SM_OP_COUNT);
    size_t instructions = tables.size;
    assert_true(sm_buf_printf(&tables, "| number | of |\n|---|---|\n"));
    for (size_t i = 0; i < sm_cost_row_count; i++) {
        assert_true(
            sm_buf_printf(&tables, "| %u | %s |\n", sm_cost_rows[i].weight, sm_cost_rows[i].text));
    }
    if (memmem(document.data, document.size, tables.data, instructions) == NULL ||
        memmem(document.data, document.size, tables.data + instructions,
               tables.size - instructions) == NULL) {
        (void)fprintf(stderr, "%.*s", (int)tables.size, (const char *)tables.data);
        fail_msg("docs/limits.md should have the tables above");
    }
    smelt_buf_deinit(&tables);
    smelt_buf_deinit(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_functions),
        cmocka_unit_test(test_surroundings),
        cmocka_unit_test(test_units),
        cmocka_unit_test(the_document_has_the_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
