/* Deterministic stack depth. The native stack depends on the compiler, so it may not decide an
 * outcome; instead every function has a static weight, and the sum of the weights in use is
 * limited.
 *
 *   weight(f)   parameters + locals + highest operand stack + results of all its calls (call,
 *               call_indirect) that have several
 *               + bytes of code / SM_STACK_CODE_BYTES + SM_STACK_FRAME_WEIGHT
 *   checked     f lies on a cycle of the call graph, or an element segment refers to it
 *   reserve(f)  weight(f) + the largest reserve among the unchecked functions it calls directly
 *
 * A checked function takes its reserve from the activation's SM_STACK_LIMIT when it is entered and
 * gives it back when it returns; not enough left is trap stack_overflow. Unchecked functions are an
 * acyclic graph below checked ones or below an entry, so the reserves cover them; an unchecked
 * entry's reserve is checked by the runtime before the call. Calls through the table reach checked
 * functions only.
 *
 * The code's size is in the weight because it is in the frame: without optimisation clang gives
 * each temporary a slot of its own, and the struct of every call with several results. Left out, a
 * contract could have frames of megabytes that weigh as much as a handful of locals, and with them
 * a native stack that no machine has. As it is, a unit stands for some thirty bytes at most. */
#ifndef SM_INSTRUMENT_STACK_H
#define SM_INSTRUMENT_STACK_H

#include "compiler/wasm/module.h"

#define SM_STACK_FRAME_WEIGHT 8u
#define SM_STACK_CODE_BYTES   16u
#define SM_STACK_LIMIT        131072u /* weight units of one activation; consensus */

struct sm_stack_weight {
    uint32_t weight;
    uint32_t reserve; /* saturates at SM_STACK_LIMIT + 1, which never fits */
    bool is_checked;
};

/* One per function of the index space, imported ones (all zero) included. NO_MEMORY only. */
enum smelt_status sm_stack_weigh(const struct sm_wasm_module *module, struct sm_arena *arena,
                                 const struct sm_stack_weight **out, struct smelt_error *err);

#endif
