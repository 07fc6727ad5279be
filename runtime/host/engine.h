/* The behaviour of the profile `engine`. */
#ifndef SM_HOST_ENGINE_H
#define SM_HOST_ENGINE_H

#include <smelt/host.h>

/* One per row of smelt_profile_engine, in its order. */
extern const smelt_host_fn sm_engine_handlers[];

#endif
