/* The reader of wave files: text, JSON values, wave. See wave_file.h.
 *
 * jansson does the JSON: it refuses doubled keys, text that is not UTF-8, NUL, integers beyond 64
 * bits and nesting beyond 2048. What it would spend on hostile text is bounded before, by the size
 * of the file and the number of values in it. */
#include "cli/wave_file.h"

#include "cli/error.h"
#include "cli/files.h"
#include "cli/options.h"
#include "cli/session.h"

#include <libgen.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODULES_BYTES_MAX ((size_t)256 << 20) /* of all modules of a file */
#define NO_MODULE         SIZE_MAX

struct cli_wave_content {
    uint8_t *input;
    struct smelt_value *arguments;
    struct smelt_hash id;
    size_t module; /* of the file's modules, or NO_MODULE */
};

struct cli_wave_module {
    const char *path;
    size_t transaction; /* the first one that names it */
    struct cli_module module;
};

/* Where the parser is, for messages. */
struct reader {
    const char *name;
    const char *what; /* "a wave", "a deploy" … */
    char place[40];   /* "", "transactions[3]" */
    struct smelt_error *err;
};

/* "w.json: transactions[3].nonce: <text>". */
static enum smelt_status SMELT_PRINTF(3, 4)
    complain(const struct reader *reader, const char *key, const char *format, ...)
{
    char text[216];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const char *dot = reader->place[0] != '\0' && key[0] != '\0' && key[0] != '[' ? "." : "";
    return cli_error_usage(reader->err, "%.120s: %s%s%.48s: %s", reader->name, reader->place, dot,
                           key, text);
}

/* ---- single values --------------------------------------------------------------------------- */

#define SHOWN_BYTES 96

/* A value for messages: short ones as they are. */
static const char *show(const json_t *value, char out[SHOWN_BYTES])
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        (void)snprintf(out, SHOWN_BYTES, "\"%.80s\"", json_string_value(value));
        break;
    case JSON_INTEGER:
        (void)snprintf(out, SHOWN_BYTES, "%lld", (long long)json_integer_value(value));
        break;
    case JSON_REAL:
        (void)snprintf(out, SHOWN_BYTES, "%.17g", json_real_value(value));
        break;
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        return "null";
    }
    return out;
}

/* The text of a string; "" for any other value, which no form of a value accepts. */
static const char *text_of(const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL ? text : "";
}

static enum smelt_status read_number(const struct reader *reader, const char *key,
                                     const json_t *value, uint64_t min, uint64_t max, uint64_t *out)
{
    char shown[SHOWN_BYTES];
    bool is_good;
    if (json_is_integer(value)) {
        json_int_t number = json_integer_value(value);
        *out = (uint64_t)number;
        is_good = number >= 0 && *out >= min && *out <= max;
    } else {
        is_good = cli_number_parse(text_of(value), min, max, out);
    }
    if (is_good) {
        return SMELT_STATUS_OK;
    }
    return complain(reader, key,
                    "%s is not a number from %llu to %llu: write an integer or a string of decimal "
                    "digits",
                    show(value, shown), (unsigned long long)min, (unsigned long long)max);
}

static enum smelt_status read_amount(const struct reader *reader, const char *key,
                                     const json_t *value, struct smelt_u128 *out)
{
    char shown[SHOWN_BYTES];
    if (smelt_u128_parse(text_of(value), out)) {
        return SMELT_STATUS_OK;
    }
    return complain(reader, key,
                    "%s is not an amount: write a string of decimal digits, below 2^128",
                    show(value, shown));
}

/* 32 bytes; `what` is "an address", "a hash". */
static enum smelt_status read_words(const struct reader *reader, const char *key,
                                    const json_t *value, const char *what, uint8_t out[32])
{
    char shown[SHOWN_BYTES];
    if (smelt_hex_decode(text_of(value), out, 32)) {
        return SMELT_STATUS_OK;
    }
    return complain(reader, key, "%s is not %s: write a string of 64 hex digits",
                    show(value, shown), what);
}

static enum smelt_status read_address(const struct reader *reader, const char *key,
                                      const json_t *value, struct smelt_address *out)
{
    return read_words(reader, key, value, "an address", out->bytes);
}

static enum smelt_status read_text(const struct reader *reader, const char *key,
                                   const json_t *value, const char **out)
{
    char shown[SHOWN_BYTES];
    if (!json_is_string(value)) {
        return complain(reader, key, "%s is not a string", show(value, shown));
    }
    *out = json_string_value(value);
    return SMELT_STATUS_OK;
}

