/* Opening and closing what commands work with. See session.h. */
#include "cli/session.h"

#include <stdlib.h>
#include <string.h>

#define MODULE_FILE_BYTES_MAX                                                                      \
    ((size_t)64 << 20) /* of text or binary; the policy's limit is lower */
#define TOML_FILE_BYTES_MAX ((size_t)1 << 20)

void cli_session_close(struct cli_session *session)
{
    smelt_engine_destroy(session->engine);
    smelt_store_close(session->store);
    smelt_compiler_destroy(session->compiler);
    smelt_policy_destroy(session->policy);
    smelt_schedule_destroy(session->schedule);
    smelt_cache_close(session->cache);
    memset(session, 0, sizeof(*session));
}

/* ---- schedule and policy --------------------------------------------------------------------- */

/* The text of a schedule or policy that is not built in. */
static enum smelt_status read_toml(const char *name, const char *what, const char *builtins,
                                   struct cli_bytes *out, struct smelt_error *err)
{
    enum smelt_status status = cli_file_read(name, TOML_FILE_BYTES_MAX, out, err);
    if (status == SMELT_STATUS_NOT_FOUND) {
        return cli_error_usage(err, "\"%.200s\" is neither a file nor a built-in %s (%s)", name,
                               what, builtins);
    }
    return status;
}

enum smelt_status cli_schedule_load(const char *name, struct smelt_schedule **out,
                                    struct smelt_error *err)
{
    struct cli_bytes text = {0};
    enum smelt_status status = smelt_schedule_builtin(name, &smelt_profile_engine, out, err);
    if (status != SMELT_STATUS_NOT_FOUND) {
        return status;
    }
    CLI_TRY(read_toml(name, "schedule", "engine-v1, unit", &text, err));
    status = smelt_schedule_parse(cli_bytes_view(&text), &smelt_profile_engine, out, err);
cleanup:
    cli_bytes_deinit(&text);
    return status;
}

enum smelt_status cli_policy_load(const char *name, struct smelt_policy **out,
                                  struct smelt_error *err)
{
    struct cli_bytes text = {0};
    enum smelt_status status = smelt_policy_builtin(name, out, err);
    if (status != SMELT_STATUS_NOT_FOUND) {
        return status;
    }
    CLI_TRY(read_toml(name, "policy", "standard, standard-floats", &text, err));
    status = smelt_policy_parse(cli_bytes_view(&text), out, err);
cleanup:
    cli_bytes_deinit(&text);
    return status;
}

static struct smelt_slice view(const struct smelt_buf *buf)
{
    return (struct smelt_slice){.data = buf->data, .size = buf->size};
}

enum smelt_status cli_session_open_recorded(struct cli_session *session,
                                            struct smelt_buf *profile_name, struct smelt_error *err)
{
    struct smelt_state_description recorded = {0};
    enum smelt_status status = smelt_state_describe(session->store, &recorded, err);
    if (status != SMELT_STATUS_OK || !recorded.is_recorded) {
        goto cleanup;
    }
    if (session->schedule == NULL) {
        CLI_TRY(smelt_schedule_parse(view(&recorded.schedule_text), &smelt_profile_engine,
                                     &session->schedule, err));
    }
    if (session->policy == NULL) {
        CLI_TRY(smelt_policy_parse(view(&recorded.policy_text), &session->policy, err));
    }
    if (profile_name != NULL) {
        *profile_name = recorded.profile_name;
        recorded.profile_name = (struct smelt_buf){0};
    }
cleanup:
    smelt_state_description_deinit(&recorded);
    return status;
}

static enum smelt_status open_rules(struct cli_session *session, const struct cli_options *options,
                                    struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    const struct cli_value *schedule = &options->values[CLI_OPTION_SCHEDULE];
    const struct cli_value *policy = &options->values[CLI_OPTION_POLICY];
    if (schedule->is_given) {
        CLI_TRY(cli_schedule_load(schedule->text, &session->schedule, err));
    }
    if (policy->is_given) {
        CLI_TRY(cli_policy_load(policy->text, &session->policy, err));
    }
    if (session->store != NULL) {
        CLI_TRY(cli_session_open_recorded(session, NULL, err));
    }
    if (session->schedule == NULL) {
        CLI_TRY(cli_schedule_load(smelt_profile_engine.default_schedule, &session->schedule, err));
    }
    if (session->policy == NULL) {
        CLI_TRY(cli_policy_load(SMELT_POLICY_DEFAULT, &session->policy, err));
    }
cleanup:
    return status;
}

