/* Signals: what this library takes part in, and what it needs of a thread.
 *
 * A handler belongs to the process, so it is shared by all engines: the first that needs a signal
 * puts ours in front of the one that is there, the last gives it back. Whatever is not ours goes to
 * the handler before, with its mask, its flags and the same siginfo and context, as if we were not
 * there. The one difference: on a thread with an alternate signal stack it runs there, with
 * SA_ONSTACK or without.
 *
 * Somebody may install a handler over ours and pass on what he does not want. Then ours stays when
 * the last engine goes, since he still has its address; it only passes on. */
#ifndef SM_EXEC_SIGNALS_H
#define SM_EXEC_SIGNALS_H

#include "base/sanitizer.h"

#include <smelt/status.h>

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* For functions that are abandoned instead of returning, and for handlers that may interrupt the
 * thread sanitizer itself: it counts entries and exits of all others. */
#if SM_HAS_TSAN && defined(__clang__)
#define SM_UNINSTRUMENTED __attribute__((disable_sanitizer_instrumentation))
#elif SM_HAS_TSAN
#define SM_UNINSTRUMENTED __attribute__((no_sanitize("thread")))
#else
#define SM_UNINSTRUMENTED
#endif

/* What handlers know about the thread they interrupt. Initial-exec: the address is computed without
 * a call, which a handler could not make. */
struct sm_thread {
    struct sm_invocation *current; /* innermost of any activation; NULL: no guest code below */
    struct sm_watch *watch;        /* innermost; NULL: nothing limits what runs */
    bool is_prepared;
    uint64_t number;      /* of the thread, for residence.h; 0: none yet */
    uint64_t page_faults; /* of the thread, when they were last counted */
};
extern _Thread_local struct sm_thread sm_exec_thread __attribute__((tls_model("initial-exec")));

/* Whether the signal was ours. Runs in the handler: no lock, no allocation. It may change the
 * context in which the thread goes on. */
typedef bool (*sm_signals_claim_fn)(int signal, siginfo_t *info, void *context);

/* One reference. `claim` is the same each time for one signal. */
enum smelt_status sm_signals_acquire(int signal, sm_signals_claim_fn claim,
                                     struct smelt_error *err);
void sm_signals_release(int signal);

/* Gives the calling thread an alternate signal stack, unless it has one that is large enough:
 * handlers must not depend on what is left of a guest stack. Freed when the thread ends. False when
 * the machine cannot give it. */
bool sm_signals_prepare_thread(void);

#endif
