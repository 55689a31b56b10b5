/* SPDX-License-Identifier: MIT */
#include "tests/explore/shared_ops.h"

#include <errno.h>

#include "ipc/exchange/board.h"
#include "ipc/exchange/broadcast.h"
#include "ipc/exchange/channel.h"
#include "ipc/exchange/reclaim.h"
#include "ipc/hash.h"
#include "ipc/signal/notify.h"
#include "ipc/wait/wait.h"

#define KEYS 2

static struct broadcast news;
static struct board board;
static uint64_t
    first; /* position of what is published first, or version of what is put */
static struct place places[ACTORS];
static struct board_name names[KEYS];

/* Laps that end soon: the next message begins the lap that cells know as 0. */
static void make_late(void)
{
    uint64_t laps = UINT64_C(1) << 42;

    first = (laps - 1) << news.shift;
    for (uint32_t i = 0; i < news.count; i++)
        shm_put(&news.cells[i], (laps - 1) << 22);
    shm_put(&news.channel->head, first);
    shm_put(&news.channel->tail, first);
}

void broadcast_build(const struct scenario *scenario)
{
    for (uint32_t i = 0; i < world.view.geo.channel_count; i++)
        if (CHANNEL_STATE(channel_word(&world.view, i)) == CHANNEL_READY &&
            broadcast_view(&world.view, i, &news) == 0)
            break;
    first = 0;
    if (scenario->late)
        make_late();
    world_watch(&news.channel->extra[BROADCAST_USED]);
    for (uint32_t i = 0; i < news.place_count; i++) {
        world_watch(&news.places[i].word);
        world_watch(&news.places[i].cursor);
        world_watch(&news.places[i].missed);
    }
}

/* The secret is known here: the second key can have the hash of the first and one word more. */
static void make_alike(const struct board_name *one, struct board_name *two)
{
    const uint64_t *secret = world.view.geo.secret;

    two->used = 2;
    two->words[0] = one->words[0] + 0x100;
    /* what goes into the last multiplication is the same */
    two->words[1] = hash_words((uint64_t[2]){secret[0] + 1, secret[1]}, two->words, 1) ^
                    (secret[0] + 1) ^ one->words[0];
}

void board_build(const struct scenario *scenario)
{
    for (uint32_t i = 0; i < world.view.geo.channel_count; i++)
        if (CHANNEL_STATE(channel_word(&world.view, i)) == CHANNEL_READY &&
            board_view(&world.view, i, &board) == 0)
            break;
    board_name("a", 1, &names[0]);
    board_name("b", 1, &names[1]);
    if (scenario->alike)
        make_alike(&names[0], &names[1]);
    first = scenario->late ? (UINT64_C(1) << 43) - 2 : 0;
    for (uint32_t i = 0; i < board.count; i++) {
        world_watch(&board.keys[i].word);
        world_watch(&board.keys[i].cell);
        world_watch(&board.keys[i].base);
        world_watch(&board.keys[i].key[0]);
        world_watch(&board.keys[i].key[1]);
        shm_put(&board.keys[i].cell, first << 21);
        /* so that it changes with the second put, and the cell's bits end with the third */
        shm_put(&board.keys[i].base, first ? first - BOARD_NEAR + 1 : 0);
        world_watch(board_group(&board, &board.keys[i]));
    }
}

struct attempt {
    struct actor *actor;
    struct board_key *key;
    struct board_value value;
    uint64_t position;
    struct taken taken;
};

static int try_loan(void *context)
{
    struct actor *me = ((struct attempt *)context)->actor;
    uint32_t slot;
    int result = slot_loan(&me->self, 0, &slot);

    if (result == 0)
        me->slot = slot + 1;
    return result;
}

static bool loan(struct actor *me, uint32_t message, int64_t timeout_ns)
{
    struct attempt attempt = {.actor = me};

    if (wait_for(&me->self, &view_live(&world.view)->classes[0].freed, try_loan, &attempt,
                 timeout_ns) != 0)
        return false;
    shm_put(&view_record(&world.view, me->slot - 1)->correlation_id, message);
    return true;
}

