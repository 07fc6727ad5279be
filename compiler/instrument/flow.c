/* Three passes: read instructions and match constructs; add edges and follow them; cut into blocks.
 * Every edge but those to loop headers leads forward, and a loop's header is live when the loop is,
 * so one pass in the order of the code finds all that is live. */
#include "compiler/instrument/flow.h"

#include "base/status.h"

enum smelt_status sm_flow_init(struct sm_flow *flow, const struct sm_wasm_module *module,
                               struct sm_arena *arena, struct smelt_error *err)
{
    size_t bytes = 1;
    size_t nesting = 1;
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        const struct sm_wasm_func *func = &module->funcs[i];
        bytes = func->code.size > bytes ? func->code.size : bytes;
        nesting = func->max_nesting > nesting ? func->max_nesting : nesting;
    }
    /* no instruction has more edges than bytes: what branches has an immediate for each target */
    *flow = (struct sm_flow){
        .points = (struct sm_flow_point *)sm_arena_calloc(arena, bytes + 1, sizeof(*flow->points)),
        .edges = (uint32_t *)sm_arena_calloc(arena, bytes, sizeof(*flow->edges)),
        .blocks = (struct sm_flow_block *)sm_arena_calloc(arena, bytes, sizeof(*flow->blocks)),
        .open = (uint32_t *)sm_arena_calloc(arena, nesting, sizeof(*flow->open))};
    return flow->points != NULL && flow->edges != NULL && flow->blocks != NULL && flow->open != NULL
               ? SMELT_STATUS_OK
               : sm_error_no_memory(err, "flow");
}

/* ---- instructions and constructs ------------------------------------------------------------- */

/* The construct a label names; the function's own label is NO_INDEX. */
static uint32_t construct_of(const struct sm_flow *flow, uint32_t label)
{
    return label == flow->depth ? SM_WASM_NO_INDEX : flow->open[flow->depth - 1 - label];
}

/* Makes room for the instruction's edges. Those of branches are constructs for now: where they end
 * is not known yet. Returns the number of edges. */
static uint32_t add_edges(struct sm_flow *flow, const struct sm_wasm_instr *instr, uint32_t *edges)
{
    struct smelt_slice labels = instr->labels;
    switch ((int)instr->op) {
    case SM_OP_UNREACHABLE:
        return 0;
    case SM_OP_BR:
    case SM_OP_BR_IF:
        edges[0] = construct_of(flow, instr->index);
        return instr->op == SM_OP_BR ? 1 : 2;
    case SM_OP_BR_TABLE:
        for (uint32_t i = 0; i <= instr->label_count; i++) {
            edges[i] = construct_of(flow, sm_wasm_next_label(&labels));
        }
        return instr->label_count + 1;
    case SM_OP_IF:
        return 2;
    default:
        return 1;
    }
}

static void match_construct(struct sm_flow *flow, uint32_t index)
{
    struct sm_flow_point *point = &flow->points[index];
    switch ((int)point->op) {
    case SM_OP_BLOCK:
    case SM_OP_LOOP:
    case SM_OP_IF:
        flow->open[flow->depth++] = index;
        break;
    case SM_OP_ELSE:
        point->opener = flow->open[flow->depth - 1];
        flow->points[point->opener].else_ = index;
        break;
    case SM_OP_END:
        if (flow->depth != 0) {
            point->opener = flow->open[--flow->depth];
            flow->points[point->opener].end = index;
        }
        break;
    default:
        break;
    }
}

static enum smelt_status read_points(struct sm_flow *flow, const struct sm_wasm_module *module,
                                     uint32_t func_index, struct smelt_error *err)
{
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(module, func_index);
    struct sm_wasm_instr instr;
    uint32_t edge = 0;
    uint32_t count = 0;
    flow->depth = 0;
    while (cursor.at != cursor.end) {
        enum smelt_status status = sm_wasm_read_instr(&cursor, &instr, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        flow->points[count] = (struct sm_flow_point){.offset = instr.offset,
                                                     .opener = SM_WASM_NO_INDEX,
                                                     .else_ = SM_WASM_NO_INDEX,
                                                     .end = SM_WASM_NO_INDEX,
                                                     .edge = edge,
                                                     .op = instr.op};
        edge += add_edges(flow, &instr, &flow->edges[edge]);
        match_construct(flow, count);
        count++;
    }
    flow->point_count = count;
    flow->points[count] =
        (struct sm_flow_point){.offset = (uint32_t)(cursor.end - cursor.module_start),
                               .opener = SM_WASM_NO_INDEX,
                               .else_ = SM_WASM_NO_INDEX,
                               .end = SM_WASM_NO_INDEX,
                               .edge = edge,
                               .op = SM_OP_END};
    return SMELT_STATUS_OK;
}

/* ---- edges ----------------------------------------------------------------------------------- */

/* Where a branch to a construct goes: to a loop's header, behind the end of anything else. */
static uint32_t target_of(const struct sm_flow *flow, uint32_t construct)
{
    return construct == SM_WASM_NO_INDEX              ? flow->point_count
           : flow->points[construct].op == SM_OP_LOOP ? construct + 1
                                                      : flow->points[construct].end + 1;
}

/* A branch starts a block where it goes. At loops, ifs and the exit that changes nothing. */
static void resolve_branches(struct sm_flow *flow, const struct sm_flow_point *point,
                             uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *edge = &flow->edges[point->edge + i];
        *edge = target_of(flow, *edge);
        flow->points[*edge].is_start |= point->is_live;
    }
}

