/* Randomness for hash tables: a keyed hash whose collisions nobody can choose. Nothing that it
 * decides may show in a result, which are the same on every machine. */
#ifndef SM_BASE_RANDOM_H
#define SM_BASE_RANDOM_H

#include <smelt/bytes.h>
#include <smelt/status.h>

struct sm_hash_key {
    uint8_t bytes[16];
};

/* A key of its own, which nobody outside the process can know. */
enum smelt_status sm_hash_key_init(struct sm_hash_key *key, struct smelt_error *err);

/* SipHash-1-3 of the data under the key: the variant for hash tables, where an attacker sees no
 * hash but at most how long something takes. */
uint64_t sm_hash_keyed(const struct sm_hash_key *key, struct smelt_slice data);

#endif
