/* Every host function of profile `engine`, through guest code: success, each failure, its price. */
#include "base/bytes.h"
#include "runtime/crypto/keccak.h"
#include "tests/unit/runtime/engine_fixture.h"

#include <string.h>

#define GUEST     "guest_host.so"
#define ALLOCATES "guest_allocate.so"

static const struct smelt_slice counter = {(const uint8_t *)"counter", 7};

static struct fixture *start(void **state, const char *module, struct smelt_address *address)
{
    struct fixture *fixture = (struct fixture *)*state;
    *address = fixture_deploy(fixture, module);
    return fixture;
}

/* Storage "counter" = `value`. */
static void store_counter(struct fixture *fixture, const struct smelt_address *address,
                          const void *value, size_t size)
{
    struct script script = {0};
    script_poke(&script, GUEST_FREE, sm_slice(value, size));
    SCRIPT_HOSTN(&script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_FREE, size);
    assert_int_equal(fixture_run(fixture, address, &script)->outcome.kind, SMELT_OUTCOME_RETURNED);
}

/* ---- prices ---------------------------------------------------------------------------------- */

/* Each call is made with the memory of a fresh instance and "counter" stored as four bytes. */
static const struct {
    enum guest_import import;
    uint64_t arguments[7];
    uint64_t price; /* of the host call alone */
} price_rows[] = {
    {GUEST_HOST_storage_read, {GUEST_KEY, GUEST_KEY_SIZE}, 200 + 7 + 4},
    {GUEST_HOST_storage_read, {GUEST_KEY, 3}, 200 + 3},
    {GUEST_HOST_storage_write, {GUEST_KEY, GUEST_KEY_SIZE, GUEST_ZEROES, 9}, 1000 + 10 * (7 + 9)},
    {GUEST_HOST_storage_write, {GUEST_KEY, 3, GUEST_ZEROES, 9}, 2000 + 10 * (3 + 9)},
    {GUEST_HOST_storage_write, {GUEST_KEY, 3, GUEST_ZEROES, 0}, 2000 + 10 * 3},
    {GUEST_HOST_storage_delete, {GUEST_KEY, GUEST_KEY_SIZE}, 500 + 7},
    {GUEST_HOST_storage_delete, {GUEST_KEY, 2}, 500 + 2},
    {GUEST_HOST_get_caller, {GUEST_FREE}, 10},
    {GUEST_HOST_get_contract_address, {GUEST_FREE}, 10},
    {GUEST_HOST_get_block_number, {0}, 5},
    {GUEST_HOST_get_block_timestamp, {0}, 5},
    {GUEST_HOST_crypto_hash, {GUEST_KEY, 5, GUEST_FREE}, 50 + 5},
    {GUEST_HOST_crypto_verify, {GUEST_KEY, 6, 0, 64, 0, 32}, 2000 + 6},
    {GUEST_HOST_crypto_verify, {GUEST_KEY, 6, 0, 1, 0, 1}, 2000 + 6},
    {GUEST_HOST_log_event, {GUEST_KEY, 3, GUEST_KEY, 4}, 100 + 2 * (3 + 4)},
    {GUEST_HOST_get_origin, {GUEST_FREE}, 10},
    {GUEST_HOST_get_value, {GUEST_FREE}, 10},
    {GUEST_HOST_get_balance, {GUEST_ZEROES, GUEST_FREE}, 100},
    {GUEST_HOST_transfer, {GUEST_ZEROES, GUEST_ZEROES}, 500},
    {GUEST_HOST_input_len, {0}, 10},
    {GUEST_HOST_input_read, {0, 64, GUEST_FREE}, 10 + 3}, /* 17 bytes there are: 3 units of 8 */
    {GUEST_HOST_input_read, {0, 16, GUEST_FREE}, 10 + 2},
    {GUEST_HOST_input_read, {17, 64, GUEST_FREE}, 10},
    {GUEST_HOST_return_data, {0, 17}, 10 + 3},
    {GUEST_HOST_return_data, {0, 0}, 10},
    {GUEST_HOST_call_contract, {GUEST_ZEROES, 0, 1, 0, 0, GUEST_ZEROES, 0}, 700},
    {GUEST_HOST_call_contract_static, {GUEST_ZEROES, 0, 1, 0, 0, 0}, 700},
    {GUEST_HOST_call_result_len, {0}, 10},
    {GUEST_HOST_call_result_read, {0, 8, GUEST_FREE}, 10},
    {GUEST_HOST_fuel_left, {0}, 10},
};

