/* SPDX-License-Identifier: MIT */
#include "src/arena.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ipc/copy.h"
#include "ipc/join.h"
#include "ipc/mutant.h"
#include "ipc/name.h"
#include "ipc/notify.h"
#include "ipc/pages.h"
#include "ipc/participant.h"
#include "ipc/reap.h"
#include "ipc/segment.h"
#include "ipc/slot.h"
#include "ipc/timens.h"
#include "ipc/uncancel.h"
#include "ipc/watch.h"
#include "src/arena_explain.h"
#include "src/arena_options.h"
#include "src/board.h"
#include "src/broadcast.h"
#include "src/error.h"
#include "src/loader.h"
#include "src/message_table.h"
#include "src/options.h"
#include "src/quota.h"
#include "src/request.h"
#include "src/waitset.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int64_t granted;

static void read_grant(void)
{
    struct quota quota;

    quota_read("", &quota);
    granted = quota.milli_cpus;
}

static int64_t milli_cpus(void)
{
    pthread_once(&once, read_grant);
    return granted;
}

/* Private memory of a handle. The view is set up. */
static int equip(struct tr_arena *arena, uint32_t eventfds)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *here = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);
    int result;

    arena->here = here == MAP_FAILED ? NULL : here;
    arena->table = message_table_take(message_count_of(&arena->view));
    if (!arena->here || !arena->table)
        return tr_fail(TR_ENOMEM, "no memory for the handle of an arena");
    arena->messages = arena->table->messages;
    if (madvise(here, page, MADV_WIPEONFORK) < 0)
        return tr_fail_errno(-errno, "MADV_WIPEONFORK (needs Linux 4.14)");
    if (watch_open(&arena->view) < 0)
        return tr_fail(TR_ENOMEM, "no memory for the handle of an arena");
    result = notify_open(&arena->view, eventfds);
    if (result < 0)
        return tr_fail_errno(result, "create: make %u eventfds (ulimit -n)", eventfds);
    arena->peer.milli_cpus = milli_cpus;
    arena->peer.view = &arena->view;
    arena->peer.who = SLOT_NOBODY;
    return 0;
}

static void unequip(struct tr_arena *arena)
{
    if (arena->here)
        munmap(arena->here, (size_t)sysconf(_SC_PAGESIZE));
    inbox_free(arena->inbox);
    if (arena->table)
        message_table_put_back(arena->table, message_count_of(&arena->view));
    notify_close(&arena->view);
    watch_close(&arena->view);
    segment_detach(&arena->view);
    handle_free(arena);
}

#define JOIN_TRIES 100 /* of entries that change hands: a second in all */

/* Take an entry; if all are taken, sweep the dead first. @p patient: wait, for a second at
 * most, for entries that others are leaving or taking. */
static int take_entry(struct tr_arena *arena, bool patient)
{
    struct reap_report report = {0};
    int result = participant_join(&arena->peer);

    for (int i = 0; i < JOIN_TRIES && (result == -EUSERS || result == -EBUSY); i++) {
        if (i > 0 && patient)
            arena_pause();
        reap_all(&arena->peer, &report);
        result = participant_join(&arena->peer);
        if (!patient || result == -EUSERS)
            break;
    }
    return result;
}

/* Entries that wait for what drives a device of a dead process: ipc/device.h. */
static uint32_t draining(const struct view *view)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < view->geo.participant_count; i++)
        /* E4 acquire: as in participant.c. */
        count += PARTICIPANT_STATE(shm_load(&view_participant(view, i)->word, E4_LOOK)) ==
                 PARTICIPANT_DRAINING;
    return count;
}

static int explain_full(const struct view *view)
{
    uint32_t waiting = draining(view), all = view->geo.participant_count;

    if (waiting)
        return tr_fail(
            TR_EUSERS,
            "of %u participant entries %u are taken by living processes, and %u wait for "
            "devices of dead ones: somebody has a descriptor of theirs "
            "(tr_arena_device_fd()) open",
            all, all - waiting, waiting);
    return tr_fail(TR_EUSERS,
                   "all %u participant entries are taken by living processes; create the "
                   "arena with a larger max_participants (twice the workers and some)",
                   all);
}

static int explain_join(const struct tr_arena *arena, int result)
{
    if (result == -EUSERS || result == -EBUSY)
        return explain_full(&arena->view);
    if (result == -ESTALE)
        return tr_fail(TR_ENOENT, "the arena was removed: all that had joined it were "
                                  "dead or gone; attach again, or create it");
    return tr_fail_errno(result, "take a participant entry");
}

