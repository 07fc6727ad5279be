/* Modules: shared objects in memory, and the check of what they export.
 *
 * The file was verified before it came here, so this is not the sandbox: it is the place where a
 * mistake of the compiler or a mixed-up cache is noticed before it becomes a wild read. Every array
 * and string of the descriptor must lie in the object's own segments, every function in its code.
 */
#include "base/alloc.h"
#include "base/bytes.h"
#include "base/checked.h"
#include "base/status.h"
#include "runtime/exec/pool.h"
#include "runtime/exec/signals.h"

#include <smelt/host.h>

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHERE "artefact"

/* More than the compiler lets through; keeps slots and sizes far from overflow. */
#define VALUES_MAX        1000u               /* parameters, and results, of one function */
#define INSTANCE_SIZE_MAX (UINT64_C(1) << 28) /* bytes */
#define TABLE_SIZE_MAX    10000000u           /* elements; what other engines allow */

#define SEGMENTS_MAX 16

/* A loaded segment of the shared object. */
struct segment {
    uintptr_t start;
    uintptr_t end;
    uint32_t flags; /* PF_R, PF_W, PF_X */
};

struct sm_exec_module {
    atomic_size_t references;
    void *handle;
    const struct sm_descriptor *descriptor;
    const struct sm_export **by_name; /* exports in the order of their names */
    struct segment segments[SEGMENTS_MAX];
    size_t segment_count;
    struct sm_home *home; /* owned */
    uintptr_t load_address;
};

/* ---- loading ------------------------------------------------------------------------------ */

/* dlopen takes a name it has seen for the object it has loaded under it, before it looks at the
 * file system; descriptor numbers are used again, and so would be "/proc/self/fd/5". Every load
 * therefore spells the path anew: the bits of a serial number as "/" and "/.", which name the same
 * file.
 *
 * "/proc/self" is replaced by what it points to (procfs's own number for this process, whatever the
 * namespace): a debugger opens the same path, and must not find its own descriptors there. */
#define PATH_BYTES 192

static enum smelt_status spell_path(char out[PATH_BYTES], int fd, struct smelt_error *err)
{
    static atomic_uint_fast64_t serial;
    char self[24];
    ssize_t length = readlink("/proc/self", self, sizeof(self) - 1);
    if (length < 0) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE,
                                  "cannot read /proc/self, is /proc mounted?");
    }
    self[length] = '\0';
    uint64_t bits = atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);
    size_t used = (size_t)snprintf(out, PATH_BYTES, "/proc/%s/fd", self);
    for (; bits != 0; bits >>= 1) {
        out[used++] = '/';
        if ((bits & 1) != 0) {
            out[used++] = '.';
        }
    }
    (void)snprintf(out + used, PATH_BYTES - used, "/%d", fd);
    return SMELT_STATUS_OK;
}

struct segment_search {
    struct sm_exec_module *module;
    uintptr_t load_address;
};

static int collect_segments(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    const struct segment_search *search = (const struct segment_search *)context;
    struct sm_exec_module *module = search->module;
    if (info->dlpi_addr != search->load_address) {
        return 0;
    }
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type == PT_LOAD && module->segment_count < SEGMENTS_MAX) {
            uintptr_t start = info->dlpi_addr + header->p_vaddr;
            module->segments[module->segment_count++] = (struct segment){
                .start = start, .end = start + header->p_memsz, .flags = header->p_flags};
        }
    }
    return 1;
}

