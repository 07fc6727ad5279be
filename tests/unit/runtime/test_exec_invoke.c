/* Invocations: results, every way out, nesting, memory growth, the native stack, floats. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/guest.h"

#include "base/alloc.h"
#include "base/bytes.h"

#include <execinfo.h>
#include <fcntl.h>
#include <fenv.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FUEL        UINT64_C(100000)
#define STACK_LIMIT 1000u /* of guest_all.c */

static struct sm_exec_module *module;

static int load(void **state)
{
    (void)state;
    module = guest_load_all();
    return 0;
}

static int unload(void **state)
{
    (void)state;
    sm_exec_release(module);
    guest_pool_close();
    return 0;
}

/* What the host callback is to do; each test has its own. */
struct host {
    enum sm_exec_action (*act)(struct host *host, struct sm_activation *activation,
                               uint64_t *slots);
    uint32_t calls;
    uint32_t import;
    uint32_t depth;
    uint64_t fuel;
    struct sm_exec_result nested;
    struct host *inner;
    void *frames[64];
    int frame_count;
};

static enum sm_exec_action on_call(void *context, struct sm_activation *activation, uint32_t import,
                                   uint64_t *slots)
{
    struct host *host = (struct host *)context;
    host->calls++;
    host->import = import;
    host->fuel = sm_exec_fuel(activation);
    return host->act != NULL ? host->act(host, activation, slots) : SM_EXEC_CONTINUE;
}

/* NULL when the machine refuses; the tests that run in threads cannot assert. */
static struct sm_activation *try_activate(struct host *host, uint64_t fuel)
{
    struct sm_exec_host callback = {.call = on_call, .context = host};
    struct sm_activation *activation;
    struct sm_exec_result result;
    if (sm_exec_create(module, &callback, fuel, &activation, NULL) != SMELT_STATUS_OK) {
        return NULL;
    }
    sm_exec_start(activation, &result);
    if (result.end != SM_EXEC_RETURNED) {
        sm_exec_destroy(activation);
        return NULL;
    }
    return activation;
}

static struct sm_activation *activate(struct host *host, uint64_t fuel)
{
    struct sm_activation *activation = try_activate(host, fuel);
    assert_non_null(activation);
    return activation;
}

static struct sm_exec_result run(struct sm_activation *activation, const char *name,
                                 uint64_t *slots)
{
    struct sm_exec_result result;
    sm_exec_invoke(activation, sm_exec_find_export(module, smelt_slice_from_string(name)), slots,
                   &result);
    return result;
}

static void assert_end(struct sm_exec_result result, enum sm_exec_end end)
{
    assert_int_equal(result.end, end);
    if (end != SM_EXEC_TRAPPED) {
        assert_int_equal(result.trap, SMELT_TRAP_NONE);
    }
    if (end != SM_EXEC_FAILED) {
        assert_int_equal(result.status, SMELT_STATUS_OK);
    }
    if (end == SM_EXEC_RETURNED || end == SM_EXEC_OUT_OF_FUEL || end == SM_EXEC_FAILED) {
        assert_false(result.has_offset);
    }
}

static void assert_trap(struct sm_exec_result result, enum smelt_trap trap, uint32_t offset)
{
    assert_end(result, SM_EXEC_TRAPPED);
    assert_int_equal(result.trap, trap);
    assert_true(result.has_offset);
    assert_int_equal(result.offset, offset);
}

/* The activation can still be used, and its stack weight came back. */
static void assert_usable(struct sm_activation *activation)
{
    uint64_t slots[4] = {STACK_LIMIT - 1};
    sm_exec_set_fuel(activation, FUEL);
    assert_end(run(activation, "recurse", slots), SM_EXEC_RETURNED);
    assert_int_equal(slots[0], STACK_LIMIT - 1);
}

/* ---- results and fuel --------------------------------------------------------------------- */

