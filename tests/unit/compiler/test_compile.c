/* The pipeline as a whole: what runs and what does not, what is left when a tool misbehaves, and
 * that the bytes depend on the key alone. Tools are reached through scripts that keep a log. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "compiler/driver/toolchain.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <smelt/compiler.h>

#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OK SMELT_STATUS_OK

static const char *const variables[] = {"SMELT_WASM2C", "SMELT_CC", "SMELT_LD", "PATH", "TMPDIR",
                                        "LC_ALL",       "TZ",       "HOME",     "LANG"};
#define VARIABLE_COUNT (sizeof(variables) / sizeof(variables[0]))

struct world {
    char directory[PATH_MAX]; /* tools, log, tmp, cache */
    char *saved[VARIABLE_COUNT];
    char wasm2c[PATH_MAX]; /* the real tools */
    char clang[PATH_MAX];
    char linker[PATH_MAX];
    struct smelt_buf module;
    struct smelt_cache *cache;
    struct smelt_schedule *schedule;
    struct smelt_policy *floats; /* standard-floats */
    struct smelt_compiler_options options;
    unsigned warnings;
};

static const char contract[] =
    "(module (import \"env\" \"input_len\" (func $len (result i32))) (memory 1)"
    " (data (i32.const 0) \"data\")"
    " (func (export \"run\") (result i32) (i32.load (call $len))))";

static const char *in(const struct world *world, const char *name)
{
    return test_path(world->directory, name);
}

static void plant(const struct world *world, const char *tool, const char *script)
{
    char text[2 * PATH_MAX];
    char name[64];
    (void)snprintf(text, sizeof(text), "#!/bin/sh\necho %s $1 >>%s\n%s\n", tool, in(world, "log"),
                   script);
    (void)snprintf(name, sizeof(name), "tools/%s", tool);
    test_file_write(in(world, name), smelt_slice_from_string(text));
    assert_int_equal(chmod(in(world, name), 0700), 0);
}

static void plant_real(const struct world *world, const char *tool, const char *path)
{
    char script[PATH_MAX + 16];
    (void)snprintf(script, sizeof(script), "exec %s \"$@\"", path);
    plant(world, tool, script);
}

static void plant_all(const struct world *world)
{
    plant_real(world, "wasm2c", world->wasm2c);
    plant_real(world, "clang", world->clang);
    plant_real(world, "ld.lld", world->linker);
}

/* Tools that were started to do something since the last time, as "wasm2c clang ld.lld "; with
 * versions, "name? " for those that were asked for theirs. */
static struct smelt_buf take_log(const struct world *world, bool with_versions)
{
    struct smelt_buf result = {0};
    if (test_file_exists(in(world, "log"))) {
        struct smelt_buf log = test_file_read(in(world, "log"));
        assert_true(sm_buf_append_u8(&log, 0));
        for (char *line = strtok((char *)log.data, "\n"); line != NULL; line = strtok(NULL, "\n")) {
            char *space = strchr(line, ' ');
            bool is_version = space != NULL && strcmp(space, " --version") == 0;
            if (!is_version || with_versions) {
                assert_true(sm_buf_printf(&result, "%.*s%s ",
                                          space != NULL ? (int)(space - line) : (int)strlen(line),
                                          line, is_version ? "?" : ""));
            }
        }
        smelt_buf_deinit(&log);
        assert_int_equal(unlink(in(world, "log")), 0);
    }
    assert_true(sm_buf_append_u8(&result, 0));
    return result;
}

static void assert_ran(const struct world *world, const char *expected)
{
    struct smelt_buf log = take_log(world, false);
    assert_string_equal((const char *)log.data, expected);
    smelt_buf_deinit(&log);
}

static void take_line(void *context, enum smelt_log_level level, const char *line)
{
    struct world *world = (struct world *)context;
    assert_int_equal(level, SMELT_LOG_WARNING);
    assert_true(strlen(line) > 10 && strchr(line, '\n') == NULL);
    world->warnings++;
}

static void open_cache(struct world *world, const char *name)
{
    smelt_cache_close(world->cache);
    assert_int_equal(smelt_cache_open(in(world, name), &world->cache, NULL), OK);
    world->options.cache = world->cache;
}

