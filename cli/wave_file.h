/* Wave files: a wave as JSON, written by people and programs. docs/waves.md has the format.
 *
 *     struct cli_wave_file file = {0};
 *     CLI_TRY(cli_wave_file_read(path, &file, &err));
 *     file.wave.number = …               when !file.has_number
 *     smelt_wave_run(engine, &file.wave, …);
 *     cli_wave_file_deinit(&file);
 *
 * The reader is strict: what is unknown, missing, doubled, of another type or out of range is
 * INVALID_ARGUMENT, with a message that names the file, the place in it, as
 * "transactions[3].nonce", what is wrong there and what belongs there. */
#ifndef SMELT_CLI_WAVE_FILE_H
#define SMELT_CLI_WAVE_FILE_H

#include <smelt/wave.h>

#include <jansson.h>

#define CLI_WAVE_FILE_BYTES_MAX  ((size_t)64 << 20)
#define CLI_WAVE_FILE_VALUES_MAX 4194304u /* arrays, objects and their members: bounds memory */

struct cli_wave_content;
struct cli_wave_module;

/* Not to be copied: `wave` points into it. */
struct cli_wave_file {
    struct smelt_wave wave; /* number and timestamp are 0 when the file has none */
    bool has_number;
    bool has_timestamp;
    struct smelt_address fee_recipient;
    struct smelt_hash expected_digest;
    /* owned */
    json_t *root; /* functions and paths are views of its strings */
    struct smelt_wave_transaction *transactions;
    struct cli_wave_content *contents; /* what a transaction points to, one for each */
    struct cli_wave_module *modules;   /* one for each path that is named */
    size_t module_count;
};

/* Reads, parses and loads; "-" is standard input, whose modules are looked for in the working
 * directory. `file` is zeroed before, and may be deinitialised after a failure. */
enum smelt_status cli_wave_file_read(const char *path, struct cli_wave_file *file,
                                     struct smelt_error *err);

/* Only the text: `wasm` of deploys and upgrades is empty. `name` is for messages. */
enum smelt_status cli_wave_file_parse(const char *name, struct smelt_slice text,
                                      struct cli_wave_file *file, struct smelt_error *err);
/* The modules that a parsed file names, by paths relative to `directory`; each path is read once.
 */
enum smelt_status cli_wave_file_load(const char *name, const char *directory,
                                     struct cli_wave_file *file, struct smelt_error *err);

void cli_wave_file_deinit(struct cli_wave_file *file);

/* The path that transaction `index` names as its module; NULL when it has none. */
const char *cli_wave_file_module_path(const struct cli_wave_file *file, size_t index);

#endif
