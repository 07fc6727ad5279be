/* The section decoder over hand-written modules: what it fills in, and what it refuses, why and
 * where. Every module is decoded from a heap copy of its exact size, so that the address sanitizer
 * sees a read past its end. */
#include "tests/support/cmocka_all.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "compiler/wasm/leb128.h"
#include "compiler/wasm/module.h"

#include <string.h>

#define HEADER    "\0asm\1\0\0\0"
#define W(text)   (const uint8_t *)(HEADER text), sizeof(HEADER text) - 1
#define RAW(text) (const uint8_t *)(text), sizeof(text) - 1

#define OK        SMELT_STATUS_OK
#define MALFORMED SMELT_STATUS_MODULE_MALFORMED
#define INVALID   SMELT_STATUS_MODULE_INVALID
#define FEATURE   SMELT_STATUS_MODULE_FEATURE
#define LIMIT     SMELT_STATUS_MODULE_LIMIT

/* type 0 is [] -> [], one function of it whose body is `end` */
#define TYPE_VOID "\x01\x04\x01\x60\0\0"
#define ONE_FUNC  "\x03\x02\x01\0"
#define ONE_BODY  "\x0a\x04\x01\x02\0\x0b"

struct row {
    const uint8_t *bytes;
    size_t size;
    enum smelt_status status;
    const char *where;
    int64_t offset;
    const char *message; /* a part of it */
};

