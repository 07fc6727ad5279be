/* See engine_fixture.h. */
#include "tests/unit/runtime/engine_fixture.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/fs.h"
#include "base/status.h"
#include "runtime/state/keys.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const struct smelt_address alice = {{0xa1, 0x1c, 0xe}};
const struct smelt_address bob = {{0xb0, 0xb}};

/* ---- a store that fails on demand ------------------------------------------------------------ */

static struct smelt_store *inner_of(void *impl)
{
    return ((struct fixture *)impl)->inner;
}

static enum smelt_status store_snapshot(void *impl, void **snapshot, struct smelt_error *err)
{
    return inner_of(impl)->ops->snapshot(inner_of(impl)->impl, snapshot, err);
}

static void store_release(void *impl, void *snapshot)
{
    inner_of(impl)->ops->release(inner_of(impl)->impl, snapshot);
}

static enum smelt_status store_get(void *impl, void *snapshot, enum smelt_store_family family,
                                   struct smelt_slice key, struct smelt_buf *value, bool *found,
                                   struct smelt_error *err)
{
    struct fixture *fixture = (struct fixture *)impl;
    size_t left = atomic_load(&fixture->fail_get);
    if (fixture->around_get != NULL) {
        fixture->around_get(fixture);
    }
    while (left > 1 && !atomic_compare_exchange_weak(&fixture->fail_get, &left, left - 1)) {
    }
    if (left == 1) {
        return sm_error_set(err, SMELT_STATUS_IO, "store", "read failed on demand");
    }
    enum smelt_status status =
        fixture->inner->ops->get(fixture->inner->impl, snapshot, family, key, value, found, err);
    if (fixture->around_get != NULL) {
        fixture->around_get(fixture);
    }
    return status;
}

static enum smelt_status store_iterate(void *impl, void *snapshot, enum smelt_store_family family,
                                       struct smelt_slice prefix, smelt_store_visit_fn visit,
                                       void *context, struct smelt_error *err)
{
    return inner_of(impl)->ops->iterate(inner_of(impl)->impl, snapshot, family, prefix, visit,
                                        context, err);
}

static enum smelt_status store_write(void *impl, const struct smelt_store_write *writes,
                                     size_t count, struct smelt_error *err)
{
    struct fixture *fixture = (struct fixture *)impl;
    if (fixture->before_write != NULL) {
        fixture->before_write(fixture, writes, count);
    }
    if (fixture->fail_write) {
        return sm_error_set(err, SMELT_STATUS_NO_SPACE, "store", "write failed on demand");
    }
    enum smelt_status status = fixture->inner->ops->write(fixture->inner->impl, writes, count, err);
    fixture->writes += status == SMELT_STATUS_OK; /* the engine writes one batch at a time */
    return status;
}

static uint64_t store_version(void *impl)
{
    return inner_of(impl)->ops->version(inner_of(impl)->impl);
}

static void store_close(void *impl)
{
    smelt_store_close(inner_of(impl));
}

static const struct smelt_store_ops store_ops = {
    .snapshot = store_snapshot,
    .release = store_release,
    .get = store_get,
    .iterate = store_iterate,
    .write = store_write,
    .version = store_version,
    .close = store_close,
};

/* ---- artefacts ------------------------------------------------------------------------------- */

/* A memfd with the artefact `name`, made out to be the one of `key` and `hash`. Takes no memory
 * from the allocator: tests count on whose allocation fails. */
