/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ipc/hooks.h"
#include "ipc/kernel/evfd.h"
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

static void remember(struct watch *watch, uint32_t i, int fd)
{
    struct stat st = {0};

    (void)fstat(fd, &st);
    watch->of[i].taken = number_take(fd);
    watch->of[i].dev = st.st_dev;
    watch->of[i].ino = st.st_ino;
}

static void forget(struct watch *watch, uint32_t i)
{
    if (watch->of[i].fd) {
        if (number_is_ours(watch->of[i].fd - 1, watch->of[i].taken) &&
            is_it(watch->of[i].fd - 1, watch->of[i].dev, watch->of[i].ino))
            close(watch->of[i].fd - 1); /* leaves the epoll instance with it */
        atomic_fetch_sub_explicit(&taken, 1, memory_order_relaxed); /* relaxed: local */
    }
    watch->of[i].fd = 0;
}

/* One pidfd more is no more than our share. */
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

void watch_end(struct watch *watch)
{
    for (uint32_t i = 0; i < MAX_PARTICIPANTS; i++)
        forget(watch, i);
    if (watch->epoll)
        evfd_close(watch->epoll - 1);
    watch->epoll = 0;
    watch->scarce_ns = watch->whole_ns = 0;
    memset(watch->of, 0, sizeof(watch->of));
}

/* The program needs its descriptors more than we do. */
static bool scarce(struct watch *watch)
{
    int64_t until = watch->scarce_ns;

    if (os->now_ns() >= until)
        return false;
    if (watch->epoll)
        watch_end(watch);
    watch->scarce_ns = until;
    return true;
}

/* A pidfd for a participant that has none. False: there can't be one. */
static bool begin(struct watch *watch, const struct peer *me, uint32_t i, uint32_t inc)
{
    struct participant *mine = view_participant(me->view, me->who);
    struct participant *entry = view_participant(me->view, i);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    int fd;

    forget(watch, i);
    if (!watch->epoll && (fd = evfd_epoll()) >= 0) {
        watch->epoll = fd + 1;
        watch->serial++;
    }
    if (!watch->epoll || !shm_get(&entry->pid_ns) ||
        shm_get(&entry->pid_ns) != shm_get(&mine->pid_ns))
        return false;
    if (!take())
        return false;
    fd = (int)syscall(SYS_pidfd_open, (pid_t)shm_get(&entry->pid), 0);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE))
        watch->scarce_ns = os->now_ns() + WATCH_SCARCE_NS;
    watch->of[i].fd = fd + 1;
    watch->of[i].inc = inc;
    if (fd < 0) {
        atomic_fetch_sub_explicit(&taken, 1, memory_order_relaxed); /* relaxed: local */
        return false;
    }
    remember(watch, i, fd);
    if (epoll_ctl(watch->epoll - 1, EPOLL_CTL_ADD, fd, &event) < 0)
        forget(watch, i);
    return watch->of[i].fd != 0;
}

static bool all_run(struct watch *watch, const struct peer *me)
{
    struct epoll_event event;

    for (uint32_t i = 0; i < me->view->geo.participant_count; i++) {
        /* E4 acquire: pairs with participant_join(). */
        uint64_t word = shm_load(&view_participant(me->view, i)->word, E4_LOOK);

        if (PARTICIPANT_STATE(word) == PARTICIPANT_FREE ||
            (PARTICIPANT_STATE(word) == PARTICIPANT_DRAINING &&
             hooks->busy(me->view, i, PARTICIPANT_INC(word))))
            forget(watch, i); /* nobody is left to watch */
        else if (PARTICIPANT_STATE(word) != PARTICIPANT_LIVE)
            return false;
        else if (i != me->who &&
                 (!watch->of[i].fd || watch->of[i].inc != PARTICIPANT_INC(word)) &&
                 !begin(watch, me, i, PARTICIPANT_INC(word)))
            return false;
    }
    return !watch->epoll || epoll_wait(watch->epoll - 1, &event, 1, 0) == 0;
}

bool watch_quiet(const struct peer *me)
{
    struct watch *watch = me->view->watch;
    int saved = errno;
    bool quiet;

    /* Tests bring their own dead. */
    if (!watch || hooks->dead != participant_dead ||
        pthread_mutex_trylock(&watch->mutex) != 0)
        return false;
    if (watch->epoll && !evfd_ours(watch->epoll - 1))
        watch_end(watch); /* the program closed it, and may have the number */
    quiet = !scarce(watch) && os->now_ns() < watch->whole_ns && all_run(watch, me);
    (void)scarce(watch); /* since a moment ago */
    pthread_mutex_unlock(&watch->mutex);
    errno = saved;
    return quiet;
}

void watch_looked(const struct peer *me)
{
    struct watch *watch = me->view->watch;

    if (!watch || pthread_mutex_trylock(&watch->mutex) != 0)
        return;
    watch->whole_ns = os->now_ns() + WATCH_WHOLE_NS;
    pthread_mutex_unlock(&watch->mutex);
}

int watch_fd(const struct peer *me, uint32_t *serial)
{
    struct watch *watch = me->view->watch;
    int fd;

    if (!watch)
        return -1;
    pthread_mutex_lock(&watch->mutex);
    fd = watch->epoll - 1;
    *serial = watch->serial;
    if (!evfd_ours(fd))
        fd = -1;
    pthread_mutex_unlock(&watch->mutex);
    return fd;
}

int watch_open(struct view *view)
{
    view->watch = calloc(1, sizeof(*view->watch));
    if (!view->watch)
        return -ENOMEM;
    pthread_mutex_init(&view->watch->mutex, NULL);
    return 0;
}

void watch_close(struct view *view)
{
    if (!view->watch)
        return;
    watch_end(view->watch);
    free(view->watch);
    view->watch = NULL;
}

void watch_forked(const struct view *view)
{
    if (!view->watch)
        return;
    pthread_mutex_init(&view->watch->mutex, NULL);
    watch_end(view->watch);
}
