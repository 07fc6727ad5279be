/* The gate: which valid modules a policy and a profile let in. A pure function of the bytes, the
 * policy and the profile; nothing here may depend on time, memory or machine. */
#ifndef SM_INSTRUMENT_GATE_H
#define SM_INSTRUMENT_GATE_H

#include "compiler/wasm/module.h"

#include <smelt/compiler.h>

/* Static complexity limits: X(name, default, "what is counted"). They bound what wasm2c and clang
 * have to take: both are superlinear in the size of one function, in nesting and in br_table width,
 * wasm2c also in the number of functions (20000 empty ones take it 18 s). wasm2c indents each
 * statement by twice its nesting, so nested_bytes bounds the size of its output: without it a
 * module of 2 MiB made more than the 1 GiB that a tool may write. The costs (cost.h) bound time and
 * memory: the first those of one run of clang, which compiles at least one function, the second
 * those of all runs together. */
#define SM_POLICY_LIMITS(X)                                                                        \
    X(module_bytes, 4194304, "bytes of the module")                                                \
    X(functions, 6000, "functions, imported ones included")                                        \
    X(types, 4096, "types")                                                                        \
    X(globals, 4096, "globals")                                                                    \
    X(exports, 4096, "exports")                                                                    \
    X(segments, 16384, "data and element segments")                                                \
    X(table_elements, 65536, "initial elements of the table")                                      \
    X(body_bytes, 262144, "bytes of a function body")                                              \
    X(locals, 4096, "parameters and locals of a function")                                         \
    X(params, 128, "parameters of a function type")                                                \
    X(results, 32, "results of a function type")                                                   \
    X(operands, 4096, "operands on the stack of a function")                                       \
    X(nesting, 250, "nested blocks of a function")                                                 \
    X(blocks, 32768, "basic blocks of a function")                                                 \
    X(br_table_labels, 8192, "br_table labels of a function")                                      \
    X(nested_bytes, 268435456, "bytes of bodies times their nesting")                              \
    X(function_cost, 400000, "cost of compiling a function")                                       \
    X(compile_cost, 4000000, "cost of compiling the module")

struct sm_policy {
    enum smelt_float_policy floats;
    bool allows_any_import;
#define SM_POLICY_FIELD(name, value, text) uint32_t name;
    SM_POLICY_LIMITS(SM_POLICY_FIELD)
#undef SM_POLICY_FIELD
};

void sm_policy_init(struct sm_policy *policy, enum smelt_float_policy floats,
                    bool allows_any_import);
void sm_policy_digest(const struct sm_policy *policy, struct smelt_hash *out);

/* Most pages a memory may have: the profile's limit, or the format's for modules of other hosts. */
uint32_t sm_gate_memory_pages_max(const struct sm_policy *policy,
                                  const struct smelt_profile *profile);

/* Refuses with a 200s status, naming the rule, the section, the function and the offset. The module
 * has been validated. */
enum smelt_status sm_gate_check(const struct sm_wasm_module *module, const struct sm_policy *policy,
                                const struct smelt_profile *profile, struct smelt_error *err);

/* True when the module reads values through the return page: one page more than it declares. */
bool sm_gate_needs_return_page(const struct sm_wasm_module *module,
                               const struct smelt_profile *profile);

#endif