static void returns_results(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t slots[4];
        uint64_t result;
        uint64_t fuel;
    } rows[] = {
        {"empty", {77}, 77, 0},
        {"add", {2, 3}, 5, 3},
        {"add", {UINT32_MAX, 1}, 0, 3},
        {"indirect", {1, 7, 5}, 12, 5},
        {"indirect", {2, 7, 5}, 2, 5},
        {"spin", {100}, 100, 301},
        {"size", {0}, 1, 1},
        {"load", {16}, 0x6c656d73, 1}, /* "smel" of the first data segment */
        {"recurse", {0}, 0, 1},
        {"recurse", {STACK_LIMIT - 1}, STACK_LIMIT - 1, STACK_LIMIT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct host host = {0};
        struct sm_activation *activation = activate(&host, FUEL);
        uint64_t slots[4];
        memcpy(slots, rows[i].slots, sizeof(slots));
        assert_end(run(activation, rows[i].name, slots), SM_EXEC_RETURNED);
        assert_int_equal(slots[0], rows[i].result);
        assert_int_equal(sm_exec_fuel(activation), FUEL - rows[i].fuel);
        sm_exec_destroy(activation);
    }
}

static void every_trap_has_offset_and_fuel(void **state)
{
    (void)state;
    struct host host = {0};
    struct sm_activation *activation = activate(&host, FUEL);
    for (uint32_t kind = SMELT_TRAP_UNREACHABLE; kind <= SMELT_TRAP_STACK_OVERFLOW; kind++) {
        uint64_t slots[4] = {kind};
        sm_exec_set_fuel(activation, FUEL);
        assert_trap(run(activation, "trap", slots), (enum smelt_trap)kind, 256 + kind);
        assert_int_equal(sm_exec_fuel(activation), FUEL - 5 - 10 * kind);
        assert_usable(activation);
    }
    sm_exec_destroy(activation);
}

static void unknown_trap_code_is_a_failure(void **state)
{
    (void)state;
    static const uint32_t codes[] = {0, 11, 12, 13, 77, 254, 256};
    struct host host = {0};
    struct sm_activation *activation = activate(&host, FUEL);
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        uint64_t slots[4] = {codes[i]};
        struct sm_exec_result result = run(activation, "trap", slots);
        assert_end(result, SM_EXEC_FAILED);
        assert_int_equal(result.status, SMELT_STATUS_INTERNAL);
        assert_usable(activation);
    }
    sm_exec_destroy(activation);
}

static void fuel_runs_out(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t slots[2];
        uint64_t fuel;
        enum sm_exec_end end;
        uint64_t left;
    } rows[] = {
        {"spin", {1000000}, 3001, SM_EXEC_OUT_OF_FUEL, 0}, /* at the check of a loop */
        {"spin", {1000}, 3001, SM_EXEC_RETURNED, 0},       /* to the last unit */
        {"spin", {1000}, 3000, SM_EXEC_OUT_OF_FUEL, 0},
        {"add", {1, 2}, 2, SM_EXEC_OUT_OF_FUEL, 0},
        {"add", {1, 2}, 0, SM_EXEC_OUT_OF_FUEL, 0},
        {"debt", {50, 0}, 50, SM_EXEC_RETURNED, 0},
        {"debt", {51, 0}, 50, SM_EXEC_OUT_OF_FUEL, 0}, /* noticed when it returns */
        {"debt", {50, 1}, 50, SM_EXEC_TRAPPED, 0},
        {"debt", {51, 1}, 50, SM_EXEC_OUT_OF_FUEL, 0}, /* the limit was passed before the trap */
        {"debt", {51, 2}, 50, SM_EXEC_OUT_OF_FUEL, 0}, /* and before the host call */
        {"debt", {0, 0}, UINT64_MAX, SM_EXEC_RETURNED, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct host host = {0};
        struct sm_activation *activation = activate(&host, rows[i].fuel);
        uint64_t slots[4] = {rows[i].slots[0], rows[i].slots[1]};
        struct sm_exec_result result = run(activation, rows[i].name, slots);
        assert_int_equal(result.end, rows[i].end);
        assert_int_equal(sm_exec_fuel(activation), rows[i].left);
        assert_int_equal(host.calls, 0);
        assert_usable(activation);
        sm_exec_destroy(activation);
    }
}

/* ---- host calls --------------------------------------------------------------------------- */

