/* The example contracts through the C API: memory store, real compiler, one cache for all tests.
 *
 * Usage: test_examples_api <directory with the .wasm files>; scratch space in $TMPDIR. */
#include "tests/support/cmocka_all.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <smelt/smelt.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW UINT64_C(1700000000)

static const char *contracts_directory;
static char scratch[256];
static struct smelt_cache *cache;
static struct smelt_schedule *schedule;
static struct smelt_compiler *compiler;

/* ---- harness --------------------------------------------------------------------------------- */

struct world {
    struct smelt_store *store;
    struct smelt_engine *engine;
    struct smelt_transaction transaction; /* of the next call; tests change what they need */
};

static void require_ok(enum smelt_status status, const struct smelt_error *err)
{
    if (status != SMELT_STATUS_OK) {
        fail_msg("%s: %s", smelt_status_name(status), err->message);
    }
}

/* First bytes of the accounts in these tests. */
enum person { ALICE = 0xa1, BOB = 0xb0, CAROL = 0xca };

static struct smelt_address account(uint8_t first)
{
    return (struct smelt_address){.bytes = {first, [31] = 0x01}};
}

static int open_world(void **state)
{
    struct world *world = calloc(1, sizeof(*world));
    struct smelt_error err = {0};
    assert_non_null(world);
    require_ok(smelt_store_create_memory(&world->store, &err), &err);
    struct smelt_engine_options options = {
        .store = world->store, .schedule = schedule, .source = smelt_compiler_source(compiler)};
    require_ok(smelt_engine_create(&options, &world->engine, &err), &err);
    world->transaction = (struct smelt_transaction){
        .from = account(ALICE), .block_number = 7, .block_timestamp = NOW};
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;
    smelt_engine_destroy(world->engine);
    smelt_store_close(world->store);
    free(world);
    return 0;
}

static void set_input(struct world *world, const void *data, size_t size)
{
    world->transaction.input = (struct smelt_slice){data, size};
}

static struct smelt_receipt *try_deploy(struct world *world, const char *name)
{
    char path[512];
    struct smelt_buf wasm = {0};
    struct smelt_receipt *receipt = NULL;
    struct smelt_error err = {0};
    (void)snprintf(path, sizeof(path), "%s/%s.wasm", contracts_directory, name);
    require_ok(sm_fs_read_file(path, SIZE_MAX, &wasm, &err), &err);
    require_ok(smelt_deploy(world->engine, &world->transaction,
                            (struct smelt_slice){wasm.data, wasm.size}, &receipt, &err),
               &err);
    smelt_buf_deinit(&wasm);
    return receipt;
}

static struct smelt_address deploy(struct world *world, const char *name)
{
    struct smelt_receipt *receipt = try_deploy(world, name);
    assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
    struct smelt_address address = receipt->address;
    smelt_receipt_destroy(receipt);
    return address;
}

static struct smelt_receipt *call_with(struct world *world, const struct smelt_address *contract,
                                       const char *function, const struct smelt_value *arguments,
                                       size_t count)
{
    struct smelt_receipt *receipt = NULL;
    struct smelt_error err = {0};
    require_ok(smelt_call(world->engine, &world->transaction, contract, function, arguments, count,
                          &receipt, &err),
               &err);
    return receipt;
}

static struct smelt_receipt *call(struct world *world, const struct smelt_address *contract,
                                  const char *function)
{
    return call_with(world, contract, function, NULL, 0);
}

static void expect_kind(struct world *world, const struct smelt_address *contract,
                        const char *function, enum smelt_outcome_kind kind)
{
    struct smelt_receipt *receipt = call(world, contract, function);
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind), smelt_outcome_name(kind));
    smelt_receipt_destroy(receipt);
}

static void expect_returned(struct world *world, const struct smelt_address *contract,
                            const char *function)
{
    expect_kind(world, contract, function, SMELT_OUTCOME_RETURNED);
}

static int32_t int_result(struct world *world, const struct smelt_address *contract,
                          const char *function)
{
    struct smelt_receipt *receipt = call(world, contract, function);
    assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
    assert_int_equal(receipt->result_count, 1);
    int32_t result = (int32_t)receipt->results[0].bits;
    smelt_receipt_destroy(receipt);
    return result;
}

/* ---- state as one digestible number ---------------------------------------------------------- */

