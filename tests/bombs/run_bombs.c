/* The largest module of every shape that the gate accepts, compiled and measured.
 *
 * usage: run_bombs [OPTION ...] [SHAPE|FILE.wasm ...]
 *
 *   --policy FILE|NAME         whose limits count (standard-floats); it has to let everything in
 *   --seconds S, --megabytes M the budget (10, 512)
 *   --keep DIR                 writes every bomb to DIR/SHAPE-VARIANT.wasm
 *   --search S [--seed N]      random mixes for S seconds instead of shapes
 *
 * A shape makes up to three bombs: one function that is still optimised; as many functions as the
 * gate accepts, each as large as it accepts; and as many small ones as are still optimised. A line
 * says which limit stops the next larger one, and what compiling took: processor time and the
 * largest process, of our own stages and of each tool. Exit code 1 when a bomb was above the budget
 * or failed to compile. */
#include "tests/bombs/shapes.h"

#include "base/bytes.h"
#include "base/status.h"
#include "compiler/compile.h"
#include "compiler/instrument/cost.h"
#include "hostabi/guest/smelt_abi.h"
#include "runtime/exec/stack.h"
#include "tests/support/files.h"

#include <smelt/compiler.h>

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define WASM_SUFFIX ".wasm"
#define SMALL_BODY  50u /* repetitions */

enum part { PART_OWN, PART_WASM2C, PART_CC, PART_LINKER, PART_COUNT };

struct usage {
    double seconds, megabytes;
};

struct figures {
    enum smelt_status status;
    struct usage parts[PART_COUNT];
    uint64_t cost;
    uint64_t stack_bytes; /* native stack that the activation's limit can need */
    char message[512];
};

struct budget {
    double seconds, megabytes;
    unsigned failures;
};

static struct smelt_policy *policy_of_all; /* what the compiler is given */
static const char *keep;                   /* directory; NULL: bombs are not kept */

/* ---- what a module takes --------------------------------------------------------------------- */

static struct usage children[PART_COUNT]; /* of this process */

