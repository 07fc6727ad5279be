/* The lowering pass against an adversary: what wasm2c really wrote, changed one token at a time,
 * and the statements that somebody would like to see in the compiled unit.
 *
 * The pass does not translate again what wasm2c translated: a wrong variable, constant or operator
 * of a known form is wasm2c's error and is found by running the code, not here. What it promises is
 * that a unit consists of known forms only, with the trapping operations and the markers of the
 * instrumented module, all of them, in their order, with their amounts. */
#include "tests/unit/compiler/lowered.h"

#include "base/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_everything_is_known_words(void **state)
{
    (void)state;
    struct lowered lowered;
    struct smelt_slice culprit;
    lowered_prepare_everything(&lowered);
    if (!lowered_has_only_known_words(&lowered.c, &culprit)) {
        fail_msg("%.*s", (int)culprit.size, (const char *)culprit.data);
    }
    lowered_deinit(&lowered);
}

/* ---- one token changed ----------------------------------------------------------------------- */

/* Where the body that starts behind `header` begins and ends in wasm2c's text. */
static struct smelt_slice body_of(const struct lowered *lowered, const char *header)
{
    const char *text = (const char *)lowered->wasm2c.data;
    const char *start = (const char *)memmem(text, lowered->wasm2c.size, header, strlen(header));
    assert_non_null(start);
    const char *end =
        (const char *)memmem(start, lowered->wasm2c.size - (size_t)(start - text), "\n}\n", 3);
    assert_non_null(end);
    start = strchr(start, '{') + 1;
    return sm_slice(start, (size_t)(end + 2 - start));
}

struct tally {
    unsigned refused;
    unsigned same;    /* accepted, and nothing of it reached the output */
    unsigned changed; /* accepted: another value of a known form */
};

static void try_text(const struct lowered *lowered, struct smelt_slice text,
                     const struct smelt_buf *effects, const char *what, struct tally *tally)
{
    struct smelt_buf out = {0};
    struct smelt_error err = {0};
    enum smelt_status status = lowered_run(lowered, text, &out, &err);
    if (status != SMELT_STATUS_OK) {
        assert_int_equal(status, SMELT_STATUS_TOOL_OUTPUT);
        assert_null(out.data);
        tally->refused++;
        return;
    }
    if (sm_slice_equal(sm_buf_slice(&out), sm_buf_slice(&lowered->c))) {
        tally->same++;
    } else {
        struct smelt_slice culprit;
        struct smelt_buf found = lowered_effects(&out);
        if (!lowered_has_only_known_words(&out, &culprit)) {
            fail_msg("%s: %.*s got through", what, (int)culprit.size, (const char *)culprit.data);
        }
        if (!sm_slice_equal(sm_buf_slice(&found), sm_buf_slice(effects))) {
            fail_msg("%s: the effects changed to\n%.*s", what, (int)found.size,
                     (const char *)found.data);
        }
        smelt_buf_deinit(&found);
        tally->changed++;
    }
    smelt_buf_deinit(&out);
}

/* The text with `size` bytes at `at` replaced. */
static struct smelt_buf with(const struct smelt_buf *text, const uint8_t *at, size_t size,
                             struct smelt_slice replacement)
{
    struct smelt_buf result = {0};
    size_t before = (size_t)(at - text->data);
    assert_true(sm_buf_append(&result, text->data, before));
    assert_true(sm_buf_append(&result, replacement.data, replacement.size));
    assert_true(sm_buf_append(&result, at + size, text->size - before - size));
    return result;
}

static void change_each_token(const struct lowered *lowered, struct smelt_slice body,
                              const char *const *replacements, struct tally *tally)
{
    struct smelt_buf effects = lowered_effects(&lowered->c);
    const char *at = (const char *)body.data;
    const char *end = at + body.size;
    for (;;) {
        struct smelt_slice token = lowered_next_token(&at, end);
        if (token.size == 0) {
            break;
        }
        char doubled[256];
        char what[400];
        int size = snprintf(doubled, sizeof(doubled), "%.*s %.*s", (int)token.size,
                            (const char *)token.data, (int)token.size, (const char *)token.data);
        assert_true(size > 0 && size < (int)sizeof(doubled));
        for (size_t i = 0; i == 0 || replacements[i - 1] != NULL; i++) {
            const char *replacement = i == 0 ? doubled : replacements[i - 1];
            (void)snprintf(what, sizeof(what), "\"%s\" for \"%.*s\"", replacement, (int)token.size,
                           (const char *)token.data);
            struct smelt_buf text = with(&lowered->wasm2c, token.data, token.size,
                                         smelt_slice_from_string(replacement));
            try_text(lowered, sm_buf_slice(&text), &effects, what, tally);
            smelt_buf_deinit(&text);
        }
    }
    smelt_buf_deinit(&effects);
}

