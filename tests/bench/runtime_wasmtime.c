/* wasmtime for bench_runtime, through its C API as a node would use it: pooling allocator,
 * copy-on-write images, pre-instantiated modules, unchecked calls, a store for each instance.
 * Compiled by scripts/bench into a shared object, against the headers and the library that
 * `scripts/bench peers` has fetched. */
#include "tests/bench/runtime.h"

#include <wasmtime.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_BYTES ((size_t)2 << 20)

struct runtime {
    struct bench_options options;
    wasm_engine_t *engine;
};

struct import {
    struct runtime *runtime;
    enum bench_import which;
};

struct module {
    struct runtime *runtime;
    wasmtime_module_t *module;
    wasmtime_linker_t *linker;
    wasmtime_instance_pre_t *pre;
    struct import imports[BENCH_IMPORT_COUNT];
};

struct instance {
    wasmtime_store_t *store;
    wasmtime_context_t *context;
    wasmtime_instance_t instance;
    bool is_found[BENCH_EXPORT_COUNT];
    wasmtime_func_t functions[BENCH_EXPORT_COUNT];
};

#define BENCH_EXPORT_NAME(name, text) text,
static const char *const export_names[] = {BENCH_EXPORTS(BENCH_EXPORT_NAME)};

struct import_type {
    const char *module;
    const char *name;
    size_t parameters;
};
#define BENCH_IMPORT_TYPE(name, module, text, parameters) {module, text, parameters},
static const struct import_type import_types[] = {BENCH_IMPORTS(BENCH_IMPORT_TYPE)};

/* Consumes both; true when there was one. */
static bool failed(wasmtime_error_t *error, wasm_trap_t *trap)
{
    wasm_byte_vec_t message;
    if (error == NULL && trap == NULL) {
        return false;
    }
    if (error != NULL) {
        wasmtime_error_message(error, &message);
        wasmtime_error_delete(error);
    } else {
        wasm_trap_message(trap, &message);
        wasm_trap_delete(trap);
    }
    (void)fprintf(stderr, "bench_runtime: wasmtime: %.*s\n", (int)message.size, message.data);
    wasm_byte_vec_delete(&message);
    return true;
}

static void *open_runtime(const struct bench_options *options)
{
    struct runtime *runtime = (struct runtime *)calloc(1, sizeof(*runtime));
    wasm_config_t *config = wasm_config_new();
    wasmtime_pooling_allocation_config_t *pool = wasmtime_pooling_allocation_config_new();
    if (runtime == NULL || config == NULL || pool == NULL) {
        abort();
    }
    wasmtime_pooling_allocation_config_total_core_instances_set(pool, options->instances);
    wasmtime_pooling_allocation_config_total_memories_set(pool, options->instances);
    wasmtime_pooling_allocation_config_total_tables_set(pool, options->instances);
    wasmtime_pooling_allocation_config_max_unused_warm_slots_set(pool, options->instances);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool, MEMORY_BYTES);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool,
                                                                       options->resident_bytes);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
    wasmtime_config_memory_init_cow_set(config, true);
    wasmtime_config_consume_fuel_set(config, options->is_metered);
    wasmtime_config_epoch_interruption_set(config, options->is_watched);
    runtime->options = *options;
    runtime->engine = wasm_engine_new_with_config(config);
    if (runtime->engine == NULL) {
        (void)fprintf(stderr, "bench_runtime: wasmtime: cannot make an engine\n");
        free(runtime);
        return NULL;
    }
    return runtime;
}

static void close_runtime(void *opaque)
{
    struct runtime *runtime = (struct runtime *)opaque;
    wasm_engine_delete(runtime->engine);
    free(runtime);
}

static wasm_trap_t *on_call(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *values,
                            size_t count)
{
    const struct import *import = (const struct import *)env;
    uint64_t arguments[4];
    uint8_t *data = NULL;
    (void)count;
    for (size_t i = 0; i < import_types[import->which].parameters; i++) {
        arguments[i] = (uint32_t)values[i].i32;
    }
    if (import->which <= BENCH_IMPORT_STORAGE_WRITE) {
        wasmtime_extern_t memory;
        if (wasmtime_caller_export_get(caller, "memory", strlen("memory"), &memory)) {
            data = wasmtime_memory_data(wasmtime_caller_context(caller), &memory.of.memory);
        }
    }
    values[0].i64 = (int64_t)import->runtime->options.host(import->which, arguments, data);
    return NULL;
}

static wasm_functype_t *type_of(enum bench_import import)
{
    wasm_valtype_vec_t parameters;
    wasm_valtype_vec_t results;
    wasm_valtype_vec_new_uninitialized(&parameters, import_types[import].parameters);
    for (size_t i = 0; i < parameters.size; i++) {
        parameters.data[i] = wasm_valtype_new(WASM_I32);
    }
    wasm_valtype_vec_new_uninitialized(&results, 1);
    results.data[0] = wasm_valtype_new(import == BENCH_IMPORT_STORAGE_READ ? WASM_I64 : WASM_I32);
    return wasm_functype_new(&parameters, &results);
}

