/* The store on disk: a RocksDB database with a column family per store family. The only file that
 * knows RocksDB.
 *
 * What stands in a directory, and what opening makes of it:
 *
 *   missing, or empty                          new: created, unless it must exist
 *   remains of a creation that was killed      new: creation starts again
 *     before there was a database
 *   a database without format mark and         the same, a little later: finished
 *     data, some of our families missing
 *   a database with our families and a         a state
 *     format that we know
 *   anything else                              STORE_CORRUPT, left as it is
 *
 * A new database is a state once META "format" is written; families are created before that, one by
 * one, so the stages above are the only ones. "Left as it is" takes two looks before RocksDB may
 * write: at the directory (`inspect_directory`) and, read-only, at the database (`look`). Without
 * the second one RocksDB would remove data files that a damaged MANIFEST no longer names.
 *
 * Durability: every batch is one record of the write-ahead log. When all of them are synced, an
 * incomplete record at the log's end is a batch whose write never returned, and is dropped; damage
 * anywhere else in the log is an error, where RocksDB's default would silently go back to the batch
 * before. Without syncs a power failure may leave just that damage. So a file UNSYNCED stands in
 * the directory from before the first write that is not synced until all are; where it is found,
 * the state is what comes before the damage.
 *
 * After a write has failed nobody knows how much of its record is on the disk, and RocksDB may or
 * may not find its way back. The store takes no more writes then; opening it again finds out.
 *
 * State is put into ordinary skip lists, each with a hint at where the last key went: batches are
 * sorted, and a key close to its predecessor costs half of one that is searched from the top. A
 * hash table of lists takes a third of the time again in the writer, but has to be sorted before it
 * becomes a table: more than it saves, in the background, and writers are held up for seconds when
 * there is no idle core for it. Small lists keep the search short, and a Bloom filter in front of
 * each spares reads the search.
 *
 * RocksDB allocates through C++: when memory runs out inside it, the process ends. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/status.h"
#include "runtime/state/keys.h"

#include <smelt/store.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define WHERE "store"

#define MIB ((size_t)1024 * 1024)

#define CACHE_BYTES_DEFAULT        (64 * MIB)
#define WRITE_BUFFER_BYTES_DEFAULT (32 * MIB)
#define WRITE_BUFFER_BYTES_MIN     MIB
#define WRITE_BUFFER_BYTES_MAX     (16384 * MIB)

/* Skip lists of state that may be in memory at a time; one takes writes, others become tables. */
#define STATE_LISTS 4
/* Of the other families, each. */
#define LIST_BYTES (8 * MIB)

#define UNSYNCED_NAME "UNSYNCED"

/* Nothing is logged at the highest level of RocksDB's own log: it writes that with the same
 * assertions as data, so a disk that is full would end the process at the second line. What matters
 * is in our errors. */
#define INFO_LOG_SILENT 5

/* Free space that creating a database asks for; it uses about a quarter. */
#define CREATION_BYTES MIB

/* The mark in META: a number of 4 bytes. */
#define FORMAT_KEY   "format"
#define FORMAT_BYTES 4

/* RocksDB insists on a family of its own; it stays empty. On disk: names and their order. */
static const char *const family_names[] = {"default", "state", "code", "receipts",
                                           "events",  "meta",  "tree"};
enum { FAMILY_COUNT = sizeof(family_names) / sizeof(family_names[0]) };
static_assert(FAMILY_COUNT == SMELT_STORE_FAMILY_COUNT + 1, "a column family per family");

struct rocksdb_store {
    struct smelt_store handle;
    char *directory;
    enum smelt_sync sync;
    uint32_t sync_interval;
    atomic_uint_fast32_t writes;      /* for the interval; wraps around */
    atomic_int failure;               /* status of the first write that failed */
    rocksdb_options_t *options;       /* of the database and most families */
    rocksdb_options_t *state_options; /* of family STATE */
    rocksdb_readoptions_t *newest;
    rocksdb_writeoptions_t *synced;
    rocksdb_writeoptions_t *unsynced;
    rocksdb_t *db;
    rocksdb_column_family_handle_t *families[FAMILY_COUNT];
};

