/* Two ways to the same answer.
 *
 * SCAN, the ioctl of Linux 6.7, walks page tables and reports runs; it skips what was never
 * touched, so a large memory costs little more than a small one (0.5 µs for 64 KiB, 1 µs for 4 MiB,
 * measured). PAGEMAP reads 8 bytes for each page (0.5 µs for 64 KiB, 3 µs for 4 MiB), and cannot
 * tell the zero page from a written one; restoring that one too is harmless.
 *
 * Pages in swap count as private, and so do pages that are being moved: whatever the kernel has
 * instead of the file's page. Huge pages are reported as the pages they are made of.
 *
 * The descriptor keeps showing the process that opened it. In a child made by fork() it would
 * describe the parent's memory, so the owner page, which the kernel clears in a child, is looked at
 * before each question. */
#include "runtime/exec/pagemap.h"

#include "runtime/exec/memory.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* include/uapi/linux/fs.h of Linux 6.7; under names of our own, for newer headers have them too. */
struct scan_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};

struct scan_arguments {
    uint64_t size; /* of this struct */
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t regions;
    uint64_t region_count;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
};

#define SCAN            _IOWR('f', 16, struct scan_arguments)
#define SCAN_IS_FILE    (UINT64_C(1) << 2)
#define SCAN_IS_PRESENT (UINT64_C(1) << 3)
#define SCAN_IS_SWAPPED (UINT64_C(1) << 4)
#define SCAN_IS_ZERO    (UINT64_C(1) << 5)

/* Documentation/admin-guide/mm/pagemap.rst. */
#define ENTRY_IS_FILE    (UINT64_C(1) << 61)
#define ENTRY_IS_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_IS_PRESENT (UINT64_C(1) << 63)

/* Reading entries of more memory than this costs more than dropping it. */
#define READ_BYTES_MAX ((size_t)4 << 20)
#define READ_ENTRIES   512u

static bool find_by_scan(const struct sm_pagemap *pagemap, uintptr_t start, size_t size,
                         struct sm_page_run *out, size_t *count)
{
    struct scan_region regions[SM_PRIVATE_PAGES_MAX + 1];
    struct scan_arguments arguments = {
        .size = sizeof(arguments),
        .start = start,
        .end = start + size,
        .regions = (uintptr_t)regions,
        .region_count = SM_PRIVATE_PAGES_MAX + 1,
        .max_pages = SM_PRIVATE_PAGES_MAX + 1,
        .category_inverted = SCAN_IS_FILE | SCAN_IS_ZERO,
        .category_mask = SCAN_IS_FILE | SCAN_IS_ZERO, /* inverted: neither */
        .category_anyof_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED,
        .return_mask = SCAN_IS_PRESENT | SCAN_IS_SWAPPED,
    };
    int found = ioctl(pagemap->fd, SCAN, &arguments);
    size_t bytes = 0;
    if (found < 0) {
        return false;
    }
    for (size_t i = 0; i < (size_t)found; i++) {
        bytes += regions[i].end - regions[i].start;
    }
    if (bytes / pagemap->page_bytes > SM_PRIVATE_PAGES_MAX) {
        return false;
    }
    for (size_t i = 0; i < (size_t)found; i++) {
        out[i] = (struct sm_page_run){.start = regions[i].start, .end = regions[i].end};
    }
    *count = (size_t)found;
    return true;
}

static bool is_private(uint64_t entry)
{
    return (entry & (ENTRY_IS_PRESENT | ENTRY_IS_SWAPPED)) != 0 && (entry & ENTRY_IS_FILE) == 0;
}

