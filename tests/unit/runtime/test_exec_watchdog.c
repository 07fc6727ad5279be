/* Stopping guest code from outside: wherever it is when its time is over. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/guest.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/status.h"
#include "runtime/exec/exec.h"
#include "runtime/exec/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FUEL INT64_MAX
#define MS   UINT64_C(1000000)
/* Far above what is promised (10 ms): the machine that runs the tests is busy. */
#define LATE_MS UINT64_C(2000)

static struct sm_exec_module *module;

static int load(void **state)
{
    (void)state;
    module = guest_load_rogue();
    return 0;
}

static int unload(void **state)
{
    (void)state;
    sm_exec_release(module);
    guest_pool_close();
    return 0;
}

/* ---- guest code ------------------------------------------------------------------------------ */

struct host {
    void (*act)(struct host *host, struct sm_activation *activation);
    uint64_t calls;
    struct sm_exec_result nested;
};

static enum sm_exec_action on_call(void *context, struct sm_activation *activation, uint32_t import,
                                   uint64_t *slots)
{
    struct host *host = (struct host *)context;
    (void)import;
    (void)slots;
    host->calls++;
    if (host->act != NULL) {
        host->act(host, activation);
    }
    return SM_EXEC_CONTINUE;
}

/* Threads cannot assert. */
static struct sm_activation *activate(struct host *host)
{
    const struct sm_exec_host callback = {.call = on_call, .context = host};
    struct sm_activation *activation;
    if (sm_exec_create(module, &callback, FUEL, &activation, NULL) != SMELT_STATUS_OK) {
        abort();
    }
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

static void assert_stopped(struct sm_exec_result result, enum smelt_status status)
{
    assert_int_equal(result.end, SM_EXEC_FAILED);
    assert_string_equal(smelt_status_name(result.status), smelt_status_name(status));
}

/* The activation, its stack and the thread can be used as before. */
static void assert_usable(struct sm_activation *activation)
{
    assert_int_equal(run(activation, "host", 0).end, SM_EXEC_RETURNED);
    uint64_t slots[4] = {20};
    struct sm_exec_result result;
    sm_exec_invoke(activation, sm_exec_find_export(module, smelt_slice_from_string("recurse")),
                   slots, &result);
    assert_int_equal(result.end, SM_EXEC_RETURNED);
    assert_int_equal(slots[0], 6765);
}

/* ---- where it is stopped --------------------------------------------------------------------- */

static void spin_inside(struct host *host, struct sm_activation *activation)
{
    (void)host;
    (void)run(activation, "spin", 0);
}

static void spin_in_another(struct host *host, struct sm_activation *activation)
{
    (void)activation;
    struct host inner = {0};
    struct sm_activation *other = activate(&inner);
    host->nested = run(other, "spin", 0);
    sm_exec_destroy(other);
}

static void nap(struct host *host, struct sm_activation *activation)
{
    (void)host;
    (void)activation;
    (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static const struct {
    const char *name;
    uint64_t argument;
    void (*act)(struct host *host, struct sm_activation *activation);
} endless[] = {
    {"spin", 0, NULL},
    {"spin_host", 0, NULL},
    {"spin_host", 0, nap},
    {"spin_fill", 0, NULL},
    {"spin_copy", 0, NULL},
    {"spin_grow", 0, NULL},
    {"recurse", 70, NULL},
    {"host", 0, spin_inside},
    {"host", 0, spin_in_another},
    {"spin_host", 0, spin_inside},
};
#define ENDLESS_COUNT (sizeof(endless) / sizeof(endless[0]))

static void deadlines_stop_everything(void **state)
{
    (void)state;
    struct sm_watchdog watchdog;
    assert_int_equal(sm_watchdog_init(&watchdog, 0, NULL), SMELT_STATUS_OK);
    for (size_t i = 0; i < ENDLESS_COUNT; i++) {
        struct host host = {.act = endless[i].act};
        struct sm_activation *activation = activate(&host);
        struct sm_watch watch;
        uint64_t start = sm_clock_ns();
        assert_int_equal(sm_watch_begin(&watch, &watchdog, 20, NULL, NULL), SMELT_STATUS_OK);
        struct sm_exec_result result = run(activation, endless[i].name, endless[i].argument);
        uint64_t took = sm_clock_ns() - start;
        /* still told to stop: nothing more is entered */
        struct sm_exec_result again = run(activation, "host", 0);
        sm_watch_end(&watch);
        assert_stopped(result, SMELT_STATUS_DEADLINE_EXCEEDED);
        assert_stopped(again, SMELT_STATUS_DEADLINE_EXCEEDED);
        assert_true(took >= 20 * MS);
        assert_true(took < (20 + LATE_MS) * MS);
        if (host.act == spin_in_another) {
            assert_stopped(host.nested, SMELT_STATUS_DEADLINE_EXCEEDED);
        }
        host.act = NULL;
        assert_usable(activation);
        sm_exec_destroy(activation);
    }
    sm_watchdog_deinit(&watchdog);
}

/* ---- watches --------------------------------------------------------------------------------- */

static void watches_without_an_end_change_nothing(void **state)
{
    (void)state;
    struct host host = {0};
    struct sm_activation *activation = activate(&host);
    struct sm_watchdog watchdog;
    struct sm_watch watch = {0};
    struct smelt_cancel *cancel;
    assert_int_equal(smelt_cancel_create(&cancel, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_watchdog_init(&watchdog, SIGRTMAX, NULL), SMELT_STATUS_OK);
    sm_watch_end(&watch); /* never begun */
    static const uint64_t deadlines[] = {0, 3600000, UINT64_MAX / 1000000 - 1, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(
            sm_watch_begin(&watch, &watchdog, deadlines[i], i % 2 != 0 ? cancel : NULL, NULL),
            SMELT_STATUS_OK);
        assert_usable(activation);
        sm_watch_end(&watch);
    }
    smelt_cancel_destroy(cancel);
    smelt_cancel_destroy(NULL);
    sm_watchdog_deinit(&watchdog);
    sm_watchdog_deinit(&watchdog);
    sm_exec_destroy(activation);
}

/* memory.copy in parts under a watch is memory.copy. */
static void copies_overlap_as_ever(void **state)
{
    (void)state;
    static const struct {
        uint64_t to;
        uint64_t from;
        uint64_t size;
    } rows[] = {
        {0, 1, 5u << 20},
        {1, 0, 5u << 20},
        {3u << 20, 0, (7u << 20) + 3},
        {0, 3u << 20, 7u << 20},
        {0, 9u << 20, 8u << 20},
        {17, 17, 2u << 20},
        {9, 3, 0},
        {8, 4, 1u << 20},
    };
    static uint8_t expected[17u << 20];
    struct sm_watchdog watchdog;
    assert_int_equal(sm_watchdog_init(&watchdog, 0, NULL), SMELT_STATUS_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct host host = {0};
        struct sm_activation *activation = activate(&host);
        struct sm_watch watch;
        uint64_t size;
        uint8_t *memory = sm_exec_memory(activation, &size);
        for (size_t j = 0; j < sizeof(expected); j++) {
            memory[j] = (uint8_t)(j * 2654435761u >> 24);
        }
        memcpy(expected, memory, sizeof(expected));
        memmove(expected + rows[i].to, expected + rows[i].from, rows[i].size);
        uint64_t slots[4] = {rows[i].to, rows[i].from, rows[i].size};
        struct sm_exec_result result;
        assert_int_equal(sm_watch_begin(&watch, &watchdog, 3600000, NULL, NULL), SMELT_STATUS_OK);
        sm_exec_invoke(activation, sm_exec_find_export(module, smelt_slice_from_string("copy")),
                       slots, &result);
        sm_watch_end(&watch);
        assert_int_equal(result.end, SM_EXEC_RETURNED);
        assert_memory_equal(memory, expected, sizeof(expected));
        sm_exec_destroy(activation);
    }
    sm_watchdog_deinit(&watchdog);
}

/* A watch inside a host function of a watched invocation: the outer deadline holds there too. */
static struct sm_watchdog inner_watchdog;
static uint64_t inner_deadline_ms;

static void spin_watched(struct host *host, struct sm_activation *activation)
{
    (void)activation;
    struct host inner = {0};
    struct sm_activation *other = activate(&inner);
    struct sm_watch watch;
    if (sm_watch_begin(&watch, &inner_watchdog, inner_deadline_ms, NULL, NULL) != SMELT_STATUS_OK) {
        abort();
    }
    host->nested = run(other, "spin", 0);
    sm_watch_end(&watch);
    sm_exec_destroy(other);
}

static void watches_nest(void **state)
{
    (void)state;
    static const struct {
        uint64_t outer_ms;
        uint64_t inner_ms;
        bool is_stopped; /* the outer */
    } rows[] = {{20, 0, true}, {20, 3600000, true}, {3600000, 20, false}};
    struct sm_watchdog watchdog;
    assert_int_equal(sm_watchdog_init(&watchdog, 0, NULL), SMELT_STATUS_OK);
    /* another number, too */
    assert_int_equal(sm_watchdog_init(&inner_watchdog, SIGRTMIN, NULL), SMELT_STATUS_OK);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct host host = {.act = spin_watched};
        struct sm_activation *activation = activate(&host);
        struct sm_watch watch;
        inner_deadline_ms = rows[i].inner_ms;
        assert_int_equal(sm_watch_begin(&watch, &watchdog, rows[i].outer_ms, NULL, NULL),
                         SMELT_STATUS_OK);
        struct sm_exec_result result = run(activation, "host", 0);
        sm_watch_end(&watch);
        assert_stopped(host.nested, SMELT_STATUS_DEADLINE_EXCEEDED);
        if (rows[i].is_stopped) {
            assert_stopped(result, SMELT_STATUS_DEADLINE_EXCEEDED);
        } else {
            assert_int_equal(result.end, SM_EXEC_RETURNED);
        }
        sm_exec_destroy(activation);
    }
    sm_watchdog_deinit(&inner_watchdog);
    sm_watchdog_deinit(&watchdog);
}

/* A thread that blocks the signal is watched all the same, and gets its mask back. */
static void masks_are_restored(void **state)
{
    (void)state;
    struct host host = {0};
    struct sm_activation *activation = activate(&host);
    struct sm_watchdog watchdog;
    struct sm_watch watch;
    sigset_t all;
    sigset_t before;
    sigset_t after;
    assert_int_equal(sm_watchdog_init(&watchdog, 0, NULL), SMELT_STATUS_OK);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &all);
    enum smelt_status status = sm_watch_begin(&watch, &watchdog, 10, NULL, NULL);
    struct sm_exec_result result = run(activation, "spin", 0);
    sm_watch_end(&watch);
    (void)pthread_sigmask(SIG_SETMASK, &before, &after);
    assert_int_equal(status, SMELT_STATUS_OK);
    assert_stopped(result, SMELT_STATUS_DEADLINE_EXCEEDED);
    for (int number = 1; number < NSIG; number++) {
        assert_int_equal(sigismember(&after, number), sigismember(&all, number));
    }
    sm_watchdog_deinit(&watchdog);
    sm_exec_destroy(activation);
}

/* Only the watchdog's own signal is put back: what host functions did to the mask stays. */
static void masks_of_host_functions_stay(void **state)
{
    (void)state;
    struct sm_watchdog watchdog;
    struct sm_watch watch;
    sigset_t ours;
    sigset_t user;
    sigset_t before;
    sigset_t after;
    assert_int_equal(sm_watchdog_init(&watchdog, 0, NULL), SMELT_STATUS_OK);
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, watchdog.signal);
    (void)sigemptyset(&user);
    (void)sigaddset(&user, SIGUSR1);
    (void)pthread_sigmask(SIG_BLOCK, &ours, &before);
    enum smelt_status status = sm_watch_begin(&watch, &watchdog, 0, NULL, NULL);
    (void)pthread_sigmask(SIG_BLOCK, &user, NULL);
    sm_watch_end(&watch);
    (void)pthread_sigmask(SIG_SETMASK, &before, &after);
    assert_int_equal(status, SMELT_STATUS_OK);
    assert_int_equal(sigismember(&after, watchdog.signal), 1);
    assert_int_equal(sigismember(&after, SIGUSR1), 1);
    sm_watchdog_deinit(&watchdog);
}

static void only_real_time_signals_will_do(void **state)
{
    (void)state;
    const int rows[] = {-1, 1, SIGSEGV, SIGRTMIN - 1, SIGRTMAX + 1};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sm_watchdog watchdog;
        struct smelt_error err;
        assert_int_equal(sm_watchdog_init(&watchdog, rows[i], &err), SMELT_STATUS_INVALID_ARGUMENT);
        sm_watchdog_deinit(&watchdog);
    }
}

