/* The store on disk: what opening makes of a directory, persistence, and damage. Another program's
 * database and a state of another format come from RocksDB itself, hence its header here. */
#include "runtime/state/keys.h"
#include "tests/unit/state/state_support.h"

#include <smelt/store.h>

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

/* Helpers. */

static struct smelt_store *open_ok(const char *path, bool must_exist)
{
    const struct smelt_rocksdb_options options = {.must_exist = must_exist};
    struct smelt_store *store = NULL;
    struct smelt_error err = {0};
    if (smelt_store_open_rocksdb(path, &options, &store, &err) != SMELT_STATUS_OK) {
        fail_msg("%s", err.message);
    }
    assert_non_null(store);
    return store;
}

static void assert_refused(const char *path, bool must_exist, enum smelt_status expected)
{
    const struct smelt_rocksdb_options options = {.must_exist = must_exist};
    struct smelt_store *store = NULL;
    struct smelt_error err = {0};
    enum smelt_status status = smelt_store_open_rocksdb(path, &options, &store, &err);
    smelt_store_close(store);
    assert_string_equal(smelt_status_name(status), smelt_status_name(expected));
    assert_null(store);
    assert_int_equal(err.status, expected);
    assert_true(err.message[0] != '\0');
    assert_int_equal(smelt_store_open_rocksdb(path, &options, &store, NULL), expected);
}

static size_t count_files(const char *path)
{
    size_t count = 0;
    DIR *stream = opendir(path);
    assert_non_null(stream);
    while (readdir(stream) != NULL) {
        count++;
    }
    (void)closedir(stream);
    return count - 2;
}

static void create_file(const char *directory, const char *name, const char *content)
{
    char path[PATH_MAX];
    assert_int_equal(sm_fs_path(path, sizeof(path), NULL, "%s/%s", directory, name),
                     SMELT_STATUS_OK);
    assert_int_equal(sm_fs_publish(path, text(content), 0600, NULL), SMELT_STATUS_OK);
}

/* The largest file whose name matches. */
static void find_file(const char *directory, const char *pattern, char *path)
{
    off_t largest = -1;
    DIR *stream = opendir(directory);
    assert_non_null(stream);
    for (const struct dirent *file; (file = readdir(stream)) != NULL;) {
        struct stat info;
        if (fnmatch(pattern, file->d_name, 0) == 0 &&
            fstatat(dirfd(stream), file->d_name, &info, 0) == 0 && info.st_size > largest) {
            largest = info.st_size;
            assert_int_equal(sm_fs_path(path, PATH_MAX, NULL, "%s/%s", directory, file->d_name),
                             SMELT_STATUS_OK);
        }
    }
    (void)closedir(stream);
    if (largest < 0) {
        fail_msg("no %s in %s", pattern, directory);
    }
}

static bool count_pair(void *context, struct smelt_slice key, struct smelt_slice value)
{
    (void)key;
    (void)value;
    (*(size_t *)context)++;
    return true;
}

static bool has_unsynced_mark(const char *directory)
{
    char path[PATH_MAX];
    struct stat info;
    assert_int_equal(sm_fs_path(path, sizeof(path), NULL, "%s/UNSYNCED", directory),
                     SMELT_STATUS_OK);
    return stat(path, &info) == 0;
}

/* Directories. */

static void test_must_exist_creates_nothing(void **state)
{
    (void)state;
    struct scratch scratch;
    char path[PATH_MAX];
    scratch_create(&scratch);
    assert_refused(scratch_path(&scratch, "missing", path), true, SMELT_STATUS_NOT_FOUND);
    assert_refused(scratch_path(&scratch, "missing/deeper", path), true, SMELT_STATUS_NOT_FOUND);
    assert_int_equal(count_files(scratch.path), 0);
    assert_refused(scratch.path, true, SMELT_STATUS_NOT_FOUND);
    assert_int_equal(count_files(scratch.path), 0);
    create_file(scratch.path, "LOG", "");
    create_file(scratch.path, "LOCK", "");
    create_file(scratch.path, "MANIFEST-000001", "");
    assert_refused(scratch.path, true, SMELT_STATUS_NOT_FOUND);
    assert_int_equal(count_files(scratch.path), 3);
    scratch_remove(&scratch);
}

static void test_creation(void **state)
{
    (void)state;
    struct scratch scratch;
    char path[PATH_MAX];
    struct stat info;
    scratch_create(&scratch);
    smelt_store_close(open_ok(scratch_path(&scratch, "a/b/state", path), false));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    struct smelt_store *store = open_ok(path, true);
    struct smelt_buf mark = {0};
    bool is_found = false;
    assert_int_equal(store->ops->get(store->impl, NULL, SMELT_STORE_META, text("format"), &mark,
                                     &is_found, NULL),
                     SMELT_STATUS_OK);
    assert_true(is_found);
    assert_int_equal(mark.size, 4);
    assert_int_equal(sm_load_le32(mark.data), SM_STATE_FORMAT);
    smelt_buf_deinit(&mark);
    smelt_store_close(store);
    scratch_remove(&scratch);
}

static void test_remains_of_a_creation_are_taken_over(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_create(&scratch);
    create_file(scratch.path, "LOCK", "");
    create_file(scratch.path, "LOG", "");
    create_file(scratch.path, "LOG.old.1700000000000000", "");
    create_file(scratch.path, "IDENTITY", "half");
    create_file(scratch.path, "MANIFEST-000001", "half a manifest");
    create_file(scratch.path, "000001.dbtmp", "MANIF");
    smelt_store_close(open_ok(scratch.path, false));
    smelt_store_close(open_ok(scratch.path, true));
    scratch_remove(&scratch);
}

