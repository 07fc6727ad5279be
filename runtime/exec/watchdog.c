/* The watchdog's thread, its signal, and cancellation tokens.
 *
 * Locks: a token's mutex, then a watchdog's; never the other way. A watch is in the lists of its
 * watchdog and of its token while it runs, so whoever holds a list's mutex may use what is in it,
 * and a thread that is sent a signal is alive. */
#include "runtime/exec/watchdog.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/status.h"
#include "base/thread.h"
#include "runtime/exec/activation.h"
#include "runtime/exec/enter.h"

#include <assert.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WHERE        "watchdog"
#define MS           UINT64_C(1000000) /* nanoseconds */
#define DEADLINE_MAX (UINT64_MAX / 4 / MS)

struct smelt_cancel {
    pthread_mutex_t mutex;
    atomic_bool is_triggered;
    struct sm_watch *watches;
};

/* ---- the signal --------------------------------------------------------------------------- */

/* Tells our signals from the same number sent by others. The kernel lets a process use any negative
 * code for itself. */
#define SIGNAL_CODE (-1000)

/* The value names a watch; it may have ended. */
SM_UNINSTRUMENTED static bool claim(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    if (info->si_code != SIGNAL_CODE) {
        return false;
    }
    for (struct sm_watch *watch = sm_exec_thread.watch; watch != NULL; watch = watch->outer) {
        if (watch == info->si_value.sival_ptr) {
            atomic_store_explicit(&watch->is_sent, false, memory_order_relaxed);
        }
    }
    enum smelt_status reason = sm_watch_reason();
    const struct sm_invocation *invocation = sm_exec_thread.current;
    if (reason != SMELT_STATUS_OK && invocation != NULL &&
        sm_exec_is_code(invocation->activation->module,
                        sm_exec_context_pc((const ucontext_t *)context))) {
        *invocation->result = (struct sm_exec_result){.end = SM_EXEC_FAILED, .status = reason};
        sm_exec_context_leave((ucontext_t *)context, invocation->frame);
    }
    return true;
}

/* At most one at a time: a thread that is in the kernel for long must not find a queue of them. */
static void send(const struct sm_watchdog *watchdog, struct sm_watch *watch)
{
    siginfo_t info;
    if (atomic_exchange_explicit(&watch->is_sent, true, memory_order_relaxed)) {
        return;
    }
    memset(&info, 0, sizeof(info));
    info.si_signo = watchdog->signal;
    info.si_code = SIGNAL_CODE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = watch;
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), watch->thread, watchdog->signal, &info) != 0) {
        atomic_store_explicit(&watch->is_sent, false,
                              memory_order_relaxed); /* no room: next time */
    }
}

/* ---- the thread --------------------------------------------------------------------------- */

static enum smelt_status reason_of(const struct sm_watch *watch, uint64_t now)
{
    if (watch->cancel != NULL && atomic_load(&watch->cancel->is_triggered)) {
        return SMELT_STATUS_CANCELLED;
    }
    return now >= watch->deadline_ns ? SMELT_STATUS_DEADLINE_EXCEEDED : SMELT_STATUS_OK;
}

/* The first reason stands, whoever gives it. */
static void give_reason(struct sm_watch *watch, enum smelt_status reason)
{
    int none = SMELT_STATUS_OK;
    if (reason != SMELT_STATUS_OK) {
        (void)atomic_compare_exchange_strong_explicit(&watch->reason, &none, (int)reason,
                                                      memory_order_relaxed, memory_order_relaxed);
    }
}

/* When to look again. */
static uint64_t look(const struct sm_watchdog *watchdog, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (struct sm_watch *watch = watchdog->watches; watch != NULL; watch = watch->next) {
        uint64_t again = watch->deadline_ns;
        give_reason(watch, reason_of(watch, now));
        if (atomic_load_explicit(&watch->reason, memory_order_relaxed) != SMELT_STATUS_OK) {
            send(watchdog, watch);
            again = now + MS;
        }
        next = again < next ? again : next;
    }
    return next;
}

