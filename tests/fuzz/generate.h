/* Valid modules from arbitrary bytes.
 *
 * The tape is read from its start; every decision takes one byte or a few, zero is the simplest
 * choice, and behind the end there are only zeros. So a shorter tape or one with more zeros makes a
 * smaller module, which is what a fuzzer's mutation and minimisation want. The same tape makes the
 * same module for ever only within one version of the generator.
 *
 * The module stays within the gate's limits for modules of other hosts: floats, any import of a
 * function, no start function. Every function is exported. It is biased toward trouble: constants
 * at the edges of their types, addresses at the end of memory, tables with holes, code behind
 * branches, more operands on the stack than a branch takes. */
#ifndef SM_TESTS_GENERATE_H
#define SM_TESTS_GENERATE_H

#include <smelt/bytes.h>

#define GENERATE_TAPE_BYTES 24576u /* what a large module makes use of */

/* Replaces the content of `wasm`. False when memory is short. */
bool generate_module(struct smelt_slice tape, struct smelt_buf *wasm);

/* Fills a tape with noise that is a function of the seed. */
void generate_tape(uint64_t seed, uint8_t *tape, size_t size);

#endif
