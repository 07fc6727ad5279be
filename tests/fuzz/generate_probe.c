/* Functions that try few things, each to its edge, and lose nothing of what comes out. In the
 * others much is random, and most of it is at no edge, traps early or is not reached. */
#include "tests/fuzz/generator.h"

#include <string.h>

/* ---- operators ------------------------------------------------------------------------------- */

/* A constant, or one that no compiler knows. */
static void put_exact(struct generator *g, uint8_t type, uint64_t bits)
{
    bool is_wide = type == SMELT_VALTYPE_I64 || type == SMELT_VALTYPE_F64;
    if (choose(g, 2) == 0) {
        put_bits(g, type, bits);
        return;
    }
    put_bits(g, is_wide ? SMELT_VALTYPE_I64 : SMELT_VALTYPE_I32, bits);
    put_index(g, SM_OP_GLOBAL_GET, g->global_count + GLOBAL_ZERO);
    if (!is_wide) {
        put_op(g, SM_OP_I32_WRAP_I64);
    }
    put_op(g, is_wide ? SM_OP_I64_XOR : SM_OP_I32_XOR);
    if (type == SMELT_VALTYPE_F32) {
        put_op(g, SM_OP_F32_REINTERPRET_I32);
    } else if (type == SMELT_VALTYPE_F64) {
        put_op(g, SM_OP_F64_REINTERPRET_I64);
    }
    g->stack[g->height - 1] = type;
}

static uint32_t bits_of(uint8_t type)
{
    return type == SMELT_VALTYPE_I32 || type == SMELT_VALTYPE_F32 ? 32 : 64;
}

static bool is_float(uint8_t type)
{
    return type == SMELT_VALTYPE_F32 || type == SMELT_VALTYPE_F64;
}

/* A small number of quarters. */
static uint64_t choose_fraction(struct generator *g, uint8_t type)
{
    double number = (int8_t)take(g) / 4.0;
    float single = (float)number;
    uint64_t bits = 0;
    if (type == SMELT_VALTYPE_F32) {
        memcpy(&bits, &single, sizeof(single));
    } else {
        memcpy(&bits, &number, sizeof(number));
    }
    return bits;
}

/* What edges are rare in: a single bit, none, a zero of either sign, something to round. */
static uint64_t choose_probe_bits(struct generator *g, uint8_t type)
{
    uint32_t bit = choose(g, bits_of(type));
    switch (choose(g, 4)) {
    case 1:
        return is_float(type)  ? (uint64_t)(bit & 1) << (bits_of(type) - 1)
               : is_rare(g, 4) ? 0
                               : UINT64_C(1) << bit;
    case 2:
        return is_float(type) && is_rare(g, 2) ? choose_fraction(g, type) : take_bits(g, 8);
    default:
        return choose_bits(g, type);
    }
}

/* Two operands: often equal, or with one bit between them; either may be the NaN of two floats. */
static void choose_pair(struct generator *g, uint8_t type, uint64_t pair[2])
{
    uint64_t sign = UINT64_C(1) << (bits_of(type) - 1);
    pair[0] = choose_probe_bits(g, type);
    switch (choose(g, 5)) {
    case 1:
        pair[1] = pair[0] ^ (is_float(type) && is_rare(g, 2) ? sign : 0);
        break;
    case 2:
        pair[1] = pair[0] ^ UINT64_C(1) << choose(g, bits_of(type));
        break;
    case 3:
        pair[1] = pair[0] ^ sign;
        break;
    case 4:
        pair[1] = choose_probe_bits(g, type);
        if (is_float(type)) {
            pair[choose(g, 2)] = (type == SMELT_VALTYPE_F32 ? 0x7fc00000 : 0x7ff8000000000000) |
                                 (is_rare(g, 2) ? sign : 0);
        }
        break;
    default:
        pair[1] = choose_probe_bits(g, type);
        break;
    }
}

/* One of the rows of opcodes.def that fit. */
static enum sm_wasm_op choose_op(struct generator *g, bool (*fits)(const struct sm_wasm_op_info *))
{
    enum sm_wasm_op fitting[SM_OP_COUNT];
    uint32_t count = 0;
    for (int op = 0; op < SM_OP_COUNT; op++) {
        if (fits(&sm_wasm_ops[op])) {
            fitting[count++] = (enum sm_wasm_op)op;
        }
    }
    return fitting[choose(g, count)];
}

