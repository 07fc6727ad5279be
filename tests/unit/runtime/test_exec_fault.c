/* Faults: which are claimed, and that everybody else's stay his. Each case has a process of its
 * own. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/guest.h"
#include "tests/unit/runtime/mapping.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "runtime/exec/fault.h"
#include "runtime/exec/signals.h"
#include "runtime/exec/stack.h"

#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUEL       UINT64_C(100000)
#define MEMORY     (UINT64_C(4096) * 65536) /* of guest_rogue.c: at first, at most, and its guard */
#define MEMORY_MAX (UINT64_C(5120) * 65536)
#define GUARD      65536u
#define NOWHERE    ((uintptr_t)8) /* an address that is never mapped, and not NULL for UBSan */

static struct sm_exec_module *module;
static struct sigaction at_start[NSIG]; /* before cmocka's handlers: the sanitizer's, perhaps */

/* ---- children -------------------------------------------------------------------------------- */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
#define SIGNAL_COUNT (sizeof(signals) / sizeof(signals[0]))

/* The status as of waitpid. The body returns for a good end. */
static int in_child(void (*body)(const void *), const void *argument)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        (void)alarm(60);
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        for (size_t i = 0; i < SIGNAL_COUNT; i++) {
            (void)signal(signals[i], SIG_DFL);
        }
        body(argument);
        _exit(0);
    }
    assert_true(child > 0);
    while (waitpid(child, &status, 0) != child) {
        assert_int_equal(errno, EINTR);
    }
    return status;
}

static void assert_exits(void (*body)(const void *), const void *argument, int code)
{
    int status = in_child(body, argument);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void assert_dies(void (*body)(const void *), const void *argument, int signal)
{
    int status = in_child(body, argument);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), signal);
}

/* ---- guest code ------------------------------------------------------------------------------ */

typedef void (*act_fn)(void);

static enum sm_exec_action on_call(void *context, struct sm_activation *activation, uint32_t import,
                                   uint64_t *slots)
{
    act_fn *act = (act_fn *)context;
    (void)activation;
    (void)import;
    (void)slots;
    if (act != NULL && *act != NULL) {
        (*act)();
    }
    return SM_EXEC_CONTINUE;
}

static struct sm_activation *activate(act_fn *act)
{
    const struct sm_exec_host host = {.call = on_call, .context = act};
    struct sm_activation *activation = NULL;
    struct sm_exec_result result;
    CHECK(sm_exec_create(module, &host, FUEL, &activation, NULL) == SMELT_STATUS_OK);
    sm_exec_start(activation, &result);
    CHECK(result.end == SM_EXEC_RETURNED);
    return activation;
}

static struct sm_exec_result run(struct sm_activation *activation, const char *name,
                                 uint64_t argument)
{
    struct sm_exec_result result;
    uint64_t slots[4] = {argument};
    sm_exec_invoke(activation, sm_exec_find_export(module, smelt_slice_from_string(name)), slots,
                   &result);
    return result;
}

/* The host function `act`, called by guest code. */
static void run_host(act_fn act)
{
    struct sm_activation *activation = activate(&act);
    CHECK(run(activation, "host", 0).end == SM_EXEC_RETURNED);
    sm_exec_destroy(activation);
}

static void acquire(void)
{
    CHECK(sm_fault_acquire(NULL) == SMELT_STATUS_OK);
}

static void set_handler(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = flags | SA_SIGINFO};
    (void)sigemptyset(&action.sa_mask);
    CHECK(sigaction(signal, &action, NULL) == 0);
}

/* libc keeps more bits than the kernel has. */
static bool masks_equal(const sigset_t *a, const sigset_t *b)
{
    for (int number = 1; number < NSIG; number++) {
        if (sigismember(a, number) != sigismember(b, number)) {
            return false;
        }
    }
    return true;
}

/* ---- what is claimed ------------------------------------------------------------------------- */

