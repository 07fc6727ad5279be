/* Each rule is a function over the whole module; the first broken one in this fixed order is
 * reported. */
#include "compiler/instrument/gate.h"

#include "base/bytes.h"
#include "base/status.h"
#include "compiler/instrument/cost.h"
#include "hostabi/profile.h"

uint32_t sm_gate_memory_pages_max(const struct sm_policy *policy,
                                  const struct smelt_profile *profile)
{
    return policy->allows_any_import || policy->memory_pages < profile->memory_pages_max
               ? policy->memory_pages
               : profile->memory_pages_max;
}

/* ---- the module as a whole ------------------------------------------------------------------- */

struct gate {
    const struct sm_wasm_module *module;
    const struct sm_policy *policy;
    const struct smelt_profile *profile;
    struct smelt_error *err;
};

static enum smelt_status over_limit(const struct gate *gate, const char *section,
                                    int64_t func_index, int64_t offset, const char *what,
                                    uint64_t count, uint64_t limit)
{
    return sm_error_set_at(gate->err, SMELT_STATUS_MODULE_LIMIT, section, func_index, offset,
                           "%s: %ju, the policy's limit is %ju", what, (uintmax_t)count,
                           (uintmax_t)limit);
}

static uint32_t initial_pages_max(const struct gate *gate)
{
    uint32_t pages = sm_gate_memory_pages_max(gate->policy, gate->profile);
    return gate->policy->memory_initial_pages < pages ? gate->policy->memory_initial_pages : pages;
}

static enum smelt_status check_module_limits(const struct gate *gate)
{
    const struct sm_wasm_module *module = gate->module;
    const struct sm_policy *policy = gate->policy;
    const struct {
        const char *section, *what;
        uint64_t count, limit;
    } rows[] = {
        {"module", "bytes of the module", module->bytes.size, policy->module_bytes},
        {"function", "functions", module->func_count, policy->functions},
        {"type", "types", module->type_count, policy->types},
        {"global", "globals", module->global_count, policy->globals},
        {"export", "exports", module->export_count, policy->exports},
        {"element", "element segments", module->elem_count, policy->segments},
        {"data", "data segments", module->data_count, policy->segments},
        {"table", "initial elements of the table", module->has_table ? module->table.min : 0,
         policy->table_elements},
        {"memory", "initial pages of the memory", module->has_memory ? module->memory.min : 0,
         initial_pages_max(gate)},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].count > rows[i].limit) {
            return over_limit(gate, rows[i].section, -1, -1, rows[i].what, rows[i].count,
                              rows[i].limit);
        }
    }
    for (uint32_t i = 0; i < module->type_count; i++) {
        const struct sm_wasm_type *type = &module->types[i];
        if (type->param_count > policy->params) {
            return over_limit(gate, "type", -1, -1, "parameters of a function type",
                              type->param_count, policy->params);
        }
        if (type->result_count > policy->results) {
            return over_limit(gate, "type", -1, -1, "results of a function type",
                              type->result_count, policy->results);
        }
    }
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct sm_wasm_export *export_ = &module->exports[i];
        if (export_->name.size > policy->name_bytes) {
            return over_limit(gate, "export", -1, export_->offset, "bytes of an export's name",
                              export_->name.size, policy->name_bytes);
        }
    }
    return SMELT_STATUS_OK;
}

/* ---- features -------------------------------------------------------------------------------- */

static enum smelt_status switched_off(const struct gate *gate, const char *section,
                                      int64_t func_index, int64_t offset, const char *what,
                                      const char *feature)
{
    return sm_error_set_at(gate->err, SMELT_STATUS_MODULE_FEATURE, section, func_index, offset,
                           "%s: the policy switches the feature %s off", what, feature);
}

