/* Stopping what runs too long: deadlines and cancellation.
 *
 *     sm_watchdog_init      an engine's; no thread yet
 *     sm_watch_begin        on the thread that is going to execute
 *     sm_exec_invoke ...    any number, nested or not: FAILED with the reason, once there is one
 *     sm_watch_end          on the same thread
 *     sm_watchdog_deinit    all watches have ended
 *
 * The watchdog's thread sleeps until the earliest deadline. Then it stores the reason in the watch
 * and sends the executing thread a signal, once a millisecond until the watch ends. The handler
 * leaves generated code at once when it interrupted that; otherwise it does nothing, and the reason
 * is seen when the running host function returns, or before generated code is entered. What slips
 * through between such a look and generated code meets the next signal. Generated code itself pays
 * nothing. */
#ifndef SM_EXEC_WATCHDOG_H
#define SM_EXEC_WATCHDOG_H

#include "runtime/exec/signals.h"

#include <smelt/runtime.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Offset of the default signal from SIGRTMIN. */
#define SM_WATCHDOG_SIGNAL 12

/* One sm_watch_begin that has not ended; lives in its caller's frame. */
struct sm_watch {
    struct sm_watchdog *watchdog; /* NULL: not begun */
    struct smelt_cancel *cancel;
    uint64_t deadline_ns; /* of the monotonic clock; UINT64_MAX: none */
    pid_t thread;
    bool was_blocked;       /* the signal, in this thread */
    _Atomic int reason;     /* enum smelt_status; OK: go on */
    atomic_bool is_sent;    /* a signal is under way */
    struct sm_watch *outer; /* on the same thread */
    struct sm_watch *next;  /* of the watchdog */
    struct sm_watch **link;
    struct sm_watch *cancel_next; /* of the token */
    struct sm_watch **cancel_link;
};

struct sm_watchdog {
    int signal;
    bool is_running;
    bool is_ending;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    uint64_t wakes_ns; /* when the thread will look again; UINT64_MAX: when it is told */
    struct sm_watch *watches;
};

/* `signal` is a real-time signal, or 0 for SIGRTMIN + SM_WATCHDOG_SIGNAL. INVALID_ARGUMENT when it
 * is another one. */
enum smelt_status sm_watchdog_init(struct sm_watchdog *watchdog, int signal,
                                   struct smelt_error *err);
void sm_watchdog_deinit(struct sm_watchdog *watchdog); /* a zeroed one is fine */

/* From now on the calling thread stops after `deadline_ms` (0: never) or when `cancel` (borrowed,
 * may be NULL) is triggered. CANCELLED when it is already, NO_MEMORY when the machine gives no
 * thread. */
enum smelt_status sm_watch_begin(struct sm_watch *watch, struct sm_watchdog *watchdog,
                                 uint64_t deadline_ms, struct smelt_cancel *cancel,
                                 struct smelt_error *err);
/* Does nothing when the watch has not begun. Watches of a thread end in reverse order. */
void sm_watch_end(struct sm_watch *watch);

/* Why the calling thread has to stop; OK: it has not. */
SM_UNINSTRUMENTED static inline enum smelt_status sm_watch_reason(void)
{
    int reason = SMELT_STATUS_OK;
    for (struct sm_watch *watch = sm_exec_thread.watch; watch != NULL && reason == SMELT_STATUS_OK;
         watch = watch->outer) {
        reason = atomic_load_explicit(&watch->reason, memory_order_relaxed);
    }
    return (enum smelt_status)reason;
}

#endif