struct claimed {
    const char *name;
    uint64_t argument;
    enum sm_exec_fault_kind kind;
    uint64_t memory_offset;
};

static const struct claimed claimed_rows[] = {
    {"poke", MEMORY, SM_EXEC_FAULT_MEMORY, MEMORY},
    {"poke", MEMORY + 12345, SM_EXEC_FAULT_MEMORY, MEMORY + 12345},
    {"poke", MEMORY_MAX - 1, SM_EXEC_FAULT_MEMORY, MEMORY_MAX - 1},
    {"poke", MEMORY_MAX + GUARD - 1, SM_EXEC_FAULT_MEMORY, MEMORY_MAX + GUARD - 1},
    {"dive", 0, SM_EXEC_FAULT_STACK, 0},
    {"climb", 0, SM_EXEC_FAULT_STACK, 0},
    {"illegal", 0, SM_EXEC_FAULT_INSTRUCTION, 0},
#ifdef __x86_64__
    {"divide", 0, SM_EXEC_FAULT_INSTRUCTION, 0},
#endif
};
#define CLAIMED_COUNT (sizeof(claimed_rows) / sizeof(claimed_rows[0]))

/* Several times in one activation, which stays usable, the signal mask as it was. */
static void expect_claims(void)
{
    struct sm_activation *activation = activate(NULL);
    sigset_t before;
    sigset_t after;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    for (size_t i = 0; i < 3 * CLAIMED_COUNT; i++) {
        const struct claimed *row = &claimed_rows[i % CLAIMED_COUNT];
        struct sm_exec_result result = run(activation, row->name, row->argument);
        CHECK(result.end == SM_EXEC_FAULTED);
        CHECK(result.status == SMELT_STATUS_OK && !result.has_offset);
        CHECK(result.fault.kind == row->kind);
        CHECK(result.fault.memory_offset == row->memory_offset);
        CHECK(result.fault.code_offset > 0 && result.fault.code_offset < 1 << 20);
        CHECK(result.fault.export_ ==
              sm_exec_find_export(module, smelt_slice_from_string(row->name)));
        result = run(activation, "poke", MEMORY - 1);
        CHECK(result.end == SM_EXEC_RETURNED && result.fault.export_ == NULL);
    }
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK(masks_equal(&before, &after));
    sm_exec_destroy(activation);
}

static void claim_all(const void *argument)
{
    (void)argument;
    acquire();
    expect_claims();
    sm_fault_release();
}

static void guest_faults_are_claimed(void **state)
{
    (void)state;
    assert_exits(claim_all, NULL, 0);
}

static void *claim_in_thread(void *argument)
{
    expect_claims();
    return argument;
}

static void claim_in_threads(const void *argument)
{
    (void)argument;
    pthread_t threads[4];
    acquire();
    for (size_t i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, claim_in_thread, NULL) == 0);
    }
    for (size_t i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    sm_fault_release();
}

static void guest_faults_are_claimed_in_threads(void **state)
{
    (void)state;
    assert_exits(claim_in_threads, NULL, 0);
}

/* A fault in an inner activation ends that one; the outer goes on. */
static void fault_inside(void)
{
    struct sm_activation *inner = activate(NULL);
    CHECK(run(inner, "poke", MEMORY).end == SM_EXEC_FAULTED);
    CHECK(run(inner, "dive", 0).end == SM_EXEC_FAULTED);
    sm_exec_destroy(inner);
}

static void claim_nested(const void *argument)
{
    (void)argument;
    acquire();
    run_host(fault_inside);
    sm_fault_release();
}

static void faults_end_the_innermost_activation(void **state)
{
    (void)state;
    assert_exits(claim_nested, NULL, 0);
}

/* ---- what is not ----------------------------------------------------------------------------- */

static void touch_nowhere(void)
{
    volatile char *volatile nowhere = (volatile char *)NOWHERE; /* gcc would see through it */
    *nowhere = 1;
}

