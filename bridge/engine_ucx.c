/* SPDX-License-Identifier: MIT */
#include "engine_ucx.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "address.h"
#include "step.h"

enum {
    MOST_CONNECTIONS = 320, /* a bridge takes 256 links, and tells others why not */
    MOST_STEPS = 64         /* of UCX, before others have their turn */
};
#define GREETING_NS (INT64_C(5) * 1000000000) /* how long a stranger may take */
#define GOODBYE_NS  (INT64_C(300) * 1000000)  /* how long the last words may take */
#define LOOK_NS     INT64_C(500000000)
#define END_NS      (INT64_C(2) * 1000000000) /* and the end of what is on its way */

static struct ucx_engine *own(struct engine *base)
{
    return (struct ucx_engine *)base;
}

static int fail(struct ucx_engine *engine, const char *what, ucs_status_t status)
{
    snprintf(engine->base.why, WHY_TEXT, "%.200s: %s", what,
             engine->ucx->ucs_status_string(status));
    return -1;
}

static void close_worker(struct ucx_engine *engine)
{
    if (engine->listener)
        engine->ucx->ucp_listener_destroy(engine->listener);
    if (engine->worker)
        engine->ucx->ucp_worker_destroy(engine->worker);
    if (engine->context)
        engine->ucx->ucp_cleanup(engine->context);
    engine->listener = NULL;
    engine->worker = NULL;
    engine->context = NULL;
}

/* A context and a worker with the devices that are up now. What was there before stays if there
 * can be none. */
static bool open_worker(struct ucx_engine *engine, char why[WHY_TEXT])
{
    struct ucx_engine found = *engine;
    ucs_status_t status;

    found.listener = NULL;
    found.context = NULL;
    found.worker = NULL;
    found.devices = ucx_devices();
    if (!ucx_open_worker(found.ucx, &found.context, &found.worker, why))
        return false;
    status = found.ucx->ucp_worker_get_efd(found.worker, &found.fd);
    if (status == UCS_OK)
        status = ucx_take_frames(found.worker, found.ucx, engine);
    if (status == UCS_OK) {
        close_worker(engine);
        *engine = found;
        return true;
    }
    snprintf(why, WHY_TEXT, "UCX has no descriptor to wait for: %s",
             found.ucx->ucs_status_string(status));
    close_worker(&found);
    return false;
}

static struct engine *ucx_engine_open(const struct engine_keys *keys, char why[WHY_TEXT])
{
    const struct ucx *ucx = ucx_load(why);
    struct ucx_engine *engine = ucx ? calloc(1, sizeof(*engine)) : NULL;

    if (!ucx)
        return NULL;
    snprintf(why, WHY_TEXT, "the engine cannot be started: out of memory");
    if (!engine)
        return NULL;
    *engine = (struct ucx_engine){.base.keys = keys, .ucx = ucx};
    if (open_worker(engine, why))
        return &engine->base;
    free(engine);
    return NULL;
}

/* --- links ------------------------------------------------------------------------------- */

void ucx_lose(struct ucx_link *link, const char *why)
{
    if (link->state == LINK_LOST)
        return;
    link->state = LINK_LOST;
    snprintf(link->why, WHY_TEXT, "%s", why);
}

void ucx_lose_by(struct ucx_link *link, ucs_status_t status)
{
    const char *text = link->engine->ucx->ucs_status_string(status);
    char why[WHY_TEXT];

    if (link->state == LINK_STANDS)
        snprintf(why, WHY_TEXT, "the connection is lost (UCX: %s)", text);
    else if (status == UCS_ERR_REJECTED || status == UCS_ERR_INVALID_PARAM)
        snprintf(why, WHY_TEXT,
                 "the other side rejects the connection: it has another version of UCX, "
                 "or is no bridge at ucx:// (UCX: %s)",
                 text);
    else
        snprintf(why, WHY_TEXT,
                 "nothing listens there at ucx://, or the network does not reach it "
                 "(UCX: %s)",
                 text);
    ucx_lose(link, why);
}

static void broke(void *context, ucp_ep_h ep, ucs_status_t status)
{
    (void)ep;
    ucx_lose_by(context, status);
}

static struct ucx_link *add_link(struct ucx_engine *engine, ucp_ep_params_t *params)
{
    struct ucx_link *link = calloc(1, sizeof(*link)), **at = &engine->links;
    ucs_status_t status;

