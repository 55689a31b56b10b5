/* SPDX-License-Identifier: MIT */
/* bridge.h - the program `tensoring bridge keep` as a child. bridge.c has the calls,
 * bridge_child.c the process, bridge_status.c what it says of itself.
 *
 * The child reads lines from a socket: "--OPTION=VALUE" is one more argument of the bridge, and
 * "stop MS" ends it, as the end of the socket does. So it ends with this process. */
#ifndef TR_SRC_BRIDGE_H
#define TR_SRC_BRIDGE_H

#include <sys/types.h>

#include <tensoring/board.h>
#include <tensoring/bridge.h>

#include "src/base/handle.h"

struct words {
    char **word; /* ends with NULL */
    uint32_t count;
};

struct tr_bridge {
    struct handle handle;
    tr_arena *arena;  /* the user's handle */
    tr_board *board;  /* of statuses; NULL: not opened yet */
    pid_t owner, pid; /* pid 0: none */
    int socket;
    int exit_code; /* of a child that has ended by itself; -1: none has */
    bool stopped;
    uint32_t window;
    struct words command;  /* the child's */
    struct words channels; /* lines that it is told; one that has an option is two */
};

/* 0, TR_ENOMEM. */
int words_add(struct words *words, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void words_free(struct words *words);

/* Start the child, and tell it its lines. */
int bridge_spawn(struct tr_bridge *bridge);

/* Start it again if it was killed. 0, TR_EFORK, TR_ECLOSED, TR_EPEERDIED, as bridge_spawn(). */
int bridge_look_after(struct tr_bridge *bridge, const char *step);

/* The largest window that was given is the window of all queues. */
void bridge_tell_window(const struct tr_bridge *bridge);

/* A line for it. If it has died, the next look finds that. */
void bridge_tell(const struct tr_bridge *bridge, const char *line);

/* Wait until it has ended. False: it still runs. */
bool bridge_ended(struct tr_bridge *bridge, int64_t timeout_ns);

/* Tell it to stop, and wait for that. False: it had to be killed. */
bool bridge_end(struct tr_bridge *bridge, int64_t timeout_ns);

/* Into a struct that is 0. */
int bridge_read(struct tr_bridge *bridge, tr_bridge_status *status);

#endif
