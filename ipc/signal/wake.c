/* SPDX-License-Identifier: MIT */
#include "ipc/signal/wake.h"

#include "ipc/kernel/os.h"
#include "ipc/mutant.h"
#include "ipc/signal/listeners.h"

/* Wake sleepers on the word, which is now @p seen. True: one woke. */
static bool wake_sleepers(const struct view *view, _Atomic uint32_t *word, uint32_t seen,
                          int count)
{
    bool woke;

    view_count(view, COUNT_WAKES, 1);
    STEP(word, SHM_SYSTEM);
    woke = os->futex_wake(word, count) > 0;
    if (woke && count == 1)
        return true;
    /* E3: nobody sleeps on this value, or the next call wakes them. */
    if (shm_cas(word, &seen, (seen + WAKE_COUNT) & ~WAKE_ASLEEP, E3)) {
        if (MUTANT(CLEAR_QUIETLY))
            return woke;
        STEP(word, SHM_SYSTEM);
        woke |= os->futex_wake(word, INT32_MAX) > 0;
    }
    return woke;
}

void wake_slowly(const struct view *view, _Atomic uint32_t *word, int count)
{
    uint32_t seen = shm_load(word, E3); /* E3: after the change */
    uint32_t watched;

    /* Every waker counts: two messages must wake two sleepers. */
    do {
        if (!(seen & WAKE_FLAGS))
            return;
        watched = count == 1 ? seen & WAKE_WATCHED : 0;
    } while (!shm_cas(word, &seen, (seen + WAKE_COUNT) ^ watched,
                      E3)); /* E3: a sleeper-to-be sees it */
    if (watched)
        return; /* it is left to the one that watches */
    seen += WAKE_COUNT;
    if (seen & WAKE_ASLEEP && wake_sleepers(view, word, seen, count) && count == 1)
        return;
    if (seen & WAKE_POLLED)
        listeners_ring(view, word, count);
}

void wake_surely(const struct view *view, _Atomic uint32_t *word)
{
    uint32_t seen;

    /* E3: after the change. */
    if (MUTANT(REAP_BELIEVES) && !(shm_load(word, E3) & WAKE_FLAGS))
        return;
    seen = shm_add(word, WAKE_COUNT, E3); /* E3: a sleeper-to-be sees it */
    /* The dead one may have been the one that watched. */
    if ((seen & WAKE_WATCHED) && !MUTANT(REAP_WATCHED))
        shm_and(word, ~WAKE_WATCHED, E3); /* E3: before the others look */
    view_count(view, COUNT_WAKES, 1);
    STEP(word, SHM_SYSTEM);
    os->futex_wake(word, INT32_MAX);
}
