/* Values, amounts and hex digits as people type them: what is read and printed is read again as the
 * same. */
#include "tests/fuzz/fuzz.h"

#include <smelt/runtime.h>

#include <string.h>
#include <strings.h>

#define HEX_BYTES_MAX 64

static void check_value(const char *text)
{
    char printed[SMELT_VALUE_TEXT_BYTES];
    struct smelt_value value;
    struct smelt_value again;
    if (!smelt_value_parse(text, &value)) {
        return;
    }
    smelt_value_format(value, printed);
    FUZZ_CHECK(smelt_value_parse(printed, &again) && again.type == value.type &&
                   again.bits == value.bits,
               "\"%s\" is printed as \"%s\"", text, printed);
}

static void check_amount(const char *text)
{
    char printed[SMELT_U128_TEXT_BYTES];
    struct smelt_u128 amount;
    if (smelt_u128_parse(text, &amount)) {
        smelt_u128_format(amount, printed);
        FUZZ_CHECK(strcmp(printed, text) == 0, "\"%s\" is printed as \"%s\"", text, printed);
    }
}

static void check_hex(const char *text)
{
    uint8_t bytes[HEX_BYTES_MAX];
    char printed[2 * HEX_BYTES_MAX + 1];
    const char *digits = strncmp(text, "0x", 2) == 0 ? text + 2 : text;
    size_t size = strlen(digits) / 2;
    if (size <= HEX_BYTES_MAX && smelt_hex_decode(text, bytes, size)) {
        smelt_hex_encode(bytes, size, printed);
        FUZZ_CHECK(strcasecmp(printed, digits) == 0, "\"%s\" is printed as \"%s\"", text, printed);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smelt_buf text = {0};
    FUZZ_CHECK(sm_buf_append(&text, data, size) && sm_buf_append_u8(&text, 0), "no memory");
    check_value((const char *)text.data);
    check_amount((const char *)text.data);
    check_hex((const char *)text.data);
    smelt_buf_deinit(&text);
    return 0;
}
