/* See back_end.h. */
#include "tests/support/back_end.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool back_end_set(struct back_end *back_end, const char *option, const char *value)
{
    static const char *const words[] = {[SMELT_OPTIMISE_BY_SIZE] = "by-size",
                                        [SMELT_OPTIMISE_NONE] = "none",
                                        [SMELT_OPTIMISE_FULL] = "full"};
    if (strcmp(option, "--cc") == 0) {
        back_end->cc = value;
        return true;
    }
    for (size_t i = 0; strcmp(option, "--optimise") == 0 && i < sizeof(words) / sizeof(words[0]);
         i++) {
        if (strcmp(value, words[i]) == 0) {
            back_end->optimisation = (enum smelt_optimisation)i;
            return true;
        }
    }
    return false;
}

bool back_end_is_there(const struct back_end *back_end)
{
    if (back_end->cc != NULL && access(back_end->cc, X_OK) != 0) {
        printf("skipped: there is no compiler %s\n", back_end->cc);
        return false;
    }
    return true;
}
