/* The whole story of a compilation on one page:
 *
 *   bytes -> key -> cache? -> decode -> validate -> gate -> instrument -> check
 *         -> wasm2c -> lower -> C compiler -> link -> audit -> seal and publish
 *
 * The key names everything that decides the bytes of the artefact; when it is in the cache no stage
 * runs. */
#include "compiler/compile.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/status.h"
#include "cache/objects.h"
#include "compiler/driver/elf.h"
#include "compiler/driver/process.h"
#include "compiler/driver/stack_usage.h"
#include "compiler/driver/toolchain.h"
#include "compiler/driver/workdir.h"
#include "compiler/instrument/check.h"
#include "compiler/instrument/cost.h"
#include "compiler/instrument/explain.h"
#include "compiler/instrument/instrument.h"
#include "compiler/lower/lower.h"
#include "hostabi/guest/smelt_abi.h"
#include "hostabi/policy.h"
#include "hostabi/schedule.h"

#include <smelt/compiler.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WHERE "compile"

/* Raised by every change to the instrumenter, the lowering pass or this file that can change an
 * artefact. */
#define SM_CODEGEN_VERSION 7u

/* SMELT_OPTIMISE_BY_SIZE: a module is optimised when it has no more than any of these: LLVM's
 * passes are superlinear in the size of a function, some in that of the unit. */
#define OPTIMISED_CODE_BYTES    32768u /* of the code section */
#define OPTIMISED_FUNCTION_COST 16384u /* lower.h */
#define OPTIMISED_MODULE_COST   131072u
#define OPTIMISED_COMPILE_COST  450000u /* cost.h */

/* Backstops, several times what a module that passes the gate can need (scripts/bombs): reaching
 * one is a failure of this machine, not of the module. */
#define TOOL_CPU_SECONDS  60u
#define TOOL_MEMORY_BYTES (UINT64_C(2) << 30)
#define UNIT_NAME_BYTES   24
/* What the runtime's services put on top, and the red zone of a leaf. */
#define EXTRA_STACK_BYTES 16384u

#if defined(__x86_64__)
#define TARGET_TRIPLE "x86_64-unknown-linux-gnu"
#define TARGET_CPU    "-march=x86-64-v2"
/* Arguments that are pushed are in no account of frames: they get their place in the frame. */
#define TARGET_CLANG_FLAGS "-mllvm", "-no-x86-call-frame-opt"
#define TARGET_GCC_FLAGS                                                                           \
    "-maccumulate-outgoing-args", "-minline-all-stringops", "-fcf-protection=none"
#elif defined(__aarch64__)
#define TARGET_TRIPLE      "aarch64-unknown-linux-gnu"
#define TARGET_CPU         "-march=armv8-a"
#define TARGET_CLANG_FLAGS "-mbranch-protection=none"
#define TARGET_GCC_FLAGS   "-mbranch-protection=none"
#else
#error "generated code is tested on x86-64 and aarch64 only"
#endif

/* Each flag is in the key. -fwrapv and friends give C the arithmetic of wasm; -ffp-contract=off
 * keeps every rounding; nothing may depend on where or when it runs. */
static const char *const common_flags[] = {
    TARGET_CPU,
    "-mtune=generic",
    "-std=gnu17",
    "-DSMELT_GUEST",
    "-ffreestanding",
    "-nostdinc",
    "-fPIC",
    "-fvisibility=hidden",
    "-fwrapv",
    "-fno-strict-aliasing",
    "-fno-finite-loops",
    "-fno-math-errno",
    "-ffp-contract=off",
    "-fno-stack-protector",
    "-fasynchronous-unwind-tables",
    "-fno-ident",
    "-w",
};
static const char *const clang_flags[] = {
    ("--target=" TARGET_TRIPLE),
    TARGET_CLANG_FLAGS,
    "-fstack-size-section",
    "-fbracket-depth=1024",
};
/* gcc must not split or specialise functions: each has one frame, told under its own name. Nor may
 * it call memcpy or memset, which a contract does not have. */
static const char *const gcc_flags[] = {
    "-xc",
    TARGET_GCC_FLAGS,
    "-fstack-usage",
    "-fno-ipa-cp",
    "-fno-ipa-sra",
    "-fno-partial-inlining",
    "-fno-reorder-blocks-and-partition",
    "-fno-tree-loop-distribute-patterns",
    "-fno-stack-clash-protection",
    "-fno-lto",
};
static const char *const linker_flags[] = {
    "-shared",
    "--no-undefined",
    "-Bsymbolic",
    "--build-id=none",
    "--hash-style=gnu",
    "-znow",
    "-zrelro",
    "-znoexecstack",
    "-ztext",
    "-zseparate-code",
    "--no-dependent-libraries",
};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define CC_ARGS_MAX     (COUNT_OF(common_flags) + COUNT_OF(clang_flags) + COUNT_OF(gcc_flags) + 11)

