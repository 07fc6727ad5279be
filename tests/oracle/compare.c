/* One interpreter run per side and call; every difference is printed with what reproduces it.
 *
 * Each back end makes an artefact of its own; they differ in how the C was compiled and in nothing
 * that a contract could observe. */
#include "tests/oracle/compare.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/fs.h"
#include "hostabi/guest/smelt_abi.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHEAP_FUEL       100u
#define MEMORY_PAGES_MAX 512u /* initial pages: every side touches all of them in every call */

/* ---- coverage -------------------------------------------------------------------------------- */

/* For each trap and dynamic charge: calls whose limit was right at it, one below, one above. */
enum limit { LIMIT_BELOW, LIMIT_AT, LIMIT_ABOVE, LIMIT_COUNT };

#define TRAP_COUNT (SMELT_TRAP_STATIC_VIOLATION + 1)

struct coverage {
    uint64_t traps[TRAP_COUNT][LIMIT_COUNT];
    uint64_t dynamic[ORACLE_DYNAMIC_COUNT][LIMIT_COUNT];
};

static const char *const dynamic_names[] = {
#define DYNAMIC_NAME(name, text) text,
    ORACLE_DYNAMIC_MAP(DYNAMIC_NAME)
#undef DYNAMIC_NAME
};

/* Calls from outside are never static: only nested calls of the engine are. */
static bool is_reachable(size_t trap)
{
    return trap != SMELT_TRAP_NONE && trap != SMELT_TRAP_STATIC_VIOLATION;
}

static bool report_row(const char *name, const uint64_t *counts)
{
    bool is_covered = true;
    printf("  %-30s", name);
    for (int i = 0; i < LIMIT_COUNT; i++) {
        printf(" %8" PRIu64, counts[i]);
        is_covered = is_covered && counts[i] != 0;
    }
    printf("%s\n", is_covered ? "" : "  not covered");
    return is_covered;
}

static bool report_coverage(const struct coverage *coverage)
{
    bool is_covered = true;
    printf("calls with a limit of           used - 1     used used + 1\n");
    for (size_t i = 0; i < TRAP_COUNT; i++) {
        if (is_reachable(i)) {
            is_covered &= report_row(smelt_trap_name((enum smelt_trap)i), coverage->traps[i]);
        }
    }
    for (size_t i = 0; i < ORACLE_DYNAMIC_COUNT; i++) {
        is_covered &= report_row(dynamic_names[i], coverage->dynamic[i]);
    }
    return is_covered;
}

struct tally {
    unsigned modules;
    unsigned refused;
    unsigned too_large;
    unsigned failed; /* modules with at least one difference */
    uint64_t calls;
    uint64_t host_calls;
    uint64_t returned;
    uint64_t out_of_fuel;
    uint64_t counted; /* of the calls, those compared with the count by instruction */
    uint64_t traps[TRAP_COUNT];
};

struct oracle {
    struct oracle_options options;
    char cache_path[PATH_MAX];
    struct smelt_cache *cache;
    struct smelt_schedule *schedule;
    struct smelt_policy *floats;
    struct smelt_profile lenient;
    /* per back end: as deployed, with imports of the profile and without floats */
    struct smelt_compiler *contracts[ORACLE_BACK_ENDS_MAX];
    struct smelt_compiler *others[ORACLE_BACK_ENDS_MAX]; /* as lenient as possible */
    struct tally tally;
    struct coverage coverage;
};

static void require(enum smelt_status status, const struct smelt_error *err)
{
    if (status != SMELT_STATUS_OK) {
        fprintf(stderr, "oracle: %s: %s\n", smelt_status_name(status), err->message);
        exit(EXIT_FAILURE);
    }
}

/* ---- arguments ------------------------------------------------------------------------------- */

static const uint64_t integers[] = {
    0x0000000000000000, 0x0000000000000001, 0x0000000000000002, 0x0000000000000003,
    0x0000000000000007, 0x000000000000000a, 0x000000000000001f, 0x0000000000000020,
    0x00000000000000ff, 0x000000000000fffc, 0x000000000000ffff, 0x0000000000010000,
    0x0000000000100000, 0x000000007fffffff, 0x0000000080000000, 0x00000000ffffffff,
    0x8000000000000000, 0xffffffffffffffff,
};
/* Zeros, one half, infinity, NaNs (canonical, with a payload, signalling), a subnormal, and the
 * edges of the integer types. */
