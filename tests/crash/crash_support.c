/* See crash_support.h. */
#include "tests/crash/crash_support.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "tests/unit/runtime/wave_fixture.h"

#include <smelt/wave.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct crash_shared *crash_share(void)
{
    void *shared = mmap(NULL, sizeof(struct crash_shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    return (struct crash_shared *)shared;
}

uint64_t crash_seed(void)
{
    const char *wanted = getenv("SMELT_CRASH_SEED");
    uint64_t seed = wanted != NULL ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL);
    print_message("SMELT_CRASH_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* ---- what there is -----------------------------------------------------------------------------
 */

/* A child that is at it: an error becomes the end of the process. */
struct child {
    const struct crash_options *options;
    struct crash_shared *shared;
    struct smelt_store *store;
    struct smelt_schedule *schedule;
    struct smelt_engine *engine;
    struct fixture source;
    struct random_wave random;
    struct smelt_error err;
};

static void wrong(struct child *child, uint64_t number, const char *what)
{
    (void)snprintf(child->shared->failure, sizeof(child->shared->failure),
                   "seed %d, wave %d: %s: %s", (int)child->options->seed, (int)number, what,
                   child->err.message);
    _exit(CRASH_WRONG);
}

static void check(struct child *child, bool is_right, uint64_t number, const char *what)
{
    if (!is_right) {
        wrong(child, number, what);
    }
}

static void must(struct child *child, enum smelt_status status, uint64_t number, const char *what)
{
    check(child, status == SMELT_STATUS_OK, number, what);
}

static bool add_event(void *context, const struct smelt_wave_event *event)
{
    struct sm_digest *digest = (struct sm_digest *)context;
    sm_digest_u64(digest, event->wave);
    sm_digest_u32(digest, event->transaction);
    sm_digest_u32(digest, event->index);
    sm_digest_slice(digest, sm_slice(event->event.address.bytes, SMELT_ADDRESS_BYTES));
    sm_digest_slice(digest, event->event.topic);
    sm_digest_slice(digest, event->event.data);
    return true;
}

/* Over everything that can be read of a wave. */
static struct smelt_hash hash_receipts(struct child *child, uint64_t number)
{
    const struct smelt_event_filter filter = {.first_wave = number, .last_wave = number};
    struct smelt_wave_record record;
    struct sm_digest digest;
    struct smelt_hash hash;
    must(child, smelt_wave_get(child->store, number, &record, &child->err), number, "record");
    sm_digest_init(&digest, "test");
    for (uint32_t i = 0; i < record.transaction_count; i++) {
        struct smelt_wave_receipt *receipt = NULL;
        struct smelt_buf code = {0};
        must(child, smelt_wave_receipt_get(child->store, number, i, &receipt, &child->err), number,
             "receipt");
        encode_receipt(receipt, &code);
        sm_digest_u32(&digest, receipt->first_event);
        sm_digest_slice(&digest, sm_buf_slice(&code));
        smelt_buf_deinit(&code);
        smelt_wave_receipt_destroy(receipt);
    }
    must(child, smelt_events_visit(child->store, &filter, add_event, &digest, &child->err), number,
         "events");
    sm_digest_final(&digest, &hash);
    return hash;
}

static struct smelt_hash hash_state(struct child *child)
{
    struct smelt_buf state = {0};
    struct smelt_hash hash;
    dump_state(child->store, &state);
    sm_digest_bytes(sm_buf_slice(&state), &hash);
    smelt_buf_deinit(&state);
    return hash;
}

static uint64_t newest(struct child *child, struct smelt_hash *digest)
{
    struct smelt_wave_record record;
    bool is_found = false;
    must(child, smelt_wave_last(child->store, &record, digest, &is_found, &child->err), 0, "last");
    return is_found ? record.number : 0;
}

/* ---- running -----------------------------------------------------------------------------------
 */

static void open_engine(struct child *child, uint32_t workers)
{
    const struct crash_options *options = child->options;
    const struct smelt_engine_options engine = {.store = child->store,
                                                .schedule = child->schedule,
                                                .source = fixture_source(&child->source),
                                                .workers = workers,
                                                .wave_chunk = 2,
                                                .commits_behind = options->commits_behind,
                                                .has_commitment = options->has_commitment,
                                                .receipts_kept = options->receipts_kept};
    must(child, smelt_engine_create(&engine, &child->engine, &child->err), 0, "engine");
}

static void begin_child(struct child *child, const struct crash_options *options,
                        struct crash_shared *shared)
{
    *child = (struct child){.options = options, .shared = shared};
    random_init(&child->random);
    must(child,
         smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &child->schedule, &child->err),
         0, "schedule");
}

/* Again, when a process has ended in the midst of it. */
static enum smelt_status fund(struct child *child)
{
    enum smelt_status status = SMELT_STATUS_OK;
    for (size_t i = 0; i < RANDOM_ACCOUNTS && status == SMELT_STATUS_OK; i++) {
        struct smelt_address address = random_account(i);
        if (get_account(child->store, &address).balance.low == 0) {
            status = smelt_account_fund(child->store, &address,
                                        (struct smelt_u128){.low = UINT64_C(1) << 40}, &child->err);
        }
    }
    return status;
}

static enum smelt_status run_wave(struct child *child, uint64_t number, struct smelt_hash *digest)
{
    struct smelt_wave_result *result = NULL;
    random_make(child->options->seed, number, CRASH_TRANSACTIONS,
                child->shared->waves[number].nonces, &child->random);
    const struct smelt_wave wave = random_frame(&child->random, number);
    enum smelt_status status = smelt_wave_run(child->engine, &wave, &result, &child->err);
    if (status == SMELT_STATUS_OK) {
        *digest = *smelt_wave_result_digest(result);
        smelt_wave_result_destroy(result);
    }
    return status;
}

static void expect_all(struct child *child)
{
    must(child, smelt_store_create_memory(&child->store, &child->err), 0, "store");
    must(child, fund(child), 0, "funds");
    open_engine(child, 1);
    for (uint64_t number = 1; number <= CRASH_WAVES; number++) {
        struct crash_expectation *wave = &child->shared->waves[number];
        random_nonces(child->store, wave->nonces);
        must(child, run_wave(child, number, &wave->digest), number, "reference");
        must(child, smelt_engine_flush(child->engine, &child->err), number, "flush");
        wave->receipts = hash_receipts(child, number);
        wave->state = hash_state(child);
    }
}

void crash_expect(struct crash_shared *shared, const struct crash_options *options)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct child child;
        begin_child(&child, options, shared);
        expect_all(&child);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fail_msg("reference: %s", shared->failure);
    }
}