/* One below the price there is no outcome but out_of_fuel, and no effect. */
static void every_function_costs_what_the_schedule_says(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    store_counter(fixture, &address, "abcd", 4);
    fixture->transaction.input = smelt_slice_from_string("seventeen  bytes!");
    for (size_t i = 0; i < sizeof(price_rows) / sizeof(price_rows[0]); i++) {
        uint64_t total = price_rows[i].price + 1; /* `host` itself costs 1 */
        size_t writes = fixture->writes;
        fixture->transaction.fuel_limit = total - 1;
        const struct smelt_receipt *receipt =
            fixture_host(fixture, &address, price_rows[i].import, 7, price_rows[i].arguments);
        if (receipt->outcome.kind != SMELT_OUTCOME_OUT_OF_FUEL) {
            fail_msg("row %zu used %zu", i, (size_t)receipt->fuel_used);
        }
        assert_out_of_fuel(receipt);
        assert_int_equal(fixture->writes, writes);
        for (uint64_t spare = 0; spare < 2; spare++) {
            fixture->transaction.fuel_limit = total + spare;
            receipt =
                fixture_host(fixture, &address, price_rows[i].import, 7, price_rows[i].arguments);
            if (receipt->outcome.kind != SMELT_OUTCOME_RETURNED || receipt->fuel_used != total) {
                fail_msg("row %zu: %s, used %zu", i, smelt_outcome_name(receipt->outcome.kind),
                         (size_t)receipt->fuel_used);
            }
            fixture->transaction.fuel_limit = 0;
            /* as it was before */
            store_counter(fixture, &address, "abcd", 4);
            struct script script = {0};
            script_poke(&script, GUEST_FREE, smelt_slice_from_string("cou"));
            SCRIPT_HOSTN(&script, storage_delete, GUEST_FREE, 3);
            (void)fixture_run(fixture, &address, &script);
            fixture->transaction.input = smelt_slice_from_string("seventeen  bytes!");
        }
    }
}

static void revert_is_paid_for_too(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    for (uint64_t limit = 1 + 10; limit <= 1 + 10 + 2; limit++) {
        fixture->transaction.fuel_limit = limit;
        const struct smelt_receipt *receipt =
            FIXTURE_HOST(fixture, &address, revert, GUEST_KEY, GUEST_KEY_SIZE);
        if (limit < 1 + 10 + 1) {
            assert_out_of_fuel(receipt);
        } else {
            assert_string_equal(smelt_outcome_name(receipt->outcome.kind), "reverted");
            assert_int_equal(receipt->fuel_used, 1 + 10 + 1);
            assert_slice(receipt->return_data, "counter", 7);
            assert_false(receipt->location.is_known);
        }
    }
}

/* ---- failures -------------------------------------------------------------------------------- */

#define END              GUEST_MEMORY_END
#define BOUNDS           SMELT_TRAP_MEMORY_OUT_OF_BOUNDS, SMELT_HOST_ERROR_NONE
#define HOST_ERROR(name) SMELT_TRAP_HOST_ERROR, SMELT_HOST_ERROR_##name

