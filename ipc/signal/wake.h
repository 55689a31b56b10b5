/* SPDX-License-Identifier: MIT */
/* wake.h - sleep until another process changes shared data.
 *
 * Word:   bit 0 = somebody may be asleep on it, bit 1 = somebody waits by a descriptor,
 *         bit 2 = somebody is awake and watches, bits 3-31 = count of wakes.
 * Waiter: seen = wake_announce(); look again (E3); sleep while the word is seen; loop.
 * Waker:  change the data (E3); wake_one() or wake_all().
 *
 * No wake-up is lost: announcement, look, change and the waker's load are seq_cst, so they
 * stand in one order. Announcement before load: the waker sees the bit, changes the word
 * and wakes; a waiter not yet asleep gets EAGAIN. Load before announcement: the change came
 * before both, and the look finds it.
 *
 * One message wakes one sleeper: the bit stays while others may sleep. A waker that woke
 * nobody takes the bit away, by changing the word once more: a process that slept on the
 * old word between that wake and this change is woken by the last call, one that comes
 * later gets EAGAIN. So the first send after the last sleeper has gone costs two system
 * calls, the ones after it none.
 *
 * A waiter that spins while others sleep sets the watch: wake_watch(). The next waker that
 * changes something for one waiter takes it away and wakes nobody: what came is left to the
 * process that set the watch, which must not leave before it has looked. That one looks once
 * more after it has ended its watch (E3: watch ended, then the look; change, then the waker's
 * load), and wakes another waiter if there is more: a waker may have left it something while
 * it took what came before. So each message has one that is awake for it, and of several that
 * serve one queue the one that is awake gets the next message, without a system call.
 *
 * Shared futex, not FUTEX_PRIVATE: the waker is another process. Spurious returns come
 * from signals and from every other waker of the word: callers loop.
 * Crash: a waker killed between its change and the call, and a waiter that is killed before
 * it took what it was woken for, or what was left to its watch, leave the others asleep to the
 * end of their slice, or to the reap, which wakes every word and ends every watch. */
#ifndef TR_IPC_WAKE_H
#define TR_IPC_WAKE_H

#include "ipc/mutant.h"
#include "ipc/order.h"
#include "ipc/view.h"
#include "ipc/wake_word.h"

/* What the word is once it says that somebody sleeps. */
static inline uint32_t wake_announce(_Atomic uint32_t *word)
{
    return shm_or(word, WAKE_ASLEEP, E3) | WAKE_ASLEEP; /* E3: before the look */
}

/* Before a spin: watch, if others wait and none of those that are awake watches. Whether we do
 * from now on. */
static inline bool wake_watch(_Atomic uint32_t *word)
{
    uint32_t seen = shm_load(word, E3); /* E3: before the looks of the spin */

    return (seen & WAKE_FLAGS) && !(seen & WAKE_WATCHED) &&
           shm_cas(word, &seen, seen | WAKE_WATCHED, E3); /* E3: before the looks, too */
}

/* After the spin of one that watched. It looks again after this. */
static inline void wake_watched(_Atomic uint32_t *word)
{
    if (!MUTANT(WATCH_KEPT))
        shm_and(word, ~WAKE_WATCHED, E3); /* E3: before the look */
}

/* Wake all sleepers, with or without an announcement: another waker may have taken the announcement
 * away and died before its call. */
void wake_surely(const struct view *view, _Atomic uint32_t *word);

/* The way with a system call. @p count is 1 or INT32_MAX. */
void wake_slowly(const struct view *view, _Atomic uint32_t *word, int count);

/* After a change that one waiter can use. One load if nobody waits. */
static inline void wake_one(const struct view *view, _Atomic uint32_t *word)
{
    /* E3: after the change. */
    if (shm_load(word, E3) & WAKE_FLAGS)
        wake_slowly(view, word, 1);
}

/* After a change that every waiter must see. */
static inline void wake_all(const struct view *view, _Atomic uint32_t *word)
{
    /* E3: after the change. */
    if (shm_load(word, E3) & WAKE_FLAGS)
        wake_slowly(view, word, INT32_MAX);
}

/* After a slot of class @p c was freed, or may be. Of the loans that wait for memory the first may
 * need more than there is. */
static inline void wake_loaner(const struct view *view, uint32_t c)
{
    if (__builtin_expect(view_elastic(view), 0))
        MUTANT(LOANER_ALONE) ? wake_one(view, &view_live(view)->memory)
                             : wake_all(view, &view_live(view)->memory);
    else
        wake_one(view, &view_live(view)->classes[c].freed);
}

/* After a change that every loan must see, whatever size it waits for. */
static inline void wake_loaners(const struct view *view)
{
    for (uint32_t c = 0; c < view->geo.class_count; c++)
        wake_all(view, view_freed(view, c));
}

#endif
