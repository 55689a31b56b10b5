/* SPDX-License-Identifier: MIT */
/* request.c - the client's side. */
#include <tensoring/request.h>

#include <errno.h>
#include <string.h>

#include "ipc/exchange/owned.h"
#include "ipc/exchange/request.h"
#include "ipc/kernel/os.h"
#include "ipc/signal/wake.h"
#include "ipc/wait/wait.h"
#include "src/base/error.h"
#include "src/base/options.h"
#include "src/channel/inbox.h"
#include "src/channel/queue.h"
#include "src/channel/request_explain.h"
#include "src/message/message.h"
#include "src/message/message_open.h"

static _Thread_local int32_t remote_code;

int32_t tr_error_remote_code(void)
{
    return remote_code;
}

/* What came instead of a reply is the request itself: its server died. */
static int open_bounced(struct inbox *inbox, uint32_t slot, uint32_t redelivered)
{
    slot_free(&inbox->arena->self, slot);
    return tr_fail(TR_EPEERDIED,
                   "request: %u server%s died with it, and no other one gets it: by the "
                   "policy or max_deliveries of its queue, or because a reply was being "
                   "written into its slot",
                   redelivered + 1, redelivered ? "s" : "");
}

static int open_error(struct message *message, int32_t code)
{
    const tr_tensor *text = message->count ? &message->tensors[0] : NULL;
    int length = text && text->nbytes <= TR_MAX_ERROR_TEXT ? (int)text->nbytes : 0;

    remote_code = code;
    tr_fail(TR_EREMOTE, "%.*s", length, length ? (const char *)text->data : "");
    (void)tr_message_release(message_handle(message));
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
    uint64_t location = slot_location(record, word);
    tr_message *handle;
    int result;

    if (LOCATION_CHANNEL(location) != inbox->queue->ring.index)
        return open_bounced(inbox, slot, SLOT_DELIVERIES(word));
    ASSERT_HELD(&arena->self, record);
    shm_put(&record->reply_to, 0); /* it is not a request any more */
    message->sequence = ring_sequence(&inbox->queue->ring, location);
    message->deliveries = SLOT_DELIVERIES(word);
    result = message_open(arena, message, slot, word, arena->view.base, HELD_RECEIVED,
                          &handle);
    if (result == 0 && (arena->view.geo.flags & TR_ARENA_CRC32C))
        result = message_verify(message);
    if (result < 0) {
        slot_free(&arena->self, slot);
        return result;
    }
    if (shm_get(&record->tensors) & TENSORS_ERROR)
        return open_error(message, (int32_t)shm_get(&record->reply_code));
    *reply = handle;
    return 0;
}

static int check(const tr_queue *handle, int64_t timeout_ns, const tr_message *given,
                 struct tr_queue **out)
{
    struct message *message = NULL;
    int result = queue_enter(handle, "request", timeout_ns, out);
    const struct tr_queue *queue = *out;

    if (result == 0)
        result = message_not_asked(given, "request", &message);
    if (result == 0 && message->arena != queue->arena)
        result = tr_fail(TR_EINVAL,
                         "request: the message lies in another arena than queue \"%s\"",
                         queue->name);
    return result;
}

