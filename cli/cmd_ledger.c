/* smelt receipt, smelt events, smelt state wave: what waves have left behind. */
#include "cli/command.h"
#include "cli/ledger.h"
#include "cli/session.h"

#include <inttypes.h>

/* Events that are printed as they are visited. */
struct event_list {
    const struct cli_output *out;
    json_t *rows; /* NULL in human mode */
    uint64_t limit;
    uint64_t count;
    bool has_more;
    bool is_failed;             /* out of memory */
    bool is_of_one_transaction; /* then all others are passed over */
    uint32_t transaction;
};

static bool list_event(void *context, const struct smelt_wave_event *event)
{
    struct event_list *list = context;
    if (list->is_of_one_transaction && event->transaction != list->transaction) {
        return event->transaction < list->transaction;
    }
    if (list->count == list->limit) {
        list->has_more = true;
        return false;
    }
    list->count++;
    if (list->rows != NULL) {
        list->is_failed = json_array_append_new(list->rows, cli_wave_event_json(event)) != 0;
    } else {
        cli_wave_event_print(list->out, event);
    }
    return !list->is_failed;
}

static enum smelt_status list_events(struct event_list *list, struct smelt_store *store,
                                     const struct smelt_event_filter *filter,
                                     struct smelt_error *err)
{
    enum smelt_status status = smelt_events_visit(store, filter, list_event, list, err);
    return status == SMELT_STATUS_OK && list->is_failed ? cli_error_no_memory(err) : status;
}

/* ---- smelt receipt --------------------------------------------------------------------------- */

static enum smelt_status find_receipt(const struct cli_options *options, struct smelt_store *store,
                                      struct smelt_wave_receipt **out, struct smelt_error *err)
{
    struct smelt_hash id;
    uint64_t wave;
    uint64_t index;
    const char *const *words = options->arguments;
    if (options->argument_count == 1) {
        if (!smelt_hex_decode(words[0], id.bytes, SMELT_HASH_BYTES)) {
            return cli_error_usage(err,
                                   "\"%.80s\" is not an id, which has 64 hex digits; a receipt by "
                                   "number is smelt receipt WAVE INDEX",
                                   words[0]);
        }
        return smelt_wave_receipt_find(store, &id, out, err);
    }
    if (!cli_number_parse(words[0], 1, UINT64_MAX, &wave)) {
        return cli_error_usage(err, "\"%.64s\" is not the number of a wave, which is 1 or above",
                               words[0]);
    }
    if (!cli_number_parse(words[1], 0, UINT32_MAX, &index)) {
        return cli_error_usage(err, "\"%.64s\" is not a position in a wave, counted from 0",
                               words[1]);
    }
    return smelt_wave_receipt_get(store, wave, (uint32_t)index, out, err);
}

