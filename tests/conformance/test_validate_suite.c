/* The WebAssembly specification suite against decoder and validator: what it asserts to be invalid
 * or malformed is refused, what it calls a module is accepted, or refused only for a feature
 * outside the contract subset. Textual assertions need a text parser and do not concern us.
 *
 * A refusal has to be of use: its message has the suite's own words for the broken rule (or those
 * of the table of synonyms), it names the section and the byte offset, and for what is wrong in a
 * body the function, with the offset inside that body.
 *
 *   test_validate_suite <directory with spec-testsuite.tar.gz> <scratch directory>
 *
 * Exit status: 0 passed, 1 failed, 77 skipped because there is no suite. */
#include "base/arena.h"
#include "base/bytes.h"
#include "compiler/wasm/module.h"
#include "tests/conformance/suite.h"
#include "tests/support/wasm_layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REASONS_MAX 256

/* Where a module breaks several rules, or the suite knows a rule of a proposal that changes the
 * binary format: what the file's text may be called by us, as a part of our message. */
static const struct synonym {
    const char *file;
    const char *rule;
    const char *message;
} synonyms[] = {
    /* the reference interpreter reads a stream: it meets the first bad byte or the section's end
       where we compare counts with sizes beforehand */
    {"binary", "malformed import kind", "imports do not fit"},
    {"binary", "malformed limits flags", "do not fit"},
    {"binary", "length out of bounds", "exports do not fit"},
    {"binary", "unexpected end of section or function", "length out of bounds: data segment"},
    {"binary", "section size mismatch", "end opcode is missing"},
    {"binary", "END opcode expected", "end opcode is missing"},
    /* two code sections, neither with as many bodies as there are functions */
    {"binary", "unexpected content after last section", "have inconsistent lengths"},
    /* section sizes written for shorter numbers than follow: we stop where the size says */
    {"binary-leb128", "integer too large", "malformed section id"},
    {"binary-leb128", "integer representation too long", "malformed section id"},
    {"binary-leb128", "integer representation too long", "inside an integer"},
    /* type forms are numbers in the suite's grammar, bytes in that of core 2.0 */
    {"binary-leb128", "integer representation too long", "malformed type"},
    /* memory64 makes limits and offsets numbers of 64 bits, which may be longer */
    {"binary-leb128", "integer too large", "minimum: integer representation too long"},
    {"binary-leb128", "integer too large", "maximum: integer representation too long"},
    {"align", "offset out of range", "memory offset: integer representation too long"},
    {"align", "alignment must not be larger than natural",
     "memory offset: integer representation too long"},
    /* both are missing; the specification's grammar is checked before its types */
    {"memory_init", "unknown data segment", "data count section required"},
};

#define SYNONYM_COUNT (sizeof(synonyms) / sizeof(synonyms[0]))

struct tally {
    unsigned total;
    unsigned failed;
};

/* How often a kind of command ended in a status for a reason, for the eye. */
struct reason {
    char text[200];
    unsigned count;
};

struct run {
    struct tally modules;
    struct tally invalid;
    struct tally malformed;
    struct tally messages; /* of all refusals */
    unsigned in_bodies;    /* messages that name a function */
    bool is_used[SYNONYM_COUNT];
    unsigned accepted;
    struct reason reasons[REASONS_MAX];
    unsigned reason_count;
};

static void count_reason(struct run *run, const char *kind, const struct smelt_error *err)
{
    /* the message of a refused feature names its proposal */
    const char *message = err->status == SMELT_STATUS_MODULE_FEATURE ? err->message : "";
    char text[sizeof(run->reasons[0].text)];
    (void)snprintf(text, sizeof(text), "%-16s %-16s %.120s", kind, smelt_status_name(err->status),
                   message);
    unsigned i = 0;
    while (i < run->reason_count && strcmp(run->reasons[i].text, text) != 0) {
        i++;
    }
    if (i == REASONS_MAX) {
        return;
    }
    if (i == run->reason_count) {
        memcpy(run->reasons[i].text, text, sizeof(text));
        run->reason_count++;
    }
    run->reasons[i].count++;
}

