/* Files the program reads and writes. Outputs are written beside their destination and renamed when
 * everything has succeeded:
 *
 *     cli_outfile_check(&file, path, input, &err); before any work: is there a place for it?
 *     cli_outfile_stage(&file, content, &err);     temporary file, complete and on disk
 *     cli_outfile_commit(&file, &err);             rename
 *     cli_outfile_discard(&file);                  always; removes what was not committed */
#ifndef SMELT_CLI_FILES_H
#define SMELT_CLI_FILES_H

#include <smelt/bytes.h>
#include <smelt/status.h>

#include <stdbool.h>

/* Owned bytes from the C library's allocator. */
struct cli_bytes {
    uint8_t *data;
    size_t size;
};

void cli_bytes_deinit(struct cli_bytes *bytes);
struct smelt_slice cli_bytes_view(const struct cli_bytes *bytes);

/* Whole content of a file, pipes included; "-" is standard input. More than `size_max` bytes is
 * INVALID_ARGUMENT. */
enum smelt_status cli_file_read(const char *path, size_t size_max, struct cli_bytes *out,
                                struct smelt_error *err);
enum smelt_status cli_fd_read(int fd, const char *name, size_t size_max, struct cli_bytes *out,
                              struct smelt_error *err);

struct cli_outfile {
    const char *path; /* NULL: nothing is written */
    char *temp;       /* name of the staged file, NULL when there is none */
};

/* Do both names lead to the same file, or would they once it is written? */
bool cli_is_same_file(const char *a, const char *b);

/* `input` is a file that the command reads, and that no output may replace; NULL: none. */
enum smelt_status cli_outfile_check(struct cli_outfile *file, const char *path, const char *input,
                                    struct smelt_error *err);
enum smelt_status cli_outfile_stage(struct cli_outfile *file, struct smelt_slice content,
                                    struct smelt_error *err);
enum smelt_status cli_outfile_commit(struct cli_outfile *file, struct smelt_error *err);
void cli_outfile_discard(struct cli_outfile *file);

#endif
