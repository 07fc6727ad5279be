/* Typed generation over an operand stack: every instruction finds its operands on top of the stack
 * or has them made first, so that whatever the tape says is valid. What an instruction needs and
 * gives comes from the rows of opcodes.def; only control, calls and what touches memory or table
 * have code of their own here. */
#include "tests/fuzz/generate.h"

#include "base/alloc.h"
#include "tests/fuzz/generator.h"

#include <stdlib.h>
#include <string.h>

static void put_value(struct generator *g, uint8_t type);
static void put_sequence(struct generator *g);

const uint32_t segment_bytes[SEGMENTS_MAX] = {
    300,
    16,
    0,
    100,
};

/* ---- the tape -------------------------------------------------------------------------------- */

uint8_t take(struct generator *g)
{
    return g->at < g->tape.size ? g->tape.data[g->at++] : 0;
}

uint64_t take_bits(struct generator *g, unsigned bytes)
{
    uint64_t bits = 0;
    for (unsigned i = 0; i < bytes; i++) {
        bits |= (uint64_t)take(g) << 8 * i;
    }
    return bits;
}

/* Below `count`, which is not 0. */
uint32_t choose(struct generator *g, uint32_t count)
{
    return (uint32_t)take_bits(g, count <= 256 ? 1 : count <= 65536 ? 2 : 4) % count;
}

/* Once in `count` times. */
bool is_rare(struct generator *g, uint32_t count)
{
    return choose(g, count) == count - 1;
}

/* What is likely to trap is done seldom, else no call would get far. */
static bool is_risky(struct generator *g)
{
    return is_rare(g, 24);
}

uint8_t choose_type(struct generator *g)
{
    static const uint8_t types[] = {SMELT_VALTYPE_I32, SMELT_VALTYPE_I64, SMELT_VALTYPE_I32,
                                    SMELT_VALTYPE_I64, SMELT_VALTYPE_F32, SMELT_VALTYPE_F64};
    return types[choose(g, sizeof(types))];
}

uint8_t type_of_letter(char letter)
{
    switch (letter) {
    case 'i':
        return SMELT_VALTYPE_I32;
    case 'I':
        return SMELT_VALTYPE_I64;
    case 'f':
        return SMELT_VALTYPE_F32;
    default:
        return SMELT_VALTYPE_F64;
    }
}

uint32_t choose_grower(struct generator *g, uint32_t end)
{
    for (uint32_t i = 0, start = end != 0 ? choose(g, end) : 0; i < end; i++) {
        uint32_t func = (start + i) % end;
        if (g->kinds[func] == GROWTH) {
            return func;
        }
    }
    return NO_FUNCTION;
}

/* ---- the operand stack ----------------------------------------------------------------------- */

static struct frame *top_frame(struct generator *g)
{
    return &g->frames[g->depth - 1];
}

void push(struct generator *g, uint8_t type)
{
    if (g->height == STACK_MAX) {
        abort();
    }
    g->stack[g->height++] = type;
}

void push_all(struct generator *g, const uint8_t *types, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        push(g, types[i]);
    }
}

void pop(struct generator *g, uint32_t count)
{
    if (g->height - top_frame(g)->base < count) {
        abort();
    }
    g->height -= count;
}

static bool is_on_top(struct generator *g, const uint8_t *types, uint32_t count)
{
    return g->height - top_frame(g)->base >= count &&
           (count == 0 || memcmp(g->stack + g->height - count, types, count) == 0);
}

/* Operands of these types on top of the stack: those that are there, or new ones. Within an
 * expression the ones there are somebody's already. */
static void put_operands(struct generator *g, const uint8_t *types, uint32_t count)
{
    if (count == 0 || (g->level == 0 && is_on_top(g, types, count) && choose(g, 2) == 0)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        put_value(g, types[i]);
    }
}

/* Nothing behind this is reached. */
static void die(struct generator *g)
{
    top_frame(g)->is_dead = true;
    g->height = top_frame(g)->base;
}

/* ---- plain instructions ---------------------------------------------------------------------- */

void put_instr(struct generator *g, struct sm_wasm_instr instr)
{
    sm_encode_instr(&g->body, &instr, UINT32_MAX, 0);
    g->budget -= g->budget != 0;
}

void put_op(struct generator *g, enum sm_wasm_op op)
{
    put_instr(g, (struct sm_wasm_instr){.op = op});
}

void put_index(struct generator *g, enum sm_wasm_op op, uint32_t index)
{
    put_instr(g, (struct sm_wasm_instr){.op = op, .index = index});
}

static const uint64_t i32_edges[] = {
    0,          1,          2,          31,         32,     33,         0x7f,
    0x80,       0xff,       0x7fff,     0x8000,     0xffff, 0x10000,    0x7fffffff,
    0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 63,     0x55555555,
};
static const uint64_t i64_edges[] = {
    0,
    1,
    2,
    63,
    64,
    65,
    0xff,
    0x8000,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x100000000,
    0x7fffffffffffffff,
    0x8000000000000000,
    0x8000000000000001,
    0xfffffffffffffffe,
    0xffffffffffffffff,
    0xffffffff80000000,
};
/* Zeros, one, a half, infinities, NaNs (canonical, with a payload, signalling), the smallest and
 * largest subnormals and finite numbers, and the neighbours of the edges of the integer types. */
