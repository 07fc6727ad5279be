/* See native_file.h. */
#include "tests/conformance/native_file.h"

#include "tests/conformance/suite_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MAX 128

const char *skip_text(enum skip reason)
{
    static const char *const texts[SKIP_COUNT] = {
#define SKIP_TEXT(name, text) text,
        SKIP_MAP(SKIP_TEXT)
#undef SKIP_TEXT
    };
    return texts[reason];
}

/* What became of a command. */
enum verdict { VERDICT_PASSED, VERDICT_FAILED, VERDICT_SKIPPED };

/* A module of the running file; without an activation `skip` says why. */
struct instance {
    struct instance *next; /* named ones, newest first */
    const char *name;      /* in the commands; NULL: only ever the current one */
    bool is_registered;    /* others may import from it */
    enum skip skip;
    struct native_instance native;
};

struct file {
    const struct native_run *run;
    const char *name;
    struct native_file_result *result;
    struct instance *named;
    struct instance *current;
    enum skip skip; /* of the running command */
    char why[256];  /* it failed */
};

static enum verdict fail(struct file *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static enum verdict fail(struct file *file, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(file->why, sizeof(file->why), format, args);
    va_end(args);
    return VERDICT_FAILED;
}

static enum verdict skip(struct file *file, enum skip reason)
{
    file->skip = reason;
    return VERDICT_SKIPPED;
}

/* ---- modules --------------------------------------------------------------------------------- */

static void destroy_instance(struct instance *instance)
{
    if (instance != NULL) {
        native_instance_destroy(&instance->native);
        free(instance);
    }
}

/* NONE: the module must compile. */
static enum skip refusal_of(enum smelt_status status)
{
    return status == SMELT_STATUS_MODULE_FEATURE  ? SKIP_FEATURE
           : status == SMELT_STATUS_MODULE_IMPORT ? SKIP_IMPORT
           : status == SMELT_STATUS_MODULE_START  ? SKIP_START
           : status == SMELT_STATUS_MODULE_LIMIT  ? SKIP_LIMIT
                                                  : SKIP_NONE;
}

/* NULL names the current one. */
static struct instance *find_instance(const struct file *file, const char *name)
{
    if (name == NULL) {
        return file->current;
    }
    struct instance *instance = file->named;
    while (instance != NULL && strcmp(instance->name, name) != 0) {
        instance = instance->next;
    }
    return instance;
}

/* A module that is skipped might have written to memories and tables that it imports. */
static void skip_registered(struct file *file)
{
    for (struct instance *instance = file->named; instance != NULL; instance = instance->next) {
        if (instance->is_registered && instance->skip == SKIP_NONE) {
            instance->skip = SKIP_SHARED;
        }
    }
}

/* PASSED: instantiated, or the active segments trapped. */
static enum verdict make_instance(struct file *file, const json_t *command,
                                  struct instance *instance)
{
    struct native_instance *native = &instance->native;
    const char *filename = suite_text(command, "filename");
    struct smelt_error err = {0};
    enum smelt_status status = SMELT_STATUS_INVALID_ARGUMENT;
    if (filename != NULL) {
        status = suite_read_module(file->run->suite, file->name, filename, &native->wasm, &err);
    }
    if (status == SMELT_STATUS_OK) {
        status = native_instance_create(file->run->compiler, native, &err);
    }
    instance->skip = status != SMELT_STATUS_OK ? refusal_of(status)
                     : !native->is_linked      ? SKIP_LINK
                                               : SKIP_NONE;
    if (instance->skip != SKIP_NONE) {
        skip_registered(file);
        return skip(file, instance->skip);
    }
    if (status != SMELT_STATUS_OK) {
        instance->skip = SKIP_BROKEN;
        return fail(file, "%s: %s in %s of function %lld", smelt_status_name(status), err.message,
                    err.where, (long long)err.func_index);
    }
    return VERDICT_PASSED;
}

static enum verdict run_module(struct file *file, const json_t *command)
{
    struct instance *instance = (struct instance *)calloc(1, sizeof(*instance));
    if (instance == NULL) {
        return fail(file, "no memory");
    }
    instance->name = suite_text(command, "name");
    if (file->current != NULL && file->current->name == NULL) {
        destroy_instance(file->current);
    }
    file->current = instance;
    if (instance->name != NULL) {
        instance->next = file->named;
        file->named = instance;
    }
    enum verdict verdict = make_instance(file, command, instance);
    if (verdict == VERDICT_PASSED && instance->native.started.end != SM_EXEC_RETURNED) {
        instance->skip = SKIP_BROKEN;
        return fail(file, "the active segments trap: %s",
                    smelt_trap_name(instance->native.started.trap));
    }
    return verdict;
}

static enum verdict run_uninstantiable(struct file *file, const json_t *command)
{
    struct instance instance = {0};
    const char *text = suite_text(command, "text");
    enum verdict verdict = make_instance(file, command, &instance);
    const struct sm_exec_result *started = &instance.native.started;
    if (verdict == VERDICT_PASSED &&
        (started->end != SM_EXEC_TRAPPED || started->trap != suite_trap_of(text))) {
        verdict = fail(file, "trap %s instead of \"%s\"", smelt_trap_name(started->trap), text);
    }
    native_instance_destroy(&instance.native);
    return verdict;
}

/* ---- actions --------------------------------------------------------------------------------- */

static enum verdict put_arguments(struct file *file, const json_t *arguments,
                                  const struct sm_export *export_, uint64_t slots[SLOTS_MAX])
{
    if (export_->param_count > SLOTS_MAX || export_->result_count > SLOTS_MAX ||
        json_array_size(arguments) != export_->param_count) {
        return fail(file, "%zu arguments for %u parameters", json_array_size(arguments),
                    export_->param_count);
    }
    for (uint32_t i = 0; i < export_->param_count; i++) {
        enum smelt_valtype type;
        if (!suite_value_parse(json_array_get(arguments, i), &type, &slots[i]) ||
            type != export_->types[i]) {
            return fail(file, "argument %u does not fit", i);
        }
    }
    return VERDICT_PASSED;
}

/* A call that was made: how it ended, and results in `slots`. */
struct call {
    const struct instance *instance;
    const struct sm_export *export_;
    struct sm_exec_result result;
    uint64_t slots[SLOTS_MAX];
};

/* PASSED: called, whatever came of it. */
static enum verdict run_action(struct file *file, const json_t *command, struct call *call)
{
    const json_t *action = json_object_get(command, "action");
    const json_t *field = json_object_get(action, "field");
    const char *type = suite_text(action, "type");
    struct instance *instance = find_instance(file, suite_text(action, "module"));
    if (instance == NULL || type == NULL || field == NULL) {
        return fail(file, "no module to act on");
    }
    if (instance->skip != SKIP_NONE) {
        return skip(file, instance->skip);
    }
    if (strcmp(type, "get") == 0) {
        return skip(file, SKIP_GLOBAL);
    }
    const struct smelt_slice name = {.data = (const uint8_t *)json_string_value(field),
                                     .size = json_string_length(field)};
    call->instance = instance;
    call->export_ = sm_exec_find_export(instance->native.module, name);
    if (call->export_ == NULL) {
        return fail(file, "there is no export %s", json_string_value(field));
    }
    enum verdict verdict =
        put_arguments(file, json_object_get(action, "args"), call->export_, call->slots);
    if (verdict == VERDICT_PASSED) {
        native_instance_invoke(&instance->native, call->export_, call->slots, &call->result);
    }
    return verdict;
}

static enum verdict fail_end(struct file *file, const struct call *call, const char *instead)
{
    static const char *const ends[] = {
        [SM_EXEC_RETURNED] = "returned",       [SM_EXEC_TRAPPED] = "trapped",
        [SM_EXEC_OUT_OF_FUEL] = "out of fuel", [SM_EXEC_STOPPED] = "stopped",
        [SM_EXEC_FAULTED] = "faulted",         [SM_EXEC_FAILED] = "failed"};
    return fail(file, "%s (trap %s, status %s) instead of %s", ends[call->result.end],
                smelt_trap_name(call->result.trap), smelt_status_name(call->result.status),
                instead);
}

static enum verdict run_return(struct file *file, const json_t *command)
{
    struct call call = {0};
    const json_t *expected = json_object_get(command, "expected");
    enum verdict verdict = run_action(file, command, &call);
    if (verdict != VERDICT_PASSED) {
        return verdict;
    }
    if (call.result.end != SM_EXEC_RETURNED) {
        return fail_end(file, &call, "a return");
    }
    /* an action says nothing about its results */
    if (expected == NULL || strcmp(suite_text(command, "type"), "action") == 0) {
        return VERDICT_PASSED;
    }
    if (json_array_size(expected) != call.export_->result_count) {
        return fail(file, "%u results", call.export_->result_count);
    }
    for (uint32_t i = 0; i < call.export_->result_count; i++) {
        const json_t *value = json_array_get(expected, i);
        enum smelt_valtype type =
            (enum smelt_valtype)call.export_->types[call.export_->param_count + i];
        if (!suite_value_matches(value, type, call.slots[i])) {
            return fail(file, "result %u of type 0x%x is 0x%llx instead of %s (decimal)", i, type,
                        (unsigned long long)call.slots[i], suite_text(value, "value"));
        }
    }
    return VERDICT_PASSED;
}

/* Does the location point at an instruction that traps so, or at the function that did not fit onto
 * the stack? */
static bool has_location(const struct call *call)
{
    const struct native_instance *native = &call->instance->native;
    const struct sm_exec_result *result = &call->result;
    if (!result->has_offset) {
        /* the stack weight of the entry itself was too much */
        return result->trap == SMELT_TRAP_STACK_OVERFLOW;
    }
    const struct sm_function *function = sm_exec_find_function(native->module, result->offset);
    if (function == NULL) {
        return false;
    }
    if (result->trap == SMELT_TRAP_STACK_OVERFLOW) {
        return result->offset == function->offset;
    }
    return suite_trap_is_of(result->trap,
                            (struct smelt_slice){.data = native->wasm.data + result->offset,
                                                 .size = native->wasm.size - result->offset});
}

static enum verdict run_trap(struct file *file, const json_t *command)
{
    struct call call = {0};
    const char *text = suite_text(command, "text");
    enum verdict verdict = run_action(file, command, &call);
    if (verdict != VERDICT_PASSED) {
        return verdict;
    }
    enum smelt_trap trap = suite_trap_of(text);
    if (trap == SMELT_TRAP_NONE) {
        return fail(file, "unknown trap \"%s\"", text);
    }
    if (call.result.end != SM_EXEC_TRAPPED || call.result.trap != trap) {
        return fail_end(file, &call, text);
    }
    if (!has_location(&call)) {
        return fail(file, "no instruction at 0x%x traps so", call.result.offset);
    }
    return VERDICT_PASSED;
}

/* ---- commands -------------------------------------------------------------------------------- */

static enum verdict run_register(struct file *file, const json_t *command)
{
    struct instance *instance = find_instance(file, suite_text(command, "name"));
    if (instance == NULL) {
        return fail(file, "no module to register");
    }
    instance->is_registered = true;
    return VERDICT_PASSED;
}

static enum verdict skip_unlinkable(struct file *file, const json_t *command)
{
    (void)command;
    return skip(file, SKIP_UNLINKABLE);
}

enum command_kind { COMMAND_MODULE, COMMAND_ASSERTION, COMMAND_OTHER };

struct command_row {
    const char *type;
    enum command_kind kind; /* how it is counted; others count when they fail */
    enum verdict (*run)(struct file *file, const json_t *command);
};

static const struct command_row *find_command(const char *type)
{
    static const struct command_row rows[] = {
        {"module", COMMAND_MODULE, run_module},
        {"register", COMMAND_OTHER, run_register},
        {"action", COMMAND_ASSERTION, run_return},
        {"assert_return", COMMAND_ASSERTION, run_return},
        {"assert_trap", COMMAND_ASSERTION, run_trap},
        {"assert_exhaustion", COMMAND_ASSERTION, run_trap},
        {"assert_uninstantiable", COMMAND_ASSERTION, run_uninstantiable},
        {"assert_unlinkable", COMMAND_ASSERTION, skip_unlinkable},
        /* test_validate_suite.c */
        {"assert_invalid", COMMAND_OTHER, NULL},
        {"assert_malformed", COMMAND_OTHER, NULL},
    };
    for (size_t i = 0; type != NULL && i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(type, rows[i].type) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static void count_failure(struct file *file, struct tally *tally, const char *type)
{
    const struct expected_failures *expected = file->run->expected;
    size_t row = expected_failures_find(expected, file->name, file->result->line);
    if (row != expected->count) {
        file->run->has_failed[row] = true;
        tally->failed_expectedly++;
        return;
    }
    tally->failed++;
    printf("FAIL %s.wast:%d %s: %s\n", file->name, file->result->line, type, file->why);
}

static void count_verdict(struct file *file, struct tally *tally, const char *type,
                          enum verdict verdict)
{
    switch (verdict) {
    case VERDICT_PASSED:
        tally->passed++;
        break;
    case VERDICT_FAILED:
        count_failure(file, tally, type);
        break;
    case VERDICT_SKIPPED:
        tally->skipped[file->skip]++;
        break;
    }
}

static void run_command(struct file *file, const json_t *command)
{
    struct native_file_result *result = file->result;
    const char *type = suite_text(command, "type");
    const struct command_row *row = find_command(type);
    result->line = (int)json_integer_value(json_object_get(command, "line"));
    if (row == NULL) {
        count_verdict(file, &result->assertions, type, fail(file, "unknown command"));
        return;
    }
    if (row->run == NULL) {
        return;
    }
    enum verdict verdict = row->run(file, command);
    if (row->kind != COMMAND_OTHER || verdict == VERDICT_FAILED) {
        struct tally *tally = row->kind == COMMAND_MODULE ? &result->modules : &result->assertions;
        count_verdict(file, tally, type, verdict);
    }
}

void native_file_run(const struct native_run *run, const char *name,
                     struct native_file_result *result)
{
    struct file file = {.run = run, .name = name, .result = result};
    json_t *json = suite_load(run->suite, name);
    size_t i;
    json_t *command;
    json_array_foreach(json_object_get(json, "commands"), i, command)
    {
        run_command(&file, command);
    }
    if (file.current != NULL && file.current->name == NULL) {
        destroy_instance(file.current);
    }
    while (file.named != NULL) {
        struct instance *next = file.named->next;
        destroy_instance(file.named);
        file.named = next;
    }
    json_decref(json);
    result->is_done = json != NULL;
}
