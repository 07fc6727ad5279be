/* Writing the binary format canonically: shortest LEB128, sections in order. Failure to get memory
 * is sticky: check `is_short_of_memory` once at the end. */
#ifndef SM_WASM_ENCODE_H
#define SM_WASM_ENCODE_H

#include "compiler/wasm/module.h"

struct sm_encoder {
    struct smelt_buf out;
    bool is_short_of_memory;
};

void sm_encode_byte(struct sm_encoder *encoder, uint8_t byte);
void sm_encode_bytes(struct sm_encoder *encoder, struct smelt_slice bytes);
void sm_encode_u32(struct sm_encoder *encoder, uint32_t value);
void sm_encode_signed(struct sm_encoder *encoder, int64_t value);
void sm_encode_name(struct sm_encoder *encoder, struct smelt_slice name);
void sm_encode_limits(struct sm_encoder *encoder, struct sm_wasm_limits limits);
void sm_encode_op(struct sm_encoder *encoder, enum sm_wasm_op op);

/* An instruction with its immediates, as read. `func_shift` is added to function indices from
 * `func_shift_from` on, for modules that gained imports. */
void sm_encode_instr(struct sm_encoder *encoder, const struct sm_wasm_instr *instr,
                     uint32_t func_shift_from, uint32_t func_shift);

/* Appends `content` as a section (id, size, bytes) or a function body (size, bytes; id < 0), and
 * frees it. */
void sm_encode_sized(struct sm_encoder *encoder, int section_id, struct sm_encoder *content);

#endif
