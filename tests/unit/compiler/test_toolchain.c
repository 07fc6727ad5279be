/* Finding tools and telling their versions, with directories full of stand-ins; and the scratch
 * directory that the tools work in. */
#include "base/bytes.h"
#include "base/digest.h"
#include "compiler/driver/toolchain.h"
#include "compiler/driver/workdir.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OK      SMELT_STATUS_OK
#define MISSING SMELT_STATUS_TOOL_MISSING
#define VERSION SMELT_STATUS_TOOL_VERSION
#define FAILED  SMELT_STATUS_TOOL_FAILED

static const char *const variables[] = {"SMELT_WASM2C",   "SMELT_CC", "SMELT_LD",
                                        "SMELT_WAT2WASM", "PATH",     "TMPDIR"};
#define VARIABLE_COUNT (sizeof(variables) / sizeof(variables[0]))

struct world {
    char directory[PATH_MAX];
    char *saved[VARIABLE_COUNT];
};

/* An empty environment, and two directories a and b to look in. */
static int setup(void **state)
{
    struct world *world = (struct world *)calloc(1, sizeof(*world));
    assert_non_null(world);
    test_directory_create(world->directory);
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        const char *value = getenv(variables[i]);
        world->saved[i] = value != NULL ? strdup(value) : NULL;
        (void)unsetenv(variables[i]);
    }
    assert_int_equal(mkdir(test_path(world->directory, "a"), 0700), 0);
    assert_int_equal(mkdir(test_path(world->directory, "b"), 0700), 0);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = (struct world *)*state;
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        if (world->saved[i] != NULL) {
            (void)setenv(variables[i], world->saved[i], 1);
        } else {
            (void)unsetenv(variables[i]);
        }
        free(world->saved[i]);
    }
    assert_int_equal(chdir("/"), 0);
    test_directory_remove(world->directory);
    free(world);
    return 0;
}