/* ---- the signal ------------------------------------------------------------------------------ */

static volatile sig_atomic_t foreign;

static void count_foreign(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    foreign += info->si_value.sival_int;
}

/* The same number, sent by others, reaches the handler that was there; ours is gone in the end. */
static void signals_of_others_are_passed_on(void **state)
{
    (void)state;
    int number = SIGRTMIN + SM_WATCHDOG_SIGNAL;
    struct host host = {0};
    struct sm_activation *activation = activate(&host);
    struct sigaction action = {.sa_sigaction = count_foreign, .sa_flags = SA_SIGINFO};
    struct sigaction now;
    struct sm_watchdog watchdog;
    struct sm_watch watch;
    assert_int_equal(sigaction(number, &action, NULL), 0);
    assert_int_equal(sm_watchdog_init(&watchdog, 0, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_watch_begin(&watch, &watchdog, 10, NULL, NULL), SMELT_STATUS_OK);
    foreign = 0;
    int error = pthread_sigqueue(pthread_self(), number, (union sigval){.sival_int = 7});
    (void)nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL); /* the thread sanitizer delays it */
    struct sm_exec_result result = run(activation, "spin", 0);
    sm_watch_end(&watch);
    assert_int_equal(error, 0);
    assert_stopped(result, SMELT_STATUS_DEADLINE_EXCEEDED);
    assert_int_equal(foreign, 7);
    sm_watchdog_deinit(&watchdog);
    assert_int_equal(sigaction(number, NULL, &now), 0);
    assert_true(now.sa_sigaction == count_foreign);
    (void)signal(number, SIG_DFL);
    sm_exec_destroy(activation);
}

