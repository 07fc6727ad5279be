/* The known holes of wasm2c 1.0.32, one test each: what would have been code, a crash or a wrong
 * result is refused before the tool sees it, or runs as the specification says. */
#include "base/bytes.h"
#include "compiler/wasm/encode.h"
#include "compiler/wasm/leb128.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"
#include "tests/support/native_instance.h"

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OK SMELT_STATUS_OK

static char directory[PATH_MAX];
static struct native_compiler native;

static int set_up(void **state)
{
    (void)state;
    test_directory_create(directory);
    return native_compiler_create(test_path(directory, "cache"), NULL, &native, NULL) == OK ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    native_compiler_destroy(&native);
    test_directory_remove(directory);
    return 0;
}

/* ---- helpers --------------------------------------------------------------------------------- */

static struct smelt_buf wat(const char *text)
{
    struct smelt_buf wasm = {0};
    struct smelt_error err = {0};
    if (smelt_wat_to_wasm(smelt_slice_from_string(text), &wasm, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return wasm;
}

/* Takes `wasm`. */
static struct native_instance load(struct smelt_buf wasm)
{
    struct native_instance instance = {.wasm = wasm};
    struct smelt_error err = {0};
    if (native_instance_create(&native, &instance, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return instance;
}

static struct sm_exec_result call(struct native_instance *instance, const char *name,
                                  uint64_t *slots)
{
    struct sm_exec_result result = {0};
    const struct sm_export *export_ =
        sm_exec_find_export(instance->module, smelt_slice_from_string(name));
    assert_non_null(export_);
    native_instance_invoke(instance, export_, slots, &result);
    return result;
}

static uint64_t call_well(struct native_instance *instance, const char *name, uint64_t argument)
{
    uint64_t slots[4] = {argument};
    assert_int_equal(call(instance, name, slots).end, SM_EXEC_RETURNED);
    return slots[0];
}

static void assert_traps(struct native_instance *instance, const char *name, uint64_t first,
                         uint64_t second, uint64_t third, enum smelt_trap trap)
{
    uint64_t slots[4] = {first, second, third};
    struct sm_exec_result result = call(instance, name, slots);
    assert_int_equal(result.end, SM_EXEC_TRAPPED);
    assert_int_equal(result.trap, trap);
}

/* Refused without any tool, so no tool can have seen it. Takes `wasm`. */
static void assert_refused(struct smelt_buf wasm, enum smelt_status expected, const char *message)
{
    struct smelt_artefact artefact;
    struct smelt_error err = {0};
    struct native_compiler toolless;
    char *path = strdup(getenv("PATH"));
    assert_non_null(path);
    assert_int_equal(setenv("PATH", "/none", 1), 0);
    assert_int_equal(
        native_compiler_create(test_path(directory, "toolless"), NULL, &toolless, NULL), OK);
    enum smelt_status status =
        smelt_compile(toolless.compiler, sm_buf_slice(&wasm), NULL, &artefact, &err);
    native_compiler_destroy(&toolless);
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(path);
    smelt_buf_deinit(&wasm);
    if (status != expected || strstr(err.message, message) == NULL) {
        fail_msg("%s: %s", smelt_status_name(status), err.message);
    }
}

static void append(struct smelt_buf *out, const void *data, size_t size)
{
    assert_true(sm_buf_append(out, data, size));
}

static void append_u32(struct smelt_buf *out, uint32_t value)
{
    assert_true(sm_leb_append_unsigned(out, value));
}

static void append_name(struct smelt_buf *out, const char *name)
{
    append_u32(out, (uint32_t)strlen(name));
    append(out, name, strlen(name));
}

/* Id, size, content; the content is emptied. */
static void append_part(struct smelt_buf *out, uint8_t id, struct smelt_buf *content)
{
    assert_true(sm_buf_append_u8(out, id));
    append_u32(out, (uint32_t)content->size);
    append(out, content->data, content->size);
    content->size = 0;
}

/* A module of `count` functions of type () -> () with these locals and instructions. */
static struct smelt_buf module_with_bodies(uint32_t count, struct smelt_slice body)
{
    static const uint8_t opening[] = {0, 'a', 's', 'm', 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0};
    struct smelt_buf wasm = {0};
    struct smelt_buf section = {0};
    append(&wasm, opening, sizeof(opening));
    append_u32(&section, count);
    for (uint32_t i = 0; i < count; i++) {
        append_u32(&section, 0);
    }
    append_part(&wasm, 3, &section);
    append_u32(&section, count);
    for (uint32_t i = 0; i < count; i++) {
        append_u32(&section, (uint32_t)body.size);
        append(&section, body.data, body.size);
    }
    append_part(&wasm, 10, &section);
    smelt_buf_deinit(&section);
    return wasm;
}

static struct smelt_buf module_with_body(struct smelt_slice body)
{
    return module_with_bodies(1, body);
}

/* A name section: of the module, of function 0, and of its local `local_index`. */
static void append_names(struct smelt_buf *wasm, const char *name, uint32_t local_index)
{
    struct smelt_buf section = {0};
    struct smelt_buf part = {0};
    append_name(&section, "name");
    append_name(&part, name);
    append_part(&section, 0, &part);
    append_u32(&part, 1);
    append_u32(&part, 0);
    append_name(&part, name);
    append_part(&section, 1, &part);
    append_u32(&part, 1);
    append_u32(&part, 0);
    append_u32(&part, 1);
    append_u32(&part, local_index);
    append_name(&part, name);
    append_part(&section, 2, &part);
    append_part(wasm, 0, &section);
    smelt_buf_deinit(&section);
    smelt_buf_deinit(&part);
}

/* ---- 1, 19: names as code -------------------------------------------------------------------- */

static const char *const payloads[] = {
    "*/ int injected = 1; /*",
    "*/ __attribute__((constructor)) static void injected(void) { __builtin_trap(); } /*",
    "\n#error injected\n",
    "*/\n#error injected\n/*",
    "*/\n#include \"/etc/passwd\"\n/*",
    "\\\n#pragma injected",
    "\"; int injected = 1; \"",
    "\?\?/\n#error injected",
    "%s%n%n",
    "\r#error injected\r",
};
#define PAYLOAD_COUNT (sizeof(payloads) / sizeof(payloads[0]))

/* Compiles, and finds nothing of the payloads in C or in what wasm2c reads. Takes `wasm`. */
static struct native_instance load_named(struct smelt_buf wasm)
{
    struct smelt_artefact artefact;
    struct smelt_buf c = {0};
    struct smelt_buf instrumented = {0};
    const struct smelt_compile_products products = {.lowered_c = &c,
                                                    .instrumented_wasm = &instrumented};
    struct smelt_error err = {0};
    if (smelt_compile(native.compiler, sm_buf_slice(&wasm), &products, &artefact, &err) != OK) {
        fail_msg("%s", err.message);
    }
    for (size_t i = 0; i < PAYLOAD_COUNT; i++) {
        assert_null(memmem(c.data, c.size, payloads[i], strlen(payloads[i])));
        assert_null(memmem(instrumented.data, instrumented.size, payloads[i], strlen(payloads[i])));
    }
    assert_null(memmem(c.data, c.size, "#error", 6));
    assert_null(memmem(c.data, c.size, "#pragma", 7));
    assert_null(memmem(c.data, c.size, "/etc", 4));
    smelt_buf_deinit(&c);
    smelt_buf_deinit(&instrumented);
    return load(wasm);
}

/* Appends a format with the payload as wat's string escapes for each %s, of which there are two. */
static void print_escaped(struct smelt_buf *text, const char *format, const char *payload)
{
    char escaped[512];
    size_t used = 0;
    for (; *payload != '\0'; payload++) {
        used += (size_t)snprintf(escaped + used, sizeof(escaped) - used, "\\%02x",
                                 (unsigned)(unsigned char)*payload);
    }
    for (const char *at = format; *at != '\0'; at++) {
        bool is_name = at[0] == '%' && at[1] == 's';
        append(text, is_name ? escaped : at, is_name ? used : 1);
        at += is_name;
    }
}

static void test_hole_1_export_names_are_not_code(void **state)
{
    (void)state;
    struct smelt_buf text = {0};
    print_escaped(&text, "(module (memory 1) (global i32 (i32.const 0))", "");
    for (size_t i = 0; i < PAYLOAD_COUNT; i++) {
        print_escaped(&text,
                      "(export \"%s memory\" (memory 0)) (export \"%s global\" (global 0))"
                      " (func (export \"%s\") (result i32) (i32.const 42))",
                      payloads[i]);
    }
    append(&text, ")", 2);
    struct native_instance instance = load_named(wat((const char *)text.data));
    for (size_t i = 0; i < PAYLOAD_COUNT; i++) {
        /* found under its true name, as data */
        assert_int_equal(call_well(&instance, payloads[i], 0), 42);
    }
    native_instance_destroy(&instance);
    smelt_buf_deinit(&text);
}

static void test_hole_1_import_names_are_not_code(void **state)
{
    (void)state;
    struct smelt_buf text = {0};
    print_escaped(&text, "(module", "");
    for (size_t i = 0; i < PAYLOAD_COUNT; i++) {
        print_escaped(&text, "(import \"%s\" \"%s\" (func))", payloads[i]);
    }
    print_escaped(&text, "(func (export \"f\") (call 0) (call 1)))", "");
    append(&text, "", 1);
    struct native_instance instance = load_named(wat((const char *)text.data));
    assert_false(instance.is_linked);
    const struct sm_descriptor *descriptor = sm_exec_descriptor(instance.module);
    assert_int_equal(descriptor->import_count, PAYLOAD_COUNT);
    for (size_t i = 0; i < PAYLOAD_COUNT; i++) {
        const struct sm_import *import = &descriptor->imports[i];
        assert_true(
            sm_slice_equal_text(sm_slice(import->module, import->module_size), payloads[i]));
        assert_true(sm_slice_equal_text(sm_slice(import->name, import->name_size), payloads[i]));
    }
    native_instance_destroy(&instance);
    smelt_buf_deinit(&text);
}

static void test_holes_1_and_19_debug_names_are_not_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct smelt_buf wasm = wat("(module (func (local i32)) (func (export \"f\") (call 0)))");
        append_names(&wasm, payloads[i], 0);
        struct native_instance instance = load_named(wasm);
        uint64_t slots[1] = {0};
        assert_int_equal(call(&instance, "f", slots).end, SM_EXEC_RETURNED);
        native_instance_destroy(&instance);
    }
}

/* ---- 2: local index of the name section ------------------------------------------------------ */

/* About sixty bytes that make wasm2c abort when it looks at debug names. */
static void test_hole_2_local_index_of_the_name_section(void **state)
{
    (void)state;
    static const uint32_t indices[] = {1, 2, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(indices) / sizeof(indices[0]); i++) {
        struct smelt_buf wasm = wat("(module (func (export \"f\") (local i32)))");
        append_names(&wasm, "name", indices[i]);
        struct native_instance instance = load(wasm);
        uint64_t slots[1] = {0};
        assert_int_equal(call(&instance, "f", slots).end, SM_EXEC_RETURNED);
        native_instance_destroy(&instance);
    }
}

/* ---- 3, 5: nesting --------------------------------------------------------------------------- */

static void test_hole_3_deep_nesting_is_refused(void **state)
{
    (void)state;
    static const uint32_t depths[] = {250, 50000, 1000000};
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        struct smelt_buf body = {0};
        append(&body, "", 1); /* no locals */
        for (uint32_t k = 0; k < depths[i]; k++) {
            append(&body, "\x02\x40", 2);
        }
        for (uint32_t k = 0; k <= depths[i]; k++) {
            append(&body, "\x0b", 1);
        }
        assert_refused(module_with_body(sm_buf_slice(&body)), SMELT_STATUS_MODULE_LIMIT,
                       i < 2 ? "nested blocks of a function" : "bytes of a function body");
        smelt_buf_deinit(&body);
    }
}

/* Each instruction is a line indented by twice its nesting: 2 MiB would become more C than a tool
 * may write. The cost of an instruction therefore has a part for its nesting. */
static void test_hole_5_indentation_is_limited(void **state)
{
    (void)state;
    enum { LOOPS = 248, OPERATIONS = 261000 };
    struct smelt_buf body = {0};
    append(&body, "", 1);
    for (int i = 0; i < LOOPS; i++) {
        append(&body, "\x03\x40", 2);
    }
    append(&body, "\x41", 2);
    for (int i = 0; i < OPERATIONS; i++) {
        append(&body, "\x67", 1); /* i32.clz */
    }
    append(&body, "\x1a", 1);
    for (int i = 0; i <= LOOPS; i++) {
        append(&body, "\x0b", 1);
    }
    assert_refused(module_with_bodies(9, sm_buf_slice(&body)), SMELT_STATUS_MODULE_LIMIT,
                   "cost of compiling a function");
    smelt_buf_deinit(&body);
}

/* f(x): as many ifs as the policy allows, each taken while x, counted down, is not zero; recursive
 * or not, since checked functions have a block more around them. */
static void test_hole_5_nested_ifs_at_the_limit(void **state)
{
    (void)state;
    enum { IFS = 249 }; /* the function's own frame is the 250th */
    for (int is_recursive = 0; is_recursive < 2; is_recursive++) {
        struct smelt_buf text = {0};
        assert_true(sm_buf_printf(&text, "(module (func $f (export \"f\") (param i32) (result i32)"
                                         " (local i32) "));
        if (is_recursive) {
            assert_true(sm_buf_printf(&text, "(if (i32.eq (local.get 0) (i32.const -1)) (then"
                                             " (return (call $f (i32.const 0)))))"));
        }
        for (int i = 0; i < IFS; i++) {
            assert_true(sm_buf_printf(&text,
                                      "(if (local.get 0) (then"
                                      " (local.set 0 (i32.sub (local.get 0) (i32.const 1)))"
                                      " (local.set 1 (i32.add (local.get 1) (i32.const 1)))"));
        }
        for (int i = 0; i < IFS; i++) {
            assert_true(sm_buf_printf(&text, ") (else nop))"));
        }
        assert_true(sm_buf_printf(&text, "(local.get 1)))") && sm_buf_append_u8(&text, 0));
        struct native_instance instance = load(wat((const char *)text.data));
        assert_int_equal(call_well(&instance, "f", 0), 0);
        assert_int_equal(call_well(&instance, "f", 100), 100);
        assert_int_equal(call_well(&instance, "f", 1000), IFS);
        native_instance_destroy(&instance);
        smelt_buf_deinit(&text);
    }
}

/* ---- 4: locals ------------------------------------------------------------------------------- */

/* 29 bytes that become megabytes of C. */
static void test_hole_4_many_locals_are_refused(void **state)
{
    (void)state;
    static const uint32_t counts[] = {4097, 50000, 50001, 1000000, 20000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct smelt_buf body = {0};
        append_u32(&body, 1);
        append_u32(&body, counts[i]);
        append(&body, "\x7f\x0b", 2);
        assert_refused(module_with_body(sm_buf_slice(&body)), SMELT_STATUS_MODULE_LIMIT, "locals");
        smelt_buf_deinit(&body);
    }
    struct smelt_buf body = {0};
    append_u32(&body, 1);
    append_u32(&body, 4096);
    append(&body, "\x7f\x0b", 2);
    struct native_instance instance = load(module_with_body(sm_buf_slice(&body)));
    native_instance_destroy(&instance);
    smelt_buf_deinit(&body);
}

/* ---- 6: memory.grow to 4 GiB ----------------------------------------------------------------- */

static const char growing[] =
    "(module (memory 1) (func (export \"grow\") (param i32) (result i32)"
    "   (memory.grow (local.get 0)))"
    " (func (export \"size\") (param i32) (result i32) (memory.size))"
    " (func (export \"load\") (param i32) (result i32) (i32.load (local.get 0)))"
    " (func (export \"load8\") (param i32) (result i32) (i32.load8_u (local.get 0)))"
    " (func (export \"far\") (param i32) (result i32) (i32.load offset=0xffffffff (local.get 0)))"
    " (func (export \"store8\") (param i32) (result i32)"
    "   (i32.store8 (local.get 0) (i32.const 7)) (i32.const 0))"
    " (func (export \"fill\") (param i32 i32) (memory.fill (local.get 0) (i32.const 1)"
    "   (local.get 1)))"
    " (func (export \"copy\") (param i32 i32 i32)"
    "   (memory.copy (local.get 0) (local.get 1) (local.get 2))))";

static void test_hole_6_grow_to_65536_pages(void **state)
{
    (void)state;
    const uint64_t all = UINT32_MAX; /* -1 */
    struct native_instance instance = load(wat(growing));
    assert_int_equal(call_well(&instance, "store8", 65535), 0);
    assert_int_equal(call_well(&instance, "grow", 65536), all);
    assert_int_equal(call_well(&instance, "grow", UINT32_MAX), all);
    assert_int_equal(call_well(&instance, "size", 0), 1);
    assert_int_equal(call_well(&instance, "grow", 65535), 1);
    assert_int_equal(call_well(&instance, "size", 0), 65536);
    /* what was there is there, at the same place; the last byte is memory, the next one is not */
    assert_int_equal(call_well(&instance, "load8", 65535), 7);
    assert_int_equal(call_well(&instance, "load8", UINT32_MAX), 0);
    assert_int_equal(call_well(&instance, "store8", UINT32_MAX), 0);
    assert_int_equal(call_well(&instance, "load", UINT32_MAX - 3), 0x07000000);
    assert_traps(&instance, "load", UINT32_MAX - 2, 0, 0, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
    assert_traps(&instance, "load", UINT32_MAX, 0, 0, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
    assert_traps(&instance, "far", UINT32_MAX, 0, 0, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
    assert_int_equal(call_well(&instance, "grow", 1), all);
    assert_int_equal(call_well(&instance, "grow", UINT32_MAX), all);
    assert_int_equal(call_well(&instance, "grow", 0), 65536);
    assert_int_equal(call_well(&instance, "size", 0), 65536);
    assert_int_equal(call_well(&instance, "load8", UINT32_MAX), 7);
    native_instance_destroy(&instance);
}

static void test_hole_6_grow_within_a_maximum(void **state)
{
    (void)state;
    struct native_instance instance =
        load(wat("(module (memory 1 3) (func (export \"grow\") (param i32) (result i32)"
                 " (memory.grow (local.get 0))))"));
    assert_int_equal(call_well(&instance, "grow", 3), UINT32_MAX);
    assert_int_equal(call_well(&instance, "grow", 1), 1);
    assert_int_equal(call_well(&instance, "grow", 1), 2);
    assert_int_equal(call_well(&instance, "grow", 1), UINT32_MAX);
    assert_int_equal(call_well(&instance, "grow", UINT32_MAX), UINT32_MAX);
    assert_int_equal(call_well(&instance, "grow", UINT32_MAX - 2), UINT32_MAX); /* 3 + that wraps */
    assert_int_equal(call_well(&instance, "grow", 0), 3);
    native_instance_destroy(&instance);
}

/* ---- 12, 13: what wabt's validator lets through ---------------------------------------------- */

static void test_hole_13_typed_select(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t size;
        const char *message;
    } rows[] = {
        /* i64 values selected as i32 */
        {"\0\x42\0\x42\0\x41\0\x1c\x01\x7f\x1a\x0b", 12, "type mismatch"},
        {"\0\x41\0\x42\0\x41\0\x1c\x01\x7f\x1a\x0b", 12, "type mismatch"},
        /* an i32 that is then used as i64 */
        {"\0\x41\0\x41\0\x41\0\x1c\x01\x7f\x42\0\x7c\x1a\x0b", 15, "type mismatch"},
        /* no type, two types */
        {"\0\x41\0\x41\0\x41\0\x1c\x00\x1a\x0b", 11, "invalid result arity"},
        {"\0\x41\0\x41\0\x41\0\x1c\x02\x7f\x7f\x1a\x0b", 13, "invalid result arity"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_refused(module_with_body(sm_slice(rows[i].body, rows[i].size)),
                       SMELT_STATUS_MODULE_INVALID, rows[i].message);
    }
}

static void test_hole_12_proposals_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "(module (func (local v128)))",
        "(module (func (drop (v128.const i32x4 0 0 0 0))))",
        "(module (memory 1) (func (drop (v128.load (i32.const 0)))))",
        "(module (table 1 externref) (type (func)) (func (call_indirect (type 0) (i32.const 0))))",
        "(module (table 1 funcref) (table 1 funcref))",
        "(module (func (drop (ref.null func))))",
        "(module (table 1 funcref) (func (drop (table.grow 0 (ref.null func) (i32.const 1)))))",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_refused(wat(texts[i]), SMELT_STATUS_MODULE_FEATURE, "proposal");
    }
}

/* ---- 16: decimal commas ---------------------------------------------------------------------- */

static bool set_locale(const char *name)
{
    if (setlocale(LC_ALL, name) == NULL || localeconv()->decimal_point[0] != ',') {
        return false;
    }
    assert_int_equal(setenv("LC_ALL", name, 1), 0);
    return true;
}

/* Makes a locale with decimal commas when the machine has none. False when that cannot be done. */
static bool set_comma_locale(void)
{
    if (set_locale("de_DE.UTF-8") || set_locale("fr_FR.UTF-8")) {
        return true;
    }
    char command[2 * PATH_MAX + 128];
    (void)snprintf(command, sizeof(command),
                   "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >%s/log 2>&1", directory, directory);
    assert_int_equal(setenv("LOCPATH", directory, 1), 0);
    /* NOLINTNEXTLINE(cert-env33-c): a fixed command on a directory of ours */
    if (system(command) == 0 && set_locale("de_DE.UTF-8")) {
        return true;
    }
    assert_int_equal(unsetenv("LOCPATH"), 0);
    return false;
}

static void test_hole_16_decimal_commas(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bits;
    } rows[] = {
        {"1.5", 0x3ff8000000000000},    {"-0.1", 0xbfb999999999999a},
        {"1e-300", 0x01a56e1fc2f8f359}, {"0x1.fffffffffffffp+1023", 0x7fefffffffffffff},
        {"0x0.0000000000001p-1022", 1}, {"123456789.125", 0x419d6f3454800000},
    };
    char *saved = getenv("LC_ALL") != NULL ? strdup(getenv("LC_ALL")) : NULL;
    if (!set_comma_locale()) {
        free(saved);
        skip();
    }
    struct smelt_buf text = {0};
    assert_true(sm_buf_printf(&text, "(module"));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(
            sm_buf_printf(&text,
                          " (func (export \"d%zu\") (param i32) (result f64) (f64.const %s))"
                          " (func (export \"f%zu\") (param i32) (result f32)"
                          "   (f32.demote_f64 (f64.const %s)))",
                          i, rows[i].text, i, rows[i].text));
    }
    assert_true(sm_buf_printf(&text, " (func (export \"f\") (param i32) (result f32)"
                                     " (f32.const 0.1)))") &&
                sm_buf_append_u8(&text, 0));
    struct native_instance instance = load(wat((const char *)text.data));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "d%zu", i);
        assert_int_equal(call_well(&instance, name, 0), rows[i].bits);
    }
    assert_int_equal(call_well(&instance, "f", 0), 0x3dcccccd);
    native_instance_destroy(&instance);
    smelt_buf_deinit(&text);
    (void)setlocale(LC_ALL, "C");
    (void)unsetenv("LOCPATH");
    (void)(saved != NULL ? setenv("LC_ALL", saved, 1) : unsetenv("LC_ALL"));
    free(saved);
}

