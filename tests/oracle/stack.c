/* The stack of deep recursions: the logical limit decides, and the native stack is never at its
 * end.
 *
 *   test_oracle_stack <scratch directory> <path of gcc>
 *
 * Each shape is a module whose export "f" recurses until the limit. It is run in the interpreter,
 * and natively as each back end compiles it: all must trap as stack_overflow with the same fuel and
 * the same memory, in which the shapes count how deep they came. The lowest byte that was written
 * of the native stack must lie within what the descriptor asks for, without the share of host
 * functions. The table that is printed says how much of it was used.
 *
 * Exit status: 0 when all of that holds. Without gcc its rows are left out. */
#include "compiler/instrument/stack.h"

#include "base/bytes.h"
#include "base/fs.h"
#include "cache/objects.h"
#include "runtime/exec/activation.h"
#include "tests/oracle/oracle.h"
#include "tests/support/back_end.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FUEL      UINT64_C(1000000000)
#define SEEDS_MAX 50u /* of the host's answers */
#define COUNT_UP  "(i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (i32.const 1)))"

struct back_end_row {
    const char *name;
    enum smelt_optimisation optimisation;
    bool is_gcc;
    struct smelt_compiler *compiler;
};

struct test {
    struct smelt_cache *cache;
    struct smelt_schedule *schedule;
    struct smelt_policy *floats;
    struct back_end_row back_ends[6];
    unsigned failures;
};

static void require(enum smelt_status status, const struct smelt_error *err)
{
    if (status != SMELT_STATUS_OK) {
        fprintf(stderr, "stack: %s: %s\n", smelt_status_name(status), err->message);
        exit(EXIT_FAILURE);
    }
}

/* ---- how deep a call went ---------------------------------------------------------------------
 */

/* Of the last call: bytes below the top, down to the lowest that was written. */
static uint64_t stack_used;

/* The linker puts this in the way of the pool (--wrap), which trims each stack that comes back. A
 * fresh stack is zero, and what reaches the lowest point is a call, and so a return address. What
 * was written is cleared for the next call. */
