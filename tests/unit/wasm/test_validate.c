/* The validator: one body per rule against a fixed environment, module rules over whole modules,
 * the numbers it fills in, and modules built to hurt. */
#include "tests/support/cmocka_all.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "compiler/wasm/leb128.h"
#include "compiler/wasm/module.h"

#include <string.h>

#define HEADER      "\0asm\1\0\0\0"
#define W(text)     (const uint8_t *)(HEADER text), sizeof(HEADER text) - 1
#define BYTES(text) (const uint8_t *)(text), sizeof(text) - 1

#define OK        SMELT_STATUS_OK
#define MALFORMED SMELT_STATUS_MODULE_MALFORMED
#define INVALID   SMELT_STATUS_MODULE_INVALID
#define FEATURE   SMELT_STATUS_MODULE_FEATURE
#define LIMIT     SMELT_STATUS_MODULE_LIMIT

/* The environment of the bodies below. Types: 0 is [] -> [], 1 is [i32 i64] -> [i32], 2 is [i32] ->
 * [i32 i32], 3 is [] -> [f32]. Function 0 is imported and of type 1, function 1 is the body: of
 * type 1, with one local f64 after its parameters. Table, memory, a mutable i32 and an immutable
 * i64 global, one element and one data segment. */
static const char environment[] =
    HEADER "\x01\x14\x04\x60\0\0\x60\x02\x7f\x7e\x01\x7f\x60\x01\x7f\x02\x7f\x7f\x60\0\x01\x7d"
           "\x02\x05\x01\0\0\0\x01"
           "\x03\x02\x01\x01"
           "\x04\x04\x01\x70\0\x01"
           "\x05\x03\x01\0\x01"
           "\x06\x0b\x02\x7f\x01\x41\0\x0b\x7e\0\x42\0\x0b"
           "\x09\x04\x01\x01\0\0"
           "\x0c\x01\x01";
static const char after_code[] = "\x0b\x03\x01\x01\0";

static void append_code(struct smelt_buf *module, const char *locals, size_t locals_size,
                        struct smelt_slice code)
{
    struct smelt_buf section = {0};
    assert_true(sm_buf_append_u8(&section, 1) &&
                sm_leb_append_unsigned(&section, locals_size + code.size) &&
                sm_buf_append(&section, locals, locals_size) &&
                sm_buf_append(&section, code.data, code.size));
    assert_true(sm_buf_append_u8(module, 10) && sm_leb_append_unsigned(module, section.size) &&
                sm_buf_append(module, section.data, section.size));
    smelt_buf_deinit(&section);
}

static void build_body(struct smelt_buf *module, struct smelt_slice code)
{
    assert_true(sm_buf_append(module, environment, sizeof(environment) - 1));
    append_code(module, "\x01\x01\x7c", 3, code);
    assert_true(sm_buf_append(module, after_code, sizeof(after_code) - 1));
}

/* `func` gets function `func_index` when the module is good. */
static enum smelt_status check(struct smelt_slice bytes, uint32_t func_index,
                               struct sm_wasm_func *func, struct smelt_error *err)
{
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    enum smelt_status status = sm_wasm_decode(bytes, &arena, &module, err);
    if (status == OK) {
        status = sm_wasm_validate(&module, &arena, err);
    }
    if (status == OK && func != NULL) {
        *func = module.funcs[func_index];
    }
    sm_arena_deinit(&arena);
    return status;
}

struct row {
    const uint8_t *bytes;
    size_t size;
    enum smelt_status status;
    const char *message; /* a part of it */
};

