/* What guest_host.c and the tests that drive it agree on. */
#ifndef TESTS_RUNTIME_GUEST_HOST_H
#define TESTS_RUNTIME_GUEST_HOST_H

/* Imports in the order of the profile's rows. */
enum guest_import {
#define HOST(name, result, flags, brief, parameters) GUEST_HOST_##name,
#include "hostabi/engine.def"
};

enum guest_script {
    SCRIPT_HOST,
    SCRIPT_POKE,
    SCRIPT_TRAP,
    SCRIPT_BURN,
    SCRIPT_GROW,
    SCRIPT_EXPECT,
    SCRIPT_SPIN,
    SCRIPT_SPIN_HOST,
    SCRIPT_STRAY
};

enum guest_allocate {
    ALLOCATE_BUMPS,
    ALLOCATE_TRAPS,
    ALLOCATE_OUT_OF_BOUNDS,
    ALLOCATE_WRAPS,
    ALLOCATE_AT_END,
    ALLOCATE_SPINS,
    ALLOCATE_RECURSES,
    ALLOCATE_HOST_ERROR,
    ALLOCATE_OVERWRITES,
    ALLOCATE_GROWS,
    ALLOCATE_REVERTS
};

/* Memory: two pages, then the return page; at most four pages. */
#define GUEST_KEY           0u /* GUEST_KEY_TEXT, from a data segment */
#define GUEST_KEY_TEXT      "counter"
#define GUEST_KEY_SIZE      7u
#define GUEST_ALLOCATE_MODE 64u
#define GUEST_SCRATCH       128u
#define GUEST_ZEROES        256u
#define GUEST_FREE          1024u /* for the tests */
#define GUEST_SCRIPT        65536u
#define GUEST_HEAP          60000u
#define GUEST_MEMORY_END    (3u * 65536u)
#define GUEST_PAGE          (2u * 65536u) /* the return page */

/* What the descriptor's key and hash are full of, for the fixture to find and replace. */
#define GUEST_KEY_MARK  0xa7
#define GUEST_HASH_MARK 0xb9

#define GUEST_ALLOCATE_FUEL 11u

/* Places of instructions. */
#define GUEST_AT_RUN      1000u
#define GUEST_AT_HOST     1100u
#define GUEST_AT_NAMELESS 1200u
#define GUEST_AT_ALLOCATE 1300u
#define GUEST_AT_SCRIPT   1400u

#endif
