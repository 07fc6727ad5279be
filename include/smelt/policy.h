/* Policies: which modules are let in.
 *
 * A policy is a TOML file with the features a module may use, what becomes of floating point, what
 * may be exported, and how large everything may be. It is strict: unknown, missing or doubled keys
 * are errors. Its digest is part of the artefact key, and a state remembers the policy it was
 * created with. Format and meaning of every key: docs/limits.md. */
#ifndef SMELT_POLICY_H
#define SMELT_POLICY_H

#include <smelt/bytes.h>
#include <smelt/export.h>
#include <smelt/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct smelt_policy;

enum smelt_float_policy {
    SMELT_FLOAT_FORBID = 0,       /* a module with any float type or instruction is refused */
    SMELT_FLOAT_CANONICAL_NAN = 1 /* every float result that is a NaN becomes the canonical NaN */
};

/* The built-in policy that is used where none is given. */
#define SMELT_POLICY_DEFAULT "standard"

/* Parses TOML text. On failure `err` holds the line in its message and the byte offset. The text is
 * copied. */
SMELT_API enum smelt_status smelt_policy_parse(struct smelt_slice text, struct smelt_policy **out,
                                               struct smelt_error *err) SMELT_WARN_UNUSED;

/* A policy compiled into the library: "standard" or "standard-floats". NOT_FOUND for another name.
 */
SMELT_API enum smelt_status smelt_policy_builtin(const char *name, struct smelt_policy **out,
                                                 struct smelt_error *err) SMELT_WARN_UNUSED;

SMELT_API void smelt_policy_destroy(struct smelt_policy *policy);

/* Borrowed until destroy. */
SMELT_API const char *smelt_policy_name(const struct smelt_policy *policy);
SMELT_API struct smelt_slice smelt_policy_text(const struct smelt_policy *policy);

SMELT_API enum smelt_float_policy smelt_policy_floats(const struct smelt_policy *policy);

/* BLAKE2b-256 over the parsed values in canonical order: name, comments and layout do not count. */
SMELT_API void smelt_policy_digest(const struct smelt_policy *policy, struct smelt_hash *out);

#ifdef __cplusplus
}
#endif

#endif
