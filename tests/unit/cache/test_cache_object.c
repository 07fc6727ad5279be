/* Objects: what may be handed out, and the attacks that must not get anything handed out. */
#include "base/alloc.h"
#include "base/digest.h"
#include "base/fs.h"
#include "cache/objects.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECT_SIZE 20000
#define OTHER_SIZE  30000

static char scratch[PATH_MAX];
static struct smelt_cache *cache;
static size_t blocks_before;
/* both in one shard */
static const struct smelt_hash key = {{0xaa, 1}};
static const struct smelt_hash other_key = {{0xaa, 2}};
static uint8_t content[OBJECT_SIZE];
static uint8_t other_content[OTHER_SIZE];
static const struct sm_cache_field fields[] = {{"clang", "19.1.4"}, {"tier", "baseline"}};

/* Paths of the entry of `key` and of `other_key`. */
static char so[PATH_MAX], meta[PATH_MAX], other_so[PATH_MAX], other_meta[PATH_MAX];

static void make_paths(const struct smelt_hash *of, char *so_path, char *meta_path)
{
    assert_int_equal(sm_cache_object_path(cache, of, so_path, PATH_MAX, NULL), SMELT_STATUS_OK);
    (void)snprintf(meta_path, PATH_MAX, "%.*s.meta", (int)(strlen(so_path) - 3), so_path);
}

static int set_up(void **state)
{
    (void)state;
    blocks_before = sm_alloc_blocks();
    for (size_t i = 0; i < sizeof(other_content); i++) {
        other_content[i] = (uint8_t)(i * 7 + 1);
        content[i % OBJECT_SIZE] = (uint8_t)(i * 31 + i / 256);
    }
    test_directory_create(scratch);
    if (smelt_cache_open(scratch, &cache, NULL) != SMELT_STATUS_OK) {
        return -1;
    }
    make_paths(&key, so, meta);
    make_paths(&other_key, other_so, other_meta);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    smelt_cache_close(cache);
    /* of the tests on a tmpfs; elsewhere there is nothing to unmount */
    (void)umount2(test_path(scratch, "small"), MNT_DETACH);
    test_directory_remove(scratch);
    assert_int_equal(sm_alloc_blocks(), blocks_before);
    return 0;
}

static struct smelt_slice whole(void)
{
    return sm_slice(content, sizeof(content));
}

static struct smelt_slice other_whole(void)
{
    return sm_slice(other_content, sizeof(other_content));
}

static void publish(const struct smelt_hash *of, struct smelt_slice bytes)
{
    struct smelt_error err = {0};
    enum smelt_status status = sm_cache_publish(cache, of, bytes, fields, 2, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, SMELT_STATUS_OK);
}

/* May be called in a child. */
static bool has_bytes(const struct sm_cache_object *object, struct smelt_slice bytes)
{
    struct smelt_buf found = {0};
    bool is_equal =
        object->size == bytes.size &&
        sm_fs_read_fd(object->fd, "object", bytes.size, &found, NULL) == SMELT_STATUS_OK &&
        sm_slice_equal(sm_buf_slice(&found), bytes);
    smelt_buf_deinit(&found);
    return is_equal;
}

static void expect_object(const struct smelt_hash *of, struct smelt_slice bytes)
{
    struct sm_cache_object object;
    struct smelt_error err = {0};
    enum smelt_status status = sm_cache_open_object(cache, of, &object, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, SMELT_STATUS_OK);
    assert_true(has_bytes(&object, bytes));
    struct smelt_hash digest;
    sm_digest_bytes(bytes, &digest);
    assert_memory_equal(&digest, &object.digest, sizeof(digest));
    (void)close(object.fd);
}

static void expect_status(const struct smelt_hash *of, enum smelt_status expected,
                          struct smelt_error *err)
{
    struct sm_cache_object object = {.fd = 0, .size = 1};
    assert_int_equal(sm_cache_open_object(cache, of, &object, err), expected);
    assert_int_equal(object.fd, -1);
    assert_int_equal(object.size, 0);
}

