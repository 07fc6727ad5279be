/* BLAKE2b-256 against an independent implementation (Python's hashlib, which follows RFC 7693), and
 * the framing of fields, which is part of every artefact key. */
#include "base/bytes.h"
#include "base/digest.h"
#include "tests/support/cmocka_all.h"

#include <string.h>

static void expect_hex(const struct smelt_hash *hash, const char *expected)
{
    char hex[2 * SMELT_HASH_BYTES + 1];
    smelt_hex_encode(hash->bytes, sizeof(hash->bytes), hex);
    assert_string_equal(hex, expected);
}

static void test_plain_digest(void **state)
{
    (void)state;
    /* of the first `size` bytes of 0, 1, … 250, 0, 1, …; around the block size of 128 */
    static const struct {
        size_t size;
        const char *digest;
    } cases[] = {
        {0, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"},
        {1, "03170a2e7597b7b7e3d84c05391d139a62b157e78786d8c082f29dcf4c111314"},
        {127, "f2fe67ff342e21b8f45e8f2e0bcd1d9243245d50ee6c78042e9c491388791c72"},
        {128, "c3582f71ebb2be66fa5dd750f80baae97554f3b015663c8be377cfcb2488c1d1"},
        {129, "f7f3c46ba2564ff4c4c162da1f5b605f9f1c4aa6a20652a9f9a337c1a2f5b9c9"},
        {256, "582f782226018ec33076bd8d1c42413530ac7e1126260ffc0f306ba3befc3f24"},
        {1000, "b372d0608f720c8c3dd41e9c8eecb10143b41abe520b616607e754bf79c08331"},
    };
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i % 251);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct smelt_hash hash;
        sm_digest_bytes(sm_slice(data, cases[i].size), &hash);
        expect_hex(&hash, cases[i].digest);
    }
    struct smelt_hash hash;
    sm_digest_bytes(sm_slice("abc", 3), &hash);
    expect_hex(&hash, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    sm_digest_bytes(sm_slice(NULL, 0), &hash);
    expect_hex(&hash, cases[0].digest);
}

static void add_fields(struct sm_digest *digest, struct smelt_hash *out)
{
    struct smelt_hash ascending;
    for (size_t i = 0; i < sizeof(ascending.bytes); i++) {
        ascending.bytes[i] = (uint8_t)i;
    }
    sm_digest_u32(digest, 0x01020304);
    sm_digest_u64(digest, 0x0102030405060708);
    sm_digest_slice(digest, sm_slice("\0\1\2", 3));
    sm_digest_text(digest, "text");
    sm_digest_hash(digest, &ascending);
    sm_digest_final(digest, out);
}

static void test_framing(void **state)
{
    (void)state;
    struct sm_digest digest;
    struct smelt_hash hash;
    /* length of the domain, domain, …: computed from the description in digest.h */
    sm_digest_init(&digest, "smelt.test.v1");
    add_fields(&digest, &hash);
    expect_hex(&hash, "279cd0a5848690c2e64297d03ed5749666804e0fe81de29527a8899d4e442eeb");

    uint8_t key[32];
    for (size_t i = 0; i < sizeof(key); i++) {
        key[i] = (uint8_t)i;
    }
    sm_digest_init_keyed(&digest, "smelt.test.v1", key);
    add_fields(&digest, &hash);
    expect_hex(&hash, "e1c3d91c098779ca1d8b744a419f7083b7cb757422f84940d8665f99a67892df");

    sm_digest_init(&digest, "smelt.test.v1");
    sm_digest_final(&digest, &hash);
    expect_hex(&hash, "2d67c85f9f1572fa71614e7733922fb6749095699b5bb17dbb9f195c2ab9293b");

    /* a missing text is an empty text is an empty slice */
    static const char empty[] = "06591f8f798fbe646f2495c88884d2879344d97066d8c4f9181e22a41ad3d4b4";
    sm_digest_init(&digest, "smelt.test.v1");
    sm_digest_text(&digest, NULL);
    sm_digest_final(&digest, &hash);
    expect_hex(&hash, empty);
    sm_digest_init(&digest, "smelt.test.v1");
    sm_digest_text(&digest, "");
    sm_digest_final(&digest, &hash);
    expect_hex(&hash, empty);
    sm_digest_init(&digest, "smelt.test.v1");
    sm_digest_slice(&digest, sm_slice(NULL, 0));
    sm_digest_final(&digest, &hash);
    expect_hex(&hash, empty);
}

static struct smelt_hash of_two_texts(const char *domain, const char *a, const char *b)
{
    struct sm_digest digest;
    struct smelt_hash hash;
    sm_digest_init(&digest, domain);
    sm_digest_text(&digest, a);
    sm_digest_text(&digest, b);
    sm_digest_final(&digest, &hash);
    return hash;
}

static void test_boundaries_of_fields_count(void **state)
{
    (void)state;
    const struct smelt_hash hashes[] = {
        of_two_texts("d", "ab", "c"),  of_two_texts("d", "a", "bc"), of_two_texts("d", "abc", ""),
        of_two_texts("d", "", "abc"),  of_two_texts("da", "b", "c"), of_two_texts("", "d", "abc"),
        of_two_texts("d2", "ab", "c"),
    };
    const size_t count = sizeof(hashes) / sizeof(hashes[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(sm_hash_equal(&hashes[i], &hashes[k]), i == k);
        }
    }
}

static void test_equality_looks_at_every_bit(void **state)
{
    (void)state;
    struct smelt_hash a;
    memset(&a, 0x5a, sizeof(a));
    for (size_t bit = 0; bit < 256; bit++) {
        struct smelt_hash b = a;
        assert_true(sm_hash_equal(&a, &b));
        b.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(sm_hash_equal(&a, &b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_digest),
        cmocka_unit_test(test_framing),
        cmocka_unit_test(test_boundaries_of_fields_count),
        cmocka_unit_test(test_equality_looks_at_every_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
