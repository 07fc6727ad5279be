/* Events as bytes: event_code.h has the layout. Every event has one encoding, and the decoder takes
 * no other: all fields are fixed or have a length. */
#include "runtime/wave/event_code.h"

#include "base/digest.h"
#include "runtime/wave/cursor.h"

#include <assert.h>

#define LEAF_DOMAIN "smelt.event.v1"

enum { VERSION = 1 };
enum {
    TRANSACTION_AT = 1,
    ADDRESS_AT = SM_EVENT_ADDRESS_AT,
    TOPIC_SIZE_AT = ADDRESS_AT + SMELT_ADDRESS_BYTES,
    DATA_SIZE_AT = TOPIC_SIZE_AT + 4
};

static_assert(DATA_SIZE_AT + 4 == SM_EVENT_HEADER_BYTES, "the fixed fields fill the header");

bool sm_event_encode(uint32_t transaction, const struct smelt_event *event, struct smelt_buf *out)
{
    uint8_t header[SM_EVENT_HEADER_BYTES];
    size_t more = sizeof(header);
    if (event->topic.size > UINT32_MAX || event->data.size > UINT32_MAX) {
        return false;
    }
    more += event->topic.size + event->data.size;
    if (!sm_buf_reserve(out, more)) {
        return false;
    }
    header[0] = VERSION;
    sm_store_le32(header + TRANSACTION_AT, transaction);
    memcpy(header + ADDRESS_AT, event->address.bytes, SMELT_ADDRESS_BYTES);
    sm_store_le32(header + TOPIC_SIZE_AT, (uint32_t)event->topic.size);
    sm_store_le32(header + DATA_SIZE_AT, (uint32_t)event->data.size);
    return sm_buf_append(out, header, sizeof(header)) &&
           sm_buf_append(out, event->topic.data, event->topic.size) &&
           sm_buf_append(out, event->data.data, event->data.size);
}

bool sm_event_decode(struct smelt_slice bytes, uint32_t *transaction, struct smelt_event *event,
                     size_t *size)
{
    struct sm_cursor cursor = {.data = bytes.data, .left = bytes.size};
    uint8_t version;
    uint32_t topic_size;
    uint32_t data_size;
    if (!sm_take_u8(&cursor, &version) || version != VERSION ||
        !sm_take_u32(&cursor, transaction) ||
        !sm_take_bytes(&cursor, event->address.bytes, SMELT_ADDRESS_BYTES) ||
        !sm_take_u32(&cursor, &topic_size) || !sm_take_u32(&cursor, &data_size) ||
        !sm_take_slice(&cursor, topic_size, &event->topic) ||
        !sm_take_slice(&cursor, data_size, &event->data)) {
        return false;
    }
    *size = bytes.size - cursor.left;
    return true;
}

void sm_event_leaf(uint64_t wave, struct smelt_slice code, struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_digest_init(&digest, LEAF_DOMAIN);
    sm_digest_u64(&digest, wave);
    sm_digest_slice(&digest, code);
    sm_digest_final(&digest, out);
}
