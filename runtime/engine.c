/* Making an engine, its turns, and getting code. */
#include "runtime/engine.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/status.h"
#include "hostabi/profile.h"
#include "runtime/exec/fault.h"
#include "runtime/host/engine.h"
#include "runtime/meta.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define WHERE          "engine"
#define RESIDENT_COUNT 256u
#define STATE_BYTES    (UINT64_C(256) << 20)
#define LOG_LINE_BYTES 512

static enum smelt_status invalid(struct smelt_error *err, const char *what)
{
    return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE, "%s", what);
}

/* ---- log ------------------------------------------------------------------------------------- */

void sm_engine_log(const struct smelt_engine *engine, enum smelt_log_level level,
                   const char *format, ...)
{
    const struct smelt_log *log = &engine->options.log;
    char line[LOG_LINE_BYTES];
    va_list args;
    if (log->write == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    log->write(log->context, level, line);
}

/* ---- engine ---------------------------------------------------------------------------------- */

static enum smelt_status check_options(const struct smelt_engine_options *options,
                                       struct smelt_error *err)
{
    const struct smelt_profile *profile = options->profile;
    if (options->store == NULL || options->schedule == NULL || options->source.open == NULL) {
        return invalid(err, "store, schedule and source are required");
    }
    if (options->handlers == NULL) {
        return invalid(err, "a profile of your own needs its handlers");
    }
    if (profile->call_depth_max == 0) {
        return invalid(err, "the profile's call_depth_max must be at least 1");
    }
    for (uint32_t i = 0; i < profile->function_count; i++) {
        if (options->handlers[i] == NULL ||
            profile->functions[i].params[SMELT_HOST_PARAMS_MAX].kind != SMELT_PARAM_END) {
            return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                                "host function %s.%s has no handler, or parameters without an end",
                                profile->functions[i].module, profile->functions[i].name);
        }
    }
    if (options->workers > SM_WORKERS_MAX) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "at most %u workers can execute a wave", SM_WORKERS_MAX);
    }
    return sm_schedule_check_profile(options->schedule, profile, err);
}

/* Refused, and not waited for, when the thread has it: a host function's. */
static void init_turn(pthread_mutex_t *turn)
{
    pthread_mutexattr_t attributes; /* nothing here fails for a reason that applies */
    (void)pthread_mutexattr_init(&attributes);
    (void)pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    (void)pthread_mutex_init(turn, &attributes);
    (void)pthread_mutexattr_destroy(&attributes);
}

enum smelt_status smelt_engine_create(const struct smelt_engine_options *options,
                                      struct smelt_engine **out, struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    struct smelt_policy *own_policy = NULL;
    struct sm_exec_pool_options pool = {0};
    uint32_t cost_count;
    struct smelt_hash root;
    if (out != NULL) {
        *out = NULL;
    }
    if (options == NULL || out == NULL) {
        return invalid(err, "options and out are required");
    }
    struct smelt_engine *engine = (struct smelt_engine *)sm_calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    init_turn(&engine->turn);
    sm_crew_init(&engine->crew);
    sm_committer_init(&engine->committer, options->store);
    engine->options = *options;
    if (engine->options.profile == NULL) {
        engine->options.profile = &smelt_profile_engine;
    }
    if (engine->options.profile == &smelt_profile_engine && engine->options.handlers == NULL) {
        engine->options.handlers = sm_engine_handlers;
    }
    SMELT_TRY(check_options(&engine->options, err));
    engine->costs = sm_schedule_hosts(options->schedule, &cost_count);
    pool.instances_max = options->instances_max;
    pool.idle_bytes = options->idle_memory_bytes;
    SMELT_TRY(sm_exec_pool_create(&pool, &engine->pool, err));
    SMELT_TRY(sm_resident_init(
        &engine->resident,
        options->resident_modules_max != 0 ? options->resident_modules_max : RESIDENT_COUNT, err));
    if (options->policy == NULL) {
        SMELT_TRY(smelt_policy_builtin(SMELT_POLICY_DEFAULT, &own_policy, err));
    }
    SMELT_TRY(sm_tip_create(options->store,
                            options->state_bytes != 0 ? options->state_bytes : STATE_BYTES,
                            &engine->tip, err));
    SMELT_TRY(sm_meta_claim(options->store, engine->options.profile, options->schedule,
                            own_policy != NULL ? own_policy : options->policy, err));
    SMELT_TRY(sm_overlay_create_at(engine->tip, &engine->overlay, err));
    if (options->has_commitment) {
        SMELT_TRY(smelt_commitment_enable(options->store, err));
    }
    SMELT_TRY(sm_commitment_root(options->store, &root, &engine->may_have_commitment, err));
    engine->version = options->store->ops->version(options->store->impl);
    SMELT_TRY(sm_watchdog_init(&engine->watchdog, options->deadline_signal, err));
    SMELT_TRY(sm_fault_acquire(err));
    engine->has_fault_handlers = true;
    *out = engine;
    engine = NULL;
cleanup:
    smelt_policy_destroy(own_policy);
    smelt_engine_destroy(engine);
    return status;
}

void smelt_engine_destroy(struct smelt_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    if (engine->has_fault_handlers) {
        sm_fault_release();
    }
    sm_committer_deinit(&engine->committer);
    sm_crew_deinit(&engine->crew);
    sm_watchdog_deinit(&engine->watchdog);
    sm_overlay_destroy(engine->overlay);
    sm_tip_destroy(engine->tip);
    sm_resident_deinit(&engine->resident);
    sm_exec_pool_destroy(engine->pool);
    (void)pthread_mutex_destroy(&engine->turn);
    sm_free(engine);
}

