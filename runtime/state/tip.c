/* Shards of open addressing with linear probing; the entries themselves never move.
 *
 *     hash ── top bits ──▶ shard: lock, slots ── low bits ──▶ slot ──▶ entry: key, value, stamp
 *
 * A reader holds a shard's lock for as long as finding and copying takes, and never while the store
 * is asked. What the lock covers: the slots, and of an entry the value and what describes it. What
 * belongs to the publisher alone: the lists of dirty and collected entries, and the marks of an
 * entry for them; so it may look at an entry's capacity without the lock too, which nobody else
 * changes once the value is known.
 *
 * An entry's life, by its marks:
 *
 *     read             known
 *     published        known, dirty
 *     collected        known, in flight
 *     published again  known, in flight, dirty: the value of the batch is `kept`, for a revert
 *
 * Entries without a mark are evicted when the tip is over its budget, by a clock: a hand goes round
 * the slots, takes the mark of use from those that have one, and evicts the others. An exact list
 * of last uses would make each read a write to memory that all threads share. */
#include "runtime/state/tip_internal.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "runtime/state/order.h"

#include <assert.h>
#include <sched.h>
#include <string.h>

#define WHERE "state"

#define SHARD_BITS  6
#define SHARDS      ((size_t)1 << SHARD_BITS)
#define SLOTS_FIRST ((size_t)16)
/* Room that every entry has: the balance of an account that is not there yet. */
#define ROOM_MIN ((uint32_t)32)
/* An entry's share of the slots, and what the allocator adds to a block. */
#define ENTRY_OVERHEAD ((size_t)48)
#define SPINS          100u
/* Of an entry, these have a balance and its key. */
#define LINE_BYTES    ((size_t)64)
#define FETCHED_LINES ((size_t)3)

/* With these, deletions as well as values have their form in a batch. */
enum { TAG_DELETED = 0x00, TAG_WRITTEN = 0x01 };

struct slot {
    uint64_t hash;
    struct sm_tip_entry *entry; /* NULL: free */
};

/* As long as two cache lines, so that neighbours do not share one. */
struct shard {
    atomic_uint lock;
    struct slot *slots; /* at most half full; NULL: none yet */
    size_t slot_count;
    size_t hand; /* slot that eviction looks at next */
    /* written under the lock, read at any time */
    atomic_uint_fast64_t entries;
    atomic_uint_fast64_t hits;
    atomic_uint_fast64_t misses;
    atomic_uint_fast64_t read_ns;
    uint8_t apart[64];
};

static_assert(sizeof(struct shard) == 128, "two cache lines");

/* The value of an entry as it was collected, after it has been published again. */
struct kept {
    struct kept *next;
    struct sm_tip_entry *entry;
    bool is_absent;
    uint32_t size;
    uint8_t bytes[];
};

struct list {
    struct sm_tip_entry **entries;
    size_t count;
    size_t capacity;
};

struct sm_tip {
    struct smelt_store *store;
    uint64_t bytes_max;
    struct sm_hash_key hash_key;
    struct shard shards[SHARDS];
    atomic_uint_fast64_t bytes;

    /* the publisher's */
    uint64_t last_stamp;
    struct list dirty;
    struct list in_flight;
    struct kept *kept;
    size_t hand; /* shard that eviction looks at next */
};

/* The lock: held for the time of a copy, so a waiting thread spins first. */

static void lock_shard(struct shard *shard)
{
    while (atomic_exchange_explicit(&shard->lock, 1, memory_order_acquire) != 0) {
        for (unsigned spins = 0; atomic_load_explicit(&shard->lock, memory_order_relaxed) != 0;
             spins++) {
            if (spins >= SPINS) {
                (void)sched_yield(); /* its holder may be waiting for a processor */
            }
        }
    }
}

static void unlock_shard(struct shard *shard)
{
    atomic_store_explicit(&shard->lock, 0, memory_order_release);
}

/* Counters that only the holder of the lock writes: no read-modify-write is needed. */
static void add(atomic_uint_fast64_t *counter, uint64_t more)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + more,
                          memory_order_relaxed);
}