struct view {
    const rocksdb_snapshot_t *snapshot;
    rocksdb_readoptions_t *options;
};

/* Errors: RocksDB reports text. Its first words are its status code, the last ones strerror's. */

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static enum smelt_status classify(const char *text)
{
    static const struct {
        const char *start;
        const char *end;
        enum smelt_status status;
    } rows[] = {
        {"IO error: While lock file: ", "Permission denied", SMELT_STATUS_READ_ONLY},
        {"IO error: While lock file: ", "", SMELT_STATUS_STORE_LOCKED},
        {"IO error: lock hold by current process", "", SMELT_STATUS_STORE_LOCKED},
        {"IO error: No space left on device", "", SMELT_STATUS_NO_SPACE},
        {"IO error: ", "No space left on device", SMELT_STATUS_NO_SPACE},
        {"IO error: ", "Disk quota exceeded", SMELT_STATUS_NO_SPACE},
        {"IO error: ", "Permission denied", SMELT_STATUS_READ_ONLY},
        {"IO error: ", "Operation not permitted", SMELT_STATUS_READ_ONLY},
        {"IO error: ", "Read-only file system", SMELT_STATUS_READ_ONLY},
        /* of a database, whose directory is there: one of its files is gone */
        {"IO error: No such file or directory", "", SMELT_STATUS_STORE_CORRUPT},
        {"Corruption: ", "", SMELT_STATUS_STORE_CORRUPT},
        {"Invalid argument: ", "", SMELT_STATUS_STORE_CORRUPT},
        {"Not implemented: ", "", SMELT_STATUS_STORE_CORRUPT},
        {"NotFound: ", "", SMELT_STATUS_STORE_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (starts_with(text, rows[i].start) && ends_with(text, rows[i].end)) {
            return rows[i].status;
        }
    }
    return SMELT_STATUS_IO;
}

/* OK when `text` is NULL. Takes `text`. */
static enum smelt_status check(const struct rocksdb_store *store, char *text, const char *action,
                               struct smelt_error *err)
{
    if (text == NULL) {
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = classify(text);
    if (status == SMELT_STATUS_STORE_LOCKED) {
        (void)sm_error_set(err, status, WHERE, "the state in %s is in use: close it there first",
                           store->directory);
    } else if (status == SMELT_STATUS_STORE_CORRUPT) {
        (void)sm_error_set(err, status, WHERE,
                           "the state in %s is damaged, restore it from a copy: cannot %s: %s",
                           store->directory, action, text);
    } else {
        (void)sm_error_set(err, status, WHERE, "cannot %s the state in %s: %s", action,
                           store->directory, text);
    }
    rocksdb_free(text);
    return status;
}

static enum smelt_status not_a_state(const char *directory, const char *what,
                                     struct smelt_error *err)
{
    return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                        "%s is not a smelt state (%s): name another directory", directory, what);
}

/* The operations. */

static enum smelt_status rocksdb_store_snapshot(void *impl, void **snapshot,
                                                struct smelt_error *err)
{
    const struct rocksdb_store *store = (const struct rocksdb_store *)impl;
    *snapshot = NULL;
    struct view *view = (struct view *)sm_alloc(sizeof(*view));
    if (view == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    view->snapshot = rocksdb_create_snapshot(store->db);
    view->options = rocksdb_readoptions_create();
    rocksdb_readoptions_set_snapshot(view->options, view->snapshot);
    *snapshot = view;
    return SMELT_STATUS_OK;
}

static void rocksdb_store_release(void *impl, void *snapshot)
{
    const struct rocksdb_store *store = (const struct rocksdb_store *)impl;
    struct view *view = (struct view *)snapshot;
    if (view != NULL) {
        rocksdb_readoptions_destroy(view->options);
        rocksdb_release_snapshot(store->db, view->snapshot);
        sm_free(view);
    }
}

static const rocksdb_readoptions_t *options_of(const struct rocksdb_store *store,
                                               const void *snapshot)
{
    return snapshot != NULL ? ((const struct view *)snapshot)->options : store->newest;
}

static rocksdb_column_family_handle_t *handle_of(const struct rocksdb_store *store,
                                                 enum smelt_store_family family)
{
    return store->families[family + 1];
}

static enum smelt_status rocksdb_store_get(void *impl, void *snapshot,
                                           enum smelt_store_family family, struct smelt_slice key,
                                           struct smelt_buf *value, bool *found,
                                           struct smelt_error *err)
{
    const struct rocksdb_store *store = (const struct rocksdb_store *)impl;
    char *text = NULL;
    *found = false;
    value->size = 0;
    rocksdb_pinnableslice_t *pinned =
        rocksdb_get_pinned_cf(store->db, options_of(store, snapshot), handle_of(store, family),
                              (const char *)key.data, key.size, &text);
    if (text != NULL || pinned == NULL) {
        return check(store, text, "read", err);
    }
    size_t size;
    const char *data = rocksdb_pinnableslice_value(pinned, &size);
    *found = sm_buf_append(value, data, size);
    rocksdb_pinnableslice_destroy(pinned);
    return *found ? SMELT_STATUS_OK : sm_error_no_memory(err, WHERE);
}

static enum smelt_status rocksdb_store_iterate(void *impl, void *snapshot,
                                               enum smelt_store_family family,
                                               struct smelt_slice prefix,
                                               smelt_store_visit_fn visit, void *context,
                                               struct smelt_error *err)
{
    const struct rocksdb_store *store = (const struct rocksdb_store *)impl;
    char *text = NULL;
    rocksdb_iterator_t *at = rocksdb_create_iterator_cf(store->db, options_of(store, snapshot),
                                                        handle_of(store, family));
    rocksdb_iter_seek(at, (const char *)prefix.data, prefix.size);
    for (; rocksdb_iter_valid(at); rocksdb_iter_next(at)) {
        size_t key_size;
        size_t value_size;
        const char *key = rocksdb_iter_key(at, &key_size);
        const char *value = rocksdb_iter_value(at, &value_size);
        if (!sm_slice_has_prefix(sm_slice(key, key_size), prefix) ||
            !visit(context, sm_slice(key, key_size), sm_slice(value, value_size))) {
            break;
        }
    }
    rocksdb_iter_get_error(at, &text);
    rocksdb_iter_destroy(at);
    return check(store, text, "read", err);
}

static const rocksdb_writeoptions_t *next_write_options(struct rocksdb_store *store)
{
    bool is_synced = store->sync == SMELT_SYNC_ALWAYS;
    if (store->sync == SMELT_SYNC_INTERVAL) {
        is_synced = (atomic_fetch_add(&store->writes, 1) + 1) % store->sync_interval == 0;
    }
    return is_synced ? store->synced : store->unsynced;
}

static enum smelt_status check_usable(const struct rocksdb_store *store, struct smelt_error *err)
{
    enum smelt_status status = (enum smelt_status)atomic_load(&store->failure);
    if (status != SMELT_STATUS_OK) {
        (void)sm_error_set(err, status, WHERE,
                           "the state in %s takes no writes since one of them failed (%s): close "
                           "it and open it again",
                           store->directory, smelt_status_name(status));
    }
    return status;
}

static enum smelt_status rocksdb_store_write(void *impl, const struct smelt_store_write *writes,
                                             size_t count, struct smelt_error *err)
{
    struct rocksdb_store *store = (struct rocksdb_store *)impl;
    char *text = NULL;
    enum smelt_status status = check_usable(store, err);
    if (status != SMELT_STATUS_OK || count == 0) {
        return status;
    }
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (size_t i = 0; i < count; i++) {
        rocksdb_column_family_handle_t *family = handle_of(store, writes[i].family);
        struct smelt_slice key = writes[i].key;
        struct smelt_slice value = writes[i].value;
        if (writes[i].is_delete) {
            rocksdb_writebatch_delete_cf(batch, family, (const char *)key.data, key.size);
        } else {
            rocksdb_writebatch_put_cf(batch, family, (const char *)key.data, key.size,
                                      (const char *)value.data, value.size);
        }
    }
    rocksdb_write(store->db, next_write_options(store), batch, &text);
    rocksdb_writebatch_destroy(batch);
    status = check(store, text, "write to", err);
    if (status != SMELT_STATUS_OK) {
        int none = SMELT_STATUS_OK;
        (void)atomic_compare_exchange_strong(&store->failure, &none, (int)status);
    }
    return status;
}

/* RocksDB builds its copy beside the name it is given and removes what it finds there, so it gets a
 * name in a directory of our own. */
static enum smelt_status rocksdb_store_checkpoint(void *impl, const char *directory,
                                                  struct smelt_error *err)
{
    const struct rocksdb_store *store = (const struct rocksdb_store *)impl;
    char beside[PATH_MAX];
    char copy[PATH_MAX];
    char *text = NULL;
    struct stat info;
    rocksdb_checkpoint_t *checkpoint = NULL;
    enum smelt_status status = check_usable(store, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (lstat(directory, &info) == 0) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "%s exists already: name a new directory for the copy", directory);
    }
    size_t size = strlen(directory);
    while (size > 1 && directory[size - 1] == '/') {
        size--;
    }
    status = sm_fs_path(beside, sizeof(beside), err, "%.*s.tmp-XXXXXX", (int)size, directory);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (mkdtemp(beside) == NULL) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot create %s", beside);
    }
    SMELT_TRY(sm_fs_path(copy, sizeof(copy), err, "%s/state", beside));
    checkpoint = rocksdb_checkpoint_object_create(store->db, &text);
    if (text == NULL) {
        rocksdb_checkpoint_create(checkpoint, copy, 0, &text);
    }
    SMELT_TRY(check(store, text, "copy", err));
    if (chmod(copy, 0700) != 0 ||
        renameat2(AT_FDCWD, copy, AT_FDCWD, directory, RENAME_NOREPLACE) != 0) {
        status = sm_error_set_errno(
            err, errno == EEXIST ? SMELT_STATUS_INVALID_ARGUMENT : SMELT_STATUS_IO, errno, WHERE,
            "cannot give the copy its name %s", directory);
        goto cleanup;
    }
    SMELT_TRY(sm_fs_sync_directory_of(directory, err));
cleanup:
    if (checkpoint != NULL) {
        rocksdb_checkpoint_object_destroy(checkpoint);
    }
    (void)sm_fs_remove_tree(beside, NULL);
    return status;
}

