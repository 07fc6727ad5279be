/* Verifying a state: what is whole passes with the right counts, and whatever is changed, added or
 * taken away is found. */
#include "base/digest.h"
#include "runtime/state/keys.h"
#include "runtime/wave/ledger_keys.h"
#include "runtime/wave/page_walk.h"
#include "runtime/wave/record.h"
#include "tests/unit/wave/wave_support.h"

#include <smelt/runtime.h>

#define FIRST 3u
#define LAST  9u

static void put_module(struct smelt_store *store, const char *content)
{
    struct smelt_hash hash;
    sm_digest_bytes(text(content), &hash);
    put_value(store, SMELT_STORE_CODE, sm_slice(hash.bytes, sizeof(hash.bytes)), text(content));
}

static struct smelt_store *open_state(void)
{
    struct smelt_store *store;
    struct sm_state_key key;
    struct smelt_address address = contract_of(1);
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    write_chain(store, FIRST, LAST);
    put_module(store, "one module");
    put_module(store, "another");
    assert_int_equal(smelt_account_fund(store, &address, (struct smelt_u128){.low = 5}, NULL),
                     SMELT_STATUS_OK);
    sm_state_storage_key(&address, text("key"), &key);
    put_value(store, SMELT_STORE_STATE, sm_state_key_slice(&key), text("value"));
    sm_state_storage_key(&address, text(""), &key);
    put_value(store, SMELT_STORE_STATE, sm_state_key_slice(&key), text(""));
    return store;
}

static void assert_corrupt(struct smelt_store *store, const char *message)
{
    struct smelt_state_check check;
    struct smelt_error err = {0};
    enum smelt_status status = smelt_state_verify(store, &check, &err);
    if (status != SMELT_STATUS_STORE_CORRUPT || strstr(err.message, message) == NULL) {
        fail_msg("expected \"%s\": %s: %s", message, smelt_status_name(status), err.message);
    }
    assert_int_equal(check.waves, 0);
}

static void test_a_whole_state_passes(void **state)
{
    (void)state;
    struct smelt_state_check check;
    struct smelt_store *store = open_state();
    uint64_t receipts = 0;
    uint64_t events = 0;
    for (uint64_t n = FIRST; n <= LAST; n++) {
        struct smelt_wave_record record;
        assert_int_equal(smelt_wave_get(store, n, &record, NULL), SMELT_STATUS_OK);
        receipts += record.transaction_count;
        events += record.event_count;
    }
    assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    assert_int_equal(check.waves, LAST - FIRST + 1);
    assert_int_equal(check.pruned, 0);
    assert_int_equal(check.receipts, receipts);
    assert_int_equal(check.events, events);
    assert_int_equal(check.modules, 2);
    assert_int_equal(check.accounts, 1);
    assert_int_equal(check.storage, 2);
    assert_true(events > 100);
    smelt_store_close(store);
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    assert_int_equal(check.waves, 0);
    smelt_store_close(store);
}

/* Every pair of a family, copied. */
struct pairs {
    struct smelt_buf keys[600];
    struct smelt_buf values[600];
    size_t count;
};

static bool copy_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct pairs *pairs = (struct pairs *)context;
    assert_true(pairs->count < sizeof(pairs->keys) / sizeof(pairs->keys[0]));
    assert_true(sm_buf_append(&pairs->keys[pairs->count], key.data, key.size));
    assert_true(sm_buf_append(&pairs->values[pairs->count], value.data, value.size));
    pairs->count++;
    return true;
}

/* Any bit of any value of the ledger and of modules, and any pair. */
static void test_every_change_is_found(void **state)
{
    (void)state;
    static const enum smelt_store_family families[] = {SMELT_STORE_RECEIPTS, SMELT_STORE_EVENTS,
                                                       SMELT_STORE_META, SMELT_STORE_CODE};
    struct smelt_store *store = open_state();
    struct smelt_state_check check;
    uint64_t seed = 4;
    for (size_t i = 0; i < 4; i++) {
        static struct pairs pairs;
        memset(&pairs, 0, sizeof(pairs));
        assert_int_equal(
            store->ops->iterate(store->impl, NULL, families[i], text(""), copy_pair, &pairs, NULL),
            SMELT_STATUS_OK);
        assert_true(pairs.count != 0);
        for (size_t j = 0; j < pairs.count; j++) {
            struct smelt_slice key = sm_buf_slice(&pairs.keys[j]);
            struct smelt_buf *value = &pairs.values[j];
            size_t at = random_below(&seed, value->size);
            uint8_t bit = (uint8_t)(1u << random_below(&seed, 8));
            value->data[at] ^= bit;
            put_value(store, families[i], key, sm_buf_slice(value));
            assert_corrupt(store, "restore the state from a copy");
            value->data[at] ^= bit;
            /* a module that is not there is missed by nobody */
            if (families[i] != SMELT_STORE_CODE) {
                delete_value(store, families[i], key);
                assert_corrupt(store, "restore the state from a copy");
            }
            put_value(store, families[i], key, sm_buf_slice(value));
            smelt_buf_deinit(&pairs.keys[j]);
            smelt_buf_deinit(value);
        }
        assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    }
    smelt_store_close(store);
}

