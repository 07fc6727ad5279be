/* What the commands open: module, cache, schedule, policy, compiler, state, engine; in the order
 * their options allow, closed by one call.
 *
 *     struct cli_session session = {0};
 *     CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
 *     CLI_TRY(cli_session_open_engine(&session, options, out, &err));
 *     …
 *     cli_session_close(&session); */
#ifndef SMELT_CLI_SESSION_H
#define SMELT_CLI_SESSION_H

#include "cli/files.h"
#include "cli/options.h"
#include "cli/output.h"

#include <smelt/smelt.h>

struct cli_session {
    struct smelt_cache *cache;
    struct smelt_schedule *schedule;
    struct smelt_policy *policy;
    struct smelt_compiler *compiler;
    struct smelt_store *store;
    struct smelt_engine *engine;
    struct cli_outfile metrics;
};

void cli_session_close(struct cli_session *session);

/* A built-in one, or a file. A built-in name wins over a file of that name, which can still be
 * given as ./NAME. Names that are neither are INVALID_ARGUMENT. */
enum smelt_status cli_schedule_load(const char *name, struct smelt_schedule **out,
                                    struct smelt_error *err);
enum smelt_status cli_policy_load(const char *name, struct smelt_policy **out,
                                  struct smelt_error *err);

/* The schedule and the policy that the open store records; NULL in a state that has none yet. */
enum smelt_status cli_session_open_recorded(struct cli_session *session,
                                            struct smelt_buf *profile_name,
                                            struct smelt_error *err);

/* Cache, schedule, policy and compiler from --cache, --schedule, --policy, --tier, --optimise and
 * --any-imports. Where --schedule or --policy is not given, what the open store records, else the
 * default. */
enum smelt_status cli_session_open_compiler(struct cli_session *session,
                                            const struct cli_options *options,
                                            struct cli_output *out, struct smelt_error *err);

enum cli_state_mode { CLI_STATE_EXISTING, CLI_STATE_CREATE };

/* The database of --state, synced as --sync says. */
enum smelt_status cli_session_open_store(struct cli_session *session,
                                         const struct cli_options *options,
                                         enum cli_state_mode mode, struct smelt_error *err);

/* The engine over the open store, with --workers, --commitment and --receipts-kept; opens the
 * compiler when it is not open yet. */
enum smelt_status cli_session_open_engine(struct cli_session *session,
                                          const struct cli_options *options, struct cli_output *out,
                                          struct smelt_error *err);

/* What the engine has counted, to the file of --metrics. A failure is a warning. */
void cli_session_write_metrics(struct cli_session *session, struct cli_output *out);

/* A module from a file: binary as it is, anything else as text through wat2wasm. */
struct cli_module {
    struct cli_bytes file;
    struct smelt_buf converted;
    struct smelt_slice wasm; /* borrowed from one of the two */
};

enum smelt_status cli_module_read(const char *path, struct cli_module *out,
                                  struct smelt_error *err);
void cli_module_deinit(struct cli_module *module);

/* The transaction of --from, --value, --input, --fuel, --deadline-ms, --block, --time and --static.
 */
void cli_transaction_init(struct smelt_transaction *transaction, const struct cli_options *options);

/* Typed arguments behind the first `skipped` positional ones. The caller frees `*values`. */
enum smelt_status cli_arguments_parse(const struct cli_options *options, size_t skipped,
                                      struct smelt_value **values, size_t *count,
                                      struct smelt_error *err);

/* The value of --limit, or its default. */
uint64_t cli_limit(const struct cli_options *options);

/* A positional address. */
enum smelt_status cli_address_parse(const char *text, struct smelt_address *out,
                                    struct smelt_error *err);

#endif
