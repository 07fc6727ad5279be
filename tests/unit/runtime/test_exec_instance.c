/* Activations: initial state, segments at their edges, nothing left over from others. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/guest.h"

#include "base/alloc.h"
#include "base/bytes.h"

#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FUEL         UINT64_C(100000)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum sm_exec_action no_host(void *context, struct sm_activation *activation, uint32_t import,
                                   uint64_t *slots)
{
    (void)context;
    (void)activation;
    (void)import;
    (void)slots;
    return SM_EXEC_STOP;
}

static const struct sm_exec_host host = {.call = no_host};

static struct sm_exec_result run(struct sm_activation *activation, const char *name,
                                 uint64_t *slots)
{
    struct sm_exec_result result;
    sm_exec_invoke(
        activation,
        sm_exec_find_export(sm_exec_module_of(activation), smelt_slice_from_string(name)), slots,
        &result);
    return result;
}

static struct sm_activation *create(struct sm_exec_module *module)
{
    struct sm_activation *activation;
    struct smelt_error err;
    assert_int_equal(sm_exec_create(module, &host, FUEL, &activation, &err), SMELT_STATUS_OK);
    assert_int_equal(sm_exec_fuel(activation), FUEL);
    return activation;
}

static struct sm_activation *create_and_start(struct sm_exec_module *module)
{
    struct sm_activation *activation = create(module);
    struct sm_exec_result result;
    sm_exec_start(activation, &result);
    assert_int_equal(result.end, SM_EXEC_RETURNED);
    assert_int_equal(sm_exec_fuel(activation), FUEL);
    return activation;
}

static uint64_t observe(struct sm_activation *activation)
{
    uint64_t slots[1] = {0};
    assert_int_equal(run(activation, "observe", slots).end, SM_EXEC_RETURNED);
    return slots[0];
}

static void activations_are_isolated(void **state)
{
    (void)state;
    struct sm_exec_module *module = guest_load_all();
    struct sm_activation *first = create_and_start(module);
    uint64_t fresh = observe(first);
    uint64_t slots[2] = {3};
    assert_int_equal(run(first, "dirty", slots).end, SM_EXEC_RETURNED);
    assert_int_equal(run(first, "grow", slots).end, SM_EXEC_RETURNED);
    assert_int_equal(run(first, "dirty", slots).end, SM_EXEC_RETURNED);
    assert_int_not_equal(observe(first), fresh);

    struct sm_activation *beside = create_and_start(module);
    assert_int_equal(observe(beside), fresh);
    sm_exec_destroy(first);
    assert_int_equal(observe(beside), fresh);
    struct sm_activation *after = create_and_start(module); /* at the same addresses */
    assert_ptr_equal(after, first);
    assert_int_equal(observe(after), fresh);
    slots[0] = 65532 + 4;
    assert_int_equal(run(after, "load", slots).end, SM_EXEC_TRAPPED);
    sm_exec_destroy(after);

    /* an activation keeps its module */
    sm_exec_release(module);
    assert_int_equal(observe(beside), fresh);
    sm_exec_destroy(beside);
    sm_exec_destroy(NULL);
}

static void active_segments_are_applied_and_dropped(void **state)
{
    (void)state;
    struct sm_exec_module *module = guest_load_all();
    struct sm_activation *activation = create_and_start(module);
    uint64_t size;
    const uint8_t *memory = sm_exec_memory(activation, &size);
    assert_int_equal(size, 65536);
    assert_memory_equal(memory + 16, "smelt", 5);
    assert_memory_equal(memory + 65536 - 5, "smelt", 5);
    assert_int_equal(memory[0], 0);

    static const struct {
        const char *name;
        uint64_t slots[4]; /* segment, to, from, size */
        enum sm_exec_end end;
    } rows[] = {
        {"memory_init", {2, 0, 0, 5}, SM_EXEC_RETURNED},
        {"memory_init", {2, 65531, 0, 5}, SM_EXEC_RETURNED},
        {"memory_init", {2, 65532, 0, 5}, SM_EXEC_TRAPPED},
        {"memory_init", {2, 0, 1, 5}, SM_EXEC_TRAPPED},
        {"memory_init", {0, 0, 0, 0}, SM_EXEC_RETURNED}, /* dropped: of size 0 */
        {"memory_init", {0, 0, 0, 1}, SM_EXEC_TRAPPED},
        {"memory_init", {1, 0, 0, 1}, SM_EXEC_TRAPPED},
        {"table_init", {2, 5, 0, 3}, SM_EXEC_RETURNED},
        {"table_init", {2, 6, 0, 3}, SM_EXEC_TRAPPED},
        {"table_init", {2, 0, 1, 3}, SM_EXEC_TRAPPED},
        {"table_init", {2, UINT32_MAX, 0, 3}, SM_EXEC_TRAPPED},
        {"table_init", {0, 0, 0, 0}, SM_EXEC_RETURNED},
        {"table_init", {0, 0, 0, 1}, SM_EXEC_TRAPPED},
        {"table_init", {1, 0, 0, 1}, SM_EXEC_TRAPPED},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t slots[4];
        memcpy(slots, rows[i].slots, sizeof(slots));
        assert_int_equal(run(activation, rows[i].name, slots).end, rows[i].end);
    }
    uint64_t slots[3] = {5, 2, 3};
    assert_int_equal(run(activation, "indirect", slots).end, SM_EXEC_RETURNED);
    assert_int_equal(slots[0], 5);
    sm_exec_destroy(activation);
    sm_exec_release(module);
}

