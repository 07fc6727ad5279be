/* Transactions that this machine stops: by deadline, by token, by a fault of generated code. None
 * of it is an outcome, and none of it leaves a trace. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "tests/unit/runtime/engine_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define GUEST          "guest_host.so"
#define GUEST_ALLOCATE "guest_allocate.so"
#define MS             UINT64_C(1000000)
/* Far above what is promised (10 ms): the machine that runs the tests is busy. */
#define LATE_MS UINT64_C(2000)

/* ---- scripts --------------------------------------------------------------------------------- */

/* "counter" = the first byte of the key, and an event. */
static void script_effects(struct script *script)
{
    SCRIPT_HOSTN(script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_KEY, 1);
    SCRIPT_HOSTN(script, log_event, GUEST_KEY, 1, GUEST_KEY, 1);
}

/* What `inner` says, in another contract. */
static void script_call(struct script *script, const struct smelt_address *address,
                        const struct script *inner)
{
    script_poke(script, GUEST_FREE, sm_slice(address->bytes, sizeof(address->bytes)));
    script_poke(script, GUEST_FREE + 64, smelt_slice_from_string("run"));
    script_poke(script, GUEST_FREE + 128, sm_slice(inner->bytes, inner->size));
    SCRIPT_HOSTN(script, call_contract, GUEST_FREE, GUEST_FREE + 64, 3, GUEST_FREE + 128,
                 inner->size, GUEST_ZEROES, 0);
}

static enum smelt_status try_run(struct fixture *fixture, const struct smelt_address *address,
                                 const struct script *script)
{
    fixture->transaction.input = sm_slice(script->bytes, script->size);
    enum smelt_status status = fixture_try_call(fixture, address, "run", NULL, 0);
    fixture->transaction.input = (struct smelt_slice){0};
    return status;
}

static bool add_account(void *context, const struct smelt_address *address,
                        const struct smelt_account *account)
{
    uint8_t amounts[24];
    sm_store_le64(amounts, account->balance.low);
    sm_store_le64(amounts + 8, account->balance.high);
    sm_store_le64(amounts + 16, account->nonce);
    return sm_buf_append((struct smelt_buf *)context, address->bytes, sizeof(address->bytes)) &&
           sm_buf_append((struct smelt_buf *)context, amounts, sizeof(amounts)) &&
           sm_buf_append((struct smelt_buf *)context, account->code_hash.bytes, SMELT_HASH_BYTES);
}

static bool add_storage(void *context, const struct smelt_address *address, struct smelt_slice key,
                        struct smelt_slice value)
{
    return sm_buf_append((struct smelt_buf *)context, address->bytes, sizeof(address->bytes)) &&
           sm_buf_append((struct smelt_buf *)context, key.data, key.size) &&
           sm_buf_append((struct smelt_buf *)context, value.data, value.size);
}

static struct smelt_hash state_digest(const struct fixture *fixture)
{
    struct smelt_buf all = {0};
    struct smelt_hash digest;
    const struct smelt_state_visitor visitor = {
        .account = add_account, .storage = add_storage, .context = &all};
    assert_int_equal(smelt_state_visit(fixture->inner, &visitor, NULL), SMELT_STATUS_OK);
    sm_digest_bytes(sm_buf_slice(&all), &digest);
    smelt_buf_deinit(&all);
    return digest;
}

/* Status as named, state as before, and the engine goes on. */
static void assert_stopped(struct fixture *fixture, const struct smelt_address *address,
                           const struct script *script, enum smelt_status wanted)
{
    struct smelt_hash before = state_digest(fixture);
    size_t writes = fixture->writes;
    struct smelt_transaction transaction = fixture->transaction;
    uint64_t start = sm_clock_ns();
    enum smelt_status status = try_run(fixture, address, script);
    uint64_t took = sm_clock_ns() - start;
    assert_string_equal(smelt_status_name(status), smelt_status_name(wanted));
    assert_int_equal(fixture->err.status, wanted);
    assert_null(fixture->receipt);
    assert_true(took < (transaction.deadline_ms + LATE_MS) * MS);
    assert_int_equal(fixture->writes, writes);
    struct smelt_hash after = state_digest(fixture);
    assert_memory_equal(&before, &after, sizeof(before));

    struct script good = {0};
    script_effects(&good);
    fixture->transaction.deadline_ms = 0;
    fixture->transaction.cancel = NULL;
    const struct smelt_receipt *receipt = fixture_run(fixture, address, &good);
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind), "returned");
    assert_int_equal(receipt->event_count, 1);
    fixture->transaction = transaction;
}

