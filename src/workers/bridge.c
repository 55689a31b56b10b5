/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <tensoring/board.h>

#include "ipc/kernel/clock.h"
#include "ipc/kernel/os.h"
#include "ipc/kernel/uncancel.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/workers/bridge.h"

#define LOOK_NS     10000000
#define MOST_WINDOW 1024

struct wanted {
    const char *kind, *name;
    unsigned direction;
    uint32_t window;
    unsigned on_cut; /* of a service */
};

static struct handle_kind bridges = {.bytes = sizeof(struct tr_bridge)};

static struct tr_bridge *bridge_known(const tr_bridge *given)
{
    return handle_known(given);
}

static int check_options(const tr_bridge_options *options)
{
    const uint32_t known = TR_BRIDGE_PLAIN_TRUST_NETWORK | TR_BRIDGE_ALLOW_PICKLE;
    bool plain = options->flags & TR_BRIDGE_PLAIN_TRUST_NETWORK;

    if (options->flags & ~known)
        return tr_fail(TR_EINVAL, "bridge: options.flags 0x%x has bits that mean nothing",
                       options->flags);
    if (!options->peer == !options->bind)
        return tr_fail(TR_EINVAL, "bridge: give options.peer or options.bind, %s",
                       options->peer ? "not both" : "one of them");
    if (plain && (options->key || options->peer_key || options->allow))
        return tr_fail(TR_EINVAL, "bridge: TR_BRIDGE_PLAIN_TRUST_NETWORK means no keys; "
                                  "leave key, peer_key and allow NULL");
    if (plain)
        return 0;
    if (!options->key)
        return tr_fail(TR_EINVAL, "bridge: options.key is NULL; tensoring bridge keygen "
                                  "makes one, or use TR_BRIDGE_PLAIN_TRUST_NETWORK");
    if (options->peer && (!options->peer_key || options->allow))
        return tr_fail(TR_EINVAL,
                       "bridge: with options.peer goes peer_key, and not allow");
    if (options->bind && (!options->allow || options->peer_key))
        return tr_fail(TR_EINVAL,
                       "bridge: with options.bind goes allow, and not peer_key");
    return 0;
}

/* One option of the program, if it is there. */
static int add(struct words *words, const char *name, const char *value)
{
    return value ? words_add(words, "--%s=%s", name, value) : 0;
}

static int make_command(struct words *words, const char *arena,
                        const tr_bridge_options *options)
{
    bool plain = options->flags & TR_BRIDGE_PLAIN_TRUST_NETWORK;
    bool pickle = options->flags & TR_BRIDGE_ALLOW_PICKLE;
    int result = words_add(words, "%s",
                           options->program ? options->program : "tensoring-bridge");

    result = result ? result : words_add(words, "keep");
    result = result ? result : words_add(words, options->peer ? "connect" : "listen");
    result = result ? result : add(words, "arena", arena);
    result = result ? result : add(words, "peer", options->peer);
    result = result ? result : add(words, "bind", options->bind);
    result = result ? result : add(words, "key", options->key);
    result = result ? result : add(words, "peer-key", options->peer_key);
    result = result ? result : add(words, "allow", options->allow);
    if (!result && options->window_bytes)
        result = words_add(words, "--window-bytes=%llu",
                           (unsigned long long)options->window_bytes);
    if (!result && plain)
        result = words_add(words, "--plain");
    if (!result && plain)
        result = words_add(words, "--trust-network");
    if (!result && pickle)
        result = words_add(words, "--allow-pickle");
    return result;
}

static void let_go(struct tr_bridge *bridge)
{
    if (bridge->socket >= 0)
        close(bridge->socket);
    tr_board_close(bridge->board);
    words_free(&bridge->command);
    words_free(&bridge->channels);
    handle_free(bridge);
}

static int start(const tr_bridge_options *options, const char *name, tr_arena *arena,
                 tr_bridge **out)
{
    struct tr_bridge *bridge = handle_new(&bridges);
    int result;

    if (!bridge)
        return tr_fail(TR_ENOMEM, "bridge: no memory for %zu bytes", sizeof(*bridge));
    bridge->arena = arena;
    bridge->owner = getpid();
    bridge->socket = bridge->exit_code = -1;
    result = make_command(&bridge->command, name, options);
    if (!result)
        result = bridge_spawn(bridge);
    if (result) {
        let_go(bridge);
        return result;
    }
    *out = handle_of(bridge);
    return 0;
}

