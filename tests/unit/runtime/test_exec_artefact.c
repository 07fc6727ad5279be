/* Modules: loading, look-ups, and descriptors with one wrong field. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/guest.h"

#include "base/alloc.h"
#include "base/bytes.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t blocks_of_pool; /* heap blocks while nothing is loaded */

static enum smelt_status load_patched(const struct guest_patch *patch, struct sm_exec_module **out,
                                      struct smelt_error *err)
{
    int fd = guest_open("guest_all.so", patch, patch != NULL ? 1 : 0);
    enum smelt_status status =
        sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_all_hash, out, err);
    (void)close(fd);
    return status;
}

static void loads_and_finds(void **state)
{
    (void)state;
    struct sm_exec_module *module = guest_load_all();
    const struct sm_descriptor *descriptor = sm_exec_descriptor(module);
    assert_int_equal(descriptor->memory_max, 4);
    for (uint32_t i = 0; i < descriptor->export_count; i++) {
        const struct sm_export *export_ = &descriptor->exports[i];
        assert_ptr_equal(sm_exec_find_export(module, sm_slice(export_->name, export_->name_size)),
                         export_);
    }
    static const char *const missing[] = {"", "ad", "addd", "zzz", "with", "Add"};
    for (size_t i = 0; i < COUNT(missing); i++) {
        assert_null(sm_exec_find_export(module, smelt_slice_from_string(missing[i])));
    }

    static const struct {
        uint32_t offset;
        int index; /* -1: no function */
    } offsets[] = {{0, -1},   {99, -1},  {100, 0}, {119, 0}, {120, 1},  {149, 1},
                   {150, -1}, {199, -1}, {200, 2}, {299, 2}, {300, -1}, {UINT32_MAX, -1}};
    for (size_t i = 0; i < COUNT(offsets); i++) {
        assert_ptr_equal(sm_exec_find_function(module, offsets[i].offset),
                         offsets[i].index < 0 ? NULL : &descriptor->functions[offsets[i].index]);
    }
    sm_exec_acquire(module);
    sm_exec_release(module);
    assert_int_equal(sm_exec_descriptor(module)->memory_max, 4);
    sm_exec_release(module);
    sm_exec_release(NULL);
}

/* The dynamic linker compares names before files; descriptor numbers come back. */
static void a_reused_descriptor_number_is_another_file(void **state)
{
    (void)state;
    struct smelt_error err;
    struct sm_exec_module *all[3];
    struct sm_exec_module *bare;
    int fd = guest_open("guest_all.so", NULL, 0);
    for (size_t i = 0; i < COUNT(all); i++) {
        assert_int_equal(
            sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_all_hash, &all[i], &err),
            SMELT_STATUS_OK);
    }
    sm_exec_release(all[1]);
    (void)close(fd);
    int again = guest_open("guest_bare.so", NULL, 0);
    assert_int_equal(again, fd);
    assert_int_equal(
        sm_exec_load(guest_pool(), again, &guest_bare_key, &guest_bare_hash, &bare, &err),
        SMELT_STATUS_OK);
    (void)close(again);
    assert_int_equal(sm_exec_descriptor(bare)->has_memory, 0);
    assert_int_equal(sm_exec_descriptor(all[0])->has_memory, 1);
    sm_exec_release(bare);
    sm_exec_release(all[2]);
    assert_int_equal(sm_exec_descriptor(all[0])->has_memory, 1);
    sm_exec_release(all[0]);
}

static void identity_is_checked(void **state)
{
    (void)state;
    struct sm_exec_module *module;
    struct smelt_error err;
    int fd = guest_open("guest_all.so", NULL, 0);
    assert_int_equal(
        sm_exec_load(guest_pool(), fd, &guest_bare_key, &guest_all_hash, &module, &err),
        SMELT_STATUS_ARTEFACT_MISMATCH);
    assert_non_null(strstr(err.message, "artefact_key"));
    assert_int_equal(
        sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_bare_hash, &module, &err),
        SMELT_STATUS_ARTEFACT_MISMATCH);
    assert_non_null(strstr(err.message, "module_hash"));
    assert_int_equal(
        sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_bare_hash, &module, NULL),
        SMELT_STATUS_ARTEFACT_MISMATCH);
    assert_null(module);
    (void)close(fd);
}

