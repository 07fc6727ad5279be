/* Handlers of the profile `engine`: a function per row of hostabi/engine.def, named after it.
 *
 * The dispatcher has checked ranges and static calls and taken base and per-byte fuel of the
 * charged parameters. A handler then checks its limits, takes what is known only now (the bytes of
 * a value that was read, the surcharge of a new key), and only then has an effect. */
#include "runtime/host/engine.h"

#include "base/bytes.h"
#include "runtime/crypto/ed25519.h"
#include "runtime/crypto/keccak.h"

#include <string.h>

/* Limits of version 1 of the profile: consensus. */
#define KEY_BYTES_MAX        256u
#define VALUE_BYTES_MAX      65536u
#define TOPIC_BYTES_MAX      256u
#define EVENT_DATA_BYTES_MAX 16384u

static struct smelt_slice slice_arg(const struct smelt_host_call *call, size_t index)
{
    return sm_slice(call->args[index].data, call->args[index].size);
}

static struct smelt_address address_arg(const struct smelt_host_call *call, size_t index)
{
    struct smelt_address address;
    memcpy(address.bytes, call->args[index].data, sizeof(address.bytes));
    return address;
}

static enum smelt_host_action give_bytes(struct smelt_host_call *call, size_t index,
                                         const void *bytes, size_t size)
{
    memcpy(call->args[index].data, bytes, size);
    call->result = size;
    return SMELT_HOST_CONTINUE;
}

static enum smelt_host_action give_amount(struct smelt_host_call *call, size_t index,
                                          struct smelt_u128 amount)
{
    sm_store_u128(call->args[index].data, amount);
    call->result = 16;
    return SMELT_HOST_CONTINUE;
}

static enum smelt_host_action trap(struct smelt_host_call *call, enum smelt_host_error error)
{
    return smelt_host_trap(call, SMELT_TRAP_HOST_ERROR, error);
}

static bool is_key_size(struct smelt_slice key)
{
    return key.size >= 1 && key.size <= KEY_BYTES_MAX;
}

/* ---- storage --------------------------------------------------------------------------------- */

