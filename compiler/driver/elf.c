/* libelf over a buffer. Every offset that is followed comes from libelf's checked views. */
#include "compiler/driver/elf.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/status.h"

#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

#define WHERE        "elf"
#define RETURN_BYTES 8u /* the return address that a call pushes */

static enum smelt_status refuse(struct smelt_error *err, const char *what)
{
    return sm_error_set(err, SMELT_STATUS_TOOL_OUTPUT, WHERE, "the compiled object %s", what);
}

/* libelf wants a writable image and may change it: it gets a copy. */
static enum smelt_status open_image(struct smelt_slice image, struct smelt_buf *copy, Elf **out,
                                    struct smelt_error *err)
{
    if (elf_version(EV_CURRENT) == EV_NONE) {
        return sm_error_set(err, SMELT_STATUS_INTERNAL, WHERE, "libelf is too old");
    }
    if (!sm_buf_assign(copy, image)) {
        return sm_error_no_memory(err, WHERE);
    }
    *out = elf_memory((char *)copy->data, copy->size);
    if (*out == NULL || elf_kind(*out) != ELF_K_ELF || gelf_getclass(*out) != ELFCLASS64) {
        return refuse(err, "is not a 64-bit ELF file");
    }
    return SMELT_STATUS_OK;
}

/* ---- frames ---------------------------------------------------------------------------------- */

struct function {
    size_t section; /* index */
    uint64_t value; /* offset in it */
    const char *name;
};

struct object {
    Elf *elf;
    Elf_Data *symbols;
    struct function *functions; /* by section and value */
    size_t function_count;
};

static int compare_functions(const void *a, const void *b)
{
    const struct function *left = (const struct function *)a;
    const struct function *right = (const struct function *)b;
    if (left->section != right->section) {
        return left->section < right->section ? -1 : 1;
    }
    return left->value < right->value ? -1 : left->value > right->value;
}

static enum smelt_status list_functions(struct object *object, const GElf_Shdr *header,
                                        struct smelt_error *err)
{
    size_t count = (size_t)(header->sh_size / header->sh_entsize);
    object->functions =
        (struct function *)sm_realloc_array(NULL, count, sizeof(*object->functions));
    if (object->functions == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    for (size_t i = 0; i < count; i++) {
        GElf_Sym symbol;
        if (gelf_getsym(object->symbols, (int)i, &symbol) != NULL &&
            GELF_ST_TYPE(symbol.st_info) == STT_FUNC) {
            object->functions[object->function_count++] =
                (struct function){symbol.st_shndx, symbol.st_value,
                                  elf_strptr(object->elf, header->sh_link, symbol.st_name)};
        }
    }
    qsort(object->functions, object->function_count, sizeof(*object->functions), compare_functions);
    return SMELT_STATUS_OK;
}

static enum smelt_status find_symbols(struct object *object, struct smelt_error *err)
{
    for (Elf_Scn *section = elf_nextscn(object->elf, NULL); section != NULL;
         section = elf_nextscn(object->elf, section)) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) != NULL && header.sh_type == SHT_SYMTAB &&
            header.sh_entsize != 0) {
            object->symbols = elf_getdata(section, NULL);
            return object->symbols != NULL ? list_functions(object, &header, err)
                                           : refuse(err, "has unreadable symbols");
        }
    }
    return refuse(err, "has no symbols");
}

/* Name of the function at `value` in section `section_index`, NULL when none starts there. */
static const char *function_at(const struct object *object, size_t section_index, uint64_t value)
{
    const struct function wanted = {section_index, value, NULL};
    const struct function *found =
        object->function_count != 0
            ? (const struct function *)bsearch(&wanted, object->functions, object->function_count,
                                               sizeof(wanted), compare_functions)
            : NULL;
    return found != NULL ? found->name : NULL;
}

