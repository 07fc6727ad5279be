/* The WebAssembly specification suite through the whole path: every module is compiled to native
 * code, loaded, instantiated and called as its commands say.
 *
 *   test_native_suite [--optimise by-size|none|full] [--cc PATH]
 *                     <directory with spec-testsuite.tar.gz> <scratch directory>
 *                     <expected-failures.txt>
 *
 * $SMELT_SUITE_FILES limits the run to files by name: "i32 f*" is i32.wast and every file that
 * begins with f. Exit status: 0 passed, 1 failed, 77 skipped because there is no suite or no such
 * compiler.
 *
 * Not executed, and counted by reason, are modules that the compiler must refuse (features outside
 * of the subset, imports other than functions, start functions, limits) and what needs several
 * modules at once, together with all assertions about them. Assertions about malformed and invalid
 * modules belong to test_validate_suite.c.
 *
 * Each file runs in a child process, WORKERS at a time: when generated code takes a process down,
 * the report says which command it was, and the other files are not touched. */
#include "base/fs.h"
#include "tests/conformance/expected.h"
#include "tests/conformance/native_file.h"
#include "tests/conformance/suite.h"
#include "tests/support/native_instance.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 2

/* Shared with the child that runs the file. */
struct child {
    struct native_file_result result;
    pid_t pid;
};

struct run {
    struct suite suite;
    struct native_compiler compiler;
    struct expected_failures expected;
    struct child *children; /* one per file; shared */
    bool *has_failed;       /* one per expected failure; shared */
    struct back_end back_end;
    bool is_partial;
};

/* ---- processes ------------------------------------------------------------------------------- */

static bool log_path(const struct run *run, size_t index, char out[PATH_MAX])
{
    return sm_fs_path(out, PATH_MAX, NULL, "%s/%s.log", run->suite.root, run->suite.names[index]) ==
           SMELT_STATUS_OK;
}

/* False when there is no child. The messages of a file go to a log of its own, so that they come in
 * the order of the files. */
