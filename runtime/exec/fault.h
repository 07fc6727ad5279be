/* Faults of generated code: SIGSEGV, SIGBUS, SIGFPE and SIGILL.
 *
 * Generated code traps by explicit branches and never faults. When it does, it has broken a promise
 * of the compiler, and the invocation ends with SM_EXEC_FAULTED instead of taking the process with
 * it. That is claimed narrowly: the instruction must be in the text of the module whose invocation
 * is the current one of the thread, and the address in a guard of this very activation. All other
 * faults (of the host, of host functions, of generated code that went elsewhere) go to the handler
 * that was there before; see signals.h.
 *
 * Threads share the handlers; each reference is an engine's. */
#ifndef SM_EXEC_FAULT_H
#define SM_EXEC_FAULT_H

#include <smelt/status.h>

enum smelt_status sm_fault_acquire(struct smelt_error *err);
void sm_fault_release(void);

#endif