/* ---- deadlines and tokens -------------------------------------------------------------------- */

/* Every way to be endless, with effects before. `other` is for calls. */
#define ENDLESS_COUNT 6
static void script_endless(struct script *script, size_t kind, const struct smelt_address *other)
{
    static struct script inner;
    static struct script innermost;
    inner.size = 0;
    innermost.size = 0;
    script->size = 0;
    script_effects(script);
    switch (kind) {
    case 0:
        script_word(script, SCRIPT_SPIN, 0);
        break;
    case 1:
        script_word(script, SCRIPT_SPIN_HOST, 0);
        break;
    case 2:
    case 3:
        script_effects(&inner);
        script_word(&inner, kind == 2 ? SCRIPT_SPIN : SCRIPT_SPIN_HOST, 0);
        script_call(script, other, &inner);
        break;
    case 4: /* three deep */
        script_effects(&innermost);
        script_word(&innermost, SCRIPT_SPIN, 0);
        script_call(&inner, other, &innermost);
        script_call(script, other, &inner);
        break;
    default: /* between two calls that came back */
        script_effects(&inner);
        script_call(script, other, &inner);
        script_word(script, SCRIPT_SPIN, 0);
        script_call(script, other, &inner);
        break;
    }
}

static void deadlines_stop_transactions(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address caller = fixture_deploy(fixture, GUEST);
    struct smelt_address callee = fixture_deploy(fixture, GUEST);
    struct script script;
    fixture->transaction.fuel_limit = SMELT_FUEL_MAX;
    fixture->transaction.deadline_ms = 10;
    for (size_t i = 0; i < ENDLESS_COUNT; i++) {
        script_endless(&script, i, &callee);
        assert_stopped(fixture, &caller, &script, SMELT_STATUS_DEADLINE_EXCEEDED);
    }
}

/* `allocate` runs inside a host function of the same activation. */
static void deadlines_stop_allocate(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    uint8_t mode[8] = {ALLOCATE_SPINS};
    struct smelt_address address = fixture_deploy(fixture, GUEST_ALLOCATE);
    struct script script = {0};
    script_effects(&script);
    script_poke(&script, GUEST_ALLOCATE_MODE, sm_slice(mode, sizeof(mode)));
    SCRIPT_HOSTN(&script, storage_read, GUEST_KEY, GUEST_KEY_SIZE);
    fixture->transaction.fuel_limit = SMELT_FUEL_MAX;
    fixture->transaction.deadline_ms = 10;
    assert_stopped(fixture, &address, &script, SMELT_STATUS_DEADLINE_EXCEEDED);
}

static void deadlines_stop_deploys(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct script script = {0};
    script_effects(&script);
    script_word(&script, SCRIPT_SPIN, 0);
    struct smelt_hash before = state_digest(fixture);
    fixture->transaction.fuel_limit = SMELT_FUEL_MAX;
    fixture->transaction.deadline_ms = 10;
    fixture->transaction.input = sm_slice(script.bytes, script.size);
    assert_int_equal(fixture_try_deploy(fixture, "guest_init.so"), SMELT_STATUS_DEADLINE_EXCEEDED);
    struct smelt_hash after = state_digest(fixture);
    assert_memory_equal(&before, &after, sizeof(before));
    /* and one whose init ends in time */
    script.size = 0;
    script_effects(&script);
    fixture->transaction.deadline_ms = 60000;
    fixture->transaction.input = sm_slice(script.bytes, script.size);
    (void)fixture_deploy(fixture, "guest_init.so");
}

struct trigger {
    struct smelt_cancel *cancel;
    uint64_t after_ns;
};