/* Entries. */

static struct smelt_slice key_of(const struct sm_tip_entry *entry)
{
    return sm_slice(entry->bytes, entry->key_size);
}

static inline bool has_key(const struct sm_tip_entry *entry, struct smelt_slice key)
{
    return entry->key_size == key.size &&
           (key.size == 0 || memcmp(entry->bytes, key.data, key.size) == 0);
}

static bool has_own_block(const struct sm_tip_entry *entry)
{
    return entry->value != entry->bytes + entry->key_size;
}

static size_t entry_bytes(const struct sm_tip_entry *entry)
{
    return sizeof(*entry) + ENTRY_OVERHEAD + entry->key_size + entry->room +
           (has_own_block(entry) ? entry->capacity : 0);
}

static void count_bytes(struct sm_tip *tip, size_t more, size_t less)
{
    atomic_fetch_add_explicit(&tip->bytes, (uint64_t)more - less, memory_order_relaxed);
}

/* Not in the tip yet, and not known. NULL when memory is short. */
static struct sm_tip_entry *make_entry(uint64_t hash, struct smelt_slice key, size_t value_size)
{
    uint32_t room = value_size > ROOM_MIN ? (uint32_t)value_size : ROOM_MIN;
    size_t size;
    if (!sm_add_size(sizeof(struct sm_tip_entry) + room, key.size, &size)) {
        return NULL;
    }
    struct sm_tip_entry *entry = (struct sm_tip_entry *)sm_alloc(size);
    if (entry == NULL) {
        return NULL;
    }
    *entry = (struct sm_tip_entry){.hash = hash,
                                   .value = entry->bytes + key.size,
                                   .capacity = room,
                                   .key_size = (uint32_t)key.size,
                                   .room = room,
                                   .is_recent = true};
    if (key.size != 0) {
        memcpy(entry->bytes, key.data, key.size);
    }
    return entry;
}

static void free_entry(struct sm_tip_entry *entry)
{
    if (entry != NULL && has_own_block(entry)) {
        sm_free(entry->value);
    }
    sm_free(entry);
}

/* Needs the capacity. */
static void set_value(struct sm_tip_entry *entry, struct smelt_slice value, bool is_absent)
{
    assert(value.size <= entry->capacity);
    if (value.size != 0) {
        memcpy(entry->value, value.data, value.size);
    }
    entry->size = (uint32_t)value.size;
    entry->is_absent = is_absent;
    entry->is_known = true;
    entry->is_recent = true;
}

/* Shards; all of these need the lock. */

static struct shard *shard_of(struct sm_tip *tip, uint64_t hash)
{
    return &tip->shards[hash >> (64 - SHARD_BITS)];
}

static struct slot *find_slot(const struct shard *shard, uint64_t hash, struct smelt_slice key)
{
    size_t at = (size_t)hash & (shard->slot_count - 1);
    while (shard->slots[at].entry != NULL &&
           (shard->slots[at].hash != hash || !has_key(shard->slots[at].entry, key))) {
        at = (at + 1) & (shard->slot_count - 1);
    }
    return &shard->slots[at];
}

static struct sm_tip_entry *find(const struct shard *shard, uint64_t hash, struct smelt_slice key)
{
    return shard->slots != NULL ? find_slot(shard, hash, key)->entry : NULL;
}

static bool grow(struct shard *shard)
{
    size_t count = SLOTS_FIRST;
    if (shard->slots != NULL && !sm_mul_size(shard->slot_count, 2, &count)) {
        return false;
    }
    struct slot *slots = (struct slot *)sm_calloc(count, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < shard->slot_count; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without slots their number is 0 */
        if (shard->slots[i].entry == NULL) {
            continue;
        }
        size_t at = (size_t)shard->slots[i].hash & (count - 1);
        while (slots[at].entry != NULL) {
            at = (at + 1) & (count - 1);
        }
        slots[at] = shard->slots[i];
    }
    sm_free(shard->slots);
    shard->slots = slots;
    shard->slot_count = count;
    shard->hand = 0;
    return true;
}

