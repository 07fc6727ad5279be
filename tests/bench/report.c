#include "tests/bench/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LINE_BYTES 256

static bool is_json;
static const struct bench_column *columns; /* of the table that is being printed */
static size_t column_count;
static size_t table_count;
static size_t row_count;

/* ---- the machine --------------------------------------------------------------------------- */

/* The value of the first line of /proc/cpuinfo that starts with `name`. */
static void read_cpuinfo(const char *name, char out[LINE_BYTES])
{
    char line[LINE_BYTES];
    FILE *file = fopen("/proc/cpuinfo", "r");
    (void)snprintf(out, LINE_BYTES, "unknown");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *value = strchr(line, ':');
        if (strncmp(line, name, strlen(name)) == 0 && value != NULL && value[1] != '\0') {
            (void)snprintf(out, LINE_BYTES, "%s", value + 2);
            out[strcspn(out, "\n\"\\")] = '\0';
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

void bench_report_machine(void)
{
    char processor[LINE_BYTES];
    struct utsname system = {0};
    double load = 0;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    read_cpuinfo("model name", processor);
    (void)uname(&system);
    (void)getloadavg(&load, 1);
    if (is_json) {
        (void)printf("%s\"%s\":{\"processor\":\"%s\",\"processors\":%ld,\"system\":\"%s %s\","
                     "\"load\":%.2f}",
                     table_count != 0 ? "]," : "", table_count != 0 ? "machine_after" : "machine",
                     processor, processors, system.sysname, system.release, load);
        table_count = 0;
    } else {
        (void)printf("\n%ld × %s, %s %s, load %.2f\n", processors, processor, system.sysname,
                     system.release, load);
    }
    (void)fflush(stdout);
}

/* ---- tables -------------------------------------------------------------------------------- */

void bench_report_open(bool wants_json)
{
    is_json = wants_json;
    if (is_json) {
        (void)printf("{");
    }
}

void bench_report_table(const char *key, const char *title, const struct bench_column *all,
                        size_t count)
{
    columns = all;
    column_count = count;
    if (is_json) {
        (void)printf("%s,\"%s\":[", table_count != 0 ? "]" : "", key);
    } else {
        (void)printf("\n%s\n\n|", title);
        for (size_t i = 0; i < count; i++) {
            if (all[i].heading != NULL) {
                (void)printf(" %s |", all[i].heading);
            }
        }
        (void)printf("\n|");
        for (size_t i = 0; i < count; i++) {
            if (all[i].heading != NULL) {
                (void)printf("---|");
            }
        }
        (void)printf("\n");
    }
    table_count++;
    row_count = 0;
}

static void print_json_cell(const struct bench_column *column, const struct bench_cell *cell)
{
    if (cell->text != NULL) {
        (void)printf("\"%s\":\"%s\"", column->key, cell->text);
    } else {
        (void)printf("\"%s\":%.6g", column->key, cell->number);
    }
}

static void print_cell(const struct bench_column *column, const struct bench_cell *cell)
{
    if (cell->text != NULL) {
        (void)printf(" %s |", cell->text);
    } else {
        (void)printf(" %.*f |", column->decimals, cell->number);
    }
}

void bench_report_row(const struct bench_cell *cells)
{
    (void)printf("%s", is_json ? row_count != 0 ? ",{" : "{" : "|");
    for (size_t i = 0; i < column_count; i++) {
        if (is_json) {
            (void)printf("%s", i != 0 ? "," : "");
            print_json_cell(&columns[i], &cells[i]);
        } else if (columns[i].heading != NULL) {
            print_cell(&columns[i], &cells[i]);
        }
    }
    (void)printf("%s", is_json ? "}" : "\n");
    (void)fflush(stdout);
    row_count++;
}

void bench_report_close(void)
{
    if (is_json) {
        (void)printf("}\n");
    }
}

/* ---- spread -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double *left = (const double *)a;
    const double *right = (const double *)b;
    return (*left > *right) - (*left < *right);
}

struct bench_spread bench_spread_of(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), by_value);
    return (struct bench_spread){
        .median = values[count / 2], .min = values[0], .max = values[count - 1]};
}
