/* From the tip to the store: one batch for everything that a wave, or a transaction outside of one,
 * has published.
 *
 *     sm_commit_collect   the state's writes, and what they do to the commitment
 *     (the caller adds what else belongs into the batch to `extra`)
 *     sm_commit_write     all of it, atomically
 *
 * A committer can write behind: sm_commit_write returns while a thread writes, and the next
 * sm_commit_collect waits for it. So at most one batch is on its way, and batches are written in
 * order; when one fails, whoever comes next is told, and nothing after it is written. */
#ifndef SM_RUNTIME_COMMIT_H
#define SM_RUNTIME_COMMIT_H

#include "runtime/state/commitment.h"
#include "runtime/state/tip.h"
#include "runtime/wave/ledger.h"

#include <smelt/log.h>

#include <pthread.h>

/* Waves whose receipts one batch prunes at most, so that keeping fewer of them, from some wave on,
 * makes no wave a long one. */
#define SM_COMMIT_PRUNES_MAX 4u

/* Zero-initialise. */
struct sm_commit {
    struct sm_tip_batch state;
    struct sm_commitment_update *tree; /* NULL without a commitment */
    struct sm_write_list extra;        /* what they point to lives as long as the commit */
    struct smelt_buf pruned[SM_COMMIT_PRUNES_MAX]; /* keys, for `extra` */
    struct sm_ledger *ledger; /* for `extra`; a reference; NULL outside of waves */
};
void sm_commit_deinit(struct sm_commit *commit);

struct sm_committer {
    struct smelt_store *store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t thread; /* has_thread */
    bool has_thread;
    bool is_ending;
    bool has_job;
    struct sm_commit job;
    struct smelt_error failure; /* of the last job; status OK when it was written */
    uint64_t version;           /* of the store after the last job */
    bool is_owed; /* what was handed over last has not been settled; of who has the turn */
};

struct smelt_engine;

void sm_committer_init(struct sm_committer *committer, struct smelt_store *store);
/* Waits for the job that is running. A zeroed one is fine. */
void sm_committer_deinit(struct sm_committer *committer);

/* Waits until nothing is on its way. Any thread. */
void sm_committer_drain(struct sm_committer *committer);
/* Something is on its way, or has failed on it and nobody has been told. */
bool sm_committer_is_busy(struct sm_committer *committer);

/* With the turn, each of them. A failure leaves the engine at what the store holds. */

/* Takes note of what has arrived, if something has; waits for nothing. */
void sm_commit_notice(struct smelt_engine *engine);
/* Waits until nothing is on its way, and tells whether it has arrived: a failure is told once. */
enum smelt_status sm_commit_settle(struct smelt_engine *engine, struct smelt_error *err);
/* Settles first. */
enum smelt_status sm_commit_collect(struct smelt_engine *engine, struct sm_commit *commit,
                                    struct smelt_error *err);
/* Takes the content of `commit`. */
enum smelt_status sm_commit_write(struct smelt_engine *engine, struct sm_commit *commit,
                                  bool is_behind, struct smelt_error *err);

#endif
