/* Waves: an ordered list of transactions, executed over one state and written as one batch.
 *
 *     struct smelt_wave wave = {.chain_id = 7, .number = 1, .transactions = list, .count = n};
 *     smelt_wave_run(engine, &wave, &result, &err);
 *     smelt_wave_result_record(result)->state_digest …
 *     smelt_wave_result_destroy(result);
 *
 * A transaction of a wave ends in one of three ways, and its receipt tells which:
 *
 *     rejected   it may not be part of a wave: wrong nonce, or it cannot pay. No effect, no fee.
 *     failed     it paid its fee and used its nonce, and did nothing else: the contract reverted,
 *                trapped or ran out of fuel, or what it asked for is not there.
 *     done       its effects are part of the state.
 *
 * All three are deterministic. A node failure (no memory, I/O, a missing tool) is the status of the
 * whole call, and then nothing of the wave is written.
 *
 * The result is the one of executing the transactions one after the other, whatever the number of
 * threads. docs/waves.md has the rules (W1 …), the encodings and the digests. */
#ifndef SMELT_WAVE_H
#define SMELT_WAVE_H

#include <smelt/bytes.h>
#include <smelt/export.h>
#include <smelt/runtime.h>
#include <smelt/status.h>
#include <smelt/store.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what goes in ---------------------------------------------------------------------------- */

/* Numbers are in receipts: fixed, never reused. */
enum smelt_transaction_kind {
    SMELT_TRANSACTION_TRANSFER = 0, /* `value` to the account `to`; runs no code */
    SMELT_TRANSACTION_DEPLOY = 1,   /* `wasm`, and `value` to the new contract */
    SMELT_TRANSACTION_CALL = 2,     /* `function` of the contract at `to` */
    SMELT_TRANSACTION_UPGRADE = 3 /* `wasm` for the contract at `to`, from the next wave on; only by
                                     its owner; the address keeps balance, nonce and storage */
};

/* Everything borrowed. Fields that a kind does not use are zero. Whether `from` has signed it is
 * for the node to check, before. */
struct smelt_wave_transaction {
    enum smelt_transaction_kind kind;
    struct smelt_address from;
    uint64_t nonce; /* must be the account's */
    struct smelt_address to;
    struct smelt_u128 value;
    uint64_t fuel_limit; /* 1 .. SMELT_FUEL_MAX; covers the schedule's charge for the transaction */
    uint64_t fuel_price; /* the fee is fuel used × price, also when it fails */
    struct smelt_slice function; /* name of an export */
    const struct smelt_value *arguments;
    size_t argument_count;
    struct smelt_slice input;
    struct smelt_slice wasm;
    /* What the node calls the transaction, usually the hash of what was signed. Its receipt can
     * then be found by it. NULL: by number only. */
    const struct smelt_hash *id;
};

struct smelt_wave {
    uint64_t chain_id;  /* a state belongs to the chain of its first wave */
    uint64_t number;    /* of the last wave plus one; a state's first wave may have any above 0 */
    uint64_t timestamp; /* seconds; not before the last wave's */
    const struct smelt_address
        *fee_recipient; /* is paid at the end of the wave; NULL: fees are burnt */
    const struct smelt_wave_transaction *transactions;
    size_t count; /* at most SMELT_WAVE_TRANSACTIONS_MAX */
    /* The digest that the wave's record must have, when it is known from elsewhere; NULL: any.
     * Otherwise nothing is written: STATE_MISMATCH. */
    const struct smelt_hash *expected_digest;
};

#define SMELT_WAVE_TRANSACTIONS_MAX 1048576u

/* ---- what comes out -------------------------------------------------------------------------- */

#define SMELT_BLOOM_BYTES 256

/* The record of a wave. Its digest covers everything in it, by way of the other digests all that
 * the wave did, and by way of `parent` all waves before it. */
