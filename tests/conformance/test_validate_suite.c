/* The WebAssembly specification suite against decoder and validator: what it asserts to be invalid
 * or malformed is refused, what it calls a module is accepted, or refused only for a feature
 * outside the contract subset. Textual assertions need a text parser and do not concern us.
 *
 *   test_validate_suite <directory with spec-testsuite.tar.gz> <scratch directory>
 *
 * Exit status: 0 passed, 1 failed, 77 skipped because there is no suite. */
#include "base/arena.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "compiler/wasm/module.h"

#include <dirent.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARCHIVE         "spec-testsuite.tar.gz"
#define MODULE_SIZE_MAX ((size_t)16 << 20)
#define REASONS_MAX     256
#define EXIT_SKIPPED    77

struct tally {
    unsigned total;
    unsigned failed;
};

/* How often a kind of command ended in a status for a reason, for the eye. */
struct reason {
    char text[200];
    unsigned count;
};

struct run {
    struct tally modules;
    struct tally invalid;
    struct tally malformed;
    unsigned accepted;
    struct reason reasons[REASONS_MAX];
    unsigned reason_count;
};

static void count_reason(struct run *run, const char *kind, const struct smelt_error *err)
{
    /* the message of a refused feature names its proposal */
    const char *message = err->status == SMELT_STATUS_MODULE_FEATURE ? err->message : "";
    char text[sizeof(run->reasons[0].text)];
    (void)snprintf(text, sizeof(text), "%-16s %-16s %.120s", kind, smelt_status_name(err->status),
                   message);
    unsigned i = 0;
    while (i < run->reason_count && strcmp(run->reasons[i].text, text) != 0) {
        i++;
    }
    if (i == REASONS_MAX) {
        return;
    }
    if (i == run->reason_count) {
        memcpy(run->reasons[i].text, text, sizeof(text));
        run->reason_count++;
    }
    run->reasons[i].count++;
}

static enum smelt_status check_module(const char *path, struct smelt_error *err)
{
    struct smelt_buf bytes = {0};
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    enum smelt_status status = sm_fs_read_file(path, MODULE_SIZE_MAX, &bytes, err);
    if (status == SMELT_STATUS_OK) {
        status = sm_wasm_decode(sm_buf_slice(&bytes), &arena, &module, err);
    }
    if (status == SMELT_STATUS_OK) {
        status = sm_wasm_validate(&module, &arena, err);
    }
    sm_arena_deinit(&arena);
    smelt_buf_deinit(&bytes);
    return status;
}

static bool is_refusal(enum smelt_status status)
{
    return status == SMELT_STATUS_MODULE_MALFORMED || status == SMELT_STATUS_MODULE_INVALID ||
           status == SMELT_STATUS_MODULE_FEATURE;
}

static void run_command(struct run *run, const char *folder, const char *json_name,
                        const json_t *command)
{
    const char *type = json_string_value(json_object_get(command, "type"));
    const char *filename = json_string_value(json_object_get(command, "filename"));
    const char *module_type = json_string_value(json_object_get(command, "module_type"));
    int line = (int)json_integer_value(json_object_get(command, "line"));
    if (type == NULL || filename == NULL ||
        (module_type != NULL && strcmp(module_type, "binary") != 0)) {
        return;
    }
    struct tally *tally = NULL;
    if (strcmp(type, "assert_invalid") == 0) {
        tally = &run->invalid;
    } else if (strcmp(type, "assert_malformed") == 0) {
        tally = &run->malformed;
    } else {
        /* unlinkable and uninstantiable modules are valid as well */
        tally = &run->modules;
    }
    char path[PATH_MAX];
    struct smelt_error err = {0};
    enum smelt_status status = sm_fs_path(path, sizeof(path), &err, "%s/%s", folder, filename);
    if (status == SMELT_STATUS_OK) {
        status = check_module(path, &err);
    }
    bool is_good;
    if (tally == &run->modules) {
        is_good = status == SMELT_STATUS_OK || status == SMELT_STATUS_MODULE_FEATURE;
        run->accepted += status == SMELT_STATUS_OK;
    } else {
        is_good = is_refusal(status);
    }
    tally->total++;
    if (!is_good) {
        tally->failed++;
        const char *expected = json_string_value(json_object_get(command, "text"));
        printf("FAIL %s:%d %s (%s): %s %s in %s at %lld\n", json_name, line, type,
               expected != NULL ? expected : "valid", smelt_status_name(status), err.message,
               err.where, (long long)err.offset);
    }
    if (status != SMELT_STATUS_OK) {
        count_reason(run, tally == &run->modules ? "module" : type, &err);
    }
}

