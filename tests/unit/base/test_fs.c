/* Files: whole reads, atomic publishes, trees made and removed. */
#include "base/alloc.h"
#include "base/fs.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[PATH_MAX];
static size_t blocks_before;

static int set_up(void **state)
{
    (void)state;
    blocks_before = sm_alloc_blocks();
    test_directory_create(scratch);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_directory_remove(scratch);
    assert_int_equal(sm_alloc_blocks(), blocks_before);
    return 0;
}

static void expect_content(const char *path, const char *text)
{
    struct smelt_buf data = test_file_read(path);
    assert_true(sm_slice_equal_text(sm_buf_slice(&data), text));
    smelt_buf_deinit(&data);
}

static void test_path_fits_or_fails(void **state)
{
    (void)state;
    char path[8];
    struct smelt_error err;
    assert_int_equal(sm_fs_path(path, sizeof(path), NULL, "%s/%s", "abc", "def"), SMELT_STATUS_OK);
    assert_string_equal(path, "abc/def");
    assert_int_equal(sm_fs_path(path, sizeof(path), &err, "%s/%s", "abc", "defg"), SMELT_STATUS_IO);
    assert_int_equal(err.sys_errno, ENAMETOOLONG);
}

static void test_read_file(void **state)
{
    (void)state;
    const char *path = test_path(scratch, "file");
    struct smelt_buf data = {0};
    struct smelt_error err;
    test_file_write(path, sm_slice("0123456789", 10));
    assert_int_equal(sm_fs_read_file(path, 10, &data, NULL), SMELT_STATUS_OK);
    assert_true(sm_slice_equal_text(sm_buf_slice(&data), "0123456789"));
    /* one past the limit; the content read before stays */
    assert_int_equal(sm_fs_read_file(path, 9, &data, &err), SMELT_STATUS_IO);
    assert_non_null(strstr(err.message, "more than the limit of 9"));
    assert_int_equal(data.size, 10);
    assert_int_equal(symlink("file", test_path(scratch, "link")), 0);
    assert_int_equal(sm_fs_read_file(test_path(scratch, "link"), 10, &data, NULL), SMELT_STATUS_OK);
    test_file_write(path, sm_slice(NULL, 0));
    assert_int_equal(sm_fs_read_file(path, 0, &data, NULL), SMELT_STATUS_OK);
    assert_int_equal(data.size, 0);
    smelt_buf_deinit(&data);
}

static void test_read_of_what_is_no_file(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(test_path(scratch, "fifo"), 0600), 0);
    assert_int_equal(mkdir(test_path(scratch, "directory"), 0700), 0);
    assert_int_equal(symlink("nowhere", test_path(scratch, "dangling")), 0);
    assert_int_equal(symlink("loop", test_path(scratch, "loop")), 0);
    static const struct {
        const char *name;
        enum smelt_status status;
    } cases[] = {
        {"missing", SMELT_STATUS_NOT_FOUND}, {"dangling", SMELT_STATUS_NOT_FOUND},
        {"fifo", SMELT_STATUS_IO},           {"directory", SMELT_STATUS_IO},
        {"loop", SMELT_STATUS_IO},           {"fifo/below", SMELT_STATUS_IO},
        {"/dev/zero", SMELT_STATUS_IO},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smelt_buf data = {0};
        struct smelt_error err;
        const char *name = cases[i].name;
        const char *path = name[0] == '/' ? name : test_path(scratch, name);
        assert_int_equal(sm_fs_read_file(path, 1 << 20, &data, &err), cases[i].status);
        assert_non_null(strstr(err.message, path));
        assert_null(data.data);
    }
}

