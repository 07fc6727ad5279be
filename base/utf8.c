/* One table of forms: mask, lead bits, least code point, length. */
#include "base/utf8.h"

#include <stdbool.h>

size_t sm_utf8_length(const unsigned char *text)
{
    static const struct {
        unsigned char mask, lead;
        unsigned int least;
        size_t length;
    } forms[] = {{0xe0, 0xc0, 0x80, 2}, {0xf0, 0xe0, 0x800, 3}, {0xf8, 0xf0, 0x10000, 4}};
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if ((text[0] & forms[i].mask) != forms[i].lead) {
            continue;
        }
        unsigned int code = text[0] & (unsigned char)~forms[i].mask;
        for (size_t k = 1; k < forms[i].length; k++) {
            if ((text[k] & 0xc0u) != 0x80u) {
                return 0;
            }
            code = code << 6 | (text[k] & 0x3fu);
        }
        bool is_scalar =
            code >= forms[i].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        return is_scalar ? forms[i].length : 0;
    }
    return 0;
}
