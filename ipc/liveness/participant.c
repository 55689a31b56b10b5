/* SPDX-License-Identifier: MIT */
#include "ipc/liveness/participant.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/hooks.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/timens.h"
#include "ipc/memory/segment.h"
#include "ipc/mutant.h"
#include "ipc/slot_word.h"

#define ADMISSION_IS_CLOSED UINT64_C(1)
#define ADMISSION_JOIN      UINT64_C(2)

/* Inode of our pid namespace, 0 if it can't be known. */
static uint64_t pid_namespace(void)
{
    struct stat st;

    return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* The text of a small file of /proc. Its length, or -errno. */
static ssize_t read_text(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, room - 1);
    int result = -errno;

    if (fd >= 0)
        close(fd);
    text[got > 0 ? got : 0] = 0;
    return got < 0 ? result : got;
}

struct vital {
    char state;
    uint64_t threads, start_time;
};

/* The number in the @p n-th word from @p at on. */
static uint64_t word_at(const char *at, int n)
{
    while (n-- > 0 && (at = strchr(at, ' ')) != NULL)
        at++;
    return at ? strtoull(at, NULL, 10) : 0;
}

/* Fields 3, 20 and 22 of /proc/PID/stat (proc(5)); the time without the shift of our time
 * namespace. 0, or -errno. */
static int read_vital(uint32_t pid, struct vital *vital)
{
    char path[32], text[1024];
    const char *at;
    ssize_t got;

    snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    got = read_text(path, text, sizeof(text));
    if (got <= 0)
        return got < 0 ? (int)got : -ESRCH;
    at = strrchr(text, ')'); /* a name may hold anything */
    if (!at || strlen(at) < 3)
        return -EIO;
    vital->state = at[2];
    vital->threads = word_at(at + 2, 17);
    vital->start_time = word_at(at + 2, 19);
    if (vital->start_time == 0)
        return -EIO;
    vital->start_time -= (uint64_t)(timens_boot_shift_ns() /
                                    (1000000000 / sysconf(_SC_CLK_TCK)));
    return 0;
}

/* Whether /proc shows the pid namespace that we are in. In a careless container it is that of
 * the machine: there we have more than one pid. */
static bool proc_is_ours(void)
{
    char text[4096];
    const char *at;
    char *end;

    if (read_text("/proc/self/status", text, sizeof(text)) <= 0)
        return false;
    at = strstr(text, "\nNSpid:\t");
    return at && strtol(at + 8, &end, 10) == getpid() && *end == '\n';
}

/* The times are rounded, and so is the shift between time namespaces. */
static bool another_start(uint64_t a, uint64_t b)
{
    return a > b + 1 || b > a + 1;
}

/* The process of that pid is gone, as /proc says. A zombie may have threads that live. */
static bool buried(uint32_t pid, uint64_t start_time)
{
    struct vital vital = {0};

    if (!start_time || !proc_is_ours() || read_vital(pid, &vital) < 0)
        return false;
    return another_start(vital.start_time, start_time) || vital.state == 'X' ||
           (vital.state == 'Z' && vital.threads <= 1);
}

/* What an entry says of its process. */
struct person {
    uint32_t pid;
    uint64_t start_time, pid_ns;
};

static bool same_namespace(const struct person *person)
{
    return person->pid_ns && person->pid_ns == pid_namespace();
}

/* Without /proc no process knows its own: then it may be the same one. */
static bool strange_namespace(const struct person *person)
{
    uint64_t ours = pid_namespace();

    return person->pid_ns && ours && person->pid_ns != ours;
}

