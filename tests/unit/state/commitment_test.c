/* The commitment to a state: batches, enabling with interruptions, and proofs, which are taken
 * apart bit by bit. */
#include "runtime/state/commitment.h"

#include "runtime/state/keys.h"
#include "tests/unit/state/tree_reference.h"

#define ACCOUNTS 12
#define OWN_KEYS 16
#define KEYS     (ACCOUNTS * (1 + OWN_KEYS))

static struct smelt_store *open_store(void)
{
    struct smelt_store *store = NULL;
    assert_int_equal(smelt_store_create_memory(&store, NULL), SMELT_STATUS_OK);
    return store;
}

static void enable(struct smelt_store *store)
{
    struct smelt_error err = {0};
    enum smelt_status status = smelt_commitment_enable(store, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, SMELT_STATUS_OK);
}

static struct smelt_hash root_of(struct smelt_store *store)
{
    struct smelt_hash root;
    bool is_enabled = false;
    assert_int_equal(smelt_commitment_root(store, &root, &is_enabled, NULL), SMELT_STATUS_OK);
    assert_true(is_enabled);
    return root;
}

static bool is_enabled(struct smelt_store *store)
{
    struct smelt_hash root;
    bool is = true;
    assert_int_equal(smelt_commitment_root(store, &root, &is, NULL), SMELT_STATUS_OK);
    return is;
}

/* Key `i` of KEYS: the account, or one of the storage keys, of one of ACCOUNTS addresses. */
static struct smelt_state_key key_of(size_t i, uint8_t own[OWN_KEYS])
{
    struct smelt_state_key key = {.address = {{(uint8_t)(1 + i / (1 + OWN_KEYS))}}};
    size_t size = i % (1 + OWN_KEYS);
    if (size != 0) {
        memset(own, 'k', OWN_KEYS);
        key.is_storage = true;
        key.key = sm_slice(own, size - 1);
    }
    return key;
}

static void encode_key(const struct smelt_state_key *key, struct sm_state_key *out)
{
    if (key->is_storage) {
        sm_state_storage_key(&key->address, key->key, out);
    } else {
        sm_state_account_key(&key->address, out);
    }
}

/* `value` 0: deleted; else as many bytes as it says. */
static struct smelt_store_write write_of(size_t i, uint8_t value, struct sm_state_key *key)
{
    static const uint8_t bytes[UINT8_MAX] = {0xab};
    uint8_t own[OWN_KEYS];
    struct smelt_state_key state_key = key_of(i, own);
    encode_key(&state_key, key);
    return (struct smelt_store_write){.family = SMELT_STORE_STATE,
                                      .key = sm_state_key_slice(key),
                                      .value = sm_slice(bytes, value != 0 ? value - 1u : 0),
                                      .is_delete = value == 0};
}

struct model {
    uint8_t values[KEYS];
};

/* Writes a batch with its update as one; returns how many writes the tree needed. */
static size_t commit(struct smelt_store *store, const struct smelt_store_write *writes,
                     size_t count)
{
    struct smelt_store_write all[KEYS + 1024];
    struct sm_commitment_update *update = NULL;
    struct smelt_error err = {0};
    enum smelt_status status = sm_commitment_update(store, writes, count, &update, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, SMELT_STATUS_OK);
    size_t update_count = update != NULL ? update->count : 0;
    assert_true(count + update_count <= sizeof(all) / sizeof(all[0]));
    for (size_t i = 0; i < count; i++) {
        all[i] = writes[i];
    }
    for (size_t i = 0; i < update_count; i++) {
        all[count + i] = update->writes[i];
    }
    assert_int_equal(store->ops->write(store->impl, all, count + update_count, NULL),
                     SMELT_STATUS_OK);
    if (update != NULL) {
        struct smelt_hash root = root_of(store);
        assert_memory_equal(root.bytes, update->root.bytes, 32);
    }
    sm_commitment_update_destroy(update);
    return update_count;
}

static void commit_one(struct smelt_store *store, size_t i, uint8_t value)
{
    struct sm_state_key key;
    struct smelt_store_write write = write_of(i, value, &key);
    (void)commit(store, &write, 1);
}

/* Some of the keys with new values; returns whether that changes anything. */
static bool commit_random(struct smelt_store *store, struct model *model, uint64_t *seed)
{
    static struct sm_state_key keys[KEYS];
    struct smelt_store_write writes[KEYS];
    size_t count = 0;
    bool is_changed = false;
    size_t among = random_below(seed, 8) == 0 ? 2 : 40;
    for (size_t i = 0; i < KEYS; i++) {
        if (random_below(seed, among) == 0) {
            uint8_t value = (uint8_t)random_below(seed, 4);
            writes[count] = write_of(i, value, &keys[i]);
            count++;
            is_changed = is_changed || model->values[i] != value;
            model->values[i] = value;
        }
    }
    size_t update_count = commit(store, writes, count);
    assert_true(!is_enabled(store) || (update_count != 0) == is_changed);
    return is_changed;
}