int tr_bridge_start(tr_arena *arena, const tr_bridge_options *given, tr_bridge **out)
{
    tr_bridge_options options = TR_BRIDGE_OPTIONS_INIT;
    const char *name = tr_arena_name(arena);
    int cancel, result;

    if (!name)
        return handle_fail(arena, "bridge start", "arena");
    if (!given || !out)
        return null_fail("bridge start", out ? "options" : "out");
    result = options_take(&options, sizeof(options), given, "bridge options");
    if (!result)
        result = check_options(&options);
    if (result)
        return result;
    if (!*name)
        return tr_fail(TR_EINVAL, "bridge: the arena has no name, by which the program "
                                  "could attach to it");
    cancel = uncancel_begin();
    result = start(&options, name, arena, out);
    uncancel_end(cancel);
    return result;
}

/* Whether the program was told to bridge a channel of that name. */
static bool is_of(const char *lines, const char *name)
{
    const char *told = strchr(lines, ':') + 1;
    size_t length = strcspn(told, "\n");

    return strlen(name) == length && memcmp(told, name, length) == 0;
}

static int check_name(const struct tr_bridge *bridge, const char *step,
                      const struct wanted *wanted)
{
    if (wanted->direction > TR_BRIDGE_IN)
        return tr_fail(TR_EINVAL, "%s: %u is not a tr_bridge_direction", step,
                       wanted->direction);
    if (!*wanted->name || strpbrk(wanted->name, "\n\r"))
        return tr_fail(TR_EINVAL, "%s: \"%s\" is not a name", step, wanted->name);
    if (strlen(wanted->name) > TR_MAX_CHANNEL_NAME)
        return tr_fail(TR_ENAMETOOLONG, "%s: the name has %zu bytes, there may be %d",
                       step, strlen(wanted->name), TR_MAX_CHANNEL_NAME);
    for (uint32_t i = 0; i < bridge->channels.count; i++)
        if (is_of(bridge->channels.word[i], wanted->name))
            return tr_fail(TR_EEXIST, "%s: \"%s\" is bridged already", step,
                           wanted->name);
    return 0;
}

static int check_cut(const char *step, const struct wanted *wanted)
{
    if (wanted->on_cut > TR_BRIDGE_RETRY)
        return tr_fail(TR_EINVAL, "%s: %u is not a tr_bridge_on_cut", step,
                       wanted->on_cut);
    if (wanted->on_cut && wanted->direction == TR_BRIDGE_IN)
        return tr_fail(TR_EINVAL,
                       "%s: TR_BRIDGE_RETRY goes with TR_BRIDGE_OUT: the side of the "
                       "requesters decides",
                       step);
    return 0;
}

/* One line, or two: the second means nothing before the first. */
static int add_lines(struct tr_bridge *bridge, const struct wanted *wanted)
{
    const char *way = wanted->direction == TR_BRIDGE_IN ? "in" : "out";

    if (wanted->on_cut == TR_BRIDGE_RETRY)
        return words_add(&bridge->channels, "--%s=%s:%s\n--on-cut=retry:%s", wanted->kind,
                         way, wanted->name, wanted->name);
    return words_add(&bridge->channels, "--%s=%s:%s", wanted->kind, way, wanted->name);
}

/* A channel more. */
static int add_channel(tr_bridge *given, const char *step, const struct wanted *wanted)
{
    struct tr_bridge *bridge = bridge_known(given);
    int result;

    if (!bridge)
        return handle_fail(given, step, "bridge");
    if (!wanted->name)
        return null_fail(step, "name");
    result = bridge_look_after(bridge, step);
    if (!result)
        result = check_name(bridge, step, wanted);
    if (!result && wanted->window > MOST_WINDOW)
        result = tr_fail(TR_EINVAL, "%s: the window is %u, it may be at most %d", step,
                         wanted->window, MOST_WINDOW);
    if (!result)
        result = check_cut(step, wanted);
    if (!result)
        result = add_lines(bridge, wanted);
    if (result)
        return result;
    if (wanted->window > bridge->window) {
        bridge->window = wanted->window;
        bridge_tell_window(bridge);
    }
    bridge_tell(bridge, bridge->channels.word[bridge->channels.count - 1]);
    return 0;
}

int tr_bridge_queue(tr_bridge *bridge, const char *name, tr_bridge_direction direction,
                    uint32_t window)
{
    const struct wanted wanted = {"queue", name, direction, window, 0};

    return add_channel(bridge, "bridge queue", &wanted);
}

