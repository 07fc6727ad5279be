/* Guesses about storage: which keys give a form, what it makes of the next call, and that odd calls
 * give odd keys at worst. */
#include "base/bytes.h"
#include "runtime/forecast.h"
#include "tests/support/cmocka_all.h"

#include <string.h>

static struct smelt_address address_of(uint8_t first)
{
    struct smelt_address address = {{first}};
    memset(address.bytes + 1, first ^ 0x5a, sizeof(address.bytes) - 1);
    return address;
}

static struct smelt_wave_transaction call_of(uint8_t from, const uint8_t *input, size_t size)
{
    return (struct smelt_wave_transaction){.kind = SMELT_TRANSACTION_CALL,
                                           .from = address_of(from),
                                           .to = address_of(0xc0),
                                           .function = smelt_slice_from_string("transfer"),
                                           .input = sm_slice(input, size)};
}

/* tag ‖ address, of the contract at 0xc0. */
static struct sm_state_key key_of(uint8_t tag, const struct smelt_address *who)
{
    struct sm_state_key key;
    struct smelt_address contract = address_of(0xc0);
    uint8_t own[1 + SMELT_ADDRESS_BYTES] = {tag};
    memcpy(own + 1, who->bytes, sizeof(who->bytes));
    sm_state_storage_key(&contract, sm_slice(own, sizeof(own)), &key);
    return key;
}

static void expect_guess(const struct sm_forecast *forecast,
                         const struct smelt_wave_transaction *transaction, uint32_t guess,
                         const struct sm_state_key *expected)
{
    struct sm_state_key key;
    sm_forecast_key(forecast, transaction, guess, &key);
    assert_true(sm_slice_equal(sm_state_key_slice(&key), sm_state_key_slice(expected)));
}

static void test_keys_with_sender_and_input_come_again(void **state)
{
    (void)state;
    static struct sm_forecast forecast;
    uint8_t input[3 + SMELT_ADDRESS_BYTES + 16] = {9, 9, 9};
    struct smelt_address to = address_of(2);
    memcpy(input + 3, to.bytes, sizeof(to.bytes));
    struct smelt_wave_transaction first = call_of(1, input, sizeof(input));
    struct sm_state_key from_key = key_of('b', &first.from);
    struct sm_state_key to_key = key_of('b', &to);
    assert_int_equal(sm_forecast_count(&forecast, &first), 0);
    assert_true(sm_forecast_begin(&forecast, &first));
    for (size_t i = 0; i < 2; i++) { /* what is known is not learnt twice */
        sm_forecast_learn(&forecast, &first, sm_state_key_slice(&from_key));
        sm_forecast_learn(&forecast, &first, sm_state_key_slice(&to_key));
    }
    assert_int_equal(sm_forecast_count(&forecast, &first), 2);

    to = address_of(7);
    memcpy(input + 3, to.bytes, sizeof(to.bytes));
    struct smelt_wave_transaction second = call_of(5, input, sizeof(input));
    from_key = key_of('b', &second.from);
    to_key = key_of('b', &to);
    expect_guess(&forecast, &second, 0, &from_key);
    expect_guess(&forecast, &second, 1, &to_key);

    /* an input without the part: some key, of the same size */
    struct sm_state_key key;
    second.input.size = 34;
    sm_forecast_key(&forecast, &second, 1, &key);
    assert_int_equal(key.size, to_key.size);
}

static void test_two_parts_in_one_key(void **state)
{
    (void)state;
    static struct sm_forecast forecast;
    struct smelt_address owner = address_of(3);
    struct smelt_wave_transaction call = call_of(1, owner.bytes, sizeof(owner.bytes));
    uint8_t own[1 + 2 * SMELT_ADDRESS_BYTES + 1] = {'a'};
    struct sm_state_key key;
    own[sizeof(own) - 1] = 0x77;
    memcpy(own + 1, owner.bytes, sizeof(owner.bytes));
    memcpy(own + 33, call.from.bytes, sizeof(call.from.bytes));
    sm_state_storage_key(&call.to, sm_slice(own, sizeof(own)), &key);
    (void)sm_forecast_begin(&forecast, &call);
    sm_forecast_learn(&forecast, &call, sm_state_key_slice(&key));
    assert_int_equal(sm_forecast_count(&forecast, &call), 1);

    owner = address_of(4);
    call.from = address_of(5);
    memcpy(own + 1, owner.bytes, sizeof(owner.bytes));
    memcpy(own + 33, call.from.bytes, sizeof(call.from.bytes));
    sm_state_storage_key(&call.to, sm_slice(own, sizeof(own)), &key);
    expect_guess(&forecast, &call, 0, &key);
}

static void test_what_gives_no_form(void **state)
{
    (void)state;
    struct smelt_wave_transaction call = call_of(1, NULL, 0);
    struct smelt_address other = address_of(0xc1);
    uint8_t own[SM_FORECAST_KEY + 1] = {0};
    static struct sm_forecast forecast;
    struct sm_state_key keys[5];
    sm_state_account_key(&call.from, &keys[0]);
    sm_state_storage_key(&call.to, sm_slice(NULL, 0), &keys[1]);
    sm_state_storage_key(&call.to, sm_slice(own, 40), &keys[2]); /* the same for everybody */
    memcpy(own, call.from.bytes, sizeof(call.from.bytes));
    sm_state_storage_key(&call.to, sm_slice(own, sizeof(own)), &keys[3]); /* too long */
    sm_state_storage_key(&other, sm_slice(own, 40), &keys[4]);            /* another contract's */
    (void)sm_forecast_begin(&forecast, &call);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        sm_forecast_learn(&forecast, &call, sm_state_key_slice(&keys[i]));
        assert_int_equal(sm_forecast_count(&forecast, &call), 0);
    }
}

static void test_forms_are_bounded(void **state)
{
    (void)state;
    static struct sm_forecast forecast;
    struct smelt_wave_transaction call = call_of(1, NULL, 0);
    (void)sm_forecast_begin(&forecast, &call);
    for (uint8_t tag = 0; tag < 2 * SM_FORECAST_FORMS; tag++) {
        struct sm_state_key key = key_of(tag, &call.from);
        sm_forecast_learn(&forecast, &call, sm_state_key_slice(&key));
    }
    assert_int_equal(sm_forecast_count(&forecast, &call), SM_FORECAST_FORMS);
}

static void test_rows_belong_to_a_function_of_a_contract(void **state)
{
    (void)state;
    static struct sm_forecast forecast;
    struct smelt_wave_transaction call = call_of(1, NULL, 0);
    struct smelt_wave_transaction other = call;
    struct sm_state_key key = key_of('b', &call.from);
    (void)sm_forecast_begin(&forecast, &call);
    sm_forecast_learn(&forecast, &call, sm_state_key_slice(&key));
    /* the same row: the same first byte, another contract */
    other.to.bytes[31] ^= 1;
    assert_int_equal(sm_forecast_count(&forecast, &other), 0);
    assert_true(sm_forecast_begin(&forecast, &other));
    assert_int_equal(sm_forecast_count(&forecast, &call), 0);
    assert_int_equal(sm_forecast_count(&forecast, &other), 0);
    for (int i = 0; i < 63; i++) {
        assert_false(sm_forecast_begin(&forecast, &other));
    }
    assert_true(sm_forecast_begin(&forecast, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_with_sender_and_input_come_again),
        cmocka_unit_test(test_two_parts_in_one_key),
        cmocka_unit_test(test_what_gives_no_form),
        cmocka_unit_test(test_forms_are_bounded),
        cmocka_unit_test(test_rows_belong_to_a_function_of_a_contract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
