/* Sections (core 2.0, section 5.5) into struct sm_wasm_module. One function per section, in a table
 * by section id; each reads from a cursor that ends where its section ends, and must arrive there.
 *
 * Nothing is allocated for a count before the bytes that remain could hold that many entries. Index
 * spaces are checked by validate.c; what is looked up here before that (names, C.refs, the type of
 * a constant `global.get`) tests its index. */
#include "base/bytes.h"
#include "base/status.h"
#include "compiler/wasm/read.h"

#include <stdlib.h>
#include <string.h>

#define SECTION_CUSTOM 0
#define SECTION_TAG    13

#define NAME_SUBSECTION_FUNCTIONS 1

#define LIMITS_HAS_MAX   0x01
#define LIMITS_SHARED    0x02
#define LIMITS_64        0x04
#define LIMITS_PAGE_SIZE 0x08

struct decoder {
    struct sm_wasm_module *module;
    struct sm_arena *arena;
    struct smelt_error *err;
    struct sm_wasm_cursor cursor; /* ends with the section being read */
    uint32_t body_count;          /* defined functions that have their body */
    uint32_t item_count;          /* of the element segments so far */
    uint32_t declared_data_count; /* by the data count section */
    struct smelt_slice names;     /* content of the first name section */
};

static uint32_t offset_of(const struct decoder *decoder, const uint8_t *at)
{
    return (uint32_t)(at - decoder->module->bytes.data);
}

static enum smelt_status malformed(struct decoder *decoder, const uint8_t *at, const char *message)
{
    return sm_wasm_fail(&decoder->cursor, at, SMELT_STATUS_MODULE_MALFORMED, decoder->err, "%s",
                        message);
}

/* Zeroed; NULL with the error set when memory is short. */
static void *allocate(struct decoder *decoder, size_t count, size_t size)
{
    void *block = sm_arena_calloc(decoder->arena, count, size);
    if (block == NULL) {
        (void)sm_error_no_memory(decoder->err, decoder->cursor.section);
    }
    return block;
}

/* ---- types ------------------------------------------------------------------------------- */

static enum smelt_status read_type_vector(struct decoder *decoder, const char *what,
                                          uint32_t *count, const uint8_t **types)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    enum smelt_valtype type;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(cursor, 1, SM_WASM_PARAMS_MAX, what, count, decoder->err));
    *types = cursor->at;
    for (uint32_t i = 0; i < *count; i++) {
        SMELT_TRY(sm_wasm_read_valtype(cursor, &type, decoder->err));
        decoder->module->uses_floats |= sm_wasm_is_float((uint8_t)type);
    }
cleanup:
    return status;
}

static enum smelt_status check_type_form(struct decoder *decoder, const uint8_t *at)
{
    switch (*at) {
    case 0x60:
        return SMELT_STATUS_OK;
    case 0x4e: /* rec */
    case 0x4f: /* sub final */
    case 0x50: /* sub */
    case 0x5e: /* array */
    case 0x5f: /* struct */
        return sm_wasm_fail_feature(&decoder->cursor, at, decoder->err, "GC", "composite type");
    case 0x5d: /* cont */
        return sm_wasm_fail_feature(&decoder->cursor, at, decoder->err, "stack switching",
                                    "continuation type");
    default:
        return malformed(decoder, at, "malformed type: 0x60 expected");
    }
}

static int compare_types(const void *left, const void *right)
{
    const struct sm_wasm_type *a = *(const struct sm_wasm_type *const *)left;
    const struct sm_wasm_type *b = *(const struct sm_wasm_type *const *)right;
    int order =
        sm_slice_compare(sm_slice(a->params, a->param_count), sm_slice(b->params, b->param_count));
    if (order == 0) {
        order = sm_slice_compare(sm_slice(a->results, a->result_count),
                                 sm_slice(b->results, b->result_count));
    }
    return order != 0 ? order : (a > b) - (a < b);
}