static const struct row bodies[] = {
    /* the stack */
    {BYTES("\x41\0\x0b"), OK, ""},
    {BYTES("\x0b"), INVALID, "end expects 1 values but the stack has 0"},
    {BYTES("\x42\0\x0b"), INVALID, "type mismatch: end expects i32 but the stack has i64"},
    {BYTES("\x41\0\x41\0\x0b"), INVALID, "1 values remain on the stack at the end of a block"},
    {BYTES("\x41\0\x42\0\x6a\x0b"), INVALID,
     "type mismatch: i32.add expects i32 but the stack has i64"},
    {BYTES("\x41\0\x6a\x0b"), INVALID, "i32.add expects i32 but the stack is empty"},
    {BYTES("\x1a\x41\0\x0b"), INVALID, "drop expects a value but the stack is empty"},
    {BYTES("\x41\0\x02\x40\x1a\x0b\x0b"), INVALID, "drop expects a value"}, /* not its own */
    {BYTES("\x41\0"), MALFORMED, "end opcode is missing"},
    {BYTES("\x41\0\x0b\x01"), MALFORMED, "bytes follow the end"},
    {BYTES("\x41\0\x0b\x0b"), MALFORMED, "bytes follow the end"},
    /* unreachable code has whatever it needs, but of one type */
    {BYTES("\0\x0b"), OK, ""},
    {BYTES("\0\x6a\x0b"), OK, ""},
    {BYTES("\0\x42\0\x6a\x0b"), INVALID, "i32.add expects i32 but the stack has i64"},
    {BYTES("\0\x1b\x0b"), OK, ""},
    {BYTES("\0\x42\0\x41\0\x1b\x0b"), INVALID, "end expects i32 but the stack has i64"},
    {BYTES("\0\x41\0\x42\0\x41\0\x1b\x0b"), INVALID, "select chooses between i32 and i64"},
    {BYTES("\0\x41\0\x41\0\x0b"), INVALID, "1 values remain"},
    {BYTES("\0\x02\x40\x1a\x0b\x0b"), INVALID, "drop expects a value"},
    {BYTES("\0\xff\x0b"), MALFORMED, "illegal opcode"},
    {BYTES("\0\x20\x03\x0b"), INVALID, "unknown local 3"},
    /* blocks */
    {BYTES("\x02\x7f\x41\0\x0b\x0b"), OK, ""},
    {BYTES("\x02\x7f\x0b\x0b"), INVALID, "end expects 1 values"},
    {BYTES("\x02\x40\x41\0\x0b\x0b"), INVALID, "1 values remain"},
    {BYTES("\x41\0\x02\x02\x0b\x6a\x0b"), INVALID, "end expects 2 values but the stack has 1"},
    {BYTES("\x41\0\x02\x02\x41\0\x0b\x6a\x0b"), OK, ""},
    {BYTES("\x02\x02\x41\0\x0b\x6a\x0b"), INVALID, "block expects 1 values but the stack has 0"},
    {BYTES("\x02\x04\x0b\x41\0\x0b"), INVALID, "unknown type 4"},
    {BYTES("\x41\0\x04\x40\x0b\x41\0\x0b"), OK, ""},
    {BYTES("\x42\0\x04\x40\x0b\x41\0\x0b"), INVALID, "if expects i32"},
    {BYTES("\x41\0\x04\x7f\x41\0\x0b\x0b"), INVALID, "if without else"},
    {BYTES("\x41\0\x04\x7f\x41\0\x05\x41\0\x0b\x0b"), OK, ""},
    {BYTES("\x41\0\x04\x7f\x41\0\x05\x42\0\x0b\x0b"), INVALID, "end expects i32"},
    {BYTES("\x41\0\x04\x7f\x05\x41\0\x0b\x0b"), INVALID, "else expects 1 values"},
    {BYTES("\x41\0\x04\x40\x05\x05\x0b\x41\0\x0b"), MALFORMED, "else without its if"},
    {BYTES("\x05\x41\0\x0b"), MALFORMED, "else without its if"},
    {BYTES("\x02\x40\x05\x0b\x41\0\x0b"), MALFORMED, "else without its if"},
    /* branches */
    {BYTES("\x41\0\x0c\0\x0b"), OK, ""},
    {BYTES("\x41\0\x0c\x01\x0b"), INVALID, "unknown label 1: only 1 blocks are open"},
    {BYTES("\x0c\0\x0b"), INVALID, "br expects 1 values but the stack has 0"},
    {BYTES("\x03\x7f\x0c\0\x0b\x0b"), OK, ""}, /* a loop's label takes its parameters */
    {BYTES("\x41\0\x03\x02\x0c\0\x0b\x6a\x0b"), OK, ""},
    {BYTES("\x41\0\x03\x02\x1a\x0c\0\x0b\x6a\x0b"), INVALID, "br expects 1 values"},
    {BYTES("\x41\0\x41\0\x0d\0\x0b"), OK, ""},
    {BYTES("\x41\0\x0d\0\x41\0\x0b"), INVALID, "br_if expects 1 values but the stack has 0"},
    {BYTES("\x41\0\x42\0\x0d\0\x0b"), INVALID, "br_if expects i32"},
    {BYTES("\x41\0\x41\0\x0e\x01\0\0\x0b"), OK, ""},
    {BYTES("\x41\0\x41\0\x0e\x01\x01\0\x0b"), INVALID, "unknown label 1"},
    {BYTES("\x41\0\x41\0\x0e\x01\0\x01\x0b"), INVALID, "unknown label 1"},
    {BYTES("\x02\x40\x41\0\x41\0\x0e\x01\0\x01\x0b\x41\0\x0b"), INVALID,
     "labels of br_table take 0 and 1 values"},
    {BYTES("\x02\x7e\x41\0\x41\0\x0e\x01\x01\0\x0b\x1a\x41\0\x0b"), INVALID,
     "br_table expects i64 but the stack has i32"},
    {BYTES("\x02\x7e\0\x0e\x01\x01\0\x0b\x1a\x41\0\x0b"), OK, ""}, /* of any type here */
    {BYTES("\x02\x7e\x42\0\x42\0\x0e\0\0\x0b\x1a\x41\0\x0b"), INVALID, "br_table expects i32"},
    {BYTES("\x41\0\x0f\x0b"), OK, ""},
    {BYTES("\x0f\x0b"), INVALID, "return expects 1 values"},
    /* calls */
    {BYTES("\x41\0\x42\0\x10\0\x0b"), OK, ""},
    {BYTES("\x41\0\x42\0\x10\x01\x0b"), OK, ""},
    {BYTES("\x41\0\x42\0\x10\x02\x0b"), INVALID, "unknown function 2"},
    {BYTES("\x42\0\x41\0\x10\0\x0b"), INVALID, "call expects i64 but the stack has i32"},
    {BYTES("\x41\0\x10\0\x0b"), INVALID, "call expects 2 values but the stack has 1"},
    {BYTES("\x41\0\x42\0\x41\0\x11\x01\0\x0b"), OK, ""},
    {BYTES("\x41\0\x42\0\x41\0\x11\x01\x80\0\x0b"), OK, ""},
    {BYTES("\x41\0\x42\0\x41\0\x11\x01\x01\x0b"), INVALID, "unknown table 1"},
    {BYTES("\x41\0\x42\0\x41\0\x11\x04\0\x0b"), INVALID, "unknown type 4"},
    {BYTES("\x41\0\x42\0\x11\x01\0\x0b"), INVALID, "call_indirect expects i32"},
    /* select, locals, globals */
    {BYTES("\x41\0\x41\0\x41\0\x1b\x0b"), OK, ""},
    {BYTES("\x41\0\x42\0\x41\0\x1b\x0b"), INVALID, "select chooses between i32 and i64"},
    {BYTES("\x41\0\x41\0\x42\0\x1b\x0b"), INVALID, "select expects i32"},
    {BYTES("\x41\0\x41\0\x41\0\x1c\x01\x7f\x0b"), OK, ""},
    {BYTES("\x41\0\x41\0\x41\0\x1c\x01\x7e\x0b"), INVALID, "select_t expects i64"},
    {BYTES("\x41\0\x41\0\x41\0\x1c\0\x0b"), INVALID, "invalid result arity"},
    {BYTES("\x41\0\x41\0\x41\0\x1c\x02\x7f\x7f\x0b"), INVALID, "invalid result arity"},
    {BYTES("\x20\0\x0b"), OK, ""},
    {BYTES("\x20\x01\x0b"), INVALID, "end expects i32 but the stack has i64"},
    {BYTES("\x20\x02\x0b"), INVALID, "end expects i32 but the stack has f64"},
    {BYTES("\x20\x03\x0b"), INVALID, "unknown local 3"},
    {BYTES("\x41\0\x21\x02\x41\0\x0b"), INVALID, "local.set expects f64"},
    {BYTES("\x41\0\x22\0\x0b"), OK, ""},
    {BYTES("\x23\0\x24\0\x23\0\x0b"), OK, ""},
    {BYTES("\x23\x02\x0b"), INVALID, "unknown global 2"},
    {BYTES("\x42\0\x24\x01\x41\0\x0b"), INVALID, "immutable global 1"},
    {BYTES("\x42\0\x24\0\x41\0\x0b"), INVALID, "global.set expects i32"},
    /* memory and bulk operations */
    {BYTES("\x41\0\x28\x02\0\x0b"), OK, ""},
    {BYTES("\x41\0\x28\x03\0\x0b"), INVALID, "alignment must not be larger than natural: 2^3"},
    {BYTES("\x41\0\x2d\x01\0\x0b"), INVALID, "alignment must not be larger"},
    {BYTES("\x41\0\x28\x3f\0\x0b"), INVALID, "2^63"},
    {BYTES("\x42\0\x28\x02\0\x0b"), INVALID, "i32.load expects i32"},
    {BYTES("\x41\0\x41\0\x37\x03\0\x41\0\x0b"), INVALID, "i64.store expects i64"},
    {BYTES("\x3f\0\x40\0\x0b"), OK, ""},
    {BYTES("\x41\0\x41\0\x41\0\xfc\x08\0\0\x41\0\x0b"), OK, ""},
    {BYTES("\x41\0\x41\0\x41\0\xfc\x08\x01\0\x41\0\x0b"), INVALID, "unknown data segment 1"},
    {BYTES("\xfc\x09\0\x41\0\x0b"), OK, ""},
    {BYTES("\xfc\x09\x01\x41\0\x0b"), INVALID, "unknown data segment 1"},
    {BYTES("\x41\0\x41\0\x42\0\xfc\x0a\0\0\x41\0\x0b"), INVALID, "memory.copy expects i32"},
    {BYTES("\x41\0\x41\0\x41\0\xfc\x0b\0\x41\0\x0b"), OK, ""},
    {BYTES("\x41\0\x41\0\x41\0\xfc\x0c\0\0\x41\0\x0b"), OK, ""},
    {BYTES("\x41\0\x41\0\x41\0\xfc\x0c\x01\0\x41\0\x0b"), INVALID, "unknown elem segment 1"},
    {BYTES("\x41\0\x41\0\x41\0\xfc\x0c\0\x01\x41\0\x0b"), INVALID, "unknown table 1"},
    {BYTES("\xfc\x0d\0\x41\0\x0b"), OK, ""},
    {BYTES("\xfc\x0d\x01\x41\0\x0b"), INVALID, "unknown elem segment 1"},
    {BYTES("\x41\0\x41\0\x41\0\xfc\x0e\0\0\x41\0\x0b"), OK, ""},
    {BYTES("\x41\0\x41\0\x41\0\xfc\x0e\0\x01\x41\0\x0b"), INVALID, "unknown table 1"},
    /* outside of the subset */
    {BYTES("\xfd\x0c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x1a\x41\0\x0b"), FEATURE, "SIMD"},
    {BYTES("\xd2\0\x1a\x41\0\x0b"), FEATURE, "reference types"},
};

