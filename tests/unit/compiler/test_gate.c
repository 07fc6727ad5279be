/* The gate: each limit with exactly what it allows and with one less, each rule with what it lets
 * in beside what it refuses. */
#include "tests/unit/compiler/modules.h"

#include "base/alloc.h"

#include <string.h>

#define OK     SMELT_STATUS_OK
#define IMPORT SMELT_STATUS_MODULE_IMPORT
#define EXPORT SMELT_STATUS_MODULE_EXPORT
#define FLOAT  SMELT_STATUS_MODULE_FLOAT
#define START  SMELT_STATUS_MODULE_START
#define LIMIT  SMELT_STATUS_MODULE_LIMIT

static const struct smelt_profile *engine(void)
{
    return &smelt_profile_engine;
}

static enum smelt_status check(const char *text, const struct sm_policy *policy,
                               const struct smelt_profile *profile, struct smelt_error *err)
{
    struct test_module module;
    test_module_from_text(&module, text);
    *err = (struct smelt_error){0};
    enum smelt_status status = sm_gate_check(&module.module, policy, profile, err);
    test_module_deinit(&module);
    return status;
}

/* ---- static limits --------------------------------------------------------------------------- */

#define LIMIT_ROW(name) offsetof(struct sm_policy, name)

static const struct limit_row {
    const char *name;
    size_t field;
    const char *text;
    uint32_t count; /* what the module has */
    const char *message;
    const char *section;
    int64_t func_index;
} limits[] = {
    {"functions", LIMIT_ROW(functions),
     "(module (import \"env\" \"input_len\" (func (result i32))) (func) (func))", 3,
     "functions: 3, the policy's limit is 2", "function", -1},
    {"types", LIMIT_ROW(types), "(module (type (func)) (type (func)) (type (func (param i32))))", 3,
     "types: 3, the policy's limit is 2", "type", -1},
    {"globals", LIMIT_ROW(globals),
     "(module (global i32 (i32.const 0)) (global i64 (i64.const 0)))", 2,
     "globals: 2, the policy's limit is 1", "global", -1},
    {"exports", LIMIT_ROW(exports),
     "(module (memory 1) (func (export \"a\") (export \"b\")) (export \"m\" (memory 0)))", 3,
     "exports: 3, the policy's limit is 2", "export", -1},
    {"data segments", LIMIT_ROW(segments),
     "(module (memory 1) (data (i32.const 0) \"a\") (data \"b\"))", 2,
     "data segments: 2, the policy's limit is 1", "data", -1},
    {"element segments", LIMIT_ROW(segments),
     "(module (table 1 funcref) (func) (elem (i32.const 0) 0) (elem func 0) (elem declare func 0))",
     3, "element segments: 3, the policy's limit is 2", "element", -1},
    {"table elements", LIMIT_ROW(table_elements), "(module (table 7 9 funcref))", 7,
     "initial elements of the table: 7, the policy's limit is 6", "table", -1},
    /* nop, nop, end */
    {"body bytes", LIMIT_ROW(body_bytes), "(module (func) (func (local i32) nop nop))", 3,
     "bytes of a function body: 3, the policy's limit is 2", "code", 1},
    {"locals", LIMIT_ROW(locals), "(module (func (param i32 i64) (local i32 i32 i32)))", 5,
     "parameters and locals of a function: 5, the policy's limit is 4", "code", 0},
    {"parameters", LIMIT_ROW(params), "(module (type (func (param i32 i32 i64))))", 3,
     "parameters of a function type: 3, the policy's limit is 2", "type", -1},
    {"results", LIMIT_ROW(results), "(module (type (func (result i32 i32 i64))))", 3,
     "results of a function type: 3, the policy's limit is 2", "type", -1},
    {"operands", LIMIT_ROW(operands),
     "(module (func i32.const 0 i32.const 0 i32.const 0 drop drop drop))", 3,
     "operands on the stack of a function: 3, the policy's limit is 2", "code", 0},
    /* the function's own frame counts */
    {"nesting of blocks", LIMIT_ROW(nesting), "(module (func (block (block)) (block)))", 3,
     "nested blocks of a function: 3, the policy's limit is 2", "code", 0},
    {"nesting of loops and ifs", LIMIT_ROW(nesting),
     "(module (func (loop (if (i32.const 0) (then) (else (block))))))", 4,
     "nested blocks of a function: 4, the policy's limit is 3", "code", 0},
    /* entry, and one for each of block, end, loop, end, if, else, end and the function's end */
    {"blocks by structure", LIMIT_ROW(blocks),
     "(module (func (block) (loop) (if (i32.const 0) (then) (else nop))))", 9,
     "basic blocks of a function: 9, the policy's limit is 8", "code", 0},
    /* entry, br_if, call, call_indirect, memory.grow, end */
    {"blocks by instruction", LIMIT_ROW(blocks),
     "(module (memory 1) (table 1 funcref) (func (br_if 0 (i32.const 0)) (call 0)"
     " (call_indirect (i32.const 0)) (drop (memory.grow (i32.const 0)))))",
     6, "basic blocks of a function: 6, the policy's limit is 5", "code", 0},
    /* of all br_tables together, defaults not counted */
    {"br_table labels", LIMIT_ROW(br_table_labels),
     "(module (func (block (br_table 0 0 0 0 (i32.const 0))) (br_table 0 0 (i32.const 0))))", 4,
     "br_table labels of a function: 4, the policy's limit is 3", "code", 0},
    /* 5 bytes nested 2 deep, and 2 bytes 1 deep */
    {"nested bytes", LIMIT_ROW(nested_bytes), "(module (func (block nop)) (func nop))", 12,
     "bytes of bodies times their nesting: 12, the policy's limit is 11", "code", -1},
    /* function 140, local 6, at most four slots of the stack 24, local.get 4, drop 1, end 4 */
    {"cost of a function", LIMIT_ROW(function_cost),
     "(module (func) (func (local i32) local.get 0 drop))", 179,
     "cost of compiling a function: 179, the policy's limit is 178", "code", 1},
    /* module 100000, types 10 and 13, an empty function 144, another one 140 with three values 18,
     * three slots 18, local.get 4 and end 4 */
    {"cost of the module", LIMIT_ROW(compile_cost),
     "(module (func) (func (param i32 i32) (result i32) local.get 1))", 100351,
     "cost of compiling the module: 100351, the policy's limit is 100350", "module", -1},
    /* dead code is compiled by nobody, but read by the gate: it counts */
    {"blocks in dead code", LIMIT_ROW(blocks), "(module (func unreachable (block (block))))", 6,
     "basic blocks of a function: 6, the policy's limit is 5", "code", 0},
};

