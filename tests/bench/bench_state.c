/* What waves cost: transfers of a token (examples/contracts/erc20.c, compiled as any contract) and
 * of coins, over the memory store and over RocksDB.
 *
 * usage: bench_state [--json] [--quick] [--large] [--only TABLE] <erc20.wasm> <empty directory>
 *
 * One worker and two execute the same waves, in turns, so that a slow moment of the machine meets
 * both; a figure is the median of the rounds, a ratio the median of the rounds' ratios. From every
 * time is taken off what the thread that waited for a processor longest has waited, as the kernel
 * counts it, so that a busy machine shows mostly as what it does to the caches, and to threads that
 * wait for one another: "disturbed" is by how much the plain time is longer. All transactions must
 * be done, and all engines agree about every digest. */
#include "runtime/state/keys.h"
#include "tests/bench/chain.h"
#include "tests/bench/layers.h"
#include "tests/bench/report.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAVE         10000u /* transactions */
#define USERS        100000u
#define ROUNDS_MAX   15u
#define PAIRS_MAX    (2u * ROUNDS_MAX)
#define CALM         1.1 /* disturbance of a pair that need not be measured again */
#define BURST        3u  /* waves of one measurement */
#define WAVES_MAX    200u
#define MODULE_BYTES ((size_t)1 << 20)
#define PATH_BYTES   1024

struct bench {
    bool is_quick;
    bool is_large;
    const char *only; /* NULL: all tables */
    const char *scratch;
    uint32_t stores; /* directories that were used */
    size_t rounds;
    struct smelt_slice wasm;
    struct smelt_schedule *schedule;
    struct smelt_compiler *compiler;
};

static struct bench_cell text(const char *value)
{
    return (struct bench_cell){.text = value};
}

static struct bench_cell number(double value)
{
    return (struct bench_cell){.number = value};
}

/* ---- stores and engines -------------------------------------------------------------------- */

struct place {
    const char *name;
    bool is_memory;
    enum smelt_sync sync;
    bool is_behind;
};

static const struct place places[] = {
    {.name = "memory", .is_memory = true},
    {.name = "RocksDB, never synced", .sync = SMELT_SYNC_NEVER},
    {.name = "RocksDB, never synced, behind", .sync = SMELT_SYNC_NEVER, .is_behind = true},
    {.name = "RocksDB, synced", .sync = SMELT_SYNC_ALWAYS},
    {.name = "RocksDB, synced, behind", .sync = SMELT_SYNC_ALWAYS, .is_behind = true},
};

static struct smelt_store *open_store(struct bench *bench, const struct place *place)
{
    struct smelt_store *store = NULL;
    struct smelt_error err;
    char path[PATH_BYTES];
    enum smelt_status status;
    if (place->is_memory) {
        status = smelt_store_create_memory(&store, &err);
    } else {
        const struct smelt_rocksdb_options options = {.sync = place->sync};
        (void)snprintf(path, sizeof(path), "%s/state-%u", bench->scratch, bench->stores++);
        status = smelt_store_open_rocksdb(path, &options, &store, &err);
    }
    if (status != SMELT_STATUS_OK) {
        bench_die("store", &err);
    }
    return store;
}

static void open_peer(struct bench *bench, const struct place *place, uint32_t workers,
                      uint64_t state_bytes, struct smelt_store *store, struct bench_peer *peer)
{
    const struct smelt_engine_options options = {.schedule = bench->schedule,
                                                 .workers = workers,
                                                 .pin_workers = true,
                                                 .commits_behind = place->is_behind,
                                                 .state_bytes = state_bytes};
    bench_peer_init(peer, store, options, bench->compiler);
}

static void make_waves(struct bench_chain *chain, enum bench_load load, bool is_token,
                       uint32_t size, struct bench_wave *waves, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bench_chain_next(chain, load, is_token, size, &waves[i]);
    }
}

static void free_waves(struct bench_wave *waves, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bench_wave_deinit(&waves[i]);
    }
}

/* ---- layers -------------------------------------------------------------------------------- */

