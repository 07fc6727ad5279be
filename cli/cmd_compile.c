/* smelt compile: a module into a sealed shared object in the cache, with copies on request. */
#include "cli/command.h"
#include "cli/explain.h"
#include "cli/session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARTEFACT_BYTES_MAX ((size_t)1 << 30)

/* What the command writes besides the cache entry. */
struct outputs {
    struct cli_outfile artefact;
    struct cli_outfile lowered_c;
    struct cli_outfile instrumented_wasm;
};

static enum smelt_status check_outputs(struct outputs *outputs, const struct cli_options *options,
                                       struct smelt_error *err)
{
    enum smelt_status status;
    const char *input = options->arguments[0];
    const char *paths[] = {options->values[CLI_OPTION_OUTPUT].text,
                           options->values[CLI_OPTION_EMIT_C].text,
                           options->values[CLI_OPTION_EMIT_WASM].text};
    for (size_t i = 0; i < 3; i++) {
        const char *next = paths[(i + 1) % 3];
        if (paths[i] != NULL && next != NULL && cli_is_same_file(paths[i], next)) {
            return cli_error_usage(err, "two outputs go to the same file %.200s", paths[i]);
        }
    }
    CLI_TRY(cli_outfile_check(&outputs->artefact, paths[0], input, err));
    CLI_TRY(cli_outfile_check(&outputs->lowered_c, paths[1], input, err));
    CLI_TRY(cli_outfile_check(&outputs->instrumented_wasm, paths[2], input, err));
cleanup:
    return status;
}

/* The bytes come through the artefact source, which verifies what it opens. */
static enum smelt_status stage_artefact(struct cli_outfile *file, struct smelt_compiler *compiler,
                                        const struct smelt_artefact *artefact,
                                        struct smelt_slice wasm, struct smelt_error *err)
{
    enum smelt_status status;
    struct smelt_artefact_source source;
    struct cli_bytes content = {0};
    struct smelt_hash key;
    int fd = -1;
    if (file->path == NULL) {
        return SMELT_STATUS_OK;
    }
    source = smelt_compiler_source(compiler);
    CLI_TRY(source.open(source.context, &artefact->module_hash, wasm, &fd, &key, err));
    if (lseek(fd, 0, SEEK_SET) != 0) {
        status = cli_error_set(err, SMELT_STATUS_IO, "cannot read the artefact");
        goto cleanup;
    }
    CLI_TRY(cli_fd_read(fd, "the artefact", ARTEFACT_BYTES_MAX, &content, err));
    CLI_TRY(cli_outfile_stage(file, cli_bytes_view(&content), err));
cleanup:
    if (fd >= 0) {
        (void)close(fd);
    }
    cli_bytes_deinit(&content);
    return status;
}

static struct smelt_slice view(const struct smelt_buf *buf)
{
    return (struct smelt_slice){.data = buf->data, .size = buf->size};
}

static json_t *artefact_json(const struct smelt_artefact *artefact, const char *path)
{
    const struct smelt_compile_timings *timings = &artefact->timings;
    return json_pack("{s:o, s:o, s:o, s:I, s:b, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o}}",
                     "module_hash", cli_json_hex(artefact->module_hash.bytes, SMELT_HASH_BYTES),
                     "artefact_key", cli_json_hex(artefact->key.bytes, SMELT_HASH_BYTES),
                     "artefact", cli_json_text(smelt_slice_from_string(path)), "bytes",
                     (json_int_t)artefact->size, "cached", artefact->is_cached ? 1 : 0,
                     "timings_ms", "decode", cli_json_ms(timings->decode), "instrument",
                     cli_json_ms(timings->instrument), "check", cli_json_ms(timings->check),
                     "wasm2c", cli_json_ms(timings->wasm2c), "lower", cli_json_ms(timings->lower),
                     "cc", cli_json_ms(timings->cc), "publish", cli_json_ms(timings->publish));
}

static void print_timings(const struct cli_output *out, const struct smelt_compile_timings *timings)
{
    const struct {
        const char *stage;
        uint64_t ns;
    } stages[] = {
        {"decode", timings->decode},   {"instrument", timings->instrument},
        {"check", timings->check},     {"wasm2c", timings->wasm2c},
        {"lower", timings->lower},     {"cc", timings->cc},
        {"publish", timings->publish},
    };
    char text[512] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++) {
        char ms[CLI_MS_BYTES];
        if (stages[i].ns != 0) {
            used +=
                (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s", used != 0 ? ", " : "",
                                 stages[i].stage, cli_ms_format(stages[i].ns, ms));
        }
    }
    if (used != 0) {
        cli_field(out, "time", "%s", text);
    }
}

static void print_output(const struct cli_output *out, const char *label, const char *path)
{
    if (path != NULL) {
        char *shown = cli_text_escape(smelt_slice_from_string(path), false);
        cli_field(out, label, "%s", shown != NULL ? shown : "");
        free(shown);
    }
}

