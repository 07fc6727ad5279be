/* The instruction table: every other view of an instruction is derived from a row of opcodes.def.
 */
#ifndef SM_WASM_OPCODE_H
#define SM_WASM_OPCODE_H

#include <stdbool.h>
#include <stdint.h>

/* What follows the opcode in the binary format (core 2.0, section 5.4). */
enum sm_wasm_immediate {
    SM_IMM_NONE,
    SM_IMM_BLOCK,         /* block type */
    SM_IMM_LABEL,         /* label index */
    SM_IMM_BR_TABLE,      /* vector of labels, default label */
    SM_IMM_FUNC,          /* function index */
    SM_IMM_CALL_INDIRECT, /* type index, table index */
    SM_IMM_SELECT,        /* vector of value types */
    SM_IMM_LOCAL,
    SM_IMM_GLOBAL,
    SM_IMM_MEMARG, /* alignment, offset */
    SM_IMM_MEMORY, /* reserved byte 0 */
    SM_IMM_I32,
    SM_IMM_I64,
    SM_IMM_F32,
    SM_IMM_F64,
    SM_IMM_MEMORY_INIT, /* data index, reserved byte 0 */
    SM_IMM_DATA,
    SM_IMM_MEMORY_COPY, /* two reserved bytes 0 */
    SM_IMM_TABLE_INIT,  /* element index, table index */
    SM_IMM_ELEM,
    SM_IMM_TABLE_COPY /* two table indices */
};

enum sm_wasm_op_flags { SM_OP_FLAG_NONE = 0, SM_OP_FLAG_TRAP = 1, SM_OP_FLAG_NAN = 2 };

/* Dense: the row number, also the index into a schedule's weights. */
enum sm_wasm_op {
#define OP(code, name, text, immediates, parameters, results, alignment, flags) SM_OP_##name,
#include "hostabi/opcodes.def"
    SM_OP_COUNT
};

struct sm_wasm_op_info {
    uint16_t code; /* byte, or 0xfc00 + sub-opcode */
    uint8_t immediate;
    uint8_t alignment; /* log2 of the access size */
    uint8_t flags;
    const char *text;
    const char *parameters; /* letters i I f F, or "*" */
    const char *results;
};

extern const struct sm_wasm_op_info sm_wasm_ops[SM_OP_COUNT];

/* Row of a code (byte, or 0xfc00 + sub-opcode); -1 when the subset has none. */
int sm_wasm_op_find(uint32_t code);

#endif