static const struct row rows[] = {
    /* header */
    {RAW(""), MALFORMED, "header", 0, "magic"},
    {RAW("\0as"), MALFORMED, "header", 0, "magic"},
    {RAW("\0asn\1\0\0\0"), MALFORMED, "header", 0, "magic"},
    {RAW("\0asm"), MALFORMED, "header", 4, "version"},
    {RAW("\0asm\1\0\0"), MALFORMED, "header", 4, "version"},
    {RAW("\0asm\2\0\0\0"), MALFORMED, "header", 4, "version"},
    {RAW("\0asm\x0d\0\1\0"), FEATURE, "header", 4, "component model"},
    {W(""), OK, "", 0, ""},
    /* sections */
    {W("\x0e\0"), MALFORMED, "header", 8, "malformed section id"},
    {W("\x0d\x01\0"), FEATURE, "header", 8, "exception handling"},
    {W("\x01"), MALFORMED, "type", 9, "section size"},
    {W("\x01\x80"), MALFORMED, "type", 9, "unexpected end"},
    {W("\x01\x80\x80\x80\x80\x80\0"), MALFORMED, "type", 9, "too long"},
    {W("\x01\x02\0"), MALFORMED, "type", 10, "length out of bounds"},
    {W("\x01\x02\0\0"), MALFORMED, "type", 11, "section size mismatch"},
    {W("\x01\x01\0\x01\x01\0"), MALFORMED, "type", 11, "out of order or repeated"},
    {W("\x02\x01\0\x01\x01\0"), MALFORMED, "type", 11, "out of order or repeated"},
    {W("\x0c\x01\0\x09\x01\0"), MALFORMED, "element", 11, "out of order or repeated"},
    {W("\x09\x01\0\x0c\x01\0\x0a\x01\0\x0b\x01\0"), OK, "", 0, ""},
    /* custom sections may be anywhere, and only their name is checked */
    {W("\0\x02\x01x\x01\x01\0\0\x03\x01x\xff\0\x01\0"), OK, "", 0, ""},
    {W("\0\0"), MALFORMED, "custom", 10, "custom section name"},
    {W("\0\x02\x05x"), MALFORMED, "custom", 11, "length out of bounds"},
    {W("\0\x02\x01\xff"), MALFORMED, "custom", 11, "UTF-8"},
    {W("\0\x07\x04name\x01\x7f"), OK, "", 0, ""},
    {W("\0\x08\x04name\x01\x7f\x01"), OK, "", 0, ""},
    /* types */
    {W("\x01\x04\x02\x60\0\0"), MALFORMED, "type", 14, "type form"},
    {W("\x01\x03\x7f\x60\0"), MALFORMED, "type", 10, "127 types do not fit"},
    {W("\x01\x04\x01\x61\0\0"), MALFORMED, "type", 11, "malformed type"},
    {W("\x01\x05\x01\xe0\x7f\0\0"), MALFORMED, "type", 11, "malformed type"},
    {W("\x01\x05\x01\x5f\0\0\0"), FEATURE, "type", 11, "GC"},
    {W("\x01\x05\x01\x4e\0\0\0"), FEATURE, "type", 11, "GC"},
    {W("\x01\x03\x01\x5d\0"), FEATURE, "type", 11, "stack switching"},
    {W("\x01\x05\x01\x60\x01\x7b\0"), FEATURE, "type", 13, "SIMD"},
    {W("\x01\x05\x01\x60\x01\x6f\0"), FEATURE, "type", 13, "reference types"},
    {W("\x01\x05\x01\x60\x01\x64\0"), FEATURE, "type", 13, "typed function references"},
    {W("\x01\x05\x01\x60\x01\x69\0"), FEATURE, "type", 13, "exception handling"},
    {W("\x01\x05\x01\x60\x01\x40\0"), MALFORMED, "type", 13, "malformed type 0x40"},
    {W("\x01\x04\x01\x60\x09\0"), MALFORMED, "type", 12, "parameters do not fit"},
    /* imports */
    {W("\x02\x05\x01\0\0\0\0"), OK, "", 0, ""},
    {W("\x02\x05\x01\x01\xc0\0\0"), MALFORMED, "import", 12, "UTF-8"},
    {W("\x02\x05\x01\0\x01\xff\0"), MALFORMED, "import", 13, "UTF-8"},
    {W("\x02\x05\x01\x09\0\0\0"), MALFORMED, "import", 12, "length out of bounds"},
    {W("\x02\x05\x01\0\0\x05\0"), MALFORMED, "import", 13, "import kind"},
    {W("\x02\x06\x01\0\0\x04\0\0"), FEATURE, "import", 13, "exception handling"},
    {W("\x02\x05\x01\0\0\x7f\0"), FEATURE, "import", 13, "compact import"},
    {W("\x02\x06\x01\0\x01x\x7f\0"), MALFORMED, "import", 14, "import kind"},
    {W("\x02\x06\x01\0\0\x03\x7f\x01"), OK, "", 0, ""},
    {W("\x02\x06\x01\0\0\x03\x7f\x02"), MALFORMED, "import", 15, "mutability"},
    {W("\x02\x06\x01\0\0\x03\x7f\x80"), MALFORMED, "import", 15, "mutability"},
    {W("\x02\x06\x01\0\0\x03\x70\0"), FEATURE, "import", 14, "reference types"},
    {W("\x02\x07\x01\0\0\x01\x70\0\0"), OK, "", 0, ""},
    /* function and code counts */
    {W(TYPE_VOID ONE_FUNC ONE_BODY), OK, "", 0, ""},
    {W(TYPE_VOID ONE_FUNC), MALFORMED, "code", 18, "inconsistent lengths"},
    {W(TYPE_VOID ONE_BODY), MALFORMED, "code", 16, "inconsistent lengths"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x01\0"), MALFORMED, "code", 20, "inconsistent lengths"},
    {W(TYPE_VOID "\x03\x01\0\x0a\x01\0"), OK, "", 0, ""},
    /* tables and memories */
    {W("\x04\x04\x01\x70\0\0"), OK, "", 0, ""},
    {W("\x04\x05\x01\x70\x01\0\0"), OK, "", 0, ""},
    {W("\x04\x04\x01\x70\x02\0"), FEATURE, "table", 12, "threads"},
    {W("\x04\x04\x01\x70\x04\0"), FEATURE, "table", 12, "memory64"},
    {W("\x04\x04\x01\x70\x08\0"), MALFORMED, "table", 12, "limits flags"},
    {W("\x04\x04\x01\x6f\0\0"), FEATURE, "table", 11, "reference types"},
    {W("\x04\x04\x01\x7f\0\0"), MALFORMED, "table", 11, "reference type"},
    {W("\x04\x09\x01\x40\0\x70\0\0\xd0\x70\x0b"), FEATURE, "table", 11, "typed function"},
    {W("\x04\x07\x02\x70\0\0\x70\0\0"), FEATURE, "table", 14, "second table"},
    {W("\x04\x07\x02\x70\x01\x80\0\x80\0"), MALFORMED, "table", 17, "reference type"},
    {W("\x05\x03\x01\0\0"), OK, "", 0, ""},
    {W("\x05\x04\x01\x01\0\0"), OK, "", 0, ""},
    {W("\x05\x04\x01\x03\0\0"), FEATURE, "memory", 11, "threads"},
    {W("\x05\x03\x01\x04\0"), FEATURE, "memory", 11, "memory64"},
    {W("\x05\x04\x01\x08\0\0"), FEATURE, "memory", 11, "page sizes"},
    {W("\x05\x03\x01\x10\0"), MALFORMED, "memory", 11, "limits flags"},
    {W("\x05\x04\x01\x81\0\0"), MALFORMED, "memory", 11, "limits flags"},
    {W("\x05\x03\x01\x01\0"), MALFORMED, "memory", 13, "maximum"},
    {W("\x05\x05\x02\0\0\0\0"), FEATURE, "memory", 13, "multi-memory"},
    {W("\x02\x06\x01\0\0\x02\0\0\x05\x03\x01\0\0"), FEATURE, "memory", 19, "multi-memory"},
    /* constant expressions */
    {W("\x06\x06\x01\x7f\0\x41\0\x0b"), OK, "", 0, ""},
    {W("\x06\x05\x01\x7f\0\x41\0"), MALFORMED, "global", 15, "end opcode is missing"},
    {W("\x06\x04\x01\x7f\0\x0b"), INVALID, "global", 13, "leaves one value, this one 0"},
    {W("\x06\x08\x01\x7f\0\x41\0\x41\0\x0b"), INVALID, "global", 13, "this one 2"},
    {W("\x06\x07\x01\x7f\0\x41\0\x01\x0b"), INVALID, "global", 15, "nop is not constant"},
    {W("\x06\x07\x01\x7f\0\x41\0\x6a\x0b"), INVALID, "global", 15, "i32.add is not constant"},
    {W("\x06\x09\x01\x7f\0\x41\0\x41\0\x6a\x0b"), FEATURE, "global", 13, "extended constant"},
    {W("\x06\x07\x01\x7f\0\xfd\x0c\0\x0b"), FEATURE, "global", 13, "SIMD"},
    {W("\x06\x06\x01\x7f\0\xff\0\x0b"), MALFORMED, "global", 13, "illegal opcode"},
    {W("\x06\x06\x01\x7f\0\xd0\x6f\x0b"), FEATURE, "global", 14, "reference types"},
    {W("\x06\x06\x01\x7f\0\xd0\0\x0b"), FEATURE, "global", 14, "typed function references"},
    {W("\x06\x06\x01\x7f\0\xd0\x7f\x0b"), MALFORMED, "global", 14, "reference type"},
    {W("\x06\x08\x01\x7f\0\x41\x80\x80\x80\x80"), MALFORMED, "global", 14, "i32 constant"},
    /* exports and start */
    {W("\x07\x05\x01\x01x\0\0"), OK, "", 0, ""},
    {W("\x07\x05\x01\x01\x80\0\0"), MALFORMED, "export", 12, "UTF-8"},
    {W("\x07\x05\x01\x01x\x04\0"), FEATURE, "export", 13, "exception handling"},
    {W("\x07\x05\x01\x01x\x05\0"), MALFORMED, "export", 13, "export kind"},
    {W("\x07\x05\x01\x01x\0\x80"), MALFORMED, "export", 14, "export index"},
    {W("\x08\x01\0"), OK, "", 0, ""},
    {W("\x08\0"), MALFORMED, "start", 10, "function index"},
    {W("\x08\x02\0\0"), MALFORMED, "start", 11, "section size mismatch"},
    /* element segments */
    {W("\x09\x06\x01\0\x41\0\x0b\0"), OK, "", 0, ""},
    {W("\x09\x04\x01\x01\0\0"), OK, "", 0, ""},
    {W("\x09\x08\x01\x02\0\x41\0\x0b\0\0"), OK, "", 0, ""},
    {W("\x09\x04\x01\x03\0\0"), OK, "", 0, ""},
    {W("\x09\x06\x01\x04\x41\0\x0b\0"), OK, "", 0, ""},
    {W("\x09\x04\x01\x05\x70\0"), OK, "", 0, ""},
    {W("\x09\x08\x01\x06\0\x41\0\x0b\x70\0"), OK, "", 0, ""},
    {W("\x09\x07\x01\x07\x70\x01\xd0\x70\x0b"), OK, "", 0, ""},
    {W("\x09\x04\x01\x08\0\0"), MALFORMED, "element", 11, "segment form"},
    {W("\x09\x04\x01\x01\x01\0"), MALFORMED, "element", 12, "element kind"},
    {W("\x09\x04\x01\x05\x6f\0"), FEATURE, "element", 12, "reference types"},
    {W("\x09\x04\x01\x05\x7f\0"), MALFORMED, "element", 12, "reference type"},
    {W("\x09\x08\x01\x02\x01\x41\0\x0b\0\0"), INVALID, "element", 12, "unknown table 1"},
    {W("\x09\x05\x01\x01\0\x02\0"), MALFORMED, "element", 13, "2 elements do not fit"},
    {W("\x09\x05\x01\x05\x70\x01\x0b"), INVALID, "element", 14, "this one 0"},
    {W("\x09\x06\x01\x05\x70\x01\x01\x0b"), INVALID, "element", 14, "nop is not constant"},
    /* data segments and their count */
    {W("\x0b\x06\x01\0\x41\0\x0b\0"), OK, "", 0, ""},
    {W("\x0b\x04\x01\x01\x01x"), OK, "", 0, ""},
    {W("\x0b\x07\x01\x02\0\x41\0\x0b\0"), OK, "", 0, ""},
    {W("\x0b\x07\x01\x02\x01\x41\0\x0b\0"), INVALID, "data", 12, "unknown memory 1"},
    {W("\x0b\x04\x01\x03\0\0"), MALFORMED, "data", 11, "segment form"},
    {W("\x0b\x04\x01\x01\x02x"), MALFORMED, "data", 13, "length out of bounds"},
    {W("\x0c\x01\x01\x0b\x03\x01\x01\0"), OK, "", 0, ""},
    {W("\x0c\x01\x02\x0b\x03\x01\x01\0"), MALFORMED, "data", 13, "inconsistent lengths"},
    {W("\x0c\x01\x01"), MALFORMED, "data", 11, "inconsistent lengths"},
    {W("\x0c\x01\0"), OK, "", 0, ""},
    {W("\x0c\x02\0\0"), MALFORMED, "data count", 11, "section size mismatch"},
    /* bodies: only locals are read here */
    {W(TYPE_VOID ONE_FUNC "\x0a\x03\x01\x01\0"), OK, "", 0, ""},
    {W(TYPE_VOID ONE_FUNC "\x0a\x04\x01\x02\0\xff"), OK, "", 0, ""},
    {W(TYPE_VOID ONE_FUNC "\x0a\x04\x01\x03\0\x0b"), MALFORMED, "code", 22, "function body"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x04\x01\x01\0\x0b"), MALFORMED, "code", 23, "size mismatch"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x02\x01\0"), MALFORMED, "code", 22, "groups of locals"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x06\x01\x04\x01\x01\x7b\x0b"), FEATURE, "code", 24, "SIMD"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x06\x01\x04\x01\x01\x40\x0b"), MALFORMED, "code", 24, "type 0x40"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x04\x01\x02\x02\x0b"), MALFORMED, "code", 22, "do not fit"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x08\x01\x06\x01\xd0\x86\x03\x7f\x0b"), OK, "", 0, ""},
    {W(TYPE_VOID ONE_FUNC "\x0a\x08\x01\x06\x01\xd1\x86\x03\x7f\x0b"), LIMIT, "code", 27,
     "50001 locals exceed the limit of 50000"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x0a\x01\x08\x01\xff\xff\xff\xff\x0f\x7f\x0b"), LIMIT, "code", 29,
     "4294967295 locals exceed"},
    {W(TYPE_VOID ONE_FUNC "\x0a\x0c\x01\x0a\x02\xff\xff\xff\xff\x0f\x7f\x01\x7f\x0b"), MALFORMED,
     "code", 29, "too many locals"},
};

