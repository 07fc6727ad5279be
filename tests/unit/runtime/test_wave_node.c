/* Waves on a machine that fails: whatever goes wrong, nothing of the wave is left and it can be run
 * again, with the result that it would have had. And what an engine does besides: committing
 * behind, pruning, the commitment. */
#include "tests/unit/runtime/wave_fixture.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "runtime/host/engine.h"
#include "runtime/state/commitment.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GUEST "guest_host.so"

enum { WAVES = 4 };

static const struct smelt_address carol = {{0xca, 0x01}};

/* A node, and one beside it that nothing happens to. */
struct set_up {
    struct fixture *fixture;
    struct chain chain;
    struct fixture *calm;
    struct chain reference;
};

static struct fixture *make_fixture(void **state, struct chain *chain)
{
    (void)fixture_setup(state);
    struct fixture *fixture = (struct fixture *)*state;
    chain_init(chain, fixture);
    assert_int_equal(
        smelt_account_fund(&fixture->store, &bob, (struct smelt_u128){.low = FUNDS}, NULL),
        SMELT_STATUS_OK);
    fixture_reopen(fixture, (struct smelt_engine_options){.workers = 1});
    return fixture;
}

static int set_up(void **state)
{
    void *other = NULL;
    struct set_up *up = (struct set_up *)calloc(1, sizeof(*up));
    assert_non_null(up);
    up->fixture = make_fixture(state, &up->chain);
    up->calm = make_fixture(&other, &up->reference);
    *state = up;
    return 0;
}

static int tear_down(void **state)
{
    struct set_up *up = (struct set_up *)*state;
    struct fixture *fixture = up->fixture;
    chain_deinit(&up->reference);
    fixture_destroy(up->calm);
    chain_deinit(&up->chain);
    free(up);
    *state = fixture;
    return fixture_teardown(state);
}

#define BEGIN                                                                                      \
    struct set_up *up = (struct set_up *)*state;                                                   \
    struct fixture *fixture = up->fixture;                                                         \
    struct chain *chain = &up->chain;                                                              \
    (void)fixture

/* Transactions of waves 1 to WAVES: something of everything. */
struct story {
    struct smelt_wave_transaction list[8];
    size_t count;
    struct script script;
    struct smelt_hash ids[8];
    struct smelt_address contract;
};

static void tell(uint64_t number, struct story *out)
{
    const uint64_t n = number - 1;
    out->script.size = 0;
    SCRIPT_HOSTN(&out->script, storage_write, GUEST_KEY, number, GUEST_KEY, 7);
    SCRIPT_HOSTN(&out->script, storage_delete, GUEST_KEY, number - 1);
    SCRIPT_HOSTN(&out->script, log_event, GUEST_KEY, 7, GUEST_KEY, number);
    smelt_contract_address(&alice, 0, &out->contract);
    struct smelt_wave_transaction *list = out->list;
    size_t count = 0;
    if (number == 1) {
        list[count++] = deploy_of(&alice, 0, GUEST, NULL);
    } else if (number == 3) {
        list[count++] = upgrade_of(&alice, n, &out->contract, GUEST "#2");
    } else {
        list[count++] = call_of(&alice, n, &out->contract, &out->script);
    }
    list[count++] = call_of(&bob, 2 * n, &out->contract, &out->script);
    list[count++] = transfer_of(&bob, 2 * n + 1, &carol, 10);
    list[count++] = transfer_of(&carol, n, &bob, 3);
    list[count++] = transfer_of(&carol, n, &bob, 3); /* rejected */
    for (size_t i = 0; i < count; i++) {
        out->ids[i] = (struct smelt_hash){{(uint8_t)number, (uint8_t)i}};
        list[i].id = &out->ids[i];
    }
    out->ids[4] = (struct smelt_hash){{0xff}}; /* an id that comes again in each wave */
    list[0].fuel_price = 1;
    out->count = count;
}

static void run_story(struct chain *chain)
{
    static struct story story;
    tell(chain->wave.number, &story);
    chain_run(chain, story.list, story.count);
}

static enum smelt_status try_story(struct chain *chain)
{
    static struct story story;
    tell(chain->wave.number, &story);
    return chain_try(chain, story.list, story.count);
}

