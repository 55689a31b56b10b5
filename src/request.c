/* SPDX-License-Identifier: MIT */
/* request.c - the client's side. */
#include "src/request.h"

#include <errno.h>
#include <string.h>

#include "ipc/os.h"
#include "ipc/owned.h"
#include "ipc/wait.h"
#include "src/error.h"
#include "src/message.h"

static _Thread_local int32_t remote_code;

int32_t tr_remote_code(void)
{
    return remote_code;
}

/* What came instead of a reply is the request itself: its server died. */
static int open_bounced(struct inbox *inbox, uint32_t slot)
{
    slot_free(&inbox->arena->peer, slot);
    return tr_fail(
        TR_EPEERDIED,
        "request: the server died with it, and by the policy of its queue it is "
        "not to be redelivered");
}

static int open_error(struct message *message, int32_t code)
{
    const tr_tensor *text = message->count ? &message->tensors[0] : NULL;
    int length = text && text->nbytes <= TR_MAX_ERROR_TEXT ? (int)text->nbytes : 0;

    remote_code = code;
    tr_fail(TR_EREMOTE, "%.*s", length, length ? (const char *)text->data : "");
    (void)tr_release(message_handle(message));
    return TR_EREMOTE;
}

/* The slot of what came is ours: read it. */
static int open_reply(struct inbox *inbox, uint32_t slot, tr_message **reply)
{
    struct tr_arena *arena = inbox->arena;
    struct slot_record *record = view_record(&arena->view, slot);
    struct message *message = message_of(arena, slot);
    /* relaxed: ours. */
    uint64_t word = shm_load(&record->owner, memory_order_relaxed);
    uint64_t where = slot_where(record, word);
    int result;

    if (WHERE_CHANNEL(where) != inbox->queue->ring.index)
        return open_bounced(inbox, slot);
    ASSERT_HELD(&arena->peer, record);
    shm_put(&record->reply_to, 0); /* it is no request any more */
    message->sequence = ring_sequence(&inbox->queue->ring, where);
    message->deliveries = SLOT_DELIVERIES(word);
    result = message_open(arena, message, slot, arena->view.base, HELD_RECEIVED);
    if (result == 0 && (arena->view.geo.flags & TR_ARENA_CRC32C))
        result = message_verify(message);
    if (result < 0) {
        slot_free(&arena->peer, slot);
        return result;
    }
    if (shm_get(&record->tensors) & TENSORS_ERROR)
        return open_error(message, (int32_t)shm_get(&record->reply_code));
    *reply = message_handle(message);
    return 0;
}

static int check(tr_queue *queue, const tr_message *given)
{
    struct message *message = NULL;
    int result = arena_enter(queue->arena);

    if (result == 0)
        result = message_not_asked(given, "request", &message);
    if (result == 0 && message->arena != queue->arena)
        result = tr_fail(TR_EINVAL,
                         "request: the message lies in another arena than queue \"%s\"",
                         queue->name);
    return result;
}

static int64_t deadline_in(int64_t timeout_ns)
{
    int64_t now;

    if (timeout_ns < 0)
        return 0;
    now = os->now_ns();
    return timeout_ns > INT64_MAX - now ? 0 : now + timeout_ns;
}

/* Write the way back, and send. On error the message is as it was, but for the room. */
static int send_request(struct inbox *inbox, tr_queue *queue, tr_message *given,
                        bool async, int64_t timeout_ns, int64_t deadline_ns,
                        uint64_t *ticket)
{
    struct message *message = handle_address(given); /* checked */
    struct slot_record *record = view_record(&queue->arena->view, message->slot);
    int result = pending_open(inbox, async, queue, message->slot, ticket);

    if (result < 0)
        return result;
    ASSERT_HELD(&queue->arena->peer, record);
    if (deadline_ns) {
        message_begin_head(message);
        shm_put(&record->deadline_ns, (uint64_t)deadline_ns);
    }
    shm_put(&record->reply_to, route_word(inbox->queue->ring.index, *ticket));
    result = tr_queue_send(queue, given, timeout_ns);
    if (result < 0) {
        ASSERT_HELD(&queue->arena->peer, record);
        shm_put(&record->reply_to, 0);
        pending_close(inbox, *ticket);
    }
    return result;
}

int tr_request_begin(tr_queue *queue, tr_message *message, int64_t room_ns,
                     int64_t timeout_ns, uint32_t flags, uint64_t *ticket)
{
    struct inbox *inbox;
    int result = check(queue, message);

    if (result == 0 && flags & ~TR_BY_TICKET)
        result = tr_fail(TR_EINVAL, "request: there are no flags 0x%x", flags);
    if (result == 0)
        result = inbox_get(queue->arena, &inbox);
    if (result != 0)
        return result;
    return send_request(inbox, queue, message, !(flags & TR_BY_TICKET), room_ns,
                        deadline_in(timeout_ns), ticket);
}

int tr_request_async(tr_queue *queue, tr_message *message, int64_t timeout_ns,
                     uint64_t *ticket)
{
    return tr_request_begin(queue, message, timeout_ns, timeout_ns, 0, ticket);
}

struct replying {
    struct inbox *inbox;
    uint64_t ticket;
    uint32_t slot;
};

static int try_take(void *context)
{
    struct replying *replying = context;

    return pending_take(replying->inbox, replying->ticket, &replying->slot);
}

static int try_take_any(void *context)
{
    struct replying *replying = context;

    return pending_take_any(replying->inbox, &replying->ticket, &replying->slot);
}

