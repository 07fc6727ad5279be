/* The manifest reader against texts that carry a valid MAC and still are not manifests, and against
 * every way to break the MAC. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "cache/manifest.h"
#include "tests/support/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#define KEY_HEX    "0101010101010101010101010101010101010101010101010101010101010101"
#define OTHER_HEX  "0201010101010101010101010101010101010101010101010101010101010101"
#define DIGEST_HEX "abababababababababababababababababababababababababababababababab"

static const uint8_t seal_key[32] = "0123456789abcdef0123456789abcde";
static struct smelt_hash key;
static struct sm_cache_manifest manifest = {.size = 7};
static const struct sm_cache_field fields[] = {
    {"clang", "19.1.4"}, {"policy \"q\"", "fl\xc3\xb6tz\\"}, {"empty", ""}};

static int set_up(void **state)
{
    (void)state;
    memset(&key, 1, sizeof(key));
    memset(&manifest.digest, 0xab, sizeof(manifest.digest));
    return 0;
}

static struct smelt_buf written(void)
{
    struct smelt_buf text = {0};
    assert_int_equal(sm_cache_manifest_write(&manifest, &key, fields, 3, seal_key, &text, NULL),
                     SMELT_STATUS_OK);
    return text;
}

static enum smelt_status read_text(struct smelt_slice text, struct smelt_error *err)
{
    struct sm_cache_manifest found;
    /* an exact heap copy lets the sanitizer see a read past the end */
    uint8_t *copy = (uint8_t *)malloc(text.size != 0 ? text.size : 1);
    assert_non_null(copy);
    if (text.size != 0) {
        memcpy(copy, text.data, text.size);
    }
    enum smelt_status status =
        sm_cache_manifest_read(sm_slice(copy, text.size), &key, seal_key, &found, err);
    free(copy);
    if (status != SMELT_STATUS_OK) {
        assert_int_equal(found.size, 0);
    }
    return status;
}

