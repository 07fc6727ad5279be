/* The WebAssembly specification suite against decoder and validator: what it asserts to be invalid
 * or malformed is refused, what it calls a module is accepted, or refused only for a feature
 * outside the contract subset. Textual assertions need a text parser and do not concern us.
 *
 *   test_validate_suite <directory with spec-testsuite.tar.gz> <scratch directory>
 *
 * Exit status: 0 passed, 1 failed, 77 skipped because there is no suite. */
#include "base/arena.h"
#include "base/bytes.h"
#include "compiler/wasm/module.h"
#include "tests/conformance/suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASONS_MAX 256

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

static enum smelt_status check_module(const struct suite *suite, const char *name,
                                      const char *filename, struct smelt_error *err)
{
    struct smelt_buf bytes = {0};
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    enum smelt_status status = suite_read_module(suite, name, filename, &bytes, err);
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

static void run_command(struct run *run, const struct suite *suite, const char *name,
                        const json_t *command)
{
    const char *type = suite_text(command, "type");
    const char *filename = suite_text(command, "filename");
    const char *module_type = suite_text(command, "module_type");
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
    struct smelt_error err = {0};
    enum smelt_status status = check_module(suite, name, filename, &err);
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
        const char *expected = suite_text(command, "text");
        printf("FAIL %s.wast:%d %s (%s): %s %s in %s at %lld\n", name, line, type,
               expected != NULL ? expected : "valid", smelt_status_name(status), err.message,
               err.where, (long long)err.offset);
    }
    if (status != SMELT_STATUS_OK) {
        count_reason(run, tally == &run->modules ? "module" : type, &err);
    }
}

static bool run_file(struct run *run, const struct suite *suite, const char *name)
{
    json_t *json = suite_load(suite, name);
    size_t index;
    json_t *command;
    json_array_foreach(json_object_get(json, "commands"), index, command)
    {
        run_command(run, suite, name, command);
    }
    json_decref(json);
    return json != NULL;
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
    struct suite suite = {0};
    if (argc != 3) {
        (void)fprintf(stderr, "usage: %s <data directory> <scratch directory>\n", argv[0]);
        return EXIT_FAILURE;
    }
    enum suite_state state = suite_open(argv[1], argv[2], &suite);
    if (state == SUITE_MISSING) {
        return SUITE_EXIT_SKIPPED;
    }
    bool is_good = state == SUITE_READY;
    for (size_t i = 0; state == SUITE_READY && i < suite.count; i++) {
        is_good = run_file(&run, &suite, suite.names[i]) && is_good;
    }
    if (state == SUITE_READY) {
        is_good = report(&run) && is_good;
    }
    suite_close(&suite);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
