/* Our decoder and validator against wabt's: a module that one accepts and the other does not is a
 * finding, unless it is one of the differences below. */
#include "base/arena.h"
#include "compiler/wasm/module.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/peer.h"
#include "tests/support/wasm_layout.h"

#include <string.h>

/* A known difference: the section in which we refuse (NULL: any), the beginning of our message, and
 * what else must be so. */
struct difference {
    const char *where;
    const char *message;
    bool (*applies)(struct smelt_slice wasm, const struct smelt_error *err); /* NULL: always */
};

/* A `select` with its type before the error, in the same function. */
static bool follows_typed_select(struct smelt_slice wasm, const struct smelt_error *err)
{
    struct smelt_slice body;
    struct sm_wasm_instr instr;
    if (!wasm_find_body(wasm, (uint32_t)err->func_index, &body) || !wasm_take_locals(&body)) {
        return false;
    }
    struct sm_wasm_cursor cursor = {.at = body.data,
                                    .end = body.data + body.size,
                                    .module_start = wasm.data,
                                    .section = "code",
                                    .func_index = err->func_index};
    while (cursor.at != cursor.end &&
           sm_wasm_read_instr(&cursor, &instr, NULL) == SMELT_STATUS_OK &&
           instr.offset < err->offset) {
        if (instr.op == SM_OP_SELECT_T) {
            return true;
        }
    }
    return false;
}

/* A type whose byte goes on in the next one. */
static bool is_long_type(struct smelt_slice wasm, const struct smelt_error *err)
{
    size_t offset = (size_t)err->offset;
    return offset < wasm.size && wasm.data[offset] >= 0x80;
}

/* What wabt 1.0.32 accepts although the specification forbids it. */
static const struct difference accepted_by_wabt[] = {
    /* it is not shown custom sections, since it overruns them (peer.h) */
    {"custom", "", NULL},
    /* a body may end when its last byte is an `end`, whatever is open */
    {"code", "unexpected end of section or function: end opcode is missing", NULL},
    /* `select t` gives back a value of any type */
    {"code", "type mismatch: ", follows_typed_select},
    /* `select t*` may have no type at all (fixed in wabt 9dfd98d1) */
    {"code", "invalid result arity: select takes exactly one type", NULL},
    /* types are numbers, which may be longer than they need to be; the specification has bytes */
    {NULL, "malformed type", is_long_type},
    /* a constant expression needs no `end` where its section ends */
    {"global", "unexpected end of section or function: end opcode is missing", NULL},
    /* bits of a form that mean nothing are ignored */
    {"data", "malformed data segment form", NULL},
    /* the data count is compared when there is a data section only */
    {"data", "data count and data section have inconsistent lengths", NULL},
    /* an empty offset is one of any type */
    {"data", "type mismatch: a constant expression leaves one value, this one 0", NULL},
    {"element", "type mismatch: a constant expression leaves one value, this one 0", NULL},
};

static bool is_known(struct smelt_slice wasm, const struct smelt_error *err)
{
    for (size_t i = 0; i < sizeof(accepted_by_wabt) / sizeof(accepted_by_wabt[0]); i++) {
        const struct difference *known = &accepted_by_wabt[i];
        if ((known->where == NULL || strcmp(err->where, known->where) == 0) &&
            strncmp(err->message, known->message, strlen(known->message)) == 0 &&
            (known->applies == NULL || known->applies(wasm, err))) {
            return true;
        }
    }
    return false;
}

static void compare(struct smelt_slice wasm, enum smelt_status status,
                    const struct smelt_error *err)
{
    char why[200];
    switch ((unsigned)status) {
    case SMELT_STATUS_OK:
        FUZZ_CHECK(fuzz_ask_wabt(wasm, why, sizeof(why)) == FUZZ_ACCEPTED,
                   "accepted by us, refused by wabt: %s", why);
        break;
    case SMELT_STATUS_MODULE_MALFORMED:
    case SMELT_STATUS_MODULE_INVALID:
        FUZZ_CHECK(is_known(wasm, err) || fuzz_ask_wabt(wasm, why, sizeof(why)) != FUZZ_ACCEPTED,
                   "refused by us, accepted by wabt: %s in %s at %lld", err->message, err->where,
                   (long long)err->offset);
        break;
    case SMELT_STATUS_MODULE_FEATURE: /* the subset is smaller than wabt's features can say */
    case SMELT_STATUS_MODULE_LIMIT:   /* wabt has none */
        break;
    default:
        FUZZ_CHECK(false, "status %s: %s", smelt_status_name(status), err->message);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smelt_slice wasm = sm_slice(data, size);
    struct sm_arena arena = {0};
    struct sm_wasm_module module;
    struct smelt_error err = {0};
    enum smelt_status status = sm_wasm_decode(wasm, &arena, &module, &err);
    if (status == SMELT_STATUS_OK) {
        status = sm_wasm_validate(&module, &arena, &err);
    }
    FUZZ_CHECK(status == SMELT_STATUS_OK || (err.status == status && err.where[0] != '\0' &&
                                             err.offset >= 0 && (uint64_t)err.offset <= size),
               "%s: %s in \"%s\" at %lld", smelt_status_name(status), err.message, err.where,
               (long long)err.offset);
    compare(wasm, status, &err);
    sm_arena_deinit(&arena);
    return 0;
}
