/* Finding the tools and telling which they are. */
#ifndef SM_DRIVER_TOOLCHAIN_H
#define SM_DRIVER_TOOLCHAIN_H

#include <smelt/bytes.h>
#include <smelt/status.h>

#include <stdbool.h>

#define SM_TOOL_PATH_BYTES 4096

enum sm_tool { SM_TOOL_WASM2C, SM_TOOL_CC, SM_TOOL_LINKER, SM_TOOL_WAT2WASM, SM_TOOL_COUNT };

/* The two families of C compilers. They take different flags, and tell the sizes of frames in
 * different files. */
enum sm_cc_family { SM_CC_CLANG, SM_CC_GCC };

/* Absolute path of a tool: `given`, else its environment variable (either is a path, or a name that
 * is looked for in $PATH first), else the first of its names in $PATH, newest supported version
 * first; of C compilers, only clang is looked for. The linker is the ld.lld beside `cc_path`.
 * TOOL_MISSING says what was looked for and which package has it. */
enum smelt_status sm_toolchain_find(enum sm_tool tool, const char *given, char *out,
                                    struct smelt_error *err);
enum smelt_status sm_toolchain_find_linker(const char *cc_path, char *out, struct smelt_error *err);

/* What was asked for: `given`, else the environment variable's value; NULL: any will do. */
const char *sm_toolchain_wanted(enum sm_tool tool, const char *given);

/* An ELF executable, and not a script that runs another one? */
bool sm_toolchain_is_program(const char *path);

/* Digest of the program's identity on this machine (real path, device, inode, size, times): when it
 * is the same, the version is the same and need not be asked again. */
enum smelt_status sm_toolchain_identity(const char *path, struct smelt_hash *out,
                                        struct smelt_error *err);

/* First line of `path --version`, checked against the versions that are supported: TOOL_VERSION
 * names those. */
enum smelt_status sm_toolchain_version(enum sm_tool tool, const char *path,
                                       struct smelt_buf *version, struct smelt_error *err);
/* The same check for a version line that was remembered. */
enum smelt_status sm_toolchain_check_version(enum sm_tool tool, const char *path,
                                             struct smelt_slice version, struct smelt_error *err);
/* Of the C compiler with that version line, which has been checked. */
enum sm_cc_family sm_toolchain_cc_family(struct smelt_slice version);

#endif
