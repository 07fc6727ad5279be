/* The runtime: deploy and call contracts over a store, one transaction at a time.
 *
 *     struct smelt_engine_options options = {
 *         .store = store, .schedule = schedule, .source = smelt_compiler_source(compiler)};
 *     smelt_engine_create(&options, &engine, &err);
 *     smelt_deploy(engine, &transaction, wasm, &receipt, &err);
 *     smelt_call(engine, &transaction, &address, "increment", NULL, 0, &receipt, &err);
 *     smelt_receipt_destroy(receipt);
 *     smelt_engine_destroy(engine);
 *
 * A status tells whether the transaction could be executed at all; the receipt's outcome tells what
 * the contract did. Effects are written, in one atomic batch, only when the outermost call
 * returned.
 *
 * Threads may share an engine. Transactions that may write, and waves, take turns, in no particular
 * order; each starts from what the one before has done. Static calls read a snapshot of the store
 * and run beside them.
 *
 * A handler may call back into the engine that runs it for a static call, which sees the state
 * before the handler's transaction; anything else is INVALID_ARGUMENT. Calling another contract as
 * part of the transaction is what smelt_host_call_contract does.
 *
 * A process that forks creates its engines afterwards: the threads of an engine, and the locks that
 * they hold, are not the child's. */
#ifndef SMELT_RUNTIME_H
#define SMELT_RUNTIME_H

#include <smelt/bytes.h>
#include <smelt/compiler.h>
#include <smelt/export.h>
#include <smelt/host.h>
#include <smelt/log.h>
#include <smelt/policy.h>
#include <smelt/schedule.h>
#include <smelt/status.h>
#include <smelt/store.h>
#include <smelt/trap.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMELT_FUEL_DEFAULT UINT64_C(1000000000)
#define SMELT_FUEL_MAX     INT64_MAX

struct smelt_engine;

struct smelt_engine_options {
    struct smelt_store *store; /* borrowed, required */
    const struct smelt_schedule
        *schedule;                       /* borrowed, required; the one modules are compiled with */
    const struct smelt_policy *policy;   /* borrowed; NULL: SMELT_POLICY_DEFAULT; as the schedule */
    struct smelt_artefact_source source; /* required */
    const struct smelt_profile *profile; /* borrowed; NULL: smelt_profile_engine */
    const smelt_host_fn *handlers; /* one per row of the profile; NULL only with the built-in one */
    /* Real-time signal that stops transactions with a deadline or token; 0: SIGRTMIN + 12. The
     * process must not use it for anything else. */
    int deadline_signal;
    uint32_t resident_modules_max; /* modules kept loaded, those in use aside; 0: 256 */
    uint32_t instances_max;        /* in use at a time, nested calls included; 0: 12288 */
    uint64_t idle_memory_bytes;    /* that instances may keep between calls; 0: 256 MiB */
    uint64_t state_bytes;          /* of accounts and storage that are kept in memory; 0: 256 MiB */
    uint32_t workers;              /* threads that execute a wave, up to 32; 0: one per processor */
    uint32_t wave_chunk;           /* transactions that a worker takes at a time; 0: 16 */
    bool pin_workers;       /* while they execute, each of them stays on a processor of its own */
    bool commits_behind;    /* smelt_wave_run returns while its batch is written */
    bool has_commitment;    /* enables the state commitment, which then stays */
    uint64_t receipts_kept; /* waves whose receipts and events are kept; 0: all */
    struct smelt_log log;
};

/* Checks that the store belongs to this profile, schedule and policy, or records them in a new
 * store. STATE_MISMATCH otherwise. */
SMELT_API enum smelt_status smelt_engine_create(const struct smelt_engine_options *options,
                                                struct smelt_engine **out,
                                                struct smelt_error *err) SMELT_WARN_UNUSED;
/* No call may be running. */
SMELT_API void smelt_engine_destroy(struct smelt_engine *engine);

/* Replaces the content of `out` with everything the engine has counted, in the Prometheus text
 * format 0.0.4; docs/operations.md lists the names. At any time, from any thread. */
SMELT_API enum smelt_status smelt_engine_metrics(struct smelt_engine *engine, struct smelt_buf *out,
                                                 struct smelt_error *err) SMELT_WARN_UNUSED;

