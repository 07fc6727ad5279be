/* Both modules side by side: first what stands around the bodies, then body by body. A body of the
 * instrumented module has to be one certain sequence of instructions; the only freedom it has is
 * which scratch locals it uses. The charges found in it are kept per instruction of the original,
 * and then followed along the edges of the control-flow graph. */
#include "compiler/instrument/check.h"

#include "base/bytes.h"
#include "base/status.h"
#include "compiler/instrument/flow.h"
#include "compiler/instrument/reserve.h"
#include "compiler/wasm/leb128.h"
#include "hostabi/schedule.h"

#include <stdio.h>

#define WHERE           "check"
#define SCRATCH_MAX     3u /* i32, f32, f64 */
#define BALANCE_UNKNOWN UINT64_MAX
#define MARKER_TYPES    2u /* after the module's own: of fuel, of enter and leave */
#define MODULE_HEADER   8u /* magic and version */

struct checker {
    const struct sm_check_input *input;
    const struct sm_wasm_module *original;
    struct sm_wasm_module made; /* the instrumented module */
    struct sm_arena arena;      /* of everything the checker allocates */
    const uint32_t *weights;
    const struct sm_schedule_dynamic *dynamic;
    const struct sm_stack_weight *stack;
    struct sm_flow flow;
    uint64_t *charges;  /* per instruction: found before it */
    uint64_t *balances; /* per instruction and the exit: charged, not yet executed */
    struct smelt_error *err;

    /* the body at hand */
    uint32_t func_index;          /* in the original */
    uint32_t offset;              /* of the original's instruction at hand */
    struct sm_wasm_cursor cursor; /* over the instrumented body */
    uint32_t local_count;         /* of the original, parameters included */
    bool uses_scratch[SCRATCH_MAX];
    uint32_t depth;        /* constructs open in the instrumented body, its own included;
                              the wrapper is not counted */
    uint32_t marker_count; /* found so far */
    uint32_t site_count;
};

static enum smelt_status fail(const struct checker *c, const char *section, const char *what)
{
    return sm_error_set(c->err, SMELT_STATUS_TRANSLATION_UNPROVEN, WHERE,
                        "the instrumented module cannot be proved: %s section: %s", section, what);
}

static enum smelt_status fail_code(const struct checker *c, const char *what)
{
    return sm_error_set_at(c->err, SMELT_STATUS_TRANSLATION_UNPROVEN, WHERE, c->func_index,
                           c->offset, "the instrumented body cannot be proved: %s", what);
}

/* An error from reading the instrumented module is no refusal of the original. */
static enum smelt_status fail_reading(const struct checker *c, enum smelt_status status,
                                      const struct smelt_error *problem)
{
    if (status == SMELT_STATUS_NO_MEMORY) {
        return sm_error_no_memory(c->err, WHERE);
    }
    return sm_error_set(c->err, SMELT_STATUS_TRANSLATION_UNPROVEN, WHERE,
                        "the instrumented module is not valid: %s (its offset %lld)",
                        problem->message, (long long)problem->offset);
}

/* ---- around the bodies ----------------------------------------------------------------------- */

static uint32_t shifted(const struct checker *c, uint32_t func_index)
{
    return func_index < c->original->imported_func_count ? func_index
                                                         : func_index + SM_MARKER_COUNT;
}

/* The decoder skips custom sections; here none may be. */
static enum smelt_status check_sections(const struct checker *c)
{
    struct smelt_slice bytes = c->input->instrumented;
    const uint8_t *at = bytes.data + MODULE_HEADER;
    const uint8_t *end = bytes.data + bytes.size;
    while (at != end) {
        uint64_t size;
        if (*at++ == 0) {
            return fail(c, "custom", "there is one");
        }
        if (sm_leb_read_unsigned(&at, end, 32, &size) != SM_LEB_OK || size > (size_t)(end - at)) {
            return fail(c, "module", "a section's size");
        }
        at += size;
    }
    return c->made.has_start ? fail(c, "start", "there is one") : SMELT_STATUS_OK;
}

static bool is_signature(const struct sm_wasm_type *type, struct smelt_slice params,
                         struct smelt_slice results)
{
    return sm_slice_equal(sm_slice(type->params, type->param_count), params) &&
           sm_slice_equal(sm_slice(type->results, type->result_count), results);
}

