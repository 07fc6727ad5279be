/* The overlay: what a transaction has changed but not written.
 *
 *     layer n   (innermost nested call)     a read sees the topmost layer that has the key,
 *     layer ...                             else the store's snapshot (memoised)
 *     layer 1   (outermost call)
 *     snapshot of the store
 *
 *   begin   --sm_overlay_push-->  one more layer on top
 *   success --sm_overlay_merge--> the top layer's writes and events join the layer below
 *   failure --sm_overlay_drop-->  the top layer is gone, its events included
 *   end     --sm_overlay_collect--> the bottom layer becomes one batch for the store
 *
 * There is no undo log. Keys are the store's own keys of family STATE (keys.h); an overlay belongs
 * to one transaction and one thread. */
#ifndef SM_STATE_OVERLAY_H
#define SM_STATE_OVERLAY_H

#include "runtime/state/tip.h"

#include <smelt/runtime.h>
#include <smelt/store.h>

struct sm_overlay;

/* Over a snapshot of the store (borrowed), which it holds until destroy. Starts with no layer. */
enum smelt_status sm_overlay_create(struct smelt_store *store, struct sm_overlay **out,
                                    struct smelt_error *err);
/* Over the tip (borrowed), which others may publish to meanwhile. */
enum smelt_status sm_overlay_create_at(struct sm_tip *tip, struct sm_overlay **out,
                                       struct smelt_error *err);
void sm_overlay_destroy(struct sm_overlay *overlay);

/* Back to no layer and nothing read; keeps its memory for the next use. Over a tip only. */
void sm_overlay_reset(struct sm_overlay *overlay);

/* Over a tip: two steps for keys that will be read soon, best for many of them together: what the
 * reads need is on its way from memory then. The result of the first is for the second. */
uint64_t sm_overlay_expect(const struct sm_overlay *overlay, struct smelt_slice key);
void sm_overlay_fetch(const struct sm_overlay *overlay, uint64_t expected);

/* Over a tip: whether everything that was read from it is what it still holds. What has been
 * computed from the reads is right then, as if nobody else had run meanwhile. */
bool sm_overlay_is_current(const struct sm_overlay *overlay);
/* Over a tip, with exactly one layer: what the layer holds becomes part of the tip. One thread at a
 * time. On failure nothing is published. The overlay is good for sm_overlay_reset only. */
enum smelt_status sm_overlay_publish(struct sm_overlay *overlay, struct smelt_error *err);

enum smelt_status sm_overlay_push(struct sm_overlay *overlay, struct smelt_error *err);
/* Neither allocates, so neither fails. Dropping the last layer leaves none. */
void sm_overlay_drop(struct sm_overlay *overlay);  /* needs a layer */
void sm_overlay_merge(struct sm_overlay *overlay); /* needs at least two */
size_t sm_overlay_depth(const struct sm_overlay *overlay);

/* What the store was asked for so far. */
struct sm_overlay_reads {
    uint64_t count;
    uint64_t ns;
};
struct sm_overlay_reads sm_overlay_reads(const struct sm_overlay *overlay);

/* `value` is borrowed until the key is next written, the layer that wrote it dropped, or the
 * overlay destroyed: copy it before contract code runs. */
enum smelt_status sm_overlay_get(struct sm_overlay *overlay, struct smelt_slice key,
                                 struct smelt_slice *value, bool *found, struct smelt_error *err);
/* Both copy their arguments into the top layer, which must exist. On failure nothing changes. */
enum smelt_status sm_overlay_put(struct sm_overlay *overlay, struct smelt_slice key,
                                 struct smelt_slice value, struct smelt_error *err);
enum smelt_status sm_overlay_delete(struct sm_overlay *overlay, struct smelt_slice key,
                                    struct smelt_error *err);

/* Events are ordered by emission among those that survive. Slices are copied. */
enum smelt_status sm_overlay_emit(struct sm_overlay *overlay, const struct smelt_event *event,
                                  struct smelt_error *err);

/* Calls `take` for each event of the top layer, in order, and removes them from it. False, with the
 * events as they were, when a call returned false. */
typedef bool (*sm_overlay_take_fn)(void *context, const struct smelt_event *event);
bool sm_overlay_take_events(struct sm_overlay *overlay, sm_overlay_take_fn take, void *context);
/* How many keys of contract storage the top layer has written or deleted. */
size_t sm_overlay_storage_writes(const struct sm_overlay *overlay);

/* With exactly one layer: its writes in ascending key order, a key once, and its events in order.
 * Everything is borrowed until the overlay next changes or is destroyed. */
struct sm_overlay_result {
    const struct smelt_store_write *writes;
    size_t write_count;
    const struct smelt_event *events;
    size_t event_count;
};
enum smelt_status sm_overlay_collect(struct sm_overlay *overlay, struct sm_overlay_result *out,
                                     struct smelt_error *err);

#endif