static void *trigger_later(void *argument)
{
    const struct trigger *trigger = (const struct trigger *)argument;
    (void)nanosleep(&(struct timespec){.tv_nsec = (long)trigger->after_ns}, NULL);
    smelt_cancel_trigger(trigger->cancel);
    return NULL;
}

static void tokens_stop_transactions(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address caller = fixture_deploy(fixture, GUEST);
    struct smelt_address callee = fixture_deploy(fixture, GUEST);
    struct script script;
    struct trigger trigger = {.after_ns = 10 * MS};
    pthread_t thread;
    assert_int_equal(smelt_cancel_create(&trigger.cancel, NULL), SMELT_STATUS_OK);
    fixture->transaction.fuel_limit = SMELT_FUEL_MAX;
    fixture->transaction.cancel = trigger.cancel;
    for (size_t i = 0; i < ENDLESS_COUNT; i++) {
        script_endless(&script, i, &callee);
        fixture->transaction.deadline_ms = i % 2 * 60000;
        assert_int_equal(pthread_create(&thread, NULL, trigger_later, &trigger), 0);
        assert_stopped(fixture, &caller, &script, SMELT_STATUS_CANCELLED);
        assert_int_equal(pthread_join(thread, NULL), 0);
        /* before it begins */
        assert_stopped(fixture, &caller, &script, SMELT_STATUS_CANCELLED);
        smelt_cancel_reset(trigger.cancel);
    }
    smelt_cancel_destroy(trigger.cancel);
}

static void outcomes_in_time_are_as_without(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    struct smelt_cancel *cancel;
    assert_int_equal(smelt_cancel_create(&cancel, NULL), SMELT_STATUS_OK);
    uint64_t fuel_used[2];
    struct script script = {0};
    script_effects(&script);
    (void)fixture_run(fixture, &address, &script); /* from now on the key exists */
    for (size_t i = 0; i < 2; i++) {
        fixture->transaction.deadline_ms = i * 60000;
        fixture->transaction.cancel = i != 0 ? cancel : NULL;
        script.size = 0;
        script_effects(&script);
        fuel_used[i] = fixture_run(fixture, &address, &script)->fuel_used;
        script_word(&script, SCRIPT_TRAP, 0);
        assert_trapped(fixture_run(fixture, &address, &script), SMELT_TRAP_UNREACHABLE,
                       SMELT_HOST_ERROR_NONE);
        script.size = 0;
        script_word(&script, SCRIPT_BURN, UINT64_C(1) << 40);
        assert_out_of_fuel(fixture_run(fixture, &address, &script));
    }
    assert_int_equal(fuel_used[0], fuel_used[1]);
    smelt_cancel_destroy(cancel);
}

