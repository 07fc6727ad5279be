/* Two walks over each body by the same code: the first adds up the blocks, the second writes,
 * taking the sums in the order in which the blocks started. */
#include "compiler/instrument/instrument.h"

#include "base/bytes.h"
#include "base/status.h"
#include "compiler/wasm/encode.h"
#include "hostabi/schedule.h"

#include <stdio.h>

#define SECTION_TYPE       1
#define SECTION_IMPORT     2
#define SECTION_FUNCTION   3
#define SECTION_TABLE      4
#define SECTION_MEMORY     5
#define SECTION_GLOBAL     6
#define SECTION_EXPORT     7
#define SECTION_ELEMENT    9
#define SECTION_CODE       10
#define SECTION_DATA       11
#define SECTION_DATA_COUNT 12

#define F32_CANONICAL_NAN UINT32_C(0x7fc00000)
#define F64_CANONICAL_NAN UINT64_C(0x7ff8000000000000)

/* One control construct on the way down to the current instruction. */
struct frame {
    enum sm_wasm_op op; /* block, loop, if; the function itself is a block */
    bool is_target;     /* a live branch goes to its label */
    bool has_else;
    bool is_live_at_else; /* the then-arm fell into else */
};

struct walk {
    const struct sm_wasm_module *module;
    const struct sm_policy *policy;
    const uint32_t *weights;
    const struct sm_schedule_dynamic *dynamic;
    uint32_t func_index;
    struct sm_encoder *out; /* NULL in the first walk */
    struct frame *frames;
    uint32_t depth; /* frames in use */
    bool is_live;
    bool is_wrapped; /* stack-checked: a block around the body stands in for the function's label */
    uint32_t reserve; /* stack weight to enter and leave with */
    uint64_t *sums;   /* per block, in order of their starts */
    uint32_t block;   /* blocks started */
    struct sm_site *sites;
    uint32_t site_count;
    struct sm_marker *markers;
    uint32_t marker_count;
    uint32_t scratch_i32; /* local indices; used when the flag is set */
    uint32_t scratch_f32;
    uint32_t scratch_f64;
    bool uses_i32, uses_f32, uses_f64;
};

/* ---- what is written ------------------------------------------------------------------------- */

static void put_op_index(struct walk *walk, enum sm_wasm_op op, uint32_t index)
{
    if (walk->out != NULL) {
        sm_encode_op(walk->out, op);
        sm_encode_u32(walk->out, index);
    }
}

static void put_op(struct walk *walk, enum sm_wasm_op op)
{
    if (walk->out != NULL) {
        sm_encode_op(walk->out, op);
    }
}

static void put_const(struct walk *walk, enum sm_wasm_op op, uint64_t value)
{
    if (walk->out != NULL) {
        sm_encode_op(walk->out, op);
        sm_encode_signed(walk->out, (int64_t)value);
    }
}

/* The amount is on the stack. */
static void put_marker(struct walk *walk, struct sm_marker marker)
{
    put_op_index(walk, SM_OP_CALL, walk->module->imported_func_count + (uint32_t)marker.kind);
    if (walk->out != NULL) {
        walk->markers[walk->marker_count] = marker;
    }
    walk->marker_count++;
}

static void put_stack_marker(struct walk *walk, enum sm_marker_kind kind)
{
    put_const(walk, SM_OP_I32_CONST, walk->reserve);
    put_marker(walk, (struct sm_marker){.kind = kind, .amount = walk->reserve});
}

static void put_instr(struct walk *walk, const struct sm_wasm_instr *instr)
{
    if (walk->out != NULL) {
        sm_encode_instr(walk->out, instr, walk->module->imported_func_count, SM_MARKER_COUNT);
    }
}

static void add_site(struct walk *walk, enum sm_wasm_op op, uint32_t offset, uint32_t index)
{
    if (walk->out != NULL) {
        walk->sites[walk->site_count] = (struct sm_site){op, offset, index};
    }
    walk->site_count++;
}

