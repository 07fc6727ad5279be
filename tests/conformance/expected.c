/* See expected.h. */
#include "tests/conformance/expected.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_SIZE_MAX ((size_t)1 << 20)

/* What stands before `mark`, if it fits; moves behind the mark. */
static bool take(const char **at, const char *mark, char *out, size_t out_size)
{
    const char *found = strstr(*at, mark);
    size_t size = found != NULL ? (size_t)(found - *at) : out_size;
    if (size == 0 || size >= out_size) {
        return false;
    }
    memcpy(out, *at, size);
    out[size] = '\0';
    *at = found + strlen(mark);
    return true;
}

static bool parse_row(const char *text, struct expected_failure *out)
{
    char line[12];
    char kind[16];
    char *end = NULL;
    *out = (struct expected_failure){0};
    if (!take(&text, ".wast:", out->file, sizeof(out->file)) ||
        !take(&text, " ", line, sizeof(line)) || !take(&text, " ", kind, sizeof(kind)) ||
        *text == '\0') {
        return false;
    }
    long number = strtol(line, &end, 10);
    out->line = (int)number;
    out->is_intended = strcmp(kind, "intended") == 0;
    return *end == '\0' && number > 0 && number <= INT_MAX &&
           (out->is_intended || strcmp(kind, "gap") == 0);
}

static bool add_row(struct expected_failures *out, const struct expected_failure *row)
{
    if (expected_failures_find(out, row->file, row->line) != out->count) {
        return false;
    }
    struct expected_failure *rows =
        (struct expected_failure *)realloc(out->rows, (out->count + 1) * sizeof(*rows));
    if (rows == NULL) {
        return false;
    }
    out->rows = rows;
    out->rows[out->count++] = *row;
    return true;
}

bool expected_failures_read(const char *path, struct expected_failures *out)
{
    struct smelt_buf text = {0};
    struct smelt_error err = {0};
    bool is_good = true;
    if (sm_fs_read_file(path, FILE_SIZE_MAX, &text, &err) != SMELT_STATUS_OK ||
        !sm_buf_append_u8(&text, '\0')) {
        printf("FAIL expected failures: %s\n", err.message);
        smelt_buf_deinit(&text);
        return false;
    }
    unsigned number = 1;
    for (char *line = (char *)text.data; line != NULL; number++) {
        struct expected_failure row;
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end++ = '\0';
        }
        if (*line != '\0' && *line != '#' && !(parse_row(line, &row) && add_row(out, &row))) {
            printf("FAIL %s:%u: expected `<file>.wast:<line> gap|intended <reason>`, once: %s\n",
                   path, number, line);
            is_good = false;
        }
        line = end;
    }
    smelt_buf_deinit(&text);
    return is_good;
}

void expected_failures_deinit(struct expected_failures *expected)
{
    free(expected->rows);
    *expected = (struct expected_failures){0};
}

size_t expected_failures_find(const struct expected_failures *expected, const char *file, int line)
{
    size_t i = 0;
    while (i < expected->count &&
           (expected->rows[i].line != line || strcmp(expected->rows[i].file, file) != 0)) {
        i++;
    }
    return i;
}
