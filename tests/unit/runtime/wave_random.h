/* Random waves over few accounts and few contracts, so that most transactions are in each other's
 * way. All of a wave follows from its seed, its number and the nonces of the accounts, so that
 * another process makes the same one. */
#ifndef TESTS_RUNTIME_WAVE_RANDOM_H
#define TESTS_RUNTIME_WAVE_RANDOM_H

#include "tests/unit/runtime/engine_fixture.h"

#include <smelt/wave.h>

enum {
    RANDOM_ACCOUNTS = 24,
    RANDOM_CONTRACTS = 4,
    RANDOM_MAX = 200, /* transactions of a wave */
    RANDOM_BYTES = 1 << 20
};

/* A sequence of numbers from a seed (SplitMix64, Steele et al., OOPSLA 2014). */
uint64_t random_next(uint64_t *seed);
uint64_t random_below(uint64_t *seed, uint64_t limit);

struct random_wave {
    struct smelt_wave_transaction list[RANDOM_MAX];
    size_t count;
    struct smelt_hash ids[RANDOM_MAX];
    struct smelt_value arguments[2];
    struct smelt_address recipient;
    bool has_recipient;
    uint8_t *bytes; /* what the transactions point to */
    size_t size;
};

void random_init(struct random_wave *wave);
void random_deinit(struct random_wave *wave);

struct smelt_address random_account(size_t index);
struct smelt_address random_contract(size_t index);

/* Funds the accounts of a new store. */
void random_fund(struct smelt_store *store);

/* The accounts' nonces, as the store has them. */
void random_nonces(struct smelt_store *store, uint64_t nonces[RANDOM_ACCOUNTS]);

/* Up to `max` transactions. Wave 1 deploys the contracts. `before` are the nonces before it. */
void random_make(uint64_t seed, uint64_t number, size_t max, const uint64_t before[RANDOM_ACCOUNTS],
                 struct random_wave *out);

/* The wave around it: chain 7, times that rise. */
struct smelt_wave random_frame(const struct random_wave *random, uint64_t number);

#endif