static void test_strange_keys_are_found(void **state)
{
    (void)state;
    static const uint8_t bytes[2000] = {[32] = 1};
    static const uint8_t tagged[33] = {[32] = 2};
    struct sm_ledger_key key;
    struct sm_ledger_key page;
    struct sm_ledger_key events;
    struct sm_ledger_key id;
    struct smelt_hash hash = {{9}};
    uint8_t place[SM_PLACE_BYTES];
    sm_record_key(FIRST - 1, &key);
    sm_receipt_page_key(FIRST, 7, &page);
    sm_event_page_key(LAST + 1, 0, &events);
    sm_id_key(&hash, &id);
    sm_place_encode(FIRST + 1, 0, place);
    const struct {
        enum smelt_store_family family;
        struct smelt_slice key;
        struct smelt_slice value;
        const char *message;
    } rows[] = {
        {SMELT_STORE_RECEIPTS, text("x"), text(""), "not one of records and receipts"},
        {SMELT_STORE_RECEIPTS, text(""), text(""), "not one of records and receipts"},
        {SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&page), text("x"), "pages of receipts"},
        {SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&id), sm_slice(place, sizeof(place)),
         "ids of transactions"},
        {SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&id), text("x"), "ids of transactions"},
        {SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), text("x"), "wave 2: its record"},
        {SMELT_STORE_EVENTS, sm_ledger_key_slice(&events), text("x"), "pages of events"},
        {SMELT_STORE_EVENTS, text("x"), text(""), "not one of events"},
        {SMELT_STORE_CODE, text("x"), text(""), "not one of modules"},
        {SMELT_STORE_CODE, sm_slice(bytes, 32), text("x"), "does not have the hash"},
        {SMELT_STORE_STATE, text("x"), text(""), "not one of accounts and storage"},
        {SMELT_STORE_STATE, sm_slice(bytes, 1058), text(""), "not one of accounts and storage"},
        {SMELT_STORE_STATE, sm_slice(tagged, 33), text(""), "not one of accounts and storage"},
        {SMELT_STORE_META, text("receipts-from"), sm_slice(bytes, 7), "\"receipts-from\" has 7"},
        {SMELT_STORE_META, text("receipts-from"), sm_slice("\xff\0\0\0\0\0\0\0", 8),
         "later ones were pruned"},
    };
    struct smelt_store *store = open_state();
    struct smelt_state_check check;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        put_value(store, rows[i].family, rows[i].key, rows[i].value);
        assert_corrupt(store, rows[i].message);
        delete_value(store, rows[i].family, rows[i].key);
    }
    /* accounts: cut, and of nothing */
    static const uint8_t account_key[33] = {0x55};
    put_value(store, SMELT_STORE_STATE, sm_slice(account_key, 33), sm_slice(bytes + 100, 23));
    assert_corrupt(store, "the record of account 5500");
    put_value(store, SMELT_STORE_STATE, sm_slice(account_key, 33), sm_slice(bytes + 100, 24));
    assert_corrupt(store, "the record of account 5500");
    delete_value(store, SMELT_STORE_STATE, sm_slice(account_key, 33));
    assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    smelt_store_close(store);
    /* and without any wave */
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    put_value(store, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), text("x"));
    assert_corrupt(store, "the state has 1 records of waves, but its waves account for 0");
    smelt_store_close(store);
}

/* Records with right digests, all the way to the head, that say something else than the receipts.
 */

typedef void (*change_fn)(struct smelt_wave_record *record);

static void change_chain(struct smelt_wave_record *record)
{
    record->chain_id++;
}
static void change_parent(struct smelt_wave_record *record)
{
    record->parent.bytes[0] ^= 1;
}
static void change_time(struct smelt_wave_record *record)
{
    record->timestamp -= 2;
}
static void change_count(struct smelt_wave_record *record)
{
    record->transaction_count++;
}
static void change_rejected(struct smelt_wave_record *record)
{
    record->rejected_count--;
}
static void change_failed(struct smelt_wave_record *record)
{
    record->failed_count--;
}
static void change_events(struct smelt_wave_record *record)
{
    record->event_count++;
}
static void change_fuel(struct smelt_wave_record *record)
{
    record->fuel_used++;
}
static void change_fees(struct smelt_wave_record *record)
{
    record->fees.high++;
}
static void change_receipts(struct smelt_wave_record *record)
{
    record->receipts_digest.bytes[31] ^= 1;
}
static void change_root(struct smelt_wave_record *record)
{
    record->events_root.bytes[31] ^= 1;
}
static void change_bloom(struct smelt_wave_record *record)
{
    record->bloom[9] = (uint8_t)~record->bloom[9];
}

