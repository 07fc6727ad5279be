/* The table behind opcode.h, and its inverse. */
#include "compiler/wasm/opcode.h"

const struct sm_wasm_op_info sm_wasm_ops[SM_OP_COUNT] = {
#define OP(code_, name, text_, immediates, parameters_, results_, alignment_, flags_)              \
    [SM_OP_##name] = {.code = (code_),                                                             \
                      .immediate = SM_IMM_##immediates,                                            \
                      .alignment = (alignment_),                                                   \
                      .flags = SM_OP_FLAG_##flags_,                                                \
                      .text = (text_),                                                             \
                      .parameters = (parameters_),                                                 \
                      .results = (results_)},
#include "hostabi/opcodes.def"
};

/* Rows are ordered by code, so a binary search inverts the table. */
int sm_wasm_op_find(uint32_t code)
{
    int low = 0;
    int high = SM_OP_COUNT - 1;
    while (low <= high) {
        int middle = (low + high) / 2;
        if (sm_wasm_ops[middle].code == code) {
            return middle;
        }
        if (sm_wasm_ops[middle].code < code) {
            low = middle + 1;
        } else {
            high = middle - 1;
        }
    }
    return -1;
}