static void unload(void *opaque)
{
    struct module *module = (struct module *)opaque;
    if (module->pre != NULL) {
        wasmtime_instance_pre_delete(module->pre);
    }
    if (module->linker != NULL) {
        wasmtime_linker_delete(module->linker);
    }
    if (module->module != NULL) {
        wasmtime_module_delete(module->module);
    }
    free(module);
}

static bool define_imports(struct module *module)
{
    for (int i = 0; i < BENCH_IMPORT_COUNT; i++) {
        const struct import_type *import = &import_types[i];
        module->imports[i] =
            (struct import){.runtime = module->runtime, .which = (enum bench_import)i};
        wasm_functype_t *type = type_of((enum bench_import)i);
        wasmtime_error_t *error = wasmtime_linker_define_func_unchecked(
            module->linker, import->module, strlen(import->module), import->name,
            strlen(import->name), type, on_call, &module->imports[i], NULL);
        wasm_functype_delete(type);
        if (failed(error, NULL)) {
            return false;
        }
    }
    return true;
}

static void *load(void *opaque, const uint8_t *wasm, size_t size)
{
    struct runtime *runtime = (struct runtime *)opaque;
    struct module *module = (struct module *)calloc(1, sizeof(*module));
    if (module == NULL) {
        abort();
    }
    module->runtime = runtime;
    module->linker = wasmtime_linker_new(runtime->engine);
    if (failed(wasmtime_module_new(runtime->engine, wasm, size, &module->module), NULL) ||
        !define_imports(module) ||
        failed(wasmtime_linker_instantiate_pre(module->linker, module->module, &module->pre),
               NULL)) {
        unload(module);
        return NULL;
    }
    return module;
}

static void destroy(void *opaque)
{
    struct instance *instance = (struct instance *)opaque;
    wasmtime_store_delete(instance->store);
    free(instance);
}

static void *create(void *opaque)
{
    const struct module *module = (const struct module *)opaque;
    const struct bench_options *options = &module->runtime->options;
    struct instance *instance = (struct instance *)malloc(sizeof(*instance));
    wasm_trap_t *trap = NULL;
    if (instance == NULL) {
        return NULL;
    }
    memset(instance->is_found, 0, sizeof(instance->is_found));
    instance->store = wasmtime_store_new(module->runtime->engine, NULL, NULL);
    instance->context = wasmtime_store_context(instance->store);
    if (options->is_metered &&
        failed(wasmtime_context_set_fuel(instance->context, BENCH_FUEL), NULL)) {
        destroy(instance);
        return NULL;
    }
    if (options->is_watched) {
        wasmtime_context_set_epoch_deadline(instance->context, UINT32_MAX);
    }
    wasmtime_error_t *error = wasmtime_instance_pre_instantiate(module->pre, instance->context,
                                                                &instance->instance, &trap);
    if (failed(error, trap)) {
        destroy(instance);
        return NULL;
    }
    return instance;
}

static bool find(struct instance *instance, enum bench_export function)
{
    wasmtime_extern_t item;
    if (!wasmtime_instance_export_get(instance->context, &instance->instance,
                                      export_names[function], strlen(export_names[function]),
                                      &item)) {
        return false;
    }
    instance->functions[function] = item.of.func;
    instance->is_found[function] = true;
    return true;
}

static uint64_t invoke(void *opaque, enum bench_export function, uint32_t argument)
{
    struct instance *instance = (struct instance *)opaque;
    wasmtime_val_raw_t slot;
    wasm_trap_t *trap = NULL;
    if (!instance->is_found[function] && !find(instance, function)) {
        return BENCH_TRAPPED;
    }
    slot.i32 = (int32_t)argument;
    wasmtime_error_t *error = wasmtime_func_call_unchecked(
        instance->context, &instance->functions[function], &slot, 1, &trap);
    if (trap != NULL) {
        wasm_trap_delete(trap);
        return BENCH_TRAPPED;
    }
    return failed(error, NULL) ? BENCH_TRAPPED : (uint32_t)slot.i32;
}

/* The embedder's timer that increments the epoch is not part of this. */
static uint64_t invoke_within(void *opaque, enum bench_export function, uint32_t argument,
                              uint32_t deadline_ms)
{
    struct instance *instance = (struct instance *)opaque;
    wasmtime_context_set_epoch_deadline(instance->context, deadline_ms);
    return invoke(instance, function, argument);
}

extern const struct bench_runtime bench_runtime; /* dlsym */
const struct bench_runtime bench_runtime = {.name = "wasmtime",
                                            .version = WASMTIME_VERSION,
                                            .open = open_runtime,
                                            .close = close_runtime,
                                            .load = load,
                                            .unload = unload,
                                            .create = create,
                                            .destroy = destroy,
                                            .invoke = invoke,
                                            .invoke_within = invoke_within};