/* The key must not be there. */
static bool insert(struct sm_tip *tip, struct shard *shard, struct sm_tip_entry *entry)
{
    uint64_t entries = atomic_load_explicit(&shard->entries, memory_order_relaxed);
    if (entries >= shard->slot_count / 2 && !grow(shard)) {
        return false;
    }
    *find_slot(shard, entry->hash, key_of(entry)) = (struct slot){entry->hash, entry};
    add(&shard->entries, 1);
    count_bytes(tip, entry_bytes(entry), 0);
    return true;
}

/* Takes the entry out of its slot and moves those up that were displaced by it. */
static void evict(struct sm_tip *tip, struct shard *shard, size_t at)
{
    size_t mask = shard->slot_count - 1;
    struct sm_tip_entry *entry = shard->slots[at].entry;
    count_bytes(tip, 0, entry_bytes(entry));
    free_entry(entry);
    size_t hole = at;
    for (size_t next = (at + 1) & mask; shard->slots[next].entry != NULL;
         next = (next + 1) & mask) {
        size_t home = (size_t)shard->slots[next].hash & mask;
        if (((next - home) & mask) >= ((next - hole) & mask)) {
            shard->slots[hole] = shard->slots[next];
            hole = next;
        }
    }
    shard->slots[hole].entry = NULL;
    add(&shard->entries, UINT64_MAX);
}

/* Reads. */

uint64_t sm_tip_hash(const struct sm_tip *tip, struct smelt_slice key)
{
    return sm_hash_keyed(&tip->hash_key, key);
}

/* False when the buffer is too small for the value: `value->size` is what it needs then. */
static bool copy_value(struct sm_tip_entry *entry, struct smelt_buf *value, struct sm_tip_read *out)
{
    if (entry->size > value->capacity) {
        value->size = entry->size;
        return false;
    }
    if (entry->size != 0) {
        memcpy(value->data, entry->value, entry->size);
    }
    value->size = entry->size;
    out->is_found = !entry->is_absent;
    out->ref.entry = entry;
    out->ref.stamp = atomic_load_explicit(&entry->stamp, memory_order_relaxed);
    entry->is_recent = true;
    return true;
}

enum known { KNOWN, UNKNOWN, NO_ROOM };

static enum known read_known(struct shard *shard, uint64_t hash, struct smelt_slice key,
                             struct smelt_buf *value, struct sm_tip_read *out)
{
    enum known known = UNKNOWN;
    lock_shard(shard);
    struct sm_tip_entry *entry = find(shard, hash, key);
    if (entry != NULL && entry->is_known) {
        known = copy_value(entry, value, out) ? KNOWN : NO_ROOM;
        if (known == KNOWN && !out->is_miss) {
            add(&shard->hits, 1);
        }
    }
    unlock_shard(shard);
    return known;
}

/* Of a value that the store has just given. When memory is short the tip stays as it is, as it does
 * without a budget: it is a cache. What has become known meanwhile is newer, or the same: the stamp
 * tells, since the value is the one of stamp 0. */
static void remember(struct sm_tip *tip, struct shard *shard, uint64_t hash, struct smelt_slice key,
                     struct smelt_slice value, struct sm_tip_read *out)
{
    struct sm_tip_entry *fresh = NULL;
    size_t more = sizeof(*fresh) + ENTRY_OVERHEAD + key.size + value.size;
    if (value.size <= UINT32_MAX && key.size <= UINT32_MAX &&
        atomic_load_explicit(&tip->bytes, memory_order_relaxed) + more <= tip->bytes_max) {
        fresh = make_entry(hash, key, value.size);
    }
    lock_shard(shard);
    add(&shard->misses, 1);
    add(&shard->read_ns, out->ns);
    struct sm_tip_entry *entry = find(shard, hash, key);
    if (entry == NULL && fresh != NULL && insert(tip, shard, fresh)) {
        entry = fresh;
        fresh = NULL;
    }
    if (entry != NULL && !entry->is_known && value.size <= entry->capacity) {
        set_value(entry, value, !out->is_found);
    }
    unlock_shard(shard);
    out->ref.entry = entry;
    free_entry(fresh);
}