static int quarantined(void)
{
    return test_directory_count(test_path(scratch, "quarantine"), NULL);
}

static int entries(void)
{
    return test_directory_count(test_path(scratch, "objects/aa"), NULL);
}

static void test_publish_and_open(void **state)
{
    (void)state;
    expect_status(&key, SMELT_STATUS_NOT_FOUND, NULL);
    publish(&key, whole());
    assert_int_equal(entries(), 2);
    expect_object(&key, whole());
    expect_status(&other_key, SMELT_STATUS_NOT_FOUND, NULL);
    publish(&other_key, other_whole());
    expect_object(&other_key, other_whole());
    expect_object(&key, whole());
    publish(&key, other_whole());
    expect_object(&key, other_whole());
    publish(&key, sm_slice(NULL, 0));
    expect_object(&key, sm_slice(NULL, 0));
    assert_int_equal(quarantined(), 0);
}

static void test_handed_out_bytes_cannot_change(void **state)
{
    (void)state;
    publish(&key, whole());
    struct sm_cache_object object;
    assert_int_equal(sm_cache_open_object(cache, &key, &object, NULL), SMELT_STATUS_OK);
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
    assert_int_equal(fcntl(object.fd, F_GET_SEALS) & seals, seals);
    assert_int_equal(pwrite(object.fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(object.fd, 1), -1);
    assert_int_equal(ftruncate(object.fd, 1 << 20), -1);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, object.fd, 0),
                     MAP_FAILED);
    /* what the loader needs */
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, object.fd, 0);
    assert_ptr_not_equal(code, MAP_FAILED);
    assert_int_equal(munmap(code, 4096), 0);
    assert_int_equal(fcntl(object.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    /* and the file on disk is only where they came from */
    assert_int_equal(truncate(so, 0), 0);
    assert_true(has_bytes(&object, whole()));
    (void)close(object.fd);
}

static void make_link(const char *path)
{
    char target[PATH_MAX];
    (void)snprintf(target, sizeof(target), "%s.real", path);
    assert_int_equal(rename(path, target), 0);
    assert_int_equal(symlink(target, path), 0);
}

static void so_link(void)
{
    make_link(so);
}

static void meta_link(void)
{
    make_link(meta);
}

static void make_node(const char *path, mode_t mode, dev_t device)
{
    assert_int_equal(unlink(path), 0);
    if (mknod(path, mode | 0600, device) != 0) {
        /* device nodes need a privilege; a FIFO is as little a file */
        assert_int_equal(mkfifo(path, 0600), 0);
    }
}

static void so_fifo(void)
{
    make_node(so, S_IFIFO, 0);
}

static void meta_fifo(void)
{
    make_node(meta, S_IFIFO, 0);
}

static void so_device(void)
{
    make_node(so, S_IFCHR, makedev(1, 5));
}

static void meta_device(void)
{
    make_node(meta, S_IFCHR, makedev(1, 5));
}

static void so_directory(void)
{
    assert_int_equal(unlink(so), 0);
    assert_int_equal(mkdir(so, 0700), 0);
    test_file_write(test_path(so, "inside"), sm_slice("x", 1));
}

static void meta_directory(void)
{
    assert_int_equal(unlink(meta), 0);
    assert_int_equal(mkdir(meta, 0700), 0);
}

static void make_socket(const char *name)
{
    /* relative, since socket addresses are short */
    char saved[PATH_MAX];
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "s"};
    assert_non_null(getcwd(saved, sizeof(saved)));
    assert_int_equal(unlink(name), 0);
    assert_int_equal(chdir(test_path(scratch, "objects/aa")), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    (void)close(fd);
    assert_int_equal(rename("s", name), 0);
    assert_int_equal(chdir(saved), 0);
}

static void so_socket(void)
{
    make_socket(so);
}

static void meta_socket(void)
{
    make_socket(meta);
}

static void so_missing(void)
{
    assert_int_equal(unlink(so), 0);
}

static void so_shorter(void)
{
    assert_int_equal(truncate(so, OBJECT_SIZE - 1), 0);
}

static void so_longer(void)
{
    assert_int_equal(truncate(so, OBJECT_SIZE + 1), 0);
}

static void so_empty(void)
{
    assert_int_equal(truncate(so, 0), 0);
}

static void so_huge(void)
{
    assert_int_equal(truncate(so, ((off_t)1 << 30) + 1), 0);
}

static void meta_empty(void)
{
    assert_int_equal(truncate(meta, 0), 0);
}

static void meta_huge(void)
{
    assert_int_equal(truncate(meta, (off_t)1 << 40), 0);
}

static void meta_with_tail(void)
{
    struct smelt_buf text = test_file_read(meta);
    assert_int_equal(truncate(meta, (off_t)text.size + 1), 0);
    smelt_buf_deinit(&text);
}

static void swapped_entry(void)
{
    assert_int_equal(rename(other_so, so), 0);
    assert_int_equal(rename(other_meta, meta), 0);
}

static void swapped_so(void)
{
    assert_int_equal(rename(other_so, so), 0);
}

static void swapped_meta(void)
{
    assert_int_equal(rename(other_meta, meta), 0);
}

/* What a crash between the two renames leaves when the bytes differ. */
static void so_of_newer_publication(void)
{
    struct smelt_buf old = test_file_read(meta);
    struct smelt_buf bytes = test_file_read(so);
    bytes.data[0] ^= 1;
    publish(&key, sm_buf_slice(&bytes));
    test_file_write(meta, sm_buf_slice(&old));
    smelt_buf_deinit(&old);
    smelt_buf_deinit(&bytes);
}

static void other_seal_key(void)
{
    smelt_cache_close(cache);
    assert_int_equal(unlink(test_path(scratch, "seal.key")), 0);
    assert_int_equal(smelt_cache_open(scratch, &cache, NULL), SMELT_STATUS_OK);
}

static const struct attack {
    const char *name;
    void (*spoil)(void);
    enum smelt_status status;
    const char *message;
} attacks[] = {
    {"so_link", so_link, SMELT_STATUS_ARTEFACT_CORRUPT, ".so is a symbolic link"},
    {"meta_link", meta_link, SMELT_STATUS_ARTEFACT_CORRUPT, ".meta is a symbolic link"},
    {"so_fifo", so_fifo, SMELT_STATUS_ARTEFACT_CORRUPT, ".so is not a regular file"},
    {"meta_fifo", meta_fifo, SMELT_STATUS_ARTEFACT_CORRUPT, ".meta is not a regular file"},
    {"so_device", so_device, SMELT_STATUS_ARTEFACT_CORRUPT, ".so is not a regular file"},
    {"meta_device", meta_device, SMELT_STATUS_ARTEFACT_CORRUPT, ".meta is not a regular file"},
    {"so_directory", so_directory, SMELT_STATUS_ARTEFACT_CORRUPT, ".so is not a regular file"},
    {"meta_directory", meta_directory, SMELT_STATUS_ARTEFACT_CORRUPT,
     ".meta is not a regular file"},
    {"so_socket", so_socket, SMELT_STATUS_ARTEFACT_CORRUPT, ".so is not a regular file"},
    {"meta_socket", meta_socket, SMELT_STATUS_ARTEFACT_CORRUPT, ".meta is not a regular file"},
    {"so_missing", so_missing, SMELT_STATUS_ARTEFACT_CORRUPT, ".so is missing"},
    {"so_shorter", so_shorter, SMELT_STATUS_ARTEFACT_CORRUPT, ".so has not the size"},
    {"so_longer", so_longer, SMELT_STATUS_ARTEFACT_CORRUPT, ".so has not the size"},
    {"so_empty", so_empty, SMELT_STATUS_ARTEFACT_CORRUPT, ".so has not the size"},
    {"so_huge", so_huge, SMELT_STATUS_ARTEFACT_CORRUPT, ".so has not the size"},
    {"meta_empty", meta_empty, SMELT_STATUS_ARTEFACT_CORRUPT, "manifest is truncated"},
    {"meta_huge", meta_huge, SMELT_STATUS_ARTEFACT_CORRUPT, "more than the limit"},
    {"meta_with_tail", meta_with_tail, SMELT_STATUS_ARTEFACT_CORRUPT, "does not end with its MAC"},
    {"swapped_entry", swapped_entry, SMELT_STATUS_ARTEFACT_CORRUPT, "belongs to another key"},
    {"swapped_so", swapped_so, SMELT_STATUS_ARTEFACT_CORRUPT, ".so has not the size"},
    {"swapped_meta", swapped_meta, SMELT_STATUS_ARTEFACT_CORRUPT, "belongs to another key"},
    {"so_of_newer_publication", so_of_newer_publication, SMELT_STATUS_ARTEFACT_CORRUPT,
     ".so has not the digest"},
    {"other_seal_key", other_seal_key, SMELT_STATUS_ARTEFACT_SEAL, "another seal.key"},
};

static void test_attacks_are_caught_and_quarantined(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        publish(&key, whole());
        publish(&other_key, other_whole());
        attacks[i].spoil();
        struct smelt_error err;
        expect_status(&key, attacks[i].status, &err);
        if (strstr(err.message, attacks[i].message) == NULL) {
            fail_msg("%s: \"%s\"", attacks[i].name, err.message);
        }
        /* the entry has left, the message says where to, and it is there */
        assert_false(test_file_exists(so));
        assert_false(test_file_exists(meta));
        assert_int_equal(quarantined(), (int)i + 1);
        const char *moved = strstr(err.message, "; moved to ");
        assert_non_null(moved);
        assert_true(test_directory_count(moved + strlen("; moved to "), NULL) >= 1);
        expect_status(&key, SMELT_STATUS_NOT_FOUND, NULL);
        /* and the cache heals */
        publish(&key, whole());
        expect_object(&key, whole());
    }
}

