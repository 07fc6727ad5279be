/* Waves, behind <smelt/wave.h>. A wave, in order:
 *
 *     check      what no transaction can be blamed for; the chain's head
 *     execute    chunks of transactions on all workers, published in order (speculate.h)
 *     finish     fees to their recipient, upgrades
 *     close      batch of the state, digests, record
 *     commit     everything in one batch
 *
 * Up to `close`, a failure takes back what was published; from there on, the engine forgets all
 * that is not in the store. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/status.h"
#include "runtime/commit.h"
#include "runtime/engine.h"
#include "runtime/entry.h"
#include "runtime/execute.h"
#include "runtime/speculate.h"
#include "runtime/state/accounts.h"

#include <smelt/wave.h>

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHERE "wave"

#define CHUNK_TRANSACTIONS 16u
/* Chunks under way per worker: enough that one long transaction does not stop the others at once.
 */
#define LANES_PER_WORKER (SM_SPECULATE_LANES_MAX / SM_WORKERS_MAX)

/* The batch of the state and its digest, receipts, events: they depend on each other in nothing. */
#define CLOSE_PARTS 3u

/* In consensus: the state digest. */
#define STATE_DOMAIN "smelt.writes.v1"

struct smelt_wave_result {
    struct smelt_wave_record record;
    struct smelt_hash digest;
    struct smelt_wave_effort effort;
    struct sm_ledger *ledger;
};

/* A wave while it runs. Zeroed, then filled step by step; run_deinit copes with any prefix. */
struct run {
    struct smelt_engine *engine;
    const struct smelt_wave *wave;
    uint32_t worker_count;
    uint32_t chunk_size;

    struct sm_wave_modules modules;

    struct sm_lane *lanes;
    uint32_t lane_count;
    struct smelt_buf upgrades; /* struct sm_upgrade, in order */
    struct sm_ledger *ledger;

    struct sm_commit commit;
    struct smelt_wave_record record;
    struct smelt_hash digest;
    struct smelt_wave_effort effort;
    atomic_size_t next_part; /* of closing */
    struct smelt_error part_errors[CLOSE_PARTS];
};

static enum smelt_status invalid(struct smelt_error *err, const char *what)
{
    return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE, "%s", what);
}

/* ---- check ----------------------------------------------------------------------------------- */

static bool has_module(const struct smelt_wave_transaction *transaction)
{
    return transaction->kind == SMELT_TRANSACTION_DEPLOY ||
           transaction->kind == SMELT_TRANSACTION_UPGRADE;
}

/* What is wrong with a transaction that none of its kind can be; NULL: nothing. */
static const char *flaw(const struct smelt_wave_transaction *transaction)
{
    if ((unsigned)transaction->kind > SMELT_TRANSACTION_UPGRADE) {
        return "is of no kind";
    }
    if (transaction->fuel_limit == 0 || transaction->fuel_limit > (uint64_t)SMELT_FUEL_MAX) {
        return "has a fuel limit of 0 or above SMELT_FUEL_MAX";
    }
    bool is_call = transaction->kind == SMELT_TRANSACTION_CALL;
    bool has_input = is_call || transaction->kind == SMELT_TRANSACTION_DEPLOY;
    if ((transaction->function.data == NULL && transaction->function.size != 0) ||
        (transaction->input.data == NULL && transaction->input.size != 0) ||
        (transaction->wasm.data == NULL && transaction->wasm.size != 0) ||
        (transaction->arguments == NULL && transaction->argument_count != 0)) {
        return "has a size and no data";
    }
    if (!is_call && (transaction->function.size != 0 || transaction->argument_count != 0)) {
        return "calls nothing, but has a function or arguments";
    }
    if (!has_input && transaction->input.size != 0) {
        return "runs nothing, but has an input";
    }
    if (!has_module(transaction) && transaction->wasm.size != 0) {
        return "has a module that it has no use for";
    }
    if (transaction->kind == SMELT_TRANSACTION_UPGRADE && !sm_u128_is_zero(transaction->value)) {
        return "is an upgrade, which cannot send value";
    }
    if (transaction->input.size > UINT32_MAX || transaction->wasm.size > UINT32_MAX) {
        return "has an input or module of more than 4 GiB";
    }
    return NULL;
}

