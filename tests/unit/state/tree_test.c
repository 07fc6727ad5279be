/* The authenticated tree with keys chosen by the test, so that any two may have up to 255 bits in
 * common: against its definition, against a tree built at once, and over a store that lies. */
#include "runtime/state/tree.h"

#include "tests/unit/state/tree_reference.h"

#define KEYS 48

struct fixture {
    struct smelt_store *store;
    struct smelt_hash root;
};

static void open_fixture(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    assert_int_equal(smelt_store_create_memory(&fixture->store, NULL), SMELT_STATUS_OK);
}

static void close_fixture(struct fixture *fixture)
{
    smelt_store_close(fixture->store);
}

static int compare_changes(const void *a, const void *b)
{
    return sm_tree_compare_keys(&((const struct sm_tree_change *)a)->leaf.key,
                                &((const struct sm_tree_change *)b)->leaf.key);
}

/* Returns how many nodes were written or deleted. */
static size_t apply(struct fixture *fixture, struct sm_tree_change *changes, size_t count)
{
    struct sm_tree_writes writes = {0};
    struct smelt_error err = {0};
    qsort(changes, count, sizeof(*changes), compare_changes);
    enum smelt_status status =
        sm_tree_update(fixture->store, &fixture->root, changes, count, &writes, &err);
    assert_string_equal(err.message, "");
    assert_int_equal(status, SMELT_STATUS_OK);
    assert_int_equal(
        fixture->store->ops->write(fixture->store->impl, writes.writes, writes.count, NULL),
        SMELT_STATUS_OK);
    size_t node_count = writes.count;
    sm_tree_writes_deinit(&writes);
    return node_count;
}

static struct sm_tree_change put(const struct smelt_hash *key, uint8_t value)
{
    struct sm_tree_change change = {.leaf = {.key = *key}};
    memset(change.leaf.value.bytes, value, SMELT_HASH_BYTES);
    return change;
}

static struct sm_tree_change deletion(const struct smelt_hash *key)
{
    return (struct sm_tree_change){.leaf = {.key = *key}, .is_delete = true};
}

static size_t count_nodes(struct smelt_store *store)
{
    struct smelt_buf dump = {0};
    size_t count = 0;
    dump_family(store, SMELT_STORE_TREE, &dump);
    for (size_t at = 0; at < dump.size; count++) {
        at += 16 + (size_t)sm_load_le64(dump.data + at) + (size_t)sm_load_le64(dump.data + at + 8);
    }
    smelt_buf_deinit(&dump);
    return count;
}

/* Known answers, by a program of some lines of Python with hashlib.blake2b. */
static void test_known_roots(void **state)
{
    (void)state;
    const struct smelt_hash zero = {{0}};
    const struct smelt_hash one = {.bytes[31] = 1};
    const struct smelt_hash half = {.bytes[0] = 0x80};
    struct sm_tree_change changes[] = {put(&zero, 1), put(&one, 2), put(&half, 3)};
    struct fixture fixture;
    open_fixture(&fixture);
    assert_hex(&fixture.root, "0000000000000000000000000000000000000000000000000000000000000000");
    /* 64 nodes: the paths of two keys part at the last bit */
    assert_int_equal(apply(&fixture, changes, 2), 64);
    assert_hex(&fixture.root, "a618ca005ab0dfd7085e7cfe03f5543b8e8176f1bab12ba6ea04513c78d5421e");
    assert_int_equal(apply(&fixture, changes, 3), 1);
    assert_hex(&fixture.root, "2a9ebebad0c78ebdb5f1140f1065a2c2076c5eb169d341eabfaa205dfe1a343f");
    /* one of the two goes, and the 63 nodes below the first with it */
    changes[0] = deletion(&zero);
    assert_int_equal(apply(&fixture, changes, 1), 64);
    assert_int_equal(count_nodes(fixture.store), 1);
    close_fixture(&fixture);
}