/* ---- 17: recursion --------------------------------------------------------------------------- */

/* Recursions that an optimiser likes to turn into loops, or into nothing. */
static const char recursions[] =
    "(table 1 funcref) (elem (i32.const 0) $table)"
    "(func $bare (export \"bare\") (call $bare))"
    "(func $value (export \"value\") (param i32) (result i32) (call $value (local.get 0)))"
    "(func $sum (export \"sum\") (param i32) (result i32)"
    "  (i32.add (i32.const 1) (call $sum (i32.add (local.get 0) (i32.const 1)))))"
    "(func $three (export \"three\") (call $four)) (func $four (call $five))"
    "(func $five (call $three))"
    "(func $twice (export \"twice\") (call $twice) (call $twice))"
    "(func $loop (export \"loop\") (loop (call $loop) (br 0)))"
    "(func $table (export \"table\") (call_indirect (i32.const 0)))"
    "(func $down (export \"down\") (param i32) (result i32)"
    "  (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))"
    "    (else (call $down (i32.sub (local.get 0) (i32.const 1))))))";

/* `padding` nops in a function of their own put the module over the size that is optimised. */
static void check_recursions(unsigned padding)
{
    static const char *const names[] = {"bare",  "value", "sum",   "three",
                                        "twice", "loop",  "table", "down"};
    struct smelt_buf text = {0};
    assert_true(sm_buf_printf(&text, "(module %s (func (export \"n\")", recursions));
    for (unsigned i = 0; i < padding; i++) {
        append(&text, " nop", 4);
    }
    append(&text, "))", 3);
    struct native_instance instance = load(wat((const char *)text.data));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_traps(&instance, names[i], 10000000, 0, 0, SMELT_TRAP_STACK_OVERFLOW);
        /* and again: the stack was given back */
        assert_traps(&instance, names[i], 10000000, 0, 0, SMELT_TRAP_STACK_OVERFLOW);
    }
    native_instance_destroy(&instance);
    smelt_buf_deinit(&text);
}

