/* What one call of a contract costs inside a block: ERC-20 transfers between random accounts, each
 * a frame in a layer of its own that is merged when it has returned. Balances have been read from
 * the store before; nonces, receipts and the commit of the block are left out.
 *
 * usage: bench_token <erc20.wasm> <empty directory> [threads]
 *
 * Prints the median of the runs and their spread, in nanoseconds that a thread was running, which
 * is what a machine with nothing else to do needs. Each thread executes blocks of its own, over an
 * overlay of its own; a line counts the time that one thread takes for one call.
 *
 *   layer         a layer that is pushed and merged, with nothing in it
 *   activation    the same, and an activation that runs nothing: made, started, reset
 *   total_supply  the same, and a call: an input that is empty, a value that is read, returned
 *   transfer      two balances read and written, an event */
#include "base/bytes.h"
#include "base/digest.h"
#include "hostabi/profile.h"
#include "runtime/host/engine.h"
#include "runtime/host/frame.h"
#include "runtime/state/keys.h"

#include <smelt/smelt.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RUNS         9
#define CALLS        20000u /* in a block */
#define ACCOUNTS     10000u
#define FUEL         UINT64_C(1000000)
#define FUNDS        UINT64_C(1000000000000)
#define MODULE_BYTES (1u << 20)
#define THREADS_MAX  64

struct bench {
    struct smelt_store *store;
    struct sm_exec_pool *pool;
    struct sm_contract *contract;
    const struct sm_schedule_host *costs;
    struct smelt_address token;
    struct smelt_address accounts[ACCOUNTS];
    struct sm_state_key keys[ACCOUNTS + 1]; /* balances, the supply */
};

/* A call as the block has it. */
struct call {
    const struct sm_export *export_; /* NULL: none */
    bool has_frame;
    bool is_transfer;
};

struct worker {
    const struct bench *bench;
    const struct call *call;
    pthread_barrier_t *start;
    uint64_t seed;
    double ns[RUNS];
};

static _Noreturn void die(const char *what, const struct smelt_error *err)
{
    (void)fprintf(stderr, "bench_token: %s: %s: %s\n", what, smelt_status_name(err->status),
                  err->message);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    const double *left = (const double *)a;
    const double *right = (const double *)b;
    return (*left > *right) - (*left < *right);
}

