/* Receipts for people and for machines. */
#ifndef SMELT_CLI_RECEIPT_H
#define SMELT_CLI_RECEIPT_H

#include "cli/output.h"

#include <smelt/runtime.h>

enum cli_receipt_kind { CLI_RECEIPT_DEPLOY, CLI_RECEIPT_CALL };

/* Prints the receipt of `function` and returns the exit code for its outcome. After a deploy that
 * did not return there is no contract, and the address is null. */
int cli_receipt_print(struct cli_output *out, enum cli_receipt_kind kind, const char *function,
                      const struct smelt_receipt *receipt);

/* The parts that receipts of waves have, too. */
json_t *cli_results_json(const struct smelt_value *values, size_t count);
json_t *cli_location_json(const struct smelt_location *location);
json_t *cli_event_json(const struct smelt_event *event);
/* "  i32:1, i64:2", "" without results; the caller frees it. NULL when memory is short. */
char *cli_results_text(const struct smelt_value *values, size_t count);
void cli_location_print(const struct cli_output *out, const struct smelt_location *location);
void cli_bytes_print(const struct cli_output *out, const char *label, struct smelt_slice bytes);

#endif
