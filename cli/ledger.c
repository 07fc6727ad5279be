/* Records, receipts and events of waves for people and for machines. */
#include "cli/ledger.h"

#include "cli/receipt.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HEX_BYTES (2 * SMELT_HASH_BYTES + 1)

static bool is_zero(const uint8_t bytes[32])
{
    static const uint8_t zeroes[32];
    return memcmp(bytes, zeroes, sizeof(zeroes)) == 0;
}

static json_t *hash_json(const struct smelt_hash *hash)
{
    return cli_json_hex(hash->bytes, SMELT_HASH_BYTES);
}

static json_t *address_json(const struct smelt_address *address)
{
    return cli_json_hex(address->bytes, SMELT_ADDRESS_BYTES);
}

static const char *address_text(const struct smelt_address *address, char out[HEX_BYTES])
{
    smelt_hex_encode(address->bytes, SMELT_ADDRESS_BYTES, out);
    return out;
}

static const char *hash_text(const struct smelt_hash *hash, char out[HEX_BYTES])
{
    smelt_hex_encode(hash->bytes, SMELT_HASH_BYTES, out);
    return out;
}

/* ---- records --------------------------------------------------------------------------------- */

static uint32_t done_count(const struct smelt_wave_record *record)
{
    return record->transaction_count - record->failed_count - record->rejected_count;
}

json_t *cli_record_json(const struct smelt_wave_record *record, const struct smelt_hash *digest)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o}",
        "number", cli_json_number(record->number), "digest", hash_json(digest), "chain_id",
        cli_json_number(record->chain_id), "timestamp", cli_json_number(record->timestamp),
        "parent", is_zero(record->parent.bytes) ? json_null() : hash_json(&record->parent),
        "fee_recipient",
        record->has_fee_recipient ? address_json(&record->fee_recipient) : json_null(),
        "transactions", (json_int_t)record->transaction_count, "done",
        (json_int_t)done_count(record), "failed", (json_int_t)record->failed_count, "rejected",
        (json_int_t)record->rejected_count, "events", (json_int_t)record->event_count, "writes",
        (json_int_t)record->write_count, "fuel_used", cli_json_number(record->fuel_used), "fees",
        cli_json_amount(record->fees), "receipts_digest", hash_json(&record->receipts_digest),
        "events_root", hash_json(&record->events_root), "state_digest",
        hash_json(&record->state_digest), "state_root",
        record->has_state_root ? hash_json(&record->state_root) : json_null(), "bloom",
        cli_json_hex(record->bloom, SMELT_BLOOM_BYTES));
}

void cli_record_print(const struct cli_output *out, const struct smelt_wave_record *record,
                      const struct smelt_hash *digest)
{
    char hex[HEX_BYTES];
    char fees[SMELT_U128_TEXT_BYTES];
    char word[32];
    (void)snprintf(word, sizeof(word), "wave %" PRIu64, record->number);
    cli_headline(out, CLI_TONE_GOOD, word, "%s", hash_text(digest, hex));
    cli_field(out, "chain", "%" PRIu64 ", time %" PRIu64, record->chain_id, record->timestamp);
    cli_field(out, "transactions",
              "%" PRIu32 ": %" PRIu32 " done, %" PRIu32 " failed, %" PRIu32 " rejected",
              record->transaction_count, done_count(record), record->failed_count,
              record->rejected_count);
    smelt_u128_format(record->fees, fees);
    cli_field(out, "fuel", "%" PRIu64, record->fuel_used);
    cli_field(out, "fees", "%s%s%s", fees, record->has_fee_recipient ? " to " : " (burnt)",
              record->has_fee_recipient ? address_text(&record->fee_recipient, hex) : "");
    cli_field(out, "writes", "%" PRIu32, record->write_count);
    cli_field(out, "events", "%" PRIu32, record->event_count);
    cli_field(out, "events root", "%s", hash_text(&record->events_root, hex));
    cli_field(out, "receipts", "%s", hash_text(&record->receipts_digest, hex));
    cli_field(out, "state digest", "%s", hash_text(&record->state_digest, hex));
    if (record->has_state_root) {
        cli_field(out, "state root", "%s", hash_text(&record->state_root, hex));
    }
}

/* ---- receipts -------------------------------------------------------------------------------- */

static bool has_outcome(const struct smelt_wave_receipt *receipt)
{
    return receipt->status == SMELT_STATUS_OK;
}

static bool is_trap(const struct smelt_wave_receipt *receipt)
{
    return has_outcome(receipt) && receipt->outcome.kind == SMELT_OUTCOME_TRAPPED;
}

static bool is_host_error(const struct smelt_wave_receipt *receipt)
{
    return is_trap(receipt) && receipt->outcome.trap == SMELT_TRAP_HOST_ERROR;
}

static bool is_done(const struct smelt_wave_receipt *receipt)
{
    return has_outcome(receipt) && receipt->outcome.kind == SMELT_OUTCOME_RETURNED;
}

/* Nobody is the other side of a transaction that was rejected, or of a deploy that is not done. */
static bool has_address(const struct smelt_wave_receipt *receipt)
{
    return !receipt->is_rejected && (receipt->kind != SMELT_TRANSACTION_DEPLOY || is_done(receipt));
}

const char *cli_end_name(const struct smelt_wave_receipt *receipt)
{
    return receipt->is_rejected ? "rejected" : is_done(receipt) ? "done" : "failed";
}

