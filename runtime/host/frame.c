/* Running a frame from its fresh instance to its end. */
#include "runtime/host/frame.h"

#include "base/status.h"
#include "runtime/host/dispatch.h"

#include <string.h>

void sm_frame_fail(struct smelt_frame *frame, const struct smelt_error *error)
{
    if (frame->transaction->failure.status == SMELT_STATUS_OK) {
        frame->transaction->failure = *error;
    }
    frame->end = SM_FRAME_FAILED;
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
        (void)sm_error_set(&error, result->status, "execute",
                           result->status == SMELT_STATUS_NO_MEMORY
                               ? "the machine has no memory for a guest stack or memory.grow"
                               : "generated code broke the artefact ABI");
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
    struct smelt_error error = {0};
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
