/* The readers of what waves leave behind: the bytes as a receipt, an event, a record, a page as it
 * is, and as the content of a page with a right digest. What is read is written again, and has to
 * be the same bytes. */
#include "runtime/wave/event_code.h"
#include "runtime/wave/page_walk.h"
#include "runtime/wave/record.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void write_receipt(const struct sm_receipt_view *view, struct smelt_buf *out)
{
    struct smelt_wave_receipt *receipt = NULL;
    FUZZ_CHECK(sm_receipt_copy(view, 1, 2, 3, &receipt, NULL) == SMELT_STATUS_OK, "no memory");
    FUZZ_CHECK(sm_receipt_is_consistent(receipt), "a receipt that is never written");
    FUZZ_CHECK(sm_receipt_encode(receipt, out), "no memory");
    smelt_wave_receipt_destroy(receipt);
}

static void check_same(const struct smelt_buf *written, struct smelt_slice bytes, size_t size,
                       const char *what)
{
    FUZZ_CHECK(size <= bytes.size &&
                   sm_slice_equal(sm_buf_slice(written), sm_slice(bytes.data, size)),
               "%s of %zu bytes is written as another one", what, size);
}

static void read_receipt(struct smelt_slice bytes)
{
    struct sm_receipt_view view;
    struct smelt_buf again = {0};
    if (sm_receipt_decode(bytes, &view)) {
        write_receipt(&view, &again);
        check_same(&again, bytes, view.size, "a receipt");
    }
    smelt_buf_deinit(&again);
}

static void read_event(struct smelt_slice bytes)
{
    struct smelt_event event;
    struct smelt_buf again = {0};
    uint32_t transaction;
    size_t size;
    if (sm_event_decode(bytes, &transaction, &event, &size)) {
        FUZZ_CHECK(sm_event_encode(transaction, &event, &again), "no memory");
        check_same(&again, bytes, size, "an event");
    }
    smelt_buf_deinit(&again);
}

static void read_record(struct smelt_slice bytes)
{
    struct smelt_wave_record record;
    uint8_t again[SM_RECORD_BYTES];
    if (sm_record_decode(bytes, &record)) {
        sm_record_encode(&record, again);
        FUZZ_CHECK(sm_slice_equal(sm_slice(again, sizeof(again)), bytes),
                   "a record is written as another one");
    }
}

/* What can be read of a page: all of it, or it is damaged. */
static void read_page(const struct sm_page *page)
{
    struct sm_page_walk walk = {.page = page};
    struct smelt_buf again = {0};
    struct sm_receipt_view receipt;
    struct smelt_event event;
    struct smelt_slice code;
    struct smelt_error err = {0};
    enum smelt_status status = SMELT_STATUS_OK;
    bool has_next = true;
    while (status == SMELT_STATUS_OK && has_next) {
        if (page->kind == SM_PAGE_RECEIPTS) {
            status = sm_page_next_receipt(&walk, &receipt, &code, &has_next, &err);
        } else {
            status = sm_page_next_event(&walk, &event, &code, &has_next, &err);
        }
        if (status != SMELT_STATUS_OK || !has_next) {
            break;
        }
        if (page->kind == SM_PAGE_RECEIPTS) {
            write_receipt(&receipt, &again);
        } else {
            FUZZ_CHECK(sm_event_encode(walk.transaction, &event, &again), "no memory");
        }
    }
    FUZZ_CHECK(status == SMELT_STATUS_OK || status == SMELT_STATUS_STORE_CORRUPT, "%s",
               err.message);
    if (status == SMELT_STATUS_OK) {
        FUZZ_CHECK(walk.position == page->count, "%u of %u", walk.position, page->count);
        check_same(&again, page->content, page->content.size, "a page");
    }
    smelt_buf_deinit(&again);
}

/* Kind, number, count and first event in a byte each, then the content. */
static void read_sealed(struct smelt_slice bytes)
{
    enum { HEAD = 4 };
    if (bytes.size < HEAD) {
        return;
    }
    struct sm_page page = {.kind = (bytes.data[0] & 1) == 0 ? SM_PAGE_RECEIPTS : SM_PAGE_EVENTS,
                           .wave = 7,
                           .number = bytes.data[1],
                           .count = bytes.data[2],
                           .first_event =
                               bytes.data[3] < 128 ? bytes.data[3] : UINT32_MAX - bytes.data[3],
                           .content = sm_slice(bytes.data + HEAD, bytes.size - HEAD)};
    struct smelt_buf value = {0};
    struct sm_page opened;
    uint8_t header[SM_PAGE_HEADER_BYTES];
    sm_page_seal(&page, header);
    FUZZ_CHECK(sm_buf_append(&value, header, sizeof(header)) &&
                   sm_buf_append(&value, page.content.data, page.content.size),
               "no memory");
    FUZZ_CHECK(sm_page_open(page.kind, 7, page.number, sm_buf_slice(&value), &opened, NULL) ==
                       SMELT_STATUS_OK &&
                   opened.count == page.count && opened.first_event == page.first_event,
               "sealed, but not opened");
    FUZZ_CHECK(sm_page_open(page.kind, 8, page.number, sm_buf_slice(&value), &opened, NULL) ==
                   SMELT_STATUS_STORE_CORRUPT,
               "opened as the page of another wave");
    read_page(&page);
    smelt_buf_deinit(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smelt_slice bytes = sm_slice(data, size);
    struct sm_page page;
    read_receipt(bytes);
    read_event(bytes);
    read_record(bytes);
    /* nobody finds a digest by chance */
    FUZZ_CHECK(sm_page_open(SM_PAGE_RECEIPTS, 7, 0, bytes, &page, NULL) ==
                   SMELT_STATUS_STORE_CORRUPT,
               "a page out of the blue");
    read_sealed(bytes);
    return 0;
}