static enum sm_exec_action double_it(struct host *host, struct sm_activation *activation,
                                     uint64_t *slots)
{
    (void)host;
    slots[0] *= 2;
    sm_exec_set_fuel(activation, sm_exec_fuel(activation) - 100);
    return SM_EXEC_CONTINUE;
}

static enum sm_exec_action stop(struct host *host, struct sm_activation *activation,
                                uint64_t *slots)
{
    (void)host;
    (void)slots;
    sm_exec_set_fuel(activation, 17);
    return SM_EXEC_STOP;
}

static enum sm_exec_action spend_all(struct host *host, struct sm_activation *activation,
                                     uint64_t *slots)
{
    (void)host;
    (void)slots;
    sm_exec_set_fuel(activation, 0);
    return SM_EXEC_CONTINUE;
}

static void host_call_continues_and_stops(void **state)
{
    (void)state;
    struct host host = {.act = double_it};
    struct sm_activation *activation = activate(&host, FUEL);
    assert_ptr_equal(sm_exec_module_of(activation), module);
    for (uint64_t import = 0; import < 2; import++) {
        uint64_t slots[2] = {import, 21};
        sm_exec_set_fuel(activation, FUEL);
        assert_end(run(activation, "host", slots), SM_EXEC_RETURNED);
        assert_int_equal(slots[0], 42);
        assert_int_equal(host.import, import);
        assert_int_equal(host.fuel, FUEL - 4);
        assert_int_equal(sm_exec_fuel(activation), FUEL - 4 - 100 - 2);
    }
    host.act = stop;
    uint64_t slots[2] = {0, 1};
    struct sm_exec_result result = run(activation, "host", slots);
    assert_end(result, SM_EXEC_STOPPED);
    assert_true(result.has_offset);
    assert_int_equal(result.offset, 340);
    assert_int_equal(sm_exec_fuel(activation), 17);

    host.act = spend_all;
    slots[0] = 0;
    assert_end(run(activation, "host", slots), SM_EXEC_OUT_OF_FUEL);
    assert_usable(activation);
    sm_exec_destroy(activation);
}

static void unknown_import_is_a_failure(void **state)
{
    (void)state;
    struct host host = {0};
    struct sm_activation *activation = activate(&host, FUEL);
    static const uint32_t imports[] = {2, 3, UINT32_MAX};
    for (size_t i = 0; i < sizeof(imports) / sizeof(imports[0]); i++) {
        uint64_t slots[2] = {imports[i], 1};
        struct sm_exec_result result = run(activation, "host", slots);
        assert_end(result, SM_EXEC_FAILED);
        assert_int_equal(result.status, SMELT_STATUS_INTERNAL);
        assert_int_equal(host.calls, 0);
    }
    assert_usable(activation);
    sm_exec_destroy(activation);
}

/* ---- nested invocations of one activation -------------------------------------------------- */

static enum sm_exec_action nest_add(struct host *host, struct sm_activation *activation,
                                    uint64_t *slots)
{
    uint64_t inner[4] = {slots[0], 1000};
    host->nested = run(activation, "add", inner);
    slots[0] = inner[0];
    return SM_EXEC_CONTINUE;
}

static enum sm_exec_action nest_trap(struct host *host, struct sm_activation *activation,
                                     uint64_t *slots)
{
    uint64_t inner[4] = {slots[0]};
    host->nested = run(activation, "trap", inner);
    host->fuel = sm_exec_fuel(activation);
    return SM_EXEC_CONTINUE;
}

static enum sm_exec_action nest_spin(struct host *host, struct sm_activation *activation,
                                     uint64_t *slots)
{
    uint64_t inner[4] = {0}; /* 2^64 rounds */
    (void)slots;
    host->nested = run(activation, "spin", inner);
    return SM_EXEC_CONTINUE;
}

/* The inner host call stops the inner invocation, and only that. */
static enum sm_exec_action nest_stop(struct host *host, struct sm_activation *activation,
                                     uint64_t *slots)
{
    (void)slots;
    if (host->calls == 2) {
        return SM_EXEC_STOP;
    }
    uint64_t inner[4] = {1, 0};
    host->nested = run(activation, "host", inner);
    return SM_EXEC_CONTINUE;
}

