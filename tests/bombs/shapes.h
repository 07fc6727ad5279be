/* Modules that are expensive to compile. A shape is a way to repeat something: it makes a valid
 * module of any size n, and its cost grows with n. How large n may be is not the shape's business:
 * the largest module of it that the gate accepts is the worst case, whatever the limits are. */
#ifndef SM_TESTS_BOMBS_SHAPES_H
#define SM_TESTS_BOMBS_SHAPES_H

#include "compiler/instrument/gate.h"
#include "compiler/wasm/encode.h"

#define SHAPE_NAME_BYTES 48

struct shape {
    const char *name;
    /* n repetitions in the body of a function, without the final `end`. NULL: see `module`. */
    void (*body)(struct sm_encoder *code, const struct sm_policy *policy, uint32_t n);
    /* Writes all sections but the header. NULL: the common surroundings with `copies` bodies. */
    void (*module)(struct sm_encoder *out, const struct sm_policy *policy, uint32_t n);
    bool has_all_locals; /* as many as the policy allows, instead of one of each type */
    enum sm_wasm_op op;  /* for the shapes of single operators, which share a body */
};

/* The shapes with a name of their own, then one for each numeric operator. */
uint32_t shape_count(void);
const struct shape *shape_at(uint32_t index);

/* n repetitions; for shapes with a body `copies` functions of these, and one of `rest` repetitions
 * that fills what is left. */
struct shape_size {
    uint32_t n, copies, rest;
};

/* The caller frees `out`. */
void shape_build(const struct shape *shape, const struct sm_policy *policy,
                 const struct shape_size *size, struct smelt_buf *out);

/* A body of n random instructions for the search: `mix` are weights of the kinds of snippets. */
#define MIX_KINDS 24u
void shape_build_mix(const uint8_t mix[MIX_KINDS], const struct sm_policy *policy, uint32_t n,
                     uint32_t copies, uint64_t seed, struct smelt_buf *out);

#endif
