/* The rules of docs/waves.md, one after the other, each at its limits. What a wave says of itself
 * is checked by the fixture, for every wave here. */
#include "tests/unit/runtime/wave_fixture.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "hostabi/schedule.h"
#include "runtime/host/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUEST "guest_host.so"
#define INIT  "guest_init.so"

static const struct smelt_address carol = {{0xca, 0x01}};
static const struct smelt_address dave = {{0xda, 0x4e}};

struct set_up {
    struct fixture *fixture;
    struct chain chain;
};

static void fund(struct set_up *up, const struct smelt_address *address, struct smelt_u128 amount)
{
    assert_int_equal(smelt_account_fund(&up->fixture->store, address, amount, NULL),
                     SMELT_STATUS_OK);
}

static int set_up(void **state)
{
    struct set_up *up = (struct set_up *)calloc(1, sizeof(*up));
    assert_non_null(up);
    (void)fixture_setup(state);
    up->fixture = (struct fixture *)*state;
    chain_init(&up->chain, up->fixture);
    fund(up, &bob, (struct smelt_u128){.low = FUNDS});
    fixture_reopen(up->fixture, (struct smelt_engine_options){.workers = 1});
    *state = up;
    return 0;
}

static int tear_down(void **state)
{
    struct set_up *up = (struct set_up *)*state;
    struct fixture *fixture = up->fixture;
    chain_deinit(&up->chain);
    free(up);
    *state = fixture;
    return fixture_teardown(state);
}

#define BEGIN                                                                                      \
    struct set_up *up = (struct set_up *)*state;                                                   \
    struct fixture *fixture = up->fixture;                                                         \
    struct chain *chain = &up->chain;                                                              \
    (void)fixture

static const struct sm_schedule_transaction *charges(const struct fixture *fixture)
{
    return sm_schedule_transaction(fixture->schedule);
}

static struct smelt_address contract_of(const struct smelt_address *from, uint64_t nonce)
{
    struct smelt_address address;
    smelt_contract_address(from, nonce, &address);
    return address;
}

static struct smelt_hash hash_of(const char *module)
{
    struct smelt_hash hash;
    sm_digest_bytes(smelt_slice_from_string(module), &hash);
    return hash;
}

static void assert_code(const struct fixture *fixture, const struct smelt_address *address,
                        const char *module)
{
    struct smelt_account account = get_account(fixture->inner, address);
    struct smelt_hash hash = hash_of(module);
    assert_true(account.is_contract);
    assert_memory_equal(&account.code_hash, &hash, sizeof(hash));
}

static void assert_address(const struct chain *chain, uint32_t index,
                           const struct smelt_address *address)
{
    struct smelt_wave_receipt *receipt = receipt_of(chain, index);
    assert_memory_equal(&receipt->address, address, sizeof(*address));
    smelt_wave_receipt_destroy(receipt);
}

static void assert_module(const struct chain *chain, uint32_t index, const char *module)
{
    struct smelt_wave_receipt *receipt = receipt_of(chain, index);
    struct smelt_hash hash = {{0}};
    if (module != NULL) {
        hash = hash_of(module);
    }
    assert_memory_equal(&receipt->module_hash, &hash, sizeof(hash));
    smelt_wave_receipt_destroy(receipt);
}

static uint64_t fuel_of(const struct chain *chain, uint32_t index)
{
    struct smelt_wave_receipt *receipt = receipt_of(chain, index);
    uint64_t fuel = receipt->fuel_used;
    smelt_wave_receipt_destroy(receipt);
    return fuel;
}

/* Wave 1: alice's first contract. */
static struct smelt_address deploy_guest(struct chain *chain)
{
    CHAIN_RUN(chain, deploy_of(&alice, 0, GUEST, NULL));
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    return contract_of(&alice, 0);
}

static bool has_code(const struct fixture *fixture, const char *module)
{
    struct smelt_hash hash = hash_of(module);
    struct smelt_buf wasm = {0};
    bool is_found = false;
    assert_int_equal(fixture->inner->ops->get(fixture->inner->impl, NULL, SMELT_STORE_CODE,
                                              sm_slice(hash.bytes, sizeof(hash.bytes)), &wasm,
                                              &is_found, NULL),
                     SMELT_STATUS_OK);
    smelt_buf_deinit(&wasm);
    return is_found;
}

/* ---- W1, W2 ---------------------------------------------------------------------------------- */

static void a_wave_without_transactions_is_one(void **state)
{
    BEGIN;
    chain_run(chain, NULL, 0);
    chain_run(chain, NULL, 0);
    assert_int_equal(chain->record.number, 2);
    assert_int_equal(chain->record.write_count, 0);
}

static void each_transaction_starts_where_the_last_one_ended(void **state)
{
    BEGIN;
    CHAIN_RUN(chain, transfer_of(&alice, 0, &carol, 100), transfer_of(&carol, 0, &dave, 60),
              transfer_of(&dave, 0, &carol, 61), transfer_of(&carol, 1, &alice, 40),
              transfer_of(&carol, 2, &alice, 1));
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_outcome(chain, 1, SMELT_OUTCOME_RETURNED);
    assert_status(chain, 2, SMELT_STATUS_INSUFFICIENT_BALANCE, true);
    assert_outcome(chain, 3, SMELT_OUTCOME_RETURNED);
    assert_status(chain, 4, SMELT_STATUS_INSUFFICIENT_BALANCE, true);
    assert_int_equal(balance_of(fixture, &alice), FUNDS - 60);
    assert_int_equal(balance_of(fixture, &carol), 0);
    assert_int_equal(nonce_of(fixture, &carol), 2);
    assert_int_equal(balance_of(fixture, &dave), 60);
    assert_int_equal(nonce_of(fixture, &dave), 0);
}

static void rejected_transactions_leave_no_trace(void **state)
{
    BEGIN;
    struct smelt_buf before = {0};
    struct smelt_buf after = {0};
    struct smelt_wave_transaction wrong[] = {
        transfer_of(&alice, 1, &bob, 1), deploy_of(&alice, 9, GUEST, NULL),
        transfer_of(&carol, 0, &bob, 1), upgrade_of(&alice, 7, &bob, GUEST),
        transfer_of(&alice, 0, &bob, 1)};
    wrong[4].fuel_limit = 1;
    for (size_t i = 0; i < 5; i++) {
        wrong[i].fuel_price = 1;
    }
    dump_state(fixture->inner, &before);
    chain->wave.fee_recipient = &dave;
    chain_run(chain, wrong, 5);
    dump_state(fixture->inner, &after);
    assert_same_bytes(&before, &after);
    assert_int_equal(chain->record.rejected_count, 5);
    assert_int_equal(chain->record.write_count, 0);
    smelt_buf_deinit(&before);
    smelt_buf_deinit(&after);
}