static void segments_at_their_edges(void **state)
{
    (void)state;
#define DATA(i, field, value)                                                                      \
    PATCH_AT("smelt_data_segments", struct sm_data_segment, i, field, value)
#define ELEM(i, field, value)                                                                      \
    PATCH_AT("smelt_elem_segments", struct sm_elem_segment, i, field, value)
    static const struct {
        struct guest_patch patch;
        enum smelt_trap trap; /* NONE: fits */
    } rows[] = {
        {DATA(1, memory_offset, 65536 - 5), SMELT_TRAP_NONE},
        {DATA(1, memory_offset, 65536 - 4), SMELT_TRAP_MEMORY_OUT_OF_BOUNDS},
        {DATA(1, memory_offset, UINT32_MAX), SMELT_TRAP_MEMORY_OUT_OF_BOUNDS},
        {DATA(1, size, 6), SMELT_TRAP_MEMORY_OUT_OF_BOUNDS},
        {DATA(1, size, 0), SMELT_TRAP_NONE},
        {DATA(0, size, 0), SMELT_TRAP_NONE},
        {DATA(2, memory_offset, UINT32_MAX), SMELT_TRAP_NONE}, /* passive */
        {ELEM(0, table_offset, 5), SMELT_TRAP_NONE},
        {ELEM(0, table_offset, 6), SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
        {ELEM(0, table_offset, UINT32_MAX), SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
        {ELEM(1, table_offset, 8), SMELT_TRAP_NONE}, /* empty, at the end */
        {ELEM(1, table_offset, 9), SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
        {ELEM(2, table_offset, UINT32_MAX), SMELT_TRAP_NONE}, /* passive */
        {PATCH("smelt_descriptor", struct sm_descriptor, table_size, 3),
         SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
        {PATCH("smelt_descriptor", struct sm_descriptor, table_size, 0),
         SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sm_exec_module *module;
        struct sm_exec_result result;
        int fd = guest_open("guest_all.so", &rows[i].patch, 1);
        assert_int_equal(
            sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_all_hash, &module, NULL),
            SMELT_STATUS_OK);
        (void)close(fd);
        struct sm_activation *activation = create(module);
        sm_exec_start(activation, &result);
        assert_int_equal(result.trap, rows[i].trap);
        assert_int_equal(result.end,
                         rows[i].trap == SMELT_TRAP_NONE ? SM_EXEC_RETURNED : SM_EXEC_TRAPPED);
        assert_false(result.has_offset);
        /* what came before the segment that does not fit stays; elements come before data */
        uint64_t size;
        const uint8_t *memory = sm_exec_memory(activation, &size);
        assert_int_equal(memory[16] != 0, rows[i].trap != SMELT_TRAP_TABLE_OUT_OF_BOUNDS && i != 5);
        sm_exec_destroy(activation);
        sm_exec_release(module);
    }
}

static void a_module_may_own_nothing(void **state)
{
    (void)state;
    struct sm_exec_module *module;
    int fd = guest_open("guest_bare.so", NULL, 0);
    assert_int_equal(
        sm_exec_load(guest_pool(), fd, &guest_bare_key, &guest_bare_hash, &module, NULL),
        SMELT_STATUS_OK);
    (void)close(fd);
    struct sm_activation *activation = create_and_start(module);
    uint64_t size = 1;
    assert_null(sm_exec_memory(activation, &size));
    assert_int_equal(size, 0);
    uint64_t slots[1] = {0};
    assert_int_equal(run(activation, "answer", slots).end, SM_EXEC_RETURNED);
    assert_int_equal(slots[0], 42);
    slots[0] = 1; /* a load at address 0 */
    struct sm_exec_result result = run(activation, "answer", slots);
    assert_int_equal(result.trap, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
    assert_int_equal(result.offset, 40);
    static const uint32_t growths[][2] = {{0, 0}, {1, UINT32_MAX}, {UINT32_MAX, UINT32_MAX}};
    for (size_t i = 0; i < COUNT(growths); i++) {
        slots[0] = growths[i][0];
        assert_int_equal(run(activation, "grow", slots).end, SM_EXEC_RETURNED);
        assert_int_equal(slots[0], growths[i][1]);
    }
    assert_null(sm_exec_find_function(module, 0));
    sm_exec_destroy(activation);
    sm_exec_release(module);
}

/* Large, but well-formed: created, or refused as the machine's trouble. */
static void huge_limits_are_the_machines_trouble(void **state)
{
    (void)state;
    static const struct guest_patch rows[] = {
        PATCH("smelt_descriptor", struct sm_descriptor, table_size, 10000000),
        PATCH("smelt_descriptor", struct sm_descriptor, memory_max, 65536),
        PATCH("smelt_descriptor", struct sm_descriptor, stack_bytes, UINT64_C(1) << 32),
        PATCH("smelt_descriptor", struct sm_descriptor, instance_size, UINT64_C(1) << 28),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sm_exec_module *module;
        struct sm_activation *activation;
        int fd = guest_open("guest_all.so", &rows[i], 1);
        assert_int_equal(
            sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_all_hash, &module, NULL),
            SMELT_STATUS_OK);
        (void)close(fd);
        enum smelt_status status = sm_exec_create(module, &host, FUEL, &activation, NULL);
        assert_true(status == SMELT_STATUS_OK || status == SMELT_STATUS_NO_MEMORY);
        assert_int_equal(activation != NULL, status == SMELT_STATUS_OK);
        sm_exec_destroy(activation);
        sm_exec_release(module);
    }
}

/* Each failure at a pool that has nothing: no slot, no idle activation. */
static void allocation_failures(void **state)
{
    (void)state;
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    for (size_t nth = 1; status != SMELT_STATUS_OK; nth++) {
        struct sm_exec_pool *pool;
        struct sm_activation *activation;
        struct smelt_error err;
        assert_int_equal(sm_exec_pool_create(NULL, &pool, NULL), SMELT_STATUS_OK);
        struct sm_exec_module *module = guest_load_all_into(pool);
        size_t blocks = sm_alloc_blocks();
        sm_alloc_fail_at(nth);
        status = sm_exec_create(module, &host, FUEL, &activation, &err);
        sm_alloc_fail_at(0);
        assert_true(nth > 2 || status == SMELT_STATUS_NO_MEMORY);
        if (status != SMELT_STATUS_OK) {
            assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
            assert_null(activation);
            assert_int_equal(sm_alloc_blocks(), blocks);
            activation = create(module); /* the pool is still usable */
        }
        sm_exec_destroy(activation);
        sm_exec_release(module);
        sm_exec_pool_destroy(pool);
    }
}

/* The heap has room, the address space has not. */
static void mapping_failures(void **state)
{
    (void)state;
    struct sm_exec_pool *pool;
    assert_int_equal(sm_exec_pool_create(NULL, &pool, NULL), SMELT_STATUS_OK);
    struct sm_exec_module *module = guest_load_all_into(pool);
    size_t blocks = sm_alloc_blocks();
    struct rlimit before;
    struct smelt_error err;
    struct sm_activation *activation;
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    enum smelt_status status = sm_exec_create(module, &host, FUEL, &activation, &err);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    assert_null(activation);
    assert_int_equal(sm_alloc_blocks(), blocks);

    /* then there is a slot, but no guest stack */
    activation = create_and_start(module);
    assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
    uint64_t slots[1] = {0};
    struct sm_exec_result result = run(activation, "observe", slots);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(result.end, SM_EXEC_FAILED);
    assert_int_equal(result.status, SMELT_STATUS_NO_MEMORY);
    (void)observe(activation);
    sm_exec_destroy(activation);
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_are_isolated),
        cmocka_unit_test(active_segments_are_applied_and_dropped),
        cmocka_unit_test(segments_at_their_edges),
        cmocka_unit_test(a_module_may_own_nothing),
        cmocka_unit_test(huge_limits_are_the_machines_trouble),
        cmocka_unit_test(allocation_failures),
        cmocka_unit_test(mapping_failures),
    };
    int failures = cmocka_run_group_tests_name("exec_instance", tests, NULL, NULL);
    guest_pool_close();
    return failures != 0 || sm_alloc_blocks() != 0;
}
