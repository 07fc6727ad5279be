/* What --explain-fuel says, executed. From each module two are made:
 *
 *   instrumented   by the compiler, with its charges
 *   explained      the module itself, with a charge of our own at the start of each explained block
 *
 * Both run in the interpreter, with the same calls; along every path the explained charges must add
 * up to what the instrumented module used.
 *
 *   test_oracle_explain <scratch directory> <directory>...
 *
 * Takes every .wat of the directories, expected outputs excepted. "m" "fuel" is imported by a line
 * put in front of what the text contains, so where the text counts functions by number it becomes
 * another program; when that is not valid, it is left out. Dynamic charges cost nothing here: they
 * are no blocks. Exit status: 0 equal everywhere, 1 not. */
#include "base/bytes.h"
#include "base/fs.h"
#include "compiler/instrument/instrument.h"
#include "compiler/wasm/encode.h"
#include "compiler/wasm/leb128.h"
#include "tests/oracle/oracle.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX ((size_t)1 << 20)
#define AMPLE_FUEL     200000u
#define VECTORS        6u
#define MODULE_HEADER  8u
#define CODE_SECTION   10

struct tally {
    unsigned modules;
    unsigned left_out;
    unsigned failed;
    uint64_t calls;
    uint64_t fuel;
};

static void require(bool is_good, const char *what)
{
    if (!is_good) {
        fprintf(stderr, "explain: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

/* ---- the explained module -------------------------------------------------------------------- */

struct rewrite {
    struct sm_wasm_module module;
    struct sm_encoder section; /* new bodies so far */
};

/* One body: as it was, with a charge before the first instruction of every block. */
static enum smelt_status rewrite_function(void *context, const struct smelt_fuel_func *func)
{
    struct rewrite *rewrite = (struct rewrite *)context;
    const struct sm_wasm_func *original = &rewrite->module.funcs[func->func_index];
    const uint8_t *start = rewrite->module.bytes.data;
    struct sm_encoder body = {0};
    uint32_t at = original->body_offset;
    uint32_t end = original->code_offset + (uint32_t)original->code.size;
    for (uint32_t i = 0; i < func->block_count; i++) {
        const struct smelt_fuel_block *block = &func->blocks[i];
        require(block->offset >= at && block->end > block->offset && block->end <= end,
                "blocks are not in order");
        sm_encode_bytes(&body, sm_slice(start + at, block->offset - at));
        sm_encode_op(&body, SM_OP_I64_CONST);
        sm_encode_signed(&body, (int64_t)block->charge);
        sm_encode_op(&body, SM_OP_CALL);
        sm_encode_u32(&body, 0);
        at = block->offset;
    }
    sm_encode_bytes(&body, sm_slice(start + at, end - at));
    sm_encode_sized(&rewrite->section, -1, &body);
    return SMELT_STATUS_OK;
}

static struct smelt_buf explain(const struct smelt_compiler *compiler, struct smelt_slice wasm)
{
    struct sm_arena arena = {0};
    struct rewrite rewrite = {0};
    struct sm_encoder out = {0};
    require(sm_wasm_decode(wasm, &arena, &rewrite.module, NULL) == SMELT_STATUS_OK, "decode");
    sm_encode_u32(&rewrite.section, rewrite.module.func_count - rewrite.module.imported_func_count);
    require(smelt_compiler_explain_fuel(compiler, wasm, rewrite_function, &rewrite, NULL) ==
                SMELT_STATUS_OK,
            "smelt_compiler_explain_fuel");
    sm_encode_bytes(&out, sm_slice(wasm.data, MODULE_HEADER));
    const uint8_t *end = wasm.data + wasm.size;
    for (const uint8_t *at = wasm.data + MODULE_HEADER; at != end;) {
        const uint8_t *section = at++;
        uint64_t size;
        require(sm_leb_read_unsigned(&at, end, 32, &size) == SM_LEB_OK, "section");
        at += size;
        if (*section == CODE_SECTION) {
            sm_encode_sized(&out, CODE_SECTION, &rewrite.section);
        } else {
            sm_encode_bytes(&out, sm_slice(section, (size_t)(at - section)));
        }
    }
    require(!out.is_short_of_memory, "memory");
    smelt_buf_deinit(&rewrite.section.out);
    sm_arena_deinit(&arena);
    return out.out;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static uint32_t count_exports(const struct sm_wasm_module *module)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < module->export_count; i++) {
        count += module->exports[i].kind == SM_WASM_EXTERNAL_FUNC;
    }
    return count;
}

static bool compare_calls(struct tally *tally, const char *name,
                          const struct sm_wasm_module *module, struct interpreter *instrumented,
                          struct interpreter *explained)
{
    uint32_t count = count_exports(module);
    bool is_good = true;
    for (uint32_t i = 0; is_good && i < count * VECTORS; i++) {
        struct oracle_call call = {
            .export_index = i / VECTORS, .fuel = AMPLE_FUEL, .seed = i % VECTORS};
        struct oracle_outcome expected;
        struct oracle_outcome found;
        for (uint32_t k = 0; k < ORACLE_VALUES_MAX; k++) {
            call.args[k] = k < 3 ? (i % VECTORS) * (k + 1) : 0;
        }
        interpreter_run(instrumented, &call, &expected);
        if (expected.trap == SMELT_TRAP_STACK_OVERFLOW) {
            continue; /* the explained module has no stack markers */
        }
        interpreter_run(explained, &call, &found);
        tally->calls++;
        tally->fuel += found.fuel_used;
        is_good = expected.end == found.end && expected.trap == found.trap &&
                  expected.fuel_used == found.fuel_used &&
                  /* the explained module has NaNs of any kind */
                  (module->uses_floats ||
                   memcmp(expected.results, found.results, sizeof(found.results)) == 0);
        if (!is_good) {
            printf("FAIL %s: export %" PRIu32 ", vector %" PRIu32 ": used %" PRIu64
                   ", the explained blocks add up to %" PRIu64 "\n",
                   name, call.export_index, i % VECTORS, expected.fuel_used, found.fuel_used);
        }
    }
    return is_good;
}

/* Opens both; NULL when wabt refuses the module. */
static struct interpreter *open_module(struct smelt_slice wasm)
{
    char problem[200];
    return interpreter_open(wasm, INTERPRETER_MARKED, problem, sizeof(problem));
}

static void compare_module(struct tally *tally, const struct smelt_compiler *compiler,
                           const char *name, const struct sm_wasm_module *module,
                           struct smelt_slice instrumented)
{
    struct smelt_slice wasm = module->bytes;
    struct smelt_buf explained = explain(compiler, wasm);
    struct interpreter *left = open_module(instrumented);
    struct interpreter *right = open_module(sm_buf_slice(&explained));
    tally->modules++;
    if (left == NULL || right == NULL) {
        printf("FAIL %s: wabt refuses the %s module\n", name,
               left == NULL ? "instrumented" : "explained");
        tally->failed++;
    } else {
        tally->failed += !compare_calls(tally, name, module, left, right);
    }
    if (left != NULL) {
        interpreter_close(left);
    }
    if (right != NULL) {
        interpreter_close(right);
    }
    smelt_buf_deinit(&explained);
}

/* No export is special, no memory gets a return page. */
static const struct smelt_profile profile = {.name = "explained", .version = 1};

static void check_module(struct tally *tally, const struct smelt_compiler *compiler,
                         const struct smelt_schedule *schedule, const char *name,
                         struct smelt_slice wasm)
{
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    struct sm_policy policy;
    struct sm_instrumented out = {0};
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, true);
    if (sm_wasm_decode(wasm, &arena, &module, NULL) != SMELT_STATUS_OK ||
        sm_wasm_validate(&module, &arena, NULL) != SMELT_STATUS_OK ||
        sm_gate_check(&module, &policy, &profile, NULL) != SMELT_STATUS_OK) {
        tally->left_out++;
    } else {
        require(sm_instrument(&module, &policy, &profile, schedule, &arena, &out, NULL) ==
                    SMELT_STATUS_OK,
                "sm_instrument");
        compare_module(tally, compiler, name, &module, sm_buf_slice(&out.wasm));
    }
    smelt_buf_deinit(&out.wasm);
    sm_arena_deinit(&arena);
}

/* The text with "m" "fuel" as its function 0. */
static struct smelt_buf read_module(const char *directory, const char *name)
{
    static const char opening[] = "(module";
    static const char import[] = " (import \"m\" \"fuel\" (func (param i64)))";
    char path[PATH_MAX];
    struct smelt_buf text = {0};
    struct smelt_buf changed = {0};
    struct smelt_buf wasm = {0};
    require(sm_fs_path(path, sizeof(path), NULL, "%s/%s", directory, name) == SMELT_STATUS_OK,
            "path");
    require(sm_fs_read_file(path, TEXT_BYTES_MAX, &text, NULL) == SMELT_STATUS_OK, path);
    const uint8_t *found = (const uint8_t *)memmem(text.data, text.size, opening, strlen(opening));
    require(found != NULL, path);
    size_t before = (size_t)(found - text.data) + strlen(opening);
    require(sm_buf_append(&changed, text.data, before) &&
                sm_buf_append(&changed, import, strlen(import)) &&
                sm_buf_append(&changed, text.data + before, text.size - before),
            "memory");
    require(smelt_wat_to_wasm(sm_buf_slice(&changed), &wasm, NULL) == SMELT_STATUS_OK, path);
    smelt_buf_deinit(&text);
    smelt_buf_deinit(&changed);
    return wasm;
}

static int is_input(const struct dirent *entry)
{
    const char *dot = strchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".wat") == 0;
}