/* One object is spoiled again and again: no incident may overwrite an earlier one. */
static void expect_bad(void)
{
    struct sm_cache_object object;
    enum smelt_status status = sm_cache_open_object(cache, &key, &object, NULL);
    assert_true(status == SMELT_STATUS_ARTEFACT_CORRUPT || status == SMELT_STATUS_ARTEFACT_SEAL);
    assert_int_equal(object.fd, -1);
}

static void test_every_byte_of_the_manifest_counts(void **state)
{
    (void)state;
    static const uint8_t changes[] = {0x01, 0x20, 0x80};
    publish(&key, whole());
    struct smelt_buf text = test_file_read(meta);
    int incidents = 0;
    for (size_t i = 0; i < text.size; i++) {
        for (size_t k = 0; k < sizeof(changes); k++) {
            text.data[i] ^= changes[k];
            test_file_write(so, whole());
            test_file_write(meta, sm_buf_slice(&text));
            expect_bad();
            incidents++;
            text.data[i] ^= changes[k];
        }
        test_file_write(so, whole());
        test_file_write(meta, sm_slice(text.data, i));
        expect_bad();
        incidents++;
    }
    assert_int_equal(quarantined(), incidents);
    test_file_write(so, whole());
    test_file_write(meta, sm_buf_slice(&text));
    expect_object(&key, whole());
    smelt_buf_deinit(&text);
}

