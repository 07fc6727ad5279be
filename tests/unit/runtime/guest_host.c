/* A contract for the engine's tests, in the style of generated code. It does what the test tells
 * it: `run` reads its input and carries out the commands in it, `host` calls one import. Variants
 * are compiled from this file by macro (see CMakeLists.txt).
 *
 * A script is a row of little-endian words of 8 bytes:
 *
 *     SCRIPT_HOST  import, count, arguments ...   calls an import; its result becomes the result
 *     SCRIPT_POKE  address, size, bytes ...       puts bytes (padded to a word) into memory
 *     SCRIPT_TRAP                                 unreachable
 *     SCRIPT_BURN  fuel
 *     SCRIPT_GROW  pages
 *     SCRIPT_EXPECT value                         traps unless the result is this
 *     SCRIPT_SPIN  rounds                         a loop, endless for 0
 *     SCRIPT_SPIN_HOST rounds                     the same of host calls
 *     SCRIPT_STRAY offset                         a write there, without a check */
#include "smelt_guest.h"

#include "tests/unit/runtime/guest_host.h"

#ifndef GUEST_RETURN_PAGE
#define GUEST_RETURN_PAGE 2u
#endif

struct module {
    struct sm_instance base;
    u64 bump; /* next address that allocate gives out */
    u8 data_dropped[8];
};

#define RESULT_I32 0x7f,
#define RESULT_I64 0x7e,
#define RESULT_NONE
#define I32(n)              0x7f,
#define I64(n)              0x7e,
#define IN(n)               0x7f, 0x7f,
#define BYTES(n)            0x7f, 0x7f,
#define OUT(n)              0x7f, 0x7f,
#define IN_FIXED(n, bytes)  0x7f,
#define OUT_FIXED(n, bytes) 0x7f,
#define HOST(name, result, flags, brief, parameters)                                               \
    static const u8 types_##name[] = {parameters RESULT_##result 0};
#include "hostabi/engine.def"

