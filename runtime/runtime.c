/* The engine: joins state, host functions and native code behind <smelt/runtime.h>.
 *
 * A transaction, in order; the first step that fails ends it with a status and leaves no trace:
 *
 *     check      arguments that no contract can be blamed for
 *     turn       one transaction that may write at a time; static calls run beside it
 *     snapshot   an overlay over the store, one layer
 *     load       contract -> resident set, else code from the store (or the deploy), else source:
 *                without a turn, since it may take a compiler's time
 *     prepare    nonce of the signer, account of a new contract, value     (not in static calls)
 *     run        the outermost frame, on a guest stack of its own, under a watch when there is a
 *                deadline or a token
 *     settle     node failure: its status. Returned: everything the layer holds, and the code of a
 *                new contract, becomes one batch. Any other outcome: nothing is kept, the nonce
 *                and the value included.
 *     receipt    made before the batch is written, so that nothing can fail after it
 *
 * Nothing here knows a profile by name, apart from the default. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/status.h"
#include "hostabi/profile.h"
#include "runtime/exec/fault.h"
#include "runtime/exec/watchdog.h"
#include "runtime/host/contract.h"
#include "runtime/host/engine.h"
#include "runtime/host/frame.h"
#include "runtime/meta.h"
#include "runtime/metrics.h"
#include "runtime/receipt.h"
#include "runtime/state/accounts.h"

#include <smelt/runtime.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WHERE          "engine"
#define RESIDENT_COUNT 256u
#define LOG_LINE_BYTES 512

struct smelt_engine {
    struct smelt_engine_options options; /* with profile and handlers filled in */
    const struct sm_schedule_host *costs;
    struct sm_exec_pool *pool;
    struct sm_resident resident;
    struct sm_metrics metrics;
    pthread_mutex_t turn; /* held by the transaction that may write */
    struct sm_watchdog watchdog;
    bool has_fault_handlers;
};

/* One transaction while it runs. Zeroed, then filled step by step; run_deinit copes with any
 * prefix. */
struct run {
    struct smelt_engine *engine;
    const struct smelt_transaction *transaction;
    uint64_t fuel_limit;
    bool has_turn;
    struct sm_transaction shared;
    struct smelt_frame frame;
    struct sm_contract *contract;
    const struct sm_export *export_; /* NULL: instantiate only */
    uint64_t *slots;
    const struct smelt_slice *new_code; /* deploys: written with the effects */
    uint64_t load_ns;
    uint64_t execute_ns;
};

static enum smelt_status invalid(struct smelt_error *err, const char *what)
{
    return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE, "%s", what);
}

/* ---- log ------------------------------------------------------------------------------------- */

static void write_log(const struct smelt_engine *engine, enum smelt_log_level level,
                      const char *format, ...) SMELT_PRINTF(3, 4);
static void write_log(const struct smelt_engine *engine, enum smelt_log_level level,
                      const char *format, ...)
{
    const struct smelt_log *log = &engine->options.log;
    char line[LOG_LINE_BYTES];
    va_list args;
    if (log->write == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    log->write(log->context, level, line);
}

/* Counts a transaction that is over; what this machine could not do is worth a line. */
static enum smelt_status finish(struct smelt_engine *engine, enum sm_metrics_kind kind,
                                enum smelt_status status, const struct smelt_receipt *receipt,
                                const struct smelt_error *err)
{
    sm_metrics_observe(&engine->metrics, kind, status, receipt);
    if (status >= SMELT_STATUS_ARTEFACT_CORRUPT) {
        write_log(engine, SMELT_LOG_WARNING, "a transaction failed: %s: %s",
                  smelt_status_name(status), err->message);
    }
    return status;
}

/* ---- engine ---------------------------------------------------------------------------------- */

static enum smelt_status check_options(const struct smelt_engine_options *options,
                                       struct smelt_error *err)
{
    const struct smelt_profile *profile = options->profile;
    if (options->store == NULL || options->schedule == NULL || options->source.open == NULL) {
        return invalid(err, "store, schedule and source are required");
    }
    if (options->handlers == NULL) {
        return invalid(err, "a profile of your own needs its handlers");
    }
    if (profile->call_depth_max == 0) {
        return invalid(err, "the profile's call_depth_max must be at least 1");
    }
    for (uint32_t i = 0; i < profile->function_count; i++) {
        if (options->handlers[i] == NULL ||
            profile->functions[i].params[SMELT_HOST_PARAMS_MAX].kind != SMELT_PARAM_END) {
            return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                                "host function %s.%s has no handler, or parameters without an end",
                                profile->functions[i].module, profile->functions[i].name);
        }
    }
    return sm_schedule_check_profile(options->schedule, profile, err);
}

