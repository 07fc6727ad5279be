/* ELF by hand: symbols, the file offset of an address, and relative relocations. */
#include "tests/unit/runtime/guest.h"

#include "base/bytes.h"
#include "base/fs.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const struct smelt_hash guest_all_key = {.bytes = {0xa1, 1}};
const struct smelt_hash guest_all_hash = {.bytes = {0xb1, 1}};
const struct smelt_hash guest_bare_key = {.bytes = {0xa2, 2}};
const struct smelt_hash guest_bare_hash = {.bytes = {0xb2, 2}};

#ifdef __aarch64__
#define RELATIVE R_AARCH64_RELATIVE
#else
#define RELATIVE R_X86_64_RELATIVE
#endif

static _Noreturn void give_up(const char *why, const char *what)
{
    (void)fprintf(stderr, "guest: %s: %s\n", why, what);
    abort();
}

/* The first section of type `type`. */
static const Elf64_Shdr *section(const uint8_t *file, uint32_t type)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)file;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(const void *)(file + header->e_shoff);
    for (size_t i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type == type) {
            return &sections[i];
        }
    }
    give_up("no such section", "");
}

static uint64_t symbol_address(const uint8_t *file, const char *name)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)file;
    const Elf64_Shdr *symbols = section(file, SHT_DYNSYM);
    const Elf64_Shdr *strings =
        (const Elf64_Shdr *)(const void *)(file + header->e_shoff) + symbols->sh_link;
    const Elf64_Sym *rows = (const Elf64_Sym *)(const void *)(file + symbols->sh_offset);
    for (size_t i = 0; i < symbols->sh_size / sizeof(*rows); i++) {
        if (strcmp((const char *)file + strings->sh_offset + rows[i].st_name, name) == 0) {
            return rows[i].st_value;
        }
    }
    give_up("no symbol", name);
}

static void patch_bytes(uint8_t *file, uint64_t address, const struct guest_patch *patch)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)(const void *)file;
    const Elf64_Phdr *rows = (const Elf64_Phdr *)(const void *)(file + header->e_phoff);
    for (size_t i = 0; i < header->e_phnum; i++) {
        if (rows[i].p_type == PT_LOAD && address >= rows[i].p_vaddr &&
            address + patch->size <= rows[i].p_vaddr + rows[i].p_filesz) {
            memcpy(file + rows[i].p_offset + (address - rows[i].p_vaddr), &patch->value,
                   patch->size);
            return;
        }
    }
    give_up("not in the file", patch->symbol);
}

static void patch_pointer(uint8_t *file, uint64_t address, const struct guest_patch *patch)
{
    const Elf64_Shdr *relocations = section(file, SHT_RELA);
    Elf64_Rela *rows = (Elf64_Rela *)(void *)(file + relocations->sh_offset);
    for (size_t i = 0; i < relocations->sh_size / sizeof(*rows); i++) {
        if (rows[i].r_offset == address) {
            /* arrays that tests patch are exported symbols: make their pointers plain ones too */
            rows[i].r_info = ELF64_R_INFO(0, RELATIVE);
            rows[i].r_addend = (Elf64_Sxword)patch->value;
            return;
        }
    }
    give_up("no relocation", patch->symbol);
}

int guest_open(const char *name, const struct guest_patch *patches, size_t patch_count)
{
    char path[512];
    struct smelt_buf file = {0};
    struct smelt_error err;
    if (sm_fs_path(path, sizeof(path), &err, "%s/%s", SMELT_TEST_GUEST_DIR, name) !=
            SMELT_STATUS_OK ||
        sm_fs_read_file(path, 1 << 24, &file, &err) != SMELT_STATUS_OK) {
        give_up("cannot read", err.message);
    }
    for (size_t i = 0; i < patch_count; i++) {
        uint64_t address = symbol_address(file.data, patches[i].symbol) + patches[i].offset;
        if (patches[i].size == PATCH_POINTER) {
            patch_pointer(file.data, address, &patches[i]);
        } else {
            patch_bytes(file.data, address, &patches[i]);
        }
    }
    int fd = memfd_create("guest", MFD_CLOEXEC);
    if (fd < 0 || sm_fs_write_fd(fd, name, sm_buf_slice(&file), &err) != SMELT_STATUS_OK) {
        give_up("cannot write", name);
    }
    smelt_buf_deinit(&file);
    return fd;
}

static struct sm_exec_pool *pool_of_program;

struct sm_exec_pool *guest_pool(void)
{
    struct smelt_error err;
    if (pool_of_program == NULL &&
        sm_exec_pool_create(NULL, &pool_of_program, &err) != SMELT_STATUS_OK) {
        give_up("no pool", err.message);
    }
    return pool_of_program;
}

void guest_pool_close(void)
{
    sm_exec_pool_destroy(pool_of_program);
    pool_of_program = NULL;
}

struct sm_exec_module *guest_load_all(void)
{
    return guest_load_all_into(guest_pool());
}

struct sm_exec_module *guest_load_all_into(struct sm_exec_pool *pool)
{
    struct sm_exec_module *module;
    struct smelt_error err;
    int fd = guest_open("guest_all.so", NULL, 0);
    if (sm_exec_load(pool, fd, &guest_all_key, &guest_all_hash, &module, &err) != SMELT_STATUS_OK) {
        give_up("cannot load", err.message);
    }
    (void)close(fd);
    return module;
}