static void test_other_directories_are_left_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"notes.txt", "000004.log", "000007.sst", "MANIFEST-000005",
                                        "OPTIONS-000005"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct scratch scratch;
        scratch_create(&scratch);
        create_file(scratch.path, "LOCK", "");
        create_file(scratch.path, names[i], "");
        assert_refused(scratch.path, NULL, SMELT_STATUS_STORE_CORRUPT);
        assert_refused(scratch.path, true, SMELT_STATUS_STORE_CORRUPT);
        assert_int_equal(count_files(scratch.path), 2);
        scratch_remove(&scratch);
    }
}

static void test_paths_that_cannot_be(void **state)
{
    (void)state;
    struct scratch scratch;
    char path[PATH_MAX];
    char longest[PATH_MAX + 8];
    scratch_create(&scratch);
    create_file(scratch.path, "file", "");
    assert_refused(scratch_path(&scratch, "file", path), false, SMELT_STATUS_IO);
    assert_refused(scratch_path(&scratch, "file", path), true, SMELT_STATUS_IO);
    assert_refused(scratch_path(&scratch, "file/below", path), false, SMELT_STATUS_IO);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_refused(longest, false, SMELT_STATUS_IO);
    assert_refused("", false, SMELT_STATUS_INVALID_ARGUMENT);
    assert_refused(NULL, false, SMELT_STATUS_INVALID_ARGUMENT);
    if (geteuid() != 0) {
        /* root may write anywhere */
        scratch_path(&scratch, "sealed", path);
        assert_int_equal(mkdir(path, 0500), 0);
        assert_refused(path, false, SMELT_STATUS_READ_ONLY);
        scratch_path(&scratch, "sealed/below", path);
        assert_refused(path, false, SMELT_STATUS_READ_ONLY);
    }
    scratch_remove(&scratch);
}

static void test_one_handle_at_a_time(void **state)
{
    (void)state;
    struct scratch scratch;
    scratch_create(&scratch);
    struct smelt_store *store = open_ok(scratch.path, false);
    assert_refused(scratch.path, NULL, SMELT_STATUS_STORE_LOCKED);
    assert_refused(scratch.path, true, SMELT_STATUS_STORE_LOCKED);
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "k", "still fine"), SMELT_STATUS_OK);
    smelt_store_close(store);
    smelt_store_close(open_ok(scratch.path, true));
    scratch_remove(&scratch);
}

static void test_writes_persist(void **state)
{
    (void)state;
    struct scratch scratch;
    char value[16];
    char path[PATH_MAX];
    scratch_create(&scratch);
    for (unsigned i = 0; i < 10; i++) {
        struct smelt_store *store = open_ok(scratch.path, i != 0);
        if (i != 0) {
            (void)snprintf(value, sizeof(value), "%u", i - 1);
            assert_value(store, NULL, SMELT_STORE_STATE, "k", value);
            assert_value(store, NULL, SMELT_STORE_CODE, "k", value);
            assert_value(store, NULL, SMELT_STORE_EVENTS, i % 2 == 1 ? "even" : "odd", value);
            assert_value(store, NULL, SMELT_STORE_EVENTS, i % 2 == 1 ? "odd" : "even", NULL);
        }
        (void)snprintf(value, sizeof(value), "%u", i);
        struct smelt_store_write writes[] = {
            put_of(SMELT_STORE_STATE, "k", value), put_of(SMELT_STORE_CODE, "k", value),
            put_of(SMELT_STORE_EVENTS, i % 2 == 0 ? "even" : "odd", value),
            delete_of(SMELT_STORE_EVENTS, i % 2 == 0 ? "odd" : "even")};
        assert_int_equal(store->ops->write(store->impl, writes, 4, NULL), SMELT_STATUS_OK);
        smelt_store_close(store);
    }
    /* RocksDB could write all of its options, or their files would stay under temporary names */
    find_file(scratch.path, "OPTIONS-??????", path);
    /* at most three tables each time when compaction had no chance, and no pile of logs beside them
     */
    assert_true(count_files(scratch.path) < 3 * 10 + 20);
    scratch_remove(&scratch);
}

/* Databases that RocksDB can read, and that are no state. */

struct family {
    const char *name;
    const char *key; /* NULL: the family stays empty */
    struct smelt_slice value;
};

enum { FAMILIES_MAX = 8 };

static void write_database(const char *path, const struct family *families, bool is_flushed)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_writeoptions_t *write = rocksdb_writeoptions_create();
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    const char *names[FAMILIES_MAX];
    const rocksdb_options_t *all[FAMILIES_MAX];
    rocksdb_column_family_handle_t *handles[FAMILIES_MAX];
    char *problem = NULL;
    int count = 0;
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_create_missing_column_families(options, 1);
    for (; count < FAMILIES_MAX && families[count].name != NULL; count++) {
        names[count] = families[count].name;
        all[count] = options;
    }
    rocksdb_t *db =
        rocksdb_open_column_families(options, path, count, names, all, handles, &problem);
    assert_null(problem);
    for (int i = 0; i < count; i++) {
        if (families[i].key != NULL) {
            rocksdb_put_cf(db, write, handles[i], families[i].key, strlen(families[i].key),
                           (const char *)families[i].value.data, families[i].value.size, &problem);
            assert_null(problem);
        }
        if (is_flushed) {
            rocksdb_flush_cf(db, flush, handles[i], &problem);
            assert_null(problem);
        }
        rocksdb_column_family_handle_destroy(handles[i]);
    }
    rocksdb_close(db);
    rocksdb_flushoptions_destroy(flush);
    rocksdb_writeoptions_destroy(write);
    rocksdb_options_destroy(options);
}

