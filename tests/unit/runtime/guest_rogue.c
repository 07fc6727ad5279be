/* An artefact that does what no compiler of ours emits: accesses without a check, recursion without
 * a limit, instructions that fault, loops that take no fuel. */
#include "smelt_guest.h"

struct module {
    struct sm_instance base;
};

#define ENTRY(name) static void e_##name(struct sm_instance *instance, u64 *slots)
#define M           ((struct module *)instance)

/* Writes a byte at an offset from the start of memory, wherever that is. */
ENTRY(poke)
{
    *(volatile u8 *)(M->base.memory + slots[0]) = 1;
}

ENTRY(poke_absolute)
{
    (void)instance;
    *(volatile u8 *)slots[0] = 1;
}

/* Past the end of the stack that grows towards smaller addresses. */
static __attribute__((noinline)) u64 dive(volatile u8 *above)
{
    volatile u8 frame[4096];
    frame[0] = above[0];
    __asm__ volatile("" ::: "memory");
    return frame[0] == 0 ? dive(frame) + frame[0] : 0;
}

ENTRY(dive)
{
    (void)instance;
    u8 first = 0;
    slots[0] = dive(&first);
}

/* Past its start. */
ENTRY(climb)
{
    (void)instance;
    (void)slots;
    ((volatile u8 *)__builtin_frame_address(0))[8192] = 1;
}

#ifdef __x86_64__
ENTRY(illegal)
{
    (void)instance;
    (void)slots;
    __asm__ volatile("ud2");
}

ENTRY(divide)
{
    (void)instance;
    u64 high = 0;
    __asm__ volatile("div %2" : "+a"(slots[0]), "+d"(high) : "r"((u64)0));
}
#else
ENTRY(illegal)
{
    (void)instance;
    (void)slots;
    __asm__ volatile("udf #0");
}
#endif

ENTRY(host)
{
    struct module *m = M;
    ENTER;
    CALL_BEGIN;
    HOST_CALL(0, slots, 340);
    CALL_END;
    LEAVE;
}

/* ---- endless ----------------------------------------------------------------------------------
 */

ENTRY(spin)
{
    (void)instance;
    for (;;) {
        slots[0]++;
        __asm__ volatile("" ::: "memory");
    }
}

ENTRY(spin_host)
{
    struct module *m = M;
    for (;;) {
        ENTER;
        CALL_BEGIN;
        HOST_CALL(0, slots, 350);
        CALL_END;
        LEAVE;
    }
}

/* Fills all of memory, over and over. */
ENTRY(spin_fill)
{
    struct module *m = M;
    ENTER;
    for (;;) {
        MEMORY_FILL(0u, (u8)slots[0], mem_size, 360);
        slots[0]++;
    }
    LEAVE;
}

ENTRY(spin_copy)
{
    struct module *m = M;
    ENTER;
    for (;;) {
        MEMORY_COPY(1u, 0u, mem_size - 1, 361);
        slots[0]++;
    }
    LEAVE;
}

ENTRY(spin_grow)
{
    struct module *m = M;
    u32 previous;
    (void)slots;
    ENTER;
    for (;;) {
        MEMORY_GROW(previous, 0);
        (void)previous;
    }
    LEAVE;
}

static __attribute__((noinline)) u64 fibonacci(u64 n)
{
    __asm__ volatile("" : "+r"(n));
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

/* Recursion without end in sight: half an hour, and more for a larger argument. */
ENTRY(recurse)
{
    (void)instance;
    slots[0] = fibonacci(slots[0]);
}

/* memory.copy within memory: (to, from, size). */
ENTRY(copy)
{
    struct module *m = M;
    ENTER;
    MEMORY_COPY(slots[0], slots[1], slots[2], 362);
    LEAVE;
}

/* ---- descriptor ------------------------------------------------------------------------------ */

static const u8 types[] = {0x7e, 0x7e, 0x7e, 0x7e};

#define NAME(text) (text), sizeof(text) - 1

static const struct sm_import imports[] = {{NAME("env"), NAME("first"), types, 1, 1}};

static const struct sm_export exports[] = {
    {NAME("poke"), 0, types, 1, 0, 1, e_poke},
    {NAME("poke_absolute"), 1, types, 1, 0, 1, e_poke_absolute},
    {NAME("dive"), 2, types, 0, 1, 1, e_dive},
    {NAME("climb"), 3, types, 0, 0, 1, e_climb},
    {NAME("illegal"), 4, types, 0, 0, 1, e_illegal},
#ifdef __x86_64__
    {NAME("divide"), 5, types, 1, 1, 1, e_divide},
#endif
    {NAME("host"), 6, types, 1, 1, 1, e_host},
    {NAME("spin"), 7, types, 1, 1, 1, e_spin},
    {NAME("spin_host"), 8, types, 1, 1, 1, e_spin_host},
    {NAME("spin_fill"), 9, types, 1, 1, 1, e_spin_fill},
    {NAME("spin_copy"), 10, types, 1, 1, 1, e_spin_copy},
    {NAME("spin_grow"), 11, types, 1, 1, 1, e_spin_grow},
    {NAME("recurse"), 12, types, 1, 1, 1, e_recurse},
    {NAME("copy"), 13, types, 3, 0, 1, e_copy},
};

/* 256 MiB of memory, so that filling it takes a while; 1024 pages more in reserve. */
__attribute__((visibility("default"))) const struct sm_descriptor smelt_descriptor = {
    .abi_version = SM_ABI_VERSION,
    .size = sizeof(struct sm_descriptor),
    .artefact_key = {0xa3, 3},
    .module_hash = {0xb3, 3},
    .instance_size = sizeof(struct module),
    .state_offset = sizeof(struct module),
    .has_memory = 1,
    .memory_min = 4096,
    .memory_max = 5120,
    .return_page = 0xffffffffu,
    .stack_limit = 100,
    .stack_bytes = 65536,
    .imports = imports,
    .exports = exports,
    .import_count = 1,
    .export_count = sizeof(exports) / sizeof(exports[0]),
};