static void add_usage(struct usage *sum, const struct rusage *usage)
{
    double megabytes = (double)usage->ru_maxrss / 1024;
    sum->seconds += (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
                    (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
    sum->megabytes = megabytes > sum->megabytes ? megabytes : sum->megabytes;
}

/* A process that has ended but not been waited for keeps its name. */
static enum part part_of(pid_t pid)
{
    siginfo_t info;
    char path[64];
    char name[8] = "";
    (void)waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
    (void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
    FILE *file = fopen(path, "re");
    if (file != NULL) {
        (void)fgets(name, sizeof(name), file);
        (void)fclose(file);
    }
    return strncmp(name, "wasm2c", 6) == 0                               ? PART_WASM2C
           : strncmp(name, "ld", 2) == 0 || strncmp(name, "lld", 3) == 0 ? PART_LINKER
                                                                         : PART_CC;
}

/* In place of waitpid (linked with --wrap): the compiler waits for a tool, and we learn what the
 * tool took. */
pid_t __wrap_waitpid(pid_t pid, int *state, int options);
pid_t __wrap_waitpid(pid_t pid, int *state, int options)
{
    struct rusage usage;
    enum part part = part_of(pid);
    pid_t ended = wait4(pid, state, options, &usage);
    if (ended > 0) {
        add_usage(&children[part], &usage);
    }
    return ended;
}

static enum smelt_status read_stack_bytes(const char *path, uint64_t *out, struct smelt_error *err)
{
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct sm_descriptor *descriptor =
        object != NULL ? (const struct sm_descriptor *)dlsym(object, SM_DESCRIPTOR_SYMBOL) : NULL;
    if (descriptor == NULL) {
        return sm_error_set(err, SMELT_STATUS_IO, "bombs", "cannot load %s", path);
    }
    *out = descriptor->stack_bytes;
    return SMELT_STATUS_OK;
}

static void compile(struct smelt_slice wasm, const char *directory, struct figures *out)
{
    struct smelt_cache *cache = NULL;
    struct smelt_schedule *schedule = NULL;
    struct smelt_compiler *compiler = NULL;
    struct smelt_artefact artefact;
    struct smelt_error err = {0};
    struct smelt_compiler_options options = {.allows_any_import = true};
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(smelt_cache_open(directory, &cache, &err));
    SMELT_TRY(smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &schedule, &err));
    options.policy = policy_of_all;
    options.cache = cache;
    options.schedule = schedule;
    SMELT_TRY(smelt_compiler_create(&options, &compiler, &err));
    SMELT_TRY(smelt_compile(compiler, wasm, NULL, &artefact, &err));
    SMELT_TRY(read_stack_bytes(artefact.path, &out->stack_bytes, &err));
cleanup:
    out->status = status;
    if (status != SMELT_STATUS_OK) {
        (void)snprintf(out->message, sizeof(out->message), "%s", err.message);
    }
    smelt_compiler_destroy(compiler);
    smelt_schedule_destroy(schedule);
    smelt_cache_close(cache);
}

/* In a process of its own, whose children are the tools and nothing else. */
static void measure(struct smelt_slice wasm, struct figures *out)
{
    char directory[PATH_MAX];
    struct figures *shared = (struct figures *)mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("bombs: mmap");
        exit(1);
    }
    test_directory_create(directory);
    shared->status = SMELT_STATUS_IO;
    (void)snprintf(shared->message, sizeof(shared->message), "the compiler did not return");
    pid_t pid = fork();
    if (pid == 0) {
        struct rusage usage;
        memset(children, 0, sizeof(children));
        compile(wasm, directory, shared);
        (void)getrusage(RUSAGE_SELF, &usage);
        add_usage(&children[PART_OWN], &usage);
        memcpy(shared->parts, children, sizeof(children));
        _exit(0);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
    }
    *out = *shared;
    (void)munmap(shared, sizeof(*shared));
    test_directory_remove(directory);
}

/* ---- the gate -------------------------------------------------------------------------------- */

struct verdict {
    enum smelt_status status;
    uint64_t cost;
    bool is_optimised;
    char message[512];
};

static void judge(struct smelt_slice wasm, const struct sm_policy *policy, struct verdict *out)
{
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    struct smelt_error err = {0};
    enum smelt_status status = SMELT_STATUS_OK;
    *out = (struct verdict){0};
    if (wasm.size > policy->module_bytes) {
        status = SMELT_STATUS_MODULE_LIMIT;
        (void)snprintf(err.message, sizeof(err.message), "bytes of the module");
        goto cleanup;
    }
    SMELT_TRY(sm_wasm_decode(wasm, &arena, &module, &err));
    SMELT_TRY(sm_wasm_validate(&module, &arena, &err));
    out->cost = sm_cost_of_module(&module);
    out->is_optimised = sm_compile_optimises(&module);
    SMELT_TRY(sm_gate_check(&module, policy, &smelt_profile_engine, &err));
cleanup:
    out->status = status;
    (void)snprintf(out->message, sizeof(out->message), "%s", err.message);
    sm_arena_deinit(&arena);
}

struct bomb {
    const struct shape *shape;
    const struct sm_policy *policy;
    struct shape_size size;
};

static bool is_accepted(const struct bomb *bomb, bool must_be_optimised, struct verdict *out)
{
    struct smelt_buf wasm = {0};
    shape_build(bomb->shape, bomb->policy, &bomb->size, &wasm);
    judge(sm_buf_slice(&wasm), bomb->policy, out);
    smelt_buf_deinit(&wasm);
    if (out->status != SMELT_STATUS_OK && out->status != SMELT_STATUS_MODULE_LIMIT) {
        (void)fprintf(stderr, "bombs: %s is no valid module: %s\n", bomb->shape->name,
                      out->message);
        exit(1);
    }
    return out->status == SMELT_STATUS_OK && (!must_be_optimised || out->is_optimised);
}

/* The largest value of *number, a part of the size, that is accepted; 0 when none is. `why` is left
 * as the verdict on the next larger one. */
static void grow(struct bomb *bomb, uint32_t *number, bool must_be_optimised, struct verdict *why)
{
    struct verdict verdict;
    uint32_t good = 0;
    uint32_t bad = 1;
    for (;; bad *= 2) {
        *number = bad;
        if (!is_accepted(bomb, must_be_optimised, &verdict)) {
            *why = verdict;
            break;
        }
        good = bad;
    }
    while (bad - good > 1) {
        *number = good + (bad - good) / 2;
        if (is_accepted(bomb, must_be_optimised, &verdict)) {
            good = *number;
        } else {
            bad = *number;
            *why = verdict;
        }
    }
    *number = good;
}

/* ---- the table ------------------------------------------------------------------------------- */

static struct usage whole_of(const struct figures *figures)
{
    struct usage whole = {0, 0};
    for (int i = 0; i < PART_COUNT; i++) {
        const struct usage *part = &figures->parts[i];
        whole.seconds += part->seconds;
        whole.megabytes = part->megabytes > whole.megabytes ? part->megabytes : whole.megabytes;
    }
    return whole;
}

static bool report(const char *name, const char *variant, struct smelt_slice wasm,
                   const struct figures *figures, const char *stopped_by, struct budget *budget)
{
    struct usage whole = whole_of(figures);
    bool is_good = figures->status == SMELT_STATUS_OK && whole.seconds <= budget->seconds &&
                   whole.megabytes <= budget->megabytes &&
                   figures->stack_bytes <= SM_STACK_BYTES_MAX;
    (void)printf("%-4s %-28s %-9s %7zu %7" PRIu64 " %5.2f %4.2f |", is_good ? "ok" : "BAD", name,
                 variant, wasm.size, figures->cost, whole.seconds,
                 whole.seconds * 1e6 / (double)(figures->cost + 1));
    for (int i = 0; i < PART_COUNT; i++) {
        (void)printf(" %5.2f", figures->parts[i].seconds);
    }
    (void)printf(" |");
    for (int i = 0; i < PART_COUNT; i++) {
        (void)printf(" %4.0f", figures->parts[i].megabytes);
    }
    (void)printf(" | %4.0f  %s\n", (double)figures->stack_bytes / (1 << 20),
                 figures->status != SMELT_STATUS_OK ? figures->message : stopped_by);
    (void)fflush(stdout);
    budget->failures += !is_good;
    return is_good;
}

static void print_heading(void)
{
    (void)printf("%-4s %-28s %-9s %7s %7s %5s %4s | %5s %5s %5s %5s | %4s %4s %4s %4s | %4s  %s\n",
                 "", "shape", "variant", "bytes", "cost", "s", "us/c", "own", "w2c", "cc", "ld",
                 "MiB", "w2c", "cc", "ld", "stk", "stopped by");
}

static void write_bomb(const char *name, const char *variant, struct smelt_slice wasm)
{
    char path[PATH_MAX];
    if (keep != NULL) {
        (void)snprintf(path, sizeof(path), "%s/%s-%s" WASM_SUFFIX, keep, name, variant);
        test_file_write(path, wasm);
    }
}

static void run_bomb(const struct bomb *bomb, const char *variant, const struct verdict *why,
                     struct budget *budget)
{
    struct smelt_buf wasm = {0};
    struct figures figures = {0};
    struct verdict verdict;
    if (bomb->size.n == 0 || bomb->size.copies == 0) {
        (void)printf("BAD  %-28s %-9s not even one is accepted: %s\n", bomb->shape->name, variant,
                     why->message);
        budget->failures++;
        return;
    }
    shape_build(bomb->shape, bomb->policy, &bomb->size, &wasm);
    judge(sm_buf_slice(&wasm), bomb->policy, &verdict);
    write_bomb(bomb->shape->name, variant, sm_buf_slice(&wasm));
    measure(sm_buf_slice(&wasm), &figures);
    figures.cost = verdict.cost;
    (void)report(bomb->shape->name, variant, sm_buf_slice(&wasm), &figures,
                 why->status != SMELT_STATUS_OK ? why->message : "not optimised any more", budget);
    smelt_buf_deinit(&wasm);
}

static void run_shape(const struct shape *shape, const struct sm_policy *policy,
                      struct budget *budget)
{
    struct bomb bomb = {shape, policy, {.n = 1, .copies = 1}};
    struct verdict why;
    grow(&bomb, &bomb.size.n, true, &why);
    uint32_t optimised = bomb.size.n;
    if (optimised != 0) {
        run_bomb(&bomb, "optimised", &why, budget);
    }
    grow(&bomb, &bomb.size.n, false, &why);
    if (shape->module != NULL && bomb.size.n != optimised) {
        run_bomb(&bomb, "largest", &why, budget);
    } else if (shape->module == NULL && bomb.size.n != 0) {
        grow(&bomb, &bomb.size.copies, false, &why);
        grow(&bomb, &bomb.size.rest, false, &why);
        run_bomb(&bomb, "many", &why, budget);
        bomb.size = (struct shape_size){.n = SMALL_BODY, .copies = 1};
        grow(&bomb, &bomb.size.copies, true, &why);
        run_bomb(&bomb, "small", &why, budget);
    }
}

/* ---- the search ------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A body of n random instructions by weights of their kinds, in `copies` functions. */
struct mix {
    uint8_t weights[MIX_KINDS];
    uint32_t n, copies;
    uint64_t seed;
};

static bool judge_mix(const struct mix *mix, const struct sm_policy *policy, struct smelt_buf *wasm,
                      struct verdict *out)
{
    smelt_buf_deinit(wasm);
    shape_build_mix(mix->weights, policy, mix->n, mix->copies, mix->seed, wasm);
    judge(sm_buf_slice(wasm), policy, out);
    return out->status == SMELT_STATUS_OK;
}

/* As many copies as make the module cost at least `wanted`, or as the gate accepts. */
static bool fill(struct mix *mix, const struct sm_policy *policy, uint64_t wanted,
                 struct smelt_buf *wasm, struct verdict *out)
{
    mix->copies = 1;
    if (!judge_mix(mix, policy, wasm, out)) {
        return false;
    }
    uint64_t one = out->cost;
    mix->copies = 2;
    if (judge_mix(mix, policy, wasm, out) && out->cost < wanted) {
        uint64_t more = (wanted - out->cost) / (out->cost - one);
        mix->copies += more < policy->functions - 16 ? (uint32_t)more : policy->functions - 16;
    }
    while (!judge_mix(mix, policy, wasm, out) && mix->copies > 1) {
        mix->copies--;
    }
    return out->status == SMELT_STATUS_OK;
}

static double measure_mix(const struct mix *mix, struct smelt_slice wasm,
                          const struct verdict *verdict, double best, struct budget *budget)
{
    struct figures figures = {0};
    measure(wasm, &figures);
    figures.cost = verdict->cost;
    double seconds = whole_of(&figures).seconds;
    if (seconds / (double)verdict->cost > best || figures.status != SMELT_STATUS_OK) {
        char name[64];
        const char *variant = verdict->is_optimised ? "-O1" : "-O0";
        (void)snprintf(name, sizeof(name), "mix-%u-%" PRIx64, mix->n, mix->seed);
        write_bomb(name, variant, wasm);
        (void)report(name, variant, wasm, &figures, "", budget);
        for (uint32_t i = 0; i < MIX_KINDS; i++) {
            (void)printf(" %u", mix->weights[i]);
        }
        (void)printf("\n");
        (void)fflush(stdout);
    }
    return seconds;
}

/* Hill climbing on processor time per unit of cost, in modules of a quarter of the limit; then the
 * worst one as large as it may be. */
static void search(double seconds_left, uint64_t seed, const struct sm_policy *policy,
                   struct budget *budget)
{
    struct mix best = {.n = 0};
    struct smelt_buf wasm = {0};
    struct verdict verdict;
    double best_ratio = 0;
    uint64_t state = seed * 2 + 1;
    memset(best.weights, 8, sizeof(best.weights));
    while (seconds_left > 0) {
        struct mix mix = best;
        for (int i = 0; i < 3 && best_ratio > 0; i++) {
            mix.weights[next_random(&state) % MIX_KINDS] =
                (uint8_t)(next_random(&state) % 3 == 0 ? 0 : next_random(&state) % 32);
        }
        mix.n = 20u << next_random(&state) % 8;
        mix.seed = next_random(&state);
        seconds_left -= 0.1;
        if (fill(&mix, policy, policy->compile_cost / 4, &wasm, &verdict)) {
            double seconds = measure_mix(&mix, sm_buf_slice(&wasm), &verdict, best_ratio, budget);
            seconds_left -= seconds;
            if (seconds / (double)verdict.cost > best_ratio) {
                best = mix;
                best_ratio = seconds / (double)verdict.cost;
            }
        }
    }
    if (best.n != 0 && fill(&best, policy, policy->compile_cost, &wasm, &verdict)) {
        (void)measure_mix(&best, sm_buf_slice(&wasm), &verdict, 0, budget);
    }
    smelt_buf_deinit(&wasm);
}

/* ---- main ------------------------------------------------------------------------------------ */

static bool has_suffix(const char *text, const char *suffix)
{
    size_t size = strlen(text);
    return size >= strlen(suffix) && strcmp(text + size - strlen(suffix), suffix) == 0;
}

static void run_file(const char *path, const struct sm_policy *policy, struct budget *budget)
{
    const char *slash = strrchr(path, '/');
    struct smelt_buf wasm = test_file_read(path);
    struct figures figures = {0};
    struct verdict verdict;
    judge(sm_buf_slice(&wasm), policy, &verdict);
    measure(sm_buf_slice(&wasm), &figures);
    figures.cost = verdict.cost;
    (void)report(slash != NULL ? slash + 1 : path, verdict.is_optimised ? "-O1" : "-O0",
                 sm_buf_slice(&wasm), &figures, "", budget);
    smelt_buf_deinit(&wasm);
}

static bool run_named(const char *name, const struct sm_policy *policy, struct budget *budget)
{
    for (uint32_t i = 0; i < shape_count(); i++) {
        if (strcmp(shape_at(i)->name, name) == 0) {
            run_shape(shape_at(i), policy, budget);
            return true;
        }
    }
    return false;
}

static void read_policy(const char *name, struct sm_policy *out)
{
    struct smelt_error err;
    struct smelt_buf text = {0};
    if (smelt_policy_builtin(name, &policy_of_all, NULL) != SMELT_STATUS_OK) {
        text = test_file_read(name);
        if (smelt_policy_parse(sm_buf_slice(&text), &policy_of_all, &err) != SMELT_STATUS_OK) {
            (void)fprintf(stderr, "bombs: %s: %s\n", name, err.message);
            exit(2);
        }
    }
    smelt_buf_deinit(&text);
    *out = *sm_policy_values(policy_of_all);
    out->allows_any_import = true;
}

int main(int argc, char **argv)
{
    const char *policy_name = "standard-floats";
    struct budget budget = {.seconds = 10, .megabytes = 512};
    struct sm_policy policy;
    double search_seconds = 0;
    uint64_t seed = 1;
    bool is_all = true;
    for (int i = 1; i + 1 < argc; i++) {
        policy_name = strcmp(argv[i], "--policy") == 0 ? argv[i + 1] : policy_name;
    }
    read_policy(policy_name, &policy);
    print_heading();
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--policy") == 0) {
            i++; /* read above: the shapes on the left of it are bound by it too */
        } else if (i + 1 < argc && strcmp(argv[i], "--keep") == 0) {
            keep = argv[++i];
        } else if (i + 1 < argc && strcmp(argv[i], "--seconds") == 0) {
            budget.seconds = strtod(argv[++i], NULL);
        } else if (i + 1 < argc && strcmp(argv[i], "--megabytes") == 0) {
            budget.megabytes = strtod(argv[++i], NULL);
        } else if (i + 1 < argc && strcmp(argv[i], "--search") == 0) {
            search_seconds = strtod(argv[++i], NULL);
        } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            seed = strtoull(argv[++i], NULL, 10);
        } else {
            is_all = false;
            if (has_suffix(argv[i], WASM_SUFFIX)) {
                run_file(argv[i], &policy, &budget);
            } else if (!run_named(argv[i], &policy, &budget)) {
                (void)fprintf(stderr, "bombs: no shape or file %s\n", argv[i]);
                return 2;
            }
        }
    }
    if (search_seconds > 0) {
        search(search_seconds, seed, &policy, &budget);
    } else if (is_all) {
        for (uint32_t i = 0; i < shape_count(); i++) {
            run_shape(shape_at(i), &policy, &budget);
        }
    }
    smelt_policy_destroy(policy_of_all);
    (void)printf("%u above the budget of %.0f s and %.0f MiB\n", budget.failures, budget.seconds,
                 budget.megabytes);
    return budget.failures != 0;
}
