/* Random trees of nested calls against a reference that is too simple to be wrong: a world of small
 * arrays, copied before each call and put back when the call fails. The reference runs while a tree
 * is being made, so every script carries what it expects: results of host calls and of nested calls
 * as SCRIPT_EXPECT, and callers and values as events. Afterwards storage, balances, events and
 * return data must be the reference's.
 *
 * Delegate calls are no part of the `env` ABI: the profile of these tests makes one of each static
 * call to a function whose name ends in '!'. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "runtime/host/engine.h"
#include "tests/unit/runtime/engine_fixture.h"

#include <stdio.h>
#include <string.h>

#define GUEST "guest_host.so"

#define TREES       600u
#define CONTRACTS   4u
#define BOB         CONTRACTS /* an account without code */
#define ACCOUNTS    (CONTRACTS + 1)
#define KEYS        3u
#define EVENTS_MAX  256u
#define DEPTH_MAX   5u
#define NODES_MAX   20u
#define ACTIONS_MAX 5u

#define AT_ADDRESS  (GUEST_FREE)
#define AT_AMOUNT   (GUEST_FREE + 32)
#define AT_FUNCTION (GUEST_FREE + 64)
#define AT_KEY      (GUEST_FREE + 72)
#define AT_CALLER   (GUEST_FREE + 80)
#define AT_VALUE    (GUEST_FREE + 112)
#define AT_INPUT    (GUEST_FREE + 256)

/* ---- the reference --------------------------------------------------------------------------- */

struct event {
    unsigned address;
    unsigned caller; /* index of an account, or ALICE */
    uint64_t value;
};
#define ALICE ACCOUNTS

struct world {
    uint64_t balances[ACCOUNTS];
    size_t sizes[CONTRACTS][KEYS]; /* of the value; 0: no such key */
    struct event events[EVENTS_MAX];
    size_t event_count;
};

struct node {
    const struct node *outer;
    unsigned address; /* whose storage it works on */
    unsigned caller;
    uint64_t value;
    bool is_again; /* it runs "again", not "run" */
    bool is_static;
    unsigned depth;
};

struct tree {
    struct world world;
    struct smelt_address addresses[ACCOUNTS];
    enum smelt_reentrancy reentrancy;
    uint64_t random;
    unsigned node_count;
    unsigned calls[SMELT_NESTED_REENTRANT + 1]; /* results seen, over all trees */
    unsigned kinds[SMELT_NESTED_DELEGATE + 1];
};

static unsigned pick(struct tree *tree, unsigned count)
{
    tree->random = tree->random * UINT64_C(6364136223846793005) + 1;
    return (unsigned)(tree->random >> 33) % count;
}

/* An amount to send: often none, sometimes more than there is. */
static uint64_t pick_amount(struct tree *tree, unsigned limit)
{
    unsigned choice = pick(tree, 8);
    return choice < 3 ? 0 : choice < 7 ? pick(tree, limit) : UINT64_C(1) << 40;
}

/* ---- one action, in the script and in the reference ------------------------------------------ */

/* False when it ends the node, which is then a trap. */
static bool act_write(struct tree *tree, const struct node *node, struct script *script)
{
    size_t *size = &tree->world.sizes[node->address][pick(tree, KEYS)];
    size_t key = (size_t)(size - tree->world.sizes[node->address]);
    size_t new_size = pick(tree, 3) == 0 ? 0 : 1 + pick(tree, 100);
    script_poke(script, AT_KEY, sm_slice((const uint8_t[]){'k', (uint8_t)key}, 2));
    if (new_size == 0) {
        SCRIPT_HOSTN(script, storage_delete, AT_KEY, 2);
    } else {
        SCRIPT_HOSTN(script, storage_write, AT_KEY, 2, GUEST_ZEROES, new_size);
    }
    if (node->is_static) {
        return false;
    }
    script_word(script, SCRIPT_EXPECT, *size != 0);
    *size = new_size;
    return true;
}

static bool act_read(struct tree *tree, const struct node *node, struct script *script)
{
    unsigned key = pick(tree, KEYS);
    size_t size = tree->world.sizes[node->address][key];
    script_poke(script, AT_KEY, sm_slice((const uint8_t[]){'k', (uint8_t)key}, 2));
    SCRIPT_HOSTN(script, storage_read, AT_KEY, 2);
    script_word(script, SCRIPT_EXPECT, size != 0 ? (uint64_t)GUEST_PAGE << 32 | size : 0);
    return true;
}

