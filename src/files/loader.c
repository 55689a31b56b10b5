/* SPDX-License-Identifier: MIT */
/* loader.c - many files at a time.
 *
 *  opened, loaned --read--> complete --in order?--> sent
 *
 * As many as `depth` are between the first two. Slots are loaned in the order of the files,
 * so the file that all others wait for always has its slot. */
#include "src/files/loader.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ipc/event.h"
#include "ipc/kernel/clock.h"
#include "ipc/kernel/os.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/channel/queue.h"
#include "src/files/load.h"
#include "src/files/loader_ring.h"

struct tr_loader {
    struct handle handle;
    struct tr_arena *arena;
    tr_loader_options options;
    struct loader_ring ring;
    struct load *loads; /* [depth], by index modulo depth if in order */
};

struct run {
    tr_loader *loader;
    const char *const *paths;
    size_t n, next;  /* to be opened */
    size_t first;    /* in order: to be sent */
    uint32_t busy;   /* loads that are being read */
    uint32_t held;   /* loads in use */
    tr_queue *queue; /* the user's handle */
    int64_t deadline_ns;
    tr_loader_failed *failed;
    void *context;
    tr_loader_report report;
};

static int read_whole(struct load *load)
{
    int result = 0;

    while (result == 0) {
        int saved = errno;
        ssize_t got = pread(load->fd, load_at(load), load_left(load), (off_t)load->done);

        got = got < 0 ? -errno : got;
        errno = saved;
        result = load_took(load, got);
    }
    return result < 0 ? result : 0;
}

int tr_npy_load(tr_arena *given, const char *path, int64_t timeout_ns, tr_message **out)
{
    struct load load = {.path = path, .fd = -1};
    struct tr_arena *arena;
    int result = arena_open(given, "load", &arena);

    if (result == 0)
        result = timeout_check("load", timeout_ns);
    if (result == 0 && (!path || !out))
        result = null_fail("load", path ? "out" : "path");
    if (result < 0)
        return result;
    result = load_open(&load, false);
    if (result == 0)
        result = load_loan(&load, arena, timeout_ns);
    if (result == 0)
        result = read_whole(&load);
    if (result == 0)
        result = load_finish(&load, 0);
    if (result == 0) {
        *out = load.message;
        load.message = NULL;
    }
    load_drop(&load);
    return result;
}

static struct handle_kind loaders = {.bytes = sizeof(struct tr_loader)};

/* All but the object itself. */
static void let_go(void *object)
{
    struct tr_loader *loader = object;

    loader_ring_close(&loader->ring);
    free(loader->loads);
    loader->loads = NULL;
}

void loader_orphan(const struct tr_arena *arena)
{
    handle_orphan(&loaders, arena, let_go);
}

int tr_loader_open(tr_arena *handle, const tr_loader_options *given, tr_loader **out)
{
    tr_loader_options options = TR_LOADER_OPTIONS_INIT;
    struct tr_loader *loader;
    struct tr_arena *arena;
    int result = arena_open(handle, "loader open", &arena);

    if (result == 0 && !out)
        result = null_fail("loader open", "out");
    if (result == 0)
        result = options_take(&options, sizeof(options), given, "tr_loader_options");
    if (result < 0)
        return result;
    if (options.depth < 1 || options.depth > LOADER_DEPTH)
        return tr_fail(TR_EINVAL, "loader: depth %u, allowed are 1 to %d", options.depth,
                       LOADER_DEPTH);
    if (options.flags &
        ~(uint32_t)(TR_LOADER_UNORDERED | TR_LOADER_DIRECT | TR_LOADER_PREAD))
        return tr_fail(TR_EINVAL, "loader: flags 0x%x have bits that mean nothing",
                       options.flags);
    loader = handle_new(&loaders);
    if (loader)
        loader->loads = calloc(options.depth, sizeof(*loader->loads));
    if (!loader || !loader->loads) {
        if (loader)
            handle_free(loader);
        return tr_fail(TR_ENOMEM, "no memory for a loader of depth %u", options.depth);
    }
    loader->handle.arena = loader->arena = arena;
    loader->options = options;
    *out = handle_of(loader);
    return 0;
}

void tr_loader_close(tr_loader *given)
{
    struct tr_loader *loader = handle_retire(given);

    if (!loader)
        return;
    if (loader->handle.arena)
        let_go(loader);
    handle_free(loader);
}

static int64_t left_ns(const struct run *run)
{
    int64_t left;

    if (run->deadline_ns == INT64_MAX)
        return TR_FOREVER;
    if (run->deadline_ns == 0)
        return TR_NOWAIT;
    left = run->deadline_ns - os->now_ns();
    return left > 0 ? left : 1; /* over: a time-out, not "try again" */
}

