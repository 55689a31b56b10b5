/* SPDX-License-Identifier: MIT */
#include "loop.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "allow.h"
#include "bridge.h"
#include "incoming.h"
#include "keys.h"
#include "kinds.h"
#include "link.h"
#include "outgoing.h"
#include "place.h"
#include "service.h"
#include "status.h"

enum { MILLISECOND = 1000000, SECOND = 1000000000 };
#define BUSY_LOOK_NS     (INT64_C(100) * MILLISECOND)
#define LONGEST_RETRY_NS (INT64_C(10) * MILLISECOND)

enum ending { GOES_ON, ENDED, ARENA_GONE };

struct run {
    struct bridge bridge;
    int signals;        /* signalfd */
    int arena_fd;       /* of the wait set */
    int64_t stop_ns;    /* when to stop waiting for receipts; 0: nobody asked */
    int64_t look_ns;    /* when to look whether the arena is still that of the name */
    int64_t retried_ns; /* how long the last wait for a slot was */
    int64_t busy_ns;    /* when a bridge that does not sleep looks for signals */
};

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, KEPT_SIGNAL);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static int64_t sooner(int64_t one, int64_t other)
{
    return one < other ? one : other;
}

static void take_signal(struct run *run, uint32_t signal)
{
    if (signal == SIGHUP && run->bridge.keys.allow) {
        allow_reload(run->bridge.keys.allow);
        link_check_keys(&run->bridge);
    } else if (signal == SIGHUP || signal == KEPT_SIGNAL)
        return;
    else if (run->stop_ns)
        run->stop_ns = 1; /* the second time: now */
    else
        run->stop_ns = now_ns() + run->bridge.options->grace_s * INT64_C(1000000000);
}