/* ---- W3 to W6: who may be part of a wave -------------------------------------------------------
 */

static void a_contract_sends_nothing(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    fund(up, &contract, (struct smelt_u128){.low = 1000});
    CHAIN_RUN(chain, transfer_of(&contract, 0, &bob, 1),
              transfer_of(&contract, 5, &bob, 1), /* also before its nonce is looked at */
              deploy_of(&alice, 1, GUEST, NULL));
    assert_status(chain, 0, SMELT_STATUS_SENDER_IS_CONTRACT, true);
    assert_status(chain, 1, SMELT_STATUS_SENDER_IS_CONTRACT, true);
    assert_int_equal(balance_of(fixture, &contract), 1000);
}

static void nonces_are_exact(void **state)
{
    BEGIN;
    CHAIN_RUN(chain, transfer_of(&alice, 1, &bob, 1), transfer_of(&alice, 0, &bob, 1),
              transfer_of(&alice, 0, &bob, 1), transfer_of(&alice, 2, &bob, 1),
              transfer_of(&alice, 1, &bob, 1), transfer_of(&alice, UINT64_MAX, &bob, 1));
    assert_status(chain, 0, SMELT_STATUS_NONCE_MISMATCH, true);
    assert_outcome(chain, 1, SMELT_OUTCOME_RETURNED);
    assert_status(chain, 2, SMELT_STATUS_NONCE_MISMATCH, true);
    assert_status(chain, 3, SMELT_STATUS_NONCE_MISMATCH, true);
    assert_outcome(chain, 4, SMELT_OUTCOME_RETURNED);
    assert_status(chain, 5, SMELT_STATUS_NONCE_MISMATCH, true);
    assert_int_equal(nonce_of(fixture, &alice), 2);
    assert_int_equal(balance_of(fixture, &bob), FUNDS + 2);
}

static void the_last_nonce_is_never_used(void **state)
{
    BEGIN;
    put_account(&fixture->store, &carol,
                &(struct smelt_account){.balance = {.low = 1000}, .nonce = UINT64_MAX - 1});
    CHAIN_RUN(chain, transfer_of(&carol, UINT64_MAX - 1, &bob, 1),
              transfer_of(&carol, UINT64_MAX, &bob, 1), transfer_of(&carol, 0, &bob, 1));
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_status(chain, 1, SMELT_STATUS_NONCE_MISMATCH, true);
    assert_status(chain, 2, SMELT_STATUS_NONCE_MISMATCH, true);
    assert_int_equal(nonce_of(fixture, &carol), UINT64_MAX);
}

static void the_charge_is_part_of_the_limit(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    const struct sm_schedule_transaction *prices = charges(fixture);
    const struct {
        struct smelt_wave_transaction transaction;
        uint64_t charge;
        enum smelt_outcome_kind exact; /* with nothing left for code */
    } cases[] = {
        {transfer_of(&alice, 0, &bob, 1), prices->transfer, SMELT_OUTCOME_RETURNED},
        {call_of(&alice, 0, &contract, NULL), prices->call, SMELT_OUTCOME_OUT_OF_FUEL},
        {deploy_of(&alice, 0, GUEST, NULL), prices->deploy + strlen(GUEST) * prices->deploy_byte,
         SMELT_OUTCOME_RETURNED},
        {upgrade_of(&alice, 0, &contract, GUEST "#long name"),
         prices->upgrade + strlen(GUEST "#long name") * prices->upgrade_byte,
         SMELT_OUTCOME_RETURNED},
    };
    uint64_t nonce = 1;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smelt_wave_transaction three[] = {cases[i].transaction, cases[i].transaction,
                                                 cases[i].transaction};
        assert_true(cases[i].charge > 1);
        for (size_t j = 0; j < 3; j++) {
            three[j].fuel_limit = cases[i].charge - 1 + j;
            three[j].nonce = nonce + (j == 2);
        }
        chain_run(chain, three, 3);
        nonce += 2;
        assert_status(chain, 0, SMELT_STATUS_FUEL_LIMIT, true);
        assert_outcome(chain, 1, cases[i].exact);
        assert_outcome(chain, 2, cases[i].exact);
        assert_int_equal(fuel_of(chain, 1), cases[i].charge);
        assert_int_equal(fuel_of(chain, 2),
                         cases[i].charge + (cases[i].exact == SMELT_OUTCOME_OUT_OF_FUEL));
    }
}

static void a_balance_covers_limit_and_value(void **state)
{
    BEGIN;
    struct smelt_wave_transaction pair[] = {transfer_of(&carol, 0, &bob, 7),
                                            transfer_of(&carol, 0, &bob, 7)};
    fund(up, &carol, (struct smelt_u128){.low = 3 * WAVE_FUEL + 6});
    pair[0].fuel_price = 3;
    pair[1].fuel_price = 3;
    chain_run(chain, pair, 1);
    assert_status(chain, 0, SMELT_STATUS_INSUFFICIENT_BALANCE, true);
    fund(up, &carol, (struct smelt_u128){.low = 1});
    chain_run(chain, pair, 1);
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    uint64_t fee = 3 * charges(fixture)->transfer;
    assert_int_equal(balance_of(fixture, &carol), 3 * WAVE_FUEL - fee);
    assert_int_equal(balance_of(fixture, &bob), FUNDS + 7);
}

static void means_do_not_overflow(void **state)
{
    BEGIN;
    struct smelt_wave_transaction transaction = transfer_of(&carol, 0, &bob, 0);
    const struct smelt_u128 all = {.low = UINT64_MAX, .high = UINT64_MAX};
    const struct smelt_u128 most = sm_u128_product(SMELT_FUEL_MAX, UINT64_MAX);
    struct smelt_u128 rest;
    transaction.fuel_limit = SMELT_FUEL_MAX;
    transaction.fuel_price = UINT64_MAX;
    transaction.value = all; /* limit × price + value passes 2^128 */
    fund(up, &carol, all);
    chain_run(chain, &transaction, 1);
    assert_status(chain, 0, SMELT_STATUS_INSUFFICIENT_BALANCE, true);
    assert_true(sm_u128_sub(all, most, &rest));
    transaction.value = rest; /* exactly 2^128 - 1 */
    transaction.to = dave;
    chain_run(chain, &transaction, 1);
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    struct smelt_u128 fee = sm_u128_product(charges(fixture)->transfer, UINT64_MAX);
    assert_memory_equal(&chain->record.fees, &fee, sizeof(fee));
    struct smelt_u128 left;
    assert_true(sm_u128_sub(most, fee, &left));
    struct smelt_account account = get_account(fixture->inner, &carol);
    assert_memory_equal(&account.balance, &left, sizeof(left));
}