/* Signs the newest record, changed, as the newest. */
static void rewrite_newest(struct smelt_store *store, change_fn change)
{
    struct smelt_wave_record record;
    struct sm_ledger_key key;
    uint8_t code[SM_RECORD_BYTES];
    uint8_t last[SM_LAST_BYTES];
    struct smelt_hash digest;
    assert_int_equal(smelt_wave_get(store, LAST, &record, NULL), SMELT_STATUS_OK);
    change(&record);
    smelt_wave_record_digest(&record, &digest);
    sm_record_encode(&record, code);
    sm_record_key(LAST, &key);
    put_value(store, SMELT_STORE_RECEIPTS, sm_ledger_key_slice(&key), sm_slice(code, sizeof(code)));
    sm_store_le64(last, LAST);
    memcpy(last + 8, digest.bytes, sizeof(digest.bytes));
    put_value(store, SMELT_STORE_META, text("wave"), sm_slice(last, sizeof(last)));
}

static void test_records_that_lie_are_found(void **state)
{
    (void)state;
    static const struct {
        change_fn change;
        const char *message;
    } rows[] = {
        {change_chain, "another chain"},
        {change_parent, "as its parent"},
        {change_time, "its timestamp is before the last wave's"},
        {change_count, "wave 9, page 1 of receipts: it is missing"},
        {change_rejected, "do not add up"},
        {change_failed, "do not add up"},
        {change_events, "do not add up"},
        {change_fuel, "do not add up"},
        {change_fees, "do not add up"},
        {change_receipts, "do not have the digest in its record"},
        {change_root, "do not have the root in its record"},
        {change_bloom, "do not have the bloom in its record"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_store *store = open_state();
        rewrite_newest(store, rows[i].change);
        assert_corrupt(store, rows[i].message);
        smelt_store_close(store);
    }
}

/* A page of events with right digest, but of a transaction that is not there. */
static void test_pages_that_lie_are_found(void **state)
{
    (void)state;
    struct smelt_store *store = open_state();
    struct smelt_buf value = {0};
    struct sm_ledger_key key;
    struct sm_page page;
    struct sm_page_walk walk = {.page = &page};
    struct smelt_event event;
    struct smelt_slice code = {0};
    bool has_next = true;
    /* wave 8 has 63 transactions: the last event goes to one that is not there */
    sm_event_page_key(8, 0, &key);
    get_value(store, SMELT_STORE_EVENTS, sm_ledger_key_slice(&key), &value);
    assert_int_equal(sm_page_open(SM_PAGE_EVENTS, 8, 0, sm_buf_slice(&value), &page, NULL),
                     SMELT_STATUS_OK);
    struct smelt_slice last = {0};
    while (has_next) {
        last = code;
        assert_int_equal(sm_page_next_event(&walk, &event, &code, &has_next, NULL),
                         SMELT_STATUS_OK);
    }
    sm_store_le32(value.data + (last.data - value.data) + 1, 63);
    sm_page_seal(&page, value.data);
    put_value(store, SMELT_STORE_EVENTS, sm_ledger_key_slice(&key), sm_buf_slice(&value));
    assert_corrupt(store, "wave 8, page 0 of events: its events are not those");
    smelt_buf_deinit(&value);
    smelt_store_close(store);
}

static void test_state_is_held_against_its_commitment(void **state)
{
    (void)state;
    struct smelt_store *store = open_state();
    struct smelt_state_check check;
    struct smelt_hash root;
    struct sm_state_key key;
    struct smelt_address address = contract_of(1);
    bool is_enabled;
    assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    assert_false(check.has_commitment);
    assert_int_equal(smelt_commitment_enable(store, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_commitment_root(store, &root, &is_enabled, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    assert_true(check.has_commitment);
    assert_memory_equal(&check.state_root, &root, sizeof(root));
    sm_state_storage_key(&address, text("key"), &key);
    put_value(store, SMELT_STORE_STATE, sm_state_key_slice(&key), text("valuf"));
    assert_corrupt(store, "do not have the root of the state commitment");
    delete_value(store, SMELT_STORE_STATE, sm_state_key_slice(&key));
    assert_corrupt(store, "do not have the root of the state commitment");
    put_value(store, SMELT_STORE_STATE, sm_state_key_slice(&key), text("value"));
    assert_int_equal(smelt_state_verify(store, &check, NULL), SMELT_STATUS_OK);
    put_value(store, SMELT_STORE_META, text("commitment"), text("x"));
    assert_corrupt(store, "commitment");
    smelt_store_close(store);
}

static void test_short_memory(void **state)
{
    (void)state;
    struct smelt_store *store = open_state();
    struct smelt_state_check check;
    size_t before = sm_alloc_blocks();
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    size_t nth;
    for (nth = 1; status != SMELT_STATUS_OK; nth += nth < 100 ? 1 : 37) {
        sm_alloc_fail_at(nth);
        status = smelt_state_verify(store, &check, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(sm_alloc_blocks(), before);
        assert_true(status == SMELT_STATUS_OK || status == SMELT_STATUS_NO_MEMORY);
    }
    assert_true(nth > 200);
    assert_int_equal(check.accounts, 1);
    smelt_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_state_passes),
        cmocka_unit_test(test_every_change_is_found),
        cmocka_unit_test(test_strange_keys_are_found),
        cmocka_unit_test(test_records_that_lie_are_found),
        cmocka_unit_test(test_pages_that_lie_are_found),
        cmocka_unit_test(test_state_is_held_against_its_commitment),
        cmocka_unit_test(test_short_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
