/* smelt doctor: is everything here that compiling and running takes? Each check does the thing
 * itself; the last one takes a small contract through the whole of it, in a cache of its own. */
#include "cli/command.h"
#include "cli/session.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKS_MAX 8

struct check {
    const char *name;
    bool is_ok;
    char detail[SMELT_PATH_BYTES + 128];
};

struct report {
    struct check checks[CHECKS_MAX];
    size_t count;
};

static void SMELT_PRINTF(4, 5)
    add(struct report *report, const char *name, bool is_ok, const char *format, ...)
{
    struct check *check = &report->checks[report->count++];
    check->name = name;
    check->is_ok = is_ok;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(check->detail, sizeof(check->detail), format, args);
    va_end(args);
}

static void check_cache(struct report *report, const struct cli_options *options)
{
    struct smelt_error err = {0};
    struct smelt_cache *cache = NULL;
    char fallback[SMELT_PATH_BYTES];
    const char *directory = options->values[CLI_OPTION_CACHE].text;
    if (directory == NULL && smelt_cache_default_directory(fallback, sizeof(fallback), &err) == 0) {
        directory = fallback;
    }
    if (directory == NULL || smelt_cache_open(directory, &cache, &err) != SMELT_STATUS_OK) {
        add(report, "cache", false, "%s", err.message);
        return;
    }
    bool is_writable = access(directory, W_OK | X_OK) == 0;
    add(report, "cache", is_writable, "%s%s", directory,
        is_writable ? "" : ": read-only, so nothing new can be compiled");
    char key[SMELT_PATH_BYTES + 16];
    struct stat info;
    (void)snprintf(key, sizeof(key), "%s/seal.key", directory);
    if (stat(key, &info) != 0) {
        add(report, "seal key", false, "%s: %s", key, strerrordesc_np(errno));
    } else {
        bool is_private = (info.st_mode & 0077) == 0;
        add(report, "seal key", is_private, "mode %04o%s", (unsigned)(info.st_mode & 07777),
            is_private ? "" : ": others can read it; set it to 0600");
    }
    smelt_cache_close(cache);
}

static void check_wat2wasm(struct report *report)
{
    struct smelt_error err = {0};
    struct smelt_buf wasm = {0};
    bool is_ok =
        smelt_wat_to_wasm(smelt_slice_from_string("(module)"), &wasm, &err) == SMELT_STATUS_OK;
    add(report, "wat2wasm", is_ok, "%s", is_ok ? "converts text modules" : err.message);
    smelt_buf_deinit(&wasm);
}

/* (module (func (export "answer") (result i32) i32.const 42)) */
static const uint8_t answer_wasm[] = {
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, 0x01, 0x05, 0x01, 0x60, 0x00,
    0x01, 0x7f, 0x03, 0x02, 0x01, 0x00, 0x07, 0x0a, 0x01, 0x06, 0x61, 0x6e, 0x73,
    0x77, 0x65, 0x72, 0x00, 0x00, 0x0a, 0x06, 0x01, 0x04, 0x00, 0x41, 0x2a, 0x0b,
};

static const struct smelt_slice answer = {.data = answer_wasm, .size = sizeof(answer_wasm)};

static enum smelt_status run_answer(struct cli_session *session, uint64_t *result,
                                    struct smelt_error *err)
{
    enum smelt_status status;
    struct smelt_transaction transaction = {0};
    struct smelt_receipt *deployed = NULL;
    struct smelt_receipt *called = NULL;
    CLI_TRY(smelt_deploy(session->engine, &transaction, answer, &deployed, err));
    CLI_TRY(smelt_call(session->engine, &transaction, &deployed->address, "answer", NULL, 0,
                       &called, err));
    *result = called->result_count == 1 ? called->results[0].bits : 0;
cleanup:
    smelt_receipt_destroy(called);
    smelt_receipt_destroy(deployed);
    return status;
}

