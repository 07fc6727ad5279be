/* The pool: nothing of one activation is visible to the next, on every way of reset; limits are
 * statuses; threads share it. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/guest.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "runtime/exec/activation.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_MEMORY_MERGE /* Linux 6.4 */
#define PR_SET_MEMORY_MERGE 67
#endif

#define FUEL         UINT64_C(100000000)
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

static struct sm_exec_pool *create_pool(const struct sm_exec_pool_options *options)
{
    struct sm_exec_pool *pool;
    assert_int_equal(sm_exec_pool_create(options, &pool, NULL), SMELT_STATUS_OK);
    return pool;
}

static struct sm_exec_module *load_patched(struct sm_exec_pool *pool,
                                           const struct guest_patch *patches, size_t count)
{
    struct sm_exec_module *module;
    int fd = guest_open("guest_all.so", patches, count);
    assert_int_equal(sm_exec_load(pool, fd, &guest_all_key, &guest_all_hash, &module, NULL),
                     SMELT_STATUS_OK);
    (void)close(fd);
    return module;
}

/* The end of a run, which threads and children may ask for too. */
static enum sm_exec_end run(struct sm_activation *activation, const char *name, uint64_t *slots)
{
    struct sm_exec_result result;
    sm_exec_invoke(
        activation,
        sm_exec_find_export(sm_exec_module_of(activation), smelt_slice_from_string(name)), slots,
        &result);
    return result.end;
}

/* NULL when the machine refuses. */
static struct sm_activation *try_create(struct sm_exec_module *module)
{
    struct sm_activation *activation;
    return sm_exec_create(module, &host, FUEL, &activation, NULL) == SMELT_STATUS_OK ? activation
                                                                                     : NULL;
}

static struct sm_activation *create(struct sm_exec_module *module)
{
    struct sm_activation *activation = try_create(module);
    assert_non_null(activation);
    return activation;
}

static uint64_t observe(struct sm_activation *activation)
{
    uint64_t slots[1] = {0};
    return run(activation, "observe", slots) == SM_EXEC_RETURNED ? slots[0] : 0;
}

/* Everything an activation owns: memory, all of what it can grow to, table, globals, segments. */
static bool spoil(struct sm_activation *activation)
{
    uint64_t slots[1] = {3};
    return run(activation, "dirty", slots) == SM_EXEC_RETURNED &&
           run(activation, "grow", slots) == SM_EXEC_RETURNED &&
           run(activation, "dirty", slots) == SM_EXEC_RETURNED;
}

static bool is_fresh(struct sm_activation *activation, uint64_t fresh)
{
    uint64_t size;
    (void)sm_exec_memory(activation, &size);
    uint64_t slots[1] = {65536};
    return size == 65536 && observe(activation) == fresh &&
           run(activation, "load", slots) == SM_EXEC_TRAPPED &&
           sm_exec_fuel(activation) == FUEL - 2;
}

/* ---- isolation ---------------------------------------------------------------------------- */

struct borrower {
    struct sm_exec_module *module;
    uint64_t fresh;
    bool is_fresh;
};

static void *borrow(void *argument)
{
    struct borrower *borrower = (struct borrower *)argument;
    struct sm_activation *activation = try_create(borrower->module);
    borrower->is_fresh = activation != NULL && is_fresh(activation, borrower->fresh);
    if (activation != NULL && !spoil(activation)) {
        borrower->is_fresh = false;
    }
    sm_exec_destroy(activation);
    return NULL;
}