/* A zero charge is written only where generated code must check: entries and loop headers. */
static void start_block(struct walk *walk, bool is_checked)
{
    walk->is_live = true;
    uint32_t block = walk->block++;
    if (walk->out == NULL) {
        walk->sums[block] = 0;
        walk->marker_count++;
    } else if (walk->sums[block] != 0 || is_checked) {
        put_const(walk, SM_OP_I64_CONST, walk->sums[block]);
        put_marker(walk, (struct sm_marker){.kind = SM_MARKER_FUEL,
                                            .is_checked = is_checked,
                                            .amount = walk->sums[block]});
    }
}

static void charge(struct walk *walk, enum sm_wasm_op op)
{
    if (walk->out == NULL) {
        walk->sums[walk->block - 1] += walk->weights[op];
    }
}

/* Before an instruction whose cost grows with the i32 on top of the stack, which stays there. */
static void put_dynamic_charge(struct walk *walk, struct sm_schedule_rate rate)
{
    if (rate.per_unit == 0) {
        return;
    }
    walk->uses_i32 = true;
    put_op_index(walk, SM_OP_LOCAL_TEE, walk->scratch_i32);
    put_op_index(walk, SM_OP_LOCAL_GET, walk->scratch_i32);
    put_op(walk, SM_OP_I64_EXTEND_I32_U);
    if (rate.unit_bytes > 1) {
        put_const(walk, SM_OP_I64_CONST, rate.unit_bytes - 1);
        put_op(walk, SM_OP_I64_ADD);
        put_const(walk, SM_OP_I64_CONST, (uint64_t)__builtin_ctzll(rate.unit_bytes));
        put_op(walk, SM_OP_I64_SHR_U);
    }
    put_const(walk, SM_OP_I64_CONST, rate.per_unit);
    put_op(walk, SM_OP_I64_MUL);
    put_marker(walk,
               (struct sm_marker){.kind = SM_MARKER_FUEL, .is_checked = true, .is_dynamic = true});
}

/* v -> v == v ? v : canonical NaN */
static void put_canonical_nan(struct walk *walk, bool is_f64)
{
    uint32_t local = is_f64 ? walk->scratch_f64 : walk->scratch_f32;
    *(is_f64 ? &walk->uses_f64 : &walk->uses_f32) = true;
    put_op_index(walk, SM_OP_LOCAL_TEE, local);
    const struct sm_wasm_instr nan = {.op = is_f64 ? SM_OP_F64_CONST : SM_OP_F32_CONST,
                                      .bits = is_f64 ? F64_CANONICAL_NAN : F32_CANONICAL_NAN};
    put_instr(walk, &nan);
    put_op_index(walk, SM_OP_LOCAL_GET, local);
    put_op_index(walk, SM_OP_LOCAL_GET, local);
    put_op(walk, is_f64 ? SM_OP_F64_EQ : SM_OP_F32_EQ);
    put_op(walk, SM_OP_SELECT);
}

/* ---- control flow ---------------------------------------------------------------------------- */

static void push_frame(struct walk *walk, enum sm_wasm_op op)
{
    walk->frames[walk->depth++] = (struct frame){.op = op};
}

static void mark_target(struct walk *walk, uint32_t label)
{
    walk->frames[walk->depth - 1 - label].is_target = true;
}

/* After `end` (already written) of a construct: does a block start here, go on, or is this never
 * reached? */
static void after_end(struct walk *walk, struct frame frame, uint32_t offset)
{
    bool is_if = frame.op == SM_OP_IF;
    bool is_reached = walk->is_live || (frame.op != SM_OP_LOOP && frame.is_target) ||
                      (is_if && (!frame.has_else || frame.is_live_at_else));
    bool is_joined = is_if || (frame.op == SM_OP_BLOCK && frame.is_target);
    if (!is_reached) {
        /* the validator types what follows as reachable: close it off */
        add_site(walk, SM_OP_UNREACHABLE, offset, 0);
        put_op(walk, SM_OP_UNREACHABLE);
    } else if (is_joined) {
        start_block(walk, false);
    }
}