static void what_is_no_shared_object_is_corrupt(void **state)
{
    (void)state;
    static const char *const contents[] = {"", "\177ELF", "#!/bin/sh\n", "smelt"};
    struct sm_exec_module *module;
    struct smelt_error err;
    for (size_t i = 0; i < COUNT(contents); i++) {
        int fd = memfd_create("no object", MFD_CLOEXEC);
        assert_int_equal(write(fd, contents[i], strlen(contents[i])), strlen(contents[i]));
        assert_int_equal(
            sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_all_hash, &module, &err),
            SMELT_STATUS_ARTEFACT_CORRUPT);
        assert_null(module);
        (void)close(fd);
    }
    assert_int_equal(sm_exec_load(guest_pool(), -1, &guest_all_key, &guest_all_hash, &module, &err),
                     SMELT_STATUS_ARTEFACT_CORRUPT);
}

static void an_object_without_descriptor_is_refused(void **state)
{
    (void)state;
    struct sm_exec_module *module;
    struct smelt_error err;
    int fd = guest_open("guest_none.so", NULL, 0);
    assert_int_equal(sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_all_hash, &module, &err),
                     SMELT_STATUS_ARTEFACT_MISMATCH);
    assert_non_null(strstr(err.message, "smelt_descriptor"));
    (void)close(fd);
}

/* ---- one wrong field ------------------------------------------------------------------------ */

#define D(field, value)     PATCH("smelt_descriptor", struct sm_descriptor, field, value)
#define D_PTR(field, value) PATCH_PTR("smelt_descriptor", struct sm_descriptor, 0, field, value)
#define DATA(i, field, value)                                                                      \
    PATCH_AT("smelt_data_segments", struct sm_data_segment, i, field, value)
#define ELEM(i, field, value)                                                                      \
    PATCH_AT("smelt_elem_segments", struct sm_elem_segment, i, field, value)
#define IMPORT(i, field, value)   PATCH_AT("smelt_imports", struct sm_import, i, field, value)
#define EXPORT(i, field, value)   PATCH_AT("smelt_exports", struct sm_export, i, field, value)
#define FUNCTION(i, field, value) PATCH_AT("smelt_functions", struct sm_function, i, field, value)

#define FAR UINT64_C(0x40000000) /* 1 GiB behind the object: somebody else's memory or nobody's */