static void give_up(struct run *run, struct load *load, int result)
{
    run->report.failed++;
    if (run->failed)
        run->failed(run->context, load->index, result, tr_error_detail());
    load_drop(load);
    load->path = NULL;
    run->held--;
}

/* It is complete and its turn has come. */
static int publish(struct run *run, struct load *load)
{
    tr_header header = TR_HEADER_INIT;
    int result = tr_message_header_get(load->message, &header);

    header.correlation_id = load->index;
    if (result == 0)
        result = tr_message_header_set(load->message, &header);
    if (result == 0)
        result = tr_queue_send(run->queue, load->message, left_ns(run));
    if (result < 0)
        return result;
    load->message = NULL;
    run->report.loaded++;
    run->report.bytes += load->bytes;
    run->report.direct += load->direct;
    load_drop(load);
    load->path = NULL;
    run->held--;
    return 0;
}

static bool ordered(const struct run *run)
{
    return !(run->loader->options.flags & TR_LOADER_UNORDERED);
}

static struct load *place_of(struct run *run, size_t index)
{
    return &run->loader->loads[index % run->loader->options.depth];
}

/* Publish in order: all complete ones up to the first that is not. */
static int publish_ready(struct run *run)
{
    while (run->first < run->next) {
        struct load *load = place_of(run, run->first);

        if (load->path && load->index == run->first) {
            int result;

            if (load->fd >= 0)
                return 0; /* it is being read */
            result = publish(run, load);
            if (result < 0)
                return result;
        }
        run->first++;
    }
    return 0;
}

/* Reading it has ended. 0, or why the run must end. */
static int complete(struct run *run, struct load *load, int result)
{
    run->busy--;
    if (result > 0)
        result = load_finish(load, run->loader->options.header_limit);
    if (result < 0) {
        give_up(run, load, result);
        return 0;
    }
    close(load->fd); /* from here on it waits only for its turn */
    load->fd = -1;
    return ordered(run) ? 0 : publish(run, load);
}

/* What lies in the page cache is copied at once, as fast as pread() does it, and its slot is
 * still warm when it is received. As load_took(). */
static int read_cached(struct load *load)
{
    struct iovec part = {load_at(load), load_left(load)};
    int saved = errno;
    ssize_t got = preadv2(load->fd, &part, 1, (off_t)load->done, RWF_NOWAIT);

    errno = saved;
    return got > 0 ? load_took(load, got) : 0;
}

static int submit(struct run *run, struct load *load)
{
    int result = load->direct ? 0 : read_cached(load);

    if (result != 0)
        return complete(run, load, result);
    if (loader_ring_read(&run->loader->ring, &run->loader->arena->view, load))
        return 0;
    result = read_whole(load);
    return complete(run, load, result < 0 ? result : 1);
}

/* Begin the next file, if there is a place and a slot for it. 1: begun, or failed. 0: not
 * now. TR_E...: the run ends. */
static int begin(struct run *run)
{
    struct load *load = NULL;
    int result;

    if (run->next == run->n || run->held == run->loader->options.depth)
        return 0;
    if (ordered(run)) {
        load = place_of(run, run->next);
    } else {
        for (uint32_t i = 0; !load; i++)
            load = run->loader->loads[i].path ? NULL : &run->loader->loads[i];
    }
    if (load->path)
        return 0;
    *load = (struct load){.path = run->paths[run->next], .index = run->next, .fd = -1};
    run->held++;
    result = load_open(load, run->loader->options.flags & TR_LOADER_DIRECT);
    if (result == 0)
        /* Others under way come first: their receivers free slots. */
        result = load_loan(load, run->loader->arena,
                           run->held > 1 ? TR_NOWAIT : left_ns(run));
    if (result == TR_EAGAIN || result == TR_ETIMEDOUT || result == TR_EINTR) {
        bool others = run->held-- > 1;

        load_drop(load);
        load->path = NULL;
        return others && result == TR_EAGAIN ? 0 : result;
    }
    run->next++;
    if (result < 0) {
        give_up(run, load, result);
        return 1;
    }
    run->busy++;
    result = submit(run, load);
    return result < 0 ? result : 1;
}

static bool being_read(const struct load *load)
{
    return load->path && load->fd >= 0;
}

/* The kernel takes no reads any more, and has none. */
static void take_back(struct run *run)
{
    for (uint32_t i = 0; i < run->loader->options.depth; i++)
        if (being_read(&run->loader->loads[i]))
            loader_ring_give_up(&run->loader->ring, &run->loader->loads[i]);
}

