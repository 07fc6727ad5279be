/* The smallest artefact: no memory, no table, no state, no import; one function. */
#include "smelt_guest.h"

struct module {
    struct sm_instance base;
};

static void answer(struct sm_instance *instance, u64 *slots)
{
    struct module *m = (struct module *)instance;
    ENTER;
    FUEL_CHECKED(1);
    slots[0] = slots[0] != 0 ? i32_load(slots[0] - 1, 40) : 42 + mem_size;
    LEAVE;
}

static void grow_by(struct sm_instance *instance, u64 *slots)
{
    slots[0] = instance->services->memory_grow(instance, (u32)slots[0]);
}

static const u8 types[] = {0x7f, 0x7f};
static const struct sm_export exports[] = {{"answer", 6, 0, types, 1, 1, 1, answer},
                                           {"grow", 4, 1, types, 1, 1, 1, grow_by}};

__attribute__((visibility("default"))) const struct sm_descriptor smelt_descriptor = {
    .abi_version = SM_ABI_VERSION,
    .size = sizeof(struct sm_descriptor),
    .artefact_key = {0xa2, 2},
    .module_hash = {0xb2, 2},
    .instance_size = sizeof(struct module),
    .state_offset = sizeof(struct module),
    .return_page = 0xffffffffu,
    .stack_limit = 1,
    .exports = exports,
    .export_count = 2,
};