/* Dead code is skipped up to the `else` or `end` that closes the construct it stands in. */
static bool skip_dead(uint32_t *nested, enum sm_wasm_op op)
{
    if (op == SM_OP_BLOCK || op == SM_OP_LOOP || op == SM_OP_IF) {
        (*nested)++;
        return true;
    }
    if (*nested != 0) {
        *nested -= op == SM_OP_END;
        return true;
    }
    return op != SM_OP_ELSE && op != SM_OP_END;
}

static void walk_end(struct walk *walk, const struct sm_wasm_instr *instr)
{
    struct frame frame = walk->frames[--walk->depth];
    if (walk->is_live) {
        charge(walk, SM_OP_END);
    }
    put_op(walk, SM_OP_END);
    if (walk->depth != 0) {
        after_end(walk, frame, instr->offset);
    } else if (walk->is_wrapped) {
        /* that was the end of the body's block; now of the function */
        put_stack_marker(walk, SM_MARKER_LEAVE);
        put_op(walk, SM_OP_END);
    }
}

static void walk_else(struct walk *walk)
{
    struct frame *frame = &walk->frames[walk->depth - 1];
    if (walk->is_live) {
        charge(walk, SM_OP_ELSE);
    }
    frame->has_else = true;
    frame->is_live_at_else = walk->is_live;
    put_op(walk, SM_OP_ELSE);
    start_block(walk, false);
}

static bool is_site(enum sm_wasm_op op)
{
    switch ((int)op) {
    case SM_OP_CALL:
    case SM_OP_GLOBAL_SET:
    case SM_OP_MEMORY_GROW:
    case SM_OP_DATA_DROP:
    case SM_OP_ELEM_DROP:
        return true;
    default:
        return (sm_wasm_ops[op].flags & SM_OP_FLAG_TRAP) != 0;
    }
}

static void walk_live(struct walk *walk, const struct sm_wasm_instr *instr)
{
    const struct sm_wasm_op_info *info = &sm_wasm_ops[instr->op];
    charge(walk, instr->op);
    if (is_site(instr->op)) {
        add_site(walk, instr->op, instr->offset, instr->index);
    }
    switch ((int)instr->op) {
    case SM_OP_BLOCK:
    case SM_OP_LOOP:
    case SM_OP_IF:
        put_instr(walk, instr);
        push_frame(walk, instr->op);
        if (instr->op != SM_OP_BLOCK) {
            start_block(walk, instr->op == SM_OP_LOOP);
        }
        return;
    case SM_OP_BR:
    case SM_OP_BR_IF:
        mark_target(walk, instr->index);
        put_instr(walk, instr);
        break;
    case SM_OP_BR_TABLE: {
        struct smelt_slice labels = instr->labels;
        for (uint64_t i = 0; i <= instr->label_count; i++) {
            mark_target(walk, sm_wasm_next_label(&labels));
        }
        put_instr(walk, instr);
        break;
    }
    case SM_OP_RETURN:
        /* the function's frame is the outermost label, wrapped or not */
        put_op_index(walk, SM_OP_BR, walk->depth - 1);
        break;
    case SM_OP_MEMORY_GROW:
        put_dynamic_charge(walk, (struct sm_schedule_rate){walk->dynamic->memory_grow_page, 1});
        put_instr(walk, instr);
        break;
    case SM_OP_MEMORY_COPY:
    case SM_OP_MEMORY_FILL:
    case SM_OP_MEMORY_INIT:
        put_dynamic_charge(walk, walk->dynamic->bulk_memory);
        put_instr(walk, instr);
        break;
    case SM_OP_TABLE_COPY:
    case SM_OP_TABLE_INIT:
        put_dynamic_charge(walk, walk->dynamic->bulk_table);
        put_instr(walk, instr);
        break;
    default:
        put_instr(walk, instr);
        if ((info->flags & SM_OP_FLAG_NAN) != 0 &&
            walk->policy->floats == SMELT_FLOAT_CANONICAL_NAN) {
            put_canonical_nan(walk, info->results[0] == 'F');
        }
        break;
    }
    switch ((int)instr->op) {
    case SM_OP_BR:
    case SM_OP_BR_TABLE:
    case SM_OP_RETURN:
    case SM_OP_UNREACHABLE:
        walk->is_live = false;
        break;
    case SM_OP_BR_IF:
    case SM_OP_CALL:
    case SM_OP_CALL_INDIRECT:
    case SM_OP_MEMORY_GROW:
        start_block(walk, false);
        break;
    default:
        break;
    }
}

