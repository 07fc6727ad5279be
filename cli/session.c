/* Opening and closing what commands work with. See session.h. */
#include "cli/session.h"

#include <stdlib.h>
#include <string.h>

#define MODULE_FILE_BYTES_MAX                                                                      \
    ((size_t)64 << 20) /* of text or binary; the policy's limit is lower */
#define SCHEDULE_FILE_BYTES_MAX ((size_t)1 << 20)

void cli_session_close(struct cli_session *session)
{
    smelt_engine_destroy(session->engine);
    smelt_store_close(session->store);
    smelt_compiler_destroy(session->compiler);
    smelt_schedule_destroy(session->schedule);
    smelt_cache_close(session->cache);
    memset(session, 0, sizeof(*session));
}

/* A built-in name wins over a file of that name, which can still be given as ./NAME. */
static enum smelt_status load_schedule(const char *name, struct smelt_schedule **out,
                                       struct smelt_error *err)
{
    enum smelt_status status = smelt_schedule_builtin(name, &smelt_profile_engine, out, err);
    if (status != SMELT_STATUS_NOT_FOUND) {
        return status;
    }
    struct cli_bytes text;
    status = cli_file_read(name, SCHEDULE_FILE_BYTES_MAX, &text, err);
    if (status == SMELT_STATUS_NOT_FOUND) {
        return cli_error_usage(err,
                               "--schedule: \"%.200s\" is neither a file nor a built-in "
                               "schedule (engine-v1, unit)",
                               name);
    }
    if (status == SMELT_STATUS_OK) {
        status = smelt_schedule_parse(cli_bytes_view(&text), &smelt_profile_engine, out, err);
    }
    cli_bytes_deinit(&text);
    return status;
}

/* The schedule a state was created with; `*out` stays NULL in a state that has none yet. */
static enum smelt_status load_recorded_schedule(struct smelt_store *store,
                                                struct smelt_schedule **out,
                                                struct smelt_error *err)
{
    struct smelt_buf profile = {0};
    struct smelt_buf text = {0};
    bool is_recorded = false;
    enum smelt_status status = smelt_state_describe(store, &profile, &text, &is_recorded, err);
    if (status == SMELT_STATUS_OK && is_recorded) {
        struct smelt_slice view = {.data = text.data, .size = text.size};
        status = smelt_schedule_parse(view, &smelt_profile_engine, out, err);
    }
    smelt_buf_deinit(&text);
    smelt_buf_deinit(&profile);
    return status;
}

enum smelt_status cli_session_open_schedule(struct cli_session *session,
                                            const struct cli_options *options,
                                            struct smelt_error *err)
{
    const struct cli_value *given = &options->values[CLI_OPTION_SCHEDULE];
    if (given->is_given) {
        return load_schedule(given->text, &session->schedule, err);
    }
    if (session->store != NULL) {
        enum smelt_status status = load_recorded_schedule(session->store, &session->schedule, err);
        if (status != SMELT_STATUS_OK || session->schedule != NULL) {
            return status;
        }
    }
    return load_schedule(smelt_profile_engine.default_schedule, &session->schedule, err);
}

enum smelt_status cli_session_open_compiler(struct cli_session *session,
                                            const struct cli_options *options,
                                            struct cli_output *out, struct smelt_error *err)
{
    static const enum smelt_float_policy policies[] = {SMELT_FLOAT_FORBID,
                                                       SMELT_FLOAT_CANONICAL_NAN};
    static const enum smelt_tier tiers[] = {SMELT_TIER_BASELINE};
    enum smelt_status status;
    struct smelt_compiler_options compiler;
    char directory[SMELT_PATH_BYTES];
    const char *cache = options->values[CLI_OPTION_CACHE].text;
    CLI_TRY(cli_session_open_schedule(session, options, err));
    if (cache == NULL) {
        CLI_TRY(smelt_cache_default_directory(directory, sizeof(directory), err));
        cache = directory;
    }
    CLI_TRY(smelt_cache_open(cache, &session->cache, err));
    compiler = (struct smelt_compiler_options){
        .cache = session->cache,
        .schedule = session->schedule,
        .profile = &smelt_profile_engine,
        .tier = tiers[options->values[CLI_OPTION_TIER].number],
        .floats = policies[options->values[CLI_OPTION_FLOATS].number],
        .allows_any_import = options->values[CLI_OPTION_ANY_IMPORTS].is_given,
        .warn = cli_warn,
        .warn_context = out,
    };
    status = smelt_compiler_create(&compiler, &session->compiler, err);
cleanup:
    return status;
}

enum smelt_status cli_session_open_store(struct cli_session *session,
                                         const struct cli_options *options,
                                         enum cli_state_mode mode, struct smelt_error *err)
{
    const char *directory = options->values[CLI_OPTION_STATE].text;
    return smelt_store_open_rocksdb(directory, mode == CLI_STATE_EXISTING, &session->store, err);
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
        .source = smelt_compiler_source(session->compiler),
        .profile = &smelt_profile_engine,
    };
    status = smelt_engine_create(&engine, &session->engine, err);
cleanup:
    return status;
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

enum smelt_status cli_address_parse(const char *text, struct smelt_address *out,
                                    struct smelt_error *err)
{
    if (!smelt_hex_decode(text, out->bytes, SMELT_ADDRESS_BYTES)) {
        return cli_error_usage(err, "an address has 64 hex digits, not \"%.80s\"", text);
    }
    return SMELT_STATUS_OK;
}