/* INT64_MAX: none. */
static int64_t deadline_in(int64_t timeout_ns)
{
    int64_t now;

    if (timeout_ns < 0)
        return INT64_MAX;
    now = os->now_ns();
    return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

/* Write the way back, and send. On error the message is as it was, except for its memory. */
static int send_request(struct inbox *inbox, tr_queue *queue, tr_message *given,
                        bool async, int64_t timeout_ns, int64_t deadline_ns,
                        uint64_t *ticket)
{
    struct message *message = handle_address(given); /* checked */
    const struct asking asking = {.slot = message->slot,
                                  .channel = queue->ring.index,
                                  .deadline_ns = deadline_ns,
                                  .async = async};
    struct slot_record *record = view_record(&queue->arena->view, message->slot);
    int result = pending_open(inbox, &asking, ticket);

    if (result < 0)
        return result;
    ASSERT_HELD(&queue->arena->self, record);
    if (deadline_ns < INT64_MAX)
        message_set_deadline(message, deadline_ns);
    else if (shm_get(&record->tensors) & TENSORS_HEAD)
        message_set_deadline(message, 0); /* the sender's own: servers would obey it */
    shm_put(&record->reply_to, route_word(inbox->queue->ring.index, *ticket));
    result = queue_send(queue, given, timeout_ns);
    if (result < 0) {
        ASSERT_HELD(&queue->arena->self, record);
        shm_put(&record->reply_to, 0);
        pending_close(inbox, *ticket);
    } else if (async) {
        pending_sent(inbox, *ticket);
    }
    return result;
}

int tr_request_send(tr_queue *handle, tr_message *message, int64_t room_ns,
                    int64_t timeout_ns, uint32_t flags, uint64_t *ticket)
{
    struct inbox *inbox;
    struct tr_queue *queue;
    int result = check(handle, timeout_ns, message, &queue);

    if (result == 0)
        result = ticket ? timeout_check("request", room_ns)
                        : null_fail("request", "ticket");
    if (result == 0 && flags & ~TR_REQUEST_BY_TICKET)
        result = tr_fail(TR_EINVAL, "request: there are no flags 0x%x", flags);
    if (result == 0)
        result = inbox_get(queue->arena, &inbox);
    if (result != 0)
        return result;
    return send_request(inbox, queue, message, !(flags & TR_REQUEST_BY_TICKET), room_ns,
                        deadline_in(timeout_ns), ticket);
}

struct replying {
    struct inbox *inbox;
    uint64_t ticket;
    uint32_t slot;
    struct asking asking; /* of one that was not answered */
};

static int try_take(void *context)
{
    struct replying *replying = context;

    return pending_take(replying->inbox, replying->ticket, &replying->slot);
}

/* -ETIME: the deadline of replying->ticket has come. */
static int try_take_any(void *context)
{
    struct replying *replying = context;
    int result = pending_take_any(replying->inbox, &replying->ticket, &replying->slot);

    if (result != -EAGAIN || !pending_overdue(replying->inbox))
        return result;
    return pending_expired(replying->inbox, &replying->ticket, &replying->asking)
               ? -ETIME
               : -EAGAIN;
}

static int await(struct replying *replying, int64_t timeout_ns)
{
    struct inbox *inbox = replying->inbox;

    arena_check_liveness(inbox->arena);
    return timeout_ns == 0
               ? -EAGAIN
               : wait_for(&inbox->arena->self, &inbox->queue->ring.channel->items,
                          try_take, replying, timeout_ns);
}

static uint64_t route_of(const struct inbox *inbox, uint64_t ticket)
{
    return route_word(inbox->queue->ring.index, ticket);
}

/* Give it up, and take the request back if nobody has it in hand. */
static bool cancel(struct inbox *inbox, uint64_t ticket)
{
    struct asking asking;
    bool waits = pending_look(inbox, ticket, &asking);

    if (!pending_close(inbox, ticket))
        return false;
    if (waits)
        (void)request_retract(&inbox->arena->view, asking.slot, route_of(inbox, ticket));
    return true;
}

/* The ticket has ended without a reply. Say why, and take the request back. */
static void explain_end(struct inbox *inbox, uint64_t ticket, const struct asking *asking)
{
    request_explain_one(inbox->arena, asking->slot, route_of(inbox, ticket));
    (void)request_retract(&inbox->arena->view, asking->slot, route_of(inbox, ticket));
    request_explain_queue(inbox->arena, asking->channel);
}

static int give_up(struct replying *replying, int result, int64_t timeout_ns)
{
    char text[TIME_TEXT];
    int code;

    (void)pending_look(replying->inbox, replying->ticket, &replying->asking);
    (void)pending_close(replying->inbox, replying->ticket);
    code = tr_fail_wait(result, "request: no reply within %s",
                        time_text(timeout_ns, text));
    explain_end(replying->inbox, replying->ticket, &replying->asking);
    return code;
}

int tr_request_call(tr_queue *handle, tr_message *message, int64_t timeout_ns,
                    tr_message **reply)
{
    struct replying replying = {.ticket = 0};
    int64_t deadline, left = timeout_ns;
    struct tr_queue *queue;
    int result = check(handle, timeout_ns, message, &queue);

    if (result == 0 && !reply)
        result = null_fail("request", "reply");
    if (reply)
        *reply = NULL;
    if (result == 0)
        result = inbox_get(queue->arena, &replying.inbox);
    if (result != 0)
        return result;
    deadline = deadline_in(timeout_ns);
    result = send_request(replying.inbox, queue, message, false, timeout_ns, deadline,
                          &replying.ticket);
    if (result == TR_EAGAIN || result == TR_ETIMEDOUT || result == TR_EINTR) {
        if (result != TR_ETIMEDOUT) /* which the send has explained */
            request_explain_queue(queue->arena, queue->ring.index);
        (void)tr_message_release(message);
    }
    if (result < 0)
        return result;
    result = try_take(&replying); /* before the clock is read */
    if (result == -EAGAIN && timeout_ns > 0) {
        left = deadline < INT64_MAX ? deadline - os->now_ns() : timeout_ns;
        left = left < 0 ? 0 : left;
    }
    if (result == -EAGAIN)
        result = await(&replying, left);
    if (result == -EAGAIN && timeout_ns != 0)
        result = -ETIMEDOUT;
    if (result < 0)
        return give_up(&replying, result, timeout_ns);
    return open_reply(replying.inbox, replying.slot, reply);
}

/* The inbox of this process, and not its parent's. */
static int enter(const tr_arena *given, const char *step, int64_t timeout_ns,
                 struct inbox **inbox)
{
    struct tr_arena *arena;
    int result = arena_open(given, step, &arena);

    if (result == 0)
        result = timeout_check(step, timeout_ns);

    return result < 0 ? result : inbox_get(arena, inbox);
}

static int no_ticket(uint64_t ticket)
{
    return tr_fail(TR_EINVAL, "there is no request 0x%lx: it has ended",
                   (unsigned long)ticket);
}

/* How long to wait for the reply to one request; whether that ends it. */
static bool until_deadline(struct replying *replying, int64_t *timeout_ns)
{
    int64_t left;

    if (!pending_look(replying->inbox, replying->ticket, &replying->asking) ||
        replying->asking.deadline_ns == INT64_MAX)
        return false;
    left = replying->asking.deadline_ns - os->now_ns();
    left = left < 0 ? 0 : left;
    if (*timeout_ns >= 0 && *timeout_ns < left)
        return false;
    *timeout_ns = left;
    return true;
}

static int overdue(struct replying *replying)
{
    int code = tr_fail(TR_ETIMEDOUT, "no reply to request 0x%lx by its deadline",
                       (unsigned long)replying->ticket);

    explain_end(replying->inbox, replying->ticket, &replying->asking);
    return code;
}

static int explain_wait(struct replying *replying, int result)
{
    struct tr_arena *arena = replying->inbox->arena;
    int code = tr_fail_wait(result, "no reply to request 0x%lx yet",
                            (unsigned long)replying->ticket);

    if (result != -ETIMEDOUT ||
        !pending_look(replying->inbox, replying->ticket, &replying->asking))
        return code;
    request_explain_one(arena, replying->asking.slot,
                        route_of(replying->inbox, replying->ticket));
    request_explain_service(arena, replying->asking.channel);
    return code;
}

int tr_request_wait(tr_arena *arena, uint64_t ticket, int64_t timeout_ns,
                    tr_message **reply)
{
    struct replying replying = {.ticket = ticket};
    int result = enter(arena, "reply wait", timeout_ns, &replying.inbox);
    bool last;

    if (result == 0 && !reply)
        result = null_fail("reply wait", "reply");
    if (reply)
        *reply = NULL;
    if (result != 0)
        return result;
    result = try_take(&replying);
    if (result == -EAGAIN) {
        last = until_deadline(&replying, &timeout_ns);
        result = await(&replying, timeout_ns);
        if (last && (result == -EAGAIN || result == -ETIMEDOUT) &&
            pending_close(replying.inbox, ticket))
            return overdue(&replying);
    }
    if (result == -ESTALE)
        return no_ticket(ticket);
    if (result < 0)
        return explain_wait(&replying, result);
    return open_reply(replying.inbox, replying.slot, reply);
}

/* Sleep on the inbox, and not beyond the first deadline. */
struct sleeping {
    struct sleeper base;
    struct inbox *inbox;
    uint32_t seen;
};

static void announce(struct sleeper *self)
{
    struct sleeping *sleeping = (struct sleeping *)self;

    sleeping->seen = wake_announce(&sleeping->inbox->queue->ring.channel->items);
}

static int sleep_until_due(struct sleeper *self, int64_t until_ns)
{
    struct sleeping *sleeping = (struct sleeping *)self;
    _Atomic uint32_t *word = &sleeping->inbox->queue->ring.channel->items;
    int64_t due = atomic_load(&sleeping->inbox->soonest_ns);

    return os->futex_wait(word, sleeping->seen, due < until_ns ? due : until_ns);
}

int tr_request_next(tr_arena *given, int64_t timeout_ns, uint64_t *ticket,
                    tr_message **reply)
{
    struct replying replying = {.ticket = 0};
    struct sleeping sleeping = {.base = {.announce = announce, .sleep = sleep_until_due}};
    int result = enter(given, "reply next", timeout_ns, &replying.inbox);
    struct tr_arena *arena;

    if (result == 0 && (!reply || !ticket))
        result = null_fail("reply next", reply ? "ticket" : "reply");
    if (reply)
        *reply = NULL;
    if (ticket)
        *ticket = 0;
    if (result != 0)
        return result;
    arena = replying.inbox->arena;
    sleeping.inbox = replying.inbox;
    arena_check_liveness(arena);
    result = wait_with(&arena->self, &sleeping.base, try_take_any, &replying, timeout_ns);
    if (result == 0 || result == -ETIME)
        *ticket = replying.ticket;
    if (result == -ETIME)
        return overdue(&replying);
    if (result < 0)
        return tr_fail_wait(result, "no request has ended");
    return open_reply(replying.inbox, replying.slot, reply);
}

int tr_request_cancel(tr_arena *given, uint64_t ticket)
{
    struct tr_arena *arena;
    struct inbox *inbox;
    int result = arena_open(given, "cancel", &arena);

    if (result < 0)
        return result;
    inbox = inbox_there(arena);
    return inbox && cancel(inbox, ticket) ? 0 : no_ticket(ticket);
}