static void test_one_token_changed(void **state)
{
    (void)state;
    /* " " deletes */
    static const char *const few[] = {" ", "w2c_i0", NULL};
    static const char *const many[] = {
        " ",         "asm",    "evil", "w2c_i0",      "w2c_f6",   "1ull",     "\"s\"", "#",
        "\\",        "(",      ")",    "*",           "&",        "[",        ";",     "{",
        "}",         ",",      "=",    "u32",         "instance", "i64_load", "DIV_U", "tmp",
        "Z_mZ_fuel", "w2c_B0", "/*",   "\n#define x", NULL};
    struct lowered lowered;
    struct tally tally = {0};
    lowered_prepare_everything(&lowered);
    change_each_token(&lowered, body_of(&lowered, "static u32 w2c_f6(Z_c_instance_t* i"), many,
                      &tally);
    change_each_token(&lowered,
                      body_of(&lowered, "static struct wasm_multi_ji w2c_f5(Z_c_instance_t* i"),
                      many, &tally);
    change_each_token(&lowered, body_of(&lowered, "static u32 w2c_x0(Z_c_instance_t* i"), few,
                      &tally);
    print_message("refused %u, without effect %u, another value %u\n", tally.refused, tally.same,
                  tally.changed);
    assert_true(tally.refused > 2 * (tally.same + tally.changed));
    lowered_deinit(&lowered);
}

/* Whole statements gone, twice, or in the place of the next. */
static void test_one_statement_changed(void **state)
{
    (void)state;
    struct lowered lowered;
    struct tally tally = {0};
    lowered_prepare_everything(&lowered);
    struct smelt_buf effects = lowered_effects(&lowered.c);
    struct smelt_slice body = body_of(&lowered, "static u32 w2c_x0(Z_c_instance_t* i");
    const uint8_t *at = body.data;
    const uint8_t *end = body.data + body.size;
    while (at < end) {
        const uint8_t *stop = (const uint8_t *)memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop != NULL ? stop + 1 : end) - at);
        char line[600];
        assert_true(2 * size < sizeof(line));
        memcpy(line, at, size);
        memcpy(line + size, at, size);
        struct smelt_buf without = with(&lowered.wasm2c, at, size, sm_slice(NULL, 0));
        struct smelt_buf twice = with(&lowered.wasm2c, at, size, sm_slice(line, 2 * size));
        line[size] = '\0';
        try_text(&lowered, sm_buf_slice(&without), &effects, line, &tally);
        try_text(&lowered, sm_buf_slice(&twice), &effects, line, &tally);
        smelt_buf_deinit(&without);
        smelt_buf_deinit(&twice);
        at += size;
    }
    assert_true(tally.refused > 100);
    smelt_buf_deinit(&effects);
    lowered_deinit(&lowered);
}

static void test_truncated(void **state)
{
    (void)state;
    struct lowered lowered;
    struct tally tally = {0};
    lowered_prepare_everything(&lowered);
    struct smelt_buf effects = lowered_effects(&lowered.c);
    for (size_t size = 0; size < lowered.wasm2c.size; size += 97) {
        /* a copy of its own, so that a read past the end is seen */
        struct smelt_buf copy = {0};
        assert_true(sm_buf_append(&copy, lowered.wasm2c.data, size));
        try_text(&lowered, sm_buf_slice(&copy), &effects, "truncated", &tally);
        smelt_buf_deinit(&copy);
    }
    assert_int_equal(tally.changed, 0);
    assert_true(tally.refused > 50);
    smelt_buf_deinit(&effects);
    lowered_deinit(&lowered);
}

/* ---- attacks --------------------------------------------------------------------------------- */

