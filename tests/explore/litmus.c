/* SPDX-License-Identifier: MIT */
/* litmus.c - the test of the explorer's memory: small programs, and whether C11 allows what
 * they are known for. */
#include "tests/explore/families.h"

#define REGISTERS 4
#define ALWAYS    255

/* What an actor does: a word, an order, and a value or a register. */
#define TELL(word, order) ((uint32_t)(word) | (uint32_t)(order) << 8)

static _Atomic uint64_t *word_at(const struct op *op)
{
    return &view_live(&world.view)->counters[op->a & 0xff];
}

static uint32_t order_at(const struct op *op)
{
    return op->a >> 8;
}

static void keep(struct actor *me, uint32_t reg, uint64_t value)
{
    me->note |= value << 8 * reg;
}

static void do_write(struct actor *me, const struct op *op)
{
    (void)me;
    if (order_at(op) == memory_order_relaxed)
        shm_store(word_at(op), op->b, memory_order_relaxed);
    else if (order_at(op) == memory_order_release)
        shm_store(word_at(op), op->b, memory_order_release);
    else
        shm_store(word_at(op), op->b, memory_order_seq_cst);
}

static void do_read(struct actor *me, const struct op *op)
{
    if (order_at(op) == memory_order_relaxed)
        keep(me, op->b, shm_load(word_at(op), memory_order_relaxed));
    else if (order_at(op) == memory_order_acquire)
        keep(me, op->b, shm_load(word_at(op), memory_order_acquire));
    else
        keep(me, op->b, shm_load(word_at(op), memory_order_seq_cst));
}

static void do_change(struct actor *me, const struct op *op)
{
    if (order_at(op) == memory_order_relaxed)
        keep(me, op->b, shm_add(word_at(op), 1, memory_order_relaxed));
    else if (order_at(op) == memory_order_acq_rel)
        keep(me, op->b, shm_add(word_at(op), 1, memory_order_acq_rel));
    else
        keep(me, op->b, shm_add(word_at(op), 1, memory_order_seq_cst));
}

/* Only if a word told us that we may. */
static bool may(const struct actor *me, const struct op *op)
{
    return op->b == ALWAYS || (me->note >> 8 * op->b & 0xff);
}

static void do_fill(struct actor *me, const struct op *op)
{
    if (may(me, op))
        shm_put(&view_record(&world.view, 0)->correlation_id, 1);
}

static void do_look(struct actor *me, const struct op *op)
{
    if (may(me, op))
        engine_note(me, shm_get(&view_record(&world.view, 0)->correlation_id));
}

/* clang-format off */
#define W(word, value, order) {do_write, TELL(word, memory_order_##order), value}
#define R(word, order, reg)   {do_read, TELL(word, memory_order_##order), reg}
#define U(word, order, reg)   {do_change, TELL(word, memory_order_##order), reg}
#define FILL(reg)             {do_fill, 0, reg}
#define LOOK(reg)             {do_look, 0, reg}
#define END                   {0, 0, 0}

enum { X, Y, WORDS_USED };

struct litmus {
    struct scenario scenario;
    uint8_t want[REGISTERS];     /* the outcome that is asked about */
    uint8_t ends[WORDS_USED];    /* and the words' last values; 0: any */
    bool allowed;
};

static const char *check(const struct scenario *scenario)
{
    const struct litmus *litmus = (const struct litmus *)scenario;
    uint64_t found = 0;

    for (uint32_t i = 0; i < world.actor_count; i++)
        found |= world.actors[i].note;
    for (uint32_t r = 0; r < REGISTERS; r++)
        if ((found >> 8 * r & 0xff) != litmus->want[r])
            return NULL;
    for (uint32_t w = 0; w < WORDS_USED; w++)
        if (litmus->ends[w] &&
            shm_get(&view_live(&world.view)->counters[w]) != litmus->ends[w])
            return NULL;
    return "seen";
}

