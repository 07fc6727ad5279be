/* One command of the program: its row in the command table of main.c. */
#ifndef SMELT_CLI_COMMAND_H
#define SMELT_CLI_COMMAND_H

#include "cli/options.h"
#include "cli/output.h"

struct cli_command {
    struct cli_syntax syntax;
    const char *brief; /* one line */
    const char *notes; /* more for --help, NULL: nothing */
    /* Returns the exit code; failures have been reported through `out`. */
    int (*run)(const struct cli_options *options, struct cli_output *out);
};

extern const struct cli_command cli_command_compile;
extern const struct cli_command cli_command_deploy;
extern const struct cli_command cli_command_call;
extern const struct cli_command cli_command_run;
extern const struct cli_command cli_command_wave;
extern const struct cli_command cli_command_account_fund;
extern const struct cli_command cli_command_account_show;
extern const struct cli_command cli_command_account_address;
extern const struct cli_command cli_command_receipt;
extern const struct cli_command cli_command_events;
extern const struct cli_command cli_command_state_dump;
extern const struct cli_command cli_command_state_keys;
extern const struct cli_command cli_command_state_wave;
extern const struct cli_command cli_command_state_root;
extern const struct cli_command cli_command_state_prove;
extern const struct cli_command cli_command_verify_proof;
extern const struct cli_command cli_command_state_verify;
extern const struct cli_command cli_command_state_prune;
extern const struct cli_command cli_command_state_backup;
extern const struct cli_command cli_command_state_restore;
extern const struct cli_command cli_command_abi;
extern const struct cli_command cli_command_schedule;
extern const struct cli_command cli_command_policy;
extern const struct cli_command cli_command_doctor;

#endif
