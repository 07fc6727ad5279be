/* A transaction through the whole engine, over a store in memory, for bench_runtime. */
#ifndef SM_BENCH_RUNTIME_ENGINE_H
#define SM_BENCH_RUNTIME_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

enum bench_engine_function {
    BENCH_ENGINE_SCALAR,   /* n calls of get_block_number */
    BENCH_ENGINE_RANGE,    /* n calls of get_caller, which writes 32 bytes of memory */
    BENCH_ENGINE_STATIC,   /* nothing, in a static transaction */
    BENCH_ENGINE_DEADLINE, /* the same with a deadline */
    BENCH_ENGINE_WRITE     /* one storage_write, committed */
};

struct bench_engine;

/* `scratch` is a directory for a cache. NULL after saying why on stderr. */
struct bench_engine *bench_engine_open(const char *scratch);
void bench_engine_close(struct bench_engine *engine);
bool bench_engine_call(struct bench_engine *engine, enum bench_engine_function function,
                       uint32_t n);

#endif