static void test_bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        const struct row *row = &bodies[i];
        struct smelt_buf module = {0};
        struct smelt_error err = {0};
        build_body(&module, sm_slice(row->bytes, row->size));
        enum smelt_status status = check(sm_buf_slice(&module), 1, NULL, &err);
        bool is_good = status == row->status && strstr(err.message, row->message) != NULL;
        if (is_good && status != OK) {
            is_good = err.func_index == 1 && strcmp(err.where, "code") == 0 && err.offset > 0 &&
                      (size_t)err.offset <= module.size &&
                      check(sm_buf_slice(&module), 1, NULL, NULL) == status;
        }
        if (!is_good) {
            fail_msg("row %zu (%s): %s at %lld: %s", i, row->message, smelt_status_name(status),
                     (long long)err.offset, err.message);
        }
        smelt_buf_deinit(&module);
    }
}

static void test_error_offset(void **state)
{
    (void)state;
    struct smelt_buf module = {0};
    struct smelt_error err = {0};
    build_body(&module, sm_slice("\x01\x41\0\x42\0\x6a\x0b", 7));
    size_t code = sizeof(environment) - 1 + 4 + 3; /* section, count and size; then the locals */
    assert_int_equal(check(sm_buf_slice(&module), 1, NULL, &err), INVALID);
    assert_int_equal(err.offset, code + 5);
    assert_string_equal(err.message, "type mismatch: i32.add expects i32 but the stack has i64");
    smelt_buf_deinit(&module);
}

