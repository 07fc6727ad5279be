/* What the two stores cost per key, by size.
 *
 * usage: bench_store [--rocksdb DIRECTORY] [--sizes N[,N…]] [--waves N] [--pause MS] [--sync]
 *
 * Per size: a store is filled with that many keys in sorted batches, then
 *
 *   hit, miss   reads of random keys that are there, and that are not
 *   iterate     all of family STATE, per pair
 *   wave        30 000 sorted puts over random keys and 320 pages of 4 KiB of family TREE in one
 *               batch, the write of a wave of 10 000 token transfers; the median, the 95th
 *               percentile and the longest of them
 *   hit after   reads right after the waves, when the newest of them are still in memory
 *
 * Keys are those of one contract's storage: 33 bytes in common, then 32 bytes of a digest. With a
 * directory the store is RocksDB, unsynced unless told otherwise, opened again (so everything is in
 * tables) before the first reads; without, it is the one in memory. */
#include "base/bytes.h"

#include <smelt/store.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    KEY_BYTES = 65,
    COMMON_BYTES = 33,
    VALUE_BYTES = 16,
    BATCH = 30000,
    PAGES = 320,
    PAGE_BYTES = 4096,
    PAGE_NUMBERS = 20000, /* pages that a wave draws from */
    READS = 200000,
    SIZES_MAX = 8,
    WAVES_MAX = 10000
};

struct wave {
    uint8_t keys[BATCH][KEY_BYTES];
    uint8_t values[BATCH][VALUE_BYTES];
    uint8_t page_keys[PAGES][4];
    uint8_t pages[PAGES][PAGE_BYTES];
    struct smelt_store_write writes[BATCH + PAGES];
};

struct run {
    const char *directory; /* NULL: in memory */
    struct smelt_rocksdb_options options;
    size_t waves;
    unsigned pause_ms; /* between waves, for what a node does meanwhile */
    struct smelt_store *store;
    struct wave *wave;
    uint64_t seed;
};

static _Noreturn void die(const char *what, const struct smelt_error *err)
{
    fprintf(stderr, "bench_store: %s: %s: %s\n", what, smelt_status_name(err->status),
            err->message);
    exit(1);
}

static double now_us(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* splitmix64: a bijection, so different numbers have different keys. */
static uint64_t mix(uint64_t number)
{
    number += UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

static void make_key(uint64_t number, uint8_t key[KEY_BYTES])
{
    memset(key, 0xc0, COMMON_BYTES);
    for (size_t at = COMMON_BYTES; at < KEY_BYTES; at += sizeof(number)) {
        number = mix(number);
        sm_store_le64(key + at, number);
    }
}

static uint64_t next_below(struct run *run, uint64_t limit)
{
    return mix(run->seed++) % limit;
}

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, KEY_BYTES);
}

static void open_store(struct run *run)
{
    struct smelt_error err = {0};
    if ((run->directory != NULL
             ? smelt_store_open_rocksdb(run->directory, &run->options, &run->store, &err)
             : smelt_store_create_memory(&run->store, &err)) != SMELT_STATUS_OK) {
        die("cannot open", &err);
    }
}

/* Sorts the first `count` keys of the wave and makes them a batch, with pages or without. */
static size_t prepare(struct run *run, size_t count, bool has_pages)
{
    struct wave *wave = run->wave;
    qsort(wave->keys, count, KEY_BYTES, by_key);
    for (size_t i = 0; i < count; i++) {
        sm_store_le64(wave->values[i], run->seed++);
        wave->writes[i] =
            (struct smelt_store_write){.family = SMELT_STORE_STATE,
                                       .key = sm_slice(wave->keys[i], KEY_BYTES),
                                       .value = sm_slice(wave->values[i], VALUE_BYTES)};
    }
    for (size_t i = 0; has_pages && i < PAGES; i++) {
        sm_store_le32(wave->page_keys[i], (uint32_t)next_below(run, PAGE_NUMBERS));
        sm_store_le64(wave->pages[i], run->seed++);
        wave->writes[count + i] =
            (struct smelt_store_write){.family = SMELT_STORE_TREE,
                                       .key = sm_slice(wave->page_keys[i], 4),
                                       .value = sm_slice(wave->pages[i], PAGE_BYTES)};
    }
    return count + (has_pages ? PAGES : 0);
}

static double write_batch(struct run *run, size_t count)
{
    struct smelt_error err = {0};
    double start = now_us();
    if (run->store->ops->write(run->store->impl, run->wave->writes, count, &err) !=
        SMELT_STATUS_OK) {
        die("cannot write", &err);
    }
    return now_us() - start;
}

static double fill(struct run *run, uint64_t keys)
{
    double spent = 0;
    for (uint64_t done = 0; done < keys;) {
        size_t count = keys - done < BATCH ? (size_t)(keys - done) : BATCH;
        for (size_t i = 0; i < count; i++) {
            make_key(done++, run->wave->keys[i]);
        }
        spent += write_batch(run, prepare(run, count, false));
    }
    return spent / (double)keys;
}