static const struct {
    enum guest_import import;
    uint64_t arguments[7];
    enum smelt_trap trap;
    enum smelt_host_error error;
    uint64_t price; /* a trap costs what was charged before it */
} failure_rows[] = {
    {GUEST_HOST_storage_read, {0, 0}, HOST_ERROR(KEY_SIZE), 200},
    {GUEST_HOST_storage_read, {0, 257}, HOST_ERROR(KEY_SIZE), 200 + 257},
    {GUEST_HOST_storage_read, {END, 1}, BOUNDS, 0},
    {GUEST_HOST_storage_read, {UINT32_MAX, 1}, BOUNDS, 0},
    {GUEST_HOST_storage_read, {1, UINT32_MAX}, BOUNDS, 0},
    {GUEST_HOST_storage_write, {0, 0, 0, 0}, HOST_ERROR(KEY_SIZE), 1000},
    {GUEST_HOST_storage_write, {0, 257, 0, 0}, HOST_ERROR(KEY_SIZE), 1000 + 2570},
    {GUEST_HOST_storage_write, {0, 1, 0, 65537}, HOST_ERROR(VALUE_TOO_LARGE), 1000 + 655380},
    {GUEST_HOST_storage_write, {END, 1, 0, 0}, BOUNDS, 0},
    {GUEST_HOST_storage_write, {0, 1, END - 1, 2}, BOUNDS, 0},
    {GUEST_HOST_storage_write, {0, 1, UINT32_MAX, 2}, BOUNDS, 0},
    {GUEST_HOST_storage_delete, {0, 0}, HOST_ERROR(KEY_SIZE), 500},
    {GUEST_HOST_storage_delete, {0, 257}, HOST_ERROR(KEY_SIZE), 500 + 257},
    {GUEST_HOST_storage_delete, {END - 1, 2}, BOUNDS, 0},
    {GUEST_HOST_get_caller, {END - 31}, BOUNDS, 0},
    {GUEST_HOST_get_contract_address, {END - 31}, BOUNDS, 0},
    {GUEST_HOST_crypto_hash, {END, 1, 0}, BOUNDS, 0},
    {GUEST_HOST_crypto_hash, {0, 1, END - 31}, BOUNDS, 0},
    {GUEST_HOST_crypto_verify, {END, 1, 0, 64, 0, 32}, BOUNDS, 0},
    {GUEST_HOST_crypto_verify, {0, 1, END - 63, 64, 0, 32}, BOUNDS, 0},
    {GUEST_HOST_crypto_verify, {0, 1, 0, 64, END - 31, 32}, BOUNDS, 0},
    {GUEST_HOST_log_event, {0, 257, 0, 0}, HOST_ERROR(TOPIC_TOO_LARGE), 100 + 2 * 257},
    {GUEST_HOST_log_event, {0, 1, 0, 16385}, HOST_ERROR(EVENT_DATA_TOO_LARGE), 100 + 2 * 16386},
    {GUEST_HOST_log_event, {END, 1, 0, 0}, BOUNDS, 0},
    {GUEST_HOST_log_event, {0, 0, END, 1}, BOUNDS, 0},
    {GUEST_HOST_get_origin, {END - 31}, BOUNDS, 0},
    {GUEST_HOST_get_value, {END - 15}, BOUNDS, 0},
    {GUEST_HOST_get_balance, {END - 31, 0}, BOUNDS, 0},
    {GUEST_HOST_get_balance, {0, END - 15}, BOUNDS, 0},
    {GUEST_HOST_transfer, {END - 31, GUEST_ZEROES}, BOUNDS, 0},
    {GUEST_HOST_transfer, {GUEST_ZEROES, END - 15}, BOUNDS, 0},
    {GUEST_HOST_input_read, {0, 1, END}, BOUNDS, 0},
    /* checked before the length is cut down to what there is */
    {GUEST_HOST_input_read, {UINT32_MAX, END + 1, 0}, BOUNDS, 0},
    {GUEST_HOST_return_data, {0, 65537}, HOST_ERROR(RETURN_DATA_TOO_LARGE), 10 + 8193},
    {GUEST_HOST_return_data, {END, 1}, BOUNDS, 0},
    {GUEST_HOST_revert, {0, 65537}, HOST_ERROR(RETURN_DATA_TOO_LARGE), 10 + 8193},
    {GUEST_HOST_revert, {END, 1}, BOUNDS, 0},
    {GUEST_HOST_call_contract, {END - 31, 0, 1, 0, 0, GUEST_ZEROES, 0}, BOUNDS, 0},
    {GUEST_HOST_call_contract, {0, END, 1, 0, 0, GUEST_ZEROES, 0}, BOUNDS, 0},
    {GUEST_HOST_call_contract, {0, 0, 1, END, 1, GUEST_ZEROES, 0}, BOUNDS, 0},
    {GUEST_HOST_call_contract, {0, 0, 1, 0, 0, END - 15, 0}, BOUNDS, 0},
    {GUEST_HOST_call_contract_static, {END - 31, 0, 1, 0, 0, 0}, BOUNDS, 0},
    {GUEST_HOST_call_contract_static, {0, END, 1, 0, 0, 0}, BOUNDS, 0},
    {GUEST_HOST_call_contract_static, {0, 0, 1, END, 1, 0}, BOUNDS, 0},
    {GUEST_HOST_call_result_read, {0, 1, END}, BOUNDS, 0},
};

