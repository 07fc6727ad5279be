/* See wave_random.h. */
#include "tests/unit/runtime/wave_random.h"

#include "base/bytes.h"

#include <stdlib.h>
#include <string.h>

#define GUEST "guest_host.so"
#define INIT  "guest_init.so"

/* Where a script puts what it needs. */
enum {
    AT_KEY = GUEST_FREE,
    AT_ADDRESS = GUEST_FREE + 64,
    AT_AMOUNT = GUEST_FREE + 128,
    AT_NAME = GUEST_FREE + 160,
    AT_HASH = GUEST_FREE + 192,
    AT_BALANCE = GUEST_FREE + 256,
    AT_INPUT = GUEST_FREE + 512,
    KEYS = 5,
    DEPTH = 2 /* of nested calls */
};

/* Of KINDS transactions, so many are of the kinds up to each; the others are calls. */
enum { TRANSFERS = 6, DEPLOYS = 8, UPGRADES = 10, KINDS = 22 };

uint64_t random_next(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t random_below(uint64_t *seed, uint64_t limit)
{
    return random_next(seed) % limit;
}

static bool one_in(uint64_t *seed, uint64_t n)
{
    return random_below(seed, n) == 0;
}

void random_init(struct random_wave *wave)
{
    memset(wave, 0, sizeof(*wave));
    wave->bytes = (uint8_t *)malloc(RANDOM_BYTES);
    assert_non_null(wave->bytes);
}

void random_deinit(struct random_wave *wave)
{
    free(wave->bytes);
    wave->bytes = NULL;
}

static struct smelt_slice keep(struct random_wave *wave, const void *data, size_t size)
{
    assert_true(size <= RANDOM_BYTES - wave->size);
    uint8_t *at = wave->bytes + wave->size;
    memcpy(at, data, size);
    wave->size += size;
    return sm_slice(at, size);
}

struct smelt_address random_account(size_t index)
{
    return (struct smelt_address){{0xac, (uint8_t)index}};
}

/* The first account deploys them in the first wave. */
struct smelt_address random_contract(size_t index)
{
    struct smelt_address owner = random_account(0);
    struct smelt_address address;
    smelt_contract_address(&owner, index, &address);
    return address;
}

void random_fund(struct smelt_store *store)
{
    for (size_t i = 0; i < RANDOM_ACCOUNTS; i++) {
        struct smelt_address address = random_account(i);
        assert_int_equal(smelt_account_fund(store, &address,
                                            (struct smelt_u128){.low = UINT64_C(1) << 40}, NULL),
                         SMELT_STATUS_OK);
    }
}

/* Anybody, contracts included, and somebody whom nobody knows. */
static struct smelt_address somebody(uint64_t *seed)
{
    uint64_t index = random_below(seed, RANDOM_ACCOUNTS + RANDOM_CONTRACTS + 1);
    return index < RANDOM_ACCOUNTS ? random_account(index)
           : index < RANDOM_ACCOUNTS + RANDOM_CONTRACTS
               ? random_contract(index - RANDOM_ACCOUNTS)
               : (struct smelt_address){{0xee, (uint8_t)random_below(seed, 3)}};
}

/* ---- scripts -----------------------------------------------------------------------------------
 */

static void put_key(uint64_t *seed, struct script *script)
{
    const uint8_t key[8] = {'k', (uint8_t)random_below(seed, KEYS)};
    script_poke(script, AT_KEY, sm_slice(key, sizeof(key)));
}

static void put_address(struct script *script, const struct smelt_address *address)
{
    script_poke(script, AT_ADDRESS, sm_slice(address->bytes, sizeof(address->bytes)));
}

static void put_amount(struct script *script, uint64_t amount)
{
    uint8_t bytes[16] = {0};
    sm_store_le64(bytes, amount);
    script_poke(script, AT_AMOUNT, sm_slice(bytes, sizeof(bytes)));
}

static void make_script(uint64_t *seed, size_t depth, struct script *script);

static void put_call(uint64_t *seed, size_t depth, struct script *script)
{
    struct script *inner = (struct script *)calloc(1, sizeof(*inner));
    struct smelt_address to =
        one_in(seed, 8) ? somebody(seed) : random_contract(random_below(seed, RANDOM_CONTRACTS));
    assert_non_null(inner);
    make_script(seed, depth + 1, inner);
    put_address(script, &to);
    put_amount(script, one_in(seed, 3) ? random_below(seed, 2000) : 0);
    script_poke(script, AT_NAME, sm_slice("run", 3));
    script_poke(script, AT_INPUT, sm_slice(inner->bytes, inner->size));
    if (one_in(seed, 6)) {
        SCRIPT_HOSTN(script, call_contract_static, AT_ADDRESS, AT_NAME, 3, AT_INPUT, inner->size,
                     0);
    } else {
        uint64_t fuel = one_in(seed, 4) ? random_below(seed, 4000) : 0;
        SCRIPT_HOSTN(script, call_contract, AT_ADDRESS, AT_NAME, 3, AT_INPUT, inner->size,
                     AT_AMOUNT, fuel);
    }
    SCRIPT_HOSTN(script, call_result_read, 0, 32, AT_HASH);
    free(inner);
}

static void put_step(uint64_t *seed, size_t depth, struct script *script)
{
    struct smelt_address other = somebody(seed);
    switch (random_below(seed, 14)) {
    case 12:
    case 13:
        put_key(seed, script);
        SCRIPT_HOSTN(script, storage_delete, AT_KEY, 2);
        SCRIPT_HOSTN(script, storage_read, AT_KEY, 2);
        break;
    case 0:
    case 1:
    case 2: /* the hash of what was there: each order gives another value */
        put_key(seed, script);
        SCRIPT_HOSTN(script, storage_read, AT_KEY, 2);
        SCRIPT_HOSTN(script, crypto_hash, GUEST_PAGE, 40, AT_HASH);
        SCRIPT_HOSTN(script, storage_write, AT_KEY, 2, AT_HASH, 1 + random_below(seed, 40));
        break;
    case 3: /* what was there decides */
        put_key(seed, script);
        SCRIPT_HOSTN(script, storage_read, AT_KEY, 2);
        if (one_in(seed, 3)) {
            script_word(script, SCRIPT_EXPECT, 0);
        }
        SCRIPT_HOSTN(script, log_event, AT_KEY, 2, GUEST_PAGE, 16);
        break;
    case 4:
        put_key(seed, script);
        SCRIPT_HOSTN(script, storage_delete, AT_KEY, 2);
        break;
    case 5:
        put_address(script, &other);
        SCRIPT_HOSTN(script, get_balance, AT_ADDRESS, AT_BALANCE);
        SCRIPT_HOSTN(script, log_event, AT_ADDRESS, 2, AT_BALANCE, 16);
        break;
    case 6:
        put_address(script, &other);
        put_amount(script, random_below(seed, 3000));
        SCRIPT_HOSTN(script, transfer, AT_ADDRESS, AT_AMOUNT);
        break;
    case 7:
    case 8:
        if (depth < DEPTH) {
            put_call(seed, depth, script);
        }
        break;
    case 9:
        SCRIPT_HOSTN(script, return_data, AT_HASH, random_below(seed, 32));
        break;
    case 10:
        if (one_in(seed, 4)) {
            SCRIPT_HOSTN(script, revert, AT_HASH, 8);
        } else if (one_in(seed, 4)) {
            script_word(script, SCRIPT_TRAP, 0);
        } else if (one_in(seed, 4)) {
            script_word(script, SCRIPT_SPIN, 0);
        }
        break;
    default:
        script_word(script, SCRIPT_SPIN, 1 + random_below(seed, 500));
        break;
    }
}

static void make_script(uint64_t *seed, size_t depth, struct script *script)
{
    script->size = 0;
    for (uint64_t steps = 1 + random_below(seed, 5); steps != 0; steps--) {
        put_step(seed, depth, script);
    }
}

/* ---- transactions ------------------------------------------------------------------------------
 */

static struct smelt_slice new_script(uint64_t *seed, struct random_wave *out)
{
    static _Thread_local struct script script;
    make_script(seed, 0, &script);
    return keep(out, script.bytes, script.size);
}

static struct smelt_slice new_module(uint64_t *seed, struct random_wave *out)
{
    char name[] = GUEST "#0";
    char init[] = INIT "#0";
    char *text = one_in(seed, 3) ? init : name;
    text[strlen(text) - 1] = (char)('0' + random_below(seed, 64));
    return keep(out, text, strlen(text));
}

static void make_call(uint64_t *seed, struct random_wave *out,
                      struct smelt_wave_transaction *transaction, const struct smelt_address *fresh)
{
    transaction->kind = SMELT_TRANSACTION_CALL;
    transaction->to = fresh != NULL && one_in(seed, 4)
                          ? *fresh
                          : random_contract(random_below(seed, RANDOM_CONTRACTS));
    transaction->function = smelt_slice_from_string("run");
    transaction->input = new_script(seed, out);
    switch (random_below(seed, 40)) {
    case 0:
        transaction->to = somebody(seed);
        break;
    case 1:
        transaction->function = smelt_slice_from_string("no_such");
        break;
    case 2: /* swap takes them the other way round */
        transaction->function = smelt_slice_from_string("swap");
        transaction->arguments = out->arguments;
        transaction->argument_count = 1 + random_below(seed, 2);
        break;
    case 3:
        transaction->function = smelt_slice_from_string("trap");
        break;
    default:
        break;
    }
}

static void make_transaction(uint64_t *seed, struct random_wave *out, uint64_t kind,
                             struct smelt_wave_transaction *transaction,
                             const struct smelt_address *fresh)
{
    transaction->fuel_limit = 60000 + random_below(seed, 60000);
    transaction->fuel_price = random_below(seed, 3);
    transaction->value.low = one_in(seed, 3) ? random_below(seed, 5000) : 0;
    if (kind < TRANSFERS) {
        transaction->kind = SMELT_TRANSACTION_TRANSFER;
        transaction->to = somebody(seed);
    } else if (kind < DEPLOYS) {
        transaction->kind = SMELT_TRANSACTION_DEPLOY;
        transaction->wasm = new_module(seed, out);
        transaction->input = new_script(seed, out);
    } else if (kind < UPGRADES) {
        transaction->kind = SMELT_TRANSACTION_UPGRADE;
        transaction->to = fresh != NULL && one_in(seed, 3)
                              ? *fresh
                              : random_contract(random_below(seed, RANDOM_CONTRACTS));
        transaction->wasm = new_module(seed, out);
        transaction->value.low = 0;
    } else {
        make_call(seed, out, transaction, fresh);
    }
}

/* Whether the transaction will be rejected: then the nonce is not used. */
static bool spoil(uint64_t *seed, struct smelt_wave_transaction *transaction)
{
    switch (random_below(seed, 50)) {
    case 0:
        transaction->nonce += 1 + random_below(seed, 2);
        return true;
    case 1:
        transaction->nonce -= 1;
        return true;
    case 2:
        transaction->fuel_limit = 1 + random_below(seed, 400);
        return true;
    case 3:
        if (transaction->kind == SMELT_TRANSACTION_UPGRADE) {
            return false;
        }
        transaction->value.high = 1;
        return true;
    case 4:
        transaction->from = random_contract(0);
        return true;
    default:
        return false;
    }
}

static void make_first(struct random_wave *out)
{
    for (size_t i = 0; i < RANDOM_CONTRACTS; i++) {
        struct smelt_wave_transaction *transaction = &out->list[out->count++];
        *transaction = (struct smelt_wave_transaction){.kind = SMELT_TRANSACTION_DEPLOY,
                                                       .from = random_account(0),
                                                       .nonce = i,
                                                       .value = {.low = 100000},
                                                       .fuel_limit = 100000,
                                                       .wasm = keep(out, GUEST, strlen(GUEST))};
    }
}

void random_nonces(struct smelt_store *store, uint64_t nonces[RANDOM_ACCOUNTS])
{
    for (size_t i = 0; i < RANDOM_ACCOUNTS; i++) {
        struct smelt_address address = random_account(i);
        struct smelt_account account;
        assert_int_equal(smelt_account_get(store, &address, &account, NULL), SMELT_STATUS_OK);
        nonces[i] = account.nonce;
    }
}

void random_make(uint64_t seed, uint64_t number, size_t max, const uint64_t before[RANDOM_ACCOUNTS],
                 struct random_wave *out)
{
    uint64_t nonces[RANDOM_ACCOUNTS];
    struct smelt_address fresh;
    bool has_fresh = false;
    seed = seed * 1000003 + number;
    out->count = 0;
    out->size = 0;
    out->arguments[0] = (struct smelt_value){.type = SMELT_VALTYPE_I32, .bits = 3};
    out->arguments[1] = (struct smelt_value){.type = SMELT_VALTYPE_I64, .bits = 4};
    out->has_recipient = !one_in(&seed, 3);
    out->recipient = somebody(&seed);
    if (number == 1) {
        make_first(out);
        return;
    }
    memcpy(nonces, before, sizeof(nonces));
    size_t count = 1 + random_below(&seed, max);
    size_t senders = one_in(&seed, 2) ? 3 : RANDOM_ACCOUNTS; /* what else is in the way */
    for (size_t i = 0; i < count; i++) {
        struct smelt_wave_transaction *transaction = &out->list[out->count++];
        uint64_t kind = random_below(&seed, KINDS);
        size_t from = random_below(&seed, senders);
        if (kind >= DEPLOYS && kind < UPGRADES && !one_in(&seed, 4)) {
            from = 0; /* the owner */
        }
        *transaction =
            (struct smelt_wave_transaction){.from = random_account(from), .nonce = nonces[from]};
        make_transaction(&seed, out, kind, transaction, has_fresh ? &fresh : NULL);
        if (!one_in(&seed, 4)) {
            sm_store_le64(out->ids[i].bytes, seed);
            out->ids[i].bytes[31] = (uint8_t)one_in(&seed, 2);
            transaction->id = &out->ids[i];
        }
        if (spoil(&seed, transaction)) {
            continue;
        }
        nonces[from]++;
        if (transaction->kind == SMELT_TRANSACTION_DEPLOY) {
            smelt_contract_address(&transaction->from, transaction->nonce, &fresh);
            has_fresh = true;
        }
    }
}

struct smelt_wave random_frame(const struct random_wave *random, uint64_t number)
{
    return (struct smelt_wave){.chain_id = 7,
                               .number = number,
                               .timestamp = 1000 + 3 * number,
                               .fee_recipient = random->has_recipient ? &random->recipient : NULL,
                               .transactions = random->list,
                               .count = random->count};
}
