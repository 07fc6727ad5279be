/* See wave_fixture.h. */
#include "tests/unit/runtime/wave_fixture.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "runtime/state/commitment.h"
#include "runtime/state/keys.h"

#include <stdlib.h>
#include <string.h>

/* ---- transactions ---------------------------------------------------------------------------- */

static struct smelt_wave_transaction
transaction_of(enum smelt_transaction_kind kind, const struct smelt_address *from, uint64_t nonce)
{
    return (struct smelt_wave_transaction){
        .kind = kind, .from = *from, .nonce = nonce, .fuel_limit = WAVE_FUEL};
}

static struct smelt_slice input_of(const struct script *script)
{
    return script != NULL ? sm_slice(script->bytes, script->size) : sm_slice(NULL, 0);
}

struct smelt_wave_transaction transfer_of(const struct smelt_address *from, uint64_t nonce,
                                          const struct smelt_address *to, uint64_t value)
{
    struct smelt_wave_transaction transaction =
        transaction_of(SMELT_TRANSACTION_TRANSFER, from, nonce);
    transaction.to = *to;
    transaction.value.low = value;
    return transaction;
}

struct smelt_wave_transaction call_of(const struct smelt_address *from, uint64_t nonce,
                                      const struct smelt_address *to, const struct script *script)
{
    struct smelt_wave_transaction transaction = transaction_of(SMELT_TRANSACTION_CALL, from, nonce);
    transaction.to = *to;
    transaction.function = smelt_slice_from_string("run");
    transaction.input = input_of(script);
    return transaction;
}

struct smelt_wave_transaction deploy_of(const struct smelt_address *from, uint64_t nonce,
                                        const char *module, const struct script *script)
{
    struct smelt_wave_transaction transaction =
        transaction_of(SMELT_TRANSACTION_DEPLOY, from, nonce);
    transaction.wasm = smelt_slice_from_string(module);
    transaction.input = input_of(script);
    return transaction;
}

struct smelt_wave_transaction upgrade_of(const struct smelt_address *from, uint64_t nonce,
                                         const struct smelt_address *to, const char *module)
{
    struct smelt_wave_transaction transaction =
        transaction_of(SMELT_TRANSACTION_UPGRADE, from, nonce);
    transaction.to = *to;
    transaction.wasm = smelt_slice_from_string(module);
    return transaction;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void put(struct smelt_buf *out, const void *data, size_t size)
{
    assert_true(sm_buf_append(out, data, size));
}

static void put_number(struct smelt_buf *out, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    sm_store_le64(bytes, value);
    put(out, bytes, size);
}

static bool is_zero(const uint8_t bytes[32])
{
    static const uint8_t zeroes[32];
    return memcmp(bytes, zeroes, sizeof(zeroes)) == 0;
}

void encode_receipt(const struct smelt_wave_receipt *receipt, struct smelt_buf *out)
{
    const bool has[] = {
        receipt->is_rejected,
        receipt->has_id,
        receipt->fuel_used != 0,
        !sm_u128_is_zero(receipt->fee),
        !is_zero(receipt->address.bytes),
        !is_zero(receipt->module_hash.bytes),
        receipt->outcome.kind != SMELT_OUTCOME_RETURNED,
        receipt->event_count != 0,
        receipt->write_count != 0,
        receipt->result_count != 0,
        receipt->return_data.size != 0,
        receipt->location.is_known,
    };
    uint64_t fields = 0;
    for (size_t i = 0; i < sizeof(has); i++) {
        fields |= (uint64_t)has[i] << i;
    }
    put_number(out, 1, 1);
    put_number(out, receipt->kind, 1);
    put_number(out, receipt->status, 2);
    put_number(out, fields, 2);
    put(out, receipt->from.bytes, 32);
    put_number(out, receipt->nonce, 8);
    put(out, receipt->id.bytes, has[1] ? 32 : 0);
    put_number(out, receipt->fuel_used, has[2] ? 8 : 0);
    put_number(out, receipt->fee.low, has[3] ? 8 : 0);
    put_number(out, receipt->fee.high, has[3] ? 8 : 0);
    put(out, receipt->address.bytes, has[4] ? 32 : 0);
    put(out, receipt->module_hash.bytes, has[5] ? 32 : 0);
    put_number(out, receipt->outcome.kind, has[6] ? 1 : 0);
    put_number(out, receipt->outcome.trap, has[6] ? 1 : 0);
    put_number(out, receipt->outcome.host_error, has[6] ? 1 : 0);
    put_number(out, receipt->event_count, has[7] ? 4 : 0);
    put_number(out, receipt->write_count, has[8] ? 4 : 0);
    put_number(out, receipt->result_count, has[9] ? 4 : 0);
    put_number(out, receipt->return_data.size, has[10] ? 4 : 0);
    put_number(out, receipt->location.func_index, has[11] ? 4 : 0);
    put_number(out, receipt->location.offset, has[11] ? 4 : 0);
    put_number(out, receipt->location.function.size, has[11] ? 4 : 0);
    for (size_t i = 0; i < receipt->result_count; i++) {
        put_number(out, receipt->results[i].type, 1);
        put_number(out, receipt->results[i].bits, 8);
    }
    put(out, receipt->return_data.data, receipt->return_data.size);
    put(out, receipt->location.function.data, receipt->location.function.size);
}

bool same_receipt(const struct smelt_wave_receipt *a, const struct smelt_wave_receipt *b)
{
    struct smelt_buf codes[2] = {{0}};
    encode_receipt(a, &codes[0]);
    encode_receipt(b, &codes[1]);
    bool is_same = a->wave == b->wave && a->index == b->index && a->first_event == b->first_event &&
                   sm_slice_equal(sm_buf_slice(&codes[0]), sm_buf_slice(&codes[1]));
    smelt_buf_deinit(&codes[0]);
    smelt_buf_deinit(&codes[1]);
    return is_same;
}

static bool dump_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct smelt_buf *out = (struct smelt_buf *)context;
    put_number(out, key.size, 4);
    put(out, key.data, key.size);
    put_number(out, value.size, 4);
    put(out, value.data, value.size);
    return true;
}

