/* M. Sharir, Computers and Mathematics with Applications 7 (1981), after Kosaraju: functions in the
 * order in which a walk along calls leaves them; then, from the last left to the first, what a walk
 * against calls reaches is one component. Both walks keep their own stack. */
#include "compiler/instrument/reserve.h"

#include "base/status.h"

#include <string.h>

/* Adjacency lists in one array: those of i are list[first[i]] up to list[first[i + 1]]. */
struct adjacency {
    uint32_t *first;
    uint32_t *list;
};

struct walk {
    uint32_t *next; /* per function: position in its list */
    uint32_t *path;
    uint32_t path_size;
    bool *is_seen;
};

struct calls {
    uint32_t *pairs; /* caller, callee */
    uint32_t count;
};

static uint64_t add_results(uint64_t sum, const struct sm_wasm_type *type)
{
    return type->result_count >= 2 ? sum + type->result_count : sum;
}

/* All `call` instructions of defined functions to defined functions, in dead code too; and, into
 * `returned` per function, the results of calls of any kind that have several. */
static enum smelt_status read_calls(const struct sm_wasm_module *module, struct calls *calls,
                                    uint64_t *returned, struct smelt_error *err)
{
    calls->count = 0;
    memset(returned, 0, module->func_count * sizeof(*returned));
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        struct sm_wasm_cursor cursor = sm_wasm_cursor_of(module, i);
        struct sm_wasm_instr instr;
        while (cursor.at != cursor.end) {
            enum smelt_status status = sm_wasm_read_instr(&cursor, &instr, err);
            if (status != SMELT_STATUS_OK) {
                return status;
            }
            if (instr.op == SM_OP_CALL_INDIRECT) {
                returned[i] = add_results(returned[i], &module->types[instr.index]);
            } else if (instr.op == SM_OP_CALL) {
                returned[i] = add_results(returned[i], sm_wasm_func_type(module, instr.index));
            }
            if (instr.op != SM_OP_CALL || instr.index < module->imported_func_count) {
                continue;
            }
            if (calls->pairs != NULL) {
                calls->pairs[(size_t)2 * calls->count] = i;
                calls->pairs[(size_t)2 * calls->count + 1] = instr.index;
            }
            calls->count++;
        }
    }
    return SMELT_STATUS_OK;
}

/* Sorts the calls by one end (0: caller, 1: callee) by counting. */
static bool sort_calls(const struct calls *calls, uint32_t end, uint32_t func_count,
                       struct sm_arena *arena, struct adjacency *out)
{
    out->first = (uint32_t *)sm_arena_calloc(arena, (size_t)func_count + 2, sizeof(*out->first));
    out->list = (uint32_t *)sm_arena_calloc(arena, calls->count, sizeof(*out->list));
    if (out->first == NULL || out->list == NULL) {
        return false;
    }
    /* one further than it will be: placing a call moves its list's start to the next one's */
    for (size_t i = 0; i < calls->count; i++) {
        out->first[calls->pairs[2 * i + end] + 2]++;
    }
    for (uint32_t i = 0; i < func_count; i++) {
        out->first[i + 2] += out->first[i + 1];
    }
    for (size_t i = 0; i < calls->count; i++) {
        out->list[out->first[calls->pairs[2 * i + end] + 1]++] = calls->pairs[2 * i + 1 - end];
    }
    return true;
}

/* Walks from `start` over what was not seen; `left` gets functions as the walk leaves them. */
static void walk_from(const struct adjacency *graph, struct walk *walk, uint32_t start,
                      uint32_t *left, uint32_t *left_count)
{
    walk->is_seen[start] = true;
    walk->next[start] = graph->first[start];
    walk->path[walk->path_size++] = start;
    while (walk->path_size != 0) {
        uint32_t index = walk->path[walk->path_size - 1];
        if (walk->next[index] == graph->first[index + 1]) {
            walk->path_size--;
            left[(*left_count)++] = index;
            continue;
        }
        uint32_t other = graph->list[walk->next[index]++];
        if (!walk->is_seen[other]) {
            walk->is_seen[other] = true;
            walk->next[other] = graph->first[other];
            walk->path[walk->path_size++] = other;
        }
    }
}

static bool walk_init(struct walk *walk, uint32_t count, struct sm_arena *arena)
{
    *walk = (struct walk){
        .next = (uint32_t *)sm_arena_calloc(arena, count, sizeof(*walk->next)),
        .path = (uint32_t *)sm_arena_calloc(arena, count, sizeof(*walk->path)),
        .is_seen = (bool *)sm_arena_calloc(arena, count, sizeof(*walk->is_seen)),
    };
    return walk->next != NULL && walk->path != NULL && walk->is_seen != NULL;
}

