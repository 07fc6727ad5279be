/* Resets that do not ask the kernel: nothing of one activation is visible to the next, whoever
 * wrote it, from whichever thread, in whatever order; and calls that write where the ones before
 * have written do without the question. */
#include "tests/support/cmocka_all.h"
#include "tests/unit/runtime/guest.h"

#include "runtime/exec/activation.h"
#include "runtime/exec/signals.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define FUEL   UINT64_C(100000000)
#define PAGES  8u /* of the module: more than are remembered */
#define MEMORY (PAGES * (size_t)65536)

/* ---- another thread, which lives as long as the test: one that is made makes page faults ---- */

enum errand { ERRAND_WRITE, ERRAND_STORE, ERRAND_DESTROY, ERRAND_END };

struct helper {
    pthread_t thread;
    sem_t wanted;
    sem_t done;
    enum errand errand;
    struct sm_activation *activation;
    uint32_t address;
};

static enum sm_exec_end store(struct sm_activation *activation, uint32_t address)
{
    uint64_t slots[2] = {address, 0x5a5a5a5a};
    struct sm_exec_result result;
    sm_exec_invoke(
        activation,
        sm_exec_find_export(sm_exec_module_of(activation), smelt_slice_from_string("store")), slots,
        &result);
    return result.end;
}

static void write_directly(struct sm_activation *activation, uint32_t address)
{
    uint64_t size;
    memset(sm_exec_memory(activation, &size) + address, 0xa5, 4);
}

static void *help(void *argument)
{
    struct helper *helper = (struct helper *)argument;
    for (;;) {
        (void)sem_wait(&helper->wanted);
        switch (helper->errand) {
        case ERRAND_WRITE:
            write_directly(helper->activation, helper->address);
            break;
        case ERRAND_STORE:
            (void)store(helper->activation, helper->address);
            break;
        case ERRAND_DESTROY:
            sm_exec_destroy(helper->activation);
            break;
        case ERRAND_END:
            return NULL;
        }
        (void)sem_post(&helper->done);
    }
}

static void send(struct helper *helper, enum errand errand, struct sm_activation *activation,
                 uint32_t address)
{
    helper->errand = errand;
    helper->activation = activation;
    helper->address = address;
    (void)sem_post(&helper->wanted);
    (void)sem_wait(&helper->done);
}

static void helper_init(struct helper *helper)
{
    (void)sem_init(&helper->wanted, 0, 0);
    (void)sem_init(&helper->done, 0, 0);
    assert_int_equal(pthread_create(&helper->thread, NULL, help, helper), 0);
}

static void helper_deinit(struct helper *helper)
{
    helper->errand = ERRAND_END;
    (void)sem_post(&helper->wanted);
    assert_int_equal(pthread_join(helper->thread, NULL), 0);
    (void)sem_destroy(&helper->wanted);
    (void)sem_destroy(&helper->done);
}

/* ---- modules and their hosts -------------------------------------------------------------- */

struct meddler {
    struct helper *helper; /* NULL: the host function writes itself */
    uint32_t address;
};

/* A host function that writes a result. */
static enum sm_exec_action meddle(void *context, struct sm_activation *activation, uint32_t import,
                                  uint64_t *slots)
{
    const struct meddler *meddler = (const struct meddler *)context;
    (void)import;
    (void)slots;
    if (meddler->helper != NULL) {
        sm_exec_announce(activation, meddler->address, 4);
        send(meddler->helper, ERRAND_WRITE, activation, meddler->address);
    } else {
        write_directly(activation, meddler->address);
    }
    return SM_EXEC_CONTINUE;
}