/* Sorting, unlike hashing, cannot be slowed down by chosen types. */
static enum smelt_status number_signatures(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_type **sorted =
        (struct sm_wasm_type **)allocate(decoder, module->type_count, sizeof(*sorted));
    if (sorted == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < module->type_count; i++) {
        sorted[i] = &module->types[i];
    }
    qsort(sorted, module->type_count, sizeof(*sorted), compare_types);
    for (uint32_t i = 0; i < module->type_count; i++) {
        struct sm_wasm_type *type = sorted[i];
        const struct sm_wasm_type *before = i != 0 ? sorted[i - 1] : NULL;
        bool is_same = before != NULL &&
                       sm_slice_equal(sm_slice(before->params, before->param_count),
                                      sm_slice(type->params, type->param_count)) &&
                       sm_slice_equal(sm_slice(before->results, before->result_count),
                                      sm_slice(type->results, type->result_count));
        type->canonical = is_same ? before->canonical : (uint32_t)(type - module->types);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status read_types(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    uint32_t count;
    uint8_t form;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(cursor, 1, SM_WASM_TYPES_MAX, "types", &count, decoder->err));
    module->types = (struct sm_wasm_type *)allocate(decoder, count, sizeof(*module->types));
    if (module->types == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct sm_wasm_type *type = &module->types[i];
        SMELT_TRY(sm_wasm_read_byte(cursor, "type form", &form, decoder->err));
        SMELT_TRY(check_type_form(decoder, cursor->at - 1));
        SMELT_TRY(read_type_vector(decoder, "parameters", &type->param_count, &type->params));
        SMELT_TRY(read_type_vector(decoder, "results", &type->result_count, &type->results));
    }
    module->type_count = count;
    status = number_signatures(decoder);
cleanup:
    return status;
}

/* ---- tables, memories, globals ----------------------------------------------------------- */

static enum smelt_status check_limits_flags(struct decoder *decoder, const uint8_t *at,
                                            bool is_memory)
{
    uint8_t flags = *at;
    const char *what = is_memory ? "memory limits" : "table limits";
    if (flags > (LIMITS_HAS_MAX | LIMITS_SHARED | LIMITS_64 | LIMITS_PAGE_SIZE)) {
        return malformed(decoder, at, "malformed limits flags");
    }
    if ((flags & LIMITS_PAGE_SIZE) != 0) {
        return is_memory ? sm_wasm_fail_feature(&decoder->cursor, at, decoder->err,
                                                "custom page sizes", what)
                         : malformed(decoder, at, "malformed limits flags");
    }
    if ((flags & LIMITS_SHARED) != 0) {
        return sm_wasm_fail_feature(&decoder->cursor, at, decoder->err, "threads", what);
    }
    if ((flags & LIMITS_64) != 0) {
        return sm_wasm_fail_feature(&decoder->cursor, at, decoder->err, "memory64", what);
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status read_limits(struct decoder *decoder, bool is_memory,
                                     struct sm_wasm_limits *out)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    uint8_t flags;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_byte(cursor, "limits flags", &flags, decoder->err));
    SMELT_TRY(check_limits_flags(decoder, cursor->at - 1, is_memory));
    SMELT_TRY(sm_wasm_read_u32(cursor, "minimum", &out->min, decoder->err));
    out->has_max = (flags & LIMITS_HAS_MAX) != 0;
    if (out->has_max) {
        SMELT_TRY(sm_wasm_read_u32(cursor, "maximum", &out->max, decoder->err));
    }
cleanup:
    return status;
}

/* The entry of a table or memory, imported or defined, that starts at `entry`. */
static enum smelt_status read_table(struct decoder *decoder, const uint8_t *entry)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    struct sm_wasm_limits limits = {.offset = offset_of(decoder, entry)};
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_funcref(cursor, decoder->err));
    SMELT_TRY(read_limits(decoder, false, &limits));
    if (module->has_table) {
        return sm_wasm_fail_feature(cursor, entry, decoder->err, "reference types",
                                    "a second table");
    }
    module->has_table = true;
    module->table = limits;
cleanup:
    return status;
}

static enum smelt_status read_memory(struct decoder *decoder, const uint8_t *entry)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_limits limits = {.offset = offset_of(decoder, entry)};
    enum smelt_status status;
    SMELT_TRY(read_limits(decoder, true, &limits));
    if (module->has_memory) {
        return sm_wasm_fail_feature(&decoder->cursor, entry, decoder->err, "multi-memory",
                                    "a second memory");
    }
    module->has_memory = true;
    module->memory = limits;
cleanup:
    return status;
}

static enum smelt_status read_global_type(struct decoder *decoder, struct sm_wasm_global *out)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    uint8_t mutability;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_valtype(cursor, &out->type, decoder->err));
    SMELT_TRY(sm_wasm_read_byte(cursor, "mutability", &mutability, decoder->err));
    if (mutability > 1) {
        return malformed(decoder, cursor->at - 1, "malformed mutability");
    }
    out->is_mutable = mutability == 1;
    decoder->module->uses_floats |= sm_wasm_is_float((uint8_t)out->type);
cleanup:
    return status;
}

/* ---- constant expressions ---------------------------------------------------------------- */

static bool is_extended_const(enum sm_wasm_op op)
{
    return (op >= SM_OP_I32_ADD && op <= SM_OP_I32_MUL) ||
           (op >= SM_OP_I64_ADD && op <= SM_OP_I64_MUL);
}

