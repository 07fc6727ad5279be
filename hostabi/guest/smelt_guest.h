/* What generated C is written in. It stands in for wasm2c's prelude and runtime: no libc, no global
 * state, every trap an explicit branch that carries fuel and location.
 *
 * Conventions inside a generated function:
 *   m         struct module *: the instance, then the module's globals
 *   fuel      fuel left, a local variable; spilled to the instance around calls
 *   mem       base of linear memory, mem_size its size in bytes, both locals
 *   AT        last argument of whatever may trap: byte offset of the instruction in the deployed
 * module
 *
 * Fuel is taken at the start of every basic block. It is compared with zero only where a path could
 * grow without bound (function entries, loop headers), before host calls, and by the runtime at the
 * end: in between it may be negative, and no effect escapes. */
#ifndef SMELT_GUEST_H
#define SMELT_GUEST_H

#include "smelt_abi.h"

typedef uint8_t u8;
typedef int8_t s8;
typedef uint16_t u16;
typedef int16_t s16;
typedef uint32_t u32;
typedef int32_t s32;
typedef uint64_t u64;
typedef int64_t s64;
typedef float f32;
typedef double f64;

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define INLINE      static inline __attribute__((always_inline, unused))

/* Numbers of enum smelt_trap. */
#define UNREACHABLE_EXECUTED        1u
#define MEMORY_OUT_OF_BOUNDS        2u
#define INTEGER_DIVIDE_BY_ZERO      3u
#define INTEGER_OVERFLOW            4u
#define INVALID_CONVERSION          5u
#define TABLE_OUT_OF_BOUNDS         6u
#define UNDEFINED_ELEMENT           7u
#define UNINITIALIZED_ELEMENT       8u
#define INDIRECT_CALL_TYPE_MISMATCH 9u
#define STACK_OVERFLOW              10u

INLINE __attribute__((noreturn)) void trap_at(struct sm_instance *in, u32 code, s64 fuel, u32 at)
{
    in->services->trap(in, code, fuel, at);
}
#define TRAP(code, at)  trap_at(&m->base, code, fuel, at)
#define UNREACHABLE(at) TRAP(UNREACHABLE_EXECUTED, at)

/* ---- fuel, stack, calls ---------------------------------------------------------------------- */

#define ENTER                                                                                      \
    s64 fuel = m->base.fuel;                                                                       \
    u8 *const mem = m->base.memory;                                                                \
    u64 mem_size = m->base.memory_size;                                                            \
    (void)mem;                                                                                     \
    (void)mem_size
#define LEAVE (m->base.fuel = fuel)

/* One charge per basic block; FUEL_CHECKED at entries and loop headers, FUEL_DYNAMIC before the
 * effect of memory.grow and bulk instructions. */
#ifdef SMELT_EMPTY_FUEL /* to measure what metering costs; never part of an artefact's key */
#define FUEL(n)         ((void)0)
#define FUEL_CHECKED(n) ((void)0)
#define FUEL_DYNAMIC(n) ((void)(n))
#else
#define FUEL(n) (fuel -= (s64)(n))
#define FUEL_CHECKED(n)                                                                            \
    do {                                                                                           \
        fuel -= (s64)(n);                                                                          \
        if (UNLIKELY(fuel < 0)) {                                                                  \
            TRAP(SM_TRAP_OUT_OF_FUEL, 0);                                                          \
        }                                                                                          \
    } while (0)
#define FUEL_DYNAMIC(n) FUEL_CHECKED(n)
#endif

/* Functions on a cycle of the call graph, or reachable through the table, count their stack weight.
 */
#define STACK_ENTER(weight, at)                                                                    \
    do {                                                                                           \
        if (UNLIKELY((m->base.stack -= (weight)) < 0)) {                                           \
            TRAP(STACK_OVERFLOW, at);                                                              \
        }                                                                                          \
    } while (0)
#define STACK_LEAVE(weight) (m->base.stack += (weight))

#define CALL_BEGIN (m->base.fuel = fuel)
#define CALL_END   (fuel = m->base.fuel, mem_size = m->base.memory_size)

/* Imports: the fuel spilled by CALL_BEGIN must not be negative when the host sees it. */
INLINE void host_call(struct sm_instance *in, u32 import, u64 *slots, u32 at)
{
    if (UNLIKELY(in->fuel < 0)) {
        trap_at(in, SM_TRAP_OUT_OF_FUEL, in->fuel, 0);
    }
    in->services->host_call(in, import, slots, at);
}