/* The first of: code, nonce, charge, means. */
static void the_first_reason_counts(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    struct smelt_wave_transaction bad[3];
    for (size_t i = 0; i < 3; i++) {
        bad[i] = transfer_of(i == 0 ? &contract : &carol, i <= 1 ? 5 : 0, &bob, 1);
        bad[i].fuel_limit = 1;
    }
    chain_run(chain, bad, 3);
    assert_status(chain, 0, SMELT_STATUS_SENDER_IS_CONTRACT, true);
    assert_status(chain, 1, SMELT_STATUS_NONCE_MISMATCH, true);
    assert_status(chain, 2, SMELT_STATUS_FUEL_LIMIT, true);
}

/* ---- W7, W12: fees -----------------------------------------------------------------------------
 */

static void whoever_fails_pays(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    static struct script revert;
    static struct script trap;
    static struct script burn;
    static struct script write;
    revert.size = trap.size = burn.size = write.size = 0;
    SCRIPT_HOSTN(&revert, storage_write, GUEST_KEY, 3, GUEST_KEY, 7);
    SCRIPT_HOSTN(&revert, log_event, GUEST_KEY, 3, GUEST_KEY, 7);
    SCRIPT_HOSTN(&revert, revert, GUEST_KEY, 7);
    SCRIPT_HOSTN(&trap, storage_write, GUEST_KEY, 3, GUEST_KEY, 7);
    script_word(&trap, SCRIPT_TRAP, 0);
    script_word(&burn, SCRIPT_SPIN, 0);
    SCRIPT_HOSTN(&write, storage_write, GUEST_KEY, 7, GUEST_KEY, 3);
    const struct smelt_value extra = {.type = SMELT_VALTYPE_I32};
    struct smelt_wave_transaction all[] = {call_of(&alice, 1, &contract, &write),
                                           call_of(&alice, 2, &contract, &revert),
                                           call_of(&alice, 3, &contract, &trap),
                                           call_of(&alice, 4, &contract, &burn),
                                           call_of(&alice, 5, &bob, NULL),
                                           call_of(&alice, 6, &contract, NULL),
                                           call_of(&alice, 7, &contract, NULL),
                                           upgrade_of(&alice, 8, &bob, GUEST),
                                           deploy_of(&alice, 9, "guest_bad_init.so", NULL)};
    all[5].function = smelt_slice_from_string("no_such");
    all[6].arguments = &extra;
    all[6].argument_count = 1;
    fund(up, &alice, (struct smelt_u128){.low = 100 * WAVE_FUEL});
    for (size_t i = 0; i < 9; i++) {
        all[i].fuel_price = 2;
        all[i].value.low = i <= 6 ? 50 : 0;
    }
    uint64_t before = balance_of(fixture, &alice);
    chain->wave.fee_recipient = &dave;
    chain_run(chain, all, 9);
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_outcome(chain, 1, SMELT_OUTCOME_REVERTED);
    assert_outcome(chain, 2, SMELT_OUTCOME_TRAPPED);
    assert_outcome(chain, 3, SMELT_OUTCOME_OUT_OF_FUEL);
    assert_status(chain, 4, SMELT_STATUS_NO_CONTRACT, false);
    assert_status(chain, 5, SMELT_STATUS_UNKNOWN_FUNCTION, false);
    assert_status(chain, 6, SMELT_STATUS_ARGUMENT_MISMATCH, false);
    assert_status(chain, 7, SMELT_STATUS_NO_CONTRACT, false);
    assert_status(chain, 8, SMELT_STATUS_MODULE_EXPORT, false);
    const struct sm_schedule_transaction *prices = charges(fixture);
    assert_true(fuel_of(chain, 0) > prices->call);
    assert_int_equal(fuel_of(chain, 3), WAVE_FUEL);
    assert_int_equal(fuel_of(chain, 4), prices->call);
    assert_int_equal(fuel_of(chain, 5), prices->call);
    assert_int_equal(fuel_of(chain, 6), prices->call);
    assert_int_equal(fuel_of(chain, 7), prices->upgrade + strlen(GUEST) * prices->upgrade_byte);
    assert_int_equal(fuel_of(chain, 8),
                     prices->deploy + strlen("guest_bad_init.so") * prices->deploy_byte);
    assert_int_equal(chain->record.failed_count, 8);
    assert_int_equal(nonce_of(fixture, &alice), 10);
    uint64_t fees = chain->record.fees.low;
    assert_int_equal(fees, 2 * chain->record.fuel_used);
    assert_int_equal(balance_of(fixture, &alice), before - 50 - fees);
    assert_int_equal(balance_of(fixture, &contract), 50);
    assert_int_equal(balance_of(fixture, &dave), fees);
    uint8_t value[8];
    assert_int_equal(stored(fixture, &contract, sm_slice("counter", 7), value, 8), 3);
    assert_int_equal(stored(fixture, &contract, sm_slice("cou", 3), value, 8), SIZE_MAX);
    assert_int_equal(chain->record.event_count, 0);
    struct smelt_wave_receipt *reverted = receipt_of(chain, 1);
    assert_slice(reverted->return_data, "counter", 7);
    smelt_wave_receipt_destroy(reverted);
    struct smelt_wave_receipt *trapped = receipt_of(chain, 2);
    assert_true(trapped->location.is_known);
    assert_slice(trapped->location.function, "run_script", 10);
    smelt_wave_receipt_destroy(trapped);
}

static void contracts_see_the_whole_balance(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    static struct script look;
    look.size = 0;
    script_poke(&look, GUEST_FREE, sm_slice(bob.bytes, 32));
    SCRIPT_HOSTN(&look, get_balance, GUEST_FREE, GUEST_FREE + 64);
    SCRIPT_HOSTN(&look, return_data, GUEST_FREE + 64, 16);
    struct smelt_wave_transaction two[] = {call_of(&bob, 0, &contract, &look),
                                           call_of(&bob, 1, &contract, &look)};
    two[0].fuel_price = two[1].fuel_price = 1;
    two[0].value.low = two[1].value.low = 100;
    chain_run(chain, two, 2);
    uint64_t expected = FUNDS;
    for (uint32_t i = 0; i < 2; i++) {
        struct smelt_wave_receipt *receipt = receipt_of(chain, i);
        uint8_t amount[16] = {0};
        expected -= 100;
        sm_store_le64(amount, expected);
        assert_slice(receipt->return_data, amount, 16);
        expected -= receipt->fuel_used;
        smelt_wave_receipt_destroy(receipt);
    }
    assert_int_equal(balance_of(fixture, &bob), expected);
}