static enum smelt_status check_wave(const struct smelt_wave *wave, struct smelt_error *err)
{
    uint64_t fuel = 0;
    if (wave->number == 0) {
        return invalid(err, "waves are numbered from 1");
    }
    if (wave->count > SMELT_WAVE_TRANSACTIONS_MAX ||
        (wave->transactions == NULL && wave->count != 0)) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "a wave has a list of up to %u transactions, not %zu",
                            SMELT_WAVE_TRANSACTIONS_MAX, wave->count);
    }
    for (size_t i = 0; i < wave->count; i++) {
        const char *what = flaw(&wave->transactions[i]);
        if (what != NULL) {
            return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE, "transaction %zu %s", i,
                                what);
        }
        if (__builtin_add_overflow(fuel, wave->transactions[i].fuel_limit, &fuel)) {
            return invalid(err, "the fuel limits of the wave add up to more than 2^64 - 1");
        }
    }
    return SMELT_STATUS_OK;
}

/* The wave against the newest one. */
static enum smelt_status check_head(struct run *run, struct smelt_error *err)
{
    struct smelt_engine *engine = run->engine;
    const struct smelt_wave *wave = run->wave;
    struct sm_ledger_head *head = &engine->head;
    if (!engine->has_head) {
        enum smelt_status status = sm_ledger_head(engine->options.store, head, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        engine->has_head = true;
    }
    if (!head->has_wave) {
        return SMELT_STATUS_OK;
    }
    if (head->chain_id != wave->chain_id) {
        return sm_error_set(err, SMELT_STATUS_STATE_MISMATCH, WHERE,
                            "the state belongs to chain %" PRIu64 ", the wave to chain %" PRIu64,
                            head->chain_id, wave->chain_id);
    }
    if (wave->number != head->record.number + 1) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "the state has wave %" PRIu64 ", so the next one is %" PRIu64
                            ", not %" PRIu64,
                            head->record.number, head->record.number + 1, wave->number);
    }
    if (wave->timestamp < head->record.timestamp) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "wave %" PRIu64 " has time %" PRIu64 ", which is before the %" PRIu64
                            " of the last one",
                            wave->number, wave->timestamp, head->record.timestamp);
    }
    return SMELT_STATUS_OK;
}

/* ---- modules --------------------------------------------------------------------------------- */

struct module_use {
    struct smelt_hash hash;
    uint32_t transaction;
};

static int compare_uses(const void *a, const void *b)
{
    return memcmp(((const struct module_use *)a)->hash.bytes,
                  ((const struct module_use *)b)->hash.bytes, SMELT_HASH_BYTES);
}

