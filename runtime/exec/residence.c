/* Counting by getrusage. Both counts are added up: a fault that had to wait for a page in swap is a
 * major one. The kernel attributes a fault to the thread that caused it, also within a system call
 * (read(2) into guest memory), and when it is done: in mm_account_fault since Linux 5.9, in each
 * architecture before. */
#include "runtime/exec/residence.h"

#include "runtime/exec/memory.h"
#include "runtime/exec/signals.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PROBES 8u

static atomic_uint_least64_t threads;

/* Of the calling thread. False where the kernel does not say. */
static bool count_faults(uint64_t *out)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0) {
        return false;
    }
    *out = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
    return true;
}

/* A page is read first, which may or may not be a fault, then written, which has to be one. */
static bool is_counted(volatile uint8_t *pages, size_t page_bytes)
{
    for (size_t i = 0; i < PROBES; i++) {
        volatile uint8_t *page = pages + i * page_bytes;
        uint64_t before;
        uint64_t after;
        if (i % 2 != 0) {
            (void)*page;
        }
        if (!count_faults(&before)) {
            return false;
        }
        *page = 1;
        if (!count_faults(&after) || after == before) {
            return false;
        }
    }
    return true;
}

bool sm_residence_is_counted(void)
{
    size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *pages = mmap(NULL, PROBES * page_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) {
        return false;
    }
    sm_memory_advise((uint8_t *)pages, PROBES * page_bytes);
    bool is_done = is_counted((volatile uint8_t *)pages, page_bytes);
    (void)munmap(pages, PROBES * page_bytes);
    return is_done;
}

uint64_t sm_residence_thread(void)
{
    if (sm_exec_thread.number == 0) {
        sm_exec_thread.number = atomic_fetch_add(&threads, 1) + 1;
    }
    return sm_exec_thread.number;
}

void sm_residence_begin(struct sm_residence *residence)
{
    *residence = (struct sm_residence){.thread = sm_residence_thread(),
                                       .faults = sm_exec_thread.page_faults};
}

void sm_residence_enter(struct sm_residence *residence)
{
    residence->is_lost |= residence->thread != sm_exec_thread.number;
}

bool sm_residence_holds(const struct sm_residence *residence)
{
    return !residence->is_lost && residence->thread == sm_exec_thread.number &&
           count_faults(&sm_exec_thread.page_faults) &&
           sm_exec_thread.page_faults == residence->faults;
}
