/* A frame: one activation of a contract within a transaction, and how it ended.
 *
 *     RUNNING --export returned--------------------> RETURNED
 *             --smelt_host_revert------------------> REVERTED
 *             --trap in guest code, smelt_host_trap> TRAPPED
 *             --fuel check, smelt_host_charge------> OUT_OF_FUEL
 *             --smelt_host_fail--------------------> FAILED       (and so do all frames below)
 *
 * The first end stands. A frame that ended from inside a host function is left by returning
 * SMELT_HOST_STOP through it; sm_frame_settle records what exec says, and where.
 *
 * Frames nest by recursion: a host function of the caller runs the callee to its end. Each frame
 * has a guest stack of its own, so depth costs no native stack of the thread. Within a frame, host
 * functions nest through `allocate`; exec bounds that (SM_NESTING_MAX). */
#ifndef SM_HOST_FRAME_H
#define SM_HOST_FRAME_H

#include "hostabi/schedule.h"
#include "runtime/exec/exec.h"
#include "runtime/host/contract.h"
#include "runtime/state/overlay.h"

#include <smelt/host.h>

/* What the frames of one transaction share. */
struct sm_transaction {
    const struct smelt_profile *profile;
    const smelt_host_fn *handlers;        /* per row */
    const struct sm_schedule_host *costs; /* per row */
    struct sm_overlay *overlay;
    struct smelt_error failure; /* status OK while there is none */
    /* The loaded contract with this code, with one more reference. */
    enum smelt_status (*load)(void *context, const struct smelt_hash *code_hash,
                              struct sm_contract **out, struct smelt_error *err);
    void *load_context;
};

enum sm_frame_end {
    SM_FRAME_RUNNING,
    SM_FRAME_RETURNED,
    SM_FRAME_REVERTED,
    SM_FRAME_TRAPPED,
    SM_FRAME_OUT_OF_FUEL,
    SM_FRAME_FAILED
};

struct smelt_frame {
    struct sm_transaction *transaction;
    struct sm_contract *contract; /* borrowed */
    struct smelt_host_context context;
    const struct smelt_frame *outer;  /* of the caller; NULL for the outermost frame */
    struct smelt_slice function;      /* name of the export; borrowed */
    struct sm_activation *activation; /* while it runs */
    uint32_t row;                     /* of the host function that is running */
    struct smelt_buf return_data;     /* or revert data; empty after any other end */
    struct smelt_buf call_result;     /* of the last nested call */

    enum sm_frame_end end;
    enum smelt_trap trap;
    enum smelt_host_error host_error;
    bool has_offset;
    uint32_t offset; /* of the instruction that ended it, in the deployed module */
    uint64_t fuel_used;
};

/* Instantiates the contract with `fuel` and runs `export_`, or nothing more when it is NULL. Fill
 * transaction, contract, context, outer and function of a zeroed frame first. `slots` as for
 * sm_exec_invoke. */
void sm_frame_run(struct smelt_frame *frame, const struct sm_export *export_, uint64_t *slots,
                  uint64_t fuel);
void sm_frame_deinit(struct smelt_frame *frame);

/* Takes over how an invocation of the frame's activation ended, unless the frame knows better. */
void sm_frame_settle(struct smelt_frame *frame, const struct sm_exec_result *result);

/* Ends the frame because this machine could not go on; `error` becomes the transaction's status. */
void sm_frame_fail(struct smelt_frame *frame, const struct smelt_error *error);

/* Cells that an invocation of `export_` needs; at least one. */
size_t sm_frame_slot_count(const struct sm_export *export_);

#endif