/* The directory, before RocksDB touches it. */

enum directory_kind {
    DIRECTORY_MISSING,
    DIRECTORY_FRESH, /* empty, or the remains of a creation */
    DIRECTORY_DATABASE,
    DIRECTORY_FOREIGN
};

struct directory {
    enum directory_kind kind;
    bool has_tables;  /* data files, whether the database knows them or not */
    bool has_log;     /* a write-ahead log that is not empty */
    bool is_unsynced; /* see UNSYNCED above */
};

/* Files that RocksDB writes before CURRENT makes the directory a database. */
static bool is_creation_remains(const char *name)
{
    static const char *const patterns[] = {"LOCK",
                                           UNSYNCED_NAME,
                                           "LOG",
                                           "LOG.old.*",
                                           "IDENTITY",
                                           "MANIFEST-000001",
                                           "[0-9][0-9][0-9][0-9][0-9][0-9].dbtmp"};
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        if (fnmatch(patterns[i], name, 0) == 0) {
            return true;
        }
    }
    return false;
}

static void note_file(struct directory *found, int directory_fd, const char *name)
{
    struct stat info;
    if (strcmp(name, "CURRENT") == 0) {
        found->kind = DIRECTORY_DATABASE;
    } else if (found->kind == DIRECTORY_FRESH && !is_creation_remains(name)) {
        found->kind = DIRECTORY_FOREIGN;
    }
    if (ends_with(name, ".sst")) {
        found->has_tables = true;
    }
    if (strcmp(name, UNSYNCED_NAME) == 0) {
        found->is_unsynced = true;
    }
    /* the stream is open, so it has a descriptor */
    /* NOLINTNEXTLINE(clang-analyzer-unix.StdCLibraryFunctions) */
    if (ends_with(name, ".log") && fstatat(directory_fd, name, &info, 0) == 0 &&
        info.st_size != 0) {
        found->has_log = true;
    }
}

