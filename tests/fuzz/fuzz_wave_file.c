/* The reader of wave files: what it accepts is within the bounds that the engine counts on, and the
 * same wave comes out of a file that is written from it, with all that may be left out put in. */
#include "cli/wave_file.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static json_t *hex(const void *data, size_t size)
{
    char *text = malloc(2 * size + 1);
    FUZZ_CHECK(text != NULL, "no memory");
    smelt_hex_encode(data, size, text);
    json_t *value = json_string(text);
    free(text);
    return value;
}

static json_t *amount(struct smelt_u128 number)
{
    char text[SMELT_U128_TEXT_BYTES];
    smelt_u128_format(number, text);
    return json_string(text);
}

static json_t *number(uint64_t value)
{
    return amount((struct smelt_u128){.low = value});
}

static json_t *arguments(const struct smelt_wave_transaction *transaction)
{
    json_t *list = json_array();
    for (size_t i = 0; i < transaction->argument_count; i++) {
        char text[SMELT_VALUE_TEXT_BYTES];
        smelt_value_format(transaction->arguments[i], text);
        json_array_append_new(list, json_string(text));
    }
    return list;
}

/* The keys that its kind has, and those that are given. */
static json_t *write_transaction(const struct cli_wave_file *file, size_t index)
{
    const struct smelt_wave_transaction *transaction = &file->transactions[index];
    bool is_deploy = transaction->kind == SMELT_TRANSACTION_DEPLOY;
    bool is_call = transaction->kind == SMELT_TRANSACTION_CALL;
    bool is_upgrade = transaction->kind == SMELT_TRANSACTION_UPGRADE;
    const char *path = cli_wave_file_module_path(file, index);
    FUZZ_CHECK(transaction->fuel_limit >= 1 && transaction->fuel_limit <= SMELT_FUEL_MAX, "fuel");
    FUZZ_CHECK((path != NULL) == (is_deploy || is_upgrade), "module");
    FUZZ_CHECK(is_call || (transaction->function.size == 0 && transaction->argument_count == 0),
               "function");
    FUZZ_CHECK(is_call || is_deploy || transaction->input.size == 0, "input");
    FUZZ_CHECK(!is_upgrade || (transaction->value.low == 0 && transaction->value.high == 0),
               "value");
    json_t *object = json_pack(
        "{s:s, s:o, s:o, s:o, s:o}", "kind", smelt_transaction_kind_name(transaction->kind), "from",
        hex(transaction->from.bytes, SMELT_ADDRESS_BYTES), "nonce", number(transaction->nonce),
        "fuel_limit", number(transaction->fuel_limit), "fuel_price",
        number(transaction->fuel_price));
    if (!is_deploy) {
        json_object_set_new(object, "to", hex(transaction->to.bytes, SMELT_ADDRESS_BYTES));
    }
    if (!is_upgrade) {
        json_object_set_new(object, "value", amount(transaction->value));
    }
    if (path != NULL) {
        json_object_set_new(object, "module", json_string(path));
    }
    if (is_call) {
        json_object_set_new(
            object, "function",
            json_stringn((const char *)transaction->function.data, transaction->function.size));
        json_object_set_new(object, "arguments", arguments(transaction));
    }
    if (is_call || is_deploy) {
        json_object_set_new(object, "input", hex(transaction->input.data, transaction->input.size));
    }
    if (transaction->id != NULL) {
        json_object_set_new(object, "id", hex(transaction->id->bytes, SMELT_HASH_BYTES));
    }
    return object;
}

/* Sorted keys, so that equal waves have equal texts; the caller frees it. */
static char *write_wave(const struct cli_wave_file *file)
{
    const struct smelt_wave *wave = &file->wave;
    json_t *transactions = json_array();
    json_t *object =
        json_pack("{s:o, s:o}", "chain_id", number(wave->chain_id), "transactions", transactions);
    FUZZ_CHECK(wave->count <= SMELT_WAVE_TRANSACTIONS_MAX, "count");
    FUZZ_CHECK(file->has_number == (wave->number != 0), "number");
    FUZZ_CHECK(file->has_timestamp || wave->timestamp == 0, "timestamp");
    if (file->has_number) {
        json_object_set_new(object, "number", number(wave->number));
    }
    if (file->has_timestamp) {
        json_object_set_new(object, "timestamp", number(wave->timestamp));
    }
    if (wave->fee_recipient != NULL) {
        json_object_set_new(object, "fee_recipient",
                            hex(wave->fee_recipient->bytes, SMELT_ADDRESS_BYTES));
    }
    if (wave->expected_digest != NULL) {
        json_object_set_new(object, "expected_digest",
                            hex(wave->expected_digest->bytes, SMELT_HASH_BYTES));
    }
    for (size_t i = 0; i < wave->count; i++) {
        json_array_append_new(transactions, write_transaction(file, i));
    }
    char *text = json_dumps(object, JSON_SORT_KEYS);
    FUZZ_CHECK(text != NULL, "the wave cannot be written");
    json_decref(object);
    return text;
}

static void check_rewritten(const struct cli_wave_file *file)
{
    struct cli_wave_file again = {0};
    struct smelt_error err = {0};
    char *first = write_wave(file);
    enum smelt_status status =
        cli_wave_file_parse("again", smelt_slice_from_string(first), &again, &err);
    FUZZ_CHECK(status == SMELT_STATUS_OK, "%s in\n%s", err.message, first);
    char *second = write_wave(&again);
    FUZZ_CHECK(strcmp(first, second) == 0, "another wave:\n%s\n%s", first, second);
    cli_wave_file_deinit(&again);
    free(second);
    free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cli_wave_file file = {0};
    struct smelt_error err = {0};
    enum smelt_status status =
        cli_wave_file_parse("fuzz", (struct smelt_slice){.data = data, .size = size}, &file, &err);
    if (status == SMELT_STATUS_OK) {
        check_rewritten(&file);
    } else {
        FUZZ_CHECK(status == SMELT_STATUS_INVALID_ARGUMENT && err.status == status &&
                       strncmp(err.message, "fuzz: ", 6) == 0 && err.message[6] != '\0',
                   "%s: %s", smelt_status_name(status), err.message);
    }
    cli_wave_file_deinit(&file);
    return 0;
}
