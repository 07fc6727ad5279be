/* The two steps that C cannot express: onto the guest stack, and off it from any depth. */
#ifndef SM_EXEC_ENTER_H
#define SM_EXEC_ENTER_H

#include "hostabi/guest/smelt_abi.h"

#include <stdint.h>
#include <ucontext.h>

/* Calls entry(instance, slots) with the default floating point environment, on the stack that ends
 * at `stack_top` (16-aligned), or on the current one when that is NULL. Stores in `*frame` where
 * sm_exec_leave comes back to, before the call. Restores the caller's floating point environment.
 * As far as the compiler can see this is a function that returns once. */
void sm_exec_enter(void (*entry)(struct sm_instance *instance, uint64_t *slots),
                   struct sm_instance *instance, uint64_t *slots, void *stack_top, void **frame);

/* Makes the sm_exec_enter that stored `frame` return now; it must not have returned yet. What runs
 * between is abandoned: only generated code, and the service that calls this. */
_Noreturn void sm_exec_leave(void *frame);

/* For signal handlers: where the interrupted thread was, and making it go on in
 * sm_exec_leave(frame) when the handler has returned. Nothing may be left to do for what was
 * interrupted: generated code only. */
uintptr_t sm_exec_context_pc(const ucontext_t *context);
void sm_exec_context_leave(ucontext_t *context, void *frame);

#endif
