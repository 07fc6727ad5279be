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
 *                   0     the store's snapshot: what has been read from it, `is_absent` included
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
 * order never shows, since collect sorts. The alternative, a map per layer, makes a miss at depth
 * 64 cost 64 look-ups. */
#include "runtime/state/overlay.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/status.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WHERE "state"

/* Slots of the key map at first; always a power of two. */
#define SLOTS_FIRST  32
#define LAYERS_FIRST 8

struct entry {
    struct version *top; /* NULL: not written, and not read yet */
    size_t key_size;
    uint8_t key[];
};

struct version {
    struct version *below; /* the same key in an older layer */
    struct version *next;  /* the other keys of the same layer */
    struct version *previous;
    struct entry *entry;
    size_t layer;
    bool is_absent; /* deleted, or not in the store */
    size_t size;
    size_t capacity;
    uint8_t bytes[];
};

struct event {
    struct event *next;
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
    struct smelt_store *store;
    void *snapshot;

    struct slot *slots; /* linear probing, at most half full, nothing is ever removed */
    size_t slot_count;
    size_t entry_count;
    struct sm_hash_key hash_key;
    struct sm_arena entries; /* keys live until destroy */

    struct layer *layers; /* layers[0] is layer 1 */
    size_t depth;
    size_t layer_capacity;

    struct smelt_buf scratch; /* a value on its way from the store */
    struct sm_overlay_reads reads;
    struct smelt_store_write *writes;
    struct smelt_event *events;
};

