/* What every call of a contract pays for, in nanoseconds: entering, host calls, an instance's whole
 * life by what it wrote and by what lives beside it, nested calls, leaving early, deadlines.
 *
 * usage: bench_runtime [--json] [--rounds N] [--peer FILE.so] <runtime.wat> <counter.wasm>
 *                      <empty directory>
 *
 * The peer (runtime.h) does the same with the same modules in the same process: a round measures
 * each of them in turn, so that a slow moment of the machine meets all. A figure is the median of
 * the rounds; a ratio is the median of the rounds' ratios. */
#include "tests/bench/runtime_engine.h"
#include "tests/bench/runtime_smelt.h"

#include "base/clock.h"

#include <smelt/compiler.h>

#include <dirent.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_MAX     101u
#define ROUNDS_DEFAULT 31u
#define BATCH_NS       UINT64_C(300000) /* of one measurement: shorter than a time slice */
#define SUBJECTS_MAX   4u
#define ROWS_MAX       64u
#define FILE_BYTES     ((size_t)1 << 20)
#define NEST_MAX       64u
#define LIVE_MAX       10000u
#define HOST_CALLS     1000u /* of one invocation */

static _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "bench_runtime: %s\n", what);
    exit(1);
}

/* ---- what is measured ---------------------------------------------------------------------- */

struct subject {
    const char *label;
    const struct bench_runtime *ops;
    bool is_metered;
    uint32_t resident_bytes;
    void *runtime;
    void *calls;   /* runtime.wat */
    void *counter; /* the contract */
    void *live;    /* an instance of `calls` */
};

struct row {
    char name[64];
    const char *labels[SUBJECTS_MAX];
    double ns[SUBJECTS_MAX][ROUNDS_MAX];
    size_t count;
};

static struct row rows[ROWS_MAX];
static size_t row_count;
static size_t rounds = ROUNDS_DEFAULT;

typedef void (*operation_fn)(struct subject *subject, uint32_t argument, uint32_t times);

static double time_of(operation_fn operation, struct subject *subject, uint32_t argument,
                      uint32_t times)
{
    uint64_t start = sm_clock_ns();
    operation(subject, argument, times);
    return (double)(sm_clock_ns() - start);
}

/* `per` is how many of the things that the row counts are in one operation. */
static void measure(const char *name, operation_fn operation, struct subject *subjects,
                    size_t count, uint32_t argument, uint32_t per)
{
    uint32_t times[SUBJECTS_MAX];
    if (row_count == ROWS_MAX) {
        die("too many rows");
    }
    struct row *row = &rows[row_count++];
    (void)snprintf(row->name, sizeof(row->name), "%s", name);
    row->count = count;
    for (size_t i = 0; i < count; i++) {
        row->labels[i] = subjects[i].label;
        times[i] = 1;
        /* the first time also warms up; twice, for a batch may be interrupted */
        while (time_of(operation, &subjects[i], argument, times[i]) < (double)BATCH_NS ||
               time_of(operation, &subjects[i], argument, times[i]) < (double)BATCH_NS) {
            times[i] *= 2;
        }
    }
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            row->ns[i][round] =
                time_of(operation, &subjects[i], argument, times[i]) / times[i] / per;
        }
    }
}

/* ---- the host ------------------------------------------------------------------------------ */

#define COUNTER_VALUE 2048u /* where the host places it */

static uint8_t counter_value[4];
static const struct subject *nesting; /* whose contracts call each other */

static void *create(const struct subject *subject, void *module)
{
    void *instance = subject->ops->create(module);
    if (instance == NULL) {
        die("no instance");
    }
    return instance;
}

static uint64_t host(enum bench_import import, const uint64_t *arguments, uint8_t *data)
{
    void *callee;
    uint64_t result;
    switch (import) {
    case BENCH_IMPORT_STORAGE_READ:
        memcpy(data + COUNTER_VALUE, counter_value, sizeof(counter_value));
        return (uint64_t)COUNTER_VALUE << 32 | sizeof(counter_value);
    case BENCH_IMPORT_STORAGE_WRITE:
        memcpy(counter_value, data + (uint32_t)arguments[2], sizeof(counter_value));
        return 1;
    case BENCH_IMPORT_NEST:
        callee = create(nesting, nesting->calls);
        result = nesting->ops->invoke(callee, BENCH_NEST, (uint32_t)arguments[0]);
        nesting->ops->destroy(callee);
        return result;
    case BENCH_IMPORT_ECHO:
    case BENCH_IMPORT_COUNT:
        break;
    }
    return arguments[0];
}

