/* The gate: each limit with exactly what it allows and with one less, each rule with what it lets
 * in beside what it refuses. */
#include "tests/unit/compiler/modules.h"

#include "base/alloc.h"

#include <stdio.h>
#include <string.h>

#define OK      SMELT_STATUS_OK
#define IMPORT  SMELT_STATUS_MODULE_IMPORT
#define EXPORT  SMELT_STATUS_MODULE_EXPORT
#define FLOAT   SMELT_STATUS_MODULE_FLOAT
#define START   SMELT_STATUS_MODULE_START
#define FEATURE SMELT_STATUS_MODULE_FEATURE
#define LIMIT   SMELT_STATUS_MODULE_LIMIT

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
    /* in bytes, of the longest */
    {"names", LIMIT_ROW(name_bytes),
     "(module (func (export \"\") (export \"a\\c3\\a4\") (export \"bc\")))", 3,
     "bytes of an export's name: 3, the policy's limit is 2", "export", -1},
    {"initial pages", LIMIT_ROW(memory_initial_pages), "(module (memory 3 4))", 3,
     "initial pages of the memory: 3, the policy's limit is 2", "memory", -1},
    {"pages", LIMIT_ROW(memory_pages), "(module (memory 3 9))", 3,
     "initial pages of the memory: 3, the policy's limit is 2", "memory", -1},
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
    /* function 110, local 6, at most four slots of the stack 24, local.get 4, drop 1, end 4 */
    {"cost of a function", LIMIT_ROW(function_cost),
     "(module (func) (func (local i32) local.get 0 drop))", 149,
     "cost of compiling a function: 149, the policy's limit is 148", "code", 1},
    /* module 100000, types 10 and 13, an empty function 114, another one 110 with three values 18,
     * three slots 18, local.get 4 and end 4 */
    {"cost of the module", LIMIT_ROW(compile_cost),
     "(module (func) (func (param i32 i32) (result i32) local.get 1))", 100291,
     "cost of compiling the module: 100291, the policy's limit is 100290", "module", -1},
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

/* ---- features -------------------------------------------------------------------------------- */

#define FEATURE_FIELD(name) offsetof(struct sm_policy, features.name)
#define EXPORT_FIELD(name)  offsetof(struct sm_policy, may_export.name)

