/* Instructions, one at a time: opcode and immediates, their encoding checked, their meaning not.
 * Opcodes outside the subset are told apart here: known proposal or no instruction at all. */
#include "base/bytes.h"
#include "base/status.h"
#include "compiler/wasm/read.h"

#include <stdio.h>

#define PREFIX_BULK 0xfc /* saturating conversions and bulk memory */
#define EMPTY_BLOCK 0x40

/* Row + 1 of every opcode, 0 for none: single bytes first, then what follows the prefix 0xfc. The
 * binary search of sm_wasm_op_find is too slow for this loop. */
#define SLOT(code) ((code) < 0x100 ? (code) : 0x100 + ((code) & 0xff))
#define BULK_SLOTS 0x10
static const uint8_t rows[0x100 + BULK_SLOTS] = {
#define OP(code, name, text, immediates, parameters, results, alignment, flags)                    \
    [SLOT(code)] = SM_OP_##name + 1,
#include "hostabi/opcodes.def"
};
_Static_assert(SM_OP_COUNT < UINT8_MAX, "rows are stored in a byte");

/* Proposals by opcode; NULL for a byte that no version knows. */
static const char *proposal_of_opcode(uint8_t byte)
{
    switch (byte) {
    case 0x06: /* try */
    case 0x07: /* catch */
    case 0x08: /* throw */
    case 0x09: /* rethrow */
    case 0x0a: /* throw_ref */
    case 0x18: /* delegate */
    case 0x19: /* catch_all */
    case 0x1f: /* try_table */
        return "exception handling";
    case 0x12: /* return_call */
    case 0x13: /* return_call_indirect */
        return "tail call";
    case 0x14: /* call_ref */
    case 0x15: /* return_call_ref */
    case 0xd4: /* ref.as_non_null */
    case 0xd5: /* br_on_null */
    case 0xd6: /* br_on_non_null */
        return "typed function references";
    case 0x25: /* table.get */
    case 0x26: /* table.set */
    case 0xd0: /* ref.null */
    case 0xd1: /* ref.is_null */
    case 0xd2: /* ref.func */
        return "reference types";
    case 0xd3: /* ref.eq */
    case 0xfb:
        return "GC";
    case 0xe0:
    case 0xe1:
    case 0xe2:
    case 0xe3:
    case 0xe4:
    case 0xe5:
    case 0xe6:
        return "stack switching";
    case 0xfd:
        return "SIMD";
    case 0xfe:
        return "threads";
    default:
        return NULL;
    }
}

/* The same for numbers after the prefix 0xfc. */
static const char *proposal_of_bulk(uint32_t number)
{
    switch (number) {
    case 15: /* table.grow */
    case 16: /* table.size */
    case 17: /* table.fill */
        return "reference types";
    case 18: /* memory.discard */
        return "memory control";
    case 19: /* i64.add128 */
    case 20: /* i64.sub128 */
    case 21: /* i64.mul_wide_s */
    case 22: /* i64.mul_wide_u */
        return "wide arithmetic";
    default:
        return NULL;
    }
}

static enum smelt_status fail_opcode(const struct sm_wasm_cursor *cursor, const uint8_t *at,
                                     uint32_t number, struct smelt_error *err)
{
    char code[24];
    char what[48];
    const char *proposal;
    if (*at == PREFIX_BULK) {
        proposal = proposal_of_bulk(number);
        (void)snprintf(code, sizeof(code), "fc %u", number);
    } else {
        proposal = proposal_of_opcode(*at);
        (void)snprintf(code, sizeof(code), "%02x", *at);
    }
    (void)snprintf(what, sizeof(what), "instruction 0x%s", code);
    if (proposal != NULL) {
        return sm_wasm_fail_feature(cursor, at, err, proposal, what);
    }
    return sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_MALFORMED, err, "illegal opcode %s", code);
}

static enum smelt_status read_block_type(struct sm_wasm_cursor *cursor,
                                         struct sm_wasm_block_type *out, struct smelt_error *err)
{
    const uint8_t *at = cursor->at;
    out->type_index = SM_WASM_NO_INDEX;
    out->result = SMELT_VALTYPE_NONE;
    if (at < cursor->end && (*at == EMPTY_BLOCK || sm_wasm_is_valtype(*at))) {
        if (*at != EMPTY_BLOCK) {
            out->result = (enum smelt_valtype) * at;
        }
        cursor->at++;
        return SMELT_STATUS_OK;
    }
    int64_t index;
    enum smelt_status status = sm_wasm_read_signed(cursor, 33, "block type", &index, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (index < 0) {
        return sm_wasm_fail_type(cursor, at, err);
    }
    if (index >= SM_WASM_NO_INDEX) { /* no module has it, and it must not read as a short form */
        return sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_INVALID, err, "unknown type %u",
                            SM_WASM_NO_INDEX);
    }
    out->type_index = (uint32_t)index;
    return SMELT_STATUS_OK;
}