enum smelt_status sm_tip_read(struct sm_tip *tip, uint64_t hash, struct smelt_slice key,
                              struct smelt_buf *value, struct sm_tip_read *out,
                              struct smelt_error *err)
{
    struct shard *shard = shard_of(tip, hash);
    *out = (struct sm_tip_read){0};
    for (;;) {
        enum known known = read_known(shard, hash, key, value, out);
        if (known == KNOWN) {
            return SMELT_STATUS_OK;
        }
        if (known == UNKNOWN) {
            break;
        }
        size_t size = value->size;
        value->size = 0;
        if (!sm_buf_reserve(value, size)) {
            return sm_error_no_memory(err, WHERE);
        }
    }
    uint64_t start = sm_clock_ns();
    enum smelt_status status = tip->store->ops->get(tip->store->impl, NULL, SMELT_STORE_STATE, key,
                                                    value, &out->is_found, err);
    out->ns = sm_clock_ns() - start;
    out->is_miss = true;
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (!out->is_found) {
        value->size = 0;
    }
    remember(tip, shard, hash, key, sm_buf_slice(value), out);
    return SMELT_STATUS_OK;
}

void sm_tip_fetch_place(struct sm_tip *tip, uint64_t hash)
{
    struct shard *shard = shard_of(tip, hash);
    lock_shard(shard);
    if (shard->slots != NULL) {
        __builtin_prefetch(&shard->slots[(size_t)hash & (shard->slot_count - 1)]);
    }
    unlock_shard(shard);
}

/* The first entry with the hash is almost always the one. */
void sm_tip_fetch_entry(struct sm_tip *tip, uint64_t hash)
{
    struct shard *shard = shard_of(tip, hash);
    const uint8_t *entry = NULL;
    lock_shard(shard);
    size_t at = (size_t)hash & (shard->slot_count - 1);
    while (shard->slots != NULL && shard->slots[at].entry != NULL && entry == NULL) {
        if (shard->slots[at].hash == hash) {
            entry = (const uint8_t *)shard->slots[at].entry;
        }
        at = (at + 1) & (shard->slot_count - 1);
    }
    unlock_shard(shard);
    for (size_t line = 0; entry != NULL && line < FETCHED_LINES; line++) {
        __builtin_prefetch(entry + line * LINE_BYTES);
    }
}

bool sm_tip_is_unpublished(struct sm_tip *tip, uint64_t hash, struct smelt_slice key)
{
    struct shard *shard = shard_of(tip, hash);
    lock_shard(shard);
    const struct sm_tip_entry *entry = find(shard, hash, key);
    bool is_unpublished =
        entry == NULL || atomic_load_explicit(&entry->stamp, memory_order_relaxed) == 0;
    unlock_shard(shard);
    return is_unpublished;
}

/* Publication. */

static bool reserve(struct list *list, size_t more)
{
    size_t wanted;
    if (!sm_add_size(list->count, more, &wanted)) {
        return false;
    }
    if (wanted <= list->capacity) {
        return true;
    }
    size_t capacity = list->capacity < wanted / 2 ? wanted : 2 * list->capacity;
    capacity = capacity < 64 ? 64 : capacity;
    struct sm_tip_entry **entries =
        (struct sm_tip_entry **)sm_realloc_array(list->entries, capacity, sizeof(*list->entries));
    if (entries == NULL) {
        return false;
    }
    list->entries = entries;
    list->capacity = capacity;
    return true;
}

bool sm_tip_reserve(struct sm_tip *tip, size_t count)
{
    return reserve(&tip->dirty, count);
}

/* The publisher alone changes capacities. */
static bool enlarge(struct sm_tip *tip, struct sm_tip_entry *entry, size_t size)
{
    struct shard *shard = shard_of(tip, entry->hash);
    uint8_t *block = (uint8_t *)sm_alloc(size);
    if (block == NULL) {
        return false;
    }
    lock_shard(shard);
    size_t before = entry_bytes(entry);
    uint8_t *old = has_own_block(entry) ? entry->value : NULL;
    if (entry->size != 0) {
        memcpy(block, entry->value, entry->size);
    }
    entry->value = block;
    entry->capacity = (uint32_t)size;
    count_bytes(tip, entry_bytes(entry), before);
    unlock_shard(shard);
    sm_free(old);
    return true;
}