static bool is_on_values(const struct sm_wasm_op_info *info)
{
    return info->immediate == SM_IMM_NONE && info->parameters[0] != '\0' &&
           info->parameters[0] != '*' && info->results[0] != '\0';
}

static bool is_total(const struct sm_wasm_op_info *info)
{
    return is_on_values(info) && (info->flags & SM_OP_FLAG_TRAP) == 0;
}

static bool is_partial_binary(const struct sm_wasm_op_info *info)
{
    return is_on_values(info) && (info->flags & SM_OP_FLAG_TRAP) != 0 && info->parameters[1] != 0;
}

static void probe_with(struct generator *g, enum sm_wasm_op op, const uint64_t operands[2])
{
    const struct sm_wasm_op_info *info = &sm_wasm_ops[op];
    uint32_t count = (uint32_t)strlen(info->parameters);
    for (uint32_t i = 0; i < count; i++) {
        put_exact(g, type_of_letter(info->parameters[i]), operands[i]);
    }
    put_op(g, op);
    pop(g, count);
    push(g, type_of_letter(info->results[0]));
    put_sink(g);
}

static void probe_operator(struct generator *g)
{
    enum sm_wasm_op op = choose_op(g, is_total);
    uint64_t pair[2];
    choose_pair(g, type_of_letter(sm_wasm_ops[op].parameters[0]), pair);
    probe_with(g, op, pair);
}

static void probe_division(struct generator *g, bool may_trap)
{
    enum sm_wasm_op op = choose_op(g, is_partial_binary);
    uint8_t type = type_of_letter(sm_wasm_ops[op].parameters[0]);
    uint64_t least = UINT64_C(1) << (bits_of(type) - 1);
    uint64_t all = least | (least - 1);
    uint64_t pair[2];
    choose_pair(g, type, pair);
    switch (choose(g, 4)) {
    case 1:
        pair[0] = least;
        break;
    case 2:
        pair[1] = all;
        break;
    case 3:
        pair[1] = take(g) % 16;
        break;
    default:
        break;
    }
    bool traps = (pair[1] & all) == 0 || ((pair[0] & all) == least && (pair[1] & all) == all);
    if (may_trap && is_rare(g, 2)) {
        pair[0] = least;
        pair[1] = choose(g, 3) == 0 ? 0 : all;
    } else if (traps && !may_trap) {
        pair[1] = 3;
    }
    probe_with(g, op, pair);
}

/* The neighbours of the bounds on both sides: the last that convert, the first that do not. */
static const struct conversion {
    enum sm_wasm_op op;
    enum sm_wasm_op saturating;
    uint64_t inside[2];
    uint64_t outside[2];
} conversions[] = {
    {SM_OP_I32_TRUNC_F32_S,
     SM_OP_I32_TRUNC_SAT_F32_S,
     {0xcf000000, 0x4effffff},
     {0xcf000001, 0x4f000000}},
    {SM_OP_I32_TRUNC_F32_U,
     SM_OP_I32_TRUNC_SAT_F32_U,
     {0xbf7fffff, 0x4f7fffff},
     {0xbf800000, 0x4f800000}},
    {SM_OP_I32_TRUNC_F64_S,
     SM_OP_I32_TRUNC_SAT_F64_S,
     {0xc1e00000001fffff, 0x41dfffffffffffff},
     {0xc1e0000000200000, 0x41e0000000000000}},
    {SM_OP_I32_TRUNC_F64_U,
     SM_OP_I32_TRUNC_SAT_F64_U,
     {0xbfefffffffffffff, 0x41efffffffffffff},
     {0xbff0000000000000, 0x41f0000000000000}},
    {SM_OP_I64_TRUNC_F32_S,
     SM_OP_I64_TRUNC_SAT_F32_S,
     {0xdf000000, 0x5effffff},
     {0xdf000001, 0x5f000000}},
    {SM_OP_I64_TRUNC_F32_U,
     SM_OP_I64_TRUNC_SAT_F32_U,
     {0xbf7fffff, 0x5f7fffff},
     {0xbf800000, 0x5f800000}},
    {SM_OP_I64_TRUNC_F64_S,
     SM_OP_I64_TRUNC_SAT_F64_S,
     {0xc3e0000000000000, 0x43dfffffffffffff},
     {0xc3e0000000000001, 0x43e0000000000000}},
    {SM_OP_I64_TRUNC_F64_U,
     SM_OP_I64_TRUNC_SAT_F64_U,
     {0xbfefffffffffffff, 0x43efffffffffffff},
     {0xbff0000000000000, 0x43f0000000000000}},
};