static enum smelt_status decode_copy(struct smelt_slice bytes, struct smelt_error *err)
{
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    uint8_t *copy = (uint8_t *)sm_alloc(bytes.size != 0 ? bytes.size : 1);
    assert_non_null(copy);
    if (bytes.size != 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    enum smelt_status status = sm_wasm_decode(sm_slice(copy, bytes.size), &arena, &module, err);
    sm_arena_deinit(&arena);
    sm_free(copy);
    return status;
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct row *row = &rows[i];
        struct smelt_error err = {0};
        struct smelt_slice bytes = sm_slice(row->bytes, row->size);
        enum smelt_status status = decode_copy(bytes, &err);
        bool is_good = status == row->status && decode_copy(bytes, NULL) == status;
        if (is_good && status != OK) {
            is_good = err.status == status && err.offset == row->offset &&
                      strcmp(err.where, row->where) == 0 && strstr(err.message, row->message);
        }
        if (!is_good) {
            fail_msg("row %zu (%s at %lld: %s): %s in %s at %lld: %s", i, row->where,
                     (long long)row->offset, row->message, smelt_status_name(status), err.where,
                     (long long)err.offset, err.message);
        }
    }
}

static void test_null_module(void **state)
{
    (void)state;
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    assert_int_equal(sm_wasm_decode((struct smelt_slice){0}, &arena, &module, NULL), MALFORMED);
    sm_arena_deinit(&arena);
}