/* ---- compiler, store, engine ----------------------------------------------------------------- */

enum smelt_status cli_session_open_compiler(struct cli_session *session,
                                            const struct cli_options *options,
                                            struct cli_output *out, struct smelt_error *err)
{
    static const enum smelt_tier tiers[] = {SMELT_TIER_BASELINE};
    static const enum smelt_optimisation optimisations[] = {
        SMELT_OPTIMISE_BY_SIZE, SMELT_OPTIMISE_NONE, SMELT_OPTIMISE_FULL};
    enum smelt_status status;
    struct smelt_compiler_options compiler;
    char directory[SMELT_PATH_BYTES];
    const char *cache = options->values[CLI_OPTION_CACHE].text;
    CLI_TRY(cli_outfile_check(&session->metrics, options->values[CLI_OPTION_METRICS].text,
                              options->argument_count != 0 ? options->arguments[0] : NULL, err));
    CLI_TRY(open_rules(session, options, err));
    if (cache == NULL) {
        CLI_TRY(smelt_cache_default_directory(directory, sizeof(directory), err));
        cache = directory;
    }
    CLI_TRY(smelt_cache_open(cache, &session->cache, err));
    compiler = (struct smelt_compiler_options){
        .cache = session->cache,
        .schedule = session->schedule,
        .profile = &smelt_profile_engine,
        .policy = session->policy,
        .tier = tiers[options->values[CLI_OPTION_TIER].number],
        .optimisation = optimisations[options->values[CLI_OPTION_OPTIMISE].number],
        .allows_any_import = options->values[CLI_OPTION_ANY_IMPORTS].is_given,
        .log = {cli_log, out},
    };
    status = smelt_compiler_create(&compiler, &session->compiler, err);
cleanup:
    return status;
}

/* `text` is the value of --sync, NULL without one. */
static enum smelt_status parse_sync(const char *text, struct smelt_rocksdb_options *out,
                                    struct smelt_error *err)
{
    uint64_t interval;
    if (text == NULL || strcmp(text, "always") == 0) {
        out->sync = SMELT_SYNC_ALWAYS;
    } else if (strcmp(text, "never") == 0) {
        out->sync = SMELT_SYNC_NEVER;
    } else if (cli_number_parse(text, 1, UINT32_MAX, &interval)) {
        out->sync = SMELT_SYNC_INTERVAL;
        out->sync_interval = (uint32_t)interval;
    } else {
        return cli_error_usage(
            err, "--sync: \"%.64s\" is neither always, never nor a number from 1 to 4294967295",
            text);
    }
    return SMELT_STATUS_OK;
}

