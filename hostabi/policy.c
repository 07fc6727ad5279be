/* Policies: their keys, built from the tables in policy.h, and the values behind them. */
#include "hostabi/policy.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"
#include "hostabi/toml.h"

#include <assert.h>
#include <string.h>

#define WHERE "policy"

struct smelt_policy {
    char name[SM_TOML_NAME_BYTES];
    struct sm_policy values;
    struct smelt_buf text;
};

/* ---- parse ----------------------------------------------------------------------------------- */

static enum smelt_status read_values(struct smelt_slice text, char name[SM_TOML_NAME_BYTES],
                                     struct sm_policy *out, struct smelt_error *err)
{
    static const char *const float_words[] = {"forbid", "canonical-nan", NULL};
    static const char *const name_words[] = {"utf-8", "printable-ascii", NULL};
    struct sm_policy values = {0};
    uint32_t floats = 0;
    uint32_t names = 0;
#define FEATURE_KEY(name_, text_)                                                                  \
    {.path = "features." #name_, .kind = SM_TOML_BOOL, .target = &values.features.name_},
#define EXPORT_KEY(name_)                                                                          \
    {.path = "exports." #name_, .kind = SM_TOML_BOOL, .target = &values.may_export.name_},
#define LIMIT_KEY(name_, most_, text_)                                                             \
    {.path = "limits." #name_, .kind = SM_TOML_U32, .target = &values.name_, .most = (most_)},
    struct sm_toml_key keys[] = {
        {.path = "name", .kind = SM_TOML_NAME, .target = name},
        {.path = "floats", .kind = SM_TOML_WORD, .target = &floats, .words = float_words},
        {.path = "exports.names", .kind = SM_TOML_WORD, .target = &names, .words = name_words},
        {.path = "memory.initial_pages",
         .kind = SM_TOML_U32,
         .target = &values.memory_initial_pages,
         .most = SM_POLICY_PAGES_MAX},
        {.path = "memory.pages",
         .kind = SM_TOML_U32,
         .target = &values.memory_pages,
         .most = SM_POLICY_PAGES_MAX},
        SM_POLICY_FEATURES(FEATURE_KEY) SM_POLICY_EXPORTS(EXPORT_KEY) SM_POLICY_LIMITS(LIMIT_KEY)};
#undef FEATURE_KEY
#undef EXPORT_KEY
#undef LIMIT_KEY
    const struct sm_toml toml = {.what = WHERE,
                                 .invalid = SMELT_STATUS_POLICY_INVALID,
                                 .keys = keys,
                                 .key_count = sizeof(keys) / sizeof(keys[0])};
    enum smelt_status status = sm_toml_read(text, &toml, err);
    if (status == SMELT_STATUS_OK) {
        values.floats = (enum smelt_float_policy)floats;
        values.names = (enum sm_policy_names)names;
        *out = values;
    }
    return status;
}

enum smelt_status smelt_policy_parse(struct smelt_slice text, struct smelt_policy **out,
                                     struct smelt_error *err)
{
    *out = NULL;
    enum smelt_status status = SMELT_STATUS_OK;
    struct smelt_policy *policy = (struct smelt_policy *)sm_calloc(1, sizeof(*policy));
    if (policy == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    SMELT_TRY(read_values(text, policy->name, &policy->values, err));
    if (!sm_buf_append(&policy->text, text.data, text.size)) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    *out = policy;
    policy = NULL;
cleanup:
    smelt_policy_destroy(policy);
    return status;
}

void smelt_policy_destroy(struct smelt_policy *policy)
{
    if (policy != NULL) {
        smelt_buf_deinit(&policy->text);
        sm_free(policy);
    }
}

/* ---- built in -------------------------------------------------------------------------------- */

extern const unsigned char sm_embedded_standard_toml[];
extern const size_t sm_embedded_standard_toml_size;
extern const unsigned char sm_embedded_standard_floats_toml[];
extern const size_t sm_embedded_standard_floats_toml_size;

static struct smelt_slice standard_text(void)
{
    return sm_slice(sm_embedded_standard_toml, sm_embedded_standard_toml_size);
}

enum smelt_status smelt_policy_builtin(const char *name, struct smelt_policy **out,
                                       struct smelt_error *err)
{
    *out = NULL;
    if (strcmp(name, SMELT_POLICY_DEFAULT) == 0) {
        return smelt_policy_parse(standard_text(), out, err);
    }
    if (strcmp(name, "standard-floats") == 0) {
        return smelt_policy_parse(
            sm_slice(sm_embedded_standard_floats_toml, sm_embedded_standard_floats_toml_size), out,
            err);
    }
    return sm_error_set(err, SMELT_STATUS_NOT_FOUND, WHERE,
                        "no built-in policy is called %s; there are standard and standard-floats",
                        name);
}

void sm_policy_init(struct sm_policy *policy, enum smelt_float_policy floats,
                    bool allows_any_import)
{
    char name[SM_TOML_NAME_BYTES];
    *policy = (struct sm_policy){0};
    enum smelt_status status = read_values(standard_text(), name, policy, NULL);
    assert(status == SMELT_STATUS_OK); /* a constant of the program, and a test reads it */
    (void)status;
    policy->floats = floats;
    policy->allows_any_import = allows_any_import;
}

/* ---- values ---------------------------------------------------------------------------------- */

const char *smelt_policy_name(const struct smelt_policy *policy)
{
    return policy->name;
}

struct smelt_slice smelt_policy_text(const struct smelt_policy *policy)
{
    return sm_buf_slice(&policy->text);
}

enum smelt_float_policy smelt_policy_floats(const struct smelt_policy *policy)
{
    return policy->values.floats;
}

const struct sm_policy *sm_policy_values(const struct smelt_policy *policy)
{
    return &policy->values;
}

/* Every field under its name, so that a policy of other rows has another digest. */
void sm_policy_digest(const struct sm_policy *policy, struct smelt_hash *out)
{
    struct sm_digest digest;
    sm_digest_init(&digest, "smelt.policy.v3");
    sm_digest_u32(&digest, SM_RULES_VERSION);
    sm_digest_u32(&digest, policy->floats);
    sm_digest_u32(&digest, policy->names);
#define DIGEST(key, value)                                                                         \
    sm_digest_text(&digest, key);                                                                  \
    sm_digest_u32(&digest, value);
#define FEATURE_DIGEST(name, text)     DIGEST("features." #name, policy->features.name)
#define EXPORT_DIGEST(name)            DIGEST("exports." #name, policy->may_export.name)
#define LIMIT_DIGEST(name, most, text) DIGEST("limits." #name, policy->name)
    SM_POLICY_FEATURES(FEATURE_DIGEST)
    SM_POLICY_EXPORTS(EXPORT_DIGEST)
    DIGEST("memory.initial_pages", policy->memory_initial_pages)
    DIGEST("memory.pages", policy->memory_pages)
    SM_POLICY_LIMITS(LIMIT_DIGEST)
#undef DIGEST
#undef FEATURE_DIGEST
#undef EXPORT_DIGEST
#undef LIMIT_DIGEST
    sm_digest_final(&digest, out);
}

void smelt_policy_digest(const struct smelt_policy *policy, struct smelt_hash *out)
{
    sm_policy_digest(&policy->values, out);
}
