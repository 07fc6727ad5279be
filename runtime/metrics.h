/* What an engine counts. All counters are atomic and relaxed: each is right, a set of them read
 * together may be of slightly different moments. Printed in the Prometheus text format 0.0.4; the
 * names are documented in docs/operations.md. */
#ifndef SM_RUNTIME_METRICS_H
#define SM_RUNTIME_METRICS_H

#include "runtime/exec/exec.h"

#include "runtime/state/tip.h"

#include <smelt/runtime.h>
#include <smelt/wave.h>

#include <stdatomic.h>

enum sm_metrics_kind {
    SM_METRICS_DEPLOY,
    SM_METRICS_CALL,
    SM_METRICS_STATIC_CALL,
    SM_METRICS_KINDS
};

/* Bucket i counts values up to first << (2 × i); the last one has no bound. */
#define SM_HISTOGRAM_BUCKETS 14u
struct sm_histogram {
    atomic_uint_fast64_t buckets[SM_HISTOGRAM_BUCKETS]; /* not cumulative */
    atomic_uint_fast64_t sum;
};

/* How a transaction of a wave may end. */
enum sm_metrics_fate { SM_METRICS_DONE, SM_METRICS_FAILED, SM_METRICS_REJECTED, SM_METRICS_FATES };

#define SM_METRICS_OUTCOMES 4u  /* enum smelt_outcome_kind */
#define SM_METRICS_STATUSES 64u /* more than there are statuses */

struct sm_metrics {
    atomic_uint_fast64_t transactions[SM_METRICS_KINDS];
    atomic_uint_fast64_t outcomes[SM_METRICS_OUTCOMES];
    atomic_uint_fast64_t failures[SM_METRICS_STATUSES]; /* in the order of SMELT_STATUS_MAP */
    atomic_uint_fast64_t resident_hits;
    atomic_uint_fast64_t source_loads;
    atomic_uint_fast64_t store_reads;
    atomic_uint_fast64_t store_read_ns;
    struct sm_histogram fuel;
    struct sm_histogram load_ns;
    struct sm_histogram execute_ns;
    struct sm_histogram commit_ns; /* of transactions that wrote */
    atomic_uint_fast64_t waves;    /* that were executed */
    atomic_uint_fast64_t wave_transactions[SM_METRICS_FATES];
    atomic_uint_fast64_t wave_retries;
    struct sm_histogram wave_ns;
};

static inline void sm_metrics_add(atomic_uint_fast64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

/* A transaction is over; `receipt` is NULL when the status is not OK. */
void sm_metrics_observe(struct sm_metrics *metrics, enum sm_metrics_kind kind,
                        enum smelt_status status, const struct smelt_receipt *receipt);

/* A wave is over, after `ns`; `record` is NULL when the status is not OK. */
void sm_metrics_observe_wave(struct sm_metrics *metrics, enum smelt_status status,
                             const struct smelt_wave_record *record, uint64_t retries, uint64_t ns);

/* What is not counted but asked for. */
struct sm_metrics_gauges {
    size_t resident_modules;
    struct sm_tip_figures tip;
    struct sm_exec_pool_figures pool;
};

/* Replaces the content of `out`. NO_MEMORY only. */
enum smelt_status sm_metrics_print(const struct sm_metrics *metrics,
                                   const struct sm_metrics_gauges *gauges, struct smelt_buf *out,
                                   struct smelt_error *err);

#endif
