/* What the crash tests share: a story of random waves, what each of its waves comes to (told by a
 * run in memory), and a process that executes it over a store on disk. A process that opens a store
 * or makes an engine is always a child: their threads do not survive a fork, and the parent does
 * the killing. */
#ifndef TESTS_CRASH_SUPPORT_H
#define TESTS_CRASH_SUPPORT_H

#include "tests/unit/runtime/wave_random.h"

#include <stdatomic.h>

enum { CRASH_WAVES = 240, CRASH_TRANSACTIONS = 14 };

struct crash_options {
    uint64_t seed;
    enum smelt_sync sync;
    bool commits_behind;
    bool has_commitment;
    uint64_t receipts_kept;
};

/* What a wave comes to. */
struct crash_expectation {
    uint64_t nonces[RANDOM_ACCOUNTS]; /* before it */
    struct smelt_hash digest;
    struct smelt_hash receipts; /* and events */
    struct smelt_hash state;
};

/* In memory that all processes share. */
struct crash_shared {
    struct crash_expectation waves[CRASH_WAVES + 1];
    atomic_uint_fast64_t begun;    /* the last wave that a process began to run */
    atomic_uint_fast64_t promised; /* the last one that must be there whatever happens */
    atomic_uint failures;          /* waves that the store refused */
    atomic_uint is_ready;          /* the process has looked at everything and runs waves */
    char failure[512];             /* what was wrong, for the parent to print */
};

struct crash_shared *crash_share(void);

/* Of the moments at which something happens: another one in each run, which is printed, or that of
 * SMELT_CRASH_SEED. When exactly depends on the machine all the same. */
uint64_t crash_seed(void);

/* Fills `shared->waves` in a child. */
void crash_expect(struct crash_shared *shared, const struct crash_options *options);

/* What a child does: opens the store, checks it against `shared`, and runs what is left of the
 * story. Never returns from a failed check: the child exits with 1 and says why in `shared`. */
enum crash_end {
    CRASH_DONE = 0,  /* the story is over, and everything was right */
    CRASH_WRONG = 1, /* something was not */
    CRASH_FAILED = 2 /* the store refused: only with faults */
};
struct crash_faults {
    void (*begin)(void); /* faults may come from here on; NULL: none */
    void (*end)(void);
    bool (*has_failed)(void); /* there was one */
};
enum crash_end crash_run(const char *directory, const struct crash_options *options,
                         struct crash_shared *shared, const struct crash_faults *faults);

#endif
