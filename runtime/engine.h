/* What an engine consists of, for the parts that execute with it: runtime.c (a transaction at a
 * time) and wave.c.
 *
 *     sm_engine_take_turn     one writer at a time; the tip is what the store holds, or will hold
 *     …                       executions over the tip, published to it
 *     sm_commit_collect       what was published, as a batch with its digest and tree
 *     sm_commit_write         into the store, at once or behind
 *     sm_engine_end_turn
 *
 * What does not get that far is taken back by sm_tip_revert. */
#ifndef SM_RUNTIME_ENGINE_H
#define SM_RUNTIME_ENGINE_H

#include "hostabi/schedule.h"
#include "runtime/commit.h"
#include "runtime/crew.h"
#include "runtime/exec/watchdog.h"
#include "runtime/host/contract.h"
#include "runtime/metrics.h"
#include "runtime/speculate.h"
#include "runtime/state/overlay.h"
#include "runtime/state/tip.h"
#include "runtime/wave/ledger.h"

#include <smelt/runtime.h>

#include <pthread.h>

#define SM_WORKERS_MAX 32u /* threads that execute a wave */

struct smelt_engine {
    struct smelt_engine_options options; /* with defaults filled in */
    const struct sm_schedule_host *costs;
    struct sm_exec_pool *pool;
    struct sm_resident resident;
    struct sm_metrics metrics;
    struct sm_watchdog watchdog;
    bool has_fault_handlers;

    pthread_mutex_t turn; /* held by the thread that may write, for all that follows */
    struct sm_tip *tip;
    struct sm_overlay *overlay;      /* of transactions outside of waves; reset between them */
    struct sm_speculation_pace pace; /* of the last wave */
    struct sm_crew crew;             /* threads for waves */
    struct sm_committer committer;
    struct sm_ledger_head head; /* the newest wave, executed if not written */
    bool has_head;              /* `head` is known */
    uint64_t kept;              /* the first wave that has receipts */
    bool has_kept;              /* `kept` is known */
    bool may_have_commitment;   /* the state has, or nobody has looked since it changed */
    uint64_t version;           /* of the store, when it was last written by this engine */
};

/* INVALID_ARGUMENT when the calling thread has the turn, or works for who has: a host function's.
 */
enum smelt_status sm_engine_take_turn(struct smelt_engine *engine, struct smelt_error *err);
void sm_engine_end_turn(struct smelt_engine *engine);
/* Around what a thread does for the one that has the turn. Returns what to enter again after it. */
const struct smelt_engine *sm_engine_enter(const struct smelt_engine *engine);

/* The contract with this code, with one more reference: resident, or from the source. `wasm` is
 * NULL for code that is in the store. Any thread. */
enum smelt_status sm_engine_load(struct smelt_engine *engine, const struct smelt_hash *hash,
                                 const struct smelt_slice *wasm, struct sm_contract **out,
                                 struct smelt_error *err);

/* Forgets what was executed and not written, with the turn. */
void sm_engine_forget(struct smelt_engine *engine);

void sm_engine_log(const struct smelt_engine *engine, enum smelt_log_level level,
                   const char *format, ...) SMELT_PRINTF(3, 4);

#endif