static void fees_are_paid_after_the_last_transaction(void **state)
{
    BEGIN;
    struct smelt_wave_transaction list[] = {
        transfer_of(&alice, 0, &bob, 1), transfer_of(&dave, 0, &bob, 1),
        transfer_of(&alice, 1, &dave, 10), transfer_of(&dave, 0, &bob, 4)};
    list[0].fuel_price = list[2].fuel_price = 1;
    chain->wave.fee_recipient = &dave; /* also a receiver and a sender */
    chain_run(chain, list, 4);
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_status(chain, 1, SMELT_STATUS_INSUFFICIENT_BALANCE, true);
    assert_outcome(chain, 3, SMELT_OUTCOME_RETURNED);
    uint64_t fees = 2 * charges(fixture)->transfer;
    assert_int_equal(chain->record.fees.low, fees);
    assert_int_equal(balance_of(fixture, &dave), 10 - 4 + fees);
    assert_int_equal(nonce_of(fixture, &dave), 1);

    /* its own fee comes back to it */
    struct smelt_wave_transaction own = transfer_of(&dave, 1, &bob, 0);
    own.fuel_limit = charges(fixture)->transfer;
    own.fuel_price = 2;
    fund(up, &dave, (struct smelt_u128){.low = 1000});
    chain_run(chain, &own, 1);
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_int_equal(balance_of(fixture, &dave), 1006 + fees);

    /* and are burnt without a recipient */
    own.nonce = 2;
    chain->wave.fee_recipient = NULL;
    chain_run(chain, &own, 1);
    assert_int_equal(balance_of(fixture, &dave), 1006 + fees - 2 * own.fuel_limit);
}

static void a_full_recipient_stays_full(void **state)
{
    BEGIN;
    const struct smelt_u128 all = {.low = UINT64_MAX, .high = UINT64_MAX};
    struct smelt_u128 near;
    struct smelt_wave_transaction transaction = transfer_of(&alice, 0, &bob, 0);
    uint64_t fee = charges(fixture)->transfer;
    transaction.fuel_price = 1;
    chain->wave.fee_recipient = &dave;
    assert_true(sm_u128_sub(all, (struct smelt_u128){.low = fee + 1}, &near));
    fund(up, &dave, near);
    for (uint64_t i = 0; i < 3; i++) { /* one below, then one too many, then at the end */
        transaction.nonce = i;
        chain_run(chain, &transaction, 1);
        struct smelt_account account = get_account(fixture->inner, &dave);
        struct smelt_u128 expected = all;
        expected.low -= i == 0;
        assert_memory_equal(&account.balance, &expected, sizeof(expected));
    }
}

static void fees_go_to_contracts_too(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    struct smelt_wave_transaction list[] = {transfer_of(&bob, 0, &contract, 5),
                                            upgrade_of(&alice, 1, &contract, GUEST "#2")};
    list[0].fuel_price = 1;
    chain->wave.fee_recipient = &contract;
    chain_run(chain, list, 2);
    assert_int_equal(balance_of(fixture, &contract), 5 + charges(fixture)->transfer);
    assert_code(fixture, &contract, GUEST "#2");
}

/* ---- W8: transfers -----------------------------------------------------------------------------
 */

static void transfers_move_value(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    CHAIN_RUN(chain, transfer_of(&bob, 0, &bob, FUNDS), transfer_of(&bob, 1, &contract, 7),
              transfer_of(&bob, 2, &carol, 0), transfer_of(&bob, 3, &carol, FUNDS - 7),
              transfer_of(&bob, 4, &bob, 1));
    for (uint32_t i = 0; i < 4; i++) {
        assert_outcome(chain, i, SMELT_OUTCOME_RETURNED);
        assert_module(chain, i, NULL);
    }
    assert_status(chain, 4, SMELT_STATUS_INSUFFICIENT_BALANCE, true);
    assert_address(chain, 1, &contract);
    assert_int_equal(balance_of(fixture, &bob), 0);
    assert_int_equal(balance_of(fixture, &contract), 7);
    assert_int_equal(balance_of(fixture, &carol), FUNDS - 7);
}

static void a_receiver_does_not_overflow(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    struct smelt_address next = contract_of(&alice, 1);
    const struct smelt_u128 all = {.low = UINT64_MAX, .high = UINT64_MAX};
    struct smelt_u128 one_below = {.low = UINT64_MAX - 1, .high = UINT64_MAX};
    fund(up, &carol, one_below);
    fund(up, &contract, all);
    fund(up, &next, all);
    struct smelt_wave_transaction list[] = {
        transfer_of(&bob, 0, &carol, 1), transfer_of(&bob, 1, &carol, 1),
        call_of(&bob, 2, &contract, NULL), deploy_of(&alice, 1, GUEST, NULL),
        call_of(&bob, 3, &contract, NULL)};
    list[2].value.low = list[3].value.low = 1;
    list[1].fuel_price = 1;
    chain_run(chain, list, 5);
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_status(chain, 1, SMELT_STATUS_BALANCE_OVERFLOW, false);
    assert_status(chain, 2, SMELT_STATUS_BALANCE_OVERFLOW, false);
    assert_status(chain, 3, SMELT_STATUS_BALANCE_OVERFLOW, false);
    assert_outcome(chain, 4, SMELT_OUTCOME_RETURNED);
    assert_int_equal(balance_of(fixture, &bob), FUNDS - 1 - charges(fixture)->transfer);
    assert_false(get_account(fixture->inner, &next).is_contract);
    assert_int_equal(nonce_of(fixture, &alice), 2);
}

/* ---- W9: calls ---------------------------------------------------------------------------------
 */