static bool add_reference(void *context, struct smelt_slice key, struct smelt_slice value)
{
    struct smelt_hash hash;
    sm_commitment_hash_key(key, &hash);
    assert_true(sm_buf_append(context, hash.bytes, 32));
    sm_commitment_hash_value(value, &hash);
    assert_true(sm_buf_append(context, hash.bytes, 32));
    return true;
}

/* The recorded root is the one of the definition, and what computing it from scratch gives. */
static void assert_root(struct smelt_store *store)
{
    struct smelt_buf leaves = {0};
    uint8_t expected[32];
    struct smelt_hash root = root_of(store);
    assert_int_equal(store->ops->iterate(store->impl, NULL, SMELT_STORE_STATE, sm_slice(NULL, 0),
                                         add_reference, &leaves, NULL),
                     SMELT_STATUS_OK);
    /* sm_buf memory is the allocator's, aligned for anything */
    reference_root((struct reference_leaf *)(void *)leaves.data,
                   leaves.size / sizeof(struct reference_leaf), 0, expected);
    assert_memory_equal(root.bytes, expected, 32);
    assert_int_equal(sm_commitment_compute(store, NULL, &root, NULL), SMELT_STATUS_OK);
    assert_memory_equal(root.bytes, expected, 32);
    assert_int_equal(sm_commitment_compute_within(store, NULL, 5, &root, NULL), SMELT_STATUS_OK);
    assert_memory_equal(root.bytes, expected, 32);
    smelt_buf_deinit(&leaves);
}

static void fill(struct smelt_store *store, const struct model *model)
{
    for (size_t i = KEYS; i-- > 0;) {
        if (model->values[i] != 0) {
            commit_one(store, i, model->values[i]);
        }
    }
}

/* ---- roots ----------------------------------------------------------------------------------- */

/* Of the last of the states below; the program that verifies proofs in docs/commitment.md takes
 * them. */
static void assert_known_proofs(struct smelt_store *store)
{
#define K_AND_ITS_SIBLINGS                                                                         \
    "10f05db0c700466dd25b56a73a59679c4002fbe89ef7fda879fa4ae553ce5fa6"                             \
    "b03ecc75f3a519216f13d26b714c405aeb447bde61a69e757e2072e922dd1e75"
    static const struct {
        const char *key;
        const char *proof;
    } rows[] = {
        {"k", "0100030005" K_AND_ITS_SIBLINGS "76"},
        {"other", "0101020003"
                  "10f05db0c700466dd25b56a73a59679c4002fbe89ef7fda879fa4ae553ce5fa6"
                  "8b45648f4f1b7a57ddf91812b8e1518bffc70bd233ff821fccc39340ffe846b4"},
        {"no", "0102030005" K_AND_ITS_SIBLINGS
               "68446138fa994c20d832ab2c3282283c24b8521d79d4259861670b280a99f4e5"
               "80da34719d54d01bc2cb5a744ec7bcf5931e030f50f14a8123dc2953c5d3a9bc"},
    };
#undef K_AND_ITS_SIBLINGS
    struct smelt_buf proof = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct smelt_state_key key = {
            .address = {{1}}, .is_storage = true, .key = text(rows[i].key)};
        char hex[512];
        bool is_found = false;
        proof.size = 0;
        assert_int_equal(smelt_state_prove(store, &key, &proof, NULL, &is_found, NULL),
                         SMELT_STATUS_OK);
        assert_true(2 * proof.size < sizeof(hex));
        smelt_hex_encode(proof.data, proof.size, hex);
        assert_string_equal(hex, rows[i].proof);
    }
    smelt_buf_deinit(&proof);
}