static const uint64_t f32_edges[] = {
    0x00000000, 0x3f800000, 0x80000000, 0xbf800000, 0x3f000000, 0x7f800000, 0xff800000, 0x7fc00000,
    0xffc00000, 0x7fc12345, 0x7f812345, 0xff800001, 0x00000001, 0x807fffff, 0x00800000, 0x7f7fffff,
    0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f7fffff, 0x4f800000, 0x5effffff, 0x5f000000,
    0xdf000000, 0xdf000001, 0x5f7fffff, 0x5f800000, 0xbf7fffff, 0x4b000001, 0x40200000, 0xc0200000,
};
static const uint64_t f64_edges[] = {
    0x0000000000000000, 0x3ff0000000000000, 0x8000000000000000, 0xbff0000000000000,
    0x3fe0000000000000, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
    0xfff8000000000000, 0x7ff8000000012345, 0x7ff0000000012345, 0xfff0000000000001,
    0x0000000000000001, 0x800fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff,
    0x41dfffffffc00000, 0x41e0000000000000, 0xc1e0000000000000, 0xc1e0000000200000,
    0x41efffffffe00000, 0x41f0000000000000, 0x43dfffffffffffff, 0x43e0000000000000,
    0xc3e0000000000000, 0xc3e0000000000001, 0x43efffffffffffff, 0x43f0000000000000,
    0xbfefffffffffffff, 0x4330000000000001, 0x4004000000000000, 0x47efffffe0000000,
};

uint64_t choose_bits(struct generator *g, uint8_t type)
{
    bool is_wide = type == SMELT_VALTYPE_I64 || type == SMELT_VALTYPE_F64;
    switch (choose(g, 4)) {
    case 1:
        return take(g);
    case 2:
        return take_bits(g, is_wide ? 8 : 4);
    default:
        switch (type) {
        case SMELT_VALTYPE_I32:
            return i32_edges[choose(g, sizeof(i32_edges) / sizeof(i32_edges[0]))];
        case SMELT_VALTYPE_I64:
            return i64_edges[choose(g, sizeof(i64_edges) / sizeof(i64_edges[0]))];
        case SMELT_VALTYPE_F32:
            return f32_edges[choose(g, sizeof(f32_edges) / sizeof(f32_edges[0]))];
        default:
            return f64_edges[choose(g, sizeof(f64_edges) / sizeof(f64_edges[0]))];
        }
    }
}

static enum sm_wasm_op const_of(uint8_t type)
{
    switch (type) {
    case SMELT_VALTYPE_I32:
        return SM_OP_I32_CONST;
    case SMELT_VALTYPE_I64:
        return SM_OP_I64_CONST;
    case SMELT_VALTYPE_F32:
        return SM_OP_F32_CONST;
    default:
        return SM_OP_F64_CONST;
    }
}

void put_bits(struct generator *g, uint8_t type, uint64_t bits)
{
    put_instr(g, (struct sm_wasm_instr){.op = const_of(type), .bits = bits});
    push(g, type);
}

void put_i32(struct generator *g, uint32_t value)
{
    put_bits(g, SMELT_VALTYPE_I32, value);
}

void put_const(struct generator *g, uint8_t type)
{
    put_bits(g, type, choose_bits(g, type));
}

/* A local of the type, from a chosen one on; UINT32_MAX: there is none. */
static uint32_t choose_local(struct generator *g, uint8_t type)
{
    for (uint32_t i = 0, start = g->local_count != 0 ? choose(g, g->local_count) : 0;
         i < g->local_count; i++) {
        uint32_t local = (start + i) % g->local_count;
        if (g->locals[local] == type) {
            return local;
        }
    }
    return UINT32_MAX;
}

static uint32_t choose_global(struct generator *g, uint8_t type)
{
    for (uint32_t i = 0, start = g->global_count != 0 ? choose(g, g->global_count) : 0;
         i < g->global_count; i++) {
        uint32_t global = (start + i) % g->global_count;
        if (g->globals[global].type == type) {
            return global;
        }
    }
    return UINT32_MAX;
}

/* What is computed has to be seen: a value on top of the stack goes into a running sum in a
 * global, and the sum into memory when a function ends. */
void put_sink(struct generator *g)
{
    uint8_t type = g->stack[g->height - 1];
    uint32_t sum = g->global_count + GLOBAL_SUM;
    if (type == SMELT_VALTYPE_F32) {
        put_op(g, SM_OP_I32_REINTERPRET_F32);
    } else if (type == SMELT_VALTYPE_F64) {
        put_op(g, SM_OP_I64_REINTERPRET_F64);
    }
    if (type == SMELT_VALTYPE_I32 || type == SMELT_VALTYPE_F32) {
        put_op(g, SM_OP_I64_EXTEND_I32_U);
    }
    put_index(g, SM_OP_GLOBAL_GET, sum);
    put_instr(g, (struct sm_wasm_instr){.op = SM_OP_I64_CONST, .bits = SUM_FACTOR});
    put_op(g, SM_OP_I64_MUL);
    put_op(g, SM_OP_I64_ADD);
    put_index(g, SM_OP_GLOBAL_SET, sum);
    pop(g, 1);
}

static void put_locals_into_sum(struct generator *g)
{
    for (uint32_t i = 0; i < g->local_count && i < SUMMED_LOCALS; i++) {
        put_index(g, SM_OP_LOCAL_GET, i);
        push(g, g->locals[i]);
        put_sink(g);
    }
}

