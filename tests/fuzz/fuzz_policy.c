/* The reader of policies. The first byte says what the rest is: a text, or edits of a built-in
 * policy. A policy that is read and then written from its values, the last first, has the same
 * digest, and what its text says is within the bounds that the gate counts on. */
#include "hostabi/policy.h"
#include "tests/fuzz/fuzz.h"

#include <inttypes.h>
#include <string.h>

static struct smelt_slice builtin(const char *name)
{
    static struct smelt_policy *loaded[2];
    struct smelt_policy **slot = &loaded[strcmp(name, SMELT_POLICY_DEFAULT) != 0];
    struct smelt_error err = {0};
    FUZZ_CHECK(*slot != NULL || smelt_policy_builtin(name, slot, &err) == SMELT_STATUS_OK, "%s",
               err.message);
    return smelt_policy_text(*slot);
}

static void print(struct smelt_buf *out, const char *key, const char *value)
{
    FUZZ_CHECK(sm_buf_printf(out, "\t%s=%s # \r\n", key, value), "no memory");
}

static void print_number(struct smelt_buf *out, const char *key, uint32_t value)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%" PRIu32, value);
    print(out, key, text);
}

static void print_bool(struct smelt_buf *out, const char *key, bool value)
{
    print(out, key, value ? "true" : "false");
}

static void write_policy(const struct smelt_policy *policy, struct smelt_buf *out)
{
    const struct sm_policy *values = sm_policy_values(policy);
    char name[80];
    (void)snprintf(name, sizeof(name), "\"%s\"", smelt_policy_name(policy));
    print(out, "name", name);
    print(out, "floats", values->floats == SMELT_FLOAT_FORBID ? "\"forbid\"" : "\"canonical-nan\"");
#define PRINT_LIMIT(name_, most_, text_)                                                           \
    FUZZ_CHECK(values->name_ <= (most_), #name_);                                                  \
    print_number(out, "limits." #name_, values->name_);
#define PRINT_EXPORT(name_)         print_bool(out, "exports." #name_, values->may_export.name_);
#define PRINT_FEATURE(name_, text_) print_bool(out, #name_, values->features.name_);
    SM_POLICY_LIMITS(PRINT_LIMIT)
    SM_POLICY_EXPORTS(PRINT_EXPORT)
    print(out, "exports.names",
          values->names == SM_POLICY_NAMES_UTF8 ? "\"utf-8\"" : "\"printable-ascii\"");
    FUZZ_CHECK(values->memory_pages <= SM_POLICY_PAGES_MAX &&
                   values->memory_initial_pages <= SM_POLICY_PAGES_MAX,
               "pages");
    FUZZ_CHECK(sm_buf_printf(out, "[memory]\n"), "no memory");
    print_number(out, "pages", values->memory_pages);
    print_number(out, "initial_pages", values->memory_initial_pages);
    FUZZ_CHECK(sm_buf_printf(out, "[features]\n"), "no memory");
    SM_POLICY_FEATURES(PRINT_FEATURE)
#undef PRINT_LIMIT
#undef PRINT_EXPORT
#undef PRINT_FEATURE
}

static void check_rewritten(const struct smelt_policy *policy)
{
    struct smelt_buf text = {0};
    struct smelt_policy *again = NULL;
    struct smelt_error err = {0};
    struct smelt_hash first;
    struct smelt_hash second;
    write_policy(policy, &text);
    FUZZ_CHECK(smelt_policy_parse(sm_buf_slice(&text), &again, &err) == SMELT_STATUS_OK,
               "%s in\n%.*s", err.message, (int)text.size, (const char *)text.data);
    smelt_policy_digest(policy, &first);
    smelt_policy_digest(again, &second);
    FUZZ_CHECK(memcmp(&first, &second, sizeof(first)) == 0, "another digest");
    smelt_policy_destroy(again);
    smelt_buf_deinit(&text);
}

static void read_policy(struct smelt_slice text)
{
    struct smelt_policy *policy = NULL;
    struct smelt_error err = {0};
    enum smelt_status status = smelt_policy_parse(text, &policy, &err);
    if (status == SMELT_STATUS_OK) {
        check_rewritten(policy);
        smelt_policy_destroy(policy);
        return;
    }
    FUZZ_CHECK(status == SMELT_STATUS_POLICY_INVALID && policy == NULL && err.status == status &&
                   err.offset >= -1 && err.offset <= (int64_t)text.size,
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
        read_policy(rest);
    } else {
        fuzz_edit(builtin(data[0] % 3 == 1 ? SMELT_POLICY_DEFAULT : "standard-floats"), rest,
                  &text);
        read_policy(sm_buf_slice(&text));
    }
    smelt_buf_deinit(&text);
    return 0;
}