static void calls_return_events_and_results(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    static struct script script;
    script.size = 0;
    SCRIPT_HOSTN(&script, log_event, GUEST_KEY, 7, GUEST_KEY, 3);
    SCRIPT_HOSTN(&script, storage_write, GUEST_KEY, 7, GUEST_KEY, 3);
    SCRIPT_HOSTN(&script, log_event, GUEST_KEY, 3, GUEST_KEY, 0);
    SCRIPT_HOSTN(&script, return_data, GUEST_KEY, 7);
    SCRIPT_HOST0(&script, get_block_timestamp);
    static struct script number;
    number.size = 0;
    SCRIPT_HOST0(&number, get_block_number);
    const struct smelt_value arguments[] = {{.type = SMELT_VALTYPE_I32, .bits = 5},
                                            {.type = SMELT_VALTYPE_I64, .bits = 6}};
    struct smelt_wave_transaction list[] = {
        call_of(&alice, 1, &contract, &script), call_of(&bob, 0, &contract, NULL),
        call_of(&alice, 2, &contract, &script), call_of(&bob, 1, &contract, NULL),
        call_of(&bob, 2, &contract, &number)};
    const struct smelt_hash ids[] = {{{1}}, {{2}}, {{3}}};
    list[0].id = &ids[0];
    list[1].id = &ids[1];
    list[3].id = &ids[2];
    list[1].function = smelt_slice_from_string("swap");
    list[1].arguments = arguments;
    list[1].argument_count = 2;
    list[3].function = smelt_slice_from_string("takes_float");
    chain->wave.timestamp = 5000;
    chain_run(chain, list, 5);
    struct smelt_wave_receipt *receipt = receipt_of(chain, 0);
    assert_int_equal(receipt->result_count, 1);
    assert_int_equal(receipt->results[0].bits, 5000);
    assert_slice(receipt->return_data, "counter", 7);
    assert_int_equal(receipt->event_count, 2);
    assert_int_equal(receipt->write_count, 1);
    smelt_wave_receipt_destroy(receipt);
    receipt = receipt_of(chain, 1);
    assert_int_equal(receipt->result_count, 2);
    assert_int_equal(receipt->results[0].bits, 6);
    assert_int_equal(receipt->results[1].bits, 5);
    assert_int_equal(receipt->first_event, 2);
    smelt_wave_receipt_destroy(receipt);
    receipt = receipt_of(chain, 2);
    assert_int_equal(receipt->first_event, 2);
    smelt_wave_receipt_destroy(receipt);
    assert_status(chain, 3, SMELT_STATUS_UNKNOWN_FUNCTION, false);
    receipt = receipt_of(chain, 4);
    assert_int_equal(receipt->results[0].bits, 2);
    smelt_wave_receipt_destroy(receipt);
    assert_true(smelt_bloom_may_contain(chain->record.bloom, sm_slice("counter", 7)));
    assert_module(chain, 0, GUEST);
}

/* ---- W10: deploys ------------------------------------------------------------------------------
 */

static void a_new_contract_is_there_at_once(void **state)
{
    BEGIN;
    static struct script init;
    static struct script run;
    struct smelt_address contract = contract_of(&alice, 0);
    init.size = run.size = 0;
    SCRIPT_HOSTN(&init, storage_write, GUEST_KEY, 7, GUEST_KEY, 2);
    SCRIPT_HOSTN(&init, log_event, GUEST_KEY, 7, GUEST_KEY, 2);
    SCRIPT_HOSTN(&run, storage_write, GUEST_KEY, 7, GUEST_KEY, 5); /* 1: it exists */
    struct smelt_wave_transaction list[] = {
        call_of(&bob, 0, &contract, &run), transfer_of(&bob, 1, &contract, 3),
        deploy_of(&alice, 0, INIT, &init), call_of(&bob, 2, &contract, &run),
        deploy_of(&alice, 1, INIT, NULL),  deploy_of(&bob, 3, GUEST, NULL)};
    list[2].value.low = 10;
    chain_run(chain, list, 6);
    assert_status(chain, 0, SMELT_STATUS_NO_CONTRACT, false);
    for (uint32_t i = 1; i < 6; i++) {
        assert_outcome(chain, i, SMELT_OUTCOME_RETURNED);
    }
    struct smelt_wave_receipt *receipt = receipt_of(chain, 3);
    assert_int_equal(receipt->results[0].bits, 1);
    smelt_wave_receipt_destroy(receipt);
    assert_address(chain, 2, &contract);
    assert_int_equal(balance_of(fixture, &contract), 13); /* what was sent ahead stays */
    assert_code(fixture, &contract, INIT);
    struct smelt_account account = get_account(fixture->inner, &contract);
    assert_memory_equal(&account.owner, &alice, sizeof(alice));
    assert_int_equal(account.nonce, 0);
    struct smelt_address second = contract_of(&alice, 1);
    assert_code(fixture, &second, INIT);
    assert_int_equal(fixture->opens, 2);
    assert_true(has_code(fixture, INIT));
    assert_true(has_code(fixture, GUEST));
}

static void a_failing_init_leaves_no_contract(void **state)
{
    BEGIN;
    static struct script scripts[3];
    struct smelt_wave_transaction list[5];
    scripts[0].size = scripts[1].size = scripts[2].size = 0;
    for (size_t i = 0; i < 3; i++) {
        SCRIPT_HOSTN(&scripts[i], storage_write, GUEST_KEY, 7, GUEST_KEY, 2);
    }
    SCRIPT_HOSTN(&scripts[0], revert, GUEST_KEY, 7);
    script_word(&scripts[1], SCRIPT_TRAP, 0);
    script_word(&scripts[2], SCRIPT_SPIN, 0);
    const enum smelt_outcome_kind kinds[] = {SMELT_OUTCOME_REVERTED, SMELT_OUTCOME_TRAPPED,
                                             SMELT_OUTCOME_OUT_OF_FUEL};
    for (size_t i = 0; i < 3; i++) {
        list[i] = deploy_of(&alice, i, INIT, &scripts[i]);
        list[i].value.low = 9;
    }
    struct smelt_address never = contract_of(&alice, 0);
    list[3] = call_of(&bob, 0, &never, NULL);
    list[4] = upgrade_of(&alice, 3, &never, GUEST);
    chain_run(chain, list, 5);
    const struct smelt_address nowhere = {{0}};
    for (uint32_t i = 0; i < 3; i++) {
        struct smelt_address address = contract_of(&alice, i);
        assert_outcome(chain, i, kinds[i]);
        assert_address(chain, i, &nowhere);
        assert_module(chain, i, INIT);
        assert_false(get_account(fixture->inner, &address).is_contract);
        assert_int_equal(balance_of(fixture, &address), 0);
    }
    assert_status(chain, 3, SMELT_STATUS_NO_CONTRACT, false);
    assert_status(chain, 4, SMELT_STATUS_NO_CONTRACT, false);
    assert_int_equal(balance_of(fixture, &alice), FUNDS);
    assert_int_equal(nonce_of(fixture, &alice), 4);
    assert_false(has_code(fixture, INIT));
    assert_false(has_code(fixture, GUEST));
}