/* Refused without the feature, accepted with it and no other. */
static const struct feature_row {
    size_t field;
    const char *text;
    const char *message; /* how it starts */
    const char *section;
    int64_t func_index;
} features[] = {
#define EXTEND(op, type)                                                                           \
    {FEATURE_FIELD(sign_extension), "(module (func) (func (drop (" op " (" type ".const 0)))))",   \
     op, "code", 1},
    EXTEND("i32.extend8_s", "i32") EXTEND("i32.extend16_s", "i32") EXTEND(
        "i64.extend8_s", "i64") EXTEND("i64.extend16_s", "i64") EXTEND("i64.extend32_s", "i64")
#undef EXTEND
#define TRUNC_SAT(op, type)                                                                        \
    {FEATURE_FIELD(saturating_conversion), "(module (func (drop (" op " (" type ".const 0)))))",   \
     op, "code", 0},
        TRUNC_SAT("i32.trunc_sat_f32_s", "f32") TRUNC_SAT("i32.trunc_sat_f32_u", "f32")
            TRUNC_SAT("i32.trunc_sat_f64_s", "f64") TRUNC_SAT("i32.trunc_sat_f64_u", "f64")
                TRUNC_SAT("i64.trunc_sat_f32_s", "f32") TRUNC_SAT("i64.trunc_sat_f32_u", "f32")
                    TRUNC_SAT("i64.trunc_sat_f64_s", "f64") TRUNC_SAT("i64.trunc_sat_f64_u", "f64")
#undef TRUNC_SAT
                        {FEATURE_FIELD(multi_value), "(module (type (func (result i32 i32))))",
                         "a function type with several results", "type", -1},
    {FEATURE_FIELD(multi_value), "(module (func (i32.const 0) (block (param i32) (drop))))",
     "block", "code", 0},
    {FEATURE_FIELD(multi_value), "(module (func (i32.const 0) (loop (param i32) (drop))))", "loop",
     "code", 0},
    {FEATURE_FIELD(multi_value),
     "(module (func (i32.const 0) (i32.const 0) (if (param i32) (then (drop)) (else (drop)))))",
     "if", "code", 0},
    {FEATURE_FIELD(bulk_memory),
     "(module (memory 1) (func (memory.copy (i32.const 0) (i32.const 0) (i32.const 0))))",
     "memory.copy", "code", 0},
    {FEATURE_FIELD(bulk_memory),
     "(module (memory 1) (func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0))))",
     "memory.fill", "code", 0},
    {FEATURE_FIELD(bulk_memory),
     "(module (memory 1) (data (i32.const 0) \"a\")"
     " (func (memory.init 0 (i32.const 0) (i32.const 0) (i32.const 0))))",
     "a data count section", "data count", -1},
    {FEATURE_FIELD(bulk_memory), "(module (memory 1) (data \"a\"))", "a passive segment", "data",
     -1},
    {FEATURE_FIELD(bulk_memory), "(module (func) (table 1 funcref) (elem func 0))",
     "a passive segment", "element", -1},
    {FEATURE_FIELD(bulk_memory),
     "(module (table 1 funcref) (func (table.copy (i32.const 0) (i32.const 0) (i32.const 0))))",
     "table.copy", "code", 0},
    {FEATURE_FIELD(bulk_memory),
     "(module (table 1 funcref) (func) (elem (i32.const 0) func 0)"
     " (func (table.init 0 (i32.const 0) (i32.const 0) (i32.const 0))))",
     "table.init", "code", 1},
    {FEATURE_FIELD(bulk_memory),
     "(module (table 1 funcref) (func) (elem (i32.const 0) func 0) (func (elem.drop 0)))",
     "elem.drop", "code", 1},
    {FEATURE_FIELD(reference_types),
     "(module (func (drop (select (result i32) (i32.const 0) (i32.const 0) (i32.const 0)))))",
     "select_t", "code", 0},
    {FEATURE_FIELD(reference_types), "(module (func) (elem declare func 0))", "a declared segment",
     "element", -1},
    {FEATURE_FIELD(reference_types),
     "(module (table 1 funcref) (elem (i32.const 0) funcref (ref.null func)))", "a null element",
     "element", -1},
    /* in dead code too */
    {FEATURE_FIELD(sign_extension),
     "(module (func unreachable (drop (i32.extend8_s (i32.const 0)))))", "i32.extend8_s", "code",
     0},
};

static void test_each_feature_off_and_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        const struct feature_row *row = &features[i];
        struct sm_policy policy;
        struct smelt_error err;
        bool *field = (bool *)(void *)((char *)&policy + row->field);
        sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, false);
        *field = false;
        if (check(row->text, &policy, engine(), &err) != FEATURE) {
            fail_msg("%s without its feature: %s", row->text, err.message);
        }
        size_t size = strlen(row->message);
        assert_memory_equal(err.message, row->message, size);
        assert_string_equal(err.where, row->section);
        assert_int_equal(err.func_index, row->func_index);
        assert_true(err.offset > 0 || strcmp(row->section, "type") == 0 ||
                    strcmp(row->section, "data count") == 0);
        memset(&policy.features, 0, sizeof(policy.features));
        *field = true;
        if (check(row->text, &policy, engine(), &err) != OK) {
            fail_msg("%s with its feature alone: %s", row->text, err.message);
        }
    }
}

/* What WebAssembly 1.0 has passes without any of them. */
static void test_no_feature_at_all(void **state)
{
    (void)state;
    struct sm_policy policy;
    struct smelt_error err;
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, false);
    memset(&policy.features, 0, sizeof(policy.features));
    if (check("(module (type $t (func (param i32) (result i32))) (table 2 funcref) (memory 1 2)"
              " (global $g (mut i64) (i64.const 1)) (data (i32.const 0) \"a\")"
              " (elem (i32.const 0) func $f $f)"
              " (func $f (type $t) (block (result i32) (loop (result i32)"
              "   (if (result i32) (local.get 0) (then (i32.const 1)) (else (i32.const 2)))))"
              "  (drop (select (i32.const 0) (i32.const 1) (i32.const 2)))"
              "  (drop (i32.trunc_f32_s (f32.const 1)))"
              "  (call_indirect (type $t) (i32.const 1))))",
              &policy, engine(), &err) != OK) {
        fail_msg("%s", err.message);
    }
}