static enum smelt_status walk_body(struct walk *walk, struct smelt_error *err)
{
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(walk->module, walk->func_index);
    struct sm_wasm_instr instr;
    uint32_t nested = 0;
    walk->depth = 0;
    walk->block = 0;
    walk->site_count = 0;
    push_frame(walk, SM_OP_BLOCK);
    start_block(walk, true);
    while (cursor.at != cursor.end) {
        enum smelt_status status = sm_wasm_read_instr(&cursor, &instr, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        if (!walk->is_live && skip_dead(&nested, instr.op)) {
            continue;
        }
        if (instr.op == SM_OP_END) {
            walk_end(walk, &instr);
        } else if (instr.op == SM_OP_ELSE) {
            walk_else(walk);
        } else {
            walk_live(walk, &instr);
        }
    }
    return SMELT_STATUS_OK;
}

/* ---- function bodies ------------------------------------------------------------------------- */

/* Buffers that all bodies share, as large as the largest needs. */
struct scratch {
    struct frame *frames;
    uint64_t *sums;
};

static enum smelt_status allocate_scratch(const struct sm_wasm_module *module,
                                          struct sm_arena *arena, struct scratch *out,
                                          struct smelt_error *err)
{
    size_t nesting = 1;
    size_t instrs = 1;
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        const struct sm_wasm_func *func = &module->funcs[i];
        nesting = func->max_nesting > nesting ? func->max_nesting : nesting;
        instrs = func->code.size > instrs ? func->code.size : instrs;
    }
    out->frames = (struct frame *)sm_arena_calloc(arena, nesting + 1, sizeof(*out->frames));
    out->sums = (uint64_t *)sm_arena_calloc(arena, instrs + 1, sizeof(*out->sums));
    return out->frames != NULL && out->sums != NULL ? SMELT_STATUS_OK
                                                    : sm_error_no_memory(err, "instrument");
}

static void encode_locals(const struct walk *walk, const struct sm_wasm_func *func)
{
    const struct {
        bool is_used;
        uint8_t type;
    } scratch[] = {{walk->uses_i32, SMELT_VALTYPE_I32},
                   {walk->uses_f32, SMELT_VALTYPE_F32},
                   {walk->uses_f64, SMELT_VALTYPE_F64}};
    uint32_t runs = func->local_run_count;
    for (size_t i = 0; i < 3; i++) {
        runs += scratch[i].is_used;
    }
    sm_encode_u32(walk->out, runs);
    for (uint32_t i = 0; i < func->local_run_count; i++) {
        sm_encode_u32(walk->out, func->local_runs[i].count);
        sm_encode_byte(walk->out, (uint8_t)func->local_runs[i].type);
    }
    for (size_t i = 0; i < 3; i++) {
        if (scratch[i].is_used) {
            sm_encode_u32(walk->out, 1);
            sm_encode_byte(walk->out, scratch[i].type);
        }
    }
}

