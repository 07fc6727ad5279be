/* An engine over the memory store whose modules are the hand-written artefacts: the bytes of a
 * module are the file name of an artefact, perhaps with '#' and anything behind it to make another
 * module of the same code. Store and source fail on demand. */
#ifndef TESTS_RUNTIME_ENGINE_FIXTURE_H
#define TESTS_RUNTIME_ENGINE_FIXTURE_H

#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/guest_host.h"

#include <smelt/runtime.h>

#include <stdatomic.h>

struct fixture {
    struct smelt_store store; /* in front of `inner` */
    struct smelt_store *inner;
    struct smelt_schedule *schedule;
    struct smelt_engine *engine;
    struct smelt_transaction transaction; /* from alice, the default fuel */
    struct smelt_receipt *receipt;        /* of the last call */
    struct smelt_error err;
    atomic_size_t opens;    /* artefacts taken from the source */
    size_t writes;          /* batches */
    atomic_size_t fail_get; /* 1: the next get fails, and all after it; 0: none */
    atomic_bool fail_write; /* the next batches fail */
    /* Called before and after each get, and before each batch; NULL: nothing. */
    void (*around_get)(struct fixture *fixture);
    void (*before_write)(struct fixture *fixture, const struct smelt_store_write *writes,
                         size_t count);
    void *hook_context;
    enum smelt_status refusal; /* of the source; OK: it serves */
    size_t blocks;             /* in use before the set-up */
};

extern const struct smelt_address alice; /* funded with 1 000 000 */
extern const struct smelt_address bob;

#define FUNDS 1000000u

int fixture_setup(void **state);
int fixture_teardown(void **state); /* fails when memory is still in use */
void fixture_destroy(struct fixture *fixture);

struct smelt_artefact_source fixture_source(struct fixture *fixture);

/* Another engine over the same store; store, schedule and source are filled in. */
void fixture_reopen(struct fixture *fixture, struct smelt_engine_options options);

/* A script for the guest; see guest_host.c. */
struct script {
    uint8_t bytes[49152];
    size_t size;
};
void script_host(struct script *script, enum guest_import import, size_t count,
                 const uint64_t *arguments);
void script_poke(struct script *script, uint64_t address, struct smelt_slice bytes);
void script_word(struct script *script, enum guest_script command, uint64_t value);
#define SCRIPT_HOST0(script, name) script_host(script, GUEST_HOST_##name, 0, NULL)
#define SCRIPT_HOSTN(script, name, ...)                                                            \
    script_host(script, GUEST_HOST_##name,                                                         \
                sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t),                        \
                (const uint64_t[]){__VA_ARGS__})

/* The receipt is the fixture's: the next call replaces it. */
enum smelt_status fixture_try_deploy(struct fixture *fixture, const char *module);
struct smelt_address fixture_deploy(struct fixture *fixture, const char *module);
enum smelt_status fixture_try_call(struct fixture *fixture, const struct smelt_address *address,
                                   const char *function, const struct smelt_value *arguments,
                                   size_t count);
const struct smelt_receipt *fixture_call(struct fixture *fixture,
                                         const struct smelt_address *address, const char *function);
const struct smelt_receipt *fixture_run(struct fixture *fixture,
                                        const struct smelt_address *address,
                                        const struct script *script);
/* Export `host`: one import with up to seven arguments. */
const struct smelt_receipt *fixture_host(struct fixture *fixture,
                                         const struct smelt_address *address,
                                         enum guest_import import, size_t count,
                                         const uint64_t *arguments);
#define FIXTURE_HOST(fixture, address, name, ...)                                                  \
    fixture_host(fixture, address, GUEST_HOST_##name,                                              \
                 sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t),                       \
                 (const uint64_t[]){__VA_ARGS__})

void assert_returned(const struct smelt_receipt *receipt, uint64_t result);
void assert_trapped(const struct smelt_receipt *receipt, enum smelt_trap trap,
                    enum smelt_host_error error);
void assert_out_of_fuel(const struct smelt_receipt *receipt);
void assert_slice(struct smelt_slice slice, const void *data, size_t size);

uint64_t balance_of(struct fixture *fixture, const struct smelt_address *address);
uint64_t nonce_of(struct fixture *fixture, const struct smelt_address *address);
/* Contract storage as it is in the store; size SIZE_MAX when there is no such key. */
size_t stored(struct fixture *fixture, const struct smelt_address *address, struct smelt_slice key,
              uint8_t *out, size_t out_size);

#endif
