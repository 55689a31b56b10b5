/* SPDX-License-Identifier: MIT */
/* families.h - the scenarios, by what they are about. */
#ifndef TR_TESTS_FAMILIES_H
#define TR_TESTS_FAMILIES_H

#include "tests/explore/engine.h"

struct family {
    const char *name;
    const struct scenario *scenarios;
    uint32_t count;
    uint32_t part; /* not 0: of the bound of runs, as there are many or each takes long */
    uint32_t lags; /* not 0: they run under C11's memory, whatever they say */
};

#define FAMILY(title, table) \
    .name = (title), .scenarios = (table), .count = sizeof(table) / sizeof((table)[0])

/* One of them, until the next is asked for. */
const struct scenario *family_scenario(const struct family *family, uint32_t i);

extern const struct family trap_family; /* of queues; the mutants must be caught here */
extern const struct family queue_family;
extern const struct family broadcast_family;
extern const struct family board_family;
extern const struct family ending_family; /* closes, forwards, counters near their ends */
extern const struct family request_family;
extern const struct family device_family;
extern const struct family elastic_family;
extern const struct family thread_family;
extern const struct family names_family;
extern const struct family histogram_family;
extern const struct family wakeup_family;
/* Counted with the wake-ups. */
extern const struct family doorbell_family;
extern const struct family newcomer_family;
extern const struct family loan_family;
extern const struct family weak_doorbell_family;
extern const struct family weak_newcomer_family;
/* Under C11's memory. */
/* How many small programs there are, and of how many the outcomes are as they must be. */
uint32_t litmus_count(void);
uint32_t litmus_run(void);
/* The model itself broken on purpose (memory.h): how many ways the small programs notice. */
uint32_t litmus_flaws(bool verbose);

enum weak_family {
    WEAK_QUEUE,
    WEAK_BROADCAST,
    WEAK_BOARD,
    WEAK_REQUEST,
    WEAK_MEMBERS,
    WEAK_DOORBELLS,
    WEAK_NEWCOMERS,
    WEAK_ELASTIC,
    WEAK_FAMILIES
};
extern const struct family *const weak_families[WEAK_FAMILIES];

#endif
