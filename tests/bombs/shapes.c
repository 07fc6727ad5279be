/* The common surroundings of all bodies:
 *
 *   types      0 () -> ()   1 (i32) -> (i32)   2 (all parameters) -> ()
 *              3 (all results) -> (all results)   4 () -> (all results)
 *   functions  0 to 3: of types 1 to 4; from 4 on the bodies, of type 0
 *   locals     0 i32, 1 i64, 2 f32, 3 f64, then i32s
 *   the rest   one global of each type, a memory, a table with functions 0 to 3, a passive segment
 *              each */
#include "tests/bombs/shapes.h"

#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_VOID, TYPE_UNARY, TYPE_PARAMS, TYPE_SWAP, TYPE_RESULTS, TYPE_COUNT };
enum { FUNC_UNARY, FUNC_PARAMS, FUNC_SWAP, FUNC_RESULTS, FUNC_BODIES };
enum { LOCAL_I32, LOCAL_I64, LOCAL_F32, LOCAL_F64, LOCAL_MORE };

static const uint8_t valtypes[] = {SMELT_VALTYPE_I32, SMELT_VALTYPE_I64, SMELT_VALTYPE_F32,
                                   SMELT_VALTYPE_F64};

static void op(struct sm_encoder *code, enum sm_wasm_op opcode)
{
    sm_encode_op(code, opcode);
}

static void op_u32(struct sm_encoder *code, enum sm_wasm_op opcode, uint32_t index)
{
    sm_encode_op(code, opcode);
    sm_encode_u32(code, index);
}

static void get(struct sm_encoder *code, uint32_t local)
{
    op_u32(code, SM_OP_LOCAL_GET, local);
}

static void set(struct sm_encoder *code, uint32_t local)
{
    op_u32(code, SM_OP_LOCAL_SET, local);
}

static void i32_const(struct sm_encoder *code, int32_t value)
{
    op(code, SM_OP_I32_CONST);
    sm_encode_signed(code, value);
}

static void repeat_get(struct sm_encoder *code, uint32_t local, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        get(code, local);
    }
}

static void drop(struct sm_encoder *code, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        op(code, SM_OP_DROP);
    }
}

/* block, loop or if without values */
static void open_block(struct sm_encoder *code, enum sm_wasm_op opcode)
{
    op(code, opcode);
    sm_encode_byte(code, 0x40);
}

static void open_typed(struct sm_encoder *code, enum sm_wasm_op opcode, uint32_t type)
{
    op(code, opcode);
    sm_encode_signed(code, type);
}

static void access(struct sm_encoder *code, enum sm_wasm_op opcode, uint32_t offset)
{
    op(code, opcode);
    sm_encode_u32(code, 0);
    sm_encode_u32(code, offset);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

#define BODY(name)                                                                                 \
    static void body_##name(struct sm_encoder *code, const struct sm_policy *policy, uint32_t n)

BODY(get_set)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        set(code, LOCAL_I32);
    }
}

/* as many operands as allowed, then added up, again and again */
BODY(operands)
{
    for (uint32_t left = n; left != 0;) {
        uint32_t height = left < policy->operands ? left : policy->operands;
        repeat_get(code, LOCAL_I32, height);
        for (uint32_t i = 1; i < height; i++) {
            op(code, SM_OP_I32_ADD);
        }
        op(code, SM_OP_DROP);
        left -= height;
    }
}

BODY(divisions)
{
    for (uint32_t left = n; left != 0;) {
        uint32_t height = left < policy->operands ? left : policy->operands;
        repeat_get(code, LOCAL_I64, height);
        for (uint32_t i = 1; i < height; i++) {
            op(code, SM_OP_I64_DIV_S);
        }
        op(code, SM_OP_DROP);
        left -= height;
    }
}

BODY(selects)
{
    for (uint32_t left = n; left != 0;) {
        uint32_t height = left + 2 < policy->operands ? left + 2 : policy->operands;
        repeat_get(code, LOCAL_I32, height);
        for (uint32_t i = 2; i < height; i += 2) {
            op(code, SM_OP_SELECT);
        }
        drop(code, height % 2 == 0 ? 2 : 1);
        left -= height - 2;
    }
}

BODY(loads)
{
    (void)policy;
    get(code, LOCAL_I32);
    for (uint32_t i = 0; i < n; i++) {
        access(code, SM_OP_I32_LOAD, 0);
    }
    op(code, SM_OP_DROP);
}

BODY(loads_signed)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        access(code, SM_OP_I64_LOAD16_S, 0);
        op(code, SM_OP_DROP);
    }
}

BODY(loads_float)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        access(code, SM_OP_F32_LOAD, 0);
        op(code, SM_OP_DROP);
    }
}

BODY(stores)
{
    for (uint32_t left = n; left != 0;) {
        uint32_t pairs = left < policy->operands / 2 ? left : policy->operands / 2;
        repeat_get(code, LOCAL_I32, 2 * pairs);
        for (uint32_t i = 0; i < pairs; i++) {
            access(code, SM_OP_I32_STORE16, 0);
        }
        left -= pairs;
    }
}

BODY(stores_float)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        get(code, LOCAL_F64);
        access(code, SM_OP_F64_STORE, 0);
    }
}

BODY(tees)
{
    uint32_t locals = policy->locals - LOCAL_MORE;
    get(code, LOCAL_I32);
    for (uint32_t i = 0; i < n; i++) {
        op_u32(code, SM_OP_LOCAL_TEE, LOCAL_MORE + i % locals);
    }
    op(code, SM_OP_DROP);
}

