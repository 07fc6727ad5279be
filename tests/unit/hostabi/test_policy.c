/* Policies: the two built-in ones, every key missing, doubled and out of bounds, the digest, and
 * the table of docs/limits.md. */
#include "base/alloc.h"
#include "base/bytes.h"
#include "hostabi/policy.h"
#include "tests/support/cmocka_all.h"
#include "tests/support/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Every key but `name`, with a value that it may have and the built-in policies do not give it, and
 * one that it may not have. */
static const struct row {
    const char *table, *key, *other, *wrong;
} rows[] = {
#define FEATURE_ROW(name, text)     {"features", #name, "false", "0"},
#define EXPORT_ROW(name)            {"exports", #name, "false", "\"no\""},
#define LIMIT_ROW(name, most, text) {"limits", #name, "0", NULL},
    {"", "floats", "\"canonical-nan\"", "\"nan\""},
    SM_POLICY_FEATURES(FEATURE_ROW)
        SM_POLICY_EXPORTS(EXPORT_ROW){"exports", "names", "\"printable-ascii\"", "\"latin-1\""},
    {"memory", "initial_pages", "65535", "65537"},
    {"memory", "pages", "65535", "65537"},
    SM_POLICY_LIMITS(LIMIT_ROW)};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const struct {
    const char *key;
    uint64_t most;
} ceilings[] = {
#define CEILING(name, most, text) {#name, most},
    SM_POLICY_LIMITS(CEILING)
#undef CEILING
};

static struct smelt_policy *load(const char *name)
{
    struct smelt_policy *policy = NULL;
    assert_int_equal(smelt_policy_builtin(name, &policy, NULL), SMELT_STATUS_OK);
    assert_string_equal(smelt_policy_name(policy), name);
    return policy;
}

/* The standard policy's text with the line of `row` replaced; "" takes it out. */
static struct smelt_buf edited(const struct row *row, const char *line)
{
    struct smelt_policy *standard = load("standard");
    struct smelt_slice text = smelt_policy_text(standard);
    struct smelt_buf out = {0};
    char header[32];
    char start[64];
    assert_true(sm_buf_printf(&out, "%.*s", (int)text.size, (const char *)text.data));
    assert_true(sm_buf_append_u8(&out, 0));
    (void)snprintf(header, sizeof(header), "\n[%s]\n", row->table);
    (void)snprintf(start, sizeof(start), "\n%s = ", row->key);
    const char *table =
        row->table[0] != '\0' ? strstr((char *)out.data, header) : (const char *)out.data;
    assert_non_null(table);
    const char *at = strstr(table, start);
    assert_non_null(at);
    const char *end = strchr(at + 1, '\n');
    struct smelt_buf result = {0};
    assert_true(sm_buf_printf(&result, "%.*s\n%s%s", (int)(at - (char *)out.data), out.data, line,
                              line[0] != '\0' ? end : end + 1));
    smelt_buf_deinit(&out);
    smelt_policy_destroy(standard);
    return result;
}

static struct smelt_buf with_value(const struct row *row, const char *value)
{
    char line[128];
    (void)snprintf(line, sizeof(line), "%s = %s", row->key, value);
    return edited(row, line);
}

static void expect_invalid(struct smelt_buf *text, const char *message)
{
    struct smelt_policy *policy = NULL;
    struct smelt_error err = {0};
    assert_int_equal(smelt_policy_parse(sm_buf_slice(text), &policy, &err),
                     SMELT_STATUS_POLICY_INVALID);
    assert_null(policy);
    assert_string_equal(err.where, "policy");
    if (strstr(err.message, message) == NULL || strncmp(err.message, "line ", 5) != 0) {
        fail_msg("%s does not say: %s", err.message, message);
    }
    smelt_buf_deinit(text);
}

/* ---- built in -------------------------------------------------------------------------------- */

static void the_built_in_ones_differ_in_floats_only(void **state)
{
    (void)state;
    struct smelt_policy *standard = load("standard");
    struct smelt_policy *floats = load("standard-floats");
    struct sm_policy values = *sm_policy_values(standard);
    struct smelt_hash a;
    struct smelt_hash b;
    assert_int_equal(smelt_policy_floats(standard), SMELT_FLOAT_FORBID);
    assert_int_equal(smelt_policy_floats(floats), SMELT_FLOAT_CANONICAL_NAN);
    assert_false(values.allows_any_import);
    values.floats = SMELT_FLOAT_CANONICAL_NAN;
    sm_policy_digest(&values, &a);
    smelt_policy_digest(floats, &b);
    assert_memory_equal(&a, &b, sizeof(a));
    smelt_policy_digest(standard, &b);
    assert_memory_not_equal(&a, &b, sizeof(a));
    smelt_policy_destroy(standard);
    smelt_policy_destroy(floats);
}