#define TYPE_VOID "\x01\x04\x01\x60\0\0"
#define ONE_FUNC  "\x03\x02\x01\0"
#define ONE_BODY  "\x0a\x04\x01\x02\0\x0b"

struct module_row {
    const uint8_t *bytes;
    size_t size;
    enum smelt_status status;
    const char *where;
    int64_t offset;
    const char *message;
};

static const struct module_row modules[] = {
    {W(""), OK, "", 0, ""},
    {W(TYPE_VOID ONE_FUNC ONE_BODY), OK, "", 0, ""},
    /* index spaces */
    {W("\x02\x05\x01\0\0\0\0"), INVALID, "import", 11, "unknown type 0"},
    {W(TYPE_VOID "\x03\x02\x01\x01" ONE_BODY), INVALID, "function", 17, "unknown type 1"},
    {W("\x07\x04\x01\0\0\0"), INVALID, "export", 11, "unknown function 0"},
    {W("\x07\x04\x01\0\x01\0"), INVALID, "export", 11, "unknown table 0"},
    {W("\x07\x04\x01\0\x02\0"), INVALID, "export", 11, "unknown memory 0"},
    {W("\x07\x04\x01\0\x03\0"), INVALID, "export", 11, "unknown global 0"},
    {W("\x05\x03\x01\0\0\x07\x04\x01\0\x02\x01"), INVALID, "export", 16, "unknown memory 1"},
    {W("\x05\x03\x01\0\0\x07\x09\x02\x01"
       "a\x02\0\x01"
       "b\x02\0"),
     OK, "", 0, ""},
    {W("\x05\x03\x01\0\0\x07\x09\x02\x01"
       "a\x02\0\x01"
       "a\x02\0"),
     INVALID, "export", 20, "duplicate export name \"a\""},
    {W("\x08\x01\0"), INVALID, "start", 10, "unknown function 0"},
    {W(TYPE_VOID ONE_FUNC "\x08\x01\0" ONE_BODY), OK, "", 0, ""},
    {W("\x01\x05\x01\x60\x01\x7f\0" ONE_FUNC "\x08\x01\0" ONE_BODY), INVALID, "start", 21,
     "no parameters and no results"},
    /* limits */
    {W("\x04\x05\x01\x70\x01\x02\x01"), INVALID, "table", 11, "minimum must not be greater"},
    {W("\x04\x0d\x01\x70\x01\xff\xff\xff\xff\x0f\xff\xff\xff\xff\x0f"), OK, "", 0, ""},
    {W("\x05\x04\x01\x01\x02\x01"), INVALID, "memory", 11, "minimum must not be greater"},
    {W("\x05\x05\x01\0\x80\x80\x04"), OK, "", 0, ""},
    {W("\x05\x05\x01\0\x81\x80\x04"), INVALID, "memory", 11, "at most 65536 pages"},
    {W("\x05\x06\x01\x01\0\x81\x80\x04"), INVALID, "memory", 11, "at most 65536 pages"},
    {W("\x02\x08\x01\0\0\x02\0\x81\x80\x04"), INVALID, "import", 11, "at most 65536 pages"},
    /* globals and constants */
    {W("\x06\x06\x01\x7f\0\x42\0\x0b"), INVALID, "global", 13, "type i64 where i32 is expected"},
    {W("\x06\x06\x01\x7f\0\x23\0\x0b"), INVALID, "global", 13, "unknown global 0"},
    {W("\x06\x0b\x02\x7f\0\x41\0\x0b\x7f\0\x23\0\x0b"), FEATURE, "global", 18, "GC proposal"},
    {W("\x06\x0b\x02\x7f\x01\x41\0\x0b\x7f\0\x23\0\x0b"), INVALID, "global", 18, "mutable global"},
    {W("\x06\x0b\x02\x7e\0\x42\0\x0b\x7f\0\x23\0\x0b"), INVALID, "global", 18, "type i64"},
    {W("\x02\x06\x01\0\0\x03\x7f\0\x06\x06\x01\x7f\0\x23\0\x0b"), OK, "", 0, ""},
    {W("\x02\x06\x01\0\0\x03\x7f\x01\x06\x06\x01\x7f\0\x23\0\x0b"), INVALID, "global", 21,
     "mutable global 0"},
    {W("\x02\x06\x01\0\0\x03\x7e\0\x06\x06\x01\x7f\0\x23\0\x0b"), INVALID, "global", 21,
     "type i64 where i32"},
    {W("\x06\x06\x01\x7f\0\xd0\x70\x0b"), INVALID, "global", 13, "type funcref where i32"},
    /* segments */
    {W("\x09\x06\x01\0\x41\0\x0b\0"), INVALID, "element", 11, "unknown table 0"},
    {W("\x04\x04\x01\x70\0\0\x09\x06\x01\0\x41\0\x0b\0"), OK, "", 0, ""},
    {W("\x04\x04\x01\x70\0\0\x09\x06\x01\0\x42\0\x0b\0"), INVALID, "element", 18, "type i64"},
    {W("\x04\x04\x01\x70\0\0\x09\x07\x01\0\x41\0\x0b\x01\0"), INVALID, "element", 22,
     "unknown function 0"},
    {W("\x09\x05\x01\x01\0\x01\0"), INVALID, "element", 14, "unknown function 0"},
    {W("\x09\x07\x01\x05\x70\x01\xd2\0\x0b"), INVALID, "element", 14, "unknown function 0"},
    {W("\x09\x07\x01\x05\x70\x01\x41\0\x0b"), INVALID, "element", 14, "type i32 where funcref"},
    {W("\x09\x07\x01\x05\x70\x01\xd0\x70\x0b"), OK, "", 0, ""},
    {W("\x0b\x06\x01\0\x41\0\x0b\0"), INVALID, "data", 11, "unknown memory 0"},
    {W("\x05\x03\x01\0\0\x0b\x06\x01\0\x41\0\x0b\0"), OK, "", 0, ""},
    {W("\x05\x03\x01\0\0\x0b\x06\x01\0\x42\0\x0b\0"), INVALID, "data", 17, "type i64"},
    {W("\x0b\x03\x01\x01\0"), OK, "", 0, ""},
    /* what bodies need from the module */
    {W(TYPE_VOID ONE_FUNC "\x0a\x07\x01\x05\0\x3f\0\x1a\x0b"), INVALID, "code", 23,
     "unknown memory 0: memory.size needs one"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x09\x01\x07\0\x41\0\x11\0\0\x0b"), INVALID, "code", 25,
     "unknown table 0"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x07\x01\x05\0\xfc\x09\0\x0b\x0b\x03\x01\x01\0"), MALFORMED, "code",
     23, "data count section required by data.drop"},
    {W(TYPE_VOID ONE_FUNC "\x0c\x01\x01\x0a\x07\x01\x05\0\xfc\x09\0\x0b\x0b\x03\x01\x01\0"), OK, "",
     0, ""},
};