static void measure_layers(struct bench *bench)
{
    static const struct bench_column columns[] = {
        {"layers", "layers", 0}, {"read_ns", "read, ns", 1}, {"write_ns", "write, ns", 1}};
    static const size_t depths[] = {1, 8, 64};
    (void)bench;
    bench_report_table("layers", "Storage at the top of so many layers.", columns, 3);
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        struct bench_layers layers = bench_layers(depths[i]);
        const struct bench_cell cells[] = {number((double)depths[i]), number(layers.read_ns),
                                           number(layers.write_ns)};
        bench_report_row(cells);
    }
}

/* ---- transfers ----------------------------------------------------------------------------- */

static const struct bench_column transfer_columns[] = {
    {"store", "store", 0},
    {"kind", "transfers of", 0},
    {"load", "load", 0},
    {"one_per_s", "1 worker, per s", 0},
    {"one_min", "min", 0},
    {"one_max", "max", 0},
    {"two_per_s", "2 workers, per s", 0},
    {"two_min", NULL, 0},
    {"two_max", NULL, 0},
    {"ratio", "2 : 1", 2},
    {"ratio_min", NULL, 0},
    {"ratio_max", NULL, 0},
    {"processor_ns", "1 worker, ns of processor", 0},
    {"execute_ns", "ns execute", 0},
    {"digest_ns", "ns digest", 0},
    {"commit_ns", "ns commit", 0},
    {"retries", "2 workers, retried", 3},
    {"disturbance", "disturbed", 2},
};

/* One worker and two with the same waves. */
struct pair {
    struct bench_time times[2];
    double disturbance; /* time on the machine to time without waiting, of the worse of the two */
};

static double disturbance_of(const struct bench_time *time)
{
    return time->wall_s / time->idle_s;
}

static int by_disturbance(const void *a, const void *b)
{
    const struct pair *left = (const struct pair *)a;
    const struct pair *right = (const struct pair *)b;
    return (left->disturbance > right->disturbance) - (left->disturbance < right->disturbance);
}

/* As many pairs as there are rounds: those that the machine disturbed least, of up to twice as
 * many. What they took has no part in the choice. */
static void run_pairs(struct bench *bench, struct bench_chain *chain, struct bench_peer peers[2],
                      enum bench_load load, bool is_token, struct pair pairs[PAIRS_MAX])
{
    struct bench_wave waves[BURST];
    size_t calm = 0;
    size_t count = 0;
    for (; count < 2 * bench->rounds && calm < bench->rounds; count++) {
        struct pair *pair = &pairs[count];
        make_waves(chain, load, is_token, WAVE, waves, BURST);
        for (size_t i = 0; i < 2; i++) {
            size_t which = (i + count) % 2;
            pair->times[which] = bench_peer_run(&peers[which], waves, BURST);
        }
        free_waves(waves, BURST);
        double one = disturbance_of(&pair->times[0]);
        double two = disturbance_of(&pair->times[1]);
        pair->disturbance = one > two ? one : two;
        calm += pair->disturbance < CALM;
    }
    qsort(pairs, count, sizeof(*pairs), by_disturbance);
}