static const struct cc_row {
    const char *label;
    const char *const *flags; /* besides the common ones */
    size_t flag_count;
} cc_rows[] = {
    [SM_CC_CLANG] = {"clang", clang_flags, COUNT_OF(clang_flags)},
    [SM_CC_GCC] = {"gcc", gcc_flags, COUNT_OF(gcc_flags)},
};
static const char *const optimisation_names[] = {[SMELT_OPTIMISE_BY_SIZE] = "by-size",
                                                 [SMELT_OPTIMISE_NONE] = "none",
                                                 [SMELT_OPTIMISE_FULL] = "full"};

extern const unsigned char sm_embedded_smelt_abi_h[];
extern const size_t sm_embedded_smelt_abi_h_size;
extern const unsigned char sm_embedded_smelt_guest_h[];
extern const size_t sm_embedded_smelt_guest_h_size;

struct tool {
    char path[SM_TOOL_PATH_BYTES];
    struct smelt_buf version; /* first line of --version */
};

struct smelt_compiler {
    struct smelt_compiler_options options; /* with profile and policy filled in */
    struct smelt_policy *own_policy;       /* NULL when the options brought one */
    struct sm_policy policy;               /* values of options.policy, and allows_any_import */
    struct smelt_hash profile_digest;
    struct smelt_hash policy_digest;
    struct smelt_hash schedule_digest;
    pthread_mutex_t lock; /* over the tools, which are looked for when first needed */
    bool has_tools;
    struct tool tools[SM_TOOL_LINKER + 1];
    enum sm_cc_family cc_family;
    struct smelt_hash fingerprint;
};

static struct smelt_slice embedded_abi(void)
{
    return sm_slice(sm_embedded_smelt_abi_h, sm_embedded_smelt_abi_h_size);
}

static struct smelt_slice embedded_guest(void)
{
    return sm_slice(sm_embedded_smelt_guest_h, sm_embedded_smelt_guest_h_size);
}

static void warn(const struct smelt_compiler *compiler, const char *line)
{
    const struct smelt_log *log = &compiler->options.log;
    if (log->write != NULL) {
        log->write(log->context, SMELT_LOG_WARNING, line);
    }
}

/* Reading what tools write: both step over what they have read, or leave it. */
static bool skip_text(struct smelt_slice *at, const char *text)
{
    struct smelt_slice prefix = smelt_slice_from_string(text);
    if (!sm_slice_has_prefix(*at, prefix)) {
        return false;
    }
    *at = sm_slice(at->data + prefix.size, at->size - prefix.size);
    return true;
}

static bool skip_number(struct smelt_slice *at, uint32_t *out)
{
    size_t used = 0;
    uint64_t number = 0;
    for (; used < at->size && at->data[used] >= '0' && at->data[used] <= '9'; used++) {
        number = number * 10 + (uint64_t)(at->data[used] - '0');
        if (number > UINT32_MAX) {
            return false;
        }
    }
    *at = sm_slice(at->data + used, at->size - used);
    *out = (uint32_t)number;
    return used != 0;
}

/* ---- creation -------------------------------------------------------------------------------- */

enum smelt_status smelt_compiler_create(const struct smelt_compiler_options *options,
                                        struct smelt_compiler **out, struct smelt_error *err)
{
    *out = NULL;
    if (options == NULL || options->cache == NULL || options->schedule == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "a compiler needs a cache and a schedule");
    }
    if (options->tier != SMELT_TIER_BASELINE ||
        (unsigned)options->optimisation > SMELT_OPTIMISE_FULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "unknown tier or optimisation");
    }
    struct smelt_compiler *compiler = (struct smelt_compiler *)sm_calloc(1, sizeof(*compiler));
    if (compiler == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    compiler->options = *options;
    if (compiler->options.profile == NULL) {
        compiler->options.profile = &smelt_profile_engine;
    }
    if (compiler->options.policy == NULL) {
        enum smelt_status status =
            smelt_policy_builtin(SMELT_POLICY_DEFAULT, &compiler->own_policy, err);
        if (status != SMELT_STATUS_OK) {
            sm_free(compiler);
            return status;
        }
        compiler->options.policy = compiler->own_policy;
    }
    if (pthread_mutex_init(&compiler->lock, NULL) != 0) {
        smelt_policy_destroy(compiler->own_policy);
        sm_free(compiler);
        return sm_error_no_memory(err, WHERE);
    }
    compiler->policy = *sm_policy_values(compiler->options.policy);
    compiler->policy.allows_any_import = options->allows_any_import;
    smelt_policy_digest(compiler->options.policy, &compiler->policy_digest);
    smelt_profile_digest(compiler->options.profile, &compiler->profile_digest);
    smelt_schedule_digest(options->schedule, &compiler->schedule_digest);
    *out = compiler;
    return SMELT_STATUS_OK;
}

void smelt_compiler_destroy(struct smelt_compiler *compiler)
{
    if (compiler != NULL) {
        for (size_t i = 0; i < COUNT_OF(compiler->tools); i++) {
            smelt_buf_deinit(&compiler->tools[i].version);
        }
        (void)pthread_mutex_destroy(&compiler->lock);
        smelt_policy_destroy(compiler->own_policy);
        sm_free(compiler);
    }
}