static void check_directory(struct tally *tally, const struct smelt_compiler *compiler,
                            const struct smelt_schedule *schedule, const char *directory)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_input, alphasort);
    require(count > 0, directory);
    for (int i = 0; i < count; i++) {
        struct smelt_buf wasm = read_module(directory, entries[i]->d_name);
        check_module(tally, compiler, schedule, entries[i]->d_name, sm_buf_slice(&wasm));
        smelt_buf_deinit(&wasm);
        free(entries[i]);
    }
    free(entries);
}

/* engine-v1 without dynamic charges. */
static struct smelt_schedule *make_schedule(void)
{
    static const char *const keys[] = {"\ngrow_page = ", "\nbulk_per_unit = "};
    struct smelt_schedule *schedule = NULL;
    struct smelt_buf text = {0};
    require(smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &schedule, NULL) ==
                    SMELT_STATUS_OK &&
                sm_buf_assign(&text, smelt_schedule_text(schedule)),
            "schedule");
    smelt_schedule_destroy(schedule);
    for (size_t i = 0; i < 2; i++) {
        uint8_t *at = text.data;
        size_t size = strlen(keys[i]);
        while ((at = (uint8_t *)memmem(at, text.size - (size_t)(at - text.data), keys[i], size)) !=
               NULL) {
            for (at += size; *at >= '0' && *at <= '9'; at++) {
                *at = at[1] >= '0' && at[1] <= '9' ? ' ' : '0';
            }
        }
    }
    require(smelt_schedule_parse(sm_buf_slice(&text), &smelt_profile_engine, &schedule, NULL) ==
                SMELT_STATUS_OK,
            "schedule without dynamic charges");
    smelt_buf_deinit(&text);
    return schedule;
}