static void place_scratch_locals(struct walk *walk, const struct sm_wasm_func *func)
{
    uint32_t next =
        sm_wasm_func_type(walk->module, walk->func_index)->param_count + func->local_count;
    walk->scratch_i32 = next;
    next += walk->uses_i32;
    walk->scratch_f32 = next;
    next += walk->uses_f32;
    walk->scratch_f64 = next;
}

/* `wrapper_type` is a type () -> results, for the block around a checked body. */
static enum smelt_status instrument_body(struct walk *walk, const struct sm_stack_weight *stack,
                                         uint32_t wrapper_type, struct sm_arena *arena,
                                         struct sm_encoder *body, struct sm_instrumented_func *out,
                                         struct smelt_error *err)
{
    const struct sm_wasm_func *func = &walk->module->funcs[walk->func_index];
    enum smelt_status status = walk_body(walk, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    out->site_count = walk->site_count;
    walk->sites = (struct sm_site *)sm_arena_calloc(arena, walk->site_count, sizeof(*walk->sites));
    /* blocks that cost nothing have none, enter and leave come on top */
    walk->markers = (struct sm_marker *)sm_arena_calloc(arena, (size_t)walk->marker_count + 2,
                                                        sizeof(*walk->markers));
    if (walk->sites == NULL || walk->markers == NULL) {
        return sm_error_no_memory(err, "instrument");
    }
    out->sites = walk->sites;
    out->markers = walk->markers;
    walk->marker_count = 0;
    walk->out = body;
    place_scratch_locals(walk, func);
    encode_locals(walk, func);
    walk->is_wrapped = stack->is_checked;
    walk->reserve = stack->reserve;
    if (walk->is_wrapped) {
        put_stack_marker(walk, SM_MARKER_ENTER);
        const struct sm_wasm_instr block = {.op = SM_OP_BLOCK,
                                            .block = {.type_index = wrapper_type}};
        put_instr(walk, &block);
    }
    status = walk_body(walk, err);
    out->marker_count = walk->marker_count;
    return status;
}

static enum smelt_status encode_code(const struct sm_wasm_module *module,
                                     const struct sm_policy *policy,
                                     const struct smelt_schedule *schedule,
                                     const uint32_t *wrapper_types, struct sm_arena *arena,
                                     struct sm_encoder *encoder, struct sm_instrumented *out,
                                     struct smelt_error *err)
{
    struct scratch scratch;
    struct sm_encoder section = {0};
    struct sm_encoder body = {0};
    size_t weight_count;
    struct sm_instrumented_func *funcs =
        (struct sm_instrumented_func *)sm_arena_calloc(arena, module->func_count, sizeof(*funcs));
    enum smelt_status status = SMELT_STATUS_OK;
    if (funcs == NULL) {
        return sm_error_no_memory(err, "instrument");
    }
    SMELT_TRY(allocate_scratch(module, arena, &scratch, err));
    sm_encode_u32(&section, module->func_count - module->imported_func_count);
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        struct walk walk = {.module = module,
                            .policy = policy,
                            .weights = sm_schedule_weights(schedule, &weight_count),
                            .dynamic = sm_schedule_dynamic(schedule),
                            .func_index = i,
                            .frames = scratch.frames,
                            .sums = scratch.sums};
        SMELT_TRY(instrument_body(&walk, &out->stack[i], wrapper_types[module->funcs[i].type_index],
                                  arena, &body, &funcs[i], err));
        sm_encode_sized(&section, -1, &body);
    }
    sm_encode_sized(encoder, SECTION_CODE, &section);
    out->funcs = funcs;
cleanup:
    smelt_buf_deinit(&section.out);
    smelt_buf_deinit(&body.out);
    return status;
}

/* ---- the other sections ---------------------------------------------------------------------- */

static void encode_signature(struct sm_encoder *section, const uint8_t *params,
                             uint32_t param_count, const uint8_t *results, uint32_t result_count)
{
    sm_encode_byte(section, 0x60);
    sm_encode_u32(section, param_count);
    sm_encode_bytes(section, sm_slice(params, param_count));
    sm_encode_u32(section, result_count);
    sm_encode_bytes(section, sm_slice(results, result_count));
}