BODY(constants)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        i32_const(code, 0);
        op(code, SM_OP_DROP);
    }
}

BODY(float_constants)
{
    (void)policy;
    static const uint8_t nan[] = {0, 0, 0xa0, 0xff};
    for (uint32_t i = 0; i < n; i++) {
        op(code, SM_OP_F32_CONST);
        sm_encode_bytes(code, sm_slice(nan, sizeof(nan)));
        op(code, SM_OP_DROP);
    }
}

BODY(globals)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        op_u32(code, SM_OP_GLOBAL_GET, i % 4);
        op_u32(code, SM_OP_GLOBAL_SET, i % 4);
    }
}

BODY(calls)
{
    (void)policy;
    get(code, LOCAL_I32);
    for (uint32_t i = 0; i < n; i++) {
        op_u32(code, SM_OP_CALL, FUNC_UNARY);
    }
    op(code, SM_OP_DROP);
}

BODY(calls_of_bodies)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        op_u32(code, SM_OP_CALL, FUNC_BODIES);
    }
}

BODY(calls_with_params)
{
    for (uint32_t i = 0; i < n; i++) {
        repeat_get(code, LOCAL_I32, policy->params);
        op_u32(code, SM_OP_CALL, FUNC_PARAMS);
    }
}

/* two bytes that bring all results back as the next call's arguments */
BODY(calls_with_results)
{
    repeat_get(code, LOCAL_I32, policy->results);
    for (uint32_t i = 0; i < n; i++) {
        op_u32(code, SM_OP_CALL, FUNC_SWAP);
    }
    drop(code, policy->results);
}

BODY(calls_indirect)
{
    (void)policy;
    get(code, LOCAL_I32);
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        op_u32(code, SM_OP_CALL_INDIRECT, TYPE_UNARY);
        sm_encode_byte(code, 0);
    }
    op(code, SM_OP_DROP);
}

BODY(calls_indirect_with_results)
{
    repeat_get(code, LOCAL_I32, policy->results);
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        op_u32(code, SM_OP_CALL_INDIRECT, TYPE_SWAP);
        sm_encode_byte(code, 0);
    }
    drop(code, policy->results);
}

BODY(memory_grow)
{
    (void)policy;
    get(code, LOCAL_I32);
    for (uint32_t i = 0; i < n; i++) {
        op(code, SM_OP_MEMORY_GROW);
        sm_encode_byte(code, 0);
    }
    op(code, SM_OP_DROP);
}

BODY(memory_size)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        op(code, SM_OP_MEMORY_SIZE);
        sm_encode_byte(code, 0);
        op(code, SM_OP_DROP);
    }
}

static void bulk(struct sm_encoder *code, const struct sm_policy *policy, uint32_t n,
                 enum sm_wasm_op opcode)
{
    const struct sm_wasm_instr instr = {.op = opcode};
    for (uint32_t left = n; left != 0;) {
        uint32_t count = left < policy->operands / 3 ? left : policy->operands / 3;
        repeat_get(code, LOCAL_I32, 3 * count);
        for (uint32_t i = 0; i < count; i++) {
            sm_encode_instr(code, &instr, 0, 0);
        }
        left -= count;
    }
}

BODY(memory_fill)
{
    op(code, SM_OP_NOP);
    const struct sm_wasm_instr fill = {.op = SM_OP_MEMORY_FILL};
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        repeat_get(code, LOCAL_I32, 3);
        sm_encode_instr(code, &fill, 0, 0);
    }
}

BODY(memory_copy)
{
    bulk(code, policy, n, SM_OP_MEMORY_COPY);
}

BODY(memory_init)
{
    bulk(code, policy, n, SM_OP_MEMORY_INIT);
}

BODY(table_copy)
{
    bulk(code, policy, n, SM_OP_TABLE_COPY);
}

BODY(table_init)
{
    bulk(code, policy, n, SM_OP_TABLE_INIT);
}

BODY(drops_of_segments)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        op_u32(code, i % 2 == 0 ? SM_OP_DATA_DROP : SM_OP_ELEM_DROP, 0);
    }
}

BODY(empty_blocks)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        open_block(code, SM_OP_BLOCK);
        op_u32(code, SM_OP_BR, 0);
        op(code, SM_OP_END);
    }
}

BODY(unreachable_blocks)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        open_block(code, SM_OP_BLOCK);
        get(code, LOCAL_I32);
        op_u32(code, SM_OP_BR_IF, 0);
        op(code, SM_OP_UNREACHABLE);
        op(code, SM_OP_END);
    }
}

BODY(loops)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        open_block(code, SM_OP_LOOP);
        op(code, SM_OP_END);
    }
}

static void nest(struct sm_encoder *code, const struct sm_policy *policy, uint32_t n,
                 enum sm_wasm_op opcode)
{
    uint32_t most = policy->nesting - 2; /* the function's own, and the wrapper of a checked one */
    for (uint32_t left = n; left != 0;) {
        uint32_t depth = left < most ? left : most;
        for (uint32_t i = 0; i < depth; i++) {
            if (opcode == SM_OP_IF) {
                get(code, LOCAL_I32);
            }
            open_block(code, opcode);
        }
        for (uint32_t i = 0; i < depth; i++) {
            if (opcode != SM_OP_IF) {
                get(code, LOCAL_I32);
                op_u32(code, SM_OP_BR_IF, depth - 1 - i);
            }
            op(code, SM_OP_END);
        }
        left -= depth;
    }
}

BODY(nested_blocks)
{
    nest(code, policy, n, SM_OP_BLOCK);
}

