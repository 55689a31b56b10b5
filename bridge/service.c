/* SPDX-License-Identifier: MIT */
#include "service.h"

#include <stdio.h>
#include <stdlib.h>

#include <tensoring/request.h>

#include "outgoing.h"

struct ticket {
    struct ticket *next;
    uint64_t ticket, number;
    struct lane *lane;
};

static int send_it(struct ticket *one, tr_message *request, int64_t deadline_ns)
{
    int64_t left = deadline_ns ? deadline_ns - now_ns() : TR_FOREVER;
    int result;

    if (deadline_ns && left <= 0)
        return TR_ETIMEDOUT;
    result = tr_request_send(one->lane->channel->queue, request, TR_NOWAIT, left, 0,
                             &one->ticket);
    if (result == TR_EAGAIN)
        one->lane->channel->ready = false; /* the wait set tells when there is room */
    return result == TR_ENOSPC ? TR_EAGAIN : result;
}

int service_ask(struct bridge *bridge, struct lane *lane, uint64_t number,
                tr_message *request, int64_t deadline_ns)
{
    struct ticket *one = calloc(1, sizeof(*one));
    int result;

    if (!one)
        return TR_ENOMEM;
    one->number = number;
    one->lane = lane;
    result = send_it(one, request, deadline_ns);
    if (result < 0) {
        free(one);
        return result;
    }
    one->next = bridge->tickets;
    bridge->tickets = one;
    return 0;
}

static struct ticket *take_out(struct bridge *bridge, uint64_t ticket)
{
    struct ticket **at = &bridge->tickets, *found;

    while (*at && (*at)->ticket != ticket)
        at = &(*at)->next;
    found = *at;
    if (found)
        *at = found->next;
    return found;
}

static void pass_on(struct bridge *bridge, uint64_t ticket, tr_message *reply, int result)
{
    struct ticket *one = take_out(bridge, ticket);
    char text[WHY_TEXT];

    if (!one) {
        tr_message_release(reply);
        return;
    }
    if (result == TR_EREMOTE)
        outgoing_fault(one->lane, one->number, tr_error_remote_code(), tr_error_detail());
    else if (result < 0)
        outgoing_fault(one->lane, one->number, result,
                       say_failure(text, "the service on the other host", result));
    else
        outgoing_answer(one->lane, one->number, reply);
    free(one);
}

void service_answers(struct bridge *bridge)
{
    while (bridge->answers || bridge->tickets) {
        tr_message *reply = NULL;
        uint64_t ticket = 0;
        int result = tr_request_next(bridge->arena, TR_NOWAIT, &ticket, &reply);

        if (!ticket) {
            bridge->answers = false;
            return;
        }
        pass_on(bridge, ticket, reply, result);
    }
}

void service_unlink(struct bridge *bridge, struct lane *lane)
{
    struct ticket **at = &bridge->tickets;

    while (*at) {
        struct ticket *one = *at;

        if (one->lane != lane) {
            at = &one->next;
            continue;
        }
        *at = one->next;
        if (tr_request_cancel(bridge->arena, one->ticket) < 0)
            bridge->tell =
                true; /* it has ended: its answer is dropped when it is looked at */
        free(one);
    }
}