/* One of everything. */
static const char full[] = HEADER
    /* types: [] -> [], [i32 f64] -> [i64], [] -> [] again */
    "\x01\x0d\x03\x60\0\0\x60\x02\x7f\x7c\x01\x7e\x60\0\0"
    /* imports: env.f of type 1, env.g: immutable i32 */
    "\x02\x12\x02\x03"
    "env\x01"
    "f\0\x01\x03"
    "env\x01g\x03\x7f\0"
    /* three functions of types 0, 2, 0 */
    "\x03\x04\x03\0\x02\0"
    /* table 2..5, memory 1..3 */
    "\x04\x05\x01\x70\x01\x02\x05\x05\x04\x01\x01\x01\x03"
    /* globals: mutable i64 7, f32 1.0 */
    "\x06\x0e\x02\x7e\x01\x42\x07\x0b\x7d\0\x43\0\0\x80\x3f\x0b"
    /* exports: "a" and "b" are function 1, "mem" memory 0 */
    "\x07\x0f\x03\x01"
    "a\0\x01\x01"
    "b\0\x01\x03mem\x02\0"
    /* start: function 1 */
    "\x08\x01\x01"
    /* elements: active at global 0 with functions 0 and 2, declared with null */
    "\x09\x0e\x02\0\x23\0\x0b\x02\0\x02\x07\x70\x01\xd0\x70\x0b"
    /* data count 2 */
    "\x0c\x01\x02"
    /* bodies: two locals i32 and one f64; nothing; nothing */
    "\x0a\x0e\x03\x06\x02\x02\x7f\x01\x7c\x0b\x02\0\x0b\x02\0\x0b"
    /* data: active at 8 "hi", passive "x" */
    "\x0b\x0b\x02\0\x41\x08\x0b\x02hi\x01\x01x"
    /* names: 1 "one" (exported, so ignored), 2 "two", 2 "again", 3 not UTF-8, 9 unknown */
    "\0\x22\x04name\x01\x1b\x05\x01\x03one\x02\x03two\x02\x05"
    "again\x03\x01\xff\x09\x04nine";