static const uint32_t floats[] = {
    0x00000000, 0x80000000, 0x3f000000, 0xff800000, 0x7fc00000, 0xffc12345, 0x7f812345, 0x00000007,
    0x4f000000, 0xcf000000, 0xcf000001, 0x5f000000, 0xdf000000, 0x5f800000, 0xbf800000, 0xc0490fdb,
};
static const uint64_t doubles[] = {
    0x0000000000000000, 0x8000000000000000, 0x3fe0000000000000, 0xfff0000000000000,
    0x7ff8000000000000, 0xfff8000000012345, 0x7ff0000000012345, 0x0000000000000007,
    0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000200000, 0x43e0000000000000,
    0xc3e0000000000000, 0x43f0000000000000, 0xbff0000000000000, 0xc00921fb54442d18,
};

static uint64_t random_bits(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t x = *state ^ *state >> 33;
    return x * UINT64_C(0xff51afd7ed558ccd);
}

static uint64_t argument(uint8_t type, uint64_t *random)
{
    uint64_t choice = random_bits(random) >> 32;
    uint64_t noise = random_bits(random);
    if (choice % 4 == 0) {
        return oracle_trim(type, noise);
    }
    choice /= 4;
    switch (type) {
    case SMELT_VALTYPE_F32:
        return floats[choice % (sizeof(floats) / sizeof(floats[0]))];
    case SMELT_VALTYPE_F64:
        return doubles[choice % (sizeof(doubles) / sizeof(doubles[0]))];
    default:
        return oracle_trim(type, integers[choice % (sizeof(integers) / sizeof(integers[0]))]);
    }
}

/* Vector 0 is all zeros, vector 1 counts from 5 down: sizes that end soon. */
static void fill_call(struct oracle_call *call, const struct sm_export *export_, uint32_t vector)
{
    uint64_t random = (uint64_t)vector << 32 | call->export_index;
    call->seed = vector;
    for (uint32_t i = 0; i < export_->param_count; i++) {
        uint8_t type = export_->types[i];
        call->args[i] = vector == 0   ? 0
                        : vector == 1 ? (i < 5 ? 5 - i : 0)
                                      : argument(type, &random);
    }
}

/* ---- one call -------------------------------------------------------------------------------- */

struct subject {
    const char *name;
    struct interpreter *marked;
    struct interpreter *counted;
    struct native *natives[ORACLE_BACK_ENDS_MAX];
};

/* Exports, imports and limits are the same with every back end. */
static const struct sm_descriptor *descriptor_of(const struct subject *subject)
{
    return native_descriptor(subject->natives[0]);
}

/* How a side of a native back end is called in messages. */
static void name_back_end(const struct back_end *back_end, char *out, size_t out_size)
{
    static const char *const words[] = {[SMELT_OPTIMISE_BY_SIZE] = "by size",
                                        [SMELT_OPTIMISE_NONE] = "-O0",
                                        [SMELT_OPTIMISE_FULL] = "-O2"};
    (void)snprintf(out, out_size, "native (%s, %s)",
                   back_end->cc != NULL ? back_end->cc : "default compiler",
                   words[back_end->optimisation]);
}

static void print_outcome(const char *side, const struct oracle_outcome *outcome,
                          uint32_t result_count)
{
    static const char *const ends[] = {"returned", "trapped", "out of fuel"};
    char digest[2 * SMELT_HASH_BYTES + 1];
    smelt_hex_encode(outcome->memory_digest.bytes, SMELT_HASH_BYTES, digest);
    printf("  %-12s %s %s, used %" PRIu64 ", memory %" PRIu64 " %.16s, %" PRIu64
           " host calls, results",
           side, ends[outcome->end], smelt_trap_name(outcome->trap), outcome->fuel_used,
           outcome->memory_size, digest, outcome->trace.count);
    for (uint32_t i = 0; i < result_count; i++) {
        printf(" %" PRIx64, outcome->results[i]);
    }
    printf("\n%s", outcome->trace.text);
}

