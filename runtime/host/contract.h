/* Loaded contracts, and the set of them that an engine keeps.
 *
 *     sm_resident_find       hash -> contract with one more reference, or NULL
 *     sm_contract_load       descriptor of an artefact -> contract with one reference
 *     sm_resident_keep       the set takes a reference of its own; may drop the least recently used
 *     sm_contract_release    a frame is done with it
 *
 * A contract that a frame refers to is never dropped from the set: its code is mapped anyway. All
 * functions may be called by several threads at once. */
#ifndef SM_HOST_CONTRACT_H
#define SM_HOST_CONTRACT_H

#include "runtime/exec/exec.h"

#include <smelt/host.h>

#include <pthread.h>
#include <stdatomic.h>

struct sm_contract {
    atomic_size_t references;
    struct sm_exec_module *module;
    struct smelt_hash module_hash;
    struct smelt_hash artefact_key;
    uint32_t *rows;                   /* import number -> row of the profile */
    const struct sm_export *allocate; /* NULL: values go to the return page */
};

/* Maps the artefact behind `fd` (borrowed), to be instantiated in `pool`, and finds its imports
 * among the rows of `profile`. ARTEFACT_MISMATCH when it is not what `key` and `module_hash`
 * promise, or when an import is missing from the profile or has another signature: the compiler
 * checks the same, but an artefact may come from elsewhere. */
enum smelt_status sm_contract_load(struct sm_exec_pool *pool, int fd, const struct smelt_hash *key,
                                   const struct smelt_hash *module_hash,
                                   const struct smelt_profile *profile, struct sm_contract **out,
                                   struct smelt_error *err);
void sm_contract_acquire(struct sm_contract *contract);
void sm_contract_release(struct sm_contract *contract); /* NULL is fine; the last one unmaps */

/* Most recently used first. Zero-initialise, then sm_resident_init. */
struct sm_resident {
    pthread_mutex_t lock;
    struct sm_contract **contracts;
    size_t count;
    size_t limit;
};

enum smelt_status sm_resident_init(struct sm_resident *resident, size_t limit,
                                   struct smelt_error *err);
void sm_resident_deinit(struct sm_resident *resident);
struct sm_contract *sm_resident_find(struct sm_resident *resident,
                                     const struct smelt_hash *module_hash);
/* When all contracts of a full set are in use the new one is not kept. Nor is it when another
 * thread has loaded the same in the meantime. */
void sm_resident_keep(struct sm_resident *resident, struct sm_contract *contract);
size_t sm_resident_count(struct sm_resident *resident);

#endif
