/* The border between generated code and the runtime: what an artefact exports, and what generated
 * code sees of its instance. Included by both sides; generated code has no libc and no other
 * headers.
 *
 * Any change of a struct here is a new SM_ABI_VERSION: it is checked after loading and is part of
 * the artefact key. */
#ifndef SMELT_ABI_H
#define SMELT_ABI_H

#ifdef SMELT_GUEST
typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __UINT64_TYPE__ uint64_t;
typedef __INT8_TYPE__ int8_t;
typedef __INT16_TYPE__ int16_t;
typedef __INT32_TYPE__ int32_t;
typedef __INT64_TYPE__ int64_t;
typedef __SIZE_TYPE__ size_t;
#else
#include <stddef.h>
#include <stdint.h>
#endif

#define SM_ABI_VERSION       1u
#define SM_DESCRIPTOR_SYMBOL "smelt_descriptor"

/* Invocations of one activation that may be open at the same time, the outermost counts. One more
 * traps as stack_overflow, so the number is consensus. */
#define SM_NESTING_MAX 8u

/* Codes of `trap` besides enum smelt_trap. */
#define SM_TRAP_OUT_OF_FUEL 255u

struct sm_instance;

/* One table element; `function` is NULL for a null reference. */
struct sm_funcref {
    void (*function)(void); /* a function of this module: takes its instance first */
    uint32_t type;          /* canonical type index */
};

/* Services of the runtime, one const table for all instances. */
struct sm_services {
    /* Ends the activation. `fuel` is what is left (negative: the limit was passed earlier, which
     * makes the outcome out_of_fuel); `offset` is the instruction's place in the deployed module.
     */
    __attribute__((noreturn)) void (*trap)(struct sm_instance *instance, uint32_t code,
                                           int64_t fuel, uint32_t offset);
    /* Calls import number `import`. `slots` holds the arguments, one per parameter (i32 and f32 in
     * the low half), and receives the results from slot 0 on. The caller has stored its fuel in the
     * instance, and reloads fuel and memory size afterwards. Does not return when the host ends the
     * activation. */
    void (*host_call)(struct sm_instance *instance, uint32_t import, uint64_t *slots,
                      uint32_t offset);
    /* memory.grow: previous size in pages, or UINT32_MAX. Updates memory_size. */
    uint32_t (*memory_grow)(struct sm_instance *instance, uint32_t pages);
    void *(*memory_move)(void *to, const void *from, size_t size);
    void *(*memory_set)(void *to, int value, size_t size);
};

/* The part of an instance that is the same for every module. The module's own state (globals,
 * dropped segments) follows at descriptor.state_offset. */
struct sm_instance {
    int64_t fuel;         /* left; spilled here around calls; may be negative between checks */
    uint8_t *memory;      /* base of linear memory; never moves during an activation */
    uint64_t memory_size; /* bytes */
    int64_t stack;        /* stack weight left */
    struct sm_funcref *table;
    uint64_t table_size; /* elements */
    const struct sm_services *services;
    void *activation; /* the runtime's */
};

struct sm_data_segment {
    const uint8_t *bytes;
    uint32_t size;
    uint32_t memory_offset; /* active segments */
    uint32_t is_active;
};

struct sm_elem_segment {
    const struct sm_funcref *items;
    uint32_t count;
    uint32_t table_offset; /* active segments */
    uint32_t is_active;
};

/* Strings are length-delimited: contract names may hold any bytes. `types` lists parameters, then
 * results, as value type codes of the binary format. */
struct sm_import {
    const char *module;
    uint32_t module_size;
    const char *name;
    uint32_t name_size;
    const uint8_t *types;
    uint32_t param_count;
    uint32_t result_count;
};

struct sm_export {
    const char *name;
    uint32_t name_size;
    uint32_t func_index;
    const uint8_t *types;
    uint32_t param_count;
    uint32_t result_count;
    uint32_t stack_weight; /* to be available before the call; 0: the function checks itself */
    /* Arguments in slots[0 ..], results from slots[0] on. */
    void (*entry)(struct sm_instance *instance, uint64_t *slots);
};

/* A function's range of code in the deployed module, for locations; ascending by offset. */
struct sm_function {
    uint32_t index;
    uint32_t offset; /* of the body */
    uint32_t size;   /* bytes */
    const char *name;
    uint32_t name_size;
};

struct sm_descriptor {
    uint32_t abi_version; /* SM_ABI_VERSION */
    uint32_t size;        /* of this struct */
    uint8_t artefact_key[32];
    uint8_t module_hash[32];
    uint64_t instance_size; /* bytes to allocate, struct sm_instance included */
    uint64_t state_offset;
    uint64_t state_size;
    const void *state_image; /* initial globals; no segment dropped */
    uint32_t has_memory;
    uint32_t memory_min;  /* pages, the return page included */
    uint32_t memory_max;  /* pages, after the policy's limit */
    uint32_t return_page; /* page number of the return page; UINT32_MAX: none */
    uint32_t table_size;
    uint32_t stack_limit; /* stack weight of an activation */
    uint64_t stack_bytes; /* native stack that stack_limit can need, host functions not included */
    const struct sm_data_segment *data_segments;
    const struct sm_elem_segment *elem_segments;
    const struct sm_import *imports;
    const struct sm_export *exports;
    const struct sm_function *functions;
    uint32_t data_segment_count;
    uint32_t elem_segment_count;
    uint32_t import_count;
    uint32_t export_count;
    uint32_t function_count;
    uint32_t data_dropped_offset; /* in the state: one byte per segment, nonzero when dropped. */
    uint32_t elem_dropped_offset;
    uint32_t reserved;
};

#endif
