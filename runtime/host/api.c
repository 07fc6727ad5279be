/* What handlers may do: the smelt_host_* functions of <smelt/host.h>, over a frame.
 *
 * Every function that can end the frame records the end and returns SMELT_HOST_STOP; the dispatcher
 * leaves guest code after the handler has returned. Nothing here jumps. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/status.h"
#include "hostabi/profile.h"
#include "runtime/host/frame.h"
#include "runtime/state/accounts.h"
#include "runtime/state/keys.h"

#include <string.h>

#define WHERE      "host"
#define PAGE_BYTES 65536u

const struct smelt_host_context *smelt_host_context(const struct smelt_host_call *call)
{
    return &call->frame->context;
}

/* ---- ends of a frame ------------------------------------------------------------------------- */

static enum smelt_host_action fail_internal(struct smelt_host_call *call, const char *what)
{
    const struct smelt_frame *frame = call->frame;
    const struct smelt_host_function *row = &frame->transaction->profile->functions[frame->row];
    struct smelt_error error;
    (void)sm_error_set(&error, SMELT_STATUS_INTERNAL, WHERE, "handler of %s.%s %s", row->module,
                       row->name, what);
    sm_frame_fail(call->frame, &error);
    return SMELT_HOST_STOP;
}

enum smelt_host_action smelt_host_fail(struct smelt_host_call *call,
                                       const struct smelt_error *error)
{
    if (error == NULL || error->status == SMELT_STATUS_OK) {
        return fail_internal(call, "failed without an error");
    }
    sm_frame_fail(call->frame, error);
    return SMELT_HOST_STOP;
}

static enum smelt_host_action fail_no_memory(struct smelt_host_call *call)
{
    struct smelt_error error;
    (void)sm_error_no_memory(&error, WHERE);
    return smelt_host_fail(call, &error);
}

enum smelt_host_action smelt_host_trap(struct smelt_host_call *call, enum smelt_trap trap,
                                       enum smelt_host_error error)
{
    if (trap == SMELT_TRAP_NONE) {
        return fail_internal(call, "trapped without a trap");
    }
    if (call->frame->end == SM_FRAME_RUNNING) {
        call->frame->end = SM_FRAME_TRAPPED;
        call->frame->trap = trap;
        call->frame->host_error = error;
    }
    return SMELT_HOST_STOP;
}

static enum smelt_host_action trap_host_error(struct smelt_host_call *call,
                                              enum smelt_host_error error)
{
    return smelt_host_trap(call, SMELT_TRAP_HOST_ERROR, error);
}

enum smelt_host_action smelt_host_revert(struct smelt_host_call *call, struct smelt_slice data)
{
    if (call->frame->end == SM_FRAME_RUNNING &&
        smelt_host_set_return_data(call, data) == SMELT_HOST_CONTINUE) {
        call->frame->end = SM_FRAME_REVERTED;
    }
    return SMELT_HOST_STOP;
}

/* ---- fuel ------------------------------------------------------------------------------------ */

uint64_t smelt_host_fuel_left(const struct smelt_host_call *call)
{
    return sm_exec_fuel(call->frame->activation);
}

enum smelt_host_action smelt_host_charge(struct smelt_host_call *call, uint64_t fuel)
{
    struct smelt_frame *frame = call->frame;
    uint64_t left = sm_exec_fuel(frame->activation);
    if (fuel > left) {
        sm_exec_set_fuel(frame->activation, 0);
        if (frame->end == SM_FRAME_RUNNING) {
            frame->end = SM_FRAME_OUT_OF_FUEL;
        }
        return SMELT_HOST_STOP;
    }
    sm_exec_set_fuel(frame->activation, left - fuel);
    return SMELT_HOST_CONTINUE;
}

static const struct sm_schedule_host *cost_of(const struct smelt_host_call *call)
{
    return &call->frame->transaction->costs[call->frame->row];
}

enum smelt_host_action smelt_host_charge_bytes(struct smelt_host_call *call, uint64_t size)
{
    return smelt_host_charge(call, sm_schedule_charge(cost_of(call)->rate, size));
}

enum smelt_host_action smelt_host_charge_extra(struct smelt_host_call *call)
{
    return smelt_host_charge(call, cost_of(call)->extra);
}