static bool no_such_process(uint32_t pid)
{
    return kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

/* Its lock is held: it lives, unless a child that was forked between the opening and the
 * closing of the lock's descriptor has it: then the pid tells, at once where it is free, and now
 * and then by a longer look where it is not. A prime number of looks: so each entry has its
 * turn. */
static bool lock_leaked(const struct person *person)
{
    static _Atomic uint32_t looks; /* local: */
    uint32_t count;

    if (no_such_process(person->pid))
        return same_namespace(person);
    count = atomic_fetch_add_explicit(&looks, 1,
                                      memory_order_relaxed); /* relaxed: local */
    return count % 257 == 0 && same_namespace(person) &&
           buried(person->pid, person->start_time);
}

/* The lock tells nothing, or not enough. */
static bool process_gone(const struct person *person)
{
    return same_namespace(person) &&
           (no_such_process(person->pid) || buried(person->pid, person->start_time));
}

static bool gone(const struct view *view, uint32_t i, enum life_kind kind,
                 const struct person *person)
{
    int fd = view_fd(view);

    switch (fd < 0 ? LIFE_UNKNOWN : life_of(fd, i)) {
    case LIFE_FREE:
        return kind == LIFE_MAPPED || strange_namespace(person) ||
               no_such_process(person->pid) || process_gone(person);
    case LIFE_HELD:
        return lock_leaked(person);
    default:
        return process_gone(person);
    }
}

bool participant_dead(const struct view *view, uint32_t i)
{
    struct participant *entry = view_participant(view, i);
    /* E4 acquire: pairs with participant_join(); the entry below is read whole. */
    uint64_t before = shm_load(&entry->word, E4_LOOK);
    struct person person = {shm_get(&entry->pid), shm_get(&entry->start_time),
                            shm_get(&entry->pid_ns)};
    enum life_kind kind = shm_get(&entry->life) == LIFE_MAPPED ? LIFE_MAPPED
                                                               : LIFE_RECORD;
    int saved = errno;
    bool dead;

    if (PARTICIPANT_STATE(before) != PARTICIPANT_LIVE)
        return PARTICIPANT_STATE(before) != PARTICIPANT_FREE;
    dead = gone(view, i, kind, &person);
    errno = saved;
    /* E4: the entry may have changed hands while we looked. */
    return dead && shm_load(&entry->word, E4_LOOK) == before;
}

bool participant_enter(struct self *me, uint32_t i, uint64_t word)
{
    struct participant *entry = view_participant(me->view, i);
    _Atomic uint64_t *pins = view_pins(me->view, i);
    uint32_t inc = PARTICIPANT_INC(word) + 1;
    struct vital vital = {0};

    read_vital((uint32_t)getpid(), &vital);
    shm_put(&entry->pid, (uint32_t)getpid());
    shm_put(&entry->uid, (uint32_t)geteuid());
    shm_put(&entry->start_time, vital.start_time);
    shm_put(&entry->pid_ns, pid_namespace());
    shm_put(&entry->joined_ns, (uint64_t)os->now_ns());
    shm_put(&entry->life, me->life.kind);
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

bool participant_admitted(const struct view *view)
{
    _Atomic uint64_t *admission = &view_live(view)->admission;
    uint64_t seen = shm_load(admission, E15_LOOK); /* E15: before the swap */

    while (!(seen & ADMISSION_IS_CLOSED) || MUTANT(ADMISSION_BLIND))
        /* E15 release: our entry is live; pairs with participant_close_arena(). */
        if (shm_cas(admission, &seen, seen + ADMISSION_JOIN, E15_JOIN))
            return true;
    return false;
}

void participant_leave(struct self *me)
{
    life_end(&me->life, view_fd(me->view));
    me->who = SLOT_NOBODY;
}

bool participant_stands(const struct self *me)
{
    /* E4 acquire: enough, as for participant_dead(). */
    return shm_load(&view_participant(me->view, me->who)->word, E4_LOOK) ==
           participant_word(PARTICIPANT_LIVE, me->inc);
}

void participant_renew(const struct self *me)
{
    if (me->life.kind == LIFE_RECORD && view_fd(me->view) >= 0)
        life_renew(&me->life, me->view->lock_fd);
}

/* Whether none of its users may live. */
static bool unused(const struct view *view, bool crashed)
{
    bool dead = false;

    for (uint32_t i = 0; i < view->geo.participant_count; i++) {
        /* E4 acquire: pairs with participant_join(). */
        uint64_t word = shm_load(&view_participant(view, i)->word, E4_LOOK);

        if (PARTICIPANT_STATE(word) == PARTICIPANT_FREE)
            continue;
        if (!hooks->dead(view, i))
            return false;
        dead = true;
    }
    return dead || !crashed;
}

enum admission participant_close_arena(const struct view *view, bool crashed)
{
    _Atomic uint64_t *admission = &view_live(view)->admission;
    /* E15 acquire: each that is counted has a live entry, which is seen below. */
    uint64_t seen = shm_load(admission, E15_LOOK);

    if (seen & ADMISSION_IS_CLOSED && MUTANT(CLOSED_LEFT))
        return ADMISSION_OPEN;
    if (!(seen & ADMISSION_IS_CLOSED) && unused(view, crashed)) {
        if (MUTANT(CENSUS_FIRST))
            seen = shm_load(admission, E15_LOOK); /* E15: too late */
        /* E15: one more join, and it is another word; a joiner that comes later finds it
         * closed. */
        if (MUTANT(ADMISSION_OPEN) ||
            shm_cas(admission, &seen, seen | ADMISSION_IS_CLOSED, E15_CLOSE))
            return ADMISSION_CLOSED;
    }
    /* Another one may have closed it just now. */
    return seen & ADMISSION_IS_CLOSED ? ADMISSION_CLOSED : ADMISSION_OPEN;
}
