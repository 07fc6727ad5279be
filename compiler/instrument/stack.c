/* Cycles by Tarjan's algorithm (SIAM J. Comput. 1, 1972) with a stack of its own: a module may
 * chain thousands of functions. Components come out callees first, which is the order in which
 * reserves add up. */
#include "compiler/instrument/stack.h"

#include "base/status.h"

struct node {
    uint32_t first_call; /* index into calls */
    uint32_t call_count;
    uint32_t next_call; /* of the walk */
    uint32_t order;     /* of discovery, from 1; 0: not seen */
    uint32_t low;
    bool is_on_stack;
    bool calls_itself;
};

struct graph {
    struct node *nodes;
    uint32_t *calls;
    uint32_t *component; /* Tarjan's stack */
    uint32_t *path;      /* the walk's stack */
    uint32_t component_size;
    uint32_t path_size;
    uint32_t clock;
    struct sm_stack_weight *weights;
};

/* Results that come back in a struct of the call's own. */
static uint32_t struct_results(const struct sm_wasm_module *module,
                               const struct sm_wasm_instr *instr)
{
    uint32_t count = instr->op == SM_OP_CALL ? sm_wasm_func_type(module, instr->index)->result_count
                     : instr->op == SM_OP_CALL_INDIRECT ? module->types[instr->index].result_count
                                                        : 0;
    return count > 1 ? count : 0;
}

/* `calls` may be NULL; `*count` goes on from what it is. `*results` is of the whole function. */
static enum smelt_status read_calls(const struct sm_wasm_module *module, uint32_t func_index,
                                    uint32_t *calls, uint32_t *count, uint64_t *results,
                                    struct smelt_error *err)
{
    *results = 0;
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(module, func_index);
    struct sm_wasm_instr instr;
    while (cursor.at != cursor.end) {
        enum smelt_status status = sm_wasm_read_instr(&cursor, &instr, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        *results += struct_results(module, &instr);
        if (instr.op == SM_OP_CALL && instr.index >= module->imported_func_count) {
            if (calls != NULL) {
                calls[*count] = instr.index;
            }
            (*count)++;
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status build(const struct sm_wasm_module *module, struct sm_arena *arena,
                               struct graph *graph, struct smelt_error *err)
{
    uint32_t total = 0;
    uint32_t used = 0;
    uint64_t results;
    size_t count = module->func_count;
    enum smelt_status status = SMELT_STATUS_OK;
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        SMELT_TRY(read_calls(module, i, NULL, &total, &results, err));
    }
    graph->nodes = (struct node *)sm_arena_calloc(arena, count, sizeof(*graph->nodes));
    graph->calls = (uint32_t *)sm_arena_calloc(arena, total, sizeof(*graph->calls));
    graph->component = (uint32_t *)sm_arena_calloc(arena, count, sizeof(*graph->component));
    graph->path = (uint32_t *)sm_arena_calloc(arena, count, sizeof(*graph->path));
    graph->weights =
        (struct sm_stack_weight *)sm_arena_calloc(arena, count, sizeof(*graph->weights));
    if (graph->nodes == NULL || graph->calls == NULL || graph->component == NULL ||
        graph->path == NULL || graph->weights == NULL) {
        return sm_error_no_memory(err, "instrument");
    }
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        struct node *node = &graph->nodes[i];
        node->first_call = used;
        SMELT_TRY(read_calls(module, i, graph->calls, &used, &results, err));
        node->call_count = used - node->first_call;
        const struct sm_wasm_func *func = &module->funcs[i];
        uint64_t weight = (uint64_t)sm_wasm_func_type(module, i)->param_count + func->local_count +
                          func->max_height + results + func->code.size / SM_STACK_CODE_BYTES +
                          SM_STACK_FRAME_WEIGHT;
        graph->weights[i].weight = weight > SM_STACK_LIMIT ? SM_STACK_LIMIT + 1 : (uint32_t)weight;
    }
    for (uint32_t e = 0; e < module->elem_count; e++) {
        for (uint32_t k = 0; k < module->elems[e].item_count; k++) {
            const struct sm_wasm_const *item = &module->elems[e].items[k];
            if (item->kind == SM_WASM_CONST_REF_FUNC &&
                item->index >= module->imported_func_count) {
                graph->weights[item->index].is_checked = true;
            }
        }
    }
cleanup:
    return status;
}

/* All callees of the component have their reserves, or are in the component and checked. */
static void finish_component(struct graph *graph, uint32_t root)
{
    uint32_t start = graph->component_size;
    do {
        start--;
        graph->nodes[graph->component[start]].is_on_stack = false;
    } while (graph->component[start] != root);
    bool is_cycle = graph->component_size - start > 1 || graph->nodes[root].calls_itself;
    for (uint32_t i = start; i < graph->component_size; i++) {
        graph->weights[graph->component[i]].is_checked |= is_cycle;
    }
    for (uint32_t i = start; i < graph->component_size; i++) {
        const struct node *node = &graph->nodes[graph->component[i]];
        uint32_t below = 0;
        for (uint32_t k = 0; k < node->call_count; k++) {
            const struct sm_stack_weight *callee =
                &graph->weights[graph->calls[node->first_call + k]];
            if (!callee->is_checked && callee->reserve > below) {
                below = callee->reserve;
            }
        }
        struct sm_stack_weight *weight = &graph->weights[graph->component[i]];
        uint32_t sum = weight->weight + below; /* both at most SM_STACK_LIMIT + 1 */
        weight->reserve = sum > SM_STACK_LIMIT ? SM_STACK_LIMIT + 1 : sum;
    }
    graph->component_size = start;
}

static void enter_node(struct graph *graph, uint32_t index)
{
    struct node *node = &graph->nodes[index];
    node->order = node->low = ++graph->clock;
    node->is_on_stack = true;
    graph->component[graph->component_size++] = index;
    graph->path[graph->path_size++] = index;
}

static void walk_from(struct graph *graph, uint32_t start)
{
    enter_node(graph, start);
    while (graph->path_size != 0) {
        uint32_t index = graph->path[graph->path_size - 1];
        struct node *node = &graph->nodes[index];
        if (node->next_call < node->call_count) {
            uint32_t callee = graph->calls[node->first_call + node->next_call++];
            node->calls_itself |= callee == index;
            const struct node *next = &graph->nodes[callee];
            if (next->order == 0) {
                enter_node(graph, callee);
            } else if (next->is_on_stack && next->order < node->low) {
                node->low = next->order;
            }
            continue;
        }
        graph->path_size--;
        if (graph->path_size != 0) {
            struct node *caller = &graph->nodes[graph->path[graph->path_size - 1]];
            caller->low = node->low < caller->low ? node->low : caller->low;
        }
        if (node->low == node->order) {
            finish_component(graph, index);
        }
    }
}

enum smelt_status sm_stack_weigh(const struct sm_wasm_module *module, struct sm_arena *arena,
                                 const struct sm_stack_weight **out, struct smelt_error *err)
{
    struct graph graph = {0};
    enum smelt_status status = build(module, arena, &graph, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        if (graph.nodes[i].order == 0) {
            walk_from(&graph, i);
        }
    }
    *out = graph.weights;
    return SMELT_STATUS_OK;
}
