/* Writing and reading manifests; the only place that knows they are JSON. */
#include "cache/manifest.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"
#include "cache/layout.h"

#include <assert.h>
#include <jansson.h>
#include <sodium.h>
#include <string.h>

#define FORMAT   1
#define HEX_SIZE ((size_t)2 * SMELT_HASH_BYTES)

/* What surrounds the MAC; together they have a fixed size, so the MAC is found from the end. */
#define TAIL_START ",\n  \"mac\": \""
#define TAIL_END   "\"\n}\n"
/* What jansson writes after the last member. */
#define CLOSING "\n}"

#define TEXT_SIZE(literal) (sizeof(literal) - 1)
#define TAIL_SIZE          (TEXT_SIZE(TAIL_START) + HEX_SIZE + TEXT_SIZE(TAIL_END))

static void compute_mac(struct smelt_slice body, const uint8_t *seal_key, char *hex)
{
    struct sm_digest mac;
    struct smelt_hash hash;
    sm_digest_init_keyed(&mac, "smelt.cache.manifest.v1", seal_key);
    sm_digest_slice(&mac, body);
    sm_digest_final(&mac, &hash);
    smelt_hex_encode(hash.bytes, sizeof(hash.bytes), hex);
}

bool sm_cache_manifest_seal(struct smelt_buf *text, const uint8_t *seal_key)
{
    char hex[HEX_SIZE + 1];
    compute_mac(sm_buf_slice(text), seal_key, hex);
    return sm_buf_printf(text, "%s%s%s", TAIL_START, hex, TAIL_END);
}

/* C1 controls (U+0080 to U+009F) drive terminals as the C0 ones do. */
static bool is_printable(const char *text)
{
    struct smelt_slice slice = smelt_slice_from_string(text);
    if (!sm_slice_is_utf8(slice)) {
        return false;
    }
    for (size_t i = 0; i < slice.size; i++) {
        bool is_c1 = slice.data[i] == 0xc2 && slice.data[i + 1] < 0xa0;
        if (slice.data[i] < 0x20 || slice.data[i] == 0x7f || is_c1) {
            return false;
        }
    }
    return true;
}

static enum smelt_status check_fields(const struct sm_cache_field *fields, size_t field_count,
                                      struct smelt_error *err)
{
    for (size_t i = 0; i < field_count; i++) {
        const char *name = fields[i].name;
        if (name == NULL || name[0] == '\0' || fields[i].value == NULL || !is_printable(name) ||
            !is_printable(fields[i].value)) {
            return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, SM_CACHE_WHERE,
                                "field %zu (\"%s\") is not a name with a printable value", i,
                                name != NULL ? name : "");
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(fields[k].name, name) == 0) {
                return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, SM_CACHE_WHERE,
                                    "field \"%s\" is given twice", name);
            }
        }
    }
    return SMELT_STATUS_OK;
}

/* NULL when memory is short. jansson keeps members in the order in which they are set. */
static json_t *build(const struct sm_cache_manifest *manifest, const struct smelt_hash *key,
                     const struct sm_cache_field *fields, size_t field_count)
{
    char key_hex[HEX_SIZE + 1];
    char digest_hex[HEX_SIZE + 1];
    smelt_hex_encode(key->bytes, sizeof(key->bytes), key_hex);
    smelt_hex_encode(manifest->digest.bytes, sizeof(manifest->digest.bytes), digest_hex);
    json_t *members = json_object();
    bool is_built = members != NULL;
    for (size_t i = 0; i < field_count; i++) {
        /* _new takes the value even when it fails, and refuses NULL */
        is_built =
            is_built && json_object_set_new_nocheck(members, fields[i].name,
                                                    json_string_nocheck(fields[i].value)) == 0;
    }
    json_t *root = json_object();
    is_built =
        is_built && root != NULL &&
        json_object_set_new_nocheck(root, "format", json_integer(FORMAT)) == 0 &&
        json_object_set_new_nocheck(root, "key", json_string_nocheck(key_hex)) == 0 &&
        json_object_set_new_nocheck(root, "size", json_integer((json_int_t)manifest->size)) == 0 &&
        json_object_set_new_nocheck(root, "digest", json_string_nocheck(digest_hex)) == 0 &&
        json_object_set_nocheck(root, "fields", members) == 0;
    json_decref(members);
    if (!is_built) {
        json_decref(root);
        return NULL;
    }
    return root;
}

static int append_text(const char *data, size_t size, void *context)
{
    struct smelt_buf *text = (struct smelt_buf *)context;
    return sm_buf_append(text, data, size) ? 0 : -1;
}

enum smelt_status sm_cache_manifest_write(const struct sm_cache_manifest *manifest,
                                          const struct smelt_hash *key,
                                          const struct sm_cache_field *fields, size_t field_count,
                                          const uint8_t *seal_key, struct smelt_buf *text,
                                          struct smelt_error *err)
{
    struct smelt_buf built = {0};
    json_t *root = NULL;
    enum smelt_status status = check_fields(fields, field_count, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    root = build(manifest, key, fields, field_count);
    if (root == NULL || json_dump_callback(root, append_text, &built, JSON_INDENT(2)) != 0) {
        status = sm_error_no_memory(err, SM_CACHE_WHERE);
        goto cleanup;
    }
    assert(built.size > TEXT_SIZE(CLOSING));
    built.size -= TEXT_SIZE(CLOSING);
    if (!sm_cache_manifest_seal(&built, seal_key)) {
        status = sm_error_no_memory(err, SM_CACHE_WHERE);
        goto cleanup;
    }
    if (built.size > SM_CACHE_MANIFEST_SIZE_MAX) {
        status = sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, SM_CACHE_WHERE,
                              "the manifest has %zu bytes, more than the limit of %zu", built.size,
                              SM_CACHE_MANIFEST_SIZE_MAX);
        goto cleanup;
    }
    smelt_buf_deinit(text);
    *text = built;
    built = (struct smelt_buf){0};
cleanup:
    json_decref(root);
    smelt_buf_deinit(&built);
    return status;
}

