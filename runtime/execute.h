/* Executing the transactions of a wave, one after the other, over an overlay at the tip. The rules
 * are in docs/waves.md (W1 …).
 *
 *     sm_lane_begin         nothing executed yet; also to start again
 *     sm_lane_execute       the next transaction: its effects in the overlay's one layer, its
 * receipt and events in the journal (publish overlay and journal) sm_lane_deinit
 *
 * What a wave does at its end, upgrades and the payment of fees, is kept in `upgrades` and the
 * journal until then. */
#ifndef SM_RUNTIME_EXECUTE_H
#define SM_RUNTIME_EXECUTE_H

#include "runtime/engine.h"
#include "runtime/host/frame.h"

#include <smelt/wave.h>

#include <pthread.h>
#include <stdatomic.h>

/* A module that the wave deploys or upgrades to. It is got when the first transaction comes to it
 * that may be part of the wave: one that is rejected does not make a node compile. */
struct sm_wave_module {
    struct smelt_hash hash;
    struct smelt_slice wasm;
    bool is_used;         /* by a transaction that is done: its code is written */
    pthread_mutex_t lock; /* over the rest */
    bool is_loaded;
    enum smelt_status refusal;    /* a 200s status, or OK */
    struct sm_contract *contract; /* NULL when refused */
    const struct sm_export *init; /* NULL: none */
};

/* The modules of a wave, in ascending order of their hashes, a module once. */
struct sm_wave_modules {
    struct sm_wave_module *rows;
    size_t count;
    uint32_t *of_transaction; /* row, for deploys and upgrades; NULL without any */
    atomic_uint_fast64_t load_ns;
};

/* The code of a contract from the next wave on. */
struct sm_upgrade {
    struct smelt_address address;
    struct smelt_hash code_hash;
};

#define SM_LANE_CONTRACTS 64u

/* Zero-initialise, then sm_lane_init. */
struct sm_lane {
    struct smelt_engine *engine;
    const struct smelt_wave *wave;
    struct sm_wave_modules *modules;
    struct sm_overlay *overlay;
    struct sm_journal journal;
    struct smelt_buf upgrades; /* struct sm_upgrade */
    struct smelt_buf used;     /* uint32_t: rows of modules */
    struct sm_transaction shared;
    struct smelt_buf slots;   /* scratch: arguments and results of the export */
    struct smelt_buf results; /* scratch: struct smelt_value */
    /* Contracts that were called lately, by their hash: each with a reference of the lane. */
    struct sm_contract *contracts[SM_LANE_CONTRACTS];
};

enum smelt_status sm_lane_init(struct sm_lane *lane, struct smelt_engine *engine,
                               const struct smelt_wave *wave, struct sm_wave_modules *modules,
                               struct smelt_error *err);
void sm_lane_deinit(struct sm_lane *lane);

enum smelt_status sm_lane_begin(struct sm_lane *lane, struct smelt_error *err);
/* A hint: transactions [first, end) come next. The accounts that they are between are fetched into
 * the processor's caches, all at once. */
void sm_lane_expect(struct sm_lane *lane, size_t first, size_t end);
/* A node failure leaves the lane good for sm_lane_begin only. */
enum smelt_status sm_lane_execute(struct sm_lane *lane, uint32_t index, struct smelt_error *err);

#endif
