/* Activations: taking one from the pool, its header, and giving it back. */
#include "runtime/exec/pool.h"

enum smelt_status sm_exec_create(struct sm_exec_module *module, const struct sm_exec_host *host,
                                 uint64_t fuel, struct sm_activation **out, struct smelt_error *err)
{
    const struct sm_descriptor *descriptor = sm_exec_descriptor(module);
    enum smelt_status status = sm_pool_take(sm_exec_home(module), out, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    struct sm_activation *activation = *out;
    struct sm_instance *instance = activation->instance;
    const struct sm_image *image = sm_home_image(activation->home);
    activation->module = module;
    activation->host = *host;
    sm_residence_begin(&activation->residence);
    instance->memory = activation->memory.base;
    instance->memory_size = activation->memory.size;
    instance->stack = descriptor->stack_limit;
    instance->table =
        (struct sm_funcref *)(void *)((uint8_t *)activation->instance + image->table_offset);
    instance->table_size = descriptor->table_size;
    instance->services = &sm_exec_services;
    instance->activation = activation;
    sm_exec_set_fuel(activation, fuel);
    return SMELT_STATUS_OK;
}

void sm_exec_destroy(struct sm_activation *activation)
{
    if (activation != NULL) {
        struct sm_exec_module *module = activation->module;
        if (sm_pool_give(activation)) {
            sm_exec_unload(module);
        }
    }
}

void sm_exec_start(const struct sm_activation *activation, struct sm_exec_result *result)
{
    const struct sm_image *image = sm_home_image(activation->home);
    *result = (struct sm_exec_result){.end = image->trap != SMELT_TRAP_NONE ? SM_EXEC_TRAPPED
                                                                            : SM_EXEC_RETURNED,
                                      .trap = image->trap};
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

void sm_exec_announce(struct sm_activation *activation, uint64_t offset, uint64_t size)
{
    activation->residence.is_lost |=
        !sm_memory_expects(&activation->memory, sm_home_image(activation->home), offset, size);
}

uint8_t *sm_exec_memory(const struct sm_activation *activation, uint64_t *size)
{
    *size = activation->memory.size;
    return activation->memory.base;
}