static void assert_same_store(struct set_up *up)
{
    struct smelt_buf stores[2] = {{0}};
    assert_int_equal(smelt_engine_flush(up->fixture->engine, NULL), SMELT_STATUS_OK);
    dump_store(up->fixture->inner, &stores[0]);
    dump_store(up->calm->inner, &stores[1]);
    assert_same_bytes(&stores[0], &stores[1]);
    smelt_buf_deinit(&stores[0]);
    smelt_buf_deinit(&stores[1]);
}

/* To the end, and as the node beside it. */
static void finish_story(struct set_up *up)
{
    while (up->chain.wave.number <= WAVES) {
        run_story(&up->chain);
    }
    while (up->reference.wave.number <= WAVES) {
        run_story(&up->reference);
    }
    assert_memory_equal(&up->chain.parent, &up->reference.parent, sizeof(up->chain.parent));
    assert_same_store(up);
}

/* ---- failures of the machine -------------------------------------------------------------------
 */

static void a_source_that_fails_fails_the_wave(void **state)
{
    BEGIN;
    const enum smelt_status failures[] = {SMELT_STATUS_TOOL_MISSING, SMELT_STATUS_TOOL_FAILED,
                                          SMELT_STATUS_IO, SMELT_STATUS_ARTEFACT_CORRUPT};
    while (chain->wave.number <= 3) { /* a deploy, calls, an upgrade */
        for (size_t i = 0; i < 4; i++) {
            bool has_module = chain->wave.number != 2;
            size_t writes = fixture->writes;
            fixture->refusal = failures[i];
            if (has_module) {
                assert_int_equal(try_story(chain), failures[i]);
                assert_int_equal(fixture->err.status, failures[i]);
                assert_null(chain->result);
                assert_int_equal(fixture->writes, writes);
            }
            fixture->refusal = SMELT_STATUS_OK;
        }
        run_story(chain);
    }
    finish_story(up);
}

static void an_artefact_for_another_profile_is_no_refusal(void **state)
{
    BEGIN;
    struct smelt_wave_transaction list[] = {transfer_of(&bob, 0, &carol, 10),
                                            deploy_of(&alice, 0, "guest_wrong_import.so", NULL)};
    assert_int_equal(chain_try(chain, list, 2), SMELT_STATUS_ARTEFACT_MISMATCH);
    finish_story(up);
}

/* Wave 1 to the last, each failed at every n-th step before it is done. */
typedef void (*fault_fn)(struct fixture *fixture, size_t nth);

static void sweep(struct set_up *up, const struct smelt_engine_options *options,
                  enum smelt_status expected, fault_fn set_fault)
{
    struct chain *chain = &up->chain;
    struct fixture *fixture = up->fixture;
    fixture->before_write = NULL; /* takes memory */
    chain->is_unchecked = true;
    fixture_reopen(fixture, *options);
    while (chain->wave.number <= WAVES) {
        struct smelt_buf before = {0};
        size_t nth = 1;
        dump_store(fixture->inner, &before);
        for (;; nth++) {
            struct smelt_buf after = {0};
            if (expected == SMELT_STATUS_IO) {
                fixture_reopen(fixture, *options); /* nothing is known */
            }
            smelt_wave_result_destroy(chain->result);
            chain->result = NULL;
            set_fault(fixture, nth);
            enum smelt_status status = try_story(chain);
            set_fault(fixture, 0);
            if (status == SMELT_STATUS_OK) {
                break;
            }
            assert_string_equal(smelt_status_name(status), smelt_status_name(expected));
            assert_int_equal(fixture->err.status, expected);
            assert_null(chain->result);
            dump_store(fixture->inner, &after);
            assert_same_bytes(&before, &after);
            smelt_buf_deinit(&after);
        }
        assert_true(nth > 3);
        smelt_buf_deinit(&before);
        chain->parent = *smelt_wave_result_digest(chain->result);
        chain->wave.number++;
        chain->wave.timestamp++;
    }
    assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
    finish_story(up);
}

static void fail_reading(struct fixture *fixture, size_t nth)
{
    fixture->fail_get = nth;
}

static void fail_allocating(struct fixture *fixture, size_t nth)
{
    (void)fixture;
    sm_alloc_fail_at(nth);
}