static void put_sum_into_memory(struct generator *g)
{
    if (g->has_memory && g->memory.min != 0) {
        put_instr(g, (struct sm_wasm_instr){.op = SM_OP_I32_CONST, .bits = SUM_ADDRESS});
        put_index(g, SM_OP_GLOBAL_GET, g->global_count + GLOBAL_SUM);
        put_instr(g, (struct sm_wasm_instr){.op = SM_OP_I64_STORE});
    }
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint32_t memory_end(struct generator *g)
{
    return (g->memory.min + (is_risky(g) ? 1 : 0)) * SM_WASM_PAGE_BYTES;
}

/* The address of an access on the stack; returns the offset for its immediate. */
static uint32_t put_address(struct generator *g, uint32_t width)
{
    static const uint32_t wild[] = {
        0xffffffff, 0x80000000, 0x10000, 0xffff, 0xfffffff8, 0x7fffffff,
    };
    uint32_t kind = choose(g, 8);
    if (kind < 3) {
        put_i32(g, take(g));
        return kind == 0 ? 0 : take(g);
    }
    if (kind < 7 && (kind < 6 || !is_risky(g))) {
        put_value(g, SMELT_VALTYPE_I32);
        put_i32(g, 0xff);
        put_op(g, SM_OP_I32_AND);
        pop(g, 1);
        return kind != 5 ? 0 : choose(g, SM_WASM_PAGE_BYTES / 2);
    }
    if (kind == 6) {
        put_value(g, SMELT_VALTYPE_I32);
        return wild[choose(g, sizeof(wild) / sizeof(wild[0]))];
    }
    /* the last bytes of the memory, or one too far */
    uint32_t address = memory_end(g) - width;
    address += is_rare(g, 6) ? 1 : 0;
    address -= is_rare(g, 3) ? choose(g, width + 1) : 0;
    uint32_t offset = 0;
    switch (choose(g, 4)) {
    case 1:
        offset = take(g);
        break;
    case 2:
        offset = address;
        break;
    case 3:
        offset = address - take(g);
        break;
    default:
        break;
    }
    put_i32(g, address - offset);
    return offset;
}

static void put_access(struct generator *g, enum sm_wasm_op op)
{
    const struct sm_wasm_op_info *info = &sm_wasm_ops[op];
    uint32_t params = (uint32_t)strlen(info->parameters);
    uint32_t offset = put_address(g, 1u << info->alignment);
    if (params == 2) {
        put_value(g, type_of_letter(info->parameters[1]));
    }
    put_instr(g, (struct sm_wasm_instr){
                     .op = op, .align = choose(g, info->alignment + 1u), .memory_offset = offset});
    pop(g, params);
    if (params == 1) {
        push(g, type_of_letter(info->results[0]));
    }
}

static void put_store(struct generator *g)
{
    if (g->has_memory) {
        put_access(g, (enum sm_wasm_op)(SM_OP_I32_STORE +
                                        choose(g, SM_OP_I64_STORE32 + 1 - SM_OP_I32_STORE)));
    }
}

/* Start of a range of `size` within `limit`; at its very end or beyond when it is risky. */
static void put_range_start(struct generator *g, uint32_t size, uint32_t limit)
{
    if (is_risky(g)) {
        put_value(g, SMELT_VALTYPE_I32);
    } else if (size > limit) {
        put_i32(g, 0);
    } else if (is_rare(g, 4)) {
        put_i32(g, limit - size + (is_risky(g) ? 1 : 0));
    } else {
        put_i32(g, choose(g, limit - size + 1));
    }
}

/* Two starts and the length of a bulk instruction. */
static void put_ranges(struct generator *g, uint32_t to_limit, uint32_t from_limit,
                       uint32_t size_max)
{
    static const uint32_t wild[] = {
        0xffffffff,
        0x10000,
        0x10001,
        0x80000000,
    };
    uint32_t size = choose(g, size_max + 1);
    put_range_start(g, size, to_limit);
    put_range_start(g, size, from_limit);
    put_i32(g, is_risky(g) ? wild[choose(g, sizeof(wild) / sizeof(wild[0]))] : size);
    pop(g, 3);
}

static void put_bulk_memory(struct generator *g)
{
    uint32_t end = g->memory.min * SM_WASM_PAGE_BYTES;
    uint32_t data = g->data_count != 0 ? choose(g, g->data_count) : 0;
    uint32_t kind = choose(g, g->data_count != 0 ? 4 : 2);
    if (!g->has_memory) {
        return;
    }
    switch (kind) {
    case 0:
        put_ranges(g, end, UINT32_MAX - 1, 300);
        put_op(g, SM_OP_MEMORY_FILL);
        return;
    case 1:
        put_ranges(g, end, end, 300);
        put_op(g, SM_OP_MEMORY_COPY);
        return;
    case 2:
        put_ranges(g, end, segment_bytes[data], segment_bytes[data]);
        put_index(g, SM_OP_MEMORY_INIT, data);
        return;
    default:
        if (is_rare(g, 4)) {
            put_index(g, SM_OP_DATA_DROP, data);
        }
        return;
    }
}

static void put_bulk_table(struct generator *g)
{
    uint32_t end = g->table.min;
    uint32_t elem = g->elem_count != 0 ? choose(g, g->elem_count) : 0;
    uint32_t kind = choose(g, g->elem_count != 0 ? 3 : 1);
    if (!g->has_table) {
        return;
    }
    switch (kind) {
    case 0:
        put_ranges(g, end, end, end < 4 ? end : 4);
        put_op(g, SM_OP_TABLE_COPY);
        return;
    case 1:
        put_ranges(g, end, 1, 1);
        put_index(g, SM_OP_TABLE_INIT, elem);
        return;
    default:
        if (is_rare(g, 4)) {
            put_index(g, SM_OP_ELEM_DROP, elem);
        }
        return;
    }
}

static void put_grow(struct generator *g)
{
    static const uint32_t deltas[] = {
        0, 1, 1, 2, 65535, 65536, 0xffffffff, 3,
    };
    if (is_rare(g, 4)) {
        put_value(g, SMELT_VALTYPE_I32);
    } else {
        put_i32(g, deltas[choose(g, sizeof(deltas) / sizeof(deltas[0]))]);
    }
    put_op(g, SM_OP_MEMORY_GROW);
}

/* ---- operators ------------------------------------------------------------------------------- */

/* Rows of opcodes.def that leave one value of the type and take only values: operators, loads,
 * memory.size and memory.grow. */
static uint32_t ops_of_type(uint8_t type, enum sm_wasm_op *out)
{
    uint32_t count = 0;
    for (int op = 0; op < SM_OP_COUNT; op++) {
        const struct sm_wasm_op_info *info = &sm_wasm_ops[op];
        bool is_plain = info->immediate == SM_IMM_NONE || info->immediate == SM_IMM_MEMARG ||
                        info->immediate == SM_IMM_MEMORY;
        if (is_plain && info->results[0] != '\0' && info->results[0] != '*' &&
            type_of_letter(info->results[0]) == type) {
            if (count == OPS_OF_TYPE) {
                abort();
            }
            out[count++] = (enum sm_wasm_op)op;
        }
    }
    return count;
}

/* A number that every integer type can hold, for conversions that are not to trap. */
static void put_small_float(struct generator *g, uint8_t type)
{
    static const uint64_t singles[] = {
        0, 0x3f800000, 0x3f000000, 0x42c80000, 0x80000000, 0x4effffff, 0xbf7fffff,
    };
    static const uint64_t doubles[] = {
        0,
        0x3ff0000000000000,
        0x3fe0000000000000,
        0x4059000000000000,
        0x8000000000000000,
        0x41dfffffffc00000,
        0xbfefffffffffffff,
    };
    uint32_t choice = choose(g, sizeof(singles) / sizeof(singles[0]));
    put_bits(g, type, type == SMELT_VALTYPE_F32 ? singles[choice] : doubles[choice]);
}

/* Operands of a division or remainder: mostly with an odd divisor, seldom the two that trap. */
static void put_division(struct generator *g, uint8_t type)
{
    bool is_wide = type == SMELT_VALTYPE_I64;
    switch (choose(g, 48)) {
    case 46:
        put_value(g, type);
        put_bits(g, type, 0);
        return;
    case 47:
        put_bits(g, type, is_wide ? UINT64_C(1) << 63 : UINT64_C(1) << 31);
        put_bits(g, type, UINT64_MAX);
        return;
    default:
        put_value(g, type);
        put_value(g, type);
        put_bits(g, type, 1);
        put_op(g, is_wide ? SM_OP_I64_OR : SM_OP_I32_OR);
        pop(g, 1);
        return;
    }
}

static void put_operator(struct generator *g, enum sm_wasm_op op)
{
    const struct sm_wasm_op_info *info = &sm_wasm_ops[op];
    uint8_t types[4];
    uint32_t count = (uint32_t)strlen(info->parameters);
    for (uint32_t i = 0; i < count; i++) {
        types[i] = type_of_letter(info->parameters[i]);
    }
    if ((info->flags & SM_OP_FLAG_TRAP) == 0) {
        put_operands(g, types, count);
    } else if (count == 2) {
        put_division(g, types[0]);
    } else if (is_rare(g, 12)) {
        put_const(g, types[0]);
    } else {
        put_small_float(g, types[0]);
    }
    put_op(g, op);
    pop(g, count);
    push(g, type_of_letter(info->results[0]));
}

static void put_result_of(struct generator *g, uint8_t type)
{
    enum sm_wasm_op ops[OPS_OF_TYPE];
    uint32_t count = ops_of_type(type, ops);
    enum sm_wasm_op op = ops[choose(g, count)];
    switch (sm_wasm_ops[op].immediate) {
    case SM_IMM_MEMARG:
        if (g->has_memory) {
            put_access(g, op);
            return;
        }
        break;
    case SM_IMM_MEMORY:
        if (g->has_memory && op == SM_OP_MEMORY_GROW) {
            put_grow(g);
            return;
        }
        if (g->has_memory) {
            put_op(g, op);
            push(g, type);
            return;
        }
        break;
    default:
        if (sm_wasm_ops[op].parameters[0] != '\0') {
            put_operator(g, op);
            return;
        }
        break;
    }
    put_const(g, type);
}

/* ---- control --------------------------------------------------------------------------------- */

/* Parameters of the type are on the stack. */
void open_frame(struct generator *g, enum sm_wasm_op op, const struct signature *type,
                uint32_t type_index)
{
    struct sm_wasm_block_type block = {.type_index = type_index};
    if (type_index == SM_WASM_NO_INDEX) {
        block.result =
            type->result_count != 0 ? (enum smelt_valtype)type->results[0] : SMELT_VALTYPE_NONE;
    }
    put_instr(g, (struct sm_wasm_instr){.op = op, .block = block});
    g->frames[g->depth++] =
        (struct frame){.op = op, .type = *type, .base = g->height - type->param_count};
}

/* The frame's results and nothing else above its base, by whichever way the tape likes. */
static void settle(struct generator *g)
{
    struct frame *frame = top_frame(g);
    const struct signature *type = &frame->type;
    if (!frame->is_dead && g->height - frame->base == type->result_count &&
        is_on_top(g, type->results, type->result_count)) {
        return;
    }
    if (!frame->is_dead && frame->op != SM_OP_LOOP && g->height != frame->base &&
        choose(g, 2) == 1) {
        /* a branch throws away what lies below its operands */
        put_operands(g, type->results, type->result_count);
        put_index(g, SM_OP_BR, 0);
        die(g);
        return;
    }
    while (g->height > frame->base) {
        if (!frame->is_dead && !is_rare(g, 4)) {
            put_sink(g);
        } else {
            put_op(g, SM_OP_DROP);
            pop(g, 1);
        }
    }
    if (!frame->is_dead || is_rare(g, 4)) {
        for (uint32_t i = 0; i < type->result_count; i++) {
            put_value(g, type->results[i]);
        }
    }
}

void close_frame(struct generator *g)
{
    settle(g);
    put_op(g, SM_OP_END);
    struct frame frame = g->frames[--g->depth];
    g->height = frame.base;
    if (g->depth != 0) {
        push_all(g, frame.type.results, frame.type.result_count);
    }
}

static bool is_signature_even(const struct signature *type)
{
    return type->param_count == type->result_count &&
           memcmp(type->params, type->results, type->param_count) == 0;
}

static void put_frame(struct generator *g, enum sm_wasm_op op, const struct signature *type,
                      uint32_t type_index)
{
    put_operands(g, type->params, type->param_count);
    if (op == SM_OP_IF) {
        put_value(g, SMELT_VALTYPE_I32);
        pop(g, 1);
    }
    open_frame(g, op, type, type_index);
    put_sequence(g);
    if (op == SM_OP_IF && (!is_signature_even(type) || is_rare(g, 2))) {
        struct frame *frame = top_frame(g);
        settle(g);
        put_op(g, SM_OP_ELSE);
        frame->is_dead = false;
        g->height = frame->base;
        push_all(g, type->params, type->param_count);
        put_sequence(g);
    }
    close_frame(g);
}

static void put_construct(struct generator *g, enum sm_wasm_op op)
{
    static const struct signature none = {0};
    if (g->depth == NESTING_MAX) {
        return;
    }
    uint32_t choice = choose(g, 3);
    if (choice == 0) {
        put_frame(g, op, &none, SM_WASM_NO_INDEX);
        return;
    }
    uint32_t type = choose(g, g->type_count);
    put_frame(g, op, &g->types[type], type);
}

static void put_block(struct generator *g)
{
    put_construct(g, SM_OP_BLOCK);
}

static void put_if(struct generator *g)
{
    put_construct(g, SM_OP_IF);
}

/* A loop that is entered a number of times, unless it is left or its header branched to. */
static void put_loop(struct generator *g)
{
    static const uint32_t rounds[] = {
        1, 2, 3, 5, 8, 40, 700, 5000,
    };
    uint32_t counter = g->local_count + g->counted;
    if (g->depth == NESTING_MAX) {
        return;
    }
    if (g->counted == COUNTERS || is_rare(g, 4)) {
        put_construct(g, SM_OP_LOOP);
        return;
    }
    uint32_t type_index = choose(g, g->type_count);
    const struct signature *type = &g->types[type_index];
    put_operands(g, type->params, type->param_count);
    put_i32(g, rounds[choose(g, sizeof(rounds) / sizeof(rounds[0]))]);
    put_index(g, SM_OP_LOCAL_SET, counter);
    pop(g, 1);
    g->counted++;
    open_frame(g, SM_OP_LOOP, type, type_index);
    put_sequence(g);
    put_operands(g, type->params, type->param_count);
    put_index(g, SM_OP_LOCAL_GET, counter);
    push(g, SMELT_VALTYPE_I32);
    put_i32(g, 1);
    put_op(g, SM_OP_I32_SUB);
    pop(g, 1);
    put_index(g, SM_OP_LOCAL_TEE, counter);
    put_index(g, SM_OP_BR_IF, 0);
    pop(g, 1);
    close_frame(g);
    g->counted--;
}

struct label {
    const uint8_t *types;
    uint32_t count;
};

static struct label label_of(const struct generator *g, uint32_t depth)
{
    const struct frame *frame = &g->frames[g->depth - 1 - depth];
    return frame->op == SM_OP_LOOP ? (struct label){frame->type.params, frame->type.param_count}
                                   : (struct label){frame->type.results, frame->type.result_count};
}

/* Seldom one of a loop: most such loops would never end. Else the next one further out. */
static uint32_t choose_label(struct generator *g)
{
    uint32_t depth = choose(g, g->depth);
    if (!is_rare(g, 6)) {
        while (g->frames[g->depth - 1 - depth].op == SM_OP_LOOP) {
            depth++;
        }
    }
    return depth;
}

static void put_br_if(struct generator *g)
{
    uint32_t depth = choose_label(g);
    struct label label = label_of(g, depth);
    put_operands(g, label.types, label.count);
    put_value(g, SMELT_VALTYPE_I32);
    put_index(g, SM_OP_BR_IF, depth);
    pop(g, 1);
}

/* Ways out of the function or a block that end the sequence: seldom at the function's top. */
static bool may_leave(struct generator *g)
{
    return is_rare(g, g->depth > 1 ? 3 : 8);
}

static void put_br(struct generator *g)
{
    if (!may_leave(g)) {
        return;
    }
    uint32_t depth = choose_label(g);
    struct label label = label_of(g, depth);
    put_operands(g, label.types, label.count);
    put_index(g, SM_OP_BR, depth);
    die(g);
}

static void put_br_table(struct generator *g)
{
    uint32_t fitting[NESTING_MAX];
    uint32_t fitting_count = 0;
    uint8_t labels[LABELS_MAX]; /* LEB128: each below 128 */
    if (!may_leave(g)) {
        return;
    }
    uint32_t depth = choose_label(g);
    struct label label = label_of(g, depth);
    for (uint32_t i = 0; i < g->depth; i++) {
        struct label other = label_of(g, i);
        if (other.count == label.count && memcmp(other.types, label.types, label.count) == 0) {
            fitting[fitting_count++] = i;
        }
    }
    uint32_t count = choose(g, LABELS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        labels[i] = (uint8_t)fitting[choose(g, fitting_count)];
    }
    labels[count] = (uint8_t)depth;
    put_operands(g, label.types, label.count);
    put_value(g, SMELT_VALTYPE_I32);
    put_instr(g, (struct sm_wasm_instr){
                     .op = SM_OP_BR_TABLE, .label_count = count, .labels = {labels, count + 1}});
    die(g);
}

static void put_return(struct generator *g)
{
    if (may_leave(g)) {
        struct label label = label_of(g, g->depth - 1);
        put_operands(g, label.types, label.count);
        put_op(g, SM_OP_RETURN);
        die(g);
    }
}

static void put_unreachable(struct generator *g)
{
    if (g->depth > 1 && is_rare(g, 3)) {
        put_op(g, SM_OP_UNREACHABLE);
        die(g);
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void put_call_of(struct generator *g, uint32_t func)
{
    const struct signature *type = &g->types[g->func_types[func]];
    put_operands(g, type->params, type->param_count);
    put_index(g, SM_OP_CALL, func);
    pop(g, type->param_count);
    push_all(g, type->results, type->result_count);
}

/* Mostly of functions before this one, which ends by itself; else there may be recursion. */
static void put_call(struct generator *g)
{
    uint32_t count = is_rare(g, 6) ? g->func_count : g->func_index;
    if (is_rare(g, 12)) {
        put_call_of(g, g->func_index);
    } else if (count != 0) {
        put_call_of(g, choose(g, count));
    }
}

/* Of a function with just this result; false when there is none. */
static bool put_call_for(struct generator *g, uint8_t type)
{
    for (uint32_t i = 0, start = g->func_index != 0 ? choose(g, g->func_index) : 0;
         i < g->func_index; i++) {
        uint32_t func = (start + i) % g->func_index;
        const struct signature *signature = &g->types[g->func_types[func]];
        if (signature->result_count == 1 && signature->results[0] == type) {
            put_call_of(g, func);
            return true;
        }
    }
    return false;
}

static void put_call_indirect(struct generator *g)
{
    if (!g->has_table) {
        return;
    }
    uint32_t type_index = choose(g, g->type_count);
    uint32_t element = g->table.min != 0 ? choose(g, g->table.min) : 0;
    bool is_wild = is_risky(g);
    bool is_typed = !is_rare(g, 12);
    if (!is_wild) { /* the next function in the table, mostly with its type; recursion seldom */
        bool is_found = false;
        for (uint32_t i = 0; i < g->table.min && !is_found; i++) {
            uint32_t at = (element + i) % g->table.min;
            uint32_t func = g->elements[at];
            if (func != NO_FUNCTION && (func < g->func_index || is_rare(g, 6))) {
                is_found = true;
                element = at;
                type_index = is_typed ? g->func_types[func] : type_index;
            }
        }
        if (!is_found) {
            return;
        }
    }
    const struct signature *type = &g->types[type_index];
    put_operands(g, type->params, type->param_count);
    if (is_wild && is_rare(g, 2)) {
        put_value(g, SMELT_VALTYPE_I32);
    } else {
        put_i32(g, element);
    }
    put_instr(g, (struct sm_wasm_instr){.op = SM_OP_CALL_INDIRECT, .index = type_index});
    pop(g, type->param_count + 1);
    push_all(g, type->results, type->result_count);
}

/* ---- values and statements ------------------------------------------------------------------- */

static void put_select(struct generator *g, uint8_t type)
{
    put_value(g, type);
    put_value(g, type);
    put_value(g, SMELT_VALTYPE_I32);
    put_instr(g, choose(g, 2) == 0 ? (struct sm_wasm_instr){.op = SM_OP_SELECT}
                                   : (struct sm_wasm_instr){.op = SM_OP_SELECT_T,
                                                            .select = (enum smelt_valtype)type});
    pop(g, 3);
    push(g, type);
}

static void put_construct_for(struct generator *g, uint8_t type)
{
    const struct signature signature = {.results = {type}, .result_count = 1};
    put_frame(g, is_rare(g, 3) ? SM_OP_BLOCK : SM_OP_IF, &signature, SM_WASM_NO_INDEX);
}

static void put_nested_value(struct generator *g, uint8_t type)
{
    uint32_t index;
    switch (choose(g, 16)) {
    case 0:
        break;
    case 1:
    case 2:
    case 3:
        index = choose_local(g, type);
        if (index != UINT32_MAX) {
            put_index(g, SM_OP_LOCAL_GET, index);
            push(g, type);
            return;
        }
        break;
    case 4:
        index = choose_global(g, type);
        if (index != UINT32_MAX) {
            put_index(g, SM_OP_GLOBAL_GET, index);
            push(g, type);
            return;
        }
        break;
    case 5:
        index = choose_local(g, type);
        if (index != UINT32_MAX) {
            put_value(g, type);
            put_index(g, SM_OP_LOCAL_TEE, index);
            return;
        }
        break;
    case 6:
        put_select(g, type);
        return;
    case 7:
        if (g->depth < NESTING_MAX) {
            put_construct_for(g, type);
            return;
        }
        break;
    case 8:
        if (put_call_for(g, type)) {
            return;
        }
        break;
    default:
        put_result_of(g, type);
        return;
    }
    put_const(g, type);
}

/* One value on top of the stack. */
static void put_value(struct generator *g, uint8_t type)
{
    if (g->level == EXPRESSION || g->budget == 0) {
        put_const(g, type);
        return;
    }
    g->level++;
    put_nested_value(g, type);
    g->level--;
}

static void put_nop(struct generator *g)
{
    put_op(g, SM_OP_NOP);
}

static void put_local_set(struct generator *g)
{
    uint8_t type = choose_type(g);
    uint32_t local = choose_local(g, type);
    if (local != UINT32_MAX) {
        put_operands(g, &type, 1);
        put_index(g, SM_OP_LOCAL_SET, local);
        pop(g, 1);
    }
}

static void put_global_set(struct generator *g)
{
    uint8_t type = choose_type(g);
    uint32_t global = choose_global(g, type);
    if (global != UINT32_MAX && g->globals[global].is_mutable) {
        put_operands(g, &type, 1);
        put_index(g, SM_OP_GLOBAL_SET, global);
        pop(g, 1);
    }
}

/* Left on the stack for whoever finds it of use. */
static void put_kept(struct generator *g)
{
    if (g->height - top_frame(g)->base < KEPT_MAX) {
        put_value(g, choose_type(g));
    }
}

/* Into the sum, seldom away. */
static void put_spent(struct generator *g)
{
    if (g->height == top_frame(g)->base || is_rare(g, 2)) {
        put_value(g, choose_type(g));
    }
    if (is_rare(g, 4)) {
        put_op(g, SM_OP_DROP);
        pop(g, 1);
    } else {
        put_sink(g);
    }
}

static void put_sequence(struct generator *g)
{
    static void (*const statements[])(struct generator *) = {
        put_nop,         put_local_set, put_store,     put_global_set, put_kept,
        put_spent,       put_block,     put_if,        put_loop,       put_br_if,
        put_call,        put_br,        put_br_table,  put_return,     put_call_indirect,
        put_bulk_memory, put_local_set, put_if,        put_bulk_table, put_unreachable,
        put_store,       put_loop,      put_local_set, put_call,       put_call_indirect,
        put_br_if,       put_kept,      put_local_set, put_global_set, put_store,
    };
    uint32_t level = g->level;
    g->level = 0;
    for (uint32_t i = choose(g, STATEMENTS); i != 0 && g->budget != 0; i--) {
        statements[choose(g, sizeof(statements) / sizeof(statements[0]))](g);
    }
    g->level = level;
}

/* ---- a function ------------------------------------------------------------------------------ */

static void choose_locals(struct generator *g, const struct signature *type)
{
    memcpy(g->locals, type->params, type->param_count);
    g->local_count = type->param_count;
    uint32_t count = is_rare(g, 12) ? LOCALS_MAX - PARAMS_MAX : choose(g, 10);
    for (uint32_t i = 0; i < count; i++) {
        g->locals[g->local_count++] = choose_type(g);
    }
}

static void encode_locals(struct generator *g, uint32_t param_count)
{
    sm_encode_u32(&g->body, g->local_count - param_count + 1);
    for (uint32_t i = param_count; i < g->local_count; i++) {
        sm_encode_u32(&g->body, 1);
        sm_encode_byte(&g->body, g->locals[i]);
    }
    sm_encode_u32(&g->body, COUNTERS);
    sm_encode_byte(&g->body, SMELT_VALTYPE_I32);
}

static void put_function(struct generator *g, uint32_t func_index)
{
    static void (*const probes[])(struct generator *) = {put_values_probe, put_edge_probe,
                                                         put_growth_probe, put_grown_probe};
    const struct signature *type = &g->types[g->func_types[func_index]];
    enum function_kind kind = g->kinds[func_index];
    g->func_index = func_index;
    g->height = 0;
    g->depth = 1;
    g->counted = 0;
    g->level = 0;
    g->frames[0] = (struct frame){.op = SM_OP_BLOCK, .type = *type};
    g->frames[0].type.param_count = 0;
    if (kind == DEEP) {
        put_deep_function(g, type);
        return;
    }
    choose_locals(g, type);
    encode_locals(g, type->param_count);
    g->budget = BUDGET_MIN + take(g);
    if (kind != PLAIN) {
        probes[kind](g);
    } else {
        put_sequence(g);
        if (!top_frame(g)->is_dead) {
            put_sequence(g);
        }
    }
    if (!top_frame(g)->is_dead && choose(g, 8) != 0) {
        put_locals_into_sum(g);
        put_sum_into_memory(g);
    }
    close_frame(g);
}

/* ---- sections -------------------------------------------------------------------------------- */

static void choose_types(struct generator *g)
{
    g->type_count = 1 + choose(g, TYPES_MAX);
    for (uint32_t i = 0; i < g->type_count; i++) {
        struct signature *type = &g->types[i];
        if (i != 0 && is_rare(g, 8)) { /* equal to another one */
            *type = g->types[choose(g, i)];
            continue;
        }
        type->param_count = choose(g, PARAMS_MAX + 1);
        for (uint32_t j = 0; j < type->param_count; j++) {
            type->params[j] = choose_type(g);
        }
        type->result_count = is_rare(g, 2) ? 1 : choose(g, RESULTS_MAX + 1);
        for (uint32_t j = 0; j < type->result_count; j++) {
            type->results[j] = choose_type(g);
        }
    }
}

static void encode_types(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->type_count);
    for (uint32_t i = 0; i < g->type_count; i++) {
        const struct signature *type = &g->types[i];
        sm_encode_byte(section, 0x60);
        sm_encode_u32(section, type->param_count);
        sm_encode_bytes(section, sm_slice(type->params, type->param_count));
        sm_encode_u32(section, type->result_count);
        sm_encode_bytes(section, sm_slice(type->results, type->result_count));
    }
}

static void encode_imports(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->import_count);
    for (uint32_t i = 0; i < g->import_count; i++) {
        const uint8_t name = (uint8_t)('a' + i);
        sm_encode_name(section, smelt_slice_from_string("host"));
        sm_encode_name(section, sm_slice(&name, 1));
        sm_encode_byte(section, SM_WASM_EXTERNAL_FUNC);
        sm_encode_u32(section, g->func_types[i]);
    }
}

static void encode_functions(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->func_count - g->import_count);
    for (uint32_t i = g->import_count; i < g->func_count; i++) {
        sm_encode_u32(section, g->func_types[i]);
    }
}

