/* SPDX-License-Identifier: MIT */
/* notify.h - wake participants that listen to many words, or wait by a descriptor.
 *
 * A listener sleeps on its own doorbell, a word of its participant entry, and registers in the
 * set of listeners of each word that it waits for: one bit for each participant, stored behind
 * the word. WAKE_POLLED in the word says that the set may not be empty.
 *
 * Doorbell: bit 0 = it waits for the futex (asleep, or an io_uring does), bit 1 = it waits
 *           for a write to its eventfd or FIFO, bits 2-31 = count of rings.
 * Listener: seen = notify_arm(); notify_listen() to each word; look at everything (E3);
 *           sleep while the doorbell is seen.
 * Waker:    change the data (E3); the word says WAKE_POLLED: take a listener's bit away; if
 *           its doorbell is armed, disarm and ring it, else go on to the next.
 *
 * No wake-up is lost. Every access of this argument is seq_cst. The listener arms, listens,
 * looks; the waker changes, loads the word, takes the bit, loads the doorbell. The waker
 * misses the bit or the armed doorbell only if it loaded before the listener stored, hence
 * changed before the listener looked. A listener whose doorbell is not armed is awake: its
 * bit is gone, so it registers again, and looks, before it sleeps. A waker that finds no
 * listener clears WAKE_POLLED by a compare-and-swap of the whole word, as it read it before it
 * looked at the set; a new listener changes the count, and the swap fails.
 *
 * One message rings one listener, which must look at the word or hand the ring on
 * (notify_unlisten()). A waker goes round the set once: a listener that registers again behind
 * it looks after the waker's change. A disarmed doorbell is not rung again: notices coalesce.
 * Crash: a wake-up that a killed waker did not make, or that a dead listener had taken, is
 * repaired at the end of a listener's slice, or earlier by the reaper, which rings every
 * doorbell. */
#ifndef TR_IPC_NOTIFY_H
#define TR_IPC_NOTIFY_H

#include "ipc/signal/wake.h"
#include "ipc/view.h"

/* How a participant wants to be told when its doorbell has bit 1: participant.notify. */
#define NOTIFY_EVENTFD UINT32_C(1)
#define NOTIFY_FIFO    UINT32_C(2)
#define NOTIFY_KIN     UINT32_C(4) /* not a means: it has the table of eventfds */

/* Whether @p word can have listeners: the items and the room of a channel, and what loans that
 * wait sleep on. */
bool notify_can(const struct view *view, const _Atomic uint32_t *word);

/* Arm the doorbell: WAKE_ASLEEP, WAKE_POLLED or both. What it then is. */
uint32_t notify_arm(const struct self *me, uint32_t flags);

/* Whether nobody has rung since it was armed with @p flags. */
bool notify_armed(const struct self *me, uint32_t flags);

/* Register with a word that notify_can(). Two loads if we still are. */
void notify_listen(const struct self *me, _Atomic uint32_t *word);

/* Whether we stand there. */
bool notify_listens(const struct self *me, _Atomic uint32_t *word);

/* Stop listening, and ring another listener: we may have been rung for what is there, and have
 * left it there. */
void notify_unlisten(const struct self *me, _Atomic uint32_t *word);

/* Stop listening, and ring nobody: the caller looks after this (E3), and calls wake_one() if there
 * is something for another one. */
void notify_leave(const struct self *me, _Atomic uint32_t *word);

/* What has rung since the last time: bit n for listeners_number() n modulo 64. A hint. */
uint64_t notify_hints(const struct self *me);
uint64_t notify_hint_of(const struct view *view, const _Atomic uint32_t *word);

/* For the reaper: ring everybody, armed or not, since another waker may have
 * disarmed one and died before it rang; erase a dead one from all listeners. */
void notify_everybody(const struct view *view);
void notify_forget(const struct view *view, uint32_t who, uint32_t inc);

/* The ring of os.h: by descriptor, as the participant wants it. */
bool notify_descriptor(const struct view *view, uint32_t i);

/* All threads of this process that sleep on its doorbell look again. */
void notify_self(const struct self *me);

/* This process's means to ring others. With @p eventfds a table is made, which children
 * inherit. 0, -ENOMEM, -EMFILE. */
int notify_open(struct view *view, uint32_t eventfds);
void notify_close(struct view *view);

/* A forked child: what another thread of the parent had locked is free. */
void notify_forked(const struct view *view);

/* We have just joined. */
void notify_joined(const struct self *me);

#endif
