/* Modules on all sides of the oracle, compared: what the file runner and the fuzzer share.
 *
 *     struct oracle *oracle = oracle_open(&options);
 *     oracle_check(oracle, "name", wasm);
 *     is_good = oracle_report(oracle);
 *     oracle_close(oracle);
 *
 * A module is compiled as a deployable contract when it is one, else with floats, any import and no
 * rules for export names. Each exported function is called with several arguments and ample fuel;
 * then with as much as it used, with one unit more and one less. For the first of its arguments the
 * limit is also lowered in steps, and put right at, before and behind the first dynamic charge of
 * each kind. */
#ifndef SM_TESTS_COMPARE_H
#define SM_TESTS_COMPARE_H

#include "tests/oracle/oracle.h"
#include "tests/support/back_end.h"

#define ORACLE_BACK_ENDS_MAX 8

struct oracle_options {
    const char *scratch;    /* directory for a cache, which is removed at open and close */
    const char *schedule;   /* built-in */
    uint64_t fuel;          /* ample */
    uint32_t vectors;       /* argument vectors per function */
    uint32_t cheap_vectors; /* the same when the first one uses little fuel */
    uint32_t swept_vectors; /* of them, those tried at many limits */
    uint32_t sweep_points;  /* limits between 0 and what was used */
    bool is_archive;        /* not every module is meant for us: refusals are only counted */
    bool has_every_row; /* every row of the coverage table must be covered, or the report fails */
    struct back_end back_ends[ORACLE_BACK_ENDS_MAX]; /* each makes a native side */
    size_t back_end_count;
};

struct oracle;

/* A machine that cannot do as it is told ends the program with a message. */
struct oracle *oracle_open(const struct oracle_options *options);
void oracle_close(struct oracle *oracle);

/* False, with the first difference of each function on standard output, when sides differ or the
 * module was refused. */
bool oracle_check(struct oracle *oracle, const char *name, struct smelt_slice wasm);

/* What was compared, on standard output. False when that is nothing, something differed, or a row
 * of the coverage table is missing that must be there. */
bool oracle_report(const struct oracle *oracle);

#endif
