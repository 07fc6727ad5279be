/* See fuzz.h. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

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

/* The starts of the tokens of text[at, end), and `end`, behind the first `count` of `starts`.
 * Returns how many tokens there are then. */
static size_t find_tokens(struct smelt_slice text, size_t at, size_t end, size_t *starts,
                          size_t count)
{
    while (at < end) {
        starts[count++] = at;
        at += token_size(sm_slice(text.data, end), at);
    }
    starts[count] = end;
    return count;
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

/* Tokens [first, end) give way to `replacement`. A long list of edits of a long text is read in a
 * time that a fuzzer has, because only what touches the seams is read again: a token can grow
 * together with its neighbour, but not with the next but one. */
static void splice(struct smelt_buf *text, struct tokens *tokens, size_t first, size_t end,
                   struct smelt_slice replacement)
{
    struct smelt_buf result = {0};
    size_t at = tokens->starts[first];
    size_t rest = tokens->starts[end];
    size_t left = first != 0 ? first - 1 : 0;
    size_t right = end != tokens->count ? end + 1 : end;
    size_t old_end = tokens->starts[right];
    bool is_done = sm_buf_append(&result, text->data, at) &&
                   sm_buf_append(&result, replacement.data, replacement.size) &&
                   sm_buf_append(&result, text->data + rest, text->size - rest);
    FUZZ_CHECK(is_done, "no memory");
    size_t shift = result.size - text->size; /* modulo 2^64 */
    size_t bytes = old_end + shift - tokens->starts[left];
    size_t *starts = (size_t *)calloc(tokens->count + bytes + 2, sizeof(*starts));
    FUZZ_CHECK(starts != NULL, "no memory");
    memcpy(starts, tokens->starts, left * sizeof(*starts));
    size_t count =
        find_tokens(sm_buf_slice(&result), tokens->starts[left], old_end + shift, starts, left);
    for (size_t i = right; i < tokens->count; i++) {
        starts[count++] = tokens->starts[i] + shift;
    }
    starts[count] = result.size;
    free(tokens->starts);
    *tokens = (struct tokens){starts, count};
    smelt_buf_deinit(text);
    *text = result;
}

static void edit_once(struct smelt_buf *text, struct tokens *tokens, struct smelt_slice *edits)
{
    size_t kind = take(edits, 1) % 4;
    size_t token = take(edits, 2) % (tokens->count + 1);
    size_t count = take(edits, 1);
    size_t end = token;
    struct smelt_slice replacement = {0};
    struct smelt_buf copy = {0};
    if (kind == 0) {
        size_t left = tokens->count - token;
        end = token + (count < left ? count : left);
    } else if (kind == 3) {
        size_t source = take(edits, 2) % (tokens->count + 1);
        size_t source_end = tokens->starts[source + (source != tokens->count)];
        FUZZ_CHECK(sm_buf_assign(&copy, sm_slice(text->data + tokens->starts[source],
                                                 source_end - tokens->starts[source])),
                   "no memory");
        replacement = sm_buf_slice(&copy);
    } else {
        replacement = sm_slice(edits->data, count < edits->size ? count : edits->size);
        edits->data += replacement.size;
        edits->size -= replacement.size;
        end = token + (kind == 2 && token != tokens->count);
    }
    splice(text, tokens, token, end, replacement);
    smelt_buf_deinit(&copy);
}

void fuzz_edit(struct smelt_slice text, struct smelt_slice edits, struct smelt_buf *out)
{
    struct tokens tokens = {.starts = (size_t *)calloc(text.size + 1, sizeof(*tokens.starts))};
    FUZZ_CHECK(tokens.starts != NULL && sm_buf_assign(out, text), "no memory");
    tokens.count = find_tokens(text, 0, text.size, tokens.starts, 0);
    /* a token that is repeated beside itself doubles */
    size_t size_max = 2 * text.size + 4096;
    while (edits.size >= 4 && out->size != 0 && out->size <= size_max) {
        edit_once(out, &tokens, &edits);
    }
    free(tokens.starts);
}
