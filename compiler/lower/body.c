/* Function bodies: a tokenizer for the C that wasm2c 1.0.32 writes, and a translation of each
 * statement form.
 *
 * Names: w2c_p0 (parameter), w2c_l1 (local), w2c_i0 w2c_j0 w2c_f0 w2c_d0 (value stack by type and
 * height, with a suffix _0 where a global name is in the way), w2c_B0 w2c_L1 w2c_I2 w2c_Bfunc
 * (labels) lose their prefix; f becomes q, because f32 and f64 are types. Functions w2c_f<index>
 * and w2c_x<export> become func_<original index>. S0, S1 … are labels of our own (put_seam). */
#include "compiler/lower/writer.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WHERE      "lower"
#define NAME_BYTES 32
#define INDENT_MAX 24

/* Statements between two labels, at most. */
#define STRAIGHT_MAX 64u

enum token_kind { TOKEN_END, TOKEN_NAME, TOKEN_NUMBER, TOKEN_MARK };

struct token {
    enum token_kind kind;
    const char *text;
    size_t size;
};

struct lowering {
    const struct sm_lower_input *input;
    const struct sm_wasm_module *module;
    struct sm_lower_writer *writer;
    struct smelt_error *err;
    const char *at; /* of wasm2c's text */
    const char *end;
    struct token *tokens; /* of the current statement */
    size_t count;
    size_t capacity;
    /* the current function: */
    uint32_t func_index; /* in the original module */
    uint32_t next_site;
    uint32_t next_marker;
    uint32_t straight; /* statements since the last label, branch or brace */
    uint32_t next_seam;
    int indent;
    bool has_entered; /* FUNC_PROLOGUE and */
    bool has_left;    /* FUNC_EPILOGUE were there: they take the fuel over and hand it back */
    bool has_returned;
    /* a constant assignment that a marker may be about to consume */
    bool has_constant;
    char constant_var[NAME_BYTES];
    char constant[NAME_BYTES];
};

static enum smelt_status unexpected(const struct lowering *low, const char *what)
{
    char text[120];
    size_t used = 0;
    for (size_t i = 0; i < low->count && used + 2 < sizeof(text); i++) {
        int put = snprintf(text + used, sizeof(text) - used, "%.*s ", (int)low->tokens[i].size,
                           low->tokens[i].text);
        used += put > 0 ? (size_t)put : 0;
    }
    text[used < sizeof(text) ? used : sizeof(text) - 1] = '\0';
    return sm_error_set_at(low->err, SMELT_STATUS_TOOL_OUTPUT, WHERE, low->func_index, -1,
                           "wasm2c wrote something unexpected (%s): %s", what, text);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static bool is_name_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex_digit(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static bool skip_text(struct lowering *low, const char *text)
{
    size_t size = strlen(text);
    if ((size_t)(low->end - low->at) < size || memcmp(low->at, text, size) != 0) {
        return false;
    }
    low->at += size;
    return true;
}

/* The one comment wasm2c writes inside a body: a NaN constant, as in -nan:0x400000. */
static bool skip_nan_comment(struct lowering *low)
{
    if (!skip_text(low, "/* nan:0x") && !skip_text(low, "/* -nan:0x")) {
        return false;
    }
    while (low->at < low->end && is_hex_digit(*low->at)) {
        low->at++;
    }
    return skip_text(low, " */");
}

static size_t count_digits(const char *text, size_t size)
{
    size_t count = 0;
    while (count < size && is_digit(text[count])) {
        count++;
    }
    return count;
}

static bool is_suffix(const char *text, size_t size, const char *const *suffixes)
{
    for (; *suffixes != NULL; suffixes++) {
        if (strlen(*suffixes) == size && memcmp(text, *suffixes, size) == 0) {
            return true;
        }
    }
    return false;
}

/* A constant as wasm2c writes them: a decimal integer, the bits of a NaN in hexadecimal, or what
 * printf makes of a float with %g. Octal would be another value. */
static bool is_number(const char *text, size_t size)
{
    static const char *const of_integer[] = {"", "u", "ull", NULL};
    static const char *const of_float[] = {"", "f", NULL};
    bool is_float = false;
    size_t at = 0;
    if (size > 2 && text[0] == '0' && text[1] == 'x') {
        for (at = 2; at < size && is_hex_digit(text[at]); at++) {
        }
        return at == size;
    }
    at = count_digits(text, size);
    if (at > 1 && text[0] == '0') {
        return false;
    }
    if (at < size && text[at] == '.') {
        is_float = true;
        at++;
        at += count_digits(text + at, size - at);
    }
    if (at < size && text[at] == 'e') {
        is_float = true;
        at++;
        at += at < size && (text[at] == '+' || text[at] == '-');
        size_t digits = count_digits(text + at, size - at);
        if (digits == 0) {
            return false;
        }
        at += digits;
    }
    return is_suffix(text + at, size - at, is_float ? of_float : of_integer);
}

static enum smelt_status read_token(struct lowering *low, struct token *out)
{
    static const char *const marks[] = {"<<=", ">>=", "->", "==", "!=", "<=", ">=", "<<",
                                        ">>",  "+=",  "-=", "*=", "/=", "&=", "|=", "^="};
    for (;;) {
        while (low->at < low->end && (*low->at == ' ' || *low->at == '\n')) {
            low->at++;
        }
        if (low->end - low->at < 2 || low->at[0] != '/' || low->at[1] != '*') {
            break;
        }
        if (!skip_nan_comment(low)) {
            return unexpected(low, "comment");
        }
    }
    *out = (struct token){.kind = TOKEN_END, .text = low->at};
    if (low->at == low->end) {
        return SMELT_STATUS_OK;
    }
    const char *at = low->at;
    if (is_name_start(*at)) {
        out->kind = TOKEN_NAME;
        while (at < low->end && (is_name_start(*at) || is_digit(*at))) {
            at++;
        }
    } else if (is_digit(*at)) {
        out->kind = TOKEN_NUMBER;
        while (at < low->end && (is_name_start(*at) || is_digit(*at) || *at == '.' ||
                                 ((*at == '+' || *at == '-') && at[-1] == 'e'))) {
            at++;
        }
        if (!is_number(low->at, (size_t)(at - low->at))) {
            return unexpected(low, "number");
        }
    } else {
        out->kind = TOKEN_MARK;
        size_t size = 1;
        for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
            size_t length = strlen(marks[i]);
            if ((size_t)(low->end - at) >= length && memcmp(at, marks[i], length) == 0) {
                size = length;
                break;
            }
        }
        at += size;
    }
    out->size = (size_t)(at - low->at);
    low->at = at;
    return SMELT_STATUS_OK;
}

static bool is_text(const struct token *token, const char *text)
{
    return token->kind != TOKEN_END && strlen(text) == token->size &&
           memcmp(token->text, text, token->size) == 0;
}

static bool has(const struct lowering *low, size_t index, const char *text)
{
    return index < low->count && is_text(&low->tokens[index], text);
}

/* Tokens from `index` on are these words (separated by spaces in `words`). */
static bool has_words(const struct lowering *low, size_t index, const char *words)
{
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        if (index >= low->count || low->tokens[index].size != length ||
            memcmp(low->tokens[index].text, words, length) != 0) {
            return false;
        }
        index++;
        words += length;
        words += *words == ' ';
    }
    return true;
}