#define FORMAT(bytes) "format", {(const uint8_t *)(bytes), sizeof(bytes) - 1}

static void test_databases_that_are_no_state(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        struct family families[FAMILIES_MAX];
        enum smelt_status status;
    } rows[] = {
        {"only default, empty: a creation killed early", {{.name = "default"}}, SMELT_STATUS_OK},
        {"some families, empty: a creation killed later",
         {{.name = "default"}, {.name = "state"}, {.name = "code"}},
         SMELT_STATUS_OK},
        {"all families, empty: a creation killed before the mark",
         {{.name = "default"},
          {.name = "state"},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "meta"},
          {.name = "tree"}},
         SMELT_STATUS_OK},
        {"default with data", {{"default", FORMAT("\x01\0\0\0")}}, SMELT_STATUS_STORE_CORRUPT},
        {"some families with data",
         {{.name = "default"}, {"state", FORMAT("x")}},
         SMELT_STATUS_STORE_CORRUPT},
        {"another family",
         {{.name = "default"},
          {.name = "state"},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "tree"},
          {"meta", FORMAT("\x01\0\0\0")},
          {.name = "other"}},
         SMELT_STATUS_STORE_CORRUPT},
        {"another family instead",
         {{.name = "default"}, {.name = "other"}},
         SMELT_STATUS_STORE_CORRUPT},
        {"data without a mark",
         {{.name = "default"},
          {"state", FORMAT("x")},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "meta"},
          {.name = "tree"}},
         SMELT_STATUS_STORE_CORRUPT},
        {"format 0",
         {{.name = "default"},
          {.name = "state"},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "tree"},
          {"meta", FORMAT("\0\0\0\0")}},
         SMELT_STATUS_STORE_CORRUPT},
        {"format 1, which had no policy",
         {{.name = "default"},
          {.name = "state"},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "tree"},
          {"meta", FORMAT("\x01\0\0\0")}},
         SMELT_STATUS_STORE_CORRUPT},
        {"format 2, whose contracts had no owner",
         {{.name = "default"},
          {.name = "state"},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "tree"},
          {"meta", FORMAT("\x02\0\0\0")}},
         SMELT_STATUS_STORE_CORRUPT},
        {"format 4",
         {{.name = "default"},
          {.name = "state"},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "tree"},
          {"meta", FORMAT("\x04\0\0\0")}},
         SMELT_STATUS_STORE_CORRUPT},
        {"format 3 in the wrong byte order",
         {{.name = "default"},
          {.name = "state"},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "tree"},
          {"meta", FORMAT("\0\0\0\x03")}},
         SMELT_STATUS_STORE_CORRUPT},
        {"a short mark",
         {{.name = "default"},
          {.name = "state"},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "tree"},
          {"meta", FORMAT("\x01\0\0")}},
         SMELT_STATUS_STORE_CORRUPT},
        {"a long mark",
         {{.name = "default"},
          {.name = "state"},
          {.name = "code"},
          {.name = "receipts"},
          {.name = "events"},
          {.name = "tree"},
          {"meta", FORMAT("\x01\0\0\0\0")}},
         SMELT_STATUS_STORE_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int is_flushed = 0; is_flushed < 2; is_flushed++) {
            struct scratch scratch;
            print_message("%s%s\n", rows[i].label, is_flushed ? ", flushed" : "");
            scratch_create(&scratch);
            write_database(scratch.path, rows[i].families, is_flushed);
            if (rows[i].status == SMELT_STATUS_OK) {
                smelt_store_close(open_ok(scratch.path, false));
                smelt_store_close(open_ok(scratch.path, true));
            } else {
                assert_refused(scratch.path, NULL, rows[i].status);
                assert_refused(scratch.path, true, rows[i].status);
                /* untouched: its owner can still open it with its own families only */
                write_database(scratch.path, rows[i].families, false);
            }
            scratch_remove(&scratch);
        }
    }
}

/* Damage: a good state from the real writer, with one file changed. */

enum damage { GONE, CUT_TO, FLIP_AT, REPLACED_BY };

/* Three batches in tables, three in the log. */
static void write_state(const char *path)
{
    static char value[4096];
    memset(value, 'v', sizeof(value) - 1);
    for (int round = 0; round < 2; round++) {
        struct smelt_store *store = open_ok(path, round != 0);
        for (int i = 0; i < 3; i++) {
            char key[8];
            (void)snprintf(key, sizeof(key), "%d%d", round, i);
            assert_int_equal(write_one(store, SMELT_STORE_STATE, key, value), SMELT_STATUS_OK);
        }
        smelt_store_close(store);
    }
}

static void damage_file(const char *path, enum damage damage, unsigned percent, const char *content)
{
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    off_t at = info.st_size * (off_t)percent / 100;
    if (damage == GONE) {
        assert_int_equal(unlink(path), 0);
    } else if (damage == CUT_TO) {
        assert_int_equal(truncate(path, at), 0);
    } else if (damage == REPLACED_BY) {
        assert_int_equal(sm_fs_publish(path, text(content), 0600, NULL), SMELT_STATUS_OK);
    } else {
        uint8_t byte = 0;
        int fd = open(path, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x40;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void)close(fd);
    }
}

