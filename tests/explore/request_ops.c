/* SPDX-License-Identifier: MIT */
#include "tests/explore/request_ops.h"

#include <errno.h>
#include <stdlib.h>

#include "ipc/exchange/orphan.h"
#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/request.h"
#include "ipc/exchange/slot.h"
#include "ipc/liveness/participant.h"
#include "ipc/wait/wait.h"
#include "tests/explore/queue_ops.h"

enum { ASKED, INBOX, OTHER, CHANNELS };

static struct ring snapshots[ACTORS + 1][CHANNELS];
static struct ring *const own = snapshots[ACTORS]; /* the auditor's */

static _Atomic uint64_t *tickets; /* of the inbox */

struct attempt {
    struct actor *actor;
    struct ring *ring;
    uint32_t slot;
};

void request_build(const struct scenario *scenario)
{
    struct self client = {.view = &world.view, .who = 0, .inc = 1};

    for (uint32_t i = 0; i < world.view.geo.channel_count; i++) {
        char name[CHANNEL_NAME];

        if (CHANNEL_STATE(channel_word(&world.view, i)) != CHANNEL_READY)
            continue;
        channel_name(&world.view, i, name);
        if (name[0] - 'a' == INBOX) /* what its owner held is for nobody else */
            shm_put(&view_channel(&world.view, i)->policy, 1);
        for (uint32_t a = 0; a <= ACTORS; a++)
            if (channel_ring(&world.view, i, &snapshots[a][name[0] - 'a']) == 0)
                world_local(&snapshots[a][name[0] - 'a'].passed);
    }
    tickets = inbox_own(&client, own[INBOX].index, scenario->tickets);
    if (!tickets) /* a scenario without tickets */
        abort();
    for (uint32_t i = 0; i < scenario->slots; i++)
        world_watch(&view_record(&world.view, i)->reply_to);
}

static struct slot_record *record_of(uint32_t slot)
{
    return view_record(&world.view, slot);
}

static int try_loan(void *context)
{
    struct attempt *attempt = context;

    return slot_loan(&attempt->actor->self, 0, &attempt->slot);
}

static int try_put(void *context)
{
    struct attempt *attempt = context;

    return ring_put(attempt->ring, &attempt->actor->self, attempt->slot);
}

static int try_take(void *context)
{
    struct attempt *attempt = context;

    return ring_take(attempt->ring, &attempt->actor->self, &attempt->slot);
}

static int try_borrow(void *context)
{
    struct attempt *attempt = context;
    int result = slot_loan(&attempt->actor->self, 0, &attempt->slot);

    if (result == 0) {
        shm_put(&record_of(attempt->slot)->reply_to, 0);
        attempt->actor->slot = attempt->slot + 1;
    }
    return result;
}

/* 0 or -EAGAIN */
static int until(struct actor *me, _Atomic uint32_t *word, wait_try *try,
                 struct attempt *attempt, int64_t timeout_ns)
{
    int result = wait_for(&me->self, word, try, attempt, timeout_ns);

    if (result == 0)
        me->slot = attempt->slot + 1;
    return result;
}

static _Atomic uint64_t *word_of(uint64_t ticket)
{
    return &tickets[ticket % world.scenario->tickets];
}

/* What came to the inbox is in me->slot: whether it is for @p ticket. It is given back. */
static bool open_reply(struct actor *me, uint64_t ticket)
{
    uint32_t slot = me->slot - 1;
    struct slot_record *record = record_of(slot);
    bool ours = ROUTE_TICKET(shm_get(&record->reply_to)) == ticket;

    if (!slot_is(shm_get(&record->owner), SLOT_RECEIVED, &me->self))
        engine_fail("a reply that another holds");
    if (ours && LOCATION_CHANNEL(location_now(record)) == own[INBOX].index)
        world.notes.taken[ticket - 1]++;
    else if (ours)
        world.notes.maybe[ticket - 1]++; /* no reply: the server died */
    if (ours)
        /* relaxed: as in inbox.c. */
        shm_store(word_of(ticket), TICKET_OVER(ticket), memory_order_relaxed);
    slot_free(&me->self, slot);
    me->slot = 0;
    return ours;
}

