/* SPDX-License-Identifier: MIT */
/* Frames of UCX: how they are sent, how they come, and where their data lies.
 *
 * The header of an active message is the number of the frame, and after that the head, if it is
 * short. Else the head is the data of the active message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_ucx.h"
#include "wire.h"

enum {
    NUMBER = sizeof(uint64_t),
    SHORT_HEAD = 512,
    LEAST_FETCHED = WIRE_CHUNK_BYTES, /* by rendezvous; UCX knows what is best for less */
    MOST_LENT = 16,                   /* pieces on a link's way: 4 MiB */
    MOST_SENDS = 256                  /* frames */
};

/* A frame that UCX has, with its bytes if they are ours. */
struct sending {
    struct ucx_link *link;
    struct lent lent; /* sent: NULL if nothing is */
    uint8_t bytes[];
};

enum coming {
    COMING_WAITS,   /* UCX keeps what tells of the data */
    COMING_FETCHED, /* UCX writes the data */
    COMING_HERE,
    COMING_FAILED
};

struct ucx_frame {
    struct frame frame; /* first */
    struct ucx_frame *next;
    struct ucx_link *link;
    uint64_t number;
    enum coming state;
    void *descriptor; /* while it waits */
    size_t bytes;     /* of its data */
    uint8_t *fetched; /* memory for that, if it is ours */
    struct landing landing;
    size_t head_bytes;
    uint8_t head[]; /* then the data, if that came with it */
};

/* --- out --------------------------------------------------------------------------------- */

static void sent(struct sending *sending)
{
    sending->link->sends--;
    if (sending->lent.sent) {
        sending->link->lent--;
        sending->lent.sent(sending->lent.data, sending->lent.context);
    }
    free(sending);
}

static void sent_later(void *request, ucs_status_t status, void *context)
{
    struct sending *sending = context;
    const struct ucx *ucx = sending->link->engine->ucx;

    if (status != UCS_OK)
        ucx_lose_by(sending->link, status);
    ucx->ucp_request_free(request);
    sent(sending);
}

static struct sending *make_sending(struct ucx_link *link, const void *bytes,
                                    size_t count, const struct lent *lent)
{
    struct sending *sending = malloc(sizeof(*sending) + count);

    if (!sending)
        return NULL;
    *sending = (struct sending){.link = link, .lent = lent ? *lent : (struct lent){0}};
    if (count)
        memcpy(sending->bytes, bytes, count);
    return sending;
}

/* Give it to UCX. True: UCX has taken it, and it may be gone. */
static bool give(struct sending *sending, const void *header, size_t header_bytes,
                 const void *data, size_t bytes)
{
    struct ucx_link *link = sending->link;
    const ucp_request_param_t how = {
        .op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK | UCP_OP_ATTR_FIELD_USER_DATA |
                        UCP_OP_ATTR_FIELD_FLAGS,
        .flags = UCP_AM_SEND_FLAG_REPLY | UCP_AM_SEND_FLAG_COPY_HEADER |
                 (bytes < LEAST_FETCHED ? 0 : UCP_AM_SEND_FLAG_RNDV),
        .cb.send = sent_later,
        .user_data = sending};
    ucs_status_ptr_t result;

    link->sends++;
    link->lent += sending->lent.sent != NULL;
    result = link->engine->ucx->ucp_am_send_nbx(link->ep, 0, header, header_bytes, data,
                                                bytes, &how);
    if (UCS_PTR_IS_ERR(result)) {
        link->sends--;
        link->lent -= sending->lent.sent != NULL;
        free(sending);
        ucx_lose_by(link, UCS_PTR_STATUS(result));
        return false;
    }
    if (!result)
        sent(sending);
    return true;
}

