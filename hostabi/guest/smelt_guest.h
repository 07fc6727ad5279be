/* What generated C is written in. It stands in for wasm2c's prelude and runtime: no libc, no global
 * state, every trap an explicit branch that carries fuel and location.
 *
 * Conventions inside a generated function:
 *   m         struct module *: the instance, then the module's globals
 *   fuel      fuel left, a local variable; spilled to the instance around calls
 *   mem       base of linear memory, mem_size its size in bytes, both locals
 *   AT        last argument of whatever may trap: byte offset of the instruction in the deployed
 *             module
 *   S0: S1:   labels that nothing goes to; they keep the compiler's basic blocks small
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

/* Without optimisation nothing reads a hint, and a call is smaller than a copy of what it calls: a
 * large module has thousands of them. For the same reason nothing below has a scope or a loop of
 * its own that can do without. */
#ifdef __OPTIMIZE__
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define INLINE      static inline __attribute__((always_inline, unused))
#else
#define UNLIKELY(x) (x)
#define INLINE      static __attribute__((unused))
#endif

/* A large module is compiled in parts: the same text with UNIT = 0, 1 … Without UNIT it is one. */
#ifdef UNIT
#define IN_UNIT(n) (UNIT == (n))
#define SHARED
#pragma GCC visibility push(hidden)
#else
#define IN_UNIT(n) 1
#define SHARED     static
#endif

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

struct module; /* begins with its struct sm_instance */

/* One copy of the call through the services: one at each of the thousands of sites would be half of
 * a large module's code. Being cold and not returning, it makes every branch to it an unlikely one.
 */
__attribute__((noreturn, noinline, cold, unused)) static void trap(struct module *m, s64 fuel,
                                                                   u32 code, u32 at)
{
    struct sm_instance *instance = (struct sm_instance *)m;
    instance->services->trap(instance, code, fuel, at);
}

#define TRAP(code, at)  trap(m, fuel, code, at)
#define UNREACHABLE(at) TRAP(UNREACHABLE_EXECUTED, at)

/* Evaluated before the access it guards; both may be repeated without a temporary. */
#define TRAP_IF(condition, code, at) ((condition) ? trap(m, fuel, code, at) : (void)0)

/* ---- fuel, stack, calls ---------------------------------------------------------------------- */

#define ENTER                                                                                      \
    s64 fuel = m->base.fuel;                                                                       \
    u8 *const mem = m->base.memory;                                                                \
    u64 mem_size = m->base.memory_size;                                                            \
    u64 ea = 0; /* effective address of the running access */                                      \
    (void)mem;                                                                                     \
    (void)mem_size;                                                                                \
    (void)ea
#define LEAVE (m->base.fuel = fuel)

/* One charge per basic block; FUEL_CHECKED at entries and loop headers, FUEL_DYNAMIC before the
 * effect of memory.grow and bulk instructions. */
#ifdef SMELT_EMPTY_FUEL /* to measure what metering costs; never part of an artefact's key */
#define FUEL(n)         ((void)0)
#define FUEL_CHECKED(n) ((void)0)
#define FUEL_DYNAMIC(n) ((void)(n))
#else
#define FUEL(n)         (fuel -= (s64)(n))
#define FUEL_CHECKED(n) (fuel -= (s64)(n), TRAP_IF(fuel < 0, SM_TRAP_OUT_OF_FUEL, 0))
#define FUEL_DYNAMIC(n) FUEL_CHECKED(n)
#endif

/* Functions on a cycle of the call graph, or reachable through the table, count their stack weight.
 */
#define STACK_ENTER(weight, at) TRAP_IF((m->base.stack -= (weight)) < 0, STACK_OVERFLOW, at)
#define STACK_LEAVE(weight)     (m->base.stack += (weight))

#define CALL_BEGIN (m->base.fuel = fuel)
#define CALL_END   (fuel = m->base.fuel, mem_size = m->base.memory_size)

/* Imports: the host never sees negative fuel. */
#define HOST_CALL(import, slots, at)                                                               \
    do {                                                                                           \
        s64 fuel = m->base.fuel;                                                                   \
        TRAP_IF(fuel < 0, SM_TRAP_OUT_OF_FUEL, 0);                                                 \
        m->base.services->host_call(&m->base, import, slots, at);                                  \
    } while (0)

/* The table element `index` as a function of canonical type `type`. */
#define INDIRECT(signature, type_, index, at)                                                      \
    (TRAP_IF((index) >= m->base.table_size, UNDEFINED_ELEMENT, at),                                \
     TRAP_IF(m->base.table[index].function == (void (*)(void))0, UNINITIALIZED_ELEMENT, at),       \
     TRAP_IF(m->base.table[index].type != (type_), INDIRECT_CALL_TYPE_MISMATCH, at),               \
     (signature)m->base.table[index].function)

