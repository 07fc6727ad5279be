/* A chain of waves of transfers, and engines that execute it.
 *
 *     bench_chain_init       who there is, and nobody has sent anything yet
 *     bench_chain_fill       waves that give everybody coins and tokens   ─┐ each wave goes to
 *     bench_chain_next       the next wave of a load                      ─┘ every peer
 *     bench_peer_run         executes waves, and how long it took
 *
 * Peers of one chain execute the same waves, so their digests are equal, and bench_peer_run ends
 * the process when they are not, or when a transaction is not done. */
#ifndef BENCH_CHAIN_H
#define BENCH_CHAIN_H

#include <smelt/smelt.h>

#include <stdint.h>

enum bench_load {
    BENCH_DISJOINT, /* everybody once in a wave, at most: to send or to receive */
    BENCH_ZIPF,     /* senders and receivers by Zipf's law with exponent 1 */
    BENCH_HOT,      /* everybody pays to one account */
    BENCH_UNIFORM   /* senders and receivers at random */
};
const char *bench_load_name(enum bench_load load);

struct bench_chain {
    struct smelt_slice wasm; /* of the token */
    struct smelt_address token;
    uint32_t users;
    uint64_t *nonces; /* of the users, then of who deployed the token */
    uint32_t *order;  /* a permutation of the users */
    double *zipf;     /* cumulated */
    uint64_t seed;
    uint64_t number; /* of the last wave */
};

void bench_chain_init(struct bench_chain *chain, struct smelt_slice wasm, uint32_t users);
void bench_chain_deinit(struct bench_chain *chain);

/* A wave with all that it points to, and its digest once somebody has executed it. */
struct bench_wave {
    struct smelt_wave wave;
    struct smelt_wave_transaction *transactions;
    uint8_t *inputs;
    bool has_digest;
    struct smelt_hash digest;
};
void bench_chain_next(struct bench_chain *chain, enum bench_load load, bool is_token,
                      uint32_t count, struct bench_wave *out);
void bench_wave_deinit(struct bench_wave *wave);
void bench_user_address(uint64_t user, struct smelt_address *out);
/* A user of the chain, at random. */
uint32_t bench_chain_user(struct bench_chain *chain);

struct bench_peer {
    struct smelt_store *store;
    struct smelt_engine *engine;
};
/* Takes the store. `options` without store and source. */
void bench_peer_init(struct bench_peer *peer, struct smelt_store *store,
                     struct smelt_engine_options options, struct smelt_compiler *compiler);
void bench_peer_deinit(struct bench_peer *peer);

/* Deploys the token and gives everybody coins and tokens. */
void bench_chain_fill(struct bench_chain *chain, struct bench_peer *peers, uint32_t peer_count);

struct bench_time {
    double wall_s;
    /* The same without the time in which the thread that waited for a processor longest did so:
     * what an idle machine needs, about. */
    double idle_s;
    double processor_s; /* of all threads */
    double execute_s;   /* of which (see smelt_wave_effort) */
    double digest_s;
    double commit_s;
    double retries; /* transactions */
};
/* One after the other; ends when everything is in the store. */
struct bench_time bench_peer_run(struct bench_peer *peer, struct bench_wave *waves, size_t count);

_Noreturn void bench_die(const char *what, const struct smelt_error *err); /* NULL is fine */

#endif