static void mix(uint64_t *sum, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        *sum = (*sum ^ bytes[i]) * UINT64_C(0x100000001b3);
    }
    *sum = (*sum ^ size) * UINT64_C(0x100000001b3);
}

static bool mix_account(void *context, const struct smelt_address *address,
                        const struct smelt_account *account_)
{
    mix(context, address, sizeof(*address));
    mix(context, &account_->balance, sizeof(account_->balance));
    mix(context, &account_->nonce, sizeof(account_->nonce));
    mix(context, &account_->code_hash, sizeof(account_->code_hash));
    mix(context, &account_->owner, sizeof(account_->owner));
    return true;
}

static bool mix_storage(void *context, const struct smelt_address *address, struct smelt_slice key,
                        struct smelt_slice value)
{
    mix(context, address, sizeof(*address));
    mix(context, key.data, key.size);
    mix(context, value.data, value.size);
    return true;
}

static uint64_t state_sum(const struct world *world)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    struct smelt_error err = {0};
    struct smelt_state_visitor visitor = {
        .account = mix_account, .storage = mix_storage, .context = &sum};
    require_ok(smelt_state_visit(world->store, &visitor, &err), &err);
    return sum;
}

/* A failure has no effects: no events, no writes, and the whole state is as before. */
static void expect_failed(struct world *world, const struct smelt_address *contract,
                          const char *function, struct smelt_outcome outcome, const char *data)
{
    uint64_t before = state_sum(world);
    struct smelt_receipt *receipt = call(world, contract, function);
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind),
                        smelt_outcome_name(outcome.kind));
    assert_string_equal(smelt_trap_name(receipt->outcome.trap), smelt_trap_name(outcome.trap));
    assert_string_equal(smelt_host_error_name(receipt->outcome.host_error),
                        smelt_host_error_name(outcome.host_error));
    assert_int_equal(receipt->return_data.size, strlen(data));
    assert_memory_equal(receipt->return_data.data, data, strlen(data));
    assert_int_equal(receipt->event_count, 0);
    assert_int_equal(receipt->write_count, 0);
    assert_true(state_sum(world) == before);
    smelt_receipt_destroy(receipt);
}

static void expect_reverted(struct world *world, const struct smelt_address *contract,
                            const char *function, const char *text)
{
    expect_failed(world, contract, function, (struct smelt_outcome){.kind = SMELT_OUTCOME_REVERTED},
                  text);
}

/* ---- counter --------------------------------------------------------------------------------- */

static void counts_over_transactions(void **state)
{
    static const char *const names[] = {"counter", "counter_wat"};
    struct world *world = *state;
    for (size_t i = 0; i < 2; i++) {
        struct smelt_address contract = deploy(world, names[i]);
        for (int32_t count = 1; count <= 3; count++) {
            assert_int_equal(int_result(world, &contract, "increment"), count);
        }
    }
}

static void static_counter_reads_and_may_not_write(void **state)
{
    struct world *world = *state;
    struct smelt_address contract = deploy(world, "counter");
    assert_int_equal(int_result(world, &contract, "increment"), 1);
    world->transaction.is_static = true;
    assert_int_equal(int_result(world, &contract, "get"), 1);
    expect_failed(
        world, &contract, "increment",
        (struct smelt_outcome){.kind = SMELT_OUTCOME_TRAPPED, .trap = SMELT_TRAP_STATIC_VIOLATION},
        "");
}

/* ---- erc20 ----------------------------------------------------------------------------------- */

/* Fields of a call's input, one after the other. */
struct fields {
    uint8_t bytes[512];
    size_t size;
};

static void put_bytes(struct fields *fields, const void *data, size_t size)
{
    assert_true(size <= sizeof(fields->bytes) - fields->size);
    memcpy(fields->bytes + fields->size, data, size);
    fields->size += size;
}

static void put_account(struct fields *fields, uint8_t first)
{
    struct smelt_address address = account(first);
    put_bytes(fields, address.bytes, sizeof(address.bytes));
}

static void put_u64(struct fields *fields, uint64_t value)
{
    uint8_t bytes[8];
    sm_store_le64(bytes, value);
    put_bytes(fields, bytes, sizeof(bytes));
}

static void put_amount(struct fields *fields, uint64_t high, uint64_t low)
{
    put_u64(fields, low);
    put_u64(fields, high);
}

static void use(struct world *world, const struct fields *fields)
{
    set_input(world, fields->bytes, fields->size);
}

