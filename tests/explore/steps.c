/* SPDX-License-Identifier: MIT */
#include "tests/explore/steps.h"

#include <errno.h>
#include <string.h>

#include "ipc/liveness/participant.h"
#include "tests/explore/page_model.h"
#include "tests/explore/weakening.h"

struct current current;
bool engine_bare;
memory_pick *steps_pick;

void steps_pause(void)
{
    coroutine_switch(&current.running->coroutine, &current.scheduler);
}

void engine_note(struct actor *me, uint64_t value)
{
    me->seen = hash_mix(me->seen, value);
}

static uint64_t raw(const void *at)
{
    /* relaxed: one thread. */
    return atomic_load_explicit((const _Atomic uint64_t *)((uintptr_t)at & ~(uintptr_t)7),
                                memory_order_relaxed);
}

/* What the access will find: the eight bytes around it. A record's place is read together
 * with its word. */
static void observe(struct actor *me)
{
    engine_note(me, raw(me->at));
    engine_note(me, (uintptr_t)me->at);
}

static const char *short_site(const char *site)
{
    return strrchr(site, '/') ? strrchr(site, '/') + 1 : site;
}

static const char *kind_text(enum shm_kind kind)
{
    return kind == SHM_LOAD    ? "load"
           : kind == SHM_STORE ? "store"
           : kind == SHM_RMW   ? "change"
                               : "system";
}

/* Where no schedule matters. */
static bool no_step(const void *at)
{
    const struct elsewhere *elsewhere = world.scenario->elsewhere;

    return elsewhere ? !elsewhere->matters(at) : world_constant(at);
}

void steps_step(const char *site, const void *at, enum shm_kind kind)
{
    struct actor *me = current.running;

    if (!me || no_step(at))
        return;
    me->site = site;
    me->at = at;
    current.steps++;
    steps_pause();
    if (kind != SHM_SYSTEM && !world.scenario->lags)
        observe(me);
    else /* or two current.steps at one word would look like one */
        engine_note(me, (uintptr_t)site);
    if (current.trace && (kind == SHM_SYSTEM || !world.scenario->lags))
        fprintf(current.trace, "  %u %s %s %llx\n", me->index, short_site(site),
                kind_text(kind), (unsigned long long)raw(at));
}

struct actor *engine_elsewhere(void)
{
    return world.scenario && world.scenario->elsewhere ? current.running : NULL;
}

void engine_call(const char *name, bool seen)
{
    struct actor *me = current.running;
    int saved = errno; /* of the actor: they are one thread */

    me->site = name;
    me->at = name;
    engine_note(me, (uintptr_t)name);
    if (!seen && !engine_bare)
        return;
    current.steps++;
    steps_pause();
    errno = saved;
}

void engine_system(const char *name)
{
    if (!current.running)
        return;
    engine_call(name, true);
    if (current.trace)
        fprintf(current.trace, "  %u %s\n", current.running->index, name);
}

long engine_answer(long result)
{
    engine_note(current.running, (uint64_t)result);
    if (current.trace)
        fprintf(current.trace, "  %u %s: %ld\n", current.running->index,
                current.running->site, result);
    if (result < 0)
        errno = (int)-result;
    return result < 0 ? -1 : result;
}

void engine_nap(void)
{
    current.running->nap = current.changes;
    current.running->status = NAPPING;
    steps_pause();
}

void engine_changed(void)
{
    current.changes++;
}

_Noreturn void engine_fail(const char *why)
{
    current.failure = why;
    for (;;)
        steps_pause();
}

#ifdef TR_ASSERTS
void steps_not_its_own(const char *sentence)
{
    if (current.running)
        engine_fail(sentence);
    current.failure = sentence; /* the auditor, at the end of a run */
}
#endif

static void tell(const struct shm_access *shm, const struct answer *answer)
{
    fprintf(current.trace, "  %u %s %s %s %llx", current.running->index,
            short_site(shm->site), kind_text(shm->kind),
            *shm->edge ? shm->edge : "relaxed",
            (unsigned long long)(shm->kind == SHM_STORE ? shm->operand : answer->value));
    if (shm->kind == SHM_RMW)
        fprintf(current.trace, answer->swapped ? " -> %llx" : " is not as expected",
                (unsigned long long)shm->operand);
    if (answer->lagged)
        fprintf(current.trace, " OLD: %u of %u", answer->read + 1, answer->count);
    fprintf(current.trace, "\n");
}

static uint64_t next_incarnation(const void *pid)
{
    const uint8_t *entry = (const uint8_t *)pid - offsetof(struct participant, pid);

    return PARTICIPANT_INC(raw(entry + offsetof(struct participant, word))) + 1;
}

/* An access under C11's memory; or a bare one, which may be a step. */
bool steps_remember(const struct shm_access *shm)
{
    struct answer answer;
    struct shm_access mine = *shm;
    struct access access = {.shm = &mine, .lags = current.lags};
    const char *why;

    if (!current.running)
        return false;
    if (!world.scenario->elsewhere && (world_constant(shm->at) || !world_shared(shm->at)))
        return false;
    why = world.scenario->memory ? page_access(shm->at) : NULL;
    if (why)
        engine_fail(why);
    if (!world.scenario->lags) {
        if (world.scenario->memory && shm->bare && shm->kind == SHM_LOAD)
            engine_note(current.running, raw(shm->at));
        if (engine_bare && shm->bare && !strstr(shm->site, "tests/explore/"))
            steps_step(shm->site, shm->at, shm->kind);
        return false;
    }
    if (shm->bare && world_contents(shm->at)) {
        why = memory_touch(current.running->index, shm->at, shm->kind == SHM_STORE);
        if (why)
            engine_fail(why);
        return false;
    }
    if (shm->bare && world_stepped(shm->at))
        steps_step(shm->site, shm->at, shm->kind);
    if (world_pid(shm->at) && shm->kind == SHM_STORE)
        mine.operand = next_incarnation(shm->at);
    weakening_meet(shm);
    access.thread = current.running->index;
    access.order = weakening_order(shm);
    memory_access(&access, steps_pick, &answer);
    current.lags -= answer.lagged;
    engine_note(current.running, answer.value);
    engine_note(current.running, (uintptr_t)shm->at + answer.swapped);
    if (current.trace)
        tell(shm, &answer);
    shm_answer = answer.value;
    shm_swapped = answer.swapped;
    return true;
}

void engine_watch(struct actor *me)
{
    me->status = WATCHING;
    me->site = "watch";
    steps_pause();
}
