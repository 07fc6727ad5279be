/* What the parts of the generator share: its limits, its state, and the instructions that both of
 * them write. generate.c makes the module and functions at random, generate_probe.c functions that
 * try one thing after the other to its edge. */
#ifndef SM_TESTS_GENERATOR_H
#define SM_TESTS_GENERATOR_H

#include "base/bytes.h"
#include "compiler/instrument/stack.h"
#include "compiler/wasm/encode.h"

#define TYPES_MAX     12u
#define PARAMS_MAX    5u
#define RESULTS_MAX   4u
#define FUNCS_MAX     96u /* imported ones included */
#define IMPORTS_MAX   4u
#define GLOBALS_MAX   8u
#define LOCALS_MAX    400u
#define COUNTERS      3u /* i32 locals of counted loops, one per level; nothing else writes them */
#define SEGMENTS_MAX  4u
#define ITEMS_MAX     8u /* of an element segment */
#define TABLE_MAX     24u
#define STACK_MAX     4000u
#define NESTING_MAX   12u /* control frames */
#define EXPRESSION    5u  /* levels of operands that are made for operands */
#define STATEMENTS    10u /* of one sequence */
#define LABELS_MAX    6u  /* of a br_table, the default included */
#define KEPT_MAX      24u /* operands on the stack beyond which none is left there on purpose */
#define BUDGET_MIN    12u /* instructions of a function; closing what is open comes on top */
#define PAGES_MAX     4u
#define SUM_FACTOR    UINT64_C(0x100000001b3)
#define SUM_ADDRESS   40960u
#define SUMMED_LOCALS 8u
#define NO_FUNCTION   UINT32_MAX
#define OPS_OF_TYPE   96u

/* Mutable i64 globals behind those of the tape. */
enum {
    GLOBAL_SUM,   /* of what was computed */
    GLOBAL_ZERO,  /* is never written, which no compiler knows */
    GLOBAL_DEPTH, /* of the function that calls itself */
    OWN_GLOBALS
};

/* Probes by what they do; plain ones are random. */
enum function_kind { VALUES, EDGES, GROWTH, GROWN, DEEP, PLAIN };

struct signature {
    uint8_t params[PARAMS_MAX];
    uint8_t results[RESULTS_MAX];
    uint32_t param_count;
    uint32_t result_count;
};

struct frame {
    enum sm_wasm_op op; /* block, loop, if; the function itself is a block */
    struct signature type;
    uint32_t base; /* stack height below its parameters */
    bool is_dead;  /* behind an unconditional branch */
};

struct global {
    uint8_t type;
    bool is_mutable;
};

struct generator {
    struct smelt_slice tape;
    size_t at;

    struct signature types[TYPES_MAX];
    uint32_t type_count;
    uint32_t func_types[FUNCS_MAX];
    enum function_kind kinds[FUNCS_MAX];
    uint32_t func_count;
    uint32_t import_count;
    struct global globals[GLOBALS_MAX];
    uint32_t global_count;
    bool has_memory;
    struct sm_wasm_limits memory;
    bool has_table;
    struct sm_wasm_limits table;
    uint32_t elements[TABLE_MAX]; /* as after instantiation: function or NO_FUNCTION */
    uint32_t items[SEGMENTS_MAX][ITEMS_MAX];
    uint32_t item_counts[SEGMENTS_MAX]; /* 0 for active segments, which are dropped */
    uint32_t data_count;
    uint32_t elem_count;

    /* of the function being written */
    struct sm_encoder body;
    uint32_t func_index;
    uint8_t locals[LOCALS_MAX]; /* parameters first */
    uint32_t local_count;       /* without the counters, which follow */
    uint8_t stack[STACK_MAX];
    uint32_t height;
    struct frame frames[NESTING_MAX];
    uint32_t depth;
    uint32_t counted; /* loops open */
    uint32_t level;   /* of expressions */
    uint32_t budget;  /* instructions left */
};

/* Of data segments: loads shall find something. */
extern const uint32_t segment_bytes[SEGMENTS_MAX];

/* The tape. */
uint8_t take(struct generator *g);
uint64_t take_bits(struct generator *g, unsigned bytes);
uint32_t choose(struct generator *g, uint32_t count);
bool is_rare(struct generator *g, uint32_t count);
uint8_t choose_type(struct generator *g);
uint8_t type_of_letter(char letter);

/* The operand stack. */
void push(struct generator *g, uint8_t type);
void push_all(struct generator *g, const uint8_t *types, uint32_t count);
void pop(struct generator *g, uint32_t count);

/* A function that grows the memory, below `end`, from a chosen one on; NO_FUNCTION: none. */
uint32_t choose_grower(struct generator *g, uint32_t end);

/* Instructions; those with a type push their result. */
void put_instr(struct generator *g, struct sm_wasm_instr instr);
void put_op(struct generator *g, enum sm_wasm_op op);
void put_index(struct generator *g, enum sm_wasm_op op, uint32_t index);
void put_bits(struct generator *g, uint8_t type, uint64_t bits);
void put_i32(struct generator *g, uint32_t value);
void put_const(struct generator *g, uint8_t type);
uint64_t choose_bits(struct generator *g, uint8_t type);
void put_sink(struct generator *g);

/* Parameters of the type are on the stack. */
void open_frame(struct generator *g, enum sm_wasm_op op, const struct signature *type,
                uint32_t type_index);
void close_frame(struct generator *g);

/* Bodies of functions of probes, up to where their results are due. */
void put_values_probe(struct generator *g);
void put_edge_probe(struct generator *g);
void put_growth_probe(struct generator *g);
void put_grown_probe(struct generator *g);
/* A whole function, its locals included. */
void put_deep_function(struct generator *g, const struct signature *type);

#endif