static void expect_amount(struct world *world, const struct smelt_address *token,
                          const char *function, const struct fields *input, uint64_t high,
                          uint64_t low)
{
    struct fields expected = {0};
    put_amount(&expected, high, low);
    use(world, input);
    struct smelt_receipt *receipt = call(world, token, function);
    assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
    assert_int_equal(receipt->return_data.size, 16);
    assert_memory_equal(receipt->return_data.data, expected.bytes, 16);
    assert_int_equal(receipt->write_count, 0);
    smelt_receipt_destroy(receipt);
}

static void expect_balance(struct world *world, const struct smelt_address *token, uint8_t owner,
                           uint64_t high, uint64_t low)
{
    struct fields input = {0};
    put_account(&input, owner);
    expect_amount(world, token, "balance_of", &input, high, low);
}

static void transfer_input(struct fields *fields, uint8_t to, uint64_t high, uint64_t low)
{
    put_account(fields, to);
    put_amount(fields, high, low);
}

static struct smelt_address deploy_token(struct world *world, uint64_t high, uint64_t low)
{
    struct fields supply = {0};
    put_amount(&supply, high, low);
    use(world, &supply);
    struct smelt_address token = deploy(world, "erc20");
    set_input(world, NULL, 0);
    return token;
}

static void token_mints_to_the_deployer(void **state)
{
    struct world *world = *state;
    struct fields supply = {0};
    put_amount(&supply, 0, 1000);
    use(world, &supply);
    struct smelt_receipt *receipt = try_deploy(world, "erc20");
    assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
    assert_int_equal(receipt->event_count, 1);
    struct smelt_address token = receipt->address;
    struct fields expected = {.size = 32};
    put_account(&expected, ALICE);
    put_amount(&expected, 0, 1000);
    const struct smelt_event *event = &receipt->events[0];
    assert_memory_equal(event->address.bytes, token.bytes, 32);
    assert_true(sm_slice_equal_text(event->topic, "Transfer"));
    assert_int_equal(event->data.size, expected.size);
    assert_memory_equal(event->data.data, expected.bytes, expected.size);
    smelt_receipt_destroy(receipt);

    expect_balance(world, &token, ALICE, 0, 1000);
    expect_balance(world, &token, BOB, 0, 0);
    expect_amount(world, &token, "total_supply", &(struct fields){0}, 0, 1000);
}

static void token_deploy_fails_with_a_short_supply(void **state)
{
    struct world *world = *state;
    uint64_t before = state_sum(world);
    set_input(world, "\x01\x02", 2);
    struct smelt_receipt *receipt = try_deploy(world, "erc20");
    assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_REVERTED);
    assert_true(sm_slice_equal_text(receipt->return_data, "input has the wrong size"));
    assert_int_equal(receipt->event_count, 0);
    smelt_receipt_destroy(receipt);
    assert_true(state_sum(world) == before);
}

static void token_transfers(void **state)
{
    static const struct {
        const char *name;
        uint64_t high, low;
        const char *revert; /* NULL: done */
        uint64_t alice_high, alice_low, bob_high, bob_low;
    } rows[] = {
        {"one past the balance", 1, 6, "balance is too small", 1, 5, 0, 0},
        {"far past the balance", UINT64_MAX, UINT64_MAX, "balance is too small", 1, 5, 0, 0},
        {"nothing", 0, 0, NULL, 1, 5, 0, 0},
        {"borrows from the high half", 0, 6, NULL, 0, UINT64_MAX, 0, 6},
        {"the rest", 0, UINT64_MAX, NULL, 0, 0, 1, 5},
        {"from an empty account", 0, 1, "balance is too small", 0, 0, 1, 5},
    };
    struct world *world = *state;
    struct smelt_address token = deploy_token(world, 1, 5);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("row: %s\n", rows[i].name);
        struct fields input = {0};
        transfer_input(&input, BOB, rows[i].high, rows[i].low);
        use(world, &input);
        if (rows[i].revert != NULL) {
            expect_reverted(world, &token, "transfer", rows[i].revert);
        } else {
            expect_returned(world, &token, "transfer");
        }
        expect_balance(world, &token, ALICE, rows[i].alice_high, rows[i].alice_low);
        expect_balance(world, &token, BOB, rows[i].bob_high, rows[i].bob_low);
    }
}