/* ---- operations ---------------------------------------------------------------------------- */

static void expect(uint64_t result, uint64_t expected)
{
    if (result != expected) {
        die("a wrong result");
    }
}

static uint64_t nothing(void *context, enum bench_export function, uint32_t argument)
{
    (void)context;
    (void)function;
    return argument;
}

/* The unit of it all. */
static void call_pointer(struct subject *subject, uint32_t argument, uint32_t times)
{
    uint64_t (*volatile pointer)(void *, enum bench_export, uint32_t) = nothing;
    for (uint32_t i = 0; i < times; i++) {
        expect(pointer(subject, BENCH_EMPTY, argument), argument);
    }
}

static void call_empty(struct subject *subject, uint32_t argument, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        expect(subject->ops->invoke(subject->live, BENCH_EMPTY, argument), argument);
    }
}

static void call_host(struct subject *subject, uint32_t argument, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        expect(subject->ops->invoke(subject->live, BENCH_ECHO, argument), 1);
    }
}

static void call_trap(struct subject *subject, uint32_t argument, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        expect(subject->ops->invoke(subject->live, BENCH_TRAP, argument), BENCH_TRAPPED);
    }
}

static void call_within(struct subject *subject, uint32_t argument, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        expect(subject->ops->invoke_within(subject->live, BENCH_EMPTY, argument, 60000), argument);
    }
}

static void call_nested(struct subject *subject, uint32_t argument, uint32_t times)
{
    nesting = subject;
    for (uint32_t i = 0; i < times; i++) {
        void *instance = create(subject, subject->calls);
        expect(subject->ops->invoke(instance, BENCH_NEST, argument - 1), argument - 1);
        subject->ops->destroy(instance);
    }
}

static void live(struct subject *subject, uint32_t argument, uint32_t times)
{
    (void)argument;
    for (uint32_t i = 0; i < times; i++) {
        subject->ops->destroy(create(subject, subject->calls));
    }
}

static void live_and_touch(struct subject *subject, uint32_t argument, uint32_t times)
{
    for (uint32_t i = 0; i < times; i++) {
        void *instance = create(subject, subject->calls);
        expect(subject->ops->invoke(instance, BENCH_TOUCH, argument), 1);
        subject->ops->destroy(instance);
    }
}

static void live_and_increment(struct subject *subject, uint32_t argument, uint32_t times)
{
    (void)argument;
    memset(counter_value, 0, sizeof(counter_value));
    for (uint32_t i = 0; i < times; i++) {
        void *instance = create(subject, subject->counter);
        expect(subject->ops->invoke(instance, BENCH_INCREMENT, 0), i + 1);
        subject->ops->destroy(instance);
    }
}

/* ---- runs ---------------------------------------------------------------------------------- */

struct modules {
    struct smelt_slice calls;
    struct smelt_slice counter;
};

static void open_all(struct subject *subjects, size_t count, struct bench_options options,
                     const struct modules *modules)
{
    for (size_t i = 0; i < count; i++) {
        struct subject *subject = &subjects[i];
        options.host = host;
        options.is_metered = subject->is_metered;
        options.resident_bytes = subject->resident_bytes;
        subject->runtime = subject->ops->open(&options);
        if (subject->runtime == NULL) {
            die("no runtime");
        }
        subject->calls =
            subject->ops->load(subject->runtime, modules->calls.data, modules->calls.size);
        subject->counter =
            subject->ops->load(subject->runtime, modules->counter.data, modules->counter.size);
        if (subject->calls == NULL || subject->counter == NULL) {
            die("no module");
        }
        subject->live = create(subject, subject->calls);
    }
}

static void close_all(struct subject *subjects, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct subject *subject = &subjects[i];
        subject->ops->destroy(subject->live);
        subject->ops->unload(subject->calls);
        subject->ops->unload(subject->counter);
        subject->ops->close(subject->runtime);
    }
}

