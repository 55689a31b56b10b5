/* SPDX-License-Identifier: MIT */
/* orders.c - the memory orders of ipc/order.h weakened one by one, at run time: each edge must
 * be missed by a scenario under C11's memory. */
#include "tests/explore/orders.h"

#include <stdio.h>
#include <string.h>

#include "tests/explore/families.h"
#include "tests/explore/weakening.h"

/* Each edge, and where it is looked for first. */
static const struct {
    const char *name;
    enum weak_family first;
    const char *file; /* NULL: wherever it is */
} edges[] = {
    {"E1", WEAK_QUEUE, NULL},
    {"E2", WEAK_QUEUE, NULL},
    {"E3", WEAK_QUEUE, NULL},
    {"E4", WEAK_MEMBERS, NULL},
    {"E5", WEAK_MEMBERS, NULL},
    {"E6", WEAK_QUEUE, NULL},
    {"E7", WEAK_MEMBERS, NULL},
    {"E8", WEAK_QUEUE, NULL},
    {"E9", WEAK_BROADCAST, NULL},
    {"E10", WEAK_BROADCAST, NULL},
    {"E11", WEAK_BROADCAST, NULL},
    {"E12", WEAK_BOARD, NULL},
    {"E13", WEAK_BROADCAST, NULL},
    {"E15", WEAK_MEMBERS, NULL},
    {"E16", WEAK_BOARD, NULL},
    {"E17", WEAK_REQUEST, NULL},
    {"E3", WEAK_DOORBELLS, "ipc/signal/notify.c"},
};
static const char *const ends[] = {
    "E1_PUT",    "E1_TAKE",  "E2_FREE",  "E2_LOAN",  "E4_LOOK",   "E5_READY",  "E5_OPEN",
    "E6_CLAIM",  "E6_REAP",  "E6_LOOK",  "E7_SWEPT", "E7_JOIN",   "E8_PUT",    "E8_LOOK",
    "E10_UNPIN", "E10_SCAN", "E11_FILL", "E11_PUT",  "E11_TAKE",  "E12_BOTH",  "E12_OPEN",
    "E14_PASS",  "E14_LOOK", "E15_JOIN", "E15_LOOK", "E15_CLOSE", "E16_NAMED",
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The scenario that fails with the weakening that is set, or NULL. */
static const struct scenario *catch_in(const struct family *family, uint64_t most,
                                       struct outcome *outcome, uint64_t *runs)
{
    const struct scenario *found = NULL;

    for (uint32_t i = 0; i < family->count && !found; i++) {
        const struct scenario *scenario = family_scenario(family, i);

        engine_explore(scenario, most, outcome);
        *runs += outcome->runs + outcome->random;
        if (outcome->failure)
            found = scenario;
    }
    return found;
}

/* Briefly in each scenario, then longer. */
static const struct scenario *catch (enum weak_family first, uint64_t most,
                                     struct outcome *outcome, uint64_t *runs)
{
    const struct scenario *found = NULL;

    *runs = 0;
    for (uint64_t bound = most / 10; bound <= most && !found; bound += most - most / 10)
        for (uint32_t f = 0; f < WEAK_FAMILIES && !found; f++)
            found = catch_in(weak_families[(first + f) % WEAK_FAMILIES], bound, outcome,
                             runs);
    return found;
}

static bool weaken(const struct weakening *weakening, enum weak_family first,
                   uint64_t most, const char *what, bool verbose)
{
    const struct scenario *scenario;
    struct outcome outcome;
    uint64_t runs;

    engine_weakening = *weakening;
    scenario = catch (first, most, &outcome, &runs);
    if (scenario)
        printf("order     %-28s caught after %6llu runs in \"%s\": %s\n", what,
               (unsigned long long)runs, scenario->name, outcome.failure);
    else
        printf("order     %-28s not caught in %llu runs\n", what,
               (unsigned long long)runs);
    if (scenario && verbose)
        engine_explain(stdout, scenario);
    else if (scenario)
        world_free();
    engine_weakening = (struct weakening){0};
    fflush(stdout);
    return scenario != NULL;
}

uint32_t orders_edges(void)
{
    return COUNT(edges);
}

uint32_t orders_caught(uint64_t most, const char *only, bool verbose)
{
    uint32_t caught = 0;

    for (uint32_t i = 0; i < COUNT(edges); i++) {
        struct weakening weakening = {
            .edge = edges[i].name, .file = edges[i].file, .to = memory_order_relaxed};
        char what[64];

        snprintf(what, sizeof(what), "%s%s%s", edges[i].name, edges[i].file ? " in " : "",
                 edges[i].file ? edges[i].file : "");
        if (!only || strcmp(only, edges[i].name) == 0)
            caught += weaken(&weakening, edges[i].first, most, what, verbose);
    }
    return caught;
}

/* Where the edge of an end is looked for. */
static enum weak_family first_of(const char *end)
{
    size_t length = strcspn(end, "_");

    for (uint32_t i = 0; i < COUNT(edges); i++)
        if (strlen(edges[i].name) == length && strncmp(edges[i].name, end, length) == 0)
            return edges[i].first;
    return WEAK_QUEUE;
}

void orders_ends(uint64_t most, const char *only, bool verbose)
{
    for (uint32_t i = 0; i < COUNT(ends); i++) {
        struct weakening weakening = {.edge = ends[i], .to = memory_order_relaxed};

        if (!only || strcmp(only, ends[i]) == 0)
            weaken(&weakening, first_of(ends[i]), most, ends[i], verbose);
    }
}

void orders_places(uint64_t most)
{
    for (uint32_t i = 0; i < engine_place_count; i++) {
        const struct place_met *place = &engine_places[i];
        const char *file = strrchr(place->site, '/');
        struct weakening weakening = {.site = place->site, .to = memory_order_acq_rel};
        char what[64];

        if (file && strncmp(file + 1, "litmus.", 7) == 0)
            continue;
        snprintf(what, sizeof(what), "%s %s", file ? file + 1 : place->site, place->edge);
        weaken(&weakening, first_of(place->edge), most, what, false);
    }
}