static void overflow_stack(void)
{
    volatile char frame[4096];
    frame[0] = 1;
    if (frame[0] != 0) { /* always */
        overflow_stack();
    }
    frame[1] = frame[0];
}

static void raise_segv(void)
{
    (void)raise(SIGSEGV);
}

static void raise_ill(void)
{
    (void)raise(SIGILL);
}

struct fatal {
    act_fn act;       /* in a host function, or */
    const char *name; /* this export */
    uint64_t argument;
    int signal;
};

static struct sm_activation *other; /* with a memory that is not the faulting activation's */

static void run_fatal(const void *argument)
{
    const struct fatal *row = (const struct fatal *)argument;
    acquire();
    if (row->act != NULL) {
        run_host(row->act);
        return;
    }
    struct sm_activation *activation = activate(NULL);
    uint64_t address = row->argument;
    if (address == 0) {
        uint64_t size;
        other = activate(NULL);
        address = (uintptr_t)sm_exec_memory(other, &size) + MEMORY;
    }
    (void)run(activation, row->name, address);
}

static const struct fatal fatal_rows[] = {
    {.act = touch_nowhere, .signal = SIGSEGV},
    {.act = overflow_stack, .signal = SIGSEGV},
    {.act = raise_segv, .signal = SIGSEGV},
    {.act = raise_ill, .signal = SIGILL},
    {.act = abort, .signal = SIGABRT},
    {.name = "poke_absolute", .argument = NOWHERE, .signal = SIGSEGV},
    {.name = "poke_absolute", .argument = UINT64_C(1) << 63, .signal = SIGSEGV}, /* no address */
    {.name = "poke_absolute", .argument = 0, .signal = SIGSEGV}, /* another's guard */
};
#define FATAL_COUNT (sizeof(fatal_rows) / sizeof(fatal_rows[0]))

static void other_faults_kill_as_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < FATAL_COUNT; i++) {
        assert_dies(run_fatal, &fatal_rows[i], fatal_rows[i].signal);
    }
}

/* ---- the handler before ours ----------------------------------------------------------------- */

static int wanted_flags;
static uint8_t *locked_page;
static volatile sig_atomic_t handled;

static void lock_page(void)
{
    locked_page = (uint8_t *)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(locked_page != MAP_FAILED);
}

static void touch_locked(void)
{
    *(volatile uint8_t *)locked_page = 1;
}

/* Looks at everything it is given, and repairs. */
static void repair(int signal, siginfo_t *info, void *context)
{
    sigset_t mask;
    handled++;
    CHECK(signal == SIGSEGV && context != NULL);
    CHECK(info->si_signo == SIGSEGV && info->si_code == SEGV_ACCERR);
    CHECK(info->si_addr == locked_page);
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    if (!SM_HAS_TSAN) { /* which has a mask of its own in handlers */
        CHECK(sigismember(&mask, SIGUSR1) == 1 && sigismember(&mask, SIGUSR2) == 0);
        CHECK(sigismember(&mask, SIGSEGV) == ((wanted_flags & SA_NODEFER) == 0));
    }
    CHECK(mprotect(locked_page, 4096, PROT_READ | PROT_WRITE) == 0);
}

static void repair_plainly(int signal)
{
    handled++;
    CHECK(signal == SIGSEGV);
    CHECK(mprotect(locked_page, 4096, PROT_READ | PROT_WRITE) == 0);
}