static void test_hole_17_recursion_optimised(void **state)
{
    (void)state;
    check_recursions(0);
}

static void test_hole_17_recursion_not_optimised(void **state)
{
    (void)state;
    check_recursions(40000);
}

/* How deep it goes is the same on both. */
static void test_hole_17_depth_does_not_depend_on_optimisation(void **state)
{
    (void)state;
    uint64_t depths[2];
    for (int is_large = 0; is_large < 2; is_large++) {
        struct smelt_buf text = {0};
        assert_true(sm_buf_printf(
            &text, "(module (global $depth (mut i32) (i32.const 0))"
                   " (func $f (export \"f\") (param i32)"
                   "   (global.set $depth (i32.add (global.get $depth) (i32.const 1)))"
                   "   (call $f (local.get 0)))"
                   " (func (export \"depth\") (param i32) (result i32) (global.get $depth))"
                   " (func (export \"n\")"));
        for (unsigned i = 0; is_large && i < 40000; i++) {
            append(&text, " nop", 4);
        }
        append(&text, "))", 3);
        struct native_instance instance = load(wat((const char *)text.data));
        assert_traps(&instance, "f", 0, 0, 0, SMELT_TRAP_STACK_OVERFLOW);
        depths[is_large] = call_well(&instance, "depth", 0);
        native_instance_destroy(&instance);
        smelt_buf_deinit(&text);
    }
    assert_true(depths[0] > 1000);
    assert_int_equal(depths[0], depths[1]);
}