static enum smelt_status read_heap_type(struct decoder *decoder)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    if (cursor->at < cursor->end && (*cursor->at & 0xc0) == 0x40) {
        return sm_wasm_read_funcref(cursor, decoder->err); /* one byte, negative */
    }
    const uint8_t *at = cursor->at;
    int64_t index;
    enum smelt_status status = sm_wasm_read_signed(cursor, 33, "heap type", &index, decoder->err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (index < 0) {
        return malformed(decoder, at, "malformed heap type");
    }
    return sm_wasm_fail_feature(cursor, at, decoder->err, "typed function references",
                                "typed null reference");
}

/* One instruction of a constant expression into `out`. `*count` follows the height of the stack. */
static enum smelt_status read_const_instr(struct decoder *decoder, struct sm_wasm_const *out,
                                          uint32_t *count, bool *is_extended, bool *is_end)
{
    const struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    const uint8_t *at = cursor->at;
    struct sm_wasm_instr instr;
    enum smelt_status status = SMELT_STATUS_OK;
    uint8_t opcode = at < cursor->end ? *at : 0;
    if (opcode == 0xd0) {
        cursor->at++;
        *out = (struct sm_wasm_const){.kind = SM_WASM_CONST_REF_NULL, .offset = out->offset};
        (*count)++;
        return read_heap_type(decoder);
    }
    if (opcode == 0xd2) {
        cursor->at++;
        *out = (struct sm_wasm_const){.kind = SM_WASM_CONST_REF_FUNC, .offset = out->offset};
        (*count)++;
        return sm_wasm_read_u32(cursor, "function index", &out->index, decoder->err);
    }
    SMELT_TRY(sm_wasm_read_instr(cursor, &instr, decoder->err));
    if (instr.op == SM_OP_END) {
        *is_end = true;
    } else if (instr.op >= SM_OP_I32_CONST && instr.op <= SM_OP_F64_CONST) {
        static const enum smelt_valtype types[] = {SMELT_VALTYPE_I32, SMELT_VALTYPE_I64,
                                                   SMELT_VALTYPE_F32, SMELT_VALTYPE_F64};
        *out = (struct sm_wasm_const){.kind = SM_WASM_CONST_VALUE,
                                      .type = types[instr.op - SM_OP_I32_CONST],
                                      .bits = instr.bits,
                                      .offset = out->offset};
        (*count)++;
    } else if (instr.op == SM_OP_GLOBAL_GET) {
        *out = (struct sm_wasm_const){.kind = SM_WASM_CONST_GLOBAL,
                                      .type = instr.index < module->global_count
                                                  ? module->globals[instr.index].type
                                                  : SMELT_VALTYPE_NONE,
                                      .index = instr.index,
                                      .offset = out->offset};
        (*count)++;
    } else if (is_extended_const(instr.op) && *count >= 2) {
        *is_extended = true;
        (*count)--;
    } else {
        return sm_wasm_fail(cursor, at, SMELT_STATUS_MODULE_INVALID, decoder->err,
                            "constant expression required: %s is not constant here",
                            sm_wasm_ops[instr.op].text);
    }
cleanup:
    return status;
}

static enum smelt_status read_const(struct decoder *decoder, struct sm_wasm_const *out)
{
    const uint8_t *at = decoder->cursor.at;
    bool is_end = false;
    bool is_extended = false;
    uint32_t count = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    *out = (struct sm_wasm_const){.offset = offset_of(decoder, at)};
    while (!is_end) {
        SMELT_TRY(read_const_instr(decoder, out, &count, &is_extended, &is_end));
    }
    if (count != 1) {
        return sm_wasm_fail(&decoder->cursor, at, SMELT_STATUS_MODULE_INVALID, decoder->err,
                            "type mismatch: a constant expression leaves one value, this one %u",
                            count);
    }
    if (is_extended) {
        return sm_wasm_fail_feature(&decoder->cursor, at, decoder->err,
                                    "extended constant expressions", "arithmetic in a constant");
    }
cleanup:
    return status;
}

/* ---- imports, functions, globals, exports, start ----------------------------------------- */

