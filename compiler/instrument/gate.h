/* The gate: which valid modules a policy and a profile let in. A pure function of the bytes, the
 * policy and the profile; nothing here may depend on time, memory or machine. What each rule says,
 * and their order: docs/limits.md. */
#ifndef SM_INSTRUMENT_GATE_H
#define SM_INSTRUMENT_GATE_H

#include "compiler/wasm/module.h"
#include "hostabi/policy.h"

#include <smelt/host.h>

/* Most pages a memory may have: the lower of the policy's and the profile's limit. Modules of other
 * hosts have no profile. */
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