static void ask(struct actor *me, const struct op *op, struct attempt *attempt)
{
    uint64_t ticket = op->a + 1;

    me->receiving = 1;
    until(me, &view_live(&world.view)->classes[0].freed, try_loan, attempt, -1);
    shm_put(&record_of(attempt->slot)->correlation_id, op->a);
    shm_put(&record_of(attempt->slot)->reply_to, route_word(own[INBOX].index, ticket));
    /* relaxed: as in inbox.c. */
    shm_store(word_of(ticket), TICKET_WAITS(ticket), memory_order_relaxed);
    world.notes.sent[op->a] = 1;
    until(me, &own[ASKED].channel->room, try_put, attempt, -1);
    me->slot = 0;
    world.notes.sent[op->a] = 2;
    attempt->ring = &snapshots[me->index][INBOX];
}

void do_ask(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me, .ring = &snapshots[me->index][ASKED]};

    ask(me, op, &attempt);
    me->receiving = 2; /* waits for a reply */
    do
        until(me, &own[INBOX].channel->items, try_take, &attempt, -1);
    while (!open_reply(me, op->a + 1));
    me->receiving = 0;
}

struct giving_up {
    struct attempt attempt;
    uint64_t ticket;
};

static void drain_inbox(void *context)
{
    struct giving_up *up = context;
    struct actor *me = up->attempt.actor;

    while (until(me, &own[INBOX].channel->items, try_take, &up->attempt, 0) == 0)
        (void)open_reply(me, up->ticket);
}

/* Ask, and soon stop waiting. */
void do_ask_briefly(struct actor *me, const struct op *op)
{
    struct giving_up up = {{.actor = me, .ring = &snapshots[me->index][ASKED]},
                           op->a + 1};
    uint32_t request;

    ask(me, op, &up.attempt);
    request = up.attempt.slot;
    me->receiving = 0;
    while (until(me, &own[INBOX].channel->items, try_take, &up.attempt, 0) == 0)
        if (open_reply(me, up.ticket))
            return;
    ticket_give_up(word_of(up.ticket), drain_inbox, &up);
    (void)request_retract(&world.view, request, route_word(own[INBOX].index, up.ticket));
}

/* An actor that needs memory. */
void do_need(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me};

    (void)op;
    me->receiving = 3;
    until(me, &view_live(&world.view)->classes[0].freed, try_loan, &attempt, -1);
    me->receiving = 0;
    shm_put(&record_of(attempt.slot)->reply_to, 0);
    slot_free(&me->self, attempt.slot);
    me->slot = 0;
}

/* Be another thread of participant op->a from here on. */
void do_be_thread(struct actor *me, const struct op *op)
{
    shm_put(&view_participant(&world.view, me->self.who)->word,
            participant_word(PARTICIPANT_FREE, me->self.inc));
    me->self.who = op->a;
}

/* We hold the request; the reply goes into @p slot. */
static void answer(struct actor *me, uint32_t request, uint32_t slot, uint64_t word)
{
    struct route route;

    if (!route_read(&world.view, word, &route))
        engine_fail("where a request came from is corrupted");
    if (slot != request)
        shm_put(&record_of(slot)->reply_to, word);
    (void)request_answer(&me->self, &route, slot);
    if (slot != request)
        slot_free(&me->self, request);
    me->slot = 0;
    me->hand = 0;
}

static void serve(struct actor *me, const struct op *op, int64_t timeout_ns)
{
    struct attempt attempt = {.actor = me, .ring = &snapshots[me->index][ASKED]};
    struct slot_record *record;
    uint32_t request;
    uint64_t route;

    if (until(me, &own[ASKED].channel->items, try_take, &attempt, timeout_ns) != 0)
        return;
    request = attempt.slot;
    record = record_of(request);
    route = shm_get(&record->reply_to);
    engine_note(me, route);
    if (!slot_is(shm_get(&record->owner), SLOT_RECEIVED, &me->self))
        engine_fail("a request that another holds");
    if (route & ROUTE_NO_REDELIVER)
        engine_fail("a request that another has begun to overwrite");
    me->hand = (uint8_t)(shm_get(&record->correlation_id) + 1);
    if (op->a == 0 && wait_for(&me->self, &view_live(&world.view)->classes[0].freed,
                               try_loan, &attempt, 0) == 0) {
        answer(me, request, attempt.slot, route);
        return;
    }
    shm_put(&record->reply_to, route | ROUTE_NO_REDELIVER);
    STEP(&record->reply_to, SHM_STORE);
    answer(me, request, request, route | ROUTE_NO_REDELIVER);
}

void do_serve(struct actor *me, const struct op *op)
{
    serve(me, op, -1);
}

void do_try_serve(struct actor *me, const struct op *op)
{
    serve(me, op, 0);
}

