/* See fuzz.h. */
#include "tests/fuzz/fuzz.h"

static bool is_word(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n';
}

static size_t token_size(struct smelt_slice text, size_t at)
{
    size_t end = at;
    bool (*is_member)(uint8_t) = is_word(text.data[at]) ? is_word : is_blank;
    while (end < text.size && is_member(text.data[end])) {
        end++;
    }
    return end != at ? end - at : 1;
}

/* Where the tokens of a text begin, and its end. */
struct tokens {
    size_t *starts;
    size_t count;
};

static struct tokens find_tokens(struct smelt_slice text)
{
    struct tokens tokens = {.starts = (size_t *)calloc(text.size + 1, sizeof(*tokens.starts))};
    FUZZ_CHECK(tokens.starts != NULL, "no memory");
    for (size_t at = 0; at < text.size; at += token_size(text, at)) {
        tokens.starts[tokens.count++] = at;
    }
    tokens.starts[tokens.count] = text.size;
    return tokens;
}

static size_t take(struct smelt_slice *edits, size_t size)
{
    size_t value = 0;
    for (size_t i = 0; i < size && edits->size != 0; i++) {
        value |= (size_t)*edits->data++ << (8 * i);
        edits->size--;
    }
    return value;
}

/* `size` bytes at `at` give way to `replacement`. */
static void splice(struct smelt_buf *text, size_t at, size_t size, struct smelt_slice replacement)
{
    struct smelt_buf result = {0};
    bool is_done = sm_buf_append(&result, text->data, at) &&
                   sm_buf_append(&result, replacement.data, replacement.size) &&
                   sm_buf_append(&result, text->data + at + size, text->size - at - size);
    FUZZ_CHECK(is_done, "no memory");
    smelt_buf_deinit(text);
    *text = result;
}

static void edit_once(struct smelt_buf *text, struct smelt_slice *edits)
{
    struct tokens tokens = find_tokens(sm_buf_slice(text));
    size_t kind = take(edits, 1) % 4;
    size_t token = take(edits, 2) % (tokens.count + 1);
    size_t count = take(edits, 1);
    size_t at = tokens.starts[token];
    size_t size = 0;
    struct smelt_slice replacement = {0};
    struct smelt_buf copy = {0};
    if (kind == 0) {
        size_t left = tokens.count - token;
        size = tokens.starts[token + (count < left ? count : left)] - at;
    } else if (kind == 3) {
        size_t source = take(edits, 2) % (tokens.count + 1);
        size_t end = tokens.starts[source + (source != tokens.count)];
        FUZZ_CHECK(sm_buf_assign(&copy, sm_slice(text->data + tokens.starts[source],
                                                 end - tokens.starts[source])),
                   "no memory");
        replacement = sm_buf_slice(&copy);
    } else {
        replacement = sm_slice(edits->data, count < edits->size ? count : edits->size);
        edits->data += replacement.size;
        edits->size -= replacement.size;
        size = kind == 2 ? tokens.starts[token + (token != tokens.count)] - at : 0;
    }
    splice(text, at, size, replacement);
    smelt_buf_deinit(&copy);
    free(tokens.starts);
}

void fuzz_edit(struct smelt_slice text, struct smelt_slice edits, struct smelt_buf *out)
{
    FUZZ_CHECK(sm_buf_assign(out, text), "no memory");
    while (edits.size >= 4 && out->size != 0) {
        edit_once(out, &edits);
    }
}
