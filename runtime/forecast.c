/* Rows by a few bytes of contract and function; forms in the order in which they were learnt. */
#include "runtime/forecast.h"

#include "base/bytes.h"

#include <string.h>

#define PART_BYTES ((size_t)SMELT_ADDRESS_BYTES)
/* A call in so many is learnt from, the first included. */
#define LEARN_PERIOD 64u
/* How far into an input parts are looked for. */
#define INPUT_MAX ((size_t)256)

static size_t row_of(const struct smelt_wave_transaction *transaction)
{
    struct smelt_slice function = transaction->function;
    size_t mixed = transaction->to.bytes[0] + 7 * function.size;
    mixed += function.size != 0 ? function.data[0] : 0;
    return mixed % SM_FORECAST_ROWS;
}

static bool is_about(const struct sm_forecast_row *row,
                     const struct smelt_wave_transaction *transaction)
{
    return memcmp(&row->contract, &transaction->to, sizeof(row->contract)) == 0 &&
           sm_slice_equal(row->function, transaction->function);
}

bool sm_forecast_begin(struct sm_forecast *forecast,
                       const struct smelt_wave_transaction *transaction)
{
    struct sm_forecast_row *row = &forecast->rows[row_of(transaction)];
    if (!is_about(row, transaction)) {
        *row = (struct sm_forecast_row){.contract = transaction->to,
                                        .function = transaction->function};
    }
    return row->calls++ % LEARN_PERIOD == 0;
}

/* Where the 32 bytes come from; false: from nowhere. */
static bool find_source(const struct smelt_wave_transaction *transaction, const uint8_t *bytes,
                        uint32_t *source)
{
    struct smelt_slice input = transaction->input;
    size_t end = input.size < INPUT_MAX ? input.size : INPUT_MAX;
    if (memcmp(bytes, transaction->from.bytes, PART_BYTES) == 0) {
        *source = 0;
        return true;
    }
    for (size_t at = 0; at + PART_BYTES <= end; at++) {
        if (memcmp(bytes, input.data + at, PART_BYTES) == 0) {
            *source = (uint32_t)at + 1;
            return true;
        }
    }
    return false;
}

/* Without a part that changes, a key is one that every call reads: there is nothing to guess. */
static bool make_form(const struct smelt_wave_transaction *transaction, struct smelt_slice own,
                      struct sm_forecast_form *out)
{
    *out = (struct sm_forecast_form){.size = (uint32_t)own.size};
    size_t at = 0;
    while (at + PART_BYTES <= own.size && out->part_count < SM_FORECAST_PARTS) {
        uint32_t source;
        if (find_source(transaction, own.data + at, &source)) {
            out->parts[out->part_count].at = (uint32_t)at;
            out->parts[out->part_count++].source = source;
            at += PART_BYTES;
        } else {
            out->key[at] = own.data[at];
            at++;
        }
    }
    if (at < own.size) {
        memcpy(out->key + at, own.data + at, own.size - at);
    }
    return out->part_count != 0;
}

void sm_forecast_learn(struct sm_forecast *forecast,
                       const struct smelt_wave_transaction *transaction, struct smelt_slice key)
{
    struct sm_forecast_row *row = &forecast->rows[row_of(transaction)];
    struct sm_state_key start;
    struct sm_forecast_form form;
    sm_state_storage_key(&transaction->to, sm_slice(NULL, 0), &start);
    if (!sm_slice_has_prefix(key, sm_state_key_slice(&start)) ||
        key.size - start.size > SM_FORECAST_KEY || row->form_count == SM_FORECAST_FORMS ||
        !make_form(transaction, sm_slice(key.data + start.size, key.size - start.size), &form)) {
        return;
    }
    for (uint32_t i = 0; i < row->form_count; i++) {
        if (memcmp(&row->forms[i], &form, sizeof(form)) == 0) {
            return;
        }
    }
    row->forms[row->form_count++] = form;
}

uint32_t sm_forecast_count(const struct sm_forecast *forecast,
                           const struct smelt_wave_transaction *transaction)
{
    const struct sm_forecast_row *row = &forecast->rows[row_of(transaction)];
    return is_about(row, transaction) ? row->form_count : 0;
}

void sm_forecast_key(const struct sm_forecast *forecast,
                     const struct smelt_wave_transaction *transaction, uint32_t guess,
                     struct sm_state_key *out)
{
    const struct sm_forecast_form *form = &forecast->rows[row_of(transaction)].forms[guess];
    uint8_t own[SM_FORECAST_KEY];
    memcpy(own, form->key, form->size);
    for (uint32_t i = 0; i < form->part_count; i++) {
        struct smelt_slice from = sm_slice(transaction->from.bytes, PART_BYTES);
        if (form->parts[i].source != 0) {
            size_t at = form->parts[i].source - 1;
            /* a shorter input than the one that was learnt from: any key will do */
            from = at + PART_BYTES <= transaction->input.size
                       ? sm_slice(transaction->input.data + at, PART_BYTES)
                       : from;
        }
        memcpy(own + form->parts[i].at, from.data, PART_BYTES);
    }
    sm_state_storage_key(&transaction->to, sm_slice(own, form->size), out);
}
