/* smelt as bench_runtime sees it. */
#ifndef SM_BENCH_RUNTIME_SMELT_H
#define SM_BENCH_RUNTIME_SMELT_H

#include "tests/bench/runtime.h"

extern const struct bench_runtime bench_smelt;

#endif