static enum smelt_status check_module(struct smelt_slice wasm, struct smelt_error *err)
{
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    enum smelt_status status = sm_wasm_decode(wasm, &arena, &module, err);
    if (status == SMELT_STATUS_OK) {
        status = sm_wasm_validate(&module, &arena, err);
    }
    sm_arena_deinit(&arena);
    return status;
}

static bool is_refusal(enum smelt_status status)
{
    return status == SMELT_STATUS_MODULE_MALFORMED || status == SMELT_STATUS_MODULE_INVALID ||
           status == SMELT_STATUS_MODULE_FEATURE;
}

static bool names_rule(struct run *run, const char *file, const char *message, const char *rule)
{
    if (strstr(message, rule) != NULL) {
        return true;
    }
    for (size_t i = 0; i < SYNONYM_COUNT; i++) {
        if (strcmp(file, synonyms[i].file) == 0 && strcmp(rule, synonyms[i].rule) == 0 &&
            strstr(message, synonyms[i].message) != NULL) {
            run->is_used[i] = true;
            return true;
        }
    }
    return false;
}

/* NULL when the place of an error is one that can be found, else what is wrong with it. */
static const char *check_place(struct smelt_slice wasm, const struct smelt_error *err)
{
    if (err->where[0] == '\0') {
        return "no section";
    }
    if (err->offset < 0 || (uint64_t)err->offset > wasm.size) {
        return "no offset inside of the module";
    }
    if (err->func_index < 0) {
        return wasm_has_body_at(wasm, (size_t)err->offset) ? "no function" : NULL;
    }
    struct smelt_slice body;
    if (strcmp(err->where, "code") != 0 || err->func_index > UINT32_MAX ||
        !wasm_find_body(wasm, (uint32_t)err->func_index, &body)) {
        return "a function that has no body";
    }
    /* an end that is missing is missed behind the last byte */
    uint64_t start = (uint64_t)(body.data - wasm.data);
    return (uint64_t)err->offset >= start && (uint64_t)err->offset <= start + body.size
               ? NULL
               : "an offset outside of the function's body";
}

/* `rule` NULL: a module that is valid, but not for us. A feature is refused where it is met, before
 * the rule that would be broken later, so its message names the proposal instead. */
static void check_message(struct run *run, struct smelt_slice wasm, const char *name, int line,
                          const char *rule, const struct smelt_error *err)
{
    const char *complaint = check_place(wasm, err);
    bool is_feature = err->status == SMELT_STATUS_MODULE_FEATURE;
    if (complaint == NULL && is_feature && strstr(err->message, " proposal") == NULL) {
        complaint = "no proposal";
    }
    if (complaint == NULL && !is_feature &&
        (rule == NULL || !names_rule(run, name, err->message, rule))) {
        complaint = "another rule";
    }
    run->messages.total++;
    run->in_bodies += err->func_index >= 0;
    if (complaint != NULL) {
        run->messages.failed++;
        printf("FAIL %s.wast:%d %s: the message names %s: %s in %s, function %lld, at %lld\n", name,
               line, rule != NULL ? rule : "valid", complaint, err->message, err->where,
               (long long)err->func_index, (long long)err->offset);
    }
}

