/* One pass over the text. Work is bounded by the list of keys, whatever the text: a key or a table
 * that occurs twice ends the reading, so there are at most as many look-ups as there are keys and
 * tables, and one more; each is a walk over the list. */
#include "hostabi/toml.h"

#include "base/bytes.h"
#include "base/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct reader {
    const struct sm_toml *toml;
    struct smelt_slice text;
    size_t at;                     /* byte offset of the next character */
    size_t line;                   /* from 1 */
    char table[SM_TOML_KEY_BYTES]; /* current table with a trailing dot, or "" */
    struct smelt_error *err;
};

static enum smelt_status fail(const struct reader *reader, const char *what, const char *detail)
{
    return sm_error_set_at(reader->err, reader->toml->invalid, reader->toml->what, -1,
                           (int64_t)reader->at, "line %zu: %s%s%s", reader->line, what,
                           detail[0] != '\0' ? ": " : "", detail);
}

/* ---- characters ------------------------------------------------------------------------------ */

static int peek(const struct reader *reader)
{
    return reader->at < reader->text.size ? reader->text.data[reader->at] : -1;
}

static void skip_blanks(struct reader *reader)
{
    while (peek(reader) == ' ' || peek(reader) == '\t') {
        reader->at++;
    }
}

static bool accept(struct reader *reader, char wanted)
{
    skip_blanks(reader);
    if (peek(reader) != wanted) {
        return false;
    }
    reader->at++;
    return true;
}

static bool is_key_character(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

/* A dotted bare key, appended to `prefix`. Leaves room for a dot behind it. */
static enum smelt_status read_key(struct reader *reader, const char *prefix,
                                  char out[SM_TOML_KEY_BYTES])
{
    skip_blanks(reader);
    size_t used = strlen(prefix);
    size_t start = used;
    memcpy(out, prefix, used);
    while (is_key_character(peek(reader)) && used < SM_TOML_KEY_BYTES - 2) {
        out[used++] = (char)peek(reader);
        reader->at++;
    }
    out[used] = '\0';
    if (is_key_character(peek(reader))) {
        return fail(reader, "key is too long", "");
    }
    if (used == start || out[start] == '.' || out[used - 1] == '.' ||
        strstr(out + start, "..") != NULL) {
        return fail(reader, "expected a key", "");
    }
    return SMELT_STATUS_OK;
}

/* ---- keys and tables ------------------------------------------------------------------------- */

/* NULL: there is no such key. */
static struct sm_toml_key *find_key(const struct reader *reader, const char *path)
{
    for (size_t i = 0; i < reader->toml->key_count; i++) {
        if (strcmp(reader->toml->keys[i].path, path) == 0) {
            return &reader->toml->keys[i];
        }
    }
    return NULL;
}

/* `path` becomes a prefix: it gets a trailing dot. What a table is known by, and remembered at, is
 * the first key inside it. */
static enum smelt_status open_table(const struct reader *reader, char path[SM_TOML_KEY_BYTES])
{
    const char *what = "unknown table";
    size_t size = strlen(path);
    uint32_t depth = 0;
    for (size_t i = 0; i < size; i++) {
        depth += path[i] == '.';
    }
    path[size] = '.';
    path[size + 1] = '\0';
    for (size_t i = 0; depth < 32 && i < reader->toml->key_count; i++) {
        struct sm_toml_key *key = &reader->toml->keys[i];
        if (strncmp(key->path, path, size + 1) != 0) {
            continue;
        }
        if ((key->tables >> depth & 1) == 0) {
            key->tables |= UINT32_C(1) << depth;
            return SMELT_STATUS_OK;
        }
        what = "table is given twice";
        break;
    }
    path[size] = '\0';
    return fail(reader, what, path);
}

/* ---- values ---------------------------------------------------------------------------------- */

static enum smelt_status out_of_bounds(const struct reader *reader, const struct sm_toml_key *key,
                                       const char *what, uint64_t bound)
{
    char text[128];
    (void)snprintf(text, sizeof(text), "%s %" PRIu64 "%s%s%s", what, bound,
                   key->rule != NULL ? " (" : "", key->rule != NULL ? key->rule : "",
                   key->rule != NULL ? ")" : "");
    return fail(reader, text, key->path);
}

static enum smelt_status read_integer(struct reader *reader, const struct sm_toml_key *key)
{
    uint64_t value = 0;
    size_t start = reader->at;
    while (peek(reader) >= '0' && peek(reader) <= '9') {
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(peek(reader) - '0'), &value) ||
            value > key->most) {
            return out_of_bounds(reader, key, "value is larger than", key->most);
        }
        reader->at++;
    }
    if (reader->at == start) {
        return fail(reader, "expected an unsigned integer", key->path);
    }
    if (reader->text.data[start] == '0' && reader->at != start + 1) {
        return fail(reader, "integer has leading zeroes", key->path);
    }
    if (value < key->least) {
        return out_of_bounds(reader, key, "value is smaller than", key->least);
    }
    if (key->kind == SM_TOML_POWER && (value == 0 || (value & (value - 1)) != 0)) {
        return out_of_bounds(reader, key, "value is not a power of two up to", key->most);
    }
    if (key->kind == SM_TOML_U32) {
        *(uint32_t *)key->target = (uint32_t)value;
    } else {
        *(uint64_t *)key->target = value;
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status read_bool(struct reader *reader, const struct sm_toml_key *key)
{
    static const char *const words[] = {"false", "true"};
    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(words[i]);
        struct smelt_slice rest =
            sm_slice(reader->text.data + reader->at, reader->text.size - reader->at);
        if (sm_slice_has_prefix(rest, sm_slice(words[i], size))) {
            reader->at += size;
            *(bool *)key->target = i == 1;
            return SMELT_STATUS_OK;
        }
    }
    return fail(reader, "expected true or false", key->path);
}

