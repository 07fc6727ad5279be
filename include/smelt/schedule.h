/* Gas schedules: what each instruction and each host function costs, in fuel.
 *
 * A schedule is a TOML file with one weight per opcode, one table per host function of a profile
 * and the dynamic charges of memory and table instructions. It is strict: unknown, missing or
 * doubled keys are errors. Its digest is part of the artefact key. Format: docs/fuel.md. */
#ifndef SMELT_SCHEDULE_H
#define SMELT_SCHEDULE_H

#include <smelt/bytes.h>
#include <smelt/export.h>
#include <smelt/host.h>
#include <smelt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct smelt_schedule;

/* Parses TOML text for a profile. On failure `err` holds the line in its message and the byte
 * offset. The text is copied. */
SMELT_API enum smelt_status smelt_schedule_parse(struct smelt_slice text,
                                                 const struct smelt_profile *profile,
                                                 struct smelt_schedule **out,
                                                 struct smelt_error *err) SMELT_WARN_UNUSED;

/* A schedule compiled into the library: "engine-v1" or "unit". NOT_FOUND for another name. */
SMELT_API enum smelt_status smelt_schedule_builtin(const char *name,
                                                   const struct smelt_profile *profile,
                                                   struct smelt_schedule **out,
                                                   struct smelt_error *err) SMELT_WARN_UNUSED;

SMELT_API void smelt_schedule_destroy(struct smelt_schedule *schedule);

/* Borrowed until destroy. */
SMELT_API const char *smelt_schedule_name(const struct smelt_schedule *schedule);
SMELT_API struct smelt_slice smelt_schedule_text(const struct smelt_schedule *schedule);

/* BLAKE2b-256 over the parsed values in canonical order: comments and layout do not count. */
SMELT_API void smelt_schedule_digest(const struct smelt_schedule *schedule, struct smelt_hash *out);

#ifdef __cplusplus
}
#endif

#endif
