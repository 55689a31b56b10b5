/* SPDX-License-Identifier: MIT */
/* main.c - explore every scenario, then every mutant until a scenario catches it.
 *
 *   explore [-v] [FAMILY | MUTANT | litmus | weak | edges | ends | places | bare |
 *               EDGE]
 *
 * TR_SOAK_SECONDS: how long in all, about; then a scenario ends at its bound of runs.
 * TR_SOAK=1: the bounds of a long run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/explore/families.h"
#include "tests/explore/memory.h"
#include "tests/explore/orders.h"

#define EDGE_RUNS 10000

/* A mutant is looked for in all scenarios briefly, then longer. */
static const uint64_t mutant_runs[] = {2000, 20000, 250000};
#define PASSES (sizeof(mutant_runs) / sizeof(mutant_runs[0]))

static const struct family *const families[] = {
    &queue_family,    &broadcast_family, &board_family,   &ending_family,
    &request_family,  &device_family,    &elastic_family, &thread_family,
    &names_family,    &histogram_family, &wakeup_family,  &doorbell_family,
    &newcomer_family, &loan_family,
};
#define FAMILIES (sizeof(families) / sizeof(families[0]))
enum { WAKEUPS = FAMILIES - 4 }; /* those behind it are counted with it */

/* Where a mutant is looked for, from the first of its kind on. */
static const struct {
    enum mutant from, to;
    const struct family *family;
} traps[] = {
    {MUTANT_NONE, MUTANT_PIN_BLIND, &trap_family},
    {MUTANT_PIN_BLIND, MUTANT_ONE_LOCATION, &board_family},
    {MUTANT_PIN_BLIND, MUTANT_ONE_LOCATION, &broadcast_family},
    {MUTANT_ONE_LOCATION, MUTANT_SNATCH, &ending_family},
    {MUTANT_SNATCH, MUTANT_FLAG_FIRST, &request_family},
    {MUTANT_FLAG_FIRST, MUTANT_FORGET_ALL, &doorbell_family},
    {MUTANT_FORGET_ALL, MUTANT_LOANS_DEAF, &newcomer_family},
    {MUTANT_LOANS_DEAF, MUTANT_DEVICE_IGNORED, &loan_family},
    {MUTANT_DEVICE_IGNORED, MUTANT_MARK_FIRST, &device_family},
    {MUTANT_MARK_FIRST, MUTANT_PIN_STORED, &elastic_family},
    {MUTANT_PIN_STORED, MUTANT_NAME_BLIND, &thread_family},
    {MUTANT_NAME_BLIND, MUTANT_BUCKET_STORED, &names_family},
    {MUTANT_BUCKET_STORED, MUTANT_COUNT, &histogram_family},
};
#define TRAPS (sizeof(traps) / sizeof(traps[0]))

/* Mutants that are found late are looked for first where they are found. */
static const struct {
    enum mutant mutant;
    const char *scenario;
} late[] = {
    {MUTANT_WATCH_KEPT, "two spinners"},
    {MUTANT_WATCH_BLIND, "a spinner and a sleeper"},
    {MUTANT_REAP_WATCHED, "a spinner dies, a sleeper stays"},
    {MUTANT_REAP_BELIEVES, "a waker dies, a sleeper stays"},
    {MUTANT_ORPHANS_FORGOTTEN, "an old mark, kill 1"},
    {MUTANT_PINS_IGNORED, "1 writer, 1 reader"},
    {MUTANT_TAIL_FIRST, "1 publisher, 1 that blocks"},
    {MUTANT_SNATCH, "the requester dies, the slot goes on"},
    {MUTANT_FREE_ANY, "given up, 2 threads"},
    {MUTANT_BIT_LAST, "a listener, 3 messages"},
    {MUTANT_FORGET_ALL, "a slow reaper, a newcomer listens"},
    {MUTANT_LOANS_KEPT, "the next in the entry listens elsewhere"},
};
#define LATE (sizeof(late) / sizeof(late[0]))

static const char *const mutant_names[] = {"none",
#define MUTANT_TEXT(name, what) #name,
                                           MUTANTS(MUTANT_TEXT)
#undef MUTANT_TEXT
};