BODY(nested_loops)
{
    nest(code, policy, n, SM_OP_LOOP);
}

BODY(nested_ifs)
{
    nest(code, policy, n, SM_OP_IF);
}

/* the innermost code is indented by twice the nesting in wasm2c's output */
BODY(deep_code)
{
    uint32_t depth = policy->nesting - 2;
    for (uint32_t i = 0; i < depth; i++) {
        get(code, LOCAL_I32);
        open_block(code, SM_OP_IF);
    }
    get(code, LOCAL_I32);
    for (uint32_t i = 0; i < n; i++) {
        op(code, SM_OP_I32_EQZ);
    }
    op(code, SM_OP_DROP);
    for (uint32_t i = 0; i < depth; i++) {
        op(code, SM_OP_END);
    }
}

BODY(ifs)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        open_block(code, SM_OP_IF);
        op(code, SM_OP_ELSE);
        op(code, SM_OP_END);
    }
}

BODY(ifs_with_results)
{
    repeat_get(code, LOCAL_I32, policy->results);
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        open_typed(code, SM_OP_IF, TYPE_SWAP);
        op(code, SM_OP_ELSE);
        op(code, SM_OP_END);
    }
    drop(code, policy->results);
}

/* every br_if carries all results past a value that is dropped: a copy each */
BODY(branches_with_values)
{
    open_typed(code, SM_OP_BLOCK, TYPE_RESULTS);
    get(code, LOCAL_I32);
    repeat_get(code, LOCAL_I32, policy->results);
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        op_u32(code, SM_OP_BR_IF, 0);
    }
    op_u32(code, SM_OP_BR, 0);
    op(code, SM_OP_END);
    drop(code, policy->results);
}

/* branches to a loop carry its parameters, of which there may be more than results */
BODY(branches_with_params)
{
    repeat_get(code, LOCAL_I32, policy->params);
    open_typed(code, SM_OP_LOOP, TYPE_PARAMS);
    get(code, LOCAL_I32);
    repeat_get(code, LOCAL_I32, policy->params);
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        op_u32(code, SM_OP_BR_IF, 0);
    }
    drop(code, 2 * policy->params + 1);
    op(code, SM_OP_END);
}

BODY(branches)
{
    (void)policy;
    open_block(code, SM_OP_BLOCK);
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        op_u32(code, SM_OP_BR_IF, 0);
    }
    op(code, SM_OP_END);
}

BODY(branches_back)
{
    (void)policy;
    open_block(code, SM_OP_LOOP);
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        op_u32(code, SM_OP_BR_IF, 0);
    }
    op(code, SM_OP_END);
}

/* as many locals as there may be, and branches between the writes: each is a phi for an optimiser
 */
BODY(locals_and_branches)
{
    uint32_t locals = policy->locals - LOCAL_MORE;
    open_block(code, SM_OP_LOOP);
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_MORE + i % locals);
        open_block(code, SM_OP_IF);
        get(code, LOCAL_MORE + (7 * i + 1) % locals);
        set(code, LOCAL_MORE + i % locals);
        op(code, SM_OP_END);
    }
    get(code, LOCAL_I32);
    op_u32(code, SM_OP_BR_IF, 0);
    op(code, SM_OP_END);
}

BODY(loops_and_locals)
{
    uint32_t locals = policy->locals - LOCAL_MORE;
    for (uint32_t i = 0; i < n; i++) {
        open_block(code, SM_OP_LOOP);
        get(code, LOCAL_MORE + i % locals);
        op_u32(code, SM_OP_LOCAL_TEE, LOCAL_MORE + (3 * i + 1) % locals);
        op_u32(code, SM_OP_BR_IF, 0);
        op(code, SM_OP_END);
    }
}

static void table_of(struct sm_encoder *code, uint32_t labels, uint32_t depth)
{
    op_u32(code, SM_OP_BR_TABLE, labels);
    for (uint32_t i = 0; i <= labels; i++) {
        sm_encode_u32(code, i % depth);
    }
}

BODY(one_br_table)
{
    uint32_t depth = policy->nesting - 2;
    for (uint32_t i = 0; i < depth; i++) {
        open_block(code, SM_OP_BLOCK);
    }
    get(code, LOCAL_I32);
    table_of(code, n, depth);
    for (uint32_t i = 0; i < depth; i++) {
        op(code, SM_OP_END);
    }
}

BODY(br_tables)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        open_block(code, SM_OP_BLOCK);
        get(code, LOCAL_I32);
        table_of(code, 1, 1);
        op(code, SM_OP_END);
    }
}

BODY(br_tables_of_eight)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < 8; k++) {
            open_block(code, SM_OP_BLOCK);
        }
        get(code, LOCAL_I32);
        table_of(code, 8, 8);
        for (uint32_t k = 0; k < 8; k++) {
            op(code, SM_OP_END);
        }
    }
}

BODY(br_table_with_values)
{
    open_typed(code, SM_OP_BLOCK, TYPE_RESULTS);
    get(code, LOCAL_I32);
    repeat_get(code, LOCAL_I32, policy->results);
    get(code, LOCAL_I32);
    table_of(code, n, 1);
    op(code, SM_OP_END);
    drop(code, policy->results);
}

BODY(br_table_with_params)
{
    repeat_get(code, LOCAL_I32, policy->params);
    open_typed(code, SM_OP_LOOP, TYPE_PARAMS);
    get(code, LOCAL_I32);
    repeat_get(code, LOCAL_I32, policy->params);
    get(code, LOCAL_I32);
    table_of(code, n, 1);
    op(code, SM_OP_END);
}

