/* Buffers, slices, hex, little-endian integers and 128-bit amounts. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "tests/support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_buffer_grows_and_keeps_its_content(void **state)
{
    (void)state;
    struct smelt_buf buf = {0};
    for (size_t i = 0; i < 1000; i++) {
        assert_true(sm_buf_append_u8(&buf, (uint8_t)i));
        assert_int_equal(buf.size, i + 1);
        assert_true(buf.capacity >= buf.size);
    }
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(buf.data[i], (uint8_t)i);
    }
    assert_true(sm_buf_append(&buf, NULL, 0));
    assert_int_equal(buf.size, 1000);
    smelt_buf_deinit(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.size + buf.capacity, 0);
    smelt_buf_deinit(&buf);
    assert_int_equal(sm_alloc_blocks(), 0);
}

static void test_buffer_refuses_impossible_sizes(void **state)
{
    (void)state;
    struct smelt_buf buf = {0};
    assert_true(sm_buf_append(&buf, "abc", 3));
    const struct smelt_buf before = buf;
    assert_false(sm_buf_reserve(&buf, SIZE_MAX));
    assert_false(sm_buf_reserve(&buf, SIZE_MAX - 2));
    assert_false(sm_buf_reserve(&buf, SIZE_MAX - 3));
    assert_false(sm_buf_reserve(&buf, SIZE_MAX / 2 + 1));
    assert_memory_equal(&buf, &before, sizeof(buf));
    smelt_buf_deinit(&buf);
}

static void test_buffer_is_unchanged_when_memory_is_short(void **state)
{
    (void)state;
    struct smelt_buf buf = {0};
    assert_true(sm_buf_append(&buf, "abc", 3));
    const struct smelt_buf before = buf;
    static const uint8_t more[100];
    sm_alloc_fail_at(1);
    assert_false(sm_buf_reserve(&buf, 100));
    assert_false(sm_buf_append(&buf, more, sizeof(more)));
    assert_false(sm_buf_printf(&buf, "%100d", 1));
    assert_false(sm_buf_assign(&buf, sm_slice("x", 1)));
    sm_alloc_fail_at(0);
    assert_memory_equal(&buf, &before, sizeof(buf));
    assert_memory_equal(buf.data, "abc", 3);
    smelt_buf_deinit(&buf);
    assert_int_equal(sm_alloc_blocks(), 0);
}

static void test_printf_appends_without_the_nul(void **state)
{
    (void)state;
    struct smelt_buf buf = {0};
    assert_true(sm_buf_printf(&buf, "%s", ""));
    assert_int_equal(buf.size, 0);
    assert_true(sm_buf_printf(&buf, "%d-%s", 12, "ab"));
    assert_true(sm_buf_printf(&buf, "%70s", "z"));
    assert_int_equal(buf.size, 5 + 70);
    assert_memory_equal(buf.data, "12-ab  ", 7);
    assert_int_equal(buf.data[74], 'z');
    smelt_buf_deinit(&buf);
}

static void test_assign_accepts_its_own_content(void **state)
{
    (void)state;
    struct smelt_buf buf = {0};
    assert_true(sm_buf_assign(&buf, smelt_slice_from_string("0123456789")));
    assert_true(sm_buf_assign(&buf, sm_slice(buf.data + 3, 4)));
    assert_true(sm_slice_equal_text(sm_buf_slice(&buf), "3456"));
    assert_true(sm_buf_assign(&buf, sm_buf_slice(&buf)));
    assert_true(sm_slice_equal_text(sm_buf_slice(&buf), "3456"));
    assert_true(sm_buf_assign(&buf, sm_slice(NULL, 0)));
    assert_int_equal(buf.size, 0);
    smelt_buf_deinit(&buf);
    assert_int_equal(sm_alloc_blocks(), 0);
}

static int sign(int value)
{
    return value > 0 ? 1 : value < 0 ? -1 : 0;
}

static void test_slice_order(void **state)
{
    (void)state;
    /* ascending */
    static const struct smelt_slice sorted[] = {
        {NULL, 0},
        {(const uint8_t *)"\0", 1},
        {(const uint8_t *)"\0\0", 2},
        {(const uint8_t *)"a", 1},
        {(const uint8_t *)"a\0", 2},
        {(const uint8_t *)"ab", 2},
        {(const uint8_t *)"b", 1},
        {(const uint8_t *)"\x7f", 1},
        {(const uint8_t *)"\x80", 1},
        {(const uint8_t *)"\xff", 1},
        {(const uint8_t *)"\xff\xff", 2},
    };
    for (size_t i = 0; i < COUNT(sorted); i++) {
        for (size_t k = 0; k < COUNT(sorted); k++) {
            assert_int_equal(sign(sm_slice_compare(sorted[i], sorted[k])), (i > k) - (i < k));
            assert_int_equal(sm_slice_equal(sorted[i], sorted[k]), i == k);
        }
    }
}