static void a_wrong_field_is_refused(void **state)
{
    (void)state;
    const size_t instance = sizeof(struct sm_instance);
    const struct {
        const char *named; /* in the message */
        struct guest_patch patch;
    } rows[] = {
        {"abi_version", D(abi_version, 0)},
        {"abi_version", D(abi_version, SM_ABI_VERSION + 1)},
        {"size", D(size, sizeof(struct sm_descriptor) - 8)},
        {"size", D(size, sizeof(struct sm_descriptor) + 8)},
        {"artefact_key", D(artefact_key, 0)},
        {"module_hash", D(module_hash, 0)},

        {"instance_size", D(instance_size, 0)},
        {"instance_size", D(instance_size, instance - 1)},
        {"instance_size", D(instance_size, UINT64_MAX)},
        {"instance_size", D(instance_size, (UINT64_C(1) << 28) + 1)},
        {"state_size", D(instance_size, instance + 8)},
        {"state_offset", D(state_offset, 0)},
        {"state_offset", D(state_offset, instance - 1)},
        {"state_offset", D(state_offset, UINT64_MAX)},
        {"state_size", D(state_size, UINT64_MAX)},
        {"state_size", D(state_size, UINT64_C(1) << 20)},
        {"data_dropped_offset", D(state_size, 16)}, /* globals alone */
        {"state_image", D_PTR(state_image, FAR)},
        {"data_dropped_offset", D(data_dropped_offset, 22)},
        {"data_dropped_offset", D(data_dropped_offset, UINT32_MAX)},
        {"elem_dropped_offset", D(elem_dropped_offset, 22)},
        {"elem_dropped_offset", D(elem_dropped_offset, UINT32_MAX)},

        {"has_memory", D(has_memory, 2)},
        {"memory_max", D(has_memory, 0)},
        {"memory_max", D(memory_max, 65537)},
        {"memory_max", D(memory_max, UINT32_MAX)},
        {"memory_min", D(memory_max, 0)},
        {"memory_min", D(memory_min, 5)},
        {"return_page", D(memory_min, 0)},
        {"return_page", D(return_page, 1)},
        {"return_page", D(return_page, UINT32_MAX - 1)},
        {"table_size", D(table_size, 10000001)},
        {"table_size", D(table_size, UINT32_MAX)},
        {"stack_bytes", D(stack_bytes, UINT64_MAX)},
        {"stack_bytes", D(stack_bytes, (UINT64_C(1) << 32) + 1)},
        {"reserved", D(reserved, 1)},

        {"data_segments", D_PTR(data_segments, FAR)},
        {"data_segments", D_PTR(data_segments, 0)}, /* read-only bytes of the wrong kind */
        {"data_dropped_offset", D(data_segment_count, UINT32_MAX)},
        {"elem_segments", D_PTR(elem_segments, FAR)},
        {"elem_dropped_offset", D(elem_segment_count, UINT32_MAX)},
        {"imports", D_PTR(imports, FAR)},
        {"imports", D(import_count, UINT32_MAX)},
        {"imports", D(import_count, 10000)},
        {"exports", D_PTR(exports, FAR)},
        {"exports", D(export_count, UINT32_MAX)},
        {"exports", D(export_count, 10000)},
        {"functions", D_PTR(functions, FAR)},
        {"functions", D(function_count, UINT32_MAX)},
        {"functions", D(function_count, 10000)},

        {"data_segments[1]: bytes", DATA(1, size, 1 << 20)},
        {"data_segments[0]: bytes", DATA(0, size, UINT32_MAX)},
        {"data_segments[0]: bytes",
         PATCH_PTR("smelt_data_segments", struct sm_data_segment, 0, bytes, FAR)},
        {"data_segments[2]: is_active", DATA(2, is_active, 2)},
        {"elem_segments[0]: items", ELEM(0, count, 1 << 20)},
        {"elem_segments[0]: items", ELEM(0, count, UINT32_MAX)},
        {"elem_segments[0]: items",
         PATCH_PTR("smelt_elem_segments", struct sm_elem_segment, 0, items, FAR)},
        {"elem_segments[2]: is_active", ELEM(2, is_active, UINT32_MAX)},
        {"elem_segments[0]: a function",
         PATCH_PTR("smelt_elem_items", struct sm_funcref, 1, function, FAR)},
        {"elem_segments[0]: a function", /* in the object, but not code */
         PATCH_PTR("smelt_elem_items", struct sm_funcref, 1, function, 64)},

        {"imports[0]: a name", IMPORT(0, module_size, 1 << 20)},
        {"imports[1]: a name", IMPORT(1, name_size, UINT32_MAX)},
        {"imports[1]: a name", PATCH_PTR("smelt_imports", struct sm_import, 1, name, FAR)},
        {"imports[1]: a name", PATCH_PTR("smelt_imports", struct sm_import, 1, module, FAR)},
        {"imports[0]: types", PATCH_PTR("smelt_imports", struct sm_import, 0, types, FAR)},
        {"imports[0]: types", IMPORT(0, param_count, 1001)},
        {"imports[0]: types", IMPORT(0, result_count, UINT32_MAX)},
        {"imports[0]: types", IMPORT(0, param_count, 999)}, /* what follows is no type */

        {"exports[1]: name", EXPORT(1, name_size, UINT32_MAX)},
        {"exports[1]: name", PATCH_PTR("smelt_exports", struct sm_export, 1, name, FAR)},
        {"exports[1]: types", PATCH_PTR("smelt_exports", struct sm_export, 1, types, FAR)},
        {"exports[1]: types", EXPORT(1, param_count, UINT32_MAX)},
        {"exports[1]: types", EXPORT(1, result_count, 1001)},
        {"exports[1]: entry", PATCH_PTR("smelt_exports", struct sm_export, 1, entry, FAR)},
        {"exports[1]: entry", PATCH_PTR("smelt_exports", struct sm_export, 1, entry, 64)},
        {"twice", EXPORT(1, name_size, 0)}, /* with the patch below: two empty names */

        {"functions[0]: name", FUNCTION(0, name_size, UINT32_MAX)},
        {"functions[2]: name", PATCH_PTR("smelt_functions", struct sm_function, 2, name, FAR)},
        {"functions[1]: offset", FUNCTION(1, offset, 119)},
        {"functions[1]: offset", FUNCTION(0, offset, 101)},
        {"functions[1]: offset", FUNCTION(0, size, 21)},
        {"functions[2]: size", FUNCTION(2, size, UINT32_MAX - 199)},
        {"functions[2]: size", FUNCTION(2, offset, UINT32_MAX)},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct guest_patch patches[] = {
            rows[i].patch, EXPORT(0, name_size, strcmp(rows[i].named, "twice") == 0 ? 0 : 5)};
        struct sm_exec_module *module;
        struct smelt_error err;
        int fd = guest_open("guest_all.so", patches, COUNT(patches));
        enum smelt_status status =
            sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_all_hash, &module, &err);
        (void)close(fd);
        if (status != SMELT_STATUS_ARTEFACT_MISMATCH ||
            strstr(err.message, rows[i].named) == NULL) {
            fail_msg("row %zu (%s): %s", i, rows[i].named,
                     status == SMELT_STATUS_OK ? "was accepted" : err.message);
        }
        assert_null(module);
        assert_int_equal(sm_alloc_blocks(), blocks_of_pool);
    }
}

