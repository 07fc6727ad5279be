/* Made-up waves: wave_support.h. */
#include "tests/unit/wave/wave_support.h"

#include "runtime/wave/receipt_code.h"

static void make_outcome(uint64_t *seed, struct smelt_wave_receipt *receipt, struct made *out)
{
    size_t kind = random_below(seed, 8);
    receipt->outcome.kind = kind < 4 ? (enum smelt_outcome_kind)kind : SMELT_OUTCOME_RETURNED;
    if (receipt->outcome.kind != SMELT_OUTCOME_TRAPPED) {
        return;
    }
    receipt->outcome.trap = (enum smelt_trap)(1 + random_below(seed, SMELT_TRAP_STATIC_VIOLATION));
    if (receipt->outcome.trap == SMELT_TRAP_HOST_ERROR) {
        receipt->outcome.host_error =
            (enum smelt_host_error)(1 + random_below(seed, SMELT_HOST_ERROR_NO_ALLOCATE));
    }
    if (random_below(seed, 3) != 0) {
        (void)snprintf(out->name, sizeof(out->name), "f\xc3\xbcr%zu", random_below(seed, 1000));
        receipt->location = (struct smelt_location){.is_known = true,
                                                    .function = text(out->name),
                                                    .func_index = (uint32_t)random_below(seed, 99),
                                                    .offset = (uint32_t)next_random(seed)};
    }
}

static void make_effects(uint64_t *seed, struct smelt_wave_receipt *receipt, struct made *out)
{
    static const enum smelt_valtype types[] = {SMELT_VALTYPE_I32, SMELT_VALTYPE_I64,
                                               SMELT_VALTYPE_F32, SMELT_VALTYPE_F64};
    receipt->write_count = (uint32_t)random_below(seed, 3);
    receipt->event_count = (uint32_t)random_below(seed, MADE_EVENTS_MAX + 1);
    receipt->result_count = random_below(seed, 4);
    receipt->results = receipt->result_count != 0 ? out->results : NULL;
    for (size_t i = 0; i < receipt->result_count; i++) {
        enum smelt_valtype type = types[random_below(seed, 4)];
        bool is_wide = type == SMELT_VALTYPE_I64 || type == SMELT_VALTYPE_F64;
        uint64_t bits = next_random(seed);
        out->results[i] =
            (struct smelt_value){.type = type, .bits = is_wide ? bits : (uint32_t)bits};
    }
    for (uint32_t i = 0; i < receipt->event_count; i++) {
        static const char *const topics[] = {"transfer", "approve", "", "transfer"};
        struct smelt_event *event = &out->events[i];
        event->address = contract_of((uint32_t)random_below(seed, 4));
        event->topic = text(topics[random_below(seed, 4)]);
        event->data = sm_slice(out->event_data[i], random_below(seed, sizeof(out->event_data[i])));
        for (size_t j = 0; j < event->data.size; j++) {
            out->event_data[i][j] = (uint8_t)next_random(seed);
        }
    }
}

void make_receipt(uint64_t *seed, struct made *out)
{
    static const enum smelt_status rejections[] = {
        SMELT_STATUS_NONCE_MISMATCH, SMELT_STATUS_INSUFFICIENT_BALANCE, SMELT_STATUS_FUEL_LIMIT,
        SMELT_STATUS_SENDER_IS_CONTRACT};
    static const enum smelt_status failures[] = {
        SMELT_STATUS_NO_CONTRACT,       SMELT_STATUS_UNKNOWN_FUNCTION,
        SMELT_STATUS_ARGUMENT_MISMATCH, SMELT_STATUS_BALANCE_OVERFLOW,
        SMELT_STATUS_NOT_OWNER,         SMELT_STATUS_MODULE_MALFORMED,
        SMELT_STATUS_MODULE_TEXT};
    struct smelt_wave_receipt *receipt = &out->receipt;
    memset(out, 0, sizeof(*out));
    receipt->kind = (enum smelt_transaction_kind)random_below(seed, 4);
    receipt->nonce = next_random(seed) >> random_below(seed, 64);
    memset(receipt->from.bytes, (int)random_below(seed, 256), sizeof(receipt->from.bytes));
    memset(receipt->address.bytes, (int)random_below(seed, 3), sizeof(receipt->address.bytes));
    size_t fate = random_below(seed, 8);
    if (fate == 0) {
        receipt->is_rejected = true;
        receipt->status = rejections[random_below(seed, 4)];
        return;
    }
    receipt->fuel_used = random_below(seed, 100000);
    receipt->fee = (struct smelt_u128){.low = next_random(seed), .high = random_below(seed, 2)};
    memset(receipt->module_hash.bytes, (int)random_below(seed, 3),
           sizeof(receipt->module_hash.bytes));
    if (fate == 1) {
        receipt->status = failures[random_below(seed, 7)];
        return;
    }
    make_outcome(seed, receipt, out);
    if (random_below(seed, 2) != 0) {
        receipt->return_data =
            sm_slice(out->return_data, 1 + random_below(seed, sizeof(out->return_data)));
        memset(out->return_data, (int)random_below(seed, 256), sizeof(out->return_data));
    }
    if (receipt->outcome.kind == SMELT_OUTCOME_RETURNED) {
        make_effects(seed, receipt, out);
    }
}

struct smelt_hash id_of(uint64_t wave, uint32_t index)
{
    struct smelt_hash id = {{0x1d}};
    sm_store_le64(id.bytes + 8, wave);
    sm_store_le32(id.bytes + 16, index);
    return id;
}