/* Known answers, by a program of some lines of Python with hashlib.blake2b. */
static void test_known_roots(void **state)
{
    (void)state;
    static const char *const roots[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "99046b48edc98e9642dc4fd1b493c9a288eed20e0de4c608f99a1864cee7461a",
        "71ed4f96769dbcdf972f9c93580bacf38e553fca866efb17320a990580cc81ed",
        "c048ff04bc330e23fb9d63d6ca59d64bb9322e45dea9d921d88097dd9a2a1dba",
        "dc908ea355cdeb2edc4febb906d852b3e86a85f029d46b66f081e842ef5141d5",
        "5bd2c60d41ed6cbcf90c42f4a81aeecf2682675a87be9b40a759d6479c44ae96",
    };
    const struct smelt_address address = {{1}};
    static const uint8_t zeroes[40];
    /* to the tree the account's record is bytes like any other */
    static const uint8_t record[56] = {[0] = 100, [16] = 7};
    uint8_t ones[200] = {0};
    struct sm_state_key keys[5];
    struct smelt_slice values[5] = {sm_slice(record, sizeof(record)), sm_slice(NULL, 0), text("v"),
                                    text("value"), sm_slice(ones, sizeof(ones))};
    struct smelt_store *store = open_store();
    memset(ones, 0xff, sizeof(ones));
    sm_state_account_key(&address, &keys[0]);
    sm_state_storage_key(&address, sm_slice(NULL, 0), &keys[1]);
    sm_state_storage_key(&address, text("k"), &keys[2]);
    sm_state_storage_key(&address, text("key"), &keys[3]);
    sm_state_storage_key(&address, sm_slice(zeroes, sizeof(zeroes)), &keys[4]);
    assert_false(is_enabled(store));
    enable(store);
    for (size_t i = 0;; i++) {
        struct smelt_hash root = root_of(store);
        assert_hex(&root, roots[i]);
        assert_root(store);
        if (i == 5) {
            assert_known_proofs(store);
            break;
        }
        const struct smelt_store_write write = {
            .family = SMELT_STORE_STATE, .key = sm_state_key_slice(&keys[i]), .value = values[i]};
        assert_int_not_equal(commit(store, &write, 1), 0);
    }
    smelt_store_close(store);
}

static void test_known_root_of_a_thousand(void **state)
{
    (void)state;
    const struct smelt_address address = {{1}};
    struct smelt_store *store = open_store();
    for (uint32_t i = 0; i < 1000; i++) {
        struct sm_state_key key;
        uint8_t own[4];
        uint8_t value[4];
        sm_store_le32(own, i);
        sm_store_le32(value, i * i);
        sm_state_storage_key(&address, sm_slice(own, 4), &key);
        const struct smelt_store_write write = {.family = SMELT_STORE_STATE,
                                                .key = sm_state_key_slice(&key),
                                                .value = sm_slice(value, 4)};
        assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
    }
    enable(store);
    struct smelt_hash root = root_of(store);
    assert_hex(&root, "da89ea5d3828887cc1889364a9c5b399cf8625455e3a5ee52017a008f9cf25d9");
    smelt_store_close(store);
}

static void test_random_batches(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        uint64_t random = seed * 1234567;
        struct model model = {{0}};
        struct smelt_store *store = open_store();
        if (seed % 2 == 0) {
            (void)commit_random(store, &model, &random); /* there is a state before the tree */
        }
        assert_int_equal(sm_commitment_enable_within(store, 7, NULL), SMELT_STATUS_OK);
        for (size_t batch = 0; batch < 150; batch++) {
            (void)commit_random(store, &model, &random);
            assert_root(store);
        }
        /* the same state by another way: the same nodes */
        struct smelt_store *other = open_store();
        enable(other);
        fill(other, &model);
        assert_same_family(store, other, SMELT_STORE_STATE);
        assert_same_family(store, other, SMELT_STORE_TREE);
        assert_same_family(store, other, SMELT_STORE_META);
        smelt_store_close(other);
        smelt_store_close(store);
    }
}

static void test_nothing_without_a_commitment(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct smelt_state_key key = {.address = {{1}}};
    struct smelt_buf proof = {0};
    struct smelt_buf nodes = {0};
    bool is_found = true;
    commit_one(store, 0, 3);
    assert_int_equal(smelt_account_fund(store, &key.address, (struct smelt_u128){.low = 1}, NULL),
                     SMELT_STATUS_STORE_CORRUPT); /* its record has two bytes */
    commit_one(store, 0, 0);
    assert_int_equal(smelt_account_fund(store, &key.address, (struct smelt_u128){.low = 1}, NULL),
                     SMELT_STATUS_OK);
    assert_int_equal(smelt_state_prove(store, &key, &proof, NULL, &is_found, NULL),
                     SMELT_STATUS_STATE_MISMATCH);
    assert_false(is_found);
    assert_int_equal(proof.size, 0);
    dump_family(store, SMELT_STORE_TREE, &nodes);
    assert_int_equal(nodes.size, 0);
    assert_false(is_enabled(store));
    smelt_buf_deinit(&proof);
    smelt_buf_deinit(&nodes);
    smelt_store_close(store);
}

static void test_funding_moves_the_root(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    const struct smelt_address alice = {{0xa1}};
    const struct smelt_address bob = {{0xb0}};
    enable(store);
    for (uint64_t i = 1; i < 4; i++) {
        struct smelt_hash before = root_of(store);
        assert_int_equal(
            smelt_account_fund(store, i == 2 ? &bob : &alice, (struct smelt_u128){.low = i}, NULL),
            SMELT_STATUS_OK);
        struct smelt_hash after = root_of(store);
        assert_memory_not_equal(before.bytes, after.bytes, 32);
        assert_root(store);
    }
    struct smelt_hash before = root_of(store);
    assert_int_equal(smelt_account_fund(store, &alice, (struct smelt_u128){.low = 0}, NULL),
                     SMELT_STATUS_OK);
    struct smelt_hash after = root_of(store);
    assert_memory_equal(before.bytes, after.bytes, 32);
    smelt_store_close(store);
}

