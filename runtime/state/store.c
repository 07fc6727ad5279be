/* What every store has in common: an object ends by its own close function, and copies itself if it
 * can. */
#include <smelt/store.h>

#include "base/status.h"

void smelt_store_close(struct smelt_store *store)
{
    if (store != NULL) {
        store->ops->close(store->impl);
    }
}

enum smelt_status smelt_store_checkpoint(struct smelt_store *store, const char *directory,
                                         struct smelt_error *err)
{
    if (store == NULL || directory == NULL || directory[0] == '\0') {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, "store",
                            "store and directory are required");
    }
    if (store->ops->checkpoint == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, "store",
                            "a store that is not on disk cannot be copied to a directory");
    }
    return store->ops->checkpoint(store->impl, directory, err);
}