static enum smelt_host_action storage_read(struct smelt_host_call *call)
{
    struct smelt_slice key = slice_arg(call, 0);
    struct smelt_slice value;
    uint32_t pointer;
    bool found;
    if (!is_key_size(key)) {
        return trap(call, SMELT_HOST_ERROR_KEY_SIZE);
    }
    if (smelt_host_storage_get(call, key, &value, &found) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    if (!found) {
        call->result = 0;
        return SMELT_HOST_CONTINUE;
    }
    uint64_t size = value.size;
    if (smelt_host_charge_bytes(call, size) != SMELT_HOST_CONTINUE ||
        smelt_host_place_value(call, value, &pointer) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    call->result = (uint64_t)pointer << 32 | size;
    return SMELT_HOST_CONTINUE;
}

static enum smelt_host_action storage_write(struct smelt_host_call *call)
{
    struct smelt_slice key = slice_arg(call, 0);
    struct smelt_slice value = slice_arg(call, 1);
    struct smelt_slice old;
    bool found;
    if (!is_key_size(key)) {
        return trap(call, SMELT_HOST_ERROR_KEY_SIZE);
    }
    if (value.size > VALUE_BYTES_MAX) {
        return trap(call, SMELT_HOST_ERROR_VALUE_TOO_LARGE);
    }
    if (smelt_host_storage_get(call, key, &old, &found) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    if (!found && smelt_host_charge_extra(call) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    call->result = found;
    return smelt_host_storage_put(call, key, value);
}

static enum smelt_host_action storage_delete(struct smelt_host_call *call)
{
    struct smelt_slice key = slice_arg(call, 0);
    struct smelt_slice old;
    bool found;
    if (!is_key_size(key)) {
        return trap(call, SMELT_HOST_ERROR_KEY_SIZE);
    }
    if (smelt_host_storage_get(call, key, &old, &found) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    call->result = found;
    return found ? smelt_host_storage_delete(call, key) : SMELT_HOST_CONTINUE;
}

/* ---- context --------------------------------------------------------------------------------- */

static enum smelt_host_action get_caller(struct smelt_host_call *call)
{
    return give_bytes(call, 0, smelt_host_context(call)->caller.bytes, SMELT_ADDRESS_BYTES);
}

static enum smelt_host_action get_contract_address(struct smelt_host_call *call)
{
    return give_bytes(call, 0, smelt_host_context(call)->address.bytes, SMELT_ADDRESS_BYTES);
}

static enum smelt_host_action get_block_number(struct smelt_host_call *call)
{
    call->result = smelt_host_context(call)->block_number;
    return SMELT_HOST_CONTINUE;
}

static enum smelt_host_action get_block_timestamp(struct smelt_host_call *call)
{
    call->result = smelt_host_context(call)->block_timestamp;
    return SMELT_HOST_CONTINUE;
}

static enum smelt_host_action get_origin(struct smelt_host_call *call)
{
    return give_bytes(call, 0, smelt_host_context(call)->origin.bytes, SMELT_ADDRESS_BYTES);
}

static enum smelt_host_action get_value(struct smelt_host_call *call)
{
    return give_amount(call, 0, smelt_host_context(call)->value);
}

static enum smelt_host_action fuel_left(struct smelt_host_call *call)
{
    call->result = smelt_host_fuel_left(call);
    return SMELT_HOST_CONTINUE;
}

/* ---- cryptography ---------------------------------------------------------------------------- */

static enum smelt_host_action crypto_hash(struct smelt_host_call *call)
{
    uint8_t hash[SM_KECCAK256_BYTES]; /* the result may overlap the data */
    sm_crypto_keccak256(slice_arg(call, 0), hash);
    return give_bytes(call, 1, hash, sizeof(hash));
}

static enum smelt_host_action crypto_verify(struct smelt_host_call *call)
{
    call->result =
        sm_crypto_ed25519_verify(slice_arg(call, 0), slice_arg(call, 1), slice_arg(call, 2));
    return SMELT_HOST_CONTINUE;
}

/* ---- events and amounts ---------------------------------------------------------------------- */

static enum smelt_host_action log_event(struct smelt_host_call *call)
{
    struct smelt_slice topic = slice_arg(call, 0);
    struct smelt_slice data = slice_arg(call, 1);
    if (topic.size > TOPIC_BYTES_MAX) {
        return trap(call, SMELT_HOST_ERROR_TOPIC_TOO_LARGE);
    }
    if (data.size > EVENT_DATA_BYTES_MAX) {
        return trap(call, SMELT_HOST_ERROR_EVENT_DATA_TOO_LARGE);
    }
    return smelt_host_emit(call, topic, data);
}

static enum smelt_host_action get_balance(struct smelt_host_call *call)
{
    struct smelt_address address = address_arg(call, 0);
    struct smelt_u128 balance;
    if (smelt_host_balance(call, &address, &balance) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    return give_amount(call, 1, balance);
}

static enum smelt_host_action transfer(struct smelt_host_call *call)
{
    struct smelt_address to = address_arg(call, 0);
    bool is_done;
    if (smelt_host_transfer(call, &to, sm_load_u128(call->args[1].data), &is_done) !=
        SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    call->result = is_done ? 0 : 1;
    return SMELT_HOST_CONTINUE;
}

/* ---- input and output ------------------------------------------------------------------------ */

/* (offset, len, dest) out of `source`: short at its end, nothing behind it. Only bytes that are
 * copied are paid for. */
static enum smelt_host_action read_part(struct smelt_host_call *call, struct smelt_slice source)
{
    uint64_t offset = call->args[0].value;
    size_t size = call->args[1].size;
    size_t rest = offset < source.size ? source.size - (size_t)offset : 0;
    if (size > rest) {
        size = rest;
    }
    if (smelt_host_charge_bytes(call, size) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    if (size != 0) {
        memcpy(call->args[1].data, source.data + offset, size);
    }
    call->result = size;
    return SMELT_HOST_CONTINUE;
}

/* Inputs of 4 GiB and more cannot come from a contract; from outside they are refused. */
static enum smelt_host_action input_len(struct smelt_host_call *call)
{
    call->result = smelt_host_context(call)->input.size;
    return SMELT_HOST_CONTINUE;
}

static enum smelt_host_action input_read(struct smelt_host_call *call)
{
    return read_part(call, smelt_host_context(call)->input);
}

static enum smelt_host_action return_data(struct smelt_host_call *call)
{
    return smelt_host_set_return_data(call, slice_arg(call, 0));
}

static enum smelt_host_action revert(struct smelt_host_call *call)
{
    return smelt_host_revert(call, slice_arg(call, 0));
}

/* ---- nested calls ---------------------------------------------------------------------------- */

static enum smelt_host_action nest(struct smelt_host_call *call,
                                   const struct smelt_nested_call *nested)
{
    enum smelt_nested_result result;
    if (smelt_host_call_contract(call, nested, &result) != SMELT_HOST_CONTINUE) {
        return SMELT_HOST_STOP;
    }
    call->result = (uint64_t)result;
    return SMELT_HOST_CONTINUE;
}

static enum smelt_host_action call_contract(struct smelt_host_call *call)
{
    const struct smelt_nested_call nested = {.address = address_arg(call, 0),
                                             .function = slice_arg(call, 1),
                                             .input = slice_arg(call, 2),
                                             .value = sm_load_u128(call->args[3].data),
                                             .fuel = call->args[4].value};
    return nest(call, &nested);
}

static enum smelt_host_action call_contract_static(struct smelt_host_call *call)
{
    const struct smelt_nested_call nested = {.address = address_arg(call, 0),
                                             .function = slice_arg(call, 1),
                                             .input = slice_arg(call, 2),
                                             .fuel = call->args[3].value,
                                             .kind = SMELT_NESTED_STATIC};
    return nest(call, &nested);
}

static enum smelt_host_action call_result_len(struct smelt_host_call *call)
{
    call->result = smelt_host_call_result(call).size;
    return SMELT_HOST_CONTINUE;
}

static enum smelt_host_action call_result_read(struct smelt_host_call *call)
{
    return read_part(call, smelt_host_call_result(call));
}

const smelt_host_fn sm_engine_handlers[] = {
#define HOST(name, result, flags, brief, parameters) name,
#include "hostabi/engine.def"
};