static void test_text_is_canonical(void **state)
{
    (void)state;
    struct smelt_buf text = written();
    static const char expected[] = "{\n"
                                   "  \"format\": 1,\n"
                                   "  \"key\": \"" KEY_HEX "\",\n"
                                   "  \"size\": 7,\n"
                                   "  \"digest\": \"" DIGEST_HEX "\",\n"
                                   "  \"fields\": {\n"
                                   "    \"clang\": \"19.1.4\",\n"
                                   "    \"policy \\\"q\\\"\": \"fl\xc3\xb6tz\\\\\",\n"
                                   "    \"empty\": \"\"\n"
                                   "  },\n"
                                   "  \"mac\": \"";
    assert_int_equal(text.size, strlen(expected) + 64 + strlen("\"\n}\n"));
    assert_memory_equal(text.data, expected, strlen(expected));
    struct sm_cache_manifest found;
    assert_int_equal(sm_cache_manifest_read(sm_buf_slice(&text), &key, seal_key, &found, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(found.size, 7);
    assert_memory_equal(&found.digest, &manifest.digest, sizeof(found.digest));
    smelt_buf_deinit(&text);
}

static void test_every_changed_byte_is_noticed(void **state)
{
    (void)state;
    struct smelt_buf text = written();
    for (size_t i = 0; i < text.size; i++) {
        for (unsigned int change = 1; change < 256; change++) {
            text.data[i] ^= (uint8_t)change;
            enum smelt_status status = read_text(sm_buf_slice(&text), NULL);
            assert_true(status == SMELT_STATUS_ARTEFACT_SEAL ||
                        status == SMELT_STATUS_ARTEFACT_CORRUPT);
            text.data[i] ^= (uint8_t)change;
        }
    }
    assert_int_equal(read_text(sm_buf_slice(&text), NULL), SMELT_STATUS_OK);
    smelt_buf_deinit(&text);
}

static void test_every_other_length_is_noticed(void **state)
{
    (void)state;
    struct smelt_buf text = written();
    for (size_t size = 0; size < text.size; size++) {
        assert_int_not_equal(read_text(sm_slice(text.data, size), NULL), SMELT_STATUS_OK);
        assert_int_not_equal(read_text(sm_slice(text.data + size + 1, text.size - size - 1), NULL),
                             SMELT_STATUS_OK);
    }
    assert_true(sm_buf_append_u8(&text, '\n'));
    assert_int_equal(read_text(sm_buf_slice(&text), NULL), SMELT_STATUS_ARTEFACT_CORRUPT);
    smelt_buf_deinit(&text);
}

static void test_other_keys_do_not_open_it(void **state)
{
    (void)state;
    struct smelt_buf text = written();
    uint8_t other[32];
    struct sm_cache_manifest found;
    struct smelt_error err;
    for (size_t bit = 0; bit < 256; bit++) {
        memcpy(other, seal_key, sizeof(other));
        other[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(sm_cache_manifest_read(sm_buf_slice(&text), &key, other, &found, &err),
                         SMELT_STATUS_ARTEFACT_SEAL);
    }
    assert_non_null(strstr(err.message, "seal.key"));
    smelt_buf_deinit(&text);
}

#define HEAD      "{\n  \"format\": 1,\n"
#define KEY_LINE  "  \"key\": \"" KEY_HEX "\",\n"
#define SIZE_LINE "  \"size\": 7,\n"
#define DIGEST    "  \"digest\": \"" DIGEST_HEX "\",\n"
#define NO_FIELDS "  \"fields\": {}"

static void test_sealed_texts_of_the_wrong_form(void **state)
{
    (void)state;
    static const struct {
        const char *body; /* sealed correctly */
        const char *message;
    } cases[] = {
        {HEAD KEY_LINE SIZE_LINE DIGEST NO_FIELDS, NULL},
        /* order does not matter to the reader, only to the MAC */
        {HEAD SIZE_LINE KEY_LINE DIGEST NO_FIELDS, NULL},
        {"", "JSON"},
        {"[1", "JSON"},
        {"{", "JSON"},
        {"not json", "JSON"},
        {HEAD KEY_LINE SIZE_LINE DIGEST NO_FIELDS "}", "JSON"},
        {HEAD KEY_LINE SIZE_LINE DIGEST NO_FIELDS ",", "JSON"},
        {HEAD KEY_LINE SIZE_LINE DIGEST "  \"fields\": {\"a\": \"\xff\"}", "JSON"},
        {HEAD KEY_LINE SIZE_LINE DIGEST "  \"fields\": {\"a\": \"\\u0000\"}", "JSON"},
        {HEAD KEY_LINE SIZE_LINE SIZE_LINE DIGEST NO_FIELDS, "duplicate"},
        {HEAD KEY_LINE SIZE_LINE DIGEST "  \"mac\": \"\",\n" NO_FIELDS, "duplicate"},
        {HEAD KEY_LINE SIZE_LINE DIGEST "  \"fields\": {\"a\": \"\", \"a\": \"\"}", "duplicate"},
        {HEAD KEY_LINE SIZE_LINE DIGEST "  \"more\": 1,\n" NO_FIELDS, "unknown member"},
        {"{\n" KEY_LINE SIZE_LINE DIGEST NO_FIELDS, "no member format"},
        {HEAD SIZE_LINE DIGEST NO_FIELDS, "no member key"},
        {HEAD KEY_LINE DIGEST NO_FIELDS, "no member size"},
        {HEAD KEY_LINE SIZE_LINE NO_FIELDS, "no member digest"},
        {HEAD KEY_LINE SIZE_LINE "  \"digest\": \"" DIGEST_HEX "\"", "no member fields"},
        {"{\n  \"format\": 2,\n" KEY_LINE SIZE_LINE DIGEST NO_FIELDS, "another format"},
        {"{\n  \"format\": \"1\",\n" KEY_LINE SIZE_LINE DIGEST NO_FIELDS, "another format"},
        {"{\n  \"format\": 1.0,\n" KEY_LINE SIZE_LINE DIGEST NO_FIELDS, "another format"},
        {HEAD "  \"key\": \"" OTHER_HEX "\",\n" SIZE_LINE DIGEST NO_FIELDS, "another key"},
        {HEAD "  \"key\": \"01\",\n" SIZE_LINE DIGEST NO_FIELDS, "malformed key"},
        {HEAD "  \"key\": \"0x" KEY_HEX "\",\n" SIZE_LINE DIGEST NO_FIELDS, "malformed key"},
        {HEAD "  \"key\": 1,\n" SIZE_LINE DIGEST NO_FIELDS, "malformed key"},
        {HEAD KEY_LINE "  \"size\": -1,\n" DIGEST NO_FIELDS, "malformed size"},
        {HEAD KEY_LINE "  \"size\": 7.0,\n" DIGEST NO_FIELDS, "malformed size"},
        {HEAD KEY_LINE "  \"size\": \"7\",\n" DIGEST NO_FIELDS, "malformed size"},
        {HEAD KEY_LINE "  \"size\": 1073741824,\n" DIGEST NO_FIELDS, NULL},
        {HEAD KEY_LINE "  \"size\": 1073741825,\n" DIGEST NO_FIELDS, "malformed size"},
        {HEAD KEY_LINE "  \"size\": 9223372036854775808,\n" DIGEST NO_FIELDS, "JSON"},
        {HEAD KEY_LINE SIZE_LINE "  \"digest\": null,\n" NO_FIELDS, "malformed digest"},
        {HEAD KEY_LINE SIZE_LINE "  \"digest\": \"" DIGEST_HEX "0\",\n" NO_FIELDS,
         "malformed digest"},
        {HEAD KEY_LINE SIZE_LINE "  \"digest\": \"zz\",\n" NO_FIELDS, "malformed digest"},
        {HEAD KEY_LINE SIZE_LINE DIGEST "  \"fields\": []", "malformed fields"},
        {HEAD KEY_LINE SIZE_LINE DIGEST "  \"fields\": {\"a\": 1}", "malformed fields"},
        {HEAD KEY_LINE SIZE_LINE DIGEST "  \"fields\": {\"a\": {}}", "malformed fields"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smelt_buf text = {0};
        assert_true(sm_buf_append(&text, cases[i].body, strlen(cases[i].body)));
        assert_true(sm_cache_manifest_seal(&text, seal_key));
        struct smelt_error err = {0};
        enum smelt_status status = read_text(sm_buf_slice(&text), &err);
        if (cases[i].message == NULL) {
            assert_string_equal(err.message, "");
            assert_int_equal(status, SMELT_STATUS_OK);
        } else {
            assert_int_equal(status, SMELT_STATUS_ARTEFACT_CORRUPT);
            if (strstr(err.message, cases[i].message) == NULL) {
                fail_msg("row %zu: \"%s\" instead of \"%s\"", i, err.message, cases[i].message);
            }
        }
        smelt_buf_deinit(&text);
    }
}

static void test_deep_nesting_is_refused(void **state)
{
    (void)state;
    struct smelt_buf text = {0};
    assert_true(sm_buf_append(&text, "{\"fields\": ", 11));
    for (int i = 0; i < 60000; i++) {
        assert_true(sm_buf_append_u8(&text, '['));
    }
    assert_true(sm_cache_manifest_seal(&text, seal_key));
    assert_int_equal(read_text(sm_buf_slice(&text), NULL), SMELT_STATUS_ARTEFACT_CORRUPT);
    smelt_buf_deinit(&text);
}

static void test_writer_refuses_unfit_fields(void **state)
{
    (void)state;
    static char long_value[70000];
    memset(long_value, 'x', sizeof(long_value) - 1);
    const struct {
        struct sm_cache_field fields[2];
        size_t count;
    } cases[] = {
        {{{NULL, "v"}}, 1},
        {{{"", "v"}}, 1},
        {{{"n", NULL}}, 1},
        {{{"n", "line\nbreak"}}, 1},
        {{{"n\t", "v"}}, 1},
        {{{"n", "\x7f"}}, 1},
        {{{"n", "\xc2\x9b"}}, 1}, /* CSI as one C1 control */
        {{{"n", "\xff"}}, 1},
        {{{"n", "cut \xe2\x82"}}, 1},
        {{{"n", "v"}, {"n", "w"}}, 2},
        {{{"n", long_value}}, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smelt_buf text = {0};
        assert_int_equal(sm_cache_manifest_write(&manifest, &key, cases[i].fields, cases[i].count,
                                                 seal_key, &text, NULL),
                         SMELT_STATUS_INVALID_ARGUMENT);
        assert_null(text.data);
    }
    assert_int_equal(sm_alloc_blocks(), 0);
}

static void test_allocation_failures(void **state)
{
    (void)state;
    size_t nth = 1;
    for (;; nth++) {
        struct smelt_buf text = {0};
        sm_alloc_fail_at(nth);
        enum smelt_status status =
            sm_cache_manifest_write(&manifest, &key, fields, 3, seal_key, &text, NULL);
        sm_alloc_fail_at(0);
        smelt_buf_deinit(&text);
        assert_int_equal(sm_alloc_blocks(), 0);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
    }
    assert_true(nth > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_canonical),
        cmocka_unit_test(test_every_changed_byte_is_noticed),
        cmocka_unit_test(test_every_other_length_is_noticed),
        cmocka_unit_test(test_other_keys_do_not_open_it),
        cmocka_unit_test(test_sealed_texts_of_the_wrong_form),
        cmocka_unit_test(test_deep_nesting_is_refused),
        cmocka_unit_test(test_writer_refuses_unfit_fields),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