static void token_transfer_to_oneself_changes_nothing(void **state)
{
    struct world *world = *state;
    struct smelt_address token = deploy_token(world, 0, 10);
    struct fields input = {0};
    transfer_input(&input, ALICE, 0, 10);
    use(world, &input);
    expect_returned(world, &token, "transfer");
    expect_balance(world, &token, ALICE, 0, 10);
}

static void token_refuses_wrong_input_sizes(void **state)
{
    static const struct {
        const char *function;
        size_t size;
    } rows[] = {{"transfer", 0},  {"transfer", 47},   {"transfer", 49},      {"approve", 16},
                {"approve", 64},  {"balance_of", 31}, {"transfer_from", 48}, {"allowance", 32},
                {"allowance", 0}, {"total_supply", 1}};
    struct world *world = *state;
    struct smelt_address token = deploy_token(world, 0, 10);
    struct fields input = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        set_input(world, input.bytes, rows[i].size);
        expect_reverted(world, &token, rows[i].function, "input has the wrong size");
    }
}

static void token_allowances(void **state)
{
    struct world *world = *state;
    struct smelt_address token = deploy_token(world, 0, 100);
    struct fields approve = {0};
    transfer_input(&approve, BOB, 0, 30);
    use(world, &approve);
    struct smelt_receipt *receipt = call(world, &token, "approve");
    assert_int_equal(receipt->event_count, 1);
    assert_true(sm_slice_equal_text(receipt->events[0].topic, "Approval"));
    assert_int_equal(receipt->events[0].data.size, 80);
    smelt_receipt_destroy(receipt);

    struct fields spend = {0};
    put_account(&spend, ALICE);
    transfer_input(&spend, CAROL, 0, 20);
    use(world, &spend);
    expect_reverted(world, &token, "transfer_from",
                    "allowance is too small"); /* by ALICE herself */
    world->transaction.from = account(BOB);
    expect_returned(world, &token, "transfer_from");
    use(world, &spend);
    expect_reverted(world, &token, "transfer_from", "allowance is too small"); /* 10 are left */

    struct fields pair = {0};
    put_account(&pair, ALICE);
    put_account(&pair, BOB);
    expect_amount(world, &token, "allowance", &pair, 0, 10);
    expect_balance(world, &token, ALICE, 0, 80);
    expect_balance(world, &token, CAROL, 0, 20);
}

/* An allowance above the owner's balance: the allowance is not spent when the move fails. */
static void token_allowance_survives_a_failed_move(void **state)
{
    struct world *world = *state;
    struct smelt_address token = deploy_token(world, 0, 5);
    struct fields approve = {0};
    transfer_input(&approve, BOB, 0, 30);
    use(world, &approve);
    expect_returned(world, &token, "approve");

    struct fields spend = {0};
    put_account(&spend, ALICE);
    transfer_input(&spend, CAROL, 0, 6);
    use(world, &spend);
    world->transaction.from = account(BOB);
    expect_reverted(world, &token, "transfer_from", "balance is too small");
    struct fields pair = {0};
    put_account(&pair, ALICE);
    put_account(&pair, BOB);
    expect_amount(world, &token, "allowance", &pair, 0, 30);
}

/* ---- escrow ---------------------------------------------------------------------------------- */

static void fund(const struct world *world, uint8_t who, uint64_t amount)
{
    struct smelt_address address = account(who);
    struct smelt_error err = {0};
    require_ok(smelt_account_fund(world->store, &address, (struct smelt_u128){.low = amount}, &err),
               &err);
}

static uint64_t funds(const struct world *world, const struct smelt_address *address)
{
    struct smelt_account found;
    struct smelt_error err = {0};
    require_ok(smelt_account_get(world->store, address, &found, &err), &err);
    assert_true(found.balance.high == 0);
    return found.balance.low;
}

static uint64_t funds_of(const struct world *world, uint8_t who)
{
    struct smelt_address address = account(who);
    return funds(world, &address);
}

/* ALICE pays, BOB is paid, 100 seconds; ALICE has 500. */
static struct smelt_address deploy_escrow(struct world *world)
{
    struct fields input = {0};
    put_account(&input, BOB);
    put_u64(&input, 100);
    fund(world, ALICE, 500);
    use(world, &input);
    struct smelt_address escrow = deploy(world, "escrow");
    set_input(world, NULL, 0);
    return escrow;
}

static void deposit(struct world *world, const struct smelt_address *escrow, uint64_t amount)
{
    world->transaction.value = (struct smelt_u128){.low = amount};
    expect_returned(world, escrow, "deposit");
    world->transaction.value = (struct smelt_u128){0};
}