/* Alignment and offset. Bit 6 of the alignment announces a memory index in later versions. */
static enum smelt_status read_memarg(struct sm_wasm_cursor *cursor, struct sm_wasm_instr *out,
                                     struct smelt_error *err)
{
    const uint8_t *at = cursor->at;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_u32(cursor, "alignment", &out->align, err));
    if (out->align >= 0x80) {
        return sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_MALFORMED, err,
                            "malformed memop flags: alignment 2^%u", out->align);
    }
    if (out->align >= 0x40) {
        return sm_wasm_fail_feature(cursor, at, err, "multi-memory", "explicit memory index");
    }
    SMELT_TRY(sm_wasm_read_u32(cursor, "memory offset", &out->memory_offset, err));
cleanup:
    return status;
}

static enum smelt_status read_zero_byte(struct sm_wasm_cursor *cursor, struct smelt_error *err)
{
    const uint8_t *at = cursor->at;
    uint8_t byte;
    enum smelt_status status = sm_wasm_read_byte(cursor, "memory index", &byte, err);
    if (status == SMELT_STATUS_OK && byte != 0) {
        status = sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_MALFORMED, err,
                              "zero byte expected for the memory index, found 0x%02x", byte);
    }
    return status;
}

static enum smelt_status read_br_table(struct sm_wasm_cursor *cursor, struct sm_wasm_instr *out,
                                       struct smelt_error *err)
{
    const uint8_t *labels;
    uint32_t ignored;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(cursor, 1, UINT32_MAX, "labels", &out->label_count, err));
    labels = cursor->at;
    for (uint32_t i = 0; i < out->label_count; i++) {
        SMELT_TRY(sm_wasm_read_u32(cursor, "label", &ignored, err));
    }
    SMELT_TRY(sm_wasm_read_u32(cursor, "default label", &ignored, err));
    out->labels = sm_slice(labels, (size_t)(cursor->at - labels));
cleanup:
    return status;
}

static enum smelt_status read_select_types(struct sm_wasm_cursor *cursor, struct sm_wasm_instr *out,
                                           struct smelt_error *err)
{
    enum smelt_valtype type = SMELT_VALTYPE_NONE;
    uint32_t count;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(cursor, 1, UINT32_MAX, "types of select", &count, err));
    for (uint32_t i = 0; i < count; i++) {
        SMELT_TRY(sm_wasm_read_valtype(cursor, &type, err));
    }
    out->select = count == 1 ? type : SMELT_VALTYPE_NONE;
cleanup:
    return status;
}

