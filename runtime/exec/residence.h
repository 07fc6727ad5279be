/* Whether pages can have become private behind our back: the page faults of the thread are counted
 * by the kernel, and asking for their number costs less than half of asking for the pages.
 *
 * The first write to a page that is not private is a page fault of the thread that writes. So when
 * the count of a thread has not changed while an activation was its own, generated code has written
 * to pages that were private before, and to no others. What another thread writes is not in that
 * count: a host function may let one write its result, and announces the range for that
 * (sm_exec_announce); an activation that more than one thread has run is not believed at all.
 *
 *     sm_residence_begin       an activation is made ready
 *        sm_residence_enter       an invocation begins
 *     sm_residence_holds       it is over: whether only known pages can be private
 *
 * One thing makes pages private without a fault of anybody: another thread that locks the whole
 * process (mlockall) in the meantime. Processes that lock their memory do so before they run
 * contracts; docs/embedding.md says so. */
#ifndef SM_EXEC_RESIDENCE_H
#define SM_EXEC_RESIDENCE_H

#include <stdbool.h>
#include <stdint.h>

struct sm_residence {
    uint64_t thread; /* number of the thread that counts; numbers are not used twice */
    uint64_t faults; /* of that thread, at some time before the activation was made ready */
    bool is_lost;    /* somebody else may have written */
};

/* Whether this machine counts as it should: asked once, by making page faults. */
bool sm_residence_is_counted(void);

/* Of the calling thread: never 0, and given to no other, later one. */
uint64_t sm_residence_thread(void);

void sm_residence_begin(struct sm_residence *residence);
void sm_residence_enter(struct sm_residence *residence);
bool sm_residence_holds(const struct sm_residence *residence);

#endif
