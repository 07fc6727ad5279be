/* Waves for tests: transactions in a line, and a chain that checks each wave that it runs against
 * all that can be told of it without executing anything: sums, digests, roots, the bloom filter,
 * and that what the store gives back is what the result has. */
#ifndef TESTS_RUNTIME_WAVE_FIXTURE_H
#define TESTS_RUNTIME_WAVE_FIXTURE_H

#include "tests/unit/runtime/engine_fixture.h"

#include <smelt/wave.h>

#define WAVE_FUEL 300000u /* of the transactions below */

/* Price 0, no id. `from` and `to` are copied, everything else is borrowed. */
struct smelt_wave_transaction transfer_of(const struct smelt_address *from, uint64_t nonce,
                                          const struct smelt_address *to, uint64_t value);
/* Of `run`, with the script as its input; NULL: no input. */
struct smelt_wave_transaction call_of(const struct smelt_address *from, uint64_t nonce,
                                      const struct smelt_address *to, const struct script *script);
struct smelt_wave_transaction deploy_of(const struct smelt_address *from, uint64_t nonce,
                                        const char *module, const struct script *script);
struct smelt_wave_transaction upgrade_of(const struct smelt_address *from, uint64_t nonce,
                                         const struct smelt_address *to, const char *module);

/* A chain of waves over the fixture's store. */
struct chain {
    struct fixture *fixture;
    struct smelt_wave wave; /* the next one: chain 7, number 1, time 1000, fees are burnt */
    struct smelt_wave_result *result; /* of the last one */
    struct smelt_wave_record record;
    struct smelt_hash parent; /* digest of the last one */
    struct smelt_buf written; /* its writes of family STATE, as the state digest has them */
    size_t written_count;
    bool is_unchecked; /* for waves that others look at */
};

/* The fixture of the test, whose memory is counted: chain_deinit before its teardown. */
void chain_init(struct chain *chain, struct fixture *fixture);
void chain_deinit(struct chain *chain);

/* A failure leaves `chain->wave` the next one. */
enum smelt_status chain_try(struct chain *chain, const struct smelt_wave_transaction *transactions,
                            size_t count);
/* Runs and checks it. */
void chain_run(struct chain *chain, const struct smelt_wave_transaction *transactions,
               size_t count);
#define CHAIN_RUN(chain, ...)                                                                      \
    chain_run(chain, (const struct smelt_wave_transaction[]){__VA_ARGS__},                         \
              sizeof((const struct smelt_wave_transaction[]){__VA_ARGS__}) /                       \
                  sizeof(struct smelt_wave_transaction))

/* Looks at a transaction of the last wave: its receipt, for smelt_wave_receipt_destroy. */
struct smelt_wave_receipt *receipt_of(const struct chain *chain, uint32_t index);
void assert_status(const struct chain *chain, uint32_t index, enum smelt_status status,
                   bool is_rejected);
/* Status OK and this outcome. */
void assert_outcome(const struct chain *chain, uint32_t index, enum smelt_outcome_kind kind);

/* Everything in a receipt but where it is, as bytes: as receipt_code.h says, written anew. */
void encode_receipt(const struct smelt_wave_receipt *receipt, struct smelt_buf *out);
bool same_receipt(const struct smelt_wave_receipt *a, const struct smelt_wave_receipt *b);

/* The pairs of families STATE and CODE, one after the other. */
void dump_state(struct smelt_store *store, struct smelt_buf *out);
void assert_same_bytes(const struct smelt_buf *a, const struct smelt_buf *b);
/* Every family. */
void dump_store(struct smelt_store *store, struct smelt_buf *out);

/* An account as it is, behind the engine's back. */
void put_account(struct smelt_store *store, const struct smelt_address *address,
                 const struct smelt_account *account);
struct smelt_account get_account(struct smelt_store *store, const struct smelt_address *address);

#endif