static void dump_family(struct smelt_store *store, enum smelt_store_family family,
                        struct smelt_buf *out)
{
    put_number(out, family, 1);
    assert_int_equal(
        store->ops->iterate(store->impl, NULL, family, sm_slice(NULL, 0), dump_pair, out, NULL),
        SMELT_STATUS_OK);
}

void dump_state(struct smelt_store *store, struct smelt_buf *out)
{
    dump_family(store, SMELT_STORE_STATE, out);
    dump_family(store, SMELT_STORE_CODE, out);
}

void dump_store(struct smelt_store *store, struct smelt_buf *out)
{
    for (unsigned family = 0; family < SMELT_STORE_FAMILY_COUNT; family++) {
        dump_family(store, (enum smelt_store_family)family, out);
    }
}

void assert_same_bytes(const struct smelt_buf *a, const struct smelt_buf *b)
{
    assert_int_equal(a->size, b->size);
    assert_true(a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
}

void put_account(struct smelt_store *store, const struct smelt_address *address,
                 const struct smelt_account *account)
{
    uint8_t record[SM_STATE_CONTRACT_BYTES];
    struct sm_state_key key;
    sm_state_account_key(address, &key);
    size_t size = sm_state_encode_account(account, record);
    const struct smelt_store_write write = {.family = SMELT_STORE_STATE,
                                            .key = sm_state_key_slice(&key),
                                            .value = sm_slice(record, size)};
    assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
}

struct smelt_account get_account(struct smelt_store *store, const struct smelt_address *address)
{
    struct smelt_account account;
    assert_int_equal(smelt_account_get(store, address, &account, NULL), SMELT_STATUS_OK);
    return account;
}

/* ---- chains ---------------------------------------------------------------------------------- */

/* What the state digest is over. A wave has one batch. */
static void note_writes(struct fixture *fixture, const struct smelt_store_write *writes,
                        size_t count)
{
    struct chain *chain = (struct chain *)fixture->hook_context;
    chain->written.size = 0;
    chain->written_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (writes[i].family != SMELT_STORE_STATE) {
            continue;
        }
        chain->written_count++;
        put_number(&chain->written, writes[i].key.size, 4);
        put(&chain->written, writes[i].key.data, writes[i].key.size);
        put_number(&chain->written, writes[i].is_delete ? 0 : 1, 1);
        if (!writes[i].is_delete) {
            put_number(&chain->written, writes[i].value.size, 4);
            put(&chain->written, writes[i].value.data, writes[i].value.size);
        }
    }
}

