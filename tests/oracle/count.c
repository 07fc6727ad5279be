/* Fuel counted the other way round, to check the instrumenter.
 *
 * docs/fuel.md charges a block when it is entered. Blocks only end where control can leave, so for
 * a call that returns, that is the sum of the weights of the instructions that ran: here each of
 * them adds its own to a global, wherever blocks start or end. When an instruction traps, the rest
 * of its block was paid for and did not run. Callers owe nothing: a call ends its block. So an
 * instruction that can trap leaves the weight of what follows it in its block, its debt, in another
 * global.
 *
 * Nothing here is shared with compiler/instrument: code that is dead stays, results of float
 * operators are made canonical behind each of them, and the module's own indices and names remain,
 * for the globals come last. The stack is not counted. */
#include "base/bytes.h"
#include "base/status.h"
#include "compiler/wasm/encode.h"
#include "hostabi/schedule.h"
#include "tests/oracle/oracle.h"

#define SECTION_COUNT  13
#define SECTION_MEMORY 5
#define SECTION_GLOBAL 6
#define SECTION_CODE   10

#define SCRATCH_COUNT 3u /* locals of each function: i32, f32, f64 */

struct item {
    struct sm_wasm_instr instr;
    bool ends_block;
    uint64_t debt; /* weights of what follows in the block */
};

struct frame {
    enum sm_wasm_op op;
    bool is_entered; /* control reaches its start */
    bool is_target;  /* of a branch that control reaches */
    bool has_else;
    bool is_then_passed; /* control falls from the first arm into `else` */
};

struct count {
    const struct sm_wasm_module *module;
    const uint32_t *weights;
    const struct sm_schedule_dynamic *dynamic;
    struct sm_arena *arena;
    struct item *items;
    size_t item_count;
    uint32_t scratch; /* index of the first scratch local */
    struct sm_encoder body;
};

/* ---- blocks ---------------------------------------------------------------------------------- */

