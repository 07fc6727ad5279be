/* What reads the ELF files that clang and lld wrote, as objects and as shared objects. */
#include "compiler/driver/elf.h"
#include "hostabi/guest/smelt_abi.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void visit(void *context, const char *name, uint64_t bytes)
{
    size_t *count = (size_t *)context;
    FUZZ_CHECK(name != NULL && bytes != 0, "a frame without a name or size");
    *count += strlen(name);
}

static void check_status(enum smelt_status status, const struct smelt_error *err)
{
    FUZZ_CHECK(status == SMELT_STATUS_OK ||
                   (status == SMELT_STATUS_TOOL_OUTPUT && err->status == status),
               "%s: %s", smelt_status_name(status), err->message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct smelt_error err = {0};
    size_t count = 0;
    check_status(sm_elf_read_frames(sm_slice(data, size), visit, &count, &err), &err);
    check_status(sm_elf_audit(sm_slice(data, size), SM_DESCRIPTOR_SYMBOL, &err), &err);
    return 0;
}
