/* What a state belongs to: the META keys that fix its profile, its gas schedule and its policy. */
#ifndef SM_RUNTIME_META_H
#define SM_RUNTIME_META_H

#include <smelt/host.h>
#include <smelt/policy.h>
#include <smelt/schedule.h>
#include <smelt/store.h>

/* Records profile, schedule and policy in a new store; in an old one compares them, writing
 * nothing. STATE_MISMATCH names what the state has and what was given. */
enum smelt_status sm_meta_claim(struct smelt_store *store, const struct smelt_profile *profile,
                                const struct smelt_schedule *schedule,
                                const struct smelt_policy *policy, struct smelt_error *err);

#endif