static int setup(void **state)
{
    struct world *world = (struct world *)calloc(1, sizeof(*world));
    assert_non_null(world);
    test_directory_create(world->directory);
    assert_int_equal(sm_toolchain_find(SM_TOOL_WASM2C, NULL, world->wasm2c, NULL), OK);
    assert_int_equal(sm_toolchain_find(SM_TOOL_CC, NULL, world->clang, NULL), OK);
    assert_int_equal(sm_toolchain_find_linker(world->clang, world->linker, NULL), OK);
    assert_int_equal(smelt_wat_to_wasm(smelt_slice_from_string(contract), &world->module, NULL),
                     OK);
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        const char *value = getenv(variables[i]);
        world->saved[i] = value != NULL ? strdup(value) : NULL;
        (void)unsetenv(variables[i]);
    }
    assert_int_equal(mkdir(in(world, "tools"), 0700), 0);
    assert_int_equal(mkdir(in(world, "tmp"), 0700), 0);
    assert_int_equal(setenv("PATH", in(world, "tools"), 1), 0);
    assert_int_equal(setenv("TMPDIR", in(world, "tmp"), 1), 0);
    plant_all(world);
    assert_int_equal(
        smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &world->schedule, NULL), OK);
    assert_int_equal(smelt_policy_builtin("standard-floats", &world->floats, NULL), OK);
    world->options =
        (struct smelt_compiler_options){.schedule = world->schedule, .log = {take_line, world}};
    open_cache(world, "cache");
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = (struct world *)*state;
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        if (world->saved[i] != NULL) {
            (void)setenv(variables[i], world->saved[i], 1);
        } else {
            (void)unsetenv(variables[i]);
        }
        free(world->saved[i]);
    }
    smelt_cache_close(world->cache);
    smelt_policy_destroy(world->floats);
    smelt_schedule_destroy(world->schedule);
    smelt_buf_deinit(&world->module);
    test_directory_remove(world->directory);
    free(world);
    return 0;
}

/* One compilation by a compiler of its own. */
static enum smelt_status compile(const struct world *world, struct smelt_artefact *artefact,
                                 struct smelt_error *err)
{
    struct smelt_compiler *compiler = NULL;
    struct smelt_error ignored;
    err = err != NULL ? err : &ignored;
    *err = (struct smelt_error){0};
    assert_int_equal(smelt_compiler_create(&world->options, &compiler, err), OK);
    enum smelt_status status =
        smelt_compile(compiler, sm_buf_slice(&world->module), NULL, artefact, err);
    smelt_compiler_destroy(compiler);
    return status;
}

static struct smelt_artefact compile_well(const struct world *world)
{
    struct smelt_artefact artefact;
    struct smelt_error err;
    if (compile(world, &artefact, &err) != OK) {
        fail_msg("%s", err.message);
    }
    return artefact;
}

static int count_objects(const struct world *world, const char *cache)
{
    int count = 0;
    for (unsigned i = 0; i < 256; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s/objects/%02x", cache, i);
        int in_it = test_directory_count(in(world, name), NULL);
        count += in_it > 0 ? in_it : 0;
    }
    return count;
}

/* ---- what runs ------------------------------------------------------------------------------- */

static void test_cached_runs_nothing(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_artefact first = compile_well(world);
    assert_false(first.is_cached);
    struct smelt_buf log = take_log(world, true);
    assert_string_equal((const char *)log.data, "wasm2c? clang? ld.lld? wasm2c clang ld.lld ");
    smelt_buf_deinit(&log);
    struct smelt_artefact second = compile_well(world);
    assert_true(second.is_cached);
    assert_memory_equal(&first.key, &second.key, sizeof(first.key));
    assert_memory_equal(&first.module_hash, &second.module_hash, sizeof(first.module_hash));
    assert_string_equal(first.path, second.path);
    assert_int_equal(first.size, second.size);
    assert_int_equal(second.timings.cc, 0);
    /* not even for their versions */
    log = take_log(world, true);
    assert_string_equal((const char *)log.data, "");
    smelt_buf_deinit(&log);
    /* a tool that was touched is asked again, and nothing else */
    plant_real(world, "clang", world->clang);
    assert_true(compile_well(world).is_cached);
    log = take_log(world, true);
    assert_string_equal((const char *)log.data, "clang? ");
    smelt_buf_deinit(&log);
}

