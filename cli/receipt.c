/* Printing of receipts. */
#include "cli/receipt.h"

#include <stdlib.h>
#include <string.h>

#define HASH_TEXT_BYTES (2 * SMELT_HASH_BYTES + 1)

static bool has_address(enum cli_receipt_kind kind, const struct smelt_receipt *receipt)
{
    return kind == CLI_RECEIPT_CALL || receipt->outcome.kind == SMELT_OUTCOME_RETURNED;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

json_t *cli_results_json(const struct smelt_value *values, size_t count)
{
    json_t *results = json_array();
    for (size_t i = 0; i < count; i++) {
        char text[SMELT_VALUE_TEXT_BYTES];
        smelt_value_format(values[i], text);
        if (json_array_append_new(results, json_string(text)) != 0) {
            json_decref(results);
            return NULL;
        }
    }
    return results;
}

json_t *cli_event_json(const struct smelt_event *event)
{
    return json_pack("{s:o, s:o, s:o}", "address",
                     cli_json_hex(event->address.bytes, sizeof(event->address.bytes)), "topic",
                     cli_json_hex(event->topic.data, event->topic.size), "data",
                     cli_json_hex(event->data.data, event->data.size));
}

static json_t *events_json(const struct smelt_receipt *receipt)
{
    json_t *events = json_array();
    for (size_t i = 0; i < receipt->event_count; i++) {
        if (json_array_append_new(events, cli_event_json(&receipt->events[i])) != 0) {
            json_decref(events);
            return NULL;
        }
    }
    return events;
}

json_t *cli_location_json(const struct smelt_location *location)
{
    if (!location->is_known) {
        return json_null();
    }
    return json_pack("{s:o, s:I, s:I}", "function", cli_json_text(location->function), "index",
                     (json_int_t)location->func_index, "offset", (json_int_t)location->offset);
}

static json_t *receipt_json(enum cli_receipt_kind kind, const char *function,
                            const struct smelt_receipt *receipt)
{
    const struct smelt_outcome *outcome = &receipt->outcome;
    bool is_trap = outcome->kind == SMELT_OUTCOME_TRAPPED;
    bool is_host_error = is_trap && outcome->trap == SMELT_TRAP_HOST_ERROR;
    return json_pack(
        "{s:o, s:o, s:s, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:{s:o, s:o, s:o}}",
        "address",
        has_address(kind, receipt) ? cli_json_hex(receipt->address.bytes, SMELT_ADDRESS_BYTES)
                                   : json_null(),
        "function", cli_json_text(smelt_slice_from_string(function)), "outcome",
        smelt_outcome_name(outcome->kind), "trap",
        is_trap ? json_string(smelt_trap_name(outcome->trap)) : json_null(), "host_error",
        is_host_error ? json_string(smelt_host_error_name(outcome->host_error)) : json_null(),
        "fuel_used", (json_int_t)receipt->fuel_used, "fuel_limit", (json_int_t)receipt->fuel_limit,
        "results", cli_results_json(receipt->results, receipt->result_count), "return_data",
        cli_json_hex(receipt->return_data.data, receipt->return_data.size), "events",
        events_json(receipt), "writes", (json_int_t)receipt->write_count, "location",
        cli_location_json(&receipt->location), "module_hash",
        cli_json_hex(receipt->module_hash.bytes, SMELT_HASH_BYTES), "artefact_key",
        cli_json_hex(receipt->artefact_key.bytes, SMELT_HASH_BYTES), "timings_ms", "load",
        cli_json_ms(receipt->load_ns), "execute", cli_json_ms(receipt->execute_ns), "commit",
        cli_json_ms(receipt->commit_ns));
}

/* ---- human text ------------------------------------------------------------------------------ */

char *cli_results_text(const struct smelt_value *values, size_t count)
{
    char *results = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&results, &size);
    if (stream == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        char text[SMELT_VALUE_TEXT_BYTES];
        smelt_value_format(values[i], text);
        (void)fprintf(stream, "%s%s", i == 0 ? "  " : ", ", text);
    }
    if (fclose(stream) != 0) {
        free(results);
        return NULL;
    }
    return results;
}

