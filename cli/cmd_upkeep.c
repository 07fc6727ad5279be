/* smelt state verify, prune, backup, restore: looking after a state. */
#include "cli/command.h"
#include "cli/session.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- smelt state verify ---------------------------------------------------------------------- */

static void print_check(struct cli_output *out, const struct smelt_state_check *check)
{
    char root[2 * SMELT_HASH_BYTES + 1];
    smelt_hex_encode(check->state_root.bytes, SMELT_HASH_BYTES, root);
    if (out->is_json) {
        out->object = json_pack(
            "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "waves", cli_json_number(check->waves),
            "pruned", cli_json_number(check->pruned), "receipts", cli_json_number(check->receipts),
            "events", cli_json_number(check->events), "modules", cli_json_number(check->modules),
            "accounts", cli_json_number(check->accounts), "storage",
            cli_json_number(check->storage), "state_root",
            check->has_commitment ? json_string(root) : json_null());
        return;
    }
    cli_headline(out, CLI_TONE_GOOD, "verified", "everything is as it was written");
    cli_field(out, "waves", "%" PRIu64 ", %" PRIu64 " of them pruned", check->waves, check->pruned);
    cli_field(out, "receipts", "%" PRIu64, check->receipts);
    cli_field(out, "events", "%" PRIu64, check->events);
    cli_field(out, "modules", "%" PRIu64, check->modules);
    cli_field(out, "accounts", "%" PRIu64, check->accounts);
    cli_field(out, "storage", "%" PRIu64 " keys", check->storage);
    cli_field(out, "state root", "%s", check->has_commitment ? root : "(no commitment)");
}

static int run_verify(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct smelt_state_check check;
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    cli_progress(out, "verifying", options->values[CLI_OPTION_STATE].text);
    CLI_TRY(smelt_state_verify(session.store, &check, &err));
    print_check(out, &check);
cleanup:
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_state_verify = {
    .syntax = {.name = "state verify", .arguments = "", .required = CLI_ACCEPTS(STATE)},
    .brief = "read all of a state and compute every digest again",
    .notes = "Ends with the first thing that is wrong (store_corrupt, exit code 1). Accounts and\n"
             "storage are held against the state root when there is a commitment.\n",
    .run = run_verify,
};

/* ---- smelt state prune ----------------------------------------------------------------------- */

static int run_prune(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct smelt_wave_record last;
    bool is_found;
    uint64_t keep = options->values[CLI_OPTION_KEEP].number;
    uint64_t first_kept = 0;
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    CLI_TRY(smelt_wave_last(session.store, &last, NULL, &is_found, &err));
    if (is_found && last.number > keep) {
        first_kept = last.number - keep + 1;
    }
    CLI_TRY(smelt_receipts_prune(session.store, first_kept, &err));
    if (out->is_json) {
        out->object =
            json_pack("{s:o, s:o}", "newest", is_found ? cli_json_number(last.number) : json_null(),
                      "first_kept", cli_json_number(first_kept));
    } else if (first_kept == 0) {
        cli_headline(out, CLI_TONE_GOOD, "pruned", "nothing: all waves are kept");
    } else {
        cli_headline(out, CLI_TONE_GOOD, "pruned",
                     "receipts and events of waves before %" PRIu64 " of %" PRIu64, first_kept,
                     last.number);
    }
cleanup:
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_state_prune = {
    .syntax = {.name = "state prune",
               .arguments = "",
               .required = CLI_ACCEPTS(STATE) | CLI_ACCEPTS(KEEP)},
    .brief = "delete receipts, events and ids of all but the last waves",
    .notes = "Records stay, and so does the state.\n",
    .run = run_prune,
};

/* ---- smelt state backup, smelt state restore ------------------------------------------------- */

/* A copy of the open store; prints where it is. */
static enum smelt_status copy(struct cli_output *out, struct smelt_store *store, const char *word,
                              const char *from, const char *to, struct smelt_error *err)
{
    enum smelt_status status = smelt_store_checkpoint(store, to, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (out->is_json) {
        out->object = json_pack("{s:o, s:o}", "from", cli_json_text(smelt_slice_from_string(from)),
                                "to", cli_json_text(smelt_slice_from_string(to)));
        return SMELT_STATUS_OK;
    }
    char *shown = cli_text_escape(smelt_slice_from_string(to), false);
    cli_headline(out, CLI_TONE_GOOD, word, "%s", shown != NULL ? shown : "");
    free(shown);
    return SMELT_STATUS_OK;
}

static int run_backup(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    const char *state = options->values[CLI_OPTION_STATE].text;
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    status = copy(out, session.store, "written", state, options->arguments[0], &err);
cleanup:
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_state_backup = {
    .syntax = {.name = "state backup",
               .arguments = "DEST",
               .arguments_min = 1,
               .arguments_max = 1,
               .required = CLI_ACCEPTS(STATE)},
    .brief = "copy a state to a new directory",
    .notes =
        "DEST must not exist. It is a state itself, and shares files that never change with the\n"
        "one it is a copy of, where the file system can: only a copy elsewhere survives the "
        "disk.\n",
    .run = run_backup,
};

static int run_restore(const struct cli_options *options, struct cli_output *out)
{
    const struct smelt_rocksdb_options rocksdb = {.must_exist = true};
    enum smelt_status status;
    struct smelt_error err = {0};
    struct smelt_store *store = NULL;
    const char *backup = options->arguments[0];
    CLI_TRY(smelt_store_open_rocksdb(backup, &rocksdb, &store, &err));
    status = copy(out, store, "restored", backup, options->values[CLI_OPTION_STATE].text, &err);
cleanup:
    smelt_store_close(store);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_state_restore = {
    .syntax = {.name = "state restore",
               .arguments = "BACKUP",
               .arguments_min = 1,
               .arguments_max = 1,
               .required = CLI_ACCEPTS(STATE)},
    .brief = "make a state from a backup",
    .notes = "The directory of --state must not exist; it appears whole or not at all. The backup "
             "stays,\n"
             "and must be writable. smelt state verify says whether it is as it was written.\n",
    .run = run_restore,
};