/* The tools that made an artefact are in its manifest. */
static void add_tools(struct report *report, const struct smelt_artefact *artefact)
{
    char path[SMELT_PATH_BYTES + 8];
    const char *cc = "C compiler found";
    const char *linker = "linker found";
    const char *wasm2c = "found";
    const char *suffix = strrchr(artefact->path, '.');
    (void)snprintf(path, sizeof(path), "%.*s.meta", (int)(suffix - artefact->path), artefact->path);
    json_t *manifest = json_load_file(path, 0, NULL);
    (void)json_unpack(manifest, "{s:{s:s, s:s, s:s}}", "fields", "cc", &cc, "linker", &linker,
                      "wasm2c", &wasm2c);
    add(report, "compiler", true, "%s; %s; wasm2c %s", cc, linker, wasm2c);
    json_decref(manifest);
}

/* Compiles and runs the contract over the empty cache in `directory`: only that runs all tools. */
static void check_pipeline(struct report *report, const char *directory, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct cli_options options = {0};
    struct smelt_artefact artefact;
    bool is_compiled = false;
    uint64_t result = 0;
    options.values[CLI_OPTION_CACHE].text = directory;
    CLI_TRY(cli_session_open_compiler(&session, &options, out, &err));
    CLI_TRY(smelt_compile(session.compiler, answer, NULL, &artefact, &err));
    is_compiled = true;
    add_tools(report, &artefact);
    CLI_TRY(smelt_store_create_memory(&session.store, &err));
    CLI_TRY(cli_session_open_engine(&session, &options, out, &err));
    CLI_TRY(run_answer(&session, &result, &err));
cleanup:
    if (!is_compiled) {
        add(report, "compiler", false, "%s", err.message);
    } else if (status != SMELT_STATUS_OK) {
        add(report, "self test", false, "%s", err.message);
    } else {
        add(report, "self test", result == 42, "%s",
            result == 42 ? "a contract ran and answered" : "a contract gave a wrong answer");
    }
    cli_session_close(&session);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

static void check_in_scratch(struct report *report, struct cli_output *out)
{
    const char *parent = getenv("TMPDIR");
    char directory[SMELT_PATH_BYTES];
    if (parent == NULL || parent[0] != '/') { /* as compilations do */
        parent = "/tmp";
    }
    int length = snprintf(directory, sizeof(directory), "%s/smelt-doctor-XXXXXX", parent);
    if (length < 0 || (size_t)length >= sizeof(directory) || mkdtemp(directory) == NULL) {
        add(report, "scratch", false, "cannot create a directory in %s", parent);
        return;
    }
    check_pipeline(report, directory, out);
    (void)nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static json_t *report_json(const struct report *report, bool is_healthy)
{
    json_t *checks = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const struct check *check = &report->checks[i];
        (void)json_array_append_new(
            checks, json_pack("{s:s, s:b, s:o}", "name", check->name, "ok", check->is_ok, "detail",
                              cli_json_text(smelt_slice_from_string(check->detail))));
    }
    return json_pack("{s:s, s:b, s:o}", "version", smelt_version(), "ok", is_healthy, "checks",
                     checks);
}

static void report_print(const struct cli_output *out, const struct report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        const struct check *check = &report->checks[i];
        char *detail = cli_text_escape(smelt_slice_from_string(check->detail), false);
        cli_headline(out, check->is_ok ? CLI_TONE_GOOD : CLI_TONE_BAD,
                     check->is_ok ? "ok  " : "fail", "%-12s%s", check->name,
                     detail != NULL ? detail : "");
        free(detail);
    }
}

static int run_doctor(const struct cli_options *options, struct cli_output *out)
{
    struct report report = {0};
    bool is_healthy = true;
    check_cache(&report, options);
    check_wat2wasm(&report);
    check_in_scratch(&report, out);
    for (size_t i = 0; i < report.count; i++) {
        is_healthy = is_healthy && report.checks[i].is_ok;
    }
    if (!out->is_json) {
        report_print(out, &report);
    } else {
        out->object = report_json(&report, is_healthy);
    }
    return is_healthy ? CLI_EXIT_OK : CLI_EXIT_NODE;
}

const struct cli_command cli_command_doctor = {
    .syntax = {.name = "doctor", .arguments = "", .accepted = CLI_ACCEPTS(CACHE)},
    .brief = "check tools, cache and the whole pipeline",
    .run = run_doctor,
};
