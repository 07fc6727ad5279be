/* Guest ranges as the dispatcher binds them: without guest code, state or fuel. */
#include "tests/support/cmocka_all.h"

#include "runtime/host/dispatch.h"

#include <string.h>

#define MEMORY 65536u

static const struct smelt_host_function input = {
    .params = {{.kind = SMELT_PARAM_INPUT, .is_charged = true}}};
static const struct smelt_host_function input_fixed = {
    .params = {{.kind = SMELT_PARAM_INPUT_FIXED, .size = 32}}};
static const struct smelt_host_function output_fixed = {
    .params = {{.kind = SMELT_PARAM_OUTPUT_FIXED, .size = 16}}};
static const struct smelt_host_function output = {.params = {{.kind = SMELT_PARAM_OUTPUT}}};
/* The last range of a row counts as much as the first. */
static const struct smelt_host_function third = {
    .params = {{.kind = SMELT_PARAM_I32}, {.kind = SMELT_PARAM_I64}, {.kind = SMELT_PARAM_INPUT}}};

static const struct {
    const struct smelt_host_function *row;
    uint64_t slots[4];
    uint64_t memory_size;
    bool is_inside;
} rows[] = {
    {&input, {0, 0}, MEMORY, true},
    {&input, {0, MEMORY}, MEMORY, true},
    {&input, {0, MEMORY + 1}, MEMORY, false},
    {&input, {MEMORY, 0}, MEMORY, true},
    {&input, {MEMORY + 1, 0}, MEMORY, false},
    {&input, {MEMORY, 1}, MEMORY, false},
    {&input, {MEMORY - 7, 7}, MEMORY, true},
    {&input, {MEMORY - 7, 8}, MEMORY, false},
    {&input, {UINT32_MAX, 0}, MEMORY, false},
    {&input, {UINT32_MAX, 1}, MEMORY, false},          /* the sum is 2^32 */
    {&input, {UINT32_MAX, 2}, MEMORY, false},          /* 1 in 32 bits */
    {&input, {1, UINT32_MAX}, MEMORY, false},          /* 0 in 32 bits */
    {&input, {UINT32_MAX, UINT32_MAX}, MEMORY, false}, /* 2^33 - 2 */
    {&input, {0x80000000u, 0x80000000u}, MEMORY, false},
    {&input, {UINT32_MAX, 1}, UINT64_C(1) << 32, true}, /* a memory of 4 GiB, to its last byte */
    {&input, {UINT32_MAX, 2}, UINT64_C(1) << 32, false},
    {&input, {UINT64_C(0xdead00000000), 4}, MEMORY, true}, /* the high half of an i32 is noise */
    {&input, {0, 0}, 0, true},
    {&input, {0, 1}, 0, false},
    {&input, {1, 0}, 0, false},
    {&input_fixed, {MEMORY - 32}, MEMORY, true},
    {&input_fixed, {MEMORY - 31}, MEMORY, false},
    {&input_fixed, {UINT32_MAX}, MEMORY, false},
    {&input_fixed, {UINT32_MAX - 31}, MEMORY, false},
    {&output_fixed, {MEMORY - 16}, MEMORY, true},
    {&output_fixed, {MEMORY - 15}, MEMORY, false},
    {&output_fixed, {0}, 15, false},
    {&output, {16, MEMORY - 16}, MEMORY, true}, /* length first */
    {&output, {17, MEMORY - 16}, MEMORY, false},
    {&output, {UINT32_MAX, 1}, MEMORY, false},
    {&third, {UINT32_MAX, UINT64_MAX, MEMORY - 1, 1}, MEMORY, true},
    {&third, {0, 0, MEMORY - 1, 2}, MEMORY, false},
};

/* The base is only added to, never read: no row needs the memory it speaks of. */
static void ranges_are_checked_in_64_bits(void **state)
{
    static uint8_t memory[MEMORY];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_host_arg args[SMELT_HOST_PARAMS_MAX];
        uint64_t charged;
        bool is_small = rows[i].memory_size <= MEMORY;
        if (sm_dispatch_bind(rows[i].row, rows[i].slots, is_small ? memory : NULL,
                             rows[i].memory_size, args, &charged) != rows[i].is_inside) {
            fail_msg("row %zu", i);
        }
    }
}

static void arguments_arrive_by_kind(void **state)
{
    static const struct smelt_host_function row = {
        .params = {{.kind = SMELT_PARAM_I32},
                   {.kind = SMELT_PARAM_INPUT, .is_charged = true},
                   {.kind = SMELT_PARAM_I64},
                   {.kind = SMELT_PARAM_OUTPUT},
                   {.kind = SMELT_PARAM_INPUT, .is_charged = true},
                   {.kind = SMELT_PARAM_INPUT},
                   {.kind = SMELT_PARAM_INPUT_FIXED, .size = 32},
                   {.kind = SMELT_PARAM_OUTPUT_FIXED, .size = 16}}};
    const uint64_t slots[] = {UINT64_MAX, 10, 20, UINT64_MAX, 30, 40, 50, 60, 70, 80, 90, 100};
    uint8_t memory[256];
    struct smelt_host_arg args[SMELT_HOST_PARAMS_MAX];
    uint64_t charged;
    (void)state;
    assert_true(sm_dispatch_bind(&row, slots, memory, sizeof(memory), args, &charged));
    assert_int_equal(args[0].value, UINT32_MAX);
    assert_ptr_equal(args[1].data, memory + 10);
    assert_int_equal(args[1].size, 20);
    assert_int_equal(args[2].value, UINT64_MAX);
    assert_int_equal(args[3].size, 30);
    assert_ptr_equal(args[3].data, memory + 40);
    assert_ptr_equal(args[4].data, memory + 50);
    assert_int_equal(args[4].size, 60);
    assert_int_equal(args[5].size, 80);
    assert_ptr_equal(args[6].data, memory + 90);
    assert_int_equal(args[6].size, 32);
    assert_ptr_equal(args[7].data, memory + 100);
    assert_int_equal(args[7].size, 16);
    assert_int_equal(charged, 20 + 60);
}

static void data_is_never_null(void **state)
{
    static const struct smelt_host_function both = {
        .params = {{.kind = SMELT_PARAM_INPUT}, {.kind = SMELT_PARAM_OUTPUT}}};
    const uint64_t slots[4] = {0};
    struct smelt_host_arg args[SMELT_HOST_PARAMS_MAX];
    uint64_t charged;
    (void)state;
    assert_true(sm_dispatch_bind(&both, slots, NULL, 0, args, &charged));
    assert_non_null(args[0].data);
    assert_non_null(args[1].data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_checked_in_64_bits),
        cmocka_unit_test(arguments_arrive_by_kind),
        cmocka_unit_test(data_is_never_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
