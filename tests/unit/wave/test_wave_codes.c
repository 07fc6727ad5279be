/* Encodings of receipts, events, pages and records: the bytes that are on disk and in consensus
 * (the expected ones were put together by a few lines of Python with struct.pack and hashlib), and
 * that nothing else decodes. */
#include "runtime/wave/event_code.h"
#include "runtime/wave/page_walk.h"
#include "runtime/wave/record.h"
#include "tests/unit/wave/wave_support.h"

#define A   "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0"
#define C   "c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0"
#define D   "1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d"
#define ONE "0101010101010101010101010101010101010101010101010101010101010101"
#define TWO "0202020202020202020202020202020202020202020202020202020202020202"
#define F   "f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0"

static const char transfer_code[] = "010000001e00" F "0500000000000000" D "e803000000000000"
                                    "b80b0000000000000100000000000000" A;
static const char rejected_code[] = "01026e000100" F "0600000000000000";
static const char call_code[] = "01020000b407" F "0700000000000000"
                                "3200000000000000" A C "02000000030000000200000004000000"
                                "7ff9ffffff00000000"
                                "7e0900000000000000"
                                "64617461";
static const char trap_code[] = "010200005408" F "0800000000000000"
                                "3c00000000000000" A "020b03"
                                "110000009900000004000000"
                                "6d61696e";

static struct smelt_address address_of(uint8_t byte)
{
    struct smelt_address address;
    memset(address.bytes, byte, sizeof(address.bytes));
    return address;
}

static struct smelt_hash hash_of(uint8_t byte)
{
    struct smelt_hash hash;
    memset(hash.bytes, byte, sizeof(hash.bytes));
    return hash;
}

static const struct smelt_value call_results[] = {{SMELT_VALTYPE_I32, 0xfffffff9},
                                                  {SMELT_VALTYPE_I64, 9}};

static struct smelt_wave_receipt transfer_receipt(void)
{
    return (struct smelt_wave_receipt){.has_id = true,
                                       .id = hash_of(0x1d),
                                       .from = address_of(0xf0),
                                       .nonce = 5,
                                       .fuel_used = 1000,
                                       .fee = {.low = 3000, .high = 1},
                                       .address = address_of(0xa0)};
}

static struct smelt_wave_receipt rejected_receipt(void)
{
    return (struct smelt_wave_receipt){.kind = SMELT_TRANSACTION_CALL,
                                       .from = address_of(0xf0),
                                       .nonce = 6,
                                       .status = SMELT_STATUS_NONCE_MISMATCH,
                                       .is_rejected = true};
}

static struct smelt_wave_receipt call_receipt(void)
{
    return (struct smelt_wave_receipt){.kind = SMELT_TRANSACTION_CALL,
                                       .from = address_of(0xf0),
                                       .nonce = 7,
                                       .fuel_used = 50,
                                       .address = address_of(0xa0),
                                       .module_hash = hash_of(0xc0),
                                       .results = call_results,
                                       .result_count = 2,
                                       .return_data = text("data"),
                                       .event_count = 2,
                                       .write_count = 3};
}

static struct smelt_wave_receipt trap_receipt(void)
{
    return (struct smelt_wave_receipt){
        .kind = SMELT_TRANSACTION_CALL,
        .from = address_of(0xf0),
        .nonce = 8,
        .fuel_used = 60,
        .address = address_of(0xa0),
        .outcome = {SMELT_OUTCOME_TRAPPED, SMELT_TRAP_HOST_ERROR, SMELT_HOST_ERROR_TOPIC_TOO_LARGE},
        .location = {true, text("main"), 17, 0x99}};
}

static void assert_hex(struct smelt_slice bytes, const char *expected)
{
    char *hex = (char *)malloc(2 * bytes.size + 1);
    assert_non_null(hex);
    smelt_hex_encode(bytes.data, bytes.size, hex);
    assert_string_equal(hex, expected);
    free(hex);
}

