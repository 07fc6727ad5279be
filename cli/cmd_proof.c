/* smelt state root, smelt state prove, smelt verify-proof: the state commitment. */
#include "cli/command.h"
#include "cli/receipt.h"
#include "cli/session.h"

#include <stdlib.h>

#define PROOF_BYTES_MAX ((size_t)64 << 20)

static struct smelt_slice view(const struct smelt_buf *buf)
{
    return (struct smelt_slice){.data = buf->data, .size = buf->size};
}

/* The account at the positional address, or with --key one of its storage keys. */
static enum smelt_status parse_key(const struct cli_options *options, const char *address,
                                   struct smelt_state_key *out, struct smelt_error *err)
{
    const struct cli_value *key = &options->values[CLI_OPTION_KEY];
    *out = (struct smelt_state_key){.is_storage = key->is_given, .key = key->bytes};
    return cli_address_parse(address, &out->address, err);
}

/* What a proof shows. `proof` is NULL for one that was read. */
static void answer(struct cli_output *out, const struct smelt_hash *root,
                   const struct smelt_state_key *key, bool is_found, struct smelt_slice value,
                   const struct smelt_buf *proof)
{
    char hex[2 * SMELT_HASH_BYTES + 1];
    if (out->is_json) {
        out->object =
            json_pack("{s:o, s:o, s:o, s:o, s:o*}", "address",
                      cli_json_hex(key->address.bytes, SMELT_ADDRESS_BYTES), "key",
                      key->is_storage ? cli_json_hex(key->key.data, key->key.size) : json_null(),
                      "value", is_found ? cli_json_hex(value.data, value.size) : json_null(),
                      "state_root", cli_json_hex(root->bytes, SMELT_HASH_BYTES), "proof",
                      proof != NULL ? cli_json_hex(proof->data, proof->size) : NULL);
        return;
    }
    smelt_hex_encode(key->address.bytes, SMELT_ADDRESS_BYTES, hex);
    cli_headline(out, CLI_TONE_GOOD, proof != NULL ? "proved" : "shown", "%s",
                 is_found ? "the value" : "that there is none");
    cli_field(out, key->is_storage ? "contract" : "account", "%s", hex);
    if (key->is_storage) {
        cli_bytes_print(out, "key", key->key);
    }
    if (is_found) {
        cli_bytes_print(out, "value", value);
    }
    smelt_hex_encode(root->bytes, SMELT_HASH_BYTES, hex);
    cli_field(out, "state root", "%s", hex);
    if (proof != NULL) {
        cli_field(out, "proof", "%zu bytes", proof->size);
    }
}

/* ---- smelt state root ------------------------------------------------------------------------ */

static int run_root(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct smelt_hash root;
    bool is_enabled;
    char hex[2 * SMELT_HASH_BYTES + 1];
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    CLI_TRY(smelt_commitment_root(session.store, &root, &is_enabled, &err));
    if (!is_enabled) {
        status = cli_error_set(&err, SMELT_STATUS_STATE_MISMATCH,
                               "the state has no commitment: smelt wave --commitment enables it");
        goto cleanup;
    }
    smelt_hex_encode(root.bytes, SMELT_HASH_BYTES, hex);
    if (out->is_json) {
        out->object = json_pack("{s:s}", "state_root", hex);
    } else {
        (void)printf("%s\n", hex);
    }
cleanup:
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_state_root = {
    .syntax = {.name = "state root", .arguments = "", .required = CLI_ACCEPTS(STATE)},
    .brief = "print the root of the state commitment",
    .notes =
        "It stands for all accounts and all storage, also for what came after the last wave.\n",
    .run = run_root,
};

/* ---- smelt state prove ----------------------------------------------------------------------- */

static int run_prove(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_session session = {0};
    struct cli_outfile file = {0};
    struct smelt_state_key key;
    struct smelt_hash root;
    struct smelt_buf proof = {0};
    struct smelt_buf value = {0};
    bool is_enabled;
    bool is_found;
    CLI_TRY(parse_key(options, options->arguments[0], &key, &err));
    CLI_TRY(cli_outfile_check(&file, options->values[CLI_OPTION_OUTPUT].text, NULL, &err));
    CLI_TRY(cli_session_open_store(&session, options, CLI_STATE_EXISTING, &err));
    CLI_TRY(smelt_state_prove(session.store, &key, &proof, &value, &is_found, &err));
    /* nobody else can have written in between: the store is locked */
    CLI_TRY(smelt_commitment_root(session.store, &root, &is_enabled, &err));
    CLI_TRY(cli_outfile_stage(&file, view(&proof), &err));
    CLI_TRY(cli_outfile_commit(&file, &err));
    answer(out, &root, &key, is_found, view(&value), &proof);
cleanup:
    cli_outfile_discard(&file);
    smelt_buf_deinit(&proof);
    smelt_buf_deinit(&value);
    cli_session_close(&session);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_state_prove = {
    .syntax = {.name = "state prove",
               .arguments = "ADDRESS",
               .arguments_min = 1,
               .arguments_max = 1,
               .accepted = CLI_ACCEPTS(KEY) | CLI_ACCEPTS(OUTPUT),
               .required = CLI_ACCEPTS(STATE)},
    .brief = "prove what an account or a storage key has, or that there is none",
    .notes =
        "The proof goes to the file of --output, and is part of the JSON answer. It needs the\n"
        "state commitment, which smelt wave --commitment enables.\n",
    .run = run_prove,
};

/* ---- smelt verify-proof ---------------------------------------------------------------------- */

static int run_verify(const struct cli_options *options, struct cli_output *out)
{
    enum smelt_status status;
    struct smelt_error err = {0};
    struct cli_bytes proof = {0};
    struct smelt_state_key key;
    const struct smelt_hash *root = &options->values[CLI_OPTION_ROOT].hash;
    struct smelt_buf value = {0};
    bool is_found;
    CLI_TRY(parse_key(options, options->arguments[1], &key, &err));
    CLI_TRY(cli_file_read(options->arguments[0], PROOF_BYTES_MAX, &proof, &err));
    CLI_TRY(smelt_proof_verify(root, &key, cli_bytes_view(&proof), &value, &is_found, &err));
    answer(out, root, &key, is_found, view(&value), NULL);
cleanup:
    smelt_buf_deinit(&value);
    cli_bytes_deinit(&proof);
    return status == SMELT_STATUS_OK ? CLI_EXIT_OK : cli_fail(out, &err);
}

const struct cli_command cli_command_verify_proof = {
    .syntax = {.name = "verify-proof",
               .arguments = "FILE ADDRESS",
               .arguments_min = 2,
               .arguments_max = 2,
               .accepted = CLI_ACCEPTS(KEY),
               .required = CLI_ACCEPTS(ROOT)},
    .brief = "check a proof of smelt state prove against a state root",
    .notes = "Needs no state. FILE is the proof, - is standard input.\n",
    .run = run_verify,
};