static void any_read_may_fail(void **state)
{
    sweep((struct set_up *)*state, &(struct smelt_engine_options){.workers = 1}, SMELT_STATUS_IO,
          fail_reading);
}

static void any_read_may_fail_with_all_options(void **state)
{
    struct set_up *up = (struct set_up *)*state;
    const struct smelt_engine_options options = {
        .workers = 2, .wave_chunk = 1, .has_commitment = true, .receipts_kept = 2};
    fixture_reopen(up->calm, options);
    sweep(up, &options, SMELT_STATUS_IO, fail_reading);
}

static void any_allocation_may_fail(void **state)
{
    sweep((struct set_up *)*state, &(struct smelt_engine_options){.workers = 1},
          SMELT_STATUS_NO_MEMORY, fail_allocating);
}

static void any_allocation_may_fail_with_all_options(void **state)
{
    struct set_up *up = (struct set_up *)*state;
    const struct smelt_engine_options options = {
        .workers = 2, .wave_chunk = 1, .has_commitment = true, .receipts_kept = 2};
    fixture_reopen(up->calm, options);
    sweep(up, &options, SMELT_STATUS_NO_MEMORY, fail_allocating);
}

static void a_batch_that_is_not_written_was_not_run(void **state)
{
    BEGIN;
    while (chain->wave.number <= WAVES) {
        fixture->fail_write = true;
        assert_int_equal(try_story(chain), SMELT_STATUS_NO_SPACE);
        assert_int_equal(try_story(chain), SMELT_STATUS_NO_SPACE);
        fixture->fail_write = false;
        run_story(chain);
    }
    finish_story(up);
}

/* ---- behind ------------------------------------------------------------------------------------
 */

static atomic_bool is_gate_shut;

static void wait_at_gate(struct fixture *fixture, const struct smelt_store_write *writes,
                         size_t count)
{
    (void)fixture;
    (void)writes;
    (void)count;
    while (atomic_load(&is_gate_shut)) {
        (void)usleep(100);
    }
}

static void take_time(struct fixture *fixture, const struct smelt_store_write *writes, size_t count)
{
    (void)fixture;
    (void)writes;
    (void)count;
    (void)usleep(20000);
}

static uint64_t newest(struct fixture *fixture)
{
    struct smelt_wave_record record;
    bool is_found = false;
    assert_int_equal(smelt_wave_last(fixture->inner, &record, NULL, &is_found, NULL),
                     SMELT_STATUS_OK);
    return is_found ? record.number : 0;
}

static void go_behind(struct set_up *up)
{
    fixture_reopen(up->fixture,
                   (struct smelt_engine_options){.workers = 2, .commits_behind = true});
    up->chain.is_unchecked = true;
}

static void a_wave_is_over_before_it_is_written(void **state)
{
    BEGIN;
    go_behind(up);
    run_story(chain); /* a deploy: not behind */
    assert_int_equal(newest(fixture), 1);
    fixture->before_write = wait_at_gate;
    atomic_store(&is_gate_shut, true);
    run_story(chain);
    assert_int_equal(newest(fixture), 1);
    struct smelt_wave_receipt *receipt = receipt_of(chain, 2);
    assert_int_equal(receipt->status, SMELT_STATUS_OK);
    smelt_wave_receipt_destroy(receipt);
    atomic_store(&is_gate_shut, false);
    assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
    assert_int_equal(newest(fixture), 2);
    run_story(chain);
    run_story(chain);
    assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
    finish_story(up);
}

static void destroying_an_engine_waits_for_its_batch(void **state)
{
    BEGIN;
    go_behind(up);
    run_story(chain);
    fixture->before_write = take_time;
    run_story(chain);
    fixture_reopen(fixture, (struct smelt_engine_options){.workers = 1});
    assert_int_equal(newest(fixture), 2);
    finish_story(up);
}

/* Who is told of a batch that did not arrive: whoever comes next, and nobody else. */
static enum smelt_status next_wave(struct set_up *up)
{
    return try_story(&up->chain);
}

static enum smelt_status next_flush(struct set_up *up)
{
    return smelt_engine_flush(up->fixture->engine, &up->fixture->err);
}