static void *watch_over(void *context)
{
    struct sm_watchdog *watchdog = (struct sm_watchdog *)context;
    (void)pthread_mutex_lock(&watchdog->mutex);
    while (!watchdog->is_ending) {
        watchdog->wakes_ns = look(watchdog, sm_clock_ns());
        if (watchdog->wakes_ns == UINT64_MAX) {
            (void)pthread_cond_wait(&watchdog->wake, &watchdog->mutex);
        } else {
            const struct timespec until = {.tv_sec = (time_t)(watchdog->wakes_ns / (1000 * MS)),
                                           .tv_nsec = (long)(watchdog->wakes_ns % (1000 * MS))};
            (void)pthread_cond_timedwait(&watchdog->wake, &watchdog->mutex, &until);
        }
    }
    (void)pthread_mutex_unlock(&watchdog->mutex);
    return NULL;
}

/* With the mutex held. */
static enum smelt_status start(struct sm_watchdog *watchdog, struct smelt_error *err)
{
    enum smelt_status status = sm_signals_acquire(watchdog->signal, claim, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    int error = sm_thread_start(&watchdog->thread, SM_THREAD_NO_SIGNALS, watch_over, watchdog);
    if (error != 0) {
        sm_signals_release(watchdog->signal);
        return sm_error_set_errno(err, SMELT_STATUS_NO_MEMORY, error, WHERE,
                                  "cannot start the thread that watches deadlines");
    }
    watchdog->is_running = true;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_watchdog_init(struct sm_watchdog *watchdog, int signal,
                                   struct smelt_error *err)
{
    pthread_condattr_t attributes;
    memset(watchdog, 0, sizeof(*watchdog));
    if (signal != 0 && (signal < SIGRTMIN || signal > SIGRTMAX)) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "signal %d is no real-time signal: choose one from %d to %d", signal,
                            SIGRTMIN, SIGRTMAX);
    }
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&watchdog->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_init(&watchdog->mutex, NULL);
    watchdog->wakes_ns = UINT64_MAX;
    watchdog->signal = signal != 0 ? signal : SIGRTMIN + SM_WATCHDOG_SIGNAL;
    return SMELT_STATUS_OK;
}

void sm_watchdog_deinit(struct sm_watchdog *watchdog)
{
    if (watchdog->signal == 0) {
        return;
    }
    assert(watchdog->watches == NULL);
    if (watchdog->is_running) {
        (void)pthread_mutex_lock(&watchdog->mutex);
        watchdog->is_ending = true;
        (void)pthread_cond_signal(&watchdog->wake);
        (void)pthread_mutex_unlock(&watchdog->mutex);
        (void)pthread_join(watchdog->thread, NULL);
        sm_signals_release(watchdog->signal);
    }
    (void)pthread_cond_destroy(&watchdog->wake);
    (void)pthread_mutex_destroy(&watchdog->mutex);
    memset(watchdog, 0, sizeof(*watchdog));
}

/* ---- watches ------------------------------------------------------------------------------ */

static void link_to_token(struct sm_watch *watch)
{
    struct smelt_cancel *cancel = watch->cancel;
    (void)pthread_mutex_lock(&cancel->mutex);
    watch->cancel_next = cancel->watches;
    watch->cancel_link = &cancel->watches;
    if (watch->cancel_next != NULL) {
        watch->cancel_next->cancel_link = &watch->cancel_next;
    }
    cancel->watches = watch;
    (void)pthread_mutex_unlock(&cancel->mutex);
}

static void unlink_from_token(struct sm_watch *watch)
{
    (void)pthread_mutex_lock(&watch->cancel->mutex);
    *watch->cancel_link = watch->cancel_next;
    if (watch->cancel_next != NULL) {
        watch->cancel_next->cancel_link = watch->cancel_link;
    }
    (void)pthread_mutex_unlock(&watch->cancel->mutex);
}

/* With the mutex held. The thread is woken only when it would sleep too long. */
static void link_to_watchdog(struct sm_watchdog *watchdog, struct sm_watch *watch)
{
    watch->next = watchdog->watches;
    watch->link = &watchdog->watches;
    if (watch->next != NULL) {
        watch->next->link = &watch->next;
    }
    watchdog->watches = watch;
    if (watch->deadline_ns < watchdog->wakes_ns) {
        (void)pthread_cond_signal(&watchdog->wake);
    }
}

static void unlink_from_watchdog(struct sm_watch *watch)
{
    (void)pthread_mutex_lock(&watch->watchdog->mutex);
    *watch->link = watch->next;
    if (watch->next != NULL) {
        watch->next->link = watch->link;
    }
    (void)pthread_mutex_unlock(&watch->watchdog->mutex);
}

/* SIG_BLOCK or SIG_UNBLOCK, this one signal of the calling thread. Returns whether it was blocked
 * before. */
