#include <smelt/version.h>

const char *smelt_version(void)
{
    return SMELT_VERSION_TEXT;
}