static void measure_calls(struct subject *subjects, size_t count, const char *scratch,
                          const struct modules *modules)
{
    static const uint32_t pages[] = {1, 16, 256};
    static const uint32_t depths[] = {1, 4, 16, NEST_MAX};
    char name[64];
    open_all(subjects, count, (struct bench_options){.instances = NEST_MAX + 2, .scratch = scratch},
             modules);
    measure("empty call into a live instance", call_empty, subjects, count, 7, 1);
    measure("host call", call_host, subjects, count, HOST_CALLS, HOST_CALLS);
    measure("trap and unwind", call_trap, subjects, count, 0, 1);
    measure("trap and unwind, 100 calls deep", call_trap, subjects, count, 100, 1);
    measure("counter: instantiate, call, reset", live_and_increment, subjects, count, 0, 1);
    measure("instantiate, reset", live, subjects, count, 0, 1);
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        (void)snprintf(name, sizeof(name), "instantiate, write %u page%s, reset", pages[i],
                       pages[i] == 1 ? "" : "s");
        measure(name, live_and_touch, subjects, count, pages[i], 1);
    }
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        (void)snprintf(name, sizeof(name), "nested instances, %u deep, each", depths[i]);
        measure(name, call_nested, subjects, count, depths[i], depths[i]);
    }
    close_all(subjects, count);
}

static void measure_watched(struct subject *subjects, size_t count, const char *scratch,
                            const struct modules *modules)
{
    open_all(subjects, count,
             (struct bench_options){.instances = 2, .is_watched = true, .scratch = scratch},
             modules);
    measure("empty call under a deadline", call_within, subjects, count, 7, 1);
    close_all(subjects, count);
}

/* The address space of the process holds one peer with so many instances. */
static void measure_crowds(struct subject *subjects, size_t count, const char *scratch,
                           const struct modules *modules)
{
    static const uint32_t crowds[] = {10, 100, 1000, LIVE_MAX};
    static void *beside[SUBJECTS_MAX][LIVE_MAX];
    char name[64];
    size_t present = 0;
    open_all(subjects, count, (struct bench_options){.instances = LIVE_MAX + 2, .scratch = scratch},
             modules);
    for (size_t i = 0; i < sizeof(crowds) / sizeof(crowds[0]); i++) {
        for (; present < crowds[i]; present++) {
            for (size_t j = 0; j < count; j++) {
                beside[j][present] = create(&subjects[j], subjects[j].calls);
            }
        }
        (void)snprintf(name, sizeof(name), "write 1 page, beside %u instances", crowds[i]);
        measure(name, live_and_touch, subjects, count, 1, 1);
    }
    for (size_t j = 0; j < count; j++) {
        for (size_t i = 0; i < present; i++) {
            subjects[j].ops->destroy(beside[j][i]);
        }
    }
    close_all(subjects, count);
}

/* ---- the engine around it ------------------------------------------------------------------ */

static struct bench_engine *engine;

static void call_engine(struct subject *subject, uint32_t argument, uint32_t times)
{
    (void)subject;
    for (uint32_t i = 0; i < times; i++) {
        if (!bench_engine_call(engine, (enum bench_engine_function)argument, HOST_CALLS)) {
            die("the engine failed");
        }
    }
}

static void measure_engine(struct subject *smelt, const char *scratch)
{
    engine = bench_engine_open(scratch);
    if (engine == NULL) {
        die("no engine");
    }
    measure("host call through the dispatcher", call_engine, smelt, 1, BENCH_ENGINE_SCALAR,
            HOST_CALLS);
    measure("host call with a range, likewise", call_engine, smelt, 1, BENCH_ENGINE_RANGE,
            HOST_CALLS);
    measure("transaction, static", call_engine, smelt, 1, BENCH_ENGINE_STATIC, 1);
    measure("transaction, static, with a deadline", call_engine, smelt, 1, BENCH_ENGINE_DEADLINE,
            1);
    measure("transaction, one write, committed", call_engine, smelt, 1, BENCH_ENGINE_WRITE, 1);
    bench_engine_close(engine);
}

/* ---- deadlines ----------------------------------------------------------------------------- */

#define STOPS       300
#define DEADLINE_MS 3u

struct lateness {
    const char *what;
    enum bench_export function;
    double us[STOPS];   /* ascending */
    double idle[STOPS]; /* the same without the time in which a thread waited for a processor */
};

/* Nanoseconds that the threads of this process were ready to run and did not; 0 where the kernel
 * does not say. */
static double waited_ns(void)
{
    double sum = 0;
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    while (tasks != NULL && (task = readdir(tasks)) != NULL) {
        char path[sizeof("/proc/self/task//schedstat") + sizeof(task->d_name)];
        double ran;
        double waited;
        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", task->d_name);
        FILE *file = task->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (file != NULL) {
            sum += fscanf(file, "%lf %lf", &ran, &waited) == 2 ? waited : 0;
            (void)fclose(file);
        }
    }
    if (tasks != NULL) {
        (void)closedir(tasks);
    }
    return sum;
}

