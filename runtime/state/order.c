/* Radix sort by chunks of 8 bytes, from the front of the keys.
 *
 *     range of items with equal bytes so far
 *       ── load the next chunk of each, sort by it ──▶ runs of equal chunks
 *            keys that end in the chunk    by size, in front: each is a prefix of the next
 *            keys that go on               another range, when there are two or more
 *
 * A chunk is eight bytes as a big-endian number, with zeroes after the end of the key, so that
 * numbers compare as bytes do. Keys of one contract share their first 33 bytes: a chunk that is the
 * same everywhere is passed over without sorting. */
#include "runtime/state/order.h"

#include "base/alloc.h"

#include <assert.h>
#include <string.h>

#define CHUNK_BYTES  8
#define DIGITS       256
#define DIGITS_FIRST 3
/* Up to here insertion beats counting. */
#define INSERTION_MAX 48

struct range {
    uint32_t start;
    uint32_t count;
    uint32_t depth; /* bytes that are equal */
};

static uint64_t load_chunk(const struct sm_order_item *item, uint32_t depth)
{
    const uint8_t *data = item->key + depth;
    uint8_t tail[CHUNK_BYTES] = {0};
    uint32_t rest = item->key_size - depth;
    if (rest < CHUNK_BYTES) {
        if (rest != 0) {
            memcpy(tail, data, rest);
        }
        data = tail;
    }
    return (uint64_t)data[0] << 56 | (uint64_t)data[1] << 48 | (uint64_t)data[2] << 40 |
           (uint64_t)data[3] << 32 | (uint64_t)data[4] << 24 | (uint64_t)data[5] << 16 |
           (uint64_t)data[6] << 8 | (uint64_t)data[7];
}

/* False when it takes more than `moves_max` moves; the items are partly sorted then. */
static bool sort_by_insertion(struct sm_order_item *items, size_t count, size_t moves_max)
{
    size_t moves = 0;
    for (size_t i = 1; i < count; i++) {
        if (items[i - 1].chunk <= items[i].chunk) {
            continue;
        }
        struct sm_order_item item = items[i];
        size_t at = i;
        while (at != 0 && items[at - 1].chunk > item.chunk && moves <= moves_max) {
            items[at] = items[at - 1];
            at--;
            moves++;
        }
        items[at] = item;
        if (moves > moves_max) {
            return false;
        }
    }
    return true;
}

/* A stable pass over one byte of the chunks. */
static void sort_by_digit(const struct sm_order_item *from, struct sm_order_item *to, size_t count,
                          int shift)
{
    uint32_t counts[DIGITS] = {0};
    uint32_t at = 0;
    for (size_t i = 0; i < count; i++) {
        counts[from[i].chunk >> shift & (DIGITS - 1)]++;
    }
    for (size_t digit = 0; digit < DIGITS; digit++) {
        uint32_t here = counts[digit];
        counts[digit] = at;
        at += here;
    }
    for (size_t i = 0; i < count; i++) {
        to[counts[from[i].chunk >> shift & (DIGITS - 1)]++] = from[i];
    }
}

/* By the first `digits_max` bytes in which the chunks differ, the last of these first. */
static void sort_by_counting(struct sm_order_item *items, struct sm_order_item *spare, size_t count,
                             uint64_t differing, int digits_max)
{
    int shifts[CHUNK_BYTES];
    int digits = 0;
    for (int shift = 8 * (CHUNK_BYTES - 1); shift >= 0 && digits < digits_max; shift -= 8) {
        if ((differing >> shift & (DIGITS - 1)) != 0) {
            shifts[digits++] = shift;
        }
    }
    struct sm_order_item *from = items;
    struct sm_order_item *to = spare;
    while (digits != 0) {
        sort_by_digit(from, to, count, shifts[--digits]);
        struct sm_order_item *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != items) {
        memcpy(items, from, count * sizeof(*items));
    }
}

/* Three bytes tell most of a wave's keys apart, so little is left for the insertion; where somebody
 * has chosen keys that they do not, all eight. */
static void sort_chunks(struct sm_order_item *items, struct sm_order_item *spare, size_t count,
                        uint64_t differing)
{
    if (count <= INSERTION_MAX) {
        (void)sort_by_insertion(items, count, SIZE_MAX);
        return;
    }
    sort_by_counting(items, spare, count, differing, DIGITS_FIRST);
    if (!sort_by_insertion(items, count, count)) {
        sort_by_counting(items, spare, count, differing, CHUNK_BYTES);
    }
}

/* Of a run of equal chunks: moves the keys that end in it to the front, by size. They differ in
 * size, so there are no more than a chunk has bytes, and one. */
static size_t put_ended_first(struct sm_order_item *items, size_t count, uint32_t depth)
{
    size_t ended = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].key_size - depth > CHUNK_BYTES) {
            continue;
        }
        struct sm_order_item item = items[i];
        items[i] = items[ended];
        size_t at = ended++;
        while (at != 0 && items[at - 1].key_size > item.key_size) {
            items[at] = items[at - 1];
            at--;
        }
        items[at] = item;
    }
    return ended;
}

bool sm_order_keys(struct sm_order_item *items, size_t count)
{
    assert(count <= UINT32_MAX);
    if (count < 2) {
        return true;
    }
    struct sm_order_item *spare =
        (struct sm_order_item *)sm_realloc_array(NULL, count, sizeof(*spare));
    /* ranges that wait are disjoint, and have two items or more */
    struct range *ranges = (struct range *)sm_realloc_array(NULL, count / 2, sizeof(*ranges));
    if (spare == NULL || ranges == NULL) {
        sm_free(spare);
        sm_free(ranges);
        return false;
    }
    size_t waiting = 0;
    ranges[waiting++] = (struct range){.count = (uint32_t)count};
    while (waiting != 0) {
        struct range range = ranges[--waiting];
        struct sm_order_item *first = items + range.start;
        uint64_t differing = 0;
        for (size_t i = 0; i < range.count; i++) {
            first[i].chunk = load_chunk(&first[i], range.depth);
            differing |= first[i].chunk ^ first[0].chunk;
        }
        if (differing != 0) {
            sort_chunks(first, spare, range.count, differing);
        }
        for (uint32_t start = 0, end; start < range.count; start = end) {
            end = start + 1;
            while (end < range.count && first[end].chunk == first[start].chunk) {
                end++;
            }
            if (end - start == 1) {
                continue;
            }
            uint32_t ended = (uint32_t)put_ended_first(first + start, end - start, range.depth);
            if (end - start - ended >= 2) {
                ranges[waiting++] = (struct range){.start = range.start + start + ended,
                                                   .count = end - start - ended,
                                                   .depth = range.depth + CHUNK_BYTES};
            }
        }
    }
    sm_free(spare);
    sm_free(ranges);
    return true;
}