/* `order`: functions, each after all it calls that are not on a cycle with it. */
static enum smelt_status mark_cycles(const struct sm_wasm_module *module,
                                     const struct adjacency *callees,
                                     const struct adjacency *callers, struct sm_arena *arena,
                                     uint32_t *order, uint32_t *order_count,
                                     struct sm_stack_weight *weights, struct smelt_error *err)
{
    struct walk forth;
    struct walk back;
    uint32_t *component =
        (uint32_t *)sm_arena_calloc(arena, module->func_count, sizeof(*component));
    if (component == NULL || !walk_init(&forth, module->func_count, arena) ||
        !walk_init(&back, module->func_count, arena)) {
        return sm_error_no_memory(err, "check");
    }
    *order_count = 0;
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        if (!forth.is_seen[i]) {
            walk_from(callees, &forth, i, order, order_count);
        }
    }
    for (uint32_t k = *order_count; k > 0; k--) {
        uint32_t size = 0;
        if (!back.is_seen[order[k - 1]]) {
            walk_from(callers, &back, order[k - 1], component, &size);
        }
        for (uint32_t i = 0; size > 1 && i < size; i++) {
            weights[component[i]].is_checked = true;
        }
    }
    return SMELT_STATUS_OK;
}

static void mark_others(const struct sm_wasm_module *module, const struct calls *calls,
                        struct sm_stack_weight *weights)
{
    for (size_t i = 0; i < calls->count; i++) {
        if (calls->pairs[2 * i] == calls->pairs[2 * i + 1]) {
            weights[calls->pairs[2 * i]].is_checked = true;
        }
    }
    for (uint32_t i = 0; i < module->elem_count; i++) {
        const struct sm_wasm_elem *elem = &module->elems[i];
        for (uint32_t k = 0; k < elem->item_count; k++) {
            if (elem->items[k].kind == SM_WASM_CONST_REF_FUNC &&
                elem->items[k].index >= module->imported_func_count) {
                weights[elem->items[k].index].is_checked = true;
            }
        }
    }
}

static uint32_t saturate(uint64_t weight)
{
    return weight > SM_STACK_LIMIT ? SM_STACK_LIMIT + 1 : (uint32_t)weight;
}

static void add_up(const struct sm_wasm_module *module, const struct adjacency *callees,
                   const uint64_t *returned, uint32_t func_index, struct sm_stack_weight *weights)
{
    const struct sm_wasm_func *func = &module->funcs[func_index];
    uint64_t weight = SM_STACK_FRAME_WEIGHT;
    uint32_t below = 0;
    weight += sm_wasm_func_type(module, func_index)->param_count;
    weight += func->local_count;
    weight += func->max_height;
    weight += returned[func_index];
    weight += func->code.size / SM_STACK_CODE_BYTES;
    for (uint32_t k = callees->first[func_index]; k < callees->first[func_index + 1]; k++) {
        const struct sm_stack_weight *callee = &weights[callees->list[k]];
        if (!callee->is_checked && callee->reserve > below) {
            below = callee->reserve;
        }
    }
    weights[func_index].weight = saturate(weight);
    weights[func_index].reserve = saturate((uint64_t)saturate(weight) + below);
}

enum smelt_status sm_reserve_compute(const struct sm_wasm_module *module, struct sm_arena *arena,
                                     const struct sm_stack_weight **out, struct smelt_error *err)
{
    struct calls calls = {0};
    struct adjacency callees;
    struct adjacency callers;
    uint32_t order_count;
    uint32_t *order = (uint32_t *)sm_arena_calloc(arena, module->func_count, sizeof(*order));
    struct sm_stack_weight *weights =
        (struct sm_stack_weight *)sm_arena_calloc(arena, module->func_count, sizeof(*weights));
    uint64_t *returned = (uint64_t *)sm_arena_calloc(arena, module->func_count, sizeof(*returned));
    enum smelt_status status;
    if (returned == NULL) {
        return sm_error_no_memory(err, "check");
    }
    SMELT_TRY(read_calls(module, &calls, returned, err));
    calls.pairs = (uint32_t *)sm_arena_calloc(arena, calls.count, 2 * sizeof(*calls.pairs));
    if (order == NULL || weights == NULL || calls.pairs == NULL) {
        return sm_error_no_memory(err, "check");
    }
    SMELT_TRY(read_calls(module, &calls, returned, err));
    if (!sort_calls(&calls, 0, module->func_count, arena, &callees) ||
        !sort_calls(&calls, 1, module->func_count, arena, &callers)) {
        return sm_error_no_memory(err, "check");
    }
    SMELT_TRY(mark_cycles(module, &callees, &callers, arena, order, &order_count, weights, err));
    mark_others(module, &calls, weights);
    for (uint32_t i = 0; i < order_count; i++) {
        add_up(module, &callees, returned, order[i], weights);
    }
    *out = weights;
cleanup:
    return status;
}