static void escrow_releases_to_the_payee(void **state)
{
    struct world *world = *state;
    struct smelt_address escrow = deploy_escrow(world);
    assert_int_equal(int_result(world, &escrow, "state"), 0);
    deposit(world, &escrow, 300);
    assert_int_equal(int_result(world, &escrow, "state"), 1);
    assert_int_equal(funds(world, &escrow), 300);
    assert_int_equal(funds_of(world, ALICE), 200);

    world->transaction.from = account(BOB);
    expect_reverted(world, &escrow, "release", "only the payer releases");
    world->transaction.from = account(ALICE);
    expect_returned(world, &escrow, "release");
    assert_int_equal(funds(world, &escrow), 0);
    assert_int_equal(funds_of(world, BOB), 300);
    assert_int_equal(int_result(world, &escrow, "state"), 2);
    expect_reverted(world, &escrow, "release", "nothing is held");
    world->transaction.value = (struct smelt_u128){.low = 1};
    expect_reverted(world, &escrow, "deposit", "already funded");
}

static void escrow_refunds_after_the_deadline(void **state)
{
    static const struct {
        uint8_t who;
        uint64_t seconds;
        const char *revert; /* NULL: paid back */
    } rows[] = {
        {ALICE, 0, "too early"},
        {ALICE, 99, "too early"},
        {CAROL, 99, "only the parties refund"},
        {CAROL, 1000, "only the parties refund"},
        {ALICE, 100, NULL},
        {ALICE, 101, NULL},
        {BOB, 0, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        void *fresh = NULL;
        open_world(&fresh);
        struct world *world = fresh;
        struct smelt_address escrow = deploy_escrow(world);
        deposit(world, &escrow, 500);
        world->transaction.from = account(rows[i].who);
        world->transaction.block_timestamp = NOW + rows[i].seconds;
        if (rows[i].revert != NULL) {
            expect_reverted(world, &escrow, "refund", rows[i].revert);
            assert_int_equal(funds(world, &escrow), 500);
        } else {
            expect_returned(world, &escrow, "refund");
            assert_int_equal(funds(world, &escrow), 0);
            assert_int_equal(funds_of(world, ALICE), 500);
        }
        close_world(&fresh);
    }
    (void)state;
}

static void escrow_refuses_wrong_deposits(void **state)
{
    struct world *world = *state;
    struct smelt_address escrow = deploy_escrow(world);
    expect_reverted(world, &escrow, "deposit", "needs a value");
    expect_reverted(world, &escrow, "refund", "nothing is held");
    world->transaction.from = account(BOB);
    expect_reverted(world, &escrow, "deposit", "only the payer deposits");
    world->transaction.from = account(ALICE);
    world->transaction.block_timestamp = UINT64_MAX - 99;
    world->transaction.value = (struct smelt_u128){.low = 1};
    expect_reverted(world, &escrow, "deposit", "deadline overflows");
    assert_int_equal(funds_of(world, ALICE), 500);
}

static void more_value_than_there_is_is_the_callers_mistake(void **state)
{
    struct world *world = *state;
    struct smelt_address escrow = deploy_escrow(world);
    struct smelt_receipt *receipt = NULL;
    struct smelt_error err = {0};
    uint64_t before = state_sum(world);
    world->transaction.value = (struct smelt_u128){.low = 501};
    assert_int_equal(
        smelt_call(world->engine, &world->transaction, &escrow, "deposit", NULL, 0, &receipt, &err),
        SMELT_STATUS_INSUFFICIENT_BALANCE);
    assert_null(receipt);
    assert_true(state_sum(world) == before);
}

/* ---- vault ----------------------------------------------------------------------------------- */

static void vault_input(struct fields *fields, const struct smelt_address *callee, uint64_t fuel,
                        uint64_t value, const char *function, const char *input)
{
    uint8_t name_size = (uint8_t)strlen(function);
    put_bytes(fields, callee->bytes, sizeof(callee->bytes));
    put_u64(fields, fuel);
    put_amount(fields, 0, value);
    put_bytes(fields, &name_size, 1);
    put_bytes(fields, function, name_size);
    put_bytes(fields, input, strlen(input));
}

/* What one nested call looks like from outside. */
static void expect_nested(struct world *world, const struct smelt_address *vault, const char *entry,
                          const struct fields *input, int32_t code, const char *data)
{
    use(world, input);
    struct smelt_receipt *receipt = call(world, vault, entry);
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind), "returned");
    assert_int_equal((int32_t)receipt->results[0].bits, code);
    assert_int_equal(receipt->return_data.size, strlen(data));
    assert_memory_equal(receipt->return_data.data, data, strlen(data));
    smelt_receipt_destroy(receipt);
    set_input(world, NULL, 0);
}