BODY(returns)
{
    (void)policy;
    for (uint32_t i = 0; i < n; i++) {
        get(code, LOCAL_I32);
        open_block(code, SM_OP_IF);
        op(code, SM_OP_RETURN);
        op(code, SM_OP_END);
    }
}

/* ---- single operators ------------------------------------------------------------------------ */

static uint32_t local_of(char letter)
{
    return letter == 'i'   ? LOCAL_I32
           : letter == 'I' ? LOCAL_I64
           : letter == 'f' ? LOCAL_F32
                           : LOCAL_F64;
}

static bool is_operator(enum sm_wasm_op opcode)
{
    const struct sm_wasm_op_info *info = &sm_wasm_ops[opcode];
    return info->immediate == SM_IMM_NONE && info->parameters[0] != '*' &&
           strlen(info->parameters) >= 1 && strlen(info->results) == 1;
}

/* As few bytes as possible for each: a -> a chains, the others fetch what is missing. */
static void put_operators(struct sm_encoder *code, enum sm_wasm_op opcode, uint32_t n)
{
    const struct sm_wasm_op_info *info = &sm_wasm_ops[opcode];
    char first = info->parameters[0];
    bool is_chain = first == info->results[0];
    if (is_chain) {
        get(code, local_of(first));
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!is_chain) {
            get(code, local_of(first));
        }
        if (info->parameters[1] != '\0') {
            get(code, local_of(info->parameters[1]));
        }
        op(code, opcode);
        if (!is_chain) {
            op(code, SM_OP_DROP);
        }
    }
    if (is_chain) {
        op(code, SM_OP_DROP);
    }
}

/* ---- whole modules --------------------------------------------------------------------------- */

static void put_type(struct sm_encoder *types, const uint8_t *params, uint32_t param_count,
                     const uint8_t *results, uint32_t result_count)
{
    sm_encode_byte(types, 0x60);
    sm_encode_u32(types, param_count);
    sm_encode_bytes(types, sm_slice(params, param_count));
    sm_encode_u32(types, result_count);
    sm_encode_bytes(types, sm_slice(results, result_count));
}

static void put_body(struct sm_encoder *codes, const struct sm_encoder *locals,
                     struct sm_encoder *instructions)
{
    struct sm_encoder body = {0};
    if (locals != NULL) {
        sm_encode_bytes(&body, sm_buf_slice(&locals->out));
    } else {
        sm_encode_u32(&body, 0);
    }
    sm_encode_bytes(&body, sm_buf_slice(&instructions->out));
    op(&body, SM_OP_END);
    sm_encode_sized(codes, -1, &body);
}

static void put_locals(struct sm_encoder *locals, uint32_t more)
{
    sm_encode_u32(locals, more != 0 ? 5 : 4);
    for (size_t i = 0; i < sizeof(valtypes); i++) {
        sm_encode_u32(locals, 1);
        sm_encode_byte(locals, valtypes[i]);
    }
    if (more != 0) {
        sm_encode_u32(locals, more);
        sm_encode_byte(locals, SMELT_VALTYPE_I32);
    }
}

static void put_common_types(struct sm_encoder *types, const struct sm_policy *policy)
{
    uint8_t values[4096];
    memset(values, SMELT_VALTYPE_I32, sizeof(values));
    put_type(types, values, 0, values, 0);
    put_type(types, values, 1, values, 1);
    put_type(types, values, policy->params, values, 0);
    put_type(types, values, policy->results, values, policy->results);
    put_type(types, values, 0, values, policy->results);
}

static void put_common_globals(struct sm_encoder *globals)
{
    static const uint8_t zeros[8] = {0};
    sm_encode_u32(globals, sizeof(valtypes));
    for (size_t i = 0; i < sizeof(valtypes); i++) {
        sm_encode_byte(globals, valtypes[i]);
        sm_encode_byte(globals, 1);
        op(globals, i == 0   ? SM_OP_I32_CONST
                    : i == 1 ? SM_OP_I64_CONST
                    : i == 2 ? SM_OP_F32_CONST
                             : SM_OP_F64_CONST);
        sm_encode_bytes(globals, sm_slice(zeros, i < 2 ? 1 : i == 2 ? 4 : 8));
        op(globals, SM_OP_END);
    }
}

static void put_common_elements(struct sm_encoder *elements)
{
    sm_encode_u32(elements, 2);
    sm_encode_u32(elements, 1); /* passive */
    sm_encode_byte(elements, 0);
    sm_encode_u32(elements, 1);
    sm_encode_u32(elements, FUNC_UNARY);
    sm_encode_u32(elements, 0); /* active */
    i32_const(elements, 0);
    op(elements, SM_OP_END);
    sm_encode_u32(elements, FUNC_BODIES);
    for (uint32_t i = 0; i < FUNC_BODIES; i++) {
        sm_encode_u32(elements, i);
    }
}

static void put_common_bodies(struct sm_encoder *codes, const struct sm_policy *policy)
{
    const uint32_t gets[FUNC_BODIES] = {
        [FUNC_UNARY] = 1, [FUNC_PARAMS] = 0, [FUNC_SWAP] = policy->results, [FUNC_RESULTS] = 0};
    for (uint32_t i = 0; i < FUNC_BODIES; i++) {
        struct sm_encoder code = {0};
        for (uint32_t k = 0; k < gets[i]; k++) {
            get(&code, k);
        }
        if (i == FUNC_RESULTS) {
            for (uint32_t k = 0; k < policy->results; k++) {
                i32_const(&code, 0);
            }
        }
        put_body(codes, NULL, &code);
        smelt_buf_deinit(&code.out);
    }
}

