/* SPDX-License-Identifier: MIT */
/* arena_open.c - arenas are created, attached and closed. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <tensoring/arena.h>
#include <unistd.h>

#include "ipc/event.h"
#include "ipc/kernel/beyond.h"
#include "ipc/kernel/clock.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/liveness/pidfds.h"
#include "ipc/memory/segment.h"
#include "ipc/mutant.h"
#include "ipc/names/arrival.h"
#include "ipc/names/name.h"
#include "ipc/signal/notify.h"
#include "ipc/slot_word.h"
#include "src/arena/arena.h"
#include "src/arena/arena_explain.h"
#include "src/arena/arena_join.h"
#include "src/arena/arena_options.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/base/quota.h"
#include "src/channel/board.h"
#include "src/channel/broadcast.h"
#include "src/channel/inbox.h"
#include "src/channel/queue.h"
#include "src/files/loader.h"
#include "src/message/message_table.h"
#include "src/waitset/waitset.h"

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
static int prepare_handle(struct tr_arena *arena, uint32_t eventfds)
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
    if (pidfds_open(&arena->view) < 0)
        return tr_fail(TR_ENOMEM, "no memory for the handle of an arena");
    result = notify_open(&arena->view, eventfds);
    if (result < 0)
        return tr_fail_errno(result, "create: make %u eventfds (ulimit -n)", eventfds);
    arena->self.milli_cpus = milli_cpus;
    arena->self.view = &arena->view;
    arena->self.who = SLOT_NOBODY;
    return 0;
}

static void release_handle(struct tr_arena *arena)
{
    if (arena->here)
        munmap(arena->here, (size_t)sysconf(_SC_PAGESIZE));
    inbox_free(arena->inbox);
    if (arena->table)
        message_table_put_back(arena->table, message_count_of(&arena->view));
    notify_close(&arena->view);
    pidfds_close(&arena->view);
    segment_detach(&arena->view);
    handle_free(arena);
}

/* Initialize the handle and join. 0, or a code of the interface; -ESTALE: the arena is closed, or
 * its name was removed meanwhile. Then it has not joined. */
static int open_common(struct tr_arena *arena, const char *name, uint32_t eventfds)
{
    int result = prepare_handle(arena, eventfds);

    if (result < 0)
        return result;
    arena->view.name = arena->name;
    result = arena_take_part(arena, true);
    if (result == -ESTALE)
        return result;
    if (result < 0)
        return arena_explain_join(arena, result);
    if (name && !MUTANT(NAME_UNSEEN) && !name_leads_to(&arena->view, name)) {
        arena_leave(arena);
        return -ESTALE;
    }
    arena->self.standing = &arena->here->joined;
    atomic_store_explicit(&arena->here->joined, JOINED, memory_order_release);
    return 0;
}

static struct handle_kind arenas = {.bytes = sizeof(struct tr_arena)};

static struct tr_arena *new_handle(void)
{
    struct tr_arena *arena = handle_new(&arenas);

    if (arena) {
        arena->view.lock_fd = -1;
        arena->self.spin_ns = -1;
    }
    return arena;
}

#define NAME_TRIES 100 /* of a name that others create and remove meanwhile */

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

static int make(struct tr_arena *arena, const struct segment_spec *spec,
                const tr_arena_options *options)
{
    struct segment_report report = {0};
    int result = segment_create(spec, &arena->view, &report);

    if (result < 0) {
        arena->view.base = NULL;
        return explain_create(result, spec, &report);
    }
    arena->self.spin_ns = options->spin_ns;
    arena->huge_error = report.huge_error;
    if (MUTANT(NAME_FIRST) && spec->name)
        (void)name_give(&arena->view, spec->name);
    result = open_common(arena, NULL, options->eventfds);
    if (result == 0 && spec->name && !MUTANT(NAME_FIRST)) {
        result = give_name(arena, spec->name);
        if (result < 0)
            arena_leave(arena);
    }
    if (result == 0 && arena->huge_error)
        event_tell(&arena->view, EVENT_FALLBACK, 1,
                   "the arena has no large pages: %s; see tr_arena_info.huge_error",
                   strerrordesc_np(-arena->huge_error));
    return result;
}