static bool same(const struct smelt_hash *a, const struct smelt_hash *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* The store as it was left. */
static uint64_t check_all(struct child *child)
{
    const struct crash_shared *shared = child->shared;
    uint64_t kept = child->options->receipts_kept;
    struct smelt_state_check found;
    struct smelt_hash digest;
    struct smelt_hash hash;
    uint64_t last = newest(child, &digest);
    check(child, last <= shared->begun, last, "is there, but was not begun");
    check(child, last >= shared->promised, shared->promised, "was promised, but is not there");
    if (last == 0) {
        return 0;
    }
    check(child, same(&digest, &shared->waves[last].digest), last, "digest");
    hash = hash_state(child);
    check(child, same(&hash, &shared->waves[last].state), last, "state");
    for (uint64_t number = 1; number <= last; number++) {
        if (kept == 0 || number + kept > last) {
            hash = hash_receipts(child, number);
            check(child, same(&hash, &shared->waves[number].receipts), number, "receipts");
        }
    }
    must(child, smelt_state_verify(child->store, &found, &child->err), last, "verify");
    check(child, found.waves == last, last, "not all waves are there");
    check(child, found.has_commitment || !child->options->has_commitment, last, "commitment");
    return last;
}

static enum crash_end run_rest(struct child *child, uint64_t last)
{
    struct crash_shared *shared = child->shared;
    enum smelt_status status = SMELT_STATUS_OK;
    for (uint64_t number = last + 1; number <= CRASH_WAVES && status == SMELT_STATUS_OK; number++) {
        struct smelt_hash digest;
        shared->begun = number > shared->begun ? number : shared->begun;
        if (child->options->commits_behind && number % 16 == 0) {
            status = smelt_engine_flush(child->engine, &child->err);
            shared->promised = status == SMELT_STATUS_OK ? number - 1 : shared->promised;
        }
        if (status == SMELT_STATUS_OK) {
            status = run_wave(child, number, &digest);
        }
        if (status == SMELT_STATUS_OK) {
            check(child, same(&digest, &shared->waves[number].digest), number, "digest of a run");
            uint64_t promised = number - child->options->commits_behind;
            shared->promised = promised > shared->promised ? promised : shared->promised;
        }
    }
    if (status == SMELT_STATUS_OK) {
        status = smelt_engine_flush(child->engine, &child->err);
    }
    return status == SMELT_STATUS_OK ? CRASH_DONE : CRASH_FAILED;
}

/* After a fault, in the same process: the state is as before the wave that failed. The store may
 * want to be opened again before it takes another. */
static enum crash_end go_on(struct child *child)
{
    struct crash_shared *shared = child->shared;
    uint64_t last = 0;
    shared->failures++;
    if (smelt_engine_flush(child->engine, &child->err) != SMELT_STATUS_OK) {
        must(child, smelt_engine_flush(child->engine, &child->err), last, "told twice");
    }
    last = check_all(child);
    check(child, child->options->commits_behind || last + 1 == shared->begun, last,
          "is not the one before the wave that failed");
    return run_rest(child, last);
}

enum crash_end crash_run(const char *directory, const struct crash_options *options,
                         struct crash_shared *shared, const struct crash_faults *faults)
{
    struct child child;
    const struct smelt_rocksdb_options rocksdb = {.sync = options->sync,
                                                  .write_buffer_bytes = 1 << 20};
    begin_child(&child, options, shared);
    must(&child, smelt_store_open_rocksdb(directory, &rocksdb, &child.store, &child.err), 0,
         "open");
    uint64_t last = check_all(&child);
    if (last == 0) {
        must(&child, fund(&child), 0, "funds");
    }
    open_engine(&child, 2);
    shared->is_ready = 1;
    if (faults != NULL) {
        faults->begin();
    }
    enum crash_end end = run_rest(&child, last);
    if (end == CRASH_FAILED) {
        check(&child, faults != NULL && faults->has_failed(), shared->begun, "run");
        faults->end();
        end = go_on(&child);
    }
    smelt_engine_destroy(child.engine);
    if (end == CRASH_DONE) {
        uint64_t head = check_all(&child);
        check(&child, head == CRASH_WAVES, head, "is the last one");
    }
    smelt_store_close(child.store);
    return end;
}
