/* smelt call: one transaction to a contract. */
#include "cli/command.h"
#include "cli/receipt.h"
#include "cli/session.h"

#include <stdlib.h>

static int run_call(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    int exit_code = CLI_EXIT_OK;
    const char *function = options->arguments[1];
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct smelt_address address;
    struct smelt_value *values = NULL;
    size_t count = 0;
    struct smelt_transaction transaction;
    struct smelt_receipt *receipt = NULL;
    CLI_TRY(cli_address_parse(options->arguments[0], &address, &err));
    CLI_TRY(cli_arguments_parse(options, 2, &values, &count, &err));
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    CLI_TRY(cli_session_open_engine(&session, options, out, &err));
    cli_transaction_init(&transaction, options);
    CLI_TRY(smelt_call(session.engine, &transaction, &address, function, values, count, &receipt,
                       &err));
    exit_code = cli_receipt_print(out, CLI_RECEIPT_CALL, function, receipt);
cleanup:
    smelt_receipt_destroy(receipt);
    free(values);
    cli_session_write_metrics(&session, out);
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? exit_code : cli_fail(out, &err);
}

const struct cli_command cli_command_call = {
    .syntax = {.name = "call",
               .arguments = "ADDRESS FUNCTION [i32:N|i64:N]...",
               .arguments_min = 2,
               .arguments_max = CLI_ARGUMENTS_UNLIMITED,
               .accepted = CLI_ACCEPTS(FROM) | CLI_ACCEPTS(VALUE) | CLI_ACCEPTS(INPUT) |
                           CLI_ACCEPTS(FUEL) | CLI_ACCEPTS(DEADLINE_MS) | CLI_ACCEPTS(BLOCK) |
                           CLI_ACCEPTS(TIME) | CLI_ACCEPTS(STATIC) | CLI_ACCEPTS(PROFILE) |
                           CLI_ACCEPTS(SCHEDULE) | CLI_ACCEPTS(POLICY) | CLI_ACCEPTS(CACHE) |
                           CLI_ACCEPTS(METRICS),
               .required = CLI_ACCEPTS(STATE)},
    .brief = "call a function of a contract",
    .notes = "Effects are kept when the function returns and dropped when it does not.\n",
    .run = run_call,
};