static void unhex(const char *hex, struct smelt_buf *out)
{
    out->size = 0;
    assert_true(sm_buf_reserve(out, strlen(hex) / 2 + 1));
    out->size = strlen(hex) / 2;
    assert_true(smelt_hex_decode(hex, out->data, out->size));
}

static void test_receipts_are_fixed(void **state)
{
    (void)state;
    const struct {
        struct smelt_wave_receipt receipt;
        const char *code;
    } rows[] = {{transfer_receipt(), transfer_code},
                {rejected_receipt(), rejected_code},
                {call_receipt(), call_code},
                {trap_receipt(), trap_code}};
    struct sm_digest digest;
    struct smelt_hash hash;
    sm_receipts_digest_init(&digest, 3);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_buf code = {0};
        assert_true(sm_receipt_is_consistent(&rows[i].receipt));
        assert_true(sm_receipt_encode(&rows[i].receipt, &code));
        assert_hex(sm_buf_slice(&code), rows[i].code);
        if (i < 3) {
            sm_digest_slice(&digest, sm_buf_slice(&code));
        }
        smelt_buf_deinit(&code);
    }
    sm_digest_final(&digest, &hash);
    assert_hex(sm_slice(hash.bytes, sizeof(hash.bytes)),
               "f7c3d4b20733fb0553273e7432c40cff2a7bd6e29a536d8c2be9bc591801265b");
}

static void test_events_are_fixed(void **state)
{
    (void)state;
    const struct smelt_event event = {address_of(0xa0), text("tt"), text("ddd")};
    struct smelt_buf code = {0};
    struct smelt_hash leaf;
    assert_true(sm_event_encode(0x01020304, &event, &code));
    assert_hex(sm_buf_slice(&code), "0104030201" A "02000000030000007474646464");
    sm_event_leaf(7, sm_buf_slice(&code), &leaf);
    assert_hex(sm_slice(leaf.bytes, sizeof(leaf.bytes)),
               "1d1132286b0e7f3b11435c6fbf09c438ce88d820c434906eb3f85d2d8221ca45");
    smelt_buf_deinit(&code);
}

static struct smelt_wave_record full_record(void)
{
    struct smelt_wave_record record = {.chain_id = 7,
                                       .number = 9,
                                       .timestamp = 1700000000,
                                       .parent = hash_of(1),
                                       .has_fee_recipient = true,
                                       .fee_recipient = address_of(2),
                                       .transaction_count = 10,
                                       .rejected_count = 1,
                                       .failed_count = 2,
                                       .event_count = 3,
                                       .write_count = 4,
                                       .fuel_used = 1000,
                                       .fees = {.low = 5, .high = 6},
                                       .receipts_digest = hash_of(3),
                                       .events_root = hash_of(4),
                                       .state_digest = hash_of(5),
                                       .has_state_root = true,
                                       .state_root = hash_of(6)};
    memset(record.bloom, 7, sizeof(record.bloom));
    return record;
}

static void test_records_are_fixed(void **state)
{
    (void)state;
    struct smelt_wave_record record = full_record();
    uint8_t code[SM_RECORD_BYTES];
    struct smelt_hash digest;
    sm_record_encode(&record, code);
    assert_hex(sm_slice(code, 118),
               "0103"
               "0700000000000000"
               "0900000000000000"
               "00f1536500000000" ONE TWO "0a0000000100000002000000030000000400000"
               "0e803000000000000");
    smelt_wave_record_digest(&record, &digest);
    assert_hex(sm_slice(digest.bytes, sizeof(digest.bytes)),
               "c22c7281fdc997dc2bd85b73ee25ae96eed96b7854a4c4a6107fb0ed1f4ff8e8");
    /* an empty one */
    record = (struct smelt_wave_record){.chain_id = 7, .number = 1};
    smelt_wave_record_digest(&record, &digest);
    assert_hex(sm_slice(digest.bytes, sizeof(digest.bytes)),
               "9d0d14af11ef73223f9431ab2ef8a61591fe056772681dfe0c760cf1cee02c85");
    /* what a flag says is not there is not in the digest */
    struct smelt_hash other;
    record.state_root = hash_of(9);
    record.fee_recipient = address_of(9);
    smelt_wave_record_digest(&record, &other);
    assert_memory_equal(digest.bytes, other.bytes, sizeof(other.bytes));
}