/* ---- identity -------------------------------------------------------------------------------- */

/* The version of an unchanged program is remembered in the cache, so that a cached compile runs no
 * tool. A script is asked each time: what it runs may have changed when the script has not. */
static enum smelt_status learn_version(struct smelt_compiler *compiler, enum sm_tool tool,
                                       struct smelt_error *err)
{
    struct tool *known = &compiler->tools[tool];
    struct smelt_hash identity;
    if (!sm_toolchain_is_program(known->path)) {
        return sm_toolchain_version(tool, known->path, &known->version, err);
    }
    enum smelt_status status = sm_toolchain_identity(known->path, &identity, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (sm_cache_record_get(compiler->options.cache, "tool-version", &identity, &known->version,
                            NULL) == SMELT_STATUS_OK) {
        return sm_toolchain_check_version(tool, known->path, sm_buf_slice(&known->version), err);
    }
    status = sm_toolchain_version(tool, known->path, &known->version, err);
    if (status == SMELT_STATUS_OK) {
        /* only a hint: a cache that cannot be written costs time, nothing else */
        (void)sm_cache_record_put(compiler->options.cache, "tool-version", &identity,
                                  sm_buf_slice(&known->version), NULL);
    }
    return status;
}

static void digest_flags(struct sm_digest *digest, const char *const *flags, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sm_digest_text(digest, flags[i]);
    }
}

/* What this program puts into an artefact, whichever tools make it. */
static void digest_code_generator(struct sm_digest *digest)
{
    sm_digest_u32(digest, SM_CODEGEN_VERSION);
    sm_digest_u32(digest, SM_ABI_VERSION);
    digest_flags(digest, common_flags, COUNT_OF(common_flags));
    for (size_t i = 0; i < COUNT_OF(cc_rows); i++) {
        digest_flags(digest, cc_rows[i].flags, cc_rows[i].flag_count);
    }
    digest_flags(digest, linker_flags, COUNT_OF(linker_flags));
    sm_digest_slice(digest, embedded_abi());
    sm_digest_slice(digest, embedded_guest());
}

static void compute_fingerprint(struct smelt_compiler *compiler)
{
    struct sm_digest digest;
    sm_digest_init(&digest, "smelt.toolchain.v2");
    digest_code_generator(&digest);
    for (size_t i = 0; i < COUNT_OF(compiler->tools); i++) {
        sm_digest_slice(&digest, sm_buf_slice(&compiler->tools[i].version));
    }
    sm_digest_final(&digest, &compiler->fingerprint);
}

static enum smelt_status find_tools(struct smelt_compiler *compiler, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    (void)pthread_mutex_lock(&compiler->lock);
    if (!compiler->has_tools) {
        struct tool *tools = compiler->tools;
        SMELT_TRY(sm_toolchain_find(SM_TOOL_WASM2C, compiler->options.wasm2c_path,
                                    tools[SM_TOOL_WASM2C].path, err));
        SMELT_TRY(
            sm_toolchain_find(SM_TOOL_CC, compiler->options.cc_path, tools[SM_TOOL_CC].path, err));
        SMELT_TRY(
            sm_toolchain_find_linker(tools[SM_TOOL_CC].path, tools[SM_TOOL_LINKER].path, err));
        for (size_t i = 0; i < COUNT_OF(compiler->tools); i++) {
            SMELT_TRY(learn_version(compiler, (enum sm_tool)i, err));
        }
        compiler->cc_family = sm_toolchain_cc_family(sm_buf_slice(&tools[SM_TOOL_CC].version));
        compute_fingerprint(compiler);
        compiler->has_tools = true;
    }
cleanup:
    (void)pthread_mutex_unlock(&compiler->lock);
    return status;
}

/* With the toolchain: the artefact key. Without: what a caller asks of this code generator, which
 * is any compiler unless one was named. */
static void compute_key(const struct smelt_compiler *compiler, const struct smelt_hash *module_hash,
                        const struct smelt_hash *fingerprint, struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_digest_init(&digest, fingerprint != NULL ? "smelt.artefact.v2" : "smelt.request.v3");
    sm_digest_hash(&digest, module_hash);
    sm_digest_hash(&digest, &compiler->policy_digest);
    sm_digest_u32(&digest, compiler->policy.allows_any_import);
    sm_digest_hash(&digest, &compiler->schedule_digest);
    sm_digest_hash(&digest, &compiler->profile_digest);
    sm_digest_text(&digest, TARGET_TRIPLE " " TARGET_CPU);
    sm_digest_u32(&digest, compiler->options.tier);
    sm_digest_u32(&digest, compiler->options.optimisation);
    if (fingerprint != NULL) {
        sm_digest_hash(&digest, fingerprint);
    } else {
        const char *cc = sm_toolchain_wanted(SM_TOOL_CC, compiler->options.cc_path);
        sm_digest_text(&digest, cc != NULL ? cc : "");
        digest_code_generator(&digest);
    }
    sm_digest_final(&digest, out);
}

/* ---- stages ---------------------------------------------------------------------------------- */