/* 0, or -errno; -ESTALE: the arena is closed. */
static int become_participant(struct tr_arena *arena, bool patient)
{
    int result;

    timens_settle();
    result = take_entry(arena, patient);
    if (result < 0)
        return result;
    arena->view.counters = view_participant(&arena->view, arena->peer.who)->counters;
    /* relaxed: before `joined`. */
    atomic_store_explicit(&arena->here->holder, holder_of(&arena->peer),
                          memory_order_relaxed);
    notify_joined(&arena->peer);
    return 0;
}

static void leave(struct tr_arena *arena)
{
    reap_self(&arena->peer);
    participant_leave(&arena->peer);
}

static int join_child(struct tr_arena *arena)
{
    int result;

    arena->peer.who = SLOT_NOBODY;
    for (uint32_t c = 0; c < MAX_CLASSES; c++)
        atomic_store_explicit(&arena->peer.hot[c], 0, memory_order_relaxed); /* local */
    if (segment_recover(&arena->view, arena->name) < 0)
        return tr_fail(
            TR_ENFILE,
            "join in the forked child: the arena's descriptor was closed; keep it "
            "open (tr_arena_info.fd)");
    notify_forked(&arena->view);
    watch_forked(&arena->view);
    segment_warm(&arena->view);
    result = become_participant(arena, false);
    return result < 0 ? explain_join(arena, result) : 0;
}

/* We are the joiner. */
static int join_first(struct tr_arena *arena)
{
    int cancel = uncancel_begin(), result = 0;

    /* acquire: another thread may have joined just before. */
    if (atomic_load_explicit(&arena->here->joined, memory_order_acquire) == JOINED_NOT) {
        result = join_child(arena);
        if (result == 0)
            atomic_store_explicit(&arena->here->joined, JOINED,
                                  memory_order_release); /* pairs with arena_enter() */
    }
    atomic_store(&arena->here->joiner, 0);
    uncancel_end(cancel);
    return result;
}

/* The joiner is told by one word: a signal handler that comes before it is written is the
 * joiner, and one that comes after it sees that it can't be. */
int arena_join(struct tr_arena *arena)
{
    const uint32_t self = (uint32_t)gettid();

    for (;;) {
        uint32_t joiner = 0;
        /* acquire: as in arena_enter(). */
        uint32_t seen = atomic_load_explicit(&arena->here->joined, memory_order_acquire);

        if (seen == JOINED)
            return 0;
        if (seen == JOINED_LOST)
            return tr_fail(
                TR_EABANDONED,
                "others took this process for dead and gave away what it held; "
                "close the arena and attach again");
        if (atomic_compare_exchange_strong(&arena->here->joiner, &joiner, self)) {
            int result = join_first(arena);

            if (result < 0)
                return result;
        } else if (joiner == self) {
            return tr_fail(TR_EAGAIN,
                           "a signal handler has interrupted the joining of the arena");
        } else {
            sched_yield(); /* another thread of this child is joining */
        }
    }
}

void arena_think(struct tr_arena *arena)
{
    pthread_testcancel();
    if (lookout_stands(&arena->peer))
        lookout_pass(&arena->peer);
}

/* Equip the handle and join. 0, or a code of the interface; -ESTALE: the arena is closed, or
 * its name was taken away meanwhile. Then nobody has joined. */
static int open_common(struct tr_arena *arena, const char *name, uint32_t eventfds)
{
    int result = equip(arena, eventfds);

    if (result < 0)
        return result;
    result = become_participant(arena, true);
    if (result == -ESTALE)
        return result;
    if (result < 0)
        return explain_join(arena, result);
    if (name && !MUTANT(NAME_UNSEEN) && !name_leads_to(&arena->view, name)) {
        leave(arena);
        return -ESTALE;
    }
    arena->peer.standing = &arena->here->joined;
    atomic_store_explicit(&arena->here->joined, JOINED, memory_order_release);
    return 0;
}

static struct handle_kind arenas = {.bytes = sizeof(struct tr_arena)};

static struct tr_arena *new_handle(void)
{
    struct tr_arena *arena = handle_new(&arenas);

    if (arena) {
        arena->view.lock_fd = -1;
        arena->peer.spin_ns = -1;
    }
    return arena;
}

#define NAME_TRIES 100 /* of a name that others give and take meanwhile */