static void encode_table(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->has_table);
    if (g->has_table) {
        sm_encode_byte(section, 0x70);
        sm_encode_limits(section, g->table);
    }
}

static void encode_memory(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->has_memory);
    if (g->has_memory) {
        sm_encode_limits(section, g->memory);
    }
}

static void encode_const(struct sm_encoder *section, uint8_t type, uint64_t bits)
{
    const struct sm_wasm_instr instr = {.op = const_of(type), .bits = bits};
    sm_encode_instr(section, &instr, UINT32_MAX, 0);
    sm_encode_op(section, SM_OP_END);
}

static void encode_globals(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->global_count + OWN_GLOBALS);
    for (uint32_t i = 0; i < g->global_count; i++) {
        struct global *global = &g->globals[i];
        global->type = choose_type(g);
        global->is_mutable = !is_rare(g, 8);
        sm_encode_byte(section, global->type);
        sm_encode_byte(section, global->is_mutable);
        encode_const(section, global->type, choose_bits(g, global->type));
    }
    for (uint32_t i = 0; i < OWN_GLOBALS; i++) {
        sm_encode_byte(section, SMELT_VALTYPE_I64);
        sm_encode_byte(section, 1);
        encode_const(section, SMELT_VALTYPE_I64, 0);
    }
}