static void touch_twice(const void *argument)
{
    int flags = *(const int *)argument;
    struct sigaction action = {.sa_flags = flags};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaddset(&action.sa_mask, SIGUSR1);
    if ((flags & SA_SIGINFO) != 0) {
        action.sa_sigaction = repair;
    } else {
        action.sa_handler = repair_plainly;
    }
    wanted_flags = flags;
    lock_page();
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    acquire();
    run_host(touch_locked);
    CHECK(handled == 1);
    sigset_t mask;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    CHECK(sigismember(&mask, SIGUSR1) == 0 && sigismember(&mask, SIGSEGV) == 0);
    expect_claims(); /* of which it hears nothing */
    CHECK(handled == 1);
    CHECK(munmap(locked_page, 4096) == 0);
    lock_page();
    touch_locked(); /* with no guest code below */
    CHECK(handled == 2);

    struct sigaction now;
    sm_fault_release();
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0);
    CHECK(now.sa_handler == action.sa_handler && (now.sa_flags & flags) == flags);
}

static void previous_handler_gets_the_rest(void **state)
{
    (void)state;
    static const int rows[] = {0, SA_SIGINFO, SA_SIGINFO | SA_NODEFER, SA_SIGINFO | SA_ONSTACK,
                               SA_RESTART};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_exits(touch_twice, &rows[i], 0);
    }
    /* once only */
    static const int once = (int)(SA_SIGINFO | SA_RESETHAND);
    assert_dies(touch_twice, &once, SIGSEGV);
}

/* After its single run the default is what we give back. */
static void spend_handler(const void *argument)
{
    (void)argument;
    struct sigaction now;
    lock_page();
    set_handler(SIGSEGV, repair, (int)SA_RESETHAND);
    struct sigaction action;
    CHECK(sigaction(SIGSEGV, NULL, &action) == 0);
    (void)sigaddset(&action.sa_mask, SIGUSR1);
    CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
    acquire();
    run_host(touch_locked);
    CHECK(handled == 1);
    sm_fault_release();
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0);
    CHECK(now.sa_handler == SIG_DFL);
}

static void spent_handler_is_not_given_back(void **state)
{
    (void)state;
    assert_exits(spend_handler, NULL, 0);
}

static void ignore_sent(const void *argument)
{
    (void)argument;
    (void)signal(SIGSEGV, SIG_IGN);
    acquire();
    (void)raise(SIGSEGV); /* is ignored */
    run_host(raise_segv);
    expect_claims();
    run_host(touch_nowhere); /* cannot be */
}

static void ignoring_covers_sent_signals_only(void **state)
{
    (void)state;
    assert_dies(ignore_sent, NULL, SIGSEGV);
}

static void exit_42(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    _exit(42);
}

/* The stack that overflowed cannot run a handler: it has to be the alternate one. */
static void overflow_with_handler(const void *argument)
{
    (void)argument;
    set_handler(SIGSEGV, exit_42, 0);
    acquire();
    run_host(overflow_stack);
}

static void host_overflow_reaches_the_previous_handler(void **state)
{
    (void)state;
    assert_exits(overflow_with_handler, NULL, 42);
}

static void *touch_in_thread(void *argument)
{
    expect_claims();
    touch_nowhere();
    return argument;
}

static void fault_in_thread(const void *argument)
{
    (void)argument;
    pthread_t thread;
    set_handler(SIGSEGV, exit_42, 0);
    acquire();
    CHECK(pthread_create(&thread, NULL, touch_in_thread, NULL) == 0);
    (void)pthread_join(thread, NULL);
}

static void faults_of_other_threads_are_passed_on(void **state)
{
    (void)state;
    assert_exits(fault_in_thread, NULL, 42);
}

/* ---- handlers over ours ---------------------------------------------------------------------- */

static struct sigaction below;

static void pass_on(int signal, siginfo_t *info, void *context)
{
    handled++;
    below.sa_sigaction(signal, info, context);
}