static enum smelt_status inspect_directory(const char *path, struct directory *found,
                                           struct smelt_error *err)
{
    *found = (struct directory){.kind = DIRECTORY_MISSING};
    DIR *stream = opendir(path);
    if (stream == NULL && errno == ENOENT) {
        return SMELT_STATUS_OK;
    }
    if (stream == NULL) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot read directory %s",
                                  path);
    }
    found->kind = DIRECTORY_FRESH;
    const struct dirent *file;
    while (errno = 0, (file = readdir(stream)) != NULL) {
        if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0) {
            note_file(found, dirfd(stream), file->d_name);
        }
    }
    int read_errno = errno;
    (void)closedir(stream);
    if (read_errno != 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, read_errno, WHERE,
                                  "cannot read directory %s", path);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status sync_directory(const char *path, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot sync %s", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return status;
}

/* RocksDB syncs the directory of its files, but not the entry of that directory in its parent. */
static enum smelt_status create_directory(const char *directory, struct smelt_error *err)
{
    char entry[PATH_MAX];
    enum smelt_status status = sm_fs_path(entry, sizeof(entry), err, "%s/..", directory);
    if (status == SMELT_STATUS_OK) {
        status = sm_fs_make_directories(directory, 0700, err);
    }
    return status == SMELT_STATUS_OK ? sync_directory(entry, err) : status;
}

