/* One module on its way to native code without an ABI around it: compiled into a cache, loaded from
 * it, instantiated, ready to be called.
 *
 *     native_compiler_create    compiler, cache, schedule and policy for all modules
 *     native_instance_create    compile, load, instantiate, active segments
 *     native_instance_invoke    an export
 *     native_instance_destroy
 *     native_compiler_destroy */
#ifndef SM_TESTS_NATIVE_INSTANCE_H
#define SM_TESTS_NATIVE_INSTANCE_H

#include "runtime/exec/exec.h"
#include "tests/support/back_end.h"

#include <smelt/compiler.h>

struct native_compiler {
    struct smelt_profile profile;
    struct smelt_cache *cache;
    struct smelt_schedule *schedule;
    struct smelt_policy *policy;
    struct smelt_compiler *compiler;
    struct sm_exec_pool *pool;
};

/* `back_end` NULL: the default. */
enum smelt_status native_compiler_create(const char *cache_directory,
                                         const struct back_end *back_end,
                                         struct native_compiler *out, struct smelt_error *err);
void native_compiler_destroy(struct native_compiler *native);

struct native_instance {
    struct smelt_buf wasm;
    struct sm_exec_module *module;
    struct sm_activation *activation;
    struct sm_exec_result started;
    bool is_linked; /* every import is a print function of module "spectest" */
};

/* Takes the bytes in `out->wasm`, everything else is zero. On OK, see `is_linked` (without it there
 * is no activation) and `started` (how the active segments fared). */
enum smelt_status native_instance_create(const struct native_compiler *native,
                                         struct native_instance *out, struct smelt_error *err);
void native_instance_destroy(struct native_instance *instance);

/* With as much fuel as no command of the suite needs. */
void native_instance_invoke(struct native_instance *instance, const struct sm_export *export_,
                            uint64_t *slots, struct sm_exec_result *result);

#endif
