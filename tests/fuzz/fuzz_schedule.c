/* The reader of gas schedules. The first byte says what the rest is: a text, or edits of a built-in
 * schedule. A schedule that is read and then written from its values, the last first, has the same
 * digest. */
#include "compiler/wasm/opcode.h"
#include "hostabi/profile.h"
#include "hostabi/schedule.h"
#include "tests/fuzz/fuzz.h"

#include <inttypes.h>
#include <string.h>

static struct smelt_slice builtin(const char *name)
{
    static struct smelt_schedule *loaded[2];
    struct smelt_schedule **slot = &loaded[name[0] == 'u'];
    struct smelt_error err = {0};
    FUZZ_CHECK(*slot != NULL || smelt_schedule_builtin(name, &smelt_profile_engine, slot, &err) ==
                                    SMELT_STATUS_OK,
               "%s", err.message);
    return smelt_schedule_text(*slot);
}

static void print(struct smelt_buf *out, const char *key, uint64_t value)
{
    FUZZ_CHECK(sm_buf_printf(out, "\t%s=%" PRIu64 " # \r\n", key, value), "no memory");
}

static void write_schedule(const struct smelt_schedule *schedule, struct smelt_buf *out)
{
    const struct smelt_profile *profile = &smelt_profile_engine;
    const struct sm_schedule_dynamic *dynamic = sm_schedule_dynamic(schedule);
    const struct sm_schedule_transaction *transaction = sm_schedule_transaction(schedule);
    size_t weight_count;
    uint32_t host_count;
    const uint32_t *weights = sm_schedule_weights(schedule, &weight_count);
    const struct sm_schedule_host *hosts = sm_schedule_hosts(schedule, &host_count);
    char key[200];
    FUZZ_CHECK(weight_count == SM_OP_COUNT && host_count == profile->function_count, "counts");
    print(out, "table.bulk_unit_elements", dynamic->bulk_table.unit_bytes);
    print(out, "table.bulk_per_unit", dynamic->bulk_table.per_unit);
    print(out, "memory.bulk_unit_bytes", dynamic->bulk_memory.unit_bytes);
    print(out, "memory.bulk_per_unit", dynamic->bulk_memory.per_unit);
    print(out, "memory.grow_page", dynamic->memory_grow_page);
    print(out, "transaction.upgrade_byte", transaction->upgrade_byte);
    print(out, "transaction.upgrade", transaction->upgrade);
    print(out, "transaction.deploy_byte", transaction->deploy_byte);
    print(out, "transaction.deploy", transaction->deploy);
    print(out, "transaction.call", transaction->call);
    print(out, "transaction.transfer", transaction->transfer);
    FUZZ_CHECK(sm_buf_printf(out, "profile = \"%s\"\nname = \"%s\"\n", profile->name,
                             smelt_schedule_name(schedule)),
               "no memory");
    for (uint32_t i = host_count; i-- > 0;) {
        const struct smelt_host_function *row = &profile->functions[i];
        (void)snprintf(key, sizeof(key), "[host.%s.%s]\nextra=%" PRIu64 "\nunit_bytes", row->module,
                       row->name, hosts[i].extra);
        print(out, key, hosts[i].rate.unit_bytes);
        print(out, "per_unit", hosts[i].rate.per_unit);
        print(out, "base", hosts[i].base);
    }
    FUZZ_CHECK(sm_buf_printf(out, "[instructions]"), "no memory");
    for (uint32_t i = SM_OP_COUNT; i-- > 0;) {
        (void)snprintf(key, sizeof(key), "\n%s",
                       sm_wasm_ops[i].code == 0x1c ? "select_t" : sm_wasm_ops[i].text);
        print(out, key, weights[i]);
    }
}

static void check_rewritten(const struct smelt_schedule *schedule)
{
    struct smelt_buf text = {0};
    struct smelt_schedule *again = NULL;
    struct smelt_error err = {0};
    struct smelt_hash first;
    struct smelt_hash second;
    write_schedule(schedule, &text);
    FUZZ_CHECK(smelt_schedule_parse(sm_buf_slice(&text), &smelt_profile_engine, &again, &err) ==
                   SMELT_STATUS_OK,
               "%s in\n%.*s", err.message, (int)text.size, (const char *)text.data);
    smelt_schedule_digest(schedule, &first);
    smelt_schedule_digest(again, &second);
    FUZZ_CHECK(memcmp(&first, &second, sizeof(first)) == 0, "another digest");
    smelt_schedule_destroy(again);
    smelt_buf_deinit(&text);
}

static void read_schedule(struct smelt_slice text)
{
    struct smelt_schedule *schedule = NULL;
    struct smelt_error err = {0};
    enum smelt_status status = smelt_schedule_parse(text, &smelt_profile_engine, &schedule, &err);
    if (status == SMELT_STATUS_OK) {
        check_rewritten(schedule);
        smelt_schedule_destroy(schedule);
        return;
    }
    FUZZ_CHECK(status == SMELT_STATUS_SCHEDULE_INVALID && schedule == NULL &&
                   err.status == status && err.offset >= -1 && err.offset <= (int64_t)text.size,
               "%s: %s at %lld", smelt_status_name(status), err.message, (long long)err.offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smelt_buf text = {0};
    if (size == 0) {
        return 0;
    }
    struct smelt_slice rest = sm_slice(data + 1, size - 1);
    if (data[0] % 3 == 0) {
        read_schedule(rest);
    } else {
        fuzz_edit(builtin(data[0] % 3 == 1 ? "engine-v1" : "unit"), rest, &text);
        read_schedule(sm_buf_slice(&text));
    }
    smelt_buf_deinit(&text);
    return 0;
}