static void test_full_module(void **state)
{
    (void)state;
    struct sm_arena arena = {0};
    struct sm_wasm_module m;
    struct smelt_error err = {0};
    struct smelt_slice bytes = sm_slice(full, sizeof(full) - 1);
    if (sm_wasm_decode(bytes, &arena, &m, &err) != OK) {
        fail_msg("%s in %s at %lld", err.message, err.where, (long long)err.offset);
    }
    assert_int_equal(m.type_count, 3);
    assert_int_equal(m.types[1].param_count, 2);
    assert_int_equal(m.types[1].params[1], SMELT_VALTYPE_F64);
    assert_int_equal(m.types[1].results[0], SMELT_VALTYPE_I64);
    assert_int_equal(m.types[0].canonical, 0);
    assert_int_equal(m.types[1].canonical, 1);
    assert_int_equal(m.types[2].canonical, 0);

    assert_int_equal(m.import_count, 2);
    assert_true(sm_slice_equal_text(m.imports[0].module, "env"));
    assert_true(sm_slice_equal_text(m.imports[1].name, "g"));
    assert_int_equal(m.imports[1].kind, SM_WASM_EXTERNAL_GLOBAL);
    assert_int_equal(m.imports[1].index, 0);

    assert_int_equal(m.func_count, 4);
    assert_int_equal(m.imported_func_count, 1);
    assert_true(m.funcs[0].is_imported && m.funcs[0].is_referenced);
    assert_int_equal(m.funcs[0].type_index, 1);
    assert_int_equal(m.funcs[0].offset, m.imports[0].offset);
    assert_true(!m.funcs[1].is_imported && m.funcs[1].is_referenced);
    assert_true(m.funcs[2].is_referenced && !m.funcs[3].is_referenced);
    assert_true(sm_slice_equal_text(m.funcs[1].name, "a"));
    assert_true(sm_slice_equal_text(m.funcs[2].name, "two"));
    assert_int_equal(m.funcs[0].name.size + m.funcs[3].name.size, 0);
    assert_int_equal(m.funcs[1].local_run_count, 2);
    assert_int_equal(m.funcs[1].local_count, 3);
    assert_int_equal(m.funcs[1].local_runs[1].type, SMELT_VALTYPE_F64);
    assert_int_equal(m.funcs[1].code.size, 1);
    assert_int_equal(m.funcs[1].code.data[0], 0x0b);
    assert_int_equal(m.funcs[1].code_offset - m.funcs[1].body_offset, 5);
    assert_ptr_equal(m.funcs[1].code.data, bytes.data + m.funcs[1].code_offset);
    assert_true(m.funcs[1].uses_floats && !m.funcs[2].uses_floats && m.uses_floats);

    assert_true(m.has_table && !m.is_table_imported && m.table.has_max);
    assert_int_equal(m.table.min, 2);
    assert_int_equal(m.table.max, 5);
    assert_true(m.has_memory && !m.is_memory_imported && m.memory.has_max);
    assert_int_equal(m.memory.min, 1);
    assert_int_equal(m.memory.max, 3);

    assert_int_equal(m.global_count, 3);
    assert_int_equal(m.imported_global_count, 1);
    assert_true(m.globals[0].is_imported && !m.globals[0].is_mutable);
    assert_true(m.globals[1].is_mutable);
    assert_int_equal(m.globals[1].init.bits, 7);
    assert_int_equal(m.globals[2].init.type, SMELT_VALTYPE_F32);
    assert_int_equal(m.globals[2].init.bits, 0x3f800000);

    assert_int_equal(m.export_count, 3);
    assert_int_equal(m.exports[2].kind, SM_WASM_EXTERNAL_MEMORY);
    assert_true(m.has_start && m.start_func == 1);

    assert_int_equal(m.elem_count, 2);
    assert_int_equal(m.elems[0].mode, SM_WASM_SEGMENT_ACTIVE);
    assert_int_equal(m.elems[0].start.kind, SM_WASM_CONST_GLOBAL);
    assert_int_equal(m.elems[0].start.type, SMELT_VALTYPE_I32);
    assert_int_equal(m.elems[0].item_count, 2);
    assert_int_equal(m.elems[0].items[1].kind, SM_WASM_CONST_REF_FUNC);
    assert_int_equal(m.elems[0].items[1].index, 2);
    assert_int_equal(m.elems[1].mode, SM_WASM_SEGMENT_DECLARED);
    assert_int_equal(m.elems[1].items[0].kind, SM_WASM_CONST_REF_NULL);

    assert_true(m.has_data_count);
    assert_int_equal(m.data_count, 2);
    assert_int_equal(m.datas[0].start.bits, 8);
    assert_true(sm_slice_equal_text(m.datas[0].bytes, "hi"));
    assert_int_equal(m.datas[1].mode, SM_WASM_SEGMENT_PASSIVE);
    assert_int_equal(m.code_size, 14);
    assert_int_equal(sm_wasm_validate(&m, &arena, &err), OK);
    sm_arena_deinit(&arena);
}

