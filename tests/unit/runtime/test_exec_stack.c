/* The guest stack: usable from end to end, guarded on both sides. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/mapping.h"

#include "runtime/exec/stack.h"

#include <sys/mman.h>
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
        sm_stack_deinit(&stack);
        assert_null(stack.bottom);
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

static size_t resident_pages(const struct sm_stack *stack)
{
    static unsigned char pages[1 << 16];
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    size_t count = 0;
    assert_true(stack->size / page_bytes <= sizeof(pages));
    assert_int_equal(mincore(stack->bottom, stack->size, pages), 0);
    for (size_t i = 0; i < stack->size / page_bytes; i++) {
        count += pages[i] & 1;
    }
    return count * page_bytes;
}

/* As a chain of calls would write to it: something in each 512 bytes. */
static void descend(struct sm_stack *stack, size_t depth)
{
    for (size_t at = 64; at < depth; at += 512) {
        stack->bottom[stack->size - at] = 1;
    }
}

static void trimming_bounds_what_stays(void **state)
{
    (void)state;
    struct sm_stack stack;
    assert_int_equal(sm_stack_init(&stack, UINT64_C(4) << 20, NULL), SMELT_STATUS_OK);
    sm_stack_trim(&stack);
    descend(&stack, 10000);
    sm_stack_trim(&stack);
    assert_int_equal(stack.bottom[stack.size - 64], 1); /* shallow: left alone */
    static const size_t depths[] = {SM_STACK_KEPT_BYTES + 1024, (size_t)1 << 20, (size_t)4 << 20};
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        descend(&stack, depths[i]);
        assert_true(resident_pages(&stack) > SM_STACK_KEPT_BYTES);
        sm_stack_trim(&stack);
        assert_int_equal(resident_pages(&stack), SM_STACK_KEPT_BYTES);
        assert_int_equal(stack.bottom[stack.size - 64], 1);
        assert_int_equal(stack.bottom[stack.size - SM_STACK_KEPT_BYTES - 576], 0);
    }
    sm_stack_deinit(&stack);

    /* one that is no larger than what stays */
    assert_int_equal(sm_stack_init(&stack, SM_STACK_KEPT_BYTES, NULL), SMELT_STATUS_OK);
    descend(&stack, SM_STACK_KEPT_BYTES);
    sm_stack_trim(&stack);
    assert_int_equal(resident_pages(&stack), SM_STACK_KEPT_BYTES);
    sm_stack_deinit(&stack);
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
        cmocka_unit_test(trimming_bounds_what_stays),
        cmocka_unit_test(a_full_machine_is_no_memory),
    };
    return cmocka_run_group_tests_name("exec_stack", tests, NULL, NULL);
}
