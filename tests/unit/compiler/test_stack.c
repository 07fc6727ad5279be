/* Stack weights: what each function weighs, which ones check, what they reserve, and graphs of
 * calls that were made to hurt. */
#include "tests/unit/compiler/modules.h"

#include "base/alloc.h"

#include <stdint.h>
#include <time.h>

#define FRAME SM_STACK_FRAME_WEIGHT
#define LIMIT SM_STACK_LIMIT

struct weighed {
    struct test_module module;
    const struct sm_stack_weight *weights;
};

static void weigh(struct weighed *out, const char *text)
{
    struct smelt_error err = {0};
    test_module_from_text(&out->module, text);
    if (sm_stack_weigh(&out->module.module, &out->module.arena, &out->weights, &err) !=
        SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
}

static void weighed_deinit(struct weighed *weighed)
{
    test_module_deinit(&weighed->module);
}

static void assert_weight(const struct weighed *weighed, uint32_t index, uint32_t weight,
                          uint32_t reserve, bool is_checked)
{
    const struct sm_stack_weight *found = &weighed->weights[index];
    if (found->weight != weight || found->reserve != reserve || found->is_checked != is_checked) {
        fail_msg("function %u: weight %u, reserve %u, %s", index, found->weight, found->reserve,
                 found->is_checked ? "checked" : "not checked");
    }
}

static void test_weights(void **state)
{
    (void)state;
    struct weighed weighed;
    weigh(&weighed, "(module"
                    " (import \"env\" \"input_len\" (func (result i32)))"
                    " (func)"
                    " (func (param i32 i64))"
                    " (func (local i32 i32 i64))"
                    " (func (i32.const 1) (i32.const 2) (i32.const 3) (drop) (drop) (drop))"
                    " (func (param i32) (result i32) (local i64) (local.get 0))"
                    " (func unreachable (i32.const 1) (i32.const 2) (drop) (drop))"
                    " (func (result i32 i32 i32) (i32.const 1) (i32.const 2) (i32.const 3))"
                    " (func (drop (call 0))))");
    assert_weight(&weighed, 0, 0, 0, false); /* imported */
    assert_weight(&weighed, 1, FRAME, FRAME, false);
    assert_weight(&weighed, 2, FRAME + 2, FRAME + 2, false);
    assert_weight(&weighed, 3, FRAME + 3, FRAME + 3, false);
    assert_weight(&weighed, 4, FRAME + 3, FRAME + 3, false);
    assert_weight(&weighed, 5, FRAME + 3, FRAME + 3, false);
    assert_weight(&weighed, 6, FRAME, FRAME, false); /* dead operands weigh nothing */
    assert_weight(&weighed, 7, FRAME + 3, FRAME + 3, false);
    assert_weight(&weighed, 8, FRAME + 1, FRAME + 1, false); /* the host has a stack of its own */
    weighed_deinit(&weighed);
}

/* Each 16 bytes of code, the final end included, are a unit. */
static void test_code_size(void **state)
{
    (void)state;
    struct weighed weighed;
    weigh(&weighed, "(module (func nop nop nop nop nop nop nop nop nop nop nop nop nop nop)"
                    " (func nop nop nop nop nop nop nop nop nop nop nop nop nop nop nop)"
                    " (func (local i32 i64 i32 i64 i32 i64 i32 i64 i32 i64 i32 i64 i32 i64)))");
    assert_weight(&weighed, 0, FRAME, FRAME, false);
    assert_weight(&weighed, 1, FRAME + 1, FRAME + 1, false);
    assert_weight(&weighed, 2, FRAME + 14, FRAME + 14, false); /* their declaration is not code */
    weighed_deinit(&weighed);
}

/* Unchecked callees are in the reserve of their callers, the heaviest only; checked ones pay for
 * themselves. */
static void test_reserves(void **state)
{
    (void)state;
    struct weighed weighed;
    weigh(&weighed, "(module"
                    " (func $leaf (local i32))"                            /* 0 */
                    " (func $heavy (local i32 i32 i32 i32))"               /* 1 */
                    " (func $two (call $leaf) (call $heavy) (call $leaf))" /* 2 */
                    " (func $three (call $two))"                           /* 3 */
                    " (func $self (call $self) (call $heavy))"             /* 4 */
                    " (func $caller (call $self) (call $leaf))"            /* 5 */
                    " (func $ping (call $pong) (call $leaf))"              /* 6 */
                    " (func $pong (call $ping) (call $heavy))"             /* 7 */
                    " (func $dead unreachable (call $dead))" /* 8: a call all the same */
                    ")");
    assert_weight(&weighed, 0, FRAME + 1, FRAME + 1, false);
    assert_weight(&weighed, 1, FRAME + 4, FRAME + 4, false);
    assert_weight(&weighed, 2, FRAME, 2 * FRAME + 4, false);
    assert_weight(&weighed, 3, FRAME, 3 * FRAME + 4, false);
    assert_weight(&weighed, 4, FRAME, 2 * FRAME + 4, true);
    assert_weight(&weighed, 5, FRAME, 2 * FRAME + 1, false);
    assert_weight(&weighed, 6, FRAME, 2 * FRAME + 1, true);
    assert_weight(&weighed, 7, FRAME, 2 * FRAME + 4, true);
    assert_weight(&weighed, 8, FRAME, FRAME, true);
    weighed_deinit(&weighed);
}

/* Whatever an element segment refers to may be called by anybody; an export alone may not. */
static void test_element_segments(void **state)
{
    (void)state;
    struct weighed weighed;
    weigh(&weighed, "(module (import \"env\" \"input_len\" (func $host (result i32)))"
                    " (table 4 funcref)"
                    " (elem (i32.const 0) $active $host) (elem func $passive)"
                    " (elem declare func $declared) (elem funcref (ref.null func) (ref.func $item))"
                    " (func $active (call $leaf)) (func $passive) (func $declared) (func $item)"
                    " (func $leaf) (func $exported (export \"e\"))"
                    " (func $caller (call $active)))");
    assert_weight(&weighed, 0, 0, 0, false);
    assert_weight(&weighed, 1, FRAME, 2 * FRAME, true);
    assert_weight(&weighed, 2, FRAME, FRAME, true);
    assert_weight(&weighed, 3, FRAME, FRAME, true);
    assert_weight(&weighed, 4, FRAME, FRAME, true);
    assert_weight(&weighed, 5, FRAME, FRAME, false);
    assert_weight(&weighed, 6, FRAME, FRAME, false);
    assert_weight(&weighed, 7, FRAME, FRAME, false);
    weighed_deinit(&weighed);
}

/* Two cycles that share a function, a cycle behind a cycle, a bridge that is on none. */
static void test_cycles(void **state)
{
    (void)state;
    struct weighed weighed;
    weigh(&weighed, "(module"
                    " (func $a (call $b) (call $c))" /* a b, a c: one component */
                    " (func $b (call $a))"
                    " (func $c (call $a) (call $bridge))"
                    " (func $bridge (call $d))" /* between the components */
                    " (func $d (call $e))"
                    " (func $e (call $f))"
                    " (func $f (call $d) (call $leaf))"
                    " (func $leaf)"
                    " (func $entry (call $a)))");
    static const bool are_checked[] = {true, true, true, false, true, true, true, false, false};
    for (uint32_t i = 0; i < sizeof(are_checked) / sizeof(are_checked[0]); i++) {
        assert_int_equal(weighed.weights[i].is_checked, are_checked[i]);
    }
    assert_weight(&weighed, 2, FRAME, 2 * FRAME, true); /* the bridge is in it */
    assert_weight(&weighed, 3, FRAME, FRAME, false);    /* d is checked */
    assert_weight(&weighed, 6, FRAME, 2 * FRAME, true); /* leaf */
    assert_weight(&weighed, 8, FRAME, FRAME, false);
    weighed_deinit(&weighed);
}

/* ---- sizes ----------------------------------------------------------------------------------- */

/* Function i calls i + 1, the last one calls `back` when that is not UINT32_MAX. */
static void chain(struct smelt_buf *text, uint32_t count, uint32_t back)
{
    text->size = 0;
    test_print(text, "(module ");
    for (uint32_t i = 0; i + 1 < count; i++) {
        test_print(text, "(func (call %u))", i + 1);
    }
    if (back != UINT32_MAX) {
        test_print(text, "(func (call %u)))", back);
    } else {
        test_print(text, "(func))");
    }
}

/* A chain of 10 000 functions, walked without recursion. The reserve of the head is the whole
 * chain's; where that passes the limit it saturates just above, and stays there. */
static void test_long_chain(void **state)
{
    (void)state;
    const uint32_t count = 20000;
    struct smelt_buf text = {0};
    struct weighed weighed;
    chain(&text, count, UINT32_MAX);
    weigh(&weighed, (const char *)text.data);
    const uint32_t fit = LIMIT / FRAME;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t below = count - i;
        assert_weight(&weighed, i, FRAME, below <= fit ? below * FRAME : LIMIT + 1, false);
    }
    weighed_deinit(&weighed);
    smelt_buf_deinit(&text);
}

