/* Receipts. A receipt and all it points to live in one arena, which lives in the receipt. */
#include "runtime/receipt.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "runtime/state/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WHERE "receipt"

struct owned_receipt {
    struct smelt_receipt receipt; /* first: the public pointer is this one */
    struct sm_arena arena;
};

const char *smelt_outcome_name(enum smelt_outcome_kind kind)
{
    switch (kind) {
    case SMELT_OUTCOME_RETURNED:
        return "returned";
    case SMELT_OUTCOME_REVERTED:
        return "reverted";
    case SMELT_OUTCOME_TRAPPED:
        return "trapped";
    case SMELT_OUTCOME_OUT_OF_FUEL:
        return "out_of_fuel";
    }
    return "unknown";
}

void smelt_receipt_destroy(struct smelt_receipt *receipt)
{
    if (receipt != NULL) {
        struct owned_receipt *owned = (struct owned_receipt *)(void *)receipt;
        sm_arena_deinit(&owned->arena);
        sm_free(owned);
    }
}

static struct smelt_outcome outcome_of(const struct smelt_frame *frame)
{
    struct smelt_outcome outcome = {.kind = SMELT_OUTCOME_RETURNED};
    switch (frame->end) {
    case SM_FRAME_RUNNING:
    case SM_FRAME_FAILED:
    case SM_FRAME_RETURNED:
        break;
    case SM_FRAME_REVERTED:
        outcome.kind = SMELT_OUTCOME_REVERTED;
        break;
    case SM_FRAME_TRAPPED:
        outcome.kind = SMELT_OUTCOME_TRAPPED;
        outcome.trap = frame->trap;
        outcome.host_error = frame->host_error;
        break;
    case SM_FRAME_OUT_OF_FUEL:
        outcome.kind = SMELT_OUTCOME_OUT_OF_FUEL;
        break;
    }
    return outcome;
}

/* False when memory is short. */
static bool copy_slice(struct sm_arena *arena, struct smelt_slice from, struct smelt_slice *to)
{
    *to = (struct smelt_slice){0};
    if (from.size == 0) {
        return true;
    }
    uint8_t *copy = (uint8_t *)sm_arena_calloc(arena, from.size, 1);
    if (copy != NULL) {
        memcpy(copy, from.data, from.size);
        *to = sm_slice(copy, from.size);
    }
    return copy != NULL;
}

static bool copy_results(struct owned_receipt *owned, const struct sm_export *export_,
                         const uint64_t *slots)
{
    if (export_ == NULL || export_->result_count == 0) {
        return true;
    }
    struct smelt_value *results = (struct smelt_value *)sm_arena_calloc(
        &owned->arena, export_->result_count, sizeof(*results));
    if (results == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < export_->result_count; i++) {
        enum smelt_valtype type = (enum smelt_valtype)export_->types[export_->param_count + i];
        bool is_narrow = type == SMELT_VALTYPE_I32 || type == SMELT_VALTYPE_F32;
        results[i] =
            (struct smelt_value){.type = type, .bits = is_narrow ? (uint32_t)slots[i] : slots[i]};
    }
    owned->receipt.results = results;
    owned->receipt.result_count = export_->result_count;
    return true;
}

static bool copy_effects(struct owned_receipt *owned, const struct sm_overlay_result *effects)
{
    for (size_t i = 0; i < effects->write_count; i++) {
        owned->receipt.write_count += sm_state_is_storage_key(effects->writes[i].key);
    }
    if (effects->event_count == 0) {
        return true;
    }
    struct smelt_event *events =
        (struct smelt_event *)sm_arena_calloc(&owned->arena, effects->event_count, sizeof(*events));
    if (events == NULL) {
        return false;
    }
    for (size_t i = 0; i < effects->event_count; i++) {
        events[i].address = effects->events[i].address;
        if (!copy_slice(&owned->arena, effects->events[i].topic, &events[i].topic) ||
            !copy_slice(&owned->arena, effects->events[i].data, &events[i].data)) {
            return false;
        }
    }
    owned->receipt.events = events;
    owned->receipt.event_count = effects->event_count;
    return true;
}

/* Function and instruction of a trap. A trap while segments are applied is in no function: its
 * place stays unknown. */
static bool locate(struct owned_receipt *owned, const struct smelt_frame *frame)
{
    struct smelt_location *location = &owned->receipt.location;
    if (frame->end != SM_FRAME_TRAPPED || !frame->has_offset) {
        return true;
    }
    const struct sm_function *function =
        sm_exec_find_function(frame->contract->module, frame->offset);
    if (function == NULL) {
        return true;
    }
    char numbered[24];
    struct smelt_slice name = sm_slice(function->name, function->name_size);
    if (name.size == 0 || !sm_slice_is_utf8(name)) {
        (void)snprintf(numbered, sizeof(numbered), "func[%" PRIu32 "]", function->index);
        name = smelt_slice_from_string(numbered);
    }
    location->is_known = true;
    location->func_index = function->index;
    location->offset = frame->offset;
    return copy_slice(&owned->arena, name, &location->function);
}

enum smelt_status sm_receipt_create(const struct smelt_frame *frame,
                                    const struct sm_export *export_, const uint64_t *slots,
                                    const struct sm_overlay_result *effects, uint64_t fuel_limit,
                                    struct smelt_receipt **out, struct smelt_error *err)
{
    *out = NULL;
    struct owned_receipt *owned = (struct owned_receipt *)sm_calloc(1, sizeof(*owned));
    if (owned == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    struct smelt_receipt *receipt = &owned->receipt;
    receipt->outcome = outcome_of(frame);
    receipt->fuel_used = frame->fuel_used;
    receipt->fuel_limit = fuel_limit;
    receipt->address = frame->context.address;
    receipt->module_hash = frame->contract->module_hash;
    receipt->artefact_key = frame->contract->artefact_key;
    bool is_returned = frame->end == SM_FRAME_RETURNED;
    if ((is_returned && !copy_results(owned, export_, slots)) ||
        (effects != NULL && !copy_effects(owned, effects)) || !locate(owned, frame) ||
        !copy_slice(&owned->arena, sm_buf_slice(&frame->return_data), &receipt->return_data)) {
        smelt_receipt_destroy(receipt);
        return sm_error_no_memory(err, WHERE);
    }
    *out = receipt;
    return SMELT_STATUS_OK;
}
