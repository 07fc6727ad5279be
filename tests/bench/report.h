/* Tables of figures, in Markdown or as one JSON object:
 *
 *     bench_report_open(is_json);
 *     bench_report_machine();
 *     bench_report_table("views", "View calls", columns, count);
 *     bench_report_row(cells);
 *     bench_report_close();
 *
 * Printed as they come: who waits sees where it is. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>

struct bench_column {
    const char *key;     /* in JSON */
    const char *heading; /* in Markdown; NULL: not there */
    int decimals;        /* of numbers in Markdown */
};

/* A text, or a number when `text` is NULL. */
struct bench_cell {
    const char *text;
    double number;
};

void bench_report_open(bool is_json);
/* Processor, kernel, and how busy the machine is now; again at the end. */
void bench_report_machine(void);
/* `columns` is borrowed until the next table. */
void bench_report_table(const char *key, const char *title, const struct bench_column *columns,
                        size_t count);
void bench_report_row(const struct bench_cell *cells);
void bench_report_close(void);

/* The median, smallest and largest of `count` values, which are sorted. */
struct bench_spread {
    double median;
    double min;
    double max;
};
struct bench_spread bench_spread_of(double *values, size_t count);

#endif