static void probe_conversion(struct generator *g, bool may_trap)
{
    const struct conversion *conversion =
        &conversions[choose(g, sizeof(conversions) / sizeof(conversions[0]))];
    uint8_t type = type_of_letter(sm_wasm_ops[conversion->op].parameters[0]);
    bool is_saturating = !may_trap && is_rare(g, 2);
    uint64_t operands[2] = {conversion->inside[choose(g, 2)], 0};
    if (is_saturating || may_trap) {
        switch (choose(g, 8)) {
        case 0:
            break;
        case 1:
            operands[0] = type == SMELT_VALTYPE_F32 ? 0x7fc00000 : 0xfff8000000000000;
            break;
        case 2:
            operands[0] = choose_bits(g, type);
            break;
        default:
            operands[0] = conversion->outside[choose(g, 2)];
            break;
        }
    }
    probe_with(g, is_saturating ? conversion->saturating : conversion->op, operands);
}

/* The end of the memory, as it is then. */
static void put_memory_end(struct generator *g)
{
    put_op(g, SM_OP_MEMORY_SIZE);
    push(g, SMELT_VALTYPE_I32);
    put_i32(g, 16);
    put_op(g, SM_OP_I32_SHL);
    pop(g, 1);
}

/* Address of `below` bytes before the end, of which the immediate gets a part. */
static uint32_t put_address_before_end(struct generator *g, uint32_t below)
{
    uint32_t offset = is_rare(g, 2) ? take(g) : 0;
    put_memory_end(g);
    put_i32(g, below + offset);
    put_op(g, SM_OP_I32_SUB);
    pop(g, 1);
    return offset;
}

static bool is_load(const struct sm_wasm_op_info *info)
{
    return info->immediate == SM_IMM_MEMARG && info->parameters[1] == '\0';
}

static bool is_store(const struct sm_wasm_op_info *info)
{
    return info->immediate == SM_IMM_MEMARG && info->parameters[1] != '\0';
}

static void put_memory_op(struct generator *g, enum sm_wasm_op op, uint32_t offset)
{
    put_instr(g, (struct sm_wasm_instr){.op = op, .memory_offset = offset});
}

/* Eight bytes with the sign bit of every width, or any, to be found by a load. */
static void put_word_at_end(struct generator *g)
{
    uint32_t offset = put_address_before_end(g, 8);
    put_exact(g, SMELT_VALTYPE_I64,
              take_bits(g, 8) | (is_rare(g, 2) ? UINT64_C(0x8080808080808080) : 0));
    put_memory_op(g, SM_OP_I64_STORE, offset);
    pop(g, 2);
}

/* The rest of an access whose address is on the stack. */
static void put_accessed(struct generator *g, enum sm_wasm_op op, uint32_t offset)
{
    const struct sm_wasm_op_info *info = &sm_wasm_ops[op];
    if (is_store(info)) {
        uint8_t type = type_of_letter(info->parameters[1]);
        put_exact(g, type, is_rare(g, 2) ? choose_bits(g, type) : take_bits(g, 8));
        put_memory_op(g, op, offset);
        pop(g, 2);
        return;
    }
    put_memory_op(g, op, offset);
    pop(g, 1);
    push(g, type_of_letter(info->results[0]));
    put_sink(g);
}

/* Right before the end; or too far by one or more, up to the whole width. */
static void probe_access(struct generator *g, bool may_trap)
{
    enum sm_wasm_op op = choose_op(g, is_rare(g, 3) ? is_store : is_load);
    const struct sm_wasm_op_info *info = &sm_wasm_ops[op];
    uint32_t width = 1u << info->alignment;
    uint32_t too_far = !may_trap || is_rare(g, 8) ? 0 : is_rare(g, 2) ? 1 + choose(g, width) : 1;
    if (!g->has_memory || (g->memory.min == 0 && !may_trap)) {
        return;
    }
    if (g->memory.min != 0) {
        put_word_at_end(g);
    }
    uint32_t offset = put_address_before_end(g, width - too_far);
    put_accessed(g, op, offset);
}