/* The feature that an instruction belongs to and the policy does not have; NULL: it may be used. */
static const char *missing_feature(const struct sm_policy *policy,
                                   const struct sm_wasm_instr *instr)
{
    switch ((int)instr->op) {
    case SM_OP_I32_EXTEND8_S:
    case SM_OP_I32_EXTEND16_S:
    case SM_OP_I64_EXTEND8_S:
    case SM_OP_I64_EXTEND16_S:
    case SM_OP_I64_EXTEND32_S:
        return policy->features.sign_extension ? NULL : "sign_extension";
    case SM_OP_I32_TRUNC_SAT_F32_S:
    case SM_OP_I32_TRUNC_SAT_F32_U:
    case SM_OP_I32_TRUNC_SAT_F64_S:
    case SM_OP_I32_TRUNC_SAT_F64_U:
    case SM_OP_I64_TRUNC_SAT_F32_S:
    case SM_OP_I64_TRUNC_SAT_F32_U:
    case SM_OP_I64_TRUNC_SAT_F64_S:
    case SM_OP_I64_TRUNC_SAT_F64_U:
        return policy->features.saturating_conversion ? NULL : "saturating_conversion";
    case SM_OP_MEMORY_INIT:
    case SM_OP_DATA_DROP:
    case SM_OP_MEMORY_COPY:
    case SM_OP_MEMORY_FILL:
    case SM_OP_TABLE_INIT:
    case SM_OP_ELEM_DROP:
    case SM_OP_TABLE_COPY:
        return policy->features.bulk_memory ? NULL : "bulk_memory";
    case SM_OP_SELECT_T:
        return policy->features.reference_types ? NULL : "reference_types";
    case SM_OP_BLOCK:
    case SM_OP_LOOP:
    case SM_OP_IF:
        return policy->features.multi_value || instr->block.type_index == SM_WASM_NO_INDEX
                   ? NULL
                   : "multi_value";
    default:
        return NULL;
    }
}