static int create(tr_arena **out, const struct segment_spec *spec,
                  const tr_arena_options *options)
{
    tr_arena *arena;
    /* First: a crashed one may have the memory that we need. */
    int result = spec->name ? arena_clear_name(spec->name) : 0;

    if (result < 0)
        return result;
    arena = new_handle();
    if (!arena)
        return tr_fail(TR_ENOMEM, "no memory for the handle of an arena");
    result = make(arena, spec, options);
    if (result < 0)
        release_handle(arena);
    else
        *out = handle_of(arena);
    return result;
}

int tr_arena_create(const char *name, const tr_arena_options *given, tr_arena **out)
{
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    struct segment_class classes[MAX_CLASSES];
    struct segment_spec spec;
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
    spec = (struct segment_spec){.name = name,
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
    result = create(out, &spec, &options);
    uncancel_end(cancel);
    return result;
}

/* One try; -ESTALE: the name led to an arena that is being removed. */
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
    if (name)
        memcpy(arena->name, name, strlen(name) + 1); /* a reap tells it */
    result = open_common(arena, name, 0);
    if (result < 0) {
        release_handle(arena);
        return result;
    }
    *out = handle_of(arena);
    return 0;
}

/* The name of a closed arena is removed, and the next arena of that name is looked for. */
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

/* Attach when there is an arena of that name. */
static int attach_in_time(tr_arena **out, const char *name, struct segment_trust trust,
                          int64_t timeout_ns)
{
    int64_t until_ns = clock_deadline(os->now_ns(), timeout_ns);
    struct arrival arrival;
    int result, waited = 0;

    arrival_begin(&arrival);
    do
        result = attach(out, name, trust);
    while ((result == TR_ENOENT || result == TR_EAGAIN) &&
           (waited = arrival_wait(&arrival, until_ns)) == 0);
    arrival_end(&arrival);
    if (waited == -ETIMEDOUT)
        return tr_fail(TR_ETIMEDOUT, "attach: no arena \"%s\" was created within %.3f s",
                       name, (double)timeout_ns / 1e9);
    return waited < 0 ? tr_fail_errno(waited, "attach \"%s\"", name) : result;
}

static int take_options(tr_attach_options *options, const tr_attach_options *given)
{
    int result = options_take(options, sizeof(*options), given, "tr_attach_options");

    if (result == 0 && options->flags & ~(uint32_t)TR_ATTACH_GROUP)
        return tr_fail(TR_EINVAL, "attach: flags 0x%x has bits that mean nothing",
                       options->flags);
    if (result == 0)
        result = reserved_check("attach", options->reserved);
    return result ? result : timeout_check("attach", options->timeout_ns);
}

int tr_arena_attach(const char *name, const tr_attach_options *options, tr_arena **out)
{
    tr_attach_options all = TR_ATTACH_OPTIONS_INIT;
    struct segment_trust trust;
    int result, cancel;

    if (!out || !name)
        return tr_fail(TR_EINVAL, "attach: %s is NULL", out ? "name" : "out");
    result = arena_check_name(name);
    if (result == 0)
        result = take_options(&all, options);
    if (result < 0)
        return result;
    trust = (struct segment_trust){all.owner, all.flags & TR_ATTACH_GROUP};
    cancel = uncancel_begin();
    result = all.timeout_ns == TR_NOWAIT
                 ? attach(out, name, trust)
                 : attach_in_time(out, name, trust, all.timeout_ns);
    uncancel_end(cancel);
    return result;
}

int tr_arena_attach_fd(int fd, tr_arena **out)
{
    int copy, cancel, result;

    if (!out)
        return tr_fail(TR_EINVAL, "attach: out is NULL");
    cancel = uncancel_begin();
    copy = beyond_copy(fd);
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
    /* A child that never used it holds nothing. */
    if (atomic_load_explicit(&arena->here->joined, memory_order_acquire) != NOT_JOINED)
        arena_leave(arena);
    release_handle(arena);
    uncancel_end(cancel);
}