/* ---- cancellation ---------------------------------------------------------------------------- */

static void *trigger_soon(void *argument)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    smelt_cancel_trigger((struct smelt_cancel *)argument);
    return NULL;
}

static void tokens_stop_everything(void **state)
{
    (void)state;
    struct sm_watchdog watchdog;
    struct smelt_cancel *cancel;
    assert_int_equal(sm_watchdog_init(&watchdog, 0, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_cancel_create(&cancel, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_cancel_create(NULL, NULL), SMELT_STATUS_INVALID_ARGUMENT);
    for (size_t i = 0; i < ENDLESS_COUNT; i++) {
        struct host host = {.act = endless[i].act};
        struct sm_activation *activation = activate(&host);
        struct sm_watch watch;
        struct smelt_error err;
        pthread_t thread;
        assert_int_equal(sm_watch_begin(&watch, &watchdog, i % 2 * 60000, cancel, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(pthread_create(&thread, NULL, trigger_soon, cancel), 0);
        struct sm_exec_result result = run(activation, endless[i].name, endless[i].argument);
        sm_watch_end(&watch);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_stopped(result, SMELT_STATUS_CANCELLED);
        /* it stays triggered until it is reset */
        assert_int_equal(sm_watch_begin(&watch, &watchdog, 0, cancel, &err),
                         SMELT_STATUS_CANCELLED);
        assert_int_equal(err.status, SMELT_STATUS_CANCELLED);
        sm_watch_end(&watch);
        smelt_cancel_reset(cancel);
        host.act = NULL;
        assert_usable(activation);
        sm_exec_destroy(activation);
    }
    smelt_cancel_destroy(cancel);
    sm_watchdog_deinit(&watchdog);
}

static void *trigger_and_reset(void *argument)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL);
    smelt_cancel_trigger((struct smelt_cancel *)argument);
    smelt_cancel_reset((struct smelt_cancel *)argument);
    return NULL;
}

/* What runs when the token is triggered stops, however soon it is reset. */
static void a_reset_takes_nothing_back(void **state)
{
    (void)state;
    struct host host = {0};
    struct sm_activation *activation = activate(&host);
    struct sm_watchdog watchdog;
    struct smelt_cancel *cancel;
    assert_int_equal(sm_watchdog_init(&watchdog, 0, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_cancel_create(&cancel, NULL), SMELT_STATUS_OK);
    for (int round = 0; round < 20; round++) {
        struct sm_watch watch;
        pthread_t thread;
        assert_int_equal(sm_watch_begin(&watch, &watchdog, LATE_MS, cancel, NULL), SMELT_STATUS_OK);
        assert_int_equal(pthread_create(&thread, NULL, trigger_and_reset, cancel), 0);
        struct sm_exec_result result = run(activation, "spin", 0);
        sm_watch_end(&watch);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_stopped(result, SMELT_STATUS_CANCELLED);
        assert_usable(activation);
    }
    smelt_cancel_destroy(cancel);
    sm_watchdog_deinit(&watchdog);
    sm_exec_destroy(activation);
}

/* ---- threads --------------------------------------------------------------------------------- */

#define THREADS 4

struct worker {
    struct sm_watchdog *watchdog;
    struct smelt_cancel *cancel;
    uint64_t rounds;
    uint64_t stopped;
    uint64_t wrong;
};

/* Short calls among endless ones, deadlines of 1 to 3 ms. */
static void *work(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    for (uint64_t i = 0; i < worker->rounds; i++) {
        struct host host = {0};
        struct sm_activation *activation = activate(&host);
        struct sm_watch watch;
        bool is_endless = i % 4 == 0;
        if (sm_watch_begin(&watch, worker->watchdog, 1 + i % 3, worker->cancel, NULL) !=
            SMELT_STATUS_OK) {
            abort();
        }
        struct sm_exec_result result =
            run(activation, is_endless ? "spin" : "recurse", is_endless ? 0 : 10 + i % 20);
        sm_watch_end(&watch);
        bool is_stopped =
            result.end == SM_EXEC_FAILED && result.status == SMELT_STATUS_DEADLINE_EXCEEDED;
        worker->stopped += is_stopped;
        worker->wrong += !is_stopped && (is_endless || result.end != SM_EXEC_RETURNED);
        worker->wrong += run(activation, "host", 0).end != SM_EXEC_RETURNED;
        sm_exec_destroy(activation);
    }
    return NULL;
}

static void threads_share_a_watchdog_or_not(void **state)
{
    (void)state;
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        struct sm_watchdog watchdogs[THREADS];
        struct worker workers[THREADS];
        pthread_t threads[THREADS];
        struct smelt_cancel *cancel;
        assert_int_equal(smelt_cancel_create(&cancel, NULL), SMELT_STATUS_OK);
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(sm_watchdog_init(&watchdogs[i], 0, NULL), SMELT_STATUS_OK);
            workers[i] = (struct worker){.watchdog = &watchdogs[is_shared ? 0 : i],
                                         .cancel = i % 2 != 0 ? cancel : NULL,
                                         .rounds = 60};
            assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_join(threads[i], NULL), 0);
            assert_int_equal(workers[i].wrong, 0);
            assert_true(workers[i].stopped >= 15);
        }
        for (size_t i = 0; i < THREADS; i++) {
            sm_watchdog_deinit(&watchdogs[i]);
        }
        smelt_cancel_destroy(cancel);
    }
}

