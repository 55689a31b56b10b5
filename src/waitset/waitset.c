/* SPDX-License-Identifier: MIT */
/* waitset.c - many words, one sleep.
 *
 * Up to OS_WORDS - 1 members: futex_waitv() on their words, and on one of our own that
 * changes when members come or go. More, or no such call: the doorbell of notify.h. Where a
 * signal must end the wait, too: the kernel restarts a futex_waitv() after a handler with
 * SA_RESTART, and never a FUTEX_WAIT with a time. With descriptors: the pollable descriptor of
 * waitset_fd.c, by ppoll(). */
#include "src/waitset/waitset.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ipc/kernel/uncancel.h"
#include "ipc/signal/notify.h"
#include "ipc/wait/wait.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/message/message.h"

#define WANTABLE (TR_WAIT_READABLE | TR_WAIT_WRITABLE)

static _Atomic uint32_t without_waitv; /* local: the kernel has no futex_waitv() */

static bool has_waitv(void)
{
    /* relaxed: local, and it only ever becomes true. */
    return atomic_load_explicit(&without_waitv, memory_order_relaxed) == 0;
}

static bool interruptible(const tr_waitset *set)
{
    /* relaxed: set by the handle's owner before it waits. */
    return atomic_load_explicit(&set->arena->self.interrupt, memory_order_relaxed);
}

bool waitset_by_doorbell(const tr_waitset *set)
{
    return set->count + 1 > OS_WORDS || !has_waitv() || interruptible(set);
}

/* Lock, without cancellation until the unlock: what we call has cancellation points. */
static int lock(tr_waitset *set)
{
    int cancel = uncancel_begin();

    pthread_mutex_lock(&set->mutex);
    return cancel;
}

static void unlock(tr_waitset *set, int cancel)
{
    pthread_mutex_unlock(&set->mutex);
    uncancel_end(cancel);
}

static struct handle_kind sets = {.bytes = sizeof(struct tr_waitset)};

int tr_waitset_open(tr_arena *given, tr_waitset **out)
{
    struct tr_waitset *set;
    struct tr_arena *arena;
    int result = arena_open(given, "waitset open", &arena);

    if (result == 0 && !out)
        result = null_fail("waitset open", "out");
    if (result < 0)
        return result;
    set = handle_new(&sets);
    if (!set)
        return tr_fail(TR_ENOMEM, "no memory for a wait set");
    set->handle.arena = set->arena = arena;
    set->epoll = set->wake_fd = set->timer = set->pidfds = -1;
    waitset_set_up(set);
    *out = handle_of(set);
    return 0;
}

/* Whether we are, or may be, among the listeners of our members. */
static bool listens(const tr_waitset *set)
{
    return set->epoll >= 0 || waitset_by_doorbell(set);
}

/* A loan that no longer waits. Each one that got its slot comes here, so the next is told only if
 * there is another slot. */
static void forget_loan(tr_waitset *set, const struct waitable *gone, bool listened)
{
    struct self *me = &set->arena->self;
    bool heard = listened || notify_listens(me, gone->word);

    if (heard)
        notify_leave(me, gone->word);
    if (gone->ready(gone))
        wake_one(&set->arena->view, gone->word);
    if (heard) /* other sets of this process listen again */
        pollable_wake_self(me);
}

/* The word of a removed member: another must take what we were woken for. Other
 * sets of this process listen again by themselves. A set that has shrunk may still be among its
 * earlier listeners. */
static void forget_word(tr_waitset *set, const struct waitable *gone, bool listened)
{
    _Atomic uint32_t *word = gone->word;

    if (!word || gone->outside)
        return;
    for (uint32_t i = 0; i < set->count; i++)
        if (set->members[i].what.word == word)
            return;
    if (gone->loan) {
        forget_loan(set, gone, listened);
        return;
    }
    if (!listened && !notify_listens(&set->arena->self, word)) {
        wake_one(&set->arena->view, word);
        return;
    }
    notify_unlisten(&set->arena->self, word);
    pollable_wake_self(&set->arena->self);
}