#define HAS_I32  1
#define HAS_I64  1
#define HAS_NONE 0
static const struct sm_import imports[] = {
#define HOST(name_, result, flags, brief, parameters)                                              \
    {.module = "env",                                                                              \
     .module_size = 3,                                                                             \
     .name = #name_,                                                                               \
     .name_size = sizeof(#name_) - 1,                                                              \
     .types = types_##name_,                                                                       \
     .param_count = sizeof(types_##name_) - 1 - HAS_##result,                                      \
     .result_count = HAS_##result},
#include "hostabi/engine.def"
#ifdef GUEST_UNKNOWN_IMPORT
    {.module = "env", .module_size = 3, .name = "clock", .name_size = 5, .types = types_fuel_left},
#endif
#ifdef GUEST_WRONG_IMPORT
    {.module = "env",
     .module_size = 3,
     .name = "fuel_left",
     .name_size = 9,
     .types = types_fuel_left,
     .param_count = 1},
#endif
};

/* One host call: `count` arguments at `words`. */
static u64 call_import(struct module *m, u32 import, const u64 *words, u64 count, u32 at)
{
    u64 slots[8] = {0};
    for (u64 i = 0; i < count && i < 8; i++) {
        slots[i] = words[i];
    }
    HOST_CALL(import, slots, at);
    return slots[0];
}

static u64 word_at(const u8 *mem, u64 address)
{
    u64 word;
    __builtin_memcpy(&word, mem + address, sizeof(word));
    return word;
}

static u64 run_script(struct module *m, u64 at, u64 end)
{
    u64 result = 0;
    u64 args[8];
    u32 zero = 0;
    ENTER;
    FUEL_CHECKED(1);
    while (at < end) {
        FUEL_CHECKED(1);
        u64 command = word_at(mem, at);
        u64 first = word_at(mem, at + 8);
        u64 second = word_at(mem, at + 16);
        switch (command) {
        case SCRIPT_HOST:
            for (u64 i = 0; i < second && i < 8; i++) {
                args[i] = word_at(mem, at + 24 + 8 * i);
            }
            CALL_BEGIN;
            result = call_import(m, (u32)first, args, second, GUEST_AT_SCRIPT);
            CALL_END;
            at += 24 + 8 * second;
            break;
        case SCRIPT_POKE:
            MEMORY_COPY(first, at + 24, second, GUEST_AT_SCRIPT);
            at += 24 + (second + 7) / 8 * 8;
            break;
        case SCRIPT_BURN:
            FUEL_DYNAMIC(first);
            at += 16;
            break;
        case SCRIPT_GROW:
            MEMORY_GROW(result, (u32)first);
            at += 16;
            break;
        case SCRIPT_EXPECT:
            if (result != first) {
                (void)DIV_U(zero, zero, GUEST_AT_SCRIPT);
            }
            at += 16;
            break;
        case SCRIPT_SPIN:
            do {
                FUEL_CHECKED(1);
                __asm__ volatile("" : "+r"(first));
            } while (--first != 0);
            at += 16;
            break;
        case SCRIPT_SPIN_HOST:
            do {
                FUEL_CHECKED(1);
                CALL_BEGIN;
                (void)call_import(m, GUEST_HOST_fuel_left, args, 0, GUEST_AT_SCRIPT);
                CALL_END;
            } while (--first != 0);
            at += 16;
            break;
        case SCRIPT_STRAY:
            *(volatile u8 *)(mem + first) = 1;
            at += 16;
            break;
        default:
            UNREACHABLE(GUEST_AT_SCRIPT);
        }
    }
    LEAVE;
    return result;
}

/* Reads the input to GUEST_SCRIPT and runs it. */
static u64 run(struct module *m)
{
    u64 args[3] = {0, 0, GUEST_SCRIPT};
    u64 size = call_import(m, GUEST_HOST_input_len, args, 0, GUEST_AT_RUN);
    args[1] = size;
    (void)call_import(m, GUEST_HOST_input_read, args, 3, GUEST_AT_RUN);
    return run_script(m, GUEST_SCRIPT, GUEST_SCRIPT + size);
}

/* Calls itself, counts the calls that came back well, and returns the number as return data. */
static void dive(struct module *m)
{
    u64 args[7] = {GUEST_SCRATCH};
    u64 found = 0;
    ENTER;
    FUEL_CHECKED(1);
    CALL_BEGIN;
    (void)call_import(m, GUEST_HOST_get_contract_address, args, 1, GUEST_AT_RUN);
    __builtin_memcpy(mem + GUEST_SCRATCH + 32, "dive", 4);
    u64 self[] = {GUEST_SCRATCH, GUEST_SCRATCH + 32, 4, 0, 0, GUEST_ZEROES, 0};
    u64 result = call_import(m, GUEST_HOST_call_contract, self, 7, GUEST_AT_RUN);
    if (result == 0) {
        u64 read[] = {0, 8, GUEST_SCRATCH};
        (void)call_import(m, GUEST_HOST_call_result_read, read, 3, GUEST_AT_RUN);
        found = word_at(mem, GUEST_SCRATCH) + 1;
    } else if (result != 6) {
        UNREACHABLE(GUEST_AT_RUN);
    }
    __builtin_memcpy(mem + GUEST_SCRATCH, &found, sizeof(found));
    u64 data[] = {GUEST_SCRATCH, 8};
    (void)call_import(m, GUEST_HOST_return_data, data, 2, GUEST_AT_RUN);
    CALL_END;
    LEAVE;
}

#ifdef GUEST_ALLOCATE
/* What it does is told by the word at GUEST_ALLOCATE_MODE. */
static u32 allocate(struct module *m, u32 size)
{
    u64 args[8] = {0};
    ENTER;
    FUEL_CHECKED(GUEST_ALLOCATE_FUEL);
    u64 pointer = m->bump;
    u32 previous;
    switch (word_at(mem, GUEST_ALLOCATE_MODE)) {
    case ALLOCATE_TRAPS:
        UNREACHABLE(GUEST_AT_ALLOCATE);
        break;
    case ALLOCATE_OUT_OF_BOUNDS: /* one byte too far */
        pointer = mem_size - size + 1;
        break;
    case ALLOCATE_WRAPS:
        pointer = 0xffffffffu;
        break;
    case ALLOCATE_AT_END:
        pointer = mem_size - size;
        break;
    case ALLOCATE_SPINS:
        for (;;) {
            FUEL_CHECKED(1000);
            __asm__ volatile("" ::: "memory"); /* not computed ahead */
        }
        break;
    case ALLOCATE_RECURSES: /* reads "counter" again */
        args[0] = GUEST_KEY;
        args[1] = GUEST_KEY_SIZE;
        CALL_BEGIN;
        (void)call_import(m, GUEST_HOST_storage_read, args, 2, GUEST_AT_ALLOCATE);
        CALL_END;
        break;
    case ALLOCATE_HOST_ERROR:
        CALL_BEGIN;
        (void)call_import(m, GUEST_HOST_storage_read, args, 2, GUEST_AT_ALLOCATE);
        CALL_END;
        break;
    case ALLOCATE_OVERWRITES: /* the value that is being read */
        args[0] = GUEST_KEY;
        args[1] = GUEST_KEY_SIZE;
        args[2] = GUEST_ZEROES;
        args[3] = 100;
        CALL_BEGIN;
        (void)call_import(m, GUEST_HOST_storage_write, args, 4, GUEST_AT_ALLOCATE);
        CALL_END;
        break;
    case ALLOCATE_GROWS:
        pointer = mem_size;
        MEMORY_GROW(previous, 1);
        (void)previous;
        break;
    case ALLOCATE_REVERTS:
        args[0] = GUEST_KEY;
        args[1] = GUEST_KEY_SIZE;
        CALL_BEGIN;
        (void)call_import(m, GUEST_HOST_revert, args, 2, GUEST_AT_ALLOCATE);
        CALL_END;
        break;
    default:
        m->bump += size;
        break;
    }
    LEAVE;
    return (u32)pointer;
}
#endif

/* ---- entries --------------------------------------------------------------------------------- */

#define ENTRY(name) static void e_##name(struct sm_instance *instance, u64 *slots)
#define M           ((struct module *)instance)

ENTRY(run)
{
    slots[0] = run(M);
}

#ifdef GUEST_INIT
ENTRY(init)
{
    (void)slots;
    (void)run(M);
}
#endif

#ifdef GUEST_ALLOCATE
ENTRY(allocate)
{
    slots[0] = allocate(M, (u32)slots[0]);
}
#endif

ENTRY(dive)
{
    (void)slots;
    dive(M);
}

/* (import, six arguments) -> result; costs 1 besides the call. */
ENTRY(host)
{
    struct module *m = M;
    ENTER;
    FUEL_CHECKED(1);
    CALL_BEGIN;
    u64 result = call_import(m, (u32)slots[0], slots + 1, 7, GUEST_AT_HOST);
    CALL_END;
    LEAVE;
    slots[0] = result;
}

/* (i32, i64) -> (i64, i32) */
ENTRY(swap)
{
    (void)instance;
    u64 first = slots[0];
    slots[0] = slots[1];
    slots[1] = first | 0xffffffff00000000u; /* above an i32: to be ignored */
}

ENTRY(trap)
{
    struct module *m = M;
    (void)slots;
    ENTER;
    FUEL_CHECKED(7);
    UNREACHABLE(GUEST_AT_NAMELESS);
}

ENTRY(nothing)
{
    (void)instance;
    (void)slots;
}

/* ---- descriptor ------------------------------------------------------------------------------ */

static const u8 types_i64s[] = {0x7f, 0x7e, 0x7e, 0x7e, 0x7e, 0x7e, 0x7e, 0x7e, 0x7e};
static const u8 types_swap[] = {0x7f, 0x7e, 0x7e, 0x7f};
static const u8 types_i32s[] = {0x7f, 0x7f};
static const u8 types_f32[] = {0x7d};

#define NAME(text) (text), sizeof(text) - 1

static const struct sm_export exports[] = {
    {NAME("run"), 23, types_i64s + 1, 0, 1, 10, e_run},
    {NAME("again"), 23, types_i64s + 1, 0, 1, 10, e_run},
    {NAME("host"), 24, types_i64s, 8, 1, 10, e_host},
    {NAME("swap"), 25, types_swap, 2, 2, 10, e_swap},
    {NAME("trap"), 26, types_i32s, 0, 0, 10, e_trap},
    {NAME("dive"), 27, types_i32s, 0, 0, 10, e_dive},
    {NAME("takes_float"), 28, types_f32, 1, 0, 10, e_nothing},
    {NAME("__hidden"), 29, types_i32s, 0, 0, 10, e_nothing},
    {NAME("memory"), 29, types_i32s, 0, 0, 10, e_nothing},
#ifdef GUEST_INIT
    {NAME("init"), 30, types_i32s, 0, 0, 10, e_init},
#endif
#ifdef GUEST_BAD_INIT
    {NAME("init"), 30, types_i32s, 1, 0, 10, e_nothing},
#endif
#ifdef GUEST_ALLOCATE
    {NAME("allocate"), 31, types_i32s, 1, 1, 10, e_allocate},
#endif
};

/* Of the export `trap`; GUEST_LONG_NAME: too long for a receipt. */
#ifdef GUEST_LONG_NAME
#define NAME_32   "0123456789abcdef0123456789abcdef"
#define TRAP_NAME NAME_32 NAME_32 NAME_32 NAME_32 NAME_32 NAME_32 NAME_32 NAME_32 "x"
#else
#define TRAP_NAME ""
#endif

static const struct sm_function functions[] = {
    {23, GUEST_AT_RUN - 10, 20, NAME("run")},
    {24, GUEST_AT_HOST - 10, 20, NAME("host")},
    {26, GUEST_AT_NAMELESS - 10, 20, NAME(TRAP_NAME)},
    {31, GUEST_AT_ALLOCATE - 10, 20, NAME("allocate")},
    {32, GUEST_AT_SCRIPT - 10, 20, NAME("run_script")},
};

static const u8 key_bytes[] = GUEST_KEY_TEXT;
static const struct sm_data_segment segments[] = {
    {key_bytes, sizeof(key_bytes) - 1, GUEST_KEY, 1},
#ifdef GUEST_BAD_SEGMENT
    {key_bytes, 2, 3 * 65536 - 1, 1},
#endif
};

static const u64 initial[] = {GUEST_HEAP, 0};

#define COUNT(array) ((u32)(sizeof(array) / sizeof((array)[0])))

/* Key and hash are placeholders: the fixture writes those of the module the artefact stands for. */
__attribute__((visibility("default"))) const struct sm_descriptor smelt_descriptor = {
    .abi_version = SM_ABI_VERSION,
    .size = sizeof(struct sm_descriptor),
    .artefact_key = {[0 ... 31] = GUEST_KEY_MARK},
    .module_hash = {[0 ... 31] = GUEST_HASH_MARK},
    .instance_size = sizeof(struct module),
    .state_offset = __builtin_offsetof(struct module, bump),
    .state_size = sizeof(initial),
    .state_image = initial,
    .has_memory = 1,
    .memory_min = 3,
    .memory_max = 4,
    .return_page = GUEST_RETURN_PAGE,
    .stack_limit = 1000,
    .stack_bytes = 65536,
    .data_segments = segments,
    .imports = imports,
    .exports = exports,
    .functions = functions,
    .data_segment_count = COUNT(segments),
    .import_count = COUNT(imports),
    .export_count = COUNT(exports),
    .function_count = COUNT(functions),
    .data_dropped_offset =
        __builtin_offsetof(struct module, data_dropped) - __builtin_offsetof(struct module, bump),
};
