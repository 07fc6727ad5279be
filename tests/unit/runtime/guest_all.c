/* An artefact in the style of generated code: a function for everything the runtime does to guest
 * code. Offsets and charges are arbitrary; the tests know them. */
#include "smelt_guest.h"

#define EXPORTED __attribute__((visibility("default")))

#define STACK_LIMIT 1000u
#define FRAME_BYTES 1024u /* of `recurse`, with room to spare */

struct module {
    struct sm_instance base;
    u64 counter;
    f64 scale;
    u8 data_dropped[3];
    u8 elem_dropped[3];
};

/* ---- functions ------------------------------------------------------------------------------- */

static u32 f_add(struct module *m, u32 x, u32 y)
{
    ENTER;
    FUEL_CHECKED(3);
    LEAVE;
    return x + y;
}

static u32 f_sub(struct module *m, u32 x, u32 y)
{
    ENTER;
    FUEL_CHECKED(3);
    LEAVE;
    return x - y;
}

static u64 f_other(struct module *m, u64 x)
{
    ENTER;
    FUEL_CHECKED(1);
    LEAVE;
    return x;
}

/* Each case traps at offset 256 + kind, after 5 + 10 × kind of fuel. */
static u64 f_trap(struct module *m, u32 kind, u32 zero)
{
    u64 result = 0;
    u64 least = 0x8000000000000000u + zero;
    u64 minus_one = (u64)-1 - zero;
    f64 nan = F64_NAN;
    ENTER;
    FUEL_CHECKED(5);
    FUEL(10 * kind);
    switch (kind) {
    case 1:
        UNREACHABLE(257);
        break;
    case 2:
        result = i64_load((u64)(u32)mem_size - 7 + zero, 258);
        break;
    case 3:
        result = DIV_U(kind, zero, 259);
        break;
    case 4:
        result = I64_DIV_S(least, minus_one, 260);
        break;
    case 5:
        result = I32_TRUNC_S_F64(nan, 261);
        break;
    case 6:
        TABLE_COPY(zero, 1, (u32)m->base.table_size, 262);
        break;
    case 7:
        CALL_BEGIN;
        result = INDIRECT(u32(*)(struct module *, u32, u32), 0, 1000, 263)(m, 1, 2);
        CALL_END;
        break;
    case 8:
        CALL_BEGIN;
        result = INDIRECT(u32(*)(struct module *, u32, u32), 0, 7, 264)(m, 1, 2);
        CALL_END;
        break;
    case 9:
        CALL_BEGIN;
        result = INDIRECT(u32(*)(struct module *, u32, u32), 0, 3, 265)(m, 1, 2);
        CALL_END;
        break;
    case 10:
        STACK_ENTER(STACK_LIMIT + 1, 266);
        break;
    default: /* what no compiler of ours emits */
        TRAP(kind, 255);
    }
    LEAVE;
    return result;
}

static u32 f_indirect(struct module *m, u32 index, u32 x, u32 y)
{
    ENTER;
    FUEL_CHECKED(2);
    CALL_BEGIN;
    u32 result = INDIRECT(u32(*)(struct module *, u32, u32), 0, index, 300)(m, x, y);
    CALL_END;
    LEAVE;
    return result;
}

static u64 f_spin(struct module *m, u64 rounds)
{
    ENTER;
    FUEL_CHECKED(1);
    u64 i = 0;
    do {
        FUEL_CHECKED(3);
        __asm__ volatile("" : "+r"(i));
    } while (++i != rounds);
    LEAVE;
    return i;
}

/* Spends without looking, then returns (0), traps (1) or calls the host (2). */
static void f_debt(struct module *m, u64 spent, u32 then)
{
    u64 slots[1] = {0};
    ENTER;
    FUEL(spent);
    if (then == 1) {
        UNREACHABLE(320);
    }
    if (then == 2) {
        CALL_BEGIN;
        HOST_CALL(0, slots, 321);
        CALL_END;
    }
    LEAVE;
}

static u32 f_host(struct module *m, u32 import, u32 argument)
{
    u64 slots[2] = {argument, 0};
    ENTER;
    FUEL_CHECKED(4);
    CALL_BEGIN;
    HOST_CALL(import, slots, 340);
    CALL_END;
    FUEL(2);
    m->counter++;
    LEAVE;
    return (u32)slots[0];
}

