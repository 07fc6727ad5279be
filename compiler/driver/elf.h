/* What we ask of ELF files: how much stack the object's functions take, and whether the shared
 * object is one that may be mapped into a node. ELF and gABI terms; .stack_sizes is LLVM's
 * (docs/Extensions, "-fstack-size-section"). */
#ifndef SM_DRIVER_ELF_H
#define SM_DRIVER_ELF_H

#include <smelt/bytes.h>
#include <smelt/status.h>

/* Frame of one function of the object, return address included. Called for every entry of
 * .stack_sizes; `name` is the function's symbol. */
typedef void (*sm_elf_frame_fn)(void *context, const char *name, uint64_t bytes);

/* TOOL_OUTPUT when the object is not a 64-bit relocatable file, or has functions but no
 * .stack_sizes section. */
enum smelt_status sm_elf_read_frames(struct smelt_slice object, sm_elf_frame_fn visit,
                                     void *context, struct smelt_error *err);

/* TOOL_OUTPUT unless the shared object has: no DT_NEEDED, no undefined symbol, no initialisers or
 * finalisers, no text relocation, no segment both writable and executable, no executable stack, no
 * interpreter, relocations of kind RELATIVE only, and exactly one exported symbol, which is
 * `exported`. */
enum smelt_status sm_elf_audit(struct smelt_slice shared_object, const char *exported,
                               struct smelt_error *err);

#endif