/* A statement ends at `;`, at a brace, or at the colon of a label, case or default. */
static enum smelt_status read_statement(struct lowering *low)
{
    low->count = 0;
    for (;;) {
        if (low->count == low->capacity) {
            size_t capacity = low->capacity == 0 ? 64 : 2 * low->capacity;
            struct token *tokens =
                (struct token *)sm_realloc_array(low->tokens, capacity, sizeof(*low->tokens));
            if (tokens == NULL) {
                return sm_error_no_memory(low->err, WHERE);
            }
            low->tokens = tokens;
            low->capacity = capacity;
        }
        struct token *token = &low->tokens[low->count];
        enum smelt_status status = read_token(low, token);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        if (token->kind == TOKEN_END) {
            return unexpected(low, "end of the text");
        }
        low->count++;
        bool is_labelled = low->count == 2 || (low->count == 3 && has(low, 0, "case"));
        if (is_text(token, ";") || is_text(token, "{") || is_text(token, "}") ||
            (is_text(token, ":") && is_labelled)) {
            return SMELT_STATUS_OK;
        }
    }
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_number_tail(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size && is_digit(text[at])) {
        at++;
    }
    if (at == 0) {
        return false;
    }
    if (at < size && text[at] == '_') {
        size_t start = ++at;
        while (at < size && is_digit(text[at])) {
            at++;
        }
        return at == size && at > start;
    }
    return at == size;
}

static bool is_prefixed(const struct token *token, const char *prefix)
{
    size_t length = strlen(prefix);
    return token->kind == TOKEN_NAME && token->size > length &&
           memcmp(token->text, prefix, length) == 0;
}

/* A variable of a body: its new name in `out`, false when the token is none. */
static bool map_variable(const struct token *token, char out[NAME_BYTES])
{
    if (!is_prefixed(token, "w2c_") || token->size >= NAME_BYTES ||
        strchr("pl"
               "ijfd",
               token->text[4]) == NULL ||
        !is_number_tail(token->text + 5, token->size - 5)) {
        return false;
    }
    (void)snprintf(out, NAME_BYTES, "%.*s", (int)token->size - 4, token->text + 4);
    if (out[0] == 'f') {
        out[0] = 'q';
    }
    return true;
}

static bool map_label(const struct token *token, char out[NAME_BYTES])
{
    if (!is_prefixed(token, "w2c_") || token->size >= NAME_BYTES) {
        return false;
    }
    const char *name = token->text + 4;
    size_t size = token->size - 4;
    bool is_function_end = size >= 5 && memcmp(name, "Bfunc", 5) == 0 &&
                           (size == 5 || (name[5] == '_' && is_number_tail(name + 6, size - 6)));
    if (!is_function_end &&
        (strchr("BLI", name[0]) == NULL || !is_number_tail(name + 1, size - 1))) {
        return false;
    }
    (void)snprintf(out, NAME_BYTES, "%.*s", (int)size, name);
    return true;
}

/* Decimal number behind `prefix`; false when the token is anything else or too large. */
static bool read_index(const struct token *token, const char *prefix, uint32_t *out)
{
    if (!is_prefixed(token, prefix)) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = strlen(prefix); i < token->size; i++) {
        if (!is_digit(token->text[i]) || value > UINT32_MAX) {
            return false;
        }
        value = value * 10 + (uint64_t)(token->text[i] - '0');
    }
    *out = (uint32_t)value;
    return value <= UINT32_MAX;
}

/* A function of the module: its original index. wasm2c names it after its first export. */
static bool map_function(const struct lowering *low, const struct token *token, uint32_t *out)
{
    const struct sm_wasm_module *module = low->module;
    uint32_t number;
    if (read_index(token, "w2c_x", &number)) {
        if (number >= module->export_count ||
            module->exports[number].kind != SM_WASM_EXTERNAL_FUNC) {
            return false;
        }
        *out = module->exports[number].index;
        return true;
    }
    if (!read_index(token, "w2c_f", &number) ||
        number < module->imported_func_count + SM_MARKER_COUNT) {
        return false;
    }
    *out = number - SM_MARKER_COUNT;
    return *out < module->func_count;
}

/* ---- sites ----------------------------------------------------------------------------------- */

/* wasm2c writes nothing for dropping a segment that has nothing left to drop. */
static bool is_silent(const struct lowering *low, const struct sm_site *site)
{
    if (site->op == SM_OP_DATA_DROP) {
        const struct sm_wasm_data *data = &low->module->datas[site->index];
        return data->mode != SM_WASM_SEGMENT_PASSIVE || data->bytes.size == 0;
    }
    if (site->op == SM_OP_ELEM_DROP) {
        const struct sm_wasm_elem *elem = &low->module->elems[site->index];
        return elem->mode != SM_WASM_SEGMENT_PASSIVE || elem->item_count == 0;
    }
    return false;
}

static void skip_silent_sites(struct lowering *low)
{
    const struct sm_instrumented_func *func = &low->input->instrumented->funcs[low->func_index];
    while (low->next_site < func->site_count && is_silent(low, &func->sites[low->next_site])) {
        low->next_site++;
    }
}

static enum smelt_status take_site(struct lowering *low, enum sm_wasm_op op, enum sm_wasm_op other,
                                   const struct sm_site **out)
{
    const struct sm_instrumented_func *func = &low->input->instrumented->funcs[low->func_index];
    skip_silent_sites(low);
    if (low->next_site >= func->site_count ||
        (func->sites[low->next_site].op != op && func->sites[low->next_site].op != other)) {
        (void)unexpected(low, sm_wasm_ops[op].text);
        return SMELT_STATUS_TOOL_OUTPUT;
    }
    *out = &func->sites[low->next_site++];
    return SMELT_STATUS_OK;
}

/* The same for an instruction that names `index`. */
static enum smelt_status take_indexed_site(struct lowering *low, enum sm_wasm_op op, uint32_t index,
                                           const struct sm_site **out)
{
    enum smelt_status status = take_site(low, op, op, out);
    if (status == SMELT_STATUS_OK && (*out)->index != index) {
        status = unexpected(low, sm_wasm_ops[op].text);
    }
    return status;
}

