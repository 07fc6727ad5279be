/* A parsed policy: what the gate and the instrumenter read. Format and meaning of every key:
 * docs/limits.md.
 *
 * The tables below are the only list of features and limits: fields, keys of the file, digest,
 * messages and the test of docs/limits.md are views of their rows. The numbers of the built-in
 * policies are in policies/ and nowhere else. A new row is a new key in every policy file. */
#ifndef SM_HOSTABI_POLICY_H
#define SM_HOSTABI_POLICY_H

#include <smelt/policy.h>

/* Of what the code decides and no file says: what the gate counts (compiler/instrument/cost.h above
 * all), where basic blocks start (docs/fuel.md), what the stack weighs. It is raised by every
 * change of these, and is in the digest of every policy: nodes that would judge differently refuse
 * each other's states. */
#define SM_RULES_VERSION 1u

/* What the accepted subset has beyond WebAssembly 1.0: X(name, "what it stands for"). */
#define SM_POLICY_FEATURES(X)                                                                      \
    X(sign_extension, "`extend8_s`, `extend16_s`, `extend32_s`")                                   \
    X(saturating_conversion, "`trunc_sat` conversions")                                            \
    X(multi_value, "several results, and blocks typed by a function type")                         \
    X(bulk_memory, "`memory.copy`, `memory.fill`, `memory.init`, `data.drop`, `table.copy`, "      \
                   "`table.init`, `elem.drop`, passive segments, the data count section")          \
    X(reference_types, "`select` with a type, declared element segments, null elements")

/* Exports besides functions: X(name). The runtime uses none of them; `globals` are the immutable
 * ones. */
#define SM_POLICY_EXPORTS(X)                                                                       \
    X(memory)                                                                                      \
    X(table)                                                                                       \
    X(globals)                                                                                     \
    X(mutable_globals)

/* Static complexity limits: X(name, most, "what is counted"). `most` is the largest number that a
 * policy file may give: what the decoder (compiler/wasm/module.h) or the tools take.
 *
 * They bound the work of wasm2c and clang: both are superlinear in the size of one function, in
 * nesting and in br_table width, wasm2c also in the number of functions (20000 empty ones take it
 * 18 s). wasm2c indents each statement by twice its nesting, so nested_bytes bounds the size of its
 * output: without it a module of 2 MiB made more than the 1 GiB that a tool may write. The costs
 * (compiler/instrument/cost.h) bound time and memory: the first those of one run of clang, which
 * compiles at least one function, the second those of all runs together. */
#define SM_POLICY_LIMITS(X)                                                                        \
    X(module_bytes, 67108864, "bytes of the module")                                               \
    X(functions, 100000, "functions, imported ones included")                                      \
    X(types, 100000, "types")                                                                      \
    X(globals, 100000, "globals")                                                                  \
    X(exports, 100000, "exports")                                                                  \
    X(name_bytes, 65536, "bytes of an export's name")                                              \
    X(segments, 100000, "data and element segments, each")                                         \
    X(table_elements, 1000000, "initial elements of the table")                                    \
    X(body_bytes, 67108864, "bytes of a function body")                                            \
    X(locals, 50000, "parameters and locals of a function")                                        \
    X(params, 1000, "parameters of a function type")                                               \
    X(results, 1000, "results of a function type")                                                 \
    X(operands, 1048576, "operands on the stack of a function")                                    \
    X(nesting, 1000, "nested blocks of a function")                                                \
    X(blocks, 67108864, "basic blocks of a function")                                              \
    X(br_table_labels, 67108864, "br_table labels of a function")                                  \
    X(nested_bytes, 1073741824, "bytes of bodies times their nesting")                             \
    X(function_cost, 100000000, "cost of compiling a function")                                    \
    X(compile_cost, 100000000, "cost of compiling the module")

#define SM_POLICY_PAGES_MAX 65536u /* 4 GiB: core 2.0, section 3.2.1 */

/* Characters of export names. */
enum sm_policy_names {
    SM_POLICY_NAMES_UTF8 = 0,           /* any that the binary format allows */
    SM_POLICY_NAMES_PRINTABLE_ASCII = 1 /* U+0020 to U+007E, at least one */
};

struct sm_policy {
    enum smelt_float_policy floats;
    enum sm_policy_names names;
#define SM_POLICY_FIELD(name, text) bool name;
    struct {
        SM_POLICY_FEATURES(SM_POLICY_FIELD)
    } features;
#undef SM_POLICY_FIELD
#define SM_POLICY_FIELD(name) bool name;
    struct {
        SM_POLICY_EXPORTS(SM_POLICY_FIELD)
    } may_export;
#undef SM_POLICY_FIELD
    uint32_t memory_initial_pages; /* the profile may allow less */
    uint32_t memory_pages;
#define SM_POLICY_FIELD(name, most, text) uint32_t name;
    SM_POLICY_LIMITS(SM_POLICY_FIELD)
#undef SM_POLICY_FIELD
    /* Not of the file, and not in its digest: an option of the compiler, in the artefact key. */
    bool allows_any_import;
};

/* Borrowed until destroy; `allows_any_import` is false. */
const struct sm_policy *sm_policy_values(const struct smelt_policy *policy);

/* The built-in policy of SMELT_POLICY_DEFAULT with two of its fields replaced. */
void sm_policy_init(struct sm_policy *policy, enum smelt_float_policy floats,
                    bool allows_any_import);

/* The digest of smelt_policy_digest. */
void sm_policy_digest(const struct sm_policy *policy, struct smelt_hash *out);

#endif