static void measure_load(struct bench *bench, const struct place *place, struct bench_chain *chain,
                         struct bench_peer peers[2], enum bench_load load, bool is_token)
{
    struct pair pairs[PAIRS_MAX];
    double rates[2][ROUNDS_MAX];
    double ratios[ROUNDS_MAX];
    double processor[ROUNDS_MAX];
    double execute[ROUNDS_MAX];
    double digest[ROUNDS_MAX];
    double commit[ROUNDS_MAX];
    double retries = 0;
    const double count = (double)BURST * WAVE;
    const size_t rounds = bench->rounds;
    run_pairs(bench, chain, peers, load, is_token, pairs);
    for (size_t round = 0; round < rounds; round++) {
        const struct bench_time *times = pairs[round].times;
        rates[0][round] = count / times[0].idle_s;
        rates[1][round] = count / times[1].idle_s;
        ratios[round] = times[0].idle_s / times[1].idle_s;
        processor[round] = times[0].processor_s * 1e9 / count;
        execute[round] = times[0].execute_s * 1e9 / count;
        digest[round] = times[0].digest_s * 1e9 / count;
        commit[round] = times[0].commit_s * 1e9 / count;
        retries += times[1].retries / count / (double)rounds;
    }
    struct bench_spread one = bench_spread_of(rates[0], rounds);
    struct bench_spread two = bench_spread_of(rates[1], rounds);
    struct bench_spread ratio = bench_spread_of(ratios, rounds);
    const struct bench_cell cells[] = {text(place->name),
                                       text(is_token ? "token" : "coins"),
                                       text(bench_load_name(load)),
                                       number(one.median),
                                       number(one.min),
                                       number(one.max),
                                       number(two.median),
                                       number(two.min),
                                       number(two.max),
                                       number(ratio.median),
                                       number(ratio.min),
                                       number(ratio.max),
                                       number(bench_spread_of(processor, rounds).median),
                                       number(bench_spread_of(execute, rounds).median),
                                       number(bench_spread_of(digest, rounds).median),
                                       number(bench_spread_of(commit, rounds).median),
                                       number(retries),
                                       number(pairs[rounds / 2].disturbance)};
    bench_report_row(cells);
}

static void measure_place(struct bench *bench, const struct place *place)
{
    static const enum bench_load loads[] = {BENCH_DISJOINT, BENCH_ZIPF, BENCH_HOT};
    struct bench_chain chain;
    struct bench_peer peers[2];
    bench_chain_init(&chain, bench->wasm, bench->is_quick ? USERS / 4 : USERS);
    for (uint32_t i = 0; i < 2; i++) {
        open_peer(bench, place, i + 1, 0, open_store(bench, place), &peers[i]);
    }
    bench_chain_fill(&chain, peers, 2);
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof(loads) / sizeof(loads[0]); j++) {
            measure_load(bench, place, &chain, peers, loads[j], i == 0);
        }
    }
    bench_peer_deinit(&peers[0]);
    bench_peer_deinit(&peers[1]);
    bench_chain_deinit(&chain);
}

static void measure_transfers(struct bench *bench)
{
    bench_report_table("transfers", "Transfers, in waves of 10 000.", transfer_columns,
                       sizeof(transfer_columns) / sizeof(transfer_columns[0]));
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        measure_place(bench, &places[i]);
    }
}

/* ---- latency ------------------------------------------------------------------------------- */

static double percentile(const double *sorted, size_t count, size_t percent)
{
    return sorted[(count - 1) * percent / 100];
}

static void measure_size(struct bench *bench, struct bench_chain *chain, struct bench_peer *peer,
                         uint32_t size, size_t count)
{
    static double whole[WAVES_MAX];
    static double commit[WAVES_MAX];
    count = bench->is_quick ? count / 5 : count;
    for (size_t i = 0; i < count; i++) {
        struct bench_wave wave;
        bench_chain_next(chain, BENCH_DISJOINT, true, size, &wave);
        struct bench_time time = bench_peer_run(peer, &wave, 1);
        bench_wave_deinit(&wave);
        whole[i] = time.idle_s * 1e3;
        commit[i] = time.commit_s * 1e3;
    }
    (void)bench_spread_of(whole, count);
    (void)bench_spread_of(commit, count);
    const struct bench_cell cells[] = {number(size),
                                       number((double)count),
                                       number(percentile(whole, count, 50)),
                                       number(percentile(whole, count, 99)),
                                       number(percentile(commit, count, 50)),
                                       number(percentile(commit, count, 99))};
    bench_report_row(cells);
}