static u32 f_grow(struct module *m, u32 pages)
{
    ENTER;
    FUEL_CHECKED(6);
    u32 previous;
    MEMORY_GROW(previous, pages);
    LEAVE;
    return previous;
}

static u32 f_host_then_grow(struct module *m, u32 pages)
{
    u64 slots[1] = {0};
    ENTER;
    FUEL_CHECKED(6);
    CALL_BEGIN;
    HOST_CALL(0, slots, 350);
    CALL_END;
    u32 previous;
    MEMORY_GROW(previous, pages);
    LEAVE;
    return previous;
}

static u32 f_size(struct module *m)
{
    ENTER;
    FUEL_CHECKED(1);
    LEAVE;
    return MEMORY_PAGES;
}

static u32 f_load(struct module *m, u32 address)
{
    ENTER;
    FUEL_CHECKED(1);
    u32 value = i32_load((u64)address, 360);
    LEAVE;
    return value;
}

static void f_store(struct module *m, u32 address, u32 value)
{
    ENTER;
    FUEL_CHECKED(1);
    i32_store((u64)address, value, 361);
    LEAVE;
}

/* Makes everything an activation owns differ from its initial state. */
static void f_dirty(struct module *m)
{
    ENTER;
    FUEL_CHECKED(1);
    MEMORY_FILL(0u, 0xa5, (u32)mem_size, 370);
    TABLE_COPY(4u, 2u, 4u, 371);
    m->counter = 99;
    m->scale = -1;
    m->data_dropped[2] = 1;
    m->elem_dropped[2] = 1;
    LEAVE;
}

/* A digest of what f_dirty changes. */
static u64 f_observe(struct module *m)
{
    ENTER;
    FUEL_CHECKED(1);
    u64 sum = m->counter * 31 + i64_reinterpret_f64(m->scale);
    for (u64 i = 0; i < mem_size; i++) {
        sum = sum * 31 + mem[i];
    }
    for (u64 i = 0; i < m->base.table_size; i++) {
        sum = sum * 31 + m->base.table[i].type + (m->base.table[i].function != (void (*)(void))0);
    }
    for (u32 i = 0; i < 3; i++) {
        sum = sum * 31 + m->data_dropped[i] + 7u * m->elem_dropped[i];
    }
    LEAVE;
    return sum;
}

static const u8 data_bytes[] = "smelt";
EXPORTED const struct sm_funcref smelt_elem_items[] = {
    {(void (*)(void))f_add, 0}, {(void (*)(void))f_sub, 0}, {(void (*)(void))f_other, 1}};

static void f_memory_init(struct module *m, u32 segment, u32 to, u32 from, u32 size)
{
    ENTER;
    FUEL_CHECKED(1);
    u32 available = m->data_dropped[segment] ? 0 : 5;
    MEMORY_INIT(data_bytes, available, to, from, size, 380);
    LEAVE;
}

static void f_table_init(struct module *m, u32 segment, u32 to, u32 from, u32 count)
{
    ENTER;
    FUEL_CHECKED(1);
    u32 available = m->elem_dropped[segment] ? 0 : 3;
    TABLE_INIT(smelt_elem_items, available, to, from, count, 381);
    LEAVE;
}

/* Calls itself until `depth` is 0, with almost FRAME_BYTES of native stack each time. */
static __attribute__((noinline)) u32 f_recurse(struct module *m, u32 depth)
{
    ENTER;
    FUEL_CHECKED(1);
    STACK_ENTER(1, 390);
    volatile u8 frame[FRAME_BYTES - 128];
    frame[depth % sizeof(frame)] = (u8)depth;
    u32 result = 0;
    if (depth != 0) {
        CALL_BEGIN;
        result = f_recurse(m, depth - 1) + 1;
        CALL_END;
    }
    result += frame[depth % sizeof(frame)] != (u8)depth;
    STACK_LEAVE(1);
    LEAVE;
    return result;
}

