/* SPDX-License-Identifier: MIT */
/* nap.c - a receiver that keeps up with its senders sleeps and is woken for each message,
 * which costs both sides more than the message does. Where messages come fast it
 * takes a nap instead: nobody has to wake it, and then many are there.
 *
 * Whether that pays is tried: a nap that found few messages is not repeated for twice as many
 * waits as the one before, so that a receiver that answers each message hardly ever naps.
 *
 * A sender that finds no room has two ways: to keep the message, which costs as much again, or
 * to let the receivers have the processor for a while. That is tried in the same way. */
#include "core.h"

#include <time.h>

enum {
    WORTH = 4, /* so many messages for one nap */
    MOST_MISSES = 12,
    NAP_NS = 20000, /* and what the kernel's timer adds, about 50 us */
    MOST_NAPS = 3,
    ROOM_NS = 50000,
    ROOM_NAPS = 8, /* each twice as long as the one before: 13 ms */
};

static void judge(Naps *naps)
{
    if (naps->taken >= WORTH)
        naps->misses = 0;
    else if (naps->passed < WORTH && naps->misses < MOST_MISSES)
        naps->misses++; /* other receivers took few, too */
    naps->rest = (UINT32_C(1) << naps->misses) - 1;
    naps->napped = false;
}

/* Whether to nap now. */
static bool would_pay(Naps *naps)
{
    if (naps->napped)
        judge(naps);
    naps->taken = 0;
    naps->passed = 0;
    if (naps->rest > 0) {
        naps->rest--;
        return false;
    }
    naps->napped = true;
    return true;
}

static void pause_for(long ns)
{
    struct timespec pause = {.tv_nsec = ns};
    PyThreadState *gil = PyEval_SaveThread();

    /* Not an event: a wake-up for each message is what this avoids. A signal ends it. */
    nanosleep(&pause, NULL);
    PyEval_RestoreThread(gil);
}

/* Where naps have not paid lately they are fewer. */
static bool go_on(Naps *naps, unsigned int before, unsigned int most)
{
    return before ? before + naps->misses < most : would_pay(naps);
}

bool nap(Naps *naps, unsigned int before)
{
    if (!go_on(naps, before, MOST_NAPS))
        return false;
    pause_for((long)NAP_NS << before);
    return true;
}

bool nap_for_room(Naps *naps, unsigned int before)
{
    if (!go_on(naps, before, ROOM_NAPS))
        return false;
    pause_for((long)ROOM_NS << before);
    return true;
}