static void test_damage_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        const char *pattern;
        enum damage damage;
        unsigned percent;
        const char *content;
        bool opens; /* found by reading only */
    } rows[] = {
        {"CURRENT is gone", "CURRENT", GONE, 0, NULL, false},
        {"CURRENT is empty", "CURRENT", CUT_TO, 0, NULL, false},
        {"CURRENT is cut", "CURRENT", CUT_TO, 50, NULL, false},
        {"CURRENT is flipped", "CURRENT", FLIP_AT, 20, NULL, false},
        {"CURRENT is garbage", "CURRENT", REPLACED_BY, 0, "no such thing\n", false},
        {"CURRENT names another file", "CURRENT", REPLACED_BY, 0, "MANIFEST-999999\n", false},
        {"MANIFEST is gone", "MANIFEST-*", GONE, 0, NULL, false},
        {"MANIFEST is empty", "MANIFEST-*", CUT_TO, 0, NULL, false},
        {"MANIFEST is cut at 20 %", "MANIFEST-*", CUT_TO, 20, NULL, false},
        {"MANIFEST is cut at 40 %", "MANIFEST-*", CUT_TO, 40, NULL, false},
        {"MANIFEST is cut at 60 %", "MANIFEST-*", CUT_TO, 60, NULL, false},
        {"MANIFEST is flipped at its start", "MANIFEST-*", FLIP_AT, 2, NULL, false},
        {"MANIFEST is flipped in the middle", "MANIFEST-*", FLIP_AT, 50, NULL, false},
        {"MANIFEST is flipped near its end", "MANIFEST-*", FLIP_AT, 99, NULL, false},
        {"MANIFEST is text", "MANIFEST-*", REPLACED_BY, 0, "hello", false},
        {"a table is gone", "*.sst", GONE, 0, NULL, false},
        {"a table is empty", "*.sst", CUT_TO, 0, NULL, false},
        {"a table is cut", "*.sst", CUT_TO, 50, NULL, false},
        {"a table is flipped in its data", "*.sst", FLIP_AT, 20, NULL, true},
        {"the log is flipped in its first record", "*.log", FLIP_AT, 10, NULL, false},
        {"the log is flipped in its second record", "*.log", FLIP_AT, 50, NULL, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scratch scratch;
        char path[PATH_MAX];
        scratch_create(&scratch);
        write_state(scratch.path);
        find_file(scratch.path, rows[i].pattern, path);
        damage_file(path, rows[i].damage, rows[i].percent, rows[i].content);
        print_message("%s\n", rows[i].label);
        if (rows[i].opens) {
            size_t count = 0;
            struct smelt_buf value = {0};
            bool is_found = true;
            struct smelt_error err = {0};
            struct smelt_store *store = open_ok(scratch.path, true);
            assert_int_equal(store->ops->iterate(store->impl, NULL, SMELT_STORE_STATE, text(""),
                                                 count_pair, &count, &err),
                             SMELT_STATUS_STORE_CORRUPT);
            assert_int_equal(err.status, SMELT_STATUS_STORE_CORRUPT);
            assert_int_equal(store->ops->get(store->impl, NULL, SMELT_STORE_STATE, text("00"),
                                             &value, &is_found, NULL),
                             SMELT_STATUS_STORE_CORRUPT);
            assert_false(is_found);
            smelt_buf_deinit(&value);
            smelt_store_close(store);
        } else {
            /* twice, so the first refusal did not make it a new state */
            assert_refused(scratch.path, true, SMELT_STATUS_STORE_CORRUPT);
            assert_refused(scratch.path, NULL, SMELT_STATUS_STORE_CORRUPT);
        }
        scratch_remove(&scratch);
    }
}

/* Any damage to any file: refused as such with all files left where they are, or opened with the
 * first of the batches, whole, or found by reading. A MANIFEST that lacks nothing but the end of
 * its last record is the exception: RocksDB takes it for a write that a crash interrupted, when the
 * log would still have what the record was about, and opens what the records before it name. */

enum { DAMAGE_BATCHES = 6 };

/* Each batch has a key of its own in two families. Three are in tables, three in the log; a copy
 * has all of them in tables. */
static void write_batches(const char *path, bool is_copy)
{
    char original[PATH_MAX];
    struct smelt_store *store = NULL;
    assert_int_equal(
        sm_fs_path(original, sizeof(original), NULL, "%s%s", path, is_copy ? "-original" : ""),
        SMELT_STATUS_OK);
    for (uint32_t batch = 0; batch < DAMAGE_BATCHES; batch++) {
        static char value[700];
        char key[16];
        if (batch % 3 == 0) {
            smelt_store_close(store);
            store = open_ok(original, batch != 0);
        }
        memset(value, 'v', sizeof(value) - 1);
        (void)snprintf(key, sizeof(key), "%u", batch);
        struct smelt_store_write writes[] = {put_of(SMELT_STORE_STATE, key, value),
                                             put_of(SMELT_STORE_TREE, key, value)};
        assert_int_equal(store->ops->write(store->impl, writes, 2, NULL), SMELT_STATUS_OK);
    }
    if (is_copy) {
        assert_int_equal(smelt_store_checkpoint(store, path, NULL), SMELT_STATUS_OK);
    }
    smelt_store_close(store);
}

