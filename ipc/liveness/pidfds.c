/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/pidfds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/hooks.h"
#include "ipc/kernel/eventfds.h"
#include "ipc/kernel/number.h"
#include "ipc/kernel/os.h"
#include "ipc/liveness/participant.h"

static _Atomic uint32_t taken; /* local: pidfds of this process, of all arenas */

/* The program may have closed it, and have another file by the number. */
static bool is_it(int fd, uint64_t dev, uint64_t ino)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
}

static void remember(struct pidfds *pidfds, uint32_t i, int fd)
{
    struct stat st = {0};

    (void)fstat(fd, &st);
    pidfds->of[i].taken = number_take(fd);
    pidfds->of[i].dev = st.st_dev;
    pidfds->of[i].ino = st.st_ino;
}

/* A child that was forked meanwhile may have a copy, with which a pidfd stays in the epoll instance
 * until it is taken out. The instance of a child is its parent's. */
static void close_one(const struct pidfds *pidfds, int fd)
{
    if (pidfds->epoll && pidfds->owner == getpid())
        (void)epoll_ctl(pidfds->epoll - 1, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
}

static void forget(struct pidfds *pidfds, uint32_t i)
{
    if (pidfds->of[i].fd) {
        if (number_is_ours(pidfds->of[i].fd - 1, pidfds->of[i].taken) &&
            is_it(pidfds->of[i].fd - 1, pidfds->of[i].dev, pidfds->of[i].ino))
            close_one(pidfds, pidfds->of[i].fd - 1);
        atomic_fetch_sub_explicit(&taken, 1, memory_order_relaxed); /* relaxed: local */
    }
    pidfds->of[i].fd = 0;
}

/* One more pidfd is within our share. */
static bool take(void)
{
    struct rlimit limit;
    /* relaxed: local, as below. */
    uint32_t before = atomic_fetch_add_explicit(&taken, 1, memory_order_relaxed);

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && before < limit.rlim_cur / 4)
        return true;
    atomic_fetch_sub_explicit(&taken, 1, memory_order_relaxed); /* relaxed: local */
    return false;
}

void pidfds_end(struct pidfds *pidfds)
{
    for (uint32_t i = 0; i < MAX_PARTICIPANTS; i++)
        forget(pidfds, i);
    if (pidfds->epoll)
        eventfds_close(pidfds->epoll - 1);
    pidfds->epoll = 0;
    pidfds->scarce_ns = pidfds->whole_ns = 0;
    memset(pidfds->of, 0, sizeof(pidfds->of));
}

/* The program needs its descriptors more than we do. */
static bool scarce(struct pidfds *pidfds)
{
    int64_t until = pidfds->scarce_ns;

    if (os->now_ns() >= until)
        return false;
    if (pidfds->epoll)
        pidfds_end(pidfds);
    pidfds->scarce_ns = until;
    return true;
}

/* A pidfd for a participant that has none. False: there can't be one. */
static bool begin(struct pidfds *pidfds, const struct self *me, uint32_t i, uint32_t inc)
{
    struct participant *mine = view_participant(me->view, me->who);
    struct participant *entry = view_participant(me->view, i);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    int fd;

    forget(pidfds, i);
    if (!pidfds->epoll && (fd = eventfds_epoll()) >= 0) {
        pidfds->epoll = fd + 1;
        pidfds->owner = getpid();
        pidfds->serial++;
    }
    if (!pidfds->epoll || !shm_get(&entry->pid_ns) ||
        shm_get(&entry->pid_ns) != shm_get(&mine->pid_ns))
        return false;
    if (!take())
        return false;
    fd = (int)syscall(SYS_pidfd_open, (pid_t)shm_get(&entry->pid), 0);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE))
        pidfds->scarce_ns = os->now_ns() + PIDFDS_SCARCE_NS;
    pidfds->of[i].fd = fd + 1;
    pidfds->of[i].inc = inc;
    if (fd < 0) {
        atomic_fetch_sub_explicit(&taken, 1, memory_order_relaxed); /* relaxed: local */
        return false;
    }
    remember(pidfds, i, fd);
    if (epoll_ctl(pidfds->epoll - 1, EPOLL_CTL_ADD, fd, &event) < 0)
        forget(pidfds, i);
    return pidfds->of[i].fd != 0;
}

static bool all_run(struct pidfds *pidfds, const struct self *me)
{
    struct epoll_event event;

    for (uint32_t i = 0; i < me->view->geo.participant_count; i++) {
        /* E4 acquire: pairs with participant_join(). */
        uint64_t word = shm_load(&view_participant(me->view, i)->word, E4_LOOK);

        if (PARTICIPANT_STATE(word) == PARTICIPANT_FREE ||
            (PARTICIPANT_STATE(word) == PARTICIPANT_DRAINING &&
             hooks->busy(me->view, i, PARTICIPANT_INC(word))))
            forget(pidfds, i); /* nobody is left to watch */
        else if (PARTICIPANT_STATE(word) != PARTICIPANT_LIVE)
            return false;
        else if (i != me->who &&
                 (!pidfds->of[i].fd || pidfds->of[i].inc != PARTICIPANT_INC(word)) &&
                 !begin(pidfds, me, i, PARTICIPANT_INC(word)))
            return false;
    }
    return !pidfds->epoll || epoll_wait(pidfds->epoll - 1, &event, 1, 0) == 0;
}

bool pidfds_quiet(const struct self *me)
{
    struct pidfds *pidfds = me->view->pidfds;
    int saved = errno;
    bool quiet;

    /* Tests decide which are dead. */
    if (!pidfds || hooks->dead != participant_dead ||
        pthread_mutex_trylock(&pidfds->mutex) != 0)
        return false;
    if (pidfds->epoll && !eventfds_ours(pidfds->epoll - 1))
        pidfds_end(pidfds); /* the program closed it, and may have the number */
    quiet = !scarce(pidfds) && os->now_ns() < pidfds->whole_ns && all_run(pidfds, me);
    (void)scarce(pidfds); /* since a moment ago */
    pthread_mutex_unlock(&pidfds->mutex);
    errno = saved;
    return quiet;
}

void pidfds_checked(const struct self *me)
{
    struct pidfds *pidfds = me->view->pidfds;

    if (!pidfds || pthread_mutex_trylock(&pidfds->mutex) != 0)
        return;
    pidfds->whole_ns = os->now_ns() + PIDFDS_WHOLE_NS;
    pthread_mutex_unlock(&pidfds->mutex);
}

int pidfds_fd(const struct self *me, uint32_t *serial)
{
    struct pidfds *pidfds = me->view->pidfds;
    int fd;

    if (!pidfds)
        return -1;
    pthread_mutex_lock(&pidfds->mutex);
    fd = pidfds->epoll - 1;
    *serial = pidfds->serial;
    if (!eventfds_ours(fd))
        fd = -1;
    pthread_mutex_unlock(&pidfds->mutex);
    return fd;
}

int pidfds_open(struct view *view)
{
    view->pidfds = calloc(1, sizeof(*view->pidfds));
    if (!view->pidfds)
        return -ENOMEM;
    pthread_mutex_init(&view->pidfds->mutex, NULL);
    return 0;
}

void pidfds_close(struct view *view)
{
    if (!view->pidfds)
        return;
    pidfds_end(view->pidfds);
    free(view->pidfds);
    view->pidfds = NULL;
}

void pidfds_forked(const struct view *view)
{
    if (!view->pidfds)
        return;
    pthread_mutex_init(&view->pidfds->mutex, NULL);
    pidfds_end(view->pidfds);
}
