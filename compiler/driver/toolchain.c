/* One row per tool: names to look for, the variable that overrides them, the package, the supported
 * versions. */
#include "compiler/driver/toolchain.h"

#include "base/bytes.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/status.h"
#include "compiler/driver/process.h"

#include <errno.h>
#include <fcntl.h>
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
    [SM_TOOL_WASM2C] = {"wasm2c", "SMELT_WASM2C", {"wasm2c"}, "wabt", "wasm2c 1.0.32", {"1.0.32"}},
    [SM_TOOL_CC] = {"clang",
                    "SMELT_CC",
                    {"clang-19", "clang-14", "clang"},
                    "clang-19",
                    "clang 14 to 19, gcc 12",
                    {"clang version 19.", "clang version 18.", "clang version 17.",
                     "clang version 16.", "clang version 15.", "clang version 14."}},
    [SM_TOOL_LINKER] = {"ld.lld",
                        "SMELT_LD",
                        {"ld.lld-19", "ld.lld-14", "ld.lld"},
                        "lld-19",
                        "ld.lld 14 to 19",
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

const char *sm_toolchain_wanted(enum sm_tool tool, const char *given)
{
    const char *wanted = given != NULL ? given : getenv(tools[tool].variable);
    return wanted != NULL && wanted[0] != '\0' ? wanted : NULL; /* empty is unset */
}

enum smelt_status sm_toolchain_find(enum sm_tool tool, const char *given, char *out,
                                    struct smelt_error *err)
{
    const struct tool_row *row = &tools[tool];
    const char *chosen = sm_toolchain_wanted(tool, given);
    out[0] = '\0';
    if (chosen != NULL && strchr(chosen, '/') == NULL && search_path(chosen, out)) {
        return SMELT_STATUS_OK;
    }
    if (chosen != NULL) {
        enum smelt_status status = absolute(chosen, out, err);
        if (status != SMELT_STATUS_OK || is_executable(out)) {
            return status;
        }
        return sm_error_set(
            err, SMELT_STATUS_TOOL_MISSING, WHERE, "%s is not an executable file%s%s", chosen,
            given == NULL ? "; it comes from $" : "", given == NULL ? row->variable : "");
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

enum smelt_status sm_toolchain_find_linker(const char *cc_path, char *out, struct smelt_error *err)
{
    char real[PATH_MAX];
    if (getenv(tools[SM_TOOL_LINKER].variable) == NULL && realpath(cc_path, real) != NULL &&
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

bool sm_toolchain_is_program(const char *path)
{
    static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};
    uint8_t start[sizeof(magic)];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_program = fd >= 0 && read(fd, start, sizeof(start)) == (ssize_t)sizeof(start) &&
                      memcmp(start, magic, sizeof(magic)) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return is_program;
}

/* "<name> (<vendor>) 12.<minor>.<patch>", where the name is the one it was run by: "cc" here, what
 * a wrapper chose there. */
static bool is_gcc(struct smelt_slice version)
{
    static const char end[] = ") 12.";
    const uint8_t *space =
        version.size != 0 ? (const uint8_t *)memchr(version.data, ' ', version.size) : NULL;
    const uint8_t *name_end = space != NULL ? space : version.data;
    size_t name_size = (size_t)(name_end - version.data);
    const uint8_t *vendor = NULL;
    for (size_t i = name_size; i < version.size; i++) {
        vendor = version.data[i] == ')' ? version.data + i : vendor;
    }
    return name_size != 0 && memmem(version.data, name_size, "cc", 2) != NULL && vendor != NULL &&
           name_size + 1 < version.size && version.data[name_size + 1] == '(' &&
           sm_slice_has_prefix(sm_slice(vendor, version.size - (size_t)(vendor - version.data)),
                               smelt_slice_from_string(end));
}

enum sm_cc_family sm_toolchain_cc_family(struct smelt_slice version)
{
    return is_gcc(version) ? SM_CC_GCC : SM_CC_CLANG;
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
    if (row->versions[0] == NULL || (tool == SM_TOOL_CC && is_gcc(version))) {
        return SMELT_STATUS_OK;
    }
    return sm_error_set(err, SMELT_STATUS_TOOL_VERSION, WHERE,
                        "%s is \"%.*s\"; supported versions: %s (package %s)", path,
                        (int)version.size, (const char *)version.data, row->supported,
                        row->package);
}

enum smelt_status sm_toolchain_version(enum sm_tool tool, const char *path,
                                       struct smelt_buf *version, struct smelt_error *err)
{
    /* gcc repeats the name it is run by: one name for all, so that links to it are the same tool */
    const char *const argv[] = {tool == SM_TOOL_CC ? "cc" : tools[tool].label, "--version", NULL};
    const struct sm_process process = {.path = path, .argv = argv, .cpu_seconds = 10};
    struct sm_process_result result = {0};
    enum smelt_status status = SMELT_STATUS_OK;
    struct smelt_slice line = {0};
    SMELT_TRY(sm_process_run(&process, &result, err));
    if (result.exit_code > 0) {
        status =
            sm_error_set(err, SMELT_STATUS_TOOL_FAILED, WHERE,
                         "%s --version failed with exit code %d; wanted here is %s (package %s)",
                         path, result.exit_code, tools[tool].supported, tools[tool].package);
        goto cleanup;
    }
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