/* Names are for people: however broken, they refuse no module, and what was read before counts. */
static void test_broken_names(void **state)
{
    (void)state;
    static const struct {
        const uint8_t *bytes;
        size_t size;
        const char *name;
    } names[] = {
        {W(TYPE_VOID ONE_FUNC ONE_BODY "\0\x0b\x04name\x01\x04\x01\0\x01z"), "z"},
        {W(TYPE_VOID ONE_FUNC ONE_BODY "\0\x0b\x04name\x01\x04\x09\0\x01z"), "z"},
        {W(TYPE_VOID ONE_FUNC ONE_BODY "\0\x0d\x04name\0\0\x01\x04\x01\0\x01z"), "z"},
        {W(TYPE_VOID ONE_FUNC ONE_BODY "\0\x0b\x04name\x01\x05\x01\0\x01z"), ""},
        {W(TYPE_VOID ONE_FUNC ONE_BODY "\0\x0b\x04name\x01\x04\x01\0\x02z"), ""},
        {W(TYPE_VOID ONE_FUNC ONE_BODY "\0\x0b\x04name\x01\x04\x01\0\x01\xff"), ""},
        {W(TYPE_VOID ONE_FUNC ONE_BODY "\0\x0b\x04name\x01\x04\x01\x01\x01z"), ""},
        {W(TYPE_VOID ONE_FUNC ONE_BODY "\0\x06\x04name\x01"), ""},
        {W(TYPE_VOID ONE_FUNC ONE_BODY "\0\x05\x04name"), ""},
        {W("\0\x0b\x04name\x01\x04\x01\0\x01z" TYPE_VOID ONE_FUNC ONE_BODY), "z"},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct sm_arena arena = {0};
        struct sm_wasm_module module;
        struct smelt_slice bytes = sm_slice(names[i].bytes, names[i].size);
        if (sm_wasm_decode(bytes, &arena, &module, NULL) != OK ||
            !sm_slice_equal_text(module.funcs[0].name, names[i].name)) {
            fail_msg("row %zu", i);
        }
        sm_arena_deinit(&arena);
    }
}

