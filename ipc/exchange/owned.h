/* SPDX-License-Identifier: MIT */
/* owned.h - test builds (TR_ASSERTS) check the owner of a slot before each plain store to what the
 * owner alone may write, and end the process with a sentence if that is another participant. Such a
 * store would take the slot from its owner, or write into its message. The same for other entries
 * that have one owner. In a release there is nothing of this: a library neither prints nor ends the
 * process. */
#ifndef TR_IPC_OWNED_H
#define TR_IPC_OWNED_H

#include "ipc/slot_word.h"

#ifdef TR_ASSERTS

/* Takes what was found; NULL: it is printed and the process aborts. */
extern void (*owned_hook)(const char *sentence);

/* @p me holds it: loaned or received. */
void owned_held(const struct self *me, const struct slot_record *record,
                const char *site);

/* @p me has it in @p state. */
void owned_mine(const struct self *me, const struct slot_record *record,
                enum slot_state state, const char *site);

/* No other thread hands on the slot. */
void owned_once(bool once, uint32_t slot, const char *site);

/* @p what, an entry with one owner, is @p ours. */
void owned_entry(bool ours, const char *what, const char *site);

#define OWNED_TEXT_(x) #x
#define OWNED_TEXT(x)  OWNED_TEXT_(x)
#define OWNED_SITE     __FILE__ ":" OWNED_TEXT(__LINE__)

#define ASSERT_HELD(me, record)        owned_held(me, record, OWNED_SITE)
#define ASSERT_MINE(me, record, state) owned_mine(me, record, state, OWNED_SITE)
#define ASSERT_ONCE(once, slot)        owned_once(once, slot, OWNED_SITE)
#define ASSERT_OURS(ours, what)        owned_entry(ours, what, OWNED_SITE)

#else

#define ASSERT_HELD(me, record)        ((void)0)
#define ASSERT_MINE(me, record, state) ((void)0)
#define ASSERT_OURS(ours, what)        ((void)0)

#endif
#endif