static const struct attack {
    const char *what;
    const char *find; /* its first occurrence is replaced */
    const char *replacement;
} attacks[] = {
    {"a statement of no form", "FUNC_EPILOGUE;", "system(w2c_i0); FUNC_EPILOGUE;"},
    {"a call of an unknown function", "w2c_i0 = w2c_p0;", "w2c_i0 = evil(w2c_p0);"},
    {"an extra call of a known function", "FUNC_EPILOGUE;", "w2c_f7(instance); FUNC_EPILOGUE;"},
    {"assembly", "FUNC_EPILOGUE;", "asm(w2c_i0); FUNC_EPILOGUE;"},
    {"assembly by its other name", "FUNC_EPILOGUE;", "__asm__(w2c_i0); FUNC_EPILOGUE;"},
    {"a comment", "FUNC_EPILOGUE;", "/* x */ FUNC_EPILOGUE;"},
    {"a comment that looks like a NaN's", "FUNC_EPILOGUE;", "/* nan:0x1; evil() */ FUNC_EPILOGUE;"},
    {"a comment that does not end", "FUNC_EPILOGUE;", "/* nan:0x1 FUNC_EPILOGUE;"},
    {"a line comment", "FUNC_EPILOGUE;", "// nan\n FUNC_EPILOGUE;"},
    {"a number with a tail", "w2c_i0 = w2c_p0;", "w2c_i0 = 1uCALL_;"},
    {"a number of another suffix", "w2c_i0 = w2c_p0;", "w2c_i0 = 1llu;"},
    {"an octal number", "w2c_i0 = w2c_p0;", "w2c_i0 = 010u;"},
    {"a binary number", "w2c_i0 = w2c_p0;", "w2c_i0 = 0b1;"},
    {"a hexadecimal number without digits", "w2c_i0 = w2c_p0;", "w2c_i0 = 0x;"},
    {"a hexadecimal number with a tail", "w2c_i0 = w2c_p0;", "w2c_i0 = 0x1p;"},
    {"a number with two points", "w2c_i0 = w2c_p0;", "w2c_i0 = 1.5.5;"},
    {"an exponent without digits", "w2c_i0 = w2c_p0;", "w2c_i0 = 1.5e+;"},
    {"an integer with the suffix of a float", "w2c_i0 = w2c_p0;", "w2c_i0 = 1f;"},
    {"a float with the suffix of an integer", "w2c_i0 = w2c_p0;", "w2c_i0 = 1.5u;"},
    {"a string", "w2c_i0 = w2c_p0;", "w2c_i0 = \"x\";"},
    {"a character", "w2c_i0 = w2c_p0;", "w2c_i0 = 'x';"},
    {"a preprocessor line", "FUNC_EPILOGUE;", "\n#include \"/etc/passwd\"\n FUNC_EPILOGUE;"},
    {"a pragma", "FUNC_EPILOGUE;", "_Pragma(\"x\") FUNC_EPILOGUE;"},
    {"a line splice", "FUNC_EPILOGUE;", "\\\nFUNC_EPILOGUE;"},
    {"a trigraph", "FUNC_EPILOGUE;", "\?\?=define x\nFUNC_EPILOGUE;"},
    {"a NUL", "FUNC_EPILOGUE;", "\1FUNC_EPILOGUE;"},
    {"a declaration with a value", "FUNC_EPILOGUE;", "u32 w2c_i9 = w2c_p0; FUNC_EPILOGUE;"},
    {"a declaration of a pointer", "FUNC_EPILOGUE;", "u32 *w2c_i9; FUNC_EPILOGUE;"},
    {"a pointer followed", "w2c_i0 = w2c_p0;", "w2c_i0 = *(u32 *)w2c_p1;"},
    {"a pointer followed without its type", "w2c_i0 = w2c_p0;", "w2c_i0 = *w2c_p0;"},
    {"an address taken", "w2c_i0 = w2c_p0;", "w2c_i0 = (u32)&w2c_p0;"},
    {"an address as an operand", "w2c_i0 = w2c_p0;", "w2c_i0 = w2c_i0 + &w2c_p0;"},
    {"a call through a pointer", "w2c_i0 = w2c_p0;", "w2c_i0 = ((u32 (*)(u32))w2c_p1)(w2c_p0);"},
    {"a call of a variable", "w2c_i0 = w2c_p0;", "w2c_i0 = w2c_p1(w2c_p0);"},
    {"a call of a value", "w2c_i0 = w2c_p0;", "w2c_i0 = (w2c_p1)(w2c_p0);"},
    {"an assignment in an expression", "w2c_i0 = w2c_p0;", "w2c_i0 = (w2c_i1 = w2c_p0);"},
    {"an index", "w2c_i0 = w2c_p0;", "w2c_i0 = w2c_i1[w2c_p0];"},
    {"a member", "w2c_i0 = w2c_p0;", "w2c_i0 = w2c_i1.data;"},
    {"the instance", "w2c_i0 = w2c_p0;", "w2c_i0 = instance;"},
    {"a field of the instance", "w2c_i0 = w2c_p0;", "w2c_i0 = instance->fuel;"},
    {"a write to the instance", "FUNC_EPILOGUE;", "instance->fuel = w2c_i0; FUNC_EPILOGUE;"},
    {"a global that is not there", "instance->w2c_g0 = ", "instance->w2c_g4 = "},
    {"another global", "instance->w2c_g0 = ", "instance->w2c_g1 = "},
    {"a global that wraps", "instance->w2c_g0 = ", "instance->w2c_g4294967296 = "},
    {"a segment that is not there",
     "data_segment_dropped_w2c_d1 = ", "data_segment_dropped_w2c_d9 = "},
    {"another segment", "data_segment_dropped_w2c_d1 = ", "data_segment_dropped_w2c_d0 = "},
    {"a macro of the header", "FUNC_EPILOGUE;", "TRAP(w2c_i0, 1); FUNC_EPILOGUE;"},
    {"more fuel", "FUNC_EPILOGUE;", "fuel += w2c_i0; FUNC_EPILOGUE;"},
    {"more fuel by a macro", "FUNC_EPILOGUE;", "FUEL(1); FUNC_EPILOGUE;"},
    {"a wider load", "i32_load8_s(", "i32_load("},
    {"a narrower load", "i64_load16_u(", "i64_load8_u("},
    {"a load of another sign", "i64_load16_u(", "i64_load16_s("},
    {"a narrower store", "i64_store32(", "i64_store8("},
    {"an extra load", "FUNC_EPILOGUE;",
     "w2c_i0 = i32_load(&instance->w2c_memory, (u64)(w2c_i0)); FUNC_EPILOGUE;"},
    {"an extra division", "FUNC_EPILOGUE;", "w2c_i0 = DIV_U(w2c_i0, w2c_i0); FUNC_EPILOGUE;"},
    {"a division without its trap", "DIV_U(w2c_i0, w2c_i1)", "(w2c_i0 / w2c_i1)"},
    {"another division", "I64_DIV_S(", "I64_REM_S("},
    {"two trapping operations in one", "DIV_U(w2c_i0, w2c_i1)",
     "DIV_U(w2c_i0, DIV_U(w2c_i0, w2c_i1))"},
    {"a trapping operation as an operand", "DIV_U(w2c_i0, w2c_i1)", "1 + DIV_U(w2c_i0, w2c_i1)"},
    {"a missing trap", "UNREACHABLE;", ";"},
    {"an extra trap", "FUNC_EPILOGUE;", "UNREACHABLE; FUNC_EPILOGUE;"},
    {"another import", "Z_hZ_i0)", "Z_hZ_i1)"},
    {"an import that is not there", "Z_hZ_i0)", "Z_hZ_i2)"},
    {"an import of another module", "(*Z_hZ_i0)", "(*Z_eZ_i0)"},
    {"another callee", "w2c_f7(instance)", "w2c_f5(instance)"},
    {"a marker as a callee", "w2c_f7(instance)", "w2c_f3(instance)"},
    {"no grow", "wasm_rt_grow_memory(&instance->w2c_memory, w2c_i0)", "w2c_i0"},
    {"another fuel marker", "Z_mZ_fuel)", "Z_mZ_leave)"},
    {"another stack marker", "Z_mZ_leave)", "Z_mZ_enter)"},
    {"an unknown marker", "Z_mZ_fuel)", "Z_mZ_free)"},
    {"a marker of another instance", "instance->Z_m_instance", "instance->Z_h_instance"},
    {"a charge of nothing", "Z_m_instance, w2c_j0", "Z_m_instance, w2c_j5"},
    {"no epilogue", "FUNC_EPILOGUE;", ";"},
    {"two epilogues", "FUNC_EPILOGUE;", "FUNC_EPILOGUE; FUNC_EPILOGUE;"},
    {"no prologue", "FUNC_PROLOGUE;", ";"},
    {"two prologues", "FUNC_PROLOGUE;", "FUNC_PROLOGUE; FUNC_PROLOGUE;"},
    {"an early return", "w2c_i0 = w2c_p0;", "return w2c_i0; w2c_i0 = w2c_p0;"},
    {"a loop of C's", "FUNC_EPILOGUE;", "while (w2c_i0) { } FUNC_EPILOGUE;"},
    {"a nested function", "FUNC_EPILOGUE;", "u32 w2c_i9() { } FUNC_EPILOGUE;"},
    {"a function that ends early", "FUNC_EPILOGUE;", "FUNC_EPILOGUE; } u32 evil(void) {"},
    {"a label of C's", "FUNC_EPILOGUE;", "here: FUNC_EPILOGUE;"},
    {"a computed goto", "FUNC_EPILOGUE;", "goto *w2c_i0; FUNC_EPILOGUE;"},
    {"a name that is too long", "w2c_i0 = w2c_p0;",
     "w2c_i0 = w2c_p00000000000000000000000000000000000000000000;"},
    {"a number that calls", "w2c_i0 = w2c_p0;", "w2c_i0 = 1(w2c_p0);"},
};