struct job {
    const struct smelt_compiler *compiler;
    struct smelt_slice wasm;
    struct smelt_artefact *artefact;
    struct smelt_error *err;
    struct sm_arena arena;
    struct sm_wasm_module module;
    struct sm_instrumented instrumented;
    struct sm_workdir workdir;
    struct smelt_buf translated; /* by wasm2c */
    struct smelt_buf lowered;
    uint32_t unit_count; /* translation units of it */
    struct smelt_buf shared_object;
};

static void job_deinit(struct job *job)
{
    sm_workdir_remove(&job->workdir);
    smelt_buf_deinit(&job->instrumented.wasm);
    smelt_buf_deinit(&job->translated);
    smelt_buf_deinit(&job->lowered);
    smelt_buf_deinit(&job->shared_object);
    sm_arena_deinit(&job->arena);
}

static enum smelt_status stage_decode(struct job *job)
{
    const struct smelt_compiler *compiler = job->compiler;
    enum smelt_status status = SMELT_STATUS_OK;
    if (job->wasm.size > compiler->policy.module_bytes) {
        return sm_error_set(job->err, SMELT_STATUS_MODULE_LIMIT, "module",
                            "bytes of the module: %zu, the policy's limit is %u", job->wasm.size,
                            compiler->policy.module_bytes);
    }
    SMELT_TRY(sm_wasm_decode(job->wasm, &job->arena, &job->module, job->err));
    SMELT_TRY(sm_wasm_validate(&job->module, &job->arena, job->err));
    SMELT_TRY(sm_gate_check(&job->module, &compiler->policy, compiler->options.profile, job->err));
cleanup:
    return status;
}

static enum smelt_status stage_instrument(struct job *job)
{
    const struct smelt_compiler *compiler = job->compiler;
    return sm_instrument(&job->module, &compiler->policy, compiler->options.profile,
                         compiler->options.schedule, &job->arena, &job->instrumented, job->err);
}

/* Nothing that the checker cannot prove is compiled. */
static enum smelt_status stage_check(struct job *job)
{
    const struct sm_check_input input = {.module = &job->module,
                                         .policy = &job->compiler->policy,
                                         .profile = job->compiler->options.profile,
                                         .schedule = job->compiler->options.schedule,
                                         .instrumented = sm_buf_slice(&job->instrumented.wasm),
                                         .lists = &job->instrumented};
    return sm_check(&input, job->err);
}

static enum smelt_status run_tool(struct job *job, enum sm_tool tool, const char *label,
                                  const char *const *argv)
{
    const struct sm_process process = {.path = job->compiler->tools[tool].path,
                                       .argv = argv,
                                       .directory = job->workdir.path,
                                       .cpu_seconds = TOOL_CPU_SECONDS,
                                       .memory_bytes = TOOL_MEMORY_BYTES};
    struct sm_process_result result = {0};
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_process_run(&process, &result, job->err));
    /* on a full disk tools say anything, or nothing: wasm2c then claims success */
    SMELT_TRY(sm_workdir_check_space(&job->workdir, job->err));
    SMELT_TRY(sm_process_expect_success(&result, label, job->err));
cleanup:
    sm_process_result_deinit(&result);
    return status;
}

static enum smelt_status stage_wasm2c(struct job *job)
{
    static const char *const argv[] = {"wasm2c",
                                       "instrumented.wasm",
                                       "--no-debug-names",
                                       "-n",
                                       SM_LOWER_MODULE_NAME,
                                       "-o",
                                       "wasm2c.c",
                                       NULL};
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_workdir_create(&job->workdir, job->err));
    SMELT_TRY(sm_workdir_write(&job->workdir, "instrumented.wasm",
                               sm_buf_slice(&job->instrumented.wasm), job->err));
    SMELT_TRY(run_tool(job, SM_TOOL_WASM2C, "wasm2c", argv));
    SMELT_TRY(sm_workdir_read(&job->workdir, "wasm2c.c", &job->translated, job->err));
cleanup:
    return status;
}

static enum smelt_status stage_lower(struct job *job)
{
    const struct sm_lower_input input = {.module = &job->module,
                                         .instrumented = &job->instrumented,
                                         .module_hash = &job->artefact->module_hash,
                                         .artefact_key = &job->artefact->key,
                                         .wasm2c = sm_buf_slice(&job->translated)};
    return sm_lower(&input, &job->lowered, job->err);
}

struct frames {
    const struct sm_instrumented *instrumented;
    const struct sm_wasm_module *module;
    uint64_t bytes;   /* native stack for the whole logical limit, so far */
    uint64_t largest; /* frame of a function with a weight */
    uint64_t extra;   /* largest frame of one without: entries and imports */
    uint64_t helpers; /* frames of the functions of smelt_guest.h, added up */
    bool has_other;   /* a function that the lowering pass did not write */
};

/* Every chain of frames holds at most SM_STACK_LIMIT of weight, so the worst function at the limit
 * bounds it. */