int ucx_send(struct ucx_link *link, const void *head, size_t bytes,
             const struct lent *lent)
{
    uint8_t header[NUMBER + SHORT_HEAD];
    size_t in_header = bytes <= SHORT_HEAD ? bytes : 0, ours = bytes - in_header;
    struct sending *sending;

    if (link->state == LINK_LOST || (lent && ours))
        return -EHOSTUNREACH;
    if (link->sends >= MOST_SENDS || (lent && link->lent >= MOST_LENT))
        return -EAGAIN;
    sending = make_sending(link, head, ours, lent);
    if (!sending)
        return -EAGAIN;
    memcpy(header, &link->sent, NUMBER);
    if (in_header)
        memcpy(header + NUMBER, head, in_header);
    if (!give(sending, header, NUMBER + in_header, lent ? lent->data : sending->bytes,
              lent ? lent->bytes : ours))
        return -EHOSTUNREACH;
    link->sent++;
    return 0;
}

/* --- in ---------------------------------------------------------------------------------- */

/* Among the others, by its number. False: that number has come. */
static bool put_in_order(struct ucx_link *link, struct ucx_frame *frame)
{
    struct ucx_frame **at = &link->frames;

    if (frame->number < link->due)
        return false;
    while (*at && (*at)->number < frame->number)
        at = &(*at)->next;
    if (*at && (*at)->number == frame->number)
        return false;
    frame->next = *at;
    *at = frame;
    return true;
}

/* Its head and its data are here, at @p data. */
static void is_here(struct ucx_frame *frame, const uint8_t *data)
{
    bool headed = frame->head_bytes != 0;

    frame->frame.head = headed ? frame->head : data;
    frame->frame.head_bytes = headed ? frame->head_bytes : frame->bytes;
    frame->frame.data = headed ? data : NULL;
    frame->frame.data_bytes = headed ? frame->bytes : 0;
    frame->state = COMING_HERE;
}

static struct ucx_frame *make_frame(struct ucx_link *link, const uint8_t *header,
                                    size_t header_bytes, size_t data_bytes)
{
    struct ucx_frame *frame = malloc(sizeof(*frame) + header_bytes + data_bytes);

    if (!frame)
        return NULL;
    *frame = (struct ucx_frame){.link = link, .head_bytes = header_bytes - NUMBER};
    memcpy(&frame->number, header, NUMBER);
    if (frame->head_bytes)
        memcpy(frame->head, header + NUMBER, frame->head_bytes);
    return frame;
}

static struct ucx_link *link_of(const struct ucx_engine *engine,
                                const ucp_am_recv_param_t *how)
{
    struct ucx_link *link = engine->links;

    if (!(how->recv_attr & UCP_AM_RECV_ATTR_FIELD_REPLY_EP))
        return NULL;
    while (link && (link->ep != how->reply_ep || link->closes))
        link = link->next;
    return link && link->state != LINK_LOST ? link : NULL;
}

/* An active message has come: see ucp_am_recv_callback_t. */
static ucs_status_t comes(void *context, const void *header, size_t header_bytes,
                          void *data, size_t bytes, const ucp_am_recv_param_t *how)
{
    struct ucx_link *link = link_of(context, how);
    bool waits = how->recv_attr & UCP_AM_RECV_ATTR_FLAG_RNDV;
    struct ucx_frame *frame;

    if (!link)
        return UCS_OK;
    if (header_bytes < NUMBER || bytes > WIRE_MAX_HEAD) {
        ucx_lose(link, "the other side broke the rules of the engine");
        return UCS_OK;
    }
    frame = make_frame(link, header, header_bytes, waits ? 0 : bytes);
    if (!frame || !put_in_order(link, frame)) {
        ucx_lose(link, frame ? "a frame came twice" : "out of memory for a frame");
        free(frame);
        return UCS_OK;
    }
    frame->bytes = bytes;
    frame->descriptor = data;
    if (waits)
        return UCS_INPROGRESS;
    if (bytes)
        memcpy(frame->head + frame->head_bytes, data, bytes);
    is_here(frame, frame->head + frame->head_bytes);
    return UCS_OK;
}

ucs_status_t ucx_take_frames(ucp_worker_h worker, const struct ucx *ucx,
                             struct ucx_engine *engine)
{
    const ucp_am_handler_param_t how = {.field_mask = UCP_AM_HANDLER_PARAM_FIELD_ID |
                                                      UCP_AM_HANDLER_PARAM_FIELD_CB |
                                                      UCP_AM_HANDLER_PARAM_FIELD_ARG,
                                        .id = 0,
                                        .cb = comes,
                                        .arg = engine};