static void put_common(struct sm_encoder *out, const struct sm_policy *policy,
                       const struct sm_encoder *locals, struct sm_encoder *body, uint32_t copies,
                       struct sm_encoder *last)
{
    struct sm_encoder section = {0};
    uint32_t count = FUNC_BODIES + copies + (last != NULL);
    sm_encode_u32(&section, TYPE_COUNT);
    put_common_types(&section, policy);
    sm_encode_sized(out, 1, &section);
    sm_encode_u32(&section, count);
    for (uint32_t i = 0; i < count; i++) {
        sm_encode_u32(&section, i < FUNC_BODIES ? TYPE_UNARY + i : TYPE_VOID);
    }
    sm_encode_sized(out, 3, &section);
    sm_encode_u32(&section, 1);
    sm_encode_byte(&section, 0x70);
    sm_encode_limits(&section, (struct sm_wasm_limits){.min = FUNC_BODIES});
    sm_encode_sized(out, 4, &section);
    sm_encode_u32(&section, 1);
    sm_encode_limits(&section, (struct sm_wasm_limits){.min = 1});
    sm_encode_sized(out, 5, &section);
    put_common_globals(&section);
    sm_encode_sized(out, 6, &section);
    put_common_elements(&section);
    sm_encode_sized(out, 9, &section);
    sm_encode_u32(&section, 1);
    sm_encode_sized(out, 12, &section);
    sm_encode_u32(&section, count);
    put_common_bodies(&section, policy);
    for (uint32_t i = 0; i < copies; i++) {
        put_body(&section, locals, body);
    }
    if (last != NULL) {
        put_body(&section, locals, last);
    }
    sm_encode_sized(out, 10, &section);
    sm_encode_u32(&section, 1);
    sm_encode_u32(&section, 1); /* passive */
    sm_encode_u32(&section, 1);
    sm_encode_byte(&section, 7);
    sm_encode_sized(out, 11, &section);
}

#define MODULE(name)                                                                               \
    static void module_##name(struct sm_encoder *out, const struct sm_policy *policy, uint32_t n)

static void put_memory(struct sm_encoder *out)
{
    struct sm_encoder section = {0};
    sm_encode_u32(&section, 1);
    sm_encode_limits(&section, (struct sm_wasm_limits){.min = 1});
    sm_encode_sized(out, 5, &section);
}

/* n functions of one type, without anything in them but what their results need */
static void put_functions(struct sm_encoder *out, uint32_t n)
{
    struct sm_encoder section = {0};
    sm_encode_u32(&section, n);
    for (uint32_t i = 0; i < n; i++) {
        sm_encode_u32(&section, 0);
    }
    sm_encode_sized(out, 3, &section);
}

static void put_bodies(struct sm_encoder *out, uint32_t n, struct sm_encoder *locals,
                       struct sm_encoder *code)
{
    struct sm_encoder section = {0};
    sm_encode_u32(&section, n);
    for (uint32_t i = 0; i < n; i++) {
        put_body(&section, locals, code);
    }
    sm_encode_sized(out, 10, &section);
}

static void put_one_type(struct sm_encoder *out, uint32_t params, uint32_t results)
{
    struct sm_encoder section = {0};
    uint8_t values[4096];
    memset(values, SMELT_VALTYPE_F64, sizeof(values));
    sm_encode_u32(&section, 1);
    put_type(&section, values, params, values, results);
    sm_encode_sized(out, 1, &section);
}

MODULE(functions)
{
    struct sm_encoder nothing = {0};
    (void)policy;
    put_one_type(out, 0, 0);
    put_functions(out, n);
    put_bodies(out, n, NULL, &nothing);
}

MODULE(functions_with_params)
{
    struct sm_encoder code = {0};
    put_one_type(out, policy->params, policy->results);
    put_functions(out, n);
    for (uint32_t i = 0; i < policy->results; i++) {
        get(&code, 0);
    }
    put_bodies(out, n, NULL, &code);
    smelt_buf_deinit(&code.out);
}

MODULE(functions_with_locals)
{
    struct sm_encoder locals = {0};
    struct sm_encoder nothing = {0};
    put_one_type(out, 0, 0);
    put_functions(out, n);
    put_locals(&locals, policy->locals - LOCAL_MORE);
    put_bodies(out, n, &locals, &nothing);
    smelt_buf_deinit(&locals.out);
}

/* the value stack of a function has a variable for each height and type */
MODULE(functions_with_operands)
{
    struct sm_encoder locals = {0};
    struct sm_encoder code = {0};
    put_one_type(out, 0, 0);
    put_functions(out, n);
    put_locals(&locals, 0);
    for (uint32_t type = 0; type < sizeof(valtypes); type++) {
        repeat_get(&code, type, policy->operands);
        drop(&code, policy->operands);
    }
    put_bodies(out, n, &locals, &code);
    smelt_buf_deinit(&locals.out);
    smelt_buf_deinit(&code.out);
}

static void put_long_name(struct sm_encoder *out, uint32_t number, uint32_t size)
{
    char name[4096];
    uint32_t used = (uint32_t)snprintf(name, sizeof(name), "%u", number);
    if (used < size) {
        memset(name + used, '*', size - used);
        used = size;
    }
    sm_encode_name(out, sm_slice(name, used));
}