static enum smelt_status check_instructions(const struct gate *gate, uint32_t func_index)
{
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(gate->module, func_index);
    struct sm_wasm_instr instr;
    while (cursor.at != cursor.end) {
        enum smelt_status status = sm_wasm_read_instr(&cursor, &instr, gate->err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        const char *feature = missing_feature(gate->policy, &instr);
        if (feature != NULL) {
            return switched_off(gate, "code", func_index, instr.offset, sm_wasm_ops[instr.op].text,
                                feature);
        }
    }
    return SMELT_STATUS_OK;
}

static bool has_null_element(const struct sm_wasm_elem *elem)
{
    for (uint32_t i = 0; i < elem->item_count; i++) {
        if (elem->items[i].kind == SM_WASM_CONST_REF_NULL) {
            return true;
        }
    }
    return false;
}

/* What is not an instruction. */
static enum smelt_status check_declarations(const struct gate *gate)
{
    const struct sm_wasm_module *module = gate->module;
    const struct sm_policy *policy = gate->policy;
    for (uint32_t i = 0; !policy->features.multi_value && i < module->type_count; i++) {
        if (module->types[i].result_count > 1) {
            return switched_off(gate, "type", -1, -1, "a function type with several results",
                                "multi_value");
        }
    }
    for (uint32_t i = 0; i < module->elem_count; i++) {
        const struct sm_wasm_elem *elem = &module->elems[i];
        if (!policy->features.bulk_memory && elem->mode == SM_WASM_SEGMENT_PASSIVE) {
            return switched_off(gate, "element", -1, elem->offset, "a passive segment",
                                "bulk_memory");
        }
        if (!policy->features.reference_types && elem->mode == SM_WASM_SEGMENT_DECLARED) {
            return switched_off(gate, "element", -1, elem->offset, "a declared segment",
                                "reference_types");
        }
        if (!policy->features.reference_types && has_null_element(elem)) {
            return switched_off(gate, "element", -1, elem->offset, "a null element",
                                "reference_types");
        }
    }
    if (!policy->features.bulk_memory && module->has_data_count) {
        return switched_off(gate, "data count", -1, -1, "a data count section", "bulk_memory");
    }
    for (uint32_t i = 0; !policy->features.bulk_memory && i < module->data_count; i++) {
        if (module->datas[i].mode == SM_WASM_SEGMENT_PASSIVE) {
            return switched_off(gate, "data", -1, module->datas[i].offset, "a passive segment",
                                "bulk_memory");
        }
    }
    return SMELT_STATUS_OK;
}

static bool has_all_features(const struct sm_policy *policy)
{
    bool has_all = true;
#define AND_FEATURE(name, text) has_all = has_all && policy->features.name;
    SM_POLICY_FEATURES(AND_FEATURE)
#undef AND_FEATURE
    return has_all;
}

static enum smelt_status check_features(const struct gate *gate)
{
    if (has_all_features(gate->policy)) {
        return SMELT_STATUS_OK;
    }
    enum smelt_status status = check_declarations(gate);
    for (uint32_t i = gate->module->imported_func_count;
         status == SMELT_STATUS_OK && i < gate->module->func_count; i++) {
        status = check_instructions(gate, i);
    }
    return status;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* Upper bounds of what instrumentation and wasm2c make of a body, from its instructions alone. */
static enum smelt_status check_body(const struct gate *gate, uint32_t func_index)
{
    const struct sm_wasm_func *func = &gate->module->funcs[func_index];
    const struct sm_policy *policy = gate->policy;
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(gate->module, func_index);
    struct sm_wasm_instr instr;
    uint64_t blocks = 1;
    uint64_t labels = 0;
    while (cursor.at != cursor.end) {
        enum smelt_status status = sm_wasm_read_instr(&cursor, &instr, gate->err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        switch ((int)instr.op) {
        case SM_OP_BLOCK:
        case SM_OP_LOOP:
        case SM_OP_IF:
        case SM_OP_ELSE:
        case SM_OP_END:
        case SM_OP_BR_IF:
        case SM_OP_CALL:
        case SM_OP_CALL_INDIRECT:
        case SM_OP_MEMORY_GROW:
            blocks++;
            break;
        case SM_OP_BR_TABLE:
            labels += instr.label_count;
            break;
        default:
            break;
        }
    }
    const struct {
        const char *what;
        uint64_t count, limit;
    } rows[] = {
        {"bytes of a function body", func->code.size, policy->body_bytes},
        {"parameters and locals of a function",
         (uint64_t)sm_wasm_func_type(gate->module, func_index)->param_count + func->local_count,
         policy->locals},
        {"operands on the stack of a function", func->max_height, policy->operands},
        {"nested blocks of a function", func->max_nesting, policy->nesting},
        {"basic blocks of a function", blocks, policy->blocks},
        {"br_table labels of a function", labels, policy->br_table_labels},
        {"cost of compiling a function", sm_cost_of_function(gate->module, func_index),
         policy->function_cost},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].count > rows[i].limit) {
            return over_limit(gate, "code", func_index, func->body_offset, rows[i].what,
                              rows[i].count, rows[i].limit);
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_bodies(const struct gate *gate)
{
    enum smelt_status status = SMELT_STATUS_OK;
    uint64_t nested_bytes = 0; /* each at most body_bytes × nesting: no sum of them wraps */
    for (uint32_t i = gate->module->imported_func_count;
         status == SMELT_STATUS_OK && i < gate->module->func_count; i++) {
        const struct sm_wasm_func *func = &gate->module->funcs[i];
        status = check_body(gate, i);
        nested_bytes += (uint64_t)func->code.size * func->max_nesting;
    }
    if (status == SMELT_STATUS_OK && nested_bytes > gate->policy->nested_bytes) {
        status = over_limit(gate, "code", -1, -1, "bytes of bodies times their nesting",
                            nested_bytes, gate->policy->nested_bytes);
    }
    return status;
}

static enum smelt_status check_cost(const struct gate *gate)
{
    uint64_t cost = sm_cost_of_module(gate->module);
    return cost <= gate->policy->compile_cost
               ? SMELT_STATUS_OK
               : over_limit(gate, "module", -1, -1, "cost of compiling the module", cost,
                            gate->policy->compile_cost);
}

/* ---- floats ---------------------------------------------------------------------------------- */

static enum smelt_status check_floats(const struct gate *gate)
{
    const struct sm_wasm_module *module = gate->module;
    if (gate->policy->floats != SMELT_FLOAT_FORBID || !module->uses_floats) {
        return SMELT_STATUS_OK;
    }
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        if (module->funcs[i].uses_floats) {
            return sm_error_set_at(gate->err, SMELT_STATUS_MODULE_FLOAT, "code", i,
                                   module->funcs[i].body_offset,
                                   "the policy forbids floating point and this function uses it");
        }
    }
    return sm_error_set(gate->err, SMELT_STATUS_MODULE_FLOAT, "module",
                        "the policy forbids floating point and a type or global uses it");
}

/* ---- imports and exports --------------------------------------------------------------------- */

static enum smelt_status check_import(const struct gate *gate, const struct sm_wasm_import *import)
{
    if (import->kind != SM_WASM_EXTERNAL_FUNC) {
        return sm_error_set_at(gate->err, SMELT_STATUS_MODULE_IMPORT, "import", -1, import->offset,
                               "only functions can be imported; %.*s.%.*s is not one",
                               (int)import->module.size, (const char *)import->module.data,
                               (int)import->name.size, (const char *)import->name.data);
    }
    if (gate->policy->allows_any_import) {
        return SMELT_STATUS_OK;
    }
    uint32_t row = sm_profile_find(gate->profile, import->module, import->name);
    if (row == SM_PROFILE_NO_FUNCTION) {
        return sm_error_set_at(gate->err, SMELT_STATUS_MODULE_IMPORT, "import", import->index,
                               import->offset, "profile %s does not offer %.*s.%.*s",
                               gate->profile->name, (int)import->module.size,
                               (const char *)import->module.data, (int)import->name.size,
                               (const char *)import->name.data);
    }
    const struct sm_wasm_type *type = sm_wasm_func_type(gate->module, import->index);
    const struct smelt_host_function *function = &gate->profile->functions[row];
    if (!sm_profile_matches(function, type->params, type->param_count, type->results,
                            type->result_count)) {
        char signature[128];
        sm_profile_signature_text(function, signature, sizeof(signature));
        return sm_error_set_at(gate->err, SMELT_STATUS_MODULE_IMPORT, "import", import->index,
                               import->offset, "%s.%s has another signature: profile %s wants %s",
                               function->module, function->name, gate->profile->name, signature);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_imports(const struct gate *gate)
{
    enum smelt_status status = SMELT_STATUS_OK;
    for (uint32_t i = 0; status == SMELT_STATUS_OK && i < gate->module->import_count; i++) {
        status = check_import(gate, &gate->module->imports[i]);
    }
    return status;
}

/* What the policy does not let a module export; NULL: it may. */
static const char *forbidden_export(const struct gate *gate, const struct sm_wasm_export *export_)
{
    const struct sm_policy *policy = gate->policy;
    switch (export_->kind) {
    case SM_WASM_EXTERNAL_FUNC:
        return NULL;
    case SM_WASM_EXTERNAL_TABLE:
        return policy->may_export.table ? NULL : "the table";
    case SM_WASM_EXTERNAL_MEMORY:
        return policy->may_export.memory ? NULL : "the memory";
    case SM_WASM_EXTERNAL_GLOBAL:
        break;
    }
    if (gate->module->globals[export_->index].is_mutable) {
        return policy->may_export.mutable_globals ? NULL : "mutable globals";
    }
    return policy->may_export.globals ? NULL : "immutable globals";
}

static bool is_printable_ascii(struct smelt_slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] < 0x20 || name.data[i] > 0x7e) {
            return false;
        }
    }
    return name.size != 0;
}

static enum smelt_status check_export(const struct gate *gate, const struct sm_wasm_export *export_)
{
    const char *forbidden = forbidden_export(gate, export_);
    if (forbidden != NULL) {
        return sm_error_set_at(gate->err, SMELT_STATUS_MODULE_EXPORT, "export", -1, export_->offset,
                               "export %.*s: the policy forbids exporting %s",
                               (int)export_->name.size, (const char *)export_->name.data,
                               forbidden);
    }
    if (gate->policy->names == SM_POLICY_NAMES_PRINTABLE_ASCII &&
        !is_printable_ascii(export_->name)) {
        return sm_error_set_at(gate->err, SMELT_STATUS_MODULE_EXPORT, "export", -1, export_->offset,
                               "export %.*s: the policy wants names of printable ASCII",
                               (int)export_->name.size, (const char *)export_->name.data);
    }
    return SMELT_STATUS_OK;
}

/* The policy's rules, export by export. */
static enum smelt_status check_exports(const struct gate *gate)
{
    enum smelt_status status = SMELT_STATUS_OK;
    for (uint32_t i = 0; status == SMELT_STATUS_OK && i < gate->module->export_count; i++) {
        status = check_export(gate, &gate->module->exports[i]);
    }
    return status;
}

/* The exports that the runtime uses itself must be what it expects. */
static enum smelt_status check_profile_exports(const struct gate *gate)
{
    static const uint8_t i32[] = {SMELT_VALTYPE_I32};
    const struct sm_wasm_module *module = gate->module;
    for (uint32_t i = 0; i < module->export_count; i++) {
        const struct sm_wasm_export *export_ = &module->exports[i];
        bool is_allocate = gate->profile->allocate_export != NULL &&
                           sm_slice_equal_text(export_->name, gate->profile->allocate_export);
        bool is_init = gate->profile->init_export != NULL &&
                       sm_slice_equal_text(export_->name, gate->profile->init_export);
        if (!is_allocate && !is_init) {
            continue;
        }
        uint32_t wanted = is_allocate ? 1 : 0;
        const struct sm_wasm_type *type = export_->kind == SM_WASM_EXTERNAL_FUNC
                                              ? sm_wasm_func_type(module, export_->index)
                                              : NULL;
        if (type == NULL || type->param_count != wanted || type->result_count != wanted ||
            (is_allocate && (type->params[0] != i32[0] || type->results[0] != i32[0]))) {
            return sm_error_set_at(gate->err, SMELT_STATUS_MODULE_EXPORT, "export", -1,
                                   export_->offset, "export %.*s must be a function %s",
                                   (int)export_->name.size, (const char *)export_->name.data,
                                   is_allocate ? "(i32) -> i32" : "() -> ()");
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_start(const struct gate *gate)
{
    if (!gate->module->has_start) {
        return SMELT_STATUS_OK;
    }
    return sm_error_set_at(
        gate->err, SMELT_STATUS_MODULE_START, "start", gate->module->start_func,
        gate->module->start_offset, "a start function is refused: export it as %s instead",
        gate->profile->init_export != NULL ? gate->profile->init_export : "a function");
}

/* ---- the return page ------------------------------------------------------------------------- */

bool sm_gate_needs_return_page(const struct sm_wasm_module *module,
                               const struct smelt_profile *profile)
{
    if (!profile->has_return_page || !module->has_memory) {
        return false;
    }
    for (uint32_t i = 0; profile->allocate_export != NULL && i < module->export_count; i++) {
        if (sm_slice_equal_text(module->exports[i].name, profile->allocate_export)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < module->import_count; i++) {
        uint32_t row = sm_profile_find(profile, module->imports[i].module, module->imports[i].name);
        if (row != SM_PROFILE_NO_FUNCTION &&
            (profile->functions[row].flags & SMELT_HOST_PLACES_VALUE) != 0) {
            return true;
        }
    }
    return false;
}

static enum smelt_status check_return_page(const struct gate *gate)
{
    const struct sm_wasm_module *module = gate->module;
    if (!sm_gate_needs_return_page(module, gate->profile)) {
        return SMELT_STATUS_OK;
    }
    uint32_t limit = sm_gate_memory_pages_max(gate->policy, gate->profile);
    if (module->memory.has_max && module->memory.max < limit) {
        limit = module->memory.max;
    }
    if (module->memory.min < limit) {
        return SMELT_STATUS_OK;
    }
    return sm_error_set(
        gate->err, SMELT_STATUS_MODULE_LIMIT, "memory",
        "no room for the return page: %u initial pages, at most %u allowed; raise the "
        "memory's maximum or export %s",
        module->memory.min, limit,
        gate->profile->allocate_export != NULL ? gate->profile->allocate_export : "an allocator");
}

/* ---- all rules ------------------------------------------------------------------------------- */

enum smelt_status sm_gate_check(const struct sm_wasm_module *module, const struct sm_policy *policy,
                                const struct smelt_profile *profile, struct smelt_error *err)
{
    static enum smelt_status (*const rules[])(const struct gate *) = {
        check_module_limits, check_start,  check_imports, check_exports, check_profile_exports,
        check_features,      check_floats, check_bodies,  check_cost,    check_return_page,
    };
    const struct gate gate = {module, policy, profile, err};
    enum smelt_status status = SMELT_STATUS_OK;
    for (size_t i = 0; status == SMELT_STATUS_OK && i < sizeof(rules) / sizeof(rules[0]); i++) {
        status = rules[i](&gate);
    }
    return status;
}