    return ucx->ucp_worker_set_am_recv_handler(worker, &how);
}

static void fetched(struct ucx_frame *frame, ucs_status_t status, size_t bytes)
{
    frame->link->fetches--;
    frame->state = COMING_FAILED;
    if (status == UCS_OK && bytes == frame->bytes)
        is_here(frame, frame->fetched ? frame->fetched : frame->landing.to);
    else
        ucx_lose_by(frame->link, status);
    if (frame->landing.landed)
        frame->landing.landed(frame->landing.context);
}

static void fetched_later(void *request, ucs_status_t status, size_t bytes, void *context)
{
    struct ucx_frame *frame = context;

    frame->link->engine->ucx->ucp_request_free(request);
    fetched(frame, status, bytes);
}

/* Memory for its data: where the bridge wants it, or ours. */
static uint8_t *find_place(struct ucx_frame *frame)
{
    struct ucx_link *link = frame->link;
    const struct engine *base = &link->engine->base;

    if (frame->head_bytes && base->place &&
        base->place(base->owner, link->number, frame->head, frame->head_bytes,
                    frame->bytes, &frame->landing))
        return frame->landing.to;
    frame->fetched = malloc(frame->bytes ? frame->bytes : 1);
    return frame->fetched;
}

static void fetch(struct ucx_frame *frame)
{
    const ucp_request_param_t how = {.op_attr_mask = UCP_OP_ATTR_FIELD_CALLBACK |
                                                     UCP_OP_ATTR_FIELD_USER_DATA,
                                     .cb.recv_am = fetched_later,
                                     .user_data = frame};
    const struct ucx_engine *engine = frame->link->engine;
    uint8_t *to = find_place(frame);
    ucs_status_ptr_t result;

    if (!to) {
        ucx_lose(frame->link, "out of memory for a frame");
        return;
    }
    frame->state = COMING_FETCHED;
    frame->link->fetches++;
    result = engine->ucx->ucp_am_recv_data_nbx(engine->worker, frame->descriptor, to,
                                               frame->bytes, &how);
    if (!UCS_PTR_IS_PTR(result))
        fetched(frame, UCS_PTR_STATUS(result), frame->bytes);
}

void ucx_fetch(struct ucx_link *link)
{
    uint64_t number = link->due;

    for (struct ucx_frame *frame = link->frames;
         frame && frame->number == number && link->state != LINK_LOST;
         frame = frame->next, number++) {
        if (frame->state == COMING_WAITS)
            fetch(frame);
        if (!frame->bytes || !frame->head_bytes)
            return; /* what comes after it can be placed when it has been told of */
    }
}

/* --- the bridge -------------------------------------------------------------------------- */

struct ucx_frame *ucx_next_frame(struct ucx_link *link, bool take)
{
    struct ucx_frame *frame = link->frames;

    if (!frame || frame->number != link->due || frame->state != COMING_HERE)
        return NULL;
    if (take) {
        link->frames = frame->next;
        link->due++;
    }
    return frame;
}

uint64_t ucx_frame_number(const struct ucx_frame *frame)
{
    return frame->number;
}

struct frame *ucx_frame_of(struct ucx_frame *frame)
{
    return &frame->frame;
}

void ucx_release(struct frame *frame)
{
    if (frame)
        free(((struct ucx_frame *)frame)->fetched);
    free(frame);
}

void ucx_drop_frames(struct ucx_link *link, bool all)
{
    const struct ucx_engine *engine = link->engine;
    struct ucx_frame **at = &link->frames;

    while (*at) {
        struct ucx_frame *frame = *at;

        if (frame->state == COMING_WAITS)
            engine->ucx->ucp_am_data_release(engine->worker, frame->descriptor);
        if (frame->state == COMING_WAITS || all) {
            *at = frame->next;
            ucx_release(&frame->frame);
        } else {
            at = &frame->next;
        }
    }
}