static void check_isolation(const struct sm_exec_pool_options *options)
{
    struct sm_exec_pool *pool = create_pool(options);
    struct sm_exec_module *module = guest_load_all_into(pool);
    struct sm_exec_module *other = guest_load_all_into(pool);
    struct sm_activation *activation = create(module);
    uint64_t fresh = observe(activation);
    sm_exec_destroy(activation);
    for (int round = 0; round < 3; round++) {
        /* the same module, then another, each on what was just spoilt */
        struct sm_exec_module *modules[] = {module, module, other, module, other, other};
        for (size_t i = 0; i < COUNT(modules); i++) {
            activation = create(modules[i]);
            assert_true(is_fresh(activation, fresh));
            assert_true(spoil(activation));
            assert_int_not_equal(observe(activation), fresh);
            sm_exec_destroy(activation);
        }
        /* another thread, and this one again */
        struct borrower borrower = {.module = module, .fresh = fresh};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, borrow, &borrower), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_true(borrower.is_fresh);
        /* two at a time */
        activation = create(module);
        struct sm_activation *beside = create(module);
        assert_true(is_fresh(activation, fresh));
        assert_true(spoil(activation));
        assert_true(is_fresh(beside, fresh));
        sm_exec_destroy(activation);
        sm_exec_destroy(beside);
    }
    /* pages that the process has locked */
    uint64_t size;
    activation = create(module);
    void *memory = sm_exec_memory(activation, &size);
    if (mlock(memory, size) == 0) {
        assert_true(spoil(activation));
        sm_exec_destroy(activation);
        activation = create(module);
        assert_true(is_fresh(activation, fresh));
    }
    sm_exec_destroy(activation);
    /* a module that comes when the other has gone */
    sm_exec_release(module);
    module = guest_load_all_into(pool);
    activation = create(module);
    assert_true(is_fresh(activation, fresh));
    sm_exec_destroy(activation);
    sm_exec_release(module);
    sm_exec_release(other);
    sm_exec_pool_destroy(pool);
}

static void nothing_is_visible_to_the_next(void **state)
{
    (void)state;
    static const enum sm_exec_reset ways[] = {SM_EXEC_RESET_AUTO, SM_EXEC_RESET_SCAN,
                                              SM_EXEC_RESET_PAGEMAP, SM_EXEC_RESET_DISCARD};
    for (size_t i = 0; i < COUNT(ways); i++) {
        struct sm_exec_pool *pool = create_pool(&(struct sm_exec_pool_options){.reset = ways[i]});
        enum sm_exec_reset way = sm_exec_pool_reset(pool);
        sm_exec_pool_destroy(pool);
        assert_int_not_equal(way, SM_EXEC_RESET_AUTO);
        if (ways[i] != SM_EXEC_RESET_AUTO && way != ways[i]) {
            assert_int_equal(way, SM_EXEC_RESET_DISCARD);
            print_message("[          ] this kernel does not have way %d\n", (int)ways[i]);
            continue;
        }
        for (int copies = 0; copies < 2; copies++) {
            for (uint64_t idle = 0; idle < 2; idle++) { /* 1: no activation stays idle */
                check_isolation(&(struct sm_exec_pool_options){
                    .reset = ways[i], .copies_images = copies != 0, .idle_bytes = idle});
            }
        }
    }
}

/* Blocks too large to be copied are made anew. */
static void large_tables_are_isolated(void **state)
{
    (void)state;
    static const struct guest_patch patch =
        PATCH("smelt_descriptor", struct sm_descriptor, table_size, 100000);
    struct sm_exec_module *module = load_patched(guest_pool(), &patch, 1);
    struct sm_activation *activation = create(module);
    uint64_t fresh = observe(activation);
    for (int i = 0; i < 3; i++) {
        assert_true(is_fresh(activation, fresh) || i == 0);
        assert_true(spoil(activation));
        sm_exec_destroy(activation);
        activation = create(module);
    }
    assert_true(is_fresh(activation, fresh));
    sm_exec_destroy(activation);
    sm_exec_release(module);
}

/* ---- reuse -------------------------------------------------------------------------------- */

static void idle_activations_are_used_again(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool(NULL);
    struct sm_exec_module *module = guest_load_all_into(pool);
    struct sm_exec_module *other = guest_load_all_into(pool);
    struct sm_activation *first = create(module);
    size_t blocks = sm_alloc_blocks();
    sm_exec_destroy(first);
    assert_int_equal(sm_alloc_blocks(), blocks);
    struct sm_activation *beside = create(other);
    assert_ptr_not_equal(beside, first);
    assert_ptr_equal(create(module), first);
    sm_exec_destroy(first);
    sm_exec_destroy(beside);
    sm_exec_release(module);
    sm_exec_release(other);
    sm_exec_pool_destroy(pool);
}

