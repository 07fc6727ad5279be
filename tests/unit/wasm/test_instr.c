/* Reading single instructions: immediates, their encodings at and past the limit, and opcodes
 * outside the subset told apart from bytes that mean nothing. */
#include "tests/support/cmocka_all.h"

#include "base/bytes.h"
#include "compiler/wasm/module.h"

#include <string.h>

#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

#define OK        SMELT_STATUS_OK
#define MALFORMED SMELT_STATUS_MODULE_MALFORMED
#define INVALID   SMELT_STATUS_MODULE_INVALID
#define FEATURE   SMELT_STATUS_MODULE_FEATURE

struct row {
    const uint8_t *bytes;
    size_t size;
    enum smelt_status status;
    const char *message; /* a part of it */
};

static enum smelt_status read_one(const uint8_t *bytes, size_t size, struct sm_wasm_instr *out,
                                  size_t *used, struct smelt_error *err)
{
    struct sm_wasm_cursor cursor = {.at = bytes,
                                    .end = bytes + size,
                                    .module_start = bytes,
                                    .section = "code",
                                    .func_index = 3};
    enum smelt_status status = sm_wasm_read_instr(&cursor, out, err);
    *used = (size_t)(cursor.at - bytes);
    return status;
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {BYTES(""), MALFORMED, "end opcode is missing"},
        {BYTES("\xff"), MALFORMED, "illegal opcode ff"},
        {BYTES("\x16"), MALFORMED, "illegal opcode"},
        {BYTES("\x27"), MALFORMED, "illegal opcode"},
        {BYTES("\xfc\x17"), MALFORMED, "illegal opcode fc 23"},
        {BYTES("\xfc\xff\xff\xff\xff\x0f"), MALFORMED, "illegal opcode"},
        {BYTES("\xfc"), MALFORMED, "unexpected end"},
        {BYTES("\xfc\x80\x80\x80\x80\x80\0"), MALFORMED, "too long"},
        {BYTES("\xfd\x0c"), FEATURE, "SIMD"},
        {BYTES("\xfe\x03\0"), FEATURE, "threads"},
        {BYTES("\xfb\0"), FEATURE, "GC"},
        {BYTES("\x25\0"), FEATURE, "reference types"},
        {BYTES("\xd0\x70"), FEATURE, "reference types"},
        {BYTES("\xfc\x10\0"), FEATURE, "reference types"},
        {BYTES("\xfc\x13"), FEATURE, "wide arithmetic"},
        {BYTES("\x12\0"), FEATURE, "tail call"},
        {BYTES("\x14\0"), FEATURE, "typed function references"},
        {BYTES("\x06\x40"), FEATURE, "exception handling"},
        {BYTES("\x1f\x40\0"), FEATURE, "exception handling"},
        {BYTES("\xe0\0"), FEATURE, "stack switching"},
        {BYTES("\x02"), MALFORMED, "block type"},
        {BYTES("\x02\x7b"), FEATURE, "SIMD"},
        {BYTES("\x02\x70"), FEATURE, "reference types"},
        {BYTES("\x02\x41"), MALFORMED, "malformed type 0x41"},
        {BYTES("\x02\xff\x7f"), MALFORMED, "malformed type 0xff"},
        {BYTES("\x02\x80\x80\x80\x80\x10"), MALFORMED, "too large"},
        {BYTES("\x02\xff\xff\xff\xff\x0f"), INVALID, "unknown type 4294967295"},
        {BYTES("\x0e\x02\0\0"), MALFORMED, "default label"},
        {BYTES("\x0e\xff\xff\xff\xff\x0f\0"), MALFORMED, "labels do not fit"},
        {BYTES("\x10\xff\xff\xff\xff\x1f"), MALFORMED, "function index: integer too large"},
        {BYTES("\x1c\x02\x7f"), MALFORMED, "do not fit"},
        {BYTES("\x1c\x01\x70"), FEATURE, "reference types"},
        {BYTES("\x1c\x01\x40"), MALFORMED, "malformed type"},
        {BYTES("\x28\x40\0\0"), FEATURE, "multi-memory"},
        {BYTES("\x28\x80\x01\0"), MALFORMED, "malformed memop flags: alignment 2^128"},
        {BYTES("\x28\x02\xff\xff\xff\xff\x1f"), MALFORMED, "memory offset"},
        {BYTES("\x3f\x01"), MALFORMED, "zero byte expected"},
        {BYTES("\x40\x80\0"), MALFORMED, "zero byte expected"},
        {BYTES("\x41\x80\x80\x80\x80\x08"), MALFORMED, "i32 constant: integer too large"},
        {BYTES("\x42\xff"), MALFORMED, "i64 constant: unexpected end"},
        {BYTES("\x43\0\0\0"), MALFORMED, "f32 constant takes 4 bytes"},
        {BYTES("\x44\0\0\0\0\0\0\0"), MALFORMED, "f64 constant takes 8 bytes"},
        {BYTES("\xfc\x08\0\x01"), MALFORMED, "zero byte expected"},
        {BYTES("\xfc\x0a\0\x01"), MALFORMED, "zero byte expected"},
        {BYTES("\xfc\x0b\x02"), MALFORMED, "zero byte expected"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct sm_wasm_instr instr;
        struct smelt_error err = {0};
        size_t used;
        enum smelt_status status = read_one(rows[i].bytes, rows[i].size, &instr, &used, &err);
        if (status != rows[i].status || strstr(err.message, rows[i].message) == NULL ||
            err.func_index != 3 || strcmp(err.where, "code") != 0 || used > rows[i].size) {
            fail_msg("row %zu (%s): %s: %s", i, rows[i].message, smelt_status_name(status),
                     err.message);
        }
    }
}