static int await(struct replying *replying, wait_try *attempt, int64_t timeout_ns)
{
    struct inbox *inbox = replying->inbox;
    int result;

    arena_pulse(inbox->arena);
    result = attempt(replying);
    if (result == -EAGAIN && timeout_ns != 0)
        result = wait_for(&inbox->arena->peer, &inbox->queue->ring.channel->items,
                          attempt, replying, timeout_ns);
    return result;
}

/* Who has messages of the queue in hand, and who may be waiting for some. */
static void explain_serving(const tr_queue *queue)
{
    const struct view *view = &queue->arena->view;
    uint32_t held[MAX_PARTICIPANTS] = {0}, shown = 0;

    for (uint32_t i = 0; i < view->geo.slot_count; i++) {
        struct slot_record *record = view_record(view, i);
        uint64_t word = shm_get(&record->owner);

        if (SLOT_STATE(word) == SLOT_RECEIVED &&
            WHERE_CHANNEL(slot_where(record, word)) == queue->ring.index)
            held[SLOT_WHO(word) % MAX_PARTICIPANTS]++;
    }
    tr_fail_more("; %lu wait in queue \"%s\", %s asleep on it",
                 (unsigned long)tr_queue_depth(queue), queue->name,
                 shm_get(&queue->ring.channel->items) & 1 ? "a server may be"
                                                          : "no server is");
    for (uint32_t i = 0; i < view->geo.participant_count && shown < 8; i++)
        if (held[i]) {
            tr_fail_more(", participant %u (pid %u) has %u in hand", i,
                         shm_get(&view_participant(view, i)->pid), held[i]);
            shown++;
        }
    if (!shown)
        tr_fail_more(", nobody has any in hand");
}

/* Give it up. Whether nobody had received it. */
static bool cancel(struct inbox *inbox, uint64_t ticket, bool *was)
{
    struct pending *pending = &inbox->pending[ticket % TR_MAX_REQUESTS];
    uint32_t slot = atomic_load_explicit(&pending->slot, memory_order_relaxed);
    uint32_t channel = pending->queue ? pending->queue->ring.index : 0;

    *was = pending_close(inbox, ticket);
    return *was && slot < inbox->arena->view.geo.slot_count &&
           request_retract(&inbox->arena->peer, slot, channel,
                           route_word(inbox->queue->ring.index, ticket));
}

static int give_up(struct inbox *inbox, tr_queue *queue, uint64_t ticket, int result,
                   int64_t timeout_ns)
{
    bool was, untouched = cancel(inbox, ticket, &was);
    int code = tr_fail_errno(result, "request: no reply within %ld ns; %s",
                             (long)timeout_ns,
                             untouched ? "nobody had received it" : "a server has it");

    explain_serving(queue);
    return code;
}

int tr_request(tr_queue *queue, tr_message *message, int64_t timeout_ns,
               tr_message **reply)
{
    struct replying replying;
    int64_t deadline = 0, left = timeout_ns;
    int result = check(queue, message);

    *reply = NULL;
    if (result == 0)
        result = inbox_get(queue->arena, &replying.inbox);
    if (result != 0)
        return result;
    deadline = deadline_in(timeout_ns);
    result = send_request(replying.inbox, queue, message, false, timeout_ns, deadline,
                          &replying.ticket);
    if (result == TR_EAGAIN || result == TR_ETIMEDOUT || result == TR_EINTR) {
        explain_serving(queue);
        (void)tr_release(message);
    }
    if (result < 0)
        return result;
    result = try_take(&replying); /* before the clock is read */
    if (result == -EAGAIN && timeout_ns > 0) {
        left = deadline ? deadline - os->now_ns() : timeout_ns;
        left = left < 0 ? 0 : left;
    }
    if (result == -EAGAIN)
        result = await(&replying, try_take, left);
    if (result == -EAGAIN && timeout_ns != 0)
        result = -ETIMEDOUT;
    if (result < 0)
        return give_up(replying.inbox, queue, replying.ticket, result, timeout_ns);
    return open_reply(replying.inbox, replying.slot, reply);
}

/* The inbox of this process, and not its parent's. */
static int enter(struct tr_arena *arena, struct inbox **inbox)
{
    int result = arena_enter(arena);

    return result < 0 ? result : inbox_get(arena, inbox);
}

static int no_ticket(uint64_t ticket)
{
    return tr_fail(TR_EINVAL, "there is no request 0x%lx: it has ended",
                   (unsigned long)ticket);
}

int tr_reply_wait(tr_arena *arena, uint64_t ticket, int64_t timeout_ns,
                  tr_message **reply)
{
    struct replying replying = {.ticket = ticket};
    int result = enter(arena, &replying.inbox);

    *reply = NULL;
    if (result < 0)
        return result;
    result = await(&replying, try_take, timeout_ns);
    if (result == -ESTALE)
        return no_ticket(ticket);
    if (result < 0)
        return tr_fail_errno(result, "wait for the reply to request 0x%lx",
                             (unsigned long)ticket);
    return open_reply(replying.inbox, replying.slot, reply);
}

int tr_reply_next(tr_arena *arena, int64_t timeout_ns, uint64_t *ticket,
                  tr_message **reply)
{
    struct replying replying = {.ticket = 0};
    int result = enter(arena, &replying.inbox);

    *reply = NULL;
    *ticket = 0;
    if (result < 0)
        return result;
    result = await(&replying, try_take_any, timeout_ns);
    if (result < 0)
        return tr_fail_errno(result, "wait for the next reply");
    *ticket = replying.ticket;
    return open_reply(replying.inbox, replying.slot, reply);
}

int tr_request_cancel(tr_arena *arena, uint64_t ticket)
{
    struct inbox *inbox;
    bool was;
    int result = enter(arena, &inbox);

    if (result < 0)
        return result;
    (void)cancel(inbox, ticket, &was);
    return was ? 0 : no_ticket(ticket);
}
