/* What the pool makes, instance.c fills and invoke.c runs. An activation is one heap block:
 *
 *     struct sm_activation | instance (descriptor.instance_size) | table (descriptor.table_size)
 *
 * each part aligned for any object, and a slot of address space for its linear memory. From its
 * first invocation on it has a guest stack. */
#ifndef SM_EXEC_ACTIVATION_H
#define SM_EXEC_ACTIVATION_H

#include "runtime/exec/exec.h"
#include "runtime/exec/memory.h"
#include "runtime/exec/residence.h"
#include "runtime/exec/slots.h"
#include "runtime/exec/stack.h"

/* An sm_exec_invoke that has not ended; lives in its stack frame. Together they are the chain of
 * ways out: a trap or a stop takes the innermost. Whenever generated code runs, the innermost of
 * its activation is the current one of the thread (signals.h) as well. */
struct sm_invocation {
    struct sm_invocation *outer; /* of the same activation */
    struct sm_invocation *below; /* on the same thread, whatever its activation */
    const struct sm_activation *activation;
    const struct sm_export *export_;
    void *frame; /* for sm_exec_leave */
    struct sm_exec_result *result;
};

/* A ring: the list itself is one too. */
struct sm_ring {
    struct sm_ring *next;
    struct sm_ring *previous;
};

struct sm_activation {
    struct sm_exec_module *module; /* in use: stays loaded; idle: of no meaning */
    struct sm_instance *instance;
    struct sm_exec_host host;
    struct sm_memory memory;
    struct sm_residence residence;   /* of the pages of memory */
    struct sm_stack stack;           /* since the first invocation */
    struct sm_invocation *innermost; /* NULL: no guest code is running */
    uint32_t nesting;                /* length of that chain */

    /* the pool's */
    struct sm_home *home;
    struct sm_slot *slot;   /* NULL: the module has no memory */
    struct sm_ring in_home; /* idle: among those of the module, by last use */
    struct sm_ring in_pool; /* idle: among all, by last use */
    uint64_t idle_bytes;    /* idle: what it keeps of the machine's memory */
};

extern const struct sm_services sm_exec_services;

#endif
