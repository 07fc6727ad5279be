/* smelt run: deploy into a state in memory and call, for a quick try. */
#include "cli/command.h"
#include "cli/receipt.h"
#include "cli/session.h"

#include <stdlib.h>

/* Deploys without value or input: those are for the call that follows. */
static enum smelt_status deploy(struct cli_session *session,
                                const struct smelt_transaction *call_transaction,
                                struct smelt_slice wasm, struct smelt_receipt **out,
                                struct smelt_error *err)
{
    struct smelt_transaction transaction = *call_transaction;
    transaction.value = (struct smelt_u128){0};
    transaction.input = (struct smelt_slice){0};
    transaction.is_static = false;
    return smelt_deploy(session->engine, &transaction, wasm, out, err);
}

static int run_run(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    int exit_code = CLI_EXIT_OK;
    const char *function = options->arguments[1];
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct cli_module module = {0};
    struct smelt_value *values = NULL;
    size_t count = 0;
    struct smelt_transaction transaction;
    struct smelt_receipt *deployed = NULL;
    struct smelt_receipt *called = NULL;
    CLI_TRY(cli_arguments_parse(options, 2, &values, &count, &err));
    CLI_TRY(cli_module_read(options->arguments[0], &module, &err));
    CLI_TRY(smelt_store_create_memory(&session.store, &err));
    CLI_TRY(cli_session_open_engine(&session, options, out, &err));
    cli_transaction_init(&transaction, options);
    CLI_TRY(smelt_account_fund(session.store, &transaction.from, transaction.value, &err));
    cli_progress(out, "running", options->arguments[0]);
    CLI_TRY(deploy(&session, &transaction, module.wasm, &deployed, &err));
    if (deployed->outcome.kind != SMELT_OUTCOME_RETURNED) {
        exit_code =
            cli_receipt_print(out, CLI_RECEIPT_DEPLOY, smelt_profile_engine.init_export, deployed);
        goto cleanup;
    }
    CLI_TRY(smelt_call(session.engine, &transaction, &deployed->address, function, values, count,
                       &called, &err));
    exit_code = cli_receipt_print(out, CLI_RECEIPT_CALL, function, called);
cleanup:
    smelt_receipt_destroy(called);
    smelt_receipt_destroy(deployed);
    free(values);
    cli_module_deinit(&module);
    cli_session_write_metrics(&session, out);
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? exit_code : cli_fail(out, &err);
}

const struct cli_command cli_command_run = {
    .syntax = {.name = "run",
               .arguments = "FILE FUNCTION [i32:N|i64:N]...",
               .arguments_min = 2,
               .arguments_max = CLI_ARGUMENTS_UNLIMITED,
               .accepted = CLI_ACCEPTS(FROM) | CLI_ACCEPTS(VALUE) | CLI_ACCEPTS(INPUT) |
                           CLI_ACCEPTS(FUEL) | CLI_ACCEPTS(DEADLINE_MS) | CLI_ACCEPTS(BLOCK) |
                           CLI_ACCEPTS(TIME) | CLI_ACCEPTS(STATIC) | CLI_ACCEPTS(OPTIMISE) |
                           CLI_ACCEPTS(PROFILE) | CLI_ACCEPTS(SCHEDULE) | CLI_ACCEPTS(POLICY) |
                           CLI_ACCEPTS(CACHE) | CLI_ACCEPTS(METRICS)},
    .brief = "deploy into memory and call, for a quick try",
    .notes = "The state is in memory and gone afterwards. The sender owns what --value needs;\n"
             "value and input go to the call, not to init.\n",
    .run = run_run,
};
