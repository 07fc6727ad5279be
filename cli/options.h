/* The option parser: one table of options (options.def), one syntax per command.
 *
 *     struct cli_options options = {0};
 *     status = cli_options_parse(&syntax, argc, argv, &options, &err);
 *     if (options.values[CLI_OPTION_FUEL].is_given) …
 *     cli_options_deinit(&options);
 *
 * Accepts `--name VALUE`, `--name=VALUE`, `-o VALUE` and, after `--`, positional arguments only. An
 * unknown, doubled or missing option and a malformed value are INVALID_ARGUMENT with a message that
 * names the option. Values are parsed here, so commands never see malformed ones. */
#ifndef SMELT_CLI_OPTIONS_H
#define SMELT_CLI_OPTIONS_H

#include <smelt/bytes.h>
#include <smelt/status.h>

#include <stdbool.h>
#include <stdio.h>

enum cli_option_kind {
    CLI_KIND_FLAG,
    CLI_KIND_TEXT,    /* any text that is not empty */
    CLI_KIND_CHOICE,  /* a word of the row's list; `number` is its position */
    CLI_KIND_NUMBER,  /* decimal, within the row's bounds */
    CLI_KIND_AMOUNT,  /* decimal, 128 bits */
    CLI_KIND_ADDRESS, /* 64 hex digits */
    CLI_KIND_HASH,    /* 64 hex digits */
    CLI_KIND_HEX,     /* an even number of hex digits */
    CLI_KIND_BYTES    /* text, or behind 0x an even number of hex digits */
};

enum cli_option_id {
#define OPTION(id, letter, name, kind, value, min, max, help) CLI_OPTION_##id,
#include "cli/options.def"
    CLI_OPTION_COUNT
};

/* A set of options. */
#define CLI_ACCEPTS(id) (UINT64_C(1) << CLI_OPTION_##id)

struct cli_syntax {
    const char *name;      /* of the command: "account fund" */
    const char *arguments; /* positional arguments as the usage line shows them */
    unsigned arguments_min;
    unsigned arguments_max;
    uint64_t accepted; /* CLI_ACCEPTS of each option; JSON and HELP always are */
    uint64_t required;
};

#define CLI_ARGUMENTS_UNLIMITED UINT32_MAX

/* Zero (and the empty text) unless the option was given. */
struct cli_value {
    bool is_given;
    const char *text; /* as written; points into argv */
    uint64_t number;
    struct smelt_u128 amount;
    struct smelt_address address;
    struct smelt_hash hash;
    struct smelt_slice bytes; /* HEX, BYTES; owned by the options, or in argv */
};

struct cli_options {
    struct cli_value values[CLI_OPTION_COUNT];
    const char **arguments; /* the pointers are argv's */
    size_t argument_count;
    uint8_t *hex; /* storage behind `bytes`; a command accepts one option with hex digits */
};

/* `argv[0]` is the first word after the command's name. With --help, required options and
 * arguments may be missing. */
enum smelt_status cli_options_parse(const struct cli_syntax *syntax, int argc, char **argv,
                                    struct cli_options *out, struct smelt_error *err);
void cli_options_deinit(struct cli_options *options);

/* For usage errors, which may come from the parser itself: is there a --json before any `--`? */
bool cli_options_want_json(int argc, char **argv);

/* Value of a decimal number in [min, max]: digits only. */
bool cli_number_parse(const char *text, uint64_t min, uint64_t max, uint64_t *out);

/* "usage: smelt call ADDRESS … --state DIR [options]" and a line per accepted option. */
void cli_options_print_usage(FILE *stream, const struct cli_syntax *syntax);
void cli_options_print_help(FILE *stream, const struct cli_syntax *syntax);

#endif
