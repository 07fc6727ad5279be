/* See modules.h. */
#include "tests/unit/compiler/modules.h"

#include "base/fs.h"
#include "compiler/driver/process.h"
#include "compiler/driver/workdir.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX ((size_t)1 << 24)

struct smelt_buf test_wat(const char *text)
{
    struct smelt_buf wasm = {0};
    struct smelt_error err = {0};
    if (smelt_wat_to_wasm(smelt_slice_from_string(text), &wasm, &err) != SMELT_STATUS_OK) {
        fail_msg("%s in %.2000s", err.message, text);
    }
    return wasm;
}

/* Takes `wasm`. */
static void load(struct test_module *out, struct smelt_buf wasm)
{
    struct smelt_error err = {0};
    *out = (struct test_module){.wasm = wasm};
    if (sm_wasm_decode(sm_buf_slice(&wasm), &out->arena, &out->module, &err) != SMELT_STATUS_OK ||
        sm_wasm_validate(&out->module, &out->arena, &err) != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
}

void test_module_from_text(struct test_module *out, const char *text)
{
    load(out, test_wat(text));
}

void test_module_from_bytes(struct test_module *out, struct smelt_slice wasm)
{
    struct smelt_buf copy = {0};
    assert_true(sm_buf_assign(&copy, wasm));
    load(out, copy);
}

void test_module_deinit(struct test_module *module)
{
    smelt_buf_deinit(&module->wasm);
    sm_arena_deinit(&module->arena);
}

struct smelt_buf test_golden(const char *name)
{
    struct smelt_buf text = {0};
    struct smelt_error err = {0};
    char path[4096];
    assert_true(snprintf(path, sizeof(path), "%s/%s", SMELT_TEST_GOLDEN_DIR, name) <
                (int)sizeof(path));
    if (sm_fs_read_file(path, TEXT_BYTES_MAX, &text, &err) != SMELT_STATUS_OK ||
        !sm_buf_append_u8(&text, 0)) {
        fail_msg("%s", err.message);
    }
    text.size--;
    return text;
}

/* Replaces the value of every line `key = 0` by 1. */
static void set_to_one(struct smelt_buf *text, const char *const *keys)
{
    for (; *keys != NULL; keys++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "\n%s = 0\n", *keys);
        uint8_t *found = (uint8_t *)memmem(text->data, text->size, line, strlen(line));
        assert_non_null(found);
        found[strlen(line) - 2] = '1';
    }
}

struct smelt_schedule *test_schedule(const char *name)
{
    static const char *const free_in_unit[] = {
        "nop", "block", "loop", "else", "end", "grow_page", "bulk_per_unit", "bulk_per_unit", NULL};
    bool is_ones = strcmp(name, "ones") == 0;
    struct smelt_schedule *schedule = NULL;
    struct smelt_error err = {0};
    enum smelt_status status =
        smelt_schedule_builtin(is_ones ? "unit" : name, &smelt_profile_engine, &schedule, &err);
    if (status == SMELT_STATUS_OK && is_ones) {
        struct smelt_buf text = {0};
        assert_true(sm_buf_assign(&text, smelt_schedule_text(schedule)));
        set_to_one(&text, free_in_unit);
        smelt_schedule_destroy(schedule);
        status = smelt_schedule_parse(sm_buf_slice(&text), &smelt_profile_engine, &schedule, &err);
        smelt_buf_deinit(&text);
    }
    if (status != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
    return schedule;
}

bool test_tool(const char *const *argv, struct smelt_slice input, struct smelt_buf *output)
{
    enum { ARGUMENTS_MAX = 16 };
    /* env looks in the PATH of the tools, whatever ours is */
    const char *arguments[ARGUMENTS_MAX + 2] = {"env"};
    struct sm_workdir workdir = {0};
    struct sm_process_result result = {0};
    struct smelt_error err = {0};
    for (size_t i = 0; argv[i] != NULL; i++) {
        assert_true(i < ARGUMENTS_MAX);
        arguments[i + 1] = strcmp(argv[i], "@") == 0 ? "input" : argv[i];
    }
    assert_int_equal(sm_workdir_create(&workdir, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_workdir_write(&workdir, "input", input, NULL), SMELT_STATUS_OK);
    const struct sm_process process = {
        .path = "/usr/bin/env", .argv = arguments, .directory = workdir.path};
    if (sm_process_run(&process, &result, &err) != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
    sm_workdir_remove(&workdir);
    if (result.exit_code == 127) {
        fail_msg("%s is not installed", argv[0]);
    }
    bool is_good = result.exit_code == 0;
    if (output != NULL) {
        assert_true(sm_buf_assign(output, sm_buf_slice(is_good ? &result.output : &result.errors)));
    }
    sm_process_result_deinit(&result);
    return is_good;
}

bool test_is_valid(struct smelt_slice wasm, char *why, size_t why_size)
{
    static const char *const argv[] = {"wasm-validate", "@", NULL};
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    struct smelt_error err = {0};
    struct smelt_buf output = {0};
    why[0] = '\0';
    if (sm_wasm_decode(wasm, &arena, &module, &err) != SMELT_STATUS_OK ||
        sm_wasm_validate(&module, &arena, &err) != SMELT_STATUS_OK) {
        (void)snprintf(why, why_size, "ours: %s at 0x%llx", err.message, (long long)err.offset);
    } else if (!test_tool(argv, wasm, &output)) {
        (void)snprintf(why, why_size, "wasm-validate: %.*s", (int)output.size,
                       (const char *)output.data);
    }
    sm_arena_deinit(&arena);
    smelt_buf_deinit(&output);
    return why[0] == '\0';
}

void test_print(struct smelt_buf *out, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert_true(size >= 0 && (size_t)size < sizeof(text));
    /* the NUL goes along, and is overwritten by what follows */
    assert_true(sm_buf_append(out, text, (size_t)size + 1));
    out->size--;
}