/* The arena is whole, and we have joined. */
static int give_name(struct tr_arena *arena, const char *name)
{
    int result = name_give(&arena->view, name);

    for (int i = 0; i < NAME_TRIES && result == -EEXIST; i++) {
        int cleared = arena_clear_name(name);

        if (cleared < 0)
            return cleared;
        result = name_give(&arena->view, name);
    }
    if (result < 0)
        return tr_fail_errno(result, "create \"%s\": give it its name", name);
    memcpy(arena->name, name, strlen(name) + 1);
    return 0;
}

static int make(struct tr_arena *arena, const struct segment_wish *wish,
                const tr_arena_options *options)
{
    struct segment_report report = {0};
    int result = segment_create(wish, &arena->view, &report);

    if (result < 0) {
        arena->view.base = NULL;
        return explain_create(result, wish, &report);
    }
    arena->peer.spin_ns = options->spin_ns;
    arena->huge_error = report.huge_error;
    if (MUTANT(NAME_FIRST) && wish->name)
        (void)name_give(&arena->view, wish->name);
    result = open_common(arena, NULL, options->eventfds);
    if (result == 0 && wish->name && !MUTANT(NAME_FIRST)) {
        result = give_name(arena, wish->name);
        if (result < 0)
            leave(arena);
    }
    return result;
}

static int create(tr_arena **out, const struct segment_wish *wish,
                  const tr_arena_options *options)
{
    tr_arena *arena;
    /* First: a crashed one may have the memory that we need. */
    int result = wish->name ? arena_clear_name(wish->name) : 0;

    if (result < 0)
        return result;
    arena = new_handle();
    if (!arena)
        return tr_fail(TR_ENOMEM, "no memory for the handle of an arena");
    result = make(arena, wish, options);
    if (result < 0)
        unequip(arena);
    else
        *out = handle_of(arena);
    return result;
}

int tr_arena_create(tr_arena **out, const char *name, const tr_arena_options *given)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    struct segment_class classes[MAX_CLASSES];
    struct segment_wish wish;
    int result, cancel;

    if (!out)
        return tr_fail(TR_EINVAL, "create: out is NULL");
    result = options_take(&options, sizeof(options), given, "tr_arena_options");
    if (result == 0 && name)
        result = arena_check_name(name);
    if (result == 0)
        result = arena_check_options(&options);
    if (result == 0)
        result = arena_take_classes(&options, classes);
    if (result < 0)
        return result;
    wish = (struct segment_wish){.name = name,
                                 .flags = options.flags,
                                 .classes = classes,
                                 .class_count = options.class_count,
                                 .participant_count = options.max_participants,
                                 .channel_count = options.max_channels,
                                 .pin_count = options.pins,
                                 .eventfd_count = options.eventfds,
                                 .rings_bytes = options.ring_bytes,
                                 .memory_bytes = options.memory_bytes,
                                 .warm_bytes = options.warm_bytes,
                                 .mode = options.mode,
                                 .uid = options.uid,
                                 .gid = options.gid};
    cancel = uncancel_begin();
    result = create(out, &wish, &options);
    uncancel_end(cancel);
    return result;
}

/* One try; -ESTALE: the name led to an arena that is on its way out. */
static int attach_once(tr_arena **out, const char *name, int fd,
                       struct segment_trust trust)
{
    struct segment_report report = {0};
    tr_arena *arena = new_handle();
    int result;

    if (!arena) {
        if (fd >= 0)
            close(fd);
        return tr_fail(TR_ENOMEM, "no memory for the handle of an arena");
    }
    result = segment_attach(name, fd, trust, &arena->view, &report);
    if (result < 0) {
        result = explain_attach("attach", result, name ? name : "(descriptor)", &report);
        handle_free(arena);
        return result;
    }
    result = open_common(arena, name, 0);
    if (result < 0) {
        unequip(arena);
        return result;
    }
    if (name)
        memcpy(arena->name, name, strlen(name) + 1);
    *out = handle_of(arena);
    return 0;
}

/* Where a closed arena has the name, its name is taken away, and the next is looked for. */
static int attach(tr_arena **out, const char *name, struct segment_trust trust)
{
    int result = attach_once(out, name, -1, trust);

    for (int i = 0; i < NAME_TRIES && result == -ESTALE; i++) {
        uint32_t pid;

        if (name_sweep(name, true, &pid) == -EBUSY)
            arena_pause();
        result = attach_once(out, name, -1, trust);
    }
    return result == -ESTALE
               ? tr_fail(TR_ENOENT, "attach \"%s\": it was removed meanwhile", name)
               : result;
}