/* An element of the table as a function of type `type`. */
INLINE void (*indirect(struct sm_instance *in, u32 type, u32 index, s64 fuel, u32 at))(void)
{
    if (UNLIKELY(index >= in->table_size)) {
        trap_at(in, UNDEFINED_ELEMENT, fuel, at);
    }
    const struct sm_funcref *element = &in->table[index];
    if (UNLIKELY(element->function == (void (*)(void))0)) {
        trap_at(in, UNINITIALIZED_ELEMENT, fuel, at);
    }
    if (UNLIKELY(element->type != type)) {
        trap_at(in, INDIRECT_CALL_TYPE_MISMATCH, fuel, at);
    }
    return element->function;
}
#define INDIRECT(signature, type, index, at) ((signature)indirect(&m->base, type, index, fuel, at))

/* ---- linear memory --------------------------------------------------------------------------- */

#define CHECK_RANGE(offset, size, at)                                                              \
    do {                                                                                           \
        if (UNLIKELY((offset) + (u64)(size) > mem_size)) {                                         \
            TRAP(MEMORY_OUT_OF_BOUNDS, at);                                                        \
        }                                                                                          \
    } while (0)

/* The address is i32 + offset in 64 bits: below 2^33, so adding the size cannot wrap. The check
 * comes before the access and stays also when the loaded value is unused. */
#define DEFINE_LOAD(name, memory_type, extended_type, result_type)                                 \
    INLINE result_type name##_checked(struct sm_instance *in, const u8 *mem, u64 mem_size,         \
                                      s64 fuel, u64 address, u32 at)                               \
    {                                                                                              \
        if (UNLIKELY(address + sizeof(memory_type) > mem_size)) {                                  \
            trap_at(in, MEMORY_OUT_OF_BOUNDS, fuel, at);                                           \
        }                                                                                          \
        memory_type value;                                                                         \
        __builtin_memcpy(&value, mem + address, sizeof(value));                                    \
        return (result_type)(extended_type)value;                                                  \
    }
#define DEFINE_STORE(name, memory_type, value_type)                                                \
    INLINE void name##_checked(struct sm_instance *in, u8 *mem, u64 mem_size, s64 fuel,            \
                               u64 address, value_type value, u32 at)                              \
    {                                                                                              \
        if (UNLIKELY(address + sizeof(memory_type) > mem_size)) {                                  \
            trap_at(in, MEMORY_OUT_OF_BOUNDS, fuel, at);                                           \
        }                                                                                          \
        memory_type wrapped = (memory_type)value;                                                  \
        __builtin_memcpy(mem + address, &wrapped, sizeof(wrapped));                                \
    }

DEFINE_LOAD(i32_load, u32, u32, u32)
DEFINE_LOAD(i64_load, u64, u64, u64)
DEFINE_LOAD(f32_load, f32, f32, f32)
DEFINE_LOAD(f64_load, f64, f64, f64)
DEFINE_LOAD(i32_load8_s, s8, s32, u32)
DEFINE_LOAD(i64_load8_s, s8, s64, u64)
DEFINE_LOAD(i32_load8_u, u8, u32, u32)
DEFINE_LOAD(i64_load8_u, u8, u64, u64)
DEFINE_LOAD(i32_load16_s, s16, s32, u32)
DEFINE_LOAD(i64_load16_s, s16, s64, u64)
DEFINE_LOAD(i32_load16_u, u16, u32, u32)
DEFINE_LOAD(i64_load16_u, u16, u64, u64)
DEFINE_LOAD(i64_load32_s, s32, s64, u64)
DEFINE_LOAD(i64_load32_u, u32, u64, u64)
DEFINE_STORE(i32_store, u32, u32)
DEFINE_STORE(i64_store, u64, u64)
DEFINE_STORE(f32_store, f32, f32)
DEFINE_STORE(f64_store, f64, f64)
DEFINE_STORE(i32_store8, u8, u32)
DEFINE_STORE(i32_store16, u16, u32)
DEFINE_STORE(i64_store8, u8, u64)
DEFINE_STORE(i64_store16, u16, u64)
DEFINE_STORE(i64_store32, u32, u64)

#define LOAD(name, address, at) name##_checked(&m->base, mem, mem_size, fuel, address, at)
#define STORE(name, address, value, at)                                                            \
    name##_checked(&m->base, mem, mem_size, fuel, address, value, at)