/* 1 / x, and x × y: rounding mode and flush-to-zero show. */
static void f_floats(struct module *m, u64 *slots)
{
    ENTER;
    FUEL_CHECKED(1);
    f64 x = f64_reinterpret_i64(slots[0]);
    f64 y = f64_reinterpret_i64(slots[1]);
    slots[0] = i64_reinterpret_f64(1 / x);
    slots[1] = i64_reinterpret_f64(x * y);
    LEAVE;
}

#ifdef __x86_64__
/* Leaves with other callee-saved registers and another MXCSR than it came with. */
static void f_spoil(struct module *m, u32 then)
{
    ENTER;
    FUEL_CHECKED(1);
    u32 towards_zero = 0xffc0;
    __asm__ volatile("ldmxcsr %0" : : "m"(towards_zero));
    if (then == 1) {
        /* the instance goes first: the compiler may hold it in one of these */
        register struct sm_instance *instance __asm__("rdi") = &m->base;
        register u64 code __asm__("rsi") = UNREACHABLE_EXECUTED;
        register u64 left __asm__("rdx") = (u64)fuel;
        register u64 at __asm__("rcx") = 400;
        register void *service __asm__("rax") = (void *)m->base.services->trap;
        __asm__ volatile("xor %%ebx, %%ebx; xor %%r12d, %%r12d; xor %%r13d, %%r13d;"
                         "xor %%r14d, %%r14d; xor %%r15d, %%r15d; and $-16, %%rsp; call *%%rax"
                         :
                         : "r"(instance), "r"(code), "r"(left), "r"(at), "r"(service)
                         : "rbx", "r12", "r13", "r14", "r15", "memory");
    }
    LEAVE;
}
#endif

/* ---- entries --------------------------------------------------------------------------------- */

#define ENTRY(name) static void e_##name(struct sm_instance *instance, u64 *slots)
#define M           ((struct module *)instance)
#define S(i)        ((u32)slots[i])

ENTRY(empty)
{
    (void)instance;
    (void)slots;
}
ENTRY(add)
{
    slots[0] = f_add(M, S(0), S(1));
}
ENTRY(trap)
{
    slots[0] = f_trap(M, S(0), 0);
}
ENTRY(indirect)
{
    slots[0] = f_indirect(M, S(0), S(1), S(2));
}
ENTRY(spin)
{
    slots[0] = f_spin(M, slots[0]);
}
ENTRY(debt)
{
    f_debt(M, slots[0], S(1));
}
ENTRY(host)
{
    slots[0] = f_host(M, S(0), S(1));
}
ENTRY(grow)
{
    slots[0] = f_grow(M, S(0));
}
ENTRY(host_then_grow)
{
    slots[0] = f_host_then_grow(M, S(0));
}
ENTRY(size)
{
    slots[0] = f_size(M);
}
ENTRY(load)
{
    slots[0] = f_load(M, S(0));
}
ENTRY(store)
{
    f_store(M, S(0), S(1));
}
ENTRY(dirty)
{
    (void)slots;
    f_dirty(M);
}
ENTRY(observe)
{
    slots[0] = f_observe(M);
}
ENTRY(memory_init)
{
    f_memory_init(M, S(0), S(1), S(2), S(3));
}
ENTRY(table_init)
{
    f_table_init(M, S(0), S(1), S(2), S(3));
}
ENTRY(recurse)
{
    slots[0] = f_recurse(M, S(0));
}
ENTRY(floats)
{
    f_floats(M, slots);
}
#ifdef __x86_64__
ENTRY(spoil)
{
    f_spoil(M, S(0));
}
#endif

/* ---- descriptor ------------------------------------------------------------------------------ */

static const u8 types[] = {0x7f, 0x7f, 0x7f, 0x7f, 0x7f};
static const u8 types_i64[] = {0x7e, 0x7e};
static const u8 types_f64[] = {0x7c, 0x7c, 0x7c, 0x7c};

#define NAME(text) (text), sizeof(text) - 1

EXPORTED const struct sm_import smelt_imports[] = {
    {NAME("env"), NAME("first"), types, 1, 1},
    {NAME("env"), NAME("second"), types, 1, 1},
};

#define HEAVY (STACK_LIMIT * 3 / 4)