static enum smelt_status read_import(struct decoder *decoder, struct sm_wasm_import *import)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    const uint8_t *entry = cursor->at;
    const uint8_t *at;
    struct sm_wasm_func *func;
    struct sm_wasm_global *global;
    uint8_t kind;
    enum smelt_status status;
    import->offset = offset_of(decoder, entry);
    SMELT_TRY(sm_wasm_read_name(cursor, "import module name", &import->module, decoder->err));
    SMELT_TRY(sm_wasm_read_name(cursor, "import name", &import->name, decoder->err));
    at = cursor->at;
    SMELT_TRY(sm_wasm_read_byte(cursor, "import kind", &kind, decoder->err));
    import->kind = (enum sm_wasm_external)kind;
    switch (kind) {
    case SM_WASM_EXTERNAL_FUNC:
        import->index = module->func_count;
        func = &module->funcs[module->func_count++];
        func->is_imported = true;
        func->offset = import->offset;
        SMELT_TRY(sm_wasm_read_u32(cursor, "type index", &func->type_index, decoder->err));
        break;
    case SM_WASM_EXTERNAL_TABLE:
        SMELT_TRY(read_table(decoder, entry));
        module->is_table_imported = true;
        break;
    case SM_WASM_EXTERNAL_MEMORY:
        SMELT_TRY(read_memory(decoder, entry));
        module->is_memory_imported = true;
        break;
    case SM_WASM_EXTERNAL_GLOBAL:
        import->index = module->global_count;
        global = &module->globals[module->global_count++];
        global->is_imported = true;
        SMELT_TRY(read_global_type(decoder, global));
        break;
    case 4:
        status =
            sm_wasm_fail_feature(cursor, at, decoder->err, "exception handling", "an imported tag");
        break;
    case 0x7e:
    case 0x7f:
        if (import->name.size == 0) { /* one module name for several imports */
            return sm_wasm_fail_feature(cursor, at, decoder->err, "compact import section",
                                        "a group of imports");
        }
        status = malformed(decoder, at, "malformed import kind");
        break;
    default:
        status = malformed(decoder, at, "malformed import kind");
        break;
    }
cleanup:
    return status;
}

static enum smelt_status read_imports(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    uint32_t count;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(&decoder->cursor, 4, SM_WASM_IMPORTS_MAX, "imports", &count,
                                 decoder->err));
    module->imports = (struct sm_wasm_import *)allocate(decoder, count, sizeof(*module->imports));
    if (module->imports == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    module->funcs = (struct sm_wasm_func *)allocate(decoder, count, sizeof(*module->funcs));
    if (module->funcs == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    module->globals = (struct sm_wasm_global *)allocate(decoder, count, sizeof(*module->globals));
    if (module->globals == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        SMELT_TRY(read_import(decoder, &module->imports[i]));
    }
    module->import_count = count;
    module->imported_func_count = module->func_count;
    module->imported_global_count = module->global_count;
cleanup:
    return status;
}

static enum smelt_status read_functions(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    struct sm_wasm_func *funcs;
    uint32_t count;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(cursor, 1, SM_WASM_FUNCS_MAX, "functions", &count, decoder->err));
    funcs = (struct sm_wasm_func *)sm_arena_grow(decoder->arena, module->funcs, module->func_count,
                                                 module->func_count + count, sizeof(*funcs));
    if (funcs == NULL) {
        return sm_error_no_memory(decoder->err, cursor->section);
    }
    module->funcs = funcs;
    for (uint32_t i = 0; i < count; i++) {
        struct sm_wasm_func *func = &funcs[module->func_count++];
        func->offset = offset_of(decoder, cursor->at);
        SMELT_TRY(sm_wasm_read_u32(cursor, "type index", &func->type_index, decoder->err));
    }
cleanup:
    return status;
}

static enum smelt_status read_tables(struct decoder *decoder)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    uint32_t count;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(cursor, 3, UINT32_MAX, "tables", &count, decoder->err));
    for (uint32_t i = 0; i < count; i++) {
        if (cursor->at < cursor->end && *cursor->at == 0x40) {
            return sm_wasm_fail_feature(cursor, cursor->at, decoder->err,
                                        "typed function references", "a table's initial value");
        }
        SMELT_TRY(read_table(decoder, cursor->at));
    }
cleanup:
    return status;
}

static enum smelt_status read_memories(struct decoder *decoder)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    uint32_t count;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(cursor, 2, UINT32_MAX, "memories", &count, decoder->err));
    for (uint32_t i = 0; i < count; i++) {
        SMELT_TRY(read_memory(decoder, cursor->at));
    }
cleanup:
    return status;
}

static enum smelt_status read_globals(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    struct sm_wasm_global *globals;
    uint32_t count;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(cursor, 3, SM_WASM_GLOBALS_MAX, "globals", &count, decoder->err));
    globals = (struct sm_wasm_global *)sm_arena_grow(
        decoder->arena, module->globals, module->global_count, module->global_count + count,
        sizeof(*globals));
    if (globals == NULL) {
        return sm_error_no_memory(decoder->err, cursor->section);
    }
    module->globals = globals;
    for (uint32_t i = 0; i < count; i++) {
        struct sm_wasm_global *global = &globals[module->global_count];
        SMELT_TRY(read_global_type(decoder, global));
        SMELT_TRY(read_const(decoder, &global->init));
        module->global_count++; /* only now: a global is not in scope of its own initial value */
    }