static const char *const mutant_texts[] = {"nothing is broken",
#define MUTANT_TEXT(name, what) what,
                                           MUTANTS(MUTANT_TEXT)
#undef MUTANT_TEXT
};

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool soaking(void)
{
    const char *soak = getenv("TR_SOAK");

    return soak && strcmp(soak, "1") == 0;
}

static uint64_t most_runs(void)
{
    const char *soak = getenv("TR_SOAK_SECONDS");

    return soak        ? UINT64_C(4000) * (uint64_t)atoi(soak)
           : soaking() ? UINT64_C(100000)
                       : UINT64_C(40000);
}

/* Under C11's memory a run costs more. Of the scenarios of members most come to their ends. */
static uint64_t most_weak_runs(enum weak_family i)
{
    if (getenv("TR_SOAK_SECONDS"))
        return most_runs() / 10;
    if (soaking())
        return i == WEAK_MEMBERS ? 100000 : 20000;
    return 10000;
}

/* How many runs; 0: a promise was broken. */
static uint64_t explore_family(const struct family *family, uint64_t most)
{
    uint64_t runs = 0;

    most /= family->part ? family->part : 1;
    for (uint32_t i = 0; i < family->count; i++) {
        const struct scenario *scenario = family_scenario(family, i);
        struct outcome outcome;
        double begun = seconds();

        engine_explore(scenario, most, &outcome);
        printf("%-9s %-34s %9llu runs %9llu states %10llu steps, depth %3u, %5.1f s%s\n",
               family->name, scenario->name, (unsigned long long)outcome.runs,
               (unsigned long long)outcome.states, (unsigned long long)outcome.steps,
               outcome.deepest, seconds() - begun, outcome.complete ? ", complete" : "");
        if (outcome.random)
            printf("%-9s %-34s %9llu runs by chance\n", family->name, scenario->name,
                   (unsigned long long)outcome.random);
        fflush(stdout);
        if (outcome.failure) {
            printf("FAILED: %s\n", outcome.failure);
            engine_explain(stdout, scenario);
            return 0;
        }
        runs += outcome.runs + (scenario->lags ? outcome.random : 0);
    }
    return runs;
}

/* The scenario of @p family that catches the mutant that is on, or NULL. Only the one that is
 * called @p name, if that is not NULL. */
static const struct scenario *catch_in(const struct family *family, const char *name,
                                       uint64_t most, struct outcome *outcome,
                                       uint64_t *runs)
{
    for (uint32_t i = 0; i < family->count; i++) {
        const struct scenario *scenario = family_scenario(family, i);

        if (name && strcmp(name, scenario->name) != 0)
            continue;
        engine_explore(scenario, most, outcome);
        *runs += outcome->runs + outcome->random;
        if (outcome->failure)
            return scenario;
    }
    return NULL;
}

static const struct scenario *catch_where(enum mutant mutant, const char *name,
                                          uint64_t most, struct outcome *outcome,
                                          uint64_t *runs)
{
    const struct scenario *scenario = NULL;

    for (uint32_t f = 0; f < TRAPS && !scenario; f++)
        if (mutant >= traps[f].from && mutant < traps[f].to)
            scenario = catch_in(traps[f].family, name, most, outcome, runs);
    return scenario;
}

static const struct scenario *catch_anywhere(enum mutant mutant, struct outcome *outcome,
                                             uint64_t *runs)
{
    const struct scenario *scenario = NULL;

    for (uint32_t i = 0; i < LATE; i++)
        if (late[i].mutant == mutant)
            scenario = catch_where(mutant, late[i].scenario, mutant_runs[PASSES - 1],
                                   outcome, runs);
    for (uint32_t pass = 0; pass < PASSES && !scenario; pass++)
        scenario = catch_where(mutant, NULL, mutant_runs[pass], outcome, runs);
    return scenario;
}

/* Which scenario catches the mutant. */
static bool catch_mutant(enum mutant mutant, bool verbose)
{
    const struct scenario *scenario;
    struct outcome outcome;
    uint64_t runs = 0;

    mutant_on = mutant;
    scenario = catch_anywhere(mutant, &outcome, &runs);
    if (scenario)
        printf("mutant    %-17s caught after %6llu runs in \"%s\": %s (%s)\n",
               mutant_names[mutant], (unsigned long long)runs, scenario->name,
               outcome.failure, mutant_texts[mutant]);
    else
        printf("mutant    %-17s NOT CAUGHT (%s)\n", mutant_names[mutant],
               mutant_texts[mutant]);
    if (scenario && verbose)
        engine_explain(stdout, scenario);
    else if (scenario)
        world_free();
    fflush(stdout);
    mutant_on = MUTANT_NONE;
    return scenario != NULL;
}