json_t *cli_wave_receipt_json(const struct smelt_wave_receipt *receipt)
{
    return json_pack(
        "{s:o, s:I, s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:I, s:I, s:I}",
        "wave", cli_json_number(receipt->wave), "index", (json_int_t)receipt->index, "kind",
        smelt_transaction_kind_name(receipt->kind), "id",
        receipt->has_id ? hash_json(&receipt->id) : json_null(), "from",
        address_json(&receipt->from), "nonce", cli_json_number(receipt->nonce), "end",
        cli_end_name(receipt), "status", smelt_status_name(receipt->status), "outcome",
        has_outcome(receipt) ? json_string(smelt_outcome_name(receipt->outcome.kind)) : json_null(),
        "trap",
        is_trap(receipt) ? json_string(smelt_trap_name(receipt->outcome.trap)) : json_null(),
        "host_error",
        is_host_error(receipt) ? json_string(smelt_host_error_name(receipt->outcome.host_error))
                               : json_null(),
        "fuel_used", cli_json_number(receipt->fuel_used), "fee", cli_json_amount(receipt->fee),
        "address", has_address(receipt) ? address_json(&receipt->address) : json_null(),
        "module_hash",
        is_zero(receipt->module_hash.bytes) ? json_null() : hash_json(&receipt->module_hash),
        "results", cli_results_json(receipt->results, receipt->result_count), "return_data",
        cli_json_hex(receipt->return_data.data, receipt->return_data.size), "location",
        cli_location_json(&receipt->location), "first_event", (json_int_t)receipt->first_event,
        "event_count", (json_int_t)receipt->event_count, "writes",
        (json_int_t)receipt->write_count);
}

#define REASON_BYTES 128

/* Why a transaction is not done. */
static const char *reason(const struct smelt_wave_receipt *receipt, char out[REASON_BYTES])
{
    if (!has_outcome(receipt)) {
        return smelt_status_name(receipt->status);
    }
    (void)snprintf(out, REASON_BYTES, "%s%s%s%s%s", smelt_outcome_name(receipt->outcome.kind),
                   is_trap(receipt) ? ": " : "",
                   is_trap(receipt) ? smelt_trap_name(receipt->outcome.trap) : "",
                   is_host_error(receipt) ? ", " : "",
                   is_host_error(receipt) ? smelt_host_error_name(receipt->outcome.host_error)
                                          : "");
    return out;
}

void cli_wave_receipt_print(const struct cli_output *out, const struct smelt_wave_receipt *receipt)
{
    char hex[HEX_BYTES];
    char fee[SMELT_U128_TEXT_BYTES];
    char why[REASON_BYTES];
    const char *kind = smelt_transaction_kind_name(receipt->kind);
    if (is_done(receipt)) {
        char *results = cli_results_text(receipt->results, receipt->result_count);
        cli_headline(out, CLI_TONE_GOOD, "done", "%s%s", kind, results != NULL ? results : "");
        free(results);
    } else {
        cli_headline(out, CLI_TONE_BAD, cli_end_name(receipt), "%s: %s", kind,
                     reason(receipt, why));
    }
    cli_location_print(out, &receipt->location);
    cli_field(out, "wave", "%" PRIu64 ", transaction %" PRIu32, receipt->wave, receipt->index);
    if (receipt->has_id) {
        cli_field(out, "id", "%s", hash_text(&receipt->id, hex));
    }
    cli_field(out, "from", "%s, nonce %" PRIu64, address_text(&receipt->from, hex), receipt->nonce);
    cli_field(out, receipt->kind == SMELT_TRANSACTION_TRANSFER ? "to" : "contract", "%s",
              has_address(receipt) ? address_text(&receipt->address, hex) : "(none)");
    smelt_u128_format(receipt->fee, fee);
    cli_field(out, "fuel", "%" PRIu64 ", fee %s", receipt->fuel_used, fee);
    cli_field(out, "writes", "%" PRIu32, receipt->write_count);
    if (receipt->return_data.size != 0) {
        cli_bytes_print(out, "return data", receipt->return_data);
    }
    if (!is_zero(receipt->module_hash.bytes)) {
        cli_field(out, "module", "%s", hash_text(&receipt->module_hash, hex));
    }
}

void cli_wave_receipt_line(const struct cli_output *out, const struct smelt_wave_receipt *receipt)
{
    char hex[HEX_BYTES];
    char why[REASON_BYTES];
    char label[32];
    (void)snprintf(label, sizeof(label), "#%" PRIu32 " %s", receipt->index, cli_end_name(receipt));
    cli_field(out, label, " %s by %s, nonce %" PRIu64 ": %s",
              smelt_transaction_kind_name(receipt->kind), address_text(&receipt->from, hex),
              receipt->nonce, reason(receipt, why));
}

/* ---- events ---------------------------------------------------------------------------------- */

json_t *cli_wave_event_json(const struct smelt_wave_event *event)
{
    json_t *row = cli_event_json(&event->event);
    if (row != NULL &&
        (json_object_set_new(row, "wave", cli_json_number(event->wave)) != 0 ||
         json_object_set_new(row, "transaction", json_integer((json_int_t)event->transaction)) !=
             0 ||
         json_object_set_new(row, "index", json_integer((json_int_t)event->index)) != 0)) {
        json_decref(row);
        row = NULL;
    }
    return row;
}

void cli_wave_event_print(const struct cli_output *out, const struct smelt_wave_event *event)
{
    char hex[HEX_BYTES];
    char *topic = cli_bytes_show(event->event.topic);
    cli_headline(out, CLI_TONE_PLAIN, "event",
                 "%" PRIu32 " of wave %" PRIu64 ", transaction %" PRIu32, event->index, event->wave,
                 event->transaction);
    cli_field(out, "contract", "%s", address_text(&event->event.address, hex));
    cli_field(out, "topic", "%s", topic != NULL ? topic : "");
    cli_bytes_print(out, "data", event->event.data);
    free(topic);
}
