/* SPDX-License-Identifier: MIT */
#include "tests/explore/queue_ops.h"

#include <errno.h>

#include "ipc/exchange/channel.h"
#include "ipc/exchange/reclaim.h"
#include "ipc/exchange/ring.h"
#include "ipc/exchange/slot.h"
#include "ipc/liveness/participant.h"
#include "ipc/liveness/reap.h"
#include "ipc/wait/wait.h"

#define CHANNELS 3

/* A view of each channel for each actor, and the auditor's. */
static struct ring snapshots[ACTORS + 1][CHANNELS];
static struct ring *const rings = snapshots[ACTORS];

struct attempt {
    struct actor *actor;
    struct ring *ring;
};

/* Turns that end soon: the next message begins the turn that cells know as 0. Slot 0 was
 * there last. */
static void make_late(struct ring *ring)
{
    uint64_t turns = UINT64_C(1) << 43, at = (turns - 1) * ring->capacity;

    for (uint32_t i = 0; i < ring->capacity; i++)
        shm_put(&ring->cells[i], (turns - 1) << 21);
    shm_put(&ring->channel->head, at);
    shm_put(&ring->channel->tail, at);
}

void queue_build(const struct scenario *scenario)
{
    for (uint32_t i = 0, found = 0; i < world.view.geo.channel_count; i++) {
        char name[CHANNEL_NAME];

        if (CHANNEL_STATE(channel_word(&world.view, i)) != CHANNEL_READY)
            continue;
        channel_name(&world.view, i, name);
        for (uint32_t a = 0; a <= ACTORS; a++) {
            struct ring *ring = &snapshots[a][name[0] - 'a'];

            if (channel_ring(&world.view, i, ring) == 0)
                world_local(&ring->passed);
        }
        if (scenario->late)
            make_late(&rings[name[0] - 'a']);
        found++;
        if (found == scenario->channels)
            break;
    }
}

static int try_loan(void *context)
{
    struct actor *me = ((struct attempt *)context)->actor;
    uint32_t slot;
    int result = slot_loan(&me->self, 0, &slot);

    if (result == 0)
        me->slot = slot + 1;
    return result;
}

static int try_put(void *context)
{
    struct attempt *attempt = context;

    return ring_put(attempt->ring, &attempt->actor->self, attempt->actor->slot - 1);
}

static int try_take(void *context)
{
    struct attempt *attempt = context;
    uint32_t slot;
    int result = ring_take(attempt->ring, &attempt->actor->self, &slot);

    if (result == 0)
        attempt->actor->slot = slot + 1;
    return result;
}

struct ring *queue_ring(const struct actor *me, uint32_t channel)
{
    return &snapshots[me->index][channel];
}

bool queue_loan(struct actor *me, uint32_t message, int64_t timeout_ns)
{
    struct attempt attempt = {.actor = me};
    struct slot_record *record;

    if (wait_for(&me->self, &view_live(&world.view)->classes[0].freed, try_loan, &attempt,
                 timeout_ns) != 0)
        return false;
    record = view_record(&world.view, me->slot - 1);
    if (!slot_is(shm_get(&record->owner), SLOT_LOANED, &me->self))
        engine_fail("a loan that another holds");
    shm_put(&record->correlation_id, message);
    return true;
}

void queue_sending(const struct actor *me, uint32_t channel, uint32_t message)
{
    world.notes.from[message] = (uint8_t)me->index;
    world.notes.to[message] = (uint8_t)channel;
    world.notes.sent[message] = 1;
}

void queue_sent(struct actor *me, uint32_t message, bool sent)
{
    world.notes.sent[message] = sent ? 2 : 3;
    if (!sent) {
        if (!slot_is(shm_get(&view_record(&world.view, me->slot - 1)->owner), SLOT_LOANED,
                     &me->self))
            engine_fail("a failed send changed the holder of the slot");
        slot_free(&me->self, me->slot - 1);
    }
    me->slot = 0;
}

