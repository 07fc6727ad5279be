/* Random waves, executed with several numbers of threads and sizes of chunks, and by a model that
 * follows W2 to W12 of docs/waves.md naively: one transaction after the other, contracts by calls
 * outside of waves, everything written at once. All must come to the same receipts, events, digests
 * and state. SMELT_WAVE_SEEDS says how many states are tried. */
#include "tests/unit/runtime/wave_fixture.h"
#include "tests/unit/runtime/wave_random.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/sanitizer.h"
#include "hostabi/schedule.h"
#include "runtime/host/engine.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SEEDS = SM_HAS_TSAN || SM_HAS_ASAN ? 15 : 50,
    WAVES = 9,
    TRANSACTIONS = 60,
    PAGES = 180, /* the same, for some: receipts of several pages */
    PEERS = 4    /* engines of one state; the first is serial */
};

/* ---- delays ------------------------------------------------------------------------------------
 */

/* So that threads interleave, on machines that would run one after the other too. */
static void delay(void)
{
    static atomic_uint_fast64_t threads;
    static _Thread_local uint64_t seed;
    if (seed == 0) {
        seed = atomic_fetch_add(&threads, 1) + 1;
    }
    uint64_t choice = random_below(&seed, 32);
    if (choice == 0) {
        (void)usleep(30);
    } else if (choice < 8) {
        (void)sched_yield();
    }
}

