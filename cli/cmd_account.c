/* smelt account fund, smelt account show: one account of a state. smelt account address: where a
 * contract will be. */
#include "cli/account.h"
#include "cli/command.h"
#include "cli/session.h"

static enum smelt_status print_account(struct cli_output *out, struct smelt_store *store,
                                       const struct smelt_address *address, struct smelt_error *err)
{
    struct smelt_account account;
    enum smelt_status status = smelt_account_get(store, address, &account, err);
    if (status == SMELT_STATUS_OK && out->is_json) {
        out->object = cli_account_json(address, &account);
    } else if (status == SMELT_STATUS_OK) {
        cli_account_print(out, address, &account);
    }
    return status;
}

static int run_fund(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct smelt_address address;
    struct smelt_u128 amount;
    CLI_TRY(cli_address_parse(options->arguments[0], &address, &err));
    if (!smelt_u128_parse(options->arguments[1], &amount)) {
        status = cli_error_usage(&err, "amount: \"%.64s\" is not a decimal number below 2^128",
                                 options->arguments[1]);
        goto cleanup;
    }
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_CREATE, &err));
    CLI_TRY(smelt_account_fund(session.store, &address, amount, &err));
    CLI_TRY(print_account(out, session.store, &address, &err));
cleanup:
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

static int run_show(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct smelt_address address;
    CLI_TRY(cli_address_parse(options->arguments[0], &address, &err));
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    CLI_TRY(print_account(out, session.store, &address, &err));
cleanup:
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_account_fund = {
    .syntax = {.name = "account fund",
               .arguments = "ADDRESS AMOUNT",
               .arguments_min = 2,
               .arguments_max = 2,
               .required = CLI_ACCEPTS(STATE)},
    .brief = "add to the balance of an account",
    .notes = "The state is created when missing.\n",
    .run = run_fund,
};

const struct cli_command cli_command_account_show = {
    .syntax = {.name = "account show",
               .arguments = "ADDRESS",
               .arguments_min = 1,
               .arguments_max = 1,
               .required = CLI_ACCEPTS(STATE)},
    .brief = "show an account's balance, nonce and module",
    .run = run_show,
};

static int run_address(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct smelt_address from;
    struct smelt_address address;
    char hex[2 * SMELT_ADDRESS_BYTES + 1];
    uint64_t nonce;
    CLI_TRY(cli_address_parse(options->arguments[0], &from, &err));
    if (!cli_number_parse(options->arguments[1], 0, UINT64_MAX, &nonce)) {
        status = cli_error_usage(&err, "nonce: \"%.64s\" is not a decimal number below 2^64",
                                 options->arguments[1]);
        goto cleanup;
    }
    smelt_contract_address(&from, nonce, &address);
    if (out->is_json) {
        out->object = json_pack("{s:o}", "address", cli_json_hex(address.bytes, sizeof(address)));
    } else {
        smelt_hex_encode(address.bytes, sizeof(address), hex);
        (void)printf("%s\n", hex);
    }
cleanup:
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_account_address = {
    .syntax = {.name = "account address",
               .arguments = "FROM NONCE",
               .arguments_min = 2,
               .arguments_max = 2},
    .brief = "print the address of the contract that a deploy makes",
    .notes = "FROM is its sender and NONCE the sender's nonce. The address does not depend on the\n"
             "module: later transactions, of the same wave too, can be written before it exists.\n",
    .run = run_address,
};