static bool read_uleb(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; *at < end && shift < 63; shift += 7) {
        uint8_t byte = *(*at)++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

/* A record is an address, filled in by the relocation at its place, and the frame size as ULEB128.
 */
static enum smelt_status read_section(const struct object *object, Elf_Data *sizes,
                                      Elf_Data *relocations, size_t relocation_count,
                                      sm_frame_fn visit, void *context, struct smelt_error *err)
{
    const uint8_t *start = (const uint8_t *)sizes->d_buf;
    const uint8_t *end = start + sizes->d_size;
    const uint8_t *at = start;
    for (size_t i = 0; at < end; i++) {
        GElf_Rela relocation;
        GElf_Sym symbol;
        uint64_t bytes;
        if (i >= relocation_count || end - at < 9 ||
            gelf_getrela(relocations, (int)i, &relocation) == NULL ||
            relocation.r_offset != (uint64_t)(at - start) ||
            gelf_getsym(object->symbols, (int)GELF_R_SYM(relocation.r_info), &symbol) == NULL) {
            return refuse(err, "has a .stack_sizes section that cannot be read");
        }
        at += 8;
        const char *name =
            function_at(object, symbol.st_shndx, symbol.st_value + (uint64_t)relocation.r_addend);
        if (!read_uleb(&at, end, &bytes) || name == NULL) {
            return refuse(err, "has a .stack_sizes section that cannot be read");
        }
        visit(context, name, bytes + RETURN_BYTES);
    }
    return SMELT_STATUS_OK;
}

enum smelt_status sm_elf_read_frames(struct smelt_slice object_bytes, sm_frame_fn visit,
                                     void *context, struct smelt_error *err)
{
    struct smelt_buf copy = {0};
    struct object object = {0};
    size_t section_names = 0;
    size_t found = 0;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(open_image(object_bytes, &copy, &object.elf, err));
    SMELT_TRY(find_symbols(&object, err));
    if (elf_getshdrstrndx(object.elf, &section_names) != 0) {
        status = refuse(err, "has no section names");
        goto cleanup;
    }
    /* each .rela.stack_sizes points at its .stack_sizes */
    for (Elf_Scn *section = elf_nextscn(object.elf, NULL); section != NULL;
         section = elf_nextscn(object.elf, section)) {
        GElf_Shdr header;
        if (gelf_getshdr(section, &header) == NULL) {
            continue;
        }
        const char *name = elf_strptr(object.elf, section_names, header.sh_name);
        if (header.sh_type != SHT_RELA || name == NULL || strcmp(name, ".rela.stack_sizes") != 0 ||
            header.sh_entsize == 0) {
            continue;
        }
        Elf_Scn *target = elf_getscn(object.elf, header.sh_info);
        Elf_Data *sizes = target != NULL ? elf_getdata(target, NULL) : NULL;
        Elf_Data *relocations = elf_getdata(section, NULL);
        if (sizes == NULL || sizes->d_buf == NULL || relocations == NULL) {
            status = refuse(err, "has an unreadable section");
            goto cleanup;
        }
        SMELT_TRY(read_section(&object, sizes, relocations,
                               (size_t)(header.sh_size / header.sh_entsize), visit, context, err));
        found++;
    }
    /* clang writes the section when it emits a function */
    if (found == 0 && object.function_count != 0) {
        status = refuse(err, "has no .stack_sizes section");
    }
cleanup:
    sm_free(object.functions);
    (void)elf_end(object.elf);
    smelt_buf_deinit(&copy);
    return status;
}

/* ---- audit ----------------------------------------------------------------------------------- */

/* The dynamic linker goes by PT_DYNAMIC and addresses, symbol tables are read here by section: the
 * audit therefore also demands that both mean the same bytes. */
struct audit {
    Elf *elf;
    const char *exported;
    struct smelt_error *err;
    GElf_Phdr dynamic;   /* PT_DYNAMIC */
    GElf_Addr symbols;   /* DT_SYMTAB */
    GElf_Addr strings;   /* DT_STRTAB */
    GElf_Addr relocated; /* DT_RELA */
    GElf_Xword relocated_size;
    bool has_other_relocations; /* DT_REL, DT_RELR, DT_JMPREL */
    size_t symbol_tables;       /* seen at `symbols` */
    size_t relocation_tables;
};

static enum smelt_status audit_segments(struct audit *audit)
{
    size_t count = 0;
    size_t dynamics = 0;
    if (elf_getphdrnum(audit->elf, &count) != 0) {
        return refuse(audit->err, "has no program headers");
    }
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(audit->elf, (int)i, &segment) == NULL) {
            return refuse(audit->err, "has unreadable program headers");
        }
        bool is_writable = (segment.p_flags & PF_W) != 0;
        bool is_executable = (segment.p_flags & PF_X) != 0;
        if (segment.p_type == PT_INTERP) {
            return refuse(audit->err, "names an interpreter");
        }
        if (segment.p_type == PT_TLS) {
            return refuse(audit->err, "has thread-local storage");
        }
        if ((segment.p_type == PT_LOAD && is_writable && is_executable) ||
            (segment.p_type == PT_GNU_STACK && is_executable)) {
            return refuse(audit->err, "has a segment that is writable and executable");
        }
        if (segment.p_type == PT_DYNAMIC) {
            audit->dynamic = segment;
            dynamics++;
        }
    }
    return dynamics == 1 ? SMELT_STATUS_OK : refuse(audit->err, "has no dynamic section");
}