static void leave_members(struct tr_waitset *set)
{
    bool listened = listens(set);

    waitset_fd_close(set);
    while (set->count > 0) {
        struct waitable gone = set->members[--set->count].what;

        forget_word(set, &gone, listened);
    }
}

/* All but the object itself. In a child that never used the set, or its arena, it is the
 * parent's. */
static void let_go(void *object)
{
    struct tr_waitset *set = object;

    if (arena_is_joined(set->arena) && waitset_enter(set) == 0)
        leave_members(set);
    else
        waitset_fd_drop(set);
    pthread_mutex_destroy(&set->mutex);
    free(set->members);
    set->members = NULL;
}

void waitset_orphan(const struct tr_arena *arena)
{
    handle_orphan(&sets, arena, let_go);
}

void tr_waitset_close(tr_waitset *given)
{
    struct tr_waitset *set = handle_retire(given);
    int cancel;

    if (!set)
        return;
    cancel = uncancel_begin();
    if (set->handle.arena)
        let_go(set);
    handle_free(set);
    uncancel_end(cancel);
}

/* Here and where members come and go: the process may fork at any point, and what its child
 * then has must be whole. It may hold a member twice, but must not lack one. */
static int grow(tr_waitset *set)
{
    uint32_t room = set->room ? 2 * set->room : 16;
    struct member *members, *old = set->members;

    if (set->count < set->room)
        return 0;
    if (set->count == TR_MAX_WAITABLE)
        return tr_fail(TR_ENOSPC, "waitset: it holds %u things, which is the limit",
                       set->count);
    members = malloc(room * sizeof(*members));
    if (!members)
        return tr_fail(TR_ENOMEM, "no memory for a wait set of %u things", room);
    if (set->count)
        memcpy(members, old, set->count * sizeof(*members));
    atomic_signal_fence(memory_order_seq_cst);
    set->members = members;
    atomic_signal_fence(memory_order_seq_cst);
    set->room = room;
    free(old);
    return 0;
}

/* Members have changed: sleepers look again. */
static void tell(tr_waitset *set)
{
    /* local: seq_cst, before the wake; a thread about to sleep sees another value. */
    atomic_fetch_add(&set->changed, 1);
    os->futex_wake(&set->changed, INT32_MAX);
    if (set->epoll >= 0)
        waitset_fd_wake(set);
    if (set->rung)
        pollable_wake_self(&set->arena->self);
}

static int check_once(const tr_waitset *set, const struct waitable *what)
{
    for (uint32_t i = 0; what->outside && i < set->count; i++)
        if (set->members[i].what.word == what->word)
            return tr_fail(TR_EEXIST,
                           "waitset: it is in the set already; remove it first");
    return 0;
}

static int add_locked(tr_waitset *set, const struct waitable *what, uint64_t token)
{
    int result = check_once(set, what);

    if (result == 0)
        result = grow(set);
    if (result == 0 && !what->word)
        result = waitset_fd_open(set);
    if (result == 0 && !what->word)
        result = waitset_fd_watch(set, what);
    if (result < 0)
        return result;
    set->members[set->count] = (struct member){
        .what = *what, .token = token, .hint = waitset_hint_of(set, what)};
    atomic_signal_fence(memory_order_seq_cst);
    set->count++;
    set->descriptors += !what->word;
    set->outside += what->outside;
    if (what->outside)
        waitset_fd_watch_outside(set, what);
    tell(set);
    return 0;
}

