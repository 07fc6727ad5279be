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

#include <smelt/runtime.h>
#include <smelt/store.h>

struct sm_overlay;

/* Takes a snapshot of the store (borrowed) and holds it until destroy. Starts with no layer. */
enum smelt_status sm_overlay_create(struct smelt_store *store, struct sm_overlay **out,
                                    struct smelt_error *err);
void sm_overlay_destroy(struct sm_overlay *overlay);

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
