/* What a module costs to compile without optimisation, as a pure function of its bytes. The weights
 * are microseconds of processor time for everything together (decoding, instrumenting, wasm2c,
 * lowering and most of all clang), measured for each kind of instruction by itself. Mixed code
 * takes up to 2.4 times as long: nothing of it is in a cache. Memory of clang is at most 0.7 KiB a
 * unit.
 *
 * Everything that clang sees is counted, also what a few bytes of module make many of: locals,
 * values that calls and branches carry, labels, parameters of exports. */
#ifndef SM_INSTRUMENT_COST_H
#define SM_INSTRUMENT_COST_H

#include "compiler/wasm/module.h"

/* Of one function, body and prototype. The module has been validated. */
uint64_t sm_cost_of_function(const struct sm_wasm_module *module, uint32_t func_index);

/* Of everything but the functions: types, globals, imports, exports, segments, names. */
uint64_t sm_cost_of_surroundings(const struct sm_wasm_module *module);

uint64_t sm_cost_of_module(const struct sm_wasm_module *module);

#endif
