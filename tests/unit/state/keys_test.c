/* Keys and account records: the bytes that are on disk. */
#include "runtime/state/keys.h"

#include "tests/unit/state/state_support.h"

static const struct smelt_address address = {{0xa0, 0xa1, [31] = 0xaf}};

static void test_layouts_are_fixed(void **state)
{
    (void)state;
    struct sm_state_key key;
    char hex[2 * SM_STATE_CONTRACT_BYTES + 1];
    sm_state_account_key(&address, &key);
    smelt_hex_encode(key.bytes, key.size, hex);
    assert_string_equal(hex, "a0a10000000000000000000000000000000000000000000000000000000000af00");
    sm_state_storage_key(&address, text("\x01k"), &key);
    smelt_hex_encode(key.bytes, key.size, hex);
    assert_string_equal(hex,
                        "a0a10000000000000000000000000000000000000000000000000000000000af01016b");

    struct smelt_account account = {.balance = {.low = 0x0102, .high = 0x03},
                                    .nonce = 0x0405,
                                    .is_contract = true,
                                    .code_hash = {{0xc0, [31] = 0xcf}},
                                    .owner = {{0xd0, [31] = 0xdf}}};
    uint8_t record[SM_STATE_CONTRACT_BYTES];
    smelt_hex_encode(record, sm_state_encode_account(&account, record), hex);
    assert_string_equal(hex, "0201000000000000"
                             "0300000000000000"
                             "0504000000000000"
                             "c0000000000000000000000000000000000000000000000000000000000000cf"
                             "d0000000000000000000000000000000000000000000000000000000000000df");
    account.is_contract = false;
    smelt_hex_encode(record, sm_state_encode_account(&account, record), hex);
    assert_string_equal(hex, "0201000000000000"
                             "0300000000000000"
                             "0504000000000000");
}

static void test_keys_tell_their_kind(void **state)
{
    (void)state;
    static const uint8_t longest[SM_STATE_KEY_MAX];
    uint8_t bytes[34] = {0};
    static const struct {
        const char *label;
        size_t size;
        uint8_t tag;
        bool is_account;
        bool is_storage;
    } rows[] = {
        {"empty", 0, 0, false, false},
        {"address without tag", 32, 0, false, false},
        {"account", 33, 0, true, false},
        {"account with a tail", 34, 0, false, false},
        {"storage, empty key", 33, 1, false, true},
        {"storage", 34, 1, false, true},
        {"unknown tag", 33, 2, false, false},
        {"highest tag", 34, 255, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bytes[32] = rows[i].tag;
        struct smelt_slice key = sm_slice(bytes, rows[i].size);
        if (sm_state_is_account_key(key) != rows[i].is_account ||
            sm_state_is_storage_key(key) != rows[i].is_storage) {
            fail_msg("%s", rows[i].label);
        }
    }
    struct sm_state_key key;
    sm_state_storage_key(&address, sm_slice(longest, sizeof(longest)), &key);
    assert_int_equal(key.size, sizeof(key.bytes));
    assert_true(sm_state_is_storage_key(sm_state_key_slice(&key)));
}

static void test_an_account_sorts_before_its_storage(void **state)
{
    (void)state;
    struct smelt_address after = address;
    after.bytes[31]++;
    struct sm_state_key account;
    struct sm_state_key first;
    struct sm_state_key last;
    struct sm_state_key next;
    sm_state_account_key(&address, &account);
    sm_state_storage_key(&address, text(""), &first);
    sm_state_storage_key(&address, text("\xff\xff\xff"), &last);
    sm_state_account_key(&after, &next);
    assert_true(sm_slice_compare(sm_state_key_slice(&account), sm_state_key_slice(&first)) < 0);
    assert_true(sm_slice_compare(sm_state_key_slice(&first), sm_state_key_slice(&last)) < 0);
    assert_true(sm_slice_compare(sm_state_key_slice(&last), sm_state_key_slice(&next)) < 0);
}

static void test_accounts_come_back(void **state)
{
    (void)state;
    static const struct smelt_account rows[] = {
        {.nonce = 0},
        {.nonce = UINT64_MAX, .balance = {UINT64_MAX, UINT64_MAX}},
        {.is_contract = true, .code_hash = {{1}}},
        {.is_contract = true, .code_hash = {{[31] = 1}}, .balance = {.high = 1}},
        {.is_contract = true, .code_hash = {{1}}, .owner = {{2, [31] = 3}}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t record[SM_STATE_CONTRACT_BYTES];
        struct smelt_account back;
        size_t size = sm_state_encode_account(&rows[i], record);
        assert_int_equal(sm_state_decode_account(sm_slice(record, size), &back, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(back.balance.low, rows[i].balance.low);
        assert_int_equal(back.balance.high, rows[i].balance.high);
        assert_int_equal(back.nonce, rows[i].nonce);
        assert_int_equal(back.is_contract, rows[i].is_contract);
        assert_memory_equal(&back.code_hash, &rows[i].code_hash, sizeof(back.code_hash));
        assert_memory_equal(&back.owner, &rows[i].owner, sizeof(back.owner));
    }
    /* hash and owner without is_contract are not written */
    struct smelt_account stray = {.code_hash = {{9}}, .owner = {{9}}};
    uint8_t record[SM_STATE_CONTRACT_BYTES];
    static const uint8_t zeroes[SM_STATE_ACCOUNT_BYTES];
    assert_int_equal(sm_state_encode_account(&stray, record), sizeof(zeroes));
    assert_memory_equal(record, zeroes, sizeof(zeroes));
}

static void test_damaged_records_are_refused(void **state)
{
    (void)state;
    uint8_t ones[SM_STATE_CONTRACT_BYTES + 1];
    memset(ones, 1, sizeof(ones));
    static const uint8_t no_code[SM_STATE_CONTRACT_BYTES] = {1, [16] = 1, [56] = 1};
    const struct {
        const char *label;
        const uint8_t *data;
        size_t size;
    } rows[] = {
        {"empty", NULL, 0},
        {"one byte", ones, 1},
        {"an account, cut", ones, SM_STATE_ACCOUNT_BYTES - 1},
        {"an account with a tail", ones, SM_STATE_ACCOUNT_BYTES + 1},
        {"format 2", ones, 56},
        {"a contract, cut", ones, SM_STATE_CONTRACT_BYTES - 1},
        {"a contract with a tail", ones, SM_STATE_CONTRACT_BYTES + 1},
        {"a contract without code", no_code, sizeof(no_code)},
    };
    static const struct smelt_account zeroes;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_account account = {.nonce = 7};
        struct smelt_error err = {0};
        if (sm_state_decode_account(sm_slice(rows[i].data, rows[i].size), &account, &err) !=
                SMELT_STATUS_STORE_CORRUPT ||
            err.status != SMELT_STATUS_STORE_CORRUPT || account.nonce != 0 ||
            !sm_u128_is_zero(account.balance) || account.is_contract ||
            memcmp(&account.owner, &zeroes.owner, sizeof(zeroes.owner)) != 0) {
            fail_msg("%s", rows[i].label);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts_are_fixed),
        cmocka_unit_test(test_keys_tell_their_kind),
        cmocka_unit_test(test_an_account_sorts_before_its_storage),
        cmocka_unit_test(test_accounts_come_back),
        cmocka_unit_test(test_damaged_records_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