static void test_products_of_a_cached_artefact(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_compiler *compiler = NULL;
    struct smelt_artefact artefact;
    struct smelt_buf wasm[2] = {{0}, {0}};
    struct smelt_buf c[2] = {{0}, {0}};
    assert_int_equal(smelt_compiler_create(&world->options, &compiler, NULL), OK);
    for (int i = 0; i < 2; i++) {
        const struct smelt_compile_products products = {.instrumented_wasm = &wasm[i],
                                                        .lowered_c = &c[i]};
        assert_int_equal(
            smelt_compile(compiler, sm_buf_slice(&world->module), &products, &artefact, NULL), OK);
        assert_int_equal(artefact.is_cached, i == 1);
        assert_ran(world, i == 0 ? "wasm2c clang ld.lld " : "wasm2c ");
    }
    assert_true(sm_slice_equal(sm_buf_slice(&wasm[0]), sm_buf_slice(&wasm[1])));
    assert_true(sm_slice_equal(sm_buf_slice(&c[0]), sm_buf_slice(&c[1])));
    assert_memory_equal(wasm[0].data, "\0asm", 4);
    for (int i = 0; i < 2; i++) {
        smelt_buf_deinit(&wasm[i]);
        smelt_buf_deinit(&c[i]);
    }
    smelt_compiler_destroy(compiler);
}

static void test_corrupted_entry_is_rebuilt(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_artefact first = compile_well(world);
    struct smelt_buf good = test_file_read(first.path);
    assert_ran(world, "wasm2c clang ld.lld ");
    struct smelt_buf bad = {0};
    assert_true(sm_buf_assign(&bad, sm_buf_slice(&good)));
    bad.data[bad.size / 2] ^= 1;
    assert_int_equal(chmod(first.path, 0600), 0);
    test_file_write(first.path, sm_buf_slice(&bad));
    struct smelt_artefact second = compile_well(world);
    assert_false(second.is_cached);
    assert_int_equal(world->warnings, 1);
    assert_ran(world, "wasm2c clang ld.lld ");
    struct smelt_buf again = test_file_read(second.path);
    assert_true(sm_slice_equal(sm_buf_slice(&again), sm_buf_slice(&good)));
    assert_true(compile_well(world).is_cached);
    assert_int_equal(world->warnings, 1);
    smelt_buf_deinit(&good);
    smelt_buf_deinit(&bad);
    smelt_buf_deinit(&again);
}

struct thread {
    struct smelt_compiler *compiler;
    struct smelt_slice module;
    struct smelt_artefact artefact;
    enum smelt_status status;
};

static void *compile_in_thread(void *context)
{
    struct thread *thread = (struct thread *)context;
    thread->status = smelt_compile(thread->compiler, thread->module, NULL, &thread->artefact, NULL);
    return NULL;
}

/* Many ask at once: one compiles, the others wait for it. */
static void test_threads_share_one_compilation(void **state)
{
    enum { THREADS = 6 };
    struct world *world = (struct world *)*state;
    struct thread threads[THREADS];
    pthread_t ids[THREADS];
    struct smelt_compiler *compiler = NULL;
    unsigned compiled = 0;
    assert_int_equal(smelt_compiler_create(&world->options, &compiler, NULL), OK);
    for (int i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.compiler = compiler, .module = sm_buf_slice(&world->module)};
        assert_int_equal(pthread_create(&ids[i], NULL, compile_in_thread, &threads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(ids[i], NULL), 0);
        assert_int_equal(threads[i].status, OK);
        compiled += !threads[i].artefact.is_cached;
    }
    assert_int_equal(compiled, 1);
    assert_ran(world, "wasm2c clang ld.lld ");
    smelt_compiler_destroy(compiler);
}

