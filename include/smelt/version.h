/* Version of the library, and of the interfaces that outlive a build. */
#ifndef SMELT_VERSION_H
#define SMELT_VERSION_H

#include <smelt/export.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SMELT_VERSION_MAJOR 0
#define SMELT_VERSION_MINOR 1
#define SMELT_VERSION_PATCH 0
#define SMELT_VERSION_TEXT  "0.1.0"

/* SMELT_VERSION_TEXT of the library that is linked, which may differ from the header's. */
SMELT_API const char *smelt_version(void);

#ifdef __cplusplus
}
#endif

#endif
