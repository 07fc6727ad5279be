/* The checker against mutants: instrumented modules in which one thing was changed. Every mutant
 * that is still a valid module, and not the same bytes, has to be caught; the table printed at the
 * end says how many of each kind there were. None was found to mean the same as its original. */
#include "compiler/instrument/check.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "compiler/instrument/reserve.h"
#include "compiler/wasm/encode.h"
#include "compiler/wasm/leb128.h"
#include "tests/unit/compiler/modules.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULE_BYTES_MAX ((size_t)1 << 20)
/* Mutants per kind and module: large modules are sampled. */
#define MUTANTS_MAX 200u

#define KINDS(X)                                                                                   \
    X(CHARGE_RAISED, "charge one higher")                                                          \
    X(CHARGE_LOWERED, "charge one lower")                                                          \
    X(RESERVE_CHANGED, "enter or leave by one more")                                               \
    X(MARKER_DROPPED, "marker dropped")                                                            \
    X(MARKER_DOUBLED, "marker doubled")                                                            \
    X(MARKER_LATER, "marker behind the next instruction")                                          \
    X(MARKER_EARLIER, "marker before the previous instruction")                                    \
    X(MARKER_SWAPPED, "enter for leave, leave for enter")                                          \
    X(DYNAMIC_DROPPED, "dynamic charge dropped")                                                   \
    X(NAN_DROPPED, "canonical NaN dropped")                                                        \
    X(UNREACHABLE_DROPPED, "unreachable dropped")                                                  \
    X(INSTR_DROPPED, "instruction dropped")                                                        \
    X(INSTR_DOUBLED, "instruction doubled")                                                        \
    X(INSTR_LATER, "instruction behind the next")                                                  \
    X(OPERATOR, "another operator")                                                                \
    X(CONSTANT, "another constant")                                                                \
    X(INDEX, "another local, global, function, type or segment")                                   \
    X(LABEL, "another label")                                                                      \
    X(MEMARG, "another memory offset")                                                             \
    X(LOCAL_ADDED, "one local more")                                                               \
    X(SECTION_BYTE, "a byte outside of the code section")                                          \
    X(SECTION_ADDED, "custom or start section added")

enum kind {
#define KIND_ENUM(name, text) KIND_##name,
    KINDS(KIND_ENUM)
#undef KIND_ENUM
        KIND_COUNT
};

static const char *const kind_texts[] = {
#define KIND_TEXT(name, text) text,
    KINDS(KIND_TEXT)
#undef KIND_TEXT
};

static struct {
    unsigned made;  /* other bytes than the original's */
    unsigned valid; /* of them, accepted by our validator */
    unsigned caught;
} tally[KIND_COUNT];

/* ---- a module and its instrumentation -------------------------------------------------------- */

struct subject {
    char name[300];
    struct test_module module;
    struct sm_policy policy;
    struct smelt_schedule *schedule;
    struct sm_instrumented out;
    struct sm_wasm_module made; /* out.wasm, decoded */
    size_t code_start;          /* of the code section of out.wasm, from its id; 0: there is none */
    size_t code_end;
    unsigned made_of_kind[KIND_COUNT];
    unsigned seen_of_kind[KIND_COUNT];
    unsigned step; /* of the sample: every n-th mutant */
};

static void find_code_section(struct subject *subject)
{
    const uint8_t *start = subject->out.wasm.data;
    const uint8_t *end = start + subject->out.wasm.size;
    for (const uint8_t *at = start + 8; at != end;) {
        const uint8_t *section = at++;
        uint64_t size;
        assert_int_equal(sm_leb_read_unsigned(&at, end, 32, &size), SM_LEB_OK);
        at += size;
        if (*section == 10) {
            subject->code_start = (size_t)(section - start);
            subject->code_end = (size_t)(at - start);
        }
    }
}

