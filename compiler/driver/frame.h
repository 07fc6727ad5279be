/* Stack frames of compiled functions, whichever file a compiler describes them in. */
#ifndef SM_DRIVER_FRAME_H
#define SM_DRIVER_FRAME_H

#include <stdint.h>

/* Frame of one function, return address included. `name` is the function's symbol. */
typedef void (*sm_frame_fn)(void *context, const char *name, uint64_t bytes);

#endif
