/* Public interface only. */
#include "tests/bench/runtime_engine.h"

#include <smelt/smelt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUEL UINT64_C(1000000000)

static const char contract_text[] =
    "(module"
    "  (import \"env\" \"get_block_number\" (func $number (result i64)))"
    "  (import \"env\" \"get_caller\" (func $caller (param i32) (result i32)))"
    "  (import \"env\" \"storage_write\""
    "    (func $write (param i32 i32 i32 i32) (result i32)))"
    "  (memory (export \"memory\") 1)"
    "  (func (export \"scalar\") (param $n i32)"
    "    (loop $again (drop (call $number))"
    "      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"
    "  (func (export \"range\") (param $n i32)"
    "    (loop $again (drop (call $caller (i32.const 64)))"
    "      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"
    "  (func (export \"empty\") (param i32))"
    "  (func (export \"write\") (param $n i32)"
    "    (drop (call $write (i32.const 0) (i32.const 7) (i32.const 64) (i32.const 4)))))";

static const struct {
    const char *function;
    uint64_t deadline_ms;
    bool is_static;
} calls[] = {[BENCH_ENGINE_SCALAR] = {"scalar", 0, true},
             [BENCH_ENGINE_RANGE] = {"range", 0, true},
             [BENCH_ENGINE_STATIC] = {"empty", 0, true},
             [BENCH_ENGINE_DEADLINE] = {"empty", 60000, true},
             [BENCH_ENGINE_WRITE] = {"write", 0, false}};

struct bench_engine {
    struct smelt_cache *cache;
    struct smelt_schedule *schedule;
    struct smelt_compiler *compiler;
    struct smelt_store *store;
    struct smelt_engine *engine;
    struct smelt_address contract;
};

static bool failed(enum smelt_status status, const struct smelt_error *err)
{
    if (status != SMELT_STATUS_OK) {
        (void)fprintf(stderr, "bench_runtime: engine: %s: %s\n", smelt_status_name(status),
                      err->message);
    }
    return status != SMELT_STATUS_OK;
}

void bench_engine_close(struct bench_engine *engine)
{
    smelt_engine_destroy(engine->engine);
    smelt_store_close(engine->store);
    smelt_compiler_destroy(engine->compiler);
    smelt_schedule_destroy(engine->schedule);
    smelt_cache_close(engine->cache);
    free(engine);
}

static bool open_parts(struct bench_engine *engine, const char *scratch, struct smelt_error *err)
{
    if (failed(smelt_cache_open(scratch, &engine->cache, err), err) ||
        failed(smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &engine->schedule, err),
               err) ||
        failed(smelt_store_create_memory(&engine->store, err), err)) {
        return false;
    }
    const struct smelt_compiler_options options = {.cache = engine->cache,
                                                   .schedule = engine->schedule};
    if (failed(smelt_compiler_create(&options, &engine->compiler, err), err)) {
        return false;
    }
    const struct smelt_engine_options engine_options = {
        .store = engine->store,
        .schedule = engine->schedule,
        .source = smelt_compiler_source(engine->compiler)};
    return !failed(smelt_engine_create(&engine_options, &engine->engine, err), err);
}

struct bench_engine *bench_engine_open(const char *scratch)
{
    const struct smelt_transaction transaction = {.from = {.bytes = {1}}};
    struct smelt_slice text = {(const uint8_t *)contract_text, sizeof(contract_text) - 1};
    struct smelt_buf wasm = {0};
    struct smelt_receipt *receipt = NULL;
    struct smelt_error err = {0};
    struct bench_engine *engine = (struct bench_engine *)calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return NULL;
    }
    bool is_open = open_parts(engine, scratch, &err) &&
                   !failed(smelt_wat_to_wasm(text, &wasm, &err), &err) &&
                   !failed(smelt_deploy(engine->engine, &transaction,
                                        (struct smelt_slice){wasm.data, wasm.size}, &receipt, &err),
                           &err);
    smelt_buf_deinit(&wasm);
    if (!is_open) {
        bench_engine_close(engine);
        return NULL;
    }
    engine->contract = receipt->address;
    smelt_receipt_destroy(receipt);
    return engine;
}

bool bench_engine_call(struct bench_engine *engine, enum bench_engine_function function, uint32_t n)
{
    const struct smelt_transaction transaction = {.from = {.bytes = {1}},
                                                  .fuel_limit = FUEL,
                                                  .is_static = calls[function].is_static,
                                                  .deadline_ms = calls[function].deadline_ms};
    const struct smelt_value argument = {.type = SMELT_VALTYPE_I32, .bits = n};
    struct smelt_receipt *receipt = NULL;
    struct smelt_error err = {0};
    if (failed(smelt_call(engine->engine, &transaction, &engine->contract, calls[function].function,
                          &argument, 1, &receipt, &err),
               &err)) {
        return false;
    }
    bool is_done = receipt->outcome.kind == SMELT_OUTCOME_RETURNED;
    smelt_receipt_destroy(receipt);
    return is_done;
}