/* Files by themselves: a checkpoint would not be damaged alone, and is another state. */
static void copy_files(const char *from, const char *to)
{
    DIR *stream = opendir(from);
    assert_non_null(stream);
    assert_int_equal(mkdir(to, 0700), 0);
    for (const struct dirent *file; (file = readdir(stream)) != NULL;) {
        char path[PATH_MAX];
        struct smelt_buf content = {0};
        if (file->d_name[0] == '.') {
            continue;
        }
        assert_int_equal(sm_fs_path(path, sizeof(path), NULL, "%s/%s", from, file->d_name),
                         SMELT_STATUS_OK);
        assert_int_equal(sm_fs_read_file(path, SIZE_MAX, &content, NULL), SMELT_STATUS_OK);
        assert_int_equal(sm_fs_path(path, sizeof(path), NULL, "%s/%s", to, file->d_name),
                         SMELT_STATUS_OK);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(sm_fs_write_fd(fd, path, sm_buf_slice(&content), NULL), SMELT_STATUS_OK);
        (void)close(fd);
        smelt_buf_deinit(&content);
    }
    (void)closedir(stream);
}

static void assert_first_batches(struct smelt_store *store, const char *label)
{
    bool is_over = false;
    struct smelt_buf value = {0};
    for (uint32_t batch = 0; batch < DAMAGE_BATCHES; batch++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "%u", batch);
        for (int i = 0; i < 2; i++) {
            bool is_found = false;
            enum smelt_status status =
                store->ops->get(store->impl, NULL, i == 0 ? SMELT_STORE_STATE : SMELT_STORE_TREE,
                                text(key), &value, &is_found, NULL);
            if (status == SMELT_STATUS_STORE_CORRUPT) {
                continue;
            }
            assert_int_equal(status, SMELT_STATUS_OK);
            if (is_found ? is_over : i == 1 && !is_over) {
                fail_msg("%s: not the first batches", label);
            }
            is_over = !is_found;
        }
    }
    smelt_buf_deinit(&value);
}

static void test_no_damage_goes_unnoticed(void **state)
{
    (void)state;
    /* a copy has the first four kinds only */
    static const char *const patterns[] = {"CURRENT", "MANIFEST-*", "*.sst", "OPTIONS-*",
                                           "*.log",   "IDENTITY",   "LOCK"};
    enum { PATTERNS = sizeof(patterns) / sizeof(patterns[0]), OF_COPIES = 4 };
    static const struct {
        enum damage damage;
        unsigned percent;
    } rows[] = {{GONE, 0},     {CUT_TO, 0},   {CUT_TO, 30},  {CUT_TO, 70},  {CUT_TO, 98},
                {FLIP_AT, 0},  {FLIP_AT, 13}, {FLIP_AT, 37}, {FLIP_AT, 52}, {FLIP_AT, 68},
                {FLIP_AT, 81}, {FLIP_AT, 95}, {FLIP_AT, 99}};
    size_t outcomes[2] = {0};
    for (size_t i = 0; i < PATTERNS + OF_COPIES; i++) {
        bool is_copy = i >= PATTERNS;
        const char *pattern = patterns[i % PATTERNS];
        struct scratch scratch;
        char good[PATH_MAX];
        scratch_create(&scratch);
        write_batches(scratch_path(&scratch, "state", good), is_copy);
        for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
            char directory[PATH_MAX];
            char path[PATH_MAX];
            char label[128];
            struct stat info;
            struct smelt_store *store = NULL;
            struct smelt_error err = {0};
            copy_files(good, scratch_path(&scratch, "damaged", directory));
            find_file(directory, pattern, path);
            (void)snprintf(label, sizeof(label), "%s of a %s, %d at %u %%", pattern,
                           is_copy ? "copy" : "state", (int)rows[k].damage, rows[k].percent);
            assert_int_equal(stat(path, &info), 0);
            if (info.st_size == 0 && rows[k].damage != GONE) {
                assert_int_equal(sm_fs_remove_tree(directory, NULL), SMELT_STATUS_OK);
                continue;
            }
            damage_file(path, rows[k].damage, rows[k].percent, NULL);
            size_t files = count_files(directory);
            enum smelt_status status = smelt_store_open_rocksdb(directory, NULL, &store, &err);
            outcomes[status == SMELT_STATUS_OK ? 0 : 1]++;
            if (status == SMELT_STATUS_OK) {
                bool is_last_record = rows[k].damage == CUT_TO && rows[k].percent == 98 &&
                                      strcmp(pattern, "MANIFEST-*") == 0;
                if (!is_last_record) {
                    assert_first_batches(store, label);
                }
                smelt_store_close(store);
            } else {
                if (status != SMELT_STATUS_STORE_CORRUPT || count_files(directory) < files) {
                    fail_msg("%s: %s: %s", label, smelt_status_name(status), err.message);
                }
            }
            assert_int_equal(sm_fs_remove_tree(directory, NULL), SMELT_STATUS_OK);
        }
        scratch_remove(&scratch);
    }
    assert_true(outcomes[0] > 20 && outcomes[1] > 20);
}

/* What a power failure may do to a log that is not synced. */
static void test_an_unsynced_log_ends_at_its_damage(void **state)
{
    (void)state;
    static const struct {
        enum damage damage;
        unsigned percent;
        size_t keys;
    } rows[] = {{FLIP_AT, 10, 3}, {FLIP_AT, 50, 4}, {FLIP_AT, 90, 5}, {CUT_TO, 60, 4}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int is_marked = 0; is_marked < 2; is_marked++) {
            struct scratch scratch;
            char path[PATH_MAX];
            size_t count = 0;
            scratch_create(&scratch);
            write_state(scratch.path);
            find_file(scratch.path, "*.log", path);
            damage_file(path, rows[i].damage, rows[i].percent, NULL);
            if (is_marked == 0 && rows[i].damage == FLIP_AT && rows[i].percent < 60) {
                assert_refused(scratch.path, true, SMELT_STATUS_STORE_CORRUPT);
            } else if (is_marked != 0) {
                create_file(scratch.path, "UNSYNCED", "");
                struct smelt_store *store = open_ok(scratch.path, true);
                assert_false(has_unsynced_mark(scratch.path));
                assert_int_equal(store->ops->iterate(store->impl, NULL, SMELT_STORE_STATE, text(""),
                                                     count_pair, &count, NULL),
                                 SMELT_STATUS_OK);
                assert_int_equal(count, rows[i].keys);
                smelt_store_close(store);
                smelt_store_close(open_ok(scratch.path, true));
            }
            scratch_remove(&scratch);
        }
    }
}