struct smelt_wave_record {
    uint64_t chain_id;
    uint64_t number;
    uint64_t timestamp;
    struct smelt_hash parent; /* digest of the last record; zeroes in a state's first wave */
    bool has_fee_recipient;
    struct smelt_address fee_recipient; /* zeroes unless has_fee_recipient */
    uint32_t transaction_count;
    uint32_t rejected_count;
    uint32_t failed_count;
    uint32_t event_count;
    uint32_t write_count; /* keys of the state that were written or deleted */
    uint64_t fuel_used;
    struct smelt_u128 fees;
    struct smelt_hash receipts_digest; /* over the encoded receipts, in order */
    struct smelt_hash events_root;     /* Merkle tree over the events, in order (RFC 9162) */
    struct smelt_hash state_digest;    /* over the writes, in ascending key order */
    bool has_state_root;
    struct smelt_hash
        state_root; /* of the commitment after the wave; zeroes unless has_state_root */
    uint8_t bloom[SMELT_BLOOM_BYTES]; /* addresses and topics of the events */
};

SMELT_API void smelt_wave_record_digest(const struct smelt_wave_record *record,
                                        struct smelt_hash *out);

/* False: no event of the wave has this address or topic. True: maybe. */
SMELT_API bool smelt_bloom_may_contain(const uint8_t bloom[SMELT_BLOOM_BYTES],
                                       struct smelt_slice item);

/* The fate of one transaction. Deterministic, every field. Owned with all that it points to. */
struct smelt_wave_receipt {
    uint64_t wave;
    uint32_t index; /* in the wave */
    enum smelt_transaction_kind kind;
    bool has_id;
    struct smelt_hash id;
    struct smelt_address from;
    uint64_t nonce;
    /* OK: see `outcome`. A rejected transaction: NONCE_MISMATCH, INSUFFICIENT_BALANCE (for fuel
     * limit × price + value), FUEL_LIMIT (below the charge for such a transaction),
     * SENDER_IS_CONTRACT. A failed one: NO_CONTRACT, UNKNOWN_FUNCTION, ARGUMENT_MISMATCH,
     * BALANCE_OVERFLOW, NOT_OWNER, or a module's refusal (200s). */
    enum smelt_status status;
    bool is_rejected;
    struct smelt_outcome outcome; /* RETURNED, too, for what runs no code; when status is OK */
    uint64_t fuel_used;           /* 0 when rejected */
    struct smelt_u128 fee;
    struct smelt_address
        address; /* the contract, or receiver; the new one of a deploy that is done */
    struct smelt_hash
        module_hash; /* the code that ran or was deployed; zeroes when there is none */
    const struct smelt_value *results;
    size_t result_count;
    struct smelt_slice return_data; /* or the revert data */
    struct smelt_location location;
    uint32_t first_event; /* the position of its first event in the wave */
    uint32_t event_count;
    uint32_t write_count; /* storage keys of contracts that were written or deleted */
};

SMELT_API void smelt_wave_receipt_destroy(struct smelt_wave_receipt *receipt);

SMELT_API const char *smelt_transaction_kind_name(enum smelt_transaction_kind kind);

struct smelt_wave_event {
    uint64_t wave;
    uint32_t transaction; /* position in the wave */
    uint32_t index;       /* of the event in the wave */
    struct smelt_event event;
};

/* ---- running --------------------------------------------------------------------------------- */

struct smelt_wave_result;

/* What this machine did for it: differs from run to run. */
struct smelt_wave_effort {
    uint64_t load_ns; /* getting the code of deploys and upgrades; part of execute_ns, added up */
    uint64_t execute_ns; /* transactions */
    uint64_t digest_ns;  /* collecting what was written; digests and roots */
    uint64_t commit_ns;  /* the store */
    uint64_t retries;    /* transactions that were executed again, after they had read too early */
    uint32_t worker_count;
};