static void odd_but_harmless_is_accepted(void **state)
{
    (void)state;
    const struct guest_patch rows[] = {
        D(import_count, 0),
        D(export_count, 0),
        D(function_count, 0),
        D(return_page, UINT32_MAX),
        D(memory_max, 65536),
        D(stack_bytes, UINT64_C(1) << 32),
        D(stack_limit, 0),
        D(table_size, 0),
        D(table_size, 10000000),
        DATA(0, size, 0),
        DATA(0, memory_offset, UINT32_MAX),
        ELEM(0, count, 0),
        ELEM(0, table_offset, UINT32_MAX),
        EXPORT(3, name_size, 0),
        FUNCTION(1, size, 0),
        FUNCTION(2, size, UINT32_MAX - 200),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct sm_exec_module *module;
        struct smelt_error err;
        assert_int_equal(load_patched(&rows[i], &module, &err), SMELT_STATUS_OK);
        sm_exec_release(module);
    }
}

static void allocation_failures(void **state)
{
    (void)state;
    int fd = guest_open("guest_all.so", NULL, 0);
    enum smelt_status status = SMELT_STATUS_NO_MEMORY;
    for (size_t nth = 1; status != SMELT_STATUS_OK; nth++) {
        struct sm_exec_module *module;
        struct smelt_error err;
        sm_alloc_fail_at(nth);
        status = sm_exec_load(guest_pool(), fd, &guest_all_key, &guest_all_hash, &module, &err);
        sm_alloc_fail_at(0);
        if (status != SMELT_STATUS_OK) {
            assert_int_equal(status, SMELT_STATUS_NO_MEMORY);
            assert_null(module);
            assert_int_equal(sm_alloc_blocks(), blocks_of_pool);
            continue;
        }
        assert_true(nth > 2);
        sm_exec_release(module);
    }
    (void)close(fd);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *load_and_share(void *argument)
{
    struct sm_exec_module *shared = (struct sm_exec_module *)argument;
    uintptr_t wrong = 0;
    for (int i = 0; i < 50; i++) {
        struct sm_exec_module *module;
        sm_exec_acquire(shared);
        if (load_patched(NULL, &module, NULL) != SMELT_STATUS_OK) {
            return (void *)(uintptr_t)1;
        }
        wrong += sm_exec_find_export(module, smelt_slice_from_string("add")) == NULL ||
                 sm_exec_descriptor(shared)->memory_max != 4;
        sm_exec_release(module);
        sm_exec_release(shared);
    }
    return (void *)wrong;
}

static void modules_are_shared_by_threads(void **state)
{
    (void)state;
    struct sm_exec_module *shared = guest_load_all();
    pthread_t threads[3];
    for (size_t i = 0; i < COUNT(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, load_and_share, shared), 0);
    }
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    sm_exec_release(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_and_finds),
        cmocka_unit_test(a_reused_descriptor_number_is_another_file),
        cmocka_unit_test(identity_is_checked),
        cmocka_unit_test(what_is_no_shared_object_is_corrupt),
        cmocka_unit_test(an_object_without_descriptor_is_refused),
        cmocka_unit_test(a_wrong_field_is_refused),
        cmocka_unit_test(odd_but_harmless_is_accepted),
        cmocka_unit_test(allocation_failures),
        cmocka_unit_test(modules_are_shared_by_threads),
    };
    (void)guest_pool();
    blocks_of_pool = sm_alloc_blocks();
    int failures = cmocka_run_group_tests_name("exec_artefact", tests, NULL, NULL);
    guest_pool_close();
    return failures != 0 || sm_alloc_blocks() != 0;
}