/* Modules come and go; their slots stay. */
static void slots_outlive_modules(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool(NULL);
    const uint8_t *base = NULL;
    size_t blocks = 0;
    for (int i = 0; i < 40; i++) {
        uint64_t size;
        struct sm_exec_module *module = guest_load_all_into(pool);
        struct sm_activation *activation = create(module);
        const uint8_t *memory = sm_exec_memory(activation, &size);
        assert_true(i == 0 || memory == base);
        base = memory;
        assert_true(spoil(activation));
        sm_exec_destroy(activation);
        sm_exec_release(module);
        assert_true(i == 0 || sm_alloc_blocks() == blocks);
        blocks = sm_alloc_blocks();
    }
    sm_exec_pool_destroy(pool);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void too_many_instances_are_a_status(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool(&(struct sm_exec_pool_options){.instances_max = 3});
    struct sm_exec_module *module = guest_load_all_into(pool);
    struct sm_activation *live[3];
    struct sm_activation *refused;
    struct smelt_error err;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT(live); i++) {
            live[i] = create(module);
        }
        assert_int_equal(sm_exec_create(module, &host, FUEL, &refused, &err),
                         SMELT_STATUS_INSTANCE_LIMIT);
        assert_null(refused);
        assert_non_null(strstr(err.message, "all 3 instances"));
        for (size_t i = 0; i < COUNT(live); i++) {
            (void)observe(live[i]);
            sm_exec_destroy(live[i]);
        }
    }
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
}

/* More modules than slots: idle activations of the others give way. */
static void idle_activations_give_way(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool(&(struct sm_exec_pool_options){.instances_max = 1});
    struct sm_exec_module *modules[40]; /* address space is reserved for sixteen */
    uint64_t fresh = 0;
    for (size_t i = 0; i < COUNT(modules); i++) {
        modules[i] = guest_load_all_into(pool);
    }
    for (size_t i = 0; i < 3 * COUNT(modules); i++) {
        struct sm_activation *activation = create(modules[i % COUNT(modules)]);
        fresh = i == 0 ? observe(activation) : fresh;
        assert_true(i == 0 || is_fresh(activation, fresh));
        assert_true(spoil(activation));
        sm_exec_destroy(activation);
    }
    for (size_t i = 0; i < COUNT(modules); i++) {
        sm_exec_release(modules[i]);
    }
    sm_exec_pool_destroy(pool);
}

static void ten_thousand_live_at_a_time(void **state)
{
    (void)state;
    enum { LIVE = 10000 };
    static struct sm_activation *live[LIVE];
    struct sm_exec_pool *pool = create_pool(NULL);
    struct sm_exec_module *module = guest_load_all_into(pool);
    size_t count = 0;
    uint64_t fresh = 0;
    uint32_t random = 1;
    uint64_t slots[2];
    for (int round = 0; round < 2; round++) {
        for (count = 0; count < LIVE; count++) {
            live[count] = try_create(module);
            if (live[count] == NULL) {
                break;
            }
            fresh = fresh == 0 ? observe(live[count]) : fresh;
            slots[0] = 1024;
            assert_int_equal(run(live[count], "load", slots), SM_EXEC_RETURNED);
            assert_int_equal(slots[0], 0);
            slots[0] = 1024;
            slots[1] = count + 1;
            assert_int_equal(run(live[count], "store", slots), SM_EXEC_RETURNED);
        }
        for (size_t i = 0; i < count; i++) {
            slots[0] = 1024;
            assert_int_equal(run(live[i], "load", slots), SM_EXEC_RETURNED);
            assert_int_equal(slots[0], i + 1);
        }
        for (size_t left = count; left > 0; left--) {
            random = random * 1664525 + 1013904223;
            size_t i = (random >> 8) % left;
            sm_exec_destroy(live[i]);
            live[i] = live[left - 1];
        }
    }
    live[0] = create(module);
    assert_int_equal(observe(live[0]), fresh);
    sm_exec_destroy(live[0]);
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
    if (count < LIVE) {
        print_message("[          ] this machine has room for %zu instances only\n", count);
        skip();
    }
}

/* ---- a machine that refuses, each time in a child process --------------------------------- */

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void in_child(void (*test)(struct sm_exec_pool *pool, struct sm_exec_module *module,
                                  struct sm_exec_module *other),
                     struct sm_exec_pool *pool)
{
    struct sm_exec_module *module = guest_load_all_into(pool);
    struct sm_exec_module *other = guest_load_all_into(pool);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        test(pool, module, other);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sm_exec_release(module);
    sm_exec_release(other);
    sm_exec_pool_destroy(pool);
}