/* Takes the engine's turn: waves and other transactions that write exclude each other.
 *
 * INVALID_ARGUMENT for what no transaction can be blamed for: number, timestamp, a transaction that
 * is not one, fuel limits that add up to more than 2^64 - 1. STATE_MISMATCH for another chain, or
 * an unexpected digest. Everything else is a node failure. After any error the state is as before.
 *
 * When it returns, the batch is in the store, synced or not as the store's options say. With the
 * engine's option `commits_behind` it may still be on its way; see smelt_engine_flush. */
SMELT_API enum smelt_status smelt_wave_run(struct smelt_engine *engine,
                                           const struct smelt_wave *wave,
                                           struct smelt_wave_result **out,
                                           struct smelt_error *err) SMELT_WARN_UNUSED;

SMELT_API void smelt_wave_result_destroy(struct smelt_wave_result *result);
/* Borrowed until destroy. */
SMELT_API const struct smelt_wave_record *
smelt_wave_result_record(const struct smelt_wave_result *result);
SMELT_API const struct smelt_hash *smelt_wave_result_digest(const struct smelt_wave_result *result);
SMELT_API const struct smelt_wave_effort *
smelt_wave_result_effort(const struct smelt_wave_result *result);
/* INVALID_ARGUMENT past the last one. */
SMELT_API enum smelt_status smelt_wave_result_receipt(const struct smelt_wave_result *result,
                                                      uint32_t index,
                                                      struct smelt_wave_receipt **out,
                                                      struct smelt_error *err) SMELT_WARN_UNUSED;

/* Waits until everything that ran is in the store. With `commits_behind`, a failure to write a wave
 * is reported by the next wave or transaction that would write, or by this function, once; the
 * waves from that one on have left no trace then and have to be run again. Until it returns, what
 * reads the store, static calls included, may or may not see the last wave: no host function should
 * let a result depend on it. */
SMELT_API enum smelt_status smelt_engine_flush(struct smelt_engine *engine,
                                               struct smelt_error *err) SMELT_WARN_UNUSED;

/* ---- reading back ---------------------------------------------------------------------------- */

/* Each reads a snapshot of the store and may run beside an engine. What is damaged is
 * STORE_CORRUPT. */

/* The newest wave; `*found` is false in a state without any. `digest` may be NULL. */
SMELT_API enum smelt_status smelt_wave_last(struct smelt_store *store,
                                            struct smelt_wave_record *out,
                                            struct smelt_hash *digest, bool *found,
                                            struct smelt_error *err) SMELT_WARN_UNUSED;
/* NOT_FOUND for a wave that the state has not seen. */
SMELT_API enum smelt_status smelt_wave_get(struct smelt_store *store, uint64_t number,
                                           struct smelt_wave_record *out,
                                           struct smelt_error *err) SMELT_WARN_UNUSED;
/* NOT_FOUND for a wave or index that is not there, or receipts that were pruned. */
SMELT_API enum smelt_status smelt_wave_receipt_get(struct smelt_store *store, uint64_t number,
                                                   uint32_t index, struct smelt_wave_receipt **out,
                                                   struct smelt_error *err) SMELT_WARN_UNUSED;
SMELT_API enum smelt_status smelt_wave_receipt_find(struct smelt_store *store,
                                                    const struct smelt_hash *id,
                                                    struct smelt_wave_receipt **out,
                                                    struct smelt_error *err) SMELT_WARN_UNUSED;

/* Which events to visit, in ascending order of wave and position. */
struct smelt_event_filter {
    uint64_t first_wave;
    uint64_t last_wave;                  /* inclusive; UINT64_MAX: the newest */
    const struct smelt_address *address; /* NULL: any */
    const struct smelt_slice *topic;     /* NULL: any */
};
/* Return false to stop. Slices are borrowed for the call. */
typedef bool (*smelt_event_visit_fn)(void *context, const struct smelt_wave_event *event);
/* Waves whose bloom excludes the filter are not read. Pruned waves are passed over. */
SMELT_API enum smelt_status smelt_events_visit(struct smelt_store *store,
                                               const struct smelt_event_filter *filter,
                                               smelt_event_visit_fn visit, void *context,
                                               struct smelt_error *err) SMELT_WARN_UNUSED;

