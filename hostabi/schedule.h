/* A parsed gas schedule: what the instrumenter and the dispatcher read. Format and rules:
 * docs/fuel.md. */
#ifndef SM_HOSTABI_SCHEDULE_H
#define SM_HOSTABI_SCHEDULE_H

#include <smelt/schedule.h>

/* `units × per_unit`, where units = ceil(size / unit_bytes). */
struct sm_schedule_rate {
    uint64_t per_unit;   /* at most SM_SCHEDULE_WEIGHT_MAX */
    uint64_t unit_bytes; /* a power of two, at most SM_SCHEDULE_UNIT_MAX */
};

struct sm_schedule_host {
    uint64_t base;
    struct sm_schedule_rate rate; /* over the charged bytes */
    uint64_t extra;               /* what smelt_host_charge_extra takes */
};

/* Every single figure fits 20 bits above 32: sums over a body of 2^32 instructions and products
 * with 2^32 bytes stay far below 2^63. */
#define SM_SCHEDULE_WEIGHT_MAX UINT64_C(1000000)
#define SM_SCHEDULE_UNIT_MAX   UINT64_C(65536)

struct sm_schedule_dynamic {
    uint64_t memory_grow_page;           /* per page asked for */
    struct sm_schedule_rate bulk_memory; /* memory.copy, memory.fill, memory.init: bytes */
    struct sm_schedule_rate bulk_table;  /* table.copy, table.init: elements */
};

/* What a transaction of a wave pays before anything runs. */
struct sm_schedule_transaction {
    uint64_t transfer;
    uint64_t call;
    uint64_t deploy;
    uint64_t deploy_byte; /* of the module */
    uint64_t upgrade;
    uint64_t upgrade_byte;
};

/* Weight per row of hostabi/opcodes.def, in the order of that table. */
const uint32_t *sm_schedule_weights(const struct smelt_schedule *schedule, size_t *count);
const struct sm_schedule_dynamic *sm_schedule_dynamic(const struct smelt_schedule *schedule);
const struct sm_schedule_transaction *
sm_schedule_transaction(const struct smelt_schedule *schedule);
/* One per row of the profile. */
const struct sm_schedule_host *sm_schedule_hosts(const struct smelt_schedule *schedule,
                                                 uint32_t *count);

/* INVALID_ARGUMENT when the schedule prices more or fewer host functions than the profile has: it
 * was parsed for another one. */
enum smelt_status sm_schedule_check_profile(const struct smelt_schedule *schedule,
                                            const struct smelt_profile *profile,
                                            struct smelt_error *err);

/* Saturates at UINT64_MAX / 2, far above any limit. */
uint64_t sm_schedule_charge(struct sm_schedule_rate rate, uint64_t size);

#endif
