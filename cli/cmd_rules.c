/* smelt schedule and smelt policy: the rules that a chain is run by, built in or from a file.
 * Reading one checks all of it, so that a team can run this on its own file before a node does. */
#include "cli/command.h"
#include "cli/session.h"

/* What a schedule and a policy have in common. */
struct rules {
    const char *what;
    const char *name;
    struct smelt_hash digest;
    struct smelt_slice text;
    const char *floats; /* NULL: does not apply */
};

static json_t *rules_json(const struct rules *rules)
{
    json_t *object = json_pack("{s:s, s:o, s:o}", "name", rules->name, "digest",
                               cli_json_hex(rules->digest.bytes, SMELT_HASH_BYTES), "text",
                               cli_json_text(rules->text));
    if (rules->floats != NULL) {
        (void)json_object_set_new(object, "floats", json_string(rules->floats));
    }
    return object;
}

static void print_rules(const struct cli_options *options, struct cli_output *out,
                        const struct rules *rules)
{
    char digest[2 * SMELT_HASH_BYTES + 1];
    if (out->is_json) {
        out->object = rules_json(rules);
    } else if (options->values[CLI_OPTION_TOML].is_given) {
        (void)fwrite(rules->text.data, 1, rules->text.size, stdout);
    } else {
        smelt_hex_encode(rules->digest.bytes, SMELT_HASH_BYTES, digest);
        cli_headline(out, CLI_TONE_GOOD, rules->what, "%s", rules->name);
        cli_field(out, "digest", "%s", digest);
        if (rules->floats != NULL) {
            cli_field(out, "floats", "%s", rules->floats);
        }
    }
}

static const char *given(const struct cli_options *options, const char *fallback)
{
    return options->argument_count != 0 ? options->arguments[0] : fallback;
}

static int run_schedule(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct smelt_schedule *schedule = NULL;
    struct rules rules = {.what = "schedule"};
    CLI_TRY(
        cli_schedule_load(given(options, smelt_profile_engine.default_schedule), &schedule, &err));
    rules.name = smelt_schedule_name(schedule);
    rules.text = smelt_schedule_text(schedule);
    smelt_schedule_digest(schedule, &rules.digest);
    print_rules(options, out, &rules);
cleanup:
    smelt_schedule_destroy(schedule);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

static int run_policy(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct smelt_policy *policy = NULL;
    struct rules rules = {.what = "policy"};
    CLI_TRY(cli_policy_load(given(options, SMELT_POLICY_DEFAULT), &policy, &err));
    rules.name = smelt_policy_name(policy);
    rules.text = smelt_policy_text(policy);
    rules.floats = smelt_policy_floats(policy) == SMELT_FLOAT_FORBID ? "forbid" : "canonical-nan";
    smelt_policy_digest(policy, &rules.digest);
    print_rules(options, out, &rules);
cleanup:
    smelt_policy_destroy(policy);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_schedule = {
    .syntax = {.name = "schedule",
               .arguments = "[FILE|NAME]",
               .arguments_max = 1,
               .accepted = CLI_ACCEPTS(TOML) | CLI_ACCEPTS(PROFILE)},
    .brief = "check and print a gas schedule",
    .notes = "Built in are engine-v1 (the default) and unit; anything else is a TOML file.\n",
    .run = run_schedule,
};

const struct cli_command cli_command_policy = {
    .syntax = {.name = "policy",
               .arguments = "[FILE|NAME]",
               .arguments_max = 1,
               .accepted = CLI_ACCEPTS(TOML)},
    .brief = "check and print a policy of the gate",
    .notes = "Built in are standard (the default) and standard-floats; anything else is a TOML\n"
             "file. To write one: smelt policy --toml >mine.toml\n",
    .run = run_policy,
};