cleanup:
    return status;
}

static enum smelt_status read_export(struct decoder *decoder, struct sm_wasm_export *export)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    const uint8_t *at;
    uint8_t kind;
    enum smelt_status status;
    export->offset = offset_of(decoder, cursor->at);
    SMELT_TRY(sm_wasm_read_name(cursor, "export name", &export->name, decoder->err));
    at = cursor->at;
    SMELT_TRY(sm_wasm_read_byte(cursor, "export kind", &kind, decoder->err));
    if (kind == 4) {
        return sm_wasm_fail_feature(cursor, at, decoder->err, "exception handling",
                                    "an exported tag");
    }
    if (kind > SM_WASM_EXTERNAL_GLOBAL) {
        return malformed(decoder, at, "malformed export kind");
    }
    export->kind = (enum sm_wasm_external)kind;
    SMELT_TRY(sm_wasm_read_u32(cursor, "export index", &export->index, decoder->err));
    if (export->kind == SM_WASM_EXTERNAL_FUNC && export->index < module->func_count) {
        struct sm_wasm_func *func = &module->funcs[export->index];
        func->is_referenced = true;
        if (func->name.size == 0) {
            func->name = export->name;
        }
    }
cleanup:
    return status;
}

static enum smelt_status read_exports(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    uint32_t count;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(&decoder->cursor, 3, SM_WASM_EXPORTS_MAX, "exports", &count,
                                 decoder->err));
    module->exports = (struct sm_wasm_export *)allocate(decoder, count, sizeof(*module->exports));
    if (module->exports == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        SMELT_TRY(read_export(decoder, &module->exports[i]));
    }
    module->export_count = count;
cleanup:
    return status;
}

static enum smelt_status read_start(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    module->has_start = true;
    module->start_offset = offset_of(decoder, decoder->cursor.at);
    return sm_wasm_read_u32(&decoder->cursor, "function index", &module->start_func, decoder->err);
}

/* ---- segments ---------------------------------------------------------------------------- */

/* The subset has table 0 and memory 0 at most, so there is no field for another index. */
static enum smelt_status read_zero_index(struct decoder *decoder, const char *what)
{
    const uint8_t *at = decoder->cursor.at;
    uint32_t index;
    enum smelt_status status = sm_wasm_read_u32(&decoder->cursor, what, &index, decoder->err);
    if (status == SMELT_STATUS_OK && index != 0) {
        status = sm_wasm_fail(&decoder->cursor, at, SMELT_STATUS_MODULE_INVALID, decoder->err,
                              "unknown %s %u", what, index);
    }
    return status;
}

static enum smelt_status read_items(struct decoder *decoder, bool has_expressions,
                                    struct sm_wasm_elem *elem)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(cursor, 1, SM_WASM_ITEMS_MAX - decoder->item_count, "elements",
                                 &elem->item_count, decoder->err));
    decoder->item_count += elem->item_count;
    elem->items = (struct sm_wasm_const *)allocate(decoder, elem->item_count, sizeof(*elem->items));
    if (elem->items == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < elem->item_count; i++) {
        struct sm_wasm_const *item = &elem->items[i];
        if (has_expressions) {
            SMELT_TRY(read_const(decoder, item));
        } else {
            item->kind = SM_WASM_CONST_REF_FUNC;
            item->offset = offset_of(decoder, cursor->at);
            SMELT_TRY(sm_wasm_read_u32(cursor, "function index", &item->index, decoder->err));
        }
        if (item->kind == SM_WASM_CONST_REF_FUNC && item->index < module->func_count) {
            module->funcs[item->index].is_referenced = true;
        }
    }
cleanup:
    return status;
}

/* The eight forms of section 5.5.12, from the three bits of the first number. */
static enum smelt_status read_elem(struct decoder *decoder, struct sm_wasm_elem *elem)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    const uint8_t *at = cursor->at;
    uint32_t form;
    bool is_active;
    bool has_index_or_declares;
    bool has_expressions;
    uint8_t kind;
    enum smelt_status status;
    elem->offset = offset_of(decoder, at);
    SMELT_TRY(sm_wasm_read_u32(cursor, "element segment form", &form, decoder->err));
    if (form > 7) {
        return malformed(decoder, at, "malformed element segment form");
    }
    is_active = (form & 1) == 0;
    has_index_or_declares = (form & 2) != 0;
    has_expressions = (form & 4) != 0;
    if (is_active) {
        elem->mode = SM_WASM_SEGMENT_ACTIVE;
        if (has_index_or_declares) {
            SMELT_TRY(read_zero_index(decoder, "table"));
        }
        SMELT_TRY(read_const(decoder, &elem->start));
    } else {
        elem->mode = has_index_or_declares ? SM_WASM_SEGMENT_DECLARED : SM_WASM_SEGMENT_PASSIVE;
    }
    if (form != 0 && form != 4) { /* those two imply functions */
        if (has_expressions) {
            SMELT_TRY(sm_wasm_read_funcref(cursor, decoder->err));
        } else {
            SMELT_TRY(sm_wasm_read_byte(cursor, "element kind", &kind, decoder->err));
            if (kind != 0) {
                return malformed(decoder, cursor->at - 1, "malformed element kind");
            }
        }
    }
    status = read_items(decoder, has_expressions, elem);