static int take_trust(struct segment_trust *trust, const tr_attach_options *given)
{
    tr_attach_options options = TR_ATTACH_OPTIONS_INIT;
    int result = options_take(&options, sizeof(options), given, "tr_attach_options");

    if (result == 0 && options.flags & ~(uint32_t)TR_ATTACH_GROUP)
        return tr_fail(TR_EINVAL, "attach: flags 0x%x has bits that mean nothing",
                       options.flags);
    if (result == 0)
        result = reserved_check("attach", options.reserved);
    *trust = (struct segment_trust){options.owner, options.flags & TR_ATTACH_GROUP};
    return result;
}

int tr_arena_attach(tr_arena **out, const char *name, const tr_attach_options *options)
{
    struct segment_trust trust = {0};
    int result, cancel;

    if (!out || !name)
        return tr_fail(TR_EINVAL, "attach: %s is NULL", out ? "name" : "out");
    result = arena_check_name(name);
    if (result == 0)
        result = take_trust(&trust, options);
    if (result < 0)
        return result;
    cancel = uncancel_begin();
    result = attach(out, name, trust);
    uncancel_end(cancel);
    return result;
}

int tr_arena_attach_fd(tr_arena **out, int fd)
{
    int copy, cancel, result;

    if (!out)
        return tr_fail(TR_EINVAL, "attach: out is NULL");
    cancel = uncancel_begin();
    copy = fcntl_dup(fd);
    result = copy < 0 ? tr_fail_descriptor(copy, "attach", fd)
                      : attach_once(out, NULL, copy, TRUST_OWN);
    uncancel_end(cancel);
    return result == -ESTALE ? tr_fail(TR_ENOENT, "attach: the arena was removed")
                             : result;
}

/* What was opened in it, and not closed before. */
static void orphan_all(struct tr_arena *arena)
{
    waitset_orphan(arena);
    loader_orphan(arena);
    broadcast_orphan(arena);
    board_orphan(arena);
    queue_orphan(arena);
}

void tr_arena_close(tr_arena *given)
{
    struct tr_arena *arena = handle_retire(given);
    int cancel;

    if (!arena)
        return;
    cancel = uncancel_begin();
    orphan_all(arena);
    /* A child that never used it has nothing to give back. */
    if (atomic_load_explicit(&arena->here->joined, memory_order_acquire) != JOINED_NOT)
        leave(arena);
    unequip(arena);
    uncancel_end(cancel);
}

int tr_arena_reap(tr_arena *given, tr_reap_report *out)
{
    struct reap_report report = {0};
    int saved = errno, cancel; /* a signal handler may call this */
    struct tr_arena *arena;
    int result = arena_open(given, "reap", &arena);

    if (result < 0)
        return result;
    if (!lookout_stands(&arena->peer))
        return arena_join(arena); /* which says why not */
    cancel = uncancel_begin();
    result = reap_all(&arena->peer, &report);
    uncancel_end(cancel);
    if (out)
        *out = (tr_reap_report){report.dead, report.freed, report.redelivered,
                                report.dropped};
    errno = saved;
    return result < 0 ? tr_fail(TR_ECORRUPT, "reap: a participant entry breaks a rule")
                      : 0;
}

int tr_arena_trim(tr_arena *handle, uint64_t *bytes)
{
    uint64_t given;
    struct tr_arena *arena;
    int result = arena_open(handle, "trim", &arena);

    if (result < 0)
        return result;
    if (!(arena->view.geo.flags & TR_ARENA_LAZY))
        return tr_fail(TR_ENOTSUP, "trim: the arena was not created with TR_ARENA_LAZY");
    given = pages_trim_all(&arena->peer);
    if (bytes)
        *bytes = given;
    return 0;
}

uint64_t arena_resident(const struct tr_arena *arena)
{
    struct stat st;

    return fstat(view_fd(&arena->view), &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

void tr_arena_set_spin(tr_arena *given, int64_t spin_ns)
{
    struct tr_arena *arena = arena_known(given);

    if (arena && spin_ns >= -1)
        arena->peer.spin_ns = spin_ns;
}

void tr_arena_set_interruptible(tr_arena *given, int on)
{
    struct tr_arena *arena = arena_known(given);

    /* relaxed: waits that begin later see it. */
    if (arena)
        atomic_store_explicit(&arena->peer.interrupt, on != 0, memory_order_relaxed);
}