static void nested_invocation_leaves_the_outer_intact(void **state)
{
    (void)state;
    struct host host = {.act = nest_add};
    struct sm_activation *activation = activate(&host, FUEL);
    uint64_t slots[2] = {0, 5};
    assert_end(run(activation, "host", slots), SM_EXEC_RETURNED);
    assert_end(host.nested, SM_EXEC_RETURNED);
    assert_int_equal(slots[0], 1005);
    assert_int_equal(sm_exec_fuel(activation), FUEL - 4 - 3 - 2);

    host.act = nest_trap;
    for (uint32_t kind = SMELT_TRAP_UNREACHABLE; kind <= SMELT_TRAP_STACK_OVERFLOW; kind++) {
        sm_exec_set_fuel(activation, FUEL);
        slots[0] = 0;
        slots[1] = kind;
        assert_end(run(activation, "host", slots), SM_EXEC_RETURNED);
        assert_trap(host.nested, (enum smelt_trap)kind, 256 + kind);
        assert_int_equal(slots[0], kind);
        assert_int_equal(host.fuel, FUEL - 4 - 5 - 10 * kind);
        assert_int_equal(sm_exec_fuel(activation), host.fuel - 2);
        assert_usable(activation);
    }

    sm_exec_set_fuel(activation, FUEL);
    host.act = nest_spin;
    slots[0] = 0;
    assert_end(run(activation, "host", slots), SM_EXEC_OUT_OF_FUEL);
    assert_end(host.nested, SM_EXEC_OUT_OF_FUEL);
    assert_int_equal(sm_exec_fuel(activation), 0);

    sm_exec_set_fuel(activation, FUEL);
    host.act = nest_stop;
    host.calls = 0;
    slots[0] = 0;
    assert_end(run(activation, "host", slots), SM_EXEC_RETURNED);
    assert_end(host.nested, SM_EXEC_STOPPED);
    assert_int_equal(sm_exec_fuel(activation), FUEL - 4 - 4 - 2);
    assert_usable(activation);
    sm_exec_destroy(activation);
}

/* Goes one invocation deeper until the runtime refuses. */
static enum sm_exec_action nest_forever(struct host *host, struct sm_activation *activation,
                                        uint64_t *slots)
{
    uint64_t inner[4] = {0, slots[0] + 1};
    struct sm_exec_result result = run(activation, "host", inner);
    if (result.end == SM_EXEC_TRAPPED) {
        host->nested = result;
        host->depth = (uint32_t)slots[0] + 1;
        /* all the weight that is left, on the deepest stack there is */
        uint64_t rest[4] = {STACK_LIMIT - 10 * host->depth - 1};
        result = run(activation, "recurse", rest);
        host->nested.status = result.status;
    }
    return SM_EXEC_CONTINUE;
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    struct host host = {.act = nest_forever};
    struct sm_activation *activation = activate(&host, FUEL);
    uint64_t slots[2] = {0, 0};
    assert_end(run(activation, "host", slots), SM_EXEC_RETURNED);
    assert_int_equal(host.depth, SM_NESTING_MAX);
    assert_int_equal(host.calls, SM_NESTING_MAX);
    assert_int_equal(host.nested.trap, SMELT_TRAP_STACK_OVERFLOW);
    assert_false(host.nested.has_offset);
    assert_usable(activation);
    sm_exec_destroy(activation);
}

/* ---- stack -------------------------------------------------------------------------------- */

static enum sm_exec_action nest_heavy(struct host *host, struct sm_activation *activation,
                                      uint64_t *slots)
{
    uint64_t inner[4] = {0, 0};
    (void)slots;
    host->nested = run(activation, "heavy_host", inner);
    /* a quarter of the limit is left: exactly that many frames */
    uint64_t depth[4] = {STACK_LIMIT / 4 - 1};
    struct sm_exec_result fits = run(activation, "recurse", depth);
    depth[0] = STACK_LIMIT / 4;
    struct sm_exec_result exceeds = run(activation, "recurse", depth);
    return fits.end == SM_EXEC_RETURNED && exceeds.end == SM_EXEC_TRAPPED ? SM_EXEC_CONTINUE
                                                                          : SM_EXEC_STOP;
}

