/* One hash map from key to a stack of versions, whatever the depth of the layers:
 *
 *     key map       "a" ──▶ version, layer 3 ──▶ version, layer 1 ──▶ version, layer 0
 *                   "b" ──▶ version, layer 2
 *                   "c" ──▶ version, layer 0          below ──▶
 *                   "d" ──▶ (nothing known)
 *
 *     layers        3 ──▶ its versions, its events
 *                   2 ──▶ its versions, its events
 *                   1 ──▶ its versions, its events
 *                   0     what has been read from the store's snapshot or from the tip,
 *                         `is_absent` included; the key remembers the tip's entry and stamp
 *
 * Invariants:
 *   - the versions of a key have strictly falling layer numbers from `top` down, so there is at
 * most one per layer, and `top` is what a read sees: its cost does not depend on the depth;
 *   - a version of layer n > 0 is in the list of layer n; a version of layer 0 is in no list;
 *   - a version of layer 0 is made only by a read that found no version at all.
 *
 * What happens to a key's version, and in which function:
 *   unknown ──load──▶ layer 0          first read
 *   any     ──put_version──▶ layer n   write in layer n; an older version of layer n is replaced
 *   layer n ──merge──▶ layer n-1       a version of layer n-1 below it is freed
 *   layer n ──drop──▶ the one below    the version is freed; keys stay in the map
 *
 * The map is keyed by SipHash under a random key, so contracts cannot choose colliding keys; its
 * order never shows, since batches are sorted. The alternative, a map per layer, makes a miss at
 * depth 64 cost 64 look-ups. In front of it are the keys that were used last, found by a few of
 * their bytes: who makes these collide gains nothing but the speed of the map. */
#include "runtime/state/overlay.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"
#include "runtime/state/blocks.h"
#include "runtime/state/keys.h"
#include "runtime/state/order.h"
#include "runtime/state/tip_internal.h"

#include <assert.h>
#include <string.h>

#define WHERE "state"

/* Slots of the key map at first; always a power of two. */
#define SLOTS_FIRST ((size_t)64)
/* What a reset keeps at most. */
#define SLOTS_KEPT   ((size_t)4096)
#define LAYERS_KEPT  ((size_t)256)
#define SCRATCH_KEPT ((size_t)64 * 1024)
#define LAYERS_FIRST ((size_t)8)
#define RECENT_BITS  5

struct entry {
    struct version *top; /* NULL: not written, and not read yet */
    struct entry *next;  /* all entries, the newest first */
    uint64_t hash;
    struct sm_tip_ref ref; /* over a tip */
    bool is_read;          /* there is a version of layer 0 */
    uint32_t key_size;
    uint8_t key[];
};

struct version {
    struct version *below; /* the same key in an older layer */
    struct version *next;  /* the other keys of the same layer */
    struct version *previous;
    struct entry *entry;
    uint32_t layer;
    uint32_t size;
    uint32_t capacity;
    bool is_absent; /* deleted, or not in the store */
    uint8_t bytes[];
};

struct event {
    struct event *next;
    size_t size;                /* of the block */
    struct smelt_event content; /* slices into `bytes` */
    uint8_t bytes[];
};

struct layer {
    struct version *versions;
    struct event *first_event;
    struct event *last_event;
};

struct slot {
    uint64_t hash;
    struct entry *entry; /* NULL: free */
};

struct sm_overlay {
    struct sm_tip *tip; /* or */
    struct smelt_store *store;
    void *snapshot;

    struct slot *slots; /* linear probing, at most half full, nothing is ever removed */
    size_t slot_count;
    size_t slot_capacity;
    struct slot first_slots[SLOTS_FIRST];
    struct entry *recent[1 << RECENT_BITS];
    struct entry *entries;
    size_t entry_count;
    struct sm_hash_key hash_key; /* over a snapshot; a tip has its own */
    struct sm_blocks blocks;     /* entries, versions, events */

    struct layer *layers; /* layers[0] is layer 1 */
    size_t depth;
    size_t layer_capacity;

    struct smelt_buf scratch; /* a value on its way from the store */
    struct sm_overlay_reads reads;
    struct smelt_store_write *writes;
    struct smelt_event *events;
};

