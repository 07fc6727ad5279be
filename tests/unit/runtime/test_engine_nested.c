/* Nested calls: every result code, what survives, who pays, what the callee sees. */
#include "base/bytes.h"
#include "runtime/host/engine.h"
#include "tests/unit/runtime/engine_fixture.h"

#include <string.h>

#define GUEST "guest_host.so"

static const struct smelt_slice counter = {(const uint8_t *)"counter", 7};

/* Where script_call puts its arguments. */
#define AT_ADDRESS  (GUEST_FREE)
#define AT_VALUE    (GUEST_FREE + 32)
#define AT_FUNCTION (GUEST_FREE + 64)
#define AT_INPUT    (GUEST_FREE + 256)

struct nested {
    const struct smelt_address *address;
    const char *function;
    const struct script *input; /* NULL: empty */
    uint64_t value;
    uint64_t fuel;
    bool is_static; /* through call_contract_static */
};

static void script_call(struct script *script, const struct nested *nested)
{
    uint8_t value[16] = {0};
    size_t input_size = nested->input != NULL ? nested->input->size : 0;
    size_t function_size = strlen(nested->function);
    sm_store_le64(value, nested->value);
    script_poke(script, AT_ADDRESS, sm_slice(nested->address->bytes, 32));
    script_poke(script, AT_VALUE, sm_slice(value, 16));
    script_poke(script, AT_FUNCTION, smelt_slice_from_string(nested->function));
    if (nested->input != NULL) {
        script_poke(script, AT_INPUT, sm_slice(nested->input->bytes, input_size));
    }
    if (nested->is_static) {
        SCRIPT_HOSTN(script, call_contract_static, AT_ADDRESS, AT_FUNCTION, function_size, AT_INPUT,
                     input_size, nested->fuel);
    } else {
        SCRIPT_HOSTN(script, call_contract, AT_ADDRESS, AT_FUNCTION, function_size, AT_INPUT,
                     input_size, AT_VALUE, nested->fuel);
    }
}

/* Return data: the call result's size (8 bytes), then the first 64 bytes of it. */
static void script_return_call_result(struct script *script)
{
    SCRIPT_HOST0(script, call_result_len);
    SCRIPT_HOSTN(script, call_result_read, 0, 64, GUEST_SCRATCH);
    SCRIPT_HOSTN(script, return_data, GUEST_SCRATCH, 64);
    SCRIPT_HOST0(script, call_result_len);
}

/* "counter" = one byte, an event, and 7 of value to bob, as the running contract's own effects. */
static void script_effects(struct script *script)
{
    uint8_t amount[16] = {7};
    script_poke(script, GUEST_SCRATCH, sm_slice(bob.bytes, 32));
    script_poke(script, GUEST_SCRATCH + 32, sm_slice(amount, 16));
    SCRIPT_HOSTN(script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 1);
    SCRIPT_HOSTN(script, log_event, GUEST_KEY, 1, GUEST_KEY, 1);
    SCRIPT_HOSTN(script, transfer, GUEST_SCRATCH, GUEST_SCRATCH + 32);
    SCRIPT_HOSTN(script, return_data, GUEST_KEY, 3);
}

struct pair {
    struct fixture *fixture;
    struct smelt_address caller;
    struct smelt_address callee;
};

static struct pair start(void **state)
{
    struct pair pair = {.fixture = (struct fixture *)*state};
    pair.caller = fixture_deploy(pair.fixture, GUEST);
    pair.callee = fixture_deploy(pair.fixture, GUEST);
    return pair;
}

static bool has_counter(const struct pair *pair, const struct smelt_address *address)
{
    uint8_t value[8];
    return stored(pair->fixture, address, counter, value, sizeof(value)) != SIZE_MAX;
}

/* ---- result codes ---------------------------------------------------------------------------- */