/* In the function that uses everything, unless its find is not there. */
static const uint8_t *find_in_body(const struct lowered *lowered, const char *find)
{
    static const char *const headers[] = {"static u32 w2c_x0(Z_c_instance_t* i",
                                          "static u32 w2c_f6(Z_c_instance_t* i"};
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        struct smelt_slice body = body_of(lowered, headers[i]);
        const uint8_t *found = (const uint8_t *)memmem(body.data, body.size, find, strlen(find));
        if (found != NULL) {
            return found;
        }
    }
    return NULL;
}

static void test_attacks(void **state)
{
    (void)state;
    struct lowered lowered;
    lowered_prepare_everything(&lowered);
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        struct smelt_buf out = {0};
        struct smelt_error err = {0};
        const uint8_t *found = find_in_body(&lowered, attacks[i].find);
        if (found == NULL) {
            fail_msg("%s: wasm2c did not write %s", attacks[i].what, attacks[i].find);
        }
        struct smelt_buf text = with(&lowered.wasm2c, found, strlen(attacks[i].find),
                                     smelt_slice_from_string(attacks[i].replacement));
        for (size_t k = 0; k < text.size; k++) {
            /* C strings have no NUL to offer */
            text.data[k] = text.data[k] == 1 ? 0 : text.data[k];
        }
        enum smelt_status status = lowered_run(&lowered, sm_buf_slice(&text), &out, &err);
        if (status != SMELT_STATUS_TOOL_OUTPUT) {
            fail_msg("%s was accepted", attacks[i].what);
        }
        assert_non_null(strstr(err.message, "wasm2c wrote something unexpected"));
        assert_null(out.data);
        smelt_buf_deinit(&text);
    }
    lowered_deinit(&lowered);
}