/* Keys are numbers below `limit`, from `first` on. */
static double read_random(struct run *run, uint64_t first, uint64_t limit, bool expected)
{
    struct smelt_buf value = {0};
    struct smelt_error err = {0};
    double spent = 0;
    for (size_t i = 0; i < READS;) {
        for (size_t k = 0; k < BATCH; k++) {
            make_key(first + next_below(run, limit), run->wave->keys[k]);
        }
        double start = now_us();
        for (size_t k = 0; k < BATCH; k++, i++) {
            bool is_found = !expected;
            if (run->store->ops->get(run->store->impl, NULL, SMELT_STORE_STATE,
                                     sm_slice(run->wave->keys[k], KEY_BYTES), &value, &is_found,
                                     &err) != SMELT_STATUS_OK ||
                is_found != expected) {
                die("cannot read", &err);
            }
        }
        spent += now_us() - start;
    }
    smelt_buf_deinit(&value);
    return spent / ((READS + BATCH - 1) / BATCH * BATCH);
}

static bool count_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    (void)key;
    (void)value;
    (*(uint64_t *)context)++;
    return true;
}

static double iterate(struct run *run, uint64_t keys)
{
    uint64_t count = 0;
    struct smelt_error err = {0};
    double start = now_us();
    if (run->store->ops->iterate(run->store->impl, NULL, SMELT_STORE_STATE, sm_slice(NULL, 0),
                                 count_pair, &count, &err) != SMELT_STATUS_OK ||
        count != keys) {
        die("cannot iterate", &err);
    }
    return (now_us() - start) / (double)keys;
}

static int by_value(const void *a, const void *b)
{
    const double *left = (const double *)a;
    const double *right = (const double *)b;
    return (*left > *right) - (*left < *right);
}

static void measure(struct run *run, uint64_t keys)
{
    static double times[WAVES_MAX];
    open_store(run);
    double put = fill(run, keys);
    if (run->directory != NULL) {
        smelt_store_close(run->store);
        open_store(run);
    }
    (void)read_random(run, 0, keys, true);
    double hit = read_random(run, 0, keys, true);
    double miss = read_random(run, UINT64_C(1) << 40, UINT64_C(1) << 40, false);
    double scan = iterate(run, keys);
    double started = now_us();
    for (size_t i = 0; i < run->waves; i++) {
        for (size_t k = 0; k < BATCH; k++) {
            make_key(next_below(run, keys), run->wave->keys[k]);
        }
        times[i] = write_batch(run, prepare(run, BATCH, true));
        struct timespec pause = {.tv_sec = run->pause_ms / 1000,
                                 .tv_nsec = (long)(run->pause_ms % 1000) * 1000000};
        (void)nanosleep(&pause, NULL);
    }
    double waves_s = (now_us() - started) / 1e6;
    double hit_after = read_random(run, 0, keys, true);
    double scan_after = iterate(run, keys);
    qsort(times, run->waves, sizeof(times[0]), by_value);
    printf("%9" PRIu64 " %8.3f %8.3f %8.3f %8.3f %9.2f %8.2f %8.2f %8.2f %9.3f %9.3f\n", keys, put,
           hit, miss, scan, times[run->waves / 2] / 1e3, times[run->waves * 95 / 100] / 1e3,
           times[run->waves - 1] / 1e3, waves_s, hit_after, scan_after);
    (void)fflush(stdout);
    smelt_store_close(run->store);
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: bench_store [--rocksdb DIRECTORY] [--sizes N[,N...]] [--waves N] "
                    "[--pause MS] [--sync]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    struct run run = {.waves = 100, .seed = 1, .options = {.sync = SMELT_SYNC_NEVER}};
    char sizes_default[] = "10000,100000,1000000";
    char *sizes = sizes_default;
    const char *parent = NULL;
    char directory[1024];
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--rocksdb") == 0 && has_value) {
            parent = argv[++i];
        } else if (strcmp(argv[i], "--sizes") == 0 && has_value) {
            sizes = argv[++i];
        } else if (strcmp(argv[i], "--waves") == 0 && has_value) {
            run.waves = strtoull(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--pause") == 0 && has_value) {
            run.pause_ms = (unsigned)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--sync") == 0) {
            run.options.sync = SMELT_SYNC_ALWAYS;
        } else {
            usage();
        }
    }
    if (run.waves == 0 || run.waves > WAVES_MAX) {
        usage();
    }
    run.wave = (struct wave *)calloc(1, sizeof(*run.wave));
    if (run.wave == NULL) {
        return 1;
    }
    printf("%s\n%9s %8s %8s %8s %8s %9s %8s %8s %8s %9s %9s\n",
           parent != NULL ? "rocksdb" : "memory", "keys", "put us", "hit us", "miss us", "scan us",
           "wave ms", "p95 ms", "max ms", "all s", "hit after", "scan after");
    char *rest = NULL;
    for (char *size = strtok_r(sizes, ",", &rest); size != NULL;
         size = strtok_r(NULL, ",", &rest)) {
        uint64_t keys = strtoull(size, NULL, 10);
        if (keys == 0) {
            usage();
        }
        if (parent != NULL) {
            (void)snprintf(directory, sizeof(directory), "%s/%" PRIu64, parent, keys);
            run.directory = directory;
        }
        measure(&run, keys);
    }
    free(run.wave);
    return 0;
}