/* An address that only counts together with its offset: the sum has 33 bits. */
static void probe_far_access(struct generator *g)
{
    static const uint32_t addresses[] = {0xffffffff, 0xfffffff0, 0x80000000};
    uint32_t address = addresses[choose(g, sizeof(addresses) / sizeof(addresses[0]))];
    enum sm_wasm_op op = choose_op(g, is_rare(g, 2) ? is_store : is_load);
    if (!g->has_memory) {
        return;
    }
    put_exact(g, SMELT_VALTYPE_I32, address);
    put_accessed(g, op, is_rare(g, 3) ? take(g) : take(g) - address);
}

/* A condition of which only one bit is set. */
static void probe_condition(struct generator *g)
{
    uint8_t type = choose_type(g);
    uint32_t condition = is_rare(g, 4) ? 0 : 1u << choose(g, 32);
    const struct signature none = {0};
    if (choose(g, 2) == 0) {
        uint64_t pair[2];
        choose_pair(g, type, pair);
        put_exact(g, type, pair[0]);
        put_exact(g, type, pair[1]);
        put_exact(g, SMELT_VALTYPE_I32, condition);
        put_op(g, SM_OP_SELECT);
        pop(g, 2);
        put_sink(g);
        return;
    }
    put_exact(g, SMELT_VALTYPE_I32, condition);
    pop(g, 1);
    open_frame(g, SM_OP_IF, &none, SM_WASM_NO_INDEX);
    put_const(g, type);
    put_sink(g);
    close_frame(g);
}

/* Out of one, two or three blocks: what is behind their ends tells which. */
static void probe_br_table(struct generator *g)
{
    static const uint8_t labels[] = {0, 1, 2};
    const struct signature none = {0};
    if (g->depth + 3 > NESTING_MAX) {
        return;
    }
    for (uint32_t i = 0; i < sizeof(labels); i++) {
        open_frame(g, SM_OP_BLOCK, &none, SM_WASM_NO_INDEX);
    }
    put_exact(g, SMELT_VALTYPE_I32, is_rare(g, 4) ? UINT32_MAX : choose(g, 4));
    put_instr(g, (struct sm_wasm_instr){
                     .op = SM_OP_BR_TABLE, .label_count = 2, .labels = {labels, sizeof(labels)}});
    pop(g, 1);
    for (uint32_t i = 0; i < sizeof(labels); i++) {
        close_frame(g);
        put_const(g, SMELT_VALTYPE_I64);
        put_sink(g);
    }
}

/* ---- probes of ranges ------------------------------------------------------------------------ */

/* Start and length of a range that ends with `limit`, or behind it. */
struct range {
    uint32_t start;
    uint32_t size;
};

static struct range choose_range(struct generator *g, uint32_t limit, bool may_trap)
{
    struct range range;
    range.size = choose(g, (limit < 100 ? limit : 100) + 1);
    if (is_rare(g, 4)) {
        range.size = 0;
    }
    range.start = is_rare(g, 3) ? choose(g, limit - range.size + 1) : limit - range.size;
    if (may_trap && !is_rare(g, 4)) {
        range.start = limit - range.size + 1;
        if (is_rare(g, 3)) { /* the sum has 33 bits */
            range.start = 8;
            range.size = UINT32_MAX - choose(g, 8);
        }
    }
    return range;
}

/* Within the last 64 KiB that there are. */
static void put_memory_start(struct generator *g, struct range range)
{
    put_memory_end(g);
    put_i32(g, SM_WASM_PAGE_BYTES - range.start);
    put_op(g, SM_OP_I32_SUB);
    pop(g, 1);
}