#define MEMORY_PAGES       ((u32)(mem_size >> 16))
#define MEMORY_GROW(pages) grow(&m->base, pages, &mem_size)
INLINE u32 grow(struct sm_instance *in, u32 pages, u64 *mem_size)
{
    u32 previous = in->services->memory_grow(in, pages);
    *mem_size = in->memory_size;
    return previous;
}

#define MEMORY_FILL(to, value, size, at)                                                           \
    do {                                                                                           \
        CHECK_RANGE(to, size, at);                                                                 \
        m->base.services->memory_set(mem + (to), (int)(u8)(value), size);                          \
    } while (0)
#define MEMORY_COPY(to, from, size, at)                                                            \
    do {                                                                                           \
        CHECK_RANGE(to, size, at);                                                                 \
        CHECK_RANGE(from, size, at);                                                               \
        m->base.services->memory_move(mem + (to), mem + (from), size);                             \
    } while (0)
#define MEMORY_INIT(bytes, available, to, from, size, at)                                          \
    do {                                                                                           \
        if (UNLIKELY((u64)(from) + (size) > (available))) {                                        \
            TRAP(MEMORY_OUT_OF_BOUNDS, at);                                                        \
        }                                                                                          \
        CHECK_RANGE(to, size, at);                                                                 \
        m->base.services->memory_move(mem + (to), (bytes) + (from), size);                         \
    } while (0)

/* ---- tables ---------------------------------------------------------------------------------- */

#define TABLE_INIT(items, available, to, from, count, at)                                          \
    do {                                                                                           \
        if (UNLIKELY((u64)(from) + (count) > (available) ||                                        \
                     (u64)(to) + (count) > m->base.table_size)) {                                  \
            TRAP(TABLE_OUT_OF_BOUNDS, at);                                                         \
        }                                                                                          \
        m->base.services->memory_move(m->base.table + (to), (items) + (from),                      \
                                      (u64)(count) * sizeof(struct sm_funcref));                   \
    } while (0)
#define TABLE_COPY(to, from, count, at)                                                            \
    do {                                                                                           \
        if (UNLIKELY((u64)(from) + (count) > m->base.table_size ||                                 \
                     (u64)(to) + (count) > m->base.table_size)) {                                  \
            TRAP(TABLE_OUT_OF_BOUNDS, at);                                                         \
        }                                                                                          \
        m->base.services->memory_move(m->base.table + (to), m->base.table + (from),                \
                                      (u64)(count) * sizeof(struct sm_funcref));                   \
    } while (0)

/* ---- integers -------------------------------------------------------------------------------- */

#define I32_CLZ(x)     ((x) != 0 ? (u32)__builtin_clz(x) : 32u)
#define I64_CLZ(x)     ((x) != 0 ? (u64)__builtin_clzll(x) : (u64)64)
#define I32_CTZ(x)     ((x) != 0 ? (u32)__builtin_ctz(x) : 32u)
#define I64_CTZ(x)     ((x) != 0 ? (u64)__builtin_ctzll(x) : (u64)64)
#define I32_POPCNT(x)  ((u32)__builtin_popcount(x))
#define I64_POPCNT(x)  ((u64)__builtin_popcountll(x))
#define I32_ROTL(x, y) ((x) << ((y) & 31u) | (x) >> ((32u - (y)) & 31u))
#define I64_ROTL(x, y) ((x) << ((y) & 63u) | (x) >> ((64u - (y)) & 63u))
#define I32_ROTR(x, y) ((x) >> ((y) & 31u) | (x) << ((32u - (y)) & 31u))
#define I64_ROTR(x, y) ((x) >> ((y) & 63u) | (x) << ((64u - (y)) & 63u))

