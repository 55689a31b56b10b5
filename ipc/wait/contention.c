/* SPDX-License-Identifier: MIT */
#include "ipc/wait/contention.h"

#include <errno.h>
#include <unistd.h>

#include "ipc/kernel/os.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/order.h"

/* Whether all participants together may use one processor only. The kernel is asked: a
 * process that never waits could not keep a word about itself up to date. */
static bool one_processor(const struct self *me)
{
    uint64_t ours = shm_get(&view_participant(me->view, me->who)->pid_ns),
             all = os->processors(0);

    for (uint32_t i = 0;
         __builtin_popcountll(all) < 2 && i < me->view->geo.participant_count; i++) {
        const struct participant *entry = view_participant(me->view, i);

        /* E4: as in participant.c; a hint here. */
        if (PARTICIPANT_STATE(shm_load(&entry->word, E4_LOOK)) == PARTICIPANT_LIVE)
            all |= shm_get(&entry->pid_ns) == ours ? os->processors(shm_get(&entry->pid))
                                                   : UINT64_MAX;
    }
    return __builtin_popcountll(all) < 2;
}

bool cpu_contended(const struct self *me)
{
    int saved = errno, cancel = uncancel_begin();
    int64_t quota = me->milli_cpus ? me->milli_cpus() : -1;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    bool answer = online < 2 || (quota >= 0 && quota < 2000) || one_processor(me) ||
                  os->runnable() > (unsigned long)online;

    uncancel_end(cancel);
    errno = saved;
    return answer;
}
