/* Handlers of the process and alternate stacks of threads; see the header for the rules.
 *
 *                     acquire, first        somebody installs his
 *      previous alone ------------> ours on top ------------> his, ours, previous
 *            ^                       |   ^                        |
 *            +--- release, last -----+   +---- he takes it away --+
 *
 * In the state on the right the last release changes nothing. */
#include "runtime/exec/signals.h"

#include "base/status.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WHERE "signal"

_Thread_local struct sm_thread sm_exec_thread;

/* ---- handlers ----------------------------------------------------------------------------- */

struct slot {
    unsigned references;
    bool is_installed; /* ours is on top, or below one that was installed later */
    sm_signals_claim_fn claim;
    struct sigaction previous; /* stays as it is while is_installed */
    atomic_bool is_spent;      /* previous had SA_RESETHAND and has run */
};

static struct slot slots[NSIG];
static pthread_mutex_t slots_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Raised by an instruction, in the thread that executed it. */
static bool is_synchronous(int signal)
{
    return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL;
}

#if SM_HAS_TSAN
/* The sanitizer holds back signals that no instruction raised until the thread calls a function it
 * intercepts, which generated code never does. This name of libc's it does not intercept. */
int __sigaction(int signal, const struct sigaction *action, /* NOLINT: libc's name */
                struct sigaction *old);
#endif

static int change_action(int signal, const struct sigaction *action, struct sigaction *old)
{
#if SM_HAS_TSAN
    if (!is_synchronous(signal)) {
        return __sigaction(signal, action, old);
    }
#endif
    return sigaction(signal, action, old);
}

/* The default action. A fault happens again as soon as the handler has returned, and the core shows
 * the instruction; a signal that was sent is sent again, with the same siginfo. */
SM_UNINSTRUMENTED static void take_default(int signal, siginfo_t *info)
{
    static const struct sigaction by_default = {.sa_handler = SIG_DFL};
    bool is_repeated = is_synchronous(signal) && info->si_code > 0 &&
                       !(signal == SIGBUS && info->si_code == BUS_MCEERR_AO);
    (void)change_action(signal, &by_default, NULL);
    if (!is_repeated) {
        (void)syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), signal, info);
    }
}

SM_UNINSTRUMENTED static void forward(int signal, siginfo_t *info, void *context)
{
    struct slot *slot = &slots[signal];
    const struct sigaction *previous = &slot->previous;
    if (previous->sa_handler == SIG_IGN && !(is_synchronous(signal) && info->si_code > 0)) {
        return;
    }
    /* the kernel does not let a thread ignore its own fault either */
    if (previous->sa_handler == SIG_DFL || previous->sa_handler == SIG_IGN ||
        ((previous->sa_flags & (int)SA_RESETHAND) != 0 && atomic_exchange(&slot->is_spent, true))) {
        take_default(signal, info);
        return;
    }
    sigset_t mask = previous->sa_mask;
    if ((previous->sa_flags & SA_NODEFER) == 0) {
        (void)sigaddset(&mask, signal);
    }
    (void)pthread_sigmask(SIG_BLOCK, &mask, NULL); /* undone by the return from the signal */
    if ((previous->sa_flags & SA_SIGINFO) != 0) {
        previous->sa_sigaction(signal, info, context);
    } else {
        previous->sa_handler(signal);
    }
}

SM_UNINSTRUMENTED static void on_signal(int signal, siginfo_t *info, void *context)
{
    int saved = errno;
    bool is_ours = slots[signal].claim(signal, info, context);
    errno = saved;
    if (!is_ours) {
        forward(signal, info, context);
    }
}

static bool is_on_top(int signal, struct sigaction *now)
{
    return change_action(signal, NULL, now) == 0 && (now->sa_flags & SA_SIGINFO) != 0 &&
           now->sa_sigaction == on_signal;
}

/* Who has installed a handler over ours is trusted to pass on; the default and ignoring cannot. */
static bool may_be_below(const struct slot *slot, const struct sigaction *now)
{
    return slot->is_installed && now->sa_handler != SIG_DFL && now->sa_handler != SIG_IGN;
}