/* ---- 18: bulk operations and segments -------------------------------------------------------- */

static void test_hole_18_bulk_operations_at_the_edges(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t slots[3];
        bool traps;
    } rows[] = {
        {"fill", {0, 0}, false},
        {"fill", {65536, 0}, false},
        {"fill", {65537, 0}, true},
        {"fill", {65535, 1}, false},
        {"fill", {65535, 2}, true},
        {"fill", {UINT32_MAX, 0}, true},
        {"fill", {1, UINT32_MAX}, true}, /* the sum wraps in 32 bits */
        {"copy", {65536, 65536, 0}, false},
        {"copy", {65537, 0, 0}, true},
        {"copy", {0, 65537, 0}, true},
        {"copy", {65535, 0, 2}, true},
        {"copy", {0, 65535, 2}, true},
        {"copy", {1, 1, UINT32_MAX}, true},
        {"copy", {1, 0, 65535}, false},
    };
    struct native_instance instance = load(wat(growing));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t slots[4] = {rows[i].slots[0], rows[i].slots[1], rows[i].slots[2]};
        struct sm_exec_result result = call(&instance, rows[i].name, slots);
        assert_int_equal(result.end, rows[i].traps ? SM_EXEC_TRAPPED : SM_EXEC_RETURNED);
        assert_int_equal(result.trap,
                         rows[i].traps ? SMELT_TRAP_MEMORY_OUT_OF_BOUNDS : SMELT_TRAP_NONE);
    }
    native_instance_destroy(&instance);
}