static void send(struct actor *me, const struct op *op, int64_t timeout_ns)
{
    struct attempt attempt = {.actor = me, .ring = queue_ring(me, op->a)};

    if (!queue_loan(me, op->b, timeout_ns))
        return;
    queue_sending(me, op->a, op->b);
    queue_sent(me, op->b,
               wait_for(&me->self, &rings[op->a].channel->room, try_put, &attempt,
                        timeout_ns) == 0);
}

static int try_loan_for(void *context)
{
    struct attempt *attempt = context;
    int result = try_loan(context);

    return result == -EAGAIN && channel_is_closed(attempt->ring->channel) ? -ESHUTDOWN
                                                                          : result;
}

void do_loan_for(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me, .ring = queue_ring(me, op->a)};

    if (wait_for(&me->self, &view_live(&world.view)->classes[0].freed, try_loan_for,
                 &attempt, -1) == 0)
        slot_free(&me->self, me->slot - 1);
    me->slot = 0;
}

void do_send(struct actor *me, const struct op *op)
{
    send(me, op, -1);
}

void do_try_send(struct actor *me, const struct op *op)
{
    send(me, op, 0);
}

/* No step, as checks need it. */
uint64_t location_now(struct slot_record *record)
{
    return shm_get(slot_location_word(record, SLOT_GENERATION(shm_get(&record->owner))));
}

/* What came. */
static void note(struct actor *me, uint32_t channel)
{
    struct slot_record *record = view_record(&world.view, me->slot - 1);
    uint64_t message = shm_get(&record->correlation_id);

    if (!slot_is(shm_get(&record->owner), SLOT_RECEIVED, &me->self))
        engine_fail("a received message that another holds");
    if (LOCATION_CHANNEL(location_now(record)) != rings[channel].index)
        engine_fail("a message of another channel");
    if (message >= MESSAGES)
        engine_fail("a message that nobody wrote");
    me->hand = (uint8_t)(message + 1);
}

static int has_more(void *context)
{
    return ring_readable(((struct attempt *)context)->ring);
}

static bool take(struct actor *me, uint32_t channel, int64_t timeout_ns)
{
    static const struct wait_taking taking = {.take = try_take, .more = has_more};
    struct attempt attempt = {.actor = me, .ring = queue_ring(me, channel)};
    int result;

    me->receiving = 1;
    result = wait_to_take(&me->self, &rings[channel].channel->items, &taking, &attempt,
                          timeout_ns);
    me->receiving = 0;
    if (result == -ESHUTDOWN)
        world.notes.ended |= (uint8_t)(1u << channel);
    if (result == 0)
        note(me, channel);
    return result == 0;
}

static void consume(struct actor *me)
{
    uint8_t message = (uint8_t)(me->hand - 1);
    uint32_t shift = 8u * world.notes.from[message];

    /* Messages of one sender have rising numbers; only a death may turn them round. */
    if (!world.notes.killed && message + 1u <= (me->note >> shift & 0xff))
        engine_fail("out of order");
    me->note &= ~(UINT64_C(0xff) << shift);
    me->note |= (message + UINT64_C(1)) << shift;
    world.notes.taken[message]++;
}

static void release(struct actor *me)
{
    me->giving = 1;
    slot_free(&me->self, me->slot - 1);
    me->slot = 0;
    me->hand = 0;
    me->giving = 0;
}

void queue_took(struct actor *me, uint32_t channel, uint32_t slot)
{
    me->slot = slot + 1;
    note(me, channel);
    consume(me);
    release(me);
}

void do_receive(struct actor *me, const struct op *op)
{
    if (take(me, op->a, -1)) {
        consume(me);
        release(me);
    }
}

void do_try_receive(struct actor *me, const struct op *op)
{
    if (take(me, op->a, 0)) {
        consume(me);
        release(me);
    }
}

void do_keep(struct actor *me, const struct op *op)
{
    if (take(me, op->a, -1))
        consume(me);
}

/* What cannot be forwarded is consumed, as if it had been received. */
static void forward(struct actor *me, const struct op *op, int64_t timeout_ns)
{
    struct attempt attempt = {.actor = me, .ring = &snapshots[me->index][op->b]};
    uint8_t hand;

    if (!take(me, op->a, timeout_ns))
        return;
    hand = me->hand;
    world.notes.to[hand - 1] = 255;
    me->hand = 0; /* from here on it is in a channel, or with a dead actor */
    if (wait_for(&me->self, &rings[op->b].channel->room, try_put, &attempt, timeout_ns) !=
        0) {
        me->hand = hand;
        note(me, op->a);
        consume(me);
        release(me);
    }
    me->slot = 0;
}