static void make_keys(struct smelt_hash *keys, uint64_t *seed)
{
    for (size_t i = 0; i < KEYS; i++) {
        for (;;) {
            /* like an earlier one up to some bit */
            keys[i] = i == 0 ? (struct smelt_hash){{0}} : keys[random_below(seed, i)];
            for (size_t bit = random_below(seed, 256); bit < 256; bit++) {
                if (random_below(seed, 2) == 0) {
                    keys[i].bytes[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
                }
            }
            size_t same = 0;
            while (same < i && sm_tree_compare_keys(&keys[same], &keys[i]) != 0) {
                same++;
            }
            if (same == i) {
                break;
            }
        }
    }
}

/* What is in the tree: 0 for nothing, or the byte that fills the value. */
struct model {
    struct smelt_hash keys[KEYS];
    uint8_t values[KEYS];
};

static size_t model_leaves(const struct model *model, struct reference_leaf *leaves)
{
    size_t count = 0;
    for (size_t i = 0; i < KEYS; i++) {
        if (model->values[i] != 0) {
            memcpy(leaves[count].key, model->keys[i].bytes, 32);
            memset(leaves[count].value, model->values[i], 32);
            count++;
        }
    }
    return count;
}

static void assert_root(const struct model *model, const struct smelt_hash *root)
{
    struct reference_leaf leaves[KEYS];
    uint8_t expected[32];
    reference_root(leaves, model_leaves(model, leaves), 0, expected);
    assert_memory_equal(root->bytes, expected, 32);
}

static void assert_fold(const struct model *model, const struct smelt_hash *root)
{
    struct sm_tree_change sorted[KEYS];
    struct sm_tree_leaf leaves[KEYS];
    struct sm_subtree subtree;
    size_t count = 0;
    for (size_t i = 0; i < KEYS; i++) {
        if (model->values[i] != 0) {
            sorted[count] = put(&model->keys[i], model->values[i]);
            count++;
        }
    }
    qsort(sorted, count, sizeof(*sorted), compare_changes);
    for (size_t i = 0; i < count; i++) {
        leaves[i] = sorted[i].leaf;
    }
    sm_tree_fold(leaves, count, 0, &subtree);
    assert_memory_equal(subtree.hash.bytes, root->bytes, 32);
}

/* The path of every key ends where it should, and hashes to the root. */
static void assert_paths(const struct model *model, struct fixture *fixture)
{
    struct sm_tree_path *path = (struct sm_tree_path *)malloc(sizeof(*path));
    for (size_t i = 0; i < KEYS; i++) {
        uint8_t at[32] = {0};
        assert_int_equal(
            sm_tree_find(fixture->store, NULL, &fixture->root, &model->keys[i], path, NULL),
            SMELT_STATUS_OK);
        bool is_found = path->end == SM_TREE_LEAF &&
                        sm_tree_compare_keys(&path->leaf.key, &model->keys[i]) == 0;
        assert_int_equal(is_found, model->values[i] != 0);
        assert_true(!is_found || path->leaf.value.bytes[0] == model->values[i]);
        if (path->end == SM_TREE_LEAF) {
            reference_hash("smelt.tree-leaf.v1", path->leaf.key.bytes, path->leaf.value.bytes, at);
        }
        for (size_t depth = path->depth; depth-- > 0;) {
            const uint8_t *sibling = path->siblings[depth].bytes;
            bool is_right = (model->keys[i].bytes[depth / 8] & 0x80 >> depth % 8) != 0;
            reference_hash("smelt.tree-node.v1", is_right ? sibling : at, is_right ? at : sibling,
                           at);
        }
        assert_memory_equal(at, fixture->root.bytes, 32);
    }
    free(path);
}

/* The same set of leaves gives the same nodes, to the byte, however it came about. */
static void assert_canonical(const struct model *model, struct fixture *fixture)
{
    struct fixture fresh;
    struct sm_tree_change changes[KEYS];
    size_t count = 0;
    open_fixture(&fresh);
    for (size_t i = 0; i < KEYS; i++) {
        if (model->values[i] != 0) {
            changes[count] = put(&model->keys[i], model->values[i]);
            count++;
        }
    }
    (void)apply(&fresh, changes, count);
    assert_same_family(fixture->store, fresh.store, SMELT_STORE_TREE);
    close_fixture(&fresh);
}

static void run_model(uint64_t seed, size_t batches)
{
    struct model model = {0};
    struct fixture fixture;
    open_fixture(&fixture);
    make_keys(model.keys, &seed);
    for (size_t batch = 0; batch < batches; batch++) {
        struct sm_tree_change changes[KEYS];
        size_t count = 0;
        /* mostly small batches; phases in which the tree grows, and in which it shrinks */
        size_t among = random_below(&seed, 4) == 0 ? 2 : 12;
        size_t deletes = batch / 16 % 2 == 0 ? 1 : 5;
        bool is_changed = false;
        for (size_t i = 0; i < KEYS; i++) {
            if (random_below(&seed, among) != 0) {
                continue;
            }
            bool is_delete = random_below(&seed, 6) < deletes;
            uint8_t value = is_delete ? 0 : (uint8_t)(1 + random_below(&seed, 3));
            changes[count] = is_delete ? deletion(&model.keys[i]) : put(&model.keys[i], value);
            count++;
            is_changed = is_changed || model.values[i] != value;
            model.values[i] = value;
        }
        size_t nodes = apply(&fixture, changes, count);
        assert_int_equal(nodes != 0, is_changed);
        assert_root(&model, &fixture.root);
        assert_canonical(&model, &fixture);
        if (batch % 8 == 0) {
            assert_fold(&model, &fixture.root);
            assert_paths(&model, &fixture);
        }
    }
    for (size_t i = 0; i < KEYS; i++) {
        struct sm_tree_change change = deletion(&model.keys[i]);
        (void)apply(&fixture, &change, 1);
    }
    memset(model.values, 0, sizeof(model.values));
    assert_root(&model, &fixture.root);
    assert_int_equal(count_nodes(fixture.store), 0);
    close_fixture(&fixture);
}

static void test_random_batches(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 32; seed++) {
        run_model(seed * 77, 64);
    }
}

