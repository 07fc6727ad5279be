/* The inverse of instr.c and decode.c, for the parts that instrumentation writes. */
#include "compiler/wasm/encode.h"

#include "base/bytes.h"
#include "compiler/wasm/leb128.h"

void sm_encode_bytes(struct sm_encoder *encoder, struct smelt_slice bytes)
{
    if (!sm_buf_append(&encoder->out, bytes.data, bytes.size)) {
        encoder->is_short_of_memory = true;
    }
}

void sm_encode_byte(struct sm_encoder *encoder, uint8_t byte)
{
    sm_encode_bytes(encoder, sm_slice(&byte, 1));
}

void sm_encode_u32(struct sm_encoder *encoder, uint32_t value)
{
    if (!sm_leb_append_unsigned(&encoder->out, value)) {
        encoder->is_short_of_memory = true;
    }
}

void sm_encode_signed(struct sm_encoder *encoder, int64_t value)
{
    if (!sm_leb_append_signed(&encoder->out, value)) {
        encoder->is_short_of_memory = true;
    }
}

void sm_encode_name(struct sm_encoder *encoder, struct smelt_slice name)
{
    sm_encode_u32(encoder, (uint32_t)name.size);
    sm_encode_bytes(encoder, name);
}

void sm_encode_limits(struct sm_encoder *encoder, struct sm_wasm_limits limits)
{
    sm_encode_byte(encoder, limits.has_max);
    sm_encode_u32(encoder, limits.min);
    if (limits.has_max) {
        sm_encode_u32(encoder, limits.max);
    }
}

void sm_encode_op(struct sm_encoder *encoder, enum sm_wasm_op op)
{
    uint16_t code = sm_wasm_ops[op].code;
    if (code >= 0xfc00) {
        sm_encode_byte(encoder, 0xfc);
        sm_encode_u32(encoder, code & 0xffu);
    } else {
        sm_encode_byte(encoder, (uint8_t)code);
    }
}

static void encode_block_type(struct sm_encoder *encoder, struct sm_wasm_block_type block)
{
    if (block.type_index != SM_WASM_NO_INDEX) {
        sm_encode_signed(encoder, block.type_index);
    } else {
        sm_encode_byte(encoder, block.result == SMELT_VALTYPE_NONE ? 0x40 : (uint8_t)block.result);
    }
}

static void encode_bits(struct sm_encoder *encoder, uint64_t bits, unsigned count)
{
    uint8_t bytes[8];
    sm_store_le64(bytes, bits);
    sm_encode_bytes(encoder, sm_slice(bytes, count));
}

void sm_encode_instr(struct sm_encoder *encoder, const struct sm_wasm_instr *instr,
                     uint32_t func_shift_from, uint32_t func_shift)
{
    sm_encode_op(encoder, instr->op);
    switch ((enum sm_wasm_immediate)sm_wasm_ops[instr->op].immediate) {
    case SM_IMM_NONE:
        break;
    case SM_IMM_BLOCK:
        encode_block_type(encoder, instr->block);
        break;
    case SM_IMM_FUNC:
        sm_encode_u32(encoder, instr->index + (instr->index >= func_shift_from ? func_shift : 0));
        break;
    case SM_IMM_LABEL:
    case SM_IMM_LOCAL:
    case SM_IMM_GLOBAL:
    case SM_IMM_DATA:
    case SM_IMM_ELEM:
        sm_encode_u32(encoder, instr->index);
        break;
    case SM_IMM_BR_TABLE: {
        struct smelt_slice labels = instr->labels;
        sm_encode_u32(encoder, instr->label_count);
        for (uint64_t i = 0; i <= instr->label_count; i++) {
            sm_encode_u32(encoder, sm_wasm_next_label(&labels));
        }
        break;
    }
    case SM_IMM_CALL_INDIRECT:
    case SM_IMM_TABLE_INIT:
    case SM_IMM_TABLE_COPY:
        sm_encode_u32(encoder, instr->index);
        sm_encode_u32(encoder, instr->index2);
        break;
    case SM_IMM_SELECT:
        sm_encode_u32(encoder, 1);
        sm_encode_byte(encoder, (uint8_t)instr->select);
        break;
    case SM_IMM_MEMARG:
        sm_encode_u32(encoder, instr->align);
        sm_encode_u32(encoder, instr->memory_offset);
        break;
    case SM_IMM_MEMORY:
        sm_encode_byte(encoder, 0);
        break;
    case SM_IMM_I32:
        sm_encode_signed(encoder, (int32_t)(uint32_t)instr->bits);
        break;
    case SM_IMM_I64:
        sm_encode_signed(encoder, (int64_t)instr->bits);
        break;
    case SM_IMM_F32:
        encode_bits(encoder, instr->bits, 4);
        break;
    case SM_IMM_F64:
        encode_bits(encoder, instr->bits, 8);
        break;
    case SM_IMM_MEMORY_INIT:
        sm_encode_u32(encoder, instr->index);
        sm_encode_byte(encoder, 0);
        break;
    case SM_IMM_MEMORY_COPY:
        sm_encode_byte(encoder, 0);
        sm_encode_byte(encoder, 0);
        break;
    }
}

void sm_encode_sized(struct sm_encoder *encoder, int section_id, struct sm_encoder *content)
{
    if (section_id >= 0) {
        sm_encode_byte(encoder, (uint8_t)section_id);
    }
    sm_encode_u32(encoder, (uint32_t)content->out.size);
    sm_encode_bytes(encoder, sm_buf_slice(&content->out));
    encoder->is_short_of_memory |= content->is_short_of_memory;
    smelt_buf_deinit(&content->out);
}
