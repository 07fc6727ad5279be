/* The counter and the fault switch that all other tests rely on. */
#include "base/alloc.h"
#include "tests/support/cmocka_all.h"

#include <smelt/alloc.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void test_blocks_are_counted(void **state)
{
    (void)state;
    const size_t before = sm_alloc_blocks();
    void *a = sm_alloc(10);
    void *b = sm_calloc(3, 7);
    void *c = sm_realloc_array(NULL, 5, 2);
    assert_true(a != NULL && b != NULL && c != NULL);
    assert_int_equal(sm_alloc_blocks(), before + 3);
    void *grown = sm_realloc_array(a, 1000, 10);
    assert_non_null(grown);
    assert_int_equal(sm_alloc_blocks(), before + 3);
    sm_free(grown);
    sm_free(b);
    sm_free(c);
    sm_free(NULL);
    assert_int_equal(sm_alloc_blocks(), before);
}

static void test_zero_bytes_are_a_block(void **state)
{
    (void)state;
    const size_t before = sm_alloc_blocks();
    void *blocks[] = {sm_alloc(0), sm_calloc(0, 8), sm_calloc(8, 0), sm_realloc_array(NULL, 0, 8)};
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(blocks[i]);
        /* growing to nothing keeps the block, it does not free it */
        blocks[i] = sm_realloc_array(blocks[i], 0, 0);
        assert_non_null(blocks[i]);
        sm_free(blocks[i]);
    }
    assert_int_equal(sm_alloc_blocks(), before);
}

static void test_calloc_clears(void **state)
{
    (void)state;
    static const uint8_t zeroes[300];
    uint8_t *block = (uint8_t *)sm_calloc(100, 3);
    assert_memory_equal(block, zeroes, sizeof(zeroes));
    sm_free(block);
}

static void test_products_that_overflow_are_refused(void **state)
{
    (void)state;
    static const struct {
        size_t count, size;
    } cases[] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX / 2 + 1, 2},
        {(size_t)1 << 32, (size_t)1 << 32},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_null(sm_calloc(cases[i].count, cases[i].size));
        assert_null(sm_realloc_array(NULL, cases[i].count, cases[i].size));
    }
}

static void test_failed_growth_keeps_the_block(void **state)
{
    (void)state;
    const size_t before = sm_alloc_blocks();
    char *block = (char *)sm_alloc(sizeof("intact"));
    memcpy(block, "intact", sizeof("intact"));
    sm_alloc_fail_at(1);
    assert_null(sm_realloc_array(block, 100, 1));
    sm_alloc_fail_at(0);
    assert_null(sm_realloc_array(block, SIZE_MAX, 2));
    assert_string_equal(block, "intact");
    sm_free(block);
    assert_int_equal(sm_alloc_blocks(), before);
}

static void test_fault_hits_the_nth_and_all_after(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 5; nth++) {
        sm_alloc_fail_at(nth);
        for (size_t i = 1; i < 8; i++) {
            void *block = i % 2 != 0 ? sm_alloc(1) : sm_calloc(1, 1);
            assert_int_equal(block == NULL, i >= nth);
            sm_free(block);
        }
        sm_alloc_fail_at(0);
        void *block = sm_alloc(1);
        assert_non_null(block);
        sm_free(block);
    }
}

struct counter {
    size_t reallocations;
    size_t deallocations;
};

static void *counted_reallocate(void *context, void *block, size_t size)
{
    ((struct counter *)context)->reallocations++;
    void *grown = realloc(block, size);
    if (block == NULL && grown != NULL) {
        memset(grown, 0xa5, size); /* what sm_calloc has to clear */
    }
    return grown;
}

static void counted_deallocate(void *context, void *block)
{
    ((struct counter *)context)->deallocations++;
    free(block);
}

static void test_an_allocator_of_the_embedder(void **state)
{
    (void)state;
    static const uint8_t zeroes[12];
    struct counter counter = {0};
    struct smelt_allocator allocator = {counted_reallocate, counted_deallocate, &counter};
    assert_int_equal(smelt_set_allocator(&allocator, NULL), SMELT_STATUS_OK);
    void *a = sm_alloc(10);
    void *b = sm_calloc(3, 4);
    assert_memory_equal(b, zeroes, sizeof(zeroes));
    a = sm_realloc_array(a, 20, 1);
    assert_int_equal(counter.reallocations, 3);
    assert_int_equal(sm_alloc_blocks(), 2);

    struct smelt_error err = {0};
    assert_int_equal(smelt_set_allocator(NULL, &err), SMELT_STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "2 blocks are in use"));
    sm_free(a);
    sm_free(b);
    sm_free(NULL);
    assert_int_equal(counter.deallocations, 2);

    allocator.deallocate = NULL;
    assert_int_equal(smelt_set_allocator(&allocator, &err), SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_set_allocator(NULL, &err), SMELT_STATUS_OK);
    sm_free(sm_alloc(1));
    assert_int_equal(counter.reallocations, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_counted),
        cmocka_unit_test(test_zero_bytes_are_a_block),
        cmocka_unit_test(test_calloc_clears),
        cmocka_unit_test(test_products_that_overflow_are_refused),
        cmocka_unit_test(test_failed_growth_keeps_the_block),
        cmocka_unit_test(test_fault_hits_the_nth_and_all_after),
        cmocka_unit_test(test_an_allocator_of_the_embedder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