/* A node whose tools went away goes on with what it has. */
static void test_source_without_tools(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_compiler *compiler = NULL;
    struct smelt_artefact artefact = compile_well(world);
    struct smelt_hash key;
    struct smelt_error err = {0};
    int fd = -1;
    assert_int_equal(setenv("PATH", "/none", 1), 0);
    assert_int_equal(smelt_compiler_create(&world->options, &compiler, NULL), OK);
    struct smelt_artefact_source source = smelt_compiler_source(compiler);
    assert_int_equal(source.open(source.context, &artefact.module_hash,
                                 sm_buf_slice(&world->module), &fd, &key, &err),
                     OK);
    assert_memory_equal(&key, &artefact.key, sizeof(key));
    struct smelt_buf served = {0};
    struct smelt_buf stored = test_file_read(artefact.path);
    assert_int_equal(sm_fs_read_fd(fd, "artefact", SIZE_MAX / 2, &served, NULL), OK);
    assert_true(sm_slice_equal(sm_buf_slice(&served), sm_buf_slice(&stored)));
    assert_int_equal(close(fd), 0);
    smelt_buf_deinit(&served);
    smelt_buf_deinit(&stored);
    smelt_compiler_destroy(compiler);
    /* but a request that was never served needs them */
    world->options.policy = world->floats;
    assert_int_equal(smelt_compiler_create(&world->options, &compiler, NULL), OK);
    source = smelt_compiler_source(compiler);
    assert_int_equal(source.open(source.context, &artefact.module_hash,
                                 sm_buf_slice(&world->module), &fd, &key, &err),
                     SMELT_STATUS_TOOL_MISSING);
    assert_int_equal(fd, -1);
    smelt_compiler_destroy(compiler);
}