/* A log that ends in the middle of a record is what a crash leaves: whole batches before it. */
static void test_a_cut_log_loses_whole_batches(void **state)
{
    (void)state;
    static const struct {
        unsigned percent;
        size_t keys;
    } rows[] = {{100, 6}, {99, 5}, {70, 5}, {60, 4}, {35, 4}, {30, 3}, {0, 3}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct scratch scratch;
        char path[PATH_MAX];
        size_t count = 0;
        scratch_create(&scratch);
        write_state(scratch.path);
        find_file(scratch.path, "*.log", path);
        damage_file(path, CUT_TO, rows[i].percent, NULL);
        struct smelt_store *store = open_ok(scratch.path, true);
        assert_int_equal(store->ops->iterate(store->impl, NULL, SMELT_STORE_STATE, text(""),
                                             count_pair, &count, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(count, rows[i].keys);
        smelt_store_close(store);
        scratch_remove(&scratch);
    }
}

/* Options. */

static void test_options_that_cannot_be(void **state)
{
    (void)state;
    static const struct smelt_rocksdb_options rows[] = {
        {.sync = SMELT_SYNC_INTERVAL},
        {.sync = (enum smelt_sync)3},
        {.sync = (enum smelt_sync)77, .sync_interval = 1},
        {.write_buffer_bytes = 1},
        {.write_buffer_bytes = (1 << 20) - 1},
        {.write_buffer_bytes = (UINT64_C(16) << 30) + 1},
        {.write_buffer_bytes = UINT64_MAX},
    };
    struct scratch scratch;
    scratch_create(&scratch);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_store *store = NULL;
        struct smelt_error err = {0};
        assert_int_equal(smelt_store_open_rocksdb(scratch.path, &rows[i], &store, &err),
                         SMELT_STATUS_INVALID_ARGUMENT);
        assert_null(store);
        assert_int_equal(err.status, SMELT_STATUS_INVALID_ARGUMENT);
        assert_true(err.message[0] != '\0');
    }
    assert_int_equal(count_files(scratch.path), 0);
    scratch_remove(&scratch);
}

/* A state goes from one set of options to the next; nothing but the mark tells the difference. */
static void test_options(void **state)
{
    (void)state;
    static const struct smelt_rocksdb_options rows[] = {
        {.sync = SMELT_SYNC_NEVER},
        {0},
        {.sync = SMELT_SYNC_INTERVAL, .sync_interval = 1},
        {.sync = SMELT_SYNC_INTERVAL, .sync_interval = 3},
        {.sync = SMELT_SYNC_INTERVAL, .sync_interval = UINT32_MAX},
        {.sync = SMELT_SYNC_ALWAYS, .sync_interval = 0},
        {.cache_bytes = 1, .write_buffer_bytes = 1 << 20},
        {.cache_bytes = UINT64_C(1) << 40, .write_buffer_bytes = UINT64_C(16) << 30},
        {.must_exist = true},
    };
    struct scratch scratch;
    scratch_create(&scratch);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_store *store = NULL;
        struct smelt_error err = {0};
        char key[32];
        if (smelt_store_open_rocksdb(scratch.path, &rows[i], &store, &err) != SMELT_STATUS_OK) {
            fail_msg("%zu: %s", i, err.message);
        }
        assert_int_equal(has_unsynced_mark(scratch.path), rows[i].sync != SMELT_SYNC_ALWAYS);
        for (unsigned written = 0; written < i * 10; written++) {
            (void)snprintf(key, sizeof(key), "%u", written);
            assert_value(store, NULL, SMELT_STORE_STATE, key, "v");
        }
        for (size_t k = i * 10; k < (i + 1) * 10; k++) {
            (void)snprintf(key, sizeof(key), "%zu", k);
            assert_int_equal(write_one(store, SMELT_STORE_STATE, key, "v"), SMELT_STATUS_OK);
        }
        smelt_store_close(store);
        assert_false(has_unsynced_mark(scratch.path));
    }
    scratch_remove(&scratch);
}