/* Each charge with one unit less. */
static void test_changed_amounts(void **state)
{
    (void)state;
    struct lowered lowered;
    unsigned changed = 0;
    lowered_prepare_everything(&lowered);
    static const char call[] = "(*Z_mZ_";
    const uint8_t *at = lowered.wasm2c.data;
    const uint8_t *end = at + lowered.wasm2c.size;
    while ((at = (const uint8_t *)memmem(at, (size_t)(end - at), call, sizeof(call) - 1)) != NULL) {
        /* the statement before it: VAR = 12ull; */
        const uint8_t *digit = at;
        while (*digit != '=') {
            digit--;
        }
        digit += 2;
        at += sizeof(call);
        if (*digit < '1' || *digit > '9') {
            continue; /* computed */
        }
        char other[2] = {(char)(*digit - 1), '\0'};
        struct smelt_buf out = {0};
        struct smelt_buf text = with(&lowered.wasm2c, digit, 1, smelt_slice_from_string(other));
        assert_int_equal(lowered_run(&lowered, sm_buf_slice(&text), &out, NULL),
                         SMELT_STATUS_TOOL_OUTPUT);
        smelt_buf_deinit(&text);
        changed++;
    }
    assert_true(changed > 20);
    lowered_deinit(&lowered);
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Names go into comments and strings of the unit, and nowhere else. */
static void test_hostile_names(void **state)
{
    (void)state;
    struct lowered lowered;
    struct smelt_slice culprit;
    lowered_prepare(&lowered,
                    "(module (import \"env\" \"input_len\" (func (result i32)))"
                    " (func (export \"*/ int evil; /*\") (export \"\\\\\") (export \"\\22\\0a#x\")"
                    "  (export \"\?\?/\") (export \"\\c3\\a9\\e2\\80\\ae\") (export \"%s%n\")"
                    "  (export \"\")))");
    if (!lowered_has_only_known_words(&lowered.c, &culprit)) {
        fail_msg("%.*s", (int)culprit.size, (const char *)culprit.data);
    }
    const char *c = (const char *)lowered.c.data;
    assert_true(sm_buf_append_u8(&lowered.c, 0));
    c = (const char *)lowered.c.data;
    assert_non_null(strstr(c, "/* function 1 \"<2a><2f> int evil<3b> <2f><2a>\", body"));
    assert_non_null(strstr(c, "{\"\\052\\057 int evil\\073 \\057\\052\", 15, "));
    assert_non_null(strstr(c, "{\"\\134\", 1, "));
    assert_non_null(strstr(c, "{\"\\042\\012\\043x\", 4, "));
    assert_non_null(strstr(c, "{\"\\077\\077\\057\", 3, "));
    assert_non_null(strstr(c, "{\"\\303\\251\\342\\200\\256\", 5, "));
    assert_non_null(strstr(c, "{\"\\045s\\045n\", 4, "));
    assert_non_null(strstr(c, "{\"\", 0, "));
    lowered_deinit(&lowered);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct lowered lowered;
    lowered_prepare_everything(&lowered);
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    size_t nth = 0;
    while (status == SMELT_STATUS_NO_MEMORY) {
        struct smelt_buf out = {0};
        size_t blocks = sm_alloc_blocks();
        sm_alloc_fail_at(++nth);
        status = lowered_run(&lowered, sm_buf_slice(&lowered.wasm2c), &out, NULL);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) {
            assert_true(sm_slice_equal(sm_buf_slice(&out), sm_buf_slice(&lowered.c)));
        } else {
            assert_null(out.data);
        }
        smelt_buf_deinit(&out);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_int_equal(status, SMELT_STATUS_OK);
    assert_true(nth > 3);
    lowered_deinit(&lowered);
}

/* The compiler's basic blocks stay small, whatever the code: a label after 64 statements. */
static void test_straight_code_has_labels(void **state)
{
    (void)state;
    static const char set[] = "(local.set 0 (local.get 0))"; /* two statements */
    static const struct {
        const char *between;
        unsigned sets;
        unsigned times;
        const char *last; /* label; NULL: there is none */
        const char *no;
    } rows[] = {
        {"", 28, 1, NULL, "\nS0:"},
        {"", 100, 1, "\nS2:;\n", "\nS3:"},
        {"(block (br_if 0 (local.get 0)))", 25, 4, NULL, "\nS0:"},
        {"(if (local.get 0) (then nop))", 25, 4, NULL, "\nS0:"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_buf text = {0};
        struct lowered lowered;
        assert_true(sm_buf_printf(&text, "(module (func (local i32)"));
        for (unsigned k = 0; k < rows[i].times; k++) {
            for (unsigned n = 0; n < rows[i].sets; n++) {
                assert_true(sm_buf_append(&text, set, strlen(set)));
            }
            assert_true(sm_buf_append(&text, rows[i].between, strlen(rows[i].between)));
        }
        assert_true(sm_buf_append(&text, "))", sizeof("))")));
        lowered_prepare(&lowered, (const char *)text.data);
        assert_true(sm_buf_append_u8(&lowered.c, '\0'));
        const char *c = (const char *)lowered.c.data;
        assert_true(rows[i].last == NULL || strstr(c, rows[i].last) != NULL);
        assert_null(strstr(c, rows[i].no));
        lowered_deinit(&lowered);
        smelt_buf_deinit(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_is_known_words),
        cmocka_unit_test(test_one_token_changed),
        cmocka_unit_test(test_one_statement_changed),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_attacks),
        cmocka_unit_test(test_changed_amounts),
        cmocka_unit_test(test_hostile_names),
        cmocka_unit_test(test_straight_code_has_labels),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
