/* Text output of the lowering pass. */
#include "compiler/lower/writer.h"

#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

void sm_lower_put(struct sm_lower_writer *writer, const char *format, ...)
{
    char text[512]; /* the longest format is a line of fixed text with a few names */
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof(text) ||
        !sm_buf_append(writer->out, text, (size_t)size)) {
        writer->is_short_of_memory = true;
    }
}

void sm_lower_put_slice(struct sm_lower_writer *writer, struct smelt_slice text)
{
    if (!sm_buf_append(writer->out, text.data, text.size)) {
        writer->is_short_of_memory = true;
    }
}

static bool is_harmless(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-' || c == ' ' || c == ':' || c == '$';
}

void sm_lower_put_escaped(struct sm_lower_writer *writer, struct smelt_slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t byte = bytes.data[i];
        /* three octal digits end the escape, whatever follows */
        const uint8_t octal[4] = {'\\', (uint8_t)('0' + byte / 64), (uint8_t)('0' + byte / 8 % 8),
                                  (uint8_t)('0' + byte % 8)};
        sm_lower_put_slice(writer,
                           is_harmless(byte) ? sm_slice(&byte, 1) : sm_slice(octal, sizeof(octal)));
    }
}

void sm_lower_put_comment_name(struct sm_lower_writer *writer, struct smelt_slice name)
{
    for (size_t i = 0; i < name.size; i++) {
        sm_lower_put(writer, is_harmless(name.data[i]) ? "%c" : "<%02x>", name.data[i]);
    }
}

const char *sm_lower_type(uint8_t valtype)
{
    return valtype == SMELT_VALTYPE_I32   ? "u32"
           : valtype == SMELT_VALTYPE_I64 ? "u64"
           : valtype == SMELT_VALTYPE_F32 ? "f32"
                                          : "f64";
}

char sm_lower_letter(uint8_t valtype)
{
    return (char)(valtype == SMELT_VALTYPE_I32   ? 'i'
                  : valtype == SMELT_VALTYPE_I64 ? 'j'
                  : valtype == SMELT_VALTYPE_F32 ? 'f'
                                                 : 'd');
}

void sm_lower_put_result_type(struct sm_lower_writer *writer, const struct sm_wasm_type *type)
{
    if (type->result_count == 0) {
        sm_lower_put(writer, "void");
    } else if (type->result_count == 1) {
        sm_lower_put(writer, "%s", sm_lower_type(type->results[0]));
    } else {
        sm_lower_put(writer, "struct multi_");
        for (uint32_t i = 0; i < type->result_count; i++) {
            sm_lower_put(writer, "%c", sm_lower_letter(type->results[i]));
        }
    }
}

void sm_lower_put_linkage(struct sm_lower_writer *writer)
{
    sm_lower_put(writer, writer->is_split ? "SHARED " : "static ");
}

static void put_params(struct sm_lower_writer *writer, const struct sm_wasm_type *type)
{
    for (uint32_t i = 0; i < type->param_count; i++) {
        sm_lower_put(writer, ", %s p%u", sm_lower_type(type->params[i]), i);
    }
    sm_lower_put(writer, ")");
}

void sm_lower_put_prototype(struct sm_lower_writer *writer, const struct sm_wasm_module *module,
                            uint32_t func_index)
{
    const struct sm_wasm_type *type = sm_wasm_func_type(module, func_index);
    sm_lower_put_linkage(writer);
    sm_lower_put_result_type(writer, type);
    sm_lower_put(writer, " func_%u(struct module *m", func_index);
    put_params(writer, type);
}

void sm_lower_put_import_prototype(struct sm_lower_writer *writer,
                                   const struct sm_wasm_module *module, uint32_t func_index)
{
    const struct sm_wasm_type *type = sm_wasm_func_type(module, func_index);
    sm_lower_put_linkage(writer);
    sm_lower_put_result_type(writer, type);
    sm_lower_put(writer, " import_%u(struct module *m, u32 at", func_index);
    put_params(writer, type);
}
