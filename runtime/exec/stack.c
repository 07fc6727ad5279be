/* The guest stack: a mapping of its own, with a guard on either side.
 *
 *      |  PROT_NONE, guard  |  read and write                    |  PROT_NONE, guard  |
 *      |                    |                         <-- grows  |                    |
 *      |                  bottom                           bottom + size              |
 *      +--- GUARD_BYTES ----+---- size, whole machine pages -----+--- GUARD_BYTES ----+
 *
 * The logical limit of the stack ends a contract first, so the guards are never reached by a
 * correct artefact: they are what stands between a wrong frame size and somebody else's memory.
 * Pages are touched on demand; what is not used costs address space only. */
#include "runtime/exec/stack.h"

#include "base/status.h"
#include "runtime/exec/signals.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define WHERE "stack"
/* Wide enough that a frame of a few pages cannot step over it without touching it; a multiple of
 * every machine's page size. */
#define GUARD_BYTES ((size_t)65536)
#define PROBE_BYTES ((size_t)1024)

enum smelt_status sm_stack_init(struct sm_stack *stack, uint64_t bytes, struct smelt_error *err)
{
    memset(stack, 0, sizeof(*stack));
    if (bytes > 2 * SM_STACK_BYTES_MAX) {
        return sm_error_set(err, SMELT_STATUS_INVALID_ARGUMENT, WHERE,
                            "a stack of %ju bytes is too large", (uintmax_t)bytes);
    }
    size_t size = ((size_t)bytes + GUARD_BYTES - 1) / GUARD_BYTES * GUARD_BYTES;
    uint8_t *mapping =
        (uint8_t *)mmap(NULL, size + 2 * GUARD_BYTES, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (mapping == MAP_FAILED) {
        return sm_error_set_errno(err, SMELT_STATUS_NO_MEMORY, errno, WHERE,
                                  "cannot reserve a guest stack of %zu bytes", size);
    }
    stack->bottom = mapping + GUARD_BYTES;
    stack->size = size;
    if (mprotect(stack->bottom, size, PROT_READ | PROT_WRITE) != 0) {
        int saved = errno;
        sm_stack_deinit(stack);
        return sm_error_set_errno(err, SMELT_STATUS_NO_MEMORY, saved, WHERE,
                                  "cannot give the guest stack its %zu bytes", size);
    }
    return SMELT_STATUS_OK;
}

void sm_stack_deinit(struct sm_stack *stack)
{
    if (stack->bottom != NULL) {
        (void)munmap(stack->bottom - GUARD_BYTES, stack->size + 2 * GUARD_BYTES);
    }
    memset(stack, 0, sizeof(*stack));
}

/* A stack that went deep left return addresses below the line. To look for them costs some fifteen
 * nanoseconds and, while the stack is shallow, shows the kernel's zero page. A single frame that
 * spans the bytes without writing to them goes unnoticed until another call is as deep. */
void sm_stack_trim(struct sm_stack *stack)
{
    if (stack->size <= SM_STACK_KEPT_BYTES) {
        return;
    }
    size_t below = stack->size - SM_STACK_KEPT_BYTES;
    const uint8_t *probe = stack->bottom + below - PROBE_BYTES;
    bool is_untouched = probe[0] == 0 && memcmp(probe, probe + 1, PROBE_BYTES - 1) == 0;
    if (!is_untouched) {
        (void)madvise(stack->bottom, below, MADV_DONTNEED);
    }
}

SM_UNINSTRUMENTED bool sm_stack_guards(const struct sm_stack *stack, uintptr_t address)
{
    uintptr_t bottom = (uintptr_t)stack->bottom;
    return bottom != 0 && (address - (bottom - GUARD_BYTES) < GUARD_BYTES ||
                           address - (bottom + stack->size) < GUARD_BYTES);
}