static void allocation_may_fail(void **state)
{
    (void)state;
    struct smelt_cancel *cancel;
    struct smelt_error err;
    size_t blocks = sm_alloc_blocks();
    sm_alloc_fail_at(1);
    assert_int_equal(smelt_cancel_create(&cancel, &err), SMELT_STATUS_NO_MEMORY);
    sm_alloc_fail_at(0);
    assert_null(cancel);
    assert_int_equal(sm_alloc_blocks(), blocks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deadlines_stop_everything),
        cmocka_unit_test(watches_without_an_end_change_nothing),
        cmocka_unit_test(copies_overlap_as_ever),
        cmocka_unit_test(watches_nest),
        cmocka_unit_test(masks_are_restored),
        cmocka_unit_test(masks_of_host_functions_stay),
        cmocka_unit_test(only_real_time_signals_will_do),
        cmocka_unit_test(signals_of_others_are_passed_on),
        cmocka_unit_test(tokens_stop_everything),
        cmocka_unit_test(a_reset_takes_nothing_back),
        cmocka_unit_test(threads_share_a_watchdog_or_not),
        cmocka_unit_test(allocation_may_fail),
    };
    int failures = cmocka_run_group_tests_name("exec_watchdog", tests, load, unload);
    return failures != 0 || sm_alloc_blocks() != 0;
}