static double thread_ns(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* xorshift64; the state is never zero. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* ---- calls --------------------------------------------------------------------------------- */

static enum smelt_status no_load(void *context, const struct smelt_hash *code_hash,
                                 struct sm_contract **out, struct smelt_error *err)
{
    (void)context;
    (void)code_hash;
    *out = NULL;
    *err = (struct smelt_error){.status = SMELT_STATUS_NO_CONTRACT};
    return SMELT_STATUS_NO_CONTRACT;
}

static void run_frame(const struct bench *bench, struct sm_overlay *overlay,
                      const struct call *call, uint64_t *seed)
{
    struct {
        struct smelt_address to;
        uint8_t amount[16];
    } input = {0};
    const struct smelt_address *from = &bench->accounts[next_random(seed) % ACCOUNTS];
    input.to = bench->accounts[next_random(seed) % ACCOUNTS];
    input.amount[0] = 1;
    struct sm_transaction transaction = {.profile = &smelt_profile_engine,
                                         .handlers = sm_engine_handlers,
                                         .costs = bench->costs,
                                         .overlay = overlay,
                                         .load = no_load};
    struct smelt_frame frame = {
        .transaction = &transaction,
        .contract = bench->contract,
        .context = {.origin = *from, .caller = *from, .address = bench->token, .depth = 1}};
    if (call->is_transfer) {
        frame.context.input = sm_slice((const uint8_t *)&input, sizeof(input));
    }
    uint64_t slots[1] = {0};
    sm_frame_run(&frame, call->export_, slots, FUEL);
    if (frame.end != SM_FRAME_RETURNED) {
        (void)fprintf(stderr, "bench_token: a call ended with %d, trap %d, %.*s\n", (int)frame.end,
                      (int)frame.trap, (int)frame.return_data.size,
                      (const char *)frame.return_data.data);
        exit(1);
    }
    sm_frame_deinit(&frame);
}

/* As if an earlier block had brought the balances into memory. */
static void read_balances(const struct bench *bench, struct sm_overlay *overlay)
{
    struct smelt_slice value;
    struct smelt_error err = {0};
    bool is_found;
    for (uint32_t i = 0; i <= ACCOUNTS; i++) {
        if (sm_overlay_get(overlay, sm_state_key_slice(&bench->keys[i]), &value, &is_found, &err) !=
            SMELT_STATUS_OK) {
            die("overlay", &err);
        }
    }
}

/* One block; returns nanoseconds per call. */
static double run_block(struct worker *worker)
{
    const struct bench *bench = worker->bench;
    struct sm_overlay *overlay;
    struct smelt_error err = {0};
    if (sm_overlay_create(bench->store, &overlay, &err) != SMELT_STATUS_OK ||
        sm_overlay_push(overlay, &err) != SMELT_STATUS_OK) {
        die("overlay", &err);
    }
    read_balances(bench, overlay);
    double start = thread_ns();
    for (uint32_t i = 0; i < CALLS; i++) {
        if (sm_overlay_push(overlay, &err) != SMELT_STATUS_OK) {
            die("layer", &err);
        }
        if (worker->call->has_frame) {
            run_frame(bench, overlay, worker->call, &worker->seed);
        }
        sm_overlay_merge(overlay);
    }
    double ns = (thread_ns() - start) / CALLS;
    sm_overlay_destroy(overlay);
    return ns;
}

static void *work(void *argument)
{
    struct worker *worker = (struct worker *)argument;
    (void)run_block(worker); /* warm up */
    for (int run = 0; run < RUNS; run++) {
        (void)pthread_barrier_wait(worker->start);
        worker->ns[run] = run_block(worker);
    }
    return NULL;
}

static void measure(const struct bench *bench, const char *name, const struct call *call,
                    unsigned threads)
{
    static struct worker workers[THREADS_MAX];
    static double all[THREADS_MAX * RUNS];
    pthread_t handles[THREADS_MAX];
    pthread_barrier_t start;
    size_t count = 0;
    uint64_t asked = sm_exec_pool_figures(bench->pool).asked;
    (void)pthread_barrier_init(&start, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        workers[i] = (struct worker){.bench = bench,
                                     .call = call,
                                     .start = &start,
                                     .seed = UINT64_C(0x9e3779b97f4a7c15) + i};
        if (pthread_create(&handles[i], NULL, work, &workers[i]) != 0) {
            (void)fprintf(stderr, "bench_token: cannot start %u threads\n", threads);
            exit(1);
        }
    }
    for (unsigned i = 0; i < threads; i++) {
        (void)pthread_join(handles[i], NULL);
        memcpy(all + count, workers[i].ns, sizeof(workers[i].ns));
        count += RUNS;
    }
    (void)pthread_barrier_destroy(&start);
    qsort(all, count, sizeof(all[0]), by_value);
    asked = sm_exec_pool_figures(bench->pool).asked - asked;
    printf("%-14s %8.0f ns   (%.0f to %.0f; %.1f %% of resets asked the kernel for pages)\n", name,
           all[count / 2], all[0], all[count - 1],
           100.0 * (double)asked / ((RUNS + 1.0) * CALLS * threads));
}

/* ---- set-up -------------------------------------------------------------------------------- */

static void load_token(struct bench *bench, const char *path, struct smelt_compiler *compiler)
{
    static uint8_t module[MODULE_BYTES];
    struct smelt_hash hash;
    struct smelt_hash key;
    struct smelt_error err = {0};
    int fd = -1;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "bench_token: cannot read %s\n", path);
        exit(1);
    }
    struct smelt_slice wasm = {module, fread(module, 1, sizeof(module), file)};
    (void)fclose(file);
    struct smelt_artefact_source source = smelt_compiler_source(compiler);
    sm_digest_bytes(wasm, &hash);
    if (source.open(source.context, &hash, wasm, &fd, &key, &err) != SMELT_STATUS_OK ||
        sm_exec_pool_create(NULL, &bench->pool, &err) != SMELT_STATUS_OK ||
        sm_contract_load(bench->pool, fd, &key, &hash, &smelt_profile_engine, &bench->contract,
                         &err) != SMELT_STATUS_OK) {
        die(path, &err);
    }
    (void)close(fd);
}