static void resolve_edges(struct sm_flow *flow, uint32_t index)
{
    const struct sm_flow_point *point = &flow->points[index];
    uint32_t *edges = &flow->edges[point->edge];
    uint32_t next = index + 1;
    switch ((int)point->op) {
    case SM_OP_UNREACHABLE:
        break;
    case SM_OP_BR:
    case SM_OP_BR_TABLE:
        resolve_branches(flow, point, flow->points[next].edge - point->edge);
        break;
    case SM_OP_BR_IF:
        resolve_branches(flow, point, 1);
        edges[1] = next;
        break;
    case SM_OP_RETURN:
        edges[0] = flow->point_count;
        break;
    case SM_OP_IF:
        edges[0] = next;
        edges[1] = (point->else_ != SM_WASM_NO_INDEX ? point->else_ : point->end) + 1;
        break;
    case SM_OP_ELSE: /* reached from the then-arm, which is over */
        edges[0] = flow->points[point->opener].end + 1;
        break;
    default:
        edges[0] = next;
        break;
    }
}

/* The rules that have nothing to do with branches. */
static void mark_starts(struct sm_flow *flow, uint32_t index)
{
    const struct sm_flow_point *point = &flow->points[index];
    switch ((int)point->op) {
    case SM_OP_LOOP:
    case SM_OP_BR_IF:
    case SM_OP_CALL:
    case SM_OP_CALL_INDIRECT:
    case SM_OP_MEMORY_GROW:
        flow->points[index + 1].is_start = true;
        break;
    case SM_OP_IF:
        flow->points[index + 1].is_start = true;
        flow->points[point->end + 1].is_start = true;
        if (point->else_ != SM_WASM_NO_INDEX) {
            flow->points[point->else_ + 1].is_start = true;
        }
        break;
    default:
        break;
    }
}

static void follow_edges(struct sm_flow *flow)
{
    flow->points[0].is_live = true;
    flow->points[0].is_start = true;
    for (uint32_t i = 0; i < flow->point_count; i++) {
        resolve_edges(flow, i);
        if (flow->points[i].is_live) {
            for (uint32_t k = flow->points[i].edge; k < flow->points[i + 1].edge; k++) {
                flow->points[flow->edges[k]].is_live = true;
            }
            mark_starts(flow, i);
        }
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void cut_into_blocks(struct sm_flow *flow, const uint32_t *weights)
{
    struct sm_flow_block *block = NULL;
    flow->block_count = 0;
    for (uint32_t i = 0; i < flow->point_count; i++) {
        const struct sm_flow_point *point = &flow->points[i];
        if (point->is_live && point->is_start) {
            block = &flow->blocks[flow->block_count++];
            *block = (struct sm_flow_block){
                .first = i, .is_checked = i == 0 || flow->points[i - 1].op == SM_OP_LOOP};
        }
        if (point->is_live && block != NULL) { /* the first point is a start */
            block->count++;
            block->charge += weights[point->op];
        }
    }
}

enum smelt_status sm_flow_read(struct sm_flow *flow, const struct sm_wasm_module *module,
                               uint32_t func_index, const uint32_t *weights,
                               struct smelt_error *err)
{
    enum smelt_status status = read_points(flow, module, func_index, err);
    if (status == SMELT_STATUS_OK) {
        follow_edges(flow);
        cut_into_blocks(flow, weights);
    }
    return status;
}

struct sm_schedule_rate sm_flow_rate(const struct sm_schedule_dynamic *dynamic, enum sm_wasm_op op)
{
    switch ((int)op) {
    case SM_OP_MEMORY_GROW:
        return (struct sm_schedule_rate){.per_unit = dynamic->memory_grow_page, .unit_bytes = 1};
    case SM_OP_MEMORY_COPY:
    case SM_OP_MEMORY_FILL:
    case SM_OP_MEMORY_INIT:
        return dynamic->bulk_memory;
    case SM_OP_TABLE_COPY:
    case SM_OP_TABLE_INIT:
        return dynamic->bulk_table;
    default:
        return (struct sm_schedule_rate){.unit_bytes = 1};
    }
}