void __real_sm_stack_trim(struct sm_stack *stack);
void __wrap_sm_stack_trim(struct sm_stack *stack); /* NOLINT(bugprone-reserved-identifier): ld's */
void __wrap_sm_stack_trim(struct sm_stack *stack)  /* NOLINT(bugprone-reserved-identifier) */
{
    size_t unused = 0;
    while (unused < stack->size && stack->bottom[unused] == 0) {
        unused++;
    }
    stack_used = stack->size - unused;
    memset(stack->bottom + unused, 0, stack_used);
    __real_sm_stack_trim(stack);
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static SMELT_PRINTF(2, 3) void put(struct smelt_buf *text, const char *format, ...)
{
    char part[1000];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(part, sizeof(part), format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof(part) || !sm_buf_append(text, part, (size_t)size)) {
        abort();
    }
}

static void repeat(struct smelt_buf *text, unsigned count, const char *part)
{
    for (unsigned i = 0; i < count; i++) {
        put(text, "%s", part);
    }
}

static void put_smallest(struct smelt_buf *text)
{
    put(text, "(func $f (export \"f\") (call $f))");
}

static void put_direct(struct smelt_buf *text)
{
    put(text, "(func $f (export \"f\") (param i32) (result i32) " COUNT_UP
              "(i32.mul (call $f (i32.add (local.get 0) (i32.const 1))) (local.get 0)))");
}

static void put_mutual(struct smelt_buf *text)
{
    put(text, "(func $f (export \"f\") (param i32) " COUNT_UP "(call $g (local.get 0)))"
              "(func $g (param i32) (local i64 i64 f64)"
              " (call $h (i64.extend_i32_u (local.get 0)) (local.get 3)))"
              "(func $h (param i64 f64)"
              " (call $f (i32.wrap_i64 (i64.mul (local.get 0) (i64.const 3)))))");
}

static void put_indirect(struct smelt_buf *text)
{
    put(text, "(type $t (func (param i32) (result i32))) (table 1 funcref) (elem (i32.const 0) $f)"
              "(func $f (export \"f\") (param i32) (result i32) " COUNT_UP "(i32.add (local.get 0)"
              " (call_indirect (type $t) (local.get 0) (i32.const 0))))");
}

/* Values that live across the call, in locals. */
static void put_locals(struct smelt_buf *text, unsigned count, const char *type)
{
    put(text, "(func $f (export \"f\") (param %s) (result %s) (local", type, type);
    for (unsigned i = 1; i < count; i++) {
        put(text, " %s", type);
    }
    put(text, ") " COUNT_UP);
    for (unsigned i = 1; i < count; i++) {
        put(text, "(local.set %u (%s.mul (local.get 0) (%s.const %u)))", i, type, type, i);
    }
    put(text, "(call $f (local.get %u))", count - 1);
    for (unsigned i = 1; i < count; i++) {
        put(text, "(%s.add (local.get %u))", type, i);
    }
    put(text, ")");
}

static void put_few_locals(struct smelt_buf *text)
{
    put_locals(text, 40, "i64");
}

static void put_many_locals(struct smelt_buf *text)
{
    put_locals(text, 4000, "i64");
}

static void put_floats(struct smelt_buf *text)
{
    put_locals(text, 60, "f64");
}

/* Nothing but the frame: locals that nobody uses. */
static void put_idle_locals(struct smelt_buf *text)
{
    put(text, "(func $f (export \"f\") (local ");
    repeat(text, 4090, "i64 ");
    put(text, ") " COUNT_UP "(call $f))");
}

static void put_operands(struct smelt_buf *text)
{
    put(text, "(func $f (export \"f\") (param i64) (result i64) " COUNT_UP);
    for (unsigned i = 0; i < 2000; i++) {
        put(text, "(i64.xor (local.get 0) (i64.const %u))", i);
    }
    put(text, "(call $f (i64.add (local.get 0) (i64.const 1)))");
    repeat(text, 2000, "i64.add ");
    put(text, ")");
}

/* Each argument in another place than the parameter it comes from, and all of them needed. */
static void put_params_of(struct smelt_buf *text, const char *type)
{
    put(text, "(func $f (export \"f\") (param");
    for (unsigned i = 0; i < 128; i++) {
        put(text, " %s", type);
    }
    put(text, ") (result %s) " COUNT_UP "(call $f", type);
    for (unsigned i = 0; i < 128; i++) {
        put(text, "(local.get %u)", (i + 1) % 128);
    }
    put(text, ")");
    for (unsigned i = 0; i < 128; i += 8) {
        put(text, "(%s.add (local.get %u))", type, i);
    }
    put(text, ")");
}

static void put_params(struct smelt_buf *text)
{
    put_params_of(text, "i64");
}

static void put_float_params(struct smelt_buf *text)
{
    put_params_of(text, "f64");
}

/* Constants as arguments: the shortest way to write them is to push them. */
static void put_constants(struct smelt_buf *text)
{
    put(text, "(func $f (export \"f\") (param");
    repeat(text, 128, " i32");
    put(text, ") (result i32) " COUNT_UP "(call $f (local.get 1)");
    for (unsigned i = 1; i < 128; i++) {
        put(text, "(i32.const %u)", i);
    }
    put(text, ") (call $g (i32.const 1) ");
    for (unsigned i = 1; i < 128; i++) {
        put(text, "(local.get %u)", i);
    }
    put(text, ") i32.add) (table 2 funcref) (elem (i32.const 0) $f $g)"
              "(func $g (param");
    repeat(text, 128, " i32");
    put(text, ") (result i32) (local.get 0)");
    for (unsigned i = 1; i < 128; i++) {
        put(text, "(i32.xor (local.get %u))", i);
    }
    put(text, ")");
}

static void put_results(struct smelt_buf *text)
{
    put(text, "(func $f (export \"f\") (param i64) (result");
    repeat(text, 32, " i64");
    put(text, ") " COUNT_UP "(call $f (local.get 0)))");
}

/* Call upon call with a struct of results each, in every frame. */
static void put_structs(struct smelt_buf *text)
{
    put(text, "(type $t (func (param");
    repeat(text, 32, " i64");
    put(text, ") (result");
    repeat(text, 32, " i64");
    put(text, "))) (func $id (type $t)");
    for (unsigned i = 0; i < 32; i++) {
        put(text, "(local.get %u)", i);
    }
    put(text, ") (func $f (export \"f\") (type $t)" COUNT_UP);
    for (unsigned i = 0; i < 32; i++) {
        put(text, "(local.get %u)", i);
    }
    repeat(text, 100, "(call $id)");
    put(text, "(call $f) (call $id))");
}

/* Functions without a check of their own below a small one with. */
static void put_unchecked(struct smelt_buf *text)
{
    put(text, "(func $deepest (param i64) (result i64) (local ");
    repeat(text, 300, "i64 ");
    put(text, ")");
    for (unsigned i = 1; i < 300; i++) {
        put(text, "(local.set %u (i64.mul (local.get %u) (i64.const %u)))", i, i - 1, i);
    }
    put(text, "(local.get 0)");
    for (unsigned i = 1; i < 300; i++) {
        put(text, "(i64.add (local.get %u))", i);
    }
    put(text, ") (func $middle (param i64) (result i64)"
              " (i64.add (call $deepest (local.get 0)) (call $deepest (i64.const 1))))"
              "(func $f (export \"f\") (param i64) (result i64)" COUNT_UP
              " (drop (call $middle (local.get 0)))"
              " (call $f (i64.add (local.get 0) (i64.const 1))))");
}

/* A large frame on top of small ones: it is there before it finds that there is no room. */
static void put_large_on_small(struct smelt_buf *text)
{
    put(text, "(func $f (export \"f\") (param i64) (result i64)" COUNT_UP
              "(i64.add (if (result i64) (i64.eq (local.get 0) (i64.const 8000))"
              " (then (call $large (i64.const 1)))"
              " (else (call $f (i64.add (local.get 0) (i64.const 1))))) (i64.const 1)))"
              "(func $large (param i64) (result i64) (local ");
    repeat(text, 4000, "i64 ");
    put(text, ")");
    for (unsigned i = 1; i < 4000; i++) {
        put(text, "(local.set %u (i64.mul (local.get %u) (i64.const %u)))", i, i - 1, i);
    }
    put(text, "(call $large (local.get 3999))");
    for (unsigned i = 1; i < 4000; i++) {
        put(text, "(i64.add (local.get %u))", i);
    }
    put(text, ")");
}

/* The runtime's services at every depth. */
static void put_services(struct smelt_buf *text)
{
    put(text, "(func $f (export \"f\") (param i32)" COUNT_UP "(drop (memory.grow (i32.const 0)))"
              "(memory.fill (i32.const 64) (i32.const 1) (i32.const 100))"
              "(memory.copy (i32.const 80) (i32.const 64) (i32.const 100))"
              "(call $f (local.get 0)))");
}

/* A host function now and then, with as many arguments as there can be. */
static void put_imports(struct smelt_buf *text)
{
    put(text, "(type $t (func (param");
    repeat(text, 128, " i64");
    put(text, ") (result i64))) (import \"host\" \"import\" (func $import (type $t)))"
              "(memory 1) (table 1 funcref) (elem (i32.const 0) $import)"
              "(func $f (export \"f\") (param i64) (result i64)" COUNT_UP
              "(if (i64.eqz (i64.and (local.get 0) (i64.const 255))) (then"
              " (drop (call_indirect (type $t)");
    repeat(text, 128, "(i64.const 1000)");
    put(text, "(i32.const 0)))))"
              "(i64.add (local.get 0) (call $f (i64.add (local.get 0) (i64.const 1)))))");
}

static const struct shape {
    const char *name;
    void (*put)(struct smelt_buf *text);
    bool has_memory; /* of its own; else one page is added, and the depth is in it */
} shapes[] = {
    {"smallest frame", put_smallest, false},
    {"direct", put_direct, false},
    {"mutual", put_mutual, false},
    {"through the table", put_indirect, false},
    {"40 locals", put_few_locals, false},
    {"4000 locals", put_many_locals, false},
    {"60 floats", put_floats, false},
    {"4090 idle locals", put_idle_locals, false},
    {"2000 operands", put_operands, false},
    {"128 parameters", put_params, false},
    {"128 float parameters", put_float_params, false},
    {"128 constants", put_constants, false},
    {"32 results", put_results, false},
    {"100 structs of results", put_structs, false},
    {"unchecked below", put_unchecked, false},
    {"large on small", put_large_on_small, false},
    {"services", put_services, false},
    {"imports", put_imports, true},
};

/* ---- runs ------------------------------------------------------------------------------------ */

static struct smelt_buf convert(const struct shape *shape)
{
    struct smelt_buf text = {0};
    struct smelt_buf wasm = {0};
    struct smelt_error err = {0};
    put(&text, "(module ");
    shape->put(&text);
    put(&text, "%s)", shape->has_memory ? "" : "(memory 1)");
    require(smelt_wat_to_wasm(sm_buf_slice(&text), &wasm, &err), &err);
    smelt_buf_deinit(&text);
    return wasm;
}

static struct native *compile(const struct test *test, const struct back_end_row *back_end,
                              struct smelt_slice wasm, struct smelt_buf *instrumented)
{
    struct smelt_artefact artefact;
    struct smelt_error err = {0};
    const struct smelt_compile_products products = {.instrumented_wasm = instrumented};
    require(smelt_compile(back_end->compiler, wasm, &products, &artefact, &err), &err);
    return native_open(test->cache, &artefact);
}

static void print_row(const char *shape, const char *back_end, uint32_t depth, uint64_t fuel,
                      uint64_t used, uint64_t available)
{
    printf("%-24s %-12s %8" PRIu32 " %10" PRIu64 " %12" PRIu64 " %12" PRIu64 " %6.1f %%\n", shape,
           back_end, depth, fuel, used, available, 100.0 * (double)used / (double)available);
}

static void fail(struct test *test, const char *shape, const char *back_end, const char *what)
{
    printf("FAIL %s, %s: %s\n", shape, back_end, what);
    test->failures++;
}

static void check_shape(struct test *test, const struct shape *shape)
{
    struct smelt_buf wasm = convert(shape);
    struct smelt_buf instrumented = {0};
    struct interpreter *interpreter = NULL;
    struct oracle_outcome expected;
    char problem[200];
    uint32_t seed = 0;
    for (size_t i = 0; i < sizeof(test->back_ends) / sizeof(test->back_ends[0]); i++) {
        const struct back_end_row *back_end = &test->back_ends[i];
        struct oracle_outcome actual;
        uint32_t depth = 0;
        if (back_end->compiler == NULL) {
            continue;
        }
        struct native *native = compile(test, back_end, sm_buf_slice(&wasm), &instrumented);
        const struct sm_descriptor *descriptor = native_descriptor(native);
        struct oracle_call call = {
            .stack_weight = descriptor->exports[0].stack_weight, .fuel = FUEL, .seed = seed};
        if (interpreter == NULL) {
            interpreter = interpreter_open(sm_buf_slice(&instrumented), INTERPRETER_MARKED, problem,
                                           sizeof(problem));
            if (interpreter == NULL) {
                fprintf(stderr, "stack: %s: %s\n", shape->name, problem);
                exit(EXIT_FAILURE);
            }
            do { /* the host traps as it pleases */
                call.seed = ++seed;
                interpreter_run(interpreter, &call, &expected);
            } while (expected.trap == SMELT_TRAP_HOST_ERROR && seed < SEEDS_MAX);
            if (expected.end != ORACLE_TRAPPED || expected.trap != SMELT_TRAP_STACK_OVERFLOW) {
                fail(test, shape->name, "interpreter", "does not end in stack_overflow");
            }
        }
        native_leave_word(native, &depth);
        native_run(native, &call, &actual);
        print_row(shape->name, back_end->name, depth, actual.fuel_used, stack_used,
                  descriptor->stack_bytes);
        if (!oracle_outcome_equal(&expected, &actual)) {
            fail(test, shape->name, back_end->name, "is not what the interpreter says");
        }
        if (stack_used > descriptor->stack_bytes) {
            fail(test, shape->name, back_end->name, "uses more stack than was measured");
        }
        native_close(native);
    }
    interpreter_close(interpreter);
    smelt_buf_deinit(&instrumented);
    smelt_buf_deinit(&wasm);
}

/* ---- host functions that call back ----------------------------------------------------------- */

/* The module goes down `steps` frames, then to its host, which invokes it again. */
static void put_callback(struct smelt_buf *text)
{
    put(text, "(import \"host\" \"back\" (func $back))"
              "(func $f (export \"f\") (param i32)" COUNT_UP
              "(if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1))))"
              " (else (call $back))) " COUNT_UP ")");
}

struct callback {
    uint64_t steps;
    unsigned invocations;
    struct sm_exec_result innermost;
};

static enum sm_exec_action call_back(void *context, struct sm_activation *activation,
                                     uint32_t import, uint64_t *slots)
{
    struct callback *callback = (struct callback *)context;
    struct sm_exec_result result;
    uint64_t own[1] = {callback->steps};
    (void)import;
    (void)slots;
    callback->invocations++;
    sm_exec_invoke(activation, &sm_exec_descriptor(sm_exec_module_of(activation))->exports[0], own,
                   &result);
    if (result.end != SM_EXEC_STOPPED) {
        callback->innermost = result;
    }
    return SM_EXEC_STOP;
}

struct callback_end {
    unsigned invocations;
    struct sm_exec_result innermost;
    uint64_t fuel_used;
    uint32_t depth;
    uint64_t stack_used;
    uint64_t stack_bytes;
};

static void run_callback(const struct test *test, const struct back_end_row *back_end,
                         struct smelt_slice wasm, uint64_t steps, struct callback_end *out)
{
    struct smelt_artefact artefact;
    struct smelt_error err = {0};
    struct sm_cache_object object;
    struct sm_exec_pool *pool = NULL;
    struct sm_exec_module *module = NULL;
    struct sm_activation *activation = NULL;
    struct callback callback = {.steps = steps, .invocations = 1};
    const struct sm_exec_host host = {.call = call_back, .context = &callback};
    struct sm_exec_result result;
    uint64_t slots[1] = {steps};
    uint64_t memory_size;
    require(smelt_compile(back_end->compiler, wasm, NULL, &artefact, &err), &err);
    require(sm_cache_open_object(test->cache, &artefact.key, &object, &err), &err);
    require(sm_exec_pool_create(NULL, &pool, &err), &err);
    require(sm_exec_load(pool, object.fd, &artefact.key, &artefact.module_hash, &module, &err),
            &err);
    (void)close(object.fd);
    require(sm_exec_create(module, &host, FUEL, &activation, &err), &err);
    sm_exec_start(activation, &result);
    sm_exec_invoke(activation, &sm_exec_descriptor(module)->exports[0], slots, &result);
    *out = (struct callback_end){.invocations = callback.invocations,
                                 .innermost = callback.innermost,
                                 .fuel_used = FUEL - sm_exec_fuel(activation),
                                 .stack_bytes = sm_exec_descriptor(module)->stack_bytes};
    out->depth = sm_load_le32(sm_exec_memory(activation, &memory_size));
    sm_exec_destroy(activation);
    out->stack_used = stack_used; /* the stack has gone back by now */
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
}

/* With few steps the number of open invocations is the limit, with many the weight; in the last
 * invocation that is open, both are nearly used up. */
static void check_callback(struct test *test)
{
    static const struct shape shape = {"calls back", put_callback, false};
    static const uint64_t steps[] = {0, 100, 750, 3000, 5000};
    struct smelt_buf wasm = convert(&shape);
    for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
        struct callback_end first = {0};
        char name[64];
        (void)snprintf(name, sizeof(name), "%s after %" PRIu64, shape.name, steps[s]);
        for (size_t i = 0; i < sizeof(test->back_ends) / sizeof(test->back_ends[0]); i++) {
            const struct back_end_row *back_end = &test->back_ends[i];
            struct callback_end end;
            if (back_end->compiler == NULL) {
                continue;
            }
            run_callback(test, back_end, sm_buf_slice(&wasm), steps[s], &end);
            first = first.invocations == 0 ? end : first;
            print_row(name, back_end->name, end.depth, end.fuel_used, end.stack_used,
                      end.stack_bytes);
            if (end.innermost.end != SM_EXEC_TRAPPED ||
                end.innermost.trap != SMELT_TRAP_STACK_OVERFLOW ||
                end.innermost.has_offset != first.innermost.has_offset ||
                end.innermost.offset != first.innermost.offset ||
                end.invocations != first.invocations || end.fuel_used != first.fuel_used ||
                end.depth != first.depth) {
                fail(test, name, back_end->name, "ends in another way than the others");
            }
            if (end.stack_used > end.stack_bytes) {
                fail(test, name, back_end->name, "uses more stack than was measured");
            }
        }
    }
    smelt_buf_deinit(&wasm);
}

