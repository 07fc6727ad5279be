/* A table per function, or one JSON object. See explain.h. */
#include "cli/explain.h"

#include <inttypes.h>
#include <stdlib.h>

struct explain {
    struct cli_output *out;
    struct smelt_error *err;
    json_t *functions; /* with --json */
    uint64_t functions_count;
    uint64_t blocks;
    uint64_t instructions;
    uint64_t charge;
};

/* ---- for people ------------------------------------------------------------------------------ */

static void print_extra(const struct smelt_fuel_extra *extra)
{
    printf("      + ");
    if (extra->kind == SMELT_FUEL_EXTRA_HOST) {
        char *module = cli_text_escape(extra->module, false);
        char *name = cli_text_escape(extra->name, false);
        printf("%s.%s at 0x%" PRIx32 ": %" PRIu64, module != NULL ? module : "",
               name != NULL ? name : "", extra->offset, extra->base);
        free(module);
        free(name);
    } else {
        printf("%s at 0x%" PRIx32 ":", extra->instruction, extra->offset);
    }
    if (extra->per_unit != 0) {
        printf("%s %" PRIu64 " per %" PRIu64, extra->kind == SMELT_FUEL_EXTRA_HOST ? " and" : "",
               extra->per_unit, extra->unit);
    }
    if (extra->extra != 0) {
        printf(", extra %" PRIu64, extra->extra);
    }
    printf("\n");
}

static void print_function(const struct smelt_fuel_func *func)
{
    char *name = cli_text_escape(func->name, true);
    printf("function %" PRIu32 " %s\n", func->func_index, name != NULL ? name : "");
    printf("  %-23s %12s %12s\n", "block", "instructions", "charge");
    for (uint32_t i = 0; i < func->block_count; i++) {
        const struct smelt_fuel_block *block = &func->blocks[i];
        char range[32];
        (void)snprintf(range, sizeof(range), "0x%" PRIx32 "..0x%" PRIx32, block->offset,
                       block->end);
        printf("  %-23s %12" PRIu32 " %12" PRIu64 "%s\n", range, block->instruction_count,
               block->charge, block->is_checked ? "  checked" : "");
        for (uint32_t k = 0; k < block->extra_count; k++) {
            print_extra(&block->extras[k]);
        }
    }
    printf("  %-23s %12" PRIu64 " %12" PRIu64 "\n", "total", func->instruction_count, func->charge);
    free(name);
}

/* ---- for machines ---------------------------------------------------------------------------- */

static json_t *extra_json(const struct smelt_fuel_extra *extra)
{
    json_t *json = json_pack("{s:I, s:s, s:I, s:I}", "offset", (json_int_t)extra->offset,
                             "instruction", extra->instruction, "per_unit",
                             (json_int_t)extra->per_unit, "unit", (json_int_t)extra->unit);
    if (extra->kind == SMELT_FUEL_EXTRA_HOST) {
        (void)json_object_set_new(json, "module", cli_json_text(extra->module));
        (void)json_object_set_new(json, "name", cli_json_text(extra->name));
        (void)json_object_set_new(json, "base", json_integer((json_int_t)extra->base));
        (void)json_object_set_new(json, "extra", json_integer((json_int_t)extra->extra));
    }
    return json;
}

static json_t *block_json(const struct smelt_fuel_block *block)
{
    json_t *dynamic = json_array();
    json_t *host = json_array();
    for (uint32_t i = 0; i < block->extra_count; i++) {
        const struct smelt_fuel_extra *extra = &block->extras[i];
        (void)json_array_append_new(extra->kind == SMELT_FUEL_EXTRA_HOST ? host : dynamic,
                                    extra_json(extra));
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:b, s:o, s:o}", "offset", (json_int_t)block->offset,
                     "end", (json_int_t)block->end, "instructions",
                     (json_int_t)block->instruction_count, "charge", (json_int_t)block->charge,
                     "checked", block->is_checked ? 1 : 0, "dynamic", dynamic, "host", host);
}

static json_t *function_json(const struct smelt_fuel_func *func)
{
    json_t *blocks = json_array();
    for (uint32_t i = 0; i < func->block_count; i++) {
        (void)json_array_append_new(blocks, block_json(&func->blocks[i]));
    }
    return json_pack("{s:I, s:o, s:I, s:I, s:o}", "index", (json_int_t)func->func_index, "name",
                     cli_json_text(func->name), "instructions", (json_int_t)func->instruction_count,
                     "charge", (json_int_t)func->charge, "blocks", blocks);
}

/* ---- both ------------------------------------------------------------------------------------ */

static enum smelt_status visit(void *context, const struct smelt_fuel_func *func)
{
    struct explain *explain = (struct explain *)context;
    explain->functions_count++;
    explain->blocks += func->block_count;
    explain->instructions += func->instruction_count;
    explain->charge += func->charge;
    if (!explain->out->is_json) {
        print_function(func);
    } else if (json_array_append_new(explain->functions, function_json(func)) != 0) {
        return cli_error_set(explain->err, SMELT_STATUS_NO_MEMORY, "out of memory");
    }
    return SMELT_STATUS_OK;
}

enum smelt_status cli_explain_fuel(const struct smelt_compiler *compiler, struct smelt_slice wasm,
                                   struct cli_output *out, struct smelt_error *err)
{
    struct explain explain = {.out = out, .err = err};
    enum smelt_status status;
    explain.functions = out->is_json ? json_array() : NULL;
    status = smelt_compiler_explain_fuel(compiler, wasm, visit, &explain, err);
    if (status != SMELT_STATUS_OK) {
        json_decref(explain.functions);
    } else if (out->is_json) {
        out->object =
            json_pack("{s:o, s:I, s:I, s:I}", "functions", explain.functions, "blocks",
                      (json_int_t)explain.blocks, "instructions", (json_int_t)explain.instructions,
                      "charge", (json_int_t)explain.charge);
    } else {
        printf("module: functions %" PRIu64 ", blocks %" PRIu64 ", instructions %" PRIu64
               ", charge %" PRIu64 "\n",
               explain.functions_count, explain.blocks, explain.instructions, explain.charge);
    }
    return status;
}
