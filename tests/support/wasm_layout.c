/* See wasm_layout.h. */
#include "tests/support/wasm_layout.h"

#include "base/bytes.h"

static struct smelt_slice behind(struct smelt_slice slice, size_t size)
{
    return sm_slice(size != 0 ? slice.data + size : slice.data, slice.size - size);
}

bool wasm_take_u32(struct smelt_slice *rest, uint32_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < WASM_U32_BYTES_MAX && i < rest->size; i++) {
        value |= (uint64_t)(rest->data[i] & 0x7f) << (7 * i);
        if ((rest->data[i] & 0x80) == 0) {
            *out = (uint32_t)value;
            *rest = behind(*rest, i + 1);
            return value <= UINT32_MAX;
        }
    }
    return false;
}

bool wasm_take_sized(struct smelt_slice *rest, struct smelt_slice *out)
{
    struct smelt_slice at = *rest;
    uint32_t size;
    if (!wasm_take_u32(&at, &size) || size > at.size) {
        return false;
    }
    *out = sm_slice(at.data, size);
    *rest = behind(at, size);
    return true;
}

bool wasm_take_section(struct smelt_slice *rest, struct wasm_section *out)
{
    struct smelt_slice start = *rest;
    if (start.size == 0) {
        return false;
    }
    struct smelt_slice at = behind(start, 1);
    if (!wasm_take_sized(&at, &out->content)) {
        return false;
    }
    out->id = start.data[0];
    out->whole = sm_slice(start.data, start.size - at.size);
    *rest = at;
    return true;
}

struct smelt_slice wasm_sections_of(struct smelt_slice module)
{
    return module.size < WASM_HEADER_BYTES ? sm_slice(NULL, 0) : behind(module, WASM_HEADER_BYTES);
}

static bool skip_bytes(struct smelt_slice *rest, size_t count)
{
    if (rest->size < count) {
        return false;
    }
    *rest = behind(*rest, count);
    return true;
}

static bool skip_limits(struct smelt_slice *rest)
{
    uint32_t ignored;
    bool has_max = rest->size != 0 && (rest->data[0] & 1) != 0;
    return skip_bytes(rest, 1) && wasm_take_u32(rest, &ignored) &&
           (!has_max || wasm_take_u32(rest, &ignored));
}

bool wasm_take_locals(struct smelt_slice *body)
{
    struct smelt_slice rest = *body;
    uint32_t runs;
    uint32_t count;
    if (!wasm_take_u32(&rest, &runs)) {
        return false;
    }
    for (uint32_t i = 0; i < runs; i++) {
        if (!wasm_take_u32(&rest, &count) || !skip_bytes(&rest, 1)) {
            return false;
        }
    }
    *body = rest;
    return true;
}

/* The external kinds of core 2.0, section 5.5.5. */
static bool skip_import(struct smelt_slice *rest, bool *is_function)
{
    struct smelt_slice name;
    uint32_t ignored;
    if (!wasm_take_sized(rest, &name) || !wasm_take_sized(rest, &name) || rest->size == 0) {
        return false;
    }
    uint8_t kind = rest->data[0];
    *rest = behind(*rest, 1);
    *is_function = kind == 0;
    switch (kind) {
    case 0:
        return wasm_take_u32(rest, &ignored);
    case 1:
        return skip_bytes(rest, 1) && skip_limits(rest);
    case 2:
        return skip_limits(rest);
    case 3:
        return skip_bytes(rest, 2);
    default:
        return false;
    }
}

static bool count_imported_functions(struct smelt_slice imports, uint32_t *out)
{
    uint32_t count;
    *out = 0;
    if (!wasm_take_u32(&imports, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool is_function;
        if (!skip_import(&imports, &is_function)) {
            return false;
        }
        *out += is_function;
    }
    return true;
}

/* The content of the code section behind its count. */
static bool find_code(struct smelt_slice module, uint32_t *imported, struct smelt_slice *bodies,
                      uint32_t *count)
{
    struct smelt_slice rest = wasm_sections_of(module);
    struct wasm_section section;
    *imported = 0;
    while (wasm_take_section(&rest, &section)) {
        if (section.id == WASM_SECTION_IMPORT &&
            !count_imported_functions(section.content, imported)) {
            return false;
        }
        if (section.id == WASM_SECTION_CODE) {
            *bodies = section.content;
            return wasm_take_u32(bodies, count);
        }
    }
    return false;
}

bool wasm_find_body(struct smelt_slice module, uint32_t func_index, struct smelt_slice *out)
{
    struct smelt_slice bodies;
    uint32_t imported;
    uint32_t count;
    if (!find_code(module, &imported, &bodies, &count) || func_index < imported ||
        func_index - imported >= count) {
        return false;
    }
    for (uint32_t i = imported; i <= func_index; i++) {
        if (!wasm_take_sized(&bodies, out)) {
            return false;
        }
    }
    return true;
}

bool wasm_has_body_at(struct smelt_slice module, size_t offset)
{
    struct smelt_slice bodies;
    struct smelt_slice body;
    uint32_t imported;
    uint32_t count;
    if (!find_code(module, &imported, &bodies, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count && wasm_take_sized(&bodies, &body); i++) {
        size_t start = (size_t)(body.data - module.data);
        if (offset >= start && offset - start < body.size) {
            return true;
        }
    }
    return false;
}
