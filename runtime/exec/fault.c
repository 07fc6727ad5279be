/* Deciding whose fault it is. Runs in the handler: it reads what the interrupted thread owns, and
 * changes nothing but the result of its invocation and the context it goes on with. The return from
 * the signal restores mask and stack, so no jump crosses the handler. */
#include "runtime/exec/fault.h"

#include "runtime/exec/activation.h"
#include "runtime/exec/enter.h"
#include "runtime/exec/signals.h"

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define FAULT_SIGNAL_COUNT (sizeof(fault_signals) / sizeof(fault_signals[0]))

/* False: the address is none that this activation guards. */
SM_UNINSTRUMENTED static bool classify(int signal, const siginfo_t *info,
                                       const struct sm_activation *activation,
                                       struct sm_exec_fault *out)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    if (signal == SIGFPE || signal == SIGILL) {
        out->kind = SM_EXEC_FAULT_INSTRUCTION;
        return true;
    }
    if (info->si_code == SI_KERNEL) { /* without an address */
        return false;
    }
    if (sm_memory_guards(&activation->memory, address)) {
        out->kind = SM_EXEC_FAULT_MEMORY;
        out->memory_offset = address - (uintptr_t)activation->memory.base;
        return true;
    }
    out->kind = SM_EXEC_FAULT_STACK;
    return sm_stack_guards(&activation->stack, address);
}

SM_UNINSTRUMENTED static bool claim(int signal, siginfo_t *info, void *context)
{
    const struct sm_invocation *invocation = sm_exec_thread.current;
    /* codes of signals that somebody sent are not positive */
    if (invocation == NULL || info->si_code <= 0) {
        return false;
    }
    const struct sm_activation *activation = invocation->activation;
    uintptr_t pc = sm_exec_context_pc((const ucontext_t *)context);
    struct sm_exec_fault fault = {.export_ = invocation->export_};
    if (!sm_exec_is_code(activation->module, pc) || !classify(signal, info, activation, &fault)) {
        return false;
    }
    fault.code_offset = sm_exec_code_offset(activation->module, pc);
    *invocation->result = (struct sm_exec_result){.end = SM_EXEC_FAULTED, .fault = fault};
    sm_exec_context_leave((ucontext_t *)context, invocation->frame);
    return true;
}

static void release_first(size_t count)
{
    while (count-- != 0) {
        sm_signals_release(fault_signals[count]);
    }
}

enum smelt_status sm_fault_acquire(struct smelt_error *err)
{
    for (size_t i = 0; i < FAULT_SIGNAL_COUNT; i++) {
        enum smelt_status status = sm_signals_acquire(fault_signals[i], claim, err);
        if (status != SMELT_STATUS_OK) {
            release_first(i);
            return status;
        }
    }
    return SMELT_STATUS_OK;
}

void sm_fault_release(void)
{
    release_first(FAULT_SIGNAL_COUNT);
}
