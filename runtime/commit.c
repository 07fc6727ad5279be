/* The committer's thread exists from the first batch that is written behind. */
#include "runtime/commit.h"

#include "base/alloc.h"
#include "base/status.h"
#include "base/thread.h"
#include "runtime/engine.h"

#include <string.h>

#define WHERE "commit"

void sm_commit_deinit(struct sm_commit *commit)
{
    sm_tip_batch_deinit(&commit->state);
    sm_commitment_update_destroy(commit->tree);
    sm_write_list_deinit(&commit->extra);
    for (size_t i = 0; i < SM_COMMIT_PRUNES_MAX; i++) {
        smelt_buf_deinit(&commit->pruned[i]);
    }
    sm_ledger_release(commit->ledger);
    *commit = (struct sm_commit){0};
}

static bool add_all(struct sm_write_list *list, const struct smelt_store_write *writes,
                    size_t count)
{
    bool is_done = true;
    for (size_t i = 0; i < count && is_done; i++) {
        is_done = sm_write_list_add(list, &writes[i]);
    }
    return is_done;
}

/* One batch of all parts. */
static enum smelt_status write_all(struct smelt_store *store, struct sm_commit *commit,
                                   struct smelt_error *err)
{
    struct sm_write_list *list = &commit->extra;
    if (!add_all(list, commit->state.writes, commit->state.count) ||
        (commit->tree != NULL && !add_all(list, commit->tree->writes, commit->tree->count))) {
        return sm_error_no_memory(err, WHERE);
    }
    return store->ops->write(store->impl, list->writes, list->count, err);
}

/* ---- behind ---------------------------------------------------------------------------------- */

static void *work(void *context)
{
    struct sm_committer *committer = (struct sm_committer *)context;
    (void)pthread_mutex_lock(&committer->lock);
    for (;;) {
        while (!committer->has_job && !committer->is_ending) {
            (void)pthread_cond_wait(&committer->changed, &committer->lock);
        }
        if (!committer->has_job) {
            break;
        }
        (void)pthread_mutex_unlock(&committer->lock);
        struct smelt_error failure = {0};
        failure.status = write_all(committer->store, &committer->job, &failure);
        uint64_t version = committer->store->ops->version(committer->store->impl);
        sm_commit_deinit(&committer->job);
        (void)pthread_mutex_lock(&committer->lock);
        committer->failure = failure;
        committer->version = version;
        committer->has_job = false;
        (void)pthread_cond_broadcast(&committer->changed);
    }
    (void)pthread_mutex_unlock(&committer->lock);
    return NULL;
}

void sm_committer_init(struct sm_committer *committer, struct smelt_store *store)
{
    committer->store = store;
    (void)pthread_mutex_init(&committer->lock, NULL); /* neither fails for a reason that applies */
    (void)pthread_cond_init(&committer->changed, NULL);
}

void sm_committer_deinit(struct sm_committer *committer)
{
    if (committer->store == NULL) {
        return;
    }
    if (committer->has_thread) {
        (void)pthread_mutex_lock(&committer->lock);
        committer->is_ending = true;
        (void)pthread_cond_broadcast(&committer->changed);
        (void)pthread_mutex_unlock(&committer->lock);
        (void)pthread_join(committer->thread, NULL);
    }
    (void)pthread_cond_destroy(&committer->changed);
    (void)pthread_mutex_destroy(&committer->lock);
    *committer = (struct sm_committer){0};
}

void sm_committer_drain(struct sm_committer *committer)
{
    (void)pthread_mutex_lock(&committer->lock);
    while (committer->has_job) {
        (void)pthread_cond_wait(&committer->changed, &committer->lock);
    }
    (void)pthread_mutex_unlock(&committer->lock);
}

bool sm_committer_is_busy(struct sm_committer *committer)
{
    (void)pthread_mutex_lock(&committer->lock);
    bool is_busy = committer->has_job || committer->failure.status != SMELT_STATUS_OK;
    (void)pthread_mutex_unlock(&committer->lock);
    return is_busy;
}

static enum smelt_status hand_over(struct smelt_engine *engine, struct sm_commit *commit,
                                   struct smelt_error *err)
{
    struct sm_committer *committer = &engine->committer;
    if (!committer->has_thread) {
        int failure = sm_thread_start(&committer->thread, SM_THREAD_NO_SIGNALS, work, committer);
        if (failure != 0) {
            return sm_error_set_errno(err, SMELT_STATUS_IO, failure, WHERE,
                                      "cannot start a thread for writing");
        }
        committer->has_thread = true;
        sm_crew_pin_beside(&engine->crew, committer->thread);
    }
    (void)pthread_mutex_lock(&committer->lock);
    committer->job = *commit;
    committer->has_job = true;
    (void)pthread_cond_broadcast(&committer->changed);
    (void)pthread_mutex_unlock(&committer->lock);
    committer->is_owed = true;
    *commit = (struct sm_commit){0};
    return SMELT_STATUS_OK;
}

/* ---- with the turn --------------------------------------------------------------------------- */

void sm_commit_notice(struct smelt_engine *engine)
{
    struct sm_committer *committer = &engine->committer;
    if (committer->is_owed && !sm_committer_is_busy(committer)) {
        committer->is_owed = false;
        engine->version = committer->version; /* the thread sleeps */
        sm_tip_written(engine->tip);
    }
}

enum smelt_status sm_commit_settle(struct smelt_engine *engine, struct smelt_error *err)
{
    struct sm_committer *committer = &engine->committer;
    sm_committer_drain(committer);
    struct smelt_error failure = committer->failure; /* the thread sleeps */
    committer->failure = (struct smelt_error){0};
    if (failure.status == SMELT_STATUS_OK) {
        sm_commit_notice(engine);
    } else {
        committer->is_owed = false;
        sm_engine_forget(engine);
        if (err != NULL) {
            *err = failure;
        }
    }
    return failure.status;
}

enum smelt_status sm_commit_collect(struct smelt_engine *engine, struct sm_commit *commit,
                                    struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(sm_commit_settle(engine, err));
    SMELT_TRY(sm_tip_collect(engine->tip, &commit->state, err));
    if (engine->may_have_commitment) {
        SMELT_TRY(sm_commitment_update(engine->options.store, commit->state.writes,
                                       commit->state.count, &commit->tree, err));
        engine->may_have_commitment = commit->tree != NULL;
    }
cleanup:
    if (status != SMELT_STATUS_OK) {
        sm_engine_forget(engine);
    }
    return status;
}

enum smelt_status sm_commit_write(struct smelt_engine *engine, struct sm_commit *commit,
                                  bool is_behind, struct smelt_error *err)
{
    const struct smelt_store *store = engine->options.store;
    enum smelt_status status = SMELT_STATUS_OK;
    if (is_behind) {
        SMELT_TRY(hand_over(engine, commit, err));
    } else {
        SMELT_TRY(write_all(engine->options.store, commit, err));
        engine->version = store->ops->version(store->impl);
        sm_tip_written(engine->tip);
    }
cleanup:
    sm_commit_deinit(commit);
    if (status != SMELT_STATUS_OK) {
        sm_engine_forget(engine);
    }
    return status;
}
