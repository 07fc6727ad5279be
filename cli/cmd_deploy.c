/* smelt deploy: a module into the state, as a new contract. */
#include "cli/command.h"
#include "cli/receipt.h"
#include "cli/session.h"

static int run_deploy(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    int exit_code = CLI_EXIT_OK;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct cli_module module = {0};
    struct smelt_transaction transaction;
    struct smelt_artefact artefact;
    struct smelt_receipt *receipt = NULL;
    CLI_TRY(cli_module_read(options->arguments[0], &module, &err));
    cli_progress(out, "deploying", options->arguments[0]);
    status = cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err);
    if (status == SMELT_STATUS_NOT_FOUND) {
        /* compile first: a refused module must not leave an empty state behind */
        CLI_TRY(cli_session_open_compiler(&session, options, out, &err));
        CLI_TRY(smelt_compile(session.compiler, module.wasm, NULL, &artefact, &err));
        status = cli_session_open_store(&session, options, CLI_STATE_CREATE, &err);
    }
    if (status != SMELT_STATUS_OK) {
        goto cleanup;
    }
    CLI_TRY(cli_session_open_engine(&session, options, out, &err));
    cli_transaction_init(&transaction, options);
    CLI_TRY(smelt_deploy(session.engine, &transaction, module.wasm, &receipt, &err));
    exit_code =
        cli_receipt_print(out, CLI_RECEIPT_DEPLOY, smelt_profile_engine.init_export, receipt);
cleanup:
    smelt_receipt_destroy(receipt);
    cli_module_deinit(&module);
    cli_session_write_metrics(&session, out);
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? exit_code : cli_fail(out, &err);
}

const struct cli_command cli_command_deploy = {
    .syntax = {.name = "deploy",
               .arguments = "FILE",
               .arguments_min = 1,
               .arguments_max = 1,
               .accepted = CLI_ACCEPTS(FROM) | CLI_ACCEPTS(VALUE) | CLI_ACCEPTS(INPUT) |
                           CLI_ACCEPTS(FUEL) | CLI_ACCEPTS(DEADLINE_MS) | CLI_ACCEPTS(BLOCK) |
                           CLI_ACCEPTS(TIME) | CLI_ACCEPTS(PROFILE) | CLI_ACCEPTS(SCHEDULE) |
                           CLI_ACCEPTS(POLICY) | CLI_ACCEPTS(CACHE) | CLI_ACCEPTS(METRICS),
               .required = CLI_ACCEPTS(STATE)},
    .brief = "create a contract from a module",
    .notes = "Runs the module's init export when it has one. The state is created when missing,\n"
             "and remembers its gas schedule and its policy.\n",
    .run = run_deploy,
};