static void encode_exports(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->func_count - g->import_count);
    for (uint32_t i = g->import_count; i < g->func_count; i++) {
        const uint8_t name[2] = {(uint8_t)('0' + i / 10), (uint8_t)('0' + i % 10)};
        sm_encode_name(section, sm_slice(name, sizeof(name)));
        sm_encode_byte(section, SM_WASM_EXTERNAL_FUNC);
        sm_encode_u32(section, i);
    }
}

/* Active ones fill the table, holes included; passive ones wait for table.init. */
static void encode_elements(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->elem_count);
    for (uint32_t i = 0; i < g->elem_count; i++) {
        uint32_t item_max = g->table.min < ITEMS_MAX ? g->table.min : ITEMS_MAX;
        uint32_t item_count = choose(g, item_max + 1);
        bool is_passive = is_rare(g, 3);
        bool has_holes = is_rare(g, 3);
        uint32_t start = choose(g, g->table.min - item_count + 1);
        g->item_counts[i] = is_passive ? item_count : 0;
        sm_encode_u32(section, (is_passive ? 1u : 0u) | (has_holes ? 4u : 0u));
        if (!is_passive) {
            encode_const(section, SMELT_VALTYPE_I32, start);
        } else {
            sm_encode_byte(section, has_holes ? 0x70 : 0x00);
        }
        sm_encode_u32(section, item_count);
        for (uint32_t j = 0; j < item_count; j++) {
            uint32_t grower = is_rare(g, 3) ? choose_grower(g, g->func_count) : NO_FUNCTION;
            uint32_t func = has_holes && is_rare(g, 3) ? NO_FUNCTION
                            : grower != NO_FUNCTION    ? grower
                                                       : choose(g, g->func_count);
            if (!has_holes) {
                sm_encode_u32(section, func);
            } else if (func == NO_FUNCTION) { /* ref.null func */
                sm_encode_byte(section, 0xd0);
                sm_encode_byte(section, 0x70);
                sm_encode_op(section, SM_OP_END);
            } else { /* ref.func */
                sm_encode_byte(section, 0xd2);
                sm_encode_u32(section, func);
                sm_encode_op(section, SM_OP_END);
            }
            g->items[i][j] = func;
            if (!is_passive) {
                g->elements[start + j] = func;
            }
        }
    }
}