static void vault_survives_its_callees(void **state)
{
    static const struct {
        const char *function;
        uint64_t fuel;
        enum smelt_nested_result code;
        const char *data;
    } rows[] = {
        {"ok", 0, SMELT_NESTED_RETURNED, "hello"},  {"fail", 0, SMELT_NESTED_REVERTED, "on demand"},
        {"trap", 0, SMELT_NESTED_TRAPPED, ""},      {"divide", 0, SMELT_NESTED_TRAPPED, ""},
        {"wild_read", 0, SMELT_NESTED_TRAPPED, ""}, {"recurse", 0, SMELT_NESTED_TRAPPED, ""},
        {"wrong_key", 0, SMELT_NESTED_TRAPPED, ""}, {"spin", 50000, SMELT_NESTED_OUT_OF_FUEL, ""},
        {"ok", 10, SMELT_NESTED_OUT_OF_FUEL, ""},   {"missing", 0, SMELT_NESTED_NO_CONTRACT, ""},
        {"init", 0, SMELT_NESTED_NO_CONTRACT, ""},  {"memory", 0, SMELT_NESTED_NO_CONTRACT, ""},
        {"", 0, SMELT_NESTED_NO_CONTRACT, ""},
    };
    struct world *world = *state;
    struct smelt_address vault = deploy(world, "vault");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("row: %s\n", rows[i].function);
        struct smelt_address faulty = deploy(world, "faulty");
        struct fields input = {0};
        vault_input(&input, &faulty, rows[i].fuel, 0, rows[i].function, "hello");
        expect_nested(world, &vault, "execute", &input, (int32_t)rows[i].code, rows[i].data);
        assert_int_equal(int_result(world, &vault, "last_code"), (int32_t)rows[i].code);
        assert_int_equal(int_result(world, &vault, "calls"), (int32_t)i + 1);
        /* only the successful callee's write is there */
        assert_int_equal(int_result(world, &faulty, "marked"),
                         rows[i].code == SMELT_NESTED_RETURNED);
    }
}

static void vault_events_follow_the_layers(void **state)
{
    struct world *world = *state;
    struct smelt_address vault = deploy(world, "vault");
    struct smelt_address faulty = deploy(world, "faulty");
    for (int fails = 0; fails < 2; fails++) {
        struct fields input = {0};
        vault_input(&input, &faulty, 0, 0, fails ? "fail" : "ok", "");
        use(world, &input);
        struct smelt_receipt *receipt = call(world, &vault, "execute");
        assert_int_equal(receipt->event_count, fails ? 1 : 2);
        const struct smelt_event *last = &receipt->events[receipt->event_count - 1];
        assert_true(sm_slice_equal_text(last->topic, "Executed"));
        assert_int_equal(last->data.data[0], fails);
        if (!fails) {
            assert_memory_equal(receipt->events[0].address.bytes, faulty.bytes, 32);
        }
        smelt_receipt_destroy(receipt);
    }
}

static void vault_calls_nobody(void **state)
{
    struct world *world = *state;
    struct smelt_address vault = deploy(world, "vault");
    struct smelt_address nobody = account(CAROL);
    struct fields input = {0};
    vault_input(&input, &nobody, 0, 0, "ok", "");
    expect_nested(world, &vault, "execute", &input, SMELT_NESTED_NO_CONTRACT, "");
}

static void vault_sends_value(void **state)
{
    struct world *world = *state;
    struct smelt_address vault = deploy(world, "vault");
    struct smelt_address faulty = deploy(world, "faulty");
    fund(world, ALICE, 100);
    world->transaction.value = (struct smelt_u128){.low = 100};
    expect_returned(world, &vault, "deposit");
    world->transaction.value = (struct smelt_u128){0};

    struct fields too_much = {0};
    vault_input(&too_much, &faulty, 0, 101, "ok", "");
    expect_nested(world, &vault, "execute", &too_much, SMELT_NESTED_BALANCE, "");
    struct fields failing = {0};
    vault_input(&failing, &faulty, 0, 60, "fail", "");
    expect_nested(world, &vault, "execute", &failing, SMELT_NESTED_REVERTED, "on demand");
    assert_int_equal(funds(world, &vault), 100);
    struct fields paying = {0};
    vault_input(&paying, &faulty, 0, 60, "ok", "");
    expect_nested(world, &vault, "execute", &paying, SMELT_NESTED_RETURNED, "");
    assert_int_equal(funds(world, &vault), 40);
    assert_int_equal(funds(world, &faulty), 60);
}