/* A typed value; i32 and f32 in the low 32 bits, floats as their bits. */
struct smelt_value {
    enum smelt_valtype type;
    uint64_t bits;
};

/* "i32:5", "i64:-7", "i32:0xff". Values outside the type's signed and unsigned ranges are refused.
 */
SMELT_API bool smelt_value_parse(const char *text, struct smelt_value *out);
/* The inverse: "i32:-7" with integers in signed decimal, floats as hex bits
 * ("f64:0x7ff8000000000000"). */
#define SMELT_VALUE_TEXT_BYTES 32
SMELT_API void smelt_value_format(struct smelt_value value, char *out);

/* Stops transactions from another thread: all that carry the token, when it is triggered. One that
 * has returned by then is kept whole; any other ends as CANCELLED and leaves no trace. */
struct smelt_cancel;

SMELT_API enum smelt_status smelt_cancel_create(struct smelt_cancel **out,
                                                struct smelt_error *err) SMELT_WARN_UNUSED;
/* No transaction may be running with it. NULL is fine. */
SMELT_API void smelt_cancel_destroy(struct smelt_cancel *cancel);
/* From any thread, but not from a signal handler. Stays triggered: transactions that begin later
 * are refused as CANCELLED. */
SMELT_API void smelt_cancel_trigger(struct smelt_cancel *cancel);
/* Makes the token usable again. Transactions that ran when it was triggered stop all the same. */
SMELT_API void smelt_cancel_reset(struct smelt_cancel *cancel);

struct smelt_transaction {
    struct smelt_address from; /* signer and outermost caller */
    struct smelt_u128 value;   /* moved to the contract before it runs */
    struct smelt_slice input;
    uint64_t fuel_limit; /* 0: SMELT_FUEL_DEFAULT; at most SMELT_FUEL_MAX */
    uint64_t block_number;
    uint64_t block_timestamp; /* seconds */
    bool is_static;           /* calls only: effects trap, nothing is written */
    /* Wall clock from the start of execution; 0: none. Waiting for a turn and getting the artefact
     * of the outermost contract, which a deploy may compile, come before and do not count; nor does
     * the commit, which comes after. A transaction that runs longer ends as DEADLINE_EXCEEDED, a
     * node failure: when it does depends on the machine, so it may never enter consensus. */
    uint64_t deadline_ms;
    struct smelt_cancel *cancel; /* borrowed; NULL: none */
};

enum smelt_outcome_kind {
    SMELT_OUTCOME_RETURNED = 0,
    SMELT_OUTCOME_REVERTED = 1,
    SMELT_OUTCOME_TRAPPED = 2,
    SMELT_OUTCOME_OUT_OF_FUEL = 3
};

/* "What did the contract do?" Deterministic: equal on every machine. */
struct smelt_outcome {
    enum smelt_outcome_kind kind;
    enum smelt_trap trap;             /* NONE unless trapped */
    enum smelt_host_error host_error; /* NONE unless trap is HOST_ERROR */
};

SMELT_API const char *smelt_outcome_name(enum smelt_outcome_kind kind);

struct smelt_event {
    struct smelt_address address; /* contract that emitted it */
    struct smelt_slice topic;
    struct smelt_slice data;
};

/* Where a trap happened: in the innermost frame that trapped. */
struct smelt_location {
    bool is_known; /* false unless the outcome is a trap inside contract code */
    struct smelt_slice
        function; /* export or debug name of up to 256 bytes, else "func[N]"; UTF-8 */
    uint32_t func_index;
    uint32_t offset; /* bytes from the start of the deployed module to the instruction */
};

struct smelt_receipt {
    struct smelt_outcome outcome;
    uint64_t fuel_used;
    uint64_t fuel_limit;
    const struct smelt_value *results;
    size_t result_count;
    struct smelt_slice return_data; /* or the revert data */
    const struct smelt_event *events;
    size_t event_count;
    uint64_t write_count;         /* storage keys that were written or deleted */
    struct smelt_address address; /* the contract; a new one after a deploy */
    struct smelt_hash module_hash;
    struct smelt_hash artefact_key;
    struct smelt_location location;
    uint64_t load_ns;    /* time to get the artefact (verify, load, or compile) */
    uint64_t execute_ns; /* time in the contract and its host functions */
    uint64_t commit_ns;  /* time in the store's write */
};