static void a_refused_module_is_a_failed_deploy(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    struct smelt_wave_transaction list[] = {deploy_of(&alice, 1, "bad.wasm", NULL),
                                            upgrade_of(&alice, 2, &contract, "bad.wasm"),
                                            call_of(&bob, 0, &contract, NULL)};
    list[0].fuel_price = list[1].fuel_price = 1;
    list[0].value.low = 5;
    fixture->refusal = SMELT_STATUS_MODULE_FLOAT;
    chain_run(chain, list, 3);
    assert_status(chain, 0, SMELT_STATUS_MODULE_FLOAT, false);
    assert_status(chain, 1, SMELT_STATUS_MODULE_FLOAT, false);
    assert_outcome(chain, 2, SMELT_OUTCOME_RETURNED);
    const struct sm_schedule_transaction *prices = charges(fixture);
    assert_int_equal(chain->record.fees.low, prices->deploy + prices->upgrade +
                                                 8 * (prices->deploy_byte + prices->upgrade_byte));
    assert_int_equal(balance_of(fixture, &alice), FUNDS - chain->record.fees.low);
    assert_code(fixture, &contract, GUEST);
    assert_false(has_code(fixture, "bad.wasm"));
}

/* Its sender pays nothing, so it may not make the node compile either. */
static void no_module_is_got_for_a_rejected_deploy(void **state)
{
    BEGIN;
    struct smelt_wave_transaction list[] = {
        deploy_of(&alice, 7, GUEST, NULL), deploy_of(&bob, 0, GUEST, NULL),
        deploy_of(&bob, 0, GUEST, NULL), upgrade_of(&alice, 0, &bob, GUEST "#2")};
    list[1].fuel_limit = 1;
    list[2].fuel_price = UINT64_MAX;
    fixture->refusal = SMELT_STATUS_TOOL_MISSING; /* and the wave does not need it */
    chain_run(chain, list, 4);
    fixture->refusal = SMELT_STATUS_OK;
    assert_status(chain, 0, SMELT_STATUS_NONCE_MISMATCH, true);
    assert_status(chain, 1, SMELT_STATUS_FUEL_LIMIT, true);
    assert_status(chain, 2, SMELT_STATUS_INSUFFICIENT_BALANCE, true);
    assert_status(chain, 3, SMELT_STATUS_NO_CONTRACT, false);
    assert_int_equal(fixture->opens, 0);
}

/* ---- W11: upgrades -----------------------------------------------------------------------------
 */

static void an_upgrade_counts_from_the_next_wave_on(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    static struct script write;
    write.size = 0;
    SCRIPT_HOSTN(&write, storage_write, GUEST_KEY, 7, GUEST_KEY, 4);
    CHAIN_RUN(chain, transfer_of(&bob, 0, &contract, 21),
              upgrade_of(&alice, 1, &contract, GUEST "#2"), call_of(&bob, 1, &contract, &write),
              upgrade_of(&alice, 2, &contract, GUEST "#3"), call_of(&bob, 2, &contract, NULL));
    assert_module(chain, 1, GUEST "#2");
    assert_module(chain, 2, GUEST);
    assert_module(chain, 4, GUEST);
    assert_address(chain, 1, &contract);
    assert_code(fixture, &contract, GUEST "#3"); /* the last one */
    assert_true(has_code(fixture, GUEST "#3"));
    struct smelt_account account = get_account(fixture->inner, &contract);
    assert_memory_equal(&account.owner, &alice, sizeof(alice));
    assert_int_equal(account.balance.low, 21);
    uint8_t value[8];
    assert_int_equal(stored(fixture, &contract, sm_slice("counter", 7), value, 8), 4);
    CHAIN_RUN(chain, call_of(&bob, 3, &contract, NULL));
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_module(chain, 0, GUEST "#3");
    assert_int_equal(fixture->opens, 3);
}

static void only_the_owner_upgrades(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    struct smelt_address fresh = contract_of(&alice, 1);
    struct smelt_address later = contract_of(&alice, 3);
    CHAIN_RUN(chain, upgrade_of(&bob, 0, &contract, GUEST "#2"), deploy_of(&alice, 1, GUEST, NULL),
              upgrade_of(&bob, 1, &fresh, GUEST "#2"), upgrade_of(&alice, 2, &fresh, GUEST "#3"),
              call_of(&bob, 2, &fresh, NULL), upgrade_of(&bob, 3, &carol, GUEST),
              upgrade_of(&bob, 4, &later, GUEST), deploy_of(&alice, 3, GUEST, NULL));
    assert_status(chain, 0, SMELT_STATUS_NOT_OWNER, false);
    assert_status(chain, 2, SMELT_STATUS_NOT_OWNER, false);
    assert_outcome(chain, 3, SMELT_OUTCOME_RETURNED);
    assert_module(chain, 4, GUEST);
    assert_status(chain, 5, SMELT_STATUS_NO_CONTRACT, false);
    assert_status(chain, 6, SMELT_STATUS_NO_CONTRACT, false);
    assert_code(fixture, &contract, GUEST);
    assert_code(fixture, &fresh, GUEST "#3");
    assert_code(fixture, &later, GUEST);
    assert_false(has_code(fixture, GUEST "#2"));
}

/* An upgraded contract deployed directly, and upgraded code called directly. */
static void transactions_outside_of_waves_see_the_same_state(void **state)
{
    BEGIN;
    fixture->transaction.from = bob;
    struct smelt_address direct = fixture_deploy(fixture, GUEST);
    CHAIN_RUN(chain, transfer_of(&bob, 0, &carol, 1), transfer_of(&bob, 1, &carol, 2),
              upgrade_of(&bob, 2, &direct, GUEST "#2"));
    assert_status(chain, 0, SMELT_STATUS_NONCE_MISMATCH, true);
    assert_outcome(chain, 1, SMELT_OUTCOME_RETURNED);
    assert_outcome(chain, 2, SMELT_OUTCOME_RETURNED);
    const struct smelt_receipt *called = fixture_call(fixture, &direct, "run");
    struct smelt_hash hash = hash_of(GUEST "#2");
    assert_memory_equal(&called->module_hash, &hash, sizeof(hash));
    assert_int_equal(nonce_of(fixture, &bob), 4);
    fund(up, &bob, (struct smelt_u128){.low = 11});
    CHAIN_RUN(chain, transfer_of(&bob, 4, &carol, FUNDS + 9));
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_int_equal(balance_of(fixture, &bob), 0);
    fund(up, &carol, (struct smelt_u128){.low = 5});
    fixture->transaction.from = carol;
    fixture->transaction.value.low = FUNDS + 9 + 2 + 5;
    (void)fixture_call(fixture, &direct, "run");
    CHAIN_RUN(chain, transfer_of(&carol, 1, &bob, 0));
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_int_equal(balance_of(fixture, &carol), 0);
}

