/* Printing: human text, messages, JSON. See output.h. */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LABEL_WIDTH    14
#define SHOWN_BYTES    96 /* of a value in human output; JSON has all of it */
#define COLOUR_RED     "\033[31m"
#define COLOUR_GREEN   "\033[32m"
#define COLOUR_YELLOW  "\033[33m"
#define COLOUR_DIM     "\033[2m"
#define COLOUR_BOLD    "\033[1m"
#define COLOUR_DEFAULT "\033[0m"

/* https://no-color.org: set and not empty. */
static bool wants_colour(int fd)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0) && isatty(fd) == 1;
}

void cli_output_init(struct cli_output *out, bool is_json)
{
    *out = (struct cli_output){
        .is_json = is_json,
        .has_colour = !is_json && wants_colour(STDOUT_FILENO),
        .has_message_colour = wants_colour(STDERR_FILENO),
    };
}

static const char *paint(bool has_colour, const char *colour)
{
    return has_colour ? colour : "";
}

/* ---- escaping -------------------------------------------------------------------------------- */

/* Code point of the well-formed UTF-8 sequence at `at` (RFC 3629) and its length; 0 length when
 * there is none. */
static size_t decode_utf8(const uint8_t *at, size_t left, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = at[0] < 0x80             ? 1
                    : (at[0] & 0xe0) == 0xc0 ? 2
                    : (at[0] & 0xf0) == 0xe0 ? 3
                    : (at[0] & 0xf8) == 0xf0 ? 4
                                             : 0;
    if (length == 0 || length > left) {
        return 0;
    }
    uint32_t value = length == 1 ? at[0] : at[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        value = value << 6 | (at[i] & 0x3fu);
    }
    if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
        return 0;
    }
    *code = value;
    return length;
}

/* Controls, and the invisible characters that reorder or hide text around them. */
static bool is_harmless(uint32_t code)
{
    return code >= 0x20 && !(code >= 0x7f && code < 0xa0) && code != 0xad &&
           !(code >= 0x200b && code <= 0x200f) && !(code >= 0x2028 && code <= 0x202e) &&
           !(code >= 0x2060 && code <= 0x206f) && code != 0x61c && code != 0xfeff &&
           !(code >= 0xfff9 && code <= 0xfffb) && code < 0xe0000;
}

static bool is_printable(struct smelt_slice text)
{
    for (size_t at = 0; at < text.size;) {
        uint32_t code;
        size_t length = decode_utf8(text.data + at, text.size - at, &code);
        if (length == 0 || !is_harmless(code)) {
            return false;
        }
        at += length;
    }
    return true;
}

char *cli_text_escape(struct smelt_slice text, bool is_quoted)
{
    char *escaped = NULL;
    size_t escaped_size = 0;
    FILE *stream = open_memstream(&escaped, &escaped_size);
    if (stream == NULL) {
        return NULL;
    }
    if (is_quoted) {
        (void)fputc('"', stream);
    }
    for (size_t at = 0; at < text.size;) {
        uint32_t code = 0;
        size_t length = decode_utf8(text.data + at, text.size - at, &code);
        if (length == 0) {
            (void)fprintf(stream, "\\x%02x", text.data[at++]);
            continue;
        }
        if (!is_harmless(code)) {
            (void)fprintf(stream, code < 0x80 ? "\\x%02x" : "\\u{%x}", (unsigned)code);
        } else if (is_quoted && (code == '"' || code == '\\')) {
            (void)fprintf(stream, "\\%c", (char)code);
        } else {
            (void)fwrite(text.data + at, 1, length, stream);
        }
        at += length;
    }
    if (is_quoted) {
        (void)fputc('"', stream);
    }
    bool is_complete = ferror(stream) == 0;
    if (fclose(stream) != 0 || !is_complete) {
        free(escaped);
        return NULL;
    }
    return escaped;
}

