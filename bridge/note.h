/* SPDX-License-Identifier: MIT */
/* note.h - which messages of a queue elsewhere were published here, on a board of this arena.
 *
 * The note outlives the bridge: a message that is offered again, since its receipt was lost, is
 * known by its number. It has the last 4096 numbers up to the highest, one bit each; lower ones
 * that came late (a receiver elsewhere died with them) have a list of their own. A number that
 * is in neither was not published, or so long ago that it is not offered any more: its sender
 * holds a window of at most 1024, and offers what it holds before what is new.
 *
 * The message that is about to be published is noted too. If the bridge is killed between its
 * publishing and the note of that, it may come twice, and the next bridge knows which it is. */
#ifndef TR_BRIDGE_NOTE_H
#define TR_BRIDGE_NOTE_H

#include <tensoring/board.h>

#include "wire.h"

#define NOTE_BITS  4096
#define NOTE_LATE  128
#define NOTE_NONE  UINT64_MAX
#define NOTE_OWNER 48

/* What lies on the board. Numbers are of this machine: nobody else reads it. */
struct note_value {
    struct identity source;
    uint64_t base;   /* number of the first bit */
    uint64_t intent; /* about to be published; NOTE_NONE */
    uint64_t late[NOTE_LATE];
    uint64_t
        late_count; /* ever written: the place of the next is that modulo NOTE_LATE */
    uint64_t bits[NOTE_BITS / 64];
    char owner[NOTE_OWNER]; /* the key of the peer from which the messages come; "" */
};

struct note {
    tr_board *board;
    char key[32];
    char owner[NOTE_OWNER];
    uint64_t version;
    struct note_value value;
    uint64_t suspect; /* an earlier bridge died while it published this number */
    tr_message
        *spare; /* a slot for the next value: while a message waits to be noted, there is
                          room for the note */
};

/* Whether @p value says that @p number was published; and say so. Pure, for tests. */
bool note_value_has(const struct note_value *value, uint64_t number);
void note_value_add(struct note_value *value, uint64_t number);

/* Find the note of @p source, or a place for one: it takes no slot, for there may be none now. If
 * all places are taken, the one that was written longest ago of the owner that has the most is
 * given up: a peer that says that it is many does not push out the notes of others.
 * @p owner: the key of the peer, or "". 0, or a TR_E code. */
int note_open(struct note *note, tr_board *board, const struct identity *source,
              const char *owner);

/* Take a slot for the next value, if there is none yet. 0, TR_EAGAIN (no slot is free), ... */
int note_prepare(struct note *note);

/* Whether @p number was published, by any bridge of this arena. */
bool note_has(struct note *note, uint64_t number);

/* Write down what is about to be published, and what was. Prepared before. 0, or a TR_E code. */
int note_intend(struct note *note, uint64_t number);
int note_add(struct note *note, uint64_t number);

void note_close(struct note *note);

#endif
