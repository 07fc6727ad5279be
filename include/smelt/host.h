/* Host ABIs: what a contract may import, and how a chain implements it.
 *
 * A profile is a `const` table of host functions: import module, name, parameter kinds, result,
 * permissions. It is pure data: the compiler checks imports against it, the dispatcher checks guest
 * ranges by it, and it is part of the artefact key. The behaviour is a second table, one handler
 * per row in the same order, used by the engine only.
 *
 * Calling sequence for one host call, all in the runtime's dispatcher:
 *   1. a function with SMELT_HOST_MUTATES in a static call: trap static_violation;
 *   2. every guest range of the row is checked, in 64 bits, against the current memory size:
 *      trap memory_out_of_bounds;
 *   3. fuel: base + per-unit charge over the bytes of the parameters marked `is_charged`;
 *   4. the handler runs. It returns SMELT_HOST_CONTINUE, or SMELT_HOST_STOP when one of the
 *      functions below told it that the frame has ended (pass STOP on at once, after cleaning up).
 *
 * Handlers run on the guest's native stack: at most SMELT_HOST_STACK_BYTES are theirs. They always
 * return: no exception, longjmp or end of the thread may pass through the contract below them. They
 * are not interrupted by a deadline or a cancellation, which take effect when they return; system
 * calls that SA_RESTART does not restart (signal(7)) may return EINTR meanwhile. */
#ifndef SMELT_HOST_H
#define SMELT_HOST_H

#include <smelt/bytes.h>
#include <smelt/export.h>
#include <smelt/status.h>
#include <smelt/trap.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMELT_HOST_PARAMS_MAX  8       /* rows of one function's parameter table */
#define SMELT_HOST_STACK_BYTES 262144u /* native stack that handlers may rely on */

/* Value types by their code in the binary format (WebAssembly core 2.0, section 5.3.1). */
enum smelt_valtype {
    SMELT_VALTYPE_NONE = 0, /* no result */
    SMELT_VALTYPE_I32 = 0x7f,
    SMELT_VALTYPE_I64 = 0x7e,
    SMELT_VALTYPE_F32 = 0x7d,
    SMELT_VALTYPE_F64 = 0x7c
};

/* "i32", "i64", "f32", "f64"; "any" for anything else. */
SMELT_API const char *smelt_valtype_name(enum smelt_valtype type);

/* How one parameter of a row appears in the wasm signature, and what the dispatcher checks. */
enum smelt_param_kind {
    SMELT_PARAM_END = 0,      /* closes the list */
    SMELT_PARAM_I32,          /* i32; arg.value */
    SMELT_PARAM_I64,          /* i64; arg.value */
    SMELT_PARAM_INPUT,        /* i32 pointer, i32 length; the host reads arg.data[0 .. arg.size) */
    SMELT_PARAM_INPUT_FIXED,  /* i32 pointer; the host reads `size` bytes */
    SMELT_PARAM_OUTPUT_FIXED, /* i32 pointer; the host may write `size` bytes */
    SMELT_PARAM_OUTPUT        /* i32 length, i32 pointer (in this order); the host may write them */
};

struct smelt_host_param {
    enum smelt_param_kind kind;
    uint32_t size;    /* bytes, for the FIXED kinds */
    bool is_charged;  /* INPUT: its length counts in the per-unit charge */
    const char *name; /* for the generated header and the reference page */
};

enum smelt_host_flags {
    SMELT_HOST_MUTATES = 1u << 0,      /* forbidden in static calls */
    SMELT_HOST_PLACES_VALUE = 1u << 1, /* uses smelt_host_place_value */
    SMELT_HOST_NO_RETURN = 1u << 2     /* never returns to the contract */
};

struct smelt_host_function {
    const char *module; /* import module */
    const char *name;   /* import name */
    const char *brief;  /* one line for the reference page */
    enum smelt_valtype result;
    uint32_t flags;                                            /* enum smelt_host_flags */
    struct smelt_host_param params[SMELT_HOST_PARAMS_MAX + 1]; /* up to SMELT_PARAM_END */
};

