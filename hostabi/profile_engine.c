/* The profile `engine` as data: rows from engine.def, and its limits. The handlers are in
 * runtime/host/engine.c. */
#include <smelt/host.h>

#define I32(n)              {.kind = SMELT_PARAM_I32, .name = #n},
#define I64(n)              {.kind = SMELT_PARAM_I64, .name = #n},
#define IN(n)               {.kind = SMELT_PARAM_INPUT, .name = #n},
#define BYTES(n)            {.kind = SMELT_PARAM_INPUT, .is_charged = true, .name = #n},
#define IN_FIXED(n, bytes)  {.kind = SMELT_PARAM_INPUT_FIXED, .size = (bytes), .name = #n},
#define OUT_FIXED(n, bytes) {.kind = SMELT_PARAM_OUTPUT_FIXED, .size = (bytes), .name = #n},
#define OUT(n)              {.kind = SMELT_PARAM_OUTPUT, .name = #n},
#define SMELT_HOST_NONE     0u

static const struct smelt_host_function functions[] = {
#define HOST(name_, result_, flags_, brief_, parameters)                                           \
    {.module = "env",                                                                              \
     .name = #name_,                                                                               \
     .brief = (brief_),                                                                            \
     .result = SMELT_VALTYPE_##result_,                                                            \
     .flags = SMELT_HOST_##flags_,                                                                 \
     .params = {parameters{.kind = SMELT_PARAM_END}}},
#include "hostabi/engine.def"
};

static const char *const reserved_exports[] = {"memory", "allocate", "init", NULL};

const struct smelt_profile smelt_profile_engine = {
    .name = "engine",
    .version = 1,
    .functions = functions,
    .function_count = sizeof(functions) / sizeof(functions[0]),
    .allocate_export = "allocate",
    .has_return_page = true,
    .init_export = "init",
    .reserved_exports = reserved_exports,
    .reserved_prefix = "__",
    .memory_pages_max = 256,
    .call_depth_max = 64,
    .return_data_max = 64 * 1024,
    .fuel_kept_divisor = 64,
    .reentrancy = SMELT_REENTRANCY_ALLOWED,
    .default_schedule = "engine-v1",
};
