/* Which function of a contract a transaction runs, and with what. Everything that is refused here
 * is refused on every machine. */
#ifndef SM_RUNTIME_ENTRY_H
#define SM_RUNTIME_ENTRY_H

#include "runtime/host/contract.h"

#include <smelt/runtime.h>

/* The export that a transaction may call by `name`. UNKNOWN_FUNCTION when there is none, or when it
 * is reserved or takes floats. */
enum smelt_status sm_entry_find(const struct sm_contract *contract,
                                const struct smelt_profile *profile, struct smelt_slice name,
                                const struct sm_export **out, struct smelt_error *err);

/* The arguments into `slots`, which has sm_frame_slot_count cells. ARGUMENT_MISMATCH. */
enum smelt_status sm_entry_pass(const struct sm_export *export_,
                                const struct smelt_value *arguments, size_t count, uint64_t *slots,
                                struct smelt_error *err);

/* The export that runs at deploy; NULL when the profile or the module has none. The compiler's gate
 * holds it to `() -> ()`; an artefact of another shape is refused like a module of that shape. */
enum smelt_status sm_entry_find_init(const struct sm_contract *contract,
                                     const struct smelt_profile *profile,
                                     const struct sm_export **out, struct smelt_error *err);

#endif
