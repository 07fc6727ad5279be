/* Running guest code: the services it calls, and the life of an invocation.
 *
 *     sm_exec_invoke   opens: takes a guest stack from the pool unless the activation has one from
 *                      before, pushes on activation->innermost and on the thread's chain, takes
 *                      the entry's stack weight; not when the thread has been told to stop
 *        sm_exec_enter    onto the guest stack, unless the activation is on it already
 *           entry ...
 *           host_call     host.call may open another one of this activation; STOP: leave()
 *           trap          leave()
 *           memory_grow   leave() when the machine refuses what the limits allow
 *           any service   leave() when the thread has been told to stop meanwhile
 *           a signal      the same as leave(), from a handler (fault.c, watchdog.c)
 *        sm_exec_enter    returns: by return of the entry, or by leave()
 *     sm_exec_invoke   closes: pops, gives the stack weight back, settles the fuel
 *
 * leave() writes the result of the innermost invocation before it jumps. It is called by services
 * only, directly above generated code: no frame of the host is ever skipped. */
#include "runtime/exec/enter.h"
#include "runtime/exec/pool.h"
#include "runtime/exec/watchdog.h"

#include <string.h>

/* The address sanitizer wants to be told about other stacks. */
#if SM_HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

/* The address sanitizer keeps the bounds of the current stack. Both calls run before or after the
 * switch itself: it looks at them only when instrumented code runs again. */
struct asan_stack {
    void *fake;
    const void *bottom;
    size_t size;
};

static void tell_entering(struct asan_stack *old, const struct sm_stack *stack)
{
#if SM_HAS_ASAN
    __sanitizer_start_switch_fiber(&old->fake, stack->bottom, stack->size);
    __sanitizer_finish_switch_fiber(NULL, &old->bottom, &old->size);
#else
    (void)old;
    (void)stack;
#endif
}

static void tell_left(const struct asan_stack *old)
{
#if SM_HAS_ASAN
    /* NULL: the guest stack's fake frames are dropped, abandoned ones included */
    __sanitizer_start_switch_fiber(NULL, old->bottom, old->size);
    __sanitizer_finish_switch_fiber(old->fake, NULL, NULL);
#else
    (void)old;
#endif
}

/* sm_exec_invoke has cleared the result: what is not set here stays zero. */
SM_UNINSTRUMENTED static _Noreturn void leave(const struct sm_activation *activation,
                                              enum sm_exec_end end)
{
    activation->innermost->result->end = end;
    sm_exec_leave(activation->innermost->frame);
}

SM_UNINSTRUMENTED static _Noreturn void leave_at(const struct sm_activation *activation,
                                                 enum sm_exec_end end, uint32_t offset)
{
    activation->innermost->result->has_offset = true;
    activation->innermost->result->offset = offset;
    leave(activation, end);
}

SM_UNINSTRUMENTED static _Noreturn void fail(const struct sm_activation *activation,
                                             enum smelt_status status)
{
    activation->innermost->result->status = status;
    leave(activation, SM_EXEC_FAILED);
}

/* On the way back into generated code. */
SM_UNINSTRUMENTED static void stop_if_told(const struct sm_activation *activation)
{
    enum smelt_status reason = sm_watch_reason();
    if (reason != SMELT_STATUS_OK) {
        fail(activation, reason);
    }
}

/* ---- services ----------------------------------------------------------------------------- */

/* The attribute, unlike _Noreturn, is part of the type that struct sm_services asks for. */
SM_UNINSTRUMENTED static __attribute__((noreturn)) void
trap(struct sm_instance *instance, uint32_t code, int64_t fuel, uint32_t offset)
{
    const struct sm_activation *activation = (const struct sm_activation *)instance->activation;
    instance->fuel = fuel;
    if (code == SM_TRAP_OUT_OF_FUEL) {
        leave(activation, SM_EXEC_OUT_OF_FUEL);
    }
    /* the traps beyond are raised by host functions, never by instructions */
    if (code < SMELT_TRAP_UNREACHABLE || code > SMELT_TRAP_STACK_OVERFLOW) {
        fail(activation, SMELT_STATUS_INTERNAL);
    }
    activation->innermost->result->trap = (enum smelt_trap)code;
    leave_at(activation, SM_EXEC_TRAPPED, offset);
}

SM_UNINSTRUMENTED static void host_call(struct sm_instance *instance, uint32_t import,
                                        uint64_t *slots, uint32_t offset)
{
    struct sm_activation *activation = (struct sm_activation *)instance->activation;
    if (import >= sm_exec_descriptor(activation->module)->import_count || instance->fuel < 0) {
        fail(activation, SMELT_STATUS_INTERNAL);
    }
    if (activation->host.call(activation->host.context, activation, import, slots) ==
        SM_EXEC_STOP) {
        leave_at(activation, SM_EXEC_STOPPED, offset);
    }
    stop_if_told(activation);
}