static void the_convenience_is_the_default_with_two_fields_replaced(void **state)
{
    (void)state;
    struct smelt_policy *standard = load(SMELT_POLICY_DEFAULT);
    struct sm_policy values;
    struct smelt_hash a;
    struct smelt_hash b;
    sm_policy_init(&values, SMELT_FLOAT_FORBID, true);
    assert_true(values.allows_any_import);
    sm_policy_digest(&values, &a);
    smelt_policy_digest(standard, &b);
    assert_memory_equal(&a, &b, sizeof(a)); /* any_import is no part of a policy */
    sm_policy_init(&values, SMELT_FLOAT_CANONICAL_NAN, false);
    assert_int_equal(values.floats, SMELT_FLOAT_CANONICAL_NAN);
    assert_false(values.allows_any_import);
    smelt_policy_destroy(standard);
}

static void other_names_are_not_found(void **state)
{
    (void)state;
    static const char *const names[] = {"", "Standard", "standard ", "standard-float", "engine-v1"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct smelt_policy *policy = NULL;
        struct smelt_error err = {0};
        assert_int_equal(smelt_policy_builtin(names[i], &policy, &err), SMELT_STATUS_NOT_FOUND);
        assert_null(policy);
        assert_non_null(strstr(err.message, "standard and standard-floats"));
    }
    smelt_policy_destroy(NULL);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void is_required_once(const struct row *row)
{
    char path[64];
    char line[160];
    char message[96];
    (void)snprintf(path, sizeof(path), "%s%s%s", row->table, row->table[0] != '\0' ? "." : "",
                   row->key);
    struct smelt_buf text = edited(row, "");
    (void)snprintf(message, sizeof(message), "missing key: %s", path);
    expect_invalid(&text, message);
    (void)snprintf(line, sizeof(line), "%s = %s\n%s = %s", row->key, row->other, row->key,
                   row->other);
    text = edited(row, line);
    (void)snprintf(message, sizeof(message), "key is given twice: %s", path);
    expect_invalid(&text, message);
    if (row->wrong != NULL) {
        text = with_value(row, row->wrong);
        expect_invalid(&text, path);
    }
    (void)snprintf(line, sizeof(line), "%s_ = 1", row->key);
    text = edited(row, line);
    (void)snprintf(message, sizeof(message), "unknown key: %s_", path);
    expect_invalid(&text, message);
}

static void every_key_is_required_once_and_bounded(void **state)
{
    (void)state;
    size_t blocks = sm_alloc_blocks();
    is_required_once(&(const struct row){"", "name", "\"mine\"", "\"\""});
    for (size_t i = 0; i < ROW_COUNT; i++) {
        is_required_once(&rows[i]);
    }
    for (size_t i = 0; i < sizeof(ceilings) / sizeof(ceilings[0]); i++) {
        const struct row row = {"limits", ceilings[i].key, NULL, NULL};
        struct smelt_policy *policy = NULL;
        char value[32];
        char message[96];
        (void)snprintf(value, sizeof(value), "%" PRIu64, ceilings[i].most);
        struct smelt_buf text = with_value(&row, value);
        assert_int_equal(smelt_policy_parse(sm_buf_slice(&text), &policy, NULL), 0);
        smelt_policy_destroy(policy);
        smelt_buf_deinit(&text);
        (void)snprintf(message, sizeof(message), "value is larger than %s: limits.%s", value,
                       row.key);
        (void)snprintf(value, sizeof(value), "%" PRIu64, ceilings[i].most + 1);
        text = with_value(&row, value);
        expect_invalid(&text, message);
    }
    assert_int_equal(sm_alloc_blocks(), blocks);
}

static void the_digest_is_of_the_values(void **state)
{
    (void)state;
    struct smelt_policy *standard = load("standard");
    struct smelt_hash digests[ROW_COUNT + 1];
    struct smelt_slice text = smelt_policy_text(standard);
    struct smelt_buf other = {0};
    struct smelt_policy *policy = NULL;
    smelt_policy_digest(standard, &digests[ROW_COUNT]);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        other = with_value(&rows[i], rows[i].other);
        assert_int_equal(smelt_policy_parse(sm_buf_slice(&other), &policy, NULL), 0);
        assert_true(sm_slice_equal(smelt_policy_text(policy), sm_buf_slice(&other)));
        smelt_policy_digest(policy, &digests[i]);
        smelt_policy_destroy(policy);
        smelt_buf_deinit(&other);
    }
    for (size_t i = 0; i <= ROW_COUNT; i++) {
        for (size_t k = 0; k < i; k++) {
            if (memcmp(&digests[i], &digests[k], sizeof(digests[i])) == 0) {
                fail_msg("rows %zu and %zu have the same digest", k, i);
            }
        }
    }
    /* name, comments and layout do not count */
    const struct row name = {"", "name", NULL, NULL};
    other = with_value(&name, "\"mine\" # \xe2\x9c\x93");
    assert_true(sm_buf_printf(&other, "\n\n# the end"));
    assert_int_equal(smelt_policy_parse(sm_buf_slice(&other), &policy, NULL), 0);
    assert_string_equal(smelt_policy_name(policy), "mine");
    smelt_policy_digest(policy, &digests[0]);
    assert_memory_equal(&digests[0], &digests[ROW_COUNT], sizeof(digests[0]));
    smelt_policy_destroy(policy);
    smelt_buf_deinit(&other);
    /* a number that is cut short is another number */
    const uint8_t *last = (const uint8_t *)memrchr(text.data, '=', text.size);
    for (size_t size = 0; size < (size_t)(last - text.data); size += 3) {
        assert_int_equal(smelt_policy_parse(sm_slice(text.data, size), &policy, NULL),
                         SMELT_STATUS_POLICY_INVALID);
    }
    smelt_policy_destroy(standard);
}

