/* SPDX-License-Identifier: MIT */
#include "tests/explore/request_ops.h"

#include <errno.h>

#include "ipc/participant.h"
#include "ipc/request.h"
#include "ipc/wait.h"
#include "tests/explore/queue_ops.h"

enum { ASKED, INBOX, OTHER, CHANNELS };

static struct ring sights[ACTORS + 1][CHANNELS];
static struct ring *const own = sights[ACTORS]; /* the auditor's */

struct attempt {
    struct actor *actor;
    struct ring *ring;
    struct route route;
    uint32_t slot;
};

void request_build(const struct scenario *scenario)
{
    for (uint32_t i = 0; i < world.view.geo.channel_count; i++) {
        char name[CHANNEL_NAME];

        if (CHANNEL_STATE(channel_word(&world.view, i)) != CHANNEL_READY)
            continue;
        channel_name(&world.view, i, name);
        if (name[0] - 'a' == INBOX) /* what its owner had in hand is for nobody else */
            shm_put(&view_channel(&world.view, i)->policy, 1);
        for (uint32_t a = 0; a <= ACTORS; a++)
            if (channel_ring(&world.view, i, &sights[a][name[0] - 'a']) == 0)
                world_local(&sights[a][name[0] - 'a'].passed);
    }
    shm_put(&own[INBOX].channel->extra[INBOX_OWNER], 1);
    shm_put(&view_participant(&world.view, 0)->inbox, own[INBOX].index + 1);
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

    return slot_loan(&attempt->actor->peer, 0, &attempt->slot);
}

static int try_put(void *context)
{
    struct attempt *attempt = context;

    return ring_put(attempt->ring, &attempt->actor->peer, attempt->slot);
}

static int try_take(void *context)
{
    struct attempt *attempt = context;

    return ring_take(attempt->ring, &attempt->actor->peer, &attempt->slot);
}

static int try_answer(void *context)
{
    struct attempt *attempt = context;

    return request_answer(&attempt->actor->peer, &attempt->route, attempt->slot);
}

static int try_borrow(void *context)
{
    struct attempt *attempt = context;
    int result = slot_loan(&attempt->actor->peer, 0, &attempt->slot);

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
    int result = wait_for(&me->peer, word, try, attempt, timeout_ns);

    if (result == 0)
        me->slot = attempt->slot + 1;
    return result;
}

/* What came to the inbox. */
static void open_reply(struct actor *me, uint32_t slot, uint64_t ticket)
{
    struct slot_record *record = record_of(slot);
    uint64_t route = shm_get(&record->reply_to);

    if (!slot_is(shm_get(&record->owner), SLOT_RECEIVED, &me->peer))
        engine_fail("a reply that another holds");
    if (ROUTE_TICKET(route) != ticket)
        engine_fail("a reply to another request");
    if (WHERE_CHANNEL(where_now(record)) == own[INBOX].index)
        world.notes.taken[ticket - 1]++;
    else
        world.notes.maybe[ticket - 1]++; /* no reply: the server died */
}

void do_ask(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me, .ring = &sights[me->index][ASKED]};
    uint64_t ticket = op->a + 1;

    me->receiving = 1;
    until(me, &view_live(&world.view)->classes[0].freed, try_loan, &attempt, -1);
    shm_put(&record_of(attempt.slot)->correlation_id, op->a);
    shm_put(&record_of(attempt.slot)->reply_to, route_word(own[INBOX].index, ticket));
    world.notes.sent[op->a] = 1;
    until(me, &own[ASKED].channel->room, try_put, &attempt, -1);
    me->slot = 0;
    world.notes.sent[op->a] = 2;
    me->receiving = 2; /* waits for a reply */
    attempt.ring = &sights[me->index][INBOX];
    until(me, &own[INBOX].channel->items, try_take, &attempt, -1);
    open_reply(me, attempt.slot, ticket);
    me->receiving = 0;
    slot_free(&me->peer, attempt.slot);
    me->slot = 0;
}