static enum smelt_status next_call(struct set_up *up)
{
    struct smelt_address contract;
    smelt_contract_address(&alice, 0, &contract);
    return fixture_try_call(up->fixture, &contract, "run", NULL, 0);
}

static void a_lost_batch_is_told_once(void **state)
{
    BEGIN;
    enum smelt_status (*const next[])(struct set_up *) = {next_wave, next_flush, next_call};
    go_behind(up);
    run_story(chain);
    for (size_t i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
        struct smelt_buf before = {0};
        struct smelt_buf after = {0};
        dump_store(fixture->inner, &before);
        fixture->fail_write = true;
        run_story(chain);
        assert_int_equal(next[i](up), SMELT_STATUS_NO_SPACE);
        assert_int_equal(fixture->err.status, SMELT_STATUS_NO_SPACE);
        fixture->fail_write = false;
        assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
        dump_store(fixture->inner, &after);
        assert_same_bytes(&before, &after);
        assert_int_equal(try_story(chain), SMELT_STATUS_INVALID_ARGUMENT); /* out of line now */
        smelt_buf_deinit(&before);
        smelt_buf_deinit(&after);
        chain->wave.number--;
        chain->wave.timestamp--;
    }
    finish_story(up);
}

/* Waves that fail and are run again while the one before is on its way. */
static void failures_beside_a_batch_on_its_way(void **state)
{
    BEGIN;
    const struct smelt_address fresh = {{0xf5}};
    struct smelt_wave_transaction list[] = {transfer_of(&alice, 2, &bob, 5),
                                            transfer_of(&bob, 4, &carol, 1),
                                            transfer_of(&alice, 3, &fresh, 1)};
    struct smelt_hash wrong = {{0}};
    go_behind(up);
    for (uint64_t i = 0; i < 2; i++) {
        fixture_reopen(up->calm, (struct smelt_engine_options){.workers = 1});
        run_story(chain);
        run_story(&up->reference);
    }
    for (size_t workers = 1; workers <= 2; workers++) {
        fixture_reopen(fixture, (struct smelt_engine_options){.workers = (uint32_t)workers,
                                                              .wave_chunk = 1,
                                                              .commits_behind = true});
        fixture->before_write = take_time;
        chain_run(chain, list, 2);
        list[0].nonce += 1;
        list[1].nonce += 1;
        list[2].nonce = list[0].nonce + 1;
        list[2].to.bytes[1] = (uint8_t)workers; /* nobody has read it yet */
        fixture->fail_get = 1;
        assert_int_equal(chain_try(chain, list, 3), SMELT_STATUS_IO);
        assert_int_equal(chain_try(chain, list, 3), SMELT_STATUS_IO);
        fixture->fail_get = 0;
        chain->wave.expected_digest = &wrong;
        assert_int_equal(chain_try(chain, list, 3), SMELT_STATUS_STATE_MISMATCH);
        chain->wave.expected_digest = NULL;
        chain_run(chain, list, 3);
        assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
        list[0].nonce -= 1;
        list[1].nonce -= 1;
        chain_run(&up->reference, list, 2);
        list[0].nonce += 1;
        list[1].nonce += 1;
        chain_run(&up->reference, list, 3);
        list[0].nonce += 2;
        list[1].nonce += 1;
        assert_memory_equal(&chain->parent, &up->reference.parent, sizeof(chain->parent));
        assert_same_store(up);
    }
}

/* The modules are the caller's again as soon as the wave is over. */
static void modules_are_not_needed_afterwards(void **state)
{
    BEGIN;
    char *module = strdup(GUEST "#behind");
    struct smelt_address contract;
    assert_non_null(module);
    go_behind(up);
    fixture->before_write = take_time;
    CHAIN_RUN(chain, deploy_of(&alice, 0, module, NULL));
    memset(module, 'x', strlen(module));
    free(module);
    smelt_contract_address(&alice, 0, &contract);
    fixture_reopen(fixture, (struct smelt_engine_options){.workers = 1, .commits_behind = true});
    CHAIN_RUN(chain, call_of(&bob, 0, &contract, NULL));
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    module = strdup(GUEST "#upgrade");
    assert_non_null(module);
    CHAIN_RUN(chain, upgrade_of(&alice, 1, &contract, module));
    memset(module, 'x', strlen(module));
    free(module);
    CHAIN_RUN(chain, call_of(&bob, 1, &contract, NULL));
    assert_outcome(chain, 0, SMELT_OUTCOME_RETURNED);
    struct smelt_wave_receipt *receipt = receipt_of(chain, 0);
    struct smelt_hash hash;
    sm_digest_bytes(smelt_slice_from_string(GUEST "#upgrade"), &hash);
    assert_memory_equal(&receipt->module_hash, &hash, sizeof(hash));
    smelt_wave_receipt_destroy(receipt);
}