static void test_modules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(modules) / sizeof(*modules); i++) {
        const struct module_row *row = &modules[i];
        struct smelt_error err = {0};
        enum smelt_status status = check(sm_slice(row->bytes, row->size), 0, NULL, &err);
        bool is_good = status == row->status;
        if (is_good && status != OK) {
            is_good = err.offset == row->offset && strcmp(err.where, row->where) == 0 &&
                      strstr(err.message, row->message) != NULL;
        }
        if (!is_good) {
            fail_msg("row %zu (%s at %lld: %s): %s in %s at %lld: %s", i, row->where,
                     (long long)row->offset, row->message, smelt_status_name(status), err.where,
                     (long long)err.offset, err.message);
        }
    }
}

/* Whole alphabet of plain instructions: good with operands of its row, refused with one missing. */
static void test_every_plain_instruction(void **state)
{
    (void)state;
    static const char letters[] = "iIfF";
    static const char *const pushes[] = {"\x41\0", "\x42\0", "\x43\0\0\0\0",
                                         "\x44\0\0\0\0\0\0\0\0"};
    static const size_t push_sizes[] = {2, 2, 5, 9};
    for (int op = 0; op < SM_OP_COUNT; op++) {
        const struct sm_wasm_op_info *info = &sm_wasm_ops[op];
        if (info->parameters[0] == '*') {
            continue;
        }
        size_t count = strlen(info->parameters);
        for (size_t skipped = 0; skipped <= (count != 0); skipped++) {
            struct smelt_buf code = {0};
            struct smelt_buf module = {0};
            for (size_t i = skipped; i < count; i++) {
                size_t kind = (size_t)(strchr(letters, info->parameters[i]) - letters);
                assert_true(sm_buf_append(&code, pushes[kind], push_sizes[kind]));
            }
            if (info->code >= 0x100) {
                assert_true(sm_buf_append_u8(&code, (uint8_t)(info->code >> 8)));
            }
            /* its own bytes: opcode and immediates of zeroes, as long as the reader wants */
            uint8_t bytes[16] = {0};
            bytes[0] = (uint8_t)(info->code & 0xff);
            uint8_t whole[16] = {0};
            whole[0] = info->code >= 0x100 ? (uint8_t)(info->code >> 8) : bytes[0];
            whole[1] = info->code >= 0x100 ? bytes[0] : 0;
            struct sm_wasm_cursor cursor = {
                .at = whole, .end = whole + 16, .module_start = whole, .func_index = -1};
            struct sm_wasm_instr instr;
            assert_int_equal(sm_wasm_read_instr(&cursor, &instr, NULL), OK);
            size_t own = (size_t)(cursor.at - whole) - (info->code >= 0x100);
            assert_true(sm_buf_append(&code, bytes, own));
            assert_true(info->results[0] == '\0' || sm_buf_append_u8(&code, 0x1a));
            assert_true(sm_buf_append(&code, "\x41\0\x0b", 3));
            build_body(&module, sm_buf_slice(&code));
            struct sm_wasm_func func = {0};
            enum smelt_status status = check(sm_buf_slice(&module), 1, &func, NULL);
            if (status != (skipped == 0 ? OK : INVALID)) {
                fail_msg("%s with %zu operands: %s", info->text, count - skipped,
                         smelt_status_name(status));
            }
            smelt_buf_deinit(&code);
            smelt_buf_deinit(&module);
        }
    }
}