static void make_page(struct smelt_buf *out)
{
    struct smelt_buf content = {0};
    struct smelt_wave_receipt transfer = transfer_receipt();
    struct smelt_wave_receipt rejected = rejected_receipt();
    uint8_t header[SM_PAGE_HEADER_BYTES];
    assert_true(sm_receipt_encode(&transfer, &content) && sm_receipt_encode(&rejected, &content));
    struct sm_page page = {.kind = SM_PAGE_RECEIPTS,
                           .wave = 9,
                           .number = 1,
                           .first_event = 4,
                           .count = 2,
                           .content = sm_buf_slice(&content)};
    sm_page_seal(&page, header);
    out->size = 0;
    assert_true(sm_buf_append(out, header, sizeof(header)) &&
                sm_buf_append(out, content.data, content.size));
    smelt_buf_deinit(&content);
}

static void test_pages_are_fixed(void **state)
{
    (void)state;
    struct smelt_buf value = {0};
    struct sm_page page;
    struct smelt_error err;
    make_page(&value);
    assert_hex(sm_slice(value.data, SM_PAGE_HEADER_BYTES),
               "010400000002000000"
               "b7a02f9d7a0e887f172413ff1ccbf5aad661106b021a93ed6017b25e05df0116");
    assert_int_equal(sm_page_open(SM_PAGE_RECEIPTS, 9, 1, sm_buf_slice(&value), &page, &err),
                     SMELT_STATUS_OK);
    assert_int_equal(page.first_event, 4);
    assert_int_equal(page.count, 2);
    assert_int_equal(page.content.size, value.size - SM_PAGE_HEADER_BYTES);
    /* the page of another wave, place or kind */
    static const struct {
        enum sm_page_kind kind;
        uint64_t wave;
        uint32_t number;
        const char *message;
    } rows[] = {{SM_PAGE_EVENTS, 9, 1, "wave 9, page 1 of events"},
                {SM_PAGE_RECEIPTS, 8, 1, "wave 8, page 1 of receipts"},
                {SM_PAGE_RECEIPTS, 9, 0, "wave 9, page 0 of receipts"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(sm_page_open(rows[i].kind, rows[i].wave, rows[i].number,
                                      sm_buf_slice(&value), &page, &err),
                         SMELT_STATUS_STORE_CORRUPT);
        assert_non_null(strstr(err.message, rows[i].message));
    }
    smelt_buf_deinit(&value);
}

/* Malformed receipts: a good one with bytes put in its place. */
static void test_malformed_receipts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        const char *code; /* of the good one */
        size_t at;
        const char *bytes; /* hex */
    } rows[] = {
        {"version 0", transfer_code, 0, "00"},
        {"version 2", transfer_code, 0, "02"},
        {"kind 4", transfer_code, 1, "04"},
        {"a status that does not exist", rejected_code, 2, "9600"},
        {"a node failure", rejected_code, 2, "9101"},
        {"an artefact's fault", rejected_code, 2, "2d01"},
        {"rejected, but status OK", rejected_code, 2, "0000"},
        {"a field that does not exist", rejected_code, 4, "0110"},
        {"rejected, and fuel used", rejected_code, 4, "0500"},
        {"an id of zeroes is one, but no id", rejected_code, 4, "0300"},
        {"failed, and events", call_code, 2, "6800"},
        {"failed by status, and trapped", trap_code, 2, "6800"},
        {"fuel used of zero", call_code, 46, "0000000000000000"},
        {"fee of zero", transfer_code, 86, "00000000000000000000000000000000"},
        {"address of zeroes", trap_code, 54,
         "0000000000000000000000000000000000000000000000000000000000000000"},
        {"outcome returned", trap_code, 86, "000000"},
        {"outcome 4", trap_code, 86, "040000"},
        {"trapped without a trap", trap_code, 86, "020000"},
        {"reverted with a trap", trap_code, 86, "0101"},
        {"trap 13", trap_code, 87, "0d00"},
        {"host error without its trap", trap_code, 87, "01"},
        {"its trap without a host error", trap_code, 88, "00"},
        {"host error 8", trap_code, 88, "08"},
        {"reverted, and a location", trap_code, 86, "010000"},
        {"no events", call_code, 118, "00000000"},
        {"no writes", call_code, 122, "00000000"},
        {"no results", call_code, 126, "00000000"},
        {"one result more", call_code, 126, "03000000"},
        {"more results than there is memory", call_code, 126, "ffffffff"},
        {"no return data", call_code, 130, "00000000"},
        {"return data past the end", call_code, 130, "05000000"},
        {"a result of type 0x7b", call_code, 134, "7b"},
        {"a result without a type", call_code, 134, "00"},
        {"an i32 of 33 bits", call_code, 139, "01"},
        {"a function name past the end", trap_code, 97, "05000000"},
        {"a function name that is not UTF-8", trap_code, 101, "ff"},
        {"a function name that ends inside a character", trap_code, 104, "c3"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_buf code = {0};
        struct smelt_buf bytes = {0};
        struct sm_receipt_view view;
        unhex(rows[i].code, &code);
        assert_true(sm_receipt_decode(sm_buf_slice(&code), &view));
        unhex(rows[i].bytes, &bytes);
        assert_true(rows[i].at + bytes.size <= code.size);
        memcpy(code.data + rows[i].at, bytes.data, bytes.size);
        if (sm_receipt_decode(sm_buf_slice(&code), &view)) {
            fail_msg("%s", rows[i].label);
        }
        smelt_buf_deinit(&bytes);
        smelt_buf_deinit(&code);
    }
}

