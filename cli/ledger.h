/* Printing of what waves leave behind: records, receipts, events. */
#ifndef SMELT_CLI_LEDGER_H
#define SMELT_CLI_LEDGER_H

#include "cli/output.h"

#include <smelt/wave.h>

/* A record, with its digest. */
json_t *cli_record_json(const struct smelt_wave_record *record, const struct smelt_hash *digest);
void cli_record_print(const struct cli_output *out, const struct smelt_wave_record *record,
                      const struct smelt_hash *digest);

/* How a transaction ended: "done", "failed", "rejected". */
const char *cli_end_name(const struct smelt_wave_receipt *receipt);

/* A receipt without its events, which are in the wave's. */
json_t *cli_wave_receipt_json(const struct smelt_wave_receipt *receipt);
void cli_wave_receipt_print(const struct cli_output *out, const struct smelt_wave_receipt *receipt);
/* One line of a list: "  #3 failed     call by a1…, nonce 4: reverted". */
void cli_wave_receipt_line(const struct cli_output *out, const struct smelt_wave_receipt *receipt);

json_t *cli_wave_event_json(const struct smelt_wave_event *event);
void cli_wave_event_print(const struct cli_output *out, const struct smelt_wave_event *event);

#endif
