/* A part of the compilation that is a pure function of the module, for tests of its cost. */
#ifndef SM_COMPILER_COMPILE_H
#define SM_COMPILER_COMPILE_H

#include "compiler/wasm/module.h"

/* Whether SMELT_OPTIMISE_BY_SIZE optimises it. */
bool sm_compile_optimises(const struct sm_wasm_module *module);

#endif
