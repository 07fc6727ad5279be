/* Vault: holds funds of its owner, who may have it call other contracts. A callee that reverts,
 * traps, runs out of its fuel or is not there costs the vault nothing but the fuel: it records the
 * result code and goes on.
 *
 *   function   input                                                      who
 *   init       -                                                          the deployer is the owner
 *   deposit    - (value: the amount)                                      anyone
 *   execute    address [32], fuel u64, value u128, name size u8, name,    owner
 *              then the callee's input
 *   query      as execute, in a static call; the value must be zero       anyone
 *   last_code  -                                                          anyone; result i32
 *   calls      -                                                          anyone; result i32
 *
 * `execute` and `query` result in the code of the nested call (i32) and pass its return or revert
 * data on as return data. Fuel 0 lends the callee all but 1/64 of what is left.
 *
 *   event      data
 *   Executed   code u8, address [32]
 *
 * Storage: "owner" -> address, "last" -> i32 code of the last execute, "calls" -> i32 count. */
#include "support.h"

#define INPUT_MAX  2048
#define RESULT_MAX 4096

/* Address, fuel, value and the size of the name. */
#define HEADER_BYTES (ADDRESS_BYTES + 8 + AMOUNT_BYTES + 1)

static uint8_t input[INPUT_MAX];
static uint8_t result[RESULT_MAX];

struct request {
    struct address address;
    uint64_t fuel;
    amount value;
    const uint8_t *name;
    uint32_t name_size;
    const uint8_t *input;
    uint32_t input_size;
};

static struct request read_request(void)
{
    uint32_t size = (uint32_t)input_len();
    if (size < HEADER_BYTES || size > sizeof(input)) {
        FAIL("input has the wrong size");
    }
    input_read(0, size, input);
    struct request request = {.name = input + HEADER_BYTES, .name_size = input[HEADER_BYTES - 1]};
    memcpy(&request.address, input, ADDRESS_BYTES);
    memcpy(&request.fuel, input + ADDRESS_BYTES, sizeof(request.fuel));
    memcpy(&request.value, input + ADDRESS_BYTES + sizeof(request.fuel), AMOUNT_BYTES);
    if (request.name_size > size - HEADER_BYTES) {
        FAIL("name is longer than the input");
    }
    request.input = request.name + request.name_size;
    request.input_size = size - HEADER_BYTES - request.name_size;
    return request;
}

static void pass_result_on(void)
{
    uint32_t size = (uint32_t)call_result_len();
    if (size > sizeof(result)) {
        size = sizeof(result);
    }
    return_data(result, (uint32_t)call_result_read(0, size, result));
}

static int32_t load_int(const char *key, uint32_t key_size)
{
    int32_t value = 0;
    return load(key, key_size, &value, sizeof(value)) ? value : 0;
}

SMELT_EXPORT("init") void vault_init(void)
{
    refuse_value();
    struct address owner = caller();
    save(KEY("owner"), &owner, sizeof(owner));
}

SMELT_EXPORT("deposit") void vault_deposit(void)
{
    if (value_received() == 0) {
        FAIL("needs a value");
    }
}

SMELT_EXPORT("execute") int32_t vault_execute(void)
{
    struct address owner;
    struct address from = caller();
    refuse_value();
    if (!load(KEY("owner"), &owner, sizeof(owner)) || !same_address(&from, &owner)) {
        FAIL("only the owner executes");
    }
    struct request request = read_request();
    int32_t code =
        (int32_t)call_contract(&request.address, request.name, request.name_size, request.input,
                               request.input_size, &request.value, request.fuel);

    int32_t calls = load_int(KEY("calls")) + 1;
    save(KEY("calls"), &calls, sizeof(calls));
    save(KEY("last"), &code, sizeof(code));
    uint8_t data[1 + ADDRESS_BYTES] = {(uint8_t)code};
    memcpy(data + 1, &request.address, ADDRESS_BYTES);
    log_event(TOPIC("Executed"), data, sizeof(data));
    pass_result_on();
    return code;
}

SMELT_EXPORT("query") int32_t vault_query(void)
{
    refuse_value();
    struct request request = read_request();
    if (request.value != 0) {
        FAIL("a query sends no value");
    }
    int32_t code = (int32_t)call_contract_static(&request.address, request.name, request.name_size,
                                                 request.input, request.input_size, request.fuel);
    pass_result_on();
    return code;
}

SMELT_EXPORT("last_code") int32_t vault_last_code(void)
{
    return load_int(KEY("last"));
}

SMELT_EXPORT("calls") int32_t vault_calls(void)
{
    return load_int(KEY("calls"));
}