static enum smelt_status create_status(struct sm_exec_module *module)
{
    struct sm_activation *activation;
    enum smelt_status status = sm_exec_create(module, &host, FUEL, &activation, NULL);
    sm_exec_destroy(activation);
    return status;
}

static void limit_address_space(uint64_t more)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    REQUIRE(file != NULL && fscanf(file, "%lu", &pages) == 1);
    (void)fclose(file);
    rlim_t size = pages * (rlim_t)sysconf(_SC_PAGESIZE) + more;
    REQUIRE(setrlimit(RLIMIT_AS, &(struct rlimit){size, size}) == 0);
}

static void with_little_address_space(struct sm_exec_pool *pool, struct sm_exec_module *module,
                                      struct sm_exec_module *other)
{
    (void)pool;
    limit_address_space(UINT64_C(12) << 30);
    struct sm_activation *only = try_create(module);
    REQUIRE(only != NULL);
    uint64_t fresh = observe(only);
    REQUIRE(create_status(module) == SMELT_STATUS_NO_MEMORY);
    REQUIRE(create_status(other) == SMELT_STATUS_NO_MEMORY);
    REQUIRE(spoil(only));
    sm_exec_destroy(only);
    /* the idle one gives way */
    struct sm_activation *next = try_create(other);
    REQUIRE(next != NULL && is_fresh(next, fresh));
    REQUIRE(create_status(module) == SMELT_STATUS_NO_MEMORY);
    sm_exec_destroy(next);
    REQUIRE(create_status(module) == SMELT_STATUS_OK);
}

static void little_address_space_is_a_status(void **state)
{
    (void)state;
    in_child(with_little_address_space, create_pool(NULL));
}

static void with_no_mappings_left(struct sm_exec_pool *pool, struct sm_exec_module *module,
                                  struct sm_exec_module *other)
{
    (void)pool;
    static struct sm_activation *live[40];
    struct sm_activation *first = try_create(module);
    REQUIRE(first != NULL);
    uint64_t fresh = observe(first);
    uint64_t slots[1] = {2};
    REQUIRE(run(first, "grow", slots) == SM_EXEC_RETURNED);
    sm_exec_destroy(first);
    first = try_create(module);
    REQUIRE(first != NULL && spoil(first));

    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = 200000;
    uint8_t *many = (uint8_t *)mmap(NULL, pages * page, PROT_NONE,
                                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    REQUIRE(many != MAP_FAILED);
    size_t used = 0;
    while (used < pages && mprotect(many + used * page, page, PROT_READ) == 0) {
        used += 2;
    }
    REQUIRE(used < pages);

    /* what needs no more mappings works, the rest is refused; nothing is lost */
    sm_exec_destroy(first);
    size_t count = 0;
    while (count < COUNT(live) && (live[count] = try_create(other)) != NULL) {
        REQUIRE(is_fresh(live[count], fresh));
        (void)spoil(live[count]); /* growth may be refused */
        count++;
    }
    REQUIRE(count < COUNT(live));
    while (count > 0) {
        sm_exec_destroy(live[--count]);
    }
    for (int i = 0; i < 100; i++) {
        enum smelt_status status = create_status(i % 2 != 0 ? module : other);
        REQUIRE(status == SMELT_STATUS_OK || status == SMELT_STATUS_NO_MEMORY);
    }
    REQUIRE(munmap(many, pages * page) == 0);
    for (count = 0; count < COUNT(live); count++) {
        live[count] = try_create(count % 2 != 0 ? module : other);
        REQUIRE(live[count] != NULL && is_fresh(live[count], fresh));
        REQUIRE(spoil(live[count]));
    }
    while (count > 0) {
        sm_exec_destroy(live[--count]);
    }
}

static void no_mappings_left_is_a_status(void **state)
{
    (void)state;
    if (SM_HAS_ASAN || SM_HAS_TSAN) { /* which need mappings themselves */
        skip();
    }
    for (int copies = 0; copies < 2; copies++) {
        in_child(with_no_mappings_left,
                 create_pool(&(struct sm_exec_pool_options){.copies_images = copies != 0}));
    }
}

/* Whether the kernel may merge equal pages of the mapping that holds `address` (flag mg). */
static bool is_mergeable(const void *address)
{
    char line[512];
    bool is_here = false;
    bool is_found = false;
    bool is_merged = false;
    FILE *file = fopen("/proc/self/smaps", "r");
    REQUIRE(file != NULL);
    while (fgets(line, sizeof(line), file) != NULL) {
        uintptr_t start;
        uintptr_t end;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2) {
            is_here = start <= (uintptr_t)address && (uintptr_t)address < end;
        }
        if (is_here && strncmp(line, "VmFlags:", 8) == 0) {
            is_found = true;
            is_merged = strstr(line, " mg") != NULL;
        }
    }
    (void)fclose(file);
    REQUIRE(is_found);
    return is_merged;
}