static void print_difference(const struct subject *subject, const struct oracle_call *call,
                             const struct oracle_outcome *expected, const char *side,
                             const struct oracle_outcome *actual)
{
    const struct sm_export *export_ = &descriptor_of(subject)->exports[call->export_index];
    printf("FAIL %s: export %" PRIu32 " \"%.*s\"(", subject->name, call->export_index,
           (int)export_->name_size, export_->name);
    for (uint32_t i = 0; i < export_->param_count; i++) {
        printf("%s%" PRIx64, i == 0 ? "" : ", ", call->args[i]);
    }
    printf(") with fuel %" PRIu64 ", host seed %" PRIu32 "\n", call->fuel, call->seed);
    print_outcome("interpreter", expected, export_->result_count);
    print_outcome(side, actual, export_->result_count);
}

static bool compare_call(struct oracle *oracle, const struct subject *subject,
                         const struct oracle_call *call, struct oracle_outcome *expected)
{
    struct tally *tally = &oracle->tally;
    interpreter_run(subject->marked, call, expected);
    tally->calls++;
    tally->host_calls += expected->trace.count;
    tally->returned += expected->end == ORACLE_RETURNED;
    tally->out_of_fuel += expected->end == ORACLE_OUT_OF_FUEL;
    tally->traps[expected->trap]++;
    for (size_t i = 0; i < oracle->options.back_end_count; i++) {
        struct oracle_outcome actual;
        char side[PATH_MAX];
        native_run(subject->natives[i], call, &actual);
        if (!oracle_outcome_equal(expected, &actual)) {
            name_back_end(&oracle->options.back_ends[i], side, sizeof(side));
            print_difference(subject, call, expected, side, &actual);
            return false;
        }
    }
    return true;
}

/* Is fuel what docs/fuel.md says? Also takes down where the dynamic charges were. */
static bool compare_count(struct oracle *oracle, const struct subject *subject,
                          const struct oracle_call *call, struct oracle_outcome *expected)
{
    struct oracle_outcome counted;
    if (expected->end == ORACLE_OUT_OF_FUEL || expected->trap == SMELT_TRAP_STACK_OVERFLOW) {
        return true; /* the counted module would go on */
    }
    interpreter_run(subject->counted, call, &counted);
    oracle->tally.counted++;
    if (!oracle_outcome_equal(expected, &counted)) {
        print_difference(subject, call, expected, "counted", &counted);
        return false;
    }
    memcpy(expected->dynamic, counted.dynamic, sizeof(counted.dynamic));
    return true;
}

/* ---- one function ---------------------------------------------------------------------------- */

/* The same call with `used` units of fuel, one less and one more. The call with one less must be
 * out of fuel: both sides could be wrong in the same way. */
static bool compare_around(struct oracle *oracle, const struct subject *subject,
                           struct oracle_call call, uint64_t used, uint64_t *covered)
{
    struct oracle_outcome outcome;
    for (int limit = used == 0 ? LIMIT_AT : LIMIT_BELOW; limit < LIMIT_COUNT; limit++) {
        call.fuel = used + (uint64_t)limit - LIMIT_AT;
        if (!compare_call(oracle, subject, &call, &outcome)) {
            return false;
        }
        if (limit == LIMIT_BELOW &&
            (outcome.end != ORACLE_OUT_OF_FUEL || outcome.fuel_used != call.fuel)) {
            printf("FAIL %s: export %" PRIu32 " uses %" PRIu64 " and can do with one less\n",
                   subject->name, call.export_index, used);
            return false;
        }
        covered[limit]++;
    }
    return true;
}

static bool compare_steps(struct oracle *oracle, const struct subject *subject,
                          struct oracle_call call, uint64_t used)
{
    struct oracle_outcome outcome;
    uint64_t step = used / oracle->options.sweep_points + 1;
    for (uint64_t below = 1; below <= used; below += step) {
        call.fuel = used - below;
        if (!compare_call(oracle, subject, &call, &outcome)) {
            return false;
        }
    }
    return true;
}

static bool compare_vector(struct oracle *oracle, const struct subject *subject,
                           const struct oracle_call *call, bool is_swept, uint64_t *used)
{
    struct oracle_outcome outcome;
    uint64_t elsewhere[LIMIT_COUNT]; /* calls that return are no row of the table */
    if (!compare_call(oracle, subject, call, &outcome) ||
        !compare_count(oracle, subject, call, &outcome)) {
        return false;
    }
    *used = outcome.fuel_used;
    if (outcome.end == ORACLE_OUT_OF_FUEL) {
        return !is_swept || compare_steps(oracle, subject, *call, call->fuel / 1000);
    }
    if (!compare_around(oracle, subject, *call, *used,
                        outcome.end == ORACLE_TRAPPED ? oracle->coverage.traps[outcome.trap]
                                                      : elsewhere)) {
        return false;
    }
    for (size_t i = 0; is_swept && i < ORACLE_DYNAMIC_COUNT; i++) {
        if (outcome.dynamic[i] != 0 && !compare_around(oracle, subject, *call, outcome.dynamic[i],
                                                       oracle->coverage.dynamic[i])) {
            return false;
        }
    }
    return !is_swept || compare_steps(oracle, subject, *call, *used);
}

