/* The rules of validation (core 2.0, chapter 3): index spaces and constants first, then every body
 * with the algorithm of the specification's appendix.
 *
 * Two stacks: operand types, one byte each, and control frames. After an unconditional branch the
 * rest of a frame is unreachable: its operands end where the frame began and whatever is missing
 * below is of any type. Nothing recurses, both stacks grow in the arena and are reused by the next
 * function.
 *
 * Time is linear in the module's size: whole type vectors are compared with memcmp, vectors have at
 * most SM_WASM_PARAMS_MAX types, and the locals of a function are laid out flat only as far as its
 * code is long; those beyond are found by bisection. */
#include "base/bytes.h"
#include "base/status.h"
#include "compiler/wasm/read.h"

#include <stdlib.h>
#include <string.h>

#define ANY SMELT_VALTYPE_NONE /* an operand of unreachable code whose type is not known */

#define STACK_INITIAL 256u /* values or frames */

struct frame {
    const uint8_t *params; /* what a branch to a loop takes; not for the function's own frame */
    const uint8_t *results;
    uint32_t param_count;
    uint32_t result_count;
    uint32_t height;     /* operands below it */
    uint16_t op;         /* enum sm_wasm_op: BLOCK (also the function's own), LOOP, IF, ELSE */
    bool is_unreachable; /* an unconditional branch was seen in it */
    bool is_dead;        /* it was opened in unreachable code */
};

/* A row of opcodes.def with its letters turned into types. */
struct shape {
    uint8_t param_count;
    uint8_t params[3];
    uint8_t result; /* ANY: none */
    bool is_plain;  /* the types are all there is to check, besides the immediate */
    bool has_float;
};

struct validator {
    struct sm_wasm_module *module;
    struct sm_arena *arena;
    struct smelt_error *err;
    struct shape shapes[SM_OP_COUNT];

    /* the function in work */
    struct sm_wasm_func *func;
    const struct sm_wasm_type *type;
    struct sm_wasm_cursor cursor;
    struct sm_wasm_instr instr;
    uint8_t *values;
    uint32_t height;
    uint32_t capacity;
    struct frame *frames;
    uint32_t frame_count;
    uint32_t frame_capacity;
    uint8_t *locals; /* types of the first `flat_count`, parameters included */
    uint32_t flat_count;
    uint32_t flat_capacity;
    uint32_t *run_ends; /* when there are more: cumulated counts of the local runs */
    uint32_t run_capacity;
};

/* ---- errors ------------------------------------------------------------------------------ */

#define FAIL(v, status, ...)                                                                       \
    sm_wasm_fail(&(v)->cursor, (v)->module->bytes.data + (v)->instr.offset, (status), (v)->err,    \
                 __VA_ARGS__)
#define INVALID(v, ...) FAIL(v, SMELT_STATUS_MODULE_INVALID, __VA_ARGS__)

static const char *op_text(const struct validator *v)
{
    return sm_wasm_ops[v->instr.op].text;
}

static enum smelt_status fail_mismatch(const struct validator *v, uint8_t expected, uint8_t actual)
{
    return INVALID(v, "type mismatch: %s expects %s but the stack has %s", op_text(v),
                   smelt_valtype_name((enum smelt_valtype)expected),
                   smelt_valtype_name((enum smelt_valtype)actual));
}

/* An error of the module outside of bodies. */
static enum smelt_status fail_at(const struct validator *v, const char *section, uint32_t offset,
                                 const char *message, uint32_t index)
{
    return sm_error_set_at(v->err, SMELT_STATUS_MODULE_INVALID, section, -1, offset, "%s %u",
                           message, index);
}

static enum smelt_status fail_rule(const struct validator *v, const char *section, uint32_t offset,
                                   const char *message)
{
    return sm_error_set_at(v->err, SMELT_STATUS_MODULE_INVALID, section, -1, offset, "%s", message);
}

/* ---- operands ---------------------------------------------------------------------------- */

static enum smelt_status reserve(struct validator *v, uint32_t more)
{
    if (more <= v->capacity - v->height) {
        return SMELT_STATUS_OK;
    }
    if (more > SM_WASM_HEIGHT_MAX - v->height) {
        return FAIL(v, SMELT_STATUS_MODULE_LIMIT,
                    "more than %u values on the operand stack exceed the limit",
                    SM_WASM_HEIGHT_MAX);
    }
    uint32_t capacity = v->capacity;
    do {
        capacity *= 2;
    } while (capacity - v->height < more);
    uint8_t *values = (uint8_t *)sm_arena_grow(v->arena, v->values, v->height, capacity, 1);
    if (values == NULL) {
        return sm_error_no_memory(v->err, "code");
    }
    v->values = values;
    v->capacity = capacity;
    return SMELT_STATUS_OK;
}

