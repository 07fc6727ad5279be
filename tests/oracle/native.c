/* Native code: the artefact as the runtime loads and runs it. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "cache/objects.h"
#include "runtime/exec/exec.h"
#include "tests/oracle/oracle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct native {
    struct sm_exec_pool *pool;
    struct sm_exec_module *module;
    uint32_t *first_word; /* borrowed; may be NULL */
};

static void require(enum smelt_status status, const struct smelt_error *err)
{
    if (status != SMELT_STATUS_OK) {
        fprintf(stderr, "native: %s: %s\n", smelt_status_name(status), err->message);
        exit(EXIT_FAILURE);
    }
}

struct native *native_open(struct smelt_cache *cache, const struct smelt_artefact *artefact)
{
    struct sm_cache_object object;
    struct smelt_error err = {0};
    struct native *native = (struct native *)sm_calloc(1, sizeof(*native));
    if (native == NULL) {
        abort();
    }
    require(sm_cache_open_object(cache, &artefact->key, &object, &err), &err);
    require(sm_exec_pool_create(NULL, &native->pool, &err), &err);
    require(sm_exec_load(native->pool, object.fd, &artefact->key, &artefact->module_hash,
                         &native->module, &err),
            &err);
    (void)close(object.fd);
    return native;
}

void native_close(struct native *native)
{
    if (native == NULL) {
        return;
    }
    sm_exec_release(native->module);
    sm_exec_pool_destroy(native->pool);
    sm_free(native);
}

const struct sm_descriptor *native_descriptor(const struct native *native)
{
    return sm_exec_descriptor(native->module);
}

void native_leave_word(struct native *native, uint32_t *out)
{
    native->first_word = out;
}

/* ---- one call -------------------------------------------------------------------------------- */

struct run {
    const struct oracle_call *call;
    struct oracle_outcome *outcome;
};

static enum sm_exec_action host_call(void *context, struct sm_activation *activation,
                                     uint32_t import, uint64_t *slots)
{
    const struct run *run = (const struct run *)context;
    const struct sm_import *imported =
        &sm_exec_descriptor(sm_exec_module_of(activation))->imports[import];
    const struct oracle_signature signature = {.params = imported->types,
                                               .param_count = imported->param_count,
                                               .results = imported->types + imported->param_count,
                                               .result_count = imported->result_count};
    struct oracle_memory memory;
    memory.data = sm_exec_memory(activation, &memory.size);
    uint64_t fuel = sm_exec_fuel(activation);
    enum oracle_answer answer =
        oracle_host_call(run->call, run->outcome, import, &signature, slots, memory, &fuel);
    sm_exec_set_fuel(activation, fuel);
    return answer == ORACLE_STOP ? SM_EXEC_STOP : SM_EXEC_CONTINUE;
}

static void take_outcome(const struct sm_activation *activation, const struct oracle_call *call,
                         const struct sm_exec_result *result, struct oracle_outcome *out)
{
    switch (result->end) {
    case SM_EXEC_RETURNED:
        out->end = ORACLE_RETURNED;
        break;
    case SM_EXEC_TRAPPED:
        out->end = ORACLE_TRAPPED;
        out->trap = result->trap;
        break;
    case SM_EXEC_OUT_OF_FUEL:
        out->end = ORACLE_OUT_OF_FUEL;
        break;
    case SM_EXEC_STOPPED:
        break; /* the host has said how */
    case SM_EXEC_FAILED:
        fprintf(stderr, "native: the call failed: %s\n", smelt_status_name(result->status));
        exit(EXIT_FAILURE);
    }
    out->fuel_used = call->fuel - sm_exec_fuel(activation);
}

static uint32_t first_word(const struct sm_activation *activation)
{
    uint64_t size;
    const uint8_t *memory = sm_exec_memory(activation, &size);
    return size != 0 ? sm_load_le32(memory) : 0;
}

void native_run(struct native *native, const struct oracle_call *call, struct oracle_outcome *out)
{
    const struct sm_export *export_ = &native_descriptor(native)->exports[call->export_index];
    struct run run = {.call = call, .outcome = out};
    const struct sm_exec_host host = {.call = host_call, .context = &run};
    struct sm_activation *activation = NULL;
    struct sm_exec_result result;
    uint64_t slots[ORACLE_VALUES_MAX];
    struct smelt_error err = {0};

    memset(out, 0, sizeof(*out));
    require(sm_exec_create(native->module, &host, call->fuel, &activation, &err), &err);
    sm_exec_start(activation, &result);
    bool is_started = result.end == SM_EXEC_RETURNED;
    if (is_started) {
        memcpy(slots, call->args, sizeof(slots));
        sm_exec_invoke(activation, export_, slots, &result);
    }
    take_outcome(activation, call, &result, out);
    if (out->end == ORACLE_RETURNED) {
        for (uint32_t i = 0; i < export_->result_count; i++) {
            out->results[i] = oracle_trim(export_->types[export_->param_count + i], slots[i]);
        }
    }
    if (is_started && out->end != ORACLE_OUT_OF_FUEL) {
        uint64_t size;
        const uint8_t *memory = sm_exec_memory(activation, &size);
        oracle_take_memory(out, memory, size);
    }
    if (native->first_word != NULL) {
        *native->first_word = first_word(activation);
    }
    sm_exec_destroy(activation);
}