enum smelt_status sm_overlay_create(struct smelt_store *store, struct sm_overlay **out,
                                    struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    *out = NULL;
    struct sm_overlay *overlay = (struct sm_overlay *)sm_calloc(1, sizeof(*overlay));
    if (overlay == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    overlay->store = store;
    overlay->slots = (struct slot *)sm_calloc(SLOTS_FIRST, sizeof(*overlay->slots));
    if (overlay->slots == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    overlay->slot_count = SLOTS_FIRST;
    SMELT_TRY(sm_hash_key_init(&overlay->hash_key, err));
    SMELT_TRY(store->ops->snapshot(store->impl, &overlay->snapshot, err));
    *out = overlay;
    overlay = NULL;
cleanup:
    sm_overlay_destroy(overlay);
    return status;
}

void sm_overlay_destroy(struct sm_overlay *overlay)
{
    if (overlay == NULL) {
        return;
    }
    while (overlay->depth != 0) {
        sm_overlay_drop(overlay);
    }
    for (size_t i = 0; i < overlay->slot_count; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without slots their number is 0 */
        if (overlay->slots[i].entry != NULL) {
            sm_free(overlay->slots[i].entry->top);
        }
    }
    if (overlay->snapshot != NULL) {
        overlay->store->ops->release(overlay->store->impl, overlay->snapshot);
    }
    sm_arena_deinit(&overlay->entries);
    smelt_buf_deinit(&overlay->scratch);
    sm_free(overlay->slots);
    sm_free(overlay->layers);
    sm_free(overlay->writes);
    sm_free(overlay->events);
    sm_free(overlay);
}

/* The key map. */

static uint64_t hash_of(const struct sm_overlay *overlay, struct smelt_slice key)
{
    return sm_hash_keyed(&overlay->hash_key, key);
}

static struct slot *find_slot(struct slot *slots, size_t slot_count, uint64_t hash,
                              struct smelt_slice key)
{
    size_t at = (size_t)hash & (slot_count - 1);
    while (slots[at].entry != NULL &&
           (slots[at].hash != hash ||
            !sm_slice_equal(sm_slice(slots[at].entry->key, slots[at].entry->key_size), key))) {
        at = (at + 1) & (slot_count - 1);
    }
    return &slots[at];
}

static bool grow_map(struct sm_overlay *overlay)
{
    size_t count;
    if (!sm_mul_size(overlay->slot_count, 2, &count)) {
        return false;
    }
    struct slot *slots = (struct slot *)sm_calloc(count, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < overlay->slot_count; i++) {
        if (overlay->slots[i].entry == NULL) {
            continue;
        }
        size_t at = (size_t)overlay->slots[i].hash & (count - 1);
        while (slots[at].entry != NULL) {
            at = (at + 1) & (count - 1);
        }
        slots[at] = overlay->slots[i];
    }
    sm_free(overlay->slots);
    overlay->slots = slots;
    overlay->slot_count = count;
    return true;
}

/* NULL when memory is short. */
static struct entry *find_or_add_entry(struct sm_overlay *overlay, struct smelt_slice key)
{
    uint64_t hash = hash_of(overlay, key);
    struct slot *slot = find_slot(overlay->slots, overlay->slot_count, hash, key);
    if (slot->entry != NULL) {
        return slot->entry;
    }
    if (overlay->entry_count >= overlay->slot_count / 2) {
        if (!grow_map(overlay)) {
            return NULL;
        }
        slot = find_slot(overlay->slots, overlay->slot_count, hash, key);
    }
    size_t size;
    if (!sm_add_size(sizeof(struct entry), key.size, &size)) {
        return NULL;
    }
    struct entry *entry = (struct entry *)sm_arena_calloc(&overlay->entries, 1, size);
    if (entry == NULL) {
        return NULL;
    }
    entry->key_size = key.size;
    if (key.size != 0) {
        memcpy(entry->key, key.data, key.size);
    }
    slot->hash = hash;
    slot->entry = entry;
    overlay->entry_count++;
    return entry;
}

/* Versions. */

static void set_value(struct version *version, struct smelt_slice value, bool is_absent)
{
    /* memmove: a value may be copied from a borrowed part of itself */
    if (value.size != 0) {
        memmove(version->bytes, value.data, value.size);
    }
    version->size = value.size;
    version->is_absent = is_absent;
}

static struct version *make_version(struct entry *entry, size_t layer, struct smelt_slice value,
                                    bool is_absent)
{
    size_t size;
    if (!sm_add_size(sizeof(struct version), value.size, &size)) {
        return NULL;
    }
    struct version *version = (struct version *)sm_alloc(size);
    if (version == NULL) {
        return NULL;
    }
    *version = (struct version){.entry = entry, .layer = layer, .capacity = value.size};
    set_value(version, value, is_absent);
    return version;
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
    struct version *version = make_version(entry, overlay->depth, value, is_absent);
    if (version == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    version->below = old;
    if (is_same_layer) {
        version->below = old->below;
        unlink_version(layer, old);
        sm_free(old);
    }
    link_version(layer, version);
    entry->top = version;
    return SMELT_STATUS_OK;
}

static enum smelt_status load(struct sm_overlay *overlay, struct entry *entry,
                              struct smelt_error *err)
{
    struct smelt_store *store = overlay->store;
    bool is_found = false;
    uint64_t start = sm_clock_ns();
    enum smelt_status status =
        store->ops->get(store->impl, overlay->snapshot, SMELT_STORE_STATE,
                        sm_slice(entry->key, entry->key_size), &overlay->scratch, &is_found, err);
    overlay->reads.ns += sm_clock_ns() - start;
    overlay->reads.count++;
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    struct smelt_slice value = is_found ? sm_buf_slice(&overlay->scratch) : sm_slice(NULL, 0);
    entry->top = make_version(entry, 0, value, !is_found);
    return entry->top != NULL ? SMELT_STATUS_OK : sm_error_no_memory(err, WHERE);
}

/* Layers. */

enum smelt_status sm_overlay_push(struct sm_overlay *overlay, struct smelt_error *err)
{
    if (overlay->depth == overlay->layer_capacity) {
        size_t capacity = overlay->layer_capacity != 0 ? overlay->layer_capacity : LAYERS_FIRST / 2;
        struct layer *layers = NULL;
        if (sm_mul_size(capacity, 2, &capacity)) {
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
        sm_free(version);
    }
    for (struct event *event = layer->first_event, *next; event != NULL; event = next) {
        next = event->next;
        sm_free(event);
    }
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
            sm_free(below);
        }
        version->layer = overlay->depth;
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
        event = (struct event *)sm_alloc(size);
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

/* The end. */

static int compare_writes(const void *a, const void *b)
{
    return sm_slice_compare(((const struct smelt_store_write *)a)->key,
                            ((const struct smelt_store_write *)b)->key);
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
    for (const struct version *version = layer->versions; version != NULL;
         version = version->next) {
        *writes++ = (struct smelt_store_write){
            .family = SMELT_STORE_STATE,
            .key = sm_slice(version->entry->key, version->entry->key_size),
            .value = sm_slice(version->bytes, version->size),
            .is_delete = version->is_absent};
    }
    for (const struct event *event = layer->first_event; event != NULL; event = event->next) {
        *events++ = event->content;
    }
    qsort(overlay->writes, write_count, sizeof(*overlay->writes), compare_writes);
    *out = (struct sm_overlay_result){.writes = overlay->writes,
                                      .write_count = write_count,
                                      .events = overlay->events,
                                      .event_count = event_count};
    return SMELT_STATUS_OK;
}