static void probe_fill_or_copy(struct generator *g, bool may_trap)
{
    struct range to = choose_range(g, SM_WASM_PAGE_BYTES, may_trap && is_rare(g, 2));
    struct range from = choose_range(g, SM_WASM_PAGE_BYTES, false);
    if (!g->has_memory || g->memory.min == 0) {
        return;
    }
    put_word_at_end(g);
    if (choose(g, 2) == 0) {
        put_memory_start(g, to);
        put_exact(g, SMELT_VALTYPE_I32, choose_bits(g, SMELT_VALTYPE_I32));
        put_i32(g, to.size);
        put_op(g, SM_OP_MEMORY_FILL);
        pop(g, 3);
        return;
    }
    if (!may_trap && is_rare(g, 2)) { /* overlapping, either way */
        from.start = choose(g, 100);
        to.start = from.start + choose(g, 9) - (from.start < 4 ? 0 : 4);
        put_i32(g, from.start);
        put_exact(g, SMELT_VALTYPE_I64, take_bits(g, 8));
        put_memory_op(g, SM_OP_I64_STORE, 0);
        pop(g, 2);
        put_i32(g, to.start);
        put_i32(g, from.start);
        put_i32(g, 8 + choose(g, 24));
    } else if (may_trap && choose(g, 2) == 0) {
        from = choose_range(g, SM_WASM_PAGE_BYTES, true);
        put_i32(g, 0);
        put_memory_start(g, from);
        put_i32(g, from.size);
    } else {
        put_memory_start(g, to);
        put_i32(g, choose(g, 200));
        put_i32(g, to.size);
    }
    put_op(g, SM_OP_MEMORY_COPY);
    pop(g, 3);
}

static void probe_data(struct generator *g, bool may_trap)
{
    if (g->data_count == 0 || g->memory.min == 0) {
        return;
    }
    uint32_t data = choose(g, g->data_count);
    bool is_to = may_trap && is_rare(g, 3);
    struct range from = choose_range(g, segment_bytes[data], may_trap && !is_to);
    struct range to = choose_range(g, SM_WASM_PAGE_BYTES, false);
    if (is_rare(g, 2)) {
        put_index(g, SM_OP_DATA_DROP, is_rare(g, 2) ? data : choose(g, g->data_count));
    }
    if (is_to) {
        to.size = to.size < segment_bytes[data] ? to.size : segment_bytes[data];
        to.start = SM_WASM_PAGE_BYTES - to.size + 1;
        put_memory_start(g, to);
    } else {
        put_i32(g, choose(g, 1000));
    }
    put_i32(g, is_to ? 0 : from.start);
    put_i32(g, is_to ? to.size : from.size);
    put_index(g, SM_OP_MEMORY_INIT, data);
    pop(g, 3);
}

/* Calls what lies at the index: with its type only a function before this one, which ends. */
static void put_element_call(struct generator *g, uint32_t index, uint32_t func, bool is_typed)
{
    if (func != NO_FUNCTION && func >= g->func_index && is_typed) {
        return;
    }
    uint32_t type_index =
        func == NO_FUNCTION || !is_typed ? choose(g, g->type_count) : g->func_types[func];
    const struct signature *type = &g->types[type_index];
    for (uint32_t i = 0; i < type->param_count; i++) {
        put_exact(g, type->params[i], choose_bits(g, type->params[i]));
    }
    put_i32(g, index);
    put_instr(g, (struct sm_wasm_instr){.op = SM_OP_CALL_INDIRECT, .index = type_index});
    pop(g, type->param_count + 1);
    push_all(g, type->results, type->result_count);
    for (uint32_t i = 0; i < type->result_count; i++) {
        put_sink(g);
    }
}

static void probe_element(struct generator *g, bool may_trap)
{
    if (!g->has_table || g->table.min == 0) {
        return;
    }
    uint32_t index = choose(g, g->table.min);
    uint32_t kind = may_trap ? choose(g, 4) : 3;
    if (kind == 0) {
        put_element_call(g, g->table.min + choose(g, 2), NO_FUNCTION, false);
        return;
    }
    for (uint32_t i = 0; kind != 1 && i < g->table.min && g->elements[index] == NO_FUNCTION; i++) {
        index = (index + 1) % g->table.min;
    }
    put_element_call(g, index, g->elements[index], kind == 3);
}