static void test_each_limit_at_and_past(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const struct limit_row *row = &limits[i];
        struct sm_policy policy;
        struct smelt_error err;
        sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
        uint32_t *limit = (uint32_t *)(void *)((char *)&policy + row->field);
        *limit = row->count;
        if (check(row->text, &policy, engine(), &err) != OK) {
            fail_msg("%s at the limit: %s", row->name, err.message);
        }
        *limit = row->count - 1;
        if (check(row->text, &policy, engine(), &err) != LIMIT) {
            fail_msg("%s past the limit: accepted", row->name);
        }
        assert_string_equal(err.message, row->message);
        assert_string_equal(err.where, row->section);
        assert_int_equal(err.func_index, row->func_index);
    }
}

static void test_module_bytes(void **state)
{
    (void)state;
    struct test_module module;
    struct sm_policy policy;
    test_module_from_text(&module, "(module (func))");
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
    policy.module_bytes = (uint32_t)module.wasm.size;
    assert_int_equal(sm_gate_check(&module.module, &policy, engine(), NULL), OK);
    policy.module_bytes--;
    assert_int_equal(sm_gate_check(&module.module, &policy, engine(), NULL), LIMIT);
    test_module_deinit(&module);
}

/* The numbers are consensus: a change here is a new policy, not a correction. */
static void test_default_limits(void **state)
{
    (void)state;
    struct sm_policy policy;
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, true);
    const struct sm_policy expected = {.floats = SMELT_FLOAT_CANONICAL_NAN,
                                       .allows_any_import = true,
                                       .module_bytes = 4194304,
                                       .functions = 6000,
                                       .types = 4096,
                                       .globals = 4096,
                                       .exports = 4096,
                                       .segments = 16384,
                                       .table_elements = 65536,
                                       .body_bytes = 262144,
                                       .locals = 4096,
                                       .params = 128,
                                       .results = 32,
                                       .operands = 4096,
                                       .nesting = 250,
                                       .blocks = 32768,
                                       .br_table_labels = 8192,
                                       .nested_bytes = 268435456,
                                       .function_cost = 400000,
                                       .compile_cost = 4000000};
