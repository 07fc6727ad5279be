/* How many calls of `increment` one process makes per second, over the memory store and over
 * RocksDB. Each call is a transaction of its own, committed before the next one begins.
 *
 * usage: bench_call <counter.wasm> <empty directory> [calls per run]
 *
 * Prints the median of five runs per store, and their spread. Public interface only. */
#include <smelt/smelt.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RUNS          5
#define CALLS_DEFAULT 20000
#define MODULE_BYTES  (1u << 20)

static _Noreturn void die(const char *what, const struct smelt_error *err)
{
    fprintf(stderr, "bench_call: %s: %s: %s\n", what, smelt_status_name(err->status), err->message);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int by_value(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;
    return (*left > *right) - (*left < *right);
}

static void bench(const char *name, struct smelt_store *store, struct smelt_compiler *compiler,
                  const struct smelt_schedule *schedule, struct smelt_slice wasm, uint64_t calls)
{
    struct smelt_engine_options options = {
        .store = store, .schedule = schedule, .source = smelt_compiler_source(compiler)};
    struct smelt_transaction transaction = {.from = {.bytes = {1}}};
    struct smelt_engine *engine = NULL;
    struct smelt_receipt *receipt = NULL;
    struct smelt_error err = {0};
    if (smelt_engine_create(&options, &engine, &err) != SMELT_STATUS_OK ||
        smelt_deploy(engine, &transaction, wasm, &receipt, &err) != SMELT_STATUS_OK) {
        die(name, &err);
    }
    struct smelt_address contract = receipt->address;
    smelt_receipt_destroy(receipt);

    double rates[RUNS];
    uint64_t count = 0;
    for (int run = 0; run < RUNS; run++) {
        double start = now();
        for (uint64_t i = 0; i < calls; i++) {
            if (smelt_call(engine, &transaction, &contract, "increment", NULL, 0, &receipt, &err) !=
                SMELT_STATUS_OK) {
                die(name, &err);
            }
            count++;
            if (receipt->outcome.kind != SMELT_OUTCOME_RETURNED ||
                receipt->results[0].bits != count) {
                fprintf(stderr, "bench_call: %s: call %" PRIu64 " went wrong\n", name, count);
                exit(1);
            }
            smelt_receipt_destroy(receipt);
        }
        rates[run] = (double)calls / (now() - start);
    }
    qsort(rates, RUNS, sizeof(rates[0]), by_value);
    printf("%-8s %10.0f calls/s   (median of %d runs of %" PRIu64 " calls; %.0f to %.0f)\n", name,
           rates[RUNS / 2], RUNS, calls, rates[0], rates[RUNS - 1]);
    smelt_engine_destroy(engine);
    smelt_store_close(store);
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: %s <counter.wasm> <empty directory> [calls per run]\n", argv[0]);
        return 2;
    }
    uint64_t calls = argc == 4 ? strtoull(argv[3], NULL, 10) : CALLS_DEFAULT;
    static uint8_t module[MODULE_BYTES];
    FILE *file = fopen(argv[1], "rb");
    if (file == NULL || calls == 0) {
        fprintf(stderr, "bench_call: cannot read %s, or no calls to make\n", argv[1]);
        return 1;
    }
    struct smelt_slice wasm = {module, fread(module, 1, sizeof(module), file)};
    fclose(file);

    char cache_path[1024];
    char state_path[1024];
    snprintf(cache_path, sizeof(cache_path), "%s/cache", argv[2]);
    snprintf(state_path, sizeof(state_path), "%s/state", argv[2]);
    struct smelt_cache *cache = NULL;
    struct smelt_schedule *schedule = NULL;
    struct smelt_compiler *compiler = NULL;
    struct smelt_store *memory = NULL;
    struct smelt_store *rocksdb = NULL;
    struct smelt_error err = {0};
    if (smelt_cache_open(cache_path, &cache, &err) != SMELT_STATUS_OK ||
        smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &schedule, &err) !=
            SMELT_STATUS_OK ||
        smelt_compiler_create(
            &(struct smelt_compiler_options){.cache = cache, .schedule = schedule}, &compiler,
            &err) != SMELT_STATUS_OK ||
        smelt_store_create_memory(&memory, &err) != SMELT_STATUS_OK ||
        smelt_store_open_rocksdb(state_path, NULL, &rocksdb, &err) != SMELT_STATUS_OK) {
        die("set-up", &err);
    }
    bench("memory", memory, compiler, schedule, wasm, calls);
    bench("rocksdb", rocksdb, compiler, schedule, wasm, calls);
    smelt_compiler_destroy(compiler);
    smelt_schedule_destroy(schedule);
    smelt_cache_close(cache);
    return 0;
}