/* ---- storage, accounts, events --------------------------------------------------------------- */

/* The dispatcher refuses rows marked SMELT_HOST_MUTATES already; a handler that changes state
 * behind a row without the mark is stopped here. */
static bool is_static_violation(struct smelt_host_call *call)
{
    if (call->frame->context.is_static) {
        (void)smelt_host_trap(call, SMELT_TRAP_STATIC_VIOLATION, SMELT_HOST_ERROR_NONE);
    }
    return call->frame->context.is_static;
}

static bool make_storage_key(struct smelt_host_call *call, struct smelt_slice key,
                             struct sm_state_key *out)
{
    if (key.size > SM_STATE_KEY_MAX) {
        (void)trap_host_error(call, SMELT_HOST_ERROR_KEY_SIZE);
        return false;
    }
    sm_state_storage_key(&call->frame->context.address, key, out);
    return true;
}

/* A status of the state as an action. */
static enum smelt_host_action action_of(struct smelt_host_call *call, enum smelt_status status,
                                        const struct smelt_error *error)
{
    return status == SMELT_STATUS_OK ? SMELT_HOST_CONTINUE : smelt_host_fail(call, error);
}

enum smelt_host_action smelt_host_storage_get(struct smelt_host_call *call, struct smelt_slice key,
                                              struct smelt_slice *value, bool *found)
{
    struct sm_state_key full;
    struct smelt_error error;
    *value = (struct smelt_slice){0};
    *found = false;
    if (!make_storage_key(call, key, &full)) {
        return SMELT_HOST_STOP;
    }
    enum smelt_status status = sm_overlay_get(call->frame->transaction->overlay,
                                              sm_state_key_slice(&full), value, found, &error);
    return action_of(call, status, &error);
}

enum smelt_host_action smelt_host_storage_put(struct smelt_host_call *call, struct smelt_slice key,
                                              struct smelt_slice value)
{
    struct sm_state_key full;
    struct smelt_error error;
    if (is_static_violation(call) || !make_storage_key(call, key, &full)) {
        return SMELT_HOST_STOP;
    }
    enum smelt_status status =
        sm_overlay_put(call->frame->transaction->overlay, sm_state_key_slice(&full), value, &error);
    return action_of(call, status, &error);
}

enum smelt_host_action smelt_host_storage_delete(struct smelt_host_call *call,
                                                 struct smelt_slice key)
{
    struct sm_state_key full;
    struct smelt_error error;
    if (is_static_violation(call) || !make_storage_key(call, key, &full)) {
        return SMELT_HOST_STOP;
    }
    enum smelt_status status =
        sm_overlay_delete(call->frame->transaction->overlay, sm_state_key_slice(&full), &error);
    return action_of(call, status, &error);
}

enum smelt_host_action smelt_host_balance(struct smelt_host_call *call,
                                          const struct smelt_address *address,
                                          struct smelt_u128 *balance)
{
    struct smelt_account account = {0};
    struct smelt_error error;
    enum smelt_status status =
        sm_state_account_read(call->frame->transaction->overlay, address, &account, &error);
    *balance = account.balance;
    return action_of(call, status, &error);
}

enum smelt_host_action smelt_host_transfer(struct smelt_host_call *call,
                                           const struct smelt_address *to, struct smelt_u128 amount,
                                           bool *is_done)
{
    struct smelt_error error;
    *is_done = false;
    if (is_static_violation(call)) {
        return SMELT_HOST_STOP;
    }
    enum smelt_status status =
        sm_state_transfer(call->frame->transaction->overlay, &call->frame->context.address, to,
                          amount, is_done, &error);
    if (status == SMELT_STATUS_BALANCE_OVERFLOW) {
        return trap_host_error(call, SMELT_HOST_ERROR_BALANCE_OVERFLOW);
    }
    return action_of(call, status, &error);
}

enum smelt_host_action smelt_host_emit(struct smelt_host_call *call, struct smelt_slice topic,
                                       struct smelt_slice data)
{
    struct smelt_error error;
    if (is_static_violation(call)) {
        return SMELT_HOST_STOP;
    }
    const struct smelt_event event = {
        .address = call->frame->context.address, .topic = topic, .data = data};
    enum smelt_status status = sm_overlay_emit(call->frame->transaction->overlay, &event, &error);
    return action_of(call, status, &error);
}