/* Deletes receipts, events and ids of waves before `first_kept`; records stay. In batches: after a
 * crash some are gone and the rest is whole. Not while an engine over the store executes or has a
 * batch on its way (smelt_engine_flush); an engine prunes by itself with `receipts_kept`. */
SMELT_API enum smelt_status smelt_receipts_prune(struct smelt_store *store, uint64_t first_kept,
                                                 struct smelt_error *err) SMELT_WARN_UNUSED;

/* What smelt_state_verify found. */
struct smelt_state_check {
    uint64_t waves;    /* records whose digest and chain of parents are right */
    uint64_t pruned;   /* of these, how many have no receipts any more */
    uint64_t receipts; /* whose digest is the record's */
    uint64_t events;   /* whose root and bloom are the record's */
    uint64_t modules;  /* whose hash is their name */
    uint64_t accounts;
    uint64_t storage; /* pairs */
    bool has_commitment;
    struct smelt_hash
        state_root; /* computed from accounts and storage; zeroes unless has_commitment */
};
/* Reads everything and computes every digest again. STORE_CORRUPT names the first thing that is
 * wrong. Without a commitment no digest covers accounts and storage as a whole: then they are
 * checked for their form, and by the checksums of the store. */
SMELT_API enum smelt_status smelt_state_verify(struct smelt_store *store,
                                               struct smelt_state_check *out,
                                               struct smelt_error *err) SMELT_WARN_UNUSED;

/* ---- state commitment ------------------------------------------------------------------------ */

/* An authenticated tree over accounts and storage, kept up to date by every write once it is
 * enabled. docs/commitment.md has the structure and its source. */

/* Builds the tree over all there is, in several batches: after a failure or a crash there is no
 * commitment, and the next call starts again. Nothing happens where there is one. Not while an
 * engine over the store executes or has a batch on its way (smelt_engine_flush). */
SMELT_API enum smelt_status smelt_commitment_enable(struct smelt_store *store,
                                                    struct smelt_error *err) SMELT_WARN_UNUSED;
/* Of the newest state: zeroes when it is empty, and when no commitment is enabled. */
SMELT_API enum smelt_status smelt_commitment_root(struct smelt_store *store, struct smelt_hash *out,
                                                  bool *is_enabled,
                                                  struct smelt_error *err) SMELT_WARN_UNUSED;

/* What a proof is about: an account's record, or one storage key of a contract. */
struct smelt_state_key {
    struct smelt_address address;
    bool is_storage;
    struct smelt_slice key; /* of the contract's storage; empty for an account */
};

/* Bytes of a proof at most, besides the value. */
#define SMELT_PROOF_PATH_MAX 8292u

/* Appends to `proof` what shows that the key has the value it has, or none. STATE_MISMATCH when no
 * commitment is enabled. The value, of an account its record, replaces the content of
 * `value` (may be NULL); `*found` is whether there is one. On failure both are as before. */
SMELT_API enum smelt_status smelt_state_prove(struct smelt_store *store,
                                              const struct smelt_state_key *key,
                                              struct smelt_buf *proof, struct smelt_buf *value,
                                              bool *found,
                                              struct smelt_error *err) SMELT_WARN_UNUSED;

/* Needs no store. `*found` and `value` (may be NULL) are what the proof shows under `root`.
 * PROOF_INVALID when it shows nothing: not a proof, one of another key, or of another root. A key
 * has one proof under a root: other bytes show nothing. */
SMELT_API enum smelt_status smelt_proof_verify(const struct smelt_hash *root,
                                               const struct smelt_state_key *key,
                                               struct smelt_slice proof, struct smelt_buf *value,
                                               bool *found,
                                               struct smelt_error *err) SMELT_WARN_UNUSED;

#ifdef __cplusplus
}
#endif

#endif