/* An event with the caller as topic and the value as data. */
static bool act_emit(struct tree *tree, const struct node *node, struct script *script)
{
    struct world *world = &tree->world;
    SCRIPT_HOSTN(script, get_caller, AT_CALLER);
    SCRIPT_HOSTN(script, get_value, AT_VALUE);
    SCRIPT_HOSTN(script, log_event, AT_CALLER, 32, AT_VALUE, 16);
    if (node->is_static) {
        return false;
    }
    assert_true(world->event_count < EVENTS_MAX);
    world->events[world->event_count++] =
        (struct event){.address = node->address, .caller = node->caller, .value = node->value};
    return true;
}

static void poke_amount(struct script *script, uint64_t amount)
{
    uint8_t bytes[16] = {0};
    sm_store_le64(bytes, amount);
    script_poke(script, AT_AMOUNT, sm_slice(bytes, sizeof(bytes)));
}

static bool act_transfer(struct tree *tree, const struct node *node, struct script *script)
{
    unsigned to = pick(tree, ACCOUNTS);
    uint64_t amount = pick_amount(tree, 60);
    uint64_t *balance = &tree->world.balances[node->address];
    script_poke(script, AT_ADDRESS, sm_slice(tree->addresses[to].bytes, 32));
    poke_amount(script, amount);
    SCRIPT_HOSTN(script, transfer, AT_ADDRESS, AT_AMOUNT);
    if (node->is_static) {
        return false;
    }
    script_word(script, SCRIPT_EXPECT, amount > *balance);
    if (amount <= *balance) {
        *balance -= amount;
        tree->world.balances[to] += amount;
    }
    return true;
}

static enum smelt_nested_result grow(struct tree *tree, const struct node *node,
                                     struct script *script, size_t *result_size);

static bool is_reentrant(const struct tree *tree, const struct node *callee, bool is_delegate)
{
    if (tree->reentrancy == SMELT_REENTRANCY_BLOCKED && is_delegate) {
        return false;
    }
    for (const struct node *at = callee->outer;
         tree->reentrancy != SMELT_REENTRANCY_ALLOWED && at != NULL; at = at->outer) {
        if (at->address == callee->address &&
            (tree->reentrancy == SMELT_REENTRANCY_BLOCKED || at->is_again == callee->is_again)) {
            return true;
        }
    }
    return false;
}

/* What the reference makes of a call; `input` becomes the callee's script. */
static enum smelt_nested_result call(struct tree *tree, const struct node *node, unsigned target,
                                     enum smelt_nested_kind kind, uint64_t value,
                                     struct script *input, size_t *result_size)
{
    static struct world stack[DEPTH_MAX + 1];
    struct world *before = &stack[node->depth];
    bool is_delegate = kind == SMELT_NESTED_DELEGATE;
    struct node callee = {.outer = node,
                          .address = is_delegate ? node->address : target,
                          .caller = is_delegate ? node->caller : node->address,
                          .value = is_delegate ? node->value : value,
                          .is_again = kind != SMELT_NESTED_CALL,
                          .is_static = node->is_static || kind == SMELT_NESTED_STATIC,
                          .depth = node->depth + 1};
    *result_size = 0;
    if (node->depth == DEPTH_MAX) {
        return SMELT_NESTED_DEPTH;
    }
    if (target == BOB) {
        return SMELT_NESTED_NO_CONTRACT;
    }
    if (is_reentrant(tree, &callee, is_delegate)) {
        return SMELT_NESTED_REENTRANT;
    }
    if (value > tree->world.balances[node->address]) {
        return SMELT_NESTED_BALANCE;
    }
    *before = tree->world;
    tree->world.balances[node->address] -= value;
    tree->world.balances[callee.address] += is_delegate ? 0 : value;
    enum smelt_nested_result result = grow(tree, &callee, input, result_size);
    if (result != SMELT_NESTED_RETURNED) {
        tree->world = *before;
    }
    return result;
}

