/* A thread inherits the mask of the one that starts it, so that is changed for as long. */
#include "base/thread.h"

#include <signal.h>
#include <stddef.h>

int sm_thread_start(pthread_t *thread, enum sm_thread_signals signals, void *(*run)(void *),
                    void *context)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    sigset_t blocked;
    sigset_t before;
    (void)sigfillset(&blocked);
    if (signals == SM_THREAD_EXECUTES) {
        for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
            (void)sigdelset(&blocked, faults[i]);
        }
        for (int i = SIGRTMIN; i <= SIGRTMAX; i++) {
            (void)sigdelset(&blocked, i);
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failure = pthread_create(thread, NULL, run, context);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}