static void measure_latency(struct bench *bench)
{
    static const struct bench_column columns[] = {
        {"transactions", "transactions", 0}, {"waves", "waves", 0},
        {"wave_ms", "wave, ms", 2},          {"wave_p99_ms", "p99", 2},
        {"commit_ms", "commit, ms", 2},      {"commit_p99_ms", "p99", 2}};
    const struct place *place = &places[3];
    struct bench_chain chain;
    struct bench_peer peer;
    bench_report_table("latency",
                       "A wave of token transfers from call to return: RocksDB, synced, 2 workers.",
                       columns, sizeof(columns) / sizeof(columns[0]));
    bench_chain_init(&chain, bench->wasm, USERS / 4);
    open_peer(bench, place, 2, 0, open_store(bench, place), &peer);
    bench_chain_fill(&chain, &peer, 1);
    measure_size(bench, &chain, &peer, 100, WAVES_MAX);
    measure_size(bench, &chain, &peer, 1000, WAVES_MAX);
    measure_size(bench, &chain, &peer, 10000, WAVES_MAX / 4);
    bench_peer_deinit(&peer);
    bench_chain_deinit(&chain);
}

/* ---- view calls ---------------------------------------------------------------------------- */

struct viewer {
    const struct bench_chain *chain;
    struct bench_peer *peer;
    atomic_bool is_over;
    uint64_t calls;
    double seconds; /* that the thread was running */
};

static void pin(size_t processor)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    (void)pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

static double thread_s(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void *view(void *context)
{
    struct viewer *viewer = (struct viewer *)context;
    double start = thread_s();
    pin(1);
    while (!atomic_load(&viewer->is_over)) {
        struct smelt_address owner;
        struct smelt_receipt *receipt = NULL;
        struct smelt_error err;
        bench_user_address(viewer->calls * 7919 % viewer->chain->users, &owner);
        const struct smelt_transaction transaction = {.input = {owner.bytes, sizeof(owner.bytes)},
                                                      .is_static = true};
        if (smelt_call(viewer->peer->engine, &transaction, &viewer->chain->token, "balance_of",
                       NULL, 0, &receipt, &err) != SMELT_STATUS_OK) {
            bench_die("view call", &err);
        }
        if (receipt->outcome.kind != SMELT_OUTCOME_RETURNED || receipt->return_data.size != 16) {
            bench_die("a view call did not return a balance", NULL);
        }
        smelt_receipt_destroy(receipt);
        viewer->calls++;
    }
    viewer->seconds = thread_s() - start;
    return NULL;
}

static void sleep_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&time, NULL);
}

/* The view calls of one thread, and the transfers of another beside it. */
static void measure_viewer(struct bench *bench, const struct place *place,
                           struct bench_chain *chain, struct bench_peer *peer, bool has_viewer,
                           bool has_waves)
{
    struct viewer viewer = {.chain = chain, .peer = peer};
    struct bench_wave waves[BURST];
    double rates[ROUNDS_MAX] = {0};
    pthread_t thread = 0;
    atomic_init(&viewer.is_over, false);
    if (has_viewer && pthread_create(&thread, NULL, view, &viewer) != 0) {
        bench_die("no thread", NULL);
    }
    for (size_t i = 0; has_waves && i < bench->rounds; i++) {
        make_waves(chain, BENCH_DISJOINT, true, WAVE, waves, BURST);
        rates[i] = (double)BURST * WAVE / bench_peer_run(peer, waves, BURST).idle_s;
        free_waves(waves, BURST);
    }
    if (!has_waves) {
        sleep_ms(bench->is_quick ? 300 : 1500);
    }
    atomic_store(&viewer.is_over, true);
    if (has_viewer) {
        (void)pthread_join(thread, NULL);
    }
    const struct bench_cell cells[] = {
        text(place->name), number(has_viewer ? (double)viewer.calls / viewer.seconds : 0),
        number(bench_spread_of(rates, has_waves ? bench->rounds : 1).median)};
    bench_report_row(cells);
}