/* Many tables and lists of the state: batches that overwrite, delete, and are read back. */
static void test_more_than_a_write_buffer(void **state)
{
    (void)state;
    enum { NUMBERS = 4000, PER_BATCH = 1000, BATCHES = 60 };
    const struct smelt_rocksdb_options options = {.sync = SMELT_SYNC_NEVER,
                                                  .write_buffer_bytes = 1 << 20};
    static uint32_t expected[NUMBERS];
    static uint8_t keys[PER_BATCH][4];
    static uint8_t values[PER_BATCH][100];
    static struct smelt_store_write writes[PER_BATCH];
    struct scratch scratch;
    struct smelt_store *store = NULL;
    struct smelt_buf value = {0};
    uint64_t seed = 3;
    scratch_create(&scratch);
    assert_int_equal(smelt_store_open_rocksdb(scratch.path, &options, &store, NULL),
                     SMELT_STATUS_OK);
    for (uint32_t batch = 1; batch <= BATCHES; batch++) {
        for (size_t i = 0; i < PER_BATCH; i++) {
            uint32_t number = (uint32_t)random_below(&seed, NUMBERS);
            bool is_delete = random_below(&seed, 5) == 0;
            sm_store_le32(keys[i], number);
            sm_store_le32(values[i], batch);
            expected[number] = is_delete ? 0 : batch;
            writes[i] = (struct smelt_store_write){.family = SMELT_STORE_STATE,
                                                   .key = sm_slice(keys[i], 4),
                                                   .value = sm_slice(values[i], sizeof(values[i])),
                                                   .is_delete = is_delete};
        }
        assert_int_equal(store->ops->write(store->impl, writes, PER_BATCH, NULL), SMELT_STATUS_OK);
    }
    for (int round = 0; round < 2; round++) {
        size_t there = 0;
        size_t count = 0;
        for (uint32_t number = 0; number < NUMBERS; number++) {
            uint8_t key[4];
            bool is_found = false;
            sm_store_le32(key, number);
            assert_int_equal(store->ops->get(store->impl, NULL, SMELT_STORE_STATE, sm_slice(key, 4),
                                             &value, &is_found, NULL),
                             SMELT_STATUS_OK);
            assert_int_equal(is_found, expected[number] != 0);
            assert_true(!is_found || sm_load_le32(value.data) == expected[number]);
            there += is_found ? 1 : 0;
        }
        assert_int_equal(store->ops->iterate(store->impl, NULL, SMELT_STORE_STATE, text(""),
                                             count_pair, &count, NULL),
                         SMELT_STATUS_OK);
        assert_int_equal(count, there);
        smelt_store_close(store);
        store = open_ok(scratch.path, true);
    }
    smelt_buf_deinit(&value);
    smelt_store_close(store);
    scratch_remove(&scratch);
}

/* Copies. */

static void test_checkpoint(void **state)
{
    (void)state;
    struct scratch scratch;
    char path[PATH_MAX];
    char copy[PATH_MAX];
    struct stat info;
    scratch_create(&scratch);
    struct smelt_store *store = open_ok(scratch_path(&scratch, "state", path), false);
    for (unsigned i = 0; i < SMELT_STORE_FAMILY_COUNT; i++) {
        assert_int_equal(write_one(store, (enum smelt_store_family)i, "k", "before"),
                         SMELT_STATUS_OK);
    }
    assert_int_equal(smelt_store_checkpoint(store, scratch_path(&scratch, "copy///", copy), NULL),
                     SMELT_STATUS_OK);
    scratch_path(&scratch, "copy", copy);
    assert_int_equal(stat(copy, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    assert_int_equal(count_files(scratch.path), 2);
    for (unsigned i = 0; i < SMELT_STORE_FAMILY_COUNT; i++) {
        assert_int_equal(write_one(store, (enum smelt_store_family)i, "k", "after"),
                         SMELT_STATUS_OK);
    }
    /* both are in use at a time, and go their own ways over the files they share */
    struct smelt_store *other = open_ok(copy, true);
    for (unsigned i = 0; i < SMELT_STORE_FAMILY_COUNT; i++) {
        assert_value(other, NULL, (enum smelt_store_family)i, "k", "before");
        assert_int_equal(write_one(other, (enum smelt_store_family)i, "k", "elsewhere"),
                         SMELT_STATUS_OK);
        assert_value(store, NULL, (enum smelt_store_family)i, "k", "after");
    }
    char second[PATH_MAX];
    assert_int_equal(
        smelt_store_checkpoint(other, scratch_path(&scratch, "copy-of-copy", second), NULL),
        SMELT_STATUS_OK);
    smelt_store_close(other);
    assert_int_equal(sm_fs_remove_tree(copy, NULL), SMELT_STATUS_OK);
    smelt_store_close(store);
    store = open_ok(path, true);
    assert_value(store, NULL, SMELT_STORE_STATE, "k", "after");
    smelt_store_close(store);
    store = open_ok(second, true);
    assert_value(store, NULL, SMELT_STORE_STATE, "k", "elsewhere");
    smelt_store_close(store);
    scratch_remove(&scratch);
}

static void test_checkpoints_that_cannot_be(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum smelt_status status;
    } rows[] = {{"state", SMELT_STATUS_INVALID_ARGUMENT}, {"empty", SMELT_STATUS_INVALID_ARGUMENT},
                {"file", SMELT_STATUS_INVALID_ARGUMENT},  {"link", SMELT_STATUS_INVALID_ARGUMENT},
                {"missing/copy", SMELT_STATUS_IO},        {"file/copy", SMELT_STATUS_IO}};
    struct scratch scratch;
    char path[PATH_MAX];
    struct smelt_error err = {0};
    scratch_create(&scratch);
    assert_int_equal(mkdir(scratch_path(&scratch, "empty", path), 0700), 0);
    assert_int_equal(symlink("nowhere", scratch_path(&scratch, "link", path)), 0);
    create_file(scratch.path, "file", "content");
    struct smelt_store *store = open_ok(scratch_path(&scratch, "state", path), false);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(
            smelt_store_checkpoint(store, scratch_path(&scratch, rows[i].name, path), &err),
            rows[i].status);
        assert_int_equal(err.status, rows[i].status);
        assert_int_equal(count_files(scratch.path), 4);
    }
    assert_int_equal(smelt_store_checkpoint(store, "", NULL), SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_store_checkpoint(store, NULL, NULL), SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(write_one(store, SMELT_STORE_STATE, "k", "v"), SMELT_STATUS_OK);
    smelt_store_close(store);
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_store_checkpoint(store, scratch_path(&scratch, "copy", path), &err),
                     SMELT_STATUS_INVALID_ARGUMENT);
    smelt_store_close(store);
    assert_int_equal(count_files(scratch.path), 4);
    scratch_remove(&scratch);
}

