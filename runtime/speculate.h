/* Running chunks of work on many threads with the result of running them in order.
 *
 *     chunk      0      1      2      3      4      5
 *             published       ran    running       not begun
 *                      ▲ head: the next to be published
 *
 * A chunk is executed against what is published when it reads, which may be less than its
 * predecessors will have written; so it is published only in its turn, and only if everything that
 * it read is still the newest there is. Otherwise it is executed again, as the head: nobody else
 * publishes then, and what it reads is final. A chunk that fails for want of something on this
 * machine is treated the same, and fails for good only as the head: what it saw may never have
 * been.
 *
 * This is optimistic concurrency with a fixed serialisation order, as in Block-STM (Gelashvili et
 * al., PPoPP 2023), with one version of each value instead of one per transaction: a chunk never
 * sees what another has not published. So a chain of dependent chunks costs what it costs in order,
 * plus wasted work beside it, and nothing that was wrong is ever seen by a third chunk.
 *
 * How many chunks run ahead of the head adapts to how often they are in vain, as a congestion
 * window does (RFC 5681): halved at every retry, one more after a while without. At one, chunks run
 * in order, one at a time; each retry after that doubles the while, so that a wave in which all
 * depends on all is hardly disturbed by trying. */
#ifndef SM_RUNTIME_SPECULATE_H
#define SM_RUNTIME_SPECULATE_H

#include "runtime/crew.h"

#include <smelt/status.h>

#include <stddef.h>

#define SM_SPECULATE_LANES_MAX 64u

/* How far to guess ahead, learned from one run for the next: successive waves are alike. Zero:
 * nothing is known. */
struct sm_speculation_pace {
    uint32_t window;   /* chunks that may be under way */
    uint32_t patience; /* chunks without a retry until the window grows */
};

/* A lane is what one chunk needs while it is under way; `lane` is below `lane_count`. */
struct sm_speculation {
    void *context;
    size_t chunk_count;
    uint32_t lane_count;              /* at most SM_SPECULATE_LANES_MAX; at least the threads */
    struct sm_speculation_pace *pace; /* NULL: of this run only */
    /* Also to execute again: starts from nothing. */
    enum smelt_status (*execute)(void *context, uint32_t lane, size_t chunk,
                                 struct smelt_error *err);
    bool (*is_current)(void *context, uint32_t lane);
    /* In order, one at a time. */
    enum smelt_status (*publish)(void *context, uint32_t lane, size_t chunk,
                                 struct smelt_error *err);
};

/* `*retries` counts chunks that were executed again. The first failure in the order of chunks is
 * returned, and then no later chunk has been published. */
enum smelt_status sm_speculate(const struct sm_speculation *speculation, struct sm_crew *crew,
                               uint32_t worker_count, uint64_t *retries, struct smelt_error *err);

#endif
