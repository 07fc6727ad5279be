/* Printing of accounts. */
#include "cli/account.h"

json_t *cli_account_json(const struct smelt_address *address, const struct smelt_account *account)
{
    return json_pack("{s:o, s:o, s:I, s:o, s:o}", "address",
                     cli_json_hex(address->bytes, SMELT_ADDRESS_BYTES), "balance",
                     cli_json_amount(account->balance), "nonce", (json_int_t)account->nonce,
                     "code_hash",
                     account->is_contract ? cli_json_hex(account->code_hash.bytes, SMELT_HASH_BYTES)
                                          : json_null(),
                     "owner",
                     account->is_contract ? cli_json_hex(account->owner.bytes, SMELT_ADDRESS_BYTES)
                                          : json_null());
}

void cli_account_print(const struct cli_output *out, const struct smelt_address *address,
                       const struct smelt_account *account)
{
    char text[2 * SMELT_ADDRESS_BYTES + 1];
    char balance[SMELT_U128_TEXT_BYTES];
    smelt_hex_encode(address->bytes, SMELT_ADDRESS_BYTES, text);
    smelt_u128_format(account->balance, balance);
    cli_headline(out, CLI_TONE_PLAIN, account->is_contract ? "contract" : "account", "%s", text);
    cli_field(out, "balance", "%s", balance);
    cli_field(out, "nonce", "%llu", (unsigned long long)account->nonce);
    if (account->is_contract) {
        char code[2 * SMELT_HASH_BYTES + 1];
        smelt_hex_encode(account->code_hash.bytes, SMELT_HASH_BYTES, code);
        cli_field(out, "module", "%s", code);
        smelt_hex_encode(account->owner.bytes, SMELT_ADDRESS_BYTES, text);
        cli_field(out, "owner", "%s", text);
    }
}
