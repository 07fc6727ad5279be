/* Chunks over a few numbered cells: each reads two and writes one, so that nearly all depend on
 * each other. What comes out is what running them in order gives. */
#include "runtime/speculate.h"

#include "tests/support/cmocka_all.h"

#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define CHUNKS 2000
#define LANES  8
#define ROUNDS 50

struct cell {
    atomic_uint_fast64_t value;
    atomic_uint_fast64_t stamp;
};

struct board {
    struct cell cells[64];
    size_t cell_count;
    uint64_t next_stamp;
    size_t published; /* chunks; also checks the order */
    size_t fail_always;
    bool fails_ahead; /* a chunk fails whenever it is not the head */
    atomic_size_t head;
    struct {
        size_t read[2];
        uint64_t stamp[2];
        size_t written;
        uint64_t value;
    } lanes[LANES];
    atomic_size_t executions;
};

static uint64_t mix(uint64_t value)
{
    value ^= value >> 33;
    value *= UINT64_C(0xff51afd7ed558ccd);
    value ^= value >> 33;
    return value;
}

static enum smelt_status execute(void *context, uint32_t lane, size_t chunk,
                                 struct smelt_error *err)
{
    struct board *board = (struct board *)context;
    uint64_t value = chunk;
    atomic_fetch_add(&board->executions, 1);
    if (mix(chunk) % 32 == 0) {
        (void)usleep(50); /* others go ahead, also where one processor is all there is */
    }
    for (size_t i = 0; i < 2; i++) {
        size_t at = mix(3 * chunk + i) % board->cell_count;
        board->lanes[lane].read[i] = at;
        /* the stamp first: a value that is newer than its stamp is found out, not the reverse */
        board->lanes[lane].stamp[i] = atomic_load(&board->cells[at].stamp);
        value = mix(value + atomic_load(&board->cells[at].value));
    }
    board->lanes[lane].written = mix(3 * chunk + 2) % board->cell_count;
    board->lanes[lane].value = value;
    if (chunk == board->fail_always || (board->fails_ahead && atomic_load(&board->head) != chunk)) {
        err->status = SMELT_STATUS_NO_MEMORY;
        return SMELT_STATUS_NO_MEMORY;
    }
    return SMELT_STATUS_OK;
}

static bool is_current(void *context, uint32_t lane)
{
    struct board *board = (struct board *)context;
    bool is_same = true;
    for (size_t i = 0; i < 2; i++) {
        size_t at = board->lanes[lane].read[i];
        is_same = is_same && atomic_load(&board->cells[at].stamp) == board->lanes[lane].stamp[i];
    }
    return is_same;
}

static enum smelt_status publish(void *context, uint32_t lane, size_t chunk,
                                 struct smelt_error *err)
{
    struct board *board = (struct board *)context;
    struct cell *cell = &board->cells[board->lanes[lane].written];
    (void)err;
    assert_int_equal(chunk, board->published);
    board->published++;
    atomic_store(&cell->value, board->lanes[lane].value);
    atomic_store(&cell->stamp, ++board->next_stamp);
    atomic_store(&board->head, chunk + 1);
    return SMELT_STATUS_OK;
}

static void reset(struct board *board, size_t cells)
{
    memset(board, 0, sizeof(*board));
    board->cell_count = cells;
    board->fail_always = SIZE_MAX;
}

static struct sm_speculation speculation_of(struct board *board, size_t chunks, uint32_t lanes)
{
    return (struct sm_speculation){.context = board,
                                   .chunk_count = chunks,
                                   .lane_count = lanes,
                                   .execute = execute,
                                   .is_current = is_current,
                                   .publish = publish};
}

static void run_in_order(struct board *board, size_t chunks)
{
    struct smelt_error err;
    for (size_t chunk = 0; chunk < chunks; chunk++) {
        assert_int_equal(execute(board, 0, chunk, &err), SMELT_STATUS_OK);
        assert_int_equal(publish(board, 0, chunk, &err), SMELT_STATUS_OK);
    }
}

static void assert_same(const struct board *a, const struct board *b)
{
    for (size_t i = 0; i < a->cell_count; i++) {
        assert_int_equal(atomic_load(&a->cells[i].value), atomic_load(&b->cells[i].value));
    }
}

static void with_crew(uint32_t size, void (*test)(struct sm_crew *crew, uint32_t size))
{
    struct sm_crew crew = {0};
    sm_crew_init(&crew);
    assert_int_equal(sm_crew_grow(&crew, size, NULL), SMELT_STATUS_OK);
    test(&crew, size);
    sm_crew_deinit(&crew);
}