/* The value that is in a batch on its way, before the first publication over it. */
static bool keep(struct sm_tip *tip, struct sm_tip_entry *entry)
{
    struct kept *kept = (struct kept *)sm_alloc(sizeof(*kept) + entry->size);
    if (kept == NULL) {
        return false;
    }
    *kept = (struct kept){
        .next = tip->kept, .entry = entry, .is_absent = entry->is_absent, .size = entry->size};
    if (entry->size != 0) {
        memcpy(kept->bytes, entry->value, entry->size);
    }
    tip->kept = kept;
    return true;
}

static struct sm_tip_entry *find_or_add(struct sm_tip *tip, uint64_t hash, struct smelt_slice key,
                                        size_t value_size)
{
    struct shard *shard = shard_of(tip, hash);
    lock_shard(shard);
    struct sm_tip_entry *entry = find(shard, hash, key);
    unlock_shard(shard);
    if (entry != NULL) {
        return entry;
    }
    struct sm_tip_entry *fresh = make_entry(hash, key, value_size);
    if (fresh == NULL) {
        return NULL;
    }
    lock_shard(shard);
    entry = find(shard, hash, key); /* a reader may have been faster */
    if (entry == NULL && insert(tip, shard, fresh)) {
        entry = fresh;
        fresh = NULL;
    }
    unlock_shard(shard);
    free_entry(fresh);
    return entry;
}

struct sm_tip_entry *sm_tip_prepare(struct sm_tip *tip, struct sm_tip_entry *known, uint64_t hash,
                                    struct smelt_slice key, size_t value_size)
{
    struct sm_tip_entry *entry = known != NULL ? known : find_or_add(tip, hash, key, value_size);
    if (entry == NULL || (value_size > entry->capacity && !enlarge(tip, entry, value_size)) ||
        (entry->is_in_flight && !entry->is_dirty && !keep(tip, entry))) {
        return NULL;
    }
    return entry;
}

void sm_tip_publish(struct sm_tip *tip, struct sm_tip_entry *entry, struct smelt_slice value,
                    bool is_absent)
{
    struct shard *shard = shard_of(tip, entry->hash);
    uint64_t stamp = ++tip->last_stamp;
    lock_shard(shard);
    set_value(entry, value, is_absent);
    atomic_store_explicit(&entry->stamp, stamp, memory_order_release);
    unlock_shard(shard);
    if (!entry->is_dirty) {
        entry->is_dirty = true;
        assert(tip->dirty.count < tip->dirty.capacity);
        tip->dirty.entries[tip->dirty.count++] = entry;
    }
}

/* Between executions. */

static void free_kept(struct sm_tip *tip)
{
    while (tip->kept != NULL) {
        struct kept *next = tip->kept->next;
        sm_free(tip->kept);
        tip->kept = next;
    }
}

static void free_list(struct list *list)
{
    sm_free(list->entries);
    *list = (struct list){0};
}

/* Entries, slots and lists; what has been counted stays. */
void sm_tip_clear(struct sm_tip *tip)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &tip->shards[i];
        for (size_t at = 0; at < shard->slot_count; at++) {
            free_entry(shard->slots[at].entry);
        }
        sm_free(shard->slots);
        shard->slots = NULL;
        shard->slot_count = 0;
        shard->hand = 0;
        atomic_store_explicit(&shard->entries, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&tip->bytes, 0, memory_order_relaxed);
    free_kept(tip);
    free_list(&tip->dirty);
    free_list(&tip->in_flight);
}

