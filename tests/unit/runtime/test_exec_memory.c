/* Linear memory: what is accessible at every size, and what growth answers. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/mapping.h"

#include "runtime/exec/memory.h"

#include <sys/resource.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_extent(const struct sm_memory *memory, uint32_t pages)
{
    assert_int_equal(memory->size, pages * SM_PAGE_BYTES);
    if (pages != 0) {
        assert_true(is_writable(memory->base));
        assert_true(is_writable(memory->base + memory->size - 1));
    }
    assert_false(is_readable(memory->base + memory->size));
    /* the guard, behind all that the memory may become */
    assert_false(is_readable(memory->base + memory->pages_max * SM_PAGE_BYTES));
    assert_false(is_readable(memory->base + (memory->pages_max + 1) * SM_PAGE_BYTES - 1));
}

static void starts_with_its_pages(void **state)
{
    (void)state;
    static const uint32_t rows[][2] = {{0, 0}, {0, 1}, {1, 1}, {1, 4}, {3, 65536}, {0, 65536}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sm_memory memory;
        assert_int_equal(sm_memory_init(&memory, rows[i][0], rows[i][1], NULL), SMELT_STATUS_OK);
        assert_extent(&memory, rows[i][0]);
        sm_memory_deinit(&memory);
        assert_null(memory.base);
        sm_memory_deinit(&memory);
    }
}

static void refuses_sizes_that_are_none(void **state)
{
    (void)state;
    static const uint32_t rows[][2] = {
        {2, 1}, {0, 65537}, {65537, 65537}, {UINT32_MAX, UINT32_MAX}, {0, UINT32_MAX}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sm_memory memory;
        struct smelt_error err;
        assert_int_equal(sm_memory_init(&memory, rows[i][0], rows[i][1], &err),
                         SMELT_STATUS_INVALID_ARGUMENT);
        assert_null(memory.base);
    }
}

static void grows_in_place(void **state)
{
    (void)state;
    static const struct {
        uint32_t pages;
        enum sm_memory_growth growth;
        uint32_t now;
    } rows[] = {
        {0, SM_MEMORY_GREW, 1},      {1, SM_MEMORY_GREW, 2},           {7, SM_MEMORY_LIMIT, 2},
        {6, SM_MEMORY_GREW, 8},      {1, SM_MEMORY_LIMIT, 8},          {0, SM_MEMORY_GREW, 8},
        {65536, SM_MEMORY_LIMIT, 8}, {UINT32_MAX, SM_MEMORY_LIMIT, 8},
    };
    struct sm_memory memory;
    assert_int_equal(sm_memory_init(&memory, 1, 8, NULL), SMELT_STATUS_OK);
    uint8_t *base = memory.base;
    base[5] = 0x5a;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t before = memory.size;
        assert_int_equal(sm_memory_grow(&memory, rows[i].pages), rows[i].growth);
        assert_ptr_equal(memory.base, base);
        assert_int_equal(base[5], 0x5a);
        for (uint64_t j = before; j < memory.size; j++) {
            assert_int_equal(base[j], 0);
        }
        assert_extent(&memory, rows[i].now);
    }
    sm_memory_deinit(&memory);
}

static void grows_to_four_gibibytes(void **state)
{
    (void)state;
    struct sm_memory memory;
    assert_int_equal(sm_memory_init(&memory, 0, SM_PAGES_MAX, NULL), SMELT_STATUS_OK);
    for (uint32_t pages = 0; pages < SM_PAGES_MAX; pages += SM_PAGES_MAX / 4) {
        enum sm_memory_growth growth = sm_memory_grow(&memory, SM_PAGES_MAX / 4);
        if (growth == SM_MEMORY_REFUSED) {
            sm_memory_deinit(&memory);
            skip(); /* a machine that does not overcommit */
        }
        assert_int_equal(growth, SM_MEMORY_GREW);
        assert_extent(&memory, pages + SM_PAGES_MAX / 4);
    }
    assert_int_equal(sm_memory_grow(&memory, 1), SM_MEMORY_LIMIT);
    sm_memory_deinit(&memory);
}

/* With no address space left. */
static void a_full_machine_is_no_memory(void **state)
{
    (void)state;
    struct rlimit before;
    struct smelt_error err;
    struct sm_memory memory;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    enum smelt_status status = sm_memory_init(&memory, 1, 16, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    assert_null(memory.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_its_pages),
        cmocka_unit_test(refuses_sizes_that_are_none),
        cmocka_unit_test(grows_in_place),
        cmocka_unit_test(grows_to_four_gibibytes),
        cmocka_unit_test(a_full_machine_is_no_memory),
    };
    return cmocka_run_group_tests_name("exec_memory", tests, NULL, NULL);
}