static enum smelt_status read_bytes(const struct reader *reader, const char *key,
                                    const json_t *value, uint8_t **out, size_t *size)
{
    char shown[SHOWN_BYTES];
    const char *text = text_of(value);
    const char *digits = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? text + 2 : text;
    *size = strlen(digits) / 2;
    *out = malloc(*size + 1);
    if (*out == NULL) {
        return cli_error_no_memory(reader->err);
    }
    if (json_is_string(value) && smelt_hex_decode(digits, *out, *size)) {
        return SMELT_STATUS_OK;
    }
    return complain(reader, key, "%s is not a string of an even number of hex digits",
                    show(value, shown));
}

static enum smelt_status read_arguments(const struct reader *reader, const char *key,
                                        const json_t *value, struct smelt_value **out,
                                        size_t *count)
{
    char shown[SHOWN_BYTES];
    if (!json_is_array(value)) {
        return complain(reader, key, "%s is not an array of typed values such as \"i32:5\"",
                        show(value, shown));
    }
    *count = json_array_size(value);
    *out = calloc(*count + 1, sizeof(**out));
    if (*out == NULL) {
        return cli_error_no_memory(reader->err);
    }
    for (size_t i = 0; i < *count; i++) {
        const json_t *argument = json_array_get(value, i);
        char place[32];
        (void)snprintf(place, sizeof(place), "%s[%zu]", key, i);
        if (!smelt_value_parse(text_of(argument), &(*out)[i])) {
            return complain(reader, place,
                            "%s is not a typed value: write a string such as \"i32:5\" or "
                            "\"i64:-7\"",
                            show(argument, shown));
        }
    }
    return SMELT_STATUS_OK;
}

/* ---- keys of objects ------------------------------------------------------------------------- */

/* Which keys an object may and must have, as sets of kinds: a wave is a kind of its own. */
enum { TRANSFER = 1, DEPLOY = 2, CALL = 4, UPGRADE = 8, ANY = 15, WAVE = 16 };

struct key {
    const char *name;
    unsigned required;
    unsigned optional;
};

static const struct key keys[] = {
    {"chain_id", WAVE, 0},
    {"number", 0, WAVE},
    {"timestamp", 0, WAVE},
    {"fee_recipient", 0, WAVE},
    {"expected_digest", 0, WAVE},
    {"transactions", WAVE, 0},
    {"kind", ANY, 0},
    {"from", ANY, 0},
    {"nonce", ANY, 0},
    {"to", TRANSFER | CALL | UPGRADE, 0},
    {"value", TRANSFER, DEPLOY | CALL},
    {"module", DEPLOY | UPGRADE, 0},
    {"function", CALL, 0},
    {"arguments", 0, CALL},
    {"input", 0, DEPLOY | CALL},
    {"fuel_limit", ANY, 0},
    {"fuel_price", 0, ANY},
    {"id", 0, ANY},
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

static bool may_have(unsigned kind, const char *name)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].name, name) == 0) {
            return ((keys[i].required | keys[i].optional) & kind) != 0;
        }
    }
    return false;
}

static enum smelt_status check_keys(const struct reader *reader, json_t *object, unsigned kind)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (!may_have(kind, name)) {
            char known[200];
            size_t used = 0;
            for (size_t i = 0; i < KEY_COUNT; i++) {
                if (((keys[i].required | keys[i].optional) & kind) != 0) {
                    used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s",
                                             used != 0 ? ", " : "", keys[i].name);
                }
            }
            return complain(reader, name, "unknown key: %s has %s", reader->what, known);
        }
    }
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if ((keys[i].required & kind) != 0 && json_object_get(object, keys[i].name) == NULL) {
            return complain(reader, keys[i].name, "missing: %s needs it", reader->what);
        }
    }
    return SMELT_STATUS_OK;
}

/* ---- transactions ---------------------------------------------------------------------------- */