void do_forward(struct actor *me, const struct op *op)
{
    forward(me, op, -1);
}

void do_try_forward(struct actor *me, const struct op *op)
{
    forward(me, op, 0);
}

void do_close(struct actor *me, const struct op *op)
{
    ring_close(queue_ring(me, op->a));
}

void do_reap(struct actor *me, const struct op *op)
{
    struct reap_report report = {0};

    (void)op;
    engine_watch(me);
    if (reap_all(&me->self, &report) < 0)
        engine_fail("a corrupted entry");
}

void do_leave(struct actor *me, const struct op *op)
{
    (void)op;
    reap_self(&me->self);
    me->joined = false;
    me->slot = 0;
}

/* A newcomer: takes the lock of a free entry, as participant_join() does. */
void do_rejoin(struct actor *me, const struct op *op)
{
    (void)op;
    for (uint32_t i = 0; i < world.actor_count; i++) {
        uint64_t word = shm_load(&view_participant(&world.view, i)->word, E4_LOOK);
        bool held = false;

        for (uint32_t a = 0; a < world.actor_count; a++)
            held |= world.actors[a].joined && world.actors[a].status != DEAD &&
                    world.actors[a].self.who == i;
        if (PARTICIPANT_STATE(word) != PARTICIPANT_FREE || held)
            continue;
        me->self.who = i;
        me->joined = true;
        if (participant_enter(&me->self, i, word))
            return;
        me->joined = false;
    }
}

void queue_killed(struct actor *actor)
{
    if (actor->hand && actor->giving)
        world.notes.maybe[actor->hand - 1]++;
    else if (actor->hand)
        world.notes.owed[actor->hand - 1]++;
    if (actor->receiving)
        world.notes.cut++;
}

/* Every sleeper must have a reason. */
static const char *check_sleepers(void)
{
    for (uint32_t i = 0; i < world.actor_count; i++) {
        const struct actor *actor = &world.actors[i];
        const struct op *op = &actor->program[actor->pc];
        uint32_t busy = 0;

        if (actor->status != ASLEEP)
            continue;
        if (op->run == do_receive && ring_is_closed(&rings[op->a]))
            return "a receiver sleeps at a closed queue";
        for (uint32_t s = 0; s < world.view.geo.slot_count; s++) {
            struct slot_record *record = view_record(&world.view, s);
            enum slot_state state = SLOT_STATE(shm_get(&record->owner));
            uint64_t location = location_now(record);
            uint32_t channel = LOCATION_CHANNEL(location);

            if (!actor->slot && (op->run == do_send || op->run == do_try_send))
                busy += state != SLOT_FREE;
            else if (!actor->slot && channel == rings[op->a].index &&
                     (state == SLOT_QUEUED || state == SLOT_ORPHAN))
                return "a receiver sleeps beside a message";
            else if (actor->slot && state == SLOT_QUEUED &&
                     channel == rings[op->run == do_forward ? op->b : op->a].index)
                busy++;
        }
        if (!actor->slot && op->run == do_send && busy < world.view.geo.slot_count)
            return "a loaner sleeps beside a free slot";
        if (actor->slot && busy < world.scenario->capacity)
            return "a sender sleeps beside room";
    }
    return NULL;
}

static const char *drain(void)
{
    for (uint32_t c = 0; c < world.scenario->channels; c++) {
        uint32_t slot;

        while (ring_take(&rings[c], &world.auditor, &slot) == 0) {
            uint64_t message = shm_get(&view_record(&world.view, slot)->correlation_id);

            if (message >= MESSAGES)
                return "a message that nobody wrote";
            if (world.notes.to[message] != c && world.notes.to[message] != 255)
                return "a message of another channel";
            if (world.notes.ended >> c & 1 && world.notes.sent[message] == 2 &&
                SLOT_DELIVERIES(shm_get(&view_record(&world.view, slot)->owner)) == 0)
                return "a message that was sent after closed and empty";
            world.notes.taken[message]++;
            slot_free(&world.auditor, slot);
        }
    }
    return NULL;
}