cleanup:
    return status;
}

static enum smelt_status read_elems(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    uint32_t count;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(&decoder->cursor, 3, SM_WASM_SEGMENTS_MAX, "element segments",
                                 &count, decoder->err));
    module->elems = (struct sm_wasm_elem *)allocate(decoder, count, sizeof(*module->elems));
    if (module->elems == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        SMELT_TRY(read_elem(decoder, &module->elems[i]));
    }
    module->elem_count = count;
cleanup:
    return status;
}

static enum smelt_status read_data_count(struct decoder *decoder)
{
    decoder->module->has_data_count = true;
    return sm_wasm_read_u32(&decoder->cursor, "data count", &decoder->declared_data_count,
                            decoder->err);
}

static enum smelt_status read_data(struct decoder *decoder, struct sm_wasm_data *data)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    const uint8_t *at = cursor->at;
    uint32_t form;
    uint32_t size;
    enum smelt_status status;
    data->offset = offset_of(decoder, at);
    SMELT_TRY(sm_wasm_read_u32(cursor, "data segment form", &form, decoder->err));
    if (form > 2) {
        return malformed(decoder, at, "malformed data segment form");
    }
    data->mode = form == 1 ? SM_WASM_SEGMENT_PASSIVE : SM_WASM_SEGMENT_ACTIVE;
    if (form == 2) {
        SMELT_TRY(read_zero_index(decoder, "memory"));
    }
    if (form != 1) {
        SMELT_TRY(read_const(decoder, &data->start));
    }
    SMELT_TRY(sm_wasm_read_u32(cursor, "data size", &size, decoder->err));
    status = sm_wasm_read_bytes(cursor, size, "data segment", &data->bytes, decoder->err);
cleanup:
    return status;
}

static enum smelt_status read_datas(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    const uint8_t *at = decoder->cursor.at;
    uint32_t count;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_count(&decoder->cursor, 2, SM_WASM_SEGMENTS_MAX, "data segments", &count,
                                 decoder->err));
    if (module->has_data_count && decoder->declared_data_count != count) {
        return malformed(decoder, at, "data count and data section have inconsistent lengths");
    }
    module->datas = (struct sm_wasm_data *)allocate(decoder, count, sizeof(*module->datas));
    if (module->datas == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) {
        SMELT_TRY(read_data(decoder, &module->datas[i]));
    }
    module->data_count = count;
cleanup:
    return status;
}

/* ---- code -------------------------------------------------------------------------------- */

/* Locals, then the range of the instructions; the cursor ends with the body. */
static enum smelt_status read_body(struct decoder *decoder, struct sm_wasm_func *func)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    struct sm_wasm_local_run *runs;
    uint64_t total = 0;
    uint32_t run_count;
    enum smelt_status status;
    func->body_offset = offset_of(decoder, cursor->at);
    SMELT_TRY(
        sm_wasm_read_count(cursor, 2, UINT32_MAX, "groups of locals", &run_count, decoder->err));
    runs = (struct sm_wasm_local_run *)allocate(decoder, run_count, sizeof(*runs));
    if (runs == NULL) {
        return SMELT_STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < run_count; i++) {
        const uint8_t *at = cursor->at;
        SMELT_TRY(sm_wasm_read_u32(cursor, "number of locals", &runs[i].count, decoder->err));
        total += runs[i].count;
        if (total > UINT32_MAX) {
            return malformed(decoder, at, "too many locals");
        }
        SMELT_TRY(sm_wasm_read_valtype(cursor, &runs[i].type, decoder->err));
        func->uses_floats |= sm_wasm_is_float((uint8_t)runs[i].type);
    }
    if (total > SM_WASM_LOCALS_MAX) {
        return sm_wasm_fail(cursor, cursor->at, SMELT_STATUS_MODULE_LIMIT, decoder->err,
                            "%u locals exceed the limit of %u", (uint32_t)total,
                            SM_WASM_LOCALS_MAX);
    }
    func->local_runs = runs;
    func->local_run_count = run_count;
    func->local_count = (uint32_t)total;
    func->code_offset = offset_of(decoder, cursor->at);
    func->code = sm_slice(cursor->at, (size_t)(cursor->end - cursor->at));
    decoder->module->uses_floats |= func->uses_floats;