/* What was served before will do for who takes any compiler, not for who names one. */
static void test_source_with_a_named_compiler(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_artefact any = compile_well(world);
    struct smelt_buf log = take_log(world, true);
    smelt_buf_deinit(&log);
    char named[PATH_MAX];
    plant_real(world, "named", world->clang);
    (void)snprintf(named, sizeof(named), "%s", in(world, "tools/named"));
    const struct {
        const char *cc_path;
        enum smelt_optimisation optimisation;
        const char *log;
    } rows[] = {
        {NULL, SMELT_OPTIMISE_BY_SIZE, ""},
        {named, SMELT_OPTIMISE_BY_SIZE, "named? "}, /* the same clang: its artefact is there */
        {NULL, SMELT_OPTIMISE_NONE, "wasm2c clang ld.lld "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_compiler *compiler = NULL;
        struct smelt_hash key;
        int fd = -1;
        world->options.cc_path = rows[i].cc_path;
        world->options.optimisation = rows[i].optimisation;
        assert_int_equal(smelt_compiler_create(&world->options, &compiler, NULL), OK);
        struct smelt_artefact_source source = smelt_compiler_source(compiler);
        assert_int_equal(source.open(source.context, &any.module_hash, sm_buf_slice(&world->module),
                                     &fd, &key, NULL),
                         OK);
        assert_int_equal(close(fd), 0);
        smelt_compiler_destroy(compiler);
        log = take_log(world, true);
        assert_string_equal((const char *)log.data, rows[i].log);
        smelt_buf_deinit(&log);
    }
}

/* ---- tools that misbehave -------------------------------------------------------------------- */

#define MISSING      SMELT_STATUS_TOOL_MISSING
#define VERSION      SMELT_STATUS_TOOL_VERSION
#define FAILED       SMELT_STATUS_TOOL_FAILED
#define OUTPUT       SMELT_STATUS_TOOL_OUTPUT
#define IS_VERSION   "[ \"$1\" = --version ] && "
#define WASM2C       IS_VERSION "echo 1.0.32 && exit; "
#define CLANG        IS_VERSION "echo clang version 19.1.7 && exit; "
#define GCC          IS_VERSION "echo 'gcc (X) 12.2.0' && exit; "
#define LINKER       IS_VERSION "echo LLD 19.1.7 && exit; "
#define OUTPUT_OF(f) "for f; do [ \"$o\" = -o ] && out=$f; o=$f; done; " f

static const struct bad_tool {
    const char *tool;
    const char *script; /* NULL: not there */
    enum smelt_status status;
    const char *message; /* a part of it */
} bad_tools[] = {
    {"wasm2c", NULL, MISSING, "wasm2c not found in $PATH; install the package wabt"},
    {"clang", NULL, MISSING, "clang not found in $PATH; install the package clang-19"},
    {"ld.lld", NULL, MISSING, "ld.lld not found in $PATH; install the package lld-19"},
    {"wasm2c", "echo 1.0.31", VERSION, "supported versions: wasm2c 1.0.32"},
    {"clang", "echo gcc 12", VERSION, "supported versions: clang 14 to 19, gcc 12"},
    {"ld.lld", "echo GNU ld", VERSION, "supported versions: ld.lld 14 to 19"},
    {"wasm2c", "exit 1", FAILED, "wasm2c failed with exit code 1"},
    {"wasm2c", WASM2C "echo broken >&2; exit 1", FAILED, "wasm2c failed with exit code 1: broken"},
    {"clang", CLANG "exit 70", FAILED, "clang failed with exit code 70"},
    {"ld.lld", LINKER "exit 1", FAILED, "ld.lld failed with exit code 1"},
    {"wasm2c", WASM2C "kill -SEGV $$", FAILED, "wasm2c was ended by signal 11 (SEGV)"},
    {"clang", CLANG "kill -KILL $$", FAILED, "clang was ended by signal 9 (KILL)"},
    {"ld.lld", LINKER "kill -ABRT $$", FAILED, "ld.lld was ended by signal 6 (ABRT)"},
    {"wasm2c", WASM2C "exit 0", OUTPUT, "wasm2c.c"},
    {"clang", CLANG "exit 0", OUTPUT, "unit0.o"},
    {"ld.lld", LINKER "exit 0", OUTPUT, "module.so"},
    {"wasm2c", WASM2C OUTPUT_OF("echo garbage >$out"), OUTPUT, "wasm2c wrote something unexpected"},
    {"wasm2c", WASM2C OUTPUT_OF(": >$out"), OUTPUT, "wasm2c wrote something unexpected"},
    {"clang", CLANG OUTPUT_OF("echo garbage >$out"), OUTPUT, "is not a 64-bit ELF file"},
    {"clang", CLANG OUTPUT_OF(": >$out"), OUTPUT, "is not a 64-bit ELF file"},
    {"clang", GCC "exit 1", FAILED, "gcc failed with exit code 1"},
    {"clang", GCC "exit 0", OUTPUT, "did not write unit0.su"},
    {"clang", GCC "echo garbage >unit0.su", OUTPUT, "line 1 of what gcc says"},
    {"clang", GCC "printf 'm:1:1:func_1\\t8\\tdynamic,bounded\\n' >unit0.su", OUTPUT,
     "is not a function with a static frame"},
    {"clang", GCC "printf 'm:1:1:func_1.part.0\\t8\\tstatic\\n' >unit0.su", OUTPUT,
     "functions that its source has not"},
    {"clang", GCC "printf 'm:1:1:func_2\\t8\\tstatic\\n' >unit0.su", OUTPUT,
     "functions that its source has not"},
    {"clang", GCC "printf 'm:1:1:func_1\\t8\\tstatic\\n' >unit0.su", FAILED, "ld.lld failed"},
    {"ld.lld", LINKER OUTPUT_OF("echo garbage >$out"), OUTPUT, "is not a 64-bit ELF file"},
    {"ld.lld", LINKER OUTPUT_OF("cp unit0.o $out"), OUTPUT, "is not a shared object"},
    {"ld.lld", LINKER OUTPUT_OF("cp /bin/sh $out"), OUTPUT, "the compiled"},
    {"wasm2c", WASM2C OUTPUT_OF("mkdir $out"), SMELT_STATUS_IO, "wasm2c.c"},
};

static void test_bad_tools(void **state)
{
    struct world *world = (struct world *)*state;
    for (size_t i = 0; i < sizeof(bad_tools) / sizeof(bad_tools[0]); i++) {
        const struct bad_tool *row = &bad_tools[i];
        struct smelt_artefact artefact;
        struct smelt_error err;
        char name[64];
        plant_all(world);
        (void)snprintf(name, sizeof(name), "tools/%s", row->tool);
        if (row->script == NULL) {
            assert_int_equal(unlink(in(world, name)), 0);
        } else {
            plant(world, row->tool, row->script);
        }
        enum smelt_status status = compile(world, &artefact, &err);
        if (status != row->status || strstr(err.message, row->message) == NULL) {
            fail_msg("%s %s: %s, %s", row->tool, row->script != NULL ? row->script : "missing",
                     smelt_status_name(status), err.message);
        }
        assert_string_equal(artefact.path, "");
        assert_int_equal(count_objects(world, "cache"), 0);
        assert_int_equal(test_directory_count(in(world, "tmp"), NULL), 0);
    }
    /* and a good set of tools finds everything as it left it */
    plant_all(world);
    assert_false(compile_well(world).is_cached);
    assert_int_equal(count_objects(world, "cache"), 2);
    assert_int_equal(test_directory_count(in(world, "tmp"), NULL), 0);
}

static void test_tool_given_by_option(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_artefact artefact;
    struct smelt_error err;
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s", in(world, "tools/wasm2c"));
    assert_int_equal(rename(path, in(world, "other")), 0);
    (void)snprintf(path, sizeof(path), "%s", in(world, "other"));
    assert_int_equal(compile(world, &artefact, &err), MISSING);
    world->options.wasm2c_path = path;
    assert_false(compile_well(world).is_cached);
    world->options.cc_path = "/none/clang";
    assert_int_equal(compile(world, &artefact, &err), MISSING);
    assert_non_null(strstr(err.message, "/none/clang is not an executable file"));
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* With and without tools, and never with a trace in the cache. */
static void test_refused_modules(void **state)
{
    struct world *world = (struct world *)*state;
    static const struct {
        const char *text; /* wat, or binary when it begins with a NUL */
        size_t size;
        enum smelt_status status;
    } rows[] = {
        {"", 0, SMELT_STATUS_MODULE_MALFORMED},
        {"\0asm\1\0\0", 7, SMELT_STATUS_MODULE_MALFORMED},
        {"\0asm\2\0\0\0", 8, SMELT_STATUS_MODULE_MALFORMED},
        {"(module (func (result i32)))", 0, SMELT_STATUS_MODULE_INVALID},
        {"(module (import \"env\" \"none\" (func)))", 0, SMELT_STATUS_MODULE_IMPORT},
        {"(module (func (param f32)))", 0, SMELT_STATUS_MODULE_FLOAT},
        {"(module (func) (start 0))", 0, SMELT_STATUS_MODULE_START},
        {"(module (func (export \"init\") (param i32)))", 0, SMELT_STATUS_MODULE_EXPORT},
        {"(module (memory 257))", 0, SMELT_STATUS_MODULE_LIMIT},
        {"(module (func (local v128)))", 0, SMELT_STATUS_MODULE_FEATURE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_artefact artefact;
        struct smelt_error errors[2];
        smelt_buf_deinit(&world->module);
        if (rows[i].text[0] == '(') {
            assert_int_equal(setenv("PATH", world->saved[3], 1), 0);
            assert_int_equal(
                smelt_wat_to_wasm(smelt_slice_from_string(rows[i].text), &world->module, NULL), OK);
        } else {
            assert_true(sm_buf_append(&world->module, rows[i].text, rows[i].size));
        }
        for (int with_tools = 0; with_tools < 2; with_tools++) {
            assert_int_equal(setenv("PATH", with_tools ? in(world, "tools") : "/none", 1), 0);
            assert_int_equal(compile(world, &artefact, &errors[with_tools]), rows[i].status);
        }
        assert_memory_equal(&errors[0], &errors[1], sizeof(errors[0]));
        assert_ran(world, "");
    }
    assert_int_equal(count_objects(world, "cache"), 0);
}

static void test_module_larger_than_the_limit(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_artefact artefact;
    struct smelt_error err;
    struct smelt_buf large = {0};
    assert_true(sm_buf_reserve(&large, 4194305));
    memset(large.data, 0, 4194305);
    large.size = 4194305;
    smelt_buf_deinit(&world->module);
    world->module = large;
    assert_int_equal(compile(world, &artefact, &err), SMELT_STATUS_MODULE_LIMIT);
    assert_string_equal(err.message, "bytes of the module: 4194305, the policy's limit is 4194304");
    world->module.size--;
    assert_int_equal(compile(world, &artefact, &err), SMELT_STATUS_MODULE_MALFORMED);
}

static void test_wrong_options(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_compiler *compiler = NULL;
    struct smelt_compiler_options wrong[4];
    for (size_t i = 0; i < 4; i++) {
        wrong[i] = world->options;
    }
    wrong[0].cache = NULL;
    wrong[1].schedule = NULL;
    wrong[2].tier = (enum smelt_tier)1;
    wrong[3].optimisation = (enum smelt_optimisation)3;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(smelt_compiler_create(&wrong[i], &compiler, NULL),
                         SMELT_STATUS_INVALID_ARGUMENT);
        assert_null(compiler);
    }
    assert_int_equal(smelt_compiler_create(NULL, &compiler, NULL), SMELT_STATUS_INVALID_ARGUMENT);
    smelt_compiler_destroy(NULL);
}

/* ---- what the bytes depend on ---------------------------------------------------------------- */

/* Other directories, locale, time zone, umask, descriptor numbers: the same shared object. */
static struct smelt_hash check_same_bytes(struct world *world)
{
    static const struct {
        const char *cache, *tmp, *locale, *zone;
        mode_t mask;
    } rows[] = {
        {"cache", "tmp", "C", "UTC", 022},
        {"other cache", "tmp/a much longer directory with spaces", "C.UTF-8", "Asia/Tokyo", 0},
        {"third", "t", "de_DE.UTF-8", "America/New_York", 077},
    };
    struct smelt_buf first = {0};
    struct smelt_hash key = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(sm_fs_make_directories(in(world, rows[i].tmp), 0700, NULL), OK);
        assert_int_equal(setenv("TMPDIR", in(world, rows[i].tmp), 1), 0);
        assert_int_equal(setenv("LC_ALL", rows[i].locale, 1), 0);
        assert_int_equal(setenv("TZ", rows[i].zone, 1), 0);
        assert_int_equal(setenv("SOURCE_DATE_EPOCH", i == 0 ? "1" : "1000000000", 1), 0);
        (void)setlocale(LC_ALL, "");
        assert_int_equal(chdir(in(world, rows[i].tmp)), 0);
        mode_t before = umask(rows[i].mask);
        open_cache(world, rows[i].cache);
        struct smelt_artefact artefact = compile_well(world);
        (void)umask(before);
        assert_false(artefact.is_cached);
        struct smelt_buf bytes = test_file_read(artefact.path);
        if (i == 0) {
            first = bytes;
            key = artefact.key;
            continue;
        }
        assert_memory_equal(&artefact.key, &key, sizeof(key));
        assert_true(sm_slice_equal(sm_buf_slice(&bytes), sm_buf_slice(&first)));
        smelt_buf_deinit(&bytes);
    }
    /* nothing of the place is in it */
    assert_null(memmem(first.data, first.size, world->directory, strlen(world->directory)));
    assert_null(memmem(first.data, first.size, "/tmp", 4));
    smelt_buf_deinit(&first);
    (void)setlocale(LC_ALL, "C");
    assert_int_equal(unsetenv("SOURCE_DATE_EPOCH"), 0);
    assert_int_equal(chdir("/"), 0);
    return key;
}

static void test_same_key_same_bytes(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_hash clang = check_same_bytes(world);
    if (SMELT_TEST_GCC[0] == '\0') {
        print_message("skipped: no gcc 12 here\n");
        return;
    }
    world->options.cc_path = SMELT_TEST_GCC;
    struct smelt_hash gcc = check_same_bytes(world);
    assert_memory_not_equal(&clang, &gcc, sizeof(gcc));
}

/* Each ingredient by itself gives another key. */
static void test_ingredients_of_the_key(void **state)
{
    enum { KEYS = 10 };
    struct world *world = (struct world *)*state;
    struct smelt_hash keys[KEYS];
    const struct smelt_compiler_options plain = world->options;
    struct smelt_schedule *unit = NULL;
    struct smelt_profile profile = smelt_profile_engine;
    assert_int_equal(smelt_schedule_builtin("unit", &smelt_profile_engine, &unit, NULL), OK);
    profile.version++;
    size_t count = 0;
    keys[count++] = compile_well(world).key;
    world->options.schedule = unit;
    keys[count++] = compile_well(world).key;
    world->options = plain;
    world->options.policy = world->floats;
    keys[count++] = compile_well(world).key;
    world->options = plain;
    world->options.allows_any_import = true;
    keys[count++] = compile_well(world).key;
    world->options = plain;
    world->options.profile = &profile;
    keys[count++] = compile_well(world).key;
    world->options = plain;
    world->options.optimisation = SMELT_OPTIMISE_NONE;
    keys[count++] = compile_well(world).key;
    world->options.optimisation = SMELT_OPTIMISE_FULL;
    keys[count++] = compile_well(world).key;
    world->options = plain;
    /* tools that call themselves otherwise */
    char script[PATH_MAX + 128];
    (void)snprintf(script, sizeof(script), IS_VERSION "echo '1.0.32 (2)' && exit; exec %s \"$@\"",
                   world->wasm2c);
    plant(world, "wasm2c", script);
    keys[count++] = compile_well(world).key;
    plant_all(world);
    (void)snprintf(script, sizeof(script),
                   IS_VERSION "echo clang version 19.0.0 && exit; exec %s \"$@\"", world->clang);
    plant(world, "clang", script);
    keys[count++] = compile_well(world).key;
    plant_all(world);
    world->module.data[world->module.size - 1] ^= 1; /* the last byte of the data */
    keys[count++] = compile_well(world).key;
    assert_int_equal(count, KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        for (size_t k = 0; k < i; k++) {
            if (memcmp(&keys[i], &keys[k], sizeof(keys[i])) == 0) {
                fail_msg("keys %zu and %zu are the same", k, i);
            }
        }
    }
    /* the first is still there */
    world->module.data[world->module.size - 1] ^= 1;
    assert_true(compile_well(world).is_cached);
    smelt_schedule_destroy(unit);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Of a refused and of a cached module; the tools in between are too slow for a sweep. */
static void test_allocation_failures(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_buf good = world->module;
    struct smelt_buf refused = {0};
    assert_int_equal(setenv("PATH", world->saved[3], 1), 0);
    assert_int_equal(
        smelt_wat_to_wasm(smelt_slice_from_string("(module (func) (start 0))"), &refused, NULL),
        OK);
    assert_int_equal(setenv("PATH", in(world, "tools"), 1), 0);
    (void)compile_well(world);
    for (int i = 0; i < 2; i++) {
        world->module = i == 0 ? refused : good;
        enum smelt_status status = SMELT_STATUS_NO_MEMORY;
        for (size_t nth = 1; status == SMELT_STATUS_NO_MEMORY; nth++) {
            struct smelt_compiler *compiler = NULL;
            struct smelt_artefact artefact;
            size_t blocks = sm_alloc_blocks();
            sm_alloc_fail_at(nth);
            status = smelt_compiler_create(&world->options, &compiler, NULL);
            if (status == OK) {
                status =
                    smelt_compile(compiler, sm_buf_slice(&world->module), NULL, &artefact, NULL);
            }
            sm_alloc_fail_at(0);
            smelt_compiler_destroy(compiler);
            assert_int_equal(sm_alloc_blocks(), blocks);
        }
        assert_int_equal(status, i == 0 ? SMELT_STATUS_MODULE_START : OK);
    }
    world->module = good;
    smelt_buf_deinit(&refused);
}

/* ---- text ------------------------------------------------------------------------------------ */

static void test_text(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_buf wasm = {0};
    struct smelt_error err = {0};
    assert_int_equal(smelt_wat_to_wasm(smelt_slice_from_string("(module)"), &wasm, &err), MISSING);
    assert_int_equal(setenv("PATH", world->saved[3], 1), 0);
    assert_int_equal(smelt_wat_to_wasm(smelt_slice_from_string("(module)"), &wasm, &err), OK);
    assert_int_equal(wasm.size, 8);
    static const char *const bad[] = {
        "(module\n (funk))",         "(module", "", "\"", "(module) )", "\xff\xfe",
        "(module (func call $none))"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(smelt_wat_to_wasm(smelt_slice_from_string(bad[i]), &wasm, &err),
                         SMELT_STATUS_MODULE_TEXT);
    }
    assert_int_equal(smelt_wat_to_wasm(smelt_slice_from_string("(module\n (funk))"), &wasm, &err),
                     SMELT_STATUS_MODULE_TEXT);
    assert_non_null(strstr(err.message, "line 2, column 3: "));
    smelt_buf_deinit(&wasm);
    assert_int_equal(test_directory_count(in(world, "tmp"), NULL), 0);
}

#define WITH_WORLD(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_cached_runs_nothing),
        WITH_WORLD(test_products_of_a_cached_artefact),
        WITH_WORLD(test_corrupted_entry_is_rebuilt),
        WITH_WORLD(test_threads_share_one_compilation),
        WITH_WORLD(test_source_without_tools),
        WITH_WORLD(test_source_with_a_named_compiler),
        WITH_WORLD(test_bad_tools),
        WITH_WORLD(test_tool_given_by_option),
        WITH_WORLD(test_refused_modules),
        WITH_WORLD(test_module_larger_than_the_limit),
        WITH_WORLD(test_wrong_options),
        WITH_WORLD(test_same_key_same_bytes),
        WITH_WORLD(test_ingredients_of_the_key),
        WITH_WORLD(test_allocation_failures),
        WITH_WORLD(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