#define DEFINE_DIVISION(name, unsigned_type, signed_type, least)                                   \
    INLINE unsigned_type name##_div_s(struct sm_instance *in, unsigned_type x, unsigned_type y,    \
                                      s64 fuel, u32 at)                                            \
    {                                                                                              \
        if (UNLIKELY(y == 0)) {                                                                    \
            trap_at(in, INTEGER_DIVIDE_BY_ZERO, fuel, at);                                         \
        }                                                                                          \
        if (UNLIKELY(x == (least) && y == (unsigned_type) - 1)) {                                  \
            trap_at(in, INTEGER_OVERFLOW, fuel, at);                                               \
        }                                                                                          \
        return (unsigned_type)((signed_type)x / (signed_type)y);                                   \
    }                                                                                              \
    INLINE unsigned_type name##_rem_s(struct sm_instance *in, unsigned_type x, unsigned_type y,    \
                                      s64 fuel, u32 at)                                            \
    {                                                                                              \
        if (UNLIKELY(y == 0)) {                                                                    \
            trap_at(in, INTEGER_DIVIDE_BY_ZERO, fuel, at);                                         \
        }                                                                                          \
        return y == (unsigned_type) - 1 ? 0 : (unsigned_type)((signed_type)x % (signed_type)y);    \
    }                                                                                              \
    INLINE unsigned_type name##_div_u(struct sm_instance *in, unsigned_type x, unsigned_type y,    \
                                      s64 fuel, u32 at)                                            \
    {                                                                                              \
        if (UNLIKELY(y == 0)) {                                                                    \
            trap_at(in, INTEGER_DIVIDE_BY_ZERO, fuel, at);                                         \
        }                                                                                          \
        return x / y;                                                                              \
    }                                                                                              \
    INLINE unsigned_type name##_rem_u(struct sm_instance *in, unsigned_type x, unsigned_type y,    \
                                      s64 fuel, u32 at)                                            \
    {                                                                                              \
        if (UNLIKELY(y == 0)) {                                                                    \
            trap_at(in, INTEGER_DIVIDE_BY_ZERO, fuel, at);                                         \
        }                                                                                          \
        return x % y;                                                                              \
    }
DEFINE_DIVISION(i32, u32, s32, 0x80000000u)
DEFINE_DIVISION(i64, u64, s64, 0x8000000000000000u)
#define DIVIDE(name, x, y, at) name(&m->base, x, y, fuel, at)

/* ---- floats ---------------------------------------------------------------------------------- */

#define DEFINE_REINTERPRET(name, from_type, to_type)                                               \
    INLINE to_type name(from_type x)                                                               \
    {                                                                                              \
        to_type result;                                                                            \
        __builtin_memcpy(&result, &x, sizeof(result));                                             \
        return result;                                                                             \
    }
DEFINE_REINTERPRET(f32_reinterpret_i32, u32, f32)
DEFINE_REINTERPRET(i32_reinterpret_f32, f32, u32)
DEFINE_REINTERPRET(f64_reinterpret_i64, u64, f64)
DEFINE_REINTERPRET(i64_reinterpret_f64, f64, u64)

#define F32_NAN f32_reinterpret_i32(0x7fc00000u)
#define F64_NAN f64_reinterpret_i64(0x7ff8000000000000u)

/* Signs are bits: these three keep the payload of a NaN (core 2.0, section 4.3.3). */
#define F32_ABS(x) f32_reinterpret_i32(i32_reinterpret_f32(x) & 0x7fffffffu)
#define F64_ABS(x) f64_reinterpret_i64(i64_reinterpret_f64(x) & 0x7fffffffffffffffu)
#define F32_NEG(x) f32_reinterpret_i32(i32_reinterpret_f32(x) ^ 0x80000000u)
#define F64_NEG(x) f64_reinterpret_i64(i64_reinterpret_f64(x) ^ 0x8000000000000000u)
#define F32_COPYSIGN(x, y)                                                                         \
    f32_reinterpret_i32((i32_reinterpret_f32(x) & 0x7fffffffu) |                                   \
                        (i32_reinterpret_f32(y) & 0x80000000u))
#define F64_COPYSIGN(x, y)                                                                         \
    f64_reinterpret_i64((i64_reinterpret_f64(x) & 0x7fffffffffffffffu) |                           \
                        (i64_reinterpret_f64(y) & 0x8000000000000000u))