static void print_headline(const struct cli_output *out, const struct smelt_receipt *receipt,
                           const char *function)
{
    const struct smelt_outcome *outcome = &receipt->outcome;
    char *name = cli_text_escape(smelt_slice_from_string(function), false);
    const char *shown = name != NULL ? name : "";
    const char *word = smelt_outcome_name(outcome->kind);
    switch (outcome->kind) {
    case SMELT_OUTCOME_RETURNED: {
        char *results = cli_results_text(receipt->results, receipt->result_count);
        cli_headline(out, CLI_TONE_GOOD, word, "%s%s", shown, results != NULL ? results : "");
        free(results);
        break;
    }
    case SMELT_OUTCOME_TRAPPED: {
        bool is_host_error = outcome->trap == SMELT_TRAP_HOST_ERROR;
        cli_headline(out, CLI_TONE_BAD, word, "%s: %s%s%s", shown, smelt_trap_name(outcome->trap),
                     is_host_error ? ", " : "",
                     is_host_error ? smelt_host_error_name(outcome->host_error) : "");
        break;
    }
    case SMELT_OUTCOME_REVERTED:
    case SMELT_OUTCOME_OUT_OF_FUEL:
        cli_headline(out, CLI_TONE_BAD, word, "%s", shown);
        break;
    }
    free(name);
}

void cli_location_print(const struct cli_output *out, const struct smelt_location *location)
{
    if (location->is_known) {
        char *name = cli_text_escape(location->function, false);
        cli_field(out, "at", "%s (function %u), offset 0x%x", name != NULL ? name : "",
                  (unsigned)location->func_index, (unsigned)location->offset);
        free(name);
    }
}

void cli_bytes_print(const struct cli_output *out, const char *label, struct smelt_slice bytes)
{
    char *text = cli_bytes_show(bytes);
    cli_field(out, label, "%s", text != NULL ? text : "");
    free(text);
}

static void print_events(const struct cli_output *out, const struct smelt_receipt *receipt)
{
    for (size_t i = 0; i < receipt->event_count; i++) {
        const struct smelt_event *event = &receipt->events[i];
        char *topic = cli_bytes_show(event->topic);
        char *data = cli_bytes_show(event->data);
        char label[32];
        (void)snprintf(label, sizeof(label), "event %zu", i);
        cli_field(out, label, "%s  %s", topic != NULL ? topic : "", data != NULL ? data : "");
        free(data);
        free(topic);
        if (memcmp(&event->address, &receipt->address, sizeof(event->address)) != 0) {
            char address[HASH_TEXT_BYTES];
            smelt_hex_encode(event->address.bytes, SMELT_ADDRESS_BYTES, address);
            cli_field(out, "", "by %s", address);
        }
    }
}

static void print_human(const struct cli_output *out, enum cli_receipt_kind kind,
                        const char *function, const struct smelt_receipt *receipt)
{
    char address[HASH_TEXT_BYTES];
    char module[HASH_TEXT_BYTES];
    char key[HASH_TEXT_BYTES];
    char load[CLI_MS_BYTES];
    char execute[CLI_MS_BYTES];
    char commit[CLI_MS_BYTES];
    smelt_hex_encode(receipt->address.bytes, SMELT_ADDRESS_BYTES, address);
    smelt_hex_encode(receipt->module_hash.bytes, SMELT_HASH_BYTES, module);
    smelt_hex_encode(receipt->artefact_key.bytes, SMELT_HASH_BYTES, key);
    if (kind == CLI_RECEIPT_DEPLOY && has_address(kind, receipt)) {
        cli_headline(out, CLI_TONE_GOOD, "deployed", "%s", address);
    } else {
        print_headline(out, receipt, function);
        cli_field(out, "address", "%s", has_address(kind, receipt) ? address : "(no contract)");
    }
    cli_location_print(out, &receipt->location);
    cli_field(out, "fuel", "%llu of %llu", (unsigned long long)receipt->fuel_used,
              (unsigned long long)receipt->fuel_limit);
    cli_field(out, "writes", "%llu", (unsigned long long)receipt->write_count);
    print_events(out, receipt);
    if (receipt->return_data.size != 0) {
        cli_bytes_print(out, "return data", receipt->return_data);
    }
    cli_field(out, "module", "%s", module);
    cli_field(out, "artefact", "%s", key);
    cli_field(out, "time", "load %s, execute %s, commit %s", cli_ms_format(receipt->load_ns, load),
              cli_ms_format(receipt->execute_ns, execute),
              cli_ms_format(receipt->commit_ns, commit));
}

int cli_receipt_print(struct cli_output *out, enum cli_receipt_kind kind, const char *function,
                      const struct smelt_receipt *receipt)
{
    if (!out->is_json) {
        print_human(out, kind, function, receipt);
    } else {
        out->object = receipt_json(kind, function, receipt);
    }
    return (int)cli_exit_of_outcome(receipt->outcome.kind);
}