static enum smelt_status push(struct validator *v, uint8_t type)
{
    if (v->height == v->capacity) {
        enum smelt_status status = reserve(v, 1);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
    }
    v->values[v->height++] = type;
    return SMELT_STATUS_OK;
}

static enum smelt_status push_all(struct validator *v, const uint8_t *types, uint32_t count)
{
    if (count == 0) {
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = reserve(v, count);
    if (status == SMELT_STATUS_OK) {
        memcpy(v->values + v->height, types, count);
        v->height += count;
    }
    return status;
}

static struct frame *top_frame(struct validator *v)
{
    return &v->frames[v->frame_count - 1];
}

/* `*out` is ANY when the operand is one that unreachable code only pretends to have. */
static enum smelt_status pop_any(struct validator *v, uint8_t expected, uint8_t *out)
{
    const struct frame *frame = top_frame(v);
    if (v->height > frame->height) {
        *out = v->values[--v->height];
        return SMELT_STATUS_OK;
    }
    *out = ANY;
    if (frame->is_unreachable) {
        return SMELT_STATUS_OK;
    }
    return INVALID(v, "type mismatch: %s expects %s but the stack is empty", op_text(v),
                   expected != ANY ? smelt_valtype_name((enum smelt_valtype)expected) : "a value");
}

static enum smelt_status pop(struct validator *v, uint8_t expected)
{
    uint8_t actual;
    enum smelt_status status = pop_any(v, expected, &actual);
    if (status == SMELT_STATUS_OK && actual != expected && actual != ANY) {
        status = fail_mismatch(v, expected, actual);
    }
    return status;
}

/* Whether the topmost operands are `types`, the last one on top. Nothing is popped. */
static enum smelt_status check_all(struct validator *v, const uint8_t *types, uint32_t count)
{
    const struct frame *frame = top_frame(v);
    uint32_t present = v->height - frame->height;
    if (count == 0 ||
        (count <= present && memcmp(v->values + v->height - count, types, count) == 0)) {
        return SMELT_STATUS_OK;
    }
    if (count > present) {
        if (!frame->is_unreachable) {
            return INVALID(v, "type mismatch: %s expects %u values but the stack has %u",
                           op_text(v), count, present);
        }
        types += count - present;
        count = present;
    }
    const uint8_t *values = v->values + v->height - count;
    for (uint32_t i = count; i-- > 0;) {
        if (values[i] != types[i] && values[i] != ANY) {
            return fail_mismatch(v, types[i], values[i]);
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status pop_all(struct validator *v, const uint8_t *types, uint32_t count)
{
    enum smelt_status status = check_all(v, types, count);
    if (status == SMELT_STATUS_OK) {
        uint32_t present = v->height - top_frame(v)->height;
        v->height -= count < present ? count : present;
    }
    return status;
}

/* ---- control ----------------------------------------------------------------------------- */

static enum smelt_status push_frame(struct validator *v, enum sm_wasm_op op,
                                    struct sm_wasm_type type)
{
    if (v->frame_count == v->frame_capacity) {
        struct frame *frames = (struct frame *)sm_arena_grow(
            v->arena, v->frames, v->frame_count, (size_t)v->frame_capacity * 2, sizeof(*frames));
        if (frames == NULL) {
            return sm_error_no_memory(v->err, "code");
        }
        v->frames = frames;
        v->frame_capacity *= 2;
    }
    bool is_dead = false;
    if (v->frame_count != 0) {
        is_dead = top_frame(v)->is_dead || top_frame(v)->is_unreachable;
    }
    v->frames[v->frame_count++] = (struct frame){.params = type.params,
                                                 .results = type.results,
                                                 .param_count = type.param_count,
                                                 .result_count = type.result_count,
                                                 .height = v->height,
                                                 .op = (uint16_t)op,
                                                 .is_dead = is_dead};
    if (v->frame_count > v->func->max_nesting) {
        v->func->max_nesting = v->frame_count;
    }
    return push_all(v, type.params, type.param_count);
}

static void set_unreachable(struct validator *v)
{
    struct frame *frame = top_frame(v);
    v->height = frame->height;
    frame->is_unreachable = true;
}

static enum smelt_status check_block(struct validator *v)
{
    struct sm_wasm_type type;
    enum smelt_status status = SMELT_STATUS_OK;
    if (v->instr.block.type_index != SM_WASM_NO_INDEX &&
        v->instr.block.type_index >= v->module->type_count) {
        return INVALID(v, "unknown type %u", v->instr.block.type_index);
    }
    if (v->instr.op == SM_OP_IF) {
        SMELT_TRY(pop(v, SMELT_VALTYPE_I32));
    }
    /* of a type index, the type section has told already */
    v->func->uses_floats |= sm_wasm_is_float((uint8_t)v->instr.block.result);
    type = sm_wasm_block_signature(v->module, v->instr.block);
    SMELT_TRY(pop_all(v, type.params, type.param_count));
    status = push_frame(v, v->instr.op, type);
cleanup:
    return status;
}

/* The results are on the stack, and nothing else of the frame. */
static enum smelt_status check_frame_end(struct validator *v)
{
    const struct frame *frame = top_frame(v);
    enum smelt_status status = pop_all(v, frame->results, frame->result_count);
    if (status == SMELT_STATUS_OK && v->height != frame->height) {
        status = INVALID(v, "type mismatch: %u values remain on the stack at the %s of a block",
                         v->height - frame->height, op_text(v));
    }
    return status;
}

static enum smelt_status check_else(struct validator *v)
{
    struct frame *frame = top_frame(v);
    if (frame->op != SM_OP_IF) {
        return FAIL(v, SMELT_STATUS_MODULE_MALFORMED, "unexpected opcode: else without its if");
    }
    enum smelt_status status = check_frame_end(v);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    frame->op = SM_OP_ELSE;
    frame->is_unreachable = false;
    return push_all(v, frame->params, frame->param_count);
}

static enum smelt_status check_end(struct validator *v)
{
    const struct frame *frame = top_frame(v);
    enum smelt_status status = check_frame_end(v);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (frame->op == SM_OP_IF && !sm_slice_equal(sm_slice(frame->params, frame->param_count),
                                                 sm_slice(frame->results, frame->result_count))) {
        return INVALID(v, "type mismatch: an if without else must give back what it takes");
    }
    v->frame_count--;
    return push_all(v, frame->results, frame->result_count);
}

/* What a branch to `frame` takes along. */
static struct smelt_slice label_types(const struct frame *frame)
{
    return frame->op == SM_OP_LOOP ? sm_slice(frame->params, frame->param_count)
                                   : sm_slice(frame->results, frame->result_count);
}

static enum smelt_status find_label(struct validator *v, uint32_t label, struct smelt_slice *out)
{
    if (label >= v->frame_count) {
        return INVALID(v, "unknown label %u: only %u blocks are open", label, v->frame_count);
    }
    *out = label_types(&v->frames[v->frame_count - 1 - label]);
    return SMELT_STATUS_OK;
}

static enum smelt_status check_br(struct validator *v)
{
    struct smelt_slice types = {0};
    enum smelt_status status;
    if (v->instr.op == SM_OP_BR_IF) {
        SMELT_TRY(pop(v, SMELT_VALTYPE_I32));
    }
    SMELT_TRY(find_label(v, v->instr.index, &types));
    SMELT_TRY(pop_all(v, types.data, (uint32_t)types.size));
    if (v->instr.op == SM_OP_BR_IF) {
        SMELT_TRY(push_all(v, types.data, (uint32_t)types.size));
    } else {
        set_unreachable(v);
    }
cleanup:
    return status;
}

static enum smelt_status check_br_table(struct validator *v)
{
    struct smelt_slice labels = v->instr.labels;
    struct smelt_slice types = {0};
    size_t arity = 0;
    enum smelt_status status;
    SMELT_TRY(pop(v, SMELT_VALTYPE_I32));
    for (uint32_t i = 0; i <= v->instr.label_count; i++) {
        struct smelt_slice before = types;
        SMELT_TRY(find_label(v, sm_wasm_next_label(&labels), &types));
        if (i == 0) {
            arity = types.size;
        } else if (types.size != arity) {
            return INVALID(v, "type mismatch: the labels of br_table take %zu and %zu values",
                           arity, types.size);
        } else if (types.data == before.data) {
            continue;
        }
        SMELT_TRY(check_all(v, types.data, (uint32_t)types.size));
    }
    set_unreachable(v);
cleanup:
    return status;
}

/* ---- instructions ------------------------------------------------------------------------ */

static enum smelt_status check_call(struct validator *v)
{
    const struct sm_wasm_module *module = v->module;
    const struct sm_wasm_type *type;
    enum smelt_status status;
    if (v->instr.op == SM_OP_CALL) {
        if (v->instr.index >= module->func_count) {
            return INVALID(v, "unknown function %u", v->instr.index);
        }
        type = sm_wasm_func_type(module, v->instr.index);
    } else {
        if (v->instr.index2 != 0 || !module->has_table) {
            return INVALID(v, "unknown table %u", v->instr.index2);
        }
        if (v->instr.index >= module->type_count) {
            return INVALID(v, "unknown type %u", v->instr.index);
        }
        SMELT_TRY(pop(v, SMELT_VALTYPE_I32));
        type = &module->types[v->instr.index];
    }
    SMELT_TRY(pop_all(v, type->params, type->param_count));
    status = push_all(v, type->results, type->result_count);
cleanup:
    return status;
}

static enum smelt_status check_select(struct validator *v)
{
    uint8_t first;
    uint8_t second;
    enum smelt_status status;
    if (v->instr.op == SM_OP_SELECT_T) {
        if (v->instr.select == SMELT_VALTYPE_NONE) {
            return INVALID(v, "invalid result arity: select takes exactly one type");
        }
        v->func->uses_floats |= sm_wasm_is_float((uint8_t)v->instr.select);
        SMELT_TRY(pop(v, SMELT_VALTYPE_I32));
        SMELT_TRY(pop(v, (uint8_t)v->instr.select));
        SMELT_TRY(pop(v, (uint8_t)v->instr.select));
        return push(v, (uint8_t)v->instr.select);
    }
    SMELT_TRY(pop(v, SMELT_VALTYPE_I32));
    SMELT_TRY(pop_any(v, ANY, &second));
    SMELT_TRY(pop_any(v, ANY, &first));
    if (first != second && first != ANY && second != ANY) {
        return INVALID(v, "type mismatch: select chooses between %s and %s",
                       smelt_valtype_name((enum smelt_valtype)first),
                       smelt_valtype_name((enum smelt_valtype)second));
    }
    status = push(v, first != ANY ? first : second);
cleanup:
    return status;
}

/* A local that was not laid out flat: the run that holds it, by bisection over the runs' ends. */
static uint8_t find_far_local(const struct validator *v, uint32_t index)
{
    uint32_t wanted = index - v->type->param_count;
    uint32_t low = 0;
    uint32_t high = v->func->local_run_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (wanted < v->run_ends[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return (uint8_t)v->func->local_runs[low].type;
}

static enum smelt_status check_local(struct validator *v)
{
    uint32_t index = v->instr.index;
    uint8_t type;
    enum smelt_status status;
    if (index < v->flat_count) {
        type = v->locals[index];
    } else if (index < v->type->param_count + v->func->local_count) {
        type = find_far_local(v, index);
    } else {
        return INVALID(v, "unknown local %u", index);
    }
    if (v->instr.op != SM_OP_LOCAL_GET) {
        SMELT_TRY(pop(v, type));
    }
    status = v->instr.op != SM_OP_LOCAL_SET ? push(v, type) : SMELT_STATUS_OK;
cleanup:
    return status;
}

static enum smelt_status check_global(struct validator *v)
{
    if (v->instr.index >= v->module->global_count) {
        return INVALID(v, "unknown global %u", v->instr.index);
    }
    const struct sm_wasm_global *global = &v->module->globals[v->instr.index];
    v->func->uses_floats |= sm_wasm_is_float((uint8_t)global->type);
    if (v->instr.op == SM_OP_GLOBAL_GET) {
        return push(v, (uint8_t)global->type);
    }
    if (!global->is_mutable) {
        return INVALID(v, "immutable global %u: %s needs a mutable one", v->instr.index,
                       op_text(v));
    }
    return pop(v, (uint8_t)global->type);
}

/* Instructions whose types are not in their row. */
static enum smelt_status check_special(struct validator *v)
{
    uint8_t ignored;
    enum smelt_status status = SMELT_STATUS_OK;
    switch ((unsigned)v->instr.op) {
    case SM_OP_NOP:
        break;
    case SM_OP_UNREACHABLE:
        set_unreachable(v);
        break;
    case SM_OP_BLOCK:
    case SM_OP_LOOP:
    case SM_OP_IF:
        status = check_block(v);
        break;
    case SM_OP_ELSE:
        status = check_else(v);
        break;
    case SM_OP_END:
        status = check_end(v);
        break;
    case SM_OP_BR:
    case SM_OP_BR_IF:
        status = check_br(v);
        break;
    case SM_OP_BR_TABLE:
        status = check_br_table(v);
        break;
    case SM_OP_RETURN:
        SMELT_TRY(pop_all(v, v->type->results, v->type->result_count));
        set_unreachable(v);
        break;
    case SM_OP_CALL:
    case SM_OP_CALL_INDIRECT:
        status = check_call(v);
        break;
    case SM_OP_DROP:
        status = pop_any(v, ANY, &ignored);
        break;
    case SM_OP_SELECT:
    case SM_OP_SELECT_T:
        status = check_select(v);
        break;
    case SM_OP_LOCAL_GET:
    case SM_OP_LOCAL_SET:
    case SM_OP_LOCAL_TEE:
        status = check_local(v);
        break;
    case SM_OP_GLOBAL_GET:
    case SM_OP_GLOBAL_SET:
        status = check_global(v);
        break;
    default:
        status = FAIL(v, SMELT_STATUS_INTERNAL, "no rule for %s", op_text(v));
        break;
    }
cleanup:
    return status;
}

static enum smelt_status need_memory(const struct validator *v)
{
    return v->module->has_memory ? SMELT_STATUS_OK
                                 : INVALID(v, "unknown memory 0: %s needs one", op_text(v));
}

static enum smelt_status need_table(const struct validator *v, uint32_t index)
{
    return v->module->has_table && index == 0 ? SMELT_STATUS_OK
                                              : INVALID(v, "unknown table %u", index);
}

static enum smelt_status need_data(const struct validator *v)
{
    if (!v->module->has_data_count) {
        return FAIL(v, SMELT_STATUS_MODULE_MALFORMED, "data count section required by %s",
                    op_text(v));
    }
    return v->instr.index < v->module->data_count
               ? SMELT_STATUS_OK
               : INVALID(v, "unknown data segment %u", v->instr.index);
}

static enum smelt_status need_elem(const struct validator *v)
{
    return v->instr.index < v->module->elem_count
               ? SMELT_STATUS_OK
               : INVALID(v, "unknown elem segment %u", v->instr.index);
}

/* What an immediate refers to, for the instructions whose types are in their row. */
static enum smelt_status check_immediate(struct validator *v)
{
    const struct sm_wasm_op_info *info = &sm_wasm_ops[v->instr.op];
    enum smelt_status status = SMELT_STATUS_OK;
    switch ((unsigned)info->immediate) {
    case SM_IMM_MEMARG:
        SMELT_TRY(need_memory(v));
        if (v->instr.align > info->alignment) {
            return INVALID(v, "alignment must not be larger than natural: 2^%u in %s, at most 2^%u",
                           v->instr.align, op_text(v), (unsigned)info->alignment);
        }
        break;
    case SM_IMM_MEMORY:
    case SM_IMM_MEMORY_COPY:
        status = need_memory(v);
        break;
    case SM_IMM_MEMORY_INIT:
        SMELT_TRY(need_memory(v));
        status = need_data(v);
        break;
    case SM_IMM_DATA:
        status = need_data(v);
        break;
    case SM_IMM_TABLE_INIT:
        SMELT_TRY(need_table(v, v->instr.index2));
        status = need_elem(v);
        break;
    case SM_IMM_ELEM:
        status = need_elem(v);
        break;
    case SM_IMM_TABLE_COPY:
        SMELT_TRY(need_table(v, v->instr.index));
        status = need_table(v, v->instr.index2);
        break;
    default: /* constants and nothing */
        break;
    }
cleanup:
    return status;
}

static enum smelt_status check_instr(struct validator *v)
{
    const struct shape *shape = &v->shapes[v->instr.op];
    enum smelt_status status;
    v->func->uses_floats |= shape->has_float;
    if (!shape->is_plain) {
        return check_special(v);
    }
    if (sm_wasm_ops[v->instr.op].immediate != SM_IMM_NONE) {
        SMELT_TRY(check_immediate(v));
    }
    for (unsigned i = shape->param_count; i-- > 0;) {
        SMELT_TRY(pop(v, shape->params[i]));
    }
    status = shape->result != ANY ? push(v, shape->result) : SMELT_STATUS_OK;
cleanup:
    return status;
}

/* ---- functions --------------------------------------------------------------------------- */

static enum smelt_status grow_scratch(struct validator *v, uint32_t wanted, size_t size,
                                      uint32_t *capacity, void **block)
{
    if (wanted <= *capacity) {
        return SMELT_STATUS_OK;
    }
    uint32_t doubled = *capacity * 2;
    *capacity = wanted > doubled ? wanted : doubled;
    *block = sm_arena_calloc(v->arena, *capacity, size);
    return *block != NULL ? SMELT_STATUS_OK : sm_error_no_memory(v->err, "code");
}

static enum smelt_status lay_out_locals(struct validator *v)
{
    const struct sm_wasm_func *func = v->func;
    uint32_t total = v->type->param_count + func->local_count;
    uint32_t flat_max = v->type->param_count + (uint32_t)func->code.size;
    uint32_t flat = total < flat_max ? total : flat_max;
    uint32_t used = v->type->param_count;
    uint32_t end = 0;
    void *locals = v->locals;
    void *run_ends = v->run_ends;
    enum smelt_status status;
    SMELT_TRY(grow_scratch(v, flat, sizeof(*v->locals), &v->flat_capacity, &locals));
    v->locals = (uint8_t *)locals;
    v->flat_count = flat;
    if (used != 0) {
        memcpy(v->locals, v->type->params, used);
    }
    for (uint32_t i = 0; i < func->local_run_count && used < flat; i++) {
        uint32_t count = func->local_runs[i].count;
        count = count < flat - used ? count : flat - used;
        memset(v->locals + used, (int)func->local_runs[i].type, count);
        used += count;
    }
    if (flat == total) {
        goto cleanup;
    }
    SMELT_TRY(
        grow_scratch(v, func->local_run_count, sizeof(*v->run_ends), &v->run_capacity, &run_ends));
    v->run_ends = (uint32_t *)run_ends;
    for (uint32_t i = 0; i < func->local_run_count; i++) {
        end += func->local_runs[i].count;
        v->run_ends[i] = end;
    }
cleanup:
    return status;
}

static bool has_floats(const uint8_t *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (sm_wasm_is_float(types[i])) {
            return true;
        }
    }
    return false;
}

static enum smelt_status check_body(struct validator *v, uint32_t func_index)
{
    struct sm_wasm_func *func = &v->module->funcs[func_index];
    struct sm_wasm_type frame_type;
    enum smelt_status status;
    v->func = func;
    v->type = sm_wasm_func_type(v->module, func_index);
    v->cursor = sm_wasm_cursor_of(v->module, func_index);
    v->instr = (struct sm_wasm_instr){.op = SM_OP_END, .offset = func->code_offset};
    v->height = 0;
    v->frame_count = 0;
    func->uses_floats |= has_floats(v->type->params, v->type->param_count) ||
                         has_floats(v->type->results, v->type->result_count);
    SMELT_TRY(lay_out_locals(v));
    frame_type =
        (struct sm_wasm_type){.results = v->type->results, .result_count = v->type->result_count};
    SMELT_TRY(push_frame(v, SM_OP_BLOCK, frame_type));
    while (v->frame_count != 0) {
        SMELT_TRY(sm_wasm_read_instr(&v->cursor, &v->instr, v->err));
        SMELT_TRY(check_instr(v));
        if (v->height > func->max_height && v->frame_count != 0 && !top_frame(v)->is_dead) {
            const struct frame *frame = top_frame(v);
            func->max_height = frame->is_unreachable ? func->max_height : v->height;
        }
    }
    if (v->cursor.at != v->cursor.end) {
        status = FAIL(v, SMELT_STATUS_MODULE_MALFORMED,
                      "section size mismatch: bytes follow the end of the function");
    }
    v->module->uses_floats |= func->uses_floats;
cleanup:
    return status;
}

/* ---- the rest of the module -------------------------------------------------------------- */

static enum smelt_status check_functions(struct validator *v)
{
    const struct sm_wasm_module *module = v->module;
    for (uint32_t i = 0; i < module->func_count; i++) {
        const struct sm_wasm_func *func = &module->funcs[i];
        if (func->type_index >= module->type_count) {
            return fail_at(v, func->is_imported ? "import" : "function", func->offset,
                           "unknown type", func->type_index);
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_limits(struct validator *v)
{
    const struct sm_wasm_module *module = v->module;
    const struct sm_wasm_limits *table = &module->table;
    const struct sm_wasm_limits *memory = &module->memory;
    const char *table_section = module->is_table_imported ? "import" : "table";
    const char *memory_section = module->is_memory_imported ? "import" : "memory";
    if (module->has_table && table->has_max && table->min > table->max) {
        return fail_rule(v, table_section, table->offset,
                         "size minimum must not be greater than maximum");
    }
    if (module->has_memory && memory->has_max && memory->min > memory->max) {
        return fail_rule(v, memory_section, memory->offset,
                         "size minimum must not be greater than maximum");
    }
    if (module->has_memory && (memory->min > SM_WASM_MEMORY_PAGES_MAX ||
                               (memory->has_max && memory->max > SM_WASM_MEMORY_PAGES_MAX))) {
        return fail_rule(v, memory_section, memory->offset,
                         "memory size must be at most 65536 pages (4 GiB)");
    }
    return SMELT_STATUS_OK;
}

/* `expected` NONE: a function reference. */
static enum smelt_status check_const(struct validator *v, const char *section,
                                     const struct sm_wasm_const *value, enum smelt_valtype expected,
                                     uint32_t globals_in_scope)
{
    const struct sm_wasm_module *module = v->module;
    if (value->kind == SM_WASM_CONST_GLOBAL) {
        if (value->index >= globals_in_scope) {
            return fail_at(v, section, value->offset, "unknown global", value->index);
        }
        if (module->globals[value->index].is_mutable) {
            return fail_at(v, section, value->offset,
                           "constant expression required: this is mutable global", value->index);
        }
    }
    if (value->kind == SM_WASM_CONST_REF_FUNC && value->index >= module->func_count) {
        return fail_at(v, section, value->offset, "unknown function", value->index);
    }
    if (value->type != expected) {
        return sm_error_set_at(
            v->err, SMELT_STATUS_MODULE_INVALID, section, -1, value->offset,
            "type mismatch: constant expression of type %s where %s is expected",
            value->type != SMELT_VALTYPE_NONE ? smelt_valtype_name(value->type) : "funcref",
            expected != SMELT_VALTYPE_NONE ? smelt_valtype_name(expected) : "funcref");
    }
    if (value->kind == SM_WASM_CONST_GLOBAL && value->index >= module->imported_global_count) {
        return sm_error_set_at(v->err, SMELT_STATUS_MODULE_FEATURE, section, -1, value->offset,
                               "global.get of a defined global in a constant expression needs the "
                               "GC proposal, which is outside the contract subset; use its value");
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_globals(struct validator *v)
{
    const struct sm_wasm_module *module = v->module;
    for (uint32_t i = module->imported_global_count; i < module->global_count; i++) {
        const struct sm_wasm_global *global = &module->globals[i];
        enum smelt_status status = check_const(v, "global", &global->init, global->type, i);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_elem(struct validator *v, const struct sm_wasm_elem *elem)
{
    const struct sm_wasm_module *module = v->module;
    enum smelt_status status = SMELT_STATUS_OK;
    if (elem->mode == SM_WASM_SEGMENT_ACTIVE) {
        if (!module->has_table) {
            return fail_at(v, "element", elem->offset, "unknown table", 0);
        }
        SMELT_TRY(check_const(v, "element", &elem->start, SMELT_VALTYPE_I32, module->global_count));
    }
    for (uint32_t i = 0; i < elem->item_count; i++) {
        SMELT_TRY(
            check_const(v, "element", &elem->items[i], SMELT_VALTYPE_NONE, module->global_count));
    }
cleanup:
    return status;
}

static enum smelt_status check_segments(struct validator *v)
{
    const struct sm_wasm_module *module = v->module;
    enum smelt_status status = SMELT_STATUS_OK;
    for (uint32_t i = 0; i < module->elem_count; i++) {
        SMELT_TRY(check_elem(v, &module->elems[i]));
    }
    for (uint32_t i = 0; i < module->data_count; i++) {
        const struct sm_wasm_data *data = &module->datas[i];
        if (data->mode != SM_WASM_SEGMENT_ACTIVE) {
            continue;
        }
        if (!module->has_memory) {
            return fail_at(v, "data", data->offset, "unknown memory", 0);
        }
        SMELT_TRY(check_const(v, "data", &data->start, SMELT_VALTYPE_I32, module->global_count));
    }
cleanup:
    return status;
}

static enum smelt_status check_start(struct validator *v)
{
    const struct sm_wasm_module *module = v->module;
    if (!module->has_start) {
        return SMELT_STATUS_OK;
    }
    if (module->start_func >= module->func_count) {
        return fail_at(v, "start", module->start_offset, "unknown function", module->start_func);
    }
    const struct sm_wasm_type *type = sm_wasm_func_type(module, module->start_func);
    if (type->param_count != 0 || type->result_count != 0) {
        return fail_rule(v, "start", module->start_offset,
                         "start function must have no parameters and no results");
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_export(struct validator *v, const struct sm_wasm_export *export)
{
    static const char *const unknown[] = {"unknown function", "unknown table", "unknown memory",
                                          "unknown global"};
    const struct sm_wasm_module *module = v->module;
    uint32_t count = 0;
    switch (export->kind) {
    case SM_WASM_EXTERNAL_FUNC:
        count = module->func_count;
        break;
    case SM_WASM_EXTERNAL_TABLE:
        count = module->has_table;
        break;
    case SM_WASM_EXTERNAL_MEMORY:
        count = module->has_memory;
        break;
    case SM_WASM_EXTERNAL_GLOBAL:
        count = module->global_count;
        break;
    }
    return export->index < count
               ? SMELT_STATUS_OK
               : fail_at(v, "export", export->offset, unknown[export->kind], export->index);
}

/* By name, then by position. */
static int compare_exports(const void *left, const void *right)
{
    const struct sm_wasm_export *a = *(const struct sm_wasm_export *const *)left;
    const struct sm_wasm_export *b = *(const struct sm_wasm_export *const *)right;
    int order = sm_slice_compare(a->name, b->name);
    return order != 0 ? order : (a > b) - (a < b);
}

static enum smelt_status check_exports(struct validator *v)
{
    const struct sm_wasm_module *module = v->module;
    const struct sm_wasm_export **sorted = (const struct sm_wasm_export **)sm_arena_calloc(
        v->arena, module->export_count, sizeof(*sorted));
    enum smelt_status status = SMELT_STATUS_OK;
    if (sorted == NULL) {
        return sm_error_no_memory(v->err, "export");
    }
    for (uint32_t i = 0; i < module->export_count; i++) {
        SMELT_TRY(check_export(v, &module->exports[i]));
        sorted[i] = &module->exports[i];
    }
    qsort(sorted, module->export_count, sizeof(*sorted), compare_exports);
    for (uint32_t i = 1; i < module->export_count; i++) {
        struct smelt_slice name = sorted[i]->name;
        if (sm_slice_equal(sorted[i - 1]->name, name)) {
            int shown = name.size < 100 ? (int)name.size : 100;
            return sm_error_set_at(v->err, SMELT_STATUS_MODULE_INVALID, "export", -1,
                                   sorted[i]->offset, "duplicate export name \"%.*s\"", shown,
                                   (const char *)name.data);
        }
    }
cleanup:
    return status;
}

static uint8_t type_of_letter(char letter)
{
    switch (letter) {
    case 'i':
        return SMELT_VALTYPE_I32;
    case 'I':
        return SMELT_VALTYPE_I64;
    case 'f':
        return SMELT_VALTYPE_F32;
    case 'F':
        return SMELT_VALTYPE_F64;
    default:
        return ANY;
    }
}

static struct shape shape_of(const struct sm_wasm_op_info *info)
{
    struct shape shape = {.is_plain = info->parameters[0] != '*'};
    if (shape.is_plain) {
        for (const char *letter = info->parameters; *letter != '\0'; letter++) {
            shape.params[shape.param_count] = type_of_letter(*letter);
            shape.has_float |= sm_wasm_is_float(shape.params[shape.param_count]);
            shape.param_count++;
        }
        shape.result = type_of_letter(info->results[0]);
        shape.has_float |= sm_wasm_is_float(shape.result);
    }
    return shape;
}

enum smelt_status sm_wasm_validate(struct sm_wasm_module *module, struct sm_arena *arena,
                                   struct smelt_error *err)
{
    struct validator v = {.module = module, .arena = arena, .err = err};
    enum smelt_status status;
    SMELT_TRY(check_functions(&v));
    SMELT_TRY(check_limits(&v));
    SMELT_TRY(check_globals(&v));
    SMELT_TRY(check_segments(&v));
    SMELT_TRY(check_start(&v));
    SMELT_TRY(check_exports(&v));
    for (int op = 0; op < SM_OP_COUNT; op++) {
        v.shapes[op] = shape_of(&sm_wasm_ops[op]);
    }
    v.capacity = STACK_INITIAL;
    v.values = (uint8_t *)sm_arena_calloc(arena, v.capacity, sizeof(*v.values));
    v.frame_capacity = STACK_INITIAL;
    v.frames = (struct frame *)sm_arena_calloc(arena, v.frame_capacity, sizeof(*v.frames));
    if (v.values == NULL || v.frames == NULL) {
        return sm_error_no_memory(err, "code");
    }
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        SMELT_TRY(check_body(&v, i));
    }
cleanup:
    return status;
}