static enum smelt_status corrupt(struct smelt_error *err, const char *reason, const char *name)
{
    return sm_error_set(err, SMELT_STATUS_ARTEFACT_CORRUPT, SM_CACHE_WHERE, "manifest %s%s", reason,
                        name);
}

static enum smelt_status check_mac(struct smelt_slice text, const uint8_t *seal_key,
                                   struct smelt_error *err)
{
    if (text.size > SM_CACHE_MANIFEST_SIZE_MAX) {
        return corrupt(err, "is too large", "");
    }
    if (text.size < TAIL_SIZE) {
        return corrupt(err, "is truncated", "");
    }
    struct smelt_slice body = sm_slice(text.data, text.size - TAIL_SIZE);
    const uint8_t *tail = text.data + body.size;
    const uint8_t *mac = tail + TEXT_SIZE(TAIL_START);
    if (memcmp(tail, TAIL_START, TEXT_SIZE(TAIL_START)) != 0 ||
        memcmp(mac + HEX_SIZE, TAIL_END, TEXT_SIZE(TAIL_END)) != 0) {
        return corrupt(err, "does not end with its MAC", "");
    }
    /* compared as text: one MAC has one spelling */
    char expected[HEX_SIZE + 1];
    compute_mac(body, seal_key, expected);
    if (sodium_memcmp(mac, expected, HEX_SIZE) != 0) {
        return sm_error_set(err, SMELT_STATUS_ARTEFACT_SEAL, SM_CACHE_WHERE,
                            "MAC of the manifest does not match: it was changed, or sealed with "
                            "another seal.key");
    }
    return SMELT_STATUS_OK;
}

static bool read_hash(const json_t *value, struct smelt_hash *out)
{
    /* the length rules out the "0x" that smelt_hex_decode accepts */
    return json_is_string(value) && json_string_length(value) == HEX_SIZE &&
           smelt_hex_decode(json_string_value(value), out->bytes, sizeof(out->bytes));
}

static bool are_fields(json_t *value)
{
    if (!json_is_object(value)) {
        return false;
    }
    const char *name;
    json_t *member;
    json_object_foreach(value, name, member)
    {
        if (!json_is_string(member)) {
            return false;
        }
    }
    return true;
}

/* Every member is known and has its type and range; none is missing. */
static enum smelt_status read_members(json_t *root, const struct smelt_hash *key,
                                      struct sm_cache_manifest *out, struct smelt_error *err)
{
    static const char *const names[] = {"format", "key", "size", "digest", "fields", "mac"};
    const size_t name_count = sizeof(names) / sizeof(names[0]);
    if (!json_is_object(root)) {
        return corrupt(err, "is not an object", "");
    }
    for (size_t i = 0; i < name_count; i++) {
        if (json_object_get(root, names[i]) == NULL) {
            return corrupt(err, "has no member ", names[i]);
        }
    }
    if (json_object_size(root) != name_count) {
        return corrupt(err, "has an unknown member", "");
    }
    json_t *format = json_object_get(root, "format");
    if (!json_is_integer(format) || json_integer_value(format) != FORMAT) {
        return corrupt(err, "has another format", "");
    }
    struct smelt_hash found;
    if (!read_hash(json_object_get(root, "key"), &found)) {
        return corrupt(err, "has a malformed ", "key");
    }
    if (!sm_hash_equal(&found, key)) {
        return corrupt(err, "belongs to another key", "");
    }
    json_t *size = json_object_get(root, "size");
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        (uint64_t)json_integer_value(size) > SM_CACHE_OBJECT_SIZE_MAX) {
        return corrupt(err, "has a malformed ", "size");
    }
    if (!read_hash(json_object_get(root, "digest"), &out->digest)) {
        return corrupt(err, "has a malformed ", "digest");
    }
    if (!are_fields(json_object_get(root, "fields"))) {
        return corrupt(err, "has malformed ", "fields");
    }
    out->size = (uint64_t)json_integer_value(size);
    return SMELT_STATUS_OK;
}

enum smelt_status sm_cache_manifest_read(struct smelt_slice text, const struct smelt_hash *key,
                                         const uint8_t *seal_key, struct sm_cache_manifest *out,
                                         struct smelt_error *err)
{
    memset(out, 0, sizeof(*out));
    enum smelt_status status = check_mac(text, seal_key, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    json_error_t why;
    json_t *root = json_loadb((const char *)text.data, text.size, JSON_REJECT_DUPLICATES, &why);
    if (root == NULL && json_error_code(&why) == json_error_out_of_memory) {
        return sm_error_no_memory(err, SM_CACHE_WHERE);
    }
    if (root == NULL) {
        return corrupt(err, "is not the JSON it should be: ", why.text);
    }
    struct sm_cache_manifest manifest = {0};
    status = read_members(root, key, &manifest, err);
    json_decref(root);
    if (status == SMELT_STATUS_OK) {
        *out = manifest;
    }
    return status;
}