static void failures_trap_at_the_call_and_leave_nothing(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    size_t writes = fixture->writes;
    for (size_t i = 0; i < sizeof(failure_rows) / sizeof(failure_rows[0]); i++) {
        const struct smelt_receipt *receipt =
            fixture_host(fixture, &address, failure_rows[i].import, 7, failure_rows[i].arguments);
        if (receipt->outcome.kind != SMELT_OUTCOME_TRAPPED ||
            receipt->fuel_used != 1 + failure_rows[i].price) {
            fail_msg("row %zu: %s, used %zu", i, smelt_outcome_name(receipt->outcome.kind),
                     (size_t)receipt->fuel_used);
        }
        assert_trapped(receipt, failure_rows[i].trap, failure_rows[i].error);
        assert_true(receipt->location.is_known);
        assert_slice(receipt->location.function, "host", 4);
        assert_int_equal(receipt->location.func_index, 24);
        assert_int_equal(receipt->location.offset, GUEST_AT_HOST);
    }
    assert_int_equal(fixture->writes, writes);
}

static void static_calls_trap_in_what_mutates_and_before_anything_else(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    static const enum guest_import mutating[] = {GUEST_HOST_storage_write,
                                                 GUEST_HOST_storage_delete, GUEST_HOST_log_event,
                                                 GUEST_HOST_transfer};
    const uint64_t out_of_bounds[7] = {END, END, END, END, END, END, END};
    fixture->transaction.is_static = true;
    size_t writes = fixture->writes;
    for (size_t i = 0; i < 4; i++) {
        const struct smelt_receipt *receipt =
            fixture_host(fixture, &address, mutating[i], 7, out_of_bounds);
        assert_trapped(receipt, SMELT_TRAP_STATIC_VIOLATION, SMELT_HOST_ERROR_NONE);
        assert_int_equal(receipt->fuel_used, 1);
    }
    assert_returned(FIXTURE_HOST(fixture, &address, storage_read, GUEST_KEY, GUEST_KEY_SIZE), 0);
    assert_returned(FIXTURE_HOST(fixture, &address, crypto_hash, 0, 1, GUEST_FREE), 32);
    assert_int_equal(fixture->writes, writes);
}

/* ---- storage --------------------------------------------------------------------------------- */