static void encode_datas(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->data_count);
    for (uint32_t i = 0; i < g->data_count; i++) {
        bool is_passive = g->memory.min == 0 || (i != 0 && is_rare(g, 2));
        sm_encode_u32(section, is_passive);
        if (!is_passive) {
            uint32_t end = g->memory.min * SM_WASM_PAGE_BYTES - segment_bytes[i];
            encode_const(section, SMELT_VALTYPE_I32, is_rare(g, 4) ? end : choose(g, 256));
        }
        sm_encode_u32(section, segment_bytes[i]);
        for (uint32_t j = 0; j < segment_bytes[i]; j++) {
            sm_encode_byte(section, take(g));
        }
    }
}

static void encode_data_count(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->data_count);
}

static void encode_code(struct generator *g, struct sm_encoder *section)
{
    sm_encode_u32(section, g->func_count - g->import_count);
    for (uint32_t i = g->import_count; i < g->func_count; i++) {
        put_function(g, i);
        sm_encode_sized(section, -1, &g->body);
        g->body = (struct sm_encoder){0};
    }
}

/* Everything that bodies refer to, before the first of them. */
static void choose_module(struct generator *g)
{
    static const uint8_t kinds[] = {PLAIN, EDGES, PLAIN, VALUES, EDGES, PLAIN, EDGES,  GROWTH,
                                    EDGES, DEEP,  EDGES, PLAIN,  EDGES, GROWN, VALUES, EDGES};
    choose_types(g);
    g->import_count = choose(g, IMPORTS_MAX + 1);
    g->func_count = g->import_count + 1 + choose(g, FUNCS_MAX - IMPORTS_MAX);
    for (uint32_t i = 0; i < g->func_count; i++) {
        g->func_types[i] = choose(g, g->type_count);
        g->kinds[i] =
            i < g->import_count ? PLAIN : (enum function_kind)kinds[choose(g, sizeof(kinds))];
    }
    g->has_memory = take(g) % 8 != 1;
    g->memory = (struct sm_wasm_limits){.min = is_rare(g, 8) ? 0 : is_rare(g, 4) ? PAGES_MAX : 1};
    g->memory.has_max = choose(g, 2) == 0;
    g->memory.max = g->memory.min + choose(g, 4);
    g->has_table = take(g) % 8 != 1;
    g->table = (struct sm_wasm_limits){.min = choose(g, TABLE_MAX + 1)};
    g->table.has_max = choose(g, 2) == 1;
    g->table.max = g->table.min + choose(g, 4);
    memset(g->elements, 0xff, sizeof(g->elements)); /* NO_FUNCTION */
    g->elem_count = g->has_table ? choose(g, SEGMENTS_MAX + 1) : 0;
    g->data_count = !g->has_memory ? 0 : is_rare(g, 2) ? SEGMENTS_MAX : choose(g, SEGMENTS_MAX + 1);
    g->global_count = choose(g, GLOBALS_MAX + 1);
}