#define TEST(title, ...) {.name = title, .lags = 9, .slots = 1, .channels = 1, .capacity = 1, \
                          .check = check, .programs = {__VA_ARGS__}}
#define PROGRAM(...)     {__VA_ARGS__, END}

static const struct litmus tests[] = {
    {TEST("store buffering, seq_cst", PROGRAM(W(X, 1, seq_cst), R(Y, seq_cst, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(X, seq_cst, 1))), {0, 0}, {0}, false},
    {TEST("store buffering, release and acquire",
          PROGRAM(W(X, 1, release), R(Y, acquire, 0)),
          PROGRAM(W(Y, 1, release), R(X, acquire, 1))), {0, 0}, {0}, true},
    {TEST("store buffering, one load is acquire",
          PROGRAM(W(X, 1, seq_cst), R(Y, acquire, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(X, seq_cst, 1))), {0, 0}, {0}, true},
    {TEST("store buffering, one store is release",
          PROGRAM(W(X, 1, release), R(Y, seq_cst, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(X, seq_cst, 1))), {0, 0}, {0}, true},
    {TEST("store buffering by changes, seq_cst", PROGRAM(U(X, seq_cst, 2), R(Y, seq_cst, 0)),
          PROGRAM(U(Y, seq_cst, 3), R(X, seq_cst, 1))), {0, 0}, {0}, false},
    {TEST("store buffering by changes, acq_rel",
          PROGRAM(U(X, acq_rel, 2), R(Y, seq_cst, 0)),
          PROGRAM(U(Y, acq_rel, 3), R(X, seq_cst, 1))), {0, 0}, {0}, true},
    {TEST("message passing, release and acquire",
          PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {1, 0}, {0}, false},
    {TEST("message passing, relaxed store", PROGRAM(W(X, 1, relaxed), W(Y, 1, relaxed)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {1, 0}, {0}, true},
    {TEST("message passing, relaxed load", PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(R(Y, relaxed, 0), R(X, relaxed, 1))), {1, 0}, {0}, true},
    {TEST("seq_cst word, told by a relaxed one",
          PROGRAM(W(X, 1, seq_cst), W(Y, 1, relaxed)),
          PROGRAM(R(Y, relaxed, 0), R(X, seq_cst, 1))), {1, 0}, {0}, true},
    {TEST("message passing past a change", PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(U(Y, relaxed, 2)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {2, 0, 1}, {0}, false},
    {TEST("message passing past a store", PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(R(Y, relaxed, 2), W(Y, 2, relaxed)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {2, 0, 1}, {0}, true},
    {TEST("message passing to a third", PROGRAM(W(X, 1, relaxed)),
          PROGRAM(R(X, relaxed, 2), W(Y, 1, release)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {1, 0, 1}, {0}, false},
    {TEST("one word, two loads", PROGRAM(W(X, 1, relaxed)),
          PROGRAM(R(X, relaxed, 0), R(X, relaxed, 1))), {1, 0}, {0}, false},
    {TEST("one word, two stores, two readers", PROGRAM(W(X, 1, relaxed)),
          PROGRAM(W(X, 2, relaxed)), PROGRAM(R(X, relaxed, 0), R(X, relaxed, 1)),
          PROGRAM(R(X, relaxed, 2), R(X, relaxed, 3))), {1, 2, 2, 1}, {0}, false},
    {TEST("two changes", PROGRAM(U(X, relaxed, 0)), PROGRAM(U(X, relaxed, 1))),
          {0, 0}, {0}, false},
    {TEST("two pairs of stores, relaxed", PROGRAM(W(X, 1, relaxed), W(Y, 2, relaxed)),
          PROGRAM(W(Y, 1, relaxed), W(X, 2, relaxed))), {0}, {1, 1}, true},
    {TEST("two pairs of stores, seq_cst", PROGRAM(W(X, 1, seq_cst), W(Y, 2, seq_cst)),
          PROGRAM(W(Y, 1, seq_cst), W(X, 2, seq_cst))), {0}, {1, 1}, false},
    {TEST("a store, a load, one end, seq_cst", PROGRAM(W(X, 1, seq_cst), W(Y, 1, seq_cst)),
          PROGRAM(W(Y, 2, seq_cst), R(X, seq_cst, 0))), {0}, {0, 2}, false},
    {TEST("a store, a load, one end, release", PROGRAM(W(X, 1, release), W(Y, 1, release)),
          PROGRAM(W(Y, 2, release), R(X, acquire, 0))), {0}, {0, 2}, true},
    {TEST("two writers, two readers, acquire", PROGRAM(W(X, 1, release)),
          PROGRAM(W(Y, 1, release)), PROGRAM(R(X, acquire, 0), R(Y, acquire, 1)),
          PROGRAM(R(Y, acquire, 2), R(X, acquire, 3))), {1, 0, 1, 0}, {0}, true},
    {TEST("two writers, two readers, seq_cst", PROGRAM(W(X, 1, seq_cst)),
          PROGRAM(W(Y, 1, seq_cst)), PROGRAM(R(X, seq_cst, 0), R(Y, seq_cst, 1)),
          PROGRAM(R(Y, seq_cst, 2), R(X, seq_cst, 3))), {1, 0, 1, 0}, {0}, false},
    {TEST("three that look at each other, seq_cst", PROGRAM(W(X, 1, seq_cst)),
          PROGRAM(R(X, seq_cst, 0), R(Y, seq_cst, 1)),
          PROGRAM(W(Y, 1, seq_cst), R(X, seq_cst, 2))), {1, 0, 0}, {0}, false},
    {TEST("three that look at each other, acquire", PROGRAM(W(X, 1, release)),
          PROGRAM(R(X, acquire, 0), R(Y, acquire, 1)),
          PROGRAM(W(Y, 1, release), R(X, acquire, 2))), {1, 0, 0}, {0}, true},
    /* C11 allows it; it is what the model leaves out. */
    {TEST("load buffering", PROGRAM(R(X, relaxed, 0), W(Y, 1, relaxed)),
          PROGRAM(R(Y, relaxed, 1), W(X, 1, relaxed))), {1, 1}, {0}, false},
    {TEST("contents, told of by release", PROGRAM(FILL(ALWAYS), W(Y, 1, release)),
          PROGRAM(R(Y, acquire, 0), LOOK(0))), {9}, {0}, false},
    {TEST("contents, told of by relaxed", PROGRAM(FILL(ALWAYS), W(Y, 1, relaxed)),
          PROGRAM(R(Y, acquire, 0), LOOK(0))), {9}, {0}, true},
    {TEST("contents, given back by release", PROGRAM(LOOK(ALWAYS), W(Y, 1, release)),
          PROGRAM(R(Y, acquire, 0), FILL(0))), {9}, {0}, false},
    {TEST("contents, given back by relaxed", PROGRAM(LOOK(ALWAYS), W(Y, 1, relaxed)),
          PROGRAM(R(Y, acquire, 0), FILL(0))), {9}, {0}, true},
};
/* clang-format on */

uint32_t litmus_count(void)
{
    return sizeof(tests) / sizeof(tests[0]);
}

uint32_t litmus_run(void)
{
    uint32_t right = 0;

    for (uint32_t i = 0; i < litmus_count(); i++) {
        struct outcome outcome;
        bool seen;

        engine_explore(&tests[i].scenario, 1000000, &outcome);
        seen = outcome.failure != NULL;
        if (seen)
            world_free();
        right += seen == tests[i].allowed && (seen || outcome.complete);
        if (seen != tests[i].allowed || !(seen || outcome.complete))
            printf("litmus    %s: %s, %s\n", tests[i].scenario.name,
                   seen ? "seen" : "not seen",
                   outcome.complete ? "complete" : "not complete");
    }
    return right;
}