static void stack_weight_of_entries(void **state)
{
    (void)state;
    struct host host = {.act = nest_heavy};
    struct sm_activation *activation = activate(&host, FUEL);
    uint64_t slots[2] = {0, 0};
    assert_end(run(activation, "heavy_host", slots), SM_EXEC_RETURNED);
    assert_int_equal(host.calls, 1);
    assert_end(host.nested, SM_EXEC_TRAPPED);
    assert_int_equal(host.nested.trap, SMELT_TRAP_STACK_OVERFLOW);
    assert_false(host.nested.has_offset);

    sm_exec_set_fuel(activation, FUEL);
    struct sm_exec_result result = run(activation, "too_heavy", slots);
    assert_end(result, SM_EXEC_TRAPPED);
    assert_int_equal(result.trap, SMELT_TRAP_STACK_OVERFLOW);
    assert_int_equal(host.calls, 1);
    assert_int_equal(sm_exec_fuel(activation), FUEL);
    assert_usable(activation);
    sm_exec_destroy(activation);
}

static void recursion_ends_at_the_limit(void **state)
{
    (void)state;
    struct host host = {0};
    struct sm_activation *activation = activate(&host, FUEL);
    static const uint32_t depths[] = {STACK_LIMIT, STACK_LIMIT + 1, 1u << 20, UINT32_MAX};
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        uint64_t slots[1] = {depths[i]};
        sm_exec_set_fuel(activation, FUEL);
        assert_trap(run(activation, "recurse", slots), SMELT_TRAP_STACK_OVERFLOW, 390);
        assert_int_equal(sm_exec_fuel(activation), FUEL - STACK_LIMIT - 1);
        assert_usable(activation);
    }
    sm_exec_destroy(activation);
}

/* ---- activations inside activations -------------------------------------------------------- */

#define DEPTH 64u

/* Every level runs the next one in an activation of its own, then traps in a nested invocation. */
static enum sm_exec_action descend(struct host *host, struct sm_activation *activation,
                                   uint64_t *slots)
{
    if (host->depth < DEPTH) {
        struct host inner = {.act = descend, .depth = host->depth + 1};
        struct sm_activation *next = try_activate(&inner, FUEL);
        uint64_t inner_slots[2] = {host->depth % 2, slots[0] + 1};
        if (next == NULL) {
            return SM_EXEC_STOP;
        }
        struct sm_exec_result result = run(next, "host", inner_slots);
        bool is_right = result.end == SM_EXEC_RETURNED && inner_slots[0] == DEPTH &&
                        inner.nested.end == SM_EXEC_TRAPPED &&
                        inner.nested.trap == SMELT_TRAP_STACK_OVERFLOW &&
                        sm_exec_fuel(next) == FUEL - 4 - 105 - 2;
        /* and once more, ended by a trap of its own */
        uint64_t trap_slots[2] = {SMELT_TRAP_UNREACHABLE};
        result = run(next, "trap", trap_slots);
        is_right = is_right && result.end == SM_EXEC_TRAPPED && result.offset == 257;
        sm_exec_destroy(next);
        if (!is_right) {
            return SM_EXEC_STOP;
        }
        slots[0] = inner_slots[0];
    }
    uint64_t trap_slots[2] = {SMELT_TRAP_STACK_OVERFLOW};
    host->nested = run(activation, "trap", trap_slots);
    return SM_EXEC_CONTINUE;
}

static void activations_nest(void **state)
{
    (void)state;
    struct host host = {.act = descend, .depth = 1};
    struct sm_activation *activation = activate(&host, FUEL);
    uint64_t slots[2] = {0, 1};
    assert_end(run(activation, "host", slots), SM_EXEC_RETURNED);
    assert_int_equal(slots[0], DEPTH);
    assert_trap(host.nested, SMELT_TRAP_STACK_OVERFLOW, 266);
    assert_int_equal(sm_exec_fuel(activation), FUEL - 4 - 105 - 2);
    assert_usable(activation);
    sm_exec_destroy(activation);
}