static void storage_writes_reads_and_deletes(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    struct script script = {0};
    uint8_t value[8];
    SCRIPT_HOSTN(&script, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    script_word(&script, SCRIPT_EXPECT, 0);
    SCRIPT_HOSTN(&script, storage_delete, GUEST_KEY, GUEST_KEY_SIZE);
    script_word(&script, SCRIPT_EXPECT, 0);
    script_poke(&script, GUEST_FREE, smelt_slice_from_string("first"));
    SCRIPT_HOSTN(&script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_FREE, 5);
    script_word(&script, SCRIPT_EXPECT, 0);
    script_poke(&script, GUEST_FREE, smelt_slice_from_string("second"));
    SCRIPT_HOSTN(&script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_FREE, 6);
    script_word(&script, SCRIPT_EXPECT, 1);
    SCRIPT_HOSTN(&script, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    script_word(&script, SCRIPT_EXPECT, (uint64_t)GUEST_PAGE << 32 | 6);
    SCRIPT_HOSTN(&script, return_data, GUEST_PAGE, 6);
    const struct smelt_receipt *receipt = fixture_run(fixture, &address, &script);
    assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
    assert_slice(receipt->return_data, "second", 6);
    assert_int_equal(receipt->write_count, 1);
    assert_int_equal(stored(fixture, &address, counter, value, sizeof(value)), 6);
    assert_memory_equal(value, "second", 6);

    script.size = 0;
    SCRIPT_HOSTN(&script, storage_delete, GUEST_KEY, GUEST_KEY_SIZE);
    script_word(&script, SCRIPT_EXPECT, 1);
    SCRIPT_HOSTN(&script, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    assert_returned(fixture_run(fixture, &address, &script), 0);
    assert_int_equal(stored(fixture, &address, counter, value, sizeof(value)), SIZE_MAX);
}

static void storage_takes_keys_and_values_up_to_the_limit(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    assert_returned(FIXTURE_HOST(fixture, &address, storage_write, GUEST_SCRIPT, 256, 0, 65536), 0);
    assert_returned(FIXTURE_HOST(fixture, &address, storage_read, GUEST_SCRIPT, 256),
                    (uint64_t)GUEST_PAGE << 32 | 65536);
    /* an empty value is there all the same */
    assert_returned(FIXTURE_HOST(fixture, &address, storage_write, GUEST_SCRIPT, 256, 0, 0), 1);
    assert_returned(FIXTURE_HOST(fixture, &address, storage_read, GUEST_SCRIPT, 256),
                    (uint64_t)GUEST_PAGE << 32);
}

static void contracts_do_not_share_storage(void **state)
{
    struct smelt_address one;
    struct fixture *fixture = start(state, GUEST, &one);
    struct smelt_address other = fixture_deploy(fixture, GUEST);
    store_counter(fixture, &one, "mine", 4);
    assert_returned(FIXTURE_HOST(fixture, &other, storage_read, GUEST_KEY, GUEST_KEY_SIZE), 0);
}

/* ---- placing values -------------------------------------------------------------------------- */

static const struct smelt_receipt *read_with_mode(struct fixture *fixture,
                                                  const struct smelt_address *address,
                                                  enum guest_allocate mode)
{
    struct script script = {0};
    uint8_t word[8];
    sm_store_le64(word, mode);
    script_poke(&script, GUEST_ALLOCATE_MODE, sm_slice(word, sizeof(word)));
    SCRIPT_HOSTN(&script, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    return fixture_run(fixture, address, &script);
}

static void allocate_says_where_a_value_goes(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, ALLOCATES, &address);
    struct script script = {0};
    store_counter(fixture, &address, "value", 5);
    for (uint64_t i = 0; i < 2; i++) {
        SCRIPT_HOSTN(&script, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
        script_word(&script, SCRIPT_EXPECT, (GUEST_HEAP + 5 * i) << 32 | 5);
    }
    SCRIPT_HOSTN(&script, return_data, GUEST_HEAP, 10);
    const struct smelt_receipt *receipt = fixture_run(fixture, &address, &script);
    assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
    assert_slice(receipt->return_data, "valuevalue", 10);
    assert_returned(read_with_mode(fixture, &address, ALLOCATE_AT_END),
                    (uint64_t)(END - 5) << 32 | 5);
    assert_returned(read_with_mode(fixture, &address, ALLOCATE_GROWS), (uint64_t)END << 32 | 5);
    const uint64_t arguments[] = {GUEST_KEY, GUEST_KEY_SIZE};
    receipt = fixture_host(fixture, &address, GUEST_HOST_storage_read, 2, arguments);
    assert_int_equal(receipt->fuel_used, 1 + 200 + 7 + 5 + GUEST_ALLOCATE_FUEL);
}

/* Also with the value's own copy in the state gone: nothing dangles. */
static void allocate_may_change_the_value_it_makes_room_for(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, ALLOCATES, &address);
    struct script script = {0};
    uint8_t word[8];
    uint8_t value[128];
    store_counter(fixture, &address, "value", 5);
    sm_store_le64(word, ALLOCATE_OVERWRITES);
    script_poke(&script, GUEST_ALLOCATE_MODE, sm_slice(word, sizeof(word)));
    script_poke(&script, GUEST_FREE, smelt_slice_from_string("fresh"));
    SCRIPT_HOSTN(&script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_FREE, 5);
    SCRIPT_HOSTN(&script, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    script_word(&script, SCRIPT_EXPECT, (uint64_t)GUEST_HEAP << 32 | 5);
    SCRIPT_HOSTN(&script, return_data, GUEST_HEAP, 5);
    assert_slice(fixture_run(fixture, &address, &script)->return_data, "fresh", 5);
    assert_int_equal(stored(fixture, &address, counter, value, sizeof(value)), 100);
}

static void failures_of_allocate_are_failures_of_the_call(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, ALLOCATES, &address);
    store_counter(fixture, &address, "value", 5);
    static const struct {
        enum guest_allocate mode;
        enum smelt_trap trap;
        enum smelt_host_error error;
        const char *function;
        uint32_t offset;
    } rows[] = {
        {ALLOCATE_TRAPS, SMELT_TRAP_UNREACHABLE, SMELT_HOST_ERROR_NONE, "allocate",
         GUEST_AT_ALLOCATE},
        {ALLOCATE_OUT_OF_BOUNDS, BOUNDS, "run_script", GUEST_AT_SCRIPT},
        {ALLOCATE_WRAPS, BOUNDS, "run_script", GUEST_AT_SCRIPT},
        {ALLOCATE_HOST_ERROR, HOST_ERROR(KEY_SIZE), "allocate", GUEST_AT_ALLOCATE},
        {ALLOCATE_RECURSES, SMELT_TRAP_STACK_OVERFLOW, SMELT_HOST_ERROR_NONE, "allocate",
         GUEST_AT_ALLOCATE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct smelt_receipt *receipt = read_with_mode(fixture, &address, rows[i].mode);
        assert_trapped(receipt, rows[i].trap, rows[i].error);
        assert_slice(receipt->location.function, rows[i].function, strlen(rows[i].function));
        assert_int_equal(receipt->location.offset, rows[i].offset);
    }
    const struct smelt_receipt *receipt = read_with_mode(fixture, &address, ALLOCATE_REVERTS);
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind), "reverted");
    assert_slice(receipt->return_data, "counter", 7);
    fixture->transaction.fuel_limit = 100000;
    assert_out_of_fuel(read_with_mode(fixture, &address, ALLOCATE_SPINS));
}

static void without_allocate_and_page_there_is_no_place(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, "guest_pageless.so", &address);
    store_counter(fixture, &address, "value", 5);
    assert_returned(FIXTURE_HOST(fixture, &address, storage_read, GUEST_KEY, 3), 0);
    assert_trapped(FIXTURE_HOST(fixture, &address, storage_read, GUEST_KEY, GUEST_KEY_SIZE),
                   HOST_ERROR(NO_ALLOCATE));
}

/* ---- context, cryptography ------------------------------------------------------------------- */

static void context_functions_report_the_transaction(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    struct script script = {0};
    uint8_t expected[32 * 3 + 16] = {0};
    fixture->transaction.block_number = UINT64_C(0xfedcba9876543210);
    fixture->transaction.block_timestamp = 1700000000;
    fixture->transaction.value.low = 1234;
    SCRIPT_HOST0(&script, get_block_number);
    script_word(&script, SCRIPT_EXPECT, UINT64_C(0xfedcba9876543210));
    SCRIPT_HOST0(&script, get_block_timestamp);
    script_word(&script, SCRIPT_EXPECT, 1700000000);
    SCRIPT_HOSTN(&script, get_caller, GUEST_FREE);
    script_word(&script, SCRIPT_EXPECT, 32);
    SCRIPT_HOSTN(&script, get_origin, GUEST_FREE + 32);
    script_word(&script, SCRIPT_EXPECT, 32);
    SCRIPT_HOSTN(&script, get_contract_address, GUEST_FREE + 64);
    script_word(&script, SCRIPT_EXPECT, 32);
    SCRIPT_HOSTN(&script, get_value, GUEST_FREE + 96);
    script_word(&script, SCRIPT_EXPECT, 16);
    SCRIPT_HOSTN(&script, return_data, GUEST_FREE, sizeof(expected));
    const struct smelt_receipt *receipt = fixture_run(fixture, &address, &script);
    memcpy(expected, alice.bytes, 32);
    memcpy(expected + 32, alice.bytes, 32);
    memcpy(expected + 64, address.bytes, 32);
    sm_store_le32(expected + 96, 1234);
    assert_slice(receipt->return_data, expected, sizeof(expected));
    assert_int_equal(balance_of(fixture, &address), 1234);
    assert_int_equal(balance_of(fixture, &alice), FUNDS - 1234);
}

static void fuel_left_counts_its_own_price(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    fixture->transaction.fuel_limit = 5000;
    assert_returned(FIXTURE_HOST(fixture, &address, fuel_left, 0), 5000 - 1 - 10);
}

static void crypto_functions_compute(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    struct script script = {0};
    uint8_t expected[32];
    uint8_t signature[64];
    uint8_t key[32];
    sm_crypto_keccak256(counter, expected);
    /* the result lands on the data */
    SCRIPT_HOSTN(&script, crypto_hash, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY);
    script_word(&script, SCRIPT_EXPECT, 32);
    SCRIPT_HOSTN(&script, return_data, GUEST_KEY, 32);
    assert_slice(fixture_run(fixture, &address, &script)->return_data, expected, 32);

    /* RFC 8032, section 7.1, test 2: one byte 0x72 */
    assert_true(smelt_hex_decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                                 key, sizeof(key)));
    assert_true(smelt_hex_decode("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                                 "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                                 signature, sizeof(signature)));
    script.size = 0;
    script_poke(&script, GUEST_FREE, smelt_slice_from_string("r"));
    script_poke(&script, GUEST_FREE + 64, sm_slice(signature, sizeof(signature)));
    script_poke(&script, GUEST_FREE + 128, sm_slice(key, sizeof(key)));
    SCRIPT_HOSTN(&script, crypto_verify, GUEST_FREE, 1, GUEST_FREE + 64, 64, GUEST_FREE + 128, 32);
    script_word(&script, SCRIPT_EXPECT, 1);
    SCRIPT_HOSTN(&script, crypto_verify, GUEST_FREE, 2, GUEST_FREE + 64, 64, GUEST_FREE + 128, 32);
    script_word(&script, SCRIPT_EXPECT, 0);
    SCRIPT_HOSTN(&script, crypto_verify, GUEST_FREE, 1, GUEST_FREE + 64, 63, GUEST_FREE + 128, 32);
    script_word(&script, SCRIPT_EXPECT, 0);
    SCRIPT_HOSTN(&script, crypto_verify, GUEST_FREE, 1, GUEST_FREE + 64, 64, GUEST_FREE + 128, 31);
    assert_returned(fixture_run(fixture, &address, &script), 0);
}

