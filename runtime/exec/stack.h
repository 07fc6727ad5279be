/* Native stack of an invocation. Zero-initialise; deinit leaves zeroes and may be repeated. */
#ifndef SM_EXEC_STACK_H
#define SM_EXEC_STACK_H

#include <smelt/status.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No artefact needs more: larger sizes are refused before they reach the kernel. */
#define SM_STACK_BYTES_MAX (UINT64_C(1) << 32)

struct sm_stack {
    uint8_t *bottom; /* lowest usable byte */
    size_t size;     /* usable bytes; the stack grows down from bottom + size, 16-aligned */
};

/* At least `bytes`, at most SM_STACK_BYTES_MAX × 2. NO_MEMORY when the machine cannot give them. */
enum smelt_status sm_stack_init(struct sm_stack *stack, uint64_t bytes, struct smelt_error *err);
void sm_stack_deinit(struct sm_stack *stack);

/* Of a stack that is kept for later, this much stays in the machine's memory. */
#define SM_STACK_KEPT_BYTES ((size_t)65536)
/* Gives back the pages below that, when a call has gone so deep. */
void sm_stack_trim(struct sm_stack *stack);

/* Whether `address` lies in a guard. For signal handlers too. */
bool sm_stack_guards(const struct sm_stack *stack, uintptr_t address);

#endif
