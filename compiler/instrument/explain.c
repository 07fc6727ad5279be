/* Blocks come from the control-flow graph that the checker holds every compiled module against, so
 * what is explained here is what is charged there. */
#include "compiler/instrument/explain.h"

#include "base/status.h"
#include "compiler/instrument/flow.h"
#include "hostabi/profile.h"

struct explanation {
    const struct sm_wasm_module *module;
    const struct smelt_profile *profile;
    const struct sm_schedule_dynamic *dynamic;
    const struct sm_schedule_host *hosts;
    struct sm_arena arena;
    struct sm_flow flow;
    struct smelt_fuel_block *blocks; /* of the function at hand */
    size_t blocks_room;
    struct smelt_fuel_extra *extras; /* the same */
    size_t extras_room;
    struct smelt_error *err;
};

/* Imports of the module are functions: the n-th is function n. */
static struct smelt_fuel_extra host_extra(const struct explanation *e, uint32_t func_index)
{
    const struct sm_wasm_import *import = &e->module->imports[func_index];
    struct smelt_fuel_extra extra = {.kind = SMELT_FUEL_EXTRA_HOST,
                                     .instruction = sm_wasm_ops[SM_OP_CALL].text,
                                     .module = import->module,
                                     .name = import->name,
                                     .unit = 1};
    uint32_t row = sm_profile_find(e->profile, import->module, import->name);
    if (row != SM_PROFILE_NO_FUNCTION) {
        const struct sm_schedule_host *host = &e->hosts[row];
        extra.per_unit = host->rate.per_unit;
        extra.unit = host->rate.unit_bytes;
        extra.base = host->base;
        extra.extra = host->extra;
    }
    return extra;
}

/* Each instruction has one extra at most. */
static enum smelt_status make_room(struct explanation *e)
{
    if (e->flow.block_count > e->blocks_room) {
        e->blocks_room = 2 * (size_t)e->flow.block_count;
        e->blocks = (struct smelt_fuel_block *)sm_arena_calloc(&e->arena, e->blocks_room,
                                                               sizeof(*e->blocks));
    }
    size_t extras = 0;
    for (uint32_t i = 0; i < e->flow.point_count; i++) {
        enum sm_wasm_op op = e->flow.points[i].op;
        extras += op == SM_OP_CALL || sm_flow_rate(e->dynamic, op).per_unit != 0;
    }
    if (extras >= e->extras_room) {
        e->extras_room = 2 * extras + 1;
        e->extras = (struct smelt_fuel_extra *)sm_arena_calloc(&e->arena, e->extras_room,
                                                               sizeof(*e->extras));
    }
    return e->blocks != NULL && e->extras != NULL ? SMELT_STATUS_OK
                                                  : sm_error_no_memory(e->err, "explain");
}

/* The extra of an instruction, if it has one. */
static bool find_extra(const struct explanation *e, const struct sm_wasm_instr *instr,
                       struct smelt_fuel_extra *out)
{
    struct sm_schedule_rate rate = sm_flow_rate(e->dynamic, instr->op);
    if (instr->op == SM_OP_CALL && instr->index < e->module->imported_func_count) {
        *out = host_extra(e, instr->index);
    } else if (rate.per_unit != 0) {
        *out = (struct smelt_fuel_extra){.kind = SMELT_FUEL_EXTRA_DYNAMIC,
                                         .instruction = sm_wasm_ops[instr->op].text,
                                         .per_unit = rate.per_unit,
                                         .unit = rate.unit_bytes};
    } else {
        return false;
    }
    out->offset = instr->offset;
    return true;
}

/* Blocks and their instructions, in the order of the code. */
static enum smelt_status explain_blocks(struct explanation *e, struct smelt_fuel_func *func)
{
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(e->module, func->func_index);
    uint32_t at = 0;
    uint32_t extra_count = 0;
    for (uint32_t b = 0; b < e->flow.block_count; b++) {
        const struct sm_flow_block *from = &e->flow.blocks[b];
        struct smelt_fuel_block *block = &e->blocks[b];
        *block = (struct smelt_fuel_block){.offset = e->flow.points[from->first].offset,
                                           .end = e->flow.points[from->first + from->count].offset,
                                           .instruction_count = from->count,
                                           .charge = from->charge,
                                           .is_checked = from->is_checked,
                                           .extras = &e->extras[extra_count]};
        for (; at < from->first + from->count; at++) {
            struct sm_wasm_instr instr;
            enum smelt_status status = sm_wasm_read_instr(&cursor, &instr, e->err);
            if (status != SMELT_STATUS_OK) {
                return status;
            }
            if (at >= from->first && find_extra(e, &instr, &e->extras[extra_count])) {
                extra_count++;
                block->extra_count++;
            }
        }
        func->instruction_count += block->instruction_count;
        func->charge += block->charge;
    }
    func->blocks = e->blocks;
    func->block_count = e->flow.block_count;
    return SMELT_STATUS_OK;
}

enum smelt_status sm_explain_fuel(const struct sm_wasm_module *module,
                                  const struct smelt_profile *profile,
                                  const struct smelt_schedule *schedule, smelt_fuel_visit_fn visit,
                                  void *context, struct smelt_error *err)
{
    size_t weight_count;
    uint32_t host_count;
    const uint32_t *weights = sm_schedule_weights(schedule, &weight_count);
    struct explanation e = {.module = module,
                            .profile = profile,
                            .dynamic = sm_schedule_dynamic(schedule),
                            .hosts = sm_schedule_hosts(schedule, &host_count),
                            .err = err};
    enum smelt_status status;
    SMELT_TRY(sm_flow_init(&e.flow, module, &e.arena, err));
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        struct smelt_fuel_func func = {.func_index = i, .name = module->funcs[i].name};
        SMELT_TRY(sm_flow_read(&e.flow, module, i, weights, err));
        SMELT_TRY(make_room(&e));
        SMELT_TRY(explain_blocks(&e, &func));
        SMELT_TRY(visit(context, &func));
    }
cleanup:
    sm_arena_deinit(&e.arena);
    return status;
}
