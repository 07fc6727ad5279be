/* A crew: threads that work on one thing together, and sleep in between. The thread that calls is
 * one of them. */
#ifndef SM_RUNTIME_CREW_H
#define SM_RUNTIME_CREW_H

#include <smelt/status.h>

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

/* `worker` is 0 for the calling thread. */
typedef void (*sm_crew_fn)(void *context, uint32_t worker);

struct sm_crew_member;

/* Zero-initialise, then sm_crew_init. */
struct sm_crew {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_cond_t done;
    struct sm_crew_member **members; /* all but the caller */
    uint32_t member_count;
    uint32_t busy_count;
    uint64_t round; /* counts sm_crew_run */
    uint32_t size;  /* threads that work in this round, the caller included */
    bool is_ending;
    bool is_initialised;
    sm_crew_fn work;
    void *context;
    bool is_pinned;
    cpu_set_t processors; /* the caller's before it was pinned */
};

void sm_crew_init(struct sm_crew *crew);
void sm_crew_deinit(struct sm_crew *crew);

/* Makes the crew `size` strong, the caller included. IO when the system gives no thread; those that
 * it gave stay. */
enum smelt_status sm_crew_grow(struct sm_crew *crew, uint32_t size, struct smelt_error *err);

/* Calls `work` on `size` threads, at most as many as the crew has, and returns when all have. One
 * caller at a time. */
void sm_crew_run(struct sm_crew *crew, uint32_t size, sm_crew_fn work, void *context);

/* For kernels that keep threads together as long as one processor can hold them, as some virtual
 * machines do: spreads the whole crew over the processors that the caller may use. The caller
 * itself is bound to the first one until sm_crew_unpin. Nothing happens where the kernel refuses.
 */
void sm_crew_pin(struct sm_crew *crew);
/* While it is pinned: a thread beside the crew, which would stay where the caller is, goes to the
 * processor that the crew needs last. */
void sm_crew_pin_beside(const struct sm_crew *crew, pthread_t thread);
void sm_crew_unpin(struct sm_crew *crew);

#endif