static enum smelt_status open_object(struct sm_exec_module *module, int fd, struct smelt_error *err)
{
    char path[PATH_BYTES];
    enum smelt_status status = spell_path(path, fd, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    module->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (module->handle == NULL) {
        const char *why = dlerror();
        return sm_error_set(err, SMELT_STATUS_ARTEFACT_CORRUPT, WHERE,
                            "the dynamic linker refuses the shared object: %s",
                            why != NULL ? why : "no reason given");
    }
    struct link_map *map;
    if (dlinfo(module->handle, RTLD_DI_LINKMAP, &map) != 0) {
        return sm_error_set(err, SMELT_STATUS_INTERNAL, WHERE,
                            "the dynamic linker does not know the object it loaded");
    }
    module->load_address = map->l_addr;
    struct segment_search search = {.module = module, .load_address = map->l_addr};
    (void)dl_iterate_phdr(collect_segments, &search);
    return SMELT_STATUS_OK;
}

/* ---- the descriptor ----------------------------------------------------------------------- */

static enum smelt_status mismatch(struct smelt_error *err, const char *what)
{
    return sm_error_set(err, SMELT_STATUS_ARTEFACT_MISMATCH, WHERE,
                        "descriptor: %s; remove the entry from the cache and compile again", what);
}

/* For rows of an array. */
static enum smelt_status mismatch_at(struct smelt_error *err, const char *array, uint32_t index,
                                     const char *what)
{
    return sm_error_set(err, SMELT_STATUS_ARTEFACT_MISMATCH, WHERE,
                        "descriptor: %s[%u]: %s; remove the entry from the cache and compile again",
                        array, index, what);
}

SM_UNINSTRUMENTED static bool lies_in(const struct sm_exec_module *module, uintptr_t start,
                                      uint64_t size, uint32_t flags)
{
    for (size_t i = 0; i < module->segment_count; i++) {
        const struct segment *segment = &module->segments[i];
        if (start >= segment->start && start < segment->end && size <= segment->end - start &&
            (segment->flags & flags) == flags) {
            return true;
        }
    }
    return false;
}

static bool is_bytes(const struct sm_exec_module *module, const void *bytes, uint64_t size)
{
    return size == 0 || lies_in(module, (uintptr_t)bytes, size, PF_R);
}

/* `count` is from a 32-bit field, so the product cannot overflow. */
static bool is_array(const struct sm_exec_module *module, const void *items, uint32_t count,
                     size_t item_size)
{
    return is_bytes(module, items, (uint64_t)count * item_size) &&
           (count == 0 || (uintptr_t)items % _Alignof(uint64_t) == 0);
}

static bool is_code(const struct sm_exec_module *module, uintptr_t function)
{
    return lies_in(module, function, 1, PF_X);
}

static bool is_signature(const struct sm_exec_module *module, const uint8_t *types,
                         uint32_t param_count, uint32_t result_count)
{
    if (param_count > VALUES_MAX || result_count > VALUES_MAX ||
        !is_bytes(module, types, param_count + result_count)) {
        return false;
    }
    for (uint32_t i = 0; i < param_count + result_count; i++) {
        if (types[i] < SMELT_VALTYPE_F64 || types[i] > SMELT_VALTYPE_I32) {
            return false;
        }
    }
    return true;
}

static enum smelt_status check_identity(const struct sm_descriptor *descriptor,
                                        const struct smelt_hash *artefact_key,
                                        const struct smelt_hash *module_hash,
                                        struct smelt_error *err)
{
    if (memcmp(descriptor->artefact_key, artefact_key->bytes, SMELT_HASH_BYTES) != 0) {
        return mismatch(err, "artefact_key is that of another artefact");
    }
    if (memcmp(descriptor->module_hash, module_hash->bytes, SMELT_HASH_BYTES) != 0) {
        return mismatch(err, "module_hash is that of another module");
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_instance(const struct sm_exec_module *module,
                                        struct smelt_error *err)
{
    const struct sm_descriptor *descriptor = module->descriptor;
    if (descriptor->instance_size < sizeof(struct sm_instance) ||
        descriptor->instance_size > INSTANCE_SIZE_MAX) {
        return mismatch(err, "instance_size is out of range");
    }
    if (descriptor->state_offset < sizeof(struct sm_instance) ||
        descriptor->state_offset > descriptor->instance_size) {
        return mismatch(err, "state_offset is outside the instance");
    }
    if (descriptor->state_size > descriptor->instance_size - descriptor->state_offset) {
        return mismatch(err, "state_size is more than the instance holds");
    }
    if (!is_bytes(module, descriptor->state_image, descriptor->state_size)) {
        return mismatch(err, "state_image is outside the artefact");
    }
    if ((uint64_t)descriptor->data_dropped_offset + descriptor->data_segment_count >
        descriptor->state_size) {
        return mismatch(err, "data_dropped_offset is outside the state");
    }
    if ((uint64_t)descriptor->elem_dropped_offset + descriptor->elem_segment_count >
        descriptor->state_size) {
        return mismatch(err, "elem_dropped_offset is outside the state");
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_limits(const struct sm_descriptor *descriptor,
                                      struct smelt_error *err)
{
    bool has_memory = descriptor->has_memory == 1;
    if (descriptor->has_memory > 1) {
        return mismatch(err, "has_memory is neither 0 nor 1");
    }
    if (descriptor->memory_max > (has_memory ? SM_PAGES_MAX : 0)) {
        return mismatch(err, "memory_max is out of range");
    }
    if (descriptor->memory_min > descriptor->memory_max) {
        return mismatch(err, "memory_min is more than memory_max");
    }
    if (descriptor->return_page != UINT32_MAX &&
        descriptor->return_page >= descriptor->memory_min) {
        return mismatch(err, "return_page is outside the initial memory");
    }
    if (descriptor->table_size > TABLE_SIZE_MAX) {
        return mismatch(err, "table_size is out of range");
    }
    if (descriptor->stack_bytes > SM_STACK_BYTES_MAX) {
        return mismatch(err, "stack_bytes is out of range");
    }
    if (descriptor->reserved != 0) {
        return mismatch(err, "reserved is not 0");
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_segments(const struct sm_exec_module *module,
                                        struct smelt_error *err)
{
    const struct sm_descriptor *descriptor = module->descriptor;
    if (!is_array(module, descriptor->data_segments, descriptor->data_segment_count,
                  sizeof(struct sm_data_segment))) {
        return mismatch(err, "data_segments is outside the artefact");
    }
    for (uint32_t i = 0; i < descriptor->data_segment_count; i++) {
        const struct sm_data_segment *segment = &descriptor->data_segments[i];
        if (!is_bytes(module, segment->bytes, segment->size)) {
            return mismatch_at(err, "data_segments", i, "bytes is outside the artefact");
        }
        if (segment->is_active > 1) {
            return mismatch_at(err, "data_segments", i, "is_active is neither 0 nor 1");
        }
    }
    if (!is_array(module, descriptor->elem_segments, descriptor->elem_segment_count,
                  sizeof(struct sm_elem_segment))) {
        return mismatch(err, "elem_segments is outside the artefact");
    }
    for (uint32_t i = 0; i < descriptor->elem_segment_count; i++) {
        const struct sm_elem_segment *segment = &descriptor->elem_segments[i];
        if (!is_array(module, segment->items, segment->count, sizeof(struct sm_funcref))) {
            return mismatch_at(err, "elem_segments", i, "items is outside the artefact");
        }
        for (uint32_t j = 0; j < segment->count; j++) {
            uintptr_t function = (uintptr_t)segment->items[j].function;
            if (function != 0 && !is_code(module, function)) {
                return mismatch_at(err, "elem_segments", i, "a function is outside the code");
            }
        }
        if (segment->is_active > 1) {
            return mismatch_at(err, "elem_segments", i, "is_active is neither 0 nor 1");
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_imports(const struct sm_exec_module *module, struct smelt_error *err)
{
    const struct sm_descriptor *descriptor = module->descriptor;
    if (!is_array(module, descriptor->imports, descriptor->import_count,
                  sizeof(struct sm_import))) {
        return mismatch(err, "imports is outside the artefact");
    }
    for (uint32_t i = 0; i < descriptor->import_count; i++) {
        const struct sm_import *import = &descriptor->imports[i];
        if (!is_bytes(module, import->module, import->module_size) ||
            !is_bytes(module, import->name, import->name_size)) {
            return mismatch_at(err, "imports", i, "a name is outside the artefact");
        }
        if (!is_signature(module, import->types, import->param_count, import->result_count)) {
            return mismatch_at(err, "imports", i, "types are no signature");
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_exports(const struct sm_exec_module *module, struct smelt_error *err)
{
    const struct sm_descriptor *descriptor = module->descriptor;
    if (!is_array(module, descriptor->exports, descriptor->export_count,
                  sizeof(struct sm_export))) {
        return mismatch(err, "exports is outside the artefact");
    }
    for (uint32_t i = 0; i < descriptor->export_count; i++) {
        const struct sm_export *export_ = &descriptor->exports[i];
        if (!is_bytes(module, export_->name, export_->name_size)) {
            return mismatch_at(err, "exports", i, "name is outside the artefact");
        }
        if (!is_signature(module, export_->types, export_->param_count, export_->result_count)) {
            return mismatch_at(err, "exports", i, "types are no signature");
        }
        if (!is_code(module, (uintptr_t)export_->entry)) {
            return mismatch_at(err, "exports", i, "entry is outside the code");
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status check_functions(const struct sm_exec_module *module,
                                         struct smelt_error *err)
{
    const struct sm_descriptor *descriptor = module->descriptor;
    if (!is_array(module, descriptor->functions, descriptor->function_count,
                  sizeof(struct sm_function))) {
        return mismatch(err, "functions is outside the artefact");
    }
    uint64_t end = 0; /* of the function before */
    for (uint32_t i = 0; i < descriptor->function_count; i++) {
        const struct sm_function *function = &descriptor->functions[i];
        if (!is_bytes(module, function->name, function->name_size)) {
            return mismatch_at(err, "functions", i, "name is outside the artefact");
        }
        if (function->offset < end) {
            return mismatch_at(err, "functions", i, "offset is not behind the function before");
        }
        end = (uint64_t)function->offset + function->size;
        if (end > UINT32_MAX) {
            return mismatch_at(err, "functions", i, "size is out of range");
        }
    }
    return SMELT_STATUS_OK;
}

static enum smelt_status find_descriptor(struct sm_exec_module *module, struct smelt_error *err)
{
    const void *symbol = dlsym(module->handle, SM_DESCRIPTOR_SYMBOL);
    const struct sm_descriptor *descriptor = (const struct sm_descriptor *)symbol;
    /* the two fields that every version of the ABI starts with, before the rest is believed */
    size_t head = offsetof(struct sm_descriptor, size) + sizeof(descriptor->size);
    if (symbol == NULL || (uintptr_t)symbol % _Alignof(struct sm_descriptor) != 0 ||
        !lies_in(module, (uintptr_t)symbol, head, PF_R)) {
        return mismatch(err, "there is no symbol " SM_DESCRIPTOR_SYMBOL);
    }
    if (descriptor->abi_version != SM_ABI_VERSION) {
        return sm_error_set(err, SMELT_STATUS_ARTEFACT_MISMATCH, WHERE,
                            "descriptor: abi_version is %u, this runtime has %u; compile again",
                            descriptor->abi_version, SM_ABI_VERSION);
    }
    if (descriptor->size != sizeof(struct sm_descriptor) ||
        !lies_in(module, (uintptr_t)symbol, sizeof(struct sm_descriptor), PF_R)) {
        return mismatch(err, "size is not that of this ABI version");
    }
    module->descriptor = descriptor;
    return SMELT_STATUS_OK;
}

/* ---- exports by name ---------------------------------------------------------------------- */

static struct smelt_slice export_name(const struct sm_export *export_)
{
    return sm_slice(export_->name, export_->name_size);
}

static int compare_exports(const void *a, const void *b)
{
    return sm_slice_compare(export_name(*(const struct sm_export *const *)a),
                            export_name(*(const struct sm_export *const *)b));
}

static enum smelt_status index_exports(struct sm_exec_module *module, struct smelt_error *err)
{
    uint32_t count = module->descriptor->export_count;
    module->by_name = (const struct sm_export **)sm_calloc(count, sizeof(*module->by_name));
    if (module->by_name == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    for (uint32_t i = 0; i < count; i++) {
        module->by_name[i] = &module->descriptor->exports[i];
    }
    qsort(module->by_name, count, sizeof(*module->by_name), compare_exports);
    for (uint32_t i = 1; i < count; i++) {
        if (compare_exports(&module->by_name[i - 1], &module->by_name[i]) == 0) {
            return mismatch(err, "exports has a name twice");
        }
    }
    return SMELT_STATUS_OK;
}

/* ---- modules ------------------------------------------------------------------------------ */

enum smelt_status sm_exec_load(struct sm_exec_pool *pool, int fd,
                               const struct smelt_hash *artefact_key,
                               const struct smelt_hash *module_hash, struct sm_exec_module **out,
                               struct smelt_error *err)
{
    enum smelt_status status = SMELT_STATUS_OK;
    *out = NULL;
    struct sm_exec_module *module = (struct sm_exec_module *)sm_calloc(1, sizeof(*module));
    if (module == NULL) {
        return sm_error_no_memory(err, WHERE);
    }
    atomic_init(&module->references, 1);
    SMELT_TRY(open_object(module, fd, err));
    SMELT_TRY(find_descriptor(module, err));
    SMELT_TRY(check_identity(module->descriptor, artefact_key, module_hash, err));
    SMELT_TRY(check_instance(module, err));
    SMELT_TRY(check_limits(module->descriptor, err));
    SMELT_TRY(check_segments(module, err));
    SMELT_TRY(check_imports(module, err));
    SMELT_TRY(check_exports(module, err));
    SMELT_TRY(check_functions(module, err));
    SMELT_TRY(index_exports(module, err));
    SMELT_TRY(sm_home_create(pool, module->descriptor, &module->home, err));
    *out = module;
    module = NULL;
cleanup:
    sm_exec_release(module);
    return status;
}

void sm_exec_unload(struct sm_exec_module *module)
{
    sm_home_destroy(module->home);
    sm_free(module->by_name);
    if (module->handle != NULL) {
        (void)dlclose(module->handle);
    }
    sm_free(module);
}

void sm_exec_acquire(struct sm_exec_module *module)
{
    atomic_fetch_add_explicit(&module->references, 1, memory_order_relaxed);
}

void sm_exec_release(struct sm_exec_module *module)
{
    /* acquire and release: the thread that unmaps sees every use by the others as over */
    if (module == NULL ||
        atomic_fetch_sub_explicit(&module->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (module->home == NULL || sm_home_close(module->home)) {
        sm_exec_unload(module);
    }
}

const struct sm_descriptor *sm_exec_descriptor(const struct sm_exec_module *module)
{
    return module->descriptor;
}

struct sm_home *sm_exec_home(const struct sm_exec_module *module)
{
    return module->home;
}

const struct sm_export *sm_exec_find_export(const struct sm_exec_module *module,
                                            struct smelt_slice name)
{
    size_t low = 0;
    size_t high = module->descriptor->export_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = sm_slice_compare(name, export_name(module->by_name[middle]));
        if (order == 0) {
            return module->by_name[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

const struct sm_function *sm_exec_find_function(const struct sm_exec_module *module,
                                                uint32_t offset)
{
    const struct sm_function *functions = module->descriptor->functions;
    size_t low = 0;
    size_t high = module->descriptor->function_count;
    while (low < high) { /* first function that starts behind `offset` */
        size_t middle = low + (high - low) / 2;
        if (functions[middle].offset <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == 0 || offset - functions[low - 1].offset >= functions[low - 1].size) {
        return NULL;
    }
    return &functions[low - 1];
}

SM_UNINSTRUMENTED bool sm_exec_is_code(const struct sm_exec_module *module, uintptr_t address)
{
    return lies_in(module, address, 1, PF_X);
}

SM_UNINSTRUMENTED uint64_t sm_exec_code_offset(const struct sm_exec_module *module,
                                               uintptr_t address)
{
    return address - module->load_address;
}
