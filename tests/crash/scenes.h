/* SPDX-License-Identifier: MIT */
/* scenes.h - the operations in which processes die, and what must be there afterwards. */
#ifndef TR_TESTS_SCENES_H
#define TR_TESTS_SCENES_H

#include <stdbool.h>

#include <tensoring/tensoring.h>

#define CRASH_CAPACITY 2
#define CRASH_SLOTS    6
#define CRASH_TOKEN    7 /* of the spare queue in the wait set */

struct stage {
    tr_arena *arena;
    tr_queue *first, *second, *spare;
    tr_queue *third; /* a scene's own, which may be shut down; NULL: it has none */
    tr_broadcast *broadcast;
    tr_subscription *subscription; /* the survivor's */
    tr_board *board;
    tr_waitset *set;     /* the survivor's, of the spare queue; NULL: it has none */
    tr_message *held[2]; /* the victim's, from before the operation */
    tr_message *kept[3]; /* the survivor's, which the victim inherits */
};

struct scene {
    const char *name;
    uint32_t flags; /* TR_ARENA_... */
    uint64_t warm;  /* bytes that free slots keep in an elastic arena, 0: the default */
    /* The survivor, before the fork; the victim, before the steps count. May be NULL. */
    void (*prepare)(struct stage *stage);
    void (*enter)(struct stage *stage);
    /* The victim's operation: it is killed before each of its steps in turn. */
    void (*act)(struct stage *stage);
    /* How many messages the survivors find in the queues afterwards, when it was killed. */
    uint32_t least, most;
    uint32_t done; /* and when it was not */
    /* How many they get from the broadcast. */
    uint32_t heard_least, heard_most;
    bool gives; /* it leaves, or reaps: others may go on with that */
    bool asked; /* the survivor asked for something, and must be answered once */
    bool forks; /* the victim waits for a child, which can't be while that is stopped */
    void (*after)(struct stage *stage); /* more to check by the survivor; may be NULL */
};

extern const struct scene scenes[];
extern const uint32_t scene_count;

/* End the process with what failed. */
_Noreturn void crash_fail(const char *what, int code);

/* A message that proves itself, by the number. */
tr_message *crash_loan(struct stage *stage, uint32_t number);
void crash_inspect(const tr_message *message);
/* Close what @p stage has opened. */
void stage_close(struct stage *stage);

#endif