/* Every prefix, and every byte replaced by every value: no crash, and only the statuses that say
 * something about a module. */
static void test_damaged_modules(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof(full) - 1; size++) {
        enum smelt_status status = decode_copy(sm_slice(full, size), NULL);
        assert_true(status == MALFORMED || status == OK);
    }
    uint8_t copy[sizeof(full) - 1];
    memcpy(copy, full, sizeof(copy));
    for (size_t i = 0; i < sizeof(copy); i++) {
        for (unsigned value = 0; value < 256; value++) {
            copy[i] = (uint8_t)value;
            struct sm_arena arena = {0};
            struct sm_wasm_module module;
            struct smelt_error err = {0};
            enum smelt_status status =
                sm_wasm_decode(sm_slice(copy, sizeof(copy)), &arena, &module, &err);
            if (status == OK) {
                status = sm_wasm_validate(&module, &arena, &err);
            }
            assert_true(status == OK || (status >= MALFORMED && status <= LIMIT));
            if (status != OK) {
                assert_int_equal(err.status, status);
                assert_in_range(err.offset, 0, sizeof(copy));
                assert_true(err.where[0] != '\0' && err.message[0] != '\0');
            }
            sm_arena_deinit(&arena);
        }
        copy[i] = (uint8_t)full[i];
    }
}

