/* What the state commitment costs per written key: batches of overwritten storage values, over the
 * memory store, with trees of 10^4, 10^5 and 10^6 keys.
 *
 * usage: bench_tree [keys of the largest tree]
 *
 * Prints how long enabling took and, for each size of batch, the medians per key of the update
 * (which reads the nodes, checks and hashes them) and of storing its writes beside the batch's own;
 * how many nodes that were, and their bytes. */
#include "base/bytes.h"
#include "base/clock.h"
#include "runtime/state/commitment.h"
#include "runtime/state/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_DEFAULT 1000000u
#define RUNS         5
#define BATCH_MAX    10000u
#define VALUE_BYTES  32u

static _Noreturn void die(const char *what, const struct smelt_error *err)
{
    fprintf(stderr, "bench_tree: %s: %s: %s\n", what, smelt_status_name(err->status), err->message);
    exit(1);
}

static void check(enum smelt_status status, const char *what, const struct smelt_error *err)
{
    if (status != SMELT_STATUS_OK) {
        die(what, err);
    }
}

static int by_value(const void *a, const void *b)
{
    const double *left = (const double *)a;
    const double *right = (const double *)b;
    return (*left > *right) - (*left < *right);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    return values[count / 2];
}

struct batch {
    struct sm_state_key keys[BATCH_MAX];
    uint8_t values[BATCH_MAX][VALUE_BYTES];
    struct smelt_store_write writes[BATCH_MAX];
};

/* Storage key number `index` of a hundred contracts, with a value of which `version` is a part. */
static void set_write(struct batch *batch, size_t i, uint64_t index, uint64_t version)
{
    struct smelt_address address = {{0}};
    uint8_t own[32] = {0};
    address.bytes[0] = (uint8_t)(index % 100);
    sm_store_le64(own, index);
    sm_state_storage_key(&address, sm_slice(own, sizeof(own)), &batch->keys[i]);
    memset(batch->values[i], 0, VALUE_BYTES);
    sm_store_le64(batch->values[i], version);
    batch->writes[i] = (struct smelt_store_write){.family = SMELT_STORE_STATE,
                                                  .key = sm_state_key_slice(&batch->keys[i]),
                                                  .value = sm_slice(batch->values[i], VALUE_BYTES)};
}

static void fill(struct smelt_store *store, struct batch *batch, uint64_t key_count)
{
    struct smelt_error err = {0};
    size_t count = 0;
    for (uint64_t index = 0; index < key_count; index++) {
        set_write(batch, count, index, 1);
        count++;
        if (count == BATCH_MAX || index + 1 == key_count) {
            check(store->ops->write(store->impl, batch->writes, count, &err), "write", &err);
            count = 0;
        }
    }
}

static void bench_batches(struct smelt_store *store, struct batch *batch, uint64_t key_count,
                          size_t count, uint64_t *random)
{
    struct smelt_error err = {0};
    double update_us[RUNS];
    double write_us[RUNS];
    size_t nodes = 0;
    size_t bytes = 0;
    for (size_t run = 0; run < RUNS; run++) {
        struct sm_commitment_update *update = NULL;
        /* a stride through all keys: each once, in no order of the tree */
        uint64_t start = (*random = *random * UINT64_C(6364136223846793005) + 1) % key_count;
        for (size_t i = 0; i < count; i++) {
            set_write(batch, i, (start + i * (key_count / count)) % key_count, *random);
        }
        uint64_t begin = sm_clock_ns();
        check(sm_commitment_update(store, batch->writes, count, &update, &err), "update", &err);
        uint64_t middle = sm_clock_ns();
        check(store->ops->write(store->impl, update->writes, update->count, &err), "write", &err);
        uint64_t end = sm_clock_ns();
        check(store->ops->write(store->impl, batch->writes, count, &err), "write", &err);
        update_us[run] = (double)(middle - begin) / 1e3 / (double)count;
        write_us[run] = (double)(end - middle) / 1e3 / (double)count;
        for (size_t i = 0; i < update->count; i++) {
            nodes++;
            bytes += update->writes[i].key.size + update->writes[i].value.size;
        }
        sm_commitment_update_destroy(update);
    }
    printf("%9" PRIu64 " %7zu %10.2f %10.2f %10.2f %10.0f\n", key_count, count,
           median(update_us, RUNS), median(write_us, RUNS), (double)nodes / RUNS / (double)count,
           (double)bytes / RUNS / (double)count);
}

static void bench_tree(struct batch *batch, uint64_t key_count)
{
    static const size_t counts[] = {100, 1000, 10000};
    struct smelt_store *store = NULL;
    struct smelt_error err = {0};
    struct smelt_hash root;
    uint64_t random = key_count;
    check(smelt_store_create_memory(&store, &err), "store", &err);
    fill(store, batch, key_count);
    uint64_t begin = sm_clock_ns();
    check(smelt_commitment_enable(store, &err), "enable", &err);
    uint64_t middle = sm_clock_ns();
    check(sm_commitment_compute(store, NULL, &root, &err), "compute", &err);
    uint64_t end = sm_clock_ns();
    printf("%9" PRIu64 " keys: enabled in %.2f s, computed from scratch in %.2f s\n", key_count,
           (double)(middle - begin) / 1e9, (double)(end - middle) / 1e9);
    printf("%9s %7s %10s %10s %10s %10s\n", "keys", "batch", "update us", "store us", "nodes",
           "bytes");
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (counts[i] <= key_count) {
            bench_batches(store, batch, key_count, counts[i], &random);
        }
    }
    smelt_store_close(store);
}

int main(int argc, char **argv)
{
    uint64_t key_max = argc > 1 ? strtoull(argv[1], NULL, 10) : KEYS_DEFAULT;
    struct batch *batch = (struct batch *)malloc(sizeof(*batch));
    if (batch == NULL || argc > 2 || key_max < 100) {
        fprintf(stderr, "usage: bench_tree [keys of the largest tree, at least 100]\n");
        return 2;
    }
    for (uint64_t key_count = key_max < 10000 ? key_max : 10000; key_count <= key_max;
         key_count *= 10) {
        bench_tree(batch, key_count);
    }
    free(batch);
    return 0;
}
