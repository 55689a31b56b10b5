/* SPDX-License-Identifier: MIT */
/* listeners.h - the participants that listen to a word: a bit each, behind the word. The waker's
 * half of what notify.h argues. */
#ifndef TR_IPC_LISTENERS_H
#define TR_IPC_LISTENERS_H

#include "ipc/view.h"

_Static_assert(
    offsetof(struct channel, items_listeners) == offsetof(struct channel, items) + 8 &&
        offsetof(struct channel, room_listeners) == offsetof(struct channel, room) + 8 &&
        offsetof(struct channel, items_turn) == offsetof(struct channel, items) + 4 &&
        offsetof(struct channel, room_turn) == offsetof(struct channel, room) + 4,
    "the listeners stand behind their word");
_Static_assert(offsetof(struct class_words, freed_listeners) ==
                       offsetof(struct class_words, freed) + 8 &&
                   offsetof(struct class_words, freed_turn) ==
                       offsetof(struct class_words, freed) + 4 &&
                   offsetof(struct live, memory_listeners) ==
                       offsetof(struct live, memory) + 8 &&
                   offsetof(struct live, memory_turn) ==
                       offsetof(struct live, memory) + 4,
               "the listeners of loans, too");

static inline _Atomic uint64_t *listeners_of(_Atomic uint32_t *word)
{
    return (_Atomic uint64_t *)(void *)(word + 2);
}

static inline _Atomic uint32_t *listeners_turn(_Atomic uint32_t *word)
{
    return word + 1;
}

#define LISTENERS_NONE UINT32_MAX

/* A number for what a word belongs to: that of its channel; behind the channels the word of loans
 * that wait for memory, then the classes of slots. LISTENERS_NONE: the word has no listeners. */
uint32_t listeners_number(const struct view *view, const _Atomic uint32_t *word);

/* For wake_slowly(): the word said WAKE_POLLED. @p count as there. */
void listeners_ring(const struct view *view, _Atomic uint32_t *word, int count);

#endif