/* ---- memory ------------------------------------------------------------------------------- */

static void memory_grows_to_its_limit(void **state)
{
    (void)state;
    static const struct {
        uint32_t pages;
        uint32_t previous;
        uint32_t now;
    } rows[] = {
        {0, 1, 1},
        {65536, UINT32_MAX, 1},
        {UINT32_MAX, UINT32_MAX, 1},
        {4, UINT32_MAX, 1},
        {0x10000001, UINT32_MAX, 1},
        {2, 1, 3},
        {2, UINT32_MAX, 3},
        {1, 3, 4},
        {1, UINT32_MAX, 4},
        {0, 4, 4},
        {65533, UINT32_MAX, 4},
        {0x80000000, UINT32_MAX, 4},
    };
    struct host host = {0};
    struct sm_activation *activation = activate(&host, FUEL);
    uint64_t size;
    const uint8_t *base = sm_exec_memory(activation, &size);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t slots[2] = {rows[i].pages};
        assert_end(run(activation, "grow", slots), SM_EXEC_RETURNED);
        assert_int_equal(slots[0], rows[i].previous);
        assert_end(run(activation, "size", slots), SM_EXEC_RETURNED);
        assert_int_equal(slots[0], rows[i].now);
        assert_ptr_equal(sm_exec_memory(activation, &size), base);
        assert_int_equal(size, (uint64_t)rows[i].now * 65536);

        slots[0] = size - 4;
        slots[1] = i;
        assert_end(run(activation, "store", slots), SM_EXEC_RETURNED);
        assert_end(run(activation, "load", slots), SM_EXEC_RETURNED);
        assert_int_equal(slots[0], i);
        slots[0] = size - 3;
        assert_trap(run(activation, "load", slots), SMELT_TRAP_MEMORY_OUT_OF_BOUNDS, 360);
        slots[0] = UINT32_MAX;
        assert_trap(run(activation, "store", slots), SMELT_TRAP_MEMORY_OUT_OF_BOUNDS, 361);
    }
    sm_exec_destroy(activation);
}

/* Puts a file that is open for reading behind the memory: the kernel refuses to make it writable.
 */
static enum sm_exec_action refuse_memory(struct host *host, struct sm_activation *activation,
                                         uint64_t *slots)
{
    (void)host;
    (void)slots;
    uint64_t size;
    uint8_t *base = sm_exec_memory(activation, &size);
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    void *mapping = mmap(base + size, 65536, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
                         0); /* over the reservation */
    (void)close(fd);
    return mapping == base + size ? SM_EXEC_CONTINUE : SM_EXEC_STOP;
}

static void refused_growth_is_a_failure(void **state)
{
    (void)state;
    struct host host = {.act = refuse_memory};
    struct sm_activation *activation = activate(&host, FUEL);
    uint64_t slots[1] = {1};
    struct sm_exec_result result = run(activation, "host_then_grow", slots);
    assert_end(result, SM_EXEC_FAILED);
    assert_int_equal(result.status, SMELT_STATUS_NO_MEMORY);

    /* past the limit the answer is -1 whatever the machine has */
    slots[0] = 4;
    assert_end(run(activation, "host_then_grow", slots), SM_EXEC_RETURNED);
    assert_int_equal(slots[0], UINT32_MAX);

    /* the slot will be used again */
    uint64_t size;
    uint8_t *end = sm_exec_memory(activation, &size) + size;
    assert_ptr_equal(
        mmap(end, 65536, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0),
        end);
    sm_exec_destroy(activation);
}

/* ---- floats and registers ------------------------------------------------------------------ */

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static void floats_run_in_the_default_environment(void **state)
{
    (void)state;
    struct host host = {0};
    struct sm_activation *activation = activate(&host, FUEL);
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        uint64_t slots[2] = {bits_of(3), bits_of(0x1p-537)};
        assert_int_equal(fesetround(modes[i]), 0);
        struct sm_exec_result result = run(activation, "floats", slots);
        int mode = fegetround();
        (void)fesetround(FE_TONEAREST);
        assert_int_equal(mode, modes[i]);
        assert_end(result, SM_EXEC_RETURNED);
        assert_int_equal(slots[0], UINT64_C(0x3fd5555555555555)); /* 1/3, to nearest */
    }
    sm_exec_destroy(activation);
}