/* ---- main ------------------------------------------------------------------------------------ */

static void open_back_ends(struct test *test, const char *scratch, const char *gcc)
{
    static struct smelt_profile profile;
    static const struct back_end_row rows[] = {
        {"clang", SMELT_OPTIMISE_BY_SIZE, false, NULL},
        {"clang -O0", SMELT_OPTIMISE_NONE, false, NULL},
        {"clang -O2", SMELT_OPTIMISE_FULL, false, NULL},
        {"gcc", SMELT_OPTIMISE_BY_SIZE, true, NULL},
        {"gcc -O0", SMELT_OPTIMISE_NONE, true, NULL},
        {"gcc -O2", SMELT_OPTIMISE_FULL, true, NULL},
    };
    static_assert(sizeof(rows) == sizeof(test->back_ends), "one compiler each");
    char path[PATH_MAX];
    struct smelt_error err = {0};
    require(sm_fs_path(path, sizeof(path), &err, "%s/cache", scratch), &err);
    require(sm_fs_remove_tree(path, &err), &err);
    require(sm_fs_make_directories(scratch, 0755, &err), &err);
    require(smelt_cache_open(path, &test->cache, &err), &err);
    require(smelt_schedule_builtin("unit", &smelt_profile_engine, &test->schedule, &err), &err);
    require(smelt_policy_builtin("standard-floats", &test->floats, &err), &err);
    memcpy(test->back_ends, rows, sizeof(rows));
    profile = smelt_profile_engine;
    profile.allocate_export = NULL;
    profile.init_export = NULL;
    struct smelt_compiler_options options = {.cache = test->cache,
                                             .schedule = test->schedule,
                                             .profile = &profile,
                                             .policy = test->floats,
                                             .allows_any_import = true};
    const struct back_end back_end = {.cc = gcc};
    bool has_gcc = back_end_is_there(&back_end);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        options.optimisation = rows[i].optimisation;
        options.cc_path = rows[i].is_gcc ? gcc : NULL;
        if (has_gcc || !rows[i].is_gcc) {
            require(smelt_compiler_create(&options, &test->back_ends[i].compiler, &err), &err);
        }
    }
}

int main(int argc, char **argv)
{
    struct test test = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: %s <scratch directory> <path of gcc>\n", argv[0]);
        return EXIT_FAILURE;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    open_back_ends(&test, argv[1], argv[2]);
    printf("%-24s %-12s %8s %10s %12s %12s %8s\n", "shape", "back end", "depth", "fuel", "used",
           "available", "used");
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        check_shape(&test, &shapes[i]);
    }
    check_callback(&test);
    for (size_t i = 0; i < sizeof(test.back_ends) / sizeof(test.back_ends[0]); i++) {
        smelt_compiler_destroy(test.back_ends[i].compiler);
    }
    smelt_policy_destroy(test.floats);
    smelt_schedule_destroy(test.schedule);
    smelt_cache_close(test.cache);
    return test.failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