SMELT_API void smelt_receipt_destroy(struct smelt_receipt *receipt);

/* Creates a contract at the address derived from (from, nonce of from) and runs its init export
 * when there is one. The module goes through the source, so refusals are 200s and leave no trace. A
 * failed init gives a receipt with that outcome, and no contract. */
SMELT_API enum smelt_status smelt_deploy(struct smelt_engine *engine,
                                         const struct smelt_transaction *transaction,
                                         struct smelt_slice wasm, struct smelt_receipt **out,
                                         struct smelt_error *err) SMELT_WARN_UNUSED;

SMELT_API enum smelt_status smelt_call(struct smelt_engine *engine,
                                       const struct smelt_transaction *transaction,
                                       const struct smelt_address *address, const char *function,
                                       const struct smelt_value *arguments, size_t argument_count,
                                       struct smelt_receipt **out,
                                       struct smelt_error *err) SMELT_WARN_UNUSED;

/* BLAKE2b-256("smelt.address.v1" ‖ deployer ‖ nonce as 8 bytes little-endian). */
SMELT_API void smelt_contract_address(const struct smelt_address *deployer, uint64_t nonce,
                                      struct smelt_address *out);

struct smelt_account {
    struct smelt_u128 balance;
    uint64_t nonce; /* successful transactions sent */
    bool is_contract;
    struct smelt_hash code_hash; /* zeroes unless is_contract */
    struct smelt_address owner;  /* who deployed it; zeroes unless is_contract */
};

/* A missing account reads as all zeroes. */
SMELT_API enum smelt_status smelt_account_get(struct smelt_store *store,
                                              const struct smelt_address *address,
                                              struct smelt_account *out,
                                              struct smelt_error *err) SMELT_WARN_UNUSED;

/* Adds to a balance (genesis, faucets). BALANCE_OVERFLOW past 2^128 - 1. Not while an engine over
 * the store executes, or has a wave on its way to it (smelt_engine_flush): neither would see the
 * other's change. */
SMELT_API enum smelt_status smelt_account_fund(struct smelt_store *store,
                                               const struct smelt_address *address,
                                               struct smelt_u128 amount,
                                               struct smelt_error *err) SMELT_WARN_UNUSED;

/* Walks the state in ascending key order: an account, then its storage. Either function may be
 * NULL. Return false to stop. */
struct smelt_state_visitor {
    bool (*account)(void *context, const struct smelt_address *address,
                    const struct smelt_account *account);
    bool (*storage)(void *context, const struct smelt_address *address, struct smelt_slice key,
                    struct smelt_slice value);
    void *context;
};
SMELT_API enum smelt_status smelt_state_visit(struct smelt_store *store,
                                              const struct smelt_state_visitor *visitor,
                                              struct smelt_error *err) SMELT_WARN_UNUSED;

/* Called for each pair of a contract's storage, in ascending key order, with slices that are
 * borrowed for the call. Return false to stop. */
typedef bool (*smelt_storage_visit_fn)(void *context, struct smelt_slice key,
                                       struct smelt_slice value);
/* Walks the keys of one contract that start with `prefix`, and reads no others. A prefix longer
 * than any key, as an address without storage, has none. */
SMELT_API enum smelt_status smelt_storage_visit(struct smelt_store *store,
                                                const struct smelt_address *address,
                                                struct smelt_slice prefix,
                                                smelt_storage_visit_fn visit, void *context,
                                                struct smelt_error *err) SMELT_WARN_UNUSED;

/* What a state was created with: read it before creating an engine over an existing store. */
struct smelt_state_description {
    bool is_recorded; /* false in a store that no engine has been created over: all is empty then */
    struct smelt_buf profile_name;
    struct smelt_buf schedule_text; /* TOML, as are policies */
    struct smelt_buf policy_text;
};
SMELT_API enum smelt_status smelt_state_describe(struct smelt_store *store,
                                                 struct smelt_state_description *out,
                                                 struct smelt_error *err) SMELT_WARN_UNUSED;
SMELT_API void smelt_state_description_deinit(struct smelt_state_description *description);

#ifdef __cplusplus
}
#endif

#endif
