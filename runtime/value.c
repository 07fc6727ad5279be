/* Typed values as text, for command lines and receipts. */
#include "base/bytes.h"

#include <smelt/runtime.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct type_row {
    enum smelt_valtype type;
    const char *prefix;
    uint32_t bits;
    bool is_float;
};

static const struct type_row types[] = {
    {SMELT_VALTYPE_I32, "i32:", 32, false},
    {SMELT_VALTYPE_I64, "i64:", 64, false},
    {SMELT_VALTYPE_F32, "f32:", 32, true},
    {SMELT_VALTYPE_F64, "f64:", 64, true},
};

/* 1 to 16 digits, upper or lower case, leading zeroes allowed. */
static bool parse_hex(const char *digits, uint64_t *out)
{
    char padded[17] = "0000000000000000";
    uint8_t bytes[8];
    size_t count = strlen(digits);
    if (count == 0 || count > 16 || strspn(digits, "0123456789abcdefABCDEF") != count) {
        return false;
    }
    /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): the digits end where `padded` does */
    memcpy(padded + 16 - count, digits, count);
    if (!smelt_hex_decode(padded, bytes, sizeof(bytes))) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        *out = *out << 8 | bytes[i];
    }
    return true;
}

/* Digits only, no leading zeroes except "0". */
static bool parse_decimal(const char *digits, uint64_t *out)
{
    struct smelt_u128 wide;
    bool is_number = smelt_u128_parse(digits, &wide) && wide.high == 0;
    *out = is_number ? wide.low : 0;
    return is_number;
}

/* Within the type's signed range or its unsigned range: -2^(n-1) to 2^n - 1. */
static bool parse_integer(const char *text, uint32_t bits, uint64_t *out)
{
    uint64_t mask = UINT64_MAX >> (64 - bits);
    uint64_t magnitude;
    if (text[0] == '-') {
        if (!parse_decimal(text + 1, &magnitude) || magnitude == 0 || magnitude > (mask >> 1) + 1) {
            return false;
        }
        *out = (0 - magnitude) & mask;
        return true;
    }
    bool is_hex = strncmp(text, "0x", 2) == 0;
    if (!(is_hex ? parse_hex(text + 2, out) : parse_decimal(text, out))) {
        return false;
    }
    return *out <= mask;
}

bool smelt_value_parse(const char *text, struct smelt_value *out)
{
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const struct type_row *row = &types[i];
        size_t prefix = strlen(row->prefix);
        uint64_t bits = 0;
        if (strncmp(text, row->prefix, prefix) != 0) {
            continue;
        }
        /* floats are given as they are printed: by their bits */
        if (row->is_float && strncmp(text + prefix, "0x", 2) != 0) {
            return false;
        }
        if (!parse_integer(text + prefix, row->bits, &bits)) {
            return false;
        }
        *out = (struct smelt_value){.type = row->type, .bits = bits};
        return true;
    }
    return false;
}

void smelt_value_format(struct smelt_value value, char *out)
{
    uint32_t low = (uint32_t)value.bits;
    switch (value.type) {
    case SMELT_VALTYPE_I32:
        (void)snprintf(out, SMELT_VALUE_TEXT_BYTES, "i32:%" PRId32, (int32_t)low);
        break;
    case SMELT_VALTYPE_I64:
        (void)snprintf(out, SMELT_VALUE_TEXT_BYTES, "i64:%" PRId64, (int64_t)value.bits);
        break;
    case SMELT_VALTYPE_F32:
        (void)snprintf(out, SMELT_VALUE_TEXT_BYTES, "f32:0x%08" PRIx32, low);
        break;
    case SMELT_VALTYPE_F64:
        (void)snprintf(out, SMELT_VALUE_TEXT_BYTES, "f64:0x%016" PRIx64, value.bits);
        break;
    case SMELT_VALTYPE_NONE:
        (void)snprintf(out, SMELT_VALUE_TEXT_BYTES, "none");
        break;
    }
}