/* Every batch writes its number under two keys, in two families. */

struct writer {
    struct smelt_store *store;
    atomic_bool is_over;
    atomic_uint failures;
};

static void *write_until_over(void *context)
{
    struct writer *writer = (struct writer *)context;
    for (unsigned i = 1; !atomic_load(&writer->is_over); i++) {
        char number[16];
        (void)snprintf(number, sizeof(number), "%u", i);
        struct smelt_store_write writes[] = {put_of(SMELT_STORE_STATE, "k", number),
                                             put_of(SMELT_STORE_TREE, "k", number)};
        if (writer->store->ops->write(writer->store->impl, writes, 2, NULL) != SMELT_STATUS_OK) {
            atomic_fetch_add(&writer->failures, 1);
        }
    }
    return NULL;
}

static void test_a_checkpoint_is_one_instant(void **state)
{
    (void)state;
    const struct smelt_rocksdb_options options = {.sync = SMELT_SYNC_NEVER};
    struct writer writer = {0};
    struct scratch scratch;
    char path[PATH_MAX];
    pthread_t thread;
    unsigned last = 0;
    scratch_create(&scratch);
    assert_int_equal(smelt_store_open_rocksdb(scratch_path(&scratch, "state", path), &options,
                                              &writer.store, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(pthread_create(&thread, NULL, write_until_over, &writer), 0);
    for (unsigned i = 0; i < 8; i++) {
        struct smelt_buf values[2] = {0};
        bool is_found[2] = {false};
        scratch_path(&scratch, "copy", path);
        assert_int_equal(smelt_store_checkpoint(writer.store, path, NULL), SMELT_STATUS_OK);
        struct smelt_store *copy = open_ok(path, true);
        for (unsigned k = 0; k < 2; k++) {
            assert_int_equal(copy->ops->get(copy->impl, NULL,
                                            k == 0 ? SMELT_STORE_STATE : SMELT_STORE_TREE,
                                            text("k"), &values[k], &is_found[k], NULL),
                             SMELT_STATUS_OK);
        }
        assert_int_equal(is_found[0], is_found[1]);
        assert_true(sm_slice_equal(sm_buf_slice(&values[0]), sm_buf_slice(&values[1])));
        if (is_found[0]) {
            assert_true(sm_buf_append_u8(&values[0], 0));
            unsigned number = (unsigned)strtoul((const char *)values[0].data, NULL, 10);
            assert_true(number >= last);
            last = number;
        }
        smelt_buf_deinit(&values[0]);
        smelt_buf_deinit(&values[1]);
        smelt_store_close(copy);
        assert_int_equal(sm_fs_remove_tree(path, NULL), SMELT_STATUS_OK);
    }
    assert_true(last != 0);
    atomic_store(&writer.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&writer.failures), 0);
    smelt_store_close(writer.store);
    scratch_remove(&scratch);
}

static void test_short_memory(void **state)
{
    (void)state;
    struct scratch scratch;
    struct smelt_store *store = NULL;
    size_t blocks = sm_alloc_blocks();
    scratch_create(&scratch);
    for (int round = 0; round < 2; round++) {
        size_t nth = 1;
        for (; store == NULL; nth++) {
            sm_alloc_fail_at(nth);
            enum smelt_status status = smelt_store_open_rocksdb(scratch.path, NULL, &store, NULL);
            sm_alloc_fail_at(0);
            assert_int_equal(status, store != NULL ? SMELT_STATUS_OK : SMELT_STATUS_NO_MEMORY);
            assert_true(store != NULL || sm_alloc_blocks() == blocks);
        }
        assert_true(nth > 3);
        smelt_store_close(store);
        store = NULL;
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    scratch_remove(&scratch);
}

static int check_leaks(void **state)
{
    (void)state;
    return sm_alloc_blocks() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_must_exist_creates_nothing, check_leaks),
        cmocka_unit_test_teardown(test_creation, check_leaks),
        cmocka_unit_test_teardown(test_remains_of_a_creation_are_taken_over, check_leaks),
        cmocka_unit_test_teardown(test_other_directories_are_left_alone, check_leaks),
        cmocka_unit_test_teardown(test_paths_that_cannot_be, check_leaks),
        cmocka_unit_test_teardown(test_one_handle_at_a_time, check_leaks),
        cmocka_unit_test_teardown(test_writes_persist, check_leaks),
        cmocka_unit_test_teardown(test_databases_that_are_no_state, check_leaks),
        cmocka_unit_test_teardown(test_damage_is_found, check_leaks),
        cmocka_unit_test_teardown(test_no_damage_goes_unnoticed, check_leaks),
        cmocka_unit_test_teardown(test_an_unsynced_log_ends_at_its_damage, check_leaks),
        cmocka_unit_test_teardown(test_a_cut_log_loses_whole_batches, check_leaks),
        cmocka_unit_test_teardown(test_options_that_cannot_be, check_leaks),
        cmocka_unit_test_teardown(test_options, check_leaks),
        cmocka_unit_test_teardown(test_more_than_a_write_buffer, check_leaks),
        cmocka_unit_test_teardown(test_checkpoint, check_leaks),
        cmocka_unit_test_teardown(test_checkpoints_that_cannot_be, check_leaks),
        cmocka_unit_test_teardown(test_a_checkpoint_is_one_instant, check_leaks),
        cmocka_unit_test_teardown(test_short_memory, check_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