/* Every row of opcodes.def is read back from its code; zero bytes are good immediates for all. */
static void test_every_opcode(void **state)
{
    (void)state;
    for (int op = 0; op < SM_OP_COUNT; op++) {
        uint8_t bytes[16] = {0};
        uint16_t code = sm_wasm_ops[op].code;
        bytes[0] = (uint8_t)(code >= 0x100 ? code >> 8 : code);
        bytes[1] = (uint8_t)(code >= 0x100 ? code & 0xff : 0);
        struct sm_wasm_instr instr;
        size_t used;
        assert_int_equal(read_one(bytes, sizeof(bytes), &instr, &used, NULL), OK);
        assert_int_equal((int)instr.op, op);
        assert_int_equal(sm_wasm_op_find(code), op);
        /* one byte fewer than it takes is truncated */
        assert_int_equal(read_one(bytes, used - 1, &instr, &used, NULL), MALFORMED);
    }
}

static struct sm_wasm_instr read_good(const uint8_t *bytes, size_t size)
{
    struct sm_wasm_instr instr;
    size_t used;
    assert_int_equal(read_one(bytes, size, &instr, &used, NULL), OK);
    assert_int_equal(used, size);
    return instr;
}

static void test_immediates(void **state)
{
    (void)state;
    struct sm_wasm_instr instr = read_good(BYTES("\x41\x7f"));
    assert_true(instr.bits == UINT32_MAX);
    instr = read_good(BYTES("\x42\x7f"));
    assert_true(instr.bits == UINT64_MAX);
    instr = read_good(BYTES("\x43\x01\0\xc0\x7f"));
    assert_true(instr.bits == 0x7fc00001);
    instr = read_good(BYTES("\x44\x01\0\0\0\0\0\xf0\x7f"));
    assert_true(instr.bits == 0x7ff0000000000001);
    instr = read_good(BYTES("\x02\x40"));
    assert_true(instr.block.type_index == SM_WASM_NO_INDEX);
    assert_int_equal(instr.block.result, SMELT_VALTYPE_NONE);
    instr = read_good(BYTES("\x03\x7c"));
    assert_int_equal(instr.block.result, SMELT_VALTYPE_F64);
    struct sm_wasm_type type = sm_wasm_block_signature(NULL, instr.block);
    assert_int_equal(type.param_count, 0);
    assert_int_equal(type.result_count, 1);
    assert_int_equal(type.results[0], SMELT_VALTYPE_F64);
    instr = read_good(BYTES("\x04\xc0\0")); /* 0x40 in the long form is type 64 */
    assert_int_equal(instr.block.type_index, 64);
    instr = read_good(BYTES("\x02\xfe\xff\xff\xff\x0f"));
    assert_int_equal(instr.block.type_index, UINT32_MAX - 1);
    instr = read_good(BYTES("\x37\x03\xff\xff\xff\xff\x0f"));
    assert_int_equal(instr.align, 3);
    assert_true(instr.memory_offset == UINT32_MAX);
    instr = read_good(BYTES("\x11\x05\x80\x80\x80\x80\0"));
    assert_int_equal(instr.index, 5);
    assert_int_equal(instr.index2, 0);
    instr = read_good(BYTES("\xfc\x0e\x01\x02"));
    assert_true(instr.index == 1 && instr.index2 == 2);
    instr =
        read_good(BYTES("\xfc\x8c\x80\0\x07\x01")); /* the number after a prefix may be padded */
    assert_true(instr.op == SM_OP_TABLE_INIT && instr.index == 7 && instr.index2 == 1);
    instr = read_good(BYTES("\x1c\x01\x7d"));
    assert_int_equal(instr.select, SMELT_VALTYPE_F32);
    instr = read_good(BYTES("\x1c\x02\x7d\x7d"));
    assert_int_equal(instr.select, SMELT_VALTYPE_NONE);
    instr = read_good(BYTES("\x1c\0"));
    assert_int_equal(instr.select, SMELT_VALTYPE_NONE);
}

static void test_br_table(void **state)
{
    (void)state;
    struct sm_wasm_instr instr = read_good(BYTES("\x0e\x03\x01\x80\x01\xff\xff\xff\xff\x0f\x02"));
    struct smelt_slice labels = instr.labels;
    assert_int_equal(instr.label_count, 3);
    assert_int_equal(sm_wasm_next_label(&labels), 1);
    assert_int_equal(sm_wasm_next_label(&labels), 128);
    assert_true(sm_wasm_next_label(&labels) == UINT32_MAX);
    assert_int_equal(sm_wasm_next_label(&labels), 2);
    assert_int_equal(labels.size, 0);
    instr = read_good(BYTES("\x0e\0\0"));
    assert_int_equal(instr.label_count, 0);
    assert_int_equal(instr.labels.size, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_opcode),
        cmocka_unit_test(test_immediates),
        cmocka_unit_test(test_br_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