/* Whether a call may reach state that is in use further up the call stack. A frame's key is the
 * address whose storage it works on, and the name of the function it runs. Delegate calls work on
 * the caller's own storage, so SMELT_REENTRANCY_BLOCKED does not concern them. */
enum smelt_reentrancy {
    SMELT_REENTRANCY_ALLOWED = 0,
    SMELT_REENTRANCY_BY_FUNCTION, /* not with the address and the function of a frame on the stack
                                   */
    SMELT_REENTRANCY_BLOCKED      /* not with the address of a frame on the stack */
};

struct smelt_profile {
    const char *name;
    uint32_t version;
    const struct smelt_host_function *functions; /* ids are positions: permanent, append only */
    uint32_t function_count;
    const char *allocate_export; /* `(i32 length) -> i32` used by place_value; NULL: none */
    bool has_return_page;        /* without allocate_export in the module, append one 64 KiB page */
    const char *init_export;     /* runs once at deploy when present; NULL: none */
    const char *const *reserved_exports; /* NULL-terminated: not callable from outside */
    const char *reserved_prefix; /* exports starting so are not callable either; NULL: none */
    uint32_t memory_pages_max;   /* 64 KiB pages, return page included */
    uint32_t call_depth_max;     /* frames, the outermost counts */
    uint32_t return_data_max;    /* bytes */
    uint32_t fuel_kept_divisor;  /* a caller keeps 1/n of its fuel, rounded down; 0: nothing */
    enum smelt_reentrancy reentrancy;
    const char *default_schedule; /* name of a built-in schedule */
};

/* The small `env` ABI: storage, context, crypto, events, nested calls. See docs/abi-engine.md. */
SMELT_API extern const struct smelt_profile smelt_profile_engine;

/* BLAKE2b-256 over a canonical serialisation of everything above that a contract can observe. */
SMELT_API void smelt_profile_digest(const struct smelt_profile *profile, struct smelt_hash *out);

/* ---- handlers ------------------------------------------------------------------------------ */

enum smelt_host_action { SMELT_HOST_CONTINUE = 0, SMELT_HOST_STOP = 1 };

/* One checked argument. `data` points into guest memory and is valid until the handler calls
 * smelt_host_place_value or smelt_host_call_contract, which may run the contract and grow memory.
 * `data` is never NULL, also when size is 0. Of an input it is only read. To an output other
 * threads and the kernel may write as well, until the handler returns. */
struct smelt_host_arg {
    uint64_t value; /* scalars; i32 zero-extended */
    uint8_t *data;
    uint32_t size; /* bytes */
};

struct smelt_frame; /* one activation of a contract; opaque to handlers */

struct smelt_host_call {
    struct smelt_frame *frame;
    const struct smelt_host_arg *args; /* one per row of the parameter table */
    uint64_t result;                   /* written by the handler when the row has a result */
};

typedef enum smelt_host_action (*smelt_host_fn)(struct smelt_host_call *call);

/* What a frame knows of its surroundings. Borrowed; valid while the handler runs. */
struct smelt_host_context {
    struct smelt_address origin;  /* signer of the transaction */
    struct smelt_address caller;  /* immediate caller */
    struct smelt_address address; /* this contract */
    struct smelt_u128 value;      /* sent with this call */
    struct smelt_slice input;
    uint64_t block_number;
    uint64_t block_timestamp; /* seconds */
    uint32_t depth;           /* 1 for the outermost frame */
    bool is_static;
};
SMELT_API const struct smelt_host_context *smelt_host_context(const struct smelt_host_call *call);

/* Ends of a frame. Each returns SMELT_HOST_STOP, so that a handler can `return smelt_host_…`. */
SMELT_API enum smelt_host_action smelt_host_trap(struct smelt_host_call *call, enum smelt_trap trap,
                                                 enum smelt_host_error error);
SMELT_API enum smelt_host_action smelt_host_revert(struct smelt_host_call *call,
                                                   struct smelt_slice data);
/* Node failure: the transaction ends with this status and no outcome. */
SMELT_API enum smelt_host_action smelt_host_fail(struct smelt_host_call *call,
                                                 const struct smelt_error *error);

