/* Linear memory in a slot: what is accessible at every size, what growth answers, and that reset
 * and unbind leave nothing behind. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/mapping.h"

#include "base/alloc.h"
#include "runtime/exec/memory.h"
#include "runtime/exec/slots.h"

#include <string.h>
#include <sys/resource.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One slot for all tests. */
static struct sm_slots slots;
static struct sm_slot *slot;

static int reserve(void **state)
{
    (void)state;
    return sm_slots_take(&slots, &slot, NULL) == SMELT_STATUS_OK ? 0 : -1;
}

static int unreserve(void **state)
{
    (void)state;
    sm_slots_deinit(&slots);
    return 0;
}

static void assert_extent(const struct sm_memory *memory, uint64_t pages)
{
    assert_int_equal(memory->size, pages * SM_PAGE_BYTES);
    if (pages != 0) {
        assert_true(is_writable(memory->base));
        assert_true(is_writable(memory->base + memory->size - 1));
    }
    assert_false(is_readable(memory->base - 1));
    assert_false(is_readable(memory->base + memory->size));
    assert_false(is_readable(memory->base + memory->pages_max * SM_PAGE_BYTES));
    assert_false(is_readable(memory->base + SM_SLOT_BYTES));
    assert_false(is_readable(memory->base + SM_SLOT_BYTES + SM_SLOT_GUARD_BYTES - 1));
}

/* Zeroes of `pages` pages. */
static struct sm_image empty_image(uint32_t pages)
{
    static const struct sm_descriptor no_segments;
    return (struct sm_image){.descriptor = &no_segments, .size = pages * SM_PAGE_BYTES, .fd = -1};
}

