/* SPDX-License-Identifier: MIT */
#include "tests/explore/names_ops.h"

#include <stdio.h>
#include <string.h>

#include "ipc/hooks.h"
#include "ipc/liveness/participant.h"
#include "src/arena/arena.h"
#include "tests/explore/folder.h"
#include "tests/explore/folder_calls.h"

#define TRIES 6 /* of one that enters */

static tr_arena *arenas[ACTORS];

static int64_t still(void)
{
    return INT64_C(1000000000);
}

static int wake_nobody(_Atomic uint32_t *word, int count)
{
    (void)word, (void)count;
    return 0;
}

static bool never(const struct view *view, uint32_t participant)
{
    (void)view, (void)participant;
    return false;
}

static bool idle(const struct view *view, uint32_t participant, uint32_t inc)
{
    (void)view, (void)participant, (void)inc;
    return false;
}

static const struct os_calls calls = {
    .now_ns = still,
    .futex_wake = wake_nobody,
};

static const struct hooks hooks_there = {
    .ring = never,
    .dead = participant_dead,
    .busy = idle,
};

static void start(void)
{
    folder_start();
    folder_calls_start();
    memset(arenas, 0, sizeof(arenas));
}

const struct elsewhere names_elsewhere = {&calls, &hooks_there, start, folder_matters,
                                          folder_hash};

void names_killed(struct actor *actor)
{
    folder_killed(actor);
}

_Noreturn static void fail_with(const char *what, int code)
{
    static char text[512];

    snprintf(text, sizeof(text), "%s: %d, %s", what, code, tr_error_detail());
    engine_fail(text);
}

/* Files by the numbers that actors keep in their notes. */
static uint64_t file_of(const tr_arena *arena)
{
    return arena_known(arena)->view.ino;
}

static bool lives_elsewhere(const struct actor *actor, uint64_t file)
{
    return actor->note && actor->note != file &&
           !folder_past((uint32_t)actor->note - 1).asked;
}

/* It was told that it is in the arena of that name. */
static void entered(struct actor *me)
{
    uint64_t file = file_of(arenas[me->index]);
    struct past past = folder_past((uint32_t)file - 1);

    if (past.late >> me->index & 1)
        engine_fail("somebody is in an arena that had lost its name before it joined");
    if (folder_named() != file && !past.asked)
        engine_fail("somebody is in an arena that has lost its name");
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (lives_elsewhere(&world.actors[i], file))
            engine_fail("two arenas of one name are in use");
    me->note = file;
}

static int create(struct actor *me)
{
    static const tr_slot_class class = {64, 1};
    tr_arena_options options = TR_ARENA_OPTIONS_INIT;
    int code;

    options.classes = &class;
    options.class_count = 1;
    options.max_participants = world.scenario->capacity;
    options.max_channels = 1;
    options.ring_bytes = 4096;
    options.pins = 1;
    folder_look(me);
    code = tr_arena_create(FOLDER_NAME, &options, &arenas[me->index]);
    if (code == 0)
        entered(me);
    else if (code != TR_EEXIST)
        fail_with("a create failed for no reason", code);
    else if (!(me->hand & HAND_PRESENT))
        engine_fail("a name is taken that nobody had");
    return code;
}

static int attach(struct actor *me)
{
    int code;

    folder_look(me);
    code = tr_arena_attach(FOLDER_NAME, NULL, &arenas[me->index]);
    if (code == 0)
        entered(me);
    else if (code != TR_ENOENT)
        fail_with("an attach failed for no reason", code);
    else if (!(me->hand & HAND_ABSENT))
        engine_fail("an arena that has its name was not found");
    return code;
}

void do_create(struct actor *me, const struct op *op)
{
    (void)op;
    create(me);
}

void do_attach(struct actor *me, const struct op *op)
{
    (void)op;
    attach(me);
}

void do_enter(struct actor *me, const struct op *op)
{
    int code = TR_ENOENT;

    (void)op;
    for (uint32_t i = 0; i < TRIES && code == TR_ENOENT; i++) {
        code = create(me);
        if (code == TR_EEXIST)
            code = attach(me);
    }
    if (code != 0)
        fail_with("a newcomer does not get in", code);
}

void do_close_own(struct actor *me, const struct op *op)
{
    (void)op;
    if (!me->note)
        return;
    me->note = 0;
    tr_arena_close(arenas[me->index]);
}

void do_unlink(struct actor *me, const struct op *op)
{
    int code;

    (void)op;
    folder_look(me);
    me->giving = 1;
    code = tr_arena_unlink(FOLDER_NAME);
    me->giving = 0;
    if (code != 0 && code != TR_ENOENT)
        fail_with("an unlink failed for no reason", code);
    if (code != 0 && !(me->hand & HAND_ABSENT))
        engine_fail("a name that is there was not found");
}

void do_sweep(struct actor *me, const struct op *op)
{
    int code = tr_arena_sweep(FOLDER_NAME, NULL);

    (void)me, (void)op;
    if (code != 0)
        fail_with("a sweep failed for no reason", code);
}

void do_die(struct actor *me, const struct op *op)
{
    (void)me, (void)op;
    engine_die();
}

static bool in_use(void)
{
    bool so = false;

    for (uint32_t i = 0; i < world.actor_count; i++)
        so |= world.actors[i].note != 0;
    return so;
}

void do_clean(struct actor *me, const struct op *op)
{
    do_sweep(me, op);
    if (folder_named() && !in_use())
        engine_fail("a name that nobody uses was not swept");
}

const char *names_check(const struct scenario *scenario)
{
    (void)scenario;
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (world.actors[i].status != DONE && world.actors[i].status != DEAD)
            return "somebody does not come to an end";
    for (uint32_t i = 0; i < world.actor_count; i++)
        if (lives_elsewhere(&world.actors[i], folder_named()))
            return "an arena in use has lost its name";
    return NULL;
}
