/* Generated modules on all sides of the oracle.
 *
 *   fuzz_oracle [--covers | --quick] [--seconds N] [--count N] [--seed N] [--keep DIRECTORY]
 *               [tape]...
 *
 * Runs the tapes in the files, then N tapes of a pseudorandom generator from a seed on, or as many
 * as N seconds allow. A tape that fails is written to the directory, with its module. --covers:
 * every trap and dynamic charge must have been met. --quick, for scripts/mutate: only the back end
 * that compiles fastest, and the first difference is the last. Without a main of its own
 * (SMELT_LIBFUZZER) this is a target for libFuzzer.
 *
 * A module costs a run of wasm2c and clang, so each has many functions. */
#include "base/bytes.h"
#include "base/fs.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/generate.h"
#include "tests/oracle/compare.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static struct oracle *oracle;
static char scratch[4096];

static void require(enum smelt_status status, const struct smelt_error *err)
{
    if (status != SMELT_STATUS_OK) {
        fprintf(stderr, "fuzz_oracle: %s: %s\n", smelt_status_name(status), err->message);
        exit(EXIT_FAILURE);
    }
}

static void remove_scratch(void)
{
    struct smelt_error err = {0};
    require(sm_fs_remove_tree(scratch, &err), &err);
}

static void open_oracle(bool has_every_row, bool is_quick)
{
    const struct oracle_options options = {.scratch = scratch,
                                           .schedule = "engine-v1",
                                           .fuel = 20000,
                                           .vectors = 3,
                                           .cheap_vectors = 6,
                                           .swept_vectors = 1,
                                           .sweep_points = 6,
                                           .has_every_row = has_every_row,
                                           .back_ends = {{.optimisation = SMELT_OPTIMISE_NONE},
                                                         {.optimisation = SMELT_OPTIMISE_BY_SIZE},
                                                         {.optimisation = SMELT_OPTIMISE_FULL}},
                                           .back_end_count = is_quick ? 1 : 3};
    const char *parent = getenv("TMPDIR");
    struct smelt_error err = {0};
    require(sm_fs_path(scratch, sizeof(scratch), &err, "%s/fuzz_oracle.XXXXXX",
                       parent != NULL ? parent : "/tmp"),
            &err);
    if (mkdtemp(scratch) == NULL || atexit(remove_scratch) != 0) {
        perror("fuzz_oracle: a scratch directory");
        exit(EXIT_FAILURE);
    }
    oracle = oracle_open(&options);
}

static bool check_tape(const char *name, struct smelt_slice tape, struct smelt_buf *wasm)
{
    if (!generate_module(tape, wasm)) {
        fprintf(stderr, "fuzz_oracle: no memory\n");
        exit(EXIT_FAILURE);
    }
    return oracle_check(oracle, name, sm_buf_slice(wasm));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smelt_buf wasm = {0};
    if (oracle == NULL) {
        open_oracle(false, false);
    }
    FUZZ_CHECK(check_tape("tape", sm_slice(data, size), &wasm), "sides differ: see above");
    smelt_buf_deinit(&wasm);
    return 0;
}

#ifndef SMELT_LIBFUZZER

static void keep_file(const char *directory, const char *name, const char *suffix,
                      struct smelt_slice bytes)
{
    char path[4096];
    struct smelt_error err = {0};
    require(sm_fs_make_directories(directory, 0755, &err), &err);
    require(sm_fs_path(path, sizeof(path), &err, "%s/%s%s", directory, name, suffix), &err);
    require(sm_fs_publish(path, bytes, 0644, &err), &err);
}

static bool run_tape(const char *name, const char *keep, struct smelt_slice tape)
{
    struct smelt_buf wasm = {0};
    bool is_good = check_tape(name, tape, &wasm);
    if (!is_good && keep != NULL) {
        const char *slash = strrchr(name, '/');
        const char *base = slash != NULL ? slash + 1 : name;
        keep_file(keep, base, ".tape", tape);
        keep_file(keep, base, ".wasm", sm_buf_slice(&wasm));
    }
    smelt_buf_deinit(&wasm);
    return is_good;
}

static bool run_file(const char *path, const char *keep)
{
    struct smelt_buf tape = {0};
    struct smelt_error err = {0};
    require(sm_fs_read_file(path, GENERATE_TAPE_BYTES, &tape, &err), &err);
    bool is_good = run_tape(path, keep, sm_buf_slice(&tape));
    smelt_buf_deinit(&tape);
    return is_good;
}

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "fuzz_oracle: not a number: %s\n", text);
        exit(EXIT_FAILURE);
    }
    return value;
}

static uint64_t seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--covers | --quick] [--seconds N] [--count N] [--seed N] "
            "[--keep DIRECTORY] [tape]...\n",
            program);
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static uint8_t tape[GENERATE_TAPE_BYTES];
    uint64_t seconds = 0;
    uint64_t count = 0;
    uint64_t seed = 1;
    const char *keep = NULL;
    bool has_every_row = false;
    bool is_quick = false;
    bool goes_on = true;
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--covers") == 0) {
            has_every_row = true;
        } else if (strcmp(argv[at], "--quick") == 0) {
            is_quick = true;
        } else if (at + 1 == argc) {
            return usage(argv[0]);
        } else if (strcmp(argv[at], "--seconds") == 0) {
            seconds = number_of(argv[++at]);
            count = UINT64_MAX;
        } else if (strcmp(argv[at], "--count") == 0) {
            count = number_of(argv[++at]);
        } else if (strcmp(argv[at], "--seed") == 0) {
            seed = number_of(argv[++at]);
        } else if (strcmp(argv[at], "--keep") == 0) {
            keep = argv[++at];
        } else {
            return usage(argv[0]);
        }
    }
    (void)setvbuf(stdout, NULL, _IOLBF, 0); /* what was found before a time-out counts */
    open_oracle(has_every_row, is_quick);
    for (; at < argc && goes_on; at++) {
        goes_on = run_file(argv[at], keep) || !is_quick;
    }
    uint64_t end = seconds_now() + seconds;
    for (uint64_t i = 0; i < count && goes_on && (seconds == 0 || seconds_now() < end); i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "seed-%" PRIu64, seed + i);
        generate_tape(seed + i, tape, sizeof(tape));
        goes_on = run_tape(name, keep, sm_slice(tape, sizeof(tape))) || !is_quick;
    }
    bool is_good = oracle_report(oracle);
    oracle_close(oracle);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