/* ---- threads -----------------------------------------------------------------------------------
 */

/* Of a process-directed signal, every thread that does not block it may be the receiver. */
static size_t receivers_of(int signal)
{
    size_t count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        char path[300];
        char line[128];
        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/status", task->d_name);
        FILE *status = task->d_name[0] != '.' ? fopen(path, "re") : NULL;
        if (status == NULL) {
            continue;
        }
        while (fgets(line, sizeof(line), status) != NULL) {
            if (strncmp(line, "SigBlk:", 7) == 0) {
                count += (strtoull(line + 7, NULL, 16) >> (signal - 1) & 1) == 0;
            }
        }
        (void)fclose(status);
    }
    (void)closedir(tasks);
    return count;
}

static void signals_are_for_the_embedder(void **state)
{
    BEGIN;
    size_t before = receivers_of(SIGTERM);
    go_behind(up);
    fixture->before_write = take_time;
    run_story(chain);
    run_story(chain); /* with all threads that there are */
    assert_int_equal(receivers_of(SIGTERM), before);
    finish_story(up);
}

struct guests {
    struct fixture *fixture;
    struct smelt_address contract;
    struct smelt_address from;
    atomic_bool is_over;
    size_t calls; /* of either kind */
};

/* Transactions outside of waves, beside them: each writes, which takes a turn, or looks. */
static void *call_beside(void *context)
{
    struct guests *guests = (struct guests *)context;
    struct smelt_engine *engine = guests->fixture->engine;
    struct smelt_buf metrics = {0};
    while (!atomic_load(&guests->is_over)) {
        for (size_t i = 0; i < 2; i++) {
            const struct smelt_transaction transaction = {.from = guests->from,
                                                          .is_static = i == 0};
            struct smelt_receipt *receipt = NULL;
            assert_int_equal(
                smelt_call(engine, &transaction, &guests->contract, "run", NULL, 0, &receipt, NULL),
                SMELT_STATUS_OK);
            assert_int_equal(receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
            smelt_receipt_destroy(receipt);
        }
        assert_int_equal(smelt_engine_metrics(engine, &metrics, NULL), SMELT_STATUS_OK);
        guests->calls++;
        (void)usleep(200);
    }
    smelt_buf_deinit(&metrics);
    return NULL;
}

static void waves_and_calls_take_turns(void **state)
{
    BEGIN;
    enum { ROUNDS = 60, GUESTS = 3 };
    struct guests guests[GUESTS];
    pthread_t threads[GUESTS];
    struct smelt_address contract;
    static struct script script;
    script.size = 0;
    SCRIPT_HOSTN(&script, storage_write, GUEST_KEY, 7, GUEST_KEY, 7);
    run_story(chain);
    smelt_contract_address(&alice, 0, &contract);
    fixture->before_write = NULL; /* others write as well */
    fixture_reopen(fixture, (struct smelt_engine_options){
                                .workers = 3, .wave_chunk = 1, .commits_behind = true});
    chain->is_unchecked = true;
    for (size_t i = 0; i < GUESTS; i++) {
        guests[i] =
            (struct guests){.fixture = fixture, .contract = contract, .from = {{0x9e, (uint8_t)i}}};
        assert_int_equal(pthread_create(&threads[i], NULL, call_beside, &guests[i]), 0);
    }
    for (uint64_t i = 0; i < ROUNDS; i++) {
        CHAIN_RUN(chain, transfer_of(&alice, 1 + 2 * i, &carol, 1),
                  call_of(&alice, 2 + 2 * i, &contract, &script),
                  transfer_of(&carol, 1 + i, &bob, 1));
        assert_outcome(chain, 1, SMELT_OUTCOME_RETURNED);
        assert_outcome(chain, 2, SMELT_OUTCOME_RETURNED);
    }
    for (size_t i = 0; i < GUESTS; i++) {
        atomic_store(&guests[i].is_over, true);
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(guests[i].calls != 0);
    }
    struct smelt_state_check check;
    assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
    for (size_t i = 0; i < GUESTS; i++) {
        assert_int_equal(nonce_of(fixture, &guests[i].from), guests[i].calls);
    }
    assert_int_equal(nonce_of(fixture, &alice), 1 + 2 * ROUNDS);
    assert_int_equal(smelt_state_verify(fixture->inner, &check, NULL), SMELT_STATUS_OK);
    assert_int_equal(check.waves, 1 + ROUNDS);
}

/* ---- pruning -----------------------------------------------------------------------------------
 */

static void assert_kept(struct fixture *fixture, uint64_t number, bool is_kept)
{
    struct smelt_wave_receipt *receipt = NULL;
    struct smelt_wave_record record;
    const struct smelt_hash id = {{(uint8_t)number, 1}};
    enum smelt_status expected = is_kept ? SMELT_STATUS_OK : SMELT_STATUS_NOT_FOUND;
    assert_int_equal(smelt_wave_get(fixture->inner, number, &record, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_wave_receipt_get(fixture->inner, number, 1, &receipt, NULL), expected);
    smelt_wave_receipt_destroy(receipt);
    assert_int_equal(smelt_wave_receipt_find(fixture->inner, &id, &receipt, NULL), expected);
    smelt_wave_receipt_destroy(receipt);
}

static void assert_kept_from(struct fixture *fixture, uint64_t first, uint64_t kept, uint64_t last)
{
    struct smelt_wave_receipt *receipt = NULL;
    const struct smelt_hash again = {{0xff}};
    for (uint64_t number = first; number <= last; number++) {
        assert_kept(fixture, number, number >= kept);
    }
    assert_int_equal(smelt_wave_receipt_find(fixture->inner, &again, &receipt, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(receipt->wave, last);
    smelt_wave_receipt_destroy(receipt);
}

static void receipts_are_kept_for_so_many_waves(void **state)
{
    BEGIN;
    for (uint64_t kept = 1; kept <= 3; kept += 2) {
        for (uint32_t behind = 0; behind < 2; behind++) {
            fixture_reopen(fixture, (struct smelt_engine_options){.workers = 1,
                                                                  .commits_behind = behind != 0,
                                                                  .receipts_kept = kept});
            for (size_t i = 0; i < 9; i++) {
                run_story(chain);
                run_story(&up->reference);
                uint64_t last = chain->record.number;
                assert_memory_equal(&chain->parent, &up->reference.parent, sizeof(chain->parent));
                if (kept == 1 || i > 3) {
                    assert_kept_from(fixture, 1, last > kept ? last - kept + 1 : 1, last);
                }
            }
        }
    }
}

static void pruning_catches_up_a_few_waves_at_a_time(void **state)
{
    BEGIN;
    chain->wave.number = 1;
    for (size_t i = 0; i < 10; i++) {
        run_story(chain);
    }
    assert_kept_from(fixture, 1, 1, 10);
    fixture_reopen(fixture, (struct smelt_engine_options){.workers = 1, .receipts_kept = 2});
    const uint64_t expected[] = {5, 9, 12, 13};
    for (size_t i = 0; i < 4; i++) {
        run_story(chain);
        assert_kept_from(fixture, 1, expected[i], 11 + i);
    }
    /* longer again: nothing comes back, nothing goes */
    fixture_reopen(fixture, (struct smelt_engine_options){.workers = 1, .receipts_kept = 4});
    run_story(chain);
    assert_kept_from(fixture, 1, 13, 15);
    /* somebody else prunes meanwhile */
    assert_int_equal(smelt_receipts_prune(&fixture->store, 15, NULL), SMELT_STATUS_OK);
    run_story(chain);
    assert_kept_from(fixture, 1, 15, 16);
    run_story(chain);
    run_story(chain);
    run_story(chain);
    assert_kept_from(fixture, 1, 16, 19);
}

static void pruning_begins_at_the_first_wave_there_is(void **state)
{
    BEGIN;
    fixture_reopen(fixture, (struct smelt_engine_options){.workers = 1, .receipts_kept = 2});
    chain->wave.number = 40;
    for (uint64_t i = 0; i < 5; i++) {
        CHAIN_RUN(chain, transfer_of(&alice, i, &bob, 1));
        struct smelt_wave_receipt *receipt = NULL;
        assert_int_equal(smelt_wave_receipt_get(fixture->inner, 40, 0, &receipt, NULL),
                         i < 2 ? SMELT_STATUS_OK : SMELT_STATUS_NOT_FOUND);
        smelt_wave_receipt_destroy(receipt);
    }
}

/* ---- the commitment ----------------------------------------------------------------------------
 */

static struct smelt_hash root_of(struct fixture *fixture)
{
    struct smelt_hash root;
    assert_int_equal(sm_commitment_compute(fixture->inner, NULL, &root, NULL), SMELT_STATUS_OK);
    return root;
}

static void records_have_the_root_of_the_state(void **state)
{
    BEGIN;
    struct story story;
    run_story(chain);
    assert_false(chain->record.has_state_root);
    for (uint32_t behind = 0; behind < 2; behind++) {
        fixture_reopen(fixture, (struct smelt_engine_options){.workers = 2,
                                                              .wave_chunk = 1,
                                                              .commits_behind = behind != 0,
                                                              .has_commitment = behind == 0});
        run_story(chain); /* the fixture computes the root for itself */
        assert_true(chain->record.has_state_root);
        struct smelt_hash before = chain->record.state_root;
        chain_run(chain, NULL, 0);
        assert_true(chain->record.has_state_root);
        assert_memory_equal(&before, &chain->record.state_root, sizeof(before));
        chain->wave.number--; /* in the story; the record is looked at below */
        tell(chain->wave.number, &story);
        chain->wave.number++;
        assert_int_equal(
            smelt_account_fund(&fixture->store, &carol, (struct smelt_u128){.low = 1}, NULL),
            SMELT_STATUS_OK);
        chain_run(chain, NULL, 0);
        struct smelt_hash root = root_of(fixture);
        assert_memory_equal(&root, &chain->record.state_root, sizeof(root));
        assert_memory_not_equal(&root, &before, sizeof(root));
        (void)fixture_call(fixture, &story.contract, "run");
        root = root_of(fixture);
        chain_run(chain, NULL, 0);
        assert_memory_equal(&root, &chain->record.state_root, sizeof(root));
        chain->is_unchecked = true;
        for (uint64_t i = 0; i < 4; i++) {
            CHAIN_RUN(chain, transfer_of(&bob, nonce_of(fixture, &bob), &carol, 1),
                      transfer_of(&carol, i, &bob, 1));
            assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
            root = root_of(fixture);
            assert_memory_equal(&root, &chain->record.state_root, sizeof(root));
        }
        for (uint64_t i = 0; i < 4; i++) { /* without waiting */
            CHAIN_RUN(chain, transfer_of(&alice, 100, &carol, 1), call_of(&bob, 0, &carol, NULL));
        }
        assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
        root = root_of(fixture);
        assert_memory_equal(&root, &chain->record.state_root, sizeof(root));
        chain->is_unchecked = false;
    }
}

static atomic_size_t gets;

static void count_get(struct fixture *fixture)
{
    (void)fixture;
    atomic_fetch_add(&gets, 1);
}

/* A batch that has arrived before anybody has asked for it is nobody else's change. */
static void what_was_written_behind_is_still_known(void **state)
{
    BEGIN;
    atomic_store(&gets, 0);
    go_behind(up);
    CHAIN_RUN(chain, transfer_of(&alice, 0, &carol, 5), transfer_of(&bob, 0, &carol, 5));
    while (newest(fixture) != 1) {
        (void)usleep(1000);
    }
    (void)usleep(20000); /* for the thread to be done */
    fixture->around_get = count_get;
    CHAIN_RUN(chain, transfer_of(&alice, 1, &carol, 5), transfer_of(&bob, 1, &carol, 5));
    assert_int_equal(smelt_engine_flush(fixture->engine, NULL), SMELT_STATUS_OK);
    fixture->around_get = NULL;
    assert_int_equal(atomic_load(&gets), 0);
}

/* As an embedder may, between two waves. */
static void a_commitment_may_be_enabled_under_an_engine(void **state)
{
    BEGIN;
    struct smelt_hash root;
    run_story(chain);
    assert_false(chain->record.has_state_root);
    assert_int_equal(smelt_commitment_enable(&fixture->store, NULL), SMELT_STATUS_OK);
    run_story(chain);
    assert_true(chain->record.has_state_root);
    root = root_of(fixture);
    assert_memory_equal(&root, &chain->record.state_root, sizeof(root));
}

/* ---- code ------------------------------------------------------------------------------------ */

/* A variant of the guest whose hash begins with a byte that is `byte` modulo 64: lanes remember
 * contracts by it. */
static void name_variant(char name[32], unsigned from, unsigned byte)
{
    struct smelt_hash hash;
    do {
        (void)snprintf(name, 32, GUEST "#v%u", from++);
        sm_digest_bytes(smelt_slice_from_string(name), &hash);
    } while (hash.bytes[0] % 64 != byte);
}

/* While its receipt is made, nothing but the execution refers to the caller: its place among the
 * resident is another's, which the lane remembers, and its place in the lane is its callee's. */
static void code_stays_until_its_receipt(void **state)
{
    BEGIN;
    static struct script outer;
    static const unsigned bytes[] = {4, 5, 5};
    char names[3][32];
    struct smelt_address contracts[3];
    struct smelt_wave_transaction deploys[3];
    struct smelt_wave_receipt *receipt;
    fixture_reopen(fixture, (struct smelt_engine_options){.workers = 1, .resident_modules_max = 1});
    for (unsigned i = 0; i < 3; i++) {
        name_variant(names[i], 1000 * i, bytes[i]);
        smelt_contract_address(&alice, i, &contracts[i]);
        deploys[i] = deploy_of(&alice, i, names[i], NULL);
    }
    chain_run(chain, deploys, 3);
    outer.size = 0;
    script_poke(&outer, GUEST_FREE, sm_slice(contracts[2].bytes, 32));
    script_poke(&outer, GUEST_FREE + 64, smelt_slice_from_string("run"));
    SCRIPT_HOSTN(&outer, call_contract, GUEST_FREE, GUEST_FREE + 64, 3, GUEST_FREE, 0, GUEST_ZEROES,
                 0);
    script_word(&outer, SCRIPT_EXPECT, SMELT_NESTED_RETURNED);
    CHAIN_RUN(chain, call_of(&alice, 3, &contracts[0], NULL),
              call_of(&alice, 4, &contracts[1], &outer));
    assert_outcome(chain, 1, SMELT_OUTCOME_RETURNED);
    script_word(&outer, SCRIPT_TRAP, 0);
    CHAIN_RUN(chain, call_of(&alice, 5, &contracts[0], NULL),
              call_of(&alice, 6, &contracts[1], &outer));
    assert_outcome(chain, 1, SMELT_OUTCOME_TRAPPED);
    receipt = receipt_of(chain, 1);
    assert_true(receipt->location.is_known);
    assert_int_not_equal(receipt->location.function.size, 0);
    smelt_wave_receipt_destroy(receipt);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_source_that_fails_fails_the_wave),
        TEST(an_artefact_for_another_profile_is_no_refusal),
        TEST(any_read_may_fail),
        TEST(any_read_may_fail_with_all_options),
        TEST(any_allocation_may_fail),
        TEST(any_allocation_may_fail_with_all_options),
        TEST(a_batch_that_is_not_written_was_not_run),
        TEST(a_wave_is_over_before_it_is_written),
        TEST(destroying_an_engine_waits_for_its_batch),
        TEST(a_lost_batch_is_told_once),
        TEST(failures_beside_a_batch_on_its_way),
        TEST(modules_are_not_needed_afterwards),
        TEST(signals_are_for_the_embedder),
        TEST(waves_and_calls_take_turns),
        TEST(receipts_are_kept_for_so_many_waves),
        TEST(pruning_catches_up_a_few_waves_at_a_time),
        TEST(pruning_begins_at_the_first_wave_there_is),
        TEST(records_have_the_root_of_the_state),
        TEST(what_was_written_behind_is_still_known),
        TEST(a_commitment_may_be_enabled_under_an_engine),
        TEST(code_stays_until_its_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