static void vault_query_is_static(void **state)
{
    struct world *world = *state;
    struct smelt_address vault = deploy(world, "vault");
    struct smelt_address faulty = deploy(world, "faulty");
    struct fields reading = {0};
    vault_input(&reading, &faulty, 0, 0, "marked", "");
    expect_nested(world, &vault, "query", &reading, SMELT_NESTED_RETURNED, "");
    struct fields writing = {0};
    vault_input(&writing, &faulty, 0, 0, "ok", "");
    expect_nested(world, &vault, "query", &writing, SMELT_NESTED_TRAPPED, "");
    assert_int_equal(int_result(world, &faulty, "marked"), 0);
}

static void vault_obeys_its_owner_only(void **state)
{
    struct world *world = *state;
    struct smelt_address vault = deploy(world, "vault");
    struct fields input = {0};
    vault_input(&input, &vault, 0, 0, "calls", "");
    use(world, &input);
    world->transaction.from = account(BOB);
    expect_reverted(world, &vault, "execute", "only the owner executes");
    /* the vault calling itself is not its owner either */
    world->transaction.from = account(ALICE);
    struct fields nested = {0};
    vault_input(&nested, &vault, 0, 0, "execute", "");
    expect_nested(world, &vault, "execute", &nested, SMELT_NESTED_REVERTED,
                  "only the owner executes");
}

static void vault_refuses_malformed_requests(void **state)
{
    struct world *world = *state;
    struct smelt_address vault = deploy(world, "vault");
    uint8_t bytes[2049] = {0};
    set_input(world, bytes, 0);
    expect_reverted(world, &vault, "execute", "input has the wrong size");
    set_input(world, bytes, 56);
    expect_reverted(world, &vault, "execute", "input has the wrong size");
    set_input(world, bytes, sizeof(bytes));
    expect_reverted(world, &vault, "execute", "input has the wrong size");
    bytes[56] = 1;
    set_input(world, bytes, 57);
    expect_reverted(world, &vault, "execute", "name is longer than the input");
}

/* ---- faulty, from outside -------------------------------------------------------------------- */

static void failures_have_names_and_no_effects(void **state)
{
    static const struct {
        const char *function;
        struct smelt_outcome outcome;
        const char *data;
    } rows[] = {
        {"fail", {.kind = SMELT_OUTCOME_REVERTED}, "on demand"},
        {"trap", {.kind = SMELT_OUTCOME_TRAPPED, .trap = SMELT_TRAP_UNREACHABLE}, ""},
        {"divide", {.kind = SMELT_OUTCOME_TRAPPED, .trap = SMELT_TRAP_INTEGER_DIVIDE_BY_ZERO}, ""},
        {"wild_read", {.kind = SMELT_OUTCOME_TRAPPED, .trap = SMELT_TRAP_MEMORY_OUT_OF_BOUNDS}, ""},
        {"recurse", {.kind = SMELT_OUTCOME_TRAPPED, .trap = SMELT_TRAP_STACK_OVERFLOW}, ""},
        {"spin", {.kind = SMELT_OUTCOME_OUT_OF_FUEL}, ""},
        {"wrong_key",
         {.kind = SMELT_OUTCOME_TRAPPED,
          .trap = SMELT_TRAP_HOST_ERROR,
          .host_error = SMELT_HOST_ERROR_KEY_SIZE},
         ""},
    };
    struct world *world = *state;
    struct smelt_address faulty = deploy(world, "faulty");
    world->transaction.fuel_limit = 50000000;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("row: %s\n", rows[i].function);
        expect_failed(world, &faulty, rows[i].function, rows[i].outcome, rows[i].data);
    }
    assert_int_equal(int_result(world, &faulty, "marked"), 0);
}

