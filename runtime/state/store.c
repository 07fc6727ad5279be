/* What every store has in common: an object ends by its own close function. */
#include <smelt/store.h>

void smelt_store_close(struct smelt_store *store)
{
    if (store != NULL) {
        store->ops->close(store->impl);
    }
}
