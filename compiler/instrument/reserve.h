/* Stack weights and reserves once more, for the checker: the formula of stack.h computed in another
 * way. Cycles come from Kosaraju's two walks instead of Tarjan's one, and reserves are added up in
 * the order in which the first walk leaves functions. */
#ifndef SM_INSTRUMENT_RESERVE_H
#define SM_INSTRUMENT_RESERVE_H

#include "compiler/instrument/stack.h"

/* One per function of the index space, imported ones (all zero) included. */
enum smelt_status sm_reserve_compute(const struct sm_wasm_module *module, struct sm_arena *arena,
                                     const struct sm_stack_weight **out, struct smelt_error *err);

#endif