static void visit_frame(void *context, const char *name, uint64_t bytes)
{
    struct frames *frames = (struct frames *)context;
    struct smelt_slice rest = smelt_slice_from_string(name);
    uint32_t index;
    bool is_func = skip_text(&rest, "func_");
    if (!is_func && !skip_text(&rest, "entry_") && !skip_text(&rest, "import_")) {
        frames->helpers += bytes;
    } else if (!skip_number(&rest, &index) || rest.size != 0 ||
               index >= frames->module->func_count) {
        frames->has_other = true; /* a clone, such as func_7.part.0 */
    } else if (is_func && frames->instrumented->stack[index].weight != 0) {
        uint64_t weight = frames->instrumented->stack[index].weight;
        uint64_t needed = (bytes * SM_STACK_LIMIT + weight - 1) / weight;
        frames->bytes = needed > frames->bytes ? needed : frames->bytes;
        frames->largest = bytes > frames->largest ? bytes : frames->largest;
    } else if (bytes > frames->extra) {
        frames->extra = bytes;
    }
}

static const char *unit_name(uint32_t unit, const char *suffix, char out[UNIT_NAME_BYTES])
{
    (void)snprintf(out, UNIT_NAME_BYTES, "unit%u.%s", unit, suffix);
    return out;
}

static enum smelt_status measure_unit(struct job *job, uint32_t unit, struct frames *frames)
{
    bool is_gcc = job->compiler->cc_family == SM_CC_GCC;
    char name[UNIT_NAME_BYTES];
    struct smelt_buf account = {0};
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_workdir_read(&job->workdir, unit_name(unit, is_gcc ? "su" : "o", name), &account,
                              job->err));
    SMELT_TRY(is_gcc ? sm_stack_usage_read(sm_buf_slice(&account), visit_frame, frames, job->err)
                     : sm_elf_read_frames(sm_buf_slice(&account), visit_frame, frames, job->err));
cleanup:
    smelt_buf_deinit(&account);
    return status;
}

/* On top of what the limit admits: the frame of the function that finds no room any more, since it
 * looks when it is there already; for each invocation an entry and, on the way out, an import,
 * which is two functions when it is called through the table; and what the functions of
 * smelt_guest.h take, which call nothing but each other. */
static enum smelt_status measure_stack(struct job *job, uint64_t *out)
{
    struct frames frames = {.instrumented = &job->instrumented, .module = &job->module};
    enum smelt_status status = SMELT_STATUS_OK;
    for (uint32_t i = 0; i < job->unit_count; i++) {
        SMELT_TRY(measure_unit(job, i, &frames));
    }
    if (frames.has_other) {
        status = sm_error_set(job->err, SMELT_STATUS_TOOL_OUTPUT, WHERE,
                              "the compiled object has functions that its source has not");
        goto cleanup;
    }
    *out = frames.bytes + frames.largest + frames.helpers + SM_NESTING_MAX * 3 * frames.extra +
           EXTRA_STACK_BYTES;
cleanup:
    return status;
}

bool sm_compile_optimises(const struct sm_wasm_module *module)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < module->func_count; i++) {
        uint64_t cost = sm_lower_cost(module, i);
        sum += cost;
        if (cost > OPTIMISED_FUNCTION_COST) {
            return false;
        }
    }
    return module->code_size <= OPTIMISED_CODE_BYTES && sum <= OPTIMISED_MODULE_COST &&
           sm_cost_of_module(module) <= OPTIMISED_COMPILE_COST;
}

static const char *optimisation_flag(const struct job *job)
{
    switch (job->compiler->options.optimisation) {
    case SMELT_OPTIMISE_NONE:
        return "-O0";
    case SMELT_OPTIMISE_FULL:
        return "-O2";
    case SMELT_OPTIMISE_BY_SIZE:
        break;
    }
    return sm_compile_optimises(&job->module) ? "-O1" : "-O0";
}

static void add_flags(const char **argv, size_t *count, const char *const *flags, size_t flag_count)
{
    for (size_t i = 0; i < flag_count; i++) {
        argv[(*count)++] = flags[i];
    }
}

/* One unit after the other; they do not depend on each other. */
static enum smelt_status run_cc(struct job *job, uint32_t unit)
{
    const struct smelt_compiler *compiler = job->compiler;
    const struct cc_row *cc = &cc_rows[compiler->cc_family];
    char number[32];
    char object[UNIT_NAME_BYTES];
    /* gcc finds its parts by the name it is run by */
    const char *argv[CC_ARGS_MAX] = {
        compiler->cc_family == SM_CC_GCC ? compiler->tools[SM_TOOL_CC].path : cc->label};
    size_t count = 1;
    add_flags(argv, &count, common_flags, COUNT_OF(common_flags));
    add_flags(argv, &count, cc->flags, cc->flag_count);
    if (job->unit_count > 1) {
        (void)snprintf(number, sizeof(number), "-DUNIT=%u", unit);
        argv[count++] = number;
    }
    argv[count++] = optimisation_flag(job);
    argv[count++] = "-c";
    argv[count++] = "module.c";
    argv[count++] = "-o";
    argv[count++] = unit_name(unit, "o", object);
    argv[count] = NULL;
    return run_tool(job, SM_TOOL_CC, cc->label, argv);
}

