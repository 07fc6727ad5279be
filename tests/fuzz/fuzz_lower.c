/* The lowering pass against edits of what wasm2c wrote: it refuses, or its unit consists of known
 * words and has the effects of the untouched one. The first byte chooses the module, the rest are
 * edits (fuzz.h). */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/compiler/lowered.h"

static const char *const modules[] = {"everything.wat", "multivalue.wat", "dynamic.wat",
                                      "floats.wat"};
#define MODULE_COUNT (sizeof(modules) / sizeof(modules[0]))

/* Prepared once, and kept to the end. */
struct subject {
    struct lowered lowered;
    struct smelt_buf effects;
};

static const struct subject *subject_of(uint8_t number)
{
    static struct subject subjects[MODULE_COUNT];
    struct subject *subject = &subjects[number % MODULE_COUNT];
    if (subject->lowered.c.size == 0) {
        struct smelt_buf text = test_golden(modules[number % MODULE_COUNT]);
        lowered_prepare(&subject->lowered, (const char *)text.data);
        subject->effects = lowered_effects(&subject->lowered.c);
        smelt_buf_deinit(&text);
    }
    return subject;
}

static void check_unit(const struct subject *subject, const struct smelt_buf *unit)
{
    struct smelt_slice culprit = {0};
    if (sm_slice_equal(sm_buf_slice(unit), sm_buf_slice(&subject->lowered.c))) {
        return;
    }
    FUZZ_CHECK(lowered_has_only_known_words(unit, &culprit), "%.*s", (int)culprit.size,
               (const char *)culprit.data);
    struct smelt_buf effects = lowered_effects(unit);
    FUZZ_CHECK(sm_slice_equal(sm_buf_slice(&effects), sm_buf_slice(&subject->effects)),
               "the effects changed in\n%.*s", (int)unit->size, (const char *)unit->data);
    smelt_buf_deinit(&effects);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smelt_buf text = {0};
    struct smelt_buf unit = {0};
    struct smelt_error err = {0};
    if (size == 0) {
        return 0;
    }
    const struct subject *subject = subject_of(data[0]);
    fuzz_edit(sm_buf_slice(&subject->lowered.wasm2c), sm_slice(data + 1, size - 1), &text);
    enum smelt_status status = lowered_run(&subject->lowered, sm_buf_slice(&text), &unit, &err);
    FUZZ_CHECK(status == SMELT_STATUS_OK ||
                   (status == SMELT_STATUS_TOOL_OUTPUT && unit.data == NULL),
               "%s: %s", smelt_status_name(status), err.message);
    if (status == SMELT_STATUS_OK) {
        check_unit(subject, &unit);
    }
    smelt_buf_deinit(&unit);
    smelt_buf_deinit(&text);
    return 0;
}