static void measure_views(struct bench *bench)
{
    static const struct bench_column columns[] = {{"store", "store", 0},
                                                  {"views_per_s", "view calls per s", 0},
                                                  {"per_s", "transfers per s", 0}};
    bench_report_table("views",
                       "Static calls of `balance_of` by one thread, token transfers by another.",
                       columns, sizeof(columns) / sizeof(columns[0]));
    for (size_t i = 0; i < 2; i++) {
        struct bench_chain chain;
        struct bench_peer peer;
        cpu_set_t before;
        bench_chain_init(&chain, bench->wasm, USERS / 4);
        open_peer(bench, &places[i], 1, 0, open_store(bench, &places[i]), &peer);
        bench_chain_fill(&chain, &peer, 1);
        (void)pthread_getaffinity_np(pthread_self(), sizeof(before), &before);
        pin(0);
        measure_viewer(bench, &places[i], &chain, &peer, true, false);
        measure_viewer(bench, &places[i], &chain, &peer, false, true);
        measure_viewer(bench, &places[i], &chain, &peer, true, true);
        (void)pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
        bench_peer_deinit(&peer);
        bench_chain_deinit(&chain);
    }
}

/* ---- growth -------------------------------------------------------------------------------- */

#define GROWTH_WAVES 5u
#define GETS         20000u

#define BALANCE_KEY_BYTES (SMELT_ADDRESS_BYTES + 2u + SMELT_ADDRESS_BYTES)

/* Nanoseconds of processor for a get of a balance at random. */
static double get_ns(struct smelt_store *store, struct bench_chain *chain)
{
    static uint8_t keys[GETS][BALANCE_KEY_BYTES];
    struct smelt_buf value = {0};
    for (size_t i = 0; i < GETS; i++) {
        struct sm_state_key key;
        struct smelt_address user;
        uint8_t own[1 + SMELT_ADDRESS_BYTES] = {'b'};
        bench_user_address(bench_chain_user(chain), &user);
        memcpy(own + 1, user.bytes, sizeof(user.bytes));
        sm_state_storage_key(&chain->token, (struct smelt_slice){own, sizeof(own)}, &key);
        memcpy(keys[i], key.bytes, sizeof(keys[i]));
    }
    double start = thread_s();
    for (size_t i = 0; i < GETS; i++) {
        bool is_found = false;
        if (store->ops->get(store->impl, NULL, SMELT_STORE_STATE,
                            (struct smelt_slice){keys[i], sizeof(keys[i])}, &value, &is_found,
                            NULL) != SMELT_STATUS_OK ||
            !is_found) {
            bench_die("a balance is missing", NULL);
        }
    }
    double spent = thread_s() - start;
    smelt_buf_deinit(&value);
    return spent * 1e9 / GETS;
}

/* How many users there are among so many that were picked at random, on average. */
static double distinct(uint32_t users, uint32_t picks)
{
    double absent = 1; /* how likely one is not picked */
    for (uint32_t i = 0; i < picks; i++) {
        absent *= 1 - 1.0 / users;
    }
    return users * (1 - absent);
}

/* Over engines that have nothing in memory yet: every account comes from the store, once. */
static void measure_users(struct bench *bench, const struct place *place, uint32_t users)
{
    struct bench_chain chain;
    struct bench_peer peer;
    struct bench_wave wave;
    double ns[GROWTH_WAVES];
    bench_chain_init(&chain, bench->wasm, users);
    struct smelt_store *store = open_store(bench, place);
    open_peer(bench, place, 1, 0, store, &peer);
    bench_chain_fill(&chain, &peer, 1);
    for (size_t i = 0; i < GROWTH_WAVES; i++) {
        smelt_engine_destroy(peer.engine);
        open_peer(bench, place, 1, 0, store, &peer);
        bench_chain_next(&chain, BENCH_UNIFORM, true, WAVE, &wave);
        struct bench_time time = bench_peer_run(&peer, &wave, 1);
        bench_wave_deinit(&wave);
        ns[i] = time.idle_s * 1e9 / WAVE;
    }
    double get = get_ns(store, &chain);
    /* a sender has an account and a balance, a receiver a balance */
    double reads = (distinct(users, WAVE) + distinct(users, 2 * WAVE)) / WAVE;
    struct bench_spread spread = bench_spread_of(ns, GROWTH_WAVES);
    const struct bench_cell cells[] = {text(place->name),     number(users),
                                       number(spread.median), number(spread.min),
                                       number(spread.max),    number(get),
                                       number(reads),         number(spread.median - reads * get)};
    bench_report_row(cells);
    bench_peer_deinit(&peer);
    bench_chain_deinit(&chain);
}

