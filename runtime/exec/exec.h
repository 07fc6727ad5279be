/* Native code: load an artefact, make an instance of it, run its functions, and get out of them
 * again.
 *
 *     sm_exec_pool_create    memories and stacks for many instances        pool
 *     sm_exec_load           verified file -> dlopen -> descriptor check   module (counted)
 *     sm_exec_create         linear memory, table, globals                 activation
 *     sm_exec_start          what applying the active segments answered; may have trapped
 *     sm_exec_invoke         one exported function, on a guest stack
 *     sm_exec_destroy        reset, and back to the pool
 *
 * An activation is one frame of a transaction: an instance, its fuel, its stack. It belongs to one
 * thread at a time; pools and modules are shared by threads. Host functions are reached through one
 * callback, so exec knows neither profiles nor state:
 *
 *     guest code -- services.host_call --> exec -- host.call --> (runtime)
 *                                           |                        |
 *     guest code <------------------------ exec <-- CONTINUE --------+
 *     caller of sm_exec_invoke <---------- exec <-- STOP ------------+
 *
 * A host call may invoke another export of its own activation (`allocate`): invocations of one
 * activation nest on its guest stack, each with a way out of its own. It may also run another
 * activation, which has its own stack. Leaving crosses generated code only: C frames of the host
 * always return normally. */
#ifndef SM_EXEC_EXEC_H
#define SM_EXEC_EXEC_H

#include "base/sanitizer.h"
#include "hostabi/guest/smelt_abi.h"

#include <smelt/bytes.h>
#include <smelt/status.h>
#include <smelt/trap.h>

/* ---- pools -------------------------------------------------------------------------------- */

struct sm_exec_pool;

/* Activations at a time. Each has 8 GiB of address space, of which x86-64 has 16384 times that, and
 * a handful of mappings, of which Linux gives a process 65530. The thread sanitizer leaves much
 * less address space. */
#define SM_EXEC_INSTANCES_MAX (SM_HAS_TSAN ? 64u : 12288u)
/* What activations that nobody uses keep of the machine's memory. Those that are used again count
 * with what they kept before. */
#define SM_EXEC_IDLE_BYTES (UINT64_C(256) << 20)

/* How destroyed activations find the pages they wrote. The result is the same. */
enum sm_exec_reset {
    SM_EXEC_RESET_AUTO = 0, /* the first of the following that this machine has, and only when the
                             * thread's page faults do not tell (residence.h) */
    SM_EXEC_RESET_SCAN,     /* ioctl PAGEMAP_SCAN (Linux 6.7) */
    SM_EXEC_RESET_PAGEMAP,  /* reading /proc/self/pagemap */
    SM_EXEC_RESET_DISCARD   /* not at all: every page is dropped */
};

/* Zero-initialise; zeroes are the defaults. */
struct sm_exec_pool_options {
    uint32_t instances_max;
    uint64_t idle_bytes;
    enum sm_exec_reset reset; /* or DISCARD, where the machine does not have it */
    bool copies_images;       /* initial data is copied, never mapped from a file */
};

/* `options` may be NULL. NO_MEMORY. */
enum smelt_status sm_exec_pool_create(const struct sm_exec_pool_options *options,
                                      struct sm_exec_pool **out, struct smelt_error *err);
/* NULL is fine. After the last of its modules is gone. */
void sm_exec_pool_destroy(struct sm_exec_pool *pool);
/* At this moment. */
struct sm_exec_pool_figures {
    uint32_t in_use;
    uint64_t idle_bytes;
    uint64_t made;  /* activations so far that were not found idle */
    uint64_t asked; /* resets so far that asked the kernel for pages, or dropped them */
};
struct sm_exec_pool_figures sm_exec_pool_figures(struct sm_exec_pool *pool);
/* Which way it took; never AUTO. */
enum sm_exec_reset sm_exec_pool_reset(const struct sm_exec_pool *pool);

/* ---- modules ------------------------------------------------------------------------------ */

struct sm_exec_module;

/* Maps the shared object behind `fd` (borrowed; through /proc) with RTLD_NOW | RTLD_LOCAL, makes
 * its initial image in `pool`, where its activations will live, and checks its descriptor: ABI
 * version, size, artefact key, module hash, and that every count, offset and pointer is sane.
 * ARTEFACT_MISMATCH names the field, ARTEFACT_CORRUPT is what the dynamic linker refuses. The
 * result has one reference. Debuggers find the code's unwind tables and symbols only while `fd`
 * stays open. */
enum smelt_status sm_exec_load(struct sm_exec_pool *pool, int fd,
                               const struct smelt_hash *artefact_key,
                               const struct smelt_hash *module_hash, struct sm_exec_module **out,
                               struct smelt_error *err);
void sm_exec_acquire(struct sm_exec_module *module);
void sm_exec_release(struct sm_exec_module *module); /* NULL is fine; the last one unmaps */
const struct sm_descriptor *sm_exec_descriptor(const struct sm_exec_module *module);

/* Export by name, NULL when there is none. */
const struct sm_export *sm_exec_find_export(const struct sm_exec_module *module,
                                            struct smelt_slice name);
