/* SPDX-License-Identifier: MIT */
/* kept.h - a bridge whose keeper is killed goes on alone (keep.h). It then watches what the keeper
 * watched: it ends when the program that wanted it ends, or closes its end of the input, or writes
 * "stop MS" there, which it does before it starts another keeper. */
#ifndef TR_BRIDGE_KEPT_H
#define TR_BRIDGE_KEPT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define KEPT_SIGNAL  SIGUSR1             /* the keeper was killed */
#define KEPT_STOP_NS INT64_C(5000000000) /* how long it waits for receipts then */

struct kept {
    pid_t keeper; /* the parent at first; it may be no keeper */
    int input;    /* what the keeper reads; -1: nobody keeps this bridge */
    int program;  /* a pidfd; -1: the input alone tells of its end */
    bool alone;   /* the keeper is no more */
    bool over;    /* the program wants it no more, or is no more */
    int64_t stop_ns;
};

/* The last argument of the bridge, "--kept=...": called in the child that will be it. */
void kept_word(char word[64], pid_t keeper, pid_t program);

/* @p word is what kept_word() has written; NULL: nobody keeps this bridge. */
void kept_open(struct kept *kept, const char *word);

/* Look at the parent and, if it is gone, at the program. True: from now on it is over. */
bool kept_look(struct kept *kept);

/* What becomes readable when kept_look() has something to see. */
void kept_fds(const struct kept *kept, struct pollfd fds[2]);

#endif