static void measure_growth(struct bench *bench)
{
    static const struct bench_column columns[] = {
        {"store", "store", 0},
        {"users", "accounts", 0},
        {"transfer_ns", "transfer, ns", 0},
        {"transfer_min_ns", "min", 0},
        {"transfer_max_ns", "max", 0},
        {"get_ns", "the store's get, ns", 0},
        {"gets", "gets per transfer", 2},
        {"rest_ns", "transfer less its gets, ns", 0},
    };
    static const uint32_t users[] = {10000, 100000, 1000000, 10000000};
    size_t count = bench->is_large ? 4 : bench->is_quick ? 2 : 3;
    bench_report_table("growth",
                       "Token transfers between accounts at random, nothing in memory: each "
                       "account is read from the store. 1 worker.",
                       columns, sizeof(columns) / sizeof(columns[0]));
    for (size_t i = 0; i < 2; i++) {
        for (size_t j = 0; j < count; j++) {
            measure_users(bench, &places[i], users[j]);
        }
    }
}

/* ---- the whole ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*measure)(struct bench *bench);
} tables[] = {{"layers", measure_layers},
              {"transfers", measure_transfers},
              {"latency", measure_latency},
              {"views", measure_views},
              {"growth", measure_growth}};

static bool is_table(const char *name)
{
    bool is_found = name == NULL;
    for (size_t i = 0; !is_found && i < sizeof(tables) / sizeof(tables[0]); i++) {
        is_found = strcmp(name, tables[i].name) == 0;
    }
    return is_found;
}

static void run(struct bench *bench, bool is_json)
{
    bench_report_open(is_json);
    bench_report_machine();
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (bench->only == NULL || strcmp(bench->only, tables[i].name) == 0) {
            tables[i].measure(bench);
        }
    }
    bench_report_machine();
    bench_report_close();
}

static void open_compiler(struct bench *bench, struct smelt_cache **cache)
{
    struct smelt_error err;
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/cache", bench->scratch);
    if (smelt_cache_open(path, cache, &err) != SMELT_STATUS_OK ||
        smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &bench->schedule, &err) !=
            SMELT_STATUS_OK) {
        bench_die("set-up", &err);
    }
    const struct smelt_compiler_options options = {.cache = *cache, .schedule = bench->schedule};
    if (smelt_compiler_create(&options, &bench->compiler, &err) != SMELT_STATUS_OK) {
        bench_die("set-up", &err);
    }
}

static struct smelt_slice read_module(const char *path)
{
    static uint8_t module[MODULE_BYTES];
    FILE *file = fopen(path, "rb");
    size_t size = file != NULL ? fread(module, 1, sizeof(module), file) : 0;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (size == 0) {
        bench_die("cannot read the module", NULL);
    }
    return (struct smelt_slice){module, size};
}

int main(int argc, char **argv)
{
    struct bench bench = {.rounds = 5};
    struct smelt_cache *cache = NULL;
    bool is_json = false;
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--json") == 0) {
            is_json = true;
        } else if (strcmp(argv[at], "--quick") == 0) {
            bench.is_quick = true;
            bench.rounds = 3;
        } else if (strcmp(argv[at], "--large") == 0) {
            bench.is_large = true;
        } else if (strcmp(argv[at], "--only") == 0 && at + 1 < argc) {
            bench.only = argv[++at];
        } else {
            break;
        }
    }
    if (argc - at != 2 || !is_table(bench.only)) {
        (void)fprintf(stderr,
                      "usage: %s [--json] [--quick] [--large] [--only TABLE] <erc20.wasm> "
                      "<empty directory>\n",
                      argv[0]);
        return 2;
    }
    bench.wasm = read_module(argv[at]);
    bench.scratch = argv[at + 1];
    open_compiler(&bench, &cache);
    run(&bench, is_json);
    smelt_compiler_destroy(bench.compiler);
    smelt_schedule_destroy(bench.schedule);
    smelt_cache_close(cache);
    return 0;
}
