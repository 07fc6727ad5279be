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
                                const struct smelt_schedule *schedule, struct smelt_error *err)
{
    struct smelt_hash profile_digest;
    struct smelt_hash schedule_digest;
    struct smelt_buf recorded = {0};
    bool found = false;
    enum smelt_status status = SMELT_STATUS_OK;
    smelt_profile_digest(profile, &profile_digest);
    smelt_schedule_digest(schedule, &schedule_digest);
    SMELT_TRY(get(store, KEY_PROFILE, &recorded, &found, err));
    if (!found) {
        const struct smelt_store_write writes[] = {
            put(KEY_PROFILE, smelt_slice_from_string(profile->name)),
            put(KEY_PROFILE_DIGEST, hash_slice(&profile_digest)),
            put(KEY_SCHEDULE, smelt_schedule_text(schedule)),
            put(KEY_SCHEDULE_DIGEST, hash_slice(&schedule_digest)),
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
cleanup:
    smelt_buf_deinit(&recorded);
    return status;
}

enum smelt_status smelt_state_describe(struct smelt_store *store, struct smelt_buf *profile_name,
                                       struct smelt_buf *schedule_text, bool *found,
                                       struct smelt_error *err)
{
    struct smelt_buf name = {0};
    struct smelt_buf text = {0};
    bool has_name = false;
    bool has_text = false;
    enum smelt_status status = SMELT_STATUS_OK;
    if (store == NULL || profile_name == NULL || schedule_text == NULL || found == NULL) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "store, buffers and found are required");
    }
    *found = false;
    SMELT_TRY(get(store, KEY_PROFILE, &name, &has_name, err));
    SMELT_TRY(get(store, KEY_SCHEDULE, &text, &has_text, err));
    if (has_name != has_text) {
        status =
            sm_error_set(err, SMELT_STATUS_STORE_CORRUPT, WHERE, "the state's record %s is missing",
                         has_name ? KEY_SCHEDULE : KEY_PROFILE);
        goto cleanup;
    }
    smelt_buf_deinit(profile_name);
    smelt_buf_deinit(schedule_text);
    *profile_name = name;
    *schedule_text = text;
    *found = has_name;
    return SMELT_STATUS_OK;
cleanup:
    smelt_buf_deinit(&name);
    smelt_buf_deinit(&text);
    return status;
}