/* ---- data in and out of the frame ------------------------------------------------------------ */

enum smelt_host_action smelt_host_set_return_data(struct smelt_host_call *call,
                                                  struct smelt_slice data)
{
    if (data.size > call->frame->transaction->profile->return_data_max) {
        return trap_host_error(call, SMELT_HOST_ERROR_RETURN_DATA_TOO_LARGE);
    }
    if (!sm_buf_assign(&call->frame->return_data, data)) {
        return fail_no_memory(call);
    }
    return SMELT_HOST_CONTINUE;
}

static enum smelt_host_action copy_to_guest(struct smelt_host_call *call, uint64_t pointer,
                                            struct smelt_slice value)
{
    uint64_t memory_size = 0;
    uint8_t *memory = sm_exec_memory(call->frame->activation, &memory_size);
    if (pointer + value.size > memory_size) {
        return smelt_host_trap(call, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS, SMELT_HOST_ERROR_NONE);
    }
    sm_exec_announce(call->frame->activation, pointer, value.size);
    if (value.size != 0) {
        memcpy(memory + pointer, value.data, value.size);
    }
    return SMELT_HOST_CONTINUE;
}

/* The export runs in this activation, with its fuel and what is left of its stack. When it calls
 * host functions that place values, invocations nest; at SM_NESTING_MAX the next one traps as
 * stack_overflow, so a contract cannot exhaust the native stack this way. It may change
 * state, and thereby free a borrowed value: `value` has to be the caller's own. */
static enum smelt_host_action place_by_allocate(struct smelt_host_call *call,
                                                struct smelt_slice value, uint32_t *pointer)
{
    struct smelt_frame *frame = call->frame;
    uint64_t slots[1] = {value.size};
    struct sm_exec_result result = {0};
    sm_exec_invoke(frame->activation, frame->contract->allocate, slots, &result);
    sm_frame_settle(frame, &result);
    if (frame->end != SM_FRAME_RUNNING) {
        return SMELT_HOST_STOP;
    }
    *pointer = (uint32_t)slots[0];
    return copy_to_guest(call, *pointer, value);
}

enum smelt_host_action smelt_host_place_value(struct smelt_host_call *call,
                                              struct smelt_slice value, uint32_t *pointer)
{
    const struct sm_contract *contract = call->frame->contract;
    uint32_t return_page = sm_exec_descriptor(contract->module)->return_page;
    *pointer = 0;
    if (contract->allocate != NULL) {
        struct smelt_buf own = {0};
        if (value.size > UINT32_MAX) {
            return trap_host_error(call, SMELT_HOST_ERROR_VALUE_TOO_LARGE);
        }
        if (!sm_buf_assign(&own, value)) {
            return fail_no_memory(call);
        }
        enum smelt_host_action action = place_by_allocate(call, sm_buf_slice(&own), pointer);
        smelt_buf_deinit(&own);
        return action;
    }
    if (return_page == UINT32_MAX) {
        return trap_host_error(call, SMELT_HOST_ERROR_NO_ALLOCATE);
    }
    if (value.size > PAGE_BYTES) {
        return trap_host_error(call, SMELT_HOST_ERROR_VALUE_TOO_LARGE);
    }
    *pointer = return_page * PAGE_BYTES;
    return copy_to_guest(call, *pointer, value);
}

/* ---- nested calls ---------------------------------------------------------------------------- */

struct smelt_slice smelt_host_call_result(const struct smelt_host_call *call)
{
    return sm_buf_slice(&call->frame->call_result);
}

/* The callee's code and entry; `*contract` stays NULL when there is no such contract or function.
 * What is found has one more reference. */
