/* What the state costs a transaction when everything it touches is in memory.
 *
 * usage: bench_overlay
 *
 * First a storage read and write at the top of 1, 8 and 64 layers. Then token transfers, in waves
 * of 10000, as the engine would make them: each in a layer of its own and its call in another one,
 * several to an overlay, which is validated and published before the next; and each wave collected
 * as a batch. The more users, the less of what is touched is in the processor's caches: there it is
 * a benchmark of the memory. Nothing is executed but the accesses to the state, and nothing is
 * written to a store. Prints the median of the runs. */
#include "tests/bench/layers.h"

#include "base/bytes.h"
#include "base/clock.h"
#include "runtime/state/accounts.h"
#include "runtime/state/keys.h"
#include "runtime/state/overlay.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 15, USERS_MAX = 100000, TRANSFERS = 10000 };

static void check(enum smelt_status status)
{
    if (status != SMELT_STATUS_OK) {
        fprintf(stderr, "bench_overlay: %s\n", smelt_status_name(status));
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *left = a;
    const uint64_t *right = b;
    return (*left > *right) - (*left < *right);
}

static double median(uint64_t *times)
{
    const size_t middle = RUNS / 2;
    qsort(times, RUNS, sizeof(*times), by_value);
    return (double)times[middle];
}

/* xorshift64* */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static struct smelt_address address_of(uint64_t number)
{
    struct smelt_address address = {{0}};
    uint64_t seed = number + 1;
    for (size_t at = 0; at < sizeof(address.bytes); at += 8) {
        sm_store_le64(address.bytes + at, next_random(&seed));
    }
    return address;
}

static const struct smelt_address token = {{0x70}};

/* The balance of a user in the token: a key of 32 bytes, as such contracts have. */
static void balance_key(const struct smelt_address *user, struct sm_state_key *out)
{
    sm_state_storage_key(&token, sm_slice(user->bytes, sizeof(user->bytes)), out);
}

/* Transfers. */

struct transfer {
    struct smelt_address from;
    struct smelt_address to;
};

static struct transfer transfers[TRANSFERS];

static void move_token(struct sm_overlay *overlay, const struct transfer *transfer)
{
    struct smelt_slice value;
    bool is_found;
    uint8_t from[16];
    uint8_t to[16];
    struct sm_state_key from_key;
    struct sm_state_key to_key;
    balance_key(&transfer->from, &from_key);
    balance_key(&transfer->to, &to_key);
    check(sm_overlay_get(overlay, sm_state_key_slice(&from_key), &value, &is_found, NULL));
    memcpy(from, value.data, sizeof(from));
    check(sm_overlay_get(overlay, sm_state_key_slice(&to_key), &value, &is_found, NULL));
    memcpy(to, value.data, sizeof(to));
    sm_store_le64(from, sm_load_le64(from) - 1);
    sm_store_le64(to, sm_load_le64(to) + 1);
    check(
        sm_overlay_put(overlay, sm_state_key_slice(&from_key), sm_slice(from, sizeof(from)), NULL));
    check(sm_overlay_put(overlay, sm_state_key_slice(&to_key), sm_slice(to, sizeof(to)), NULL));
    struct smelt_event event = {.address = token,
                                .topic = smelt_slice_from_string("Transfer"),
                                .data = sm_slice(transfer->from.bytes, 32)};
    check(sm_overlay_emit(overlay, &event, NULL));
}

static bool ignore_event(void *context, const struct smelt_event *event)
{
    (void)event;
    (*(uint64_t *)context)++;
    return true;
}

static void run_transfer(struct sm_overlay *overlay, const struct transfer *transfer,
                         uint64_t *events)
{
    struct smelt_account account;
    check(sm_overlay_push(overlay, NULL));
    check(sm_state_account_read(overlay, &transfer->from, &account, NULL));
    account.nonce++;
    check(sm_state_account_write(overlay, &transfer->from, &account, NULL));
    check(sm_overlay_push(overlay, NULL));
    check(sm_state_account_read(overlay, &token, &account, NULL));
    move_token(overlay, transfer);
    sm_overlay_merge(overlay);
    if (sm_overlay_storage_writes(overlay) == 0 ||
        !sm_overlay_take_events(overlay, ignore_event, events)) {
        check(SMELT_STATUS_INTERNAL);
    }
    sm_overlay_merge(overlay);
}

static void run_wave(struct sm_tip *tip, struct sm_overlay *overlay, size_t chunk, uint64_t *run_ns,
                     uint64_t *collect_ns)
{
    uint64_t events = 0;
    struct sm_tip_batch batch;
    uint64_t start = sm_clock_ns();
    for (size_t at = 0; at < TRANSFERS; at += chunk) {
        check(sm_overlay_push(overlay, NULL));
        for (size_t i = at; i < at + chunk && i < TRANSFERS; i++) {
            run_transfer(overlay, &transfers[i], &events);
        }
        if (!sm_overlay_is_current(overlay)) {
            check(SMELT_STATUS_INTERNAL);
        }
        check(sm_overlay_publish(overlay, NULL));
        sm_overlay_reset(overlay);
    }
    *run_ns = sm_clock_ns() - start;
    start = sm_clock_ns();
    check(sm_tip_collect(tip, &batch, NULL));
    *collect_ns = sm_clock_ns() - start;
    if (events != TRANSFERS || batch.count == 0) {
        check(SMELT_STATUS_INTERNAL);
    }
    sm_tip_batch_deinit(&batch);
    sm_tip_written(tip);
}

static void bench_transfers(struct sm_tip *tip, size_t users, size_t chunk)
{
    struct sm_overlay *overlay = NULL;
    uint64_t run_ns[RUNS];
    uint64_t collect_ns[RUNS];
    uint64_t seed = chunk;
    check(sm_overlay_create_at(tip, &overlay, NULL));
    for (size_t run = 0; run < RUNS; run++) {
        for (size_t i = 0; i < TRANSFERS; i++) {
            transfers[i].from = address_of(next_random(&seed) % users);
            transfers[i].to = address_of(next_random(&seed) % users);
        }
        run_wave(tip, overlay, chunk, &run_ns[run], &collect_ns[run]);
    }
    double run = median(run_ns);
    double collect = median(collect_ns);
    printf("%6zu users, chunks of %2zu   %5.2f M transfers/s   %4.0f ns each, %4.0f of them "
           "collecting "
           "(%.2f ms a wave)\n",
           users, chunk, (double)TRANSFERS / (run + collect) * 1e3,
           (run + collect) / (double)TRANSFERS, collect / (double)TRANSFERS, collect / 1e6);
    sm_overlay_destroy(overlay);
}

static void fill(struct sm_tip *tip)
{
    struct sm_overlay *overlay = NULL;
    struct sm_tip_batch batch;
    uint8_t amount[16] = {[6] = 1};
    struct smelt_account account = {.balance = {.high = 1}};
    check(sm_overlay_create_at(tip, &overlay, NULL));
    check(sm_overlay_push(overlay, NULL));
    for (size_t i = 0; i < USERS_MAX; i++) {
        struct smelt_address address = address_of(i);
        struct sm_state_key key;
        balance_key(&address, &key);
        check(sm_state_account_write(overlay, &address, &account, NULL));
        check(sm_overlay_put(overlay, sm_state_key_slice(&key), sm_slice(amount, sizeof(amount)),
                             NULL));
    }
    account.is_contract = true;
    account.code_hash.bytes[0] = 1;
    check(sm_state_account_write(overlay, &token, &account, NULL));
    check(sm_overlay_publish(overlay, NULL));
    sm_overlay_destroy(overlay);
    check(sm_tip_collect(tip, &batch, NULL));
    sm_tip_batch_deinit(&batch);
    sm_tip_written(tip);
}

int main(void)
{
    struct smelt_store *store = NULL;
    struct sm_tip *tip = NULL;
    static const size_t depths[] = {1, 8, 64};
    static const size_t users[] = {1000, 10000, USERS_MAX};
    static const size_t chunks[] = {1, 8, 32};
    check(smelt_store_create_memory(&store, NULL));
    check(sm_tip_create(store, UINT64_C(1) << 30, &tip, NULL));
    fill(tip);
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        struct bench_layers layers = bench_layers(depths[i]);
        printf("%2zu layers   read %6.1f ns   write %6.1f ns\n", depths[i], layers.read_ns,
               layers.write_ns);
    }
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        for (size_t j = 0; j < sizeof(chunks) / sizeof(chunks[0]); j++) {
            bench_transfers(tip, users[i], chunks[j]);
        }
    }
    sm_tip_destroy(tip);
    smelt_store_close(store);
    return 0;
}