/* A page that the contract filled with zeroes and the kernel merged with its own zero page would
 * look like one that was never written. */
static void where_everything_is_merged(struct sm_exec_module *module)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *probe = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(probe != MAP_FAILED);
    if (!is_mergeable(probe)) {
        _exit(77);
    }
    for (int round = 0; round < 2; round++) {
        uint64_t size;
        struct sm_activation *activation = try_create(module);
        REQUIRE(activation != NULL);
        const uint8_t *memory = sm_exec_memory(activation, &size);
        for (uint64_t at = 0; at < size; at += page) {
            REQUIRE(!is_mergeable(memory + at));
        }
        REQUIRE(!is_mergeable(memory + size));
        sm_exec_destroy(activation);
    }
}

static void pages_are_never_merged(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0) != 0) {
            _exit(77);
        }
        where_everything_is_merged(guest_load_all_into(create_pool(NULL)));
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("[          ] this machine does not merge pages of a whole process\n");
        skip();
    }
    assert_int_equal(status, 0);
}

/* The parent's pages are not the child's: neither may be misled by the other's. */
static void after_a_fork(struct sm_exec_pool *pool, struct sm_exec_module *module,
                         struct sm_exec_module *other)
{
    (void)pool;
    struct sm_activation *activation = try_create(module);
    REQUIRE(activation != NULL);
    uint64_t fresh = observe(activation);
    for (int i = 0; i < 3; i++) {
        REQUIRE(spoil(activation));
        sm_exec_destroy(activation);
        activation = try_create(module);
        REQUIRE(activation != NULL && is_fresh(activation, fresh));
        uint64_t slots[2] = {1024, 7}; /* few pages */
        REQUIRE(run(activation, "store", slots) == SM_EXEC_RETURNED);
        sm_exec_destroy(activation);
        activation = try_create(i == 1 ? other : module);
        REQUIRE(activation != NULL && is_fresh(activation, fresh));
    }
    sm_exec_destroy(activation);
    sm_exec_release(module);
    sm_exec_release(other);
}

static void a_child_process_resets_too(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool(NULL);
    struct sm_exec_module *module = guest_load_all_into(pool);
    struct sm_activation *idle = create(module);
    uint64_t fresh = observe(idle);
    sm_exec_destroy(idle);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        after_a_fork(pool, module, guest_load_all_into(pool));
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    idle = create(module);
    assert_true(is_fresh(idle, fresh));
    sm_exec_destroy(idle);
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
}

/* Neither files nor descriptors to be had: images are copied. */
static void images_need_no_descriptor(void **state)
{
    (void)state;
    static const int resources[] = {RLIMIT_FSIZE, RLIMIT_NOFILE};
    for (size_t i = 0; i < COUNT(resources); i++) {
        struct sm_exec_pool *pool = create_pool(NULL);
        struct sm_exec_module *module = guest_load_all_into(pool);
        struct sm_activation *activation = create(module);
        uint64_t fresh = observe(activation);
        sm_exec_destroy(activation);

        struct sm_exec_module *copied;
        struct rlimit before;
        int fd = guest_open("guest_all.so", NULL, 0);
        /* dlopen needs one descriptor for a moment, which the pool's image cannot have as well */
        int last = dup(fd);
        (void)close(last);
        assert_int_equal(getrlimit((__rlimit_resource_t)resources[i], &before), 0);
        struct rlimit none = {.rlim_cur = resources[i] == RLIMIT_NOFILE ? (rlim_t)last + 1 : 0,
                              .rlim_max = before.rlim_max};
        assert_int_equal(setrlimit((__rlimit_resource_t)resources[i], &none), 0);
        enum smelt_status status =
            sm_exec_load(pool, fd, &guest_all_key, &guest_all_hash, &copied, NULL);
        assert_int_equal(setrlimit((__rlimit_resource_t)resources[i], &before), 0);
        (void)close(fd);
        assert_int_equal(status, SMELT_STATUS_OK);
        for (int j = 0; j < 3; j++) {
            activation = create(copied);
            assert_true(is_fresh(activation, fresh));
            assert_true(spoil(activation));
            sm_exec_destroy(activation);
        }
        sm_exec_release(copied);
        sm_exec_release(module);
        sm_exec_pool_destroy(pool);
    }
}