    if (!link)
        return NULL;
    *link = (struct ucx_link){
        .engine = engine, .number = ++engine->made, .since_ns = now_ns()};
    params->field_mask |= UCP_EP_PARAM_FIELD_ERR_HANDLER |
                          UCP_EP_PARAM_FIELD_ERR_HANDLING_MODE;
    params->err_mode = UCP_ERR_HANDLING_MODE_PEER;
    params->err_handler = (ucp_err_handler_t){broke, link};
    status = engine->ucx->ucp_ep_create(engine->worker, params, &link->ep);
    if (status != UCS_OK) {
        fail(engine, "UCX does not connect", status);
        free(link);
        return NULL;
    }
    while (*at)
        at = &(*at)->next;
    *at = link;
    engine->count++;
    return link;
}

static void closed(void *request, ucs_status_t status, void *context)
{
    struct ucx_link *link = context;

    (void)status;
    link->engine->ucx->ucp_request_free(request);
    link->closed = true;
}

/* @p flags: UCP_EP_CLOSE_FLAG_FORCE, or 0: send what is on its way. */
static void close_link(struct ucx_link *link, uint32_t flags)
{
    const ucp_request_param_t how = {.op_attr_mask = UCP_OP_ATTR_FIELD_FLAGS |
                                                     UCP_OP_ATTR_FIELD_CALLBACK |
                                                     UCP_OP_ATTR_FIELD_USER_DATA,
                                     .flags = flags,
                                     .cb.send = closed,
                                     .user_data = link};

    ucx_drop_frames(link, false);
    link->closes = true;
    if (!UCS_PTR_IS_PTR(link->engine->ucx->ucp_ep_close_nbx(link->ep, &how)))
        link->closed = true;
}

static void free_link(struct ucx_link *link)
{
    ucx_drop_frames(link, true);
    link->engine->count--;
    free(link);
}

/* Close what is lost and was told of, and free what is closed. */
static void tidy(struct ucx_engine *engine)
{
    struct ucx_link **at = &engine->links;

    while (*at) {
        struct ucx_link *link = *at;

        if (link->state == LINK_LOST && !link->known && !link->closes)
            close_link(link, UCP_EP_CLOSE_FLAG_FORCE);
        if (link->closed && !link->sends && !link->fetches) {
            *at = link->next;
            free_link(link);
        } else {
            at = &link->next;
        }
    }
}

/* Strangers who say nothing, or were refused. */
static void lose_late(struct ucx_link *link)
{
    bool late = now_ns() - link->since_ns > GREETING_NS;

    if (late && (link->state == LINK_GREETS || link->state == LINK_REFUSED))
        ucx_lose(link, "the other side did not say which UCX it has");
}

/* --- greetings --------------------------------------------------------------------------- */

static void write_greeting(const struct ucx_engine *engine, char text[64])
{
    snprintf(text, 64, "tensoring-bridge, UCX %s",
             step_ucx(engine->ucx->ucp_get_version_string()));
}

static bool greet(struct ucx_link *link)
{
    char text[64];

    write_greeting(link->engine, text);
    return ucx_send(link, text, strlen(text), NULL) == 0;
}

/* Listener: somebody connects. */
static void connected(ucp_conn_request_h request, void *context)
{
    struct ucx_engine *engine = context;
    ucp_ep_params_t params = {.field_mask = UCP_EP_PARAM_FIELD_CONN_REQUEST,
                              .conn_request = request};

    if (engine->count >= MOST_CONNECTIONS)
        engine->ucx->ucp_listener_reject(engine->listener, request);
    else
        (void)add_link(engine, &params);
}

/* What @p frame says is what we say. */
static bool is_same(struct ucx_link *link, const struct frame *frame, char why[WHY_TEXT])
{
    char ours[64], theirs[64] = "";
    size_t bytes = frame->head_bytes < 63 ? frame->head_bytes : 63;

    write_greeting(link->engine, ours);
    if (frame->head)
        memcpy(theirs, frame->head, bytes);
    if (strcmp(ours, theirs) == 0)
        return true;
    snprintf(why, WHY_TEXT,
             "the other side is '%s', this one '%s': both need the same version of UCX",
             make_printable(theirs), ours);
    return false;
}

/* The greeting of the other side. True: there is something to tell of. */
static bool greeted(struct ucx_link *link, struct ucx_frame *frame,
                    struct engine_event *event)
{
    struct ucx_engine *engine = link->engine;
    bool listens = engine->base.listens;
    bool same = is_same(link, ucx_frame_of(frame), engine->base.why);