static uint64_t retries_of_order;

static void check_order(struct sm_crew *crew, uint32_t size)
{
    static const size_t cells[] = {1, 2, 7, 64};
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        struct board in_order;
        struct board board;
        uint64_t retries = 0;
        reset(&in_order, cells[i]);
        reset(&board, cells[i]);
        run_in_order(&in_order, CHUNKS);
        struct sm_speculation speculation = speculation_of(&board, CHUNKS, LANES);
        assert_int_equal(sm_speculate(&speculation, crew, size, &retries, NULL), SMELT_STATUS_OK);
        assert_int_equal(board.published, CHUNKS);
        assert_int_equal(atomic_load(&board.executions), CHUNKS + retries);
        assert_same(&board, &in_order);
        assert_true(size != 1 || retries == 0);
        retries_of_order += retries;
    }
}

static void test_order(void **state)
{
    (void)state;
    /* the other threads may be slow to come, on a machine that is busy */
    for (size_t round = 0; round == 0 || (retries_of_order == 0 && round < ROUNDS); round++) {
        for (uint32_t size = 1; size <= LANES; size *= 2) {
            with_crew(size, check_order);
        }
    }
    assert_true(retries_of_order != 0);
}

static void check_no_chunks(struct sm_crew *crew, uint32_t size)
{
    struct board board;
    uint64_t retries = 1;
    reset(&board, 4);
    struct sm_speculation speculation = speculation_of(&board, 0, LANES);
    assert_int_equal(sm_speculate(&speculation, crew, size, &retries, NULL), SMELT_STATUS_OK);
    assert_int_equal(retries, 0);
    assert_int_equal(board.published, 0);
}

static void test_no_chunks(void **state)
{
    (void)state;
    with_crew(1, check_no_chunks);
    with_crew(3, check_no_chunks);
}

/* The failure of a chunk is final only when nothing before it was missing. */
static void check_failures_ahead(struct sm_crew *crew, uint32_t size)
{
    struct board in_order;
    uint64_t retries = 0;
    reset(&in_order, 5);
    run_in_order(&in_order, CHUNKS);
    for (size_t round = 0; retries == 0 && round < ROUNDS; round++) {
        struct board board;
        reset(&board, 5);
        board.fails_ahead = true;
        struct sm_speculation speculation = speculation_of(&board, CHUNKS, LANES);
        assert_int_equal(sm_speculate(&speculation, crew, size, &retries, NULL), SMELT_STATUS_OK);
        assert_same(&board, &in_order);
    }
    assert_true(retries != 0);
}

static void test_failures_ahead(void **state)
{
    (void)state;
    with_crew(4, check_failures_ahead);
}

static void check_failure(struct sm_crew *crew, uint32_t size)
{
    for (size_t chunk = 0; chunk < 40; chunk++) {
        struct board board;
        struct smelt_error err = {0};
        uint64_t retries = 0;
        reset(&board, 5);
        board.fail_always = chunk;
        struct sm_speculation speculation = speculation_of(&board, 40, LANES);
        assert_int_equal(sm_speculate(&speculation, crew, size, &retries, &err),
                         SMELT_STATUS_NO_MEMORY);
        assert_int_equal(err.status, SMELT_STATUS_NO_MEMORY);
        assert_int_equal(board.published, chunk);
    }
}

static void test_failure(void **state)
{
    (void)state;
    with_crew(1, check_failure);
    with_crew(4, check_failure);
}

static void count_worker(void *context, uint32_t worker)
{
    atomic_fetch_add((atomic_uint_fast64_t *)context, UINT64_C(1) << (8 * worker));
}

static void test_crew(void **state)
{
    (void)state;
    struct sm_crew crew = {0};
    atomic_uint_fast64_t seen = 0;
    sm_crew_init(&crew);
    sm_crew_run(&crew, 5, count_worker, &seen); /* nobody but the caller yet */
    assert_int_equal(atomic_load(&seen), 0x1);
    assert_int_equal(sm_crew_grow(&crew, 4, NULL), SMELT_STATUS_OK);
    for (uint64_t round = 1; round <= 100; round++) {
        sm_crew_run(&crew, 4, count_worker, &seen);
        sm_crew_run(&crew, 2, count_worker, &seen);
        assert_int_equal(atomic_load(&seen), 1 + round * 0x01010202);
    }
    sm_crew_deinit(&crew);
    sm_crew_deinit(&crew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),          cmocka_unit_test(test_no_chunks),
        cmocka_unit_test(test_failures_ahead), cmocka_unit_test(test_failure),
        cmocka_unit_test(test_crew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
