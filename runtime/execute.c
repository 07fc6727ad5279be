/* One transaction of a wave, in order:
 *
 *     check      may it be part of the wave at all? (W3 to W6)
 *     effect     in a layer of its own where it may fail: value, new account, contract
 *     pay        nonce and fee, in the layer below: they stay when the effect does not
 *     receipt
 *
 * The sender is charged after the run, from a balance that was seen to suffice before: nothing but
 * its own transactions can make it smaller (a contract sends no transactions, W3). */
#include "runtime/execute.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/status.h"
#include "runtime/entry.h"
#include "runtime/receipt.h"
#include "runtime/state/accounts.h"
#include "runtime/state/keys.h"

#include <assert.h>
#include <string.h>

#define WHERE "wave"

/* Transactions whose accounts are fetched ahead together: about as many as a processor fetches at a
 * time, and few enough to stay in its nearest cache. */
#define EXPECTED_MAX 16u

/* One transaction on its way to a receipt. */
struct attempt {
    struct sm_lane *lane;
    uint32_t index;
    const struct smelt_wave_transaction *transaction;
    struct smelt_account sender; /* from before the transaction; after it, when no code can run */
    struct smelt_wave_receipt receipt;
    uint64_t charge; /* what the schedule takes for such a transaction */
    /* What runs, with a reference: a nested call may take its cell. Frame and receipt point into
     * it until the receipt is encoded. */
    struct sm_contract *contract;
    struct smelt_frame frame;
    char location_name[SM_RECEIPT_NAME_BYTES];
};

/* ---- code ------------------------------------------------------------------------------------ */

static int compare_modules(const struct smelt_hash *hash, const struct sm_wave_module *module)
{
    return memcmp(hash->bytes, module->hash.bytes, SMELT_HASH_BYTES);
}