static void test_damaged_records(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    const struct smelt_address alice = {{0xa1}};
    static const struct {
        const char *record; /* without its last 31 bytes, in hex */
        size_t size;
        const char *message;
    } rows[] = {
        {"0100000000", 35, "35 bytes instead of 36"},
        {"0100000000", 37, "37 bytes instead of 36"},
        {"0100000000", 0, "0 bytes instead of 36"},
        {"0000000000", 36, "format 0"},
        {"0200000000", 36, "format 2"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t record[37] = {0};
        struct smelt_error err = {0};
        struct smelt_hash root;
        bool is = true;
        assert_true(smelt_hex_decode(rows[i].record, record, 5));
        const struct smelt_store_write write = {.family = SMELT_STORE_META,
                                                .key = text("commitment"),
                                                .value = sm_slice(record, rows[i].size)};
        assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
        assert_int_equal(smelt_commitment_root(store, &root, &is, &err),
                         SMELT_STATUS_STORE_CORRUPT);
        assert_false(is);
        assert_non_null(strstr(err.message, rows[i].message));
        assert_int_equal(smelt_commitment_enable(store, NULL), SMELT_STATUS_STORE_CORRUPT);
        assert_int_equal(smelt_account_fund(store, &alice, (struct smelt_u128){.low = 1}, NULL),
                         SMELT_STATUS_STORE_CORRUPT);
    }
    smelt_store_close(store);
}

/* ---- enabling -------------------------------------------------------------------------------- */

/* Passes everything on, until `writes_left` writes are through. */
struct failing_store {
    struct smelt_store handle;
    struct smelt_store *inner;
    size_t writes_left;
};

static struct smelt_store *inner_of(void *impl)
{
    return ((struct failing_store *)impl)->inner;
}

static enum smelt_status failing_snapshot(void *impl, void **snapshot, struct smelt_error *err)
{
    return inner_of(impl)->ops->snapshot(inner_of(impl)->impl, snapshot, err);
}

static void failing_release(void *impl, void *snapshot)
{
    inner_of(impl)->ops->release(inner_of(impl)->impl, snapshot);
}

static enum smelt_status failing_get(void *impl, void *snapshot, enum smelt_store_family family,
                                     struct smelt_slice key, struct smelt_buf *value, bool *found,
                                     struct smelt_error *err)
{
    return inner_of(impl)->ops->get(inner_of(impl)->impl, snapshot, family, key, value, found, err);
}

static enum smelt_status failing_iterate(void *impl, void *snapshot, enum smelt_store_family family,
                                         struct smelt_slice prefix, smelt_store_visit_fn visit,
                                         void *context, struct smelt_error *err)
{
    return inner_of(impl)->ops->iterate(inner_of(impl)->impl, snapshot, family, prefix, visit,
                                        context, err);
}

static enum smelt_status failing_write(void *impl, const struct smelt_store_write *writes,
                                       size_t count, struct smelt_error *err)
{
    struct failing_store *store = (struct failing_store *)impl;
    if (store->writes_left == 0) {
        return SMELT_STATUS_NO_SPACE;
    }
    store->writes_left--;
    return store->inner->ops->write(store->inner->impl, writes, count, err);
}

static const struct smelt_store_ops failing_ops = {.snapshot = failing_snapshot,
                                                   .release = failing_release,
                                                   .get = failing_get,
                                                   .iterate = failing_iterate,
                                                   .write = failing_write};

/* Stops enabling before each of its writes; in between the state goes on without a commitment, and
 * the next attempt starts from what is left of the last one. */
static void test_enabling_is_interrupted(void **state)
{
    (void)state;
    uint64_t seed = 99;
    struct model model = {{0}};
    struct smelt_store *store = open_store();
    struct failing_store failing = {.handle = {.ops = &failing_ops, .impl = &failing},
                                    .inner = store};
    size_t interruptions = 0;
    while (!commit_random(store, &model, &seed)) {
    }
    for (;; interruptions++) {
        (void)commit_random(store, &model, &seed);
        failing.writes_left = interruptions;
        enum smelt_status status = sm_commitment_enable_within(&failing.handle, 9, NULL);
        if (status == SMELT_STATUS_OK) {
            break;
        }
        assert_int_equal(status, SMELT_STATUS_NO_SPACE);
        assert_false(is_enabled(store));
    }
    assert_true(interruptions > 10);
    assert_root(store);
    struct smelt_store *fresh = open_store();
    enable(fresh);
    fill(fresh, &model);
    assert_same_family(store, fresh, SMELT_STORE_TREE);
    /* once more does nothing */
    failing.writes_left = 0;
    assert_int_equal(smelt_commitment_enable(&failing.handle, NULL), SMELT_STATUS_OK);
    smelt_store_close(fresh);
    smelt_store_close(store);
}

static void test_over_rocksdb(void **state)
{
    (void)state;
    uint64_t seed = 5;
    struct model model = {{0}};
    struct scratch scratch;
    char path[PATH_MAX];
    struct smelt_store *store = NULL;
    scratch_create(&scratch);
    assert_int_equal(
        smelt_store_open_rocksdb(scratch_path(&scratch, "db", path), NULL, &store, NULL),
        SMELT_STATUS_OK);
    const struct smelt_store_write stray = {
        .family = SMELT_STORE_TREE, .key = text("left over"), .value = text("")};
    assert_int_equal(store->ops->write(store->impl, &stray, 1, NULL), SMELT_STATUS_OK);
    (void)commit_random(store, &model, &seed);
    (void)commit_random(store, &model, &seed);
    assert_int_equal(sm_commitment_enable_within(store, 9, NULL), SMELT_STATUS_OK);
    assert_root(store);
    for (size_t i = 0; i < 10; i++) {
        (void)commit_random(store, &model, &seed);
        assert_root(store);
    }
    struct smelt_hash root = root_of(store);
    smelt_store_close(store);
    assert_int_equal(smelt_store_open_rocksdb(path, NULL, &store, NULL), SMELT_STATUS_OK);
    struct smelt_hash again = root_of(store);
    assert_memory_equal(root.bytes, again.bytes, 32);
    struct smelt_store *fresh = open_store();
    enable(fresh);
    fill(fresh, &model);
    assert_same_family(store, fresh, SMELT_STORE_TREE);
    smelt_store_close(fresh);
    smelt_store_close(store);
    scratch_remove(&scratch);
}

/* ---- proofs ---------------------------------------------------------------------------------- */

/* What a proof is expected to show. */
struct statement {
    bool is_found;
    struct smelt_buf value;
};

static void prove(struct smelt_store *store, const struct smelt_state_key *key,
                  struct smelt_buf *proof, struct statement *out)
{
    struct smelt_error err = {0};
    proof->size = 0;
    enum smelt_status status =
        smelt_state_prove(store, key, proof, &out->value, &out->is_found, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, SMELT_STATUS_OK);
}

static bool verifies(const struct smelt_hash *root, const struct smelt_state_key *key,
                     struct smelt_slice proof, const struct statement *expected)
{
    struct smelt_buf value = {0};
    struct smelt_error err = {0};
    bool is_found = true;
    enum smelt_status status = smelt_proof_verify(root, key, proof, &value, &is_found, &err);
    if (status == SMELT_STATUS_OK) {
        assert_int_equal(is_found, expected->is_found);
        assert_true(sm_slice_equal(sm_buf_slice(&value), sm_buf_slice(&expected->value)));
    } else {
        assert_int_equal(status, SMELT_STATUS_PROOF_INVALID);
        assert_non_null(strstr(err.message, "shows nothing"));
        assert_false(is_found);
        assert_int_equal(value.size, 0);
    }
    smelt_buf_deinit(&value);
    return status == SMELT_STATUS_OK;
}

static void test_proofs_of_a_whole_state(void **state)
{
    (void)state;
    uint64_t seed = 17;
    struct smelt_buf proof = {0};
    struct statement shown = {0};
    size_t ends[3] = {0};
    for (size_t round = 0; round < 12; round++) {
        struct model model = {{0}};
        struct smelt_store *store = open_store();
        enable(store);
        for (size_t i = 0; i < round; i++) {
            (void)commit_random(store, &model, &seed);
        }
        struct smelt_hash root = root_of(store);
        struct smelt_hash other_root = root;
        other_root.bytes[31] ^= 1;
        for (size_t i = 0; i < KEYS; i++) {
            uint8_t own[OWN_KEYS];
            uint8_t other_own[OWN_KEYS];
            struct smelt_state_key key = key_of(i, own);
            struct smelt_state_key other = key_of((i + 1) % KEYS, other_own);
            prove(store, &key, &proof, &shown);
            assert_int_equal(shown.is_found, model.values[i] != 0);
            assert_int_equal(shown.value.size, shown.is_found ? model.values[i] - 1u : 0);
            assert_true(verifies(&root, &key, sm_buf_slice(&proof), &shown));
            assert_false(verifies(&other_root, &key, sm_buf_slice(&proof), &shown));
            ends[proof.data[1]]++;
            if (shown.is_found) {
                assert_false(verifies(&root, &other, sm_buf_slice(&proof), &shown));
            }
        }
        smelt_store_close(store);
    }
    assert_true(ends[0] > 100 && ends[1] > 100 && ends[2] > 100);
    smelt_buf_deinit(&proof);
    smelt_buf_deinit(&shown.value);
}

/* Every bit turned, every prefix, a byte more: nothing is shown. */
static void test_a_statement_has_one_proof(void **state)
{
    (void)state;
    uint64_t seed = 23;
    struct model model = {{0}};
    struct smelt_buf proof = {0};
    struct statement shown = {0};
    struct smelt_store *store = open_store();
    enable(store);
    for (size_t i = 0; i < 4; i++) {
        (void)commit_random(store, &model, &seed);
    }
    struct smelt_hash root = root_of(store);
    for (size_t i = 0; i < KEYS; i += 3) {
        uint8_t own[OWN_KEYS];
        struct smelt_state_key key = key_of(i, own);
        prove(store, &key, &proof, &shown);
        for (size_t bit = 0; bit < proof.size * 8; bit++) {
            proof.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(verifies(&root, &key, sm_buf_slice(&proof), &shown));
            proof.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t size = 0; size < proof.size; size++) {
            /* exactly as long, so that a sanitizer sees a read past the end */
            uint8_t *copy = (uint8_t *)malloc(size + 1);
            memcpy(copy, proof.data, size);
            copy = (uint8_t *)realloc(copy, size != 0 ? size : 1);
            assert_false(verifies(&root, &key, sm_slice(copy, size), &shown));
            free(copy);
        }
        assert_true(verifies(&root, &key, sm_buf_slice(&proof), &shown));
        assert_true(sm_buf_append_u8(&proof, 0));
        assert_false(verifies(&root, &key, sm_buf_slice(&proof), &shown));
    }
    smelt_buf_deinit(&proof);
    smelt_buf_deinit(&shown.value);
    smelt_store_close(store);
}

static void set_path(struct smelt_buf *out, const char *header, size_t siblings, uint8_t fill_byte)
{
    uint8_t bytes[64];
    out->size = 0;
    assert_true(smelt_hex_decode(header, bytes, strlen(header) / 2));
    assert_true(sm_buf_append(out, bytes, strlen(header) / 2));
    for (size_t i = 0; i < siblings * 32; i++) {
        assert_true(sm_buf_append_u8(out, fill_byte));
    }
}

/* Proofs that are wrong whatever they are under: what is said of them shows where they fail. */
static void test_malformed_proofs(void **state)
{
    (void)state;
    static const struct {
        const char *header; /* version, end, depth, bitmap */
        size_t hashes;      /* that follow */
        uint8_t fill;       /* their bytes */
        const char *what;
    } rows[] = {
        {"", 0, 0, "it is none"},
        {"010100", 0, 0, "it is none"},
        {"00010000", 0, 0, "it is none"},
        {"02010000", 0, 0, "it is none"},
        {"01030000", 0, 0, "it is none"},
        {"01010000", 0, 0, "under another root"},
        {"01010000", 1, 1, "another size"},
        {"01020000", 1, 1, "another size"},
        {"01020000", 3, 1, "another size"},
        {"01020000", 2, 1, "under another root"},
        {"01000000", 0, 0, "under another root"},
        {"01000000", 9, 0, "under another root"},
        {"01010100", 0, 0, "impossible"},
        {"0101010001", 0, 0, "cut short"},
        {"0101010001", 1, 1, "under another root"},
        {"0101010001", 1, 0, "an empty sibling"},
        {"0101010001", 2, 1, "another size"},
        {"0101010000", 0, 0, "no sibling"},
        {"0101010002", 1, 1, "below its end"},
        {"0101010003", 2, 1, "below its end"},
        {"0101010081", 2, 1, "below its end"},
        {"0101020001", 1, 1, "no sibling"},
        {"0101020002", 1, 1, "under another root"},
        {"01010900ff00", 8, 1, "no sibling"},
        {"010109000001", 1, 1, "under another root"},
        {"010109000003", 2, 1, "below its end"},
        {"0102020002", 3, 0x55, "in the key's way"},
        {"01010101", 999, 0xff, "impossible"},
        {"0101ffff", 999, 0xff, "impossible"},
        {"01010001", 1, 0xff, "cut short"},
    };
    const struct smelt_state_key key = {.address = {{1}}};
    const struct smelt_hash root = {{1}};
    struct smelt_buf proof = {0};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct smelt_error err = {0};
        bool is_found = true;
        set_path(&proof, rows[i].header, rows[i].hashes, rows[i].fill);
        assert_int_equal(
            smelt_proof_verify(&root, &key, sm_buf_slice(&proof), NULL, &is_found, &err),
            SMELT_STATUS_PROOF_INVALID);
        assert_false(is_found);
        if (strstr(err.message, rows[i].what) == NULL) {
            fail_msg("%s + %zu: %s", rows[i].header, rows[i].hashes, err.message);
        }
    }
    smelt_buf_deinit(&proof);
}