static enum smelt_status run_linker(struct job *job, uint64_t stack_bytes)
{
    char stack_symbol[64];
    const char **argv = (const char **)sm_arena_calloc(
        &job->arena, COUNT_OF(linker_flags) + job->unit_count + 5, sizeof(*argv));
    char(*objects)[UNIT_NAME_BYTES] =
        (char(*)[UNIT_NAME_BYTES])sm_arena_calloc(&job->arena, job->unit_count, sizeof(*objects));
    size_t count = 0;
    if (argv == NULL || objects == NULL) {
        return sm_error_no_memory(job->err, WHERE);
    }
    (void)snprintf(stack_symbol, sizeof(stack_symbol), "--defsym=smelt_stack_bytes=0x%" PRIx64,
                   stack_bytes);
    argv[count++] = "ld.lld";
    for (size_t i = 0; i < COUNT_OF(linker_flags); i++) {
        argv[count++] = linker_flags[i];
    }
    argv[count++] = stack_symbol;
    for (uint32_t i = 0; i < job->unit_count; i++) {
        argv[count++] = unit_name(i, "o", objects[i]);
    }
    argv[count++] = "-o";
    argv[count++] = "module.so";
    argv[count] = NULL;
    return run_tool(job, SM_TOOL_LINKER, "ld.lld", argv);
}

static enum smelt_status stage_cc(struct job *job)
{
    uint64_t stack_bytes = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_workdir_write(&job->workdir, "module.c", sm_buf_slice(&job->lowered), job->err));
    SMELT_TRY(sm_workdir_write(&job->workdir, "smelt_abi.h", embedded_abi(), job->err));
    SMELT_TRY(sm_workdir_write(&job->workdir, "smelt_guest.h", embedded_guest(), job->err));
    job->unit_count = sm_lower_unit_count(&job->module);
    for (uint32_t i = 0; i < job->unit_count; i++) {
        SMELT_TRY(run_cc(job, i));
    }
    SMELT_TRY(measure_stack(job, &stack_bytes));
    SMELT_TRY(run_linker(job, stack_bytes));
    SMELT_TRY(sm_workdir_read(&job->workdir, "module.so", &job->shared_object, job->err));
cleanup:
    return status;
}

static enum smelt_status stage_publish(struct job *job)
{
    const struct smelt_compiler *compiler = job->compiler;
    struct smelt_slice bytes = sm_buf_slice(&job->shared_object);
    char hex[5][2 * SMELT_HASH_BYTES + 1];
    const struct smelt_hash *hashes[] = {&job->artefact->module_hash, &compiler->policy_digest,
                                         &compiler->schedule_digest, &compiler->profile_digest,
                                         &compiler->fingerprint};
    enum smelt_status status = sm_elf_audit(bytes, SM_DESCRIPTOR_SYMBOL, job->err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < COUNT_OF(hashes); i++) {
        smelt_hex_encode(hashes[i]->bytes, SMELT_HASH_BYTES, hex[i]);
    }
    char versions[SM_TOOL_LINKER + 1][128];
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        const struct smelt_buf *version = &compiler->tools[i].version;
        (void)snprintf(versions[i], sizeof(versions[i]), "%.*s", (int)version->size,
                       (const char *)version->data);
    }
    const struct sm_cache_field fields[] = {
        {"module_hash", hex[0]},
        {"policy", smelt_policy_name(compiler->options.policy)},
        {"policy_digest", hex[1]},
        {"imports", compiler->policy.allows_any_import ? "any" : "profile"},
        {"schedule", smelt_schedule_name(compiler->options.schedule)},
        {"schedule_digest", hex[2]},
        {"profile", compiler->options.profile->name},
        {"profile_digest", hex[3]},
        {"toolchain_fingerprint", hex[4]},
        {"wasm2c", versions[SM_TOOL_WASM2C]},
        {"cc", versions[SM_TOOL_CC]},
        {"optimisation", optimisation_names[compiler->options.optimisation]},
        {"linker", versions[SM_TOOL_LINKER]},
        {"target", TARGET_TRIPLE " " TARGET_CPU},
        {"tier", "baseline"},
    };
    job->artefact->size = bytes.size;
    return sm_cache_publish(compiler->options.cache, &job->artefact->key, bytes, fields,
                            COUNT_OF(fields), job->err);
}

/* Runs the stages up to and including `last`. */
static enum smelt_status run_stages(struct job *job, size_t last)
{
    struct smelt_compile_timings *timings = &job->artefact->timings;
    const struct {
        enum smelt_status (*run)(struct job *);
        uint64_t *time;
    } stages[] = {{stage_decode, &timings->decode},  {stage_instrument, &timings->instrument},
                  {stage_check, &timings->check},    {stage_wasm2c, &timings->wasm2c},
                  {stage_lower, &timings->lower},    {stage_cc, &timings->cc},
                  {stage_publish, &timings->publish}};
    enum smelt_status status = SMELT_STATUS_OK;
    for (size_t i = 0; status == SMELT_STATUS_OK && i <= last; i++) {
        uint64_t start = sm_clock_ns();
        status = stages[i].run(job);
        *stages[i].time = sm_clock_ns() - start;
    }
    return status;
}

