/* What fuel metering costs: the same generated C, compiled with its charges and without, run in
 * turns.
 *
 * usage: bench_fuel <module.wasm> <artefact key> <metered.so> <unmetered.so> <export> <i32>
 *
 * Both objects carry the same descriptor, so the engine takes either; this program is its artefact
 * source. Prints the median of the runs of each, and the median of the ratios of neighbouring
 * runs, which cancels slow drifts of the machine. scripts/bench makes the objects. */
#include <smelt/smelt.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS         11
#define MODULE_BYTES (1u << 20)

struct object {
    const char *path;
    struct smelt_hash key;
};

struct side {
    struct object object;
    struct smelt_store *store;
    struct smelt_engine *engine;
    struct smelt_address contract;
    double seconds[RUNS];
};

static _Noreturn void die(const char *what, const struct smelt_error *err)
{
    fprintf(stderr, "bench_fuel: %s: %s: %s\n", what, smelt_status_name(err->status), err->message);
    exit(1);
}

static enum smelt_status open_object(void *context, const struct smelt_hash *module_hash,
                                     struct smelt_slice wasm, int *fd, struct smelt_hash *key,
                                     struct smelt_error *err)
{
    const struct object *object = context;
    (void)module_hash;
    (void)wasm;
    *key = object->key;
    *fd = open(object->path, O_RDONLY | O_CLOEXEC);
    if (*fd >= 0) {
        return SMELT_STATUS_OK;
    }
    if (err != NULL) {
        *err = (struct smelt_error){.status = SMELT_STATUS_IO, .offset = -1, .func_index = -1};
        snprintf(err->message, sizeof(err->message), "cannot open %s", object->path);
    }
    return SMELT_STATUS_IO;
}

static int by_value(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;
    return (*left > *right) - (*left < *right);
}

static double median(const double values[RUNS])
{
    double sorted[RUNS];
    memcpy(sorted, values, sizeof(sorted));
    qsort(sorted, RUNS, sizeof(sorted[0]), by_value);
    return sorted[RUNS / 2];
}

static void open_side(struct side *side, const struct smelt_schedule *schedule,
                      struct smelt_slice wasm)
{
    struct smelt_transaction transaction = {.from = {.bytes = {1}}};
    struct smelt_receipt *receipt = NULL;
    struct smelt_error err = {0};
    if (smelt_store_create_memory(&side->store, &err) != SMELT_STATUS_OK) {
        die("store", &err);
    }
    struct smelt_engine_options options = {
        .store = side->store,
        .schedule = schedule,
        .source = {.open = open_object, .context = &side->object}};
    if (smelt_engine_create(&options, &side->engine, &err) != SMELT_STATUS_OK ||
        smelt_deploy(side->engine, &transaction, wasm, &receipt, &err) != SMELT_STATUS_OK) {
        die(side->object.path, &err);
    }
    side->contract = receipt->address;
    smelt_receipt_destroy(receipt);
}

static void close_side(struct side *side)
{
    smelt_engine_destroy(side->engine);
    smelt_store_close(side->store);
}

/* Seconds in the contract; the result and fuel used through the out-parameters. */
static double run(const struct side *side, const char *function, uint32_t argument,
                  uint64_t *result, uint64_t *fuel)
{
    struct smelt_transaction transaction = {.from = {.bytes = {1}},
                                            .fuel_limit = UINT64_C(1000000000000)};
    struct smelt_value value = {.type = SMELT_VALTYPE_I32, .bits = argument};
    struct smelt_receipt *receipt = NULL;
    struct smelt_error err = {0};
    if (smelt_call(side->engine, &transaction, &side->contract, function, &value, 1, &receipt,
                   &err) != SMELT_STATUS_OK) {
        die(function, &err);
    }
    if (receipt->outcome.kind != SMELT_OUTCOME_RETURNED || receipt->result_count != 1) {
        fprintf(stderr, "bench_fuel: %s: %s\n", function,
                smelt_outcome_name(receipt->outcome.kind));
        exit(1);
    }
    double seconds = (double)receipt->execute_ns / 1e9;
    *result = receipt->results[0].bits;
    *fuel = receipt->fuel_used;
    smelt_receipt_destroy(receipt);
    return seconds;
}

int main(int argc, char **argv)
{
    struct side metered = {0};
    struct side unmetered = {0};
    if (argc != 7 || !smelt_hex_decode(argv[2], metered.object.key.bytes, SMELT_HASH_BYTES)) {
        fprintf(stderr,
                "usage: %s <module.wasm> <artefact key> <metered.so> <unmetered.so> <export> "
                "<i32>\n",
                argv[0]);
        return 2;
    }
    metered.object.path = argv[3];
    unmetered.object = (struct object){.path = argv[4], .key = metered.object.key};
    uint32_t argument = (uint32_t)strtoul(argv[6], NULL, 10);

    static uint8_t module[MODULE_BYTES];
    FILE *file = fopen(argv[1], "rb");
    if (file == NULL) {
        fprintf(stderr, "bench_fuel: cannot read %s\n", argv[1]);
        return 1;
    }
    struct smelt_slice wasm = {module, fread(module, 1, sizeof(module), file)};
    fclose(file);

    struct smelt_schedule *schedule = NULL;
    struct smelt_error err = {0};
    if (smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &schedule, &err) !=
        SMELT_STATUS_OK) {
        die("schedule", &err);
    }
    open_side(&metered, schedule, wasm);
    open_side(&unmetered, schedule, wasm);

    uint64_t result = 0;
    uint64_t fuel = 0;
    uint64_t other_result = 0;
    uint64_t other_fuel = 0;
    double ratios[RUNS];
    (void)run(&metered, argv[5], argument, &result, &fuel); /* warm up */
    (void)run(&unmetered, argv[5], argument, &other_result, &other_fuel);
    if (result != other_result) {
        fprintf(stderr, "bench_fuel: the results differ\n");
        return 1;
    }
    for (int i = 0; i < RUNS; i++) {
        metered.seconds[i] = run(&metered, argv[5], argument, &result, &fuel);
        unmetered.seconds[i] = run(&unmetered, argv[5], argument, &other_result, &other_fuel);
        ratios[i] = metered.seconds[i] / unmetered.seconds[i];
    }
    printf("metered    %8.2f ms   (%" PRIu64 " fuel)\n", 1e3 * median(metered.seconds), fuel);
    printf("unmetered  %8.2f ms\n", 1e3 * median(unmetered.seconds));
    printf("overhead   %+8.1f %%    (median of %d ratios of neighbouring runs)\n",
           100 * (median(ratios) - 1), RUNS);
    close_side(&metered);
    close_side(&unmetered);
    smelt_schedule_destroy(schedule);
    return 0;
}