static void take_signals(struct run *run)
{
    struct signalfd_siginfo info;
    struct kept *kept = &run->bridge.kept;

    while (read(run->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        take_signal(run, info.ssi_signo);
    if (kept_look(kept))
        run->stop_ns = sooner(run->stop_ns ? run->stop_ns : INT64_MAX,
                              now_ns() + kept->stop_ns);
    run->bridge.stops = run->stop_ns != 0;
}

static bool read_keys(struct run *run)
{
    const struct options *options = run->bridge.options;
    struct engine_keys *keys = &run->bridge.keys;

    if (options->plain) {
        say("warning: no keys and no encryption: everything that reaches the port may "
            "send "
            "and read");
        return true;
    }
    if (key_read(options->key, KEY_SECRET, keys->secret) < 0 ||
        key_public(keys->secret, keys->public) < 0)
        return false;
    if (!options->listens)
        return key_read(options->peer_key, KEY_PUBLIC, keys->peer) == 0;
    keys->allow = allow_open(options->allow);
    if (keys->allow && !allow_count(keys->allow))
        say("warning: the allow list %s is empty: nobody may connect", options->allow);
    return keys->allow;
}

/* True: something is ready. */
static bool take_waitset(struct bridge *bridge)
{
    tr_event events[64];
    size_t count;
    bool any = false;

    while (!bridge->answers &&
           tr_waitset_wait(bridge->waitset, events, 64, TR_NOWAIT, &count) == 0) {
        for (size_t i = 0; i < count; i++)
            kind_woken(bridge, events[i].token);
        any = true;
        kind_watch(bridge);
    }
    return any || bridge->answers;
}

static void pump(struct bridge *bridge)
{
    struct link *link, *next;

    service_answers(bridge);
    for (uint32_t i = 0; i < bridge->count; i++) {
        uint32_t turn = (bridge->turn + i) % bridge->count;

        if (bridge->channels[turn].direction == DIRECTION_OUT ||
            bridge->channels[turn].kind == KIND_SERVICE)
            outgoing_pump(bridge, &bridge->channels[turn]);
    }
    bridge->turn++;
    bridge->retry_ns = 0;
    for (link = bridge->links; link; link = next) {
        next = link->next;
        for (uint32_t i = 0; i < link->lane_count; i++) {
            struct lane *lane = &link->lanes[i];

            if (lane->open && lane->first)
                incoming_pump(bridge, lane);
            if (lane->open && lane->channel->kind == KIND_BOARD &&
                lane->channel->direction == DIRECTION_IN)
                incoming_tell_keys(bridge, lane);
        }
    }
}

/* The engine has pieces of confirmed messages: they cannot be released yet. */
static bool has_done(const struct bridge *bridge)
{
    for (uint32_t i = 0; i < bridge->count; i++)
        if (bridge->channels[i].window.done)
            return true;
    return false;
}

static bool has_blocked(const struct bridge *bridge)
{
    for (const struct link *link = bridge->links; link; link = link->next)
        if (link->blocked)
            return true;
    return false;
}

/* New keys of boards are looked for: nothing tells of them. */
static bool mirrors(const struct bridge *bridge)
{
    for (uint32_t i = 0; bridge->links && i < bridge->count; i++)
        if (bridge->channels[i].kind == KIND_BOARD &&
            bridge->channels[i].direction == DIRECTION_OUT)
            return true;
    return false;
}

static int64_t later(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

/* How long to wait for a slot: longer and longer, while nothing changes. 0: not at all. */
static int64_t retry_ns(struct run *run)
{
    if (!run->bridge.retry_ns)
        run->retried_ns = 0;
    else if (!run->retried_ns)
        run->retried_ns = run->bridge.retry_ns;
    else
        run->retried_ns = sooner(run->retried_ns + run->retried_ns / 8, LONGEST_RETRY_NS);
    return run->retried_ns;
}

static int64_t wait_ns(struct run *run)
{
    struct bridge *bridge = &run->bridge;
    int64_t now = now_ns(), retry = retry_ns(run), until = link_next_ns(bridge);

    until = sooner(until,
                   later(status_next_ns(bridge), bridge->status_ns + STATUS_PACE_NS));
    if (run->stop_ns)
        until = sooner(until, run->stop_ns);
    if (retry)
        until = sooner(until, now + retry);
    if (mirrors(bridge))
        until = sooner(until, now + MIRROR_LOOK_NS);
    if (has_done(bridge) || has_blocked(bridge))
        until = sooner(until, now + MILLISECOND);
    return later(until - now, 0);
}

static void sleep_a_while(struct run *run)
{
    struct bridge *bridge = &run->bridge;
    struct pollfd fds[] = {{bridge->calls->fd(bridge->engine), POLLIN, 0},
                           {run->arena_fd, POLLIN, 0},
                           {run->signals, POLLIN, 0},
                           {-1, 0, 0},
                           {-1, 0, 0}};
    int64_t wait = wait_ns(run);
    struct timespec time = {wait / SECOND, wait % SECOND};

    if (take_waitset(bridge) || bridge->calls->ready(bridge->engine))
        return;
    kept_fds(&bridge->kept, fds + 3);
    if (ppoll(fds, 5, &time, NULL) > 0 &&
        (fds[2].revents || fds[3].revents || fds[4].revents))
        take_signals(run);
}

static bool in_flight(const struct bridge *bridge)
{
    if (bridge->tickets) /* servers here have requests, whose answers are due */
        return true;
    for (uint32_t i = 0; i < bridge->count; i++)
        for (uint32_t j = 0; j < bridge->channels[i].window.count; j++)
            if (bridge->channels[i].window.held[j]->lane)
                return true;
    return false;
}

static enum ending look_round(struct run *run)
{
    struct bridge *bridge = &run->bridge;
    int64_t now = now_ns();

    if (now >= run->busy_ns) {
        take_signals(run);
        run->busy_ns = now + BUSY_LOOK_NS;
    }
    link_due(bridge, now);
    if (status_is_due(bridge, now))
        status_put(bridge);
    if (run->stop_ns && (now >= run->stop_ns || !in_flight(bridge)))
        return ENDED;
    if (now < run->look_ns - EARLY_NS)
        return GOES_ON;
    run->look_ns = now + SECOND;
    return place_stands(bridge) ? GOES_ON : ARENA_GONE;
}

static enum ending carry(struct run *run)
{
    struct bridge *bridge = &run->bridge;
    enum ending ending;

    do {
        link_events(bridge);
        pump(bridge);
        kind_watch(bridge);
        ending = look_round(run);
        if (ending == GOES_ON)
            sleep_a_while(run);
    } while (ending == GOES_ON);
    return ending;
}

static bool start(struct run *run)
{
    struct bridge *bridge = &run->bridge;
    char why[WHY_TEXT];
    int result;

    bridge->calls = bridge->options->engine;
    bridge->engine = bridge->calls->open(&bridge->keys, why);
    if (!bridge->engine) {
        say("%s", why);
        return false;
    }
    bridge->engine->place = link_place;
    bridge->engine->owner = bridge;
    result = tr_waitset_fd(bridge->waitset, &run->arena_fd);
    if (result < 0) {
        say("%s", say_failure(why, "no descriptor for events of the arena", result));
        return false;
    }
    bridge->changed_ns = now_ns();
    if (!bridge->options->listens) {
        link_connect(bridge);
        return true;
    }
    if (bridge->calls->listen(bridge->engine, bridge->options->address) < 0) {
        say("%s", bridge->engine->why);
        return false;
    }
    snprintf(bridge->why, sizeof(bridge->why), "no bridge has connected yet");
    say("listens on %s", bridge->engine->address);
    return true;
}

static void finish(struct run *run, const char *why)
{
    struct bridge *bridge = &run->bridge;

    link_leave(bridge, why);
    if (bridge->engine)
        bridge->calls->close(bridge->engine);
    bridge->engine = NULL;
    if (bridge->board)
        status_remove(bridge);
    place_close(bridge);
    *bridge->status_key = 0;
}

/* Until there is an arena of that name. False: a signal ends it, or it cannot be used. */
static bool wait_for_arena(struct run *run)
{
    bool told = false;

    for (;;) {
        int result = place_open(&run->bridge, told ? SECOND / 4 : 0);

        if (result == 0)
            return true;
        if (result != TR_ENOENT)
            return false;
        if (!told)
            say("there is no arena '%s': waiting for it", run->bridge.options->arena);
        told = true;
        take_signals(run);
        if (run->stop_ns)
            return false;
    }
}

/* One arena, from its beginning or ours to its end or ours. */
static enum ending serve(struct run *run, int *status)
{
    enum ending ending = ENDED;

    *status = 1;
    if (wait_for_arena(run) && start(run)) {
        ending = carry(run);
        *status = 0;
    } else if (run->stop_ns) {
        *status = 0;
    }
    if (ending == ARENA_GONE)
        say("the arena '%s' was removed", run->bridge.options->arena);
    finish(run, ending == ARENA_GONE ? "its arena was removed" : "it stops");
    return ending;
}

/* Pieces of messages come and go: their memory is kept, not given back to the kernel and asked
 * for again, with all its pages, a thousand times a second. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 4 * WIRE_CHUNK_BYTES);
    mallopt(M_TRIM_THRESHOLD, 32 * WIRE_CHUNK_BYTES);
}

/* An engine that has no descriptor for a connection asks for it again without a pause. */
static void take_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        say("the limit of open files stays: %s", strerrordesc_np(errno));
}

int loop_main(const struct options *options)
{
    struct run *run = calloc(1, sizeof(*run));
    int status = 1;

    if (!run)
        return 1;
    keep_memory();
    take_descriptors();
    run->bridge.options = options;
    run->signals = open_signals();
    kept_open(&run->bridge.kept, options->kept);
    take_signals(run); /* the keeper may have been killed before it is watched */
    srandom((unsigned)now_ns() ^ (unsigned)getpid());
    if (run->signals >= 0 && read_keys(run))
        while (serve(run, &status) == ARENA_GONE)
            ;
    wire_free(&run->bridge.out);
    allow_close(run->bridge.keys.allow);
    explicit_bzero(run->bridge.keys.secret, sizeof(run->bridge.keys.secret));
    close(run->signals);
    free(run);
    return status;
}