/* The request is ours, in the hand; the reply goes into @p slot. */
static void answer(struct actor *me, uint32_t request, uint32_t slot, uint64_t route)
{
    struct attempt attempt = {.actor = me, .slot = slot};

    if (!route_read(&world.view, route, &attempt.route))
        engine_fail("where a request came from breaks a rule");
    if (slot != request)
        shm_put(&record_of(slot)->reply_to, route);
    if (wait_for(&me->peer, &own[INBOX].channel->room, try_answer, &attempt, 0) ==
        -EAGAIN)
        slot_free(&me->peer, slot);
    if (slot != request)
        slot_free(&me->peer, request);
    me->slot = 0;
    me->hand = 0;
}

static void serve(struct actor *me, const struct op *op, int64_t timeout_ns)
{
    struct attempt attempt = {.actor = me, .ring = &sights[me->index][ASKED]};
    struct slot_record *record;
    uint32_t request;
    uint64_t route;

    if (until(me, &own[ASKED].channel->items, try_take, &attempt, timeout_ns) != 0)
        return;
    request = attempt.slot;
    record = record_of(request);
    route = shm_get(&record->reply_to);
    engine_note(me, route);
    if (!slot_is(shm_get(&record->owner), SLOT_RECEIVED, &me->peer))
        engine_fail("a request that another holds");
    if (route & ROUTE_SPOILT)
        engine_fail("a request that another has begun to overwrite");
    me->hand = (uint8_t)(shm_get(&record->correlation_id) + 1);
    if (op->a == 0 && wait_for(&me->peer, &view_live(&world.view)->classes[0].freed,
                               try_loan, &attempt, 0) == 0) {
        answer(me, request, attempt.slot, route);
        return;
    }
    shm_put(&record->reply_to, route | ROUTE_SPOILT);
    STEP(&record->reply_to, SHM_STORE);
    answer(me, request, request, route | ROUTE_SPOILT);
}

void do_serve(struct actor *me, const struct op *op)
{
    serve(me, op, -1);
}

void do_try_serve(struct actor *me, const struct op *op)
{
    serve(me, op, 0);
}

/* Somebody who has nothing to do with it, and to whom a slot comes that was in use. */
void do_borrow(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me, .ring = &sights[me->index][OTHER]};
    struct slot_record *record;

    if (wait_for(&me->peer, &view_live(&world.view)->classes[0].freed, try_borrow,
                 &attempt, 0) != 0)
        return;
    record = record_of(attempt.slot);
    shm_put(&record->correlation_id, op->a);
    STEP(&record->owner, SHM_LOAD);
    if (!slot_is(shm_get(&record->owner), SLOT_LOANED, &me->peer))
        engine_fail("a loan was taken away");
    world.notes.sent[op->a] = 1;
    if (wait_for(&me->peer, &own[OTHER].channel->room, try_put, &attempt, 0) != 0)
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
            WHERE_CHANNEL(where_now(record)) == own[ASKED].index &&
            shm_get(&record->correlation_id) == message &&
            (SLOT_STATE(word) == SLOT_QUEUED ||
             orphan_channel(&world.view, s, word) != own[INBOX].index))
            return true;
    }
    return false;
}

static const char *check_client(const struct actor *client)
{
    const struct op *op = &client->program[client->pc];

    if (client->status == ASLEEP && client->receiving == 2) {
        if (ring_readable(&own[INBOX]) == 0)
            return "a requester sleeps beside its reply";
        if (!under_way(op->a))
            return "a requester waits for what nobody has";
    }
    if (client->status != DEAD)
        return NULL;
    for (uint32_t s = 0; s < world.view.geo.slot_count; s++) {
        uint64_t word = shm_get(&record_of(s)->owner);

        if ((SLOT_STATE(word) == SLOT_QUEUED &&
             WHERE_CHANNEL(where_now(record_of(s))) == own[INBOX].index) ||
            (SLOT_STATE(word) == SLOT_ORPHAN &&
             orphan_channel(&world.view, s, word) == own[INBOX].index))
            return "a dead one's reply stays behind";
    }
    return NULL;
}

static const char *drain(void)
{
    uint32_t slot, borrowed = 0, expected = 0;

    for (uint32_t m = 4; m < MESSAGES; m++)
        expected += world.notes.sent[m] == 2;
    for (uint32_t c = 0; c < CHANNELS; c++)
        while (ring_take(&own[c], &world.auditor, &slot) == 0) {
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
