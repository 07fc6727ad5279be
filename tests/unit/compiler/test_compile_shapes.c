/* Shapes of modules that ask something of every stage at once, compiled, loaded and called: those
 * without this or that section, and those as large as the policy allows. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "compiler/instrument/gate.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"
#include "tests/support/native_instance.h"

#include <stdio.h>
#include <string.h>

#define LARGE_CODE_BYTES 40000u /* more than the compiler optimises */

static char directory[PATH_MAX];
static struct native_compiler native;

static int set_up(void **state)
{
    (void)state;
    test_directory_create(directory);
    assert_int_equal(native_compiler_create(directory, NULL, &native, NULL), SMELT_STATUS_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    native_compiler_destroy(&native);
    test_directory_remove(directory);
    return 0;
}

/* Compiles and loads the text, and instantiates it when nothing but print functions is imported. */
static struct native_instance load(struct smelt_slice text)
{
    struct native_instance instance = {0};
    struct smelt_error err = {0};
    enum smelt_status status = smelt_wat_to_wasm(text, &instance.wasm, &err);
    if (status == SMELT_STATUS_OK) {
        status = native_instance_create(&native, &instance, &err);
    }
    if (status != SMELT_STATUS_OK) {
        print_error("%s: %s\n%.400s\n", smelt_status_name(status), err.message,
                    (const char *)text.data);
    }
    assert_int_equal(status, SMELT_STATUS_OK);
    return instance;
}

/* Its active segments fit. */
static struct native_instance instantiate(struct smelt_slice text)
{
    struct native_instance instance = load(text);
    assert_true(instance.is_linked);
    assert_int_equal(instance.started.end, SM_EXEC_RETURNED);
    return instance;
}

/* Export "f" with `argument`, which it may ignore; the last result. */
static uint64_t call(struct native_instance *instance, uint64_t argument)
{
    uint64_t slots[128] = {argument};
    struct sm_exec_result result;
    const struct sm_export *export_ =
        sm_exec_find_export(instance->module, smelt_slice_from_string("f"));
    assert_non_null(export_);
    native_instance_invoke(instance, export_, slots, &result);
    assert_int_equal(result.end, SM_EXEC_RETURNED);
    return slots[export_->result_count - 1];
}

static void repeat(struct smelt_buf *text, unsigned count, const char *part)
{
    for (unsigned i = 0; i < count; i++) {
        assert_true(sm_buf_printf(text, "%s", part));
    }
}

static void expect_one(struct smelt_slice text, uint64_t argument, uint64_t wanted)
{
    struct native_instance instance = instantiate(text);
    uint64_t got = call(&instance, argument);
    if (got != wanted) {
        print_error("0x%jx instead of 0x%jx from\n%.400s\n", (uintmax_t)got, (uintmax_t)wanted,
                    (const char *)text.data);
    }
    assert_int_equal(got, wanted);
    native_instance_destroy(&instance);
}

/* The same with so much code behind it that nothing is optimised. */
static struct smelt_buf enlarge(struct smelt_slice text)
{
    struct smelt_buf large = {0};
    assert_true(sm_buf_append(&large, text.data, text.size - 1)); /* the last parenthesis */
    assert_true(sm_buf_printf(&large, " (func"));
    repeat(&large, LARGE_CODE_BYTES, " nop");
    assert_true(sm_buf_printf(&large, "))"));
    return large;
}

static void expect(const char *text, uint64_t argument, uint64_t wanted)
{
    struct smelt_buf large = enlarge(smelt_slice_from_string(text));
    expect_one(smelt_slice_from_string(text), argument, wanted);
    expect_one(sm_buf_slice(&large), argument, wanted);
    smelt_buf_deinit(&large);
}

/* ---- parts that are missing ------------------------------------------------------------------ */

static void modules_without_functions(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "(module)",
        "(module (memory 1))",
        "(module (memory 0 0))",
        "(module (table 1 funcref))",
        "(module (global i64 (i64.const 7)))",
        "(module (memory 1) (data (i32.const 65535) \"a\") (data \"passive\") (data \"\"))",
        "(module (table 2 funcref) (elem (i32.const 2)) (elem funcref (ref.null func)))",
        "(module (type (func (param i32) (result i32 i64 f32 f64))))",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct native_instance instance = instantiate(smelt_slice_from_string(texts[i]));
        assert_int_equal(sm_exec_descriptor(instance.module)->function_count, 0);
        native_instance_destroy(&instance);
    }
}

