/* Memory with one lifetime: alignment, zeroes, growth, and what happens when there is none. */
#include "base/alloc.h"
#include "base/arena.h"
#include "tests/support/cmocka_all.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

static void test_blocks_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct sm_arena arena = {0};
    static const size_t sizes[] = {1, 2, 3, 8, 15, 16, 17, 100, 4096, 65535, 65536, 65537, 200000};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]), ROUNDS = 5 };
    uint8_t *blocks[ROUNDS][COUNT];
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            uint8_t *block = (uint8_t *)sm_arena_calloc(&arena, sizes[i], 1);
            assert_non_null(block);
            assert_int_equal((uintptr_t)block % alignof(max_align_t), 0);
            for (size_t k = 0; k < sizes[i]; k++) {
                assert_int_equal(block[k], 0);
            }
            memset(block, (int)(round * COUNT + i + 1), sizes[i]);
            blocks[round][i] = block;
        }
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            for (size_t k = 0; k < sizes[i]; k++) {
                assert_int_equal(blocks[round][i][k], round * COUNT + i + 1);
            }
        }
    }
    sm_arena_deinit(&arena);
    assert_int_equal(sm_alloc_blocks(), 0);
}

static void test_zero_bytes_give_a_pointer(void **state)
{
    (void)state;
    struct sm_arena arena = {0};
    assert_non_null(sm_arena_calloc(&arena, 0, 8));
    assert_non_null(sm_arena_calloc(&arena, 8, 0));
    assert_non_null(sm_arena_grow(&arena, NULL, 0, 0, 4));
    sm_arena_deinit(&arena);
}

static void test_growing_copies(void **state)
{
    (void)state;
    struct sm_arena arena = {0};
    const uint32_t *array = NULL;
    size_t count = 0;
    for (size_t bigger = 1; bigger < 100000; bigger *= 3) {
        uint32_t *grown = (uint32_t *)sm_arena_grow(&arena, array, count, bigger, sizeof(*array));
        assert_non_null(grown);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(grown[i], i);
            assert_int_equal(array[i], i); /* the old one stays */
        }
        for (size_t i = count; i < bigger; i++) {
            assert_int_equal(grown[i], 0);
            grown[i] = (uint32_t)i;
        }
        array = grown;
        count = bigger;
    }
    sm_arena_deinit(&arena);
    assert_int_equal(sm_alloc_blocks(), 0);
}

static void test_sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct sm_arena arena = {0};
    static const struct {
        size_t count, size;
    } cases[] = {
        {SIZE_MAX, 1},      {1, SIZE_MAX},      {SIZE_MAX, SIZE_MAX}, {SIZE_MAX / 2, 3},
        {SIZE_MAX - 14, 1}, {SIZE_MAX - 15, 1}, {SIZE_MAX - 31, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(sm_arena_calloc(&arena, cases[i].count, cases[i].size));
        assert_null(sm_arena_grow(&arena, NULL, 0, cases[i].count, cases[i].size));
    }
    assert_non_null(sm_arena_calloc(&arena, 1, 1));
    sm_arena_deinit(&arena);
}

static void test_short_memory_leaves_the_arena_usable(void **state)
{
    (void)state;
    struct sm_arena arena = {0};
    char *kept = (char *)sm_arena_calloc(&arena, 8, 1);
    memcpy(kept, "content", 8);
    sm_alloc_fail_at(1);
    assert_null(sm_arena_calloc(&arena, 1 << 20, 1));
    assert_null(sm_arena_grow(&arena, kept, 8, 1 << 20, 1));
    /* what fits into the chunk needs no memory */
    assert_non_null(sm_arena_calloc(&arena, 100, 1));
    sm_alloc_fail_at(0);
    assert_non_null(sm_arena_calloc(&arena, 1 << 20, 1));
    assert_string_equal(kept, "content");
    sm_arena_deinit(&arena);
    sm_arena_deinit(&arena);
    assert_int_equal(sm_alloc_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_zeroed_aligned_and_apart),
        cmocka_unit_test(test_zero_bytes_give_a_pointer),
        cmocka_unit_test(test_growing_copies),
        cmocka_unit_test(test_sizes_that_overflow_are_refused),
        cmocka_unit_test(test_short_memory_leaves_the_arena_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