/* A bystander that gets a slot which was in use. */
void do_borrow(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me, .ring = &snapshots[me->index][OTHER]};
    struct slot_record *record;

    if (wait_for(&me->self, &view_live(&world.view)->classes[0].freed, try_borrow,
                 &attempt, 0) != 0)
        return;
    record = record_of(attempt.slot);
    shm_put(&record->correlation_id, op->a);
    STEP(&record->owner, SHM_LOAD);
    if (!slot_is(shm_get(&record->owner), SLOT_LOANED, &me->self))
        engine_fail("a loan was taken away");
    world.notes.sent[op->a] = 1;
    if (wait_for(&me->self, &own[OTHER].channel->room, try_put, &attempt, 0) != 0)
        engine_fail("an empty queue has no room");
    me->slot = 0;
    world.notes.sent[op->a] = 2;
}

void request_killed(struct actor *actor)
{
    (void)actor;
}

/* Somebody alive has the request in hand, or it waits to be received. */
static bool under_way(uint64_t message)
{
    for (uint32_t s = 0; s < world.view.geo.slot_count; s++) {
        struct slot_record *record = record_of(s);
        uint64_t word = shm_get(&record->owner);

        if ((SLOT_STATE(word) == SLOT_QUEUED || SLOT_STATE(word) == SLOT_ORPHAN) &&
            LOCATION_CHANNEL(location_now(record)) == own[ASKED].index &&
            shm_get(&record->correlation_id) == message &&
            (SLOT_STATE(word) == SLOT_QUEUED ||
             orphan_channel(&world.view, s, word) != own[INBOX].index))
            return true;
    }
    return false;
}

/* A reply, or a notice, that lies in the inbox. */
static bool lies_there(uint32_t s)
{
    uint64_t word = shm_get(&record_of(s)->owner);

    return (SLOT_STATE(word) == SLOT_QUEUED &&
            LOCATION_CHANNEL(location_now(record_of(s))) == own[INBOX].index) ||
           (SLOT_STATE(word) == SLOT_ORPHAN &&
            orphan_channel(&world.view, s, word) == own[INBOX].index);
}

static const char *check_client(const struct actor *client)
{
    const struct op *op = &client->program[client->pc];

    if (client->status == ASLEEP && client->receiving == 2) {
        if (ring_readable(&own[INBOX]) == 0)
            return "a requester sleeps beside its reply";
        if (!under_way(op->a))
            return "a requester waits for what nobody has";
        return NULL;
    }
    for (uint32_t s = 0; s < world.view.geo.slot_count; s++) {
        if (client->status == DEAD && lies_there(s))
            return "a dead one's reply stays behind";
        if (client->status == DONE && !world.notes.killed && lies_there(s))
            return "a reply that nobody waits for stays behind";
    }
    return NULL;
}

/* Somebody sleeps for a slot, and there is one. */
static const char *check_needy(void)
{
    bool needy = false;
    uint32_t slot;

    for (uint32_t i = 0; i < world.actor_count; i++)
        needy |= world.actors[i].status == ASLEEP && world.actors[i].receiving == 3;
    return needy && slot_loan(&world.auditor, 0, &slot) == 0 ? "a sleeper beside memory"
                                                             : NULL;
}

/* What is in the inbox is its owner's, or nobody's. */
static const char *drain(void)
{
    uint32_t slot, borrowed = 0, expected = 0;

    for (uint32_t m = 4; m < MESSAGES; m++)
        expected += world.notes.sent[m] == 2;
    for (uint32_t c = 0; c < CHANNELS; c++)
        while (c != INBOX && ring_take(&own[c], &world.auditor, &slot) == 0) {
            borrowed += c == OTHER && shm_get(&record_of(slot)->correlation_id) >= 4;
            slot_free(&world.auditor, slot);
        }
    return borrowed >= expected ? NULL : "another's message is lost";
}

const char *request_check(const struct scenario *scenario)
{
    const char *why = check_client(&world.actors[0]);
    uint32_t slot, got = 0, held = 0;

    if (!why && engine_something_dead())
        why = "a dead one that nobody reaps";
    if (!why)
        why = check_needy();
    if (!why)
        why = drain();
    if (why)
        return why;
    for (uint32_t m = 0; m < 4; m++)
        if (world.notes.taken[m] + world.notes.maybe[m] > 1)
            return "two answers to one request";
    for (uint32_t i = 0; i < world.actor_count; i++)
        held += world.actors[i].status != DEAD && world.actors[i].slot != 0;
    while (slot_loan(&world.auditor, 0, &slot) == 0)
        got++;
    return got + held == scenario->slots ? NULL : "a slot leaked";
}