struct smelt_address contract_of(uint32_t number)
{
    struct smelt_address address;
    memset(address.bytes, (int)(0xc0 + number), sizeof(address.bytes));
    return address;
}

void make_transaction(const struct wave_shape *shape, uint32_t index, struct made *out)
{
    uint64_t seed = shape->seed * 1000003 + index + 1;
    (void)next_random(&seed);
    make_receipt(&seed, out);
    out->receipt.wave = shape->number;
    out->receipt.index = index;
    out->receipt.has_id = shape->has_ids;
    if (shape->has_ids) {
        out->receipt.id = id_of(shape->number, index);
    }
}

void add_transactions(const struct wave_shape *shape, uint32_t from, uint32_t to,
                      struct sm_journal *journal)
{
    for (uint32_t i = from; i < to; i++) {
        struct made made;
        make_transaction(shape, i, &made);
        for (uint32_t j = 0; j < made.receipt.event_count; j++) {
            assert_true(sm_journal_event(journal, shape->number, i, &made.events[j]));
        }
        assert_true(sm_journal_receipt(journal, &made.receipt));
    }
}

struct sm_ledger *make_ledger(const struct wave_shape *shape, uint32_t run)
{
    struct sm_ledger *ledger;
    struct sm_journal journal = {0};
    assert_int_equal(sm_ledger_create(shape->number, &ledger, NULL), SMELT_STATUS_OK);
    for (uint32_t i = 0; i < shape->count; i += run) {
        uint32_t left = shape->count - i;
        add_transactions(shape, i, i + (left < run ? left : run), &journal);
        assert_int_equal(sm_ledger_append(ledger, &journal, NULL), SMELT_STATUS_OK);
        sm_journal_reset(&journal);
    }
    sm_journal_deinit(&journal);
    return ledger;
}

void close_ledger(const struct sm_ledger *ledger, uint64_t number,
                  const struct sm_ledger_head *head, struct smelt_wave_record *out)
{
    *out = (struct smelt_wave_record){.chain_id = 7,
                                      .number = number,
                                      .timestamp = 1000 + number,
                                      .parent = head->digest,
                                      .write_count = 5,
                                      .state_digest = {{0x5d}}};
    sm_ledger_totals(ledger, out);
    sm_ledger_receipts_digest(ledger, &out->receipts_digest);
    assert_int_equal(sm_ledger_events_root(ledger, &out->events_root, NULL), SMELT_STATUS_OK);
}

void write_wave(struct smelt_store *store, const struct wave_shape *shape)
{
    struct sm_ledger_head head;
    struct smelt_wave_record record;
    struct smelt_hash digest;
    struct sm_write_list list = {0};
    struct sm_ledger *ledger = make_ledger(shape, 50);
    assert_int_equal(sm_ledger_head(store, &head, NULL), SMELT_STATUS_OK);
    close_ledger(ledger, shape->number, &head, &record);
    smelt_wave_record_digest(&record, &digest);
    assert_int_equal(sm_ledger_writes(ledger, &record, &digest, !head.has_wave, &list, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(store->ops->write(store->impl, list.writes, list.count, NULL),
                     SMELT_STATUS_OK);
    sm_write_list_deinit(&list);
    sm_ledger_release(ledger);
}

struct wave_shape chain_shape(uint64_t number)
{
    static const uint32_t counts[] = {0, 1, 63, 64, 65, 130};
    return (struct wave_shape){
        .number = number, .count = counts[number % 6], .seed = number + 1, .has_ids = true};
}

void write_chain(struct smelt_store *store, uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++) {
        struct wave_shape shape = chain_shape(n);
        write_wave(store, &shape);
    }
}

bool same_receipt(const struct smelt_wave_receipt *a, const struct smelt_wave_receipt *b)
{
    struct smelt_buf left = {0};
    struct smelt_buf right = {0};
    assert_true(sm_receipt_encode(a, &left));
    assert_true(sm_receipt_encode(b, &right));
    bool is_same = sm_slice_equal(sm_buf_slice(&left), sm_buf_slice(&right)) &&
                   a->wave == b->wave && a->index == b->index;
    smelt_buf_deinit(&right);
    smelt_buf_deinit(&left);
    return is_same;
}

void get_value(struct smelt_store *store, enum smelt_store_family family, struct smelt_slice key,
               struct smelt_buf *out)
{
    bool found;
    assert_int_equal(store->ops->get(store->impl, NULL, family, key, out, &found, NULL),
                     SMELT_STATUS_OK);
    assert_true(found);
}

static void write_single(struct smelt_store *store, const struct smelt_store_write *write)
{
    assert_int_equal(store->ops->write(store->impl, write, 1, NULL), SMELT_STATUS_OK);
}

void put_value(struct smelt_store *store, enum smelt_store_family family, struct smelt_slice key,
               struct smelt_slice value)
{
    write_single(store, &(struct smelt_store_write){.family = family, .key = key, .value = value});
}

void delete_value(struct smelt_store *store, enum smelt_store_family family, struct smelt_slice key)
{
    write_single(store,
                 &(struct smelt_store_write){.family = family, .key = key, .is_delete = true});
}

static bool count_one(void *context, struct smelt_slice key, struct smelt_slice value)
{
    (void)key;
    (void)value;
    ++*(uint64_t *)context;
    return true;
}

uint64_t count_keys(struct smelt_store *store, enum smelt_store_family family, const char *prefix)
{
    uint64_t count = 0;
    assert_int_equal(
        store->ops->iterate(store->impl, NULL, family, text(prefix), count_one, &count, NULL),
        SMELT_STATUS_OK);
    return count;
}