/* The module's types in place, then (i64) -> () and (i32) -> () for the markers, then () -> results
 * for every type whose functions may be wrapped. */
static void encode_types(const struct sm_wasm_module *module, struct sm_encoder *encoder,
                         uint32_t *wrapper_types)
{
    static const uint8_t i32[] = {SMELT_VALTYPE_I32};
    static const uint8_t i64[] = {SMELT_VALTYPE_I64};
    struct sm_encoder section = {0};
    sm_encode_u32(&section, 2 * module->type_count + 2);
    for (uint32_t i = 0; i < module->type_count; i++) {
        const struct sm_wasm_type *type = &module->types[i];
        encode_signature(&section, type->params, type->param_count, type->results,
                         type->result_count);
    }
    encode_signature(&section, i64, 1, NULL, 0);
    encode_signature(&section, i32, 1, NULL, 0);
    for (uint32_t i = 0; i < module->type_count; i++) {
        const struct sm_wasm_type *type = &module->types[i];
        encode_signature(&section, NULL, 0, type->results, type->result_count);
        wrapper_types[i] = module->type_count + 2 + i;
    }
    sm_encode_sized(encoder, SECTION_TYPE, &section);
}

static void encode_import(struct sm_encoder *section, const char *module_name, const char *name,
                          uint32_t type_index)
{
    sm_encode_name(section, smelt_slice_from_string(module_name));
    sm_encode_name(section, smelt_slice_from_string(name));
    sm_encode_byte(section, SM_WASM_EXTERNAL_FUNC);
    sm_encode_u32(section, type_index);
}

static void encode_imports(const struct sm_wasm_module *module, struct sm_encoder *encoder)
{
    static const char *const markers[SM_MARKER_COUNT] = {"fuel", "enter", "leave"};
    struct sm_encoder section = {0};
    sm_encode_u32(&section, module->imported_func_count + SM_MARKER_COUNT);
    for (uint32_t i = 0; i < module->imported_func_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "i%u", i);
        encode_import(&section, "h", name, module->funcs[i].type_index);
    }
    for (uint32_t i = 0; i < SM_MARKER_COUNT; i++) {
        encode_import(&section, "m", markers[i], module->type_count + (i != SM_MARKER_FUEL));
    }
    sm_encode_sized(encoder, SECTION_IMPORT, &section);
}

static uint32_t shifted_func(const struct sm_wasm_module *module, uint32_t index)
{
    return index + (index >= module->imported_func_count ? SM_MARKER_COUNT : 0);
}

static void encode_const(const struct sm_wasm_module *module, struct sm_encoder *section,
                         const struct sm_wasm_const *value)
{
    struct sm_wasm_instr instr = {.bits = value->bits, .index = value->index};
    switch (value->kind) {
    case SM_WASM_CONST_GLOBAL:
        instr.op = SM_OP_GLOBAL_GET;
        sm_encode_instr(section, &instr, 0, 0);
        break;
    case SM_WASM_CONST_REF_NULL:
        sm_encode_byte(section, 0xd0);
        sm_encode_byte(section, 0x70);
        break;
    case SM_WASM_CONST_REF_FUNC:
        sm_encode_byte(section, 0xd2);
        sm_encode_u32(section, shifted_func(module, value->index));
        break;
    case SM_WASM_CONST_VALUE:
        instr.op = value->type == SMELT_VALTYPE_I32   ? SM_OP_I32_CONST
                   : value->type == SMELT_VALTYPE_I64 ? SM_OP_I64_CONST
                   : value->type == SMELT_VALTYPE_F32 ? SM_OP_F32_CONST
                                                      : SM_OP_F64_CONST;
        sm_encode_instr(section, &instr, 0, 0);
        break;
    }
    sm_encode_op(section, SM_OP_END);
}