#define HOST(name, result, flags, brief, parameters)                                               \
    static enum smelt_host_action slow_##name(struct smelt_host_call *call)                        \
    {                                                                                              \
        delay();                                                                                   \
        enum smelt_host_action action = sm_engine_handlers[GUEST_HOST_##name](call);               \
        delay();                                                                                   \
        return action;                                                                             \
    }
#include "hostabi/engine.def"

static const smelt_host_fn slow_handlers[] = {
#define HOST(name, result, flags, brief, parameters) slow_##name,
#include "hostabi/engine.def"
};

static void slow_get(struct fixture *fixture)
{
    (void)fixture;
    delay();
}

/* ---- the model ---------------------------------------------------------------------------------
 */

struct model {
    struct fixture *fixture;
    struct smelt_wave wave;
    const struct smelt_wave_transaction *transaction;
    struct smelt_wave_receipt receipt;
    struct smelt_u128 fees;
    struct smelt_buf upgrades; /* address ‖ code hash */
    /* what a wave comes to */
    struct smelt_buf receipts;
    struct smelt_buf events;
    uint32_t index;
};

static void put(struct smelt_buf *out, const void *data, size_t size)
{
    assert_true(sm_buf_append(out, data, size));
}

static void put_slice(struct smelt_buf *out, struct smelt_slice slice)
{
    put(out, &slice.size, sizeof(slice.size));
    put(out, slice.data, slice.size);
}

static void put_event(struct smelt_buf *out, uint32_t transaction, const struct smelt_event *event)
{
    put(out, &transaction, sizeof(transaction));
    put(out, &event->address, sizeof(event->address));
    put_slice(out, event->topic);
    put_slice(out, event->data);
}

static uint64_t charge_of(const struct model *model)
{
    const struct sm_schedule_transaction *prices =
        sm_schedule_transaction(model->fixture->schedule);
    const uint64_t size = model->transaction->wasm.size;
    switch (model->transaction->kind) {
    case SMELT_TRANSACTION_TRANSFER:
        return prices->transfer;
    case SMELT_TRANSACTION_CALL:
        return prices->call;
    case SMELT_TRANSACTION_DEPLOY:
        return prices->deploy + prices->deploy_byte * size;
    case SMELT_TRANSACTION_UPGRADE:
        return prices->upgrade + prices->upgrade_byte * size;
    }
    return 0;
}

static enum smelt_status model_check(struct model *model, uint64_t charge)
{
    const struct smelt_wave_transaction *transaction = model->transaction;
    struct smelt_account sender = get_account(model->fixture->inner, &transaction->from);
    struct smelt_u128 means = sm_u128_product(transaction->fuel_limit, transaction->fuel_price);
    struct smelt_u128 rest;
    if (sender.is_contract) {
        return SMELT_STATUS_SENDER_IS_CONTRACT;
    }
    if (sender.nonce != transaction->nonce) {
        return SMELT_STATUS_NONCE_MISMATCH;
    }
    if (transaction->fuel_limit < charge) {
        return SMELT_STATUS_FUEL_LIMIT;
    }
    if (!sm_u128_add(means, transaction->value, &means) ||
        !sm_u128_sub(sender.balance, means, &rest)) {
        return SMELT_STATUS_INSUFFICIENT_BALANCE;
    }
    return SMELT_STATUS_OK;
}

static void model_transfer(struct model *model)
{
    const struct smelt_wave_transaction *transaction = model->transaction;
    struct smelt_store *store = &model->fixture->store;
    struct smelt_account from = get_account(store, &transaction->from);
    struct smelt_account to = get_account(store, &transaction->to);
    model->receipt.address = transaction->to;
    if (sm_u128_is_zero(transaction->value) ||
        memcmp(&transaction->from, &transaction->to, sizeof(transaction->to)) == 0) {
        return;
    }
    if (!sm_u128_add(to.balance, transaction->value, &to.balance)) {
        model->receipt.status = SMELT_STATUS_BALANCE_OVERFLOW;
        return;
    }
    assert_true(sm_u128_sub(from.balance, transaction->value, &from.balance));
    put_account(store, &transaction->from, &from);
    put_account(store, &transaction->to, &to);
}

/* By the engine's own transaction. What it returns is the fixture's. */
static void model_run_code(struct model *model, uint64_t charge)
{
    const struct smelt_wave_transaction *transaction = model->transaction;
    struct fixture *fixture = model->fixture;
    struct smelt_wave_receipt *receipt = &model->receipt;
    bool is_deploy = transaction->kind == SMELT_TRANSACTION_DEPLOY;
    const struct smelt_transaction direct = {.from = transaction->from,
                                             .value = transaction->value,
                                             .input = transaction->input,
                                             .fuel_limit = transaction->fuel_limit - charge,
                                             .block_number = model->wave.number,
                                             .block_timestamp = model->wave.timestamp};
    char function[16] = {0};
    smelt_receipt_destroy(fixture->receipt);
    fixture->receipt = NULL;
    if (is_deploy) {
        receipt->status = smelt_deploy(fixture->engine, &direct, transaction->wasm,
                                       &fixture->receipt, &fixture->err);
        sm_digest_bytes(transaction->wasm, &receipt->module_hash);
    } else {
        receipt->address = transaction->to;
        memcpy(function, transaction->function.data, transaction->function.size);
        receipt->status =
            smelt_call(fixture->engine, &direct, &transaction->to, function, transaction->arguments,
                       transaction->argument_count, &fixture->receipt, &fixture->err);
    }
    const struct smelt_receipt *result = fixture->receipt;
    if (receipt->status != SMELT_STATUS_OK) {
        assert_true(receipt->status < SMELT_STATUS_MODULE_MALFORMED);
        return;
    }
    receipt->outcome = result->outcome;
    receipt->fuel_used += result->fuel_used;
    receipt->module_hash = result->module_hash;
    receipt->return_data = result->return_data;
    receipt->location = result->location;
    if (result->outcome.kind != SMELT_OUTCOME_RETURNED) {
        return;
    }
    if (is_deploy) {
        receipt->address = result->address;
    }
    receipt->results = result->results;
    receipt->result_count = result->result_count;
    receipt->write_count = (uint32_t)result->write_count;
    receipt->event_count = (uint32_t)result->event_count;
    for (size_t i = 0; i < result->event_count; i++) {
        put_event(&model->events, model->index, &result->events[i]);
    }
}

static void model_upgrade(struct model *model)
{
    const struct smelt_wave_transaction *transaction = model->transaction;
    struct smelt_store *store = &model->fixture->store;
    struct smelt_account account = get_account(store, &transaction->to);
    struct smelt_wave_receipt *receipt = &model->receipt;
    receipt->address = transaction->to;
    if (!account.is_contract) {
        receipt->status = SMELT_STATUS_NO_CONTRACT;
        return;
    }
    if (memcmp(&account.owner, &transaction->from, sizeof(account.owner)) != 0) {
        receipt->status = SMELT_STATUS_NOT_OWNER;
        return;
    }
    sm_digest_bytes(transaction->wasm, &receipt->module_hash);
    const struct smelt_store_write write = {
        .family = SMELT_STORE_CODE,
        .key = sm_slice(receipt->module_hash.bytes, SMELT_HASH_BYTES),
        .value = transaction->wasm};
    assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
    put(&model->upgrades, &transaction->to, sizeof(transaction->to));
    put(&model->upgrades, &receipt->module_hash, sizeof(receipt->module_hash));
}

/* Fee and nonce. A direct call that returned has used the nonce itself. */
static void model_pay(struct model *model)
{
    struct smelt_store *store = &model->fixture->store;
    const struct smelt_address *from = &model->transaction->from;
    struct smelt_account sender = get_account(store, from);
    model->receipt.fee = sm_u128_product(model->receipt.fuel_used, model->transaction->fuel_price);
    assert_true(sm_u128_sub(sender.balance, model->receipt.fee, &sender.balance));
    assert_true(sm_u128_add(model->fees, model->receipt.fee, &model->fees));
    sender.nonce = model->transaction->nonce + 1;
    put_account(store, from, &sender);
}

static void model_step(struct model *model)
{
    const struct smelt_wave_transaction *transaction = model->transaction;
    uint64_t charge = charge_of(model);
    model->receipt = (struct smelt_wave_receipt){.kind = transaction->kind,
                                                 .has_id = transaction->id != NULL,
                                                 .from = transaction->from,
                                                 .nonce = transaction->nonce};
    if (transaction->id != NULL) {
        model->receipt.id = *transaction->id;
    }
    model->receipt.status = model_check(model, charge);
    model->receipt.is_rejected = model->receipt.status != SMELT_STATUS_OK;
    if (!model->receipt.is_rejected) {
        model->receipt.fuel_used = charge;
        if (transaction->kind == SMELT_TRANSACTION_TRANSFER) {
            model_transfer(model);
        } else if (transaction->kind == SMELT_TRANSACTION_UPGRADE) {
            model_upgrade(model);
        } else {
            model_run_code(model, charge);
        }
        model_pay(model);
    }
    encode_receipt(&model->receipt, &model->receipts);
}

static void model_finish(struct model *model)
{
    struct smelt_store *store = &model->fixture->store;
    const struct smelt_address *recipient = model->wave.fee_recipient;
    if (recipient != NULL && !sm_u128_is_zero(model->fees)) {
        struct smelt_account account = get_account(store, recipient);
        assert_true(sm_u128_add(account.balance, model->fees, &account.balance));
        put_account(store, recipient, &account);
    }
    for (size_t at = 0; at < model->upgrades.size; at += SMELT_ADDRESS_BYTES + SMELT_HASH_BYTES) {
        struct smelt_address address;
        memcpy(&address, model->upgrades.data + at, sizeof(address));
        struct smelt_account account = get_account(store, &address);
        memcpy(&account.code_hash, model->upgrades.data + at + SMELT_ADDRESS_BYTES,
               SMELT_HASH_BYTES);
        put_account(store, &address, &account);
    }
}

static void model_run(struct model *model, const struct smelt_wave *wave)
{
    model->wave = *wave;
    model->fees = (struct smelt_u128){0};
    model->upgrades.size = 0;
    model->receipts.size = 0;
    model->events.size = 0;
    for (size_t i = 0; i < wave->count; i++) {
        model->index = (uint32_t)i;
        model->transaction = &wave->transactions[i];
        model_step(model);
    }
    model_finish(model);
}

/* ---- engines beside it -------------------------------------------------------------------------
 */

struct peer {
    struct fixture *fixture;
    struct smelt_engine_options options;
    uint64_t retries;
};

static struct fixture *make_fixture(void)
{
    void *state = NULL;
    (void)fixture_setup(&state);
    struct fixture *fixture = (struct fixture *)state;
    random_fund(&fixture->store);
    return fixture;
}

static void start_peer(struct peer *peer, uint64_t seed, size_t index)
{
    static const uint32_t workers[] = {2, 4, 8};
    static const uint32_t chunks[] = {1, 3, 16, 64};
    uint64_t choice = seed * (PEERS - 1) + index;
    *peer = (struct peer){.fixture = make_fixture(), .options = {.workers = 1}};
    if (index != 0) {
        peer->options = (struct smelt_engine_options){
            .workers = workers[choice % 3],
            .wave_chunk = chunks[choice / 3 % 4],
            .pin_workers = choice % 2 == 0,
            .commits_behind = choice / 2 % 2 == 0,
            .state_bytes = choice % 5 == 0 ? 1 : 0, /* nothing is remembered that need not be */
            .receipts_kept = choice % 3,
            .handlers = slow_handlers};
        peer->fixture->around_get = slow_get;
    }
    peer->options.has_commitment = seed % 4 == 3; /* its root is in the digest */
    fixture_reopen(peer->fixture, peer->options);
}

/* What a wave came to, in the form of the model. */
struct account_of_wave {
    struct smelt_buf receipts;
    struct smelt_buf events;
    struct smelt_buf state;
    struct smelt_hash digest;
};

static bool note_event(void *context, const struct smelt_wave_event *event)
{
    put_event((struct smelt_buf *)context, event->transaction, &event->event);
    return true;
}

static void run_peer(struct peer *peer, const struct smelt_wave *wave, struct account_of_wave *out)
{
    struct smelt_wave_result *result = NULL;
    struct fixture *fixture = peer->fixture;
    const struct smelt_event_filter filter = {.first_wave = wave->number,
                                              .last_wave = wave->number};
    if (smelt_wave_run(fixture->engine, wave, &result, &fixture->err) != SMELT_STATUS_OK) {
        fail_msg("wave %d: %s", (int)wave->number, fixture->err.message);
    }
    peer->retries += smelt_wave_result_effort(result)->retries;
    out->digest = *smelt_wave_result_digest(result);
    out->receipts.size = out->events.size = out->state.size = 0;
    for (uint32_t i = 0; i < wave->count; i++) {
        struct smelt_wave_receipt *receipt = NULL;
        assert_int_equal(smelt_wave_result_receipt(result, i, &receipt, NULL), SMELT_STATUS_OK);
        encode_receipt(receipt, &out->receipts);
        smelt_wave_receipt_destroy(receipt);
    }
    smelt_wave_result_destroy(result);
    if (wave->number % 3 != 0) {
        return; /* the next one comes while this one may be on its way */
    }
    assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_events_visit(fixture->inner, &filter, note_event, &out->events, NULL),
                     SMELT_STATUS_OK);
    dump_state(fixture->inner, &out->state);
}

