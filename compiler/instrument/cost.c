#include "compiler/instrument/cost.h"

#include <stddef.h>

const struct sm_cost_row sm_cost_rows[] = {
#define COST(name, weight, text) {weight, text},
#include "compiler/instrument/cost.def"
};
const size_t sm_cost_row_count = sizeof(sm_cost_rows) / sizeof(sm_cost_rows[0]);

#define SLOT_TYPES 4u /* i32, i64, f32, f64 */

/* Constants by name: COST_OF_FUNCTION … */
enum {
#define COST(name, weight, text) COST_OF_##name = (weight),
#include "compiler/instrument/cost.def"
};

/* Row by row, the operators that are not as cheap as an addition. */
uint32_t sm_cost_of_operator(enum sm_wasm_op op)
{
    switch ((int)op) {
    case SM_OP_NOP:
    case SM_OP_DROP:
        return 1;
    case SM_OP_LOCAL_GET:
    case SM_OP_LOCAL_SET:
    case SM_OP_LOCAL_TEE:
    case SM_OP_I32_CONST:
    case SM_OP_I64_CONST:
        return 4;
    case SM_OP_F32_CONST:
    case SM_OP_F64_CONST:
    case SM_OP_F32_ABS:
    case SM_OP_F32_NEG:
    case SM_OP_F64_ABS:
    case SM_OP_F64_NEG:
    case SM_OP_F32_CONVERT_I32_S:
    case SM_OP_F32_CONVERT_I32_U:
    case SM_OP_F32_CONVERT_I64_S:
    case SM_OP_F32_CONVERT_I64_U:
    case SM_OP_F64_CONVERT_I32_S:
    case SM_OP_F64_CONVERT_I32_U:
    case SM_OP_F64_CONVERT_I64_S:
    case SM_OP_F64_CONVERT_I64_U:
        return 16;
    case SM_OP_BLOCK:
    case SM_OP_END:
    case SM_OP_ELSE:
        return 4;
    case SM_OP_SELECT:
    case SM_OP_SELECT_T:
    case SM_OP_BR_IF:
    case SM_OP_GLOBAL_GET:
    case SM_OP_GLOBAL_SET:
        return 12;
    case SM_OP_IF:
        return 18;
    case SM_OP_BR_TABLE:
        return 20;
    case SM_OP_LOOP:
        return 30;
    case SM_OP_UNREACHABLE:
        return 16;
    case SM_OP_CALL:
        return 36;
    case SM_OP_CALL_INDIRECT:
        return 150;
    case SM_OP_MEMORY_GROW:
        return 90;
    case SM_OP_MEMORY_FILL:
    case SM_OP_MEMORY_COPY:
    case SM_OP_MEMORY_INIT:
        return 160;
    case SM_OP_TABLE_COPY:
    case SM_OP_TABLE_INIT:
        return 136;
    case SM_OP_F32_STORE:
    case SM_OP_F64_STORE:
        return 46;
    case SM_OP_I32_LT_S:
    case SM_OP_I32_GT_S:
    case SM_OP_I32_LE_S:
    case SM_OP_I32_GE_S:
    case SM_OP_I64_LT_S:
    case SM_OP_I64_GT_S:
    case SM_OP_I64_LE_S:
    case SM_OP_I64_GE_S:
    case SM_OP_I32_SHR_S:
    case SM_OP_I64_SHR_S:
    case SM_OP_I64_EXTEND_I32_S:
    case SM_OP_I32_EXTEND8_S:
    case SM_OP_I32_EXTEND16_S:
    case SM_OP_I64_EXTEND8_S:
    case SM_OP_I64_EXTEND16_S:
    case SM_OP_I64_EXTEND32_S:
        return 16;
    case SM_OP_I32_CLZ:
    case SM_OP_I32_CTZ:
    case SM_OP_I32_POPCNT:
    case SM_OP_I64_CLZ:
    case SM_OP_I64_CTZ:
    case SM_OP_I64_POPCNT:
    case SM_OP_I32_ROTL:
    case SM_OP_I32_ROTR:
    case SM_OP_I64_ROTL:
    case SM_OP_I64_ROTR:
    case SM_OP_F32_COPYSIGN:
    case SM_OP_F64_COPYSIGN:
        return 24;
    case SM_OP_I32_DIV_U:
    case SM_OP_I32_REM_U:
    case SM_OP_I64_DIV_U:
    case SM_OP_I64_REM_U:
        return 36;
    case SM_OP_I32_REM_S:
    case SM_OP_I64_REM_S:
        return 48;
    case SM_OP_I32_DIV_S:
    case SM_OP_I64_DIV_S:
        return 68;
    case SM_OP_I32_TRUNC_F32_S:
    case SM_OP_I32_TRUNC_F32_U:
    case SM_OP_I32_TRUNC_F64_S:
    case SM_OP_I32_TRUNC_F64_U:
    case SM_OP_I64_TRUNC_F32_S:
    case SM_OP_I64_TRUNC_F32_U:
    case SM_OP_I64_TRUNC_F64_S:
    case SM_OP_I64_TRUNC_F64_U:
        return 70;
    case SM_OP_I32_TRUNC_SAT_F32_S:
    case SM_OP_I32_TRUNC_SAT_F32_U:
    case SM_OP_I32_TRUNC_SAT_F64_S:
    case SM_OP_I32_TRUNC_SAT_F64_U:
    case SM_OP_I64_TRUNC_SAT_F32_S:
    case SM_OP_I64_TRUNC_SAT_F32_U:
    case SM_OP_I64_TRUNC_SAT_F64_S:
    case SM_OP_I64_TRUNC_SAT_F64_U:
        return 34;
    case SM_OP_F32_MIN:
    case SM_OP_F32_MAX:
    case SM_OP_F64_MIN:
    case SM_OP_F64_MAX:
        return 60;
    default:
        if ((sm_wasm_ops[op].flags & SM_OP_FLAG_NAN) != 0) {
            return 50; /* with what makes a NaN canonical */
        }
        if (sm_wasm_ops[op].immediate == SM_IMM_MEMARG) {
            return 40;
        }
        return 9;
    }
}