static struct sm_exec_module *load(struct sm_exec_pool *pool)
{
    static const struct guest_patch patches[] = {
        PATCH("smelt_descriptor", struct sm_descriptor, memory_min, PAGES),
        PATCH("smelt_descriptor", struct sm_descriptor, memory_max, PAGES + 4),
    };
    struct sm_exec_module *module;
    int fd = guest_open("guest_all.so", patches, 2);
    assert_int_equal(sm_exec_load(pool, fd, &guest_all_key, &guest_all_hash, &module, NULL),
                     SMELT_STATUS_OK);
    (void)close(fd);
    return module;
}

static struct sm_exec_pool *create_pool(void)
{
    struct sm_exec_pool *pool;
    assert_int_equal(sm_exec_pool_create(NULL, &pool, NULL), SMELT_STATUS_OK);
    return pool;
}

static struct sm_activation *create(struct sm_exec_module *module, struct meddler *meddler)
{
    const struct sm_exec_host host = {.call = meddle, .context = meddler};
    struct sm_activation *activation;
    return sm_exec_create(module, &host, FUEL, &activation, NULL) == SMELT_STATUS_OK ? activation
                                                                                     : NULL;
}

static enum sm_exec_end run(struct sm_activation *activation, const char *name, uint64_t argument)
{
    uint64_t slots[2] = {argument, 0};
    struct sm_exec_result result;
    sm_exec_invoke(
        activation,
        sm_exec_find_export(sm_exec_module_of(activation), smelt_slice_from_string(name)), slots,
        &result);
    return result.end;
}

static bool is_fresh(const struct sm_activation *activation)
{
    static uint8_t initial[MEMORY];
    uint64_t size;
    const uint8_t *memory = sm_exec_memory(activation, &size);
    memcpy(initial + 16, "smelt", 5);
    memcpy(initial + 65531, "smelt", 5);
    return size == MEMORY && memcmp(memory, initial, MEMORY) == 0;
}

static bool is_counted(void)
{
    return sm_residence_is_counted();
}

/* ---- counting ----------------------------------------------------------------------------- */

static void *enter_elsewhere(void *argument)
{
    sm_residence_enter((struct sm_residence *)argument);
    return NULL;
}

static void faults_are_noticed(void **state)
{
    (void)state;
    struct sm_residence residence;
    struct rusage usage;
    if (!is_counted()) {
        skip();
    }
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    volatile uint8_t *pages = (volatile uint8_t *)mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                                                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal((void *)(uintptr_t)pages, MAP_FAILED);
    pages[0] = 1;
    (void)getrusage(RUSAGE_THREAD, &usage);
    /* nothing has happened: after the first look, which notices what went before */
    bool holds = false;
    for (int i = 0; i < 10 && !holds; i++) {
        sm_residence_begin(&residence);
        sm_residence_enter(&residence);
        pages[0] = 2;
        holds = sm_residence_holds(&residence);
    }
    assert_true(holds);
    sm_residence_begin(&residence);
    pages[page] = 1;
    assert_false(sm_residence_holds(&residence));

    /* another thread, although it makes no fault of ours */
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, enter_elsewhere, &residence), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(residence.is_lost);
    residence.faults = sm_exec_thread.page_faults;
    assert_false(sm_residence_holds(&residence));
    (void)munmap((void *)(uintptr_t)pages, 2 * page);
}

/* ---- isolation ---------------------------------------------------------------------------- */

struct random {
    uint64_t state;
};

static uint32_t below(struct random *random, uint32_t limit)
{
    random->state = random->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random->state >> 33) % limit;
}

/* Mostly where the calls before have been. */
static uint32_t pick_address(struct random *random)
{
    uint32_t page = below(random, 8) != 0 ? below(random, 3) * 29 : below(random, MEMORY / 4096);
    return page * 4096 + below(random, 1023) * 4;
}

