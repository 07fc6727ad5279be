/* Accounts through the overlay and over a store, contract addresses, the walk over a state. */
#include "runtime/state/accounts.h"

#include "runtime/state/keys.h"
#include "tests/unit/state/state_support.h"

#define MAX UINT64_MAX

static const struct smelt_address alice = {{0xa1}};
static const struct smelt_address bob = {{0xb0}};
static const struct smelt_address nobody = {{0xff}};

static struct smelt_u128 amount(uint64_t high, uint64_t low)
{
    return (struct smelt_u128){.low = low, .high = high};
}

static void assert_amount(struct smelt_u128 actual, uint64_t high, uint64_t low)
{
    assert_int_equal(actual.high, high);
    assert_int_equal(actual.low, low);
}

static struct smelt_store *open_store(void)
{
    struct smelt_store *store = NULL;
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    return store;
}

static struct sm_overlay *open_overlay(struct smelt_store *store)
{
    struct sm_overlay *overlay = NULL;
    assert_int_equal(sm_overlay_create(store, &overlay, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_overlay_push(overlay, NULL), SMELT_STATUS_OK);
    return overlay;
}

static struct smelt_account read_account(struct sm_overlay *overlay,
                                         const struct smelt_address *address)
{
    struct smelt_account account;
    assert_int_equal(sm_state_account_read(overlay, address, &account, NULL), SMELT_STATUS_OK);
    return account;
}

static size_t count_writes(struct sm_overlay *overlay)
{
    struct sm_overlay_result result;
    assert_int_equal(sm_overlay_collect(overlay, &result, NULL), SMELT_STATUS_OK);
    return result.write_count;
}

static void test_addresses_are_fixed(void **state)
{
    (void)state;
    static const struct {
        uint64_t nonce;
        const char *hex;
    } rows[] = {
        {0, "e5167eaa98f9c9fc6e32789074d1c5b071dfc3751ea89bc030ab96b4980ccae2"},
        {1, "18dc2b69f8e10c1145c4980a8439a6e1a0cc1d55a805f5eb0ff205f7653235cd"},
        {MAX, "6d4a294774d41af6252d9709b1bcdb04e39cb9e1d333cb6e2ccad821dff2c226"},
    };
    struct smelt_address deployer;
    for (uint8_t i = 0; i < SMELT_ADDRESS_BYTES; i++) {
        deployer.bytes[i] = i;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_address address;
        char hex[2 * SMELT_ADDRESS_BYTES + 1];
        smelt_contract_address(&deployer, rows[i].nonce, &address);
        smelt_hex_encode(address.bytes, sizeof(address.bytes), hex);
        assert_string_equal(hex, rows[i].hex);
    }
}

static void test_funding_adds(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct smelt_account account = {.nonce = 5};
    assert_int_equal(smelt_account_get(store, &alice, &account, NULL), SMELT_STATUS_OK);
    assert_amount(account.balance, 0, 0);
    assert_int_equal(account.nonce, 0);
    assert_false(account.is_contract);

    assert_int_equal(smelt_account_fund(store, &alice, amount(0, MAX), NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_account_fund(store, &alice, amount(0, 2), NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_account_get(store, &alice, &account, NULL), SMELT_STATUS_OK);
    assert_amount(account.balance, 1, 1);

    struct smelt_error err;
    assert_int_equal(smelt_account_fund(store, &alice, amount(MAX, MAX), &err),
                     SMELT_STATUS_BALANCE_OVERFLOW);
    assert_int_equal(err.status, SMELT_STATUS_BALANCE_OVERFLOW);
    assert_int_equal(smelt_account_fund(store, &alice, amount(MAX - 1, MAX - 1), NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(smelt_account_get(store, &alice, &account, NULL), SMELT_STATUS_OK);
    assert_amount(account.balance, MAX, MAX);

    /* zero creates no record */
    struct sm_state_key key;
    struct smelt_buf value = {0};
    bool is_found = true;
    sm_state_account_key(&bob, &key);
    assert_int_equal(smelt_account_fund(store, &bob, amount(0, 0), NULL), SMELT_STATUS_OK);
    assert_int_equal(store->ops->get(store->impl, NULL, SMELT_STORE_STATE, sm_state_key_slice(&key),
                                     &value, &is_found, NULL),
                     SMELT_STATUS_OK);
    assert_false(is_found);
    smelt_buf_deinit(&value);
    smelt_store_close(store);
}

static void test_funding_keeps_the_rest_of_the_record(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct smelt_account account = {
        .nonce = 3, .is_contract = true, .code_hash = {{7}}, .owner = {{8}}};
    struct sm_state_key key;
    uint8_t record[SM_STATE_CONTRACT_BYTES];
    sm_state_account_key(&alice, &key);
    assert_int_equal(sm_state_encode_account(&account, record), sizeof(record));
    struct smelt_store_write write = {.family = SMELT_STORE_STATE,
                                      .key = sm_state_key_slice(&key),
                                      .value = sm_slice(record, sizeof(record))};
    assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_account_fund(store, &alice, amount(0, 9), NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_account_get(store, &alice, &account, NULL), SMELT_STATUS_OK);
    assert_amount(account.balance, 0, 9);
    assert_int_equal(account.nonce, 3);
    assert_true(account.is_contract);
    assert_int_equal(account.code_hash.bytes[0], 7);
    assert_int_equal(account.owner.bytes[0], 8);
    smelt_store_close(store);
}

/* `from` and `to` are letters: a, b. Balances before and after; a status or whether it was done. */
static void test_transfers(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        char from, to;
        struct smelt_u128 amount;
        struct smelt_u128 a, b;
        enum smelt_status status;
        bool is_done;
        struct smelt_u128 a_after, b_after;
        size_t writes;
    } rows[] = {
        {"plain", 'a', 'b', {3, 0}, {10, 0}, {5, 0}, SMELT_STATUS_OK, true, {7, 0}, {8, 0}, 2},
        {"to a new account",
         'a',
         'b',
         {3, 0},
         {10, 0},
         {0, 0},
         SMELT_STATUS_OK,
         true,
         {7, 0},
         {3, 0},
         2},
        {"all of it",
         'a',
         'b',
         {10, 0},
         {10, 0},
         {5, 0},
         SMELT_STATUS_OK,
         true,
         {0, 0},
         {15, 0},
         2},
        {"borrow and carry",
         'a',
         'b',
         {1, 0},
         {0, 1},
         {MAX, 0},
         SMELT_STATUS_OK,
         true,
         {MAX, 0},
         {0, 1},
         2},
        {"one too much",
         'a',
         'b',
         {11, 0},
         {10, 0},
         {5, 0},
         SMELT_STATUS_OK,
         false,
         {10, 0},
         {5, 0},
         0},
        {"too much by the high word",
         'a',
         'b',
         {0, 1},
         {MAX, 0},
         {5, 0},
         SMELT_STATUS_OK,
         false,
         {MAX, 0},
         {5, 0},
         0},
        {"from a missing account",
         'a',
         'b',
         {1, 0},
         {0, 0},
         {5, 0},
         SMELT_STATUS_OK,
         false,
         {0, 0},
         {5, 0},
         0},
        {"overflow",
         'a',
         'b',
         {1, 0},
         {10, 0},
         {MAX, MAX},
         SMELT_STATUS_BALANCE_OVERFLOW,
         false,
         {10, 0},
         {MAX, MAX},
         0},
        {"up to the maximum",
         'a',
         'b',
         {1, 0},
         {10, 0},
         {MAX - 1, MAX},
         SMELT_STATUS_OK,
         true,
         {9, 0},
         {MAX, MAX},
         2},
        {"short of balance before overflow",
         'a',
         'b',
         {11, 0},
         {10, 0},
         {MAX, MAX},
         SMELT_STATUS_OK,
         false,
         {10, 0},
         {MAX, MAX},
         0},
        {"to oneself",
         'a',
         'a',
         {10, 0},
         {10, 0},
         {5, 0},
         SMELT_STATUS_OK,
         true,
         {10, 0},
         {5, 0},
         0},
        {"to oneself at the maximum",
         'a',
         'a',
         {MAX, MAX},
         {MAX, MAX},
         {5, 0},
         SMELT_STATUS_OK,
         true,
         {MAX, MAX},
         {5, 0},
         0},
        {"to oneself without balance",
         'a',
         'a',
         {11, 0},
         {10, 0},
         {5, 0},
         SMELT_STATUS_OK,
         false,
         {10, 0},
         {5, 0},
         0},
        {"nothing", 'a', 'b', {0, 0}, {10, 0}, {5, 0}, SMELT_STATUS_OK, true, {10, 0}, {5, 0}, 0},
        {"nothing, between missing accounts",
         'a',
         'b',
         {0, 0},
         {0, 0},
         {0, 0},
         SMELT_STATUS_OK,
         true,
         {0, 0},
         {0, 0},
         0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        print_message("transfer: %s\n", rows[i].label);
        struct smelt_store *store = open_store();
        assert_int_equal(smelt_account_fund(store, &alice, rows[i].a, NULL), SMELT_STATUS_OK);
        assert_int_equal(smelt_account_fund(store, &bob, rows[i].b, NULL), SMELT_STATUS_OK);
        struct sm_overlay *overlay = open_overlay(store);
        bool is_done = !rows[i].is_done;
        struct smelt_error err = {0};
        assert_int_equal(sm_state_transfer(overlay, rows[i].from == 'a' ? &alice : &bob,
                                           rows[i].to == 'a' ? &alice : &bob, rows[i].amount,
                                           &is_done, &err),
                         rows[i].status);
        assert_int_equal(err.status, rows[i].status);
        assert_int_equal(is_done, rows[i].is_done);
        assert_int_equal(sm_overlay_depth(overlay), 1);
        assert_amount(read_account(overlay, &alice).balance, rows[i].a_after.high,
                      rows[i].a_after.low);
        assert_amount(read_account(overlay, &bob).balance, rows[i].b_after.high,
                      rows[i].b_after.low);
        assert_int_equal(count_writes(overlay), rows[i].writes);
        sm_overlay_destroy(overlay);
        smelt_store_close(store);
    }
}

static void test_an_empty_account_has_no_record(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(smelt_account_fund(store, &alice, amount(0, 4), NULL), SMELT_STATUS_OK);
    struct sm_overlay *overlay = open_overlay(store);
    bool is_done = false;
    assert_int_equal(sm_state_transfer(overlay, &alice, &bob, amount(0, 4), &is_done, NULL),
                     SMELT_STATUS_OK);
    assert_true(is_done);
    struct sm_overlay_result result;
    assert_int_equal(sm_overlay_collect(overlay, &result, NULL), SMELT_STATUS_OK);
    assert_int_equal(result.write_count, 2);
    assert_true(result.writes[0].is_delete);
    assert_false(result.writes[1].is_delete);
    sm_overlay_destroy(overlay);
    smelt_store_close(store);
}

static void test_a_damaged_record_is_reported(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct sm_state_key key;
    sm_state_account_key(&alice, &key);
    struct smelt_store_write write = {
        .family = SMELT_STORE_STATE, .key = sm_state_key_slice(&key), .value = text("short")};
    assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
    struct smelt_account account;
    assert_int_equal(smelt_account_get(store, &alice, &account, NULL), SMELT_STATUS_STORE_CORRUPT);
    assert_int_equal(smelt_account_fund(store, &alice, amount(0, 1), NULL),
                     SMELT_STATUS_STORE_CORRUPT);
    struct sm_overlay *overlay = open_overlay(store);
    bool is_done = true;
    assert_int_equal(sm_state_account_read(overlay, &alice, &account, NULL),
                     SMELT_STATUS_STORE_CORRUPT);
    assert_int_equal(sm_state_transfer(overlay, &alice, &bob, amount(0, 1), &is_done, NULL),
                     SMELT_STATUS_STORE_CORRUPT);
    assert_false(is_done);
    sm_overlay_destroy(overlay);
    struct smelt_state_visitor visitor = {0};
    assert_int_equal(smelt_state_visit(store, &visitor, NULL), SMELT_STATUS_STORE_CORRUPT);
    smelt_store_close(store);
}

/* How many tries a transfer needs that comes after `events` events, when each allocation fails
 * once.
 */
static size_t transfer_with_short_memory(struct smelt_store *store, size_t events)
{
    size_t blocks = sm_alloc_blocks();
    for (size_t nth = 1;; nth++) {
        struct sm_overlay *overlay = open_overlay(store);
        bool is_done = true;
        for (size_t i = 0; i < events; i++) {
            assert_int_equal(sm_overlay_emit(overlay, &(struct smelt_event){0}, NULL),
                             SMELT_STATUS_OK);
        }
        sm_alloc_fail_at(nth);
        enum smelt_status status =
            sm_state_transfer(overlay, &alice, &bob, amount(0, 4), &is_done, NULL);
        sm_alloc_fail_at(0);
        bool is_ok = status == SMELT_STATUS_OK;
        assert_true(is_ok || status == SMELT_STATUS_NO_MEMORY);
        assert_int_equal(is_done, is_ok);
        assert_int_equal(sm_overlay_depth(overlay), 1);
        assert_amount(read_account(overlay, &alice).balance, 0, is_ok ? 6 : 10);
        assert_amount(read_account(overlay, &bob).balance, 0, is_ok ? 4 : 0);
        assert_int_equal(count_writes(overlay), is_ok ? 2 : 0);
        sm_overlay_destroy(overlay);
        assert_int_equal(sm_alloc_blocks(), blocks);
        if (is_ok) {
            return nth;
        }
    }
}

static void test_short_memory_moves_nothing(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    assert_int_equal(smelt_account_fund(store, &alice, amount(0, 10), NULL), SMELT_STATUS_OK);
    /* an overlay takes memory in pieces: with more and more events before it, a piece is used up
     * at each step of the transfer, between the two writes too */
    size_t tries_min = SIZE_MAX;
    size_t tries_max = 0;
    for (size_t events = 0; events <= 96; events++) {
        size_t tries = transfer_with_short_memory(store, events);
        tries_min = tries < tries_min ? tries : tries_min;
        tries_max = tries > tries_max ? tries : tries_max;
    }
    assert_true(tries_min < tries_max);
    for (size_t nth = 1;; nth++) {
        struct smelt_account account;
        sm_alloc_fail_at(nth);
        enum smelt_status status = smelt_account_fund(store, &bob, amount(0, 4), NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(smelt_account_get(store, &bob, &account, NULL), SMELT_STATUS_OK);
        assert_int_equal(account.balance.low, status == SMELT_STATUS_OK ? 4 : 0);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    }
    smelt_store_close(store);
}

struct seen {
    struct smelt_buf lines;
    size_t left; /* visits until the visitor stops */
};

static bool see_account(void *context, const struct smelt_address *address,
                        const struct smelt_account *account)
{
    struct seen *seen = (struct seen *)context;
    assert_true(sm_buf_printf(&seen->lines, "%02x:%u%s\n", address->bytes[0],
                              (unsigned)account->balance.low, account->is_contract ? "c" : ""));
    return --seen->left != 0;
}

static bool see_storage(void *context, const struct smelt_address *address, struct smelt_slice key,
                        struct smelt_slice value)
{
    struct seen *seen = (struct seen *)context;
    assert_true(sm_buf_printf(&seen->lines, "%02x/%.*s=%.*s\n", address->bytes[0], (int)key.size,
                              (const char *)key.data, (int)value.size, (const char *)value.data));
    return --seen->left != 0;
}

static void fill_state(struct smelt_store *store)
{
    static const struct smelt_account contract = {
        .balance = {.low = 2}, .is_contract = true, .code_hash = {{1}}};
    struct sm_state_key key;
    struct sm_overlay *overlay = open_overlay(store);
    struct sm_overlay_result result;
    assert_int_equal(sm_state_account_write(overlay, &bob, &contract, NULL), SMELT_STATUS_OK);
    static const char *const pairs[][2] = {{"z", "26"}, {"", "empty"}, {"a", ""}};
    for (size_t i = 0; i < 3; i++) {
        sm_state_storage_key(&bob, text(pairs[i][0]), &key);
        assert_int_equal(sm_overlay_put(overlay, sm_state_key_slice(&key), text(pairs[i][1]), NULL),
                         SMELT_STATUS_OK);
    }
    assert_int_equal(sm_overlay_collect(overlay, &result, NULL), SMELT_STATUS_OK);
    assert_int_equal(store->ops->write(store->impl, result.writes, result.write_count, NULL),
                     SMELT_STATUS_OK);
    sm_overlay_destroy(overlay);
    assert_int_equal(smelt_account_fund(store, &nobody, amount(0, 3), NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_account_fund(store, &alice, amount(0, 1), NULL), SMELT_STATUS_OK);
}

static void test_the_walk_is_in_order_and_stops(void **state)
{
    (void)state;
    static const struct {
        bool has_account, has_storage;
        size_t limit;
        const char *lines;
    } rows[] = {
        {true, true, 100, "a1:1\nb0:2c\nb0/=empty\nb0/a=\nb0/z=26\nff:3\n"},
        {true, false, 100, "a1:1\nb0:2c\nff:3\n"},
        {false, true, 100, "b0/=empty\nb0/a=\nb0/z=26\n"},
        {false, false, 100, ""},
        {true, true, 1, "a1:1\n"},
        {true, true, 4, "a1:1\nb0:2c\nb0/=empty\nb0/a=\n"},
    };
    struct smelt_store *store = open_store();
    fill_state(store);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct seen seen = {.left = rows[i].limit};
        struct smelt_state_visitor visitor = {.account = rows[i].has_account ? see_account : NULL,
                                              .storage = rows[i].has_storage ? see_storage : NULL,
                                              .context = &seen};
        assert_int_equal(smelt_state_visit(store, &visitor, NULL), SMELT_STATUS_OK);
        assert_true(sm_slice_equal_text(sm_buf_slice(&seen.lines), rows[i].lines));
        smelt_buf_deinit(&seen.lines);
    }
    /* neither an account nor storage */
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "stray", ""), SMELT_STATUS_OK);
    struct smelt_error err;
    struct smelt_state_visitor visitor = {0};
    assert_int_equal(smelt_state_visit(store, &visitor, &err), SMELT_STATUS_STORE_CORRUPT);
    assert_int_equal(err.status, SMELT_STATUS_STORE_CORRUPT);
    sm_alloc_fail_at(1);
    assert_int_equal(smelt_state_visit(store, &visitor, &err), SMELT_STATUS_NO_MEMORY);
    sm_alloc_fail_at(0);
    smelt_store_close(store);
}

static bool see_own(void *context, struct smelt_slice key, struct smelt_slice value)
{
    return see_storage(context, &bob, key, value);
}

static void test_the_walk_over_one_contract(void **state)
{
    (void)state;
    static uint8_t longest[SM_STATE_KEY_MAX + 1];
    const struct {
        const struct smelt_address *address;
        struct smelt_slice prefix;
        size_t limit;
        const char *lines;
    } rows[] = {
        {&bob, {NULL, 0}, 100, "b0/=empty\nb0/a=\nb0/a\xff=next\nb0/z=26\n"},
        {&bob, text("a"), 100, "b0/a=\nb0/a\xff=next\n"},
        {&bob, text("a\xff"), 100, "b0/a\xff=next\n"},
        {&bob, text("aa"), 100, ""},
        {&bob, {longest, SM_STATE_KEY_MAX}, 100, ""},
        {&bob, {longest, SM_STATE_KEY_MAX + 1}, 100, ""},
        {&bob, {NULL, 0}, 1, "b0/=empty\n"},
        {&bob, text("a"), 1, "b0/a=\n"},
        {&alice, {NULL, 0}, 100, ""},
        {&nobody, {NULL, 0}, 100, ""},
    };
    struct smelt_store *store = open_store();
    struct smelt_error err;
    struct sm_state_key key;
    fill_state(store);
    sm_state_storage_key(&bob, text("a\xff"), &key);
    const struct smelt_store_write write = {
        .family = SMELT_STORE_STATE, .key = sm_state_key_slice(&key), .value = text("next")};
    assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
    /* what is wrong elsewhere is not read */
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "stray", ""), SMELT_STATUS_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct seen seen = {.left = rows[i].limit};
        assert_int_equal(
            smelt_storage_visit(store, rows[i].address, rows[i].prefix, see_own, &seen, NULL),
            SMELT_STATUS_OK);
        assert_true(sm_slice_equal_text(sm_buf_slice(&seen.lines), rows[i].lines));
        smelt_buf_deinit(&seen.lines);
    }
    const struct smelt_slice none = {0};
    const struct smelt_slice no_data = {.size = 1};
    assert_int_equal(smelt_storage_visit(NULL, &bob, none, see_own, NULL, &err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_storage_visit(store, NULL, none, see_own, NULL, &err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_storage_visit(store, &bob, none, NULL, NULL, &err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_storage_visit(store, &bob, no_data, see_own, NULL, &err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    sm_alloc_fail_at(1);
    assert_int_equal(smelt_storage_visit(store, &bob, none, see_own, NULL, &err),
                     SMELT_STATUS_NO_MEMORY);
    sm_alloc_fail_at(0);
    smelt_store_close(store);
}

static int check_leaks(void **state)
{
    (void)state;
    return sm_alloc_blocks() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_addresses_are_fixed, check_leaks),
        cmocka_unit_test_teardown(test_funding_adds, check_leaks),
        cmocka_unit_test_teardown(test_funding_keeps_the_rest_of_the_record, check_leaks),
        cmocka_unit_test_teardown(test_transfers, check_leaks),
        cmocka_unit_test_teardown(test_an_empty_account_has_no_record, check_leaks),
        cmocka_unit_test_teardown(test_a_damaged_record_is_reported, check_leaks),
        cmocka_unit_test_teardown(test_short_memory_moves_nothing, check_leaks),
        cmocka_unit_test_teardown(test_the_walk_is_in_order_and_stops, check_leaks),
        cmocka_unit_test_teardown(test_the_walk_over_one_contract, check_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