static void a_call_that_returns_keeps_its_effects(void **state)
{
    struct pair pair = start(state);
    static struct script inner;
    static struct script outer;
    inner.size = outer.size = 0;
    script_effects(&inner);
    script_call(&outer, &(struct nested){&pair.callee, "run", &inner, 30, 0, false});
    script_word(&outer, SCRIPT_EXPECT, SMELT_NESTED_RETURNED);
    script_return_call_result(&outer);
    pair.fixture->transaction.value.low = 100;
    const struct smelt_receipt *receipt = fixture_run(pair.fixture, &pair.caller, &outer);
    assert_returned(receipt, 3);
    assert_memory_equal(receipt->return_data.data, "cou\0", 4);
    assert_int_equal(receipt->event_count, 1);
    assert_memory_equal(&receipt->events[0].address, &pair.callee, 32);
    assert_int_equal(receipt->write_count, 1);
    assert_true(has_counter(&pair, &pair.callee));
    assert_false(has_counter(&pair, &pair.caller));
    assert_int_equal(balance_of(pair.fixture, &pair.caller), 70);
    assert_int_equal(balance_of(pair.fixture, &pair.callee), 23);
    assert_int_equal(balance_of(pair.fixture, &bob), 7);
}

enum failure { FAIL_REVERT, FAIL_TRAP, FAIL_FUEL, FAIL_HOST };

/* The callee does everything, then fails; the caller goes on as if it had never been called. */
static void a_call_that_fails_drops_its_layer_only(void **state)
{
    static const struct {
        enum failure failure;
        enum smelt_nested_result result;
        size_t result_size;
    } rows[] = {
        {FAIL_REVERT, SMELT_NESTED_REVERTED, 7},
        {FAIL_TRAP, SMELT_NESTED_TRAPPED, 0},
        {FAIL_FUEL, SMELT_NESTED_OUT_OF_FUEL, 0},
        {FAIL_HOST, SMELT_NESTED_TRAPPED, 0},
    };
    struct pair pair = start(state);
    static struct script inner;
    static struct script outer;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        inner.size = outer.size = 0;
        script_effects(&inner);
        switch (rows[i].failure) {
        case FAIL_REVERT:
            SCRIPT_HOSTN(&inner, revert, GUEST_KEY, GUEST_KEY_SIZE);
            break;
        case FAIL_TRAP:
            script_word(&inner, SCRIPT_TRAP, 0);
            break;
        case FAIL_FUEL:
            script_word(&inner, SCRIPT_BURN, SMELT_FUEL_DEFAULT);
            break;
        case FAIL_HOST:
            SCRIPT_HOSTN(&inner, storage_read, 0, 0);
            break;
        }
        script_effects(&outer);
        script_call(&outer, &(struct nested){&pair.callee, "run", &inner, 30, 0, false});
        script_word(&outer, SCRIPT_EXPECT, rows[i].result);
        script_return_call_result(&outer);
        pair.fixture->transaction.value.low = 100;
        uint64_t before = balance_of(pair.fixture, &pair.caller);
        const struct smelt_receipt *receipt = fixture_run(pair.fixture, &pair.caller, &outer);
        assert_returned(receipt, rows[i].result_size);
        assert_false(receipt->location.is_known);
        assert_int_equal(receipt->event_count, 1);
        assert_memory_equal(&receipt->events[0].address, &pair.caller, 32);
        assert_int_equal(receipt->write_count, 1);
        assert_false(has_counter(&pair, &pair.callee));
        assert_true(has_counter(&pair, &pair.caller));
        assert_int_equal(balance_of(pair.fixture, &pair.caller), before + 100 - 7);
        assert_int_equal(balance_of(pair.fixture, &pair.callee), 0);
    }
}

/* Nothing runs: only the price of the call itself is taken, and the old call result is gone. */
static void calls_that_cannot_start(void **state)
{
    struct pair pair = start(state);
    static const struct smelt_address nobody = {{0x77}};
    const struct {
        struct nested nested;
        enum smelt_nested_result result;
    } rows[] = {
        {{&nobody, "run", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&alice, "run", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "missing", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "ru", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "runs", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "swap", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "takes_float", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "__hidden", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "memory", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "init", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "allocate", NULL, 0, 0, false}, SMELT_NESTED_NO_CONTRACT},
        {{&pair.callee, "run", NULL, 1, 0, false}, SMELT_NESTED_BALANCE},
        /* the function is looked for before the money */
        {{&pair.callee, "missing", NULL, 1, 0, false}, SMELT_NESTED_NO_CONTRACT},
    };
    static struct script inner;
    static struct script outer;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        inner.size = outer.size = 0;
        SCRIPT_HOSTN(&inner, return_data, GUEST_KEY, 3);
        script_call(&outer, &(struct nested){&pair.callee, "run", &inner, 0, 0, false});
        script_call(&outer, &rows[i].nested);
        script_word(&outer, SCRIPT_EXPECT, rows[i].result);
        SCRIPT_HOST0(&outer, call_result_len);
        assert_returned(fixture_run(pair.fixture, &pair.caller, &outer), 0);
    }
}