static void starts_with_its_pages(void **state)
{
    (void)state;
    static const uint32_t rows[][2] = {{0, 0}, {0, 1}, {1, 1}, {1, 4}, {3, 65536}, {0, 65536}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sm_memory memory;
        struct sm_image image = empty_image(rows[i][0]);
        assert_int_equal(sm_memory_bind(&memory, slot->base, &image, rows[i][1], NULL),
                         SMELT_STATUS_OK);
        assert_extent(&memory, rows[i][0]);
        assert_true(sm_memory_unbind(&memory));
        assert_null(memory.base);
        assert_false(is_readable(slot->base));
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
    struct sm_image image = empty_image(1);
    assert_int_equal(sm_memory_bind(&memory, slot->base, &image, 8, NULL), SMELT_STATUS_OK);
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
    assert_true(sm_memory_unbind(&memory));
}

static void grows_to_four_gibibytes(void **state)
{
    (void)state;
    struct sm_memory memory;
    struct sm_image image = empty_image(0);
    bool is_refused = false;
    assert_int_equal(sm_memory_bind(&memory, slot->base, &image, SM_PAGES_MAX, NULL),
                     SMELT_STATUS_OK);
    for (uint32_t pages = 0; pages < SM_PAGES_MAX && !is_refused; pages += SM_PAGES_MAX / 4) {
        enum sm_memory_growth growth = sm_memory_grow(&memory, SM_PAGES_MAX / 4);
        is_refused = growth == SM_MEMORY_REFUSED; /* a machine that does not overcommit */
        if (!is_refused) {
            assert_int_equal(growth, SM_MEMORY_GREW);
            assert_extent(&memory, pages + SM_PAGES_MAX / 4);
        }
    }
    if (!is_refused) {
        assert_int_equal(sm_memory_grow(&memory, 1), SM_MEMORY_LIMIT);
    }
    assert_true(sm_memory_unbind(&memory));
    assert_false(is_readable(slot->base));
    if (is_refused) {
        skip();
    }
}

/* ---- reset -------------------------------------------------------------------------------- */

/* Data on the pages 3, 4 and 5 of 4 KiB, and how its image is kept. */
static const uint8_t data_bytes[9000] = {1, 2, 3, [8999] = 9};
static const struct sm_data_segment segments[] = {{.bytes = data_bytes,
                                                   .size = sizeof(data_bytes),
                                                   .memory_offset = 3 * 4096 + 7,
                                                   .is_active = 1}};
static const struct sm_descriptor with_data = {.instance_size = sizeof(struct sm_instance),
                                               .state_offset = sizeof(struct sm_instance),
                                               .has_memory = 1,
                                               .memory_min = 32,
                                               .memory_max = 64,
                                               .data_segments = segments,
                                               .data_segment_count = COUNT(segments)};

static uint8_t dropped_state[1];

static struct sm_descriptor descriptor_with_data(void)
{
    struct sm_descriptor descriptor = with_data;
    descriptor.instance_size += 8;
    descriptor.state_size = sizeof(dropped_state);
    descriptor.state_image = dropped_state;
    return descriptor;
}

static void assert_initial(const struct sm_memory *memory)
{
    static uint8_t expected[32 * SM_PAGE_BYTES];
    memcpy(expected + segments[0].memory_offset, data_bytes, sizeof(data_bytes));
    assert_int_equal(memory->size, sizeof(expected));
    assert_true(memcmp(memory->base, expected, sizeof(expected)) == 0);
}

/* Ways to spoil a memory of 32 pages; each 4 KiB page of [from, to) every `step`. */
static const struct spoil {
    uint32_t from;
    uint32_t to;
    uint32_t step;
    uint32_t grow; /* pages of 64 KiB */
} spoils[] = {
    {0, 0, 1, 0},   {0, 1, 1, 0},     {3, 6, 1, 0},       {2, 7, 2, 0},      {511, 512, 1, 0},
    {0, 512, 2, 0}, {0, 256, 1, 0},   {0, 257, 1, 0},     {0, 512, 1, 0},    {0, 512, 31, 1},
    {0, 544, 1, 2}, {512, 544, 3, 2}, {512, 1024, 1, 32}, {100, 101, 1, 32}, {0, 200, 1, 0},
    {7, 8, 1, 0},   {7, 8, 1, 0}, /* after many: what is resident is not what was written */
};

static void spoil(struct sm_memory *memory, const struct spoil *how)
{
    if (how->grow != 0) {
        assert_int_equal(sm_memory_grow(memory, how->grow), SM_MEMORY_GREW);
    }
    for (uint32_t page = how->from; page < how->to; page += how->step) {
        memory->base[page * 4096u + page % 4096u] = 0xa5;
        memory->base[page * 4096u + 4095] = 0x5a;
    }
}

static void reset_restores_everything(void **state)
{
    (void)state;
    static const enum sm_exec_reset ways[] = {SM_EXEC_RESET_SCAN, SM_EXEC_RESET_PAGEMAP,
                                              SM_EXEC_RESET_DISCARD};
    struct sm_descriptor descriptor = descriptor_with_data();
    for (size_t i = 0; i < COUNT(ways) * 2; i++) {
        struct sm_pagemap pagemap;
        struct sm_image image;
        struct sm_memory memory;
        uint64_t resident;
        sm_pagemap_init(&pagemap, ways[i / 2]);
        if (pagemap.way != ways[i / 2]) {
            print_message("[          ] this kernel does not have way %d\n", (int)ways[i / 2]);
        }
        assert_int_equal(sm_image_init(&image, &descriptor, pagemap.page_bytes, i % 2 == 0, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(image.fd >= 0, i % 2 == 0);
        assert_int_equal(sm_memory_bind(&memory, slot->base, &image, 64, NULL), SMELT_STATUS_OK);
        assert_initial(&memory);
        for (size_t j = 0; j < COUNT(spoils); j++) {
            spoil(&memory, &spoils[j]);
            assert_true(sm_memory_reset(&memory, &image, &pagemap, &resident));
            assert_extent(&memory, 32); /* writes 1 */
            memory.base[0] = 0;
            memory.base[memory.size - 1] = 0;
            assert_initial(&memory);
            assert_true(resident <= SM_PRIVATE_PAGES_MAX * pagemap.page_bytes);
        }
        assert_true(sm_memory_unbind(&memory));
        assert_false(is_readable(slot->base));
        assert_false(is_readable(slot->base + segments[0].memory_offset));
        sm_image_deinit(&image);
        sm_pagemap_deinit(&pagemap);
    }
}

/* What is kept resident: as much as was written, until little of it is written again. */
static void residency_follows_use(void **state)
{
    (void)state;
    struct sm_pagemap pagemap;
    struct sm_image image = empty_image(32);
    struct sm_memory memory;
    uint64_t resident;
    sm_pagemap_init(&pagemap, SM_EXEC_RESET_AUTO);
    if (pagemap.way == SM_EXEC_RESET_DISCARD || pagemap.page_bytes != 4096) {
        sm_pagemap_deinit(&pagemap);
        skip();
    }
    static const struct {
        uint32_t written; /* pages */
        uint32_t resident;
    } rows[] = {
        {0, 0},     {1, 1},     {10, 10}, {1, 10}, /* a few spare ones stay */
        {200, 200}, {150, 200}, {1, 0},            /* many do not */
        {256, 256}, {257, 0},   {5, 5},   {512, 0},
    };
    assert_int_equal(sm_memory_bind(&memory, slot->base, &image, 32, NULL), SMELT_STATUS_OK);
    for (size_t i = 0; i < COUNT(rows); i++) {
        spoil(&memory, &(struct spoil){.to = rows[i].written, .step = 1});
        assert_true(sm_memory_reset(&memory, &image, &pagemap, &resident));
        assert_int_equal(resident, rows[i].resident * UINT64_C(4096));
    }
    assert_true(sm_memory_unbind(&memory));
    sm_pagemap_deinit(&pagemap);
}

/* With no address space left. */
static void a_full_machine_is_no_memory(void **state)
{
    (void)state;
    struct rlimit before;
    struct smelt_error err;
    struct sm_slots none_left = {0};
    struct sm_slot *none;
    size_t blocks = sm_alloc_blocks();
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit limit = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    enum smelt_status status = sm_slots_take(&none_left, &none, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    assert_null(none);
    assert_int_equal(sm_alloc_blocks(), blocks);
    sm_slots_deinit(&none_left);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_its_pages),   cmocka_unit_test(grows_in_place),
        cmocka_unit_test(grows_to_four_gibibytes), cmocka_unit_test(reset_restores_everything),
        cmocka_unit_test(residency_follows_use),   cmocka_unit_test(a_full_machine_is_no_memory),
    };
    int failures = cmocka_run_group_tests_name("exec_memory", tests, reserve, unreserve);
    return failures != 0 || sm_alloc_blocks() != 0;
}