/* Function whose code holds `offset`, NULL when none does. */
const struct sm_function *sm_exec_find_function(const struct sm_exec_module *module,
                                                uint32_t offset);

/* Whether `address` is in the module's text, and where in the shared object. For signal handlers
 * too. */
bool sm_exec_is_code(const struct sm_exec_module *module, uintptr_t address);
uint64_t sm_exec_code_offset(const struct sm_exec_module *module, uintptr_t address);

/* ---- activations -------------------------------------------------------------------------- */

struct sm_activation;

enum sm_exec_action { SM_EXEC_CONTINUE = 0, SM_EXEC_STOP = 1 };

struct sm_exec_host {
    /* Import number `import` was called; arguments in and results out through `slots`. Runs on the
     * guest stack. STOP leaves the innermost invocation with end SM_EXEC_STOPPED. */
    enum sm_exec_action (*call)(void *context, struct sm_activation *activation, uint32_t import,
                                uint64_t *slots);
    void *context;
};

enum sm_exec_end {
    SM_EXEC_RETURNED,
    SM_EXEC_TRAPPED,     /* `trap` and `offset` say how and where */
    SM_EXEC_OUT_OF_FUEL, /* fuel left is reported as 0 */
    SM_EXEC_STOPPED,     /* by the host callback, which knows why */
    SM_EXEC_FAULTED,     /* generated code broke a promise, see `fault`; no outcome, no fuel */
    SM_EXEC_FAILED       /* node failure, see `status`; no outcome, fuel is meaningless */
};

enum sm_exec_fault_kind {
    SM_EXEC_FAULT_MEMORY,     /* an access behind linear memory, inside its reservation */
    SM_EXEC_FAULT_STACK,      /* an access to a guard of the guest stack */
    SM_EXEC_FAULT_INSTRUCTION /* SIGFPE or SIGILL */
};

struct sm_exec_fault {
    enum sm_exec_fault_kind kind;
    const struct sm_export *export_; /* whose invocation it was */
    uint64_t code_offset;            /* of the instruction, in the shared object */
    uint64_t memory_offset;          /* MEMORY: of the access, from the start of linear memory */
};

struct sm_exec_result {
    enum sm_exec_end end;
    enum smelt_trap trap;
    bool has_offset;
    uint32_t offset; /* of the trapping instruction, or of the host call that stopped */
    /* FAILED: NO_MEMORY when the machine refused a guest stack, a signal stack, or a memory.grow
     * that the limits allow; DEADLINE_EXCEEDED or CANCELLED when the thread's watch said so
     * (watchdog.h); INTERNAL when generated code asked for what its compiler never emits. OK
     * otherwise. */
    enum smelt_status status;
    struct sm_exec_fault fault; /* FAULTED, which takes handlers: fault.h. Zeroes otherwise. */
};

/* Instance, table and memory are as the module defines them, active segments applied: nothing of
 * another activation is visible. `host` is copied. The module stays loaded until it is destroyed.
 * `fuel` above INT64_MAX counts as that. INSTANCE_LIMIT when the pool has as many in use as it may;
 * NO_MEMORY when the machine cannot give address space. */
enum smelt_status sm_exec_create(struct sm_exec_module *module, const struct sm_exec_host *host,
                                 uint64_t fuel, struct sm_activation **out,
                                 struct smelt_error *err);
void sm_exec_destroy(struct sm_activation *activation); /* NULL is fine */

/* How the segments went: elements, then data, in order (core 2.0, section 4.5.4); the first that
 * does not fit traps with TABLE_OUT_OF_BOUNDS or MEMORY_OUT_OF_BOUNDS, and those before it stay.
 * The answer belongs to the module and never changes; ask before the first invocation. */
void sm_exec_start(const struct sm_activation *activation, struct sm_exec_result *result);

/* Runs an export, unless the thread's watch has told it to stop: `slots` has room for max(params,
 * results, 1). Takes the entry's stack weight for the time of the call (trap stack_overflow,
 * without offset, when it is not there), and at the end turns negative fuel into OUT_OF_FUEL
 * whatever else happened, a failure or fault excepted. Sets the floating point environment to the
 * default (round to nearest, no flush to zero, exceptions masked) and restores the caller's; host
 * functions run in the default one. */
void sm_exec_invoke(struct sm_activation *activation, const struct sm_export *export_,
                    uint64_t *slots, struct sm_exec_result *result);

/* For host functions. Fuel is never negative while the host callback runs; what the guest does next
 * starts from the value set last. */
uint64_t sm_exec_fuel(const struct sm_activation *activation);
void sm_exec_set_fuel(struct sm_activation *activation, uint64_t fuel);
const struct sm_exec_module *sm_exec_module_of(const struct sm_activation *activation);
/* A host function is about to let somebody else, another thread or the kernel on its behalf, write
 * to this range of memory. What the calling thread writes itself need not be announced. */
void sm_exec_announce(struct sm_activation *activation, uint64_t offset, uint64_t size);
/* Memory of the instance now; NULL data and size 0 without memory. Valid until guest code runs
 * again. */
uint8_t *sm_exec_memory(const struct sm_activation *activation, uint64_t *size);

#endif
