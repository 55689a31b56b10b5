/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ipc/kernel/clock.h"
#include "ipc/kernel/os.h"
#include "src/base/error.h"
#include "src/workers/bridge.h"

#define LOOK_NS      INT64_C(10000000)
#define SOON_NS      INT64_C(2000000000) /* between the end of the time and SIGKILL */
#define MOST_STOP_MS INT64_C(86400000)
#define HANDOVER     "stop 5000" /* ms that it waits for receipts */

extern char **environ;

int words_add(struct words *words, const char *format, ...)
{
    char **more = realloc(words->word, (words->count + 2) * sizeof(*more));
    va_list args;
    int length;

    if (more)
        words->word = more;
    va_start(args, format);
    length = more ? vasprintf(&more[words->count], format, args) : -1;
    va_end(args);
    if (length < 0)
        return tr_fail(TR_ENOMEM, "bridge: no memory for its arguments");
    more[++words->count] = NULL;
    return 0;
}

void words_free(struct words *words)
{
    for (uint32_t i = 0; i < words->count; i++)
        free(words->word[i]);
    free(words->word);
    *words = (struct words){0};
}

void bridge_tell(const struct tr_bridge *bridge, const char *line)
{
    (void)!send(bridge->socket, line, strlen(line), MSG_NOSIGNAL);
    (void)!send(bridge->socket, "\n", 1, MSG_NOSIGNAL);
}

void bridge_tell_window(const struct tr_bridge *bridge)
{
    char line[32];

    snprintf(line, sizeof(line), "--window=%u", bridge->window);
    if (bridge->window)
        bridge_tell(bridge, line);
}

/* Signals as a new program expects them, and a group of its own: Ctrl-C is for this process, which
 * then stops the bridge in good order. */
static int prepare(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawnattr_init(attributes))
        return ENOMEM;
    (void)posix_spawnattr_setsigmask(attributes, &none);
    (void)posix_spawnattr_setsigdefault(attributes, &all);
    (void)posix_spawnattr_setpgroup(attributes, 0);
    (void)posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK |
                                                   POSIX_SPAWN_SETSIGDEF |
                                                   POSIX_SPAWN_SETPGROUP);
    return 0;
}

/* Where the program is, as posix_spawnp() finds it. That call does not tell everywhere that it
 * is not there: a child that shares no memory with us, under an emulator, only ends.
 * 0 or an errno. */
static int find_program(const char *name, char path[PATH_MAX])
{
    const char *folders = getenv("PATH");
    int result = ENOENT;

    if (strchr(name, '/') || !folders) {
        snprintf(path, PATH_MAX, "%s", name);
        return access(path, X_OK) ? errno : 0;
    }
    while (*folders) {
        size_t length = strcspn(folders, ":");

        snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, folders, length ? "/" : "",
                 name);
        if (access(path, X_OK) == 0)
            return 0;
        if (errno != ENOENT && errno != ENOTDIR)
            result = errno;
        folders += length + (folders[length] == ':');
    }
    return result;
}

/* 0 or an errno. */
static int spawn(struct tr_bridge *bridge, int input)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    char path[PATH_MAX];
    int result = find_program(bridge->command.word[0], path);

    if (!result)
        result = prepare(&attributes);
    if (result)
        return result;
    result = posix_spawn_file_actions_init(&actions);
    if (!result) {
        result = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
        if (!result)
            result = posix_spawn(&bridge->pid, path, &actions, &attributes,
                                 bridge->command.word, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    posix_spawnattr_destroy(&attributes);
    return result;
}

int bridge_spawn(struct tr_bridge *bridge)
{
    int ends[2], result;

    bridge->pid = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
        return tr_fail_errno(-errno, "bridge: a socket to the program");
    result = spawn(bridge, ends[1]);
    close(ends[1]);
    if (result) {
        bridge->pid = 0;
        close(ends[0]);
        return tr_fail_errno(-result,
                             "bridge: the program %s cannot be started; install "
                             "tensoring-bridge, or give options.program",
                             bridge->command.word[0]);
    }
    bridge->socket = ends[0];
    bridge_tell_window(bridge);
    for (uint32_t i = 0; i < bridge->channels.count; i++)
        bridge_tell(bridge, bridge->channels.word[i]);
    return 0;
}

/* Whether the child has ended: nobody else waits for it, or they have told nobody. */
static bool is_over(struct tr_bridge *bridge)
{
    int status = 0;
    pid_t pid;

    if (!bridge->pid)
        return true;
    do
        pid = waitpid(bridge->pid, &status, WNOHANG);
    while (pid < 0 && errno == EINTR);
    if (pid == 0)
        return false;
    bridge->exit_code = pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    bridge->pid = 0;
    return true;
}

/* A keeper that was killed has left a bridge, which goes on alone: tell it to end. */
static void end_alone(struct tr_bridge *bridge, const char *line)
{
    if (bridge->socket < 0)
        return;
    bridge_tell(bridge, line);
    close(bridge->socket);
    bridge->socket = -1;
}

/* Wait for the end of the bridge that @p keeper has left. */
static bool ends_alone(struct tr_bridge *bridge, pid_t keeper, int64_t timeout_ns)
{
    int64_t end_ns = clock_deadline(os->now_ns(), timeout_ns);
    const struct timespec pause = {0, LOOK_NS};

    for (;;) {
        tr_bridge_status status = TR_BRIDGE_STATUS_INIT;

        bridge->pid = keeper;
        (void)bridge_read(bridge, &status);
        bridge->pid = 0;
        if (!status.pid || os->now_ns() >= end_ns)
            return !status.pid;
        nanosleep(&pause, NULL);
    }
}

int bridge_look_after(struct tr_bridge *bridge, const char *step)
{
    if (getpid() != bridge->owner)
        return tr_fail(TR_EFORK, "%s: the bridge is of process %d", step,
                       (int)bridge->owner);
    if (bridge->stopped)
        return tr_fail(TR_ECLOSED, "%s: the bridge was stopped", step);
    if (!is_over(bridge))
        return 0;
    end_alone(bridge, HANDOVER);
    if (bridge->exit_code >= 0)
        return tr_fail(TR_EPEERDIED,
                       "%s: %s ended with code %d; its standard error says why", step,
                       bridge->command.word[0], bridge->exit_code);
    return bridge_spawn(bridge);
}

bool bridge_ended(struct tr_bridge *bridge, int64_t timeout_ns)
{
    int64_t end_ns = clock_deadline(os->now_ns(), timeout_ns);
    const struct timespec pause = {0, LOOK_NS};

    while (!is_over(bridge)) {
        if (os->now_ns() >= end_ns)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

bool bridge_end(struct tr_bridge *bridge, int64_t timeout_ns)
{
    int64_t most_ms = timeout_ns < 0 ? MOST_STOP_MS : timeout_ns / 1000000;
    pid_t keeper = bridge->pid;
    bool in_time;
    char line[32];

    snprintf(line, sizeof(line), "stop %lld",
             (long long)(most_ms < MOST_STOP_MS ? most_ms : MOST_STOP_MS));
    if (is_over(bridge)) {
        end_alone(bridge, line);
        return ends_alone(bridge, keeper, timeout_ns);
    }
    bridge_tell(bridge, line);
    (void)shutdown(bridge->socket, SHUT_WR);
    in_time = bridge_ended(bridge, timeout_ns);
    if (!in_time && !bridge_ended(bridge, SOON_NS)) {
        (void)kill(bridge->pid, SIGKILL);
        (void)bridge_ended(bridge, TR_FOREVER);
    }
    return in_time;
}
