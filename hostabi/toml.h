/* A strict reader for the part of TOML 1.0 that schedules and policies need, over a list of known
 * keys: tables `[a.b]`, dotted bare keys, unsigned decimal integers, plain strings, booleans,
 * inline tables and comments.
 *
 *     struct sm_toml_key keys[] = {
 *         {.path = "name", .kind = SM_TOML_NAME, .target = out->name},
 *         {.path = "memory.pages", .kind = SM_TOML_U32, .target = &out->pages, .most = 65536},
 *     };
 *     sm_toml_read(text, &(struct sm_toml){"policy", SMELT_STATUS_POLICY_INVALID, keys, 2}, err);
 *
 * Every known key has to occur once, in any order: an unknown, doubled or missing key, an unknown
 * or doubled table and a value outside its bounds are errors with their line and byte offset. The
 * reader takes no memory. */
#ifndef SM_HOSTABI_TOML_H
#define SM_HOSTABI_TOML_H

#include <smelt/bytes.h>
#include <smelt/status.h>

#define SM_TOML_TEXT_BYTES_MAX (1u << 20)
#define SM_TOML_KEY_BYTES      160
#define SM_TOML_NAME_BYTES     64 /* of a string, with the NUL */

enum sm_toml_kind {
    SM_TOML_U32,   /* uint32_t, least to most */
    SM_TOML_U64,   /* uint64_t, least to most */
    SM_TOML_POWER, /* uint64_t, a power of two, 1 to most */
    SM_TOML_BOOL,  /* bool */
    SM_TOML_NAME,  /* char[SM_TOML_NAME_BYTES]: 1 to 63 letters, digits, '_', '-', '.' */
    SM_TOML_WORD   /* uint32_t: position of the string in `words` */
};

struct sm_toml_key {
    char path[SM_TOML_KEY_BYTES]; /* in full: "host.env.transfer.base" */
    enum sm_toml_kind kind;
    void *target;
    uint64_t least;
    uint64_t most;
    const char *const *words; /* ends with NULL */
    const char *rule;         /* behind the message when a value is out of bounds; may be NULL */
    /* the reader's own: */
    bool is_seen;
    uint32_t
        tables; /* bit n: the table of the first n + 1 words of this path has been opened here */
};

struct sm_toml {
    const char *what; /* "schedule", "policy": `where` of errors */
    enum smelt_status invalid;
    struct sm_toml_key *keys;
    size_t key_count;
};

enum smelt_status sm_toml_read(struct smelt_slice text, const struct sm_toml *toml,
                               struct smelt_error *err);

#endif
