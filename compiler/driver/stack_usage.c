/* Line by line; the text is a tool's, and is believed in one form only. */
#include "compiler/driver/stack_usage.h"

#include "base/bytes.h"
#include "base/status.h"

#include <string.h>

#define WHERE "stack usage"

/* Frames larger than the address space are nonsense, and would overflow what is computed with
 * them. */
#define FRAME_BYTES_MAX (UINT64_C(1) << 40)

struct line {
    char name[SM_STACK_USAGE_NAME_BYTES];
    uint64_t bytes;
};

/* What stands before the first `mark`, which is stepped over. */
static bool take(struct smelt_slice *at, char mark, struct smelt_slice *out)
{
    const uint8_t *end =
        at->size != 0 ? (const uint8_t *)memchr(at->data, mark, at->size) : (const uint8_t *)NULL;
    if (end == NULL) {
        return false;
    }
    *out = sm_slice(at->data, (size_t)(end - at->data));
    *at = sm_slice(end + 1, at->size - out->size - 1);
    return true;
}

static bool read_number(struct smelt_slice text, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || *out > FRAME_BYTES_MAX / 10) {
            return false;
        }
        *out = *out * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.size != 0;
}

static bool read_line(struct smelt_slice text, struct line *out)
{
    struct smelt_slice file;
    struct smelt_slice row;
    struct smelt_slice column;
    struct smelt_slice name;
    struct smelt_slice bytes;
    uint64_t number;
    if (!take(&text, ':', &file) || file.size == 0 || !take(&text, ':', &row) ||
        !read_number(row, &number) || !take(&text, ':', &column) || !read_number(column, &number) ||
        !take(&text, '\t', &name) || name.size == 0 || name.size >= sizeof(out->name) ||
        memchr(name.data, '\0', name.size) != NULL || !take(&text, '\t', &bytes) ||
        !read_number(bytes, &out->bytes) || !sm_slice_equal_text(text, "static")) {
        return false;
    }
    memcpy(out->name, name.data, name.size);
    out->name[name.size] = '\0';
    return true;
}

enum smelt_status sm_stack_usage_read(struct smelt_slice text, sm_frame_fn visit, void *context,
                                      struct smelt_error *err)
{
    for (unsigned number = 1; text.size != 0; number++) {
        struct smelt_slice line_text;
        struct line line;
        if (!take(&text, '\n', &line_text) || !read_line(line_text, &line)) {
            return sm_error_set(err, SMELT_STATUS_TOOL_OUTPUT, WHERE,
                                "line %u of what gcc says about stack frames is not a function "
                                "with a static frame",
                                number);
        }
        visit(context, line.name, line.bytes);
    }
    return SMELT_STATUS_OK;
}
