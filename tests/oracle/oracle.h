/* The oracle: what a module means, said by an interpreter that is not ours.
 *
 *                       +-- instrumented wasm --> interpreter.cc (wabt) --+
 *   module --> compile -|                                                 |--> compare.c
 *                       +-- shared object ------> native.c (exec) --------+
 *
 * Each side makes a fresh instance, calls one export, and says how that ended. Both must agree on
 * every field of `struct oracle_outcome`. Fuel and stack are counted on the interpreter's side by
 * the marker functions alone, so that the instrumented module is the definition and native code,
 * which checks later and less often, is what is tested.
 *
 * Whether that definition is the one of docs/fuel.md is checked by a third side, which shares
 * nothing with the instrumenter: count.c makes of the same module one in which every instruction
 * counts for itself. Calls that neither run out of fuel nor overflow the stack must end alike
 * there.
 *
 * Host functions are one deterministic invention, host.c, that both sides call. */
#ifndef SM_TESTS_ORACLE_H
#define SM_TESTS_ORACLE_H

#include <smelt/bytes.h>
#include <smelt/compiler.h>
#include <smelt/trap.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ORACLE_VALUES_MAX 128 /* parameters or results; no policy allows more */

/* ---- calls and outcomes ---------------------------------------------------------------------- */

struct oracle_call {
    uint32_t export_index; /* among the exported functions */
    uint32_t stack_weight; /* of the entry, taken before the call */
    uint32_t seed;         /* of the host's answers */
    uint64_t fuel;
    uint64_t args[ORACLE_VALUES_MAX];
};

/* What the guest told its host, in order: the first calls as text, all of them in the sum. */
struct oracle_trace {
    uint64_t count;
    uint64_t sum;
    uint32_t text_size;
    char text[2000];
};

enum oracle_end { ORACLE_RETURNED, ORACLE_TRAPPED, ORACLE_OUT_OF_FUEL };

/* What adds a charge that only the execution knows. */
#define ORACLE_DYNAMIC_MAP(XX)                                                                     \
    XX(MEMORY_GROW, "memory.grow")                                                                 \
    XX(MEMORY_COPY, "memory.copy")                                                                 \
    XX(MEMORY_FILL, "memory.fill")                                                                 \
    XX(MEMORY_INIT, "memory.init")                                                                 \
    XX(TABLE_COPY, "table.copy")                                                                   \
    XX(TABLE_INIT, "table.init")

enum oracle_dynamic {
#define ORACLE_DYNAMIC_ENUM(name, text) ORACLE_##name,
    ORACLE_DYNAMIC_MAP(ORACLE_DYNAMIC_ENUM)
#undef ORACLE_DYNAMIC_ENUM
        ORACLE_DYNAMIC_COUNT
};

struct oracle_outcome {
    enum oracle_end end;
    enum smelt_trap trap;
    uint64_t fuel_used;
    uint64_t results[ORACLE_VALUES_MAX]; /* when returned */
    struct oracle_trace trace;
    uint64_t memory_size; /* bytes; 0 when out of fuel: those effects are dropped */
    struct smelt_hash memory_digest;
    /* counted modules only: fuel used right behind the first charge of a kind; 0: there was none */
    uint64_t dynamic[ORACLE_DYNAMIC_COUNT];
};

bool oracle_outcome_equal(const struct oracle_outcome *a, const struct oracle_outcome *b);

/* Takes down the memory that the call left behind. */
void oracle_take_memory(struct oracle_outcome *outcome, const uint8_t *memory, uint64_t size);

/* ---- host functions -------------------------------------------------------------------------- */

struct oracle_signature {
    const uint8_t *params; /* enum smelt_valtype */
    uint32_t param_count;
    const uint8_t *results;
    uint32_t result_count;
};

struct oracle_memory {
    uint8_t *data;
    uint64_t size;
};

enum oracle_answer { ORACLE_CONTINUE, ORACLE_STOP };

/* One host call: notes it in the outcome, may write to memory, puts the results in `slots`, takes
 * some of `*fuel`. STOP when there was not enough, or when it pleases the host to trap; the outcome
 * then holds the end. */
enum oracle_answer oracle_host_call(const struct oracle_call *call, struct oracle_outcome *outcome,
                                    uint32_t import, const struct oracle_signature *signature,
                                    uint64_t *slots, struct oracle_memory memory, uint64_t *fuel);

/* Clears what a value's type does not use. */
uint64_t oracle_trim(uint8_t type, uint64_t bits);

/* ---- the two sides --------------------------------------------------------------------------- */

/* A machine that cannot do as it is told ends the program with a message. */

struct interpreter;

enum interpreter_kind { INTERPRETER_MARKED, INTERPRETER_COUNTED };

/* NULL, with a reason in `problem`, when wabt refuses the module. */
struct interpreter *interpreter_open(struct smelt_slice wasm, enum interpreter_kind kind,
                                     char *problem, size_t problem_size);
void interpreter_close(struct interpreter *interpreter);
void interpreter_run(struct interpreter *interpreter, const struct oracle_call *call,
                     struct oracle_outcome *out);

struct native;
struct sm_descriptor;

/* `artefact` lies in the cache. */
struct native *native_open(struct smelt_cache *cache, const struct smelt_artefact *artefact);
void native_close(struct native *native);
const struct sm_descriptor *native_descriptor(const struct native *native);
void native_run(struct native *native, const struct oracle_call *call, struct oracle_outcome *out);

/* From now on, calls leave the first word of their memory there (0 without memory); NULL: no more. */
void native_leave_word(struct native *native, uint32_t *out);

/* ---- counting by instruction ----------------------------------------------------------------- */

/* The i64 globals that a counted module has behind its own. */
enum {
    ORACLE_COUNT_USED,    /* weights of the instructions that ran, and dynamic charges */
    ORACLE_COUNT_DEBT,    /* of the block of the last instruction that could trap */
    ORACLE_COUNT_DYNAMIC, /* from here, one for each kind: see `dynamic` above */
    ORACLE_COUNT_GLOBALS = ORACLE_COUNT_DYNAMIC + ORACLE_DYNAMIC_COUNT
};

/* Makes the counted module of a valid one. The limits of its memory, in pages, are those that the
 * artefact has. */
enum smelt_status oracle_count(struct smelt_slice wasm, const struct smelt_schedule *schedule,
                               uint32_t memory_min, uint32_t memory_max, struct smelt_buf *out,
                               struct smelt_error *err);

#ifdef __cplusplus
}
#endif

#endif