#define STAGE_DECODE  0u
#define STAGE_LOWER   4u
#define STAGE_PUBLISH 6u

/* ---- compile --------------------------------------------------------------------------------- */

/* NOT_FOUND also for an entry that was bad: the cache has moved it away, and the operator is told.
 */
static enum smelt_status look_up(const struct smelt_compiler *compiler,
                                 const struct smelt_hash *key, struct sm_cache_object *out,
                                 struct smelt_error *err)
{
    struct smelt_error problem = {0};
    enum smelt_status status = sm_cache_open_object(compiler->options.cache, key, out, &problem);
    if (status == SMELT_STATUS_ARTEFACT_CORRUPT || status == SMELT_STATUS_ARTEFACT_SEAL) {
        warn(compiler, problem.message);
        status = SMELT_STATUS_NOT_FOUND;
    }
    if (err != NULL) {
        *err = problem;
    }
    return status;
}

/* Written only when it says something new: a record costs two fsyncs. */
static void remember(struct smelt_compiler *compiler, const struct smelt_artefact *artefact)
{
    struct smelt_cache *cache = compiler->options.cache;
    struct smelt_slice key = sm_slice(artefact->key.bytes, SMELT_HASH_BYTES);
    struct smelt_buf known = {0};
    struct smelt_hash request;
    compute_key(compiler, &artefact->module_hash, NULL, &request);
    if (sm_cache_record_get(cache, "artefact", &request, &known, NULL) != SMELT_STATUS_OK ||
        !sm_slice_equal(sm_buf_slice(&known), key)) {
        (void)sm_cache_record_put(cache, "artefact", &request, key, NULL);
    }
    smelt_buf_deinit(&known);
}

static enum smelt_status take_products(struct job *job,
                                       const struct smelt_compile_products *products)
{
    struct smelt_buf *wasm = products != NULL ? products->instrumented_wasm : NULL;
    struct smelt_buf *lowered = products != NULL ? products->lowered_c : NULL;
    if ((wasm != NULL && !sm_buf_assign(wasm, sm_buf_slice(&job->instrumented.wasm))) ||
        (lowered != NULL && !sm_buf_assign(lowered, sm_buf_slice(&job->lowered)))) {
        return sm_error_no_memory(job->err, WHERE);
    }
    return SMELT_STATUS_OK;
}

enum smelt_status smelt_compile(struct smelt_compiler *compiler, struct smelt_slice wasm,
                                const struct smelt_compile_products *products,
                                struct smelt_artefact *out, struct smelt_error *err)
{
    memset(out, 0, sizeof(*out));
    struct smelt_artefact artefact = {0};
    struct job job = {.compiler = compiler, .wasm = wasm, .artefact = &artefact, .err = err};
    struct sm_cache_object object = {.fd = -1};
    bool wants_products =
        products != NULL && (products->instrumented_wasm != NULL || products->lowered_c != NULL);
    int lock = -1;
    struct smelt_error problem = {0};
    enum smelt_status status = find_tools(compiler, &problem);
    if (status != SMELT_STATUS_OK) {
        /* a module that no toolchain would compile is refused on every machine */
        enum smelt_status verdict = run_stages(&job, STAGE_DECODE);
        if (verdict >= 200 && verdict < 300) {
            status = verdict;
        } else if (err != NULL) {
            *err = problem;
        }
        goto cleanup;
    }
    sm_digest_bytes(wasm, &artefact.module_hash);
    compute_key(compiler, &artefact.module_hash, &compiler->fingerprint, &artefact.key);
    SMELT_TRY(sm_cache_object_path(compiler->options.cache, &artefact.key, artefact.path,
                                   sizeof(artefact.path), err));
    status = look_up(compiler, &artefact.key, &object, err);
    if (status == SMELT_STATUS_NOT_FOUND) {
        SMELT_TRY(sm_cache_lock(compiler->options.cache, &artefact.key, &lock, err));
        status = look_up(compiler, &artefact.key, &object, err); /* somebody else may have */
    }
    if (status == SMELT_STATUS_OK) {
        artefact.is_cached = true;
        artefact.size = object.size;
        if (wants_products) {
            SMELT_TRY(run_stages(&job, STAGE_LOWER));
        }
    } else if (status == SMELT_STATUS_NOT_FOUND) {
        SMELT_TRY(run_stages(&job, STAGE_PUBLISH));
    } else {
        goto cleanup;
    }
    SMELT_TRY(take_products(&job, products));
    remember(compiler, &artefact);
    *out = artefact;
cleanup:
    if (object.fd >= 0) {
        (void)close(object.fd);
    }
    sm_cache_unlock(lock);
    job_deinit(&job);
    return status;
}

/* ---- fuel, explained ------------------------------------------------------------------------- */

