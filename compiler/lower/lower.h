/* From wasm2c's C to ours. Only the function bodies of wasm2c's output are used, and of those only
 * statements of known forms, token by token: whatever is not recognised is an error (TOOL_OUTPUT),
 * never passed through. All the rest of the unit (types, globals, segments, entries, descriptor) is
 * written from the decoded module.
 *
 * Each instruction that may trap receives its place in the deployed module. The pass checks on the
 * way that wasm2c's output has exactly the sites and markers of the instrumented module: everything
 * that may trap, calls or changes more than a local, and every charge with its amount, all in their
 * order. It does not check the values in between: that is what running the code is for. */
#ifndef SM_LOWER_LOWER_H
#define SM_LOWER_LOWER_H

#include "compiler/instrument/instrument.h"

/* The module name that wasm2c is run with (-n). */
#define SM_LOWER_MODULE_NAME "c"

struct sm_lower_input {
    const struct sm_wasm_module *module;
    const struct sm_instrumented *instrumented;
    const struct smelt_hash *module_hash;
    const struct smelt_hash *artefact_key;
    struct smelt_slice wasm2c; /* what wasm2c wrote */
};

/* What a function is to the optimiser, as a pure function of the module: its bytes of code;
 * SM_LOWER_SITE_COST for each call and each division, since some passes are quadratic in these: a
 * function of 340 takes clang about a second, one of 2600, in 15 KB, a minute; SM_LOWER_VALUE_COST
 * for each value that a call with several results brings back in a struct. 0 for imports. */
#define SM_LOWER_SITE_COST  40u
#define SM_LOWER_VALUE_COST 2u
uint64_t sm_lower_cost(const struct sm_wasm_module *module, uint32_t func_index);

/* A module that costs more (cost.h) is compiled in units, so that what clang takes in memory does
 * not grow with the module: unit 0 has everything but the bodies, each other one has as many
 * functions, in their order, as cost this much together; one function may cost more. */
#define SM_LOWER_UNIT_COST 1000000u
uint32_t sm_lower_unit_count(const struct sm_wasm_module *module);

/* Replaces the content of `out` with one C text. It is one translation unit, and with UNIT defined
 * as 0, 1 … one of sm_lower_unit_count(). */
enum smelt_status sm_lower(const struct sm_lower_input *input, struct smelt_buf *out,
                           struct smelt_error *err);

#endif