static void functions_that_nobody_calls(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "(module (func))",
        "(module (func (result i32) (i32.const 1)) (func (call 0) (drop)))",
        "(module (import \"spectest\" \"print\" (func)))",
        "(module (import \"spectest\" \"print\" (func)) (table 1 funcref) (elem (i32.const 0) 0))",
        "(module (func) (table 1 funcref) (elem declare func 0))",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct native_instance instance = instantiate(smelt_slice_from_string(texts[i]));
        native_instance_destroy(&instance);
    }
}

/* ---- imports, tables, results ---------------------------------------------------------------- */

static void imports_are_functions_too(void **state)
{
    (void)state;
    /* exported as they are, and called through the table */
    expect("(module (import \"spectest\" \"print_i32\" (func $p (param i32)))"
           " (table 1 funcref) (elem (i32.const 0) func $p) (export \"p\" (func $p))"
           " (func (export \"f\") (result i32)"
           "  (call_indirect (param i32) (i32.const 5) (i32.const 0))"
           "  (call $p (i32.const 6)) (i32.const 7)))",
           0, 7);
}

static void single_table_bulk(void **state)
{
    (void)state;
    /* f(i) calls element i after init, copy and drop: 3 holds the second of the segment */
    static const char text[] =
        "(module (type $t (func (result i32))) (table 8 funcref)"
        " (elem $e funcref (ref.func $a) (ref.func $b) (ref.null func))"
        " (func $a (type $t) (i32.const 10)) (func $b (type $t) (i32.const 20))"
        " (func (export \"f\") (param i32) (result i32)"
        "  (table.init $e (i32.const 0) (i32.const 0) (i32.const 3))"
        "  (table.copy (i32.const 1) (i32.const 0) (i32.const 3))"
        "  (table.copy (i32.const 4) (i32.const 1) (i32.const 2))"
        "  (call_indirect (type $t) (local.get 0))))";
    expect(text, 0, 10);
    expect(text, 1, 10);
    expect(text, 2, 20);
    expect(text, 4, 10);
    expect(text, 5, 20);
}

static void signatures_are_structural(void **state)
{
    (void)state;
    /* two types of one shape, and calls through either */
    expect("(module (type $a (func (param i64) (result f64 i64)))"
           " (type $b (func (param i64) (result f64 i64)))"
           " (table 1 funcref) (elem (i32.const 0) func $g)"
           " (func $g (type $a) (f64.const 0.5) (local.get 0))"
           " (func (export \"f\") (param i64) (result f64 i64)"
           "  (call_indirect (type $b) (local.get 0) (i32.const 0))))",
           99, 99);
}

static void floats_keep_their_bits(void **state)
{
    (void)state;
    /* signalling NaNs pass through globals, locals, calls, memory and select untouched */
    static const char *const texts[] = {
        "(module (global f32 (f32.const nan:0x200001))"
        " (func (export \"f\") (result f32) (global.get 0)))",
        "(module (global (mut f32) (f32.const 0))"
        " (func (export \"f\") (param f32) (result f32)"
        "  (global.set 0 (local.get 0)) (global.get 0)))",
        "(module (memory 1) (func $g (param f32) (result f32) (local f32)"
        "  (local.set 1 (local.get 0)) (local.get 1))"
        " (func (export \"f\") (param f32) (result f32)"
        "  (f32.store (i32.const 8) (call $g (local.get 0)))"
        "  (select (f32.load (i32.const 8)) (f32.const 1) (i32.const 1))))",
        "(module (func (export \"f\") (result f32) (f32.const nan:0x200001)))",
        "(module (func (export \"f\") (result f32)"
        " (f32.neg (f32.abs (f32.neg (f32.neg (f32.neg (f32.const nan:0x200001))))))"
        " (f32.neg)))",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        expect(texts[i], 0x7fa00001, 0x7fa00001);
    }
    expect("(module (func (export \"f\") (result f64) (f64.const -nan:0x4000000000001)))", 0,
           UINT64_C(0xfff4000000000001));
}

