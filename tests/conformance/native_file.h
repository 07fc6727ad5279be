/* The commands of one file of the suite, executed natively. */
#ifndef SM_TESTS_NATIVE_FILE_H
#define SM_TESTS_NATIVE_FILE_H

#include "tests/conformance/expected.h"
#include "tests/conformance/suite.h"
#include "tests/support/native_instance.h"

/* Why a command is not executed. */
#define SKIP_MAP(XX)                                                                               \
    XX(NONE, "")                                                                                   \
    XX(FEATURE, "the module uses a feature outside of the subset")                                 \
    XX(IMPORT, "the module imports a memory, table or global")                                     \
    XX(LINK, "the module imports functions of other modules")                                      \
    XX(START, "the module has a start function")                                                   \
    XX(LIMIT, "the module exceeds a limit of the policy")                                          \
    XX(SHARED, "the module shares state with one that was skipped")                                \
    XX(BROKEN, "the module failed")                                                                \
    XX(GLOBAL, "reads an exported global")                                                         \
    XX(UNLINKABLE, "asserts that imports do not fit")

enum skip {
#define SKIP_ENUM(name, text) SKIP_##name,
    SKIP_MAP(SKIP_ENUM)
#undef SKIP_ENUM
        SKIP_COUNT
};

const char *skip_text(enum skip reason);

struct tally {
    unsigned passed;
    unsigned failed;
    unsigned failed_expectedly;
    unsigned skipped[SKIP_COUNT];
};

/* Zero-initialise. */
struct native_file_result {
    struct tally modules;
    struct tally assertions;
    int line; /* of the running command */
    bool is_done;
};

struct native_run {
    const struct suite *suite;
    const struct native_compiler *compiler;
    const struct expected_failures *expected;
    bool *has_failed; /* one per expected failure */
};

/* Executes file `name`. Unexpected failures are printed. */
void native_file_run(const struct native_run *run, const char *name,
                     struct native_file_result *result);

#endif
