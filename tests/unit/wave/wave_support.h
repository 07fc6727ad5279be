/* What the tests of the ledger share: waves of made-up transactions. All of a transaction follows
 * from the wave's seed and its index, so a test knows what it should read back. */
#ifndef SM_TESTS_WAVE_SUPPORT_H
#define SM_TESTS_WAVE_SUPPORT_H

#include "base/status.h"
#include "runtime/wave/ledger.h"
#include "tests/unit/state/state_support.h"

struct wave_shape {
    uint64_t number;
    uint32_t count; /* transactions */
    uint64_t seed;
    bool has_ids;
};

#define MADE_EVENTS_MAX 3u

/* A receipt with the events that it counts. */
struct made {
    struct smelt_wave_receipt receipt;
    struct smelt_value results[3];
    uint8_t return_data[40];
    char name[16];
    struct smelt_event events[MADE_EVENTS_MAX];
    uint8_t event_data[MADE_EVENTS_MAX][24];
};

/* A receipt of any form. */
void make_receipt(uint64_t *seed, struct made *out);
/* Transaction `index` of a wave, `first_event` aside; `out` points into itself. */
void make_transaction(const struct wave_shape *shape, uint32_t index, struct made *out);
struct smelt_hash id_of(uint64_t wave, uint32_t index);
struct smelt_address contract_of(uint32_t number); /* emitters: 0 to 3 */

void add_transactions(const struct wave_shape *shape, uint32_t from, uint32_t to,
                      struct sm_journal *journal);
/* A ledger from journals of `run` transactions each. */
struct sm_ledger *make_ledger(const struct wave_shape *shape, uint32_t run);
/* The record of a ledger after `head`. */
void close_ledger(const struct sm_ledger *ledger, uint64_t number,
                  const struct sm_ledger_head *head, struct smelt_wave_record *out);
/* The next wave of the chain in the store. */
void write_wave(struct smelt_store *store, const struct wave_shape *shape);
/* Waves `first` to `last`, of 0, 1, 63, 64, 65, 130 and again so many transactions. */
void write_chain(struct smelt_store *store, uint64_t first, uint64_t last);
struct wave_shape chain_shape(uint64_t number);

bool same_receipt(const struct smelt_wave_receipt *a, const struct smelt_wave_receipt *b);

/* One value of a store, read and replaced. */
void get_value(struct smelt_store *store, enum smelt_store_family family, struct smelt_slice key,
               struct smelt_buf *out);
void put_value(struct smelt_store *store, enum smelt_store_family family, struct smelt_slice key,
               struct smelt_slice value);
void delete_value(struct smelt_store *store, enum smelt_store_family family,
                  struct smelt_slice key);
uint64_t count_keys(struct smelt_store *store, enum smelt_store_family family, const char *prefix);

#endif