/* ---- as large as the policy allows ----------------------------------------------------------- */

static void expect_built(struct smelt_buf *text, uint64_t argument, uint64_t wanted)
{
    assert_true(sm_buf_append_u8(text, '\0'));
    expect((const char *)text->data, argument, wanted);
    smelt_buf_deinit(text);
}

static struct sm_policy limits(void)
{
    struct sm_policy policy;
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, true);
    return policy;
}

/* So many results are returned through memory, and passed on by a call. */
static void results_at_the_limit(void **state)
{
    (void)state;
    static const char *const types[] = {"i32", "i64", "f32", "f64"};
    for (size_t t = 0; t < 4; t++) {
        struct smelt_buf text = {0};
        char part[64];
        assert_true(sm_buf_printf(&text, "(module (type $t (func (param %s) (result", types[t]));
        (void)snprintf(part, sizeof(part), " %s", types[t]);
        repeat(&text, limits().results, part);
        assert_true(sm_buf_printf(&text, "))) (table 1 funcref) (elem (i32.const 0) func $g)"
                                         " (func $g (type $t) "));
        (void)snprintf(part, sizeof(part), "(%s.const 1) ", types[t]);
        repeat(&text, limits().results - 1, part);
        assert_true(sm_buf_printf(&text,
                                  "(local.get 0)) (func $h (type $t) (call $g (local.get 0)))"
                                  " (func (export \"f\") (type $t)"
                                  "  (local.get 0) (block (type $t) (call $h)"
                                  "   (br_if 0 (i32.const 1)))))"));
        expect_built(&text, 0x12345678, 0x12345678);
    }
}

static void parameters_at_the_limit(void **state)
{
    (void)state;
    struct smelt_buf text = {0};
    assert_true(sm_buf_printf(&text, "(module (func $g (param"));
    repeat(&text, limits().params, " f64");
    assert_true(sm_buf_printf(&text,
                              ") (result f64) (local.get %u))"
                              " (func (export \"f\") (param f64) (result f64)",
                              limits().params - 1));
    repeat(&text, limits().params, " (local.get 0)");
    assert_true(sm_buf_printf(&text, " (call $g)))"));
    expect_built(&text, 0x4045000000000000, 0x4045000000000000);
}

/* Of imports, which convert every value; there is nothing to link them with. */
static void import_types_at_the_limit(void **state)
{
    (void)state;
    static const char *const types[] = {" i32", " i64", " f32", " f64"};
    struct smelt_buf text = {0};
    assert_true(sm_buf_printf(&text, "(module"));
    for (size_t t = 0; t < 4; t++) {
        assert_true(sm_buf_printf(&text, " (import \"other\" \"g\" (func (param"));
        repeat(&text, limits().params, types[t]);
        assert_true(sm_buf_printf(&text, ") (result"));
        repeat(&text, limits().results, types[t]);
        assert_true(sm_buf_printf(&text, ")))"));
    }
    for (size_t t = 0; t < 4; t++) {
        assert_true(sm_buf_printf(&text, " (export \"%zu\" (func %zu))", t, t));
    }
    assert_true(sm_buf_printf(&text, ")"));
    struct smelt_buf large = enlarge(sm_buf_slice(&text));
    struct native_instance loaded[] = {load(sm_buf_slice(&text)), load(sm_buf_slice(&large))};
    for (size_t i = 0; i < 2; i++) {
        assert_false(loaded[i].is_linked);
        assert_int_equal(sm_exec_descriptor(loaded[i].module)->export_count, 4);
        native_instance_destroy(&loaded[i]);
    }
    smelt_buf_deinit(&large);
    smelt_buf_deinit(&text);
}