static bool find_by_reading(const struct sm_pagemap *pagemap, uintptr_t start, size_t size,
                            struct sm_page_run *out, size_t *count)
{
    uint64_t entries[READ_ENTRIES];
    size_t runs = 0;
    size_t pages = size / pagemap->page_bytes;
    size_t found = 0;
    if (size > READ_BYTES_MAX) {
        return false;
    }
    for (size_t page = 0; page < pages; page += READ_ENTRIES) {
        size_t wanted = pages - page < READ_ENTRIES ? pages - page : READ_ENTRIES;
        size_t first = start / pagemap->page_bytes + page;
        if (pread(pagemap->fd, entries, wanted * sizeof(entries[0]),
                  (off_t)(first * sizeof(entries[0]))) != (ssize_t)(wanted * sizeof(entries[0]))) {
            return false;
        }
        for (size_t i = 0; i < wanted; i++) {
            if (!is_private(entries[i])) {
                continue;
            }
            if (found++ == SM_PRIVATE_PAGES_MAX) {
                return false;
            }
            uintptr_t address = start + (page + i) * pagemap->page_bytes;
            if (runs == 0 || out[runs - 1].end != address) {
                out[runs++] = (struct sm_page_run){.start = address, .end = address};
            }
            out[runs - 1].end += pagemap->page_bytes;
        }
    }
    *count = runs;
    return true;
}

bool sm_pagemap_is_ours(const struct sm_pagemap *pagemap)
{
    return pagemap->way != SM_EXEC_RESET_DISCARD && *(volatile uint8_t *)pagemap->owner != 0;
}

bool sm_pagemap_find(const struct sm_pagemap *pagemap, const uint8_t *base, size_t size,
                     struct sm_page_run *out, size_t *count)
{
    if (!sm_pagemap_is_ours(pagemap)) {
        return false;
    }
    if (pagemap->way == SM_EXEC_RESET_SCAN) {
        return find_by_scan(pagemap, (uintptr_t)base, size, out, count);
    }
    return find_by_reading(pagemap, (uintptr_t)base, size, out, count);
}

/* The owner page itself is a private page, and the only one: a machine that does not say so is not
 * believed. */
static bool is_answered(struct sm_pagemap *pagemap, enum sm_exec_reset way)
{
    struct sm_page_run runs[SM_PRIVATE_PAGES_MAX];
    size_t count = 0;
    pagemap->way = way;
    return sm_pagemap_find(pagemap, pagemap->owner, pagemap->page_bytes, runs, &count) &&
           count == 1 && runs[0].start == (uintptr_t)pagemap->owner &&
           runs[0].end == runs[0].start + pagemap->page_bytes;
}

void sm_pagemap_init(struct sm_pagemap *pagemap, enum sm_exec_reset wanted)
{
    *pagemap = (struct sm_pagemap){
        .way = SM_EXEC_RESET_DISCARD, .page_bytes = (size_t)sysconf(_SC_PAGESIZE), .fd = -1};
    if (wanted == SM_EXEC_RESET_DISCARD) {
        return;
    }
    void *owner =
        mmap(NULL, pagemap->page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (owner == MAP_FAILED) {
        return;
    }
    pagemap->owner = (uint8_t *)owner;
    *pagemap->owner = 1;
    pagemap->fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap->fd >= 0 && madvise(owner, pagemap->page_bytes, MADV_WIPEONFORK) == 0) {
        if (wanted != SM_EXEC_RESET_PAGEMAP && is_answered(pagemap, SM_EXEC_RESET_SCAN)) {
            return;
        }
        if (wanted != SM_EXEC_RESET_SCAN && is_answered(pagemap, SM_EXEC_RESET_PAGEMAP)) {
            return;
        }
    }
    sm_pagemap_deinit(pagemap);
    pagemap->way = SM_EXEC_RESET_DISCARD;
}

void sm_pagemap_deinit(struct sm_pagemap *pagemap)
{
    if (pagemap->fd >= 0) {
        (void)close(pagemap->fd);
    }
    if (pagemap->owner != NULL) {
        (void)munmap(pagemap->owner, pagemap->page_bytes);
    }
    pagemap->fd = -1;
    pagemap->owner = NULL;
}