static void short_memory(void **state)
{
    (void)state;
    size_t blocks = sm_alloc_blocks();
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    size_t nth = 1;
    for (; status == SMELT_STATUS_NO_MEMORY; nth++) {
        struct smelt_policy *policy = NULL;
        sm_alloc_fail_at(nth);
        status = smelt_policy_builtin("standard", &policy, NULL);
        sm_alloc_fail_at(0);
        assert_true((policy != NULL) == (status == SMELT_STATUS_OK));
        smelt_policy_destroy(policy);
        assert_int_equal(sm_alloc_blocks(), blocks);
    }
    assert_int_equal(status, SMELT_STATUS_OK);
    assert_true(nth > 2);
}

/* ---- docs/limits.md -------------------------------------------------------------------------- */

/* The tables of the document are these, to the letter: on a failure, copy them from its message. */
static void the_document_has_the_rows_of_the_tables(void **state)
{
    (void)state;
    struct sm_policy policy;
    struct smelt_buf tables = {0};
    struct smelt_buf document = test_file_read(test_path(SMELT_TEST_SOURCE_DIR, "docs/limits.md"));
    sm_policy_init(&policy, SMELT_FLOAT_FORBID, false);
#define FEATURE_LINE(name, text)                                                                   \
    assert_true(sm_buf_printf(&tables, "| `%s` | %s |\n", #name, text));
#define LIMIT_LINE(name, most, text)                                                               \
    assert_true(sm_buf_printf(&tables, "| `%s` | %" PRIu32 " | %u | %s |\n", #name, policy.name,   \
                              (unsigned)(most), text));
    assert_true(sm_buf_printf(&tables, "| key | switched off: refused are |\n|---|---|\n"));
    SM_POLICY_FEATURES(FEATURE_LINE)
    size_t features = tables.size;
    assert_true(sm_buf_printf(&tables, "| key | `standard` | at most | what is counted |\n"
                                       "|---|---|---|---|\n"));
    SM_POLICY_LIMITS(LIMIT_LINE)
#undef FEATURE_LINE
#undef LIMIT_LINE
    if (memmem(document.data, document.size, tables.data, features) == NULL ||
        memmem(document.data, document.size, tables.data + features, tables.size - features) ==
            NULL) {
        (void)fprintf(stderr, "%.*s", (int)tables.size, (const char *)tables.data);
        fail_msg("docs/limits.md should have the tables above");
    }
    smelt_buf_deinit(&tables);
    smelt_buf_deinit(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_built_in_ones_differ_in_floats_only),
        cmocka_unit_test(the_convenience_is_the_default_with_two_fields_replaced),
        cmocka_unit_test(other_names_are_not_found),
        cmocka_unit_test(every_key_is_required_once_and_bounded),
        cmocka_unit_test(the_digest_is_of_the_values),
        cmocka_unit_test(short_memory),
        cmocka_unit_test(the_document_has_the_rows_of_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
