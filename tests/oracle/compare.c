/* Runs modules on both sides of the oracle and compares.
 *
 *   test_oracle [--schedule NAME] [--every N] [--optimise by-size|none|full] [--cc PATH]
 *               <scratch directory> <file or directory>...
 *
 * Takes every .wasm and .wat below the paths, expected outputs of other tests excepted. A module is
 * compiled as a deployable contract when it is one, else with floats, any import and no rules for
 * export names; to be refused even so is a failure. --every is for archives: modules whose hash
 * divides by N, and refusals are only counted.
 *
 * Each exported function is called with several arguments and ample fuel. For a sample of these
 * calls the limit is then lowered to just above, at and just below what was used, and to points in
 * between. Exit status: 0 equal everywhere, 1 not, 77 without that compiler. */
#include "base/bytes.h"
#include "base/digest.h"
#include "base/fs.h"
#include "hostabi/guest/smelt_abi.h"
#include "tests/oracle/oracle.h"
#include "tests/support/back_end.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODULE_BYTES_MAX ((size_t)16 << 20)
#define AMPLE_FUEL       1000000u
#define VECTORS          8u  /* argument vectors per function */
#define CHEAP_VECTORS    40u /* the same when the first one uses little fuel */
#define CHEAP_FUEL       100u
#define SWEPT_VECTORS    2u  /* of them, those tried at many limits */
#define SWEEP_POINTS     16u /* limits between 0 and what was used */
#define EXIT_SKIPPED     77
#define MEMORY_PAGES_MAX 512u /* initial pages: both sides touch all of them in every call */

struct tally {
    unsigned modules;
    unsigned refused;
    unsigned too_large;
    unsigned failed; /* modules with at least one difference */
    uint64_t calls;
    uint64_t host_calls;
    uint64_t returned;
    uint64_t out_of_fuel;
    uint64_t traps[SMELT_TRAP_STATIC_VIOLATION + 1];
};

struct oracle {
    struct smelt_cache *cache;
    struct smelt_schedule *schedule;
    struct smelt_compiler *contracts; /* as deployed: no floats, imports of the profile */
    struct smelt_compiler *others;    /* as lenient as possible */
    bool is_archive;                  /* not every module of it is meant for us */
    unsigned every;
    struct tally tally;
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
    const char *path;
    struct interpreter *interpreter;
    struct native *native;
};

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
                             const struct oracle_outcome *expected,
                             const struct oracle_outcome *actual)
{
    const struct sm_export *export_ =
        &native_descriptor(subject->native)->exports[call->export_index];
    printf("FAIL %s: export %" PRIu32 " \"%.*s\"(", subject->path, call->export_index,
           (int)export_->name_size, export_->name);
    for (uint32_t i = 0; i < export_->param_count; i++) {
        printf("%s%" PRIx64, i == 0 ? "" : ", ", call->args[i]);
    }
    printf(") with fuel %" PRIu64 ", host seed %" PRIu32 "\n", call->fuel, call->seed);
    print_outcome("interpreter", expected, export_->result_count);
    print_outcome("native", actual, export_->result_count);
}

static bool compare_call(struct oracle *oracle, const struct subject *subject,
                         const struct oracle_call *call, struct oracle_outcome *expected)
{
    struct tally *tally = &oracle->tally;
    struct oracle_outcome actual;
    interpreter_run(subject->interpreter, call, expected);
    native_run(subject->native, call, &actual);
    tally->calls++;
    tally->host_calls += expected->trace.count;
    tally->returned += expected->end == ORACLE_RETURNED;
    tally->out_of_fuel += expected->end == ORACLE_OUT_OF_FUEL;
    tally->traps[expected->trap]++;
    if (!oracle_outcome_equal(expected, &actual)) {
        print_difference(subject, call, expected, &actual);
        return false;
    }
    return true;
}

/* ---- one function ---------------------------------------------------------------------------- */

/* The same call with less fuel. */
static bool compare_limits(struct oracle *oracle, const struct subject *subject,
                           struct oracle_call call, uint64_t used, bool is_swept)
{
    struct oracle_outcome outcome;
    uint64_t step = used / SWEEP_POINTS + 1;
    for (uint64_t above = 0; above < 2; above++) {
        call.fuel = used + above;
        if (!compare_call(oracle, subject, &call, &outcome)) {
            return false;
        }
    }
    for (uint64_t below = 1; below <= used; below = is_swept ? below + step : used + 1) {
        call.fuel = used - below;
        if (!compare_call(oracle, subject, &call, &outcome)) {
            return false;
        }
    }
    return true;
}