static void test_bytes_of_the_object_count(void **state)
{
    (void)state;
    publish(&key, whole());
    struct smelt_buf text = test_file_read(meta);
    struct smelt_buf bytes = test_file_read(so);
    for (size_t i = 0; i < bytes.size; i += i < 64 || i >= bytes.size - 64 ? 1 : 61) {
        bytes.data[i] ^= (uint8_t)(1u << i % 8);
        test_file_write(so, sm_buf_slice(&bytes));
        test_file_write(meta, sm_buf_slice(&text));
        expect_bad();
        bytes.data[i] ^= (uint8_t)(1u << i % 8);
    }
    smelt_buf_deinit(&text);
    smelt_buf_deinit(&bytes);
}

static void test_leftovers_of_a_crash_are_harmless(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path(scratch, "objects/aa"), 0700), 0);
    /* the object without its manifest, and temporary files */
    test_file_write(so, other_whole());
    char path[PATH_MAX + 16];
    (void)snprintf(path, sizeof(path), "%s.tmp-abcdef", so);
    test_file_write(path, sm_slice("junk", 4));
    (void)snprintf(path, sizeof(path), "%s.tmp-abcdef", meta);
    test_file_write(path, sm_slice("junk", 4));
    expect_status(&key, SMELT_STATUS_NOT_FOUND, NULL);
    publish(&key, whole());
    expect_object(&key, whole());
    assert_int_equal(quarantined(), 0);
}