static int run_receipt(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct smelt_wave_receipt *receipt = NULL;
    struct event_list list = {.out = out, .limit = UINT64_MAX, .is_of_one_transaction = true};
    struct smelt_event_filter filter = {0};
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    CLI_TRY(find_receipt(options, session.store, &receipt, &err));
    if (out->is_json) {
        list.rows = json_array();
        out->object = cli_wave_receipt_json(receipt);
        if (json_object_set_new(out->object, "events", list.rows) != 0) {
            status = cli_error_no_memory(&err);
            goto cleanup;
        }
    } else {
        cli_wave_receipt_print(out, receipt);
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): find_receipt gave one */
    if (receipt->event_count != 0) {
        list.transaction = receipt->index;
        filter.first_wave = receipt->wave;
        filter.last_wave = receipt->wave;
        CLI_TRY(list_events(&list, session.store, &filter, &err));
    }
cleanup:
    smelt_wave_receipt_destroy(receipt);
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_receipt = {
    .syntax = {.name = "receipt",
               .arguments = "ID|(WAVE INDEX)",
               .arguments_min = 1,
               .arguments_max = 2,
               .required = CLI_ACCEPTS(STATE)},
    .brief = "show what became of a transaction of a wave",
    .notes = "By the id that its wave gives it, or by wave and position, counted from 0.\n",
    .run = run_receipt,
};

/* ---- smelt events ---------------------------------------------------------------------------- */

static int run_events(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    const struct cli_value *values = options->values;
    const struct cli_value *last = &values[CLI_OPTION_TO_WAVE];
    struct smelt_event_filter filter = {
        .first_wave = values[CLI_OPTION_FROM_WAVE].number,
        .last_wave = last->is_given ? last->number : UINT64_MAX,
        .address = values[CLI_OPTION_ADDRESS].is_given ? &values[CLI_OPTION_ADDRESS].address : NULL,
        .topic = values[CLI_OPTION_TOPIC].is_given ? &values[CLI_OPTION_TOPIC].bytes : NULL,
    };
    struct event_list list = {.out = out, .limit = cli_limit(options)};
    if (filter.first_wave > filter.last_wave) {
        status = cli_error_usage(&err, "--from-wave %" PRIu64 " is behind --to-wave %" PRIu64,
                                 filter.first_wave, filter.last_wave);
        goto cleanup;
    }
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    list.rows = out->is_json ? json_array() : NULL;
    CLI_TRY(list_events(&list, session.store, &filter, &err));
    if (out->is_json) {
        out->object = json_pack("{s:O, s:b}", "events", list.rows, "more", list.has_more);
    } else if (list.has_more) {
        cli_headline(out, CLI_TONE_DIM, "and more", "--limit N prints N");
    } else if (list.count == 0) {
        cli_headline(out, CLI_TONE_DIM, "no events", "in the waves whose events are kept");
    }
cleanup:
    json_decref(list.rows);
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_events = {
    .syntax = {.name = "events",
               .arguments = "",
               .accepted = CLI_ACCEPTS(FROM_WAVE) | CLI_ACCEPTS(TO_WAVE) | CLI_ACCEPTS(ADDRESS) |
                           CLI_ACCEPTS(TOPIC) | CLI_ACCEPTS(LIMIT),
               .required = CLI_ACCEPTS(STATE)},
    .brief = "list the events of waves, the oldest first",
    .notes = "Events of transactions outside of waves are not kept.\n",
    .run = run_events,
};

/* ---- smelt state wave ------------------------------------------------------------------------ */

static enum smelt_status find_record(const struct cli_options *options, struct smelt_store *store,
                                     struct smelt_wave_record *record, struct smelt_error *err)
{
    uint64_t number;
    bool is_found;
    if (options->argument_count != 0) {
        if (!cli_number_parse(options->arguments[0], 1, UINT64_MAX, &number)) {
            return cli_error_usage(err,
                                   "\"%.64s\" is not the number of a wave, which is 1 or above",
                                   options->arguments[0]);
        }
        return smelt_wave_get(store, number, record, err);
    }
    enum smelt_status status = smelt_wave_last(store, record, NULL, &is_found, err);
    if (status == SMELT_STATUS_OK && !is_found) {
        status = cli_error_set(err, SMELT_STATUS_NOT_FOUND, "the state has no waves");
    }
    return status;
}

static int run_state_wave(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct smelt_wave_record record;
    struct smelt_hash digest;
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    CLI_TRY(find_record(options, session.store, &record, &err));
    smelt_wave_record_digest(&record, &digest);
    if (out->is_json) {
        out->object = cli_record_json(&record, &digest);
    } else {
        cli_record_print(out, &record, &digest);
    }
cleanup:
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_state_wave = {
    .syntax = {.name = "state wave",
               .arguments = "[NUMBER]",
               .arguments_max = 1,
               .required = CLI_ACCEPTS(STATE)},
    .brief = "show the record of a wave (default: the newest)",
    .run = run_state_wave,
};