static void claim_from_below(const void *argument)
{
    (void)argument;
    struct sigaction now;
    set_handler(SIGSEGV, exit_42, 0);
    acquire();
    struct sigaction over = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)sigemptyset(&over.sa_mask);
    CHECK(sigaction(SIGSEGV, &over, &below) == 0);
    expect_claims();
    CHECK(handled > 0);

    /* ours stays where it is without an engine, and is found there by the next one */
    sm_fault_release();
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == pass_on);
    acquire();
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_sigaction == pass_on);
    expect_claims();

    /* whoever took the default instead does not know ours: it goes over that */
    sm_fault_release();
    (void)signal(SIGSEGV, SIG_DFL);
    acquire();
    int before = handled;
    expect_claims();
    CHECK(handled == before);
    sm_fault_release();
    CHECK(sigaction(SIGSEGV, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
}

static void pass_on_to_the_end(const void *argument)
{
    (void)argument;
    set_handler(SIGSEGV, exit_42, 0);
    acquire();
    struct sigaction over = {.sa_sigaction = pass_on, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    (void)sigemptyset(&over.sa_mask);
    CHECK(sigaction(SIGSEGV, &over, &below) == 0);
    sm_fault_release();
    touch_nowhere(); /* theirs, ours without an engine, the first */
}

static void later_handlers_pass_on_to_ours(void **state)
{
    (void)state;
    assert_exits(claim_from_below, NULL, 0);
    assert_exits(pass_on_to_the_end, NULL, 42);
}

static void count_references(const void *argument)
{
    (void)argument;
    struct sigaction now;
    acquire();
    acquire();
    sm_fault_release();
    expect_claims();
    sm_fault_release();
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        CHECK(sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL);
    }
    (void)run(activate(NULL), "poke", MEMORY); /* nobody claims it */
}

static void last_reference_gives_the_signals_back(void **state)
{
    (void)state;
    assert_dies(count_references, NULL, SIGSEGV);
}

/* ---- sanitizers ------------------------------------------------------------------------------ */

/* Handlers as a program of this build starts with. */
static void fault_as_built(const void *argument)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        (void)sigaction(signals[i], &at_start[signals[i]], NULL);
    }
    (void)freopen("/dev/null", "w", stderr);
    acquire();
    if (argument != NULL) {
        expect_claims();
    } else {
        run_host(touch_nowhere);
    }
}

static void sanitizers_keep_their_reports(void **state)
{
    (void)state;
    bool is_claiming = true;
    assert_exits(fault_as_built, &is_claiming, 0);
    int status = in_child(fault_as_built, NULL);
    if (at_start[SIGSEGV].sa_handler == SIG_DFL) {
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    } else {
        assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    }
}

/* ---- alternate stacks ------------------------------------------------------------------------ */

static void *own_stack_is_kept(void *argument)
{
    static uint8_t memory[1 << 18];
    const stack_t own = {.ss_sp = memory, .ss_size = sizeof(memory)};
    stack_t now;
    CHECK(sigaltstack(&own, NULL) == 0);
    expect_claims();
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_sp == memory && now.ss_flags == 0);
    CHECK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) == 0);
    return argument;
}

static void *missing_stack_is_made(void *argument)
{
    stack_t now;
    CHECK(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL) == 0);
    expect_claims();
    CHECK(sigaltstack(NULL, &now) == 0 && now.ss_flags == 0);
    *(void **)argument = now.ss_sp;
    return NULL;
}

