/* SPDX-License-Identifier: MIT */
/* nap.c - a receiver that keeps up with its senders sleeps and is woken for each message,
 * which costs both sides more than the message does. Where messages come thick and fast it
 * takes a nap instead: nobody has to wake it, and then there are many.
 *
 * Whether that pays is tried: a nap that found few messages is not repeated for twice as many
 * waits as the one before, so that a receiver that answers each message hardly ever naps. */
#include "core.h"

#include <time.h>

enum {
    WORTH = 4, /* so many messages for one nap */
    MOST_MISSES = 12,
    NAP_NS = 20000, /* and what the kernel's timer adds, about 50 us */
};

static void judge(Naps *naps)
{
    if (naps->taken >= WORTH)
        naps->misses = 0;
    else if (naps->misses < MOST_MISSES)
        naps->misses++;
    naps->rest = (UINT32_C(1) << naps->misses) - 1;
    naps->napped = false;
}

bool nap(Naps *naps)
{
    static const struct timespec pause = {.tv_nsec = NAP_NS};
    PyThreadState *gil;

    if (naps->napped)
        judge(naps);
    naps->taken = 0;
    if (naps->rest > 0) {
        naps->rest--;
        return false;
    }
    naps->napped = true;
    gil = PyEval_SaveThread();
    /* Not an event: a wake-up for each message is what this avoids. A signal ends it. */
    nanosleep(&pause, NULL);
    PyEval_RestoreThread(gil);
    return true;
}
