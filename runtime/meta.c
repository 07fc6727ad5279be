/* The META family: see runtime/state/keys.h for its keys. They are written in one batch, so a store
 * has all of them or none. */
#include "runtime/meta.h"

#include "base/bytes.h"
#include "base/status.h"

#include <smelt/runtime.h>

#include <string.h>

#define WHERE               "state"
#define KEY_PROFILE         "profile"
#define KEY_PROFILE_DIGEST  "profile-digest"
#define KEY_SCHEDULE        "schedule"
#define KEY_SCHEDULE_DIGEST "schedule-digest"
#define KEY_POLICY          "policy"
#define KEY_POLICY_DIGEST   "policy-digest"

static enum smelt_status get(struct smelt_store *store, const char *key, struct smelt_buf *value,
                             bool *found, struct smelt_error *err)
{
    return store->ops->get(store->impl, NULL, SMELT_STORE_META, smelt_slice_from_string(key), value,
                           found, err);
}

static struct smelt_store_write put(const char *key, struct smelt_slice value)
{
    return (struct smelt_store_write){
        .family = SMELT_STORE_META, .key = smelt_slice_from_string(key), .value = value};
}

static struct smelt_slice hash_slice(const struct smelt_hash *hash)
{
    return sm_slice(hash->bytes, sizeof(hash->bytes));
}

static void hash_text(struct smelt_slice hash, char out[2 * SMELT_HASH_BYTES + 1])
{
    smelt_hex_encode(hash.data, hash.size < SMELT_HASH_BYTES ? hash.size : SMELT_HASH_BYTES, out);
}

/* The recorded digest under `key` against the one that was given. */
static enum smelt_status compare(struct smelt_store *store, const char *key, const char *what,
                                 const char *name, const struct smelt_hash *given,
                                 struct smelt_error *err)
{
    struct smelt_buf recorded = {0};
    bool found = false;
    char recorded_text[2 * SMELT_HASH_BYTES + 1] = "";
    char given_text[2 * SMELT_HASH_BYTES + 1];
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(get(store, key, &recorded, &found, err));
    if (!found || recorded.size != SMELT_HASH_BYTES) {
        status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                              "the state's record %s is missing or damaged", key);
        goto cleanup;
    }
    if (!sm_slice_equal(sm_buf_slice(&recorded), hash_slice(given))) {
        hash_text(sm_buf_slice(&recorded), recorded_text);
        hash_text(hash_slice(given), given_text);
        status = sm_error_set(err, SMELT_STATUS_STATE_MISMATCH, WHERE,
                              "the state was created with %s %s, not with %s (%s): use that one, "
                              "or another state",
                              what, recorded_text, name, given_text);
    }
cleanup:
    smelt_buf_deinit(&recorded);
    return status;
}

enum smelt_status sm_meta_claim(struct smelt_store *store, const struct smelt_profile *profile,
                                const struct smelt_schedule *schedule,
                                const struct smelt_policy *policy, struct smelt_error *err)
{
    struct smelt_hash profile_digest;
    struct smelt_hash schedule_digest;
    struct smelt_hash policy_digest;
    struct smelt_buf recorded = {0};
    bool found = false;
    enum smelt_status status = SMELT_STATUS_OK;
    smelt_profile_digest(profile, &profile_digest);
    smelt_schedule_digest(schedule, &schedule_digest);
    smelt_policy_digest(policy, &policy_digest);
    SMELT_TRY(get(store, KEY_PROFILE, &recorded, &found, err));
    if (!found) {
        const struct smelt_store_write writes[] = {
            put(KEY_PROFILE, smelt_slice_from_string(profile->name)),
            put(KEY_PROFILE_DIGEST, hash_slice(&profile_digest)),
            put(KEY_SCHEDULE, smelt_schedule_text(schedule)),
            put(KEY_SCHEDULE_DIGEST, hash_slice(&schedule_digest)),
            put(KEY_POLICY, smelt_policy_text(policy)),
            put(KEY_POLICY_DIGEST, hash_slice(&policy_digest)),
        };
        SMELT_TRY(store->ops->write(store->impl, writes, sizeof(writes) / sizeof(writes[0]), err));
        goto cleanup;
    }
    if (!sm_slice_equal_text(sm_buf_slice(&recorded), profile->name)) {
        status = sm_error_set(err, SMELT_STATUS_STATE_MISMATCH, WHERE,
                              "the state was created with profile %.*s, not with %s: use that one, "
                              "or another state",
                              (int)recorded.size, (const char *)recorded.data, profile->name);
        goto cleanup;
    }
    SMELT_TRY(compare(store, KEY_PROFILE_DIGEST, "profile", profile->name, &profile_digest, err));
    SMELT_TRY(compare(store, KEY_SCHEDULE_DIGEST, "gas schedule", smelt_schedule_name(schedule),
                      &schedule_digest, err));
    SMELT_TRY(compare(store, KEY_POLICY_DIGEST, "policy", smelt_policy_name(policy), &policy_digest,
                      err));
cleanup:
    smelt_buf_deinit(&recorded);
    return status;
}

enum smelt_status smelt_state_describe(struct smelt_store *store,
                                       struct smelt_state_description *out, struct smelt_error *err)
{
    struct smelt_state_description read = {0};
    const struct {
        const char *key;
        struct smelt_buf *value;
    } rows[] = {{KEY_PROFILE, &read.profile_name},
                {KEY_SCHEDULE, &read.schedule_text},
                {KEY_POLICY, &read.policy_text}};
    bool found[3] = {false};
    enum smelt_status status = SMELT_STATUS_OK;
    if (out != NULL) {
        *out = (struct smelt_state_description){0};
    }
    if (store == NULL || out == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "store and description are required");
    }
    for (size_t i = 0; i < 3; i++) {
        SMELT_TRY(get(store, rows[i].key, rows[i].value, &found[i], err));
    }
    for (size_t i = 1; i < 3; i++) {
        if (found[i] != found[0]) {
            status = sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE,
                                  "the state's record %s is missing",
                                  found[0] ? rows[i].key : KEY_PROFILE);
            goto cleanup;
        }
    }
    read.is_recorded = found[0];
    *out = read;
    read = (struct smelt_state_description){0};
cleanup:
    smelt_state_description_deinit(&read);
    return status;
}

void smelt_state_description_deinit(struct smelt_state_description *description)
{
    smelt_buf_deinit(&description->profile_name);
    smelt_buf_deinit(&description->schedule_text);
    smelt_buf_deinit(&description->policy_text);
    description->is_recorded = false;
}
