/* Where the sections and function bodies of a module lie, and nothing more: for tests that must not
 * take the word of the decoder they test, and for mutations that keep sizes right. */
#ifndef SM_TESTS_WASM_LAYOUT_H
#define SM_TESTS_WASM_LAYOUT_H

#include <smelt/bytes.h>

#define WASM_HEADER_BYTES   8u
#define WASM_SECTION_CUSTOM 0u
#define WASM_SECTION_IMPORT 2u
#define WASM_SECTION_CODE   10u
#define WASM_SECTION_ID_MAX 12u
#define WASM_SECTIONS_MAX   64u
#define WASM_U32_BYTES_MAX  5u

struct wasm_section {
    uint8_t id;
    struct smelt_slice whole; /* id and size included */
    struct smelt_slice content;
};

/* Takes a number off the start of `rest`. False, with `rest` unchanged, when there is none. */
bool wasm_take_u32(struct smelt_slice *rest, uint32_t *out);
/* Takes a size and that many bytes: a function body, a name. */
bool wasm_take_sized(struct smelt_slice *rest, struct smelt_slice *out);
/* Takes a section. */
bool wasm_take_section(struct smelt_slice *rest, struct wasm_section *out);
/* Takes the declarations of locals off the start of a body: what remains are its instructions. */
bool wasm_take_locals(struct smelt_slice *body);

/* What follows the header; empty when there is no room for one. */
struct smelt_slice wasm_sections_of(struct smelt_slice module);

/* The body of a defined function, from its locals to its end, as sizes and counts tell. False when
 * they do not get that far. */
bool wasm_find_body(struct smelt_slice module, uint32_t func_index, struct smelt_slice *out);
/* Whether the byte belongs to a body. */
bool wasm_has_body_at(struct smelt_slice module, size_t offset);

#endif