#define ASSERT_LIMIT(name, value, text) assert_int_equal(policy.name, expected.name);
    SM_POLICY_LIMITS(ASSERT_LIMIT)
#undef ASSERT_LIMIT
    assert_int_equal(policy.floats, SMELT_FLOAT_CANONICAL_NAN);
    assert_true(policy.allows_any_import);
}

static void test_each_field_is_in_the_digest(void **state)
{
    (void)state;
    struct sm_policy policy;
    struct smelt_hash base;
    struct smelt_hash other;
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
    sm_policy_digest(&policy, &base);
#define CHANGE_LIMIT(name, value, text)                                                            \
    policy.name++;                                                                                 \
    sm_policy_digest(&policy, &other);                                                             \
    assert_memory_not_equal(&base, &other, sizeof(base));                                          \
    policy.name--;
    SM_POLICY_LIMITS(CHANGE_LIMIT)
#undef CHANGE_LIMIT
    policy.allows_any_import = true;
    sm_policy_digest(&policy, &other);
    assert_memory_not_equal(&base, &other, sizeof(base));
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, false);
    sm_policy_digest(&policy, &other);
    assert_memory_not_equal(&base, &other, sizeof(base));
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
    sm_policy_digest(&policy, &other);
    assert_memory_equal(&base, &other, sizeof(base));
}

/* ---- rules ----------------------------------------------------------------------------------- */

#define STRICT 0u
#define FLOATS 1u /* canonical-nan */
#define ANY    2u /* allows_any_import */

