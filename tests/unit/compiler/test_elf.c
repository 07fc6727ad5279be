/* ELF files from the real compiler and linker: frames of objects, and the audit with one shared
 * object per thing that it must not let through. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "compiler/driver/elf.h"
#include "compiler/driver/process.h"
#include "compiler/driver/toolchain.h"
#include "compiler/driver/workdir.h"
#include "tests/support/cmocka_all.h"

#include <stdio.h>
#include <string.h>

#define SYMBOL "smelt_descriptor"

static void run(const struct sm_workdir *workdir, const char *path, const char *const *argv)
{
    const struct sm_process process = {.path = path, .argv = argv, .directory = workdir->path};
    struct sm_process_result result;
    struct smelt_error err = {0};
    if (sm_process_run(&process, &result, &err) != SMELT_STATUS_OK ||
        sm_process_expect_success(&result, argv[0], &err) != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
    sm_process_result_deinit(&result);
}

/* Splits `words` at spaces into the arguments from `count` on. */
static void add_words(char *words, const char **argv, size_t *count)
{
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[(*count)++] = word;
    }
    argv[*count] = NULL;
}

struct built {
    struct smelt_buf object;
    struct smelt_buf shared;
};

/* `linker` NULL: object only. Both lists of flags are separated by spaces. */
static struct built build(const char *source, const char *compiler, const char *linker)
{
    struct built built = {0};
    struct sm_workdir workdir = {0};
    char clang[SM_TOOL_PATH_BYTES];
    char lld[SM_TOOL_PATH_BYTES];
    char words[512];
    assert_int_equal(sm_toolchain_find(SM_TOOL_CC, NULL, clang, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_toolchain_find_linker(clang, lld, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_workdir_create(&workdir, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_workdir_write(&workdir, "a.c", smelt_slice_from_string(source), NULL),
                     SMELT_STATUS_OK);
    const char *compile[32] = {"clang",
                               "-std=gnu17",
                               "-ffreestanding",
                               "-c",
                               "-fvisibility=hidden",
                               "-fstack-size-section",
                               "-O0",
                               "a.c",
                               "-o",
                               "a.o"};
    size_t count = 10;
    (void)snprintf(words, sizeof(words), "%s", compiler);
    add_words(words, compile, &count);
    run(&workdir, clang, compile);
    assert_int_equal(sm_workdir_read(&workdir, "a.o", &built.object, NULL), SMELT_STATUS_OK);
    if (linker != NULL) {
        bool is_program = strncmp(linker, "-pie", 4) == 0;
        const char *link[32] = {
            "ld.lld", is_program ? "-pie" : "-shared", "-Bsymbolic", "-znow", "a.o", "-o", "a.so"};
        count = 7;
        (void)snprintf(words, sizeof(words), "%s", linker);
        add_words(words, link, &count);
        run(&workdir, lld, link);
        assert_int_equal(sm_workdir_read(&workdir, "a.so", &built.shared, NULL), SMELT_STATUS_OK);
    }
    sm_workdir_remove(&workdir);
    return built;
}

static void built_deinit(struct built *built)
{
    smelt_buf_deinit(&built->object);
    smelt_buf_deinit(&built->shared);
}

/* ---- audit ----------------------------------------------------------------------------------- */

/* A descriptor with a pointer in it, so that there are relocations. */
#define DESCRIPTOR                                                                                 \
    "static int f(void) { return 1; }"                                                             \
    "__attribute__((visibility(\"default\"), used)) const struct { int (*f)(void); } " SYMBOL      \
    " = {f};"

static const struct audit_row {
    const char *what;
    const char *source;
    const char *compiler;
    const char *linker;
    const char *message; /* NULL: accepted */
} rows[] = {
    {"a good one", DESCRIPTOR, "-fPIC", "", NULL},
    {"with unwind tables", DESCRIPTOR, "-fPIC -fasynchronous-unwind-tables", "", NULL},
    {"without relocations", "__attribute__((visibility(\"default\"))) const int " SYMBOL " = 1;",
     "-fPIC", "", NULL},
    {"optimised, stripped", DESCRIPTOR, "-fPIC -O2", "-s", NULL},
    {"another hash", DESCRIPTOR, "-fPIC", "--hash-style=both", NULL},
    {"DT_NEEDED", DESCRIPTOR, "-fPIC",
     "-L/lib/x86_64-linux-gnu -L/lib/aarch64-linux-gnu -l:libc.so.6", "needs another library"},
    {"an undefined function", DESCRIPTOR "int g(void); int h(void) { return g(); }", "-fPIC", "",
     "has the undefined symbol g"},
    {"an undefined object", DESCRIPTOR "extern int errno_; int *h(void) { return &errno_; }",
     "-fPIC", "", "has the undefined symbol errno_"},
    {"a weak undefined symbol",
     DESCRIPTOR "__attribute__((weak, visibility(\"default\"))) int g(void);"
                " int h(void) { return g(); }",
     "-fPIC", "", "has the undefined symbol g"},
    {"a constructor", DESCRIPTOR "__attribute__((constructor)) static void g(void) {}", "-fPIC", "",
     "has an initialiser array"},
    {"a destructor", DESCRIPTOR "__attribute__((destructor)) static void g(void) {}", "-fPIC", "",
     "has a finaliser array"},
    {"an initialiser", DESCRIPTOR "void _init(void) {}", "-fPIC", "-init=_init",
     "has an initialiser"},
    {"a finaliser", DESCRIPTOR "void _fini(void) {}", "-fPIC", "-fini=_fini", "has a finaliser"},
    {"text relocations", DESCRIPTOR "__asm__(\".pushsection .text\\n.quad f\\n.popsection\");",
     "-fPIC", "-znotext", "has text relocations"},
    {"a library path", DESCRIPTOR, "-fPIC", "-rpath /tmp", "has a library path"},
    {"an old library path", DESCRIPTOR, "-fPIC", "-rpath /tmp --disable-new-dtags",
     "has a library path"},
    {"a filter", DESCRIPTOR, "-fPIC", "-F libc.so.6", "names a filter"},
    {"an auxiliary filter", DESCRIPTOR, "-fPIC", "-f libc.so.6", "names a filter"},
    {"a writable and executable segment", DESCRIPTOR "int x = 1;", "-fPIC", "-N -znognustack",
     "writable and executable"},
    {"an executable stack", DESCRIPTOR, "-fPIC", "-zexecstack", "writable and executable"},
    {"another function exported",
     DESCRIPTOR "__attribute__((visibility(\"default\"))) int g(void) { return 1; }", "-fPIC", "",
     "exports g"},
    {"another object exported", DESCRIPTOR "__attribute__((visibility(\"default\"))) int g = 1;",
     "-fPIC", "", "exports g"},
    {"nothing exported", "const int hidden = 1;", "-fPIC", "", "does not export its descriptor"},
    {"the descriptor as a function",
     "__attribute__((visibility(\"default\"))) void " SYMBOL "(void) {}", "-fPIC", "",
     "exports " SYMBOL},
    {"thread-local storage", DESCRIPTOR "_Thread_local int t = 1; int g(void) { return t; }",
     "-fPIC", "", "thread-local storage"},
    {"an indirect function",
     DESCRIPTOR "static int g(void) { return 1; } static void *pick(void) { return g; }"
                "__attribute__((ifunc(\"pick\"))) int h(void); int i(void) { return h(); }",
     "-fPIC", "", "not RELATIVE"},
    {"a symbolic relocation",
     DESCRIPTOR "__attribute__((visibility(\"default\"))) int g; int *p = &g;", "-fPIC", "",
     "exports g"},
    {"packed relocations", DESCRIPTOR "static int x; int *const p[2] = {&x, &x};", "-fPIC",
     "--pack-dyn-relocs=relr", "not RELATIVE"},
};

static void test_audit(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_error err = {0};
        struct built built = build(rows[i].source, rows[i].compiler, rows[i].linker);
        enum smelt_status status = sm_elf_audit(sm_buf_slice(&built.shared), SYMBOL, &err);
        if (rows[i].message == NULL ? status != SMELT_STATUS_OK
                                    : status != SMELT_STATUS_TOOL_OUTPUT ||
                                          strstr(err.message, rows[i].message) == NULL) {
            fail_msg("%s: %s, %s", rows[i].what, smelt_status_name(status), err.message);
        }
        built_deinit(&built);
    }
}

static void test_audit_of_other_files(void **state)
{
    (void)state;
    struct built built = build(DESCRIPTOR, "-fPIC", "");
    struct built program =
        build(DESCRIPTOR "void _start(void) {}", "-fPIC", "-pie -dynamic-linker /lib/ld.so");
    struct smelt_error err = {0};
    assert_int_equal(sm_elf_audit(sm_slice(NULL, 0), SYMBOL, &err), SMELT_STATUS_TOOL_OUTPUT);
    assert_int_equal(sm_elf_audit(smelt_slice_from_string("#!/bin/sh\n"), SYMBOL, &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    assert_int_equal(sm_elf_audit(smelt_slice_from_string("!<arch>\n"), SYMBOL, &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    assert_int_equal(sm_elf_audit(sm_buf_slice(&built.object), SYMBOL, &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    assert_non_null(strstr(err.message, "is not a shared object"));
    assert_int_equal(sm_elf_audit(sm_buf_slice(&program.shared), SYMBOL, &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    assert_string_equal(err.message, "the compiled object names an interpreter");
    assert_int_equal(sm_elf_audit(sm_buf_slice(&built.shared), "other", &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    assert_string_equal(err.message, "the compiled object exports " SYMBOL);
    built_deinit(&built);
    built_deinit(&program);
}

/* The dynamic linker does not read section headers, so nothing may pass by having none, or others
 * than those that count. */
static void test_audit_without_sections(void **state)
{
    (void)state;
    struct built built =
        build(DESCRIPTOR "__attribute__((visibility(\"default\"))) int g = 1;", "-fPIC", "");
    struct built good = build(DESCRIPTOR, "-fPIC", "");
    struct smelt_error err = {0};
    /* e_shoff, e_shnum, e_shstrndx */
    static const size_t fields[] = {0x28, 0x3c, 0x3e};
    static const size_t sizes[] = {8, 2, 2};
    for (size_t i = 0; i < 3; i++) {
        memset(built.shared.data + fields[i], 0, sizes[i]);
        memset(good.shared.data + fields[i], 0, sizes[i]);
    }
    assert_int_equal(sm_elf_audit(sm_buf_slice(&built.shared), SYMBOL, &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    assert_int_equal(sm_elf_audit(sm_buf_slice(&good.shared), SYMBOL, &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    assert_non_null(strstr(err.message, "no section for a table"));
    built_deinit(&built);
    built_deinit(&good);
}

/* Offset of the header of the first section of `type`. */
static size_t section_header(const struct smelt_buf *elf, uint32_t type)
{
    size_t table = (size_t)sm_load_le64(elf->data + 0x28);
    for (size_t i = 0; i < (elf->data[0x3c] | (size_t)elf->data[0x3d] << 8); i++) {
        if (sm_load_le32(elf->data + table + 64 * i + 4) == type) {
            return table + 64 * i;
        }
    }
    fail_msg("no section of type %u", type);
    return 0;
}

static void test_audit_of_changed_sections(void **state)
{
    (void)state;
    enum {
        RELA = 4,
        DYNSYM = 11,
        OTHER = 1,
        TYPE = 4,
        ADDRESS = 16,
        OFFSET = 24,
        SIZE = 32,
        ENTRY = 56
    };
    static const struct {
        const char *what;
        uint32_t section;
        size_t field;
        uint64_t add;
    } changes[] = {
        {"symbols of another type", DYNSYM, TYPE, (uint64_t)OTHER - DYNSYM},
        {"symbols of another address", DYNSYM, ADDRESS, 24},
        {"symbols at another offset", DYNSYM, OFFSET, 24},
        {"symbols outside of the file", DYNSYM, OFFSET, UINT64_C(1) << 40},
        {"symbols without a size", DYNSYM, ENTRY, (uint64_t)-24},
        {"symbols past the end", DYNSYM, SIZE, UINT64_C(1) << 40},
        {"fewer symbols", DYNSYM, SIZE, (uint64_t)-24},
        {"relocations of another type", RELA, TYPE, (uint64_t)OTHER - RELA},
        {"relocations of another address", RELA, ADDRESS, 24},
        {"fewer relocations", RELA, SIZE, (uint64_t)-24},
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct built built = build(DESCRIPTOR, "-fPIC", "");
        uint8_t *field = built.shared.data + section_header(&built.shared, changes[i].section) +
                         changes[i].field;
        if (changes[i].field == TYPE) {
            sm_store_le32(field, sm_load_le32(field) + (uint32_t)changes[i].add);
        } else {
            sm_store_le64(field, sm_load_le64(field) + changes[i].add);
        }
        if (sm_elf_audit(sm_buf_slice(&built.shared), SYMBOL, NULL) != SMELT_STATUS_TOOL_OUTPUT) {
            fail_msg("%s were accepted", changes[i].what);
        }
        built_deinit(&built);
    }
}

/* Garbage in, verdict out: every truncation and every byte set to 0xff, under the sanitizers. */
static void test_audit_of_damaged_files(void **state)
{
    (void)state;
    struct built built = build(DESCRIPTOR, "-fPIC", "-s");
    unsigned accepted = 0;
    for (size_t size = 0; size < built.shared.size; size += 7) {
        struct smelt_buf cut = {0};
        assert_true(sm_buf_append(&cut, built.shared.data, size));
        accepted += sm_elf_audit(sm_buf_slice(&cut), SYMBOL, NULL) == SMELT_STATUS_OK;
        smelt_buf_deinit(&cut);
    }
    assert_int_equal(accepted, 0);
    for (size_t at = 0; at < built.shared.size; at += at < 1024 ? 1 : 61) {
        uint8_t before = built.shared.data[at];
        built.shared.data[at] = 0xff;
        (void)sm_elf_audit(sm_buf_slice(&built.shared), SYMBOL, NULL);
        built.shared.data[at] = before;
    }
    built_deinit(&built);
}

/* ---- frames ---------------------------------------------------------------------------------- */

struct frames {
    uint64_t small;
    uint64_t large;
    unsigned count;
};

static void visit(void *context, const char *name, uint64_t bytes)
{
    struct frames *frames = (struct frames *)context;
    frames->small = strcmp(name, "small") == 0 ? bytes : frames->small;
    frames->large = strcmp(name, "large") == 0 ? bytes : frames->large;
    frames->count++;
}

#define FUNCTIONS                                                                                  \
    "int small(void) { return 1; }"                                                                \
    "int large(int i) { volatile char a[5000]; a[i] = 1; return a[i]; }"                           \
    "static int inner(void) { return 2; } int other(void) { return inner(); }"

static void test_frames(void **state)
{
    (void)state;
    static const char *const flags[] = {"-fPIC", "-fPIC -ffunction-sections", "-fPIC -O1"};
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct built built = build(FUNCTIONS, flags[i], NULL);
        struct frames frames = {0};
        assert_int_equal(sm_elf_read_frames(sm_buf_slice(&built.object), visit, &frames, NULL),
                         SMELT_STATUS_OK);
        assert_true(frames.small >= 8 && frames.small < 64); /* at least the return address */
        /* a leaf may use the 128 bytes below its frame too, which are not counted */
        assert_true(frames.large >= 5000 - 128 && frames.large < 5200);
        assert_int_equal(frames.count, i == 2 ? 3 : 4);
        built_deinit(&built);
    }
}

static void test_frames_of_other_files(void **state)
{
    (void)state;
    struct built without = build(FUNCTIONS, "-fPIC -fno-stack-size-section", NULL);
    struct built empty = build("const int data = 1;", "-fPIC", NULL);
    struct frames frames = {0};
    struct smelt_error err = {0};
    assert_int_equal(sm_elf_read_frames(sm_buf_slice(&without.object), visit, &frames, &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    assert_non_null(strstr(err.message, "has no .stack_sizes section"));
    assert_int_equal(sm_elf_read_frames(sm_buf_slice(&empty.object), visit, &frames, &err),
                     SMELT_STATUS_OK);
    assert_int_equal(frames.count, 0);
    assert_int_equal(sm_elf_read_frames(smelt_slice_from_string("int main;"), visit, &frames, &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    built_deinit(&without);
    built_deinit(&empty);
}

/* A section of type NOBITS has a size, and no bytes to read. */
static void test_frames_without_bytes(void **state)
{
    (void)state;
    enum { RELA = 4, NOBITS = 8, TYPE = 4, INFO = 44, HEADER = 64 };
    struct built built = build(FUNCTIONS, "-fPIC", NULL);
    struct frames frames = {0};
    struct smelt_error err = {0};
    uint8_t *table = built.object.data + sm_load_le64(built.object.data + 0x28);
    size_t count = built.object.data[0x3c];
    for (size_t i = 0; i < count; i++) {
        if (sm_load_le32(table + HEADER * i + TYPE) == RELA) {
            uint8_t *target = table + (size_t)HEADER * sm_load_le32(table + HEADER * i + INFO);
            sm_store_le32(target + TYPE, NOBITS);
        }
    }
    assert_int_equal(sm_elf_read_frames(sm_buf_slice(&built.object), visit, &frames, &err),
                     SMELT_STATUS_TOOL_OUTPUT);
    assert_non_null(strstr(err.message, "has an unreadable section"));
    built_deinit(&built);
}

static void test_frames_of_damaged_files(void **state)
{
    (void)state;
    struct built built = build(FUNCTIONS, "-fPIC", NULL);
    struct frames frames = {0};
    for (size_t at = 0; at < built.object.size; at++) {
        uint8_t before = built.object.data[at];
        built.object.data[at] = 0xff;
        (void)sm_elf_read_frames(sm_buf_slice(&built.object), visit, &frames, NULL);
        built.object.data[at] = before;
    }
    for (size_t size = 0; size < built.object.size; size += 3) {
        struct smelt_buf cut = {0};
        assert_true(sm_buf_append(&cut, built.object.data, size));
        (void)sm_elf_read_frames(sm_buf_slice(&cut), visit, &frames, NULL);
        smelt_buf_deinit(&cut);
    }
    built_deinit(&built);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct built built = build(FUNCTIONS DESCRIPTOR, "-fPIC", "");
    struct frames frames = {0};
    size_t blocks = sm_alloc_blocks();
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    for (size_t nth = 1; status == SMELT_STATUS_NO_MEMORY; nth++) {
        sm_alloc_fail_at(nth);
        status = sm_elf_read_frames(sm_buf_slice(&built.object), visit, &frames, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_int_equal(status, SMELT_STATUS_OK);
    sm_alloc_fail_at(1);
    status = sm_elf_audit(sm_buf_slice(&built.shared), SYMBOL, NULL);
    sm_alloc_fail_at(0);
    assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    assert_int_equal(sm_alloc_blocks(), blocks);
    built_deinit(&built);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_audit),
        cmocka_unit_test(test_audit_of_other_files),
        cmocka_unit_test(test_audit_without_sections),
        cmocka_unit_test(test_audit_of_changed_sections),
        cmocka_unit_test(test_audit_of_damaged_files),
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_frames_of_other_files),
        cmocka_unit_test(test_frames_without_bytes),
        cmocka_unit_test(test_frames_of_damaged_files),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