static void test_long_cycle(void **state)
{
    (void)state;
    const uint32_t count = 10000;
    struct smelt_buf text = {0};
    struct weighed weighed;
    chain(&text, count, 0);
    weigh(&weighed, (const char *)text.data);
    for (uint32_t i = 0; i < count; i++) {
        assert_weight(&weighed, i, FRAME, FRAME, true);
    }
    weighed_deinit(&weighed);
    /* the first half leads into the cycle and is not on it */
    chain(&text, count, count / 2);
    weigh(&weighed, (const char *)text.data);
    for (uint32_t i = 0; i < count; i++) {
        assert_weight(&weighed, i, FRAME,
                      i < count / 2 && (count / 2 - i) * FRAME <= LIMIT ? (count / 2 - i) * FRAME
                                                                        : FRAME,
                      i >= count / 2);
    }
    weighed_deinit(&weighed);
    smelt_buf_deinit(&text);
}

/* Exactly the limit is within the limit. 50 000 locals are the decoder's ceiling, so it takes three
 * functions. */
static void test_saturation(void **state)
{
    (void)state;
    static const struct {
        uint32_t last; /* locals of the innermost function */
        uint32_t reserve;
    } rows[] = {
        {LIMIT - 3 * FRAME - 100000 - 1, LIMIT - 1},
        {LIMIT - 3 * FRAME - 100000, LIMIT},
        {LIMIT - 3 * FRAME - 100000 + 1, LIMIT + 1},
        {LIMIT - 3 * FRAME - 100000 + 2, LIMIT + 1},
        {50000, LIMIT + 1},
    };
    /* the text format has no short form for 50 000 locals: put them in behind the decoder */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct weighed weighed;
        test_module_from_text(&weighed.module,
                              "(module (func (call 1)) (func (call 2)) (func (call 3)) (func))");
        weighed.module.module.funcs[0].local_count = 50000;
        weighed.module.module.funcs[1].local_count = 50000;
        weighed.module.module.funcs[2].local_count = rows[i].last;
        weighed.module.module.funcs[3].local_count = 0;
        weighed.module.module.funcs[2].code = weighed.module.module.funcs[3].code; /* calls none */
        weighed.module.module.funcs[2].code_offset = weighed.module.module.funcs[3].code_offset;
        assert_int_equal(
            sm_stack_weigh(&weighed.module.module, &weighed.module.arena, &weighed.weights, NULL),
            SMELT_STATUS_OK);
        assert_int_equal(weighed.weights[0].reserve, rows[i].reserve);
        weighed_deinit(&weighed);
    }
}

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Every function calls 100 others, all over the graph: 200 000 edges, one component, with the calls
 * of each function in the order that makes a careless walk start over. The bound is generous: what
 * takes longer than linear time here takes minutes. */