/* Loads that waited for the kernel are read here. */
static int read_all(struct run *run)
{
    int result = 0;

    take_back(run);
    for (uint32_t i = 0; i < run->loader->options.depth && result == 0; i++) {
        struct load *load = &run->loader->loads[i];

        if (!being_read(load))
            continue;
        result = read_whole(load);
        result = complete(run, load, result < 0 ? result : 1);
    }
    return result;
}

/* Take what has been read; wait for something if @p wait. */
static int collect(struct run *run, bool wait)
{
    enum ring_news news;
    struct load *load;
    int64_t got;

    while ((news = loader_ring_next(&run->loader->ring, wait, &load, &got)) !=
           RING_NOTHING) {
        int result;

        if (news == RING_BROKEN)
            return read_all(run);
        wait = false;
        result = load_took(load, got);
        if (result == 0)
            result = submit(run, load);
        else
            result = complete(run, load, result);
        if (result < 0)
            return result;
    }
    return 0;
}

/* The next file, and what can be sent after it. As begin(). */
static int advance(struct run *run)
{
    int begun = begin(run);
    int result = begun > 0 && ordered(run) ? publish_ready(run) : 0;

    return result < 0 ? result : begun;
}

static int run_all(struct run *run)
{
    int result = 0;

    while (result == 0 && (run->next < run->n || run->held > 0)) {
        int begun;

        do {
            begun = advance(run);
        } while (begun > 0 && !loader_ring_full(&run->loader->ring));
        result = begun < 0 ? begun : collect(run, begun == 0 && run->busy > 0);
        if (result == 0 && ordered(run))
            result = publish_ready(run);
    }
    return result;
}

/* The run ends before all is done: the kernel must not write into slots we give back. */
static void abandon(struct run *run)
{
    enum ring_news news = RING_READ;
    struct load *load;
    int64_t got;

    while (news == RING_READ)
        news = loader_ring_next(&run->loader->ring, true, &load, &got);
    if (news == RING_BROKEN)
        take_back(run);
    for (uint32_t i = 0; i < run->loader->options.depth; i++) {
        if (run->loader->loads[i].path)
            load_drop(&run->loader->loads[i]);
        run->loader->loads[i].path = NULL;
    }
}

int tr_loader_run(tr_loader *given, const char *const paths[], size_t n, tr_queue *queue,
                  int64_t timeout_ns, tr_loader_failed *failed, void *context,
                  tr_loader_report *report)
{
    struct tr_loader *loader = handle_known(given);
    const struct tr_queue *to = queue_known(queue);
    struct run run = {.loader = loader,
                      .paths = paths,
                      .n = n,
                      .queue = queue,
                      .failed = failed,
                      .context = context};
    int result;

    if (!loader || !to)
        return loader ? handle_fail(queue, "loader run", "queue")
                      : handle_fail(given, "loader run", "loader");
    if (!paths && n)
        return null_fail("loader run", "paths");
    if (timeout_ns < TR_FOREVER)
        return timeout_fail("loader run", timeout_ns);
    if (to->arena != loader->arena)
        return tr_fail(TR_EINVAL,
                       "loader run: queue \"%s\" lies in another arena than the loader",
                       to->name);
    for (size_t i = 0; i < n; i++)
        if (!paths[i])
            return tr_fail(TR_EINVAL, "loader run: paths[%zu] is NULL", i);
    result = report ? result_size_check(report, sizeof(*report), "loader run", "report")
                    : 0;
    if (result == 0)
        result = arena_enter(loader->arena);
    if (result < 0)
        return result;
    run.deadline_ns = timeout_ns == 0 ? 0 : clock_deadline(os->now_ns(), timeout_ns);
    if (!(loader->options.flags & TR_LOADER_PREAD))
        loader_ring_open(&loader->ring, &loader->arena->self, loader->options.depth,
                         loader->options.flags & TR_LOADER_DIRECT);
    if (!(loader->options.flags & TR_LOADER_PREAD) && !loader->ring.open)
        event_tell(&loader->arena->view, EVENT_FALLBACK, 1,
                   "a loader reads by pread(), since io_uring does not work here");
    result = run_all(&run);
    /* The time ran out before a wait began. */
    if (result == TR_EAGAIN && timeout_ns > 0)
        result = TR_ETIMEDOUT;
    if (result < 0)
        abandon(&run);
    if (report) {
        run.report.struct_size = report->struct_size;
        run.report.uring = loader->ring.open;
        run.report.registered = loader->ring.registered;
        memcpy(report, &run.report, report->struct_size);
    }
    return result;
}