static bool act_call(struct tree *tree, const struct node *node, struct script *script)
{
    unsigned target = pick(tree, 8) == 0 ? BOB : pick(tree, CONTRACTS);
    enum smelt_nested_kind kind = (enum smelt_nested_kind)pick(tree, 3);
    uint64_t value = kind == SMELT_NESTED_CALL ? pick_amount(tree, 40) : 0;
    size_t result_size = 0;
    struct script *input = (struct script *)test_calloc(1, sizeof(*input));
    bool is_violation = value != 0 && node->is_static;
    enum smelt_nested_result result =
        is_violation ? SMELT_NESTED_TRAPPED
                     : call(tree, node, target, kind, value, input, &result_size);
    /* two functions with the same body: the one for plain calls, the other for the rest */
    const char *function = kind == SMELT_NESTED_CALL     ? "run"
                           : kind == SMELT_NESTED_STATIC ? "again"
                                                         : "again!";
    size_t function_size = strlen(function);
    script_poke(script, AT_ADDRESS, sm_slice(tree->addresses[target].bytes, 32));
    poke_amount(script, value);
    script_poke(script, AT_FUNCTION, sm_slice(function, function_size));
    script_poke(script, AT_INPUT, sm_slice(input->bytes, input->size));
    if (kind == SMELT_NESTED_CALL) {
        SCRIPT_HOSTN(script, call_contract, AT_ADDRESS, AT_FUNCTION, function_size, AT_INPUT,
                     input->size, AT_AMOUNT, 0);
    } else {
        SCRIPT_HOSTN(script, call_contract_static, AT_ADDRESS, AT_FUNCTION, function_size, AT_INPUT,
                     input->size, 0);
    }
    test_free(input);
    if (is_violation) {
        return false;
    }
    tree->calls[result]++;
    tree->kinds[kind]++;
    script_word(script, SCRIPT_EXPECT, result);
    SCRIPT_HOST0(script, call_result_len);
    script_word(script, SCRIPT_EXPECT, result_size);
    return true;
}

/* ---- a node ---------------------------------------------------------------------------------- */

static bool act(struct tree *tree, const struct node *node, struct script *script)
{
    static bool (*const effects[])(struct tree *, const struct node *,
                                   struct script *) = {act_write, act_emit, act_transfer};
    unsigned choice = pick(tree, 12);
    if (choice < 4) {
        /* in a static call these end the node: not too often */
        return node->is_static && pick(tree, 4) != 0 ? true
                                                     : effects[pick(tree, 3)](tree, node, script);
    }
    if (choice < 6 || tree->node_count >= NODES_MAX) {
        return act_read(tree, node, script);
    }
    return act_call(tree, node, script);
}

/* Makes the script of a node while it carries it out on the reference. */
static enum smelt_nested_result grow(struct tree *tree, const struct node *node,
                                     struct script *script, size_t *result_size)
{
    unsigned count = 1 + pick(tree, ACTIONS_MAX);
    tree->node_count++;
    *result_size = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!act(tree, node, script)) {
            return SMELT_NESTED_TRAPPED;
        }
    }
    size_t size = pick(tree, 50);
    switch (pick(tree, 8)) {
    case 0:
        SCRIPT_HOSTN(script, revert, GUEST_ZEROES, size);
        *result_size = size;
        return SMELT_NESTED_REVERTED;
    case 1:
        script_word(script, SCRIPT_TRAP, 0);
        return SMELT_NESTED_TRAPPED;
    case 2:
        script_word(script, SCRIPT_BURN, UINT64_C(1) << 62);
        return SMELT_NESTED_OUT_OF_FUEL;
    default:
        SCRIPT_HOSTN(script, return_data, GUEST_ZEROES, size);
        *result_size = size;
        return SMELT_NESTED_RETURNED;
    }
}

/* ---- the engine's side ----------------------------------------------------------------------- */