/* Names that may occur in an expression. Those with an operation trap and get their location as
 * last argument. */
static const struct expression_name {
    const char *text;
    enum sm_wasm_op op; /* SM_OP_COUNT: does not trap */
    enum sm_wasm_op other;
} expression_names[] = {
#define PLAIN(name)     {#name, SM_OP_COUNT, SM_OP_COUNT}
#define ONE(name, op)   {#name, SM_OP_##op, SM_OP_##op}
#define TWO(name, a, b) {#name, SM_OP_##a, SM_OP_##b}
    PLAIN(u8),
    PLAIN(s8),
    PLAIN(u16),
    PLAIN(s16),
    PLAIN(u32),
    PLAIN(s32),
    PLAIN(u64),
    PLAIN(s64),
    PLAIN(f32),
    PLAIN(f64),
    PLAIN(INFINITY),
    PLAIN(FMIN),
    PLAIN(FMAX),
    PLAIN(copysign),
    PLAIN(copysignf),
    PLAIN(I32_CLZ),
    PLAIN(I64_CLZ),
    PLAIN(I32_CTZ),
    PLAIN(I64_CTZ),
    PLAIN(I32_POPCNT),
    PLAIN(I64_POPCNT),
    PLAIN(I32_ROTL),
    PLAIN(I64_ROTL),
    PLAIN(I32_ROTR),
    PLAIN(I64_ROTR),
    PLAIN(f32_reinterpret_i32),
    PLAIN(i32_reinterpret_f32),
    PLAIN(f64_reinterpret_i64),
    PLAIN(i64_reinterpret_f64),
    PLAIN(wasm_quiet),
    PLAIN(wasm_quietf),
    PLAIN(wasm_fabs),
    PLAIN(wasm_fabsf),
    PLAIN(wasm_sqrt),
    PLAIN(wasm_sqrtf),
    PLAIN(wasm_ceil),
    PLAIN(wasm_ceilf),
    PLAIN(wasm_floor),
    PLAIN(wasm_floorf),
    PLAIN(wasm_trunc),
    PLAIN(wasm_truncf),
    PLAIN(wasm_nearbyint),
    PLAIN(wasm_nearbyintf),
    PLAIN(I32_TRUNC_SAT_S_F32),
    PLAIN(I32_TRUNC_SAT_U_F32),
    PLAIN(I32_TRUNC_SAT_S_F64),
    PLAIN(I32_TRUNC_SAT_U_F64),
    PLAIN(I64_TRUNC_SAT_S_F32),
    PLAIN(I64_TRUNC_SAT_U_F32),
    PLAIN(I64_TRUNC_SAT_S_F64),
    PLAIN(I64_TRUNC_SAT_U_F64),
    ONE(i32_load, I32_LOAD),
    ONE(i64_load, I64_LOAD),
    ONE(f32_load, F32_LOAD),
    ONE(f64_load, F64_LOAD),
    ONE(i32_load8_s, I32_LOAD8_S),
    ONE(i32_load8_u, I32_LOAD8_U),
    ONE(i32_load16_s, I32_LOAD16_S),
    ONE(i32_load16_u, I32_LOAD16_U),
    ONE(i64_load8_s, I64_LOAD8_S),
    ONE(i64_load8_u, I64_LOAD8_U),
    ONE(i64_load16_s, I64_LOAD16_S),
    ONE(i64_load16_u, I64_LOAD16_U),
    ONE(i64_load32_s, I64_LOAD32_S),
    ONE(i64_load32_u, I64_LOAD32_U),
    ONE(i32_store, I32_STORE),
    ONE(i64_store, I64_STORE),
    ONE(f32_store, F32_STORE),
    ONE(f64_store, F64_STORE),
    ONE(i32_store8, I32_STORE8),
    ONE(i32_store16, I32_STORE16),
    ONE(i64_store8, I64_STORE8),
    ONE(i64_store16, I64_STORE16),
    ONE(i64_store32, I64_STORE32),
    ONE(I32_DIV_S, I32_DIV_S),
    ONE(I64_DIV_S, I64_DIV_S),
    ONE(I32_REM_S, I32_REM_S),
    ONE(I64_REM_S, I64_REM_S),
    TWO(DIV_U, I32_DIV_U, I64_DIV_U),
    TWO(REM_U, I32_REM_U, I64_REM_U),
    ONE(I32_TRUNC_S_F32, I32_TRUNC_F32_S),
    ONE(I32_TRUNC_U_F32, I32_TRUNC_F32_U),
    ONE(I32_TRUNC_S_F64, I32_TRUNC_F64_S),
    ONE(I32_TRUNC_U_F64, I32_TRUNC_F64_U),
    ONE(I64_TRUNC_S_F32, I64_TRUNC_F32_S),
    ONE(I64_TRUNC_U_F32, I64_TRUNC_F32_U),
    ONE(I64_TRUNC_S_F64, I64_TRUNC_F64_S),
    ONE(I64_TRUNC_U_F64, I64_TRUNC_F64_U),
#undef PLAIN
#undef ONE
#undef TWO
};

static const struct expression_name *find_name(const struct token *token)
{
    for (size_t i = 0; i < sizeof(expression_names) / sizeof(expression_names[0]); i++) {
        if (is_text(token, expression_names[i].text)) {
            return &expression_names[i];
        }
    }
    return NULL;
}

/* ---- output ---------------------------------------------------------------------------------- */

#define MEMORY_ARGUMENT       "& instance -> w2c_memory ,"
#define MEMORY_ARGUMENT_COUNT 5u

/* Deeper levels start in the same column: nesting must not make the text quadratic. */
static void start_line(struct lowering *low)
{
    int level = low->indent < INDENT_MAX ? low->indent : INDENT_MAX;
    sm_lower_put(low->writer, "%*s", 4 * level, "");
}

/* A constant that no marker took. */
static void flush_constant(struct lowering *low)
{
    if (low->has_constant) {
        start_line(low);
        sm_lower_put(low->writer, "%s = %s;\n", low->constant_var, low->constant);
        low->has_constant = false;
    }
}

static bool is_type_name(const struct token *token)
{
    static const char *const types[] = {"u8",  "s8",  "u16", "s16", "u32",
                                        "s32", "u64", "s64", "f32", "f64"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (is_text(token, types[i])) {
            return true;
        }
    }
    return false;
}