/* Among the wave's own modules: their code is in no store yet. */
static struct sm_contract *find_in_wave(struct sm_wave_modules *modules,
                                        const struct smelt_hash *hash)
{
    size_t low = 0;
    size_t high = modules->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_modules(hash, &modules->rows[middle]);
        if (order == 0) {
            struct sm_wave_module *module = &modules->rows[middle];
            (void)pthread_mutex_lock(&module->lock);
            struct sm_contract *contract = module->contract;
            (void)pthread_mutex_unlock(&module->lock);
            return contract;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* Borrowed from the lane. */
static enum smelt_status find_contract(struct sm_lane *lane, const struct smelt_hash *hash,
                                       struct sm_contract **out, struct smelt_error *err)
{
    struct sm_contract **cell = &lane->contracts[hash->bytes[0] % SM_LANE_CONTRACTS];
    if (*cell == NULL || memcmp(&(*cell)->module_hash, hash, sizeof(*hash)) != 0) {
        struct sm_contract *contract = find_in_wave(lane->modules, hash);
        if (contract != NULL) {
            sm_contract_acquire(contract);
        } else {
            enum smelt_status status = sm_engine_load(lane->engine, hash, NULL, &contract, err);
            if (status != SMELT_STATUS_OK) {
                return status;
            }
        }
        sm_contract_release(*cell);
        *cell = contract;
    }
    *out = *cell;
    return SMELT_STATUS_OK;
}

/* For nested calls: a reference of the frame's own, since the cell may be taken by another. */
static enum smelt_status load(void *context, const struct smelt_hash *code_hash,
                              struct sm_contract **out, struct smelt_error *err)
{
    enum smelt_status status = find_contract((struct sm_lane *)context, code_hash, out, err);
    if (status == SMELT_STATUS_OK) {
        sm_contract_acquire(*out);
    }
    return status;
}

/* ---- running --------------------------------------------------------------------------------- */

static void fail(struct attempt *attempt, enum smelt_status status)
{
    attempt->receipt.status = status;
}

static bool take_event(void *context, const struct smelt_event *event)
{
    const struct attempt *attempt = (const struct attempt *)context;
    return sm_journal_event(&attempt->lane->journal, attempt->lane->wave->number, attempt->index,
                            event);
}

static uint64_t *reserve_slots(struct sm_lane *lane, const struct sm_export *export_)
{
    lane->slots.size = 0;
    if (!sm_buf_reserve(&lane->slots, sm_frame_slot_count(export_) * sizeof(uint64_t))) {
        return NULL;
    }
    return (uint64_t *)(void *)lane->slots.data;
}

static bool take_results(struct attempt *attempt, const struct sm_export *export_,
                         const uint64_t *slots)
{
    struct smelt_buf *results = &attempt->lane->results;
    results->size = 0;
    for (uint32_t i = 0; i < export_->result_count; i++) {
        struct smelt_value value;
        memset(&value, 0, sizeof(value));
        value = sm_receipt_result(export_, slots, i);
        if (!sm_buf_append(results, &value, sizeof(value))) {
            return false;
        }
    }
    attempt->receipt.results = (const struct smelt_value *)(const void *)results->data;
    attempt->receipt.result_count = export_->result_count;
    return true;
}

/* Runs `export_` (NULL: instantiates only) of the contract at `address`, in the layer on top. */
static enum smelt_status run(struct attempt *attempt, struct sm_contract *contract,
                             const struct sm_export *export_, const struct smelt_address *address,
                             uint64_t *slots, struct smelt_error *err)
{
    struct sm_lane *lane = attempt->lane;
    const struct smelt_wave_transaction *transaction = attempt->transaction;
    struct smelt_frame *frame = &attempt->frame;
    *frame = (struct smelt_frame){
        .transaction = &lane->shared,
        .contract = contract,
        .context = {.origin = transaction->from,
                    .caller = transaction->from,
                    .address = *address,
                    .value = transaction->value,
                    .input = transaction->input,
                    .block_number = lane->wave->number,
                    .block_timestamp = lane->wave->timestamp,
                    .depth = 1},
    };
    if (export_ != NULL) {
        frame->function = sm_slice(export_->name, export_->name_size);
    }
    attempt->receipt.module_hash = contract->module_hash;
    attempt->contract = contract;
    sm_contract_acquire(contract);
    sm_frame_run(frame, export_, slots, transaction->fuel_limit - attempt->charge);
    if (frame->end == SM_FRAME_FAILED) {
        if (err != NULL) {
            *err = lane->shared.failure;
        }
        return lane->shared.failure.status;
    }
    struct smelt_wave_receipt *receipt = &attempt->receipt;
    receipt->outcome = sm_receipt_outcome(frame);
    receipt->fuel_used += frame->fuel_used;
    receipt->return_data = sm_buf_slice(&frame->return_data);
    sm_receipt_locate(frame, &receipt->location, attempt->location_name);
    if (frame->end == SM_FRAME_RETURNED && export_ != NULL &&
        !take_results(attempt, export_, slots)) {
        return sm_error_no_memory(err, WHERE);
    }
    return SMELT_STATUS_OK;
}

/* The layer of the effects joins the one below, its events the journal; or it is gone. */
static enum smelt_status close_layer(struct attempt *attempt, struct smelt_error *err)
{
    struct sm_overlay *overlay = attempt->lane->overlay;
    const struct smelt_wave_receipt *receipt = &attempt->receipt;
    if (receipt->status != SMELT_STATUS_OK || receipt->outcome.kind != SMELT_OUTCOME_RETURNED) {
        sm_overlay_drop(overlay);
        return SMELT_STATUS_OK;
    }
    attempt->receipt.write_count = (uint32_t)sm_overlay_storage_writes(overlay);
    if (!sm_overlay_take_events(overlay, take_event, attempt)) {
        return sm_error_no_memory(err, WHERE);
    }
    sm_overlay_merge(overlay);
    return SMELT_STATUS_OK;
}

/* Value into the layer on top. A balance that would overflow fails the transaction. */
static enum smelt_status send_value(struct attempt *attempt, const struct smelt_address *to,
                                    struct smelt_error *err)
{
    const struct smelt_wave_transaction *transaction = attempt->transaction;
    bool is_done = false;
    enum smelt_status status = sm_state_transfer(attempt->lane->overlay, &transaction->from, to,
                                                 transaction->value, &is_done, err);
    if (status == SMELT_STATUS_BALANCE_OVERFLOW) {
        fail(attempt, status);
        status = SMELT_STATUS_OK;
    }
    return status;
}

/* ---- the kinds ------------------------------------------------------------------------------- */

/* As sm_state_transfer, but what the sender gives is taken from the account in hand, which `pay`
 * writes: that it suffices has been checked. */
static enum smelt_status run_transfer(struct attempt *attempt, struct smelt_error *err)
{
    const struct smelt_wave_transaction *transaction = attempt->transaction;
    struct sm_overlay *overlay = attempt->lane->overlay;
    struct smelt_account receiver;
    attempt->receipt.address = transaction->to;
    if (sm_u128_is_zero(transaction->value) ||
        memcmp(&transaction->to, &transaction->from, sizeof(transaction->to)) == 0) {
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = sm_state_account_read(overlay, &transaction->to, &receiver, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!sm_u128_add(receiver.balance, transaction->value, &receiver.balance)) {
        fail(attempt, SMELT_STATUS_BALANCE_OVERFLOW);
        return SMELT_STATUS_OK;
    }
    bool is_enough =
        sm_u128_sub(attempt->sender.balance, transaction->value, &attempt->sender.balance);
    assert(is_enough);
    (void)is_enough;
    return sm_state_account_write(overlay, &transaction->to, &receiver, err);
}

static enum smelt_status run_call(struct attempt *attempt, struct smelt_error *err)
{
    struct sm_lane *lane = attempt->lane;
    const struct smelt_wave_transaction *transaction = attempt->transaction;
    struct smelt_account account;
    struct sm_contract *contract = NULL;
    const struct sm_export *export_ = NULL;
    uint64_t *slots = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    attempt->receipt.address = transaction->to;
    SMELT_TRY(sm_state_account_read(lane->overlay, &transaction->to, &account, err));
    if (!account.is_contract) {
        fail(attempt, SMELT_STATUS_NO_CONTRACT);
        goto cleanup;
    }
    SMELT_TRY(find_contract(lane, &account.code_hash, &contract, err));
    fail(attempt, sm_entry_find(contract, lane->engine->options.profile, transaction->function,
                                &export_, NULL));
    if (attempt->receipt.status != SMELT_STATUS_OK) {
        goto cleanup;
    }
    slots = reserve_slots(lane, export_);
    if (slots == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    fail(attempt,
         sm_entry_pass(export_, transaction->arguments, transaction->argument_count, slots, NULL));
    if (attempt->receipt.status != SMELT_STATUS_OK) {
        goto cleanup;
    }
    SMELT_TRY(sm_overlay_push(lane->overlay, err));
    if (!sm_u128_is_zero(transaction->value)) {
        SMELT_TRY(send_value(attempt, &transaction->to, err));
    }
    if (attempt->receipt.status == SMELT_STATUS_OK) {
        SMELT_TRY(run(attempt, contract, export_, &transaction->to, slots, err));
    }
    SMELT_TRY(close_layer(attempt, err));
cleanup:
    return status;
}

static bool is_refusal(enum smelt_status status)
{
    return status >= SMELT_STATUS_MODULE_MALFORMED && status < SMELT_STATUS_ARTEFACT_CORRUPT;
}

/* Others that come to the same module wait meanwhile. A node failure is not remembered. */
static enum smelt_status load_module(struct sm_lane *lane, struct sm_wave_module *module,
                                     struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    (void)pthread_mutex_lock(&module->lock);
    if (!module->is_loaded) {
        uint64_t start = sm_clock_ns();
        if (module->contract == NULL) {
            status =
                sm_engine_load(lane->engine, &module->hash, &module->wasm, &module->contract, err);
        }
        if (status == SMELT_STATUS_OK) {
            status = sm_entry_find_init(module->contract, lane->engine->options.profile,
                                        &module->init, err);
        }
        module->is_loaded = status == SMELT_STATUS_OK || is_refusal(status);
        if (is_refusal(status)) {
            module->refusal = status;
            status = SMELT_STATUS_OK;
        }
        atomic_fetch_add(&lane->modules->load_ns, sm_clock_ns() - start);
    }
    (void)pthread_mutex_unlock(&module->lock);
    return status;
}

/* The transaction's module, and its row. `*out` is NULL when it was refused: the receipt says so.
 */
static enum smelt_status module_of(struct attempt *attempt, const struct sm_wave_module **out,
                                   uint32_t *row, struct smelt_error *err)
{
    struct sm_wave_modules *modules = attempt->lane->modules;
    *out = NULL;
    *row = modules->of_transaction[attempt->index];
    struct sm_wave_module *module = &modules->rows[*row];
    enum smelt_status status = load_module(attempt->lane, module, err);
    if (status == SMELT_STATUS_OK) {
        attempt->receipt.module_hash = module->hash;
        fail(attempt, module->refusal);
        *out = module->refusal == SMELT_STATUS_OK ? module : NULL;
    }
    return status;
}

static enum smelt_status use_module(struct attempt *attempt, uint32_t row, struct smelt_error *err)
{
    return sm_buf_append(&attempt->lane->used, &row, sizeof(row)) ? SMELT_STATUS_OK
                                                                  : sm_error_no_memory(err, WHERE);
}

static enum smelt_status run_deploy(struct attempt *attempt, struct smelt_error *err)
{
    struct sm_lane *lane = attempt->lane;
    const struct smelt_wave_transaction *transaction = attempt->transaction;
    const struct sm_wave_module *module;
    struct smelt_address address;
    uint64_t *slots;
    uint32_t row = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(module_of(attempt, &module, &row, err));
    if (module == NULL) {
        goto cleanup;
    }
    smelt_contract_address(&transaction->from, transaction->nonce, &address);
    slots = reserve_slots(lane, module->init);
    if (slots == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    SMELT_TRY(sm_overlay_push(lane->overlay, err));
    SMELT_TRY(
        sm_state_contract_create(lane->overlay, &address, &module->hash, &transaction->from, err));
    SMELT_TRY(send_value(attempt, &address, err));
    if (attempt->receipt.status == SMELT_STATUS_OK) {
        SMELT_TRY(run(attempt, module->contract, module->init, &address, slots, err));
    }
    if (attempt->receipt.status == SMELT_STATUS_OK &&
        attempt->receipt.outcome.kind == SMELT_OUTCOME_RETURNED) {
        attempt->receipt.address = address;
        SMELT_TRY(use_module(attempt, row, err));
    }
    SMELT_TRY(close_layer(attempt, err));
cleanup:
    return status;
}

static enum smelt_status run_upgrade(struct attempt *attempt, struct smelt_error *err)
{
    struct sm_lane *lane = attempt->lane;
    const struct smelt_wave_transaction *transaction = attempt->transaction;
    const struct sm_wave_module *module;
    struct smelt_account account;
    struct sm_upgrade upgrade = {.address = transaction->to};
    uint32_t row = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    attempt->receipt.address = transaction->to;
    SMELT_TRY(sm_state_account_read(lane->overlay, &transaction->to, &account, err));
    if (!account.is_contract) {
        fail(attempt, SMELT_STATUS_NO_CONTRACT);
        goto cleanup;
    }
    if (memcmp(&account.owner, &transaction->from, sizeof(account.owner)) != 0) {
        fail(attempt, SMELT_STATUS_NOT_OWNER);
        goto cleanup;
    }
    SMELT_TRY(module_of(attempt, &module, &row, err));
    if (module == NULL) {
        goto cleanup;
    }
    upgrade.code_hash = module->hash;
    if (!sm_buf_append(&lane->upgrades, &upgrade, sizeof(upgrade))) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    SMELT_TRY(use_module(attempt, row, err));
cleanup:
    return status;
}

/* ---- before and after ------------------------------------------------------------------------ */

static enum smelt_status (*const kinds[])(struct attempt *attempt, struct smelt_error *err) = {
    [SMELT_TRANSACTION_TRANSFER] = run_transfer,
    [SMELT_TRANSACTION_DEPLOY] = run_deploy,
    [SMELT_TRANSACTION_CALL] = run_call,
    [SMELT_TRANSACTION_UPGRADE] = run_upgrade,
};

/* Below 2^64: weights have 20 bits, and a module's size is far below 2^43. */
static uint64_t charge_of(const struct smelt_engine *engine,
                          const struct smelt_wave_transaction *transaction)
{
    const struct sm_schedule_transaction *charges =
        sm_schedule_transaction(engine->options.schedule);
    switch (transaction->kind) {
    case SMELT_TRANSACTION_TRANSFER:
        break;
    case SMELT_TRANSACTION_DEPLOY:
        return charges->deploy + charges->deploy_byte * transaction->wasm.size;
    case SMELT_TRANSACTION_CALL:
        return charges->call;
    case SMELT_TRANSACTION_UPGRADE:
        return charges->upgrade + charges->upgrade_byte * transaction->wasm.size;
    }
    return charges->transfer;
}

/* Why the transaction may not be part of the wave; OK when it may. */
static enum smelt_status check(const struct attempt *attempt)
{
    const struct smelt_wave_transaction *transaction = attempt->transaction;
    const struct smelt_account *sender = &attempt->sender;
    struct smelt_u128 cost = sm_u128_product(transaction->fuel_limit, transaction->fuel_price);
    struct smelt_u128 rest;
    if (sender->is_contract) {
        return SMELT_STATUS_SENDER_IS_CONTRACT;
    }
    if (sender->nonce != transaction->nonce || sender->nonce == UINT64_MAX) {
        return SMELT_STATUS_NONCE_MISMATCH;
    }
    if (transaction->fuel_limit < attempt->charge) {
        return SMELT_STATUS_FUEL_LIMIT;
    }
    if (!sm_u128_add(cost, transaction->value, &cost) ||
        !sm_u128_sub(sender->balance, cost, &rest)) {
        return SMELT_STATUS_INSUFFICIENT_BALANCE;
    }
    return SMELT_STATUS_OK;
}

/* Nonce and fee, in the one layer that is left. */
static enum smelt_status pay(struct attempt *attempt, struct smelt_error *err)
{
    const struct smelt_wave_transaction *transaction = attempt->transaction;
    struct sm_overlay *overlay = attempt->lane->overlay;
    struct smelt_wave_receipt *receipt = &attempt->receipt;
    struct smelt_account *sender = &attempt->sender;
    bool has_code = transaction->kind != SMELT_TRANSACTION_TRANSFER;
    enum smelt_status status = has_code
                                   ? sm_state_account_read(overlay, &transaction->from, sender, err)
                                   : SMELT_STATUS_OK;
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    receipt->fee = sm_u128_product(receipt->fuel_used, transaction->fuel_price);
    sender->nonce++;
    if (!sm_u128_sub(sender->balance, receipt->fee, &sender->balance)) {
        return sm_error_set(err, SMELT_STATUS_INTERNAL, WHERE,
                            "the sender of transaction %u cannot pay what was reserved",
                            attempt->index);
    }
    return sm_state_account_write(overlay, &transaction->from, sender, err);
}

enum smelt_status sm_lane_execute(struct sm_lane *lane, uint32_t index, struct smelt_error *err)
{
    const struct smelt_wave_transaction *transaction = &lane->wave->transactions[index];
    struct attempt attempt = {.lane = lane, .index = index, .transaction = transaction};
    struct smelt_wave_receipt *receipt = &attempt.receipt;
    enum smelt_status status = SMELT_STATUS_OK;
    receipt->wave = lane->wave->number;
    receipt->index = index;
    receipt->kind = transaction->kind;
    receipt->from = transaction->from;
    receipt->nonce = transaction->nonce;
    receipt->has_id = transaction->id != NULL;
    if (transaction->id != NULL) {
        receipt->id = *transaction->id;
    }
    attempt.charge = charge_of(lane->engine, transaction);
    SMELT_TRY(sm_state_account_read(lane->overlay, &transaction->from, &attempt.sender, err));
    receipt->status = check(&attempt);
    receipt->is_rejected = receipt->status != SMELT_STATUS_OK;
    if (!receipt->is_rejected) {
        receipt->fuel_used = attempt.charge;
        SMELT_TRY(kinds[transaction->kind](&attempt, err));
        SMELT_TRY(pay(&attempt, err));
    }
    if (!sm_journal_receipt(&lane->journal, receipt)) {
        status = sm_error_no_memory(err, WHERE);
    }
cleanup:
    sm_frame_deinit(&attempt.frame);
    sm_contract_release(attempt.contract);
    return status;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

enum smelt_status sm_lane_init(struct sm_lane *lane, struct smelt_engine *engine,
                               const struct smelt_wave *wave, struct sm_wave_modules *modules,
                               struct smelt_error *err)
{
    lane->engine = engine;
    lane->wave = wave;
    lane->modules = modules;
    lane->shared = (struct sm_transaction){.profile = engine->options.profile,
                                           .handlers = engine->options.handlers,
                                           .costs = engine->costs,
                                           .load = load,
                                           .load_context = lane};
    enum smelt_status status = sm_overlay_create_at(engine->tip, &lane->overlay, err);
    lane->shared.overlay = lane->overlay;
    return status;
}

void sm_lane_deinit(struct sm_lane *lane)
{
    for (size_t i = 0; i < SM_LANE_CONTRACTS; i++) {
        sm_contract_release(lane->contracts[i]);
    }
    sm_overlay_destroy(lane->overlay);
    sm_journal_deinit(&lane->journal);
    smelt_buf_deinit(&lane->upgrades);
    smelt_buf_deinit(&lane->used);
    smelt_buf_deinit(&lane->slots);
    smelt_buf_deinit(&lane->results);
    memset(lane, 0, sizeof(*lane));
}

enum smelt_status sm_lane_begin(struct sm_lane *lane, struct smelt_error *err)
{
    sm_overlay_reset(lane->overlay);
    sm_journal_reset(&lane->journal);
    lane->upgrades.size = 0;
    lane->used.size = 0;
    lane->shared.failure = (struct smelt_error){0};
    return sm_overlay_push(lane->overlay, err);
}

/* ---- fetching ahead -------------------------------------------------------------------------- */

static uint64_t expect_account(const struct sm_lane *lane, const struct smelt_address *address)
{
    struct sm_state_key key;
    sm_state_account_key(address, &key);
    return sm_overlay_expect(lane->overlay, sm_state_key_slice(&key));
}

static void expect_some(struct sm_lane *lane, size_t first, size_t end)
{
    const struct smelt_wave_transaction *transactions = lane->wave->transactions;
    uint64_t expected[2 * EXPECTED_MAX];
    size_t count = 0;
    for (size_t i = first; i < end; i++) {
        expected[count++] = expect_account(lane, &transactions[i].from);
        if (transactions[i].kind == SMELT_TRANSACTION_TRANSFER) {
            expected[count++] = expect_account(lane, &transactions[i].to);
        }
    }
    for (size_t i = 0; i < count; i++) {
        sm_overlay_fetch(lane->overlay, expected[i]);
    }
}

void sm_lane_expect(struct sm_lane *lane, size_t first, size_t end)
{
    for (; first < end; first += EXPECTED_MAX) {
        expect_some(lane, first, end - first < EXPECTED_MAX ? end : first + EXPECTED_MAX);
    }
}
