/* The compiler: wasm bytes in, sealed shared object in the cache out.
 *
 *     struct smelt_compiler_options options = {.cache = cache, .schedule = schedule};
 *     smelt_compiler_create(&options, &compiler, &err);
 *     smelt_compile(compiler, wasm, NULL, &artefact, &err);
 *     smelt_compiler_destroy(compiler);
 *
 * Acceptance is a pure function of the bytes, the profile and the policy: the same module is
 * accepted or refused (200s, with offset and reason) on every machine. Missing tools, full disks
 * and time-outs are 400s and never a refusal. A compiler may be used by several threads at once. */
#ifndef SMELT_COMPILER_H
#define SMELT_COMPILER_H

#include <smelt/bytes.h>
#include <smelt/cache.h>
#include <smelt/export.h>
#include <smelt/host.h>
#include <smelt/log.h>
#include <smelt/policy.h>
#include <smelt/schedule.h>
#include <smelt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum smelt_tier {
    SMELT_TIER_BASELINE = 0 /* explicit bounds checks; fuel exact at every trap */
};

/* How much the C compiler optimises. No outcome depends on it; artefacts of each have keys of their
 * own. */
enum smelt_optimisation {
    /* chosen by the module alone: -O1, and -O0 for what would take an optimiser too long */
    SMELT_OPTIMISE_BY_SIZE = 0,
    SMELT_OPTIMISE_NONE = 1, /* -O0: the code that is closest to the C, for auditors */
    /* -O2 for everything, for tests and for code one trusts: a hostile module may take minutes */
    SMELT_OPTIMISE_FULL = 2
};

struct smelt_compiler_options {
    struct smelt_cache *cache;             /* borrowed, required */
    const struct smelt_schedule *schedule; /* borrowed, required */
    const struct smelt_profile *profile;   /* borrowed; NULL: smelt_profile_engine */
    const struct smelt_policy *policy;     /* borrowed; NULL: the built-in SMELT_POLICY_DEFAULT */
    enum smelt_tier tier;
    enum smelt_optimisation optimisation;
    bool allows_any_import;  /* compile modules for other hosts; the result cannot be deployed */
    const char *cc_path;     /* clang or gcc; NULL: $SMELT_CC, else the newest clang in $PATH */
    const char *wasm2c_path; /* NULL: $SMELT_WASM2C, else wasm2c in $PATH */
    struct smelt_log log;
};

struct smelt_compiler;

SMELT_API enum smelt_status smelt_compiler_create(const struct smelt_compiler_options *options,
                                                  struct smelt_compiler **out,
                                                  struct smelt_error *err) SMELT_WARN_UNUSED;
SMELT_API void smelt_compiler_destroy(struct smelt_compiler *compiler);

/* Wall-clock time per stage, nanoseconds. Stages that did not run are 0. */
struct smelt_compile_timings {
    uint64_t decode; /* decode, validate and gate */
    uint64_t instrument;
    uint64_t check; /* proof that the instrumentation is right */
    uint64_t wasm2c;
    uint64_t lower;
    uint64_t cc;      /* compile and link */
    uint64_t publish; /* audit, seal and publish */
};

#define SMELT_PATH_BYTES 4096

struct smelt_artefact {
    struct smelt_hash module_hash;
    struct smelt_hash key;
    char path[SMELT_PATH_BYTES]; /* of the .so in the cache */
    uint64_t size;               /* bytes of the .so */
    bool is_cached;              /* it was there already: no tool ran */
    struct smelt_compile_timings timings;
};

/* Optional by-products. Set a pointer to receive it; the buffers are replaced. Asking for one
 * forces the stages that make it to run even when the artefact is cached. */
struct smelt_compile_products {
    struct smelt_buf *instrumented_wasm;
    struct smelt_buf *lowered_c;
};

SMELT_API enum smelt_status smelt_compile(struct smelt_compiler *compiler, struct smelt_slice wasm,
                                          const struct smelt_compile_products *products,
                                          struct smelt_artefact *out,
                                          struct smelt_error *err) SMELT_WARN_UNUSED;

/* ---- fuel, explained ------------------------------------------------------------------------- */

enum smelt_fuel_extra_kind {
    SMELT_FUEL_EXTRA_DYNAMIC = 0, /* per_unit for each started unit of the instruction's size */
    SMELT_FUEL_EXTRA_HOST = 1     /* base, per_unit for each started unit of charged bytes, extra */
};

/* What an instruction may cost on top of its weight, and only the execution knows. A call through
 * the table is not listed: whom it calls is not known here. */
struct smelt_fuel_extra {
    enum smelt_fuel_extra_kind kind;
    uint32_t offset;           /* of the instruction, from the start of the module */
    const char *instruction;   /* "memory.copy", "call" */
    struct smelt_slice module; /* HOST: of the import, as in the module's bytes */
    struct smelt_slice name;   /* the same */
    uint64_t per_unit;         /* these are 0 for an import that the profile does not offer */
    uint64_t unit;             /* bytes, pages or elements */
    uint64_t base;
    uint64_t extra;
};

/* Each time control enters the block, `charge` is taken, before its first instruction runs. */
struct smelt_fuel_block {
    uint32_t offset; /* of its first instruction, from the start of the module */
    uint32_t end;    /* behind its last */
    uint32_t instruction_count;
    uint64_t charge;
    bool is_checked; /* function entry or loop header: the limit is compared there at the latest */
    const struct smelt_fuel_extra *extras;
    uint32_t extra_count;
};

struct smelt_fuel_func {
    uint32_t func_index;
    struct smelt_slice name;    /* export name, else the name section's, else empty; as written */
    uint64_t instruction_count; /* live ones */
    uint64_t charge;            /* sum over the blocks: what one pass through all of them costs */
    const struct smelt_fuel_block *blocks; /* in the order of the code; borrowed for the call */
    uint32_t block_count;
};

/* Anything but OK ends the visit and is returned. */
typedef enum smelt_status (*smelt_fuel_visit_fn)(void *context, const struct smelt_fuel_func *func);

/* The blocks of every function the module defines, with the compiler's policy, profile and
 * schedule. Nothing is compiled and no tool runs; a module that would be refused is refused.
 * For every execution, the charges of the blocks entered and the extras taken add up to the fuel
 * used: docs/fuel.md. */
SMELT_API enum smelt_status smelt_compiler_explain_fuel(const struct smelt_compiler *compiler,
                                                        struct smelt_slice wasm,
                                                        smelt_fuel_visit_fn visit, void *context,
                                                        struct smelt_error *err) SMELT_WARN_UNUSED;

/* Text format to binary through wabt's wat2wasm. MODULE_TEXT with its first message on bad text. */
SMELT_API enum smelt_status smelt_wat_to_wasm(struct smelt_slice text, struct smelt_buf *wasm,
                                              struct smelt_error *err) SMELT_WARN_UNUSED;

/* Where an engine gets native code from. `open` yields a read-only descriptor of verified bytes
 * (a sealed memory file) that the caller closes. `wasm` is the contract's code. */
struct smelt_artefact_source {
    enum smelt_status (*open)(void *context, const struct smelt_hash *module_hash,
                              struct smelt_slice wasm, int *fd, struct smelt_hash *key,
                              struct smelt_error *err);
    void *context;
};

/* A source that looks in the compiler's cache and compiles what is missing. Valid while the
 * compiler lives. */
SMELT_API struct smelt_artefact_source smelt_compiler_source(struct smelt_compiler *compiler);

#ifdef __cplusplus
}
#endif

#endif
