/* The tip: the newest executed state in memory, in front of a store.
 *
 *     key ──▶ value, stamp      read from the store, or published by an execution
 *
 * Writers go through it: an overlay reads from the tip, and publishes to it what it has changed.
 * What is published since the last `collect` is the next batch. Everything else is a copy of what
 * the store holds, or of a batch on its way there, and may be forgotten.
 *
 *     unknown    --read, publish-->  known
 *     published  --collect-->        part of a batch, kept until sm_tip_written says that the store
 *                                    has it
 *     published  --revert-->         as at the last collect: unknown, or the batch's value
 *     written    --trim-->           unknown, about least recently used first
 *
 * A stamp changes with every publication of its key and is never used twice while an overlay is in
 * use, which is until it is reset: a read of the tip is still right as long as the stamp is the
 * same. That is all that validating an optimistic execution needs.
 *
 * Threads: any number may read while one publishes. Everything else needs the tip for itself, and
 * but for sm_tip_collect no overlay in use; sm_tip_figures goes beside anything. */
#ifndef SM_STATE_TIP_H
#define SM_STATE_TIP_H

#include <smelt/status.h>
#include <smelt/store.h>

struct sm_tip;

/* Keeps what it knows within about `bytes_max`, published keys aside, which it has to keep. Reads
 * that find it full leave it as it is; room is made by sm_tip_written. */
enum smelt_status sm_tip_create(struct smelt_store *store, uint64_t bytes_max, struct sm_tip **out,
                                struct smelt_error *err);
void sm_tip_destroy(struct sm_tip *tip);

/* What has been published since the last collect or revert, in ascending key order, a key once: its
 * last value. Writes that change nothing are in it as well. All slices point into `bytes`, which is
 * what the state digest covers. Per write:
 *
 *     key size u32 LE ‖ key ‖ 0x00                              deleted
 *     key size u32 LE ‖ key ‖ 0x01 ‖ value size u32 LE ‖ value  written  */
struct sm_tip_batch {
    struct smelt_store_write *writes; /* family STATE */
    size_t count;
    struct smelt_buf bytes;
};
enum smelt_status sm_tip_collect(struct sm_tip *tip, struct sm_tip_batch *out,
                                 struct smelt_error *err);
void sm_tip_batch_deinit(struct sm_tip_batch *batch);

/* Forgets what has been published since the last collect; may be while a batch is on its way. */
void sm_tip_revert(struct sm_tip *tip);
/* The store has all that was collected. Makes room. What has been published since stays. */
void sm_tip_written(struct sm_tip *tip);
/* A batch did not get to the store, or somebody else has written to it: forgets everything. */
void sm_tip_clear(struct sm_tip *tip);

/* For metrics. */
struct sm_tip_figures {
    uint64_t entries;
    uint64_t bytes;
    uint64_t hits;    /* reads that did not ask the store */
    uint64_t misses;  /* reads that did */
    uint64_t read_ns; /* time in the store's get */
};
struct sm_tip_figures sm_tip_figures(const struct sm_tip *tip);

#endif