/* A creation that runs out of space is taken up by the next opening; asking first tells it better.
 */
static enum smelt_status check_space(const char *directory, struct smelt_error *err)
{
    struct statvfs info;
    if (statvfs(directory, &info) != 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE,
                                  "cannot ask for the free space of %s", directory);
    }
    if (info.f_frsize != 0 && info.f_bavail < CREATION_BYTES / info.f_frsize) {
        return sm_error_set(err, SMELT_STATUS_NO_SPACE, WHERE,
                            "a new state in %s needs %zu bytes of free space", directory,
                            CREATION_BYTES);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status prepare_directory(const char *path, bool must_exist,
                                           struct directory *found, struct smelt_error *err)
{
    enum smelt_status status = inspect_directory(path, found, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    bool is_new = found->kind == DIRECTORY_MISSING || found->kind == DIRECTORY_FRESH;
    if (found->kind == DIRECTORY_FOREIGN) {
        return not_a_state(path, "it has other files and no CURRENT", err);
    }
    if (is_new && must_exist) {
        return sm_error_set(err, SMELT_STATUS_NOT_FOUND, WHERE,
                            "there is no state in %s: deploy a contract or fund an account first",
                            path);
    }
    if (found->kind == DIRECTORY_MISSING) {
        status = create_directory(path, err);
    } else if (access(path, W_OK | X_OK) != 0) {
        status = sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot write to %s", path);
    }
    return status == SMELT_STATUS_OK && is_new ? check_space(path, err) : status;
}

/* Opening. */

static rocksdb_options_t *make_options(rocksdb_cache_t *cache, size_t write_buffer_bytes,
                                       bool is_unsynced)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_options_set_paranoid_checks(options, 1);
    rocksdb_options_set_wal_recovery_mode(
        options, is_unsynced ? rocksdb_point_in_time_recovery
                             : rocksdb_tolerate_corrupted_tail_records_recovery);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    /* bounds on memory, files and the log that a crash leaves to replay */
    rocksdb_options_set_write_buffer_size(options, LIST_BYTES);
    rocksdb_options_set_max_total_wal_size(options, 2 * write_buffer_bytes + 32 * MIB);
    rocksdb_options_set_max_open_files(options, 256);
    /* hints at where the last key went are for one writer */
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
    /* a command opens the store for one call: nothing periodic, nothing preallocated, little log */
    rocksdb_options_set_manifest_preallocation_size(options, 64 * 1024);
    rocksdb_options_set_skip_stats_update_on_db_open(options, 1);
    rocksdb_options_set_stats_dump_period_sec(options, 0);
    rocksdb_options_set_stats_persist_period_sec(options, 0);
    rocksdb_options_set_info_log_level(options, INFO_LOG_SILENT);
    rocksdb_options_set_keep_log_file_num(options, 1);

    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_cache(table, cache);
    rocksdb_block_based_options_set_filter_policy(table,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_data_block_index_type(
        table, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
    rocksdb_block_based_options_set_data_block_hash_ratio(table, 0.75);
    rocksdb_options_set_block_based_table_factory(options, table);
    rocksdb_block_based_options_destroy(table);
    return options;
}

/* C has no other way to the hint than RocksDB's text form of its options. "capped:0" says that all
 * keys share one. */
static rocksdb_options_t *make_state_options(const rocksdb_options_t *base,
                                             size_t write_buffer_bytes)
{
    char text[256];
    char *problem = NULL;
    rocksdb_options_t *options = rocksdb_options_create();
    (void)snprintf(text, sizeof(text),
                   "memtable_insert_with_hint_prefix_extractor=capped:0;"
                   "memtable_prefix_bloom_size_ratio=0.02;memtable_whole_key_filtering=true;"
                   "max_write_buffer_number=%d;write_buffer_size=%zu",
                   STATE_LISTS, write_buffer_bytes / STATE_LISTS);
    rocksdb_get_options_from_string(base, text, options, &problem);
    assert(problem == NULL);
    rocksdb_free(problem);
    return options;
}

/* From here on a store exists as far as `rocksdb_store_close` is concerned. */
static void set_options(struct rocksdb_store *store, const struct smelt_rocksdb_options *options,
                        bool is_unsynced)
{
    size_t write_buffer_bytes = options->write_buffer_bytes != 0
                                    ? (size_t)options->write_buffer_bytes
                                    : WRITE_BUFFER_BYTES_DEFAULT;
    rocksdb_cache_t *cache = rocksdb_cache_create_lru(
        options->cache_bytes != 0 ? (size_t)options->cache_bytes : CACHE_BYTES_DEFAULT);
    store->options = make_options(cache, write_buffer_bytes, is_unsynced);
    store->state_options = make_state_options(store->options, write_buffer_bytes);
    rocksdb_cache_destroy(cache); /* the tables hold it */
    store->newest = rocksdb_readoptions_create();
    store->synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(store->synced, 1);
    store->unsynced = rocksdb_writeoptions_create();
    store->sync = options->sync;
    store->sync_interval = options->sync_interval;
}

static enum smelt_status check_options(const struct smelt_rocksdb_options *options,
                                       struct smelt_error *err)
{
    if (options->sync != SMELT_SYNC_ALWAYS && options->sync != SMELT_SYNC_INTERVAL &&
        options->sync != SMELT_SYNC_NEVER) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE, "there is no sync policy %d",
                            (int)options->sync);
    }
    if (options->sync == SMELT_SYNC_INTERVAL && options->sync_interval == 0) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "an interval of 0 writes between syncs: it starts at 1");
    }
    if (options->write_buffer_bytes != 0 &&
        (options->write_buffer_bytes < WRITE_BUFFER_BYTES_MIN ||
         options->write_buffer_bytes > WRITE_BUFFER_BYTES_MAX)) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "a write buffer has %zu to %zu bytes", WRITE_BUFFER_BYTES_MIN,
                            WRITE_BUFFER_BYTES_MAX);
    }
    return SMELT_STATUS_OK;
}

