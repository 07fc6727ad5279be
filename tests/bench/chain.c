#include "tests/bench/chain.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define CHAIN_ID    1u
#define FUEL_LIMIT  UINT64_C(200000)
#define FUEL_DEPLOY UINT64_C(10000000)
#define COINS       (UINT64_C(1) << 56) /* of a user, for all the fees there will be */
#define TOKENS      (UINT64_C(1) << 40)
#define FILL_WAVE   100000u
#define THREADS_MAX 64u

enum { INPUT_BYTES = SMELT_ADDRESS_BYTES + 16 };

_Noreturn void bench_die(const char *what, const struct smelt_error *err)
{
    (void)fprintf(stderr, "bench_state: %s%s%s\n", what, err != NULL ? ": " : "",
                  err != NULL ? err->message : "");
    exit(1);
}

static void *allocate(size_t count, size_t size)
{
    void *block = calloc(count, size);
    if (block == NULL) {
        bench_die("no memory", NULL);
    }
    return block;
}

/* ---- who there is -------------------------------------------------------------------------- */

/* xorshift64* */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

void bench_user_address(uint64_t user, struct smelt_address *out)
{
    uint64_t seed = user + 1;
    for (size_t at = 0; at < sizeof(out->bytes); at += sizeof(seed)) {
        uint64_t part = next_random(&seed);
        memcpy(out->bytes + at, &part, sizeof(part));
    }
}

uint32_t bench_chain_user(struct bench_chain *chain)
{
    return (uint32_t)(next_random(&chain->seed) % chain->users);
}

void bench_chain_init(struct bench_chain *chain, struct smelt_slice wasm, uint32_t users)
{
    double sum = 0;
    struct smelt_address deployer;
    *chain = (struct bench_chain){.wasm = wasm, .users = users, .seed = 42};
    chain->nonces = (uint64_t *)allocate((size_t)users + 1, sizeof(*chain->nonces));
    chain->order = (uint32_t *)allocate(users, sizeof(*chain->order));
    chain->zipf = (double *)allocate(users, sizeof(*chain->zipf));
    for (uint32_t i = 0; i < users; i++) {
        sum += 1.0 / (i + 1.0);
        chain->order[i] = i;
        chain->zipf[i] = sum;
    }
    bench_user_address(users, &deployer);
    smelt_contract_address(&deployer, 0, &chain->token);
}

void bench_chain_deinit(struct bench_chain *chain)
{
    free(chain->nonces);
    free(chain->order);
    free(chain->zipf);
    *chain = (struct bench_chain){0};
}

/* ---- waves --------------------------------------------------------------------------------- */

const char *bench_load_name(enum bench_load load)
{
    static const char *const names[] = {[BENCH_DISJOINT] = "disjoint",
                                        [BENCH_ZIPF] = "Zipf",
                                        [BENCH_HOT] = "one hot account",
                                        [BENCH_UNIFORM] = "uniform"};
    return names[load];
}

