/* Views of a profile's rows that the compiler and the runtime share. */
#ifndef SM_HOSTABI_PROFILE_H
#define SM_HOSTABI_PROFILE_H

#include <smelt/host.h>

#define SM_PROFILE_NO_FUNCTION UINT32_MAX
/* Each entry of the parameter list is one or two wasm parameters. */
#define SM_PROFILE_TYPES_MAX (2 * SMELT_HOST_PARAMS_MAX)

/* Row of an import, SM_PROFILE_NO_FUNCTION when the profile does not offer it. */
uint32_t sm_profile_find(const struct smelt_profile *profile, struct smelt_slice module,
                         struct smelt_slice name);

/* The row's wasm parameter types; returns their number. */
uint32_t sm_profile_param_types(const struct smelt_host_function *function,
                                uint8_t types[SM_PROFILE_TYPES_MAX]);

uint32_t sm_profile_param_count(const struct smelt_host_function *function);

/* True when `params` and `results` (value type codes) are exactly the row's signature. */
bool sm_profile_matches(const struct smelt_host_function *function, const uint8_t *params,
                        uint32_t param_count, const uint8_t *results, uint32_t result_count);

/* "(i32, i32) -> i64", for messages. */
void sm_profile_signature_text(const struct smelt_host_function *function, char *out,
                               size_t out_size);

/* True for an export that the profile keeps for the runtime: not callable from outside. */
bool sm_profile_is_reserved(const struct smelt_profile *profile, struct smelt_slice name);

#endif