static enum smelt_host_action find_callee(struct smelt_host_call *call,
                                          const struct smelt_nested_call *nested,
                                          struct sm_contract **contract,
                                          const struct sm_export **export_)
{
    struct sm_transaction *transaction = call->frame->transaction;
    struct smelt_account account;
    struct smelt_error error;
    *contract = NULL;
    *export_ = NULL;
    if (sm_state_account_read(transaction->overlay, &nested->address, &account, &error) !=
        SMELT_STATUS_OK) {
        return smelt_host_fail(call, &error);
    }
    if (!account.is_contract || sm_profile_is_reserved(transaction->profile, nested->function)) {
        return SMELT_HOST_CONTINUE;
    }
    if (transaction->load(transaction->load_context, &account.code_hash, contract, &error) !=
        SMELT_STATUS_OK) {
        return smelt_host_fail(call, &error);
    }
    *export_ = sm_exec_find_export((*contract)->module, nested->function);
    if (*export_ == NULL || (*export_)->param_count != 0) {
        sm_contract_release(*contract);
        *contract = NULL;
    }
    return SMELT_HOST_CONTINUE;
}

/* A slice in the caller's memory stays as it is while the caller waits: memory does not move, and
 * a re-entrant call of the same contract has an instance of its own. It is not copied, so that a
 * large input costs nothing until the callee pays for reading it. Any other slice is copied. */
static bool hold_input(const struct smelt_host_call *call, struct smelt_slice input,
                       struct smelt_buf *copy, struct smelt_slice *held)
{
    uint64_t memory_size = 0;
    const uint8_t *memory = sm_exec_memory(call->frame->activation, &memory_size);
    uintptr_t offset = (uintptr_t)input.data - (uintptr_t)memory;
    if (memory != NULL && offset <= memory_size && input.size <= memory_size - offset) {
        *held = input;
        return true;
    }
    bool is_done = sm_buf_append(copy, input.data, input.size);
    *held = sm_buf_slice(copy);
    return is_done;
}

static enum smelt_nested_result result_of(enum sm_frame_end end)
{
    switch (end) {
    case SM_FRAME_RETURNED:
        return SMELT_NESTED_RETURNED;
    case SM_FRAME_REVERTED:
        return SMELT_NESTED_REVERTED;
    case SM_FRAME_OUT_OF_FUEL:
        return SMELT_NESTED_OUT_OF_FUEL;
    case SM_FRAME_RUNNING:
    case SM_FRAME_TRAPPED:
    case SM_FRAME_FAILED:
        break;
    }
    return SMELT_NESTED_TRAPPED;
}

/* What keeps the callee from running: no node failure and no end of the caller. */
static enum smelt_host_action refuse(struct smelt_host_call *call, enum smelt_nested_result why,
                                     enum smelt_nested_result *result)
{
    *result = why;
    smelt_buf_deinit(&call->frame->call_result);
    return SMELT_HOST_CONTINUE;
}

/* Runs the callee in the layer on top and accounts for its fuel. Its results have no way to the
 * caller; its return data becomes the caller's call result. */
static enum smelt_host_action run_callee(struct smelt_host_call *call,
                                         const struct smelt_nested_call *nested,
                                         struct smelt_slice input, struct sm_contract *contract,
                                         const struct sm_export *export_,
                                         enum smelt_nested_result *result)
{
    struct smelt_frame *caller = call->frame;
    struct smelt_frame callee = {
        .transaction = caller->transaction,
        .contract = contract,
        .context = caller->context,
        .outer = caller,
        .function = sm_slice(export_->name, export_->name_size),
    };
    callee.context.input = input;
    callee.context.depth++;
    callee.context.is_static = caller->context.is_static || nested->kind == SMELT_NESTED_STATIC;
    if (nested->kind != SMELT_NESTED_DELEGATE) {
        callee.context.caller = caller->context.address;
        callee.context.address = nested->address;
        callee.context.value = nested->value;
    }
    uint64_t *slots = (uint64_t *)sm_calloc(sm_frame_slot_count(export_), sizeof(*slots));
    if (slots == NULL) {
        return fail_no_memory(call);
    }
    uint64_t left = sm_exec_fuel(caller->activation);
    uint32_t divisor = caller->transaction->profile->fuel_kept_divisor;
    uint64_t allowed = divisor != 0 ? left - left / divisor : left;
    uint64_t fuel = nested->fuel == 0 || nested->fuel > allowed ? allowed : nested->fuel;
    sm_frame_run(&callee, export_, slots, fuel);
    if (callee.end == SM_FRAME_FAILED) {
        caller->end = SM_FRAME_FAILED;
    } else {
        sm_exec_set_fuel(caller->activation, left - callee.fuel_used);
        *result = result_of(callee.end);
        smelt_buf_deinit(&caller->call_result);
        caller->call_result = callee.return_data;
        callee.return_data = (struct smelt_buf){0};
    }
    sm_frame_deinit(&callee);
    sm_free(slots);
    return caller->end == SM_FRAME_RUNNING ? SMELT_HOST_CONTINUE : SMELT_HOST_STOP;
}