static const struct rule_row {
    const char *text;
    unsigned policy;
    enum smelt_status status;
    const char *message; /* a part of it */
} rules[] = {
    {"(module)", STRICT, OK, ""},

    /* imports by name */
    {"(module (import \"env\" \"input_len\" (func (result i32))))", STRICT, OK, ""},
    {"(module (import \"env\" \"no_such\" (func)))", STRICT, IMPORT,
     "profile engine does not offer env.no_such"},
    {"(module (import \"enw\" \"input_len\" (func (result i32))))", STRICT, IMPORT,
     "profile engine does not offer enw.input_len"},
    {"(module (import \"env\" \"input_le\" (func (result i32))))", STRICT, IMPORT, "env.input_le"},
    {"(module (import \"env\" \"input_len\\00\" (func (result i32))))", STRICT, IMPORT,
     "env.input_len"},
    {"(module (import \"env\" \"\" (func)))", STRICT, IMPORT, "does not offer env."},
    {"(module (import \"\" \"\" (func)))", STRICT, IMPORT, "does not offer ."},
    {"(module (import \"env\" \"fuel_left\" (func (result i64)))"
     " (import \"env\" \"fuel_left\" (func (result i64))))",
     STRICT, OK, ""}, /* twice the same */
    {"(module (import \"env\" \"no_such\" (func)))", ANY, OK, ""},
    {"(module (import \"wasi\" \"\" (func (param i32))))", ANY, OK, ""},

    /* imports by signature */
    {"(module (import \"env\" \"storage_read\" (func (param i32 i32) (result i64))))", STRICT, OK,
     ""},
    {"(module (import \"env\" \"storage_read\" (func (param i32 i32) (result i32))))", STRICT,
     IMPORT, "profile engine wants (i32, i32) -> i64"},
    {"(module (import \"env\" \"storage_read\" (func (param i32) (result i64))))", STRICT, IMPORT,
     "env.storage_read has another signature"},
    {"(module (import \"env\" \"storage_read\" (func (param i32 i32 i32) (result i64))))", STRICT,
     IMPORT, "has another signature"},
    {"(module (import \"env\" \"storage_read\" (func (param i32 i64) (result i64))))", STRICT,
     IMPORT, "has another signature"},
    {"(module (import \"env\" \"storage_read\" (func (param i32 i32))))", STRICT, IMPORT,
     "has another signature"},
    {"(module (import \"env\" \"storage_read\" (func (param i32 i32) (result i64 i64))))", STRICT,
     IMPORT, "has another signature"},
    {"(module (import \"env\" \"storage_read\" (func (param f32 f32) (result f64))))", FLOATS,
     IMPORT, "has another signature"},
    {"(module (import \"env\" \"storage_read\" (func (param i32))))", ANY, OK, ""},
    {"(module (import \"env\" \"log_event\" (func (param i32 i32 i32 i32))))", STRICT, OK, ""},
    {"(module (import \"env\" \"log_event\" (func (param i32 i32 i32 i32) (result i32))))", STRICT,
     IMPORT, "wants (i32, i32, i32, i32)"},

    /* imports that are no functions, under any policy */
    {"(module (import \"env\" \"memory\" (memory 1)))", STRICT, IMPORT,
     "only functions can be imported; env.memory is not one"},
    {"(module (import \"env\" \"memory\" (memory 1)))", ANY, IMPORT, "only functions"},
    {"(module (import \"env\" \"table\" (table 1 funcref)))", STRICT, IMPORT, "only functions"},
    {"(module (import \"env\" \"table\" (table 1 funcref)))", ANY, IMPORT, "only functions"},
    {"(module (import \"env\" \"global\" (global i32)))", STRICT, IMPORT, "only functions"},
    {"(module (import \"env\" \"global\" (global (mut i32))))", ANY, IMPORT, "only functions"},
    {"(module (import \"env\" \"input_len\" (global i32)))", STRICT, IMPORT, "only functions"},

    /* start */
    {"(module (func) (start 0))", STRICT, START, "a start function is refused: export it as init"},
    {"(module (func) (start 0))", ANY, START, "a start function is refused"},

    /* exports that the runtime uses */
    {"(module (func (export \"allocate\") (param i32) (result i32) local.get 0))", STRICT, OK, ""},
    {"(module (func (export \"allocate\") (param i32)))", STRICT, EXPORT,
     "export allocate must be a function (i32) -> i32"},
    {"(module (func (export \"allocate\") (result i32) i32.const 0))", STRICT, EXPORT,
     "(i32) -> i32"},
    {"(module (func (export \"allocate\") (param i64) (result i32) i32.const 0))", STRICT, EXPORT,
     "(i32) -> i32"},
    {"(module (func (export \"allocate\") (param i32) (result i64) i64.const 0))", STRICT, EXPORT,
     "(i32) -> i32"},
    {"(module (func (export \"allocate\") (param i32 i32) (result i32) local.get 0))", STRICT,
     EXPORT, "(i32) -> i32"},
    {"(module (func (export \"allocate\") (param i32) (result i32 i32) local.get 0 local.get 0))",
     STRICT, EXPORT, "(i32) -> i32"},
    {"(module (global (export \"allocate\") i32 (i32.const 0)))", STRICT, EXPORT, "(i32) -> i32"},
    {"(module (memory (export \"allocate\") 1))", STRICT, EXPORT, "(i32) -> i32"},
    {"(module (func (export \"init\")))", STRICT, OK, ""},
    {"(module (func (export \"init\") (param i32)))", STRICT, EXPORT,
     "export init must be a function () -> ()"},
    {"(module (func (export \"init\") (result i32) i32.const 0))", STRICT, EXPORT, "() -> ()"},
    {"(module (table (export \"init\") 1 funcref))", STRICT, EXPORT, "() -> ()"},
    {"(module (func (export \"initial\") (param i32)) (func (export \"allocate2\")))", STRICT, OK,
     ""},

    /* floating point, wherever it may hide */
    {"(module (func (param f32)))", STRICT, FLOAT, "this function uses it"},
    {"(module (func (result f64) f64.const 0))", STRICT, FLOAT, "this function uses it"},
    {"(module (func (local f64)))", STRICT, FLOAT, "this function uses it"},
    {"(module (func (drop (f32.const 0))))", STRICT, FLOAT, "this function uses it"},
    {"(module (memory 1) (func (drop (f32.load (i32.const 0)))))", STRICT, FLOAT, "function uses"},
    {"(module (func (drop (i32.trunc_f64_s (f64.const 0)))))", STRICT, FLOAT, "function uses"},
    {"(module (func unreachable (drop (f64.add))))", STRICT, FLOAT, "function uses"}, /* dead */
    {"(module (func (block (result f32) unreachable) drop))", STRICT, FLOAT, "floating point"},
    {"(module (type (func (param f64))))", STRICT, FLOAT, "a type or global uses it"},
    {"(module (global f32 (f32.const 0)))", STRICT, FLOAT, "a type or global uses it"},
    {"(module (func (param f32) (result f64) (f64.promote_f32 (local.get 0))))", FLOATS, OK, ""},

    /* memory */
    {"(module (memory 256))", STRICT, OK, ""},
    {"(module (memory 257))", STRICT, LIMIT,
     "initial pages of the memory: 257, the policy's limit is 256"},
    {"(module (memory 1 65536))", STRICT, OK, ""}, /* a maximum is only lowered */
    {"(module (memory 65536))", ANY, OK, ""},

    /* the first broken rule in their order is the one reported */
    {"(module (import \"env\" \"no_such\" (func (param f32))) (memory 257) (func) (start 1))",
     STRICT, LIMIT, "initial pages"},
    {"(module (import \"env\" \"no_such\" (func (param f32))) (func) (start 1))", STRICT, START,
     "start"},
    {"(module (import \"env\" \"no_such\" (func (param f32))) (func (export \"init\") (param "
     "i32)))",
     STRICT, IMPORT, "does not offer"},
    {"(module (func (export \"init\") (param f32)))", STRICT, EXPORT, "init"},
};

