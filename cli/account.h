/* Accounts for people and for machines. */
#ifndef SMELT_CLI_ACCOUNT_H
#define SMELT_CLI_ACCOUNT_H

#include "cli/output.h"

#include <smelt/runtime.h>

/* {"address","balance","nonce","code_hash","owner"}; the last two are null without a contract. */
json_t *cli_account_json(const struct smelt_address *address, const struct smelt_account *account);
void cli_account_print(const struct cli_output *out, const struct smelt_address *address,
                       const struct smelt_account *account);

#endif
