/* Faulty: fails on demand. The vault's callee in the tests, and a place to see what each kind of
 * failure looks like from outside. Every function first writes "mark", so that a test can see that
 * a failed call left nothing behind. None of them takes typed arguments: all can be callees.
 *
 *   ok           returns; return data is the input
 *   fail         reverts with "on demand"
 *   trap         unreachable
 *   divide       integer division by zero
 *   wild_read    reads behind the end of memory
 *   recurse      calls itself until the stack limit
 *   spin         loops until the fuel is gone
 *   wrong_key    storage key of 0 bytes: the host traps
 *   marked       result i32: 1 when "mark" is there; writes nothing
 *   call_self    calls itself through the host until that fails; return data (u8) and result (i32):
 *                the code of the innermost call */
#include "support.h"

static uint8_t input[4096];

static void mark(void)
{
    save(KEY("mark"), KEY("x"));
    log_event(TOPIC("Marked"), NULL, 0);
}

SMELT_EXPORT("ok") void faulty_ok(void)
{
    mark();
    return_data(input, (uint32_t)input_read(0, sizeof(input), input));
}

SMELT_EXPORT("fail") void faulty_fail(void)
{
    mark();
    FAIL("on demand");
}

SMELT_EXPORT("trap") void faulty_trap(void)
{
    mark();
    __builtin_trap();
}

SMELT_EXPORT("divide") int32_t faulty_divide(void)
{
    mark();
    volatile int32_t zero = 0;
    return 1000 / zero; /* clang turns 1 / x into comparisons */
}

SMELT_EXPORT("wild_read") int32_t faulty_wild_read(void)
{
    mark();
    const volatile int32_t *far_away = (const volatile int32_t *)(uintptr_t)0xfffffff0u;
    return *far_away;
}

/* The result depends on every frame and `volatile` hides the depth, so no compiler makes a loop of
 * it. */
static volatile int32_t step = 1;

__attribute__((noinline)) static int32_t descend(int32_t depth)
{
    return step == 0 ? depth : descend(depth + step) * 3 + depth;
}

SMELT_EXPORT("recurse") int32_t faulty_recurse(void)
{
    mark();
    return descend(0);
}

SMELT_EXPORT("spin") void faulty_spin(void)
{
    mark();
    while (step != 0) {
    }
}

SMELT_EXPORT("wrong_key") void faulty_wrong_key(void)
{
    mark();
    save(NULL, 0, KEY("x"));
}

SMELT_EXPORT("marked") int32_t faulty_marked(void)
{
    uint8_t value = 0;
    return load(KEY("mark"), &value, sizeof(value)) ? 1 : 0;
}

SMELT_EXPORT("call_self") int32_t faulty_call_self(void)
{
    static const amount nothing;
    struct address self;
    get_contract_address(&self);
    int32_t code = (int32_t)call_contract(&self, "call_self", 9, NULL, 0, &nothing, 0);
    uint8_t deepest = (uint8_t)code;
    if (code == 0) {
        call_result_read(0, 1, &deepest);
    }
    return_data(&deepest, 1);
    return deepest;
}
