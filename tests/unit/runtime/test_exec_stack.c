/* The guest stack: usable from end to end, guarded on both sides. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/mapping.h"

#include "runtime/exec/stack.h"

#include <sys/resource.h>

static void is_guarded_on_both_sides(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {
        1, 4096, 65536, 65537, UINT64_C(3) << 20, 2 * SM_STACK_BYTES_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sm_stack stack;
        assert_int_equal(sm_stack_init(&stack, sizes[i], NULL), SMELT_STATUS_OK);
        assert_true(stack.size >= sizes[i]);
        assert_int_equal((uintptr_t)(stack.bottom + stack.size) % 16, 0);
        assert_true(is_writable(stack.bottom));
        assert_true(is_writable(stack.bottom + stack.size - 1));
        assert_false(is_readable(stack.bottom - 1));
        assert_false(is_readable(stack.bottom - 4096));
        assert_false(is_readable(stack.bottom + stack.size));
        assert_false(is_readable(stack.bottom + stack.size + 4095));
        uintptr_t bottom = (uintptr_t)stack.bottom;
        uintptr_t top = bottom + stack.size;
        assert_true(sm_stack_guards(&stack, bottom - 1) && sm_stack_guards(&stack, bottom - 65536));
        assert_true(sm_stack_guards(&stack, top) && sm_stack_guards(&stack, top + 65535));
        assert_false(sm_stack_guards(&stack, bottom) || sm_stack_guards(&stack, top - 1));
        assert_false(sm_stack_guards(&stack, bottom - 65537));
        assert_false(sm_stack_guards(&stack, top + 65536) || sm_stack_guards(&stack, 0));
        sm_stack_deinit(&stack);
        assert_null(stack.bottom);
        assert_false(sm_stack_guards(&stack, bottom - 1) || sm_stack_guards(&stack, 0));
        sm_stack_deinit(&stack);
    }
}

static void refuses_sizes_that_are_none(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {2 * SM_STACK_BYTES_MAX + 1, UINT64_MAX, UINT64_MAX - 65536};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sm_stack stack;
        struct smelt_error err;
        assert_int_equal(sm_stack_init(&stack, sizes[i], &err), SMELT_STATUS_INVALID_ARGUMENT);
        assert_null(stack.bottom);
    }
}

static void a_full_machine_is_no_memory(void **state)
{
    (void)state;
    struct rlimit before;
    struct smelt_error err;
    struct sm_stack stack;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    enum smelt_status status = sm_stack_init(&stack, 65536, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    assert_null(stack.bottom);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_guarded_on_both_sides),
        cmocka_unit_test(refuses_sizes_that_are_none),
        cmocka_unit_test(a_full_machine_is_no_memory),
    };
    return cmocka_run_group_tests_name("exec_stack", tests, NULL, NULL);
}