static enum smelt_status read_kind(struct reader *reader, const json_t *object,
                                   enum smelt_transaction_kind *out, unsigned *set)
{
    static const struct {
        enum smelt_transaction_kind kind;
        unsigned set;
        const char *what;
    } kinds[] = {
        {SMELT_TRANSACTION_TRANSFER, TRANSFER, "a transfer"},
        {SMELT_TRANSACTION_DEPLOY, DEPLOY, "a deploy"},
        {SMELT_TRANSACTION_CALL, CALL, "a call"},
        {SMELT_TRANSACTION_UPGRADE, UPGRADE, "an upgrade"},
    };
    char shown[SHOWN_BYTES];
    const json_t *value = json_object_get(object, "kind");
    if (value == NULL) {
        return complain(reader, "kind", "missing: transfer, deploy, call or upgrade");
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strcmp(text_of(value), smelt_transaction_kind_name(kinds[i].kind)) == 0) {
            *out = kinds[i].kind;
            *set = kinds[i].set;
            reader->what = kinds[i].what;
            return SMELT_STATUS_OK;
        }
    }
    return complain(reader, "kind", "%s is none of transfer, deploy, call, upgrade",
                    show(value, shown));
}

/* The row of a path in the file's list of modules, which is as long as the list of transactions.
 * `paths` maps those that have one to their rows. */
static enum smelt_status find_module(const struct reader *reader, struct cli_wave_file *file,
                                     json_t *paths, const char *path, size_t transaction,
                                     size_t *row)
{
    const json_t *known = json_object_get(paths, path);
    if (known != NULL) {
        *row = (size_t)json_integer_value(known);
        return SMELT_STATUS_OK;
    }
    *row = file->module_count;
    if (json_object_set_new_nocheck(paths, path, json_integer((json_int_t)*row)) != 0) {
        return cli_error_no_memory(reader->err);
    }
    file->modules[file->module_count++] =
        (struct cli_wave_module){.path = path, .transaction = transaction};
    return SMELT_STATUS_OK;
}

/* What some kinds have and others do not; check_keys has seen that all that is there may be. */
static enum smelt_status read_content(const struct reader *reader, struct cli_wave_file *file,
                                      const json_t *object, json_t *paths, size_t index)
{
    struct smelt_wave_transaction *out = &file->transactions[index];
    struct cli_wave_content *content = &file->contents[index];
    enum smelt_status status = SMELT_STATUS_OK;
    const json_t *value;
    const char *text = "";
    size_t size;
    value = json_object_get(object, "to");
    if (value != NULL) {
        CLI_TRY(read_address(reader, "to", value, &out->to));
    }
    value = json_object_get(object, "value");
    if (value != NULL) {
        CLI_TRY(read_amount(reader, "value", value, &out->value));
    }
    value = json_object_get(object, "module");
    if (value != NULL) {
        CLI_TRY(read_text(reader, "module", value, &text));
        if (text[0] == '\0') {
            return complain(reader, "module", "the path is empty");
        }
        CLI_TRY(find_module(reader, file, paths, text, index, &content->module));
    }
    value = json_object_get(object, "function");
    if (value != NULL) {
        CLI_TRY(read_text(reader, "function", value, &text));
        out->function = smelt_slice_from_string(text);
    }
    value = json_object_get(object, "arguments");
    if (value != NULL) {
        CLI_TRY(
            read_arguments(reader, "arguments", value, &content->arguments, &out->argument_count));
        out->arguments = content->arguments;
    }
    value = json_object_get(object, "input");
    if (value != NULL) {
        CLI_TRY(read_bytes(reader, "input", value, &content->input, &size));
        out->input = (struct smelt_slice){.data = content->input, .size = size};
    }
cleanup:
    return status;
}

static enum smelt_status read_transaction(struct reader *reader, struct cli_wave_file *file,
                                          json_t *object, json_t *paths, size_t index)
{
    struct smelt_wave_transaction *out = &file->transactions[index];
    struct cli_wave_content *content = &file->contents[index];
    enum smelt_status status;
    char shown[SHOWN_BYTES];
    unsigned kind = 0;
    const json_t *value;
    content->module = NO_MODULE;
    if (!json_is_object(object)) {
        return complain(reader, "", "%s is not a transaction, which is an object",
                        show(object, shown));
    }
    CLI_TRY(read_kind(reader, object, &out->kind, &kind));
    CLI_TRY(check_keys(reader, object, kind));
    CLI_TRY(read_address(reader, "from", json_object_get(object, "from"), &out->from));
    CLI_TRY(
        read_number(reader, "nonce", json_object_get(object, "nonce"), 0, UINT64_MAX, &out->nonce));
    CLI_TRY(read_content(reader, file, object, paths, index));
    CLI_TRY(read_number(reader, "fuel_limit", json_object_get(object, "fuel_limit"), 1,
                        (uint64_t)SMELT_FUEL_MAX, &out->fuel_limit));
    value = json_object_get(object, "fuel_price");
    if (value != NULL) {
        CLI_TRY(read_number(reader, "fuel_price", value, 0, UINT64_MAX, &out->fuel_price));
    }
    value = json_object_get(object, "id");
    if (value != NULL) {
        CLI_TRY(read_words(reader, "id", value, "an id", content->id.bytes));
        out->id = &content->id;
    }
cleanup:
    return status;
}