/* Stops at the first difference. */
static bool compare_function(struct oracle *oracle, const struct subject *subject,
                             uint32_t export_index)
{
    const struct sm_descriptor *descriptor = native_descriptor(subject->native);
    const struct sm_export *export_ = &descriptor->exports[export_index];
    uint32_t vectors = export_->param_count != 0 || descriptor->import_count != 0 ? VECTORS : 1;
    for (uint32_t vector = 0; vector < vectors; vector++) {
        struct oracle_call call = {.export_index = export_index,
                                   .stack_weight = export_->stack_weight,
                                   .fuel = AMPLE_FUEL};
        struct oracle_outcome outcome;
        fill_call(&call, export_, vector);
        if (!compare_call(oracle, subject, &call, &outcome)) {
            return false;
        }
        if (vector == 0 && vectors != 1 && outcome.fuel_used < CHEAP_FUEL) {
            vectors = CHEAP_VECTORS;
        }
        uint64_t used = outcome.end == ORACLE_OUT_OF_FUEL ? 1000 : outcome.fuel_used;
        if (!compare_limits(oracle, subject, call, used, vector < SWEPT_VECTORS)) {
            return false;
        }
    }
    return true;
}

/* ---- one module ------------------------------------------------------------------------------ */

static bool compare_subject(struct oracle *oracle, const struct subject *subject)
{
    uint32_t count = native_descriptor(subject->native)->export_count;
    bool is_good = true;
    for (uint32_t i = 0; i < count; i++) {
        is_good = compare_function(oracle, subject, i) && is_good;
    }
    return is_good;
}

static bool is_refusal(enum smelt_status status)
{
    return status >= 200 && status < 300;
}

static void check_module(struct oracle *oracle, const char *path, struct smelt_slice wasm)
{
    struct smelt_buf instrumented = {0};
    struct smelt_artefact artefact;
    struct smelt_error err = {0};
    char problem[200];
    const struct smelt_compile_products products = {.instrumented_wasm = &instrumented};
    enum smelt_status status = smelt_compile(oracle->contracts, wasm, &products, &artefact, &err);
    if (is_refusal(status)) {
        status = smelt_compile(oracle->others, wasm, &products, &artefact, &err);
    }
    if (is_refusal(status) && oracle->is_archive) {
        oracle->tally.refused++;
        return;
    }
    if (status != SMELT_STATUS_OK) {
        printf("FAIL %s: %s: %s\n", path, smelt_status_name(status), err.message);
        oracle->tally.failed++;
        return;
    }
    struct subject subject = {.path = path, .native = native_open(oracle->cache, &artefact)};
    if (native_descriptor(subject.native)->memory_min > MEMORY_PAGES_MAX) {
        oracle->tally.too_large++;
    } else {
        oracle->tally.modules++;
        subject.interpreter =
            interpreter_open(sm_buf_slice(&instrumented), problem, sizeof(problem));
        if (subject.interpreter == NULL) {
            printf("FAIL %s: wabt refuses the instrumented module: %s\n", path, problem);
        }
        if (subject.interpreter == NULL || !compare_subject(oracle, &subject)) {
            oracle->tally.failed++;
        }
        interpreter_close(subject.interpreter);
    }
    native_close(subject.native);
    smelt_buf_deinit(&instrumented);
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t text_size = strlen(text);
    size_t end_size = strlen(end);
    return text_size >= end_size && strcmp(text + text_size - end_size, end) == 0;
}

static void check_file(struct oracle *oracle, const char *path)
{
    struct smelt_buf file = {0};
    struct smelt_buf wasm = {0};
    struct smelt_hash hash;
    struct smelt_error err = {0};
    bool is_text = ends_with(path, ".wat");
    if ((!is_text && !ends_with(path, ".wasm")) || ends_with(path, ".expected.wat")) {
        return;
    }
    require(sm_fs_read_file(path, MODULE_BYTES_MAX, &file, &err), &err);
    if (is_text) {
        require(smelt_wat_to_wasm(sm_buf_slice(&file), &wasm, &err), &err);
    }
    struct smelt_slice bytes = sm_buf_slice(is_text ? &wasm : &file);
    sm_digest_bytes(bytes, &hash);
    if (sm_load_le32(hash.bytes) % oracle->every == 0) {
        check_module(oracle, path, bytes);
    }
    smelt_buf_deinit(&file);
    smelt_buf_deinit(&wasm);
}