static void encode_functions(const struct sm_wasm_module *module, struct sm_encoder *encoder)
{
    struct sm_encoder section = {0};
    sm_encode_u32(&section, module->func_count - module->imported_func_count);
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        sm_encode_u32(&section, module->funcs[i].type_index);
    }
    sm_encode_sized(encoder, SECTION_FUNCTION, &section);
}

static void encode_table_and_memory(const struct sm_wasm_module *module,
                                    const struct sm_instrumented *out, struct sm_encoder *encoder)
{
    if (module->has_table) {
        struct sm_encoder section = {0};
        sm_encode_u32(&section, 1);
        sm_encode_byte(&section, 0x70);
        sm_encode_limits(&section, module->table);
        sm_encode_sized(encoder, SECTION_TABLE, &section);
    }
    if (module->has_memory) {
        struct sm_encoder section = {0};
        sm_encode_u32(&section, 1);
        sm_encode_limits(&section, (struct sm_wasm_limits){.min = out->memory_min,
                                                           .max = out->memory_max,
                                                           .has_max = true});
        sm_encode_sized(encoder, SECTION_MEMORY, &section);
    }
}

static void encode_globals(const struct sm_wasm_module *module, struct sm_encoder *encoder)
{
    struct sm_encoder section = {0};
    sm_encode_u32(&section, module->global_count);
    for (uint32_t i = 0; i < module->global_count; i++) {
        sm_encode_byte(&section, (uint8_t)module->globals[i].type);
        sm_encode_byte(&section, module->globals[i].is_mutable);
        encode_const(module, &section, &module->globals[i].init);
    }
    sm_encode_sized(encoder, SECTION_GLOBAL, &section);
}

static void encode_exports(const struct sm_wasm_module *module, struct sm_encoder *encoder)
{
    struct sm_encoder section = {0};
    uint32_t count = module->has_memory;
    for (uint32_t i = 0; i < module->export_count; i++) {
        count += module->exports[i].kind == SM_WASM_EXTERNAL_FUNC;
    }
    sm_encode_u32(&section, count);
    for (uint32_t i = 0; i < module->export_count; i++) {
        if (module->exports[i].kind == SM_WASM_EXTERNAL_FUNC) {
            char name[16];
            (void)snprintf(name, sizeof(name), "x%u", i);
            sm_encode_name(&section, smelt_slice_from_string(name));
            sm_encode_byte(&section, SM_WASM_EXTERNAL_FUNC);
            sm_encode_u32(&section, shifted_func(module, module->exports[i].index));
        }
    }
    if (module->has_memory) {
        sm_encode_name(&section, smelt_slice_from_string("memory"));
        sm_encode_byte(&section, SM_WASM_EXTERNAL_MEMORY);
        sm_encode_u32(&section, 0);
    }
    sm_encode_sized(encoder, SECTION_EXPORT, &section);
}

/* A declared segment becomes a passive one without items: table.init and elem.drop do the same with
 * both. */
static void encode_elem(const struct sm_wasm_module *module, const struct sm_wasm_elem *elem,
                        struct sm_encoder *section)
{
    bool is_active = elem->mode == SM_WASM_SEGMENT_ACTIVE;
    uint32_t count = elem->mode == SM_WASM_SEGMENT_DECLARED ? 0 : elem->item_count;
    bool has_null = false;
    for (uint32_t i = 0; i < count; i++) {
        has_null |= elem->items[i].kind == SM_WASM_CONST_REF_NULL;
    }
    /* core 2.0, section 5.5.12: bit 0 not active, bit 2 expressions instead of indices */
    sm_encode_u32(section, (is_active ? 0u : 1u) | (has_null ? 4u : 0u));
    if (is_active) {
        encode_const(module, section, &elem->start);
    } else {
        sm_encode_byte(section, has_null ? 0x70 : 0x00);
    }
    sm_encode_u32(section, count);
    for (uint32_t i = 0; i < count; i++) {
        if (has_null) {
            encode_const(module, section, &elem->items[i]);
        } else {
            sm_encode_u32(section, shifted_func(module, elem->items[i].index));
        }
    }
}