static void test_slices_and_texts(void **state)
{
    (void)state;
    assert_int_equal(smelt_slice_from_string(NULL).size, 0);
    assert_int_equal(smelt_slice_from_string("").size, 0);
    assert_int_equal(smelt_slice_from_string("abc").size, 3);
    assert_true(sm_slice_equal_text(sm_slice(NULL, 0), ""));
    assert_true(sm_slice_equal_text(sm_slice(NULL, 0), NULL));
    assert_true(sm_slice_equal_text(sm_slice("abc", 3), "abc"));
    assert_false(sm_slice_equal_text(sm_slice("abc", 4), "abc")); /* the NUL counts */
    assert_false(sm_slice_equal_text(sm_slice("abc", 2), "abc"));
    static const struct {
        const char *text, *prefix;
        bool has;
    } prefixes[] = {
        {"abc", "", true},      {"", "", true},      {"abc", "a", true}, {"abc", "abc", true},
        {"abc", "abcd", false}, {"abc", "b", false}, {"", "a", false},
    };
    for (size_t i = 0; i < COUNT(prefixes); i++) {
        assert_int_equal(sm_slice_has_prefix(smelt_slice_from_string(prefixes[i].text),
                                             smelt_slice_from_string(prefixes[i].prefix)),
                         prefixes[i].has);
    }
}

static void test_hex_decode(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *bytes; /* NULL: refused */
    } cases[] = {
        {"", 0, ""},
        {"0x", 0, ""},
        {"00", 1, "\0"},
        {"0fF0", 2, "\x0f\xf0"},
        {"0x0102", 2, "\x01\x02"},
        {"0XaB", 1, "\xab"},
        {"0x0x", 1, NULL},
        {"0x0x01", 1, NULL},
        {"x01", 1, NULL},
        {"", 1, NULL},
        {"0", 1, NULL},
        {"0x", 1, NULL},
        {"0x0", 1, NULL},
        {"000", 1, NULL},
        {"0000", 1, NULL},
        {"00", 2, NULL},
        {"00", 0, NULL},
        {"0g", 1, NULL},
        {"g0", 1, NULL},
        {" 00", 1, NULL},
        {"00 ", 1, NULL},
        {"-1", 1, NULL},
        {"+1", 1, NULL},
        {"0/", 1, NULL},
        {"0:", 1, NULL},
        {"0@", 1, NULL},
        {"0`", 1, NULL},
        {"\xc3\xa4", 1, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint8_t out[4] = {0};
        assert_int_equal(smelt_hex_decode(cases[i].text, out, cases[i].size),
                         cases[i].bytes != NULL);
        if (cases[i].bytes != NULL) {
            assert_memory_equal(out, cases[i].bytes, cases[i].size);
        }
    }
    uint8_t all[256];
    uint8_t back[256];
    char text[513];
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] = (uint8_t)i;
    }
    smelt_hex_encode(all, sizeof(all), text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_true(smelt_hex_decode(text, back, sizeof(back)));
    assert_memory_equal(all, back, sizeof(all));
    smelt_hex_encode(NULL, 0, text);
    assert_string_equal(text, "");
}

static void test_u128_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct smelt_u128 amount;
        bool is_valid;
    } cases[] = {
        {"0", {0, 0}, true},
        {"1", {1, 0}, true},
        {"10", {10, 0}, true},
        {"18446744073709551615", {UINT64_MAX, 0}, true},
        {"18446744073709551616", {0, 1}, true},
        {"340282366920938463463374607431768211455", {UINT64_MAX, UINT64_MAX}, true},
        {"340282366920938463463374607431768211456", {0, 0}, false},
        {"340282366920938463463374607431768211460", {0, 0}, false},
        {"999999999999999999999999999999999999999", {0, 0}, false},
        {"3402823669209384634633746074317682114550", {0, 0}, false},
        {"", {0, 0}, false},
        {"00", {0, 0}, false},
        {"01", {0, 0}, false},
        {"-1", {0, 0}, false},
        {"+1", {0, 0}, false},
        {" 1", {0, 0}, false},
        {"1 ", {0, 0}, false},
        {"1_0", {0, 0}, false},
        {"0x1", {0, 0}, false},
        {"1e3", {0, 0}, false},
        {"1.0", {0, 0}, false},
        {"\xd9\xa1", {0, 0}, false}, /* an Arabic-Indic digit */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct smelt_u128 parsed = {7, 7};
        assert_int_equal(smelt_u128_parse(cases[i].text, &parsed), cases[i].is_valid);
        if (cases[i].is_valid) {
            assert_memory_equal(&parsed, &cases[i].amount, sizeof(parsed));
            char text[SMELT_U128_TEXT_BYTES];
            smelt_u128_format(parsed, text);
            assert_string_equal(text, cases[i].text);
        }
    }
}