static bool run_file(struct run *run, const char *root, const char *name)
{
    char folder[PATH_MAX];
    char path[PATH_MAX];
    json_error_t error;
    if (sm_fs_path(folder, sizeof(folder), NULL, "%s/%s", root, name) != SMELT_STATUS_OK ||
        sm_fs_path(path, sizeof(path), NULL, "%s/%s.json", folder, name) != SMELT_STATUS_OK) {
        return false;
    }
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &error);
    if (json == NULL) {
        printf("FAIL %s: %s\n", path, error.text);
        return false;
    }
    size_t index;
    json_t *command;
    json_array_foreach(json_object_get(json, "commands"), index, command)
    {
        run_command(run, folder, name, command);
    }
    json_decref(json);
    return true;
}

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

static bool run_all(struct run *run, const char *root)
{
    struct dirent **entries = NULL;
    int count = scandir(root, &entries, NULL, alphasort);
    bool is_done = count > 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            is_done = run_file(run, root, entries[i]->d_name) && is_done;
        }
        free(entries[i]);
    }
    free(entries);
    return is_done;
}

static int compare_reasons(const void *left, const void *right)
{
    const struct reason *a = (const struct reason *)left;
    const struct reason *b = (const struct reason *)right;
    return strcmp(a->text, b->text);
}

static bool report(struct run *run)
{
    qsort(run->reasons, run->reason_count, sizeof(*run->reasons), compare_reasons);
    for (unsigned i = 0; i < run->reason_count; i++) {
        printf("%5u  %s\n", run->reasons[i].count, run->reasons[i].text);
    }
    printf("modules: %u, accepted %u, refused for a feature %u, wrongly refused %u\n",
           run->modules.total, run->accepted,
           run->modules.total - run->accepted - run->modules.failed, run->modules.failed);
    printf("assert_invalid: %u, not refused %u\n", run->invalid.total, run->invalid.failed);
    printf("assert_malformed: %u, not refused %u\n", run->malformed.total, run->malformed.failed);
    return run->modules.total != 0 && run->invalid.total != 0 && run->malformed.total != 0 &&
           run->modules.failed + run->invalid.failed + run->malformed.failed == 0;
}

int main(int argc, char **argv)
{
    static struct run run;
    char archive[PATH_MAX];
    if (argc != 3) {
        fprintf(stderr, "usage: %s <data directory> <scratch directory>\n", argv[0]);
        return EXIT_FAILURE;
    }
    const char *data = getenv("SMELT_TEST_DATA");
    data = data != NULL ? data : argv[1];
    const char *scratch = argv[2];
    if (sm_fs_path(archive, sizeof(archive), NULL, "%s/%s", data, ARCHIVE) != SMELT_STATUS_OK ||
        access(archive, R_OK) != 0) {
        printf("skipped: no %s in %s\n", ARCHIVE, data);
        return EXIT_SKIPPED;
    }
    bool is_good = sm_fs_remove_tree(scratch, NULL) == SMELT_STATUS_OK &&
                   sm_fs_make_directories(scratch, 0755, NULL) == SMELT_STATUS_OK &&
                   extract(archive, scratch);
    if (!is_good) {
        printf("FAIL cannot extract %s into %s\n", archive, scratch);
    } else {
        is_good = run_all(&run, scratch);
        is_good = report(&run) && is_good;
    }
    (void)sm_fs_remove_tree(scratch, NULL);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
