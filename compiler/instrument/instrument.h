/* Instrumentation: wasm in, wasm out. The result is valid wasm that any engine can run, given three
 * functions of import module "m":
 *
 *   fuel(i64)   at the start of every basic block, with the sum of its instructions' weights, and
 * before the effect of memory.grow and bulk instructions, with their dynamic charge enter(i32)  at
 * the entry of a stack-checked function, before its first block is charged, with its reserve
 *   leave(i32)  before it returns
 *
 * The module is re-encoded canonically. Names are ours: imports become h.i0, h.i1 …, exports x0, x1
 * … in the order of the original's, "memory" is always exported; there are no custom sections, and
 * no code that can never run. What wasm2c reads is therefore free of anything a contract's author
 * chose to write in a name.
 *
 * A basic block starts at: function entry, loop header, start of `then` and `else`, after `end` of
 * an `if` or of a block that some branch targets, after br_if, after call, call_indirect and
 * memory.grow. An instruction belongs to the block from which control falls into it: `block`,
 * `loop` and `if` to the block before, `else` and `end` to the block that reaches them by falling
 * through. Code after an unconditional branch is dead: it costs nothing and is dropped. */
#ifndef SM_INSTRUMENT_INSTRUMENT_H
#define SM_INSTRUMENT_INSTRUMENT_H

#include "compiler/instrument/gate.h"
#include "compiler/instrument/stack.h"

#include <smelt/schedule.h>

#define SM_MARKER_COUNT 3u /* imports added after the module's own */

enum sm_marker_kind { SM_MARKER_FUEL, SM_MARKER_ENTER, SM_MARKER_LEAVE };

/* A call of a marker function, in the order of the code. The lowering pass checks that wasm2c's
 * output has the same ones: a charge that got lost on the way would be free work. */
struct sm_marker {
    enum sm_marker_kind kind;
    bool is_checked; /* fuel: generated code must compare here (function entry, loop header) */
    bool is_dynamic; /* fuel: the amount is computed */
    uint64_t amount; /* unless is_dynamic */
};

/* An instruction that may trap, calls, or changes something other than locals, in the order of the
 * code that is left: where it is in the deployed module, for locations. The lowering pass checks
 * that wasm2c's output has the same ones. */
struct sm_site {
    enum sm_wasm_op op;
    uint32_t offset;
    uint32_t index; /* function, type of call_indirect, global, segment: whichever it names */
};

struct sm_instrumented_func {
    const struct sm_site *sites;
    uint32_t site_count;
    const struct sm_marker *markers;
    uint32_t marker_count;
};

struct sm_instrumented {
    struct smelt_buf wasm;
    const struct sm_instrumented_func *funcs; /* by index in the original module */
    const struct sm_stack_weight *stack;
    uint32_t memory_min;  /* pages, return page included */
    uint32_t memory_max;  /* pages, after the profile's limit */
    uint32_t return_page; /* page number, UINT32_MAX: none */
};

/* Everything but `out->wasm` lives in the arena. */
enum smelt_status sm_instrument(const struct sm_wasm_module *module, const struct sm_policy *policy,
                                const struct smelt_profile *profile,
                                const struct smelt_schedule *schedule, struct sm_arena *arena,
                                struct sm_instrumented *out, struct smelt_error *err);

#endif
