/* Engines, deploys and calls from outside: refusals, what is written and what is not, receipts. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "runtime/host/engine.h"
#include "tests/unit/runtime/engine_fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#define GUEST "guest_host.so"
#define INIT  "guest_init.so"

static const struct smelt_slice counter = {(const uint8_t *)"counter", 7};

/* ---- engine ---------------------------------------------------------------------------------- */

static enum smelt_status create(struct fixture *fixture, struct smelt_engine_options options)
{
    smelt_engine_destroy(fixture->engine);
    fixture->engine = NULL;
    return smelt_engine_create(&options, &fixture->engine, &fixture->err);
}

static struct smelt_engine_options good_options(struct fixture *fixture)
{
    return (struct smelt_engine_options){
        .store = &fixture->store, .schedule = fixture->schedule, .source = fixture_source(fixture)};
}

static enum smelt_host_action do_nothing(struct smelt_host_call *call)
{
    call->result = 0;
    return SMELT_HOST_CONTINUE;
}

static void options_are_checked(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const smelt_host_fn no_handlers[64] = {NULL};
    struct smelt_profile own = smelt_profile_engine;
    struct smelt_engine_options options = good_options(fixture);
    struct smelt_engine *none = NULL;
    assert_int_equal(smelt_engine_create(NULL, &none, &fixture->err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_engine_create(&options, NULL, &fixture->err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    options.store = NULL;
    assert_int_equal(create(fixture, options), SMELT_STATUS_INVALID_ARGUMENT);
    options = good_options(fixture);
    options.schedule = NULL;
    assert_int_equal(create(fixture, options), SMELT_STATUS_INVALID_ARGUMENT);
    options = good_options(fixture);
    options.source.open = NULL;
    assert_int_equal(create(fixture, options), SMELT_STATUS_INVALID_ARGUMENT);
    options = good_options(fixture);
    options.handlers = no_handlers;
    assert_int_equal(create(fixture, options), SMELT_STATUS_INVALID_ARGUMENT);
    options = good_options(fixture);
    options.profile = &own; /* not the built-in one: needs handlers */
    assert_int_equal(create(fixture, options), SMELT_STATUS_INVALID_ARGUMENT);
    own.function_count--; /* the schedule has one price too many */
    const smelt_host_fn handlers[64] = {do_nothing};
    options.handlers = handlers;
    assert_int_equal(create(fixture, options), SMELT_STATUS_INVALID_ARGUMENT);
    own = smelt_profile_engine;
    own.call_depth_max = 0;
    assert_int_equal(create(fixture, options), SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(create(fixture, good_options(fixture)), SMELT_STATUS_OK);
}

static void a_state_belongs_to_its_profile_schedule_and_policy(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_schedule *unit = NULL;
    struct smelt_policy *standard = NULL;
    struct smelt_policy *floats = NULL;
    struct smelt_state_description description;
    assert_int_equal(smelt_policy_builtin("standard", &standard, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_policy_builtin("standard-floats", &floats, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_state_describe(&fixture->store, &description, NULL), SMELT_STATUS_OK);
    assert_true(description.is_recorded);
    assert_slice(sm_buf_slice(&description.profile_name), "engine", 6);
    struct smelt_slice expected = smelt_schedule_text(fixture->schedule);
    assert_slice(sm_buf_slice(&description.schedule_text), expected.data, expected.size);
    expected = smelt_policy_text(standard);
    assert_slice(sm_buf_slice(&description.policy_text), expected.data, expected.size);
    smelt_state_description_deinit(&description);

    struct smelt_engine_options options = good_options(fixture);
    assert_int_equal(smelt_schedule_builtin("unit", &smelt_profile_engine, &unit, NULL),
                     SMELT_STATUS_OK);
    options.schedule = unit;
    assert_int_equal(create(fixture, options), SMELT_STATUS_STATE_MISMATCH);
    assert_non_null(strstr(fixture->err.message, "unit"));
    options = good_options(fixture);
    options.policy = floats;
    assert_int_equal(create(fixture, options), SMELT_STATUS_STATE_MISMATCH);
    assert_non_null(strstr(fixture->err.message, "created with policy "));
    assert_non_null(strstr(fixture->err.message, "not with standard-floats"));
    options.policy = standard; /* the default, by value */
    assert_int_equal(create(fixture, options), SMELT_STATUS_OK);

    struct smelt_profile own = smelt_profile_engine;
    smelt_host_fn handlers[64];
    for (size_t i = 0; i < 64; i++) {
        handlers[i] = do_nothing;
    }
    options = good_options(fixture);
    options.profile = &own;
    options.handlers = handlers;
    assert_int_equal(create(fixture, options), SMELT_STATUS_OK); /* the same rules, by value */
    own.call_depth_max++;
    assert_int_equal(create(fixture, options), SMELT_STATUS_STATE_MISMATCH);
    own = smelt_profile_engine;
    own.name = "other";
    assert_int_equal(create(fixture, options), SMELT_STATUS_STATE_MISMATCH);
    assert_non_null(strstr(fixture->err.message, "engine"));
    assert_non_null(strstr(fixture->err.message, "other"));

    /* an existing state is opened without a write */
    fixture->fail_write = true;
    assert_int_equal(create(fixture, good_options(fixture)), SMELT_STATUS_OK);
    assert_int_equal(fixture->writes, 0);
    smelt_schedule_destroy(unit);
    smelt_policy_destroy(standard);
    smelt_policy_destroy(floats);
}

/* A record that is half there belongs to no version of ours. */
static void a_state_without_one_of_its_records_is_damaged(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static const char *const keys[] = {"profile", "schedule", "policy", "schedule-digest",
                                       "policy-digest"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct smelt_store_write write = {.family = SMELT_STORE_META,
                                          .key = smelt_slice_from_string(keys[i])};
        struct smelt_state_description description;
        struct smelt_buf kept = {0};
        bool found = false;
        struct smelt_store *store = &fixture->store;
        assert_int_equal(
            store->ops->get(store->impl, NULL, write.family, write.key, &kept, &found, NULL), 0);
        assert_true(found);
        write.is_delete = true;
        assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), 0);
        if (i < 3) {
            assert_int_equal(smelt_state_describe(store, &description, &fixture->err),
                             SMELT_STATUS_STORE_CORRUPT);
            assert_non_null(strstr(fixture->err.message, keys[i]));
            assert_false(description.is_recorded);
        } else {
            assert_int_equal(create(fixture, good_options(fixture)), SMELT_STATUS_STORE_CORRUPT);
            assert_non_null(strstr(fixture->err.message, keys[i]));
        }
        write.is_delete = false;
        write.value = sm_buf_slice(&kept);
        assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), 0);
        smelt_buf_deinit(&kept);
    }
    assert_int_equal(create(fixture, good_options(fixture)), SMELT_STATUS_OK);
}

static void a_new_state_is_described_as_new(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_store *fresh = NULL;
    struct smelt_state_description description = {.is_recorded = true};
    assert_int_equal(smelt_store_create_memory(&fresh, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_state_describe(fresh, &description, NULL), SMELT_STATUS_OK);
    assert_false(description.is_recorded);
    assert_int_equal(description.profile_name.size + description.policy_text.size, 0);
    assert_int_equal(smelt_state_describe(NULL, &description, &fixture->err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_state_describe(fresh, NULL, &fixture->err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    smelt_store_close(fresh);
}

/* ---- deploy ---------------------------------------------------------------------------------- */

static void a_deploy_creates_account_and_code_in_one_batch(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address expected;
    struct smelt_account account;
    struct smelt_hash hash;
    fixture->transaction.value.low = 9;
    smelt_contract_address(&alice, 0, &expected);
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    sm_digest_bytes(smelt_slice_from_string(GUEST), &hash);
    assert_memory_equal(&address, &expected, sizeof(address));
    assert_memory_equal(&fixture->receipt->module_hash, &hash, sizeof(hash));
    assert_int_equal(fixture->receipt->artefact_key.bytes[0], hash.bytes[0] ^ 0xff);
    assert_int_equal(fixture->receipt->fuel_used, 0);
    assert_int_equal(fixture->receipt->fuel_limit, SMELT_FUEL_DEFAULT);
    assert_int_equal(fixture->receipt->result_count, 0);
    assert_int_equal(fixture->receipt->write_count, 0);
    assert_int_equal(fixture->writes, 1);
    assert_int_equal(smelt_account_get(&fixture->store, &address, &account, NULL), SMELT_STATUS_OK);
    assert_true(account.is_contract);
    assert_memory_equal(&account.code_hash, &hash, sizeof(hash));
    assert_memory_equal(&account.owner, &alice, sizeof(alice));
    assert_int_equal(account.balance.low, 9);
    assert_int_equal(balance_of(fixture, &alice), FUNDS - 9);
    assert_int_equal(nonce_of(fixture, &alice), 1);
    smelt_contract_address(&alice, 1, &expected);
    address = fixture_deploy(fixture, GUEST);
    assert_memory_equal(&address, &expected, sizeof(address));
}

static void a_balance_sent_ahead_stays(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address address;
    smelt_contract_address(&alice, 0, &address);
    assert_int_equal(
        smelt_account_fund(&fixture->store, &address, (struct smelt_u128){.low = 5}, NULL),
        SMELT_STATUS_OK);
    (void)fixture_deploy(fixture, GUEST);
    assert_int_equal(balance_of(fixture, &address), 5);
}

static void init_runs_once_with_the_deploy_s_input_and_value(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static struct script script;
    uint8_t value[8];
    script.size = 0;
    SCRIPT_HOSTN(&script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 3);
    SCRIPT_HOSTN(&script, log_event, GUEST_KEY, 1, GUEST_KEY, 1);
    SCRIPT_HOSTN(&script, get_value, GUEST_SCRATCH);
    SCRIPT_HOSTN(&script, return_data, GUEST_SCRATCH, 1);
    fixture->transaction.input = sm_slice(script.bytes, script.size);
    fixture->transaction.value.low = 9;
    struct smelt_address address = fixture_deploy(fixture, INIT);
    assert_int_equal(fixture->receipt->event_count, 1);
    assert_int_equal(fixture->receipt->write_count, 1);
    assert_slice(fixture->receipt->return_data, "\x09", 1);
    assert_true(fixture->receipt->fuel_used > 2000);
    assert_int_equal(stored(fixture, &address, counter, value, sizeof(value)), 3);
    assert_int_equal(fixture->writes, 1);
}

/* While init runs, the code is in no store yet: it is found among the loaded contracts. */
static void init_may_call_its_own_contract(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static struct script script;
    struct smelt_address address;
    script.size = 0;
    smelt_contract_address(&alice, 0, &address);
    script_poke(&script, GUEST_FREE, sm_slice(address.bytes, 32));
    script_poke(&script, GUEST_FREE + 32, smelt_slice_from_string("run"));
    SCRIPT_HOSTN(&script, call_contract, GUEST_FREE, GUEST_FREE + 32, 3, 0, 0, GUEST_ZEROES, 0);
    script_word(&script, SCRIPT_EXPECT, SMELT_NESTED_RETURNED);
    fixture->transaction.input = sm_slice(script.bytes, script.size);
    (void)fixture_deploy(fixture, INIT);
}

static void a_failing_init_leaves_nothing(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static struct script script;
    struct smelt_account account;
    struct smelt_hash hash;
    struct smelt_buf code = {0};
    bool found = true;
    script.size = 0;
    SCRIPT_HOSTN(&script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 3);
    SCRIPT_HOSTN(&script, revert, GUEST_KEY, GUEST_KEY_SIZE);
    fixture->transaction.input = sm_slice(script.bytes, script.size);
    fixture->transaction.value.low = 9;
    assert_int_equal(fixture_try_deploy(fixture, INIT), SMELT_STATUS_OK);
    assert_int_equal(fixture->receipt->outcome.kind, SMELT_OUTCOME_REVERTED);
    assert_slice(fixture->receipt->return_data, "counter", 7);
    assert_int_equal(fixture->writes, 0);
    assert_int_equal(nonce_of(fixture, &alice), 0);
    assert_int_equal(balance_of(fixture, &alice), FUNDS);
    assert_int_equal(smelt_account_get(&fixture->store, &fixture->receipt->address, &account, NULL),
                     SMELT_STATUS_OK);
    assert_false(account.is_contract);
    sm_digest_bytes(smelt_slice_from_string(INIT), &hash);
    assert_int_equal(fixture->inner->ops->get(fixture->inner->impl, NULL, SMELT_STORE_CODE,
                                              sm_slice(hash.bytes, 32), &code, &found, NULL),
                     SMELT_STATUS_OK);
    assert_false(found);
    smelt_buf_deinit(&code);
}

static void a_trapping_instantiation_fails_the_deploy(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    assert_int_equal(fixture_try_deploy(fixture, "guest_bad_segment.so"), SMELT_STATUS_OK);
    assert_trapped(fixture->receipt, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS, SMELT_HOST_ERROR_NONE);
    assert_false(fixture->receipt->location.is_known);
    assert_int_equal(fixture->writes, 0);
}

static void refused_modules_leave_no_trace(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static const struct {
        const char *module;
        enum smelt_status status;
    } rows[] = {
        {"guest_bad_init.so", SMELT_STATUS_MODULE_EXPORT},
        {"guest_wrong_import.so", SMELT_STATUS_ARTEFACT_MISMATCH},
        {"guest_unknown_import.so", SMELT_STATUS_ARTEFACT_MISMATCH},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(fixture_try_deploy(fixture, rows[i].module), rows[i].status);
        assert_null(fixture->receipt);
    }
    fixture->refusal = SMELT_STATUS_MODULE_FLOAT;
    assert_int_equal(fixture_try_deploy(fixture, GUEST), SMELT_STATUS_MODULE_FLOAT);
    assert_string_equal(fixture->err.message, "refused on demand");
    assert_int_equal(fixture->writes, 0);
    assert_int_equal(nonce_of(fixture, &alice), 0);
}

/* ---- call ------------------------------------------------------------------------------------ */

static void values_go_in_and_out_typed(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    /* above an i32: ignored */
    const struct smelt_value arguments[] = {{SMELT_VALTYPE_I32, UINT64_C(0xabcd00000005)},
                                            {SMELT_VALTYPE_I64, UINT64_MAX - 6}};
    assert_int_equal(fixture_try_call(fixture, &address, "swap", arguments, 2), SMELT_STATUS_OK);
    assert_int_equal(fixture->receipt->result_count, 2);
    assert_int_equal(fixture->receipt->results[0].type, SMELT_VALTYPE_I64);
    assert_int_equal(fixture->receipt->results[0].bits, UINT64_MAX - 6);
    assert_int_equal(fixture->receipt->results[1].type, SMELT_VALTYPE_I32);
    assert_int_equal(fixture->receipt->results[1].bits, 5);
}

static void calls_that_cannot_be_made(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    const struct smelt_value i32 = {SMELT_VALTYPE_I32, 1};
    const struct smelt_value two[] = {i32, i32};
    const struct smelt_value three[] = {i32, {SMELT_VALTYPE_I64, 1}, i32};
    const struct smelt_value f32 = {SMELT_VALTYPE_F32, 0};
    const struct {
        const struct smelt_address *address;
        const char *function;
        const struct smelt_value *arguments;
        size_t count;
        enum smelt_status status;
        const char *message; /* part of it */
    } rows[] = {
        {&bob, "run", NULL, 0, SMELT_STATUS_NO_CONTRACT, "b00b00"},
        {&alice, "run", NULL, 0, SMELT_STATUS_NO_CONTRACT, "a11c0e"},
        {&address, "missing", NULL, 0, SMELT_STATUS_UNKNOWN_FUNCTION, "missing"},
        {&address, "", NULL, 0, SMELT_STATUS_UNKNOWN_FUNCTION, ""},
        {&address, "\x1b[2J", NULL, 0, SMELT_STATUS_UNKNOWN_FUNCTION, "?[2J"},
        {&address, "__hidden", NULL, 0, SMELT_STATUS_UNKNOWN_FUNCTION, "reserved"},
        {&address, "memory", NULL, 0, SMELT_STATUS_UNKNOWN_FUNCTION, "reserved"},
        {&address, "init", NULL, 0, SMELT_STATUS_UNKNOWN_FUNCTION, "reserved"},
        {&address, "allocate", &i32, 1, SMELT_STATUS_UNKNOWN_FUNCTION, "reserved"},
        {&address, "takes_float", &f32, 1, SMELT_STATUS_UNKNOWN_FUNCTION, "f32"},
        {&address, "run", &i32, 1, SMELT_STATUS_ARGUMENT_MISMATCH, "() -> (i64)"},
        {&address, "swap", NULL, 0, SMELT_STATUS_ARGUMENT_MISMATCH, "(i32, i64) -> (i64, i32)"},
        {&address, "swap", two, 1, SMELT_STATUS_ARGUMENT_MISMATCH, "1 argument was"},
        {&address, "swap", two, 2, SMELT_STATUS_ARGUMENT_MISMATCH, "argument 2 has type i32"},
        {&address, "swap", three, 3, SMELT_STATUS_ARGUMENT_MISMATCH, "3 arguments were"},
        {NULL, "run", NULL, 0, SMELT_STATUS_INVALID_ARGUMENT, ""},
        {&address, NULL, NULL, 0, SMELT_STATUS_INVALID_ARGUMENT, ""},
        {&address, "swap", NULL, 2, SMELT_STATUS_INVALID_ARGUMENT, ""},
    };
    size_t writes = fixture->writes;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum smelt_status status = fixture_try_call(fixture, rows[i].address, rows[i].function,
                                                    rows[i].arguments, rows[i].count);
        if (status != rows[i].status || strstr(fixture->err.message, rows[i].message) == NULL) {
            fail_msg("row %zu: %s: %s", i, smelt_status_name(status), fixture->err.message);
        }
        assert_null(fixture->receipt);
    }
    assert_int_equal(fixture->writes, writes);
    assert_int_equal(nonce_of(fixture, &alice), 1);
}

static void transactions_are_checked(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    const struct smelt_transaction good = fixture->transaction;
    fixture->transaction.fuel_limit = (uint64_t)SMELT_FUEL_MAX + 1;
    assert_int_equal(fixture_try_call(fixture, &address, "run", NULL, 0),
                     SMELT_STATUS_INVALID_ARGUMENT);
    fixture->transaction.fuel_limit = (uint64_t)SMELT_FUEL_MAX;
    assert_int_equal(fixture_try_call(fixture, &address, "run", NULL, 0), SMELT_STATUS_OK);
    fixture->transaction = good;
    fixture->transaction.input = (struct smelt_slice){.size = 1};
    assert_int_equal(fixture_try_call(fixture, &address, "run", NULL, 0),
                     SMELT_STATUS_INVALID_ARGUMENT);
    fixture->transaction = good;
    fixture->transaction.is_static = true;
    fixture->transaction.value.high = 1;
    assert_int_equal(fixture_try_call(fixture, &address, "run", NULL, 0),
                     SMELT_STATUS_INVALID_ARGUMENT);
    fixture->transaction.value.high = 0;
    assert_int_equal(fixture_try_deploy(fixture, GUEST), SMELT_STATUS_INVALID_ARGUMENT);
    fixture->transaction = good;
    fixture->transaction.value.low = FUNDS + 1;
    assert_int_equal(fixture_try_call(fixture, &address, "run", NULL, 0),
                     SMELT_STATUS_INSUFFICIENT_BALANCE);
    assert_int_equal(fixture_try_deploy(fixture, GUEST), SMELT_STATUS_INSUFFICIENT_BALANCE);
    fixture->transaction.value.low = FUNDS;
    assert_int_equal(fixture_try_call(fixture, &address, "run", NULL, 0), SMELT_STATUS_OK);
    const struct smelt_u128 most = {.low = UINT64_MAX - FUNDS, .high = UINT64_MAX};
    assert_int_equal(smelt_account_fund(&fixture->store, &address, most, NULL), SMELT_STATUS_OK);
    assert_int_equal(
        smelt_account_fund(&fixture->store, &alice, (struct smelt_u128){.low = 1}, NULL),
        SMELT_STATUS_OK);
    fixture->transaction.value.low = 1;
    assert_int_equal(fixture_try_call(fixture, &address, "run", NULL, 0),
                     SMELT_STATUS_BALANCE_OVERFLOW);
}

static void a_static_call_writes_nothing_not_even_the_nonce(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    size_t writes = fixture->writes;
    fixture->transaction.is_static = true;
    fixture->fail_write = true;
    assert_returned(fixture_call(fixture, &address, "run"), 0);
    assert_int_equal(fixture->writes, writes);
    assert_int_equal(nonce_of(fixture, &alice), 1);
    fixture->transaction.is_static = false;
    assert_int_equal(fixture_try_call(fixture, &address, "run", NULL, 0), SMELT_STATUS_NO_SPACE);
    assert_int_equal(nonce_of(fixture, &alice), 1);
    fixture->fail_write = false;
    assert_returned(fixture_call(fixture, &address, "run"), 0);
    assert_int_equal(nonce_of(fixture, &alice), 2);
}

static void traps_say_where(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    const struct smelt_receipt *receipt = fixture_call(fixture, &address, "trap");
    assert_trapped(receipt, SMELT_TRAP_UNREACHABLE, SMELT_HOST_ERROR_NONE);
    assert_int_equal(receipt->fuel_used, 7);
    assert_true(receipt->location.is_known);
    assert_slice(receipt->location.function, "func[26]", 8); /* it has no name */
    assert_int_equal(receipt->location.func_index, 26);
    assert_int_equal(receipt->location.offset, GUEST_AT_NAMELESS);
    fixture->transaction.fuel_limit = 6;
    assert_out_of_fuel(fixture_call(fixture, &address, "trap"));
    fixture->transaction.fuel_limit = 7;
    assert_trapped(fixture_call(fixture, &address, "trap"), SMELT_TRAP_UNREACHABLE,
                   SMELT_HOST_ERROR_NONE);
    fixture->transaction.fuel_limit = 0;
    address = fixture_deploy(fixture, "guest_long_name.so");
    receipt = fixture_call(fixture, &address, "trap");
    assert_slice(receipt->location.function, "func[26]", 8); /* its name has 257 bytes */
}

/* ---- handlers of an embedder ----------------------------------------------------------------- */

static enum smelt_host_action stop_without_reason(struct smelt_host_call *call)
{
    (void)call;
    return SMELT_HOST_STOP;
}

static enum smelt_host_action fail_without_error(struct smelt_host_call *call)
{
    return smelt_host_fail(call, NULL);
}

static enum smelt_host_action trap_without_trap(struct smelt_host_call *call)
{
    return smelt_host_trap(call, SMELT_TRAP_NONE, SMELT_HOST_ERROR_NONE);
}

static enum smelt_host_action fail_with_io(struct smelt_host_call *call)
{
    const struct smelt_error error = {.status = SMELT_STATUS_IO, .message = "the disk is on fire"};
    return smelt_host_fail(call, &error);
}

/* The first end stands, also when the handler goes on as if there had been none. */
static enum smelt_host_action trap_then_go_on(struct smelt_host_call *call)
{
    (void)smelt_host_trap(call, SMELT_TRAP_UNREACHABLE, SMELT_HOST_ERROR_NONE);
    (void)smelt_host_trap(call, SMELT_TRAP_HOST_ERROR, SMELT_HOST_ERROR_KEY_SIZE);
    (void)smelt_host_revert(call, counter);
    call->result = 1;
    return SMELT_HOST_CONTINUE;
}

/* The row is not marked as mutating. */
static enum smelt_host_action write_behind_the_row(struct smelt_host_call *call)
{
    return smelt_host_storage_put(call, counter, counter);
}

static enum smelt_host_action emit_behind_the_row(struct smelt_host_call *call)
{
    return smelt_host_emit(call, counter, counter);
}

static enum smelt_host_action use_a_huge_key(struct smelt_host_call *call)
{
    static uint8_t bytes[1025];
    struct smelt_slice value;
    bool found;
    return smelt_host_storage_get(call, sm_slice(bytes, sizeof(bytes)), &value, &found);
}

static enum smelt_host_action charge_everything(struct smelt_host_call *call)
{
    return smelt_host_charge(call, UINT64_MAX);
}

static void handlers_cannot_break_the_engine(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static const struct smelt_outcome none = {.kind = SMELT_OUTCOME_RETURNED};
    static const struct {
        smelt_host_fn handler;
        bool is_static;
        enum smelt_status status;
        struct smelt_outcome outcome;
    } rows[] = {
        {stop_without_reason, false, SMELT_STATUS_INTERNAL, none},
        {fail_without_error, false, SMELT_STATUS_INTERNAL, none},
        {trap_without_trap, false, SMELT_STATUS_INTERNAL, none},
        {fail_with_io, false, SMELT_STATUS_IO, none},
        {trap_then_go_on,
         false,
         SMELT_STATUS_OK,
         {SMELT_OUTCOME_TRAPPED, SMELT_TRAP_UNREACHABLE, SMELT_HOST_ERROR_NONE}},
        {write_behind_the_row, false, SMELT_STATUS_OK, none},
        {write_behind_the_row,
         true,
         SMELT_STATUS_OK,
         {SMELT_OUTCOME_TRAPPED, SMELT_TRAP_STATIC_VIOLATION, SMELT_HOST_ERROR_NONE}},
        {emit_behind_the_row,
         true,
         SMELT_STATUS_OK,
         {SMELT_OUTCOME_TRAPPED, SMELT_TRAP_STATIC_VIOLATION, SMELT_HOST_ERROR_NONE}},
        {use_a_huge_key,
         false,
         SMELT_STATUS_OK,
         {SMELT_OUTCOME_TRAPPED, SMELT_TRAP_HOST_ERROR, SMELT_HOST_ERROR_KEY_SIZE}},
        {charge_everything, false, SMELT_STATUS_OK, {.kind = SMELT_OUTCOME_OUT_OF_FUEL}},
    };
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    smelt_host_fn handlers[64];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_engine_options options = good_options(fixture);
        for (size_t row = 0; row < smelt_profile_engine.function_count; row++) {
            handlers[row] = do_nothing;
        }
        handlers[GUEST_HOST_input_len] = rows[i].handler;
        options.handlers = handlers;
        assert_int_equal(create(fixture, options), SMELT_STATUS_OK);
        fixture->transaction.is_static = rows[i].is_static;
        enum smelt_status status = fixture_try_call(fixture, &address, "run", NULL, 0);
        if (status != rows[i].status) {
            fail_msg("row %zu: %s", i, smelt_status_name(status));
        }
        if (status == SMELT_STATUS_OK) {
            assert_memory_equal(&fixture->receipt->outcome, &rows[i].outcome,
                                sizeof(struct smelt_outcome));
        } else {
            assert_int_equal(fixture->err.status, status);
            assert_null(fixture->receipt);
        }
    }
}

static struct reentry {
    struct fixture *fixture;
    struct smelt_address address;
    enum smelt_status statuses[3]; /* of a call, a deploy, a static call */
} reentry;

/* Begins transactions in the engine that runs it. */
static enum smelt_host_action call_back(struct smelt_host_call *call)
{
    const struct fixture *fixture = reentry.fixture;
    struct smelt_transaction transaction = fixture->transaction;
    struct smelt_receipt *receipt = NULL;
    call->result = 0;
    if (smelt_host_context(call)->is_static) {
        return SMELT_HOST_CONTINUE;
    }
    reentry.statuses[0] =
        smelt_call(fixture->engine, &transaction, &reentry.address, "run", NULL, 0, &receipt, NULL);
    reentry.statuses[1] =
        smelt_deploy(fixture->engine, &transaction, smelt_slice_from_string(GUEST), &receipt, NULL);
    transaction.is_static = true;
    reentry.statuses[2] =
        smelt_call(fixture->engine, &transaction, &reentry.address, "run", NULL, 0, &receipt, NULL);
    smelt_receipt_destroy(receipt);
    return SMELT_HOST_CONTINUE;
}

/* The turn is taken: an answer, where waiting for it would be for ever. */
static void handlers_may_call_back_to_read(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    smelt_host_fn handlers[64];
    reentry = (struct reentry){.fixture = fixture, .address = fixture_deploy(fixture, GUEST)};
    for (size_t row = 0; row < smelt_profile_engine.function_count; row++) {
        handlers[row] = do_nothing;
    }
    handlers[GUEST_HOST_input_len] = call_back;
    struct smelt_engine_options options = good_options(fixture);
    options.handlers = handlers;
    assert_int_equal(create(fixture, options), SMELT_STATUS_OK);
    for (uint64_t round = 0; round < 2; round++) {
        uint64_t nonce = nonce_of(fixture, &alice);
        assert_int_equal(fixture_try_call(fixture, &reentry.address, "run", NULL, 0),
                         SMELT_STATUS_OK);
        assert_int_equal(reentry.statuses[0], SMELT_STATUS_INVALID_ARGUMENT);
        assert_int_equal(reentry.statuses[1], SMELT_STATUS_INVALID_ARGUMENT);
        assert_int_equal(reentry.statuses[2], SMELT_STATUS_OK);
        assert_int_equal(nonce_of(fixture, &alice), nonce + 1);
    }
}

/* A thread that lives longer than the calls: neither making it nor waiting for it may make a page
 * fault in the thread that executes. */
static struct scribe {
    sem_t wanted;
    sem_t done;
    uint8_t *to; /* NULL: it ends */
} scribe;

static void *write_results(void *argument)
{
    (void)argument;
    for (;;) {
        (void)sem_wait(&scribe.wanted);
        if (scribe.to == NULL) {
            return NULL;
        }
        memset(scribe.to, 0xee, 32);
        (void)sem_post(&scribe.done);
    }
}

static enum smelt_host_action hash_elsewhere(struct smelt_host_call *call)
{
    scribe.to = call->args[1].data;
    (void)sem_post(&scribe.wanted);
    (void)sem_wait(&scribe.done);
    call->result = 32;
    return SMELT_HOST_CONTINUE;
}

static void results_of_other_threads_are_gone_too(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static const uint8_t zeroes[32];
    pthread_t thread;
    smelt_host_fn handlers[64];
    memcpy(handlers, sm_engine_handlers, smelt_profile_engine.function_count * sizeof(handlers[0]));
    handlers[GUEST_HOST_crypto_hash] = hash_elsewhere;
    struct smelt_engine_options options = good_options(fixture);
    options.handlers = handlers;
    assert_int_equal(create(fixture, options), SMELT_STATUS_OK);
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    (void)sem_init(&scribe.wanted, 0, 0);
    (void)sem_init(&scribe.done, 0, 0);
    assert_int_equal(pthread_create(&thread, NULL, write_results, NULL), 0);
    for (uint64_t to = 8192; to < 57344; to += 4096) {
        for (int i = 0; i < 5; i++) {
            (void)FIXTURE_HOST(fixture, &address, crypto_hash, GUEST_KEY, 5, to);
            assert_int_equal(fixture->receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
            (void)FIXTURE_HOST(fixture, &address, return_data, to, sizeof(zeroes));
            assert_slice(fixture->receipt->return_data, zeroes, sizeof(zeroes));
        }
    }
    scribe.to = NULL;
    (void)sem_post(&scribe.wanted);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- loaded contracts ------------------------------------------------------------------------ */

static void modules_are_loaded_once_while_they_are_used(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address first = fixture_deploy(fixture, GUEST);
    (void)fixture_deploy(fixture, GUEST);
    (void)fixture_call(fixture, &first, "run");
    assert_int_equal(fixture->opens, 1);
    /* 255 others leave the first one in, one more makes it the oldest of 257 */
    struct smelt_address other = {{0}};
    char name[64];
    for (int i = 0; i < 255; i++) {
        (void)snprintf(name, sizeof(name), GUEST "#%d", i);
        other = fixture_deploy(fixture, name);
    }
    (void)fixture_call(fixture, &first, "run");
    assert_int_equal(fixture->opens, 256);
    (void)fixture_deploy(fixture, GUEST "#255"); /* #0 goes */
    (void)fixture_call(fixture, &first, "run");
    (void)fixture_call(fixture, &other, "run");
    assert_int_equal(fixture->opens, 257);
    (void)fixture_deploy(fixture, GUEST "#0");
    assert_int_equal(fixture->opens, 258);
}

static void damaged_code_is_noticed(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    const struct smelt_hash hash = fixture->receipt->module_hash;
    assert_int_equal(create(fixture, good_options(fixture)), SMELT_STATUS_OK);
    const struct smelt_store_write damage = {.family = SMELT_STORE_CODE,
                                             .key = sm_slice(hash.bytes, 32),
                                             .value = smelt_slice_from_string("guest_init.so")};
    assert_int_equal(fixture->store.ops->write(fixture, &damage, 1, NULL), SMELT_STATUS_OK);
    assert_int_equal(fixture_try_call(fixture, &address, "run", NULL, 0),
                     SMELT_STATUS_STORE_CORRUPT);
    assert_int_equal(fixture->opens, 1);
}

/* ---- memory failures ------------------------------------------------------------------------- */

static struct script everything;

static enum smelt_status sweep_create(struct fixture *fixture)
{
    return create(fixture, good_options(fixture));
}

static enum smelt_status sweep_describe(struct fixture *fixture)
{
    struct smelt_state_description description;
    enum smelt_status status = smelt_state_describe(&fixture->store, &description, &fixture->err);
    smelt_state_description_deinit(&description);
    return status;
}

static enum smelt_status sweep_deploy(struct fixture *fixture)
{
    fixture->transaction.input = sm_slice(everything.bytes, everything.size);
    return fixture_try_deploy(fixture, INIT);
}

static enum smelt_status sweep_call(struct fixture *fixture)
{
    struct smelt_address address;
    smelt_contract_address(&alice, 0, &address);
    fixture->transaction.input = sm_slice(everything.bytes, everything.size);
    return fixture_try_call(fixture, &address, "run", NULL, 0);
}

static void memory_may_run_out_at_any_allocation(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address address;
    smelt_contract_address(&alice, 0, &address);
    everything.size = 0;
    SCRIPT_HOSTN(&everything, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 3);
    SCRIPT_HOSTN(&everything, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    SCRIPT_HOSTN(&everything, log_event, GUEST_KEY, 1, GUEST_KEY, 1);
    SCRIPT_HOSTN(&everything, return_data, GUEST_KEY, 5);
    script_poke(&everything, GUEST_FREE, sm_slice(address.bytes, 32));
    script_poke(&everything, GUEST_FREE + 32, smelt_slice_from_string("run"));
    SCRIPT_HOSTN(&everything, call_contract, GUEST_FREE, GUEST_FREE + 32, 3, 0, 0, GUEST_ZEROES, 0);
    static enum smelt_status (*const operations[])(struct fixture *) = {
        sweep_create, sweep_describe, sweep_deploy, sweep_call};
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        size_t writes = fixture->writes;
        size_t nth = 1;
        for (;; nth++) {
            smelt_receipt_destroy(fixture->receipt);
            fixture->receipt = NULL;
            if (operations[i] == sweep_create) {
                smelt_engine_destroy(fixture->engine);
                fixture->engine = NULL;
            }
            size_t blocks = sm_alloc_blocks();
            sm_alloc_fail_at(nth);
            enum smelt_status status = operations[i](fixture);
            sm_alloc_fail_at(0);
            if (status == SMELT_STATUS_OK) {
                break;
            }
            assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
            assert_int_equal(fixture->err.status, SMELT_STATUS_NO_MEMORY);
            assert_int_equal(fixture->writes, writes);
            assert_null(fixture->receipt);
            /* a contract that was loaded before memory ran out stays, and what was read */
            assert_true(sm_alloc_blocks() <= blocks + 40);
        }
        assert_true(nth > 1);
    }
    assert_returned(fixture->receipt, SMELT_NESTED_RETURNED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(options_are_checked),
        TEST(a_state_belongs_to_its_profile_schedule_and_policy),
        TEST(a_state_without_one_of_its_records_is_damaged),
        TEST(a_new_state_is_described_as_new),
        TEST(a_deploy_creates_account_and_code_in_one_batch),
        TEST(a_balance_sent_ahead_stays),
        TEST(init_runs_once_with_the_deploy_s_input_and_value),
        TEST(init_may_call_its_own_contract),
        TEST(a_failing_init_leaves_nothing),
        TEST(a_trapping_instantiation_fails_the_deploy),
        TEST(refused_modules_leave_no_trace),
        TEST(values_go_in_and_out_typed),
        TEST(calls_that_cannot_be_made),
        TEST(transactions_are_checked),
        TEST(a_static_call_writes_nothing_not_even_the_nonce),
        TEST(traps_say_where),
        TEST(handlers_cannot_break_the_engine),
        TEST(handlers_may_call_back_to_read),
        TEST(results_of_other_threads_are_gone_too),
        TEST(modules_are_loaded_once_while_they_are_used),
        TEST(damaged_code_is_noticed),
        TEST(memory_may_run_out_at_any_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
