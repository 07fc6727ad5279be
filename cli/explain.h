/* smelt compile --explain-fuel: every basic block of a module with its charge. */
#ifndef SMELT_CLI_EXPLAIN_H
#define SMELT_CLI_EXPLAIN_H

#include "cli/session.h"

/* Prints a table, or makes the JSON answer. */
enum smelt_status cli_explain_fuel(const struct smelt_compiler *compiler, struct smelt_slice wasm,
                                   struct cli_output *out, struct smelt_error *err);

#endif
