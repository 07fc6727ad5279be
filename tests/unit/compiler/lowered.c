/* See lowered.h. */
#include "tests/unit/compiler/lowered.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum smelt_status lowered_run(const struct lowered *lowered, struct smelt_slice text,
                              struct smelt_buf *out, struct smelt_error *err)
{
    const struct sm_lower_input input = {.module = &lowered->module.module,
                                         .instrumented = &lowered->instrumented,
                                         .module_hash = &lowered->hash,
                                         .artefact_key = &lowered->hash,
                                         .wasm2c = text};
    return sm_lower(&input, out, err);
}

void lowered_prepare(struct lowered *out, const char *wat)
{
    static const char *const wasm2c[] = {"wasm2c", "@", "--no-debug-names", "-n", "c", NULL};
    struct smelt_schedule *schedule = test_schedule("engine-v1");
    struct sm_policy policy;
    struct smelt_error err = {0};
    *out = (struct lowered){0};
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, false);
    test_module_from_text(&out->module, wat);
    if (sm_instrument(&out->module.module, &policy, &smelt_profile_engine, schedule,
                      &out->module.arena, &out->instrumented, &err) != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_true(test_tool(wasm2c, sm_buf_slice(&out->instrumented.wasm), &out->wasm2c));
    if (lowered_run(out, sm_buf_slice(&out->wasm2c), &out->c, &err) != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
    smelt_schedule_destroy(schedule);
}

void lowered_deinit(struct lowered *lowered)
{
    smelt_buf_deinit(&lowered->instrumented.wasm);
    smelt_buf_deinit(&lowered->wasm2c);
    smelt_buf_deinit(&lowered->c);
    test_module_deinit(&lowered->module);
}

void lowered_prepare_everything(struct lowered *out)
{
    struct smelt_buf text = test_golden("everything.wat");
    lowered_prepare(out, (const char *)text.data);
    smelt_buf_deinit(&text);
}

/* ---- what may stand in a body ---------------------------------------------------------------- */

static bool is_name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

struct smelt_slice lowered_next_token(const char **at, const char *end)
{
    while (*at < end && (**at == ' ' || **at == '\n')) {
        (*at)++;
    }
    const char *start = *at;
    while (*at < end && is_name_character(**at)) {
        (*at)++;
    }
    if (*at == start && *at < end) {
        (*at)++;
    }
    return sm_slice(start, (size_t)(*at - start));
}

/* Words of C and of smelt_guest.h that bodies are made of. */
static const char *const words[] = {"static",
                                    "struct",
                                    "void",
                                    "return",
                                    "if",
                                    "else",
                                    "goto",
                                    "switch",
                                    "case",
                                    "default",
                                    "u8",
                                    "s8",
                                    "u16",
                                    "s16",
                                    "u32",
                                    "s32",
                                    "u64",
                                    "s64",
                                    "f32",
                                    "f64",
                                    "module",
                                    "m",
                                    "state",
                                    "tmp",
                                    "data_dropped",
                                    "elem_dropped",
                                    "ENTER",
                                    "LEAVE",
                                    "FUEL",
                                    "FUEL_CHECKED",
                                    "FUEL_DYNAMIC",
                                    "STACK_ENTER",
                                    "STACK_LEAVE",
                                    "CALL_BEGIN",
                                    "CALL_END",
                                    "INDIRECT",
                                    "UNREACHABLE",
                                    "MEMORY_PAGES",
                                    "MEMORY_GROW",
                                    "MEMORY_FILL",
                                    "MEMORY_COPY",
                                    "MEMORY_INIT",
                                    "TABLE_INIT",
                                    "TABLE_COPY",
                                    "INFINITY",
                                    "FMIN",
                                    "FMAX",
                                    "copysign",
                                    "copysignf",
                                    "I32_CLZ",
                                    "I64_CLZ",
                                    "I32_CTZ",
                                    "I64_CTZ",
                                    "I32_POPCNT",
                                    "I64_POPCNT",
                                    "I32_ROTL",
                                    "I64_ROTL",
                                    "I32_ROTR",
                                    "I64_ROTR",
                                    "f32_reinterpret_i32",
                                    "i32_reinterpret_f32",
                                    "f64_reinterpret_i64",
                                    "i64_reinterpret_f64",
                                    "wasm_quiet",
                                    "wasm_quietf",
                                    "wasm_fabs",
                                    "wasm_fabsf",
                                    "wasm_sqrt",
                                    "wasm_sqrtf",
                                    "wasm_ceil",
                                    "wasm_ceilf",
                                    "wasm_floor",
                                    "wasm_floorf",
                                    "wasm_trunc",
                                    "wasm_truncf",
                                    "wasm_nearbyint",
                                    "wasm_nearbyintf",
                                    "I32_TRUNC_SAT_S_F32",
                                    "I32_TRUNC_SAT_U_F32",
                                    "I32_TRUNC_SAT_S_F64",
                                    "I32_TRUNC_SAT_U_F64",
                                    "I64_TRUNC_SAT_S_F32",
                                    "I64_TRUNC_SAT_U_F32",
                                    "I64_TRUNC_SAT_S_F64",
                                    "I64_TRUNC_SAT_U_F64",
                                    "i32_load",
                                    "i64_load",
                                    "f32_load",
                                    "f64_load",
                                    "i32_load8_s",
                                    "i32_load8_u",
                                    "i32_load16_s",
                                    "i32_load16_u",
                                    "i64_load8_s",
                                    "i64_load8_u",
                                    "i64_load16_s",
                                    "i64_load16_u",
                                    "i64_load32_s",
                                    "i64_load32_u",
                                    "i32_store",
                                    "i64_store",
                                    "f32_store",
                                    "f64_store",
                                    "i32_store8",
                                    "i32_store16",
                                    "i64_store8",
                                    "i64_store16",
                                    "i64_store32",
                                    "I32_DIV_S",
                                    "I64_DIV_S",
                                    "I32_REM_S",
                                    "I64_REM_S",
                                    "DIV_U",
                                    "REM_U",
                                    "I32_TRUNC_S_F32",
                                    "I32_TRUNC_U_F32",
                                    "I32_TRUNC_S_F64",
                                    "I32_TRUNC_U_F64",
                                    "I64_TRUNC_S_F32",
                                    "I64_TRUNC_U_F32",
                                    "I64_TRUNC_S_F64",
                                    "I64_TRUNC_U_F64",
                                    "Bfunc"};

/* Names with a number behind them. */
static const char *const numbered[] = {"func_", "import_", "data_", "elem_", "p", "l", "i", "j",
                                       "q",     "d",       "B",     "L",     "I", "S", "g"};

static bool is_allowed_word(struct smelt_slice token)
{
    const char *text = (const char *)token.data;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (sm_slice_equal_text(token, words[i])) {
            return true;
        }
    }
    if (token.size > 6 && memcmp(text, "multi_", 6) == 0) {
        return strspn(text + 6, "ijfd") >= token.size - 6;
    }
    for (size_t i = 0; i < sizeof(numbered) / sizeof(numbered[0]); i++) {
        size_t length = strlen(numbered[i]);
        if (token.size > length && memcmp(text, numbered[i], length) == 0) {
            size_t digits = strspn(text + length, "0123456789_");
            if (digits >= token.size - length && text[length] != '_') {
                return true;
            }
        }
    }
    return false;
}