/* The mark of a state whose writes are not all synced. */
static enum smelt_status mark_unsynced(const struct rocksdb_store *store, struct smelt_error *err)
{
    char path[PATH_MAX];
    enum smelt_status status =
        sm_fs_path(path, sizeof(path), err, "%s/" UNSYNCED_NAME, store->directory);
    return status == SMELT_STATUS_OK ? sm_fs_publish(path, sm_slice(NULL, 0), 0600, err) : status;
}

/* That it stays is harmless. */
static void unmark_unsynced(const struct rocksdb_store *store)
{
    char path[PATH_MAX];
    if (sm_fs_path(path, sizeof(path), NULL, "%s/" UNSYNCED_NAME, store->directory) ==
        SMELT_STATUS_OK) {
        (void)unlink(path);
    }
}

/* The result is RocksDB's text, NULL when the store is open. */
static char *open_families(struct rocksdb_store *store, bool may_write, bool may_create)
{
    char *text = NULL;
    const rocksdb_options_t *options[FAMILY_COUNT];
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        options[i] = i == SMELT_STORE_STATE + 1 ? store->state_options : store->options;
    }
    rocksdb_options_set_create_if_missing(store->options, may_create);
    rocksdb_options_set_create_missing_column_families(store->options, may_create);
    store->db =
        may_write ? rocksdb_open_column_families(store->options, store->directory, FAMILY_COUNT,
                                                 family_names, options, store->families, &text)
                  : rocksdb_open_for_read_only_column_families(store->options, store->directory,
                                                               FAMILY_COUNT, family_names, options,
                                                               store->families, 0, &text);
    return text;
}