/* A row per module, in the order of hashes. */
static enum smelt_status list_modules(struct run *run, struct smelt_error *err)
{
    const struct smelt_wave *wave = run->wave;
    struct module_use *uses = NULL;
    size_t count = 0;
    size_t row = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    for (size_t i = 0; i < wave->count; i++) {
        count += has_module(&wave->transactions[i]);
    }
    if (count == 0) {
        return SMELT_STATUS_OK;
    }
    uses = (struct module_use *)sm_calloc(count, sizeof(*uses));
    run->modules.of_transaction =
        (uint32_t *)sm_calloc(wave->count, sizeof(*run->modules.of_transaction));
    run->modules.rows = (struct sm_wave_module *)sm_calloc(count, sizeof(*run->modules.rows));
    if (uses == NULL || run->modules.of_transaction == NULL || run->modules.rows == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    count = 0;
    for (uint32_t i = 0; i < wave->count; i++) {
        if (has_module(&wave->transactions[i])) {
            sm_digest_bytes(wave->transactions[i].wasm, &uses[count].hash);
            uses[count++].transaction = i;
        }
    }
    qsort(uses, count, sizeof(*uses), compare_uses);
    for (size_t i = 0; i < count; i++) {
        row += i != 0 && compare_uses(&uses[i - 1], &uses[i]) != 0;
        run->modules.rows[row].hash = uses[i].hash;
        run->modules.rows[row].wasm = wave->transactions[uses[i].transaction].wasm;
        run->modules.of_transaction[uses[i].transaction] = (uint32_t)row;
    }
    run->modules.count = row + 1;
    for (size_t i = 0; i < run->modules.count; i++) {
        (void)pthread_mutex_init(&run->modules.rows[i].lock, NULL); /* fails for no reason */
    }
cleanup:
    sm_free(uses);
    return status;
}

/* ---- execute --------------------------------------------------------------------------------- */

static enum smelt_status execute_chunk(void *context, uint32_t lane_index, size_t chunk,
                                       struct smelt_error *err)
{
    struct run *run = (struct run *)context;
    struct sm_lane *lane = &run->lanes[lane_index];
    size_t at = chunk * run->chunk_size;
    size_t end = at + run->chunk_size;
    if (end > run->wave->count) {
        end = run->wave->count;
    }
    const struct smelt_engine *before = sm_engine_enter(run->engine);
    enum smelt_status status = sm_lane_begin(lane, err);
    sm_lane_expect(lane, at, end);
    for (; at < end && status == SMELT_STATUS_OK; at++) {
        status = sm_lane_execute(lane, (uint32_t)at, err);
    }
    (void)sm_engine_enter(before);
    return status;
}

static bool is_chunk_current(void *context, uint32_t lane)
{
    return sm_overlay_is_current(((struct run *)context)->lanes[lane].overlay);
}

static enum smelt_status publish_chunk(void *context, uint32_t lane_index, size_t chunk,
                                       struct smelt_error *err)
{
    struct run *run = (struct run *)context;
    struct sm_lane *lane = &run->lanes[lane_index];
    enum smelt_status status = SMELT_STATUS_OK;
    (void)chunk;
    SMELT_TRY(sm_overlay_publish(lane->overlay, err));
    SMELT_TRY(sm_ledger_append(run->ledger, &lane->journal, err));
    if (!sm_buf_append(&run->upgrades, lane->upgrades.data, lane->upgrades.size)) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    for (size_t at = 0; at < lane->used.size; at += sizeof(uint32_t)) {
        uint32_t row;
        memcpy(&row, lane->used.data + at, sizeof(row));
        run->modules.rows[row].is_used = true;
    }
cleanup:
    return status;
}

static enum smelt_status execute(struct run *run, struct smelt_error *err)
{
    struct smelt_engine *engine = run->engine;
    uint64_t start = sm_clock_ns();
    uint64_t retries = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    struct sm_speculation speculation = {0};
    run->lane_count = run->worker_count > 1 ? run->worker_count * LANES_PER_WORKER : 1;
    run->lanes = (struct sm_lane *)sm_calloc(run->lane_count, sizeof(*run->lanes));
    if (run->lanes == NULL) {
        run->lane_count = 0;
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    for (uint32_t i = 0; i < run->lane_count; i++) {
        SMELT_TRY(sm_lane_init(&run->lanes[i], engine, run->wave, &run->modules, err));
    }
    SMELT_TRY(sm_ledger_create(run->wave->number, &run->ledger, err));
    speculation = (struct sm_speculation){
        .context = run,
        .chunk_count = (run->wave->count + run->chunk_size - 1) / run->chunk_size,
        .lane_count = run->lane_count,
        .pace = &engine->pace,
        .execute = execute_chunk,
        .is_current = is_chunk_current,
        .publish = publish_chunk,
    };
    SMELT_TRY(sm_speculate(&speculation, &engine->crew, run->worker_count, &retries, err));
    run->effort.retries = retries * run->chunk_size;
    run->effort.execute_ns = sm_clock_ns() - start;
    run->effort.load_ns = atomic_load(&run->modules.load_ns);
cleanup:
    return status;
}

/* ---- finish ---------------------------------------------------------------------------------- */

static enum smelt_status pay_fees(struct run *run, struct smelt_error *err)
{
    struct sm_overlay *overlay = run->engine->overlay;
    const struct smelt_address *recipient = run->wave->fee_recipient;
    struct smelt_account account;
    if (recipient == NULL || sm_u128_is_zero(run->record.fees)) {
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = sm_state_account_read(overlay, recipient, &account, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!sm_u128_add(account.balance, run->record.fees, &account.balance)) {
        account.balance = (struct smelt_u128){.low = UINT64_MAX, .high = UINT64_MAX};
    }
    return sm_state_account_write(overlay, recipient, &account, err);
}

static enum smelt_status apply_upgrades(struct run *run, struct smelt_error *err)
{
    struct sm_overlay *overlay = run->engine->overlay;
    enum smelt_status status = SMELT_STATUS_OK;
    for (size_t at = 0; at < run->upgrades.size && status == SMELT_STATUS_OK;
         at += sizeof(struct sm_upgrade)) {
        struct sm_upgrade upgrade;
        struct smelt_account account;
        memcpy(&upgrade, run->upgrades.data + at, sizeof(upgrade));
        status = sm_state_account_read(overlay, &upgrade.address, &account, err);
        if (status == SMELT_STATUS_OK) {
            account.code_hash = upgrade.code_hash;
            status = sm_state_account_write(overlay, &upgrade.address, &account, err);
        }
    }
    return status;
}

/* What the wave does after its last transaction. */
static enum smelt_status finish(struct run *run, struct smelt_error *err)
{
    struct sm_overlay *overlay = run->engine->overlay;
    enum smelt_status status = SMELT_STATUS_OK;
    sm_ledger_totals(run->ledger, &run->record);
    SMELT_TRY(sm_overlay_push(overlay, err));
    SMELT_TRY(pay_fees(run, err));
    SMELT_TRY(apply_upgrades(run, err));
    SMELT_TRY(sm_overlay_publish(overlay, err));
cleanup:
    sm_overlay_reset(overlay);
    return status;
}

/* ---- close ----------------------------------------------------------------------------------- */

/* Waits for the batch before, too, when that is written behind. */
static enum smelt_status collect_writes(struct run *run, struct smelt_error *err)
{
    struct sm_digest digest;
    enum smelt_status status = sm_commit_collect(run->engine, &run->commit, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    sm_digest_init(&digest, STATE_DOMAIN);
    sm_digest_slice(&digest, sm_buf_slice(&run->commit.state.bytes));
    sm_digest_final(&digest, &run->record.state_digest);
    return SMELT_STATUS_OK;
}

static enum smelt_status digest_receipts(struct run *run, struct smelt_error *err)
{
    (void)err;
    sm_ledger_receipts_digest(run->ledger, &run->record.receipts_digest);
    return SMELT_STATUS_OK;
}

static enum smelt_status digest_events(struct run *run, struct smelt_error *err)
{
    return sm_ledger_events_root(run->ledger, &run->record.events_root, err);
}

static void close_parts(void *context, uint32_t worker)
{
    /* the longest first */
    static enum smelt_status (*const parts[CLOSE_PARTS])(
        struct run *run, struct smelt_error *err) = {collect_writes, digest_receipts,
                                                     digest_events};
    struct run *run = (struct run *)context;
    (void)worker;
    for (;;) {
        size_t part = atomic_fetch_add(&run->next_part, 1);
        if (part >= CLOSE_PARTS) {
            return;
        }
        struct smelt_error *error = &run->part_errors[part];
        error->status = parts[part](run, error);
    }
}

static enum smelt_status close_wave(struct run *run, struct smelt_error *err)
{
    struct smelt_engine *engine = run->engine;
    const struct smelt_wave *wave = run->wave;
    struct smelt_wave_record *record = &run->record;
    uint64_t start = sm_clock_ns();
    enum smelt_status status = SMELT_STATUS_OK;
    record->chain_id = wave->chain_id;
    record->number = wave->number;
    record->timestamp = wave->timestamp;
    record->parent = engine->head.digest;
    record->has_fee_recipient = wave->fee_recipient != NULL;
    if (wave->fee_recipient != NULL) {
        record->fee_recipient = *wave->fee_recipient;
    }
    sm_crew_run(&engine->crew, run->worker_count, close_parts, run);
    for (size_t i = 0; i < CLOSE_PARTS; i++) {
        if (run->part_errors[i].status != SMELT_STATUS_OK) {
            if (err != NULL) {
                *err = run->part_errors[i];
            }
            return run->part_errors[i].status;
        }
    }
    record->write_count = (uint32_t)run->commit.state.count;
    if (run->commit.tree != NULL) {
        record->has_state_root = true;
        record->state_root = run->commit.tree->root;
    }
    smelt_wave_record_digest(record, &run->digest);
    if (wave->expected_digest != NULL && !sm_hash_equal(wave->expected_digest, &run->digest)) {
        char expected[2 * SMELT_HASH_BYTES + 1];
        char actual[2 * SMELT_HASH_BYTES + 1];
        smelt_hex_encode(wave->expected_digest->bytes, SMELT_HASH_BYTES, expected);
        smelt_hex_encode(run->digest.bytes, SMELT_HASH_BYTES, actual);
        status = sm_error_set(err, SMELT_STATUS_STATE_MISMATCH, WHERE,
                              "the record of wave %" PRIu64 " has digest %s, not the expected %s: "
                              "nothing is written",
                              wave->number, actual, expected);
    }
    run->effort.digest_ns = sm_clock_ns() - start;
    return status;
}

/* ---- commit ---------------------------------------------------------------------------------- */

static enum smelt_status add_modules(struct run *run, struct smelt_error *err)
{
    for (size_t i = 0; i < run->modules.count; i++) {
        const struct sm_wave_module *module = &run->modules.rows[i];
        const struct smelt_store_write write = {.family = SMELT_STORE_CODE,
                                                .key =
                                                    sm_slice(module->hash.bytes, SMELT_HASH_BYTES),
                                                .value = module->wasm};
        if (module->is_used && !sm_write_list_add(&run->commit.extra, &write)) {
            return sm_error_no_memory(err, WHERE);
        }
    }
    return SMELT_STATUS_OK;
}

/* Of waves that are `receipts_kept` behind this one, the oldest. `*count` is how many. */
static enum smelt_status prune(struct run *run, uint64_t *count, struct smelt_error *err)
{
    struct smelt_engine *engine = run->engine;
    struct sm_commit *batch = &run->commit;
    uint64_t kept = engine->options.receipts_kept;
    enum smelt_status status = SMELT_STATUS_OK;
    *count = 0;
    if (kept == 0 || run->wave->number <= kept || !engine->head.has_wave) {
        return SMELT_STATUS_OK;
    }
    if (!engine->has_kept) {
        SMELT_TRY(sm_ledger_kept(engine->options.store, &engine->kept, err));
        engine->has_kept = true;
    }
    for (; *count < SM_COMMIT_PRUNES_MAX && engine->kept + *count <= run->wave->number - kept;
         ++*count) {
        SMELT_TRY(sm_ledger_prune(engine->options.store, engine->kept + *count,
                                  &batch->pruned[*count], &batch->extra, err));
    }
cleanup:
    return status;
}

static enum smelt_status commit(struct run *run, struct smelt_error *err)
{
    struct smelt_engine *engine = run->engine;
    struct sm_commit *batch = &run->commit;
    uint64_t start = sm_clock_ns();
    /* modules are the caller's, who may let go of them when this returns */
    bool is_behind = engine->options.commits_behind && run->modules.count == 0;
    uint64_t pruned;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(prune(run, &pruned, err)); /* an id that comes again is written after it */
    SMELT_TRY(sm_ledger_writes(run->ledger, &run->record, &run->digest, !engine->head.has_wave,
                               &batch->extra, err));
    SMELT_TRY(add_modules(run, err));
    batch->ledger = sm_ledger_acquire(run->ledger);
    SMELT_TRY(sm_commit_write(engine, batch, is_behind, err));
    engine->head = (struct sm_ledger_head){.has_wave = true,
                                           .chain_id = run->record.chain_id,
                                           .digest = run->digest,
                                           .record = run->record};
    engine->has_head = true;
    engine->kept += pruned;
    run->effort.commit_ns = sm_clock_ns() - start;
cleanup:
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void run_deinit(struct run *run)
{
    for (uint32_t i = 0; i < run->lane_count; i++) {
        sm_lane_deinit(&run->lanes[i]);
    }
    for (size_t i = 0; i < run->modules.count; i++) {
        sm_contract_release(run->modules.rows[i].contract);
        (void)pthread_mutex_destroy(&run->modules.rows[i].lock);
    }
    sm_free(run->lanes);
    sm_free(run->modules.rows);
    sm_free(run->modules.of_transaction);
    smelt_buf_deinit(&run->upgrades);
    sm_commit_deinit(&run->commit);
    sm_ledger_release(run->ledger);
}

/* Steps that leave the tip as it was when they fail. */
static enum smelt_status run_transactions(struct run *run, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(check_head(run, err));
    SMELT_TRY(list_modules(run, err));
    SMELT_TRY(execute(run, err));
    SMELT_TRY(finish(run, err));
cleanup:
    if (status != SMELT_STATUS_OK) {
        sm_tip_revert(run->engine->tip);
    }
    return status;
}

/* Steps after which only the store counts. */
static enum smelt_status run_commit(struct run *run, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(close_wave(run, err));
    SMELT_TRY(commit(run, err));
cleanup:
    if (status != SMELT_STATUS_OK) {
        sm_engine_forget(run->engine);
    }
    return status;
}

static uint32_t processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    if (count < 1) {
        return 1;
    }
    return count < (long)SM_WORKERS_MAX ? (uint32_t)count : SM_WORKERS_MAX;
}

static enum smelt_status run_wave(struct smelt_engine *engine, const struct smelt_wave *wave,
                                  struct smelt_wave_result *result, struct smelt_error *err)
{
    struct run run = {.engine = engine, .wave = wave};
    bool has_turn = false;
    enum smelt_status status = SMELT_STATUS_OK;
    run.chunk_size =
        engine->options.wave_chunk != 0 ? engine->options.wave_chunk : CHUNK_TRANSACTIONS;
    run.worker_count = engine->options.workers != 0 ? engine->options.workers : processors();
    SMELT_TRY(sm_engine_take_turn(engine, err));
    has_turn = true;
    SMELT_TRY(sm_crew_grow(&engine->crew, run.worker_count, err));
    if (engine->options.pin_workers) {
        sm_crew_pin(&engine->crew);
    }
    SMELT_TRY(run_transactions(&run, err));
    SMELT_TRY(run_commit(&run, err));
    result->record = run.record;
    result->digest = run.digest;
    result->effort = run.effort;
    result->effort.worker_count = run.worker_count;
    result->ledger = run.ledger;
    run.ledger = NULL;
cleanup:
    run_deinit(&run);
    if (has_turn) {
        sm_crew_unpin(&engine->crew);
        sm_engine_end_turn(engine);
    }
    return status;
}

enum smelt_status smelt_wave_run(struct smelt_engine *engine, const struct smelt_wave *wave,
                                 struct smelt_wave_result **out, struct smelt_error *err)
{
    struct smelt_wave_result *result = NULL;
    struct smelt_error own;
    uint64_t start;
    enum smelt_status status = SMELT_STATUS_OK;
    err = err != NULL ? err : &own;
    if (out != NULL) {
        *out = NULL;
    }
    if (engine == NULL || wave == NULL || out == NULL) {
        return invalid(err, "engine, wave and out are required");
    }
    SMELT_TRY(check_wave(wave, err));
    result = (struct smelt_wave_result *)sm_calloc(1, sizeof(*result));
    if (result == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    start = sm_clock_ns();
    status = run_wave(engine, wave, result, err);
    sm_metrics_observe_wave(&engine->metrics, status,
                            status == SMELT_STATUS_OK ? &result->record : NULL,
                            result->effort.retries, sm_clock_ns() - start);
    if (status != SMELT_STATUS_OK) {
        sm_engine_log(engine, SMELT_LOG_WARNING, "wave %" PRIu64 " failed: %s: %s", wave->number,
                      smelt_status_name(status), err->message);
        goto cleanup;
    }
    *out = result;
    result = NULL;
cleanup:
    smelt_wave_result_destroy(result);
    return status;
}

/* ---- the result ------------------------------------------------------------------------------ */

void smelt_wave_result_destroy(struct smelt_wave_result *result)
{
    if (result != NULL) {
        sm_ledger_release(result->ledger);
        sm_free(result);
    }
}

const struct smelt_wave_record *smelt_wave_result_record(const struct smelt_wave_result *result)
{
    return &result->record;
}

const struct smelt_hash *smelt_wave_result_digest(const struct smelt_wave_result *result)
{
    return &result->digest;
}

const struct smelt_wave_effort *smelt_wave_result_effort(const struct smelt_wave_result *result)
{
    return &result->effort;
}

enum smelt_status smelt_wave_result_receipt(const struct smelt_wave_result *result, uint32_t index,
                                            struct smelt_wave_receipt **out,
                                            struct smelt_error *err)
{
    if (out != NULL) {
        *out = NULL;
    }
    if (result == NULL || out == NULL || index >= result->record.transaction_count) {
        return invalid(err, "result and out are required, and an index within the wave");
    }
    return sm_ledger_receipt(result->ledger, index, out, err);
}
