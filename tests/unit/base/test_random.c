/* The keyed hash against values of an independent implementation, which agrees with the vectors of
 * the SipHash paper (Aumasson and Bernstein, 2012) for its 2-4 and with CPython for 1-3; and keys
 * that differ. */
#include "base/bytes.h"
#include "base/random.h"
#include "tests/support/cmocka_all.h"

#include <string.h>

static void test_siphash(void **state)
{
    (void)state;
    /* of the first `size` bytes of 0, 1, 2 …, under the key 0, 1 … 15 */
    static const struct {
        size_t size;
        uint64_t hash;
    } cases[] = {
        {0, UINT64_C(0xabac0158050fc4dc)},
        {8, UINT64_C(0x369095118d299a8e)},
        {15, UINT64_C(0xd320d86d2a519956)},
        {63, UINT64_C(0x9d199062b7bbb3a8)},
    };
    struct sm_hash_key key;
    uint8_t data[63];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)i;
    }
    memcpy(key.bytes, data, sizeof(key.bytes));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(sm_hash_keyed(&key, sm_slice(data, cases[i].size)), cases[i].hash);
    }
}

static void test_nothing_hashes_without_being_read(void **state)
{
    (void)state;
    const struct sm_hash_key key = {{0}};
    assert_int_equal(sm_hash_keyed(&key, (struct smelt_slice){NULL, 0}),
                     sm_hash_keyed(&key, sm_slice(key.bytes, 0)));
}

static void test_keys_are_fresh(void **state)
{
    (void)state;
    struct sm_hash_key keys[2];
    assert_int_equal(sm_hash_key_init(&keys[0], NULL), SMELT_STATUS_OK);
    assert_int_equal(sm_hash_key_init(&keys[1], NULL), SMELT_STATUS_OK);
    assert_memory_not_equal(&keys[0], &keys[1], sizeof(keys[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_nothing_hashes_without_being_read),
        cmocka_unit_test(test_keys_are_fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