/* Under C11's memory. */
struct weak {
    uint64_t runs[WEAK_FAMILIES];
    uint32_t litmus, flaws, edges;
    bool bad;
};

static bool is(const char *only, const char *name)
{
    return only && strcmp(only, name) == 0;
}

static void explore_weak(struct weak *weak, const char *only, bool verbose)
{
    bool edge = only && only[0] == 'E' && only[1] >= '0' && only[1] <= '9';

    weak->litmus = litmus_run();
    weak->flaws = litmus_flaws(verbose);
    for (uint32_t i = 0; i < WEAK_FAMILIES; i++) {
        if (only && !is(only, "weak") && !is(only, "places") &&
            !is(only, weak_families[i]->name))
            continue;
        weak->runs[i] = explore_family(weak_families[i],
                                       most_weak_runs((enum weak_family)i));
        weak->bad |= weak->runs[i] == 0;
    }
    if (!weak->bad && (!only || edge || is(only, "edges")))
        weak->edges = orders_caught(EDGE_RUNS, edge ? only : NULL, verbose);
    if (edge || is(only, "ends"))
        orders_ends(EDGE_RUNS, edge ? only : NULL, verbose);
    if (is(only, "places"))
        orders_places(EDGE_RUNS / 5);
    weak->bad |= weak->litmus != litmus_count() || weak->flaws != FLAW_COUNT - 1 ||
                 (!only && weak->edges != orders_edges());
}

/* All families once more, with a step before each access without an order. */
static bool explore_bare(void)
{
    uint64_t runs = 0;

    engine_bare = true;
    for (uint32_t i = 0; i < FAMILIES; i++) {
        uint64_t more = explore_family(families[i], most_runs() / 10);

        if (more == 0)
            return false;
        runs += more;
    }
    engine_bare = false;
    printf("bare: %llu runs\n", (unsigned long long)runs);
    return true;
}

static void print_weak(const struct weak *weak)
{
    printf("weak:");
    for (uint32_t i = 0; i < WEAK_FAMILIES; i++)
        printf(" %s=%llu", weak_families[i]->name, (unsigned long long)weak->runs[i]);
    printf("; litmus: %u/%u, flaws noticed: %u/%u; edges caught: %u/%u\n", weak->litmus,
           litmus_count(), weak->flaws, FLAW_COUNT - 1, weak->edges, orders_edges());
}

int main(int argc, char **argv)
{
    bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    const char *only = argc > 1 + verbose ? argv[1 + verbose] : NULL;
    uint64_t runs[FAMILIES] = {0};
    uint32_t caught = 0, mutants = 0;
    struct weak weak = {0};
    bool bad = (!only || strcmp(only, trap_family.name) == 0) &&
               explore_family(&trap_family, most_runs()) == 0;

    for (uint32_t i = 0; i < FAMILIES; i++) {
        if (only && strcmp(only, families[i]->name) != 0)
            continue;
        runs[i] = explore_family(families[i], most_runs());
        bad |= runs[i] == 0;
    }
    explore_weak(&weak, only, verbose);
    bad |= weak.bad;
    if (!bad && (!only || is(only, "bare")))
        bad = !explore_bare();
    for (uint32_t m = 1; m < MUTANT_COUNT && !bad; m++) {
        if (only && strcmp(only, mutant_names[m]) != 0)
            continue;
        mutants++;
        caught += catch_mutant((enum mutant)m, verbose);
    }
    for (uint32_t i = WAKEUPS + 1; i < FAMILIES; i++) {
        printf("%s: %llu of the wakeups\n", families[i]->name,
               (unsigned long long)runs[i]);
        runs[WAKEUPS] += runs[i];
    }
    print_weak(&weak);
    printf("explored:");
    for (uint32_t i = 0; i <= WAKEUPS; i++)
        printf(" %s=%llu", families[i]->name, (unsigned long long)runs[i]);
    printf("; mutants caught: %u/%u\n", caught, mutants);
    return bad || caught != mutants;
}