static enum smelt_status read_transactions(struct reader *reader, struct cli_wave_file *file,
                                           const json_t *list)
{
    enum smelt_status status = SMELT_STATUS_OK;
    char shown[SHOWN_BYTES];
    uint64_t fuel = 0;
    json_t *paths = NULL;
    size_t count = json_array_size(list);
    if (!json_is_array(list)) {
        return complain(reader, "transactions", "%s is not an array", show(list, shown));
    }
    if (count > SMELT_WAVE_TRANSACTIONS_MAX) {
        return complain(reader, "transactions", "%zu are more than the %u that a wave may have",
                        count, SMELT_WAVE_TRANSACTIONS_MAX);
    }
    paths = json_object();
    file->transactions = calloc(count + 1, sizeof(*file->transactions));
    file->contents = calloc(count + 1, sizeof(*file->contents));
    file->modules = calloc(count + 1, sizeof(*file->modules));
    if (paths == NULL || file->transactions == NULL || file->contents == NULL ||
        file->modules == NULL) {
        status = cli_error_no_memory(reader->err);
        goto cleanup;
    }
    file->wave.transactions = file->transactions;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(reader->place, sizeof(reader->place), "transactions[%zu]", i);
        file->wave.count = i + 1; /* what deinit has to look at */
        CLI_TRY(read_transaction(reader, file, json_array_get(list, i), paths, i));
        if (__builtin_add_overflow(fuel, file->transactions[i].fuel_limit, &fuel)) {
            status = complain(reader, "fuel_limit",
                              "the limits up to here add up to more than 2^64 - 1, which no wave "
                              "may use: split it");
            goto cleanup;
        }
    }
    reader->place[0] = '\0';
cleanup:
    json_decref(paths);
    return status;
}

/* ---- waves ----------------------------------------------------------------------------------- */

static enum smelt_status read_wave(struct reader *reader, struct cli_wave_file *file)
{
    struct smelt_wave *wave = &file->wave;
    json_t *object = file->root;
    enum smelt_status status;
    const json_t *value;
    if (!json_is_object(object)) {
        return cli_error_usage(reader->err, "%.120s: an array is not a wave, which is an object",
                               reader->name);
    }
    CLI_TRY(check_keys(reader, object, WAVE));
    CLI_TRY(read_number(reader, "chain_id", json_object_get(object, "chain_id"), 0, UINT64_MAX,
                        &wave->chain_id));
    value = json_object_get(object, "number");
    if (value != NULL) {
        CLI_TRY(read_number(reader, "number", value, 1, UINT64_MAX, &wave->number));
        file->has_number = true;
    }
    value = json_object_get(object, "timestamp");
    if (value != NULL) {
        CLI_TRY(read_number(reader, "timestamp", value, 0, UINT64_MAX, &wave->timestamp));
        file->has_timestamp = true;
    }
    value = json_object_get(object, "fee_recipient");
    if (value != NULL) {
        CLI_TRY(read_address(reader, "fee_recipient", value, &file->fee_recipient));
        wave->fee_recipient = &file->fee_recipient;
    }
    value = json_object_get(object, "expected_digest");
    if (value != NULL) {
        CLI_TRY(
            read_words(reader, "expected_digest", value, "a digest", file->expected_digest.bytes));
        wave->expected_digest = &file->expected_digest;
    }
    status = read_transactions(reader, file, json_object_get(object, "transactions"));
cleanup:
    return status;
}

/* An upper bound of the values in a text, whether it is JSON or not. */
static size_t count_values(struct smelt_slice text)
{
    size_t count = 0;
    bool is_string = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '"') {
            is_string = !is_string;
        } else if (is_string) {
            i += byte == '\\';
        } else {
            count += byte == '[' || byte == '{' || byte == ',';
        }
    }
    return count;
}

