/* Loading a contract's imports against the profile, and the least-recently-used set. The set is an
 * array in order of use: a few hundred entries, and a busy contract is found in its first cells. */
#include "runtime/host/contract.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/status.h"
#include "hostabi/profile.h"

#include <assert.h>
#include <string.h>

#define WHERE "artefact"

static enum smelt_status bind_imports(struct sm_contract *contract,
                                      const struct smelt_profile *profile, struct smelt_error *err)
{
    const struct sm_descriptor *descriptor = sm_exec_descriptor(contract->module);
    contract->rows = (uint32_t *)sm_calloc(descriptor->import_count, sizeof(*contract->rows));
    if (contract->rows == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    for (uint32_t i = 0; i < descriptor->import_count; i++) {
        const struct sm_import *import = &descriptor->imports[i];
        uint32_t row = sm_profile_find(profile, sm_slice(import->module, import->module_size),
                                       sm_slice(import->name, import->name_size));
        if (row == SM_PROFILE_NO_FUNCTION) {
            return sm_error_set(err, SMELT_STATUS_ARTEFACT_MISMATCH, WHERE,
                                "import %.*s.%.*s is not in profile %s: compile the module again",
                                (int)import->module_size, import->module, (int)import->name_size,
                                import->name, profile->name);
        }
        if (!sm_profile_matches(&profile->functions[row], import->types, import->param_count,
                                import->types + import->param_count, import->result_count)) {
            return sm_error_set(err, SMELT_STATUS_ARTEFACT_MISMATCH, WHERE,
                                "import %s.%s has another signature than in profile %s: compile "
                                "the module again",
                                profile->functions[row].module, profile->functions[row].name,
                                profile->name);
        }
        contract->rows[i] = row;
    }
    return SMELT_STATUS_OK;
}

/* The export that places values, when it is `(i32) -> i32`. */
static const struct sm_export *find_allocate(const struct sm_contract *contract,
                                             const struct smelt_profile *profile)
{
    if (profile->allocate_export == NULL) {
        return NULL;
    }
    const struct sm_export *found =
        sm_exec_find_export(contract->module, smelt_slice_from_string(profile->allocate_export));
    bool is_fit = found != NULL && found->param_count == 1 && found->result_count == 1 &&
                  found->types[0] == SMELT_VALTYPE_I32 && found->types[1] == SMELT_VALTYPE_I32;
    return is_fit ? found : NULL;
}

enum smelt_status sm_contract_load(struct sm_exec_pool *pool, int fd, const struct smelt_hash *key,
                                   const struct smelt_hash *module_hash,
                                   const struct smelt_profile *profile, struct sm_contract **out,
                                   struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    *out = NULL;
    struct sm_contract *contract = (struct sm_contract *)sm_calloc(1, sizeof(*contract));
    if (contract == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    atomic_init(&contract->references, 1);
    contract->module_hash = *module_hash;
    contract->artefact_key = *key;
    SMELT_TRY(sm_exec_load(pool, fd, key, module_hash, &contract->module, err));
    SMELT_TRY(bind_imports(contract, profile, err));
    contract->allocate = find_allocate(contract, profile);
    *out = contract;
    contract = NULL;
cleanup:
    sm_contract_release(contract);
    return status;
}

void sm_contract_acquire(struct sm_contract *contract)
{
    atomic_fetch_add_explicit(&contract->references, 1, memory_order_relaxed);
}

void sm_contract_release(struct sm_contract *contract)
{
    /* the last one sees every use by other threads as over */
    if (contract == NULL ||
        atomic_fetch_sub_explicit(&contract->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    sm_exec_release(contract->module);
    sm_free(contract->rows);
    sm_free(contract);
}

enum smelt_status sm_resident_init(struct sm_resident *resident, size_t limit,
                                   struct smelt_error *err)
{
    assert(limit != 0);
    resident->contracts = (struct sm_contract **)sm_calloc(limit, sizeof(*resident->contracts));
    if (resident->contracts == NULL) {
        return sm_error_no_memory(err, "engine");
    }
    (void)pthread_mutex_init(&resident->lock, NULL); /* fails for no reason that applies */
    resident->count = 0;
    resident->limit = limit;
    return SMELT_STATUS_OK;
}

void sm_resident_deinit(struct sm_resident *resident)
{
    if (resident->contracts == NULL) {
        return; /* never initialised */
    }
    for (size_t i = 0; i < resident->count; i++) {
        sm_contract_release(resident->contracts[i]);
    }
    (void)pthread_mutex_destroy(&resident->lock);
    sm_free(resident->contracts);
    memset(resident, 0, sizeof(*resident));
}

/* Opens the cell at the front by closing the one at `from`. */
static void move_to_front(struct sm_resident *resident, size_t from, struct sm_contract *contract)
{
    memmove(resident->contracts + 1, resident->contracts, from * sizeof(*resident->contracts));
    resident->contracts[0] = contract;
}

static struct sm_contract *find(struct sm_resident *resident, const struct smelt_hash *module_hash)
{
    for (size_t i = 0; i < resident->count; i++) {
        struct sm_contract *contract = resident->contracts[i];
        if (memcmp(&contract->module_hash, module_hash, sizeof(*module_hash)) == 0) {
            move_to_front(resident, i, contract);
            return contract;
        }
    }
    return NULL;
}

struct sm_contract *sm_resident_find(struct sm_resident *resident,
                                     const struct smelt_hash *module_hash)
{
    (void)pthread_mutex_lock(&resident->lock);
    struct sm_contract *contract = find(resident, module_hash);
    if (contract != NULL) {
        sm_contract_acquire(contract);
    }
    (void)pthread_mutex_unlock(&resident->lock);
    return contract;
}

/* The cell for one more contract: a new one, else that of the least recently used contract that
 * only the set refers to, which is handed out to be released. `limit` when there is none. */
static size_t make_room(struct sm_resident *resident, struct sm_contract **dropped)
{
    if (resident->count < resident->limit) {
        return resident->count++;
    }
    for (size_t at = resident->count; at-- != 0;) {
        if (atomic_load_explicit(&resident->contracts[at]->references, memory_order_acquire) == 1) {
            *dropped = resident->contracts[at];
            return at;
        }
    }
    return resident->limit;
}

void sm_resident_keep(struct sm_resident *resident, struct sm_contract *contract)
{
    struct sm_contract *dropped = NULL;
    (void)pthread_mutex_lock(&resident->lock);
    if (find(resident, &contract->module_hash) == NULL) {
        size_t from = make_room(resident, &dropped);
        if (from != resident->limit) {
            sm_contract_acquire(contract);
            move_to_front(resident, from, contract);
        }
    }
    (void)pthread_mutex_unlock(&resident->lock);
    sm_contract_release(dropped); /* unmapping takes its time */
}

size_t sm_resident_count(struct sm_resident *resident)
{
    (void)pthread_mutex_lock(&resident->lock);
    size_t count = resident->count;
    (void)pthread_mutex_unlock(&resident->lock);
    return count;
}