static void test_inconsistent_receipts_are_told(void **state)
{
    (void)state;
    static const struct smelt_value narrow = {SMELT_VALTYPE_F32, UINT64_C(1) << 32};
    struct smelt_wave_receipt rows[] = {rejected_receipt(), rejected_receipt(), rejected_receipt(),
                                        rejected_receipt(), transfer_receipt(), trap_receipt(),
                                        trap_receipt(),     trap_receipt(),     call_receipt(),
                                        call_receipt(),     trap_receipt()};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(sm_receipt_is_consistent(&rows[i]));
    }
    rows[0].fuel_used = 1;
    rows[1].fee.high = 1;
    rows[2].return_data = text("x");
    rows[3].status = SMELT_STATUS_NO_MEMORY;
    rows[4].has_id = false;
    rows[5].write_count = 1;
    rows[6].location.is_known = false;
    rows[7].location.function = text("\xff");
    rows[8].location = (struct smelt_location){.is_known = true};
    rows[9].results = &narrow;
    rows[9].result_count = 1;
    rows[10].event_count = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (sm_receipt_is_consistent(&rows[i])) {
            fail_msg("row %zu", i);
        }
    }
}

/* Whatever decodes is what the encoder writes for it. */
static bool is_refused_or_canonical(struct smelt_slice bytes)
{
    struct sm_receipt_view view;
    struct smelt_wave_receipt *receipt = NULL;
    struct smelt_buf again = {0};
    if (!sm_receipt_decode(bytes, &view)) {
        return true;
    }
    assert_int_equal(sm_receipt_copy(&view, 1, 2, 3, &receipt, NULL), SMELT_STATUS_OK);
    assert_true(sm_receipt_is_consistent(receipt) && sm_receipt_encode(receipt, &again));
    bool is_same = sm_slice_equal(sm_buf_slice(&again), sm_slice(bytes.data, view.size));
    smelt_buf_deinit(&again);
    smelt_wave_receipt_destroy(receipt);
    return is_same;
}