/* Fuel. Charging more than is left ends the frame as out_of_fuel. */
SMELT_API uint64_t smelt_host_fuel_left(const struct smelt_host_call *call);
SMELT_API enum smelt_host_action smelt_host_charge(struct smelt_host_call *call, uint64_t fuel);
/* The running function's per-unit charge for `size` more bytes (units are rounded up). */
SMELT_API enum smelt_host_action smelt_host_charge_bytes(struct smelt_host_call *call,
                                                         uint64_t size);
/* The running function's `extra` charge of the schedule. */
SMELT_API enum smelt_host_action smelt_host_charge_extra(struct smelt_host_call *call);

/* Storage of this contract. `value` is borrowed until the next storage write of the frame. */
SMELT_API enum smelt_host_action smelt_host_storage_get(struct smelt_host_call *call,
                                                        struct smelt_slice key,
                                                        struct smelt_slice *value, bool *found);
SMELT_API enum smelt_host_action smelt_host_storage_put(struct smelt_host_call *call,
                                                        struct smelt_slice key,
                                                        struct smelt_slice value);
SMELT_API enum smelt_host_action smelt_host_storage_delete(struct smelt_host_call *call,
                                                           struct smelt_slice key);

/* Accounts. `*is_done` is false, and nothing changed, when the balance does not suffice. */
SMELT_API enum smelt_host_action smelt_host_balance(struct smelt_host_call *call,
                                                    const struct smelt_address *address,
                                                    struct smelt_u128 *balance);
SMELT_API enum smelt_host_action smelt_host_transfer(struct smelt_host_call *call,
                                                     const struct smelt_address *to,
                                                     struct smelt_u128 amount, bool *is_done);

SMELT_API enum smelt_host_action smelt_host_emit(struct smelt_host_call *call,
                                                 struct smelt_slice topic, struct smelt_slice data);

/* Replaces the frame's return data. Larger than the profile's limit: trap host_error. */
SMELT_API enum smelt_host_action smelt_host_set_return_data(struct smelt_host_call *call,
                                                            struct smelt_slice data);

/* Puts `value` into contract memory: through the exported allocate function, else into the return
 * page. May run contract code. */
SMELT_API enum smelt_host_action
smelt_host_place_value(struct smelt_host_call *call, struct smelt_slice value, uint32_t *pointer);

enum smelt_nested_result {
    SMELT_NESTED_RETURNED = 0,
    SMELT_NESTED_REVERTED = 1,
    SMELT_NESTED_TRAPPED = 2,
    SMELT_NESTED_OUT_OF_FUEL = 3,
    SMELT_NESTED_NO_CONTRACT = 4, /* or no such function */
    SMELT_NESTED_BALANCE = 5,
    SMELT_NESTED_DEPTH = 6,
    SMELT_NESTED_REENTRANT = 7 /* against the profile's rule */
};

enum smelt_nested_kind {
    SMELT_NESTED_CALL = 0,
    SMELT_NESTED_STATIC,  /* effects trap, here and in whatever it calls; no value */
    SMELT_NESTED_DELEGATE /* the callee's code in the caller's place: its storage, balance, address,
                             caller and value; no value moves */
};

struct smelt_nested_call {
    struct smelt_address address;
    struct smelt_slice function; /* export name; it must take no parameters */
    struct smelt_slice input;
    struct smelt_u128 value; /* zero unless it is a plain call */
    uint64_t fuel; /* 0: all that the caller need not keep; more than that is cut down to it */
    enum smelt_nested_kind kind;
};

/* Runs another contract in an overlay layer and a fuel budget of its own. Slices are copied first.
 * When several things are in the way, the first of: static violation (a trap), DEPTH, NO_CONTRACT,
 * REENTRANT, BALANCE. A value where none may be is a mistake of the handler: node failure. */
SMELT_API enum smelt_host_action smelt_host_call_contract(struct smelt_host_call *call,
                                                          const struct smelt_nested_call *nested,
                                                          enum smelt_nested_result *result);
/* Return or revert data of the last nested call of this frame; empty before the first. */
SMELT_API struct smelt_slice smelt_host_call_result(const struct smelt_host_call *call);

#ifdef __cplusplus
}
#endif

#endif
