/* SPDX-License-Identifier: MIT */
/* waitset_enter.c - which process a wait set belongs to. It lives on in a
 * forked child, as the child's own. */
#include <sched.h>

#include "ipc/kernel/uncancel.h"
#include "ipc/signal/notify.h"
#include "src/message/message.h"
#include "src/waitset/waitset.h"

void waitset_set_up(tr_waitset *set)
{
    pthread_mutex_init(&set->mutex, NULL);
    atomic_store_explicit(&set->owner, holder_of(&set->arena->self),
                          memory_order_release); /* local: pairs with waitset_enter() */
}

#define REVIVING (UINT64_C(1) << 63)

uint64_t waitset_hint_of(const tr_waitset *set, const struct waitable *what)
{
    return what->word && !what->outside ? notify_hint_of(&set->arena->view, what->word)
                                        : UINT64_MAX;
}

/* What was the parent's alone becomes the child's own. A thread of the parent may have been
 * between a member and the count of the descriptors. */
static int renew(tr_waitset *set)
{
    int result = 0;

    set->descriptors = set->outside = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        set->descriptors += !set->members[i].what.word;
        set->outside += set->members[i].what.outside;
    }
    for (uint32_t i = 0; i < set->count && result == 0; i++) {
        struct waitable *what = &set->members[i].what;

        if (what->renew)
            result = what->renew(what);
        set->members[i].hint = waitset_hint_of(set, what);
    }
    return result;
}

/* Make the set that of a child that has just joined. One thread does. It does not matter what
 * the parent did when it forked: its mark is not ours. On error the next call tries again. */
static int revive(tr_waitset *set, uint64_t me)
{
    /* local: pairs with waitset_set_up(). */
    uint64_t seen = atomic_load_explicit(&set->owner, memory_order_acquire);

    while (seen != me) {
        if (seen == (me | REVIVING)) {
            sched_yield();
            seen = atomic_load_explicit(&set->owner, memory_order_acquire); /* local */
        } else if (atomic_compare_exchange_strong(&set->owner, &seen, me | REVIVING)) {
            int result;

            waitset_fd_drop(set);
            result = renew(set);
            if (result < 0)
                atomic_store(&set->owner, seen);
            else
                waitset_set_up(set);
            return result;
        }
    }
    return 0;
}

int waitset_enter(tr_waitset *set)
{
    int result = arena_enter(set->arena), cancel;

    if (result < 0)
        return result;
    cancel = uncancel_begin();
    result = revive(set, holder_of(&set->arena->self));
    uncancel_end(cancel);
    return result;
}
