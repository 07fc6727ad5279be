/* From a wasm call of an import to its handler: the checks of <smelt/host.h>, in their order. */
#ifndef SM_HOST_DISPATCH_H
#define SM_HOST_DISPATCH_H

#include "runtime/exec/exec.h"

#include <smelt/host.h>

/* Reads the wasm arguments of `row` from `slots`, one `args` entry per parameter, and adds up the
 * bytes that are charged. False when a range is not inside memory; ranges are added in 64 bits, and
 * an empty one may lie at the very end. */
bool sm_dispatch_bind(const struct smelt_host_function *row, const uint64_t *slots, uint8_t *memory,
                      uint64_t memory_size, struct smelt_host_arg args[SMELT_HOST_PARAMS_MAX],
                      uint64_t *charged_bytes);

/* The callback given to exec; `context` is the frame. */
enum sm_exec_action sm_dispatch_call(void *context, struct sm_activation *activation,
                                     uint32_t import, uint64_t *slots);

#endif