static int try_publish(void *context)
{
    struct attempt *attempt = context;

    return broadcast_put(&news, &attempt->actor->self, attempt->actor->slot - 1,
                         &attempt->position);
}

static void publish(struct actor *me, const struct op *op, int64_t timeout_ns)
{
    struct attempt attempt = {.actor = me};

    if (!loan(me, op->a, timeout_ns))
        return;
    world.notes.from[op->a] = (uint8_t)me->index;
    world.notes.sent[op->a] = 1;
    if (wait_for(&me->self, &news.channel->room, try_publish, &attempt, timeout_ns) ==
        0) {
        world.notes.sent[op->a] = 2;
    } else {
        world.notes.sent[op->a] = 3;
        slot_free(&me->self, me->slot - 1);
    }
    me->slot = 0;
}

void do_publish(struct actor *me, const struct op *op)
{
    publish(me, op, -1);
}

void do_try_publish(struct actor *me, const struct op *op)
{
    publish(me, op, 0);
}

void do_subscribe(struct actor *me, const struct op *op)
{
    struct place *place = &places[me->index];

    if (broadcast_subscribe(&news, &me->self, op->a, op->b, place) < 0)
        engine_fail("no place for a subscriber");
    /* place and all: what it starts with decides what comes next */
    me->note = (place->start - first) << 16 | place->index << 8 | 1;
}

/* What is pinned stays as it is while others work. */
static uint32_t read_pinned(struct actor *me, uint32_t slot)
{
    struct slot_record *record = view_record(&world.view, slot);
    uint64_t message = shm_get(&record->correlation_id);

    STEP(&record->owner, SHM_LOAD);
    engine_note(me, message);
    if (shm_get(&record->correlation_id) != message)
        engine_fail("a message changed under its reader");
    if (message >= MESSAGES || world.notes.sent[message] == 0)
        engine_fail("a message that nobody published");
    if (SLOT_STATE(shm_get(&record->owner)) == SLOT_FREE ||
        SLOT_STATE(shm_get(&record->owner)) == SLOT_LOANED)
        engine_fail("a slot was freed under its reader");
    return (uint32_t)message;
}

static void unpin(struct actor *me, const struct pin *pin)
{
    if (!shared_unpin(&me->self, pin))
        engine_fail("a pin was released by another");
}

static int try_listen(void *context)
{
    struct attempt *attempt = context;

    return broadcast_take(&news, &attempt->actor->self, &places[attempt->actor->index],
                          &attempt->taken);
}

/* The result of waiting for the next. */
static void hear(struct actor *me, const struct attempt *attempt, int result)
{
    struct place *place = &places[me->index];
    uint64_t position;
    uint32_t message;

    if (result == -ESHUTDOWN)
        world.notes.ended |= (uint8_t)(1u << me->index);
    if (result == -EOVERFLOW && place->policy == TR_LAG_BLOCK)
        engine_fail("a subscriber that blocks has missed something");
    if (result == -EBADMSG)
        engine_fail("a cell names a slot that is not shared");
    if (result != 0)
        return;
    message = read_pinned(me, attempt->taken.pin.slot);
    position = attempt->taken.position - first;
    /* Positions rise: bits 32-63 are the last, + 1. */
    if (position + 1 <= me->note >> 32)
        engine_fail("a message came again");
    if (place->policy == TR_LAG_BLOCK && me->note >> 32 && position != me->note >> 32)
        engine_fail("a message is missing");
    me->note = (me->note & UINT32_MAX) | (position + 1) << 32;
    world.notes.taken[message]++;
    unpin(me, &attempt->taken.pin);
}

static void listen(struct actor *me, int64_t timeout_ns)
{
    struct attempt attempt = {.actor = me};
    int result = wait_for(&me->self, &news.channel->items, try_listen, &attempt,
                          timeout_ns);

    hear(me, &attempt, result);
}