static void close_families(struct rocksdb_store *store)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        if (store->families[i] != NULL) {
            rocksdb_column_family_handle_destroy(store->families[i]);
            store->families[i] = NULL;
        }
    }
    if (store->db != NULL) {
        rocksdb_close(store->db);
        store->db = NULL;
    }
}

static enum smelt_status has_data(const struct rocksdb_store *store, bool *out,
                                  struct smelt_error *err)
{
    char *text = NULL;
    *out = false;
    for (size_t i = 0; i < FAMILY_COUNT && text == NULL && !*out; i++) {
        rocksdb_iterator_t *at =
            rocksdb_create_iterator_cf(store->db, store->newest, store->families[i]);
        rocksdb_iter_seek_to_first(at);
        *out = rocksdb_iter_valid(at);
        rocksdb_iter_get_error(at, &text);
        rocksdb_iter_destroy(at);
    }
    return check(store, text, "read", err);
}

/* Refuses another format, and a database that has no mark but data. */
static enum smelt_status check_format(const struct rocksdb_store *store,
                                      const struct directory *directory, bool *is_marked,
                                      struct smelt_error *err)
{
    struct smelt_buf value = {0};
    bool is_other = directory->has_tables;
    enum smelt_status status =
        rocksdb_store_get(store->handle.impl, NULL, SMELT_STORE_META,
                          smelt_slice_from_string(FORMAT_KEY), &value, is_marked, err);
    if (status != SMELT_STATUS_OK) {
        goto cleanup;
    }
    if (!*is_marked) {
        if (!is_other) {
            SMELT_TRY(has_data(store, &is_other, err));
        }
        if (is_other) {
            status = not_a_state(store->directory, "a database with data but no format", err);
        }
    } else if (value.size != FORMAT_BYTES) {
        status = not_a_state(store->directory, "its format is not a number", err);
    } else if (sm_load_le32(value.data) != SM_STATE_FORMAT) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "the state in %s has format %u and this version reads %u: use the "
                              "version of smelt that wrote it",
                              store->directory, sm_load_le32(value.data), SM_STATE_FORMAT);
    }
cleanup:
    smelt_buf_deinit(&value);
    return status;
}

/* Reads a database without writing to it, and tells whether its creation has to be finished. What
 * RocksDB cannot read is left to the opening proper: that takes the lock first, and so tells damage
 * from another process at work. */
static enum smelt_status look(struct rocksdb_store *store, const struct directory *directory,
                              bool *is_marked, bool *may_create, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    char *text = open_families(store, false, false);
    *is_marked = true;
    *may_create = false;
    if (text == NULL) {
        status = check_format(store, directory, is_marked, err);
    } else if (starts_with(text, "Invalid argument: Column family not found")) {
        *is_marked = false;
        *may_create = true;
        if (directory->has_tables || directory->has_log) {
            status = not_a_state(store->directory, "its column families are others", err);
        }
    }
    if (text != NULL) {
        rocksdb_free(text);
    }
    close_families(store);
    return status;
}

