/* A scratch directory that goes away on every path, unless the process is killed. */
#ifndef SM_DRIVER_WORKDIR_H
#define SM_DRIVER_WORKDIR_H

#include <smelt/bytes.h>
#include <smelt/status.h>

struct sm_workdir {
    char path[4096]; /* "" when there is none */
};

/* Below $TMPDIR or /tmp, mode 0700. */
enum smelt_status sm_workdir_create(struct sm_workdir *workdir, struct smelt_error *err);
void sm_workdir_remove(struct sm_workdir *workdir);
enum smelt_status sm_workdir_write(const struct sm_workdir *workdir, const char *name,
                                   struct smelt_slice data, struct smelt_error *err);
/* NO_SPACE when not even a small file can be written any more. */
enum smelt_status sm_workdir_check_space(const struct sm_workdir *workdir, struct smelt_error *err);
/* What a tool was to write; TOOL_OUTPUT when it has not. */
enum smelt_status sm_workdir_read(const struct sm_workdir *workdir, const char *name,
                                  struct smelt_buf *out, struct smelt_error *err);

#endif