/* The leaf of the key itself, as one that is in its way: presence told as absence. */
static void test_a_leaf_is_not_in_its_own_way(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    const struct smelt_state_key key = {.address = {{1}}};
    uint8_t proof[4 + 64] = {1, 2};
    struct sm_state_key state_key;
    struct smelt_hash hash;
    struct statement shown = {0};
    enable(store);
    commit_one(store, 0, 5);
    struct smelt_hash root = root_of(store);
    sm_state_account_key(&key.address, &state_key);
    sm_commitment_hash_key(sm_state_key_slice(&state_key), &hash);
    memcpy(proof + 4, hash.bytes, 32);
    sm_commitment_hash_value(sm_slice("\xab\0\0\0", 4), &hash);
    memcpy(proof + 36, hash.bytes, 32);
    assert_false(verifies(&root, &key, sm_slice(proof, sizeof(proof)), &shown));
    /* for another key it is a good proof of absence */
    const struct smelt_state_key other = {.address = {{2}}};
    assert_true(verifies(&root, &other, sm_slice(proof, sizeof(proof)), &shown));
    smelt_store_close(store);
}

static void test_a_damaged_state_proves_nothing(void **state)
{
    (void)state;
    struct smelt_store *store = open_store();
    struct smelt_state_key key = {.address = {{1}}};
    struct smelt_buf proof = {0};
    struct smelt_error err = {0};
    bool is_found = true;
    enable(store);
    commit_one(store, 0, 5);
    assert_true(sm_buf_append_u8(&proof, 'x'));
    for (uint8_t value = 0; value < 8; value++) {
        struct sm_state_key state_key;
        struct smelt_store_write write = write_of(0, value, &state_key);
        assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
        if (value != 5) {
            assert_int_equal(smelt_state_prove(store, &key, &proof, NULL, &is_found, &err),
                             SMELT_STATUS_STORE_CORRUPT);
            assert_non_null(strstr(err.message, "another value than its commitment"));
            assert_false(is_found);
            assert_int_equal(proof.size, 1); /* as it was */
        }
    }
    /* a value that the tree does not know */
    struct sm_state_key state_key;
    struct smelt_store_write write = write_of(KEYS - 1, 1, &state_key);
    assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
    uint8_t own[OWN_KEYS];
    key = key_of(KEYS - 1, own);
    assert_int_equal(smelt_state_prove(store, &key, &proof, NULL, &is_found, &err),
                     SMELT_STATUS_STORE_CORRUPT);
    /* a node that is gone */
    struct smelt_store_write gone = {
        .family = SMELT_STORE_TREE, .key = sm_slice("", 1), .is_delete = true};
    assert_int_equal(store->ops->write(store->impl, &gone, 1, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_state_prove(store, &key, &proof, NULL, &is_found, &err),
                     SMELT_STATUS_STORE_CORRUPT);
    assert_non_null(strstr(err.message, "path \"\""));
    smelt_buf_deinit(&proof);
    smelt_store_close(store);
}

static void test_arguments(void **state)
{
    (void)state;
    static const uint8_t bytes[SM_STATE_KEY_MAX + 1];
    struct smelt_store *store = open_store();
    const struct smelt_hash root = {{0}};
    struct smelt_hash hash;
    struct smelt_buf proof = {0};
    bool flag;
    const struct smelt_state_key fine = {.is_storage = true,
                                         .key = sm_slice(bytes, SM_STATE_KEY_MAX)};
    const struct smelt_state_key wrong[] = {
        {.is_storage = true, .key = sm_slice(bytes, SM_STATE_KEY_MAX + 1)},
        {.is_storage = false, .key = sm_slice(bytes, 1)}};
    enable(store);
    assert_int_equal(smelt_state_prove(store, &fine, &proof, NULL, &flag, NULL), SMELT_STATUS_OK);
    assert_int_equal(smelt_proof_verify(&root, &fine, sm_buf_slice(&proof), NULL, &flag, NULL),
                     SMELT_STATUS_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(smelt_state_prove(store, &wrong[i], &proof, NULL, &flag, NULL),
                         SMELT_STATUS_INVALID_ARGUMENT);
        assert_int_equal(
            smelt_proof_verify(&root, &wrong[i], sm_buf_slice(&proof), NULL, &flag, NULL),
            SMELT_STATUS_INVALID_ARGUMENT);
    }
    assert_int_equal(smelt_commitment_enable(NULL, NULL), SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_commitment_root(NULL, &hash, &flag, NULL),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_commitment_root(store, &hash, NULL, NULL),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_state_prove(store, &fine, NULL, NULL, &flag, NULL),
                     SMELT_STATUS_INVALID_ARGUMENT);
    assert_int_equal(smelt_proof_verify(&root, NULL, sm_buf_slice(&proof), NULL, &flag, NULL),
                     SMELT_STATUS_INVALID_ARGUMENT);
    smelt_buf_deinit(&proof);
    smelt_store_close(store);
}

/* ---- short memory ---------------------------------------------------------------------------- */

struct sweep {
    struct smelt_store *store;
    struct smelt_hash root;
    struct smelt_state_key key;
    struct smelt_buf proof;
};

static enum smelt_status do_enable(struct sweep *sweep)
{
    enum smelt_status status = sm_commitment_enable_within(sweep->store, 2, NULL);
    sm_alloc_fail_at(0);
    assert_int_equal(is_enabled(sweep->store), status == SMELT_STATUS_OK);
    return status;
}

static enum smelt_status do_fund(struct sweep *sweep)
{
    return smelt_account_fund(sweep->store, &(struct smelt_address){{0x77}},
                              (struct smelt_u128){.low = 1}, NULL);
}

static enum smelt_status do_compute(struct sweep *sweep)
{
    struct smelt_hash root;
    return sm_commitment_compute(sweep->store, NULL, &root, NULL);
}

static enum smelt_status do_prove(struct sweep *sweep)
{
    struct smelt_buf value = {0};
    bool is_found = false;
    sweep->proof.size = 0;
    enum smelt_status status =
        smelt_state_prove(sweep->store, &sweep->key, &sweep->proof, &value, &is_found, NULL);
    assert_int_equal(is_found, status == SMELT_STATUS_OK);
    assert_int_equal(sweep->proof.size != 0, status == SMELT_STATUS_OK);
    smelt_buf_deinit(&value);
    return status;
}

static enum smelt_status do_verify(struct sweep *sweep)
{
    struct smelt_buf value = {0};
    bool is_found = false;
    enum smelt_status status = smelt_proof_verify(
        &sweep->root, &sweep->key, sm_buf_slice(&sweep->proof), &value, &is_found, NULL);
    assert_int_equal(is_found, status == SMELT_STATUS_OK);
    smelt_buf_deinit(&value);
    return status;
}

static void test_short_memory(void **state)
{
    (void)state;
    static const struct {
        enum smelt_status (*run)(struct sweep *sweep);
        size_t failures_min;
    } rows[] = {{do_enable, 10}, {do_fund, 8}, {do_compute, 2}, {do_prove, 6}, {do_verify, 1}};
    struct sweep sweep = {.store = open_store(), .key = {.address = {{1}}}};
    for (size_t i = 0; i < KEYS; i += 1 + OWN_KEYS) {
        commit_one(sweep.store, i, 9);
    }
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        size_t failures = 0;
        for (;; failures++) {
            sm_alloc_fail_at(failures + 1);
            enum smelt_status status = rows[row].run(&sweep);
            sm_alloc_fail_at(0);
            if (status == SMELT_STATUS_OK) {
                break;
            }
            assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
        }
        assert_true(failures >= rows[row].failures_min);
        assert_root(sweep.store);
        sweep.root = root_of(sweep.store);
    }
    smelt_buf_deinit(&sweep.proof);
    smelt_store_close(sweep.store);
}