void chain_init(struct chain *chain, struct fixture *fixture)
{
    *chain =
        (struct chain){.fixture = fixture, .wave = {.chain_id = 7, .number = 1, .timestamp = 1000}};
    fixture->hook_context = chain;
    fixture->before_write = note_writes;
}

void chain_deinit(struct chain *chain)
{
    /* a thread that writes behind looks at the hook */
    assert_int_equal(smelt_engine_flush(chain->fixture->engine, NULL), SMELT_STATUS_OK);
    chain->fixture->before_write = NULL;
    smelt_wave_result_destroy(chain->result);
    smelt_buf_deinit(&chain->written);
}

/* As RFC 9162 has it. */
static void merkle(const struct smelt_hash *leaves, size_t count, struct smelt_hash *out)
{
    struct sm_digest digest;
    struct smelt_hash sides[2];
    size_t half = 1;
    if (count == 1) {
        *out = leaves[0];
        return;
    }
    sm_digest_init(&digest, count == 0 ? "smelt.merkle.empty.v1" : "smelt.merkle.node.v1");
    if (count != 0) {
        while (2 * half < count) {
            half *= 2;
        }
        merkle(leaves, half, &sides[0]);
        merkle(leaves + half, count - half, &sides[1]);
        sm_digest_hash(&digest, &sides[0]);
        sm_digest_hash(&digest, &sides[1]);
    }
    sm_digest_final(&digest, out);
}

static void add_to_bloom(uint8_t bloom[SMELT_BLOOM_BYTES], struct smelt_slice item)
{
    struct sm_digest digest;
    struct smelt_hash hash;
    sm_digest_init(&digest, "smelt.bloom.v1");
    sm_digest_slice(&digest, item);
    sm_digest_final(&digest, &hash);
    for (size_t i = 0; i < 6; i += 2) {
        unsigned bit = (hash.bytes[i] + 256u * hash.bytes[i + 1]) % (8 * SMELT_BLOOM_BYTES);
        bloom[bit / 8] |= (uint8_t)(1 << bit % 8);
    }
}

/* The events of one wave, as they are visited. */
struct event_check {
    const struct smelt_wave_result *result;
    uint64_t number;
    uint32_t count;
    uint32_t transaction; /* of the last one */
    uint32_t *per_transaction;
    struct smelt_buf leaves;
    uint8_t bloom[SMELT_BLOOM_BYTES];
};

static bool check_event(void *context, const struct smelt_wave_event *event)
{
    struct event_check *check = (struct event_check *)context;
    const struct smelt_event *content = &event->event;
    struct smelt_buf code = {0};
    struct sm_digest digest;
    struct smelt_hash leaf;
    assert_int_equal(event->wave, check->number);
    assert_int_equal(event->index, check->count);
    assert_true(event->transaction >= check->transaction);
    check->transaction = event->transaction;
    check->per_transaction[event->transaction]++;
    check->count++;
    put_number(&code, 1, 1);
    put_number(&code, event->transaction, 4);
    put(&code, content->address.bytes, 32);
    put_number(&code, content->topic.size, 4);
    put_number(&code, content->data.size, 4);
    put(&code, content->topic.data, content->topic.size);
    put(&code, content->data.data, content->data.size);
    sm_digest_init(&digest, "smelt.event.v1");
    sm_digest_u64(&digest, event->wave);
    sm_digest_slice(&digest, sm_buf_slice(&code));
    sm_digest_final(&digest, &leaf);
    put(&check->leaves, leaf.bytes, sizeof(leaf.bytes));
    smelt_buf_deinit(&code);
    add_to_bloom(check->bloom, sm_slice(content->address.bytes, 32));
    add_to_bloom(check->bloom, content->topic);
    return true;
}