/* The canonical NaN when the argument is one, else the function of it. */
#define DEFINE_ROUNDING(suffix, type, nan, builtin_suffix)                                         \
    INLINE type wasm_floor##suffix(type x)                                                         \
    {                                                                                              \
        return UNLIKELY(x != x) ? nan : __builtin_floor##builtin_suffix(x);                        \
    }                                                                                              \
    INLINE type wasm_ceil##suffix(type x)                                                          \
    {                                                                                              \
        return UNLIKELY(x != x) ? nan : __builtin_ceil##builtin_suffix(x);                         \
    }                                                                                              \
    INLINE type wasm_trunc##suffix(type x)                                                         \
    {                                                                                              \
        return UNLIKELY(x != x) ? nan : __builtin_trunc##builtin_suffix(x);                        \
    }                                                                                              \
    INLINE type wasm_nearest##suffix(type x)                                                       \
    {                                                                                              \
        return UNLIKELY(x != x) ? nan : __builtin_nearbyint##builtin_suffix(x);                    \
    }                                                                                              \
    INLINE type wasm_sqrt##suffix(type x)                                                          \
    {                                                                                              \
        return UNLIKELY(x != x || x < 0) ? nan : __builtin_sqrt##builtin_suffix(x);                \
    }                                                                                              \
    INLINE type wasm_min##suffix(type x, type y)                                                   \
    {                                                                                              \
        if (UNLIKELY(x != x || y != y)) {                                                          \
            return nan;                                                                            \
        }                                                                                          \
        if (UNLIKELY(x == 0 && y == 0)) {                                                          \
            return __builtin_signbit(x) ? x : y;                                                   \
        }                                                                                          \
        return x < y ? x : y;                                                                      \
    }                                                                                              \
    INLINE type wasm_max##suffix(type x, type y)                                                   \
    {                                                                                              \
        if (UNLIKELY(x != x || y != y)) {                                                          \
            return nan;                                                                            \
        }                                                                                          \
        if (UNLIKELY(x == 0 && y == 0)) {                                                          \
            return __builtin_signbit(x) ? y : x;                                                   \
        }                                                                                          \
        return x > y ? x : y;                                                                      \
    }
DEFINE_ROUNDING(_f32, f32, F32_NAN, f)
DEFINE_ROUNDING(_f64, f64, F64_NAN, )

/* Conversions to integers. The bounds are exact in the float type: the value converts when it lies
 * strictly between `low` and `high`. -2^31 - 1 and -2^63 - 1 have no exact f32 (and f64) neighbour
 * below -2^31 (-2^63), so there the bound is the next float below. */
#define DEFINE_TRUNCATION(name, float_type, int_type, result_type, low, high, least, greatest)     \
    INLINE result_type name(struct sm_instance *in, float_type x, s64 fuel, u32 at)                \
    {                                                                                              \
        if (UNLIKELY(x != x)) {                                                                    \
            trap_at(in, INVALID_CONVERSION, fuel, at);                                             \
        }                                                                                          \
        if (UNLIKELY(!(x > (low) && x < (high)))) {                                                \
            trap_at(in, INTEGER_OVERFLOW, fuel, at);                                               \
        }                                                                                          \
        return (result_type)(int_type)x;                                                           \
    }                                                                                              \
    INLINE result_type name##_sat(float_type x)                                                    \
    {                                                                                              \
        if (UNLIKELY(x != x)) {                                                                    \
            return 0;                                                                              \
        }                                                                                          \
        if (UNLIKELY(!(x > (low)))) {                                                              \
            return (result_type)(least);                                                           \
        }                                                                                          \
        return UNLIKELY(!(x < (high))) ? (result_type)(greatest) : (result_type)(int_type)x;       \
    }
DEFINE_TRUNCATION(i32_trunc_f32_s, f32, s32, u32, -0x1.000002p31f, 0x1p31f, 0x80000000u,
                  0x7fffffffu)
DEFINE_TRUNCATION(i32_trunc_f32_u, f32, u32, u32, -1.0f, 0x1p32f, 0u, 0xffffffffu)
DEFINE_TRUNCATION(i32_trunc_f64_s, f64, s32, u32, -2147483649.0, 0x1p31, 0x80000000u, 0x7fffffffu)
DEFINE_TRUNCATION(i32_trunc_f64_u, f64, u32, u32, -1.0, 0x1p32, 0u, 0xffffffffu)
DEFINE_TRUNCATION(i64_trunc_f32_s, f32, s64, u64, -0x1.000002p63f, 0x1p63f, 0x8000000000000000u,
                  0x7fffffffffffffffu)
DEFINE_TRUNCATION(i64_trunc_f32_u, f32, u64, u64, -1.0f, 0x1p64f, 0u, 0xffffffffffffffffu)
DEFINE_TRUNCATION(i64_trunc_f64_s, f64, s64, u64, -0x1.0000000000001p63, 0x1p63,
                  0x8000000000000000u, 0x7fffffffffffffffu)
DEFINE_TRUNCATION(i64_trunc_f64_u, f64, u64, u64, -1.0, 0x1p64, 0u, 0xffffffffffffffffu)
#define TRUNCATE(name, x, at) name(&m->base, x, fuel, at)

#endif
