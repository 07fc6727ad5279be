/* What activations are made of, kept between them: slots of address space, activations that are
 * reset and ready (idle), and guest stacks.
 *
 *     sm_exec_pool_create
 *        sm_home_create            a module comes: its initial image
 *           sm_pool_take              an activation: an idle one of the module, else a new one
 *              sm_pool_stack_take        its first invocation begins, and it has no stack yet
 *           sm_pool_give              reset, without a stack; idle from now on
 *        sm_home_close             nobody refers to the module but activations
 *        sm_home_destroy           the module goes, and its idle activations
 *     sm_exec_pool_destroy
 *
 * Threads share a pool, and each has a part of what is idle to itself. Locks are held to move list
 * entries, and to reserve address space once in sixteen slots; binding, resetting and dissolving
 * happen outside of them. */
#ifndef SM_EXEC_POOL_H
#define SM_EXEC_POOL_H

#include "runtime/exec/activation.h"

/* A module's place in its pool. */
struct sm_home;

/* The module's descriptor is borrowed. NO_MEMORY. */
enum smelt_status sm_home_create(struct sm_exec_pool *pool, const struct sm_descriptor *descriptor,
                                 struct sm_home **out, struct smelt_error *err);
/* The module has no user any more but its activations: none will be taken. Whether none is in use
 * either; when there are some, the sm_pool_give of the last one says so instead. */
bool sm_home_close(struct sm_home *home);
/* NULL is fine. No activation of the module may be in use. */
void sm_home_destroy(struct sm_home *home);
/* Of a loaded module: its home, and what the last of its users calls. */
void sm_exec_unload(struct sm_exec_module *module);
struct sm_home *sm_exec_home(const struct sm_exec_module *module);
const struct sm_image *sm_home_image(const struct sm_home *home);

/* An activation of the module with initial memory, instance and table, and a guest stack if one is
 * idle; the instance's header, host
 * and module are the caller's to fill in. INSTANCE_LIMIT, NO_MEMORY. */
enum smelt_status sm_pool_take(struct sm_home *home, struct sm_activation **out,
                               struct smelt_error *err);
/* True when it was the last of a closed home: the module can go. */
bool sm_pool_give(struct sm_activation *activation);

/* Gives the activation, which has none, a guest stack of the size that its module needs. It goes
 * back with the activation. NO_MEMORY. */
enum smelt_status sm_pool_stack_take(struct sm_activation *activation);

#endif
