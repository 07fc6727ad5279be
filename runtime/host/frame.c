/* Running a frame from its fresh instance to its end. */
#include "runtime/host/frame.h"

#include "base/status.h"
#include "runtime/host/dispatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void sm_frame_fail(struct smelt_frame *frame, const struct smelt_error *error)
{
    if (frame->transaction->failure.status == SMELT_STATUS_OK) {
        frame->transaction->failure = *error;
    }
    frame->end = SM_FRAME_FAILED;
}

static const char *failure_text(enum smelt_status status)
{
    switch ((int)status) {
    case SMELT_STATUS_NO_MEMORY:
        return "the machine has no memory for a guest stack, a signal stack or memory.grow";
    case SMELT_STATUS_DEADLINE_EXCEEDED:
        return "the transaction ran past its deadline";
    case SMELT_STATUS_CANCELLED:
        return "the transaction was cancelled";
    default:
        return "generated code broke the artefact ABI";
    }
}

static void set_fault(const struct smelt_frame *frame, const struct sm_exec_fault *fault,
                      struct smelt_error *err)
{
    const struct sm_export *export_ = fault->export_;
    char hash[2 * SMELT_HASH_BYTES + 1];
    char what[64];
    smelt_hex_encode(frame->contract->module_hash.bytes, SMELT_HASH_BYTES, hash);
    switch (fault->kind) {
    case SM_EXEC_FAULT_MEMORY:
        (void)snprintf(what, sizeof(what), "accessed 0x%" PRIx64 ", behind linear memory",
                       fault->memory_offset);
        break;
    case SM_EXEC_FAULT_STACK:
        (void)snprintf(what, sizeof(what), "accessed a guard of the guest stack");
        break;
    case SM_EXEC_FAULT_INSTRUCTION:
        (void)snprintf(what, sizeof(what), "executed an instruction that faults");
        break;
    }
    (void)sm_error_set_at(err, SMELT_STATUS_GUEST_FAULT, "execute", (int64_t)export_->func_index,
                          -1,
                          "generated code of module %s %s, at 0x%" PRIx64
                          " of the shared object, during %.*s: report it with the module",
                          hash, what, fault->code_offset, (int)export_->name_size, export_->name);
}

void sm_frame_settle(struct smelt_frame *frame, const struct sm_exec_result *result)
{
    struct smelt_error error;
    switch (result->end) {
    case SM_EXEC_RETURNED:
        return;
    case SM_EXEC_TRAPPED:
        frame->end = SM_FRAME_TRAPPED;
        frame->trap = result->trap;
        break;
    case SM_EXEC_OUT_OF_FUEL:
        frame->end = SM_FRAME_OUT_OF_FUEL;
        break;
    case SM_EXEC_STOPPED:
        break; /* the host function that stopped it has set the end */
    case SM_EXEC_FAILED:
        (void)sm_error_set(&error, result->status, "execute", "%s", failure_text(result->status));
        sm_frame_fail(frame, &error);
        break;
    case SM_EXEC_FAULTED:
        set_fault(frame, &result->fault, &error);
        sm_frame_fail(frame, &error);
        break;
    }
    /* the innermost invocation settles first, and its place is the one that counts */
    if (!frame->has_offset && result->has_offset) {
        frame->has_offset = true;
        frame->offset = result->offset;
    }
}

size_t sm_frame_slot_count(const struct sm_export *export_)
{
    size_t count = 1;
    if (export_ != NULL && export_->param_count > count) {
        count = export_->param_count;
    }
    if (export_ != NULL && export_->result_count > count) {
        count = export_->result_count;
    }
    return count;
}

void sm_frame_run(struct smelt_frame *frame, const struct sm_export *export_, uint64_t *slots,
                  uint64_t fuel)
{
    const struct sm_exec_host host = {.call = sm_dispatch_call, .context = frame};
    struct smelt_error error;
    if (sm_exec_create(frame->contract->module, &host, fuel, &frame->activation, &error) !=
        SMELT_STATUS_OK) {
        sm_frame_fail(frame, &error);
        return;
    }
    struct sm_exec_result result = {0};
    sm_exec_start(frame->activation, &result);
    sm_frame_settle(frame, &result);
    if (frame->end == SM_FRAME_RUNNING && export_ != NULL) {
        sm_exec_invoke(frame->activation, export_, slots, &result);
        sm_frame_settle(frame, &result);
    }
    if (frame->end == SM_FRAME_RUNNING) {
        frame->end = SM_FRAME_RETURNED;
    }
    frame->fuel_used =
        frame->end == SM_FRAME_OUT_OF_FUEL ? fuel : fuel - sm_exec_fuel(frame->activation);
    if (frame->end != SM_FRAME_RETURNED && frame->end != SM_FRAME_REVERTED) {
        smelt_buf_deinit(&frame->return_data);
    }
    sm_exec_destroy(frame->activation);
    frame->activation = NULL;
}

void sm_frame_deinit(struct smelt_frame *frame)
{
    smelt_buf_deinit(&frame->return_data);
    smelt_buf_deinit(&frame->call_result);
    memset(frame, 0, sizeof(*frame));
}
