/* SPDX-License-Identifier: MIT */
#include "src/arena/arena.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "ipc/exchange/reclaim.h"
#include "ipc/kernel/uncancel.h"
#include "ipc/liveness/reap.h"
#include "src/base/error.h"
#include "src/base/options.h"

void arena_check_liveness_now(struct tr_arena *arena)
{
    pthread_testcancel();
    if (monitor_stands(&arena->self))
        monitor_pass(&arena->self);
}

int tr_arena_reap(tr_arena *given, tr_reap_report *out)
{
    struct reap_report report = {0};
    int saved = errno, cancel; /* a signal handler may call this */
    struct tr_arena *arena;
    int result = arena_open(given, "reap", &arena);

    if (result == 0 && out)
        result = result_size_check(out, sizeof(*out), "reap", "report");
    if (result < 0)
        return result;
    if (!monitor_stands(&arena->self))
        return arena_join(arena); /* which says why not */
    cancel = uncancel_begin();
    result = reap_all(&arena->self, &report);
    uncancel_end(cancel);
    if (out) {
        const tr_reap_report all = {out->struct_size, report.dead, report.freed,
                                    report.redelivered, report.dropped};

        memcpy(out, &all, all.struct_size);
    }
    errno = saved;
    return result < 0 ? tr_fail(TR_ECORRUPT, "reap: a participant entry is corrupted")
                      : 0;
}

const char *tr_arena_name(const tr_arena *given)
{
    const struct tr_arena *arena = arena_known(given);

    return arena ? arena->name : NULL;
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
    given = reclaim_memory(&arena->self);
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
        arena->self.spin_ns = spin_ns;
}

void tr_arena_set_interruptible(tr_arena *given, bool on)
{
    struct tr_arena *arena = arena_known(given);

    /* relaxed: waits that begin later see it. */
    if (arena)
        atomic_store_explicit(&arena->self.interrupt, on, memory_order_relaxed);
}
