/* Every module at hand through the instrumenter: what passes the gate must come out as a module
 * that our validator and wasm-validate accept, and that the checker proves. Modules are those of
 * the specification suite and, in the same directory, of real-modules.tar.gz.
 *
 *   test_instrument_suite <directory with spec-testsuite.tar.gz> <scratch directory>
 *
 * Exit status: 0 passed, 1 failed, 77 skipped because there is no suite. */
#include "base/bytes.h"
#include "base/clock.h"
#include "base/fs.h"
#include "compiler/driver/process.h"
#include "compiler/instrument/check.h"
#include "tests/conformance/suite.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE_SIZE_MAX ((size_t)16 << 20)

struct run {
    const char *scratch;
    const struct smelt_schedule *schedules[2];
    unsigned refused; /* by decoder, validator or gate */
    unsigned instrumented;
    unsigned failed;
    uint64_t instrument_ns;
    uint64_t check_ns;
    uint64_t wasm_bytes;
};

static void fail(struct run *run, const char *name, const char *what, struct smelt_slice why)
{
    printf("FAIL %s: %s: %.*s\n", name, what, (int)why.size, (const char *)why.data);
    run->failed++;
}

/* Runs a tool found in the usual places. */
static bool run_tool(const char *const *argv, struct smelt_buf *complaint)
{
    const struct sm_process process = {.path = "/usr/bin/env", .argv = argv};
    struct sm_process_result result;
    struct smelt_error err = {0};
    if (sm_process_run(&process, &result, &err) != SMELT_STATUS_OK) {
        (void)sm_buf_assign(complaint, smelt_slice_from_string(err.message));
        return false;
    }
    bool is_good = result.exit_code == 0;
    (void)sm_buf_assign(complaint, sm_buf_slice(&result.errors));
    sm_process_result_deinit(&result);
    return is_good;
}

static bool write_file(const char *path, struct smelt_slice data)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        return false;
    }
    bool is_written = fwrite(data.data, 1, data.size, file) == data.size;
    return fclose(file) == 0 && is_written;
}

static void check_output(struct run *run, const char *name, struct smelt_slice wasm)
{
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    struct smelt_error err = {0};
    struct smelt_buf complaint = {0};
    char path[PATH_MAX];
    const char *const argv[] = {"env", "wasm-validate", path, NULL};
    if (sm_wasm_decode(wasm, &arena, &module, &err) != SMELT_STATUS_OK ||
        sm_wasm_validate(&module, &arena, &err) != SMELT_STATUS_OK) {
        fail(run, name, "our validator", smelt_slice_from_string(err.message));
    } else if (sm_fs_path(path, sizeof(path), &err, "%s/out.wasm", run->scratch) !=
                   SMELT_STATUS_OK ||
               !write_file(path, wasm)) {
        fail(run, name, "scratch file", smelt_slice_from_string(path));
    } else if (!run_tool(argv, &complaint)) {
        fail(run, name, "wasm-validate", sm_buf_slice(&complaint));
    }
    sm_arena_deinit(&arena);
    smelt_buf_deinit(&complaint);
}

/* As a stage of the compiler, and from the bytes alone. */
static void prove(struct run *run, const char *name, struct sm_check_input input)
{
    struct smelt_error err = {0};
    uint64_t start = sm_clock_ns();
    enum smelt_status status = sm_check(&input, &err);
    run->check_ns += sm_clock_ns() - start;
    if (status == SMELT_STATUS_OK) {
        input.lists = NULL;
        status = sm_check(&input, &err);
    }
    if (status != SMELT_STATUS_OK) {
        char why[600];
        (void)snprintf(why, sizeof(why), "%s (function %lld, offset %lld)", err.message,
                       (long long)err.func_index, (long long)err.offset);
        fail(run, name, "checker", smelt_slice_from_string(why));
    }
}

static void check_module(struct run *run, const char *name, struct smelt_slice wasm)
{
    /* the modules know no ABI, so no export is special */
    static const struct smelt_profile profile = {.name = "spectest", .version = 1};
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    struct sm_policy policy;
    struct sm_instrumented out;
    struct smelt_error err = {0};
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, true);
    enum smelt_status status = sm_wasm_decode(wasm, &arena, &module, &err);
    status = status == SMELT_STATUS_OK ? sm_wasm_validate(&module, &arena, &err) : status;
    status = status == SMELT_STATUS_OK ? sm_gate_check(&module, &policy, &profile, &err) : status;
    if (status != SMELT_STATUS_OK) {
        run->refused++;
        sm_arena_deinit(&arena);
        return;
    }
    /* both schedules: one has dynamic charges, the other has none, and free instructions */
    const struct smelt_schedule *schedule = run->schedules[run->instrumented % 2];
    uint64_t start = sm_clock_ns();
    if (sm_instrument(&module, &policy, &profile, schedule, &arena, &out, &err) !=
        SMELT_STATUS_OK) {
        fail(run, name, "instrumenter", smelt_slice_from_string(err.message));
    } else {
        run->instrument_ns += sm_clock_ns() - start;
        run->instrumented++;
        run->wasm_bytes += wasm.size;
        const struct sm_check_input input = {.module = &module,
                                             .policy = &policy,
                                             .profile = &profile,
                                             .schedule = schedule,
                                             .instrumented = sm_buf_slice(&out.wasm),
                                             .lists = &out};
        prove(run, name, input);
        check_output(run, name, sm_buf_slice(&out.wasm));
    }
    smelt_buf_deinit(&out.wasm);
    sm_arena_deinit(&arena);
}