static enum smelt_status choose_word(const struct reader *reader, const struct sm_toml_key *key,
                                     const char *value)
{
    char known[128] = "";
    for (uint32_t i = 0; key->words[i] != NULL; i++) {
        if (strcmp(key->words[i], value) == 0) {
            *(uint32_t *)key->target = i;
            return SMELT_STATUS_OK;
        }
        size_t used = strlen(known);
        (void)snprintf(known + used, sizeof(known) - used, "%s\"%s\"", i != 0 ? ", " : "",
                       key->words[i]);
    }
    char text[320];
    (void)snprintf(text, sizeof(text), "\"%s\" is none of %s%s%s%s", value, known,
                   key->rule != NULL ? " (" : "", key->rule != NULL ? key->rule : "",
                   key->rule != NULL ? ")" : "");
    return fail(reader, text, key->path);
}

static enum smelt_status read_string(struct reader *reader, const struct sm_toml_key *key)
{
    if (!accept(reader, '"')) {
        return fail(reader, "expected a string", key->path);
    }
    char value[SM_TOML_NAME_BYTES];
    size_t used = 0;
    while (is_key_character(peek(reader)) && used < sizeof(value) - 1) {
        value[used++] = (char)peek(reader);
        reader->at++;
    }
    value[used] = '\0';
    if (peek(reader) != '"' || used == 0) {
        return fail(reader, "strings are 1 to 63 letters, digits, '_', '-' or '.'", key->path);
    }
    reader->at++;
    if (key->kind == SM_TOML_WORD) {
        return choose_word(reader, key, value);
    }
    memcpy(key->target, value, used + 1);
    return SMELT_STATUS_OK;
}

static enum smelt_status read_value(struct reader *reader, const struct sm_toml_key *key)
{
    skip_blanks(reader);
    switch (key->kind) {
    case SM_TOML_U32:
    case SM_TOML_U64:
    case SM_TOML_POWER:
        break;
    case SM_TOML_BOOL:
        return read_bool(reader, key);
    case SM_TOML_NAME:
    case SM_TOML_WORD:
        return read_string(reader, key);
    }
    return read_integer(reader, key);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static enum smelt_status read_pair(struct reader *reader, const char *prefix, bool may_nest)
{
    char path[SM_TOML_KEY_BYTES];
    struct sm_toml_key *key = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(read_key(reader, prefix, path));
    if (!accept(reader, '=')) {
        return fail(reader, "expected '=' after", path);
    }
    if (may_nest && accept(reader, '{')) {
        SMELT_TRY(open_table(reader, path));
        do {
            SMELT_TRY(read_pair(reader, path, false));
        } while (accept(reader, ','));
        return accept(reader, '}') ? SMELT_STATUS_OK : fail(reader, "expected ',' or '}'", "");
    }
    key = find_key(reader, path);
    if (key == NULL) {
        return fail(reader, "unknown key", path);
    }
    if (key->is_seen) {
        return fail(reader, "key is given twice", path);
    }
    key->is_seen = true;
    status = read_value(reader, key);
cleanup:
    return status;
}

static enum smelt_status read_table_header(struct reader *reader)
{
    enum smelt_status status = read_key(reader, "", reader->table);
    if (status == SMELT_STATUS_OK) {
        status = accept(reader, ']') ? open_table(reader, reader->table)
                                     : fail(reader, "expected ']'", reader->table);
    }
    return status;
}

/* Texts are kept in states and shown on terminals: no control characters, in comments neither. */
static enum smelt_status read_line_end(struct reader *reader)
{
    if (accept(reader, '#')) {
        while (peek(reader) >= ' ' || peek(reader) == '\t') {
            if (peek(reader) == 0x7f) {
                break;
            }
            reader->at++;
        }
    }
    if (peek(reader) == '\r' && reader->at + 1 < reader->text.size &&
        reader->text.data[reader->at + 1] == '\n') {
        reader->at++;
    }
    if (peek(reader) == -1) {
        return SMELT_STATUS_OK;
    }
    if (peek(reader) != '\n') {
        return fail(reader, "unexpected text at the end of the line", "");
    }
    reader->at++;
    reader->line++;
    return SMELT_STATUS_OK;
}

static enum smelt_status read_line(struct reader *reader)
{
    enum smelt_status status = SMELT_STATUS_OK;
    if (accept(reader, '[')) {
        SMELT_TRY(read_table_header(reader));
    } else if (is_key_character(peek(reader))) {
        SMELT_TRY(read_pair(reader, reader->table, true));
    }
    status = read_line_end(reader);
cleanup:
    return status;
}

enum smelt_status sm_toml_read(struct smelt_slice text, const struct sm_toml *toml,
                               struct smelt_error *err)
{
    struct reader reader = {.toml = toml, .text = text, .line = 1, .err = err};
    enum smelt_status status = SMELT_STATUS_OK;
    if (text.size > SM_TOML_TEXT_BYTES_MAX) {
        return sm_error_set(err, toml->invalid, toml->what,
                            "the text has %zu bytes, more than the limit of %u", text.size,
                            SM_TOML_TEXT_BYTES_MAX);
    }
    if (!sm_slice_is_utf8(text)) {
        return sm_error_set(err, toml->invalid, toml->what, "the text is not UTF-8");
    }
    while (peek(&reader) != -1) {
        SMELT_TRY(read_line(&reader));
    }
    for (size_t i = 0; i < toml->key_count; i++) {
        if (!toml->keys[i].is_seen) {
            status = fail(&reader, "missing key", toml->keys[i].path);
            goto cleanup;
        }
    }
cleanup:
    return status;
}
