/* SPDX-License-Identifier: MIT */
#include "ipc/wake.h"

#include "ipc/os.h"

void wake_slowly(const struct view *view, _Atomic uint32_t *word, int count)
{
    uint32_t seen = shm_load(word, E3); /* E3: after the change */

    /* Every waker counts: two messages must wake two sleepers. */
    do {
        if (!(seen & WAKE_FLAGS))
            return;
    } while (
        !shm_cas(word, &seen, seen + WAKE_COUNT, E3)); /* E3: a sleeper-to-be sees it */
    if (!(seen & WAKE_ASLEEP))
        return;
    view_count(view, COUNT_WAKES, 1);
    STEP(word, SHM_SYSTEM);
    if (os->futex_wake(word, count) > 0 && count == 1)
        return;
    seen += WAKE_COUNT;
    /* E3: nobody sleeps on this value, or the next call wakes them. */
    if (shm_cas(word, &seen, (seen + WAKE_COUNT) & ~WAKE_ASLEEP, E3)) {
        STEP(word, SHM_SYSTEM);
        os->futex_wake(word, INT32_MAX);
    }
}
