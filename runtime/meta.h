/* What a state belongs to: the META keys that fix its profile and its gas schedule. */
#ifndef SM_RUNTIME_META_H
#define SM_RUNTIME_META_H

#include <smelt/host.h>
#include <smelt/schedule.h>
#include <smelt/store.h>

/* Records profile and schedule in a new store; in an old one compares them, writing nothing.
 * STATE_MISMATCH names what the state has and what was given. */
enum smelt_status sm_meta_claim(struct smelt_store *store, const struct smelt_profile *profile,
                                const struct smelt_schedule *schedule, struct smelt_error *err);

#endif