/* ---- W13, W14: the chain -----------------------------------------------------------------------
 */

static void refuse(struct chain *chain, enum smelt_status status)
{
    struct smelt_buf before = {0};
    struct smelt_buf after = {0};
    dump_store(chain->fixture->inner, &before);
    assert_string_equal(smelt_status_name(chain_try(chain, NULL, 0)), smelt_status_name(status));
    dump_store(chain->fixture->inner, &after);
    assert_same_bytes(&before, &after);
    smelt_buf_deinit(&before);
    smelt_buf_deinit(&after);
}

static void waves_follow_each_other(void **state)
{
    BEGIN;
    chain->wave.number = 0;
    refuse(chain, SMELT_STATUS_INVALID_ARGUMENT);
    chain->wave.number = 40; /* a first wave may have any */
    chain_run(chain, NULL, 0);
    for (uint64_t number = 39; number <= 43; number++) {
        chain->wave.number = number;
        if (number != 41) {
            refuse(chain, SMELT_STATUS_INVALID_ARGUMENT);
        }
    }
    chain->wave.number = 41;
    chain->wave.timestamp = 999;
    refuse(chain, SMELT_STATUS_INVALID_ARGUMENT);
    chain->wave.timestamp = 1000; /* may stand still */
    chain->wave.chain_id = 8;
    refuse(chain, SMELT_STATUS_STATE_MISMATCH);
    fixture_reopen(fixture, (struct smelt_engine_options){.workers = 1});
    refuse(chain, SMELT_STATUS_STATE_MISMATCH); /* told by the store */
    chain->wave.chain_id = 7;
    chain_run(chain, NULL, 0);
    chain->wave.number = 41;
    refuse(chain, SMELT_STATUS_INVALID_ARGUMENT);
}

static void the_last_number_is_the_end(void **state)
{
    BEGIN;
    chain->wave.number = UINT64_MAX;
    chain->wave.timestamp = UINT64_MAX;
    chain_run(chain, NULL, 0);
    chain->wave.timestamp = UINT64_MAX;
    for (uint64_t number = 0; number < 2; number++) {
        chain->wave.number = number;
        refuse(chain, SMELT_STATUS_INVALID_ARGUMENT);
    }
    chain->wave.number = UINT64_MAX;
    refuse(chain, SMELT_STATUS_INVALID_ARGUMENT);
}

static void an_expected_digest_is_the_only_one(void **state)
{
    BEGIN;
    struct smelt_wave_transaction list[] = {deploy_of(&alice, 0, GUEST, NULL),
                                            transfer_of(&bob, 0, &carol, 1)};
    struct smelt_buf before = {0};
    struct smelt_buf after = {0};
    struct smelt_hash digest = {{0}};
    chain->wave.expected_digest = &digest;
    dump_store(fixture->inner, &before);
    assert_int_equal(chain_try(chain, list, 2), SMELT_STATUS_STATE_MISMATCH);
    assert_int_equal(chain_try(chain, list, 2), SMELT_STATUS_STATE_MISMATCH);
    dump_store(fixture->inner, &after);
    assert_same_bytes(&before, &after);
    smelt_buf_deinit(&before);
    smelt_buf_deinit(&after);
    chain->wave.expected_digest = NULL;
    chain_run(chain, list, 2);
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    assert_int_equal(balance_of(fixture, &carol), 1);
}

/* A copy of the state on another node says which digest. */
static void another_node_comes_to_the_same_digest(void **state)
{
    BEGIN;
    void *other_state = NULL;
    struct chain other;
    (void)fixture_setup(&other_state);
    struct fixture *second = (struct fixture *)other_state;
    chain_init(&other, second);
    assert_int_equal(
        smelt_account_fund(&second->store, &bob, (struct smelt_u128){.low = FUNDS}, NULL),
        SMELT_STATUS_OK);
    fixture_reopen(second, (struct smelt_engine_options){.workers = 3, .wave_chunk = 1});
    struct smelt_wave_transaction list[] = {deploy_of(&alice, 0, GUEST, NULL),
                                            transfer_of(&bob, 0, &carol, 1),
                                            transfer_of(&carol, 0, &bob, 1)};
    chain_run(chain, list, 3);
    other.wave.expected_digest = smelt_wave_result_digest(chain->result);
    chain_run(&other, list, 3);
    chain_deinit(&other);
    fixture_destroy(second);
}

/* ---- malformed ---------------------------------------------------------------------------------
 */

