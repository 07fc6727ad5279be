/* Files as the rest of the tree needs them: whole reads, atomic publishes, directories. Every
 * function names the path in its error. Descriptors are close-on-exec. */
#ifndef SM_BASE_FS_H
#define SM_BASE_FS_H

#include <smelt/bytes.h>
#include <smelt/status.h>

#include <sys/types.h>

/* Reads a regular file of at most `size_max` bytes; replaces the content of `out`. Symbolic links
 * are followed. NOT_FOUND when missing, IO when it is a directory, FIFO or device. */
enum smelt_status sm_fs_read_file(const char *path, size_t size_max, struct smelt_buf *out,
                                  struct smelt_error *err);

/* The same from an open descriptor, from its start. */
enum smelt_status sm_fs_read_fd(int fd, const char *name, size_t size_max, struct smelt_buf *out,
                                struct smelt_error *err);

enum smelt_status sm_fs_write_fd(int fd, const char *name, struct smelt_slice data,
                                 struct smelt_error *err);

/* Writes a temporary file beside `path`, fsyncs it, renames it over `path`, fsyncs the directory.
 * At any instant `path` holds the old or the new content, whole; on failure no temporary file
 * stays. */
enum smelt_status sm_fs_publish(const char *path, struct smelt_slice data, mode_t mode,
                                struct smelt_error *err);

/* The halves of a publish, for callers that replace several files together: stage all of them, so
 * that a full disk is met before anything is visible, then commit each, then discard on every path;
 * after a commit that does nothing. Zero-initialise. */
struct sm_fs_staged {
    char temp[4096]; /* "" when nothing is staged */
};
enum smelt_status sm_fs_stage(struct sm_fs_staged *staged, const char *path,
                              struct smelt_slice data, mode_t mode, struct smelt_error *err);
enum smelt_status sm_fs_commit(struct sm_fs_staged *staged, const char *path,
                               struct smelt_error *err);
void sm_fs_discard(struct sm_fs_staged *staged);

/* Makes the entry of `path` in its directory survive a power failure. */
enum smelt_status sm_fs_sync_directory_of(const char *path, struct smelt_error *err);

/* mkdir -p with `mode` for what is created. */
enum smelt_status sm_fs_make_directories(const char *path, mode_t mode, struct smelt_error *err);

/* Removes a file or a directory tree, without following symbolic links out of it. Missing is fine.
 */
enum smelt_status sm_fs_remove_tree(const char *path, struct smelt_error *err);

/* snprintf into a path buffer; IO with ENAMETOOLONG when it does not fit. */
enum smelt_status sm_fs_path(char *out, size_t out_size, struct smelt_error *err,
                             const char *format, ...) SMELT_PRINTF(4, 5);

#endif