static void check_path(struct oracle *oracle, const char *path)
{
    struct stat info;
    struct dirent **entries = NULL;
    char below[PATH_MAX];
    struct smelt_error err = {0};
    if (stat(path, &info) != 0) {
        fprintf(stderr, "oracle: cannot read %s\n", path);
        exit(EXIT_FAILURE);
    }
    if (!S_ISDIR(info.st_mode)) {
        check_file(oracle, path);
        return;
    }
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            require(sm_fs_path(below, sizeof(below), &err, "%s/%s", path, entries[i]->d_name),
                    &err);
            check_path(oracle, below);
        }
        free(entries[i]);
    }
    free(entries);
}

/* ---- main ------------------------------------------------------------------------------------ */

static void open_compilers(struct oracle *oracle, const char *scratch, const char *schedule,
                           const struct back_end *back_end)
{
    char path[PATH_MAX];
    struct smelt_error err = {0};
    require(sm_fs_path(path, sizeof(path), &err, "%s/cache", scratch), &err);
    /* nothing that an earlier build compiled */
    require(sm_fs_remove_tree(path, &err), &err);
    require(sm_fs_make_directories(scratch, 0755, &err), &err);
    require(smelt_cache_open(path, &oracle->cache, &err), &err);
    require(smelt_schedule_builtin(schedule, &smelt_profile_engine, &oracle->schedule, &err), &err);
    struct smelt_compiler_options options = {.cache = oracle->cache,
                                             .schedule = oracle->schedule,
                                             .optimisation = back_end->optimisation,
                                             .cc_path = back_end->cc};
    require(smelt_compiler_create(&options, &oracle->contracts, &err), &err);
    static struct smelt_profile lenient;
    lenient = smelt_profile_engine;
    lenient.allocate_export = NULL;
    lenient.init_export = NULL;
    options.profile = &lenient;
    options.floats = SMELT_FLOAT_CANONICAL_NAN;
    options.allows_any_import = true;
    require(smelt_compiler_create(&options, &oracle->others, &err), &err);
}

static void close_compilers(struct oracle *oracle)
{
    smelt_compiler_destroy(oracle->contracts);
    smelt_compiler_destroy(oracle->others);
    smelt_schedule_destroy(oracle->schedule);
    smelt_cache_close(oracle->cache);
}

static bool report(const struct tally *tally)
{
    printf("modules: %u compared, %u refused, %u too large, %u failed\n", tally->modules,
           tally->refused, tally->too_large, tally->failed);
    printf("calls: %" PRIu64 ", host calls: %" PRIu64 "\n", tally->calls, tally->host_calls);
    printf("  %-30s %8" PRIu64 "\n  %-30s %8" PRIu64 "\n", "returned", tally->returned,
           "out_of_fuel", tally->out_of_fuel);
    for (size_t i = 1; i < sizeof(tally->traps) / sizeof(tally->traps[0]); i++) {
        if (tally->traps[i] != 0) {
            printf("  %-30s %8" PRIu64 "\n", smelt_trap_name((enum smelt_trap)i), tally->traps[i]);
        }
    }
    return tally->modules != 0 && tally->failed == 0;
}

int main(int argc, char **argv)
{
    struct oracle oracle = {.every = 1};
    struct back_end back_end = {0};
    const char *schedule = "engine-v1";
    int at = 1;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        if (strcmp(argv[at], "--schedule") == 0) {
            schedule = argv[at + 1];
        } else if (strcmp(argv[at], "--every") == 0) {
            oracle.is_archive = true;
            oracle.every = (unsigned)strtoul(argv[at + 1], NULL, 10);
        } else if (!back_end_set(&back_end, argv[at], argv[at + 1])) {
            break;
        }
    }
    if (argc - at < 2 || oracle.every == 0) {
        fprintf(stderr,
                "usage: %s [--schedule NAME] [--every N] [--optimise by-size|none|full] "
                "[--cc PATH] <scratch directory> <file or directory>...\n",
                argv[0]);
        return EXIT_FAILURE;
    }
    if (!back_end_is_there(&back_end)) {
        return EXIT_SKIPPED;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* what was found before a time-out counts */
    open_compilers(&oracle, argv[at], schedule, &back_end);
    for (int i = at + 1; i < argc; i++) {
        check_path(&oracle, argv[i]);
    }
    close_compilers(&oracle);
    return report(&oracle.tally) ? EXIT_SUCCESS : EXIT_FAILURE;
}