static void test_read_fd_starts_at_the_start(void **state)
{
    (void)state;
    const char *path = test_path(scratch, "file");
    test_file_write(path, sm_slice("content", 7));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    char byte;
    assert_int_equal(read(fd, &byte, 1), 1);
    struct smelt_buf data = {0};
    assert_int_equal(sm_fs_read_fd(fd, "name", 7, &data, NULL), SMELT_STATUS_OK);
    assert_true(sm_slice_equal_text(sm_buf_slice(&data), "content"));
    assert_int_equal(lseek(fd, 0, SEEK_CUR), 1);
    (void)close(fd);
    struct smelt_error err;
    assert_int_equal(sm_fs_read_fd(fd, "name", 7, &data, &err), SMELT_STATUS_IO);
    assert_int_equal(err.sys_errno, EBADF);
    assert_int_equal(data.size, 7);
    smelt_buf_deinit(&data);
}

static void test_publish_sets_content_and_mode(void **state)
{
    (void)state;
    const char *path = test_path(scratch, "file");
    struct stat info;
    const mode_t before = umask(077);
    assert_int_equal(sm_fs_publish(path, sm_slice("one", 3), 0644, NULL), SMELT_STATUS_OK);
    (void)umask(before);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0644); /* as asked, whatever the umask */
    assert_int_equal(sm_fs_publish(path, sm_slice("two", 3), 0600, NULL), SMELT_STATUS_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    expect_content(path, "two");
    assert_int_equal(sm_fs_publish(path, sm_slice(NULL, 0), 0600, NULL), SMELT_STATUS_OK);
    expect_content(path, "");
    assert_int_equal(test_directory_count(scratch, NULL), 1);
}

static void test_publish_replaces_a_link_not_its_target(void **state)
{
    (void)state;
    test_file_write(test_path(scratch, "target"), sm_slice("keep", 4));
    assert_int_equal(symlink("target", test_path(scratch, "link")), 0);
    assert_int_equal(sm_fs_publish(test_path(scratch, "link"), sm_slice("new", 3), 0600, NULL),
                     SMELT_STATUS_OK);
    expect_content(test_path(scratch, "target"), "keep");
    expect_content(test_path(scratch, "link"), "new");
}

static int publish_with_small_files(void *context)
{
    (void)context;
    const struct rlimit limit = {.rlim_cur = 100, .rlim_max = 100};
    uint8_t data[200] = {0};
    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 1;
    }
    struct smelt_error err;
    enum smelt_status status =
        sm_fs_publish(test_path(scratch, "file"), sm_slice(data, sizeof(data)), 0600, &err);
    return status == SMELT_STATUS_IO && err.sys_errno == EFBIG ? 0 : 2;
}

static void test_failed_publish_leaves_nothing(void **state)
{
    (void)state;
    const char *path = test_path(scratch, "file");
    test_file_write(path, sm_slice("old", 3));
    assert_int_equal(test_in_child(publish_with_small_files, NULL), 0);
    expect_content(path, "old");
    assert_int_equal(test_directory_count(scratch, NULL), 1);

    assert_int_equal(mkdir(test_path(scratch, "directory"), 0700), 0);
    assert_int_equal(sm_fs_publish(test_path(scratch, "directory"), sm_slice("x", 1), 0600, NULL),
                     SMELT_STATUS_IO);
    assert_int_equal(
        sm_fs_publish(test_path(scratch, "missing/file"), sm_slice("x", 1), 0600, NULL),
        SMELT_STATUS_IO);
    assert_int_equal(test_directory_count(scratch, NULL), 2);
}

/* One writer alternates two contents; a reader must never see anything else. */
static int publish_often(void *context)
{
    (void)context;
    uint8_t data[20000];
    for (int i = 0; i < 200; i++) {
        size_t size = i % 2 == 0 ? sizeof(data) : 100;
        memset(data, i % 2 == 0 ? 'a' : 'b', size);
        if (sm_fs_publish(test_path(scratch, "file"), sm_slice(data, size), 0600, NULL) !=
            SMELT_STATUS_OK) {
            return 1;
        }
    }
    /* tells the reader to stop */
    return sm_fs_publish(test_path(scratch, "file"), sm_slice("end", 3), 0600, NULL) ==
                   SMELT_STATUS_OK
               ? 0
               : 2;
}

