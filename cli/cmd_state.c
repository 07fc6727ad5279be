/* smelt state dump, smelt state keys: what a state, or one contract, holds, in key order. */
#include "cli/account.h"
#include "cli/command.h"
#include "cli/session.h"

#include <stdlib.h>

struct dump {
    struct cli_output *out;
    json_t *accounts; /* borrowed from the answer; NULL in human mode */
    json_t *storage;  /* of the account visited last */
    bool is_failed;   /* out of memory */
};

static bool visit_account(void *context, const struct smelt_address *address,
                          const struct smelt_account *account)
{
    struct dump *dump = context;
    if (dump->accounts == NULL) {
        cli_account_print(dump->out, address, account);
        return true;
    }
    json_t *row = cli_account_json(address, account);
    dump->storage = json_array();
    if (json_object_set_new(row, "storage", dump->storage) != 0) {
        json_decref(row);
        row = NULL;
    }
    dump->is_failed = json_array_append_new(dump->accounts, row) != 0;
    return !dump->is_failed;
}

static void print_pair(const struct cli_output *out, struct smelt_slice key,
                       struct smelt_slice value)
{
    char *key_text = cli_bytes_show(key);
    char *value_text = cli_bytes_show(value);
    cli_field(out, "storage", "%s = %s", key_text != NULL ? key_text : "",
              value_text != NULL ? value_text : "");
    free(value_text);
    free(key_text);
}

static json_t *pair_json(struct smelt_slice key, struct smelt_slice value)
{
    return json_pack("{s:o, s:o}", "key", cli_json_hex(key.data, key.size), "value",
                     cli_json_hex(value.data, value.size));
}

static bool visit_storage(void *context, const struct smelt_address *address,
                          struct smelt_slice key, struct smelt_slice value)
{
    struct dump *dump = context;
    (void)address;
    if (dump->accounts == NULL) {
        print_pair(dump->out, key, value);
        return true;
    }
    dump->is_failed = json_array_append_new(dump->storage, pair_json(key, value)) != 0;
    return !dump->is_failed;
}

static json_t *rules_json(const char *name, const struct smelt_hash *digest)
{
    return json_pack("{s:s, s:o}", "name", name, "digest",
                     cli_json_hex(digest->bytes, SMELT_HASH_BYTES));
}

static json_t *describe_json(const struct cli_session *session, struct smelt_slice profile_name,
                             json_t *accounts)
{
    struct smelt_hash schedule;
    struct smelt_hash policy;
    if (session->schedule == NULL) {
        return json_pack("{s:n, s:n, s:n, s:o}", "profile", "schedule", "policy", "accounts",
                         accounts);
    }
    smelt_schedule_digest(session->schedule, &schedule);
    smelt_policy_digest(session->policy, &policy);
    return json_pack("{s:o, s:o, s:o, s:o}", "profile", cli_json_text(profile_name), "schedule",
                     rules_json(smelt_schedule_name(session->schedule), &schedule), "policy",
                     rules_json(smelt_policy_name(session->policy), &policy), "accounts", accounts);
}

/* Profile, schedule and policy. A state with nothing but funded accounts has none of them. */
static enum smelt_status describe(struct dump *dump, struct cli_session *session,
                                  struct smelt_error *err)
{
    struct smelt_buf profile = {0};
    struct smelt_slice profile_name;
    enum smelt_status status;
    CLI_TRY(cli_session_open_recorded(session, &profile, err));
    profile_name = (struct smelt_slice){.data = profile.data, .size = profile.size};
    if (dump->out->is_json) {
        dump->accounts = json_array();
        dump->out->object = describe_json(session, profile_name, dump->accounts);
        if (dump->out->object == NULL) {
            status = cli_error_no_memory(err);
        }
    } else if (session->schedule != NULL) {
        char *name = cli_text_escape(profile_name, false);
        cli_headline(dump->out, CLI_TONE_PLAIN, "state", "profile %s, schedule %s, policy %s",
                     name != NULL ? name : "", smelt_schedule_name(session->schedule),
                     smelt_policy_name(session->policy));
        free(name);
    } else {
        cli_headline(dump->out, CLI_TONE_PLAIN, "state", "nothing deployed yet");
    }
cleanup:
    smelt_buf_deinit(&profile);
    return status;
}

static int run_dump(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct dump dump = {.out = out};
    struct smelt_state_visitor visitor = {
        .account = visit_account, .storage = visit_storage, .context = &dump};
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    CLI_TRY(describe(&dump, &session, &err));
    CLI_TRY(smelt_state_visit(session.store, &visitor, &err));
    if (dump.is_failed) {
        status = cli_error_no_memory(&err);
    }
cleanup:
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_state_dump = {
    .syntax = {.name = "state dump", .arguments = "", .required = CLI_ACCEPTS(STATE)},
    .brief = "list accounts and contract storage",
    .run = run_dump,
};

/* ---- state keys ------------------------------------------------------------------------------ */

struct listing {
    const struct cli_output *out;
    json_t *pairs; /* NULL in human mode */
    uint64_t limit;
    uint64_t count;
    bool has_more;
    bool is_failed; /* out of memory */
};

static bool list_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct listing *listing = context;
    if (listing->count == listing->limit) {
        listing->has_more = true;
        return false;
    }
    listing->count++;
    if (listing->pairs != NULL) {
        listing->is_failed = json_array_append_new(listing->pairs, pair_json(key, value)) != 0;
    } else {
        print_pair(listing->out, key, value);
    }
    return !listing->is_failed;
}

static int run_keys(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct smelt_address address;
    struct listing listing = {.out = out, .limit = cli_limit(options)};
    CLI_TRY(cli_address_parse(options->arguments[0], &address, &err));
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    listing.pairs = out->is_json ? json_array() : NULL;
    if (!out->is_json) {
        cli_headline(out, CLI_TONE_PLAIN, "storage", "%s", options->arguments[0]);
    }
    CLI_TRY(smelt_storage_visit(session.store, &address, options->values[CLI_OPTION_PREFIX].bytes,
                                list_pair, &listing, &err));
    if (listing.is_failed) {
        status = cli_error_no_memory(&err);
    } else if (out->is_json) {
        out->object = json_pack("{s:o, s:O, s:b}", "address",
                                cli_json_hex(address.bytes, SMELT_ADDRESS_BYTES), "storage",
                                listing.pairs, "more", listing.has_more);
    } else if (listing.has_more) {
        cli_field(out, "", "and more: --limit N prints N");
    }
cleanup:
    json_decref(listing.pairs);
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_state_keys = {
    .syntax = {.name = "state keys",
               .arguments = "ADDRESS",
               .arguments_min = 1,
               .arguments_max = 1,
               .accepted = CLI_ACCEPTS(PREFIX) | CLI_ACCEPTS(LIMIT),
               .required = CLI_ACCEPTS(STATE)},
    .brief = "list the storage of one contract",
    .run = run_keys,
};