static enum smelt_status audit_dynamic(struct audit *audit)
{
    static const struct {
        GElf_Sxword tag;
        const char *what;
    } forbidden[] = {{DT_NEEDED, "needs another library"},
                     {DT_INIT, "has an initialiser"},
                     {DT_INIT_ARRAY, "has an initialiser array"},
                     {DT_PREINIT_ARRAY, "has an initialiser array"},
                     {DT_FINI, "has a finaliser"},
                     {DT_FINI_ARRAY, "has a finaliser array"},
                     {DT_TEXTREL, "has text relocations"},
                     {DT_RPATH, "has a library path"},
                     {DT_RUNPATH, "has a library path"},
                     {DT_AUDIT, "names an auditor"},
                     {DT_DEPAUDIT, "names an auditor"},
                     {DT_FILTER, "names a filter"},
                     {DT_AUXILIARY, "names a filter"}};
    Elf_Data *data = elf_getdata_rawchunk(audit->elf, (int64_t)audit->dynamic.p_offset,
                                          audit->dynamic.p_filesz, ELF_T_DYN);
    size_t count = data != NULL ? audit->dynamic.p_filesz / sizeof(Elf64_Dyn) : 0;
    for (size_t i = 0; i < count; i++) {
        GElf_Dyn entry;
        if (gelf_getdyn(data, (int)i, &entry) == NULL) {
            return refuse(audit->err, "has an unreadable dynamic section");
        }
        for (size_t k = 0; k < sizeof(forbidden) / sizeof(forbidden[0]); k++) {
            if (entry.d_tag == forbidden[k].tag) {
                return refuse(audit->err, forbidden[k].what);
            }
        }
        if (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_TEXTREL) != 0) {
            return refuse(audit->err, "has text relocations");
        }
        if (entry.d_tag == DT_NULL) {
            break;
        }
        audit->has_other_relocations |=
            entry.d_tag == DT_REL || entry.d_tag == DT_RELR || entry.d_tag == DT_JMPREL;
        audit->symbols = entry.d_tag == DT_SYMTAB ? entry.d_un.d_ptr : audit->symbols;
        audit->strings = entry.d_tag == DT_STRTAB ? entry.d_un.d_ptr : audit->strings;
        audit->relocated = entry.d_tag == DT_RELA ? entry.d_un.d_ptr : audit->relocated;
        audit->relocated_size = entry.d_tag == DT_RELASZ ? entry.d_un.d_val : audit->relocated_size;
    }
    return count != 0 ? SMELT_STATUS_OK : refuse(audit->err, "has an unreadable dynamic section");
}

/* The section's bytes are loaded where it says. */
static bool is_loaded(Elf *elf, const GElf_Shdr *header)
{
    size_t count = 0;
    (void)elf_getphdrnum(elf, &count);
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(elf, (int)i, &segment) != NULL && segment.p_type == PT_LOAD &&
            header->sh_offset >= segment.p_offset && header->sh_size <= segment.p_filesz &&
            header->sh_offset - segment.p_offset <= segment.p_filesz - header->sh_size) {
            return header->sh_addr - segment.p_vaddr == header->sh_offset - segment.p_offset;
        }
    }
    return false;
}