void do_listen(struct actor *me, const struct op *op)
{
    (void)op;
    listen(me, -1);
}

static void listen_news(struct actor *me)
{
    notify_listen(&me->self, &news.channel->items);
}

void do_ring_listen(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me};
    int result = listener_wait(me, (enum by)op->a, listen_news, try_listen, &attempt);

    hear(me, &attempt, result);
}

void do_try_listen(struct actor *me, const struct op *op)
{
    (void)op;
    listen(me, 0);
}

void do_close_news(struct actor *me, const struct op *op)
{
    (void)me;
    (void)op;
    broadcast_close(&news);
}

void do_put(struct actor *me, const struct op *op)
{
    uint64_t version = BOARD_ANY;
    struct board_key *key;

    if (!loan(me, op->b, 0))
        return;
    world.notes.to[op->b] = (uint8_t)op->a;
    world.notes.sent[op->b] = 1;
    key = board_claim(&board, &names[op->a]);
    if (!key)
        engine_fail("no room for a key");
    if (board_put(&board, &me->self, key, me->slot - 1, &version) != 0)
        engine_fail("a put that can't fail");
    world.notes.sent[op->b] = 2;
    me->slot = 0;
}

static void show(struct actor *me, uint32_t k, const struct board_value *value)
{
    uint32_t message = read_pinned(me, value->pin.slot), shift = 20 * k;
    uint64_t version = value->version - first;

    if (world.notes.to[message] != k)
        engine_fail("the value of another key");
    if (version < (me->note >> shift & 0xfffff))
        engine_fail("an older version after a newer one");
    me->note &= ~(UINT64_C(0xfffff) << shift);
    me->note |= version << shift;
    world.notes.taken[message] = 1;
    unpin(me, &value->pin);
}

void do_get(struct actor *me, const struct op *op)
{
    struct board_key *key = board_find(&board, &names[op->a]);
    struct board_value value;
    int result = key ? board_get(&board, &me->self, key, &value) : -ENOENT;

    if (result == -EBADMSG)
        engine_fail("a cell names a slot that is not shared");
    if (result == 0)
        show(me, op->a, &value);
}

static int try_newer(void *context)
{
    struct attempt *attempt = context;
    struct actor *me = attempt->actor;
    uint32_t shift = 20 * me->program[me->pc].a;
    int result = board_get(&board, &me->self, attempt->key, &attempt->value);

    if (result == -ENOENT)
        return -EAGAIN;
    if (result == 0 && attempt->value.version - first <= (me->note >> shift & 0xfffff)) {
        shared_unpin(&me->self, &attempt->value.pin);
        return -EAGAIN;
    }
    return result;
}

void do_await(struct actor *me, const struct op *op)
{
    struct attempt attempt = {.actor = me, .key = board_claim(&board, &names[op->a])};

    if (!attempt.key)
        engine_fail("no room for a key");
    if (wait_for(&me->self, board_group(&board, attempt.key), try_newer, &attempt, -1) !=
        0)
        engine_fail("a wait without end ended");
    show(me, op->a, &attempt.value);
}

void do_delete(struct actor *me, const struct op *op)
{
    struct board_key *key = board_find(&board, &names[op->a]);
    uint64_t version = BOARD_ANY;

    (void)me;
    if (key)
        (void)board_delete(&board, key, &version);
}

void shared_killed(struct actor *actor)
{
    (void)actor;
}

/* All memory that the living do not hold can be loaned. */
static const char *check_slots(void)
{
    uint32_t slot, got = 0, held = 0;

    for (uint32_t i = 0; i < world.actor_count; i++)
        held += world.actors[i].status != DEAD && world.actors[i].slot != 0;
    while (slot_loan(&world.auditor, 0, &slot) == 0)
        got++;
    return got + held == world.view.geo.slot_count ? NULL : "a slot leaked";
}

