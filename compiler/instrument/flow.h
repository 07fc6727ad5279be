/* The control-flow graph of one function: the definition of basic blocks (docs/fuel.md, F5 to F9)
 * as nodes and edges. What `smelt compile --explain-fuel` prints and what the checker (check.h)
 * holds the instrumented module against; the instrumenter itself finds blocks in another way.
 *
 *     struct sm_flow flow;
 *     sm_flow_init(&flow, module, arena, err);            once, room for the largest body
 *     sm_flow_read(&flow, module, func_index, weights, err);   for each function
 *
 * Instructions are numbered in the order of the body; the number behind the last is the exit. */
#ifndef SM_INSTRUMENT_FLOW_H
#define SM_INSTRUMENT_FLOW_H

#include "compiler/wasm/module.h"
#include "hostabi/schedule.h"

struct sm_flow_point {
    uint32_t offset; /* of the instruction, from the start of the module */
    uint32_t opener; /* of else and end: the construct they belong to; NO_INDEX: the function */
    uint32_t else_;  /* of if: its else, NO_INDEX without */
    uint32_t end;    /* of block, loop and if */
    uint32_t edge;   /* first of its edges; they end where those of the next instruction begin */
    enum sm_wasm_op op;
    bool is_live;  /* a path from the entry leads here */
    bool is_start; /* a basic block starts here, if it is live */
};

struct sm_flow_block {
    uint32_t first; /* instruction */
    uint32_t count; /* of instructions */
    uint64_t charge;
    bool is_checked; /* function entry, loop header */
};

struct sm_flow {
    struct sm_flow_point *points; /* the exit has one too */
    uint32_t point_count;         /* without the exit */
    uint32_t *edges;              /* instructions to which control may go next */
    struct sm_flow_block *blocks; /* live ones, in the order of the code */
    uint32_t block_count;
    uint32_t *open; /* constructs around the instruction that is being read */
    uint32_t depth;
};

/* NO_MEMORY only: arrays for the largest body of the module, about 60 bytes per byte of it. */
enum smelt_status sm_flow_init(struct sm_flow *flow, const struct sm_wasm_module *module,
                               struct sm_arena *arena, struct smelt_error *err);

/* Replaces the graph by that of a defined function. `weights` has one entry per instruction of the
 * table. The module has been validated. */
enum smelt_status sm_flow_read(struct sm_flow *flow, const struct sm_wasm_module *module,
                               uint32_t func_index, const uint32_t *weights,
                               struct smelt_error *err);

/* The dynamic charge of an instruction; per_unit is 0 when it has none. */
struct sm_schedule_rate sm_flow_rate(const struct sm_schedule_dynamic *dynamic, enum sm_wasm_op op);

#endif