static enum smelt_status read_items(struct count *count, uint32_t func_index,
                                    struct smelt_error *err)
{
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(count->module, func_index);
    size_t capacity = (size_t)(cursor.end - cursor.at); /* an instruction has a byte at least */
    count->items = (struct item *)sm_arena_calloc(count->arena, capacity, sizeof(*count->items));
    count->item_count = 0;
    if (count->items == NULL) {
        return sm_error_no_memory(err, "count");
    }
    while (cursor.at != cursor.end) {
        enum smelt_status status =
            sm_wasm_read_instr(&cursor, &count->items[count->item_count].instr, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        count->item_count++;
    }
    return SMELT_STATUS_OK;
}

static void mark(struct frame *frames, uint32_t depth, bool is_live, uint32_t label)
{
    frames[depth - 1 - label].is_target |= is_live;
}

static enum smelt_status find_blocks(struct count *count, uint32_t max_nesting,
                                     struct smelt_error *err)
{
    struct frame *frames =
        (struct frame *)sm_arena_calloc(count->arena, max_nesting + 1u, sizeof(*frames));
    uint32_t depth = 1;
    bool is_live = true;
    if (frames == NULL) {
        return sm_error_no_memory(err, "count");
    }
    frames[0] = (struct frame){.op = SM_OP_BLOCK, .is_entered = true};
    for (size_t i = 0; i < count->item_count; i++) {
        struct item *item = &count->items[i];
        struct frame *top = &frames[depth - 1];
        struct smelt_slice labels = item->instr.labels;
        switch ((int)item->instr.op) {
        case SM_OP_BLOCK:
        case SM_OP_LOOP:
        case SM_OP_IF:
            frames[depth++] = (struct frame){.op = item->instr.op, .is_entered = is_live};
            item->ends_block = item->instr.op != SM_OP_BLOCK;
            break;
        case SM_OP_ELSE:
            top->has_else = true;
            top->is_then_passed = is_live;
            is_live = top->is_entered;
            item->ends_block = true;
            break;
        case SM_OP_END:
            depth--;
            is_live = is_live || top->is_then_passed || (top->op != SM_OP_LOOP && top->is_target) ||
                      (top->op == SM_OP_IF && !top->has_else && top->is_entered);
            item->ends_block =
                depth == 0 || top->op == SM_OP_IF || (top->op == SM_OP_BLOCK && top->is_target);
            break;
        case SM_OP_BR_IF:
            mark(frames, depth, is_live, item->instr.index);
            item->ends_block = true;
            break;
        case SM_OP_BR:
            mark(frames, depth, is_live, item->instr.index);
            is_live = false;
            item->ends_block = true;
            break;
        case SM_OP_BR_TABLE:
            for (uint64_t j = 0; j <= item->instr.label_count; j++) {
                mark(frames, depth, is_live, sm_wasm_next_label(&labels));
            }
            is_live = false;
            item->ends_block = true;
            break;
        case SM_OP_RETURN:
        case SM_OP_UNREACHABLE:
            is_live = false;
            item->ends_block = true;
            break;
        case SM_OP_CALL:
        case SM_OP_CALL_INDIRECT:
        case SM_OP_MEMORY_GROW:
            item->ends_block = true;
            break;
        default:
            break;
        }
    }
    for (size_t i = count->item_count - 1; i-- > 0;) {
        const struct item *next = &count->items[i + 1];
        count->items[i].debt =
            count->items[i].ends_block ? 0 : count->weights[next->instr.op] + next->debt;
    }
    return SMELT_STATUS_OK;
}

/* ---- code ------------------------------------------------------------------------------------ */

static uint32_t global_of(const struct count *count, uint32_t index)
{
    return count->module->global_count + index;
}

static void put(struct count *count, enum sm_wasm_op op, uint32_t index)
{
    const struct sm_wasm_instr instr = {.op = op, .index = index};
    sm_encode_instr(&count->body, &instr, UINT32_MAX, 0);
}

static void put_bits(struct count *count, enum sm_wasm_op op, uint64_t bits)
{
    const struct sm_wasm_instr instr = {.op = op, .bits = bits};
    sm_encode_instr(&count->body, &instr, UINT32_MAX, 0);
}

static void put_weight(struct count *count, uint64_t weight)
{
    uint32_t used = global_of(count, ORACLE_COUNT_USED);
    if (weight != 0) {
        put(count, SM_OP_GLOBAL_GET, used);
        put_bits(count, SM_OP_I64_CONST, weight);
        put(count, SM_OP_I64_ADD, 0);
        put(count, SM_OP_GLOBAL_SET, used);
    }
}

static void put_debt(struct count *count, uint64_t debt)
{
    put_bits(count, SM_OP_I64_CONST, debt);
    put(count, SM_OP_GLOBAL_SET, global_of(count, ORACLE_COUNT_DEBT));
}

/* The charge for the i32 on top of the stack, which stays there; then, unless there was one of this
 * kind before, what has been used: the marks of the sweep. */
static void put_dynamic(struct count *count, enum oracle_dynamic kind, struct sm_schedule_rate rate,
                        uint64_t debt)
{
    uint32_t used = global_of(count, ORACLE_COUNT_USED);
    uint32_t first = global_of(count, ORACLE_COUNT_DYNAMIC + (uint32_t)kind);
    if (rate.per_unit == 0) {
        return;
    }
    put(count, SM_OP_LOCAL_TEE, count->scratch);
    put(count, SM_OP_LOCAL_GET, count->scratch);
    put(count, SM_OP_I64_EXTEND_I32_U, 0);
    put_bits(count, SM_OP_I64_CONST, rate.unit_bytes - 1);
    put(count, SM_OP_I64_ADD, 0);
    put_bits(count, SM_OP_I64_CONST, rate.unit_bytes);
    put(count, SM_OP_I64_DIV_U, 0);
    put_bits(count, SM_OP_I64_CONST, rate.per_unit);
    put(count, SM_OP_I64_MUL, 0);
    put(count, SM_OP_GLOBAL_GET, used);
    put(count, SM_OP_I64_ADD, 0);
    put(count, SM_OP_GLOBAL_SET, used);

    put(count, SM_OP_GLOBAL_GET, first);
    put(count, SM_OP_GLOBAL_GET, used);
    put_bits(count, SM_OP_I64_CONST, debt);
    put(count, SM_OP_I64_ADD, 0);
    put(count, SM_OP_GLOBAL_GET, first);
    put(count, SM_OP_I64_EQZ, 0);
    put(count, SM_OP_I32_EQZ, 0);
    put(count, SM_OP_SELECT, 0);
    put(count, SM_OP_GLOBAL_SET, first);
}

static void put_canonical_nan(struct count *count, bool is_f64)
{
    uint32_t local = count->scratch + (is_f64 ? 2 : 1);
    put(count, SM_OP_LOCAL_TEE, local);
    put_bits(count, is_f64 ? SM_OP_F64_CONST : SM_OP_F32_CONST,
             is_f64 ? UINT64_C(0x7ff8000000000000) : UINT64_C(0x7fc00000));
    put(count, SM_OP_LOCAL_GET, local);
    put(count, SM_OP_LOCAL_GET, local);
    put(count, is_f64 ? SM_OP_F64_EQ : SM_OP_F32_EQ, 0);
    put(count, SM_OP_SELECT, 0);
}

static void put_item(struct count *count, const struct item *item)
{
    enum sm_wasm_op op = item->instr.op;
    const struct sm_wasm_op_info *info = &sm_wasm_ops[op];
    put_weight(count, count->weights[op]);
    if ((info->flags & SM_OP_FLAG_TRAP) != 0 || op == SM_OP_CALL) {
        put_debt(count, item->debt);
    }
    switch ((int)op) {
    case SM_OP_MEMORY_GROW:
        put_dynamic(count, ORACLE_MEMORY_GROW,
                    (struct sm_schedule_rate){count->dynamic->memory_grow_page, 1}, item->debt);
        break;
    case SM_OP_MEMORY_COPY:
        put_dynamic(count, ORACLE_MEMORY_COPY, count->dynamic->bulk_memory, item->debt);
        break;
    case SM_OP_MEMORY_FILL:
        put_dynamic(count, ORACLE_MEMORY_FILL, count->dynamic->bulk_memory, item->debt);
        break;
    case SM_OP_MEMORY_INIT:
        put_dynamic(count, ORACLE_MEMORY_INIT, count->dynamic->bulk_memory, item->debt);
        break;
    case SM_OP_TABLE_COPY:
        put_dynamic(count, ORACLE_TABLE_COPY, count->dynamic->bulk_table, item->debt);
        break;
    case SM_OP_TABLE_INIT:
        put_dynamic(count, ORACLE_TABLE_INIT, count->dynamic->bulk_table, item->debt);
        break;
    default:
        break;
    }
    sm_encode_instr(&count->body, &item->instr, UINT32_MAX, 0);
    if ((info->flags & SM_OP_FLAG_NAN) != 0) {
        put_canonical_nan(count, info->results[0] == 'F');
    }
}

static enum smelt_status put_body(struct count *count, uint32_t func_index, struct smelt_error *err)
{
    static const uint8_t scratch[SCRATCH_COUNT] = {SMELT_VALTYPE_I32, SMELT_VALTYPE_F32,
                                                   SMELT_VALTYPE_F64};
    const struct sm_wasm_func *func = &count->module->funcs[func_index];
    enum smelt_status status = read_items(count, func_index, err);
    if (status == SMELT_STATUS_OK) {
        status = find_blocks(count, func->max_nesting, err);
    }
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    count->scratch = sm_wasm_func_type(count->module, func_index)->param_count + func->local_count;
    sm_encode_u32(&count->body, func->local_run_count + SCRATCH_COUNT);
    for (uint32_t i = 0; i < func->local_run_count; i++) {
        sm_encode_u32(&count->body, func->local_runs[i].count);
        sm_encode_byte(&count->body, (uint8_t)func->local_runs[i].type);
    }
    for (uint32_t i = 0; i < SCRATCH_COUNT; i++) {
        sm_encode_u32(&count->body, 1);
        sm_encode_byte(&count->body, scratch[i]);
    }
    for (size_t i = 0; i < count->item_count; i++) {
        put_item(count, &count->items[i]);
    }
    return SMELT_STATUS_OK;
}

/* ---- sections -------------------------------------------------------------------------------- */

static uint32_t take_u32(struct smelt_slice *bytes)
{
    uint32_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *bytes->data++;
        bytes->size--;
        value |= (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return value;
        }
    }
}