#ifdef __x86_64__
static uint32_t read_mxcsr(void)
{
    uint32_t value;
    __asm__ volatile("stmxcsr %0" : "=m"(value));
    return value;
}

static void write_mxcsr(uint32_t value)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

static uint16_t read_control_word(void)
{
    uint16_t value;
    __asm__ volatile("fnstcw %0" : "=m"(value));
    return value;
}

static void write_control_word(uint16_t value)
{
    __asm__ volatile("fldcw %0" : : "m"(value));
}

static enum sm_exec_action note_environment(struct host *host, struct sm_activation *activation,
                                            uint64_t *slots)
{
    (void)activation;
    (void)slots;
    host->fuel = (uint64_t)read_control_word() << 32 | read_mxcsr();
    return SM_EXEC_CONTINUE;
}

static void environment_is_set_and_restored(void **state)
{
    (void)state;
    static const uint32_t foreign = 0xffc0; /* truncate, flush to zero, denormals are zero */
    struct host host = {.act = note_environment};
    struct sm_activation *activation = activate(&host, FUEL);
    uint16_t control_word = read_control_word();

    uint64_t slots[2] = {bits_of(0x1p-537), bits_of(0x1p-537)};
    write_mxcsr(foreign);
    struct sm_exec_result result = run(activation, "floats", slots);
    uint32_t after = read_mxcsr();
    write_mxcsr(0x1f80);
    assert_end(result, SM_EXEC_RETURNED);
    assert_int_equal(after, foreign);
    assert_int_equal(slots[1], UINT64_C(1)); /* 2^-1074, the least subnormal */

    slots[0] = 0;
    write_mxcsr(foreign);
    write_control_word(0x0e7f);
    (void)run(activation, "host", slots);
    after = read_mxcsr();
    uint16_t control_word_after = read_control_word();
    write_mxcsr(0x1f80);
    write_control_word(control_word);
    assert_int_equal(after, foreign);
    assert_int_equal(control_word_after, 0x0e7f);
    assert_int_equal(host.fuel, UINT64_C(0x037f) << 32 | 0x1f80);

    /* guest code cannot leave it changed either, by return or by trap */
    for (uint64_t then = 0; then < 2; then++) {
        slots[0] = then;
        (void)run(activation, "spoil", slots);
        assert_int_equal(read_mxcsr(), 0x1f80);
    }
    sm_exec_destroy(activation);
}

static struct sm_activation *spoiled;
static struct sm_exec_result spoiled_result;

__attribute__((used)) static void invoke_spoil(void)
{
    uint64_t slots[1] = {1};
    spoiled_result = run(spoiled, "spoil", slots);
}

/* The callee-saved registers survive a trap that skipped the guest's epilogues. */
static void leaving_restores_registers(void **state)
{
    (void)state;
    struct host host = {0};
    uint64_t lost = 1;
    spoiled = activate(&host, FUEL);
    __asm__ volatile("lea -128(%%rsp), %%rsp\n" /* past the red zone */
                     "push %%rbp\n"
                     "mov %%rsp, %%rbp\n"
                     "and $-16, %%rsp\n"
                     "mov $0x1111, %%ebx\n"
                     "mov $0x2222, %%r12d\n"
                     "mov $0x3333, %%r13d\n"
                     "mov $0x4444, %%r14d\n"
                     "mov $0x5555, %%r15d\n"
                     "call *%1\n"
                     "xor $0x1111, %%rbx\n"
                     "xor $0x2222, %%r12\n"
                     "xor $0x3333, %%r13\n"
                     "xor $0x4444, %%r14\n"
                     "xor $0x5555, %%r15\n"
                     "or %%r12, %%rbx\n"
                     "or %%r13, %%rbx\n"
                     "or %%r14, %%rbx\n"
                     "or %%r15, %%rbx\n"
                     "mov %%rbp, %%rsp\n"
                     "pop %%rbp\n"
                     "lea 128(%%rsp), %%rsp\n"
                     "mov %%rbx, %%rax\n"
                     : "=a"(lost)
                     : "a"(invoke_spoil)
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
                       "r14", "r15", "cc", "memory");
    assert_int_equal(lost, 0);
    assert_trap(spoiled_result, SMELT_TRAP_UNREACHABLE, 400);
    assert_usable(spoiled);
    sm_exec_destroy(spoiled);
}
#endif