/* Stops at the first difference. */
static bool compare_function(struct oracle *oracle, const struct subject *subject,
                             uint32_t export_index)
{
    const struct oracle_options *options = &oracle->options;
    const struct sm_descriptor *descriptor = descriptor_of(subject);
    const struct sm_export *export_ = &descriptor->exports[export_index];
    uint32_t vectors =
        export_->param_count != 0 || descriptor->import_count != 0 ? options->vectors : 1;
    for (uint32_t vector = 0; vector < vectors; vector++) {
        struct oracle_call call = {.export_index = export_index,
                                   .stack_weight = export_->stack_weight,
                                   .fuel = options->fuel};
        uint64_t used;
        fill_call(&call, export_, vector);
        if (!compare_vector(oracle, subject, &call, vector < options->swept_vectors, &used)) {
            return false;
        }
        if (vector == 0 && vectors != 1 && used < CHEAP_FUEL) {
            vectors = options->cheap_vectors;
        }
    }
    return true;
}

/* ---- one module ------------------------------------------------------------------------------ */

static bool is_refusal(enum smelt_status status)
{
    return status >= 200 && status < 300;
}

/* All back ends; those that were opened stay open on failure. */
static enum smelt_status open_natives(struct oracle *oracle,
                                      struct smelt_compiler *const *compilers,
                                      struct smelt_slice wasm, struct subject *subject,
                                      struct smelt_buf *instrumented, struct smelt_error *err)
{
    const struct smelt_compile_products products = {.instrumented_wasm = instrumented};
    for (size_t i = 0; i < oracle->options.back_end_count; i++) {
        struct smelt_artefact artefact;
        enum smelt_status status =
            smelt_compile(compilers[i], wasm, i == 0 ? &products : NULL, &artefact, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        subject->natives[i] = native_open(oracle->cache, &artefact);
        (void)unlink(artefact.path); /* it is mapped, and there are many */
    }
    return SMELT_STATUS_OK;
}

static struct interpreter *open_interpreter(const char *name, struct smelt_slice wasm,
                                            enum interpreter_kind kind)
{
    char problem[200];
    struct interpreter *interpreter = interpreter_open(wasm, kind, problem, sizeof(problem));
    if (interpreter == NULL) {
        printf("FAIL %s: wabt refuses the %s module: %s\n", name,
               kind == INTERPRETER_MARKED ? "instrumented" : "counted", problem);
    }
    return interpreter;
}

static bool compare_subject(struct oracle *oracle, struct subject *subject, struct smelt_slice wasm,
                            struct smelt_slice instrumented)
{
    const struct sm_descriptor *descriptor = descriptor_of(subject);
    struct smelt_buf counted = {0};
    struct smelt_error err = {0};
    require(oracle_count(wasm, oracle->schedule, descriptor->memory_min, descriptor->memory_max,
                         &counted, &err),
            &err);
    subject->marked = open_interpreter(subject->name, instrumented, INTERPRETER_MARKED);
    subject->counted = open_interpreter(subject->name, sm_buf_slice(&counted), INTERPRETER_COUNTED);
    bool is_good = subject->marked != NULL && subject->counted != NULL;
    bool is_open = is_good;
    for (uint32_t i = 0; is_open && i < descriptor->export_count; i++) {
        is_good = compare_function(oracle, subject, i) && is_good;
    }
    interpreter_close(subject->marked);
    interpreter_close(subject->counted);
    smelt_buf_deinit(&counted);
    return is_good;
}

bool oracle_check(struct oracle *oracle, const char *name, struct smelt_slice wasm)
{
    struct tally *tally = &oracle->tally;
    struct smelt_buf instrumented = {0};
    struct subject subject = {.name = name};
    struct smelt_error err = {0};
    bool is_good = true;
    enum smelt_status status =
        open_natives(oracle, oracle->contracts, wasm, &subject, &instrumented, &err);
    if (is_refusal(status)) {
        status = open_natives(oracle, oracle->others, wasm, &subject, &instrumented, &err);
    }
    if (is_refusal(status) && oracle->options.is_archive) {
        tally->refused++;
    } else if (status != SMELT_STATUS_OK) {
        printf("FAIL %s: %s: %s\n", name, smelt_status_name(status), err.message);
        is_good = false;
    } else if (descriptor_of(&subject)->memory_min > MEMORY_PAGES_MAX) {
        tally->too_large++;
    } else {
        tally->modules++;
        is_good = compare_subject(oracle, &subject, wasm, sm_buf_slice(&instrumented));
    }
    tally->failed += !is_good;
    for (size_t i = 0; i < oracle->options.back_end_count; i++) {
        native_close(subject.natives[i]);
    }
    smelt_buf_deinit(&instrumented);
    return is_good;
}

/* ---- the whole ------------------------------------------------------------------------------- */

struct oracle *oracle_open(const struct oracle_options *options)
{
    struct smelt_error err = {0};
    struct oracle *oracle = (struct oracle *)sm_calloc(1, sizeof(*oracle));
    if (oracle == NULL) {
        abort();
    }
    oracle->options = *options;
    require(sm_fs_path(oracle->cache_path, sizeof(oracle->cache_path), &err, "%s/cache",
                       options->scratch),
            &err);
    /* nothing that an earlier build compiled */
    require(sm_fs_remove_tree(oracle->cache_path, &err), &err);
    require(sm_fs_make_directories(options->scratch, 0755, &err), &err);
    require(smelt_cache_open(oracle->cache_path, &oracle->cache, &err), &err);
    require(
        smelt_schedule_builtin(options->schedule, &smelt_profile_engine, &oracle->schedule, &err),
        &err);
    require(smelt_policy_builtin("standard-floats", &oracle->floats, &err), &err);
    oracle->lenient = smelt_profile_engine;
    oracle->lenient.allocate_export = NULL;
    oracle->lenient.init_export = NULL;
    for (size_t i = 0; i < oracle->options.back_end_count; i++) {
        const struct back_end *back_end = &options->back_ends[i];
        struct smelt_compiler_options compiler = {.cache = oracle->cache,
                                                  .schedule = oracle->schedule,
                                                  .optimisation = back_end->optimisation,
                                                  .cc_path = back_end->cc};
        require(smelt_compiler_create(&compiler, &oracle->contracts[i], &err), &err);
        compiler.profile = &oracle->lenient;
        compiler.policy = oracle->floats;
        compiler.allows_any_import = true;
        require(smelt_compiler_create(&compiler, &oracle->others[i], &err), &err);
    }
    return oracle;
}

void oracle_close(struct oracle *oracle)
{
    struct smelt_error err = {0};
    for (size_t i = 0; i < oracle->options.back_end_count; i++) {
        smelt_compiler_destroy(oracle->contracts[i]);
        smelt_compiler_destroy(oracle->others[i]);
    }
    smelt_policy_destroy(oracle->floats);
    smelt_schedule_destroy(oracle->schedule);
    smelt_cache_close(oracle->cache);
    require(sm_fs_remove_tree(oracle->cache_path, &err), &err);
    sm_free(oracle);
}

bool oracle_report(const struct oracle *oracle)
{
    const struct tally *tally = &oracle->tally;
    printf("modules: %u compared, %u refused, %u too large, %u failed\n", tally->modules,
           tally->refused, tally->too_large, tally->failed);
    printf("calls: %" PRIu64 ", also counted by instruction: %" PRIu64 ", host calls: %" PRIu64
           "\n",
           tally->calls, tally->counted, tally->host_calls);
    printf("  %-30s %8" PRIu64 "\n  %-30s %8" PRIu64 "\n", "returned", tally->returned,
           "out_of_fuel", tally->out_of_fuel);
    for (size_t i = 1; i < TRAP_COUNT; i++) {
        if (tally->traps[i] != 0) {
            printf("  %-30s %8" PRIu64 "\n", smelt_trap_name((enum smelt_trap)i), tally->traps[i]);
        }
    }
    bool is_covered = report_coverage(&oracle->coverage) || !oracle->options.has_every_row;
    return tally->modules != 0 && tally->failed == 0 && is_covered;
}