static void signal_is_an_option(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_engine_options options = {.store = &fixture->store,
                                           .schedule = fixture->schedule,
                                           .source = fixture_source(fixture),
                                           .deadline_signal = SIGUSR1};
    struct smelt_engine *engine;
    struct smelt_engine *usual = fixture->engine;
    struct smelt_error err;
    assert_int_equal(smelt_engine_create(&options, &engine, &err), SMELT_STATUS_INVALID_ARGUMENT);
    assert_null(engine);
    options.deadline_signal = SIGRTMAX - 1;
    assert_int_equal(smelt_engine_create(&options, &engine, &err), SMELT_STATUS_OK);
    fixture->engine = engine;
    struct smelt_address address = fixture_deploy(fixture, GUEST);
    struct script script = {0};
    script_word(&script, SCRIPT_SPIN, 0);
    fixture->transaction.fuel_limit = SMELT_FUEL_MAX;
    fixture->transaction.deadline_ms = 10;
    assert_stopped(fixture, &address, &script, SMELT_STATUS_DEADLINE_EXCEEDED);
    smelt_engine_destroy(engine);
    fixture->engine = usual;
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void guest_faults_are_node_failures(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const struct smelt_engine_options options = {
        .store = &fixture->store, .schedule = fixture->schedule, .source = fixture_source(fixture)};
    /* cmocka puts its own handlers over the engine's after the set-up */
    smelt_engine_destroy(fixture->engine);
    (void)signal(SIGSEGV, SIG_DFL);
    assert_int_equal(smelt_engine_create(&options, &fixture->engine, NULL), SMELT_STATUS_OK);
    struct smelt_address caller = fixture_deploy(fixture, GUEST);
    struct smelt_address callee = fixture_deploy(fixture, GUEST);
    for (size_t depth = 0; depth < 2; depth++) {
        struct script stray = {0};
        struct script script = {0};
        script_effects(&stray);
        script_word(&stray, SCRIPT_STRAY, GUEST_MEMORY_END + 5);
        script_call(&script, &callee, &stray);
        assert_stopped(fixture, &caller, depth == 0 ? &stray : &script, SMELT_STATUS_GUEST_FAULT);
        assert_int_equal(try_run(fixture, &caller, &stray), SMELT_STATUS_GUEST_FAULT);
        assert_non_null(strstr(fixture->err.message, "accessed 0x30005, behind linear memory"));
        assert_non_null(strstr(fixture->err.message, "during run"));
        assert_int_equal(fixture->err.func_index, 23);
    }
}

/* ---- at the very deadline -------------------------------------------------------------------- */

/* Milliseconds are coarse, so the work is made to last about as long. */
static uint64_t rounds_per_ms(struct fixture *fixture, const struct smelt_address *address)
{
    uint64_t rounds = 1000000;
    struct script script = {0};
    script_word(&script, SCRIPT_SPIN, rounds);
    uint64_t took = fixture_run(fixture, address, &script)->execute_ns;
    uint64_t per_ms = rounds * MS / (took != 0 ? took : 1);
    return per_ms != 0 ? per_ms : 1;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Effects before, between and after; i shows in what is written. */
static void script_transaction(struct script *script, const struct smelt_address *other,
                               uint64_t rounds, uint64_t i)
{
    struct script inner = {0};
    uint8_t word[8];
    sm_store_le64(word, i);
    script_poke(script, GUEST_SCRATCH, sm_slice(word, sizeof(word)));
    SCRIPT_HOSTN(script, storage_write, GUEST_KEY, GUEST_KEY_SIZE, GUEST_SCRATCH, 8);
    script_poke(&inner, GUEST_SCRATCH, sm_slice(word, sizeof(word)));
    SCRIPT_HOSTN(&inner, storage_write, GUEST_KEY, 3, GUEST_SCRATCH, 8);
    script_word(&inner, i % 3 == 0 ? SCRIPT_SPIN_HOST : SCRIPT_SPIN,
                i % 3 == 0 ? rounds / 100 + 1 : rounds + 1);
    SCRIPT_HOSTN(&inner, storage_write, GUEST_KEY, 5, GUEST_SCRATCH, 8);
    script_call(script, other, &inner);
    SCRIPT_HOSTN(script, storage_write, GUEST_KEY, 2, GUEST_SCRATCH, 8);
}

struct canceller {
    struct smelt_cancel *cancel;
    atomic_bool is_over;
};

static void *cancel_again_and_again(void *argument)
{
    struct canceller *canceller = (struct canceller *)argument;
    uint64_t seed = 99;
    while (!atomic_load(&canceller->is_over)) {
        long pause = (long)(next_random(&seed) % (3 * MS));
        (void)nanosleep(&(struct timespec){.tv_nsec = pause}, NULL);
        smelt_cancel_trigger(canceller->cancel);
    }
    return NULL;
}

#define RACES 1500

/* Whole or nothing, whenever it is stopped: an engine that executes only what returned ends in the
 * same state. */
static void transactions_are_whole_at_their_deadline(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    void *other_state = NULL;
    assert_int_equal(fixture_setup(&other_state), 0);
    struct fixture *reference = (struct fixture *)other_state;
    struct smelt_address caller = fixture_deploy(fixture, GUEST);
    struct smelt_address callee = fixture_deploy(fixture, GUEST);
    (void)fixture_deploy(reference, GUEST);
    (void)fixture_deploy(reference, GUEST);
    struct canceller canceller = {0};
    pthread_t thread;
    assert_int_equal(smelt_cancel_create(&canceller.cancel, NULL), SMELT_STATUS_OK);
    uint64_t per_ms = rounds_per_ms(fixture, &caller);
    assert_int_equal(rounds_per_ms(reference, &caller) != 0, 1);
    assert_int_equal(pthread_create(&thread, NULL, cancel_again_and_again, &canceller), 0);

    uint64_t seed = 4711;
    size_t counts[3] = {0}; /* returned, deadline, cancelled */
    for (uint64_t i = 0; i < RACES; i++) {
        struct script script = {0};
        script_transaction(&script, &callee, next_random(&seed) % (2 * per_ms), i);
        fixture->transaction.deadline_ms = i % 4 != 0 ? 1 : 0;
        fixture->transaction.cancel = i % 2 != 0 ? NULL : canceller.cancel;
        smelt_cancel_reset(canceller.cancel);
        enum smelt_status status = try_run(fixture, &caller, &script);
        if (status == SMELT_STATUS_OK) {
            assert_string_equal(smelt_outcome_name(fixture->receipt->outcome.kind), "returned");
            uint64_t fuel_used = fixture->receipt->fuel_used;
            assert_int_equal(fixture->receipt->write_count, 4);
            assert_int_equal(fixture_run(reference, &caller, &script)->fuel_used, fuel_used);
            counts[0]++;
        } else if (status == SMELT_STATUS_DEADLINE_EXCEEDED) {
            counts[1]++;
        } else {
            assert_string_equal(smelt_status_name(status), "cancelled");
            counts[2]++;
        }
    }
    atomic_store(&canceller.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("%zu returned, %zu past the deadline, %zu cancelled\n", counts[0], counts[1],
                  counts[2]);
    assert_true(counts[0] != 0 && counts[1] != 0 && counts[2] != 0);
    struct smelt_hash ours = state_digest(fixture);
    struct smelt_hash theirs = state_digest(reference);
    assert_memory_equal(&ours, &theirs, sizeof(ours));
    smelt_cancel_destroy(canceller.cancel);
    fixture_destroy(reference);
}

/* ---- engines in threads ---------------------------------------------------------------------- */

#define THREADS 3

struct worker {
    struct fixture *fixture;
    struct smelt_address address;
    uint64_t wrong;
};

static void *work(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    struct fixture *fixture = worker->fixture;
    struct script endless = {0};
    struct script short_one = {0};
    script_word(&endless, SCRIPT_SPIN, 0);
    script_effects(&short_one);
    for (size_t i = 0; i < 40; i++) {
        fixture->transaction.deadline_ms = 1 + i % 5;
        worker->wrong +=
            try_run(fixture, &worker->address, &endless) != SMELT_STATUS_DEADLINE_EXCEEDED;
        fixture->transaction.deadline_ms = 60000;
        worker->wrong += try_run(fixture, &worker->address, &short_one) != SMELT_STATUS_OK;
    }
    return NULL;
}

static void engines_of_threads_do_not_meet(void **state)
{
    (void)state;
    struct worker workers[THREADS] = {0};
    pthread_t threads[THREADS];
    size_t blocks = sm_alloc_blocks();
    for (size_t i = 0; i < THREADS; i++) {
        void *fixture = NULL;
        assert_int_equal(fixture_setup(&fixture), 0);
        workers[i].fixture = (struct fixture *)fixture;
        workers[i].address = fixture_deploy(workers[i].fixture, GUEST);
        workers[i].fixture->transaction.fuel_limit = SMELT_FUEL_MAX;
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(workers[i].wrong, 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        fixture_destroy(workers[i].fixture);
    }
    assert_int_equal(sm_alloc_blocks(), blocks);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(deadlines_stop_transactions),
        TEST(deadlines_stop_allocate),
        TEST(deadlines_stop_deploys),
        TEST(tokens_stop_transactions),
        TEST(outcomes_in_time_are_as_without),
        TEST(signal_is_an_option),
        TEST(guest_faults_are_node_failures),
        TEST(transactions_are_whole_at_their_deadline),
        cmocka_unit_test(engines_of_threads_do_not_meet),
    };
    return cmocka_run_group_tests_name("engine_deadline", tests, NULL, NULL);
}