/* The elements of a fresh instance are known, so what was moved can be called. */
static void probe_table(struct generator *g, bool may_trap)
{
    if (!g->has_table || g->table.min == 0) {
        return;
    }
    uint32_t elem = g->elem_count != 0 ? choose(g, g->elem_count) : 0;
    bool is_init = g->elem_count != 0 && is_rare(g, 2);
    bool is_to = may_trap && is_rare(g, 2);
    uint32_t from_limit = is_init ? g->item_counts[elem] : g->table.min;
    struct range to = choose_range(g, g->table.min, is_to);
    struct range from = choose_range(g, from_limit, may_trap && !is_to);
    uint32_t size = is_to ? to.size : from.size;
    if (!may_trap) { /* elements are anywhere, not at the end */
        from.start = choose(g, from_limit - size + 1);
        to.start = choose(g, g->table.min - (size < g->table.min ? size : g->table.min) + 1);
    }
    if (!is_to && (uint64_t)to.start + size > g->table.min && size <= g->table.min) {
        to.start = g->table.min - size;
    }
    if (is_to && (uint64_t)from.start + size > from_limit && size <= from_limit) {
        from.start = from_limit - size;
    }
    if (is_init && is_rare(g, 6)) {
        put_index(g, SM_OP_ELEM_DROP, choose(g, g->elem_count));
    }
    put_i32(g, to.start);
    put_i32(g, from.start);
    put_i32(g, size);
    put_index(g, is_init ? SM_OP_TABLE_INIT : SM_OP_TABLE_COPY, is_init ? elem : 0);
    pop(g, 3);
    for (uint32_t calls = 2; calls != 0 && size != 0 && (uint64_t)from.start + size <= from_limit;
         calls--) {
        uint32_t i = choose(g, size);
        put_element_call(g, to.start + i,
                         is_init ? g->items[elem][from.start + i] : g->elements[from.start + i],
                         true);
    }
}

/* ---- functions of probes --------------------------------------------------------------------- */

void put_values_probe(struct generator *g)
{
    for (uint32_t i = 16 + choose(g, 48); i != 0; i--) {
        switch (choose(g, 12)) {
        case 6:
        case 7:
        case 8:
            probe_access(g, false);
            break;
        case 9:
            probe_conversion(g, false);
            break;
        case 10:
            probe_division(g, false);
            break;
        case 11:
            if (is_rare(g, 3)) {
                probe_br_table(g);
            } else {
                probe_condition(g);
            }
            break;
        default:
            probe_operator(g);
            break;
        }
    }
}