static struct sm_wasm_func check_good(struct smelt_slice code)
{
    struct smelt_buf module = {0};
    struct sm_wasm_func func = {0};
    struct smelt_error err = {0};
    build_body(&module, code);
    if (check(sm_buf_slice(&module), 1, &func, &err) != OK) {
        fail_msg("%s", err.message);
    }
    smelt_buf_deinit(&module);
    return func;
}

static void test_heights_and_nesting(void **state)
{
    (void)state;
    struct sm_wasm_func func = check_good(sm_slice("\x41\0\x0b", 3));
    assert_int_equal(func.max_height, 1);
    assert_int_equal(func.max_nesting, 1);
    /* three operands at once, two blocks in the function's own */
    func = check_good(sm_slice("\x02\x40\x03\x40\x0b\x0b\x41\0\x41\0\x41\0\x6a\x6a\x0b", 15));
    assert_int_equal(func.max_height, 3);
    assert_int_equal(func.max_nesting, 3);
    /* operands below a block count */
    func = check_good(sm_slice("\x41\0\x02\x7f\x41\0\x41\0\x6a\x0b\x6a\x0b", 12));
    assert_int_equal(func.max_height, 3);
    /* unreachable code has no operands, nor have blocks in it, but blocks nest there too */
    func = check_good(sm_slice("\0\x02\x40\x41\0\x41\0\x1a\x1a\x0b\x41\0\x0b", 13));
    assert_int_equal(func.max_height, 0);
    assert_int_equal(func.max_nesting, 2);
    /* after the end of a block that ended unreachable, code is reachable again */
    func = check_good(sm_slice("\x02\x40\0\x0b\x41\0\x41\0\x6a\x0b", 10));
    assert_int_equal(func.max_height, 2);
    /* two results of a block */
    func = check_good(sm_slice("\x41\0\x02\x02\x41\0\x0b\x6a\x0b", 9));
    assert_int_equal(func.max_height, 2);
}