/* Value and callee in a layer of their own: it joins the caller's when the callee returned, and is
 * gone, the value back with it, in every other case. */
static enum smelt_host_action call_in_layer(struct smelt_host_call *call,
                                            const struct smelt_nested_call *nested,
                                            struct smelt_slice input, struct sm_contract *contract,
                                            const struct sm_export *export_,
                                            enum smelt_nested_result *result)
{
    struct sm_overlay *overlay = call->frame->transaction->overlay;
    struct smelt_error error;
    if (sm_overlay_push(overlay, &error) != SMELT_STATUS_OK) {
        return smelt_host_fail(call, &error);
    }
    bool is_paid = true;
    enum smelt_host_action action = SMELT_HOST_CONTINUE;
    if (!sm_u128_is_zero(nested->value)) {
        action = smelt_host_transfer(call, &nested->address, nested->value, &is_paid);
    }
    if (action == SMELT_HOST_CONTINUE) {
        action = is_paid ? run_callee(call, nested, input, contract, export_, result)
                         : refuse(call, SMELT_NESTED_BALANCE, result);
    }
    if (action == SMELT_HOST_CONTINUE && *result == SMELT_NESTED_RETURNED) {
        sm_overlay_merge(overlay);
    } else {
        sm_overlay_drop(overlay);
    }
    return action;
}

static bool is_reentrant(const struct smelt_frame *caller, const struct smelt_nested_call *nested)
{
    enum smelt_reentrancy rule = caller->transaction->profile->reentrancy;
    bool is_delegate = nested->kind == SMELT_NESTED_DELEGATE;
    const struct smelt_address *address = is_delegate ? &caller->context.address : &nested->address;
    if (rule == SMELT_REENTRANCY_ALLOWED || (rule == SMELT_REENTRANCY_BLOCKED && is_delegate)) {
        return false;
    }
    for (const struct smelt_frame *frame = caller; frame != NULL; frame = frame->outer) {
        if (memcmp(&frame->context.address, address, sizeof(*address)) == 0 &&
            (rule == SMELT_REENTRANCY_BLOCKED ||
             sm_slice_equal(frame->function, nested->function))) {
            return true;
        }
    }
    return false;
}

enum smelt_host_action smelt_host_call_contract(struct smelt_host_call *call,
                                                const struct smelt_nested_call *nested,
                                                enum smelt_nested_result *result)
{
    struct smelt_frame *frame = call->frame;
    struct sm_contract *contract = NULL;
    const struct sm_export *export_ = NULL;
    if (!sm_u128_is_zero(nested->value) && nested->kind != SMELT_NESTED_CALL) {
        return fail_internal(call, "sent value with a call that takes none");
    }
    if (!sm_u128_is_zero(nested->value) && is_static_violation(call)) {
        return SMELT_HOST_STOP;
    }
    if (frame->context.depth >= frame->transaction->profile->call_depth_max) {
        return refuse(call, SMELT_NESTED_DEPTH, result);
    }
    if (find_callee(call, nested, &contract, &export_) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    if (contract == NULL) {
        return refuse(call, SMELT_NESTED_NO_CONTRACT, result);
    }
    enum smelt_host_action action;
    struct smelt_buf copy = {0};
    struct smelt_slice input;
    if (is_reentrant(frame, nested)) {
        action = refuse(call, SMELT_NESTED_REENTRANT, result);
    } else if (!hold_input(call, nested->input, &copy, &input)) {
        action = fail_no_memory(call);
    } else {
        action = call_in_layer(call, nested, input, contract, export_, result);
    }
    smelt_buf_deinit(&copy);
    sm_contract_release(contract);
    return action;
}