enum smelt_status smelt_compiler_explain_fuel(const struct smelt_compiler *compiler,
                                              struct smelt_slice wasm, smelt_fuel_visit_fn visit,
                                              void *context, struct smelt_error *err)
{
    struct job job = {.compiler = compiler, .wasm = wasm, .err = err};
    const struct smelt_profile *profile = compiler->options.profile;
    enum smelt_status status = SMELT_STATUS_OK;
    if (profile->function_count != 0) { /* without functions it needs no prices */
        status = sm_schedule_check_profile(compiler->options.schedule, profile, err);
    }
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    status = stage_decode(&job);
    if (status == SMELT_STATUS_OK) {
        status = sm_explain_fuel(&job.module, compiler->options.profile, compiler->options.schedule,
                                 visit, context, err);
    }
    job_deinit(&job);
    return status;
}

/* ---- as a source for engines ----------------------------------------------------------------- */

static enum smelt_status source_open(void *context, const struct smelt_hash *module_hash,
                                     struct smelt_slice wasm, int *fd, struct smelt_hash *key,
                                     struct smelt_error *err)
{
    struct smelt_compiler *compiler = (struct smelt_compiler *)context;
    struct sm_cache_object object = {.fd = -1};
    struct smelt_buf remembered = {0};
    struct smelt_hash request;
    struct smelt_artefact artefact;
    *fd = -1;
    compute_key(compiler, module_hash, NULL, &request);
    /* what served this request before will do, also on a machine without tools */
    enum smelt_status status =
        sm_cache_record_get(compiler->options.cache, "artefact", &request, &remembered, NULL);
    if (status == SMELT_STATUS_OK && remembered.size == SMELT_HASH_BYTES) {
        memcpy(key->bytes, remembered.data, SMELT_HASH_BYTES);
        status = look_up(compiler, key, &object, err);
    } else {
        status = SMELT_STATUS_NOT_FOUND;
    }
    if (status == SMELT_STATUS_NOT_FOUND) {
        SMELT_TRY(smelt_compile(compiler, wasm, NULL, &artefact, err));
        *key = artefact.key;
        SMELT_TRY(sm_cache_open_object(compiler->options.cache, key, &object, err));
    }
    *fd = object.fd;
cleanup:
    smelt_buf_deinit(&remembered);
    return status;
}

struct smelt_artefact_source smelt_compiler_source(struct smelt_compiler *compiler)
{
    return (struct smelt_artefact_source){.open = source_open, .context = compiler};
}

/* ---- text format ----------------------------------------------------------------------------- */

struct text_error {
    uint32_t line;
    uint32_t column;
    struct smelt_slice text;
};

/* The first line, when it is of the form "input.wat:3:4: error: unexpected token". Only then is the
 * text at fault. */
static bool find_text_error(struct smelt_slice errors, struct text_error *out)
{
    const uint8_t *end = errors.size != 0 ? memchr(errors.data, '\n', errors.size) : NULL;
    out->text = sm_slice(errors.data, end != NULL ? (size_t)(end - errors.data) : errors.size);
    return skip_text(&out->text, "input.wat:") && skip_number(&out->text, &out->line) &&
           skip_text(&out->text, ":") && skip_number(&out->text, &out->column) &&
           skip_text(&out->text, ": error: ");
}

enum smelt_status smelt_wat_to_wasm(struct smelt_slice text, struct smelt_buf *wasm,
                                    struct smelt_error *err)
{
    /* through a pipe: what is cut short by a full disk would look like a malformed module */
    static const char *const argv[] = {"wat2wasm", "--no-check",  "input.wat",
                                       "-o",       "/dev/stdout", NULL};
    char path[SM_TOOL_PATH_BYTES];
    struct sm_workdir workdir = {0};
    struct sm_process process = {
        .argv = argv, .cpu_seconds = 60, .memory_bytes = TOOL_MEMORY_BYTES};
    struct sm_process_result result = {0};
    struct text_error problem;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_toolchain_find(SM_TOOL_WAT2WASM, NULL, path, err));
    SMELT_TRY(sm_workdir_create(&workdir, err));
    SMELT_TRY(sm_workdir_write(&workdir, "input.wat", text, err));
    process.path = path;
    process.directory = workdir.path;
    SMELT_TRY(sm_process_run(&process, &result, err));
    if (result.exit_code == 1 && find_text_error(sm_buf_slice(&result.errors), &problem)) {
        status = sm_error_set(err, SMELT_STATUS_MODULE_TEXT, "text", "line %u, column %u: %.*s",
                              problem.line, problem.column, (int)problem.text.size,
                              (const char *)problem.text.data);
        goto cleanup;
    }
    SMELT_TRY(sm_process_expect_success(&result, "wat2wasm", err));
    if (result.output.size == 0 || result.output.size == SM_PROCESS_OUTPUT_MAX) {
        status = sm_error_set(err, SMELT_STATUS_TOOL_OUTPUT, "text", "wat2wasm wrote %zu bytes",
                              result.output.size);
        goto cleanup;
    }
    smelt_buf_deinit(wasm);
    *wasm = result.output;
    result.output = (struct smelt_buf){0};
cleanup:
    sm_process_result_deinit(&result);
    sm_workdir_remove(&workdir);
    return status;
}