cleanup:
    return status;
}

static enum smelt_status read_code(struct decoder *decoder)
{
    struct sm_wasm_module *module = decoder->module;
    struct sm_wasm_cursor section = decoder->cursor;
    const uint8_t *at = section.at;
    struct smelt_slice body;
    uint32_t count;
    uint32_t size;
    enum smelt_status status;
    module->code_size = (uint32_t)(section.end - section.at);
    SMELT_TRY(sm_wasm_read_count(&section, 1, UINT32_MAX, "function bodies", &count, decoder->err));
    if (count != module->func_count - module->imported_func_count) {
        return malformed(decoder, at, "function and code section have inconsistent lengths");
    }
    for (uint32_t i = module->imported_func_count; i < module->func_count; i++) {
        section.func_index = i;
        SMELT_TRY(sm_wasm_read_u32(&section, "body size", &size, decoder->err));
        SMELT_TRY(sm_wasm_read_bytes(&section, size, "function body", &body, decoder->err));
        decoder->cursor = section;
        decoder->cursor.at = body.data;
        decoder->cursor.end = body.data + body.size;
        SMELT_TRY(read_body(decoder, &module->funcs[i]));
    }
    section.func_index = -1;
    decoder->cursor = section;
    decoder->body_count = count;
cleanup:
    return status;
}

/* ---- custom sections and names ----------------------------------------------------------- */

static enum smelt_status read_custom(struct decoder *decoder)
{
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    struct smelt_slice name;
    enum smelt_status status =
        sm_wasm_read_name(cursor, "custom section name", &name, decoder->err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    if (decoder->names.data == NULL && sm_slice_equal_text(name, "name")) {
        decoder->names = sm_slice(cursor->at, (size_t)(cursor->end - cursor->at));
    }
    cursor->at = cursor->end;
    return SMELT_STATUS_OK;
}

/* Names are only for people: the first ill-formed byte ends the reading, and is no error. */
static void take_function_names(struct sm_wasm_module *module, struct sm_wasm_cursor cursor)
{
    uint32_t count;
    if (sm_wasm_read_u32(&cursor, "", &count, NULL) != SMELT_STATUS_OK) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index;
        uint32_t size;
        struct smelt_slice name;
        if (sm_wasm_read_u32(&cursor, "", &index, NULL) != SMELT_STATUS_OK ||
            sm_wasm_read_u32(&cursor, "", &size, NULL) != SMELT_STATUS_OK ||
            sm_wasm_read_bytes(&cursor, size, "", &name, NULL) != SMELT_STATUS_OK) {
            return;
        }
        if (index < module->func_count && module->funcs[index].name.size == 0 &&
            size <= SM_WASM_NAME_SIZE_MAX && sm_slice_is_utf8(name)) {
            module->funcs[index].name = name;
        }
    }
}

static void take_names(struct decoder *decoder)
{
    struct sm_wasm_cursor cursor = decoder->cursor;
    cursor.at = decoder->names.data;
    cursor.end = decoder->names.data + decoder->names.size;
    while (cursor.at < cursor.end) {
        uint8_t id;
        uint32_t size;
        struct smelt_slice content;
        if (sm_wasm_read_byte(&cursor, "", &id, NULL) != SMELT_STATUS_OK ||
            sm_wasm_read_u32(&cursor, "", &size, NULL) != SMELT_STATUS_OK ||
            sm_wasm_read_bytes(&cursor, size, "", &content, NULL) != SMELT_STATUS_OK) {
            return;
        }
        if (id == NAME_SUBSECTION_FUNCTIONS) {
            struct sm_wasm_cursor names = cursor;
            names.at = content.data;
            names.end = content.data + content.size;
            take_function_names(decoder->module, names);
            return;
        }
    }
}

/* ---- the module -------------------------------------------------------------------------- */

struct section {
    const char *name;
    uint8_t rank; /* sections come in rising rank, each once; ids are not in that order */
    enum smelt_status (*read)(struct decoder *decoder);
};

static const struct section sections[] = {
    {"custom", 0, read_custom},          {"type", 1, read_types},     {"import", 2, read_imports},
    {"function", 3, read_functions},     {"table", 4, read_tables},   {"memory", 5, read_memories},
    {"global", 6, read_globals},         {"export", 7, read_exports}, {"start", 8, read_start},
    {"element", 9, read_elems},          {"code", 11, read_code},     {"data", 12, read_datas},
    {"data count", 10, read_data_count},
};