static void depth_is_limited_to_64_frames(void **state)
{
    struct pair pair = start(state);
    const struct smelt_receipt *receipt = fixture_call(pair.fixture, &pair.caller, "dive");
    assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
    assert_int_equal(sm_load_le64(receipt->return_data.data), 63);
}

static void an_overflowing_value_traps_the_caller(void **state)
{
    struct pair pair = start(state);
    static struct script outer;
    const struct smelt_u128 most = {.low = UINT64_MAX, .high = UINT64_MAX};
    outer.size = 0;
    assert_int_equal(smelt_account_fund(&pair.fixture->store, &pair.callee, most, NULL),
                     SMELT_STATUS_OK);
    pair.fixture->transaction.value.low = 1;
    script_call(&outer, &(struct nested){&pair.callee, "run", NULL, 1, 0, false});
    assert_trapped(fixture_run(pair.fixture, &pair.caller, &outer), SMELT_TRAP_HOST_ERROR,
                   SMELT_HOST_ERROR_BALANCE_OVERFLOW);
}

/* ---- fuel ------------------------------------------------------------------------------------ */

/* `trap` uses 7 before it traps; `t__p` does not exist, and is paid for up to that finding. */
static void the_callee_s_fuel_is_the_caller_s(void **state)
{
    struct pair pair = start(state);
    static struct script with;
    static struct script without;
    with.size = without.size = 0;
    script_call(&with, &(struct nested){&pair.callee, "trap", NULL, 0, 0, false});
    script_call(&without, &(struct nested){&pair.callee, "t__p", NULL, 0, 0, false});
    assert_int_equal(with.size, without.size);
    uint64_t base = fixture_run(pair.fixture, &pair.caller, &without)->fuel_used;
    assert_int_equal(fixture_run(pair.fixture, &pair.caller, &with)->fuel_used, base + 7);
}

/* Fuel used by a transaction whose last act is a call that burns all it is given. */
static uint64_t used_with(struct pair *pair, uint64_t limit, uint64_t asked)
{
    static struct script inner;
    static struct script outer;
    inner.size = outer.size = 0;
    script_word(&inner, SCRIPT_BURN, SMELT_FUEL_DEFAULT);
    script_call(&outer, &(struct nested){&pair->callee, "run", &inner, 0, asked, false});
    pair->fixture->transaction.fuel_limit = limit;
    const struct smelt_receipt *receipt = fixture_run(pair->fixture, &pair->caller, &outer);
    assert_returned(receipt, SMELT_NESTED_OUT_OF_FUEL);
    return receipt->fuel_used;
}

static void fuel_is_forwarded_as_asked_up_to_63_64ths(void **state)
{
    struct pair pair = start(state);
    const uint64_t limit = 1000000;
    const uint64_t before = used_with(&pair, limit, 500) - 500;
    const uint64_t left = limit - before;
    const uint64_t allowed = left - left / 64;
    const struct {
        uint64_t asked, given;
    } rows[] = {
        {0, allowed},
        {1, 1},
        {100, 100},
        {allowed - 1, allowed - 1},
        {allowed, allowed},
        {allowed + 1, allowed},
        {left, allowed},
        {left + 1, allowed},
        {UINT64_MAX, allowed},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(used_with(&pair, limit, rows[i].asked), before + rows[i].given);
    }
}

