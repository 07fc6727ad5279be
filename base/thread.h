/* Starting threads of our own inside a process that is not ours: its signals are for its threads.
 */
#ifndef SM_BASE_THREAD_H
#define SM_BASE_THREAD_H

#include <pthread.h>

enum sm_thread_signals {
    SM_THREAD_NO_SIGNALS,
    /* For threads that run generated code: faults of their own, and real-time signals, one of which
     * stops an execution. */
    SM_THREAD_EXECUTES
};

/* As pthread_create, with all other signals blocked; the result is its error number. */
int sm_thread_start(pthread_t *thread, enum sm_thread_signals signals, void *(*run)(void *),
                    void *context);

#endif