static void put_node(struct smelt_store *store, struct smelt_slice key, struct smelt_slice value)
{
    const struct smelt_store_write write = {
        .family = SMELT_STORE_TREE, .key = key, .value = value, .is_delete = value.data == NULL};
    assert_int_equal(store->ops->write(store->impl, &write, 1, NULL), SMELT_STATUS_OK);
}

/* Looking `key` up, changing it and deleting it all end at the damage. */
static void assert_damaged(const struct fixture *fixture, const struct smelt_hash *key,
                           const char *message)
{
    struct sm_tree_path *path = (struct sm_tree_path *)malloc(sizeof(*path));
    struct sm_tree_change changes[] = {put(key, 9), deletion(key)};
    struct smelt_error err = {0};
    assert_int_equal(sm_tree_find(fixture->store, NULL, &fixture->root, key, path, &err),
                     SMELT_STATUS_STORE_CORRUPT);
    if (strstr(err.message, message) == NULL) {
        assert_string_equal(err.message, message);
    }
    for (size_t i = 0; i < 2; i++) {
        struct smelt_hash root = fixture->root;
        struct sm_tree_writes writes = {0};
        assert_int_equal(sm_tree_update(fixture->store, &root, &changes[i], 1, &writes, &err),
                         SMELT_STATUS_STORE_CORRUPT);
        assert_non_null(strstr(err.message, message));
        assert_memory_equal(root.bytes, fixture->root.bytes, 32);
        sm_tree_writes_deinit(&writes);
    }
    free(path);
}