static void test_publishing_replaces_whatever_is_there(void **state)
{
    (void)state;
    assert_int_equal(mkdir(test_path(scratch, "objects/aa"), 0700), 0);
    assert_int_equal(mkdir(so, 0700), 0);
    assert_int_equal(mkdir(meta, 0700), 0);
    publish(&key, whole());
    expect_object(&key, whole());
    assert_int_equal(quarantined(), 1);

    /* a link is replaced, not written through */
    test_file_write(test_path(scratch, "target"), sm_slice("keep", 4));
    assert_int_equal(unlink(so), 0);
    assert_int_equal(symlink(test_path(scratch, "target"), so), 0);
    publish(&key, whole());
    expect_object(&key, whole());
    struct smelt_buf target = test_file_read(test_path(scratch, "target"));
    assert_true(sm_slice_equal_text(sm_buf_slice(&target), "keep"));
    smelt_buf_deinit(&target);
}

static void test_shards_that_are_no_directories(void **state)
{
    (void)state;
    struct smelt_error err;
    const char *shard = test_path(scratch, "objects/aa");
    /* a link to another place: neither read nor written through */
    assert_int_equal(mkdir(test_path(scratch, "elsewhere"), 0700), 0);
    assert_int_equal(symlink("../elsewhere", shard), 0);
    expect_status(&key, SMELT_STATUS_IO, &err);
    assert_non_null(strstr(err.message, "remove it"));
    assert_int_equal(sm_cache_publish(cache, &key, whole(), fields, 2, &err), SMELT_STATUS_IO);
    assert_int_equal(test_directory_count(test_path(scratch, "elsewhere"), NULL), 0);
    assert_int_equal(unlink(shard), 0);

    assert_int_equal(rmdir(test_path(scratch, "objects")), 0);
    test_file_write(test_path(scratch, "objects"), sm_slice("x", 1));
    expect_status(&key, SMELT_STATUS_IO, &err);
    assert_int_equal(sm_cache_publish(cache, &key, whole(), fields, 2, &err), SMELT_STATUS_IO);
    assert_int_equal(unlink(test_path(scratch, "objects")), 0);
    expect_status(&key, SMELT_STATUS_NOT_FOUND, &err);
    publish(&key, whole());
    expect_object(&key, whole());
}