enum smelt_status sm_tip_create(struct smelt_store *store, uint64_t bytes_max, struct sm_tip **out,
                                struct smelt_error *err)
{
    *out = NULL;
    struct sm_tip *tip = (struct sm_tip *)sm_calloc(1, sizeof(*tip));
    if (tip == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    enum smelt_status status = sm_hash_key_init(&tip->hash_key, err);
    if (status != SMELT_STATUS_OK) {
        sm_free(tip);
        return status;
    }
    tip->store = store;
    tip->bytes_max = bytes_max;
    *out = tip;
    return SMELT_STATUS_OK;
}

void sm_tip_destroy(struct sm_tip *tip)
{
    if (tip == NULL) {
        return;
    }
    sm_tip_clear(tip);
    sm_free(tip);
}

void sm_tip_revert(struct sm_tip *tip)
{
    for (struct kept *kept = tip->kept; kept != NULL; kept = kept->next) {
        set_value(kept->entry, sm_slice(kept->bytes, kept->size), kept->is_absent);
        atomic_store_explicit(&kept->entry->stamp, ++tip->last_stamp, memory_order_relaxed);
    }
    free_kept(tip);
    for (size_t i = 0; i < tip->dirty.count; i++) {
        struct sm_tip_entry *entry = tip->dirty.entries[i];
        entry->is_dirty = false;
        if (!entry->is_in_flight) {
            struct shard *shard = shard_of(tip, entry->hash);
            evict(tip, shard,
                  (size_t)(find_slot(shard, entry->hash, key_of(entry)) - shard->slots));
        }
    }
    tip->dirty.count = 0;
}

/* Until the shard has been gone round, or the tip is small enough. Nothing is in flight. */
static void evict_some(struct sm_tip *tip, struct shard *shard, uint64_t bytes_wanted)
{
    for (size_t passed = 0; passed < shard->slot_count;) {
        size_t at = shard->hand;
        struct sm_tip_entry *entry = shard->slots[at].entry;
        if (entry != NULL && !entry->is_dirty && !entry->is_recent) {
            evict(tip, shard, at); /* what moves up is looked at next */
            if (atomic_load_explicit(&tip->bytes, memory_order_relaxed) <= bytes_wanted) {
                return;
            }
            continue;
        }
        if (entry != NULL) {
            entry->is_recent = false;
        }
        shard->hand = (at + 1) & (shard->slot_count - 1);
        passed++;
    }
}

/* Evicts a good part at once, so that it is seldom done and most of what is looked at goes. */
static void make_room(struct sm_tip *tip)
{
    if (atomic_load_explicit(&tip->bytes, memory_order_relaxed) <=
        tip->bytes_max - tip->bytes_max / 8) {
        return;
    }
    uint64_t wanted = tip->bytes_max - tip->bytes_max / 4;
    /* the first round may do no more than take the marks of use away */
    for (size_t visits = 0; visits < 2 * SHARDS; visits++) {
        evict_some(tip, &tip->shards[tip->hand], wanted);
        if (atomic_load_explicit(&tip->bytes, memory_order_relaxed) <= wanted) {
            return;
        }
        tip->hand = (tip->hand + 1) % SHARDS;
    }
}

void sm_tip_written(struct sm_tip *tip)
{
    for (size_t i = 0; i < tip->in_flight.count; i++) {
        tip->in_flight.entries[i]->is_in_flight = false;
    }
    tip->in_flight.count = 0;
    free_kept(tip);
    make_room(tip);
}

/* The batch. */

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    sm_store_le32(at, value);
    return at + 4;
}

static uint8_t *put_bytes(uint8_t *at, const uint8_t *data, size_t size)
{
    if (size != 0) {
        memcpy(at, data, size);
    }
    return at + size;
}

/* Writes the entry at `at`, and what the store has to do for it. */
static uint8_t *put_write(uint8_t *at, const struct sm_tip_entry *entry,
                          struct smelt_store_write *write)
{
    at = put_u32(at, entry->key_size);
    write->family = SMELT_STORE_STATE;
    write->is_delete = entry->is_absent;
    write->key = sm_slice(at, entry->key_size);
    write->value = sm_slice(NULL, 0);
    at = put_bytes(at, entry->bytes, entry->key_size);
    if (entry->is_absent) {
        *at++ = TAG_DELETED;
        return at;
    }
    *at++ = TAG_WRITTEN;
    at = put_u32(at, entry->size);
    write->value = sm_slice(at, entry->size);
    return put_bytes(at, entry->value, entry->size);
}

