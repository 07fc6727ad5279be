/* The whole public interface of smelt. */
#ifndef SMELT_SMELT_H
#define SMELT_SMELT_H

#include <smelt/alloc.h>
#include <smelt/bytes.h>
#include <smelt/cache.h>
#include <smelt/compiler.h>
#include <smelt/export.h>
#include <smelt/host.h>
#include <smelt/log.h>
#include <smelt/policy.h>
#include <smelt/runtime.h>
#include <smelt/schedule.h>
#include <smelt/status.h>
#include <smelt/store.h>
#include <smelt/version.h>
#include <smelt/wave.h>

#endif
