/* The envelope of a page: page.h has the layout. */
#include "runtime/wave/page.h"

#include "base/digest.h"
#include "base/status.h"
#include "runtime/wave/cursor.h"

#include <assert.h>
#include <inttypes.h>

#define WHERE "wave"

enum { VERSION = 1 };
enum { FIRST_EVENT_AT = 1, COUNT_AT = 5, DIGEST_AT = 9 };

static_assert(DIGEST_AT + SMELT_HASH_BYTES == SM_PAGE_HEADER_BYTES, "the fields fill the header");

static const char *name_of(enum sm_page_kind kind)
{
    return kind == SM_PAGE_RECEIPTS ? "receipts" : "events";
}

static void page_digest(const struct sm_page *page, struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_digest_init(&digest, page->kind == SM_PAGE_RECEIPTS ? "smelt.page.receipts.v1"
                                                           : "smelt.page.events.v1");
    sm_digest_u64(&digest, page->wave);
    sm_digest_u32(&digest, page->number);
    sm_digest_u32(&digest, page->first_event);
    sm_digest_u32(&digest, page->count);
    sm_digest_slice(&digest, page->content);
    sm_digest_final(&digest, out);
}

void sm_page_seal(const struct sm_page *page, uint8_t out[SM_PAGE_HEADER_BYTES])
{
    struct smelt_hash digest;
    page_digest(page, &digest);
    out[0] = VERSION;
    sm_store_le32(out + FIRST_EVENT_AT, page->first_event);
    sm_store_le32(out + COUNT_AT, page->count);
    memcpy(out + DIGEST_AT, digest.bytes, sizeof(digest.bytes));
}

enum smelt_status sm_page_corrupt(enum sm_page_kind kind, uint64_t wave, uint32_t number,
                                  const char *what, struct smelt_error *err)
{
    return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                        "wave %" PRIu64 ", page %" PRIu32 " of %s: %s; restore the state from a "
                        "copy",
                        wave, number, name_of(kind), what);
}

enum smelt_status sm_page_open(enum sm_page_kind kind, uint64_t wave, uint32_t number,
                               struct smelt_slice value, struct sm_page *out,
                               struct smelt_error *err)
{
    struct sm_cursor cursor = {.data = value.data, .left = value.size};
    struct sm_page page = {.kind = kind, .wave = wave, .number = number};
    struct smelt_hash stored;
    struct smelt_hash digest;
    uint8_t version;
    memset(out, 0, sizeof(*out));
    if (!sm_take_u8(&cursor, &version) || version != VERSION ||
        !sm_take_u32(&cursor, &page.first_event) || !sm_take_u32(&cursor, &page.count) ||
        !sm_take_bytes(&cursor, stored.bytes, sizeof(stored.bytes))) {
        return sm_page_corrupt(kind, wave, number, "it has no header", err);
    }
    page.content = sm_slice(cursor.data, cursor.left);
    page_digest(&page, &digest);
    if (!sm_hash_equal(&stored, &digest)) {
        return sm_page_corrupt(kind, wave, number, "its digest is not that of its content", err);
    }
    *out = page;
    return SMELT_STATUS_OK;
}