/* ---- events, amounts ------------------------------------------------------------------------- */

static void events_keep_their_order_and_sizes(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    struct script script = {0};
    SCRIPT_HOSTN(&script, log_event, GUEST_KEY, 3, GUEST_KEY + 3, 4);
    SCRIPT_HOSTN(&script, log_event, GUEST_ZEROES, 256, GUEST_ZEROES, 16384);
    SCRIPT_HOSTN(&script, log_event, GUEST_KEY, 0, GUEST_KEY, 0);
    const struct smelt_receipt *receipt = fixture_run(fixture, &address, &script);
    assert_int_equal(receipt->event_count, 3);
    assert_memory_equal(&receipt->events[0].address, &address, sizeof(address));
    assert_slice(receipt->events[0].topic, "cou", 3);
    assert_slice(receipt->events[0].data, "nter", 4);
    assert_int_equal(receipt->events[1].topic.size, 256);
    assert_int_equal(receipt->events[1].data.size, 16384);
    assert_int_equal(receipt->events[2].topic.size, 0);
    assert_int_equal(receipt->events[2].data.size, 0);
    assert_int_equal(receipt->write_count, 0);
}

static void transfers_move_what_is_there(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    struct script script = {0};
    uint8_t amount[16] = {100};
    fixture->transaction.value.low = 150;
    script_poke(&script, GUEST_FREE, sm_slice(bob.bytes, 32));
    script_poke(&script, GUEST_FREE + 32, sm_slice(amount, 16));
    SCRIPT_HOSTN(&script, transfer, GUEST_FREE, GUEST_FREE + 32);
    script_word(&script, SCRIPT_EXPECT, 0);
    SCRIPT_HOSTN(&script, transfer, GUEST_FREE, GUEST_FREE + 32);
    script_word(&script, SCRIPT_EXPECT, 1);
    SCRIPT_HOSTN(&script, get_balance, GUEST_FREE, GUEST_FREE + 64);
    script_word(&script, SCRIPT_EXPECT, 16);
    SCRIPT_HOSTN(&script, return_data, GUEST_FREE + 64, 16);
    assert_slice(fixture_run(fixture, &address, &script)->return_data, amount, 16);
    assert_int_equal(balance_of(fixture, &bob), 100);
    assert_int_equal(balance_of(fixture, &address), 50);
}