static void test_receipts_survive_a_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (size_t i = 0; i < 3000; i++) {
        struct made made;
        struct smelt_buf code = {0};
        struct sm_receipt_view view;
        struct smelt_wave_receipt *copy;
        make_receipt(&seed, &made);
        assert_true(sm_receipt_encode(&made.receipt, &code));
        size_t size = code.size;
        assert_true(sm_buf_append(&code, "tail", 4)); /* the next one */
        assert_true(sm_receipt_decode(sm_buf_slice(&code), &view));
        assert_int_equal(view.size, size);
        assert_int_equal(sm_receipt_copy(&view, 8, 9, 10, &copy, NULL), SMELT_STATUS_OK);
        assert_int_equal(copy->first_event, 10);
        assert_int_equal(copy->event_count, made.receipt.event_count);
        made.receipt.wave = 8;
        made.receipt.index = 9;
        assert_true(same_receipt(copy, &made.receipt));
        smelt_wave_receipt_destroy(copy);
        smelt_buf_deinit(&code);
    }
}

/* A copy of its own, so that a sanitizer sees a read past its end. */
static uint8_t *exact_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = (uint8_t *)malloc(size != 0 ? size : 1);
    assert_non_null(copy);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static void test_truncated_and_damaged_receipts(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (size_t i = 0; i < 60; i++) {
        struct made made;
        struct smelt_buf code = {0};
        struct sm_receipt_view view;
        make_receipt(&seed, &made);
        assert_true(sm_receipt_encode(&made.receipt, &code));
        for (size_t size = 0; size < code.size; size++) {
            uint8_t *cut = exact_copy(code.data, size);
            assert_false(sm_receipt_decode(sm_slice(cut, size), &view));
            free(cut);
        }
        for (size_t at = 0; at < code.size; at++) {
            uint8_t *damaged = exact_copy(code.data, code.size);
            for (unsigned change = 1; change < 256; change++) {
                damaged[at] = (uint8_t)(code.data[at] ^ change);
                assert_true(is_refused_or_canonical(sm_slice(damaged, code.size)));
            }
            free(damaged);
        }
        smelt_buf_deinit(&code);
    }
}

static void test_truncated_and_damaged_events(void **state)
{
    (void)state;
    const struct smelt_event event = {address_of(0xa0), text("topic"), text("some data")};
    struct smelt_buf code = {0};
    struct smelt_event read;
    uint32_t transaction;
    size_t size;
    assert_true(sm_event_encode(77, &event, &code));
    for (size_t cut = 0; cut < code.size; cut++) {
        uint8_t *copy = exact_copy(code.data, cut);
        assert_false(sm_event_decode(sm_slice(copy, cut), &transaction, &read, &size));
        free(copy);
    }
    for (size_t at = 0; at < code.size; at++) {
        uint8_t *damaged = exact_copy(code.data, code.size);
        for (unsigned change = 1; change < 256; change++) {
            struct smelt_buf again = {0};
            damaged[at] = (uint8_t)(code.data[at] ^ change);
            if (sm_event_decode(sm_slice(damaged, code.size), &transaction, &read, &size)) {
                assert_true(sm_event_encode(transaction, &read, &again));
                assert_int_equal(again.size, size);
                assert_memory_equal(again.data, damaged, size);
            }
            smelt_buf_deinit(&again);
        }
        free(damaged);
    }
    smelt_buf_deinit(&code);
}