static int install(int signal, sm_signals_claim_fn claim)
{
    struct slot *slot = &slots[signal];
    struct sigaction now;
    if (is_on_top(signal, &now) || may_be_below(slot, &now)) {
        return 0;
    }
    /* SA_NODEFER: the handler before decides itself what is blocked. A system call that a fault
     * signal interrupts is restarted as he wants it; our own signal interrupts none. */
    struct sigaction ours = {.sa_sigaction = on_signal,
                             .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    ours.sa_flags |= is_synchronous(signal) ? now.sa_flags & SA_RESTART : SA_RESTART;
    (void)sigemptyset(&ours.sa_mask);
    slot->claim = claim;
    slot->previous = now; /* before the handler can run */
    atomic_store(&slot->is_spent, false);
    if (change_action(signal, &ours, NULL) != 0) {
        return errno;
    }
    slot->is_installed = true;
    return 0;
}

enum smelt_status sm_signals_acquire(int signal, sm_signals_claim_fn claim, struct smelt_error *err)
{
    assert(signal > 0 && signal < NSIG);
    enum smelt_status status = SMELT_STATUS_OK;
    (void)pthread_mutex_lock(&slots_mutex);
    assert(slots[signal].references == 0 || slots[signal].claim == claim);
    int error = slots[signal].references == 0 ? install(signal, claim) : 0;
    if (error == 0) {
        slots[signal].references++;
    } else {
        status = sm_error_set_errno(err, SMELT_STATUS_INTERNAL, error, WHERE,
                                    "cannot install a handler for signal %d", signal);
    }
    (void)pthread_mutex_unlock(&slots_mutex);
    return status;
}

void sm_signals_release(int signal)
{
    struct slot *slot = &slots[signal];
    struct sigaction now;
    (void)pthread_mutex_lock(&slots_mutex);
    assert(slot->references != 0);
    slot->references--;
    if (slot->references == 0 && is_on_top(signal, &now)) {
        struct sigaction previous = slot->previous;
        if (atomic_load(&slot->is_spent)) {
            previous = (struct sigaction){.sa_handler = SIG_DFL};
        }
        (void)change_action(signal, &previous, NULL);
        slot->is_installed = false;
    }
    (void)pthread_mutex_unlock(&slots_mutex);
}

/* ---- alternate stacks --------------------------------------------------------------------- */

/* Handlers before ours run here too, and may print a report of the crash. Touched on demand. */
#define STACK_BYTES ((size_t)256 * 1024)
#define GUARD_BYTES ((size_t)65536) /* below; a multiple of every machine's page size */
/* What ours needs besides the context that the kernel saves. */
#define NEEDED_BYTES ((size_t)2048)

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* of the mapping, in threads that have one of ours */
static bool has_key;

static void free_stack(void *mapping)
{
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == (uint8_t *)mapping + GUARD_BYTES) {
        (void)sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL);
    }
    (void)munmap(mapping, GUARD_BYTES + STACK_BYTES);
    sm_exec_thread.is_prepared = false; /* destructors after this one may run guest code */
}

static void create_key(void)
{
    has_key = pthread_key_create(&key, free_stack) == 0;
}

static bool has_large_stack(void)
{
    stack_t now;
    long context = sysconf(_SC_MINSIGSTKSZ);
    return sigaltstack(NULL, &now) == 0 && (now.ss_flags & SS_DISABLE) == 0 &&
           now.ss_size >= (context > 0 ? (size_t)context : (size_t)MINSIGSTKSZ) + NEEDED_BYTES;
}

/* The mapping of the calling thread; NULL when the machine cannot give it. One that somebody has
 * switched off since is still there. */
static uint8_t *own_stack(void)
{
    (void)pthread_once(&key_once, create_key);
    uint8_t *mapping = has_key ? (uint8_t *)pthread_getspecific(key) : NULL;
    if (!has_key || mapping != NULL) {
        return mapping;
    }
    mapping = (uint8_t *)mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED) {
        return NULL;
    }
    if (mprotect(mapping, GUARD_BYTES, PROT_NONE) != 0 || pthread_setspecific(key, mapping) != 0) {
        (void)munmap(mapping, GUARD_BYTES + STACK_BYTES);
        return NULL;
    }
    return mapping;
}

bool sm_signals_prepare_thread(void)
{
    if (!has_large_stack()) {
        uint8_t *mapping = own_stack();
        if (mapping == NULL) {
            return false;
        }
        const stack_t stack = {.ss_sp = mapping + GUARD_BYTES, .ss_size = STACK_BYTES};
        if (sigaltstack(&stack, NULL) != 0) {
            return false;
        }
    }
    sm_exec_thread.is_prepared = true;
    return true;
}