/* Neither over a tip nor over a store yet. */
static struct sm_overlay *make_overlay(void)
{
    struct sm_overlay *overlay = (struct sm_overlay *)sm_calloc(1, sizeof(*overlay));
    if (overlay != NULL) {
        overlay->slots = overlay->first_slots;
        overlay->slot_count = SLOTS_FIRST;
        overlay->slot_capacity = SLOTS_FIRST;
    }
    return overlay;
}

enum smelt_status sm_overlay_create(struct smelt_store *store, struct sm_overlay **out,
                                    struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    *out = NULL;
    struct sm_overlay *overlay = make_overlay();
    if (overlay == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    overlay->store = store;
    SMELT_TRY(sm_hash_key_init(&overlay->hash_key, err));
    SMELT_TRY(store->ops->snapshot(store->impl, &overlay->snapshot, err));
    *out = overlay;
    overlay = NULL;
cleanup:
    sm_overlay_destroy(overlay);
    return status;
}

enum smelt_status sm_overlay_create_at(struct sm_tip *tip, struct sm_overlay **out,
                                       struct smelt_error *err)
{
    *out = make_overlay();
    if (*out == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    (*out)->tip = tip;
    return SMELT_STATUS_OK;
}

static void free_slots(struct sm_overlay *overlay)
{
    if (overlay->slots != overlay->first_slots) {
        sm_free(overlay->slots);
    }
}

void sm_overlay_destroy(struct sm_overlay *overlay)
{
    if (overlay == NULL) {
        return;
    }
    if (overlay->snapshot != NULL) {
        overlay->store->ops->release(overlay->store->impl, overlay->snapshot);
    }
    sm_blocks_deinit(&overlay->blocks);
    smelt_buf_deinit(&overlay->scratch);
    free_slots(overlay);
    sm_free(overlay->layers);
    sm_free(overlay->writes);
    sm_free(overlay->events);
    sm_free(overlay);
}

void sm_overlay_reset(struct sm_overlay *overlay)
{
    assert(overlay->tip != NULL);
    sm_blocks_reset(&overlay->blocks);
    if (overlay->slot_capacity > SLOTS_KEPT) {
        free_slots(overlay);
        overlay->slots = overlay->first_slots;
        overlay->slot_capacity = SLOTS_FIRST;
    }
    overlay->slot_count = SLOTS_FIRST; /* growing clears the others */
    memset(overlay->slots, 0, SLOTS_FIRST * sizeof(*overlay->slots));
    memset(overlay->recent, 0, sizeof(overlay->recent));
    overlay->entries = NULL;
    overlay->entry_count = 0;
    if (overlay->layer_capacity > LAYERS_KEPT) {
        sm_free(overlay->layers);
        overlay->layers = NULL;
        overlay->layer_capacity = 0;
    }
    overlay->depth = 0;
    if (overlay->scratch.capacity > SCRATCH_KEPT) {
        smelt_buf_deinit(&overlay->scratch);
    }
    overlay->reads = (struct sm_overlay_reads){0};
    sm_free(overlay->writes);
    sm_free(overlay->events);
    overlay->writes = NULL;
    overlay->events = NULL;
}

/* The key map. */

static uint64_t hash_of(const struct sm_overlay *overlay, struct smelt_slice key)
{
    return overlay->tip != NULL ? sm_tip_hash(overlay->tip, key)
                                : sm_hash_keyed(&overlay->hash_key, key);
}

static struct smelt_slice key_of(const struct entry *entry)
{
    return sm_slice(entry->key, entry->key_size);
}

static inline bool has_key(const struct entry *entry, struct smelt_slice key)
{
    return entry->key_size == key.size &&
           (key.size == 0 || memcmp(entry->key, key.data, key.size) == 0);
}

/* By the ends of a key, where accounts and the storage of one contract differ. Keys are put
 * together right before: the last byte may come from another store than those before it, and
 * loading both at once would wait for that store. */
static struct entry **recent_place(struct sm_overlay *overlay, struct smelt_slice key)
{
    uint64_t first = key.size;
    uint64_t last = 0;
    if (key.size > sizeof(first)) {
        memcpy(&first, key.data, sizeof(first));
        memcpy(&last, key.data + key.size - sizeof(last) - 1, sizeof(last));
        last = last << 1 ^ (uint64_t)key.data[key.size - 1] << 32;
    }
    uint64_t mixed = (first ^ last) * UINT64_C(0x9e3779b97f4a7c15);
    return &overlay->recent[mixed >> (64 - RECENT_BITS)];
}

static struct slot *find_slot(const struct sm_overlay *overlay, uint64_t hash,
                              struct smelt_slice key)
{
    size_t mask = overlay->slot_count - 1;
    size_t at = (size_t)hash & mask;
    while (overlay->slots[at].entry != NULL &&
           (overlay->slots[at].hash != hash || !has_key(overlay->slots[at].entry, key))) {
        at = (at + 1) & mask;
    }
    return &overlay->slots[at];
}

/* Entries know their hashes, so the slots are made anew in the same place when there is room. */
static bool grow_map(struct sm_overlay *overlay)
{
    size_t count;
    if (!sm_mul_size(overlay->slot_count, 2, &count)) {
        return false;
    }
    if (count > overlay->slot_capacity) {
        struct slot *slots = (struct slot *)sm_realloc_array(NULL, count, sizeof(*slots));
        if (slots == NULL) {
            return false;
        }
        free_slots(overlay);
        overlay->slots = slots;
        overlay->slot_capacity = count;
    }
    overlay->slot_count = count;
    memset(overlay->slots, 0, count * sizeof(*overlay->slots));
    for (struct entry *entry = overlay->entries; entry != NULL; entry = entry->next) {
        size_t at = (size_t)entry->hash & (count - 1);
        while (overlay->slots[at].entry != NULL) {
            at = (at + 1) & (count - 1);
        }
        overlay->slots[at] = (struct slot){entry->hash, entry};
    }
    return true;
}

static struct entry *add_entry(struct sm_overlay *overlay, uint64_t hash, struct smelt_slice key)
{
    if (overlay->entry_count >= overlay->slot_count / 2 && !grow_map(overlay)) {
        return NULL;
    }
    size_t size;
    struct entry *entry = NULL;
    if (key.size <= UINT32_MAX && sm_add_size(sizeof(*entry), key.size, &size)) {
        entry = (struct entry *)sm_blocks_alloc(&overlay->blocks, size);
    }
    if (entry == NULL) {
        return NULL;
    }
    *entry = (struct entry){.next = overlay->entries, .hash = hash, .key_size = (uint32_t)key.size};
    if (key.size != 0) {
        memcpy(entry->key, key.data, key.size);
    }
    *find_slot(overlay, hash, key) = (struct slot){hash, entry};
    overlay->entries = entry;
    overlay->entry_count++;
    return entry;
}

/* NULL when memory is short. */
static struct entry *find_or_add_entry(struct sm_overlay *overlay, struct smelt_slice key)
{
    struct entry **recent = recent_place(overlay, key);
    if (*recent != NULL && has_key(*recent, key)) {
        return *recent;
    }
    uint64_t hash = hash_of(overlay, key);
    struct entry *entry = find_slot(overlay, hash, key)->entry;
    if (entry == NULL) {
        entry = add_entry(overlay, hash, key);
    }
    if (entry != NULL) {
        *recent = entry;
    }
    return entry;
}

/* Versions. */

static void set_value(struct version *version, struct smelt_slice value, bool is_absent)
{
    /* memmove: a value may be copied from a borrowed part of itself */
    if (value.size != 0) {
        memmove(version->bytes, value.data, value.size);
    }
    version->size = (uint32_t)value.size;
    version->is_absent = is_absent;
}

/* A value of 4 GiB or more is no value: its size has 32 bits in a batch. */
static struct version *make_version(struct sm_overlay *overlay, struct entry *entry, size_t layer,
                                    struct smelt_slice value, bool is_absent)
{
    if (value.size > UINT32_MAX) {
        return NULL;
    }
    size_t size = sm_blocks_room(sizeof(struct version) + value.size);
    struct version *version = (struct version *)sm_blocks_alloc(&overlay->blocks, size);
    if (version == NULL) {
        return NULL;
    }
    version->below = NULL;
    version->entry = entry;
    version->layer = (uint32_t)layer;
    version->capacity = (uint32_t)(size - sizeof(*version));
    set_value(version, value, is_absent);
    return version;
}

static void free_version(struct sm_overlay *overlay, struct version *version)
{
    sm_blocks_free(&overlay->blocks, version, sizeof(*version) + version->capacity);
}

static void link_version(struct layer *layer, struct version *version)
{
    version->previous = NULL;
    version->next = layer->versions;
    if (layer->versions != NULL) {
        layer->versions->previous = version;
    }
    layer->versions = version;
}

static void unlink_version(struct layer *layer, struct version *version)
{
    if (version->previous != NULL) {
        version->previous->next = version->next;
    } else {
        layer->versions = version->next;
    }
    if (version->next != NULL) {
        version->next->previous = version->previous;
    }
}

static struct layer *top_layer(struct sm_overlay *overlay)
{
    assert(overlay->depth != 0);
    return &overlay->layers[overlay->depth - 1];
}

static void free_event(struct sm_overlay *overlay, struct event *event)
{
    sm_blocks_free(&overlay->blocks, event, event->size);
}

static void free_events(struct sm_overlay *overlay, struct layer *layer)
{
    for (struct event *event = layer->first_event, *next; event != NULL; event = next) {
        next = event->next;
        free_event(overlay, event);
    }
    layer->first_event = NULL;
    layer->last_event = NULL;
}

static enum smelt_status put_version(struct sm_overlay *overlay, struct smelt_slice key,
                                     struct smelt_slice value, bool is_absent,
                                     struct smelt_error *err)
{
    struct layer *layer = top_layer(overlay);
    struct entry *entry = find_or_add_entry(overlay, key);
    if (entry == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    struct version *old = entry->top;
    bool is_same_layer = old != NULL && old->layer == overlay->depth;
    if (is_same_layer && value.size <= old->capacity) {
        set_value(old, value, is_absent);
        return SMELT_STATUS_OK;
    }
    struct version *version = make_version(overlay, entry, overlay->depth, value, is_absent);
    if (version == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    version->below = old;
    if (is_same_layer) {
        version->below = old->below;
        unlink_version(layer, old);
        free_version(overlay, old);
    }
    link_version(layer, version);
    entry->top = version;
    return SMELT_STATUS_OK;
}

/* Into the scratch buffer. */
static enum smelt_status read_below(struct sm_overlay *overlay, struct entry *entry, bool *is_found,
                                    struct smelt_error *err)
{
    if (overlay->tip != NULL) {
        struct sm_tip_read read;
        enum smelt_status status =
            sm_tip_read(overlay->tip, entry->hash, key_of(entry), &overlay->scratch, &read, err);
        entry->ref = read.ref;
        *is_found = read.is_found;
        overlay->reads.ns += read.ns;
        overlay->reads.count += read.is_miss;
        return status;
    }
    struct smelt_store *store = overlay->store;
    uint64_t start = sm_clock_ns();
    enum smelt_status status = store->ops->get(store->impl, overlay->snapshot, SMELT_STORE_STATE,
                                               key_of(entry), &overlay->scratch, is_found, err);
    overlay->reads.ns += sm_clock_ns() - start;
    overlay->reads.count++;
    return status;
}

static enum smelt_status load(struct sm_overlay *overlay, struct entry *entry,
                              struct smelt_error *err)
{
    bool is_found = false;
    enum smelt_status status = read_below(overlay, entry, &is_found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    struct smelt_slice value = is_found ? sm_buf_slice(&overlay->scratch) : sm_slice(NULL, 0);
    entry->top = make_version(overlay, entry, 0, value, !is_found);
    entry->is_read = entry->top != NULL;
    return entry->is_read ? SMELT_STATUS_OK : sm_error_no_memory(err, WHERE);
}

/* Layers. */

enum smelt_status sm_overlay_push(struct sm_overlay *overlay, struct smelt_error *err)
{
    if (overlay->depth == overlay->layer_capacity) {
        size_t capacity = overlay->layer_capacity != 0 ? overlay->layer_capacity : LAYERS_FIRST / 2;
        struct layer *layers = NULL;
        if (sm_mul_size(capacity, 2, &capacity) && capacity <= UINT32_MAX) {
            layers = (struct layer *)sm_realloc_array(overlay->layers, capacity, sizeof(*layers));
        }
        if (layers == NULL) {
            return sm_error_no_memory(err, WHERE);
        }
        overlay->layers = layers;
        overlay->layer_capacity = capacity;
    }
    overlay->layers[overlay->depth] = (struct layer){0};
    overlay->depth++;
    return SMELT_STATUS_OK;
}

void sm_overlay_drop(struct sm_overlay *overlay)
{
    struct layer *layer = top_layer(overlay);
    for (struct version *version = layer->versions, *next; version != NULL; version = next) {
        next = version->next;
        version->entry->top = version->below;
        free_version(overlay, version);
    }
    free_events(overlay, layer);
    overlay->depth--;
}

void sm_overlay_merge(struct sm_overlay *overlay)
{
    assert(overlay->depth >= 2);
    struct layer *layer = top_layer(overlay);
    struct layer *parent = layer - 1;
    overlay->depth--;
    for (struct version *version = layer->versions, *next; version != NULL; version = next) {
        next = version->next;
        struct version *below = version->below;
        if (below != NULL && below->layer == overlay->depth) {
            version->below = below->below;
            unlink_version(parent, below);
            free_version(overlay, below);
        }
        version->layer = (uint32_t)overlay->depth;
        link_version(parent, version);
    }
    if (layer->first_event == NULL) {
        return;
    }
    if (parent->last_event != NULL) {
        parent->last_event->next = layer->first_event;
    } else {
        parent->first_event = layer->first_event;
    }
    parent->last_event = layer->last_event;
}

size_t sm_overlay_depth(const struct sm_overlay *overlay)
{
    return overlay->depth;
}

struct sm_overlay_reads sm_overlay_reads(const struct sm_overlay *overlay)
{
    return overlay->reads;
}

/* Reads, writes, events. */

enum smelt_status sm_overlay_get(struct sm_overlay *overlay, struct smelt_slice key,
                                 struct smelt_slice *value, bool *found, struct smelt_error *err)
{
    *value = sm_slice(NULL, 0);
    *found = false;
    struct entry *entry = find_or_add_entry(overlay, key);
    if (entry == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    if (entry->top == NULL) {
        enum smelt_status status = load(overlay, entry, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
    }
    if (!entry->top->is_absent) {
        *value = sm_slice(entry->top->bytes, entry->top->size);
        *found = true;
    }
    return SMELT_STATUS_OK;
}

enum smelt_status sm_overlay_put(struct sm_overlay *overlay, struct smelt_slice key,
                                 struct smelt_slice value, struct smelt_error *err)
{
    return put_version(overlay, key, value, false, err);
}

enum smelt_status sm_overlay_delete(struct sm_overlay *overlay, struct smelt_slice key,
                                    struct smelt_error *err)
{
    return put_version(overlay, key, sm_slice(NULL, 0), true, err);
}

enum smelt_status sm_overlay_emit(struct sm_overlay *overlay, const struct smelt_event *source,
                                  struct smelt_error *err)
{
    struct layer *layer = top_layer(overlay);
    size_t size;
    struct event *event = NULL;
    if (sm_add_size(sizeof(*event), source->topic.size, &size) &&
        sm_add_size(size, source->data.size, &size)) {
        event = (struct event *)sm_blocks_alloc(&overlay->blocks, size);
    }
    if (event == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    uint8_t *data = event->bytes + source->topic.size;
    if (source->topic.size != 0) {
        memcpy(event->bytes, source->topic.data, source->topic.size);
    }
    if (source->data.size != 0) {
        memcpy(data, source->data.data, source->data.size);
    }
    event->next = NULL;
    event->size = size;
    event->content = (struct smelt_event){.address = source->address,
                                          .topic = sm_slice(event->bytes, source->topic.size),
                                          .data = sm_slice(data, source->data.size)};
    if (layer->last_event != NULL) {
        layer->last_event->next = event;
    } else {
        layer->first_event = event;
    }
    layer->last_event = event;
    return SMELT_STATUS_OK;
}

bool sm_overlay_take_events(struct sm_overlay *overlay, sm_overlay_take_fn take, void *context)
{
    struct layer *layer = top_layer(overlay);
    for (const struct event *event = layer->first_event; event != NULL; event = event->next) {
        if (!take(context, &event->content)) {
            return false;
        }
    }
    free_events(overlay, layer);
    return true;
}

size_t sm_overlay_storage_writes(const struct sm_overlay *overlay)
{
    assert(overlay->depth != 0);
    size_t count = 0;
    for (const struct version *version = overlay->layers[overlay->depth - 1].versions;
         version != NULL; version = version->next) {
        count += sm_state_is_storage_key(key_of(version->entry));
    }
    return count;
}

/* The beginning and the end, over a tip. */

uint64_t sm_overlay_expect(const struct sm_overlay *overlay, struct smelt_slice key)
{
    assert(overlay->tip != NULL);
    uint64_t hash = sm_tip_hash(overlay->tip, key);
    sm_tip_fetch_place(overlay->tip, hash);
    return hash;
}

void sm_overlay_fetch(const struct sm_overlay *overlay, uint64_t expected)
{
    sm_tip_fetch_entry(overlay->tip, expected);
}

bool sm_overlay_is_current(const struct sm_overlay *overlay)
{
    assert(overlay->tip != NULL);
    for (const struct entry *entry = overlay->entries; entry != NULL; entry = entry->next) {
        if (entry->is_read &&
            !sm_tip_is_current(overlay->tip, entry->hash, key_of(entry), entry->ref)) {
            return false;
        }
    }
    return true;
}

enum smelt_status sm_overlay_publish(struct sm_overlay *overlay, struct smelt_error *err)
{
    assert(overlay->tip != NULL && overlay->depth == 1);
    struct version *versions = overlay->layers[0].versions;
    size_t count = 0;
    for (struct version *version = versions; version != NULL; version = version->next) {
        struct entry *entry = version->entry;
        entry->ref.entry = sm_tip_prepare(overlay->tip, entry->ref.entry, entry->hash,
                                          key_of(entry), version->size);
        if (entry->ref.entry == NULL) {
            return sm_error_no_memory(err, WHERE);
        }
        count++;
    }
    if (!sm_tip_reserve(overlay->tip, count)) {
        return sm_error_no_memory(err, WHERE);
    }
    for (const struct version *version = versions; version != NULL; version = version->next) {
        sm_tip_publish(overlay->tip, version->entry->ref.entry,
                       sm_slice(version->bytes, version->size), version->is_absent);
    }
    return SMELT_STATUS_OK;
}

/* The end, over a snapshot or a tip. */

/* The writes of the bottom layer, in the store's order. */
static bool sort_writes(const struct layer *layer, struct smelt_store_write *writes, size_t count)
{
    size_t at = 0;
    struct sm_order_item *items =
        (struct sm_order_item *)sm_realloc_array(NULL, count, sizeof(*items));
    const struct version **versions =
        (const struct version **)sm_realloc_array(NULL, count, sizeof(const struct version *));
    bool is_done = items != NULL && versions != NULL;
    for (const struct version *version = layer->versions; is_done && version != NULL;
         version = version->next) {
        items[at] = (struct sm_order_item){.key = version->entry->key,
                                           .key_size = version->entry->key_size,
                                           .index = (uint32_t)at};
        versions[at++] = version;
    }
    is_done = is_done && sm_order_keys(items, count);
    for (size_t i = 0; is_done && i < count; i++) {
        const struct version *version = versions[items[i].index];
        writes[i] = (struct smelt_store_write){.family = SMELT_STORE_STATE,
                                               .key = key_of(version->entry),
                                               .value = sm_slice(version->bytes, version->size),
                                               .is_delete = version->is_absent};
    }
    sm_free(items);
    sm_free(versions);
    return is_done;
}

enum smelt_status sm_overlay_collect(struct sm_overlay *overlay, struct sm_overlay_result *out,
                                     struct smelt_error *err)
{
    assert(overlay->depth == 1);
    const struct layer *layer = &overlay->layers[0];
    size_t write_count = 0;
    size_t event_count = 0;
    *out = (struct sm_overlay_result){0};
    for (const struct version *version = layer->versions; version != NULL;
         version = version->next) {
        write_count++;
    }
    for (const struct event *event = layer->first_event; event != NULL; event = event->next) {
        event_count++;
    }
    struct smelt_store_write *writes =
        (struct smelt_store_write *)sm_realloc_array(overlay->writes, write_count, sizeof(*writes));
    if (writes == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    overlay->writes = writes;
    struct smelt_event *events =
        (struct smelt_event *)sm_realloc_array(overlay->events, event_count, sizeof(*events));
    if (events == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    overlay->events = events;
    if (!sort_writes(layer, writes, write_count)) {
        return sm_error_no_memory(err, WHERE);
    }
    for (const struct event *event = layer->first_event; event != NULL; event = event->next) {
        *events++ = event->content;
    }
    *out = (struct sm_overlay_result){.writes = overlay->writes,
                                      .write_count = write_count,
                                      .events = overlay->events,
                                      .event_count = event_count};
    return SMELT_STATUS_OK;
}
