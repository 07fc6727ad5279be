/* Asking the kernel which pages of a private mapping hold something of their own: written since
 * the mapping was made, or since madvise(MADV_DONTNEED). Pages that still show the mapped file, the
 * zero page, or nothing at all are not private. */
#ifndef SM_EXEC_PAGEMAP_H
#define SM_EXEC_PAGEMAP_H

#include "runtime/exec/exec.h"

#include <stdbool.h>

/* More pages than this are not worth restoring one by one; 1 MiB with pages of 4 KiB. */
#define SM_PRIVATE_PAGES_MAX 256u

struct sm_pagemap {
    enum sm_exec_reset way; /* never AUTO; DISCARD: there is nobody to ask */
    size_t page_bytes;      /* of the machine; divides SM_PAGE_BYTES */
    int fd;
    uint8_t *owner; /* a page that reads as zeroes in a child process */
};

struct sm_page_run {
    uintptr_t start;
    uintptr_t end;
};

/* Never fails: what the machine does not have leads to DISCARD. Read-only afterwards, so threads
 * may share it. */
void sm_pagemap_init(struct sm_pagemap *pagemap, enum sm_exec_reset wanted);
void sm_pagemap_deinit(struct sm_pagemap *pagemap);

/* Whether the process is the one that opened it, and not a child of that. */
bool sm_pagemap_is_ours(const struct sm_pagemap *pagemap);

/* Writes the private pages of [base, base + size), whole pages, as ascending runs to `out` (room
 * for SM_PRIVATE_PAGES_MAX) and their number to `*count`. False when there are more of them than
 * SM_PRIVATE_PAGES_MAX, or when it is not known. */
bool sm_pagemap_find(const struct sm_pagemap *pagemap, const uint8_t *base, size_t size,
                     struct sm_page_run *out, size_t *count);

#endif