static void out_of_fuel_uses_the_whole_limit(void **state)
{
    struct world *world = *state;
    struct smelt_address faulty = deploy(world, "faulty");
    world->transaction.fuel_limit = 12345;
    struct smelt_receipt *receipt = call(world, &faulty, "spin");
    assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_OUT_OF_FUEL);
    assert_int_equal(receipt->fuel_used, 12345);
    assert_false(receipt->location.is_known);
    smelt_receipt_destroy(receipt);
}

static void a_trap_knows_its_place(void **state)
{
    struct world *world = *state;
    struct smelt_address faulty = deploy(world, "faulty");
    struct smelt_receipt *receipt = call(world, &faulty, "trap");
    assert_true(receipt->location.is_known);
    assert_true(receipt->location.offset > 0);
    assert_true(receipt->location.function.size > 0);
    smelt_receipt_destroy(receipt);
}

static void calls_nest_to_the_depth_limit(void **state)
{
    struct world *world = *state;
    struct smelt_address faulty = deploy(world, "faulty");
    assert_int_equal(int_result(world, &faulty, "call_self"), SMELT_NESTED_DEPTH);
}

/* ---- hash chain ------------------------------------------------------------------------------ */

/* Figures of another implementation (Python's hashlib, and Keccak by its reference description). */
static void hash_chain_agrees_with_another_implementation(void **state)
{
    static const struct {
        uint64_t rounds;
        int64_t result;
    } rows[] = {
        {0, 0},
        {1, 8628161281313630310},
        {1000, 3234827540275904822},
        {2048, -INT64_C(5736875569444971814)},
    };
    struct world *world = *state;
    struct smelt_address chain = deploy(world, "hashchain");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_value rounds = {.type = SMELT_VALTYPE_I32, .bits = rows[i].rounds};
        struct smelt_receipt *receipt = call_with(world, &chain, "run", &rounds, 1);
        assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
        assert_int_equal(receipt->result_count, 1);
        assert_int_equal(receipt->results[0].type, SMELT_VALTYPE_I64);
        assert_true((int64_t)receipt->results[0].bits == rows[i].result);
        smelt_receipt_destroy(receipt);
    }
}

/* ---- main ------------------------------------------------------------------------------------ */

static int open_tools(void **state)
{
    const char *base = getenv("TMPDIR");
    char path[300];
    struct smelt_error err = {0};
    (void)snprintf(scratch, sizeof(scratch), "%s/smelt-examples-XXXXXX",
                   base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(scratch));
    (void)snprintf(path, sizeof(path), "%s/cache", scratch);
    require_ok(smelt_cache_open(path, &cache, &err), &err);
    require_ok(smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &schedule, &err), &err);
    struct smelt_compiler_options options = {.cache = cache, .schedule = schedule};
    require_ok(smelt_compiler_create(&options, &compiler, &err), &err);
    (void)state;
    return 0;
}

static int close_tools(void **state)
{
    smelt_compiler_destroy(compiler);
    smelt_schedule_destroy(schedule);
    smelt_cache_close(cache);
    (void)state;
    return sm_fs_remove_tree(scratch, NULL) == SMELT_STATUS_OK ? 0 : -1;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, open_world, close_world)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(counts_over_transactions),
        TEST(static_counter_reads_and_may_not_write),
        TEST(token_mints_to_the_deployer),
        TEST(token_deploy_fails_with_a_short_supply),
        TEST(token_transfers),
        TEST(token_transfer_to_oneself_changes_nothing),
        TEST(token_refuses_wrong_input_sizes),
        TEST(token_allowances),
        TEST(token_allowance_survives_a_failed_move),
        TEST(escrow_releases_to_the_payee),
        TEST(escrow_refunds_after_the_deadline),
        TEST(escrow_refuses_wrong_deposits),
        TEST(more_value_than_there_is_is_the_callers_mistake),
        TEST(vault_survives_its_callees),
        TEST(vault_events_follow_the_layers),
        TEST(vault_calls_nobody),
        TEST(vault_sends_value),
        TEST(vault_query_is_static),
        TEST(vault_obeys_its_owner_only),
        TEST(vault_refuses_malformed_requests),
        TEST(failures_have_names_and_no_effects),
        TEST(out_of_fuel_uses_the_whole_limit),
        TEST(a_trap_knows_its_place),
        TEST(calls_nest_to_the_depth_limit),
        TEST(hash_chain_agrees_with_another_implementation),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: %s <contracts directory>\n", argv[0]);
        return 2;
    }
    contracts_directory = argv[1];
    return cmocka_run_group_tests(tests, open_tools, close_tools);
}