/* ---- threads ------------------------------------------------------------------------------ */

#define THREADS 4
#define MODULES 3
#define ROUNDS  400

struct crowd {
    struct sm_exec_pool *pool;
    struct sm_exec_module *modules[MODULES];
    uint64_t fresh;
    atomic_uint wrong;
};

static void *mill_about(void *argument)
{
    struct crowd *crowd = (struct crowd *)argument;
    struct sm_activation *held[4] = {NULL};
    uint32_t random = (uint32_t)(uintptr_t)&held;
    unsigned wrong = 0;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1664525 + 1013904223;
        size_t at = (random >> 8) % COUNT(held);
        if (held[at] != NULL) {
            sm_exec_destroy(held[at]);
            held[at] = NULL;
            continue;
        }
        held[at] = try_create(crowd->modules[(random >> 16) % MODULES]);
        if (held[at] == NULL) {
            wrong++;
            continue;
        }
        uint64_t slots[2] = {1024 * ((random >> 20) % 60), 7};
        wrong += observe(held[at]) != crowd->fresh;
        wrong += run(held[at], "store", slots) != SM_EXEC_RETURNED;
        wrong += (random >> 28) == 0 && !spoil(held[at]);
    }
    for (size_t i = 0; i < COUNT(held); i++) {
        sm_exec_destroy(held[i]);
    }
    atomic_fetch_add(&crowd->wrong, wrong);
    return NULL;
}

static void threads_share_a_pool(void **state)
{
    (void)state;
    static const uint64_t idle_bytes[] = {0, 1, 100000};
    for (size_t i = 0; i < COUNT(idle_bytes); i++) {
        pthread_t threads[THREADS];
        struct crowd crowd = {
            .pool = create_pool(&(struct sm_exec_pool_options){.idle_bytes = idle_bytes[i]})};
        for (size_t j = 0; j < MODULES; j++) {
            crowd.modules[j] = guest_load_all_into(crowd.pool);
        }
        struct sm_activation *activation = create(crowd.modules[0]);
        crowd.fresh = observe(activation);
        sm_exec_destroy(activation);
        for (size_t j = 0; j < THREADS; j++) {
            assert_int_equal(pthread_create(&threads[j], NULL, mill_about, &crowd), 0);
        }
        /* a module that comes and goes meanwhile */
        for (int j = 0; j < 20; j++) {
            struct sm_exec_module *module = guest_load_all_into(crowd.pool);
            activation = create(module);
            assert_int_equal(observe(activation), crowd.fresh);
            sm_exec_destroy(activation);
            sm_exec_release(module);
        }
        for (size_t j = 0; j < THREADS; j++) {
            assert_int_equal(pthread_join(threads[j], NULL), 0);
        }
        assert_int_equal(crowd.wrong, 0);
        for (size_t j = 0; j < MODULES; j++) {
            sm_exec_release(crowd.modules[j]);
        }
        sm_exec_pool_destroy(crowd.pool);
    }
}

#define CROWD_LIMIT   16u /* as many slots as are reserved at once */
#define CROWD_THREADS 8

/* Too many for the pool: some are told so, and nobody that there is no memory, although the slot he
 * will get is only being given back by another thread. */
static void *jostle(void *argument)
{
    struct crowd *crowd = (struct crowd *)argument;
    struct sm_activation *held[4] = {NULL};
    unsigned wrong = 0;
    for (size_t i = 0; i < (size_t)4 * ROUNDS; i++) {
        struct sm_activation **at = &held[i % COUNT(held)];
        sm_exec_destroy(*at);
        enum smelt_status status =
            sm_exec_create(crowd->modules[i % MODULES], &host, FUEL, at, NULL);
        wrong += status != SMELT_STATUS_OK && status != SMELT_STATUS_INSTANCE_LIMIT;
    }
    for (size_t i = 0; i < COUNT(held); i++) {
        sm_exec_destroy(held[i]);
    }
    atomic_fetch_add(&crowd->wrong, wrong);
    return NULL;
}