static struct lateness latenesses[] = {{.what = "a loop", .function = BENCH_SPIN},
                                       {.what = "host calls", .function = BENCH_SPIN_ECHO},
                                       {.what = "memory.fill", .function = BENCH_SPIN_FILL}};
#define LATENESSES (sizeof(latenesses) / sizeof(latenesses[0]))

static int by_value(const void *a, const void *b)
{
    const double *left = (const double *)a;
    const double *right = (const double *)b;
    return (*left > *right) - (*left < *right);
}

static void measure_lateness(struct subject *smelt, const char *scratch,
                             const struct modules *modules)
{
    open_all(smelt, 1, (struct bench_options){.instances = 2, .scratch = scratch}, modules);
    for (size_t i = 0; i < LATENESSES; i++) {
        struct lateness *lateness = &latenesses[i];
        for (size_t j = 0; j < STOPS; j++) {
            double waited = waited_ns();
            uint64_t start = sm_clock_ns();
            expect(smelt->ops->invoke_within(smelt->live, lateness->function, 1, DEADLINE_MS),
                   BENCH_TRAPPED);
            double us = (double)(sm_clock_ns() - start) / 1e3 - DEADLINE_MS * 1e3;
            lateness->idle[j] = us - (waited_ns() - waited) / 1e3;
            lateness->us[j] = us;
        }
        qsort(lateness->us, STOPS, sizeof(lateness->us[0]), by_value);
        qsort(lateness->idle, STOPS, sizeof(lateness->idle[0]), by_value);
    }
    close_all(smelt, 1);
}

/* ---- results ------------------------------------------------------------------------------- */

struct figure {
    double median;
    double least;
    double most;
};

static struct figure figure_of(const double *values)
{
    double sorted[ROUNDS_MAX];
    memcpy(sorted, values, rounds * sizeof(sorted[0]));
    qsort(sorted, rounds, sizeof(sorted[0]), by_value);
    return (struct figure){
        .median = sorted[rounds / 2], .least = sorted[0], .most = sorted[rounds - 1]};
}

/* How many times as long the peer takes. */
static double ratio_of(const struct row *row, size_t peer)
{
    double ratios[ROUNDS_MAX];
    for (size_t i = 0; i < rounds; i++) {
        ratios[i] = row->ns[peer][i] / row->ns[0][i];
    }
    return figure_of(ratios).median;
}

static void print_figure(struct figure figure)
{
    int digits = figure.median < 100 ? 1 : 0;
    char spread[40];
    (void)snprintf(spread, sizeof(spread), "(%.*f-%.*f)", digits, figure.least, digits,
                   figure.most);
    (void)printf(" %9.*f %-17s", digits, figure.median, spread);
}

static void print_table(const struct subject *subjects, size_t count)
{
    (void)printf("%-38s", "ns: median (least-most), x: of smelt's");
    for (size_t i = 0; i < count; i++) {
        (void)printf(" %-27s%s", subjects[i].label, i == 0 ? "" : "       ");
    }
    (void)printf("\n");
    for (size_t i = 0; i < row_count; i++) {
        (void)printf("%-38s", rows[i].name);
        for (size_t j = 0; j < rows[i].count; j++) {
            print_figure(figure_of(rows[i].ns[j]));
            if (j != 0) {
                (void)printf(" x%-5.1f", ratio_of(&rows[i], j));
            }
        }
        (void)printf("\n");
    }
    (void)printf(
        "\nlate after a deadline of %u ms, us: median, 99 %%, most of %d; most but for the "
        "time that threads waited for a processor\n",
        DEADLINE_MS, STOPS);
    for (size_t i = 0; i < LATENESSES; i++) {
        const double *us = latenesses[i].us;
        (void)printf("%-38s %9.0f %9.0f %9.0f %9.0f\n", latenesses[i].what, us[STOPS / 2],
                     us[STOPS * 99 / 100], us[STOPS - 1], latenesses[i].idle[STOPS - 1]);
    }
}