static void test_floats(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t size;
        bool is_float;
    } rows[] = {
        {W(TYPE_VOID ONE_FUNC ONE_BODY), false},
        {W("\x01\x05\x01\x60\x01\x7d\0" ONE_FUNC ONE_BODY), true},
        {W("\x01\x05\x01\x60\0\x01\x7c" ONE_FUNC "\x0a\x05\x01\x03\0\0\x0b"), true},
        {W(TYPE_VOID ONE_FUNC "\x0a\x06\x01\x04\x01\x01\x7d\x0b"), true},
        {W(TYPE_VOID ONE_FUNC "\x0a\x06\x01\x04\x01\x01\x7e\x0b"), false},
        {W(TYPE_VOID ONE_FUNC "\x0a\x0a\x01\x08\0\x43\0\0\0\0\x1a\x0b"), true},
        {W(TYPE_VOID ONE_FUNC "\x0a\x07\x01\x05\0\0\xb6\x1a\x0b"), true}, /* dead code too */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct sm_arena arena = {0};
        struct sm_wasm_module module;
        assert_int_equal(
            sm_wasm_decode(sm_slice(rows[i].bytes, rows[i].size), &arena, &module, NULL), OK);
        assert_int_equal(sm_wasm_validate(&module, &arena, NULL), OK);
        assert_int_equal(module.funcs[0].uses_floats, rows[i].is_float);
        assert_int_equal(module.uses_floats, rows[i].is_float);
        sm_arena_deinit(&arena);
    }
}

/* ---- modules built to hurt --------------------------------------------------------------- */

static void append_many(struct smelt_buf *buf, size_t count, const char *bytes, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(sm_buf_append(buf, bytes, size));
    }
}

static void test_deep_nesting(void **state)
{
    (void)state;
    size_t depth = 1000000;
    struct smelt_buf code = {0};
    append_many(&code, depth, "\x02\x40", 2);
    append_many(&code, depth, "\x0b", 1);
    append_many(&code, 1, "\x41\0\x0b", 3);
    struct sm_wasm_func func = check_good(sm_buf_slice(&code));
    assert_int_equal(func.max_nesting, depth + 1);
    assert_int_equal(func.max_height, 1);
    smelt_buf_deinit(&code);
}

static void test_operand_ceiling(void **state)
{
    (void)state;
    for (uint32_t over = 0; over < 2; over++) {
        struct smelt_buf code = {0};
        struct smelt_buf module = {0};
        struct smelt_error err = {0};
        append_many(&code, SM_WASM_HEIGHT_MAX + over, "\x3f\0", 2);
        append_many(&code, 1, "\0\x0b", 2);
        build_body(&module, sm_buf_slice(&code));
        assert_int_equal(check(sm_buf_slice(&module), 1, NULL, &err), over == 0 ? OK : LIMIT);
        assert_true(over == 0 || err.func_index == 1);
        smelt_buf_deinit(&code);
        smelt_buf_deinit(&module);
    }
}

static void test_many_labels(void **state)
{
    (void)state;
    uint32_t count = 1000000;
    struct smelt_buf code = {0};
    append_many(&code, 1, "\x41\0\x41\0\x0e", 5);
    assert_true(sm_leb_append_unsigned(&code, count));
    append_many(&code, count + 1, "\0", 1);
    append_many(&code, 1, "\x0b", 1);
    check_good(sm_buf_slice(&code));
    smelt_buf_deinit(&code);
}

/* A function of type 0 with 49999 locals i32 and one f64, and a body too short for a flat layout.
 */
