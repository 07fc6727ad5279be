/* Whatever the gate lets in can be instrumented, and what comes out is a module in our eyes and in
 * wabt's, and proven to be a right translation. */
#include "base/arena.h"
#include "compiler/instrument/check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/peer.h"

static const struct smelt_schedule *schedule(void)
{
    static struct smelt_schedule *loaded;
    struct smelt_error err = {0};
    FUZZ_CHECK(loaded != NULL || smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &loaded,
                                                        &err) == SMELT_STATUS_OK,
               "%s", err.message);
    return loaded;
}

static void check_instrumented(const struct sm_instrumented *instrumented)
{
    struct smelt_slice wasm = sm_buf_slice(&instrumented->wasm);
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    struct smelt_error err = {0};
    char why[200] = "";
    enum smelt_status status = sm_wasm_decode(wasm, &arena, &module, &err);
    if (status == SMELT_STATUS_OK) {
        status = sm_wasm_validate(&module, &arena, &err);
    }
    FUZZ_CHECK(status == SMELT_STATUS_OK, "instrumented: %s in %s, function %lld, at %lld",
               err.message, err.where, (long long)err.func_index, (long long)err.offset);
    FUZZ_CHECK(fuzz_ask_wabt(wasm, why, sizeof(why)) == FUZZ_ACCEPTED, "instrumented: wabt: %s",
               why);
    sm_arena_deinit(&arena);
}

static void instrument(const struct sm_wasm_module *module, const struct sm_policy *policy,
                       struct sm_arena *arena)
{
    struct sm_instrumented instrumented = {0};
    struct smelt_error err = {0};
    enum smelt_status status = sm_instrument(module, policy, &smelt_profile_engine, schedule(),
                                             arena, &instrumented, &err);
    FUZZ_CHECK(status == SMELT_STATUS_OK, "%s: %s", smelt_status_name(status), err.message);
    check_instrumented(&instrumented);
    const struct sm_check_input input = {.module = module,
                                         .policy = policy,
                                         .profile = &smelt_profile_engine,
                                         .schedule = schedule(),
                                         .instrumented = sm_buf_slice(&instrumented.wasm),
                                         .lists = &instrumented};
    status = sm_check(&input, &err);
    FUZZ_CHECK(status == SMELT_STATUS_OK, "%s: %s, function %lld, at %lld",
               smelt_status_name(status), err.message, (long long)err.func_index,
               (long long)err.offset);
    smelt_buf_deinit(&instrumented.wasm);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    struct sm_policy policy;
    sm_policy_init(&policy, SMELT_FLOAT_CANONICAL_NAN, true);
    if (sm_wasm_decode(sm_slice(data, size), &arena, &module, NULL) == SMELT_STATUS_OK &&
        sm_wasm_validate(&module, &arena, NULL) == SMELT_STATUS_OK &&
        sm_gate_check(&module, &policy, &smelt_profile_engine, NULL) == SMELT_STATUS_OK) {
        instrument(&module, &policy, &arena);
    }
    sm_arena_deinit(&arena);
    return 0;
}