static enum smelt_status check_header(struct decoder *decoder)
{
    static const uint8_t magic[4] = {0x00, 'a', 's', 'm'};
    static const uint8_t version[4] = {1, 0, 0, 0};
    static const uint8_t component[4] = {0x0d, 0, 1, 0};
    struct sm_wasm_cursor *cursor = &decoder->cursor;
    struct smelt_slice module = decoder->module->bytes;
    if (module.size < 4 || memcmp(module.data, magic, 4) != 0) {
        return malformed(decoder, cursor->at,
                         module.size < 4 ? "unexpected end: magic header not detected"
                                         : "magic header not detected: this is not a WebAssembly "
                                           "binary");
    }
    cursor->at += 4;
    if (module.size >= 8 && memcmp(cursor->at, component, 4) == 0) {
        return sm_wasm_fail_feature(cursor, cursor->at, decoder->err, "component model",
                                    "a component");
    }
    if (module.size < 8 || memcmp(cursor->at, version, 4) != 0) {
        return malformed(decoder, cursor->at,
                         module.size < 8 ? "unexpected end: unknown binary version"
                                         : "unknown binary version: 1 expected");
    }
    cursor->at += 4;
    return SMELT_STATUS_OK;
}

/* The section at decoder->cursor, which ends with the module before and after. */
static enum smelt_status read_section(struct decoder *decoder, uint8_t *last_rank)
{
    struct sm_wasm_cursor module = decoder->cursor;
    const uint8_t *start = module.at;
    const struct section *section;
    struct smelt_slice content;
    uint8_t id;
    uint32_t size;
    enum smelt_status status;
    SMELT_TRY(sm_wasm_read_byte(&module, "section id", &id, decoder->err));
    if (id == SECTION_TAG) {
        return sm_wasm_fail_feature(&module, start, decoder->err, "exception handling",
                                    "the tag section");
    }
    if (id >= sizeof(sections) / sizeof(*sections)) {
        return malformed(decoder, start, "malformed section id");
    }
    section = &sections[id];
    module.section = section->name;
    decoder->cursor.section = section->name;
    SMELT_TRY(sm_wasm_read_u32(&module, "section size", &size, decoder->err));
    SMELT_TRY(sm_wasm_read_bytes(&module, size, "section", &content, decoder->err));
    if (id != SECTION_CUSTOM) {
        if (section->rank <= *last_rank) {
            return sm_wasm_fail(&decoder->cursor, start, SMELT_STATUS_MODULE_MALFORMED,
                                decoder->err,
                                "unexpected content after last section: the %s section is out of "
                                "order or repeated",
                                section->name);
        }
        *last_rank = section->rank;
    }
    decoder->cursor.at = content.data;
    decoder->cursor.end = content.data + content.size;
    SMELT_TRY(section->read(decoder));
    if (decoder->cursor.at != decoder->cursor.end) {
        return malformed(decoder, decoder->cursor.at,
                         "section size mismatch: bytes remain after the last entry");
    }
    decoder->cursor = module;
cleanup:
    return status;
}

enum smelt_status sm_wasm_decode(struct smelt_slice bytes, struct sm_arena *arena,
                                 struct sm_wasm_module *module, struct smelt_error *err)
{
    static const uint8_t nothing[1];
    struct decoder decoder = {.module = module, .arena = arena, .err = err};
    uint8_t last_rank = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    memset(module, 0, sizeof(*module));
    if (bytes.size > INT32_MAX) { /* offsets have 32 bits */
        return sm_error_set(err, SMELT_STATUS_MODULE_LIMIT, "header",
                            "a module of %zu bytes is too large: 2 GiB at most", bytes.size);
    }
    if (bytes.size == 0) {
        bytes.data = nothing; /* no arithmetic on a null pointer */
    }
    module->bytes = bytes;
    decoder.cursor = (struct sm_wasm_cursor){.at = bytes.data,
                                             .end = bytes.data + bytes.size,
                                             .module_start = bytes.data,
                                             .section = "header",
                                             .func_index = -1};
    SMELT_TRY(check_header(&decoder));
    while (decoder.cursor.at < decoder.cursor.end) {
        SMELT_TRY(read_section(&decoder, &last_rank));
    }
    decoder.cursor.section = "code";
    if (decoder.body_count != module->func_count - module->imported_func_count) {
        status = malformed(&decoder, decoder.cursor.at,
                           "function and code section have inconsistent lengths");
        goto cleanup;
    }
    decoder.cursor.section = "data";
    if (decoder.declared_data_count != module->data_count && module->has_data_count) {
        status = malformed(&decoder, decoder.cursor.at,
                           "data count and data section have inconsistent lengths");
        goto cleanup;
    }
    if (decoder.names.data != NULL) {
        take_names(&decoder);
    }
cleanup:
    if (status != SMELT_STATUS_OK) {
        memset(module, 0, sizeof(*module));
    }
    return status;
}
