/* One engine, several threads: transactions that write take turns, static calls run beside them,
 * code is loaded and dropped meanwhile. Built with the thread sanitizer (preset tsan) this is the
 * search for data races. */
#include "base/bytes.h"
#include "tests/unit/runtime/engine_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define THREADS   4u
#define ROUNDS    150u
#define CONTRACTS 3u

struct shared {
    struct fixture *fixture;
    struct smelt_address contracts[CONTRACTS];
    atomic_uint returned[CONTRACTS]; /* calls that moved 1 to the contract */
    atomic_uint deployed;
    atomic_uint views;
};

struct worker {
    pthread_t thread;
    struct shared *shared;
    unsigned number;
    char problem[512]; /* cmocka's assertions belong to the main thread */
};

static bool is_outcome(struct worker *worker, enum smelt_status status,
                       const struct smelt_receipt *receipt, const struct smelt_error *err,
                       enum smelt_outcome_kind wanted)
{
    if (status != SMELT_STATUS_OK || receipt->outcome.kind != wanted) {
        (void)snprintf(worker->problem, sizeof(worker->problem), "%s: %s: %s",
                       smelt_status_name(status), err->message,
                       receipt != NULL ? smelt_outcome_name(receipt->outcome.kind) : "no receipt");
        return false;
    }
    return true;
}

/* A deploy of a module that nobody else has, a call that sends 1 and traps or not, or a view that
 * must see a balance between what was sent before and what has been sent after it. */
static bool work(struct worker *worker, unsigned round)
{
    static const uint64_t trap_script[] = {SCRIPT_TRAP, 0};
    struct shared *shared = worker->shared;
    struct smelt_engine *engine = shared->fixture->engine;
    unsigned contract = (worker->number + round) % CONTRACTS;
    struct smelt_transaction transaction = {.from = alice, .value = {.low = 1}};
    struct smelt_receipt *receipt = NULL;
    struct smelt_error err = {0};
    enum smelt_outcome_kind wanted = SMELT_OUTCOME_RETURNED;
    enum smelt_status status;
    switch (round % 5) {
    case 0: {
        char name[64];
        (void)snprintf(name, sizeof(name), "guest_host.so#%u.%u", worker->number, round);
        status = smelt_deploy(engine, &transaction, smelt_slice_from_string(name), &receipt, &err);
        atomic_fetch_add(&shared->deployed, status == SMELT_STATUS_OK);
        break;
    }
    case 1:
        transaction.input = sm_slice(trap_script, sizeof(trap_script));
        wanted = SMELT_OUTCOME_TRAPPED;
        status = smelt_call(engine, &transaction, &shared->contracts[contract], "run", NULL, 0,
                            &receipt, &err);
        break;
    case 2:
        transaction.value.low = 0;
        transaction.is_static = true;
        status = smelt_call(engine, &transaction, &shared->contracts[contract], "run", NULL, 0,
                            &receipt, &err);
        atomic_fetch_add(&shared->views, status == SMELT_STATUS_OK);
        break;
    default:
        status = smelt_call(engine, &transaction, &shared->contracts[contract], "run", NULL, 0,
                            &receipt, &err);
        atomic_fetch_add(&shared->returned[contract], status == SMELT_STATUS_OK);
        break;
    }
    bool is_fine = is_outcome(worker, status, receipt, &err, wanted);
    smelt_receipt_destroy(receipt);
    return is_fine;
}

static void *run_worker(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    for (unsigned round = 0; round < ROUNDS && work(worker, round); round++) {
    }
    return NULL;
}

static void assert_metric(const struct smelt_buf *text, const char *name, unsigned value)
{
    char line[128];
    (void)snprintf(line, sizeof(line), "\nsmelt_%s %u\n", name, value);
    if (memmem(text->data, text->size, line, strlen(line)) == NULL) {
        fail_msg("no line%sin\n%.*s", line, (int)text->size, (const char *)text->data);
    }
}