char *cli_bytes_show(struct smelt_slice bytes)
{
    size_t shown = bytes.size < SHOWN_BYTES ? bytes.size : SHOWN_BYTES;
    if (bytes.size != 0 && shown == bytes.size && is_printable(bytes)) {
        return cli_text_escape(bytes, true);
    }
    char hex[2 * SHOWN_BYTES + 1];
    smelt_hex_encode(bytes.data, shown, hex);
    char *text = NULL;
    int length = bytes.size == 0       ? asprintf(&text, "(empty)")
                 : shown == bytes.size ? asprintf(&text, "%s", hex)
                                       : asprintf(&text, "%s… (%zu bytes)", hex, bytes.size);
    return length < 0 ? NULL : text;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* "smelt: error: <text>", with the text escaped. */
static void print_message(const struct cli_output *out, const char *colour, const char *level,
                          const char *text)
{
    char *escaped = cli_text_escape(smelt_slice_from_string(text), false);
    (void)fprintf(stderr, "smelt: %s%s:%s %s\n", paint(out->has_message_colour, colour), level,
                  paint(out->has_message_colour, COLOUR_DEFAULT),
                  escaped != NULL ? escaped : "(out of memory)");
    free(escaped);
}

static void print_failure(const struct cli_output *out, const struct smelt_error *err)
{
    char place[96] = "";
    size_t used = 0;
    const char *separator = " (";
    if (err->where[0] != '\0') {
        used += (size_t)snprintf(place, sizeof(place), "%s%s", separator, err->where);
        separator = ", ";
    }
    if (err->func_index >= 0) {
        used += (size_t)snprintf(place + used, sizeof(place) - used, "%sfunction %lld", separator,
                                 (long long)err->func_index);
        separator = ", ";
    }
    if (err->offset >= 0) {
        used += (size_t)snprintf(place + used, sizeof(place) - used, "%soffset 0x%llx", separator,
                                 (unsigned long long)err->offset);
    }
    char text[sizeof(err->message) + sizeof(place) + 1];
    (void)snprintf(text, sizeof(text), "%s%s%s", err->message, place, used != 0 ? ")" : "");
    print_message(out, COLOUR_RED, "error", text);
    const char *hint = cli_error_hint(err);
    if (hint != NULL) {
        print_message(out, COLOUR_DIM, "hint", hint);
    }
}

static json_t *json_or_null(int64_t number)
{
    return number >= 0 ? json_integer(number) : json_null();
}

int cli_fail(struct cli_output *out, const struct smelt_error *err)
{
    print_failure(out, err);
    if (out->is_json) {
        json_decref(out->object);
        out->object = json_pack(
            "{s:{s:s, s:o, s:o, s:o, s:o}}", "error", "code", smelt_status_name(err->status),
            "message", cli_json_text(smelt_slice_from_string(err->message)), "offset",
            json_or_null(err->offset), "section",
            err->where[0] != '\0' ? cli_json_text(smelt_slice_from_string(err->where))
                                  : json_null(),
            "function", json_or_null(err->func_index));
    }
    return (int)cli_exit_of_status(err->status);
}

void cli_log(void *out, enum smelt_log_level level, const char *line)
{
    if (level == SMELT_LOG_WARNING) {
        print_message(out, COLOUR_YELLOW, "warning", line);
    }
}

void cli_progress(const struct cli_output *out, const char *verb, const char *what)
{
    if (isatty(STDERR_FILENO) == 1) {
        print_message(out, COLOUR_DIM, verb, what);
    }
}

/* ---- human text ------------------------------------------------------------------------------ */

void cli_headline(const struct cli_output *out, enum cli_tone tone, const char *word,
                  const char *format, ...)
{
    static const char *const colours[] = {
        [CLI_TONE_PLAIN] = COLOUR_BOLD,
        [CLI_TONE_GOOD] = COLOUR_GREEN,
        [CLI_TONE_BAD] = COLOUR_RED,
        [CLI_TONE_DIM] = COLOUR_DIM,
    };
    (void)printf("%s%s%s  ", paint(out->has_colour, colours[tone]), word,
                 paint(out->has_colour, COLOUR_DEFAULT));
    va_list args;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)putchar('\n');
}

void cli_field(const struct cli_output *out, const char *label, const char *format, ...)
{
    (void)printf("  %s%-*s%s", paint(out->has_colour, COLOUR_DIM), LABEL_WIDTH, label,
                 paint(out->has_colour, COLOUR_DEFAULT));
    va_list args;
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)putchar('\n');
}

const char *cli_ms_format(uint64_t ns, char *out)
{
    (void)snprintf(out, CLI_MS_BYTES, "%.2f ms", (double)ns / 1e6);
    return out;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

json_t *cli_json_hex(const uint8_t *data, size_t size)
{
    char *text = malloc(2 * size + 1);
    if (text == NULL) {
        return NULL;
    }
    smelt_hex_encode(data, size, text);
    json_t *value = json_stringn_nocheck(text, 2 * size);
    free(text);
    return value;
}

json_t *cli_json_amount(struct smelt_u128 amount)
{
    char text[SMELT_U128_TEXT_BYTES];
    smelt_u128_format(amount, text);
    return json_string(text);
}

json_t *cli_json_number(uint64_t number)
{
    return number <= INT64_MAX ? json_integer((json_int_t)number)
                               : cli_json_amount((struct smelt_u128){.low = number});
}

json_t *cli_json_text(struct smelt_slice text)
{
    json_t *value = json_stringn(text.size != 0 ? (const char *)text.data : "", text.size);
    if (value == NULL) {
        char *escaped = cli_text_escape(text, false);
        value = escaped != NULL ? json_string(escaped) : NULL;
        free(escaped);
    }
    return value;
}

json_t *cli_json_ms(uint64_t ns)
{
    uint64_t whole_us = ns / 1000;
    return json_real((double)whole_us / 1e3);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Writes the answer and everything that is still buffered; 0, or why it could not. */
static int write_out(const struct cli_output *out)
{
    int problem = 0;
    errno = 0;
    /* 15 digits: microseconds print as they were measured, 0.123 and not 0.12299999999999999 */
    if (out->is_json &&
        (json_dumpf(out->object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0 ||
         putchar('\n') == EOF)) {
        problem = errno;
    }
    if (fflush(stdout) != 0 && problem == 0) {
        problem = errno;
    }
    if (ferror(stdout) != 0 && problem == 0) {
        problem = EIO; /* an earlier write, whose errno is gone */
    }
    if (fclose(stdout) != 0 && problem == 0) {
        problem = errno;
    }
    return problem;
}

int cli_output_finish(struct cli_output *out, int code)
{
    struct smelt_error err = {0};
    if (out->is_json && out->object == NULL) {
        (void)cli_error_no_memory(&err);
        code = cli_fail(out, &err);
    }
    int problem = write_out(out);
    if (problem != 0) {
        (void)cli_error_errno(&err, problem, "cannot write to standard output");
        print_failure(out, &err);
        code = CLI_EXIT_NODE;
    }
    json_decref(out->object);
    out->object = NULL;
    return code;
}
