/* smelt wave: wave files, executed in order. */
#include "cli/command.h"
#include "cli/ledger.h"
#include "cli/session.h"
#include "cli/wave_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LISTED_MAX 20u /* transactions that were not done, in human output */

struct waves {
    const struct cli_options *options;
    struct cli_output *out;
    struct cli_session session;
    json_t *list; /* borrowed from the answer; NULL in human mode */
    size_t written;
};

/* A number and a time that the file leaves out: those of the next wave. */
static enum smelt_status complete(struct cli_wave_file *file, struct smelt_store *store,
                                  struct smelt_error *err)
{
    struct smelt_wave_record last;
    bool is_found;
    if (file->has_number && file->has_timestamp) {
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = smelt_wave_last(store, &last, NULL, &is_found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!file->has_number) {
        if (is_found && last.number == UINT64_MAX) {
            return cli_error_usage(err, "the state has the last wave that there can be");
        }
        file->wave.number = is_found ? last.number + 1 : 1;
    }
    if (!file->has_timestamp) {
        file->wave.timestamp = is_found ? last.timestamp : 0;
    }
    return SMELT_STATUS_OK;
}

/* ---- printing -------------------------------------------------------------------------------- */

static enum smelt_status receipts_json(const struct smelt_wave_result *result, json_t *receipts,
                                       struct smelt_error *err)
{
    uint32_t count = smelt_wave_result_record(result)->transaction_count;
    for (uint32_t i = 0; i < count; i++) {
        struct smelt_wave_receipt *receipt = NULL;
        enum smelt_status status = smelt_wave_result_receipt(result, i, &receipt, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        bool is_added = json_array_append_new(receipts, cli_wave_receipt_json(receipt)) == 0;
        smelt_wave_receipt_destroy(receipt);
        if (!is_added) {
            return cli_error_no_memory(err);
        }
    }
    return SMELT_STATUS_OK;
}

static json_t *effort_json(const struct smelt_wave_effort *effort)
{
    return json_pack("{s:I, s:o, s:{s:o, s:o, s:o, s:o}}", "workers",
                     (json_int_t)effort->worker_count, "retries", cli_json_number(effort->retries),
                     "timings_ms", "load", cli_json_ms(effort->load_ns), "execute",
                     cli_json_ms(effort->execute_ns), "digest", cli_json_ms(effort->digest_ns),
                     "commit", cli_json_ms(effort->commit_ns));
}

static enum smelt_status add_json(struct waves *waves, const struct smelt_wave_result *result,
                                  struct smelt_error *err)
{
    json_t *receipts = json_array();
    json_t *row =
        cli_record_json(smelt_wave_result_record(result), smelt_wave_result_digest(result));
    if (json_object_set(row, "receipts", receipts) != 0 ||
        json_object_set_new(row, "effort", effort_json(smelt_wave_result_effort(result))) != 0 ||
        json_array_append(waves->list, row) != 0) {
        json_decref(row);
        json_decref(receipts);
        return cli_error_no_memory(err);
    }
    enum smelt_status status = receipts_json(result, receipts, err);
    json_decref(row);
    json_decref(receipts);
    return status;
}

/* The transactions that are not done, as far as there is room for them. */
static enum smelt_status list_failures(const struct cli_output *out,
                                       const struct smelt_wave_result *result,
                                       struct smelt_error *err)
{
    const struct smelt_wave_record *record = smelt_wave_result_record(result);
    uint32_t total = record->failed_count + record->rejected_count;
    uint32_t listed = 0;
    for (uint32_t i = 0; listed < total && listed < LISTED_MAX; i++) {
        struct smelt_wave_receipt *receipt = NULL;
        enum smelt_status status = smelt_wave_result_receipt(result, i, &receipt, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        if (receipt->status != SMELT_STATUS_OK || receipt->outcome.kind != SMELT_OUTCOME_RETURNED) {
            cli_wave_receipt_line(out, receipt);
            listed++;
        }
        smelt_wave_receipt_destroy(receipt);
    }
    if (listed < total) {
        cli_field(out, "", "and %" PRIu32 " more, which --json lists", total - listed);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status print_human(const struct cli_output *out,
                                     const struct smelt_wave_result *result,
                                     struct smelt_error *err)
{
    const struct smelt_wave_effort *effort = smelt_wave_result_effort(result);
    char load[CLI_MS_BYTES];
    char execute[CLI_MS_BYTES];
    char digest[CLI_MS_BYTES];
    char commit[CLI_MS_BYTES];
    cli_record_print(out, smelt_wave_result_record(result), smelt_wave_result_digest(result));
    cli_field(out, "time", "load %s, execute %s, digest %s, commit %s",
              cli_ms_format(effort->load_ns, load), cli_ms_format(effort->execute_ns, execute),
              cli_ms_format(effort->digest_ns, digest), cli_ms_format(effort->commit_ns, commit));
    cli_field(out, "workers", "%" PRIu32 ", %" PRIu64 " retries", effort->worker_count,
              effort->retries);
    return list_failures(out, result, err);
}

/* ---- running --------------------------------------------------------------------------------- */

/* Only when a first file has been read: a malformed one leaves no state behind. */
static enum smelt_status open_session(struct waves *waves, struct smelt_error *err)
{
    if (waves->session.engine != NULL) {
        return SMELT_STATUS_OK;
    }
    enum smelt_status status =
        cli_session_open_store(&waves->session, waves->options, CLI_STATE_CREATE, err);
    return status != SMELT_STATUS_OK
               ? status
               : cli_session_open_engine(&waves->session, waves->options, waves->out, err);
}

static enum smelt_status run_file(struct waves *waves, const char *path, struct smelt_error *err)
{
    struct cli_wave_file file = {0};
    struct smelt_wave_result *result = NULL;
    enum smelt_status status;
    CLI_TRY(cli_wave_file_read(path, &file, err));
    CLI_TRY(open_session(waves, err));
    cli_progress(waves->out, "executing", path);
    if (complete(&file, waves->session.store, err) != SMELT_STATUS_OK ||
        smelt_wave_run(waves->session.engine, &file.wave, &result, err) != SMELT_STATUS_OK) {
        status =
            cli_error_prefix(err, "%.120s: ", strcmp(path, "-") == 0 ? "standard input" : path);
        goto cleanup;
    }
    waves->written++;
    status =
        waves->list != NULL ? add_json(waves, result, err) : print_human(waves->out, result, err);
cleanup:
    smelt_wave_result_destroy(result);
    cli_wave_file_deinit(&file);
    return status;
}

static enum smelt_status check_arguments(const struct cli_options *options, struct smelt_error *err)
{
    const char *metrics = options->values[CLI_OPTION_METRICS].text;
    size_t stdin_count = 0;
    for (size_t i = 0; i < options->argument_count; i++) {
        const char *path = options->arguments[i];
        bool is_stdin = strcmp(path, "-") == 0;
        stdin_count += is_stdin;
        if (!is_stdin && metrics != NULL && cli_is_same_file(metrics, path)) {
            return cli_error_usage(err, "%.200s would replace what is read", metrics);
        }
    }
    return stdin_count > 1 ? cli_error_usage(err, "standard input has one wave: - is given twice")
                           : SMELT_STATUS_OK;
}

/* A failure does not take back the waves before it. */
static void say_what_stands(const struct waves *waves)
{
    char line[96];
    (void)snprintf(line, sizeof(line), "%zu of %zu waves are written and stand", waves->written,
                   waves->options->argument_count);
    cli_log(waves->out, SMELT_LOG_WARNING, line);
}

static int run_wave(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct waves waves = {.options = options, .out = out};
    CLI_TRY(check_arguments(options, &err));
    if (out->is_json) {
        waves.list = json_array();
        out->object = json_pack("{s:o}", "waves", waves.list);
        if (out->object == NULL) {
            status = cli_error_no_memory(&err);
            goto cleanup;
        }
    }
    for (size_t i = 0; i < options->argument_count; i++) {
        CLI_TRY(run_file(&waves, options->arguments[i], &err));
    }
cleanup:
    cli_session_write_metrics(&waves.session, out);
    cli_session_close(&waves.session);
    if (status == SMELT_STATUS_OK) {
        return CLI_EXIT_OK;
    }
    if (waves.written != 0) {
        say_what_stands(&waves);
    }
    return cli_fail(out, &err);
}

const struct cli_command cli_command_wave = {
    .syntax = {.name = "wave",
               .arguments = "FILE...",
               .arguments_min = 1,
               .arguments_max = CLI_ARGUMENTS_UNLIMITED,
               .accepted = CLI_ACCEPTS(WORKERS) | CLI_ACCEPTS(COMMITMENT) | CLI_ACCEPTS(SYNC) |
                           CLI_ACCEPTS(RECEIPTS_KEPT) | CLI_ACCEPTS(PROFILE) |
                           CLI_ACCEPTS(SCHEDULE) | CLI_ACCEPTS(POLICY) | CLI_ACCEPTS(CACHE) |
                           CLI_ACCEPTS(METRICS),
               .required = CLI_ACCEPTS(STATE)},
    .brief = "execute waves of transactions from JSON files",
    .notes =
        "One wave for each FILE, in order; - is standard input. A wave is written whole or not\n"
        "at all, and the first one that cannot be ends the command. Transactions that fail or\n"
        "are rejected are part of their wave: the exit code is 0. The state is created when\n"
        "missing. docs/waves.md has the format of the files.\n",
    .run = run_wave,
};