/* The module has been decoded: its sections are in order and fit. */
static void split_sections(struct smelt_slice wasm, struct smelt_slice *sections)
{
    struct smelt_slice rest = {wasm.data + 8, wasm.size - 8};
    while (rest.size != 0) {
        uint8_t id = *rest.data++;
        rest.size--;
        uint32_t size = take_u32(&rest);
        if (id != 0) {
            sections[id] = sm_slice(rest.data, size);
        }
        rest.data += size;
        rest.size -= size;
    }
}

static void encode_globals(struct smelt_slice old, struct sm_encoder *section)
{
    const struct sm_wasm_instr zero = {.op = SM_OP_I64_CONST};
    uint32_t defined = old.size != 0 ? take_u32(&old) : 0;
    sm_encode_u32(section, defined + ORACLE_COUNT_GLOBALS);
    sm_encode_bytes(section, old);
    for (uint32_t i = 0; i < ORACLE_COUNT_GLOBALS; i++) {
        sm_encode_byte(section, SMELT_VALTYPE_I64);
        sm_encode_byte(section, 1);
        sm_encode_instr(section, &zero, UINT32_MAX, 0);
        sm_encode_op(section, SM_OP_END);
    }
}

static enum smelt_status encode_code(struct count *count, struct sm_encoder *section,
                                     struct smelt_error *err)
{
    const struct sm_wasm_module *module = count->module;
    enum smelt_status status = SMELT_STATUS_OK;
    sm_encode_u32(section, module->func_count - module->imported_func_count);
    for (uint32_t i = module->imported_func_count;
         status == SMELT_STATUS_OK && i < module->func_count; i++) {
        status = put_body(count, i, err);
        sm_encode_sized(section, -1, &count->body);
    }
    return status;
}