static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        struct sm_policy policy;
        struct smelt_error err;
        sm_policy_init(&policy,
                       (rules[i].policy & FLOATS) != 0 ? SMELT_FLOAT_CANONICAL_NAN
                                                       : SMELT_FLOAT_FORBID,
                       (rules[i].policy & ANY) != 0);
        enum smelt_status status = check(rules[i].text, &policy, engine(), &err);
        if (status != rules[i].status || strstr(err.message, rules[i].message) == NULL) {
            fail_msg("%s: %s, %s", rules[i].text, smelt_status_name(status), err.message);
        }
    }
}

/* Names of the profile's choice, and none at all. */
static void test_rules_follow_the_profile(void **state)
{
    (void)state;
    struct smelt_profile profile = smelt_profile_engine;
    struct sm_policy policy;
    struct smelt_error err;
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
    profile.allocate_export = NULL;
    profile.init_export = NULL;
    profile.memory_pages_max = 2;
    assert_int_equal(check("(module (func (export \"init\") (param i32))"
                           " (func (export \"allocate\") (result i64) i64.const 0))",
                           &policy, &profile, &err),
                     OK);
    assert_int_equal(check("(module (func) (start 0))", &policy, &profile, &err), START);
    assert_non_null(strstr(err.message, "export it as a function instead"));
    assert_int_equal(check("(module (memory 2))", &policy, &profile, &err), OK);
    assert_int_equal(check("(module (memory 3))", &policy, &profile, &err), LIMIT);
    profile.init_export = "begin";
    assert_int_equal(
        check("(module (func (export \"begin\") (param i32)))", &policy, &profile, &err), EXPORT);
}

