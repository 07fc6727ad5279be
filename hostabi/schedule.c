/* Gas schedules: their keys, built from the instruction table and the profile's rows, and the
 * values behind them. */
#include "hostabi/schedule.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/digest.h"
#include "base/status.h"
#include "hostabi/toml.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define WHERE "schedule"

/* What a schedule needs of an instruction; weights are in the order of these rows. */
enum row {
#define OP(code, name, text, immediates, parameters, results, alignment, flags) ROW_##name,
#include "hostabi/opcodes.def"
    ROW_COUNT
};

static const struct {
    uint16_t code;
    const char *text;
} instructions[ROW_COUNT] = {
#define OP(code, name, text, immediates, parameters, results, alignment, flags)                    \
    [ROW_##name] = {code, text},
#include "hostabi/opcodes.def"
};

struct smelt_schedule {
    char name[SM_TOML_NAME_BYTES];
    uint32_t weights[ROW_COUNT];
    struct sm_schedule_dynamic dynamic;
    struct sm_schedule_transaction transaction;
    struct sm_schedule_host *hosts;
    uint32_t host_count;
    struct smelt_slice profile_name; /* of the profile, which is static data */
    struct smelt_buf text;
};

/* ---- the list of known keys ------------------------------------------------------------------ */

struct key_list {
    struct sm_toml_key *keys;
    size_t count;
};

/* Loops and recursion cost something, so that fuel bounds every execution. */
static uint64_t least_weight(size_t row)
{
    static const enum row bounded[] = {ROW_BR, ROW_BR_IF, ROW_BR_TABLE, ROW_CALL,
                                       ROW_CALL_INDIRECT};
    for (size_t i = 0; i < sizeof(bounded) / sizeof(bounded[0]); i++) {
        if (bounded[i] == row) {
            return 1;
        }
    }
    return 0;
}

static struct sm_toml_key *add_key(struct key_list *list, enum sm_toml_kind kind, void *target,
                                   const char *format, ...) SMELT_PRINTF(4, 5);
static struct sm_toml_key *add_key(struct key_list *list, enum sm_toml_kind kind, void *target,
                                   const char *format, ...)
{
    struct sm_toml_key *key = &list->keys[list->count++];
    *key = (struct sm_toml_key){
        .kind = kind,
        .target = target,
        .most = kind == SM_TOML_POWER ? SM_SCHEDULE_UNIT_MAX : SM_SCHEDULE_WEIGHT_MAX,
    };
    va_list args;
    va_start(args, format);
    (void)vsnprintf(key->path, sizeof(key->path), format, args);
    va_end(args);
    return key;
}

/* Keys of list_keys, in all. */
static size_t key_max(const struct smelt_profile *profile)
{
    return 13 + ROW_COUNT + 4 * (size_t)profile->function_count;
}

/* `profiles` is the one name that the key `profile` may have, and a NULL. */
static void list_keys(struct smelt_schedule *schedule, const struct smelt_profile *profile,
                      const char *const profiles[2], uint32_t *profile_index, struct key_list *list)
{
    struct sm_schedule_dynamic *dynamic = &schedule->dynamic;
    struct sm_schedule_transaction *transaction = &schedule->transaction;
    add_key(list, SM_TOML_NAME, schedule->name, "name");
    struct sm_toml_key *word = add_key(list, SM_TOML_WORD, profile_index, "profile");
    word->words = profiles;
    word->rule = "the schedule is for another profile";
    for (size_t row = 0; row < ROW_COUNT; row++) {
        struct sm_toml_key *weight = add_key(list, SM_TOML_U32, &schedule->weights[row],
                                             "instructions.%s", instructions[row].text);
        weight->least = least_weight(row);
        weight->rule = weight->least != 0 ? "branches and calls bound every execution" : NULL;
    }
    add_key(list, SM_TOML_U64, &dynamic->memory_grow_page, "memory.grow_page");
    add_key(list, SM_TOML_U64, &dynamic->bulk_memory.per_unit, "memory.bulk_per_unit");
    add_key(list, SM_TOML_POWER, &dynamic->bulk_memory.unit_bytes, "memory.bulk_unit_bytes");
    add_key(list, SM_TOML_U64, &dynamic->bulk_table.per_unit, "table.bulk_per_unit");
    add_key(list, SM_TOML_POWER, &dynamic->bulk_table.unit_bytes, "table.bulk_unit_elements");
    add_key(list, SM_TOML_U64, &transaction->transfer, "transaction.transfer");
    add_key(list, SM_TOML_U64, &transaction->call, "transaction.call");
    add_key(list, SM_TOML_U64, &transaction->deploy, "transaction.deploy");
    add_key(list, SM_TOML_U64, &transaction->deploy_byte, "transaction.deploy_byte");
    add_key(list, SM_TOML_U64, &transaction->upgrade, "transaction.upgrade");
    add_key(list, SM_TOML_U64, &transaction->upgrade_byte, "transaction.upgrade_byte");
    for (uint32_t i = 0; i < schedule->host_count; i++) {
        const struct smelt_host_function *row = &profile->functions[i];
        struct sm_schedule_host *host = &schedule->hosts[i];
        const char *module = row->module;
        const char *name = row->name;
        add_key(list, SM_TOML_U64, &host->base, "host.%s.%s.base", module, name);
        add_key(list, SM_TOML_U64, &host->rate.per_unit, "host.%s.%s.per_unit", module, name);
        add_key(list, SM_TOML_POWER, &host->rate.unit_bytes, "host.%s.%s.unit_bytes", module, name);
        add_key(list, SM_TOML_U64, &host->extra, "host.%s.%s.extra", module, name);
    }
}

/* ---- parse ----------------------------------------------------------------------------------- */

enum smelt_status smelt_schedule_parse(struct smelt_slice text, const struct smelt_profile *profile,
                                       struct smelt_schedule **out, struct smelt_error *err)
{
    *out = NULL;
    const char *const profiles[2] = {profile->name, NULL};
    uint32_t profile_index = 0;
    struct key_list list = {0};
    struct sm_toml toml = {.what = WHERE, .invalid = SMELT_STATUS_SCHEDULE_INVALID};
    enum smelt_status status = SMELT_STATUS_OK;
    struct smelt_schedule *schedule = (struct smelt_schedule *)sm_calloc(1, sizeof(*schedule));
    list.keys = (struct sm_toml_key *)sm_calloc(key_max(profile), sizeof(*list.keys));
    if (schedule != NULL) {
        schedule->hosts =
            (struct sm_schedule_host *)sm_calloc(profile->function_count, sizeof(*schedule->hosts));
    }
    if (schedule == NULL || list.keys == NULL || schedule->hosts == NULL) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    schedule->host_count = profile->function_count;
    schedule->profile_name = smelt_slice_from_string(profile->name);
    list_keys(schedule, profile, profiles, &profile_index, &list);
    toml.keys = list.keys;
    toml.key_count = list.count;
    SMELT_TRY(sm_toml_read(text, &toml, err));
    if (!sm_buf_append(&schedule->text, text.data, text.size)) {
        status = sm_error_no_memory(err, WHERE);
        goto cleanup;
    }
    *out = schedule;
    schedule = NULL;
cleanup:
    sm_free(list.keys);
    smelt_schedule_destroy(schedule);
    return status;
}

void smelt_schedule_destroy(struct smelt_schedule *schedule)
{
    if (schedule != NULL) {
        sm_free(schedule->hosts);
        smelt_buf_deinit(&schedule->text);
        sm_free(schedule);
    }
}

/* ---- built in -------------------------------------------------------------------------------- */

extern const unsigned char sm_embedded_engine_v1_toml[];
extern const size_t sm_embedded_engine_v1_toml_size;
extern const unsigned char sm_embedded_unit_toml[];
extern const size_t sm_embedded_unit_toml_size;

enum smelt_status smelt_schedule_builtin(const char *name, const struct smelt_profile *profile,
                                         struct smelt_schedule **out, struct smelt_error *err)
{
    const struct {
        const char *name;
        struct smelt_slice text;
    } builtins[] = {
        {"engine-v1", {sm_embedded_engine_v1_toml, sm_embedded_engine_v1_toml_size}},
        {"unit", {sm_embedded_unit_toml, sm_embedded_unit_toml_size}},
    };
    *out = NULL;
    for (size_t i = 0; i < sizeof(builtins) / sizeof(builtins[0]); i++) {
        if (strcmp(builtins[i].name, name) == 0) {
            return smelt_schedule_parse(builtins[i].text, profile, out, err);
        }
    }
    return sm_error_set(err, SMELT_STATUS_NOT_FOUND, WHERE,
                        "no built-in schedule is called %s; there are engine-v1 and unit", name);
}

/* ---- values ---------------------------------------------------------------------------------- */

const char *smelt_schedule_name(const struct smelt_schedule *schedule)
{
    return schedule->name;
}

struct smelt_slice smelt_schedule_text(const struct smelt_schedule *schedule)
{
    return sm_buf_slice(&schedule->text);
}

static void digest_rate(struct sm_digest *digest, struct sm_schedule_rate rate)
{
    sm_digest_u64(digest, rate.per_unit);
    sm_digest_u64(digest, rate.unit_bytes);
}

void smelt_schedule_digest(const struct smelt_schedule *schedule, struct smelt_hash *out)
{
    struct sm_digest digest;
    const struct sm_schedule_transaction *transaction = &schedule->transaction;
    sm_digest_init(&digest, "smelt.schedule.v2");
    sm_digest_slice(&digest, schedule->profile_name);
    sm_digest_u32(&digest, ROW_COUNT);
    for (size_t row = 0; row < ROW_COUNT; row++) {
        sm_digest_u32(&digest, instructions[row].code);
        sm_digest_u32(&digest, schedule->weights[row]);
    }
    sm_digest_u64(&digest, schedule->dynamic.memory_grow_page);
    digest_rate(&digest, schedule->dynamic.bulk_memory);
    digest_rate(&digest, schedule->dynamic.bulk_table);
    sm_digest_u64(&digest, transaction->transfer);
    sm_digest_u64(&digest, transaction->call);
    sm_digest_u64(&digest, transaction->deploy);
    sm_digest_u64(&digest, transaction->deploy_byte);
    sm_digest_u64(&digest, transaction->upgrade);
    sm_digest_u64(&digest, transaction->upgrade_byte);
    sm_digest_u32(&digest, schedule->host_count);
    for (uint32_t i = 0; i < schedule->host_count; i++) {
        sm_digest_u64(&digest, schedule->hosts[i].base);
        digest_rate(&digest, schedule->hosts[i].rate);
        sm_digest_u64(&digest, schedule->hosts[i].extra);
    }
    sm_digest_final(&digest, out);
}

const uint32_t *sm_schedule_weights(const struct smelt_schedule *schedule, size_t *count)
{
    *count = ROW_COUNT;
    return schedule->weights;
}

const struct sm_schedule_dynamic *sm_schedule_dynamic(const struct smelt_schedule *schedule)
{
    return &schedule->dynamic;
}

const struct sm_schedule_transaction *sm_schedule_transaction(const struct smelt_schedule *schedule)
{
    return &schedule->transaction;
}

const struct sm_schedule_host *sm_schedule_hosts(const struct smelt_schedule *schedule,
                                                 uint32_t *count)
{
    *count = schedule->host_count;
    return schedule->hosts;
}

enum smelt_status sm_schedule_check_profile(const struct smelt_schedule *schedule,
                                            const struct smelt_profile *profile,
                                            struct smelt_error *err)
{
    if (schedule->host_count == profile->function_count) {
        return SMELT_STATUS_OK;
    }
    return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                        "the gas schedule prices %u host functions, profile %s has %u: parse the "
                        "schedule for this profile",
                        schedule->host_count, profile->name, profile->function_count);
}

uint64_t sm_schedule_charge(struct sm_schedule_rate rate, uint64_t size)
{
    const uint64_t ceiling = UINT64_MAX / 2;
    /* every host call is charged: not by a division, the unit is a power of two */
    uint64_t units =
        (size >> __builtin_ctzll(rate.unit_bytes)) + ((size & (rate.unit_bytes - 1)) != 0);
    uint64_t charge;
    return __builtin_mul_overflow(units, rate.per_unit, &charge) || charge > ceiling ? ceiling
                                                                                     : charge;
}