static uint32_t zipf_user(struct bench_chain *chain)
{
    double unit = (double)(next_random(&chain->seed) >> 11) / (double)(UINT64_C(1) << 53);
    double wanted = unit * chain->zipf[chain->users - 1];
    uint32_t low = 0;
    uint32_t high = chain->users - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (chain->zipf[middle] < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The next user in a random order; `at` of them have been taken. */
static uint32_t take_user(struct bench_chain *chain, uint32_t at)
{
    uint32_t other = at + (uint32_t)(next_random(&chain->seed) % (chain->users - at));
    uint32_t user = chain->order[other];
    chain->order[other] = chain->order[at];
    chain->order[at] = user;
    return user;
}

static void pick(struct bench_chain *chain, enum bench_load load, uint32_t index, uint32_t *from,
                 uint32_t *to)
{
    switch (load) {
    case BENCH_DISJOINT:
        *from = take_user(chain, 2 * index);
        *to = take_user(chain, 2 * index + 1);
        return;
    case BENCH_ZIPF:
        *from = zipf_user(chain);
        *to = zipf_user(chain);
        return;
    case BENCH_HOT:
        *from = 1 + (uint32_t)(next_random(&chain->seed) % (chain->users - 1));
        *to = 0;
        return;
    case BENCH_UNIFORM:
        *from = bench_chain_user(chain);
        *to = bench_chain_user(chain);
        return;
    }
}

static void begin_wave(struct bench_chain *chain, uint32_t count, struct bench_wave *out)
{
    *out = (struct bench_wave){0};
    out->transactions =
        (struct smelt_wave_transaction *)allocate(count, sizeof(*out->transactions));
    out->inputs = (uint8_t *)allocate(count, INPUT_BYTES);
    chain->number++;
    out->wave = (struct smelt_wave){.chain_id = CHAIN_ID,
                                    .number = chain->number,
                                    .timestamp = chain->number,
                                    .transactions = out->transactions,
                                    .count = count};
}

static void put_transfer(struct bench_chain *chain, struct bench_wave *wave, size_t index,
                         uint32_t from, uint32_t to, bool is_token, uint64_t amount)
{
    struct smelt_wave_transaction *transaction = &wave->transactions[index];
    transaction->nonce = chain->nonces[from]++;
    transaction->fuel_limit = FUEL_LIMIT;
    transaction->fuel_price = 1;
    bench_user_address(from, &transaction->from);
    bench_user_address(to, &transaction->to);
    if (!is_token) {
        transaction->kind = SMELT_TRANSACTION_TRANSFER;
        transaction->value.low = amount;
        return;
    }
    uint8_t *input = wave->inputs + index * INPUT_BYTES;
    memcpy(input, transaction->to.bytes, SMELT_ADDRESS_BYTES);
    memcpy(input + SMELT_ADDRESS_BYTES, &amount, sizeof(amount));
    transaction->kind = SMELT_TRANSACTION_CALL;
    transaction->to = chain->token;
    transaction->function = smelt_slice_from_string("transfer");
    transaction->input = (struct smelt_slice){input, INPUT_BYTES};
}

void bench_chain_next(struct bench_chain *chain, enum bench_load load, bool is_token,
                      uint32_t count, struct bench_wave *out)
{
    begin_wave(chain, count, out);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t from = 0;
        uint32_t to = 0;
        pick(chain, load, i, &from, &to);
        put_transfer(chain, out, i, from, to, is_token, 1);
    }
}

void bench_wave_deinit(struct bench_wave *wave)
{
    free(wave->transactions);
    free(wave->inputs);
    *wave = (struct bench_wave){0};
}

static void put_deploy(struct bench_chain *chain, struct bench_wave *wave)
{
    struct smelt_wave_transaction *transaction = &wave->transactions[0];
    transaction->kind = SMELT_TRANSACTION_DEPLOY;
    transaction->nonce = chain->nonces[chain->users]++;
    transaction->fuel_limit = FUEL_DEPLOY;
    transaction->fuel_price = 1;
    bench_user_address(chain->users, &transaction->from);
    wave->inputs[15] = 1; /* a supply of 2^120 */
    transaction->input = (struct smelt_slice){wave->inputs, 16};
    transaction->wasm = chain->wasm;
}

static void run_everywhere(struct bench_peer *peers, uint32_t count, struct bench_wave *wave)
{
    for (uint32_t i = 0; i < count; i++) {
        (void)bench_peer_run(&peers[i], wave, 1);
    }
    bench_wave_deinit(wave);
}

void bench_chain_fill(struct bench_chain *chain, struct bench_peer *peers, uint32_t peer_count)
{
    struct bench_wave wave;
    struct smelt_address deployer;
    struct smelt_error err;
    bench_user_address(chain->users, &deployer);
    for (uint32_t i = 0; i < peer_count; i++) {
        if (smelt_account_fund(peers[i].store, &deployer,
                               (struct smelt_u128){.high = UINT64_C(1) << 56},
                               &err) != SMELT_STATUS_OK) {
            bench_die("funds", &err);
        }
    }
    begin_wave(chain, 1, &wave);
    put_deploy(chain, &wave);
    run_everywhere(peers, peer_count, &wave);
    for (uint32_t done = 0; done < chain->users;) {
        uint32_t count = chain->users - done < FILL_WAVE ? chain->users - done : FILL_WAVE;
        begin_wave(chain, 2 * count, &wave);
        for (uint32_t i = 0; i < count; i++) {
            put_transfer(chain, &wave, 2 * i, chain->users, done + i, false, COINS);
            put_transfer(chain, &wave, 2 * i + 1, chain->users, done + i, true, TOKENS);
        }
        run_everywhere(peers, peer_count, &wave);
        done += count;
    }
}

/* ---- peers --------------------------------------------------------------------------------- */

void bench_peer_init(struct bench_peer *peer, struct smelt_store *store,
                     struct smelt_engine_options options, struct smelt_compiler *compiler)
{
    struct smelt_error err;
    *peer = (struct bench_peer){.store = store};
    options.store = store;
    options.source = smelt_compiler_source(compiler);
    if (smelt_engine_create(&options, &peer->engine, &err) != SMELT_STATUS_OK) {
        bench_die("engine", &err);
    }
}

void bench_peer_deinit(struct bench_peer *peer)
{
    smelt_engine_destroy(peer->engine);
    smelt_store_close(peer->store);
    *peer = (struct bench_peer){0};
}

static double wall_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double processor_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* How long each thread but those of RocksDB was ready to run and did not; nothing where the kernel
 * does not say. */
struct waits {
    long threads[THREADS_MAX];
    double seconds[THREADS_MAX];
    size_t count;
};

static bool read_text(const char *thread, const char *name, char *out, int size)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "/proc/self/task/%s/%s", thread, name);
    FILE *file = fopen(path, "r");
    bool is_read = file != NULL && fgets(out, size, file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    return is_read;
}