/* Dropped segments, by data.drop or because they were active, have no bytes left; dropping once
 * more does nothing. */
static void test_dropped_segments(void **state)
{
    (void)state;
    static const char text[] =
        "(module (memory 1) (table 4 funcref) (func $f)"
        " (data $active (i32.const 0) \"abc\") (data $empty \"\") (data $passive \"xyz\")"
        " (elem $e_active (i32.const 0) $f) (elem $e_empty func) (elem $e_passive func $f $f)"
        " (elem $e_declared declare func $f) (elem $e_null funcref (ref.null func))"
#define SEGMENT(kind, name)                                                                        \
    " (func (export \"" name "\") (param i32 i32 i32)"                                             \
    "   (" kind ".init $" name " (local.get 0) (local.get 1) (local.get 2)))"
#define DROP(kind, name) " (func (export \"drop_" name "\") (" kind ".drop $" name "))"
        SEGMENT("memory", "active") SEGMENT("memory", "empty") SEGMENT("memory", "passive")
            SEGMENT("table", "e_active") SEGMENT("table", "e_empty") SEGMENT("table", "e_passive")
                SEGMENT("table", "e_declared") SEGMENT("table", "e_null") DROP("data", "active")
                    DROP("data", "empty") DROP("data", "passive") DROP("elem", "e_active")
                        DROP("elem", "e_empty") DROP("elem", "e_passive") DROP("elem", "e_declared")
                            DROP("elem", "e_null") " (func (export \"byte\") (param i32) (result "
                                                   "i32) (i32.load8_u (local.get 0)))"
                                                   " (func (export \"call\") (param i32) "
                                                   "(call_indirect (local.get 0))))";
    static const struct {
        const char *name;
        uint32_t size; /* of the segment while it is there */
        enum smelt_trap trap;
    } rows[] = {
        {"active", 0, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS},
        {"empty", 0, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS},
        {"passive", 3, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS},
        {"e_active", 0, SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
        {"e_empty", 0, SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
        {"e_passive", 2, SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
        {"e_declared", 0, SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
        {"e_null", 1, SMELT_TRAP_TABLE_OUT_OF_BOUNDS},
    };
    struct native_instance instance = load(wat(text));
    assert_int_equal(call_well(&instance, "byte", 1), 'b');
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char drop[32];
        uint64_t slots[4] = {1, 0, rows[i].size};
        (void)snprintf(drop, sizeof(drop), "drop_%s", rows[i].name);
        assert_int_equal(call(&instance, rows[i].name, slots).end, SM_EXEC_RETURNED);
        assert_traps(&instance, rows[i].name, 1, 0, rows[i].size + 1, rows[i].trap);
        assert_traps(&instance, rows[i].name, 1, rows[i].size + 1, 0, rows[i].trap);
        assert_traps(&instance, rows[i].name, 1, UINT32_MAX, 2, rows[i].trap);
        for (int times = 0; times < 2; times++) {
            assert_int_equal(call(&instance, drop, slots).end, SM_EXEC_RETURNED);
            slots[0] = 1;
            slots[1] = 0;
            slots[2] = 0;
            assert_int_equal(call(&instance, rows[i].name, slots).end, SM_EXEC_RETURNED);
            assert_traps(&instance, rows[i].name, 1, 0, 1, rows[i].trap);
            assert_traps(&instance, rows[i].name, 1, 1, 0, rows[i].trap);
        }
    }
    assert_int_equal(call_well(&instance, "byte", 1), 'x'); /* from $passive */
    assert_traps(&instance, "call", 3, 0, 0, SMELT_TRAP_UNINITIALIZED_ELEMENT);
    assert_traps(&instance, "call", 1, 0, 0, SMELT_TRAP_UNINITIALIZED_ELEMENT); /* $e_null */
    uint64_t slots[1] = {2};
    assert_int_equal(call(&instance, "call", slots).end, SM_EXEC_RETURNED);
    native_instance_destroy(&instance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hole_1_export_names_are_not_code),
        cmocka_unit_test(test_hole_1_import_names_are_not_code),
        cmocka_unit_test(test_holes_1_and_19_debug_names_are_not_code),
        cmocka_unit_test(test_hole_2_local_index_of_the_name_section),
        cmocka_unit_test(test_hole_3_deep_nesting_is_refused),
        cmocka_unit_test(test_hole_4_many_locals_are_refused),
        cmocka_unit_test(test_hole_5_indentation_is_limited),
        cmocka_unit_test(test_hole_5_nested_ifs_at_the_limit),
        cmocka_unit_test(test_hole_6_grow_to_65536_pages),
        cmocka_unit_test(test_hole_6_grow_within_a_maximum),
        cmocka_unit_test(test_hole_12_proposals_are_refused),
        cmocka_unit_test(test_hole_13_typed_select),
        cmocka_unit_test(test_hole_16_decimal_commas),
        cmocka_unit_test(test_hole_17_recursion_optimised),
        cmocka_unit_test(test_hole_17_recursion_not_optimised),
        cmocka_unit_test(test_hole_17_depth_does_not_depend_on_optimisation),
        cmocka_unit_test(test_hole_18_bulk_operations_at_the_edges),
        cmocka_unit_test(test_dropped_segments),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