/* The offset is the instruction's own. */
static void test_a_feature_is_refused_where_it_is_used(void **state)
{
    (void)state;
    struct test_module module;
    struct sm_policy policy;
    struct smelt_error err = {0};
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
    policy.features.sign_extension = false;
    test_module_from_text(&module,
                          "(module (func) (func nop (drop (i64.extend8_s (i64.const 0)))))");
    assert_int_equal(sm_gate_check(&module.module, &policy, engine(), &err), FEATURE);
    assert_string_equal(err.message,
                        "i64.extend8_s: the policy switches the feature sign_extension off");
    assert_int_equal(module.module.bytes.data[err.offset], 0xc2);
    assert_int_equal(err.offset, module.module.funcs[1].code_offset + 3);
    test_module_deinit(&module);
}

/* ---- exports --------------------------------------------------------------------------------- */

static void test_each_kind_of_export(void **state)
{
    (void)state;
    static const struct {
        size_t field;
        const char *text;
        const char *message;
    } rows[] = {
        {EXPORT_FIELD(memory), "(module (memory (export \"m\") 1))",
         "export m: the policy forbids exporting the memory"},
        {EXPORT_FIELD(table), "(module (table (export \"t\") 1 funcref))",
         "export t: the policy forbids exporting the table"},
        {EXPORT_FIELD(globals), "(module (global (export \"g\") i32 (i32.const 0)))",
         "export g: the policy forbids exporting immutable globals"},
        {EXPORT_FIELD(mutable_globals), "(module (global (export \"g\") (mut i32) (i32.const 0)))",
         "export g: the policy forbids exporting mutable globals"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sm_policy policy;
        struct smelt_error err;
        bool *field = (bool *)(void *)((char *)&policy + rows[i].field);
        sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
        *field = false;
        assert_int_equal(check(rows[i].text, &policy, engine(), &err), EXPORT);
        assert_string_equal(err.message, rows[i].message);
        assert_string_equal(err.where, "export");
        assert_true(err.offset > 0);
        memset(&policy.may_export, 0, sizeof(policy.may_export));
        *field = true;
        assert_int_equal(check(rows[i].text, &policy, engine(), &err), OK);
    }
    struct sm_policy nothing;
    struct smelt_error err;
    sm_policy_init(&nothing, SMELT_FLOAT_FORBID, false);
    memset(&nothing.may_export, 0, sizeof(nothing.may_export));
    assert_int_equal(check("(module (memory 1) (table 1 funcref) (global i32 (i32.const 0))"
                           " (func (export \"f\")))",
                           &nothing, engine(), &err),
                     OK);
}

static void test_names_of_exports(void **state)
{
    (void)state;
    static const struct {
        const char *name; /* as in the text format */
        bool is_ascii;
    } rows[] = {
        {"a", true},         {" ~", true},
        {"a.b-c*/", true},   {"", false},
        {"\\00", false},     {"a\\1f", false},
        {"a\\7f", false},    {"a\\n", false},
        {"\\c3\\a4", false}, {"a\\e2\\80\\ae", false},
        {"\\c2\\85", false}, {"\\22", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sm_policy policy;
        struct smelt_error err;
        char text[128];
        (void)snprintf(text, sizeof(text), "(module (func (export \"%s\")))", rows[i].name);
        sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
        assert_int_equal(check(text, &policy, engine(), &err), OK);
        policy.names = SM_POLICY_NAMES_PRINTABLE_ASCII;
        enum smelt_status status = check(text, &policy, engine(), &err);
        if (status != (rows[i].is_ascii ? OK : EXPORT)) {
            fail_msg("%s: %s", text, smelt_status_name(status));
        }
        assert_true(rows[i].is_ascii || strstr(err.message, "printable ASCII") != NULL);
    }
}

/* Each rule that is broken is reported until it is switched off; then the next one is. */
static void test_order_of_the_policys_rules(void **state)
{
    (void)state;
    const char *text =
        "(module (memory (export \"\\c3\\a4\") 1) (func (export \"init\") (param f32)"
        "  (drop (i32.extend8_s (i32.const 0))) nop))";
    struct smelt_profile profile = smelt_profile_engine;
    struct sm_policy policy;
    struct smelt_error err;
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
    policy.name_bytes = 3;
    policy.may_export.memory = false;
    policy.names = SM_POLICY_NAMES_PRINTABLE_ASCII;
    policy.features.sign_extension = false;
    policy.body_bytes = 1;
    policy.nested_bytes = 1;
#define NEXT(status, part)                                                                         \
    assert_int_equal(check(text, &policy, &profile, &err), status);                                \
    assert_non_null(strstr(err.message, part))
    NEXT(LIMIT, "bytes of an export's name: 4");
    policy.name_bytes = 4;
    NEXT(EXPORT, "forbids exporting the memory");
    policy.may_export.memory = true;
    NEXT(EXPORT, "printable ASCII");
    policy.names = SM_POLICY_NAMES_UTF8;
    NEXT(EXPORT, "() -> ()");
    profile.init_export = NULL;
    NEXT(FEATURE, "sign_extension");
    policy.features.sign_extension = true;
    NEXT(FLOAT, "floating point");
    policy.floats = SMELT_FLOAT_CANONICAL_NAN;
    NEXT(LIMIT, "bytes of a function body");
    policy.body_bytes = 100;
    NEXT(LIMIT, "bytes of bodies times their nesting");
    policy.nested_bytes = 100;
    assert_int_equal(check(text, &policy, &profile, &err), OK);
#undef NEXT
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* The lower of profile and policy; for modules of other hosts the policy's alone. */
static void test_pages(void **state)
{
    (void)state;
    struct sm_policy policy;
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
    assert_int_equal(sm_gate_memory_pages_max(&policy, engine()), engine()->memory_pages_max);
    policy.memory_pages = engine()->memory_pages_max - 1;
    assert_int_equal(sm_gate_memory_pages_max(&policy, engine()), engine()->memory_pages_max - 1);
    policy.memory_pages = engine()->memory_pages_max + 1;
    assert_int_equal(sm_gate_memory_pages_max(&policy, engine()), engine()->memory_pages_max);
    policy.allows_any_import = true;
    assert_int_equal(sm_gate_memory_pages_max(&policy, engine()), engine()->memory_pages_max + 1);
    policy.memory_pages = 0;
    assert_int_equal(sm_gate_memory_pages_max(&policy, engine()), 0);
}

/* ---- ceilings -------------------------------------------------------------------------------- */

/* A policy file may not promise what the decoder refuses. */
static void test_ceilings_are_the_decoders(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t most;
    } rows[] = {
#define CEILING(name, most, text) {#name, most},
        SM_POLICY_LIMITS(CEILING)
#undef CEILING
    };
    static const struct {
        const char *name;
        uint32_t most;
    } decoder[] = {
        {"functions", SM_WASM_FUNCS_MAX},   {"types", SM_WASM_TYPES_MAX},
        {"globals", SM_WASM_GLOBALS_MAX},   {"exports", SM_WASM_EXPORTS_MAX},
        {"segments", SM_WASM_SEGMENTS_MAX}, {"params", SM_WASM_PARAMS_MAX},
        {"results", SM_WASM_PARAMS_MAX},    {"locals", SM_WASM_LOCALS_MAX},
        {"operands", SM_WASM_HEIGHT_MAX},
    };
    for (size_t i = 0; i < sizeof(decoder) / sizeof(decoder[0]); i++) {
        size_t k = 0;
        while (strcmp(rows[k].name, decoder[i].name) != 0) {
            k++;
        }
        assert_int_equal(rows[k].most, decoder[i].most);
    }
    assert_int_equal(SM_POLICY_PAGES_MAX, SM_WASM_MEMORY_PAGES_MAX);
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
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_each_feature_off_and_alone),
        cmocka_unit_test(test_no_feature_at_all),
        cmocka_unit_test(test_a_feature_is_refused_where_it_is_used),
        cmocka_unit_test(test_each_kind_of_export),
        cmocka_unit_test(test_names_of_exports),
        cmocka_unit_test(test_order_of_the_policys_rules),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_ceilings_are_the_decoders),
        cmocka_unit_test(test_rules_follow_the_profile),
        cmocka_unit_test(test_return_page),
        cmocka_unit_test(test_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
