/* Text output shared by the two halves of the lowering pass: what the bodies become (body.c) and
 * what is around them (lower.c). Failure to get memory is sticky. */
#ifndef SM_LOWER_WRITER_H
#define SM_LOWER_WRITER_H

#include "compiler/lower/lower.h"

struct sm_lower_writer {
    struct smelt_buf *out;
    bool is_short_of_memory;
    bool is_split; /* into units */
};

void sm_lower_put(struct sm_lower_writer *writer, const char *format, ...) SMELT_PRINTF(2, 3);
void sm_lower_put_slice(struct sm_lower_writer *writer, struct smelt_slice text);
/* The inside of a C string literal: letters, digits and a few marks as they are, the rest as octal.
 */
void sm_lower_put_escaped(struct sm_lower_writer *writer, struct smelt_slice bytes);
/* The same for a comment: without the backslashes and stars that could end it. */
void sm_lower_put_comment_name(struct sm_lower_writer *writer, struct smelt_slice name);

const char *sm_lower_type(uint8_t valtype); /* "u32" … */
char sm_lower_letter(uint8_t valtype);      /* i, j, f, d as in wasm2c's struct names */

/* "u32", "void" or "struct multi_ij" */
void sm_lower_put_result_type(struct sm_lower_writer *writer, const struct sm_wasm_type *type);
/* "static ", or what stands for it where units share a name. */
void sm_lower_put_linkage(struct sm_lower_writer *writer);

/* "static u32 func_3(struct module *m, u32 p0, …)" */
void sm_lower_put_prototype(struct sm_lower_writer *writer, const struct sm_wasm_module *module,
                            uint32_t func_index);
/* "static u32 import_3(struct module *m, u32 at, u32 p0, …)" */
void sm_lower_put_import_prototype(struct sm_lower_writer *writer,
                                   const struct sm_wasm_module *module, uint32_t func_index);

/* The first function of the unit after the one that starts with function `first`: func_count when
 * there is none. */
uint32_t sm_lower_unit_end(const struct sm_wasm_module *module, uint32_t first);

/* What the bodies of functions [first, end) refer to, declared. (lower.c) */
enum smelt_status sm_lower_declare(struct sm_lower_writer *writer,
                                   const struct sm_wasm_module *module, uint32_t first,
                                   uint32_t end, struct smelt_error *err);

/* body.c: translates the functions found in the text of wasm2c. */
enum smelt_status sm_lower_bodies(const struct sm_lower_input *input,
                                  struct sm_lower_writer *writer, struct smelt_error *err);

#endif
