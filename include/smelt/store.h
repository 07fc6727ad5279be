/* The key-value store below the state: a table of functions, with RocksDB and memory behind it.
 *
 * One store holds five families of keys. Writes go in atomic batches: after a crash a batch is
 * there whole or not at all. An embedder may bring a store of its own by filling `struct
 * smelt_store`. */
#ifndef SMELT_STORE_H
#define SMELT_STORE_H

#include <smelt/bytes.h>
#include <smelt/export.h>
#include <smelt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum smelt_store_family {
    SMELT_STORE_STATE,    /* accounts and contract storage */
    SMELT_STORE_CODE,     /* module hash -> wasm bytes */
    SMELT_STORE_RECEIPTS, /* reserved */
    SMELT_STORE_EVENTS,   /* reserved */
    SMELT_STORE_META,     /* format version, profile, schedule */
    SMELT_STORE_FAMILY_COUNT
};

struct smelt_store_write {
    enum smelt_store_family family;
    struct smelt_slice key;
    struct smelt_slice value; /* ignored when is_delete */
    bool is_delete;
};

/* Called for each pair in ascending key order (unsigned bytes). The slices are borrowed for the
 * call. Return false to stop. */
typedef bool (*smelt_store_visit_fn)(void *context, struct smelt_slice key,
                                     struct smelt_slice value);

struct smelt_store_ops {
    /* A consistent view of the store; execution reads from one and never sees a later write. */
    enum smelt_status (*snapshot)(void *impl, void **snapshot, struct smelt_error *err);
    void (*release)(void *impl, void *snapshot);
    /* Reads from `snapshot`, or the newest state when it is NULL. The value replaces the content of
     * `value`. A missing key is `*found = false`, not an error. */
    enum smelt_status (*get)(void *impl, void *snapshot, enum smelt_store_family family,
                             struct smelt_slice key, struct smelt_buf *value, bool *found,
                             struct smelt_error *err);
    enum smelt_status (*iterate)(void *impl, void *snapshot, enum smelt_store_family family,
                                 struct smelt_slice prefix, smelt_store_visit_fn visit,
                                 void *context, struct smelt_error *err);
    /* All or nothing, durable when it returns. Later entries win over earlier ones. */
    enum smelt_status (*write)(void *impl, const struct smelt_store_write *writes, size_t count,
                               struct smelt_error *err);
    void (*close)(void *impl);
};

struct smelt_store {
    const struct smelt_store_ops *ops;
    void *impl;
};

/* Opens or creates a RocksDB database in `directory`. STORE_LOCKED when another process has it
 * open, STORE_CORRUPT when it is damaged or not a smelt state. With `must_exist`, a missing
 * directory is NOT_FOUND and nothing is created. */
SMELT_API enum smelt_status smelt_store_open_rocksdb(const char *directory, bool must_exist,
                                                     struct smelt_store **out,
                                                     struct smelt_error *err) SMELT_WARN_UNUSED;

/* An empty store that lives as long as the object. */
SMELT_API enum smelt_status smelt_store_create_memory(struct smelt_store **out,
                                                      struct smelt_error *err) SMELT_WARN_UNUSED;

/* Closes either kind. NULL is fine. No snapshot may be open. */
SMELT_API void smelt_store_close(struct smelt_store *store);

#ifdef __cplusplus
}
#endif

#endif