static void locals_at_the_limit(void **state)
{
    (void)state;
    struct smelt_buf text = {0};
    unsigned last = limits().locals - 1;
    assert_true(
        sm_buf_printf(&text, "(module (func (export \"f\") (param i64) (result i64) (local"));
    repeat(&text, last, " i64");
    assert_true(
        sm_buf_printf(&text, ") (local.set %u (local.get 0)) (local.get %u)))", last, last));
    expect_built(&text, 77, 77);
}

static void operands_at_the_limit(void **state)
{
    (void)state;
    struct smelt_buf text = {0};
    assert_true(sm_buf_printf(&text, "(module (func (export \"f\") (param i64) (result i64)"));
    repeat(&text, limits().operands, " (local.get 0)");
    repeat(&text, limits().operands - 1, " i64.add");
    assert_true(sm_buf_printf(&text, "))"));
    expect_built(&text, 3, 3 * (uint64_t)limits().operands);
}

static void nesting_at_the_limit(void **state)
{
    (void)state;
    static const char *const opens[] = {" (block", " (loop", " (if (local.get 0) (then"};
    static const char *const closes[] = {")", ")", "))"};
    for (size_t i = 0; i < 3; i++) {
        struct smelt_buf text = {0};
        assert_true(sm_buf_printf(
            &text, "(module (func (export \"f\") (param i32) (result i32) (local i32)"));
        repeat(&text, limits().nesting - 1, opens[i]);
        assert_true(sm_buf_printf(&text, " (local.set 1 (i32.const 9))"));
        repeat(&text, limits().nesting - 1, closes[i]);
        assert_true(sm_buf_printf(&text, " (local.get 1)))"));
        expect_built(&text, 1, 9);
    }
}

static void br_table_at_the_limit(void **state)
{
    (void)state;
    struct smelt_buf text = {0};
    assert_true(sm_buf_printf(&text, "(module (func (export \"f\") (param i32) (result i32)"
                                     " (block (block (br_table"));
    repeat(&text, limits().br_table_labels - 1, " 0");
    assert_true(sm_buf_printf(&text, " 1 0 (local.get 0))) (return (i32.const 1)))"
                                     " (i32.const 2)))"));
    expect_built(&text, limits().br_table_labels - 1, 2);
}

static void segments_at_the_limit(void **state)
{
    (void)state;
    /* every element of the largest table, and 65536 times 13 bytes of data; f gives the third of
     * the last thirteen */
    struct smelt_buf text = {0};
    assert_true(sm_buf_printf(&text, "(module (table %u funcref) (elem (i32.const 0) func",
                              limits().table_elements));
    repeat(&text, limits().table_elements, " 0");
    assert_true(sm_buf_printf(&text, ") (memory 17) (data (i32.const 1) \""));
    repeat(&text, 1u << 16, "?\?/\\00\\ff\\n\\\"%%c\\t*/");
    assert_true(sm_buf_printf(&text, "\") (func (result i32) (i32.load8_u (i32.const 851958)))"
                                     " (func (export \"f\") (param i32) (result i32)"
                                     "  (call_indirect (result i32) (local.get 0))))"));
    expect_built(&text, limits().table_elements - 1, '/');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modules_without_functions), cmocka_unit_test(functions_that_nobody_calls),
        cmocka_unit_test(imports_are_functions_too), cmocka_unit_test(single_table_bulk),
        cmocka_unit_test(signatures_are_structural), cmocka_unit_test(floats_keep_their_bits),
        cmocka_unit_test(results_at_the_limit),      cmocka_unit_test(parameters_at_the_limit),
        cmocka_unit_test(import_types_at_the_limit), cmocka_unit_test(locals_at_the_limit),
        cmocka_unit_test(operands_at_the_limit),     cmocka_unit_test(nesting_at_the_limit),
        cmocka_unit_test(br_table_at_the_limit),     cmocka_unit_test(segments_at_the_limit),
    };
    int failures = cmocka_run_group_tests_name("compile_shapes", tests, set_up, tear_down);
    return failures != 0 || sm_alloc_blocks() != 0;
}