static void what_is_no_transaction_is_no_wave(void **state)
{
    BEGIN;
    const struct smelt_slice hollow = {.data = NULL, .size = 1};
    const struct smelt_slice text = smelt_slice_from_string("x");
    const struct smelt_slice huge = {.data = text.data, .size = (size_t)UINT32_MAX + 1};
    const struct smelt_value argument = {.type = SMELT_VALTYPE_I32};
    const struct smelt_wave_transaction good[] = {
        transfer_of(&alice, 0, &bob, 1), deploy_of(&alice, 0, GUEST, NULL),
        call_of(&alice, 0, &bob, NULL), upgrade_of(&alice, 0, &bob, GUEST)};
    enum { TRANSFER, DEPLOY, CALL, UPGRADE };
    struct smelt_wave_transaction bad[28];
    size_t count = 0;
#define BAD(kind, field, wrong) (bad[count] = good[kind], bad[count++].field = (wrong))
    BAD(TRANSFER, kind, (enum smelt_transaction_kind)4);
    BAD(TRANSFER, kind, (enum smelt_transaction_kind) - 1);
    BAD(TRANSFER, fuel_limit, 0);
    BAD(CALL, fuel_limit, (uint64_t)SMELT_FUEL_MAX + 1);
    BAD(CALL, function, hollow);
    BAD(CALL, input, hollow);
    BAD(DEPLOY, input, hollow);
    BAD(DEPLOY, wasm, hollow);
    BAD(UPGRADE, wasm, hollow);
    BAD(CALL, argument_count, 1);
    BAD(TRANSFER, function, text);
    BAD(DEPLOY, function, text);
    BAD(UPGRADE, function, text);
    BAD(TRANSFER, argument_count, 1);
    bad[count - 1].arguments = &argument;
    BAD(DEPLOY, argument_count, 1);
    bad[count - 1].arguments = &argument;
    BAD(UPGRADE, argument_count, 1);
    bad[count - 1].arguments = &argument;
    BAD(TRANSFER, input, text);
    BAD(UPGRADE, input, text);
    BAD(TRANSFER, wasm, text);
    BAD(CALL, wasm, text);
    BAD(UPGRADE, value, ((struct smelt_u128){.low = 1}));
    BAD(UPGRADE, value, ((struct smelt_u128){.high = 1}));
    BAD(CALL, input, huge);
    BAD(DEPLOY, input, huge);
    BAD(DEPLOY, wasm, huge);
    BAD(UPGRADE, wasm, huge);
#undef BAD
    struct smelt_buf before = {0};
    struct smelt_buf after = {0};
    dump_store(fixture->inner, &before);
    for (size_t i = 0; i < count; i++) {
        const struct smelt_wave_transaction pair[] = {good[TRANSFER], bad[i]};
        enum smelt_status status = chain_try(chain, pair, 2);
        if (status != SMELT_STATUS_INVALID_ARGUMENT) {
            fail_msg("case %zu: %s", i, smelt_status_name(status));
        }
        assert_null(chain->result);
        assert_non_null(strstr(fixture->err.message, "transaction 1 "));
    }
    struct smelt_wave_transaction sum[] = {good[TRANSFER], good[TRANSFER], good[TRANSFER]};
    sum[0].fuel_limit = sum[1].fuel_limit = SMELT_FUEL_MAX; /* 2^64 - 2 together */
    sum[2].fuel_limit = 2;
    assert_int_equal(chain_try(chain, sum, 3), SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(chain_try(chain, NULL, 1), SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(chain_try(chain, sum, SMELT_WAVE_TRANSACTIONS_MAX + 1),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_wave_run(NULL, &chain->wave, &chain->result, NULL),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_wave_run(fixture->engine, NULL, &chain->result, NULL),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_wave_run(fixture->engine, &chain->wave, NULL, NULL),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_engine_flush(NULL, NULL), SMELT_STATUS_INVALID_ARGUMENT);
    dump_store(fixture->inner, &after);
    assert_same_bytes(&before, &after);
    smelt_buf_deinit(&before);
    smelt_buf_deinit(&after);
    sum[2].fuel_limit = 1; /* the limit itself */
    sum[2].nonce = 1;
    chain_run(chain, sum, 3);
    assert_status(chain, 2, SMELT_STATUS_FUEL_LIMIT, true);
    struct smelt_wave_receipt *receipt = NULL;
    assert_int_equal(smelt_wave_result_receipt(chain->result, 3, &receipt, NULL),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_null(receipt);
}

/* ---- threads and calls from inside -------------------------------------------------------------
 */

static struct smelt_engine *engine_inside;
static enum smelt_status status_inside[3];

/* Instead of get_block_number: what a handler may not do, and what it may. */
static enum smelt_host_action call_back(struct smelt_host_call *call)
{
    const struct smelt_transaction write = {.from = bob};
    const struct smelt_transaction look = {.from = bob, .is_static = true};
    const struct smelt_address *self = &smelt_host_context(call)->address;
    const struct smelt_wave wave = {.number = 1000};
    struct smelt_receipt *receipt = NULL;
    struct smelt_wave_result *result = NULL;
    status_inside[0] = smelt_call(engine_inside, &write, self, "run", NULL, 0, &receipt, NULL);
    status_inside[1] = smelt_wave_run(engine_inside, &wave, &result, NULL);
    status_inside[2] = smelt_call(engine_inside, &look, self, "run", NULL, 0, &receipt, NULL);
    smelt_receipt_destroy(receipt);
    call->result = 0;
    return SMELT_HOST_CONTINUE;
}

/* On whichever thread of the wave the handler runs. */
static void handlers_cannot_write_with_their_own_engine(void **state)
{
    BEGIN;
    struct smelt_address contract = deploy_guest(chain);
    smelt_host_fn handlers[64] = {NULL};
    static struct script script;
    script.size = 0;
    SCRIPT_HOST0(&script, get_block_number);
    memcpy(handlers, sm_engine_handlers, smelt_profile_engine.function_count * sizeof(handlers[0]));
    handlers[GUEST_HOST_get_block_number] = call_back;
    fixture_reopen(fixture, (struct smelt_engine_options){
                                .handlers = handlers, .workers = 4, .wave_chunk = 1});
    engine_inside = fixture->engine;
    for (uint64_t round = 0; round < 8; round++) {
        struct smelt_wave_transaction list[16];
        for (uint64_t i = 0; i < 16; i++) {
            list[i] = call_of(&alice, 1 + 16 * round + i, &contract, &script);
        }
        chain_run(chain, list, 16);
        assert_outcome(chain, 15, SMELT_OUTCOME_RETURNED);
        assert_int_equal(status_inside[0], SMELT_STATUS_INVALID_ARGUMENT);
        assert_int_equal(status_inside[1], SMELT_STATUS_INVALID_ARGUMENT);
        assert_int_equal(status_inside[2], SMELT_STATUS_OK);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_wave_without_transactions_is_one),
        TEST(each_transaction_starts_where_the_last_one_ended),
        TEST(rejected_transactions_leave_no_trace),
        TEST(a_contract_sends_nothing),
        TEST(nonces_are_exact),
        TEST(the_last_nonce_is_never_used),
        TEST(the_charge_is_part_of_the_limit),
        TEST(a_balance_covers_limit_and_value),
        TEST(means_do_not_overflow),
        TEST(the_first_reason_counts),
        TEST(whoever_fails_pays),
        TEST(contracts_see_the_whole_balance),
        TEST(fees_are_paid_after_the_last_transaction),
        TEST(a_full_recipient_stays_full),
        TEST(fees_go_to_contracts_too),
        TEST(transfers_move_value),
        TEST(a_receiver_does_not_overflow),
        TEST(calls_return_events_and_results),
        TEST(a_new_contract_is_there_at_once),
        TEST(a_failing_init_leaves_no_contract),
        TEST(a_refused_module_is_a_failed_deploy),
        TEST(no_module_is_got_for_a_rejected_deploy),
        TEST(an_upgrade_counts_from_the_next_wave_on),
        TEST(only_the_owner_upgrades),
        TEST(transactions_outside_of_waves_see_the_same_state),
        TEST(waves_follow_each_other),
        TEST(the_last_number_is_the_end),
        TEST(an_expected_digest_is_the_only_one),
        TEST(another_node_comes_to_the_same_digest),
        TEST(what_is_no_transaction_is_no_wave),
        TEST(handlers_cannot_write_with_their_own_engine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