enum smelt_status smelt_engine_metrics(struct smelt_engine *engine, struct smelt_buf *out,
                                       struct smelt_error *err)
{
    if (engine == NULL || out == NULL) {
        return invalid(err, "engine and out are required");
    }
    const struct sm_metrics_gauges gauges = {.resident_modules =
                                                 sm_resident_count(&engine->resident),
                                             .tip = sm_tip_figures(engine->tip),
                                             .pool = sm_exec_pool_figures(engine->pool)};
    return sm_metrics_print(&engine->metrics, &gauges, out, err);
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* Whose wave this thread works on. A member of the crew has no turn of its own to be refused for,
 * and would wait for that of a wave which waits for it. */
static _Thread_local const struct smelt_engine *working_for;

const struct smelt_engine *sm_engine_enter(const struct smelt_engine *engine)
{
    const struct smelt_engine *before = working_for;
    working_for = engine;
    return before;
}

enum smelt_status sm_engine_take_turn(struct smelt_engine *engine, struct smelt_error *err)
{
    const struct smelt_store *store = engine->options.store;
    if (working_for == engine || pthread_mutex_lock(&engine->turn) != 0) {
        return invalid(err,
                       "a host function may only make static calls with the engine that runs it");
    }
    if (!sm_committer_is_busy(&engine->committer)) {
        sm_commit_notice(engine);
        if (store->ops->version(store->impl) != engine->version) {
            sm_engine_forget(engine); /* somebody has funded an account, say */
        }
    }
    return SMELT_STATUS_OK;
}

void sm_engine_end_turn(struct smelt_engine *engine)
{
    (void)pthread_mutex_unlock(&engine->turn);
}

void sm_engine_forget(struct smelt_engine *engine)
{
    const struct smelt_store *store = engine->options.store;
    sm_overlay_reset(engine->overlay);
    sm_tip_clear(engine->tip);
    engine->has_head = false;
    engine->has_kept = false;
    engine->may_have_commitment = true;
    engine->version = store->ops->version(store->impl);
}

enum smelt_status smelt_engine_flush(struct smelt_engine *engine, struct smelt_error *err)
{
    if (engine == NULL) {
        return invalid(err, "an engine is required");
    }
    enum smelt_status status = sm_engine_take_turn(engine, err);
    if (status == SMELT_STATUS_OK) {
        status = sm_commit_settle(engine, err);
        sm_engine_end_turn(engine);
    }
    return status;
}

/* ---- getting code ---------------------------------------------------------------------------- */

static enum smelt_status load_artefact(struct smelt_engine *engine, const struct smelt_hash *hash,
                                       struct smelt_slice wasm, struct sm_contract **out,
                                       struct smelt_error *err)
{
    const struct smelt_artefact_source *source = &engine->options.source;
    struct smelt_hash key;
    char text[2 * SMELT_HASH_BYTES + 1];
    int fd = -1;
    uint64_t start = sm_clock_ns();
    sm_metrics_add(&engine->metrics.source_loads, 1);
    enum smelt_status status = source->open(source->context, hash, wasm, &fd, &key, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    status = sm_contract_load(engine->pool, fd, &key, hash, engine->options.profile, out, err);
    (void)close(fd);
    if (status == SMELT_STATUS_OK) {
        sm_resident_keep(&engine->resident, *out);
        smelt_hex_encode(hash->bytes, sizeof(hash->bytes), text);
        sm_engine_log(engine, SMELT_LOG_INFO, "module %s loaded in %.1f ms", text,
                      (double)(sm_clock_ns() - start) / 1e6);
    }
    return status;
}

/* The wasm of a deployed contract. Code is content-addressed and never deleted, so the newest state
 * serves as well as the transaction's snapshot. */
static enum smelt_status read_code(struct smelt_engine *engine, const struct smelt_hash *hash,
                                   struct smelt_buf *wasm, struct smelt_error *err)
{
    const struct smelt_store *store = engine->options.store;
    struct smelt_hash actual;
    char text[2 * SMELT_HASH_BYTES + 1];
    bool found = false;
    const struct smelt_slice key = sm_slice(hash->bytes, sizeof(hash->bytes));
    enum smelt_status status =
        store->ops->get(store->impl, NULL, SMELT_STORE_CODE, key, wasm, &found, err);
    if (status == SMELT_STATUS_OK && !found) {
        sm_committer_drain(&engine->committer); /* it may be on its way */
        status = store->ops->get(store->impl, NULL, SMELT_STORE_CODE, key, wasm, &found, err);
    }
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    sm_digest_bytes(sm_buf_slice(wasm), &actual);
    if (!found || !sm_hash_equal(&actual, hash)) {
        smelt_hex_encode(hash->bytes, sizeof(hash->bytes), text);
        return sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                            "the code of module %s is missing from the state, or damaged", text);
    }
    return SMELT_STATUS_OK;
}

enum smelt_status sm_engine_load(struct smelt_engine *engine, const struct smelt_hash *hash,
                                 const struct smelt_slice *wasm, struct sm_contract **out,
                                 struct smelt_error *err)
{
    struct smelt_buf stored = {0};
    enum smelt_status status = SMELT_STATUS_OK;
    *out = sm_resident_find(&engine->resident, hash);
    if (*out != NULL) {
        sm_metrics_add(&engine->metrics.resident_hits, 1);
        return status;
    }
    if (wasm == NULL) {
        SMELT_TRY(read_code(engine, hash, &stored, err));
    }
    status = load_artefact(engine, hash, wasm != NULL ? *wasm : sm_buf_slice(&stored), out, err);
cleanup:
    smelt_buf_deinit(&stored);
    return status;
}