static void a_full_pool_is_no_lack_of_memory(void **state)
{
    (void)state;
    static const uint64_t idle_bytes[] = {1, 100000};
    for (size_t i = 0; i < COUNT(idle_bytes); i++) {
        pthread_t threads[CROWD_THREADS];
        struct crowd crowd = {.pool = create_pool(&(struct sm_exec_pool_options){
                                  .instances_max = CROWD_LIMIT, .idle_bytes = idle_bytes[i]})};
        for (size_t j = 0; j < MODULES; j++) {
            crowd.modules[j] = guest_load_all_into(crowd.pool);
        }
        for (size_t j = 0; j < CROWD_THREADS; j++) {
            assert_int_equal(pthread_create(&threads[j], NULL, jostle, &crowd), 0);
        }
        for (size_t j = 0; j < CROWD_THREADS; j++) {
            assert_int_equal(pthread_join(threads[j], NULL), 0);
        }
        for (size_t j = 0; j < MODULES; j++) {
            sm_exec_release(crowd.modules[j]);
        }
        sm_exec_pool_destroy(crowd.pool);
        assert_int_equal(crowd.wrong, 0);
    }
}

/* ---- guest stacks ------------------------------------------------------------------------- */

static void stacks_stay_with_activations(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool(NULL);
    struct sm_exec_module *module = guest_load_all_into(pool);
    struct sm_activation *first = create(module);
    struct sm_activation *second = create(module);
    assert_null(first->stack.bottom); /* nothing has run */
    (void)observe(first);
    (void)observe(second);
    const uint8_t *of_first = first->stack.bottom;
    assert_non_null(of_first);
    assert_non_null(second->stack.bottom);
    assert_ptr_not_equal(of_first, second->stack.bottom);
    (void)observe(first);
    assert_ptr_equal(first->stack.bottom, of_first);

    /* what is idle has none, and the next one takes what it left */
    sm_exec_destroy(first);
    assert_null(first->stack.bottom);
    struct sm_activation *third = create(module);
    assert_ptr_equal(third, first);
    assert_ptr_equal(third->stack.bottom, of_first);
    (void)observe(third);
    assert_ptr_equal(third->stack.bottom, of_first);
    sm_exec_destroy(third);
    sm_exec_destroy(second);
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
}

/* ---- failures ----------------------------------------------------------------------------- */

static void allocation_failures(void **state)
{
    (void)state;
    size_t blocks = sm_alloc_blocks();
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    for (size_t nth = 1; status != SMELT_STATUS_OK; nth++) {
        struct sm_exec_pool *pool;
        sm_alloc_fail_at(nth);
        status = sm_exec_pool_create(NULL, &pool, NULL);
        sm_alloc_fail_at(0);
        assert_true(nth > 1 || status == SMELT_STATUS_NO_MEMORY);
        assert_int_equal(pool != NULL, status == SMELT_STATUS_OK);
        sm_exec_pool_destroy(pool);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    sm_exec_pool_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_visible_to_the_next),
        cmocka_unit_test(large_tables_are_isolated),
        cmocka_unit_test(idle_activations_are_used_again),
        cmocka_unit_test(slots_outlive_modules),
        cmocka_unit_test(too_many_instances_are_a_status),
        cmocka_unit_test(idle_activations_give_way),
        cmocka_unit_test(ten_thousand_live_at_a_time),
        cmocka_unit_test(little_address_space_is_a_status),
        cmocka_unit_test(no_mappings_left_is_a_status),
        cmocka_unit_test(pages_are_never_merged),
        cmocka_unit_test(a_child_process_resets_too),
        cmocka_unit_test(images_need_no_descriptor),
        cmocka_unit_test(threads_share_a_pool),
        cmocka_unit_test(a_full_pool_is_no_lack_of_memory),
        cmocka_unit_test(stacks_stay_with_activations),
        cmocka_unit_test(allocation_failures),
    };
    int failures = cmocka_run_group_tests_name("exec_pool", tests, NULL, NULL);
    guest_pool_close();
    return failures != 0 || sm_alloc_blocks() != 0;
}
