/* Gas schedules: the two built-in ones, and every way a schedule can be wrong. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "compiler/wasm/opcode.h"
#include "hostabi/schedule.h"
#include "tests/support/cmocka_all.h"

#include <string.h>

static struct smelt_schedule *load(const char *name)
{
    struct smelt_schedule *schedule = NULL;
    struct smelt_error err = {0};
    assert_int_equal(smelt_schedule_builtin(name, &smelt_profile_engine, &schedule, &err), 0);
    assert_string_equal(smelt_schedule_name(schedule), name);
    return schedule;
}

static const struct sm_schedule_host *host_of(const struct smelt_schedule *schedule,
                                              const char *name)
{
    uint32_t count;
    const struct sm_schedule_host *hosts = sm_schedule_hosts(schedule, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(smelt_profile_engine.functions[i].name, name) == 0) {
            return &hosts[i];
        }
    }
    fail_msg("no row %s", name);
    return NULL;
}

static void test_engine_v1_has_the_reference_prices(void **state)
{
    (void)state;
    struct smelt_schedule *schedule = load("engine-v1");
    const struct sm_schedule_host *write = host_of(schedule, "storage_write");
    assert_int_equal(write->base, 1000);
    assert_int_equal(write->extra, 1000);
    assert_int_equal(sm_schedule_charge(write->rate, 11), 110);
    assert_int_equal(host_of(schedule, "storage_read")->base, 200);
    assert_int_equal(sm_schedule_charge(host_of(schedule, "input_read")->rate, 9), 2);
    assert_int_equal(sm_schedule_charge(host_of(schedule, "input_read")->rate, 0), 0);
    assert_int_equal(sm_schedule_dynamic(schedule)->memory_grow_page, 1000);
    smelt_schedule_destroy(schedule);
}

static void test_unit_counts_instructions_and_nothing_else(void **state)
{
    (void)state;
    struct smelt_schedule *schedule = load("unit");
    size_t count;
    const uint32_t *weights = sm_schedule_weights(schedule, &count);
    for (size_t op = 0; op < count; op++) {
        bool is_free = op == SM_OP_NOP || op == SM_OP_BLOCK || op == SM_OP_LOOP ||
                       op == SM_OP_ELSE || op == SM_OP_END;
        assert_int_equal(weights[op], is_free ? 0 : 1);
    }
    uint32_t host_count;
    const struct sm_schedule_host *hosts = sm_schedule_hosts(schedule, &host_count);
    for (uint32_t i = 0; i < host_count; i++) {
        assert_int_equal(hosts[i].base + hosts[i].rate.per_unit + hosts[i].extra, 0);
    }
    smelt_schedule_destroy(schedule);
}

static void test_charge_saturates(void **state)
{
    (void)state;
    struct sm_schedule_rate rate = {.per_unit = SM_SCHEDULE_WEIGHT_MAX, .unit_bytes = 1};
    assert_true(sm_schedule_charge(rate, UINT64_MAX) == UINT64_MAX / 2);
    assert_true(sm_schedule_charge(rate, UINT32_MAX) == UINT32_MAX * SM_SCHEDULE_WEIGHT_MAX);
}

static void test_digest_ignores_layout_and_sees_values(void **state)
{
    (void)state;
    struct smelt_schedule *plain = load("unit");
    struct smelt_schedule *other = NULL;
    struct smelt_hash a;
    struct smelt_hash b;
    smelt_schedule_digest(plain, &a);
    struct smelt_buf text = {0};
    struct smelt_slice source = smelt_schedule_text(plain);
    assert_true(sm_buf_printf(&text, "# a comment\n\n%.*s", (int)source.size, source.data));
    assert_int_equal(smelt_schedule_parse(sm_buf_slice(&text), &smelt_profile_engine, &other, NULL),
                     0);
    smelt_schedule_digest(other, &b);
    assert_memory_equal(&a, &b, sizeof(a));
    smelt_schedule_destroy(other);
    assert_true(sm_buf_append_u8(&text, 0));
    char *at = strstr((char *)text.data, "nop = 0");
    assert_non_null(at);
    at[6] = '1';
    assert_int_equal(smelt_schedule_parse(sm_slice(text.data, text.size - 1), &smelt_profile_engine,
                                          &other, NULL),
                     0);
    smelt_schedule_digest(other, &b);
    assert_memory_not_equal(&a, &b, sizeof(a));
    smelt_schedule_destroy(other);
    smelt_schedule_destroy(plain);
    smelt_buf_deinit(&text);
}

/* Each row replaces the first occurrence of `from` in schedule `unit`. */
static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to, *message;
    } rows[] = {
        {"nop = 0\n", "", "missing key: instructions.nop"},
        {"nop = 0\n", "nop = 0\nnop = 0\n", "key is given twice"},
        {"nop = 0\n", "nop = 0\nnope = 0\n", "unknown key: instructions.nope"},
        {"nop = 0\n", "nop = -1\n", "expected an unsigned integer"},
        {"nop = 0\n", "nop = 1.5\n", "unexpected text"},
        {"nop = 0\n", "nop = 00\n", "leading zeroes"},
        {"nop = 0\n", "nop = 1000001\n", "larger than"},
        {"nop = 0\n", "nop = 99999999999999999999999\n", "larger than"},
        {"nop = 0\n", "nop 0\n", "expected '='"},
        {"nop = 0\n", "nop = \"0\"\n", "expected an unsigned integer"},
        {"nop = 0\n", "nop. = 0\n", "expected a key"},
        {"nop = 0\n", "nop = 0 0\n", "unexpected text"},
        {"br = 1\n", "br = 0\n", "smaller than 1 (branches and calls"},
        {"name = \"unit\"", "name = unit", "expected a string"},
        {"name = \"unit\"", "name = \"\"", "strings are"},
        {"name = \"unit\"", "name = \"unit", "strings are"},
        {"profile = \"engine\"", "profile = \"pyde\"", "another profile"},
        {"[memory]", "[memory", "expected ']'"},
        {"[memory]", "[]", "expected a key"},
        {"bulk_unit_bytes = 8", "bulk_unit_bytes = 6", "power of two"},
        {"bulk_unit_bytes = 8", "bulk_unit_bytes = 0", "power of two"},
        {"{base = 0,", "{base = 0", "expected ',' or '}'"},
        {"{base = 0,", "{base = {", "expected an unsigned integer"},
        {"nop = 0\n", "\xff = 0\n", "not UTF-8"},
    };
    struct smelt_schedule *unit = load("unit");
    struct smelt_slice text = smelt_schedule_text(unit);
    size_t blocks = sm_alloc_blocks();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *at =
            (const char *)memmem(text.data, text.size, rows[i].from, strlen(rows[i].from));
        assert_non_null(at);
        size_t head = (size_t)((const uint8_t *)at - text.data);
        struct smelt_buf wrong = {0};
        assert_true(sm_buf_append(&wrong, text.data, head));
        assert_true(sm_buf_append(&wrong, rows[i].to, strlen(rows[i].to)));
        size_t tail = head + strlen(rows[i].from);
        assert_true(sm_buf_append(&wrong, text.data + tail, text.size - tail));
        struct smelt_schedule *schedule = NULL;
        struct smelt_error err = {0};
        assert_int_equal(
            smelt_schedule_parse(sm_buf_slice(&wrong), &smelt_profile_engine, &schedule, &err),
            SMELT_STATUS_SCHEDULE_INVALID);
        assert_null(schedule);
        if (strstr(err.message, rows[i].message) == NULL) {
            fail_msg("row %zu: %s", i, err.message);
        }
        smelt_buf_deinit(&wrong);
    }
    assert_int_equal(sm_alloc_blocks(), blocks);
    smelt_schedule_destroy(unit);
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct smelt_schedule *unit = load("unit");
    struct smelt_slice text = smelt_schedule_text(unit);
    for (size_t size = 0; size + 2 < text.size; size += 7) {
        struct smelt_schedule *schedule = NULL;
        assert_int_equal(
            smelt_schedule_parse(sm_slice(text.data, size), &smelt_profile_engine, &schedule, NULL),
            SMELT_STATUS_SCHEDULE_INVALID);
    }
    smelt_schedule_destroy(unit);
}

static void test_short_memory(void **state)
{
    (void)state;
    size_t blocks = sm_alloc_blocks();
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    for (size_t nth = 1; status == SMELT_STATUS_NO_MEMORY; nth++) {
        struct smelt_schedule *schedule = NULL;
        sm_alloc_fail_at(nth);
        status = smelt_schedule_builtin("unit", &smelt_profile_engine, &schedule, NULL);
        sm_alloc_fail_at(0);
        smelt_schedule_destroy(schedule);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_int_equal(status, SMELT_STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engine_v1_has_the_reference_prices),
        cmocka_unit_test(test_unit_counts_instructions_and_nothing_else),
        cmocka_unit_test(test_charge_saturates),
        cmocka_unit_test(test_digest_ignores_layout_and_sees_values),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_short_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
