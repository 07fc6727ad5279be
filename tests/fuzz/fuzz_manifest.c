/* The reader of cache manifests, against texts that somebody without the seal key wrote (the bytes
 * as they are), against texts that carry a MAC (the bytes, sealed here), and against its writer
 * (the bytes as names and values of fields, each ended by a zero). */
#include "cache/manifest.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define FIELDS_MAX 16

static const uint8_t seal_key[32] = "0123456789abcdef0123456789abcde";

static struct smelt_hash key_of(uint8_t byte)
{
    struct smelt_hash key;
    memset(&key, byte, sizeof(key));
    return key;
}

static bool read_manifest(struct smelt_slice text, const uint8_t *seal,
                          struct sm_cache_manifest *out)
{
    const struct smelt_hash key = key_of(0x11);
    struct smelt_error err = {0};
    enum smelt_status status = sm_cache_manifest_read(text, &key, seal, out, &err);
    if (status == SMELT_STATUS_OK) {
        FUZZ_CHECK(out->size <= SM_CACHE_OBJECT_SIZE_MAX, "a size beyond the limit");
        return true;
    }
    FUZZ_CHECK((status == SMELT_STATUS_ARTEFACT_SEAL || status == SMELT_STATUS_ARTEFACT_CORRUPT) &&
                   err.status == status && out->size == 0,
               "%s: %s", smelt_status_name(status), err.message);
    return false;
}

static void read_sealed(struct smelt_slice body)
{
    struct smelt_buf text = {0};
    struct sm_cache_manifest found;
    FUZZ_CHECK(sm_buf_assign(&text, body) && sm_cache_manifest_seal(&text, seal_key), "no memory");
    (void)read_manifest(sm_buf_slice(&text), seal_key, &found);
    static const uint8_t other_key[32] = "fedcba9876543210fedcba987654321";
    FUZZ_CHECK(!read_manifest(sm_buf_slice(&text), other_key, &found), "sealed by another key");
    smelt_buf_deinit(&text);
}

/* Fields that point into `text`, which ends with a zero. */
static size_t split(char *text, size_t size, struct sm_cache_field *fields)
{
    size_t count = 0;
    char *end = text + size;
    while (text < end && count < FIELDS_MAX) {
        const char *name = text;
        text += strlen(text) + 1;
        if (text < end) {
            fields[count++] = (struct sm_cache_field){.name = name, .value = text};
            text += strlen(text) + 1;
        }
    }
    return count;
}

static void read_written(struct smelt_slice bytes)
{
    const struct smelt_hash key = key_of(0x11);
    const struct sm_cache_manifest manifest = {.size = bytes.size, .digest = key_of(0x22)};
    struct sm_cache_field fields[FIELDS_MAX];
    struct smelt_buf copy = {0};
    struct smelt_buf text = {0};
    struct sm_cache_manifest found;
    FUZZ_CHECK(sm_buf_assign(&copy, bytes) && sm_buf_append_u8(&copy, 0), "no memory");
    size_t count = split((char *)copy.data, copy.size, fields);
    enum smelt_status status =
        sm_cache_manifest_write(&manifest, &key, fields, count, seal_key, &text, NULL);
    FUZZ_CHECK(status == SMELT_STATUS_OK || status == SMELT_STATUS_INVALID_ARGUMENT, "%s",
               smelt_status_name(status));
    if (status == SMELT_STATUS_OK) {
        FUZZ_CHECK(read_manifest(sm_buf_slice(&text), seal_key, &found) &&
                       found.size == manifest.size &&
                       memcmp(&found.digest, &manifest.digest, sizeof(found.digest)) == 0,
                   "written, but not read: %.*s", (int)text.size, (const char *)text.data);
    }
    smelt_buf_deinit(&copy);
    smelt_buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smelt_slice bytes = sm_slice(data, size);
    struct sm_cache_manifest found;
    (void)read_manifest(bytes, seal_key, &found);
    read_sealed(bytes);
    read_written(bytes);
    return 0;
}