static void put_exports(struct sm_encoder *out, uint32_t n, uint32_t functions, uint32_t name_size)
{
    struct sm_encoder section = {0};
    sm_encode_u32(&section, n);
    for (uint32_t i = 0; i < n; i++) {
        put_long_name(&section, i, name_size);
        sm_encode_byte(&section, SM_WASM_EXTERNAL_FUNC);
        sm_encode_u32(&section, i % functions);
    }
    sm_encode_sized(out, 7, &section);
}

MODULE(exports)
{
    struct sm_encoder nothing = {0};
    (void)policy;
    put_one_type(out, 0, 0);
    put_functions(out, n);
    put_exports(out, n, n, 0);
    put_bodies(out, n, NULL, &nothing);
}

MODULE(exports_with_params)
{
    struct sm_encoder code = {0};
    put_one_type(out, policy->params, policy->results);
    put_functions(out, n);
    put_exports(out, n, n, 0);
    for (uint32_t i = 0; i < policy->results; i++) {
        get(&code, 0);
    }
    put_bodies(out, n, NULL, &code);
    smelt_buf_deinit(&code.out);
}

MODULE(long_export_names)
{
    struct sm_encoder nothing = {0};
    (void)policy;
    put_one_type(out, policy->params, 0);
    put_functions(out, 1);
    put_exports(out, n, 1, policy->name_bytes);
    put_bodies(out, 1, NULL, &nothing);
}

MODULE(names)
{
    struct sm_encoder custom = {0};
    struct sm_encoder names = {0};
    module_functions(out, policy, n);
    sm_encode_name(&custom, smelt_slice_from_string("name"));
    sm_encode_u32(&names, n);
    for (uint32_t i = 0; i < n; i++) {
        sm_encode_u32(&names, i);
        put_long_name(&names, i, SM_WASM_NAME_SIZE_MAX);
    }
    sm_encode_sized(&custom, 1, &names);
    sm_encode_sized(out, 0, &custom);
}

MODULE(imports)
{
    struct sm_encoder section = {0};
    put_one_type(out, policy->params, policy->results);
    sm_encode_u32(&section, n);
    for (uint32_t i = 0; i < n; i++) {
        put_long_name(&section, i, 0);
        put_long_name(&section, i, 0);
        sm_encode_byte(&section, SM_WASM_EXTERNAL_FUNC);
        sm_encode_u32(&section, 0);
    }
    sm_encode_sized(out, 2, &section);
}

MODULE(types)
{
    struct sm_encoder section = {0};
    uint8_t values[4096];
    sm_encode_u32(&section, n);
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < sizeof(values); k++) {
            values[k] = k < 16 && (i >> k) % 2 != 0 ? SMELT_VALTYPE_I64 : SMELT_VALTYPE_I32;
        }
        put_type(&section, values, policy->params, values, policy->results);
    }
    sm_encode_sized(out, 1, &section);
}

MODULE(global_variables)
{
    struct sm_encoder section = {0};
    (void)policy;
    sm_encode_u32(&section, n);
    for (uint32_t i = 0; i < n; i++) {
        sm_encode_byte(&section, SMELT_VALTYPE_I64);
        sm_encode_byte(&section, 1);
        op(&section, SM_OP_I64_CONST);
        sm_encode_signed(&section, INT64_MIN);
        op(&section, SM_OP_END);
    }
    sm_encode_sized(out, 6, &section);
}

static void put_data(struct sm_encoder *out, uint32_t segments, uint32_t size)
{
    struct sm_encoder section = {0};
    sm_encode_u32(&section, segments);
    for (uint32_t i = 0; i < segments; i++) {
        sm_encode_u32(&section, 0);
        i32_const(&section, 0);
        op(&section, SM_OP_END);
        sm_encode_u32(&section, size);
        for (uint32_t k = 0; k < size; k++) {
            sm_encode_byte(&section, (uint8_t)(0x80 | k));
        }
    }
    sm_encode_sized(out, 11, &section);
}

MODULE(data_bytes)
{
    (void)policy;
    put_memory(out);
    put_data(out, 1, n);
}

MODULE(data_segments)
{
    (void)policy;
    put_memory(out);
    put_data(out, n, 1);
}

static void put_elements(struct sm_encoder *out, uint32_t segments, uint32_t size)
{
    struct sm_encoder section = {0};
    struct sm_encoder nothing = {0};
    put_one_type(out, 0, 0);
    put_functions(out, 1);
    sm_encode_u32(&section, 1);
    sm_encode_byte(&section, 0x70);
    sm_encode_limits(&section, (struct sm_wasm_limits){.min = size});
    sm_encode_sized(out, 4, &section);
    sm_encode_u32(&section, segments);
    for (uint32_t i = 0; i < segments; i++) {
        sm_encode_u32(&section, 0);
        i32_const(&section, 0);
        op(&section, SM_OP_END);
        sm_encode_u32(&section, size);
        for (uint32_t k = 0; k < size; k++) {
            sm_encode_u32(&section, 0);
        }
    }
    sm_encode_sized(out, 9, &section);
    put_bodies(out, 1, NULL, &nothing);
}

MODULE(element_segments)
{
    (void)policy;
    put_elements(out, n, 1);
}