static void deinit_account(struct account_of_wave *account)
{
    smelt_buf_deinit(&account->receipts);
    smelt_buf_deinit(&account->events);
    smelt_buf_deinit(&account->state);
}

static void assert_same_wave(const struct account_of_wave *a, const struct account_of_wave *b)
{
    assert_same_bytes(&a->receipts, &b->receipts);
    assert_same_bytes(&a->events, &b->events);
    assert_same_bytes(&a->state, &b->state);
    assert_memory_equal(&a->digest, &b->digest, sizeof(a->digest));
}

/* What happened at all, so that a generator that makes nothing of interest is noticed. */
struct tally {
    size_t kinds[4];
    size_t done;
    size_t outcomes[4];
    size_t rejected;
    size_t failed;
    uint64_t retries;
};

static void add_to_tally(struct tally *tally, const struct smelt_wave_receipt *receipt)
{
    tally->kinds[receipt->kind]++;
    tally->rejected += receipt->is_rejected;
    tally->failed += !receipt->is_rejected && receipt->status != SMELT_STATUS_OK;
    if (receipt->status == SMELT_STATUS_OK) {
        tally->outcomes[receipt->outcome.kind]++;
    }
}

static void try_seed(uint64_t seed, struct tally *tally)
{
    struct model model = {.fixture = make_fixture()};
    struct peer peers[PEERS];
    struct account_of_wave first = {0};
    struct account_of_wave other = {0};
    struct random_wave random;
    uint64_t nonces[RANDOM_ACCOUNTS];
    struct smelt_buf state = {0};
    fixture_reopen(model.fixture, (struct smelt_engine_options){.workers = 1});
    random_init(&random);
    for (size_t i = 0; i < PEERS; i++) {
        start_peer(&peers[i], seed, i);
    }
    for (uint64_t number = 1; number <= WAVES; number++) {
        random_nonces(model.fixture->inner, nonces);
        random_make(seed, number, seed % 5 == 4 ? PAGES : TRANSACTIONS, nonces, &random);
        struct smelt_wave wave = random_frame(&random, number);
        run_peer(&peers[0], &wave, &first);
        model_run(&model, &wave);
        assert_same_bytes(&first.receipts, &model.receipts);
        if (number % 3 == 0) {
            assert_same_bytes(&first.events, &model.events);
            state.size = 0;
            dump_state(model.fixture->inner, &state);
            assert_same_bytes(&first.state, &state);
        }
        for (size_t i = 1; i < PEERS; i++) {
            run_peer(&peers[i], &wave, &other);
            assert_same_wave(&first, &other);
        }
        for (uint32_t i = 0; i < wave.count; i++) {
            struct smelt_wave_receipt *receipt = NULL;
            assert_int_equal(
                smelt_wave_receipt_get(peers[0].fixture->inner, number, i, &receipt, NULL),
                SMELT_STATUS_OK);
            add_to_tally(tally, receipt);
            smelt_wave_receipt_destroy(receipt);
        }
    }
    for (size_t i = 0; i < PEERS; i++) {
        struct smelt_state_check check;
        assert_int_equal(smelt_engine_flush(peers[i].fixture->engine, NULL), SMELT_STATUS_OK);
        assert_int_equal(smelt_state_verify(peers[i].fixture->inner, &check, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(check.waves, WAVES);
        tally->retries += peers[i].retries;
        fixture_destroy(peers[i].fixture);
    }
    fixture_destroy(model.fixture);
    smelt_buf_deinit(&model.receipts);
    smelt_buf_deinit(&model.events);
    smelt_buf_deinit(&model.upgrades);
    smelt_buf_deinit(&state);
    deinit_account(&first);
    deinit_account(&other);
    random_deinit(&random);
}

static void random_waves_have_one_result(void **state)
{
    (void)state;
    const char *wanted = getenv("SMELT_WAVE_SEEDS");
    uint64_t seeds = wanted != NULL ? strtoull(wanted, NULL, 10) : SEEDS;
    struct tally tally = {0};
    for (uint64_t seed = 0; seed < seeds; seed++) {
        try_seed(seed, &tally);
    }
    print_message("%llu states: %zu transfers, %zu deploys, %zu calls, %zu upgrades; %zu returned, "
                  "%zu reverted, %zu trapped, %zu out of fuel, %zu failed, %zu rejected; %llu "
                  "executed again\n",
                  (unsigned long long)seeds, tally.kinds[0], tally.kinds[1], tally.kinds[2],
                  tally.kinds[3], tally.outcomes[0], tally.outcomes[1], tally.outcomes[2],
                  tally.outcomes[3], tally.failed, tally.rejected,
                  (unsigned long long)tally.retries);
    for (size_t i = 0; i < 4; i++) {
        assert_true(tally.kinds[i] > seeds);
        assert_true(tally.outcomes[i] > seeds);
    }
    assert_true(tally.failed > seeds);
    assert_true(tally.rejected > seeds);
    assert_true(tally.retries > 20 * seeds);
}

/* ---- conflicts on purpose ----------------------------------------------------------------------
 */

/* `count` transfers from account to account, everybody in a pair of his own, or all to the last. */
static uint64_t retries_of(size_t count, bool has_conflicts)
{
    struct peer peer = {.fixture = make_fixture(),
                        .options = {.workers = 4, .wave_chunk = 1, .pin_workers = true}};
    static struct smelt_wave_transaction list[RANDOM_MAX];
    struct account_of_wave result = {0};
    peer.fixture->around_get = slow_get;
    for (size_t i = 0; i < count; i++) {
        struct smelt_address from = {{1, (uint8_t)i}};
        struct smelt_address to = {{2, has_conflicts ? 0 : (uint8_t)i}};
        assert_int_equal(
            smelt_account_fund(&peer.fixture->store, &from, (struct smelt_u128){.low = 1000}, NULL),
            SMELT_STATUS_OK);
        list[i] = transfer_of(&from, 0, &to, 1 + i);
    }
    fixture_reopen(peer.fixture, peer.options);
    const struct smelt_wave wave = {
        .chain_id = 7, .number = 3, .timestamp = 1, .transactions = list, .count = count};
    run_peer(&peer, &wave, &result);
    for (size_t i = 0; i < count; i++) {
        struct smelt_address from = {{1, (uint8_t)i}};
        assert_int_equal(balance_of(peer.fixture, &from), 1000 - 1 - i);
    }
    deinit_account(&result);
    fixture_destroy(peer.fixture);
    return peer.retries;
}

static void independent_transactions_are_executed_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(retries_of(RANDOM_MAX, false), 0);
    }
}

static void dependent_ones_are_executed_again(void **state)
{
    (void)state;
    uint64_t retries = 0;
    for (size_t i = 0; retries <= 20 && i < 100; i++) {
        retries += retries_of(RANDOM_MAX, true);
    }
    assert_true(retries > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_waves_have_one_result),
        cmocka_unit_test(independent_transactions_are_executed_once),
        cmocka_unit_test(dependent_ones_are_executed_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
