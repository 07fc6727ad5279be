/* Gas schedules: a strict reader for the part of TOML 1.0 they need, and the values behind it.
 *
 * The reader knows tables `[a.b]`, dotted bare keys, unsigned decimal integers, plain strings and
 * inline tables of integers. Each full key ("instructions.i32.add") is looked up in the list of
 * known keys, built from the instruction table and the profile's rows: unknown, doubled and missing
 * keys are errors with their line. */
#include "hostabi/schedule.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WHERE          "schedule"
#define KEY_BYTES      160
#define NAME_BYTES     64
#define TEXT_BYTES_MAX (1u << 20)

/* What a schedule needs of an instruction; weights are in the order of these rows. */
enum row {
#define OP(code, name, text, immediates, parameters, results, alignment, flags) ROW_##name,
#include "hostabi/opcodes.def"
    ROW_COUNT
};

static const struct {
    uint16_t code;
    const char *text;
} instructions[ROW_COUNT] = {
#define OP(code, name, text, immediates, parameters, results, alignment, flags)                    \
    [ROW_##name] = {code, text},
#include "hostabi/opcodes.def"
};

struct smelt_schedule {
    char name[NAME_BYTES];
    uint32_t weights[ROW_COUNT];
    struct sm_schedule_dynamic dynamic;
    struct sm_schedule_host *hosts;
    uint32_t host_count;
    struct smelt_slice profile_name; /* of the profile, which is static data */
    struct smelt_buf text;
};

/* ---- the list of known keys ------------------------------------------------------------------ */

enum key_kind { KEY_WEIGHT, KEY_FIGURE, KEY_UNIT, KEY_NAME, KEY_PROFILE };

struct known_key {
    char path[KEY_BYTES];
    enum key_kind kind;
    void *target; /* uint32_t for weights, uint64_t for figures and units */
    uint64_t least;
    bool is_seen;
};

struct reader {
    struct smelt_schedule *schedule;
    const struct smelt_profile *profile;
    struct smelt_slice text;
    size_t at;   /* byte offset of the next character */
    size_t line; /* from 1 */
    struct known_key *keys;
    size_t key_count;
    char table[KEY_BYTES]; /* current table with a trailing dot, or "" */
    struct smelt_error *err;
};

static enum smelt_status fail(const struct reader *reader, const char *what, const char *detail)
{
    return sm_error_set_at(reader->err, SMELT_STATUS_SCHEDULE_INVALID, WHERE, -1,
                           (int64_t)reader->at, "line %zu: %s%s%s", reader->line, what,
                           detail[0] != '\0' ? ": " : "", detail);
}

/* Loops and recursion cost something, so that fuel bounds every execution. */
static uint64_t least_weight(size_t row)
{
    static const enum row bounded[] = {ROW_BR, ROW_BR_IF, ROW_BR_TABLE, ROW_CALL,
                                       ROW_CALL_INDIRECT};
    for (size_t i = 0; i < sizeof(bounded) / sizeof(bounded[0]); i++) {
        if (bounded[i] == row) {
            return 1;
        }
    }
    return 0;
}

static void add_key(struct reader *reader, enum key_kind kind, void *target, uint64_t least,
                    const char *format, ...) SMELT_PRINTF(5, 6);
static void add_key(struct reader *reader, enum key_kind kind, void *target, uint64_t least,
                    const char *format, ...)
{
    struct known_key *key = &reader->keys[reader->key_count++];
    *key = (struct known_key){.kind = kind, .target = target, .least = least};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(key->path, sizeof(key->path), format, args);
    va_end(args);
}

static void list_keys(struct reader *reader)
{
    struct smelt_schedule *schedule = reader->schedule;
    struct sm_schedule_dynamic *dynamic = &schedule->dynamic;
    add_key(reader, KEY_NAME, NULL, 0, "name");
    add_key(reader, KEY_PROFILE, NULL, 0, "profile");
    for (size_t row = 0; row < ROW_COUNT; row++) {
        add_key(reader, KEY_WEIGHT, &schedule->weights[row], least_weight(row), "instructions.%s",
                instructions[row].text);
    }
    add_key(reader, KEY_FIGURE, &dynamic->memory_grow_page, 0, "memory.grow_page");
    add_key(reader, KEY_FIGURE, &dynamic->bulk_memory.per_unit, 0, "memory.bulk_per_unit");
    add_key(reader, KEY_UNIT, &dynamic->bulk_memory.unit_bytes, 0, "memory.bulk_unit_bytes");
    add_key(reader, KEY_FIGURE, &dynamic->bulk_table.per_unit, 0, "table.bulk_per_unit");
    add_key(reader, KEY_UNIT, &dynamic->bulk_table.unit_bytes, 0, "table.bulk_unit_elements");
    for (uint32_t i = 0; i < schedule->host_count; i++) {
        const struct smelt_host_function *row = &reader->profile->functions[i];
        struct sm_schedule_host *host = &schedule->hosts[i];
        add_key(reader, KEY_FIGURE, &host->base, 0, "host.%s.%s.base", row->module, row->name);
        add_key(reader, KEY_FIGURE, &host->rate.per_unit, 0, "host.%s.%s.per_unit", row->module,
                row->name);
        add_key(reader, KEY_UNIT, &host->rate.unit_bytes, 0, "host.%s.%s.unit_bytes", row->module,
                row->name);
        add_key(reader, KEY_FIGURE, &host->extra, 0, "host.%s.%s.extra", row->module, row->name);
    }
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

/* A dotted bare key, appended to `prefix`. */
static enum smelt_status read_key(struct reader *reader, const char *prefix, char out[KEY_BYTES])
{
    skip_blanks(reader);
    size_t used = strlen(prefix);
    size_t start = used;
    memcpy(out, prefix, used);
    while (is_key_character(peek(reader)) && used < KEY_BYTES - 2) {
        out[used++] = (char)peek(reader);
        reader->at++;
    }
    out[used] = '\0';
    if (used == start || out[start] == '.' || out[used - 1] == '.' ||
        strstr(out + start, "..") != NULL) {
        return fail(reader, "expected a key", "");
    }
    return is_key_character(peek(reader)) ? fail(reader, "key is too long", "") : SMELT_STATUS_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* NULL: there is no such key. */
static struct known_key *find_key(const struct reader *reader, const char *path)
{
    for (size_t i = 0; i < reader->key_count; i++) {
        if (strcmp(reader->keys[i].path, path) == 0) {
            return &reader->keys[i];
        }
    }
    return NULL;
}

static enum smelt_status read_integer(struct reader *reader, const struct known_key *key)
{
    uint64_t value = 0;
    size_t start = reader->at;
    while (peek(reader) >= '0' && peek(reader) <= '9') {
        value = value * 10 + (uint64_t)(peek(reader) - '0');
        reader->at++;
        if (value > SM_SCHEDULE_WEIGHT_MAX) {
            return fail(reader, "value is larger than 1000000", key->path);
        }
    }
    if (reader->at == start) {
        return fail(reader, "expected an unsigned integer", key->path);
    }
    if (reader->text.data[start] == '0' && reader->at != start + 1) {
        return fail(reader, "integer has leading zeroes", key->path);
    }
    if (value < key->least) {
        return fail(reader, "branches and calls must cost at least 1", key->path);
    }
    if (key->kind == KEY_UNIT && (value == 0 || value > 65536 || (value & (value - 1)) != 0)) {
        return fail(reader, "unit must be a power of two up to 65536", key->path);
    }
    if (key->kind == KEY_WEIGHT) {
        *(uint32_t *)key->target = (uint32_t)value;
    } else {
        *(uint64_t *)key->target = value;
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status read_string(struct reader *reader, const struct known_key *key)
{
    if (!accept(reader, '"')) {
        return fail(reader, "expected a string", key->path);
    }
    char value[NAME_BYTES];
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
    if (key->kind == KEY_NAME) {
        memcpy(reader->schedule->name, value, used + 1);
    } else if (strcmp(value, reader->profile->name) != 0) {
        return fail(reader, "schedule is for another profile", value);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status read_pair(struct reader *reader, const char *prefix, bool may_nest)
{
    char path[KEY_BYTES];
    struct known_key *key = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(read_key(reader, prefix, path));
    if (!accept(reader, '=')) {
        return fail(reader, "expected '=' after", path);
    }
    if (may_nest && accept(reader, '{')) {
        char inner[KEY_BYTES];
        if (snprintf(inner, sizeof(inner), "%s.", path) >= (int)sizeof(inner)) {
            return fail(reader, "key is too long", "");
        }
        do {
            SMELT_TRY(read_pair(reader, inner, false));
        } while (accept(reader, ','));
        return accept(reader, '}') ? SMELT_STATUS_OK : fail(reader, "expected ',' or '}'", path);
    }
    key = find_key(reader, path);
    if (key == NULL) {
        return fail(reader, "unknown key", path);
    }
    if (key->is_seen) {
        return fail(reader, "key is given twice", path);
    }
    key->is_seen = true;
    skip_blanks(reader);
    status = key->kind == KEY_NAME || key->kind == KEY_PROFILE ? read_string(reader, key)
                                                               : read_integer(reader, key);
cleanup:
    return status;
}

static enum smelt_status read_table_header(struct reader *reader)
{
    enum smelt_status status = read_key(reader, "", reader->table);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!accept(reader, ']')) {
        return fail(reader, "expected ']'", "");
    }
    size_t used = strlen(reader->table);
    reader->table[used] = '.';
    reader->table[used + 1] = '\0';
    return SMELT_STATUS_OK;
}

static enum smelt_status read_line_end(struct reader *reader)
{
    skip_blanks(reader);
    if (peek(reader) == '#') {
        while (peek(reader) != '\n' && peek(reader) != -1) {
            reader->at++;
        }
    }
    if (peek(reader) == '\r') {
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

static enum smelt_status read_all(struct reader *reader)
{
    enum smelt_status status = SMELT_STATUS_OK;
    while (status == SMELT_STATUS_OK && peek(reader) != -1) {
        skip_blanks(reader);
        if (accept(reader, '[')) {
            status = read_table_header(reader);
        } else if (is_key_character(peek(reader))) {
            status = read_pair(reader, reader->table, true);
        }
        if (status == SMELT_STATUS_OK) {
            status = read_line_end(reader);
        }
    }
    for (size_t i = 0; status == SMELT_STATUS_OK && i < reader->key_count; i++) {
        if (!reader->keys[i].is_seen) {
            status = fail(reader, "missing key", reader->keys[i].path);
        }
    }
    return status;
}

enum smelt_status smelt_schedule_parse(struct smelt_slice text, const struct smelt_profile *profile,
                                       struct smelt_schedule **out, struct smelt_error *err)
{
    *out = NULL;
    if (text.size > TEXT_BYTES_MAX) {
        return sm_error_set(err, SMELT_STATUS_SCHEDULE_INVALID, WHERE,
                            "schedule has %zu bytes, more than the limit of %u", text.size,
                            TEXT_BYTES_MAX);
    }
    enum smelt_status status = SMELT_STATUS_OK;
    struct reader reader = {.text = text, .line = 1, .profile = profile, .err = err};
    size_t key_max = 7 + ROW_COUNT + 4 * (size_t)profile->function_count;
    struct smelt_schedule *schedule = (struct smelt_schedule *)sm_calloc(1, sizeof(*schedule));
    reader.keys = (struct known_key *)sm_calloc(key_max, sizeof(*reader.keys));
    if (schedule != NULL) {
        schedule->hosts =
            (struct sm_schedule_host *)sm_calloc(profile->function_count, sizeof(*schedule->hosts));
    }
    if (schedule == NULL || reader.keys == NULL || schedule->hosts == NULL ||
        !sm_buf_append(&schedule->text, text.data, text.size)) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    schedule->host_count = profile->function_count;
    schedule->profile_name = smelt_slice_from_string(profile->name);
    reader.schedule = schedule;
    list_keys(&reader);
    SMELT_TRY(read_all(&reader));
    *out = schedule;
    schedule = NULL;
cleanup:
    sm_free(reader.keys);
    smelt_schedule_destroy(schedule);
    return status;
}

void smelt_schedule_destroy(struct smelt_schedule *schedule)
{
    if (schedule != NULL) {
        sm_free(schedule->hosts);
        smelt_buf_deinit(&schedule->text);
        sm_free(schedule);
    }
}

/* ---- built in -------------------------------------------------------------------------------- */

extern const unsigned char sm_embedded_engine_v1_toml[];
extern const size_t sm_embedded_engine_v1_toml_size;
extern const unsigned char sm_embedded_unit_toml[];
extern const size_t sm_embedded_unit_toml_size;

enum smelt_status smelt_schedule_builtin(const char *name, const struct smelt_profile *profile,
                                         struct smelt_schedule **out, struct smelt_error *err)
{
    const struct {
        const char *name;
        struct smelt_slice text;
    } builtins[] = {
        {"engine-v1", {sm_embedded_engine_v1_toml, sm_embedded_engine_v1_toml_size}},
        {"unit", {sm_embedded_unit_toml, sm_embedded_unit_toml_size}},
    };
    *out = NULL;
    for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++) {
        if (strcmp(builtins[i].name, name) == 0) {
            return smelt_schedule_parse(builtins[i].text, profile, out, err);
        }
    }
    return sm_error_set(err, SMELT_STATUS_NOT_FOUND, WHERE,
                        "no built-in schedule is called %s; there are engine-v1 and unit", name);
}

/* ---- values ---------------------------------------------------------------------------------- */

const char *smelt_schedule_name(const struct smelt_schedule *schedule)
{
    return schedule->name;
}

struct smelt_slice smelt_schedule_text(const struct smelt_schedule *schedule)
{
    return sm_buf_slice(&schedule->text);
}

static void digest_rate(struct sm_digest *digest, struct sm_schedule_rate rate)
{
    sm_digest_u64(digest, rate.per_unit);
    sm_digest_u64(digest, rate.unit_bytes);
}

void smelt_schedule_digest(const struct smelt_schedule *schedule, struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_digest_init(&digest, "smelt.schedule.v1");
    sm_digest_slice(&digest, schedule->profile_name);
    sm_digest_u32(&digest, ROW_COUNT);
    for (size_t row = 0; row < ROW_COUNT; row++) {
        sm_digest_u32(&digest, instructions[row].code);
        sm_digest_u32(&digest, schedule->weights[row]);
    }
    sm_digest_u64(&digest, schedule->dynamic.memory_grow_page);
    digest_rate(&digest, schedule->dynamic.bulk_memory);
    digest_rate(&digest, schedule->dynamic.bulk_table);
    sm_digest_u32(&digest, schedule->host_count);
    for (uint32_t i = 0; i < schedule->host_count; i++) {
        sm_digest_u64(&digest, schedule->hosts[i].base);
        digest_rate(&digest, schedule->hosts[i].rate);
        sm_digest_u64(&digest, schedule->hosts[i].extra);
    }
    sm_digest_final(&digest, out);
}

const uint32_t *sm_schedule_weights(const struct smelt_schedule *schedule, size_t *count)
{
    *count = ROW_COUNT;
    return schedule->weights;
}

const struct sm_schedule_dynamic *sm_schedule_dynamic(const struct smelt_schedule *schedule)
{
    return &schedule->dynamic;
}

const struct sm_schedule_host *sm_schedule_hosts(const struct smelt_schedule *schedule,
                                                 uint32_t *count)
{
    *count = schedule->host_count;
    return schedule->hosts;
}

uint64_t sm_schedule_charge(struct sm_schedule_rate rate, uint64_t size)
{
    const uint64_t ceiling = UINT64_MAX / 2;
    uint64_t units = size / rate.unit_bytes + (size % rate.unit_bytes != 0);
    uint64_t charge;
    return __builtin_mul_overflow(units, rate.per_unit, &charge) || charge > ceiling ? ceiling
                                                                                     : charge;
}