static void threads_share_an_engine(void **state)
{
    static struct shared shared;
    struct worker workers[THREADS] = {{0}};
    struct smelt_buf metrics = {0};
    unsigned written = 0;
    shared.fixture = (struct fixture *)*state;
    for (unsigned i = 0; i < CONTRACTS; i++) {
        shared.contracts[i] = fixture_deploy(shared.fixture, "guest_host.so");
    }
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i].shared = &shared;
        workers[i].number = i;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        assert_string_equal(workers[i].problem, "");
    }
    for (unsigned i = 0; i < CONTRACTS; i++) {
        assert_int_equal(balance_of(shared.fixture, &shared.contracts[i]), shared.returned[i]);
        written += shared.returned[i];
    }
    written += shared.deployed;
    assert_int_equal(shared.deployed, THREADS * ROUNDS / 5);
    assert_int_equal(nonce_of(shared.fixture, &alice), written + CONTRACTS);
    assert_int_equal(balance_of(shared.fixture, &alice), FUNDS - written);

    assert_int_equal(smelt_engine_metrics(shared.fixture->engine, &metrics, NULL), SMELT_STATUS_OK);
    assert_metric(&metrics, "transactions_total{kind=\"deploy\"}", shared.deployed + CONTRACTS);
    assert_metric(&metrics, "transactions_total{kind=\"static_call\"}", shared.views);
    assert_metric(&metrics, "outcomes_total{outcome=\"trapped\"}", THREADS * ROUNDS / 5);
    assert_metric(&metrics, "outcomes_total{outcome=\"returned\"}",
                  written + CONTRACTS + shared.views);
    assert_metric(&metrics, "failures_total{status=\"io\"}", 0);
    assert_metric(&metrics, "execute_seconds_count", CONTRACTS + THREADS * ROUNDS);
    assert_metric(&metrics, "execute_seconds_bucket{le=\"+Inf\"}", CONTRACTS + THREADS * ROUNDS);
    assert_metric(&metrics, "commit_seconds_count", written + CONTRACTS);
    smelt_buf_deinit(&metrics);
}

static void a_failure_is_counted_by_its_status(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_buf metrics = {0};
    assert_int_equal(fixture_try_call(fixture, &bob, "run", NULL, 0), SMELT_STATUS_NO_CONTRACT);
    assert_int_equal(smelt_engine_metrics(fixture->engine, &metrics, NULL), SMELT_STATUS_OK);
    assert_metric(&metrics, "failures_total{status=\"no_contract\"}", 1);
    assert_metric(&metrics, "transactions_total{kind=\"call\"}", 1);
    assert_metric(&metrics, "store_reads_total", 1);
    smelt_buf_deinit(&metrics);
    assert_int_equal(smelt_engine_metrics(NULL, &metrics, &fixture->err),
                     SMELT_STATUS_INVALID_ARGUMENT);
}

struct lines {
    unsigned counts[SMELT_LOG_INFO + 1];
    char last[SMELT_LOG_INFO + 1][600];
};

static void take_line(void *context, enum smelt_log_level level, const char *line)
{
    struct lines *lines = (struct lines *)context;
    lines->counts[level]++;
    (void)snprintf(lines->last[level], sizeof(lines->last[level]), "%s", line);
}

static void loads_and_node_failures_are_logged(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct lines lines = {0};
    const struct smelt_engine_options options = {.store = &fixture->store,
                                                 .schedule = fixture->schedule,
                                                 .source = fixture_source(fixture),
                                                 .resident_modules_max = 1,
                                                 .instances_max = 1,
                                                 .idle_memory_bytes = 1,
                                                 .log = {take_line, &lines}};
    smelt_engine_destroy(fixture->engine);
    assert_int_equal(smelt_engine_create(&options, &fixture->engine, NULL), SMELT_STATUS_OK);
    struct smelt_address first = fixture_deploy(fixture, "guest_host.so");
    assert_int_equal(lines.counts[SMELT_LOG_INFO], 1);
    assert_non_null(strstr(lines.last[SMELT_LOG_INFO], " loaded in "));
    assert_int_equal(fixture_try_call(fixture, &bob, "run", NULL, 0), SMELT_STATUS_NO_CONTRACT);
    assert_int_equal(lines.counts[SMELT_LOG_WARNING], 0); /* nobody's failure */
    fixture->fail_get = 1;
    fixture->transaction.is_static = true;
    assert_int_equal(fixture_try_call(fixture, &first, "run", NULL, 0), SMELT_STATUS_IO);
    fixture->fail_get = 0;
    fixture->transaction.is_static = false;
    assert_int_equal(lines.counts[SMELT_LOG_WARNING], 1);
    assert_string_equal(lines.last[SMELT_LOG_WARNING],
                        "a transaction failed: io: read failed on demand");
    /* one module at a time stays loaded; one instance at a time is in use */
    struct smelt_address second = fixture_deploy(fixture, "guest_host.so#2");
    (void)fixture_call(fixture, &first, "run");
    (void)fixture_call(fixture, &second, "run");
    assert_int_equal(lines.counts[SMELT_LOG_INFO], 4);
    assert_int_equal(fixture_try_call(fixture, &first, "dive", NULL, 0),
                     SMELT_STATUS_INSTANCE_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_share_an_engine, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_counted_by_its_status, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(loads_and_node_failures_are_logged, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
