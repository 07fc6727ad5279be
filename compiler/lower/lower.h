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

/* Larger function bodies are compiled without optimisation: LLVM's passes are superlinear. Bytes.
 */
#define SM_LOWER_UNOPTIMISED_BYTES 16384u

struct sm_lower_input {
    const struct sm_wasm_module *module;
    const struct sm_instrumented *instrumented;
    const struct smelt_hash *module_hash;
    const struct smelt_hash *artefact_key;
    struct smelt_slice wasm2c; /* what wasm2c wrote */
};

/* Replaces the content of `out` with one C translation unit. */
enum smelt_status sm_lower(const struct sm_lower_input *input, struct smelt_buf *out,
                           struct smelt_error *err);

#endif