static void test_readers_see_whole_contents(void **state)
{
    (void)state;
    test_file_write(test_path(scratch, "file"), sm_slice(NULL, 0));
    int child = test_child_start(publish_often, NULL);
    bool is_end = false;
    while (!is_end) {
        struct smelt_buf data = test_file_read(test_path(scratch, "file"));
        is_end = sm_slice_equal_text(sm_buf_slice(&data), "end");
        if (!is_end && data.size != 0) {
            uint8_t expected = data.size == 100 ? 'b' : 'a';
            assert_true(data.size == 100 || data.size == 20000);
            for (size_t i = 0; i < data.size; i++) {
                assert_int_equal(data.data[i], expected);
            }
        }
        smelt_buf_deinit(&data);
    }
    assert_int_equal(test_child_wait(child), 0);
    assert_int_equal(test_directory_count(scratch, NULL), 1);
}

static void test_stage_commit_discard(void **state)
{
    (void)state;
    const char *path = test_path(scratch, "file");
    struct sm_fs_staged staged = {0};
    sm_fs_discard(&staged); /* of nothing */
    assert_int_equal(sm_fs_stage(&staged, path, sm_slice("x", 1), 0600, NULL), SMELT_STATUS_OK);
    assert_false(test_file_exists(path));
    assert_int_equal(test_directory_count(scratch, NULL), 1);
    sm_fs_discard(&staged);
    sm_fs_discard(&staged);
    assert_int_equal(test_directory_count(scratch, NULL), 0);

    assert_int_equal(sm_fs_stage(&staged, path, sm_slice("x", 1), 0600, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_fs_commit(&staged, path, NULL), SMELT_STATUS_OK);
    sm_fs_discard(&staged);
    expect_content(path, "x");
    assert_int_equal(test_directory_count(scratch, NULL), 1);

    /* a commit that fails leaves it staged, for discard */
    assert_int_equal(mkdir(test_path(scratch, "directory"), 0700), 0);
    path = test_path(scratch, "directory");
    assert_int_equal(sm_fs_stage(&staged, path, sm_slice("x", 1), 0600, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_fs_commit(&staged, path, NULL), SMELT_STATUS_IO);
    assert_string_not_equal(staged.temp, "");
    sm_fs_discard(&staged);
    assert_int_equal(test_directory_count(scratch, NULL), 2);
}

static void test_make_directories(void **state)
{
    (void)state;
    struct stat info;
    static const struct {
        const char *name;
        enum smelt_status status;
    } cases[] = {
        {"a/b/c", SMELT_STATUS_OK},      {"a/b/c", SMELT_STATUS_OK},
        {"a//b/./d/", SMELT_STATUS_OK},  {"link/e", SMELT_STATUS_OK},
        {"file", SMELT_STATUS_IO},       {"file/f", SMELT_STATUS_IO},
        {"dangling/g", SMELT_STATUS_IO}, {"dangling", SMELT_STATUS_IO},
    };
    test_file_write(test_path(scratch, "file"), sm_slice("x", 1));
    assert_int_equal(symlink("a", test_path(scratch, "link")), 0);
    assert_int_equal(symlink("nowhere", test_path(scratch, "dangling")), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *path = test_path(scratch, cases[i].name);
        assert_int_equal(sm_fs_make_directories(path, 0700, NULL), cases[i].status);
        if (cases[i].status == SMELT_STATUS_OK) {
            assert_int_equal(stat(path, &info), 0);
            assert_true(S_ISDIR(info.st_mode));
            assert_int_equal(info.st_mode & 07777, 0700);
        }
    }
    assert_int_equal(sm_fs_make_directories("", 0700, NULL), SMELT_STATUS_IO);
    assert_int_equal(sm_fs_make_directories("/", 0700, NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_fs_make_directories(".", 0700, NULL), SMELT_STATUS_OK);
}

static void test_remove_tree_stays_inside(void **state)
{
    (void)state;
    assert_int_equal(sm_fs_make_directories(test_path(scratch, "tree/a/b"), 0700, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(mkdir(test_path(scratch, "outside"), 0700), 0);
    test_file_write(test_path(scratch, "outside/file"), sm_slice("keep", 4));
    test_file_write(test_path(scratch, "tree/a/file"), sm_slice("x", 1));
    assert_int_equal(symlink("../../outside", test_path(scratch, "tree/a/link")), 0);
    assert_int_equal(symlink("../outside/file", test_path(scratch, "tree/to-file")), 0);
    assert_int_equal(symlink("nowhere", test_path(scratch, "tree/dangling")), 0);
    assert_int_equal(mkfifo(test_path(scratch, "tree/fifo"), 0600), 0);
    assert_int_equal(sm_fs_remove_tree(test_path(scratch, "tree"), NULL), SMELT_STATUS_OK);
    assert_false(test_file_exists(test_path(scratch, "tree")));
    expect_content(test_path(scratch, "outside/file"), "keep");

    /* the root itself may be a link, even with a slash behind it */
    static const char *const names[] = {"link", "link/"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(symlink("outside", test_path(scratch, "link")), 0);
        assert_int_equal(sm_fs_remove_tree(test_path(scratch, names[i]), NULL), SMELT_STATUS_OK);
        assert_false(test_file_exists(test_path(scratch, "link")));
        expect_content(test_path(scratch, "outside/file"), "keep");
    }
    /* a file, and what is not there */
    assert_int_equal(sm_fs_remove_tree(test_path(scratch, "outside/file"), NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_fs_remove_tree(test_path(scratch, "outside/file"), NULL), SMELT_STATUS_OK);
    assert_int_equal(test_directory_count(test_path(scratch, "outside"), NULL), 0);
}

static int remove_tree_child(void *context)
{
    (void)context;
    return sm_fs_remove_tree(test_path(scratch, "tree"), NULL) == SMELT_STATUS_OK ? 0 : 1;
}

static void test_two_may_remove_the_same_tree(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 40; i++) {
            char name[32];
            (void)snprintf(name, sizeof(name), "tree/%d/below", i);
            assert_int_equal(sm_fs_make_directories(test_path(scratch, name), 0700, NULL),
                             SMELT_STATUS_OK);
        }
        int child = test_child_start(remove_tree_child, NULL);
        assert_int_equal(sm_fs_remove_tree(test_path(scratch, "tree"), NULL), SMELT_STATUS_OK);
        assert_int_equal(test_child_wait(child), 0);
        assert_false(test_file_exists(test_path(scratch, "tree")));
    }
}

static void test_short_memory(void **state)
{
    (void)state;
    const char *path = test_path(scratch, "file");
    struct smelt_buf data = {0};
    test_file_write(path, sm_slice("x", 1));
    sm_alloc_fail_at(1);
    assert_int_equal(sm_fs_read_file(path, 10, &data, NULL), SMELT_STATUS_NO_MEMORY);
    /* publishing needs none */
    assert_int_equal(sm_fs_publish(path, sm_slice("y", 1), 0600, NULL), SMELT_STATUS_OK);
    sm_alloc_fail_at(0);
    assert_null(data.data);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(test_path_fits_or_fails),
        ROW(test_read_file),
        ROW(test_read_of_what_is_no_file),
        ROW(test_read_fd_starts_at_the_start),
        ROW(test_publish_sets_content_and_mode),
        ROW(test_publish_replaces_a_link_not_its_target),
        ROW(test_failed_publish_leaves_nothing),
        ROW(test_readers_see_whole_contents),
        ROW(test_stage_commit_discard),
        ROW(test_make_directories),
        ROW(test_remove_tree_stays_inside),
        ROW(test_two_may_remove_the_same_tree),
        ROW(test_short_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