static void test_far_locals(void **state)
{
    (void)state;
    static const struct {
        struct smelt_slice code;
        enum smelt_status status;
    } rows[] = {
        {{BYTES("\x20\xce\x86\x03\x41\0\x6a\x1a\x0b")}, OK},      /* 49998: i32 */
        {{BYTES("\x20\xcf\x86\x03\x99\x1a\x0b")}, OK},            /* 49999: f64 */
        {{BYTES("\x20\xcf\x86\x03\x41\0\x6a\x1a\x0b")}, INVALID}, /* 49999 is no i32 */
        {{BYTES("\x20\xd0\x86\x03\x1a\x0b")}, INVALID},           /* 50000: past the end */
        {{BYTES("\x20\0\x41\0\x6a\x1a\x0b")}, OK},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct smelt_buf module = {0};
        struct smelt_error err = {0};
        append_many(&module, 1, HEADER TYPE_VOID ONE_FUNC, sizeof(HEADER TYPE_VOID ONE_FUNC) - 1);
        append_code(&module, "\x03\xcf\x86\x03\x7f\0\x7d\x01\x7c", 9, rows[i].code);
        if (check(sm_buf_slice(&module), 0, NULL, &err) != rows[i].status) {
            fail_msg("row %zu: %s", i, err.message);
        }
        smelt_buf_deinit(&module);
    }
}

/* Types of a thousand results, called as often as a module can: bytes are moved, not examined. */
static void test_wide_types(void **state)
{
    (void)state;
    struct smelt_buf type = {0};
    struct smelt_buf code = {0};
    struct smelt_buf module = {0};
    append_many(&type, 1, "\x01\x60\xe8\x07", 4);
    append_many(&type, 1000, "\x7f", 1);
    append_many(&type, 1, "\xe8\x07", 2);
    append_many(&type, 1000, "\x7f", 1);
    append_many(&code, 1000, "\x20\0", 2);
    append_many(&code, 300000, "\x10\0\x02\0\x0b", 5);
    append_many(&code, 1, "\x0b", 1);
    append_many(&module, 1, HEADER "\x01", 9);
    assert_true(sm_leb_append_unsigned(&module, type.size) &&
                sm_buf_append(&module, type.data, type.size));
    append_many(&module, 1, ONE_FUNC, sizeof(ONE_FUNC) - 1);
    append_code(&module, "\0", 1, sm_buf_slice(&code));
    struct sm_wasm_func func = {0};
    assert_int_equal(check(sm_buf_slice(&module), 0, &func, NULL), OK);
    assert_int_equal(func.max_height, 1000);
    smelt_buf_deinit(&type);
    smelt_buf_deinit(&code);
    smelt_buf_deinit(&module);
}

static void test_no_memory(void **state)
{
    (void)state;
    size_t blocks = sm_alloc_blocks();
    struct smelt_buf code = {0};
    struct smelt_buf bytes = {0};
    append_many(&code, 20000, "\x02\x40", 2);
    append_many(&code, 100000, "\x3f\0", 2);
    append_many(&code, 1, "\0", 1);
    append_many(&code, 20000, "\x0b", 1);
    append_many(&code, 1, "\x41\0\x0b", 3);
    build_body(&bytes, sm_buf_slice(&code));
    smelt_buf_deinit(&code);
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    size_t nth = 1;
    for (; status == SMELT_STATUS_NO_MEMORY; nth++) {
        struct sm_arena arena = {0};
        struct sm_wasm_module module;
        struct smelt_error err = {0};
        assert_int_equal(sm_wasm_decode(sm_buf_slice(&bytes), &arena, &module, NULL), OK);
        sm_alloc_fail_at(nth);
        status = sm_wasm_validate(&module, &arena, &err);
        sm_alloc_fail_at(0);
        assert_int_equal(err.status, status);
        if (status != OK) { /* the module is as it was: a second try succeeds */
            assert_int_equal(sm_wasm_validate(&module, &arena, NULL), OK);
        }
        assert_int_equal(module.funcs[1].max_height, 100000);
        assert_int_equal(module.funcs[1].max_nesting, 20001);
        sm_arena_deinit(&arena);
    }
    assert_int_equal(status, OK);
    assert_true(nth > 4);
    smelt_buf_deinit(&bytes);
    assert_int_equal(sm_alloc_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_error_offset),
        cmocka_unit_test(test_modules),
        cmocka_unit_test(test_every_plain_instruction),
        cmocka_unit_test(test_heights_and_nesting),
        cmocka_unit_test(test_floats),
        cmocka_unit_test(test_deep_nesting),
        cmocka_unit_test(test_operand_ceiling),
        cmocka_unit_test(test_many_labels),
        cmocka_unit_test(test_far_locals),
        cmocka_unit_test(test_wide_types),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