static enum smelt_host_action call_static_or_delegate(struct smelt_host_call *call)
{
    struct smelt_nested_call nested = {
        .function = sm_slice(call->args[1].data, call->args[1].size),
        .input = sm_slice(call->args[2].data, call->args[2].size),
        .kind = SMELT_NESTED_STATIC,
    };
    enum smelt_nested_result result;
    memcpy(nested.address.bytes, call->args[0].data, SMELT_ADDRESS_BYTES);
    if (nested.function.size != 0 && nested.function.data[nested.function.size - 1] == '!') {
        nested.function.size--;
        nested.kind = SMELT_NESTED_DELEGATE;
    }
    if (smelt_host_call_contract(call, &nested, &result) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    call->result = (uint64_t)result;
    return SMELT_HOST_CONTINUE;
}

static struct smelt_engine *make_engine(struct fixture *fixture, struct smelt_profile *profile,
                                        struct smelt_schedule **schedule,
                                        enum smelt_reentrancy reentrancy)
{
    static smelt_host_fn handlers[64];
    struct smelt_engine *engine = NULL;
    assert_true(profile->function_count <= sizeof(handlers) / sizeof(handlers[0]));
    memcpy(handlers, sm_engine_handlers, profile->function_count * sizeof(handlers[0]));
    handlers[GUEST_HOST_call_contract_static] = call_static_or_delegate;
    profile->reentrancy = reentrancy;
    profile->call_depth_max = DEPTH_MAX;
    assert_int_equal(smelt_schedule_builtin("engine-v1", profile, schedule, &fixture->err),
                     SMELT_STATUS_OK);
    const struct smelt_engine_options options = {.store = &fixture->store,
                                                 .schedule = *schedule,
                                                 .source = fixture_source(fixture),
                                                 .profile = profile,
                                                 .handlers = handlers};
    if (smelt_engine_create(&options, &engine, &fixture->err) != SMELT_STATUS_OK) {
        fail_msg("engine: %s", fixture->err.message);
    }
    return engine;
}

static const struct smelt_address *address_of(const struct tree *tree, unsigned account)
{
    return account == ALICE ? &alice : &tree->addresses[account];
}

static void compare_state(struct fixture *fixture, const struct tree *tree)
{
    static const uint8_t zeroes[128];
    uint8_t value[128];
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        assert_int_equal(balance_of(fixture, &tree->addresses[i]), tree->world.balances[i]);
    }
    for (unsigned i = 0; i < CONTRACTS; i++) {
        for (unsigned key = 0; key < KEYS; key++) {
            const uint8_t name[] = {'k', (uint8_t)key};
            size_t size = stored(fixture, &tree->addresses[i], sm_slice(name, 2), value, 128);
            size_t wanted = tree->world.sizes[i][key];
            assert_int_equal(size, wanted != 0 ? wanted : SIZE_MAX);
            assert_memory_equal(value, zeroes, wanted);
        }
    }
}

static void compare_receipt(const struct tree *tree, const struct smelt_receipt *receipt,
                            enum smelt_nested_result result, size_t result_size)
{
    static const enum smelt_outcome_kind kinds[] = {
        [SMELT_NESTED_RETURNED] = SMELT_OUTCOME_RETURNED,
        [SMELT_NESTED_REVERTED] = SMELT_OUTCOME_REVERTED,
        [SMELT_NESTED_TRAPPED] = SMELT_OUTCOME_TRAPPED,
        [SMELT_NESTED_OUT_OF_FUEL] = SMELT_OUTCOME_OUT_OF_FUEL};
    const struct world *world = &tree->world;
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind),
                        smelt_outcome_name(kinds[result]));
    assert_int_equal(receipt->return_data.size, result_size);
    assert_int_equal(receipt->event_count, world->event_count);
    for (size_t i = 0; i < world->event_count; i++) {
        const struct event *event = &world->events[i];
        const struct smelt_event *actual = &receipt->events[i];
        assert_memory_equal(&actual->address, address_of(tree, event->address), 32);
        assert_slice(actual->topic, address_of(tree, event->caller)->bytes, 32);
        assert_int_equal(sm_load_le64(actual->data.data), event->value);
    }
}

/* The same transaction while the machine fails at the n-th allocation or read, for a sample of n:
 * a status, and a state as if it had never been sent. */