    ucx_release(ucx_frame_of(frame));
    if (listens && !greet(link))
        ucx_lose(link, "there is no room for a greeting");
    if (same) {
        link->state = link->state == LINK_GREETS ? LINK_STANDS : link->state;
        link->known = true;
        event->kind = ENGINE_UP;
        return !listens;
    }
    if (listens) {
        link->state = LINK_REFUSED;
        event->kind = ENGINE_STRANGER;
        return true;
    }
    ucx_lose(link, engine->base.why);
    return false;
}

/* --- the calls --------------------------------------------------------------------------- */

static int open_listener(struct ucx_engine *engine, const char *text)
{
    struct engine *base = &engine->base;
    struct address address;
    ucp_listener_params_t params = {
        .field_mask = UCP_LISTENER_PARAM_FIELD_SOCK_ADDR |
                      UCP_LISTENER_PARAM_FIELD_CONN_HANDLER,
        .sockaddr = {(struct sockaddr *)&address.socket, sizeof(address.socket)},
        .conn_handler = {connected, engine}};
    ucp_listener_attr_t found = {.field_mask = UCP_LISTENER_ATTR_FIELD_SOCKADDR};
    ucs_status_t status;

    if (address_find(&address, text, base->why) < 0)
        return -1;
    params.sockaddr.addrlen = address.bytes;
    status = engine->ucx->ucp_listener_create(engine->worker, &params, &engine->listener);
    if (status == UCS_OK)
        status = engine->ucx->ucp_listener_query(engine->listener, &found);
    if (status != UCS_OK)
        return fail(engine, text, status);
    address.socket = found.sockaddr;
    if (address_write(&address, base->why) < 0)
        return -1;
    snprintf(base->address, sizeof(base->address), "ucx://%s", address.text);
    return 0;
}

static int ucx_engine_listen(struct engine *base, const char *text)
{
    base->listens = true;
    return open_listener(own(base), text);
}

static void lose_all(struct ucx_engine *engine)
{
    for (struct ucx_link *link = engine->links; link; link = link->next) {
        ucx_lose(link, "it is not wanted any more");
        link->known = false;
    }
    tidy(engine);
}

static void work_until(struct ucx_engine *engine, int64_t end_ns)
{
    while (engine->links && now_ns() < end_ns) {
        engine->ucx->ucp_worker_progress(engine->worker);
        tidy(engine);
    }
}

/* A device that came up after the context was made would never be used. Nothing of ours is on its
 * way then. */
static void look_for_devices(struct ucx_engine *engine)
{
    const char *address = engine->base.address + strlen("ucx://");
    char place[sizeof(engine->base.address)];
    bool lost = engine->base.listens && !engine->listener;

    if (!lost && engine->devices == ucx_devices())
        return;
    work_until(engine, now_ns() + END_NS);
    if (engine->links || !open_worker(engine, engine->base.why) || !engine->base.listens)
        return;
    snprintf(place, sizeof(place), "%s", address);
    if (open_listener(engine, place) < 0)
        say("%s", engine->base.why);
}

static int ucx_engine_connect(struct engine *base, const char *text)
{
    struct ucx_engine *engine = own(base);
    struct address address;
    ucp_ep_params_t params = {
        .field_mask = UCP_EP_PARAM_FIELD_FLAGS | UCP_EP_PARAM_FIELD_SOCK_ADDR,
        .flags = UCP_EP_PARAMS_FLAGS_CLIENT_SERVER,
        .sockaddr = {(struct sockaddr *)&address.socket, sizeof(address.socket)}};
    struct ucx_link *link;

    lose_all(engine);
    look_for_devices(engine);
    snprintf(base->address, sizeof(base->address), "ucx://%s", text);
    if (address_find(&address, text, base->why) < 0)
        return -1;
    params.sockaddr.addrlen = address.bytes;
    link = add_link(engine, &params);
    if (!link)
        return -1;
    link->known = true;
    if (!greet(link))
        ucx_lose(link, "there is no room for a greeting");
    return 0;
}

static int ucx_engine_fd(const struct engine *base)
{
    return ((const struct ucx_engine *)base)->fd;
}

static bool tell(struct ucx_link *link, struct ucx_frame *frame,
                 struct engine_event *event)
{
    event->link = link->number;
    if (ucx_frame_number(frame) == 0)
        return greeted(link, frame, event);
    event->kind = ENGINE_FRAME;
    event->frame = ucx_frame_of(frame);
    return true;
}