static int open_artefact(const char *name, const struct smelt_hash *key,
                         const struct smelt_hash *hash)
{
    static _Thread_local uint8_t file[1 << 18];
    uint8_t marks[64];
    char path[512];
    memset(marks, GUEST_KEY_MARK, 32);
    memset(marks + 32, GUEST_HASH_MARK, 32);
    assert_int_equal(sm_fs_path(path, sizeof(path), NULL, "%s/%s", SMELT_TEST_GUEST_DIR, name),
                     SMELT_STATUS_OK);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t size = read(fd, file, sizeof(file));
    assert_true(size > 0 && (size_t)size < sizeof(file));
    (void)close(fd);
    uint8_t *at = (uint8_t *)memmem(file, (size_t)size, marks, sizeof(marks));
    assert_non_null(at);
    memcpy(at, key->bytes, 32);
    memcpy(at + 32, hash->bytes, 32);
    fd = memfd_create("guest", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(sm_fs_write_fd(fd, name, sm_slice(file, (size_t)size), NULL), SMELT_STATUS_OK);
    return fd;
}

static enum smelt_status source_open(void *context, const struct smelt_hash *module_hash,
                                     struct smelt_slice wasm, int *fd, struct smelt_hash *key,
                                     struct smelt_error *err)
{
    struct fixture *fixture = (struct fixture *)context;
    char name[64];
    if (fixture->refusal != SMELT_STATUS_OK) {
        return sm_error_set(err, fixture->refusal, "gate", "refused on demand");
    }
    atomic_fetch_add(&fixture->opens, 1);
    assert_true(wasm.size < sizeof(name));
    memcpy(name, wasm.data, wasm.size);
    name[wasm.size] = '\0';
    name[strcspn(name, "#")] = '\0';
    *key = *module_hash;
    key->bytes[0] ^= 0xff;
    *fd = open_artefact(name, key, module_hash);
    return SMELT_STATUS_OK;
}

struct smelt_artefact_source fixture_source(struct fixture *fixture)
{
    return (struct smelt_artefact_source){.open = source_open, .context = fixture};
}

/* ---- set-up ---------------------------------------------------------------------------------- */

int fixture_setup(void **state)
{
    size_t blocks = sm_alloc_blocks();
    struct fixture *fixture = (struct fixture *)sm_calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->blocks = blocks;
    fixture->store = (struct smelt_store){.ops = &store_ops, .impl = fixture};
    fixture->transaction.from = alice;
    assert_int_equal(smelt_store_create_memory(&fixture->inner, NULL), SMELT_STATUS_OK);
    assert_int_equal(
        smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &fixture->schedule, NULL),
        SMELT_STATUS_OK);
    assert_int_equal(
        smelt_account_fund(&fixture->store, &alice, (struct smelt_u128){.low = FUNDS}, NULL),
        SMELT_STATUS_OK);
    const struct smelt_engine_options options = {
        .store = &fixture->store, .schedule = fixture->schedule, .source = fixture_source(fixture)};
    assert_int_equal(smelt_engine_create(&options, &fixture->engine, NULL), SMELT_STATUS_OK);
    fixture->writes = 0;
    *state = fixture;
    return 0;
}

void fixture_reopen(struct fixture *fixture, struct smelt_engine_options options)
{
    smelt_engine_destroy(fixture->engine);
    fixture->engine = NULL;
    options.store = &fixture->store;
    options.schedule = fixture->schedule;
    options.source = fixture_source(fixture);
    assert_int_equal(smelt_engine_create(&options, &fixture->engine, NULL), SMELT_STATUS_OK);
}

void fixture_destroy(struct fixture *fixture)
{
    smelt_receipt_destroy(fixture->receipt);
    smelt_engine_destroy(fixture->engine);
    smelt_schedule_destroy(fixture->schedule);
    smelt_store_close(&fixture->store);
    sm_free(fixture);
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    size_t blocks = fixture->blocks;
    fixture_destroy(fixture);
    assert_int_equal(sm_alloc_blocks(), blocks);
    return 0;
}

/* ---- scripts --------------------------------------------------------------------------------- */

static void put_word(struct script *script, uint64_t word)
{
    assert_true(script->size + 8 <= sizeof(script->bytes));
    sm_store_le64(script->bytes + script->size, word);
    script->size += 8;
}

void script_host(struct script *script, enum guest_import import, size_t count,
                 const uint64_t *arguments)
{
    put_word(script, SCRIPT_HOST);
    put_word(script, import);
    put_word(script, count);
    for (size_t i = 0; i < count; i++) {
        put_word(script, arguments[i]);
    }
}

void script_poke(struct script *script, uint64_t address, struct smelt_slice bytes)
{
    put_word(script, SCRIPT_POKE);
    put_word(script, address);
    put_word(script, bytes.size);
    size_t padded = (bytes.size + 7) / 8 * 8;
    assert_true(script->size + padded <= sizeof(script->bytes));
    memset(script->bytes + script->size, 0, padded);
    if (bytes.size != 0) {
        memcpy(script->bytes + script->size, bytes.data, bytes.size);
    }
    script->size += padded;
}

void script_word(struct script *script, enum guest_script command, uint64_t value)
{
    put_word(script, command);
    put_word(script, value);
}

/* ---- transactions ---------------------------------------------------------------------------- */

enum smelt_status fixture_try_deploy(struct fixture *fixture, const char *module)
{
    smelt_receipt_destroy(fixture->receipt);
    fixture->receipt = NULL;
    return smelt_deploy(fixture->engine, &fixture->transaction, smelt_slice_from_string(module),
                        &fixture->receipt, &fixture->err);
}

struct smelt_address fixture_deploy(struct fixture *fixture, const char *module)
{
    if (fixture_try_deploy(fixture, module) != SMELT_STATUS_OK) {
        fail_msg("deploy of %s: %s", module, fixture->err.message);
    }
    assert_int_equal(fixture->receipt->outcome.kind, SMELT_OUTCOME_RETURNED);
    return fixture->receipt->address;
}

