/* Keccak-256 and Ed25519 against published vectors, and against values of an independent program
 * (Keccak-f written from the specification, checked there against SHA3-256 of another library). */
#include "tests/support/cmocka_all.h"

#include "base/bytes.h"
#include "runtime/crypto/ed25519.h"
#include "runtime/crypto/keccak.h"

#include <string.h>

/* Messages of `size` bytes: byte i is i mod 251. The sizes sit around the block of 136 bytes, where
 * the two padding bytes share one byte (135) or get a block of their own (136). */
static const struct {
    size_t size;
    const char *hash;
} keccak_rows[] = {
    {0, "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"},
    {1, "bc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a"},
    {134, "861e165162f806cd361c4421a48f205820ddf4deb02db9f041f48e179ddada97"},
    {135, "cbdfd9dee5faad3818d6b06f95a219fd290b0e1706f6a82e5a595b9ce9faca62"},
    {136, "7ce759f1ab7f9ce437719970c26b0a66ff11fe3e38e17df89cf5d29c7d7f807e"},
    {137, "ac73d4fae68b8453f764007c1a20ce95994187861f0c3227a3a8e99a73a3b1db"},
    {271, "27eceb59ebc3dc8a04a5b135be641591a7278540e4556a2ba9f408194e666ec3"},
    {272, "8e2476e65823b24d96ebe239f2c1534cdf763e689e2410c3b1cb0c74e6177bfc"},
    {273, "3f02f134370e4debb95140ef49ddd3aed8c65ff1ed83a43f1b269421f179c5f9"},
    {1000, "af692982e84a5a9688359025660a7857cd28ee7c8d867cfa1677baf2e6d1f63b"},
};

static void assert_keccak(struct smelt_slice data, const char *expected)
{
    uint8_t hash[SM_KECCAK256_BYTES];
    char text[2 * sizeof(hash) + 1];
    sm_crypto_keccak256(data, hash);
    smelt_hex_encode(hash, sizeof(hash), text);
    assert_string_equal(text, expected);
}

static void keccak_agrees_with_the_vectors(void **state)
{
    uint8_t data[1000];
    (void)state;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i % 251);
    }
    for (size_t i = 0; i < sizeof(keccak_rows) / sizeof(keccak_rows[0]); i++) {
        assert_keccak(sm_slice(data, keccak_rows[i].size), keccak_rows[i].hash);
    }
    assert_keccak(smelt_slice_from_string("abc"),
                  "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45");
    assert_keccak(sm_slice(NULL, 0), keccak_rows[0].hash);
}

/* RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc). */
static const struct {
    const char *public_key;
    const char *message;
    const char *signature;
} ed25519_rows[] = {
    {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "46bd25bf5f0595bbe24655141438e7a100b"},
    {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "6594a7c15e9716ed28dc027beceea1ec40a"},
    {"ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3fee"
     "bbd454d4423643ce80e2a9ac94fa54ca49f",
     "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e"
     "0303dca179c138ac17ad9bef1177331a704"},
};

static size_t decode(const char *hex, uint8_t *out)
{
    size_t size = strlen(hex) / 2;
    assert_true(smelt_hex_decode(hex, out, size));
    return size;
}

static void ed25519_accepts_the_vectors_and_nothing_near_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ed25519_rows) / sizeof(ed25519_rows[0]); i++) {
        uint8_t key[33] = {0};
        uint8_t message[65] = {0};
        uint8_t signature[65] = {0};
        size_t size = decode(ed25519_rows[i].message, message);
        (void)decode(ed25519_rows[i].public_key, key);
        (void)decode(ed25519_rows[i].signature, signature);
        struct smelt_slice m = sm_slice(message, size);
        struct smelt_slice s = sm_slice(signature, 64);
        struct smelt_slice k = sm_slice(key, 32);
        assert_true(sm_crypto_ed25519_verify(m, s, k));
        assert_false(sm_crypto_ed25519_verify(sm_slice(message, size + 1), s, k));
        assert_false(sm_crypto_ed25519_verify(m, sm_slice(signature, 63), k));
        assert_false(sm_crypto_ed25519_verify(m, sm_slice(signature, 65), k));
        assert_false(sm_crypto_ed25519_verify(m, sm_slice(signature, 0), k));
        assert_false(sm_crypto_ed25519_verify(m, s, sm_slice(key, 31)));
        assert_false(sm_crypto_ed25519_verify(m, s, sm_slice(key, 33)));
        for (size_t bit = 0; bit < 64 * 8; bit += 37) {
            signature[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_false(sm_crypto_ed25519_verify(m, s, k));
            signature[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
}

/* S + L satisfies the curve equation too; accepting it would make signatures malleable. */
static void ed25519_refuses_a_signature_with_unreduced_s(void **state)
{
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    uint8_t key[32];
    uint8_t signature[64];
    (void)state;
    (void)decode(ed25519_rows[0].public_key, key);
    (void)decode(ed25519_rows[0].signature, signature);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)signature[32 + i] + order[i];
        signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_false(
        sm_crypto_ed25519_verify(sm_slice(NULL, 0), sm_slice(signature, 64), sm_slice(key, 32)));
}

/* The neutral element as key and R, S = 0: valid for every message where small orders are let in.
 */
static void ed25519_refuses_points_of_small_order(void **state)
{
    uint8_t key[32] = {1};
    uint8_t signature[64] = {1};
    (void)state;
    assert_false(sm_crypto_ed25519_verify(smelt_slice_from_string("any"), sm_slice(signature, 64),
                                          sm_slice(key, 32)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keccak_agrees_with_the_vectors),
        cmocka_unit_test(ed25519_accepts_the_vectors_and_nothing_near_them),
        cmocka_unit_test(ed25519_refuses_a_signature_with_unreduced_s),
        cmocka_unit_test(ed25519_refuses_points_of_small_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
