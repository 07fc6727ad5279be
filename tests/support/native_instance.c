/* See native_instance.h. */
#include "tests/support/native_instance.h"

#include "base/bytes.h"
#include "cache/objects.h"

#include <string.h>
#include <unistd.h>

#define FUEL UINT64_C(100000000000) /* some minutes: an endless loop does not hang the test */

enum smelt_status native_compiler_create(const char *cache_directory,
                                         const struct back_end *back_end,
                                         struct native_compiler *out, struct smelt_error *err)
{
    /* the suite's modules know no ABI: no export is special */
    out->profile = (struct smelt_profile){.name = "spectest", .version = 1, .call_depth_max = 1};
    struct smelt_compiler_options options = {.profile = &out->profile, .allows_any_import = true};
    if (back_end != NULL) {
        options.optimisation = back_end->optimisation;
        options.cc_path = back_end->cc;
    }
    enum smelt_status status = smelt_cache_open(cache_directory, &out->cache, err);
    if (status == SMELT_STATUS_OK) {
        /* only its weights of instructions are used, which have no profile */
        status = smelt_schedule_builtin("unit", &smelt_profile_engine, &out->schedule, err);
    }
    if (status == SMELT_STATUS_OK) {
        status = smelt_policy_builtin("standard-floats", &out->policy, err);
    }
    if (status == SMELT_STATUS_OK) {
        status = sm_exec_pool_create(NULL, &out->pool, err);
    }
    if (status == SMELT_STATUS_OK) {
        options.cache = out->cache;
        options.schedule = out->schedule;
        options.policy = out->policy;
        status = smelt_compiler_create(&options, &out->compiler, err);
    }
    return status;
}

void native_compiler_destroy(struct native_compiler *native)
{
    smelt_compiler_destroy(native->compiler);
    smelt_policy_destroy(native->policy);
    smelt_schedule_destroy(native->schedule);
    smelt_cache_close(native->cache);
    sm_exec_pool_destroy(native->pool);
    memset(native, 0, sizeof(*native));
}

/* ---- imports --------------------------------------------------------------------------------- */

static enum sm_exec_action print(void *context, struct sm_activation *activation, uint32_t import,
                                 uint64_t *slots)
{
    (void)context;
    (void)activation;
    (void)import;
    (void)slots;
    return SM_EXEC_CONTINUE;
}

static bool is_print(const struct sm_import *import)
{
#define I32 "\x7f"
#define I64 "\x7e"
#define F32 "\x7d"
#define F64 "\x7c"
    static const struct {
        const char *name;
        const char *params;
    } rows[] = {{"print", ""},
                {"print_i32", I32},
                {"print_i64", I64},
                {"print_f32", F32},
                {"print_f64", F64},
                {"print_i32_f32", I32 F32},
                {"print_f64_f64", F64 F64}};
#undef I32
#undef I64
#undef F32
#undef F64
    if (!sm_slice_equal_text(sm_slice(import->module, import->module_size), "spectest")) {
        return false;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (sm_slice_equal_text(sm_slice(import->name, import->name_size), rows[i].name)) {
            return import->result_count == 0 &&
                   sm_slice_equal_text(sm_slice(import->types, import->param_count),
                                       rows[i].params);
        }
    }
    return false;
}

static bool is_linked(const struct sm_descriptor *descriptor)
{
    for (uint32_t i = 0; i < descriptor->import_count; i++) {
        if (!is_print(&descriptor->imports[i])) {
            return false;
        }
    }
    return true;
}

/* ---- instances ------------------------------------------------------------------------------- */

enum smelt_status native_instance_create(const struct native_compiler *native,
                                         struct native_instance *out, struct smelt_error *err)
{
    static const struct sm_exec_host host = {.call = print};
    struct smelt_artefact artefact;
    struct sm_cache_object object = {.fd = -1};
    enum smelt_status status =
        smelt_compile(native->compiler, sm_buf_slice(&out->wasm), NULL, &artefact, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    status = sm_cache_open_object(native->cache, &artefact.key, &object, err);
    if (status == SMELT_STATUS_OK) {
        status = sm_exec_load(native->pool, object.fd, &artefact.key, &artefact.module_hash,
                              &out->module, err);
        (void)close(object.fd);
    }
    if (status == SMELT_STATUS_OK) {
        out->is_linked = is_linked(sm_exec_descriptor(out->module));
        if (out->is_linked) {
            status = sm_exec_create(out->module, &host, FUEL, &out->activation, err);
        }
    }
    if (out->activation != NULL) {
        sm_exec_start(out->activation, &out->started);
    }
    return status;
}

void native_instance_destroy(struct native_instance *instance)
{
    sm_exec_destroy(instance->activation);
    sm_exec_release(instance->module);
    smelt_buf_deinit(&instance->wasm);
    memset(instance, 0, sizeof(*instance));
}

void native_instance_invoke(struct native_instance *instance, const struct sm_export *export_,
                            uint64_t *slots, struct sm_exec_result *result)
{
    sm_exec_set_fuel(instance->activation, FUEL);
    sm_exec_invoke(instance->activation, export_, slots, result);
}