int waitset_add(tr_waitset *set, const struct waitable *what, uint64_t token)
{
    int result = waitset_enter(set), cancel;

    if (result < 0)
        return result;
    if (what->want == 0 || what->want & ~(uint32_t)WANTABLE)
        return tr_fail(
            TR_EINVAL,
            "waitset: want is 0x%x, not TR_WAIT_READABLE, TR_WAIT_WRITABLE or both",
            what->want);
    if (what->word && !what->outside && !notify_can(&set->arena->view, what->word))
        return tr_fail(TR_EINVAL, "waitset: what is added lies in another arena");
    cancel = lock(set);
    result = add_locked(set, what, token);
    unlock(set, cancel);
    return result;
}

int tr_waitset_add_fd(tr_waitset *given, int fd, uint32_t want, uint64_t token)
{
    const struct waitable what = {.fd = fd, .want = want};
    struct tr_waitset *set = waitset_known(given);

    if (!set)
        return handle_fail(given, "waitset add descriptor", "wait set");
    if (fd < 0)
        return tr_fail(TR_EINVAL, "waitset add descriptor: fd is %d", fd);
    return waitset_add(set, &what, token);
}

int tr_waitset_remove(tr_waitset *given, uint64_t token)
{
    struct tr_waitset *set = waitset_known(given);
    int result = set ? waitset_enter(set)
                     : handle_fail(given, "waitset remove", "wait set");
    uint32_t found = 0;
    int cancel;

    if (result < 0)
        return result;
    cancel = lock(set);
    for (uint32_t i = 0; i < set->count;) {
        struct waitable gone = set->members[i].what;
        bool listened = listens(set);

        if (set->members[i].token != token) {
            i++;
            continue;
        }
        set->members[i] = set->members[set->count - 1];
        atomic_signal_fence(memory_order_seq_cst);
        set->count--;
        found++;
        set->descriptors -= !gone.word;
        set->outside -= gone.outside;
        if (!gone.word || gone.outside)
            waitset_fd_unwatch(set, &gone);
        forget_word(set, &gone, listened);
    }
    set->next = 0;
    if (found)
        tell(set);
    unlock(set, cancel);
    return found ? 0
                 : tr_fail(TR_ENOENT, "waitset: nothing has token %lu",
                           (unsigned long)token);
}

void waitset_listen(tr_waitset *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->members[i].what.word && !set->members[i].what.outside)
            notify_listen(&set->arena->self, set->members[i].what.word);
}

int64_t waitset_due(const tr_waitset *set)
{
    int64_t first = INT64_MAX;

    for (uint32_t i = 0; i < set->count; i++) {
        const struct waitable *what = &set->members[i].what;
        int64_t due = what->due ? what->due(what->context) : INT64_MAX;

        first = due < first ? due : first;
    }
    return first;
}

/* The members that @p hints name, from `next` on. */
static size_t scan(tr_waitset *set, uint64_t hints, tr_event *events, size_t capacity)
{
    uint32_t at = set->next < set->count ? set->next : 0;
    size_t found = 0;

    for (uint32_t i = 0; i < set->count; i++) {
        struct member *member = &set->members[at];

        at = at + 1 < set->count ? at + 1 : 0;
        if (member->hint & hints) {
            uint32_t ready = member->what.word ? member->what.ready(&member->what)
                                               : member->ready;

            if (!ready)
                continue;
            events[found++] = (tr_event){.token = member->token, .ready = ready};
            set->next = at;
            if (found == capacity)
                break;
        }
    }
    return found;
}

size_t waitset_look(tr_waitset *set, tr_event *events, size_t capacity)
{
    uint64_t hints = listens(set) ? notify_hints(&set->arena->self) : 0;
    size_t found = 0;

    if (set->descriptors)
        waitset_fd_look(set);
    /* The member that rang is looked at first. It rings again only after everybody was
     * looked at. */
    if (hints)
        found = scan(set, hints, events, capacity);
    return found ? found : scan(set, UINT64_MAX, events, capacity);
}

enum sleep_mode { SLEEP_WORDS, SLEEP_DOORBELL, SLEEP_POLL };

