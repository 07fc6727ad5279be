/* Runs the modules in files on all sides of the oracle and compares: see compare.h.
 *
 *   test_oracle [--schedule NAME] [--every N] [--covers] [BACK END [--and BACK END]...]
 *               <scratch directory> <file or directory>...
 *
 * Takes every .wasm and .wat below the paths, expected outputs of other tests excepted. --every is
 * for archives: modules whose hash divides by N, and refusals are only counted. --covers: every
 * trap and dynamic charge must have been met at the limit, one below and one above. Back ends are
 * told as in tests/support/back_end.h. Exit status: 0 equal everywhere, 1 not, 77 when none of the
 * compilers is there. */
#include "base/bytes.h"
#include "base/digest.h"
#include "base/fs.h"
#include "tests/oracle/compare.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EXIT_SKIPPED     77
#define MODULE_BYTES_MAX ((size_t)16 << 20)

struct runner {
    struct oracle *oracle;
    unsigned every;
};

static void require(enum smelt_status status, const struct smelt_error *err)
{
    if (status != SMELT_STATUS_OK) {
        fprintf(stderr, "oracle: %s: %s\n", smelt_status_name(status), err->message);
        exit(EXIT_FAILURE);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    size_t text_size = strlen(text);
    size_t end_size = strlen(end);
    return text_size >= end_size && strcmp(text + text_size - end_size, end) == 0;
}

static void check_file(struct runner *runner, const char *path)
{
    struct smelt_buf file = {0};
    struct smelt_buf wasm = {0};
    struct smelt_hash hash;
    struct smelt_error err = {0};
    bool is_text = ends_with(path, ".wat");
    if ((!is_text && !ends_with(path, ".wasm")) || ends_with(path, ".expected.wat")) {
        return;
    }
    require(sm_fs_read_file(path, MODULE_BYTES_MAX, &file, &err), &err);
    if (is_text) {
        require(smelt_wat_to_wasm(sm_buf_slice(&file), &wasm, &err), &err);
    }
    struct smelt_slice bytes = sm_buf_slice(is_text ? &wasm : &file);
    sm_digest_bytes(bytes, &hash);
    if (sm_load_le32(hash.bytes) % runner->every == 0) {
        (void)oracle_check(runner->oracle, path, bytes);
    }
    smelt_buf_deinit(&file);
    smelt_buf_deinit(&wasm);
}

static void check_path(struct runner *runner, const char *path)
{
    struct stat info;
    struct dirent **entries = NULL;
    char below[PATH_MAX];
    struct smelt_error err = {0};
    if (stat(path, &info) != 0) {
        fprintf(stderr, "oracle: cannot read %s\n", path);
        exit(EXIT_FAILURE);
    }
    if (!S_ISDIR(info.st_mode)) {
        check_file(runner, path);
        return;
    }
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            require(sm_fs_path(below, sizeof(below), &err, "%s/%s", path, entries[i]->d_name),
                    &err);
            check_path(runner, below);
        }
        free(entries[i]);
    }
    free(entries);
}

/* ---- main ------------------------------------------------------------------------------------ */

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--schedule NAME] [--every N] [--covers] [[--optimise by-size|none|full] "
            "[--cc PATH] [--and ...]] <scratch directory> <file or directory>...\n",
            program);
    return EXIT_FAILURE;
}

/* Leaves out the back ends whose compiler is missing. */
static void keep_present(struct oracle_options *options)
{
    size_t count = 0;
    for (size_t i = 0; i < options->back_end_count; i++) {
        if (back_end_is_there(&options->back_ends[i])) {
            options->back_ends[count++] = options->back_ends[i];
        }
    }
    options->back_end_count = count;
}

int main(int argc, char **argv)
{
    struct oracle_options options = {.schedule = "engine-v1",
                                     .fuel = 1000000,
                                     .vectors = 8,
                                     .cheap_vectors = 40,
                                     .swept_vectors = 2,
                                     .sweep_points = 16,
                                     .back_end_count = 1};
    struct runner runner = {.every = 1};
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--covers") == 0) {
            options.has_every_row = true;
        } else if (strcmp(argv[at], "--schedule") == 0 && at + 1 < argc) {
            options.schedule = argv[++at];
        } else if (strcmp(argv[at], "--every") == 0 && at + 1 < argc) {
            options.is_archive = true;
            runner.every = (unsigned)strtoul(argv[++at], NULL, 10);
        } else if (strcmp(argv[at], "--and") == 0 &&
                   options.back_end_count < ORACLE_BACK_ENDS_MAX) {
            options.back_end_count++;
        } else if (at + 1 < argc && back_end_set(&options.back_ends[options.back_end_count - 1],
                                                 argv[at], argv[at + 1])) {
            at++;
        } else {
            return usage(argv[0]);
        }
    }
    if (argc - at < 2 || runner.every == 0) {
        return usage(argv[0]);
    }
    keep_present(&options);
    if (options.back_end_count == 0) {
        return EXIT_SKIPPED;
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* what was found before a time-out counts */
    options.scratch = argv[at];
    runner.oracle = oracle_open(&options);
    for (int i = at + 1; i < argc; i++) {
        check_path(&runner, argv[i]);
    }
    bool is_good = oracle_report(runner.oracle);
    oracle_close(runner.oracle);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
