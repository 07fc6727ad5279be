/* Running guest code: the services it calls, and the life of an invocation.
 *
 *     sm_exec_invoke   opens: takes a guest stack from the pool unless the activation has one,
 *                      pushes on activation->innermost, takes the entry's stack weight
 *        sm_exec_enter    onto the guest stack, unless the activation is on it already
 *           entry ...
 *           host_call     host.call may open another one of this activation; STOP: leave()
 *           trap          leave()
 *           memory_grow   leave() when the machine refuses what the limits allow
 *        sm_exec_enter    returns: by return of the entry, or by leave()
 *     sm_exec_invoke   closes: pops, gives stack weight and stack back, settles the fuel
 *
 * leave() writes the result of the innermost invocation before it jumps. It is called by services
 * only, directly above generated code: no frame of the host is ever skipped. */
#include "runtime/exec/enter.h"
#include "runtime/exec/pool.h"

#include <string.h>

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

static _Noreturn void leave(const struct sm_activation *activation, struct sm_exec_result result)
{
    *activation->innermost->result = result;
    sm_exec_leave(activation->innermost->frame);
}

static _Noreturn void fail(const struct sm_activation *activation, enum smelt_status status)
{
    leave(activation, (struct sm_exec_result){.end = SM_EXEC_FAILED, .status = status});
}

/* ---- services ----------------------------------------------------------------------------- */

/* The attribute, unlike _Noreturn, is part of the type that struct sm_services asks for. */
static __attribute__((noreturn)) void trap(struct sm_instance *instance, uint32_t code,
                                           int64_t fuel, uint32_t offset)
{
    const struct sm_activation *activation = (const struct sm_activation *)instance->activation;
    instance->fuel = fuel;
    if (code == SM_TRAP_OUT_OF_FUEL) {
        leave(activation, (struct sm_exec_result){.end = SM_EXEC_OUT_OF_FUEL});
    }
    /* the traps beyond are raised by host functions, never by instructions */
    if (code < SMELT_TRAP_UNREACHABLE || code > SMELT_TRAP_STACK_OVERFLOW) {
        fail(activation, SMELT_STATUS_INTERNAL);
    }
    leave(activation, (struct sm_exec_result){.end = SM_EXEC_TRAPPED,
                                              .trap = (enum smelt_trap)code,
                                              .has_offset = true,
                                              .offset = offset});
}

static void host_call(struct sm_instance *instance, uint32_t import, uint64_t *slots,
                      uint32_t offset)
{
    struct sm_activation *activation = (struct sm_activation *)instance->activation;
    if (import >= sm_exec_descriptor(activation->module)->import_count || instance->fuel < 0) {
        fail(activation, SMELT_STATUS_INTERNAL);
    }
    if (activation->host.call(activation->host.context, activation, import, slots) ==
        SM_EXEC_STOP) {
        leave(activation, (struct sm_exec_result){
                              .end = SM_EXEC_STOPPED, .has_offset = true, .offset = offset});
    }
}

static uint32_t memory_grow(struct sm_instance *instance, uint32_t pages)
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
    return previous;
}

const struct sm_services sm_exec_services = {
    .trap = trap,
    .host_call = host_call,
    .memory_grow = memory_grow,
    .memory_move = memmove,
    .memory_set = memset,
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

    struct sm_invocation invocation = {.outer = activation->innermost, .result = result};
    bool is_outermost = invocation.outer == NULL;
    struct asan_stack old = {0};
    if (is_outermost) {
        result->status = sm_pool_stack_take(activation, &activation->stack);
    }
    if (result->status != SMELT_STATUS_OK) {
        result->end = SM_EXEC_FAILED;
        return;
    }
    activation->innermost = &invocation;
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
        sm_pool_stack_give(activation, &activation->stack);
    }
    /* a trap skipped what callees would have given back */
    instance->stack = stack_left;
    activation->nesting--;
    activation->innermost = invocation.outer;
    if (result->end != SM_EXEC_FAILED &&
        (instance->fuel < 0 || result->end == SM_EXEC_OUT_OF_FUEL)) {
        instance->fuel = 0;
        *result = (struct sm_exec_result){.end = SM_EXEC_OUT_OF_FUEL};
    }
}