static bool start_file(struct run *run, size_t index)
{
    char path[PATH_MAX];
    (void)fflush(NULL);
    pid_t child = fork();
    if (child != 0) {
        run->children[index].pid = child;
        return child > 0;
    }
    bool is_ready = log_path(run, index, path) && freopen(path, "w", stdout) != NULL;
    if (is_ready) {
        const struct native_run native = {.suite = &run->suite,
                                          .compiler = &run->compiler,
                                          .expected = &run->expected,
                                          .has_failed = run->has_failed};
        native_file_run(&native, run->suite.names[index], &run->children[index].result);
    }
    suite_close(&(struct suite){.names = run->suite.names, .count = run->suite.count});
    expected_failures_deinit(&run->expected);
    native_compiler_destroy(&run->compiler);
    exit(is_ready ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* Waits for a child; false when it ended badly. */
static bool await_file(const struct run *run)
{
    int ended = 0;
    pid_t child = wait(&ended);
    size_t index = 0;
    while (index < run->suite.count && run->children[index].pid != child) {
        index++;
    }
    if (child < 0 || index == run->suite.count) {
        printf("FAIL a child process is missing\n");
        return false;
    }
    const struct native_file_result *result = &run->children[index].result;
    if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0 || !result->is_done) {
        printf("FAIL %s.wast:%d the process ended with %s %d\n", run->suite.names[index],
               result->line, WIFSIGNALED(ended) ? "signal" : "status",
               WIFSIGNALED(ended) ? WTERMSIG(ended) : WEXITSTATUS(ended));
        return false;
    }
    return true;
}

static bool run_all(struct run *run)
{
    bool is_good = true;
    size_t running = 0;
    for (size_t i = 0; i < run->suite.count; i++) {
        if (running == WORKERS) {
            is_good = await_file(run) && is_good;
            running--;
        }
        if (start_file(run, i)) {
            running++;
        } else {
            printf("FAIL %s.wast: cannot fork\n", run->suite.names[i]);
            is_good = false;
        }
    }
    for (; running != 0; running--) {
        is_good = await_file(run) && is_good;
    }
    return is_good;
}

/* ---- report ---------------------------------------------------------------------------------- */

static void print_log(const struct run *run, size_t index)
{
    char path[PATH_MAX];
    struct smelt_buf text = {0};
    if (log_path(run, index, path) &&
        sm_fs_read_file(path, (size_t)16 << 20, &text, NULL) == SMELT_STATUS_OK) {
        (void)fwrite(text.data, 1, text.size, stdout);
    }
    smelt_buf_deinit(&text);
}

static void add_tally(struct tally *sum, const struct tally *more)
{
    sum->passed += more->passed;
    sum->failed += more->failed;
    sum->failed_expectedly += more->failed_expectedly;
    for (size_t i = 0; i < SKIP_COUNT; i++) {
        sum->skipped[i] += more->skipped[i];
    }
}

static void print_tally(const char *title, const struct tally *tally)
{
    unsigned skipped = 0;
    for (size_t i = 0; i < SKIP_COUNT; i++) {
        skipped += tally->skipped[i];
    }
    printf("%s: passed %u, failed %u, failed as expected %u, skipped %u\n", title, tally->passed,
           tally->failed, tally->failed_expectedly, skipped);
    for (size_t i = 0; i < SKIP_COUNT; i++) {
        if (tally->skipped[i] != 0) {
            printf("%8u skipped: %s\n", tally->skipped[i], skip_text((enum skip)i));
        }
    }
}

/* Expected failures that did not happen: they passed, were skipped, or are no command at all. */
static bool check_expected(const struct run *run)
{
    bool is_good = true;
    for (size_t i = 0; i < run->expected.count; i++) {
        const struct expected_failure *row = &run->expected.rows[i];
        bool was_run = !run->is_partial;
        for (size_t k = 0; k < run->suite.count; k++) {
            was_run = was_run || strcmp(run->suite.names[k], row->file) == 0;
        }
        if (was_run && !run->has_failed[i]) {
            printf("FAIL %s.wast:%d did not fail: remove it from the expected failures\n",
                   row->file, row->line);
            is_good = false;
        }
    }
    return is_good;
}

static bool report(const struct run *run)
{
    struct tally modules = {0};
    struct tally assertions = {0};
    for (size_t i = 0; i < run->suite.count; i++) {
        print_log(run, i);
        add_tally(&modules, &run->children[i].result.modules);
        add_tally(&assertions, &run->children[i].result.assertions);
    }
    bool is_good = check_expected(run);
    print_tally("modules", &modules);
    print_tally("assertions", &assertions);
    return is_good && modules.passed != 0 && modules.failed == 0 && assertions.passed != 0 &&
           assertions.failed == 0;
}

/* ---- main ------------------------------------------------------------------------------------ */

static void *share(size_t count, size_t size)
{
    void *memory =
        mmap(NULL, (count + 1) * size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

static bool prepare(struct run *run, const char *scratch, const char *expected_path)
{
    struct smelt_error err = {0};
    char cache[PATH_MAX];
    const char *patterns = getenv("SMELT_SUITE_FILES");
    run->is_partial = patterns != NULL && *patterns != '\0';
    if (run->is_partial) {
        suite_select(&run->suite, patterns);
    }
    run->children = (struct child *)share(run->suite.count, sizeof(*run->children));
    if (!expected_failures_read(expected_path, &run->expected) || run->children == NULL) {
        return false;
    }
    run->has_failed = (bool *)share(run->expected.count, sizeof(*run->has_failed));
    /* the dot keeps it apart from the files of the suite */
    if (run->has_failed == NULL ||
        sm_fs_path(cache, sizeof(cache), &err, "%s/.cache", scratch) != SMELT_STATUS_OK ||
        native_compiler_create(cache, &run->back_end, &run->compiler, &err) != SMELT_STATUS_OK) {
        printf("FAIL cannot prepare a compiler: %s\n", err.message);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct run run = {0};
    int at = 1;
    while (at + 1 < argc && back_end_set(&run.back_end, argv[at], argv[at + 1])) {
        at += 2;
    }
    if (argc - at != 3) {
        (void)fprintf(stderr,
                      "usage: %s [--optimise by-size|none|full] [--cc PATH] <data directory> "
                      "<scratch directory> <expected failures>\n",
                      argv[0]);
        return EXIT_FAILURE;
    }
    if (!back_end_is_there(&run.back_end)) {
        return SUITE_EXIT_SKIPPED;
    }
    enum suite_state state = suite_open(argv[at], argv[at + 1], &run.suite);
    if (state == SUITE_MISSING) {
        return SUITE_EXIT_SKIPPED;
    }
    bool is_good = state == SUITE_READY && prepare(&run, argv[at + 1], argv[at + 2]);
    if (is_good) {
        is_good = run_all(&run);
        is_good = report(&run) && is_good;
    }
    native_compiler_destroy(&run.compiler);
    expected_failures_deinit(&run.expected);
    suite_close(&run.suite);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
