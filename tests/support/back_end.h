/* The C compilers and optimisation levels that tests are run with. On command lines:
 *
 *     --optimise by-size|none|full    by-size when not given
 *     --cc PATH                       the default compiler when not given */
#ifndef SM_TESTS_BACK_END_H
#define SM_TESTS_BACK_END_H

#include <smelt/compiler.h>

/* Zero-initialise. */
struct back_end {
    enum smelt_optimisation optimisation;
    const char *cc; /* borrowed; NULL: the default */
};

/* False when the option is another, or its value is not one. */
bool back_end_set(struct back_end *back_end, const char *option, const char *value);

/* False, with a message that begins with "skipped", when the compiler is not on this machine. */
bool back_end_is_there(const struct back_end *back_end);

#endif