enum smelt_status oracle_count(struct smelt_slice wasm, const struct smelt_schedule *schedule,
                               uint32_t memory_min, uint32_t memory_max, struct smelt_buf *out,
                               struct smelt_error *err)
{
    static const int order[] = {1, 2, 3, 4, SECTION_MEMORY, SECTION_GLOBAL, 7, 9, 12, SECTION_CODE,
                                11};
    struct smelt_slice sections[SECTION_COUNT] = {{0}};
    struct sm_arena arena = {0};
    struct sm_wasm_module module = {0};
    struct sm_encoder encoder = {0};
    struct sm_encoder section = {0};
    size_t weight_count;
    struct count count = {.module = &module,
                          .weights = sm_schedule_weights(schedule, &weight_count),
                          .dynamic = sm_schedule_dynamic(schedule),
                          .arena = &arena};
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_wasm_decode(wasm, &arena, &module, err));
    SMELT_TRY(sm_wasm_validate(&module, &arena, err));
    split_sections(wasm, sections);
    sm_encode_bytes(&encoder, sm_slice(wasm.data, 8));
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        int id = order[i];
        if (id == SECTION_GLOBAL) {
            encode_globals(sections[id], &section);
        } else if (sections[id].size == 0) {
            continue;
        } else if (id == SECTION_MEMORY && module.has_memory) {
            sm_encode_u32(&section, 1);
            sm_encode_limits(&section, (struct sm_wasm_limits){
                                           .min = memory_min, .max = memory_max, .has_max = true});
        } else if (id == SECTION_CODE) {
            SMELT_TRY(encode_code(&count, &section, err));
        } else {
            sm_encode_bytes(&section, sections[id]);
        }
        sm_encode_sized(&encoder, id, &section);
    }
    if (encoder.is_short_of_memory) {
        status = sm_error_no_memory(err, "count");
        goto cleanup;
    }
    smelt_buf_deinit(out);
    *out = encoder.out;
    encoder.out = (struct smelt_buf){0};
cleanup:
    sm_arena_deinit(&arena);
    smelt_buf_deinit(&count.body.out);
    smelt_buf_deinit(&section.out);
    smelt_buf_deinit(&encoder.out);
    return status;
}