static void encode_elems(const struct sm_wasm_module *module, struct sm_encoder *encoder)
{
    struct sm_encoder section = {0};
    sm_encode_u32(&section, module->elem_count);
    for (uint32_t i = 0; i < module->elem_count; i++) {
        encode_elem(module, &module->elems[i], &section);
    }
    sm_encode_sized(encoder, SECTION_ELEMENT, &section);
}

static void encode_datas(const struct sm_wasm_module *module, struct sm_encoder *encoder)
{
    struct sm_encoder section = {0};
    sm_encode_u32(&section, module->data_count);
    for (uint32_t i = 0; i < module->data_count; i++) {
        const struct sm_wasm_data *data = &module->datas[i];
        bool is_active = data->mode == SM_WASM_SEGMENT_ACTIVE;
        sm_encode_u32(&section, is_active ? 0 : 1);
        if (is_active) {
            encode_const(module, &section, &data->start);
        }
        sm_encode_name(&section, data->bytes); /* a size and bytes */
    }
    sm_encode_sized(encoder, SECTION_DATA, &section);
}

static void plan_memory(const struct sm_wasm_module *module, const struct sm_policy *policy,
                        const struct smelt_profile *profile, struct sm_instrumented *out)
{
    out->return_page = UINT32_MAX;
    if (!module->has_memory) {
        return;
    }
    out->memory_min = module->memory.min;
    out->memory_max = sm_gate_memory_pages_max(policy, profile);
    if (module->memory.has_max && module->memory.max < out->memory_max) {
        out->memory_max = module->memory.max;
    }
    if (sm_gate_needs_return_page(module, profile)) {
        out->return_page = out->memory_min++;
    }
}

enum smelt_status sm_instrument(const struct sm_wasm_module *module, const struct sm_policy *policy,
                                const struct smelt_profile *profile,
                                const struct smelt_schedule *schedule, struct sm_arena *arena,
                                struct sm_instrumented *out, struct smelt_error *err)
{
    static const uint8_t header[] = {0, 'a', 's', 'm', 1, 0, 0, 0};
    struct sm_encoder encoder = {0};
    *out = (struct sm_instrumented){0};
    uint32_t *wrapper_types =
        (uint32_t *)sm_arena_calloc(arena, module->type_count, sizeof(*wrapper_types));
    enum smelt_status status =
        wrapper_types != NULL ? SMELT_STATUS_OK : sm_error_no_memory(err, "instrument");
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    SMELT_TRY(sm_stack_weigh(module, arena, &out->stack, err));
    plan_memory(module, policy, profile, out);
    sm_encode_bytes(&encoder, sm_slice(header, sizeof(header)));
    encode_types(module, &encoder, wrapper_types);
    encode_imports(module, &encoder);
    encode_functions(module, &encoder);
    encode_table_and_memory(module, out, &encoder);
    encode_globals(module, &encoder);
    encode_exports(module, &encoder);
    encode_elems(module, &encoder);
    if (module->data_count != 0) {
        struct sm_encoder section = {0};
        sm_encode_u32(&section, module->data_count);
        sm_encode_sized(&encoder, SECTION_DATA_COUNT, &section);
    }
    SMELT_TRY(encode_code(module, policy, schedule, wrapper_types, arena, &encoder, out, err));
    encode_datas(module, &encoder);
    if (encoder.is_short_of_memory) {
        status = sm_error_no_memory(err, "instrument");
        goto cleanup;
    }
    out->wasm = encoder.out;
    encoder.out = (struct smelt_buf){0};
cleanup:
    smelt_buf_deinit(&encoder.out);
    return status;
}