enum smelt_status cli_wave_file_parse(const char *name, struct smelt_slice text,
                                      struct cli_wave_file *file, struct smelt_error *err)
{
    struct reader reader = {.name = name, .what = "a wave", .err = err};
    json_error_t problem;
    if (count_values(text) > CLI_WAVE_FILE_VALUES_MAX) {
        return cli_error_usage(err, "%.120s: more than %u values: split the wave", name,
                               CLI_WAVE_FILE_VALUES_MAX);
    }
    file->root = json_loadb(text.size != 0 ? (const char *)text.data : "", text.size,
                            JSON_REJECT_DUPLICATES, &problem);
    if (file->root == NULL && json_error_code(&problem) == json_error_out_of_memory) {
        return cli_error_no_memory(err);
    }
    if (file->root == NULL) {
        return cli_error_usage(err, "%.120s: line %d, column %d: %s", name, problem.line,
                               problem.column, problem.text);
    }
    return read_wave(&reader, file);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* A pipe would make the program wait for who writes to it, a device for ever. */
static enum smelt_status check_regular(const char *path, struct smelt_error *err)
{
    struct stat info;
    if (stat(path, &info) != 0 || S_ISREG(info.st_mode)) {
        return SMELT_STATUS_OK; /* what is not there is reported by who opens it */
    }
    return cli_error_set(err, SMELT_STATUS_IO, "cannot read %.200s: it is %s", path,
                         S_ISDIR(info.st_mode) ? "a directory" : "not a regular file");
}

static enum smelt_status load_module(const char *directory, struct cli_wave_module *module,
                                     struct smelt_error *err)
{
    char *path = NULL;
    enum smelt_status status;
    if (asprintf(&path, "%s%s%s", module->path[0] == '/' ? "" : directory,
                 module->path[0] == '/' ? "" : "/", module->path) < 0) {
        return cli_error_no_memory(err);
    }
    CLI_TRY(check_regular(path, err));
    status = cli_module_read(path, &module->module, err);
cleanup:
    free(path);
    return status;
}

/* The error of a module, behind the place that names it. */
static enum smelt_status blame(const char *name, size_t transaction, struct smelt_error *err)
{
    return cli_error_prefix(err, "%.120s: transactions[%zu].module: ", name, transaction);
}

enum smelt_status cli_wave_file_load(const char *name, const char *directory,
                                     struct cli_wave_file *file, struct smelt_error *err)
{
    size_t size = 0;
    for (size_t i = 0; i < file->module_count; i++) {
        struct cli_wave_module *module = &file->modules[i];
        if (load_module(directory, module, err) != SMELT_STATUS_OK) {
            return blame(name, module->transaction, err);
        }
        size += module->module.file.size + module->module.converted.size;
        if (size > MODULES_BYTES_MAX) {
            (void)cli_error_usage(err,
                                  "the modules up to here have more than %zu bytes: split the wave",
                                  MODULES_BYTES_MAX);
            return blame(name, module->transaction, err);
        }
    }
    for (size_t i = 0; i < file->wave.count; i++) {
        if (file->contents[i].module != NO_MODULE) {
            file->transactions[i].wasm = file->modules[file->contents[i].module].module.wasm;
        }
    }
    return SMELT_STATUS_OK;
}

enum smelt_status cli_wave_file_read(const char *path, struct cli_wave_file *file,
                                     struct smelt_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    const char *name = is_stdin ? "standard input" : path;
    struct cli_bytes text = {0};
    char *copy = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    if (!is_stdin) {
        CLI_TRY(check_regular(path, err));
    }
    CLI_TRY(cli_file_read(path, CLI_WAVE_FILE_BYTES_MAX, &text, err));
    CLI_TRY(cli_wave_file_parse(name, cli_bytes_view(&text), file, err));
    copy = strdup(is_stdin ? "." : path);
    if (copy == NULL) {
        status = cli_error_no_memory(err);
        goto cleanup;
    }
    status = cli_wave_file_load(name, is_stdin ? "." : dirname(copy), file, err);
cleanup:
    free(copy);
    cli_bytes_deinit(&text);
    return status;
}

void cli_wave_file_deinit(struct cli_wave_file *file)
{
    for (size_t i = 0; i < file->wave.count; i++) {
        free(file->contents[i].input);
        free(file->contents[i].arguments);
    }
    for (size_t i = 0; i < file->module_count; i++) {
        cli_module_deinit(&file->modules[i].module);
    }
    free(file->transactions);
    free(file->contents);
    free(file->modules);
    json_decref(file->root);
    memset(file, 0, sizeof(*file));
}

const char *cli_wave_file_module_path(const struct cli_wave_file *file, size_t index)
{
    size_t module = file->contents[index].module;
    return module != NO_MODULE ? file->modules[module].path : NULL;
}