enum smelt_status fixture_try_call(struct fixture *fixture, const struct smelt_address *address,
                                   const char *function, const struct smelt_value *arguments,
                                   size_t count)
{
    smelt_receipt_destroy(fixture->receipt);
    fixture->receipt = NULL;
    return smelt_call(fixture->engine, &fixture->transaction, address, function, arguments, count,
                      &fixture->receipt, &fixture->err);
}

static const struct smelt_receipt *called(const struct fixture *fixture, enum smelt_status status)
{
    if (status != SMELT_STATUS_OK) {
        fail_msg("call: %s: %s", smelt_status_name(status), fixture->err.message);
    }
    return fixture->receipt;
}

const struct smelt_receipt *fixture_call(struct fixture *fixture,
                                         const struct smelt_address *address, const char *function)
{
    return called(fixture, fixture_try_call(fixture, address, function, NULL, 0));
}

const struct smelt_receipt *fixture_run(struct fixture *fixture,
                                        const struct smelt_address *address,
                                        const struct script *script)
{
    fixture->transaction.input = sm_slice(script->bytes, script->size);
    const struct smelt_receipt *receipt = fixture_call(fixture, address, "run");
    fixture->transaction.input = (struct smelt_slice){0};
    return receipt;
}

const struct smelt_receipt *fixture_host(struct fixture *fixture,
                                         const struct smelt_address *address,
                                         enum guest_import import, size_t count,
                                         const uint64_t *arguments)
{
    struct smelt_value values[8] = {{.type = SMELT_VALTYPE_I32, .bits = import}};
    for (size_t i = 0; i < 7; i++) {
        values[1 + i] =
            (struct smelt_value){.type = SMELT_VALTYPE_I64, .bits = i < count ? arguments[i] : 0};
    }
    return called(fixture, fixture_try_call(fixture, address, "host", values, 8));
}

/* ---- assertions ------------------------------------------------------------------------------ */

void assert_returned(const struct smelt_receipt *receipt, uint64_t result)
{
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind), "returned");
    assert_int_equal(receipt->result_count, 1);
    assert_int_equal(receipt->results[0].bits, result);
}

static void assert_no_effects(const struct smelt_receipt *receipt)
{
    assert_int_equal(receipt->event_count, 0);
    assert_int_equal(receipt->write_count, 0);
    assert_int_equal(receipt->result_count, 0);
}

void assert_trapped(const struct smelt_receipt *receipt, enum smelt_trap trap,
                    enum smelt_host_error error)
{
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind), "trapped");
    assert_string_equal(smelt_trap_name(receipt->outcome.trap), smelt_trap_name(trap));
    assert_string_equal(smelt_host_error_name(receipt->outcome.host_error),
                        smelt_host_error_name(error));
    assert_int_equal(receipt->return_data.size, 0);
    assert_no_effects(receipt);
}

void assert_out_of_fuel(const struct smelt_receipt *receipt)
{
    assert_string_equal(smelt_outcome_name(receipt->outcome.kind), "out_of_fuel");
    assert_int_equal(receipt->fuel_used, receipt->fuel_limit);
    assert_false(receipt->location.is_known);
    assert_int_equal(receipt->return_data.size, 0);
    assert_no_effects(receipt);
}

void assert_slice(struct smelt_slice slice, const void *data, size_t size)
{
    assert_int_equal(slice.size, size);
    if (size != 0) {
        assert_memory_equal(slice.data, data, size);
    }
}

static struct smelt_account account_of(struct fixture *fixture, const struct smelt_address *address)
{
    struct smelt_account account;
    assert_int_equal(smelt_account_get(fixture->inner, address, &account, NULL), SMELT_STATUS_OK);
    return account;
}

uint64_t balance_of(struct fixture *fixture, const struct smelt_address *address)
{
    return account_of(fixture, address).balance.low;
}

uint64_t nonce_of(struct fixture *fixture, const struct smelt_address *address)
{
    return account_of(fixture, address).nonce;
}

size_t stored(struct fixture *fixture, const struct smelt_address *address, struct smelt_slice key,
              uint8_t *out, size_t out_size)
{
    struct sm_state_key full;
    struct smelt_buf value = {0};
    bool found = false;
    sm_state_storage_key(address, key, &full);
    assert_int_equal(fixture->inner->ops->get(fixture->inner->impl, NULL, SMELT_STORE_STATE,
                                              sm_state_key_slice(&full), &value, &found, NULL),
                     SMELT_STATUS_OK);
    size_t size = found ? value.size : SIZE_MAX;
    if (found && value.size != 0) {
        memcpy(out, value.data, value.size < out_size ? value.size : out_size);
    }
    smelt_buf_deinit(&value);
    return size;
}
