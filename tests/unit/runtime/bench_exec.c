/* What every call pays for, in nanoseconds: the median of RUNS runs. Not a test; run it by hand,
 * from a release build. */
#include "tests/unit/runtime/guest.h"

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RUNS 25
#define PAGE 4096u
#define FUEL UINT64_C(1000000000000)

struct subject {
    struct sm_exec_module *module;
    struct sm_activation *activation;
    const struct sm_export *export_;
    uint32_t pages; /* of 4 KiB, written by each call */
};

static enum sm_exec_action on_call(void *context, struct sm_activation *activation, uint32_t import,
                                   uint64_t *slots)
{
    (void)context;
    (void)activation;
    (void)import;
    (void)slots;
    return SM_EXEC_CONTINUE;
}

static struct sm_activation *create(struct sm_exec_module *module)
{
    const struct sm_exec_host host = {.call = on_call};
    struct sm_activation *activation;
    struct sm_exec_result result;
    if (sm_exec_create(module, &host, FUEL, &activation, NULL) != SMELT_STATUS_OK) {
        abort();
    }
    sm_exec_start(activation, &result);
    return activation;
}

static void invoke(struct subject *subject)
{
    struct sm_exec_result result;
    uint64_t slots[4] = {1, 1};
    sm_exec_invoke(subject->activation, subject->export_, slots, &result);
}

static void invoke_host(struct subject *subject)
{
    struct sm_exec_result result;
    uint64_t slots[4] = {0, 1};
    sm_exec_invoke(subject->activation, subject->export_, slots, &result);
}

static void create_and_destroy(struct subject *subject)
{
    sm_exec_destroy(create(subject->module));
}

static void create_invoke_destroy(struct subject *subject)
{
    struct sm_exec_result result;
    uint64_t slots[4] = {1, 1};
    uint64_t size;
    struct sm_activation *activation = create(subject->module);
    volatile uint8_t *memory = sm_exec_memory(activation, &size);
    for (uint32_t i = 0; i < subject->pages; i++) {
        memory[i * PAGE] = 1;
    }
    sm_exec_invoke(activation, subject->export_, slots, &result);
    sm_exec_destroy(activation);
}

static void load(struct subject *subject)
{
    (void)subject;
    sm_exec_release(guest_load_all());
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *what, void (*operation)(struct subject *), struct subject *subject,
                    const char *export_name, int times)
{
    double runs[RUNS];
    subject->export_ = sm_exec_find_export(subject->module, smelt_slice_from_string(export_name));
    for (int i = 0; i < RUNS; i++) {
        struct timespec start;
        struct timespec end;
        (void)clock_gettime(CLOCK_MONOTONIC, &start);
        for (int j = 0; j < times; j++) {
            operation(subject);
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &end);
        runs[i] =
            ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
            times;
    }
    qsort(runs, RUNS, sizeof(runs[0]), compare);
    (void)printf("%-36s %10.0f ns\n", what, runs[RUNS / 2]);
}

/* The whole life of an instance with 2 MiB of memory, by pages written and by instances that live
 * beside it. */
static void measure_lives(void)
{
    static struct sm_activation *beside[10000];
    static const size_t counts[] = {0, 100, 10000};
    static const uint32_t pages[] = {0, 1, 16, 256};
    static const struct guest_patch patches[] = {
        PATCH("smelt_descriptor", struct sm_descriptor, memory_max, 64),
        PATCH("smelt_descriptor", struct sm_descriptor, memory_min, 32)};
    struct subject subject = {0};
    int fd = guest_open("guest_all.so", patches, 2);
    if (sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_all_hash, &subject.module, NULL) !=
        SMELT_STATUS_OK) {
        abort();
    }
    (void)close(fd);
    size_t live = 0;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        while (live < counts[i]) {
            beside[live++] = create(subject.module);
        }
        for (size_t j = 0; j < sizeof(pages) / sizeof(pages[0]); j++) {
            char what[64];
            subject.pages = pages[j];
            (void)snprintf(what, sizeof(what), "life, %u pages, %zu live", pages[j], live);
            measure(what, create_invoke_destroy, &subject, "add", 1000);
        }
    }
    while (live > 0) {
        sm_exec_destroy(beside[--live]);
    }
    sm_exec_release(subject.module);
}

int main(void)
{
    struct subject subject = {.module = guest_load_all()};
    subject.activation = create(subject.module);
    measure("invoke, empty function", invoke, &subject, "empty", 100000);
    measure("invoke, add", invoke, &subject, "add", 100000);
    measure("invoke, trap", invoke, &subject, "trap", 100000);
    measure("invoke, one host call", invoke_host, &subject, "host", 100000);
    measure("create, start, destroy", create_and_destroy, &subject, "add", 2000);
    measure("create, start, invoke add, destroy", create_invoke_destroy, &subject, "add", 2000);
    measure_lives();
    measure("read file, load, release", load, &subject, "add", 100);
    sm_exec_destroy(subject.activation);
    sm_exec_release(subject.module);
    guest_pool_close();
    return 0;
}