static void fail_at_points(struct fixture *fixture, struct tree *tree, const struct world *before)
{
    const struct world after = tree->world;
    size_t nth = 1 + pick(tree, 5);
    bool is_done = false;
    tree->world = *before;
    for (; !is_done && nth < 4000; nth += 1 + nth / 3 + pick(tree, 7)) {
        sm_alloc_fail_at(nth);
        enum smelt_status status = fixture_try_call(fixture, &tree->addresses[0], "run", NULL, 0);
        sm_alloc_fail_at(0);
        if (status == SMELT_STATUS_OK) { /* it came to its end without */
            is_done = true;
        } else {
            assert_string_equal(smelt_status_name(status),
                                smelt_status_name(SMELT_STATUS_NO_MEMORY));
            compare_state(fixture, tree);
        }
    }
    for (nth = 1; !is_done && nth < 200; nth += 1 + pick(tree, 9)) {
        fixture->fail_get = nth;
        enum smelt_status status = fixture_try_call(fixture, &tree->addresses[0], "run", NULL, 0);
        is_done = status == SMELT_STATUS_OK;
        fixture->fail_get = 0;
        if (!is_done) {
            assert_string_equal(smelt_status_name(status), smelt_status_name(SMELT_STATUS_IO));
            compare_state(fixture, tree);
        }
    }
    tree->world = after;
    if (!is_done) {
        assert_int_equal(fixture_try_call(fixture, &tree->addresses[0], "run", NULL, 0),
                         SMELT_STATUS_OK);
    }
}

static void run_tree(struct fixture *fixture, struct tree *tree, bool has_failures)
{
    static struct script script;
    static struct world before;
    size_t result_size = 0;
    uint64_t value = pick(tree, 50);
    const struct node root = {.address = 0, .caller = ALICE, .value = value, .depth = 1};
    tree->world.event_count = 0;
    tree->node_count = 0;
    script.size = 0;
    before = tree->world;
    tree->world.balances[0] += value;
    enum smelt_nested_result result = grow(tree, &root, &script, &result_size);
    if (result != SMELT_NESTED_RETURNED) {
        tree->world = before;
    }
    fixture->transaction.value.low = value;
    fixture->transaction.fuel_limit = SMELT_FUEL_MAX / 4;
    fixture->transaction.input = sm_slice(script.bytes, script.size);
    if (has_failures) {
        fail_at_points(fixture, tree, &before);
    } else {
        assert_int_equal(fixture_try_call(fixture, &tree->addresses[0], "run", NULL, 0),
                         SMELT_STATUS_OK);
    }
    compare_receipt(tree, fixture->receipt, result, result_size);
    compare_state(fixture, tree);
}

static void trees(void **state, enum smelt_reentrancy reentrancy)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct smelt_profile profile = smelt_profile_engine;
    struct smelt_schedule *schedule = NULL;
    static struct tree tree;
    memset(&tree, 0, sizeof(tree));
    tree.reentrancy = reentrancy;
    tree.random = 7 + (uint64_t)reentrancy;
    smelt_engine_destroy(fixture->engine);
    smelt_store_close(fixture->inner); /* the fixture's engine has claimed it for its profile */
    assert_int_equal(smelt_store_create_memory(&fixture->inner, NULL), SMELT_STATUS_OK);
    fixture->engine = make_engine(fixture, &profile, &schedule, reentrancy);
    assert_int_equal(
        smelt_account_fund(&fixture->store, &alice, (struct smelt_u128){.low = 100 * TREES}, NULL),
        SMELT_STATUS_OK);
    for (unsigned i = 0; i < CONTRACTS; i++) {
        tree.addresses[i] = fixture_deploy(fixture, GUEST);
    }
    tree.addresses[BOB] = bob;
    for (unsigned i = 0; i < TREES; i++) {
        run_tree(fixture, &tree, i % 16 == 0);
    }
    for (unsigned i = 0; i <= SMELT_NESTED_REENTRANT; i++) {
        bool is_possible = i != SMELT_NESTED_REENTRANT || reentrancy != SMELT_REENTRANCY_ALLOWED;
        if (is_possible != (tree.calls[i] != 0)) {
            fail_msg("result %u came %u times", i, tree.calls[i]);
        }
    }
    for (unsigned i = 0; i <= SMELT_NESTED_DELEGATE; i++) {
        assert_int_not_equal(tree.kinds[i], 0);
    }
    smelt_engine_destroy(fixture->engine);
    fixture->engine = NULL;
    smelt_schedule_destroy(schedule);
}

static void trees_that_may_reenter(void **state)
{
    trees(state, SMELT_REENTRANCY_ALLOWED);
}

static void trees_that_may_not_reenter_a_function(void **state)
{
    trees(state, SMELT_REENTRANCY_BY_FUNCTION);
}

static void trees_that_may_not_reenter_a_contract(void **state)
{
    trees(state, SMELT_REENTRANCY_BLOCKED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trees_that_may_reenter, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(trees_that_may_not_reenter_a_function, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(trees_that_may_not_reenter_a_contract, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
