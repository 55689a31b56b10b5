/* SPDX-License-Identifier: MIT */
/* storm.h - processes that work while others kill, stop and replace them.
 *
 * What must not be believed is kept apart from the arena: a ledger in memory of its own says
 * of each message whether it was sent, how often it was taken, and which deaths excuse that
 * it was taken twice. */
#ifndef TR_TESTS_STORM_H
#define TR_TESTS_STORM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include <tensoring/tensoring.h>

#define STORM_WORKERS  16
#define STORM_MESSAGES (UINT32_C(1) << 24) /* of one round */
#define STORM_SLOTS    64
#define STORM_LARGE    8

struct entry {
    _Atomic uint8_t sent;  /* 1 begun, 2 the call has returned */
    _Atomic uint8_t taken; /* how often */
    uint8_t excused;       /* receivers that died with it in hand */
    uint8_t reserved;
};

struct ledger {
    _Atomic uint32_t next; /* number of the next message */
    _Atomic uint32_t stop;
    _Atomic uint64_t torn, disorder, failed;
    _Atomic uint64_t heard, looked_up, answered; /* of broadcast, board, requests */
    _Atomic uint32_t hand[STORM_WORKERS];        /* what worker i holds, + 1 */
    struct entry entries[STORM_MESSAGES];
};

struct storm {
    struct ledger *ledger;
    tr_arena *arena;
    tr_queue *front, *back, *service;
    tr_broadcast *broadcast;
    tr_board *board;
    char name[64];
};

/* ledger.c: a payload proves itself by number and checksum. */
void proof_write(void *data, uint64_t bytes, uint64_t number);
/* The number, or UINT64_MAX if it is torn. */
uint64_t proof_read(const void *data, uint64_t bytes);

struct verdict {
    uint64_t messages, lost, doubled;
};
void ledger_judge(const struct ledger *ledger, struct verdict *verdict);

/* worker.c: work until the ledger says stop. Never returns. */
_Noreturn void storm_work(struct storm *storm, uint32_t self, uint64_t seed);
int storm_open(struct storm *storm);
void storm_close(struct storm *storm);

/* recovery.c: from the death of a receiver with @p private_bytes of its own to the message
 * in another's hands, in ns. */
int64_t recovery_time(uint64_t private_bytes);

static inline uint64_t storm_random(uint64_t *state)
{
    /* xorshift64 (Marsaglia 2003). */
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

int64_t storm_now(void);

#endif