struct waiting {
    struct sleeper base;
    tr_waitset *set;
    tr_event *events;
    size_t capacity, found;
    enum sleep_mode mode;
    uint32_t count;
    struct os_word words[OS_WORDS];
};

static int try_look(void *context)
{
    struct waiting *waiting = context;
    tr_waitset *set = waiting->set;
    int cancel;

    cancel = lock(set);
    waiting->found = waitset_look(set, waiting->events, waiting->capacity);
    if (waiting->found && set->epoll >= 0)
        waitset_fd_level(set);
    unlock(set, cancel);
    return waiting->found ? 0 : -EAGAIN;
}

/* A word outside rings no doorbell, but its descriptor. */
static bool by_descriptor(const tr_waitset *set)
{
    return set->descriptors || (set->outside && waitset_by_doorbell(set));
}

/* local: outside: seq_cst, and the look comes after it, as with wake_announce(). */
static uint32_t announce_word(const struct waitable *what)
{
    return what->outside ? atomic_load(what->word) : wake_announce(what->word);
}

static void announce(struct sleeper *self)
{
    struct waiting *waiting = (struct waiting *)self;
    tr_waitset *set = waiting->set;
    struct self *me = &set->arena->self;
    int cancel;

    cancel = lock(set);
    waiting->words[0] = (struct os_word){&set->changed, atomic_load(&set->changed)};
    waiting->count = 1;
    if (by_descriptor(set) && waitset_fd_open(set) == 0) {
        waiting->mode = SLEEP_POLL;
        waitset_fd_arm(set);
    } else if (waitset_by_doorbell(set)) {
        waiting->mode = SLEEP_DOORBELL;
        set->rung = true;
        waiting->words[waiting->count++] = (struct os_word){
            &view_participant(me->view, me->who)->doorbell, notify_arm(me, WAKE_ASLEEP)};
        waitset_listen(set);
    } else {
        waiting->mode = SLEEP_WORDS;
        for (uint32_t i = 0; i < set->count; i++) {
            const struct waitable *what = &set->members[i].what;

            if (!what->word) /* no descriptor is left to watch it with: the slices find it */
                continue;
            waiting->words[waiting->count++] = (struct os_word){what->word,
                                                                announce_word(what)};
        }
    }
    unlock(set, cancel);
}

static int poll_until(int fd, int64_t until_ns)
{
    int64_t left = until_ns - os->now_ns();
    struct timespec timeout = {.tv_sec = left > 0 ? left / 1000000000 : 0,
                               .tv_nsec = left > 0 ? left % 1000000000 : 0};
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    int saved = errno, got = ppoll(&poller, 1, &timeout, NULL);
    int result = got > 0 ? 0 : got == 0 ? -ETIMEDOUT : -errno;

    errno = saved;
    return result;
}

/* A sleeper on several words can be woken for more than one of them, and each waker believes
 * that its message has found somebody. We begin with one: for the others, where there is
 * something, wake somebody else. */
static void hand_on(const struct waiting *waiting, uint32_t woken)
{
    tr_waitset *set = waiting->set;

    for (uint32_t i = 1; i < waiting->count && i <= set->count; i++) {
        const struct waitable *what = &set->members[i - 1].what;

        /* E3: as in wake_one(). */
        if (i != woken && !what->outside && what->word == waiting->words[i].at &&
            shm_load(what->word, E3) != waiting->words[i].seen && what->ready(what))
            wake_one(&set->arena->view, what->word);
    }
}

static int sleep_on_words(struct waiting *waiting, int64_t until_ns)
{
    tr_waitset *set = waiting->set;
    int woken = os->futex_waitv(waiting->words, waiting->count, until_ns);

    if (woken == -ENOSYS || woken == -EPERM || woken == -EACCES) {
        /* relaxed: local: one that does not see it is told by the kernel, too. Announce again, for
         * the doorbell. */
        atomic_store_explicit(&without_waitv, 1, memory_order_relaxed);
        return -EAGAIN;
    }
    if (woken > 0 && waiting->mode == SLEEP_WORDS) {
        int cancel = lock(set);

        if (!set->descriptors) {
            set->next = (uint32_t)woken - 1; /* it is looked at first */
            hand_on(waiting, (uint32_t)woken);
        }
        unlock(set, cancel);
    }
    return woken < 0 ? woken : 0;
}

