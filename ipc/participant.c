/* SPDX-License-Identifier: MIT */
#include "ipc/participant.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ipc/lockfile.h"
#include "ipc/os.h"
#include "ipc/slot.h"

/* Inode of our pid namespace, 0 if it can't be known. */
static uint64_t pid_namespace(void)
{
    struct stat st;

    return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

struct vital {
    char state;
    uint64_t start_time;
};

/* Fields 3 and 22 of /proc/PID/stat (proc(5)). 0, or -errno. */
static int read_vital(uint32_t pid, struct vital *vital)
{
    char path[32], text[1024];
    const char *at;
    ssize_t got;
    int fd;

    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    got = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (got <= 0)
        return got < 0 ? -errno : -ESRCH;
    text[got] = 0;
    at = strrchr(text, ')'); /* a name may hold anything */
    if (!at ||
        sscanf(at + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
               "%*d %*d %lu",
               &vital->state, &vital->start_time) != 2)
        return -EIO;
    return 0;
}

/* Whether a living process maps the arena. True also if it won't say. */
static bool maps_arena(const struct view *view, uint32_t pid)
{
    char path[32], *line = NULL;
    size_t room = 0;
    bool found = false;
    FILE *maps;

    snprintf(path, sizeof(path), "/proc/%u/maps", pid);
    maps = fopen(path, "re");
    if (!maps)
        return true;
    while (!found && getline(&line, &room, maps) > 0) {
        unsigned major, minor;
        unsigned long inode;

        found = sscanf(line, "%*x-%*x %*s %*x %x:%x %lu", &major, &minor, &inode) == 3 &&
                inode == view->ino && makedev(major, minor) == view->dev;
    }
    found = found || ferror(maps);
    free(line);
    fclose(maps);
    return found;
}

/* The second witness. */
static bool process_gone(const struct view *view, uint32_t pid, uint64_t start_time)
{
    struct vital vital = {0};
    int result;

    /* Ours, and nobody in this process claims it: from before an exec. */
    if (pid == (uint32_t)getpid())
        return true;
    result = read_vital(pid, &vital);
    if (result == -ENOENT || result == -ESRCH)
        return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
    if (result < 0)
        return false;
    if (vital.state == 'Z' || vital.state == 'X' || vital.start_time != start_time)
        return true;
    return !maps_arena(view, pid);
}

bool participant_dead(const struct view *view, uint32_t i)
{
    struct participant *entry = view_participant(view, i);
    /* E4 acquire: pairs with participant_join(); the entry below is read whole. */
    uint64_t before = shm_load(&entry->word, E4_LOOK);
    uint32_t pid = shm_get(&entry->pid);
    uint64_t start_time = shm_get(&entry->start_time), ns = shm_get(&entry->pid_ns);
    int saved = errno;
    bool dead;

    if (PARTICIPANT_STATE(before) == PARTICIPANT_REAPING)
        return true;
    if (PARTICIPANT_STATE(before) == PARTICIPANT_FREE || lockfile_held(view->lock_fd, i))
        return false;
    /* In another pid namespace, or without /proc, the lock is the only witness. */
    dead = !ns || ns != pid_namespace() || process_gone(view, pid, start_time);
    errno = saved;
    /* E4: the entry may have changed hands while we looked. */
    return dead && shm_load(&entry->word, E4_LOOK) == before;
}

bool participant_enter(struct peer *me, uint32_t i, uint64_t word)
{
    struct participant *entry = view_participant(me->view, i);
    _Atomic uint64_t *pins = view_pins(me->view, i);
    uint32_t inc = PARTICIPANT_INC(word) + 1;
    struct vital vital = {0};

    read_vital((uint32_t)getpid(), &vital);
    shm_put(&entry->pid, (uint32_t)getpid());
    shm_put(&entry->uid, (uint32_t)geteuid());
    shm_put(&entry->start_time, vital.start_time);
    shm_put(&entry->pid_ns, vital.start_time ? pid_namespace() : 0);
    shm_put(&entry->joined_ns, (uint64_t)os->now_ns());
    shm_put(&entry->doorbell, 0);
    shm_put(&entry->notify, 0);
    for (uint32_t p = 0; p < me->view->geo.pin_count; p++)
        shm_put(&pins[p], 0);
    /* E4 release: pairs with participant_dead(). E7 acquire: pairs with the reaper's last
     * step; what it wrote of our predecessor comes before what we write. */
    if (!shm_cas(&entry->word, &word, participant_word(PARTICIPANT_LIVE, inc), E7_JOIN))
        return false;
    me->who = i;
    me->inc = inc;
    return true;
}

int participant_join(struct peer *me)
{
    for (uint32_t i = 0; i < me->view->geo.participant_count; i++) {
        /* E4, E7 acquire: as in participant_enter(). */
        uint64_t word = shm_load(&view_participant(me->view, i)->word, E4_LOOK);
        int result;

        if (PARTICIPANT_STATE(word) != PARTICIPANT_FREE)
            continue;
        result = lockfile_claim(me->view->lock_fd, i);
        if (result == -EAGAIN)
            continue;
        if (result < 0)
            return result;
        if (participant_enter(me, i, word)) {
            view_count(me->view, COUNT_JOINS, 1);
            return 0;
        }
        lockfile_release(me->view->lock_fd, i);
    }
    return -EUSERS;
}

void participant_leave(struct peer *me)
{
    lockfile_release(me->view->lock_fd, me->who);
}

void participant_renew(const struct peer *me)
{
    lockfile_renew(me->view->lock_fd, me->who);
}