/* ---- unwinding ----------------------------------------------------------------------------- */

static enum sm_exec_action walk_stack(struct host *host, struct sm_activation *activation,
                                      uint64_t *slots)
{
    (void)activation;
    (void)slots;
    host->frame_count = backtrace(host->frames, 64);
    return SM_EXEC_CONTINUE;
}

/* From the host function through generated code and across the switch of stacks to main. */
static void backtraces_cross_the_switch(void **state)
{
    (void)state;
    struct host host = {.act = walk_stack};
    struct sm_activation *activation = activate(&host, FUEL);
    void *callers[64];
    int count = backtrace(callers, 64);
    uint64_t slots[2] = {0, 0};
    assert_end(run(activation, "host", slots), SM_EXEC_RETURNED);
    int common = 0;
    while (common < count && common < host.frame_count &&
           host.frames[host.frame_count - 1 - common] == callers[count - 1 - common]) {
        common++;
    }
    /* all but this function, which is at another line, and a frame of the sanitizer's */
    assert_true(common >= 3 && common >= count - 2);
    assert_true(host.frame_count >= common + 6);
    sm_exec_destroy(activation);
}

/* ---- threads ------------------------------------------------------------------------------- */

#define THREADS 4
#define ROUNDS  100

static void *work(void *argument)
{
    uint64_t seed = *(const uint64_t *)argument;
    uintptr_t wrong = 0;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct host host = {.act = nest_trap};
        struct sm_activation *activation = try_activate(&host, FUEL);
        if (activation == NULL) {
            return (void *)(uintptr_t)1;
        }
        uint32_t kind = 1 + (uint32_t)((seed + i) % SMELT_TRAP_STACK_OVERFLOW);
        uint64_t slots[4] = {0, kind};
        struct sm_exec_result result = run(activation, "host", slots);
        wrong += result.end != SM_EXEC_RETURNED || slots[0] != kind ||
                 host.nested.offset != 256 + kind ||
                 sm_exec_fuel(activation) != FUEL - 11 - 10 * kind;
        slots[0] = 64;
        slots[1] = seed;
        (void)run(activation, "store", slots);
        slots[0] = STACK_LIMIT - 1;
        wrong += run(activation, "recurse", slots).end != SM_EXEC_RETURNED;
        slots[0] = 64;
        (void)run(activation, "load", slots);
        wrong += slots[0] != seed;
        sm_exec_destroy(activation);
    }
    return (void *)wrong;
}

static void threads_do_not_meet(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    uint64_t seeds[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        assert_int_equal(pthread_create(&threads[i], NULL, work, &seeds[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_results),
        cmocka_unit_test(every_trap_has_offset_and_fuel),
        cmocka_unit_test(unknown_trap_code_is_a_failure),
        cmocka_unit_test(fuel_runs_out),
        cmocka_unit_test(host_call_continues_and_stops),
        cmocka_unit_test(unknown_import_is_a_failure),
        cmocka_unit_test(nested_invocation_leaves_the_outer_intact),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(stack_weight_of_entries),
        cmocka_unit_test(recursion_ends_at_the_limit),
        cmocka_unit_test(activations_nest),
        cmocka_unit_test(memory_grows_to_its_limit),
        cmocka_unit_test(refused_growth_is_a_failure),
        cmocka_unit_test(floats_run_in_the_default_environment),
#ifdef __x86_64__
        cmocka_unit_test(environment_is_set_and_restored),
        cmocka_unit_test(leaving_restores_registers),
#endif
        cmocka_unit_test(backtraces_cross_the_switch),
        cmocka_unit_test(threads_do_not_meet),
    };
    int failures = cmocka_run_group_tests_name("exec_invoke", tests, load, unload);
    return failures != 0 || sm_alloc_blocks() != 0;
}
