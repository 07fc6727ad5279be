/* The option parser over the rows of options.def. */
#include "cli/options.h"

#include "cli/error.h"

#include <stdlib.h>
#include <string.h>

struct row {
    char letter; /* 0: none */
    const char *name;
    enum cli_option_kind kind;
    const char *value; /* placeholder, or the words of a CHOICE; NULL for a FLAG */
    uint64_t min;
    uint64_t max;
    const char *help;
};

static const struct row rows[CLI_OPTION_COUNT] = {
#define OPTION(id, letter_, name_, kind_, value_, min_, max_, help_)                               \
    [CLI_OPTION_##id] = {letter_, name_, CLI_KIND_##kind_, value_, min_, max_, help_},
#include "cli/options.def"
};

_Static_assert(CLI_OPTION_COUNT <= 64, "a set of options is 64 bits");

static uint64_t accepted_by(const struct cli_syntax *syntax)
{
    return syntax->accepted | syntax->required | CLI_ACCEPTS(JSON) | CLI_ACCEPTS(HELP);
}

/* The option a word names, and the text behind its '=' (NULL without one). COUNT when none of the
 * table. */
static size_t find(const char *word, const char **attached)
{
    *attached = NULL;
    if (word[1] != '-') {
        for (size_t id = 0; id < CLI_OPTION_COUNT; id++) {
            if (rows[id].letter != 0 && word[1] == rows[id].letter && word[2] == '\0') {
                return id;
            }
        }
        return CLI_OPTION_COUNT;
    }
    const char *name = word + 2;
    size_t size = strcspn(name, "=");
    for (size_t id = 0; id < CLI_OPTION_COUNT; id++) {
        if (strlen(rows[id].name) == size && strncmp(rows[id].name, name, size) == 0) {
            *attached = name[size] == '=' ? name + size + 1 : NULL;
            return id;
        }
    }
    return CLI_OPTION_COUNT;
}

static bool choose(const char *words, const char *text, uint64_t *position)
{
    size_t size = strlen(text);
    *position = 0;
    for (const char *at = words;;) {
        size_t length = strcspn(at, "|");
        if (length == size && strncmp(at, text, size) == 0) {
            return true;
        }
        if (at[length] == '\0') {
            return false;
        }
        at += length + 1;
        ++*position;
    }
}

bool cli_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    struct smelt_u128 number;
    if (!smelt_u128_parse(text, &number) || number.high != 0 || number.low < min ||
        number.low > max) {
        return false;
    }
    *out = number.low;
    return true;
}

static bool has_hex_mark(const char *text)
{
    return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

static enum smelt_status parse_hex(const char *name, const char *text, struct cli_options *out,
                                   struct smelt_slice *bytes, struct smelt_error *err)
{
    const char *digits = has_hex_mark(text) ? text + 2 : text;
    size_t size = strlen(digits) / 2;
    uint8_t *hex = malloc(size + 1);
    if (hex == NULL) {
        return cli_error_no_memory(err);
    }
    if (!smelt_hex_decode(digits, hex, size)) {
        free(hex);
        return cli_error_usage(err, "--%s: not an even number of hex digits", name);
    }
    free(out->hex);
    out->hex = hex;
    *bytes = (struct smelt_slice){.data = hex, .size = size};
    return SMELT_STATUS_OK;
}

static enum smelt_status parse_value(size_t id, const char *text, struct cli_options *out,
                                     struct smelt_error *err)
{
    const struct row *row = &rows[id];
    struct cli_value *value = &out->values[id];
    value->text = text;
    switch (row->kind) {
    case CLI_KIND_FLAG:
        break;
    case CLI_KIND_TEXT:
        if (text[0] == '\0') {
            return cli_error_usage(err, "--%s: the value is empty", row->name);
        }
        break;
    case CLI_KIND_CHOICE:
        if (!choose(row->value, text, &value->number)) {
            return cli_error_usage(err, "--%s: \"%.64s\" is none of %s", row->name, text,
                                   row->value);
        }
        break;
    case CLI_KIND_NUMBER:
        if (!cli_number_parse(text, row->min, row->max, &value->number)) {
            return cli_error_usage(err, "--%s: \"%.64s\" is not a decimal number from %llu to %llu",
                                   row->name, text, (unsigned long long)row->min,
                                   (unsigned long long)row->max);
        }
        break;
    case CLI_KIND_AMOUNT:
        if (!smelt_u128_parse(text, &value->amount)) {
            return cli_error_usage(err, "--%s: \"%.64s\" is not a decimal number below 2^128",
                                   row->name, text);
        }
        break;
    case CLI_KIND_ADDRESS:
        if (!smelt_hex_decode(text, value->address.bytes, SMELT_ADDRESS_BYTES)) {
            return cli_error_usage(err, "--%s: an address has 64 hex digits, not \"%.80s\"",
                                   row->name, text);
        }
        break;
    case CLI_KIND_HASH:
        if (!smelt_hex_decode(text, value->hash.bytes, SMELT_HASH_BYTES)) {
            return cli_error_usage(err, "--%s: a hash has 64 hex digits, not \"%.80s\"", row->name,
                                   text);
        }
        break;
    case CLI_KIND_HEX:
        return parse_hex(row->name, text, out, &value->bytes, err);
    case CLI_KIND_BYTES:
        if (has_hex_mark(text)) {
            return parse_hex(row->name, text, out, &value->bytes, err);
        }
        value->bytes = smelt_slice_from_string(text);
        break;
    }
    return SMELT_STATUS_OK;
}

/* Handles the option at argv[*at] and steps over the words it takes. */
static enum smelt_status parse_option(const struct cli_syntax *syntax, int argc, char **argv,
                                      int *at, struct cli_options *out, struct smelt_error *err)
{
    const char *word = argv[*at];
    const char *text;
    size_t id = find(word, &text);
    if (id == CLI_OPTION_COUNT) {
        return cli_error_usage(err, "unknown option %.64s", word);
    }
    const char *name = rows[id].name;
    if ((accepted_by(syntax) >> id & 1) == 0) {
        return cli_error_usage(err, "--%s is not an option of smelt %s", name, syntax->name);
    }
    if (out->values[id].is_given) {
        return cli_error_usage(err, "--%s is given twice", name);
    }
    if (rows[id].kind == CLI_KIND_FLAG) {
        if (text != NULL) {
            return cli_error_usage(err, "--%s takes no value", name);
        }
        text = "";
    } else if (text == NULL) {
        /* a value that looks like an option is far more often a forgotten value */
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0) {
            return cli_error_usage(err, "--%s needs a value (--%s=%s)", name, name, rows[id].value);
        }
        text = argv[++*at];
    }
    ++*at;
    out->values[id].is_given = true;
    return parse_value(id, text, out, err);
}

