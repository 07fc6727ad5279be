/* smelt for bench_runtime: the compiler in front, then runtime/exec alone, as wasmtime is used
 * without a node around it. Always metered. */
#include "tests/bench/runtime_smelt.h"

#include "base/bytes.h"
#include "runtime/exec/exec.h"
#include "runtime/exec/fault.h"
#include "runtime/exec/watchdog.h"

#include <smelt/smelt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct runtime {
    struct bench_options options;
    struct sm_exec_pool *pool;
    struct sm_watchdog watchdog;
    struct smelt_cache *cache;
    struct smelt_schedule *schedule;
    struct smelt_compiler *compiler;
};

struct module {
    struct runtime *runtime;
    struct sm_exec_module *exec;
    const struct sm_export *exports[BENCH_EXPORT_COUNT]; /* NULL: not in this one */
    enum bench_import *imports;
};

struct instance {
    struct module *module;
    struct sm_activation *activation;
};

#define BENCH_EXPORT_NAME(name, text) text,
static const char *const export_names[] = {BENCH_EXPORTS(BENCH_EXPORT_NAME)};

#define BENCH_IMPORT_NAME(name, module, text, parameters) text,
static const char *const import_names[] = {BENCH_IMPORTS(BENCH_IMPORT_NAME)};

static bool failed(enum smelt_status status, const struct smelt_error *err)
{
    if (status != SMELT_STATUS_OK) {
        (void)fprintf(stderr, "bench_runtime: smelt: %s: %s\n", smelt_status_name(status),
                      err->message);
    }
    return status != SMELT_STATUS_OK;
}

static enum sm_exec_action on_call(void *context, struct sm_activation *activation, uint32_t import,
                                   uint64_t *slots)
{
    const struct instance *instance = (const struct instance *)context;
    enum bench_import which = instance->module->imports[import];
    uint64_t size;
    uint8_t *data = which <= BENCH_IMPORT_STORAGE_WRITE ? sm_exec_memory(activation, &size) : NULL;
    slots[0] = instance->module->runtime->options.host(which, slots, data);
    return SM_EXEC_CONTINUE;
}

static void close_runtime(void *opaque)
{
    struct runtime *runtime = (struct runtime *)opaque;
    sm_fault_release();
    sm_watchdog_deinit(&runtime->watchdog);
    sm_exec_pool_destroy(runtime->pool);
    smelt_compiler_destroy(runtime->compiler);
    smelt_schedule_destroy(runtime->schedule);
    smelt_cache_close(runtime->cache);
    free(runtime);
}

static void *open_runtime(const struct bench_options *options)
{
    struct smelt_error err = {0};
    struct runtime *runtime = (struct runtime *)calloc(1, sizeof(*runtime));
    if (runtime == NULL) {
        abort();
    }
    runtime->options = *options;
    const struct sm_exec_pool_options pool = {.instances_max = options->instances};
    if (failed(sm_fault_acquire(&err), &err) ||
        failed(sm_exec_pool_create(&pool, &runtime->pool, &err), &err) ||
        failed(sm_watchdog_init(&runtime->watchdog, 0, &err), &err) ||
        failed(smelt_cache_open(options->scratch, &runtime->cache, &err), &err) ||
        failed(smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &runtime->schedule, &err),
               &err)) {
        exit(1);
    }
    const struct smelt_compiler_options compiler = {
        .cache = runtime->cache, .schedule = runtime->schedule, .allows_any_import = true};
    if (failed(smelt_compiler_create(&compiler, &runtime->compiler, &err), &err)) {
        exit(1);
    }
    return runtime;
}

static void unload(void *opaque)
{
    struct module *module = (struct module *)opaque;
    sm_exec_release(module->exec);
    free(module->imports);
    free(module);
}

