/* A storage read and a storage write at the top of so many layers, in nanoseconds: medians. */
#ifndef BENCH_LAYERS_H
#define BENCH_LAYERS_H

#include <stddef.h>

struct bench_layers {
    double read_ns;
    double write_ns;
};
struct bench_layers bench_layers(size_t depth);

#endif
