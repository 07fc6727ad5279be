/* See files.h. */
#include "tests/support/files.h"

#include "base/fs.h"
#include "tests/support/cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void test_directory_create(char path[PATH_MAX])
{
    const char *parent = getenv("TMPDIR");
    (void)snprintf(path, PATH_MAX, "%s/smelt-test-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(path));
}

void test_directory_remove(const char *path)
{
    assert_int_equal(sm_fs_remove_tree(path, NULL), SMELT_STATUS_OK);
}

const char *test_path(const char *directory, const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned int next;
    char *path = paths[next++ % 8];
    if (snprintf(path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX) {
        abort();
    }
    return path;
}

void test_file_write(const char *path, struct smelt_slice data)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data.data, 1, data.size, file), data.size);
    assert_int_equal(fclose(file), 0);
}

struct smelt_buf test_file_read(const char *path)
{
    struct smelt_buf data = {0};
    assert_int_equal(sm_fs_read_file(path, SIZE_MAX / 2, &data, NULL), SMELT_STATUS_OK);
    return data;
}

bool test_file_exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

int test_directory_count(const char *path, const char *part)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return -1;
    }
    int count = 0;
    for (struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory)) {
        bool is_dot = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
        if (!is_dot && (part == NULL || strstr(entry->d_name, part) != NULL)) {
            count++;
        }
    }
    (void)closedir(directory);
    return count;
}

int test_child_start(test_child_fn *body, void *context)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        _exit(body(context));
    }
    return pid;
}

int test_child_wait(int pid)
{
    int state;
    while (waitpid(pid, &state, 0) != pid) {
        assert_int_equal(errno, EINTR);
    }
    return WIFEXITED(state) ? WEXITSTATUS(state) : -1;
}

int test_in_child(test_child_fn *body, void *context)
{
    return test_child_wait(test_child_start(body, context));
}

bool test_become_nobody(void)
{
    if (geteuid() != 0) {
        return true;
    }
    return setgroups(0, NULL) == 0 && setgid(TEST_NOBODY) == 0 && setuid(TEST_NOBODY) == 0;
}
