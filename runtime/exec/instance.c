/* Activations: making an instance of a module, its initial state, and giving everything back. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/status.h"
#include "runtime/exec/activation.h"

#include <smelt/host.h>

#include <string.h>

#define WHERE "instance"

/* Each open invocation may have a host function above it. The sanitizer's redzones make frames of
 * host functions several times as large. */
static const uint64_t host_stack_bytes =
    (uint64_t)SMELT_HOST_STACK_BYTES * SM_NESTING_MAX * (SM_HAS_ASAN ? 4 : 1);

static bool round_up(size_t size, size_t *out)
{
    if (!sm_add_size(size, _Alignof(max_align_t) - 1, &size)) {
        return false;
    }
    *out = size - size % _Alignof(max_align_t);
    return true;
}

/* Offsets of the parts in the block of an activation. */
struct layout {
    size_t instance;
    size_t table;
    size_t total;
};

static bool lay_out(const struct sm_descriptor *descriptor, struct layout *out)
{
    size_t instance_size;
    size_t table_size;
    return round_up(sizeof(struct sm_activation), &out->instance) &&
           round_up(descriptor->instance_size, &instance_size) &&
           sm_add_size(out->instance, instance_size, &out->table) &&
           sm_mul_size(descriptor->table_size, sizeof(struct sm_funcref), &table_size) &&
           sm_add_size(out->table, table_size, &out->total);
}

enum smelt_status sm_exec_create(struct sm_exec_module *module, const struct sm_exec_host *host,
                                 uint64_t fuel, struct sm_activation **out, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    const struct sm_descriptor *descriptor = sm_exec_descriptor(module);
    struct layout layout;
    *out = NULL;
    uint8_t *block =
        lay_out(descriptor, &layout) ? (uint8_t *)sm_calloc(1, layout.total) : (uint8_t *)NULL;
    if (block == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    struct sm_activation *activation = (struct sm_activation *)(void *)block;
    struct sm_instance *instance = (struct sm_instance *)(void *)(block + layout.instance);
    activation->module = module;
    sm_exec_acquire(module);
    activation->host = *host;
    activation->instance = instance;
    if (descriptor->has_memory != 0) {
        SMELT_TRY(sm_memory_init(&activation->memory, descriptor->memory_min,
                                 descriptor->memory_max, err));
    }
    SMELT_TRY(sm_stack_init(&activation->stack, descriptor->stack_bytes + host_stack_bytes, err));

    instance->memory = activation->memory.base;
    instance->memory_size = activation->memory.size;
    instance->stack = descriptor->stack_limit;
    instance->table = (struct sm_funcref *)(void *)(block + layout.table);
    instance->table_size = descriptor->table_size;
    instance->services = &sm_exec_services;
    instance->activation = activation;
    if (descriptor->state_size != 0) {
        memcpy((uint8_t *)instance + descriptor->state_offset, descriptor->state_image,
               descriptor->state_size);
    }
    sm_exec_set_fuel(activation, fuel);
    *out = activation;
    activation = NULL;
cleanup:
    sm_exec_destroy(activation);
    return status;
}

void sm_exec_destroy(struct sm_activation *activation)
{
    if (activation == NULL) {
        return;
    }
    sm_stack_deinit(&activation->stack);
    sm_memory_deinit(&activation->memory);
    sm_exec_release(activation->module);
    sm_free(activation);
}

static void start_trap(struct sm_exec_result *result, enum smelt_trap trap)
{
    result->end = SM_EXEC_TRAPPED;
    result->trap = trap;
}

void sm_exec_start(struct sm_activation *activation, struct sm_exec_result *result)
{
    const struct sm_descriptor *descriptor = sm_exec_descriptor(activation->module);
    struct sm_instance *instance = activation->instance;
    uint8_t *state = (uint8_t *)instance + descriptor->state_offset;
    memset(result, 0, sizeof(*result));

    for (uint32_t i = 0; i < descriptor->elem_segment_count; i++) {
        const struct sm_elem_segment *segment = &descriptor->elem_segments[i];
        if (segment->is_active == 0) {
            continue;
        }
        if ((uint64_t)segment->table_offset + segment->count > instance->table_size) {
            start_trap(result, SMELT_TRAP_TABLE_OUT_OF_BOUNDS);
            return;
        }
        if (segment->count != 0) {
            memcpy(instance->table + segment->table_offset, segment->items,
                   segment->count * sizeof(struct sm_funcref));
        }
        state[descriptor->elem_dropped_offset + i] = 1;
    }
    for (uint32_t i = 0; i < descriptor->data_segment_count; i++) {
        const struct sm_data_segment *segment = &descriptor->data_segments[i];
        if (segment->is_active == 0) {
            continue;
        }
        if ((uint64_t)segment->memory_offset + segment->size > instance->memory_size) {
            start_trap(result, SMELT_TRAP_MEMORY_OUT_OF_BOUNDS);
            return;
        }
        if (segment->size != 0) {
            memcpy(instance->memory + segment->memory_offset, segment->bytes, segment->size);
        }
        state[descriptor->data_dropped_offset + i] = 1;
    }
}

uint64_t sm_exec_fuel(const struct sm_activation *activation)
{
    return activation->instance->fuel > 0 ? (uint64_t)activation->instance->fuel : 0;
}

void sm_exec_set_fuel(struct sm_activation *activation, uint64_t fuel)
{
    activation->instance->fuel = fuel < INT64_MAX ? (int64_t)fuel : INT64_MAX;
}

const struct sm_exec_module *sm_exec_module_of(const struct sm_activation *activation)
{
    return activation->module;
}

uint8_t *sm_exec_memory(const struct sm_activation *activation, uint64_t *size)
{
    *size = activation->memory.size;
    return activation->memory.base;
}