static enum smelt_status check_complete(const struct cli_syntax *syntax,
                                        const struct cli_options *options, struct smelt_error *err)
{
    for (size_t id = 0; id < CLI_OPTION_COUNT; id++) {
        if ((syntax->required >> id & 1) != 0 && !options->values[id].is_given) {
            return cli_error_usage(err, "smelt %s needs --%s %s", syntax->name, rows[id].name,
                                   rows[id].value);
        }
    }
    if (options->argument_count < syntax->arguments_min) {
        return cli_error_usage(err, "arguments are missing: smelt %s %s", syntax->name,
                               syntax->arguments);
    }
    if (options->argument_count > syntax->arguments_max) {
        return cli_error_usage(err, "unexpected argument \"%.64s\"",
                               options->arguments[syntax->arguments_max]);
    }
    return SMELT_STATUS_OK;
}

enum smelt_status cli_options_parse(const struct cli_syntax *syntax, int argc, char **argv,
                                    struct cli_options *out, struct smelt_error *err)
{
    memset(out, 0, sizeof(*out));
    out->arguments = calloc((size_t)argc + 1, sizeof(*out->arguments));
    if (out->arguments == NULL) {
        return cli_error_no_memory(err);
    }
    bool is_positional_only = false;
    for (int at = 0; at < argc;) {
        const char *word = argv[at];
        if (is_positional_only || word[0] != '-' || word[1] == '\0') {
            out->arguments[out->argument_count++] = word;
            at++;
        } else if (strcmp(word, "--") == 0) {
            is_positional_only = true;
            at++;
        } else {
            enum smelt_status status = parse_option(syntax, argc, argv, &at, out, err);
            if (status != SMELT_STATUS_OK) {
                return status;
            }
        }
    }
    if (out->values[CLI_OPTION_HELP].is_given) {
        return SMELT_STATUS_OK;
    }
    return check_complete(syntax, out, err);
}

void cli_options_deinit(struct cli_options *options)
{
    free(options->arguments);
    free(options->hex);
    memset(options, 0, sizeof(*options));
}

bool cli_options_want_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            return true;
        }
    }
    return false;
}

void cli_options_print_usage(FILE *stream, const struct cli_syntax *syntax)
{
    (void)fprintf(stream, "usage: smelt %s%s%s", syntax->name,
                  syntax->arguments[0] != '\0' ? " " : "", syntax->arguments);
    for (size_t id = 0; id < CLI_OPTION_COUNT; id++) {
        if ((syntax->required >> id & 1) != 0) {
            (void)fprintf(stream, " --%s %s", rows[id].name, rows[id].value);
        }
    }
    (void)fputs(" [options]\n", stream);
}

void cli_options_print_help(FILE *stream, const struct cli_syntax *syntax)
{
    for (size_t id = 0; id < CLI_OPTION_COUNT; id++) {
        if ((accepted_by(syntax) >> id & 1) == 0) {
            continue;
        }
        const struct row *row = &rows[id];
        char letter[8] = "    ";
        if (row->letter != 0) {
            (void)snprintf(letter, sizeof(letter), "-%c, ", row->letter);
        }
        int used = fprintf(stream, "  %s--%s%s%s", letter, row->name, row->value != NULL ? " " : "",
                           row->value != NULL ? row->value : "");
        (void)fprintf(stream, "%*s%s\n", used < 36 ? 36 - used : 2, "", row->help);
    }
}