/* The part of the unit that comes from wasm2c's text. */
static struct smelt_slice bodies_of(const struct smelt_buf *c)
{
    static const char first[] = "\n/* function ";
    static const char behind[] = "\nstatic const struct sm_data_segment data_segments[]";
    const uint8_t *start = (const uint8_t *)memmem(c->data, c->size, first, sizeof(first) - 1);
    const uint8_t *end = (const uint8_t *)memmem(c->data, c->size, behind, sizeof(behind) - 1);
    assert_true(start != NULL && end != NULL && start < end);
    return sm_slice(start, (size_t)(end - start));
}

bool lowered_has_only_known_words(const struct smelt_buf *c, struct smelt_slice *culprit)
{
    struct smelt_slice bodies = bodies_of(c);
    const char *at = (const char *)bodies.data;
    const char *end = at + bodies.size;
    while (at < end) {
        *culprit = lowered_next_token(&at, end);
        if (culprit->size == 0) {
            break;
        }
        if (end - at > 11 && memcmp(culprit->data, "/* function ", 12) == 0) {
            /* the comment is ours; where it ends is tested with hostile names below */
            at = (const char *)memmem(at, (size_t)(end - at), "*/\n", 3) + 2;
            continue;
        }
        char c0 = (char)culprit->data[0];
        bool is_number = c0 >= '0' && c0 <= '9';
        bool is_good = is_name_character(c0) ? is_number || is_allowed_word(*culprit)
                                             : strchr("(){}[];:,.+-*/&|^!?<>=", c0) != NULL;
        if (!is_good) {
            return false;
        }
    }
    return true;
}

/* The part of a line that may not change: of a charge everything, of a call the callee, of a write
 * to the instance the field, of what traps the place. */
static struct smelt_slice essence_of(const char *line)
{
    const char *import = strstr(line, "import_");
    const char *callee = import != NULL ? import : strstr(line, "func_");
    const char *field = strstr(line, " m->state.");
    const char *place = strstr(line, ", 0x");
    if (strstr(line, "FUEL(") != NULL || strstr(line, "FUEL_CHECKED") != NULL ||
        strstr(line, "STACK_") != NULL) {
        return smelt_slice_from_string(line);
    }
    if (callee != NULL) {
        return sm_slice(callee, strcspn(callee, "("));
    }
    if (field != NULL && place == NULL) {
        return sm_slice(field, strcspn(field, "="));
    }
    return sm_slice(place, place != NULL ? strcspn(place + 1, ",)") + 1 : 0);
}

struct smelt_buf lowered_effects(const struct smelt_buf *c)
{
    static const char *const effects[] = {
        "FUEL",        "STACK_", "ENTER;",   "LEAVE;",   "UNREACHABLE", "MEMORY_GROW",
        "MEMORY_FILL", "_COPY",  "_INIT",    "CALL_",    "_load",       "_store",
        "DIV_",        "REM_",   "TRUNC_S_", "TRUNC_U_", "return",      "    m->state."};
    struct smelt_buf result = {0};
    struct smelt_slice bodies = bodies_of(c);
    const char *at = (const char *)bodies.data;
    const char *end = at + bodies.size;
    while (at < end) {
        char line[512];
        const char *stop = (const char *)memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop != NULL ? stop : end) - at);
        assert_true(size < sizeof(line));
        memcpy(line, at, size);
        line[size] = '\0';
        for (size_t i = 0; i < sizeof(effects) / sizeof(effects[0]); i++) {
            if (strstr(line, effects[i]) != NULL) {
                struct smelt_slice essence = essence_of(line);
                test_print(&result, "%s %.*s\n", effects[i], (int)essence.size,
                           (const char *)essence.data);
            }
        }
        at += size + 1;
    }
    return result;
}