/* A count that its section cannot hold costs no memory. */
static void test_memory_follows_bytes(void **state)
{
    (void)state;
    static const char bomb[] = HEADER "\x01\x05\xff\xff\xff\xff\x0f";
    size_t blocks = sm_alloc_blocks();
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    assert_int_equal(sm_wasm_decode(sm_slice(bomb, sizeof(bomb) - 1), &arena, &module, NULL),
                     MALFORMED);
    assert_int_equal(sm_alloc_blocks(), blocks);
    sm_arena_deinit(&arena);
}

/* A section of `count` equal entries, one past the ceiling and at it. */
static void check_ceiling(uint8_t id, uint32_t ceiling, struct smelt_slice entry,
                          enum smelt_status at_ceiling)
{
    for (uint32_t over = 0; over < 2; over++) {
        struct smelt_buf content = {0};
        struct smelt_buf module = {0};
        assert_true(sm_leb_append_unsigned(&content, ceiling + over));
        for (uint32_t i = 0; i < ceiling + over; i++) {
            assert_true(sm_buf_append(&content, entry.data, entry.size));
        }
        assert_true(sm_buf_append(&module, HEADER, 8) && sm_buf_append_u8(&module, id) &&
                    sm_leb_append_unsigned(&module, content.size) &&
                    sm_buf_append(&module, content.data, content.size));
        assert_int_equal(decode_copy(sm_buf_slice(&module), NULL), over == 0 ? at_ceiling : LIMIT);
        smelt_buf_deinit(&content);
        smelt_buf_deinit(&module);
    }
}

static void test_ceilings(void **state)
{
    (void)state;
    check_ceiling(1, SM_WASM_TYPES_MAX, sm_slice("\x60\0\0", 3), OK);
    check_ceiling(2, SM_WASM_IMPORTS_MAX, sm_slice("\0\0\0\0", 4), OK);
    check_ceiling(3, SM_WASM_FUNCS_MAX, sm_slice("\0", 1), MALFORMED); /* there are no bodies */
    check_ceiling(6, SM_WASM_GLOBALS_MAX, sm_slice("\x7f\0\x41\0\x0b", 5), OK);
    check_ceiling(7, SM_WASM_EXPORTS_MAX, sm_slice("\0\0\0", 3), OK);
    check_ceiling(9, SM_WASM_SEGMENTS_MAX, sm_slice("\x01\0\0", 3), OK);
    check_ceiling(11, SM_WASM_SEGMENTS_MAX, sm_slice("\x01\0", 2), OK);
}

static void test_parameter_ceiling(void **state)
{
    (void)state;
    for (uint32_t over = 0; over < 2; over++) {
        uint32_t count = SM_WASM_PARAMS_MAX + over;
        struct smelt_buf content = {0};
        struct smelt_buf module = {0};
        assert_true(sm_buf_append(&content, "\x01\x60\0", 3) &&
                    sm_leb_append_unsigned(&content, count));
        for (uint32_t i = 0; i < count; i++) {
            assert_true(sm_buf_append_u8(&content, SMELT_VALTYPE_I64));
        }
        assert_true(sm_buf_append(&module, HEADER "\x01", 9) &&
                    sm_leb_append_unsigned(&module, content.size) &&
                    sm_buf_append(&module, content.data, content.size));
        assert_int_equal(decode_copy(sm_buf_slice(&module), NULL), over == 0 ? OK : LIMIT);
        smelt_buf_deinit(&content);
        smelt_buf_deinit(&module);
    }
}

static void test_no_memory(void **state)
{
    (void)state;
    size_t blocks = sm_alloc_blocks();
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    size_t nth = 1;
    for (; status == SMELT_STATUS_NO_MEMORY; nth++) {
        struct sm_arena arena = {0};
        struct sm_wasm_module module;
        struct smelt_error err = {0};
        sm_alloc_fail_at(nth);
        status = sm_wasm_decode(sm_slice(full, sizeof(full) - 1), &arena, &module, &err);
        sm_alloc_fail_at(0);
        assert_int_equal(err.status, status);
        sm_arena_deinit(&arena);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_int_equal(status, OK);
    assert_true(nth > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_null_module),
        cmocka_unit_test(test_full_module),
        cmocka_unit_test(test_broken_names),
        cmocka_unit_test(test_damaged_modules),
        cmocka_unit_test(test_memory_follows_bytes),
        cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_parameter_ceiling),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
