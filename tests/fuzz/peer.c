/* What wabt may be shown: see peer.h. */
#include "tests/fuzz/peer.h"

#include "tests/fuzz/fuzz.h"
#include "tests/support/wasm_layout.h"

static bool has_whole_bodies(struct smelt_slice code)
{
    struct smelt_slice body;
    uint32_t count;
    if (!wasm_take_u32(&code, &count)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!wasm_take_sized(&code, &body)) {
            return false;
        }
    }
    return true;
}

/* The module without its custom sections; false when it is not laid out as it says. */
static bool strip(struct smelt_slice module, struct smelt_buf *out)
{
    struct smelt_slice rest = wasm_sections_of(module);
    struct wasm_section section;
    if (rest.data == NULL) {
        return false;
    }
    FUZZ_CHECK(sm_buf_append(out, module.data, WASM_HEADER_BYTES), "no memory");
    while (rest.size != 0) {
        if (!wasm_take_section(&rest, &section) ||
            (section.id == WASM_SECTION_CODE && !has_whole_bodies(section.content))) {
            return false;
        }
        if (section.id != WASM_SECTION_CUSTOM) {
            FUZZ_CHECK(sm_buf_append(out, section.whole.data, section.whole.size), "no memory");
        }
    }
    return true;
}

enum fuzz_opinion fuzz_ask_wabt(struct smelt_slice module, char *why, size_t why_size)
{
    struct smelt_buf stripped = {0};
    enum fuzz_opinion opinion = FUZZ_NO_OPINION;
    if (strip(module, &stripped)) {
        opinion = fuzz_run_wabt(sm_buf_slice(&stripped), why, why_size);
    }
    smelt_buf_deinit(&stripped);
    return opinion;
}