/* ---- linear memory --------------------------------------------------------------------------- */

#define CHECK_RANGE(offset, size, at)                                                              \
    TRAP_IF((offset) + (u64)(size) > mem_size, MEMORY_OUT_OF_BOUNDS, at)

/* The address is i32 + offset in 64 bits: below 2^33, so adding the size cannot wrap. The check
 * comes before the access and stays also when the loaded value is unused. Accesses may be unaligned
 * and may alias anything. */
#define DEFINE_ACCESS(type) typedef type type##_at __attribute__((aligned(1), may_alias))
DEFINE_ACCESS(u8);
DEFINE_ACCESS(s8);
DEFINE_ACCESS(u16);
DEFINE_ACCESS(s16);
DEFINE_ACCESS(u32);
DEFINE_ACCESS(s32);
DEFINE_ACCESS(u64);
DEFINE_ACCESS(f32);
DEFINE_ACCESS(f64);

#define LOAD(type, result, extended, address, at)                                                  \
    (ea = (address), ea + sizeof(type) > mem_size ? TRAP(MEMORY_OUT_OF_BOUNDS, at) : (void)0,      \
     (result)(extended) * (const type##_at *)(mem + ea))
#define STORE(type, address, value, at)                                                            \
    (ea = (address), ea + sizeof(type) > mem_size ? TRAP(MEMORY_OUT_OF_BOUNDS, at) : (void)0,      \
     (void)(*(type##_at *)(mem + ea) = (type)(value)))

#define i32_load(address, at)           LOAD(u32, u32, u32, address, at)
#define i64_load(address, at)           LOAD(u64, u64, u64, address, at)
#define f32_load(address, at)           LOAD(f32, f32, f32, address, at)
#define f64_load(address, at)           LOAD(f64, f64, f64, address, at)
#define i32_load8_s(address, at)        LOAD(s8, u32, s32, address, at)
#define i32_load8_u(address, at)        LOAD(u8, u32, u32, address, at)
#define i32_load16_s(address, at)       LOAD(s16, u32, s32, address, at)
#define i32_load16_u(address, at)       LOAD(u16, u32, u32, address, at)
#define i64_load8_s(address, at)        LOAD(s8, u64, s64, address, at)
#define i64_load8_u(address, at)        LOAD(u8, u64, u64, address, at)
#define i64_load16_s(address, at)       LOAD(s16, u64, s64, address, at)
#define i64_load16_u(address, at)       LOAD(u16, u64, u64, address, at)
#define i64_load32_s(address, at)       LOAD(s32, u64, s64, address, at)
#define i64_load32_u(address, at)       LOAD(u32, u64, u64, address, at)
#define i32_store(address, value, at)   STORE(u32, address, value, at)
#define i64_store(address, value, at)   STORE(u64, address, value, at)
#define f32_store(address, value, at)   STORE(f32, address, value, at)
#define f64_store(address, value, at)   STORE(f64, address, value, at)
#define i32_store8(address, value, at)  STORE(u8, address, value, at)
#define i32_store16(address, value, at) STORE(u16, address, value, at)
#define i64_store8(address, value, at)  STORE(u8, address, value, at)
#define i64_store16(address, value, at) STORE(u16, address, value, at)
#define i64_store32(address, value, at) STORE(u32, address, value, at)

#define MEMORY_PAGES ((u32)(mem_size >> 16))
/* The runtime updates the size in the instance. */
#define MEMORY_GROW(result, pages)                                                                 \
    (result = m->base.services->memory_grow(&m->base, pages), mem_size = m->base.memory_size)

#define MEMORY_FILL(to, value, size, at)                                                           \
    (CHECK_RANGE(to, size, at), m->base.services->memory_set(mem + (to), (int)(u8)(value), size))
#define MEMORY_COPY(to, from, size, at)                                                            \
    (CHECK_RANGE(to, size, at), CHECK_RANGE(from, size, at),                                       \
     m->base.services->memory_move(mem + (to), mem + (from), size))
#define MEMORY_INIT(bytes, available, to, from, size, at)                                          \
    (TRAP_IF((u64)(from) + (size) > (available), MEMORY_OUT_OF_BOUNDS, at),                        \
     CHECK_RANGE(to, size, at), m->base.services->memory_move(mem + (to), (bytes) + (from), size))

/* ---- tables ---------------------------------------------------------------------------------- */

#define TABLE_INIT(items, available, to, from, count, at)                                          \
    (TRAP_IF((u64)(from) + (count) > (available) || (u64)(to) + (count) > m->base.table_size,      \
             TABLE_OUT_OF_BOUNDS, at),                                                             \
     m->base.services->memory_move(m->base.table + (to), (items) + (from),                         \
                                   (u64)(count) * sizeof(struct sm_funcref)))
#define TABLE_COPY(to, from, count, at)                                                            \
    (TRAP_IF((u64)(from) + (count) > m->base.table_size ||                                         \
                 (u64)(to) + (count) > m->base.table_size,                                         \
             TABLE_OUT_OF_BOUNDS, at),                                                             \
     m->base.services->memory_move(m->base.table + (to), m->base.table + (from),                   \
                                   (u64)(count) * sizeof(struct sm_funcref)))

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

/* Operands are variables, so they may be repeated. */
#define DIV_S(unsigned_type, signed_type, least, x, y, at)                                         \
    (TRAP_IF((y) == 0, INTEGER_DIVIDE_BY_ZERO, at),                                                \
     TRAP_IF((x) == (least) && (y) == (unsigned_type) - 1, INTEGER_OVERFLOW, at),                  \
     (unsigned_type)((signed_type)(x) / (signed_type)(y)))
#define REM_S(unsigned_type, signed_type, x, y, at)                                                \
    (TRAP_IF((y) == 0, INTEGER_DIVIDE_BY_ZERO, at),                                                \
     (y) == (unsigned_type) - 1 ? 0 : (unsigned_type)((signed_type)(x) % (signed_type)(y)))
#define I32_DIV_S(x, y, at) DIV_S(u32, s32, 0x80000000u, x, y, at)
#define I64_DIV_S(x, y, at) DIV_S(u64, s64, 0x8000000000000000u, x, y, at)
#define I32_REM_S(x, y, at) REM_S(u32, s32, x, y, at)
#define I64_REM_S(x, y, at) REM_S(u64, s64, x, y, at)
#define DIV_U(x, y, at)     (TRAP_IF((y) == 0, INTEGER_DIVIDE_BY_ZERO, at), (x) / (y))
#define REM_U(x, y, at)     (TRAP_IF((y) == 0, INTEGER_DIVIDE_BY_ZERO, at), (x) % (y))

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

/* Signs are bits: these keep the payload of a NaN (core 2.0, section 4.3.3). */
#define wasm_fabsf(x) f32_reinterpret_i32(i32_reinterpret_f32(x) & 0x7fffffffu)
#define wasm_fabs(x)  f64_reinterpret_i64(i64_reinterpret_f64(x) & 0x7fffffffffffffffu)
#define wasm_negf(x)  f32_reinterpret_i32(i32_reinterpret_f32(x) ^ 0x80000000u)
#define wasm_neg(x)   f64_reinterpret_i64(i64_reinterpret_f64(x) ^ 0x8000000000000000u)
#define copysignf(x, y)                                                                            \
    f32_reinterpret_i32((i32_reinterpret_f32(x) & 0x7fffffffu) |                                   \
                        (i32_reinterpret_f32(y) & 0x80000000u))
#define copysign(x, y)                                                                             \
    f64_reinterpret_i64((i64_reinterpret_f64(x) & 0x7fffffffffffffffu) |                           \
                        (i64_reinterpret_f64(y) & 0x8000000000000000u))

/* Floats exist only where a policy makes every NaN result canonical, right after the operation. */
#define wasm_quietf(x) (x)
#define wasm_quiet(x)  (x)
#define INFINITY       __builtin_inf()

/* The canonical NaN when the argument is one, else the function of it. */
#define DEFINE_FLOAT_FUNCTIONS(type, nan, suffix)                                                  \
    INLINE type wasm_floor##suffix(type x)                                                         \
    {                                                                                              \
        return UNLIKELY(x != x) ? nan : __builtin_floor##suffix(x);                                \
    }                                                                                              \
    INLINE type wasm_ceil##suffix(type x)                                                          \
    {                                                                                              \
        return UNLIKELY(x != x) ? nan : __builtin_ceil##suffix(x);                                 \
    }                                                                                              \
    INLINE type wasm_trunc##suffix(type x)                                                         \
    {                                                                                              \
        return UNLIKELY(x != x) ? nan : __builtin_trunc##suffix(x);                                \
    }                                                                                              \
    INLINE type wasm_nearbyint##suffix(type x)                                                     \
    {                                                                                              \
        return UNLIKELY(x != x) ? nan : __builtin_nearbyint##suffix(x);                            \
    }                                                                                              \
    INLINE type wasm_sqrt##suffix(type x)                                                          \
    {                                                                                              \
        return UNLIKELY(x != x || x < 0) ? nan : __builtin_sqrt##suffix(x);                        \
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
DEFINE_FLOAT_FUNCTIONS(f32, F32_NAN, f)
DEFINE_FLOAT_FUNCTIONS(f64, F64_NAN, )
#define FMIN(x, y) _Generic((x), f32: wasm_minf, f64: wasm_min)(x, y)
#define FMAX(x, y) _Generic((x), f32: wasm_maxf, f64: wasm_max)(x, y)

/* Conversions to integers. The bounds are exact in the float type: the value converts when it lies
 * strictly between `low` and `high`. -2^31 - 1 and -2^63 - 1 have no exact f32 (and f64) neighbour
 * below -2^31 (-2^63), so there the bound is the next float below. */
#define TRUNC(result, integer, low, high, x, at)                                                   \
    (TRAP_IF((x) != (x), INVALID_CONVERSION, at),                                                  \
     TRAP_IF(!((x) > (low) && (x) < (high)), INTEGER_OVERFLOW, at), (result)(integer)(x))
#define TRUNC_SAT(result, integer, low, high, least, greatest, x)                                  \
    ((x) != (x)     ? (result)0                                                                    \
     : !((x) > low) ? (result)(least)                                                              \
     : (x) < high   ? (result)(integer)(x)                                                         \
                    : (result)(greatest))

#define I32_S_F32          -0x1.000002p31f, 0x1p31f
#define I32_U_F32          -1.0f, 0x1p32f
#define I32_S_F64          -2147483649.0, 0x1p31
#define I32_U_F64          -1.0, 0x1p32
#define I64_S_F32          -0x1.000002p63f, 0x1p63f
#define I64_U_F32          -1.0f, 0x1p64f
#define I64_S_F64          -0x1.0000000000001p63, 0x1p63
#define I64_U_F64          -1.0, 0x1p64
#define I32_S_RANGE        0x80000000u, 0x7fffffffu
#define I32_U_RANGE        0u, 0xffffffffu
#define I64_S_RANGE        0x8000000000000000u, 0x7fffffffffffffffu
#define I64_U_RANGE        0u, 0xffffffffffffffffu
#define EXPAND(macro, ...) macro(__VA_ARGS__)

#define I32_TRUNC_S_F32(x, at) EXPAND(TRUNC, u32, s32, I32_S_F32, x, at)
#define I32_TRUNC_U_F32(x, at) EXPAND(TRUNC, u32, u32, I32_U_F32, x, at)
#define I32_TRUNC_S_F64(x, at) EXPAND(TRUNC, u32, s32, I32_S_F64, x, at)
#define I32_TRUNC_U_F64(x, at) EXPAND(TRUNC, u32, u32, I32_U_F64, x, at)
#define I64_TRUNC_S_F32(x, at) EXPAND(TRUNC, u64, s64, I64_S_F32, x, at)
#define I64_TRUNC_U_F32(x, at) EXPAND(TRUNC, u64, u64, I64_U_F32, x, at)
#define I64_TRUNC_S_F64(x, at) EXPAND(TRUNC, u64, s64, I64_S_F64, x, at)
#define I64_TRUNC_U_F64(x, at) EXPAND(TRUNC, u64, u64, I64_U_F64, x, at)
#define I32_TRUNC_SAT_S_F32(x) EXPAND(TRUNC_SAT, u32, s32, I32_S_F32, I32_S_RANGE, x)
#define I32_TRUNC_SAT_U_F32(x) EXPAND(TRUNC_SAT, u32, u32, I32_U_F32, I32_U_RANGE, x)
#define I32_TRUNC_SAT_S_F64(x) EXPAND(TRUNC_SAT, u32, s32, I32_S_F64, I32_S_RANGE, x)
#define I32_TRUNC_SAT_U_F64(x) EXPAND(TRUNC_SAT, u32, u32, I32_U_F64, I32_U_RANGE, x)
#define I64_TRUNC_SAT_S_F32(x) EXPAND(TRUNC_SAT, u64, s64, I64_S_F32, I64_S_RANGE, x)
#define I64_TRUNC_SAT_U_F32(x) EXPAND(TRUNC_SAT, u64, u64, I64_U_F32, I64_U_RANGE, x)
#define I64_TRUNC_SAT_S_F64(x) EXPAND(TRUNC_SAT, u64, s64, I64_S_F64, I64_S_RANGE, x)
#define I64_TRUNC_SAT_U_F64(x) EXPAND(TRUNC_SAT, u64, u64, I64_U_F64, I64_U_RANGE, x)

#endif