static enum smelt_status check_types(const struct checker *c)
{
    static const uint8_t i64[] = {SMELT_VALTYPE_I64};
    static const uint8_t i32[] = {SMELT_VALTYPE_I32};
    const struct smelt_slice none = {0};
    uint32_t count = c->original->type_count;
    if (c->made.type_count != 2 * count + MARKER_TYPES) {
        return fail(c, "type", "number of types");
    }
    bool is_good = is_signature(&c->made.types[count], sm_slice(i64, 1), none) &&
                   is_signature(&c->made.types[count + 1], sm_slice(i32, 1), none);
    for (uint32_t i = 0; i < count; i++) {
        const struct sm_wasm_type *type = &c->original->types[i];
        struct smelt_slice params = sm_slice(type->params, type->param_count);
        struct smelt_slice results = sm_slice(type->results, type->result_count);
        is_good = is_good && is_signature(&c->made.types[i], params, results) &&
                  is_signature(&c->made.types[count + MARKER_TYPES + i], none, results);
    }
    return is_good ? SMELT_STATUS_OK : fail(c, "type", "a signature");
}

static enum smelt_status check_imports(const struct checker *c)
{
    static const char *const markers[SM_MARKER_COUNT] = {"fuel", "enter", "leave"};
    uint32_t own = c->original->imported_func_count;
    if (c->made.import_count != own + SM_MARKER_COUNT ||
        c->made.imported_func_count != c->made.import_count) {
        return fail(c, "import", "number of functions");
    }
    for (uint32_t i = 0; i < c->made.import_count; i++) {
        const struct sm_wasm_import *import = &c->made.imports[i];
        char name[16];
        uint32_t type_index = c->original->type_count + (i == own ? 0 : 1);
        if (i < own) {
            (void)snprintf(name, sizeof(name), "i%u", i);
            type_index = c->original->funcs[i].type_index;
        } else {
            (void)snprintf(name, sizeof(name), "%s", markers[i - own]);
        }
        if (!sm_slice_equal_text(import->module, i < own ? "h" : "m") ||
            !sm_slice_equal_text(import->name, name) || c->made.funcs[i].type_index != type_index) {
            return fail(c, "import", "a name or a type");
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_functions(const struct checker *c)
{
    bool is_good = c->made.func_count == c->original->func_count + SM_MARKER_COUNT;
    for (uint32_t i = c->original->imported_func_count; is_good && i < c->original->func_count;
         i++) {
        is_good = c->made.funcs[shifted(c, i)].type_index == c->original->funcs[i].type_index;
    }
    return is_good ? SMELT_STATUS_OK : fail(c, "function", "number of functions or a type");
}

static bool is_const_equal(const struct checker *c, const struct sm_wasm_const *original,
                           const struct sm_wasm_const *made)
{
    if (original->kind != made->kind) {
        return false;
    }
    switch (original->kind) {
    case SM_WASM_CONST_VALUE:
        return original->type == made->type && original->bits == made->bits;
    case SM_WASM_CONST_GLOBAL:
        return original->index == made->index;
    case SM_WASM_CONST_REF_FUNC:
        return shifted(c, original->index) == made->index;
    case SM_WASM_CONST_REF_NULL:
        break;
    }
    return true;
}

static enum smelt_status check_table(const struct checker *c)
{
    const struct sm_wasm_limits *original = &c->original->table;
    const struct sm_wasm_limits *made = &c->made.table;
    if (c->original->has_table != c->made.has_table ||
        (c->made.has_table && (original->min != made->min || original->has_max != made->has_max ||
                               (made->has_max && original->max != made->max)))) {
        return fail(c, "table", "its limits");
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_memory(const struct checker *c)
{
    const struct sm_check_input *input = c->input;
    const struct sm_instrumented *lists = input->lists;
    const struct sm_wasm_limits *original = &c->original->memory;
    const struct sm_wasm_limits *made = &c->made.memory;
    uint32_t return_page = UINT32_MAX;
    uint32_t min = 0;
    uint32_t max = 0;
    if (c->original->has_memory) {
        uint32_t limit = sm_gate_memory_pages_max(input->policy, input->profile);
        min = original->min;
        max = original->has_max && original->max < limit ? original->max : limit;
        if (sm_gate_needs_return_page(c->original, input->profile)) {
            return_page = min;
            min++;
        }
    }
    if (c->original->has_memory != c->made.has_memory ||
        (c->made.has_memory && (made->min != min || !made->has_max || made->max != max))) {
        return fail(c, "memory", "its limits");
    }
    if (lists != NULL && (lists->memory_min != min || lists->memory_max != max ||
                          lists->return_page != return_page)) {
        return fail(c, "memory", "limits for later stages");
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_globals(const struct checker *c)
{
    bool is_good = c->made.global_count == c->original->global_count;
    for (uint32_t i = 0; is_good && i < c->made.global_count; i++) {
        const struct sm_wasm_global *original = &c->original->globals[i];
        const struct sm_wasm_global *made = &c->made.globals[i];
        is_good = original->type == made->type && original->is_mutable == made->is_mutable &&
                  is_const_equal(c, &original->init, &made->init);
    }
    return is_good ? SMELT_STATUS_OK : fail(c, "global", "number of globals, or one of them");
}

/* Functions in the order of the original as x<its number>, then the memory. */
static enum smelt_status check_exports(const struct checker *c)
{
    uint32_t next = 0;
    bool is_good = true;
    for (uint32_t i = 0; i < c->original->export_count; i++) {
        const struct sm_wasm_export *original = &c->original->exports[i];
        char name[16];
        if (original->kind != SM_WASM_EXTERNAL_FUNC) {
            continue;
        }
        (void)snprintf(name, sizeof(name), "x%u", i);
        is_good = is_good && next < c->made.export_count &&
                  c->made.exports[next].kind == SM_WASM_EXTERNAL_FUNC &&
                  c->made.exports[next].index == shifted(c, original->index) &&
                  sm_slice_equal_text(c->made.exports[next].name, name);
        next++;
    }
    if (c->original->has_memory) {
        is_good = is_good && next < c->made.export_count &&
                  c->made.exports[next].kind == SM_WASM_EXTERNAL_MEMORY &&
                  sm_slice_equal_text(c->made.exports[next].name, "memory");
        next++;
    }
    return is_good && next == c->made.export_count
               ? SMELT_STATUS_OK
               : fail(c, "export", "number of exports, or one of them");
}

static bool is_elem_equal(const struct checker *c, const struct sm_wasm_elem *original,
                          const struct sm_wasm_elem *made)
{
    if (original->mode == SM_WASM_SEGMENT_DECLARED) { /* passive and dropped: nothing is left */
        return made->mode == SM_WASM_SEGMENT_PASSIVE && made->item_count == 0;
    }
    bool is_equal = original->mode == made->mode && original->item_count == made->item_count &&
                    (original->mode != SM_WASM_SEGMENT_ACTIVE ||
                     is_const_equal(c, &original->start, &made->start));
    for (uint32_t i = 0; is_equal && i < made->item_count; i++) {
        is_equal = is_const_equal(c, &original->items[i], &made->items[i]);
    }
    return is_equal;
}

static enum smelt_status check_segments(const struct checker *c)
{
    bool is_good = c->made.elem_count == c->original->elem_count;
    for (uint32_t i = 0; is_good && i < c->made.elem_count; i++) {
        is_good = is_elem_equal(c, &c->original->elems[i], &c->made.elems[i]);
    }
    if (!is_good) {
        return fail(c, "element", "number of segments, or one of them");
    }
    is_good = c->made.data_count == c->original->data_count;
    for (uint32_t i = 0; is_good && i < c->made.data_count; i++) {
        const struct sm_wasm_data *original = &c->original->datas[i];
        const struct sm_wasm_data *made = &c->made.datas[i];
        is_good = original->mode == made->mode && sm_slice_equal(original->bytes, made->bytes) &&
                  (original->mode != SM_WASM_SEGMENT_ACTIVE ||
                   is_const_equal(c, &original->start, &made->start));
    }
    return is_good ? SMELT_STATUS_OK : fail(c, "data", "number of segments, or one of them");
}

/* ---- reading the instrumented body ----------------------------------------------------------- */

static enum smelt_status next_instr(struct checker *c, struct sm_wasm_instr *out)
{
    struct smelt_error problem = {0};
    if (c->cursor.at == c->cursor.end) {
        return fail_code(c, "it ends too early");
    }
    enum smelt_status status = sm_wasm_read_instr(&c->cursor, out, &problem);
    return status == SMELT_STATUS_OK ? status : fail_reading(c, status, &problem);
}

static enum smelt_status expect_op(struct checker *c, enum sm_wasm_op op, const char *what,
                                   struct sm_wasm_instr *out)
{
    enum smelt_status status = next_instr(c, out);
    if (status == SMELT_STATUS_OK && out->op != op) {
        status = fail_code(c, what);
    }
    return status;
}

static enum smelt_status expect_const(struct checker *c, enum sm_wasm_op op, uint64_t bits,
                                      const char *what)
{
    struct sm_wasm_instr instr;
    enum smelt_status status = expect_op(c, op, what, &instr);
    if (status == SMELT_STATUS_OK && instr.bits != bits) {
        status = fail_code(c, what);
    }
    return status;
}

/* The local.tee or first local.get of a sequence: a local of the instrumenter's own. */
static enum smelt_status expect_scratch(struct checker *c, enum sm_wasm_op op, const char *what,
                                        uint32_t *local)
{
    struct sm_wasm_instr instr;
    enum smelt_status status = expect_op(c, op, what, &instr);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (instr.index < c->local_count || instr.index - c->local_count >= SCRATCH_MAX) {
        return fail_code(c, what);
    }
    c->uses_scratch[instr.index - c->local_count] = true;
    *local = instr.index;
    return SMELT_STATUS_OK;
}

static enum smelt_status expect_local(struct checker *c, uint32_t local, const char *what)
{
    struct sm_wasm_instr instr;
    enum smelt_status status = expect_op(c, SM_OP_LOCAL_GET, what, &instr);
    if (status == SMELT_STATUS_OK && instr.index != local) {
        status = fail_code(c, what);
    }
    return status;
}

/* The call of a marker function, which must also be the next one in the list of later stages. */
static enum smelt_status expect_marker(struct checker *c, struct sm_marker marker, const char *what)
{
    const struct sm_instrumented *lists = c->input->lists;
    struct sm_wasm_instr instr;
    enum smelt_status status = expect_op(c, SM_OP_CALL, what, &instr);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (instr.index != c->original->imported_func_count + (uint32_t)marker.kind) {
        return fail_code(c, what);
    }
    if (lists != NULL) {
        const struct sm_instrumented_func *func = &lists->funcs[c->func_index];
        const struct sm_marker *listed = &func->markers[c->marker_count];
        if (c->marker_count == func->marker_count || listed->kind != marker.kind ||
            listed->is_checked != marker.is_checked || listed->is_dynamic != marker.is_dynamic ||
            listed->amount != marker.amount) {
            return fail_code(c, "the list of markers for later stages");
        }
    }
    c->marker_count++;
    return SMELT_STATUS_OK;
}

/* The next site in the list of later stages. */
static enum smelt_status expect_site(struct checker *c, enum sm_wasm_op op, uint32_t index)
{
    const struct sm_instrumented *lists = c->input->lists;
    if (lists != NULL) {
        const struct sm_instrumented_func *func = &lists->funcs[c->func_index];
        const struct sm_site *site = &func->sites[c->site_count];
        if (c->site_count == func->site_count || site->op != op || site->offset != c->offset ||
            site->index != index) {
            return fail_code(c, "the list of sites for later stages");
        }
    }
    c->site_count++;
    return SMELT_STATUS_OK;
}

/* ---- what was added -------------------------------------------------------------------------- */

static enum smelt_status expect_stack_marker(struct checker *c, enum sm_marker_kind kind)
{
    const char *what = kind == SM_MARKER_ENTER ? "the stack is not taken on entry"
                                               : "the stack is not given back before the end";
    uint32_t reserve = c->stack[c->func_index].reserve;
    enum smelt_status status = expect_const(c, SM_OP_I32_CONST, reserve, what);
    if (status == SMELT_STATUS_OK) {
        status = expect_marker(c, (struct sm_marker){.kind = kind, .amount = reserve}, what);
    }
    return status;
}

/* Is the next instruction `i64.const`, and the one behind it a call of the marker? No instruction
 * of the original can be such a call. */
static bool is_charge_next(const struct checker *c)
{
    struct sm_wasm_cursor ahead = c->cursor;
    struct sm_wasm_instr instr;
    return ahead.at != ahead.end && *ahead.at == sm_wasm_ops[SM_OP_I64_CONST].code &&
           sm_wasm_read_instr(&ahead, &instr, NULL) == SMELT_STATUS_OK && ahead.at != ahead.end &&
           sm_wasm_read_instr(&ahead, &instr, NULL) == SMELT_STATUS_OK && instr.op == SM_OP_CALL &&
           instr.index == c->original->imported_func_count;
}

/* The charge before an instruction; `block` is the block that starts there, NULL: none does. */
static enum smelt_status take_charge(struct checker *c, uint32_t index,
                                     const struct sm_flow_block *block)
{
    struct sm_wasm_instr amount;
    bool is_there = is_charge_next(c);
    c->charges[index] = 0;
    if (!is_there) {
        return block != NULL && (block->charge != 0 || block->is_checked)
                   ? fail_code(c, "a block without its charge")
                   : SMELT_STATUS_OK;
    }
    if (block == NULL || (block->charge == 0 && !block->is_checked)) {
        return fail_code(c, "a charge where none belongs");
    }
    enum smelt_status status = next_instr(c, &amount);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (amount.bits != block->charge) {
        return fail_code(c, "a charge that is not the sum of its block");
    }
    c->charges[index] = amount.bits;
    return expect_marker(c,
                         (struct sm_marker){.kind = SM_MARKER_FUEL,
                                            .is_checked = block->is_checked,
                                            .amount = amount.bits},
                         "a charge");
}

/* per_unit × ceil(operand / unit), in 64 bits: no product or sum of 32-bit operands wraps. */
static enum smelt_status expect_dynamic_charge(struct checker *c, struct sm_schedule_rate rate)
{
    static const char what[] = "a dynamic charge";
    struct sm_wasm_instr instr;
    uint32_t local;
    uint32_t shift = 0;
    enum smelt_status status;
    while (UINT64_C(1) << shift < rate.unit_bytes) {
        shift++;
    }
    SMELT_TRY(expect_scratch(c, SM_OP_LOCAL_TEE, what, &local));
    SMELT_TRY(expect_local(c, local, what));
    SMELT_TRY(expect_op(c, SM_OP_I64_EXTEND_I32_U, what, &instr));
    if (shift != 0) {
        SMELT_TRY(expect_const(c, SM_OP_I64_CONST, rate.unit_bytes - 1, what));
        SMELT_TRY(expect_op(c, SM_OP_I64_ADD, what, &instr));
        SMELT_TRY(expect_const(c, SM_OP_I64_CONST, shift, what));
        SMELT_TRY(expect_op(c, SM_OP_I64_SHR_U, what, &instr));
    }
    SMELT_TRY(expect_const(c, SM_OP_I64_CONST, rate.per_unit, what));
    SMELT_TRY(expect_op(c, SM_OP_I64_MUL, what, &instr));
    SMELT_TRY(expect_marker(
        c, (struct sm_marker){.kind = SM_MARKER_FUEL, .is_checked = true, .is_dynamic = true},
        what));
cleanup:
    return status;
}

static enum smelt_status expect_canonical_nan(struct checker *c, bool is_f64)
{
    static const char what[] = "a float result whose NaNs stay as they are";
    struct sm_wasm_instr instr;
    uint32_t local;
    enum smelt_status status;
    SMELT_TRY(expect_scratch(c, SM_OP_LOCAL_TEE, what, &local));
    SMELT_TRY(expect_const(c, is_f64 ? SM_OP_F64_CONST : SM_OP_F32_CONST,
                           is_f64 ? UINT64_C(0x7ff8000000000000) : UINT64_C(0x7fc00000), what));
    SMELT_TRY(expect_local(c, local, what));
    SMELT_TRY(expect_local(c, local, what));
    SMELT_TRY(expect_op(c, is_f64 ? SM_OP_F64_EQ : SM_OP_F32_EQ, what, &instr));
    SMELT_TRY(expect_op(c, SM_OP_SELECT, what, &instr));
cleanup:
    return status;
}

/* ---- what was there -------------------------------------------------------------------------- */

static bool are_labels_equal(struct smelt_slice a, struct smelt_slice b)
{
    bool are_equal = true;
    while (are_equal && a.size != 0 && b.size != 0) {
        are_equal = sm_wasm_next_label(&a) == sm_wasm_next_label(&b);
    }
    return are_equal;
}

/* Immediates that an instruction does not have are zero in both. */
static bool is_instr_equal(const struct checker *c, const struct sm_wasm_instr *original,
                           const struct sm_wasm_instr *made)
{
    uint32_t index = original->op == SM_OP_CALL ? shifted(c, original->index) : original->index;
    return made->op == original->op && made->index == index && made->index2 == original->index2 &&
           made->block.type_index == original->block.type_index &&
           made->block.result == original->block.result && made->align == original->align &&
           made->memory_offset == original->memory_offset && made->bits == original->bits &&
           made->label_count == original->label_count && made->select == original->select &&
           are_labels_equal(original->labels, made->labels);
}

static enum smelt_status expect_same(struct checker *c, const struct sm_wasm_instr *original)
{
    struct sm_wasm_instr made;
    enum smelt_status status = next_instr(c, &made);
    if (status == SMELT_STATUS_OK && !is_instr_equal(c, original, &made)) {
        char what[128];
        (void)snprintf(what, sizeof(what), "%s instead of this %s", sm_wasm_ops[made.op].text,
                       sm_wasm_ops[original->op].text);
        status = fail_code(c, made.op != original->op ? what : "another immediate");
    }
    return status;
}

/* Later stages need to know where these are; see struct sm_site. */
static bool is_site(enum sm_wasm_op op)
{
    return (sm_wasm_ops[op].flags & SM_OP_FLAG_TRAP) != 0 || op == SM_OP_CALL ||
           op == SM_OP_GLOBAL_SET || op == SM_OP_MEMORY_GROW || op == SM_OP_DATA_DROP ||
           op == SM_OP_ELEM_DROP;
}

static enum smelt_status check_plain(struct checker *c, const struct sm_wasm_instr *instr)
{
    const struct sm_wasm_op_info *info = &sm_wasm_ops[instr->op];
    struct sm_schedule_rate rate = sm_flow_rate(c->dynamic, instr->op);
    enum smelt_status status = SMELT_STATUS_OK;
    if (is_site(instr->op)) {
        SMELT_TRY(expect_site(c, instr->op, instr->index));
    }
    if (rate.per_unit != 0) {
        SMELT_TRY(expect_dynamic_charge(c, rate));
    }
    if (instr->op == SM_OP_RETURN) { /* the outermost label is the function's, wrapped or not */
        const struct sm_wasm_instr branch = {.op = SM_OP_BR, .index = c->depth - 1};
        SMELT_TRY(expect_same(c, &branch));
    } else {
        SMELT_TRY(expect_same(c, instr));
    }
    if ((info->flags & SM_OP_FLAG_NAN) != 0 &&
        c->input->policy->floats == SMELT_FLOAT_CANONICAL_NAN) {
        SMELT_TRY(expect_canonical_nan(c, info->results[0] == 'F'));
    }
cleanup:
    return status;
}

/* An else or end whose construct is live is kept, reached or not. Behind an end that nothing
 * reaches, `unreachable` stands for the code that was dropped. */
static enum smelt_status check_closing(struct checker *c, uint32_t index,
                                       const struct sm_wasm_instr *instr)
{
    struct sm_wasm_instr made;
    enum smelt_status status = expect_same(c, instr);
    if (status != SMELT_STATUS_OK || instr->op != SM_OP_END) {
        return status;
    }
    c->depth--;
    if (c->depth != 0 && !c->flow.points[index + 1].is_live) {
        status = expect_op(c, SM_OP_UNREACHABLE, "a dead end without unreachable", &made);
        if (status == SMELT_STATUS_OK) {
            status = expect_site(c, SM_OP_UNREACHABLE, 0);
        }
    }
    return status;
}

static enum smelt_status check_point(struct checker *c, uint32_t index,
                                     const struct sm_wasm_instr *instr)
{
    const struct sm_flow_point *point = &c->flow.points[index];
    bool is_closing = point->op == SM_OP_ELSE || point->op == SM_OP_END;
    if (is_closing &&
        (point->opener == SM_WASM_NO_INDEX || c->flow.points[point->opener].is_live)) {
        return check_closing(c, index, instr);
    }
    if (!point->is_live) {
        return SMELT_STATUS_OK; /* dead: gone */
    }
    c->depth += point->op == SM_OP_BLOCK || point->op == SM_OP_LOOP || point->op == SM_OP_IF;
    return check_plain(c, instr);
}

static enum smelt_status check_points(struct checker *c)
{
    struct sm_wasm_cursor cursor = sm_wasm_cursor_of(c->original, c->func_index);
    struct sm_wasm_instr instr;
    uint32_t block = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    c->depth = 1;
    for (uint32_t i = 0; i < c->flow.point_count; i++) {
        const struct sm_flow_point *point = &c->flow.points[i];
        bool is_start = point->is_live && point->is_start;
        c->offset = point->offset;
        SMELT_TRY(sm_wasm_read_instr(&cursor, &instr, c->err));
        if (point->is_live) {
            SMELT_TRY(take_charge(c, i, is_start ? &c->flow.blocks[block] : NULL));
            block += is_start;
        }
        SMELT_TRY(check_point(c, i, &instr));
    }
cleanup:
    return status;
}

/* ---- one body -------------------------------------------------------------------------------- */

/* The types of the original's locals come first, however they are grouped. */
static bool are_locals_kept(const struct sm_wasm_func *original, const struct sm_wasm_func *made)
{
    uint32_t run = 0;
    uint32_t used = 0; /* of that run of `made` */
    for (uint32_t i = 0; i < original->local_run_count; i++) {
        uint32_t left = original->local_runs[i].count;
        while (left != 0) {
            if (run == made->local_run_count) {
                return false;
            }
            uint32_t here = made->local_runs[run].count - used;
            uint32_t step = here < left ? here : left;
            if (step != 0 && made->local_runs[run].type != original->local_runs[i].type) {
                return false;
            }
            left -= step;
            used += step;
            if (used == made->local_runs[run].count) {
                run++;
                used = 0;
            }
        }
    }
    return true;
}

static enum smelt_status check_locals(struct checker *c, const struct sm_wasm_func *made)
{
    const struct sm_wasm_func *original = &c->original->funcs[c->func_index];
    if (!are_locals_kept(original, made) ||
        made->local_count - original->local_count > SCRATCH_MAX) {
        return fail_code(c, "its locals");
    }
    c->local_count =
        sm_wasm_func_type(c->original, c->func_index)->param_count + original->local_count;
    for (uint32_t i = 0; i < SCRATCH_MAX; i++) {
        c->uses_scratch[i] = i >= made->local_count - original->local_count;
    }
    return SMELT_STATUS_OK;
}

/* enter, and the block that stands in for the function: every branch out of the body ends in it. */
static enum smelt_status expect_wrapper(struct checker *c)
{
    static const char what[] = "no block of the function's results around its body";
    const struct sm_wasm_type *type = sm_wasm_func_type(c->original, c->func_index);
    struct sm_wasm_instr instr;
    enum smelt_status status = expect_stack_marker(c, SM_MARKER_ENTER);
    if (status == SMELT_STATUS_OK) {
        status = expect_op(c, SM_OP_BLOCK, what, &instr);
    }
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    struct sm_wasm_type found = sm_wasm_block_signature(&c->made, instr.block);
    return is_signature(&found, (struct smelt_slice){0},
                        sm_slice(type->results, type->result_count))
               ? SMELT_STATUS_OK
               : fail_code(c, what);
}

static enum smelt_status check_lists_end(const struct checker *c)
{
    const struct sm_instrumented *lists = c->input->lists;
    if (lists == NULL) {
        return SMELT_STATUS_OK;
    }
    const struct sm_instrumented_func *func = &lists->funcs[c->func_index];
    const struct sm_stack_weight *stack = &lists->stack[c->func_index];
    const struct sm_stack_weight *expected = &c->stack[c->func_index];
    if (func->marker_count != c->marker_count || func->site_count != c->site_count) {
        return fail_code(c, "the lists for later stages");
    }
    if (stack->weight != expected->weight || stack->reserve != expected->reserve ||
        stack->is_checked != expected->is_checked) {
        return fail_code(c, "the stack weight for later stages");
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_sequence(struct checker *c)
{
    struct sm_wasm_instr instr;
    bool is_wrapped = c->stack[c->func_index].is_checked;
    enum smelt_status status = SMELT_STATUS_OK;
    c->marker_count = 0;
    c->site_count = 0;
    if (is_wrapped) {
        SMELT_TRY(expect_wrapper(c));
    }
    SMELT_TRY(check_points(c));
    if (is_wrapped) {
        SMELT_TRY(expect_stack_marker(c, SM_MARKER_LEAVE));
        SMELT_TRY(expect_op(c, SM_OP_END, "its end", &instr));
    }
    if (c->cursor.at != c->cursor.end) {
        status = fail_code(c, "code behind its end");
        goto cleanup;
    }
    for (uint32_t i = 0; i < SCRATCH_MAX; i++) {
        if (!c->uses_scratch[i]) {
            status = fail_code(c, "a local that nothing uses");
            goto cleanup;
        }
    }
    SMELT_TRY(check_lists_end(c));
cleanup:
    return status;
}

/* Follows the charges that were found along every edge. Instructions come in an order in which all
 * edges to one, but those back to a loop's header, start before it. */
static enum smelt_status check_paths(struct checker *c)
{
    const struct sm_flow *flow = &c->flow;
    for (uint32_t i = 1; i <= flow->point_count; i++) {
        c->balances[i] = BALANCE_UNKNOWN;
    }
    c->balances[0] = 0;
    for (uint32_t i = 0; i < flow->point_count; i++) {
        const struct sm_flow_point *point = &flow->points[i];
        if (!point->is_live) {
            continue;
        }
        c->offset = point->offset;
        if (point->is_start && c->balances[i] != 0) {
            return fail_code(c, "a block starts before the last one is used up");
        }
        uint64_t balance = c->balances[i] + c->charges[i];
        if (balance < c->weights[point->op]) {
            return fail_code(c, "an instruction runs before it is charged");
        }
        balance -= c->weights[point->op];
        for (uint32_t k = point->edge; k < flow->points[i + 1].edge; k++) {
            uint64_t *there = &c->balances[flow->edges[k]];
            if (*there != BALANCE_UNKNOWN && *there != balance) {
                return fail_code(c, "paths that join here on have paid different sums");
            }
            *there = balance;
        }
    }
    uint64_t rest = c->balances[flow->point_count];
    return rest == 0 || rest == BALANCE_UNKNOWN
               ? SMELT_STATUS_OK
               : fail_code(c, "more was charged at the exit than was executed");
}

static enum smelt_status check_body(struct checker *c)
{
    const struct sm_wasm_func *made = &c->made.funcs[shifted(c, c->func_index)];
    enum smelt_status status;
    c->offset = c->original->funcs[c->func_index].body_offset;
    c->cursor = sm_wasm_cursor_of(&c->made, shifted(c, c->func_index));
    SMELT_TRY(check_locals(c, made));
    SMELT_TRY(sm_flow_read(&c->flow, c->original, c->func_index, c->weights, c->err));
    SMELT_TRY(check_sequence(c));
    SMELT_TRY(check_paths(c));
cleanup:
    return status;
}

/* ---- the whole module ------------------------------------------------------------------------ */

static enum smelt_status read_made(struct checker *c)
{
    struct smelt_error problem = {0};
    enum smelt_status status =
        sm_wasm_decode(c->input->instrumented, &c->arena, &c->made, &problem);
    if (status == SMELT_STATUS_OK) {
        status = sm_wasm_validate(&c->made, &c->arena, &problem);
    }
    return status == SMELT_STATUS_OK ? status : fail_reading(c, status, &problem);
}

static enum smelt_status check_module(struct checker *c)
{
    static enum smelt_status (*const rules[])(const struct checker *) = {
        check_sections, check_types,   check_imports, check_functions, check_table,
        check_memory,   check_globals, check_exports, check_segments,
    };
    enum smelt_status status = SMELT_STATUS_OK;
    for (size_t i = 0; status == SMELT_STATUS_OK && i < sizeof(rules) / sizeof(rules[0]); i++) {
        status = rules[i](c);
    }
    return status;
}

static enum smelt_status allocate(struct checker *c)
{
    size_t bytes = 1;
    for (uint32_t i = c->original->imported_func_count; i < c->original->func_count; i++) {
        size_t size = c->original->funcs[i].code.size;
        bytes = size > bytes ? size : bytes;
    }
    c->charges = (uint64_t *)sm_arena_calloc(&c->arena, bytes, sizeof(*c->charges));
    c->balances = (uint64_t *)sm_arena_calloc(&c->arena, bytes + 1, sizeof(*c->balances));
    if (c->charges == NULL || c->balances == NULL) {
        return sm_error_no_memory(c->err, WHERE);
    }
    return sm_flow_init(&c->flow, c->original, &c->arena, c->err);
}

enum smelt_status sm_check(const struct sm_check_input *input, struct smelt_error *err)
{
    size_t weight_count;
    struct checker c = {.input = input,
                        .original = input->module,
                        .weights = sm_schedule_weights(input->schedule, &weight_count),
                        .dynamic = sm_schedule_dynamic(input->schedule),
                        .err = err};
    enum smelt_status status;
    SMELT_TRY(read_made(&c));
    SMELT_TRY(check_module(&c));
    SMELT_TRY(sm_reserve_compute(c.original, &c.arena, &c.stack, err));
    SMELT_TRY(allocate(&c));
    for (uint32_t i = c.original->imported_func_count; i < c.original->func_count; i++) {
        c.func_index = i;
        SMELT_TRY(check_body(&c));
    }
cleanup:
    sm_arena_deinit(&c.arena);
    return status;
}