static void check_events(const struct chain *chain, struct event_check *check)
{
    const struct smelt_wave_record *record = &chain->record;
    const struct smelt_event_filter filter = {.first_wave = record->number,
                                              .last_wave = record->number};
    struct smelt_hash root;
    check->number = record->number;
    check->per_transaction =
        (uint32_t *)calloc(record->transaction_count + 1u, sizeof(*check->per_transaction));
    assert_non_null(check->per_transaction);
    assert_int_equal(smelt_events_visit(chain->fixture->inner, &filter, check_event, check, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(check->count, record->event_count);
    merkle((const struct smelt_hash *)(const void *)check->leaves.data, check->count, &root);
    assert_memory_equal(&root, &record->events_root, sizeof(root));
    assert_memory_equal(check->bloom, record->bloom, sizeof(check->bloom));
}

/* Receipts: what they add up to, and their digest. */
static void check_receipts(const struct chain *chain, const struct event_check *events)
{
    const struct smelt_wave_record *record = &chain->record;
    struct smelt_wave_record sums = {0};
    struct sm_digest digest;
    struct smelt_hash root;
    sm_digest_init(&digest, "smelt.receipts.v1");
    sm_digest_u32(&digest, record->transaction_count);
    for (uint32_t i = 0; i < record->transaction_count; i++) {
        const struct smelt_wave_transaction *transaction = &chain->wave.transactions[i];
        struct smelt_wave_receipt *kept = receipt_of(chain, i);
        struct smelt_wave_receipt *read = NULL;
        struct smelt_buf code = {0};
        assert_int_equal(
            smelt_wave_receipt_get(chain->fixture->inner, record->number, i, &read, NULL),
            SMELT_STATUS_OK);
        assert_true(same_receipt(kept, read));
        smelt_wave_receipt_destroy(read);
        assert_int_equal(kept->wave, record->number);
        assert_int_equal(kept->index, i);
        assert_int_equal(kept->kind, transaction->kind);
        assert_memory_equal(&kept->from, &transaction->from, sizeof(kept->from));
        assert_int_equal(kept->nonce, transaction->nonce);
        assert_int_equal(kept->has_id, transaction->id != NULL);
        assert_true(kept->fuel_used <= transaction->fuel_limit);
        struct smelt_u128 fee = sm_u128_product(kept->fuel_used, transaction->fuel_price);
        assert_memory_equal(&kept->fee, &fee, sizeof(fee));
        if (transaction->id != NULL) {
            assert_memory_equal(&kept->id, transaction->id, sizeof(kept->id));
            assert_int_equal(
                smelt_wave_receipt_find(chain->fixture->inner, transaction->id, &read, NULL),
                SMELT_STATUS_OK);
            smelt_wave_receipt_destroy(read);
        }
        assert_int_equal(kept->event_count, events->per_transaction[i]);
        assert_int_equal(kept->first_event, sums.event_count);
        encode_receipt(kept, &code);
        sm_digest_slice(&digest, sm_buf_slice(&code));
        smelt_buf_deinit(&code);
        bool is_done =
            kept->status == SMELT_STATUS_OK && kept->outcome.kind == SMELT_OUTCOME_RETURNED;
        sums.event_count += kept->event_count;
        sums.rejected_count += kept->is_rejected;
        sums.failed_count += !kept->is_rejected && !is_done;
        sums.fuel_used += kept->fuel_used;
        assert_true(sm_u128_add(sums.fees, kept->fee, &sums.fees));
        smelt_wave_receipt_destroy(kept);
    }
    sm_digest_final(&digest, &root);
    assert_memory_equal(&root, &record->receipts_digest, sizeof(root));
    assert_int_equal(sums.event_count, record->event_count);
    assert_int_equal(sums.rejected_count, record->rejected_count);
    assert_int_equal(sums.failed_count, record->failed_count);
    assert_int_equal(sums.fuel_used, record->fuel_used);
    assert_memory_equal(&sums.fees, &record->fees, sizeof(sums.fees));
}

static void check_record(const struct chain *chain)
{
    const struct smelt_wave_record *record = &chain->record;
    const struct smelt_wave *wave = &chain->wave;
    struct smelt_wave_record read;
    struct smelt_hash digest;
    struct smelt_state_check check;
    struct sm_digest state;
    bool is_found = false;
    assert_int_equal(record->chain_id, wave->chain_id);
    assert_int_equal(record->number, wave->number);
    assert_int_equal(record->timestamp, wave->timestamp);
    assert_memory_equal(&record->parent, &chain->parent, sizeof(chain->parent));
    assert_int_equal(record->has_fee_recipient, wave->fee_recipient != NULL);
    if (wave->fee_recipient != NULL) {
        assert_memory_equal(&record->fee_recipient, wave->fee_recipient,
                            sizeof(record->fee_recipient));
    }
    assert_int_equal(record->transaction_count, wave->count);
    assert_int_equal(record->write_count, chain->written_count);
    sm_digest_init(&state, "smelt.writes.v1");
    sm_digest_slice(&state, sm_buf_slice(&chain->written));
    sm_digest_final(&state, &digest);
    assert_memory_equal(&digest, &record->state_digest, sizeof(digest));
    assert_int_equal(smelt_wave_last(chain->fixture->inner, &read, &digest, &is_found, NULL),
                     SMELT_STATUS_OK);
    assert_true(is_found);
    assert_memory_equal(&digest, smelt_wave_result_digest(chain->result), sizeof(digest));
    smelt_wave_record_digest(record, &digest);
    assert_memory_equal(&digest, smelt_wave_result_digest(chain->result), sizeof(digest));
    smelt_wave_record_digest(&read, &digest);
    assert_memory_equal(&digest, smelt_wave_result_digest(chain->result), sizeof(digest));
    if (record->has_state_root) {
        assert_int_equal(sm_commitment_compute(chain->fixture->inner, NULL, &digest, NULL),
                         SMELT_STATUS_OK);
        assert_memory_equal(&digest, &record->state_root, sizeof(digest));
    }
    assert_int_equal(smelt_state_verify(chain->fixture->inner, &check, NULL), SMELT_STATUS_OK);
}

enum smelt_status chain_try(struct chain *chain, const struct smelt_wave_transaction *transactions,
                            size_t count)
{
    smelt_wave_result_destroy(chain->result);
    chain->wave.transactions = transactions;
    chain->wave.count = count;
    return smelt_wave_run(chain->fixture->engine, &chain->wave, &chain->result,
                          &chain->fixture->err);
}

void chain_run(struct chain *chain, const struct smelt_wave_transaction *transactions, size_t count)
{
    struct event_check events = {0};
    enum smelt_status status = chain_try(chain, transactions, count);
    if (status != SMELT_STATUS_OK) {
        fail_msg("wave %d: %s: %s", (int)chain->wave.number, smelt_status_name(status),
                 chain->fixture->err.message);
    }
    chain->record = *smelt_wave_result_record(chain->result);
    if (!chain->is_unchecked) {
        assert_int_equal(smelt_engine_flush(chain->fixture->engine, NULL), SMELT_STATUS_OK);
        check_record(chain);
        check_events(chain, &events);
        check_receipts(chain, &events);
        smelt_buf_deinit(&events.leaves);
        free(events.per_transaction);
    }
    chain->parent = *smelt_wave_result_digest(chain->result);
    chain->wave.number++;
    chain->wave.timestamp++;
}

struct smelt_wave_receipt *receipt_of(const struct chain *chain, uint32_t index)
{
    struct smelt_wave_receipt *receipt = NULL;
    assert_int_equal(smelt_wave_result_receipt(chain->result, index, &receipt, NULL),
                     SMELT_STATUS_OK);
    return receipt;
}

void assert_status(const struct chain *chain, uint32_t index, enum smelt_status status,
                   bool is_rejected)
{
    struct smelt_wave_receipt *receipt = receipt_of(chain, index);
    assert_string_equal(smelt_status_name(receipt->status), smelt_status_name(status));
    assert_int_equal(receipt->is_rejected, is_rejected);
    smelt_wave_receipt_destroy(receipt);
}

void assert_outcome(const struct chain *chain, uint32_t index, enum smelt_outcome_kind kind)
{
    struct smelt_wave_receipt *receipt = receipt_of(chain, index);
    assert_string_equal(smelt_status_name(receipt->status), "ok");
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind), smelt_outcome_name(kind));
    assert_false(receipt->is_rejected);
    smelt_wave_receipt_destroy(receipt);
}
