/* What the program prints. Human text goes to standard output as it comes; with --json nothing does
 * until cli_output_finish writes the one object. Messages go to standard error in both modes.
 *
 * Text that comes from a contract or a file is escaped here: it cannot move the cursor, change
 * colours or reorder what is around it. */
#ifndef SMELT_CLI_OUTPUT_H
#define SMELT_CLI_OUTPUT_H

#include "cli/error.h"

#include <smelt/bytes.h>

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

struct cli_output {
    bool is_json;
    bool has_colour;         /* standard output is a terminal and NO_COLOR is not set */
    bool has_message_colour; /* the same for standard error */
    json_t *object;          /* the answer, with --json */
};

void cli_output_init(struct cli_output *out, bool is_json);

/* Writes the JSON object, flushes and checks standard output; returns the program's exit code,
 * which is `code` unless writing failed. */
int cli_output_finish(struct cli_output *out, int code);

/* ---- messages, standard error --------------------------------------------------------------- */

/* Reports a failure (in JSON mode: as the answer) and returns the exit code for it. */
int cli_fail(struct cli_output *out, const struct smelt_error *err);
/* A struct smelt_log's function; `out` is a struct cli_output. */
void cli_log(void *out, enum smelt_log_level level, const char *line);
/* A line that is only of interest to someone who waits: terminals only. */
void cli_progress(const struct cli_output *out, const char *verb, const char *what);

/* ---- human text, standard output ------------------------------------------------------------ */

enum cli_tone { CLI_TONE_PLAIN, CLI_TONE_GOOD, CLI_TONE_BAD, CLI_TONE_DIM };

/* The line that says what happened: "deployed  <rest>". */
void cli_headline(const struct cli_output *out, enum cli_tone tone, const char *word,
                  const char *format, ...) SMELT_PRINTF(4, 5);
/* "  label         text". */
void cli_field(const struct cli_output *out, const char *label, const char *format, ...)
    SMELT_PRINTF(3, 4);

/* Text as it may be shown, in quotes when `is_quoted`; the caller frees it. NULL: out of memory. */
char *cli_text_escape(struct smelt_slice text, bool is_quoted);
/* Bytes for people: quoted text when all of it is printable, else hex; long data is cut. The
 * caller frees it. */
char *cli_bytes_show(struct smelt_slice bytes);

/* ---- JSON values ----------------------------------------------------------------------------- */

json_t *cli_json_hex(const uint8_t *data, size_t size);
json_t *cli_json_amount(struct smelt_u128 amount);
/* An integer; above 2^63 - 1, which few readers of JSON can take, a decimal string. */
json_t *cli_json_number(uint64_t number);
/* A string; bytes that are not UTF-8 are escaped. */
json_t *cli_json_text(struct smelt_slice text);
json_t *cli_json_ms(uint64_t ns);

/* Milliseconds for people: "0.42 ms". `out` has CLI_MS_BYTES bytes. */
#define CLI_MS_BYTES 32
const char *cli_ms_format(uint64_t ns, char *out);

#endif
