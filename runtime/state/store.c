/* What every store has in common: what is asked of it before its own functions are. */
#include "base/status.h"

#include <smelt/store.h>

#define WHERE "store"

enum smelt_status smelt_store_checkpoint(struct smelt_store *store, const char *directory,
                                         struct smelt_error *err)
{
    if (store->ops->checkpoint == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "this store is not on disk and cannot be copied to a directory");
    }
    if (directory == NULL || directory[0] == '\0') {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "the directory for the copy has no name");
    }
    return store->ops->checkpoint(store->impl, directory, err);
}

void smelt_store_close(struct smelt_store *store)
{
    if (store != NULL) {
        store->ops->close(store->impl);
    }
}
