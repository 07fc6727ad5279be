/* Mutations that leave a module's layout alone: the content of one section, or one function body,
 * is given to libFuzzer's own mutator, and sizes are written anew. In bodies also whole statements
 * are put between instructions, with their operands before and a drop behind them, so that many
 * children of a valid module are valid. One mutation in eight is of the bytes as they are. */
#include "compiler/wasm/leb128.h"
#include "compiler/wasm/module.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/wasm_layout.h"

#include <string.h>

/* xorshift32: libFuzzer's seed decides everything. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static uint32_t below(uint32_t *state, uint32_t limit)
{
    return limit != 0 ? next_random(state) % limit : 0;
}

static void append(struct smelt_buf *out, const void *data, size_t size)
{
    FUZZ_CHECK(sm_buf_append(out, data, size), "no memory");
}

static void append_number(struct smelt_buf *out, uint64_t value)
{
    FUZZ_CHECK(sm_leb_append_unsigned(out, value), "no memory");
}

static void append_byte(struct smelt_buf *out, uint32_t byte)
{
    FUZZ_CHECK(sm_buf_append_u8(out, (uint8_t)byte), "no memory");
}

/* ---- statements ---------------------------------------------------------------------------- */

static void append_constant(struct smelt_buf *out, char letter, uint32_t *state)
{
    static const uint8_t zero[8] = {0};
    switch (letter) {
    case 'i':
    case 'I':
        append_byte(out, letter == 'i' ? 0x41 : 0x42);
        FUZZ_CHECK(sm_leb_append_signed(out, (int32_t)next_random(state) >> below(state, 32)),
                   "no memory");
        break;
    case 'f':
        append_byte(out, 0x43);
        append(out, zero, 4);
        break;
    default:
        append_byte(out, 0x44);
        append(out, zero, 8);
        break;
    }
}

static void append_immediate(struct smelt_buf *out, const struct sm_wasm_op_info *info,
                             uint32_t *state)
{
    switch ((enum sm_wasm_immediate)info->immediate) {
    case SM_IMM_NONE:
        break;
    case SM_IMM_MEMARG:
        append_byte(out, below(state, info->alignment + 1u));
        append_number(out, next_random(state) >> below(state, 32));
        break;
    case SM_IMM_I32:
    case SM_IMM_I64:
        append_byte(out, below(state, 0x80));
        break;
    case SM_IMM_F32:
        append(out, "\0\0\x80\x7f", 4);
        break;
    case SM_IMM_F64:
        append(out, "\0\0\0\0\0\0\xf8\x7f", 8);
        break;
    case SM_IMM_MEMORY:
        append_byte(out, 0);
        break;
    case SM_IMM_MEMORY_COPY:
        append(out, "\0\0", 2);
        break;
    case SM_IMM_MEMORY_INIT:
    case SM_IMM_TABLE_INIT:
        append_byte(out, below(state, 3));
        append_byte(out, 0);
        break;
    case SM_IMM_TABLE_COPY:
        append(out, "\0\0", 2);
        break;
    case SM_IMM_BLOCK:
        append_byte(out, below(state, 3) != 0 ? 0x40 : below(state, 3));
        break;
    case SM_IMM_BR_TABLE:
        append_byte(out, 1);
        append_byte(out, below(state, 3));
        append_byte(out, below(state, 3));
        break;
    case SM_IMM_SELECT:
        append_byte(out, 1);
        append_byte(out, 0x7f - below(state, 4));
        break;
    case SM_IMM_CALL_INDIRECT:
        append_byte(out, below(state, 4));
        append_byte(out, 0);
        break;
    case SM_IMM_LABEL:
    case SM_IMM_FUNC:
    case SM_IMM_LOCAL:
    case SM_IMM_GLOBAL:
    case SM_IMM_DATA:
    case SM_IMM_ELEM:
        append_byte(out, below(state, 4));
        break;
    }
}

/* One whose types are not in its row: as it may stand, without regard for what it finds. */
static const char *const special_statements[] = {
    "\x02\x40\x0b",                                     /* block end */
    "\x03\x40\x0b",                                     /* loop end */
    "\x41\x01\x04\x40\x0b",                             /* if end */
    "\x41\x01\x04\x40\x05\x0b",                         /* if else end */
    "\x41\x01\x04\x7f\x41\x02\x05\x41\x03\x0b\x1a",     /* if (result i32) else end drop */
    "\x02\x40\x41\x01\x0d\x01\x0b",                     /* block br_if 1 end */
    "\x02\x40\x0c\x01\x0b",                             /* block br 1 end */
    "\x02\x40\x02\x40\x41\x01\x0e\x01\x01\x01\x0b\x0b", /* br_table */
    "\x41\x01\x04\x40\x0f\x0b",                         /* if return end */
    "\x41\x01\x04\x40\x01\x0b",                         /* if nop end */
    "\x20\x01\x1a",                                     /* local.get drop */
    "\x20\x01\x21\x01",                                 /* local.get local.set */
    "\x20\x01\x22\x01\x1a",                             /* local.get local.tee drop */
    "\x23\x01\x24\x01",                                 /* global.get global.set */
    "\x10\x01",                                         /* call */
    "\x41\x01\x10\x01\x1a",                             /* call drop */
    "\x41\x01\x11\x01\x01",                     /* call_indirect: its table index becomes 0 below */
    "\x41\x01\x41\x02\x41\x03\x1b\x1a",         /* select */
    "\x41\x01\x41\x02\x41\x03\x1c\x01\x7f\x1a", /* select t */
    "\x02\x40\x0f\x1b\x1a\x0b",                 /* select in code that is unreachable */
    "\x01",                                     /* nop */
};