static void test_damaged_nodes(void **state)
{
    (void)state;
    /* "", with nodes 0 and f; "0" with a leaf and the node "0a"; "f" with two leaves */
    const struct smelt_hash keys[] = {{{0x01}}, {{0x0a, 0x10}}, {{0x0a, 0x20}}, {{0xf1}}, {{0xf2}}};
    struct sm_tree_change changes[5];
    struct fixture fixture;
    struct smelt_buf node = {0};
    bool is_found = false;
    open_fixture(&fixture);
    for (size_t i = 0; i < 5; i++) {
        changes[i] = put(&keys[i], 1);
    }
    assert_int_equal(apply(&fixture, changes, 5), 4);
    static const struct {
        uint8_t key[2];
        size_t key_size;
        size_t reader; /* of `keys`: passes through */
        const char *path;
    } nodes[] = {{{0}, 1, 0, "path \"\" of"},
                 {{1, 0x00}, 2, 0, "path \"0\" of"},
                 {{2, 0x0a}, 2, 1, "path \"0a\" of"},
                 {{1, 0xf0}, 2, 3, "path \"f\" of"}};
    for (size_t i = 0; i < 4; i++) {
        struct smelt_slice key = sm_slice(nodes[i].key, nodes[i].key_size);
        const struct smelt_hash *reader = &keys[nodes[i].reader];
        assert_int_equal(fixture.store->ops->get(fixture.store->impl, NULL, SMELT_STORE_TREE, key,
                                                 &node, &is_found, NULL),
                         SMELT_STATUS_OK);
        assert_true(is_found);
        for (size_t bit = 0; bit < node.size * 8; bit++) {
            node.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
            put_node(fixture.store, key, sm_buf_slice(&node));
            assert_damaged(&fixture, reader, nodes[i].path);
            node.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        for (size_t size = 0; size < node.size; size++) {
            put_node(fixture.store, key, sm_slice(node.data, size));
            assert_damaged(&fixture, reader, nodes[i].path);
        }
        put_node(fixture.store, key, sm_slice(NULL, 0));
        assert_damaged(&fixture, reader, "is missing");
        put_node(fixture.store, key, sm_buf_slice(&node));
    }
    assert_int_equal(apply(&fixture, changes, 5), 0);
    smelt_buf_deinit(&node);
    close_fixture(&fixture);
}

/* Nodes that their parent has the hash of, and that are none all the same. */
static void test_impossible_nodes(void **state)
{
    (void)state;
    static const struct {
        const char *node; /* the start of it, in hex; then a key and a value */
        const char *what;
    } rows[] = {
        {"00000000", "has no children"},  {"01000200", "leaves that are none"},
        {"00000100", "has no children"},  {"01000100", "belongs elsewhere"},
        {"03000200", "has another size"},
    };
    const struct smelt_hash key = {{0x30}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture fixture;
        uint8_t node[4 + 64] = {0};
        open_fixture(&fixture);
        memset(fixture.root.bytes, 1, 32);
        memcpy(node + 4, key.bytes, 32);
        assert_true(smelt_hex_decode(rows[i].node, node, 4));
        put_node(fixture.store, sm_slice("", 1), sm_slice(node, sizeof(node)));
        assert_damaged(&fixture, &key, rows[i].what);
        close_fixture(&fixture);
    }
    /* a node with one leaf, where its parent should have that: the hash is the leaf's own */
    struct fixture fixture;
    struct sm_subtree leaf;
    struct sm_subtree other = {.kind = SM_TREE_NODE, .hash = {{7}}};
    uint8_t root[4 + 64] = {0x09};
    uint8_t node[4 + 64] = {1, 0, 1, 0};
    open_fixture(&fixture);
    memcpy(node + 4, key.bytes, 32);
    sm_tree_leaf(&(struct sm_tree_leaf){.key = key}, &leaf);
    leaf.kind = SM_TREE_NODE;
    memcpy(root + 4, other.hash.bytes, 32);
    memcpy(root + 36, leaf.hash.bytes, 32);
    /* 0 and 3 are present: ((0, -), (-, 3)), -), -) */
    const struct sm_subtree empty = {.kind = SM_TREE_EMPTY};
    struct sm_subtree at;
    sm_tree_join(&other, &empty, &other);
    sm_tree_join(&empty, &leaf, &at);
    sm_tree_join(&other, &at, &at);
    sm_tree_join(&at, &empty, &at);
    sm_tree_join(&at, &empty, &at);
    fixture.root = at.hash;
    put_node(fixture.store, sm_slice("", 1), sm_slice(root, sizeof(root)));
    put_node(fixture.store, sm_slice("\1\x30", 2), sm_slice(node, sizeof(node)));
    assert_damaged(&fixture, &key, "path \"3\" of the state commitment has one leaf only");
    close_fixture(&fixture);
}

/* The root of nothing over nodes: nothing can be shown to be absent with it. */
static void test_an_empty_root_over_nodes(void **state)
{
    (void)state;
    const struct smelt_hash keys[] = {{{0x10}}, {{0x20}}};
    struct sm_tree_change change = put(&keys[0], 1);
    struct fixture fixture;
    open_fixture(&fixture);
    (void)apply(&fixture, &change, 1);
    memset(fixture.root.bytes, 0, 32);
    assert_damaged(&fixture, &keys[0], "the root is that of an empty tree");
    assert_damaged(&fixture, &keys[1], "the root is that of an empty tree");
    close_fixture(&fixture);
}

/* Below the last of 64 nibbles there is nothing: a chain of nodes that goes on is damage. */
static void test_a_tree_that_is_too_deep(void **state)
{
    (void)state;
    const struct smelt_hash zero = {{0}};
    const struct sm_subtree empty = {.kind = SM_TREE_EMPTY};
    struct sm_subtree at = {.kind = SM_TREE_NODE, .hash = {{1}}};
    struct fixture fixture;
    open_fixture(&fixture);
    for (size_t depth = 64; depth-- > 0;) {
        uint8_t key[1 + 32] = {(uint8_t)depth};
        uint8_t node[4 + 32] = {1};
        memcpy(node + 4, at.hash.bytes, 32);
        put_node(fixture.store, sm_slice(key, 1 + (depth + 1) / 2), sm_slice(node, sizeof(node)));
        for (size_t level = 0; level < 4; level++) {
            sm_tree_join(&at, &empty, &at);
        }
    }
    fixture.root = at.hash;
    assert_damaged(&fixture, &zero, "goes on below the last level");
    close_fixture(&fixture);
}

static void test_short_memory(void **state)
{
    (void)state;
    const struct smelt_hash keys[] = {{{0x10}}, {{0x11}}, {{0x11, 0x80}}};
    struct sm_tree_change changes[] = {put(&keys[0], 1), put(&keys[1], 1)};
    struct sm_tree_change more[] = {deletion(&keys[0]), put(&keys[2], 1)};
    struct sm_tree_path *path = (struct sm_tree_path *)malloc(sizeof(*path));
    struct fixture fixture;
    open_fixture(&fixture);
    (void)apply(&fixture, changes, 2);
    size_t blocks = sm_alloc_blocks();
    size_t failures = 0;
    for (bool is_ok = false; !is_ok;) {
        struct sm_tree_writes writes = {0};
        struct smelt_hash root = fixture.root;
        sm_alloc_fail_at(failures + 1);
        enum smelt_status status = sm_tree_update(fixture.store, &root, more, 2, &writes, NULL);
        sm_alloc_fail_at(0);
        is_ok = status == SMELT_STATUS_OK;
        failures += is_ok ? 0 : 1;
        assert_true(is_ok || status == SMELT_STATUS_NO_MEMORY);
        assert_int_equal(is_ok, memcmp(root.bytes, fixture.root.bytes, 32) != 0);
        sm_tree_writes_deinit(&writes);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_true(failures > 3);
    sm_alloc_fail_at(1);
    assert_int_equal(sm_tree_find(fixture.store, NULL, &fixture.root, &keys[0], path, NULL),
                     SMELT_STATUS_NO_MEMORY);
    sm_alloc_fail_at(0);
    free(path);
    close_fixture(&fixture);
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
        cmocka_unit_test_teardown(test_random_batches, check_leaks),
        cmocka_unit_test_teardown(test_damaged_nodes, check_leaks),
        cmocka_unit_test_teardown(test_impossible_nodes, check_leaks),
        cmocka_unit_test_teardown(test_an_empty_root_over_nodes, check_leaks),
        cmocka_unit_test_teardown(test_a_tree_that_is_too_deep, check_leaks),
        cmocka_unit_test_teardown(test_short_memory, check_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