static void run_file(struct run *run, const struct suite *suite, const char *name)
{
    json_t *json = suite_load(suite, name);
    size_t index;
    json_t *command;
    run->failed += json == NULL;
    json_array_foreach(json_object_get(json, "commands"), index, command)
    {
        const char *type = suite_text(command, "type");
        const char *filename = suite_text(command, "filename");
        struct smelt_buf wasm = {0};
        struct smelt_error err = {0};
        if (type == NULL || filename == NULL || strcmp(type, "assert_invalid") == 0 ||
            strcmp(type, "assert_malformed") == 0) {
            continue;
        }
        if (suite_read_module(suite, name, filename, &wasm, &err) == SMELT_STATUS_OK) {
            check_module(run, filename, sm_buf_slice(&wasm));
        } else {
            fail(run, filename, "cannot be read", smelt_slice_from_string(err.message));
        }
        smelt_buf_deinit(&wasm);
    }
    json_decref(json);
}

/* The real modules, where there are any. */
static void run_archive(struct run *run, const char *data)
{
    char archive[PATH_MAX];
    const char *const argv[] = {"env", "tar", "-xzf", archive, "-C", run->scratch, NULL};
    const char *override = getenv("SMELT_TEST_DATA");
    struct smelt_buf complaint = {0};
    struct dirent **entries = NULL;
    if (sm_fs_path(archive, sizeof(archive), NULL, "%s/real-modules.tar.gz",
                   override != NULL ? override : data) != SMELT_STATUS_OK ||
        access(archive, R_OK) != 0) {
        return;
    }
    if (!run_tool(argv, &complaint)) {
        fail(run, archive, "tar", sm_buf_slice(&complaint));
    }
    int count = scandir(run->scratch, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        struct smelt_buf wasm = {0};
        const char *dot = strrchr(entries[i]->d_name, '.');
        if (dot != NULL && strcmp(dot, ".wasm") == 0 &&
            sm_fs_path(path, sizeof(path), NULL, "%s/%s", run->scratch, entries[i]->d_name) ==
                SMELT_STATUS_OK &&
            sm_fs_read_file(path, MODULE_SIZE_MAX, &wasm, NULL) == SMELT_STATUS_OK) {
            check_module(run, entries[i]->d_name, sm_buf_slice(&wasm));
        }
        smelt_buf_deinit(&wasm);
        free(entries[i]);
    }
    free(entries);
    smelt_buf_deinit(&complaint);
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"engine-v1", "unit"};
    struct suite suite;
    struct run run = {0};
    struct smelt_schedule *schedules[2] = {NULL, NULL};
    if (argc != 3) {
        fprintf(stderr, "usage: %s <data directory> <scratch directory>\n", argv[0]);
        return EXIT_FAILURE;
    }
    enum suite_state state = suite_open(argv[1], argv[2], &suite);
    if (state == SUITE_MISSING) {
        return SUITE_EXIT_SKIPPED;
    }
    run.scratch = argv[2];
    run.failed = state == SUITE_BROKEN;
    for (size_t i = 0; i < 2; i++) {
        run.failed += smelt_schedule_builtin(names[i], &smelt_profile_engine, &schedules[i],
                                             NULL) != SMELT_STATUS_OK;
        run.schedules[i] = schedules[i];
    }
    for (size_t i = 0; run.failed == 0 && i < suite.count; i++) {
        run_file(&run, &suite, suite.names[i]);
    }
    run_archive(&run, argv[1]);
    printf("instrumented and proved %u, refused %u, failed %u\n", run.instrumented, run.refused,
           run.failed);
    printf("%llu bytes of wasm: instrument %.1f ms, check %.1f ms\n",
           (unsigned long long)run.wasm_bytes, (double)run.instrument_ns / 1e6,
           (double)run.check_ns / 1e6);
    smelt_schedule_destroy(schedules[0]);
    smelt_schedule_destroy(schedules[1]);
    suite_close(&suite);
    return run.failed == 0 && run.instrumented != 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