/* `widest` is the most values that a label of the function so far takes: which label a branch goes
 * to does not matter where functions have no block with several values, and these are rare. */
static uint64_t instr_cost(const struct sm_wasm_module *module, const struct sm_wasm_instr *instr,
                           uint32_t widest)
{
    uint64_t cost = sm_cost_of_operator(instr->op);
    const struct sm_wasm_type *type = NULL;
    switch ((int)instr->op) {
    case SM_OP_CALL:
        type = sm_wasm_func_type(module, instr->index);
        break;
    case SM_OP_CALL_INDIRECT:
        type = &module->types[instr->index];
        break;
    case SM_OP_BR:
    case SM_OP_BR_IF:
    case SM_OP_RETURN:
        return cost + (uint64_t)COST_OF_VALUE_OF_BRANCH * widest;
    case SM_OP_BR_TABLE:
        return cost + ((uint64_t)instr->label_count + 1) *
                          (COST_OF_LABEL + (uint64_t)COST_OF_VALUE_OF_BRANCH * widest);
    default:
        return cost;
    }
    uint32_t weight = type->result_count > 1 ? COST_OF_RESULT_OF_CALL : COST_OF_VALUE_OF_CALL;
    return cost + (uint64_t)COST_OF_VALUE_OF_CALL * type->param_count +
           (uint64_t)weight * type->result_count;
}

static uint64_t body_cost(const struct sm_wasm_module *module, uint32_t func_index)
{
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(module, func_index);
    struct sm_wasm_instr instr;
    uint64_t cost = 0;
    uint32_t widest = sm_wasm_func_type(module, func_index)->result_count;
    uint32_t depth = 1;
    /* the code is valid, so each instruction can be read */
    while (cursor.at != cursor.end &&
           sm_wasm_read_instr(&cursor, &instr, NULL) == SMELT_STATUS_OK) {
        if (sm_wasm_ops[instr.op].immediate == SM_IMM_BLOCK) {
            struct sm_wasm_type type = sm_wasm_block_signature(module, instr.block);
            uint32_t values = instr.op == SM_OP_LOOP ? type.param_count : type.result_count;
            widest = values > widest ? values : widest;
            depth++;
        } else if (instr.op == SM_OP_END) {
            depth--;
        }
        cost += instr_cost(module, &instr, widest) + depth / COST_OF_DEPTH_PER_UNIT;
    }
    return cost;
}

uint64_t sm_cost_of_function(const struct sm_wasm_module *module, uint32_t func_index)
{
    const struct sm_wasm_func *func = &module->funcs[func_index];
    const struct sm_wasm_type *type = sm_wasm_func_type(module, func_index);
    uint64_t values = (uint64_t)type->param_count + type->result_count;
    if (func->is_imported) {
        return COST_OF_IMPORT + COST_OF_ENTRY_VALUE * values;
    }
    /* one variable for each height and type of value, and each was put there by an instruction */
    uint64_t slots = SLOT_TYPES * (uint64_t)func->max_height;
    slots = slots < func->code.size ? slots : func->code.size;
    return COST_OF_FUNCTION + COST_OF_VARIABLE * (values + func->local_count + slots) +
           func->name.size / COST_OF_BYTES_PER_UNIT + body_cost(module, func_index);
}

uint64_t sm_cost_of_surroundings(const struct sm_wasm_module *module)
{
    uint64_t cost = COST_OF_MODULE;
    for (uint32_t i = 0; i < module->type_count; i++) {
        cost += COST_OF_TYPE + COST_OF_VALUE_OF_TYPE * ((uint64_t)module->types[i].param_count +
                                                        module->types[i].result_count);
    }
    cost += (uint64_t)COST_OF_GLOBAL * module->global_count;
    for (uint32_t i = 0; i < module->import_count; i++) {
        const struct sm_wasm_import *import = &module->imports[i];
        cost += (import->module.size + import->name.size) / COST_OF_BYTES_PER_UNIT;
    }
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct sm_wasm_export *export_ = &module->exports[i];
        cost += COST_OF_EXPORT + export_->name.size / COST_OF_BYTES_PER_UNIT;
        if (export_->kind == SM_WASM_EXTERNAL_FUNC) {
            const struct sm_wasm_type *type = sm_wasm_func_type(module, export_->index);
            cost += COST_OF_ENTRY_VALUE * ((uint64_t)type->param_count + type->result_count);
        }
    }
    for (uint32_t i = 0; i < module->elem_count; i++) {
        cost += COST_OF_SEGMENT + (uint64_t)COST_OF_ITEM * module->elems[i].item_count;
    }
    for (uint32_t i = 0; i < module->data_count; i++) {
        cost += COST_OF_SEGMENT + module->datas[i].bytes.size / COST_OF_BYTES_PER_UNIT;
    }
    return cost;
}

uint64_t sm_cost_of_module(const struct sm_wasm_module *module)
{
    uint64_t cost = sm_cost_of_surroundings(module);
    for (uint32_t i = 0; i < module->func_count; i++) {
        cost += sm_cost_of_function(module, i);
    }
    return cost;
}