static void test_quarantine_that_fails_is_reported(void **state)
{
    (void)state;
    publish(&key, whole());
    assert_int_equal(truncate(so, 1), 0);
    assert_int_equal(rmdir(test_path(scratch, "quarantine")), 0);
    test_file_write(test_path(scratch, "quarantine"), sm_slice("x", 1));
    struct smelt_error err;
    for (int i = 0; i < 2; i++) {
        expect_status(&key, SMELT_STATUS_ARTEFACT_CORRUPT, &err);
        assert_non_null(strstr(err.message, "left in "));
    }
    publish(&key, whole());
    expect_object(&key, whole());
}

static void test_unfit_publications_are_refused(void **state)
{
    (void)state;
    const struct sm_cache_field twice[] = {{"a", "1"}, {"a", "2"}};
    assert_int_equal(sm_cache_publish(cache, &key, whole(), twice, 2, NULL),
                     SMELT_STATUS_INVALID_ARGUMENT);
    /* refused by its size alone, so the bytes are never looked at */
    assert_int_equal(
        sm_cache_publish(cache, &key, sm_slice(content, ((size_t)1 << 30) + 1), fields, 2, NULL),
        SMELT_STATUS_INVALID_ARGUMENT);
    expect_status(&key, SMELT_STATUS_NOT_FOUND, NULL);
}

static int publish_with_small_files(void *context)
{
    const rlim_t *size = (const rlim_t *)context;
    const struct rlimit limit = {.rlim_cur = *size, .rlim_max = *size};
    struct smelt_error err;
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 1;
    }
    enum smelt_status status = sm_cache_publish(cache, &key, other_whole(), fields, 2, &err);
    return status == SMELT_STATUS_IO && err.sys_errno == EFBIG ? 0 : 2;
}

static void test_failed_writes_leave_the_cache_as_it_was(void **state)
{
    (void)state;
    rlim_t size = 1000;
    assert_int_equal(test_in_child(publish_with_small_files, &size), 0);
    assert_int_equal(entries(), 0);
    expect_status(&key, SMELT_STATUS_NOT_FOUND, NULL);
    publish(&key, whole());
    assert_int_equal(test_in_child(publish_with_small_files, &size), 0);
    assert_int_equal(entries(), 2);
    expect_object(&key, whole());
}

/* A cache on a file system of its own with the given options; false when mounting is not allowed.
 */
static bool open_on_tmpfs(const char *options)
{
    smelt_cache_close(cache);
    cache = NULL;
    bool is_mounted = mkdir(test_path(scratch, "small"), 0700) == 0 &&
                      mount("smelt-test", test_path(scratch, "small"), "tmpfs",
                            MS_NOSUID | MS_NODEV, options) == 0;
    const char *directory = is_mounted ? test_path(scratch, "small") : scratch;
    assert_int_equal(smelt_cache_open(directory, &cache, NULL), SMELT_STATUS_OK);
    if (!is_mounted) {
        print_message("no permission to mount a tmpfs: skipped\n");
    }
    return is_mounted;
}

static void expect_no_space_and_nothing_left(struct smelt_slice bytes)
{
    assert_int_equal(sm_cache_publish(cache, &key, bytes, fields, 2, NULL), SMELT_STATUS_NO_SPACE);
    assert_int_equal(test_directory_count(test_path(scratch, "small/objects/aa"), NULL), 0);
    expect_status(&key, SMELT_STATUS_NOT_FOUND, NULL);
}

static void test_full_disk(void **state)
{
    (void)state;
    if (!open_on_tmpfs("size=128k")) {
        skip();
    }
    struct smelt_buf large = {0};
    assert_true(sm_buf_reserve(&large, 1 << 20));
    memset(large.data, 'x', 1 << 20);
    expect_no_space_and_nothing_left(sm_slice(large.data, 1 << 20));
    smelt_buf_deinit(&large);
    publish(&key, whole());
    expect_object(&key, whole());
}

static void test_disk_without_room_for_the_manifest(void **state)
{
    (void)state;
    /* the root, four directories, seal.key, the shard, the object: the manifest is one too many */
    if (!open_on_tmpfs("size=1m,nr_inodes=8")) {
        skip();
    }
    expect_no_space_and_nothing_left(whole());
}