/* A value ends before token `index` of the expression that starts at `first`. */
static bool is_behind_value(const struct lowering *low, size_t first, size_t index)
{
    if (index == first) {
        return false;
    }
    const struct token *token = &low->tokens[index - 1];
    char name[NAME_BYTES];
    if (token->kind == TOKEN_MARK) {
        bool is_cast =
            index - first >= 3 && is_type_name(&low->tokens[index - 2]) && has(low, index - 3, "(");
        return is_text(token, ")") && !is_cast;
    }
    return token->kind == TOKEN_NUMBER || is_text(token, "INFINITY") || map_variable(token, name);
}

/* What would make a pointer, follow one or call through one is not an expression of wasm2c's: `*`
 * and `&` stand between two values, nothing that opens a value stands behind one, types are casts.
 */
static bool is_in_place(const struct lowering *low, size_t first, size_t index, size_t last)
{
    const struct token *token = &low->tokens[index];
    bool is_behind = is_behind_value(low, first, index);
    if (is_text(token, "*") || is_text(token, "&")) {
        return is_behind && index + 1 < last && !has(low, index + 1, ")") &&
               !has(low, index + 1, ",");
    }
    if (is_type_name(token)) {
        return index > first && has(low, index - 1, "(") && has(low, index + 1, ")");
    }
    if (is_behind) {
        return token->kind == TOKEN_MARK && !is_text(token, "(");
    }
    return find_name(token) == NULL || is_text(token, "INFINITY") ||
           (index + 1 < last && has(low, index + 1, "("));
}

/* Tokens [first, last) of an expression; at most one of them traps, and then it is a call that ends
 * at last. */
