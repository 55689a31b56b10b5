/* SPDX-License-Identifier: MIT */
#include "ipc/signal/bell.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ipc/order.h"
#include "ipc/signal/notifier.h"
#include "ipc/signal/notify.h"

int bell_wish(enum bell_kind *kind)
{
    static const struct {
        const char *name;
        enum bell_kind kind;
    } names[] = {{"eventfd", BELL_EVENTFD}, {"uring", BELL_URING}, {"fifo", BELL_FIFO}};
    const char *wish = secure_getenv("TENSORING_NOTIFY");

    *kind = BELL_NONE;
    if (!wish || !*wish)
        return 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(wish, names[i].name) == 0) {
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

static bool in_table(const struct peer *me)
{
    return me->who < me->view->notifier->table.count;
}

static enum bell_kind best(const struct peer *me)
{
    if (in_table(me) && !strangers(me->view))
        return BELL_EVENTFD;
    return uring_works() ? BELL_URING : BELL_FIFO;
}

static void wish_for(const struct peer *me, uint32_t how, bool wanted)
{
    _Atomic uint32_t *notify = &view_participant(me->view, me->who)->notify;

    /* relaxed: told others together with the doorbell, which is armed later. */
    if (wanted)
        shm_or(notify, how, memory_order_relaxed);
    else
        shm_and(notify, ~how, memory_order_relaxed);
}

static _Atomic uint64_t *fifo_key(const struct peer *me)
{
    return &view_participant(me->view, me->who)->fifo_key;
}

#define KEYS 100 /* that somebody else uses, or a sweep takes away */

/* Another name than the last. From the moment the entry tells it, the reaper looks for it. */
static int fifo_make_ours(struct peer *me)
{
    int fd = -EAGAIN;

    for (int i = 0; i < KEYS && fd == -EAGAIN; i++) {
        uint64_t key = fifo_new_key();

        shm_put(fifo_key(me), key);
        wish_for(me, NOTIFY_FIFO, true);
        fd = fifo_make(me->view, key);
    }
    if (fd < 0)
        wish_for(me, NOTIFY_FIFO, false);
    return fd;
}

static int fifo_use(struct peer *me)
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

static void fifo_disuse(struct peer *me)
{
    struct notifier *notifier = me->view->notifier;

    if (--notifier->fifo_users > 0)
        return;
    fifo_remove(me->view, shm_get(fifo_key(me)));
    wish_for(me, NOTIFY_FIFO, false);
    fifo_forget(&notifier->fifos, me->who); /* we may have rung ourselves */
    fifo_close(notifier->fifo, notifier->fifo_ino);
    notifier->fifo = -1;
}

static int hang_up(struct peer *me, struct bell *bell)
{
    switch (bell->kind) {
    case BELL_EVENTFD:
        if (!in_table(me))
            return -EOPNOTSUPP;
        wish_for(me, NOTIFY_EVENTFD, true);
        return 0;
    case BELL_URING:
        return uring_works() ? uring_open(&bell->uring) : -EOPNOTSUPP;
    case BELL_FIFO:
        return fifo_use(me);
    case BELL_NONE:
        break;
    }
    return -EINVAL;
}

int bell_open(struct peer *me, enum bell_kind wish, struct bell *bell)
{
    struct notifier *notifier = me->view->notifier;
    int saved = errno, result;

    pthread_mutex_lock(&notifier->mutex);
    bell->kind = wish == BELL_NONE ? best(me) : wish;
    result = hang_up(me, bell);
    if (result < 0 && wish == BELL_NONE && bell->kind == BELL_URING) {
        bell->kind = BELL_FIFO; /* io_uring's memory may be used up */
        result = hang_up(me, bell);
    }
    if (result == 0) {
        bell->next = notifier->bells;
        notifier->bells = bell;
    } else {
        bell->kind = BELL_NONE;
    }
    pthread_mutex_unlock(&notifier->mutex);
    errno = saved;
    return result;
}

void bell_close(struct peer *me, struct bell *bell)
{
    struct notifier *notifier = me->view->notifier;
    int saved = errno;

    if (bell->kind == BELL_NONE)
        return;
    pthread_mutex_lock(&notifier->mutex);
    for (struct bell **at = &notifier->bells; *at; at = &(*at)->next)
        if (*at == bell) {
            *at = bell->next;
            break;
        }
    if (bell->kind == BELL_FIFO)
        fifo_disuse(me);
    pthread_mutex_unlock(&notifier->mutex);
    uring_close(&bell->uring);
    bell->kind = BELL_NONE;
    errno = saved;
}

void bell_drop(struct bell *bell)
{
    if (bell->kind == BELL_URING)
        uring_close(&bell->uring); /* unmaps and closes, submits nothing */
    bell->kind = BELL_NONE;
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
    notifier->bells = NULL;
}

int bell_fd(const struct peer *me, const struct bell *bell)
{
    const struct notifier *notifier = me->view->notifier;

    switch (bell->kind) {
    case BELL_EVENTFD:
        return notifier->table.fds[me->who];
    case BELL_URING:
        return uring_fd(&bell->uring);
    case BELL_FIFO:
        return notifier->fifo;
    case BELL_NONE:
        break;
    }
    return -1;
}

uint32_t bell_flags(const struct bell *bell)
{
    return bell->kind == BELL_URING ? WAKE_ASLEEP : WAKE_POLLED;
}

int bell_arm(struct peer *me, struct bell *bell, uint32_t seen)
{
    if (bell->kind != BELL_URING)
        return 0;
    return uring_arm(&bell->uring, &view_participant(me->view, me->who)->doorbell, seen);
}

void bell_clear(struct peer *me, struct bell *bell)
{
    struct notifier *notifier = me->view->notifier;

    if (bell->kind == BELL_URING) {
        uring_clear(&bell->uring);
        return;
    }
    pthread_mutex_lock(&notifier->mutex);
    if (bell->kind == BELL_EVENTFD)
        evfd_clear(bell_fd(me, bell));
    else if (fifo_inode(notifier->fifo) == notifier->fifo_ino)
        fifo_clear(notifier->fifo);
    for (struct bell *other = notifier->bells; other; other = other->next)
        if (other != bell && other->kind == bell->kind)
            evfd_ring(other->kick);
    pthread_mutex_unlock(&notifier->mutex);
}

void bell_renew(struct peer *me, struct bell *bell)
{
    if (bell->kind == BELL_FIFO)
        fifo_permit(me->view, bell_fd(me, bell));
}

void bell_wake_self(struct peer *me)
{
    struct notifier *notifier = me->view->notifier;

    notify_self(me);
    pthread_mutex_lock(&notifier->mutex);
    for (struct bell *bell = notifier->bells; bell; bell = bell->next)
        evfd_ring(bell->kick);
    pthread_mutex_unlock(&notifier->mutex);
}

bool bell_unfit(const struct peer *me, const struct bell *bell, enum bell_kind wish)
{
    if (bell->kind == BELL_URING)
        return !uring_mine(&bell->uring);
    return wish == BELL_NONE && bell->kind == BELL_EVENTFD && strangers(me->view);
}
