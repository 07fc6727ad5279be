/* Proofs, and the store that they are made from, against a state that is known. The first byte of
 * an input says what the rest is, the second which key, or which node, it is about:
 *
 *   0  a proof
 *   1  changes to the right proof: position u16 LE, and what to xor the byte with
 *   2  the bytes of a node of the tree
 *   3  the record of the root
 *
 * A proof that is accepted is the one that smelt_state_prove makes, to the byte, and shows what is
 * in the state. What is damaged is STORE_CORRUPT or of no consequence. */
#include "runtime/state/commitment.h"
#include "runtime/state/keys.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

#define KEYS  48u /* every other one has a value */
#define NODES 64u

enum kind { A_PROOF, CHANGES, A_NODE, THE_RECORD, KIND_COUNT };

struct known {
    struct smelt_state_key key;
    uint8_t own[2];
    struct smelt_buf proof;
    struct smelt_buf value;
    bool is_found;
};

/* Made with the first input, the same for all. */
static struct {
    struct smelt_store *store;
    struct smelt_hash root;
    struct known keys[KEYS];
    struct smelt_buf nodes[NODES]; /* their keys in family TREE */
    size_t node_count;
} state;

static bool add_node(void *context, struct smelt_slice key, struct smelt_slice value)
{
    (void)context;
    (void)value;
    FUZZ_CHECK(state.node_count < NODES, "more nodes than expected");
    FUZZ_CHECK(sm_buf_append(&state.nodes[state.node_count], key.data, key.size), "no memory");
    state.node_count++;
    return true;
}

static void write_pair(enum smelt_store_family family, struct smelt_slice key,
                       struct smelt_slice value)
{
    const struct smelt_store_write write = {.family = family, .key = key, .value = value};
    FUZZ_CHECK(state.store->ops->write(state.store->impl, &write, 1, NULL) == SMELT_STATUS_OK,
               "write");
}

static void write_key(size_t i)
{
    static const uint8_t bytes[KEYS] = "values";
    struct known *known = &state.keys[i];
    struct sm_state_key key;
    known->key.address.bytes[0] = (uint8_t)(i / 3);
    known->key.is_storage = i % 3 != 0;
    known->own[0] = (uint8_t)i;
    known->key.key = sm_slice(known->own, i % 3);
    if (known->key.is_storage) {
        sm_state_storage_key(&known->key.address, known->key.key, &key);
    } else {
        sm_state_account_key(&known->key.address, &key);
    }
    if (i % 2 == 0) {
        write_pair(SMELT_STORE_STATE, sm_state_key_slice(&key), sm_slice(bytes, i));
    }
}

static void make_state(void)
{
    bool is_enabled = false;
    if (state.store != NULL) {
        return;
    }
    FUZZ_CHECK(smelt_store_create_memory(&state.store, NULL) == SMELT_STATUS_OK, "store");
    for (size_t i = 0; i < KEYS; i++) {
        write_key(i);
    }
    FUZZ_CHECK(smelt_commitment_enable(state.store, NULL) == SMELT_STATUS_OK, "enable");
    FUZZ_CHECK(smelt_commitment_root(state.store, &state.root, &is_enabled, NULL) ==
                       SMELT_STATUS_OK &&
                   is_enabled,
               "root");
    for (size_t i = 0; i < KEYS; i++) {
        struct known *known = &state.keys[i];
        FUZZ_CHECK(smelt_state_prove(state.store, &known->key, &known->proof, &known->value,
                                     &known->is_found, NULL) == SMELT_STATUS_OK,
                   "key %zu", i);
        FUZZ_CHECK(known->is_found == (i % 2 == 0), "key %zu", i);
    }
    FUZZ_CHECK(state.store->ops->iterate(state.store->impl, NULL, SMELT_STORE_TREE,
                                         sm_slice(NULL, 0), add_node, NULL,
                                         NULL) == SMELT_STATUS_OK,
               "iterate");
}

static void check_proof(const struct known *known, struct smelt_slice proof)
{
    struct smelt_buf value = {0};
    struct smelt_error err = {0};
    bool is_found = false;
    enum smelt_status status =
        smelt_proof_verify(&state.root, &known->key, proof, &value, &is_found, &err);
    bool is_right = sm_slice_equal(proof, sm_buf_slice(&known->proof));
    FUZZ_CHECK(status == (is_right ? SMELT_STATUS_OK : SMELT_STATUS_PROOF_INVALID), "%s: %s",
               smelt_status_name(status), err.message);
    if (is_right) {
        FUZZ_CHECK(is_found == known->is_found &&
                       sm_slice_equal(sm_buf_slice(&value), sm_buf_slice(&known->value)),
                   "the right proof shows something else");
    }
    smelt_buf_deinit(&value);
}

static void check_changes(const struct known *known, struct smelt_slice changes)
{
    struct smelt_buf proof = {0};
    FUZZ_CHECK(sm_buf_assign(&proof, sm_buf_slice(&known->proof)), "no memory");
    for (size_t i = 0; i + 3 <= changes.size; i += 3) {
        size_t at = (size_t)changes.data[i] | (size_t)changes.data[i + 1] << 8;
        proof.data[at % proof.size] ^= changes.data[i + 2];
    }
    check_proof(known, sm_buf_slice(&proof));
    smelt_buf_deinit(&proof);
}

/* With the value of one pair replaced, every key still gets its proof or an error. */
static void check_damage(enum smelt_store_family family, struct smelt_slice key,
                         struct smelt_slice replacement)
{
    struct smelt_buf before = {0};
    struct smelt_buf proof = {0};
    bool is_found = false;
    FUZZ_CHECK(state.store->ops->get(state.store->impl, NULL, family, key, &before, &is_found,
                                     NULL) == SMELT_STATUS_OK &&
                   is_found,
               "get");
    write_pair(family, key, replacement);
    for (size_t i = 0; i < KEYS; i++) {
        struct smelt_error err = {0};
        struct known *known = &state.keys[i];
        proof.size = 0;
        enum smelt_status status =
            smelt_state_prove(state.store, &known->key, &proof, NULL, &is_found, &err);
        FUZZ_CHECK(status == SMELT_STATUS_STORE_CORRUPT ||
                       (status == SMELT_STATUS_OK && is_found == known->is_found &&
                        sm_slice_equal(sm_buf_slice(&proof), sm_buf_slice(&known->proof))),
                   "%s: %s", smelt_status_name(status), err.message);
    }
    write_pair(family, key, sm_buf_slice(&before));
    smelt_buf_deinit(&before);
    smelt_buf_deinit(&proof);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    make_state();
    if (size < 2) {
        return 0;
    }
    const struct known *known = &state.keys[data[1] % KEYS];
    struct smelt_slice rest = sm_slice(data + 2, size - 2);
    switch ((enum kind)(data[0] % KIND_COUNT)) {
    case A_PROOF:
        check_proof(known, rest);
        break;
    case CHANGES:
        check_changes(known, rest);
        break;
    case A_NODE:
        check_damage(SMELT_STORE_TREE, sm_buf_slice(&state.nodes[data[1] % state.node_count]),
                     rest);
        break;
    case THE_RECORD:
    case KIND_COUNT:
    default:
        check_damage(SMELT_STORE_META, smelt_slice_from_string("commitment"), rest);
        break;
    }
    return 0;
}
