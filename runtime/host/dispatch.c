/* The dispatcher: one place where guest pointers become host pointers, and where host calls are
 * paid for. */
#include "runtime/host/dispatch.h"

#include "base/status.h"
#include "runtime/host/frame.h"

bool sm_dispatch_bind(const struct smelt_host_function *row, const uint64_t *slots, uint8_t *memory,
                      uint64_t memory_size, struct smelt_host_arg args[SMELT_HOST_PARAMS_MAX],
                      uint64_t *charged_bytes)
{
    *charged_bytes = 0;
    for (uint32_t i = 0; row->params[i].kind != SMELT_PARAM_END; i++) {
        const struct smelt_host_param *param = &row->params[i];
        struct smelt_host_arg *arg = &args[i];
        uint32_t pointer = 0;
        *arg = (struct smelt_host_arg){0};
        switch (param->kind) {
        case SMELT_PARAM_END:
        case SMELT_PARAM_I32:
            arg->value = (uint32_t)*slots++;
            break;
        case SMELT_PARAM_I64:
            arg->value = *slots++;
            break;
        case SMELT_PARAM_INPUT:
            pointer = (uint32_t)*slots++;
            arg->size = (uint32_t)*slots++;
            break;
        case SMELT_PARAM_INPUT_FIXED:
        case SMELT_PARAM_OUTPUT_FIXED:
            pointer = (uint32_t)*slots++;
            arg->size = param->size;
            break;
        case SMELT_PARAM_OUTPUT:
            arg->size = (uint32_t)*slots++;
            pointer = (uint32_t)*slots++;
            break;
        }
        if ((uint64_t)pointer + arg->size > memory_size) {
            return false;
        }
        /* never NULL, also without a memory: handlers may pass empty ranges to memcpy */
        arg->data = memory != NULL ? memory + pointer : (uint8_t *)arg;
        if (param->is_charged) {
            *charged_bytes += arg->size;
        }
    }
    return true;
}

/* A handler may have another thread write its results. */
static void announce(struct sm_activation *activation, const struct smelt_host_function *row,
                     const struct smelt_host_arg *args, const uint8_t *memory)
{
    for (uint32_t i = 0; row->params[i].kind != SMELT_PARAM_END; i++) {
        bool is_output = row->params[i].kind == SMELT_PARAM_OUTPUT ||
                         row->params[i].kind == SMELT_PARAM_OUTPUT_FIXED;
        if (is_output && memory != NULL) {
            sm_exec_announce(activation, (uint64_t)(args[i].data - memory), args[i].size);
        }
    }
}

/* A handler that returns STOP has ended the frame, and one that ended it has to return STOP. */
static enum sm_exec_action finish(struct smelt_frame *frame, enum smelt_host_action action,
                                  const struct smelt_host_function *row)
{
    if (action == SMELT_HOST_STOP && frame->end == SM_FRAME_RUNNING) {
        struct smelt_error error;
        (void)sm_error_set(&error, SMELT_STATUS_INTERNAL, "host",
                           "handler of %s.%s stopped without a reason", row->module, row->name);
        sm_frame_fail(frame, &error);
    }
    return frame->end == SM_FRAME_RUNNING ? SM_EXEC_CONTINUE : SM_EXEC_STOP;
}

static enum smelt_host_action run(struct smelt_frame *frame, struct sm_activation *activation,
                                  const struct smelt_host_function *row, uint64_t *slots)
{
    const struct sm_transaction *transaction = frame->transaction;
    struct smelt_host_arg args[SMELT_HOST_PARAMS_MAX];
    struct smelt_host_call call = {.frame = frame, .args = args};
    if ((row->flags & SMELT_HOST_MUTATES) != 0 && frame->context.is_static) {
        return smelt_host_trap(&call, SMELT_TRAP_STATIC_VIOLATION, SMELT_HOST_ERROR_NONE);
    }
    uint64_t memory_size = 0;
    uint8_t *memory = sm_exec_memory(activation, &memory_size);
    uint64_t charged_bytes = 0;
    if (!sm_dispatch_bind(row, slots, memory, memory_size, args, &charged_bytes)) {
        return smelt_host_trap(&call, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS, SMELT_HOST_ERROR_NONE);
    }
    announce(activation, row, args, memory);
    const struct sm_schedule_host *cost = &transaction->costs[frame->row];
    /* neither part is near 2^63, so the sum cannot wrap */
    if (smelt_host_charge(&call, cost->base + sm_schedule_charge(cost->rate, charged_bytes)) !=
        SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    enum smelt_host_action action = transaction->handlers[frame->row](&call);
    if (row->result != SMELT_VALTYPE_NONE) {
        bool is_narrow = row->result == SMELT_VALTYPE_I32 || row->result == SMELT_VALTYPE_F32;
        slots[0] = is_narrow ? (uint32_t)call.result : call.result;
    }
    return action;
}

enum sm_exec_action sm_dispatch_call(void *context, struct sm_activation *activation,
                                     uint32_t import, uint64_t *slots)
{
    struct smelt_frame *frame = (struct smelt_frame *)context;
    uint32_t outer_row = frame->row;
    frame->row = frame->contract->rows[import];
    const struct smelt_host_function *row = &frame->transaction->profile->functions[frame->row];
    enum sm_exec_action action = finish(frame, run(frame, activation, row, slots), row);
    frame->row = outer_row;
    return action;
}
