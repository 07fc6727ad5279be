/* LEB128: truncated, overlong, at the limit and one past it, for every width in use. */
#include "tests/support/cmocka_all.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "compiler/wasm/leb128.h"

#include <string.h>

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

struct unsigned_row {
    const uint8_t *bytes;
    size_t size;
    unsigned width;
    enum sm_leb_result result;
    uint64_t value;
    size_t used;
};

struct signed_row {
    const uint8_t *bytes;
    size_t size;
    unsigned width;
    enum sm_leb_result result;
    int64_t value;
    size_t used;
};

static void test_unsigned(void **state)
{
    (void)state;
    static const struct unsigned_row rows[] = {
        {BYTES("\x00"), 32, SM_LEB_OK, 0, 1},
        {BYTES("\x7f\xff"), 32, SM_LEB_OK, 127, 1},
        {BYTES("\x80\x01"), 32, SM_LEB_OK, 128, 2},
        {BYTES("\x80\x00"), 32, SM_LEB_OK, 0, 2},
        {BYTES("\x80\x80\x80\x80\x00"), 32, SM_LEB_OK, 0, 5},
        {BYTES("\xff\xff\xff\xff\x0f"), 32, SM_LEB_OK, UINT32_MAX, 5},
        {BYTES("\xff\xff\xff\xff\x1f"), 32, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\x80\x80\x80\x80\x10"), 32, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\x80\x80\x80\x80\x70"), 32, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\x80\x80\x80\x80\x80\x00"), 32, SM_LEB_TOO_LONG, 0, 0},
        {BYTES("\xff\xff\xff\xff\x8f\x00"), 32, SM_LEB_TOO_LONG, 0, 0},
        {BYTES("\x80\x80\x80\x80\x80"), 32, SM_LEB_TOO_LONG, 0, 0},
        {BYTES(""), 32, SM_LEB_TRUNCATED, 0, 0},
        {BYTES("\x80"), 32, SM_LEB_TRUNCATED, 0, 0},
        {BYTES("\xff\xff\xff\xff"), 32, SM_LEB_TRUNCATED, 0, 0},
        {BYTES("\x01"), 1, SM_LEB_OK, 1, 1},
        {BYTES("\x02"), 1, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\x80\x00"), 1, SM_LEB_TOO_LONG, 0, 0},
        {BYTES("\x7f"), 7, SM_LEB_OK, 127, 1},
        {BYTES("\x80\x01"), 7, SM_LEB_TOO_LONG, 0, 0},
        {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 64, SM_LEB_OK, UINT64_MAX, 10},
        {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x03"), 64, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), 64, SM_LEB_TOO_LONG, 0, 0},
        {BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80"), 64, SM_LEB_TRUNCATED, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const uint8_t *at = rows[i].bytes;
        uint64_t value = 0;
        enum sm_leb_result result =
            sm_leb_read_unsigned(&at, rows[i].bytes + rows[i].size, rows[i].width, &value);
        if (result != rows[i].result || value != rows[i].value ||
            (size_t)(at - rows[i].bytes) != rows[i].used) {
            fail_msg("row %zu: result %d, value %llu, used %zu", i, (int)result,
                     (unsigned long long)value, (size_t)(at - rows[i].bytes));
        }
    }
}

static void test_signed(void **state)
{
    (void)state;
    static const struct signed_row rows[] = {
        {BYTES("\x00"), 32, SM_LEB_OK, 0, 1},
        {BYTES("\x3f"), 32, SM_LEB_OK, 63, 1},
        {BYTES("\x40"), 32, SM_LEB_OK, -64, 1},
        {BYTES("\x7f"), 32, SM_LEB_OK, -1, 1},
        {BYTES("\xc0\x00"), 32, SM_LEB_OK, 64, 2},
        {BYTES("\xbf\x7f"), 32, SM_LEB_OK, -65, 2},
        {BYTES("\xff\xff\xff\xff\x7f"), 32, SM_LEB_OK, -1, 5},
        {BYTES("\xff\xff\xff\xff\x07"), 32, SM_LEB_OK, INT32_MAX, 5},
        {BYTES("\x80\x80\x80\x80\x78"), 32, SM_LEB_OK, INT32_MIN, 5},
        {BYTES("\x80\x80\x80\x80\x08"), 32, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\xff\xff\xff\xff\x0f"), 32, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\xff\xff\xff\xff\x77"), 32, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\x80\x80\x80\x80\x70"), 32, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\x80\x80\x80\x80\x80\x00"), 32, SM_LEB_TOO_LONG, 0, 0},
        {BYTES("\xff\xff\xff\xff\xff\x7f"), 32, SM_LEB_TOO_LONG, 0, 0},
        {BYTES("\xff\xff"), 32, SM_LEB_TRUNCATED, 0, 0},
        {BYTES(""), 64, SM_LEB_TRUNCATED, 0, 0},
        {BYTES("\xff\xff\xff\xff\x0f"), 33, SM_LEB_OK, UINT32_MAX, 5},
        {BYTES("\x80\x80\x80\x80\x70"), 33, SM_LEB_OK, -((int64_t)1 << 32), 5},
        {BYTES("\x80\x80\x80\x80\x10"), 33, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00"), 64, SM_LEB_OK, INT64_MAX, 10},
        {BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f"), 64, SM_LEB_OK, INT64_MIN, 10},
        {BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 64, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7e"), 64, SM_LEB_TOO_LARGE, 0, 0},
        {BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f"), 64, SM_LEB_TOO_LONG, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const uint8_t *at = rows[i].bytes;
        int64_t value = 0;
        enum sm_leb_result result =
            sm_leb_read_signed(&at, rows[i].bytes + rows[i].size, rows[i].width, &value);
        if (result != rows[i].result || value != rows[i].value ||
            (size_t)(at - rows[i].bytes) != rows[i].used) {
            fail_msg("row %zu: result %d, value %lld, used %zu", i, (int)result, (long long)value,
                     (size_t)(at - rows[i].bytes));
        }
    }
}

/* Every power of two and its neighbours: what is appended is read back, and is the shortest. */
static void test_round_trip(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t number = ((uint64_t)1 << bit) + (uint64_t)(int64_t)delta;
            struct smelt_buf buf = {0};
            uint64_t back = 0;
            int64_t signed_back = 0;
            assert_true(sm_leb_append_unsigned(&buf, number));
            const uint8_t *at = buf.data;
            assert_int_equal(sm_leb_read_unsigned(&at, buf.data + buf.size, 64, &back), SM_LEB_OK);
            assert_true(back == number && at == buf.data + buf.size);
            assert_true(buf.size == 1 || buf.data[buf.size - 1] != 0);
            buf.size = 0;
            assert_true(sm_leb_append_signed(&buf, (int64_t)number));
            at = buf.data;
            assert_int_equal(sm_leb_read_signed(&at, buf.data + buf.size, 64, &signed_back),
                             SM_LEB_OK);
            assert_true(signed_back == (int64_t)number && at == buf.data + buf.size);
            if (buf.size > 1) { /* one byte fewer would lose the sign */
                uint8_t last = buf.data[buf.size - 1];
                uint8_t sign = buf.data[buf.size - 2] & 0x40;
                assert_false((last == 0 && sign == 0) || (last == 0x7f && sign != 0));
            }
            smelt_buf_deinit(&buf);
        }
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    size_t blocks = sm_alloc_blocks();
    struct smelt_buf buf = {0};
    sm_alloc_fail_at(1);
    assert_false(sm_leb_append_unsigned(&buf, 300));
    sm_alloc_fail_at(1);
    assert_false(sm_leb_append_signed(&buf, -300));
    sm_alloc_fail_at(0);
    assert_int_equal(buf.size, 0);
    assert_true(sm_leb_append_signed(&buf, -300));
    smelt_buf_deinit(&buf);
    assert_int_equal(sm_alloc_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsigned),
        cmocka_unit_test(test_signed),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
