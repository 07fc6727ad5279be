/* RFC 3629, row by row, and every code point once. */
#include "base/utf8.h"
#include "tests/support/cmocka_all.h"

#include <stdbool.h>

static void test_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t length; /* 0: invalid */
    } cases[] = {
        {"\xc2\x80", 2},          /* U+0080, the least of two bytes */
        {"\xdf\xbf", 2},          /* U+07FF */
        {"\xe0\xa0\x80", 3},      /* U+0800 */
        {"\xed\x9f\xbf", 3},      /* U+D7FF, the last before the surrogates */
        {"\xee\x80\x80", 3},      /* U+E000, the first after them */
        {"\xef\xbf\xbf", 3},      /* U+FFFF */
        {"\xf0\x90\x80\x80", 4},  /* U+10000 */
        {"\xf4\x8f\xbf\xbf", 4},  /* U+10FFFF */
        {"\xc3\xa4 and more", 2}, /* what follows does not matter */
        {"", 0},                  /* no sequence */
        {"a", 0},                 /* one byte is not a multi-byte sequence */
        {"\x80", 0},              /* continuation first */
        {"\xbf\xbf", 0},
        {"\xc0\x80", 0},     /* overlong U+0000 */
        {"\xc1\xbf", 0},     /* overlong U+007F */
        {"\xe0\x80\x80", 0}, /* overlong in three */
        {"\xe0\x9f\xbf", 0},
        {"\xf0\x80\x80\x80", 0}, /* overlong in four */
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xed\xa0\x80", 0}, /* surrogates */
        {"\xed\xbf\xbf", 0},
        {"\xf4\x90\x80\x80", 0}, /* U+110000 */
        {"\xf5\x80\x80\x80", 0},
        {"\xf7\xbf\xbf\xbf", 0},
        {"\xf8\x88\x80\x80\x80", 0}, /* five bytes */
        {"\xfe", 0},
        {"\xff", 0},
        {"\xc3", 0}, /* cut */
        {"\xe2\x82", 0},
        {"\xf0\x9f\x98", 0},
        {"\xc3(", 0}, /* continuation missing */
        {"\xe2(\xac", 0},
        {"\xe2\x82(", 0},
        {"\xf0\x9f\x98(", 0},
        {"\xc3\xc3", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (sm_utf8_length((const unsigned char *)cases[i].bytes) != cases[i].length) {
            fail_msg("row %zu", i);
        }
    }
}

static void test_every_code_point(void **state)
{
    (void)state;
    for (unsigned int code = 0x80; code < 0x200000; code++) {
        unsigned char text[5] = {0};
        size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        unsigned int rest = code;
        for (size_t i = length - 1; i > 0; i--) {
            text[i] = (unsigned char)(0x80 | (rest & 0x3f));
            rest >>= 6;
        }
        text[0] = (unsigned char)((0xf00u >> length & 0xf0u) | rest);
        bool is_scalar = code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        assert_int_equal(sm_utf8_length(text), is_scalar ? length : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_every_code_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
