/* The generator's promise: whatever the tape, a module that passes validation and the gate; and its
 * reach: every instruction of the subset. */
#include "tests/fuzz/generate.h"

#include "base/bytes.h"
#include "compiler/instrument/gate.h"
#include "tests/support/cmocka_all.h"

#include <string.h>

#define TAPES 64u

static uint8_t tape[GENERATE_TAPE_BYTES];

/* Adds the instructions of the module to `seen`. */
static void check_module(struct smelt_slice bytes, uint64_t *seen)
{
    struct smelt_profile profile = smelt_profile_engine;
    struct smelt_buf wasm = {0};
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    struct sm_policy policy;
    struct sm_wasm_instr instr;
    struct smelt_error err = {0};
    assert_true(generate_module(bytes, &wasm));
    if (sm_wasm_decode(sm_buf_slice(&wasm), &arena, &module, &err) != SMELT_STATUS_OK ||
        sm_wasm_validate(&module, &arena, &err) != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, true);
    if (sm_gate_check(&module, &policy, &profile, &err) != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
    for (uint32_t i = module.imported_func_count; i < module.func_count; i++) {
        struct sm_wasm_cursor cursor = sm_wasm_cursor_of(&module, i);
        while (cursor.at != cursor.end) {
            assert_int_equal(sm_wasm_read_instr(&cursor, &instr, NULL), SMELT_STATUS_OK);
            seen[instr.op]++;
        }
    }
    sm_arena_deinit(&arena);
    smelt_buf_deinit(&wasm);
}

static void test_tapes_make_valid_modules_with_every_instruction(void **state)
{
    uint64_t seen[SM_OP_COUNT] = {0};
    (void)state;
    for (uint64_t seed = 1; seed <= TAPES; seed++) {
        generate_tape(seed, tape, sizeof(tape));
        check_module(sm_slice(tape, sizeof(tape)), seen);
    }
    for (size_t op = 0; op < SM_OP_COUNT; op++) {
        if (seen[op] == 0) {
            fail_msg("no module has %s", sm_wasm_ops[op].text);
        }
    }
}

static void test_every_start_of_a_tape_is_a_tape(void **state)
{
    uint64_t seen[SM_OP_COUNT] = {0};
    (void)state;
    generate_tape(1, tape, sizeof(tape));
    for (size_t size = 0; size <= sizeof(tape); size = size * 5 / 4 + 1) {
        check_module(sm_slice(tape, size), seen);
    }
}

/* A byte repeated chooses the same everywhere: the deepest nesting, the largest of everything. */
static void test_tapes_of_one_byte(void **state)
{
    uint64_t seen[SM_OP_COUNT] = {0};
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        memset(tape, (int)byte, sizeof(tape));
        check_module(sm_slice(tape, sizeof(tape)), seen);
    }
}

static void test_no_tape_makes_the_simplest_module(void **state)
{
    static const uint8_t simplest[] = {
        0,    'a',  's',  'm',  1,    0,    0,    0, /* */
        1,    4,    1,    0x60, 0,    0,             /* one type, () -> () */
        2,    1,    0,    3,    2,    1,    0,       /* no import, one function */
        4,    4,    1,    0x70, 0,    0,    5,    4,    1, 1,    1,    1, /* an empty table, a page
                                                                             of memory */
        6,    16,   3, /* the generator's own globals */
        0x7e, 1,    0x42, 0,    0x0b, 0x7e, 1,    0x42, 0, 0x0b, 0x7e, 1, 0x42,
        0,    0x0b, 7,    6,    1,    2,    '0',  '0',  0, 0, /* the function's export */
        9,    1,    0,    12,   1,    0,                      /* no segments */
        10,   6,    1,    4,    1,    3,    0x7f, 0x0b,       /* the counters, and the end */
        11,   1,    0,
    };
    struct smelt_buf wasm = {0};
    (void)state;
    assert_true(generate_module((struct smelt_slice){0}, &wasm));
    assert_int_equal(wasm.size, sizeof(simplest));
    assert_memory_equal(wasm.data, simplest, sizeof(simplest));
    smelt_buf_deinit(&wasm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tapes_make_valid_modules_with_every_instruction),
        cmocka_unit_test(test_every_start_of_a_tape_is_a_tape),
        cmocka_unit_test(test_tapes_of_one_byte),
        cmocka_unit_test(test_no_tape_makes_the_simplest_module),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
