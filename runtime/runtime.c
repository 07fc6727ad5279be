/* Transactions one at a time, behind <smelt/runtime.h>.
 *
 * A transaction, in order; the first step that fails ends it with a status and leaves no trace:
 *
 *     check      arguments that no contract can be blamed for
 *     load       the code of a deploy goes through the source: without a turn, since it may take a
 *                compiler's time
 *     begin      the turn, and one layer over the tip; static calls take no turn, and work over a
 *                snapshot of the store
 *     prepare    nonce of the signer, account of a new contract, value     (not in static calls)
 *     run        the outermost frame, on a guest stack of its own, under a watch when there is a
 *                deadline or a token
 *     settle     node failure: its status. Returned: everything the layer holds, and the code of a
 *                new contract, becomes one batch. Any other outcome: nothing is kept, the nonce
 *                and the value included.
 *     receipt    made before the batch is written, so that nothing can fail after it
 *
 * Nothing here knows a profile by name. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/status.h"
#include "runtime/engine.h"
#include "runtime/entry.h"
#include "runtime/host/frame.h"
#include "runtime/receipt.h"
#include "runtime/state/accounts.h"

#include <smelt/runtime.h>

#include <string.h>

#define WHERE "engine"

/* One transaction while it runs. Zeroed, then filled step by step; run_deinit copes with any
 * prefix. */
struct run {
    struct smelt_engine *engine;
    const struct smelt_transaction *transaction;
    uint64_t fuel_limit;
    bool has_turn;
    struct sm_transaction shared; /* its overlay is the engine's, or the run's own without a turn */
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

/* Counts a transaction that is over; what this machine could not do is worth a line. */
static enum smelt_status finish(struct smelt_engine *engine, enum sm_metrics_kind kind,
                                enum smelt_status status, const struct smelt_receipt *receipt,
                                const struct smelt_error *err)
{
    sm_metrics_observe(&engine->metrics, kind, status, receipt);
    if (status >= SMELT_STATUS_ARTEFACT_CORRUPT) {
        sm_engine_log(engine, SMELT_LOG_WARNING, "a transaction failed: %s: %s",
                      smelt_status_name(status), err->message);
    }
    return status;
}

static enum smelt_status load_contract(struct run *run, const struct smelt_hash *hash,
                                       const struct smelt_slice *wasm, struct sm_contract **out,
                                       struct smelt_error *err)
{
    uint64_t start = sm_clock_ns();
    enum smelt_status status = sm_engine_load(run->engine, hash, wasm, out, err);
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

/* Takes the turn, unless the transaction is static, and opens the layer of its effects. */
static enum smelt_status begin(struct run *run, struct smelt_error *err)
{
    struct smelt_engine *engine = run->engine;
    enum smelt_status status = SMELT_STATUS_OK;
    if (run->transaction->is_static) {
        SMELT_TRY(sm_overlay_create(engine->options.store, &run->shared.overlay, err));
    } else {
        SMELT_TRY(sm_engine_take_turn(engine, err));
        run->has_turn = true;
        run->shared.overlay = engine->overlay;
    }
    SMELT_TRY(sm_overlay_push(run->shared.overlay, err));
cleanup:
    return status;
}

/* Whatever has not been written by now is gone. */
static void end(struct run *run)
{
    if (run->has_turn) {
        sm_overlay_reset(run->engine->overlay);
        sm_engine_end_turn(run->engine);
        run->has_turn = false;
    } else if (run->shared.overlay != NULL) {
        struct sm_overlay_reads reads = sm_overlay_reads(run->shared.overlay);
        sm_metrics_add(&run->engine->metrics.store_reads, reads.count);
        sm_metrics_add(&run->engine->metrics.store_read_ns, reads.ns);
        sm_overlay_destroy(run->shared.overlay);
    }
    run->shared.overlay = NULL;
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

static enum smelt_status make_slots(struct run *run, struct smelt_error *err)
{
    run->slots = (uint64_t *)sm_calloc(sm_frame_slot_count(run->export_), sizeof(*run->slots));
    return run->slots != NULL ? SMELT_STATUS_OK : sm_error_no_memory(err, WHERE);
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

/* What the layer holds, and the code of a new contract, in one batch. */
static enum smelt_status commit(const struct run *run, struct smelt_error *err)
{
    struct smelt_engine *engine = run->engine;
    struct sm_commit batch = {0};
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_overlay_publish(run->shared.overlay, err));
    SMELT_TRY(sm_commit_collect(engine, &batch, err));
    if (run->new_code != NULL) {
        const struct smelt_store_write code = {
            .family = SMELT_STORE_CODE,
            .key = sm_slice(run->contract->module_hash.bytes, SMELT_HASH_BYTES),
            .value = *run->new_code};
        if (!sm_write_list_add(&batch.extra, &code)) {
            status = sm_error_no_memory(err, WHERE);
            sm_engine_forget(engine);
            goto cleanup;
        }
    }
    SMELT_TRY(sm_commit_write(engine, &batch, false, err));
cleanup:
    sm_commit_deinit(&batch);
    return status;
}

/* Receipt, then the batch when there is one to write. */
static enum smelt_status settle(const struct run *run, struct smelt_receipt **out,
                                struct smelt_error *err)
{
    struct smelt_receipt *receipt = NULL;
    bool is_kept = run->frame.end == SM_FRAME_RETURNED && !run->transaction->is_static;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_receipt_create(&run->frame, run->export_, run->slots,
                                is_kept ? run->shared.overlay : NULL, run->fuel_limit, &receipt,
                                err));
    receipt->load_ns = run->load_ns;
    receipt->execute_ns = run->execute_ns;
    if (is_kept) {
        uint64_t start = sm_clock_ns();
        SMELT_TRY(commit(run, err));
        receipt->commit_ns = sm_clock_ns() - start;
    }
    *out = receipt;
    receipt = NULL;
cleanup:
    smelt_receipt_destroy(receipt);
    return status;
}

/* ---- deploy ---------------------------------------------------------------------------------- */

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
    SMELT_TRY(sm_entry_find_init(run.contract, engine->options.profile, &run.export_, err));
    SMELT_TRY(begin(&run, err));
    SMELT_TRY(take_nonce(&run, &nonce, err));
    smelt_contract_address(&transaction->from, nonce, &address);
    SMELT_TRY(sm_state_contract_create(run.shared.overlay, &address, &run.contract->module_hash,
                                       &transaction->from, err));
    SMELT_TRY(send_value(&run, &address, err));
    run.new_code = &wasm;
    SMELT_TRY(make_slots(&run, err));
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
    SMELT_TRY(sm_entry_find(run.contract, engine->options.profile,
                            smelt_slice_from_string(function), &run.export_, err));
    SMELT_TRY(make_slots(&run, err));
    SMELT_TRY(sm_entry_pass(run.export_, arguments, argument_count, run.slots, err));
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