static void a_balance_past_128_bits_traps(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    struct script script = {0};
    uint8_t amount[16] = {1};
    const struct smelt_u128 most = {.low = UINT64_MAX, .high = UINT64_MAX};
    assert_int_equal(smelt_account_fund(&fixture->store, &bob, most, NULL), SMELT_STATUS_OK);
    fixture->transaction.value.low = 1;
    script_poke(&script, GUEST_FREE, sm_slice(bob.bytes, 32));
    script_poke(&script, GUEST_FREE + 32, sm_slice(amount, 16));
    SCRIPT_HOSTN(&script, transfer, GUEST_FREE, GUEST_FREE + 32);
    assert_trapped(fixture_run(fixture, &address, &script), HOST_ERROR(BALANCE_OVERFLOW));
    assert_int_equal(balance_of(fixture, &alice), FUNDS);
}

/* ---- input, output --------------------------------------------------------------------------- */

static void input_is_read_in_parts(void **state)
{
    static const struct {
        uint64_t offset, size, copied;
    } rows[] = {{0, 5, 5},   {0, 6, 6},          {0, 7, 6}, {4, 7, 2},
                {6, 1, 0},   {7, 1, 0},          {0, 0, 0}, {UINT32_MAX, 1, 0},
                {5, 100, 1}, {UINT32_MAX, 0, 0}, {2, 4, 4}};
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    fixture->transaction.input = smelt_slice_from_string("abcdef");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_returned(
            FIXTURE_HOST(fixture, &address, input_read, rows[i].offset, rows[i].size, GUEST_FREE),
            rows[i].copied);
    }
    assert_returned(FIXTURE_HOST(fixture, &address, input_len, 0), 6);
    /* to the last byte of memory */
    assert_returned(FIXTURE_HOST(fixture, &address, input_read, 0, 6, END - 6), 6);
    fixture->transaction.input = (struct smelt_slice){0};
    assert_returned(FIXTURE_HOST(fixture, &address, input_len, 0), 0);
    assert_returned(FIXTURE_HOST(fixture, &address, input_read, 0, 6, GUEST_FREE), 0);
}