static void run_command(struct run *run, const struct suite *suite, const char *name,
                        const json_t *command)
{
    const char *type = suite_text(command, "type");
    const char *filename = suite_text(command, "filename");
    const char *module_type = suite_text(command, "module_type");
    int line = (int)json_integer_value(json_object_get(command, "line"));
    if (type == NULL || filename == NULL ||
        (module_type != NULL && strcmp(module_type, "binary") != 0)) {
        return;
    }
    struct tally *tally = NULL;
    if (strcmp(type, "assert_invalid") == 0) {
        tally = &run->invalid;
    } else if (strcmp(type, "assert_malformed") == 0) {
        tally = &run->malformed;
    } else {
        /* unlinkable and uninstantiable modules are valid as well */
        tally = &run->modules;
    }
    struct smelt_error err = {0};
    struct smelt_buf wasm = {0};
    enum smelt_status status = suite_read_module(suite, name, filename, &wasm, &err);
    if (status == SMELT_STATUS_OK) {
        status = check_module(sm_buf_slice(&wasm), &err);
    }
    bool is_good;
    if (tally == &run->modules) {
        is_good = status == SMELT_STATUS_OK || status == SMELT_STATUS_MODULE_FEATURE;
        run->accepted += status == SMELT_STATUS_OK;
    } else {
        is_good = is_refusal(status);
    }
    tally->total++;
    if (!is_good) {
        tally->failed++;
        const char *expected = suite_text(command, "text");
        printf("FAIL %s.wast:%d %s (%s): %s %s in %s at %lld\n", name, line, type,
               expected != NULL ? expected : "valid", smelt_status_name(status), err.message,
               err.where, (long long)err.offset);
    }
    if (status != SMELT_STATUS_OK) {
        count_reason(run, tally == &run->modules ? "module" : type, &err);
    }
    if (is_refusal(status)) {
        check_message(run, sm_buf_slice(&wasm), name, line, suite_text(command, "text"), &err);
    }
    smelt_buf_deinit(&wasm);
}

static bool run_file(struct run *run, const struct suite *suite, const char *name)
{
    json_t *json = suite_load(suite, name);
    size_t index;
    json_t *command;
    json_array_foreach(json_object_get(json, "commands"), index, command)
    {
        run_command(run, suite, name, command);
    }
    json_decref(json);
    return json != NULL;
}

static int compare_reasons(const void *left, const void *right)
{
    const struct reason *a = (const struct reason *)left;
    const struct reason *b = (const struct reason *)right;
    return strcmp(a->text, b->text);
}

static bool report(struct run *run)
{
    qsort(run->reasons, run->reason_count, sizeof(*run->reasons), compare_reasons);
    for (unsigned i = 0; i < run->reason_count; i++) {
        printf("%5u  %s\n", run->reasons[i].count, run->reasons[i].text);
    }
    printf("modules: %u, accepted %u, refused for a feature %u, wrongly refused %u\n",
           run->modules.total, run->accepted,
           run->modules.total - run->accepted - run->modules.failed, run->modules.failed);
    printf("assert_invalid: %u, not refused %u\n", run->invalid.total, run->invalid.failed);
    printf("assert_malformed: %u, not refused %u\n", run->malformed.total, run->malformed.failed);
    for (size_t i = 0; i < SYNONYM_COUNT; i++) {
        if (!run->is_used[i]) {
            printf("FAIL nothing needs the synonym \"%s\" of \"%s\" for %s.wast\n",
                   synonyms[i].message, synonyms[i].rule, synonyms[i].file);
            run->messages.failed++;
        }
    }
    printf("messages: %u, of them %u about a body, insufficient %u\n", run->messages.total,
           run->in_bodies, run->messages.failed);
    return run->modules.total != 0 && run->invalid.total != 0 && run->malformed.total != 0 &&
           run->in_bodies != 0 &&
           run->modules.failed + run->invalid.failed + run->malformed.failed +
                   run->messages.failed ==
               0;
}

int main(int argc, char **argv)
{
    static struct run run;
    struct suite suite = {0};
    if (argc != 3) {
        (void)fprintf(stderr, "usage: %s <data directory> <scratch directory>\n", argv[0]);
        return EXIT_FAILURE;
    }
    enum suite_state state = suite_open(argv[1], argv[2], &suite);
    if (state == SUITE_MISSING) {
        return SUITE_EXIT_SKIPPED;
    }
    bool is_good = state == SUITE_READY;
    for (size_t i = 0; state == SUITE_READY && i < suite.count; i++) {
        is_good = run_file(&run, &suite, suite.names[i]) && is_good;
    }
    if (state == SUITE_READY) {
        is_good = report(&run) && is_good;
    }
    suite_close(&suite);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