/* One of the things that may happen to an activation. */
static void act(struct sm_activation *activation, struct sm_exec_module *module,
                struct meddler *meddler, struct helper *helper, struct random *random)
{
    uint32_t address = pick_address(random);
    struct sm_activation *inner;
    meddler->address = address;
    switch (below(random, 12)) {
    case 0:
        meddler->helper = NULL;
        assert_int_equal(run(activation, "host", 0), SM_EXEC_RETURNED);
        break;
    case 1:
        meddler->helper = helper;
        assert_int_equal(run(activation, "host", 0), SM_EXEC_RETURNED);
        break;
    case 2:
        send(helper, ERRAND_STORE, activation, address);
        break;
    case 3:
        (void)run(activation, "grow", 1);
        assert_int_equal(store(activation, MEMORY + 8), SM_EXEC_RETURNED);
        break;
    case 4: /* the same module once more */
        inner = create(module, meddler);
        assert_non_null(inner);
        assert_true(is_fresh(inner));
        assert_int_equal(store(inner, address), SM_EXEC_RETURNED);
        sm_exec_destroy(inner);
        break;
    case 5:
        assert_int_equal(store(activation, UINT32_MAX - 2), SM_EXEC_TRAPPED);
        break;
    default:
        assert_int_equal(store(activation, address), SM_EXEC_RETURNED);
        break;
    }
}

static void whatever_is_written_is_gone(void **state)
{
    (void)state;
    struct random random = {.state = 1};
    struct helper helper;
    struct meddler meddler = {0};
    uint64_t asked = 0;
    uint64_t calls = 0;
    helper_init(&helper);
    for (int pools = 0; pools < 40; pools++) { /* what is known grows: begin anew */
        struct sm_exec_pool *pool = create_pool();
        struct sm_exec_module *module = load(pool);
        for (int i = 0; i < 100; i++) {
            struct sm_activation *activation = create(module, &meddler);
            assert_non_null(activation);
            assert_true(is_fresh(activation));
            for (uint32_t actions = below(&random, 4); actions != 0; actions--) {
                act(activation, module, &meddler, &helper, &random);
            }
            if (below(&random, 10) == 0) {
                send(&helper, ERRAND_DESTROY, activation, 0);
            } else {
                sm_exec_destroy(activation);
            }
            calls++;
        }
        asked += sm_exec_pool_figures(pool).asked;
        sm_exec_release(module);
        sm_exec_pool_destroy(pool);
    }
    helper_deinit(&helper);
    /* both ways have been tried */
    assert_true(asked > 0);
    assert_true(!is_counted() || asked < calls);
}

static void equal_calls_do_not_ask(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool();
    struct sm_exec_module *module = load(pool);
    struct meddler meddler = {.address = 70000};
    enum { CALLS = 1000 };
    for (int i = 0; i < CALLS; i++) {
        struct sm_activation *activation = create(module, &meddler);
        assert_non_null(activation);
        for (uint32_t page = 0; page < 14; page++) {
            (void)store(activation, page * 3 * 4096);
        }
        (void)run(activation, "host", 0);
        sm_exec_destroy(activation);
    }
    uint64_t asked = sm_exec_pool_figures(pool).asked;
    assert_true(asked > 0);
    if (is_counted() && !SM_HAS_TSAN && !SM_HAS_ASAN) { /* which make faults of their own */
        assert_true(asked < CALLS / 10);
    }
    struct sm_activation *activation = create(module, &meddler);
    assert_true(is_fresh(activation));
    sm_exec_destroy(activation);
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
}

/* A range that nobody has written before, written by a thread whose faults are not counted. */
static void announced_writes_are_gone(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool();
    struct sm_exec_module *module = load(pool);
    struct helper helper;
    helper_init(&helper);
    struct meddler meddler = {.helper = &helper, .address = 4096};
    for (uint32_t page = 1; page < MEMORY / 4096; page++) {
        meddler.address = page * 4096 - 2; /* two pages */
        for (int i = 0; i < 3; i++) {
            struct sm_activation *activation = create(module, &meddler);
            assert_non_null(activation);
            assert_true(is_fresh(activation));
            assert_int_equal(run(activation, "host", 0), SM_EXEC_RETURNED);
            assert_false(is_fresh(activation));
            sm_exec_destroy(activation);
        }
    }
    helper_deinit(&helper);
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
}