static void test_u128_arithmetic(void **state)
{
    (void)state;
    static const struct {
        struct smelt_u128 a, b, sum;
        bool fits;
    } cases[] = {
        {{0, 0}, {0, 0}, {0, 0}, true},
        {{1, 0}, {2, 0}, {3, 0}, true},
        {{UINT64_MAX, 0}, {1, 0}, {0, 1}, true},
        {{UINT64_MAX, UINT64_MAX - 1}, {1, 0}, {0, UINT64_MAX}, true},
        {{0, UINT64_MAX}, {UINT64_MAX, 0}, {UINT64_MAX, UINT64_MAX}, true},
        {{UINT64_MAX, UINT64_MAX}, {0, 0}, {UINT64_MAX, UINT64_MAX}, true},
        {{UINT64_MAX, UINT64_MAX}, {1, 0}, {0, 0}, false},
        {{0, UINT64_MAX}, {0, 1}, {0, 0}, false},
        {{UINT64_MAX, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}, {0, 0}, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct smelt_u128 out = {7, 7};
        assert_int_equal(sm_u128_add(cases[i].a, cases[i].b, &out), cases[i].fits);
        if (!cases[i].fits) {
            assert_int_equal(out.low + out.high, 14);
            continue;
        }
        assert_memory_equal(&out, &cases[i].sum, sizeof(out));
        assert_true(sm_u128_sub(out, cases[i].b, &out));
        assert_memory_equal(&out, &cases[i].a, sizeof(out));
    }
    static const struct {
        struct smelt_u128 a, b;
    } underflows[] = {{{0, 0}, {1, 0}}, {{5, 0}, {0, 1}}, {{0, 1}, {1, 1}}, {{9, 1}, {0, 2}}};
    for (size_t i = 0; i < COUNT(underflows); i++) {
        struct smelt_u128 out = {7, 7};
        assert_false(sm_u128_sub(underflows[i].a, underflows[i].b, &out));
        assert_int_equal(out.low + out.high, 14);
    }
    struct smelt_u128 same = {UINT64_MAX, 1};
    assert_true(sm_u128_add(same, same, &same)); /* in place */
    assert_true(same.low == UINT64_MAX - 1 && same.high == 3);
    assert_true(sm_u128_is_zero((struct smelt_u128){0, 0}));
    assert_false(sm_u128_is_zero((struct smelt_u128){0, 1}));
    assert_false(sm_u128_is_zero((struct smelt_u128){1, 0}));
}

static void test_little_endian_at_any_alignment(void **state)
{
    (void)state;
    for (size_t at = 0; at < 8; at++) {
        uint8_t bytes[24 + 8] = {0};
        sm_store_le32(bytes + at, 0x01020304);
        assert_memory_equal(bytes + at, "\4\3\2\1\0", 5);
        assert_int_equal(sm_load_le32(bytes + at), 0x01020304);
        sm_store_le64(bytes + at, 0xf1f2f3f4f5f6f7f8);
        assert_memory_equal(bytes + at, "\xf8\xf7\xf6\xf5\xf4\xf3\xf2\xf1\0", 9);
        assert_true(sm_load_le64(bytes + at) == 0xf1f2f3f4f5f6f7f8);
        const struct smelt_u128 amount = {0x0102030405060708, 0x1112131415161718};
        sm_store_u128(bytes + at, amount);
        assert_memory_equal(bytes + at,
                            "\x08\x07\x06\x05\x04\x03\x02\x01\x18\x17\x16\x15\x14\x13\x12\x11", 16);
        struct smelt_u128 back = sm_load_u128(bytes + at);
        assert_memory_equal(&back, &amount, sizeof(back));
    }
}

static void test_slice_is_utf8(void **state)
{
    (void)state;
    static const struct {
        struct smelt_slice text;
        bool is_valid;
    } cases[] = {
        {{NULL, 0}, true},
        {{(const uint8_t *)"a\0b", 3}, true}, /* NUL is a character */
        {{(const uint8_t *)"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9}, true},
        {{(const uint8_t *)"a\xc3", 2}, false},
        {{(const uint8_t *)"a\xc3\0\xa4", 4}, false},
        {{(const uint8_t *)"\xe2\x82", 2}, false},
        {{(const uint8_t *)"\xf0\x9f\x98", 3}, false},
        {{(const uint8_t *)"\x80", 1}, false},
        {{(const uint8_t *)"ok\xff", 3}, false},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        /* an exact heap copy lets the sanitizer see a read past the end */
        size_t size = cases[i].text.size;
        uint8_t *copy = (uint8_t *)malloc(size != 0 ? size : 1);
        if (size != 0) {
            memcpy(copy, cases[i].text.data, size);
        }
        assert_int_equal(sm_slice_is_utf8(sm_slice(copy, size)), cases[i].is_valid);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer_grows_and_keeps_its_content),
        cmocka_unit_test(test_buffer_refuses_impossible_sizes),
        cmocka_unit_test(test_buffer_is_unchanged_when_memory_is_short),
        cmocka_unit_test(test_printf_appends_without_the_nul),
        cmocka_unit_test(test_assign_accepts_its_own_content),
        cmocka_unit_test(test_slice_order),
        cmocka_unit_test(test_slices_and_texts),
        cmocka_unit_test(test_hex_decode),
        cmocka_unit_test(test_u128_text),
        cmocka_unit_test(test_u128_arithmetic),
        cmocka_unit_test(test_little_endian_at_any_alignment),
        cmocka_unit_test(test_slice_is_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
