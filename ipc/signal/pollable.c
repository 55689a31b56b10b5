/* SPDX-License-Identifier: MIT */
#include "ipc/signal/pollable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/event.h"
#include "ipc/order.h"
#include "ipc/signal/notifier.h"
#include "ipc/signal/notify.h"

int pollable_requested(enum pollable_kind *kind)
{
    static const struct {
        const char *name;
        enum pollable_kind kind;
    } names[] = {{"eventfd", POLLABLE_EVENTFD},
                 {"uring", POLLABLE_URING},
                 {"fifo", POLLABLE_FIFO}};
    const char *requested = secure_getenv("TENSORING_NOTIFY");

    *kind = POLLABLE_NONE;
    if (!requested || !*requested)
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(requested, names[i].name) == 0) {
            *kind = names[i].kind;
            return 0;
        }
    return -EINVAL;
}

/* Participants that did not inherit the table cannot write to an eventfd of it. */
static bool strangers(const struct view *view)
{
    for (uint32_t i = 0; i < view->geo.participant_count; i++) {
        struct participant *entry = view_participant(view, i);
        /* E4 acquire: pairs with participant_join(). */
        uint64_t word = shm_load(&entry->word, E4_LOOK);

        if (PARTICIPANT_STATE(word) == PARTICIPANT_LIVE &&
            !(shm_get(&entry->notify) & NOTIFY_KIN))
            return true;
    }
    return false;
}

static bool in_table(const struct self *me)
{
    return me->who < me->view->notifier->table.count;
}

static enum pollable_kind best(const struct self *me)
{
    if (in_table(me) && !strangers(me->view))
        return POLLABLE_EVENTFD;
    return uring_futex_works() ? POLLABLE_URING : POLLABLE_FIFO;
}

static void set_means(const struct self *me, uint32_t how, bool wanted)
{
    _Atomic uint32_t *notify = &view_participant(me->view, me->who)->notify;

    /* relaxed: told others together with the doorbell, which is armed later. */
    if (wanted)
        shm_or(notify, how, memory_order_relaxed);
    else
        shm_and(notify, ~how, memory_order_relaxed);
}

static _Atomic uint64_t *fifo_key(const struct self *me)
{
    return &view_participant(me->view, me->who)->fifo_key;
}

#define KEYS 100 /* that somebody else uses, or a sweep takes away */

/* Another name than the last. From the moment the entry tells it, the reaper looks for it. */
static int fifo_make_ours(struct self *me)
{
    int fd = -EAGAIN;

    for (int i = 0; i < KEYS && fd == -EAGAIN; i++) {
        uint64_t key = fifo_new_key();

        shm_put(fifo_key(me), key);
        set_means(me, NOTIFY_FIFO, true);
        fd = fifo_make(me->view, key);
    }
    if (fd < 0)
        set_means(me, NOTIFY_FIFO, false);
    return fd;
}

static int fifo_use(struct self *me)
{
    struct notifier *notifier = me->view->notifier;

    if (notifier->fifo < 0) {
        int fd = fifo_make_ours(me);

        if (fd < 0)
            return fd;
        notifier->fifo = fd;
        notifier->fifo_ino = fifo_inode(fd);
    }
    notifier->fifo_users++;
    return 0;
}

static void fifo_disuse(struct self *me)
{
    struct notifier *notifier = me->view->notifier;

    if (--notifier->fifo_users > 0)
        return;
    fifo_remove(me->view, shm_get(fifo_key(me)));
    set_means(me, NOTIFY_FIFO, false);
    fifo_forget(&notifier->fifos, me->who); /* we may have rung ourselves */
    fifo_close(notifier->fifo, notifier->fifo_ino);
    notifier->fifo = -1;
}

static int open_as(struct self *me, struct pollable *pollable)
{
    switch (pollable->kind) {
    case POLLABLE_EVENTFD:
        if (!in_table(me))
            return -EOPNOTSUPP;
        set_means(me, NOTIFY_EVENTFD, true);
        return 0;
    case POLLABLE_URING:
        return uring_futex_works() ? uring_futex_open(&pollable->uring) : -EOPNOTSUPP;
    case POLLABLE_FIFO:
        return fifo_use(me);
    case POLLABLE_NONE:
        break;
    }
    return -EINVAL;
}

int pollable_open(struct self *me, enum pollable_kind requested,
                  struct pollable *pollable)
{
    struct notifier *notifier = me->view->notifier;
    int saved = errno, result;