/* A script at <world>/<name>; returns its path. */
static const char *plant(const struct world *world, const char *name, const char *script,
                         mode_t mode)
{
    const char *path = test_path(world->directory, name);
    char text[512];
    (void)snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
    test_file_write(path, smelt_slice_from_string(text));
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void set_path(const struct world *world, const char *format)
{
    char path[2 * PATH_MAX];
    size_t used = 0;
    for (; *format != '\0'; format++) {
        int size = *format == '@'
                       ? snprintf(path + used, sizeof(path) - used, "%s", world->directory)
                       : snprintf(path + used, sizeof(path) - used, "%c", *format);
        used += (size_t)size;
    }
    assert_int_equal(setenv("PATH", path, 1), 0);
}

static void assert_found(const struct world *world, enum sm_tool tool, const char *given,
                         const char *name)
{
    char found[SM_TOOL_PATH_BYTES];
    struct smelt_error err = {0};
    if (sm_toolchain_find(tool, given, found, &err) != OK) {
        fail_msg("%s", err.message);
    }
    assert_string_equal(found, test_path(world->directory, name));
}

static void assert_missing(enum sm_tool tool, const char *given, const char *message)
{
    char found[SM_TOOL_PATH_BYTES];
    struct smelt_error err = {0};
    assert_int_equal(sm_toolchain_find(tool, given, found, &err), MISSING);
    if (strstr(err.message, message) == NULL) {
        fail_msg("%s", err.message);
    }
}

static void test_order(void **state)
{
    struct world *world = (struct world *)*state;
    plant(world, "a/clang-19", "", 0700);
    plant(world, "b/clang-19", "", 0700);
    const char *given = plant(world, "given", "", 0700);
    const char *named = plant(world, "named", "", 0700);
    set_path(world, "@/a:@/b");
    assert_found(world, SM_TOOL_CC, NULL, "a/clang-19");
    set_path(world, "@/b:@/a");
    assert_found(world, SM_TOOL_CC, NULL, "b/clang-19");
    assert_int_equal(setenv("SMELT_CC", named, 1), 0);
    assert_found(world, SM_TOOL_CC, NULL, "named");
    assert_found(world, SM_TOOL_CC, given, "given");
    assert_int_equal(setenv("SMELT_CC", "", 1), 0); /* empty is unset */
    assert_found(world, SM_TOOL_CC, NULL, "b/clang-19");
}

/* gcc is taken when it is asked for, never because clang is not there. */
static void test_gcc_only_by_name(void **state)
{
    struct world *world = (struct world *)*state;
    const char *gcc = plant(world, "a/gcc", "", 0700);
    plant(world, "a/gcc-12", "", 0700);
    plant(world, "a/cc", "", 0700);
    set_path(world, "@/a");
    assert_missing(SM_TOOL_CC, NULL, "clang not found in $PATH");
    assert_null(sm_toolchain_wanted(SM_TOOL_CC, NULL));
    assert_found(world, SM_TOOL_CC, gcc, "a/gcc");
    assert_found(world, SM_TOOL_CC, "gcc-12", "a/gcc-12");
    assert_missing(SM_TOOL_CC, "gcc-13", "gcc-13 is not an executable file");
    assert_string_equal(sm_toolchain_wanted(SM_TOOL_CC, gcc), gcc);
    assert_int_equal(setenv("SMELT_CC", gcc, 1), 0);
    assert_found(world, SM_TOOL_CC, NULL, "a/gcc");
    assert_string_equal(sm_toolchain_wanted(SM_TOOL_CC, NULL), gcc);
    assert_int_equal(setenv("SMELT_CC", "", 1), 0);
    assert_null(sm_toolchain_wanted(SM_TOOL_CC, NULL));
}

/* A newer name in a later directory is before an older one in an earlier directory. */
static void test_newest_first(void **state)
{
    struct world *world = (struct world *)*state;
    plant(world, "a/clang", "", 0700);
    plant(world, "a/clang-14", "", 0700);
    set_path(world, "@/a:@/b");
    assert_found(world, SM_TOOL_CC, NULL, "a/clang-14");
    plant(world, "b/clang-19", "", 0700);
    assert_found(world, SM_TOOL_CC, NULL, "b/clang-19");
}

/* What $PATH says about the working directory is no place to take a compiler from. */
static void test_relative_entries_are_ignored(void **state)
{
    struct world *world = (struct world *)*state;
    plant(world, "wasm2c", "", 0700);
    plant(world, "a/wasm2c", "", 0700);
    assert_int_equal(chdir(world->directory), 0);
    static const char *const paths[] = {"", ":", ".", "a", "./a", ":a:", "::", "../", "a:.:", NULL};
    for (size_t i = 0; paths[i] != NULL; i++) {
        set_path(world, paths[i]);
        assert_missing(SM_TOOL_WASM2C, NULL, "wasm2c not found in $PATH; install the package wabt");
    }
    set_path(world, ".:a:@/a");
    assert_found(world, SM_TOOL_WASM2C, NULL, "a/wasm2c");
    /* what is given by name may be relative: whoever gives it knows where they are */
    assert_found(world, SM_TOOL_WASM2C, "a/wasm2c", "a/wasm2c");
}

static void test_what_is_not_executable_is_passed_over(void **state)
{
    struct world *world = (struct world *)*state;
    plant(world, "a/wasm2c", "", 0600);
    set_path(world, "@/a:@/none:@/b");
    assert_missing(SM_TOOL_WASM2C, NULL, "not found in $PATH");
    assert_int_equal(mkdir(test_path(world->directory, "b/wasm2c"), 0700), 0);
    assert_missing(SM_TOOL_WASM2C, NULL, "set $SMELT_WASM2C");
    assert_int_equal(rmdir(test_path(world->directory, "b/wasm2c")), 0);
    plant(world, "b/wasm2c", "", 0700);
    assert_found(world, SM_TOOL_WASM2C, NULL, "b/wasm2c");
    /* what was asked for by name is not replaced by something else */
    assert_missing(SM_TOOL_WASM2C, test_path(world->directory, "a/wasm2c"),
                   "is not an executable file");
    assert_missing(SM_TOOL_WASM2C, test_path(world->directory, "a"), "is not an executable file");
    assert_int_equal(setenv("SMELT_WASM2C", "/none", 1), 0);
    assert_missing(SM_TOOL_WASM2C, NULL,
                   "/none is not an executable file; it comes from $SMELT_WASM2C");
}

static void test_names_that_do_not_fit(void **state)
{
    struct world *world = (struct world *)*state;
    char longer[4 * SM_TOOL_PATH_BYTES];
    char found[SM_TOOL_PATH_BYTES];
    memset(longer, 'x', sizeof(longer));
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    assert_int_not_equal(sm_toolchain_find(SM_TOOL_WASM2C, longer, found, NULL), OK);
    plant(world, "a/wasm2c", "", 0700);
    longer[5000] = ':';
    (void)snprintf(longer + 5001, sizeof(longer) - 5001, "%s/a", world->directory);
    assert_int_equal(setenv("PATH", longer, 1), 0);
    assert_found(world, SM_TOOL_WASM2C, NULL, "a/wasm2c");
}

static void test_linker_is_beside_the_compiler(void **state)
{
    struct world *world = (struct world *)*state;
    char found[SM_TOOL_PATH_BYTES];
    plant(world, "a/clang-19", "", 0700);
    plant(world, "b/ld.lld-19", "", 0700);
    const char *clang = test_path(world->directory, "a/clang-19");
    set_path(world, "@/b");
    assert_int_equal(sm_toolchain_find_linker(clang, found, NULL), OK);
    assert_string_equal(found, test_path(world->directory, "b/ld.lld-19"));
    plant(world, "a/ld.lld", "", 0700);
    assert_int_equal(sm_toolchain_find_linker(clang, found, NULL), OK);
    assert_string_equal(found, test_path(world->directory, "a/ld.lld"));
    /* beside the real file, not beside a link to it */
    const char *link = test_path(world->directory, "b/clang");
    assert_int_equal(symlink(clang, link), 0);
    assert_int_equal(sm_toolchain_find_linker(link, found, NULL), OK);
    assert_string_equal(found, test_path(world->directory, "a/ld.lld"));
    assert_int_equal(setenv("SMELT_LD", test_path(world->directory, "b/ld.lld-19"), 1), 0);
    assert_int_equal(sm_toolchain_find_linker(clang, found, NULL), OK);
    assert_string_equal(found, test_path(world->directory, "b/ld.lld-19"));
    assert_int_equal(setenv("SMELT_LD", "/none", 1), 0);
    assert_int_equal(sm_toolchain_find_linker(clang, found, NULL), MISSING);
}

/* ---- versions -------------------------------------------------------------------------------- */

static void test_versions(void **state)
{
    struct world *world = (struct world *)*state;
    static const struct {
        enum sm_tool tool;
        const char *script;
        enum smelt_status status;
        const char *line; /* or a part of the message */
    } rows[] = {
        {SM_TOOL_WASM2C, "echo 1.0.32", OK, "1.0.32"},
        {SM_TOOL_WASM2C, "echo '1.0.32 (Debian)'; echo more", OK, "1.0.32 (Debian)"},
        {SM_TOOL_WASM2C, "echo 1.0.36", VERSION,
         "is \"1.0.36\"; supported versions: wasm2c 1.0.32"},
        {SM_TOOL_WASM2C, "echo; echo 1.0.32", VERSION, "supported versions"}, /* first line only */
        {SM_TOOL_WASM2C, ":", VERSION, "is \"\""},
        {SM_TOOL_WASM2C, "echo 1.0.32 >&2", VERSION, "is \"\""},
        {SM_TOOL_WASM2C, "echo 1.0.32; exit 1", FAILED,
         "/tool --version failed with exit code 1; wanted here is wasm2c 1.0.32 (package wabt)"},
        {SM_TOOL_WASM2C, "kill -SEGV $$", FAILED, "wasm2c was ended by signal 11 (SEGV)"},
        {SM_TOOL_CC, "echo 'Debian clang version 19.1.7 (3)'", OK,
         "Debian clang version 19.1.7 (3)"},
        {SM_TOOL_CC, "echo 'clang version 14.0.6'", OK, "clang version 14.0.6"},
        {SM_TOOL_CC, "echo 'clang version 13.0.1'", VERSION,
         "supported versions: clang 14 to 19, gcc 12"},
        {SM_TOOL_CC, "echo 'clang version 20.1.0'", VERSION, "(package clang-19)"},
        {SM_TOOL_CC, "echo 'clang version 190.0.0'", VERSION, "190.0.0"},
        {SM_TOOL_CC, "echo 'gcc (Debian 12.2.0-14) 12.2.0'", OK, "gcc (Debian 12.2.0-14) 12.2.0"},
        {SM_TOOL_CC, "echo 'gcc-12 (Ubuntu 12.3.0-1ubuntu1~22.04) 12.3.0'", OK,
         "gcc-12 (Ubuntu 12.3.0-1ubuntu1~22.04) 12.3.0"},
        {SM_TOOL_CC, "echo 'cc (GCC) 12.4.0'; echo Copyright", OK, "cc (GCC) 12.4.0"},
        {SM_TOOL_CC, "echo 'cc (a (b) c) 12.1.0'", OK, "cc (a (b) c) 12.1.0"},
        {SM_TOOL_CC, "echo 'gcc (Debian 13.2.0-12) 13.2.0'", VERSION, "gcc 12 (package clang-19)"},
        {SM_TOOL_CC, "echo 'gcc (Debian 12.2.0-14) 11.4.0'", VERSION, "gcc 12"},
        {SM_TOOL_CC, "echo 'gcc (Debian) 120.0.0'", VERSION, "gcc 12"},
        {SM_TOOL_CC, "echo 'gcc 12.2.0'", VERSION, "gcc 12"},
        {SM_TOOL_CC, "echo 'gcc () 12'", VERSION, "gcc 12"},
        {SM_TOOL_CC, "echo 'g++ (Debian 12.2.0-14) 12.2.0'", VERSION, "gcc 12"},
        {SM_TOOL_CC, "echo ' (Debian 12.2.0-14) 12.2.0'", VERSION, "gcc 12"},
        {SM_TOOL_CC, "echo gcc", VERSION, "gcc 12"},
        {SM_TOOL_CC, ":", VERSION, "gcc 12"},
        {SM_TOOL_LINKER, "echo 'Debian LLD 19.1.7 (compatible with GNU linkers)'", OK,
         "Debian LLD 19.1.7 (compatible with GNU linkers)"},
        {SM_TOOL_LINKER, "echo 'GNU ld (GNU Binutils for Debian) 2.40'", VERSION,
         "(package lld-19)"},
        {SM_TOOL_WAT2WASM, "echo anything", OK, "anything"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_buf version = {0};
        struct smelt_error err = {0};
        const char *path = plant(world, "tool", rows[i].script, 0700);
        enum smelt_status status = sm_toolchain_version(rows[i].tool, path, &version, &err);
        bool is_right = status == rows[i].status &&
                        (status == OK ? sm_slice_equal_text(sm_buf_slice(&version), rows[i].line)
                                      : strstr(err.message, rows[i].line) != NULL);
        if (!is_right) {
            fail_msg("%s: %s, %s", rows[i].script, smelt_status_name(status), err.message);
        }
        if (status == OK) {
            assert_int_equal(sm_toolchain_cc_family(sm_buf_slice(&version)),
                             strstr(rows[i].script, "cc") != NULL ? SM_CC_GCC : SM_CC_CLANG);
            assert_int_equal(
                sm_toolchain_check_version(rows[i].tool, path, sm_buf_slice(&version), NULL), OK);
        }
        smelt_buf_deinit(&version);
    }
}

/* The identity of an executable stands for its version: another file, another time, another
 * identity; another name of the same file, the same. */
static void test_identity(void **state)
{
    struct world *world = (struct world *)*state;
    struct smelt_hash first;
    struct smelt_hash other;
    const char *path = plant(world, "tool", "echo 1", 0700);
    assert_int_equal(sm_toolchain_identity(path, &first, NULL), OK);
    assert_int_equal(sm_toolchain_identity(path, &other, NULL), OK);
    assert_true(sm_hash_equal(&first, &other));
    const char *link = test_path(world->directory, "link");
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(sm_toolchain_identity(link, &other, NULL), OK);
    assert_true(sm_hash_equal(&first, &other));
    plant(world, "tool", "echo 2", 0700); /* of the same size */
    assert_int_equal(sm_toolchain_identity(path, &other, NULL), OK);
    assert_false(sm_hash_equal(&first, &other));
    assert_int_equal(sm_toolchain_identity("/none", &other, NULL), MISSING);
}

/* ---- workdir --------------------------------------------------------------------------------- */

static void test_workdir(void **state)
{
    struct world *world = (struct world *)*state;
    struct sm_workdir workdir = {0};
    struct smelt_buf content = {0};
    struct stat info;
    assert_int_equal(setenv("TMPDIR", world->directory, 1), 0);
    mode_t before = umask(0);
    assert_int_equal(sm_workdir_create(&workdir, NULL), OK);
    (void)umask(before);
    assert_memory_equal(workdir.path, world->directory, strlen(world->directory));
    assert_int_equal(stat(workdir.path, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    assert_int_equal(sm_workdir_write(&workdir, "a", smelt_slice_from_string("text"), NULL), OK);
    assert_int_equal(sm_workdir_read(&workdir, "a", &content, NULL), OK);
    assert_true(sm_slice_equal_text(sm_buf_slice(&content), "text"));
    /* nothing is written over, and no link is followed */
    assert_int_equal(sm_workdir_write(&workdir, "a", smelt_slice_from_string("other"), NULL),
                     SMELT_STATUS_IO);
    assert_int_equal(symlink(test_path(world->directory, "victim"), test_path(workdir.path, "b")),
                     0);
    assert_int_equal(sm_workdir_write(&workdir, "b", smelt_slice_from_string("x"), NULL),
                     SMELT_STATUS_IO);
    assert_false(test_file_exists(test_path(world->directory, "victim")));
    assert_int_equal(sm_workdir_read(&workdir, "none", &content, NULL), SMELT_STATUS_TOOL_OUTPUT);
    /* what tools leave behind goes too */
    assert_int_equal(mkdir(test_path(workdir.path, "d"), 0700), 0);
    test_file_write(test_path(workdir.path, "d/e"), smelt_slice_from_string("x"));
    char path[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s", workdir.path);
    sm_workdir_remove(&workdir);
    assert_false(test_file_exists(path));
    assert_string_equal(workdir.path, "");
    sm_workdir_remove(&workdir);
    smelt_buf_deinit(&content);
}

static void test_workdir_in_odd_places(void **state)
{
    struct world *world = (struct world *)*state;
    struct sm_workdir workdir = {0};
    struct smelt_error err = {0};
    assert_int_equal(chdir(world->directory), 0);
    /* a relative $TMPDIR would be somebody else's directory for the tools */
    static const char *const relative[] = {"", ".", "a", NULL};
    for (size_t i = 0; relative[i] != NULL; i++) {
        assert_int_equal(setenv("TMPDIR", relative[i], 1), 0);
        assert_int_equal(sm_workdir_create(&workdir, NULL), OK);
        assert_memory_equal(workdir.path, "/tmp/", 5);
        sm_workdir_remove(&workdir);
    }
    assert_int_equal(setenv("TMPDIR", test_path(world->directory, "none"), 1), 0);
    enum smelt_status status = sm_workdir_create(&workdir, &err);
    assert_true(status >= 400 && status < 500);
    assert_string_equal(workdir.path, "");
    char longer[5000];
    memset(longer, 'x', sizeof(longer));
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(setenv("TMPDIR", longer, 1), 0);
    status = sm_workdir_create(&workdir, &err);
    assert_true(status >= 400 && status < 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gcc_only_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_relative_entries_are_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_not_executable_is_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_names_that_do_not_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_linker_is_beside_the_compiler, setup, teardown),
        cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_workdir, setup, teardown),
        cmocka_unit_test_setup_teardown(test_workdir_in_odd_places, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
