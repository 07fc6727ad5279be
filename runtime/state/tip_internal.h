/* What an overlay asks of the tip: reads that can be validated, and publication in two steps. The
 * hash of a key is computed once and serves both. */
#ifndef SM_STATE_TIP_INTERNAL_H
#define SM_STATE_TIP_INTERNAL_H

#include "runtime/state/tip.h"

#include <stdatomic.h>

/* Stays where it is as long as an overlay is in use. */
struct sm_tip_entry {
    /* The publication that the value is from, counted by the tip; 0: the value is the store's. */
    atomic_uint_fast64_t stamp;
    uint64_t hash;
    uint8_t *value; /* in `bytes`, or a block of its own */
    uint32_t capacity;
    uint32_t size;
    uint32_t key_size;
    uint32_t room; /* for a value in `bytes`, behind the key */
    bool is_known; /* the value is; only a publication that did not happen leaves it false */
    bool is_absent;
    bool is_recent;    /* in use since the clock's hand came by */
    bool is_dirty;     /* published since the last collect */
    bool is_in_flight; /* collected, and maybe not in the store */
    uint8_t bytes[];   /* key ‖ room */
};

/* What was read: right as long as the entry has the stamp. Without an entry, as long as the tip has
 * nothing that was published: the stamp is 0 then. */
struct sm_tip_ref {
    struct sm_tip_entry *entry;
    uint64_t stamp;
};

struct sm_tip_read {
    struct sm_tip_ref ref;
    bool is_found;
    bool is_miss; /* the store was asked */
    uint64_t ns;  /* for so long */
};

uint64_t sm_tip_hash(const struct sm_tip *tip, struct smelt_slice key);

/* The value replaces the content of `value`. Beside readers and one publisher. */
enum smelt_status sm_tip_read(struct sm_tip *tip, uint64_t hash, struct smelt_slice key,
                              struct smelt_buf *value, struct sm_tip_read *out,
                              struct smelt_error *err);

/* For keys that will be read soon: two steps that fetch what a read needs into the processor's
 * caches, the place of the key and then what is there. Each waits for nothing, so that the waits of
 * many keys become one. Nothing else happens. Beside readers and one publisher. */
void sm_tip_fetch_place(struct sm_tip *tip, uint64_t hash);
void sm_tip_fetch_entry(struct sm_tip *tip, uint64_t hash);

/* Whether the key has not been published since it was read without getting an entry. */
bool sm_tip_is_unpublished(struct sm_tip *tip, uint64_t hash, struct smelt_slice key);

static inline bool sm_tip_is_current(struct sm_tip *tip, uint64_t hash, struct smelt_slice key,
                                     struct sm_tip_ref ref)
{
    return ref.entry != NULL
               ? atomic_load_explicit(&ref.entry->stamp, memory_order_acquire) == ref.stamp
               : sm_tip_is_unpublished(tip, hash, key);
}

/* Publication, by one thread at a time: room for `count` keys, then each key's entry (`known` when
 * it is known already, else NULL), then each key's value. Readers see nothing before the last step,
 * which cannot fail; after a failure in the first two there is nothing to undo. */
bool sm_tip_reserve(struct sm_tip *tip, size_t count);
/* NULL when memory is short. */
struct sm_tip_entry *sm_tip_prepare(struct sm_tip *tip, struct sm_tip_entry *known, uint64_t hash,
                                    struct smelt_slice key, size_t value_size);
void sm_tip_publish(struct sm_tip *tip, struct sm_tip_entry *entry, struct smelt_slice value,
                    bool is_absent);

#endif