static int check_leaks(void **state)
{
    (void)state;
    return sm_alloc_blocks() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_known_roots, check_leaks),
        cmocka_unit_test_teardown(test_known_root_of_a_thousand, check_leaks),
        cmocka_unit_test_teardown(test_random_batches, check_leaks),
        cmocka_unit_test_teardown(test_nothing_without_a_commitment, check_leaks),
        cmocka_unit_test_teardown(test_funding_moves_the_root, check_leaks),
        cmocka_unit_test_teardown(test_damaged_records, check_leaks),
        cmocka_unit_test_teardown(test_enabling_is_interrupted, check_leaks),
        cmocka_unit_test_teardown(test_over_rocksdb, check_leaks),
        cmocka_unit_test_teardown(test_proofs_of_a_whole_state, check_leaks),
        cmocka_unit_test_teardown(test_a_statement_has_one_proof, check_leaks),
        cmocka_unit_test_teardown(test_malformed_proofs, check_leaks),
        cmocka_unit_test_teardown(test_a_leaf_is_not_in_its_own_way, check_leaks),
        cmocka_unit_test_teardown(test_a_damaged_state_proves_nothing, check_leaks),
        cmocka_unit_test_teardown(test_arguments, check_leaks),
        cmocka_unit_test_teardown(test_short_memory, check_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
