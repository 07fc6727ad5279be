/* Outputs appear whole or not at all, and nothing is left behind. */
#include "cli/files.h"
#include "tests/support/cmocka_all.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLICE(text) ((struct smelt_slice){(const uint8_t *)(text), sizeof(text) - 1})

static char directory[64];

static int make_directory(void **state)
{
    (void)state;
    (void)snprintf(directory, sizeof(directory), "/tmp/smelt-test-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static const char *in_directory(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static int count_files(void)
{
    DIR *listing = opendir(directory);
    int count = 0;
    for (struct dirent *at = readdir(listing); at != NULL; at = readdir(listing)) {
        count += at->d_name[0] != '.';
    }
    (void)closedir(listing);
    return count;
}

static int remove_directory(void **state)
{
    (void)state;
    (void)unlink(in_directory("out"));
    return rmdir(directory);
}

static void assert_content(const char *path, const char *wanted)
{
    struct cli_bytes content;
    struct smelt_error err = {0};
    assert_int_equal(cli_file_read(path, 100, &content, &err), SMELT_STATUS_OK);
    assert_int_equal(content.size, strlen(wanted));
    assert_memory_equal(content.data, wanted, content.size);
    cli_bytes_deinit(&content);
}

static void test_commit_publishes_and_discard_does_not(void **state)
{
    struct cli_outfile file = {0};
    struct smelt_error err = {0};
    (void)state;
    assert_int_equal(cli_outfile_check(&file, in_directory("out"), NULL, &err), SMELT_STATUS_OK);
    assert_int_equal(cli_outfile_stage(&file, SLICE("first"), &err), SMELT_STATUS_OK);
    assert_int_not_equal(access(in_directory("out"), F_OK), 0);
    assert_int_equal(cli_outfile_commit(&file, &err), SMELT_STATUS_OK);
    cli_outfile_discard(&file);
    assert_content(in_directory("out"), "first");

    assert_int_equal(cli_outfile_check(&file, in_directory("out"), NULL, &err), SMELT_STATUS_OK);
    assert_int_equal(cli_outfile_stage(&file, SLICE("second"), &err), SMELT_STATUS_OK);
    cli_outfile_discard(&file);
    assert_content(in_directory("out"), "first");
    assert_int_equal(count_files(), 1);
}

static void test_impossible_destinations_are_refused_early(void **state)
{
    struct cli_outfile file = {0};
    struct smelt_error err = {0};
    (void)state;
    assert_int_equal(cli_outfile_check(&file, directory, NULL, &err), SMELT_STATUS_IO);
    assert_non_null(strstr(err.message, "directory"));
    assert_int_equal(cli_outfile_check(&file, "/dev/null", NULL, &err), SMELT_STATUS_IO);
    assert_int_equal(cli_outfile_check(&file, in_directory("no/out"), NULL, &err),
                     SMELT_STATUS_NOT_FOUND);
    assert_int_equal(cli_outfile_check(&file, in_directory("new/"), NULL, &err), SMELT_STATUS_IO);
    assert_null(file.path);
    assert_int_equal(cli_outfile_check(&file, NULL, NULL, &err), SMELT_STATUS_OK);
    assert_int_equal(cli_outfile_stage(&file, SLICE("x"), &err), SMELT_STATUS_OK);
    assert_int_equal(cli_outfile_commit(&file, &err), SMELT_STATUS_OK);
    cli_outfile_discard(&file);
    assert_int_equal(count_files(), 0);
}

/* The directory has a file, a link to it and a directory; `new` names nothing yet. */
static void test_other_spellings_of_a_name(void **state)
{
    static const struct {
        const char *a, *b;
        bool is_same;
    } rows[] = {
        {"file", "file", true},
        {"file", "./file", true},
        {"file", "link", true},
        {"file", "sub/../file", true},
        {"file", "new", false},
        {"new", "file", false},
        {"new", "new", true},
        {"new", "./new", true},
        {"new", "sub/../new", true},
        {"new", "sub/new", false},
        {"new", "newer", false},
        {"new", "missing/new", false},
        {"missing/new", "missing/new", false},
    };
    char here[PATH_MAX];
    (void)state;
    assert_non_null(getcwd(here, sizeof(here)));
    assert_int_equal(chdir(directory), 0);
    FILE *file = fopen("file", "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(symlink("file", "link"), 0);
    assert_int_equal(mkdir("sub", 0700), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct cli_outfile out = {0};
        struct smelt_error err = {0};
        if (cli_is_same_file(rows[i].a, rows[i].b) != rows[i].is_same) {
            fail_msg("%s, %s", rows[i].a, rows[i].b);
        }
        if (strncmp(rows[i].a, "missing", 7) != 0) {
            assert_int_equal(cli_outfile_check(&out, rows[i].a, rows[i].b, &err),
                             rows[i].is_same ? SMELT_STATUS_INVALID_ARGUMENT : SMELT_STATUS_OK);
        }
    }
    assert_int_equal(unlink("link"), 0);
    assert_int_equal(unlink("file"), 0);
    assert_int_equal(rmdir("sub"), 0);
    assert_int_equal(chdir(here), 0);
}

static void test_reading_has_a_limit(void **state)
{
    struct cli_bytes content;
    struct smelt_error err = {0};
    struct cli_outfile file = {.path = in_directory("out")};
    (void)state;
    assert_int_equal(cli_outfile_stage(&file, SLICE("12345"), &err), SMELT_STATUS_OK);
    assert_int_equal(cli_outfile_commit(&file, &err), SMELT_STATUS_OK);
    assert_int_equal(cli_file_read(file.path, 5, &content, &err), SMELT_STATUS_OK);
    cli_bytes_deinit(&content);
    assert_int_equal(cli_file_read(file.path, 4, &content, &err), SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(cli_file_read(directory, 4, &content, &err), SMELT_STATUS_IO);
    assert_int_equal(cli_file_read(in_directory("none"), 4, &content, &err),
                     SMELT_STATUS_NOT_FOUND);
    cli_outfile_discard(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_commit_publishes_and_discard_does_not, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_impossible_destinations_are_refused_early,
                                        make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_other_spellings_of_a_name, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(test_reading_has_a_limit, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
