/* Escrow between two parties, with a timeout.
 *
 *             deposit (payer, with value)          release (payer)
 *   EMPTY ------------------------------> FUNDED ------------------> CLOSED, paid to the payee
 *                                           \
 *                                            \-- refund (payer after the deadline, or payee)
 *                                                  --> CLOSED, paid back to the payer
 *
 *   function   input                                who
 *   init       payee [32], timeout u64 (seconds)    the deployer becomes the payer
 *   deposit    - (value: the amount)                payer; the deadline is now + timeout
 *   release    -                                    payer, at any time
 *   refund     -                                    payer at or after the deadline, payee at any
 * time state      -                                    anyone; result i32: 0 EMPTY, 1 FUNDED, 2
 * CLOSED
 *
 *   event      data
 *   Deposited  amount u128, deadline u64
 *   Released   amount u128
 *   Refunded   amount u128
 *
 * Storage: "escrow" -> struct escrow. "Now" is the block's timestamp. */
#include "support.h"

enum phase { EMPTY = 0, FUNDED = 1, CLOSED = 2 };

struct escrow {
    struct address payer;
    struct address payee;
    amount held;
    uint64_t timeout;  /* seconds */
    uint64_t deadline; /* seconds; meaningful when FUNDED */
    uint32_t phase;    /* enum phase */
    uint32_t reserved[3];
};

_Static_assert(sizeof(struct escrow) == 112, "packed");

static struct escrow open_escrow(void)
{
    struct escrow escrow;
    if (!load(KEY("escrow"), &escrow, sizeof(escrow))) {
        FAIL("not initialised");
    }
    return escrow;
}

static void save_escrow(const struct escrow *escrow)
{
    save(KEY("escrow"), escrow, sizeof(*escrow));
}

static void close_escrow(struct escrow *escrow, const struct address *to, const char *topic,
                         uint32_t topic_size)
{
    escrow->phase = CLOSED;
    save_escrow(escrow);
    if (transfer(to, &escrow->held) != 0) {
        FAIL("escrow does not hold the amount");
    }
    log_event(topic, topic_size, &escrow->held, sizeof(escrow->held));
}

static struct escrow open_funded(void)
{
    refuse_value();
    struct escrow escrow = open_escrow();
    if (escrow.phase != FUNDED) {
        FAIL("nothing is held");
    }
    return escrow;
}

SMELT_EXPORT("init") void escrow_init(void)
{
    struct {
        struct address payee;
        uint64_t timeout;
    } input;
    _Static_assert(sizeof(input) == 40, "packed");
    refuse_value();
    read_input(&input, sizeof(input));
    struct escrow escrow = {.payer = caller(), .payee = input.payee, .timeout = input.timeout};
    save_escrow(&escrow);
}

SMELT_EXPORT("deposit") void escrow_deposit(void)
{
    struct escrow escrow = open_escrow();
    struct address from = caller();
    if (!same_address(&from, &escrow.payer)) {
        FAIL("only the payer deposits");
    }
    if (escrow.phase != EMPTY) {
        FAIL("already funded");
    }
    escrow.held = value_received();
    if (escrow.held == 0) {
        FAIL("needs a value");
    }
    if (__builtin_add_overflow((uint64_t)get_block_timestamp(), escrow.timeout, &escrow.deadline)) {
        FAIL("deadline overflows");
    }
    escrow.phase = FUNDED;
    save_escrow(&escrow);

    uint8_t data[AMOUNT_BYTES + sizeof(uint64_t)];
    memcpy(data, &escrow.held, AMOUNT_BYTES);
    memcpy(data + AMOUNT_BYTES, &escrow.deadline, sizeof(uint64_t));
    log_event(TOPIC("Deposited"), data, sizeof(data));
}

SMELT_EXPORT("release") void escrow_release(void)
{
    struct escrow escrow = open_funded();
    struct address from = caller();
    if (!same_address(&from, &escrow.payer)) {
        FAIL("only the payer releases");
    }
    close_escrow(&escrow, &escrow.payee, TOPIC("Released"));
}

SMELT_EXPORT("refund") void escrow_refund(void)
{
    struct escrow escrow = open_funded();
    struct address from = caller();
    if (!same_address(&from, &escrow.payee)) {
        if (!same_address(&from, &escrow.payer)) {
            FAIL("only the parties refund");
        }
        if ((uint64_t)get_block_timestamp() < escrow.deadline) {
            FAIL("too early");
        }
    }
    close_escrow(&escrow, &escrow.payer, TOPIC("Refunded"));
}

SMELT_EXPORT("state") int32_t escrow_state(void)
{
    return (int32_t)open_escrow().phase;
}