static void find_names(struct module *module)
{
    const struct sm_descriptor *descriptor = sm_exec_descriptor(module->exec);
    for (size_t i = 0; i < BENCH_EXPORT_COUNT; i++) {
        module->exports[i] =
            sm_exec_find_export(module->exec, smelt_slice_from_string(export_names[i]));
    }
    for (uint32_t i = 0; i < descriptor->import_count; i++) {
        struct smelt_slice name =
            sm_slice(descriptor->imports[i].name, descriptor->imports[i].name_size);
        size_t which = 0;
        while (!sm_slice_equal(name, smelt_slice_from_string(import_names[which]))) {
            which++;
        }
        module->imports[i] = (enum bench_import)which;
    }
}

static void *load(void *opaque, const uint8_t *wasm, size_t size)
{
    struct runtime *runtime = (struct runtime *)opaque;
    struct smelt_artefact_source source = smelt_compiler_source(runtime->compiler);
    struct smelt_slice bytes = {wasm, size};
    struct smelt_hash hash;
    struct smelt_hash key;
    struct smelt_error err = {0};
    int fd = -1;
    struct module *module = (struct module *)calloc(1, sizeof(*module));
    struct smelt_artefact artefact;
    if (module == NULL ||
        failed(smelt_compile(runtime->compiler, bytes, NULL, &artefact, &err), &err)) {
        free(module);
        return NULL;
    }
    hash = artefact.module_hash;
    enum smelt_status status = source.open(source.context, &hash, bytes, &fd, &key, &err);
    if (status == SMELT_STATUS_OK) {
        status = sm_exec_load(runtime->pool, fd, &key, &hash, &module->exec, &err);
        (void)close(fd);
    }
    if (failed(status, &err)) {
        free(module);
        return NULL;
    }
    module->runtime = runtime;
    module->imports = (enum bench_import *)calloc(
        sm_exec_descriptor(module->exec)->import_count + 1, sizeof(*module->imports));
    if (module->imports == NULL) {
        abort();
    }
    find_names(module);
    return module;
}

static void *create(void *opaque)
{
    struct module *module = (struct module *)opaque;
    struct instance *instance = (struct instance *)malloc(sizeof(*instance));
    if (instance == NULL) {
        return NULL;
    }
    const struct sm_exec_host host = {.call = on_call, .context = instance};
    struct sm_exec_result result;
    struct smelt_error err;
    instance->module = module;
    if (failed(sm_exec_create(module->exec, &host, BENCH_FUEL, &instance->activation, &err),
               &err)) {
        free(instance);
        return NULL;
    }
    sm_exec_start(instance->activation, &result);
    return instance;
}

static void destroy(void *opaque)
{
    struct instance *instance = (struct instance *)opaque;
    sm_exec_destroy(instance->activation);
    free(instance);
}

static uint64_t invoke(void *opaque, enum bench_export function, uint32_t argument)
{
    const struct instance *instance = (const struct instance *)opaque;
    struct sm_exec_result result;
    uint64_t slot = argument;
    sm_exec_invoke(instance->activation, instance->module->exports[function], &slot, &result);
    return result.end == SM_EXEC_RETURNED ? (uint32_t)slot : BENCH_TRAPPED;
}

static uint64_t invoke_within(void *opaque, enum bench_export function, uint32_t argument,
                              uint32_t deadline_ms)
{
    struct instance *instance = (struct instance *)opaque;
    struct sm_watch watch;
    if (sm_watch_begin(&watch, &instance->module->runtime->watchdog, deadline_ms, NULL, NULL) !=
        SMELT_STATUS_OK) {
        return BENCH_TRAPPED;
    }
    uint64_t result = invoke(instance, function, argument);
    sm_watch_end(&watch);
    return result;
}

const struct bench_runtime bench_smelt = {.name = "smelt",
                                          .version = SMELT_VERSION_TEXT,
                                          .open = open_runtime,
                                          .close = close_runtime,
                                          .load = load,
                                          .unload = unload,
                                          .create = create,
                                          .destroy = destroy,
                                          .invoke = invoke,
                                          .invoke_within = invoke_within};