static enum smelt_status open_database(struct rocksdb_store *store,
                                       const struct directory *directory, struct smelt_error *err)
{
    bool is_marked = false;
    bool may_create = true;
    enum smelt_status status = SMELT_STATUS_OK;
    if (directory->kind == DIRECTORY_DATABASE) {
        status = look(store, directory, &is_marked, &may_create, err);
    }
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (store->sync != SMELT_SYNC_ALWAYS) {
        status = mark_unsynced(store, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
    }
    char *text = open_families(store, true, may_create);
    if (text != NULL && starts_with(text, "Invalid argument: Column families not opened")) {
        rocksdb_free(text);
        return not_a_state(store->directory, "it has other column families", err);
    }
    status = check(store, text, "open", err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (directory->is_unsynced && store->sync == SMELT_SYNC_ALWAYS) {
        /* opening has made synced tables of what was in the log */
        unmark_unsynced(store);
    }
    if (is_marked) {
        return SMELT_STATUS_OK;
    }
    uint8_t mark[FORMAT_BYTES];
    sm_store_le32(mark, SM_STATE_FORMAT);
    struct smelt_store_write write = {.family = SMELT_STORE_META,
                                      .key = smelt_slice_from_string(FORMAT_KEY),
                                      .value = sm_slice(mark, sizeof(mark))};
    return rocksdb_store_write(store, &write, 1, err);
}

/* Copes with a half-opened store. */
static void rocksdb_store_close(void *impl)
{
    struct rocksdb_store *store = (struct rocksdb_store *)impl;
    /* RocksDB asserts that a log is left alone once a write to it has failed */
    if (store->db != NULL && store->sync != SMELT_SYNC_ALWAYS &&
        atomic_load(&store->failure) == SMELT_STATUS_OK) {
        char *text = NULL;
        rocksdb_flush_wal(store->db, 1, &text);
        if (text == NULL) {
            unmark_unsynced(store);
        }
        rocksdb_free(text);
    }
    close_families(store);
    if (store->options != NULL) {
        rocksdb_options_destroy(store->options);
        rocksdb_options_destroy(store->state_options);
        rocksdb_readoptions_destroy(store->newest);
        rocksdb_writeoptions_destroy(store->synced);
        rocksdb_writeoptions_destroy(store->unsynced);
    }
    sm_free(store->directory);
    sm_free(store);
}

static uint64_t rocksdb_store_version(void *impl)
{
    return rocksdb_get_latest_sequence_number(((const struct rocksdb_store *)impl)->db);
}

static const struct smelt_store_ops rocksdb_ops = {.snapshot = rocksdb_store_snapshot,
                                                   .release = rocksdb_store_release,
                                                   .get = rocksdb_store_get,
                                                   .iterate = rocksdb_store_iterate,
                                                   .write = rocksdb_store_write,
                                                   .version = rocksdb_store_version,
                                                   .checkpoint = rocksdb_store_checkpoint,
                                                   .close = rocksdb_store_close};

enum smelt_status smelt_store_open_rocksdb(const char *directory,
                                           const struct smelt_rocksdb_options *options,
                                           struct smelt_store **out, struct smelt_error *err)
{
    static const struct smelt_rocksdb_options defaults = {0};
    struct directory found;
    enum smelt_status status = SMELT_STATUS_OK;
    *out = NULL;
    options = options != NULL ? options : &defaults;
    if (directory == NULL || directory[0] == '\0') {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "the state's directory has no name");
    }
    status = check_options(options, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    struct rocksdb_store *store = (struct rocksdb_store *)sm_calloc(1, sizeof(*store));
    if (store == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    store->handle = (struct smelt_store){.ops = &rocksdb_ops, .impl = store};
    size_t name_size = strlen(directory) + 1;
    store->directory = (char *)sm_alloc(name_size);
    if (store->directory == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    memcpy(store->directory, directory, name_size);
    SMELT_TRY(prepare_directory(directory, options->must_exist, &found, err));
    set_options(store, options, found.is_unsynced);
    SMELT_TRY(open_database(store, &found, err));
    *out = &store->handle;
    store = NULL;
cleanup:
    if (store != NULL) {
        rocksdb_store_close(store);
    }
    return status;
}