static bool held_by_the_living(uint32_t slot, uint64_t word)
{
    for (uint32_t i = 0; i < world.actor_count; i++) {
        struct actor *actor = &world.actors[i];

        if (actor->status != DEAD && actor->slot == slot + 1 &&
            (slot_is(word, SLOT_LOANED, &actor->self) ||
             slot_is(word, SLOT_RECEIVED, &actor->self)))
            return true;
    }
    return false;
}

/* Nothing gets into a queue that is closed and empty. */
static const char *check_closed(struct ring *ring)
{
    uint32_t slot;

    if (ring_take(ring, &world.auditor, &slot) != -ESHUTDOWN)
        return "a closed queue that is empty does not say so";
    if (slot_loan(&world.auditor, 0, &slot) != 0)
        return NULL;
    if (ring_put(ring, &world.auditor, slot) != -ESHUTDOWN)
        return "a message gets into a closed queue";
    slot_free(&world.auditor, slot);
    return NULL;
}

/* Every channel still carries what it should, in order. */
static const char *check_service(void)
{
    uint32_t slots[64], n = 0, slot;

    for (uint32_t c = 0; c < world.scenario->channels; c++) {
        const char *why = ring_is_closed(&rings[c]) ? check_closed(&rings[c]) : NULL;

        if (why)
            return why;
        if (ring_is_closed(&rings[c]))
            continue;
        n = 0;
        while (n < world.scenario->capacity &&
               slot_loan(&world.auditor, 0, &slots[n]) == 0) {
            if (ring_put(&rings[c], &world.auditor, slots[n]) != 0)
                return "an empty queue has no room";
            n++;
        }
        for (uint32_t i = 0; i < n; i++) {
            if (ring_take(&rings[c], &world.auditor, &slot) != 0 || slot != slots[i])
                return "a queue does not give back what was put";
            slot_free(&world.auditor, slot);
        }
        if (ring_take(&rings[c], &world.auditor, &slot) == 0)
            return "a queue gives more than was put";
    }
    return NULL;
}

/* A forwarder that lives, perhaps asleep for want of room, has it. */
static void count_under_way(void)
{
    for (uint32_t i = 0; i < world.actor_count; i++) {
        const struct actor *actor = &world.actors[i];

        if (actor->status != DEAD && actor->slot &&
            (actor->program[actor->pc].run == do_forward ||
             actor->program[actor->pc].run == do_try_forward))
            world.notes.taken[shm_get(
                &view_record(&world.view, actor->slot - 1)->correlation_id)]++;
    }
}

static const char *check_messages(const struct scenario *scenario)
{
    bool drops = scenario->drop & 1 || scenario->max_deliveries == 1;

    count_under_way();

    for (uint32_t m = 0; m < MESSAGES; m++) {
        uint32_t taken = world.notes.taken[m], owed = drops ? 0 : world.notes.owed[m];
        uint32_t least = 1 + owed, most = 1 + owed + (drops ? 0 : world.notes.maybe[m]);

        if (world.notes.sent[m] != 2 && taken == 0)
            continue;
        if (world.notes.sent[m] == 3 || world.notes.sent[m] == 0)
            return "a message that was not sent";
        if (drops && world.notes.cut >= least)
            least = 0;
        if (taken < least)
            return "lost";
        if (taken > most)
            return "doubled";
    }
    return NULL;
}

const char *queue_check(const struct scenario *scenario)
{
    const char *why = check_sleepers();

    if (!why && engine_something_dead())
        return "a dead one that nobody reaps";
    if (!why)
        why = drain();
    for (uint32_t s = 0; !why && s < world.view.geo.slot_count; s++) {
        uint64_t word = shm_get(&view_record(&world.view, s)->owner);

        if (SLOT_STATE(word) != SLOT_FREE && !held_by_the_living(s, word))
            why = "a slot leaked";
    }
    if (!why)
        why = check_messages(scenario);
    return why ? why : check_service();
}
