#include "tests/bench/layers.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "runtime/state/keys.h"
#include "runtime/state/overlay.h"
#include "tests/bench/report.h"

#include <stdio.h>
#include <stdlib.h>

enum { RUNS = 15, KEYS = 100, ROUNDS = 500 };

static const struct smelt_address contract = {{0x70}};
static struct sm_state_key keys[KEYS];
static uint8_t amount[16] = {1};

static void check(enum smelt_status status)
{
    if (status != SMELT_STATUS_OK) {
        (void)fprintf(stderr, "bench: layers: %s\n", smelt_status_name(status));
        exit(1);
    }
}

static void read_all(struct sm_overlay *overlay)
{
    for (size_t i = 0; i < KEYS; i++) {
        struct smelt_slice value;
        bool is_found;
        check(sm_overlay_get(overlay, sm_state_key_slice(&keys[i]), &value, &is_found, NULL));
        check(is_found ? SMELT_STATUS_OK : SMELT_STATUS_INTERNAL);
    }
}

static void write_all(struct sm_overlay *overlay)
{
    for (size_t i = 0; i < KEYS; i++) {
        check(sm_overlay_put(overlay, sm_state_key_slice(&keys[i]),
                             sm_slice(amount, sizeof(amount)), NULL));
    }
}

/* Keys of 32 bytes, as tokens have. */
static void fill(struct sm_overlay *overlay)
{
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t key[32] = {0};
        sm_store_le64(key, UINT64_C(0x9e3779b97f4a7c15) * (i + 1));
        sm_state_storage_key(&contract, sm_slice(key, sizeof(key)), &keys[i]);
    }
    check(sm_overlay_push(overlay, NULL));
    write_all(overlay);
    check(sm_overlay_publish(overlay, NULL));
    sm_overlay_reset(overlay);
}

struct bench_layers bench_layers(size_t depth)
{
    struct smelt_store *store = NULL;
    struct sm_tip *tip = NULL;
    struct sm_overlay *overlay = NULL;
    double reads[RUNS];
    double writes[RUNS];
    check(smelt_store_create_memory(&store, NULL));
    check(sm_tip_create(store, UINT64_C(1) << 30, &tip, NULL));
    check(sm_overlay_create_at(tip, &overlay, NULL));
    fill(overlay);
    read_all(overlay);
    for (size_t i = 0; i < depth; i++) {
        check(sm_overlay_push(overlay, NULL));
    }
    for (size_t run = 0; run < RUNS; run++) {
        uint64_t start = sm_clock_ns();
        for (size_t round = 0; round < ROUNDS; round++) {
            read_all(overlay);
        }
        reads[run] = (double)(sm_clock_ns() - start) / (ROUNDS * KEYS);
        start = sm_clock_ns();
        for (size_t round = 0; round < ROUNDS; round++) {
            write_all(overlay);
            sm_overlay_drop(overlay); /* each round makes new versions */
            check(sm_overlay_push(overlay, NULL));
        }
        writes[run] = (double)(sm_clock_ns() - start) / (ROUNDS * KEYS);
    }
    sm_overlay_destroy(overlay);
    sm_tip_destroy(tip);
    smelt_store_close(store);
    return (struct bench_layers){.read_ns = bench_spread_of(reads, RUNS).median,
                                 .write_ns = bench_spread_of(writes, RUNS).median};
}