bool generate_module(struct smelt_slice tape, struct smelt_buf *wasm)
{
    static const struct {
        int id;
        void (*encode)(struct generator *g, struct sm_encoder *section);
    } sections[] = {
        {1, encode_types},       {2, encode_imports}, {3, encode_functions}, {4, encode_table},
        {5, encode_memory},      {6, encode_globals}, {7, encode_exports},   {9, encode_elements},
        {12, encode_data_count}, {10, encode_code},   {11, encode_datas},
    };
    struct generator *g = (struct generator *)sm_calloc(1, sizeof(*g));
    struct sm_encoder module = {0};
    if (g == NULL) {
        return false;
    }
    g->tape = tape;
    choose_module(g);
    sm_encode_bytes(&module, sm_slice("\0asm\1\0\0\0", 8));
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        struct sm_encoder section = {0};
        sections[i].encode(g, &section);
        sm_encode_sized(&module, sections[i].id, &section);
    }
    sm_free(g);
    smelt_buf_deinit(wasm);
    *wasm = module.out;
    return !module.is_short_of_memory;
}

/* splitmix64 */
void generate_tape(uint64_t seed, uint8_t *tape, size_t size)
{
    uint64_t state = seed * UINT64_C(0xd1342543de82ef95);
    for (size_t i = 0; i < size; i++) {
        state += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t x = state;
        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        tape[i] = (uint8_t)(x >> 24);
    }
}