static bool is_listening(const struct op *op)
{
    return op->run == do_listen || op->run == do_ring_listen || op->run == do_try_listen;
}

static const char *check_broadcast_sleepers(void)
{
    for (uint32_t i = 0; i < world.actor_count; i++) {
        const struct actor *actor = &world.actors[i];
        struct laggard laggard;

        if (actor->status != ASLEEP)
            continue;
        if (broadcast_closed(&news) &&
            (actor->slot || is_listening(&actor->program[actor->pc])))
            return "somebody sleeps at a closed broadcast";
        if (is_listening(&actor->program[actor->pc])) {
            if (broadcast_ready(&news, &places[i]) == 0)
                return "a subscriber sleeps beside a message";
        } else if (actor->slot) {
            if (!broadcast_laggard(&news, &laggard) || laggard.behind < news.count)
                return "a publisher sleeps beside room";
        } else {
            uint32_t slot;

            if (slot_loan(&world.auditor, 0, &slot) == 0)
                return "a loaner sleeps beside a slot";
        }
    }
    return NULL;
}

const char *broadcast_check(const struct scenario *scenario)
{
    const char *why;
    uint64_t position;
    uint32_t slot;

    (void)scenario;
    if (engine_something_dead())
        return "a dead one that nobody reaps";
    why = check_broadcast_sleepers();
    if (why)
        return why;
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (world.notes.ended >> i & 1 && broadcast_ready(&news, &places[i]) == 0)
            return "a message that was published after closed and empty";
    /* Sleepers that block keep what they wait for: then no memory is left. */
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (world.actors[i].status == ASLEEP)
            return NULL;
    if (slot_loan(&world.auditor, 0, &slot) == 0) {
        int result = broadcast_put(&news, &world.auditor, slot, &position);

        if (result == -ESHUTDOWN && broadcast_closed(&news))
            slot_free(&world.auditor, slot);
        else if (result == -EAGAIN) /* a subscriber that blocks has ended */
            return NULL;
        else if (result != 0)
            return "nobody can publish any more";
    }
    /* An actor that has a place and stopped listening keeps messages: it leaves. */
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (world.actors[i].status == DONE && (world.actors[i].note & 1))
            broadcast_unsubscribe(&news, &world.actors[i].self, &places[i]);
    return check_slots();
}

static bool was_put(uint32_t k)
{
    for (uint32_t m = 0; m < MESSAGES; m++)
        if (world.notes.sent[m] == 2 && world.notes.to[m] == k)
            return true;
    return false;
}

const char *board_check(const struct scenario *scenario)
{
    (void)scenario;
    if (engine_something_dead())
        return "a dead one that nobody reaps";
    for (uint32_t i = 0; i < world.actor_count; i++) {
        struct actor *actor = &world.actors[i];
        const struct op *op = &actor->program[actor->pc];
        struct board_key *key = board_find(&board, &names[op->a]);
        bool there;

        if (actor->status == ASLEEP && key &&
            board_key_version(key, &there) - first >
                (actor->note >> 20 * op->a & 0xfffff) &&
            there)
            return "a reader sleeps beside a newer version";
    }
    for (uint32_t k = 0; k < KEYS; k++) {
        struct board_key *key = board_find(&board, &names[k]);
        uint64_t version = BOARD_ANY;
        struct board_value value;
        bool there;
        int result;

        if (!key && was_put(k))
            return "a key that was put is not found";
        if (!key)
            continue;
        if (board_key_version(key, &there) < first)
            return "a version that went back";
        result = board_get(&board, &world.auditor, key, &value);
        if (result == -EBADMSG)
            return "a cell names a slot that is not shared";
        if (result == 0) {
            uint64_t message = shm_get(
                &view_record(&world.view, value.pin.slot)->correlation_id);

            if (message >= MESSAGES || world.notes.to[message] != k)
                return "a value that nobody put";
            shared_unpin(&world.auditor, &value.pin);
        }
        (void)board_delete(&board, key, &version);
    }
    return check_slots();
}