EXPORTED const struct sm_export smelt_exports[] = {
    {NAME("empty"), 0, types, 0, 0, 1, e_empty},
    {NAME("add"), 1, types, 2, 1, 1, e_add},
    {NAME("trap"), 2, types, 1, 1, 10, e_trap},
    {NAME("indirect"), 3, types, 3, 1, 1, e_indirect},
    {NAME("spin"), 4, types_i64, 1, 1, 1, e_spin},
    {NAME("debt"), 5, types, 2, 0, 1, e_debt},
    {NAME("host"), 6, types, 2, 1, 10, e_host},
    {NAME("heavy_host"), 6, types, 2, 1, HEAVY, e_host},
    {NAME("too_heavy"), 6, types, 2, 1, STACK_LIMIT + 1, e_host},
    {NAME("grow"), 7, types, 1, 1, 1, e_grow},
    {NAME("host_then_grow"), 7, types, 1, 1, 1, e_host_then_grow},
    {NAME("size"), 8, types, 0, 1, 1, e_size},
    {NAME("load"), 9, types, 1, 1, 1, e_load},
    {NAME("store"), 10, types, 2, 0, 1, e_store},
    {NAME("dirty"), 11, types, 0, 0, 1, e_dirty},
    {NAME("observe"), 12, types_i64, 0, 1, 1, e_observe},
    {NAME("memory_init"), 13, types, 4, 0, 1, e_memory_init},
    {NAME("table_init"), 14, types, 4, 0, 1, e_table_init},
    {NAME("recurse"), 15, types, 1, 1, 0, e_recurse},
    {NAME("floats"), 16, types_f64, 2, 2, 1, e_floats},
#ifdef __x86_64__
    {NAME("spoil"), 17, types, 1, 0, 1, e_spoil},
#endif
    {NAME("with\0zero"), 18, types, 2, 1, 1, e_add},
};

EXPORTED const struct sm_data_segment smelt_data_segments[] = {
    {data_bytes, 5, 16, 1},
    {data_bytes, 5, 65536 - 5, 1},
    {data_bytes, 5, 0, 0},
};

EXPORTED const struct sm_elem_segment smelt_elem_segments[] = {
    {smelt_elem_items, 3, 1, 1},
    {smelt_elem_items, 0, 8, 1},
    {smelt_elem_items, 3, 0, 0},
};

EXPORTED const struct sm_function smelt_functions[] = {
    {0, 100, 20, NAME("empty")},
    {1, 120, 30, NAME("add")},
    {2, 200, 100, NAME("trap")},
};

static const struct {
    u64 counter;
    f64 scale;
    u8 dropped[6];
} initial = {.counter = 7, .scale = 0.5};

#define COUNT(array) ((u32)(sizeof(array) / sizeof((array)[0])))

EXPORTED const struct sm_descriptor smelt_descriptor = {
    .abi_version = SM_ABI_VERSION,
    .size = sizeof(struct sm_descriptor),
    .artefact_key = {0xa1, 1},
    .module_hash = {0xb1, 1},
    .instance_size = sizeof(struct module),
    .state_offset = __builtin_offsetof(struct module, counter),
    .state_size = sizeof(initial),
    .state_image = &initial,
    .has_memory = 1,
    .memory_min = 1,
    .memory_max = 4,
    .return_page = 0,
    .table_size = 8,
    .stack_limit = STACK_LIMIT,
    .stack_bytes = STACK_LIMIT * FRAME_BYTES,
    .data_segments = smelt_data_segments,
    .elem_segments = smelt_elem_segments,
    .imports = smelt_imports,
    .exports = smelt_exports,
    .functions = smelt_functions,
    .data_segment_count = COUNT(smelt_data_segments),
    .elem_segment_count = COUNT(smelt_elem_segments),
    .import_count = COUNT(smelt_imports),
    .export_count = COUNT(smelt_exports),
    .function_count = COUNT(smelt_functions),
    .data_dropped_offset = __builtin_offsetof(struct module, data_dropped) -
                           __builtin_offsetof(struct module, counter),
    .elem_dropped_offset = __builtin_offsetof(struct module, elem_dropped) -
                           __builtin_offsetof(struct module, counter),
};
