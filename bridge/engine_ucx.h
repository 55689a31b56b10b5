/* SPDX-License-Identifier: MIT */
/* engine_ucx.h - UCX: each frame is an active message. Large ones go by rendezvous: only their
 * head is sent, and the other side fetches the data to where it shall lie.
 *
 * UCX keeps no order between what it sends in different ways, so that frames are numbered, and
 * told of in order. Number 0 is a greeting, by which both know that they have the same UCX:
 * different versions may connect and fail later.
 *
 * There is one worker and one thread. Links are closed, and freed, in the calls of the engine,
 * never in those that UCX makes. */
#ifndef TR_BRIDGE_ENGINE_UCX_H
#define TR_BRIDGE_ENGINE_UCX_H

#include "engine.h"
#include "ucx_library.h"

enum link_state {
    LINK_GREETS, /* the greeting of the other side has not come */
    LINK_STANDS,
    LINK_REFUSED, /* listener: told why; the other side closes */
    LINK_LOST     /* and why: see status */
};

struct ucx_frame;

struct ucx_link {
    struct ucx_link *next;
    struct ucx_engine *engine;
    uint64_t number;
    ucp_ep_h ep;
    enum link_state state;
    bool known;  /* the bridge has been told of it, and is told when it is lost */
    bool closes; /* UCX was asked to */
    bool closed;
    int64_t since_ns;
    char why[WHY_TEXT]; /* it is lost */

    uint64_t sent, due;       /* numbers of the next frames */
    uint32_t sends, lent;     /* that UCX has; and of these, with data that was lent */
    uint32_t fetches;         /* that UCX writes */
    struct ucx_frame *frames; /* that have come, by their numbers */
};

struct ucx_engine {
    struct engine base; /* first */
    const struct ucx *ucx;
    ucp_context_h context;
    ucp_worker_h worker;
    ucp_listener_h listener;
    int fd;
    uint64_t devices;  /* that were up when the context was made */
    int64_t looked_ns; /* when others were looked for */
    uint64_t made;     /* links, ever: the number of the last one */
    struct ucx_link *links;
    uint32_t count;
};

/* The link is of no use any more. @p why: the first reason stays. */
void ucx_lose(struct ucx_link *link, const char *why);
void ucx_lose_by(struct ucx_link *link, ucs_status_t status);

/* Send a frame, as engine_calls.send(). */
int ucx_send(struct ucx_link *link, const void *head, size_t bytes,
             const struct lent *lent);

/* Take the active messages that @p worker gets for @p engine. */
ucs_status_t ucx_take_frames(ucp_worker_h worker, const struct ucx *ucx,
                             struct ucx_engine *engine);

/* The next frame in order, NULL: it has not come. */
struct ucx_frame *ucx_next_frame(struct ucx_link *link, bool take);
uint64_t ucx_frame_number(const struct ucx_frame *frame);
struct frame *ucx_frame_of(struct ucx_frame *frame);

/* Fetch the data of frames whose heads the bridge can understand. */
void ucx_fetch(struct ucx_link *link);

/* Let go of frames that will not be told of: those that were not fetched, or all. */
void ucx_drop_frames(struct ucx_link *link, bool all);

void ucx_release(struct frame *frame);

#endif
