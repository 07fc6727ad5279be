/* Counting, and the text of it. See metrics.h. */
#include "runtime/metrics.h"

#include "base/bytes.h"
#include "base/status.h"

#include <assert.h>
#include <inttypes.h>

#define FUEL_FIRST    UINT64_C(1000)
#define NS_FIRST      UINT64_C(1000) /* 1 µs; the last bound is 16.8 s */
#define NS_PER_SECOND 1e9

static const struct {
    enum smelt_status status;
    const char *name;
} statuses[] = {
#define STATUS_ROW(number, name, text) {SMELT_STATUS_##name, text},
    SMELT_STATUS_MAP(STATUS_ROW)
#undef STATUS_ROW
};
#define STATUS_COUNT (sizeof(statuses) / sizeof(statuses[0]))
static_assert(STATUS_COUNT <= SM_METRICS_STATUSES, "make SM_METRICS_STATUSES larger");

/* ---- counting -------------------------------------------------------------------------------- */

static void observe(struct sm_histogram *histogram, uint64_t first, uint64_t value)
{
    size_t bucket = 0;
    while (bucket < SM_HISTOGRAM_BUCKETS - 1 && value > first << (2 * bucket)) {
        bucket++;
    }
    sm_metrics_add(&histogram->buckets[bucket], 1);
    sm_metrics_add(&histogram->sum, value);
}

static void count_failure(struct sm_metrics *metrics, enum smelt_status status)
{
    for (size_t i = 0; i < STATUS_COUNT && status != SMELT_STATUS_OK; i++) {
        sm_metrics_add(&metrics->failures[i], statuses[i].status == status);
    }
}

void sm_metrics_observe_wave(struct sm_metrics *metrics, enum smelt_status status,
                             const struct smelt_wave_record *record, uint64_t retries, uint64_t ns)
{
    count_failure(metrics, status);
    if (record == NULL) {
        return;
    }
    const uint32_t done = record->transaction_count - record->failed_count - record->rejected_count;
    sm_metrics_add(&metrics->waves, 1);
    sm_metrics_add(&metrics->wave_transactions[SM_METRICS_DONE], done);
    sm_metrics_add(&metrics->wave_transactions[SM_METRICS_FAILED], record->failed_count);
    sm_metrics_add(&metrics->wave_transactions[SM_METRICS_REJECTED], record->rejected_count);
    sm_metrics_add(&metrics->wave_retries, retries);
    observe(&metrics->wave_ns, NS_FIRST, ns);
}

void sm_metrics_observe(struct sm_metrics *metrics, enum sm_metrics_kind kind,
                        enum smelt_status status, const struct smelt_receipt *receipt)
{
    sm_metrics_add(&metrics->transactions[kind], 1);
    count_failure(metrics, status);
    if (receipt == NULL) {
        return;
    }
    sm_metrics_add(&metrics->outcomes[receipt->outcome.kind], 1);
    observe(&metrics->fuel, FUEL_FIRST, receipt->fuel_used);
    observe(&metrics->load_ns, NS_FIRST, receipt->load_ns);
    observe(&metrics->execute_ns, NS_FIRST, receipt->execute_ns);
    if (receipt->commit_ns != 0) {
        observe(&metrics->commit_ns, NS_FIRST, receipt->commit_ns);
    }
}

/* ---- printing -------------------------------------------------------------------------------- */

static uint64_t value_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

struct printer {
    struct smelt_buf *out;
    bool is_short_of_memory;
};

#define PRINT(printer, ...)                                                                        \
    ((printer)->is_short_of_memory =                                                               \
         (printer)->is_short_of_memory || !sm_buf_printf((printer)->out, __VA_ARGS__))

static void print_head(struct printer *printer, const char *name, const char *type,
                       const char *help)
{
    PRINT(printer, "# HELP smelt_%s %s\n# TYPE smelt_%s %s\n", name, help, name, type);
}

static void print_counter(struct printer *printer, const char *name, const char *help,
                          const atomic_uint_fast64_t *counter)
{
    print_head(printer, name, "counter", help);
    PRINT(printer, "smelt_%s %" PRIu64 "\n", name, value_of(counter));
}