static void test_truncated_and_damaged_records(void **state)
{
    (void)state;
    struct smelt_wave_record record = full_record();
    struct smelt_wave_record read;
    uint8_t code[SM_RECORD_BYTES + 1] = {0};
    uint8_t again[SM_RECORD_BYTES];
    sm_record_encode(&record, code);
    assert_true(sm_record_decode(sm_slice(code, SM_RECORD_BYTES), &read));
    assert_false(sm_record_decode(sm_slice(code, SM_RECORD_BYTES + 1), &read));
    for (size_t size = 0; size < SM_RECORD_BYTES; size++) {
        uint8_t *cut = exact_copy(code, size);
        assert_false(sm_record_decode(sm_slice(cut, size), &read));
        free(cut);
    }
    for (size_t at = 0; at < SM_RECORD_BYTES; at++) {
        uint8_t good = code[at];
        for (unsigned change = 1; change < 256; change++) {
            code[at] = (uint8_t)(good ^ change);
            if (sm_record_decode(sm_slice(code, SM_RECORD_BYTES), &read)) {
                sm_record_encode(&read, again);
                assert_memory_equal(again, code, SM_RECORD_BYTES);
            }
        }
        code[at] = good;
    }
    /* flags: 2 at 1; number at 10, counts at 90 */
    static const struct {
        const char *label;
        size_t at;
        const char *bytes;
    } rows[] = {{"version 2", 0, "02"},
                {"flag 4", 1, "07"},
                {"a fee recipient that the flags deny", 1, "02"},
                {"a state root that the flags deny", 1, "01"},
                {"wave 0", 10, "0000000000000000"},
                {"more transactions than a wave may have", 90, "01001000"},
                {"more rejected than there are", 94, "09000000"},
                {"counts that overflow", 94, "ffffffff02000000"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_buf bytes = {0};
        sm_record_encode(&record, code);
        unhex(rows[i].bytes, &bytes);
        memcpy(code + rows[i].at, bytes.data, bytes.size);
        if (sm_record_decode(sm_slice(code, SM_RECORD_BYTES), &read)) {
            fail_msg("%s", rows[i].label);
        }
        smelt_buf_deinit(&bytes);
    }
}

static void test_truncated_and_damaged_pages(void **state)
{
    (void)state;
    struct smelt_buf value = {0};
    struct sm_page page;
    make_page(&value);
    for (size_t size = 0; size < value.size; size++) {
        uint8_t *cut = exact_copy(value.data, size);
        assert_int_equal(sm_page_open(SM_PAGE_RECEIPTS, 9, 1, sm_slice(cut, size), &page, NULL),
                         SMELT_STATUS_STORE_CORRUPT);
        free(cut);
    }
    for (size_t at = 0; at < value.size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            value.data[at] = (uint8_t)(value.data[at] ^ 1u << bit);
            assert_int_equal(
                sm_page_open(SM_PAGE_RECEIPTS, 9, 1, sm_buf_slice(&value), &page, NULL),
                SMELT_STATUS_STORE_CORRUPT);
            value.data[at] = (uint8_t)(value.data[at] ^ 1u << bit);
        }
    }
    smelt_buf_deinit(&value);
}

