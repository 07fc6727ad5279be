/* "Could we do what was asked?" Status codes and the error object.
 *
 * A status never describes what a contract did: that is `struct smelt_outcome` (runtime.h). Module
 * refusals (200s) are deterministic and may enter consensus; everything from 300 up is this
 * machine's trouble and may not.
 *
 * Conventions of every function of this library that can fail:
 *  - it returns `enum smelt_status` and takes `struct smelt_error *err` last; `err` may be NULL;
 *  - out-parameters are cleared on entry and written only on success;
 *  - on failure nothing is lost or half-written: state and cache are as before. */
#ifndef SMELT_STATUS_H
#define SMELT_STATUS_H

#include <smelt/export.h>

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers are fixed and never reused. 100s: the caller. 200s: the module. 300s: an artefact or
 * cache entry. 400s: the environment. 900s: our bug. */
#define SMELT_STATUS_MAP(XX)                                                                       \
    XX(0, OK, "ok")                                                                                \
    XX(101, INVALID_ARGUMENT, "invalid_argument")                                                  \
    XX(102, UNKNOWN_FUNCTION, "unknown_function")                                                  \
    XX(103, ARGUMENT_MISMATCH, "argument_mismatch")                                                \
    XX(104, NO_CONTRACT, "no_contract")                                                            \
    XX(105, INSUFFICIENT_BALANCE, "insufficient_balance")                                          \
    XX(106, SCHEDULE_INVALID, "schedule_invalid")                                                  \
    XX(107, BALANCE_OVERFLOW, "balance_overflow")                                                  \
    XX(108, STATE_MISMATCH, "state_mismatch")                                                      \
    XX(109, POLICY_INVALID, "policy_invalid")                                                      \
    XX(110, NONCE_MISMATCH, "nonce_mismatch")                                                      \
    XX(111, FUEL_LIMIT, "fuel_limit")                                                              \
    XX(112, SENDER_IS_CONTRACT, "sender_is_contract")                                              \
    XX(113, NOT_OWNER, "not_owner")                                                                \
    XX(114, PROOF_INVALID, "proof_invalid")                                                        \
    XX(201, MODULE_MALFORMED, "module_malformed")                                                  \
    XX(202, MODULE_INVALID, "module_invalid")                                                      \
    XX(203, MODULE_FEATURE, "feature")                                                             \
    XX(204, MODULE_LIMIT, "limit")                                                                 \
    XX(205, MODULE_IMPORT, "import_refused")                                                       \
    XX(206, MODULE_EXPORT, "export_refused")                                                       \
    XX(207, MODULE_FLOAT, "float_refused")                                                         \
    XX(208, MODULE_START, "start_refused")                                                         \
    XX(209, MODULE_TEXT, "text_malformed")                                                         \
    XX(301, ARTEFACT_CORRUPT, "artefact_corrupt")                                                  \
    XX(302, ARTEFACT_MISMATCH, "artefact_mismatch")                                                \
    XX(303, ARTEFACT_MISSING, "artefact_missing")                                                  \
    XX(304, ARTEFACT_SEAL, "artefact_seal")                                                        \
    XX(401, NO_MEMORY, "no_memory")                                                                \
    XX(402, IO, "io")                                                                              \
    XX(403, TOOL_MISSING, "tool_missing")                                                          \
    XX(404, TOOL_VERSION, "tool_version")                                                          \
    XX(405, TOOL_FAILED, "tool_failed")                                                            \
    XX(406, TOOL_OUTPUT, "tool_output")                                                            \
    XX(407, STORE_CORRUPT, "store_corrupt")                                                        \
    XX(408, STORE_LOCKED, "store_locked")                                                          \
    XX(409, NO_SPACE, "no_space")                                                                  \
    XX(410, READ_ONLY, "read_only")                                                                \
    XX(411, NOT_FOUND, "not_found")                                                                \
    XX(412, DEADLINE_EXCEEDED, "deadline_exceeded")                                                \
    XX(413, CANCELLED, "cancelled")                                                                \
    XX(414, INSTANCE_LIMIT, "instance_limit")                                                      \
    XX(901, INTERNAL, "internal")                                                                  \
    XX(902, TRANSLATION_UNPROVEN, "translation_unproven")                                          \
    XX(903, GUEST_FAULT, "guest_fault")

enum smelt_status {
#define SMELT_STATUS_ENUM(number, name, text) SMELT_STATUS_##name = number,
    SMELT_STATUS_MAP(SMELT_STATUS_ENUM)
#undef SMELT_STATUS_ENUM
};

/* What failed, where, and what to do about it. Plain data: copy it, keep it, no release needed. */
struct smelt_error {
    enum smelt_status status;
    int64_t offset;     /* bytes from the start of the module (or TOML text), -1: does not apply */
    int64_t func_index; /* function index in the module, -1: does not apply */
    int sys_errno;      /* errno of the failed system call, 0: does not apply */
    char where[32];     /* module section or pipeline stage, "" when neither applies */
    char message[400];  /* one line, UTF-8, control characters escaped */
};

/* The name used in JSON and messages ("module_malformed"); never NULL. */
SMELT_API const char *smelt_status_name(enum smelt_status status);

#ifdef __cplusplus
}
#endif

#endif
