/* What a module costs to compile without optimisation, as a pure function of its bytes. The weights
 * are relative: they were measured for each kind of instruction by itself (scripts/bombs), and are
 * such that none takes much longer for each 1 than code of real programs, which takes about 2
 * microseconds of processor time with all stages and tools together. What real code has little of
 * is weighted higher, since mixtures take longer than the sum of their parts. Memory of clang is at
 * most 0.4 KiB for each 1.
 *
 * Everything that clang sees is counted, also what a few bytes of module make many of: locals,
 * values that calls and branches carry, labels, parameters of exports. The weights and the rules
 * are normative, since they decide what is accepted: docs/limits.md. */
#ifndef SM_INSTRUMENT_COST_H
#define SM_INSTRUMENT_COST_H

#include "compiler/wasm/module.h"

#include <stddef.h>

/* What does not belong to one operator: the rows of cost.def. */
struct sm_cost_row {
    uint32_t weight;
    const char *text;
};
extern const struct sm_cost_row sm_cost_rows[];
extern const size_t sm_cost_row_count;

/* Without the values that it carries, labels and nesting. */
uint32_t sm_cost_of_operator(enum sm_wasm_op op);

/* Of one function, body and prototype. The module has been validated. */
uint64_t sm_cost_of_function(const struct sm_wasm_module *module, uint32_t func_index);

/* Of everything but the functions: types, globals, imports, exports, segments, names. */
uint64_t sm_cost_of_surroundings(const struct sm_wasm_module *module);

uint64_t sm_cost_of_module(const struct sm_wasm_module *module);

#endif