/* Content that was wrong when it was sealed. */
static void test_pages_with_wrong_content(void **state)
{
    (void)state;
    struct smelt_buf receipt = {0};
    struct smelt_buf event = {0};
    const struct smelt_event emitted = {address_of(1), text("t"), text("d")};
    unhex(call_code, &receipt);
    assert_true(sm_event_encode(65, &emitted, &event));
    const struct {
        const char *label;
        enum sm_page_kind kind;
        uint32_t number;
        uint32_t first_event;
        uint32_t count;
        struct smelt_slice content;
        bool is_good;
    } rows[] = {
        {"a receipt", SM_PAGE_RECEIPTS, 0, 0, 1, sm_buf_slice(&receipt), true},
        {"none", SM_PAGE_RECEIPTS, 0, 0, 0, sm_slice(NULL, 0), true},
        {"one less than there is", SM_PAGE_RECEIPTS, 0, 0, 0, sm_buf_slice(&receipt), false},
        {"one more than there is", SM_PAGE_RECEIPTS, 0, 0, 2, sm_buf_slice(&receipt), false},
        {"events past 2^32", SM_PAGE_RECEIPTS, 0, UINT32_MAX - 1, 1, sm_buf_slice(&receipt), false},
        {"an event", SM_PAGE_EVENTS, 1, 0, 1, sm_buf_slice(&event), true},
        {"an event of another page", SM_PAGE_EVENTS, 0, 0, 1, sm_buf_slice(&event), false},
        {"an event more", SM_PAGE_EVENTS, 1, 0, 2, sm_buf_slice(&event), false},
        {"an event less", SM_PAGE_EVENTS, 1, 0, 0, sm_buf_slice(&event), false},
        {"a receipt for an event", SM_PAGE_EVENTS, 1, 0, 1, sm_buf_slice(&receipt), false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sm_page page = {.kind = rows[i].kind,
                               .wave = 1,
                               .number = rows[i].number,
                               .first_event = rows[i].first_event,
                               .count = rows[i].count,
                               .content = rows[i].content};
        struct sm_page_walk walk = {.page = &page};
        struct sm_receipt_view view;
        struct smelt_event read;
        struct smelt_slice code;
        enum smelt_status status = SMELT_STATUS_OK;
        bool has_next = true;
        while (status == SMELT_STATUS_OK && has_next) {
            status = rows[i].kind == SM_PAGE_RECEIPTS
                         ? sm_page_next_receipt(&walk, &view, &code, &has_next, NULL)
                         : sm_page_next_event(&walk, &read, &code, &has_next, NULL);
        }
        if (status != (rows[i].is_good ? SMELT_STATUS_OK : SMELT_STATUS_STORE_CORRUPT)) {
            fail_msg("%s: %s", rows[i].label, smelt_status_name(status));
        }
    }
    smelt_buf_deinit(&event);
    smelt_buf_deinit(&receipt);
}

static void test_copies_survive_without_memory(void **state)
{
    (void)state;
    struct smelt_buf code = {0};
    struct sm_receipt_view view;
    struct smelt_wave_receipt *receipt;
    size_t before = sm_alloc_blocks();
    unhex(trap_code, &code);
    assert_true(sm_receipt_decode(sm_buf_slice(&code), &view));
    sm_alloc_fail_at(1);
    assert_int_equal(sm_receipt_copy(&view, 1, 2, 3, &receipt, NULL), SMELT_STATUS_NO_MEMORY);
    assert_null(receipt);
    sm_alloc_fail_at(0);
    assert_int_equal(sm_receipt_copy(&view, 1, 2, 3, &receipt, NULL), SMELT_STATUS_OK);
    smelt_buf_deinit(&code); /* the copy stands alone */
    assert_true(sm_slice_equal_text(receipt->location.function, "main"));
    assert_int_equal(receipt->location.func_index, 17);
    smelt_wave_receipt_destroy(receipt);
    smelt_wave_receipt_destroy(NULL);
    assert_int_equal(sm_alloc_blocks(), before);
}

static void test_kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(smelt_transaction_kind_name(SMELT_TRANSACTION_TRANSFER), "transfer");
    assert_string_equal(smelt_transaction_kind_name(SMELT_TRANSACTION_DEPLOY), "deploy");
    assert_string_equal(smelt_transaction_kind_name(SMELT_TRANSACTION_CALL), "call");
    assert_string_equal(smelt_transaction_kind_name(SMELT_TRANSACTION_UPGRADE), "upgrade");
    assert_string_equal(smelt_transaction_kind_name((enum smelt_transaction_kind)4), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_receipts_are_fixed),
        cmocka_unit_test(test_events_are_fixed),
        cmocka_unit_test(test_records_are_fixed),
        cmocka_unit_test(test_pages_are_fixed),
        cmocka_unit_test(test_malformed_receipts_are_refused),
        cmocka_unit_test(test_inconsistent_receipts_are_told),
        cmocka_unit_test(test_receipts_survive_a_round_trip),
        cmocka_unit_test(test_truncated_and_damaged_receipts),
        cmocka_unit_test(test_truncated_and_damaged_events),
        cmocka_unit_test(test_truncated_and_damaged_records),
        cmocka_unit_test(test_truncated_and_damaged_pages),
        cmocka_unit_test(test_pages_with_wrong_content),
        cmocka_unit_test(test_copies_survive_without_memory),
        cmocka_unit_test(test_kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
