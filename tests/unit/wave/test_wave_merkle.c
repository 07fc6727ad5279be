/* Merkle trees and blooms: against values that a few lines of Python over hashlib.blake2b gave, and
 * against the definition as it is written in RFC 9162. */
#include "runtime/wave/merkle.h"

#include "base/digest.h"
#include "runtime/wave/bloom.h"
#include "tests/unit/state/state_support.h"

/* Leaf n is 32 bytes of n + 1. */
static const char *const roots[] = {
    "217b43bd996a31443a5cc4604811ce962fa203d72b9b0a782921e9ed983bf933",
    "0101010101010101010101010101010101010101010101010101010101010101",
    "e84b2e6b3d5b7fcacbd2e3462c083db9dd7e5aa4e2ec6a9c422d2efc714ee5ee",
    "52b9d77df63e4455d333fe4c113d59b84491640e9e85700cf3356a7de0afbc41",
    "56c94461157745af9684876b43c8db357dc5c614e652eb78171364fea8a7257c",
    "5a6e0436d748749613d6e03a4f7034826bccd5014ccabf6fe98c834a210bd956",
    "de009e432e7eb4a73cf0e14759e7a200a8b18b59435079772eaa436003b5a25f",
    "7b12639ddd81ca019325045c17ed8f728364eb3caad304cdad31342117f09709",
    "bc1168454ae20f4947599ac6cf6ec8089490337c0cbbc1eca8531b3376245409",
    "dd12edfd9847c93e36b83e0be272e81d5a8703f02dbdffa8d041c9bf14cf1139",
};

static void test_roots_are_fixed(void **state)
{
    (void)state;
    struct sm_merkle merkle = {0};
    for (size_t n = 0; n < sizeof(roots) / sizeof(roots[0]); n++) {
        struct smelt_hash root;
        struct smelt_hash leaf;
        char hex[2 * SMELT_HASH_BYTES + 1];
        sm_merkle_root(&merkle, &root);
        smelt_hex_encode(root.bytes, sizeof(root.bytes), hex);
        assert_string_equal(hex, roots[n]);
        memset(leaf.bytes, (int)n + 1, sizeof(leaf.bytes));
        sm_merkle_add(&merkle, &leaf);
    }
}

/* MTH(D[n]) of RFC 9162, section 2.1.1. */
static struct smelt_hash mth(const struct smelt_hash *leaves, size_t count)
{
    struct sm_digest digest;
    struct smelt_hash root;
    if (count == 1) {
        return leaves[0];
    }
    size_t k = 1;
    while (2 * k < count) {
        k *= 2;
    }
    struct smelt_hash left = mth(leaves, k);
    struct smelt_hash right = mth(leaves + k, count - k);
    sm_digest_init(&digest, "smelt.merkle.node.v1");
    sm_digest_hash(&digest, &left);
    sm_digest_hash(&digest, &right);
    sm_digest_final(&digest, &root);
    return root;
}

static void test_adding_one_by_one_is_the_definition(void **state)
{
    (void)state;
    enum { COUNT = 300 };
    static struct smelt_hash leaves[COUNT];
    struct sm_merkle merkle = {0};
    uint64_t seed = 1;
    for (size_t n = 0; n < COUNT; n++) {
        struct smelt_hash root;
        sm_store_le64(leaves[n].bytes, next_random(&seed));
        sm_merkle_add(&merkle, &leaves[n]);
        sm_merkle_root(&merkle, &root);
        struct smelt_hash expected = mth(leaves, n + 1);
        assert_memory_equal(root.bytes, expected.bytes, sizeof(root.bytes));
    }
}

static void test_bits_are_fixed(void **state)
{
    (void)state;
    uint8_t counting[32];
    uint8_t long_item[300];
    for (size_t i = 0; i < sizeof(counting); i++) {
        counting[i] = (uint8_t)i;
    }
    memset(long_item, 0xff, sizeof(long_item));
    const struct {
        struct smelt_slice item;
        uint32_t bits[3];
    } rows[] = {
        {text(""), {162, 988, 5}},
        {text("transfer"), {129, 1104, 162}},
        {sm_slice(counting, sizeof(counting)), {116, 923, 133}},
        {sm_slice(long_item, sizeof(long_item)), {1738, 1015, 399}},
    };
    uint8_t all[SMELT_BLOOM_BYTES] = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bloom[SMELT_BLOOM_BYTES] = {0};
        uint8_t expected[SMELT_BLOOM_BYTES] = {0};
        assert_false(smelt_bloom_may_contain(bloom, rows[i].item));
        sm_bloom_add(bloom, rows[i].item);
        for (size_t j = 0; j < 3; j++) {
            expected[rows[i].bits[j] / 8] |= (uint8_t)(1 << rows[i].bits[j] % 8);
        }
        assert_memory_equal(bloom, expected, sizeof(bloom));
        assert_true(smelt_bloom_may_contain(bloom, rows[i].item));
        /* two bits of three are not enough */
        bloom[rows[i].bits[1] / 8] = 0;
        assert_false(smelt_bloom_may_contain(bloom, rows[i].item));
        sm_bloom_join(all, expected);
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(smelt_bloom_may_contain(all, rows[i].item));
    }
    assert_false(smelt_bloom_may_contain(all, text("approve")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roots_are_fixed),
        cmocka_unit_test(test_adding_one_by_one_is_the_definition),
        cmocka_unit_test(test_bits_are_fixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