SM_UNINSTRUMENTED static uint32_t memory_grow(struct sm_instance *instance, uint32_t pages)
{
    struct sm_activation *activation = (struct sm_activation *)instance->activation;
    uint32_t previous = (uint32_t)(activation->memory.size / SM_PAGE_BYTES);
    switch (sm_memory_grow(&activation->memory, pages)) {
    case SM_MEMORY_GREW:
        break;
    case SM_MEMORY_LIMIT:
        return UINT32_MAX;
    case SM_MEMORY_REFUSED:
        fail(activation, SMELT_STATUS_NO_MEMORY);
    }
    instance->memory_size = activation->memory.size;
    stop_if_told(activation);
    return previous;
}

/* Under a watch, what may be gigabytes goes in parts, with a look in between. Generated code calls
 * these for its own memory and tables only, so the current activation is theirs. */
#define PART_BYTES ((size_t)1 << 20)

SM_UNINSTRUMENTED static void *memory_move(void *to, const void *from, size_t size)
{
    if (sm_exec_thread.watch == NULL) {
        return memmove(to, from, size);
    }
    uint8_t *target = (uint8_t *)to;
    const uint8_t *source = (const uint8_t *)from;
    /* from the end that is not overwritten before it is read */
    bool is_forward = (uintptr_t)to <= (uintptr_t)from;
    for (size_t left = size; left != 0;) {
        size_t part = left < PART_BYTES ? left : PART_BYTES;
        size_t at = is_forward ? size - left : left - part;
        (void)memmove(target + at, source + at, part);
        left -= part;
        stop_if_told(sm_exec_thread.current->activation);
    }
    return to;
}

SM_UNINSTRUMENTED static void *memory_set(void *to, int value, size_t size)
{
    if (sm_exec_thread.watch == NULL) {
        return memset(to, value, size);
    }
    uint8_t *target = (uint8_t *)to;
    for (size_t at = 0; at < size; at += PART_BYTES) {
        (void)memset(target + at, value, size - at < PART_BYTES ? size - at : PART_BYTES);
        stop_if_told(sm_exec_thread.current->activation);
    }
    return to;
}

const struct sm_services sm_exec_services = {
    .trap = trap,
    .host_call = host_call,
    .memory_grow = memory_grow,
    .memory_move = memory_move,
    .memory_set = memory_set,
};

/* ---- invocations -------------------------------------------------------------------------- */

void sm_exec_invoke(struct sm_activation *activation, const struct sm_export *export_,
                    uint64_t *slots, struct sm_exec_result *result)
{
    struct sm_instance *instance = activation->instance;
    int64_t stack_left = instance->stack;
    *result = (struct sm_exec_result){.end = SM_EXEC_RETURNED};
    if (stack_left < export_->stack_weight || activation->nesting == SM_NESTING_MAX) {
        result->end = SM_EXEC_TRAPPED;
        result->trap = SMELT_TRAP_STACK_OVERFLOW;
        return;
    }
    if (!sm_exec_thread.is_prepared && !sm_signals_prepare_thread()) {
        result->end = SM_EXEC_FAILED;
        result->status = SMELT_STATUS_NO_MEMORY;
        return;
    }
    enum smelt_status reason = sm_watch_reason();
    if (reason != SMELT_STATUS_OK) {
        result->end = SM_EXEC_FAILED;
        result->status = reason;
        return;
    }

    struct sm_invocation invocation = {.outer = activation->innermost,
                                       .below = sm_exec_thread.current,
                                       .activation = activation,
                                       .export_ = export_,
                                       .result = result};
    bool is_outermost = invocation.outer == NULL;
    struct asan_stack old = {0};
    if (activation->stack.bottom == NULL) {
        result->status = sm_pool_stack_take(activation);
    }
    if (result->status != SMELT_STATUS_OK) {
        result->end = SM_EXEC_FAILED;
        return;
    }
    sm_residence_enter(&activation->residence);
    activation->innermost = &invocation;
    sm_exec_thread.current = &invocation;
    activation->nesting++;
    instance->stack = stack_left - export_->stack_weight;
    if (is_outermost) {
        tell_entering(&old, &activation->stack);
    }
    sm_exec_enter(export_->entry, instance, slots,
                  is_outermost ? activation->stack.bottom + activation->stack.size : NULL,
                  &invocation.frame);
    if (is_outermost) {
        tell_left(&old);
    }
    /* a trap skipped what callees would have given back */
    instance->stack = stack_left;
    activation->nesting--;
    activation->innermost = invocation.outer;
    sm_exec_thread.current = invocation.below;
    if (result->end != SM_EXEC_FAILED && result->end != SM_EXEC_FAULTED &&
        (instance->fuel < 0 || result->end == SM_EXEC_OUT_OF_FUEL)) {
        instance->fuel = 0;
        *result = (struct sm_exec_result){.end = SM_EXEC_OUT_OF_FUEL};
    }
}
