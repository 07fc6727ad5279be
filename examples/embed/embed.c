/* Embedding smelt: compile a contract, deploy it into a RocksDB state, call it three times.
 *
 *     cc embed.c $(pkg-config --cflags --libs smelt) -o embed
 *     ./embed counter.wat <directory>
 *
 * <directory> gets two entries: `cache` (native code) and `state` (the database). Run it again and
 * the counter goes on from a new contract; the compiled code is found in the cache. */
#include <smelt/smelt.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_BYTES_MAX ((size_t)1 << 20)

/* Everything the program holds; zeroes are fine to release. */
struct node {
    struct smelt_cache *cache;
    struct smelt_schedule *schedule;
    struct smelt_compiler *compiler;
    struct smelt_store *store;
    struct smelt_engine *engine;
};

static enum smelt_status open_node(struct node *node, const char *directory,
                                   struct smelt_error *err)
{
    char cache[512];
    char state[512];
    (void)snprintf(cache, sizeof(cache), "%s/cache", directory);
    (void)snprintf(state, sizeof(state), "%s/state", directory);

    enum smelt_status status = smelt_cache_open(cache, &node->cache, err);
    if (status == SMELT_STATUS_OK) {
        status = smelt_schedule_builtin("engine-v1", &smelt_profile_engine, &node->schedule, err);
    }
    if (status == SMELT_STATUS_OK) {
        struct smelt_compiler_options options = {.cache = node->cache, .schedule = node->schedule};
        status = smelt_compiler_create(&options, &node->compiler, err);
    }
    if (status == SMELT_STATUS_OK) {
        status = smelt_store_open_rocksdb(state, NULL, &node->store, err);
    }
    if (status == SMELT_STATUS_OK) {
        struct smelt_engine_options options = {.store = node->store,
                                               .schedule = node->schedule,
                                               .source = smelt_compiler_source(node->compiler)};
        status = smelt_engine_create(&options, &node->engine, err);
    }
    return status;
}

static void close_node(struct node *node)
{
    smelt_engine_destroy(node->engine);
    smelt_store_close(node->store);
    smelt_compiler_destroy(node->compiler);
    smelt_schedule_destroy(node->schedule);
    smelt_cache_close(node->cache);
}

static void print_receipt(const char *what, const struct smelt_receipt *receipt)
{
    char value[SMELT_VALUE_TEXT_BYTES] = "-";
    if (receipt->result_count == 1) {
        smelt_value_format(receipt->results[0], value);
    }
    printf("%-9s %s  result %s  fuel %" PRIu64 "  writes %" PRIu64 "\n", what,
           smelt_outcome_name(receipt->outcome.kind), value, receipt->fuel_used,
           receipt->write_count);
}

static enum smelt_status run(struct node *node, struct smelt_slice wasm, struct smelt_error *err)
{
    struct smelt_transaction transaction = {
        .from = {{0xa1}}, .block_number = 1, .block_timestamp = 1700000000};
    struct smelt_receipt *receipt = NULL;
    enum smelt_status status = smelt_deploy(node->engine, &transaction, wasm, &receipt, err);
    if (status != SMELT_STATUS_OK) {
        return status;
    }
    print_receipt("deploy", receipt);
    struct smelt_address contract = receipt->address;
    smelt_receipt_destroy(receipt);

    for (int i = 0; i < 3; i++) {
        transaction.block_number++;
        status =
            smelt_call(node->engine, &transaction, &contract, "increment", NULL, 0, &receipt, err);
        if (status != SMELT_STATUS_OK) {
            return status;
        }
        print_receipt("increment", receipt);
        smelt_receipt_destroy(receipt);
    }
    return SMELT_STATUS_OK;
}

/* The whole file; NULL when it cannot be read or has more than TEXT_BYTES_MAX. */
static char *read_text(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *text = file != NULL ? malloc(TEXT_BYTES_MAX + 1) : NULL;
    bool is_whole = false;
    if (text != NULL) {
        *size = fread(text, 1, TEXT_BYTES_MAX + 1, file);
        is_whole = ferror(file) == 0 && *size <= TEXT_BYTES_MAX;
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (!is_whole) {
        free(text);
        return NULL;
    }
    return text;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        (void)fprintf(stderr, "usage: %s <contract.wat> <directory>\n", argv[0]);
        return 2;
    }
    size_t size = 0;
    char *text = read_text(argv[1], &size);
    if (text == NULL) {
        (void)fprintf(stderr, "embed: cannot read %s\n", argv[1]);
        return 1;
    }
    struct smelt_slice wat = {(const uint8_t *)text, size};
    struct smelt_buf wasm = {0};
    struct node node = {0};
    struct smelt_error err = {0};

    enum smelt_status status = smelt_wat_to_wasm(wat, &wasm, &err);
    if (status == SMELT_STATUS_OK) {
        status = open_node(&node, argv[2], &err);
    }
    if (status == SMELT_STATUS_OK) {
        status = run(&node, (struct smelt_slice){wasm.data, wasm.size}, &err);
    }
    if (status != SMELT_STATUS_OK) {
        (void)fprintf(stderr, "embed: %s: %s\n", smelt_status_name(status), err.message);
    }
    close_node(&node);
    smelt_buf_deinit(&wasm);
    free(text);
    return status == SMELT_STATUS_OK ? 0 : 1;
}