static bool tell_lost(struct ucx_link *link, struct engine_event *event)
{
    link->known = false;
    snprintf(link->engine->base.why, WHY_TEXT, "%s", link->why);
    event->kind = ENGINE_DOWN;
    event->link = link->number;
    return true;
}

/* Something that has happened to a link, as far as it is here. */
static bool look_at(struct ucx_link *link, struct engine_event *event)
{
    struct ucx_frame *frame;

    while (!link->closes && link->state != LINK_REFUSED &&
           (frame = ucx_next_frame(link, true)))
        if (tell(link, frame, event))
            return true;
    return link->state == LINK_LOST && link->known && tell_lost(link, event);
}

/* The next one goes first the next time. */
static void put_last(struct ucx_engine *engine, struct ucx_link *link)
{
    struct ucx_link **at = &engine->links;

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    while (*at)
        at = &(*at)->next;
    *at = link;
    link->next = NULL;
}

static bool look(struct ucx_engine *engine, struct engine_event *event)
{
    for (struct ucx_link *link = engine->links; link; link = link->next)
        if (look_at(link, event)) {
            put_last(engine, link);
            return true;
        }
    return false;
}

/* Let UCX work, and begin to fetch what it tells of. True: there was something to do. */
static bool work(struct ucx_engine *engine)
{
    unsigned done = 0;

    for (int i = 0; i < MOST_STEPS && engine->ucx->ucp_worker_progress(engine->worker);
         i++)
        done++;
    for (struct ucx_link *link = engine->links; link; link = link->next) {
        lose_late(link);
        if (!link->closes)
            ucx_fetch(link);
    }
    tidy(engine);
    return done != 0;
}

/* Listener without a link: now and then. */
static bool is_time_to_look(struct ucx_engine *engine)
{
    int64_t now = now_ns();

    if (!engine->base.listens || engine->links || now - engine->looked_ns < LOOK_NS)
        return false;
    engine->looked_ns = now;
    return true;
}

static bool ucx_engine_next(struct engine *base, struct engine_event *event)
{
    struct ucx_engine *engine = own(base);

    *event = (struct engine_event){.why = base->why};
    if (look(engine, event))
        return true;
    if (is_time_to_look(engine))
        look_for_devices(engine);
    work(engine);
    return look(engine, event);
}

static bool has_something(const struct ucx_engine *engine)
{
    for (struct ucx_link *link = engine->links; link; link = link->next)
        if (!link->closes &&
            (ucx_next_frame(link, false) || (link->state == LINK_LOST && link->known)))
            return true;
    return false;
}

/* The descriptor tells of nothing before UCX was asked for that, which it only is if it has
 * nothing left to do. */
static bool ucx_engine_ready(struct engine *base)
{
    struct ucx_engine *engine = own(base);

    return work(engine) || has_something(engine) ||
           engine->ucx->ucp_worker_arm(engine->worker) != UCS_OK;
}

static int ucx_engine_send(struct engine *base, uint64_t number, const void *head,
                           size_t bytes, const struct lent *lent)
{
    for (struct ucx_link *link = own(base)->links; link; link = link->next)
        if (link->number == number)
            return link->known && !link->closes ? ucx_send(link, head, bytes, lent)
                                                : -EHOSTUNREACH;
    return -EHOSTUNREACH;
}

/* What was said last should arrive, what does not is given up. */
static void close_links(struct ucx_engine *engine)
{
    for (struct ucx_link *link = engine->links; link; link = link->next) {
        link->known = false;
        if (link->state == LINK_STANDS && !link->closes)
            close_link(link, 0);
    }
    work_until(engine, now_ns() + GOODBYE_NS);
    lose_all(engine);
    work_until(engine, now_ns() + END_NS);
}

static void ucx_engine_close(struct engine *base)
{
    struct ucx_engine *engine = own(base);

    if (!engine)
        return;
    close_links(engine);
    close_worker(engine);
    free(engine);
}

const struct engine_calls engine_ucx = {
    .name = "ucx",
    .has_keys = false,
    .ping_ns = 500000000,
    .open = ucx_engine_open,
    .listen = ucx_engine_listen,
    .connect = ucx_engine_connect,
    .fd = ucx_engine_fd,
    .ready = ucx_engine_ready,
    .next = ucx_engine_next,
    .send = ucx_engine_send,
    .release = ucx_release,
    .close = ucx_engine_close,
};