static void append_statement(struct smelt_buf *out, uint32_t *state)
{
    const size_t special_count = sizeof(special_statements) / sizeof(special_statements[0]);
    if (below(state, 3) == 0) {
        const char *statement = special_statements[below(state, (uint32_t)special_count)];
        append(out, statement, strlen(statement));
        if (statement[0] == 0x20 || statement[0] == 0x23 || statement[0] == 0x10) {
            out->data[out->size - strlen(statement) + 1] = (uint8_t)below(state, 4);
        }
        return;
    }
    const struct sm_wasm_op_info *info = &sm_wasm_ops[below(state, SM_OP_COUNT)];
    bool is_plain = info->parameters[0] != '*';
    for (const char *letter = info->parameters; is_plain && *letter != '\0'; letter++) {
        append_constant(out, *letter, state);
    }
    if (info->code >= 0xfc00) {
        append_byte(out, 0xfc);
        append_number(out, info->code & 0xffu);
    } else {
        append_byte(out, info->code);
    }
    append_immediate(out, info, state);
    if (is_plain && info->results[0] != '\0') {
        append_byte(out, 0x1a);
    }
}

/* An offset in the body at which an instruction starts, its size when there is none. */
static size_t find_instruction(struct smelt_slice body, uint32_t *state)
{
    struct smelt_slice rest = body;
    if (!wasm_take_locals(&rest)) {
        return body.size;
    }
    struct sm_wasm_cursor cursor = {.at = rest.data,
                                    .end = rest.data + rest.size,
                                    .module_start = body.data,
                                    .section = "code",
                                    .func_index = -1};
    struct sm_wasm_instr instr;
    size_t found = rest.size != 0 ? (size_t)(cursor.at - body.data) : body.size;
    uint32_t seen = 0;
    /* each with the same chance, in one pass */
    while (cursor.at != cursor.end &&
           sm_wasm_read_instr(&cursor, &instr, NULL) == SMELT_STATUS_OK) {
        seen++;
        found = below(state, seen) == 0 ? instr.offset : found;
    }
    return found;
}

/* ---- sections ------------------------------------------------------------------------------ */

/* `from` as libFuzzer changes it, with room for `more` bytes. */
static void mutate_bytes(struct smelt_slice from, size_t more, struct smelt_buf *out)
{
    size_t start = out->size;
    size_t room = from.size + more;
    FUZZ_CHECK(sm_buf_reserve(out, room + 1), "no memory");
    append(out, from.data, from.size);
    out->size = start + LLVMFuzzerMutate(out->data + start, from.size, room);
}

static void mutate_body(struct smelt_slice body, size_t more, uint32_t *state,
                        struct smelt_buf *out)
{
    if (below(state, 3) == 0) {
        mutate_bytes(body, more, out);
        return;
    }
    size_t at = find_instruction(body, state);
    append(out, body.data, at);
    append_statement(out, state);
    append(out, body.data + at, body.size - at);
}

static void append_sized(struct smelt_buf *out, const struct smelt_buf *content)
{
    append_number(out, content->size);
    append(out, content->data, content->size);
}

/* The code section with one of its bodies changed. */
static bool mutate_code(struct smelt_slice code, size_t more, uint32_t *state,
                        struct smelt_buf *out)
{
    struct smelt_slice rest = code;
    struct smelt_slice body;
    uint32_t count;
    if (!wasm_take_u32(&rest, &count) || count == 0) {
        return false;
    }
    uint32_t chosen = below(state, count);
    append_number(out, count);
    for (uint32_t i = 0; i < count; i++) {
        struct smelt_buf mutated = {0};
        if (!wasm_take_sized(&rest, &body)) {
            return false;
        }
        if (i == chosen) {
            mutate_body(body, more, state, &mutated);
        } else {
            append(&mutated, body.data, body.size);
        }
        append_sized(out, &mutated);
        smelt_buf_deinit(&mutated);
    }
    append(out, rest.data, rest.size);
    return true;
}

/* False when the layout does not allow it. */
static bool mutate_section(struct smelt_slice module, size_t more, uint32_t *state,
                           struct smelt_buf *out)
{
    struct wasm_section sections[WASM_SECTIONS_MAX];
    struct smelt_slice rest = wasm_sections_of(module);
    uint32_t count = 0;
    uint32_t chosen;
    while (count < WASM_SECTIONS_MAX && wasm_take_section(&rest, &sections[count])) {
        count++;
    }
    if (count == 0) {
        return false;
    }
    chosen = below(state, count);
    for (uint32_t i = 0; i < count; i++) { /* half of them in the code */
        if (sections[i].id == WASM_SECTION_CODE && below(state, 2) == 0) {
            chosen = i;
        }
    }
    append(out, module.data, WASM_HEADER_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        struct smelt_buf content = {0};
        if (i != chosen) {
            append(out, sections[i].whole.data, sections[i].whole.size);
            continue;
        }
        bool is_code = sections[i].id == WASM_SECTION_CODE;
        if (!is_code || !mutate_code(sections[i].content, more, state, &content)) {
            content.size = 0;
            mutate_bytes(sections[i].content, more, &content);
        }
        append_byte(out, sections[i].id);
        append_sized(out, &content);
        smelt_buf_deinit(&content);
    }
    append(out, rest.data, rest.size);
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
    struct smelt_buf out = {0};
    uint32_t state = seed * 2654435761u + 1; /* any number but 0 */
    state += state == 0;
    size_t result = 0;
    if (next_random(&state) % 8 != 0 && size > WASM_HEADER_BYTES && size < size_max &&
        mutate_section(sm_slice(data, size), size_max - size, &state, &out) &&
        out.size <= size_max) {
        memcpy(data, out.data, out.size);
        result = out.size;
    }
    smelt_buf_deinit(&out);
    return result != 0 ? result : LLVMFuzzerMutate(data, size, size_max);
}