/* `scale`: how many of the counted units are one of the printed. */
static void print_histogram(struct printer *printer, const char *name, const char *help,
                            const struct sm_histogram *histogram, uint64_t first, double scale)
{
    uint64_t count = 0;
    print_head(printer, name, "histogram", help);
    for (size_t i = 0; i < SM_HISTOGRAM_BUCKETS - 1; i++) {
        count += value_of(&histogram->buckets[i]);
        PRINT(printer, "smelt_%s_bucket{le=\"%.10g\"} %" PRIu64 "\n", name,
              (double)(first << (2 * i)) / scale, count);
    }
    count += value_of(&histogram->buckets[SM_HISTOGRAM_BUCKETS - 1]);
    PRINT(printer, "smelt_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    PRINT(printer, "smelt_%s_sum %.10g\n", name, (double)value_of(&histogram->sum) / scale);
    PRINT(printer, "smelt_%s_count %" PRIu64 "\n", name, count);
}

enum smelt_status sm_metrics_print(const struct sm_metrics *metrics,
                                   const struct sm_metrics_gauges *gauges, struct smelt_buf *out,
                                   struct smelt_error *err)
{
    static const char *const kinds[] = {[SM_METRICS_DEPLOY] = "deploy",
                                        [SM_METRICS_CALL] = "call",
                                        [SM_METRICS_STATIC_CALL] = "static_call"};
    static const char *const fates[] = {[SM_METRICS_DONE] = "done",
                                        [SM_METRICS_FAILED] = "failed",
                                        [SM_METRICS_REJECTED] = "rejected"};
    struct printer printer = {.out = out};
    out->size = 0;
    print_head(&printer, "transactions_total", "counter", "Transactions, also those that failed.");
    for (size_t i = 0; i < SM_METRICS_KINDS; i++) {
        PRINT(&printer, "smelt_transactions_total{kind=\"%s\"} %" PRIu64 "\n", kinds[i],
              value_of(&metrics->transactions[i]));
    }
    print_head(&printer, "outcomes_total", "counter", "Executed transactions by outcome.");
    for (size_t i = 0; i < SM_METRICS_OUTCOMES; i++) {
        PRINT(&printer, "smelt_outcomes_total{outcome=\"%s\"} %" PRIu64 "\n",
              smelt_outcome_name((enum smelt_outcome_kind)i), value_of(&metrics->outcomes[i]));
    }
    print_head(&printer, "failures_total", "counter", "Transactions without an outcome by status.");
    for (size_t i = 0; i < STATUS_COUNT; i++) {
        if (statuses[i].status != SMELT_STATUS_OK) {
            PRINT(&printer, "smelt_failures_total{status=\"%s\"} %" PRIu64 "\n", statuses[i].name,
                  value_of(&metrics->failures[i]));
        }
    }
    print_histogram(&printer, "fuel_used", "Fuel used per transaction.", &metrics->fuel, FUEL_FIRST,
                    1);
    print_histogram(&printer, "load_seconds", "Time to get the code, compiling included.",
                    &metrics->load_ns, NS_FIRST, NS_PER_SECOND);
    print_histogram(&printer, "execute_seconds", "Time in contracts and host functions.",
                    &metrics->execute_ns, NS_FIRST, NS_PER_SECOND);
    print_histogram(&printer, "commit_seconds", "Time to write a transaction's effects.",
                    &metrics->commit_ns, NS_FIRST, NS_PER_SECOND);
    print_head(&printer, "module_loads_total", "counter",
               "Modules asked for, by where they were found.");
    PRINT(&printer, "smelt_module_loads_total{from=\"resident\"} %" PRIu64 "\n",
          value_of(&metrics->resident_hits));
    PRINT(&printer, "smelt_module_loads_total{from=\"source\"} %" PRIu64 "\n",
          value_of(&metrics->source_loads));
    print_head(&printer, "resident_modules", "gauge", "Modules in the resident set.");
    PRINT(&printer, "smelt_resident_modules %zu\n", gauges->resident_modules);
    print_head(&printer, "instances", "gauge", "Instances in use.");
    PRINT(&printer, "smelt_instances %" PRIu32 "\n", gauges->pool.in_use);
    print_head(&printer, "instances_made_total", "counter",
               "Instances that could not be taken from those kept between calls.");
    PRINT(&printer, "smelt_instances_made_total %" PRIu64 "\n", gauges->pool.made);
    print_head(&printer, "idle_instance_bytes", "gauge", "Memory kept between calls.");
    PRINT(&printer, "smelt_idle_instance_bytes %" PRIu64 "\n", gauges->pool.idle_bytes);
    print_head(&printer, "store_reads_total", "counter", "Reads that went to the store.");
    PRINT(&printer, "smelt_store_reads_total %" PRIu64 "\n",
          value_of(&metrics->store_reads) + gauges->tip.misses);
    print_head(&printer, "store_read_seconds_total", "counter", "Time in these reads.");
    PRINT(&printer, "smelt_store_read_seconds_total %.10g\n",
          (double)(value_of(&metrics->store_read_ns) + gauges->tip.read_ns) / NS_PER_SECOND);
    print_head(&printer, "state_hits_total", "counter",
               "Reads that were answered by the state in memory.");
    PRINT(&printer, "smelt_state_hits_total %" PRIu64 "\n", gauges->tip.hits);
    print_head(&printer, "state_bytes", "gauge", "Memory of the state in memory.");
    PRINT(&printer, "smelt_state_bytes %" PRIu64 "\n", gauges->tip.bytes);
    print_counter(&printer, "waves_total", "Waves that were executed.", &metrics->waves);
    print_head(&printer, "wave_transactions_total", "counter", "Transactions of these waves.");
    for (size_t i = 0; i < SM_METRICS_FATES; i++) {
        PRINT(&printer, "smelt_wave_transactions_total{end=\"%s\"} %" PRIu64 "\n", fates[i],
              value_of(&metrics->wave_transactions[i]));
    }
    print_counter(&printer, "wave_retries_total",
                  "Transactions that were executed again, after they had read too early.",
                  &metrics->wave_retries);
    print_histogram(&printer, "wave_seconds", "Time of a wave, from its turn to its end.",
                    &metrics->wave_ns, NS_FIRST, NS_PER_SECOND);
    return printer.is_short_of_memory ? sm_error_no_memory(err, "metrics") : SMELT_STATUS_OK;
}
