/* ERC-20 token: balances, allowances, events.
 *
 * Inputs and return data are the fields below, one after the other, nothing between them:
 *
 *   function       input                                   return data
 *   init           supply u128                             -          mints to the deployer
 *   transfer       to [32], amount u128                    -
 *   approve        spender [32], amount u128               -          replaces the allowance
 *   transfer_from  owner [32], to [32], amount u128        -          the caller is the spender
 *   balance_of     owner [32]                              u128
 *   allowance      owner [32], spender [32]                u128
 *   total_supply   -                                       u128
 *
 *   event          data
 *   Transfer       from [32] (zeroes: minted), to [32], amount u128
 *   Approval       owner [32], spender [32], amount u128
 *
 * Storage: 's' -> supply, 'b' ‖ owner -> balance, 'a' ‖ owner ‖ spender -> allowance.
 *
 * Sums of balances never exceed the supply, and each addition is checked all the same: the
 * invariant is then local to every line. */
#include "support.h"

struct balance_key {
    uint8_t tag;
    struct address owner;
};

struct allowance_key {
    uint8_t tag;
    struct address owner;
    struct address spender;
};

struct event {
    struct address a;
    struct address b;
    uint8_t value[AMOUNT_BYTES];
};

/* What is hashed, stored or emitted as bytes has no padding. */
_Static_assert(sizeof(struct balance_key) == 33, "packed");
_Static_assert(sizeof(struct allowance_key) == 65, "packed");
_Static_assert(sizeof(struct event) == 80, "packed");

static struct balance_key balance_key(const struct address *owner)
{
    return (struct balance_key){.tag = 'b', .owner = *owner};
}

static struct allowance_key allowance_key(const struct address *owner,
                                          const struct address *spender)
{
    return (struct allowance_key){.tag = 'a', .owner = *owner, .spender = *spender};
}

static amount read_amount(const uint8_t bytes[AMOUNT_BYTES])
{
    amount value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

static void emit(const char *topic, uint32_t topic_size, const struct address *a,
                 const struct address *b, amount value)
{
    struct event event = {.a = *a, .b = *b};
    memcpy(event.value, &value, sizeof(value));
    log_event(topic, topic_size, &event, sizeof(event));
}

static void add_balance(const struct address *owner, amount value)
{
    struct balance_key key = balance_key(owner);
    amount sum;
    if (__builtin_add_overflow(load_amount(&key, sizeof(key)), value, &sum)) {
        FAIL("balance overflows");
    }
    save_amount(&key, sizeof(key), sum);
}

/* The debit is stored before the credit is read, so that a transfer to oneself changes nothing. */
static void move(const struct address *from, const struct address *to, amount value)
{
    struct balance_key key = balance_key(from);
    amount rest;
    if (__builtin_sub_overflow(load_amount(&key, sizeof(key)), value, &rest)) {
        FAIL("balance is too small");
    }
    save_amount(&key, sizeof(key), rest);
    add_balance(to, value);
    emit(TOPIC("Transfer"), from, to, value);
}

SMELT_EXPORT("init") void token_init(void)
{
    static const struct address nobody;
    amount supply;
    refuse_value();
    read_input(&supply, sizeof(supply));
    struct address deployer = caller();
    save_amount(KEY("s"), supply);
    add_balance(&deployer, supply);
    emit(TOPIC("Transfer"), &nobody, &deployer, supply);
}

SMELT_EXPORT("transfer") void token_transfer(void)
{
    struct {
        struct address to;
        uint8_t value[AMOUNT_BYTES];
    } input;
    refuse_value();
    read_input(&input, sizeof(input));
    struct address from = caller();
    move(&from, &input.to, read_amount(input.value));
}

SMELT_EXPORT("approve") void token_approve(void)
{
    struct {
        struct address spender;
        uint8_t value[AMOUNT_BYTES];
    } input;
    refuse_value();
    read_input(&input, sizeof(input));
    struct address owner = caller();
    struct allowance_key key = allowance_key(&owner, &input.spender);
    amount value = read_amount(input.value);
    save_amount(&key, sizeof(key), value);
    emit(TOPIC("Approval"), &owner, &input.spender, value);
}

SMELT_EXPORT("transfer_from") void token_transfer_from(void)
{
    struct {
        struct address owner;
        struct address to;
        uint8_t value[AMOUNT_BYTES];
    } input;
    refuse_value();
    read_input(&input, sizeof(input));
    struct address spender = caller();
    struct allowance_key key = allowance_key(&input.owner, &spender);
    amount value = read_amount(input.value);
    amount rest;
    if (__builtin_sub_overflow(load_amount(&key, sizeof(key)), value, &rest)) {
        FAIL("allowance is too small");
    }
    save_amount(&key, sizeof(key), rest);
    move(&input.owner, &input.to, value);
}

SMELT_EXPORT("balance_of") void token_balance_of(void)
{
    struct address owner;
    read_input(&owner, sizeof(owner));
    struct balance_key key = balance_key(&owner);
    amount value = load_amount(&key, sizeof(key));
    return_data(&value, sizeof(value));
}

SMELT_EXPORT("allowance") void token_allowance(void)
{
    struct {
        struct address owner;
        struct address spender;
    } input;
    read_input(&input, sizeof(input));
    struct allowance_key key = allowance_key(&input.owner, &input.spender);
    amount value = load_amount(&key, sizeof(key));
    return_data(&value, sizeof(value));
}

SMELT_EXPORT("total_supply") void token_total_supply(void)
{
    read_input(NULL, 0);
    amount value = load_amount(KEY("s"));
    return_data(&value, sizeof(value));
}