/* Entries lie anywhere in memory: the processor is told early which come next. */
#define AHEAD       ((size_t)8)
#define AHEAD_BYTES ((size_t)192)

static void put_writes(const struct sm_tip *tip, const struct sm_order_item *items,
                       struct sm_tip_batch *batch)
{
    uint8_t *at = batch->bytes.data;
    for (size_t i = 0; i < batch->count; i++) {
        if (i + AHEAD < batch->count) {
            const uint8_t *ahead = (const uint8_t *)tip->dirty.entries[items[i + AHEAD].index];
            for (size_t line = 0; line < AHEAD_BYTES; line += 64) {
                __builtin_prefetch(ahead + line);
            }
        }
        at = put_write(at, tip->dirty.entries[items[i].index], &batch->writes[i]);
    }
    assert(at == batch->bytes.data + batch->bytes.size);
}

static enum smelt_status make_batch(const struct sm_tip *tip, struct sm_tip_batch *out,
                                    struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    struct sm_tip_batch batch = {.count = tip->dirty.count};
    size_t size = 0;
    struct sm_order_item *items =
        (struct sm_order_item *)sm_realloc_array(NULL, batch.count, sizeof(*items));
    batch.writes =
        (struct smelt_store_write *)sm_realloc_array(NULL, batch.count, sizeof(*batch.writes));
    if (items == NULL || batch.writes == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    for (size_t i = 0; i < batch.count; i++) {
        const struct sm_tip_entry *entry = tip->dirty.entries[i];
        items[i] = (struct sm_order_item){
            .key = entry->bytes, .key_size = entry->key_size, .index = (uint32_t)i};
        size += 4 + (size_t)entry->key_size + 1 + (entry->is_absent ? 0 : 4 + (size_t)entry->size);
    }
    if (!sm_buf_reserve(&batch.bytes, size) || !sm_order_keys(items, batch.count)) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    batch.bytes.size = size;
    put_writes(tip, items, &batch);
    *out = batch;
    batch = (struct sm_tip_batch){0};
cleanup:
    sm_tip_batch_deinit(&batch);
    sm_free(items);
    return status;
}

enum smelt_status sm_tip_collect(struct sm_tip *tip, struct sm_tip_batch *out,
                                 struct smelt_error *err)
{
    *out = (struct sm_tip_batch){0};
    if (tip->dirty.count == 0) {
        return SMELT_STATUS_OK;
    }
    if (!reserve(&tip->in_flight, tip->dirty.count)) {
        return sm_error_no_memory(err, WHERE);
    }
    enum smelt_status status = make_batch(tip, out, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    for (size_t i = 0; i < tip->dirty.count; i++) {
        struct sm_tip_entry *entry = tip->dirty.entries[i];
        entry->is_dirty = false;
        if (!entry->is_in_flight) {
            entry->is_in_flight = true;
            tip->in_flight.entries[tip->in_flight.count++] = entry;
        }
    }
    tip->dirty.count = 0;
    free_kept(tip);
    return SMELT_STATUS_OK;
}

void sm_tip_batch_deinit(struct sm_tip_batch *batch)
{
    sm_free(batch->writes);
    smelt_buf_deinit(&batch->bytes);
    *batch = (struct sm_tip_batch){0};
}

struct sm_tip_figures sm_tip_figures(const struct sm_tip *tip)
{
    struct sm_tip_figures figures = {.bytes =
                                         atomic_load_explicit(&tip->bytes, memory_order_relaxed)};
    for (size_t i = 0; i < SHARDS; i++) {
        const struct shard *shard = &tip->shards[i];
        figures.entries += atomic_load_explicit(&shard->entries, memory_order_relaxed);
        figures.hits += atomic_load_explicit(&shard->hits, memory_order_relaxed);
        figures.misses += atomic_load_explicit(&shard->misses, memory_order_relaxed);
        figures.read_ns += atomic_load_explicit(&shard->read_ns, memory_order_relaxed);
    }
    return figures;
}
