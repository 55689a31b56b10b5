/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/join.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "ipc/kernel/life.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/reap.h"

/* A record lock is one for all threads of a process, and does not keep them apart: they enter one
 * at a time. Otherwise the later thread would erase the pins of the one that has the entry. The
 * word is the pid, so that a child that is forked meanwhile does not wait. */
static bool enter_alone(struct self *me, uint32_t i, uint64_t word)
{
    static _Atomic uint32_t entering; /* local: */
    uint32_t self = (uint32_t)getpid(), seen = atomic_load(&entering);
    bool entered;

    while (seen == self || !atomic_compare_exchange_strong(&entering, &seen, self)) {
        sched_yield();
        seen = atomic_load(&entering);
    }
    /* E4, E7 acquire: as in participant_enter(). */
    entered = shm_load(&view_participant(me->view, i)->word, E4_LOOK) == word &&
              participant_enter(me, i, word);
    atomic_store(&entering, 0);
    return entered;
}

static int try_entry(struct self *me, uint32_t i, uint64_t word)
{
    int result = life_take(&me->life, me->view->lock_fd, i);

    if (result < 0)
        return result;
    if (me->life.kind ==
        LIFE_RECORD) /* the lock may be that of another thread: it stays */
        return enter_alone(me, i, word) ? 0 : -EAGAIN;
    if (participant_enter(me, i, word))
        return 0;
    life_end(&me->life, me->view->lock_fd);
    return -EAGAIN;
}

int participant_join(struct self *me)
{
    int result = -EUSERS;

    for (uint32_t i = 0; i < me->view->geo.participant_count; i++) {
        /* E4, E7 acquire: as in participant_enter(). */
        uint64_t word = shm_load(&view_participant(me->view, i)->word, E4_LOOK);
        int tried;

        if (PARTICIPANT_STATE(word) != PARTICIPANT_FREE)
            continue;
        tried = try_entry(me, i, word);
        if (tried == -EAGAIN)
            result = -EBUSY;
        else if (tried < 0)
            return tried;
        if (tried < 0)
            continue;
        if (participant_admitted(me->view)) {
            view_count(me->view, COUNT_JOINS, 1);
            return 0;
        }
        reap_self(me);
        participant_leave(me);
        return -ESTALE;
    }
    return result;
}
