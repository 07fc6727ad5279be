/* See suite.h. */
#include "tests/conformance/suite.h"

#include "base/fs.h"

#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARCHIVE         "spec-testsuite.tar.gz"
#define MODULE_SIZE_MAX ((size_t)16 << 20)

static bool extract(const char *archive, const char *directory)
{
    pid_t child = fork();
    if (child == 0) {
        execlp("tar", "tar", "-xzf", archive, "-C", directory, (char *)NULL);
        _exit(127);
    }
    int ended = 0;
    return child > 0 && waitpid(child, &ended, 0) == child && WIFEXITED(ended) &&
           WEXITSTATUS(ended) == 0;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static bool list_files(struct suite *suite)
{
    struct dirent **entries = NULL;
    int count = scandir(suite->root, &entries, is_visible, alphasort);
    if (count > 0) {
        suite->names = (char **)calloc((size_t)count, sizeof(*suite->names));
    }
    for (int i = 0; i < count; i++) {
        char *name = suite->names != NULL ? strdup(entries[i]->d_name) : NULL;
        if (name != NULL) {
            suite->names[suite->count++] = name;
        }
        free(entries[i]);
    }
    free(entries);
    return count > 0 && suite->count == (size_t)count;
}

enum suite_state suite_open(const char *data, const char *scratch, struct suite *out)
{
    char archive[PATH_MAX];
    const char *override = getenv("SMELT_TEST_DATA");
    data = override != NULL ? override : data;
    *out = (struct suite){.root = scratch};
    if (sm_fs_path(archive, sizeof(archive), NULL, "%s/%s", data, ARCHIVE) != SMELT_STATUS_OK ||
        access(archive, R_OK) != 0) {
        printf("skipped: no %s in %s\n", ARCHIVE, data);
        return SUITE_MISSING;
    }
    if (sm_fs_remove_tree(scratch, NULL) != SMELT_STATUS_OK ||
        sm_fs_make_directories(scratch, 0755, NULL) != SMELT_STATUS_OK ||
        !extract(archive, scratch) || !list_files(out)) {
        printf("FAIL cannot extract %s into %s\n", archive, scratch);
        return SUITE_BROKEN;
    }
    return SUITE_READY;
}

void suite_close(struct suite *suite)
{
    for (size_t i = 0; i < suite->count; i++) {
        free(suite->names[i]);
    }
    free(suite->names);
    if (suite->root != NULL) {
        (void)sm_fs_remove_tree(suite->root, NULL);
    }
    *suite = (struct suite){0};
}

static bool is_selected(const char *name, const char *patterns)
{
    static const char separators[] = " ,";
    char pattern[NAME_MAX + 1];
    while (*patterns != '\0') {
        size_t length = strcspn(patterns, separators);
        (void)snprintf(pattern, sizeof(pattern), "%.*s", (int)length, patterns);
        if (length != 0 && fnmatch(pattern, name, 0) == 0) {
            return true;
        }
        patterns += length;
        patterns += *patterns != '\0';
    }
    return false;
}

void suite_select(struct suite *suite, const char *patterns)
{
    size_t kept = 0;
    for (size_t i = 0; i < suite->count; i++) {
        if (is_selected(suite->names[i], patterns)) {
            suite->names[kept++] = suite->names[i];
        } else {
            free(suite->names[i]);
        }
    }
    suite->count = kept;
}

json_t *suite_load(const struct suite *suite, const char *name)
{
    char path[PATH_MAX];
    json_error_t error = {.text = "the path is too long"};
    json_t *json = NULL;
    if (sm_fs_path(path, sizeof(path), NULL, "%s/%s/%s.json", suite->root, name, name) ==
        SMELT_STATUS_OK) {
        json = json_load_file(path, JSON_ALLOW_NUL, &error);
    }
    if (json == NULL) {
        printf("FAIL %s.json: %s\n", name, error.text);
    }
    return json;
}

enum smelt_status suite_read_module(const struct suite *suite, const char *name,
                                    const char *filename, struct smelt_buf *out,
                                    struct smelt_error *err)
{
    char path[PATH_MAX];
    enum smelt_status status =
        sm_fs_path(path, sizeof(path), err, "%s/%s/%s", suite->root, name, filename);
    if (status == SMELT_STATUS_OK) {
        status = sm_fs_read_file(path, MODULE_SIZE_MAX, out, err);
    }
    return status;
}

const char *suite_text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}
