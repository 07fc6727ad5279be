/* A decoded module: index spaces and byte ranges, no copies. Everything lives in the arena of the
 * compilation; slices point into the module's bytes, which outlive it.
 *
 * Calling sequence: sm_wasm_decode fills the struct and checks the binary grammar (core 2.0,
 * chapter 5) down to section and body boundaries; sm_wasm_validate reads every function body,
 * checks types (chapter 3, appendix A.3) and fills `max_height`. Only then may other passes read
 * bodies with sm_wasm_read_instr, without checking anything again. */
#ifndef SM_WASM_MODULE_H
#define SM_WASM_MODULE_H

#include "base/arena.h"
#include "compiler/wasm/opcode.h"

#include <smelt/bytes.h>
#include <smelt/host.h>
#include <smelt/status.h>

#define SM_WASM_NO_INDEX         UINT32_MAX
#define SM_WASM_PAGE_BYTES       65536u
#define SM_WASM_MEMORY_PAGES_MAX 65536u /* 4 GiB: core 2.0, section 3.2.1 */

/* Ceilings of the decoder and validator: MODULE_LIMIT beyond. They decide acceptance, so they are
 * part of consensus; a policy may be stricter. With them memory stays below about 100 bytes per
 * byte of module and time is linear in its size. */
#define SM_WASM_TYPES_MAX     100000u
#define SM_WASM_PARAMS_MAX    1000u /* of one type; results likewise */
#define SM_WASM_IMPORTS_MAX   100000u
#define SM_WASM_FUNCS_MAX     100000u /* defined functions; imported ones count as imports */
#define SM_WASM_GLOBALS_MAX   100000u /* defined globals */
#define SM_WASM_EXPORTS_MAX   100000u
#define SM_WASM_SEGMENTS_MAX  100000u  /* element and data segments, each */
#define SM_WASM_ITEMS_MAX     1000000u /* of all element segments together */
#define SM_WASM_LOCALS_MAX    50000u   /* declared by one function, without parameters */
#define SM_WASM_HEIGHT_MAX    1048576u /* values on the operand stack of one function */
#define SM_WASM_NAME_SIZE_MAX 1024u    /* bytes; longer names of the name section are ignored */

struct sm_wasm_type {
    uint32_t param_count;
    uint32_t result_count;
    const uint8_t *params; /* enum smelt_valtype codes, straight from the module */
    const uint8_t *results;
    uint32_t canonical; /* lowest type index with the same signature */
};

enum sm_wasm_external {
    SM_WASM_EXTERNAL_FUNC = 0,
    SM_WASM_EXTERNAL_TABLE = 1,
    SM_WASM_EXTERNAL_MEMORY = 2,
    SM_WASM_EXTERNAL_GLOBAL = 3
};

struct sm_wasm_limits {
    uint32_t min;
    uint32_t max; /* meaningful when has_max */
    bool has_max;
    uint32_t offset; /* of the entry */
};

/* A constant expression of the subset: one `*.const`, `global.get` of an imported immutable global,
 * `ref.null func` or `ref.func` (the last two in element segments only). */
enum sm_wasm_const_kind {
    SM_WASM_CONST_VALUE,
    SM_WASM_CONST_GLOBAL,
    SM_WASM_CONST_REF_NULL,
    SM_WASM_CONST_REF_FUNC
};

struct sm_wasm_const {
    enum sm_wasm_const_kind kind;
    enum smelt_valtype type; /* of VALUE and GLOBAL; NONE for references */
    uint64_t bits;           /* VALUE: i32 and f32 in the low half */
    uint32_t index;          /* GLOBAL: global index; REF_FUNC: function index */
    uint32_t offset;         /* bytes from the start of the module */
};

struct sm_wasm_global {
    enum smelt_valtype type;
    bool is_mutable;
    bool is_imported;
    struct sm_wasm_const init; /* unless imported */
};

struct sm_wasm_import {
    struct smelt_slice module;
    struct smelt_slice name;
    enum sm_wasm_external kind;
    uint32_t index;  /* in the index space of its kind: functions, tables … */
    uint32_t offset; /* of the entry */
};

struct sm_wasm_export {
    struct smelt_slice name;
    enum sm_wasm_external kind;
    uint32_t index;
    uint32_t offset; /* of the entry */
};

struct sm_wasm_local_run {
    uint32_t count;
    enum smelt_valtype type;
};

struct sm_wasm_func {
    uint32_t type_index;
    uint32_t offset; /* of the entry in the import or function section */
    bool is_imported;
    bool is_referenced;      /* occurs in an element segment, an export or a ref.func (C.refs) */
    struct smelt_slice name; /* export name, else valid name-section name; empty when neither */
    /* defined functions only: */
    const struct sm_wasm_local_run *local_runs;
    uint32_t local_run_count;
    uint32_t local_count;    /* declared locals, without parameters */
    struct smelt_slice code; /* instructions, the final `end` included */
    uint32_t body_offset;    /* of the body's first byte (locals vector), from the module's start */
    uint32_t code_offset;    /* of `code` */
    /* filled by sm_wasm_validate: */
    uint32_t max_height;  /* most operands on the value stack after any instruction that is not in
                             code the validator treats as unreachable */
    uint32_t max_nesting; /* most control frames open at once, the function's own included */
    bool uses_floats;     /* in its parameters, results, locals or instructions */
};