static enum smelt_status put_expression(struct lowering *low, size_t first, size_t last)
{
    static const char *const allowed[] = {"(",  ")",  ",",  "+", "-",  "*", "/",
                                          "&",  "|",  "^",  "!", "?",  ":", "<<",
                                          ">>", "==", "!=", "<", "<=", ">", ">="};
    const struct sm_site *site = NULL;
    char name[NAME_BYTES];
    for (size_t i = first; i < last; i++) {
        const struct token *token = &low->tokens[i];
        if (has_words(low, i, MEMORY_ARGUMENT)) {
            i += MEMORY_ARGUMENT_COUNT - 1;
            continue;
        }
        if (!is_in_place(low, first, i, last)) {
            return unexpected(low, "expression");
        }
        if (token->kind == TOKEN_MARK) {
            bool is_allowed = false;
            for (size_t k = 0; k < sizeof(allowed) / sizeof(allowed[0]); k++) {
                is_allowed |= is_text(token, allowed[k]);
            }
            if (!is_allowed) {
                return unexpected(low, "operator");
            }
            if (site != NULL && i + 1 == last) {
                sm_lower_put(low->writer, ", 0x%x)", site->offset);
                continue;
            }
            bool is_binary =
                i > first &&
                (low->tokens[i - 1].kind != TOKEN_MARK || is_text(&low->tokens[i - 1], ")")) &&
                !is_text(token, "(") && !is_text(token, ")") && !is_text(token, ",");
            sm_lower_put(low->writer, is_binary ? " %.*s " : "%.*s", (int)token->size, token->text);
            if (is_text(token, ",")) {
                sm_lower_put(low->writer, " ");
            }
        } else if (token->kind == TOKEN_NUMBER) {
            sm_lower_put(low->writer, "%.*s", (int)token->size, token->text);
        } else if (map_variable(token, name)) {
            sm_lower_put(low->writer, "%s", name);
        } else {
            const struct expression_name *known = find_name(token);
            if (known == NULL) {
                return unexpected(low, "name");
            }
            if (known->op != SM_OP_COUNT) {
                if (site != NULL || i != first || !has(low, last - 1, ")")) {
                    return unexpected(low, "form of a trapping operation");
                }
                enum smelt_status status = take_site(low, known->op, known->other, &site);
                if (status != SMELT_STATUS_OK) {
                    return status;
                }
            }
            sm_lower_put(low->writer, "%s", known->text);
        }
    }
    return SMELT_STATUS_OK;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* ", a, b" for the variables of a call's arguments up to the final `)` and `;`. */
static enum smelt_status put_arguments(struct lowering *low, size_t index)
{
    char name[NAME_BYTES];
    while (has(low, index, ",")) {
        if (index + 1 >= low->count || !map_variable(&low->tokens[index + 1], name)) {
            return unexpected(low, "argument");
        }
        sm_lower_put(low->writer, ", %s", name);
        index += 2;
    }
    return has_words(low, index, ") ;") && index + 2 == low->count
               ? SMELT_STATUS_OK
               : unexpected(low, "end of a call");
}

/* What stands before the call: nothing, `VAR =`, or `struct wasm_multi_ij tmp =`. */
static enum smelt_status put_call_target(struct lowering *low)
{
    char name[NAME_BYTES];
    if (has(low, 0, "struct")) {
        static const char prefix[] = "wasm_multi_";
        const struct token *type = &low->tokens[1];
        size_t skipped = sizeof(prefix) - 1;
        if (low->count < 6 || !is_prefixed(type, prefix) || !has_words(low, 2, "tmp =") ||
            strspn(type->text + skipped, "ijfd") < type->size - skipped) {
            return unexpected(low, "several results");
        }
        sm_lower_put(low->writer, "struct multi_%.*s tmp = ", (int)(type->size - skipped),
                     type->text + skipped);
    } else if (has(low, 1, "=")) {
        if (!map_variable(&low->tokens[0], name)) {
            return unexpected(low, "result");
        }
        sm_lower_put(low->writer, "%s = ", name);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status lower_direct_call(struct lowering *low, size_t at, uint32_t callee)
{
    const struct sm_site *site = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(take_indexed_site(low, SM_OP_CALL, callee, &site));
    flush_constant(low);
    start_line(low);
    sm_lower_put(low->writer, "CALL_BEGIN; ");
    SMELT_TRY(put_call_target(low));
    if (!has_words(low, at + 1, "( instance")) {
        return unexpected(low, "call");
    }
    sm_lower_put(low->writer, "func_%u(m", callee);
    SMELT_TRY(put_arguments(low, at + 3));
    sm_lower_put(low->writer, "); CALL_END;\n");
cleanup:
    return status;
}

/* ( * Z_hZ_i0 ) ( instance -> Z_h_instance , … ) */
static enum smelt_status lower_import_call(struct lowering *low, size_t at)
{
    uint32_t import;
    const struct sm_site *site = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    if (at + 2 >= low->count || !read_index(&low->tokens[at + 2], "Z_hZ_i", &import) ||
        import >= low->module->imported_func_count ||
        !has_words(low, at + 3, ") ( instance -> Z_h_instance")) {
        return unexpected(low, "call of an import");
    }
    SMELT_TRY(take_indexed_site(low, SM_OP_CALL, import, &site));
    flush_constant(low);
    start_line(low);
    sm_lower_put(low->writer, "CALL_BEGIN; ");
    SMELT_TRY(put_call_target(low));
    sm_lower_put(low->writer, "import_%u(m, 0x%x", import, site->offset);
    SMELT_TRY(put_arguments(low, at + 8));
    sm_lower_put(low->writer, "); CALL_END;\n");
cleanup:
    return status;
}

/* CALL_INDIRECT(instance->w2c_T0, TYPE (*)(void*, …), N, VAR,
 * instance->w2c_T0.data[VAR].module_instance, …) */
static enum smelt_status lower_indirect_call(struct lowering *low, size_t at)
{
    static const char element[] = "instance -> w2c_T0 . data [";
    const struct sm_site *site = NULL;
    const struct sm_wasm_type *type = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    char index[NAME_BYTES];
    size_t comma = at;
    /* the second mention of the table; before it stand the type number and the element's index */
    while (comma < low->count && !has_words(low, comma + 1, element)) {
        comma++;
    }
    if (comma < at + 4 || comma + 7 >= low->count || !has(low, comma, ",") ||
        !map_variable(&low->tokens[comma - 1], index) ||
        !has_words(low, comma + 8, "] . module_instance")) {
        return unexpected(low, "indirect call");
    }
    SMELT_TRY(take_site(low, SM_OP_CALL_INDIRECT, SM_OP_CALL_INDIRECT, &site));
    type = &low->module->types[site->index];
    flush_constant(low);
    start_line(low);
    sm_lower_put(low->writer, "CALL_BEGIN; ");
    SMELT_TRY(put_call_target(low));
    sm_lower_put(low->writer, "INDIRECT(");
    sm_lower_put_result_type(low->writer, type);
    sm_lower_put(low->writer, " (*)(struct module *");
    for (uint32_t i = 0; i < type->param_count; i++) {
        sm_lower_put(low->writer, ", %s", sm_lower_type(type->params[i]));
    }
    sm_lower_put(low->writer, "), %u, %s, 0x%x)(m", type->canonical, index, site->offset);
    SMELT_TRY(put_arguments(low, comma + 11));
    sm_lower_put(low->writer, "); CALL_END;\n");
cleanup:
    return status;
}

/* ---- markers --------------------------------------------------------------------------------- */

/* True when the constant that waits is `amount`, written as 12u or 12ull. */
static bool is_waiting(const struct lowering *low, uint64_t amount)
{
    char text[NAME_BYTES];
    int size = snprintf(text, sizeof(text), "%" PRIu64 "u", amount);
    return low->has_constant && strncmp(low->constant, text, (size_t)size) == 0 &&
           (low->constant[size] == '\0' || strcmp(low->constant + size, "ll") == 0);
}

/* ( * Z_mZ_fuel ) ( instance -> Z_m_instance , VAR ) ; */
static enum smelt_status lower_marker(struct lowering *low)
{
    static const char *const names[] = {[SM_MARKER_FUEL] = "Z_mZ_fuel",
                                        [SM_MARKER_ENTER] = "Z_mZ_enter",
                                        [SM_MARKER_LEAVE] = "Z_mZ_leave"};
    const struct sm_instrumented_func *func = &low->input->instrumented->funcs[low->func_index];
    char name[NAME_BYTES];
    if (low->count != 12 || !has_words(low, 3, ") ( instance -> Z_m_instance ,") ||
        !map_variable(&low->tokens[9], name) || !has_words(low, 10, ") ;") ||
        low->next_marker >= func->marker_count) {
        return unexpected(low, "marker");
    }
    const struct sm_marker *marker = &func->markers[low->next_marker++];
    bool is_constant = low->has_constant && strcmp(low->constant_var, name) == 0;
    if (!has(low, 2, names[marker->kind]) || is_constant == marker->is_dynamic ||
        (is_constant && !is_waiting(low, marker->amount))) {
        return unexpected(low, "marker");
    }
    if (is_constant) {
        low->has_constant = false;
    }
    flush_constant(low);
    start_line(low);
    if (marker->is_dynamic) {
        sm_lower_put(low->writer, "FUEL_DYNAMIC(%s);\n", name);
    } else if (marker->kind == SM_MARKER_FUEL) {
        sm_lower_put(low->writer, "%s(%s);\n", marker->is_checked ? "FUEL_CHECKED" : "FUEL",
                     low->constant);
    } else if (marker->kind == SM_MARKER_ENTER) {
        sm_lower_put(low->writer, "STACK_ENTER(%s, 0x%x);\n", low->constant,
                     low->module->funcs[low->func_index].body_offset);
    } else {
        sm_lower_put(low->writer, "STACK_LEAVE(%s);\n", low->constant);
    }
    return SMELT_STATUS_OK;
}

/* ---- statements ------------------------------------------------------------------------------ */

/* Calls with three variables among their arguments, whose other arguments we write ourselves. */
static enum smelt_status lower_bulk(struct lowering *low, enum sm_wasm_op op)
{
    char names[3][NAME_BYTES];
    char name[NAME_BYTES];
    size_t found = 0;
    const struct sm_site *site = NULL;
    for (size_t i = 1; i < low->count; i++) {
        if (map_variable(&low->tokens[i], name)) {
            if (found == 3) {
                return unexpected(low, "bulk operation");
            }
            memcpy(names[found++], name, sizeof(name));
        }
    }
    if (found != 3 || !has_words(low, low->count - 2, ") ;")) {
        return unexpected(low, "bulk operation");
    }
    enum smelt_status status = take_site(low, op, op, &site);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    flush_constant(low);
    start_line(low);
    switch ((int)op) {
    case SM_OP_MEMORY_FILL:
        sm_lower_put(low->writer, "MEMORY_FILL(");
        break;
    case SM_OP_MEMORY_COPY:
        sm_lower_put(low->writer, "MEMORY_COPY(");
        break;
    case SM_OP_TABLE_COPY:
        sm_lower_put(low->writer, "TABLE_COPY(");
        break;
    case SM_OP_MEMORY_INIT:
        sm_lower_put(low->writer, "MEMORY_INIT(data_%u, m->state.data_dropped[%u] ? 0u : %zuu, ",
                     site->index, site->index, low->module->datas[site->index].bytes.size);
        break;
    default: {
        const struct sm_wasm_elem *elem = &low->module->elems[site->index];
        sm_lower_put(low->writer, "TABLE_INIT(elem_%u, m->state.elem_dropped[%u] ? 0u : %uu, ",
                     site->index, site->index,
                     elem->mode == SM_WASM_SEGMENT_DECLARED ? 0 : elem->item_count);
        break;
    }
    }
    sm_lower_put(low->writer, "%s, %s, %s, 0x%x);\n", names[0], names[1], names[2], site->offset);
    return SMELT_STATUS_OK;
}

/* instance -> w2c_g0 = VAR ;   instance -> data_segment_dropped_w2c_d1 = true ; */
static enum smelt_status lower_instance_store(struct lowering *low)
{
    uint32_t index;
    char name[NAME_BYTES];
    const struct sm_site *site = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    flush_constant(low);
    start_line(low);
    if (low->count != 6 || !has(low, 1, "->") || !has(low, 3, "=")) {
        return unexpected(low, "assignment to the instance");
    }
    if (read_index(&low->tokens[2], "w2c_g", &index) && map_variable(&low->tokens[4], name)) {
        SMELT_TRY(take_indexed_site(low, SM_OP_GLOBAL_SET, index, &site));
        enum smelt_valtype type = low->module->globals[index].type;
        const char *bits = type == SMELT_VALTYPE_F32   ? "i32_reinterpret_f32"
                           : type == SMELT_VALTYPE_F64 ? "i64_reinterpret_f64"
                                                       : "";
        sm_lower_put(low->writer, "m->state.g%u = %s(%s);\n", index, bits, name);
    } else if (read_index(&low->tokens[2], "data_segment_dropped_w2c_d", &index) &&
               has(low, 4, "true")) {
        SMELT_TRY(take_indexed_site(low, SM_OP_DATA_DROP, index, &site));
        sm_lower_put(low->writer, "m->state.data_dropped[%u] = 1;\n", index);
    } else if (read_index(&low->tokens[2], "elem_segment_dropped_w2c_e", &index) &&
               has(low, 4, "true")) {
        SMELT_TRY(take_indexed_site(low, SM_OP_ELEM_DROP, index, &site));
        sm_lower_put(low->writer, "m->state.elem_dropped[%u] = 1;\n", index);
    } else {
        status = unexpected(low, "assignment to the instance");
    }
cleanup:
    return status;
}

/* VAR = instance -> w2c_g0 ;   VAR = instance -> w2c_memory . pages ; */
static enum smelt_status lower_instance_load(struct lowering *low, const char *variable)
{
    uint32_t index;
    flush_constant(low);
    start_line(low);
    if (has_words(low, 3, "-> w2c_memory . pages ;") && low->count == 8) {
        sm_lower_put(low->writer, "%s = MEMORY_PAGES;\n", variable);
        return SMELT_STATUS_OK;
    }
    if (low->count != 6 || !has(low, 3, "->") || !read_index(&low->tokens[4], "w2c_g", &index) ||
        index >= low->module->global_count) {
        return unexpected(low, "read from the instance");
    }
    enum smelt_valtype type = low->module->globals[index].type;
    const char *value = type == SMELT_VALTYPE_F32   ? "f32_reinterpret_i32"
                        : type == SMELT_VALTYPE_F64 ? "f64_reinterpret_i64"
                                                    : "";
    sm_lower_put(low->writer, "%s = %s(m->state.g%u);\n", variable, value, index);
    return SMELT_STATUS_OK;
}

/* VAR = wasm_rt_grow_memory ( & instance -> w2c_memory , VAR ) ; */
static enum smelt_status lower_grow(struct lowering *low, const char *variable)
{
    char pages[NAME_BYTES];
    if (low->count != 12 || !has_words(low, 3, "( " MEMORY_ARGUMENT) ||
        !map_variable(&low->tokens[9], pages) || !has_words(low, 10, ") ;")) {
        return unexpected(low, "memory.grow");
    }
    const struct sm_site *site = NULL;
    enum smelt_status status = take_site(low, SM_OP_MEMORY_GROW, SM_OP_MEMORY_GROW, &site);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    flush_constant(low);
    start_line(low);
    sm_lower_put(low->writer, "MEMORY_GROW(%s, %s);\n", variable, pages);
    return SMELT_STATUS_OK;
}

static enum smelt_status lower_assignment(struct lowering *low, const char *variable)
{
    static const char *const operators[] = {
        "=", "+=", "-=", "*=", "/=", "&=", "|=", "^=", "<<=", ">>="};
    uint32_t callee;
    const struct token *value = &low->tokens[2];
    if (low->count < 4) {
        return unexpected(low, "assignment");
    }
    if (has(low, 1, "=")) {
        if (is_text(value, "instance")) {
            return lower_instance_load(low, variable);
        }
        if (is_text(value, "CALL_INDIRECT")) {
            return lower_indirect_call(low, 2);
        }
        if (is_text(value, "wasm_rt_grow_memory")) {
            return lower_grow(low, variable);
        }
        if (has_words(low, 2, "( *")) {
            return lower_import_call(low, 2);
        }
        if (has(low, 3, "(") && map_function(low, value, &callee)) {
            return lower_direct_call(low, 2, callee);
        }
        if (has_words(low, 2, "tmp .") && low->count == 6 &&
            strchr("ijfd", low->tokens[4].text[0]) != NULL &&
            is_number_tail(low->tokens[4].text + 1, low->tokens[4].size - 1)) {
            start_line(low);
            sm_lower_put(low->writer, "%s = tmp.%.*s;\n", variable, (int)low->tokens[4].size,
                         low->tokens[4].text);
            return SMELT_STATUS_OK;
        }
        if (low->count == 4 && value->kind == TOKEN_NUMBER && value->size < NAME_BYTES) {
            flush_constant(low);
            low->has_constant = true;
            (void)snprintf(low->constant_var, NAME_BYTES, "%s", variable);
            (void)snprintf(low->constant, NAME_BYTES, "%.*s", (int)value->size, value->text);
            return SMELT_STATUS_OK;
        }
    }
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
        if (has(low, 1, operators[i])) {
            flush_constant(low);
            start_line(low);
            sm_lower_put(low->writer, "%s %s ", variable, operators[i]);
            enum smelt_status status = put_expression(low, 2, low->count - 1);
            sm_lower_put(low->writer, ";\n");
            return status;
        }
    }
    return unexpected(low, "assignment");
}

/* TYPE VAR [= 0] {, VAR [= 0]} ; */
static enum smelt_status lower_declaration(struct lowering *low)
{
    char name[NAME_BYTES];
    start_line(low);
    sm_lower_put(low->writer, "%.*s ", (int)low->tokens[0].size, low->tokens[0].text);
    for (size_t i = 1; i < low->count;) {
        if (!map_variable(&low->tokens[i], name)) {
            return unexpected(low, "declaration");
        }
        /* the value stack starts defined too, which costs nothing after optimisation */
        sm_lower_put(low->writer, "%s = 0", name);
        i += has_words(low, i + 1, "= 0") ? 3 : 1;
        if (has(low, i, ";")) {
            sm_lower_put(low->writer, ";\n");
            return SMELT_STATUS_OK;
        }
        if (!has(low, i, ",")) {
            break;
        }
        sm_lower_put(low->writer, ", ");
        i++;
    }
    return unexpected(low, "declaration");
}

static enum smelt_status lower_struct(struct lowering *low)
{
    uint32_t callee;
    /* the end of a function with several results: { struct wasm_multi_ij tmp; tmp.i0 = …; return
     * tmp; } */
    if (low->count == 4 && has_words(low, 2, "tmp ;") &&
        is_prefixed(&low->tokens[1], "wasm_multi_")) {
        start_line(low);
        sm_lower_put_result_type(low->writer, sm_wasm_func_type(low->module, low->func_index));
        sm_lower_put(low->writer, " tmp;\n");
        return SMELT_STATUS_OK;
    }
    if (low->count > 6 && has(low, 4, "CALL_INDIRECT")) {
        return lower_indirect_call(low, 4);
    }
    if (low->count > 6 && has_words(low, 4, "( *")) {
        return lower_import_call(low, 4);
    }
    if (low->count > 6 && map_function(low, &low->tokens[4], &callee)) {
        return lower_direct_call(low, 4, callee);
    }
    return unexpected(low, "several results");
}

/* Statements that begin with a fixed word. */
static enum smelt_status lower_keyword(struct lowering *low, bool *is_known)
{
    char name[NAME_BYTES];
    const struct sm_site *site = NULL;
    *is_known = true;
    if (has(low, 0, "goto") && low->count == 3 && has(low, 2, ";") &&
        map_label(&low->tokens[1], name)) {
        flush_constant(low);
        start_line(low);
        sm_lower_put(low->writer, "goto %s;\n", name);
    } else if ((has(low, 0, "if") || has(low, 0, "switch")) && low->count == 5 &&
               has(low, 1, "(") && map_variable(&low->tokens[2], name) &&
               has_words(low, 3, ") {")) {
        flush_constant(low);
        start_line(low);
        sm_lower_put(low->writer, "%s (%s) {\n", has(low, 0, "if") ? "if" : "switch", name);
        low->indent++;
    } else if (has_words(low, 0, "else {")) {
        start_line(low);
        sm_lower_put(low->writer, "else {\n");
        low->indent++;
    } else if (has(low, 0, "case") && low->count == 3 && has(low, 2, ":") &&
               low->tokens[1].kind == TOKEN_NUMBER) {
        start_line(low);
        sm_lower_put(low->writer, "case %.*s:\n", (int)low->tokens[1].size, low->tokens[1].text);
    } else if (has_words(low, 0, "default :")) {
        start_line(low);
        sm_lower_put(low->writer, "default:\n");
    } else if (has_words(low, 0, "UNREACHABLE ;")) {
        enum smelt_status status = take_site(low, SM_OP_UNREACHABLE, SM_OP_UNREACHABLE, &site);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        flush_constant(low);
        start_line(low);
        sm_lower_put(low->writer, "UNREACHABLE(0x%x);\n", site->offset);
    } else if (has_words(low, 0, "FUNC_PROLOGUE ;") && !low->has_entered) {
        start_line(low);
        sm_lower_put(low->writer, "ENTER;\n");
        low->has_entered = true;
    } else if (has_words(low, 0, "FUNC_EPILOGUE ;") && low->has_entered && !low->has_left) {
        flush_constant(low);
        start_line(low);
        sm_lower_put(low->writer, "LEAVE;\n");
        low->has_left = true;
    } else if (has(low, 0, "return") && low->count == 3 && has(low, 2, ";") && low->has_left &&
               (has(low, 1, "tmp") || map_variable(&low->tokens[1], name))) {
        start_line(low);
        sm_lower_put(low->writer, "return %s;\n", has(low, 1, "tmp") ? "tmp" : name);
        low->has_returned = true;
    } else {
        *is_known = false;
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status lower_statement(struct lowering *low)
{
    static const struct {
        const char *name;
        enum sm_wasm_op op;
    } bulk[] = {{"memory_fill", SM_OP_MEMORY_FILL},
                {"memory_copy", SM_OP_MEMORY_COPY},
                {"memory_init", SM_OP_MEMORY_INIT},
                {"funcref_table_init", SM_OP_TABLE_INIT},
                {"funcref_table_copy", SM_OP_TABLE_COPY}};
    char name[NAME_BYTES];
    uint32_t callee;
    bool is_known = false;
    if (low->has_returned) {
        return unexpected(low, "statement behind the return");
    }
    enum smelt_status status = lower_keyword(low, &is_known);
    if (status != SMELT_STATUS_OK || is_known) {
        return status;
    }
    if (low->count == 1 && has(low, 0, ";")) {
        return SMELT_STATUS_OK; /* after a label */
    }
    if (low->count == 2 && has(low, 1, ":") && map_label(&low->tokens[0], name)) {
        flush_constant(low);
        sm_lower_put(low->writer, "%s:;\n", name);
        return SMELT_STATUS_OK;
    }
    if (has(low, 0, "{") && low->count == 1) {
        flush_constant(low);
        start_line(low);
        sm_lower_put(low->writer, "{\n");
        low->indent++;
        return SMELT_STATUS_OK;
    }
    if (!has(low, low->count - 1, ";")) {
        return unexpected(low, "end of a statement");
    }
    /* before variables: w2c_f3 may be either */
    if (has(low, 1, "(") && map_function(low, &low->tokens[0], &callee)) {
        return lower_direct_call(low, 0, callee);
    }
    if (map_variable(&low->tokens[0], name)) {
        return lower_assignment(low, name);
    }
    if (has(low, 0, "instance")) {
        return lower_instance_store(low);
    }
    if (has_words(low, 0, "( *") && low->count > 2) {
        return is_prefixed(&low->tokens[2], "Z_mZ_") ? lower_marker(low)
                                                     : lower_import_call(low, 0);
    }
    if (has(low, 0, "struct")) {
        return lower_struct(low);
    }
    if (has_words(low, 0, "tmp .") && low->count == 6 && has(low, 3, "=") &&
        strchr("ijfd", low->tokens[2].text[0]) != NULL &&
        is_number_tail(low->tokens[2].text + 1, low->tokens[2].size - 1) &&
        map_variable(&low->tokens[4], name)) {
        start_line(low);
        sm_lower_put(low->writer, "tmp.%.*s = %s;\n", (int)low->tokens[2].size, low->tokens[2].text,
                     name);
        return SMELT_STATUS_OK;
    }
    if (has(low, 0, "u32") || has(low, 0, "u64") || has(low, 0, "f32") || has(low, 0, "f64")) {
        return lower_declaration(low);
    }
    if (has(low, 0, "CALL_INDIRECT")) {
        return lower_indirect_call(low, 0);
    }
    for (size_t i = 0; i < sizeof(bulk) / sizeof(bulk[0]); i++) {
        if (has(low, 0, bulk[i].name)) {
            return lower_bulk(low, bulk[i].op);
        }
    }
    const struct expression_name *known = find_name(&low->tokens[0]);
    if (known != NULL && known->op != SM_OP_COUNT) {
        flush_constant(low);
        start_line(low);
        status = put_expression(low, 0, low->count - 1);
        sm_lower_put(low->writer, ";\n");
        return status;
    }
    return unexpected(low, "statement");
}

/* ---- functions ------------------------------------------------------------------------------- */

/* The name wasm2c gives a defined function: after its first export, else after its index. */
static void wasm2c_name(const struct sm_wasm_module *module, uint32_t func_index, char *out,
                        size_t out_size)
{
    for (uint32_t i = 0; i < module->export_count; i++) {
        if (module->exports[i].kind == SM_WASM_EXTERNAL_FUNC &&
            module->exports[i].index == func_index) {
            (void)snprintf(out, out_size, "w2c_x%u", i);
            return;
        }
    }
    (void)snprintf(out, out_size, "w2c_f%u", func_index + SM_MARKER_COUNT);
}

/* Moves behind the header `static TYPE w2c_x0(Z_c_instance_t* instance, …) {`. */
static enum smelt_status find_function(struct lowering *low)
{
    char name[NAME_BYTES];
    char wanted[2 * NAME_BYTES];
    wasm2c_name(low->module, low->func_index, name, sizeof(name));
    int length = snprintf(wanted, sizeof(wanted),
                          " %s(Z_" SM_LOWER_MODULE_NAME "_instance_t* instance", name);
    const char *found =
        (const char *)memmem(low->at, (size_t)(low->end - low->at), wanted, (size_t)length);
    low->count = 0;
    if (found == NULL) {
        return unexpected(low, name);
    }
    const char *brace = (const char *)memchr(found, '{', (size_t)(low->end - found));
    if (brace == NULL) {
        return unexpected(low, name);
    }
    low->at = brace + 1;
    return SMELT_STATUS_OK;
}

/* A label that nothing goes to ends LLVM's basic block. Without optimisation its register allocator
 * looks at each call through all values of the block: calls in straight code, be they only helpers
 * of smelt_guest.h, would take time that grows with the square of their number. An optimiser does
 * not see the label. */
static void put_seam(struct lowering *low)
{
    bool is_straight = low->count > 1 && has(low, low->count - 1, ";") && !has(low, 0, "goto");
    low->straight = is_straight ? low->straight + 1 : 0;
    if (low->straight > STRAIGHT_MAX && low->has_entered && !low->has_left) {
        sm_lower_put(low->writer, "S%u:;\n", low->next_seam++);
        low->straight = 0;
    }
}

static enum smelt_status lower_function(struct lowering *low)
{
    const struct sm_wasm_func *func = &low->module->funcs[low->func_index];
    enum smelt_status status = find_function(low);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    low->next_site = 0;
    low->next_marker = 0;
    low->straight = 0;
    low->next_seam = 0;
    low->indent = 1;
    low->has_entered = false;
    low->has_left = false;
    low->has_returned = false;
    low->has_constant = false;
    sm_lower_put(low->writer, "\n/* function %u", low->func_index);
    if (func->name.size != 0) {
        sm_lower_put(low->writer, " \"");
        sm_lower_put_comment_name(low->writer, func->name);
        sm_lower_put(low->writer, "\"");
    }
    sm_lower_put(low->writer, ", body at 0x%x, %zu bytes */\n", func->body_offset, func->code.size);
    sm_lower_put_prototype(low->writer, low->module, low->func_index);
    sm_lower_put(low->writer, "\n{\n");
    while (low->indent > 0) {
        status = read_statement(low);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        put_seam(low);
        if (has(low, 0, "}") && low->count == 1) {
            flush_constant(low);
            low->indent--;
            start_line(low);
            sm_lower_put(low->writer, "}\n");
        } else {
            status = lower_statement(low);
            if (status != SMELT_STATUS_OK) {
                return status;
            }
        }
    }
    const struct sm_instrumented_func *instrumented =
        &low->input->instrumented->funcs[low->func_index];
    skip_silent_sites(low);
    if (low->next_site != instrumented->site_count) {
        return unexpected(low, "missing instruction");
    }
    if (low->next_marker != instrumented->marker_count) {
        return unexpected(low, "missing marker");
    }
    bool has_results = sm_wasm_func_type(low->module, low->func_index)->result_count != 0;
    return low->has_left && low->has_returned == has_results
               ? SMELT_STATUS_OK
               : unexpected(low, "missing end of the function");
}

/* Functions [first, end). */
static enum smelt_status lower_unit(struct lowering *low, uint32_t unit, uint32_t first,
                                    uint32_t end)
{
    enum smelt_status status = SMELT_STATUS_OK;
    if (low->writer->is_split) {
        sm_lower_put(low->writer, "\n#if IN_UNIT(%u)\n", unit);
        status = sm_lower_declare(low->writer, low->module, first, end, low->err);
    }
    for (uint32_t i = first; status == SMELT_STATUS_OK && i < end; i++) {
        low->func_index = i;
        status = lower_function(low);
    }
    if (low->writer->is_split) {
        sm_lower_put(low->writer, "\n#endif\n");
    }
    return status;
}

enum smelt_status sm_lower_bodies(const struct sm_lower_input *input,
                                  struct sm_lower_writer *writer, struct smelt_error *err)
{
    /* an empty slice may have no address to search from */
    const char *text = input->wasm2c.size != 0 ? (const char *)input->wasm2c.data : "";
    struct lowering low = {.input = input,
                           .module = input->module,
                           .writer = writer,
                           .err = err,
                           .at = text,
                           .end = text + input->wasm2c.size};
    enum smelt_status status = SMELT_STATUS_OK;
    uint32_t first = input->module->imported_func_count;
    for (uint32_t unit = 1; status == SMELT_STATUS_OK && first < input->module->func_count;
         unit++) {
        uint32_t end =
            writer->is_split ? sm_lower_unit_end(input->module, first) : input->module->func_count;
        status = lower_unit(&low, unit, first, end);
        first = end;
    }
    sm_free(low.tokens);
    return status;
}
