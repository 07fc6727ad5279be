/* What a module costs, block by block, for people: smelt_compiler_explain_fuel. */
#ifndef SM_INSTRUMENT_EXPLAIN_H
#define SM_INSTRUMENT_EXPLAIN_H

#include "compiler/wasm/module.h"

#include <smelt/compiler.h>

/* The module has been validated and let in by the gate. */
enum smelt_status sm_explain_fuel(const struct sm_wasm_module *module,
                                  const struct smelt_profile *profile,
                                  const struct smelt_schedule *schedule, smelt_fuel_visit_fn visit,
                                  void *context, struct smelt_error *err);

#endif