static void test_read_only_file_system(void **state)
{
    (void)state;
    if (!open_on_tmpfs("size=1m")) {
        skip();
    }
    publish(&key, whole());
    publish(&other_key, other_whole());
    const char *small = test_path(scratch, "small");
    make_paths(&other_key, other_so, other_meta);
    assert_int_equal(truncate(other_so, 5), 0);
    assert_int_equal(mount("smelt-test", small, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=1m"), 0);
    /* found out while open, and again by the next open */
    for (int i = 0; i < 2; i++) {
        struct smelt_error err;
        int lock;
        expect_object(&key, whole());
        assert_int_equal(sm_cache_publish(cache, &key, whole(), fields, 2, NULL),
                         SMELT_STATUS_READ_ONLY);
        assert_int_equal(sm_cache_lock(cache, &key, &lock, NULL), SMELT_STATUS_OK);
        assert_int_equal(lock, -1);
        expect_status(&other_key, SMELT_STATUS_ARTEFACT_CORRUPT, &err);
        assert_non_null(strstr(err.message, "left in "));
        smelt_cache_close(cache);
        assert_int_equal(smelt_cache_open(small, &cache, NULL), SMELT_STATUS_OK);
    }
}

/* Publishers of two contents under one key, and readers that must always see one of them. */
enum { PUBLICATIONS = 100, PUBLISHERS = 2, READERS = 2 };

static int publish_often(void *context)
{
    (void)context;
    for (int i = 0; i < PUBLICATIONS; i++) {
        struct smelt_slice bytes = i % 2 == 0 ? other_whole() : whole();
        if (sm_cache_publish(cache, &key, bytes, fields, 2, NULL) != SMELT_STATUS_OK) {
            return 1;
        }
    }
    return 0;
}

static int read_until_told(void *context)
{
    const int *stop = (const int *)context;
    int reads = 0;
    for (;;) {
        struct sm_cache_object object;
        if (sm_cache_open_object(cache, &key, &object, NULL) != SMELT_STATUS_OK) {
            return 1;
        }
        if (!has_bytes(&object, whole()) && !has_bytes(&object, other_whole())) {
            return 2;
        }
        (void)close(object.fd);
        reads++;
        char byte;
        if (read(*stop, &byte, 1) == 0) {
            return reads > 10 ? 0 : 3;
        }
    }
}

static void test_readers_see_whole_entries_while_others_publish(void **state)
{
    (void)state;
    publish(&key, whole());
    int stop[2];
    assert_int_equal(pipe2(stop, O_NONBLOCK), 0);
    int publishers[PUBLISHERS];
    int readers[READERS];
    for (int i = 0; i < PUBLISHERS; i++) {
        publishers[i] = test_child_start(publish_often, NULL);
    }
    for (int i = 0; i < READERS; i++) {
        /* the child must not hold the writing end, or it would never see it closed */
        (void)fflush(NULL);
        readers[i] = fork();
        assert_true(readers[i] >= 0);
        if (readers[i] == 0) {
            (void)close(stop[1]);
            _exit(read_until_told(&stop[0]));
        }
    }
    for (int i = 0; i < PUBLISHERS; i++) {
        assert_int_equal(test_child_wait(publishers[i]), 0);
    }
    (void)close(stop[1]);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(test_child_wait(readers[i]), 0);
    }
    (void)close(stop[0]);
    assert_int_equal(quarantined(), 0);
    assert_int_equal(entries(), 2);
}

static int read_other_content(void *context)
{
    (void)context;
    struct sm_cache_object object;
    if (sm_cache_open_object(cache, &key, &object, NULL) != SMELT_STATUS_OK) {
        return 1;
    }
    return has_bytes(&object, other_whole()) ? 0 : 2;
}

/* The same window, held open: new .so, old .meta, publisher still at work. */
static void test_reader_waits_for_a_publisher_halfway(void **state)
{
    (void)state;
    publish(&key, other_whole());
    struct smelt_buf new_meta = test_file_read(meta);
    publish(&key, whole());

    int shard = open(test_path(scratch, "objects/aa"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(shard >= 0);
    assert_int_equal(flock(shard, LOCK_EX), 0);
    test_file_write(so, other_whole());
    int child = test_child_start(read_other_content, NULL);
    (void)usleep(100 * 1000);
    assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
    assert_int_equal(quarantined(), 0);
    test_file_write(meta, sm_buf_slice(&new_meta));
    assert_int_equal(flock(shard, LOCK_UN), 0);
    assert_int_equal(test_child_wait(child), 0);
    assert_int_equal(quarantined(), 0);
    (void)close(shard);
    smelt_buf_deinit(&new_meta);
}

/* Publishing under the compile lock of the same key is how the compiler works. */
static void test_publishing_under_the_key_lock(void **state)
{
    (void)state;
    int lock;
    assert_int_equal(sm_cache_lock(cache, &key, &lock, NULL), SMELT_STATUS_OK);
    publish(&key, whole());
    expect_object(&key, whole());
    sm_cache_unlock(lock);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    const size_t blocks = sm_alloc_blocks();
    size_t nth = 1;
    for (;; nth++) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_cache_publish(cache, &key, whole(), fields, 2, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(sm_alloc_blocks(), blocks);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        expect_status(&key, SMELT_STATUS_NOT_FOUND, NULL);
    }
    assert_true(nth > 1);
    for (nth = 1;; nth++) {
        struct sm_cache_object object;
        sm_alloc_fail_at(nth);
        enum smelt_status status = sm_cache_open_object(cache, &key, &object, NULL);
        sm_alloc_fail_at(0);
        assert_int_equal(sm_alloc_blocks(), blocks);
        if (status == SMELT_STATUS_OK) {
            (void)close(object.fd);
            break;
        }
        /* short memory is no reason to distrust the entry */
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        assert_int_equal(object.fd, -1);
        assert_int_equal(quarantined(), 0);
    }
    assert_true(nth > 1);
    expect_object(&key, whole());
}

static void test_no_descriptor_is_lost(void **state)
{
    (void)state;
    int before = test_directory_count("/proc/self/fd", NULL);
    publish(&key, whole());
    expect_object(&key, whole());
    expect_status(&other_key, SMELT_STATUS_NOT_FOUND, NULL);
    assert_int_equal(truncate(so, 5), 0);
    expect_status(&key, SMELT_STATUS_ARTEFACT_CORRUPT, NULL);
    publish(&key, whole());
    so_fifo();
    expect_status(&key, SMELT_STATUS_ARTEFACT_CORRUPT, NULL);
    assert_int_equal(test_directory_count("/proc/self/fd", NULL), before);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_publish_and_open),
        ROW(test_handed_out_bytes_cannot_change),
        ROW(test_attacks_are_caught_and_quarantined),
        ROW(test_every_byte_of_the_manifest_counts),
        ROW(test_bytes_of_the_object_count),
        ROW(test_leftovers_of_a_crash_are_harmless),
        ROW(test_publishing_replaces_whatever_is_there),
        ROW(test_shards_that_are_no_directories),
        ROW(test_quarantine_that_fails_is_reported),
        ROW(test_unfit_publications_are_refused),
        ROW(test_failed_writes_leave_the_cache_as_it_was),
        ROW(test_full_disk),
        ROW(test_disk_without_room_for_the_manifest),
        ROW(test_read_only_file_system),
        ROW(test_readers_see_whole_entries_while_others_publish),
        ROW(test_reader_waits_for_a_publisher_halfway),
        ROW(test_publishing_under_the_key_lock),
        ROW(test_allocation_failures),
        ROW(test_no_descriptor_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
