/* What the tests of the state share: a scratch directory, a seeded generator, short spellings. */
#ifndef SM_TESTS_STATE_SUPPORT_H
#define SM_TESTS_STATE_SUPPORT_H

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "tests/support/cmocka_all.h"

#include <smelt/store.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scratch {
    char path[64];
};

static inline void scratch_create(struct scratch *scratch)
{
    (void)snprintf(scratch->path, sizeof(scratch->path), "/tmp/smelt-state-test-XXXXXX");
    assert_non_null(mkdtemp(scratch->path));
}

static inline void scratch_remove(const struct scratch *scratch)
{
    assert_int_equal(sm_fs_remove_tree(scratch->path, NULL), SMELT_STATUS_OK);
}

static inline const char *scratch_path(const struct scratch *scratch, const char *name, char *out)
{
    assert_int_equal(sm_fs_path(out, PATH_MAX, NULL, "%s/%s", scratch->path, name),
                     SMELT_STATUS_OK);
    return out;
}

/* xorshift64*: the same sequence everywhere; `seed` is not zero. */
static inline uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(0x2545f4914f6cdd1d);
}

static inline size_t random_below(uint64_t *seed, size_t limit)
{
    return (size_t)(next_random(seed) >> 33) % limit;
}

static inline struct smelt_slice text(const char *string)
{
    return smelt_slice_from_string(string);
}

static inline struct smelt_store_write put_of(enum smelt_store_family family, const char *key,
                                              const char *value)
{
    return (struct smelt_store_write){.family = family, .key = text(key), .value = text(value)};
}

static inline struct smelt_store_write delete_of(enum smelt_store_family family, const char *key)
{
    return (struct smelt_store_write){.family = family, .key = text(key), .is_delete = true};
}

static inline enum smelt_status write_one(struct smelt_store *store, enum smelt_store_family family,
                                          const char *key, const char *value)
{
    struct smelt_store_write write = put_of(family, key, value);
    return store->ops->write(store->impl, &write, 1, NULL);
}

/* `expected` NULL: the key must be missing. */
static inline void assert_value(struct smelt_store *store, void *snapshot,
                                enum smelt_store_family family, const char *key,
                                const char *expected)
{
    struct smelt_buf value = {0};
    bool is_found = false;
    assert_int_equal(
        store->ops->get(store->impl, snapshot, family, text(key), &value, &is_found, NULL),
        SMELT_STATUS_OK);
    assert_int_equal(is_found, expected != NULL);
    if (expected != NULL) {
        assert_true(sm_slice_equal_text(sm_buf_slice(&value), expected));
    }
    smelt_buf_deinit(&value);
}

#endif
