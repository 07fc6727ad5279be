/* Translation validation: a proof, for each module that is compiled, that its instrumentation is
 * right. The checker reads the bytes of the instrumented module as any other engine would and holds
 * them against the original and the rules of docs/fuel.md. It shares no code with instrument.c and
 * stack.c: blocks come from a control-flow graph (flow.h), reserves from reserve.h.
 *
 * What it shows:
 *  - types, functions, table, memory, globals, exports and segments are what the original implies,
 *    imports are h.i0 … and the three markers, and there is no custom section;
 *  - each body, without what was added, is the original body without its dead code;
 *  - what was added is a charge at each start of a block that costs something or is checked, the
 *    dynamic charges, the canonical NaNs, enter first and leave last in functions that are checked,
 *    an `unreachable` behind ends that nothing reaches, and scratch locals that nothing else reads;
 *  - on every path, what was charged is never less than what has been executed, is the same
 *    whichever way a point is reached, and equal to it wherever a block starts and at the exit.
 *
 * Time is linear in both modules, memory in the largest body; nothing recurses. */
#ifndef SM_INSTRUMENT_CHECK_H
#define SM_INSTRUMENT_CHECK_H

#include "compiler/instrument/instrument.h"

struct sm_check_input {
    const struct sm_wasm_module *module; /* decoded, validated and let in by the gate */
    const struct sm_policy *policy;
    const struct smelt_profile *profile;
    const struct smelt_schedule *schedule;
    struct smelt_slice instrumented;
    /* What later stages read besides the bytes, to be compared as well; NULL: bytes alone. */
    const struct sm_instrumented *lists;
};

/* TRANSLATION_UNPROVEN with the function and the offset in the original module, or NO_MEMORY. */
enum smelt_status sm_check(const struct sm_check_input *input, struct smelt_error *err);

#endif
