/* Names of traps and host errors, from the maps in <smelt/trap.h>. */
#include <smelt/trap.h>

const char *smelt_trap_name(enum smelt_trap trap)
{
    switch (trap) {
#define NAME_CASE(number, name, text)                                                              \
    case SMELT_TRAP_##name:                                                                        \
        return text;
        SMELT_TRAP_MAP(NAME_CASE)
#undef NAME_CASE
    }
    return "unknown";
}

const char *smelt_host_error_name(enum smelt_host_error error)
{
    switch (error) {
#define NAME_CASE(number, name, text)                                                              \
    case SMELT_HOST_ERROR_##name:                                                                  \
        return text;
        SMELT_HOST_ERROR_MAP(NAME_CASE)
#undef NAME_CASE
    }
    return "unknown";
}