/* Changes something, then does the one thing that traps or just does not. */
void put_edge_probe(struct generator *g)
{
    if (is_rare(g, 3)) {
        probe_operator(g);
    }
    switch (choose(g, 20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        probe_access(g, true);
        break;
    case 5:
        probe_far_access(g);
        break;
    case 6:
    case 7:
    case 8:
        probe_conversion(g, true);
        break;
    case 9:
        probe_division(g, true);
        break;
    case 10:
    case 11:
    case 12:
    case 13:
        probe_fill_or_copy(g, is_rare(g, 2));
        break;
    case 14:
    case 15:
        probe_data(g, is_rare(g, 2));
        break;
    case 16:
    case 17:
        probe_element(g, !is_rare(g, 4));
        break;
    default:
        probe_table(g, is_rare(g, 3));
        break;
    }
}

static void probe_end(struct generator *g)
{
    probe_access(g, is_rare(g, 3));
}

/* Grows by a page, to the maximum or beyond, and uses what there is then. */
void put_growth_probe(struct generator *g)
{
    uint32_t room = g->memory.has_max ? g->memory.max - g->memory.min : 1;
    const uint32_t deltas[] = {1, room, room + 1, 0, UINT32_MAX, 0x10000, 2};
    if (!g->has_memory) {
        return;
    }
    for (uint32_t i = choose(g, 3); i != UINT32_MAX; i--) {
        put_i32(g, deltas[choose(g, sizeof(deltas) / sizeof(deltas[0]))]);
        put_op(g, SM_OP_MEMORY_GROW);
        put_sink(g);
    }
    put_op(g, SM_OP_MEMORY_SIZE);
    push(g, SMELT_VALTYPE_I32);
    put_sink(g);
    probe_end(g);
}

/* Somebody else grows the memory: what this function knows of its size has to be forgotten. */
void put_grown_probe(struct generator *g)
{
    uint32_t grower = choose_grower(g, g->func_index);
    uint32_t element = 0;
    if (!g->has_memory || grower == NO_FUNCTION) {
        put_growth_probe(g);
        return;
    }
    while (element < g->table.min &&
           (g->elements[element] >= g->func_index || g->kinds[g->elements[element]] != GROWTH)) {
        element++;
    }
    if (element < g->table.min && !is_rare(g, 3)) {
        put_element_call(g, element, g->elements[element], true);
    } else {
        const struct signature *type = &g->types[g->func_types[grower]];
        for (uint32_t i = 0; i < type->param_count; i++) {
            put_const(g, type->params[i]);
        }
        put_index(g, SM_OP_CALL, grower);
        pop(g, type->param_count);
        push_all(g, type->results, type->result_count);
        for (uint32_t i = 0; i < type->result_count; i++) {
            put_sink(g);
        }
    }
    /* where it was not before */
    put_exact(g, SMELT_VALTYPE_I32, g->memory.min * SM_WASM_PAGE_BYTES);
    put_memory_op(g, SM_OP_I32_LOAD8_U, is_rare(g, 2) ? SM_WASM_PAGE_BYTES - 1 : 0);
    put_sink(g);
    probe_end(g);
}

static void put_call_of_itself(struct generator *g)
{
    const struct signature *type = &g->types[g->func_types[g->func_index]];
    for (uint32_t i = 0; i < type->param_count; i++) {
        put_const(g, type->params[i]);
    }
    put_index(g, SM_OP_CALL, g->func_index);
    for (uint32_t i = 0; i < type->result_count; i++) {
        put_op(g, SM_OP_DROP);
    }
    pop(g, type->param_count);
}

static void put_depth(struct generator *g, uint32_t level)
{
    put_index(g, SM_OP_LOCAL_GET, level);
    put_instr(g, (struct sm_wasm_instr){.op = SM_OP_I64_CONST, .bits = 1});
    put_op(g, SM_OP_I64_ADD);
    put_index(g, SM_OP_GLOBAL_SET, g->global_count + GLOBAL_DEPTH);
}

/* Down to a level and back, then once more: the stack is as deep again only when all was given
 * back. Most weigh a power of two, so that the last level takes exactly what is left, or one unit
 * is missing. The locals of that weight are all its size. */
void put_deep_function(struct generator *g, const struct signature *type)
{
    static const uint32_t weights[] = {512, 1024, 2048, 700, 3000};
    uint32_t weight = weights[choose(g, sizeof(weights) / sizeof(weights[0]))];
    uint32_t levels = SM_STACK_LIMIT / weight + (is_rare(g, 3) ? 1 : 0);
    uint32_t level = type->param_count; /* a local */
    if (is_rare(g, 4)) {
        levels = levels * 2 / 3;
    }
    put_index(g, SM_OP_GLOBAL_GET, g->global_count + GLOBAL_DEPTH);
    put_index(g, SM_OP_LOCAL_SET, level);
    put_depth(g, level);
    put_index(g, SM_OP_LOCAL_GET, level);
    put_instr(g, (struct sm_wasm_instr){.op = SM_OP_I64_CONST, .bits = levels - 1});
    put_op(g, SM_OP_I64_LT_U);
    const struct signature none = {0};
    open_frame(g, SM_OP_IF, &none, SM_WASM_NO_INDEX);
    put_call_of_itself(g);
    close_frame(g);
    put_index(g, SM_OP_LOCAL_GET, level);
    put_op(g, SM_OP_I64_EQZ);
    open_frame(g, SM_OP_IF, &none, SM_WASM_NO_INDEX);
    put_depth(g, level);
    put_call_of_itself(g);
    close_frame(g);
    for (uint32_t i = 0; i < type->result_count; i++) {
        put_const(g, type->results[i]);
    }
    put_op(g, SM_OP_END);
    pop(g, type->result_count);
    /* compiler/instrument/stack.h has the formula */
    uint32_t height =
        type->param_count > type->result_count ? type->param_count : type->result_count;
    uint32_t others = type->param_count + (height > 2 ? height : 2) +
                      (uint32_t)g->body.out.size / SM_STACK_CODE_BYTES + SM_STACK_FRAME_WEIGHT;
    struct sm_encoder body = {0};
    sm_encode_u32(&body, 1);
    sm_encode_u32(&body, weight - others);
    sm_encode_byte(&body, SMELT_VALTYPE_I64);
    sm_encode_bytes(&body, sm_buf_slice(&g->body.out));
    smelt_buf_deinit(&g->body.out);
    body.is_short_of_memory |= g->body.is_short_of_memory;
    g->body = body;
}