static void test_dense_graph_in_linear_time(void **state)
{
    (void)state;
    enum { FUNCTIONS = 2000, CALLS = 100 };
    struct smelt_buf text = {0};
    struct weighed weighed;
    test_print(&text, "(module ");
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        test_print(&text, "(func ");
        for (uint32_t k = 0; k < CALLS; k++) {
            test_print(&text, "(call %u)", (i * 37 + k * k * 11 + 1) % FUNCTIONS);
        }
        test_print(&text, ")");
    }
    test_print(&text, ")");
    test_module_from_text(&weighed.module, (const char *)text.data);
    double start = seconds();
    assert_int_equal(
        sm_stack_weigh(&weighed.module.module, &weighed.module.arena, &weighed.weights, NULL),
        SMELT_STATUS_OK);
    double taken = seconds() - start;
    if (taken > 2.0) {
        fail_msg("%.1f s", taken);
    }
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        assert_true(weighed.weights[i].is_checked);
    }
    weighed_deinit(&weighed);
    smelt_buf_deinit(&text);
}

/* A ladder of diamonds: 2^5000 paths from top to bottom, two functions per rung. */
static void test_diamonds_in_linear_time(void **state)
{
    (void)state;
    enum { RUNGS = 5000 };
    struct smelt_buf text = {0};
    struct weighed weighed;
    test_print(&text, "(module ");
    for (uint32_t i = 0; i < RUNGS; i++) {
        for (uint32_t side = 0; side < 2; side++) {
            if (i + 1 < RUNGS) {
                test_print(&text, "(func (call %u) (call %u))", 2 * i + 2, 2 * i + 3);
            } else {
                test_print(&text, "(func)");
            }
        }
    }
    test_print(&text, ")");
    double start = seconds();
    weigh(&weighed, (const char *)text.data);
    assert_true(seconds() - start < 2.0);
    assert_weight(&weighed, 0, FRAME, RUNGS * FRAME, false);
    weighed_deinit(&weighed);
    smelt_buf_deinit(&text);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct test_module module;
    test_module_from_text(&module, "(module (func (call 1)) (func (call 0)) (func))");
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    size_t nth = 0;
    while (status == SMELT_STATUS_NO_MEMORY) {
        struct sm_arena arena = {0};
        const struct sm_stack_weight *weights = NULL;
        size_t blocks = sm_alloc_blocks();
        sm_alloc_fail_at(++nth);
        status = sm_stack_weigh(&module.module, &arena, &weights, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(weights != NULL, status == SMELT_STATUS_OK);
        sm_arena_deinit(&arena);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_int_equal(status, SMELT_STATUS_OK);
    test_module_deinit(&module);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_code_size),
        cmocka_unit_test(test_reserves),
        cmocka_unit_test(test_element_segments),
        cmocka_unit_test(test_cycles),
        cmocka_unit_test(test_long_chain),
        cmocka_unit_test(test_long_cycle),
        cmocka_unit_test(test_saturation),
        cmocka_unit_test(test_dense_graph_in_linear_time),
        cmocka_unit_test(test_diamonds_in_linear_time),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
