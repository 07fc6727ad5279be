/* What we ask of ELF files: how much stack the object's functions take, and whether the shared
 * object is one that may be mapped into a node. ELF and gABI terms; .stack_sizes is LLVM's
 * (docs/Extensions, "-fstack-size-section"). */
#ifndef SM_DRIVER_ELF_H
#define SM_DRIVER_ELF_H

#include "compiler/driver/frame.h"

#include <smelt/bytes.h>
#include <smelt/status.h>

/* Visits every entry of .stack_sizes. TOOL_OUTPUT when the object is not a 64-bit relocatable file,
 * or has functions and no .stack_sizes section. */
enum smelt_status sm_elf_read_frames(struct smelt_slice object, sm_frame_fn visit, void *context,
                                     struct smelt_error *err);

/* TOOL_OUTPUT unless the shared object has: no DT_NEEDED, no undefined symbol, no initialisers or
 * finalisers, no text relocation, no segment both writable and executable, no executable stack, no
 * interpreter, relocations of kind RELATIVE only, and exactly one exported symbol, which is
 * `exported`. */
enum smelt_status sm_elf_audit(struct smelt_slice shared_object, const char *exported,
                               struct smelt_error *err);

#endif