    pthread_mutex_lock(&notifier->mutex);
    pollable->kind = requested == POLLABLE_NONE ? best(me) : requested;
    result = open_as(me, pollable);
    if (result < 0 && requested == POLLABLE_NONE && pollable->kind == POLLABLE_URING) {
        event_tell(me->view, EVENT_FALLBACK, 1,
                   "a wait set uses a FIFO, since io_uring refuses: %s",
                   strerrordesc_np(-result));
        pollable->kind = POLLABLE_FIFO; /* io_uring's memory may be used up */
        result = open_as(me, pollable);
    }
    if (result == 0) {
        pollable->next = notifier->pollables;
        notifier->pollables = pollable;
    } else {
        pollable->kind = POLLABLE_NONE;
    }
    pthread_mutex_unlock(&notifier->mutex);
    errno = saved;
    return result;
}

void pollable_close(struct self *me, struct pollable *pollable)
{
    struct notifier *notifier = me->view->notifier;
    int saved = errno;

    if (pollable->kind == POLLABLE_NONE)
        return;
    pthread_mutex_lock(&notifier->mutex);
    for (struct pollable **at = &notifier->pollables; *at; at = &(*at)->next)
        if (*at == pollable) {
            *at = pollable->next;
            break;
        }
    if (pollable->kind == POLLABLE_FIFO)
        fifo_disuse(me);
    pthread_mutex_unlock(&notifier->mutex);
    uring_futex_close(&pollable->uring);
    pollable->kind = POLLABLE_NONE;
    errno = saved;
}

void pollable_drop(struct pollable *pollable)
{
    if (pollable->kind == POLLABLE_URING)
        uring_futex_close(&pollable->uring); /* unmaps and closes, submits nothing */
    pollable->kind = POLLABLE_NONE;
}

void notify_forked(const struct view *view)
{
    struct notifier *notifier = view->notifier;

    if (!notifier)
        return;
    pthread_mutex_init(&notifier->mutex, NULL);
    fifo_close(notifier->fifo, notifier->fifo_ino); /* the parent's */
    notifier->fifo = -1;
    notifier->fifo_users = 0;
    notifier->pollables = NULL;
}

int pollable_fd(const struct self *me, const struct pollable *pollable)
{
    const struct notifier *notifier = me->view->notifier;

    switch (pollable->kind) {
    case POLLABLE_EVENTFD:
        return notifier->table.fds[me->who];
    case POLLABLE_URING:
        return uring_futex_fd(&pollable->uring);
    case POLLABLE_FIFO:
        return notifier->fifo;
    case POLLABLE_NONE:
        break;
    }
    return -1;
}

uint32_t pollable_flags(const struct pollable *pollable)
{
    return pollable->kind == POLLABLE_URING ? WAKE_ASLEEP : WAKE_POLLED;
}

int pollable_arm(struct self *me, struct pollable *pollable, uint32_t seen)
{
    if (pollable->kind != POLLABLE_URING)
        return 0;
    return uring_futex_arm(&pollable->uring,
                           &view_participant(me->view, me->who)->doorbell, seen);
}

void pollable_clear(struct self *me, struct pollable *pollable)
{
    struct notifier *notifier = me->view->notifier;

    if (pollable->kind == POLLABLE_URING) {
        uring_futex_clear(&pollable->uring);
        return;
    }
    pthread_mutex_lock(&notifier->mutex);
    if (pollable->kind == POLLABLE_EVENTFD)
        eventfds_clear(pollable_fd(me, pollable));
    else if (fifo_inode(notifier->fifo) == notifier->fifo_ino)
        fifo_clear(notifier->fifo);
    for (struct pollable *other = notifier->pollables; other; other = other->next)
        if (other != pollable && other->kind == pollable->kind)
            eventfds_ring(other->wake_fd);
    pthread_mutex_unlock(&notifier->mutex);
}

void pollable_renew(struct self *me, struct pollable *pollable)
{
    if (pollable->kind == POLLABLE_FIFO)
        fifo_permit(me->view, pollable_fd(me, pollable));
}

void pollable_wake_self(struct self *me)
{
    struct notifier *notifier = me->view->notifier;

    notify_self(me);
    pthread_mutex_lock(&notifier->mutex);
    for (struct pollable *pollable = notifier->pollables; pollable;
         pollable = pollable->next)
        eventfds_ring(pollable->wake_fd);
    pthread_mutex_unlock(&notifier->mutex);
}

bool pollable_is_unfit(const struct self *me, const struct pollable *pollable,
                       enum pollable_kind requested)
{
    if (pollable->kind == POLLABLE_URING)
        return !uring_futex_mine(&pollable->uring);
    return requested == POLLABLE_NONE && pollable->kind == POLLABLE_EVENTFD &&
           strangers(me->view);
}