/* Puts a balance into the store for each account, and the supply. */
static void fund(struct bench *bench)
{
    static struct smelt_store_write writes[ACCOUNTS + 1];
    static const uint8_t amount[16] = {[0] = FUNDS & 0xff,
                                       [1] = FUNDS >> 8 & 0xff,
                                       [2] = FUNDS >> 16 & 0xff,
                                       [3] = FUNDS >> 24 & 0xff,
                                       [4] = FUNDS >> 32 & 0xff};
    uint64_t seed = UINT64_C(0x853c49e6748fea9b);
    struct smelt_error err = {0};
    bench->token = (struct smelt_address){.bytes = {0xc0}};
    for (uint32_t i = 0; i <= ACCOUNTS; i++) {
        uint8_t key[1 + SMELT_ADDRESS_BYTES] = {'b'};
        size_t size = sizeof(key);
        if (i < ACCOUNTS) {
            for (size_t at = 0; at < SMELT_ADDRESS_BYTES; at += sizeof(uint64_t)) {
                sm_store_le64(bench->accounts[i].bytes + at, next_random(&seed));
            }
            memcpy(key + 1, bench->accounts[i].bytes, SMELT_ADDRESS_BYTES);
        } else {
            key[0] = 's';
            size = 1;
        }
        sm_state_storage_key(&bench->token, sm_slice(key, size), &bench->keys[i]);
        writes[i] = (struct smelt_store_write){.family = SMELT_STORE_STATE,
                                               .key = sm_state_key_slice(&bench->keys[i]),
                                               .value = sm_slice(amount, sizeof(amount))};
    }
    if (bench->store->ops->write(bench->store->impl, writes, ACCOUNTS + 1, &err) !=
        SMELT_STATUS_OK) {
        die("store", &err);
    }
}

static const struct sm_export *find_export(const struct bench *bench, const char *name)
{
    return sm_exec_find_export(bench->contract->module, smelt_slice_from_string(name));
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct smelt_cache *cache = NULL;
    struct smelt_schedule *schedule = NULL;
    struct smelt_compiler *compiler = NULL;
    struct smelt_error err = {0};
    uint32_t cost_count;
    unsigned threads = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    if (argc < 3 || argc > 4 || threads == 0 || threads > THREADS_MAX) {
        (void)fprintf(stderr, "usage: %s <erc20.wasm> <empty directory> [threads]\n", argv[0]);
        return 2;
    }
    if (smelt_cache_open(argv[2], &cache, &err) != SMELT_STATUS_OK ||
        smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &schedule, &err) !=
            SMELT_STATUS_OK ||
        smelt_compiler_create(
            &(struct smelt_compiler_options){.cache = cache, .schedule = schedule}, &compiler,
            &err) != SMELT_STATUS_OK ||
        smelt_store_create_memory(&bench.store, &err) != SMELT_STATUS_OK) {
        die("set-up", &err);
    }
    bench.costs = sm_schedule_hosts(schedule, &cost_count);
    load_token(&bench, argv[1], compiler);
    fund(&bench);

    measure(&bench, "layer", &(struct call){0}, threads);
    measure(&bench, "activation", &(struct call){.has_frame = true}, threads);
    measure(&bench, "total_supply",
            &(struct call){.export_ = find_export(&bench, "total_supply"), .has_frame = true},
            threads);
    measure(&bench, "transfer",
            &(struct call){
                .export_ = find_export(&bench, "transfer"), .has_frame = true, .is_transfer = true},
            threads);
    sm_contract_release(bench.contract);
    sm_exec_pool_destroy(bench.pool);
    smelt_store_close(bench.store);
    smelt_compiler_destroy(compiler);
    smelt_schedule_destroy(schedule);
    smelt_cache_close(cache);
    return 0;
}
