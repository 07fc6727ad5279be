/* Linear memory in a slot: what is accessible at every size, what growth answers, and that reset
 * and unbind leave nothing behind. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/mapping.h"

#include "base/alloc.h"
#include "runtime/exec/memory.h"
#include "runtime/exec/slots.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
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

/* ---- torture ------------------------------------------------------------------------------ */

#define TORTURE_CYCLES 400

#ifndef MADV_PAGEOUT /* Linux 5.4 */
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ /* Linux 5.14 */
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1664525 + 1013904223;
    return *random >> 8;
}

/* Stores that change a byte, stores that do not, stores of zero, loads, growth, and what the kernel
 * may do to pages of its own accord: read ahead, swap out, collapse into huge pages. Whether it
 * does as it is told makes no difference. */
static void torture(struct sm_memory *memory, uint32_t *random)
{
    static const uint32_t counts[] = {0, 1, 3, 40, 256, 300, 700};
    uint32_t count = counts[next_random(random) % COUNT(counts)];
    if (next_random(random) % 4 == 0) {
        (void)sm_memory_grow(memory, next_random(random) % 33);
    }
    uint64_t pages = memory->size / 4096;
    /* often on and around the data */
    bool is_near_data = next_random(random) % 2 == 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t page = next_random(random) % (is_near_data && pages > 16 ? 16 : pages);
        volatile uint8_t *byte = memory->base + page * 4096 + next_random(random) % 4096;
        switch (next_random(random) % 4) {
        case 0:
            *byte = (uint8_t)next_random(random);
            break;
        case 1:
            *byte = *byte;
            break;
        case 2:
            memset(memory->base + page * 4096, 0, 4096);
            break;
        default:
            (void)*byte;
        }
    }
    switch (next_random(random) % 8) {
    case 0:
        (void)madvise(memory->base, memory->size, MADV_PAGEOUT);
        break;
    case 1:
        (void)madvise(memory->base, memory->size, MADV_POPULATE_READ);
        break;
    case 2:
        (void)madvise(memory->base, memory->size, MADV_HUGEPAGE);
        (void)madvise(memory->base, memory->size, MADV_COLLAPSE);
        (void)madvise(memory->base, memory->size, MADV_NOHUGEPAGE);
        break;
    default:
        break;
    }
}

/* Two activations of one image side by side: whatever is done to one of them, it is like new after
 * a reset, and the other as it was. */
static void torture_leaves_no_trace(void **state)
{
    (void)state;
    static const enum sm_exec_reset ways[] = {SM_EXEC_RESET_SCAN, SM_EXEC_RESET_PAGEMAP,
                                              SM_EXEC_RESET_DISCARD};
    static uint8_t initial[32 * SM_PAGE_BYTES];
    static uint8_t beside[32 * SM_PAGE_BYTES];
    struct sm_descriptor descriptor = descriptor_with_data();
    struct sm_slot *other_slot;
    uint32_t random = 20;
    memcpy(initial + segments[0].memory_offset, data_bytes, sizeof(data_bytes));
    assert_int_equal(sm_slots_take(&slots, &other_slot, NULL), SMELT_STATUS_OK);
    for (size_t i = 0; i < COUNT(ways) * 2; i++) {
        struct sm_pagemap pagemap;
        struct sm_image image;
        struct sm_memory memory;
        struct sm_memory other;
        uint64_t resident;
        sm_pagemap_init(&pagemap, ways[i / 2]);
        assert_int_equal(sm_image_init(&image, &descriptor, pagemap.page_bytes, i % 2 == 0, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(sm_memory_bind(&memory, slot->base, &image, 64, NULL), SMELT_STATUS_OK);
        assert_int_equal(sm_memory_bind(&other, other_slot->base, &image, 64, NULL),
                         SMELT_STATUS_OK);
        for (uint32_t cycle = 0; cycle < TORTURE_CYCLES; cycle++) {
            if (cycle % 50 == 0) {
                torture(&other, &random);
                memcpy(beside, other.base, sizeof(beside));
            }
            torture(&memory, &random);
            assert_true(sm_memory_reset(&memory, &image, &pagemap, &resident));
            assert_int_equal(memory.size, sizeof(initial));
            /* to look everywhere changes what is resident: not each time */
            uint64_t from = cycle % 8 == 0 ? 0 : next_random(&random) % 500 * 4096;
            uint64_t size = cycle % 8 == 0 ? sizeof(initial) : UINT64_C(12) * 4096;
            assert_true(memcmp(memory.base + from, initial + from, size) == 0);
            assert_true(memcmp(memory.base, initial, (size_t)8 * 4096) == 0);
            assert_true(cycle % 8 != 0 || memcmp(other.base, beside, sizeof(beside)) == 0);
        }
        assert_false(is_readable(memory.base + memory.size));
        assert_true(sm_memory_unbind(&memory));
        assert_true(sm_memory_unbind(&other));
        sm_image_deinit(&image);
        sm_pagemap_deinit(&pagemap);
    }
    sm_slots_give(&slots, other_slot);
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

/* A file that cannot be mapped in the way of what should grow: nothing stays accessible. */
static void refused_growth_leaves_no_access(void **state)
{
    (void)state;
    struct sm_memory memory;
    struct sm_image image = empty_image(1);
    assert_int_equal(sm_memory_bind(&memory, slot->base, &image, 8, NULL), SMELT_STATUS_OK);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    uint8_t *obstacle = memory.base + 3 * SM_PAGE_BYTES;
    assert_ptr_equal(mmap(obstacle, SM_PAGE_BYTES, PROT_NONE, MAP_SHARED | MAP_FIXED, fd, 0),
                     obstacle);
    (void)close(fd);
    assert_int_equal(sm_memory_grow(&memory, 4), SM_MEMORY_REFUSED);
    assert_extent(&memory, 1);
    assert_ptr_equal(mmap(obstacle, SM_PAGE_BYTES, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0),
                     obstacle);
    assert_true(sm_memory_unbind(&memory));
}

/* A slot that lost a part is never used again. */
static void a_hole_is_noticed(void **state)
{
    (void)state;
    struct sm_memory memory;
    struct sm_image image = empty_image(4);
    struct sm_slots own = {0};
    struct sm_slot *holed;
    assert_int_equal(sm_slots_take(&own, &holed, NULL), SMELT_STATUS_OK);
    image.fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC); /* which cannot be mapped */
    image.data_end = SM_PAGE_BYTES;
    assert_true(image.fd >= 0);
    assert_int_equal(munmap(holed->base, SM_PAGE_BYTES), 0);
    assert_int_equal(sm_memory_bind(&memory, holed->base, &image, 4, NULL), SMELT_STATUS_NO_MEMORY);
    assert_false(sm_memory_unbind(&memory));
    (void)close(image.fd);
    sm_slots_deinit(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_its_pages),
        cmocka_unit_test(grows_in_place),
        cmocka_unit_test(grows_to_four_gibibytes),
        cmocka_unit_test(reset_restores_everything),
        cmocka_unit_test(residency_follows_use),
        cmocka_unit_test(a_full_machine_is_no_memory),
        cmocka_unit_test(torture_leaves_no_trace),
        cmocka_unit_test(refused_growth_leaves_no_access),
        cmocka_unit_test(a_hole_is_noticed),
    };
    int failures = cmocka_run_group_tests_name("exec_memory", tests, reserve, unreserve);
    return failures != 0 || sm_alloc_blocks() != 0;
}
