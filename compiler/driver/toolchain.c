/* One row per tool: names to look for, the variable that overrides them, the package, the supported
 * versions. */
#include "compiler/driver/toolchain.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/status.h"
#include "compiler/driver/process.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHERE "toolchain"

static const struct tool_row {
    const char *label;
    const char *variable;
    const char *names[4];
    const char *package;
    const char *supported; /* for messages */
    const char
        *versions[8]; /* substrings of the version line, one of which must occur; none: any */
} tools[SM_TOOL_COUNT] = {
    [SM_TOOL_WASM2C] = {"wasm2c", "SMELT_WASM2C", {"wasm2c"}, "wabt", "1.0.32", {"1.0.32"}},
    [SM_TOOL_CLANG] = {"clang",
                       "SMELT_CLANG",
                       {"clang-19", "clang-14", "clang"},
                       "clang-19",
                       "14 to 19",
                       {"clang version 19.", "clang version 18.", "clang version 17.",
                        "clang version 16.", "clang version 15.", "clang version 14."}},
    [SM_TOOL_LINKER] = {"ld.lld",
                        "SMELT_LD",
                        {"ld.lld-19", "ld.lld-14", "ld.lld"},
                        "lld-19",
                        "14 to 19",
                        {"LLD 19.", "LLD 18.", "LLD 17.", "LLD 16.", "LLD 15.", "LLD 14."}},
    [SM_TOOL_WAT2WASM] = {"wat2wasm", "SMELT_WAT2WASM", {"wat2wasm"}, "wabt", "any", {NULL}},
};

static bool is_executable(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

static enum smelt_status absolute(const char *path, char *out, struct smelt_error *err)
{
    if (path[0] == '/') {
        return sm_fs_path(out, SM_TOOL_PATH_BYTES, err, "%s", path);
    }
    char here[PATH_MAX];
    if (getcwd(here, sizeof(here)) == NULL) {
        return sm_error_set_errno(err, SMELT_STATUS_IO, errno, WHERE, "cannot read the directory");
    }
    return sm_fs_path(out, SM_TOOL_PATH_BYTES, err, "%s/%s", here, path);
}

static bool search_path(const char *name, char *out)
{
    const char *at = getenv("PATH");
    for (at = at != NULL ? at : "/usr/local/bin:/usr/bin:/bin"; *at != '\0';) {
        size_t length = strcspn(at, ":");
        int size = snprintf(out, SM_TOOL_PATH_BYTES, "%.*s/%s", (int)length, at, name);
        /* a relative entry would depend on the working directory: not for a compiler */
        if (*at == '/' && size > 0 && size < SM_TOOL_PATH_BYTES && is_executable(out)) {
            return true;
        }
        at += length;
        at += *at == ':';
    }
    return false;
}

enum smelt_status sm_toolchain_find(enum sm_tool tool, const char *given, char *out,
                                    struct smelt_error *err)
{
    const struct tool_row *row = &tools[tool];
    const char *variable = given == NULL ? getenv(row->variable) : NULL;
    const char *chosen = given != NULL ? given : variable;
    out[0] = '\0';
    if (chosen != NULL && chosen[0] != '\0') {
        enum smelt_status status = absolute(chosen, out, err);
        if (status != SMELT_STATUS_OK || is_executable(out)) {
            return status;
        }
        return sm_error_set(
            err, SMELT_STATUS_TOOL_MISSING, WHERE, "%s is not an executable file%s%s", chosen,
            variable != NULL ? "; it comes from $" : "", variable != NULL ? row->variable : "");
    }
    for (size_t i = 0; i < 4 && row->names[i] != NULL; i++) {
        if (search_path(row->names[i], out)) {
            return SMELT_STATUS_OK;
        }
    }
    out[0] = '\0';
    return sm_error_set(err, SMELT_STATUS_TOOL_MISSING, WHERE,
                        "%s not found in $PATH; install the package %s or set $%s", row->label,
                        row->package, row->variable);
}

enum smelt_status sm_toolchain_find_linker(const char *clang_path, char *out,
                                           struct smelt_error *err)
{
    char real[PATH_MAX];
    if (getenv(tools[SM_TOOL_LINKER].variable) == NULL && realpath(clang_path, real) != NULL &&
        sm_fs_path(out, SM_TOOL_PATH_BYTES, err, "%s/ld.lld", dirname(real)) == SMELT_STATUS_OK &&
        is_executable(out)) {
        return SMELT_STATUS_OK;
    }
    return sm_toolchain_find(SM_TOOL_LINKER, NULL, out, err);
}

enum smelt_status sm_toolchain_identity(const char *path, struct smelt_hash *out,
                                        struct smelt_error *err)
{
    struct stat info;
    char real[PATH_MAX];
    if (realpath(path, real) == NULL || stat(real, &info) != 0) {
        return sm_error_set_errno(err, SMELT_STATUS_TOOL_MISSING, errno, WHERE, "cannot stat %s",
                                  path);
    }
    struct sm_digest digest;
    sm_digest_init(&digest, "smelt.tool.v1");
    sm_digest_text(&digest, real);
    sm_digest_u64(&digest, (uint64_t)info.st_dev);
    sm_digest_u64(&digest, (uint64_t)info.st_ino);
    sm_digest_u64(&digest, (uint64_t)info.st_size);
    sm_digest_u64(&digest, (uint64_t)info.st_mtim.tv_sec);
    sm_digest_u64(&digest, (uint64_t)info.st_mtim.tv_nsec);
    sm_digest_u64(&digest, (uint64_t)info.st_ctim.tv_sec);
    sm_digest_u64(&digest, (uint64_t)info.st_ctim.tv_nsec);
    sm_digest_final(&digest, out);
    return SMELT_STATUS_OK;
}

enum smelt_status sm_toolchain_check_version(enum sm_tool tool, const char *path,
                                             struct smelt_slice version, struct smelt_error *err)
{
    const struct tool_row *row = &tools[tool];
    for (size_t i = 0; i < 8 && row->versions[i] != NULL; i++) {
        if (version.size != 0 && memmem(version.data, version.size, row->versions[i],
                                        strlen(row->versions[i])) != NULL) {
            return SMELT_STATUS_OK;
        }
    }
    if (row->versions[0] == NULL) {
        return SMELT_STATUS_OK;
    }
    return sm_error_set(err, SMELT_STATUS_TOOL_VERSION, WHERE,
                        "%s is \"%.*s\"; supported versions of %s: %s (package %s)", path,
                        (int)version.size, (const char *)version.data, row->label, row->supported,
                        row->package);
}

enum smelt_status sm_toolchain_version(enum sm_tool tool, const char *path,
                                       struct smelt_buf *version, struct smelt_error *err)
{
    const char *const argv[] = {tools[tool].label, "--version", NULL};
    const struct sm_process process = {.path = path, .argv = argv, .cpu_seconds = 10};
    struct sm_process_result result = {0};
    enum smelt_status status = SMELT_STATUS_OK;
    struct smelt_slice line = {0};
    SMELT_TRY(sm_process_run(&process, &result, err));
    SMELT_TRY(sm_process_expect_success(&result, tools[tool].label, err));
    line = sm_slice(result.output.data, result.output.size);
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] == '\n') {
            line.size = i;
        }
    }
    SMELT_TRY(sm_toolchain_check_version(tool, path, line, err));
    if (!sm_buf_assign(version, line)) {
        status = sm_error_no_memory(err, WHERE);
    }
cleanup:
    sm_process_result_deinit(&result);
    return status;
}