enum sm_wasm_segment_mode {
    SM_WASM_SEGMENT_ACTIVE,
    SM_WASM_SEGMENT_PASSIVE,
    SM_WASM_SEGMENT_DECLARED
};

struct sm_wasm_elem {
    enum sm_wasm_segment_mode mode;
    struct sm_wasm_const start;  /* table offset of an active segment */
    struct sm_wasm_const *items; /* REF_FUNC or REF_NULL */
    uint32_t item_count;
    uint32_t offset;
};

struct sm_wasm_data {
    enum sm_wasm_segment_mode mode;
    struct sm_wasm_const start; /* memory offset of an active segment */
    struct smelt_slice bytes;
    uint32_t offset;
};

struct sm_wasm_module {
    struct smelt_slice bytes;

    struct sm_wasm_type *types;
    uint32_t type_count;
    struct sm_wasm_import *imports;
    uint32_t import_count;
    struct sm_wasm_func *funcs; /* imported first */
    uint32_t func_count;
    uint32_t imported_func_count;
    struct sm_wasm_limits table; /* the subset has at most one table, of funcref */
    bool has_table;
    bool is_table_imported;
    struct sm_wasm_limits memory; /* pages; at most one */
    bool has_memory;
    bool is_memory_imported;
    struct sm_wasm_global *globals; /* imported first */
    uint32_t global_count;
    uint32_t imported_global_count;
    struct sm_wasm_export *exports;
    uint32_t export_count;
    bool has_start;
    uint32_t start_func;
    uint32_t start_offset;
    struct sm_wasm_elem *elems;
    uint32_t elem_count;
    struct sm_wasm_data *datas;
    uint32_t data_count;
    bool has_data_count; /* a data count section was there */
    uint32_t code_size;  /* bytes of the code section's content */
    bool uses_floats;    /* anywhere: types, globals, locals, instructions */
};

static inline const struct sm_wasm_type *sm_wasm_func_type(const struct sm_wasm_module *module,
                                                           uint32_t func_index)
{
    return &module->types[module->funcs[func_index].type_index];
}

/* MODULE_MALFORMED for what the grammar forbids; MODULE_INVALID for the two rules whose violation
 * the struct has no room for (a constant expression is one constant instruction, the only table and
 * memory have index 0); MODULE_FEATURE for constructs of a known proposal
 * outside the subset (SIMD, threads, reference types beyond funcref tables, memory64, several
 * memories or tables, exceptions, tail calls, typed function references, extended constants, GC);
 * MODULE_LIMIT for the decoder's own ceilings. `err` has section, function index and byte offset.
 * Memory is taken from `arena` only as the bytes that remain can justify. Unknown or ill-formed
 * custom sections are skipped. */
enum smelt_status sm_wasm_decode(struct smelt_slice bytes, struct sm_arena *arena,
                                 struct sm_wasm_module *module, struct smelt_error *err);

/* MODULE_INVALID with the rule that is broken, or MALFORMED / FEATURE / LIMIT from inside bodies.
 */
enum smelt_status sm_wasm_validate(struct sm_wasm_module *module, struct sm_arena *arena,
                                   struct smelt_error *err);

/* ---- reading instructions ----------------------------------------------------------------- */

/* The type of a block: core 2.0, section 5.4.1. */
struct sm_wasm_block_type {
    uint32_t type_index;       /* SM_WASM_NO_INDEX for the two short forms */
    enum smelt_valtype result; /* NONE: no result (short forms only) */
};

struct sm_wasm_instr {
    enum sm_wasm_op op;
    uint32_t offset; /* of the opcode, from the start of the module */
    uint32_t index;  /* label, function, type, local, global, data or element index */
    uint32_t index2; /* table index of call_indirect and table.init; source table of table.copy */
    struct sm_wasm_block_type block;
    uint32_t align;            /* memarg: log2 */
    uint32_t memory_offset;    /* memarg */
    uint64_t bits;             /* constants; i32 and f32 in the low half */
    uint32_t label_count;      /* br_table: without the default */
    struct smelt_slice labels; /* br_table: label_count + 1 LEB128 numbers, the default last */
    enum smelt_valtype select; /* select_t: its one type, NONE when the vector has not one */
};

/* A cursor over instructions of one function. */
struct sm_wasm_cursor {
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *module_start;
    const char *section; /* for messages: "code", "global" … */
    int64_t func_index;  /* for messages, -1 outside of a function */
};

struct sm_wasm_cursor sm_wasm_cursor_of(const struct sm_wasm_module *module, uint32_t func_index);

/* Reads one instruction, checking its encoding (LEB128 widths, reserved bytes) but not its meaning.
 */
enum smelt_status sm_wasm_read_instr(struct sm_wasm_cursor *cursor, struct sm_wasm_instr *out,
                                     struct smelt_error *err);

/* Next label of a br_table whose encoding was already read. */
uint32_t sm_wasm_next_label(struct smelt_slice *labels);

/* Parameters and results of a block type. Short forms use static storage. */
struct sm_wasm_type sm_wasm_block_signature(const struct sm_wasm_module *module,
                                            struct sm_wasm_block_type block);

#endif
