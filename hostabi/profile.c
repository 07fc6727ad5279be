/* Look-ups over a profile's rows, and its digest. */
#include "hostabi/profile.h"

#include "base/bytes.h"
#include "base/digest.h"

#include <stdio.h>
#include <string.h>

uint32_t sm_profile_find(const struct smelt_profile *profile, struct smelt_slice module,
                         struct smelt_slice name)
{
    for (uint32_t i = 0; i < profile->function_count; i++) {
        const struct smelt_host_function *row = &profile->functions[i];
        if (sm_slice_equal_text(name, row->name) && sm_slice_equal_text(module, row->module)) {
            return i;
        }
    }
    return SM_PROFILE_NO_FUNCTION;
}

uint32_t sm_profile_param_count(const struct smelt_host_function *function)
{
    uint32_t count = 0;
    while (function->params[count].kind != SMELT_PARAM_END) {
        count++;
    }
    return count;
}

uint32_t sm_profile_param_types(const struct smelt_host_function *function,
                                uint8_t types[SM_PROFILE_TYPES_MAX])
{
    uint32_t count = 0;
    for (const struct smelt_host_param *at = function->params; at->kind != SMELT_PARAM_END; at++) {
        bool is_pair = at->kind == SMELT_PARAM_INPUT || at->kind == SMELT_PARAM_OUTPUT;
        types[count++] = at->kind == SMELT_PARAM_I64 ? SMELT_VALTYPE_I64 : SMELT_VALTYPE_I32;
        if (is_pair) {
            types[count++] = SMELT_VALTYPE_I32;
        }
    }
    return count;
}

bool sm_profile_matches(const struct smelt_host_function *function, const uint8_t *params,
                        uint32_t param_count, const uint8_t *results, uint32_t result_count)
{
    uint8_t types[SM_PROFILE_TYPES_MAX];
    uint32_t count = sm_profile_param_types(function, types);
    uint32_t wanted_results = function->result != SMELT_VALTYPE_NONE;
    return count == param_count && wanted_results == result_count &&
           (count == 0 || memcmp(types, params, count) == 0) &&
           (wanted_results == 0 || results[0] == function->result);
}

const char *smelt_valtype_name(enum smelt_valtype type)
{
    switch (type) {
    case SMELT_VALTYPE_I32:
        return "i32";
    case SMELT_VALTYPE_I64:
        return "i64";
    case SMELT_VALTYPE_F32:
        return "f32";
    case SMELT_VALTYPE_F64:
        return "f64";
    case SMELT_VALTYPE_NONE:
        break;
    }
    return "any";
}

void sm_profile_signature_text(const struct smelt_host_function *function, char *out,
                               size_t out_size)
{
    uint8_t types[SM_PROFILE_TYPES_MAX];
    uint32_t count = sm_profile_param_types(function, types);
    size_t used = (size_t)snprintf(out, out_size, "(");
    for (uint32_t i = 0; i < count && used < out_size; i++) {
        used += (size_t)snprintf(out + used, out_size - used, "%s%s", i != 0 ? ", " : "",
                                 smelt_valtype_name((enum smelt_valtype)types[i]));
    }
    if (used < out_size) {
        (void)snprintf(out + used, out_size - used, ")%s%s",
                       function->result != SMELT_VALTYPE_NONE ? " -> " : "",
                       function->result != SMELT_VALTYPE_NONE ? smelt_valtype_name(function->result)
                                                              : "");
    }
}

bool sm_profile_is_reserved(const struct smelt_profile *profile, struct smelt_slice name)
{
    for (const char *const *at = profile->reserved_exports; at != NULL && *at != NULL; at++) {
        if (sm_slice_equal_text(name, *at)) {
            return true;
        }
    }
    return profile->reserved_prefix != NULL &&
           sm_slice_has_prefix(name, smelt_slice_from_string(profile->reserved_prefix));
}

void smelt_profile_digest(const struct smelt_profile *profile, struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_digest_init(&digest, "smelt.profile.v1");
    sm_digest_text(&digest, profile->name);
    sm_digest_u32(&digest, profile->version);
    sm_digest_text(&digest, profile->allocate_export);
    sm_digest_u32(&digest, profile->has_return_page);
    sm_digest_text(&digest, profile->init_export);
    for (const char *const *at = profile->reserved_exports; at != NULL && *at != NULL; at++) {
        sm_digest_text(&digest, *at);
    }
    sm_digest_text(&digest, profile->reserved_prefix);
    sm_digest_u32(&digest, profile->memory_pages_max);
    sm_digest_u32(&digest, profile->call_depth_max);
    sm_digest_u32(&digest, profile->return_data_max);
    sm_digest_u32(&digest, profile->fuel_kept_divisor);
    sm_digest_u32(&digest, profile->reentrancy);
    sm_digest_u32(&digest, profile->function_count);
    for (uint32_t i = 0; i < profile->function_count; i++) {
        const struct smelt_host_function *row = &profile->functions[i];
        sm_digest_text(&digest, row->module);
        sm_digest_text(&digest, row->name);
        sm_digest_u32(&digest, row->result);
        sm_digest_u32(&digest, row->flags);
        for (const struct smelt_host_param *at = row->params;; at++) {
            sm_digest_u32(&digest, at->kind);
            if (at->kind == SMELT_PARAM_END) {
                break;
            }
            sm_digest_u32(&digest, at->size);
            sm_digest_u32(&digest, at->is_charged);
        }
    }
    sm_digest_final(&digest, out);
}