static bool subject_init(struct subject *subject, const char *name, struct smelt_slice wasm,
                         const char *schedule)
{
    struct smelt_error err = {0};
    *subject = (struct subject){.step = 1};
    (void)snprintf(subject->name, sizeof(subject->name), "%s", name);
    test_module_from_bytes(&subject->module, wasm);
    subject->schedule = test_schedule(schedule);
    sm_policy_init(&subject->policy, SMELT_FLOAT_CANONICAL_NAN, true);
    struct sm_arena *arena = &subject->module.arena;
    if (sm_gate_check(&subject->module.module, &subject->policy, &smelt_profile_engine, &err) !=
        SMELT_STATUS_OK) {
        return false;
    }
    assert_int_equal(sm_instrument(&subject->module.module, &subject->policy, &smelt_profile_engine,
                                   subject->schedule, arena, &subject->out, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(sm_wasm_decode(sm_buf_slice(&subject->out.wasm), arena, &subject->made, NULL),
                     SMELT_STATUS_OK);
    find_code_section(subject);
    subject->step = 1 + (unsigned)(subject->out.wasm.size / 1024);
    return true;
}

static void subject_deinit(struct subject *subject)
{
    smelt_buf_deinit(&subject->out.wasm);
    test_module_deinit(&subject->module);
    smelt_schedule_destroy(subject->schedule);
}

static enum smelt_status check_bytes(const struct subject *subject, struct smelt_slice wasm,
                                     const struct sm_instrumented *lists, struct smelt_error *err)
{
    const struct sm_check_input input = {.module = &subject->module.module,
                                         .policy = &subject->policy,
                                         .profile = &smelt_profile_engine,
                                         .schedule = subject->schedule,
                                         .instrumented = wasm,
                                         .lists = lists};
    return sm_check(&input, err);
}

static bool is_valid(struct smelt_slice wasm)
{
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    bool is_good = sm_wasm_decode(wasm, &arena, &module, NULL) == SMELT_STATUS_OK &&
                   sm_wasm_validate(&module, &arena, NULL) == SMELT_STATUS_OK;
    sm_arena_deinit(&arena);
    return is_good;
}

/* Is it the turn of this mutant? */
static bool is_sampled(struct subject *subject, enum kind kind)
{
    return subject->seen_of_kind[kind]++ % subject->step == 0 &&
           subject->made_of_kind[kind] < MUTANTS_MAX;
}

static void try_mutant(struct subject *subject, enum kind kind, struct smelt_slice wasm)
{
    struct smelt_error err = {0};
    if (sm_slice_equal(wasm, sm_buf_slice(&subject->out.wasm))) {
        return;
    }
    subject->made_of_kind[kind]++;
    tally[kind].made++;
    tally[kind].valid += is_valid(wasm);
    enum smelt_status status = check_bytes(subject, wasm, NULL, &err);
    tally[kind].caught += status == SMELT_STATUS_TRANSLATION_UNPROVEN;
    if (status != SMELT_STATUS_TRANSLATION_UNPROVEN) {
        struct smelt_buf text = {0};
        static const char *const wasm2wat[] = {"wasm2wat", "@", NULL};
        (void)test_tool(wasm2wat, wasm, &text);
        fail_msg("%s: %s: not caught (%s)\n%.*s", subject->name, kind_texts[kind],
                 smelt_status_name(status), (int)text.size, (const char *)text.data);
    }
}

/* ---- mutants of bodies ----------------------------------------------------------------------- */

struct piece {
    struct smelt_slice bytes;
    struct sm_wasm_instr instr;
};

struct body {
    struct subject *subject;
    uint32_t func_index;       /* in the instrumented module */
    struct smelt_slice locals; /* encoded */
    struct piece *pieces;
    size_t count;
};

static void put_body(struct sm_encoder *section, struct smelt_slice locals,
                     struct smelt_slice before, struct smelt_slice middle, struct smelt_slice after)
{
    struct sm_encoder body = {0};
    sm_encode_bytes(&body, locals);
    sm_encode_bytes(&body, before);
    sm_encode_bytes(&body, middle);
    sm_encode_bytes(&body, after);
    sm_encode_sized(section, -1, &body);
}

/* The module in which `replacement` stands for `removed` instructions from `from` on. */
static struct smelt_buf rebuild(const struct body *body, struct smelt_slice locals, size_t from,
                                size_t removed, struct smelt_slice replacement)
{
    const struct subject *subject = body->subject;
    const struct sm_wasm_module *made = &subject->made;
    struct sm_encoder out = {0};
    struct sm_encoder section = {0};
    const uint8_t *wasm = subject->out.wasm.data;
    sm_encode_bytes(&out, sm_slice(wasm, subject->code_start));
    sm_encode_u32(&section, made->func_count - made->imported_func_count);
    for (uint32_t i = made->imported_func_count; i < made->func_count; i++) {
        const struct sm_wasm_func *func = &made->funcs[i];
        struct smelt_slice own =
            sm_slice(wasm + func->body_offset, func->code_offset - func->body_offset);
        const struct smelt_slice none = {0};
        if (i != body->func_index) {
            put_body(&section, own, none, func->code, none);
            continue;
        }
        const uint8_t *start = func->code.data;
        const uint8_t *end = start + func->code.size;
        const uint8_t *cut = from < body->count ? body->pieces[from].bytes.data : end;
        const uint8_t *rest =
            from + removed < body->count ? body->pieces[from + removed].bytes.data : end;
        put_body(&section, locals, sm_slice(start, (size_t)(cut - start)), replacement,
                 sm_slice(rest, (size_t)(end - rest)));
    }
    sm_encode_sized(&out, 10, &section);
    sm_encode_bytes(&out,
                    sm_slice(wasm + subject->code_end, subject->out.wasm.size - subject->code_end));
    assert_false(out.is_short_of_memory);
    return out.out;
}

/* Takes the replacement. */
static void replace(const struct body *body, enum kind kind, size_t from, size_t removed,
                    struct sm_encoder replacement)
{
    if (is_sampled(body->subject, kind)) {
        struct smelt_buf wasm =
            rebuild(body, body->locals, from, removed, sm_buf_slice(&replacement.out));
        try_mutant(body->subject, kind, sm_buf_slice(&wasm));
        smelt_buf_deinit(&wasm);
    }
    smelt_buf_deinit(&replacement.out);
}

static void replace_instr(const struct body *body, enum kind kind, size_t at,
                          struct sm_wasm_instr instr)
{
    struct sm_encoder encoder = {0};
    sm_encode_instr(&encoder, &instr, 0, 0);
    replace(body, kind, at, 1, encoder);
}

static void drop(const struct body *body, enum kind kind, size_t from, size_t count)
{
    replace(body, kind, from, count, (struct sm_encoder){0});
}

/* `count` instructions from `from` on, written before what `distance` of them later stands there.
 */
static void move(const struct body *body, enum kind kind, size_t from, size_t count, size_t behind)
{
    struct sm_encoder encoder = {0};
    if (from + count + behind > body->count) {
        return;
    }
    for (size_t i = 0; i < behind; i++) {
        sm_encode_bytes(&encoder, body->pieces[from + count + i].bytes);
    }
    for (size_t i = 0; i < count; i++) {
        sm_encode_bytes(&encoder, body->pieces[from + i].bytes);
    }
    replace(body, kind, from, count + behind, encoder);
}

static void repeat(const struct body *body, enum kind kind, size_t from, size_t count)
{
    struct sm_encoder encoder = {0};
    for (size_t i = 0; i < 2 * count; i++) {
        sm_encode_bytes(&encoder, body->pieces[from + i % count].bytes);
    }
    replace(body, kind, from, count, encoder);
}

static bool is_op(const struct body *body, size_t at, enum sm_wasm_op op)
{
    return at < body->count && body->pieces[at].instr.op == op;
}

/* The marker a call at `at` calls; SM_MARKER_COUNT: none. */
static uint32_t marker_at(const struct body *body, size_t at)
{
    uint32_t first = body->subject->module.module.imported_func_count;
    return is_op(body, at, SM_OP_CALL) && body->pieces[at].instr.index >= first &&
                   body->pieces[at].instr.index < first + SM_MARKER_COUNT
               ? body->pieces[at].instr.index - first
               : SM_MARKER_COUNT;
}

static void mutate_marker(const struct body *body, size_t at)
{
    struct sm_wasm_instr amount = body->pieces[at].instr;
    struct sm_wasm_instr call = body->pieces[at + 1].instr;
    uint32_t marker = marker_at(body, at + 1);
    if (marker == SM_MARKER_COUNT ||
        amount.op != (marker == SM_MARKER_FUEL ? SM_OP_I64_CONST : SM_OP_I32_CONST)) {
        return;
    }
    amount.bits++;
    replace_instr(body, marker == SM_MARKER_FUEL ? KIND_CHARGE_RAISED : KIND_RESERVE_CHANGED, at,
                  amount);
    if (marker == SM_MARKER_FUEL) {
        amount.bits -= 2;
        replace_instr(body, KIND_CHARGE_LOWERED, at, amount);
    } else {
        call.index += marker == SM_MARKER_ENTER ? 1 : UINT32_MAX;
        replace_instr(body, KIND_MARKER_SWAPPED, at + 1, call);
    }
    drop(body, KIND_MARKER_DROPPED, at, 2);
    repeat(body, KIND_MARKER_DOUBLED, at, 2);
    move(body, KIND_MARKER_LATER, at, 2, 1);
    if (at != 0) {
        move(body, KIND_MARKER_EARLIER, at - 1, 1, 2);
    }
}

static void mutate_sequence(const struct body *body, size_t at)
{
    if (is_op(body, at + 5, SM_OP_SELECT) &&
        (is_op(body, at + 4, SM_OP_F32_EQ) || is_op(body, at + 4, SM_OP_F64_EQ))) {
        drop(body, KIND_NAN_DROPPED, at, 6);
    }
    size_t end = at + 4;
    while (end < at + 10 && end < body->count && !is_op(body, end, SM_OP_CALL)) {
        end++;
    }
    if (is_op(body, at + 1, SM_OP_LOCAL_GET) && is_op(body, at + 2, SM_OP_I64_EXTEND_I32_U) &&
        is_op(body, end - 1, SM_OP_I64_MUL) && marker_at(body, end) == SM_MARKER_FUEL) {
        drop(body, KIND_DYNAMIC_DROPPED, at, end + 1 - at);
    }
}

static void mutate_operator(const struct body *body, size_t at)
{
    struct sm_wasm_instr instr = body->pieces[at].instr;
    const struct sm_wasm_op_info *info = &sm_wasm_ops[instr.op];
    for (uint32_t i = 1; i < SM_OP_COUNT; i++) {
        uint32_t op = ((uint32_t)instr.op + i) % SM_OP_COUNT;
        const struct sm_wasm_op_info *other = &sm_wasm_ops[op];
        if (other->immediate == info->immediate &&
            strcmp(other->parameters, info->parameters) == 0 &&
            strcmp(other->results, info->results) == 0 && other->alignment >= info->alignment) {
            instr.op = (enum sm_wasm_op)op;
            replace_instr(body, KIND_OPERATOR, at, instr);
            return;
        }
    }
}

/* Another label for the first of a br_table. */
static void mutate_br_table(const struct body *body, size_t at)
{
    const struct sm_wasm_instr *instr = &body->pieces[at].instr;
    struct smelt_slice labels = instr->labels;
    struct sm_encoder encoder = {0};
    sm_encode_op(&encoder, instr->op);
    sm_encode_u32(&encoder, instr->label_count);
    for (uint32_t i = 0; i <= instr->label_count; i++) {
        sm_encode_u32(&encoder, sm_wasm_next_label(&labels) + (i == 0));
    }
    replace(body, KIND_LABEL, at, 1, encoder);
}

static void mutate_immediate(const struct body *body, size_t at)
{
    struct sm_wasm_instr instr = body->pieces[at].instr;
    struct sm_wasm_instr changed = instr;
    switch ((enum sm_wasm_immediate)sm_wasm_ops[instr.op].immediate) {
    case SM_IMM_I32:
    case SM_IMM_I64:
    case SM_IMM_F32:
    case SM_IMM_F64:
        changed.bits ^= 1;
        replace_instr(body, KIND_CONSTANT, at, changed);
        break;
    case SM_IMM_FUNC:
    case SM_IMM_CALL_INDIRECT:
    case SM_IMM_LOCAL:
    case SM_IMM_GLOBAL:
    case SM_IMM_MEMORY_INIT:
    case SM_IMM_DATA:
    case SM_IMM_TABLE_INIT:
    case SM_IMM_ELEM:
        changed.index = instr.index + 1;
        replace_instr(body, KIND_INDEX, at, changed);
        changed.index = instr.index - (instr.index != 0);
        replace_instr(body, KIND_INDEX, at, changed);
        break;
    case SM_IMM_LABEL:
        changed.index = instr.index + 1;
        replace_instr(body, KIND_LABEL, at, changed);
        changed.index = instr.index - (instr.index != 0);
        replace_instr(body, KIND_LABEL, at, changed);
        break;
    case SM_IMM_BR_TABLE:
        mutate_br_table(body, at);
        break;
    case SM_IMM_MEMARG:
        changed.memory_offset++;
        replace_instr(body, KIND_MEMARG, at, changed);
        break;
    case SM_IMM_NONE:
    case SM_IMM_BLOCK:
    case SM_IMM_SELECT:
    case SM_IMM_MEMORY:
    case SM_IMM_MEMORY_COPY:
    case SM_IMM_TABLE_COPY:
        break;
    }
}

static void add_local(const struct body *body, uint8_t type)
{
    const uint8_t *at = body->locals.data;
    const uint8_t *end = at + body->locals.size;
    struct sm_encoder locals = {0};
    uint64_t runs;
    assert_int_equal(sm_leb_read_unsigned(&at, end, 32, &runs), SM_LEB_OK);
    sm_encode_u32(&locals, (uint32_t)runs + 1);
    sm_encode_bytes(&locals, sm_slice(at, (size_t)(end - at)));
    sm_encode_u32(&locals, 1);
    sm_encode_byte(&locals, type);
    if (is_sampled(body->subject, KIND_LOCAL_ADDED)) {
        struct smelt_buf wasm =
            rebuild(body, sm_buf_slice(&locals.out), 0, 0, (struct smelt_slice){0});
        try_mutant(body->subject, KIND_LOCAL_ADDED, sm_buf_slice(&wasm));
        smelt_buf_deinit(&wasm);
    }
    smelt_buf_deinit(&locals.out);
}

static void mutate_body(struct subject *subject, uint32_t func_index)
{
    const struct sm_wasm_func *func = &subject->made.funcs[func_index];
    struct body body = {.subject = subject,
                        .func_index = func_index,
                        .locals = sm_slice(subject->out.wasm.data + func->body_offset,
                                           func->code_offset - func->body_offset)};
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(&subject->made, func_index);
    body.pieces = (struct piece *)calloc(func->code.size, sizeof(*body.pieces));
    assert_non_null(body.pieces);
    while (cursor.at != cursor.end) {
        struct piece *piece = &body.pieces[body.count++];
        const uint8_t *start = cursor.at;
        assert_int_equal(sm_wasm_read_instr(&cursor, &piece->instr, NULL), SMELT_STATUS_OK);
        piece->bytes = sm_slice(start, (size_t)(cursor.at - start));
    }
    for (size_t i = 0; i + 1 < body.count; i++) {
        mutate_marker(&body, i);
        mutate_sequence(&body, i);
        drop(&body,
             is_op(&body, i, SM_OP_UNREACHABLE) ? KIND_UNREACHABLE_DROPPED : KIND_INSTR_DROPPED, i,
             1);
        repeat(&body, KIND_INSTR_DOUBLED, i, 1);
        move(&body, KIND_INSTR_LATER, i, 1, 1);
        mutate_operator(&body, i);
        mutate_immediate(&body, i);
    }
    add_local(&body, SMELT_VALTYPE_I32);
    add_local(&body, SMELT_VALTYPE_I64);
    free(body.pieces);
}

/* ---- mutants of what is around --------------------------------------------------------------- */

static void mutate_sections(struct subject *subject)
{
    struct smelt_buf wasm = {0};
    assert_true(sm_buf_assign(&wasm, sm_buf_slice(&subject->out.wasm)));
    for (size_t i = 8; i < wasm.size; i++) {
        if (i >= subject->code_start && i < subject->code_end) {
            continue;
        }
        for (unsigned bit = 0; bit < 8; bit += 2) {
            const uint8_t change = (uint8_t)(1u << bit);
            if (is_sampled(subject, KIND_SECTION_BYTE)) {
                wasm.data[i] ^= change;
                try_mutant(subject, KIND_SECTION_BYTE, sm_buf_slice(&wasm));
                wasm.data[i] ^= change;
            }
        }
    }
    smelt_buf_deinit(&wasm);
}

static void add_section(struct subject *subject, size_t at, const void *section, size_t size)
{
    struct smelt_buf wasm = {0};
    const struct smelt_buf *own = &subject->out.wasm;
    assert_true(sm_buf_append(&wasm, own->data, at) && sm_buf_append(&wasm, section, size) &&
                sm_buf_append(&wasm, own->data + at, own->size - at));
    if (is_sampled(subject, KIND_SECTION_ADDED)) {
        try_mutant(subject, KIND_SECTION_ADDED, sm_buf_slice(&wasm));
    }
    smelt_buf_deinit(&wasm);
}

static void mutate_module(struct subject *subject)
{
    static const uint8_t custom[] = {0, 5, 4, 'n', 'a', 'm', 'e'};
    struct smelt_error err = {0};
    assert_int_equal(check_bytes(subject, sm_buf_slice(&subject->out.wasm), &subject->out, &err),
                     SMELT_STATUS_OK);
    for (uint32_t i = subject->made.imported_func_count; i < subject->made.func_count; i++) {
        mutate_body(subject, i);
    }
    mutate_sections(subject);
    add_section(subject, 8, custom, sizeof(custom));
    add_section(subject, subject->out.wasm.size, custom, sizeof(custom));
    add_section(subject, subject->code_start, custom, sizeof(custom));
    for (uint8_t i = 0; subject->made.elem_count == 0 && subject->made.data_count == 0 &&
                        i < subject->made.func_count && i < 0x80;
         i++) {
        const uint8_t start[] = {8, 1, i};
        if (subject->code_start != 0) {
            add_section(subject, subject->code_start, start, sizeof(start));
        }
    }
}

/* ---- modules --------------------------------------------------------------------------------- */

static void mutate_file(const char *directory, const char *name)
{
    static const char *const schedules[] = {"engine-v1", "unit", "ones"};
    struct smelt_buf file = {0};
    struct smelt_buf wasm = {0};
    struct subject subject;
    char path[4096];
    const char *dot = strrchr(name, '.');
    assert_true(sm_fs_path(path, sizeof(path), NULL, "%s/%s", directory, name) == SMELT_STATUS_OK);
    assert_int_equal(sm_fs_read_file(path, MODULE_BYTES_MAX, &file, NULL), SMELT_STATUS_OK);
    if (strcmp(dot, ".wat") == 0) {
        assert_int_equal(smelt_wat_to_wasm(sm_buf_slice(&file), &wasm, NULL), SMELT_STATUS_OK);
    } else {
        assert_true(sm_buf_assign(&wasm, sm_buf_slice(&file)));
    }
    for (size_t i = 0; i < sizeof(schedules) / sizeof(schedules[0]); i++) {
        if (!subject_init(&subject, name, sm_buf_slice(&wasm), schedules[i])) {
            subject_deinit(&subject);
            break;
        }
        mutate_module(&subject);
        subject_deinit(&subject);
    }
    smelt_buf_deinit(&file);
    smelt_buf_deinit(&wasm);
}

static int is_module(const struct dirent *entry)
{
    const char *dot = strchr(entry->d_name, '.');
    return dot != NULL && (strcmp(dot, ".wat") == 0 || strcmp(dot, ".wasm") == 0);
}

static int mutate_directory(const char *directory)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, is_module, alphasort);
    for (int i = 0; i < count; i++) {
        mutate_file(directory, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return count;
}

static void test_mutants_are_caught(void **state)
{
    (void)state;
    unsigned made = 0;
    unsigned valid = 0;
    assert_true(mutate_directory(SMELT_TEST_GOLDEN_DIR) > 5);
    (void)mutate_directory(SMELT_TEST_CONTRACTS_DIR); /* none when examples are not built */
    for (size_t i = 0; i < KIND_COUNT; i++) {
        print_message("%-55s %6u mutants, %6u valid, %6u caught\n", kind_texts[i], tally[i].made,
                      tally[i].valid, tally[i].caught);
        assert_int_equal(tally[i].caught, tally[i].made);
        made += tally[i].made;
        valid += tally[i].valid;
        assert_true(tally[i].made > 10);
        /* nothing but the checker stands in the way of these */
        assert_true(tally[i].valid > 10);
    }
    print_message("%u mutants, %u of them valid modules: all caught\n", made, valid);
}

/* ---- another original, policy or list -------------------------------------------------------- */

static void load_golden(struct subject *subject, const char *name)
{
    struct smelt_buf text = test_golden(name);
    struct smelt_buf wasm = test_wat((const char *)text.data);
    assert_true(subject_init(subject, name, sm_buf_slice(&wasm), "ones"));
    smelt_buf_deinit(&wasm);
    smelt_buf_deinit(&text);
}

static void test_other_settings(void **state)
{
    (void)state;
    struct subject subject;
    struct smelt_profile small = smelt_profile_engine;
    struct smelt_error err = {0};
    load_golden(&subject, "floats.wat");
    struct smelt_slice wasm = sm_buf_slice(&subject.out.wasm);
    struct smelt_schedule *ones = subject.schedule;
    struct sm_check_input input = {.module = &subject.module.module,
                                   .policy = &subject.policy,
                                   .profile = &smelt_profile_engine,
                                   .schedule = ones,
                                   .instrumented = wasm};
    assert_int_equal(sm_check(&input, &err), SMELT_STATUS_OK);
    subject.policy.floats = SMELT_FLOAT_FORBID;
    assert_int_equal(sm_check(&input, &err), SMELT_STATUS_TRANSLATION_UNPROVEN);
    assert_string_equal(err.where, "check");
    assert_true(err.func_index >= 0 && err.offset > 0);
    subject.policy.floats = SMELT_FLOAT_CANONICAL_NAN;
    subject_deinit(&subject);
    load_golden(&subject, "everything.wat");
    wasm = sm_buf_slice(&subject.out.wasm);
    ones = subject.schedule;
    input.instrumented = wasm;
    input.schedule = ones;
    subject.policy.allows_any_import = false;
    small.memory_pages_max = 0;
    input.profile = &small;
    assert_int_equal(sm_check(&input, &err), SMELT_STATUS_TRANSLATION_UNPROVEN);
    assert_non_null(strstr(err.message, "memory section"));
    subject.policy.allows_any_import = true;
    input.profile = &smelt_profile_engine;
    input.schedule = test_schedule("unit");
    assert_int_equal(sm_check(&input, &err), SMELT_STATUS_TRANSLATION_UNPROVEN);
    smelt_schedule_destroy((struct smelt_schedule *)(uintptr_t)input.schedule);
    /* what is no module at all is no refusal of the original */
    input.schedule = ones;
    for (size_t size = 0; size < wasm.size; size += 7) {
        input.instrumented = sm_slice(wasm.data, size);
        assert_int_equal(sm_check(&input, NULL), SMELT_STATUS_TRANSLATION_UNPROVEN);
    }
    subject_deinit(&subject);
}

/* What later stages take from the instrumenter instead of the bytes. */
static void test_lists(void **state)
{
    (void)state;
    struct subject subject;
    struct smelt_error err = {0};
    load_golden(&subject, "everything.wat");
    struct smelt_slice wasm = sm_buf_slice(&subject.out.wasm);
    const struct sm_wasm_module *module = &subject.module.module;
    unsigned tried = 0;
#define EXPECT_CAUGHT(lvalue, other)                                                               \
    do {                                                                                           \
        __typeof__(lvalue) kept = (lvalue);                                                        \
        (lvalue) = (other);                                                                        \
        assert_int_equal(check_bytes(&subject, wasm, &subject.out, &err),                          \
                         SMELT_STATUS_TRANSLATION_UNPROVEN);                                       \
        (lvalue) = kept;                                                                           \
        tried++;                                                                                   \
    } while (0)
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        struct sm_instrumented_func *func =
            (struct sm_instrumented_func *)(uintptr_t)&subject.out.funcs[i];
        struct sm_stack_weight *stack = (struct sm_stack_weight *)(uintptr_t)&subject.out.stack[i];
        for (uint32_t k = 0; k < func->marker_count; k++) {
            struct sm_marker *marker = (struct sm_marker *)(uintptr_t)&func->markers[k];
            EXPECT_CAUGHT(marker->amount, marker->amount + 1);
            EXPECT_CAUGHT(marker->is_checked, !marker->is_checked);
            EXPECT_CAUGHT(marker->is_dynamic, !marker->is_dynamic);
            EXPECT_CAUGHT(marker->kind, (enum sm_marker_kind)((marker->kind + 1) % 3));
        }
        for (uint32_t k = 0; k < func->site_count; k++) {
            struct sm_site *site = (struct sm_site *)(uintptr_t)&func->sites[k];
            EXPECT_CAUGHT(site->offset, site->offset + 1);
            EXPECT_CAUGHT(site->index, site->index + 1);
            EXPECT_CAUGHT(site->op, (enum sm_wasm_op)(site->op + 1));
        }
        if (func->marker_count != 0) {
            EXPECT_CAUGHT(func->marker_count, func->marker_count - 1);
        }
        if (func->site_count != 0) {
            EXPECT_CAUGHT(func->site_count, func->site_count - 1);
        }
        EXPECT_CAUGHT(stack->weight, stack->weight + 1);
        EXPECT_CAUGHT(stack->reserve, stack->reserve + 1);
        EXPECT_CAUGHT(stack->is_checked, !stack->is_checked);
    }
    EXPECT_CAUGHT(subject.out.memory_min, subject.out.memory_min + 1);
    EXPECT_CAUGHT(subject.out.memory_max, subject.out.memory_max - 1);
    EXPECT_CAUGHT(subject.out.return_page, subject.out.return_page - 1);
#undef EXPECT_CAUGHT
    assert_true(tried > 100);
    subject_deinit(&subject);
}

/* ---- reserves -------------------------------------------------------------------------------- */

/* Call graphs of every density: both algorithms say the same. */
static void test_reserves_of_random_call_graphs(void **state)
{
    (void)state;
    uint32_t random = 1;
    unsigned checked = 0;
    unsigned unchecked = 0;
    for (unsigned round = 0; round < 60; round++) {
        struct smelt_buf text = {0};
        struct test_module module;
        struct sm_arena arena = {0};
        const struct sm_stack_weight *tarjan;
        const struct sm_stack_weight *kosaraju;
        uint32_t count = 1 + round / 2;
        test_print(&text, "(module (import \"env\" \"f\" (func))");
        for (uint32_t i = 0; i < count; i++) {
            test_print(&text, "(func (local i64)");
            for (uint32_t k = 0; k < round % 4; k++) {
                random = random * 1664525u + 1013904223u;
                test_print(&text, "(call %u)", (random >> 16) % (count + 1));
            }
            test_print(&text, ")");
        }
        if (round % 5 == 0) {
            test_print(&text, "(table 1 funcref) (elem func %u)", 1 + round % count);
        }
        test_print(&text, ")");
        test_module_from_text(&module, (const char *)text.data);
        assert_int_equal(sm_stack_weigh(&module.module, &arena, &tarjan, NULL), SMELT_STATUS_OK);
        assert_int_equal(sm_reserve_compute(&module.module, &arena, &kosaraju, NULL),
                         SMELT_STATUS_OK);
        for (uint32_t i = 0; i <= count; i++) {
            assert_int_equal(tarjan[i].weight, kosaraju[i].weight);
            assert_int_equal(tarjan[i].reserve, kosaraju[i].reserve);
            assert_int_equal(tarjan[i].is_checked, kosaraju[i].is_checked);
            checked += kosaraju[i].is_checked;
            unchecked += !kosaraju[i].is_checked;
        }
        sm_arena_deinit(&arena);
        test_module_deinit(&module);
        smelt_buf_deinit(&text);
    }
    assert_true(checked > 100 && unchecked > 100);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    struct subject subject;
    load_golden(&subject, "everything.wat");
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    size_t nth = 0;
    while (status == SMELT_STATUS_NO_MEMORY) {
        size_t blocks = sm_alloc_blocks();
        sm_alloc_fail_at(++nth);
        status = check_bytes(&subject, sm_buf_slice(&subject.out.wasm), &subject.out, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_int_equal(status, SMELT_STATUS_OK);
    assert_true(nth > 1);
    subject_deinit(&subject);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mutants_are_caught),
        cmocka_unit_test(test_other_settings),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_reserves_of_random_call_graphs),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
