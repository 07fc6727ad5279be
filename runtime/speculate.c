/* One lock over the numbers below; nothing is executed or published under it. Whoever finishes a
 * chunk publishes, as long as the head has run, unless somebody does already. */
#include "runtime/speculate.h"

#include "base/status.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

/* Chunks without a retry until the window grows by one: at first, and at most. */
#define CALM_FIRST 8u
#define CALM_MOST  256u
/* Another wave may be another load: it is found out this soon at the latest. */
#define CALM_NEXT 64u

struct lane {
    bool has_run;
    bool was_head; /* all the time while it ran */
    enum smelt_status status;
    struct smelt_error error;
};

struct run {
    const struct sm_speculation *speculation;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t waiting;
    size_t next; /* the chunk to begin next */
    size_t head;
    bool has_publisher;
    uint32_t window;   /* chunks that may be under way */
    uint32_t calm;     /* chunks since the last change of the window */
    uint32_t patience; /* chunks without a retry until the window grows */
    uint64_t retries;
    enum smelt_status status;
    struct smelt_error error;
    struct lane lanes[SM_SPECULATE_LANES_MAX];
};

static uint32_t lane_of(const struct run *run, size_t chunk)
{
    return (uint32_t)(chunk % run->speculation->lane_count);
}

static void execute(struct run *run, size_t chunk)
{
    const struct sm_speculation *speculation = run->speculation;
    uint32_t at = lane_of(run, chunk);
    struct lane *lane = &run->lanes[at];
    lane->error = (struct smelt_error){0};
    lane->status = speculation->execute(speculation->context, at, chunk, &lane->error);
}

static void adapt(struct run *run, bool is_retry)
{
    if (is_retry) {
        run->retries++;
        run->calm = 0;
        run->window = run->window > 1 ? run->window / 2 : 1;
        if (run->window == 1 && run->patience < CALM_MOST) {
            run->patience *= 2;
        }
    } else if (++run->calm >= run->patience && run->window < run->speculation->lane_count) {
        run->calm = 0;
        run->window++;
        if (run->window > 2 && run->patience > CALM_FIRST) {
            run->patience /= 2;
        }
    }
}

/* Somebody, when there is room for more than the chunk that this thread takes itself. */
static void wake(struct run *run)
{
    if (run->waiting != 0 && run->next - run->head + 1 < run->window) {
        (void)pthread_cond_signal(&run->changed);
    }
}

/* Publishes from the head on. With the lock, which is given back while anything is done. */
static void publish(struct run *run)
{
    const struct sm_speculation *speculation = run->speculation;
    run->has_publisher = true;
    while (run->status == SMELT_STATUS_OK && run->head < run->next &&
           run->lanes[lane_of(run, run->head)].has_run) {
        size_t chunk = run->head;
        uint32_t at = lane_of(run, chunk);
        struct lane *lane = &run->lanes[at];
        (void)pthread_mutex_unlock(&run->lock);
        bool is_retry = !lane->was_head && (lane->status != SMELT_STATUS_OK ||
                                            !speculation->is_current(speculation->context, at));
        if (is_retry) {
            execute(run, chunk);
        }
        if (lane->status == SMELT_STATUS_OK) {
            lane->status = speculation->publish(speculation->context, at, chunk, &lane->error);
        }
        (void)pthread_mutex_lock(&run->lock);
        if (lane->status != SMELT_STATUS_OK) {
            run->status = lane->status;
            run->error = lane->error;
        }
        lane->has_run = false;
        run->head++;
        adapt(run, is_retry);
        wake(run);
    }
    run->has_publisher = false;
}

static bool is_over(const struct run *run)
{
    return run->status != SMELT_STATUS_OK || run->next == run->speculation->chunk_count;
}

static void work(void *context, uint32_t worker)
{
    struct run *run = (struct run *)context;
    (void)worker;
    (void)pthread_mutex_lock(&run->lock);
    while (!is_over(run)) {
        if (run->next - run->head >= run->window) {
            run->waiting++;
            (void)pthread_cond_wait(&run->changed, &run->lock);
            run->waiting--;
            continue;
        }
        size_t chunk = run->next++;
        struct lane *lane = &run->lanes[lane_of(run, chunk)];
        lane->was_head = run->head == chunk;
        (void)pthread_mutex_unlock(&run->lock);
        execute(run, chunk);
        (void)pthread_mutex_lock(&run->lock);
        lane->has_run = true;
        if (!run->has_publisher) {
            publish(run);
        }
    }
    (void)pthread_cond_broadcast(&run->changed);
    (void)pthread_mutex_unlock(&run->lock);
}

enum smelt_status sm_speculate(const struct sm_speculation *speculation, struct sm_crew *crew,
                               uint32_t worker_count, uint64_t *retries, struct smelt_error *err)
{
    struct run run = {.speculation = speculation,
                      .patience = CALM_FIRST,
                      .window = worker_count > 1 ? speculation->lane_count : 1};
    struct sm_speculation_pace *pace = speculation->pace;
    if (worker_count > 1 && pace != NULL && pace->window != 0) {
        run.window =
            pace->window < speculation->lane_count ? pace->window : speculation->lane_count;
        run.patience = pace->patience < CALM_NEXT ? pace->patience : CALM_NEXT;
    }
    assert(speculation->lane_count <= SM_SPECULATE_LANES_MAX);
    (void)pthread_mutex_init(&run.lock, NULL); /* neither fails for a reason that applies */
    (void)pthread_cond_init(&run.changed, NULL);
    sm_crew_run(crew, worker_count, work, &run);
    (void)pthread_cond_destroy(&run.changed);
    (void)pthread_mutex_destroy(&run.lock);
    *retries = run.retries;
    if (worker_count > 1 && pace != NULL) {
        *pace = (struct sm_speculation_pace){.window = run.window, .patience = run.patience};
    }
    if (run.status != SMELT_STATUS_OK && err != NULL) {
        *err = run.error;
    }
    return run.status;
}
