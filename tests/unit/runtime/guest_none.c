/* A shared object that is no artefact. */
#include "smelt_guest.h"

__attribute__((visibility("default"))) const u32 something_else = 1;