static enum smelt_status audit_symbols(struct audit *audit, Elf_Data *data, const GElf_Shdr *header)
{
    size_t found = 0;
    for (size_t i = 1; i < header->sh_size / header->sh_entsize; i++) {
        GElf_Sym symbol;
        if (gelf_getsym(data, (int)i, &symbol) == NULL) {
            return refuse(audit->err, "has unreadable symbols");
        }
        const char *name = elf_strptr(audit->elf, header->sh_link, symbol.st_name);
        if (symbol.st_shndx == SHN_UNDEF) {
            return sm_error_set(audit->err, SMELT_STATUS_TOOL_OUTPUT, WHERE,
                                "the compiled object has the undefined symbol %s",
                                name != NULL ? name : "?");
        }
        if (name == NULL || strcmp(name, audit->exported) != 0 ||
            GELF_ST_TYPE(symbol.st_info) != STT_OBJECT) {
            return sm_error_set(audit->err, SMELT_STATUS_TOOL_OUTPUT, WHERE,
                                "the compiled object exports %s", name != NULL ? name : "?");
        }
        found++;
    }
    audit->symbol_tables++;
    return found == 1 ? SMELT_STATUS_OK : refuse(audit->err, "does not export its descriptor");
}

static bool is_relative(uint64_t info)
{
    return GELF_R_TYPE(info) == R_X86_64_RELATIVE || GELF_R_TYPE(info) == R_AARCH64_RELATIVE;
}

static enum smelt_status audit_relocations(struct audit *audit, Elf_Data *data, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        GElf_Rela relocation;
        if (gelf_getrela(data, (int)i, &relocation) == NULL || !is_relative(relocation.r_info)) {
            return refuse(audit->err, "has a relocation that is not RELATIVE");
        }
    }
    audit->relocation_tables++;
    return SMELT_STATUS_OK;
}

static enum smelt_status audit_section(struct audit *audit, Elf_Scn *section)
{
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == NULL) {
        return refuse(audit->err, "has an unreadable section");
    }
    bool is_symbols = header.sh_type == SHT_DYNSYM;
    bool is_relocations = header.sh_type == SHT_RELA && (header.sh_flags & SHF_ALLOC) != 0;
    if (!is_symbols && !is_relocations) {
        return SMELT_STATUS_OK;
    }
    Elf_Data *data = elf_getdata(section, NULL);
    bool is_linked =
        is_symbols ? header.sh_addr == audit->symbols
                   : header.sh_addr == audit->relocated && header.sh_size == audit->relocated_size;
    if (data == NULL || header.sh_entsize == 0 || !is_linked || !is_loaded(audit->elf, &header)) {
        return refuse(audit->err, "has a section that is not what its dynamic section names");
    }
    return is_symbols
               ? audit_symbols(audit, data, &header)
               : audit_relocations(audit, data, (size_t)(header.sh_size / header.sh_entsize));
}

enum smelt_status sm_elf_audit(struct smelt_slice shared_object, const char *exported,
                               struct smelt_error *err)
{
    struct smelt_buf copy = {0};
    struct audit audit = {.exported = exported, .err = err};
    GElf_Ehdr header;
    enum smelt_status status = SMELT_STATUS_OK;
    SMELT_TRY(open_image(shared_object, &copy, &audit.elf, err));
    if (gelf_getehdr(audit.elf, &header) == NULL || header.e_type != ET_DYN) {
        status = refuse(err, "is not a shared object");
        goto cleanup;
    }
    SMELT_TRY(audit_segments(&audit));
    SMELT_TRY(audit_dynamic(&audit));
    for (Elf_Scn *section = elf_nextscn(audit.elf, NULL); section != NULL;
         section = elf_nextscn(audit.elf, section)) {
        SMELT_TRY(audit_section(&audit, section));
    }
    /* told last: a symbol that is missing explains them better */
    if (audit.has_other_relocations) {
        status = refuse(err, "has a relocation that is not RELATIVE");
        goto cleanup;
    }
    if (audit.symbol_tables != 1 ||
        audit.relocation_tables != (size_t)(audit.relocated_size != 0)) {
        status = refuse(err, "has no section for a table that its dynamic section names");
    }
cleanup:
    (void)elf_end(audit.elf);
    smelt_buf_deinit(&copy);
    return status;
}
