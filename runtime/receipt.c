/* Receipts. A receipt and all it points to live in one arena, which lives in the receipt. */
#include "runtime/receipt.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/bytes.h"
#include "base/status.h"
#include "runtime/wave/receipt_code.h"

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

struct smelt_outcome sm_receipt_outcome(const struct smelt_frame *frame)
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

struct smelt_value sm_receipt_result(const struct sm_export *export_, const uint64_t *slots,
                                     uint32_t index)
{
    enum smelt_valtype type = (enum smelt_valtype)export_->types[export_->param_count + index];
    bool is_narrow = type == SMELT_VALTYPE_I32 || type == SMELT_VALTYPE_F32;
    return (struct smelt_value){.type = type,
                                .bits = is_narrow ? (uint32_t)slots[index] : slots[index]};
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
        results[i] = sm_receipt_result(export_, slots, i);
    }
    owned->receipt.results = results;
    owned->receipt.result_count = export_->result_count;
    return true;
}

/* Events go into a list that grows in the arena. */
struct event_list {
    struct sm_arena *arena;
    struct smelt_event *events;
    size_t count;
    size_t capacity;
};

static bool copy_event(void *context, const struct smelt_event *event)
{
    struct event_list *list = (struct event_list *)context;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity != 0 ? 2 * list->capacity : 4;
        struct smelt_event *events = (struct smelt_event *)sm_arena_grow(
            list->arena, list->events, list->count, capacity, sizeof(*events));
        if (events == NULL) {
            return false;
        }
        list->events = events;
        list->capacity = capacity;
    }
    struct smelt_event *copy = &list->events[list->count];
    copy->address = event->address;
    list->count++;
    return copy_slice(list->arena, event->topic, &copy->topic) &&
           copy_slice(list->arena, event->data, &copy->data);
}

static bool copy_effects(struct owned_receipt *owned, struct sm_overlay *effects)
{
    struct event_list list = {.arena = &owned->arena};
    owned->receipt.write_count = sm_overlay_storage_writes(effects);
    bool is_done = sm_overlay_take_events(effects, copy_event, &list);
    owned->receipt.events = list.events;
    owned->receipt.event_count = list.count;
    return is_done;
}

void sm_receipt_locate(const struct smelt_frame *frame, struct smelt_location *location,
                       char name[SM_RECEIPT_NAME_BYTES])
{
    *location = (struct smelt_location){0};
    if (frame->end != SM_FRAME_TRAPPED || !frame->has_offset) {
        return;
    }
    const struct sm_function *function =
        sm_exec_find_function(frame->contract->module, frame->offset);
    if (function == NULL) {
        return;
    }
    location->function = sm_slice(function->name, function->name_size);
    if (function->name_size == 0 || function->name_size > SM_RECEIPT_FUNCTION_MAX ||
        !sm_slice_is_utf8(location->function)) {
        (void)snprintf(name, SM_RECEIPT_NAME_BYTES, "func[%" PRIu32 "]", function->index);
        location->function = smelt_slice_from_string(name);
    }
    location->is_known = true;
    location->func_index = function->index;
    location->offset = frame->offset;
}

static bool locate(struct owned_receipt *owned, const struct smelt_frame *frame)
{
    struct smelt_location *location = &owned->receipt.location;
    char name[SM_RECEIPT_NAME_BYTES];
    sm_receipt_locate(frame, location, name);
    return copy_slice(&owned->arena, location->function, &location->function);
}

enum smelt_status sm_receipt_create(const struct smelt_frame *frame,
                                    const struct sm_export *export_, const uint64_t *slots,
                                    struct sm_overlay *effects, uint64_t fuel_limit,
                                    struct smelt_receipt **out, struct smelt_error *err)
{
    *out = NULL;
    struct owned_receipt *owned = (struct owned_receipt *)sm_calloc(1, sizeof(*owned));
    if (owned == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    struct smelt_receipt *receipt = &owned->receipt;
    receipt->outcome = sm_receipt_outcome(frame);
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
