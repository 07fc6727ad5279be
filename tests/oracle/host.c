/* The host of both sides. Its answers are a function of the call's seed, the number of the host
 * call, the import and the arguments, so that sides which agree so far get the same answer. */
#include "base/bytes.h"
#include "base/digest.h"
#include "tests/oracle/oracle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WRITE_BYTES 8u

uint64_t oracle_trim(uint8_t type, uint64_t bits)
{
    return type == SMELT_VALTYPE_I32 || type == SMELT_VALTYPE_F32 ? (uint32_t)bits : bits;
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* Most of a memory is zeros: only blocks that are not count, with their places. */
void oracle_take_memory(struct oracle_outcome *outcome, const uint8_t *memory, uint64_t size)
{
    enum { BLOCK_BYTES = 4096 };
    struct sm_digest digest;
    sm_digest_init(&digest, "smelt.oracle.memory");
    for (uint64_t at = 0; at < size; at += BLOCK_BYTES) {
        if (!is_zero(memory + at, BLOCK_BYTES)) {
            sm_digest_u64(&digest, at);
            sm_digest_slice(&digest, sm_slice(memory + at, BLOCK_BYTES));
        }
    }
    sm_digest_final(&digest, &outcome->memory_digest);
    outcome->memory_size = size;
}

bool oracle_outcome_equal(const struct oracle_outcome *a, const struct oracle_outcome *b)
{
    return a->end == b->end && a->trap == b->trap && a->fuel_used == b->fuel_used &&
           memcmp(a->results, b->results, sizeof(a->results)) == 0 &&
           a->trace.count == b->trace.count && a->trace.sum == b->trace.sum &&
           a->memory_size == b->memory_size && sm_hash_equal(&a->memory_digest, &b->memory_digest);
}

/* The finaliser of splitmix64. */
static uint64_t mix(uint64_t state, uint64_t value)
{
    uint64_t x = (state ^ value) + UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static SMELT_PRINTF(2, 3) void note(struct oracle_trace *trace, const char *format, ...)
{
    va_list args;
    size_t room = sizeof(trace->text) - trace->text_size;
    va_start(args, format);
    int size = vsnprintf(trace->text + trace->text_size, room, format, args);
    va_end(args);
    if (size > 0 && (size_t)size < room) {
        trace->text_size += (uint32_t)size;
    }
}

/* Zero, one and small numbers take a contract further than noise does; the fourth is what profile
 * `engine` returns for a value in memory: pointer << 32 | length. */
static uint64_t invent(uint64_t random)
{
    switch (random % 5) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return random >> 8 & 0xff;
    case 3:
        return (random >> 8 & 0xfff) << 32 | (random >> 24 & 0x1f);
    default:
        return random >> 3;
    }
}

/* Where an argument points, when it may be a pointer; else anywhere in the first page. */
static void write_memory(struct oracle_memory memory, uint64_t random, uint64_t pointer)
{
    uint8_t bytes[WRITE_BYTES];
    if (memory.size == 0) {
        return;
    }
    sm_store_le64(bytes, random);
    uint64_t at = pointer <= memory.size - WRITE_BYTES ? pointer : random % 65529;
    memcpy(memory.data + at, bytes, WRITE_BYTES);
}

enum oracle_answer oracle_host_call(const struct oracle_call *call, struct oracle_outcome *outcome,
                                    uint32_t import, const struct oracle_signature *signature,
                                    uint64_t *slots, struct oracle_memory memory, uint64_t *fuel)
{
    struct oracle_trace *trace = &outcome->trace;
    uint64_t random = mix(mix(call->seed, trace->count), import);
    note(trace, "h.i%" PRIu32 "(", import);
    for (uint32_t i = 0; i < signature->param_count; i++) {
        uint64_t value = oracle_trim(signature->params[i], slots[i]);
        random = mix(random, value);
        note(trace, "%s%" PRIx64, i == 0 ? "" : " ", value);
    }
    note(trace, ") with %" PRIu64 "\n", *fuel);
    trace->count++;
    trace->sum = mix(mix(trace->sum, random), *fuel);

    write_memory(memory, random, signature->param_count != 0 ? (uint32_t)slots[0] : UINT32_MAX);
    for (uint32_t i = 0; i < signature->result_count; i++) {
        random = mix(random, i);
        slots[i] = oracle_trim(signature->results[i], invent(random));
    }
    uint64_t charge = random % 64;
    if (charge > *fuel) {
        *fuel = 0;
        outcome->end = ORACLE_OUT_OF_FUEL;
        return ORACLE_STOP;
    }
    *fuel -= charge;
    if (random >> 58 == 0) {
        outcome->end = ORACLE_TRAPPED;
        outcome->trap = SMELT_TRAP_HOST_ERROR;
        return ORACLE_STOP;
    }
    return ORACLE_CONTINUE;
}