/* In a child the counts begin anew, and may be equal by chance: here they are. */
static void counts_of_a_parent_are_not_believed(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool();
    struct sm_exec_module *module = load(pool);
    struct meddler meddler = {0};
    for (int i = 0; i < 3; i++) {
        struct sm_activation *activation = create(module, &meddler);
        (void)store(activation, 4096);
        sm_exec_destroy(activation);
    }
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool is_good = true;
        for (uint32_t page = 0; is_good && page < MEMORY / 4096; page++) {
            struct rusage usage;
            struct sm_activation *activation = create(module, &meddler);
            is_good = activation != NULL && is_fresh(activation) &&
                      store(activation, page * 4096) == SM_EXEC_RETURNED &&
                      getrusage(RUSAGE_THREAD, &usage) == 0;
            if (is_good) {
                activation->residence.faults =
                    (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
                sm_exec_destroy(activation);
            }
        }
        _exit(is_good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
}

/* What one thread leaves, another finds rather than making one of its own. */
static void *take_and_give(void *argument)
{
    struct meddler meddler = {0};
    struct sm_activation *activation = create((struct sm_exec_module *)argument, &meddler);
    bool is_good = activation != NULL && is_fresh(activation) &&
                   store(activation, 9 * 4096) == SM_EXEC_RETURNED;
    sm_exec_destroy(activation);
    return is_good ? argument : NULL;
}

static void threads_find_what_others_leave(void **state)
{
    (void)state;
    struct sm_exec_pool *pool = create_pool();
    struct sm_exec_module *module = load(pool);
    for (int i = 0; i < 40; i++) { /* more than there are shards */
        pthread_t thread;
        void *result;
        assert_int_equal(pthread_create(&thread, NULL, take_and_give, module), 0);
        assert_int_equal(pthread_join(thread, &result), 0);
        assert_non_null(result);
    }
    assert_int_equal(sm_exec_pool_figures(pool).made, 1);
    assert_int_equal(sm_exec_pool_figures(pool).in_use, 0);
    sm_exec_release(module);
    sm_exec_pool_destroy(pool);
}

/* The last user of a module may be an activation, in another thread than the one that released it.
 */
static void modules_go_with_their_last_activation(void **state)
{
    (void)state;
    struct helper helper;
    helper_init(&helper);
    struct meddler meddler = {0};
    struct sm_exec_pool *pool = create_pool();
    for (int i = 0; i < 20; i++) {
        struct sm_exec_module *module = load(pool);
        struct sm_activation *first = create(module, &meddler);
        struct sm_activation *second = create(module, &meddler);
        assert_int_equal(sm_exec_pool_figures(pool).in_use, 2);
        sm_exec_release(module);
        assert_int_equal(store(first, 4096), SM_EXEC_RETURNED);
        sm_exec_destroy(first);
        assert_int_equal(store(second, 4096), SM_EXEC_RETURNED);
        send(&helper, ERRAND_DESTROY, second, 0);
        assert_int_equal(sm_exec_pool_figures(pool).in_use, 0);
        assert_int_equal(sm_exec_pool_figures(pool).idle_bytes, 0);
    }
    sm_exec_pool_destroy(pool);
    helper_deinit(&helper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faults_are_noticed),
        cmocka_unit_test(whatever_is_written_is_gone),
        cmocka_unit_test(equal_calls_do_not_ask),
        cmocka_unit_test(announced_writes_are_gone),
        cmocka_unit_test(counts_of_a_parent_are_not_believed),
        cmocka_unit_test(threads_find_what_others_leave),
        cmocka_unit_test(modules_go_with_their_last_activation),
    };
    return cmocka_run_group_tests_name("exec_residence", tests, NULL, NULL);
}
