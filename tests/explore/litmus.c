/* SPDX-License-Identifier: MIT */
/* litmus.c - the test of the explorer's memory: small programs, and whether C11 allows what
 * they are known for. */
#include "ipc/hooks.h"
#include "tests/explore/families.h"
#include "tests/explore/memory.h"

#define REGISTERS 6
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
    else if (order_at(op) == memory_order_acquire)
        keep(me, op->b, shm_add(word_at(op), 1, memory_order_acquire));
    else if (order_at(op) == memory_order_release)
        keep(me, op->b, shm_add(word_at(op), 1, memory_order_release));
    else if (order_at(op) == memory_order_acq_rel)
        keep(me, op->b, shm_add(word_at(op), 1, memory_order_acq_rel));
    else
        keep(me, op->b, shm_add(word_at(op), 1, memory_order_seq_cst));
}

/* The register gets what was seen, plus 100 if it was replaced. */
static void do_swap(struct actor *me, const struct op *op)
{
    uint64_t seen = op->b & 0xff, want = op->b >> 8 & 0xff;
    bool swapped = shm_cas(word_at(op), &seen, want, memory_order_acq_rel);

    keep(me, op->b >> 16, seen + (swapped ? 100 : 0));
}

/* The register gets whether the first actor is dead. */
static void do_look_for_death(struct actor *me, const struct op *op)
{
    keep(me, op->b, hooks->dead(&world.view, 0));
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
#define C(word, old, to, reg) {do_swap, word, (old) | (to) << 8 | (reg) << 16}
#define DIED(reg)             {do_look_for_death, 0, reg}
#define FILL(reg)             {do_fill, 0, reg}
#define LOOK(reg)             {do_look, 0, reg}
#define END                   {0, 0, 0}

enum { X, Y, Z, WORDS_USED };

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
#define DEATH(title, ...) {.name = title, .lags = 9, .slots = 1, .channels = 1, \
                           .capacity = 1, .kills = 1, .immortal = 2, .check = check, \
                           .programs = {__VA_ARGS__}}
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
    {TEST("message passing, seq_cst and acquire",
          PROGRAM(W(X, 1, relaxed), W(Y, 1, seq_cst)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {1, 0}, {0}, false},
    {TEST("message passing, release and seq_cst",
          PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(R(Y, seq_cst, 0), R(X, relaxed, 1))), {1, 0}, {0}, false},
    {TEST("message passing, seq_cst and relaxed",
          PROGRAM(W(X, 1, relaxed), W(Y, 1, seq_cst)),
          PROGRAM(R(Y, relaxed, 0), R(X, relaxed, 1))), {1, 0}, {0}, true},
    {TEST("message passing by changes", PROGRAM(W(X, 1, relaxed), U(Y, release, 2)),
          PROGRAM(U(Y, acquire, 0), R(X, relaxed, 1))), {1, 0}, {0}, false},
    {TEST("message passing by changes, relaxed store",
          PROGRAM(W(X, 1, relaxed), U(Y, acquire, 2)),
          PROGRAM(U(Y, acquire, 0), R(X, relaxed, 1))), {1, 0}, {0}, true},
    {TEST("message passing by changes, relaxed load",
          PROGRAM(W(X, 1, relaxed), U(Y, release, 2)),
          PROGRAM(U(Y, release, 0), R(X, relaxed, 1))), {1, 0}, {0}, true},
    {TEST("message passing past two changes", PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(U(Y, relaxed, 2)), PROGRAM(U(Y, relaxed, 3)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {3, 0, 1, 2}, {0}, false},
    {TEST("message passing past a store and a change",
          PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(R(Y, relaxed, 2), W(Y, 5, relaxed)), PROGRAM(U(Y, relaxed, 3)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {6, 0, 1, 5}, {0}, true},
    /* C17 forbids it, C++20 does not. */
    {TEST("message passing past a store of one's own",
          PROGRAM(W(X, 1, relaxed), W(Y, 1, release), W(Y, 2, relaxed)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {2, 0}, {0}, true},
    {TEST("message passing, a swap", PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(C(Y, 1, 2, 0), R(X, relaxed, 1))), {101, 0}, {0}, false},
    {TEST("message passing, a swap that fails",
          PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(C(Y, 0, 2, 0), R(X, relaxed, 1))), {1, 0}, {0}, true},
    {TEST("message passing to a third, relaxed store", PROGRAM(W(X, 1, relaxed)),
          PROGRAM(R(X, relaxed, 2), W(Y, 1, relaxed)),
          PROGRAM(R(Y, acquire, 0), R(X, relaxed, 1))), {1, 0, 1}, {0}, true},
    {TEST("message passing in two steps", PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(R(Y, acquire, 2), W(Z, 1, release)),
          PROGRAM(R(Z, acquire, 0), R(X, relaxed, 1))), {1, 0, 1}, {0}, false},
    {TEST("message passing in two steps, relaxed load",
          PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(R(Y, relaxed, 2), W(Z, 1, release)),
          PROGRAM(R(Z, acquire, 0), R(X, relaxed, 1))), {1, 0, 1}, {0}, true},
    {TEST("message passing in two steps, relaxed store",
          PROGRAM(W(X, 1, relaxed), W(Y, 1, release)),
          PROGRAM(R(Y, acquire, 2), W(Z, 1, relaxed)),
          PROGRAM(R(Z, acquire, 0), R(X, relaxed, 1))), {1, 0, 1}, {0}, true},
    {TEST("a store behind what was passed", PROGRAM(W(X, 2, relaxed), W(Y, 1, release)),
          PROGRAM(R(Y, acquire, 0), W(X, 1, relaxed))), {1}, {2}, false},
    {TEST("a store behind what was passed, relaxed",
          PROGRAM(W(X, 2, relaxed), W(Y, 1, relaxed)),
          PROGRAM(R(Y, acquire, 0), W(X, 1, relaxed))), {1}, {2}, true},
    {TEST("one after the other through changes of a third word",
          PROGRAM(W(X, 1, relaxed), U(Z, acq_rel, 2), R(Y, relaxed, 0)),
          PROGRAM(W(Y, 1, relaxed), U(Z, acq_rel, 3), R(X, relaxed, 1))),
          {0, 0, 0, 1}, {0}, false},
    {TEST("one after the other through relaxed changes",
          PROGRAM(W(X, 1, relaxed), U(Z, relaxed, 2), R(Y, relaxed, 0)),
          PROGRAM(W(Y, 1, relaxed), U(Z, relaxed, 3), R(X, relaxed, 1))),
          {0, 0, 0, 1}, {0}, true},
    {TEST("one word, two stores of one", PROGRAM(W(X, 1, relaxed), W(X, 2, relaxed))),
          {0}, {1}, false},
    {TEST("one word, a store and a load of one",
          PROGRAM(W(X, 1, relaxed), R(X, relaxed, 0)), PROGRAM(W(X, 2, relaxed))),
          {2}, {1}, false},
    {TEST("one word, a load and a store of one",
          PROGRAM(R(X, relaxed, 0), W(X, 1, relaxed)), PROGRAM(W(X, 2, relaxed))),
          {2}, {2}, false},
    {TEST("one word, a load before the store", PROGRAM(R(X, relaxed, 0), W(X, 1, relaxed))),
          {1}, {0}, false},
    {TEST("one word, two loads, of which the first is told of",
          PROGRAM(W(X, 1, relaxed)),
          PROGRAM(R(X, relaxed, 0), W(Y, 1, release)),
          PROGRAM(R(Y, acquire, 1), R(X, relaxed, 2))), {1, 1, 0}, {0}, false},
    {TEST("a change and a store", PROGRAM(U(X, relaxed, 0)), PROGRAM(W(X, 5, relaxed))),
          {0}, {1}, false},
    {TEST("a change and a swap", PROGRAM(U(X, relaxed, 0)), PROGRAM(C(X, 0, 7, 1))),
          {0, 100}, {0}, false},
    {TEST("a swap of an old value fails", PROGRAM(U(X, relaxed, 0)),
          PROGRAM(C(X, 1, 7, 1))), {0, 0}, {0}, true},
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
    {TEST("two pairs of stores, release", PROGRAM(W(X, 1, release), W(Y, 2, release)),
          PROGRAM(W(Y, 1, release), W(X, 2, release))), {0}, {1, 1}, true},
    {TEST("two pairs of stores, one is release", PROGRAM(W(X, 1, seq_cst), W(Y, 2, seq_cst)),
          PROGRAM(W(Y, 1, release), W(X, 2, seq_cst))), {0}, {1, 1}, true},
    {TEST("two pairs of changes, seq_cst", PROGRAM(U(X, seq_cst, 0), U(Y, seq_cst, 1)),
          PROGRAM(U(Y, seq_cst, 2), U(X, seq_cst, 3))), {1, 0, 1, 0}, {0}, false},
    {TEST("a store, a load, one end, seq_cst", PROGRAM(W(X, 1, seq_cst), W(Y, 1, seq_cst)),
          PROGRAM(W(Y, 2, seq_cst), R(X, seq_cst, 0))), {0}, {0, 2}, false},
    {TEST("a store, a load, one end, release", PROGRAM(W(X, 1, release), W(Y, 1, release)),
          PROGRAM(W(Y, 2, release), R(X, acquire, 0))), {0}, {0, 2}, true},
    {TEST("a store, a load, one end, one is release",
          PROGRAM(W(X, 1, seq_cst), W(Y, 1, release)),
          PROGRAM(W(Y, 2, seq_cst), R(X, seq_cst, 0))), {0}, {0, 2}, true},
    {TEST("store buffering, a relaxed store behind",
          PROGRAM(W(X, 1, seq_cst), W(X, 2, relaxed), R(Y, seq_cst, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(X, seq_cst, 1))), {0, 0}, {0}, false},
    {TEST("store buffering, a relaxed load before",
          PROGRAM(W(X, 1, seq_cst), R(Y, relaxed, 2), R(Y, seq_cst, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(X, seq_cst, 1))), {0, 0}, {0}, false},
    {TEST("store buffering by a third, seq_cst",
          PROGRAM(W(X, 1, seq_cst), W(Z, 1, release)),
          PROGRAM(R(Z, acquire, 2), R(Y, seq_cst, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(X, seq_cst, 1))), {0, 0, 1}, {0}, false},
    {TEST("store buffering by a third, relaxed store",
          PROGRAM(W(X, 1, relaxed), W(Z, 1, release)),
          PROGRAM(R(Z, acquire, 2), R(Y, seq_cst, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(X, seq_cst, 1))), {0, 0, 1}, {0}, true},
    {TEST("store buffering by a third, untold",
          PROGRAM(W(X, 1, seq_cst), W(Z, 1, relaxed)),
          PROGRAM(R(Z, acquire, 2), R(Y, seq_cst, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(X, seq_cst, 1))), {0, 0, 1}, {0}, true},
    {TEST("store buffering by three, seq_cst", PROGRAM(W(X, 1, seq_cst), R(Y, seq_cst, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(Z, seq_cst, 1)),
          PROGRAM(W(Z, 1, seq_cst), R(X, seq_cst, 2))), {0, 0, 0}, {0}, false},
    {TEST("store buffering by three, one load is acquire",
          PROGRAM(W(X, 1, seq_cst), R(Y, seq_cst, 0)),
          PROGRAM(W(Y, 1, seq_cst), R(Z, acquire, 1)),
          PROGRAM(W(Z, 1, seq_cst), R(X, seq_cst, 2))), {0, 0, 0}, {0}, true},
    /* C17 forbids these two, C++20 and POWER do not. The second: "Z6.U" of Lahav and others,
     * 2017. */
    {TEST("two writers, two readers, the first loads are acquire",
          PROGRAM(W(X, 1, seq_cst)),
          PROGRAM(W(Y, 1, seq_cst)), PROGRAM(R(X, acquire, 0), R(Y, seq_cst, 1)),
          PROGRAM(R(Y, acquire, 2), R(X, seq_cst, 3))), {1, 0, 1, 0}, {0}, false},
    {TEST("a change of a released word, seq_cst",
          PROGRAM(W(X, 1, seq_cst), W(Y, 1, release)),
          PROGRAM(U(Y, seq_cst, 0), R(Y, relaxed, 1)),
          PROGRAM(W(Y, 3, seq_cst), R(X, seq_cst, 2))), {1, 3, 0}, {0}, false},
    {TEST("two writers, two readers, one load is acquire", PROGRAM(W(X, 1, seq_cst)),
          PROGRAM(W(Y, 1, seq_cst)), PROGRAM(R(X, seq_cst, 0), R(Y, acquire, 1)),
          PROGRAM(R(Y, seq_cst, 2), R(X, seq_cst, 3))), {1, 0, 1, 0}, {0}, true},
    {TEST("two writers, two readers, acquire loads", PROGRAM(W(X, 1, seq_cst)),
          PROGRAM(W(Y, 1, seq_cst)), PROGRAM(R(X, acquire, 0), R(Y, acquire, 1)),
          PROGRAM(R(Y, acquire, 2), R(X, acquire, 3))), {1, 0, 1, 0}, {0}, true},
    {TEST("two writers, two readers, relaxed", PROGRAM(W(X, 1, relaxed)),
          PROGRAM(W(Y, 1, relaxed)), PROGRAM(R(X, relaxed, 0), R(Y, relaxed, 1)),
          PROGRAM(R(Y, relaxed, 2), R(X, relaxed, 3))), {1, 0, 1, 0}, {0}, true},
    /* C++20 forbids it, C17 does not. */
    {TEST("two writers, two readers, release stores", PROGRAM(W(X, 1, release)),
          PROGRAM(W(Y, 1, release)), PROGRAM(R(X, seq_cst, 0), R(Y, seq_cst, 1)),
          PROGRAM(R(Y, seq_cst, 2), R(X, seq_cst, 3))), {1, 0, 1, 0}, {0}, true},
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
    {TEST("contents, told of to two", PROGRAM(FILL(ALWAYS), W(Y, 1, release)),
          PROGRAM(R(Y, acquire, 0), LOOK(0)), PROGRAM(R(Y, acquire, 1), LOOK(1))),
          {9}, {0}, false},
    {TEST("contents, given back by one of two",
          PROGRAM(LOOK(ALWAYS), U(Y, release, 2)), PROGRAM(LOOK(ALWAYS)),
          PROGRAM(R(Y, acquire, 0), FILL(0))), {9}, {0}, true},
    {TEST("contents, two that fill", PROGRAM(FILL(ALWAYS)), PROGRAM(FILL(ALWAYS))),
          {9}, {0}, true},
    {TEST("contents, a swap that fails", PROGRAM(FILL(ALWAYS), W(Y, 1, release)),
          PROGRAM(C(Y, 0, 2, 0), LOOK(0))), {9}, {0}, true},
    {DEATH("the stores of a dead one", PROGRAM(W(X, 1, relaxed), W(Y, 1, relaxed)),
           PROGRAM(DIED(0), R(X, relaxed, 1))), {1, 0}, {1}, false},
    {DEATH("the stores of one that is not looked for",
           PROGRAM(W(X, 1, relaxed), W(Y, 1, relaxed)),
           PROGRAM(R(Y, relaxed, 0), R(X, relaxed, 1))), {1, 0}, {1}, true},
};
/* clang-format on */

uint32_t litmus_count(void)
{
    return sizeof(tests) / sizeof(tests[0]);
}

/* Whether the model answers as it must. */
static bool is_right(const struct litmus *litmus, struct outcome *outcome)
{
    bool seen;

    engine_explore(&litmus->scenario, 1000000, outcome);
    seen = outcome->failure != NULL;
    if (seen)
        world_free();
    return seen == litmus->allowed && (seen || outcome->complete);
}

uint32_t litmus_run(void)
{
    uint32_t right = 0;

    for (uint32_t i = 0; i < litmus_count(); i++) {
        struct outcome outcome;

        if (is_right(&tests[i], &outcome))
            right++;
        else
            printf("litmus    %s: %s, %s\n", tests[i].scenario.name,
                   outcome.failure ? "seen" : "not seen",
                   outcome.complete ? "complete" : "not complete");
    }
    return right;
}

static const char *const flaw_texts[] = {"nothing is broken",
#define FLAW_TEXT(name, what) what,
                                         FLAWS(FLAW_TEXT)
#undef FLAW_TEXT
};

static bool is_noticed(enum flaw flaw, bool verbose)
{
    struct outcome outcome;

    memory_flaw = flaw;
    for (uint32_t i = 0; i < litmus_count(); i++) {
        if (is_right(&tests[i], &outcome))
            continue;
        if (verbose)
            printf("litmus    if %s: noticed by \"%s\"\n", flaw_texts[flaw],
                   tests[i].scenario.name);
        return true;
    }
    printf("litmus    if %s: NOT NOTICED\n", flaw_texts[flaw]);
    return false;
}

uint32_t litmus_flaws(bool verbose)
{
    uint32_t noticed = 0;

    for (uint32_t i = 1; i < FLAW_COUNT; i++)
        noticed += is_noticed((enum flaw)i, verbose);
    memory_flaw = FLAW_NONE;
    return noticed;
}