MODULE(element_items)
{
    put_elements(out, n / policy->table_elements + 1,
                 n < policy->table_elements ? n : policy->table_elements);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct shape named[] = {
#define WITH_BODY(id)   {.name = #id, .body = body_##id, .op = SM_OP_COUNT}
#define WITH_LOCALS(id) {.name = #id, .body = body_##id, .has_all_locals = true, .op = SM_OP_COUNT}
#define WITH_MODULE(id) {.name = #id, .module = module_##id, .op = SM_OP_COUNT}
    WITH_BODY(get_set),
    WITH_BODY(operands),
    WITH_BODY(divisions),
    WITH_BODY(selects),
    WITH_BODY(loads),
    WITH_BODY(loads_signed),
    WITH_BODY(loads_float),
    WITH_BODY(stores),
    WITH_BODY(stores_float),
    WITH_LOCALS(tees),
    WITH_BODY(constants),
    WITH_BODY(float_constants),
    WITH_BODY(globals),
    WITH_BODY(calls),
    WITH_BODY(calls_of_bodies),
    WITH_BODY(calls_with_params),
    WITH_BODY(calls_with_results),
    WITH_BODY(calls_indirect),
    WITH_BODY(calls_indirect_with_results),
    WITH_BODY(memory_grow),
    WITH_BODY(memory_size),
    WITH_BODY(memory_fill),
    WITH_BODY(memory_copy),
    WITH_BODY(memory_init),
    WITH_BODY(table_copy),
    WITH_BODY(table_init),
    WITH_BODY(drops_of_segments),
    WITH_BODY(empty_blocks),
    WITH_BODY(unreachable_blocks),
    WITH_BODY(loops),
    WITH_BODY(nested_blocks),
    WITH_BODY(nested_loops),
    WITH_BODY(nested_ifs),
    WITH_BODY(deep_code),
    WITH_BODY(ifs),
    WITH_BODY(ifs_with_results),
    WITH_BODY(branches_with_values),
    WITH_BODY(branches_with_params),
    WITH_BODY(branches),
    WITH_BODY(branches_back),
    WITH_LOCALS(locals_and_branches),
    WITH_LOCALS(loops_and_locals),
    WITH_BODY(one_br_table),
    WITH_BODY(br_tables),
    WITH_BODY(br_tables_of_eight),
    WITH_BODY(br_table_with_values),
    WITH_BODY(br_table_with_params),
    WITH_BODY(returns),
    WITH_MODULE(functions),
    WITH_MODULE(functions_with_params),
    WITH_MODULE(functions_with_locals),
    WITH_MODULE(functions_with_operands),
    WITH_MODULE(exports),
    WITH_MODULE(exports_with_params),
    WITH_MODULE(long_export_names),
    WITH_MODULE(names),
    WITH_MODULE(imports),
    WITH_MODULE(types),
    WITH_MODULE(global_variables),
    WITH_MODULE(data_bytes),
    WITH_MODULE(data_segments),
    WITH_MODULE(element_segments),
    WITH_MODULE(element_items),
#undef WITH_BODY
#undef WITH_LOCALS
#undef WITH_MODULE
};
#define NAMED_COUNT ((uint32_t)(sizeof(named) / sizeof(named[0])))

static struct shape operators[SM_OP_COUNT];
static uint32_t operator_count;

uint32_t shape_count(void)
{
    if (operator_count == 0) {
        for (int i = 0; i < SM_OP_COUNT; i++) {
            if (is_operator((enum sm_wasm_op)i)) {
                operators[operator_count++] =
                    (struct shape){.name = sm_wasm_ops[i].text, .op = (enum sm_wasm_op)i};
            }
        }
    }
    return NAMED_COUNT + operator_count;
}

const struct shape *shape_at(uint32_t index)
{
    return index < NAMED_COUNT ? &named[index] : &operators[index - NAMED_COUNT];
}

static const uint8_t header[] = {0, 'a', 's', 'm', 1, 0, 0, 0};

static void must_have_memory(const struct sm_encoder *out)
{
    if (out->is_short_of_memory) {
        (void)fprintf(stderr, "bombs: out of memory\n");
        exit(1);
    }
}

static void put_repetitions(struct sm_encoder *code, const struct shape *shape,
                            const struct sm_policy *policy, uint32_t n)
{
    if (shape->body != NULL) {
        shape->body(code, policy, n);
    } else {
        put_operators(code, shape->op, n);
    }
}

void shape_build(const struct shape *shape, const struct sm_policy *policy,
                 const struct shape_size *size, struct smelt_buf *out)
{
    struct sm_encoder module = {0};
    sm_encode_bytes(&module, sm_slice(header, sizeof(header)));
    if (shape->module != NULL) {
        shape->module(&module, policy, size->n);
    } else {
        struct sm_encoder locals = {0};
        struct sm_encoder code = {0};
        struct sm_encoder rest = {0};
        put_locals(&locals, shape->has_all_locals ? policy->locals - LOCAL_MORE : 0);
        put_repetitions(&code, shape, policy, size->n);
        put_repetitions(&rest, shape, policy, size->rest);
        put_common(&module, policy, &locals, &code, size->copies, size->rest != 0 ? &rest : NULL);
        smelt_buf_deinit(&locals.out);
        smelt_buf_deinit(&code.out);
        smelt_buf_deinit(&rest.out);
    }
    must_have_memory(&module);
    *out = module.out;
}

/* ---- mixed code ------------------------------------------------------------------------------ */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* A snippet leaves the value stack as it was. Types, offsets and indices are random too: what the
 * compiler has seen just before it does faster. */
static void put_snippet(struct sm_encoder *code, uint32_t kind, uint64_t random)
{
    uint32_t local = LOCAL_MORE + (uint32_t)(random >> 8) % 60;
    uint32_t other = LOCAL_MORE + (uint32_t)(random >> 16) % 60;
    uint32_t offset = (uint32_t)(random >> 24) % 65536;
    uint32_t which = (uint32_t)(random >> 40);
    const struct sm_wasm_instr copy = {.op = SM_OP_MEMORY_COPY};
    switch (kind) {
    case 0:
        get(code, local);
        access(code, SM_OP_I32_LOAD, offset);
        set(code, other);
        break;
    case 1:
        get(code, local);
        get(code, other);
        access(code, SM_OP_I32_STORE, offset);
        break;
    case 2:
        get(code, local);
        access(code, SM_OP_I64_LOAD8_S + (enum sm_wasm_op)(which % 6), offset);
        set(code, LOCAL_I64);
        break;
    case 3:
        get(code, local);
        get(code, LOCAL_I64);
        access(code, SM_OP_I64_STORE8 + (enum sm_wasm_op)(which % 3), offset);
        break;
    case 4:
        get(code, local);
        op_u32(code, SM_OP_CALL, FUNC_UNARY);
        set(code, other);
        break;
    case 5:
        op_u32(code, SM_OP_CALL, FUNC_BODIES);
        break;
    case 6:
        get(code, local);
        get(code, other);
        op_u32(code, SM_OP_CALL_INDIRECT, TYPE_UNARY);
        sm_encode_byte(code, 0);
        set(code, local);
        break;
    case 7:
        open_block(code, SM_OP_BLOCK);
        get(code, local);
        op_u32(code, SM_OP_BR_IF, 0);
        i32_const(code, (int32_t)offset);
        set(code, other);
        op(code, SM_OP_END);
        break;
    case 8:
        get(code, local);
        open_block(code, SM_OP_IF);
        get(code, other);
        set(code, local);
        op(code, SM_OP_ELSE);
        get(code, local);
        set(code, other);
        op(code, SM_OP_END);
        break;
    case 9:
        open_block(code, SM_OP_LOOP);
        get(code, local);
        op_u32(code, SM_OP_BR_IF, 0);
        op(code, SM_OP_END);
        break;
    case 10:
        open_block(code, SM_OP_BLOCK);
        get(code, local);
        table_of(code, 1 + which % 8, 1);
        op(code, SM_OP_END);
        break;
    case 11:
        op_u32(code, SM_OP_GLOBAL_GET, 0);
        set(code, local);
        get(code, other);
        op_u32(code, SM_OP_GLOBAL_SET, 0);
        break;
    case 12:
        get(code, local);
        i32_const(code, (int32_t)offset);
        op(code, SM_OP_I32_ADD + (enum sm_wasm_op)(which % 3));
        op_u32(code, SM_OP_LOCAL_TEE, other);
        op(code, SM_OP_DROP);
        break;
    case 13:
        get(code, local);
        get(code, other);
        op(code, SM_OP_I32_DIV_S + (enum sm_wasm_op)(which % 4));
        set(code, local);
        break;
    case 14:
        get(code, LOCAL_F64);
        get(code, LOCAL_F64);
        op(code, SM_OP_F64_ADD + (enum sm_wasm_op)(which % 7));
        set(code, LOCAL_F64);
        break;
    case 15:
        get(code, LOCAL_F32);
        op(code, SM_OP_I32_TRUNC_F32_S + (enum sm_wasm_op)(which % 2));
        set(code, local);
        break;
    case 16:
        get(code, local);
        get(code, other);
        get(code, local);
        op(code, SM_OP_SELECT);
        set(code, other);
        break;
    case 17:
        get(code, local);
        get(code, other);
        get(code, local);
        sm_encode_instr(code, &copy, 0, 0);
        break;
    case 18:
        get(code, local);
        get(code, other);
        op(code, SM_OP_I32_EQ + (enum sm_wasm_op)(which % 10));
        set(code, local);
        break;
    case 19:
        get(code, local);
        op(code, SM_OP_I32_CLZ + (enum sm_wasm_op)(which % 3));
        set(code, other);
        break;
    case 20:
        get(code, local);
        op(code, SM_OP_F64_CONVERT_I32_S + (enum sm_wasm_op)(which % 2));
        set(code, LOCAL_F64);
        break;
    case 21:
        get(code, local);
        open_block(code, SM_OP_IF);
        op(code, SM_OP_UNREACHABLE);
        op(code, SM_OP_END);
        break;
    case 22:
        get(code, local);
        open_block(code, SM_OP_IF);
        op(code, SM_OP_RETURN);
        op(code, SM_OP_END);
        break;
    default:
        get(code, LOCAL_F32);
        op(code, SM_OP_F32_ABS + (enum sm_wasm_op)(which % 7));
        set(code, LOCAL_F32);
        break;
    }
}

void shape_build_mix(const uint8_t mix[MIX_KINDS], const struct sm_policy *policy, uint32_t n,
                     uint32_t copies, uint64_t seed, struct smelt_buf *out)
{
    struct sm_encoder module = {0};
    struct sm_encoder locals = {0};
    struct sm_encoder code = {0};
    uint64_t state = seed | 1;
    uint32_t total = 0;
    for (uint32_t i = 0; i < MIX_KINDS; i++) {
        total += mix[i];
    }
    for (uint32_t i = 0; i < n && total != 0; i++) {
        uint32_t at = (uint32_t)(next_random(&state) % total);
        uint32_t kind = 0;
        while (at >= mix[kind]) {
            at -= mix[kind++];
        }
        put_snippet(&code, kind, next_random(&state));
    }
    sm_encode_bytes(&module, sm_slice(header, sizeof(header)));
    put_locals(&locals, 60);
    put_common(&module, policy, &locals, &code, copies, NULL);
    smelt_buf_deinit(&locals.out);
    smelt_buf_deinit(&code.out);
    must_have_memory(&module);
    *out = module.out;
}