static struct waits read_waits(void)
{
    struct waits waits = {.count = 0};
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    while (tasks != NULL && waits.count < THREADS_MAX && (task = readdir(tasks)) != NULL) {
        char text[128];
        double ran;
        double waited;
        if (task->d_name[0] != '.' && read_text(task->d_name, "comm", text, sizeof(text)) &&
            strncmp(text, "rocksdb", 7) != 0 &&
            read_text(task->d_name, "schedstat", text, sizeof(text)) &&
            sscanf(text, "%lf %lf", &ran, &waited) == 2) {
            waits.threads[waits.count] = strtol(task->d_name, NULL, 10);
            waits.seconds[waits.count++] = waited / 1e9;
        }
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
    return waits;
}

/* The longest that one thread has waited more. */
static double longest_wait(const struct waits *before, const struct waits *after)
{
    double longest = 0;
    for (size_t i = 0; i < after->count; i++) {
        for (size_t j = 0; j < before->count; j++) {
            double more = after->seconds[i] - before->seconds[j];
            if (after->threads[i] == before->threads[j] && more > longest) {
                longest = more;
            }
        }
    }
    return longest;
}

static void run_wave(struct bench_peer *peer, struct bench_wave *wave, struct bench_time *time)
{
    struct smelt_wave_result *result = NULL;
    struct smelt_error err;
    if (smelt_wave_run(peer->engine, &wave->wave, &result, &err) != SMELT_STATUS_OK) {
        bench_die("wave", &err);
    }
    const struct smelt_wave_record *record = smelt_wave_result_record(result);
    const struct smelt_wave_effort *effort = smelt_wave_result_effort(result);
    const struct smelt_hash *digest = smelt_wave_result_digest(result);
    if (record->rejected_count != 0 || record->failed_count != 0) {
        bench_die("a transaction is not done", NULL);
    }
    if (wave->has_digest && memcmp(&wave->digest, digest, sizeof(*digest)) != 0) {
        bench_die("two engines disagree about a wave", NULL);
    }
    wave->has_digest = true;
    wave->digest = *digest;
    time->execute_s += (double)effort->execute_ns / 1e9;
    time->digest_s += (double)effort->digest_ns / 1e9;
    time->commit_s += (double)effort->commit_ns / 1e9;
    time->retries += (double)effort->retries;
    smelt_wave_result_destroy(result);
}

struct bench_time bench_peer_run(struct bench_peer *peer, struct bench_wave *waves, size_t count)
{
    struct bench_time time = {0};
    struct smelt_error err;
    struct waits before = read_waits();
    double processor = processor_s();
    double wall = wall_s();
    for (size_t i = 0; i < count; i++) {
        run_wave(peer, &waves[i], &time);
    }
    if (smelt_engine_flush(peer->engine, &err) != SMELT_STATUS_OK) {
        bench_die("flush", &err);
    }
    time.wall_s = wall_s() - wall;
    time.processor_s = processor_s() - processor;
    struct waits after = read_waits();
    double waited = longest_wait(&before, &after);
    time.idle_s = waited < time.wall_s ? time.wall_s - waited : time.wall_s;
    return time;
}