static bool block(int how, int signal)
{
    sigset_t set;
    sigset_t before;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, signal);
    (void)pthread_sigmask(how, &set, &before);
    return sigismember(&before, signal) == 1;
}

enum smelt_status sm_watch_begin(struct sm_watch *watch, struct sm_watchdog *watchdog,
                                 uint64_t deadline_ms, struct smelt_cancel *cancel,
                                 struct smelt_error *err)
{
    memset(watch, 0, sizeof(*watch));
    if (cancel != NULL && atomic_load(&cancel->is_triggered)) {
        return sm_error_set(err, SMELT_STATUS_CANCELLED, WHERE,
                            "the transaction was cancelled before it began");
    }
    watch->cancel = cancel;
    watch->thread = gettid();
    watch->deadline_ns = deadline_ms == 0 || deadline_ms > DEADLINE_MAX
                             ? UINT64_MAX
                             : sm_clock_ns() + deadline_ms * MS;
    (void)pthread_mutex_lock(&watchdog->mutex);
    enum smelt_status status = watchdog->is_running ? SMELT_STATUS_OK : start(watchdog, err);
    (void)pthread_mutex_unlock(&watchdog->mutex);
    if (status != SMELT_STATUS_OK) {
        return status;
    }

    watch->was_blocked = block(SIG_UNBLOCK, watchdog->signal);
    watch->outer = sm_exec_thread.watch;
    watch->watchdog = watchdog;
    atomic_signal_fence(memory_order_release); /* whole before our handler finds it */
    sm_exec_thread.watch = watch;
    (void)pthread_mutex_lock(&watchdog->mutex);
    link_to_watchdog(watchdog, watch);
    (void)pthread_mutex_unlock(&watchdog->mutex);
    if (cancel != NULL) {
        link_to_token(watch);
        if (atomic_load(&cancel->is_triggered)) { /* since the look above */
            give_reason(watch, SMELT_STATUS_CANCELLED);
        }
    }
    return SMELT_STATUS_OK;
}

void sm_watch_end(struct sm_watch *watch)
{
    if (watch->watchdog == NULL) {
        return;
    }
    assert(sm_exec_thread.watch == watch);
    if (watch->cancel != NULL) {
        unlink_from_token(watch);
    }
    unlink_from_watchdog(watch);
    /* Nothing is sent from here on. What is under way reaches the thread before it returns from its
     * next system call, and must do so while our handler is there. */
    if (atomic_load_explicit(&watch->reason, memory_order_relaxed) != SMELT_STATUS_OK) {
        (void)syscall(SYS_gettid);
    }
    sm_exec_thread.watch = watch->outer;
    atomic_signal_fence(memory_order_release);
    if (watch->was_blocked) {
        (void)block(SIG_BLOCK, watch->watchdog->signal);
    }
    memset(watch, 0, sizeof(*watch));
}

/* ---- tokens ------------------------------------------------------------------------------- */

enum smelt_status smelt_cancel_create(struct smelt_cancel **out, struct smelt_error *err)
{
    if (out == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE, "out is required");
    }
    *out = (struct smelt_cancel *)sm_calloc(1, sizeof(**out));
    if (*out == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    (void)pthread_mutex_init(&(*out)->mutex, NULL);
    return SMELT_STATUS_OK;
}

void smelt_cancel_destroy(struct smelt_cancel *cancel)
{
    if (cancel != NULL) {
        assert(cancel->watches == NULL);
        (void)pthread_mutex_destroy(&cancel->mutex);
        sm_free(cancel);
    }
}

void smelt_cancel_trigger(struct smelt_cancel *cancel)
{
    (void)pthread_mutex_lock(&cancel->mutex);
    atomic_store(&cancel->is_triggered, true);
    for (struct sm_watch *watch = cancel->watches; watch != NULL; watch = watch->cancel_next) {
        give_reason(watch, SMELT_STATUS_CANCELLED); /* a reset may be next */
        (void)pthread_mutex_lock(&watch->watchdog->mutex);
        (void)pthread_cond_signal(&watch->watchdog->wake);
        (void)pthread_mutex_unlock(&watch->watchdog->mutex);
    }
    (void)pthread_mutex_unlock(&cancel->mutex);
}

void smelt_cancel_reset(struct smelt_cancel *cancel)
{
    atomic_store(&cancel->is_triggered, false);
}