static enum smelt_status read_immediates(struct sm_wasm_cursor *cursor, struct sm_wasm_instr *out,
                                         struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    int64_t number;
    struct smelt_slice raw;
    switch ((enum sm_wasm_immediate)sm_wasm_ops[out->op].immediate) {
    case SM_IMM_NONE:
        break;
    case SM_IMM_BLOCK:
        SMELT_TRY(read_block_type(cursor, &out->block, err));
        break;
    case SM_IMM_LABEL:
        SMELT_TRY(sm_wasm_read_u32(cursor, "label", &out->index, err));
        break;
    case SM_IMM_BR_TABLE:
        SMELT_TRY(read_br_table(cursor, out, err));
        break;
    case SM_IMM_FUNC:
        SMELT_TRY(sm_wasm_read_u32(cursor, "function index", &out->index, err));
        break;
    case SM_IMM_CALL_INDIRECT:
        SMELT_TRY(sm_wasm_read_u32(cursor, "type index", &out->index, err));
        SMELT_TRY(sm_wasm_read_u32(cursor, "table index", &out->index2, err));
        break;
    case SM_IMM_SELECT:
        SMELT_TRY(read_select_types(cursor, out, err));
        break;
    case SM_IMM_LOCAL:
        SMELT_TRY(sm_wasm_read_u32(cursor, "local index", &out->index, err));
        break;
    case SM_IMM_GLOBAL:
        SMELT_TRY(sm_wasm_read_u32(cursor, "global index", &out->index, err));
        break;
    case SM_IMM_MEMARG:
        SMELT_TRY(read_memarg(cursor, out, err));
        break;
    case SM_IMM_MEMORY:
        SMELT_TRY(read_zero_byte(cursor, err));
        break;
    case SM_IMM_I32:
        SMELT_TRY(sm_wasm_read_signed(cursor, 32, "i32 constant", &number, err));
        out->bits = (uint32_t)number;
        break;
    case SM_IMM_I64:
        SMELT_TRY(sm_wasm_read_signed(cursor, 64, "i64 constant", &number, err));
        out->bits = (uint64_t)number;
        break;
    case SM_IMM_F32:
        SMELT_TRY(sm_wasm_read_bytes(cursor, 4, "f32 constant", &raw, err));
        out->bits = sm_load_le32(raw.data);
        break;
    case SM_IMM_F64:
        SMELT_TRY(sm_wasm_read_bytes(cursor, 8, "f64 constant", &raw, err));
        out->bits = sm_load_le64(raw.data);
        break;
    case SM_IMM_MEMORY_INIT:
        SMELT_TRY(sm_wasm_read_u32(cursor, "data index", &out->index, err));
        SMELT_TRY(read_zero_byte(cursor, err));
        break;
    case SM_IMM_DATA:
        SMELT_TRY(sm_wasm_read_u32(cursor, "data index", &out->index, err));
        break;
    case SM_IMM_MEMORY_COPY:
        SMELT_TRY(read_zero_byte(cursor, err));
        SMELT_TRY(read_zero_byte(cursor, err));
        break;
    case SM_IMM_TABLE_INIT:
        SMELT_TRY(sm_wasm_read_u32(cursor, "element index", &out->index, err));
        SMELT_TRY(sm_wasm_read_u32(cursor, "table index", &out->index2, err));
        break;
    case SM_IMM_ELEM:
        SMELT_TRY(sm_wasm_read_u32(cursor, "element index", &out->index, err));
        break;
    case SM_IMM_TABLE_COPY:
        SMELT_TRY(sm_wasm_read_u32(cursor, "table index", &out->index, err));
        SMELT_TRY(sm_wasm_read_u32(cursor, "table index", &out->index2, err));
        break;
    }
cleanup:
    return status;
}

enum smelt_status sm_wasm_read_instr(struct sm_wasm_cursor *cursor, struct sm_wasm_instr *out,
                                     struct smelt_error *err)
{
    const uint8_t *start = cursor->at;
    uint8_t byte;
    uint32_t number = 0;
    uint32_t slot;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_byte(cursor, "end opcode", &byte, err));
    slot = byte;
    if (byte == PREFIX_BULK) {
        SMELT_TRY(sm_wasm_read_u32(cursor, "opcode", &number, err));
        slot = number < BULK_SLOTS ? 0x100 + number : PREFIX_BULK;
    }
    if (rows[slot] == 0) {
        return fail_opcode(cursor, start, number, err);
    }
    *out = (struct sm_wasm_instr){.op = (enum sm_wasm_op)(rows[slot] - 1),
                                  .offset = (uint32_t)(start - cursor->module_start)};
    status = read_immediates(cursor, out, err);
cleanup:
    return status;
}

uint32_t sm_wasm_next_label(struct smelt_slice *labels)
{
    uint32_t label = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        byte = *labels->data++;
        labels->size--;
        label |= (uint32_t)(byte & 0x7f) << shift;
        shift += 7;
    } while ((byte & 0x80) != 0);
    return label;
}

struct sm_wasm_type sm_wasm_block_signature(const struct sm_wasm_module *module,
                                            struct sm_wasm_block_type block)
{
    static const uint8_t results[] = {SMELT_VALTYPE_F64, SMELT_VALTYPE_F32, SMELT_VALTYPE_I64,
                                      SMELT_VALTYPE_I32};
    if (block.type_index != SM_WASM_NO_INDEX) {
        return module->types[block.type_index];
    }
    struct sm_wasm_type type = {.canonical = SM_WASM_NO_INDEX};
    if (block.result != SMELT_VALTYPE_NONE) {
        type.result_count = 1;
        type.results = &results[block.result - SMELT_VALTYPE_F64];
    }
    return type;
}

struct sm_wasm_cursor sm_wasm_cursor_of(const struct sm_wasm_module *module, uint32_t func_index)
{
    struct smelt_slice code = module->funcs[func_index].code;
    return (struct sm_wasm_cursor){.at = code.data,
                                   .end = code.data + code.size,
                                   .module_start = module->bytes.data,
                                   .section = "code",
                                   .func_index = func_index};
}