int main(int argc, char **argv)
{
    struct tally tally = {0};
    struct smelt_cache *cache = NULL;
    struct smelt_compiler *compiler = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: %s <scratch directory> <directory>...\n", argv[0]);
        return EXIT_FAILURE;
    }
    struct smelt_policy *floats = NULL;
    struct smelt_schedule *schedule = make_schedule();
    require(smelt_policy_builtin("standard-floats", &floats, NULL) == SMELT_STATUS_OK, "policy");
    require(smelt_cache_open(argv[1], &cache, NULL) == SMELT_STATUS_OK, argv[1]);
    const struct smelt_compiler_options options = {.cache = cache,
                                                   .schedule = schedule,
                                                   .profile = &profile,
                                                   .policy = floats,
                                                   .allows_any_import = true};
    require(smelt_compiler_create(&options, &compiler, NULL) == SMELT_STATUS_OK, "compiler");
    for (int i = 2; i < argc; i++) {
        check_directory(&tally, compiler, schedule, argv[i]);
    }
    printf("modules: %u, left out %u, failed %u; calls: %" PRIu64 ", fuel: %" PRIu64 "\n",
           tally.modules, tally.left_out, tally.failed, tally.calls, tally.fuel);
    smelt_compiler_destroy(compiler);
    smelt_policy_destroy(floats);
    smelt_schedule_destroy(schedule);
    smelt_cache_close(cache);
    return tally.failed == 0 && tally.calls > 100 ? EXIT_SUCCESS : EXIT_FAILURE;
}