static void use_stacks(const void *argument)
{
    (void)argument;
    pthread_t thread;
    void *made = NULL;
    acquire();
    CHECK(pthread_create(&thread, NULL, own_stack_is_kept, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pthread_create(&thread, NULL, missing_stack_is_made, &made) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(made != NULL && !is_readable(made));
    sm_fault_release();
}

static void threads_have_an_alternate_stack(void **state)
{
    (void)state;
    assert_exits(use_stacks, NULL, 0);
}

/* ---- unwinding ------------------------------------------------------------------------------- */

static void *frames[64];
static void *outer_frames[64];
static int outer_count;

/* From the handler, over the signal frame, a host function, guest code and the switch of stacks. */
static void walk(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)info;
    (void)context;
    int count = backtrace(frames, 64);
    int common = 0;
    while (common < count && common < outer_count &&
           frames[count - 1 - common] == outer_frames[outer_count - 1 - common]) {
        common++;
    }
    /* all but the line in walk_from */
    _exit(common >= outer_count - 2 && common >= 3 && count >= common + 5 ? 42 : 43);
}

static void walk_from(const void *argument)
{
    const struct fatal *row = (const struct fatal *)argument;
    set_handler(SIGSEGV, walk, 0);
    outer_count = backtrace(outer_frames, 64); /* loads what it needs before any signal */
    acquire();
    if (row->act != NULL) {
        run_host(row->act);
    } else {
        (void)run(activate(NULL), row->name, row->argument);
    }
}

static void backtraces_from_handlers_reach_main(void **state)
{
    (void)state;
    assert_exits(walk_from, &fatal_rows[0], 42);
    assert_exits(walk_from, &fatal_rows[5], 42);
}

/* A debugger's view of the same: this program again, under gdb, with a host function that aborts.
 */
#define ABORT_ARGUMENT "abort-in-host-function"

static void debuggers_see_through_guest_code(void **state)
{
    (void)state;
    char command[1024];
    char line[1024];
    char self[512] = {0};
    bool has_host = false;
    bool has_enter = false;
    bool has_main = false;
    /* NOLINTBEGIN(cert-env33-c): commands of our own, without input from elsewhere */
    if (SM_HAS_ASAN || SM_HAS_TSAN || readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 ||
        system("gdb --version > /dev/null 2>&1") != 0) {
        skip();
    }
    (void)snprintf(command, sizeof(command),
                   "DEBUGINFOD_URLS= timeout 60 gdb -nx -batch -ex run -ex bt --args %s %s 2>&1",
                   self, ABORT_ARGUMENT);
    FILE *output = popen(command, "r");
    /* NOLINTEND(cert-env33-c) */
    assert_non_null(output);
    while (fgets(line, sizeof(line), output) != NULL) {
        if (strstr(line, "ptrace: ") != NULL || strstr(line, "warning: Error disabling") != NULL) {
            (void)pclose(output);
            skip(); /* a container that does not let processes be traced */
        }
        has_host = has_host || strstr(line, "on_call") != NULL;
        has_enter = has_enter || (has_host && strstr(line, "sm_exec_enter") != NULL);
        has_main = has_main || (has_enter && strstr(line, " main (") != NULL);
    }
    (void)pclose(output);
    assert_true(has_host);
    assert_true(has_enter);
    assert_true(has_main);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guest_faults_are_claimed),
        cmocka_unit_test(guest_faults_are_claimed_in_threads),
        cmocka_unit_test(faults_end_the_innermost_activation),
        cmocka_unit_test(other_faults_kill_as_before),
        cmocka_unit_test(previous_handler_gets_the_rest),
        cmocka_unit_test(spent_handler_is_not_given_back),
        cmocka_unit_test(ignoring_covers_sent_signals_only),
        cmocka_unit_test(host_overflow_reaches_the_previous_handler),
        cmocka_unit_test(faults_of_other_threads_are_passed_on),
        cmocka_unit_test(later_handlers_pass_on_to_ours),
        cmocka_unit_test(last_reference_gives_the_signals_back),
        cmocka_unit_test(sanitizers_keep_their_reports),
        cmocka_unit_test(threads_have_an_alternate_stack),
        cmocka_unit_test(backtraces_from_handlers_reach_main),
        cmocka_unit_test(debuggers_see_through_guest_code),
    };
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        (void)sigaction(signals[i], NULL, &at_start[signals[i]]);
    }
    module = guest_load_rogue();
    if (argc == 2 && strcmp(argv[1], ABORT_ARGUMENT) == 0) {
        acquire();
        run_host(abort);
    }
    int failures = cmocka_run_group_tests_name("exec_fault", tests, NULL, NULL);
    sm_exec_release(module);
    guest_pool_close();
    return failures != 0 || sm_alloc_blocks() != 0;
}