enum smelt_status cli_session_open_store(struct cli_session *session,
                                         const struct cli_options *options,
                                         enum cli_state_mode mode, struct smelt_error *err)
{
    const char *directory = options->values[CLI_OPTION_STATE].text;
    struct smelt_rocksdb_options rocksdb = {.must_exist = mode == CLI_STATE_EXISTING};
    enum smelt_status status = parse_sync(options->values[CLI_OPTION_SYNC].text, &rocksdb, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    return smelt_store_open_rocksdb(directory, &rocksdb, &session->store, err);
}

enum smelt_status cli_session_open_engine(struct cli_session *session,
                                          const struct cli_options *options, struct cli_output *out,
                                          struct smelt_error *err)
{
    enum smelt_status status;
    struct smelt_engine_options engine;
    if (session->compiler == NULL) {
        CLI_TRY(cli_session_open_compiler(session, options, out, err));
    }
    engine = (struct smelt_engine_options){
        .store = session->store,
        .schedule = session->schedule,
        .policy = session->policy,
        .source = smelt_compiler_source(session->compiler),
        .profile = &smelt_profile_engine,
        .workers = (uint32_t)options->values[CLI_OPTION_WORKERS].number,
        .has_commitment = options->values[CLI_OPTION_COMMITMENT].is_given,
        .receipts_kept = options->values[CLI_OPTION_RECEIPTS_KEPT].number,
    };
    status = smelt_engine_create(&engine, &session->engine, err);
cleanup:
    return status;
}

void cli_session_write_metrics(struct cli_session *session, struct cli_output *out)
{
    struct smelt_error err = {0};
    struct smelt_buf text = {0};
    enum smelt_status status = SMELT_STATUS_OK;
    if (session->engine == NULL || session->metrics.path == NULL) {
        return;
    }
    CLI_TRY(smelt_engine_metrics(session->engine, &text, &err));
    CLI_TRY(cli_outfile_stage(&session->metrics,
                              (struct smelt_slice){.data = text.data, .size = text.size}, &err));
    CLI_TRY(cli_outfile_commit(&session->metrics, &err));
cleanup:
    if (status != SMELT_STATUS_OK) {
        cli_log(out, SMELT_LOG_WARNING, err.message); /* the transaction is over and stands */
    }
    cli_outfile_discard(&session->metrics);
    smelt_buf_deinit(&text);
}

enum smelt_status cli_module_read(const char *path, struct cli_module *out, struct smelt_error *err)
{
    memset(out, 0, sizeof(*out));
    enum smelt_status status = cli_file_read(path, MODULE_FILE_BYTES_MAX, &out->file, err);
    if (status == SMELT_STATUS_INVALID_ARGUMENT) {
        status = err->status = SMELT_STATUS_MODULE_LIMIT;
    }
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    out->wasm = cli_bytes_view(&out->file);
    /* binaries start with "\0asm"; no text module starts with NUL, so a damaged binary is still
     * reported as a binary, and so is an empty file */
    if (out->file.size == 0 || out->file.data[0] == 0) {
        return SMELT_STATUS_OK;
    }
    status = smelt_wat_to_wasm(out->wasm, &out->converted, err);
    out->wasm = (struct smelt_slice){.data = out->converted.data, .size = out->converted.size};
    return status;
}

void cli_module_deinit(struct cli_module *module)
{
    smelt_buf_deinit(&module->converted);
    cli_bytes_deinit(&module->file);
    memset(module, 0, sizeof(*module));
}

void cli_transaction_init(struct smelt_transaction *transaction, const struct cli_options *options)
{
    *transaction = (struct smelt_transaction){
        .from = options->values[CLI_OPTION_FROM].address,
        .value = options->values[CLI_OPTION_VALUE].amount,
        .input = options->values[CLI_OPTION_INPUT].bytes,
        .fuel_limit = options->values[CLI_OPTION_FUEL].number,
        .block_number = options->values[CLI_OPTION_BLOCK].number,
        .block_timestamp = options->values[CLI_OPTION_TIME].number,
        .is_static = options->values[CLI_OPTION_STATIC].is_given,
        .deadline_ms = options->values[CLI_OPTION_DEADLINE_MS].number,
    };
}

enum smelt_status cli_arguments_parse(const struct cli_options *options, size_t skipped,
                                      struct smelt_value **values, size_t *count,
                                      struct smelt_error *err)
{
    size_t wanted = options->argument_count - skipped;
    struct smelt_value *parsed = calloc(wanted + 1, sizeof(*parsed));
    *values = NULL;
    *count = 0;
    if (parsed == NULL) {
        return cli_error_no_memory(err);
    }
    for (size_t i = 0; i < wanted; i++) {
        const char *text = options->arguments[skipped + i];
        if (!smelt_value_parse(text, &parsed[i])) {
            free(parsed);
            return cli_error_usage(
                err, "argument %zu: \"%.64s\" is not a typed value such as i32:5 or i64:-7", i + 1,
                text);
        }
    }
    *values = parsed;
    *count = wanted;
    return SMELT_STATUS_OK;
}

uint64_t cli_limit(const struct cli_options *options)
{
    const struct cli_value *limit = &options->values[CLI_OPTION_LIMIT];
    return limit->is_given ? limit->number : 1000;
}

enum smelt_status cli_address_parse(const char *text, struct smelt_address *out,
                                    struct smelt_error *err)
{
    if (!smelt_hex_decode(text, out->bytes, SMELT_ADDRESS_BYTES)) {
        return cli_error_usage(err, "an address has 64 hex digits, not \"%.80s\"", text);
    }
    return SMELT_STATUS_OK;
}