/* Below 64 there is no 64th to keep: the callee gets all of it, nothing included. */
static void the_last_fuel_goes_to_the_callee(void **state)
{
    struct pair pair = start(state);
    const uint64_t before = used_with(&pair, 1000000, 500) - 500;
    for (uint64_t left = 0; left < 3; left++) {
        assert_int_equal(used_with(&pair, before + left, 0), before + left);
    }
    assert_int_equal(used_with(&pair, before + 64, 0), before + 63);
}

/* What a caller keeps is the profile's to say; 0: nothing, 1: everything. */
static void the_share_that_is_kept_is_the_profile_s(void **state)
{
    static const uint32_t divisors[] = {0, 1, 2, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(divisors) / sizeof(divisors[0]); i++) {
        struct fixture *fixture = (struct fixture *)*state;
        struct smelt_profile profile = smelt_profile_engine;
        struct smelt_schedule *schedule;
        profile.fuel_kept_divisor = divisors[i];
        smelt_engine_destroy(fixture->engine);
        fixture->engine = NULL;
        smelt_store_close(fixture->inner); /* it belongs to another profile */
        assert_int_equal(smelt_store_create_memory(&fixture->inner, NULL), SMELT_STATUS_OK);
        assert_int_equal(smelt_schedule_builtin("engine-v1", &profile, &schedule, NULL),
                         SMELT_STATUS_OK);
        const struct smelt_engine_options options = {.store = &fixture->store,
                                                     .schedule = schedule,
                                                     .source = fixture_source(fixture),
                                                     .profile = &profile,
                                                     .handlers = sm_engine_handlers};
        assert_int_equal(smelt_engine_create(&options, &fixture->engine, NULL), SMELT_STATUS_OK);
        struct pair pair = {.fixture = fixture,
                            .caller = fixture_deploy(fixture, GUEST),
                            .callee = fixture_deploy(fixture, GUEST)};
        const uint64_t limit = 1000000;
        /* by a callee that uses less than its caller may give, unless that is nothing */
        const uint64_t asked = divisors[i] == 1 ? 0 : 500;
        const uint64_t before = used_with(&pair, limit, asked) - asked;
        const uint64_t left = limit - before;
        const uint64_t kept = divisors[i] != 0 ? left / divisors[i] : 0;
        assert_int_equal(used_with(&pair, limit, 0), limit - kept);
        assert_int_equal(used_with(&pair, limit, UINT64_MAX), limit - kept);
        smelt_engine_destroy(fixture->engine);
        fixture->engine = NULL;
        smelt_schedule_destroy(schedule);
    }
}

/* A callee that runs out takes what it was given, and the caller goes on with the rest. */
static void out_of_fuel_in_the_callee_costs_its_budget(void **state)
{
    struct pair pair = start(state);
    static struct script inner;
    static struct script outer;
    uint64_t used[2];
    for (uint64_t i = 0; i < 2; i++) {
        inner.size = outer.size = 0;
        script_word(&inner, SCRIPT_BURN, 1000000);
        script_call(&outer, &(struct nested){&pair.callee, "run", &inner, 0, 500 + 250 * i, false});
        script_word(&outer, SCRIPT_EXPECT, SMELT_NESTED_OUT_OF_FUEL);
        const struct smelt_receipt *receipt = fixture_run(pair.fixture, &pair.caller, &outer);
        assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
        used[i] = receipt->fuel_used;
    }
    assert_int_equal(used[1] - used[0], 250);
}

/* ---- what the callee sees -------------------------------------------------------------------- */

static void the_callee_sees_its_caller_and_the_origin(void **state)
{
    struct pair pair = start(state);
    static struct script inner;
    static struct script outer;
    uint8_t expected[64];
    inner.size = outer.size = 0;
    SCRIPT_HOSTN(&inner, get_caller, GUEST_SCRATCH);
    SCRIPT_HOSTN(&inner, get_value, GUEST_SCRATCH + 32);
    SCRIPT_HOSTN(&inner, get_origin, GUEST_SCRATCH + 48);
    SCRIPT_HOSTN(&inner, return_data, GUEST_SCRATCH, 64);
    script_call(&outer, &(struct nested){&pair.callee, "run", &inner, 5, 0, false});
    script_return_call_result(&outer);
    pair.fixture->transaction.value.low = 5;
    const struct smelt_receipt *receipt = fixture_run(pair.fixture, &pair.caller, &outer);
    memset(expected, 0, sizeof(expected));
    memcpy(expected, pair.caller.bytes, 32);
    expected[32] = 5;
    memcpy(expected + 48, alice.bytes, 16);
    assert_slice(receipt->return_data, expected, sizeof(expected));
}