int tr_bridge_broadcast(tr_bridge *bridge, const char *name,
                        tr_bridge_direction direction)
{
    const struct wanted wanted = {"broadcast", name, direction, 0, 0};

    return add_channel(bridge, "bridge broadcast", &wanted);
}

int tr_bridge_board(tr_bridge *bridge, const char *name, tr_bridge_direction direction)
{
    const struct wanted wanted = {"board", name, direction, 0, 0};

    return add_channel(bridge, "bridge board", &wanted);
}

int tr_bridge_service(tr_bridge *bridge, const char *name, tr_bridge_direction direction,
                      tr_bridge_on_cut on_cut, uint32_t window)
{
    const struct wanted wanted = {"service", name, direction, window, on_cut};

    return add_channel(bridge, "bridge service", &wanted);
}

int tr_bridge_status_read(tr_bridge *given, tr_bridge_status *out)
{
    struct tr_bridge *bridge = bridge_known(given);
    tr_bridge_status status = TR_BRIDGE_STATUS_INIT;
    uint32_t size;
    int result;

    if (!bridge)
        return handle_fail(given, "bridge status", "bridge");
    result = result_size_check(out, sizeof(status), "bridge status", "status");
    if (!result)
        result = bridge_look_after(bridge, "bridge status");
    if (!result)
        result = bridge_read(bridge, &status);
    if (result)
        return result;
    size = out->struct_size;
    memcpy(out, &status, size);
    out->struct_size = size;
    return 0;
}

static int wait_connected(struct tr_bridge *bridge, int64_t timeout_ns)
{
    int64_t end_ns = clock_deadline(os->now_ns(), timeout_ns);
    const struct timespec pause = {0, LOOK_NS};

    for (;;) {
        tr_bridge_status status = TR_BRIDGE_STATUS_INIT;
        int result = bridge_look_after(bridge, "bridge wait");

        if (!result)
            result = bridge_read(bridge, &status);
        if (result || status.connected)
            return result;
        if (os->now_ns() >= end_ns)
            return tr_fail(timeout_ns ? TR_ETIMEDOUT : TR_EAGAIN,
                           "bridge wait: not connected: %s",
                           *status.why              ? status.why
                           : status.pid             ? "it has just begun"
                           : bridge->channels.count ? "it has not begun"
                                                    : "it has nothing to bridge");
        if (nanosleep(&pause, NULL))
            return tr_fail_errno(-errno, "bridge wait");
    }
}

int tr_bridge_wait(tr_bridge *given, tr_bridge_state state, int64_t timeout_ns)
{
    struct tr_bridge *bridge = bridge_known(given);
    int result;

    if (!bridge)
        return handle_fail(given, "bridge wait", "bridge");
    if (state != TR_BRIDGE_CONNECTED)
        return tr_fail(TR_EINVAL, "bridge wait: %u is not a tr_bridge_state",
                       (unsigned)state);
    result = timeout_check("bridge wait", timeout_ns);
    return result ? result : wait_connected(bridge, timeout_ns);
}

/* Whether its end was in good order. */
static bool stop(struct tr_bridge *bridge, int64_t timeout_ns)
{
    int cancel = uncancel_begin();
    bool in_time = bridge_end(bridge, timeout_ns);

    bridge->stopped = true;
    (void)!tr_arena_reap(bridge->arena,
                         NULL); /* what a killed one held is delivered here */
    uncancel_end(cancel);
    return in_time;
}

int tr_bridge_stop(tr_bridge *given, int64_t timeout_ns)
{
    struct tr_bridge *bridge = bridge_known(given);
    int result;

    if (!bridge)
        return handle_fail(given, "bridge stop", "bridge");
    result = timeout_check("bridge stop", timeout_ns);
    if (result)
        return result;
    if (getpid() != bridge->owner)
        return tr_fail(TR_EFORK, "bridge stop: the bridge is of process %d",
                       (int)bridge->owner);
    if (bridge->stopped || stop(bridge, timeout_ns))
        return 0;
    return tr_fail(TR_ETIMEDOUT, "bridge stop: receipts were missing; what they are for "
                                 "stays in its queue here");
}

void tr_bridge_close(tr_bridge *given)
{
    struct tr_bridge *bridge = handle_retire(given);

    if (!bridge)
        return;
    if (getpid() == bridge->owner && !bridge->stopped)
        (void)stop(bridge, 0);
    let_go(bridge);
}
