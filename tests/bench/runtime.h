/* A runtime as bench_runtime sees it: modules, instances, calls. Two files implement it,
 * runtime_smelt.c in the program itself and runtime_wasmtime.c in a shared object that
 * scripts/bench builds where wasmtime is. What contracts import is the harness's, the same for
 * both. Every export takes and returns an i32, or takes nothing. */
#ifndef SM_BENCH_RUNTIME_H
#define SM_BENCH_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exports of runtime.wat, and of the counter. */
#define BENCH_EXPORTS(X)                                                                           \
    X(EMPTY, "empty")                                                                              \
    X(ECHO, "echo")                                                                                \
    X(TOUCH, "touch")                                                                              \
    X(NEST, "nest")                                                                                \
    X(TRAP, "trap")                                                                                \
    X(SPIN, "spin")                                                                                \
    X(SPIN_ECHO, "spin_echo")                                                                      \
    X(SPIN_FILL, "spin_fill")                                                                      \
    X(INCREMENT, "increment")

#define BENCH_EXPORT_ENUMERATOR(name, text) BENCH_##name,
enum bench_export { BENCH_EXPORTS(BENCH_EXPORT_ENUMERATOR) BENCH_EXPORT_COUNT };

/* What they import; parameters are i32, and so is the result, but for the first. */
#define BENCH_IMPORTS(X)                                                                           \
    X(STORAGE_READ, "env", "storage_read", 2)                                                      \
    X(STORAGE_WRITE, "env", "storage_write", 4)                                                    \
    X(ECHO, "bench", "echo", 1)                                                                    \
    X(NEST, "bench", "nest", 1)

#define BENCH_IMPORT_ENUMERATOR(name, module, text, parameters) BENCH_IMPORT_##name,
enum bench_import { BENCH_IMPORTS(BENCH_IMPORT_ENUMERATOR) BENCH_IMPORT_COUNT };

#define BENCH_FUEL    UINT64_C(1000000000000)
#define BENCH_TRAPPED UINT64_MAX

struct bench_options {
    uint32_t instances; /* at a time */
    bool is_metered;    /* what can be metered or not is */
    bool is_watched;    /* calls can be stopped */
    /* of a memory that is given back, where that is for the embedder to say */
    uint32_t resident_bytes;
    /* `data` is the instance's memory when the function needs it (STORAGE_), NULL otherwise. */
    uint64_t (*host)(enum bench_import import, const uint64_t *arguments, uint8_t *data);
    const char *scratch; /* an empty directory */
};

struct bench_runtime {
    const char *name;
    const char *version;
    /* NULL after saying why on stderr; so do the others. */
    void *(*open)(const struct bench_options *options);
    void (*close)(void *runtime);
    void *(*load)(void *runtime, const uint8_t *wasm, size_t size);
    void (*unload)(void *module);
    void *(*create)(void *module);
    void (*destroy)(void *instance);
    /* The i32 result, or BENCH_TRAPPED. */
    uint64_t (*invoke)(void *instance, enum bench_export function, uint32_t argument);
    /* The same under a deadline; the runtime is watched. BENCH_TRAPPED when it passed. */
    uint64_t (*invoke_within)(void *instance, enum bench_export function, uint32_t argument,
                              uint32_t deadline_ms);
};

#define BENCH_RUNTIME_SYMBOL "bench_runtime"

#endif