static void the_last_return_data_wins(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    struct script script = {0};
    SCRIPT_HOSTN(&script, return_data, GUEST_ZEROES, 65536);
    SCRIPT_HOSTN(&script, return_data, GUEST_KEY, GUEST_KEY_SIZE);
    assert_slice(fixture_run(fixture, &address, &script)->return_data, "counter", 7);
    SCRIPT_HOSTN(&script, return_data, GUEST_KEY, 0);
    assert_slice(fixture_run(fixture, &address, &script)->return_data, NULL, 0);
    const uint64_t most[] = {0, 65536};
    assert_int_equal(
        fixture_host(fixture, &address, GUEST_HOST_return_data, 2, most)->return_data.size, 65536);
}

static void revert_drops_effects_and_keeps_its_data(void **state)
{
    struct smelt_address address;
    struct fixture *fixture = start(state, GUEST, &address);
    struct script script = {0};
    uint8_t value[8];
    uint64_t nonce = nonce_of(fixture, &alice);
    fixture->transaction.value.low = 10;
    SCRIPT_HOSTN(&script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 1);
    SCRIPT_HOSTN(&script, log_event, GUEST_KEY, 1, GUEST_KEY, 1);
    SCRIPT_HOSTN(&script, return_data, GUEST_KEY, 1);
    SCRIPT_HOSTN(&script, revert, GUEST_KEY, GUEST_KEY_SIZE);
    script_word(&script, SCRIPT_TRAP, 0);
    const struct smelt_receipt *receipt = fixture_run(fixture, &address, &script);
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind), "reverted");
    assert_slice(receipt->return_data, "counter", 7);
    assert_int_equal(receipt->event_count, 0);
    assert_int_equal(receipt->write_count, 0);
    assert_int_equal(stored(fixture, &address, counter, value, sizeof(value)), SIZE_MAX);
    assert_int_equal(balance_of(fixture, &alice), FUNDS);
    assert_int_equal(nonce_of(fixture, &alice), nonce);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(every_function_costs_what_the_schedule_says),
        TEST(revert_is_paid_for_too),
        TEST(failures_trap_at_the_call_and_leave_nothing),
        TEST(static_calls_trap_in_what_mutates_and_before_anything_else),
        TEST(storage_writes_reads_and_deletes),
        TEST(storage_takes_keys_and_values_up_to_the_limit),
        TEST(contracts_do_not_share_storage),
        TEST(allocate_says_where_a_value_goes),
        TEST(allocate_may_change_the_value_it_makes_room_for),
        TEST(failures_of_allocate_are_failures_of_the_call),
        TEST(without_allocate_and_page_there_is_no_place),
        TEST(context_functions_report_the_transaction),
        TEST(fuel_left_counts_its_own_price),
        TEST(crypto_functions_compute),
        TEST(events_keep_their_order_and_sizes),
        TEST(transfers_move_what_is_there),
        TEST(a_balance_past_128_bits_traps),
        TEST(input_is_read_in_parts),
        TEST(the_last_return_data_wins),
        TEST(revert_drops_effects_and_keeps_its_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
