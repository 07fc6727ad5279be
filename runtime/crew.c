/* A member sleeps until the round is another one than it saw last, and works when the round wants
 * so many. */
#include "runtime/crew.h"

#include "base/alloc.h"
#include "base/status.h"
#include "base/thread.h"

struct sm_crew_member {
    struct sm_crew *crew;
    pthread_t thread;
    uint32_t worker;
    uint64_t seen; /* the round that it has worked in, or slept through */
};

static void *live(void *context)
{
    struct sm_crew_member *member = (struct sm_crew_member *)context;
    struct sm_crew *crew = member->crew;
    (void)pthread_mutex_lock(&crew->lock);
    for (;;) {
        while (!crew->is_ending && member->seen == crew->round) {
            (void)pthread_cond_wait(&crew->wake, &crew->lock);
        }
        if (crew->is_ending) {
            break;
        }
        member->seen = crew->round;
        if (member->worker >= crew->size) {
            continue;
        }
        (void)pthread_mutex_unlock(&crew->lock);
        crew->work(crew->context, member->worker);
        (void)pthread_mutex_lock(&crew->lock);
        if (--crew->busy_count == 0) {
            (void)pthread_cond_signal(&crew->done);
        }
    }
    (void)pthread_mutex_unlock(&crew->lock);
    return NULL;
}

void sm_crew_init(struct sm_crew *crew)
{
    /* none of these fails for a reason that applies */
    (void)pthread_mutex_init(&crew->lock, NULL);
    (void)pthread_cond_init(&crew->wake, NULL);
    (void)pthread_cond_init(&crew->done, NULL);
    crew->is_initialised = true;
}

void sm_crew_deinit(struct sm_crew *crew)
{
    if (!crew->is_initialised) {
        return;
    }
    (void)pthread_mutex_lock(&crew->lock);
    crew->is_ending = true;
    (void)pthread_cond_broadcast(&crew->wake);
    (void)pthread_mutex_unlock(&crew->lock);
    for (uint32_t i = 0; i < crew->member_count; i++) {
        (void)pthread_join(crew->members[i]->thread, NULL);
        sm_free(crew->members[i]);
    }
    sm_free(crew->members);
    (void)pthread_cond_destroy(&crew->done);
    (void)pthread_cond_destroy(&crew->wake);
    (void)pthread_mutex_destroy(&crew->lock);
    *crew = (struct sm_crew){0};
}

static enum smelt_status add_member(struct sm_crew *crew, struct smelt_error *err)
{
    struct sm_crew_member **members = (struct sm_crew_member **)sm_realloc_array(
        crew->members, (size_t)crew->member_count + 1, sizeof(struct sm_crew_member *));
    if (members == NULL) {
        return sm_error_no_memory(err, "crew");
    }
    crew->members = members;
    struct sm_crew_member *member = (struct sm_crew_member *)sm_calloc(1, sizeof(*member));
    if (member == NULL) {
        return sm_error_no_memory(err, "crew");
    }
    member->crew = crew;
    member->worker = crew->member_count + 1;
    member->seen = crew->round;
    int failure = sm_thread_start(&member->thread, SM_THREAD_EXECUTES, live, member);
    if (failure != 0) {
        sm_free(member);
        return sm_error_set_errno(err, SMELT_STATUS_IO, failure, "crew",
                                  "cannot start a thread for waves");
    }
    members[crew->member_count++] = member;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_crew_grow(struct sm_crew *crew, uint32_t size, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    while (status == SMELT_STATUS_OK && crew->member_count + 1 < size) {
        status = add_member(crew, err);
    }
    return status;
}

void sm_crew_run(struct sm_crew *crew, uint32_t size, sm_crew_fn work, void *context)
{
    if (size > crew->member_count + 1) {
        size = crew->member_count + 1;
    }
    if (size > 1) {
        (void)pthread_mutex_lock(&crew->lock);
        crew->work = work;
        crew->context = context;
        crew->size = size;
        crew->busy_count = size - 1;
        crew->round++;
        (void)pthread_cond_broadcast(&crew->wake);
        (void)pthread_mutex_unlock(&crew->lock);
    }
    work(context, 0);
    if (size > 1) {
        (void)pthread_mutex_lock(&crew->lock);
        while (crew->busy_count != 0) {
            (void)pthread_cond_wait(&crew->done, &crew->lock);
        }
        (void)pthread_mutex_unlock(&crew->lock);
    }
}

/* The n-th processor of the set, counted around. */
static cpu_set_t nth_processor(const cpu_set_t *set, uint32_t n)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    n %= (uint32_t)CPU_COUNT(set);
    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, set) && n-- == 0) {
            CPU_SET(i, &one);
            break;
        }
    }
    return one;
}

void sm_crew_pin(struct sm_crew *crew)
{
    if (crew->is_pinned ||
        pthread_getaffinity_np(pthread_self(), sizeof(crew->processors), &crew->processors) != 0) {
        return;
    }
    for (uint32_t i = 0; i <= crew->member_count; i++) {
        cpu_set_t one = nth_processor(&crew->processors, i);
        pthread_t thread = i == 0 ? pthread_self() : crew->members[i - 1]->thread;
        (void)pthread_setaffinity_np(thread, sizeof(one), &one);
    }
    crew->is_pinned = true;
}

void sm_crew_pin_beside(const struct sm_crew *crew, pthread_t thread)
{
    if (crew->is_pinned) {
        cpu_set_t one =
            nth_processor(&crew->processors, (uint32_t)CPU_COUNT(&crew->processors) - 1);
        (void)pthread_setaffinity_np(thread, sizeof(one), &one);
    }
}

void sm_crew_unpin(struct sm_crew *crew)
{
    if (crew->is_pinned) {
        (void)pthread_setaffinity_np(pthread_self(), sizeof(crew->processors), &crew->processors);
        crew->is_pinned = false;
    }
}
