/* The key-value store below the state: a table of functions, with RocksDB and memory behind it.
 *
 * One store holds six families of keys. Writes go in atomic batches: after a crash a batch is
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
    SMELT_STORE_RECEIPTS, /* records and receipts of waves */
    SMELT_STORE_EVENTS,   /* events of waves */
    SMELT_STORE_META,     /* format version, profile, schedule, policy, chain */
    SMELT_STORE_TREE,     /* state commitment, when it is enabled */
    SMELT_STORE_FAMILY_COUNT
};

struct smelt_store_write {
    enum smelt_store_family family;
    struct smelt_slice key;
    struct smelt_slice value; /* ignored when is_delete */
    bool is_delete;
};

/* Called for each pair in ascending key order (unsigned bytes). The slices are borrowed for the
 * call, which may read and write the store; the pairs are those from before the first call. Return
 * false to stop. */
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
    /* All or nothing; durable when it returns, or as the options of the store say. Later entries
     * win over earlier ones. When a write to a store on disk has failed, readers do not see it, and
     * further writes are refused with the same status until the store is closed and opened again:
     * then it is there whole or not at all. */
    enum smelt_status (*write)(void *impl, const struct smelt_store_write *writes, size_t count,
                               struct smelt_error *err);
    /* A number that is another one after every write, whoever writes. */
    uint64_t (*version)(void *impl);
    /* Writes a copy of one instant to `directory`, which must not exist; a store opened there has
     * all of it. Beside readers and writers. NULL: this store cannot. */
    enum smelt_status (*checkpoint)(void *impl, const char *directory, struct smelt_error *err);
    void (*close)(void *impl);
};

struct smelt_store {
    const struct smelt_store_ops *ops;
    void *impl;
};

/* When what was written reaches the disk itself (fsync of the write-ahead log). A batch is there
 * whole or not at all in any case, batches are lost from the newest one back, and a process that is
 * killed loses none: this is about power and the kernel. */
enum smelt_sync {
    SMELT_SYNC_ALWAYS = 0, /* before a write returns */
    SMELT_SYNC_INTERVAL,   /* with every `sync_interval`-th write, and at close */
    SMELT_SYNC_NEVER       /* when the kernel thinks fit, and at close */
};

/* Zero-initialise for the defaults. */
struct smelt_rocksdb_options {
    bool must_exist; /* a missing directory is NOT_FOUND and nothing is created */
    enum smelt_sync sync;
    uint32_t sync_interval; /* at least 1 with SMELT_SYNC_INTERVAL */
    uint64_t cache_bytes;   /* blocks of tables that are kept in memory; 0: 64 MiB */
    /* Of state, in memory until it is in tables: 1 MiB to 16 GiB; 0: 32 MiB. What a crash leaves to
     * replay is twice as much and 32 MiB at most. */
    uint64_t write_buffer_bytes;
};

/* Opens or creates a RocksDB database in `directory`. `options` may be NULL. STORE_LOCKED when it
 * is open already, here or in another process, STORE_CORRUPT when it is damaged or not a smelt
 * state. */
SMELT_API enum smelt_status smelt_store_open_rocksdb(const char *directory,
                                                     const struct smelt_rocksdb_options *options,
                                                     struct smelt_store **out,
                                                     struct smelt_error *err) SMELT_WARN_UNUSED;

/* An empty store that lives as long as the object. */
SMELT_API enum smelt_status smelt_store_create_memory(struct smelt_store **out,
                                                      struct smelt_error *err) SMELT_WARN_UNUSED;

/* A copy of the store as of one instant, in a new directory, while it is in use: nothing, or all of
 * it, synced. INVALID_ARGUMENT when the directory exists or the store is not on disk. */
SMELT_API enum smelt_status smelt_store_checkpoint(struct smelt_store *store, const char *directory,
                                                   struct smelt_error *err) SMELT_WARN_UNUSED;

/* Closes either kind. NULL is fine. No snapshot may be open. */
SMELT_API void smelt_store_close(struct smelt_store *store);

#ifdef __cplusplus
}
#endif

#endif