/* A contract calls itself: same storage, an instance of its own. */
static void reentrancy_shares_storage_and_not_memory(void **state)
{
    struct pair pair = start(state);
    static struct script inner;
    static struct script outer;
    inner.size = outer.size = 0;
    SCRIPT_HOSTN(&inner, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    script_word(&inner, SCRIPT_EXPECT, (uint64_t)GUEST_PAGE << 32 | 2);
    SCRIPT_HOSTN(&inner, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 4);
    script_poke(&inner, GUEST_KEY, smelt_slice_from_string("COUNTER"));
    SCRIPT_HOSTN(&outer, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 2);
    script_call(&outer, &(struct nested){&pair.caller, "run", &inner, 0, 0, false});
    script_word(&outer, SCRIPT_EXPECT, SMELT_NESTED_RETURNED);
    SCRIPT_HOSTN(&outer, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    script_word(&outer, SCRIPT_EXPECT, (uint64_t)GUEST_PAGE << 32 | 4);
    SCRIPT_HOSTN(&outer, return_data, GUEST_PAGE, 4);
    const struct smelt_receipt *receipt = fixture_run(pair.fixture, &pair.caller, &outer);
    assert_slice(receipt->return_data, "coun", 4);
    assert_int_equal(receipt->write_count, 1);
}

static void the_call_result_belongs_to_the_frame(void **state)
{
    struct pair pair = start(state);
    static struct script inner;
    static struct script outer;
    inner.size = outer.size = 0;
    SCRIPT_HOST0(&inner, call_result_len); /* not the caller's, which is 3 by then */
    script_word(&inner, SCRIPT_EXPECT, 0);
    SCRIPT_HOSTN(&inner, return_data, GUEST_KEY, 3);
    for (int i = 0; i < 2; i++) {
        script_call(&outer, &(struct nested){&pair.callee, "run", &inner, 0, 0, false});
        script_word(&outer, SCRIPT_EXPECT, SMELT_NESTED_RETURNED);
    }
    SCRIPT_HOSTN(&outer, call_result_read, 1, 100, GUEST_SCRATCH);
    assert_returned(fixture_run(pair.fixture, &pair.caller, &outer), 2);
}

/* ---- static ---------------------------------------------------------------------------------- */

static void a_static_call_cannot_write_however_deep(void **state)
{
    struct pair pair = start(state);
    static struct script innermost;
    static struct script inner;
    static struct script outer;
    innermost.size = inner.size = outer.size = 0;
    SCRIPT_HOSTN(&innermost, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 1);
    script_call(&inner, &(struct nested){&pair.callee, "run", &innermost, 0, 0, false});
    script_word(&inner, SCRIPT_EXPECT, SMELT_NESTED_TRAPPED);
    SCRIPT_HOSTN(&inner, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    script_word(&inner, SCRIPT_EXPECT, 0);
    /* static for the callee only: the caller may still write afterwards */
    script_call(&outer, &(struct nested){&pair.callee, "run", &inner, 0, 0, true});
    script_word(&outer, SCRIPT_EXPECT, SMELT_NESTED_RETURNED);
    script_call(&outer, &(struct nested){&pair.callee, "run", &innermost, 0, 0, true});
    script_word(&outer, SCRIPT_EXPECT, SMELT_NESTED_TRAPPED);
    SCRIPT_HOSTN(&outer, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 1);
    assert_int_equal(fixture_run(pair.fixture, &pair.caller, &outer)->outcome.kind,
                     SMELT_OUTCOME_RETURNED);
    assert_true(has_counter(&pair, &pair.caller));
    assert_false(has_counter(&pair, &pair.callee));
}

static void value_in_a_static_frame_is_a_violation(void **state)
{
    struct pair pair = start(state);
    static struct script with_value;
    static struct script no_value;
    with_value.size = no_value.size = 0;
    script_call(&with_value, &(struct nested){&pair.callee, "run", NULL, 1, 0, false});
    script_call(&no_value, &(struct nested){&pair.callee, "run", NULL, 0, 0, false});
    pair.fixture->transaction.is_static = true;
    assert_trapped(fixture_run(pair.fixture, &pair.caller, &with_value),
                   SMELT_TRAP_STATIC_VIOLATION, SMELT_HOST_ERROR_NONE);
    assert_returned(fixture_run(pair.fixture, &pair.caller, &no_value), SMELT_NESTED_RETURNED);
}

/* ---- node failures --------------------------------------------------------------------------- */

/* The callee's code cannot be had on this machine: no result code, but the end of the transaction.
 */
static void a_missing_artefact_is_no_result(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static struct script outer;
    struct smelt_address caller = fixture_deploy(fixture, GUEST);
    struct smelt_address callee = fixture_deploy(fixture, GUEST "#other");
    outer.size = 0;
    script_call(&outer, &(struct nested){&callee, "run", NULL, 0, 0, false});
    /* a new engine has nothing resident */
    smelt_engine_destroy(fixture->engine);
    fixture->engine = NULL;
    const struct smelt_engine_options options = {
        .store = &fixture->store, .schedule = fixture->schedule, .source = fixture_source(fixture)};
    assert_int_equal(smelt_engine_create(&options, &fixture->engine, NULL), SMELT_STATUS_OK);
    (void)fixture_call(fixture, &caller, "run");
    fixture->refusal = SMELT_STATUS_TOOL_MISSING;
    fixture->transaction.input = sm_slice(outer.bytes, outer.size);
    size_t writes = fixture->writes;
    assert_int_equal(fixture_try_call(fixture, &caller, "run", NULL, 0), SMELT_STATUS_TOOL_MISSING);
    assert_string_equal(fixture->err.message, "refused on demand");
    assert_null(fixture->receipt);
    assert_int_equal(fixture->writes, writes);
    fixture->refusal = SMELT_STATUS_OK;
    assert_returned(fixture_run(fixture, &caller, &outer), SMELT_NESTED_RETURNED);
}

static void a_failing_store_ends_the_transaction_from_any_depth(void **state)
{
    struct pair pair = start(state);
    static struct script inner;
    static struct script outer;
    inner.size = outer.size = 0;
    SCRIPT_HOSTN(&inner, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    script_call(&outer, &(struct nested){&pair.callee, "run", &inner, 0, 0, false});
    size_t writes = pair.fixture->writes;
    size_t nth = 1;
    pair.fixture->transaction.is_static = true; /* others find what they need in memory */
    for (;; nth++) {
        pair.fixture->fail_get = nth;
        pair.fixture->transaction.input = sm_slice(outer.bytes, outer.size);
        enum smelt_status status = fixture_try_call(pair.fixture, &pair.caller, "run", NULL, 0);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_IO);
        assert_string_equal(pair.fixture->err.message, "read failed on demand");
        assert_null(pair.fixture->receipt);
        assert_int_equal(pair.fixture->writes, writes);
    }
    assert_in_range(nth, 4, 10);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_call_that_returns_keeps_its_effects),
        TEST(a_call_that_fails_drops_its_layer_only),
        TEST(calls_that_cannot_start),
        TEST(depth_is_limited_to_64_frames),
        TEST(an_overflowing_value_traps_the_caller),
        TEST(the_callee_s_fuel_is_the_caller_s),
        TEST(fuel_is_forwarded_as_asked_up_to_63_64ths),
        TEST(the_last_fuel_goes_to_the_callee),
        TEST(the_share_that_is_kept_is_the_profile_s),
        TEST(out_of_fuel_in_the_callee_costs_its_budget),
        TEST(the_callee_sees_its_caller_and_the_origin),
        TEST(reentrancy_shares_storage_and_not_memory),
        TEST(the_call_result_belongs_to_the_frame),
        TEST(a_static_call_cannot_write_however_deep),
        TEST(value_in_a_static_frame_is_a_violation),
        TEST(a_missing_artefact_is_no_result),
        TEST(a_failing_store_ends_the_transaction_from_any_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