/* ---- the return page ------------------------------------------------------------------------- */

#define READ "(import \"env\" \"storage_read\" (func (param i32 i32) (result i64)))"

static const struct page_row {
    const char *text;
    bool is_needed;
    enum smelt_status status;
} pages[] = {
    {"(module " READ " (memory 1))", true, OK},
    {"(module " READ " (memory 1 2))", true, OK},
    {"(module " READ " (memory 1 1))", true, LIMIT},
    {"(module " READ " (memory 0 0))", true, LIMIT},
    {"(module " READ " (memory 255))", true, OK},
    {"(module " READ " (memory 256))", true, LIMIT},
    {"(module " READ ")", false, OK},
    {"(module (memory 256))", false, OK},
    {"(module (import \"env\" \"storage_write\" (func (param i32 i32 i32 i32) (result i32)))"
     " (memory 1 1))",
     false, OK}, /* places nothing */
    {"(module " READ " (memory 1 1)"
     " (func (export \"allocate\") (param i32) (result i32) local.get 0))",
     false, OK},
    {"(module " READ " (memory 1 1) (func (export \"allocat\")))", true, LIMIT},
};

static void test_return_page(void **state)
{
    (void)state;
    struct smelt_profile without = smelt_profile_engine;
    without.has_return_page = false;
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        struct test_module module;
        struct sm_policy policy;
        struct smelt_error err = {0};
        sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
        test_module_from_text(&module, pages[i].text);
        assert_int_equal(sm_gate_needs_return_page(&module.module, engine()), pages[i].is_needed);
        if (sm_gate_check(&module.module, &policy, engine(), &err) != pages[i].status) {
            fail_msg("%s: %s", pages[i].text, err.message);
        }
        if (pages[i].status == LIMIT) {
            assert_non_null(strstr(err.message, "no room for the return page"));
            assert_non_null(strstr(err.message, "export allocate"));
        }
        assert_false(sm_gate_needs_return_page(&module.module, &without));
        assert_int_equal(sm_gate_check(&module.module, &policy, &without, &err), OK);
        test_module_deinit(&module);
    }
}

/* ---- purity ---------------------------------------------------------------------------------- */

/* The verdict may not hang on memory: the gate takes none. */
static void test_needs_no_memory(void **state)
{
    (void)state;
    struct test_module module;
    struct sm_policy policy;
    test_module_from_text(&module,
                          "(module " READ " (memory 1) (func (export \"init\") (call 1)))");
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
    sm_alloc_fail_at(1);
    enum smelt_status first = sm_gate_check(&module.module, &policy, engine(), NULL);
    enum smelt_status second = sm_gate_check(&module.module, &policy, engine(), NULL);
    sm_alloc_fail_at(0);
    assert_int_equal(first, OK);
    assert_int_equal(second, OK);
    test_module_deinit(&module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_limit_at_and_past),
        cmocka_unit_test(test_module_bytes),
        cmocka_unit_test(test_default_limits),
        cmocka_unit_test(test_each_field_is_in_the_digest),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_rules_follow_the_profile),
        cmocka_unit_test(test_return_page),
        cmocka_unit_test(test_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