/* Refused, and not waited for, when the thread has it: a host function's. */
static void init_turn(pthread_mutex_t *turn)
{
    pthread_mutexattr_t attributes; /* nothing here fails for a reason that applies */
    (void)pthread_mutexattr_init(&attributes);
    (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    (void)pthread_mutex_init(turn, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
}

enum smelt_status smelt_engine_create(const struct smelt_engine_options *options,
                                      struct smelt_engine **out, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    struct smelt_policy *own_policy = NULL;
    struct sm_exec_pool_options pool = {0};
    uint32_t cost_count;
    if (out != NULL) {
        *out = NULL;
    }
    if (options == NULL || out == NULL) {
        return invalid(err, "options and out are required");
    }
    struct smelt_engine *engine = (struct smelt_engine *)sm_calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    init_turn(&engine->turn);
    engine->options = *options;
    if (engine->options.profile == NULL) {
        engine->options.profile = &smelt_profile_engine;
    }
    if (engine->options.profile == &smelt_profile_engine && engine->options.handlers == NULL) {
        engine->options.handlers = sm_engine_handlers;
    }
    SMELT_TRY(check_options(&engine->options, err));
    engine->costs = sm_schedule_hosts(options->schedule, &cost_count);
    pool.instances_max = options->instances_max;
    pool.idle_bytes = options->idle_memory_bytes;
    SMELT_TRY(sm_exec_pool_create(&pool, &engine->pool, err));
    SMELT_TRY(sm_resident_init(
        &engine->resident,
        options->resident_modules_max != 0 ? options->resident_modules_max : RESIDENT_COUNT, err));
    if (options->policy == NULL) {
        SMELT_TRY(smelt_policy_builtin(SMELT_POLICY_DEFAULT, &own_policy, err));
    }
    SMELT_TRY(sm_meta_claim(options->store, engine->options.profile, options->schedule,
                            own_policy != NULL ? own_policy : options->policy, err));
    SMELT_TRY(sm_watchdog_init(&engine->watchdog, options->deadline_signal, err));
    SMELT_TRY(sm_fault_acquire(err));
    engine->has_fault_handlers = true;
    *out = engine;
    engine = NULL;
cleanup:
    smelt_policy_destroy(own_policy);
    smelt_engine_destroy(engine);
    return status;
}

void smelt_engine_destroy(struct smelt_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    if (engine->has_fault_handlers) {
        sm_fault_release();
    }
    sm_watchdog_deinit(&engine->watchdog);
    sm_resident_deinit(&engine->resident);
    sm_exec_pool_destroy(engine->pool);
    (void)pthread_mutex_destroy(&engine->turn);
    sm_free(engine);
}

/* ---- getting code ---------------------------------------------------------------------------- */

static enum smelt_status load_artefact(struct smelt_engine *engine, const struct smelt_hash *hash,
                                       struct smelt_slice wasm, struct sm_contract **out,
                                       struct smelt_error *err)
{
    const struct smelt_artefact_source *source = &engine->options.source;
    struct smelt_hash key;
    char text[2 * SMELT_HASH_BYTES + 1];
    int fd = -1;
    uint64_t start = sm_clock_ns();
    sm_metrics_add(&engine->metrics.source_loads, 1);
    enum smelt_status status = source->open(source->context, hash, wasm, &fd, &key, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    status = sm_contract_load(engine->pool, fd, &key, hash, engine->options.profile, out, err);
    (void)close(fd);
    if (status == SMELT_STATUS_OK) {
        sm_resident_keep(&engine->resident, *out);
        smelt_hex_encode(hash->bytes, sizeof(hash->bytes), text);
        write_log(engine, SMELT_LOG_INFO, "module %s loaded in %.1f ms", text,
                  (double)(sm_clock_ns() - start) / 1e6);
    }
    return status;
}

/* The wasm of a deployed contract. Code is content-addressed and never deleted, so the newest state
 * serves as well as the transaction's snapshot. */
static enum smelt_status read_code(struct smelt_engine *engine, const struct smelt_hash *hash,
                                   struct smelt_buf *wasm, struct smelt_error *err)
{
    const struct smelt_store *store = engine->options.store;
    struct smelt_hash actual;
    char text[2 * SMELT_HASH_BYTES + 1];
    bool found = false;
    enum smelt_status status =
        store->ops->get(store->impl, NULL, SMELT_STORE_CODE,
                        sm_slice(hash->bytes, sizeof(hash->bytes)), wasm, &found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    sm_digest_bytes(sm_buf_slice(wasm), &actual);
    if (!found || !sm_hash_equal(&actual, hash)) {
        smelt_hex_encode(hash->bytes, sizeof(hash->bytes), text);
        return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                            "the code of module %s is missing from the state, or damaged", text);
    }
    return SMELT_STATUS_OK;
}

/* `wasm` is NULL for code that is in the store. */
static enum smelt_status load_contract(struct run *run, const struct smelt_hash *hash,
                                       const struct smelt_slice *wasm, struct sm_contract **out,
                                       struct smelt_error *err)
{
    struct smelt_engine *engine = run->engine;
    struct smelt_buf stored = {0};
    uint64_t start = sm_clock_ns();
    enum smelt_status status = SMELT_STATUS_OK;
    *out = sm_resident_find(&engine->resident, hash);
    sm_metrics_add(&engine->metrics.resident_hits, *out != NULL);
    if (*out == NULL && wasm == NULL) {
        SMELT_TRY(read_code(engine, hash, &stored, err));
    }
    if (*out == NULL) {
        status =
            load_artefact(engine, hash, wasm != NULL ? *wasm : sm_buf_slice(&stored), out, err);
    }
cleanup:
    smelt_buf_deinit(&stored);
    run->load_ns += sm_clock_ns() - start;
    return status;
}

static enum smelt_status load_deployed(void *context, const struct smelt_hash *code_hash,
                                       struct sm_contract **out, struct smelt_error *err)
{
    struct run *run = (struct run *)context;
    if (sm_hash_equal(&run->contract->module_hash, code_hash)) {
        /* also the only way to a contract that is being deployed: its code is not stored yet */
        sm_contract_acquire(run->contract);
        *out = run->contract;
        return SMELT_STATUS_OK;
    }
    return load_contract(run, code_hash, NULL, out, err);
}

/* ---- one transaction ------------------------------------------------------------------------- */

static enum smelt_status check_transaction(const struct smelt_transaction *transaction,
                                           struct smelt_error *err)
{
    if (transaction == NULL) {
        return invalid(err, "a transaction is required");
    }
    if (transaction->fuel_limit > (uint64_t)SMELT_FUEL_MAX) {
        return invalid(err, "fuel_limit is above SMELT_FUEL_MAX");
    }
    if (transaction->input.data == NULL && transaction->input.size != 0) {
        return invalid(err, "the input has a size and no data");
    }
    if (transaction->input.size > UINT32_MAX) {
        return invalid(err, "input is larger than a contract can address (4 GiB)");
    }
    if (transaction->is_static && !sm_u128_is_zero(transaction->value)) {
        return invalid(err, "a static call cannot send value");
    }
    return SMELT_STATUS_OK;
}

static void run_init(struct run *run, struct smelt_engine *engine,
                     const struct smelt_transaction *transaction)
{
    memset(run, 0, sizeof(*run));
    run->engine = engine;
    run->transaction = transaction;
    run->fuel_limit = transaction->fuel_limit != 0 ? transaction->fuel_limit : SMELT_FUEL_DEFAULT;
    run->shared = (struct sm_transaction){
        .profile = engine->options.profile,
        .handlers = engine->options.handlers,
        .costs = engine->costs,
        .load = load_deployed,
        .load_context = run,
    };
}

/* Takes the turn, unless the transaction is static, and a snapshot of what the one before has left.
 */
static enum smelt_status begin(struct run *run, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    if (!run->transaction->is_static) {
        if (pthread_mutex_lock(&run->engine->turn) != 0) {
            return invalid(err, "a host function may only make static calls with the engine that "
                                "runs it");
        }
        run->has_turn = true;
    }
    SMELT_TRY(sm_overlay_create(run->engine->options.store, &run->shared.overlay, err));
    SMELT_TRY(sm_overlay_push(run->shared.overlay, err));
cleanup:
    return status;
}

/* Whatever has not been written by now is gone. */
static void end(struct run *run)
{
    if (run->shared.overlay != NULL) {
        struct sm_overlay_reads reads = sm_overlay_reads(run->shared.overlay);
        sm_metrics_add(&run->engine->metrics.store_reads, reads.count);
        sm_metrics_add(&run->engine->metrics.store_read_ns, reads.ns);
        sm_overlay_destroy(run->shared.overlay);
        run->shared.overlay = NULL;
    }
    if (run->has_turn) {
        (void)pthread_mutex_unlock(&run->engine->turn);
        run->has_turn = false;
    }
}

static void run_deinit(struct run *run)
{
    sm_frame_deinit(&run->frame);
    sm_contract_release(run->contract);
    sm_free(run->slots);
    end(run);
}

/* The signer's nonce goes up; what it was is the nonce of this transaction. */
static enum smelt_status take_nonce(struct run *run, uint64_t *nonce, struct smelt_error *err)
{
    const struct smelt_address *from = &run->transaction->from;
    struct smelt_account account;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_state_account_read(run->shared.overlay, from, &account, err));
    if (account.nonce == UINT64_MAX) {
        status = invalid(err, "the signer's nonce is used up");
        goto cleanup;
    }
    *nonce = account.nonce++;
    status = sm_state_account_write(run->shared.overlay, from, &account, err);
cleanup:
    return status;
}

static enum smelt_status send_value(struct run *run, const struct smelt_address *to,
                                    struct smelt_error *err)
{
    const struct smelt_transaction *transaction = run->transaction;
    char amount[SMELT_U128_TEXT_BYTES];
    char from[2 * SMELT_ADDRESS_BYTES + 1];
    bool is_done = false;
    enum smelt_status status = sm_state_transfer(run->shared.overlay, &transaction->from, to,
                                                 transaction->value, &is_done, err);
    if (status == SMELT_STATUS_OK && !is_done) {
        smelt_u128_format(transaction->value, amount);
        smelt_hex_encode(transaction->from.bytes, sizeof(transaction->from.bytes), from);
        status =
            sm_error_set(err, SMELT_STATUS_INSUFFICIENT_BALANCE, WHERE,
                         "the balance of %s is below the value of %s: fund it first", from, amount);
    }
    return status;
}

/* Runs `run->export_` of `run->contract` at `address`. An outcome is not an error. */
static enum smelt_status execute(struct run *run, const struct smelt_address *address,
                                 struct smelt_error *err)
{
    const struct smelt_transaction *transaction = run->transaction;
    run->frame = (struct smelt_frame){
        .transaction = &run->shared,
        .contract = run->contract,
        .context = {.origin = transaction->from,
                    .caller = transaction->from,
                    .address = *address,
                    .value = transaction->value,
                    .input = transaction->input,
                    .block_number = transaction->block_number,
                    .block_timestamp = transaction->block_timestamp,
                    .depth = 1,
                    .is_static = transaction->is_static},
        .function = run->export_ != NULL ? sm_slice(run->export_->name, run->export_->name_size)
                                         : (struct smelt_slice){0},
    };
    uint64_t start = sm_clock_ns();
    uint64_t loaded = run->load_ns;
    struct sm_watch watch = {0};
    if (transaction->deadline_ms != 0 || transaction->cancel != NULL) {
        enum smelt_status status = sm_watch_begin(
            &watch, &run->engine->watchdog, transaction->deadline_ms, transaction->cancel, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
    }
    sm_frame_run(&run->frame, run->export_, run->slots, run->fuel_limit);
    sm_watch_end(&watch);
    run->execute_ns = sm_clock_ns() - start - (run->load_ns - loaded);
    if (run->frame.end == SM_FRAME_FAILED) {
        if (err != NULL) {
            *err = run->shared.failure;
        }
        return run->shared.failure.status;
    }
    return SMELT_STATUS_OK;
}

/* One batch: the overlay's writes, and the code of a new contract. */
static enum smelt_status commit(const struct run *run, const struct sm_overlay_result *effects,
                                struct smelt_error *err)
{
    const struct smelt_store *store = run->engine->options.store;
    if (run->new_code == NULL) {
        return store->ops->write(store->impl, effects->writes, effects->write_count, err);
    }
    struct smelt_store_write *writes =
        (struct smelt_store_write *)sm_calloc(effects->write_count + 1, sizeof(*writes));
    if (writes == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    if (effects->write_count != 0) {
        memcpy(writes, effects->writes, effects->write_count * sizeof(*writes));
    }
    writes[effects->write_count] = (struct smelt_store_write){
        .family = SMELT_STORE_CODE,
        .key = sm_slice(run->contract->module_hash.bytes, SMELT_HASH_BYTES),
        .value = *run->new_code};
    enum smelt_status status =
        store->ops->write(store->impl, writes, effects->write_count + 1, err);
    sm_free(writes);
    return status;
}

/* Receipt, then the batch when there is one to write. */
static enum smelt_status settle(const struct run *run, struct smelt_receipt **out,
                                struct smelt_error *err)
{
    struct sm_overlay_result effects = {0};
    struct smelt_receipt *receipt = NULL;
    bool is_kept = run->frame.end == SM_FRAME_RETURNED && !run->transaction->is_static;
    enum smelt_status status = SMELT_STATUS_OK;
    if (is_kept) {
        SMELT_TRY(sm_overlay_collect(run->shared.overlay, &effects, err));
    }
    SMELT_TRY(sm_receipt_create(&run->frame, run->export_, run->slots, is_kept ? &effects : NULL,
                                run->fuel_limit, &receipt, err));
    receipt->load_ns = run->load_ns;
    receipt->execute_ns = run->execute_ns;
    if (is_kept) {
        uint64_t start = sm_clock_ns();
        SMELT_TRY(commit(run, &effects, err));
        receipt->commit_ns = sm_clock_ns() - start;
    }
    *out = receipt;
    receipt = NULL;
cleanup:
    smelt_receipt_destroy(receipt);
    return status;
}

/* ---- deploy ---------------------------------------------------------------------------------- */

/* The init export, if the profile has one and the module too. The compiler's gate holds it to
 * `() -> ()`; an artefact of another shape is refused like a module of that shape. */
static enum smelt_status find_init(struct run *run, struct smelt_error *err)
{
    const char *name = run->engine->options.profile->init_export;
    run->export_ = NULL;
    if (name == NULL) {
        return SMELT_STATUS_OK;
    }
    run->export_ = sm_exec_find_export(run->contract->module, smelt_slice_from_string(name));
    if (run->export_ != NULL &&
        (run->export_->param_count != 0 || run->export_->result_count != 0)) {
        return sm_error_set_at(
            err, SMELT_STATUS_MODULE_EXPORT, "export", (int64_t)run->export_->func_index, -1,
            "export %s runs at deploy and must have the signature () -> ()", name);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status create_contract(struct run *run, const struct smelt_address *address,
                                         struct smelt_error *err)
{
    struct smelt_account account;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_state_account_read(run->shared.overlay, address, &account, err));
    if (account.is_contract) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "the signer's next contract address is taken already");
        goto cleanup;
    }
    account.is_contract = true; /* a balance that was sent ahead stays */
    account.code_hash = run->contract->module_hash;
    account.owner = run->transaction->from;
    status = sm_state_account_write(run->shared.overlay, address, &account, err);
cleanup:
    return status;
}

static enum smelt_status deploy(struct smelt_engine *engine,
                                const struct smelt_transaction *transaction,
                                struct smelt_slice wasm, struct smelt_receipt **out,
                                struct smelt_error *err)
{
    struct run run;
    struct smelt_hash module_hash;
    struct smelt_address address;
    uint64_t nonce;
    enum smelt_status status = SMELT_STATUS_OK;
    run_init(&run, engine, transaction);
    sm_digest_bytes(wasm, &module_hash);
    SMELT_TRY(load_contract(&run, &module_hash, &wasm, &run.contract, err));
    SMELT_TRY(find_init(&run, err));
    SMELT_TRY(begin(&run, err));
    SMELT_TRY(take_nonce(&run, &nonce, err));
    smelt_contract_address(&transaction->from, nonce, &address);
    SMELT_TRY(create_contract(&run, &address, err));
    SMELT_TRY(send_value(&run, &address, err));
    run.new_code = &wasm;
    run.slots = (uint64_t *)sm_calloc(sm_frame_slot_count(run.export_), sizeof(*run.slots));
    if (run.slots == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    SMELT_TRY(execute(&run, &address, err));
    SMELT_TRY(settle(&run, out, err));
cleanup:
    run_deinit(&run);
    return status;
}

enum smelt_status smelt_deploy(struct smelt_engine *engine,
                               const struct smelt_transaction *transaction, struct smelt_slice wasm,
                               struct smelt_receipt **out, struct smelt_error *err)
{
    struct smelt_error own;
    enum smelt_status status = SMELT_STATUS_OK;
    if (out != NULL) {
        *out = NULL;
    }
    err = err != NULL ? err : &own;
    if (engine == NULL || out == NULL || (wasm.data == NULL && wasm.size != 0)) {
        return invalid(err, "engine, module and out are required");
    }
    status = check_transaction(transaction, err);
    if (status == SMELT_STATUS_OK && transaction->is_static) {
        status = invalid(err, "a deploy cannot be static");
    }
    if (status == SMELT_STATUS_OK) {
        status = deploy(engine, transaction, wasm, out, err);
    }
    return finish(engine, SM_METRICS_DEPLOY, status, *out, err);
}

/* ---- call ------------------------------------------------------------------------------------ */

/* "i32, i64", cut off with an ellipsis when the list is long. */
static void types_text(const uint8_t *types, uint32_t count, char *out, size_t out_size)
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        bool is_full = used + sizeof(", i32, …") > out_size;
        (void)snprintf(out + used, out_size - used, "%s%s", i != 0 ? ", " : "",
                       is_full ? "…" : smelt_valtype_name((enum smelt_valtype)types[i]));
        if (is_full) {
            return;
        }
        used += strlen(out + used);
    }
}

static enum smelt_status find_function(struct run *run, const char *name, struct smelt_error *err)
{
    struct smelt_slice slice = smelt_slice_from_string(name);
    if (sm_profile_is_reserved(run->engine->options.profile, slice)) {
        return sm_error_set(err, SMELT_STATUS_UNKNOWN_FUNCTION, WHERE,
                            "%s is reserved by profile %s and cannot be called", name,
                            run->engine->options.profile->name);
    }
    run->export_ = sm_exec_find_export(run->contract->module, slice);
    if (run->export_ == NULL) {
        return sm_error_set(err, SMELT_STATUS_UNKNOWN_FUNCTION, WHERE,
                            "the contract exports no function %s", name);
    }
    for (uint32_t i = 0; i < run->export_->param_count; i++) {
        uint8_t type = run->export_->types[i];
        if (type != SMELT_VALTYPE_I32 && type != SMELT_VALTYPE_I64) {
            return sm_error_set(err, SMELT_STATUS_UNKNOWN_FUNCTION, WHERE,
                                "%s takes a parameter of type %s: only functions of i32 and i64 "
                                "parameters can be called",
                                name, smelt_valtype_name((enum smelt_valtype)type));
        }
    }
    return SMELT_STATUS_OK;
}

/* The export's type, and what is wrong with the arguments. */
static enum smelt_status mismatch(const struct sm_export *export_, const char *name,
                                  const struct smelt_value *arguments, size_t count,
                                  size_t argument, struct smelt_error *err)
{
    char wanted[128];
    char results[128];
    types_text(export_->types, export_->param_count, wanted, sizeof(wanted));
    types_text(export_->types + export_->param_count, export_->result_count, results,
               sizeof(results));
    if (count != export_->param_count) {
        return sm_error_set(err, SMELT_STATUS_ARGUMENT_MISMATCH, WHERE,
                            "%s is (%s) -> (%s), but %zu argument%s given", name, wanted, results,
                            count, count == 1 ? " was" : "s were");
    }
    return sm_error_set(err, SMELT_STATUS_ARGUMENT_MISMATCH, WHERE,
                        "%s is (%s) -> (%s), but argument %zu has type %s", name, wanted, results,
                        argument + 1, smelt_valtype_name(arguments[argument].type));
}

static enum smelt_status pass_arguments(struct run *run, const char *name,
                                        const struct smelt_value *arguments, size_t count,
                                        struct smelt_error *err)
{
    const struct sm_export *export_ = run->export_;
    if (count != export_->param_count) {
        return mismatch(export_, name, arguments, count, 0, err);
    }
    run->slots = (uint64_t *)sm_calloc(sm_frame_slot_count(export_), sizeof(*run->slots));
    if (run->slots == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    for (size_t i = 0; i < count; i++) {
        if (arguments[i].type != export_->types[i]) {
            return mismatch(export_, name, arguments, count, i, err);
        }
        bool is_narrow = arguments[i].type == SMELT_VALTYPE_I32;
        run->slots[i] = is_narrow ? (uint32_t)arguments[i].bits : arguments[i].bits;
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status read_code_hash(const struct run *run, const struct smelt_address *address,
                                        struct smelt_hash *out, struct smelt_error *err)
{
    struct smelt_account account;
    char text[2 * SMELT_ADDRESS_BYTES + 1];
    enum smelt_status status = sm_state_account_read(run->shared.overlay, address, &account, err);
    if (status == SMELT_STATUS_OK && !account.is_contract) {
        smelt_hex_encode(address->bytes, sizeof(address->bytes), text);
        status =
            sm_error_set(err, SMELT_STATUS_NO_CONTRACT, WHERE, "there is no contract at %s", text);
    }
    *out = account.code_hash;
    return status;
}

/* Begins, with the contract at `address` loaded. What is not resident is loaded while the turn is
 * given back; then everything is looked at again. */
static enum smelt_status begin_at(struct run *run, const struct smelt_address *address,
                                  struct smelt_error *err)
{
    struct smelt_hash hash;
    enum smelt_status status = SMELT_STATUS_OK;
    for (;;) {
        SMELT_TRY(begin(run, err));
        SMELT_TRY(read_code_hash(run, address, &hash, err));
        if (run->contract != NULL && sm_hash_equal(&run->contract->module_hash, &hash)) {
            break;
        }
        sm_contract_release(run->contract);
        run->contract = sm_resident_find(&run->engine->resident, &hash);
        if (run->contract != NULL) {
            sm_metrics_add(&run->engine->metrics.resident_hits, 1);
            break;
        }
        end(run);
        SMELT_TRY(load_contract(run, &hash, NULL, &run->contract, err));
    }
cleanup:
    return status;
}

static enum smelt_status call(struct smelt_engine *engine,
                              const struct smelt_transaction *transaction,
                              const struct smelt_address *address, const char *function,
                              const struct smelt_value *arguments, size_t argument_count,
                              struct smelt_receipt **out, struct smelt_error *err)
{
    struct run run;
    uint64_t nonce;
    enum smelt_status status = SMELT_STATUS_OK;
    run_init(&run, engine, transaction);
    SMELT_TRY(begin_at(&run, address, err));
    SMELT_TRY(find_function(&run, function, err));
    SMELT_TRY(pass_arguments(&run, function, arguments, argument_count, err));
    if (!transaction->is_static) {
        SMELT_TRY(take_nonce(&run, &nonce, err));
        SMELT_TRY(send_value(&run, address, err));
    }
    SMELT_TRY(execute(&run, address, err));
    SMELT_TRY(settle(&run, out, err));
cleanup:
    run_deinit(&run);
    return status;
}

enum smelt_status smelt_call(struct smelt_engine *engine,
                             const struct smelt_transaction *transaction,
                             const struct smelt_address *address, const char *function,
                             const struct smelt_value *arguments, size_t argument_count,
                             struct smelt_receipt **out, struct smelt_error *err)
{
    struct smelt_error own;
    if (out != NULL) {
        *out = NULL;
    }
    err = err != NULL ? err : &own;
    if (engine == NULL || address == NULL || function == NULL || out == NULL ||
        (arguments == NULL && argument_count != 0)) {
        return invalid(err, "engine, address, function, arguments and out are required");
    }
    bool is_static = transaction != NULL && transaction->is_static;
    enum smelt_status status = check_transaction(transaction, err);
    if (status == SMELT_STATUS_OK) {
        status = call(engine, transaction, address, function, arguments, argument_count, out, err);
    }
    return finish(engine, is_static ? SM_METRICS_STATIC_CALL : SM_METRICS_CALL, status, *out, err);
}

enum smelt_status smelt_engine_metrics(struct smelt_engine *engine, struct smelt_buf *out,
                                       struct smelt_error *err)
{
    if (engine == NULL || out == NULL) {
        return invalid(err, "engine and out are required");
    }
    const struct sm_metrics_gauges gauges = {.resident_modules =
                                                 sm_resident_count(&engine->resident),
                                             .pool = sm_exec_pool_figures(engine->pool)};
    return sm_metrics_print(&engine->metrics, &gauges, out, err);
}