static int sleep_in(struct sleeper *self, int64_t until_ns)
{
    struct waiting *waiting = (struct waiting *)self;
    int64_t due;

    pthread_mutex_lock(&waiting->set->mutex);
    due = waitset_due(waiting->set);
    pthread_mutex_unlock(&waiting->set->mutex);
    until_ns = due < until_ns ? due : until_ns;
    STEP(waiting->words[waiting->count - 1].at, SHM_SYSTEM);
    if (waiting->mode == SLEEP_POLL)
        return poll_until(waiting->set->epoll, until_ns);
    if (waiting->mode == SLEEP_DOORBELL) /* changes of the members ring it, too */
        return os->futex_wait(waiting->words[1].at, waiting->words[1].seen, until_ns);
    return sleep_on_words(waiting, until_ns);
}

/* TR_NOWAIT: the descriptor is armed if nothing is there. */
static int look_and_arm(struct waiting *waiting)
{
    tr_waitset *set = waiting->set;
    int result = try_look(waiting), cancel;

    if (result != -EAGAIN)
        return result;
    cancel = lock(set);
    if (set->epoll >= 0) {
        waitset_fd_arm(set);
        waiting->found = waitset_look(set, waiting->events, waiting->capacity);
        if (waiting->found)
            waitset_fd_level(set);
    }
    unlock(set, cancel);
    return waiting->found ? 0 : -EAGAIN;
}

int tr_waitset_wait(tr_waitset *given, tr_event *events, size_t capacity,
                    int64_t timeout_ns, size_t *count)
{
    struct tr_waitset *set = waitset_known(given);
    struct waiting waiting = {.base = {.announce = announce, .sleep = sleep_in},
                              .set = set,
                              .events = events,
                              .capacity = capacity};
    int result;

    if (!set)
        return handle_fail(given, "waitset wait", "wait set");
    if (!events || !count)
        return null_fail("waitset wait", events ? "count" : "events");
    *count = 0;
    if (capacity == 0)
        return tr_fail(TR_EINVAL, "waitset wait: capacity is 0, at least 1 is needed");
    if (timeout_ns < TR_FOREVER)
        return timeout_fail("waitset wait", timeout_ns);
    result = waitset_enter(set);
    if (result < 0)
        return result;
    if (timeout_ns == 0)
        result = look_and_arm(&waiting);
    else
        result = wait_with(&set->arena->self, &waiting.base, try_look, &waiting,
                           timeout_ns);
    if (result < 0)
        return tr_fail_wait(result, "waitset: nothing is ready");
    *count = waiting.found;
    return 0;
}

int tr_waitset_fd(tr_waitset *given, int *fd)
{
    struct tr_waitset *set = waitset_known(given);
    int result, cancel;

    if (!set)
        return handle_fail(given, "waitset fd", "wait set");
    if (!fd)
        return null_fail("waitset fd", "fd");
    result = waitset_enter(set);
    if (result < 0)
        return result;
    cancel = lock(set);
    result = waitset_fd_open(set);
    *fd = set->epoll;
    unlock(set, cancel);
    return result;
}

const char *tr_waitset_backend(tr_waitset *given)
{
    struct tr_waitset *set = waitset_known(given);
    static const char *const names[] = {"none", "eventfd", "uring", "fifo"};
    const char *name;
    int cancel;

    if (!set || waitset_enter(set) < 0)
        return names[POLLABLE_NONE];
    cancel = lock(set);
    name = names[set->pollable.kind];
    unlock(set, cancel);
    return name;
}