/* No name in it needs escaping. */
static void print_json(const struct bench_runtime *peer)
{
    (void)printf("{\"rounds\":%zu,\"smelt\":\"%s\",", rounds, bench_smelt.version);
    if (peer != NULL) {
        (void)printf("\"%s\":\"%s\",", peer->name, peer->version);
    }
    (void)printf("\"rows\":[");
    for (size_t i = 0; i < row_count; i++) {
        (void)printf("%s{\"name\":\"%s\",\"ns\":{", i == 0 ? "" : ",", rows[i].name);
        for (size_t j = 0; j < rows[i].count; j++) {
            struct figure figure = figure_of(rows[i].ns[j]);
            (void)printf("%s\"%s\":{\"median\":%.2f,\"least\":%.2f,\"most\":%.2f,\"ratio\":%.3f}",
                         j == 0 ? "" : ",", rows[i].labels[j], figure.median, figure.least,
                         figure.most, ratio_of(&rows[i], j));
        }
        (void)printf("}}");
    }
    (void)printf("],\"late_us\":[");
    for (size_t i = 0; i < LATENESSES; i++) {
        const double *us = latenesses[i].us;
        (void)printf("%s{\"name\":\"%s\",\"median\":%.0f,\"p99\":%.0f,\"most\":%.0f,"
                     "\"most_idle\":%.0f}",
                     i == 0 ? "" : ",", latenesses[i].what, us[STOPS / 2], us[STOPS * 99 / 100],
                     us[STOPS - 1], latenesses[i].idle[STOPS - 1]);
    }
    (void)printf("]}\n");
}

/* ---- the program --------------------------------------------------------------------------- */

static struct smelt_slice read_file(const char *path)
{
    uint8_t *bytes = (uint8_t *)malloc(FILE_BYTES);
    FILE *file = fopen(path, "rb");
    if (bytes == NULL || file == NULL) {
        die("cannot read a module");
    }
    size_t size = fread(bytes, 1, FILE_BYTES, file);
    (void)fclose(file);
    return (struct smelt_slice){.data = bytes, .size = size};
}

static const struct bench_runtime *open_peer(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct bench_runtime *peer =
        library != NULL ? (const struct bench_runtime *)dlsym(library, BENCH_RUNTIME_SYMBOL) : NULL;
    if (peer == NULL) {
        die(dlerror());
    }
    return peer;
}

int main(int argc, char **argv)
{
    bool is_json = false;
    const struct bench_runtime *peer = NULL;
    int at = 1;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--json") == 0) {
            is_json = true;
        } else if (strcmp(argv[at], "--rounds") == 0 && at + 1 < argc) {
            rounds = strtoul(argv[++at], NULL, 10);
        } else if (strcmp(argv[at], "--peer") == 0 && at + 1 < argc) {
            peer = open_peer(argv[++at]);
        } else {
            break;
        }
    }
    if (argc - at != 3 || rounds == 0 || rounds > ROUNDS_MAX) {
        (void)fprintf(stderr,
                      "usage: %s [--json] [--rounds N] [--peer FILE.so] <runtime.wat> "
                      "<counter.wasm> <empty directory>\n",
                      argv[0]);
        return 2;
    }
    struct smelt_slice text = read_file(argv[at]);
    struct smelt_buf calls = {0};
    struct smelt_error err = {0};
    if (smelt_wat_to_wasm(text, &calls, &err) != SMELT_STATUS_OK) {
        die(err.message);
    }
    const struct modules modules = {.calls = {.data = calls.data, .size = calls.size},
                                    .counter = read_file(argv[at + 1])};
    const char *scratch = argv[at + 2];

    struct subject subjects[SUBJECTS_MAX] = {
        {.label = bench_smelt.name, .ops = &bench_smelt, .is_metered = true},
        {.label = "wasmtime", .ops = peer, .resident_bytes = 65536},
        {.label = "with fuel", .ops = peer, .resident_bytes = 65536, .is_metered = true},
        {.label = "1 MiB resident", .ops = peer, .resident_bytes = 1 << 20}};
    size_t count = peer != NULL ? SUBJECTS_MAX : 1;
    measure("indirect call in C", call_pointer, subjects, 1, 7, 1);
    measure_calls(subjects, count, scratch, &modules);
    measure_engine(subjects, scratch);
    measure_watched(subjects, count, scratch, &modules);
    measure_crowds(subjects, count < 2 ? count : 2, scratch, &modules);
    measure_lateness(subjects, scratch, &modules);
    if (is_json) {
        print_json(peer);
    } else {
        print_table(subjects, count);
    }
    smelt_buf_deinit(&calls);
    free((void *)(uintptr_t)modules.counter.data);
    free((void *)(uintptr_t)text.data);
    return 0;
}