static void print_artefact(const struct cli_output *out, const struct cli_options *options,
                           const struct smelt_artefact *artefact, const char *path)
{
    char module[2 * SMELT_HASH_BYTES + 1];
    char key[2 * SMELT_HASH_BYTES + 1];
    smelt_hex_encode(artefact->module_hash.bytes, SMELT_HASH_BYTES, module);
    smelt_hex_encode(artefact->key.bytes, SMELT_HASH_BYTES, key);
    char *file = cli_text_escape(smelt_slice_from_string(options->arguments[0]), false);
    cli_headline(out, CLI_TONE_GOOD, artefact->is_cached ? "cached" : "compiled", "%s",
                 file != NULL ? file : "");
    free(file);
    cli_field(out, "module", "%s", module);
    cli_field(out, "key", "%s", key);
    print_output(out, "artefact", path);
    cli_field(out, "size", "%llu bytes", (unsigned long long)artefact->size);
    print_output(out, "C", options->values[CLI_OPTION_EMIT_C].text);
    print_output(out, "wasm", options->values[CLI_OPTION_EMIT_WASM].text);
    print_timings(out, &artefact->timings);
}

/* Works without tools, and leaves the cache as it is. */
static enum smelt_status explain(const struct cli_options *options, struct cli_session *session,
                                 const struct cli_module *module, struct cli_output *out,
                                 struct smelt_error *err)
{
    if (options->values[CLI_OPTION_OUTPUT].is_given ||
        options->values[CLI_OPTION_EMIT_C].is_given ||
        options->values[CLI_OPTION_EMIT_WASM].is_given) {
        return cli_error_usage(err, "--explain-fuel compiles nothing: give no output");
    }
    return cli_explain_fuel(session->compiler, module->wasm, out, err);
}

static int run_compile(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct cli_module module = {0};
    struct outputs outputs = {0};
    struct smelt_artefact artefact = {0};
    struct smelt_compile_products products = {0};
    const char *path;
    struct smelt_buf lowered_c = {0};
    struct smelt_buf instrumented_wasm = {0};
    CLI_TRY(check_outputs(&outputs, options, &err));
    CLI_TRY(cli_module_read(options->arguments[0], &module, &err));
    CLI_TRY(cli_session_open_compiler(&session, options, out, &err));
    products.lowered_c = outputs.lowered_c.path != NULL ? &lowered_c : NULL;
    products.instrumented_wasm = outputs.instrumented_wasm.path != NULL ? &instrumented_wasm : NULL;
    if (options->values[CLI_OPTION_EXPLAIN_FUEL].is_given) {
        CLI_TRY(explain(options, &session, &module, out, &err));
        goto cleanup;
    }
    cli_progress(out, "compiling", options->arguments[0]);
    CLI_TRY(smelt_compile(session.compiler, module.wasm, &products, &artefact, &err));
    CLI_TRY(stage_artefact(&outputs.artefact, session.compiler, &artefact, module.wasm, &err));
    CLI_TRY(cli_outfile_stage(&outputs.lowered_c, view(&lowered_c), &err));
    CLI_TRY(cli_outfile_stage(&outputs.instrumented_wasm, view(&instrumented_wasm), &err));
    CLI_TRY(cli_outfile_commit(&outputs.artefact, &err));
    CLI_TRY(cli_outfile_commit(&outputs.lowered_c, &err));
    CLI_TRY(cli_outfile_commit(&outputs.instrumented_wasm, &err));
    path = outputs.artefact.path != NULL ? outputs.artefact.path : artefact.path;
    if (!out->is_json) {
        print_artefact(out, options, &artefact, path);
    } else {
        out->object = artefact_json(&artefact, path);
    }
cleanup:
    cli_outfile_discard(&outputs.artefact);
    cli_outfile_discard(&outputs.lowered_c);
    cli_outfile_discard(&outputs.instrumented_wasm);
    smelt_buf_deinit(&lowered_c);
    smelt_buf_deinit(&instrumented_wasm);
    cli_module_deinit(&module);
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_compile = {
    .syntax = {.name = "compile",
               .arguments = "FILE",
               .arguments_min = 1,
               .arguments_max = 1,
               .accepted = CLI_ACCEPTS(OUTPUT) | CLI_ACCEPTS(EMIT_C) | CLI_ACCEPTS(EMIT_WASM) |
                           CLI_ACCEPTS(EXPLAIN_FUEL) | CLI_ACCEPTS(TIER) | CLI_ACCEPTS(OPTIMISE) |
                           CLI_ACCEPTS(ANY_IMPORTS) | CLI_ACCEPTS(PROFILE) | CLI_ACCEPTS(SCHEDULE) |
                           CLI_ACCEPTS(POLICY) | CLI_ACCEPTS(CACHE)},
    .brief = "compile a module into the cache",
    .notes = "FILE is a WebAssembly module, binary or text; - is standard input.\n"
             "The result is a sealed shared object, made once and then found by its key.\n"
             "With --explain-fuel nothing is compiled and no tool is needed.\n",
    .run = run_compile,
};
