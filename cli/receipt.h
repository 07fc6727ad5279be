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

#endif
